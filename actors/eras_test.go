package actors_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/storage"
)

// warnings keeps what is logged from level Warn on.
type warnings struct {
	slog.Handler
	mu   sync.Mutex
	list []string
}

func newWarnings() *warnings { return &warnings{Handler: slog.DiscardHandler} }

// Enabled implements slog.Handler.
func (w *warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements slog.Handler.
func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, r.Message)
	return nil
}

// WithAttrs implements slog.Handler.
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup implements slog.Handler.
func (w *warnings) WithGroup(string) slog.Handler { return w }

// about counts those that contain the text, and forgets them.
func (w *warnings) about(text string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, line := range w.list {
		if strings.Contains(line, text) {
			n++
		}
	}
	w.list = nil
	return n
}

// G15: a step of the wall of more than five minutes is noticed, whichever way it
// goes: one warning, one more of the counter, one line wherever a person looks,
// until that person accepts the clock. A smaller one is not, nor is a suspend.
func TestG15_AStepOfTheWallIsNoticed(t *testing.T) {
	const most = 5 * time.Minute
	for _, tt := range []struct {
		step, suspend time.Duration
		noticed       bool
	}{
		{step: most},
		{step: -most},
		{step: -90 * time.Second},
		{step: time.Millisecond},
		{step: most + time.Millisecond, noticed: true},
		{step: -most - time.Millisecond, noticed: true},
		{step: 10 * year, noticed: true},
		{step: -10 * year, noticed: true},
		{suspend: time.Hour},
		{suspend: 24 * 365 * time.Hour},
		{suspend: 8 * time.Hour, step: most},
		{suspend: 8 * time.Hour, step: most + time.Millisecond, noticed: true},
		{suspend: time.Hour, step: -time.Hour, noticed: true},
	} {
		t.Run(fmt.Sprintf("%v,suspend=%v", tt.step, tt.suspend), func(t *testing.T) {
			log := newWarnings()
			actorstest.Run(t, actors.Options{Functions: newKit().reg, Logger: slog.New(log), ClockCheck: time.Second}, func(h *actorstest.Harness) {
				want := 0
				if tt.noticed {
					want = 1
				}
				look := func(when string, steps, notes int) {
					t.Helper()
					state := h.Engine.Clock()
					if state.Steps != steps || len(state.Notes) != notes || len(h.Inspect("acme").Clock) != notes {
						t.Errorf("%s: %d steps, want %d, and %q, want %d lines", when, state.Steps, steps, state.Notes, notes)
					}
				}
				must[any](t)(addEntry.Run(h.Caller("acme"), "x"))
				h.Advance(10 * time.Second)
				look("before", 0, 0)
				h.Suspend(tt.suspend)
				h.StepClock(tt.step)
				h.Advance(2 * time.Second)
				must[any](t)(addEntry.Run(h.Caller("acme"), "x"))
				doubt := 0
				if tt.step+tt.suspend > 24*time.Hour && tt.noticed {
					doubt = 1
				}
				look("after", want, want+doubt)
				h.Advance(time.Minute)
				if n := log.about("wall clock"); n != want {
					t.Errorf("%d warnings, want %d", n, want)
				}
				behind := 0
				if tt.step < 0 && !tt.noticed {
					behind = 1 // what is written down has not caught up yet
				}
				h.Restart()
				look("after a restart", behind, want+doubt+behind)
				if err := h.Engine.AcceptClock(h.Context()); err != nil {
					t.Fatal(err)
				}
				look("accepted", behind, 0)
				if n := log.about("wall clock"); n != behind {
					t.Errorf("%d warnings more, want %d", n, behind)
				}
				h.Advance(time.Hour)
				must[any](t)(addEntry.Run(h.Caller("acme"), "x"))
				h.Crash()
				look("accepted, after a crash", 0, 0)
			})
		})
	}
}

// G15: a wall behind what was written down is noticed when the directory is opened;
// one ahead of it is downtime.
func TestG15_AWallThatIsBehindAtOpenIsNoticed(t *testing.T) {
	for _, tt := range []struct {
		step  time.Duration
		notes int
	}{{0, 0}, {time.Hour, 0}, {10 * year, 1 /* it is in doubt */}, {-time.Second, 1}, {-5 * time.Minute, 1}, {-6 * time.Minute, 1}, {-10 * year, 1}} {
		t.Run(tt.step.String(), func(t *testing.T) {
			log := newWarnings()
			actorstest.Run(t, actors.Options{Functions: newKit().reg, Logger: slog.New(log)}, func(h *actorstest.Harness) {
				h.Advance(time.Minute)
				must[any](t)(addEntry.Run(h.Caller("acme"), "x"))
				h.Kill()
				h.StepClock(tt.step)
				h.Open()
				steps := 0
				if tt.step < 0 {
					steps = 1
				}
				if s := h.Engine.Clock(); s.Steps != steps || len(s.Notes) != tt.notes {
					t.Errorf("%d steps, want %d: %q", s.Steps, steps, s.Notes)
				}
				if n := log.about("wall clock"); n != steps {
					t.Errorf("%d warnings, want %d", n, steps)
				}
				if err := h.Engine.AcceptClock(h.Context()); err != nil {
					t.Fatal(err)
				}
				if s := h.Engine.Clock(); len(s.Notes) != 0 || s.Doubted != 0 {
					t.Errorf("accepted, and it says %q", s.Notes)
				}
			})
		})
	}
}

// An engine that is closed accepts nothing.
func TestG26_AcceptClockAfterClose(t *testing.T) {
	actorstest.Run(t, actors.Options{Functions: newKit().reg}, func(h *actorstest.Harness) {
		eng := h.Engine
		h.Restart()
		wantCode(t, eng.AcceptClock(h.Context()), "unavailable")
		if _, err := storage.Open(h.Dir(), storage.Options{}); err == nil {
			t.Error("the directory is not owned")
		}
	})
}
