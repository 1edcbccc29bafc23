package main

import (
	"context"
	"database/sql"
	"time"

	"github.com/mikestefanello/backlite"

	"carillon/cmd/carillon/workload"
)

// backliteWorkers is how backlite is tuned; see README.md.
const backliteWorkers = 1_000

// backliteSystem is backlite on SQLite.
func backliteSystem() workload.System {
	const scans = "each fetch sorts every task that waits, due or not, so that it comes to no end"
	return workload.System{Name: "backlite", Absent: map[string]string{"W4": absentApps, "W8": absentApps, "W9": absentPools, "W10": absentResults, "W11": absentNodes, "W1u": "it has no unique keys", "W6": scans}, Open: openBacklite}
}

// Config implements backlite.Task.
func (task) Config() backlite.QueueConfig {
	return backlite.QueueConfig{Name: "noop", MaxAttempts: 5, Backoff: time.Second}
}

type backliteQueue struct {
	db     *sql.DB
	client *backlite.Client
}

func openBacklite(ctx context.Context, dir string, work workload.Work) (workload.Queue, error) {
	db, err := openSQLite(ctx, dir)
	if err != nil {
		return nil, err
	}
	client, err := backlite.NewClient(backlite.ClientConfig{DB: db, NumWorkers: backliteWorkers, ReleaseAfter: 10 * time.Minute})
	if err != nil {
		return nil, err
	}
	client.Register(backlite.NewQueue(func(_ context.Context, t task) error {
		work.Started(t.due())
		return nil
	}))
	if err := client.Install(); err != nil {
		return nil, err
	}
	if !work.Store {
		client.Start(context.WithoutCancel(ctx)) // it is stopped by Close
	}
	return &backliteQueue{db, client}, nil
}

func backliteTask(job workload.Job) task { return task{job.N, job.To, job.Due.UnixMilli()} }

// Schedule implements workload.Queue.
func (q *backliteQueue) Schedule(ctx context.Context, job workload.Job) error {
	_, err := q.client.Add(backliteTask(job)).Ctx(ctx).At(job.Due).Save()
	return err
}

// Batch implements workload.Queue. A call of its own has one instant for all its
// tasks, so that there is a call for each, in one transaction.
func (q *backliteQueue) Batch(ctx context.Context, jobs []workload.Job) error {
	err := inTx(ctx, q.db, func(tx *sql.Tx) error {
		for _, job := range jobs {
			if _, err := q.client.Add(backliteTask(job)).Ctx(ctx).At(job.Due).Tx(tx).Save(); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		q.client.Notify()
	}
	return err
}

// Drained implements workload.Queue.
func (q *backliteQueue) Drained(ctx context.Context) error {
	return none(ctx, q.db, "SELECT 1 FROM backlite_tasks WHERE wait_until <= ?", time.Now().UnixMilli())
}

// Fill implements workload.Documents.
func (q *backliteQueue) Fill(ctx context.Context, documents int) error {
	return fillSQLite(ctx, q.db, documents)
}

// Update implements workload.Documents.
func (q *backliteQueue) Update(ctx context.Context, tenant, document int) error {
	return inTx(ctx, q.db, func(tx *sql.Tx) error {
		_, err := bumpSQLite(ctx, tx, tenant, document)
		return err
	})
}

// UpdateAndSchedule implements workload.Documents.
func (q *backliteQueue) UpdateAndSchedule(ctx context.Context, tenant, document int) error {
	err := inTx(ctx, q.db, func(tx *sql.Tx) error {
		n, err := bumpSQLite(ctx, tx, tenant, document)
		if err != nil {
			return err
		}
		due := time.Now().Add(time.Hour)
		_, err = q.client.Add(task{n, "user", due.UnixMilli()}).Ctx(ctx).At(due).Tx(tx).Save()
		return err
	})
	if err == nil {
		q.client.Notify()
	}
	return err
}

// Usage implements workload.Queue.
func (q *backliteQueue) Usage() workload.Usage { return ownUsage() }

// Close implements workload.Queue.
func (q *backliteQueue) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	q.client.Stop(ctx) // false if tasks still ran, which are not waited for
	return q.db.Close()
}
