package workload

import (
	"context"
	"sync/atomic"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
)

const (
	herdApps    = 10_000
	jobsOfAnApp = 10
	herdCallers = 64
	// herdIdle is how soon an app falls asleep, so that the run need not wait for it.
	herdIdle = 500 * time.Millisecond
	// herdWait bounds how long all apps may take to fall asleep, or to tick.
	herdWait = 2 * time.Minute
)

// herdTick is when the cron of W4 ticks.
var herdTick = time.Date(2030, 3, 1, 3, 0, 0, 0, time.UTC)

// herd is W4. It has a clock of its own, which is set forward to shortly before
// three o'clock once all the apps are asleep.
func herd(ctx context.Context, r *Harness) error {
	apps := r.scaled(herdApps)
	var ahead atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	set := func(to time.Time) { ahead.Store(int64(time.Until(to))) }
	set(herdTick.Add(-time.Hour))

	ticks := newRound(apps)
	work := Work{Apps: apps, Started: func(due time.Time) {
		ticks.note(clock().Sub(due))
		r.Meter.add(1)
	}}
	opts := actors.Options{
		Testing: actors.Testing{Clock: clock}, IdleAfter: herdIdle,
		Crons: []dispatch.Trigger{{Name: "nightly", Schedule: cron.Daily(3, 0), Call: noop.With(Payload{})}},
	}
	return r.within(func(dir string) error {
		return using(r, func() (*engine, error) { return r.System.engine(ctx, dir, work, opts) }, func(q *engine) error {
			return r.herdOn(ctx, q, dir, ticks, clock, set)
		})
	})
}

// herdOn measures the apps of an engine that is open. clock is its clock, and set
// sets it.
func (r *Harness) herdOn(ctx context.Context, q *engine, dir string, ticks *round, clock func() time.Time, set func(time.Time)) error {
	apps, three := len(q.apps), herdTick
	_, empty, _ := settled()

	jobs := apps * jobsOfAnApp
	row := Row{Workload: r.name, Callers: herdCallers, Apps: apps, Jobs: jobs}
	r.Meter.begin("W4 schedule", jobs)
	due := three.Add(24 * time.Hour)
	err := measure(q, &row, func() error {
		began := time.Now()
		_, err := r.callers(ctx, herdCallers, apps, func(ctx context.Context, i int) error {
			r.Meter.add(jobsOfAnApp - 1)
			return q.scheduleIn(ctx, i, jobsOfAnApp, due)
		})
		row.spent(time.Since(began), jobs)
		return err
	})
	if err != nil {
		return err
	}
	r.emit(row)

	row = Row{Workload: r.name + "-idle", Apps: apps, Jobs: jobs, wroteFor: -1}
	r.Meter.begin("W4 fall asleep", apps)
	if err := q.asleep(ctx, r.Meter); err != nil {
		return err
	}
	if resident, own, ok := settled(); ok {
		row.RSS = new(megabytes(resident))
		row.BytesPerApp = new(float64(own-empty) / float64(apps))
	}
	row.FileMB = new(megabytes(sizeOf(dir)))
	r.emit(row)

	row = Row{Workload: r.name + "-herd", Apps: apps, Jobs: apps}
	r.Meter.begin("W4 tick", apps)
	err = measure(q, &row, func() error {
		set(three.Add(-3 * time.Second))
		if err := ticks.wait(ctx, herdWait); err != nil {
			return err
		}
		row.spent(clock().Sub(three), apps)
		return nil
	})
	if err != nil {
		return err
	}
	row.lateness(ticks.late)
	r.emit(row)
	return nil
}

// scheduleIn stores n jobs in an app, one after the other.
func (e *engine) scheduleIn(ctx context.Context, app, n int, due time.Time) error {
	for i := range n {
		if _, err := e.apps[app].Scheduler(ctx).RunAt(due, noop.With(jobAt(due, i).Payload)); err != nil {
			return err
		}
	}
	return nil
}

// asleep returns when all apps are asleep; none that is wakes up before it is due.
func (e *engine) asleep(ctx context.Context, meter *Meter) error {
	ctx, cancel := context.WithTimeout(ctx, herdWait)
	defer cancel()
	for _, app := range e.apps {
		for {
			seen, err := app.Inspect(ctx)
			if err != nil {
				return err
			}
			if seen.Asleep {
				meter.add(1)
				break
			}
			if err := pause(ctx, 10*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}
