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
	"time"

	"pgregory.net/rapid"

	"carillon/storage"
)

// modelJob is a job as the model has it.
type modelJob struct {
	storage.Job
	claimed bool
}

// jobsModel is the jobs of one app as a map, by the order they were inserted
// in, and which of them each id names.
type jobsModel struct {
	jobs  map[int]modelJob
	names map[storage.JobID]int
	now   time.Time // of the latest transaction that wrote
}

func newJobsModel() jobsModel {
	return jobsModel{jobs: map[int]modelJob{}, names: map[storage.JobID]int{}}
}

func (m jobsModel) clone() jobsModel {
	return jobsModel{maps.Clone(m.jobs), maps.Clone(m.names), m.now}
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
		return cmp.Or(x.CompletedAt.Compare(y.CompletedAt), cmp.Compare(a, b))
	})
	return ns
}

func (m jobsModel) pending() []int {
	return m.numbers(func(j modelJob) bool { return j.State == storage.StatePending })
}

func (m jobsModel) dead() []int {
	return m.numbers(func(j modelJob) bool { return j.State == storage.StateFailed })
}

func (m jobsModel) finished() []int {
	return m.numbers(func(j modelJob) bool {
		return j.State == storage.StateSuccess || j.State == storage.StateCanceled
	})
}

func (m jobsModel) claimed() []int {
	return m.numbers(func(j modelJob) bool { return j.claimed })
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
	for _, n := range slices.Concat(m.pending(), m.dead(), m.finished()) {
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
	id      storage.AppID
	app     *storage.App
	live    map[storage.JobID]bool // whose handlers run, if they are claimed
	durable jobsModel
	handed  []*handed // oldest first, all behind durable
	held    []heldSnapshot
}

// handed is a transaction that was handed over, with the state it leads to.
type handed struct {
	after jobsModel
	done  chan error
}

// heldSnapshot is an open snapshot and what it must show for ever.
type heldSnapshot struct {
	snap  *storage.Snapshot
	after jobsModel
}

// latest is the state with all that was handed over.
func (a *modelApp) latest() jobsModel {
	if n := len(a.handed); n > 0 {
		return a.handed[n-1].after
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
	for _, h := range a.handed {
		answers = append(answers, <-h.done)
	}
	return answers
}

// applied takes the first n transactions as durable and the others as gone.
func (a *modelApp) applied(n int) {
	if n > 0 {
		a.durable = a.handed[n-1].after
	}
	a.handed = nil
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

// checkCounters compares the counters with all that was handed over.
func (m *storeMachine) checkCounters(t *rapid.T, a *modelApp) {
	want := a.latest()
	if a.app.Pending() != len(want.pending()) || a.app.History() != len(want.finished()) {
		t.Fatalf("%s: %d pending and %d finished, want %d and %d", a.id, a.app.Pending(), a.app.History(), len(want.pending()), len(want.finished()))
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
		a.applied(len(a.handed))
		m.checkCommitted(t, a)
	}
}

// transaction opens a transaction, does random changes, and hands it over, or
// drops it.
func (m *storeMachine) transaction(t *rapid.T, a *modelApp) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "ms passed")) * time.Millisecond)
	tx := a.app.Begin(m.now)
	tx.OnCancel(func(id storage.JobID) bool { return a.live[id] })
	before := a.latest()
	c := &change{m: m, a: a, tx: tx, model: before.clone()}
	c.some(t, tx.Writer(), 0)
	c.checkTold(t)
	if rapid.IntRange(0, 5).Draw(t, "roll back") == 0 {
		done := make(chan error, 1)
		tx.Rollback(func(err error) { done <- err })
		a.handed = append(a.handed, &handed{before, done})
	} else {
		done := make(chan error, 1)
		if err := tx.Commit(func(err error) { done <- err }); err != nil {
			t.Fatalf("commit: %v", err)
		}
		if c.wrote {
			c.model.now = m.now
		}
		a.handed = append(a.handed, &handed{c.model, done})
	}
	m.checkCounters(t, a)
	if _, _, err := tx.Writer().System().Get("a"); !errors.Is(err, storage.ErrTxDone) {
		t.Fatalf("the transaction is over, but get says %v", err)
	}
	if err := tx.Commit(nil); !errors.Is(err, storage.ErrTxDone) {
		t.Fatalf("the transaction is over, but commit says %v", err)
	}
}

// change is a transaction under way.
type change struct {
	m        *storeMachine
	a        *modelApp
	tx       *storage.Tx
	model    jobsModel
	inserted []storage.JobID
	canceled []storage.JobID
	wrote    bool
}

// checkTold compares what the transaction tells the engine of itself.
func (c *change) checkTold(t *rapid.T) {
	var inserted []storage.JobID
	for _, job := range c.tx.Inserted() {
		inserted = append(inserted, job.ID)
	}
	if !slices.Equal(inserted, c.inserted) {
		t.Fatalf("inserted are %v, want %v", inserted, c.inserted)
	}
	if got := c.tx.CanceledClaims(); !slices.Equal(got, c.canceled) {
		t.Fatalf("canceled claims are %v, want %v", got, c.canceled)
	}
}

// some does a few random changes.
func (c *change) some(t *rapid.T, w storage.Writer, depth int) {
	for range rapid.IntRange(0, 5).Draw(t, "changes") {
		c.one(t, w, depth)
	}
	c.model.check(t, w, c.a.live)
}

// pick chooses one of the jobs.
func pick(t *rapid.T, ns []int, label string) (n int, ok bool) {
	if len(ns) == 0 {
		return 0, false
	}
	return rapid.SampledFrom(ns).Draw(t, label), true
}

// one does one random change.
func (c *change) one(t *rapid.T, w storage.Writer, depth int) {
	ops := []string{"insert", "insert", "insert", "claim", "claim", "end", "end", "unclaim", "start", "cancel", "retry dead", "drop dead", "purge", "due", "claimed"}
	if depth < 2 {
		ops = append(ops, "nested", "nested")
	}
	switch op := rapid.SampledFrom(ops).Draw(t, "op"); op {
	case "insert":
		c.insert(t, w)
	case "claim":
		c.claim(t)
	case "end":
		c.end(t)
	case "unclaim":
		if n, ok := pick(t, c.model.claimed(), "job"); ok {
			job := c.model.jobs[n]
			stored := c.stored(t, n)
			if err := c.tx.Unclaim(&stored); err != nil {
				t.Fatalf("unclaim %s: %v", job.ID, err)
			}
			job.claimed = false
			c.model.jobs[n] = job
			c.wrote = true
		} else if n, ok := pick(t, c.model.pending(), "job"); ok {
			stored := c.stored(t, n)
			if err := c.tx.Unclaim(&stored); !errors.Is(err, storage.ErrCorrupt) {
				t.Fatalf("S5: unclaim of a job that is not claimed: %v", err)
			}
		}
	case "start":
		if n, ok := pick(t, c.model.claimed(), "job"); ok {
			id := c.model.jobs[n].ID
			c.a.live[id] = !c.a.live[id]
		}
	case "cancel":
		c.cancel(t, w)
	case "retry dead":
		c.retryDead(t)
	case "drop dead":
		id := c.drawID(t)
		n, known := c.model.names[id]
		dead := known && c.model.jobs[n].State == storage.StateFailed
		if ok, err := c.tx.DropDead(id); err != nil || ok != dead {
			t.Fatalf("drop dead %s: %v, %v, want %v", id, ok, err, dead)
		}
		if dead {
			delete(c.model.jobs, n)
			delete(c.model.names, id)
			c.wrote = true
		}
	case "purge":
		c.purge(t)
	case "due":
		var got []string
		size := rapid.IntRange(1, 4).Draw(t, "page")
		for from, more := (storage.Place{}), true; more; {
			var jobs []storage.Job
			var err error
			if jobs, from, more, err = c.tx.Due(from, size); err != nil || len(jobs) > size {
				t.Fatalf("due: %d jobs of %d, %v", len(jobs), size, err)
			}
			for _, job := range jobs {
				got = append(got, jobText(job))
			}
		}
		var want []string
		for _, n := range c.model.pending() {
			want = append(want, jobText(c.model.jobs[n].Job))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("G13: due are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	case "claimed":
		jobs, err := c.tx.Claimed()
		var got, want []string
		for _, job := range jobs {
			got = append(got, jobText(job))
		}
		for _, n := range c.model.claimed() {
			want = append(want, jobText(c.model.jobs[n].Job))
		}
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("claimed are\n%s\nwant\n%s, %v", strings.Join(got, "\n"), strings.Join(want, "\n"), err)
		}
	case "nested":
		c.nested(t, w, depth)
	}
}

// stored is the pending job as its holder has it.
func (c *change) stored(t *rapid.T, n int) storage.Job {
	for from, more := (storage.Place{}), true; more; {
		var jobs []storage.Job
		var err error
		if jobs, from, more, err = c.tx.Due(from, 100); err != nil {
			t.Fatal(err)
		}
		for _, job := range jobs {
			if job.ID == c.model.jobs[n].ID {
				return job
			}
		}
	}
	t.Fatalf("job %s is not in the sorted job bucket", c.model.jobs[n].ID)
	return storage.Job{}
}

// drawID chooses an id: one that is known, or one that may be.
func (c *change) drawID(t *rapid.T) storage.JobID {
	return rapid.SampledFrom(slices.Concat(chosenIDs, []storage.JobID{"nobody"}, slices.Sorted(maps.Keys(c.model.names)))).Draw(t, "id")
}

func (c *change) insert(t *rapid.T, w storage.Writer) {
	due := c.m.now.Add(time.Duration(rapid.SampledFrom([]int64{-3_600_000, -1, 0, 0, 1, 2, 3_600_000}).Draw(t, "due in ms")) * time.Millisecond)
	job := storage.Job{
		Function: rapid.SampledFrom([]string{"a:x", "a:y"}).Draw(t, "function"),
		Args:     rapid.SampledFrom([][]byte{nil, []byte("1"), []byte(`{"x":1}`)}).Draw(t, "args"),
		Due:      due, EnqueuedAt: c.m.now,
		AtMostOnce: rapid.Bool().Draw(t, "at most once"),
		Timeout:    rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(t, "timeout"),
		Retry:      rapid.SampledFrom([]*storage.Retry{nil, {}, {Limit: 3, Linear: true, Base: time.Second, Max: time.Minute}}).Draw(t, "retry"),
		Claims:     rapid.SampledFrom([][]byte{nil, []byte(`{"sub":"u"}`)}).Draw(t, "claims"),
	}
	if rapid.IntRange(0, 2).Draw(t, "chosen") > 0 {
		job.ID = rapid.SampledFrom(chosenIDs).Draw(t, "id")
	}
	if rapid.IntRange(0, 9).Draw(t, "other instant asked for") == 0 {
		job.ScheduledFor = due.Add(time.Millisecond)
	}
	var want error
	held, known := c.model.names[job.ID]
	switch {
	case len(c.model.pending()) >= modelMaxJobs:
		want = storage.ErrLimit
	case known && (c.model.jobs[held].State == storage.StatePending || c.model.jobs[held].State == storage.StateFailed):
		want = storage.ErrExists
	}
	id, err := storage.InsertJob(w, job)
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Fatalf("insert %q: %v, want %v", job.ID, err, want)
	}
	if err != nil {
		return
	}
	if job.ScheduledFor.IsZero() {
		job.ScheduledFor = due
	}
	if job.ID == "" {
		if ms, _, ok := storage.HomeOf(id); !ok || ms != job.ScheduledFor.UnixMilli() {
			t.Fatalf("minted id %s spells %d, %v, want %d", id, ms, ok, job.ScheduledFor.UnixMilli())
		}
	} else if id != job.ID {
		t.Fatalf("inserted as %s, want %s", id, job.ID)
	}
	job.ID, job.State = id, storage.StatePending
	c.m.jobs++
	c.model.jobs[c.m.jobs] = modelJob{Job: job}
	c.model.names[id] = c.m.jobs
	c.wrote = true
	c.inserted = append(c.inserted, id)
}

func (c *change) claim(t *rapid.T) {
	n, ok := pick(t, c.model.numbers(func(j modelJob) bool { return j.State == storage.StatePending && !j.claimed }), "job")
	if !ok {
		return
	}
	stored := c.stored(t, n)
	if ok, err := c.tx.Claim(&stored); err != nil || !ok {
		t.Fatalf("claim %s: %v, %v", stored.ID, ok, err)
	}
	job := c.model.jobs[n]
	job.claimed = true
	c.model.jobs[n] = job
	c.wrote = true
}

func (c *change) end(t *rapid.T) {
	n, ok := pick(t, c.model.claimed(), "job")
	if !ok {
		if n, ok := pick(t, c.model.pending(), "job"); ok {
			if _, err := c.tx.EndAttempt(c.stored(t, n), storage.End{State: storage.StateSuccess}); !errors.Is(err, storage.ErrCorrupt) {
				t.Fatalf("S5: end of a job that is not claimed: %v", err)
			}
		}
		return
	}
	end := storage.End{
		State:     rapid.SampledFrom([]storage.State{storage.StateSuccess, storage.StateFailed, storage.StateCanceled, storage.StatePending, storage.StatePending}).Draw(t, "ends"),
		StartedAt: rapid.SampledFrom([]time.Time{{}, c.m.now}).Draw(t, "started"),
	}
	if end.State != storage.StateSuccess {
		if rapid.IntRange(0, 3).Draw(t, "says why") > 0 {
			end.Error = &storage.JobError{Code: "internal", Message: rapid.SampledFrom([]string{"", "oops", "\u00e9"}).Draw(t, "message")}
		}
		end.Crashed = rapid.IntRange(0, 3).Draw(t, "crashed") == 0
		end.Interrupted = end.Crashed || rapid.IntRange(0, 3).Draw(t, "interrupted") == 0
	}
	job := c.model.jobs[n]
	if end.State == storage.StatePending {
		end.Due = rapid.SampledFrom([]time.Time{job.Due, job.ScheduledFor, c.m.now, c.m.now.Add(time.Millisecond), c.m.now.Add(time.Hour)}).Draw(t, "again at")
	}
	ended, err := c.tx.EndAttempt(c.stored(t, n), end)
	if err != nil {
		t.Fatalf("end the attempt of %s: %v", job.ID, err)
	}
	job.claimed = false
	job.Attempts++
	job.StartedAt = end.StartedAt
	job.Error = end.Error
	if end.Error != nil {
		job.History = append(slices.Clip(job.History), storage.Attempt{
			Number: job.Attempts, StartedAt: end.StartedAt, EndedAt: c.m.now, Error: *end.Error, Interrupted: end.Interrupted,
		})
	}
	switch {
	case end.Crashed:
		job.Interruptions++
	case !end.Interrupted && (end.State == storage.StatePending || end.State == storage.StateFailed):
		job.Failures++
		job.Interruptions = 0
	}
	job.State = end.State
	if end.State == storage.StatePending {
		job.Due = end.Due
		c.inserted = append(c.inserted, job.ID)
	} else {
		job.CompletedAt = c.m.now
	}
	c.model.jobs[n] = job
	c.wrote = true
	if jobText(ended) != jobText(job.Job) {
		t.Fatalf("the ended job is\n%s\nwant\n%s", jobText(ended), jobText(job.Job))
	}
}

func (c *change) cancel(t *rapid.T, w storage.Writer) {
	id := c.drawID(t)
	answer, err := storage.CancelJob(w, id)
	var want storage.Cancellation
	if n, known := c.model.names[id]; known {
		job := c.model.jobs[n]
		want.Found = job.State
		if job.State == storage.StatePending {
			want.Canceled, c.wrote = true, true
			if job.claimed {
				c.canceled = append(c.canceled, id)
				if c.a.live[id] {
					want.Found = storage.StateRunning
					job.Attempts++
				}
			}
			job.claimed, job.State, job.CompletedAt = false, storage.StateCanceled, c.m.now
			c.model.jobs[n] = job
		}
	}
	if err != nil || answer != want {
		t.Fatalf("cancel %s: %+v, %v, want %+v", id, answer, err, want)
	}
}

func (c *change) retryDead(t *rapid.T) {
	id := c.drawID(t)
	n, known := c.model.names[id]
	dead := known && c.model.jobs[n].State == storage.StateFailed
	full := len(c.model.pending()) >= modelMaxJobs
	ok, err := c.tx.RetryDead(id)
	if dead && full {
		if ok || !errors.Is(err, storage.ErrLimit) {
			t.Fatalf("retry dead %s at the limit: %v, %v", id, ok, err)
		}
		return
	}
	if err != nil || ok != dead {
		t.Fatalf("retry dead %s: %v, %v, want %v", id, ok, err, dead)
	}
	if !dead {
		return
	}
	job := c.model.jobs[n]
	job.State, job.Due = storage.StatePending, c.m.now
	job.Attempts, job.Failures, job.Interruptions = 0, 0, 0
	job.CompletedAt, job.StartedAt = time.Time{}, time.Time{}
	c.model.jobs[n] = job
	c.inserted = append(c.inserted, id)
	c.wrote = true
}

func (c *change) purge(t *rapid.T) {
	before := c.m.now.Add(time.Duration(rapid.IntRange(-4, 1).Draw(t, "before")) * time.Millisecond)
	keep, limit := rapid.IntRange(0, 4).Draw(t, "keep"), rapid.IntRange(1, 3).Draw(t, "limit")
	want := 0
	finished := c.model.finished()
	for i, n := range finished {
		job := c.model.jobs[n]
		if want == limit || !job.CompletedAt.Before(before) && len(finished)-i <= keep {
			break
		}
		want++
		c.wrote = true
		delete(c.model.jobs, n)
		if c.model.names[job.ID] == n {
			delete(c.model.names, job.ID)
		}
	}
	if n, err := c.tx.PurgeHistory(before, keep, limit); err != nil || n != want {
		t.Fatalf("purge before %v, keep %d, limit %d: %d, %v, want %d", before, keep, limit, n, err, want)
	}
}

// errDropped ends a nested transaction that is to be dropped.
var errDropped = errors.New("dropped")

func (c *change) nested(t *rapid.T, w storage.Writer, depth int) {
	before := *c
	before.model = c.model.clone()
	live := maps.Clone(c.a.live)
	var inner storage.Writer
	how := rapid.SampledFrom([]string{"join", "join", "drop", "panic"}).Draw(t, "nested")
	err := func() (err error) {
		if how == "panic" {
			// The test's own failures are panics too: only ours is taken.
			defer func() {
				if r := recover(); r != nil && r != any(errDropped) {
					panic(r)
				}
			}()
		}
		return storage.Nested(w, func(in storage.Writer) error {
			inner = in
			c.some(t, in, depth+1)
			if _, _, err := w.System().Get("a"); !errors.Is(err, storage.ErrReentrant) {
				t.Fatalf("the outer transaction answers %v while a nested one is open", err)
			}
			switch how {
			case "drop":
				return errDropped
			case "panic":
				panic(errDropped)
			}
			return nil
		})
	}()
	if how == "drop" && !errors.Is(err, errDropped) || how == "join" && err != nil {
		t.Fatalf("nested: %v", err)
	}
	if how != "join" {
		c.model, c.inserted, c.canceled, c.wrote = before.model, before.inserted, before.canceled, before.wrote
		c.a.live = live
		c.a.app.SetLive(func(id storage.JobID) bool { return c.a.live[id] })
	}
	if _, _, err := inner.System().Get("a"); !errors.Is(err, storage.ErrTxDone) {
		t.Fatalf("the nested transaction is over, but get says %v", err)
	}
	c.model.check(t, w, c.a.live)
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
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("25"); err != nil {
			t.Fatal(err)
		}
		defer f.Value.Set(f.DefValue)
	}
	rapid.Check(t, func(rt *rapid.T) {
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
					a.applied(len(a.handed))
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
	for i, h := range a.handed {
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
	for _, h := range a.handed {
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
