package workload

import (
	"context"
	"errors"
	"sync"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
)

const (
	crowdApps    = 20_000
	crowdCallers = 64
	// crowdEvery is how often each app has a tick.
	crowdEvery = 5 * time.Second
	// crowdSpan is how long W8 looks at them.
	crowdSpan = 30 * time.Second
	// crowdPace is the pause between two calls of the app beside them.
	crowdPace = 10 * time.Millisecond
)

// crowd is W8: what a crowd of apps, each with a heartbeat, costs one app that is
// called, while they come into being and after a start with all of them due.
func crowd(ctx context.Context, r *Harness) error {
	apps := r.scaled(crowdApps)
	work := Work{Apps: apps + 1, Started: func(time.Time) { r.Meter.add(1) }}
	opts := actors.Options{Crons: []dispatch.Trigger{{Name: "heartbeat", Schedule: cron.Every(crowdEvery), Call: noop.With(Payload{})}}}
	return r.within(func(dir string) error {
		// The app called beside the crowd is the last one.
		open := func(name string, run func(*engine) error) (err error) {
			q, err := r.System.engine(ctx, dir, work, opts)
			if err != nil {
				return err
			}
			row := Row{Workload: r.name + name, Callers: 1, Apps: apps, wroteFor: -1}
			err = q.beside(ctx, apps, &row, func() error { return run(q) })
			if err = errors.Join(err, q.Close()); err == nil {
				r.emit(row)
			}
			return err
		}
		r.Meter.begin("W8 new apps", apps)
		err := open("", func(q *engine) error {
			_, err := r.callers(ctx, crowdCallers, apps, func(ctx context.Context, i int) error {
				_, err := fill.Run(q.apps[i].As(ctx, nil), 1)
				return err
			})
			return err
		})
		if err != nil {
			return err
		}
		span := time.Duration(float64(crowdSpan) * min(r.Scale, 1))
		r.Meter.begin("W8 ticks", int(span/crowdEvery)*apps)
		return open("-due", func(*engine) error { return pause(ctx, span) })
	})
}

// beside makes calls of the app, one after the other, while run runs, and says in
// the row how long they took and how much memory there was at most.
func (e *engine) beside(ctx context.Context, app int, row *Row, run func() error) error {
	began := time.Now()
	done := make(chan struct{})
	var took []time.Duration
	var callErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		for peak := int64(0); ; {
			call := time.Now()
			if _, callErr = fill.Run(e.apps[app].As(ctx, nil), 1); callErr != nil {
				return
			}
			took = append(took, time.Since(call))
			if rss, _, ok := Resident("self"); ok {
				peak = max(peak, rss)
				row.RSS = new(megabytes(peak))
			}
			select {
			case <-done:
				return
			case <-time.After(crowdPace):
			}
		}
	})
	err := run()
	close(done)
	wg.Wait()
	row.Jobs = len(took)
	row.spent(time.Since(began), len(took))
	row.spread(took)
	return errors.Join(err, callErr)
}
