package storage_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carillon/storage"
	"carillon/storage/storagetest"
)

func init() {
	workers["salvage"] = func() error {
		_, err := storage.Salvage(os.Getenv("CARILLON_STORAGE_DIR"), true, testNow)
		return err
	}
}

// lostIn is which volumes a salvage says have lost something.
func lostIn(found []storage.Remains) (lost string) {
	for i, r := range found {
		if r.Lost != "" {
			lost += fmt.Sprint(i)
		}
	}
	return lost
}

// files are the digests of what is in the store's directory, without locks.
func (u unclean) files(tb testing.TB) (all string) {
	tb.Helper()
	for _, pattern := range []string{"*.db", "log*/*.log"} {
		names, err := filepath.Glob(filepath.Join(u.dir, pattern))
		must(tb, err)
		for _, name := range names {
			all += name + " " + digest(tb, name) + "\n"
		}
	}
	return all
}

// wantSalvaged opens the store after a salvage: of each volume it shows so many jobs, it takes
// new ones, and it says of each loss once, also after it was opened again.
func (u unclean) wantSalvaged(t *testing.T, lost string, jobs [3]int) {
	t.Helper()
	for life := range 2 {
		s, err := storage.Open(u.dir, threeVolumes)
		if err != nil {
			t.Fatalf("after a salvage, life %d: %v", life, err)
		}
		if err := errors.Join(s.Check(), s.Health()); err != nil {
			t.Error(err)
		}
		said := ""
		losses, err := s.Losses()
		must(t, err)
		for _, l := range losses {
			said += strings.TrimSuffix(strings.TrimPrefix(l.Volume, "volume-00"), ".db")
			if !l.At.Equal(testNow) || l.What == "" {
				t.Errorf("loss %+v", l)
			}
		}
		if said != lost {
			t.Errorf("it says that volumes %q have lost something, want %q: %v", said, lost, losses)
		}
		for i := range 3 {
			if n := u.found(t, s, i); n != jobs[i] {
				t.Errorf("volume %d shows %d jobs, want %d", i, n, jobs[i])
			}
			if err := commitOne(t, mustApp(t, s, u.apps[i])); err != nil {
				t.Errorf("volume %d: %v", i, err)
			}
		}
		if life == 0 {
			u.wantWarned(t, s, lost)
			must(t, s.Abort())
		} else {
			if err := s.Warnings(); err != nil {
				t.Errorf("acknowledged, and opened anew: %v", err)
			}
			must(t, s.Close())
		}
	}
	found, err := storage.Salvage(u.dir, true, testNow.Add(1e9))
	if err != nil || lostIn(found) != "" {
		t.Errorf("a second salvage: %+v, %v", found, err)
	}
}

// wantWarned sees that the store warns of each loss, until it is acknowledged.
func (u unclean) wantWarned(t *testing.T, s *storage.Store, lost string) {
	t.Helper()
	warned := fmt.Sprint(s.Warnings())
	if n := strings.Count(warned, "DATA WAS LOST"); n != len(lost) {
		t.Errorf("it warns %d times, want %d: %s", n, len(lost), warned)
	}
	for _, v := range lost {
		if !strings.Contains(warned, fmt.Sprintf("volume-00%c.db: accepted %s", v, testNow.Format(time.RFC3339))) {
			t.Errorf("volume %c is not warned of, with the instant: %s", v, warned)
		}
	}
	for _, want := range []int{len(lost), 0} {
		if n, err := s.AcknowledgeLosses(); err != nil || n != want {
			t.Errorf("%d acknowledged, %v, want %d", n, err, want)
		}
	}
	if err := s.Warnings(); err != nil {
		t.Errorf("acknowledged: %v", err)
	}
	losses, err := s.Losses()
	if must(t, err); len(losses) != len(lost) {
		t.Errorf("acknowledged, the losses are %v", losses)
	}
}

// TestG24_ALogThatCannotBeOpenedIsSetAside: the store goes on without a log whose blocks
// cannot be read, or that is another store's; it is kept under another name, byte for byte, as
// are those of earlier times.
func TestG24_ALogThatCannotBeOpenedIsSetAside(t *testing.T) {
	strace := storagetest.FindStrace(t)
	u := mustUnclean(t, 12)
	logs := func(dir string) (all string) {
		names, err := filepath.Glob(filepath.Join(u.dir, dir, "*.log"))
		must(t, err)
		for _, name := range names {
			all += filepath.Base(name) + " " + digest(t, name) + "\n"
		}
		return all
	}
	var options []string
	names, err := filepath.Glob(filepath.Join(u.dir, "log", "*.log"))
	must(t, err)
	for _, name := range names {
		options = append(options, "-P", name)
	}
	first := logs("log")
	cmd := strace.Command(t.Context(), append(options, storagetest.Fail("pread64", "error=EIO", 1, true)...), os.Args[0])
	cmd.Env = workerEnv("salvage", "CARILLON_STORAGE_DIR="+u.dir)
	out, err := cmd.CombinedOutput()
	if storagetest.Refused(string(out)) {
		t.Skipf("strace may not trace here: %s", out)
	}
	if err != nil {
		t.Fatalf("salvage of a log that cannot be read: %v: %s", err, out)
	}
	if got := logs("log.lost-1"); got != first || first == "" {
		t.Errorf("what is set aside is\n%s\nit was\n%s", got, first)
	}
	u.wantSalvaged(t, "012", [3]int{})
	must(t, os.RemoveAll(filepath.Join(u.dir, "log")))
	must(t, os.CopyFS(filepath.Join(u.dir, "log"), os.DirFS(filepath.Join(mustUnclean(t, 2).dir, "log"))))
	second := logs("log")
	found, err := storage.Salvage(u.dir, true, testNow)
	if err != nil || len(found) != 3 || !strings.Contains(found[0].Lost, "set aside as log.lost-2") {
		t.Errorf("the log of another store: %+v, %v", found, err)
	}
	if logs("log.lost-1") != first || logs("log.lost-2") != second {
		t.Error("what was set aside is not what it was")
	}
}

// TestG24_SalvageGivesUpWhatIsLost: of a log that is damaged, gone, or of another life, a
// salvage says what can be applied and what is lost, and changes nothing. If it is told to
// accept that, the store opens with what could be applied, and says what was lost.
func TestG24_SalvageGivesUpWhatIsLost(t *testing.T) {
	log := func(u unclean) string { return filepath.Join(u.dir, "log") }
	for name, tt := range map[string]struct {
		harm func(t *testing.T, u unclean)
		lost string
		jobs [3]int
	}{
		"nothing":          {func(*testing.T, unclean) {}, "", [3]int{12, 12, 12}},
		"a record":         {func(t *testing.T, u unclean) { u.spoil(t, 1, 5) }, "1", [3]int{12, 5, 12}},
		"a record of each": {func(t *testing.T, u unclean) { u.spoil(t, 0, 3); u.spoil(t, 1, 0); u.spoil(t, 2, 9) }, "012", [3]int{3, 0, 9}},
		"no log":           {func(t *testing.T, u unclean) { must(t, os.RemoveAll(log(u))) }, "012", [3]int{}},
		"an empty log": {func(t *testing.T, u unclean) {
			must(t, os.RemoveAll(log(u)))
			must(t, os.Mkdir(log(u), 0o700))
		}, "012", [3]int{}},
		"the log of another store": {func(t *testing.T, u unclean) {
			must(t, os.RemoveAll(log(u)))
			must(t, os.CopyFS(log(u), os.DirFS(log(mustUnclean(t, 2)))))
		}, "012", [3]int{}},
		"a file of another life": {func(t *testing.T, u unclean) {
			// The store goes on twice from here; the file of volume 1 is of the other life.
			other := u
			other.dir = t.TempDir()
			must(t, os.CopyFS(other.dir, os.DirFS(u.dir)))
			for i, dir := range []string{u.dir, other.dir} {
				s, err := storage.Open(dir, threeVolumes)
				must(t, err)
				for range 3 + i {
					must(t, commitOne(t, mustApp(t, s, u.apps[1])))
				}
				must(t, s.Close())
			}
			data, err := os.ReadFile(volume(other.dir, 1))
			must(t, err)
			must(t, os.WriteFile(volume(u.dir, 1), data, 0o600))
		}, "1", [3]int{12, 12, 12}},
	} {
		t.Run(name, func(t *testing.T) {
			u := mustUnclean(t, 12)
			tt.harm(t, u)
			before := u.files(t)
			found, err := storage.Salvage(u.dir, false, testNow)
			if err != nil || lostIn(found) != tt.lost {
				t.Errorf("%+v, %v, want a loss in %q", found, err, tt.lost)
			}
			if after := u.files(t); after != before {
				t.Errorf("it was to change nothing: %s\nit was %s", after, before)
			}
			again, err := storage.Salvage(u.dir, true, testNow)
			if err != nil || lostIn(again) != tt.lost {
				t.Errorf("accepted: %+v, %v, want a loss in %q", again, err, tt.lost)
			}
			u.wantSalvaged(t, tt.lost, tt.jobs)
		})
	}
}

// TestG24_SalvageLeavesAStoreInUse: what another has open is refused, and left as it is.
func TestG24_SalvageLeavesAStoreInUse(t *testing.T) {
	u := mustUnclean(t, 1)
	s, err := storage.Open(u.dir, threeVolumes)
	must(t, err)
	for _, accept := range []bool{false, true} {
		if _, err := storage.Salvage(u.dir, accept, testNow); !errors.Is(err, storage.ErrLocked) {
			t.Errorf("accept %v: %v, want ErrLocked", accept, err)
		}
	}
	must(t, s.Close())
	if _, err := storage.Salvage(t.TempDir(), true, testNow); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("no store: %v", err)
	}
}

// TestG24_ASalvageThatIsKilled: one that is killed at any of its disk calls is run again, and
// ends as if it had not been.
func TestG24_ASalvageThatIsKilled(t *testing.T) {
	strace := storagetest.FindStrace(t)
	made := mustUnclean(t, 4)
	made.spoil(t, 1, 2)
	for _, call := range []string{"pwrite64", "fdatasync"} {
		for when := 1; ; when++ {
			u := made
			u.dir = filepath.Join(t.TempDir(), "store")
			must(t, os.CopyFS(u.dir, os.DirFS(made.dir)))
			cmd := strace.Command(t.Context(), storagetest.Kill(call, when), os.Args[0])
			cmd.Env = workerEnv("salvage", "CARILLON_STORAGE_DIR="+u.dir)
			killed := cmd.Run() != nil
			if killed {
				if _, err := storage.Salvage(u.dir, true, testNow); err != nil {
					t.Fatalf("after %s %d: %v", call, when, err)
				}
			}
			u.wantSalvaged(t, "1", [3]int{4, 2, 4})
			if !killed {
				if when < 4 {
					t.Errorf("it made %d %s", when-1, call)
				}
				break
			}
		}
	}
}

// TestG24_SalvageKeepsLogLines: of the lines of an attempt those are kept that were stored before what
// is lost, and are counted.
func TestG24_SalvageKeepsLogLines(t *testing.T) {
	u := mustUnclean(t, 4)
	s, err := storage.Open(u.dir, threeVolumes)
	must(t, err)
	app := mustApp(t, s, u.apps[0])
	var job storage.Job
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		mustInsert(t, tx.JobWriter(), storage.Job{ID: "logged", Function: "a:x", Due: testNow})
		job = mustClaim(t, tx, "logged")
	})
	for _, text := range []string{"before", u.token(0, 99)} {
		mustTx(t, app, testNow, func(tx *storage.Tx) {
			if ok, err := tx.SaveLog(&job, logOf(1, text)); !ok || err != nil {
				t.Fatal(ok, err)
			}
		})
	}
	must(t, s.Abort())
	u.spoil(t, 0, 99)
	found, err := storage.Salvage(u.dir, true, testNow)
	if must(t, err); lostIn(found) != "0" {
		t.Fatalf("it finds %+v", found)
	}
	s = mustOpen(t, u.dir, threeVolumes)
	wantLogs(t, s, mustApp(t, s, u.apps[0]), "logged", "1before")
}
