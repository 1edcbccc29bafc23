package storage_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage"
	"carillon/storage/storagetest"
)

// mustBackup makes a backup, and sees that it is what the info says.
func mustBackup(tb testing.TB, s *storage.Store, since string) ([]byte, storage.BackupInfo) {
	tb.Helper()
	var out bytes.Buffer
	info, err := s.Backup(tb.Context(), &out, since)
	if err != nil {
		tb.Fatalf("backup: %v", err)
	}
	read, err := storage.VerifyBackup(bytes.NewReader(out.Bytes()))
	if err != nil || read != info || info.Bytes != int64(out.Len()) {
		tb.Fatalf("a backup of %d bytes is read as %+v, %v, want %+v", out.Len(), read, err, info)
	}
	return out.Bytes(), info
}

// mustRestore restores backups in a new directory and opens the store.
func mustRestore(tb testing.TB, backups ...[]byte) *storage.Store {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "made")
	if _, err := storage.Restore(tb.Context(), dir, readers(backups...)...); err != nil {
		tb.Fatalf("restore: %v", err)
	}
	return mustOpen(tb, dir, withDingbats)
}

func readers(backups ...[]byte) (all []io.Reader) {
	for _, b := range backups {
		all = append(all, bytes.NewReader(b))
	}
	return all
}

// wantRows says how the rows of a store differ from those wanted.
func wantRows(tb testing.TB, s *storage.Store, want map[string]string) {
	tb.Helper()
	got := s.Rows()
	for k, v := range want {
		if is, ok := got[k]; !ok || is != v {
			tb.Errorf("row %s is %q, %v, want %q", k, is, ok, v)
		}
	}
	if len(got) != len(want) {
		tb.Errorf("there are %d rows, want %d", len(got), len(want))
	}
}

var fourVolumes = storage.Options{Tables: withDingbats.Tables, Volumes: 4}

// mustFillVolumes gives the store apps in several volumes.
func mustFillVolumes(tb testing.TB, s *storage.Store) {
	tb.Helper()
	for i := range 6 {
		mustFillApp(tb, mustApp(tb, s, storage.AppID(fmt.Sprint("app-", i))))
	}
}

// mustAdd adds a dingbat to the app.
func mustAdd(tb testing.TB, s *storage.Store, id storage.AppID, name string) {
	tb.Helper()
	mustUpdate(tb, mustApp(tb, s, id), func(w storage.Writer) {
		if _, err := dingbats.Insert(w, Dingbat{Name: name}); err != nil {
			tb.Fatal(err)
		}
	})
}

// TestG26_BackupAndRestoreRoundTrip: a restored store has each row that the store had at the
// moment of the last backup, whether the files had it or the log, and goes on from there;
// and one that only goes on from an earlier backup does not hold more than was written since.
func TestG26_BackupAndRestoreRoundTrip(t *testing.T) {
	s := mustOpen(t, t.TempDir(), fourVolumes)
	mustFillVolumes(t, s)
	if err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	mustAdd(t, s, "app-1", "in the log")
	first, at := mustBackup(t, s, "")
	was := s.Rows()
	if at.Since != "" || at.Rows == 0 || at.Records != 0 {
		t.Errorf("the first backup is %+v", at)
	}

	mustAdd(t, s, "app-2", "later")
	mustAdd(t, s, "new", "later still")
	if err := s.Delete("app-3"); err != nil {
		t.Fatal(err)
	}
	second, then := mustBackup(t, s, at.Position)
	if then.Since != at.Position || then.Rows != 0 || then.Records == 0 || len(second) > len(first)/2 {
		t.Errorf("the second backup has %d of %d bytes and is %+v", len(second), len(first), then)
	}
	for n := 1; n > 0; { // the deleted app's rows go away one by one
		var err error
		if n, err = s.Doomed(); err != nil {
			t.Fatal(err)
		}
	}
	third, now := mustBackup(t, s, then.Position)
	if now.Since != then.Position {
		t.Errorf("the third backup is %+v", now)
	}
	want := s.Rows()

	wantRows(t, mustRestore(t, first), was)
	restored := mustRestore(t, first, second, third)
	wantRows(t, restored, want)
	mustAdd(t, restored, "app-2", "in the restored one")
	for _, id := range []storage.AppID{"app-0", "app-4"} {
		if got, want := mustDump(t, restored, id), mustDump(t, s, id); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("app %s has %q, want %q", id, got, want)
		}
	}
}

// TestG26_ABackupOfAStoreAtRest: a store that is read only is backed up as it is, with what
// its log has, too, and nothing in it is written.
func TestG26_ABackupOfAStoreAtRest(t *testing.T) {
	storagetest.NeedsFiles(t, "that are opened for reading")
	dir := t.TempDir()
	s := mustOpen(t, dir, fourVolumes)
	mustFillVolumes(t, s)
	_, at := mustBackup(t, s, "")
	mustAdd(t, s, "app-1", "in the log")
	want := s.Rows()
	if err := s.Abort(); err != nil {
		t.Fatal(err)
	}
	s, err := storage.Open(dir, storage.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, _ := mustBackup(t, s, "")
	wantRows(t, mustRestore(t, all), want)
	if _, info := mustBackup(t, s, at.Position); info.Since != at.Position || info.Records == 0 {
		t.Errorf("what was in the log is backed up as %+v", info)
	}
	again, info := mustBackup(t, s, somewhereElse(t))
	if info.Since != "" || !bytes.Equal(again, all) {
		t.Errorf("from the position of another store it is %+v", info)
	}
}

// somewhereElse is the position of another store.
func somewhereElse(tb testing.TB) string {
	s := mustOpen(tb, tb.TempDir(), fourVolumes)
	_, at := mustBackup(tb, s, "")
	return at.Position
}

// TestG26_WhatTheLogHasForgottenIsBackedUpWhole: from a position that was trimmed, of another
// store, of a store that went another way since or of the one that was backed up, all is in
// the backup, and it says so.
func TestG26_WhatTheLogHasForgottenIsBackedUpWhole(t *testing.T) {
	storagetest.NeedsFiles(t, "that are checkpointed to have the log forget")
	opts := fourVolumes
	opts.LogKeep = -1
	s := mustOpen(t, t.TempDir(), opts)
	mustFillVolumes(t, s)
	first, at := mustBackup(t, s, "")
	restored := mustRestore(t, first)
	wantAll := func(what string, s *storage.Store, since string) {
		t.Helper()
		all, info := mustBackup(t, s, since)
		if info.Since != "" || info.Rows == 0 {
			t.Errorf("%s: the backup is %+v", what, info)
		}
		wantRows(t, mustRestore(t, all), s.Rows())
	}
	if _, info := mustBackup(t, restored, ""); storage.StoreOf(t, info.Position) == storage.StoreOf(t, at.Position) {
		t.Error("the restored store has the id of the one that was backed up")
	}
	wantAll("another store", s, somewhereElse(t))
	wantAll("the store that was backed up", restored, at.Position)
	mustAdd(t, s, "app-1", "a")
	mustAdd(t, s, "app-1", "b")
	if err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	wantAll("trimmed", s, at.Position)

	if _, err := s.Backup(t.Context(), io.Discard, "nonsense"); !errors.Is(err, storage.ErrInvalid) {
		t.Errorf("from no position: %v", err)
	}
}

// TestG26_TwoLivesOfAStoreAreNotMixed: of a copy of a directory, which went on by itself, an
// increment does not fit the original.
func TestG26_TwoLivesOfAStoreAreNotMixed(t *testing.T) {
	dir, twin := t.TempDir(), t.TempDir()
	s := mustOpen(t, dir, fourVolumes)
	mustFillVolumes(t, s)
	if err := s.Abort(); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(twin, "copy"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s, other := mustOpen(t, dir, fourVolumes), mustOpen(t, filepath.Join(twin, "copy"), fourVolumes)
	mustAdd(t, s, "app-1", "here")
	mustAdd(t, other, "app-1", "elsewhere")
	_, at := mustBackup(t, s, "")
	mustAdd(t, other, "app-1", "elsewhere")
	if _, info := mustBackup(t, other, at.Position); info.Since != "" {
		t.Errorf("a copy that went another way goes on from the original: %+v", info)
	}
}

// TestG26_BackupsInAWrongOrderAreRefused: an increment is restored behind the backup that it
// goes on from, and nowhere else.
func TestG26_BackupsInAWrongOrderAreRefused(t *testing.T) {
	s := mustOpen(t, t.TempDir(), fourVolumes)
	mustFillVolumes(t, s)
	all, at := mustBackup(t, s, "")
	mustAdd(t, s, "app-1", "a")
	one, at := mustBackup(t, s, at.Position)
	mustAdd(t, s, "app-1", "b")
	two, at := mustBackup(t, s, at.Position)
	mustAdd(t, s, "app-1", "c")
	three, _ := mustBackup(t, s, at.Position)
	later, _ := mustBackup(t, s, "")
	for _, order := range [][][]byte{
		{},
		{one},
		{one, two},
		{two, all},
		{all, two},
		{all, one, three},
		{all, two, one, three},
		{all, one, one},
		{all, all},
		{later, one},
		{later, three},
		{all, one, two, later},
	} {
		refused(t, storage.ErrInvalid, order...)
	}
	wantRows(t, mustRestore(t, all, one, two, three), s.Rows())
}

// refused sees that the backups are not restored, and that nothing is left of them.
func refused(tb testing.TB, want error, backups ...[]byte) {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "made")
	_, err := storage.Restore(tb.Context(), dir, readers(backups...)...)
	if !errors.Is(err, want) && !(want == storage.ErrCorrupt && errors.Is(err, storage.ErrFormat)) {
		tb.Fatalf("restore: %v, want %v", err, want)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		tb.Fatalf("%s is there: %v", dir, err)
	}
}

// TestG26_ADamagedBackupIsRefused: with any one bit turned, cut off at any byte, with frames
// left out, doubled or swapped, or with bytes behind its end, a backup is refused, and its
// offset is named.
func TestG26_ADamagedBackupIsRefused(t *testing.T) {
	s := mustOpen(t, t.TempDir(), fourVolumes)
	mustAdd(t, s, "acme", "a")
	all, at := mustBackup(t, s, "")
	mustAdd(t, s, "acme", "b")
	more, _ := mustBackup(t, s, at.Position)
	for i, backup := range [][]byte{all, more} {
		var bad [][]byte
		for n := range backup {
			bad = append(bad, backup[:n])
			for _, bit := range storagetest.Some(2, []int{n % 8, 0, 1, 2, 3, 4, 5, 6, 7}) {
				turned := bytes.Clone(backup)
				turned[n] ^= 1 << bit
				bad = append(bad, turned)
			}
		}
		bad = append(bad, append(bytes.Clone(backup), 0), bytes.Repeat(backup, 2))
		frames := framesOf(backup)
		for n := range frames {
			without := append(append([][]byte{}, frames[:n]...), frames[n+1:]...)
			bad = append(bad, bytes.Join(without, nil))
			if n > 0 {
				swapped := append([][]byte{}, frames...)
				swapped[n-1], swapped[n] = swapped[n], swapped[n-1]
				bad = append(bad, bytes.Join(swapped, nil))
			}
			doubled := append(append([][]byte{}, frames[:n+1]...), frames[n:]...)
			bad = append(bad, bytes.Join(doubled, nil))
		}
		for n, b := range bad {
			_, err := storage.VerifyBackup(bytes.NewReader(b))
			if !errors.Is(err, storage.ErrCorrupt) && !errors.Is(err, storage.ErrFormat) {
				t.Fatalf("backup %d damaged in way %d of %d: %v", i, n, len(bad), err)
			}
			if errors.Is(err, storage.ErrCorrupt) && !strings.Contains(err.Error(), "offset ") {
				t.Fatalf("the error does not say where: %v", err)
			}
		}
		for n := 0; n < len(bad); n += len(bad)/20 + 1 { // each makes a directory, and syncs it
			if i == 0 {
				refused(t, storage.ErrCorrupt, bad[n])
			} else {
				refused(t, storage.ErrCorrupt, all, bad[n])
			}
		}
	}
}

// framesOf are the magic and the frames of a backup.
func framesOf(backup []byte) (frames [][]byte) {
	const magic = len("carillon backup\n")
	frames = append(frames, backup[:magic])
	for rest := backup[magic:]; len(rest) > 0; {
		n := 1 + 4 + int(binary.BigEndian.Uint32(rest[1:])) + 4
		frames = append(frames, rest[:n])
		rest = rest[n:]
	}
	return frames
}

// TestG26_ABackupIsOneMomentOfAllVolumes: while money goes from app to app, each of a volume
// of its own or not, no backup has more than there is, nor less than what is on its way. An
// increment leads to such a moment, too.
func TestG26_ABackupIsOneMomentOfAllVolumes(t *testing.T) {
	const accounts, each, workers = 8, 100, 4
	opts := fourVolumes
	opts.LogMemory = 64 << 10 // so that the files are written, too
	s := mustOpen(t, t.TempDir(), opts)
	var apps []*storage.App
	var locks [accounts]sync.Mutex
	var ids [accounts]storage.ID[Dingbat]
	account := func(i int) storage.AppID { return storage.AppID(fmt.Sprint("account-", i)) }
	for i := range accounts {
		apps = append(apps, mustApp(t, s, account(i)))
		mustUpdate(t, apps[i], func(w storage.Writer) {
			var err error
			if ids[i], err = dingbats.Insert(w, Dingbat{Count: each}); err != nil {
				t.Fatal(err)
			}
		})
	}
	change := func(i, by int) {
		locks[i].Lock()
		defer locks[i].Unlock()
		mustUpdate(t, apps[i], func(w storage.Writer) {
			if err := dingbats.Patch(w, ids[i], func(d *Dingbat) error { d.Count += by; return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for w := range workers {
		work.Go(func() {
			for n := w; ctx.Err() == nil; n++ {
				change(n%accounts, -1)
				change((n*5+3)%accounts, +1)
			}
		})
	}
	sum := func(s *storage.Store) (sum int) {
		for i := range accounts {
			mustRead(t, mustApp(t, s, account(i)), func(r storage.Reader) {
				d, err := dingbats.Get(r, ids[i])
				if err != nil {
					t.Fatal(err)
				}
				sum += d.Count
			})
		}
		return sum
	}
	var chain [][]byte
	since, increments := "", 0
	for range 12 {
		backup, info := mustBackup(t, s, since)
		if since = info.Position; info.Since == "" {
			chain = nil
		} else {
			increments++
		}
		chain = append(chain, backup)
		if got := sum(mustRestore(t, chain...)); got > accounts*each || got < accounts*each-workers {
			t.Errorf("backup %d of a chain has %d, and %d are on their way of %d", len(chain), got, workers, accounts*each)
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	work.Wait()
	t.Logf("%d of 12 go on from the one before", increments)
	if got := sum(s); got != accounts*each {
		t.Errorf("at last there are %d, want %d", got, accounts*each)
	}
}

// TestG6_ABlockedBackupHoldsNothingUp: while the writer of a backup blocks, the volumes can
// be opened anew, which waits for every snapshot; another backup waits, and the spool is gone
// at the end.
func TestG6_ABlockedBackupHoldsNothingUp(t *testing.T) {
	f := newFaults()
	opts := withDingbats
	opts.Fault = f.at
	dir := t.TempDir()
	s := mustOpen(t, dir, opts)
	app := mustApp(t, s, "acme")
	for i := range 5 {
		mustTx(t, app, testNow, func(tx *storage.Tx) {
			mustInsert(t, tx.JobWriter(), storage.Job{Args: fmt.Appendf(nil, `"%0*d"`, 400<<10, i)})
		})
	}
	want := s.Rows()
	var out bytes.Buffer
	blocked := false
	w := writerFunc(func(p []byte) (int, error) {
		if !blocked {
			blocked = true
			f.fail("commit", errDisk)
			answered := make(chan error, 1)
			tx := app.Begin(testNow)
			mustInsert(t, tx.JobWriter(), storage.Job{})
			if err := tx.Commit(func(err error) { answered <- err }); err != nil {
				t.Error(err)
			}
			select {
			case err := <-answered:
				if !errors.Is(err, storage.ErrUnknownOutcome) {
					t.Errorf("the commit is answered %v", err)
				}
			case <-time.After(5 * time.Second):
				t.Error("the volume waits for the backup's writer")
			}
			f.fail("commit", nil)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			if _, err := s.Backup(ctx, io.Discard, ""); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("another backup meanwhile: %v", err)
			}
		}
		return out.Write(p)
	})
	if _, err := s.Backup(t.Context(), w, ""); err != nil {
		t.Fatal(err)
	}
	if err := app.Reload(); err != nil {
		t.Fatal(err)
	}
	wantRows(t, mustRestore(t, out.Bytes()), want)
	if left, err := filepath.Glob(filepath.Join(dir, "spool*")); len(left) > 0 || err != nil {
		t.Errorf("the backup has left %v, %v", left, err)
	}
	_, err := s.Backup(t.Context(), writerFunc(func([]byte) (int, error) { return 0, errDisk }), "")
	if !errors.Is(err, errDisk) {
		t.Errorf("a writer that fails: %v", err)
	}
}

// TestG26_ASpoolOfACrashIsRemoved: what a process that died has left of a spool is removed
// by the next owner, and by no reader.
func TestG26_ASpoolOfACrashIsRemoved(t *testing.T) {
	storagetest.NeedsFiles(t, "that are opened for reading")
	dir := t.TempDir()
	s := mustOpen(t, dir, withDingbats)
	mustClose(t, s)
	left := filepath.Join(dir, "spool-123.tmp")
	if err := os.WriteFile(left, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, readOnly := range []bool{true, false} {
		opts := withDingbats
		opts.ReadOnly = readOnly
		mustClose(t, mustOpen(t, dir, opts))
		if _, err := os.Stat(left); (err == nil) != readOnly {
			t.Errorf("read only %v: %v", readOnly, err)
		}
	}
}

// TestG26_RestoreKeepsToAnEmptyDirectory: where there is a store, or part of one, nothing is
// restored and nothing changed.
func TestG26_RestoreKeepsToAnEmptyDirectory(t *testing.T) {
	storagetest.NeedsFiles(t, "parts of which are there")
	dir := t.TempDir()
	s := mustOpen(t, dir, fourVolumes)
	mustFillVolumes(t, s)
	all, _ := mustBackup(t, s, "")
	if _, err := storage.Restore(t.Context(), dir, readers(all)...); !errors.Is(err, storage.ErrExists) {
		t.Errorf("into a store that is open: %v", err)
	}
	mustClose(t, s)
	before := filesOf(t, dir)
	for _, lost := range []string{"", "volume-000.db", "volume-001.db"} {
		there := filepath.Join(t.TempDir(), "store")
		if err := os.CopyFS(there, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		want := maps.Clone(before)
		if lost != "" {
			delete(want, lost)
			if err := os.Remove(filepath.Join(there, lost)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := storage.Restore(t.Context(), there, readers(all)...); !errors.Is(err, storage.ErrExists) {
			t.Errorf("without %s: %v", lost, err)
		}
		if !maps.Equal(filesOf(t, there), want) {
			t.Errorf("without %s the files changed", lost)
		}
	}
}

// filesOf are the files in a directory and those below.
func filesOf(tb testing.TB, dir string) map[string]string {
	tb.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[name] = string(data)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return files
}

// TestG26_IncrementsGoBackAsFarAsTheLogIsKept: while commits come every few seconds, and are
// copied, a backup goes on from one of an hour ago, also of a store that was closed, or killed, and opened since,
// or is only read. Once more was written than LogKeep it does not, and without LogKeep after a checkpoint already.
func TestG26_IncrementsGoBackAsFarAsTheLogIsKept(t *testing.T) {
	for _, keep := range []int64{0, -1} {
		synctest.Test(t, func(t *testing.T) {
			dir, opts := t.TempDir(), fourVolumes
			opts.LogLength, opts.LogKeep, opts.NoSync = 32<<20, keep, true // of which 8 MiB are kept
			open := func() *storage.Store {
				s, err := storage.Open(dir, opts)
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			s := open()
			mustFillVolumes(t, s)
			first, at := mustBackup(t, s, "")
			goesOn := func(what string, s *storage.Store, want bool) {
				t.Helper()
				more, info := mustBackup(t, s, at.Position)
				if goes := info.Since == at.Position; goes != want {
					t.Errorf("keep %d: %s: the backup is %+v", keep, what, info)
				} else if goes {
					r := mustRestore(t, first, more)
					wantRows(t, r, s.Rows())
					mustClose(t, r)
				}
			}
			for i := range 720 {
				mustAdd(t, s, storage.AppID(fmt.Sprint("app-", i%6)), fmt.Sprint("of ", i))
				time.Sleep(5 * time.Second)
				if i%200 == 100 {
					end := s.Close
					if i == 300 {
						end = s.Abort
					}
					must(t, end())
					s = open()
				}
			}
			must(t, s.Checkpoint())
			if n := s.Uncopied(); n > 0 {
				t.Fatalf("%d records are in the log only", n)
			}
			goesOn("an hour later", s, keep == 0)
			must(t, s.Close())
			read, err := storage.Open(dir, storage.Options{ReadOnly: true, LogLength: opts.LogLength, LogKeep: keep})
			must(t, err)
			goesOn("at rest", read, keep == 0)
			must(t, read.Close())
			s = open()
			app := mustApp(t, s, "app-1")
			for range 24 {
				must(t, commitLarge(t, app, 600<<10))
				time.Sleep(10 * time.Second)
			}
			goesOn("more was written than is kept", s, false)
			must(t, s.Close())
			if n := logSize(t, dir); n > 8<<20+2*8<<20+4<<20 {
				t.Errorf("keep %d: the log has %d bytes, want 8 MiB, 8 files to spare, and what is in use", keep, n)
			}
		})
	}
}
