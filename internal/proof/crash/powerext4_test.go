package crash_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"carillon/internal/proof"
	"carillon/storage/storagetest"
)

// This file cuts a real file system off from its disk: ext4 in a file, which an
// ioctl has stop at once, without writing back what was not synced.

// ext4Shutdown is FS_IOC_SHUTDOWN, and its argument for not even flushing the log.
const (
	ext4Shutdown   = 0x8004587d
	ext4NoLogFlush = 2
)

// ext4Size has room for two volumes, which are 16 MiB of holes at first.
const ext4Size = 128 << 20

// loopFS is an ext4 file system in a file.
type loopFS struct {
	image, dir string
}

// newLoopFS makes one and mounts it, or skips the test where that is not possible.
func newLoopFS(t *testing.T) *loopFS {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not root: no file system can be mounted")
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skip("mkfs.ext4 is not installed")
	}
	base := t.TempDir()
	l := &loopFS{image: filepath.Join(base, "image"), dir: filepath.Join(base, "mounted")}
	if err := errors.Join(os.WriteFile(l.image, nil, 0o600), os.Truncate(l.image, ext4Size), os.Mkdir(l.dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "mkfs.ext4", "-q", "-F", l.image).CombinedOutput(); err != nil {
		t.Skipf("mkfs.ext4: %v: %s", err, out)
	}
	if err := l.mount(t.Context()); err != nil {
		t.Skipf("no loop mount here: %v", err)
	}
	t.Cleanup(func() { _ = l.unmount() })
	return l
}

func (l *loopFS) mount(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "mount", "-o", "loop", l.image, l.dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// unmount waits until nothing holds the file system any more.
func (l *loopFS) unmount() (err error) {
	for range 100 {
		if err = syscall.Unmount(l.dir, 0); !errors.Is(err, syscall.EBUSY) {
			return err
		}
		time.Sleep(10 * time.Millisecond) // the kernel does not tell
	}
	return err
}

// shutdown cuts the file system off.
func (l *loopFS) shutdown() error {
	f, err := os.Open(l.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	how := uint32(ext4NoLogFlush)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		return errno
	}
	return nil
}

// firstWord keeps what is written to it and tells when that begins.
type firstWord struct {
	said bytes.Buffer
	once sync.Once
	came chan struct{}
}

func (f *firstWord) Write(p []byte) (int, error) {
	f.once.Do(func() { close(f.came) })
	return f.said.Write(p)
}

// crash has a worker live on the file system, which stops after the delay, and
// returns what the worker has said.
func (l *loopFS) crash(t *testing.T, delay time.Duration) trace {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestG1_Worker$")
	cmd.Env = append(os.Environ(), workerDir+"="+filepath.Join(l.dir, "data"),
		workerFrom+"="+workerBase.Format(time.RFC3339Nano), workerBad+"=1", "GORACE=atexit_sleep_ms=0")
	out := firstWord{came: make(chan struct{})}
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-out.came: // it is at work
	case <-ctx.Done():
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	<-timer.C
	if err := l.shutdown(); err != nil {
		t.Skipf("the file system cannot be cut off: %v", err)
	}
	if err := cmd.Wait(); err != nil && !storagetest.Killed(err) {
		t.Fatalf("the worker: %v", err)
	}
	journal, err := parseTrace(out.said.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return journal
}

// A file system that stops at any moment, with what it had not written back:
// mounted again, it has all that anybody was told.
func TestG1_PowerLossExt4(t *testing.T) {
	tally := proof.NewTally(t, "power loss, ext4")
	l := newLoopFS(t)
	began := time.Now()
	for i := 0; i < proof.Pick(4, 1000, 1_000_000) && time.Since(began) < workerBudget(); i++ {
		delay := time.Duration(rand.Int64N(int64(600 * time.Millisecond)))
		journal := l.crash(t, delay)
		if err := errors.Join(l.unmount(), l.mount(t.Context())); err != nil {
			t.Fatal(err)
		}
		data := filepath.Join(l.dir, "data")
		remains{
			what:    fmt.Sprintf("cut off %v after its first word, time %d", delay, i+1),
			journal: journal, deaths: 1, bad: true,
			place: func(dir string) error {
				err := os.CopyFS(dir, os.DirFS(data))
				if errors.Is(err, fs.ErrNotExist) {
					return nil // not even the directory
				}
				return err
			},
		}.verify(t, tally)
		if err := os.RemoveAll(data); err != nil {
			t.Fatal(err)
		}
	}
}
