package actors_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// mustSchedule schedules n jobs that are due in an hour, with the tags.
func mustSchedule(t *testing.T, h *actorstest.Harness, n int, tags ...string) []storage.JobID {
	t.Helper()
	var calls []dispatch.Scheduled
	for i := range n {
		calls = append(calls, dispatch.After(time.Hour+time.Duration(i)*time.Millisecond, addEntry.With(fmt.Sprint(i)), dispatch.Tags(tags...)))
	}
	return must[[]storage.JobID](t)(h.Scheduler("acme").RunMany(calls))
}

// mustOperation returns the operation as it is now.
func mustOperation(t *testing.T, h *actorstest.Harness, id storage.OperationID) storage.Operation {
	t.Helper()
	o, ok, err := h.Scheduler("acme").Operation(id)
	if err != nil || !ok {
		t.Fatalf("operation %d: %v, %v", id, ok, err)
	}
	return o
}

// TestOperationIsOnWhatWasCounted: an operation is on the jobs that the filter chose when they
// were counted, and on none that came later; what it has done and how many there were is told.
func TestOperationIsOnWhatWasCounted(t *testing.T) {
	k := newKit()
	fails := k.mutation("t:fails", func(*dispatch.MutationCtx, string) error {
		return dispatch.Errorf(dispatch.CodeInternal, "as ever")
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		mustSchedule(t, h, 200, "a")
		mustSchedule(t, h, 50, "b")
		cancel := actors.Operation{Action: storage.OperationCancel, Filter: storage.JobFilter{Tags: []string{"a"}}, By: "ann"}
		count := must[actors.OperationCount](t)(s.CountOperation(cancel))
		if count.Jobs != 200 || !count.All {
			t.Errorf("counted: %+v", count)
		}
		late := mustSchedule(t, h, 10, "a")
		cancel.AsOf = count.AsOf
		made := must[storage.Operation](t)(s.Operate(cancel))
		if made.Counted != 200 || !made.CountedAll || made.By != "ann" || !made.Going() || made.CreatedAt.IsZero() {
			t.Errorf("made: %+v", made)
		}
		h.Settle()
		if o := mustOperation(t, h, made.ID); o.Outcome != storage.OperationDone || o.Done != 200 || o.Damaged != 0 || o.EndedAt.IsZero() {
			t.Errorf("at the end: %+v", o)
		}
		if n := len(h.Jobs("acme", storage.StatePending)); n != 60 {
			t.Errorf("%d jobs are left, want 60", n)
		}
		wantState(t, h, "acme", late[0], storage.StatePending, 0)

		// Dead ones: those that die later are not counted.
		die := func() {
			mustAfter(t, h, "acme", 0, fails.With("x"), dispatch.NoRetry())
			h.Settle()
		}
		for range 3 {
			die()
		}
		retry := actors.Operation{Action: storage.OperationRetry, Filter: storage.JobFilter{Function: "t:fails"}}
		retry.AsOf = must[actors.OperationCount](t)(s.CountOperation(retry)).AsOf
		die()
		again := must[storage.Operation](t)(s.Operate(retry))
		h.Settle()
		if o := mustOperation(t, h, again.ID); o.Outcome != storage.OperationDone || o.Done != 3 || o.Counted != 3 {
			t.Errorf("retried: %+v", o)
		}
		drop := must[storage.Operation](t)(s.Operate(actors.Operation{Action: storage.OperationDrop, Filter: storage.JobFilter{}}))
		h.Settle()
		if o := mustOperation(t, h, drop.ID); o.Done != 4 || len(h.Jobs("acme", storage.StateFailed)) != 0 {
			t.Errorf("dropped: %+v", o)
		}
		list := must[[]storage.Operation](t)(s.Operations(storage.OperationFilter{Limit: 2}))
		if len(list) != 2 || list[0].ID != drop.ID || list[1].ID != again.ID {
			t.Errorf("listed: %+v", list)
		}
		list = must[[]storage.Operation](t)(s.Operations(storage.OperationFilter{Before: list[1].ID}))
		if len(list) != 1 || list[0].ID != made.ID {
			t.Errorf("the next page: %+v", list)
		}
		for _, o := range []actors.Operation{
			{Action: "burn"},
			{Action: storage.OperationCancel, Priority: 1},
			{Action: storage.OperationRun, Due: h.Now()},
			{Action: storage.OperationReschedule},
			{Action: storage.OperationReschedule, Priority: 5},
			{Action: storage.OperationReschedule, Priority: -1},
			{Action: storage.OperationReschedule, Due: time.UnixMilli(0)},
			{Action: storage.OperationReschedule, Due: storage.MaxInstant.Add(time.Second)},
			{Action: storage.OperationReschedule, Priority: 1, Filter: storage.JobFilter{States: []storage.State{storage.StateRunning}}},
			{Action: storage.OperationCancel, Filter: storage.JobFilter{Limit: 1}},
			{Action: storage.OperationCancel, Filter: storage.JobFilter{Cursor: "x"}},
			{Action: storage.OperationCancel, Filter: storage.JobFilter{States: []storage.State{storage.StateFailed}}},
			{Action: storage.OperationDrop, Filter: storage.JobFilter{States: []storage.State{storage.StatePending}}},
			{Action: storage.OperationDrop, By: string(make([]byte, 257))},
			{Action: storage.OperationDrop, AsOf: must[storage.AsOf](t)(storage.ParseAsOf("1000000-0"))},
		} {
			_, err := s.Operate(o)
			wantCode(t, err, dispatch.CodeInvalidArgument)
			if o.AsOf == (storage.AsOf{}) && o.By == "" {
				_, err = s.CountOperation(o)
				wantCode(t, err, dispatch.CodeInvalidArgument)
			}
		}
		if list := must[[]storage.Operation](t)(s.Operations(storage.OperationFilter{})); len(list) != 3 {
			t.Errorf("what was refused is among %d", len(list))
		}
	})
}

// TestOperationReschedules: a reschedule gives the jobs that were counted another instant, another
// priority or both, each once, and leaves those as they are that cannot have it.
func TestOperationReschedules(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		s, due := h.Scheduler("acme"), h.Now().Add(5*time.Minute)
		none := must[actors.OperationCount](t)(s.CountOperation(actors.Operation{Action: storage.OperationRun}))
		chosen := storage.JobFilter{Tags: []string{"a"}}
		ids := mustSchedule(t, h, 200, "a")
		tooLate := mustAfter(t, h, "acme", time.Minute, addEntry.With("x"), dispatch.Tags("a"), dispatch.NotAfter(h.Now().Add(2*time.Minute)))
		other := mustSchedule(t, h, 1, "b")
		ask := actors.Operation{Action: storage.OperationReschedule, Filter: chosen, Due: due.Add(-time.Microsecond), Priority: 1}
		ask.AsOf = must[actors.OperationCount](t)(s.CountOperation(ask)).AsOf
		late := mustSchedule(t, h, 1, "a")
		wantOperation := func(ask actors.Operation, counted, done int) {
			t.Helper()
			made := must[storage.Operation](t)(s.Operate(ask))
			h.Settle()
			if o := mustOperation(t, h, made.ID); o.Outcome != storage.OperationDone || o.Counted != counted || o.Done != done || o.Priority != ask.Priority {
				t.Errorf("%s: %+v, want %d of %d done", ask.Action, o, done, counted)
			}
		}
		wantJob := func(id storage.JobID, due time.Time, priority int) {
			t.Helper()
			if job := h.Job("acme", id); !job.Due.Equal(due) || job.Priority != priority || job.State != storage.StatePending || job.Attempts != 0 {
				t.Errorf("job %s: due %v, priority %d, %s", id, job.Due, job.Priority, job.State)
			}
		}
		wantOperation(ask, 201, 200)
		wantJob(ids[0], due, 1)
		wantJob(ids[199], due, 1)
		wantJob(tooLate, h.Now().Add(time.Minute), storage.DefaultPriority)
		wantJob(late[0], h.Now().Add(time.Hour), storage.DefaultPriority)
		wantJob(other[0], h.Now().Add(time.Hour), storage.DefaultPriority)
		wantOperation(actors.Operation{Action: storage.OperationReschedule, Filter: chosen, Priority: 4}, 202, 202)
		wantJob(ids[1], due, 4)
		wantJob(tooLate, h.Now().Add(time.Minute), 4)
		wantOperation(actors.Operation{Action: storage.OperationRun, AsOf: none.AsOf}, 0, 0) // nothing was there then
		wantJob(other[0], h.Now().Add(time.Hour), storage.DefaultPriority)
	})
}

// TestOperationRunsEachJobOnce: a run has each of the jobs begin at once and no more often than
// that, also those that fail while it goes on and wait for their retry; a tick that has not begun
// stays as it is, and so does what is due already.
func TestOperationRunsEachJobOnce(t *testing.T) {
	k := newKit()
	fails := k.mutation("t:fails", func(*dispatch.MutationCtx, string) error {
		return dispatch.Errorf(dispatch.CodeInternal, "as ever")
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		if err := s.Crons().Create(dispatch.Trigger{Name: "tick", Schedule: cron.Expr("@every 2h"), Call: addEntry.With("tick")}); err != nil {
			t.Fatal(err)
		}
		var calls []dispatch.Scheduled
		for range 450 {
			calls = append(calls, dispatch.After(time.Hour, fails.With("x"), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 3, Base: time.Hour})))
		}
		ids := must[[]storage.JobID](t)(s.RunMany(calls))
		begun := h.Now()
		made := must[storage.Operation](t)(s.Operate(actors.Operation{Action: storage.OperationRun}))
		h.Settle()
		if o := mustOperation(t, h, made.ID); o.Outcome != storage.OperationDone || o.Counted != 451 || o.Done != 450 {
			t.Errorf("at the end: %+v", o)
		}
		for _, id := range ids {
			if job := h.Job("acme", id); job.State != storage.StatePending || job.Attempts != 1 || !job.History[0].EndedAt.Equal(begun) {
				t.Fatalf("job %s: %s, %d attempts", id, job.State, job.Attempts)
			}
		}
	})
}

// TestOperationGoesOnAfterACrash crashes the engine at every commit of an operation, which goes on
// by itself and ends with the same jobs canceled, or rescheduled, each counted once.
func TestOperationGoesOnAfterACrash(t *testing.T) {
	t.Run("cancel", func(t *testing.T) {
		crashOperation(t, actors.Operation{Action: storage.OperationCancel}, 20)
	})
	t.Run("reschedule", func(t *testing.T) {
		crashOperation(t, actors.Operation{Action: storage.OperationReschedule, Priority: 2}, 170)
	})
}

// asAnn is a context of the operator ann, who asks for an operation.
func asAnn(h *actorstest.Harness, ids ...string) context.Context {
	return actors.WithAudit(h.Context(), &storage.AuditEntry{Operator: "ann", Action: "POST operations", IDs: ids, From: "192.0.2.1"})
}

// auditLog returns the actions of ann that are about an operation of acme, the latest first.
func auditLog(t *testing.T, h *actorstest.Harness) (actions []string) {
	t.Helper()
	page, err := h.Engine.AuditLog(storage.AuditFilter{Apps: []storage.AppID{"acme"}, Operator: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Entries {
		actions = append(actions, e.Action)
		latest := must[[]storage.Operation](t)(h.Scheduler("acme").Operations(storage.OperationFilter{Limit: 1}))
		if len(latest) != 1 || len(e.IDs) != 1 || e.IDs[0] != latest[0].ID.String() {
			t.Errorf("%s is about %q, want the latest of %v", e.Action, e.IDs, latest)
		}
	}
	return actions
}

// TestOperationIsAudited: the audit log is told how an operation ends that an operator has asked
// for, also one that was canceled, and nothing of one that the program asks for itself.
func TestOperationIsAudited(t *testing.T) {
	k := newKit()
	slow := func(string) error {
		time.Sleep(time.Millisecond)
		return nil
	}
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet, Testing: actors.Testing{Fault: slow}}, func(h *actorstest.Harness) {
		mustSchedule(t, h, 300, "a")
		must[storage.Operation](t)(h.Scheduler("acme").Operate(actors.Operation{Action: storage.OperationDrop}))
		h.Advance(time.Second)
		if told := auditLog(t, h); len(told) != 0 {
			t.Errorf("of the program's own it has %q", told)
		}
		made := must[storage.Operation](t)(h.App("acme").Scheduler(asAnn(h)).Operate(actors.Operation{Action: storage.OperationCancel}))
		if made.By != "ann" || !made.Audited {
			t.Errorf("made: %+v", made)
		}
		if canceled := must[bool](t)(h.App("acme").Scheduler(asAnn(h, made.ID.String())).CancelOperation(made.ID)); !canceled {
			t.Error("it has ended before")
		}
		end := fmt.Sprintf("operation cancel canceled: %d jobs", mustOperation(t, h, made.ID).Done)
		if told := auditLog(t, h); !slices.Equal(told, []string{"POST operations", end, "POST operations"}) {
			t.Errorf("it has %q, want %q", told, end)
		}
	})
}

// crashOperation has the operation on 150 of 170 jobs, of which so many are pending then.
func crashOperation(t *testing.T, ask actors.Operation, left int) {
	ask.Filter.Tags = []string{"a"}
	for _, point := range []string{"commit", "committed"} {
		for n, crashed := 1, true; crashed; n++ {
			k := newKit()
			opts := actors.Options{Functions: k.reg, Logger: quiet, IdleAfter: time.Second}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				mustSchedule(t, h, 150, "a")
				kept := mustSchedule(t, h, 20, "b")
				crashed = h.CrashAt(point, n, func() { _, _ = h.App("acme").Scheduler(asAnn(h)).Operate(ask) })
				// The app is not called: what is due wakes it, and the operation does.
				h.Advance(time.Minute)
				list := must[[]storage.Operation](t)(h.Scheduler("acme").Operations(storage.OperationFilter{}))
				pending := len(h.Jobs("acme", storage.StatePending))
				switch {
				case len(list) == 0 && n == 1 && point == "commit" && pending == 170: // it was not written down
				case len(list) != 1 || list[0].Outcome != storage.OperationDone || list[0].Done != 150 || pending != left:
					t.Errorf("%s %d: %d jobs are left, the operation is %+v", point, n, pending, list)
				}
				wantState(t, h, "acme", kept[0], storage.StatePending, 0)
				if told := auditLog(t, h); len(list) == 1 && !slices.Equal(told, []string{fmt.Sprintf("operation %s done: 150 jobs", ask.Action), "POST operations"}) {
					t.Errorf("%s %d: the audit log has %q", point, n, told)
				}
				if n > 20 {
					t.Fatal("it has no end")
				}
			})
		}
	}
}

// TestOperationOfAPausedAppAndACopy: an operation goes on in an app that is paused, and in a copy
// of the app; the app sleeps when it has ended, and not before.
func TestOperationOfAPausedAppAndACopy(t *testing.T) {
	k := newKit()
	slow := func(point string) error {
		if point == "commit" {
			time.Sleep(4 * time.Millisecond)
		}
		return nil
	}
	opts := actors.Options{Functions: k.reg, Logger: quiet, IdleAfter: time.Second, Testing: actors.Testing{Fault: slow}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		mustSchedule(t, h, 200, "a")
		if err := h.App("acme").Pause(h.Context(), dispatch.OfApp(), "ann", ""); err != nil {
			t.Fatal(err)
		}
		h.Advance(time.Minute)
		s := h.Scheduler("acme")
		first := must[storage.Operation](t)(s.Operate(actors.Operation{Action: storage.OperationCancel, Filter: storage.JobFilter{Tags: []string{"a"}}}))
		second := must[storage.Operation](t)(s.Operate(actors.Operation{Action: storage.OperationDrop}))
		if canceled := must[bool](t)(s.CancelOperation(second.ID)); !canceled {
			t.Error("the second is not canceled")
		}
		if canceled := must[bool](t)(s.CancelOperation(second.ID)); canceled {
			t.Error("it is canceled twice")
		}
		var stream bytes.Buffer
		if err := h.Engine.Export(h.Context(), "acme", &stream); err != nil {
			t.Fatal(err)
		}
		h.Advance(500 * time.Millisecond)
		if o := mustOperation(t, h, second.ID); o.Outcome != storage.OperationCanceled || o.Done != 0 {
			t.Errorf("the second: %+v", o)
		}
		if o := mustOperation(t, h, first.ID); o.Outcome != storage.OperationDone || o.Done != 200 {
			t.Errorf("the first: %+v", o)
		}
		h.Advance(time.Minute)
		if !h.Inspect("acme").Asleep {
			t.Error("the app does not sleep")
		}
		if err := h.Engine.Import(h.Context(), "copy", &stream); err != nil {
			t.Fatal(err)
		}
		h.Advance(time.Minute)
		if o, ok, err := h.Scheduler("copy").Operation(first.ID); err != nil || !ok || o.Outcome != storage.OperationDone || o.Done != 200 {
			t.Errorf("of the copy: %+v, %v, %v", o, ok, err)
		}
	})
}

// TestOperationsAreBounded: an app has so many operations that go on, and keeps so many others.
func TestOperationsAreBounded(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet, IdleAfter: time.Second}, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		mustSchedule(t, h, 1)
		var last storage.Operation
		for range storage.KeepOperations + 1 {
			last = must[storage.Operation](t)(s.Operate(actors.Operation{Action: storage.OperationDrop}))
			h.Settle()
		}
		list := must[[]storage.Operation](t)(s.Operations(storage.OperationFilter{Limit: 1000}))
		if len(list) != storage.KeepOperations || list[0].ID != last.ID {
			t.Errorf("%d are kept, the latest %d, want %d", len(list), list[0].ID, last.ID)
		}
		if more := must[[]storage.Operation](t)(s.Operations(storage.OperationFilter{Before: list[len(list)-1].ID})); len(more) != 0 {
			t.Errorf("%d more are kept", len(more))
		}
		h.Advance(91 * 24 * time.Hour)
		mustAfter(t, h, "acme", 0, addEntry.With("x"))
		h.Advance(2 * time.Minute)
		if list := must[[]storage.Operation](t)(s.Operations(storage.OperationFilter{})); len(list) != 0 {
			t.Errorf("after 90 days %d are kept", len(list))
		}
	})
}

// TestOperationLetsDueWorkThrough: while an operation is on many jobs, what is due in the app and
// beside it begins within 20 ms, and a caller has its turn, on a disk whose commits take 4 ms.
func TestOperationLetsDueWorkThrough(t *testing.T) {
	const jobs, timers = 3000, 60
	k := newKit()
	var slow atomic.Bool
	opts := actors.Options{Functions: k.reg, Volumes: 1, Logger: quiet, Testing: actors.Testing{Fault: func(point string) error {
		if point == "commit" && slow.Load() {
			time.Sleep(4 * time.Millisecond)
		}
		return nil
	}}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		mustSchedule(t, h, jobs, "a")
		due := map[storage.JobID]time.Time{}
		for i := range timers {
			at := h.Now().Add(20*time.Millisecond + time.Duration(i)*time.Millisecond)
			for _, app := range []storage.AppID{"acme", "other"} {
				id := must[storage.JobID](t)(h.Scheduler(app).RunAt(at, addEntry.With("timer"), dispatch.ID(storage.JobID(fmt.Sprint(app, i)))))
				due[id] = at
			}
		}
		slow.Store(true)
		o := must[storage.Operation](t)(h.Scheduler("acme").Operate(actors.Operation{Action: storage.OperationCancel, Filter: storage.JobFilter{Tags: []string{"a"}}}))
		begun := h.Now()
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "call"))
		if took := h.Now().Sub(begun); took > 20*time.Millisecond {
			t.Errorf("a call has waited for %v", took)
		}
		if o := mustOperation(t, h, o.ID); !o.Going() || o.Done == jobs {
			t.Errorf("it was over before: %+v", o)
		}
		h.Advance(2 * time.Second)
		slow.Store(false)
		if o := mustOperation(t, h, o.ID); o.Done != jobs || o.EndedAt.Sub(o.CreatedAt) < timers*time.Millisecond {
			t.Fatalf("at the end: %+v", o)
		}
		n := 0
		for _, e := range k.events("add timer") {
			n++
			if late := e.At.Sub(due[e.Job]); late > 20*time.Millisecond {
				t.Errorf("%s is %v late", e.Job, late)
			}
		}
		if n != 2*timers {
			t.Errorf("%d timers came, want %d", n, 2*timers)
		}
	})
}

// TestOperationFindsWhatMoves: a job that was put off and comes due earlier meanwhile, so that it
// is where the operation has looked already, is canceled all the same.
func TestOperationFindsWhatMoves(t *testing.T) {
	k := newKit()
	opts := actors.Options{Functions: k.reg, Logger: quiet, Testing: actors.Testing{Fault: func(point string) error {
		if point == "commit" {
			time.Sleep(4 * time.Millisecond)
		}
		return nil
	}}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		ids := mustSchedule(t, h, 300, "a")
		o := must[storage.Operation](t)(s.Operate(actors.Operation{Action: storage.OperationCancel, Filter: storage.JobFilter{Tags: []string{"a"}}}))
		h.Advance(8 * time.Millisecond)
		if now := mustOperation(t, h, o.ID); now.Done == 0 || now.Done > 200 {
			t.Fatalf("it has come too far, or nowhere: %+v", now)
		}
		if _, err := s.Reschedule(ids[299], dispatch.DueAt(h.Now().Add(time.Minute))); err != nil {
			t.Fatal(err)
		}
		h.Advance(2 * time.Second)
		if now := mustOperation(t, h, o.ID); now.Done != 300 || now.Outcome != storage.OperationDone {
			t.Errorf("at the end: %+v", now)
		}
		wantState(t, h, "acme", ids[299], storage.StateCanceled, 0)
	})
}
