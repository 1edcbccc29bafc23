package workload

import (
	"context"
	"time"

	"carillon/actors"
	"carillon/cmd/carillon/workload/entries"
	"carillon/storage"
)

// entryBatch is how many documents a mutation inserts.
const entryBatch = 100

// growDocuments measures an app with n documents.
func growDocuments(ctx context.Context, r *Harness, n int) (figures []Figure, err error) {
	work := Work{Apps: 1, Started: func(time.Time) {}}
	functions := functions(work.Started)
	entries.Handle(functions)
	opts := actors.Options{Functions: functions, Tables: []storage.Schema{entries.Table}}
	return figures, r.within(func(dir string) error {
		r.Meter.begin(r.name+": insert", n)
		err := using(r, func() (*engine, error) { return openEngine(dir, work, opts) }, func(q *engine) error {
			took, err := timed(func() error {
				for at := 0; at < n; at += entryBatch {
					s := entries.Span{First: at, N: min(entryBatch, n-at)}
					if _, err := entries.Put.Run(q.apps[0].As(ctx, nil), s); err != nil {
						return err
					}
					r.Meter.add(s.N)
				}
				return nil
			})
			figures = append(figures, each("insert a document in batches of 100,", took, n))
			return err
		})
		if err != nil {
			return err
		}
		figures = append(figures, files(dir))
		began := time.Now()
		return using(r, func() (*engine, error) { return openEngine(dir, work, opts) }, func(q *engine) error {
			more, err := r.documented(ctx, q, began, n)
			figures = append(figures, more...)
			return err
		})
	})
}

// documented measures an engine that was opened on n documents.
func (r *Harness) documented(ctx context.Context, q *engine, began time.Time, n int) (figures []Figure, err error) {
	app := q.apps[0].As(ctx, nil)
	ids := make([]storage.ID[entries.Entry], 0, growCalls)
	insert := func(i int) error {
		id, err := entries.Put.Run(app, entries.Span{First: n + i, N: 1})
		ids = append(ids, id)
		return err
	}
	if err := insert(0); err != nil { // the engine is up
		return nil, err
	}
	figures = append(figures, all("open", time.Since(began)))
	figures = append(figures, memory()...)
	rnd := random()
	asked := func(a entries.Ask) error {
		_, err := entries.Find.Run(app, a)
		return err
	}
	for _, m := range []struct {
		name string
		fn   func(i int) error
	}{
		{"insert", func(i int) error { return insert(i + 1) }},
		{"rewrite, every index changed", func(i int) error {
			_, err := entries.Rewrite.Run(app, entries.Change{ID: ids[rnd.IntN(len(ids))], N: rnd.IntN(n)})
			return err
		}},
		{"query of 20 by equality", func(int) error { return asked(entries.Ask{Index: "by_author", Author: entries.Of(rnd.IntN(n)).Author}) }},
		{"query of 20 by equality and a range", func(int) error {
			return asked(entries.Ask{Index: "by_city", City: entries.Of(rnd.IntN(n)).City, From: 1})
		}},
		{"query of 20 by a range", func(int) error {
			return asked(entries.Ask{Index: "by_score", From: int64(entries.Of(rnd.IntN(n)).Score)})
		}},
	} {
		latency, err := r.latencies(ctx, m.name, growCalls, m.fn)
		if err != nil {
			return nil, err
		}
		figures = append(figures, latency...)
	}
	return figures, nil
}
