package workload

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Workload is one of W1a to W11.
type Workload struct {
	Name string
	What string
	run  func(ctx context.Context, r *Harness) error
}

// All returns all workloads, in order.
func All() []Workload {
	return []Workload{
		{"W1a", "schedule 5,000 jobs one hour ahead, 1 caller", scheduleOne},
		{"W1b", "schedule 100,000 jobs one hour ahead, 64 callers, and 256", scheduleMany},
		{"W1c", "schedule 100,000 jobs in batches of 1,000", scheduleBatches},
		{"W1s", "W1b with 64 callers, due times scattered over a year", scheduleScattered},
		{"W1u", "schedule 100,000 jobs with a unique key each, 64 callers, and as many calls whose key is held", unique},
		{"W2", "run 100,000 jobs that are due, no-op handler", drain},
		{"W3", "lateness of 2,000 jobs at random instants over 20 s, idle and beside W1b", lateness},
		{"W4", "10,000 apps of 10 jobs: schedule, sleep, and a cron tick of all at one instant", herd},
		{"W5", "RPC mutations: read a document, write it, schedule a job; 64 callers, 1 app and 64", mutations},
		{"W6", "1,000,000 pending jobs: open, memory, and W1b and W3 on top", million},
		{"W7", "latency of an RPC mutation, 1 caller, and of an update of a bbolt file and an append to a plain one", latency},
		{"W8", "calls of one app beside 20,000 with a heartbeat: as they come into being, and after a start with all due", crowd},
		{"W9", "W2 again, through a pool of 64, and behind a pool of 1; lateness of an app beside the backlogs of 100", control},
		{"W10", "run 10,000 jobs, without results and with 64 KiB each; 10,000 calls that wait for the ends of jobs", results},
		{"W11", "of a log that nodes share: seconds from the end of a dead owner's lease until another node answers", takeover},
	}
}

// Names are the names of all workloads, for a message.
func Names() string {
	var names []string
	for _, w := range All() {
		names = append(names, w.Name)
	}
	return strings.Join(names, ", ")
}

// Select returns the workloads of a list of names, in the order of All; "" is
// all of them.
func Select(names string) ([]Workload, error) {
	if names == "" {
		return All(), nil
	}
	all := All()
	wanted := make([]bool, len(all))
	for name := range strings.SplitSeq(names, ",") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(all, func(w Workload) bool { return strings.EqualFold(w.Name, name) })
		if i < 0 {
			return nil, fmt.Errorf("there is no workload %q, but %s", name, Names())
		}
		wanted[i] = true
	}
	var list []Workload
	for i, w := range all {
		if wanted[i] {
			list = append(list, w)
		}
	}
	return list, nil
}

// CheckScale says whether workloads can be scaled so.
func CheckScale(scale float64) error {
	if math.IsNaN(scale) || scale <= 0 || scale > 10 {
		return fmt.Errorf("scale is %v, want more than 0 and at most 10", scale)
	}
	return nil
}

// Harness runs workloads on one system.
type Harness struct {
	System System
	Dir    string  // an empty directory is made in it for each opening, and removed
	Scale  float64 // of the number of jobs, apps and calls, and of W3's span; see CheckScale
	Meter  *Meter  // default: none looks at it

	account
	name string
}

// Run runs the workloads in turn and passes each row on when it is known. What
// the system cannot do is left out.
func (r *Harness) Run(ctx context.Context, list []Workload, emit func(Row)) error {
	if err := CheckScale(r.Scale); err != nil {
		return err
	}
	if r.Meter == nil {
		r.Meter = &Meter{}
	}
	r.account = account{total: written, tell: emit}
	if r.System.Written != nil {
		r.total = r.System.Written
	}
	for _, w := range list {
		if _, absent := r.System.Absent[w.Name]; absent {
			continue
		}
		r.name = w.Name
		r.begin()
		if err := w.run(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", w.Name, err)
		}
	}
	return ctx.Err()
}

// scaled is n at the harness's scale, 1 at least.
func (r *Harness) scaled(n int) int { return max(1, int(math.Round(float64(n)*r.Scale))) }

// within runs fn in a new directory that is removed afterwards, with what the system has elsewhere for it.
func (r *Harness) within(fn func(dir string) error) (err error) {
	dir, err := os.MkdirTemp(r.Dir, dirPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if r.System.Remove != nil {
		defer func() { err = errors.Join(err, r.System.Remove(dir)) }()
	}
	return fn(dir)
}

// dirPrefix begins the names of directories.
const dirPrefix = "data-"

// opened opens the system for fn and closes it afterwards.
func (r *Harness) opened(ctx context.Context, dir string, work Work, fn func(Queue) error) error {
	if work.Started == nil {
		work.Started = func(time.Time) {}
	}
	if work.Apps == 0 {
		work.Apps = 1
	}
	return using(r, func() (Queue, error) { return r.System.Open(ctx, dir, work) }, fn)
}

// using opens a queue for fn and closes it afterwards.
func using[Q Queue](r *Harness, open func() (Q, error), fn func(Q) error) error {
	q, err := open()
	if err != nil {
		return err
	}
	r.open = true
	err = fn(q)
	err = errors.Join(err, q.Close())
	r.closed()
	return err
}

// fresh is opened in a new directory.
func (r *Harness) fresh(ctx context.Context, work Work, fn func(Queue) error) error {
	return r.within(func(dir string) error { return r.opened(ctx, dir, work, fn) })
}

// measure takes what fn uses for the row.
func measure(q Queue, row *Row, fn func() error) error {
	before := q.Usage()
	err := fn()
	after := q.Usage()
	if after.Flushes >= 0 {
		row.Flushes = new(after.Flushes - before.Flushes)
	}
	if own, _, ok := settled(); ok && after.RSS >= 0 {
		row.RSS = new(megabytes(own + after.RSS))
	}
	return err
}

// callers makes n calls of fn from as many goroutines as there are callers, and
// returns how long each took.
func (r *Harness) callers(ctx context.Context, callers, n int, fn func(ctx context.Context, i int) error) ([]time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	took := make([]time.Duration, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(callers, n) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				began := time.Now()
				if err := fn(ctx, i); err != nil {
					cancel(err)
					return
				}
				took[i] = time.Since(began)
				r.Meter.add(1)
			}
		})
	}
	wg.Wait()
	return took, context.Cause(ctx)
}

// batchSize is how many jobs a batch has.
const batchSize = 1000

// batches has n jobs stored, the job i being what job returns for it, in batches.
func (r *Harness) batches(ctx context.Context, store func(context.Context, []Job) error, n int, job func(i int) Job) ([]time.Duration, error) {
	var took []time.Duration
	for at := 0; at < n; at += batchSize {
		jobs := make([]Job, 0, batchSize)
		for i := at; i < min(at+batchSize, n); i++ {
			jobs = append(jobs, job(i))
		}
		began := time.Now()
		if err := store(ctx, jobs); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
		r.Meter.add(len(jobs))
	}
	return took, nil
}

// jobAt is the job number i, due at the instant or up to a millisecond later.
func jobAt(due time.Time, i int) Job {
	return Job{due.Add(time.Millisecond - 1).Truncate(time.Millisecond), Payload{i, fmt.Sprintf("user-%06d", i)}}
}

// random is the source of all that is random here: the same in every run.
func random() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
