package isolation_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	gproto "google.golang.org/protobuf/proto"

	"carillon/dispatch"
	"carillon/internal/proof"
	"carillon/proto"
	"carillon/storage"
)

// isoRecords are the kinds of records of an app, with the tag in their keys.
var isoRecords = []struct {
	kind    string
	tag     byte
	seen    bool // by the check: nobody but the function knows what a document is to be
	unfit   bool // without it functions that use the table cannot run
	ruinous bool // without it the app cannot be served at all
}{
	{kind: "counters", tag: 'm', seen: true, ruinous: true},
	{kind: "job", tag: 'q', seen: true},
	{kind: "claim", tag: 'r', seen: true},
	{kind: "finished job", tag: 'h', seen: true},
	{kind: "dead job", tag: 'x', seen: true},
	{kind: "job id", tag: 'k', seen: true},
	{kind: "trigger", tag: 'c', seen: true},
	{kind: "slot", tag: 'l', seen: true},
	{kind: "table", tag: 's', seen: true, unfit: true},
	{kind: "document", tag: 't'},
}

// isoVictim is the app whose records are written over.
const isoVictim = storage.AppID("victim")

// isoCorrupt writes garbage over a record of one app, of every kind, while the
// engine is down: with its checksum, as a wrong program would, and without, as a disk
// would. The check says what is wrong, the engine opens and serves the others as if
// nothing were; the app itself is served as far as that can be.
func isoCorrupt(t *testing.T, tally *proof.Tally) {
	furnished, interrupted := isoFurnish(t, tally)
	garbages := [][]byte{{0xff, 0xff, 0xff}, {}, []byte("{]"), bytes.Repeat([]byte{8}, 100)}
	for _, record := range isoRecords {
		for i := range 2 * proof.Pick(1, 2, len(garbages)) {
			garbage, sealed := garbages[i/2], i%2 == 0
			tally.Tried(1)
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(furnished)); err != nil {
				t.Fatal(err)
			}
			isoWriteOver(t, dir, record.tag, garbage, sealed)
			if err := isoCheck(t, dir); (record.seen || !sealed) && err == nil {
				tally.Other("the check finds nothing wrong with a %s that is %q, with a checksum %t", record.kind, garbage, sealed)
			}
			s := openStreet(t, tally, dir)
			s.watch(50*time.Millisecond, func(context.Context) {})
			s.served(record.kind, record.unfit, record.ruinous)
			if !record.ruinous {
				s.recovered(record.kind, interrupted)
			}
			s.close()
		}
	}
}

// isoCheck returns what the check says before an engine is there, which mends some
// of it: a claim is gone as soon as its app is awake.
func isoCheck(t *testing.T, dir string) error {
	t.Helper()
	store, err := storage.Open(dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	return store.Check()
}

// served demands that the victim is served as far as it can be, and soon told
// where it cannot.
func (s *street) served(kind string, unfit, ruinous bool) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	app := s.app(isoVictim)
	works := func(what string, err error) {
		if (err != nil) != ruinous || dispatch.AsError(err) != nil && dispatch.AsError(err).Code == dispatch.CodeDeadlineExceeded {
			s.tally.Other("the app has a corrupt %s: %s: %v", kind, what, err)
		}
	}
	_, err := isoNothing.Run(app.As(ctx, nil), isoNone{})
	works("a mutation", err)
	if !unfit {
		_, err = isoAdd.Run(app.As(ctx, nil), isoNote{isoVictim, "new"})
		works("a mutation that writes", err)
	}
	id, err := app.Scheduler(ctx).RunAfter(0, isoNothing.With(isoNone{}))
	works("a schedule", err)
	for err == nil {
		job, ok, err := app.Scheduler(ctx).Get(id)
		if err != nil || !ok {
			s.tally.Lost("the app has a corrupt %s: its new job is known %v, %v", kind, ok, err)
			return
		}
		if job.State == storage.StateSuccess {
			return
		}
		time.Sleep(time.Millisecond) // for the next look, until ctx ends
	}
}

// recovered demands that of the interrupted jobs at most one, that whose record
// it is, is not taken up again.
func (s *street) recovered(kind string, interrupted []storage.JobID) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	for ended := 0; ended < len(interrupted)-1; time.Sleep(time.Millisecond) { // for the next look, until ctx ends
		ended = 0
		for _, id := range interrupted {
			job, _, err := s.app(isoVictim).Scheduler(ctx).Get(id)
			if ctx.Err() != nil {
				s.tally.Lost("the app has a corrupt %s: %d of %d interrupted jobs have run again: %+v, %v", kind, ended, len(interrupted), job, err)
				return
			}
			if err == nil && job.State == storage.StateSuccess {
				ended++
			}
		}
	}
}

// isoFurnish returns a directory in which the victim has a record of every kind,
// and the jobs that ran when the engine was cut off.
func isoFurnish(t *testing.T, tally *proof.Tally) (furnished string, interrupted []storage.JobID) {
	dir := t.TempDir()
	s := openStreet(t, tally, dir)
	s.watch(50*time.Millisecond, func(context.Context) {})
	app := s.app(isoVictim)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	schedule := func(call dispatch.Call, d time.Duration, opts ...dispatch.RunOption) storage.JobID {
		t.Helper()
		id, err := app.Scheduler(t.Context()).RunAfter(d, call, opts...)
		must(err)
		return id
	}
	for _, name := range []string{"one", "two", "three"} {
		_, err := isoAdd.Run(app.As(t.Context(), nil), isoNote{isoVictim, name})
		must(err)
		schedule(isoAdd.With(isoNote{isoVictim, "later " + name}), time.Hour)
	}
	schedule(isoNothing.With(isoNone{}), time.Hour, dispatch.ID("chosen"))
	schedule(isoNothing.With(isoNone{}), 0)
	schedule(isoFails.With(isoNone{}), 0, dispatch.NoRetry())
	awaitQuiet(t, app, time.Now().Add(time.Second)) // dues are rounded up to whole milliseconds
	must(app.Scheduler(t.Context()).Crons().Create(isoDaily("ticks")))
	info, _, err := app.Scheduler(t.Context()).Crons().Get("ticks")
	must(err)
	_, err = app.Scheduler(t.Context()).Cancel(info.NextJob) // leaves a slot
	must(err)
	for range 3 {
		interrupted = append(interrupted, schedule(isoHangs.With(isoNone{}), 0))
	}
	for !slices.ContainsFunc(isoJobs(t, app), func(job storage.Job) bool {
		return job.ID == interrupted[2] && job.State == storage.StateRunning
	}) {
		time.Sleep(time.Millisecond) // for the next look
	}
	// They are claimed, and a later commit that is durable says that so are their claims.
	_, err = isoNothing.Run(app.As(t.Context(), nil), isoNone{})
	must(err)
	must(s.abort())
	// What is in the log only is brought into the files.
	store, err := storage.Open(dir, storage.Options{})
	must(err)
	must(store.Close())
	return dir, interrupted
}

// isoSealed is the value with the checksum that the file has in front of it, of the fifth
// space.
func isoSealed(key, value []byte) []byte {
	sum := crc32.Checksum(slices.Concat([]byte{4}, key, value), crc32.MakeTable(crc32.Castagnoli))
	return append(binary.BigEndian.AppendUint32([]byte{0x9c}, sum), value...)
}

// isoWriteOver writes over the first record of the kind that the victim has.
func isoWriteOver(t *testing.T, dir string, tag byte, garbage []byte, sealed bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	hit := false
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Size() == 0 || info.IsDir() {
			continue
		}
		db, err := bolt.Open(file, 0o600, &bolt.Options{Timeout: time.Second})
		if err != nil {
			continue // it is no volume
		}
		err = db.Update(func(tx *bolt.Tx) error {
			stored := tx.Bucket([]byte("apps")).Get([]byte(isoVictim))
			if stored == nil {
				return nil // it is in another one
			}
			var entry proto.AppEntry
			if err := gproto.Unmarshal(stored[5:], &entry); err != nil {
				return err
			}
			data := tx.Bucket([]byte("data"))
			prefix := append(binary.BigEndian.AppendUint32(nil, entry.Number), tag)
			if key, _ := data.Cursor().Seek(prefix); bytes.HasPrefix(key, prefix) {
				hit = true
				if sealed {
					garbage = isoSealed(key, garbage)
				}
				return data.Put(bytes.Clone(key), garbage)
			}
			return nil
		})
		if closed := db.Close(); err != nil || closed != nil {
			t.Fatal(err, closed)
		}
	}
	if !hit {
		t.Fatalf("the app has no record with the tag %q", tag)
	}
}
