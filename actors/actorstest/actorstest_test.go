package actorstest_test

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/storagetest"
)

type mark struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

var (
	marks     = storage.NewTable[mark]("marks")
	setMark   = dispatch.Mutation[string, dispatch.None]("marks:set")
	markLater = dispatch.Mutation[string, storage.JobID]("marks:later")
	markSlow  = dispatch.InternalAction[string, dispatch.None]("marks:slow")
	listMarks = dispatch.Query[dispatch.None, []string]("marks:list")
)

// functions are a registry to try the harness with: marks:later schedules
// marks:set an hour ahead, marks:slow takes a minute and then sets a mark.
func functions() *dispatch.Registry {
	reg := dispatch.NewRegistry()
	setMark.Handle(reg, func(ctx *dispatch.MutationCtx, name string) (dispatch.None, error) {
		_, err := marks.Insert(ctx.DB, mark{name, ctx.Now})
		return dispatch.None{}, err
	})
	markLater.Handle(reg, func(ctx *dispatch.MutationCtx, name string) (storage.JobID, error) {
		return ctx.Scheduler.RunAfter(time.Hour, setMark.With(name))
	})
	markSlow.Handle(reg, func(ctx *dispatch.ActionCtx, name string) (dispatch.None, error) {
		select {
		case <-time.After(time.Minute):
			return setMark.Run(ctx, name)
		case <-ctx.Done():
			return dispatch.None{}, ctx.Err()
		}
	})
	listMarks.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) ([]string, error) {
		names := []string{}
		for doc, err := range marks.Query(ctx.DB).All() {
			if err != nil {
				return nil, err
			}
			names = append(names, doc.Value.Name)
		}
		return names, nil
	})
	return reg
}

func wantMarks(tb testing.TB, h *actorstest.Harness, app storage.AppID, want ...string) {
	tb.Helper()
	got, err := listMarks.Run(h.Caller(app), dispatch.None{})
	if err != nil || !slices.Equal(got, want) {
		tb.Errorf("app %s has marks %q, %v, want %q", app, got, err, want)
	}
}

func TestAdvanceRunsWhatBecomesDue(t *testing.T) {
	actorstest.Run(t, actors.Options{Functions: functions()}, func(h *actorstest.Harness) {
		id, err := markLater.Run(h.Caller("acme"), "hello")
		if err != nil {
			t.Fatal(err)
		}
		h.Advance(time.Hour - time.Millisecond)
		wantMarks(t, h, "acme")
		h.Advance(time.Millisecond)
		wantMarks(t, h, "acme", "hello")
		if job := h.Job("acme", id); job.State != storage.StateSuccess || !job.CompletedAt.Equal(h.Now()) {
			t.Errorf("the job is %s, completed at %v, now is %v", job.State, job.CompletedAt, h.Now())
		}
	})
}

func TestDrainWaitsForWhatIsUnderWayOnly(t *testing.T) {
	actorstest.Run(t, actors.Options{Functions: functions()}, func(h *actorstest.Harness) {
		begin := h.Now()
		if _, err := h.Scheduler("acme").RunAfter(0, markSlow.With("slow")); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Scheduler("other").RunAfter(time.Hour, setMark.With("later")); err != nil {
			t.Fatal(err)
		}
		h.Drain()
		wantMarks(t, h, "acme", "slow")
		wantMarks(t, h, "other")
		if took := h.Now().Sub(begin); took < time.Minute || took > 2*time.Minute {
			t.Errorf("drained in %v of virtual time, want about the minute that the action takes", took)
		}
	})
}

func TestCrashCutsOffAndKeepsWhatWasDurable(t *testing.T) {
	actorstest.Run(t, actors.Options{Functions: functions()}, func(h *actorstest.Harness) {
		id, err := h.Scheduler("acme").RunAfter(0, markSlow.With("slow"))
		if err != nil {
			t.Fatal(err)
		}
		h.Advance(30 * time.Second)
		if job := h.Job("acme", id); job.State != storage.StateRunning {
			t.Fatalf("the job is %s before the crash", job.State)
		}
		h.Crash()
		h.Advance(time.Minute)
		wantMarks(t, h, "acme", "slow")
		job := h.Job("acme", id)
		if job.State != storage.StateSuccess || job.Attempts != 2 || len(job.History) != 1 || !job.History[0].Interrupted {
			t.Errorf("after a crash: %+v", job)
		}
	})
}

func TestRunInFindsWhatAnEngineHasLeft(t *testing.T) {
	storagetest.NeedsFiles(t, "which are copied")
	left := t.TempDir()
	actorstest.Run(t, actors.Options{Functions: functions()}, func(h *actorstest.Harness) {
		if _, err := setMark.Run(h.Caller("acme"), "kept"); err != nil {
			t.Fatal(err)
		}
		h.Kill()
		if err := os.CopyFS(left, os.DirFS(h.Dir())); err != nil {
			t.Fatal(err)
		}
	})
	actorstest.RunIn(t, left, actors.Options{Functions: functions()}, func(h *actorstest.Harness) {
		wantMarks(t, h, "acme", "kept")
	})
}

func TestRestartDrains(t *testing.T) {
	actorstest.Run(t, actors.Options{Functions: functions()}, func(h *actorstest.Harness) {
		id, err := h.Scheduler("acme").RunAfter(0, markSlow.With("slow"))
		if err != nil {
			t.Fatal(err)
		}
		h.Settle()
		h.Restart()
		wantMarks(t, h, "acme", "slow")
		if job := h.Job("acme", id); job.State != storage.StateSuccess || job.Attempts != 1 {
			t.Errorf("after a restart: %+v", job)
		}
	})
}

func TestCrashAtEveryCommit(t *testing.T) {
	points := 0
	for _, point := range []string{"commit", "committed"} {
		for n := 1; ; n++ {
			reached := false
			actorstest.Run(t, actors.Options{Functions: functions()}, func(h *actorstest.Harness) {
				var err error
				reached = h.CrashAt(point, n, func() {
					_, err = markLater.Run(h.Caller("acme"), "hello")
					h.Advance(2 * time.Hour)
				})
				h.Advance(2 * time.Hour)
				got, _ := listMarks.Run(h.Caller("acme"), dispatch.None{})
				if err == nil && len(got) != 1 || len(got) > 1 {
					t.Errorf("crash at %s %d: call answered %v, marks %q", point, n, err, got)
				}
			})
			if !reached {
				break
			}
			points++
		}
	}
	if points < 6 {
		t.Errorf("crashed at %d points, want the schedule, the claim and the completion, before and after", points)
	}
}

func TestStepClockMovesTheWallOnly(t *testing.T) {
	actorstest.Run(t, actors.Options{Functions: functions()}, func(h *actorstest.Harness) {
		if _, err := markLater.Run(h.Caller("acme"), "hello"); err != nil {
			t.Fatal(err)
		}
		begin := h.Now()
		// More than five minutes would move what is relative.
		h.StepClock(-4 * time.Minute)
		if got := h.Now().Sub(begin); got != -4*time.Minute {
			t.Errorf("the wall was stepped by %v", got)
		}
		h.Advance(time.Hour + 4*time.Minute - time.Millisecond)
		wantMarks(t, h, "acme")
		h.Advance(time.Millisecond)
		wantMarks(t, h, "acme", "hello")
	})
}

func TestFaultReachesTheEngine(t *testing.T) {
	broken := errors.New("disk on fire")
	fail := false
	opts := actors.Options{Functions: functions(), Testing: actors.Testing{Fault: func(point string) error {
		if fail && point == "commit" {
			fail = false
			return broken
		}
		return nil
	}}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		h.Settle()
		fail = true
		_, err := h.Call("acme", "marks:set", `"a"`)
		if dispatch.AsError(err).Code != dispatch.CodeUnknown {
			t.Errorf("a failed commit answers %v", err)
		}
		if _, err := h.Call("acme", "marks:set", `"b"`); err != nil {
			t.Error(err)
		}
		wantMarks(t, h, "acme", "b")
	})
}

func TestInspectSeesTheAlarm(t *testing.T) {
	actorstest.Run(t, actors.Options{Functions: functions(), IdleAfter: time.Minute}, func(h *actorstest.Harness) {
		if _, err := markLater.Run(h.Caller("acme"), "hello"); err != nil {
			t.Fatal(err)
		}
		h.Settle()
		if i := h.Inspect("acme"); i.Asleep || i.AlarmAt.IsZero() {
			t.Errorf("awake: %+v", i)
		}
		h.Advance(2 * time.Minute)
		if i := h.Inspect("acme"); !i.Asleep || i.AlarmAt.Sub(h.Now()) != 58*time.Minute {
			t.Errorf("asleep: %+v", i)
		}
	})
}
