package workload

import (
	"context"
	"time"
)

// System is what is measured.
type System struct {
	Name string
	// Open opens it on its data in dir, which may be empty.
	Open func(ctx context.Context, dir string, work Work) (Queue, error)
	// Written is how many bytes the processes that keep its data have written so far,
	// or that this cannot be told. Default: this process keeps it.
	Written func() (n int64, ok bool)
	// Remove takes away what the system has outside of dir for it. Default: nothing is there.
	Remove func(dir string) error
	// Absent says of workloads why the system is left out of them.
	Absent map[string]string

	logs *scratches // of the engine, where they are not in its directories
}

// Job is what is scheduled: an instant, in whole milliseconds, and a payload of
// the size that an id and a name have.
type Job struct {
	Due time.Time
	Payload
}

// Payload is what a handler is given.
type Payload struct {
	N  int    `json:"n"`
	To string `json:"to"`
}

// Work says what becomes of jobs that are due.
type Work struct {
	// Store has jobs only stored, and none run.
	Store bool
	// Started is told, first thing in the handler, the instant its job was due at.
	Started func(due time.Time)
	// Apps is how many tenants there are; what is not said to be in another is in the first.
	Apps int
}

// Queue is an open System. Its methods may be called from any goroutine.
type Queue interface {
	// Schedule stores a job. It is durable when Schedule returns.
	Schedule(ctx context.Context, job Job) error
	// Batch stores jobs together, in the system's own best way. They are durable
	// when Batch returns.
	Batch(ctx context.Context, jobs []Job) error
	// Drained returns when no job that is due is left, durably.
	Drained(ctx context.Context) error
	// Usage is what the system has used since it was opened.
	Usage() Usage
	Close() error
}

// Usage is what a system has used. What it cannot tell is negative.
type Usage struct {
	Flushes int64
	RSS     int64 // of its processes other than this one
}

// Documents is a Queue of a system that has documents beside its jobs, and can
// change both in one transaction. Each call is durable when it returns.
type Documents interface {
	Queue
	// Fill makes so many documents in each tenant.
	Fill(ctx context.Context, documents int) error
	// Update reads a document of the tenant and writes it.
	Update(ctx context.Context, tenant, document int) error
	// UpdateAndSchedule does so and schedules a job an hour ahead.
	UpdateAndSchedule(ctx context.Context, tenant, document int) error
}
