package storage_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage"
	"carillon/storage/internal/kv"
	"carillon/storage/storagetest"
)

// mustDamage changes bytes of a file.
func mustDamage(tb testing.TB, path string, at int64, data ...byte) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt(data, at)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// logs is a logger that keeps its lines.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logs) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(strings.Lines(l.buf.String()))
}

// homes returns, of the apps app0 to app5 of mustStore, one in each volume.
func homes(tb testing.TB, s *storage.Store) (ids [3]storage.AppID) {
	tb.Helper()
	for i := range ids {
		err := s.ReadVolume(i, func(snap *kv.Snapshot) error {
			k, _ := snap.Cursor(kv.Apps).First()
			ids[i] = storage.AppID(k)
			return nil
		})
		if err != nil || ids[i] == "" {
			tb.Fatalf("volume %d: app %q, %v: choose other names", i, ids[i], err)
		}
	}
	return ids
}

// commitOne commits a job in the app and returns how that was answered.
func commitOne(tb testing.TB, app *storage.App) error {
	tb.Helper()
	tx := app.Begin(testNow)
	if _, err := tx.JobWriter().InsertJob(storage.Job{Function: "a:x", Due: testNow}); err != nil {
		tx.Rollback(nil)
		return err
	}
	done := make(chan error, 1)
	if err := tx.Commit(func(err error) { done <- err }); err != nil {
		tb.Fatal(err)
	}
	return <-done
}

// TestG37_AVolumeDamagedWhenOpened: a volume that cannot be used is lost, whichever
// it is: its apps are answered with ErrCorrupt, which names it; those of the others
// are served, and the check and Health name it. If there is no other, Open says so.
func TestG37_AVolumeDamagedWhenOpened(t *testing.T) {
	storagetest.NeedsFiles(t, "which are damaged")
	for i := range 3 {
		dir := mustStore(t, 0)
		s := mustOpen(t, dir, storage.Options{Volumes: 3, Tables: withDingbats.Tables})
		ids := homes(t, s)
		mustClose(t, s)
		if err := os.Truncate(volume(dir, i), 4096*4); err != nil {
			t.Fatal(err)
		}
		before := digest(t, volume(dir, i))
		var log logs
		s, err := storage.Open(dir, storage.Options{Volumes: 5, NoSync: true, Logger: log.logger(), Tables: withDingbats.Tables})
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("volume-%03d.db", i)
		for j, id := range ids {
			app, err := s.App(id)
			if j == i {
				if !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), name+": it is cut off at 16384 of ") {
					t.Errorf("app %s of the damaged volume: %v, want ErrCorrupt that names it", id, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("app %s of volume %d: %v", id, j, err)
			}
			if err := commitOne(t, app); err != nil {
				t.Errorf("app %s of volume %d: %v", id, j, err)
			}
		}
		found, err := s.Apps()
		if !errors.Is(err, storage.ErrCorrupt) || !slices.Contains(found, ids[(i+1)%3]) || slices.Contains(found, ids[i]) {
			t.Errorf("apps: %v, %v", found, err)
		}
		alarms := 0
		if err := s.Alarms(func(storage.AppID, time.Time) bool { alarms++; return true }); !errors.Is(err, storage.ErrCorrupt) || alarms == 0 {
			t.Errorf("alarms: %d, %v", alarms, err)
		}
		for what, err := range map[string]error{"check": s.Check(), "health": s.Health()} {
			if !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v, want ErrCorrupt that names %s", what, err, name)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if after := digest(t, volume(dir, i)); after != before {
			t.Errorf("the damaged file was changed from %s to %s", before, after)
		}
		if lines := log.lines(); len(lines) != 1 || !strings.Contains(lines[0], name) {
			t.Errorf("logged: %q, want one line that names the volume", lines)
		}
	}
	dir := t.TempDir()
	mustClose(t, mustOpen(t, dir, storage.Options{}))
	if err := os.Truncate(volume(dir, 0), 4096*4); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, dir, storage.Options{Volumes: 1}, storage.ErrCorrupt, "volume-000.db")
	mustRefuse(t, dir, storage.Options{Volumes: 2}, storage.ErrCorrupt, "volume-000.db")
}

// leafOf returns the page on which the key of the space lies.
func leafOf(tb testing.TB, s *storage.Store, i int, space kv.Space, key []byte) (page int64) {
	tb.Helper()
	if err := s.Checkpoint(); err != nil {
		tb.Fatal(err)
	}
	err := s.ReadVolume(i, func(snap *kv.Snapshot) error {
		page = snap.PageOf(space, key)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return page
}

// twoApps is a store of one volume with two apps that share no leaf, and a key of
// each.
func twoApps(tb testing.TB, opts storage.Options) (s *storage.Store, dir string, a, b *storage.App) {
	tb.Helper()
	dir = tb.TempDir()
	s = mustOpenLoose(tb, dir, opts)
	a, between := mustApp(tb, s, "a"), mustApp(tb, s, "between")
	b = mustApp(tb, s, "b")
	for _, app := range []*storage.App{a, between, b} {
		for range 100 {
			if err := commitOne(tb, app); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return s, dir, a, b
}

// mustOpenLoose opens a store that is not checked at the end, since it is damaged.
func mustOpenLoose(tb testing.TB, dir string, opts storage.Options) *storage.Store {
	tb.Helper()
	opts.NoSync, opts.Volumes = true, 1
	s, err := storage.Open(dir, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return s
}

// TestG37_ADamagedPageOfOneApp: what reads it, and what would write to it, is
// answered with ErrCorrupt that names app, file and page; certainly nothing was
// changed. Another app of the volume, in the same commit, does not come to know of it.
func TestG37_ADamagedPageOfOneApp(t *testing.T) {
	var log logs
	var gate func()
	opts := storage.Options{Logger: log.logger(), Fault: func(point string) error {
		if point == "commit" && gate != nil {
			gate()
		}
		return nil
	}}
	s, dir, a, b := twoApps(t, opts)
	page := leafOf(t, s, 0, kv.Data, storage.QueueKey(1, testNow.UnixMilli(), 101))
	mustDamage(t, volume(dir, 0), page*4096, make([]byte, 4096)...)
	named := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, storage.ErrCorrupt) || errors.Is(err, storage.ErrUnknownOutcome) || !strings.Contains(err.Error(), "app a: ") ||
			!strings.Contains(err.Error(), fmt.Sprintf("volume-000.db: page %d: ", page)) {
			t.Errorf("%s: %v, want ErrCorrupt that names app, file and page", what, err)
		}
	}
	tx := a.Begin(testNow)
	_, _, _, err := tx.Due(storage.Place{}, 1000)
	named("read in a turn", err)
	tx.Rollback(nil)
	snap, err := a.Snapshot(testNow)
	if err != nil {
		t.Fatal(err)
	}
	_, err = snap.Reader().System().List(storage.JobFilter{Limit: 500})
	named("read in a snapshot", err)
	snap.Close()
	// Both in one commit: the first waits until the second is submitted.
	answers := make(chan error, 2)
	held, submitted := make(chan bool), make(chan bool)
	var once sync.Once
	gate = func() { once.Do(func() { close(held); <-submitted }) }
	first := b.Begin(testNow)
	mustInsert(t, first.JobWriter(), storage.Job{Due: testNow})
	if err := first.Commit(func(err error) { answers <- err }); err != nil {
		t.Fatal(err)
	}
	<-held
	for _, app := range []*storage.App{a, b} {
		tx := app.Begin(testNow)
		mustInsert(t, tx.JobWriter(), storage.Job{Due: testNow})
		if err := tx.Commit(func(err error) { answers <- err }); err != nil {
			t.Fatal(err)
		}
	}
	close(submitted)
	if err := <-answers; err != nil {
		t.Errorf("the first of the other app: %v", err)
	}
	refused := 0
	for range 2 {
		if err := <-answers; err != nil {
			named("commit", err)
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("of the commit's two apps %d were refused", refused)
	}
	if err := a.Reload(); err != nil {
		named("reload", err) // it looks at the end of the history, which may lie there
	}
	if got := b.Pending(); got != 102 {
		t.Errorf("the other app has %d jobs, want 102", got)
	}
	if err := s.Health(); err != nil {
		t.Errorf("health: %v", err)
	}
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("page %d: ", page)) {
		t.Errorf("check: %v, want an error that names page %d", err, page)
	}
	if lines := log.lines(); len(lines) > 0 {
		t.Errorf("logged: %q, want nothing: the callers are told", lines)
	}
}

// TestG37_DamageThatEveryCommitNeeds: the volume is lost: nothing is written to it
// any more, every call names it, one line is logged, and the other volumes work.
func TestG37_DamageThatEveryCommitNeeds(t *testing.T) {
	storagetest.NeedsFiles(t, "which are damaged")
	for _, way := range []string{"freelist", "cut off", "cut to nothing", "replaced", "removed"} {
		t.Run(way, func(t *testing.T) {
			dir := mustStore(t, 0)
			var log logs
			s, err := storage.Open(dir, storage.Options{Volumes: 3, NoSync: true, Logger: log.logger(), Tables: withDingbats.Tables})
			if err != nil {
				t.Fatal(err)
			}
			ids := homes(t, s)
			var apps [3]*storage.App
			for i, id := range ids {
				apps[i] = mustApp(t, s, id)
			}
			path, want := volume(dir, 1), error(storage.ErrCorrupt)
			switch way {
			case "freelist":
				err := s.ReadVolume(1, func(snap *kv.Snapshot) error {
					mustDamage(t, path, snap.Freelist()*4096+14, 1)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			case "cut off":
				err = os.Truncate(path, 4096*4)
			case "cut to nothing":
				err = os.Truncate(path, 0)
			case "replaced":
				mustCopy(t, path, path+".copy")
				err, want = os.Rename(path+".copy", path), storage.ErrFenced
			case "removed":
				err, want = os.Remove(path), storage.ErrFenced
			}
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				calls := map[string]error{"commit": commitOne(t, apps[1]), "reload": apps[1].Reload(), "check": s.Check(), "health": s.Health()}
				_, calls["snapshot"] = apps[1].Snapshot(testNow)
				_, calls["apps"] = s.Apps()
				_, calls["app"] = s.App(ids[1])
				for what, err := range calls {
					if !errors.Is(err, want) || errors.Is(err, storage.ErrUnknownOutcome) || !strings.Contains(err.Error(), "volume-001.db") {
						t.Errorf("%s: %v, want %v that names the volume", what, err, want)
					}
				}
				for _, i := range []int{0, 2} {
					if err := commitOne(t, apps[i]); err != nil {
						t.Errorf("app of volume %d: %v", i, err)
					}
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if lines := log.lines(); len(lines) != 1 || !strings.Contains(lines[0], "volume-001.db") {
				t.Errorf("logged %q, want one line that names the volume", lines)
			}
		})
	}
}

// TestG23_BackoffOfAVolumeThatKeepsFailing: of commits that fail in a row the first
// is tried again at once, the others after 10 ms, twice as long each time, 10 s at
// most. Until then change sets are refused, and nothing is tried; reads go on. Two
// lines are logged when it begins, and one when it ends.
func TestG23_BackoffOfAVolumeThatKeepsFailing(t *testing.T) {
	storagetest.NeedsFiles(t, "a volume of a shared log is tried five times a second")
	synctest.Test(t, func(t *testing.T) {
		var log logs
		tries, broken := 0, true
		s := mustOpen(t, t.TempDir(), storage.Options{Logger: log.logger(), Fault: func(point string) error {
			if point != "commit" || !broken {
				return nil
			}
			tries++
			return syscall.ENOSPC
		}})
		broken = false
		app := mustApp(t, s, "a")
		if err := commitOne(t, app); err != nil {
			t.Fatal(err)
		}
		broken = true
		if err := commitOne(t, app); !errors.Is(err, storage.ErrUnknownOutcome) {
			t.Fatalf("the first: %v", err)
		}
		if in := app.RetryIn(); in != 0 {
			t.Errorf("after the first failure it is to be tried in %v, want at once", in)
		}
		for n := range 14 {
			if err := app.Reload(); err != nil {
				t.Fatalf("reload %d: %v", n, err)
			}
			if err := commitOne(t, app); !errors.Is(err, storage.ErrUnknownOutcome) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("failure %d: %v", n, err)
			}
			want := min(10*time.Millisecond<<n, 10*time.Second)
			if in := app.RetryIn(); in != want {
				t.Errorf("after failure %d it is to be tried in %v, want %v", n, in, want)
			}
			time.Sleep(want - 1)
			before := tries
			if err := app.Reload(); !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("reload too early: %v, want ErrUnavailable", err)
			}
			if err := commitOne(t, app); !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrUnknownOutcome) {
				t.Errorf("a commit too early: %v, want ErrUnavailable", err)
			}
			if tries != before {
				t.Error("a commit was tried too early")
			}
			if err := s.Health(); !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("health: %v, want ErrUnavailable", err)
			}
			mustRead(t, app, func(r storage.Reader) {
				if _, err := r.System().List(storage.JobFilter{}); err != nil {
					t.Errorf("a read meanwhile: %v", err)
				}
			})
			time.Sleep(time.Nanosecond)
		}
		if lines := log.lines(); len(lines) != 2 {
			t.Errorf("logged %q, want two lines", lines)
		}
		broken = false
		if err := app.Reload(); err != nil {
			t.Fatal(err)
		}
		if err := commitOne(t, app); err != nil {
			t.Error(err)
		}
		if in := app.RetryIn(); in != 0 || s.Health() != nil {
			t.Errorf("up again it is to be tried in %v, health %v", in, s.Health())
		}
		time.Sleep(20*time.Second - 1)
		if lines := log.lines(); len(lines) != 2 {
			t.Errorf("logged %q, want two lines until some time has passed", lines)
		}
		time.Sleep(time.Nanosecond)
		if err := commitOne(t, app); err != nil {
			t.Error(err)
		}
		if lines := log.lines(); len(lines) != 3 || !strings.Contains(lines[2], "up again") {
			t.Errorf("logged %q, want a third line", lines)
		}
	})
}

// TestG23_BackoffOfAVolumeWhereSmallCommitsSucceed: on a full disk every other commit
// fails. The wait grows all the same, and the log has two lines.
func TestG23_BackoffOfAVolumeWhereSmallCommitsSucceed(t *testing.T) {
	storagetest.NeedsFiles(t, "a volume of a shared log is tried five times a second")
	synctest.Test(t, func(t *testing.T) {
		var log logs
		n, full := 0, false
		s := mustOpen(t, t.TempDir(), storage.Options{Logger: log.logger(), Fault: func(point string) error {
			if point != "commit" || !full {
				return nil
			}
			if n++; n%2 == 0 {
				return syscall.ENOSPC
			}
			return nil
		}})
		app := mustApp(t, s, "a")
		full = true
		for end := time.Now().Add(time.Minute); time.Now().Before(end) && n <= 60; time.Sleep(time.Millisecond) {
			if err := commitOne(t, app); err != nil {
				time.Sleep(app.RetryIn())
				if err := app.Reload(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n > 60 {
			t.Errorf("%d commits were tried within a minute", n)
		}
		if lines := log.lines(); len(lines) != 2 {
			t.Errorf("logged %q, want two lines", lines)
		}
	})
}

// TestG26_CloseOverALeakedSnapshot: a snapshot that is never closed holds up neither
// Close nor the reopening of a volume for longer than a second, and reads no more.
func TestG26_CloseOverALeakedSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaults()
		s := mustOpen(t, t.TempDir(), storage.Options{Fault: f.at})
		app := mustApp(t, s, "a")
		if err := commitOne(t, app); err != nil {
			t.Fatal(err)
		}
		for _, what := range []string{"reopen", "close"} {
			snap, err := app.Snapshot(testNow)
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if what == "reopen" {
				f.fail("commit", errDisk)
				if err := commitOne(t, app); !errors.Is(err, storage.ErrUnknownOutcome) {
					t.Errorf("commit: %v", err)
				}
				f.fail("commit", nil)
				if err := app.Reload(); err != nil {
					t.Fatal(err)
				}
				if err := commitOne(t, app); err != nil {
					t.Error(err)
				}
			} else {
				mustClose(t, s)
			}
			if took := time.Since(began); took > kv.CloseWait {
				t.Errorf("%s took %v, want at most %v", what, took, kv.CloseWait)
			}
			if _, err := snap.Reader().System().List(storage.JobFilter{}); !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("a read after the %s: %v, want ErrUnavailable", what, err)
			}
			snap.Close()
		}
	})
}

// TestReadOnly: a store that is opened to be read is not written, can be opened so
// by several at once and of whichever program, and refuses every change. None is made.
func TestReadOnly(t *testing.T) {
	storagetest.NeedsFiles(t, "that are opened for reading")
	dir := mustStore(t, 0)
	s := mustOpen(t, dir, storage.Options{Volumes: 3, Program: "notes", Tables: withDingbats.Tables})
	want := mustDump(t, s, "app1")
	mustClose(t, s)
	before := files(t, dir)
	opts := storage.Options{ReadOnly: true, Volumes: 5, Program: "another", LockTimeout: time.Millisecond, Tables: withDingbats.Tables}
	for range 2 {
		s, err := storage.Open(dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if got := mustDump(t, s, "app1"); !slices.Equal(got, want) {
			t.Errorf("it shows %q, want %q", got, want)
		}
		if ids, err := s.Apps(); err != nil || len(ids) != 6 {
			t.Errorf("apps: %v, %v", ids, err)
		}
		if err := errors.Join(s.Check(), s.Health(), s.Export(t.Context(), "app1", new(bytes.Buffer))); err != nil {
			t.Error(err)
		}
		app, err := s.App("app1")
		if err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"commit": commitOne(t, app), "delete": s.Delete("app1"), "name": s.SetProgram("mine"), "declare": s.SetDeclared("x"),
			"import": s.Import(t.Context(), "app9", strings.NewReader("")),
		} {
			if !errors.Is(err, storage.ErrReadOnly) {
				t.Errorf("%s: %v, want ErrReadOnly", what, err)
			}
		}
	}
	if _, err := storage.Open(dir, storage.Options{LockTimeout: time.Millisecond}); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("open to write: %v, want ErrLocked", err)
	}
	if after := files(t, dir); !slices.Equal(after, before) {
		t.Errorf("the files were changed from %v to %v", before, after)
	}
	for _, dir := range []string{t.TempDir(), t.TempDir() + "/none"} {
		if _, err := storage.Open(dir, opts); !errors.Is(err, storage.ErrNotFound) && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("open nothing: %v", err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Errorf("it made %v", entries)
		}
	}
}
