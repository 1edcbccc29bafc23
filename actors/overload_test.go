package actors_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// slowDisk is a disk whose commits take their time, or do not begin at all.
type slowDisk struct {
	takes atomic.Int64
	mu    sync.Mutex
	shut  chan struct{} // closed when commits may begin again; nil: they may
}

// ask is Testing.Fault.
func (d *slowDisk) ask(point string) error {
	if point != "commit" {
		return nil
	}
	time.Sleep(time.Duration(d.takes.Load()))
	d.mu.Lock()
	shut := d.shut
	d.mu.Unlock()
	if shut != nil {
		<-shut
	}
	return nil
}

func (d *slowDisk) stop() { d.mu.Lock(); d.shut = make(chan struct{}); d.mu.Unlock() }
func (d *slowDisk) goOn() { d.mu.Lock(); close(d.shut); d.shut = nil; d.mu.Unlock() }

// G18: while more is asked of a volume than it writes in about a second, mutations
// that have not begun are refused and change nothing; queries, cancels, drops and jobs
// are not, nor is an app that asks for little. A job whose call was refused spends
// nothing.
func TestG18_AnOverloadedVolumeSheds(t *testing.T) {
	k, disk := newKit(), new(slowDisk)
	text := strings.Repeat("x", 100_000)
	job := k.mutation("t:job", func(ctx *dispatch.MutationCtx, name string) error {
		k.note("job "+name, ctx.Job)
		return nil
	})
	calls := k.action("t:calls", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("calls "+name, ctx.Job)
		if _, err := addEntry.Run(ctx, "by "+name); err != nil {
			return errors.New("it says so in words of its own")
		}
		return nil
	})
	opts := actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: disk.ask}, Volumes: 1, Logger: quiet, IdleAfter: time.Hour}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		cancel := mustAfter(t, h, "flood", 9*time.Hour, job.With("canceled"))
		disk.takes.Store(int64(5 * time.Second)) // so that the volume is known to be slow
		for range 12 {
			must[storage.ID[entry]](t)(addEntry.Run(h.Caller("little"), "x"))
		}
		disk.takes.Store(0)
		mustAfter(t, h, "flood", time.Minute, job.With("due"))
		acts := mustAfter(t, h, "flood", time.Minute, calls.With("acts"), dispatch.NoRetry())
		h.Advance(time.Minute - time.Millisecond)
		if n := h.Inspect("flood").Claimed; n != 2 {
			t.Fatalf("%d jobs are claimed, want 2", n)
		}
		disk.stop()

		var answered atomic.Int64
		var wg sync.WaitGroup
		wait := func(call func() error) {
			wg.Go(func() {
				if err := call(); err != nil {
					t.Error(err)
				}
				answered.Add(1)
			})
			h.Settle()
		}
		add := func(app storage.AppID, name string) error {
			_, err := addEntry.Run(h.Caller(app), name)
			return err
		}
		var shed error
		admitted := 0
		for shed == nil && admitted < 50 {
			got := make(chan error, 1)
			go func() { got <- add("flood", text) }()
			h.Settle()
			select {
			case shed = <-got:
			default:
				admitted++
				wait(func() error { return <-got })
			}
		}
		if e := dispatch.AsError(shed); shed == nil || e.Code != dispatch.CodeUnavailable || e.RetryAfter != time.Second {
			t.Fatalf("of many mutations %d were let in, and the next was told %v", admitted, shed)
		}
		if admitted < 5 || answered.Load() != 0 {
			t.Errorf("%d mutations were let in, %d answered before they were durable", admitted, answered.Load())
		}
		_, err := h.Scheduler("flood").RunAfter(time.Hour, job.With("refused"))
		wantCode(t, err, dispatch.CodeUnavailable)
		_, err = h.Scheduler("flood").RetryDead(acts)
		wantCode(t, err, dispatch.CodeUnavailable)
		if n := h.Engine.Stats().Shed; n != 3 {
			t.Errorf("%d mutations were counted as shed, want 3", n)
		}
		// What is not shed.
		wantEntries(t, h, "flood")
		wait(func() error { return add("little", "y") })
		wait(func() error { return add("new", "y") })
		wait(func() error { _, err := h.Scheduler("flood").Cancel(cancel); return err })
		wait(func() error { _, err := h.Scheduler("flood").DropDead("no such"); return err })
		h.Advance(2 * time.Second)
		if k.count("job due") != 1 || k.count("calls acts") != 1 {
			t.Errorf("%d jobs that were due have begun, %d actions, want 1 and 1", k.count("job due"), k.count("calls acts"))
		}

		disk.goOn()
		wg.Wait()
		h.Settle()
		if j := wantState(t, h, "flood", acts, storage.StateSuccess, 2); j.Failures != 0 {
			t.Errorf("a call that was shed was charged to its job: %d failures", j.Failures)
		}
		wantState(t, h, "flood", cancel, storage.StateCanceled, 0)
		if n := len(actorstest.Documents(h, "flood", entries)); n != admitted+1 {
			t.Errorf("%d documents, want %d and that of the job: what is refused changes nothing", n, admitted)
		}
		if err := add("flood", "again"); err != nil {
			t.Errorf("after the flood: %v", err)
		}
	})
}
