package workload

import (
	"context"
	"sync/atomic"
	"time"
)

// drain is W2. The jobs are stored while no engine runs them; the clock starts
// when the system is opened to do so, and stops when all are durably done.
func drain(ctx context.Context, r *Harness) error {
	return r.drained(ctx, r.name, manyJobs, Queue.Batch)
}

// drained is drain, of so many jobs that are stored in another way.
func (r *Harness) drained(ctx context.Context, name string, jobs int, store func(Queue, context.Context, []Job) error) error {
	n := r.scaled(jobs)
	row := Row{Workload: name, Jobs: n}
	err := r.within(func(dir string) error {
		r.Meter.begin(name+" store", n)
		err := r.opened(ctx, dir, Work{Store: true}, func(q Queue) error {
			due := time.Now()
			stored := func(ctx context.Context, jobs []Job) error { return store(q, ctx, jobs) }
			_, err := r.batches(ctx, stored, n, func(i int) Job { return jobAt(due, i) })
			return err
		})
		if err != nil {
			return err
		}
		settled() // collects now, and not meanwhile, what storing has left behind
		r.Meter.begin(name+" run", n)
		var ran atomic.Int64
		all := make(chan struct{})
		began := time.Now()
		return r.opened(ctx, dir, Work{Started: func(time.Time) {
			r.Meter.add(1)
			if ran.Add(1) == int64(n) {
				close(all)
			}
		}}, func(q Queue) error {
			return measure(q, &row, func() error {
				select {
				case <-all:
				case <-ctx.Done():
					return ctx.Err()
				}
				err := q.Drained(ctx)
				row.spent(time.Since(began), n)
				return err
			})
		})
	})
	if err != nil {
		return err
	}
	r.emit(row)
	return nil
}
