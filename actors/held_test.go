package actors_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// heldLog is a log that a test reads while the engine writes.
type heldLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *heldLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *heldLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

func (l *heldLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// wantHeld demands that the job is held, uncharged, with the reason.
func wantHeld(t *testing.T, h *actorstest.Harness, app storage.AppID, id storage.JobID, reason string) storage.Job {
	t.Helper()
	job := wantState(t, h, app, id, storage.StateHeld, 0)
	if !strings.Contains(job.Reason, reason) || job.Failures != 0 || len(job.History) > 0 || job.Error != nil || job.HeldAt.IsZero() {
		t.Errorf("job %s is held because of %q, want %q: %+v", id, job.Reason, reason, job)
	}
	return job
}

// G38: jobs whose function is not here, or became a query, are held, uncharged, over
// restarts and crashes and without an alarm; a program that can run them does, in the
// order that they were due, though their apps sleep. At most once stays that.
func TestG38_AFunctionThatIsGone(t *testing.T) {
	k := newKit()
	old := k.mutation("t:old", func(ctx *dispatch.MutationCtx, name string) error {
		_, err := addEntry.Run(ctx, name)
		return err
	})
	act := k.action("t:act", func(*dispatch.ActionCtx, string) error { return nil })
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		var gone []storage.JobID
		for i := range 600 { // more than is released at once
			gone = append(gone, mustAfter(t, h, "acme", time.Minute+time.Duration(i)*time.Millisecond, old.With(fmt.Sprint(i)), dispatch.NoRetry()))
		}
		once := mustAfter(t, h, "acme", time.Minute, act.With("x"), dispatch.AtMostOnce())
		kept := mustAfter(t, h, "acme", time.Hour, old.With("kept"))
		fine := mustAfter(t, h, "acme", time.Minute, addEntry.With("fine"))

		without := newKit()
		query := dispatch.Query[string, none]("t:act")
		query.Handle(without.reg, func(*dispatch.QueryCtx, string) (none, error) { return none{}, nil })
		h.Reconfigure(func(o *actors.Options) { o.Functions = without.reg })
		h.Advance(2 * time.Minute)
		for _, id := range gone {
			wantHeld(t, h, "acme", id, `no function "t:old"`)
		}
		wantHeld(t, h, "acme", once, `"t:act" is a query`)
		wantState(t, h, "acme", fine, storage.StateSuccess, 1)
		if i := h.Inspect("acme"); i.Held != len(gone)+1 {
			t.Errorf("%d jobs are held, says Inspect", i.Held)
		}
		h.Crash()
		h.Advance(10 * time.Minute)
		if i := h.Inspect("acme"); !i.Asleep || !i.AlarmAt.Equal(h.Job("acme", kept).Due) {
			t.Errorf("held jobs keep the app awake: %+v", i)
		}
		h.Restart() // the same functions: nothing is tried again
		h.Advance(time.Minute)
		if i := h.Inspect("acme"); !i.Asleep {
			t.Errorf("held jobs have woken the app: %+v", i)
		}

		h.Reconfigure(func(o *actors.Options) { o.Functions = k.reg })
		h.Advance(time.Minute)
		for _, id := range append(gone, once) {
			wantState(t, h, "acme", id, storage.StateSuccess, 1)
		}
		names := must[[]string](t)(listEntries.Run(h.Caller("acme"), none{}))
		for i := range gone {
			if names[1+i] != fmt.Sprint(i) {
				t.Fatalf("the %d-th to be run was %s", i, names[1+i])
			}
		}
		h.Advance(time.Hour)
		wantState(t, h, "acme", kept, storage.StateSuccess, 1)
	})
}

// G38: a program that has no such function either holds them again, and Formerly finds
// them.
func TestG38_HeldAgain(t *testing.T) {
	k := newKit()
	old := k.mutation("t:old", func(ctx *dispatch.MutationCtx, name string) error { return nil })
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", time.Minute, old.With("gone"))
		other := newKit()
		other.mutation("t:other", func(*dispatch.MutationCtx, string) error { return nil })
		for _, reg := range []*dispatch.Registry{newKit().reg, other.reg, newKit().reg} {
			h.Reconfigure(func(o *actors.Options) { o.Functions = reg })
			h.Advance(10 * time.Minute)
			wantHeld(t, h, "acme", id, `no function "t:old"`)
		}
		now := newKit()
		now.mutation("t:new", func(ctx *dispatch.MutationCtx, name string) error {
			_, err := addEntry.Run(ctx, name)
			return err
		}, dispatch.Formerly("t:old"))
		h.Reconfigure(func(o *actors.Options) { o.Functions = now.reg })
		wantState(t, h, "acme", id, storage.StateSuccess, 1)
		wantEntries(t, h, "acme", "gone")
	})
}

// The argument types of three releases of one function.
type (
	argsV1 struct {
		N int `json:"n"`
	}
	argsV2 struct {
		N     int    `json:"n"`
		Color string `json:"color"`
	}
	argsV3 struct {
		N string `json:"n"`
	}
)

// G38: stored arguments with a field that this release does not know run without it,
// which is logged once, unless the function says StrictArgs; what does not decode at
// all is held. The stored bytes stay what they were.
func TestG38_ArgumentsOfAnotherRelease(t *testing.T) {
	var log heldLog
	release := func(bind func(*dispatch.Registry, func(string))) (*dispatch.Registry, *[]string) {
		var mu sync.Mutex // two actions run at once
		var ran []string
		reg := newKit().reg
		bind(reg, func(s string) {
			mu.Lock()
			defer mu.Unlock()
			ran = append(ran, s)
		})
		return reg, &ran
	}
	kinds := []string{"t:mutation", "t:action"}
	v2, _ := release(func(reg *dispatch.Registry, _ func(string)) {
		dispatch.InternalMutation[argsV2, none](kinds[0]).Handle(reg, func(*dispatch.MutationCtx, argsV2) (none, error) { return none{}, nil })
		dispatch.InternalAction[argsV2, none](kinds[1]).Handle(reg, func(*dispatch.ActionCtx, argsV2) (none, error) { return none{}, nil })
	})
	v1 := func(opts ...dispatch.FunctionOption) (*dispatch.Registry, *[]string) {
		return release(func(reg *dispatch.Registry, ran func(string)) {
			dispatch.InternalMutation[argsV1, none](kinds[0], opts...).Handle(reg, func(_ *dispatch.MutationCtx, a argsV1) (none, error) {
				ran(fmt.Sprint("mutation ", a.N))
				return none{}, nil
			})
			dispatch.InternalAction[argsV1, none](kinds[1], opts...).Handle(reg, func(_ *dispatch.ActionCtx, a argsV1) (none, error) {
				ran(fmt.Sprint("action ", a.N))
				return none{}, nil
			})
		})
	}
	v3, _ := release(func(reg *dispatch.Registry, _ func(string)) {
		dispatch.InternalMutation[argsV3, none](kinds[0]).Handle(reg, func(*dispatch.MutationCtx, argsV3) (none, error) {
			t.Error("the mutation ran with what does not decode")
			return none{}, nil
		})
		dispatch.InternalAction[argsV3, none](kinds[1]).Handle(reg, func(*dispatch.ActionCtx, argsV3) (none, error) {
			t.Error("the action ran with what does not decode")
			return none{}, nil
		})
	})
	opts := actors.Options{Functions: v2, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		var ids []storage.JobID
		for _, path := range kinds {
			for n := range 2 {
				ids = append(ids, mustAfter(t, h, "acme", time.Minute, dispatch.Path(path).With(argsV2{n, "red"}), dispatch.NoRetry()))
			}
		}
		h.Reconfigure(func(o *actors.Options) { o.Functions = v3 })
		h.Advance(2 * time.Minute)
		for _, id := range ids {
			wantHeld(t, h, "acme", id, `field "n": want string, got number`)
		}
		strict, ran := v1(dispatch.StrictArgs())
		h.Reconfigure(func(o *actors.Options) { o.Functions = strict })
		h.Advance(time.Minute)
		for _, id := range ids {
			wantHeld(t, h, "acme", id, `unknown field "color"`)
		}
		if len(*ran) > 0 {
			t.Errorf("ran strictly: %q", *ran)
		}
		log.reset()
		lenient, ran := v1()
		h.Reconfigure(func(o *actors.Options) { o.Functions = lenient })
		h.Advance(time.Minute)
		for i, id := range ids {
			job := wantState(t, h, "acme", id, storage.StateSuccess, 1)
			if want := fmt.Sprintf(`{"n":%d,"color":"red"}`, i%2); string(job.Args) != want {
				t.Errorf("the stored arguments became %s, want %s", job.Args, want)
			}
		}
		if len(*ran) != len(ids) {
			t.Errorf("ran: %q", *ran)
		}
		for _, path := range kinds {
			if n := strings.Count(log.text(), "function="+path); n != 1 {
				t.Errorf("%s: %d log lines, want 1:\n%s", path, n, log.text())
			}
		}
		// At the door nothing is lenient.
		_, err := h.Scheduler("acme").RunAfter(0, dispatch.Path(kinds[0]).With(argsV2{1, "red"}))
		wantCode(t, err, dispatch.CodeInvalidArgument)
	})
}

// G38: arguments of a function that a job itself runs, or its handler's own error of
// that kind, hold nothing.
func TestG38_OnlyItsOwnArgumentsHoldAJob(t *testing.T) {
	k := newKit()
	outer := k.mutation("t:outer", func(ctx *dispatch.MutationCtx, _ string) error {
		_, err := dispatch.Mutation[argsV3, none]("t:inner").Run(ctx, argsV3{"x"})
		return err
	})
	dispatch.InternalMutation[argsV1, none]("t:inner").Handle(k.reg, func(*dispatch.MutationCtx, argsV1) (none, error) { return none{}, nil })
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, outer.With("x"))
		h.Settle()
		wantState(t, h, "acme", id, storage.StateFailed, 1)
	})
}

// G38: a held job is canceled, dropped and retried by a person, alone and in bulk; its
// id is taken as long as it is held.
func TestG38_APersonDecides(t *testing.T) {
	k := newKit()
	old := k.mutation("t:old", func(*dispatch.MutationCtx, string) error { return nil })
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet, MaxJobs: 6}, func(h *actorstest.Harness) {
		for i := range 6 {
			mustAfter(t, h, "acme", time.Minute, old.With("x"), dispatch.ID(storage.JobID(fmt.Sprint("job", i))))
		}
		h.Reconfigure(func(o *actors.Options) { o.Functions = newKit().reg })
		h.Advance(2 * time.Minute)
		s := h.Scheduler("acme")
		held := []storage.State{storage.StateHeld}
		if n := must[int](t)(s.CountJobs(storage.JobFilter{States: held})); n != 6 {
			t.Errorf("%d are held", n)
		}
		_, err := s.RunAfter(0, addEntry.With("x"))
		wantCode(t, err, dispatch.CodeResourceExhausted) // they count
		wantCancel(t, h, "acme", "job0", true, storage.StateHeld)
		wantState(t, h, "acme", "job0", storage.StateCanceled, 0)
		if ok, err := s.DropDead("job1"); !ok || err != nil {
			t.Error(ok, err)
		}
		_, err = s.RunAfter(0, addEntry.With("x"), dispatch.ID("job2"))
		wantCode(t, err, dispatch.CodeAlreadyExists)
		if ok, err := s.RetryDead("job2"); !ok || err != nil {
			t.Error(ok, err)
		}
		if n := must[int](t)(s.RetryMany(storage.JobFilter{States: held})); n != 4 {
			t.Errorf("%d were retried", n)
		}
		h.Settle()
		for _, id := range []storage.JobID{"job2", "job5"} {
			wantHeld(t, h, "acme", id, "no function")
		}
		if n := must[int](t)(s.DropMany(storage.JobFilter{})); n != 0 { // of the dead
			t.Errorf("%d were dropped", n)
		}
		if n := must[int](t)(s.DropMany(storage.JobFilter{States: held, Function: "t:old"})); n != 4 {
			t.Errorf("%d were dropped", n)
		}
		if jobs := h.Jobs("acme"); len(jobs) != 1 {
			t.Errorf("%d jobs are left", len(jobs))
		}
	})
}

// G38: HoldFor bounds how long a job is held: exactly n, and then it is dead and says why.
func TestG38_HoldFor(t *testing.T) {
	k := newKit()
	old := k.mutation("t:old", func(*dispatch.MutationCtx, string) error { return nil })
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet, ClockCheck: time.Minute}, func(h *actorstest.Harness) {
		early := mustAfter(t, h, "acme", time.Minute, old.With("x"))
		h.Reconfigure(func(o *actors.Options) { o.Functions, o.HoldFor = newKit().reg, time.Hour })
		h.Advance(2 * time.Minute)
		wantHeld(t, h, "acme", early, "no function")
		h.Advance(58 * time.Minute)
		wantHeld(t, h, "acme", early, "no function")
		h.Advance(3 * time.Minute)
		job := wantState(t, h, "acme", early, storage.StateFailed, 0)
		if job.Error == nil || !strings.Contains(job.Error.Message, `no function "t:old"`) || job.Failures != 0 {
			t.Errorf("it says %+v", job)
		}
	})
}
