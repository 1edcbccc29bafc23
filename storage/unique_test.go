package storage_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// uniqueApp is an app whose engine the test is: live are the jobs whose handler has begun.
type uniqueApp struct {
	t    testing.TB
	s    *storage.Store
	app  *storage.App
	live map[storage.JobID]bool
	now  time.Time
}

func newUniqueApp(t testing.TB) *uniqueApp {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	u := &uniqueApp{t: t, s: s, app: mustApp(t, s, "acme"), live: map[storage.JobID]bool{}, now: testNow}
	u.app.SetLive(func(id storage.JobID) bool { return u.live[id] })
	return u
}

// tx commits durably what fn does.
func (u *uniqueApp) tx(fn func(tx *storage.Tx)) {
	u.t.Helper()
	mustTx(u.t, u.app, u.now, func(tx *storage.Tx) {
		tx.OnCancel(func(id storage.JobID) bool { return u.live[id] })
		fn(tx)
	})
}

// ask schedules a call under the key, due after d.
func (u *uniqueApp) ask(tx *storage.Tx, d time.Duration, args string, unique storage.Unique) (storage.Told, error) {
	unique.Key = cmpOr(unique.Key, "k")
	return tx.JobWriter().Schedule(storage.Job{Function: "a:b", Args: []byte(args), Due: u.now.Add(d), EnqueuedAt: u.now, Unique: &unique})
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func (u *uniqueApp) mustAsk(d time.Duration, args string, unique storage.Unique) (done storage.Told) {
	u.t.Helper()
	u.tx(func(tx *storage.Tx) {
		var err error
		if done, err = u.ask(tx, d, args, unique); err != nil {
			u.t.Fatalf("%s: %v", unique.Policy, err)
		}
	})
	return done
}

// refused is the text of the error that the call is answered with.
func (u *uniqueApp) refused(unique storage.Unique) (text string) {
	u.t.Helper()
	u.tx(func(tx *storage.Tx) {
		if _, err := u.ask(tx, 0, `0`, unique); errors.Is(err, storage.ErrExists) {
			text = err.Error()
		} else if err != nil {
			u.t.Fatal(err)
		}
	})
	return text
}

// start has an attempt of the job begin.
func (u *uniqueApp) start(id storage.JobID) (job storage.Job) {
	u.t.Helper()
	u.tx(func(tx *storage.Tx) { job = mustClaim(u.t, tx, id) })
	u.live[id] = true
	return job
}

func (u *uniqueApp) end(job storage.Job, end storage.End) (ended storage.Job) {
	u.t.Helper()
	u.tx(func(tx *storage.Tx) {
		var err error
		if ended, err = tx.EndAttempt(job, end); err != nil {
			u.t.Fatal(err)
		}
	})
	delete(u.live, job.ID)
	return ended
}

func (u *uniqueApp) job(id storage.JobID) (job storage.Job) {
	u.t.Helper()
	u.tx(func(tx *storage.Tx) { job = mustJob(u.t, tx.Writer(), id) })
	return job
}

func (u *uniqueApp) check() {
	u.t.Helper()
	if err := u.s.Check(); err != nil {
		u.t.Errorf("check: %v", err)
	}
}

var errOops = &storage.JobError{Code: "internal", Message: "oops"}

func TestG29_ReplaceKeepsTheIDAndIsPutOffForSoLongAtMost(t *testing.T) {
	u := newUniqueApp(t)
	replace := storage.Unique{Policy: storage.UniqueReplace, MaxWait: 10 * time.Second}
	first := u.mustAsk(3*time.Second, `1`, replace)
	for n := 2; n <= 6; n++ {
		u.now = u.now.Add(2 * time.Second)
		done := u.mustAsk(3*time.Second, fmt.Sprint(n), replace)
		if !done.Replaced || done.Kept || done.ID != first.ID || done.Holder != first.ID {
			t.Fatalf("call %d: %+v, want job %s replaced", n, done, first.ID)
		}
		job := u.job(first.ID)
		due := u.now.Add(3 * time.Second)
		if most := testNow.Add(10 * time.Second); due.After(most) {
			due = most
		}
		if string(job.Args) != fmt.Sprint(n) || !job.Due.Equal(due) || job.Revision != 0 {
			t.Errorf("call %d: args %s due %s in revision %d, want due %s in revision 0", n, job.Args, job.Due, job.Revision, due)
		}
		u.check()
	}
	if n := u.app.Pending(); n != 1 {
		t.Errorf("%d jobs are pending, want 1", n)
	}
}

func TestG29_OtherArgumentsAfterAnAttemptAreANewRevision(t *testing.T) {
	u := newUniqueApp(t)
	replace := storage.Unique{Policy: storage.UniqueReplace, MaxWait: time.Hour}
	id := u.mustAsk(0, `1`, replace).ID
	u.end(u.start(id), storage.End{State: storage.StatePending, Due: u.now.Add(time.Minute), Error: errOops, StartedAt: u.now})
	u.mustAsk(time.Second, `1`, replace)
	if job := u.job(id); job.Revision != 0 || job.Failures != 1 || job.Attempts != 1 {
		t.Errorf("the same arguments: revision %d, %d failures in %d attempts, want 0, 1, 1", job.Revision, job.Failures, job.Attempts)
	}
	u.mustAsk(time.Second, `2`, replace)
	if job := u.job(id); job.Revision != 1 || job.Failures != 0 || job.Attempts != 1 || len(job.History) != 1 {
		t.Errorf("other arguments: revision %d, %d failures in %d attempts, want 1, 0, 1", job.Revision, job.Failures, job.Attempts)
	}
	u.check()
}

// TestG29_OneFollowerOfARunningJob: what replaces a running job is one job, which later calls
// replace. The one before is not tried again.
func TestG29_OneFollowerOfARunningJob(t *testing.T) {
	u := newUniqueApp(t)
	replace := storage.Unique{Policy: storage.UniqueReplace, MaxWait: time.Hour}
	first := u.mustAsk(0, `1`, replace)
	job := u.start(first.ID)
	second := u.mustAsk(time.Second, `2`, replace)
	if second.ID == first.ID || second.Replaced || second.Holder != first.ID {
		t.Errorf("while it runs: %+v, want a job beside %s", second, first.ID)
	}
	third := u.mustAsk(time.Second, `3`, replace)
	if third.ID != second.ID || !third.Replaced {
		t.Errorf("the next one: %+v, want job %s replaced", third, second.ID)
	}
	u.check()
	ended := u.end(job, storage.End{State: storage.StatePending, Due: u.now.Add(time.Minute), Error: errOops, StartedAt: u.now})
	if ended.State != storage.StateCanceled || !strings.Contains(ended.Error.Message, string(second.ID)) {
		t.Errorf("the first one has ended as %s, %+v, want canceled because of %s", ended.State, ended.Error, second.ID)
	}
	u.check()
	if n := u.app.Pending(); n != 1 {
		t.Errorf("%d jobs are pending, want the follower", n)
	}
}

// TestG29_ARunningJobHasItsKeyBackWhenItsFollowerIsGone: the follower is canceled, and the
// job is tried again with its key.
func TestG29_ARunningJobHasItsKeyBackWhenItsFollowerIsGone(t *testing.T) {
	u := newUniqueApp(t)
	running := storage.JobID("")
	u.app.SetStopping(func(string) storage.JobID { return running })
	replace := storage.Unique{Policy: storage.UniqueReplace, MaxWait: time.Hour}
	first := u.mustAsk(0, `1`, replace)
	for _, known := range []bool{true, false} {
		job := u.start(first.ID)
		second := u.mustAsk(time.Second, `2`, replace)
		if running = ""; known {
			running = first.ID
		}
		u.tx(func(tx *storage.Tx) {
			if _, err := tx.JobWriter().CancelJob(second.ID); err != nil {
				t.Fatal(err)
			}
		})
		u.check()
		if known {
			if kept := u.mustAsk(0, `3`, storage.Unique{Policy: storage.UniqueKeep}); kept.ID != first.ID {
				t.Errorf("kept is %+v, want the running job %s", kept, first.ID)
			}
		}
		running = ""
		u.end(job, storage.End{State: storage.StatePending, Due: u.now.Add(time.Minute), Error: errOops, StartedAt: u.now})
		u.check()
		if text := u.refused(storage.Unique{Policy: storage.UniqueRefuse}); !strings.Contains(text, string(first.ID)) {
			t.Errorf("refused with %q, want job %s named", text, first.ID)
		}
	}
}

func TestG29_KeepAndRefuse(t *testing.T) {
	keep, refuse := storage.Unique{Policy: storage.UniqueKeep}, storage.Unique{Policy: storage.UniqueRefuse}
	keepPending, refusePending := keep, refuse
	keepPending.PendingOnly, refusePending.PendingOnly = true, true
	u := newUniqueApp(t)
	first := u.mustAsk(time.Minute, `1`, keep)
	for name, unique := range map[string]storage.Unique{"keep": keep, "keep, pending only": keepPending} {
		if done := u.mustAsk(0, `2`, unique); !done.Kept || done.ID != first.ID {
			t.Errorf("%s: %+v, want %s kept", name, done, first.ID)
		}
	}
	for name, unique := range map[string]storage.Unique{"refuse": refuse, "refuse, pending only": refusePending} {
		if text := u.refused(unique); !strings.Contains(text, string(first.ID)) {
			t.Errorf("%s: %q, want job %s named", name, text, first.ID)
		}
	}
	other := keep
	other.AppWide = true
	if done := u.mustAsk(time.Minute, `3`, other); done.Kept {
		t.Error("the key of a function is one of the app")
	}
	job := u.start(first.ID)
	if done := u.mustAsk(0, `2`, keep); !done.Kept {
		t.Error("a running job does not hold its key")
	}
	if u.refused(refuse) == "" {
		t.Error("a running job does not hold its key against one that is refused")
	}
	second := u.mustAsk(time.Minute, `4`, refusePending)
	if second.Kept || second.Holder != first.ID {
		t.Errorf("pending only, while it runs: %+v, want a job of its own", second)
	}
	u.check()
	u.end(job, storage.End{State: storage.StateSuccess, StartedAt: u.now})
	u.check()
	if done := u.mustAsk(0, `2`, keepPending); done.ID != second.ID {
		t.Errorf("%+v, want %s kept", done, second.ID)
	}
}

// TestG29_AKeptJobBeginsAfterTheTransactionThatKeptIt: it was claimed ahead, and is claimed
// again with what that has written.
func TestG29_AKeptJobBeginsAfterTheTransactionThatKeptIt(t *testing.T) {
	u := newUniqueApp(t)
	keep := storage.Unique{Policy: storage.UniqueKeep}
	id := u.mustAsk(0, `1`, keep).ID
	u.tx(func(tx *storage.Tx) { mustClaim(t, tx, id) }) // its handler has not begun
	u.tx(func(tx *storage.Tx) {
		if done, err := u.ask(tx, 0, `2`, keep); err != nil || !done.Kept {
			t.Errorf("%+v, %v, want it kept", done, err)
		}
		if got := tx.CanceledClaims(); len(got) != 1 || got[0] != id {
			t.Errorf("claims of %q are taken back, want %s", got, id)
		}
		inserted := tx.Inserted()
		if len(inserted) != 1 || inserted[0].ID != id || string(inserted[0].Args) != `1` {
			t.Errorf("the engine is told of %d jobs, want %s", len(inserted), id)
		}
	})
	u.check()
}

// TestG29_AReplacedJobIsToldOnceWithItsLastArguments: the engine claims what it is told.
func TestG29_AReplacedJobIsToldOnceWithItsLastArguments(t *testing.T) {
	u := newUniqueApp(t)
	replace := storage.Unique{Policy: storage.UniqueReplace}
	u.tx(func(tx *storage.Tx) {
		for n := range 3 {
			if _, err := u.ask(tx, 0, fmt.Sprint(n), replace); err != nil {
				t.Fatal(err)
			}
		}
		lost := errors.New("lost")
		err := tx.JobWriter().Nested(func(w storage.JobWriter) error {
			_, err := w.Schedule(storage.Job{Function: "a:b", Args: []byte(`9`), Due: u.now, Unique: &storage.Unique{Key: "k", Policy: storage.UniqueReplace}})
			return errors.Join(err, lost)
		})
		if !errors.Is(err, lost) {
			t.Fatal(err)
		}
		if got := tx.Inserted(); len(got) != 1 || string(got[0].Args) != `2` {
			t.Errorf("the engine is told of %d jobs, want one with the third's arguments", len(got))
		}
	})
	u.check()
}

func TestG29_StartsOfAThrottledKeyAreApart(t *testing.T) {
	const every = time.Minute
	throttle := storage.Unique{Policy: storage.UniqueThrottle, Every: every}
	u := newUniqueApp(t)
	id := u.mustAsk(0, `1`, throttle).ID
	if job := u.job(id); !job.Due.Equal(u.now) {
		t.Errorf("the first call is due %s, want at once", job.Due.Sub(u.now))
	}
	started := u.now
	job := u.start(id)
	u.now = u.now.Add(time.Second)
	next := u.mustAsk(0, `2`, throttle).ID // its start is not known yet
	u.end(job, storage.End{State: storage.StateSuccess, StartedAt: started})
	dueAfter := func(what string, id storage.JobID, args string) {
		t.Helper()
		if job := u.job(id); !job.Due.Equal(started.Add(every)) || string(job.Args) != args {
			t.Errorf("%s: %s due %s after the last start, want %s due %s", what, job.Args, job.Due.Sub(started), args, every)
		}
		u.check()
	}
	dueAfter("called while it ran", next, `2`)
	if done := u.mustAsk(0, `3`, throttle); done.ID != next || !done.Replaced {
		t.Errorf("%+v, want %s replaced", done, next)
	}
	dueAfter("called again", next, `3`)
	u.tx(func(tx *storage.Tx) {
		if _, err := tx.JobWriter().CancelJob(next); err != nil {
			t.Fatal(err)
		}
	})
	next = u.mustAsk(0, `4`, throttle).ID
	dueAfter("called after that was canceled", next, `4`)

	u.now = started.Add(every)
	started = u.now.Add(300 * time.Microsecond)
	job = u.start(next)
	u.now = u.now.Add(5 * time.Millisecond)
	u.end(job, storage.End{State: storage.StatePending, Due: u.now.Add(time.Second), Error: errOops, StartedAt: started})
	started = started.Truncate(time.Millisecond).Add(time.Millisecond)
	dueAfter("tried again", next, `4`)

	u.now = started.Add(every)
	u.end(u.start(next), storage.End{State: storage.StateFailed, Error: errOops, StartedAt: u.now})
	started = u.now
	u.tx(func(tx *storage.Tx) {
		if ok, err := tx.RetryDeadAt(next, u.now); err != nil || !ok {
			t.Fatal(ok, err)
		}
	})
	dueAfter("dead, and tried again by hand", next, `4`)
	u.end(u.start(next), storage.End{State: storage.StatePending, Due: u.now, Interrupted: true, Crashed: true, Error: errOops})
	dueAfter("cut off by a crash", next, `4`)
}

func TestG29_HeldAfterSuccess(t *testing.T) {
	keep, refuse := storage.Unique{Policy: storage.UniqueKeep, HeldFor: time.Hour}, storage.Unique{Policy: storage.UniqueRefuse}
	u := newUniqueApp(t)
	id := u.mustAsk(0, `1`, keep).ID
	u.end(u.start(id), storage.End{State: storage.StateSuccess, StartedAt: u.now})
	ended := u.now
	for _, after := range []time.Duration{0, time.Hour - time.Millisecond} {
		u.now = ended.Add(after)
		if done := u.mustAsk(0, `2`, keep); !done.Kept || done.ID != id {
			t.Errorf("%s after: %+v, want %s kept", after, done, id)
		}
		if u.refused(refuse) == "" {
			t.Errorf("%s after: the key is free", after)
		}
	}
	u.tx(func(tx *storage.Tx) { // its record may go before
		if n, _, err := tx.PurgeHistory(u.now.Add(time.Second), 0, 10); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if n, _, err := tx.PurgeKeys(u.now, 10); n != 0 || err != nil {
			t.Fatal(n, err)
		}
	})
	if done := u.mustAsk(0, `2`, keep); done.ID != id {
		t.Errorf("when the record is purged: %+v, want %s kept", done, id)
	}
	u.now = ended.Add(time.Hour)
	u.tx(func(tx *storage.Tx) {
		if n, more, err := tx.PurgeKeys(u.now, 10); n != 1 || more || err != nil {
			t.Errorf("%d keys are purged, more %t, %v, want 1", n, more, err)
		}
	})
	u.check()
	if n := u.app.Lasting(); n != 0 {
		t.Errorf("%d keys are left", n)
	}
	if done := u.mustAsk(0, `2`, keep); done.Kept {
		t.Error("the key is held for longer than it was to be")
	}
}

// TestG29_AClockThatIsSetBackHoldsNoKeyForLonger: not for longer than its span from then on.
func TestG29_AClockThatIsSetBackHoldsNoKeyForLonger(t *testing.T) {
	for _, how := range []string{"asked for", "purged"} {
		u := newUniqueApp(t)
		keep := storage.Unique{Policy: storage.UniqueKeep, HeldFor: time.Hour}
		u.now = testNow.Add(1000 * time.Hour)
		id := u.mustAsk(0, `1`, keep).ID
		u.end(u.start(id), storage.End{State: storage.StateSuccess, StartedAt: u.now})
		u.now = testNow
		if how == "purged" {
			u.tx(func(tx *storage.Tx) {
				if n, _, err := tx.PurgeKeys(u.now, 10); n != 1 || err != nil {
					t.Errorf("%d keys were looked at, %v, want 1", n, err)
				}
				if n, _, err := tx.PurgeKeys(u.now, 10); n != 0 || err != nil {
					t.Errorf("%d keys were looked at again, %v, want none", n, err)
				}
			})
		} else if done := u.mustAsk(0, `2`, keep); !done.Kept {
			t.Error("the key is free at once")
		}
		u.check()
		u.now = testNow.Add(time.Hour)
		if done := u.mustAsk(0, `3`, keep); done.Kept {
			t.Errorf("%s: the key is held by a clock that was set back", how)
		}
	}
}

// TestG29_RetryDeadTakesTheKeyBack, or says who has it.
func TestG29_RetryDeadTakesTheKeyBack(t *testing.T) {
	u := newUniqueApp(t)
	keep := storage.Unique{Policy: storage.UniqueKeep}
	id := u.mustAsk(0, `1`, keep).ID
	u.end(u.start(id), storage.End{State: storage.StateFailed, Error: errOops, StartedAt: u.now})
	other := u.mustAsk(time.Minute, `2`, keep)
	if other.Kept {
		t.Fatal("a dead job holds its key")
	}
	retry := func() (ok bool, err error) {
		u.tx(func(tx *storage.Tx) { ok, err = tx.RetryDeadAt(id, u.now) })
		u.check()
		return ok, err
	}
	if _, err := retry(); !errors.Is(err, storage.ErrExists) || !strings.Contains(err.Error(), string(other.ID)) {
		t.Errorf("while %s has the key: %v, want ErrExists that names it", other.ID, err)
	}
	u.tx(func(tx *storage.Tx) {
		if _, err := tx.JobWriter().CancelJob(other.ID); err != nil {
			t.Fatal(err)
		}
	})
	if ok, err := retry(); !ok || err != nil {
		t.Errorf("when the key is free: %t, %v", ok, err)
	}
	if done := u.mustAsk(0, `3`, keep); done.ID != id {
		t.Errorf("%+v, want %s kept", done, id)
	}
}

// TestG29_TheKeyOfACanceledJobThatStops is not free for one that is refused.
func TestG29_TheKeyOfACanceledJobThatStops(t *testing.T) {
	u := newUniqueApp(t)
	stops := storage.JobID("")
	u.app.SetStopping(func(string) storage.JobID { return stops })
	refuse := storage.Unique{Policy: storage.UniqueRefuse}
	id := u.mustAsk(0, `1`, refuse).ID
	u.start(id)
	u.tx(func(tx *storage.Tx) {
		if _, err := tx.JobWriter().CancelJob(id); err != nil {
			t.Fatal(err)
		}
	})
	stops = id
	if text := u.refused(refuse); !strings.Contains(text, string(id)) {
		t.Errorf("refused with %q, want %s named", text, id)
	}
	stops = ""
	if text := u.refused(refuse); text != "" {
		t.Errorf("refused with %q when its handler has returned", text)
	}
	u.check()
}

func TestG29_BoundsOfAKey(t *testing.T) {
	u := newUniqueApp(t)
	for key, ok := range map[string]bool{
		"a": true, strings.Repeat("k", storage.MaxKey): true, "\x00": true, "ключ": true,
		strings.Repeat("k", storage.MaxKey+1): false, "\xff": false,
	} {
		var err error
		u.tx(func(tx *storage.Tx) {
			_, err = u.ask(tx, time.Hour, `1`, storage.Unique{Key: key, Policy: storage.UniqueKeep})
		})
		if (err == nil) != ok || err != nil && !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("a key of %d bytes: %v, want it taken: %t", len(key), err, ok)
		}
	}
	u.tx(func(tx *storage.Tx) {
		_, err := tx.JobWriter().Schedule(storage.Job{Function: "a:b", Due: u.now, Unique: &storage.Unique{Policy: storage.UniqueKeep}})
		if !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("an empty key: %v", err)
		}
		_, err = u.ask(tx, 0, `1`, storage.Unique{Policy: "sometimes"})
		if !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("an unknown policy: %v", err)
		}
	})
	u.check()
}

func TestG29_ParentsAreStored(t *testing.T) {
	u := newUniqueApp(t)
	minted := mustInsertOne(u, storage.Job{})
	for _, parent := range []storage.JobID{"", "chosen", "cron:daily:1700000000000", minted} {
		id := mustInsertOne(u, storage.Job{Parent: parent})
		if got := u.job(id).Parent; got != parent {
			t.Errorf("parent %q is read as %q", parent, got)
		}
	}
	with, without := storage.EncodeJob(storage.Job{ID: minted, Parent: minted}), storage.EncodeJob(storage.Job{ID: minted})
	if n := len(with) - len(without); n > 16 {
		t.Errorf("a parent takes %d bytes, want 16 at most", n)
	}
	if bytes.Equal(with, without) {
		t.Error("the parent is not stored")
	}
}

func mustInsertOne(u *uniqueApp, job storage.Job) (id storage.JobID) {
	u.t.Helper()
	u.tx(func(tx *storage.Tx) { id = mustInsert(u.t, tx.JobWriter(), job) })
	return id
}

// TestG29_AKeyFollowsItsFunctionThroughARename: each policy finds the job that was stored
// under another name of the function, and there is one row of the key.
func TestG29_AKeyFollowsItsFunctionThroughARename(t *testing.T) {
	for _, running := range []bool{false, true} {
		for _, policy := range []storage.UniquePolicy{storage.UniqueKeep, storage.UniqueReplace, storage.UniqueThrottle, storage.UniqueRefuse} {
			u := newUniqueApp(t)
			unique := storage.Unique{Key: "k", Policy: policy, MaxWait: time.Hour}
			if policy == storage.UniqueThrottle {
				unique.Every = time.Minute
			}
			old := u.mustAsk(0, `1`, unique).ID
			var claimed storage.Job
			if running {
				claimed = u.start(old)
			}
			u.app.SetNames(func(function string) []string {
				return map[string][]string{"a:b": {"a:new"}, "a:new": {"a:b"}}[function]
			})
			ask := func() (done storage.Told, err error) {
				u.tx(func(tx *storage.Tx) {
					key := unique
					done, err = tx.JobWriter().Schedule(storage.Job{Function: "a:new", Args: []byte(`2`), Due: u.now.Add(time.Second), EnqueuedAt: u.now, Unique: &key})
				})
				u.check()
				return done, err
			}
			done, err := ask()
			switch {
			case policy == storage.UniqueRefuse:
				if !errors.Is(err, storage.ErrExists) || !strings.Contains(err.Error(), string(old)) {
					t.Errorf("%s, running %t: %v, want ErrExists that names %s", policy, running, err, old)
				}
				continue
			case err != nil:
				t.Fatal(err)
			case policy == storage.UniqueKeep:
				if !done.Kept || done.ID != old {
					t.Errorf("%s, running %t: %+v, want %s kept", policy, running, done, old)
				}
				continue
			case !running:
				if job := u.job(old); !done.Replaced || done.ID != old || job.Function != "a:new" || string(job.Args) != `2` {
					t.Errorf("%s: %+v, and the job is %s(%s)", policy, done, job.Function, job.Args)
				}
			case done.Holder != old || done.ID == old:
				t.Errorf("%s: %+v, want a follower of %s", policy, done, old)
			default:
				u.end(claimed, storage.End{State: storage.StatePending, Due: u.now, Error: errOops, StartedAt: u.now})
				u.check()
				if job := u.job(old); job.State != storage.StateCanceled {
					t.Errorf("%s: the job before is %s, want canceled", policy, job.State)
				}
			}
			id := done.ID
			if done, err := ask(); err != nil || done.ID != id || !done.Replaced {
				t.Errorf("%s, running %t: once more: %+v, %v, want %s replaced", policy, running, done, err, id)
			}
		}
	}
}
