package actors_test

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/storagetest"
)

// This file is what the tests share that kill a process around a tick.

const killApp = storage.AppID("acme")

// killFunctions are those of the process. Each tick writes a document, and then calls ran.
func killFunctions(ran func()) *dispatch.Registry {
	reg := dispatch.NewRegistry()
	cronNote.Handle(reg, func(ctx *dispatch.MutationCtx, b beat) (dispatch.None, error) {
		_, err := cronBeats.Insert(ctx.DB, beat{Trigger: ctx.Tick.Trigger, Slot: ctx.Tick.Slot, Job: string(ctx.Job.ID), Attempt: ctx.Job.Attempt})
		ran()
		return dispatch.None{}, err
	})
	cronTouch.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
		_, err := cronBeats.Insert(ctx.DB, beat{Word: "touch"})
		return dispatch.None{}, err
	})
	cronList.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) ([]beat, error) { return allBeats(ctx.DB) })
	return reg
}

// killWorker is a test that is the process if the variable of the environment says in
// which directory. It closes the engine when a tick has run and is durably done, which it
// says, or when its patience is over.
func killWorker(t *testing.T, variable string, patience time.Duration, open func(dir string, ran func()) (*actors.Engine, error), done func(context.Context, dispatch.Caller) bool) {
	dir := os.Getenv(variable)
	if dir == "" {
		t.Skip("another test runs it")
	}
	runtime.LockOSThread() // for good, lest it become the committer's
	ran := make(chan struct{}, 1000)
	eng, err := open(dir, func() { ran <- struct{}{} })
	if err != nil {
		t.Skip(err)
	}
	app, err := eng.App(killApp)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for over := false; !over && ctx.Err() == nil; {
		select {
		case <-ran:
			caller := app.As(ctx, nil)
			if over = touched(ctx, caller) && done(ctx, caller); over {
				os.Stdout.WriteString("the tick is done\n")
			}
		case <-ctx.Done():
		}
	}
	_ = eng.Close(ctx) // fails if the disk does
}

// touched waits for a mutation: what has its turn after a tick has is answered when the
// tick is decided.
func touched(ctx context.Context, caller dispatch.Caller) bool {
	for {
		if _, err := cronTouch.Run(caller, dispatch.None{}); err == nil {
			return true
		} else if ctx.Err() != nil {
			return false
		}
	}
}

// straced runs a worker under strace with the options. It says whether the tick was
// done, and whether the worker was killed.
func straced(t *testing.T, strace storagetest.Strace, options []string, worker string, env ...string) (done, killed bool) {
	t.Helper()
	cmd := strace.Command(t.Context(), options, os.Args[0], "-test.run", "^"+worker+"$")
	cmd.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=0"), env...)
	out, err := cmd.CombinedOutput()
	switch killed = storagetest.Killed(err); {
	case storagetest.Refused(string(out)):
		t.Skipf("strace may not trace: crashes at disk calls are not tested: %s", out)
	case err != nil && !killed:
		t.Fatalf("the worker under strace %v: %v\n%s", options, err, out)
	}
	return bytes.Contains(out, []byte("the tick is done\n")), killed
}

// lookInto checks the store in the directory and reads of its app.
func lookInto(t *testing.T, dir, what string, read func(storage.Reader)) {
	t.Helper()
	// A process that is started meanwhile would have a copy of what is open here, and
	// with it the directory's lock, until it has begun; in a bubble afterwards nothing
	// waits for that.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	s, err := storage.Open(dir, storage.Options{Volumes: 1, NoSync: true})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer s.Close()
	if err := s.Check(); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	app, err := s.App(killApp)
	if err != nil {
		t.Fatal(err)
	}
	snap, err := app.Snapshot(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	read(snap.Reader())
}
