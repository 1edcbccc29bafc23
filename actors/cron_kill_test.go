package actors_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// killBase is the wall time at which the trigger of the kill test is made. Its
// first slot comes a second later.
var killBase = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// idleCalls is how many disk calls the committer's thread makes in vain before
// its first commit. strace counts by thread, so a count above it is a call of the
// committer, and none of the threads that open and close the files comes so far.
const idleCalls = 100

// ownThread is a fault hook that gives the committer a thread of its own.
func ownThread() func(string) error {
	var once sync.Once
	return func(string) error {
		once.Do(func() {
			runtime.LockOSThread()
			fd, err := syscall.Open("/dev/null", syscall.O_WRONLY, 0)
			if err != nil {
				panic(err)
			}
			for range idleCalls {
				if _, err := syscall.Pwrite(fd, []byte{0}, 0); err != nil {
					panic(err)
				}
			}
		})
		return nil
	}
}

// killEngine opens an engine on the directory at killBase + after. Each tick
// writes a document and then tells ran, unless that is nil.
func killEngine(tb testing.TB, dir string, after time.Duration, ran chan<- time.Time, fault func(string) error) *actors.Engine {
	tb.Helper()
	began := time.Now()
	reg := dispatch.NewRegistry()
	cronNote.Handle(reg, func(ctx *dispatch.MutationCtx, b beat) (dispatch.None, error) {
		_, err := cronBeats.Insert(ctx.DB, beat{Trigger: ctx.Tick.Trigger, Slot: ctx.Tick.Slot, Attempt: ctx.Job.Attempt})
		if ran != nil {
			ran <- ctx.Tick.Slot
		}
		return dispatch.None{}, err
	})
	cronList.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) (beats []beat, err error) {
		for doc, err := range cronBeats.Query(ctx.DB).All() {
			if err != nil {
				return nil, err
			}
			beats = append(beats, doc.Value)
		}
		return beats, nil
	})
	eng, err := actors.Open(dir, actors.Options{
		Functions: reg, Volumes: 1, Fault: fault, Logger: slog.New(slog.DiscardHandler),
		Clock: func() time.Time { return killBase.Add(after + time.Since(began)) },
		Crons: []cron.Trigger{{Name: "x", Schedule: cron.Expr("* * * * * *"), Call: cronNote.With(beat{}), Apps: []storage.AppID{"acme"}}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return eng
}

// TestG20_KillWorker is not a test but the process that TestG20_KilledAtEveryDiskCall
// kills: it opens the directory shortly before a slot and closes it after its tick.
func TestG20_KillWorker(t *testing.T) {
	dir := os.Getenv("CARILLON_KILL_DIR")
	if dir == "" {
		t.Skip("it is run by TestG20_KilledAtEveryDiskCall")
	}
	ran := make(chan time.Time, 100)
	eng := killEngine(t, dir, 800*time.Millisecond, ran, ownThread())
	select {
	case <-ran:
	case <-time.After(10 * time.Second):
		t.Fatal("no tick")
	}
	if err := eng.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// The process is killed at each disk call around a tick: the slot takes effect
// exactly once, and the trigger is never behind or ahead of its job.
func TestG20_KilledAtEveryDiskCall(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a second for each disk call")
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("there is no strace")
	}
	made := t.TempDir()
	eng := killEngine(t, made, 0, nil, nil)
	app, err := eng.App("acme")
	if err != nil {
		t.Fatal(err)
	}
	for {
		infos, err := app.Scheduler(t.Context()).Crons().List()
		if err != nil {
			t.Fatal(err)
		}
		if len(infos) == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := eng.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]int{}
	const calls = "pwrite64,fdatasync,fsync,ftruncate"
	const openCalls = 5 // of the thread that opens the files
	for n := 1; ; n++ {
		if n == openCalls+1 {
			n = idleCalls + 1
		}
		dir := filepath.Join(t.TempDir(), "data")
		if err := os.CopyFS(dir, os.DirFS(made)); err != nil {
			t.Fatal(err)
		}
		worker := exec.CommandContext(t.Context(), strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace="+calls,
			"-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", calls, n), os.Args[0], "-test.run", "^TestG20_KillWorker$")
		worker.Env = append(os.Environ(), "CARILLON_KILL_DIR="+dir)
		out, err := worker.CombinedOutput()
		if err != nil && !killed(worker.ProcessState) {
			if strings.Contains(string(out), "ptrace") {
				t.Skipf("strace may not trace here: %s", out)
			}
			t.Fatalf("call %d: %v\n%s", n, err, out)
		}
		outcomes[afterKill(t, dir, n)]++
		if err == nil {
			if n <= openCalls {
				t.Fatalf("no disk call %d: is the worker traced?", n)
			}
			t.Logf("killed at %d disk calls of commits; attempts that it took: %v", n-idleCalls-1, outcomes)
			// Two commits at least, each with a page, the meta page, and a sync of both.
			if n < idleCalls+8 {
				t.Errorf("only %d disk calls", n-idleCalls-1)
			}
			return
		}
	}
}

func killed(state *os.ProcessState) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && (status.Signaled() && status.Signal() == syscall.SIGKILL || status.ExitStatus() == 128+int(syscall.SIGKILL))
}

// afterKill opens what the n-th kill has left, at a time when the slot is late
// but not missed, and looks at it when its tick has run.
func afterKill(t *testing.T, dir string, n int) string {
	t.Helper()
	eng := killEngine(t, dir, 1200*time.Millisecond, nil, nil)
	defer eng.Close(context.Background())
	app, err := eng.App("acme")
	if err != nil {
		t.Fatal(err)
	}
	if err := eng.Check(); err != nil {
		t.Errorf("call %d: %v", n, err)
	}
	for range 300 {
		beats, err := cronList.Run(app.As(t.Context(), nil), dispatch.None{})
		if err != nil {
			t.Fatal(err)
		}
		if len(beats) == 0 {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if b := beats[0]; len(beats) > 1 || !b.Slot.Equal(killBase.Add(time.Second)) {
			t.Errorf("call %d: ticks %+v", n, beats)
		}
		slots, err := app.Scheduler(t.Context()).Crons().Slots("x", 10)
		if err != nil || len(slots) == 0 || slots[len(slots)-1].Outcome != storage.SlotFired || !slots[len(slots)-1].From.Equal(killBase.Add(time.Second)) {
			t.Errorf("call %d: slots %+v, %v", n, slots, err)
		}
		if err := eng.Check(); err != nil {
			t.Errorf("call %d: %v", n, err)
		}
		return fmt.Sprint(beats[0].Attempt)
	}
	t.Errorf("call %d: the slot is lost", n)
	return "lost"
}
