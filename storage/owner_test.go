package storage_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gproto "google.golang.org/protobuf/proto"

	"carillon/proto"
	"carillon/storage"
	"carillon/storage/internal/boltfile"
	"carillon/storage/internal/kv"
	"carillon/storage/storagetest"
)

func init() {
	workers["hold"] = hold
}

// hold is a process that opens the store named by its environment, says
// whether it could, and holds it until it is told to end.
func hold() error {
	opts := storage.Options{Volumes: 3, LockTimeout: time.Millisecond}
	if os.Getenv("CARILLON_STORAGE_WAIT") != "" {
		if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
			return err
		}
	}
	s, err := storage.Open(os.Getenv("CARILLON_STORAGE_DIR"), opts)
	if err != nil {
		fmt.Println("refused:", err)
		return nil
	}
	fmt.Println("open")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return s.Close()
}

// holder is a running hold.
type holder struct {
	cmd  *exec.Cmd
	out  *bufio.Scanner
	stop io.WriteCloser
}

// mustHold starts a hold; wait has it open the store when it is sent a byte.
func mustHold(tb testing.TB, dir string, wait bool) *holder {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), os.Args[0])
	cmd.Env = workerEnv("hold", "CARILLON_STORAGE_DIR="+dir)
	if wait {
		cmd.Env = append(cmd.Env, "CARILLON_STORAGE_WAIT=1")
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stop, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	return &holder{cmd, bufio.NewScanner(out), stop}
}

// line is the next that the process says.
func (h *holder) line(tb testing.TB) string {
	tb.Helper()
	if !h.out.Scan() {
		tb.Fatalf("the process said nothing: %v", h.out.Err())
	}
	return h.out.Text()
}

// end has the process close its store and waits for it.
func (h *holder) end(tb testing.TB) {
	tb.Helper()
	if err := errors.Join(h.stop.Close(), h.cmd.Wait()); err != nil {
		tb.Errorf("the process: %v", err)
	}
}

// files are the names and digests of all files of the directory, those of the log included.
func files(tb testing.TB, dir string) (files []string) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files = append(files, digest(tb, path))
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return files
}

// digest says what a file holds.
func digest(tb testing.TB, path string) string {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprintf("%s %d %08x", filepath.Base(path), len(data), crc32.ChecksumIEEE(data))
}

// volumeFiles are the names of the volume files.
func volumeFiles(tb testing.TB, dir string) []string {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "volume-*.db"))
	if err != nil {
		tb.Fatal(err)
	}
	return names
}

// mustCopy copies a file over another.
func mustCopy(tb testing.TB, from, to string) {
	tb.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		tb.Fatal(err)
	}
}

func volume(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("volume-%03d.db", i)) }

// mustRefuse opens the store, which must fail with want, name the file, and
// change no file.
func mustRefuse(tb testing.TB, dir string, opts storage.Options, want error, name string) {
	tb.Helper()
	before := files(tb, dir)
	opts.NoSync, opts.LockTimeout = true, time.Millisecond
	s, err := storage.Open(dir, opts)
	if err == nil {
		s.Close()
		tb.Fatalf("the store was opened, want %v", want)
	}
	if !errors.Is(err, want) || !strings.Contains(err.Error(), name) {
		tb.Errorf("%v: want %v and the name %s", err, want, name)
	}
	if after := files(tb, dir); !slices.Equal(after, before) {
		tb.Errorf("the refused open changed the files from %v to %v", before, after)
	}
}

// TestG23_OneOwner: while a store is open no other, in this process or another,
// can open it; when it was closed, or its process killed, the next one can at once.
func TestG23_OneOwner(t *testing.T) {
	storagetest.NeedsFiles(t, "which a process locks")
	dir := t.TempDir()
	s := mustOpen(t, dir, storage.Options{Volumes: 3})
	if _, err := storage.Open(dir, storage.Options{Volumes: 3, LockTimeout: time.Millisecond}); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("open within the process: %v, want ErrLocked", err)
	}
	h := mustHold(t, dir, false)
	if line := h.line(t); !strings.HasPrefix(line, "refused: volume is in use: volume-000.db") {
		t.Errorf("another process says %q", line)
	}
	h.end(t)
	mustClose(t, s)

	h = mustHold(t, dir, false)
	if line := h.line(t); line != "open" {
		t.Fatalf("after the close another process says %q", line)
	}
	mustRefuse(t, dir, storage.Options{Volumes: 3}, storage.ErrLocked, "volume-000.db")
	h.end(t)
	mustClose(t, mustOpen(t, dir, storage.Options{Volumes: 3}))

	h = mustHold(t, dir, false)
	h.line(t)
	if err := h.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = h.cmd.Wait() // says that it was killed
	mustOpen(t, dir, storage.Options{Volumes: 3})
}

// TestG23_OneOwnerOfANewStore: of several processes that find no store and make
// one at the same time, one becomes the owner, and the store is whole.
func TestG23_OneOwnerOfANewStore(t *testing.T) {
	for range 2 {
		dir := filepath.Join(t.TempDir(), "new")
		var hs []*holder
		for range 3 {
			hs = append(hs, mustHold(t, dir, true))
		}
		for _, h := range hs {
			if _, err := h.stop.Write([]byte{'\n'}); err != nil {
				t.Fatal(err)
			}
		}
		owners := 0
		for _, h := range hs {
			switch line := h.line(t); {
			case line == "open":
				owners++
			case !strings.HasPrefix(line, "refused: volume is in use: "):
				t.Errorf("a process says %q", line)
			}
		}
		if owners != 1 {
			t.Errorf("%d processes own the store", owners)
		}
		for _, h := range hs {
			h.end(t)
		}
		opts := withDingbats
		opts.Volumes = 3
		s := mustOpen(t, dir, opts)
		mustFillApp(t, mustApp(t, s, "acme"))
		mustClose(t, s)
		if got := volumeFiles(t, dir); len(got) != 3 {
			t.Errorf("there are the volumes %v, want 3", got)
		}
	}
}

// TestG23_EpochFencesTheOldOwner: an owner whose volume was taken, which the
// lock should make impossible, commits nothing more and cannot reopen it.
func TestG23_EpochFencesTheOldOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, got := t.TempDir(), newAnswers()
		s := mustOpen(t, dir, withDingbats)
		a := mustApp(t, s, "a")
		got.commit(t, a, "a0")
		synctest.Wait()
		var epoch uint64
		err := s.WriteVolume(0, func(tx *kv.Txn) error {
			epoch = binary.BigEndian.Uint64(tx.Base().Get(kv.Meta, storage.MetaEpoch)) + 1
			return tx.Put(kv.Meta, storage.MetaEpoch, binary.BigEndian.AppendUint64(nil, epoch))
		})
		if err != nil {
			t.Fatal(err)
		}
		got.commit(t, a, "a1")
		synctest.Wait()
		got.check(t, "a1", storage.ErrFenced)
		for range 3 {
			if err := a.Reload(); !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("reload: %v, want ErrUnavailable", err)
			}
			synctest.Wait()
		}
		tx := a.Begin(testNow)
		if err := tx.Commit(got.done("a2")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		got.check(t, "a2", storage.ErrFenced)
		if err := s.Close(); err != nil {
			t.Error(err)
		}

		s = mustOpen(t, dir, withDingbats)
		if names := pairs(t, mustApp(t, s, "a")); !slices.Equal(names, []string{"a0"}) {
			t.Errorf("the next owner finds %v", names)
		}
		err = s.ReadVolume(0, func(snap *kv.Snapshot) error {
			if now := binary.BigEndian.Uint64(snap.Get(kv.Meta, storage.MetaEpoch)); now != epoch+1 {
				t.Errorf("the next owner's epoch is %d, want %d", now, epoch+1)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// stores are the files of two stores of three volumes with some apps in each,
// without the zeros at their ends.
var stores [2]map[string]stored

type stored struct {
	data []byte
	size int64
}

// mustStore makes a directory with the files of one of the stores.
func mustStore(tb testing.TB, which int) (dir string) {
	tb.Helper()
	if stores[which] == nil {
		stores[which] = makeStore(tb)
	}
	dir = tb.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "log"), 0o700); err != nil {
		tb.Fatal(err)
	}
	for name, f := range stores[which] {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, f.data, 0o600), os.Truncate(path, f.size)); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

func makeStore(tb testing.TB) map[string]stored {
	tb.Helper()
	dir, opts := tb.TempDir(), withDingbats
	opts.Volumes = 3
	s := mustOpen(tb, dir, opts)
	for i := range 6 {
		mustFillApp(tb, mustApp(tb, s, storage.AppID(fmt.Sprint("app", i))))
	}
	mustClose(tb, s)
	all := map[string]stored{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		f := stored{bytes.TrimRight(data, "\x00"), int64(len(data))}
		if filepath.Ext(name) == ".db" {
			f.size = int64(len(f.data)/4096+1) * 4096
		}
		all[name] = f
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// TestG23_WrongVolumesAreRefused: a volume that is missing, that is another one,
// or that is nothing we know, is a clear error that names it. Nothing is changed
// then: no file is made in its place, and none is taken over.
func TestG23_WrongVolumesAreRefused(t *testing.T) {
	storagetest.NeedsFiles(t, "which are exchanged")
	opts := withDingbats
	opts.Volumes = 3
	for i := range 3 {
		name := filepath.Base(volume("", i))
		damage := map[string]func(t *testing.T, dir string) (named string, want error){
			"missing": func(t *testing.T, dir string) (string, error) {
				if err := os.Remove(volume(dir, i)); err != nil {
					t.Fatal(err)
				}
				return name + " is missing", storage.ErrFormat
			},
			"a copy of its neighbour": func(t *testing.T, dir string) (string, error) {
				mustCopy(t, volume(dir, (i+1)%3), volume(dir, i))
				return name, storage.ErrFormat
			},
			"of another store": func(t *testing.T, dir string) (string, error) {
				mustCopy(t, volume(mustStore(t, 1), i), volume(dir, i))
				if i == 0 {
					return "the log belongs to another store", storage.ErrFormat
				}
				return name + " belongs to another store", storage.ErrFormat
			},
			"of a later format": func(t *testing.T, dir string) (string, error) {
				db, err := boltfile.Open(volume(dir, i), boltfile.Options{})
				if err != nil {
					t.Fatal(err)
				}
				err = db.Update(func(tx *boltfile.Txn) error {
					return tx.Put(kv.Meta, []byte("format"), binary.BigEndian.AppendUint64(nil, 3))
				})
				if err := errors.Join(err, db.Close()); err != nil {
					t.Fatal(err)
				}
				return name + " has format 3, this reader knows 1 and 2", storage.ErrFormat
			},
			"empty": func(t *testing.T, dir string) (string, error) {
				if err := os.Truncate(volume(dir, i), 0); err != nil {
					t.Fatal(err)
				}
				return name, storage.ErrFormat
			},
			"text": func(t *testing.T, dir string) (string, error) {
				if err := os.WriteFile(volume(dir, i), bytes.Repeat([]byte("# data\n"), 5000), 0o600); err != nil {
					t.Fatal(err)
				}
				return name, storage.ErrFormat
			},
			"a bare bbolt file": func(t *testing.T, dir string) (string, error) {
				if err := os.Remove(volume(dir, i)); err != nil {
					t.Fatal(err)
				}
				if err := boltfile.Create(volume(dir, i), func(tx *boltfile.Txn) error { return tx.Delete(kv.Meta, []byte("format")) }); err != nil {
					t.Fatal(err)
				}
				return name + " has format 0", storage.ErrFormat
			},
			"in use": func(t *testing.T, dir string) (string, error) {
				db, err := boltfile.Open(volume(dir, i), boltfile.Options{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { db.Close() })
				return name, storage.ErrLocked
			},
		}
		for what, do := range damage {
			t.Run(fmt.Sprintf("%s %s", name, what), func(t *testing.T) {
				dir := mustStore(t, 0)
				named, want := do(t, dir)
				mustRefuse(t, dir, opts, want, named)
			})
		}
	}
}

// TestG23_VolumesCanBeAddedButNotTakenAway: a store opened with fewer volumes
// keeps those it has; with more it gets more, and every app stays where it is.
func TestG23_VolumesCanBeAddedButNotTakenAway(t *testing.T) {
	storagetest.NeedsFiles(t, "whose number changes; that of shards is fixed")
	dir := mustStore(t, 0)
	var want [][]string
	for _, volumes := range []int{3, 1, 5, 2, 6} {
		opts := withDingbats
		opts.Volumes = volumes
		s := mustOpen(t, dir, opts)
		for i := range 6 {
			lines := mustDump(t, s, storage.AppID(fmt.Sprint("app", i)))
			if volumes == 3 {
				want = append(want, lines)
			}
			if len(lines) != 13 || !slices.Equal(lines, want[i]) {
				t.Errorf("with %d volumes app%d shows %q, want %q", volumes, i, lines, want[i])
			}
		}
		mustClose(t, s)
		wantFiles := map[int]int{3: 3, 1: 3, 5: 5, 2: 5, 6: 6}[volumes]
		if got := len(volumeFiles(t, dir)); got != wantFiles {
			t.Errorf("opened with %d volumes there are %d files, want %d", volumes, got, wantFiles)
		}
	}
	for _, volumes := range []int{-1, 65} {
		if _, err := storage.Open(t.TempDir(), storage.Options{Volumes: volumes}); !errors.Is(err, storage.ErrInvalid) || !strings.Contains(err.Error(), "Volumes") {
			t.Errorf("%d volumes: %v, want ErrInvalid that names the option", volumes, err)
		}
	}
}

// TestUnknownRecordVersionIsRefused: a record of a later version is an error of
// the call that reads it, which says so, and of the check; nothing is written over.
func TestUnknownRecordVersionIsRefused(t *testing.T) {
	later := func(tb testing.TB, data []byte, m gproto.Message, version *uint32) []byte {
		tb.Helper()
		if err := gproto.Unmarshal(data, m); err != nil {
			tb.Fatal(err)
		}
		*version = 2
		data, err := gproto.Marshal(m)
		if err != nil {
			tb.Fatal(err)
		}
		return data
	}
	for _, tt := range []struct {
		name  string
		space kv.Space
		tag   byte // of a key in Data
		edit  func(data []byte) []byte
		use   func(s *storage.Store) error
	}{
		{"app entry", kv.Apps, 0, func(data []byte) []byte {
			var p proto.AppEntry
			return later(t, data, &p, &p.Version)
		}, func(s *storage.Store) error { _, err := s.App("acme"); return err }},
		{"counters", kv.Data, 'm', func(data []byte) []byte {
			var p proto.App
			return later(t, data, &p, &p.Version)
		}, func(s *storage.Store) error { _, err := s.App("acme"); return err }},
		{"job", kv.Data, 'q', func(data []byte) []byte {
			var p proto.Job
			return later(t, data, &p, &p.Version)
		}, func(s *storage.Store) error {
			app, err := s.App("acme")
			if err != nil {
				return err
			}
			tx := app.Begin(testNow)
			defer tx.Rollback(nil)
			jobs, _, _, dueErr := tx.Due(storage.Place{}, 10)
			if len(jobs) != 4 {
				t.Errorf("beside the record that cannot be read there are %d jobs, want 4", len(jobs))
			}
			page, err := tx.Writer().System().List(storage.JobFilter{})
			if err != nil || len(page.Jobs) != 8 {
				t.Errorf("the bad row spoils the listing: %d jobs, %v", len(page.Jobs), err)
			}
			told := 0
			for _, job := range page.Jobs {
				if job.Error != nil && job.Error.Code == "data_loss" && strings.Contains(job.Error.Message, "version") {
					told++
				}
			}
			if told != 1 {
				t.Errorf("%d rows say that they cannot be read, want 1", told)
			}
			return dueErr
		}},
		{"claim", kv.Data, 'r', func(data []byte) []byte {
			var p proto.Claim
			return later(t, data, &p, &p.Version)
		}, func(s *storage.Store) error {
			app, err := s.App("acme")
			if err != nil {
				return err
			}
			app.SetLive(func(storage.JobID) bool { return true })
			_, _, err = storedJob(t, app, "claimed")
			return err
		}},
		{"trigger", kv.Data, 'c', func(data []byte) []byte {
			var p proto.Trigger
			return later(t, data, &p, &p.Version)
		}, func(s *storage.Store) error {
			app, err := s.App("acme")
			if err != nil {
				return err
			}
			mustRead(t, app, func(r storage.Reader) { _, _, err = r.System().Trigger("toll") })
			return err
		}},
		{"slot", kv.Data, 'l', func(data []byte) []byte {
			var p proto.Slot
			return later(t, data, &p, &p.Version)
		}, func(s *storage.Store) error {
			app, err := s.App("acme")
			if err != nil {
				return err
			}
			var slots []storage.Slot
			mustRead(t, app, func(r storage.Reader) { slots, err = r.System().Slots("toll", 1) })
			if err != nil || len(slots) != 1 {
				t.Fatalf("the bad entry spoils the listing: %v, %v", slots, err)
			}
			return fmt.Errorf("%w: %s", storage.ErrFormat, slots[0].Reason)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := storage.Open(t.TempDir(), storage.Options{Volumes: 1, NoSync: true, Tables: withDingbats.Tables})
			if err != nil {
				t.Fatal(err)
			}
			mustFillApp(t, mustApp(t, s, "acme"))
			err = s.WriteVolume(0, func(tx *kv.Txn) error {
				c := tx.Base().Cursor(tt.space)
				for k, v := c.First(); k != nil; k, v = c.Next() {
					if tt.tag == 0 || k[4] == tt.tag {
						return tx.Put(tt.space, bytes.Clone(k), tt.edit(bytes.Clone(v)))
					}
				}
				return errors.New("no such record")
			})
			if err != nil {
				t.Fatal(err)
			}
			for what, err := range map[string]error{"use": tt.use(s), "check": s.Check()} {
				if !errors.Is(err, storage.ErrFormat) || !strings.Contains(err.Error(), "version 2") || what == "check" && !strings.Contains(err.Error(), "acme") {
					t.Errorf("%s: %v, want ErrFormat with the version, and of the check with the app", what, err)
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
