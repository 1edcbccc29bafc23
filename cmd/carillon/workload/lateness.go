package workload

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	lateJobs = 2_000
	lateSpan = 20 * time.Second
	// lateLead is how long before the first of its jobs W3 begins to store them.
	lateLead = 2 * time.Second
	// lateWait is how long it waits for the last of them.
	lateWait = 2 * time.Minute
)

// lateness is W3.
func lateness(ctx context.Context, r *Harness) error {
	for _, loaded := range []bool{false, true} {
		sink := &starts{}
		err := r.fresh(ctx, Work{Started: sink.started}, func(q Queue) error { return r.latenessOn(ctx, q, r.name, sink, loaded) })
		if err != nil {
			return err
		}
	}
	return nil
}

// starts takes how late each job of the latest round has started. Jobs that are
// not of that round, those of the load, are not due while it lasts.
type starts struct{ round atomic.Pointer[round] }

// round is how late so many jobs have started.
type round struct {
	late         []time.Duration
	taken, noted atomic.Int64 // places in late
	all          chan struct{}
}

func newRound(n int) *round { return &round{late: make([]time.Duration, n), all: make(chan struct{})} }

func (s *starts) begin(n int) *round {
	now := newRound(n)
	s.round.Store(now)
	return now
}

func (s *starts) started(due time.Time) {
	late := time.Since(due)
	if r := s.round.Load(); r != nil {
		r.note(late)
	}
}

// note takes how late one job has started.
func (r *round) note(late time.Duration) {
	if n := int(r.taken.Add(1)); n <= len(r.late) {
		r.late[n-1] = late
	}
	if int(r.noted.Add(1)) == len(r.late) {
		close(r.all)
	}
}

// wait waits until all jobs of the round have started.
func (r *round) wait(ctx context.Context, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-r.all:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("%d of %d jobs have started within %v", r.noted.Load(), len(r.late), limit.Round(time.Second))
	}
}

// latenessOn is one round of W3 on a queue that is open and tells the starts.
func (r *Harness) latenessOn(ctx context.Context, q Queue, name string, starts *starts, loaded bool) error {
	n := r.scaled(lateJobs)
	row := Row{Workload: name, Jobs: n}
	label := name
	if loaded {
		row.Workload, row.Callers = name+"-loaded", 64
		label += " beside W1b"
	}
	r.Meter.begin(label, 0)
	// That it has started one job is the sign that a system is up and running.
	warm := starts.begin(1)
	if err := q.Schedule(ctx, jobAt(time.Now().Add(100*time.Millisecond), 0)); err != nil {
		return err
	}
	if err := warm.wait(ctx, lateWait); err != nil {
		return err
	}
	rnd, first := random(), time.Now().Add(lateLead)
	span := time.Duration(float64(lateSpan) * r.Scale)
	round := starts.begin(n)
	err := measure(q, &row, func() error {
		_, err := r.batches(ctx, q.Batch, n, func(i int) Job { return jobAt(first.Add(time.Duration(rnd.Int64N(int64(span)))), i) })
		if err != nil {
			return err
		}
		stop, loads := func() (int, error) { return 0, nil }, time.Now()
		if loaded {
			stop = r.load(ctx, q, row.Callers)
		}
		err = round.wait(ctx, time.Until(first)+span+lateWait)
		scheduled, loadErr := stop()
		if err == nil {
			err = loadErr
		}
		if loaded {
			row.spent(time.Since(loads), scheduled)
			row.wroteFor = n + scheduled
		}
		return err
	})
	if err != nil {
		return err
	}
	row.lateness(round.late)
	r.emit(row)
	return nil
}

// load runs W1b until it is stopped; that tells how many jobs it has scheduled.
func (r *Harness) load(ctx context.Context, q Queue, callers int) (stop func() (int, error)) {
	ctx, cancel := context.WithCancel(ctx)
	var scheduled atomic.Int64
	ended := make(chan error, callers)
	for range callers {
		go func() {
			for i := 0; ctx.Err() == nil; i++ {
				if err := q.Schedule(context.WithoutCancel(ctx), jobAt(time.Now().Add(time.Hour), i)); err != nil {
					ended <- err
					return
				}
				scheduled.Add(1)
			}
			ended <- nil
		}()
	}
	return func() (int, error) {
		cancel()
		var first error
		for range callers {
			if err := <-ended; err != nil && first == nil {
				first = err
			}
		}
		return int(scheduled.Load()), first
	}
}
