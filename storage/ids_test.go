package storage_test

import (
	"bytes"
	"cmp"
	"errors"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// lastMs is the latest instant a job can be due at.
const lastMs = 999_999_999_999_999

// places are the corners of what a job's place can be, in order.
var places = []struct {
	ms  int64
	seq uint64
}{
	{1, 1},
	{1, 2},
	{255, 1<<64 - 1},
	{256, 0},
	{256, 255},
	{256, 256},
	{1_800_000_000_000, 7},
	{1_800_000_000_001, 6},
	{1 << 48, 1 << 63},
	{lastMs - 1, 1},
	{lastMs, 0},
	{lastMs, 1<<64 - 1},
}

// TestG13_OrderOfIDsAndKeysIsOrderOfPlaces: minted ids, keys of the sorted job
// bucket and Places all order jobs by (due, sequence), and each can be read
// back (S4).
func TestG13_OrderOfIDsAndKeysIsOrderOfPlaces(t *testing.T) {
	for i, p := range places {
		id := storage.MintJobID(p.ms, p.seq)
		if ms, seq, ok := storage.HomeOf(id); !ok || ms != p.ms || seq != p.seq {
			t.Errorf("the home of %s is %d/%d, %v, want %d/%d", id, ms, seq, ok, p.ms, p.seq)
		}
		if len(id) != 25 || id.Check() != nil {
			t.Errorf("minted id %q: %v", id, id.Check())
		}
		key := storage.QueueKey(7, p.ms, p.seq)
		if ms, seq := storage.DecodeQueueKey(key); ms != p.ms || seq != p.seq {
			t.Errorf("key %x is read as %d/%d, want %d/%d", key, ms, seq, p.ms, p.seq)
		}
		for j, q := range places {
			checkOrder(t, cmp.Compare(i, j), p.ms, p.seq, q.ms, q.seq)
		}
	}
	zero := storage.Place{}
	if first := storage.PlaceAt(1, 0); !zero.Less(first) || first.Less(zero) {
		t.Error("the zero place is not before every job")
	}
	for _, p := range places[:len(places)-1] {
		at := storage.PlaceAt(p.ms, p.seq)
		if p.seq < 1<<64-1 && (!at.Less(at.Next()) || at.Next().Less(at)) {
			t.Errorf("the place behind %d/%d is not behind it", p.ms, p.seq)
		}
	}
}

// checkOrder says whether ids, keys and places compare as want.
func checkOrder(tb testing.TB, want int, ms1 int64, seq1 uint64, ms2 int64, seq2 uint64) {
	tb.Helper()
	if got := strings.Compare(string(storage.MintJobID(ms1, seq1)), string(storage.MintJobID(ms2, seq2))); got != want {
		tb.Errorf("ids of %d/%d and %d/%d compare as %d, want %d", ms1, seq1, ms2, seq2, got, want)
	}
	if got := bytes.Compare(storage.QueueKey(7, ms1, seq1), storage.QueueKey(7, ms2, seq2)); got != want {
		tb.Errorf("keys of %d/%d and %d/%d compare as %d, want %d", ms1, seq1, ms2, seq2, got, want)
	}
	p, q := storage.PlaceAt(ms1, seq1), storage.PlaceAt(ms2, seq2)
	if p.Less(q) != (want < 0) || q.Less(p) != (want > 0) {
		tb.Errorf("places %d/%d and %d/%d do not compare as %d", ms1, seq1, ms2, seq2, want)
	}
}

// FuzzG13_KeyOrder: whatever the place, its id and keys sort as it does.
func FuzzG13_KeyOrder(f *testing.F) {
	for i, p := range places {
		q := places[(i*5+3)%len(places)]
		f.Add(p.ms, p.seq, q.ms, q.seq)
	}
	f.Fuzz(func(t *testing.T, ms1 int64, seq1 uint64, ms2 int64, seq2 uint64) {
		if ms1 < 0 || ms1 > lastMs || ms2 < 0 || ms2 > lastMs {
			t.Skip("not an instant a job can be due at")
		}
		checkOrder(t, cmp.Or(cmp.Compare(ms1, ms2), cmp.Compare(seq1, seq2)), ms1, seq1, ms2, seq2)
		if ms, seq, ok := storage.HomeOf(storage.MintJobID(ms1, seq1)); !ok || ms != ms1 || seq != seq1 {
			t.Errorf("the home of %d/%d's id is %d/%d, %v", ms1, seq1, ms, seq, ok)
		}
		if ms, app := storage.DecodeAlarmKey(storage.AlarmKey(ms1, uint32(seq1))); ms != ms1 || app != uint32(seq1) {
			t.Errorf("the alarm key of %d, app %d is read as %d, app %d", ms1, uint32(seq1), ms, app)
		}
	})
}

// TestOnlyMintedIDsHaveAHome: a text that is nearly a minted id spells no place,
// and every place is spelt by one text only.
func TestOnlyMintedIDsHaveAHome(t *testing.T) {
	minted := string(storage.MintJobID(1_800_000_000_000, 42))
	for _, id := range []string{
		"",
		minted[:24],
		minted + "0",
		"k" + minted[1:],
		"J" + minted[1:],
		strings.ToUpper(minted),
		minted[:24] + "w",
		minted[:24] + "-",
		minted[:24] + "V",
		"jvvvvvvvvvvvvvvvvvvvvvvvv",             // above MaxInstant
		string(storage.MintJobID(lastMs+1, 1)),  // the first instant that is
		"507f1f77bcf86cd799439011",              // a Mongo id
		"6ba7b810-9dad-11d1-80b4-00c04fd430c8",  // a UUID
		"01ARZ3NDEKTSV4RRFFQ69G5FAV",            // a ULID
		"2JYQJ1V0Yk7pZbX3kq6cQ2pZbXa",           // a KSUID
		"j\xff\xfe00000000000000000000000"[:25], // no text at all
		"j00000000000000000000000\u00e9"[:25],   // half a rune
		"j 0000000000000000000000 0"[:25],       // a space
		"j00000000000000000000000=",             // padding
		strings.Repeat("j", 25)[:24] + "\n",     // a line end
		"j" + strings.Repeat("0", 23) + "\x00",  // a zero byte
	} {
		if ms, seq, ok := storage.HomeOf(storage.JobID(id)); ok {
			t.Errorf("%q has a home at %d/%d", id, ms, seq)
		}
	}
	if ms, _, ok := storage.HomeOf(storage.MintJobID(lastMs, 1)); !ok || ms != lastMs {
		t.Error("the last instant has no home")
	}
}

// TestCallerChosenIDs: 1 to 64 characters, and which ones.
func TestCallerChosenIDs(t *testing.T) {
	legal := []storage.JobID{
		"a", "Z", "0", "_", "a-", "9_-_-",
		storage.JobID(strings.Repeat("x", 64)),
		"507f1f77bcf86cd799439011",
		"6ba7b810-9dad-11d1-80b4-00c04fd430c8",
		"01ARZ3NDEKTSV4RRFFQ69G5FAV",
	}
	illegal := []storage.JobID{
		"", storage.JobID(strings.Repeat("x", 65)), "a b", "a.b", "a/b", "a:b", "a\x00", "a\n", "caf\u00e9", "\xff",
	}
	for c := range 256 {
		id := storage.JobID([]byte{byte(c), 'a'})
		if c < 128 && (c == '_' || strings.ContainsRune("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", rune(c))) {
			legal = append(legal, id)
		} else {
			illegal = append(illegal, id)
		}
	}
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		for _, id := range legal {
			if err := id.Check(); err != nil {
				t.Errorf("%q: %v", id, err)
			}
			got, err := w.InsertJob(storage.Job{ID: id, Function: "a:b", Due: testNow})
			if err != nil || got != id {
				t.Errorf("insert as %q: %q, %v", id, got, err)
			}
			if job, ok, err := w.System().Get(id); err != nil || !ok || job.ID != id {
				t.Errorf("get %q: %q, %v, %v", id, job.ID, ok, err)
			}
		}
		for _, id := range illegal {
			if err := id.Check(); !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("%q: %v, want ErrInvalid", id, err)
			}
			if id == "" {
				continue // asks for a minted one
			}
			if _, err := w.InsertJob(storage.Job{ID: id, Function: "a:b", Due: testNow}); !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("insert as %q: %v, want ErrInvalid", id, err)
			}
			if _, ok, err := w.System().Get(id); ok || err != nil {
				t.Errorf("get %q: %v, %v", id, ok, err)
			}
		}
	})
	if got := app.Pending(); got != len(legal) {
		t.Errorf("%d jobs are pending, want %d: a refusal stored one", got, len(legal))
	}
}

// TestG8_MintedIDsAreReserved: what has the form of a minted id cannot be
// chosen, whether its number is yet to come, in use, or long gone: an id that
// may have reached somebody never comes to name another job (S7).
func TestG8_MintedIDsAreReserved(t *testing.T) {
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
	var held, gone, dropped storage.JobID
	insert := func(w storage.JobWriter, id storage.JobID) (storage.JobID, error) {
		return w.InsertJob(storage.Job{ID: id, Function: "a:b", Due: testNow})
	}
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		held, _ = insert(w, "")
		gone, _ = insert(w, "")
		if _, err := w.CancelJob(gone); err != nil {
			t.Fatal(err)
		}
		err := w.Nested(func(w storage.JobWriter) error {
			dropped, _ = insert(w, "")
			return errors.New("dropped")
		})
		if err == nil {
			t.Error("the nested transaction joined")
		}
	})
	next := storage.MintJobID(testNow.UnixMilli(), 4)
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		for name, id := range map[string]storage.JobID{
			"in use": held, "ended": gone, "of a dropped transaction": dropped,
			"next": next, "to come": storage.MintJobID(lastMs, 1<<63), "never minted": storage.MintJobID(1, 1),
		} {
			want := storage.ErrInvalid
			if id == held {
				want = storage.ErrExists
			}
			if _, err := insert(w, id); !errors.Is(err, want) {
				t.Errorf("insert as %s, %s: %v, want %v", id, name, err, want)
			}
		}
		if id, err := insert(w, ""); err != nil || id != next {
			t.Errorf("minted %s, %v, want %s", id, err, next)
		}
	})
}

// TestAppIDs: 1 to 64 characters, and which ones.
func TestAppIDs(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	for _, id := range []storage.AppID{
		"a", "_", "0", "A.b-c_d", "a..", "acme.example.com", storage.AppID(strings.Repeat("x", 64)),
		"volume-000.db", "CON", "507f1f77bcf86cd799439011",
	} {
		if _, err := s.App(id); err != nil || id.Check() != nil {
			t.Errorf("%q: %v, %v", id, err, id.Check())
		}
	}
	for _, id := range []storage.AppID{
		"", ".", "..", ".a", "-a", "a/b", "../a", "a\\b", "a b", "a:b", "a\x00", "caf\u00e9", "\xff", "a\n",
		storage.AppID(strings.Repeat("x", 65)), storage.AppID(strings.Repeat("x", 1<<16)),
	} {
		if err := id.Check(); !errors.Is(err, storage.ErrInvalid) || len(err.Error()) > 250 {
			t.Errorf("%.80q: %v, want a short ErrInvalid", id, err)
		}
		_, err := s.App(id)
		for call, err := range map[string]error{
			"App": err, "Delete": s.Delete(id),
			"Export": s.Export(t.Context(), id, nil), "Import": s.Import(t.Context(), id, nil),
		} {
			if !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("%s(%.80q): %v, want ErrInvalid", call, id, err)
			}
		}
	}
	if apps, err := s.Apps(); err != nil || len(apps) != 0 {
		t.Errorf("apps: %v, %v, want none", apps, err)
	}
}

// TestDocumentIDsBelongToOneTable: an id minted for one table is refused by
// every other, and so is what was never minted.
func TestDocumentIDsBelongToOneTable(t *testing.T) {
	tables := []string{"notes", "users", "a", "b", "notes2"}
	seen := ""
	for seq := uint64(1); seq < 1<<47; seq = seq*7 + 1 {
		for _, table := range tables {
			id := storage.MintDocumentID(table, seq)
			if len(id) != 24 {
				t.Errorf("%q has %d characters", id, len(id))
			}
			for _, other := range tables {
				if err := storage.CheckDocumentID(other, id); (err == nil) != (other == table) || err != nil && !errors.Is(err, storage.ErrInvalid) {
					t.Errorf("id of %s checked for %s: %v", table, other, err)
				}
			}
			if table != tables[0] {
				continue
			}
			if id <= seen {
				t.Errorf("%s does not come after %s", id, seen)
			}
			seen = id
			for _, bad := range []string{id[1:], id + "0", strings.ToUpper(id), id[:23] + "w", id[:23] + " ", id[:23] + "\x00", ""} {
				if err := storage.CheckDocumentID(table, bad); !errors.Is(err, storage.ErrInvalid) {
					t.Errorf("%q: %v, want ErrInvalid", bad, err)
				}
			}
		}
	}
}

// TestAfterPrefix: what is behind a prefix is behind all that begins with it,
// and before everything else that follows.
func TestAfterPrefix(t *testing.T) {
	for _, tt := range []struct{ prefix, want string }{
		{"a", "b"},
		{"a\xff", "b"},
		{"a\xfe\xff\xff", "a\xff"},
		{"\x00", "\x01"},
	} {
		if got := storage.AfterPrefix([]byte(tt.prefix)); string(got) != tt.want {
			t.Errorf("behind %q comes %q, want %q", tt.prefix, got, tt.want)
		}
	}
	for _, prefix := range []string{"", "\xff", "\xff\xff"} {
		if got := storage.AfterPrefix([]byte(prefix)); got != nil {
			t.Errorf("behind %q comes %q, want no bound", prefix, got)
		}
	}
}

// TestInstantsAreBounded: a job is due between 1970 and MaxInstant, both ends
// included, and what it was first asked for keeps to the same bounds.
func TestInstantsAreBounded(t *testing.T) {
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
	first, last := time.UnixMilli(1), storage.MaxInstant
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		for _, tt := range []struct {
			due, scheduledFor time.Time
			ok                bool
		}{
			{first, time.Time{}, true},
			{last, time.Time{}, true},
			{first, last, true},
			{last, first, true},
			{first.Add(-1), time.Time{}, false},
			{last.Add(time.Millisecond), time.Time{}, false},
			{time.Time{}, time.Time{}, false},
			{time.UnixMilli(-1), time.Time{}, false},
			{first, first.Add(-time.Millisecond), false},
			{first, last.Add(time.Millisecond), false},
			{first, time.UnixMilli(-1), false},
		} {
			id, err := w.InsertJob(storage.Job{Function: "a:b", Due: tt.due, ScheduledFor: tt.scheduledFor})
			if tt.ok != (err == nil) || err != nil && !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("due %v, scheduled for %v: %v", tt.due, tt.scheduledFor, err)
			}
			if err != nil {
				continue
			}
			job, ok, err := w.System().Get(id)
			if tt.scheduledFor.IsZero() {
				tt.scheduledFor = tt.due
			}
			if !ok || err != nil || job.ID != id || !job.Due.Equal(tt.due) || !job.ScheduledFor.Equal(tt.scheduledFor) {
				t.Errorf("due %v, scheduled for %v: found %+v, %v, %v", tt.due, tt.scheduledFor, job, ok, err)
			}
		}
	})
	if got := app.Pending(); got != 4 {
		t.Errorf("%d jobs are pending, want 4", got)
	}
}
