package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"carillon/cmd/carillon/workload"
)

// How asynq is tuned; see README.md.
const (
	asynqConcurrency = 256
	asynqConns       = 256
	asynqCheck       = 10 * time.Millisecond
	asynqForward     = 10 * time.Millisecond
)

// asynqOn is asynq on Redis, which decides how durable it is.
func asynqOn(name string, at server) workload.System {
	const noDocuments = "Redis has no transaction that a task and a document could share"
	return workload.System{
		Name:    name,
		Written: at.written,
		Absent:  map[string]string{"W4": absentApps, "W8": absentApps, "W9": absentPools, "W10": absentResults, "W11": absentNodes, "W5": noDocuments, "W7": noDocuments},
		Open: func(ctx context.Context, dir string, work workload.Work) (workload.Queue, error) {
			return openAsynq(ctx, at, dir, work)
		},
	}
}

type asynqQueue struct {
	at        server
	client    *asynq.Client
	inspector *asynq.Inspector
	worker    *asynq.Server // nil: jobs are only stored
}

func openAsynq(ctx context.Context, at server, dir string, work workload.Work) (workload.Queue, error) {
	fresh, err := firstTime(dir)
	if err != nil {
		return nil, err
	}
	if fresh {
		admin := redis.NewClient(&redis.Options{Addr: at.Addr, ReadTimeout: time.Minute})
		defer admin.Close()
		if err := admin.FlushAll(ctx).Err(); err != nil {
			return nil, err
		}
	}
	conn := asynq.RedisClientOpt{Addr: at.Addr, PoolSize: asynqConns, ReadTimeout: time.Minute}
	q := &asynqQueue{at: at, client: asynq.NewClient(conn), inspector: asynq.NewInspector(conn)}
	if work.Store {
		return q, nil
	}
	q.worker = asynq.NewServer(conn, asynq.Config{
		Concurrency: asynqConcurrency, TaskCheckInterval: asynqCheck, DelayedTaskCheckInterval: asynqForward,
		LogLevel: asynq.FatalLevel, ShutdownTimeout: time.Second,
	})
	err = q.worker.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
		now := time.Now()
		var args task
		if err := json.Unmarshal(t.Payload(), &args); err != nil {
			return err
		}
		work.Started(args.due().Add(time.Since(now))) // decoding is not lateness
		return nil
	}))
	return q, err
}

// Schedule implements workload.Queue.
func (q *asynqQueue) Schedule(ctx context.Context, job workload.Job) error {
	args, err := json.Marshal(task{job.N, job.To, job.Due.UnixMilli()})
	if err != nil {
		return err
	}
	_, err = q.client.EnqueueContext(ctx, asynq.NewTask("noop", args), asynq.ProcessAt(job.Due))
	return err
}

// ScheduleOnce implements workload.Keyed: what is unique are the arguments, for longer
// than the job is pending.
func (q *asynqQueue) ScheduleOnce(ctx context.Context, job workload.Job, key string) (bool, error) {
	args, err := json.Marshal(task{N: job.N, To: key})
	if err != nil {
		return false, err
	}
	_, err = q.client.EnqueueContext(ctx, asynq.NewTask("noop", args), asynq.ProcessAt(job.Due), asynq.Unique(2*time.Hour))
	if errors.Is(err, asynq.ErrDuplicateTask) {
		return true, nil
	}
	return false, err
}

// Batch implements workload.Queue. There is no call for several tasks, so that
// many calls at once are the best there is.
func (q *asynqQueue) Batch(ctx context.Context, jobs []workload.Job) error {
	return inParallel(asynqConns, len(jobs), func(i int) error { return q.Schedule(ctx, jobs[i]) })
}

// Drained implements workload.Queue.
func (q *asynqQueue) Drained(ctx context.Context) error {
	return until(ctx, func() (bool, error) {
		info, err := q.inspector.GetQueueInfo("default")
		return err == nil && info.Pending+info.Active+info.Retry == 0, err
	})
}

// Usage implements workload.Queue.
func (q *asynqQueue) Usage() workload.Usage { return q.at.usage() }

// Close implements workload.Queue.
func (q *asynqQueue) Close() error {
	if q.worker != nil {
		q.worker.Shutdown()
	}
	if err := q.inspector.Close(); err != nil {
		return err
	}
	return q.client.Close()
}
