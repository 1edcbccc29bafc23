package storage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// What a store of format 2 has come to have since the fixture groups: operations, log lines,
// idempotency keys, the audit log and tokens.

// tooLong is one of which a key keeps the length only.
var tooLong = `"` + strings.Repeat("x", storage.MaxIdempotentResult) + `"`

// makeDoorFixture makes the store whose files are kept.
func makeDoorFixture(tb testing.TB, dir string) {
	tb.Helper()
	s := mustOpen(tb, dir, withDingbats)
	for _, id := range []string{"a1", "b2", "gone"} {
		must(tb, s.Tokens().Add(tokenOf(id)))
	}
	must(tb, s.Tokens().Add(storage.Token{ID: "c3", Name: "Große Glocke", AllApps: true, Scopes: []string{"read", "admin"}, Hash: tokenOf("c3").Hash, CreatedAt: testNow}))
	app := mustApp(tb, s, "acme")
	ann := storage.AuditEntry{Operator: "ann", Action: "POST operations", IDs: []string{"first"}, From: "192.0.2.1"}
	mustTx(tb, app, testNow, func(tx *storage.Tx) {
		w := tx.JobWriter()
		for _, id := range []storage.JobID{"logged", "logged-dead", "logged-running", "moved", "plain"} {
			mustInsert(tb, w, storage.Job{ID: id, Function: "bells:ring", Args: []byte(`"Große Glocke"`), Due: testNow, Tags: []string{"loud"}})
		}
		for attempt := 1; attempt <= 2; attempt++ {
			job := mustClaim(tb, tx, "logged")
			saveLines(tb, tx, &job, "rope is frayed")
			end := storage.End{State: storage.StatePending, Due: testNow, Error: errOops}
			if attempt == 2 {
				end = storage.End{State: storage.StateSuccess, StartedAt: testNow}
			}
			_, err := tx.EndAttempt(job, end)
			must(tb, err)
		}
		dead := mustClaim(tb, tx, "logged-dead")
		saveLines(tb, tx, &dead, "Große Glocke")
		_, err := tx.EndAttempt(dead, storage.End{State: storage.StateFailed, StartedAt: testNow, Error: errOops})
		must(tb, err)

		operation := func(o storage.Operation) storage.Operation {
			o.By, o.Counted, o.CountedAll = "ann", 2, o.Action != storage.OperationDrop
			made, err := w.NewOperation(o)
			must(tb, err)
			return made
		}
		put := func(o storage.Operation) {
			if ok, err := w.PutOperation(&o); !ok || err != nil {
				tb.Fatal(ok, err)
			}
		}
		everything := storage.JobFilter{
			ID: "moved", States: []storage.State{storage.StatePending, storage.StateHeld}, Function: "bells:ring", Trigger: "noon", Parent: "p", Group: 1,
			Error: "internal", Tags: []string{"loud"}, Pool: "tower", PoolKey: "k", Priority: 3, IDContains: "o", ArgsContains: "Glocke",
			Due: storage.TimeRange{From: testNow}, Ended: storage.TimeRange{Before: testNow.Add(time.Hour)},
		}
		moves := operation(storage.Operation{Action: storage.OperationReschedule, Filter: everything, Due: testNow.Add(time.Hour), Priority: 1, Audited: true})
		_, err = w.RescheduleJob("moved", storage.Change{Due: moves.Due, Priority: moves.Priority, Operation: moves.ID})
		must(tb, err)
		moves.Done, moves.Damaged, moves.Cursor, moves.Changed = 1, 2, "cursor", true
		put(moves)
		operation(storage.Operation{Action: storage.OperationRun, Filter: storage.JobFilter{Tags: []string{"loud"}}})
		for i, outcome := range []storage.OperationOutcome{storage.OperationDone, storage.OperationCanceled, storage.OperationFailed} {
			o := operation(storage.Operation{Action: []storage.OperationAction{storage.OperationCancel, storage.OperationDrop, storage.OperationRetry}[i], Audited: i == 0})
			o.Outcome, o.EndedAt = outcome, testNow.Add(time.Second)
			if o.Done = i; outcome == storage.OperationFailed {
				o.Error = errOops
			}
			put(o)
		}
		keep(tb, tx, "kept", `{"rings":12}`)
		keep(tb, tx, "long", tooLong)
		tx.Audit(ann)
	})
	must(tb, s.Audit(storage.AuditEntry{At: testNow, Operator: "Große Glocke", Action: "GET backup", From: "2001:db8::1", Count: 3}))
	mustClose(tb, s)
	s = mustOpen(tb, dir, withDingbats)
	mustTx(tb, mustApp(tb, s, "acme"), testNow.Add(2*time.Second), func(tx *storage.Tx) { // in the log
		job := mustClaim(tb, tx, "logged-running")
		saveLines(tb, tx, &job, "up the stairs")
		keep(tb, tx, "late", "null")
		ann.IDs = []string{"second"}
		tx.Audit(ann)
	})
	if known, err := s.Tokens().Remove("gone"); !known || err != nil {
		tb.Fatal(known, err)
	}
	if err := s.Abort(); err != nil {
		tb.Fatal(err)
	}
}

// saveLines stores lines of the job's attempt, of which some were dropped.
func saveLines(tb testing.TB, tx *storage.Tx, job *storage.Job, text string) {
	tb.Helper()
	ok, err := tx.SaveLog(job, storage.AttemptLog{Attempt: job.Attempts + 1, Dropped: 7, Lines: []storage.LogLine{
		{At: testNow, Level: -4, Text: "begin"}, {At: testNow.Add(time.Millisecond), Level: 8, Text: text},
	}})
	if !ok || err != nil {
		tb.Fatal(ok, err)
	}
}

// doorContents is contents, with what of these features that does not tell and an export has, too.
func doorContents(tb testing.TB, s *storage.Store) string {
	tb.Helper()
	var b strings.Builder
	b.WriteString(contents(tb, s))
	app, err := s.App("acme")
	must(tb, err)
	keys, bytes := app.IdempotencyKeys()
	fmt.Fprintf(&b, "keys %d of %d bytes, log lines of %d, operations %d, and %d that have ended\n", keys, bytes, app.LogBytes(), app.Operations(), app.EndedOperations())
	snap, err := app.Snapshot(testNow)
	must(tb, err)
	defer snap.Close()
	system := snap.Reader().System()
	operations, err := system.Operations(storage.OperationFilter{})
	must(tb, err)
	for _, o := range operations {
		filter, err := json.Marshal(o.Filter)
		must(tb, err)
		fmt.Fprintf(&b, "operation %d: %s of %s as of %s by %s, audited %t, created %d, counted %d, all %t, done %d, damaged %d",
			o.ID, o.Action, filter, o.AsOf, o.By, o.Audited, o.CreatedAt.UnixMilli(), o.Counted, o.CountedAll, o.Done, o.Damaged)
		fmt.Fprintf(&b, ", priority %d, cursor %q, changed %t, outcome %q, error %v", o.Priority, o.Cursor, o.Changed, o.Outcome, o.Error)
		for _, at := range []time.Time{o.Due, o.EndedAt} {
			if !at.IsZero() {
				fmt.Fprintf(&b, ", at %d", at.UnixMilli())
			}
		}
		b.WriteByte('\n')
	}
	for job, err := range system.All(storage.JobFilter{}) {
		must(tb, err)
		logs, err := system.Logs(&job)
		must(tb, err)
		fmt.Fprintf(&b, "%s: of operation %d", job.ID, job.Operation)
		for _, log := range logs {
			fmt.Fprintf(&b, ", attempt %d, dropped %d", log.Attempt, log.Dropped)
			for _, line := range log.Lines {
				fmt.Fprintf(&b, ", %d %d %q", line.At.UnixMilli(), line.Level, line.Text)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TestG26_FormatV2WithTheDoor: what a store has of operations, log lines, idempotency keys, the audit
// log and tokens is read, from its files, its log and, but for the last two, its export, and goes on.
func TestG26_FormatV2WithTheDoor(t *testing.T) {
	stores := mustFixture(t, "door", makeDoorFixture, doorContents)
	tokens, err := stores[0].Tokens().List()
	must(t, err)
	want := []storage.Token{
		tokenOf("a1"), tokenOf("b2"), {ID: "c3", Name: "Große Glocke", AllApps: true, Scopes: []string{"read", "admin"}, Hash: tokenOf("c3").Hash, CreatedAt: testNow.UTC()},
	}
	if !reflect.DeepEqual(tokens, want) {
		t.Errorf("the tokens are %+v, want %+v", tokens, want)
	}
	page, err := stores[0].AuditLog(storage.AuditFilter{})
	must(t, err)
	log := ""
	for _, e := range page.Entries {
		log += fmt.Sprintf("%d %s %s %s %q %d %s\n", e.At.Sub(testNow).Milliseconds(), e.Operator, e.Action, e.App, e.IDs, e.Count, e.From)
	}
	if wantLog := `2000 ann POST operations acme ["second"] 1 192.0.2.1
0 Große Glocke GET backup  [] 3 2001:db8::1
0 ann POST operations acme ["first"] 1 192.0.2.1
0 ann operation cancel done: 0 jobs acme ["8"] 1 
`; log != wantLog {
		t.Errorf("the audit log is\n%s\nwant\n%s", log, wantLog)
	}
	for _, s := range stores {
		app := mustApp(t, s, "acme")
		at := testNow.Add(time.Minute)
		for name, result := range map[string]string{"kept": `{"rings":12}`, "late": "null", "new": ""} {
			wantKept(t, app, at, name, result)
		}
		mustTx(t, app, at, func(tx *storage.Tx) {
			w := tx.JobWriter()
			if got, err := tx.IdempotentCall(keyOf("long", "long"), at); err != nil || got == nil || got.Result != nil || got.Size != len(tooLong) {
				t.Errorf("the key of a long result has %+v, %v", got, err)
			}
			if _, err := tx.IdempotentCall(keyOf("kept", "another"), at); !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("a key for another call: %v", err)
			}
			keep(t, tx, "new", "1")
			claimed, err := tx.Claimed()
			if err != nil || len(claimed) != 1 {
				t.Fatalf("claimed are %v, %v", claimed, err)
			}
			saveLines(t, tx, &claimed[0], "in the tower")
			o, ok, err := w.System().NextOperation()
			if err != nil || !ok || o.Action != storage.OperationReschedule {
				t.Fatalf("the operation that goes on is %+v, %t, %v", o, ok, err)
			}
			again, err := w.RescheduleJob("moved", storage.Change{Due: at, Operation: o.ID})
			if err != nil || again.Changed {
				t.Errorf("the operation changes a job again: %+v, %v", again, err)
			}
			o.Outcome, o.EndedAt = storage.OperationDone, at
			if ok, err := w.PutOperation(&o); !ok || err != nil {
				t.Errorf("its end: %t, %v", ok, err)
			}
			if o, ok, err = w.System().NextOperation(); err != nil || !ok || o.Action != storage.OperationRun {
				t.Errorf("the next is %+v, %t, %v", o, ok, err)
			}
		})
		wantKeys(t, app, 4)
		wantLogs(t, s, app, "logged-running", "1begin")
		if going, ended := app.Operations(), app.EndedOperations(); going != 1 || ended != 4 {
			t.Errorf("%d operations go on, and %d have ended", going, ended)
		}
		if page, err := s.AuditLog(storage.AuditFilter{Operator: "ann", Limit: 1}); err != nil || page.Entries[0].Action != "operation reschedule done: 1 jobs" {
			t.Errorf("the audit log has %+v, %v", page.Entries, err)
		}
		must(t, s.Check())
	}
}
