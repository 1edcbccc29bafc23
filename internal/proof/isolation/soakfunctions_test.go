package isolation_test

import (
	"time"

	"carillon/dispatch"
	"carillon/internal/proof"
	"carillon/storage"
)

// soakCount is how often something was done in an app. There is one of each
// kind, so that the soak's data do not grow, and an effect that is lost or
// doubled shows all the same.
type soakCount struct {
	Kind string    `json:"kind"`
	N    int       `json:"n"`
	Slot time.Time `json:"slot"` // of the last tick
}

// soakWork is what a function of the soak is asked to do.
type soakWork struct {
	Kind  string `json:"kind"`  // of the count that is raised by one
	Fails int    `json:"fails"` // attempts that fail before
}

var (
	soakCounts = storage.NewTable[soakCount]("counts", storage.Index("by_kind", "kind"))
	soakAdd    = dispatch.Mutation[soakWork, isoNone]("soak:add")
	soakLater  = dispatch.Mutation[soakWork, isoNone]("soak:later") // adds, and schedules another
	soakAct    = dispatch.Action[soakWork, isoNone]("soak:act")
	soakTick   = dispatch.InternalMutation[isoNone, isoNone]("soak:tick")
	soakAll    = dispatch.Query[isoNone, map[string]int]("soak:all")
)

func soakFunctions(tally *proof.Tally) *dispatch.Registry {
	reg := dispatch.NewRegistry()
	soakAdd.Handle(reg, func(ctx *dispatch.MutationCtx, w soakWork) (isoNone, error) {
		if early := time.Until(ctx.Job.ScheduledFor); ctx.Job.ID != "" && early > 0 {
			tally.Early("%s begins %v before its instant", w.Kind, early)
		}
		if ctx.Job.Attempt <= w.Fails && ctx.Job.ID != "" {
			return isoNone{}, dispatch.Errorf(dispatch.CodeUnavailable, "attempt %d fails", ctx.Job.Attempt)
		}
		return isoNone{}, soakRaise(ctx.DB, w.Kind, func(*soakCount) {})
	})
	soakLater.Handle(reg, func(ctx *dispatch.MutationCtx, w soakWork) (isoNone, error) {
		if _, err := ctx.Scheduler.RunAfter(30*time.Millisecond, soakAdd.With(w)); err != nil {
			return isoNone{}, err
		}
		return soakAdd.Run(ctx, w)
	})
	soakAct.Handle(reg, func(ctx *dispatch.ActionCtx, w soakWork) (isoNone, error) { return soakAdd.Run(ctx, w) })
	soakTick.Handle(reg, func(ctx *dispatch.MutationCtx, _ isoNone) (isoNone, error) {
		if early := time.Until(ctx.Tick.Slot); early > 0 {
			tally.Early("a tick begins %v before its slot", early)
		}
		return isoNone{}, soakRaise(ctx.DB, "tick", func(c *soakCount) {
			if !ctx.Tick.Slot.After(c.Slot) {
				tally.Doubled("the tick of %v runs after that of %v", ctx.Tick.Slot, c.Slot)
			}
			c.Slot = ctx.Tick.Slot
		})
	})
	soakAll.Handle(reg, func(ctx *dispatch.QueryCtx, _ isoNone) (map[string]int, error) {
		all := map[string]int{}
		for doc, err := range soakCounts.Query(ctx.DB).All() {
			if err != nil {
				return nil, err
			}
			all[doc.Value.Kind] += doc.Value.N
		}
		return all, nil
	})
	return reg
}

// soakRaise counts one more of the kind.
func soakRaise(db storage.Writer, kind string, change func(*soakCount)) error {
	doc, ok, err := soakCounts.Query(db).By("by_kind").Eq(kind).First()
	if err != nil {
		return err
	}
	if !ok {
		count := soakCount{Kind: kind, N: 1}
		change(&count)
		_, err = soakCounts.Insert(db, count)
		return err
	}
	return soakCounts.Patch(db, doc.ID, func(c *soakCount) error {
		c.N++
		change(c)
		return nil
	})
}
