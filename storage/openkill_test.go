package storage_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"carillon/storage"
	"carillon/storage/storagetest"
)

func init() {
	workers["reopen"] = func() error {
		runtime.LockOSThread() // for good, lest it become a committer's
		opts := withDingbats
		opts.Volumes, opts.LogMemory, opts.LogSegment, opts.Fault = 2, 64<<10, 32<<10, storagetest.OwnThreads()
		s, err := storage.Open(os.Getenv("CARILLON_STORAGE_DIR"), opts)
		if err != nil {
			return err
		}
		return s.Close()
	}
}

// mustMakeTail makes a store whose log has all that was ever written to it.
func mustMakeTail(t *testing.T, dir string) {
	t.Helper()
	opts := withDingbats
	opts.Volumes, opts.LogSegment, opts.NoSync = 2, 32<<10, true
	s, err := storage.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		app := mustApp(t, s, storage.AppID(fmt.Sprint("app", i)))
		mustFillApp(t, app)
		for j := range 40 {
			mustUpdate(t, app, func(w storage.Writer) {
				if _, err := dingbats.Insert(w, Dingbat{Name: strings.Repeat("bell", 500), Count: j}); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
	if err := s.Abort(); err != nil {
		t.Fatal(err)
	}
}

// TestG1_KilledWhileItIsOpened: a process is killed at each of its disk calls while it
// makes a store of the first format one of the second, or brings a long tail of the log,
// for which its layers have no room, into the files, and closes them. What it leaves shows
// all that there was, to those who only read it, too.
func TestG1_KilledWhileItIsOpened(t *testing.T) {
	strace := storagetest.FindStrace(t)
	for name, lay := range map[string]func(t *testing.T, dir string){
		"upgrade": func(t *testing.T, dir string) {
			if err := os.CopyFS(dir, os.DirFS(mustUnpack(t, "v1"))); err != nil {
				t.Fatal(err)
			}
		},
		"replay": mustMakeTail,
	} {
		t.Run(name, func(t *testing.T) {
			made := t.TempDir()
			lay(t, made)
			run := func(options []string) (dir string, killed bool) {
				t.Helper()
				dir = filepath.Join(t.TempDir(), "store")
				if err := os.CopyFS(dir, os.DirFS(made)); err != nil {
					t.Fatal(err)
				}
				cmd := strace.Command(t.Context(), options, os.Args[0])
				cmd.Env = workerEnv("reopen", "CARILLON_STORAGE_DIR="+dir)
				out, err := cmd.CombinedOutput()
				switch killed = storagetest.Killed(err); {
				case storagetest.Refused(string(out)):
					t.Skipf("strace may not trace: %s", out)
				case err != nil && !killed:
					t.Fatalf("the worker under strace %v: %v\n%s", options, err, out)
				}
				return dir, killed
			}
			show := func(dir string, opts storage.Options) string {
				t.Helper()
				opts.Tables, opts.NoSync, opts.Volumes = withDingbats.Tables, true, 1
				s, err := storage.Open(dir, opts)
				if err != nil {
					t.Fatal(err)
				}
				text := contents(t, s)
				if err := errors.Join(s.Check(), s.Close()); err != nil {
					t.Error(err)
				}
				return text
			}
			want := show(made, storage.Options{ReadOnly: true})
			log := filepath.Join(t.TempDir(), "log")
			run(storagetest.Count(log))
			counts, err := storagetest.ReadCounts(log, storagetest.Whole)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("disk calls: %+v", counts)
			kills, tried := 0, 0
			for _, call := range storagetest.DiskCalls {
				tried += points(counts.Points(call), 8, func(n int) {
					dir, killed := run(storagetest.Kill(call, n))
					if killed {
						kills++
					}
					for _, readOnly := range []bool{true, false, true} {
						if got := show(dir, storage.Options{ReadOnly: readOnly}); got != want {
							t.Errorf("killed at %s %d, read-only %v: it shows\n%.500s\nwant\n%.500s", call, n, readOnly, got, want)
						}
					}
					os.RemoveAll(dir)
				})
			}
			t.Logf("killed at %d of %d points", kills, tried)
			if kills < tried*2/3 {
				t.Errorf("killed at %d of %d points", kills, tried)
			}
		})
	}
}
