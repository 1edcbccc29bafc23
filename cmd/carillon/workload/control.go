package workload

import (
	"context"
	"time"

	"carillon/actors"
	"carillon/dispatch"
)

const (
	noisyApps = 100
	noisyJobs = 5_000 // of each
	quietJobs = 1_000
	quietSpan = 5 * time.Second
	// noisyLead is how long storing all of the noise may take.
	noisyLead = 10 * time.Second
)

var (
	pool64 = dispatch.NewPool("sixty-four", 64)
	pool1  = dispatch.NewPool("one", 1)
)

// control is W9: what pools cost, and what those that wait cost others.
func control(ctx context.Context, r *Harness) error {
	for _, way := range []struct {
		name string
		call func(Payload) dispatch.Call
		opts []dispatch.RunOption
	}{
		{"", noop.With, nil},
		{"-64", noop.With, []dispatch.RunOption{dispatch.InPool(pool64)}},
		{"-1", noop.With, []dispatch.RunOption{dispatch.InPool(pool1)}},
		{"-actions", send.With, nil},
		{"-actions-64", send.With, []dispatch.RunOption{dispatch.InPool(pool64)}},
	} {
		err := r.drained(ctx, r.name+way.name, manyJobs, func(q Queue, ctx context.Context, jobs []Job) error {
			return q.(*engine).batch(ctx, 0, way.call, jobs, way.opts...)
		})
		if err != nil {
			return err
		}
	}
	return r.quietBesideNoise(ctx)
}

// quietBesideNoise measures how late the jobs of one app are while a hundred others work
// off their backlogs, all of which are due when the first of its own is.
func (r *Harness) quietBesideNoise(ctx context.Context) error {
	n, each := r.scaled(quietJobs), r.scaled(noisyJobs)
	scale := func(d time.Duration) time.Duration { return time.Duration(float64(d) * r.Scale) }
	row := Row{Workload: r.name + "-quiet", Apps: noisyApps, Jobs: n, wroteFor: -1}
	r.Meter.begin(row.Workload+" store", noisyApps*each)
	late := newRound(n)
	reg := functions(func(due time.Time) { late.note(time.Since(due)) })
	err := r.within(func(dir string) error {
		return using(r, func() (*engine, error) {
			return r.System.engine(ctx, dir, Work{Apps: noisyApps + 1}, actors.Options{Functions: reg})
		}, func(e *engine) error {
			first, rnd := time.Now().Add(lateLead+scale(noisyLead)), random()
			for app := range noisyApps {
				store := func(ctx context.Context, jobs []Job) error { return e.batch(ctx, app, noise.With, jobs) }
				if _, err := r.batches(ctx, store, each, func(i int) Job { return jobAt(first, i) }); err != nil {
					return err
				}
			}
			quiet := make([]Job, n)
			for i := range quiet {
				quiet[i] = jobAt(first.Add(time.Duration(rnd.Int64N(int64(scale(quietSpan))))), i)
			}
			return measure(e, &row, func() error {
				if err := e.batch(ctx, noisyApps, noop.With, quiet); err != nil {
					return err
				}
				return late.wait(ctx, time.Until(first)+scale(quietSpan)+lateWait)
			})
		})
	})
	if err != nil {
		return err
	}
	row.lateness(late.late)
	r.emit(row)
	return nil
}
