package actors_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/storagetest"
)

// watched is a call of App.Watch, and what it was told of.
type watched struct {
	filter storage.JobFilter
	stop   context.CancelFunc
	slow   chan struct{} // the loop waits for it to be closed; nil: it does not
	done   chan struct{}

	mu     sync.Mutex
	jobs   map[uint64]storage.Job
	events []actors.Event
	resets []string
	ready  bool
	latest uint64 // of their numbers
	last   actors.Position
	faults []string
	err    error
}

// watch begins to watch, behind the position if that is one.
func watch(h *actorstest.Harness, f storage.JobFilter, after actors.Position) *watched {
	w := newWatched(f)
	w.begin(h, after)
	return w
}

func newWatched(f storage.JobFilter) *watched {
	return &watched{filter: f, jobs: map[uint64]storage.Job{}, done: make(chan struct{})}
}

func (w *watched) begin(h *actorstest.Harness, after actors.Position) {
	ctx, stop := context.WithCancel(h.Context())
	w.stop = stop
	w.ready = !after.IsZero()
	w.last = after
	app := h.App("acme")
	go func() {
		defer close(w.done)
		for e, err := range app.WatchAfter(ctx, w.filter, after) {
			w.mu.Lock()
			if err != nil {
				w.err = err
				w.mu.Unlock()
				return
			}
			w.take(e)
			slow := w.slow
			w.mu.Unlock()
			if slow != nil {
				<-slow
			}
		}
	}()
	h.Settle()
}

// take applies the event to what the watch knows, and notes what does not follow from that.
func (w *watched) take(e actors.Event) {
	fault := func(why string) {
		w.faults = append(w.faults, fmt.Sprintf("%s of job %d (%s, %s): %s", e.Kind, e.Job.Seq(), e.Job.Function, e.Job.State, why))
	}
	w.events = append(w.events, e)
	seq := e.Job.Seq()
	was, known := w.jobs[seq]
	switch e.Kind {
	case actors.EventReset:
		w.jobs, w.ready, w.latest = map[uint64]storage.Job{}, false, 0
		w.resets = append(w.resets, e.Reason)
		return
	case actors.EventJob:
		if known || w.ready {
			fault("a job of a snapshot is told twice, or outside of it")
		}
		w.jobs[seq] = e.Job
		w.latest = max(w.latest, seq)
		return
	case actors.EventReady:
		w.ready, w.last = true, e.Position
		return
	}
	if !w.ready {
		fault("a change is told before the snapshot is")
	}
	if e.Ephemeral() {
		if !e.Position.IsZero() {
			fault("what is ephemeral has a position")
		}
	} else {
		if e.Position.Compare(w.last) <= 0 || e.Position.Feed != w.last.Feed && !storagetest.SharedLog() {
			fault(fmt.Sprintf("its position %v is not behind %v", e.Position, w.last))
		}
		w.last = e.Position
	}
	// A filter of states does not choose a job for its whole life. A job that is not known
	// is new, and was scheduled in that commit.
	if e.Kind == actors.EventProgressed && !known {
		fault("it is not known")
	}
	fresh := seq > w.latest
	w.latest = max(w.latest, seq)
	if len(w.filter.States) == 0 && (known == fresh || e.Kind == actors.EventScheduled && !fresh) {
		if e.Kind != actors.EventPurged { // one past its retention is in no snapshot
			fault(fmt.Sprintf("the job is known: %v, and new: %v", known, fresh))
		}
	}
	before := map[actors.EventKind][]storage.State{
		actors.EventRescheduled: {storage.StatePending, storage.StateRunning}, actors.EventReleased: {storage.StateHeld},
		actors.EventRetried: {storage.StatePending, storage.StateRunning, storage.StateFailed},
		actors.EventHeld:    {storage.StatePending, storage.StateRunning},
		actors.EventStarted: {storage.StatePending, storage.StateRunning}, actors.EventCorrected: {e.Job.State},
		actors.EventExpired: {storage.StatePending, storage.StateRunning, storage.StateHeld},
	}[e.Kind]
	if known && before != nil && !slices.Contains(before, was.State) {
		fault("it was " + string(was.State))
	}
	if known && (e.Kind == actors.EventEnded || e.Kind == actors.EventCanceled) && was.State.Ended() {
		fault("it was " + string(was.State))
	}
	if e.Kind == actors.EventProgressed {
		was.Progress = e.Job.Progress
		e.Job = was
	}
	if e.Left {
		delete(w.jobs, seq)
	} else {
		w.jobs[seq] = e.Job
	}
}

// want demands that the watch knows what a listing shows.
func (w *watched) want(tb testing.TB, h *actorstest.Harness) {
	tb.Helper()
	want := map[uint64]storage.Job{}
	h.Read("acme", func(db storage.Reader) {
		for job, err := range db.System().All(w.filter) {
			if err != nil {
				tb.Fatal(err)
			}
			job.Superseded = false
			want[job.Seq()] = job.Brief()
		}
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.faults {
		tb.Error(f)
	}
	w.faults = nil
	if w.err != nil || !w.ready {
		tb.Fatalf("the watch %+v is ready: %v, %v", w.filter, w.ready, w.err)
	}
	for _, seq := range slices.Sorted(maps.Keys(want)) {
		got, ok := w.jobs[seq]
		if got.State == storage.StateRunning {
			got.StartedAt = time.Time{} // no listing tells when an attempt has begun that goes on
		}
		if job := want[seq]; !ok || !reflect.DeepEqual(got, job) {
			tb.Errorf("the watch %+v has job %d (%v) as\n%+v\nit is\n%+v", w.filter, seq, ok, got, job)
		}
	}
	for seq, job := range w.jobs {
		// Listings leave out what is past its retention, which the next purge takes away.
		if _, ok := want[seq]; !ok && w.filter.ID == "" && !(job.State.Ended() && h.Now().Sub(job.CompletedAt) >= time.Hour) {
			tb.Errorf("the watch %+v has job %d (%s, %s), which is not listed", w.filter, seq, job.Function, job.State)
		}
	}
}

// wantEnd demands that the watch has ended with the code.
func (w *watched) wantEnd(tb testing.TB, code dispatch.Code) {
	tb.Helper()
	select {
	case <-w.done:
		wantCode(tb, w.err, code)
	default:
		tb.Fatalf("the watch %+v goes on, want %s", w.filter, code)
	}
}

// kinds are the kinds of the events since the snapshot, of the job.
func (w *watched) kinds(id storage.JobID) (kinds []actors.EventKind) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Job.ID == id && e.Kind != actors.EventJob {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

// TestG36_ASnapshotAndEveryChange: whatever is done to an app's jobs, and whichever way its
// commits fail, the snapshot with the events on top of it is what a listing shows, for each
// filter, and no event is told twice or of what is not durable.
func TestG36_ASnapshotAndEveryChange(t *testing.T) {
	for _, seed := range []uint64{0, 1, 5} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			watchRandomly(t, seed)
		})
	}
}

func watchRandomly(t *testing.T, seed uint64) {
	k, f := newKit(), newFaults()
	rnd := rand.New(rand.NewPCG(36, seed))
	var mu sync.Mutex
	roll := func(n int) int { // of the handlers, too
		mu.Lock()
		defer mu.Unlock()
		return rnd.IntN(n)
	}
	flaky := k.action("t:flaky", func(ctx *dispatch.ActionCtx, _ string) error {
		if roll(2) == 0 {
			return dispatch.Errorf(dispatch.CodeUnavailable, "down")
		}
		if roll(3) == 0 {
			return dispatch.RetryAfter(time.Minute)
		}
		return nil
	}, dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 3, Base: time.Minute}))
	long := k.action("t:long", func(ctx *dispatch.ActionCtx, _ string) error {
		ctx.Progress(1, 2, "half")
		select {
		case <-time.After(5 * time.Minute):
		case <-ctx.Done():
		}
		return ctx.Err()
	})
	once := k.mutation("t:once", func(ctx *dispatch.MutationCtx, _ string) error {
		if roll(4) == 0 {
			return dispatch.Permanent(fmt.Errorf("no"))
		}
		if roll(2) == 0 {
			_, err := ctx.Scheduler.RunAfter(time.Minute, flaky.With("child"), dispatch.Tags("a"))
			return err
		}
		return nil
	})
	opts := actors.Options{
		Functions: k.reg, Logger: quiet, Volumes: 1, IdleAfter: time.Minute, Retention: time.Hour, DeadRetention: 2 * time.Hour,
		HoldFor: 3 * time.Hour, Testing: actors.Testing{Fault: f.ask},
		Crons: []dispatch.Trigger{{Name: "tick", Schedule: cron.Expr("@every 7m"), Call: once.With("tick"), Tags: []string{"b"}}},
	}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		n := 0
		call := func() (time.Duration, dispatch.Call, []dispatch.RunOption) {
			n++
			call := []dispatch.Call{flaky.With(fmt.Sprint(n)), long.With(fmt.Sprint(n)), once.With(fmt.Sprint(n))}[roll(3)]
			opts := []dispatch.RunOption{dispatch.Tags([]string{"a", "b"}[roll(2)])}
			wait := time.Duration(roll(20)) * time.Minute
			if roll(4) == 0 {
				opts = append(opts, dispatch.NotAfter(h.Now().Add(wait+time.Minute)))
			}
			if roll(4) == 0 {
				opts = append(opts, dispatch.ID(storage.JobID(fmt.Sprint("id", roll(6)))))
			}
			if roll(4) == 0 {
				opts = append(opts, dispatch.OnDone(once.With("then")))
			}
			return wait, call, opts
		}
		some := func(states ...storage.State) (id storage.JobID) {
			jobs := h.Jobs("acme", states...)
			if len(jobs) == 0 {
				return "none"
			}
			return jobs[roll(len(jobs))].ID
		}
		k.plan = func(ctx *dispatch.MutationCtx) error {
			for range 1 + roll(4) {
				d, c, o := call()
				id, err := ctx.Scheduler.RunAfter(d, c, o...)
				if err == nil && roll(3) == 0 {
					_, err = ctx.Scheduler.Cancel(id)
				}
				if err != nil && roll(3) == 0 {
					return err
				}
			}
			return nil
		}
		mustAfter(t, h, "acme", time.Minute, once.With("first"))
		h.Settle()
		filters := []storage.JobFilter{
			{},
			{Tags: []string{"a"}},
			{Function: "t:once"},
			{ID: "id1"},
			{Trigger: "tick"},
			{States: []storage.State{storage.StatePending, storage.StateRunning, storage.StateHeld}},
			{States: []storage.State{storage.StateFailed}, Tags: []string{"b"}},
		}
		var watches []*watched
		for _, f := range filters {
			watches = append(watches, watch(h, f, actors.Position{}))
		}
		ops := []func(){
			func() { d, c, o := call(); _, _ = s.RunAfter(d, c, o...) },
			func() { _, _ = runPlan.Run(h.Caller("acme"), none{}) },
			func() {
				var calls []dispatch.Scheduled
				for range 3 {
					d, c, o := call()
					calls = append(calls, dispatch.After(d, c, o...))
				}
				_, _ = s.RunMany(calls)
			},
			func() { _, _ = s.Cancel(some(actors.Cancelable()...)) },
			func() { _, _ = s.Cancel(some(), dispatch.Cascade()) },
			func() {
				_, _ = s.Reschedule(some(storage.StatePending), dispatch.DueIn(time.Duration(roll(20))*time.Minute))
			},
			func() { _, _ = s.Reschedule(some(storage.StatePending), dispatch.Priority(1+roll(4))) },
			func() { _, _ = s.RetryDead(some(storage.StateFailed)) },
			func() { _, _ = s.DropDead(some(storage.StateFailed)) },
			func() { _, _ = s.CancelMany(storage.JobFilter{Tags: []string{"a"}}) },
			func() { _, _ = s.RetryMany(storage.JobFilter{}) },
			func() { _ = s.Crons().Pause("tick", "") },
			func() { _ = s.Crons().Resume("tick") },
			func() { f.fail("commit", 1) },
			func() { f.fail("committed", 1) },
		}
		for i := range 120 {
			if op := roll(2 * len(ops)); op < len(ops) {
				ops[op]()
			} else {
				h.Advance(time.Duration(roll(600)) * time.Second)
			}
			h.Settle()
			if i%10 != 9 {
				continue
			}
			h.Advance(90 * time.Minute * time.Duration(roll(2)))
			h.Advance(15 * time.Second) // what is past its retention is purged, and the volume up again
			for i, w := range watches {
				if w.want(t, h); t.Failed() {
					t.FailNow()
				}
				if roll(3) == 0 { // goes on from where it is
					w.stop()
					<-w.done
					next := newWatched(w.filter)
					next.jobs, next.latest = w.jobs, w.latest
					next.begin(h, w.last)
					watches[i] = next
				}
			}
		}
		for _, w := range watches {
			w.stop()
		}
	})
}

// seenCtx is told whenever it is asked whether it has ended.
type seenCtx struct {
	context.Context
	asked func()
}

func (c seenCtx) Err() error {
	c.asked()
	return c.Context.Err()
}

// TestG36_ProgressWhileTheSnapshotIsRead: a snapshot is read one job after another. What a job
// tells when it was read already is told behind the snapshot.
func TestG36_ProgressWhileTheSnapshotIsRead(t *testing.T) {
	k := newKit()
	var tells, told, ends chan struct{}
	act := k.action("t:tells", func(ctx *dispatch.ActionCtx, _ string) error {
		<-tells
		ctx.Progress(1, 2, "half")
		close(told)
		<-ends
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		tells, told, ends = make(chan struct{}), make(chan struct{}), make(chan struct{})
		mustAfter(t, h, "acme", 0, act.With(""))
		h.Settle()
		asked := sync.OnceFunc(func() {
			close(tells)
			<-told
			time.Sleep(time.Second) // those who watch were told by then
		})
		ctx, stop := context.WithCancel(h.Context())
		defer stop()
		var kinds []actors.EventKind
		go func() {
			for e := range h.App("acme").Watch(seenCtx{ctx, asked}, storage.JobFilter{}) {
				kinds = append(kinds, e.Kind)
			}
		}()
		h.Advance(time.Minute)
		if want := []actors.EventKind{actors.EventReset, actors.EventJob, actors.EventReady, actors.EventProgressed}; !slices.Equal(kinds, want) {
			t.Errorf("the watch tells %v, want %v", kinds, want)
		}
		stop()
		close(ends)
		h.Drain()
	})
}

// TestG36_ProgressBehindItsStart: those who watch are told that an attempt has started, then each
// step of its progress, and nothing of a call that is no job. Of steps without a pause between
// them that are more than 64, the latest are told.
func TestG36_ProgressBehindItsStart(t *testing.T) {
	k := newKit()
	count := dispatch.Action[int64, none]("t:count")
	count.Handle(k.reg, func(ctx *dispatch.ActionCtx, n int64) (none, error) {
		for i := range n {
			ctx.Progress(i+1, n, "counting")
		}
		time.Sleep(time.Minute)
		return none{}, nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		w := watch(h, storage.JobFilter{}, actors.Position{})
		for _, n := range []int64{3, 64, 1000} {
			id := mustAfter(t, h, "acme", time.Second, count.With(n))
			if _, err := count.Run(h.Caller("acme"), n); err != nil {
				t.Fatal(err)
			}
			h.Advance(10 * time.Minute)
			w.want(t, h)
			kinds := w.kinds(id)
			if len(kinds) < 4 || !slices.Equal(kinds[:2], []actors.EventKind{actors.EventScheduled, actors.EventStarted}) || kinds[len(kinds)-1] != actors.EventEnded {
				t.Fatalf("the watch tells %v", kinds)
			}
			latest := int64(0)
			for _, e := range w.events {
				if e.Kind != actors.EventProgressed || e.Job.ID != id {
					continue
				}
				if p := e.Job.Progress; p.Done <= latest || p.Total != n || p.Note != "counting" {
					t.Errorf("%+v of %d is told behind step %d", p, n, latest)
				}
				latest = e.Job.Progress.Done
			}
			if steps := len(kinds) - 3; latest != n || n <= 64 && steps != int(n) {
				t.Errorf("of %d steps %d are told, the last is %d", n, steps, latest)
			}
		}
	})
}

// TestG36_KindsOfChanges: what each event says has become of the job, in a commit that each
// has one event of.
func TestG36_KindsOfChanges(t *testing.T) {
	k, later := newKit(), newKit()
	hang := k.hangs("t:hang")
	gone := k.mutation("t:gone", func(*dispatch.MutationCtx, string) error { return nil })
	gone.Handle(later.reg, func(*dispatch.MutationCtx, string) (none, error) { return none{}, nil })
	fail := k.action("t:fail", func(*dispatch.ActionCtx, string) error { return dispatch.Errorf(dispatch.CodeUnavailable, "down") }, dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Minute}))
	opts := actors.Options{Functions: k.reg, Logger: quiet, Retention: time.Hour, DeadRetention: time.Hour, ClockCheck: time.Second}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		held := mustAfter(t, h, "acme", time.Minute, gone.With(""), dispatch.ID("held"))
		dropped := mustAfter(t, h, "acme", time.Minute, gone.With(""), dispatch.ID("dropped"))
		h.Reconfigure(func(o *actors.Options) { o.Functions = without(t, "t:gone") })
		s := h.Scheduler("acme")
		w := watch(h, storage.JobFilter{}, actors.Position{})
		h.Advance(time.Minute)
		must[bool](t)(s.DropDead(dropped))
		must[bool](t)(s.RetryDead(held)) // and is held again
		h.Settle()
		w.want(t, h)
		wantKinds(t, w, held, actors.EventHeld, actors.EventReleased, actors.EventHeld)
		wantKinds(t, w, dropped, actors.EventHeld, actors.EventPurged)
		h.Reconfigure(func(o *actors.Options) { o.Functions = k.reg })
		w.wantEnd(t, dispatch.CodeUnavailable)

		s = h.Scheduler("acme")
		w = watch(h, storage.JobFilter{}, w.last)
		if storagetest.SharedLog() {
			if len(w.resets) > 0 {
				t.Errorf("a position in a log that is shared does not outlast the process: %q", w.resets)
			}
		} else if w.resets[0] == "the watch begins" {
			t.Error("a position of another process is taken for one of this")
		}
		h.Settle()
		ok := mustAfter(t, h, "acme", time.Minute, addEntry.With("x"))
		dead := mustAfter(t, h, "acme", time.Minute, fail.With("x"))
		must[storage.Rescheduling](t)(s.Reschedule(ok, dispatch.DueIn(2*time.Minute)))
		must[storage.Rescheduling](t)(s.Reschedule(ok, dispatch.Priority(1)))
		late := mustAfter(t, h, "acme", time.Minute, addEntry.With("x"), dispatch.NotAfter(h.Now().Add(90*time.Second)))
		must[storage.Rescheduling](t)(s.Reschedule(late, dispatch.DueIn(80*time.Second)))
		if err := s.Pause(dispatch.OfFunction("kit:add"), "", ""); err != nil {
			t.Fatal(err)
		}
		canceled := mustAfter(t, h, "acme", 0, hang.With("x"))
		h.Settle()
		must[storage.Cancellation](t)(s.Cancel(canceled))
		h.Advance(100 * time.Second)
		must[bool](t)(s.Resume(dispatch.OfFunction("kit:add")))
		h.Advance(2 * time.Minute)
		must[bool](t)(s.RetryDead(dead))
		h.Advance(2 * time.Minute)
		ahead := mustAfter(t, h, "acme", 0, addEntry.With("y"))
		h.Settle()
		w.want(t, h)
		wantKinds(t, w, ok, actors.EventScheduled, actors.EventRescheduled, actors.EventRescheduled, actors.EventStarted, actors.EventEnded)
		wantKinds(t, w, dead, actors.EventScheduled, actors.EventStarted, actors.EventRetried, actors.EventStarted, actors.EventEnded,
			actors.EventRetried, actors.EventStarted, actors.EventRetried, actors.EventStarted, actors.EventEnded)
		wantKinds(t, w, late, actors.EventScheduled, actors.EventRescheduled, actors.EventExpired)
		wantKinds(t, w, canceled, actors.EventScheduled, actors.EventStarted, actors.EventCanceled)
		h.StepClock(-30 * 24 * time.Hour)
		h.Advance(10 * time.Second)
		w.want(t, h)
		wantKinds(t, w, ahead, actors.EventScheduled, actors.EventStarted, actors.EventEnded, actors.EventCorrected)
		h.Advance(3 * time.Hour)
		w.want(t, h)
		if kinds := w.kinds(dead); kinds[len(kinds)-1] != actors.EventPurged {
			t.Errorf("a dead job past its retention has had %s", kinds)
		}
	})
}

// without is a kit's registry in which there is no function of the path.
func without(t *testing.T, path string) *dispatch.Registry {
	reg := newKit().reg
	if _, err := reg.Resolve(path, dispatch.OriginJob, ""); err == nil {
		t.Fatalf("%s is there", path)
	}
	return reg
}

// wantKinds demands the kinds of the events of the job since its snapshot.
func wantKinds(tb testing.TB, w *watched, id storage.JobID, want ...actors.EventKind) {
	tb.Helper()
	if got := w.kinds(id); !slices.Equal(got, want) {
		tb.Errorf("job %s has had %s, want %s", id, got, want)
	}
}

// TestG36_OnlyWhatIsDurable: while a commit hangs nothing of it is told; after one whose
// outcome is not known the watch begins again, with what is there.
func TestG36_OnlyWhatIsDurable(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		t.Run(point, func(t *testing.T) {
			k, f := newKit(), newFaults()
			opts := actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: f.ask}, Logger: quiet}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				mustAfter(t, h, "acme", time.Hour, addEntry.With("x"))
				w := watch(h, storage.JobFilter{}, actors.Position{})
				release := f.hold()
				f.fail(point, 1)
				for _, name := range []string{"a", "b"} {
					go func() {
						_, _ = h.Scheduler("acme").RunAfter(time.Hour, addEntry.With(name), dispatch.ID(storage.JobID(name)))
					}()
					h.Settle()
				}
				if n := len(w.events); n != 3 {
					t.Errorf("%d events were told before the commit: %v", n, w.events)
				}
				release()
				h.Advance(10 * time.Second)
				w.want(t, h)
				wantKinds(t, w, "a")
				if n := len(w.jobs); len(w.resets) != 2 || n != map[string]int{"commit": 1, "committed": 2}[point] {
					t.Errorf("the watch has begun again for %q, and has %d jobs", w.resets, n)
				}
				mustAfter(t, h, "acme", time.Hour, addEntry.With("c"), dispatch.ID("c"))
				h.Settle()
				w.want(t, h)
				wantKinds(t, w, "c", actors.EventScheduled)
			})
		})
	}
}

// TestG36_GoingOn: from a position on, nothing is told again and nothing left out, while the
// app is watched and a minute longer, whether it sleeps or not; then the watch begins again.
func TestG36_GoingOn(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, IdleAfter: time.Second}, func(h *actorstest.Harness) {
		ids := []storage.JobID{mustAfter(t, h, "acme", time.Hour, addEntry.With("x"))}
		w := watch(h, storage.JobFilter{}, actors.Position{})
		for range 3 {
			h.Advance(30 * time.Second)
			if i := h.Inspect("acme"); !i.Asleep {
				t.Error("a watch keeps the app awake")
			}
			ids = append(ids, mustAfter(t, h, "acme", time.Hour, addEntry.With("x")))
			h.Settle()
			wantKinds(t, w, ids[len(ids)-1], actors.EventScheduled)
		}
		first := w.events[2].Position // ready
		w.stop()
		h.Settle()
		w.wantEnd(t, dispatch.CodeCanceled)
		h.Advance(59 * time.Second)
		mustAfter(t, h, "acme", time.Hour, addEntry.With("x"), dispatch.ID("meanwhile"))
		next := newWatched(storage.JobFilter{})
		next.jobs, next.latest = w.jobs, w.latest
		next.begin(h, w.last)
		next.want(t, h)
		if len(next.events) != 1 || next.events[0].Job.ID != "meanwhile" {
			t.Errorf("the watch that goes on is told %v", next.events)
		}
		all := newWatched(storage.JobFilter{})
		all.jobs[w.events[1].Job.Seq()], all.latest = w.events[1].Job, w.events[1].Job.Seq()
		all.begin(h, first)
		all.want(t, h)
		if len(all.resets) > 0 || len(all.events) != 4 {
			t.Errorf("the watch that goes on from the beginning has %d events, and began again for %q", len(all.events), all.resets)
		}
		all.stop()
		next.stop()
		<-all.done
		<-next.done
		h.Advance(61 * time.Second)
		for _, at := range []actors.Position{next.last, {Feed: next.last.Feed + 1, Commit: 1 << 40}} {
			if at.Log != 0 { // the log that nodes share has what came since
				on := newWatched(storage.JobFilter{})
				on.jobs, on.latest = next.jobs, next.latest
				on.begin(h, at)
				on.want(t, h)
				if len(on.resets)+len(on.events) != 0 {
					t.Errorf("a watch that goes on from the log is told %v, and began again for %q", on.events, on.resets)
				}
				continue
			}
			gone := watch(h, storage.JobFilter{}, at)
			gone.want(t, h)
			if len(gone.resets) != 1 {
				t.Errorf("a watch goes on from %v, where nothing is in memory", at)
			}
		}
		text := must[actors.Position](t)(actors.ParsePosition(next.last.String()))
		if text != next.last {
			t.Errorf("%v is read as %v", next.last, text)
		}
		shared := actors.Position{Feed: 1 << 63, Commit: 2, Index: 3, Log: 1<<64 - 1}
		if got, err := actors.ParsePosition(shared.String()); got != shared {
			t.Errorf("%v is read as %v, %v", shared, got, err)
		}
		for _, bad := range []string{"", "1.2", "x.1.1", "1.1.4294967296", "1.1.1.x", "1.1.1.1.1", "-1.1.1"} {
			_, err := actors.ParsePosition(bad)
			wantCode(t, err, dispatch.CodeInvalidArgument)
		}
	})
}

// TestG36_WatchersThatEnd: what a watch is refused for, at the limit and above it, and what
// ends it, or has it begin again.
func TestG36_WatchersThatEnd(t *testing.T) {
	k := newKit()
	opts := actors.Options{Functions: k.reg, MaxWatchers: 3, MaxWatched: 4, Logger: quiet}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		k.plan = func(ctx *dispatch.MutationCtx) error {
			for _, err := range h.App("acme").Watch(ctx, storage.JobFilter{}) {
				return err
			}
			return nil
		}
		_, err := runPlan.Run(h.Caller("acme"), none{})
		wantCode(t, err, dispatch.CodeFailedPrecondition)
		for _, f := range []storage.JobFilter{
			{Limit: 1}, {Cursor: "x"}, {Error: "x"}, {Due: storage.TimeRange{From: h.Now()}}, {Ended: storage.TimeRange{From: h.Now()}}, {States: []storage.State{"no"}},
		} {
			w := watch(h, f, actors.Position{})
			w.wantEnd(t, dispatch.CodeInvalidArgument)
		}
		for range 4 {
			mustAfter(t, h, "acme", time.Hour, addEntry.With("x"))
		}
		full := watch(h, storage.JobFilter{}, actors.Position{})
		full.want(t, h)
		mustAfter(t, h, "acme", time.Hour, addEntry.With("x"), dispatch.ID("more"))
		h.Settle()
		full.want(t, h) // it has begun
		over := watch(h, storage.JobFilter{}, actors.Position{})
		over.wantEnd(t, dispatch.CodeResourceExhausted)
		one := watch(h, storage.JobFilter{ID: "more"}, actors.Position{})
		two := watch(h, storage.JobFilter{ID: "more"}, actors.Position{})
		over = watch(h, storage.JobFilter{ID: "more"}, actors.Position{})
		over.wantEnd(t, dispatch.CodeResourceExhausted)
		two.stop()
		<-two.done
		for e, err := range h.App("acme").Watch(h.Context(), storage.JobFilter{ID: "more"}) {
			if err != nil || e.Kind != actors.EventReset {
				t.Errorf("%v, %v", e, err)
			}
			break // the loop ends it
		}
		two = watch(h, storage.JobFilter{ID: "more"}, actors.Position{})
		two.want(t, h)
		if err := h.Engine.Delete(h.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		h.Settle()
		if len(one.resets) != 2 || len(one.jobs) != 0 {
			t.Errorf("after the app was deleted the watch has %v; it began again for %q", one.jobs, one.resets)
		}
		mustAfter(t, h, "acme", time.Hour, addEntry.With("x"), dispatch.ID("more"))
		h.Settle()
		for _, w := range []*watched{one, two, full} {
			w.want(t, h)
		}
		var file bytes.Buffer
		mustAfter(t, h, "other", time.Hour, addEntry.With("x"), dispatch.ID("more"))
		if err := h.Engine.Export(h.Context(), "other", &file); err != nil {
			t.Fatal(err)
		}
		if err := h.Engine.Delete(h.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		h.Settle()
		if err := h.Engine.Import(h.Context(), "acme", &file); err != nil {
			t.Fatal(err)
		}
		h.Settle()
		one.want(t, h)
		if len(one.jobs) != 1 {
			t.Errorf("after the app was imported the watch has %v; it began again for %q", one.jobs, one.resets)
		}
		h.Restart()
		for _, w := range []*watched{one, two, full} {
			w.wantEnd(t, dispatch.CodeUnavailable)
		}
	})
}
