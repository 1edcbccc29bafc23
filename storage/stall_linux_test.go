package storage_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage"
	"carillon/storage/storagetest"
)

// TestG23_AFullDiskUnderAFile: while the file of a volume cannot be written, and the log can,
// its changes are committed and shown, until it has no room for more in memory; then they are
// refused with the reason. It is opened anew for none of that. The other volume is served. When the
// disk has room the volume goes on by itself, and its file has all.
func TestG23_AFullDiskUnderAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, f, log := t.TempDir(), newFaults(), &logs{}
		f.fail("reopen", errors.New("a volume was opened anew"))
		opts := smallLog(f)
		opts.LogLength, opts.LogMemory, opts.Logger = 0, 1<<20, log.logger()
		s, err := storage.Open(dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		apps, jobs := inVolumes(t, s), 1
		time.Sleep(time.Minute)
		restore := storagetest.Redirect(t, filepath.Join(dir, "volume-000.db"), "/dev/full")
		for time.Sleep(time.Second); s.Warnings() == nil; time.Sleep(time.Second) {
			if err := commitOne(t, apps[0]); err != nil {
				t.Fatal(err)
			}
			jobs++
		}
		if err := s.Warnings(); !strings.Contains(err.Error(), "volume-000.db") || strings.Contains(err.Error(), "volume-001.db") {
			t.Errorf("it warns of %v", err)
		}
		for err = nil; err == nil; {
			if err = s.Health(); err != nil {
				t.Errorf("while all is committed: %v", err)
			}
			if err = commitLarge(t, apps[0], 16<<10); err == nil {
				jobs++
			}
			synctest.Wait()
		}
		if jobs < 25 || jobs > 40 {
			t.Errorf("%d commits had room in 512 KiB", jobs)
		}
		if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrUnknownOutcome) || !strings.Contains(err.Error(), "volume-000.db") {
			t.Errorf("one that has no room: %v, want ErrUnavailable and why", err)
		}
		if err := errors.Join(commitOne(t, apps[1]), apps[0].Reload()); err != nil {
			t.Error(err)
		}
		if err := commitLarge(t, apps[0], 16<<10); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("another one: %v, want ErrUnavailable", err)
		}
		if err := s.Health(); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("health while commits are refused: %v", err)
		}
		if n := mustApp(t, s, "a").Pending(); n != jobs {
			t.Errorf("it shows %d jobs, %d were acknowledged", n, jobs)
		}
		restore()
		time.Sleep(30 * time.Second)
		if err := errors.Join(s.Warnings(), s.Health(), apps[0].Reload(), commitLarge(t, apps[0], 16<<10), commitOne(t, apps[1])); err != nil {
			t.Errorf("the disk has room: %v", err)
		}
		jobs++
		for _, said := range []string{"volume file cannot be written", "volume file is written again"} {
			if n := strings.Count(strings.Join(log.lines(), ""), said); n != 1 {
				t.Errorf("the log says %d times that the %s: %q", n, said, log.lines())
			}
		}
		mustClose(t, s)
		s, err = storage.Open(dir, storage.Options{ReadOnly: true, Tables: withDingbats.Tables})
		if err != nil {
			t.Fatal(err)
		}
		if n := s.Uncopied(); n != 0 {
			t.Errorf("after the close %d records are in the log only", n)
		}
		if n := mustApp(t, s, "a").Pending(); n != jobs {
			t.Errorf("opened anew it shows %d jobs, %d were acknowledged", n, jobs)
		}
		mustClose(t, s)
	})
}

// TestG23_AFullDiskUnderFilesAndLog: when neither can be written for a while commits are
// refused or of unknown outcome, and when both can be again all go on.
func TestG23_AFullDiskUnderFilesAndLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, f := t.TempDir(), newFaults()
		s, err := storage.Open(dir, smallLog(f))
		if err != nil {
			t.Fatal(err)
		}
		apps, jobs := inVolumes(t, s), 1
		f.fail("checkpoint", errDisk)
		for range 3 {
			f.fail("commit", nil)
			for range 10 {
				if err := commitOne(t, apps[0]); err != nil {
					t.Fatal(err)
				}
				jobs++
				time.Sleep(time.Second)
			}
			if err := s.Warnings(); !errors.Is(err, errDisk) {
				t.Errorf("it warns of %v", err)
			}
			f.fail("commit", errDisk)
			for range 10 {
				if err := commitOne(t, apps[0]); !errors.Is(err, errDisk) {
					t.Errorf("a commit that neither takes: %v", err)
				}
				time.Sleep(time.Second)
				_ = apps[0].Reload() // not while the volume is down
			}
			time.Sleep(time.Minute)
			f.fail("commit", nil)
			if err := apps[0].Reload(); err != nil {
				t.Fatal(err)
			}
		}
		f.fail("checkpoint", nil)
		time.Sleep(time.Minute)
		if err := errors.Join(s.Warnings(), s.Health(), commitOne(t, apps[0])); err != nil {
			t.Error(err)
		}
		if n := mustApp(t, s, "a").Pending(); n != jobs+1 {
			t.Errorf("it shows %d jobs, %d were acknowledged", n, jobs+1)
		}
		mustClose(t, s)
	})
}
