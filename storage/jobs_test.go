package storage_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"carillon/storage"
)

// mustTx opens a transaction at an instant and commits it durably after fn.
func mustTx(tb testing.TB, app *storage.App, now time.Time, fn func(tx *storage.Tx)) {
	tb.Helper()
	tx := app.Begin(now)
	defer tx.Rollback(nil) // if fn ends the test
	fn(tx)
	mustCommit(tb, tx)
}

// mustInsert inserts the job into the transaction of w.
func mustInsert(tb testing.TB, w storage.JobWriter, job storage.Job) storage.JobID {
	tb.Helper()
	if job.Function == "" {
		job.Function = "a:b"
	}
	if job.Due.IsZero() {
		job.Due = testNow
	}
	id, err := w.InsertJob(job)
	if err != nil {
		tb.Fatalf("insert job %q: %v", job.ID, err)
	}
	return id
}

// mustJob finds the job, which must be there.
func mustJob(tb testing.TB, r storage.Reader, id storage.JobID) storage.Job {
	tb.Helper()
	job, ok, err := r.System().Get(id)
	if err != nil || !ok {
		tb.Fatalf("job %q: %v, %v", id, ok, err)
	}
	return job
}

// mustClaim claims the pending job and returns it.
func mustClaim(tb testing.TB, tx *storage.Tx, id storage.JobID) storage.Job {
	tb.Helper()
	job := mustJob(tb, tx.Writer(), id)
	if ok, err := tx.Claim(&job); err != nil || !ok {
		tb.Fatalf("claim job %q: %v, %v", id, ok, err)
	}
	return job
}

// mustEnd ends the attempt of the job, claiming it first.
func mustEnd(tb testing.TB, tx *storage.Tx, id storage.JobID, end storage.End) storage.Job {
	tb.Helper()
	job, err := tx.EndAttempt(mustClaim(tb, tx, id), end)
	if err != nil {
		tb.Fatalf("end the attempt of job %q: %v", id, err)
	}
	return job
}

// jobText spells all that a job shows, for comparison.
func jobText(job storage.Job) string {
	var b strings.Builder
	text := func(parts ...string) {
		for _, p := range parts {
			b.WriteString(p)
			b.WriteByte(' ')
		}
	}
	number := func(name string, n int64) { text(name, strconv.FormatInt(n, 10)) }
	instant := func(name string, at time.Time) {
		if !at.IsZero() {
			number(name, at.UnixMilli())
		}
	}
	text(string(job.ID), job.Function, string(job.Args), string(job.State))
	instant("due", job.Due)
	instant("scheduled", job.ScheduledFor)
	instant("enqueued", job.EnqueuedAt)
	instant("started", job.StartedAt)
	instant("completed", job.CompletedAt)
	number("attempts", int64(job.Attempts))
	number("failures", int64(job.Failures))
	number("interruptions", int64(job.Interruptions))
	if job.Error != nil {
		text("error", strconv.Quote(job.Error.Code), strconv.Quote(job.Error.Message))
	}
	if instant("held", job.HeldAt); job.Reason != "" {
		text(job.Reason)
	}
	for _, a := range job.History {
		number("attempt", int64(a.Number))
		instant("started", a.StartedAt)
		instant("ended", a.EndedAt)
		text("error", strconv.Quote(a.Error.Code), strconv.Quote(a.Error.Message), strconv.FormatBool(a.Interrupted))
	}
	if n := job.NotKept; n != nil {
		number("notkept", int64(n.Bytes))
		text(strconv.Quote(n.Reason))
	}
	if job.Retry != nil {
		text("retry", retryText(job.Retry))
	}
	if job.Trigger != "" {
		text("trigger", job.Trigger)
		instant("slot", job.Slot)
	}
	text("once", strconv.FormatBool(job.AtMostOnce), "timeout", job.Timeout.String(), "claims", string(job.Claims))
	return b.String()
}

// TestG8_OnlyLegalStateChanges tries every change on a job in every state (S5,
// S6): those that are legal happen, the others change nothing and say so.
func TestG8_OnlyLegalStateChanges(t *testing.T) {
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
	app.SetLive(func(id storage.JobID) bool { return strings.HasPrefix(string(id), "running") })
	oops := &storage.JobError{Code: "internal", Message: "oops"}

	// reach brings a new job into a state.
	reach := map[string]func(tx *storage.Tx, id storage.JobID){
		"pending": func(tx *storage.Tx, id storage.JobID) { mustInsert(t, tx.JobWriter(), storage.Job{ID: id}) },
		"retry": func(tx *storage.Tx, id storage.JobID) {
			mustInsert(t, tx.JobWriter(), storage.Job{ID: id})
			mustEnd(t, tx, id, storage.End{State: storage.StatePending, Due: testNow.Add(time.Minute), Error: oops})
		},
		"claimed": func(tx *storage.Tx, id storage.JobID) {
			mustInsert(t, tx.JobWriter(), storage.Job{ID: id})
			mustClaim(t, tx, id)
		},
		"success": func(tx *storage.Tx, id storage.JobID) {
			mustInsert(t, tx.JobWriter(), storage.Job{ID: id})
			mustEnd(t, tx, id, storage.End{State: storage.StateSuccess})
		},
		"dead": func(tx *storage.Tx, id storage.JobID) {
			mustInsert(t, tx.JobWriter(), storage.Job{ID: id})
			mustEnd(t, tx, id, storage.End{State: storage.StateFailed, Error: oops})
		},
		"canceled": func(tx *storage.Tx, id storage.JobID) {
			mustInsert(t, tx.JobWriter(), storage.Job{ID: id})
			if _, err := tx.JobWriter().CancelJob(id); err != nil {
				t.Fatal(err)
			}
		},
		"absent": func(*storage.Tx, storage.JobID) {},
	}
	reach["running"] = reach["claimed"]

	end := func(state storage.State) func(*storage.Tx, storage.Job) (bool, error) {
		return func(tx *storage.Tx, job storage.Job) (bool, error) {
			_, err := tx.EndAttempt(job, storage.End{State: state, Due: testNow.Add(time.Hour)})
			return err == nil, err
		}
	}
	changes := []struct {
		name string
		// into says what the change makes of a job in each state; it is refused
		// in every other.
		into map[string]storage.State
		do   func(*storage.Tx, storage.Job) (bool, error)
		err  error // of a refusal; nil: none, ok is false
	}{
		{"insert", map[string]storage.State{"absent": "pending", "success": "pending", "canceled": "pending"}, func(tx *storage.Tx, job storage.Job) (bool, error) {
			_, err := tx.JobWriter().InsertJob(storage.Job{ID: job.ID, Function: "a:b", Due: testNow})
			return err == nil, err
		}, storage.ErrExists},
		{"claim", map[string]storage.State{"pending": "pending", "retry": "pending"}, func(tx *storage.Tx, job storage.Job) (bool, error) {
			return tx.Claim(&job)
		}, nil},
		{"unclaim", map[string]storage.State{"claimed": "pending", "running": "pending"}, func(tx *storage.Tx, job storage.Job) (bool, error) {
			err := tx.Unclaim(&job)
			return err == nil, err
		}, storage.ErrCorrupt},
		{"succeed", map[string]storage.State{"claimed": "success", "running": "success"}, end(storage.StateSuccess), storage.ErrCorrupt},
		{"die", map[string]storage.State{"claimed": "failed", "running": "failed"}, end(storage.StateFailed), storage.ErrCorrupt},
		{"end canceled", map[string]storage.State{"claimed": "canceled", "running": "canceled"}, end(storage.StateCanceled), storage.ErrCorrupt},
		{"retry", map[string]storage.State{"claimed": "pending", "running": "pending"}, end(storage.StatePending), storage.ErrCorrupt},
		{"cancel", map[string]storage.State{"pending": "canceled", "retry": "canceled", "claimed": "canceled", "running": "canceled"}, func(tx *storage.Tx, job storage.Job) (bool, error) {
			answer, err := tx.JobWriter().CancelJob(job.ID)
			return answer.Canceled, err
		}, nil},
		{"retry dead", map[string]storage.State{"dead": "pending"}, func(tx *storage.Tx, job storage.Job) (bool, error) {
			return tx.RetryDead(job.ID)
		}, nil},
		{"drop dead", map[string]storage.State{"dead": ""}, func(tx *storage.Tx, job storage.Job) (bool, error) {
			return tx.DropDead(job.ID)
		}, nil},
	}
	for i, change := range changes {
		for from, reach := range reach {
			if change.name == "claim" && (from == "claimed" || from == "running") {
				continue // the caller's duty: one App has one who claims
			}
			t.Run(change.name+"/"+from, func(t *testing.T) {
				id := storage.JobID(fmt.Sprint(from, i))
				mustTx(t, app, testNow, func(tx *storage.Tx) {
					reach(tx, id)
					before, found, err := tx.Writer().System().Get(id)
					if err != nil || found != (from != "absent") {
						t.Fatalf("job %s: %v, %v", id, found, err)
					}
					if !found {
						before.ID = id
					}
					ok, err := change.do(tx, before)
					after, found, getErr := tx.Writer().System().Get(id)
					if getErr != nil {
						t.Fatal(getErr)
					}
					want, legal := change.into[from]
					switch {
					case ok != legal:
						t.Errorf("done is %v, %v, want %v", ok, err, legal)
					case !legal && (!errors.Is(err, change.err) || err == nil && change.err != nil):
						t.Errorf("refused with %v, want %v", err, change.err)
					case legal && after.State != want && !(want == "" && !found):
						t.Errorf("the job is %q now, want %q", after.State, want)
					case !legal && from != "absent" && jobText(after) != jobText(before):
						t.Errorf("the refusal changed the job from %s to %s", jobText(before), jobText(after))
					}
				})
			})
		}
	}
}

// TestG8_CancelAnswersTruly: what a cancel says it found is what was there, and
// a claimed job is canceled all the same (G9, G10).
func TestG8_CancelAnswersTruly(t *testing.T) {
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		w := tx.JobWriter()
		tx.OnCancel(func(id storage.JobID) bool { return id == "started" })
		for _, id := range []storage.JobID{"pending", "claimed", "started", "done", "dead"} {
			mustInsert(t, w, storage.Job{ID: id})
		}
		mustClaim(t, tx, "claimed")
		mustClaim(t, tx, "started")
		mustEnd(t, tx, "done", storage.End{State: storage.StateSuccess})
		mustEnd(t, tx, "dead", storage.End{State: storage.StateFailed})
		for _, tt := range []struct {
			id       storage.JobID
			want     storage.Cancellation
			attempts int
		}{
			{"pending", storage.Cancellation{Canceled: true, Found: storage.StatePending}, 0},
			{"claimed", storage.Cancellation{Canceled: true, Found: storage.StatePending}, 0},
			{"started", storage.Cancellation{Canceled: true, Found: storage.StateRunning}, 1},
			{"done", storage.Cancellation{Found: storage.StateSuccess}, 1},
			{"dead", storage.Cancellation{Found: storage.StateFailed}, 1},
			{"pending", storage.Cancellation{Found: storage.StateCanceled}, 0},
			{"nobody", storage.Cancellation{}, 0},
		} {
			got, err := w.CancelJob(tt.id)
			if err != nil || got != tt.want {
				t.Errorf("cancel %s: %+v, %v, want %+v", tt.id, got, err, tt.want)
			}
			if tt.want.Found == "" {
				continue
			}
			if job := mustJob(t, w.Writer(), tt.id); job.Attempts != tt.attempts {
				t.Errorf("%s shows %d attempts, want %d", tt.id, job.Attempts, tt.attempts)
			}
		}
		if got := tx.CanceledClaims(); !slices.Equal(got, []storage.JobID{"claimed", "started"}) {
			t.Errorf("canceled claims are %v", got)
		}
	})
}

// TestG8_RetriedDeadJobIsFoundAgain: a job that died without a word, at the very
// instant it was due, is made pending at that instant, which is where its
// minted id says it lies. What the id index said of its death must be void.
func TestG8_RetriedDeadJobIsFoundAgain(t *testing.T) {
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
	var id storage.JobID
	mustTx(t, app, testNow, func(tx *storage.Tx) { id = mustInsert(t, tx.JobWriter(), storage.Job{}) })
	mustTx(t, app, testNow, func(tx *storage.Tx) { mustEnd(t, tx, id, storage.End{State: storage.StateFailed}) })
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		if ok, err := tx.RetryDead(id); err != nil || !ok {
			t.Fatalf("retry: %v, %v", ok, err)
		}
		if job := mustJob(t, tx.Writer(), id); job.State != storage.StatePending || job.Attempts != 0 || job.Failures != 0 {
			t.Errorf("the retried job is %+v", job)
		}
	})
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		mustEnd(t, tx, id, storage.End{State: storage.StateSuccess})
	})
}

// TestErrorTextsAreCutAtARune: the text of an attempt's error is bounded to
// 1,024 bytes and stays text, whatever a function put into it.
func TestErrorTextsAreCutAtARune(t *testing.T) {
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
	for name, message := range map[string]string{
		"short":                 "oops",
		"at the bound":          strings.Repeat("x", 1024),
		"one above":             strings.Repeat("x", 1025),
		"a rune at the bound":   strings.Repeat("x", 1022) + "\u00e9",
		"a rune across it":      strings.Repeat("x", 1023) + "\u00e9",
		"a long rune across it": strings.Repeat("x", 1021) + "\U0001f514\U0001f514",
		"no text":               "\xff\xfe\x00",
		"much that is no text":  strings.Repeat("\xffx", 1024),
	} {
		t.Run(name, func(t *testing.T) {
			mustTx(t, app, testNow, func(tx *storage.Tx) {
				id := mustInsert(t, tx.JobWriter(), storage.Job{})
				end := storage.End{State: storage.StateFailed, Error: &storage.JobError{Code: "int\xffernal", Message: message}}
				ended := mustEnd(t, tx, id, end)
				job := mustJob(t, tx.Writer(), id)
				if !utf8.ValidString(job.Error.Message) || !utf8.ValidString(job.Error.Code) || len(job.Error.Message) > 1024 {
					t.Errorf("the error is %d bytes, %q", len(job.Error.Message), job.Error)
				}
				if utf8.ValidString(message) && (!strings.HasPrefix(message, job.Error.Message) || len(job.Error.Message) < min(len(message), 1021)) {
					t.Errorf("the error is %q", job.Error.Message)
				}
				if *ended.Error != *job.Error || len(job.History) != 1 || job.History[0].Error != *job.Error {
					t.Errorf("returned %q, stored %q and in the history %+v", *ended.Error, *job.Error, job.History)
				}
			})
		})
	}
}

// TestFunctionThatIsNoTextIsRefused: such a job could not be written down.
func TestFunctionThatIsNoTextIsRefused(t *testing.T) {
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		if _, err := w.InsertJob(storage.Job{Function: "a:\xff", Due: testNow}); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("%v, want ErrInvalid", err)
		}
	})
	if app.Pending() != 0 {
		t.Error("a job was stored")
	}
}

// TestG18_RefusalAtTheLimitChangesNothing: one job more than allowed is refused,
// and cancel, completion and retry still work at the limit.
func TestG18_RefusalAtTheLimitChangesNothing(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{MaxJobs: 3})
	app, other := mustApp(t, s, "acme"), mustApp(t, s, "other")
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		w := tx.JobWriter()
		for _, id := range []storage.JobID{"a", "b", "c"} {
			mustInsert(t, w, storage.Job{ID: id})
		}
		insert := func(id storage.JobID) error {
			_, err := w.InsertJob(storage.Job{ID: id, Function: "a:b", Due: testNow})
			return err
		}
		if err := insert("d"); !errors.Is(err, storage.ErrLimit) {
			t.Errorf("the fourth job: %v, want ErrLimit", err)
		}
		if _, ok, err := w.System().Get("d"); ok || err != nil {
			t.Errorf("the refused job: %v, %v", ok, err)
		}
		mustEnd(t, tx, "a", storage.End{State: storage.StatePending, Due: testNow.Add(time.Second)})
		mustEnd(t, tx, "b", storage.End{State: storage.StateSuccess})
		if err := insert("d"); err != nil {
			t.Errorf("with a slot free: %v", err)
		}
		mustEnd(t, tx, "c", storage.End{State: storage.StateFailed})
		if err := insert("e"); err != nil {
			t.Errorf("with a slot free: %v", err)
		}
		if ok, err := tx.RetryDead("c"); ok || !errors.Is(err, storage.ErrLimit) {
			t.Errorf("retry a dead job at the limit: %v, %v, want ErrLimit", ok, err)
		}
		if job := mustJob(t, w.Writer(), "c"); job.State != storage.StateFailed {
			t.Errorf("the dead job is %s", job.State)
		}
		if answer, err := w.CancelJob("d"); err != nil || !answer.Canceled {
			t.Errorf("cancel at the limit: %+v, %v", answer, err)
		}
		if ok, err := tx.RetryDead("c"); !ok || err != nil {
			t.Errorf("retry a dead job with a slot free: %v, %v", ok, err)
		}
		if answer, err := w.CancelJob("a"); err != nil || !answer.Canceled {
			t.Errorf("cancel at the limit: %+v, %v", answer, err)
		}
	})
	if app.Pending() != 2 || app.History() != 3 {
		t.Errorf("%d pending, %d finished, want 2 and 3", app.Pending(), app.History())
	}
	mustUpdateJobs(t, other, func(w storage.JobWriter) { mustInsert(t, w, storage.Job{}) })
}

// TestG26_RetentionIsExact: a finished job is there for readers up to the last
// millisecond of the retention and no longer, whether its row is deleted or
// not; a dead one stays. Purging deletes exactly those, and the oldest above
// the count.
func TestG26_RetentionIsExact(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	const keep = time.Hour
	app.SetRetention(keep)
	for i := range 5 {
		mustTx(t, app, testNow.Add(time.Duration(i)*time.Millisecond), func(tx *storage.Tx) {
			id := mustInsert(t, tx.JobWriter(), storage.Job{ID: storage.JobID(fmt.Sprint("done", i))})
			mustEnd(t, tx, id, storage.End{State: storage.StateSuccess})
			id = mustInsert(t, tx.JobWriter(), storage.Job{ID: storage.JobID(fmt.Sprint("dead", i))})
			mustEnd(t, tx, id, storage.End{State: storage.StateFailed})
		})
	}
	shown := func(now time.Time) (ids []string) {
		snap, err := app.Snapshot(now)
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Close()
		for job, err := range snap.Reader().System().All(storage.JobFilter{Limit: 2}) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, string(job.ID))
			if _, ok, err := snap.Reader().System().Get(job.ID); !ok || err != nil {
				t.Errorf("%s is listed, but get says %v, %v", job.ID, ok, err)
			}
		}
		for i := range 5 {
			id := fmt.Sprint("done", i)
			if _, ok, err := snap.Reader().System().Get(storage.JobID(id)); err != nil || ok != slices.Contains(ids, id) {
				t.Errorf("get %s: %v, %v, while the list has %v", id, ok, err, ids)
			}
		}
		return ids
	}
	dead := []string{"dead0", "dead1", "dead2", "dead3", "dead4"}
	for n := range 7 {
		// The row that ended at +n-1 ms is past the retention at this instant, the next is not.
		now := testNow.Add(keep + time.Duration(n-1)*time.Millisecond)
		want := slices.Clone(dead)
		for i := n; i < 5; i++ {
			want = append(want, fmt.Sprint("done", i))
		}
		if got := shown(now); !slices.Equal(got, want) {
			t.Errorf("%v after the first end: %v, want %v", now.Sub(testNow), got, want)
		}
	}
	purge := func(before time.Time, keep, limit, want int) {
		t.Helper()
		mustTx(t, app, testNow.Add(time.Second), func(tx *storage.Tx) {
			if n, _, err := tx.PurgeHistory(before, keep, limit); err != nil || n != want {
				t.Errorf("purged %d, %v, want %d", n, err, want)
			}
		})
	}
	purge(testNow, 5, 100, 0)
	purge(testNow.Add(time.Millisecond), 5, 100, 1)
	purge(testNow, 4, 100, 0)
	purge(testNow, 3, 100, 1)
	purge(testNow.Add(time.Hour), 100, 2, 2)
	purge(testNow, 0, 100, 1)
	purge(testNow.Add(time.Hour), 0, 100, 0)
	if app.History() != 0 {
		t.Errorf("%d finished jobs are counted", app.History())
	}
	if got := shown(testNow); !slices.Equal(got, dead) {
		t.Errorf("after purging everything: %v, want %v", got, dead)
	}
}

// TestChosenIDIsFreeAgainWhenItsJobHasFinished: the id then names the newest job, and the
// older rows stay in the history until they are purged, each once.
func TestChosenIDIsFreeAgainWhenItsJobHasFinished(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	history := func(tx *storage.Tx) (n int) {
		for _, err := range tx.Writer().System().All(storage.JobFilter{States: []storage.State{storage.StateSuccess}}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	for i := range 3 {
		mustTx(t, app, testNow.Add(time.Duration(i)*time.Second), func(tx *storage.Tx) {
			mustInsert(t, tx.JobWriter(), storage.Job{ID: "nightly", Function: fmt.Sprint("a:run", i)})
			mustEnd(t, tx, "nightly", storage.End{State: storage.StateSuccess})
			if job := mustJob(t, tx.Writer(), "nightly"); job.Function != fmt.Sprint("a:run", i) || job.Superseded {
				t.Errorf("the id names %s", job.Function)
			}
		})
	}
	// superseded are the functions of the rows that say they are.
	superseded := func(tx *storage.Tx) (paths []string) {
		for job, err := range tx.Writer().System().All(storage.JobFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			if job.Superseded {
				paths = append(paths, job.Function)
			}
		}
		return paths
	}
	mustTx(t, app, testNow.Add(time.Minute), func(tx *storage.Tx) {
		if n := history(tx); n != 3 {
			t.Errorf("the history has %d rows, want 3", n)
		}
		if got := superseded(tx); !slices.Equal(got, []string{"a:run0", "a:run1"}) {
			t.Errorf("superseded are %q", got)
		}
		mustInsert(t, tx.JobWriter(), storage.Job{}) // a minted id
		mustInsert(t, tx.JobWriter(), storage.Job{ID: "nightly"})
		if got := superseded(tx); !slices.Equal(got, []string{"a:run0", "a:run1", "a:run2"}) {
			t.Errorf("superseded are %q", got)
		}
		if n, _, err := tx.PurgeHistory(testNow.Add(time.Hour), 0, 2); n != 2 || err != nil {
			t.Fatalf("purged %d, %v", n, err)
		}
		mustEnd(t, tx, "nightly", storage.End{State: storage.StateFailed})
		if _, err := tx.JobWriter().InsertJob(storage.Job{ID: "nightly", Function: "a:b", Due: testNow}); !errors.Is(err, storage.ErrExists) {
			t.Errorf("the id of a dead job: %v, want ErrExists", err)
		}
		if ok, err := tx.DropDead("nightly"); !ok || err != nil {
			t.Fatalf("drop: %v, %v", ok, err)
		}
		if n := history(tx); n != 1 {
			t.Errorf("the history has %d rows, want 1", n)
		}
	})
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// TestG27_AJobIsClaimedOnce: a transaction that has claimed a job, and comes upon it again,
// is told that there is nothing to claim.
func TestG27_AJobIsClaimedOnce(t *testing.T) {
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{NoSync: true}), "acme")
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		job := mustClaim(t, tx, mustInsert(t, tx.JobWriter(), storage.Job{}))
		again := job
		if ok, err := tx.Claim(&again); ok || err != nil {
			t.Errorf("claimed again: %t, %v", ok, err)
		}
		if _, err := tx.EndAttempt(job, storage.End{State: storage.StatePending, Due: testNow, Error: &storage.JobError{Code: "internal", Message: "oops"}}); err != nil {
			t.Errorf("the claim that stands is %v", err)
		}
		if job := mustClaim(t, tx, job.ID); job.Attempts != 1 {
			t.Errorf("after its end the job is claimed for attempt %d, want the second", job.Attempts+1)
		}
	})
}

// TestG10_OnlyAClaimedJobEnds: an attempt whose claim is gone cannot end, however
// old the copy of the job is that its holder has, and however long the end of
// the claim has been durable (S5): a canceled job does not become a success.
func TestG10_OnlyAClaimedJobEnds(t *testing.T) {
	lose := map[string]func(t *testing.T, app *storage.App, job storage.Job){
		"canceled": func(t *testing.T, app *storage.App, job storage.Job) {
			mustTx(t, app, testNow, func(tx *storage.Tx) {
				if answer, err := tx.JobWriter().CancelJob(job.ID); err != nil || !answer.Canceled {
					t.Fatalf("cancel: %+v, %v", answer, err)
				}
			})
		},
		"unclaimed": func(t *testing.T, app *storage.App, job storage.Job) {
			mustTx(t, app, testNow, func(tx *storage.Tx) {
				if err := tx.Unclaim(&job); err != nil {
					t.Fatal(err)
				}
			})
		},
		"ended": func(t *testing.T, app *storage.App, job storage.Job) {
			mustTx(t, app, testNow, func(tx *storage.Tx) {
				if _, err := tx.EndAttempt(job, storage.End{State: storage.StateSuccess}); err != nil {
					t.Fatal(err)
				}
			})
		},
		"to be retried": func(t *testing.T, app *storage.App, job storage.Job) {
			mustTx(t, app, testNow, func(tx *storage.Tx) {
				if _, err := tx.EndAttempt(job, storage.End{State: storage.StatePending, Due: testNow.Add(time.Hour)}); err != nil {
					t.Fatal(err)
				}
			})
		},
	}
	for name, lose := range lose {
		for _, trimmed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s trimmed %v", name, trimmed), func(t *testing.T) {
				app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
				mustUpdateJobs(t, app, func(w storage.JobWriter) { mustInsert(t, w, storage.Job{ID: "job"}) })
				var job storage.Job
				mustTx(t, app, testNow, func(tx *storage.Tx) { job = mustClaim(t, tx, "job") })
				lose(t, app, job)
				if trimmed {
					// So that no change of the job is in memory any more.
					for range 3 {
						mustUpdateJobs(t, app, func(w storage.JobWriter) { mustInsert(t, w, storage.Job{}) })
					}
				}
				before, _, err := storedJob(t, app, "job")
				if err != nil {
					t.Fatal(err)
				}
				mustTx(t, app, testNow.Add(time.Second), func(tx *storage.Tx) {
					if _, err := tx.EndAttempt(job, storage.End{State: storage.StateSuccess}); !errors.Is(err, storage.ErrCorrupt) {
						t.Errorf("end: %v, want ErrCorrupt", err)
					}
					if err := tx.Unclaim(&job); !errors.Is(err, storage.ErrCorrupt) {
						t.Errorf("unclaim: %v, want ErrCorrupt", err)
					}
				})
				if after, _, err := storedJob(t, app, "job"); err != nil || jobText(after) != jobText(before) {
					t.Errorf("the job was changed from %s to %s, %v", jobText(before), jobText(after), err)
				}
			})
		}
	}
	t.Run("the claim was rolled back", func(t *testing.T) {
		app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
		mustUpdateJobs(t, app, func(w storage.JobWriter) { mustInsert(t, w, storage.Job{ID: "job"}) })
		tx := app.Begin(testNow)
		job := mustClaim(t, tx, "job")
		tx.Rollback(nil)
		mustTx(t, app, testNow, func(tx *storage.Tx) {
			if _, err := tx.EndAttempt(job, storage.End{State: storage.StateSuccess}); !errors.Is(err, storage.ErrCorrupt) {
				t.Errorf("end: %v, want ErrCorrupt", err)
			}
		})
	})
}

// TestTriggerThatIsNoTextIsRefused: such a trigger could not be written down.
func TestTriggerThatIsNoTextIsRefused(t *testing.T) {
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		for _, trigger := range []storage.Trigger{
			{Name: "\xff"},
			{Name: "a", Spec: "\xff"},
			{Name: "a", Zone: "\xff"},
			{Name: "a", Function: "\xff"},
			{Name: "a", Overlap: "\xff"},
			{Name: "a", CatchUp: storage.CatchUp{Mode: "\xff"}},
			{Name: "a", PauseReason: "\xff"},
			{Name: "a", NextJob: "\xff"},
		} {
			if err := w.PutTrigger(&trigger); !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("%+v: %v, want ErrInvalid", trigger, err)
			}
		}
		if triggers, err := w.System().Triggers(); err != nil || len(triggers) != 0 {
			t.Errorf("triggers are %+v, %v", triggers, err)
		}
	})
}

// retryText is the policy as the fixtures have it: jitter, which is younger than
// they are, is named only where there is some.
func retryText(r *storage.Retry) string {
	text := fmt.Sprintf("{Limit:%d Linear:%v Base:%v Max:%v}", r.Limit, r.Linear, r.Base, r.Max)
	if r.Jitter {
		text += " jitter"
	}
	return text
}
