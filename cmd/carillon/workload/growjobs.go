package workload

import (
	"context"
	"sync/atomic"
	"time"

	"carillon/actors"
	"carillon/storage"
)

// growDue is how many due jobs are run on top of those that are pending.
const growDue = 20_000

// growJobs measures an app with n pending jobs. They are due from two hours on, so
// that those which are due come before them.
func growJobs(ctx context.Context, r *Harness, n int) (figures []Figure, err error) {
	return figures, r.within(func(dir string) error {
		start := time.Now().Add(2 * time.Hour)
		r.Meter.begin(r.name+": store", n)
		err := r.opened(ctx, dir, Work{Store: true}, func(q Queue) error {
			took, err := timed(func() error {
				_, err := r.batches(ctx, q.Batch, n, func(i int) Job { return jobAt(start.Add(year/time.Duration(n)*time.Duration(i)), i) })
				return err
			})
			figures = append(figures, each("store a job in batches of 1,000,", took, n))
			return err
		})
		if err != nil {
			return err
		}
		figures = append(figures, files(dir))
		work := Work{Apps: 1, Started: func(time.Time) {}}
		began := time.Now()
		err = using(r, func() (*engine, error) { return openEngine(dir, work, actors.Options{}) }, func(q *engine) error {
			more, err := r.pending(ctx, q, began, start)
			figures = append(figures, more...)
			return err
		})
		if err != nil {
			return err
		}
		run, err := r.due(ctx, dir)
		figures = append(figures, run)
		return err
	})
}

// pending measures an engine that was opened on pending jobs, due from start on.
func (r *Harness) pending(ctx context.Context, q *engine, began, start time.Time) (figures []Figure, err error) {
	if err := q.called(ctx); err != nil {
		return nil, err
	}
	figures = append(figures, all("open", time.Since(began)))
	figures = append(figures, memory()...)
	rnd := random()
	filter := storage.JobFilter{States: []storage.State{storage.StatePending}}
	list := func(int) error {
		_, err := q.apps[0].Scheduler(ctx).List(filter)
		return err
	}
	for _, m := range []struct {
		name  string
		calls int
		from  time.Time
		fn    func(i int) error
	}{
		{"schedule", growCalls, time.Time{}, func(i int) error {
			return q.Schedule(ctx, jobAt(start.Add(time.Duration(rnd.Int64N(int64(year)))), i))
		}},
		{"list the first page", growPages, time.Time{}, list},
		{"list a page in the middle", growPages, start.Add(year / 2), list},
	} {
		filter.Due.From = m.from
		latency, err := r.latencies(ctx, m.name, m.calls, m.fn)
		if err != nil {
			return nil, err
		}
		figures = append(figures, latency...)
	}
	filter.Due.From = time.Time{}
	r.Meter.begin(r.name+": count", 0)
	took, err := timed(func() error {
		_, err := q.apps[0].Scheduler(ctx).CountJobs(filter)
		return err
	})
	return append(figures, all("count them", took)), err
}

// due measures how fast due jobs are run, from the opening of a store that has them
// on top of others.
func (r *Harness) due(ctx context.Context, dir string) (Figure, error) {
	n := r.scaled(growDue)
	due := time.Now()
	err := r.opened(ctx, dir, Work{Store: true}, func(q Queue) error {
		_, err := r.batches(ctx, q.Batch, n, func(i int) Job { return jobAt(due, i) })
		return err
	})
	if err != nil {
		return Figure{}, err
	}
	settled()
	r.Meter.begin(r.name+": run due jobs", n)
	var ran atomic.Int64
	all := make(chan struct{})
	work := Work{Started: func(time.Time) {
		r.Meter.add(1)
		if ran.Add(1) == int64(n) {
			close(all)
		}
	}}
	var took time.Duration
	began := time.Now()
	err = r.opened(ctx, dir, work, func(q Queue) error {
		select {
		case <-all:
		case <-ctx.Done():
			return ctx.Err()
		}
		err := q.Drained(ctx)
		took = time.Since(began)
		return err
	})
	return each("run a due job, the open included,", took, n), err
}
