// Command bells is a program outside of Carillon's tree: the one of
// docs/getting-started.md.
package main

import (
	"carillon/actors"
	"carillon/cmd"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
	"time"
)

// A document of the table rings.
type Ring struct {
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

var (
	rings = storage.NewTable[Ring]("rings", storage.Index("by_text", "text"))

	ring  = dispatch.InternalMutation[string, dispatch.None]("bells:ring")
	count = dispatch.Query[string, int]("bells:count")
)

func functions() *dispatch.Registry {
	reg := dispatch.NewRegistry()
	ring.Handle(reg, func(ctx *dispatch.MutationCtx, text string) (dispatch.None, error) {
		_, err := rings.Insert(ctx.DB, Ring{Text: text, At: ctx.Now})
		return dispatch.None{}, err
	})
	count.Handle(reg, func(ctx *dispatch.QueryCtx, text string) (int, error) {
		return rings.Query(ctx.DB).By("by_text").Eq(text).Count()
	})
	return reg
}

func main() {
	cmd.Main(cmd.Options{
		About: "the bells of a tower",
		Engine: actors.Options{
			Program:   "bells",
			Functions: functions(),
			Tables:    []storage.Schema{rings},
			Crons:     []dispatch.Trigger{{Name: "hourly", Schedule: cron.Hourly(0), Call: ring.With("the hour")}},
		},
	})
}
