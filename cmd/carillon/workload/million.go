package workload

import (
	"context"
	"time"
)

const pendingJobs = 1_000_000

// million is W6. The pending jobs are due over a year, from two hours on, so
// that those of W1b and W3 come before them.
func million(ctx context.Context, r *Harness) error {
	n := r.scaled(pendingJobs)
	return r.within(func(dir string) error {
		start := time.Now().Add(2 * time.Hour)
		r.Meter.begin("W6 store", n)
		err := r.opened(ctx, dir, Work{Store: true}, func(q Queue) error {
			_, err := r.batches(ctx, q.Batch, n, func(i int) Job { return jobAt(start.Add(year/time.Duration(n)*time.Duration(i)), i) })
			return err
		})
		if err != nil {
			return err
		}
		settled()
		starts := &starts{}
		r.Meter.begin("W6 open", 0)
		row := Row{Workload: r.name, Jobs: n} // that were stored before count as written
		if size := sizeOf(dir); size > 0 {    // else its data is with a server
			row.FileMB = new(megabytes(size))
		}
		began := time.Now()
		return r.opened(ctx, dir, Work{Started: starts.started}, func(q Queue) error {
			// It is ready when it takes a job.
			err := measure(q, &row, func() error {
				err := q.Schedule(ctx, jobAt(time.Now().Add(time.Hour), 0))
				row.Seconds = time.Since(began).Seconds()
				return err
			})
			if err != nil {
				return err
			}
			r.emit(row)
			if err := r.scheduleOn(ctx, q, r.name+"-W1b", 64, manyJobs, inAnHour()); err != nil {
				return err
			}
			return r.latenessOn(ctx, q, r.name+"-W3", starts, false)
		})
	})
}
