package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gproto "google.golang.org/protobuf/proto"

	"carillon/proto"
	"carillon/storage"
	"carillon/storage/internal/kv"
)

// dumpApp spells all that a reader shows of an app, one line for each job and
// each dingbat, trigger and slot.
func dumpApp(tb testing.TB, r storage.Reader) (lines []string) {
	tb.Helper()
	for job, err := range r.System().All(storage.JobFilter{}) {
		if err != nil {
			tb.Fatal(err)
		}
		lines = append(lines, jobText(job))
	}
	for d, err := range dingbats.Query(r).All() {
		if err != nil {
			tb.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s %+q %d", d.ID, d.Value.Name, d.Value.Count))
	}
	return append(lines, triggerTexts(tb, r)...)
}

// mustDump is dumpApp of the app's committed state.
func mustDump(tb testing.TB, s *storage.Store, id storage.AppID) (lines []string) {
	tb.Helper()
	app, err := s.App(id)
	if err != nil {
		tb.Fatal(err)
	}
	mustRead(tb, app, func(r storage.Reader) { lines = dumpApp(tb, r) })
	return lines
}

// mustApps are the apps of the store.
func mustApps(tb testing.TB, s *storage.Store) []storage.AppID {
	tb.Helper()
	apps, err := s.Apps()
	if err != nil {
		tb.Fatal(err)
	}
	return apps
}

// countKeys is how many keys all apps of the store have, doomed ones included.
func countKeys(tb testing.TB, s *storage.Store) (n int) {
	tb.Helper()
	err := s.ReadVolume(0, func(snap *kv.Snapshot) error {
		c := snap.Cursor(kv.Data)
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			n++
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// doomed is how many apps wait for garbage collection.
func doomed(tb testing.TB, s *storage.Store) int {
	tb.Helper()
	n, err := s.Doomed()
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

var withDingbats = storage.Options{Tables: []storage.Schema{dingbats}}

// disowned is the exported entry as an import writes it: a claim is no store's any more.
func disowned(tb testing.TB, entry []byte) []byte {
	tb.Helper()
	var e proto.ExportEntry
	if err := e.UnmarshalVT(entry); err != nil || len(e.Key) == 0 || e.Key[0] != 'r' {
		return entry
	}
	var c proto.Claim
	if err := c.UnmarshalVT(e.Value); err != nil {
		tb.Fatal(err)
	}
	c.Incarnation, c.Token, c.ClaimedAtMs = 0, 0, 0
	value, err := c.MarshalVT()
	if err == nil {
		e.Value = value
		entry, err = e.MarshalVT()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return entry
}

// TestG26_ExportAndImportRoundTrip: an imported app is what was exported, to the
// last key, under the same name in another store and under another name beside
// the first; and it works on its own from then on.
func TestG26_ExportAndImportRoundTrip(t *testing.T) {
	from, to := mustOpen(t, t.TempDir(), withDingbats), mustOpen(t, t.TempDir(), withDingbats)
	mustFillApp(t, mustApp(t, to, "resident"))
	app := mustApp(t, from, "acme")
	mustFillApp(t, app)
	stream := mustExport(t, from, "acme")
	want := mustDump(t, from, "acme")
	if len(want) != 13 {
		t.Fatalf("the app shows %d lines, want 13: %q", len(want), want)
	}
	for _, tt := range []struct {
		store *storage.Store
		id    storage.AppID
	}{{to, "acme"}, {to, "other"}, {from, "copy"}} {
		if err := tt.store.Import(t.Context(), tt.id, bytes.NewReader(stream)); err != nil {
			t.Fatalf("import as %s: %v", tt.id, err)
		}
		if got := mustDump(t, tt.store, tt.id); !slices.Equal(got, want) {
			t.Errorf("%s shows %q, want %q", tt.id, got, want)
		}
		again := splitStream(t, mustExport(t, tt.store, tt.id))
		for i, r := range splitStream(t, stream) {
			if want := disowned(t, r.body); r.kind == 'E' && !bytes.Equal(again[i].body, want) {
				t.Errorf("record %d of %s is %q, want %q", i, tt.id, again[i].body, want)
			}
		}
		if err := tt.store.Import(t.Context(), tt.id, bytes.NewReader(stream)); !errors.Is(err, storage.ErrExists) {
			t.Errorf("import as %s once more: %v, want ErrExists", tt.id, err)
		}
	}
	alarms := map[storage.AppID]time.Time{}
	if err := to.Alarms(func(id storage.AppID, due time.Time) bool { alarms[id] = due; return true }); err != nil {
		t.Fatal(err)
	}
	if !alarms["acme"].Equal(testNow) || !alarms["other"].Equal(testNow) || len(alarms) != 3 {
		t.Errorf("alarms are %v", alarms)
	}

	// The copies have a life of their own, and go on with their numbers.
	copied := mustApp(t, to, "other")
	mustTx(t, copied, testNow, func(tx *storage.Tx) {
		jobs, err := tx.Claimed()
		if err != nil || len(jobs) != 1 || jobs[0].ID != "claimed" {
			t.Fatalf("claimed jobs of the copy: %v, %v", jobs, err)
		}
		if _, err := tx.EndAttempt(jobs[0], storage.End{State: storage.StateSuccess}); err != nil {
			t.Error(err)
		}
		mustInsert(t, tx.JobWriter(), storage.Job{})
	})
	if got := mustDump(t, to, "acme"); !slices.Equal(got, want) {
		t.Errorf("a change of the copy changed the other: %q", got)
	}
	if _, ok, err := storedJob(t, app, "claimed"); !ok || err != nil {
		t.Errorf("the first: %v, %v", ok, err)
	}
}

func storedJob(tb testing.TB, app *storage.App, id storage.JobID) (job storage.Job, ok bool, err error) {
	tb.Helper()
	mustRead(tb, app, func(r storage.Reader) { job, ok, err = r.System().Get(id) })
	return job, ok, err
}

// TestG2_ExportIsOneMomentOfALivingApp: while a writer changes documents and jobs
// together, every export shows them together.
func TestG2_ExportIsOneMomentOfALivingApp(t *testing.T) {
	s := mustOpen(t, t.TempDir(), withDingbats)
	app := mustApp(t, s, "acme")
	var stop atomic.Bool
	stopped := make(chan error, 1)
	go func() {
		stopped <- func() error {
			var ids []storage.ID[Dingbat]
			for n := 0; !stop.Load(); n++ {
				// The window of documents and the window of jobs move on together.
				tx := app.Begin(testNow.Add(time.Duration(n) * time.Millisecond))
				id, err := dingbats.Insert(tx.Writer(), Dingbat{Name: fmt.Sprint("job", n)})
				if err != nil {
					return err
				}
				ids = append(ids, id)
				if _, err := tx.JobWriter().InsertJob(storage.Job{ID: storage.JobID(fmt.Sprint("job", n)), Function: "a:b", Due: testNow}); err != nil {
					return err
				}
				if n >= 20 {
					if err := dingbats.Delete(tx.Writer(), ids[n-20]); err != nil {
						return err
					}
					if answer, err := tx.JobWriter().CancelJob(storage.JobID(fmt.Sprint("job", n-20))); err != nil || !answer.Canceled {
						return fmt.Errorf("cancel: %+v, %w", answer, err)
					}
				}
				wait := make(chan error, 1)
				if err := tx.Commit(func(err error) { wait <- err }); err != nil {
					return err
				}
				// Some are submitted while the one before is on its way.
				if n%3 == 0 {
					if err := <-wait; err != nil {
						return err
					}
				}
			}
			settled := make(chan error, 1)
			app.Begin(testNow).Rollback(func(err error) { settled <- err })
			return <-settled
		}()
	}()
	defer func() {
		stop.Store(true)
		if err := <-stopped; err != nil {
			t.Errorf("writer: %v", err)
		}
	}()
	for made := 0; made < 15; {
		var b bytes.Buffer
		if err := s.Export(t.Context(), "acme", &b); errors.Is(err, storage.ErrNotFound) {
			continue // the writer has not begun
		} else if err != nil {
			t.Fatal(err)
		}
		id := storage.AppID(fmt.Sprint("copy", made))
		if err := s.Import(t.Context(), id, &b); err != nil {
			t.Fatal(err)
		}
		made++
		imported, err := s.App(id)
		if err != nil {
			t.Fatal(err)
		}
		var jobs, docs []string
		mustRead(t, imported, func(r storage.Reader) {
			for job, err := range r.System().All(storage.JobFilter{States: []storage.State{storage.StatePending}}) {
				if err != nil {
					t.Fatal(err)
				}
				jobs = append(jobs, string(job.ID))
			}
			for d, err := range dingbats.Query(r).All() {
				if err != nil {
					t.Fatal(err)
				}
				docs = append(docs, d.Value.Name)
			}
		})
		if !slices.Equal(jobs, docs) || len(jobs) > 20 || len(jobs) == 0 {
			t.Errorf("export %d has jobs %v and documents %v", made, jobs, docs)
		}
	}
}

// TestG6_ABlockedExportHoldsNothingUp: while the writer of an export blocks, the
// volume can be opened anew, which waits for every snapshot; and the export is whole.
func TestG6_ABlockedExportHoldsNothingUp(t *testing.T) {
	for _, size := range []int{10, 400 << 10} { // in memory, and in a file
		f := newFaults()
		opts := withDingbats
		opts.Fault = f.at
		dir := t.TempDir()
		s := mustOpen(t, dir, opts)
		app := mustApp(t, s, "acme")
		for i := range 5 {
			mustTx(t, app, testNow, func(tx *storage.Tx) {
				mustInsert(t, tx.JobWriter(), storage.Job{Args: fmt.Appendf(nil, `"%0*d"`, size, i)})
			})
		}
		want := mustDump(t, s, "acme")
		var stream bytes.Buffer
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
					t.Error("the volume waits for the export's writer")
				}
				f.fail("commit", nil)
			}
			return stream.Write(p)
		})
		if err := s.Export(t.Context(), "acme", w); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(app.Reload(), s.Import(t.Context(), "copy", &stream)); err != nil {
			t.Fatal(err)
		}
		if got := mustDump(t, s, "copy"); !slices.Equal(got, want) {
			t.Errorf("with arguments of %d bytes the export has %d lines, want %d", size, len(got), len(want))
		}
		if left, err := filepath.Glob(filepath.Join(dir, "spool*")); len(left) > 0 || err != nil {
			t.Errorf("the export has left %v, %v", left, err)
		}
	}
}

// TestDamagedStreamIsRefused: a stream cut anywhere, with any record left out,
// doubled or swapped, or with any one bit turned, makes no app.
func TestDamagedStreamIsRefused(t *testing.T) {
	s := mustOpen(t, t.TempDir(), withDingbats)
	mustFillApp(t, mustApp(t, s, "acme"))
	stream := mustExport(t, s, "acme")
	records := splitStream(t, stream)
	refused := func(what string, stream []byte) {
		t.Helper()
		err := s.Import(t.Context(), "copy", bytes.NewReader(stream))
		if !errors.Is(err, storage.ErrCorrupt) && !errors.Is(err, storage.ErrFormat) {
			t.Fatalf("%s: %v, want ErrCorrupt or ErrFormat", what, err)
		}
		if apps := mustApps(t, s); !slices.Equal(apps, []storage.AppID{"acme"}) {
			t.Fatalf("%s: the apps are %v", what, apps)
		}
	}
	for n := range records {
		cut := joinStream(records[:n])
		refused(fmt.Sprintf("cut behind %d records", n), cut)
		refused(fmt.Sprintf("cut a byte behind %d records", n), stream[:len(cut)+1])
		if n > 0 {
			refused(fmt.Sprintf("cut a byte before the end of %d records", n), cut[:len(cut)-1])
		}
		refused(fmt.Sprintf("without record %d", n), joinStream(slices.Delete(slices.Clone(records), n, n+1)))
		if n+1 < len(records) {
			refused(fmt.Sprintf("record %d doubled", n), joinStream(slices.Insert(slices.Clone(records), n, records[n])))
			swapped := slices.Clone(records)
			swapped[n], swapped[n+1] = swapped[n+1], swapped[n]
			refused(fmt.Sprintf("records %d and %d swapped", n, n+1), joinStream(swapped))
		}
	}
	refused("only the magic", []byte(streamMagic))
	refused("half the magic", []byte(streamMagic)[:10])
	refused("nothing", nil)
	refused("another magic", bytes.ToUpper(stream))
	entries := len(joinStream(records[:1]))
	trailer := len(joinStream(records[:len(records)-1]))
	for i := range stream {
		for bit := range 8 {
			if i > entries && i < trailer && bit != i%8 {
				continue // one bit of each byte will do between header and trailer
			}
			damaged := slices.Clone(stream)
			damaged[i] ^= 1 << bit
			refused(fmt.Sprintf("bit %d of byte %d turned", bit, i), damaged)
		}
	}
}

// TestImportOfAnUnknownFormatIsRefused: a stream or a record of a later version
// is not guessed at.
func TestImportOfAnUnknownFormatIsRefused(t *testing.T) {
	s := mustOpen(t, t.TempDir(), withDingbats)
	mustFillApp(t, mustApp(t, s, "acme"))
	stream := mustExport(t, s, "acme")
	records := splitStream(t, stream)
	later, err := gproto.Marshal(&proto.ExportHeader{Version: 2, App: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	records[0].body = later
	if err := s.Import(t.Context(), "copy", bytes.NewReader(joinStream(records))); !errors.Is(err, storage.ErrFormat) {
		t.Errorf("a later stream: %v, want ErrFormat", err)
	}
	for _, tag := range "mqrhxscl" {
		entries := streamEntries(t, stream)
		i := slices.IndexFunc(entries, func(e *proto.ExportEntry) bool { return e.Key[0] == byte(tag) })
		if i < 0 || entries[i].Value[0] != 8 || entries[i].Value[1] != 1 {
			t.Fatalf("no record of kind %c that begins with version 1", tag)
		}
		entries[i].Value[1] = 2
		if err := s.Import(t.Context(), "copy", bytes.NewReader(sealStream(t, entries))); !errors.Is(err, storage.ErrFormat) {
			t.Errorf("a later record of kind %c: %v, want ErrFormat", tag, err)
		}
	}
	if apps := mustApps(t, s); len(apps) != 1 {
		t.Errorf("the apps are %v", apps)
	}
}

// TestTransferErrors: what there is not cannot be exported or deleted, and a
// call that is given up changes nothing.
func TestTransferErrors(t *testing.T) {
	s := mustOpen(t, t.TempDir(), withDingbats)
	if err := s.Export(t.Context(), "nobody", io.Discard); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("export: %v, want ErrNotFound", err)
	}
	if err := s.Delete("nobody"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("delete: %v, want ErrNotFound", err)
	}
	mustFillApp(t, mustApp(t, s, "acme"))
	stream := mustExport(t, s, "acme")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Export(ctx, "acme", io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("export given up: %v", err)
	}
	if err := s.Import(ctx, "copy", bytes.NewReader(stream)); !errors.Is(err, context.Canceled) {
		t.Errorf("import given up: %v", err)
	}
	mine := errors.New("mine")
	if err := s.Export(t.Context(), "acme", writerFunc(func([]byte) (int, error) { return 0, mine })); !errors.Is(err, mine) {
		t.Errorf("export to a writer that fails: %v", err)
	}
	broken := io.MultiReader(bytes.NewReader(stream[:len(stream)/2]), readerFunc(func([]byte) (int, error) { return 0, mine }))
	if err := s.Import(t.Context(), "copy", broken); !errors.Is(err, mine) {
		t.Errorf("import from a reader that fails: %v", err)
	}
	if apps := mustApps(t, s); len(apps) != 1 {
		t.Errorf("the apps are %v", apps)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// bigStream is an exported app of more than one commit.
func bigStream(tb testing.TB) []byte {
	tb.Helper()
	s := mustOpen(tb, tb.TempDir(), withDingbats)
	app := mustApp(tb, s, "acme")
	mustFillApp(tb, app)
	mustUpdateJobs(tb, app, func(w storage.JobWriter) {
		for range 5 {
			if _, err := dingbats.Insert(w.Writer(), Dingbat{Name: "big", Count: 1}); err != nil {
				tb.Fatal(err)
			}
			mustInsert(tb, w, storage.Job{Args: []byte(`"` + strings.Repeat("x", 1<<20) + `"`)})
		}
	})
	return mustExport(tb, s, "acme")
}

// TestG2_ImportCutOffByACrashLeavesNothing: the process dies at any part of the
// stream; the next owner finds no app and collects what there was of it.
func TestG2_ImportCutOffByACrashLeavesNothing(t *testing.T) {
	stream := bigStream(t)
	for part := range 6 {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			s := mustOpen(t, dir, withDingbats)
			at := len(stream) * min(part, 4) / 4
			var crashed error
			crash := readerFunc(func([]byte) (int, error) {
				crashed = s.Abort()
				return 0, io.ErrClosedPipe
			})
			if part == 5 { // right after the import
				if err := errors.Join(s.Import(t.Context(), "copy", bytes.NewReader(stream)), s.Abort()); err != nil {
					t.Fatal(err)
				}
			} else {
				// Part 4 is the end of the stream: that it is the end has to be read, too.
				err := s.Import(t.Context(), "copy", io.MultiReader(bytes.NewReader(stream[:at]), crash, bytes.NewReader(stream[at:])))
				if err == nil || crashed != nil {
					t.Fatalf("import: %v, crash: %v", err, crashed)
				}
			}
			s = mustOpen(t, dir, withDingbats)
			synctest.Wait() // for the garbage collection
			if part == 5 {
				if n := doomed(t, s); n != 0 || len(mustDump(t, s, "copy")) != 23 {
					t.Errorf("the imported app shows %d lines, and %d apps are doomed", len(mustDump(t, s, "copy")), n)
				}
				return
			}
			if apps, n, keys := mustApps(t, s), doomed(t, s), countKeys(t, s); len(apps) != 0 || n != 0 || keys != 0 {
				t.Errorf("after a crash at byte %d there are apps %v, %d doomed, %d keys", at, apps, n, keys)
			}
			if err := s.Import(t.Context(), "copy", bytes.NewReader(stream)); err != nil {
				t.Errorf("the import anew: %v", err)
			}
		})
	}
}

// TestG6_ImportWithCommitErrors: each commit of an import fails, before or after
// it took effect. The app is whole or not there at all, and a whole one is never collected.
func TestG6_ImportWithCommitErrors(t *testing.T) {
	stream := bigStream(t)
	for _, point := range []string{"commit", "committed"} {
		for n := 1; ; n++ {
			finished := false
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				var left atomic.Int64
				opts := withDingbats
				opts.Fault = func(at string) error {
					if at == point && left.Add(-1) == 0 {
						return errors.New("no such luck")
					}
					return nil
				}
				s := mustOpen(t, dir, opts)
				left.Store(int64(n))
				err := s.Import(t.Context(), "copy", bytes.NewReader(stream))
				if finished = err == nil && left.Load() > 0; err != nil && !errors.Is(err, storage.ErrUnknownOutcome) {
					t.Errorf("fault %d at %s: %v, want ErrUnknownOutcome", n, point, err)
				}
				for range 2 {
					// The committer does whatever it has left to do when it is next asked for something.
					other, err2 := s.App("other")
					if err2 != nil {
						t.Fatal(err2)
					}
					other.Begin(testNow).Rollback(func(error) {})
					synctest.Wait()
					if err := s.Check(); err != nil {
						t.Errorf("fault %d at %s: %v", n, point, err)
					}
					if slices.Contains(mustApps(t, s), "copy") {
						if lines := mustDump(t, s, "copy"); len(lines) != 23 {
							t.Errorf("fault %d at %s: the app shows %d lines, want 23", n, point, len(lines))
						}
					} else if err == nil {
						t.Errorf("fault %d at %s: the acknowledged app is not there", n, point)
					}
					mustClose(t, s)
					s = mustOpen(t, dir, withDingbats)
				}
				synctest.Wait()
				if n := doomed(t, s); n != 0 {
					t.Errorf("%d apps are doomed still", n)
				}
				if len(mustApps(t, s)) == 0 && countKeys(t, s) != 0 {
					t.Errorf("%d keys are left", countKeys(t, s))
				}
			})
			if finished {
				if n < 4 {
					t.Errorf("an import of %d commits: the stream is too short for the test", n-1)
				}
				break
			}
		}
	}
}

// TestDeleteFreesTheNameAtOnce: the name is free when Delete returns; a new app
// of the name sees nothing of the old one, whose keys go away behind it.
func TestDeleteFreesTheNameAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := mustOpen(t, dir, withDingbats)
		mustFillApp(t, mustApp(t, s, "acme"))
		mustFillApp(t, mustApp(t, s, "resident"))
		want := mustDump(t, s, "resident")
		resident := countKeys(t, s) / 2
		for range 3 {
			if err := s.Delete("acme"); err != nil {
				t.Fatal(err)
			}
			if apps := mustApps(t, s); !slices.Equal(apps, []storage.AppID{"resident"}) {
				t.Errorf("after the delete the apps are %v", apps)
			}
			if lines := mustDump(t, s, "acme"); len(lines) != 0 {
				t.Errorf("the deleted app shows %q", lines)
			}
			if err := s.Alarms(func(id storage.AppID, _ time.Time) bool {
				if id == "acme" {
					t.Error("the deleted app has an alarm")
				}
				return true
			}); err != nil {
				t.Fatal(err)
			}
			mustFillApp(t, mustApp(t, s, "acme"))
		}
		if err := s.Delete("acme"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n, keys := doomed(t, s), countKeys(t, s); n != 0 || keys != resident {
			t.Errorf("%d apps are doomed, %d keys left, want 0 and %d", n, keys, resident)
		}
		if got := mustDump(t, s, "resident"); !slices.Equal(got, want) {
			t.Errorf("the other app shows %q, want %q", got, want)
		}
	})
}

// TestGarbageCollectionIsBoundedAndGoesOn: the keys of a big deleted app go a few with each
// commit, living apps commit in between, and a collection that a crash or an error
// cut off goes on when the store is opened again.
func TestGarbageCollectionIsBoundedAndGoesOn(t *testing.T) {
	const keys = 5000 // of jobs; 2,000 keys go with each commit
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := mustOpen(t, dir, withDingbats)
		app := mustApp(t, s, "big")
		mustUpdateJobs(t, app, func(w storage.JobWriter) {
			for range keys {
				mustInsert(t, w, storage.Job{})
			}
		})
		mustClose(t, s)

		// The first owner that tries to collect garbage meets an error.
		opts := withDingbats
		opts.Fault = func(point string) error {
			if point == "gc" {
				return errors.New("not now")
			}
			return nil
		}
		s = mustOpen(t, dir, opts)
		if err := s.Delete("big"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n, left := doomed(t, s), countKeys(t, s); n != 1 || left != keys+1 {
			t.Errorf("after the error %d apps are doomed and %d keys left, want 1 and %d", n, left, keys+1)
		}
		mustFillApp(t, mustApp(t, s, "small"))
		small := countKeys(t, s) - keys - 1
		mustClose(t, s)

		// The next dies between two steps.
		step := make(chan bool)
		opts.Fault = func(point string) error {
			if point == "gc" && !<-step {
				return errors.New("the process is dead")
			}
			return nil
		}
		s = mustOpen(t, dir, opts)
		step <- true
		synctest.Wait() // at the gate of the second step
		if n, left := doomed(t, s), countKeys(t, s); n != 1 || left != keys+1-2000+small {
			t.Errorf("after a step %d apps are doomed and %d keys left, want 1 and %d", n, left, keys+1-2000+small)
		}
		if err := s.Check(); err != nil {
			t.Errorf("check between two steps: %v", err)
		}
		close(step)
		if err := s.Abort(); err != nil {
			t.Fatal(err)
		}

		s = mustOpen(t, dir, withDingbats)
		mustFillApp(t, mustApp(t, s, "other"))
		synctest.Wait()
		if n, left := doomed(t, s), countKeys(t, s); n != 0 || left != 2*small {
			t.Errorf("in the end %d apps are doomed and %d keys left, want 0 and %d", n, left, 2*small)
		}
	})
}
