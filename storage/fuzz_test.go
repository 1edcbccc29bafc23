package storage_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"testing"
	"time"

	"carillon/proto"
	"carillon/storage"
)

// FuzzJobRecord: whatever the bytes, reading them as a job is an error or a
// job, and a job that was read is written down so that the same is read again.
func FuzzJobRecord(f *testing.F) {
	f.Add(int64(1_800_000_000_000), uint64(7), []byte{})
	f.Add(int64(1_800_000_000_000), uint64(7), []byte{8, 1})
	f.Add(int64(1_800_000_000_000), uint64(7), []byte{8, 2})
	for _, job := range []storage.Job{
		{ID: "chosen", Function: "a:b", Args: []byte("{}"), State: storage.StatePending, Due: testNow, ScheduledFor: testNow, EnqueuedAt: testNow},
		{
			ID: "x", Function: "a:b", State: storage.StateFailed, Due: testNow, ScheduledFor: testNow, StartedAt: testNow, CompletedAt: testNow,
			Attempts: 3, Failures: 2, Interruptions: 1, Error: &storage.JobError{Code: "internal", Message: "oops"},
			History: []storage.Attempt{{Number: 1, Due: testNow, StartedAt: testNow, EndedAt: testNow, Error: storage.JobError{Code: "c", Message: "m"}, Interrupted: true, Unsure: true}},
			Retry:   &storage.Retry{Limit: 5, Linear: true, Base: time.Second, Max: time.Hour, Jitter: true}, NotKept: &storage.NotKept{Bytes: 5, Reason: "long"}, AtMostOnce: true, Timeout: time.Minute, Claims: []byte(`{"sub":"u"}`),
		},
	} {
		f.Add(testNow.UnixMilli(), uint64(9), storage.EncodeJob(job))
	}
	f.Fuzz(func(t *testing.T, ms int64, seq uint64, data []byte) {
		job, err := storage.DecodeJob(ms, seq, data)
		if err != nil {
			if !errors.Is(err, storage.ErrCorrupt) && !errors.Is(err, storage.ErrFormat) {
				t.Errorf("%v is neither ErrCorrupt nor ErrFormat", err)
			}
			return
		}
		// Instants and spans out of all bounds are normalized by the first writing.
		if job, err = storage.DecodeJob(ms, seq, storage.EncodeJob(job)); err != nil {
			t.Fatalf("written down again it is not read: %v", err)
		}
		again, err := storage.DecodeJob(ms, seq, storage.EncodeJob(job))
		if err != nil || jobText(again) != jobText(job) {
			t.Errorf("%s\nis written down as\n%s, %v", jobText(job), jobText(again), err)
		}
	})
}

// FuzzRecords: whatever the bytes, reading them as a record of any other kind
// is an error or a record.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte{8, 1})
	f.Add([]byte{8, 2})
	f.Add([]byte{8, 1, 16, 5, 24, 3, 32, 1, 40, 1, 48, 1})
	f.Add([]byte{8, 1, 18, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		for kind, err := range storage.DecodeRecord(data) {
			if err != nil && !errors.Is(err, storage.ErrCorrupt) && !errors.Is(err, storage.ErrFormat) {
				t.Errorf("%s: %v is neither ErrCorrupt nor ErrFormat", kind, err)
			}
		}
	})
}

// FuzzCursors: whatever a client sends as a cursor, a listing and a query go on
// inside the app and the question, or refuse it.
func FuzzCursors(f *testing.F) {
	s := mustOpen(f, f.TempDir(), storage.Options{Tables: []storage.Schema{dingbats}})
	app, other := mustApp(f, s, "acme"), mustApp(f, s, "other")
	mustFillApp(f, app)
	mustFillApp(f, other)
	var jobs []storage.JobID
	var names []string
	mustRead(f, app, func(r storage.Reader) {
		for job, err := range r.System().All(storage.JobFilter{}) {
			if err != nil {
				f.Fatal(err)
			}
			jobs = append(jobs, job.ID)
		}
		for cursor := ""; ; {
			page, err := r.System().List(storage.JobFilter{Limit: 1, Cursor: cursor})
			if err != nil {
				f.Fatal(err)
			}
			if cursor = page.Next; cursor == "" {
				break
			}
			f.Add(cursor)
		}
		for _, q := range []storage.Query[Dingbat]{dingbats.Query(r), dingbats.Query(r).By("by_name"), dingbats.Query(r).By("by_name").Eq("bell").Desc()} {
			docs, next, err := q.Take(1).Page()
			if err != nil {
				f.Fatal(err)
			}
			for _, d := range docs {
				names = append(names, d.Value.Name)
			}
			f.Add(next)
		}
	})
	f.Add(base64.RawURLEncoding.EncodeToString([]byte{0}))
	f.Add(base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 17)))
	f.Add(storage.EncodeJobCursor(2, bytes.Repeat([]byte{0xff}, 16)))
	f.Add(storage.EncodeJobCursor(3, bytes.Repeat([]byte{0}, 16)))
	f.Fuzz(func(t *testing.T, cursor string) {
		mustRead(t, app, func(r storage.Reader) {
			page, err := r.System().List(storage.JobFilter{Cursor: cursor})
			if err != nil && !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("list: %v, want ErrInvalid", err)
			}
			for i, job := range page.Jobs {
				if !slices.Contains(jobs, job.ID) || jobs[len(jobs)-len(page.Jobs)+i] != job.ID {
					t.Errorf("job %d of %d is %s, of all %v", i, len(page.Jobs), job.ID, jobs)
				}
			}
			for _, q := range []storage.Query[Dingbat]{dingbats.Query(r), dingbats.Query(r).By("by_name"), dingbats.Query(r).By("by_name").Eq("bell").Desc()} {
				docs, _, err := q.Cursor(cursor).Page()
				if err != nil && !errors.Is(err, storage.ErrInvalid) {
					t.Errorf("query: %v, want ErrInvalid", err)
				}
				if len(docs) > 3 {
					t.Errorf("%d documents of 3", len(docs))
				}
			}
		})
	})
}

// FuzzImport: whatever the stream, an import is refused and leaves nothing, or
// makes an app that passes the check. Besides the bytes as they are, they are
// tried as keys and values of a stream whose checksum is right.
func FuzzImport(f *testing.F) {
	s := mustOpen(f, f.TempDir(), storage.Options{Tables: []storage.Schema{dingbats}})
	app := mustApp(f, s, "acme")
	mustFillApp(f, app)
	stream := mustExport(f, s, "acme")
	f.Add(stream)
	f.Add([]byte(nil))
	f.Add([]byte(streamMagic))
	f.Add(sealStream(f, nil))
	entries := streamEntries(f, stream)
	f.Add(packEntries(entries))
	f.Add(packEntries([]*proto.ExportEntry{{Key: append(slices.Clone(entries[0].Key), make([]byte, 3000)...)}}))
	for i := range entries {
		f.Add(packEntries(slices.Delete(slices.Clone(entries), i, i+1)))
		changed := slices.Clone(entries)
		changed[i] = &proto.ExportEntry{Key: changed[i].Key, Value: append(slices.Clone(changed[i].Value), 1)}
		f.Add(packEntries(changed))
		changed[i] = &proto.ExportEntry{Key: append(slices.Clone(changed[i].Key), 'x'), Value: entries[i].Value}
		f.Add(packEntries(changed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, stream := range [][]byte{data, sealStream(t, unpackEntries(data))} {
			err := s.Import(t.Context(), "copy", bytes.NewReader(stream))
			if err != nil {
				if !errors.Is(err, storage.ErrCorrupt) && !errors.Is(err, storage.ErrFormat) {
					t.Errorf("import: %v is neither ErrCorrupt nor ErrFormat", err)
				}
				if err := s.Delete("copy"); !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("the refused import left an app: %v", err)
				}
				continue
			}
			if err := s.Check(); err != nil {
				t.Errorf("after the import: %v", err)
			}
			again := mustExport(t, s, "copy")
			if want, got := keysOf(unpackEntries(data), 'q'), keysOf(streamEntries(t, again), 'q'); bytes.HasPrefix(data, []byte(streamMagic)) == false && !slices.Equal(slices.Compact(want), got) {
				t.Errorf("pending jobs are %q, want %q", got, want)
			}
			if err := s.Delete("copy"); err != nil {
				t.Errorf("delete: %v", err)
			}
		}
	})
}

// packEntries spells keys and values as one input of the fuzzer: each behind
// its length in two bytes.
func packEntries(entries []*proto.ExportEntry) (data []byte) {
	for _, e := range entries {
		for _, b := range [][]byte{e.Key, e.Value} {
			data = append(data, byte(len(b)>>8), byte(len(b)))
			data = append(data, b...)
		}
	}
	return data
}

// unpackEntries is packEntries backwards, for any input.
func unpackEntries(data []byte) (entries []*proto.ExportEntry) {
	next := func() (b []byte) {
		if len(data) < 2 {
			data = nil
			return nil
		}
		n := min(int(data[0])<<8|int(data[1]), len(data)-2)
		b, data = data[2:2+n], data[2+n:]
		return b
	}
	for len(data) > 0 {
		if key := next(); len(key) > 0 {
			entries = append(entries, &proto.ExportEntry{Key: key, Value: next()})
		}
	}
	return entries
}
