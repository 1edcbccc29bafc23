package actors_test

import (
	"flag"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts print into their files")

// The stories of testdata/scripts/engine, which need functions that take long,
// or end badly; those of the sample app are told in its own package.
func TestStories(t *testing.T) {
	actorstest.Scripts{
		Files: "../testdata/scripts/engine/*.txt",
		Options: func() actors.Options {
			return actors.Options{
				Functions: storyFunctions(), Pools: storyPools(), Logger: quiet, ClockCheck: time.Second,
				AppLimits: func(id storage.AppID) (own actors.AppLimits) {
					if id == "small" {
						own = actors.AppLimits{MaxArgBytes: 20, StartsPerSecond: 2}
					}
					return own
				},
			}
		},
		Rewrite: *rewrite,
	}.Run(t)
}

// storyPools are the pools that the jobs of stories may be in.
func storyPools() []*dispatch.Pool {
	return []*dispatch.Pool{
		dispatch.NewPool("user", 1, dispatch.Ordered()),
		dispatch.NewPool("desk", 1),
		dispatch.NewPool("rated", 5, dispatch.Rate(2, time.Minute)),
		dispatch.NewSharedPool("payments", 2, dispatch.Rate(3, time.Minute)),
	}
}

// order is what the stories' work:order asks for.
type order struct {
	What    string `json:"what"`
	After   string `json:"after"`
	Takes   string `json:"takes"`
	Once    bool   `json:"once"`
	Retries int    `json:"retries"`
}

// storyFunctions are work:order, which schedules an action that takes its time
// and then writes down that it is done; work:done, the list of what is done;
// work:ask, which ends from outside, and lists its token; and
// work:stop, a mutation that cancels a job and then fails, if it is told to.
func storyFunctions() *dispatch.Registry {
	reg := dispatch.NewRegistry()
	done := dispatch.InternalMutation[string, none]("work:finish")
	done.Handle(reg, func(ctx *dispatch.MutationCtx, what string) (none, error) {
		_, err := entries.Insert(ctx.DB, entry{Name: what})
		return none{}, err
	})
	do := dispatch.InternalAction[order, none]("work:do", dispatch.Deadline(time.Hour))
	do.Handle(reg, func(ctx *dispatch.ActionCtx, o order) (none, error) {
		takes, err := time.ParseDuration(o.Takes)
		if err != nil {
			return none{}, dispatch.Permanent(dispatch.Errorf(dispatch.CodeInvalidArgument, "takes: %v", err))
		}
		select {
		case <-time.After(takes):
			return done.Run(ctx, o.What)
		case <-ctx.Done():
			return none{}, ctx.Err()
		}
	})
	dispatch.InternalAction[int, none]("work:export", eager).Handle(reg, func(ctx *dispatch.ActionCtx, pages int) (none, error) {
		done, _, err := dispatch.CheckpointOf[int](ctx)
		for ; err == nil && done < pages; done++ {
			ctx.Progress(int64(done), int64(pages), "writing")
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return none{}, ctx.Err()
			}
			err = ctx.Checkpoint(done + 1)
		}
		return none{}, err
	})
	ask := dispatch.InternalAction[string, string]("work:ask")
	ask.Handle(reg, func(ctx *dispatch.ActionCtx, what string) (string, error) {
		token, err := ctx.Pending(time.Hour)
		if err == nil {
			_, err = done.Run(ctx, what+" "+token)
		}
		if err != nil {
			return "", err
		}
		return "", dispatch.ErrPending
	})
	dispatch.Mutation[order, storage.JobID]("work:order").Handle(reg, func(ctx *dispatch.MutationCtx, o order) (storage.JobID, error) {
		after, err := time.ParseDuration(o.After)
		if err != nil {
			return "", dispatch.Errorf(dispatch.CodeInvalidArgument, "after: %v", err)
		}
		opt := dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 1 + o.Retries, Base: time.Minute})
		if o.Once {
			opt = dispatch.AtMostOnce()
		}
		return ctx.Scheduler.RunAfter(after, do.With(o), opt)
	})
	dispatch.Mutation[struct {
		Job   storage.JobID `json:"job"`
		Fails bool          `json:"fails"`
	}, bool]("work:stop").Handle(reg, func(ctx *dispatch.MutationCtx, args struct {
		Job   storage.JobID `json:"job"`
		Fails bool          `json:"fails"`
	},
	) (bool, error) {
		answer, err := ctx.Scheduler.Cancel(args.Job)
		if err == nil && args.Fails {
			err = dispatch.Errorf(dispatch.CodeFailedPrecondition, "changed my mind")
		}
		return answer.Canceled, err
	})
	dispatch.Query[none, []string]("work:done").Handle(reg, func(ctx *dispatch.QueryCtx, _ none) ([]string, error) { return namesOf(ctx.DB) })
	return reg
}
