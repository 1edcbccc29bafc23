package workload

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"carillon/actors"
	"carillon/dispatch"
)

const (
	resultJobs = 10_000
	resultSize = 64 << 10 // bytes, as JSON: as much as is kept by default
	waiters    = 10_000
	// waitLead is how long before the jobs are due their waiters are there, and memory is measured.
	waitLead = 5 * time.Second
)

var large = dispatch.InternalMutation[Payload, string]("bench:large")

// largeResult has that many bytes with its quotes.
var largeResult = strings.Repeat("x", resultSize-2)

// results is W10: what results cost a drain, and calls that wait for the ends of jobs.
func results(ctx context.Context, r *Harness) error {
	for _, way := range []struct {
		name string
		call func(Payload) dispatch.Call
	}{
		{"", noop.With},
		{"-64k", large.With},
	} {
		err := r.drained(ctx, r.name+way.name, resultJobs, func(q Queue, ctx context.Context, jobs []Job) error {
			return q.(*engine).batch(ctx, 0, way.call, jobs)
		})
		if err != nil {
			return err
		}
	}
	return r.waiting(ctx)
}

// waiting measures what memory a call takes that waits for a job, its goroutine with it, and how
// long after its job's handler has run each is answered, when as many jobs are due at one instant.
func (r *Harness) waiting(ctx context.Context) error {
	n, lead := r.scaled(waiters), max(time.Duration(float64(waitLead)*min(r.Scale, 1)), time.Second)
	row := Row{Workload: r.name + "-wait", Callers: n, Jobs: n}
	r.Meter.begin(row.Workload, n)
	ran := make([]time.Time, n) // each is written before its job ends, and read after that
	reg := dispatch.NewRegistry()
	reg.Without(noise.Path(), send.Path(), fill.Path(), update.Path(), act.Path(), large.Path())
	noop.Handle(reg, func(_ *dispatch.MutationCtx, p Payload) (dispatch.None, error) {
		ran[p.N] = time.Now()
		return dispatch.None{}, nil
	})
	err := r.within(func(dir string) error {
		return using(r, func() (*engine, error) {
			return r.System.engine(ctx, dir, Work{Apps: 1}, actors.Options{Functions: reg})
		}, func(e *engine) error { return r.waitOn(ctx, e, &row, time.Now().Add(lead), ran) })
	})
	if err != nil {
		return err
	}
	r.emit(row)
	return nil
}

func (r *Harness) waitOn(ctx context.Context, e *engine, row *Row, due time.Time, ran []time.Time) error {
	n := len(ran)
	calls := make([]dispatch.Scheduled, n)
	for i := range calls {
		calls[i] = dispatch.At(due, noop.With(Payload{N: i}))
	}
	ids, err := e.apps[0].Scheduler(ctx).RunMany(calls)
	if err != nil {
		return err
	}
	_, before, measured := settled()
	took := make([]time.Duration, n)
	failures := make([]error, n)
	var waits sync.WaitGroup
	for i, id := range ids {
		waits.Go(func() {
			_, failures[i] = e.apps[0].Wait(ctx, id)
			took[i] = time.Since(ran[i])
			r.Meter.add(1)
		})
	}
	if err := pause(ctx, time.Until(due)/2); err != nil {
		return err
	}
	if _, now, ok := settled(); ok && measured {
		row.BytesPerWaiter = new(float64(now-before) / float64(n))
	}
	if time.Now().After(due) {
		return fmt.Errorf("%d calls were not there before their jobs were due", n)
	}
	return measure(e, row, func() error {
		waits.Wait()
		row.spent(time.Since(due), n)
		row.spread(took)
		return errors.Join(failures...)
	})
}
