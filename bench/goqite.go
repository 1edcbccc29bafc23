package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"sync"
	"time"

	"maragu.dev/goqite"
	"maragu.dev/goqite/jobs"

	"carillon/cmd/carillon/workload"
)

// How goqite is tuned; see README.md.
const (
	goqiteLimit   = 256
	goqitePoll    = time.Millisecond
	goqiteTimeout = time.Minute
)

// goqiteSchema is the table that goqite's users are to make for it: these are the
// columns, the trigger and the index that its documentation asks for.
const goqiteSchema = `
CREATE TABLE IF NOT EXISTS goqite (
	id TEXT PRIMARY KEY DEFAULT ('m_' || lower(hex(randomblob(16)))),
	created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
	updated TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
	queue TEXT NOT NULL,
	body BLOB NOT NULL,
	timeout TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
	received INTEGER NOT NULL DEFAULT 0,
	priority INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TRIGGER IF NOT EXISTS goqite_updated_timestamp AFTER UPDATE ON goqite BEGIN
	UPDATE goqite SET updated = strftime('%Y-%m-%dT%H:%M:%fZ') WHERE id = old.id;
END;
CREATE INDEX IF NOT EXISTS goqite_queue_priority_created_idx ON goqite (queue, priority DESC, created);
`

// goqiteSystem is goqite on SQLite.
func goqiteSystem() workload.System {
	const scans = "each poll reads every message that waits, due or not, so that it comes to no end"
	return workload.System{Name: "goqite", Absent: map[string]string{"W4": absentApps, "W8": absentApps, "W9": absentPools, "W10": absentResults, "W11": absentNodes, "W1u": "it has no unique keys", "W6": scans}, Open: openGoqite}
}

type goqiteQueue struct {
	db    *sql.DB
	queue *goqite.Queue
	stop  context.CancelFunc
	runs  sync.WaitGroup
}

func openGoqite(ctx context.Context, dir string, work workload.Work) (workload.Queue, error) {
	db, err := openSQLite(ctx, dir)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, goqiteSchema); err != nil {
		return nil, err
	}
	q := &goqiteQueue{db: db, queue: goqite.New(goqite.NewOpts{DB: db, Name: "bench", Timeout: goqiteTimeout})}
	// It outlives ctx: it is stopped by Close.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	q.stop = stop
	if work.Store {
		return q, nil
	}
	runner := jobs.NewRunner(jobs.NewRunnerOpts{Limit: goqiteLimit, PollInterval: goqitePoll, Queue: q.queue})
	runner.Register("noop", func(_ context.Context, message []byte) error {
		now := time.Now()
		var args task
		if err := json.Unmarshal(message, &args); err != nil {
			return err
		}
		work.Started(args.due().Add(time.Since(now))) // decoding is not lateness
		return nil
	})
	q.runs.Go(func() { runner.Start(running) })
	return q, nil
}

func goqiteMessage(job workload.Job) (goqite.Message, error) {
	body, err := json.Marshal(task{job.N, job.To, job.Due.UnixMilli()})
	return goqite.Message{Body: body, Delay: max(0, time.Until(job.Due))}, err
}

// Schedule implements workload.Queue.
func (q *goqiteQueue) Schedule(ctx context.Context, job workload.Job) error {
	m, err := goqiteMessage(job)
	if err != nil {
		return err
	}
	_, err = jobs.Create(ctx, q.queue, "noop", m)
	return err
}

// Batch implements workload.Queue.
func (q *goqiteQueue) Batch(ctx context.Context, list []workload.Job) error {
	return inTx(ctx, q.db, func(tx *sql.Tx) error {
		for _, job := range list {
			m, err := goqiteMessage(job)
			if err != nil {
				return err
			}
			if _, err := jobs.CreateTx(ctx, tx, q.queue, "noop", m); err != nil {
				return err
			}
		}
		return nil
	})
}

// Drained implements workload.Queue.
func (q *goqiteQueue) Drained(ctx context.Context) error {
	return none(ctx, q.db, "SELECT 1 FROM goqite WHERE received > 0 OR timeout <= strftime('%Y-%m-%dT%H:%M:%fZ')")
}

// Fill implements workload.Documents.
func (q *goqiteQueue) Fill(ctx context.Context, documents int) error {
	return fillSQLite(ctx, q.db, documents)
}

// Update implements workload.Documents.
func (q *goqiteQueue) Update(ctx context.Context, tenant, document int) error {
	return inTx(ctx, q.db, func(tx *sql.Tx) error {
		_, err := bumpSQLite(ctx, tx, tenant, document)
		return err
	})
}

// UpdateAndSchedule implements workload.Documents.
func (q *goqiteQueue) UpdateAndSchedule(ctx context.Context, tenant, document int) error {
	return inTx(ctx, q.db, func(tx *sql.Tx) error {
		n, err := bumpSQLite(ctx, tx, tenant, document)
		if err != nil {
			return err
		}
		m, err := goqiteMessage(workload.Job{Due: time.Now().Add(time.Hour), Payload: workload.Payload{N: n, To: "user"}})
		if err != nil {
			return err
		}
		_, err = jobs.CreateTx(ctx, tx, q.queue, "noop", m)
		return err
	})
}

// Usage implements workload.Queue.
func (q *goqiteQueue) Usage() workload.Usage { return ownUsage() }

// Close implements workload.Queue.
func (q *goqiteQueue) Close() error {
	q.stop()
	q.runs.Wait()
	return q.db.Close()
}
