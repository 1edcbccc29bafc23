package osdir_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"carillon/storage/internal/osdir"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestMakeMakesAll: directories are made with those above them, for their owner only, and
// one that is there is left as it is.
func TestMakeMakesAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 {
		if err := osdir.Make(dir); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dir)
		if err != nil || !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
			t.Fatalf("%v, %v", info, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := osdir.Make(filepath.Join(dir, "file", "d")); err == nil {
		t.Error("a directory was made in a file")
	}
}

// TestG23_ALockHasOneHolder: a directory is locked once, and a file once or shared by as
// many as will; what is given back can be had.
func TestG23_ALockHasOneHolder(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		release, err := osdir.Lock(dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := osdir.Lock(dir, 0); !errors.Is(err, osdir.ErrLocked) {
			t.Errorf("locked twice: %v", err)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
	}
	open := func() *os.File {
		f, err := os.OpenFile(filepath.Join(dir, "file"), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	one, two, three := open(), open(), open()
	if err := errors.Join(osdir.LockFile(one, true), osdir.LockFile(two, true)); err != nil {
		t.Fatal(err)
	}
	if err := osdir.LockFile(three, false); !errors.Is(err, osdir.ErrLocked) {
		t.Errorf("locked while it is shared: %v", err)
	}
	if err := errors.Join(one.Close(), two.Close(), osdir.LockFile(three, false)); err != nil {
		t.Fatal(err)
	}
	if err := osdir.LockFile(open(), true); !errors.Is(err, osdir.ErrLocked) {
		t.Errorf("shared while it is locked: %v", err)
	}
}

// lockEnv names, to the process that the test below starts, the directory to lock.
const lockEnv = "CARILLON_OSDIR_LOCK"

// TestG23_ALockEndsWithItsProcess: another process is kept out, and its death gives its
// lock back.
func TestG23_ALockEndsWithItsProcess(t *testing.T) {
	if dir := os.Getenv(lockEnv); dir != "" {
		if _, err := osdir.Lock(dir, 0); err != nil {
			os.Exit(3)
		}
		_, _ = os.Stdout.WriteString("locked\n")
		time.Sleep(time.Minute) // until it is killed
	}
	dir := t.TempDir()
	other := func() *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), lockEnv+"="+dir)
		return cmd
	}
	holder := other()
	out, err := holder.StdoutPipe()
	if err == nil {
		err = holder.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	if _, err := osdir.Lock(dir, 0); !errors.Is(err, osdir.ErrLocked) {
		t.Errorf("locked beside another process: %v", err)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait()
	release, err := osdir.Lock(dir, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := other().Run(); err == nil {
		t.Error("another process has locked it too")
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}

// TestG23_ALockIsAwaited: it is tried until the timeout is over, and no longer, and what
// fails otherwise fails at once.
func TestG23_ALockIsAwaited(t *testing.T) {
	other := errors.New("another error")
	for _, tt := range []struct {
		held  time.Duration
		then  error
		after time.Duration
		want  error
	}{
		{0, nil, 0, nil},
		{0, other, 0, other},
		{time.Second, nil, time.Second, nil},
		{time.Second + 1, nil, time.Second, osdir.ErrLocked},
		{25 * time.Millisecond, other, 30 * time.Millisecond, other},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			err := osdir.Await(time.Second, func() error {
				if time.Since(began) < tt.held {
					return osdir.ErrLocked
				}
				return tt.then
			})
			if !errors.Is(err, tt.want) || tt.want == nil && err != nil || time.Since(began) != tt.after {
				t.Errorf("held for %v: %v after %v, want %v after %v", tt.held, err, time.Since(began), tt.want, tt.after)
			}
		})
	}
}
