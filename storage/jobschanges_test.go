package storage_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"carillon/storage"
)

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
func (c *change) some(t *rapid.T, w storage.JobWriter, depth int) {
	for range rapid.IntRange(0, 5).Draw(t, "changes") {
		c.one(t, w, depth)
	}
	c.model.check(t, w.Writer(), c.a.live)
}

// pick chooses one of the jobs.
func pick(t *rapid.T, ns []int, label string) (n int, ok bool) {
	if len(ns) == 0 {
		return 0, false
	}
	return rapid.SampledFrom(ns).Draw(t, label), true
}

// one does one random change.
func (c *change) one(t *rapid.T, w storage.JobWriter, depth int) {
	ops := []string{"insert", "insert", "insert", "claim", "claim", "end", "end", "unclaim", "start", "cancel", "retry dead", "drop dead", "hold", "hold", "release", "purge", "due", "claimed"}
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
		dead := known && c.dead(n)
		if ok, err := c.tx.DropDead(id); err != nil || ok != dead {
			t.Fatalf("drop dead %s: %v, %v, want %v", id, ok, err, dead)
		}
		if dead {
			delete(c.model.jobs, n)
			delete(c.model.names, id)
			c.wrote = true
		}
	case "hold":
		id := c.drawID(t)
		n, known := c.model.names[id]
		can := known && c.model.jobs[n].State == storage.StatePending && !c.model.jobs[n].claimed
		if ok, err := w.HoldJob(id, "why"); err != nil || ok != can {
			t.Fatalf("hold %s: %v, %v, want %v", id, ok, err, can)
		}
		if can {
			job := c.model.jobs[n]
			c.model.hold(&job, "why", c.m.now)
			c.model.jobs[n] = job
			c.wrote = true
		}
	case "release":
		c.release(t)
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

// dead says whether the job can be retried and dropped.
func (c *change) dead(n int) bool {
	state := c.model.jobs[n].State
	return state == storage.StateFailed || state == storage.StateHeld
}

// release makes some of the held jobs pending again, or dead.
func (c *change) release(t *rapid.T) {
	last, err := c.tx.LastHeld()
	if err != nil {
		t.Fatal(err)
	}
	limit := rapid.IntRange(1, 3).Draw(t, "limit")
	before := c.m.now.Add(time.Duration(rapid.IntRange(-4, 1).Draw(t, "before")) * time.Millisecond)
	expire := rapid.Bool().Draw(t, "expire")
	want := 0
	for _, n := range c.model.held() {
		job := c.model.jobs[n]
		if want == limit {
			break
		}
		if expire && job.HeldAt.After(c.m.now) {
			job.HeldAt = c.m.now
			c.model.jobs[n] = job
			c.wrote = true
		}
		if expire && !job.HeldAt.Before(before) {
			break
		}
		want++
		c.wrote = true
		if expire {
			job.Error = &storage.JobError{Code: "failed_precondition", Message: "held since " + job.HeldAt.Format(time.RFC3339) + ": " + job.Reason}
			job.State, job.Reason = storage.StateFailed, ""
			c.model.end(&job, c.m.now)
		} else {
			job.State, job.Reason = storage.StatePending, ""
			c.inserted = append(c.inserted, job.ID)
		}
		c.model.jobs[n] = job
	}
	var n int
	if expire {
		n, _, err = c.tx.ExpireHeld(before, limit)
	} else {
		n, _, err = c.tx.ReleaseHeld(last, limit, nil)
	}
	if err != nil || n != want {
		t.Fatalf("release of %d, expire %v: %d, %v, want %d", limit, expire, n, err, want)
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

func (c *change) insert(t *rapid.T, w storage.JobWriter) {
	due := c.m.now.Add(time.Duration(rapid.SampledFrom([]int64{-3_600_000, -1, 0, 0, 1, 2, 3_600_000}).Draw(t, "due in ms")) * time.Millisecond)
	job := storage.Job{
		Function: rapid.SampledFrom([]string{"a:x", "a:y"}).Draw(t, "function"),
		Args:     rapid.SampledFrom([][]byte{nil, []byte("1"), []byte(`{"x":1}`)}).Draw(t, "args"),
		Due:      due, EnqueuedAt: c.m.now,
		AtMostOnce: rapid.Bool().Draw(t, "at most once"),
		Timeout:    rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(t, "timeout"),
		Retry:      rapid.SampledFrom([]*storage.Retry{nil, {}, {Limit: 3, Linear: true, Base: time.Second, Max: time.Minute, Jitter: true}}).Draw(t, "retry"),
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
	case len(c.model.pending())+len(c.model.held()) >= modelMaxJobs:
		want = storage.ErrLimit
	case known && (c.model.jobs[held].State == storage.StatePending || c.dead(held)):
		want = storage.ErrExists
	}
	id, err := w.InsertJob(job)
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
		State:     rapid.SampledFrom([]storage.State{storage.StateSuccess, storage.StateFailed, storage.StateCanceled, storage.StatePending, storage.StatePending, storage.StateHeld}).Draw(t, "ends"),
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
	end.Reason = "because"
	ended, err := c.tx.EndAttempt(c.stored(t, n), end)
	if err != nil {
		t.Fatalf("end the attempt of %s: %v", job.ID, err)
	}
	if end.State == storage.StateHeld {
		c.model.hold(&job, end.Reason, c.m.now)
		c.model.jobs[n] = job
		c.wrote = true
		return
	}
	job.claimed = false
	job.Attempts++
	job.StartedAt = end.StartedAt
	job.Error = end.Error
	if end.Error != nil {
		job.History = append(slices.Clip(job.History), storage.Attempt{
			Number: job.Attempts, Due: job.Due, StartedAt: end.StartedAt, EndedAt: c.m.now, Error: *end.Error, Interrupted: end.Interrupted,
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
		job.bound(c.m.now)
		c.inserted = append(c.inserted, job.ID)
	} else {
		c.model.end(&job, c.m.now)
	}
	c.model.jobs[n] = job
	c.wrote = true
	if jobText(ended) != jobText(job.Job) {
		t.Fatalf("the ended job is\n%s\nwant\n%s", jobText(ended), jobText(job.Job))
	}
}

func (c *change) cancel(t *rapid.T, w storage.JobWriter) {
	id := c.drawID(t)
	answer, err := w.CancelJob(id)
	var want storage.Cancellation
	if n, known := c.model.names[id]; known {
		job := c.model.jobs[n]
		want.Found = job.State
		if job.State == storage.StatePending || job.State == storage.StateHeld {
			want.Canceled, c.wrote = true, true
			if job.claimed {
				c.canceled = append(c.canceled, id)
				if c.a.live[id] {
					want.Found = storage.StateRunning
					job.Attempts++
				}
			}
			job.claimed, job.State, job.Reason = false, storage.StateCanceled, ""
			c.model.end(&job, c.m.now)
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
	dead := known && c.dead(n)
	full := len(c.model.pending())+len(c.model.held()) >= modelMaxJobs
	ok, err := c.tx.RetryDead(id)
	if dead && full && c.model.jobs[n].State == storage.StateFailed {
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
	if job.State == storage.StateFailed {
		job.Attempts, job.Failures, job.Interruptions = 0, 0, 0
		job.CompletedAt, job.StartedAt = time.Time{}, time.Time{}
	}
	job.State, job.Due, job.Reason = storage.StatePending, c.m.now, ""
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
	if n, _, err := c.tx.PurgeHistory(before, keep, limit); err != nil || n != want {
		t.Fatalf("purge before %v, keep %d, limit %d: %d, %v, want %d", before, keep, limit, n, err, want)
	}
}

// errDropped ends a nested transaction that is to be dropped.
var errDropped = errors.New("dropped")

func (c *change) nested(t *rapid.T, w storage.JobWriter, depth int) {
	before := *c
	before.model = c.model.clone()
	live := maps.Clone(c.a.live)
	var inner storage.JobWriter
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
		return w.Nested(func(in storage.JobWriter) error {
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
	c.model.check(t, w.Writer(), c.a.live)
}
