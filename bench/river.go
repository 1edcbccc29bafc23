package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"carillon/cmd/carillon/workload"
)

// How River is tuned; see README.md.
const (
	riverWorkers  = 2_000
	riverCooldown = 2 * time.Millisecond
	riverPoll     = 10 * time.Millisecond
	riverConns    = 32
)

// riverSystem is River on PostgreSQL.
func riverSystem(at server) workload.System {
	return workload.System{
		Name: "river",
		// Processes of the server end all the time, and take their counts along.
		Written: func() (int64, bool) { return 0, false },
		Absent:  map[string]string{"W4": absentApps, "W8": absentApps, "W9": absentPools, "W10": absentResults, "W11": absentNodes},
		Open: func(ctx context.Context, dir string, work workload.Work) (workload.Queue, error) {
			return openRiver(ctx, at, dir, work)
		},
	}
}

// Why only Carillon is in W4 and W8, in W9, in W10, and in W11.
const (
	absentApps  = "it has no apps that sleep, nor a trigger in each of thousands"
	absentPools = "it has no limits among the jobs of one queue, or not in what is free"

	absentNodes   = "no node of it owns a store that another one takes over"
	absentResults = "it keeps no results that could be waited for, or does so by polling"
)

func (task) Kind() string { return "noop" }

type riverWorker struct {
	river.WorkerDefaults[task]
	started func(time.Time)
}

// Work implements river.Worker.
func (w *riverWorker) Work(_ context.Context, job *river.Job[task]) error {
	w.started(job.ScheduledAt)
	return nil
}

type riverQueue struct {
	at     server
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
	runs   bool
}

func openRiver(ctx context.Context, at server, dir string, work workload.Work) (workload.Queue, error) {
	const database = "bench"
	fresh, err := firstTime(dir)
	if err != nil {
		return nil, err
	}
	if fresh {
		admin, err := pgx.Connect(ctx, at.address("postgres"))
		if err != nil {
			return nil, err
		}
		defer admin.Close(ctx)
		for _, do := range []string{"DROP DATABASE IF EXISTS " + database + " WITH (FORCE)", "CREATE DATABASE " + database, "CHECKPOINT"} {
			if _, err := admin.Exec(ctx, do); err != nil {
				return nil, err
			}
		}
	}
	config, err := pgxpool.ParseConfig(at.address(database))
	if err != nil {
		return nil, err
	}
	config.MaxConns = riverConns
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	q := &riverQueue{at: at, pool: pool, runs: !work.Store}
	if err := q.start(ctx, fresh, work); err != nil {
		pool.Close()
		return nil, err
	}
	return q, nil
}

func (q *riverQueue) start(ctx context.Context, fresh bool, work workload.Work) error {
	driver := riverpgxv5.New(q.pool)
	if fresh {
		migrator, err := rivermigrate.New(driver, nil)
		if err != nil {
			return err
		}
		if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return err
		}
		if _, err := q.pool.Exec(ctx, "CREATE TABLE docs (tenant int, id int, n int NOT NULL, text text NOT NULL, PRIMARY KEY (tenant, id))"); err != nil {
			return err
		}
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &riverWorker{started: work.Started})
	config := &river.Config{
		Workers: workers, FetchCooldown: riverCooldown, FetchPollInterval: riverPoll, JobTimeout: -1,
		Logger: slog.New(slog.DiscardHandler),
	}
	if q.runs {
		config.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: riverWorkers}}
	}
	client, err := river.NewClient(driver, config)
	if err != nil {
		return err
	}
	q.client = client
	if q.runs {
		// It outlives ctx: it is stopped by Close.
		return client.Start(context.WithoutCancel(ctx))
	}
	return nil
}

func riverTask(job workload.Job) (task, *river.InsertOpts) {
	return task{job.N, job.To, job.Due.UnixMilli()}, &river.InsertOpts{ScheduledAt: job.Due}
}

// Schedule implements workload.Queue.
func (q *riverQueue) Schedule(ctx context.Context, job workload.Job) error {
	args, opts := riverTask(job)
	_, err := q.client.Insert(ctx, args, opts)
	return err
}

// ScheduleOnce implements workload.Keyed: what is unique are the arguments.
func (q *riverQueue) ScheduleOnce(ctx context.Context, job workload.Job, key string) (bool, error) {
	done, err := q.client.Insert(ctx, task{N: job.N, To: key}, &river.InsertOpts{ScheduledAt: job.Due, UniqueOpts: river.UniqueOpts{ByArgs: true}})
	return err == nil && done.UniqueSkippedAsDuplicate, err
}

// Batch implements workload.Queue.
func (q *riverQueue) Batch(ctx context.Context, jobs []workload.Job) error {
	params := make([]river.InsertManyParams, len(jobs))
	for i, job := range jobs {
		args, opts := riverTask(job)
		params[i] = river.InsertManyParams{Args: args, InsertOpts: opts}
	}
	_, err := q.client.InsertManyFast(ctx, params)
	return err
}

// Drained implements workload.Queue.
func (q *riverQueue) Drained(ctx context.Context) error {
	return until(ctx, func() (done bool, err error) {
		err = q.pool.QueryRow(ctx, "SELECT NOT EXISTS (SELECT FROM river_job WHERE state <> 'completed' AND scheduled_at <= now())").Scan(&done)
		return done, err
	})
}

// Fill implements workload.Documents.
func (q *riverQueue) Fill(ctx context.Context, documents int) error {
	_, err := q.pool.Exec(ctx, fmt.Sprintf("INSERT INTO docs SELECT t, d, 0, 'what a note of a few words has' FROM generate_series(0, 63) t, generate_series(0, %d) d", documents-1))
	return err
}

// Update implements workload.Documents.
func (q *riverQueue) Update(ctx context.Context, tenant, document int) error {
	return pgx.BeginFunc(ctx, q.pool, func(tx pgx.Tx) error {
		_, err := bumpRow(ctx, tx, tenant, document)
		return err
	})
}

// UpdateAndSchedule implements workload.Documents.
func (q *riverQueue) UpdateAndSchedule(ctx context.Context, tenant, document int) error {
	return pgx.BeginFunc(ctx, q.pool, func(tx pgx.Tx) error {
		n, err := bumpRow(ctx, tx, tenant, document)
		if err != nil {
			return err
		}
		due := time.Now().Add(time.Hour)
		_, err = q.client.InsertTx(ctx, tx, task{n, "user", due.UnixMilli()}, &river.InsertOpts{ScheduledAt: due})
		return err
	})
}

// bumpRow reads a document, kept from others, and writes it.
func bumpRow(ctx context.Context, tx pgx.Tx, tenant, document int) (n int, err error) {
	var text string
	if err := tx.QueryRow(ctx, "SELECT n, text FROM docs WHERE tenant = $1 AND id = $2 FOR UPDATE", tenant, document).Scan(&n, &text); err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, "UPDATE docs SET n = $3, text = $4 WHERE tenant = $1 AND id = $2", tenant, document, n+1, text)
	return n + 1, err
}

// Usage implements workload.Queue.
func (q *riverQueue) Usage() workload.Usage { return q.at.usage() }

// Close implements workload.Queue.
func (q *riverQueue) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var err error
	if q.runs {
		err = q.client.StopAndCancel(ctx)
	} else {
		// As autovacuum does a minute after so many rows have come in: without
		// statistics the plans for what was just stored are bad.
		_, err = q.pool.Exec(ctx, "VACUUM ANALYZE river_job")
	}
	q.pool.Close()
	return err
}
