package workload

import (
	"context"
	"fmt"
	"time"

	"carillon/actors"
	"carillon/storage"
)

// named makes handles of the first n apps.
func (e *engine) named(n int) error {
	for i := len(e.apps); i < n; i++ {
		app, err := e.App(storage.AppID(fmt.Sprintf("app-%05d", i)))
		if err != nil {
			return err
		}
		e.apps = append(e.apps, app)
	}
	return nil
}

// touch makes one call of each app, which writes a document.
func (e *engine) touch(ctx context.Context, r *Harness, what string) (time.Duration, error) {
	r.Meter.begin(r.name+": "+what, len(e.apps))
	return timed(func() error {
		_, err := r.callers(ctx, 64, len(e.apps), func(ctx context.Context, i int) error {
			_, err := fill.Run(e.apps[i].As(ctx, nil), 1)
			return err
		})
		return err
	})
}

// growApps measures a store of n apps.
func growApps(ctx context.Context, r *Harness, n int) (figures []Figure, err error) {
	work := Work{Apps: 1, Started: func(time.Time) {}}
	ofOne := func(name string, before int64) {
		if _, own, ok := settled(); ok {
			figures = append(figures, Figure{Name: name, Value: float64(max(own-before, 0)) / float64(n)})
		}
	}
	return figures, r.within(func(dir string) error {
		open := func(idle time.Duration, fn func(*engine) error) error {
			return using(r, func() (*engine, error) { return openEngine(dir, work, actors.Options{IdleAfter: idle}) }, fn)
		}
		err := open(herdIdle, func(q *engine) error {
			if err := q.named(n); err != nil {
				return err
			}
			_, empty, _ := settled()
			took, err := q.touch(ctx, r, "make")
			if err != nil {
				return err
			}
			figures = append(figures, each("make an app,", took, n))
			r.Meter.begin(r.name+": fall asleep", n)
			if err := q.asleep(ctx, r.Meter); err != nil {
				return err
			}
			ofOne("memory of an app asleep, B", empty)
			return nil
		})
		if err != nil {
			return err
		}
		figures = append(figures, files(dir))
		began := time.Now()
		return open(time.Hour, func(q *engine) error {
			if err := q.called(ctx); err != nil {
				return err
			}
			figures = append(figures, all("open", time.Since(began)))
			if err := q.named(n); err != nil {
				return err
			}
			_, empty, _ := settled()
			took, err := q.touch(ctx, r, "wake")
			if err != nil {
				return err
			}
			figures = append(figures, each("wake an app,", took, n))
			ofOne("memory of an app awake, B", empty)
			rnd := random()
			mutations, err := r.latencies(ctx, "mutation", growCalls, func(int) error {
				_, err := fill.Run(q.apps[rnd.IntN(n)].As(ctx, nil), 1)
				return err
			})
			if err != nil {
				return err
			}
			schedules, err := r.latencies(ctx, "schedule", growCalls, func(i int) error {
				job := jobAt(time.Now().Add(time.Hour), i)
				_, err := q.apps[rnd.IntN(n)].Scheduler(ctx).RunAt(job.Due, noop.With(job.Payload))
				return err
			})
			figures = append(figures, append(mutations, schedules...)...)
			return err
		})
	})
}

// called returns when a call of the first app was answered: the engine is up.
func (e *engine) called(ctx context.Context) error {
	_, err := fill.Run(e.apps[0].As(ctx, nil), 1)
	return err
}
