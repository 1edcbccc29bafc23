package actors_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// G26: Close lets what is under way end, starts nothing more, and refuses what
// comes; what has not started counts as no attempt.
func TestG26_CloseDrains(t *testing.T) {
	k := newKit()
	slow := k.action("t:slow", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("start "+name, ctx.Job)
		time.Sleep(time.Minute)
		_, err := addEntry.Run(ctx, name)
		return err
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, AppConcurrency: 2}, func(h *actorstest.Harness) {
		running := []storage.JobID{mustAfter(t, h, "acme", 0, slow.With("a")), mustAfter(t, h, "acme", 0, slow.With("b"))}
		waiting := mustAfter(t, h, "acme", 0, slow.With("waits"))
		ahead := mustAfter(t, h, "acme", 50*time.Millisecond, addEntry.With("ahead"))
		soon := mustAfter(t, h, "acme", 30*time.Second, addEntry.With("soon"))
		mustAfter(t, h, "asleep", 40*time.Second, addEntry.With("asleep"))
		h.Advance(20 * time.Millisecond)
		var done sync.WaitGroup
		var called error
		done.Go(func() { _, called = slow.Run(h.Caller("acme"), "called") })
		h.Settle()

		begin := h.Now()
		var closed error
		old := h.Engine
		done.Go(func() { closed = old.Close(context.Background()) })
		h.Settle()
		app := h.App("acme")
		_, err := addEntry.Run(app.As(h.Context(), nil), "refused")
		wantCode(t, err, dispatch.CodeUnavailable)
		_, err = app.Scheduler(h.Context()).RunAfter(0, addEntry.With("refused"))
		wantCode(t, err, dispatch.CodeUnavailable)
		done.Wait()
		if called != nil || closed != nil {
			t.Errorf("the call that was inside: %v; Close: %v", called, closed)
		}
		if took := h.Now().Sub(begin); took > 2*time.Minute {
			t.Errorf("Close took %v", took)
		}
		if err := old.Close(context.Background()); err != nil {
			t.Errorf("a second Close: %v", err)
		}
		if k.count("add soon") > 0 || k.count("add asleep") > 0 || k.count("add ahead") > 0 {
			t.Errorf("a job started after Close had begun: %q", k.noted(""))
		}

		h.Open()
		h.Drain()
		for _, id := range running {
			wantState(t, h, "acme", id, storage.StateSuccess, 1)
		}
		for _, id := range []storage.JobID{waiting, ahead, soon} {
			if job := wantState(t, h, "acme", id, storage.StateSuccess, 1); len(job.History) != 0 {
				t.Errorf("job %s was counted as interrupted: %+v", id, job.History)
			}
		}
		wantEntries(t, h, "acme", "a", "b", "waits", "ahead", "soon", "called")
		wantEntries(t, h, "asleep", "asleep")
	})
}

// G26: no job starts after Close has begun, though its app was asleep, and is due
// while Close waits for another.
func TestG26_NoStartAfterCloseHasBegun(t *testing.T) {
	k := newKit()
	slow := k.action("t:slow", func(ctx *dispatch.ActionCtx, name string) error {
		time.Sleep(10 * time.Minute)
		return nil
	}, dispatch.Deadline(time.Hour))
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		mustAfter(t, h, "busy", 0, slow.With("x"))
		for i := range 9 {
			mustAfter(t, h, storage.AppID(fmt.Sprint("asleep", i)), time.Duration(i+1)*time.Minute, addEntry.With("x"))
		}
		h.Advance(30 * time.Second)
		if err := h.Engine.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if n := k.count("add"); n != 0 {
			t.Errorf("%d jobs started while the engine was closing", n)
		}
		h.Open()
		h.Drain()
		if n := k.count("add"); n != 9 {
			t.Errorf("%d of 9 jobs ran after the engine was opened again", n)
		}
	})
}

// G26: Close waits for change sets that are on their way to the disk when it
// comes, and for nothing after that.
func TestG26_CloseWhileACommitIsUnderWay(t *testing.T) {
	for _, what := range []string{"a schedule", "a mutation", "a job's completion", "an action's completion"} {
		t.Run(what, func(t *testing.T) {
			k, f := newKit(), newFaults()
			act := k.action("t:act", func(*dispatch.ActionCtx, string) error { return nil })
			actorstest.Run(t, actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: f.ask}}, func(h *actorstest.Harness) {
				h.Settle()
				begin := h.Now()
				mustAfter(t, h, "acme", time.Second, addEntry.With("m"))
				mustAfter(t, h, "acme", time.Second, act.With("a"))
				h.Advance(900 * time.Millisecond) // claimed
				var done sync.WaitGroup
				var err error
				release := f.hold()
				switch what {
				case "a schedule":
					done.Go(func() { _, err = h.Scheduler("acme").RunAfter(time.Hour, addEntry.With("x")) })
				case "a mutation":
					done.Go(func() { _, err = addEntry.Run(h.Caller("acme"), "x") })
				default:
					h.Advance(100 * time.Millisecond)
				}
				h.Settle()
				var closed error
				old := h.Engine
				done.Go(func() { closed = old.Close(context.Background()) })
				h.Settle()
				release()
				done.Wait()
				if err != nil || closed != nil {
					t.Errorf("the call: %v; Close: %v", err, closed)
				}
				if took := h.Now().Sub(begin); took > 10*time.Second {
					t.Errorf("that took %v of virtual time", took)
				}
				h.Open()
				h.Advance(time.Minute)
				for _, job := range h.Jobs("acme") {
					if job.State == storage.StatePending && job.Due.Sub(begin) < time.Hour || len(job.History) > 0 {
						t.Errorf("a job is left: %+v", job)
					}
				}
			})
		})
	}
}

// G26: what does not end while Close is patient is canceled, and taken up again
// when the directory is opened.
func TestG26_CloseCutsOff(t *testing.T) {
	k := newKit()
	polite := k.action("t:polite", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("start "+name, ctx.Job)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Hour):
		}
		_, err := addEntry.Run(ctx, name)
		return err
	}, dispatch.Deadline(2*time.Hour))
	actorstest.Run(t, actors.Options{Functions: k.reg, Grace: 3 * time.Second}, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, polite.With("x"), dispatch.NoRetry())
		once := mustAfter(t, h, "acme", 0, polite.With("once"), dispatch.AtMostOnce())
		h.Settle()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		begin := h.Now()
		if err := h.Engine.Close(ctx); err != nil {
			t.Error(err)
		}
		if took := h.Now().Sub(begin); took != 10*time.Second {
			t.Errorf("Close took %v, want its 10 s: the handlers return when they are told", took)
		}
		h.Open()
		h.Advance(2 * time.Hour)
		wantState(t, h, "acme", id, storage.StateSuccess, 2)
		wantState(t, h, "acme", once, storage.StateFailed, 1)
		wantEntries(t, h, "acme", "x")
	})
}

// G26: a handler that is deaf even to that is reported, and its job counts as
// interrupted; Close does not wait for ever.
func TestG26_CloseReportsHandlersThatDoNotReturn(t *testing.T) {
	k := newKit()
	var free chan struct{}
	deaf := k.action("t:deaf", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("start "+name, ctx.Job)
		if ctx.Job.Attempt == 1 {
			<-free
			// After Close it changes nothing any more.
			if _, err := addEntry.Run(ctx, "late"); err == nil {
				t.Error("a mutation after Close")
			}
			if _, err := ctx.Scheduler.RunAfter(0, addEntry.With("late")); err == nil {
				t.Error("a schedule after Close")
			}
		}
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Grace: 3 * time.Second}, func(h *actorstest.Harness) {
		free = make(chan struct{})
		id := mustAfter(t, h, "acme", 0, deaf.With("x"))
		h.Settle()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		begin := h.Now()
		err := h.Engine.Close(ctx)
		if err == nil || !strings.Contains(err.Error(), "1 handlers have not returned") {
			t.Errorf("Close: %v", err)
		}
		if took := h.Now().Sub(begin); took > 10*time.Second+3*time.Second {
			t.Errorf("Close took %v", took)
		}
		h.Open()
		h.Settle()
		wantState(t, h, "acme", id, storage.StateSuccess, 2)
		close(free)
		h.Settle()
		wantEntries(t, h, "acme")
	})
}

// G26: whatever hangs, Close takes no longer than until its context is over and one
// grace after it.
func TestG26_CloseIsBoundedByItsContextAndOneGrace(t *testing.T) {
	const patience, grace = 10 * time.Second, 3 * time.Second
	for name, tt := range map[string]struct {
		polite bool // the handler returns when it is told to
		want   time.Duration
	}{
		"deaf handlers":   {false, patience + grace},
		"polite handlers": {true, patience},
	} {
		for _, what := range []string{"a job", "a job's mutation", "an action", "a mutation", "a query", "all of them"} {
			t.Run(name+", "+what, func(t *testing.T) {
				k := newKit()
				var free chan struct{}
				hang := func(ctx context.Context) error {
					if tt.polite {
						<-ctx.Done()
						return ctx.Err()
					}
					<-free
					return nil
				}
				act := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error { return hang(ctx) })
				write := k.mutation("t:write", func(ctx *dispatch.MutationCtx, _ string) error { return hang(ctx) })
				read := dispatch.InternalQuery[none, none]("t:read")
				read.Handle(k.reg, func(ctx *dispatch.QueryCtx, _ none) (none, error) { return none{}, hang(ctx) })
				opts := actors.Options{
					Functions: k.reg, Logger: quiet, Grace: grace,
					QueryTimeout: time.Hour, MutationTimeout: time.Hour, ActionTimeout: time.Hour,
				}
				actorstest.Run(t, opts, func(h *actorstest.Harness) {
					free = make(chan struct{})
					is := func(w string) bool { return what == w || what == "all of them" }
					var calls sync.WaitGroup
					call := func(app storage.AppID, run func(dispatch.Caller) error) {
						caller := h.Caller(app)
						calls.Go(func() {
							if err := run(caller); err == nil {
								t.Error("a call that Close has cut off succeeded")
							}
						})
					}
					if is("a job") {
						mustAfter(t, h, "acme", 0, act.With("x"))
					}
					if is("a job's mutation") {
						mustAfter(t, h, "acme", 0, write.With("x"))
					}
					if is("an action") {
						call("other", func(c dispatch.Caller) error { _, err := act.Run(c, "x"); return err })
					}
					if is("a mutation") {
						call("other", func(c dispatch.Caller) error { _, err := write.Run(c, "x"); return err })
					}
					if is("a query") {
						call("other", func(c dispatch.Caller) error { _, err := read.Run(c, none{}); return err })
					}
					h.Settle()
					ctx, cancel := context.WithTimeout(context.Background(), patience)
					defer cancel()
					begin := h.Now()
					err := h.Engine.Close(ctx)
					if took := h.Now().Sub(begin); took != tt.want {
						t.Errorf("Close took %v, want %v", took, tt.want)
					}
					if tt.polite != (err == nil) {
						t.Errorf("Close: %v", err)
					}
					calls.Wait()
					close(free)
					h.Settle()
					h.Open()
				})
			})
		}
	}
}

// G26: Close while callers come and go, in real time: every call is answered, what
// was acknowledged is there, and no goroutine is left.
func TestG26_CloseHammer(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	dir := t.TempDir()
	open := func() (*actors.Engine, *func() error) {
		opts := actors.Options{
			Functions: newKit().reg, Logger: quiet, Testing: actors.Testing{NoSync: true}, Volumes: 1, IdleAfter: 2 * time.Millisecond,
			QueryTimeout: time.Minute, MutationTimeout: time.Minute,
		}
		abort := abortOf(&opts)
		return must[*actors.Engine](t)(actors.Open(dir, opts)), abort
	}
	var acked atomic.Int64
	for round := range 8 {
		eng, abort := open()
		var done sync.WaitGroup
		for c := range 6 {
			done.Go(func() {
				for i := 0; ; i++ {
					app := must[*actors.App](t)(eng.App(storage.AppID(fmt.Sprint("app", c%3))))
					var err error
					if i%2 == 0 {
						_, err = addEntry.Run(app.As(context.Background(), nil), "x")
					} else {
						_, err = app.Scheduler(context.Background()).RunAfter(time.Duration(i%4)*time.Millisecond, addEntry.With("x"))
					}
					switch {
					case err == nil:
						acked.Add(1)
					case dispatch.AsError(err).Code == dispatch.CodeUnavailable:
						return
					default:
						t.Errorf("a call is answered %v", err)
						return
					}
				}
			})
		}
		time.Sleep(time.Duration(5+round*3) * time.Millisecond)
		if round%2 == 0 {
			if err := eng.Close(context.Background()); err != nil {
				t.Errorf("close: %v", err)
			}
		} else if err := (*abort)(); err != nil {
			t.Errorf("abort: %v", err)
		}
		done.Wait()
		if err := goleak.Find(leaks); err != nil {
			t.Fatal(err)
		}
	}
	eng, _ := open()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for {
		total, open := 0, 0
		for i := range 3 {
			app := must[*actors.App](t)(eng.App(storage.AppID(fmt.Sprint("app", i))))
			l := must[ledger](t)(ledgerOf.Run(app.As(ctx, nil), none{}))
			total += len(l.Entries)
			open += l.Open
		}
		if open == 0 {
			if total < int(acked.Load()) {
				t.Errorf("%d entries, but %d were acknowledged", total, acked.Load())
			}
			break
		}
		time.Sleep(time.Millisecond) // the last jobs are on their way, and bounded by ctx
	}
	if err := errors.Join(eng.Check(), eng.Close(ctx)); err != nil {
		t.Error(err)
	}
}

// G26: a Close that races with another, and with Abort, ends.
func TestG26_CloseIsIdempotent(t *testing.T) {
	k := newKit()
	opts := actors.Options{Functions: k.reg, Testing: actors.Testing{NoSync: true}, Volumes: 1}
	abort := abortOf(&opts)
	eng := must[*actors.Engine](t)(actors.Open(t.TempDir(), opts))
	var done sync.WaitGroup
	for i := range 6 {
		done.Go(func() {
			var err error
			if i%3 == 2 {
				err = (*abort)()
			} else {
				err = eng.Close(context.Background())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if _, err := eng.Apps(); err == nil {
		t.Error("a closed engine answers")
	}
	if err := eng.Check(); err == nil {
		t.Error("a closed engine checks")
	}
}

// G26: nothing of an engine is left after Close: no goroutine waits and no timer
// fires, though there was everything a timer could be for.
func TestG26_NothingIsLeftAfterClose(t *testing.T) {
	var after atomic.Int64
	var over atomic.Bool
	watch := slog.New(watcher(func() {
		if over.Load() {
			after.Add(1)
		}
	}))
	synctest.Test(t, func(t *testing.T) {
		k := newKit()
		hang := k.hangs("t:hang")
		eng := must[*actors.Engine](t)(actors.Open(t.TempDir(), actors.Options{
			Functions: k.reg, Testing: actors.Testing{NoSync: true, Clock: func() time.Time {
				if over.Load() {
					after.Add(1)
				}
				return time.Now()
			}}, Logger: watch,
		}))
		app := must[*actors.App](t)(eng.App("acme"))
		s := app.Scheduler(t.Context())
		must[storage.JobID](t)(s.RunAfter(time.Hour, addEntry.With("x")))
		must[storage.JobID](t)(s.RunAfter(50*time.Millisecond, addEntry.With("x")))
		must[storage.JobID](t)(s.RunAfter(0, failAlways.With("x")))
		id := must[storage.JobID](t)(s.RunAfter(0, hang.With("x")))
		must[storage.JobID](t)(s.RunAfter(0, hang.With("x"), dispatch.Timeout(time.Minute)))
		synctest.Wait()
		must[storage.Cancellation](t)(s.Cancel(id))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := eng.Close(ctx); err != nil {
			t.Error(err)
		}
		over.Store(true)
		synctest.Wait()
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		if n := after.Load(); n != 0 {
			t.Errorf("after Close the engine has looked at its clock, or logged, %d times", n)
		}
	})
}

// watcher is a slog.Handler that calls itself for every record.
type watcher func()

func (w watcher) Enabled(context.Context, slog.Level) bool  { return true }
func (w watcher) Handle(context.Context, slog.Record) error { w(); return nil }
func (w watcher) WithAttrs([]slog.Attr) slog.Handler        { return w }
func (w watcher) WithGroup(string) slog.Handler             { return w }

// G23: a directory has one owner at a time.
func TestG23_OneOwner(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		dir := h.Dir()
		_, err := actors.Open(dir, actors.Options{Functions: newKit().reg, Volumes: 1, LockTimeout: 50 * time.Millisecond})
		if !errors.Is(err, storage.ErrLocked) {
			t.Errorf("a second Open: %v, want ErrLocked", err)
		}
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "x"))
		h.Restart()
		wantEntries(t, h, "acme", "x")
	})
}

// G26: history is kept for exactly the retention, as every reader sees it, and in
// bounded number; dead jobs have a retention of their own.
func TestG26_Retention(t *testing.T) {
	for _, retention := range []time.Duration{0, time.Hour} {
		k := newKit()
		actorstest.Run(t, actors.Options{Functions: k.reg, Retention: retention, DeadRetention: -1, ClockCheck: time.Hour}, func(h *actorstest.Harness) {
			keep := retention
			if keep == 0 {
				keep = 7 * 24 * time.Hour
			}
			done := mustAfter(t, h, "acme", 0, addEntry.With("x"))
			dead := mustAfter(t, h, "acme", 0, failAlways.With("x"), dispatch.NoRetry())
			canceled := mustAfter(t, h, "acme", time.Hour, addEntry.With("x"))
			wantCancel(t, h, "acme", canceled, true, storage.StatePending)
			h.Settle()
			seen := func(want int) {
				t.Helper()
				jobs := h.Jobs("acme", storage.StateSuccess, storage.StateCanceled)
				l := must[ledger](t)(ledgerOf.Run(h.Caller("acme"), none{}))
				_, byID, err := h.Scheduler("acme").Get(done)
				if len(jobs) != want || len(l.Success) != want/2 || byID != (want > 0) || err != nil {
					t.Errorf("%v later: %d jobs are listed, %d in a query, found by id %v, %v; want %d", h.Now(), len(jobs), len(l.Success), byID, err, want)
				}
			}
			h.Advance(keep - time.Millisecond)
			seen(2)
			h.Advance(time.Millisecond)
			seen(0)
			h.Crash()
			seen(0)
			h.Advance(10 * keep)
			wantState(t, h, "acme", dead, storage.StateFailed, 1)
		})
	}
}

// G26: KeepFinished bounds the number of rows, the oldest go first, and due work
// does not wait for that.
func TestG26_KeepFinished(t *testing.T) {
	const keep, jobs = 100, 1000
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, KeepFinished: keep}, func(h *actorstest.Harness) {
		for i := range 4 {
			must[none](t)(k.scheduleMany(h, "acme", jobs/4, time.Duration(i)*time.Second, addEntry.With(fmt.Sprint("round ", i))))
		}
		h.Advance(5 * time.Second)
		h.Drain()
		if n := k.count("add"); n != jobs {
			t.Errorf("%d of %d jobs ran", n, jobs)
		}
		h.Advance(2 * time.Minute)
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "x")) // so that it looks
		h.Advance(2 * time.Minute)
		done := h.Jobs("acme", storage.StateSuccess)
		if len(done) > keep {
			t.Errorf("%d finished jobs are kept, want %d at most", len(done), keep)
		}
		for _, job := range done {
			if string(job.Args) != `"round 3"` {
				t.Errorf("an old job is kept: %s", job.Args)
			}
		}
		var names []string
		for _, job := range done {
			names = append(names, string(job.ID))
		}
		slices.Sort(names)
		if len(slices.Compact(names)) != len(done) {
			t.Error("a job is listed twice")
		}
	})
}
