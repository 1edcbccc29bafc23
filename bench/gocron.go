package main

import (
	"context"
	"time"

	"github.com/go-co-op/gocron/v2"

	"carillon/cmd/carillon/workload"
)

// gocronSystem is gocron, which stores nothing: it is here for its lateness.
func gocronSystem() workload.System {
	absent := map[string]string{}
	for _, w := range workload.All() {
		if w.Name != "W3" {
			absent[w.Name] = "it keeps its jobs in memory only, and is here for its lateness"
		}
	}
	return workload.System{Name: "gocron", Absent: absent, Open: openGocron}
}

type gocronQueue struct {
	scheduler gocron.Scheduler
	started   func(time.Time)
}

func openGocron(_ context.Context, _ string, work workload.Work) (workload.Queue, error) {
	s, err := gocron.NewScheduler(gocron.WithStopTimeout(time.Second))
	if err != nil {
		return nil, err
	}
	s.Start()
	return &gocronQueue{s, work.Started}, nil
}

// Schedule implements workload.Queue.
func (q *gocronQueue) Schedule(_ context.Context, job workload.Job) error {
	_, err := q.scheduler.NewJob(gocron.OneTimeJob(gocron.OneTimeJobStartDateTime(job.Due)), gocron.NewTask(q.started, job.Due))
	return err
}

// Batch implements workload.Queue.
func (q *gocronQueue) Batch(ctx context.Context, jobs []workload.Job) error {
	for _, job := range jobs {
		if err := q.Schedule(ctx, job); err != nil {
			return err
		}
	}
	return nil
}

// Drained implements workload.Queue.
func (q *gocronQueue) Drained(context.Context) error { return nil }

// Usage implements workload.Queue.
func (q *gocronQueue) Usage() workload.Usage { return workload.Usage{Flushes: -1} }

// Close implements workload.Queue.
func (q *gocronQueue) Close() error { return q.scheduler.Shutdown() }
