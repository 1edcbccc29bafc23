package storage_test

import (
	"cmp"
	"errors"
	"flag"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"carillon/storage"
	"carillon/storage/storagetest"
)

// modelJob is a job as the model has it.
type modelJob struct {
	storage.Job
	claimed bool
	ended   int // as the how many-th, of those that have ended or were held
}

// jobsModel is the jobs of one app as a map, by the order they were inserted
// in, and which of them each id names.
type jobsModel struct {
	jobs  map[int]modelJob
	names map[storage.JobID]int
	now   time.Time // the latest of the transactions that wrote
	ends  int       // jobs that have ended, and were held
}

func newJobsModel() jobsModel {
	return jobsModel{jobs: map[int]modelJob{}, names: map[storage.JobID]int{}}
}

func (m jobsModel) clone() jobsModel {
	return jobsModel{maps.Clone(m.jobs), maps.Clone(m.names), m.now, m.ends}
}

// numbers are the jobs that are chosen, in the order they lie in their region.
func (m jobsModel) numbers(choose func(modelJob) bool) (ns []int) {
	for n, job := range m.jobs {
		if choose(job) {
			ns = append(ns, n)
		}
	}
	slices.SortFunc(ns, func(a, b int) int {
		x, y := m.jobs[a], m.jobs[b]
		if x.State == storage.StatePending {
			return cmp.Or(x.Due.Compare(y.Due), cmp.Compare(a, b))
		}
		return cmp.Compare(x.ended, y.ended)
	})
	return ns
}

func (m jobsModel) pending() []int {
	return m.numbers(func(j modelJob) bool { return j.State == storage.StatePending })
}

func (m jobsModel) dead() []int {
	return m.numbers(func(j modelJob) bool { return j.State == storage.StateFailed })
}

func (m jobsModel) held() []int {
	return m.numbers(func(j modelJob) bool { return j.State == storage.StateHeld })
}

func (m jobsModel) finished() []int {
	return m.numbers(func(j modelJob) bool {
		return j.State == storage.StateSuccess || j.State == storage.StateCanceled
	})
}

func (m jobsModel) claimed() []int {
	return m.numbers(func(j modelJob) bool { return j.claimed })
}

// end notes that the job has ended.
func (m *jobsModel) end(job *modelJob, now time.Time) {
	m.ends++
	job.ended, job.CompletedAt = m.ends, now
	job.bound(now)
}

// hold notes that the job is held.
func (m *jobsModel) hold(job *modelJob, reason string, now time.Time) {
	m.ends++
	job.ended, job.claimed, job.State, job.Reason, job.HeldAt = m.ends, false, storage.StateHeld, reason, now
}

// bound brings the job's instants down to now, and that of its making to its start.
func (j *modelJob) bound(now time.Time) {
	least := func(a, b time.Time) time.Time {
		if a.IsZero() || b.IsZero() || a.Before(b) {
			return a
		}
		return b
	}
	j.HeldAt = least(j.HeldAt, now)
	j.StartedAt = least(j.StartedAt, now)
	j.EnqueuedAt = least(least(j.EnqueuedAt, now), j.StartedAt)
	j.History = slices.Clone(j.History)
	for i := range j.History {
		j.History[i].StartedAt, j.History[i].EndedAt = least(j.History[i].StartedAt, now), least(j.History[i].EndedAt, now)
	}
}

// show is the job as a reader is to see it while the handlers of live run.
func (m jobsModel) show(n int, live map[storage.JobID]bool) string {
	job := m.jobs[n]
	if job.claimed && live[job.ID] {
		job.State = storage.StateRunning
		job.Attempts++
	}
	return jobText(job.Job)
}

// list is what the filter is to choose, in order.
func (m jobsModel) list(f storage.JobFilter, live map[storage.JobID]bool) (lines []string) {
	for _, n := range slices.Concat(m.pending(), m.held(), m.dead(), m.finished()) {
		job := m.jobs[n]
		state := job.State
		if job.claimed && live[job.ID] {
			state = storage.StateRunning
		}
		if (len(f.States) == 0 || slices.Contains(f.States, state)) && (f.Function == "" || f.Function == job.Function) {
			lines = append(lines, m.show(n, live))
		}
	}
	return lines
}

// all is everything a reader is to see.
func (m jobsModel) all(live map[storage.JobID]bool) string {
	return strings.Join(m.list(storage.JobFilter{}, live), "\n")
}

// chosenIDs are few, so that they collide.
var chosenIDs = []storage.JobID{"a", "b", "c", "507f1f77bcf86cd799439011"}

// check compares all that a reader shows with the model.
func (m jobsModel) check(t *rapid.T, r storage.Reader, live map[storage.JobID]bool) {
	some := rapid.SampledFrom([]storage.JobFilter{
		{Function: "a:x"},
		{States: []storage.State{storage.StatePending}},
		{States: []storage.State{storage.StateRunning}},
		{States: []storage.State{storage.StateSuccess}},
		{States: []storage.State{storage.StateFailed}},
		{States: []storage.State{storage.StateCanceled}},
		{States: []storage.State{storage.StateHeld}},
		{States: []storage.State{storage.StateFailed, storage.StatePending}, Function: "a:y"},
	}).Draw(t, "filter")
	size := rapid.SampledFrom([]int{0, 1, 2, 3, 1000}).Draw(t, "page size")
	for _, f := range []storage.JobFilter{{}, some} {
		var got []string
		f.Limit = size
		for pages := 0; ; pages++ {
			page, err := r.System().List(f)
			if err != nil {
				t.Fatalf("list %+v: %v", f, err)
			}
			if size > 0 && len(page.Jobs) > size || pages > 1000 {
				t.Fatalf("list %+v: page %d has %d rows", f, pages, len(page.Jobs))
			}
			for _, job := range page.Jobs {
				got = append(got, jobText(job))
			}
			if f.Cursor = page.Next; f.Cursor == "" {
				break
			}
		}
		if want := m.list(f, live); !slices.Equal(got, want) {
			t.Fatalf("list %+v shows\n%s\nwant\n%s", f, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	ids := slices.Concat(chosenIDs, []storage.JobID{"nobody", storage.MintJobID(1, 1)}, slices.Sorted(maps.Keys(m.names)))
	for range 4 {
		id := rapid.SampledFrom(ids).Draw(t, "id")
		job, ok, err := r.System().Get(id)
		n, known := m.names[id]
		if err != nil || ok != known || ok && jobText(job) != m.show(n, live) {
			t.Fatalf("get %s: %v, %v:\n%s\nwant %v:\n%s", id, ok, err, jobText(job), known, m.show(n, live))
		}
	}
}

// modelApp is an app and what the model knows of it.
type modelApp struct {
	id        storage.AppID
	app       *storage.App
	live      map[storage.JobID]bool // whose handlers run, if they are claimed
	durable   jobsModel
	submitted []*submitted // oldest first, all behind durable
	held      []heldSnapshot
}

// submitted is a transaction that was submitted, with the state it leads to.
type submitted struct {
	after jobsModel
	done  chan error
}

// heldSnapshot is an open snapshot and what it must show for ever.
type heldSnapshot struct {
	snap  *storage.Snapshot
	after jobsModel
}

// latest is the state with all that was submitted.
func (a *modelApp) latest() jobsModel {
	if n := len(a.submitted); n > 0 {
		return a.submitted[n-1].after
	}
	return a.durable
}

// storeMachine drives a store and the models of its apps.
type storeMachine struct {
	dir   string
	opts  storage.Options
	store *storage.Store
	apps  []*modelApp
	now   time.Time
	jobs  int // inserted so far; the next one's number

	commit, committed, reopen atomic.Int64 // how many visits of the point are to fail
	gate                      atomic.Pointer[chan struct{}]
}

const modelMaxJobs = 9

func newStoreMachine(tb testing.TB) *storeMachine {
	m := &storeMachine{dir: tb.TempDir(), now: testNow}
	m.opts = storage.Options{Volumes: 1, NoSync: true, MaxJobs: modelMaxJobs, Fault: func(point string) error {
		left := map[string]*atomic.Int64{"commit": &m.commit, "committed": &m.committed, "reopen": &m.reopen}[point]
		if left == nil {
			return nil
		}
		for n := left.Load(); n > 0; n = left.Load() {
			if left.CompareAndSwap(n, n-1) {
				if gate := m.gate.Load(); gate != nil {
					<-*gate
				}
				return errDisk
			}
		}
		return nil
	}}
	for _, id := range []storage.AppID{"acme", "other"} {
		m.apps = append(m.apps, &modelApp{id: id, durable: newJobsModel()})
	}
	return m
}

func (m *storeMachine) open(t *rapid.T) {
	var err error
	if m.store, err = storage.Open(m.dir, m.opts); err != nil {
		t.Fatalf("open: %v", err)
	}
	var want time.Time
	for _, a := range m.apps {
		if a.app, err = m.store.App(a.id); err != nil {
			t.Fatalf("open app %s: %v", a.id, err)
		}
		a.live = map[storage.JobID]bool{}
		a.app.SetLive(func(id storage.JobID) bool { return a.live[id] })
		if at := a.durable.now; at.After(want) {
			want = at
		}
	}
	if at := m.store.HighWater(); !at.Equal(want) {
		t.Fatalf("G15: the high-water mark is %v, want %v", at, want)
	}
}

// drawApp chooses an app.
func (m *storeMachine) drawApp(t *rapid.T) *modelApp { return rapid.SampledFrom(m.apps).Draw(t, "app") }

// settle waits until the oldest n transactions of the app were answered, and
// returns the answers.
func (a *modelApp) settle() (answers []error) {
	for _, h := range a.submitted {
		answers = append(answers, <-h.done)
	}
	return answers
}

// applied takes the first n transactions as durable and the others as gone.
func (a *modelApp) applied(n int) {
	if n > 0 {
		a.durable = a.submitted[n-1].after
	}
	a.submitted = nil
}

// release compares the snapshots that were kept open, and closes them.
func (a *modelApp) release(t *rapid.T) {
	for _, h := range a.held {
		h.after.check(t, h.snap.Reader(), a.live)
		h.snap.Close()
	}
	a.held = nil
}

// checkCommitted compares what is committed with the model. Nothing is under way.
func (m *storeMachine) checkCommitted(t *rapid.T, a *modelApp) {
	snap, err := a.app.Snapshot(m.now)
	if err != nil {
		t.Fatalf("snapshot of %s: %v", a.id, err)
	}
	defer snap.Close()
	a.durable.check(t, snap.Reader(), a.live)
	m.checkCounters(t, a)
}

// checkCounters compares the counters with all that was submitted.
func (m *storeMachine) checkCounters(t *rapid.T, a *modelApp) {
	want := a.latest()
	if a.app.Pending() != len(want.pending()) || a.app.History() != len(want.finished()) {
		t.Fatalf("%s: %d pending and %d finished, want %d and %d", a.id, a.app.Pending(), a.app.History(), len(want.pending()), len(want.finished()))
	}
	args := int64(0)
	for _, job := range want.jobs {
		if job.State == storage.StatePending || job.State == storage.StateHeld {
			args += int64(len(job.Args))
		}
	}
	if got := a.app.ArgBytes(); got != args {
		t.Fatalf("%s: %d bytes of arguments, want %d", a.id, got, args)
	}
}

// settleAll waits for everything, which must have become durable.
func (m *storeMachine) settleAll(t *rapid.T) {
	for _, a := range m.apps {
		for i, err := range a.settle() {
			if err != nil {
				t.Fatalf("%s: transaction %d: %v", a.id, i, err)
			}
		}
		a.applied(len(a.submitted))
		m.checkCommitted(t, a)
	}
}

// transaction opens a transaction, does random changes, and hands it over, or
// drops it.
func (m *storeMachine) transaction(t *rapid.T, a *modelApp) {
	passed := rapid.SampledFrom([]int{0, 1, 2, 0, 1, 2, -5}).Draw(t, "ms passed") // the clock may be set back
	m.now = m.now.Add(time.Duration(passed) * time.Millisecond)
	tx := a.app.Begin(m.now)
	tx.OnCancel(func(id storage.JobID) bool { return a.live[id] })
	before := a.latest()
	c := &change{m: m, a: a, tx: tx, model: before.clone()}
	c.some(t, tx.JobWriter(), 0)
	c.checkTold(t)
	if rapid.IntRange(0, 5).Draw(t, "roll back") == 0 {
		done := make(chan error, 1)
		tx.Rollback(func(err error) { done <- err })
		a.submitted = append(a.submitted, &submitted{before, done})
	} else {
		done := make(chan error, 1)
		if err := tx.Commit(func(err error) { done <- err }); err != nil {
			t.Fatalf("commit: %v", err)
		}
		if c.wrote {
			if m.now.After(c.model.now) {
				c.model.now = m.now
			}
		}
		a.submitted = append(a.submitted, &submitted{c.model, done})
	}
	m.checkCounters(t, a)
	if _, _, err := tx.Writer().System().Get("a"); !errors.Is(err, storage.ErrTxDone) {
		t.Fatalf("the transaction is over, but get says %v", err)
	}
	if err := tx.Commit(nil); !errors.Is(err, storage.ErrTxDone) {
		t.Fatalf("the transaction is over, but commit says %v", err)
	}
}

// TestG7_JobsAgainstModel drives apps of one store through random changes,
// nested, committed, rolled back and pipelined, through snapshots at any moment,
// clean and unclean ends, commit errors of every kind, and a volume that stays
// down for a while. What is acknowledged is there from then on (G1), every
// change is there as a whole or not at all and in order (G2), state changes are
// the model's only (G8), time never goes back (G15), and in the end every
// structure agrees with every other (G7).
func TestG7_JobsAgainstModel(t *testing.T) {
	// A run of this machine is long. For more of them give -rapid.checks.
	runs := "8"
	if storagetest.All() {
		runs = "25"
	}
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set(runs); err != nil {
			t.Fatal(err)
		}
		defer f.Value.Set(f.DefValue)
	}
	// In a bubble a volume that is down costs no time.
	synctest.Test(t, func(t *testing.T) {
		undated := struct{ testing.TB }{t} // a bubble has no deadline
		rapid.Check(undated, func(rt *rapid.T) {
			m := newStoreMachine(t)
			m.open(rt)
			defer func() {
				// A failed run must not leave a committer behind.
				for _, a := range m.apps {
					for _, h := range a.held {
						h.snap.Close()
					}
				}
				m.commit.Store(0)
				m.committed.Store(0)
				m.reopen.Store(0)
				if err := m.store.Close(); err != nil {
					rt.Errorf("close: %v", err)
				}
			}()
			rt.Repeat(map[string]func(*rapid.T){
				"transaction": func(t *rapid.T) { m.transaction(t, m.drawApp(t)) },
				"some transactions": func(t *rapid.T) {
					for range rapid.IntRange(2, 6).Draw(t, "transactions") {
						m.transaction(t, m.drawApp(t))
					}
				},
				"settle":   m.settleAll,
				"snapshot": func(t *rapid.T) { m.snapshot(t, m.drawApp(t)) },
				"close": func(t *rapid.T) {
					m.releaseAll(t)
					if err := m.store.Close(); err != nil {
						t.Fatalf("close: %v", err)
					}
					for _, a := range m.apps {
						if answers := a.settle(); slices.ContainsFunc(answers, func(err error) bool { return err != nil }) {
							t.Fatalf("closed: %s was answered %v", a.id, answers)
						}
						a.applied(len(a.submitted))
					}
					m.open(t)
					m.settleAll(t)
				},
				"abort": func(t *rapid.T) {
					m.releaseAll(t)
					if err := m.store.Abort(); err != nil {
						t.Fatalf("abort: %v", err)
					}
					for _, a := range m.apps {
						answers := a.settle()
						n := slices.IndexFunc(answers, func(err error) bool { return err != nil })
						if n < 0 {
							n = len(answers)
						}
						for _, err := range answers[n:] {
							if !errors.Is(err, storage.ErrClosed) {
								t.Fatalf("aborted: %s was answered %v", a.id, answers)
							}
						}
						a.applied(n)
					}
					m.open(t)
					m.settleAll(t)
				},
				"commit fails":            func(t *rapid.T) { m.fault(t, &m.commit, 0) },
				"commit fails afterwards": func(t *rapid.T) { m.fault(t, &m.committed, 0) },
				"volume goes down": func(t *rapid.T) {
					m.fault(t, rapid.SampledFrom([]*atomic.Int64{&m.commit, &m.committed}).Draw(t, "point"), int64(rapid.IntRange(1, 4).Draw(t, "reopens that fail")))
				},
			})
			m.settleAll(rt)
			m.releaseAll(rt)
			if err := m.store.Check(); err != nil {
				rt.Fatalf("check: %v", err)
			}
			if err := m.store.Close(); err != nil {
				rt.Fatalf("close: %v", err)
			}
			m.open(rt)
			if err := m.store.Check(); err != nil {
				rt.Fatalf("check after the reopen: %v", err)
			}
			m.settleAll(rt)
		})
	})
}

func (m *storeMachine) releaseAll(t *rapid.T) {
	for _, a := range m.apps {
		a.release(t)
	}
}

// snapshot opens a snapshot while transactions may be under way: it shows all
// that was acknowledged, and some of what was not, in order.
func (m *storeMachine) snapshot(t *rapid.T, a *modelApp) {
	acked := 0
	for i, h := range a.submitted {
		select {
		case err := <-h.done:
			if err != nil {
				t.Fatalf("%s: transaction %d: %v", a.id, i, err)
			}
			h.done <- nil
			acked = i + 1
		default:
		}
	}
	snap, err := a.app.Snapshot(m.now)
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	var lines []string
	for job, err := range snap.Reader().System().All(storage.JobFilter{}) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		lines = append(lines, jobText(job))
	}
	got := strings.Join(lines, "\n")
	states := []jobsModel{a.durable}
	for _, h := range a.submitted {
		states = append(states, h.after)
	}
	for _, after := range states[acked:] {
		if after.all(a.live) == got {
			a.held = append(a.held, heldSnapshot{snap, after})
			if len(a.held) > 2 {
				a.release(t)
			}
			return
		}
	}
	snap.Close()
	t.Fatalf("the snapshot is none of the %d states since the last acknowledged one:\n%s", len(states)-acked, got)
}

// fault has the next commit fail, and the volume stay down for as many attempts
// to reopen it as given.
func (m *storeMachine) fault(t *rapid.T, point *atomic.Int64, downs int64) {
	m.releaseAll(t)
	m.settleAll(t)
	// With the gate the first change set fails by itself and the rest is built
	// upon it; without, the batch is whatever the committer finds. Once the volume
	// is down nothing can be read, so that needs the gate.
	gate := make(chan struct{})
	if downs > 0 || rapid.Bool().Draw(t, "gate") {
		m.gate.Store(&gate)
	}
	open := sync.OnceFunc(func() {
		m.gate.Store(nil)
		close(gate)
	})
	defer open()
	m.reopen.Store(downs)
	point.Store(1)
	for range rapid.IntRange(1, 6).Draw(t, "transactions") {
		m.transaction(t, m.drawApp(t))
	}
	open()
	hit := false
	broken := map[*modelApp]bool{}
	for _, a := range m.apps {
		applied := 0
		stage := 0
		for i, err := range a.settle() {
			// Acknowledged ones come first, then those of unknown outcome, then those
			// that certainly were not applied.
			at := 0
			switch {
			case err == nil:
			case errors.Is(err, storage.ErrUnknownOutcome):
				at, hit = 1, true
			case errors.Is(err, storage.ErrNotApplied), errors.Is(err, storage.ErrUnavailable):
				at = 2
			default:
				t.Fatalf("%s: transaction %d: %v", a.id, i, err)
			}
			if at < stage {
				t.Fatalf("G6: %s: transaction %d was answered %v behind one that failed", a.id, i, err)
			}
			stage = at
			if at == 0 || at == 1 && point == &m.committed {
				applied = i + 1
			}
		}
		broken[a] = stage > 0
		a.applied(applied)
	}
	if !hit {
		point.Store(0) // there was nothing to commit
		m.reopen.Store(0)
	}
	for a, broken := range broken {
		if !broken {
			continue
		}
		for tries := int64(0); ; tries++ {
			err := a.app.Reload()
			if err == nil {
				break
			}
			if !errors.Is(err, storage.ErrUnavailable) || tries > downs+1 {
				t.Fatalf("reload: %v", err)
			}
			time.Sleep(a.app.RetryIn())
			// The committer tries to open the file again when it is asked for something.
			done := make(chan error, 1)
			a.app.Begin(m.now).Rollback(func(err error) { done <- err })
			if err := <-done; err == nil {
				t.Fatal("G6: acknowledged before the reload")
			}
		}
		a.live = map[storage.JobID]bool{}
		a.app.SetLive(func(id storage.JobID) bool { return a.live[id] })
	}
	for _, a := range m.apps {
		if !broken[a] {
			// Its next transaction has the volume opened again, or finds it open.
			for tries := int64(0); ; tries++ {
				snap, err := a.app.Snapshot(m.now)
				if err == nil {
					snap.Close()
					break
				}
				if tries > downs+2 {
					t.Fatalf("snapshot: %v", err)
				}
				if err := a.app.Reload(); err == nil {
					continue
				}
				done := make(chan error, 1)
				a.app.Begin(m.now).Rollback(func(err error) { done <- err })
				<-done
			}
			if err := a.app.Reload(); err != nil {
				t.Fatalf("reload: %v", err)
			}
		}
		m.checkCommitted(t, a)
	}
	if err := m.store.Check(); err != nil {
		t.Fatalf("check after a commit error: %v", err)
	}
}
