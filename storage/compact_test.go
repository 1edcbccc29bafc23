package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"carillon/storage"
	"carillon/storage/internal/boltfile"
	"carillon/storage/storagetest"
)

func init() {
	workers["compact"] = func() error {
		runtime.LockOSThread() // for good: strace counts the calls of each thread
		_, err := storage.Compact(context.Background(), os.Getenv("CARILLON_STORAGE_DIR"), storage.CompactOptions{})
		return err
	}
}

// isSealed says whether each value of the store's volume has a checksum: it says so itself,
// and then a value that has none is damaged.
func isSealed(tb testing.TB, dir string, i int) (sealed bool) {
	tb.Helper()
	file, err := boltfile.Open(volume(dir, i), boltfile.Options{ReadOnly: true})
	must(tb, err)
	defer file.Close()
	must(tb, file.CheckPages())
	pin, err := file.Begin()
	must(tb, err)
	defer pin.Close()
	must(tb, pin.Read(func(snap *boltfile.Snapshot) error {
		sealed = snap.Get(boltfile.Meta, []byte("plain")) == nil
		return nil
	}))
	return sealed && hasFormat(tb, volume(dir, i), 2)
}

// TestG26_ACompactedStoreShowsWhatItDid: of either format, clean or with a part in its log
// only, it has what it had, every value has a checksum, and it can be worked with.
func TestG26_ACompactedStoreShowsWhatItDid(t *testing.T) {
	for _, format := range []string{"v1", "v2"} {
		dir := mustUnpack(t, format)
		if format == "v1" && isSealed(t, dir, 0) {
			t.Error("the fixture of the first format is sealed")
		}
		want := string(mustReadFixture(t, format, "contents.txt"))
		for range 2 {
			done, err := storage.Compact(t.Context(), dir, storage.CompactOptions{})
			if err != nil || len(done) != 1 || done[0].Volume != "volume-000.db" || done[0].After > done[0].Before+4096 {
				t.Errorf("%s: %+v, %v", format, done, err)
			}
			if !isSealed(t, dir, 0) {
				t.Errorf("%s: there are values without a checksum", format)
			}
			s := mustOpen(t, dir, withDingbats)
			if got := contents(t, s); got != want {
				t.Errorf("%s: the store shows\n%s\nwant\n%s", format, got, want)
			}
			if err := s.Check(); err != nil {
				t.Error(err)
			}
			must(t, s.Abort())
		}
		s := mustOpen(t, dir, withDingbats)
		mustAdd(t, s, "acme", "later")
		mustClose(t, s)
	}
}

// TestG26_CompactingMakesAStoreSmaller: the room of what was deleted is given back, in each
// volume, and backups go on.
func TestG26_CompactingMakesAStoreSmaller(t *testing.T) {
	storagetest.NeedsFiles(t, "which are compacted")
	synctest.Test(t, compactingMakesAStoreSmaller)
}

func compactingMakesAStoreSmaller(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, fourVolumes)
	mustFillVolumes(t, s)
	mustUpdate(t, mustApp(t, s, "app-1"), func(w storage.Writer) {
		for i := range 2000 {
			if _, err := dingbats.Insert(w, Dingbat{Name: strings.Repeat("x", 500), Count: i}); err != nil {
				t.Fatal(err)
			}
		}
	})
	must(t, s.Checkpoint())
	must(t, s.Delete("app-1"))
	synctest.Wait() // until what is deleted is cleared away
	mustClose(t, s)
	s = mustOpen(t, dir, fourVolumes)
	_, at := mustBackup(t, s, "")
	want := s.Rows()
	mustClose(t, s)
	var said []string
	done, err := storage.Compact(t.Context(), dir, storage.CompactOptions{Progress: func(doing string, done, total int64) {
		if done > total {
			t.Errorf("%s: %d of %d", doing, done, total)
		}
		if !slices.Contains(said, doing) {
			said = append(said, doing)
		}
	}})
	var gain int64
	for i, c := range done {
		gain += c.Before - c.After
		if c.After > c.Before {
			t.Errorf("volume %d: %+v", i, c)
		}
	}
	if err != nil || len(done) != 4 || gain < 1<<20 {
		t.Errorf("%+v, %v, smaller by %d", done, err, gain)
	}
	if got := strings.Join(said, ", "); got != "verifying the store, applying the log, rewriting volume-000.db, rewriting volume-001.db, rewriting volume-002.db, rewriting volume-003.db" {
		t.Errorf("it said: %s", got)
	}
	s = mustOpen(t, dir, fourVolumes)
	wantRows(t, s, want)
	if _, more := mustBackup(t, s, at.Position); more.Since != at.Position {
		t.Errorf("a backup does not go on behind it: %+v", more)
	}
}

// mustUncompacted is a store of three volumes, of which each has something in the log only, and
// what it shows. There is no air in its files, so that copies of it take little room.
func mustUncompacted(tb testing.TB) (u unclean, want map[string]string) {
	tb.Helper()
	u = mustUnclean(tb, 4)
	for i := range 3 {
		file, err := boltfile.Open(volume(u.dir, i), boltfile.Options{ReadOnly: true})
		must(tb, err)
		used, err := file.Used()
		must(tb, errors.Join(err, file.Close(), os.Truncate(volume(u.dir, i), used)))
	}
	read, err := storage.Open(u.dir, storage.Options{ReadOnly: true})
	must(tb, err)
	want = read.Rows()
	must(tb, read.Close())
	return u, want
}

// TestG24_CompactRefusesDamage: of a value, a page or the log, in the last volume, too: it
// names the place and changes nothing.
func TestG24_CompactRefusesDamage(t *testing.T) {
	for name, tt := range map[string]struct {
		harm func(t *testing.T, u unclean)
		want string
	}{
		"a page": {func(t *testing.T, u unclean) {
			file, err := boltfile.Open(volume(u.dir, 2), boltfile.Options{ReadOnly: true})
			must(t, err)
			pin, err := file.Begin()
			must(t, err)
			var page int64
			must(t, pin.Read(func(snap *boltfile.Snapshot) error { page = snap.PageOf(boltfile.Data, nil); return nil }))
			pin.Close()
			must(t, file.Close())
			mustDamage(t, volume(u.dir, 2), page*4096+8, 0xff)
		}, "volume-002.db"},
		"the log": {func(t *testing.T, u unclean) { u.spoil(t, 2, 2) }, "volume-002.db"},
	} {
		t.Run(name, func(t *testing.T) {
			u, _ := mustUncompacted(t)
			tt.harm(t, u)
			before := filesOf(t, u.dir)
			done, err := storage.Compact(t.Context(), u.dir, storage.CompactOptions{})
			if !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), tt.want) || len(done) > 0 {
				t.Errorf("%v, %v, want ErrCorrupt of %s", done, err, tt.want)
			}
			if after := filesOf(t, u.dir); !maps.Equal(after, before) {
				t.Error("it has changed something")
			}
		})
	}
	t.Run("a value", func(t *testing.T) {
		dir := everyKind(t)
		mustDamageValues(t, dir, boltfile.Data, func(_, value []byte) bool { return bytes.Contains(value, []byte("well")) })
		before := filesOf(t, dir)
		done, err := storage.Compact(t.Context(), dir, storage.CompactOptions{})
		if !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "app well: ") || len(done) > 0 {
			t.Errorf("%v, %v, want ErrCorrupt of app well", done, err)
		}
		if after := filesOf(t, dir); !maps.Equal(after, before) {
			t.Error("it has changed something")
		}
	})
}

// TestG23_CompactLeavesAStoreInUse: what another has open, for reading, too, is refused, and
// left as it is; so is what is no store, and one whose caller has given up.
func TestG23_CompactLeavesAStoreInUse(t *testing.T) {
	u, want := mustUncompacted(t)
	read, err := storage.Open(u.dir, storage.Options{ReadOnly: true})
	must(t, err)
	if _, err := storage.Compact(t.Context(), u.dir, storage.CompactOptions{}); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("read by another: %v", err)
	}
	must(t, read.Close())
	s, err := storage.Open(u.dir, threeVolumes)
	must(t, err)
	if _, err := storage.Compact(t.Context(), u.dir, storage.CompactOptions{}); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("open: %v", err)
	}
	must(t, s.Close())
	if _, err := storage.Compact(t.Context(), t.TempDir(), storage.CompactOptions{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("no store: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done, err := storage.Compact(ctx, u.dir, storage.CompactOptions{Progress: func(doing string, _, _ int64) {
		if doing == "rewriting volume-001.db" {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || len(done) != 1 {
		t.Errorf("canceled: %+v, %v", done, err)
	}
	wantCompacted(t, u.dir, want)
}

// wantCompacted opens the store after a Compact that may not have ended: it has all, and
// nothing is left over.
func wantCompacted(tb testing.TB, dir string, want map[string]string) {
	tb.Helper()
	s, err := storage.Open(dir, threeVolumes)
	if err != nil {
		tb.Fatal(err)
	}
	wantRows(tb, s, want)
	if err := errors.Join(s.Health(), s.Check(), s.Close()); err != nil {
		tb.Error(err)
	}
	for name := range filesOf(tb, dir) {
		if strings.Contains(name, "compacting") {
			tb.Errorf("%s is left over", name)
		}
	}
}

// compactUnder runs a Compact of a copy of the store under strace.
func compactUnder(t *testing.T, from unclean, options []string) (dir string, out string, err error) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "store")
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.CopyFS(dir, os.DirFS(from.dir)))
	cmd := storagetest.FindStrace(t).Command(t.Context(), options, os.Args[0])
	cmd.Env = workerEnv("compact", "CARILLON_STORAGE_DIR="+dir)
	said, err := cmd.CombinedOutput()
	if storagetest.Refused(string(said)) {
		t.Skipf("strace may not trace: %s", said)
	}
	return dir, string(said), err
}

// TestG20_ACompactThatIsKilled: one that is killed at any of its calls that change the disk
// leaves a store that has all that it had.
func TestG20_ACompactThatIsKilled(t *testing.T) {
	made, want := mustUncompacted(t)
	renames := 0
	for _, call := range append([]string{"renameat", "unlinkat"}, storagetest.DiskCalls...) {
		step := 1
		if slices.Contains(storagetest.DiskCalls, call) && !storagetest.All() {
			step = 6
		}
		for n, ended := 1, false; !ended && !t.Failed(); n += step {
			t.Run(fmt.Sprintf("%s-%d", call, n), func(t *testing.T) {
				dir, out, err := compactUnder(t, made, storagetest.Kill(call, n))
				if ended = err == nil; !ended && !storagetest.Killed(err) {
					t.Fatalf("%v: %s", err, out)
				}
				if !ended && call == "renameat" {
					renames++
				}
				wantCompacted(t, dir, want)
			})
		}
	}
	if renames < 3 {
		t.Errorf("it was killed at %d renames", renames)
	}
}

// TestG15_ACompactOnAFullDisk: one that has no room from any call on says so, and leaves a
// store that has all that it had.
func TestG15_ACompactOnAFullDisk(t *testing.T) {
	made, want := mustUncompacted(t)
	failed := 0
	for _, call := range []string{"pwrite64", "ftruncate"} {
		step := 1
		if !storagetest.All() {
			step = 4
		}
		for n, ended := 1, false; !ended && !t.Failed(); n += step {
			t.Run(fmt.Sprintf("%s-%d", call, n), func(t *testing.T) {
				dir, out, err := compactUnder(t, made, storagetest.Fail(call, "error=ENOSPC", n, true))
				if ended = err == nil; !ended {
					failed++
				}
				if !ended && !strings.Contains(out, "no space left") {
					t.Errorf("%v: %s", err, out)
				}
				wantCompacted(t, dir, want)
			})
		}
	}
	if failed < 6 {
		t.Errorf("it failed %d times", failed)
	}
}
