package main

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"carillon/cmd/carillon/workload"
	"carillon/storage/postgres"
)

// address is that of a database of a PostgreSQL.
func (s server) address(database string) string {
	return "postgres://postgres@" + s.Addr + "/" + database
}

// carillonOn is Carillon with its log in PostgreSQL, of so many shards.
func carillonOn(shards int) func(server) workload.System {
	return func(at server) workload.System {
		s, err := workload.CarillonOn(postgres.Log(at.address("postgres")), shards)
		open := s.Open
		s.Open = func(ctx context.Context, dir string, work workload.Work) (workload.Queue, error) {
			if err != nil {
				return nil, err
			}
			return open(ctx, dir, work)
		}
		return s
	}
}

// fewShards is Carillon with its log in PostgreSQL, of 8 shards. It is here for what more of them cost.
func fewShards(at server) workload.System {
	s := carillonOn(8)(at)
	s.Absent = onlyIn("it is here for what shards cost", "W1b", "W5")
	return s
}

// onlyIn leaves a system out of all workloads but those.
func onlyIn(reason string, names ...string) map[string]string {
	absent := map[string]string{}
	for _, w := range workload.All() {
		if !slices.Contains(names, w.Name) {
			absent[w.Name] = reason
		}
	}
	return absent
}

// insertSize is how many bytes a row has, as many as a record of a job.
const insertSize = 300

// insertSystem is what PostgreSQL takes to store as many bytes: a bound, since nothing could be done with them.
func insertSystem(at server) workload.System {
	return workload.System{
		Name:    "insert",
		Written: func() (int64, bool) { return 0, false },
		Absent:  onlyIn("it runs no jobs", "W1a", "W1b"),
		Open: func(ctx context.Context, _ string, _ workload.Work) (workload.Queue, error) {
			return openInsert(ctx, at)
		},
	}
}

// insertQueue stores rows of as many bytes as a job has.
type insertQueue struct {
	at   server
	pool *pgxpool.Pool
	data []byte
}

func openInsert(ctx context.Context, at server) (*insertQueue, error) {
	config, err := pgxpool.ParseConfig(at.address("postgres"))
	if err != nil {
		return nil, err
	}
	config.MaxConns = riverConns
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	q := &insertQueue{at, pool, []byte(strings.Repeat("x", insertSize))}
	for _, do := range []string{"DROP TABLE IF EXISTS bare", "CREATE TABLE bare (n bigserial PRIMARY KEY, data bytea NOT NULL)"} {
		if _, err := pool.Exec(ctx, do); err != nil {
			pool.Close()
			return nil, err
		}
	}
	return q, nil
}

// Schedule implements workload.Queue: it inserts a row.
func (q *insertQueue) Schedule(ctx context.Context, _ workload.Job) error {
	_, err := q.pool.Exec(ctx, "INSERT INTO bare (data) VALUES ($1)", q.data)
	return err
}

// Batch implements workload.Queue.
func (q *insertQueue) Batch(ctx context.Context, jobs []workload.Job) error {
	_, err := q.pool.CopyFrom(ctx, pgx.Identifier{"bare"}, []string{"data"}, pgx.CopyFromSlice(len(jobs), func(int) ([]any, error) { return []any{q.data}, nil }))
	return err
}

// Drained implements workload.Queue.
func (q *insertQueue) Drained(context.Context) error { return nil }

// Usage implements workload.Queue.
func (q *insertQueue) Usage() workload.Usage { return q.at.usage() }

// Close implements workload.Queue.
func (q *insertQueue) Close() error {
	q.pool.Close()
	return nil
}
