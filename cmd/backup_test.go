package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carillon/storage"
)

// positionIn is the position that a backup has printed.
func positionIn(t *testing.T, out string) string {
	t.Helper()
	_, position, ok := strings.Cut(out, "position: ")
	if !ok {
		t.Fatalf("no position in %q", out)
	}
	return strings.TrimSpace(position)
}

// TestBackupOfADirectory: a directory is backed up, restored, and goes on from either form of
// since; what is wrong is said and leaves no file.
func TestBackupOfADirectory(t *testing.T) {
	dir, there := filepath.Join(t.TempDir(), "data"), t.TempDir()
	mustSeed(t, dir, "acme")
	file := func(name string) string { return filepath.Join(there, name) }
	out, err := runs(t, "backup", dir, "--to", file("all"))
	if err != nil || !strings.HasPrefix(out, file("all")+": everything, ") {
		t.Fatalf("backup: %v, %q", err, out)
	}
	for i, since := range []string{file("all"), positionIn(t, out)} {
		name := file(fmt.Sprint("more-", i))
		if out, err := runs(t, "backup", "--data", dir, "--to", name, "--since", since); err != nil || !strings.Contains(out, "0 records that came since") {
			t.Fatalf("backup since %s: %v, %q", since, err, out)
		}
		made := file(fmt.Sprint("made-", i))
		if out, err := runs(t, "restore", "--data", made, file("all"), name); err != nil || !strings.HasPrefix(out, "restored "+made+", apps: ") {
			t.Fatalf("restore: %v, %q", err, out)
		}
		if out, err := runs(t, "check", "--data", made); err != nil || !strings.HasPrefix(out, "ok, ") {
			t.Errorf("check: %v, %q", err, out)
		}
		if _, err := runs(t, "backup", made, "--to", file("of-made"), "--since", file("all")); err != nil {
			t.Error(err)
		} else if err := os.Remove(file("of-made")); err != nil {
			t.Error(err)
		}
	}
	if _, err := runs(t, "restore", "--data", dir, file("all")); !errors.Is(err, storage.ErrExists) {
		t.Errorf("restore into a store: %v", err)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"backup", dir}, "--to is missing"},
		{[]string{"backup", dir, "--to", file("x"), "--server", "http://localhost:1"}, "want either --server or --data"},
		{[]string{"backup", dir, "--to", file("x"), "--since", "nonsense"}, "no position of a backup"},
		{[]string{"backup", dir, "--to", file("x"), "--since", file("missing")}, "no such file"},
		{[]string{"backup", dir, "--to", file("all")}, "exists"},
		{[]string{"backup", dir, dir, "--to", file("x")}, "unexpected argument"},
		{[]string{"backup", file("missing"), "--to", file("x")}, "is no data directory"},
		{[]string{"restore", "--data", file("y")}, "no backup is given"},
		{[]string{"restore", "--data", file("y"), file("more-0")}, "goes on from another one"},
		{[]string{"restore", "--data", file("y"), file("all"), file("all")}, "backup 2: "},
	} {
		if out, err := runs(t, tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("carillon %s: %v, %q, want %q", strings.Join(tt.args, " "), err, out, tt.want)
		}
	}
	for _, name := range []string{"x", "y"} {
		if _, err := os.Stat(file(name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is there: %v", name, err)
		}
	}
}

// TestG26_KillWhileBackingUp: a server is killed while it works and is backed up, again and
// again. What the command said is there can be restored and is sound, has what was
// acknowledged before it began, and the server has left no spool behind when it is back.
func TestG26_KillWhileBackingUp(t *testing.T) {
	binary, dir, there, client := mustBuild(t), filepath.Join(t.TempDir(), "data"), t.TempDir(), mustClient(t)
	var acked atomic.Int64
	whole, cut := 0, 0
	for round := range 2 * kills {
		p := mustStart(t, binary, dir)
		if left, _ := filepath.Glob(filepath.Join(dir, "spool-*")); len(left) > 0 {
			t.Fatalf("there is %v", left)
		}
		ctx, stop := context.WithCancel(t.Context())
		var work sync.WaitGroup
		for range 4 {
			work.Go(func() {
				for ctx.Err() == nil {
					args := fmt.Sprintf(`{"text":"%0*d","afterMs":3600000}`, 200, acked.Load())
					if _, err := query[any](client, p, "reminders:set", args); err == nil {
						acked.Add(1)
					}
				}
			})
		}
		life := time.Duration(100+70*round) * time.Millisecond
		timer := time.AfterFunc(life, func() { _ = p.cmd.Process.Kill() })
		if whole == 0 {
			timer.Stop() // the first server lives until a backup is whole, however slow the machine is
			eventually(t, "a call is acknowledged", func() bool { return acked.Load() > 0 })
		}
		for n := 0; ; n++ {
			file := filepath.Join(there, fmt.Sprintf("%d-%d", round, n))
			site, _, _ := strings.Cut(p.url, "/v1/")
			before := acked.Load()
			if _, err := runs(t, "backup", "--server", site, "--to", file); err != nil {
				cut++
				if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("a backup that failed is there: %v", err)
				}
				break
			}
			if whole++; whole == 1 {
				timer.Reset(life)
			}
			made := file + ".made"
			if out, err := runs(t, "restore", "--data", made, file); err != nil {
				t.Errorf("restore: %v, %q", err, out)
			}
			if got := jobsIn(t, made, "demo", "reminders:fire"); got < int(before) {
				t.Errorf("a backup has %d reminders, %d were acknowledged before", got, before)
			}
		}
		timer.Stop()
		stop()
		work.Wait()
		p.kill()
	}
	t.Logf("%d backups, %d were cut off, %d calls acknowledged", whole, cut, acked.Load())
	if whole == 0 || cut == 0 || acked.Load() == 0 {
		t.Errorf("%d backups, %d were cut off, %d calls acknowledged: all must be", whole, cut, acked.Load())
	}
}

// jobsIn counts the jobs of a function.
func jobsIn(t *testing.T, dir string, id storage.AppID, function string) (n int) {
	t.Helper()
	err := readStore(Stdio{}, dir, func(store *storage.Store) error {
		app, err := store.App(id)
		if err != nil {
			return err
		}
		snap, err := app.Snapshot(time.Now())
		if err != nil {
			return err
		}
		defer snap.Close()
		for job, err := range snap.Reader().System().All(storage.JobFilter{Function: function}) {
			if err != nil {
				return err
			}
			if job.Function == function {
				n++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
