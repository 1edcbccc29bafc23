package workload

import (
	"context"
	"fmt"
	"time"
)

const (
	mutationCalls = 50_000
	latencyCalls  = 5_000
	// tenantDocs is how many documents each tenant has.
	tenantDocs = 100
	// baselineValue is as large as a document of the workloads.
	baselineValue = 64
)

// mutations is W5. Call i is of document i in tenant i, in turn.
func mutations(ctx context.Context, r *Harness) error {
	for _, apps := range []int{1, 64} {
		n := r.scaled(mutationCalls)
		row := Row{Workload: r.name, Callers: 64, Apps: apps, Jobs: n}
		err := r.documents(ctx, apps, func(q Documents) error {
			r.Meter.begin(fmt.Sprintf("W5 on apps: %d", apps), n)
			return measure(q, &row, func() error {
				began := time.Now()
				took, err := r.callers(ctx, row.Callers, n, func(ctx context.Context, i int) error {
					return q.UpdateAndSchedule(ctx, i%apps, i/apps%tenantDocs)
				})
				row.spent(time.Since(began), n)
				row.spread(took)
				return err
			})
		})
		if err != nil {
			return err
		}
		r.emit(row)
	}
	return nil
}

// documents is fresh for what has documents.
func (r *Harness) documents(ctx context.Context, apps int, fn func(Documents) error) error {
	return r.fresh(ctx, Work{Apps: apps}, func(q Queue) error {
		docs, ok := q.(Documents)
		if !ok {
			return fmt.Errorf("%s has no documents", r.System.Name)
		}
		if err := docs.Fill(ctx, tenantDocs); err != nil {
			return err
		}
		return fn(docs)
	})
}
