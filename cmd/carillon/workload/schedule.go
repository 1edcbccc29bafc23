package workload

import (
	"context"
	"time"
)

const (
	oneCaller = 5_000
	manyJobs  = 100_000
	year      = 365 * 24 * time.Hour
)

// scheduleOne is W1a.
func scheduleOne(ctx context.Context, r *Harness) error {
	return r.schedule(ctx, 1, oneCaller, inAnHour())
}

// scheduleMany is W1b.
func scheduleMany(ctx context.Context, r *Harness) error {
	for _, callers := range []int{64, 256} {
		if err := r.schedule(ctx, callers, manyJobs, inAnHour()); err != nil {
			return err
		}
	}
	return nil
}

// scheduleScattered is W1s.
func scheduleScattered(ctx context.Context, r *Harness) error {
	rnd, start := random(), time.Now().Add(time.Hour)
	dues := make([]time.Time, r.scaled(manyJobs))
	for i := range dues {
		dues[i] = start.Add(time.Duration(rnd.Int64N(int64(year))))
	}
	return r.schedule(ctx, 64, manyJobs, func(i int) time.Time { return dues[i] })
}

// scheduleBatches is W1c.
func scheduleBatches(ctx context.Context, r *Harness) error {
	n, due := r.scaled(manyJobs), inAnHour()
	row := Row{Workload: r.name, Callers: 1, Jobs: n}
	r.Meter.begin("W1c batches of 1,000", n)
	err := r.fresh(ctx, Work{}, func(q Queue) error {
		return measure(q, &row, func() error {
			began := time.Now()
			took, err := r.batches(ctx, q.Batch, n, func(i int) Job { return jobAt(due(i), i) })
			row.spent(time.Since(began), n)
			row.spread(took)
			return err
		})
	})
	if err != nil {
		return err
	}
	r.emit(row)
	return nil
}

// inAnHour returns the instant an hour after each job is made.
func inAnHour() func(int) time.Time {
	return func(int) time.Time { return time.Now().Add(time.Hour) }
}

// schedule measures calls that store one job each.
func (r *Harness) schedule(ctx context.Context, callers, jobs int, due func(i int) time.Time) error {
	return r.fresh(ctx, Work{}, func(q Queue) error { return r.scheduleOn(ctx, q, r.name, callers, jobs, due) })
}

// scheduleOn is schedule on a queue that is open.
func (r *Harness) scheduleOn(ctx context.Context, q Queue, name string, callers, jobs int, due func(i int) time.Time) error {
	n := r.scaled(jobs)
	row := Row{Workload: name, Callers: callers, Jobs: n}
	r.Meter.begin(name+" schedule", n)
	err := measure(q, &row, func() error {
		began := time.Now()
		took, err := r.callers(ctx, callers, n, func(ctx context.Context, i int) error { return q.Schedule(ctx, jobAt(due(i), i)) })
		row.spent(time.Since(began), n)
		row.spread(took)
		return err
	})
	if err != nil {
		return err
	}
	r.emit(row)
	return nil
}
