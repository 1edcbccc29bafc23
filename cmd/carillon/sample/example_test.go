package sample_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// README shows this file from here on; a test compares the two.

type Note struct {
	Text string `json:"text"`
}

var (
	notes = storage.NewTable[Note]("notes")
	post  = dispatch.Mutation[Note, storage.ID[Note]]("notes:post")
	read  = dispatch.Query[storage.ID[Note], Note]("notes:read")
	burn  = dispatch.InternalMutation[storage.ID[Note], dispatch.None]("notes:burn")
)

func functions() *dispatch.Registry {
	reg := dispatch.NewRegistry()
	post.Handle(reg, func(ctx *dispatch.MutationCtx, n Note) (storage.ID[Note], error) {
		id, err := notes.Insert(ctx.DB, n)
		if err != nil {
			return "", err
		}
		_, err = ctx.Scheduler.RunAfter(time.Hour, burn.With(id)) // stored together with the note, or neither
		return id, err
	})
	read.Handle(reg, func(ctx *dispatch.QueryCtx, id storage.ID[Note]) (Note, error) {
		return notes.Get(ctx.DB, id)
	})
	burn.Handle(reg, func(ctx *dispatch.MutationCtx, id storage.ID[Note]) (dispatch.None, error) {
		return dispatch.None{}, notes.Delete(ctx.DB, id)
	})
	return reg
}

func quickStart(ctx context.Context, dir string) error {
	eng, err := actors.Open(dir, actors.Options{Functions: functions()})
	if err != nil {
		return err
	}
	defer eng.Close(ctx)
	app, err := eng.App("acme")
	if err != nil {
		return err
	}
	ann := app.As(ctx, &dispatch.Identity{Subject: "ann"})
	id, err := post.Run(ann, Note{Text: "hi"}) // durable when it returns
	if err != nil {
		return err
	}
	note, err := read.Run(ann, id)
	if err != nil {
		return err
	}
	fmt.Println(note.Text)
	page, err := app.Scheduler(ctx).List(storage.JobFilter{})
	if err != nil {
		return err
	}
	for _, job := range page.Jobs {
		fmt.Println(job.Function, "is", job.State)
	}
	return nil
}

// README ends here.

func Example() {
	dir, err := os.MkdirTemp("", "carillon-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = quickStart(context.Background(), dir)
	}
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// hi
	// notes:burn is pending
}
