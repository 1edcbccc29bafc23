package actors_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/storagetest"
)

// killBase is the wall time at which the trigger of these tests is made.
// killSlot is its first slot, a second later, and the only one for a year.
var (
	killBase = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	killSlot = killBase.Add(time.Second)
)

const killSpec = "1 0 3 1 3 *"

// killEngine opens an engine on the directory at killBase + after.
func killEngine(dir string, after time.Duration, ran func(), opts actors.Options) (*actors.Engine, error) {
	began := time.Now()
	opts.Functions, opts.Volumes, opts.Logger = killFunctions(ran), 1, quiet
	opts.Testing.Clock = func() time.Time { return killBase.Add(after + time.Since(began)) }
	opts.Crons = []dispatch.Trigger{{Name: "x", Schedule: cron.Expr(killSpec), Call: cronNote.With(beat{}), Apps: []storage.AppID{killApp}}}
	return actors.Open(dir, opts)
}

// TestG20_KillWorker is not a test but the process that the tests of this file
// kill, or whose disk fails: it opens the directory shortly before the slot and
// closes it when the tick is durably done, which it says, or after a while.
func TestG20_KillWorker(t *testing.T) {
	patience, _ := time.ParseDuration(os.Getenv("CARILLON_KILL_PATIENCE"))
	open := func(dir string, ran func()) (eng *actors.Engine, err error) {
		opts := actors.Options{Testing: actors.Testing{Fault: storagetest.OwnThreads()}, Grace: 50 * time.Millisecond}
		for range 3 { // a disk call may fail
			if eng, err = killEngine(dir, 800*time.Millisecond, ran, opts); err == nil {
				break
			}
		}
		return eng, err
	}
	killWorker(t, "CARILLON_KILL_DIR", patience, open, func(_ context.Context, caller dispatch.Caller) bool {
		beats, err := cronList.Run(caller, dispatch.None{}) // else the tick is going to run again
		return err == nil && slices.ContainsFunc(beats, func(b beat) bool { return b.Slot.Equal(killSlot) })
	})
}

// killer runs the worker under strace on copies of one directory.
type killer struct {
	t      *testing.T
	strace storagetest.Strace
	made   string // where the trigger was just made
}

func newKiller(t *testing.T) *killer {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes half a second for each disk call")
	}
	k := &killer{t: t, strace: storagetest.FindStrace(t), made: filepath.Join(t.TempDir(), "made")}
	synctest.Test(t, func(t *testing.T) {
		eng, err := killEngine(k.made, 0, func() {}, actors.Options{Testing: actors.Testing{NoSync: true}})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := eng.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if got := killedIn(t, k.made, "the beginning"); got != "pending" {
		t.Fatalf("the tick is %s to begin with", got)
	}
	return k
}

// worked is what became of a worker.
type worked struct {
	dir          string
	killed, done bool
}

// run runs the worker on a new copy under strace with the options. It closes the
// engine after its patience if the tick is not done by then.
func (k *killer) run(t *testing.T, patience time.Duration, options ...string) (w worked) {
	t.Helper()
	w.dir = filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(w.dir, os.DirFS(k.made)); err != nil {
		t.Fatal(err)
	}
	w.done, w.killed = straced(t, k.strace, options, "TestG20_KillWorker", "CARILLON_KILL_DIR="+w.dir, "CARILLON_KILL_PATIENCE="+patience.String())
	return w
}

// points are, for each call, the counts at which something is to happen: in
// opening, and in the committer.
func (k *killer) points() map[string][]int {
	k.t.Helper()
	log := filepath.Join(k.t.TempDir(), "log")
	w := k.run(k.t, time.Minute, storagetest.Count(log)...)
	if !w.done || k.afterwards(k.t, w, "nothing was done to it") != "done" {
		k.t.Fatal("the worker does not run the tick")
	}
	counts, err := storagetest.ReadCounts(log, storagetest.Whole)
	if err != nil {
		k.t.Fatal(err)
	}
	// Claim, end and touch: a commit each, a write and a sync; the last may come too late.
	if counts.Committing["pwrite64"] < 2 || counts.Committing["fdatasync"] < 2 {
		k.t.Fatalf("the disk calls are %+v, want two commits at least", counts)
	}
	points := map[string][]int{}
	for _, call := range storagetest.DiskCalls {
		points[call] = storagetest.Some(6, counts.Points(call))
	}
	return points
}

// The process is killed at each disk call around a tick: the slot takes effect
// exactly once, and the trigger is never behind or ahead of its job.
func TestG20_KilledAtEveryDiskCall(t *testing.T) {
	k := newKiller(t)
	var mu sync.Mutex
	outcomes := map[string]int{}
	t.Run("calls", func(t *testing.T) {
		for call, points := range k.points() {
			t.Run(call, func(t *testing.T) {
				t.Parallel()
				killed := 0
				for _, n := range points {
					what := fmt.Sprintf("killed at %s %d", call, n)
					w := k.run(t, time.Minute, storagetest.Kill(call, n)...)
					switch {
					case w.killed:
						killed++
					case !w.done:
						t.Errorf("%s: it was not, and the worker gave up", what)
					}
					outcome := k.afterwards(t, w, what)
					mu.Lock()
					outcomes[outcome]++
					mu.Unlock()
				}
				// How many commits there are varies: what comes together shares one.
				t.Logf("killed at %d of %s %v", killed, call, points)
				if killed < len(points)*2/3 {
					t.Errorf("killed at %d of %d points only", killed, len(points))
				}
			})
		}
	})
	t.Logf("what the kills have left of the tick: %v", outcomes)
	if outcomes["pending"] == 0 || outcomes["claimed"] == 0 || outcomes["done"] == 0 {
		t.Errorf("kills have left the tick %v, want it pending, claimed and done", outcomes)
	}
}

// Each disk call around a tick fails, once or from then on: the same holds, and
// after a single error the engine goes on by itself.
func TestG20_EveryDiskCallFails(t *testing.T) {
	k := newKiller(t)
	t.Run("calls", func(t *testing.T) {
		points := k.points()
		for _, tt := range []struct{ call, errno string }{{"fdatasync", "EIO"}, {"pwrite64", "ENOSPC"}} {
			for from, patience := range map[string]time.Duration{"": time.Minute, "+": 500 * time.Millisecond} {
				t.Run(tt.call+from, func(t *testing.T) {
					t.Parallel()
					outcomes := map[string]int{}
					for _, n := range points[tt.call] {
						what := fmt.Sprintf("%s %d%s returns %s", tt.call, n, from, tt.errno)
						w := k.run(t, patience, storagetest.Fail(tt.call, "error="+tt.errno, n, from != "")...)
						if from == "" && !w.done {
							t.Errorf("%s: the worker gave up", what)
						}
						outcomes[k.afterwards(t, w, what)]++
					}
					t.Logf("%s%s returns %s at %v: the tick was left %v", tt.call, from, tt.errno, points[tt.call], outcomes)
				})
			}
		}
	})
}

// afterwards opens what the worker has left, at a time when the slot is late but
// not missed, and looks at it when its tick has run. It returns how the worker
// has left the tick.
func (k *killer) afterwards(t *testing.T, w worked, what string) string {
	t.Helper()
	left := killedIn(t, w.dir, what)
	if w.done && left != "done" {
		t.Errorf("G1: %s: the tick was done, and is %s", what, left)
	}
	synctest.Test(t, func(t *testing.T) {
		ran := 0
		eng, err := killEngine(w.dir, 1200*time.Millisecond, func() { ran++ }, actors.Options{Testing: actors.Testing{NoSync: true}})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := eng.Close(t.Context()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if want := map[bool]int{true: 0, false: 1}[left == "done"]; ran != want {
			t.Errorf("%s: the tick was left %s, and has then run %d times", what, left, ran)
		}
	})
	if end := killedIn(t, w.dir, what); end != "done" {
		t.Errorf("%s: the slot is lost: its tick is %s", what, end)
	}
	return left
}

// killedIn is in what state the tick lies in the directory: pending, claimed, or
// done, each with the trigger where it must be then.
func killedIn(t *testing.T, dir, what string) (state string) {
	t.Helper()
	lookInto(t, dir, what, func(r storage.Reader) {
		trigger, ok, err := r.System().Trigger("x")
		slots, err2 := r.System().Slots("x", 10)
		tick, known, err3 := r.System().Get(storage.TickID("x", killSlot))
		next, pending, err4 := r.System().Get(trigger.NextJob)
		beats, err5 := allBeats(r)
		if err := errors.Join(err, err2, err3, err4, err5); err != nil || !ok || !known || !pending {
			t.Fatalf("%s: the trigger is there: %v, the slot's tick: %v, the next one: %v, %v", what, ok, known, pending, err)
		}
		done := 0
		for _, b := range beats {
			if b.Trigger == "x" && b.Slot.Equal(killSlot) {
				done++
			}
		}
		state = "pending"
		switch {
		case tick.State.Ended():
			state = "done"
		case tick.ID != next.ID:
			state = "claimed"
		}
		fired := len(slots) == 1 && slots[0].From.Equal(killSlot) && slots[0].Outcome == storage.SlotFired && slots[0].Job == tick.ID
		switch {
		case next.State != storage.StatePending || !next.Slot.Equal(trigger.Next),
			state == "pending" && (!trigger.Next.Equal(killSlot) || len(slots) > 0 || done != 0),
			state == "claimed" && (!trigger.Next.After(killSlot) || !fired || done != 0),
			state == "done" && (!trigger.Next.After(killSlot) || !fired || done != 1 || tick.State != storage.StateSuccess):
			t.Errorf("%s: the tick is %s and took effect %d times:\ntrigger %+v\nslots %+v\ntick %+v\nnext %+v", what, state, done, trigger, slots, tick, next)
		}
	})
	return state
}
