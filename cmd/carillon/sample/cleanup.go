package sample

import (
	"time"

	"carillon/dispatch"
)

const (
	// keptMessages is how long a notification is kept.
	keptMessages = 30 * 24 * time.Hour
	// cleanupBatch bounds what one run deletes, so that no app's other work waits
	// long for it, however much there is.
	cleanupBatch = 500
)

// cleanupArgs are zero in the trigger's call.
type cleanupArgs struct {
	Before time.Time `json:"before,omitzero"` // what was sent earlier goes; zero: keptMessages before the slot
}

var cleanupOldMessages = dispatch.InternalMutation[cleanupArgs, dispatch.None]("cleanup:cleanupOldMessages")

func handleCleanup(reg *dispatch.Registry) {
	// What is old follows from the slot, not from when the tick happens to run, and
	// is handed on to the runs for the rest. They are jobs like any other: a crash
	// between two of them loses nothing.
	cleanupOldMessages.Handle(reg, func(ctx *dispatch.MutationCtx, args cleanupArgs) (dispatch.None, error) {
		if args.Before.IsZero() {
			args.Before = slotOrNow(ctx).Add(-keptMessages)
		}
		old, more, err := notifications.Query(ctx.DB).By("by_sent").Before(args.Before).Take(cleanupBatch).Page()
		if err != nil {
			return none, err
		}
		for _, doc := range old {
			if err := notifications.Delete(ctx.DB, doc.ID); err != nil {
				return none, err
			}
		}
		if more != "" {
			_, err = ctx.Scheduler.RunAfter(0, cleanupOldMessages.With(args))
		}
		return none, err
	})
}

// slotOrNow is the slot that the run is for, and now if it was run by hand.
func slotOrNow(ctx *dispatch.MutationCtx) time.Time {
	if slot := ctx.Tick.Slot; !slot.IsZero() {
		return slot
	}
	return ctx.Now
}
