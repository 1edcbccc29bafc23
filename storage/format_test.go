package storage_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// formatDir holds what the first release wrote: a volume, one of its apps as an
// exported stream, and what a reader must find in them. Later versions of the
// format get a directory of their own, and this one stays for ever.
const formatDir = "../testdata/format/v1"

// writeFixture has TestG26_FormatV1 write its files anew. It is for the time
// before the first release only.
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
	mustUpdateJobs(tb, mustApp(tb, s, "a.second_APP-2"), func(w storage.JobWriter) {
		mustInsert(tb, w, storage.Job{Due: storage.MaxInstant})
		mustInsert(tb, w, storage.Job{Due: time.UnixMilli(1)})
	})
	mustClose(tb, s)
}

// mustWriteFixture makes the files of formatDir.
func mustWriteFixture(t *testing.T) {
	dir := t.TempDir()
	makeFixture(t, dir)
	s := mustOpen(t, dir, withDingbats)
	if err := os.MkdirAll(formatDir, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(formatDir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("contents.txt", []byte(contents(t, s)))
	write("acme.export", mustExport(t, s, "acme"))
	mustClose(t, s)
	data, err := os.ReadFile(volume(dir, 0))
	if err != nil {
		t.Fatal(err)
	}
	// The file is grown ahead: what is behind the last page in use is air.
	end := len(bytes.TrimRight(data, "\x00"))
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	if _, err := zip.Write(data[:(end/4096+1)*4096]); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	write("volume-000.db.gz", b.Bytes())
}

// mustReadFixture reads one of the files of formatDir.
func mustReadFixture(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(formatDir, name))
	if err != nil {
		tb.Fatal(err)
	}
	if !strings.HasSuffix(name, ".gz") {
		return data
	}
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		tb.Fatal(err)
	}
	if data, err = io.ReadAll(zip); err != nil {
		tb.Fatal(err)
	}
	return data
}

// TestG26_FormatV1: what the first format's writer wrote is read, to the last
// field, and can be worked with; so is an app that was exported then.
func TestG26_FormatV1(t *testing.T) {
	if os.Getenv(writeFixture) != "" {
		mustWriteFixture(t)
	}
	want := string(mustReadFixture(t, "contents.txt"))
	dir := t.TempDir()
	if err := os.WriteFile(volume(dir, 0), mustReadFixture(t, "volume-000.db.gz"), 0o600); err != nil {
		t.Fatal(err)
	}
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
	if err := to.Import(t.Context(), "acme", bytes.NewReader(mustReadFixture(t, "acme.export"))); err != nil {
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
