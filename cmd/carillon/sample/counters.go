package sample

import (
	"carillon/dispatch"
	"carillon/storage"
)

// Counter is a document of the table counters.
type Counter struct {
	Key   string `json:"key"`
	Count int    `json:"count"`
}

// Bounds of what one call may ask for.
const (
	maxLater = 10_000
	maxTimes = 1000
)

type (
	laterArgs struct {
		Key     string `json:"key"`
		N       int    `json:"n"`
		AfterMs int64  `json:"afterMs"`
	}
	laterResult struct {
		JobIDs []storage.JobID `json:"jobIds"`
	}
	counterRef struct {
		Key string `json:"key"`
	}
	counterValue struct {
		Count int `json:"count"`
	}
	failArgs struct {
		Key     string `json:"key"`
		Times   int    `json:"times"`
		RetryMs *int64 `json:"retryMs"`
	}
	flakyArgs struct {
		Key   string `json:"key"`
		Times int    `json:"times"`
	}
)

var (
	counters = storage.NewTable[Counter]("counters", storage.Index("by_key", "key"))

	countersLater = dispatch.Mutation[laterArgs, laterResult]("counters:later")
	countersGet   = dispatch.Query[counterRef, counterValue]("counters:get")
	countersFail  = dispatch.Mutation[failArgs, scheduled]("counters:fail")
	countersBump  = dispatch.InternalMutation[counterRef, dispatch.None]("counters:bump")
	countersFlaky = dispatch.InternalMutation[flakyArgs, dispatch.None]("counters:flaky")
)

func handleCounters(reg *dispatch.Registry) {
	// All n jobs are stored, or none is.
	countersLater.Handle(reg, func(ctx *dispatch.MutationCtx, args laterArgs) (laterResult, error) {
		if err := checkText("key", args.Key); err != nil {
			return laterResult{}, err
		}
		if err := checkCount("n", args.N, 1, maxLater); err != nil {
			return laterResult{}, err
		}
		delay, err := milliseconds("afterMs", args.AfterMs)
		if err != nil {
			return laterResult{}, err
		}
		call := countersBump.With(counterRef{args.Key})
		ids := make([]storage.JobID, args.N)
		for i := range ids {
			if ids[i], err = ctx.Scheduler.RunAfter(delay, call); err != nil {
				return laterResult{}, err
			}
		}
		return laterResult{ids}, nil
	})

	// Nothing here guards against running twice: the increment and the end of the
	// job are one commit.
	countersBump.Handle(reg, func(ctx *dispatch.MutationCtx, args counterRef) (dispatch.None, error) {
		return dispatch.None{}, bump(ctx.DB, args.Key)
	})

	countersGet.Handle(reg, func(ctx *dispatch.QueryCtx, args counterRef) (counterValue, error) {
		if err := checkText("key", args.Key); err != nil {
			return counterValue{}, err
		}
		counter, _, err := counters.Query(ctx.DB).By("by_key").Eq(args.Key).First()
		return counterValue{counter.Value.Count}, err
	})

	// The job has the default number of retries, 5, so one that is to fail more
	// often than that is dead in the end. retryMs is the wait before the first
	// retry, which doubles with each; the default is that of dispatch.DefaultRetry.
	countersFail.Handle(reg, func(ctx *dispatch.MutationCtx, args failArgs) (scheduled, error) {
		if err := checkText("key", args.Key); err != nil {
			return scheduled{}, err
		}
		if err := checkCount("times", args.Times, 0, maxTimes); err != nil {
			return scheduled{}, err
		}
		retry := dispatch.DefaultRetry()
		if ms := args.RetryMs; ms != nil {
			var err error
			if retry.Base, err = milliseconds("retryMs", *ms); err != nil {
				return scheduled{}, err
			}
		}
		call := countersFlaky.With(flakyArgs{args.Key, args.Times})
		id, err := ctx.Scheduler.RunAfter(0, call, dispatch.WithRetry(retry))
		return scheduled{id}, err
	})

	// A failed attempt leaves nothing behind in the documents, so it cannot count
	// itself there: the engine tells which attempt this is.
	countersFlaky.Handle(reg, func(ctx *dispatch.MutationCtx, args flakyArgs) (dispatch.None, error) {
		if attempt := ctx.Job.Attempt; attempt <= args.Times {
			return dispatch.None{}, dispatch.Errorf(dispatch.CodeUnavailable, "attempt %d fails, as %d are to", attempt, args.Times)
		}
		return dispatch.None{}, bump(ctx.DB, args.Key)
	})
}

// bump adds one to the counter, which begins at zero.
func bump(db storage.Writer, key string) error {
	counter, known, err := counters.Query(db).By("by_key").Eq(key).First()
	switch {
	case err != nil:
		return err
	case !known:
		_, err = counters.Insert(db, Counter{Key: key, Count: 1})
		return err
	}
	return counters.Patch(db, counter.ID, func(c *Counter) error {
		c.Count++
		return nil
	})
}
