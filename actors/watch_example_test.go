package actors_test

import (
	"context"
	"fmt"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// What one user has ordered is shown as it changes: the jobs that there are, and then each
// change of theirs.
func ExampleApp_Watch() {
	reg := dispatch.NewRegistry()
	export := dispatch.InternalAction[int, dispatch.None]("shop:export")
	export.Handle(reg, func(*dispatch.ActionCtx, int) (dispatch.None, error) { return dispatch.None{}, nil })
	withEngine(actors.Options{Functions: reg}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		jobs := map[uint64]storage.Job{}
		for e, err := range app.Watch(ctx, storage.JobFilter{Tags: []string{"ann"}}) {
			if err != nil {
				return err
			}
			switch e.Kind {
			case actors.EventReset:
				clear(jobs) // the snapshot follows
			case actors.EventReady:
				fmt.Println("there are", len(jobs))
				if _, err := app.Scheduler(ctx).RunAfter(0, export.With(1), dispatch.Tags("ann")); err != nil {
					return err
				}
			default:
				if jobs[e.Job.Seq()] = e.Job; e.Left {
					delete(jobs, e.Job.Seq())
				}
			}
			if e.Kind == actors.EventEnded {
				fmt.Println(e.Job.Function, "has ended:", e.Job.State)
				break
			}
		}
		return nil
	})
	// Output:
	// there are 0
	// shop:export has ended: success
}
