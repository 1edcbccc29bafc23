package browser

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"carillon/actors"
	"carillon/cmd"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// hostile is text that does harm where it is not escaped.
const hostile = `"'><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}`

// large is how many jobs campaign:large schedules: an operation has some twenty steps with them.
const large = 1280

// order is what the functions take, and a document.
type order struct {
	ID   string `json:"id"`
	Note string `json:"note"`
}

// program is what the server serves: a bit of everything that a page shows.
func program() cmd.Options {
	reg := dispatch.NewRegistry()
	mail := dispatch.NewPool("mail", 2)
	orders := storage.NewTable[order]("orders", storage.Index("by_id", "id"))

	place := dispatch.Mutation[order, dispatch.None]("orders:place")
	place.Handle(reg, func(ctx *dispatch.MutationCtx, o order) (none dispatch.None, err error) {
		ctx.Log.Info("placed", "order", o.ID)
		_, err = orders.Insert(ctx.DB, o)
		return none, err
	})
	dispatch.Query[dispatch.None, int]("orders:count").Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) (int, error) {
		return orders.Query(ctx.DB).By("by_id").Count()
	})
	dispatch.InternalAction[order, dispatch.None]("mail:send", dispatch.InPool(mail)).Handle(reg, func(ctx *dispatch.ActionCtx, _ order) (none dispatch.None, err error) {
		<-ctx.Done() // until the job is canceled
		return none, ctx.Err()
	})
	dispatch.InternalMutation[order, dispatch.None]("billing:charge").Handle(reg, func(_ *dispatch.MutationCtx, o order) (none dispatch.None, err error) {
		if o.ID == "P-1" {
			panic(hostile)
		}
		return none, dispatch.Permanent(dispatch.Errorf(dispatch.CodeFailedPrecondition, "the card of order %s was declined: %s", o.ID, o.Note))
	})
	dispatch.Mutation[dispatch.None, storage.GroupID]("campaign:start").Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (group storage.GroupID, err error) {
		if group, err = ctx.Scheduler.NewGroup(place.With(order{ID: "the campaign is over"})); err != nil {
			return group, err
		}
		for i := range 4 {
			if _, err := ctx.Scheduler.RunAfter(time.Duration(i)*time.Hour, place.With(order{ID: "member"}), dispatch.InGroup(group)); err != nil {
				return group, err
			}
		}
		return group, ctx.Scheduler.Seal(group)
	})
	report := dispatch.InternalMutation[dispatch.None, dispatch.None]("reports:daily")
	report.Handle(reg, func(*dispatch.MutationCtx, dispatch.None) (none dispatch.None, err error) { return none, nil })

	dispatch.InternalMutation[dispatch.None, dispatch.None]("campaign:large").Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (none dispatch.None, err error) {
		for i := range large {
			if _, err := ctx.Scheduler.RunAfter(time.Hour, place.With(order{ID: fmt.Sprint("L-", i)})); err != nil {
				return none, err
			}
		}
		return none, nil
	})
	var slow atomic.Int64 // how long each commit takes besides
	dispatch.InternalAction[int64, dispatch.None]("disk:slow").Handle(reg, func(_ *dispatch.ActionCtx, ms int64) (none dispatch.None, err error) {
		slow.Store(ms)
		return none, nil
	})
	dispatch.InternalAction[dispatch.None, dispatch.None]("stuck:hang", dispatch.Deadline(20*time.Millisecond)).Handle(reg, func(*dispatch.ActionCtx, dispatch.None) (dispatch.None, error) {
		select {} // whatever becomes of its job
	})

	opts := cmd.Options{
		Name: "bells",
		Engine: actors.Options{
			Program: "bells", Functions: reg, Tables: []storage.Schema{orders}, Pools: []*dispatch.Pool{mail},
			Crons: []dispatch.Trigger{
				{Name: "daily-report", Schedule: cron.Daily(3, 0), Zone: "Europe/Berlin", Call: report.With(dispatch.None{})},
				{Name: "pulse", Schedule: cron.Every(30 * time.Second), Call: report.With(dispatch.None{})},
			},
		},
	}
	opts.Engine.Testing.Fault = func(point string) error {
		if point == "commit" {
			time.Sleep(time.Duration(slow.Load()) * time.Millisecond)
		}
		return nil
	}
	if ahead, err := time.ParseDuration(os.Getenv(aheadBy)); err == nil {
		opts.Engine.Grace = time.Millisecond
		opts.Engine.Testing.Clock = func() time.Time { return time.Now().Add(ahead) }
	}
	return opts
}
