package storage_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// formatDir holds what each version of the format has written, in a directory of its own: a
// store, one of its apps as an exported stream, and what a reader must find in them. They
// stay for ever. Of the store of the second one a part is in its log only.
const formatDir = "../testdata/format"

// writeFixture has TestG26_FormatV2, and those named WithWork, WithPauses, WithResults, WithGroups and
// WithTheDoor,
// as far as -run chooses them, write their files anew. It is for the time before the first release only.
const writeFixture = "CARILLON_WRITE_FIXTURE"

// contents spells what the store shows: the high-water mark, and of each app
// its jobs and documents.
func contents(tb testing.TB, s *storage.Store) string {
	tb.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "high-water mark %d\n", s.HighWater().UnixMilli())
	for _, id := range mustApps(tb, s) {
		fmt.Fprintf(&b, "app %s\n", id)
		for _, line := range mustDump(tb, s, id) {
			fmt.Fprintf(&b, "  %s\n", strings.TrimSpace(line))
		}
	}
	return b.String()
}

// makeFixture makes the store whose files are kept.
func makeFixture(tb testing.TB, dir string) {
	tb.Helper()
	s := mustOpen(tb, dir, withDingbats)
	gone := mustApp(tb, s, "gone") // so that the numbers have a gap
	mustFillApp(tb, gone)
	if err := s.Delete("gone"); err != nil {
		tb.Fatal(err)
	}
	acme := mustApp(tb, s, "acme")
	mustFillApp(tb, acme)
	mustTx(tb, acme, testNow.Add(time.Second), func(tx *storage.Tx) {
		w := tx.JobWriter()
		mustInsert(tb, w, storage.Job{
			Function: "bells:toll", Args: []byte(`{"name":"Gro\u00dfe Glocke","n":12}`), Due: testNow.Add(time.Hour), EnqueuedAt: testNow.Add(time.Second),
			Timeout: 90 * time.Second, AtMostOnce: true, Retry: &storage.Retry{}, Claims: []byte(`{"sub":"u1"}`),
		})
		id := mustInsert(tb, w, storage.Job{Function: "bells:crack", Due: testNow, EnqueuedAt: testNow, Retry: &storage.Retry{Limit: 9, Linear: true, Base: time.Second, Max: time.Minute}})
		for i := range 3 {
			mustEnd(tb, tx, id, storage.End{
				State: storage.StatePending, Due: testNow.Add(time.Duration(i) * time.Minute), StartedAt: testNow,
				Error: &storage.JobError{Code: "aborted", Message: "interrupted"}, Interrupted: true, Crashed: i < 2,
			})
		}
		if _, err := dingbats.Insert(w.Writer(), Dingbat{Name: "Gro\u00dfe Glocke \U0001f514 <&>\x00", Count: -1}); err != nil {
			tb.Fatal(err)
		}
	})
	mustClose(tb, s)
	s = mustOpen(tb, dir, withDingbats)
	mustUpdateJobs(tb, mustApp(tb, s, "a.second_APP-2"), func(w storage.JobWriter) {
		mustInsert(tb, w, storage.Job{Due: storage.MaxInstant})
		mustInsert(tb, w, storage.Job{Due: time.UnixMilli(1)})
	})
	if err := s.Abort(); err != nil {
		tb.Fatal(err)
	}
}

// mustWriteFixture makes the files of the format in dir.
func mustWriteFixture(t *testing.T, dir string, makeStore func(testing.TB, string), contents func(testing.TB, *storage.Store) string) {
	store := t.TempDir()
	makeStore(t, store)
	write := func(name string, data []byte) {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	err := fs.WalkDir(os.DirFS(store), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(store, name))
		if err != nil {
			return err
		}
		if strings.HasPrefix(name, "volume") {
			// The file is grown ahead: what is behind the last page in use is air.
			data = data[:(len(bytes.TrimRight(data, "\x00"))/4096+1)*4096]
		}
		var b bytes.Buffer
		zip := gzip.NewWriter(&b)
		_, err = zip.Write(data)
		err = errors.Join(err, zip.Close())
		write("store/"+name+".gz", b.Bytes())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, store, withDingbats)
	write("contents.txt", []byte(contents(t, s)))
	write("acme.export", mustExport(t, s, "acme"))
	mustClose(t, s)
}

// mustUnpack returns a store as the format's writer has left it.
func mustUnpack(tb testing.TB, format string) (dir string) {
	tb.Helper()
	dir = tb.TempDir()
	packed := filepath.Join(formatDir, format, "store")
	err := fs.WalkDir(os.DirFS(packed), ".", func(name string, e fs.DirEntry, err error) error {
		path := filepath.Join(dir, strings.TrimSuffix(name, ".gz"))
		if err != nil || e.IsDir() {
			return errors.Join(err, os.MkdirAll(path, 0o700))
		}
		data, err := os.ReadFile(filepath.Join(packed, name))
		if err != nil {
			return err
		}
		zip, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return err
		}
		if data, err = io.ReadAll(zip); err != nil {
			return err
		}
		return os.WriteFile(path, data, 0o600)
	})
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

// mustReadFixture reads a file of the format.
func mustReadFixture(tb testing.TB, format, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(formatDir, format, name))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// hasFormat says whether the file says that it has the format.
func hasFormat(tb testing.TB, path string, format byte) bool {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return bytes.Contains(data, append([]byte("format\x00\x00\x00\x00\x00\x00\x00"), format))
}

// TestG26_FormatV1: what the first format's writer wrote is read, to the last
// field, and can be worked with; so is an app that was exported then.
func TestG26_FormatV1(t *testing.T) { testFormat(t, "v1") }

// TestG26_FormatV2: so is what the second one's wrote, and was not closed.
func TestG26_FormatV2(t *testing.T) {
	if os.Getenv(writeFixture) != "" {
		mustWriteFixture(t, filepath.Join(formatDir, "v2"), makeFixture, contents)
	}
	testFormat(t, "v2")
}

// mustReadOnly unpacks the store of a fixture and opens it to be read: it shows what it is to
// show, and its files stay as they are.
func mustReadOnly(t *testing.T, format string, contents func(testing.TB, *storage.Store) string) (dir, want string) {
	t.Helper()
	want = string(mustReadFixture(t, format, "contents.txt"))
	dir = mustUnpack(t, format)
	before := files(t, dir)
	opts := withDingbats
	opts.ReadOnly = true
	read, err := storage.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	if got := contents(t, read); got != want {
		t.Errorf("opened to be read the store shows\n%s\nwant\n%s", got, want)
	}
	mustClose(t, read)
	if after := files(t, dir); !slices.Equal(after, before) {
		t.Errorf("opened to be read the files were changed from\n%q to\n%q", before, after)
	}
	return dir, want
}

// mustFixture opens the store of a fixture, and one that its export was brought into. Both are
// sound, and show what they are to show. The fixture is made first if that is asked for.
func mustFixture(t *testing.T, format string, makeStore func(testing.TB, string), contents func(testing.TB, *storage.Store) string) []*storage.Store {
	t.Helper()
	if os.Getenv(writeFixture) != "" {
		mustWriteFixture(t, filepath.Join(formatDir, format), makeStore, contents)
	}
	dir, want := mustReadOnly(t, format, contents)
	to := mustOpen(t, t.TempDir(), withDingbats)
	must(t, to.Import(t.Context(), "acme", bytes.NewReader(mustReadFixture(t, format, "acme.export"))))
	body := func(text string) string { _, text, _ = strings.Cut(text, "\n"); return text } // without the high-water mark
	stores := []*storage.Store{mustOpen(t, dir, withDingbats), to}
	for _, s := range stores {
		if got := contents(t, s); body(got) != body(want) {
			t.Errorf("the store shows\n%s\nwant\n%s", got, want)
		}
		must(t, s.Check())
	}
	return stores
}

func testFormat(t *testing.T, format string) {
	dir, want := mustReadOnly(t, format, contents)
	s := mustOpen(t, dir, withDingbats)
	if got := contents(t, s); got != want {
		t.Errorf("the volume shows\n%s\nwant\n%s", got, want)
	}
	alarms := map[storage.AppID]int64{}
	if err := s.Alarms(func(id storage.AppID, due time.Time) bool { alarms[id] = due.UnixMilli(); return true }); err != nil {
		t.Fatal(err)
	}
	if len(alarms) != 2 || alarms["acme"] != testNow.UnixMilli() || alarms["a.second_APP-2"] != 1 {
		t.Errorf("the alarms are %v", alarms)
	}

	to := mustOpen(t, t.TempDir(), withDingbats)
	if err := to.Import(t.Context(), "acme", bytes.NewReader(mustReadFixture(t, format, "acme.export"))); err != nil {
		t.Fatal(err)
	}
	_, app, _ := strings.Cut(want, "app acme\n")
	if _, got, _ := strings.Cut(contents(t, to), "app acme\n"); got != app {
		t.Errorf("the imported app shows\n%s\nwant\n%s", got, app)
	}

	for _, s := range []*storage.Store{s, to} {
		acme := mustApp(t, s, "acme")
		mustTx(t, acme, testNow.Add(time.Hour), func(tx *storage.Tx) {
			jobs, err := tx.Claimed()
			if err != nil || len(jobs) != 1 {
				t.Fatalf("claimed are %v, %v", jobs, err)
			}
			if _, err := tx.EndAttempt(jobs[0], storage.End{State: storage.StateSuccess}); err != nil {
				t.Error(err)
			}
			mustInsert(t, tx.JobWriter(), storage.Job{})
			if ok, err := tx.RetryDead("dead"); !ok || err != nil {
				t.Errorf("retry a dead job: %v, %v", ok, err)
			}
			if n, err := dingbats.Query(tx.Writer()).By("by_name").Count(); n != 4 || err != nil {
				t.Errorf("%d documents in the index, %v, want 4", n, err)
			}
			if _, err := dingbats.Insert(tx.Writer(), Dingbat{Name: "new"}); err != nil {
				t.Error(err)
			}
		})
		mustClose(t, s)
	}
}
