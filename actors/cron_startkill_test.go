package actors_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/storagetest"
)

// startEngine opens an engine on the directory whose program has a trigger AtStart.
func startEngine(dir string, ran func(), opts actors.Options) (*actors.Engine, error) {
	opts.Functions, opts.Volumes, opts.Logger = killFunctions(ran), 1, quiet
	opts.Crons = []dispatch.Trigger{{Name: "boot", AtStart: true, Overlap: storage.OverlapAllow, Call: cronNote.With(beat{}), Apps: []storage.AppID{killApp}}}
	return actors.Open(dir, opts)
}

// TestG20_StartWorker is not a test but the process that the test below kills: it
// opens the directory and closes it when the tick is durably done, which it says.
func TestG20_StartWorker(t *testing.T) {
	open := func(dir string, ran func()) (*actors.Engine, error) {
		return startEngine(dir, ran, actors.Options{Testing: actors.Testing{Fault: storagetest.OwnThreads()}})
	}
	killWorker(t, "CARILLON_START_DIR", time.Minute, open, func(context.Context, dispatch.Caller) bool { return true })
}

// The process is killed at each disk call around its start, and again in the next one:
// no start takes effect twice, and one that has the time takes effect.
func TestG20_KilledAroundAStart(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a second for each disk call")
	}
	strace := storagetest.FindStrace(t)
	run := func(t *testing.T, dir string, options ...string) (done, killed bool) {
		t.Helper()
		return straced(t, strace, options, "TestG20_StartWorker", "CARILLON_START_DIR="+dir)
	}
	made, log := filepath.Join(t.TempDir(), "made"), filepath.Join(t.TempDir(), "log")
	for _, options := range [][]string{nil, storagetest.Count(log)} { // the second one finds the app
		if done, _ := run(t, made, options...); !done {
			t.Fatal("the worker does not run the tick")
		}
	}
	counts, err := storagetest.ReadCounts(log, storagetest.Whole)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("disk calls: %+v", counts)
	killed, left := 0, map[string]int{}
	for _, call := range storagetest.DiskCalls {
		for _, n := range storagetest.Some(10, counts.Points(call)) {
			dir := filepath.Join(t.TempDir(), fmt.Sprint(call, n))
			if err := os.CopyFS(dir, os.DirFS(made)); err != nil {
				t.Fatal(err)
			}
			what, want := fmt.Sprintf("killed at %s %d", call, n), 2
			for range 2 {
				done, dead := run(t, dir, storagetest.Kill(call, n)...)
				if done {
					want++
				}
				if dead {
					killed++
				}
			}
			left[startsIn(t, dir, what, want)]++
			want++
			wall := time.Now()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				clock := func() time.Time { return wall.Add(time.Since(began)) }
				eng, err := startEngine(dir, func() {}, actors.Options{Testing: actors.Testing{NoSync: true, Clock: clock}})
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				time.Sleep(time.Hour)
				if err := eng.Close(t.Context()); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			})
			if end := startsIn(t, dir, what+", and started again", want); end != "nothing is pending" {
				t.Errorf("%s, and started again: %s", what, end)
			}
		}
	}
	t.Logf("%d kills; what they have left: %v", killed, left)
	if killed < 6 || len(left) < 2 {
		t.Errorf("%d kills have left %v, want a tick that is pending, and none", killed, left)
	}
}

// startsIn demands that in the directory each start has taken effect once at most, and
// at least so many have. It says what is left to do.
func startsIn(t *testing.T, dir, what string, atLeast int) (left string) {
	t.Helper()
	lookInto(t, dir, what, func(r storage.Reader) {
		beats, err := allBeats(r)
		if err != nil {
			t.Fatal(err)
		}
		starts := map[string]int{}
		for _, b := range beats {
			if b.Trigger != "" {
				starts[b.Job]++
			}
		}
		for id, n := range starts {
			if n != 1 || !strings.HasPrefix(id, "cron:boot:start:") {
				t.Errorf("%s: the tick %s took effect %d times", what, id, n)
			}
		}
		if len(starts) < atLeast {
			t.Errorf("%s: %d starts took effect, want at least %d", what, len(starts), atLeast)
		}
		left = "nothing is pending"
		for job, err := range r.System().All(storage.JobFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			if !job.State.Ended() {
				left = "a tick is pending"
			}
		}
	})
	return left
}
