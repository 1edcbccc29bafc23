//go:build linux

package actors_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// TestG23_AFullDisk fills a real file system, that of a mount of its own (root only),
// while jobs are due and nobody calls. The log has a line for each change of state, no
// attempt is spent, and all jobs run once there is room again.
func TestG23_AFullDisk(t *testing.T) {
	mount, err := os.MkdirTemp("", "full")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(mount) })
	if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, "size=4m"); err != nil {
		t.Skip("mount: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(mount, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	dir := filepath.Join(mount, "data")
	var log lines
	k := newKit()
	var eng *actors.Engine
	eng, err = actors.Open(dir, actors.Options{Functions: k.reg, Volumes: 1, Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := eng.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	app, _ := eng.App("acme")
	var ids []storage.JobID
	for i := range 20 {
		id := must[storage.JobID](t)(app.Scheduler(t.Context()).RunAfter(time.Second, addEntry.With(fmt.Sprint(i)), dispatch.NoRetry()))
		ids = append(ids, id)
	}
	filler := filepath.Join(mount, "filler")
	f, err := os.Create(filler)
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	f.Close()
	// Large documents need pages that there are not.
	var failed error
	for range 50 {
		if _, failed = addEntry.Run(app.As(t.Context(), nil), strings.Repeat("x", 200_000)); failed != nil {
			break
		}
	}
	wantOneOf(t, failed, dispatch.CodeUnknown, dispatch.CodeUnavailable)
	time.Sleep(3 * time.Second)
	if n := log.with("\n"); n > 30 {
		t.Errorf("the log has %d lines: %s", n, log.buf.String())
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		for job := (storage.Job{}); job.State != storage.StateSuccess; time.Sleep(20 * time.Millisecond) {
			var err error
			if job, _, err = app.Scheduler(t.Context()).Get(id); err == nil && job.State.Ended() && job.State != storage.StateSuccess {
				t.Fatalf("job %s is %s", id, job.State)
			}
		}
	}
}

func wantOneOf(tb testing.TB, err error, codes ...dispatch.Code) {
	tb.Helper()
	for _, code := range codes {
		if err != nil && dispatch.AsError(err).Code == code {
			return
		}
	}
	tb.Errorf("got %v, want one of %v", err, codes)
}
