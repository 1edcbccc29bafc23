package workload

import (
	"context"
	"sync/atomic"
	"time"

	"carillon/actors"
	"carillon/storage"
)

// growHistory measures an app with n ended jobs in its history, one for each minute,
// and all kept. The engine's clock is behind while they are stored, and then shows the
// end of the last minute, so that all of them run; at last it shows a day on which none
// is kept any longer.
func growHistory(ctx context.Context, r *Harness, n int) (figures []Figure, err error) {
	span := time.Duration(n) * time.Minute
	keep := span + 24*time.Hour
	start := time.Now().Truncate(time.Minute)
	return figures, r.within(func(dir string) error {
		open := func(ahead time.Duration, work Work, fn func(*engine) error) error {
			work.Apps = 1
			if work.Started == nil {
				work.Started = func(time.Time) {}
			}
			opts := actors.Options{Retention: keep, KeepFinished: 2 * n}
			opts.Testing.Clock = func() time.Time { return time.Now().Add(ahead) }
			return using(r, func() (*engine, error) { return openEngine(dir, work, opts) }, fn)
		}
		r.Meter.begin(r.name+": store", n)
		err := open(-time.Hour, Work{}, func(q *engine) error {
			_, err := r.batches(ctx, q.Batch, n, func(i int) Job { return jobAt(start.Add(time.Duration(i)*time.Minute), i) })
			return err
		})
		if err != nil {
			return err
		}
		settled()
		r.Meter.begin(r.name+": run", n)
		var ran atomic.Int64
		all := make(chan struct{})
		began := time.Now()
		err = open(span, Work{Started: func(time.Time) {
			r.Meter.add(1)
			if ran.Add(1) == int64(n) {
				close(all)
			}
		}}, func(q *engine) error {
			select {
			case <-all:
			case <-ctx.Done():
				return ctx.Err()
			}
			err := q.Drained(ctx)
			figures = append(figures, each("run a job of the past,", time.Since(began), n))
			return err
		})
		if err != nil {
			return err
		}
		figures = append(figures, files(dir))
		began = time.Now()
		err = open(span+time.Hour, Work{}, func(q *engine) error {
			more, err := r.ended(ctx, q, began, start, span)
			figures = append(figures, more...)
			return err
		})
		if err != nil {
			return err
		}
		return open(span+2*keep, Work{}, func(q *engine) error {
			cleared, err := r.clear(ctx, q, n)
			figures = append(figures, cleared)
			return err
		})
	})
}

// ended measures an engine that was opened on jobs that have ended, which were due
// from start on.
func (r *Harness) ended(ctx context.Context, q *engine, began, start time.Time, span time.Duration) (figures []Figure, err error) {
	if err := q.called(ctx); err != nil {
		return nil, err
	}
	figures = append(figures, all("open", time.Since(began)))
	figures = append(figures, memory()...)
	filter := storage.JobFilter{States: []storage.State{storage.StateSuccess}}
	list := func(int) error {
		_, err := q.apps[0].Scheduler(ctx).List(filter)
		return err
	}
	due := start.Add(3*span + 2*year) // so that none of them runs
	for _, m := range []struct {
		name  string
		calls int
		from  time.Time
		fn    func(i int) error
	}{
		{"schedule", growCalls, time.Time{}, func(i int) error { return q.Schedule(ctx, jobAt(due, i)) }},
		{"mutation", growCalls, time.Time{}, func(int) error { return q.called(ctx) }},
		{"list a page", growPages, time.Time{}, list},
		{"look at the app", growPages, time.Time{}, func(int) error {
			_, err := q.apps[0].Inspect(ctx)
			return err
		}},
	} {
		latency, err := r.latencies(ctx, m.name, m.calls, m.fn)
		if err != nil {
			return nil, err
		}
		figures = append(figures, latency...)
	}
	r.Meter.begin(r.name+": count", 0)
	took, err := timed(func() error {
		_, err := q.apps[0].Scheduler(ctx).CountJobs(filter)
		return err
	})
	return append(figures, all("count them", took)), err
}

// clear has the engine, whose clock shows a day on which nothing is kept, delete all n.
func (r *Harness) clear(ctx context.Context, q *engine, n int) (Figure, error) {
	r.Meter.begin(r.name+": clear", n)
	if err := q.AcceptClock(ctx); err != nil {
		return Figure{}, err
	}
	began := time.Now()
	if err := q.called(ctx); err != nil { // that wakes the app
		return Figure{}, err
	}
	for seen := n; ; {
		now, err := q.apps[0].Inspect(ctx)
		if err != nil {
			return Figure{}, err
		}
		r.Meter.add(seen - now.History)
		if seen = now.History; seen == 0 {
			return each("clear an expired one,", time.Since(began), n), nil
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return Figure{}, err
		}
	}
}
