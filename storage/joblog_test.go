package storage_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// logOf is a log of one line of the attempt.
func logOf(attempt int, text string) storage.AttemptLog {
	return storage.AttemptLog{Attempt: attempt, Lines: []storage.LogLine{{At: testNow, Level: 4, Text: text}}}
}

// wantLogs wants the job to have the lines, one for each attempt, and the store to be sound.
func wantLogs(tb testing.TB, s *storage.Store, a *storage.App, id storage.JobID, want ...string) {
	tb.Helper()
	if err := s.Check(); err != nil {
		tb.Error(err)
	}
	mustRead(tb, a, func(r storage.Reader) {
		job, _, err := r.System().Get(id)
		if err != nil {
			tb.Fatal(err)
		}
		logs, err := r.System().Logs(&job)
		if err != nil {
			tb.Fatal(err)
		}
		var got []string
		for _, log := range logs {
			got = append(got, fmt.Sprint(log.Attempt, log.Lines[0].Text, log.Cause, log.Stack))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			tb.Errorf("job %s has the lines %.200q, want %.200q", id, got, want)
		}
	})
}

// TestLogLinesInTheStore: a claim stores lines, one that is over does not; they stay with the record of
// the job and go with it, through an export, too.
func TestLogLinesInTheStore(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	a := mustApp(t, s, "acme")
	mustTx(t, a, testNow, func(tx *storage.Tx) {
		for _, id := range []storage.JobID{"a", "b", "c"} {
			mustInsert(t, tx.JobWriter(), storage.Job{ID: id, Function: "bells:toll", Due: testNow})
		}
		first := mustClaim(t, tx, "a")
		for _, text := range []string{"one", "two"} {
			if ok, err := tx.SaveLog(&first, logOf(1, text)); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		if _, err := tx.EndAttempt(first, storage.End{State: storage.StatePending, Due: first.Due, Error: errOops}); err != nil {
			t.Fatal(err)
		}
		if ok, err := tx.SaveLog(&first, logOf(1, "late")); ok || err != nil {
			t.Errorf("an attempt that is over: %t, %v", ok, err)
		}
		if ok, err := tx.SaveLastLog(&first, logOf(1, "last")); !ok || err != nil {
			t.Error(ok, err)
		}
		second := mustClaim(t, tx, "a")
		if ok, err := tx.SaveLog(&second, logOf(2, "again")); !ok || err != nil {
			t.Fatal(ok, err)
		}
		for _, id := range []storage.JobID{"b", "c"} {
			job := mustClaim(t, tx, id)
			log := logOf(1, "of "+string(id))
			if id == "c" {
				log.Cause, log.Stack = strings.Repeat("c", storage.MaxCause), strings.Repeat("s", storage.MaxStack)
			}
			if ok, err := tx.SaveLog(&job, log); !ok || err != nil {
				t.Fatal(ok, err)
			}
			end := storage.End{State: storage.StateSuccess}
			if id == "c" {
				end = storage.End{State: storage.StateFailed, Error: errOops}
			}
			if _, err := tx.EndAttempt(job, end); err != nil {
				t.Fatal(err)
			}
		}
	})
	wantLogs(t, s, a, "a", "1last", "2again")
	wantLogs(t, s, a, "b", "1of b")
	failed := "1of c" + strings.Repeat("c", storage.MaxCause) + strings.Repeat("s", storage.MaxStack)
	wantLogs(t, s, a, "c", failed)
	var exported bytes.Buffer
	if err := s.Export(t.Context(), "acme", &exported); err != nil {
		t.Fatal(err)
	}
	if err := s.Import(t.Context(), "copy", &exported); err != nil {
		t.Fatal(err)
	}
	wantLogs(t, s, mustApp(t, s, "copy"), "b", "1of b")
	wantLogs(t, s, mustApp(t, s, "copy"), "c", failed)
	was := a.LogBytes()
	mustTx(t, a, testNow, func(tx *storage.Tx) {
		if n, _, err := tx.PurgeHistory(testNow.Add(time.Hour), 0, 10); n != 1 || err != nil {
			t.Error(n, err)
		}
		if ok, err := tx.DropDead("c"); !ok || err != nil {
			t.Error(ok, err)
		}
	})
	wantLogs(t, s, a, "a", "1last", "2again")
	if now := a.LogBytes(); now >= was || now == 0 {
		t.Errorf("%d bytes are counted, before the purge %d", now, was)
	}
}

// TestLogLinesAreBounded: of a job those of the latest attempts are kept, and of an app those of the
// jobs that were scheduled last.
func TestLogLinesAreBounded(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	a := mustApp(t, s, "acme")
	put := func(id storage.JobID, attempt int, text string, want bool) {
		t.Helper()
		mustTx(t, a, testNow, func(tx *storage.Tx) {
			job, _, _, err := tx.Unended(id)
			if err != nil {
				t.Fatal(err)
			}
			if ok, err := tx.SaveLastLog(&job, logOf(attempt, text)); ok != want || err != nil {
				t.Errorf("attempt %d of job %s: %t, %v", attempt, id, ok, err)
			}
		})
	}
	mustTx(t, a, testNow, func(tx *storage.Tx) {
		for _, id := range []storage.JobID{"a", "b", "c"} {
			mustInsert(t, tx.JobWriter(), storage.Job{ID: id, Function: "bells:toll", Due: testNow})
		}
	})
	var want []string
	for n := range storage.MaxLoggedAttempts {
		put("a", n+1, "x", true)
		want = append(want, fmt.Sprint(n+1, "x"))
	}
	wantLogs(t, s, a, "a", want...)
	put("a", 11, "x", true)
	wantLogs(t, s, a, "a", append(want[1:], "11x")...)

	one := a.LogBytes() / storage.MaxLoggedAttempts
	a.SetMaxLogBytes(3 * one)
	put("b", 1, "x", true)
	wantLogs(t, s, a, "a", "10x", "11x")
	put("c", 1, "x", true)
	wantLogs(t, s, a, "a", "11x")
	wantLogs(t, s, a, "b", "1x")
	put("c", 1, strings.Repeat("x", int(2*one)), true) // a byte more than there is beside one other
	wantLogs(t, s, a, "a")
	wantLogs(t, s, a, "b")
	put("b", 1, strings.Repeat("x", int(3*one)), false)
	if n := a.LogBytes(); n > 3*one {
		t.Errorf("%d bytes are counted, want at most %d", n, 3*one)
	}
}
