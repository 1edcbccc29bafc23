package workload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"carillon/storage/baseline"
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

// latency is W7. Calls and baseline updates take turns, so that a disk that is
// slow for a while is slow for both.
func latency(ctx context.Context, r *Harness) (err error) {
	n := r.scaled(latencyCalls)
	call := Row{Workload: r.name, Callers: 1, Apps: 1, Jobs: n}
	floor := Row{Workload: r.name + "-baseline", Callers: 1, Jobs: n}
	dir, err := os.MkdirTemp(r.Dir, "baseline-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	value := make([]byte, baselineValue)
	file, err := baseline.Open(dir, tenantDocs, value)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	err = r.documents(ctx, 1, func(q Documents) error {
		r.Meter.begin("W7 a call, a baseline update", n)
		return measure(q, &call, func() error {
			var calls, updates []time.Duration
			for i := range n {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				began := time.Now()
				if err := q.Update(ctx, 0, i%tenantDocs); err != nil {
					return err
				}
				called := time.Now()
				value[i%baselineValue]++
				if err := file.Update(i%tenantDocs, value); err != nil {
					return err
				}
				calls, updates = append(calls, called.Sub(began)), append(updates, time.Since(called))
				r.Meter.add(1)
			}
			call.spent(sum(calls), n)
			call.spread(calls)
			floor.spent(sum(updates), n)
			floor.spread(updates)
			return nil
		})
	})
	if err != nil {
		return err
	}
	r.emit(call)
	r.emit(floor)
	return nil
}

func sum(spans []time.Duration) (total time.Duration) {
	for _, d := range spans {
		total += d
	}
	return total
}
