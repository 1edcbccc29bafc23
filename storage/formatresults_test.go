package storage_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// What a store of format 2 has come to have since the fixture paused: results, in the record of
// their job and beside it, and why there is none; follow-ups, outcomes, and children; and a
// backfill.

// makeResultsFixture makes the store whose files are kept.
func makeResultsFixture(tb testing.TB, dir string) {
	tb.Helper()
	s := mustOpen(tb, dir, withDingbats)
	app := mustApp(tb, s, "acme")
	app.SetMaxResultBytes(1000)
	then := &storage.Job{
		Function: "bells:tell", Args: []byte(`"Große Glocke"`), Pool: "tower", Priority: 2, Tags: []string{"loud"},
		Then: &storage.Job{Function: "bells:rest", Args: []byte("2")},
	}
	keep := false
	mustTx(tb, app, testNow, func(tx *storage.Tx) {
		w := tx.JobWriter()
		schedule := func(id storage.JobID, job storage.Job) {
			job.ID, job.Function, job.Due, job.EnqueuedAt = id, "bells:ring", testNow, testNow
			mustInsert(tb, w, job)
		}
		for _, id := range []storage.JobID{"early", "long", "short", "none", "dead"} {
			schedule(id, storage.Job{})
		}
		schedule("tossed", storage.Job{KeepResult: &keep})
		schedule("waits", storage.Job{Then: then})
		schedule("rang", storage.Job{Then: then})
		schedule("failed", storage.Job{Then: then})
		schedule("child", storage.Job{Parent: "rang", Once: "child"})
		success := func(id storage.JobID, end storage.End) {
			end.State, end.StartedAt = storage.StateSuccess, testNow
			mustEnd(tb, tx, id, end)
		}
		success("early", storage.End{Result: longResult('e', 600)})
		success("long", storage.End{Result: longResult('\u00df', 601)}) // early makes room for it
		success("short", storage.End{Result: []byte(`{"rings":12}`)})
		success("none", storage.End{NotKept: &storage.NotKept{Reason: "it has no JSON: a channel"}})
		success("tossed", storage.End{NotKept: &storage.NotKept{Bytes: 7, Reason: "it is not to be kept"}})
		success("rang", storage.End{Result: longResult('r', 300)})
		mustEnd(tb, tx, "failed", storage.End{State: storage.StateFailed, StartedAt: testNow, Error: errOops})
	})
	mustUpdateJobs(tb, app, func(w storage.JobWriter) {
		putBackfill(tb, w, slotAt(-9))
	})
	mustClose(tb, s)
	s = mustOpen(tb, dir, withDingbats)
	mustUpdateJobs(tb, mustApp(tb, s, "acme"), func(w storage.JobWriter) {
		if answer, err := w.CancelJob("child"); !answer.Canceled || err != nil {
			tb.Fatal(answer, err)
		}
	})
	if err := s.Abort(); err != nil {
		tb.Fatal(err)
	}
}

// longResult is a result of so many bytes.
func longResult(r rune, size int) []byte {
	text := strings.Repeat(string(r), size)[:size-2]
	return []byte(`"` + strings.ToValidUTF8(text, "?") + `"`)
}

// resultsContents is contents, with what of these features that does not tell.
func resultsContents(tb testing.TB, s *storage.Store) string {
	tb.Helper()
	var b strings.Builder
	b.WriteString(contents(tb, s))
	app, err := s.App("acme")
	if err != nil {
		tb.Fatal(err)
	}
	fmt.Fprintf(&b, "results %d, arguments %d\n", app.ResultBytes(), app.ArgBytes())
	mustRead(tb, app, func(r storage.Reader) {
		for listed, err := range r.System().All(storage.JobFilter{}) {
			must(tb, err)
			job := mustJob(tb, r, listed.ID)
			fmt.Fprintf(&b, "%s: %s, result %s of %d", job.ID, job.State, shortened(job.Result), job.ResultSize)
			if job.NotKept != nil {
				fmt.Fprintf(&b, ", not kept %+v", *job.NotKept)
			}
			if job.KeepResult != nil {
				fmt.Fprintf(&b, ", keeps %t", *job.KeepResult)
			}
			fmt.Fprintf(&b, ", child of %q, ends %d, backfill %d", job.Parent, job.Ends, job.Backfill)
			for then := job.Then; then != nil; then = then.Then {
				fmt.Fprintf(&b, ", then %s %s pool %q priority %d tags %q", then.Function, then.Args, then.Pool, then.Priority, then.Tags)
			}
			if o := job.Outcome; o != nil {
				fmt.Fprintf(&b, ", follows %s %s %s %d result %s not kept %+v error %+v", o.Job, o.Function, o.State, o.Ordinal, shortened(o.Result), o.NotKept, o.Error)
			}
			b.WriteByte('\n')
		}
		triggers, err := r.System().Triggers()
		must(tb, err)
		for _, t := range triggers {
			fmt.Fprintf(&b, "%s: backfill %+v\n", t.Name, *t.Backfill)
		}
	})
	return b.String()
}

// shortened is a result, short enough for a line.
func shortened(result []byte) string {
	if len(result) <= 20 {
		return string(result)
	}
	return fmt.Sprintf("%s\u2026 %d", strings.ToValidUTF8(string(result[:10]), ""), len(result))
}

// TestG26_FormatV2WithResults: what a store has of results, chains and a backfill is read, from
// its files, its log and its export, and goes on counting.
func TestG26_FormatV2WithResults(t *testing.T) {
	for _, s := range mustFixture(t, "results", makeResultsFixture, resultsContents) {
		app := mustApp(t, s, "acme")
		app.SetMaxResultBytes(1000)
		mustTx(t, app, testNow.Add(time.Minute), func(tx *storage.Tx) {
			w := tx.JobWriter()
			mustEnd(t, tx, "waits", storage.End{State: storage.StateSuccess, Result: longResult('w', 400)}) // long makes room for it
			if n, _, err := w.CancelDescendants(w.DescendantsOf("rang"), 100); n != 1 || err != nil {
				t.Errorf("of what has come of a job %d were canceled, %v, want its follow-up", n, err)
			}
		})
		if n := app.ResultBytes(); n != 700 {
			t.Errorf("the results have %d bytes, want 700", n)
		}
		mustRead(t, app, func(r storage.Reader) {
			if job := mustJob(t, r, "long"); job.Result != nil || job.NotKept == nil {
				t.Errorf("the oldest result has made no room: %+v", job)
			}
			follows := 0
			for job, err := range r.System().All(storage.JobFilter{Parent: "waits"}) {
				must(t, err)
				if follows++; job.Then == nil || len(job.Outcome.Result) != 400 {
					t.Errorf("the follow-up is %+v", job)
				}
			}
			if follows != 1 {
				t.Errorf("there are %d follow-ups, want 1", follows)
			}
			if list, err := r.System().Backfilling("x", 10); len(list) != 1 || err != nil {
				t.Errorf("of the backfill there is %v, %v", list, err)
			}
		})
		must(t, s.Check())
	}
}
