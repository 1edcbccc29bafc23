package workload

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Keyed is a Queue of a system that has unique keys.
type Keyed interface {
	Queue
	// ScheduleOnce stores a job, unless a pending one has its key, and says whether one
	// had. It is durable when ScheduleOnce returns.
	ScheduleOnce(ctx context.Context, job Job, key string) (kept bool, err error)
}

// unique is W1u: jobs with a key of their own, and then as many calls that find their key
// held.
func unique(ctx context.Context, r *Harness) error {
	return r.fresh(ctx, Work{}, func(q Queue) error {
		keyed, ok := q.(Keyed)
		if !ok {
			return fmt.Errorf("%s has no unique keys", r.System.Name)
		}
		for _, held := range []bool{false, true} {
			n, due := r.scaled(manyJobs), inAnHour()
			row := Row{Workload: r.name, Callers: 64, Jobs: n}
			if held {
				row.Workload += "-held"
			}
			r.Meter.begin(row.Workload+" schedule", n)
			err := measure(q, &row, func() error {
				began := time.Now()
				took, err := r.callers(ctx, row.Callers, n, func(ctx context.Context, i int) error {
					job := jobAt(due(i), i)
					kept, err := keyed.ScheduleOnce(ctx, job, job.To)
					if err == nil && kept != held {
						err = errors.New("the wrong keys are held")
					}
					return err
				})
				row.spent(time.Since(began), n)
				row.spread(took)
				return err
			})
			if err != nil {
				return err
			}
			r.emit(row)
		}
		return nil
	})
}
