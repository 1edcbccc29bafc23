package actors_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/storagetest"
)

// Open names the option at fault, and opens nothing.
func TestOptionsAreValidated(t *testing.T) {
	ms := time.Millisecond
	for field, set := range map[string]struct {
		bad, good []func(*actors.Options)
	}{
		"Functions":          {bad: []func(*actors.Options){func(o *actors.Options) { o.Functions = nil }}},
		"AppConcurrency":     ints(func(o *actors.Options, n int) { o.AppConcurrency = n }, []int{-1, 100_001}, []int{1, 100_000}),
		"AppStartsPerSecond": ints(func(o *actors.Options, n int) { o.AppStartsPerSecond = n }, []int{-1, 100_001}, []int{1, 100_000}),
		"MaxArgBytes":        ints(func(o *actors.Options, n int) { o.MaxArgBytes = int64(n) }, []int{-1}, []int{1}),
		"Concurrency":        ints(func(o *actors.Options, n int) { o.Concurrency = n }, []int{-1, 1_000_001}, []int{1, 1_000_000}),
		"MaxInterruptions":   ints(func(o *actors.Options, n int) { o.MaxInterruptions = n }, []int{-1}, []int{1}),
		"MaxApps":            ints(func(o *actors.Options, n int) { o.MaxApps = n }, []int{-1}, []int{0, 1}),
		"KeepFinished":       ints(func(o *actors.Options, n int) { o.KeepFinished = n }, []int{-1}, []int{1}),
		"TxLimits.Jobs":      ints(func(o *actors.Options, n int) { o.TxLimits.Jobs = n }, []int{-1}, []int{1}),
		"TxLimits.Writes":    ints(func(o *actors.Options, n int) { o.TxLimits.Writes = n }, []int{-1}, []int{1}),
		"TxLimits.Bytes":     ints(func(o *actors.Options, n int) { o.TxLimits.Bytes = n }, []int{-1}, []int{1}),
		"KeepDead":           ints(func(o *actors.Options, n int) { o.KeepDead = n }, nil, []int{-1, 1}),
		"DeadRetention":      {bad: []func(*actors.Options){func(o *actors.Options) { o.DeadRetention = 1 }}, good: []func(*actors.Options){func(o *actors.Options) { o.DeadRetention = ms }, func(o *actors.Options) { o.DeadRetention = -1 }}},
		"HoldFor":            {bad: []func(*actors.Options){func(o *actors.Options) { o.HoldFor = -1 }, func(o *actors.Options) { o.HoldFor = ms - 1 }}, good: []func(*actors.Options){func(o *actors.Options) { o.HoldFor = ms }}},
		"Volumes":            ints(func(o *actors.Options, n int) { o.Volumes = n }, []int{-1, 65}, []int{1, 64}),
		"LogKeep":            ints(func(o *actors.Options, n int) { o.LogKeep = int64(n) }, []int{64<<30 + 1}, []int{-1, 1, 64 << 30}),
		"MaxJobs":            ints(func(o *actors.Options, n int) { o.MaxJobs = n }, []int{-1}, []int{1}),
		"QueryTimeout":       spans(func(o *actors.Options, d time.Duration) { o.QueryTimeout = d }, ms),
		"MutationTimeout":    spans(func(o *actors.Options, d time.Duration) { o.MutationTimeout = d }, ms),
		"ActionTimeout":      spans(func(o *actors.Options, d time.Duration) { o.ActionTimeout = d }, ms),
		"TurnWait":           spans(func(o *actors.Options, d time.Duration) { o.TurnWait = d }, ms),
		"Grace":              spans(func(o *actors.Options, d time.Duration) { o.Grace = d }, ms),
		"Retention":          spans(func(o *actors.Options, d time.Duration) { o.Retention = d }, ms),
		"IdleAfter":          spans(func(o *actors.Options, d time.Duration) { o.IdleAfter = d }, ms),
		"ClaimAhead":         spans(func(o *actors.Options, d time.Duration) { o.ClaimAhead = d }, ms),
		"ClockCheck":         spans(func(o *actors.Options, d time.Duration) { o.ClockCheck = d }, ms),
		"LockTimeout":        spans(func(o *actors.Options, d time.Duration) { o.LockTimeout = d }, 1),
	} {
		t.Run(field, func(t *testing.T) {
			open := func(change func(*actors.Options)) error {
				opts := actors.Options{Functions: newKit().reg, Volumes: 1, Testing: actors.Testing{NoSync: true}, Logger: quiet}
				change(&opts)
				abort := abortOf(&opts)
				dir := filepath.Join(t.TempDir(), "data")
				_, err := actors.Open(dir, opts)
				if err != nil {
					if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
						t.Error("an Open that was refused has made the directory")
					}
					return err
				}
				return (*abort)()
			}
			for i, change := range set.bad {
				if err := open(change); err == nil || !strings.Contains(err.Error(), field) {
					t.Errorf("bad value %d: %v, want an error that names %s", i, err, field)
				}
			}
			for i, change := range set.good {
				if err := open(change); err != nil {
					t.Errorf("value %d at the bound: %v", i, err)
				}
			}
		})
	}
}

type choices = struct{ bad, good []func(*actors.Options) }

func ints(set func(*actors.Options, int), bad, good []int) (c choices) {
	for _, n := range bad {
		c.bad = append(c.bad, func(o *actors.Options) { set(o, n) })
	}
	for _, n := range good {
		c.good = append(c.good, func(o *actors.Options) { set(o, n) })
	}
	return c
}

func spans(set func(*actors.Options, time.Duration), least time.Duration) (c choices) {
	for _, d := range []time.Duration{-time.Second, least - 1} {
		if d != 0 {
			c.bad = append(c.bad, func(o *actors.Options) { set(o, d) })
		}
	}
	c.good = append(c.good, func(o *actors.Options) { set(o, least) })
	return c
}

// The zero Options need Functions only, and the files they make are the default four.
func TestOptionsDefaults(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	eng, err := actors.Open(dir, actors.Options{Functions: newKit().reg})
	if err != nil {
		t.Fatal(err)
	}
	if files := must[[]string](t)(filepath.Glob(filepath.Join(dir, "volume-*.db"))); len(files) != 4 {
		t.Errorf("volumes: %q, want 4", files)
	}
	if err := errors.Join(eng.Check(), eng.Close(t.Context())); err != nil {
		t.Error(err)
	}
}

// An app comes into being with its first committed change, and its name never
// becomes a file's.
func TestAppsComeIntoBeingWithAChange(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		none1 := func(what string) {
			t.Helper()
			if ids := must[[]storage.AppID](t)(h.Engine.Apps()); len(ids) != 0 {
				t.Errorf("after %s there are apps: %q", what, ids)
			}
		}
		must[[]string](t)(listEntries.Run(h.Caller("a"), none{}))
		none1("a read")
		h.Jobs("a")
		wantCancel(t, h, "a", "x", false, "")
		none1("a cancel of nothing")
		_, err := failAlways.Run(h.Caller("a"), "x")
		wantCode(t, err, dispatch.CodeUnavailable)
		none1("a mutation that failed")
		k.plan = func(*dispatch.MutationCtx) error { return nil }
		must[none](t)(runPlan.Run(h.Caller("a"), none{}))
		none1("a mutation that wrote nothing")
		h.Crash()
		none1("a crash")
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("a"), "x"))
		if ids := must[[]storage.AppID](t)(h.Engine.Apps()); len(ids) != 1 {
			t.Errorf("the apps are %q", ids)
		}
		for _, name := range []string{"", "-a", ".a", "..", "a/b", "a\\b", "a b", "ä", "a\x00", strings.Repeat("a", 65)} {
			_, err := h.Engine.App(storage.AppID(name))
			wantCode(t, err, dispatch.CodeInvalidArgument)
		}
		for _, name := range []string{"a", "A_b-c.d", "_", strings.Repeat("a", 64), "CON", "a..b"} {
			must[storage.ID[entry]](t)(addEntry.Run(h.Caller(storage.AppID(name)), "x"))
		}
		files := must[[]os.DirEntry](t)(os.ReadDir(h.Dir()))
		want := 2 // the volume, and the log
		if storagetest.SharedLog() {
			want = 1
		}
		if len(files) != want {
			t.Errorf("the directory holds %v", fmt.Sprint(files))
		}
	})
}
