package actors_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/storagetest"
)

// fakeLease is a lease that a test ends, in two steps: a real one does both at once, as far as
// goroutines know what that is.
type fakeLease struct {
	mu   sync.Mutex
	err  error
	lost chan struct{}
	term context.Context
	over context.CancelFunc
}

func (l *fakeLease) Held() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *fakeLease) Lost() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil {
		l.lost = make(chan struct{}) // of the bubble that asks
	}
	return l.lost
}

func (l *fakeLease) Term() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.term == nil || l.err == nil && l.term.Err() != nil {
		l.term, l.over = context.WithCancel(context.Background())
	}
	return l.term
}

// expire ends its term: what has begun in it is told.
func (l *fakeLease) expire() {
	l.Term()
	l.lapse(true)
	l.over()
}

// lapse has it be held no more, or again.
func (l *fakeLease) lapse(over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = nil
	if over {
		l.err = errors.New("the beat was not answered")
	}
}

// end is its end, told.
func (l *fakeLease) end() {
	l.expire()
	close(l.lost)
}

// isLapsed says whether err tells that the lease has ended.
func isLapsed(err error) bool {
	return err != nil && dispatch.AsError(err).Code == dispatch.CodeUnavailable && strings.Contains(err.Error(), "lease on the log")
}

// leaseKit are an engine's options with a lease, and functions that end it.
type leaseKit struct {
	*kit
	lease *fakeLease
	opts  actors.Options
}

var (
	leaseQuery  = dispatch.Query[none, int]("lease:query")
	leaseFails  = dispatch.Mutation[none, none]("lease:fails")
	leaseReads  = dispatch.Mutation[none, int]("lease:reads")
	leaseWrites = dispatch.Mutation[none, none]("lease:writes")
	leaseAct    = dispatch.Action[string, none]("lease:act")
	leaseWait   = dispatch.InternalAction[string, none]("lease:wait")
)

func newLeaseKit() *leaseKit {
	k := &leaseKit{kit: newKit(), lease: new(fakeLease)}
	leaseQuery.Handle(k.reg, func(ctx *dispatch.QueryCtx, _ none) (int, error) {
		n, err := entries.Query(ctx.DB).Count()
		k.lease.lapse(true)
		return n, err
	})
	leaseFails.Handle(k.reg, func(ctx *dispatch.MutationCtx, _ none) (none, error) {
		k.lease.lapse(true)
		return none{}, dispatch.Errorf(dispatch.CodeAlreadyExists, "there is one")
	})
	leaseReads.Handle(k.reg, func(ctx *dispatch.MutationCtx, _ none) (int, error) {
		n, err := entries.Query(ctx.DB).Count()
		k.lease.lapse(true)
		return n, err
	})
	leaseWrites.Handle(k.reg, func(ctx *dispatch.MutationCtx, _ none) (none, error) {
		_, err := entries.Insert(ctx.DB, entry{Name: "written"})
		k.lease.lapse(true)
		return none{}, err
	})
	leaseAct.Handle(k.reg, func(ctx *dispatch.ActionCtx, name string) (none, error) {
		k.note("act "+name, ctx.Job)
		return none{}, nil
	})
	leaseWait.Handle(k.reg, func(ctx *dispatch.ActionCtx, name string) (none, error) {
		k.note("begin "+name, ctx.Job)
		<-ctx.Done()
		k.note("end "+name+": "+context.Cause(ctx).Error(), ctx.Job)
		return none{}, ctx.Err()
	})
	k.opts = actors.Options{Functions: k.reg, Tables: []storage.Schema{entries}, Logger: quiet}
	k.opts.Testing.Lease = k.lease
	return k
}

// answers are the calls whose answer rests on what was read, by method.
func (k *leaseKit) answers(h *actorstest.Harness) map[string]func() error {
	ctx, eng, app, s := h.Context(), h.Engine, h.App("acme"), h.Scheduler("acme")
	instant, err := app.Instant(ctx)
	if err != nil {
		h.TB().Fatal(err)
	}
	scope := storage.Scope{App: true}
	first := func(_ any, err error) error { return err }
	second := func(_ any, _ bool, err error) error { return err }
	return map[string]func() error{
		"Engine.Apps":     func() error { return first(eng.Apps()) },
		"Engine.ListApps": func() error { return first(eng.ListApps(storage.AppFilter{})) },
		"Engine.AuditLog": func() error { return first(eng.AuditLog(storage.AuditFilter{})) },
		"Engine.Export":   func() error { return eng.Export(ctx, "acme", new(bytes.Buffer)) },
		"Engine.Backup":   func() error { return first(eng.Backup(ctx, new(bytes.Buffer), "")) },
		"Engine.Health":   eng.Health,

		"App.Exists":    func() error { return first(app.Exists()) },
		"App.Call":      func() error { return first(app.Call(ctx, "kit:list", nil, nil)) },
		"App.Invoke":    func() error { return first(listEntries.Run(app.As(ctx, nil), none{})) },
		"App.Read":      func() error { return app.Read(ctx, func(storage.Reader) error { return nil }) },
		"App.Status":    func() error { return second(app.Status(ctx)) },
		"App.Inspect":   func() error { return first(app.Inspect(ctx)) },
		"App.Tables":    func() error { return first(app.Tables(ctx)) },
		"App.Documents": func() error { return first(app.Documents(ctx, storage.DocumentQuery{Table: "entries"})) },
		"App.Document": func() error {
			_, err := app.Document(ctx, "entries", "1")
			if !isLapsed(err) {
				return nil // it may say what it likes
			}
			return err
		},
		"App.Pauses":  func() error { return first(app.Pauses(ctx)) },
		"App.Pools":   func() error { return first(app.Pools(ctx)) },
		"App.Instant": func() error { return first(app.Instant(ctx)) },
		"App.CallAt":  func() error { return first(app.CallAt(ctx, instant, "kit:list", nil, nil)) },
		"App.Watch": func() error {
			for e, err := range app.Watch(ctx, storage.JobFilter{}) {
				if err != nil || e.Kind == actors.EventReady {
					return err
				}
			}
			return nil
		},
		"App.Subscribe": func() error {
			for _, err := range app.Subscribe(ctx, "kit:list", nil, nil) {
				return err
			}
			return nil
		},
		"App.Wait": func() error {
			page, err := s.List(storage.JobFilter{States: []storage.State{storage.StateSuccess}})
			if err != nil {
				return err
			}
			return first(app.Wait(ctx, page.Jobs[0].ID))
		},

		"HostScheduler.List":           func() error { return first(s.List(storage.JobFilter{})) },
		"HostScheduler.Get":            func() error { return second(s.Get("none")) },
		"HostScheduler.Scan":           func() error { return first(s.Scan(storage.JobFilter{}, true)) },
		"HostScheduler.CountJobs":      func() error { return first(s.CountJobs(storage.JobFilter{})) },
		"HostScheduler.CountOperation": func() error { return first(s.CountOperation(actors.Operation{Action: storage.OperationCancel})) },
		"HostScheduler.Operation":      func() error { return second(s.Operation(1)) },
		"HostScheduler.Operations":     func() error { return first(s.Operations(storage.OperationFilter{})) },
		"HostScheduler.Pauses":         func() error { return first(s.Pauses()) },
		"HostScheduler.Group":          func() error { return second(s.Group(1)) },
		"HostScheduler.Groups":         func() error { return first(s.Groups(storage.GroupFilter{})) },
		// These find nothing to change, which they have read.
		"HostScheduler.Cancel":          func() error { return first(s.Cancel("none")) },
		"HostScheduler.CancelMany":      func() error { return first(s.CancelMany(storage.JobFilter{})) },
		"HostScheduler.RetryMany":       func() error { return first(s.RetryMany(storage.JobFilter{})) },
		"HostScheduler.DropMany":        func() error { return first(s.DropMany(storage.JobFilter{})) },
		"HostScheduler.RetryDead":       func() error { return first(s.RetryDead("none")) },
		"HostScheduler.DropDead":        func() error { return first(s.DropDead("none")) },
		"HostScheduler.Reschedule":      func() error { return first(s.Reschedule("none", dispatch.DueAt(h.Now()))) },
		"HostScheduler.CancelOperation": func() error { return first(s.CancelOperation(1)) },
		"HostScheduler.Resume":          func() error { return first(s.Resume(scope)) },
		"HostScheduler.ClearPoolLimit":  func() error { return first(s.ClearPoolLimit("none")) },
		"App.Resume":                    func() error { return first(app.Resume(ctx, scope)) },
		"App.ClearPoolLimit":            func() error { return first(app.ClearPoolLimit(ctx, "none")) },
		"HostScheduler.Crons": func() error {
			if err := second(s.Crons().Get("none")); err != nil {
				return err
			}
			return errors.Join(first(s.Crons().List()))
		},
	}
}

// noAnswers are the other methods, and why they need no lease.
var noAnswers = map[string]string{}

func init() {
	for why, names := range map[string]string{
		"it writes, and the log refuses it": "Engine.Create Engine.Import Engine.Delete Engine.Audit Engine.AcceptClock App.EditDocument App.Pause App.LimitPool App.Complete App.Fail App.CompleteWorkflow " +
			"HostScheduler.RunAfter HostScheduler.RunAt HostScheduler.RunMany HostScheduler.Pause HostScheduler.LimitPool HostScheduler.NewGroup HostScheduler.Seal HostScheduler.CancelGroup HostScheduler.Operate",
		"it tells of this process, or this copy": "Engine.App Engine.Check Engine.Close Engine.Closing Engine.Held Engine.Lost Engine.Clock Engine.Functions Engine.FunctionStats Engine.Volumes Engine.Warnings Engine.History Engine.AppHistory Engine.Pool Engine.SharedPools " +
			"Engine.Stats Engine.VolumeStats Engine.Options Engine.Depth Engine.Survey Engine.Running Engine.Stuck Engine.Tokens Engine.Ping Engine.Changes App.ID App.As App.Begun App.Scheduler App.Live HostScheduler.As HostScheduler.Abandon HostScheduler.AbandonCall",
		"it asks the log itself":            "Engine.Shared Engine.Standing Engine.Leave",
		"it is another one with a position": "App.WatchAfter",
		"it is asked within App.Read":       "App.Planned",
	} {
		for _, name := range strings.Fields(names) {
			noAnswers[name] = why
		}
	}
}

// TestG44_NoAnswerWithoutTheLease: of every method that answers from what was read, with the
// lease and without. Each new method has to say which it is.
func TestG44_NoAnswerWithoutTheLease(t *testing.T) {
	k := newLeaseKit()
	actorstest.Run(t, k.opts, func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", 0, addEntry.With("x"))
		h.Settle()
		answers := k.answers(h)
		for _, of := range []any{h.Engine, h.App("acme"), h.Scheduler("acme")} {
			typ := reflect.TypeOf(of)
			for i := range typ.NumMethod() {
				name := typ.Elem().Name() + "." + typ.Method(i).Name
				if _, ok := noAnswers[name]; ok == (answers[name] != nil) {
					t.Errorf("%s is in both lists, or in none: does its answer need the lease?", name)
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(answers)) {
			if err := answers[name](); err != nil {
				t.Errorf("%s with the lease: %v", name, err)
			}
			k.lease.lapse(true)
			if err := answers[name](); !isLapsed(err) {
				t.Errorf("%s without the lease: %v, want that it has ended", name, err)
			}
			k.lease.lapse(false)
		}
		if h.Engine.Closing() {
			t.Error("the engine closes though its lease has not ended")
		}
	})
}

// TestG44_TheLeaseIsLookedAtAfterReading: it is there when the read begins and not when it ends.
func TestG44_TheLeaseIsLookedAtAfterReading(t *testing.T) {
	k := newLeaseKit()
	actorstest.Run(t, k.opts, func(h *actorstest.Harness) {
		for name, call := range map[string]func() error{
			"a query":                        func() error { _, err := leaseQuery.Run(h.Caller("acme"), none{}); return err },
			"a mutation that fails":          func() error { _, err := leaseFails.Run(h.Caller("acme"), none{}); return err },
			"a mutation that writes nothing": func() error { _, err := leaseReads.Run(h.Caller("acme"), none{}); return err },
			"App.Read": func() error {
				return h.App("acme").Read(h.Context(), func(storage.Reader) error { k.lease.lapse(true); return nil })
			},
		} {
			if err := call(); !isLapsed(err) {
				t.Errorf("%s: %v, want that the lease has ended", name, err)
			}
			k.lease.lapse(false)
		}
		if _, err := leaseWrites.Run(h.Caller("acme"), none{}); err != nil {
			t.Errorf("a mutation that the log has taken: %v", err)
		}
		k.lease.lapse(false)
		for range 2 { // an export of several pieces
			mustAfter(t, h, "acme", time.Hour, leaseAct.With(strings.Repeat("x", 700<<10)))
		}
		w := &lapsingWriter{lease: k.lease}
		if err := h.Engine.Export(h.Context(), "acme", w); !isLapsed(err) || w.n != 1 {
			t.Errorf("an export: %v, and %d pieces of it behind the end of the lease", err, w.n-1)
		}
		k.lease.lapse(false)
	})
}

// lapsingWriter ends the lease when it is first written to.
type lapsingWriter struct {
	lease *fakeLease
	n     int
}

func (w *lapsingWriter) Write(p []byte) (int, error) {
	w.n++
	w.lease.lapse(true)
	return len(p), nil
}

// TestG44_NothingIsToldWithoutTheLease: what waits for news is told none once the lease has
// ended, though a commit makes some, and ends when the engine knows.
func TestG44_NothingIsToldWithoutTheLease(t *testing.T) {
	k := newLeaseKit()
	actorstest.Run(t, k.opts, func(h *actorstest.Harness) {
		app := h.App("acme")
		job := mustAfter(t, h, "acme", time.Hour, addEntry.With("later"))
		other := mustAfter(t, h, "acme", 3*time.Hour, addEntry.With("much later"))
		var told, shown, ended []error
		var results []json.RawMessage
		var events int
		go func() {
			for _, err := range app.Watch(h.Context(), storage.JobFilter{}) {
				if err == nil {
					events++
				} else {
					told = append(told, err)
				}
			}
		}()
		live := app.Live(nil)
		defer live.Close()
		if _, err := live.Change([]actors.LiveQuery{{ID: 1, Path: "kit:list"}}, nil); err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				tr, err := live.Next(h.Context())
				if err != nil {
					shown = append(shown, err)
					return
				}
				results = append(results, tr.Changed[0].Value)
			}
		}()
		for _, id := range []storage.JobID{job, other} {
			go func() {
				_, err := app.Wait(h.Context(), id)
				ended = append(ended, err)
			}()
		}
		// A watch that is idle, and a live query, hear of the end by Lost alone.
		var idle []error
		go func() {
			for _, err := range app.Watch(h.Context(), storage.JobFilter{Tags: []string{"none"}}) {
				if err != nil {
					idle = append(idle, err)
				}
			}
		}()
		h.Settle()
		before := events
		if before == 0 || len(results) != 1 {
			t.Fatalf("%d events and %d results to begin with", before, len(results))
		}
		k.lease.lapse(true)
		// The log still takes it: no other node has claimed it.
		if _, err := addEntry.Run(h.Caller("acme"), "now"); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Scheduler("acme").Cancel(job); err != nil {
			t.Fatal(err)
		}
		h.Settle()
		if events != before || len(results) != 1 {
			t.Errorf("%d events and %d results were told without the lease", events-before, len(results)-1)
		}
		if len(told) != 1 || !isLapsed(told[0]) || len(shown) != 1 || !isLapsed(shown[0]) || len(ended) != 1 || !isLapsed(ended[0]) {
			t.Errorf("the watch was told %v, the live query %v, the wait %v", told, shown, ended)
		}
		if len(idle) != 0 {
			t.Errorf("an idle watch has ended: %v", idle)
		}
		k.lease.end()
		h.Settle()
		if len(idle) != 1 || !isLapsed(idle[0]) || len(ended) != 2 || !isLapsed(ended[1]) {
			t.Errorf("when the lease has ended an idle watch is told %v, and a wait %v", idle, ended)
		}
	})
}

// TestG44_NothingBeginsWithoutTheLease: neither a job nor an action that a client calls. Jobs wait
// until it is held again, and are charged nothing, an at-most-once job included.
func TestG44_NothingBeginsWithoutTheLease(t *testing.T) {
	k := newLeaseKit()
	actorstest.Run(t, k.opts, func(h *actorstest.Harness) {
		jobs := map[string]storage.JobID{
			"mutation":     mustAfter(t, h, "acme", time.Hour, addEntry.With("mutation")),
			"action":       mustAfter(t, h, "acme", time.Hour, leaseAct.With("job")),
			"at most once": mustAfter(t, h, "acme", time.Hour, leaseAct.With("once"), dispatch.AtMostOnce()),
		}
		h.Advance(time.Hour - time.Millisecond)
		k.lease.lapse(true)
		if _, err := leaseAct.Run(h.Caller("acme"), "called"); !isLapsed(err) {
			t.Errorf("an action that a client calls: %v", err)
		}
		h.Advance(time.Minute)
		if got := k.noted(""); len(got) != 0 {
			t.Errorf("without the lease these have begun: %q", got)
		}
		k.lease.lapse(false)
		h.Advance(100 * time.Millisecond)
		for name, id := range jobs {
			if job := h.Job("acme", id); job.State != storage.StateSuccess || job.Attempts != 1 || job.Interruptions != 0 {
				t.Errorf("%s: %s after %d attempts and %d interruptions", name, job.State, job.Attempts, job.Interruptions)
			}
		}
	})
}

// TestG44_ALapseCutsActionsOff: they are told, and the engine goes on when the lease is held
// again. A job that was cut off is run again, uncharged.
func TestG44_ALapseCutsActionsOff(t *testing.T) {
	k := newLeaseKit()
	actorstest.Run(t, k.opts, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, leaseWait.With("job"))
		h.Settle()
		k.lease.expire()
		h.Settle()
		if got := k.noted("end"); len(got) != 1 || !strings.Contains(got[0], "lease on the log") {
			t.Errorf("it ended for %q", got)
		}
		h.Advance(10 * time.Second)
		if k.count("begin") != 1 {
			t.Error("it has begun again without the lease")
		}
		k.lease.lapse(false)
		h.Advance(10 * time.Second)
		if job := h.Job("acme", id); k.count("begin") != 2 || job.State != storage.StateRunning || job.Interruptions != 0 {
			t.Errorf("it has begun %d times and is %s, with %d interruptions by crashes", k.count("begin"), job.State, job.Interruptions)
		}
		k.lease.end()
	})
}

// renew is the next engine, with a new lease.
func (k *leaseKit) renew(h *actorstest.Harness) {
	h.Reconfigure(func(o *actors.Options) {
		k.lease = new(fakeLease)
		o.Testing.Lease = k.lease
	})
}

// TestG44_ActionsEndWithTheLease: their contexts do, with that cause; what has returned is written
// down, since the log still takes it, and charged to no job; an at-most-once job has failed and is
// never run again. The engine ends soon, whatever runs.
func TestG44_ActionsEndWithTheLease(t *testing.T) {
	k := newLeaseKit()
	actorstest.Run(t, k.opts, func(h *actorstest.Harness) {
		if h.Engine.Lost() == nil {
			t.Fatal("an engine with a lease can lose it")
		}
		again := mustAfter(t, h, "acme", 0, leaseWait.With("again"))
		once := mustAfter(t, h, "acme", 0, leaseWait.With("once"), dispatch.AtMostOnce())
		h.Settle()
		called := make(chan error, 1)
		go func() {
			_, err := leaseWait.Run(h.Caller("acme"), "called")
			called <- err
		}()
		h.Settle()
		if k.count("begin") != 3 {
			t.Fatalf("have begun: %q", k.noted(""))
		}
		k.lease.end()
		<-h.Engine.Lost()
		h.Settle()
		if !h.Engine.Closing() {
			t.Error("the engine goes on")
		}
		begin := time.Now()
		if err := h.Engine.Close(h.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("close of an engine that is lost takes %v", took)
		}
		if got := k.noted("end"); len(got) != 3 || !strings.Contains(got[0], "lease on the log") {
			t.Errorf("they ended for %q", got)
		}
		if err := <-called; dispatch.AsError(err).Code != dispatch.CodeUnavailable {
			t.Errorf("the action that was called: %v", err)
		}
		if _, err := listEntries.Run(h.Caller("acme"), none{}); !isLapsed(err) {
			t.Errorf("a call of the engine that is lost: %v", err)
		}
		k.renew(h)
		if job := h.Job("acme", once); job.State != storage.StateFailed {
			t.Errorf("the at-most-once job is %s", job.State)
		}
		if job := h.Job("acme", again); job.State.Ended() || job.Interruptions != 0 || len(job.History) != 1 || !job.History[0].Interrupted {
			t.Errorf("the other job is %s, with %d interruptions by crashes, after %+v", job.State, job.Interruptions, job.History)
		}
		h.Advance(time.Minute)
		if got := k.noted("begin"); len(got) != 4 || got[3] != "begin again" {
			t.Errorf("have begun: %q", got)
		}
		k.lease.end()
	})
}

// TestWithoutALeaseNothingIsLost: a store that no other node can own.
func TestWithoutALeaseNothingIsLost(t *testing.T) {
	storagetest.NeedsFiles(t, "that has a lease")
	actorstest.Run(t, actors.Options{Functions: newKit().reg}, func(h *actorstest.Harness) {
		if h.Engine.Lost() != nil {
			t.Error("the engine may be lost")
		}
	})
}
