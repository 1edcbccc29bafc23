package kill_test

import (
	"cmp"
	"slices"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Some actions of the observed server have several pages to do, and save how far they have come.
// They tell the observer what they were given and what they have saved.

// killPages is the argument of such an action.
type killPages struct {
	Key   string
	Pages int
	Ms    int // a page
	Fails int // so many attempts fail, at their second page
}

// killPagesAt schedules one.
type killPagesAt struct {
	killPages
	AfterMs int
	ID      storage.JobID // chosen, if not empty
}

// killSaved is a checkpoint.
type killSaved struct {
	Job  string // its idempotency key
	Done int    // pages
}

// killNote is what the observer is told of checkpoints.
type killNote struct {
	Life    int
	Key     string
	Job     string // its idempotency key
	Attempt int
	Do      string    // "begins" with what it was given; "saved"; "fails"; "done"
	Saved   killSaved // zero: it was given nothing
	First   bool      // of the attempt: it is durable
}

var (
	killPagesLater = dispatch.Mutation[killPagesAt, storage.JobID]("export:later")
	killPagesRun   = dispatch.InternalAction[killPages, dispatch.None]("export:run")
)

func handlePages(reg *dispatch.Registry, observer string, life int) {
	killPagesLater.Handle(reg, func(ctx *dispatch.MutationCtx, args killPagesAt) (storage.JobID, error) {
		opts := []dispatch.RunOption{killRetry, dispatch.Tags(killWatched)}
		if args.ID != "" {
			opts = append(opts, dispatch.ID(args.ID))
		}
		return ctx.Scheduler.RunAfter(time.Duration(args.AfterMs)*time.Millisecond, killPagesRun.With(args.killPages), opts...)
	})
	killPagesRun.Handle(reg, func(ctx *dispatch.ActionCtx, args killPages) (none dispatch.None, err error) {
		job := ctx.Job.IdempotencyKey()
		tell := func(do string, saved killSaved, first bool) error {
			return tellObserver(observer+killNotes, killNote{life, args.Key, job, ctx.Job.Attempt, do, saved, first})
		}
		saved, _, err := dispatch.CheckpointOf[killSaved](ctx)
		if err != nil {
			return none, err
		}
		if err := tell("begins", saved, false); err != nil {
			return none, err
		}
		first := saved.Done
		for done := first; done < args.Pages; done++ {
			if ctx.Job.Attempt <= args.Fails && done == first+2 {
				if err := tell("fails", killSaved{}, false); err != nil {
					return none, err
				}
				return none, dispatch.Errorf(dispatch.CodeUnavailable, "attempt %d fails", ctx.Job.Attempt)
			}
			page := time.NewTimer(time.Duration(args.Ms) * time.Millisecond)
			select {
			case <-page.C:
			case <-ctx.Done():
				page.Stop()
				return none, ctx.Err()
			}
			saved := killSaved{job, done + 1}
			if err := ctx.Checkpoint(saved); err != nil {
				return none, err
			}
			ctx.Progress(int64(done+1), int64(args.Pages), "")
			if err := tell("saved", saved, done == first); err != nil {
				return none, err
			}
		}
		return none, tell("done", killSaved{}, false)
	})
}

// killNotes is where the observer is told of checkpoints.
const killNotes = "/notes"

// checkNotes demands that each attempt was given a checkpoint of its own job, and none older than
// the last one that is known to be durable: the first of an attempt is when it is told of, what an
// attempt was given is, and of an attempt that fails the last one is when the next one begins (G34).
// It returns how many pages of each job were saved.
func checkNotes(to killFinder, notes []killNote) map[string]int {
	type attempts struct {
		durable, saved int
		life, attempt  int
		failed         bool
	}
	jobs, most := map[string]*attempts{}, map[string]int{}
	notes = slices.Clone(notes)
	slices.SortStableFunc(notes, func(a, b killNote) int { return cmp.Compare(a.Life, b.Life) }) // what a killed one said may be heard late
	for _, n := range notes {
		j := jobs[n.Job]
		if j == nil {
			j = new(attempts)
			jobs[n.Job] = j
		}
		switch n.Do {
		case "begins":
			if n.Attempt <= j.attempt {
				to.Doubled("attempt %d of job %s (%s) began after attempt %d", n.Attempt, n.Job, n.Key, j.attempt)
			}
			if j.failed && j.life == n.Life {
				j.durable = max(j.durable, j.saved)
			}
			switch {
			case n.Saved.Job != "" && n.Saved.Job != n.Job:
				to.Leaked("attempt %d of job %s (%s) was given the checkpoint of %s", n.Attempt, n.Job, n.Key, n.Saved.Job)
			case n.Saved.Done < j.durable:
				to.Lost("attempt %d of job %s (%s) was given the checkpoint of page %d in life %d, and page %d had been saved", n.Attempt, n.Job, n.Key, n.Saved.Done, n.Life, j.durable)
			}
			j.durable = max(j.durable, n.Saved.Done)
			most[n.Job] = max(most[n.Job], n.Saved.Done) // it may have been cut off before it could tell
			j.life, j.attempt, j.failed, j.saved = n.Life, n.Attempt, false, n.Saved.Done
		case "saved":
			if j.saved = n.Saved.Done; n.First {
				j.durable = max(j.durable, n.Saved.Done)
			}
			most[n.Job] = max(most[n.Job], n.Saved.Done)
		case "fails":
			j.failed = true
		}
	}
	return most
}

// pages compares a job of pages with what the observer has heard.
func (v *killVerdict) pages(d killOp) error {
	ran, err := v.ran(d)
	if err != nil || ran == 0 {
		return err
	}
	if n := v.saved[d.job(d.Jobs[0])]; n != d.N {
		v.tally.Lost("job %s (%s) is a success, and has saved %d pages of %d", d.Jobs[0], d.Key, n, d.N)
	}
	return nil
}
