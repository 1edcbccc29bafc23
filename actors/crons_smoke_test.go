package actors_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

func TestG19_CronSmoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type beat struct {
			Slot time.Time `json:"slot"`
		}
		beats := storage.NewTable[beat]("beats")
		tick := dispatch.InternalMutation[dispatch.None, dispatch.None]("beat:tick")
		touch := dispatch.Mutation[dispatch.None, dispatch.None]("beat:touch")
		open := func(dir string) *actors.Engine {
			reg := dispatch.NewRegistry()
			tick.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
				_, err := beats.Insert(ctx.DB, beat{ctx.Tick.Slot})
				return dispatch.None{}, err
			})
			touch.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
				_, err := beats.Insert(ctx.DB, beat{})
				return dispatch.None{}, err
			})
			eng, err := actors.Open(dir, actors.Options{Functions: reg, Crons: []cron.Trigger{
				{Name: "beat", Schedule: cron.Expr("*/5 * * * * *"), Call: tick.With(dispatch.None{})},
			}})
			if err != nil {
				t.Fatal(err)
			}
			return eng
		}
		dir := t.TempDir()
		eng := open(dir)
		app, _ := eng.App("acme")
		if _, err := touch.Run(app.As(t.Context(), nil), dispatch.None{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(61 * time.Second)
		show := func() {
			app, _ := eng.App("acme")
			infos, err := app.Scheduler(t.Context()).Crons().List()
			t.Logf("%+v %v", infos, err)
			slots, err := app.Scheduler(t.Context()).Crons().Slots("beat", 30)
			for _, s := range slots {
				t.Log(s)
			}
			t.Log(err, time.Now())
			if err := eng.Check(); err != nil {
				t.Error(err)
			}
		}
		show()
		eng.Abort()
		time.Sleep(time.Minute)
		eng = open(dir)
		time.Sleep(11 * time.Second)
		show()
		eng.Close(context.Background())
	})
}
