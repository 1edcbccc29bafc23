// Command bells is a program outside of Carillon's tree: the one of
// docs/getting-started.md.
package main

import (
	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"
)

// A document of the table rings.
type Ring struct {
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

var (
	rings = storage.NewTable[Ring]("rings")

	ring  = dispatch.InternalMutation[string, dispatch.None]("bells:ring")
	count = dispatch.Query[dispatch.None, int]("bells:count")
)

func functions() *dispatch.Registry {
	reg := dispatch.NewRegistry()
	ring.Handle(reg, func(ctx *dispatch.MutationCtx, text string) (dispatch.None, error) {
		_, err := rings.Insert(ctx.DB, Ring{Text: text, At: ctx.Now})
		return dispatch.None{}, err
	})
	count.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) (int, error) {
		return rings.Query(ctx.DB).Count()
	})
	return reg
}

func run(ctx context.Context, dir string) (err error) {
	eng, err := actors.Open(dir, actors.Options{
		Functions: functions(),
		Crons:     []dispatch.Trigger{{Name: "hourly", Schedule: cron.Hourly(0), Call: ring.With("the hour")}},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, eng.Close(context.WithoutCancel(ctx))) }()
	app, err := eng.App("tower")
	if err != nil {
		return err
	}
	if _, err := app.Scheduler(ctx).RunAfter(time.Second, ring.With("a second later")); err != nil {
		return err
	}
	for {
		n, err := count.Run(app.As(ctx, nil), dispatch.None{})
		if err != nil || ctx.Err() != nil {
			return err
		}
		fmt.Println("rung", n, "times so far")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(2 * time.Second):
		}
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, "bells-data"); err != nil {
		log.Fatal(err)
	}
}
