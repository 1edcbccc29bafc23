package actors_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/memlog"
)

// member is a node of a cluster under test.
type member struct {
	t    *testing.T
	node *actors.Node
	eng  *actors.Engine
}

// join joins the log, in the bubble that runs.
func join(t *testing.T, log *memlog.Log, name string, opts actors.Options) *member {
	t.Helper()
	opts.Log, opts.Node = log, storage.Node{Name: name}
	opts.Logger, opts.ClockCheck = cmp.Or(opts.Logger, quiet), time.Hour
	opts.Testing.NoSync, opts.Testing.Clock, opts.Testing.Suspended = true, time.Now, func() time.Duration { return 0 }
	node, err := actors.Join(t.Context(), t.TempDir(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return &member{t: t, node: node}
}

// own waits until the node owns the store, and returns how long that took.
func (m *member) own() time.Duration {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	began := time.Now()
	eng, err := m.node.Engine(ctx)
	if err != nil {
		m.t.Fatal(err)
	}
	m.eng = eng
	return time.Since(began)
}

// giveUp closes the engine.
func (m *member) giveUp() {
	m.t.Helper()
	if err := m.eng.Close(m.t.Context()); err != nil {
		m.t.Errorf("close: %v", err)
	}
}

func (m *member) leave() {
	m.t.Helper()
	if err := m.node.Close(); err != nil {
		m.t.Errorf("leave: %v", err)
	}
}

func (m *member) app() *actors.App {
	m.t.Helper()
	app, err := m.eng.App("acme")
	if err != nil {
		m.t.Fatal(err)
	}
	return app
}

func (m *member) names() ([]string, error) {
	return listEntries.Run(m.app().As(m.t.Context(), nil), none{})
}

func (m *member) add(name string) error {
	_, err := addEntry.Run(m.app().As(m.t.Context(), nil), name)
	return err
}

func (m *member) schedule(d time.Duration, call dispatch.Call, opts ...dispatch.RunOption) storage.JobID {
	m.t.Helper()
	id, err := m.app().Scheduler(m.t.Context()).RunAfter(d, call, opts...)
	if err != nil {
		m.t.Error(err) // some call it beside the test
	}
	return id
}

func (m *member) job(id storage.JobID) storage.Job {
	m.t.Helper()
	job, _, err := m.app().Scheduler(m.t.Context()).Get(id)
	if err != nil {
		m.t.Fatal(err)
	}
	return job
}

// TestG44_AnotherNodeTakesOver: of a node that does not reach the log any more. When the other one
// owns the store, the first has told its actions to stop and answers nothing; nothing that it has
// acknowledged is lost, what it had begun is interrupted, an at-most-once job is not run again, and
// what is due goes on. When it reaches the log again it is lost, and stands by for the next turn.
func TestG44_AnotherNodeTakesOver(t *testing.T) {
	k := newLeaseKit()
	k.opts.Testing.Lease = nil
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(2)
		a, b := join(t, log, "a", k.opts), join(t, log, "b", k.opts)
		defer a.leave()
		defer b.leave()
		a.own()
		if err := a.add("of a"); err != nil {
			t.Fatal(err)
		}
		again := a.schedule(0, leaseWait.With("again"))
		once := a.schedule(0, leaseWait.With("once"), dispatch.AtMostOnce())
		later := a.schedule(20*time.Second, addEntry.With("later"))
		var position actors.Position
		for e, err := range a.app().Watch(t.Context(), storage.JobFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			if position = e.Position; e.Kind == actors.EventReady {
				break
			}
		}
		shown := a.show()
		synctest.Wait()

		log.Cut("a")
		took := b.own()
		synctest.Wait()
		if got := k.noted("end"); len(got) != 2 || !strings.Contains(got[0], "lease on the log") {
			t.Errorf("when b owns the store the actions of a have ended for %q", got)
		}
		if _, err := a.names(); !isLapsed(err) {
			t.Errorf("then a query of a: %v", err)
		}
		if took > 7*time.Second {
			t.Errorf("b owns the store after %v", took)
		}
		if names, err := b.names(); err != nil || !slices.Equal(names, []string{"of a"}) {
			t.Errorf("b shows %q, %v", names, err)
		}
		if err := a.add("too late"); err == nil {
			t.Error("a mutation of a is acknowledged")
		}
		if err := b.add("of b"); err != nil {
			t.Errorf("a mutation of b: %v", err)
		}
		time.Sleep(30 * time.Second)
		if job := b.job(once); job.State != storage.StateFailed || k.count("begin once") != 1 {
			t.Errorf("the at-most-once job is %s and has begun %d times", job.State, k.count("begin once"))
		}
		if job := b.job(again); job.State != storage.StateRunning || k.count("begin again") != 2 {
			t.Errorf("the other job is %s and has begun %d times", job.State, k.count("begin again"))
		}
		if job := b.job(later); job.State != storage.StateSuccess || job.Attempts != 1 {
			t.Errorf("the job that was due later is %s after %d attempts", job.State, job.Attempts)
		}
		for e, err := range b.app().WatchAfter(t.Context(), storage.JobFilter{}, position) {
			if err != nil || e.Kind != actors.EventRetried {
				t.Errorf("a watch goes on at b with %v, %v", e.Kind, err)
			}
			break
		}
		if now := b.show(); now.Commit < shown.Commit {
			t.Errorf("live queries are as of %d at b, and of %d at a", now.Commit, shown.Commit)
		}

		log.Heal()
		select {
		case <-a.eng.Lost():
		case <-time.After(time.Minute):
			t.Error("a does not know that it has lost the store")
		}
		a.giveUp()
		b.giveUp()
		if took := a.own(); took > time.Second {
			t.Errorf("a owns the store %v after b has given it up", took)
		}
		if names, err := a.names(); err != nil || !slices.Equal(names, []string{"of a", "of b", "later"}) {
			t.Errorf("a shows %q, %v", names, err)
		}
		a.giveUp()
	})
}

// TestG43_OpenIsANode: Open with a log serves at once, a standby owns the store as soon as the engine is closed, and the
// other way; an engine that has lost its store ends, and another one can be opened in its directory.
func TestG43_OpenIsANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, dir := memlog.New(2), t.TempDir()
		opts := actors.Options{Functions: newKit().reg, Log: log, Node: storage.Node{Name: "a"}, Logger: quiet, ClockCheck: time.Hour}
		opts.Testing.NoSync, opts.Testing.Clock, opts.Testing.Suspended = true, time.Now, func() time.Duration { return 0 }
		if _, err := actors.Open(dir, actors.Options{Functions: opts.Functions, Log: log}); err == nil || !strings.Contains(err.Error(), "Node.Name") {
			t.Errorf("without a name: %v", err)
		}
		b := join(t, log, "b", actors.Options{Functions: newKit().reg})
		defer b.leave()
		a := &member{t: t}
		open := func() {
			t.Helper()
			a.eng = must[*actors.Engine](t)(actors.Open(dir, opts))
		}
		open()
		if err := a.add("of a"); err != nil || !a.eng.Shared() {
			t.Error(err)
		}
		a.giveUp()
		if took := b.own(); took > time.Second {
			t.Errorf("b owns the store %v after a was closed", took)
		}
		if _, err := actors.Open(dir, opts); !errors.Is(err, storage.ErrLocked) || !strings.Contains(err.Error(), "node b") {
			t.Errorf("while b owns it: %v", err)
		}
		b.giveUp()
		open()
		log.Cut("a")
		b.own()
		log.Heal()
		<-a.eng.Lost()
		if err := a.add("too late"); err == nil || dispatch.AsError(err).Code != dispatch.CodeUnavailable {
			t.Errorf("a mutation of an engine that has lost its store: %v", err)
		}
		_ = a.eng.Close(t.Context()) // says that what it owned was lost
		b.giveUp()
		open()
		if names, err := a.names(); err != nil || !slices.Equal(names, []string{"of a"}) {
			t.Errorf("a shows %q, %v", names, err)
		}
		a.giveUp()
	})
}

// TestG44_AnOutageEnds: while no node reaches the log, or no other one takes the store over, the
// owner answers for as long as its lease lasts, waits, and goes on when it reaches the log again.
func TestG44_AnOutageEnds(t *testing.T) {
	k := newLeaseKit()
	k.opts.Testing.Lease = nil
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(2)
		a := join(t, log, "a", k.opts)
		defer a.leave()
		a.own()
		if err := a.add("before"); err != nil {
			t.Fatal(err)
		}
		id := a.schedule(0, leaseWait.With("job"))
		due := a.schedule(10*time.Second, addEntry.With("due"))
		synctest.Wait()
		log.Cut("a")
		time.Sleep(2500 * time.Millisecond)
		if names, err := a.names(); err != nil || len(names) != 1 {
			t.Errorf("while the lease lasts: %q, %v", names, err)
		}
		time.Sleep(1700 * time.Millisecond)
		synctest.Wait()
		if _, err := a.names(); !isLapsed(err) || k.count("end") != 1 {
			t.Errorf("when it has lapsed: %v, and the actions have ended for %q", err, k.noted("end"))
		}
		time.Sleep(20 * time.Second)
		if got := k.noted(""); len(got) != 3 {
			t.Errorf("meanwhile: %q", got)
		}
		log.Heal()
		time.Sleep(10 * time.Second)
		if names, err := a.names(); err != nil || !slices.Equal(names, []string{"before", "due"}) {
			t.Errorf("after the outage: %q, %v", names, err)
		}
		if job := a.job(due); job.State != storage.StateSuccess || job.Attempts != 1 || job.Interruptions != 0 {
			t.Errorf("the job that became due is %s after %d attempts", job.State, job.Attempts)
		}
		if job := a.job(id); job.State != storage.StateRunning || job.Interruptions != 0 {
			t.Errorf("the job that was cut off is %s, with %d interruptions by crashes", job.State, job.Interruptions)
		}
		select {
		case <-a.eng.Lost():
			t.Error("the store is lost")
		default:
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // the action waits to be told
		if err := a.eng.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

// show is the first transition of a live query.
func (m *member) show() actors.Transition {
	m.t.Helper()
	live := m.app().Live(nil)
	defer live.Close()
	if _, err := live.Change([]actors.LiveQuery{{ID: 1, Path: "kit:list"}}, nil); err != nil {
		m.t.Fatal(err)
	}
	tr, err := live.Next(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	return tr
}

// watching reads a watch for a minute, or until it has told n events that are neither of a snapshot
// nor ephemeral.
func (m *member) watching(f storage.JobFilter, after actors.Position, n int) (events []actors.Event, resets int, ready actors.Position) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	for e, err := range m.app().WatchAfter(ctx, f, after) {
		switch {
		case ctx.Err() != nil:
			return events, resets, ready // it has no more to tell
		case err != nil:
			m.t.Fatalf("the watch of %d events has told %+v, and ends: %v", n, events, err)
		case e.Kind == actors.EventReset:
			resets++
		case e.Kind == actors.EventReady:
			ready = e.Position
		case e.Kind != actors.EventJob && !e.Ephemeral():
			events = append(events, e)
		}
		if len(events) == n && (!ready.IsZero() || resets == 0) {
			break
		}
	}
	return events, resets, ready
}

// kindsOf are the events in short, with the tag of the job.
func kindsOf(events []actors.Event) (kinds []string) {
	for _, e := range events {
		kinds = append(kinds, string(e.Kind)+" "+strings.Join(e.Job.Tags, ""))
	}
	slices.Sort(kinds)
	return kinds
}

// TestG36_AWatchGoesOnAtAnotherNode: behind a snapshot, or behind the last change of a commit, from
// where it is told once what has become of each job, all in all; and from there on as ever. It
// begins anew behind a change in the midst of a commit, behind one of another history, and where a
// job is gone of which the log does not say what it was.
func TestG36_AWatchGoesOnAtAnotherNode(t *testing.T) {
	k, f := newLeaseKit(), newFaults()
	k.opts.Testing.Lease, k.opts.Testing.Fault, k.opts.Volumes = nil, f.ask, 0
	falls, attempts := dispatch.InternalMutation[none, none]("entries:fall"), 0
	falls.Handle(k.reg, func(*dispatch.MutationCtx, none) (none, error) {
		if attempts++; attempts == 1 {
			return none{}, dispatch.Permanent(errors.New("the first time"))
		}
		return none{}, nil
	})
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(1)
		a, b := join(t, log, "a", k.opts), join(t, log, "b", k.opts)
		defer a.leave()
		defer b.leave()
		a.own()
		call, later := addEntry.With("x"), time.Hour
		fell := a.schedule(later, falls.With(none{}), dispatch.Tags("fell"))
		moved, dropped, stays := a.schedule(later, call, dispatch.Tags("moved")), a.schedule(later, call, dispatch.Tags("dropped")), a.schedule(later, call, dispatch.Tags("stays"))
		_, resets, ready := a.watching(storage.JobFilter{}, actors.Position{}, 0)
		if resets != 1 || ready.Log == 0 {
			t.Fatalf("the watch at a begins %d times, and is ready at %+v", resets, ready)
		}

		// Three change sets, of which two are one commit.
		release := f.hold()
		for _, tag := range []string{"first", "second", "third"} {
			go a.schedule(later, call, dispatch.Tags(tag))
			synctest.Wait()
		}
		release()
		synctest.Wait()
		if _, err := a.app().Scheduler(t.Context()).Reschedule(moved, dispatch.DueIn(2*later)); err != nil {
			t.Fatal(err)
		}
		if _, err := a.app().Scheduler(t.Context()).Cancel(dropped); err != nil {
			t.Fatal(err)
		}
		done := a.schedule(0, call, dispatch.Tags("done"))
		if err := a.add("a document"); err != nil {
			t.Fatal(err)
		}
		events, resets, _ := a.watching(storage.JobFilter{}, ready, 7)
		if got := kindsOf(events); resets != 0 || !slices.Equal(got, []string{"canceled dropped", "ended done", "rescheduled moved", "scheduled done", "scheduled first", "scheduled second", "scheduled third"}) {
			t.Fatalf("a watch at a tells %q, and begins %d times anew", got, resets)
		}
		second, third := events[1].Position, events[2].Position
		if second.Commit != third.Commit || second.Log != 0 || third.Log == 0 {
			t.Fatalf("the changes of one commit are at %+v and %+v", second, third)
		}

		// One that has been through three regions.
		if _, err := a.app().Scheduler(t.Context()).Reschedule(fell, dispatch.DueIn(0)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if ok, err := a.app().Scheduler(t.Context()).RetryDead(fell); err != nil || !ok {
			t.Fatal(ok, err)
		}
		synctest.Wait()

		log.Cut("a")
		b.own()
		events, resets, _ = b.watching(storage.JobFilter{}, ready, 7)
		if got := kindsOf(events); resets != 0 || !slices.Equal(got, []string{"canceled dropped", "ended done", "ended fell", "rescheduled moved", "scheduled first", "scheduled second", "scheduled third"}) {
			t.Fatalf("the watch goes on at b with %q, and begins %d times anew", got, resets)
		}
		at := events[6].Position
		if at.Log == 0 || at.Compare(third) <= 0 || !events[5].Position.IsZero() {
			t.Errorf("the last event is at %+v, the one before at %+v", at, events[5].Position)
		}
		events, resets, _ = b.watching(storage.JobFilter{}, third, 4)
		if got := kindsOf(events); resets != 0 || !slices.Equal(got, []string{"canceled dropped", "ended done", "ended fell", "rescheduled moved"}) {
			t.Errorf("behind a commit it goes on at b with %q, and begins %d times anew", got, resets)
		}
		events, resets, _ = b.watching(storage.JobFilter{Tags: []string{"fell"}, States: []storage.State{storage.StatePending}}, third, 1)
		if got := kindsOf(events); resets != 0 || !slices.Equal(got, []string{"ended fell"}) {
			t.Errorf("who watches what is pending is told at b %q, and begins %d times anew", got, resets)
		}
		events, resets, _ = b.watching(storage.JobFilter{Tags: []string{"done"}, States: []storage.State{storage.StatePending}}, third, 0)
		if len(events) != 0 || resets != 0 {
			t.Errorf("with a filter that chooses none it tells %q, and begins %d times anew", kindsOf(events), resets)
		}
		if job := b.job(done); job.State != storage.StateSuccess {
			t.Errorf("the job is %s", job.State)
		}
		go b.schedule(later, call, dispatch.Tags("of b"))
		if events, resets, _ = b.watching(storage.JobFilter{}, at, 1); resets != 0 || len(events) != 1 || events[0].Job.Tags[0] != "of b" || events[0].Kind != actors.EventScheduled {
			t.Errorf("from there on it tells %q, and begins %d times anew", kindsOf(events), resets)
		}
		other := third
		other.Log ^= 1 << 40
		for why, from := range map[string]actors.Position{"in the midst of a commit": second, "of another history": other} {
			if _, resets, _ = b.watching(storage.JobFilter{}, from, 0); resets != 1 {
				t.Errorf("%s: the watch begins %d times anew", why, resets)
			}
		}

		if n, err := b.app().Scheduler(t.Context()).Cancel(stays); err != nil || !n.Canceled {
			t.Fatal(n, err)
		}
		b.giveUp()
		log.Heal()
		<-a.eng.Lost()
		a.giveUp()
		a.own()
		events, resets, _ = a.watching(storage.JobFilter{}, at, 2)
		if got := kindsOf(events); resets != 0 || !slices.Equal(got, []string{"canceled stays", "scheduled of b"}) {
			t.Fatalf("the watch goes on at a with %q, and begins %d times anew", got, resets)
		}
		last := events[1].Position
		if err := a.eng.Delete(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		if _, resets, _ = a.watching(storage.JobFilter{}, last, 0); resets != 1 {
			t.Errorf("when the app was deleted the watch begins %d times anew", resets)
		}
		a.giveUp()
	})
}
