package storage_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"carillon/storage"
	"carillon/storage/storagetest"
)

// unclean is a store of three volumes whose process was killed: of each app the log has
// what the files do not.
type unclean struct {
	dir  string
	apps [3]storage.AppID // of each volume one
	jobs int              // of each app
}

var threeVolumes = storage.Options{Volumes: 3, NoSync: true, LogLength: 4 << 20, Tables: withDingbats.Tables}

// mustUnclean makes such a store. Each app has committed, in turn with the others, so many
// jobs whose arguments name the app and the job.
func mustUnclean(tb testing.TB, jobs int) unclean {
	tb.Helper()
	return mustUncleanWith(tb, jobs, threeVolumes)
}

// mustUncleanWith is mustUnclean with other options.
func mustUncleanWith(tb testing.TB, jobs int, opts storage.Options) unclean {
	tb.Helper()
	u := unclean{dir: tb.TempDir(), jobs: jobs}
	s, err := storage.Open(u.dir, opts)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range 6 {
		if err := commitOne(tb, mustApp(tb, s, storage.AppID(fmt.Sprint("app", i)))); err != nil {
			tb.Fatal(err)
		}
	}
	u.apps = homes(tb, s)
	if err := s.Checkpoint(); err != nil {
		tb.Fatal(err)
	}
	var apps [3]*storage.App
	for i, id := range u.apps {
		apps[i] = mustApp(tb, s, id)
	}
	for n := range jobs {
		for i, app := range apps {
			mustUpdateJobs(tb, app, func(w storage.JobWriter) {
				mustInsert(tb, w, storage.Job{Function: "a:x", Due: testNow, Args: fmt.Appendf(nil, "%q", u.token(i, n))})
			})
		}
	}
	if err := s.Abort(); err != nil {
		tb.Fatal(err)
	}
	return u
}

// token is in the arguments of a job.
func (u unclean) token(volume, n int) string { return fmt.Sprintf("volume %d job %04d", volume, n) }

// spoil flips a byte of the record of the volume's n-th job in the log, and returns where.
func (u unclean) spoil(tb testing.TB, volume, n int) (file string, at int64) {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(u.dir, "log", "*.log"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		if i := strings.Index(string(data), u.token(volume, n)); i >= 0 {
			mustDamage(tb, name, int64(i), data[i]^1)
			return filepath.Base(name), int64(i)
		}
	}
	tb.Fatalf("the log does not have %s", u.token(volume, n))
	return "", 0
}

// found is how many of the app's jobs are there.
func (u unclean) found(tb testing.TB, s *storage.Store, volume int) (n int) {
	tb.Helper()
	app, err := s.App(u.apps[volume])
	if err != nil {
		tb.Fatalf("app of volume %d: %v", volume, err)
	}
	mustRead(tb, app, func(r storage.Reader) {
		for job, err := range r.System().All(storage.JobFilter{}) {
			if err != nil {
				tb.Fatal(err)
			}
			if strings.HasPrefix(string(job.Args), fmt.Sprintf(`"volume %d job `, volume)) {
				n++
			}
		}
	})
	return n
}

// records is how often the log's files have a token of the volume.
func (u unclean) records(tb testing.TB, volume int) (n int) {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(u.dir, "log", "*.log"))
	if err != nil {
		tb.Fatal(err)
	}
	token := regexp.MustCompile(fmt.Sprintf("volume %d job [0-9]{4}", volume))
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		n += len(token.FindAll(data, -1))
	}
	return n
}

// TestG24_DamageOfTheLogIsOneVolumes: a flipped byte in a record of an unclean log loses the
// volume whose record it is, with an error that names the file and the offset. The others are
// served, checked, copied and closed; to the lost volume nothing is written, and its part of
// the log stays, also when it is opened again.
func TestG24_DamageOfTheLogIsOneVolumes(t *testing.T) {
	for lost := range 3 {
		u := mustUnclean(t, 12)
		file, at := u.spoil(t, lost, 5)
		before, records := digest(t, volume(u.dir, lost)), u.records(t, lost)
		place := regexp.MustCompile(fmt.Sprintf(`log/%s: offset (\d+): record \d+ of volume %d is not what was written`, file, lost))
		wantLost := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, storage.ErrCorrupt) {
				t.Errorf("%s: %v, want ErrCorrupt", what, err)
				return
			}
			var offset int64
			if m := place.FindStringSubmatch(err.Error()); m != nil {
				fmt.Sscan(m[1], &offset)
			}
			if offset == 0 || offset > at || at-offset > 8192 {
				t.Errorf("%s: %v, want the place, %s offset %d or before", what, err, file, at)
			}
		}
		for life := range 3 {
			s, err := storage.Open(u.dir, threeVolumes)
			if err != nil {
				t.Fatalf("volume %d is damaged: %v", lost, err)
			}
			_, err = s.App(u.apps[lost])
			wantLost("app", err)
			wantLost("health", s.Health())
			wantLost("check", s.Check())
			if n := strings.Count(s.Check().Error(), "\n"); n > 0 {
				t.Errorf("the check of the others: %v", s.Check())
			}
			for i := range 3 {
				if i == lost {
					continue
				}
				if n := u.found(t, s, i); n != u.jobs {
					t.Errorf("volume %d shows %d of %d jobs", i, n, u.jobs)
				}
				if err := commitOne(t, mustApp(t, s, u.apps[i])); err != nil {
					t.Errorf("volume %d: %v", i, err)
				}
			}
			end := s.Close
			if life == 0 {
				end = s.Abort
			}
			if err := end(); err != nil {
				t.Errorf("closing: %v", err)
			}
			if digest(t, volume(u.dir, lost)) != before || u.records(t, lost) < records-1 {
				t.Errorf("the lost volume has changed, or its part of the log: %d records, it had %d", u.records(t, lost), records)
			}
		}
		s, err := storage.Open(u.dir, storage.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		wantLost("read only", s.Health())
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestG24_ALogThatIsGone: a store without its log, or with another one, is refused, and told
// what to do; nothing is changed. Without files of it in the middle it loses the volumes that
// have missed something.
func TestG24_ALogThatIsGone(t *testing.T) {
	storagetest.NeedsFiles(t, "one of which is removed")
	for name, tt := range map[string]struct {
		harm func(t *testing.T, log string)
		want string
	}{
		"removed": {func(t *testing.T, log string) { must(t, os.RemoveAll(log)) }, "the log ends before record"},
		"emptied": {func(t *testing.T, log string) {
			must(t, os.RemoveAll(log))
			must(t, os.Mkdir(log, 0o700))
		}, "the log ends before record"},
		"of another store": {func(t *testing.T, log string) {
			other := mustUnclean(t, 1)
			if filepath.Dir(log) == other.dir {
				t.Fatal("it is the same")
			}
			dir := t.TempDir()
			s := mustOpen(t, dir, storage.Options{})
			mustApp(t, s, "a")
			mustClose(t, s)
			must(t, os.RemoveAll(log))
			must(t, os.CopyFS(log, os.DirFS(filepath.Join(dir, "log"))))
		}, "belongs to another store"},
	} {
		t.Run(name, func(t *testing.T) {
			u := mustUnclean(t, 3)
			tt.harm(t, filepath.Join(u.dir, "log"))
			before := [3]string{}
			for i := range before {
				before[i] = digest(t, volume(u.dir, i))
			}
			for _, readOnly := range []bool{true, false} {
				opts := threeVolumes
				opts.ReadOnly = readOnly
				s, err := storage.Open(u.dir, opts)
				if err == nil {
					must(t, s.Close())
				}
				if !errors.Is(err, storage.ErrFormat) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "carillon store salvage") {
					t.Errorf("read only %v: %v, want ErrFormat, that %s, and what to do", readOnly, err, tt.want)
				}
			}
			for i := range before {
				if digest(t, volume(u.dir, i)) != before[i] {
					t.Errorf("volume %d was changed", i)
				}
			}
		})
	}
}

// TestG24_AFileOfTheLogIsGone: without one of its files in the middle of a log, the volumes
// that have missed something are lost, and no other is.
func TestG24_AFileOfTheLogIsGone(t *testing.T) {
	u := mustUnclean(t, 75)
	names, err := filepath.Glob(filepath.Join(u.dir, "log", "*.log"))
	if err != nil || len(names) < 4 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	type sized struct {
		name  string
		first int
	}
	var in []sized
	for _, name := range names {
		data, err := os.ReadFile(name)
		must(t, err)
		if m := regexp.MustCompile(`volume 0 job ([0-9]{4})`).FindSubmatch(data); m != nil {
			n := 0
			fmt.Sscanf(string(m[1]), "%d", &n)
			in = append(in, sized{name, n})
		}
	}
	slices.SortFunc(in, func(a, b sized) int { return a.first - b.first })
	if len(in) < 3 {
		t.Fatalf("only %d files have records", len(in))
	}
	must(t, os.Remove(in[1].name))
	s, err := storage.Open(u.dir, threeVolumes)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := s.App(u.apps[i]); !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "cannot be read") {
			t.Errorf("volume %d: %v, want ErrCorrupt", i, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestG23_AStoreThatWasNeverCopiedNeedsItsLog: the log of a store that lived for moments only
// has all of it, and the store is refused without.
func TestG23_AStoreThatWasNeverCopiedNeedsItsLog(t *testing.T) {
	dir := t.TempDir()
	s, err := storage.Open(dir, storage.Options{Volumes: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := commitOne(t, mustApp(t, s, "a")); err != nil {
		t.Fatal(err)
	}
	must(t, s.Abort())
	must(t, os.RemoveAll(filepath.Join(dir, "log")))
	mustRefuse(t, dir, storage.Options{Volumes: 1}, storage.ErrFormat, "log")
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
