package storage_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage"
)

// smallLog is a store of two volumes whose log is full after 1 MiB.
func smallLog(f *faults) storage.Options {
	return storage.Options{Volumes: 2, LogLength: 1 << 20, NoSync: true, Tables: withDingbats.Tables, Fault: f.at}
}

// inVolumes returns an app in each of the two volumes.
func inVolumes(tb testing.TB, s *storage.Store) (apps [2]*storage.App) {
	tb.Helper()
	for i, id := range []storage.AppID{"a", "b"} {
		apps[i] = mustApp(tb, s, id)
		if err := commitOne(tb, apps[i]); err != nil {
			tb.Fatal(err)
		}
	}
	return apps
}

// logSize is how many bytes the files of the store's log have.
func logSize(tb testing.TB, dir string) (n int64) {
	tb.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "log"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			tb.Fatal(err)
		}
		n += info.Size()
	}
	return n
}

// noise is text that the log does not make smaller.
func noise(size int) string {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte('a' + rand.IntN(26))
	}
	return string(b)
}

// commitLarge commits a document of the size.
func commitLarge(tb testing.TB, app *storage.App, size int) error {
	tb.Helper()
	tx := app.Begin(testNow)
	if _, err := dingbats.Insert(tx.Writer(), Dingbat{Name: "x", Count: size}); err != nil {
		tx.Rollback(nil)
		return err
	}
	if _, err := tx.JobWriter().InsertJob(storage.Job{Function: "a:x", Due: testNow, Args: []byte(`"` + noise(size) + `"`)}); err != nil {
		tx.Rollback(nil)
		return err
	}
	done := make(chan error, 1)
	if err := tx.Commit(func(err error) { done <- err }); err != nil {
		tb.Fatal(err)
	}
	return <-done
}

// TestG23_AQuietVolumeDoesNotHoldTheLogBack: while one volume is quiet the others write many
// times what the log may hold.
func TestG23_AQuietVolumeDoesNotHoldTheLogBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, f := t.TempDir(), newFaults()
		s, err := storage.Open(dir, smallLog(f))
		if err != nil {
			t.Fatal(err)
		}
		apps := inVolumes(t, s)
		for i := range 800 {
			if err := commitLarge(t, apps[0], 16<<10); err != nil {
				t.Fatalf("commit %d: %v", i, err)
			}
			synctest.Wait() // a checkpoint is as fast as the commits
		}
		if err := commitOne(t, apps[1]); err != nil {
			t.Error(err)
		}
		if n := logSize(t, dir); n > 2<<20 {
			t.Errorf("a log of 1 MiB, 4 segments for claims, 8 to spare: %d bytes", n)
		}
		mustClose(t, s)
	})
}

// TestG23_AFullLogIsNoDeadEnd: while a disk takes nothing but the log, what it has no room for
// is refused, also over many lives of the process. When the disk is in order again all go on
// by themselves, and nothing that was acknowledged is lost.
func TestG23_AFullLogIsNoDeadEnd(t *testing.T) {
	for _, point := range []string{"checkpoint", "checkpointed"} {
		for _, lives := range []int{1, 80} {
			t.Run(fmt.Sprint(point, " fails for ", lives, " lives"), func(t *testing.T) {
				l := fullLog{dir: t.TempDir(), faults: newFaults(), point: point}
				if lives == 1 {
					synctest.Test(t, func(t *testing.T) { l.mend(t, l.fill(t, 1)) })
					return
				}
				// In real time: it is much for the runtime's bubble, in which a goroutine that
				// could run was left alone for minutes here, once in some hundred runs.
				if s := l.fill(t, lives); s != nil {
					if err := s.Abort(); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Test(t, func(t *testing.T) { l.mend(t, nil) })
			})
		}
	}
}

// fullLog is a store whose disk takes nothing but the log.
type fullLog struct {
	dir    string
	faults *faults
	point  string // of checkpoints, which fails
	acked  [2]int // jobs of both volumes
}

// fill fills the log in so many lives, and returns the store of the last one; nil if that
// could not be opened.
func (l *fullLog) fill(t *testing.T, lives int) *storage.Store {
	dir, f := l.dir, l.faults
	s, err := storage.Open(dir, smallLog(f))
	if err != nil {
		t.Fatal(err)
	}
	apps := inVolumes(t, s)
	f.fail(l.point, errDisk)
	acked, full := [2]int{1, 1}, false
	for life := 1; ; life++ {
		for i, app := range apps {
			for err := error(nil); s != nil && err == nil; {
				if err = commitLarge(t, app, 16<<10); err == nil {
					acked[i]++
				} else if !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, errDisk) && !strings.Contains(err.Error(), "is full") {
					t.Fatalf("volume %d: %v, want ErrUnavailable and why", i, err)
				}
			}
		}
		if life == lives {
			break
		}
		if s != nil {
			if err := s.Abort(); err != nil {
				t.Fatal(err)
			}
		}
		if s, err = storage.Open(dir, smallLog(f)); err != nil {
			if !errors.Is(err, errDisk) {
				t.Fatal(err)
			}
			s, full = nil, true
			continue
		}
		for i, id := range []storage.AppID{"a", "b"} {
			apps[i] = mustApp(t, s, id)
		}
	}
	if acked[0] < 2 || lives > 1 && !full {
		t.Fatalf("too few, or the log was not full: %d", acked)
	}
	l.acked = acked
	return s
}

// mend puts the disk in order. The store is opened if it is nil.
func (l *fullLog) mend(t *testing.T, s *storage.Store) {
	l.faults.fail(l.point, nil)
	if s == nil {
		var err error
		if s, err = storage.Open(l.dir, smallLog(l.faults)); err != nil {
			t.Fatalf("a store with a full log: %v", err)
		}
	}
	time.Sleep(time.Minute) // until the next checkpoint is tried
	for i, id := range []storage.AppID{"a", "b"} {
		app := mustApp(t, s, id)
		if n := app.Pending(); n != l.acked[i] {
			t.Errorf("%s has %d jobs, %d were acknowledged", id, n, l.acked[i])
		}
		if err := commitLarge(t, app, 16<<10); err != nil {
			t.Errorf("%s, the disk is in order: %v", id, err)
		}
	}
	mustClose(t, s)
}
