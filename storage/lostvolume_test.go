package storage_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"carillon/storage"
)

// writeOn commits many times what the log may hold in the app of another volume.
func (u unclean) writeOn(t *testing.T, s *storage.Store, volume int) {
	t.Helper()
	app := mustApp(t, s, u.apps[volume])
	for i := range 600 {
		if err := commitLarge(t, app, 16<<10); err != nil {
			t.Fatalf("volume %d, commit %d: %v", volume, i, err)
		}
		synctest.Wait() // a checkpoint is as fast as the commits
	}
}

// TestG24_ALostVolumeDoesNotHoldTheLogBack: while a volume is lost, be it by its file or by its part of the log, the
// others write many times what the log may hold, over several lives. Its part of the log takes
// no more room than before, and is all there when its file is, or to be salvaged.
func TestG24_ALostVolumeDoesNotHoldTheLogBack(t *testing.T) {
	for name, tt := range map[string]struct {
		harm    func(t *testing.T, u unclean)               // before the store is opened
		opened  func(t *testing.T, u unclean) (undo func()) // while it is open
		salvage bool
	}{
		"file damaged": {harm: func(t *testing.T, u unclean) {
			must(t, os.Truncate(volume(u.dir, 1), 4096*4))
		}},
		"log damaged": {harm: func(t *testing.T, u unclean) { u.spoil(t, 1, 5) }, salvage: true},
		"file gone meanwhile": {opened: func(t *testing.T, u unclean) func() {
			must(t, os.Rename(volume(u.dir, 1), volume(u.dir, 1)+".away"))
			return func() { must(t, os.Rename(volume(u.dir, 1)+".away", volume(u.dir, 1))) }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := mustUnclean(t, 12)
				file, err := os.ReadFile(volume(u.dir, 1))
				must(t, err)
				if tt.harm != nil {
					tt.harm(t, u)
				}
				for life := range 3 {
					s, err := storage.Open(u.dir, threeVolumes)
					if err != nil {
						t.Fatal(err)
					}
					undo := func() {}
					if tt.opened != nil {
						undo = tt.opened(t, u)
						if err := commitOne(t, mustApp(t, s, u.apps[1])); !errors.Is(err, storage.ErrUnavailable) {
							t.Fatal(err)
						}
					}
					u.writeOn(t, s, 2*(life%2))
					if _, err := s.App(u.apps[1]); err == nil {
						t.Error("it is not lost")
					}
					if n := logSize(t, u.dir); n > 8<<20 {
						t.Errorf("a log of 4 MiB, 4 segments for claims, 8 to spare, has %d bytes", n)
					}
					end := s.Close
					if life == 1 {
						end = s.Abort
					}
					_ = end() // of the one that is lost
					undo()
				}
				moved, err := filepath.Glob(filepath.Join(u.dir, "log", "*-1.apart"))
				if err != nil || tt.opened == nil && len(moved) != 1 {
					t.Errorf("moved apart: %v, %v", moved, err)
				}
				if tt.salvage {
					found, err := storage.Salvage(u.dir, true, testNow)
					if err != nil || !strings.Contains(found[1].Lost, "7 records") || found[0].Lost+found[2].Lost != "" {
						t.Errorf("salvaged: %v, %v", found, err)
					}
				} else {
					must(t, os.WriteFile(volume(u.dir, 1), file, 0o600))
				}
				s, err := storage.Open(u.dir, threeVolumes)
				if err != nil {
					t.Fatal(err)
				}
				want := u.jobs
				if tt.salvage {
					want = 5
				}
				if n := u.found(t, s, 1); n != want {
					t.Errorf("it shows %d of %d jobs", n, want)
				}
				if err := s.Check(); err != nil {
					t.Error(err)
				}
				if err := commitOne(t, mustApp(t, s, u.apps[1])); err != nil {
					t.Error(err)
				}
				must(t, s.Checkpoint())
				if err := commitOne(t, mustApp(t, s, u.apps[1])); err != nil {
					t.Error(err)
				}
				mustClose(t, s)
				if moved, _ := filepath.Glob(filepath.Join(u.dir, "log", "*.apart")); len(moved) > 0 {
					t.Errorf("it was copied, and there is %v", moved)
				}
			})
		})
	}
}

// TestG24_AFullLogOpensWithoutTheLost: a log that is full when the store is opened, and of
// what a lost volume needs, is no reason to refuse the others.
func TestG24_AFullLogOpensWithoutTheLost(t *testing.T) {
	opts := threeVolumes
	opts.LogLength, opts.LogSegment = 64<<20, 64<<10
	u := mustUncleanWith(t, 1100, opts) // each takes a block
	file, err := os.ReadFile(volume(u.dir, 1))
	must(t, err)
	must(t, os.Truncate(volume(u.dir, 1), 4096*4))
	opts.LogLength = 1 << 20
	for range 3 {
		s, err := storage.Open(u.dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range []int{0, 2} {
			if n := u.found(t, s, i); n != u.jobs {
				t.Errorf("volume %d shows %d of %d jobs", i, n, u.jobs)
			}
			if err := commitOne(t, mustApp(t, s, u.apps[i])); err != nil {
				t.Error(err)
			}
		}
		must(t, s.Close())
	}
	must(t, os.WriteFile(volume(u.dir, 1), file, 0o600))
	s, err := storage.Open(u.dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	if n := u.found(t, s, 1); n != u.jobs {
		t.Errorf("it shows %d of %d jobs", n, u.jobs)
	}
	mustClose(t, s)
}
