package actors_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// failuresOf are what the attempts of the job have failed of.
func failuresOf(h *actorstest.Harness, id storage.JobID) (kept []storage.AttemptLog) {
	h.TB().Helper()
	app, err := h.Engine.App("acme")
	if err != nil {
		h.TB().Fatal(err)
	}
	err = app.Read(h.Context(), func(r storage.Reader) error {
		job, _, err := r.System().Get(id)
		if err != nil {
			return err
		}
		kept, err = r.System().Logs(&job)
		return err
	})
	if err != nil {
		h.TB().Fatal(err)
	}
	return kept
}

// placed is an error that knows where it comes from, as several packages make them.
type placed struct {
	text  string
	stack any
}

func (e *placed) Error() string   { return e.text }
func (e *placed) StackTrace() any { return e.stack }

// explosive is an error that cannot be read.
type explosive struct{}

func (explosive) Error() string { panic("no text") }

// explosivePlace is one whose place cannot be had.
type explosivePlace struct{}

func (explosivePlace) Error() string   { return "somewhere" }
func (explosivePlace) StackTrace() any { panic("no place") }

func innermostOfAll(message string) { panic(message) }

// TestCauseOfEachAttempt: what an attempt has failed of, and the stack of a panic, or of an error that
// has one, are kept with its log lines, of mutations and of what an action runs, too; bounded, and
// also after a crash.
func TestCauseOfEachAttempt(t *testing.T) {
	k := newKit()
	inner := dispatch.InternalMutation[string, none]("t:inner")
	inner.Handle(k.reg, func(ctx *dispatch.MutationCtx, how string) (none, error) {
		switch how {
		case "plain":
			return none{}, errors.New("the disk is on fire")
		case "told":
			return none{}, dispatch.Errorf(dispatch.CodeFailedPrecondition, "no seats are left: %w", errors.New("of 40"))
		case "told for good":
			return none{}, dispatch.Permanent(dispatch.Errorf(dispatch.CodeFailedPrecondition, "no seats are left"))
		case "placed":
			return none{}, fmt.Errorf("saving: %w", errors.Join(errors.New("first"), &placed{"second", "seats.go:40"}))
		case "explosive":
			return none{}, explosive{}
		case "explosive place":
			return none{}, dispatch.Permanent(explosivePlace{})
		case "nil":
			var ctx *dispatch.MutationCtx
			return none{}, errors.New(string(ctx.Job.App))
		case "long":
			how = "\xff" + strings.Repeat("ä", storage.MaxCause)
		}
		innermostOfAll(how)
		return none{}, nil
	})
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, how string) error {
		ctx.Log.Info("about to")
		time.Sleep(2 * time.Second)
		if how == "own" {
			innermostOfAll("oh")
		}
		if how == "stop" && ctx.Job.Attempt == 1 {
			<-ctx.Done()
			return fmt.Errorf("told to: %w", ctx.Err())
		}
		_, err := inner.Run(ctx, how)
		return err
	}, eager)
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: slog.New(slog.DiscardHandler)}, func(h *actorstest.Harness) {
		fails := func(job dispatch.Call, attempts int) []storage.AttemptLog {
			t.Helper()
			id := mustAfter(t, h, "acme", 0, job, dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: attempts, Base: time.Second}))
			h.Advance(15 * time.Second)
			return failuresOf(h, id)
		}
		for _, tt := range []struct{ how, cause, stack string }{
			{"plain", "the disk is on fire", ""},
			{"told", "", ""},
			{"told for good", "", ""},
			{"placed", "saving: first\nsecond", "seats.go:40"},
			{"explosive", "its error cannot be read: panic: no text", ""},
			{"explosive place", "its error cannot be read: panic: no place", ""},
			{"boom", "panic: boom", "innermostOfAll"},
			{"nil", "panic: runtime error: invalid memory address or nil pointer dereference", "stacks_test.go:"},
			{"long", "panic: \uFFFD" + strings.Repeat("ä", storage.MaxCause), "innermostOfAll"},
		} {
			for _, job := range []dispatch.Call{inner.With(tt.how), act.With(tt.how)} {
				got := fails(job, 1)
				if tt.cause == "" {
					if len(got) > 0 && got[0].Cause+got[0].Stack != "" {
						t.Errorf("%s says all, and is kept: %+v", tt.how, got)
					}
					continue
				}
				if len(got) != 1 {
					t.Errorf("%.20q: %+v", tt.how, got)
					continue
				}
				cause, stack := got[0].Cause, got[0].Stack
				if cut := strings.TrimSuffix(cause, "…"); !strings.HasPrefix(tt.cause, cut) || cut == cause && cause != tt.cause || len(cause) > storage.MaxCause || cut != cause && len(cause) < storage.MaxCause-2 {
					t.Errorf("%.20q has failed of %.80q, want %.80q", tt.how, cause, tt.cause)
				}
				if first, _, _ := strings.Cut(stack, "\n"); !strings.Contains(stack, tt.stack) || (stack == "") != (tt.stack == "") || len(stack) > storage.MaxStack ||
					tt.stack == "innermostOfAll" && !strings.Contains(first, tt.stack) {
					t.Errorf("%.20q was at %s, want %s", tt.how, stack, tt.stack)
				}
			}
		}

		h.Advance(time.Second)
		id := mustAfter(t, h, "acme", 0, act.With("own"), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 2}))
		h.Advance(3 * time.Second) // in the second attempt, which has stored its line
		h.Crash()
		h.Advance(5 * time.Second)
		got := failuresOf(h, id)
		if len(got) != 3 || got[0].Cause != "panic: oh" || got[1].Cause != "" || got[1].Stack != "" || strings.Contains(got[2].Stack, "dispatch.handle") || !strings.Contains(got[2].Stack, "innermostOfAll") || len(got[0].Lines) != 1 || len(got[2].Lines) != 1 {
			t.Errorf("of two panics, and a crash between them, are kept %+v", got)
		}
		id = mustAfter(t, h, "acme", 0, act.With("boom"), dispatch.NoRetry())
		h.Advance(time.Second)
		if answer, err := h.Scheduler("acme").Cancel(id); err != nil || !answer.Canceled {
			t.Error(answer, err)
		}
		h.Advance(5 * time.Second)
		if got := failuresOf(h, id); len(got) != 1 || got[0].Cause != "" {
			t.Errorf("a job that was canceled has failed of %+v", got)
		}
		id = mustAfter(t, h, "acme", 0, act.With("stop"), dispatch.NoRetry(), dispatch.Timeout(2*time.Hour))
		h.Advance(3 * time.Second)
		h.Restart()
		h.Advance(5 * time.Second)
		if got := failuresOf(h, id); len(got) != 2 || got[0].Cause != "" || got[1].Cause != "panic: stop" {
			t.Errorf("an attempt that was told to stop, and the next, have failed of %+v", got)
		}
		if err := h.Engine.Check(); err != nil {
			t.Error(err)
		}
	})
}
