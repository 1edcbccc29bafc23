package actors_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

type Note struct {
	Text string `json:"text"`
}

func TestSmoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		notes := storage.NewTable[Note]("notes")
		post := dispatch.Mutation[Note, storage.ID[Note]]("notes:post")
		burn := dispatch.InternalMutation[storage.ID[Note], dispatch.None]("notes:burn")
		read := dispatch.Query[storage.ID[Note], Note]("notes:read")
		reg := dispatch.NewRegistry()
		post.Handle(reg, func(ctx *dispatch.MutationCtx, n Note) (storage.ID[Note], error) {
			id, err := notes.Insert(ctx.DB, n)
			if err != nil {
				return "", err
			}
			_, err = ctx.Scheduler.RunAfter(time.Hour, burn.With(id))
			return id, err
		})
		burn.Handle(reg, func(ctx *dispatch.MutationCtx, id storage.ID[Note]) (dispatch.None, error) {
			return dispatch.None{}, notes.Delete(ctx.DB, id)
		})
		read.Handle(reg, func(ctx *dispatch.QueryCtx, id storage.ID[Note]) (Note, error) {
			return notes.Get(ctx.DB, id)
		})
		dir := t.TempDir()
		eng, err := actors.Open(dir, actors.Options{Functions: reg})
		if err != nil {
			t.Fatal(err)
		}
		app, _ := eng.App("acme")
		id, err := post.Run(app.As(t.Context(), nil), Note{Text: "hi"})
		if err != nil {
			t.Fatal(err)
		}
		n, err := read.Run(app.As(t.Context(), nil), id)
		t.Log(n, err)
		time.Sleep(59 * time.Minute)
		n, err = read.Run(app.As(t.Context(), nil), id)
		t.Log(n, err)
		time.Sleep(time.Minute + time.Second)
		n, err = read.Run(app.As(t.Context(), nil), id)
		t.Log(n, err)
		page, err := app.Scheduler(t.Context()).List(storage.JobFilter{})
		t.Logf("%+v %v", page, err)
		if err := eng.Check(); err != nil {
			t.Fatal(err)
		}
		if err := eng.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}
