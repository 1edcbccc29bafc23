package waltest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"carillon/storage/internal/wal"
)

// Bench is a log under test.
type Bench interface {
	// Open opens the log, which is not open, and fails the test if that fails.
	Open(testing.TB) wal.Log
	// Crash ends the process: what Open returned is of no use any more.
	Crash(testing.TB)
	// FailNext has the next append, or claim, fail: before its records are in the log,
	// or, if kept is set, when they may be.
	FailNext(kept bool)
	// Heal ends what FailNext has begun.
	Heal()
}

// Conformance tests that the log keeps what wal.Log promises.
func Conformance(t *testing.T, bench func(*testing.T) Bench) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, Bench)
	}{
		{"KeepsOrder", keepsOrder},
		{"AnswersEach", answersEach},
		{"Refuses", refuses},
		{"ClaimFences", claimFences},
		{"UnknownIsDecided", unknownIsDecided},
		{"TrimsWhatItIsAsked", trimsWhatItIsAsked},
		{"LargestRecord", largestRecord},
		{"KeepsNoData", keepsNoData},
		{"Closes", closes},
		{"Together", together},
		{"AnyHistory", anyHistory},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, bench(t)) })
	}
}

func mustClaim(t *testing.T, log wal.Log, id wal.Volume) wal.Claim {
	t.Helper()
	c, err := log.Claim(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustClose(t *testing.T, log wal.Log) {
	t.Helper()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

func record(c wal.Claim, seq uint64, data string) wal.Record {
	return wal.Record{Volume: c.Volume, Epoch: c.Epoch, Seq: seq, Data: []byte(data)}
}

// wants fails the test unless the answers are these errors.
func wants(t *testing.T, got []error, want ...error) {
	t.Helper()
	for i := range want {
		if !errors.Is(got[i], want[i]) || want[i] == nil && got[i] != nil {
			t.Errorf("answer %d is %v, want %v", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d answers, want %d", len(got), len(want))
	}
}

func all(log wal.Log, id wal.Volume, from uint64) (recs []wal.Record, err error) {
	for rec, err := range log.Read(context.Background(), id, from) {
		if err != nil {
			return recs, err
		}
		recs = append(recs, rec)
	}
	return recs, nil
}

// keepsOrder: records come back as they were appended, from any number on, now, after
// Close and after a crash.
func keepsOrder(t *testing.T, b Bench) {
	log, w := b.Open(t), NewWitness()
	if recs, err := all(log, 7, 1); len(recs) > 0 || err != nil {
		t.Errorf("a volume that never was has %v, %v", recs, err)
	}
	for round := range 3 {
		for id := range wal.Volume(3) {
			if err := w.Claim(t, log, id*1000); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 20 {
			wants(t, w.Append(t, log, w.Next(0, i*100), w.Next(1000, 10)), nil, nil)
		}
		w.CheckAll(t, log)
		last := w.volume(0).last
		for from := last - 3; from <= last+2; from++ {
			recs, err := all(log, 0, from)
			if err != nil || len(recs) != int(max(last+1, from)-from) || len(recs) > 0 && recs[0].Seq != from {
				t.Errorf("from %d of %d: %d records, %v", from, last, len(recs), err)
			}
		}
		if round == 0 {
			mustClose(t, log)
		} else {
			b.Crash(t)
		}
		log = b.Open(t)
		w.Reopened()
		w.CheckAll(t, log)
	}
	mustClose(t, log)
}

// answersEach: one call has an answer for each of its records.
func answersEach(t *testing.T, b Bench) {
	log := b.Open(t)
	defer mustClose(t, log)
	var c [5]wal.Claim
	for i := range c {
		c[i] = mustClaim(t, log, wal.Volume(i))
	}
	mustClaim(t, log, 1)
	stranger := wal.Claim{Volume: 99, Epoch: 1}
	wants(t, log.Append(
		record(c[0], 2, "a"),
		record(c[1], 3, "fenced"),
		record(c[2], 3, "out of order"),
		record(c[3], 2, ""),
		record(c[0], 3, "second of its volume"),
		record(stranger, 1, "never claimed"),
		record(c[4], 2, "e"),
	), nil, wal.ErrFenced, wal.ErrOrder, wal.ErrEmpty, wal.ErrOrder, wal.ErrFenced, nil)
	for id, want := range []int{2, 2, 1, 1, 2} {
		if recs, err := all(log, wal.Volume(id), 1); len(recs) != want || err != nil {
			t.Errorf("volume %d has %d records, %v; want %d", id, len(recs), err, want)
		}
	}
	wants(t, log.Append())
}

// refuses: what is refused is not there, and does not disturb what follows.
func refuses(t *testing.T, b Bench) {
	log := b.Open(t)
	defer func() { mustClose(t, log) }()
	c := mustClaim(t, log, 1)
	for _, rec := range []wal.Record{record(c, 0, "x"), record(c, 1, "x"), record(c, 3, "x"), {Volume: 1, Epoch: c.Epoch + 1, Seq: 2, Data: []byte("x")}} {
		if errs := log.Append(rec); !errors.Is(errs[0], wal.ErrRefused) {
			t.Errorf("record %d of epoch %d: %v, want a refusal", rec.Seq, rec.Epoch, errs[0])
		}
	}
	if _, err := log.Claim(t.Context(), ^wal.Volume(0)); !errors.Is(err, wal.ErrRefused) {
		t.Errorf("a claim of the reserved volume: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := log.Claim(ctx, 1); !errors.Is(err, wal.ErrRefused) || !errors.Is(err, context.Canceled) {
		t.Errorf("a claim that was canceled: %v", err)
	}
	for range log.Read(ctx, 1, 5) {
	}
	wants(t, log.Append(record(c, 2, "y")), nil)
	b.Crash(t)
	log = b.Open(t)
	if recs, err := all(log, 1, 1); len(recs) != 2 || err != nil || string(recs[1].Data) != "y" {
		t.Errorf("%v, %v", recs, err)
	}
}

// claimFences: once a claim has returned nothing of an older one is appended or trimmed,
// and epochs go up, whatever happens between.
func claimFences(t *testing.T, b Bench) {
	log := b.Open(t)
	old, epoch := wal.Claim{}, uint64(0)
	for round := range 6 {
		c := mustClaim(t, log, 5)
		if c.Epoch <= epoch {
			t.Errorf("epoch %d after %d", c.Epoch, epoch)
		}
		epoch = c.Epoch
		if round > 0 {
			wants(t, log.Append(record(old, c.Last+1, "stale")), wal.ErrFenced)
			wants(t, log.Append(record(old, old.Last+1, "stale")), wal.ErrFenced)
			if err := log.Trim(old, old.Last); !errors.Is(err, wal.ErrFenced) {
				t.Errorf("a trim of an older claim: %v", err)
			}
		}
		wants(t, log.Append(record(c, c.Last+1, "mine")), nil)
		old = c
		switch round {
		case 2:
			mustClose(t, log)
			log = b.Open(t)
		case 4:
			b.Crash(t)
			log = b.Open(t)
		}
	}
	recs, err := all(log, 5, 1)
	if len(recs) != 12 || err != nil {
		t.Fatalf("%d records, %v", len(recs), err)
	}
	for i, rec := range recs {
		if takeover := i%2 == 0; takeover != (len(rec.Data) == 0) {
			t.Errorf("record %d has %q", rec.Seq, rec.Data)
		}
	}
	mustClose(t, log)
}

// unknownIsDecided: after ErrUnknown the claim is spent, the next one decides, and that
// stays so. Other volumes go on.
func unknownIsDecided(t *testing.T, b Bench) {
	for _, kept := range []bool{false, true} {
		for _, crash := range []bool{false, true} {
			log, w := b.Open(t), NewWitness()
			w.volumes = map[wal.Volume]*witnessed{}
			id, other := wal.Volume(10), wal.Volume(11)
			if kept {
				id, other = 20, 21
			}
			if crash {
				id, other = id+100, other+100
			}
			for _, id := range []wal.Volume{id, other} {
				if err := w.Claim(t, log, id); err != nil {
					t.Fatal(err)
				}
			}
			wants(t, w.Append(t, log, w.Next(id, 10), w.Next(other, 10)), nil, nil)
			claim := w.volume(id).claim
			b.FailNext(kept)
			wants(t, w.Append(t, log, w.Next(id, 20)), wal.ErrUnknown)
			b.Heal()
			if !crash {
				for seq := range w.volume(id).last + 4 {
					wants(t, log.Append(record(claim, seq, "spent")), wal.ErrFenced)
				}
				if err := log.Trim(claim, 1); !errors.Is(err, wal.ErrFenced) {
					t.Errorf("a trim under a claim that is spent: %v", err)
				}
				wants(t, w.Append(t, log, w.Next(other, 10)), nil)
				b.FailNext(!kept)
				if err := w.Claim(t, log, id); !errors.Is(err, wal.ErrUnknown) {
					t.Errorf("a claim that fails: %v", err)
				}
				b.Heal()
			} else {
				b.Crash(t)
				log = b.Open(t)
				w.Reopened()
				if err := w.Claim(t, log, other); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Claim(t, log, id); err != nil {
				t.Fatal(err)
			}
			wants(t, w.Append(t, log, w.Next(id, 30), w.Next(other, 30)), nil, nil)
			for range 2 {
				b.Crash(t)
				log = b.Open(t)
				w.CheckAll(t, log)
			}
			mustClose(t, log)
		}
	}
}

// trimsWhatItIsAsked: a trim takes away nothing else, and the sequence goes on where it was.
func trimsWhatItIsAsked(t *testing.T, b Bench) {
	log, w := b.Open(t), NewWitness()
	for _, id := range []wal.Volume{1, 2} {
		if err := w.Claim(t, log, id); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			wants(t, w.Append(t, log, w.Next(id, 100)), nil)
		}
	}
	if err := log.Trim(w.volume(1).claim, 12); !errors.Is(err, wal.ErrRefused) {
		t.Errorf("a trim beyond the last record: %v", err)
	}
	for _, upTo := range []uint64{0, 4, 3, 4, 7} {
		w.Trim(t, log, 1, upTo)
		w.CheckAll(t, log)
	}
	for from := range uint64(8) {
		if _, err := all(log, 1, from); !errors.Is(err, wal.ErrTrimmed) {
			t.Errorf("read from %d: %v", from, err)
		}
	}
	w.Trim(t, log, 1, 11)
	w.CheckAll(t, log)
	wants(t, w.Append(t, log, w.Next(1, 5), w.Next(2, 5)), nil, nil)
	w.CheckAll(t, log)
	for round := range 2 {
		if round == 0 {
			b.Crash(t)
		} else {
			mustClose(t, log)
		}
		log = b.Open(t)
		w.Reopened()
		w.CheckAll(t, log)
		if err := w.Claim(t, log, 1); err != nil {
			t.Fatal(err)
		}
		wants(t, w.Append(t, log, w.Next(1, 5)), nil)
	}
	mustClose(t, log)
}

// largestRecord: MaxRecord bytes are taken, one more is refused, and neither harms what
// comes after.
func largestRecord(t *testing.T, b Bench) {
	log, w := b.Open(t), NewWitness()
	if err := w.Claim(t, log, 1); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		wants(t, w.Append(t, log, w.Next(1, log.MaxRecord()+1)), wal.ErrTooLarge)
		wants(t, w.Append(t, log, w.Next(1, log.MaxRecord())), nil)
		wants(t, w.Append(t, log, w.Next(1, 1)), nil)
	}
	b.Crash(t)
	log = b.Open(t)
	w.CheckAll(t, log)
	mustClose(t, log)
}

// keepsNoData: neither what was appended nor what was read is shared.
func keepsNoData(t *testing.T, b Bench) {
	log := b.Open(t)
	defer mustClose(t, log)
	c := mustClaim(t, log, 1)
	rec := record(c, 2, "mine")
	wants(t, log.Append(rec), nil)
	for range 2 {
		clear(rec.Data)
		recs, err := all(log, 1, 2)
		if err != nil || len(recs) != 1 || !bytes.Equal(recs[0].Data, []byte("mine")) {
			t.Fatalf("%v, %v", recs, err)
		}
		rec = recs[0]
	}
}

// closes: a log that was closed refuses all, and can be opened again.
func closes(t *testing.T, b Bench) {
	log := b.Open(t)
	c := mustClaim(t, log, 1)
	mustClose(t, log)
	mustClose(t, log)
	wants(t, log.Append(record(c, 2, "late")), wal.ErrClosed)
	if _, err := log.Claim(t.Context(), 1); !errors.Is(err, wal.ErrClosed) {
		t.Errorf("claim: %v", err)
	}
	if err := log.Trim(c, 1); !errors.Is(err, wal.ErrClosed) {
		t.Errorf("trim: %v", err)
	}
	if _, err := all(log, 1, 1); !errors.Is(err, wal.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	for range 3 { // what is opened and closed only is as it was
		log = b.Open(t)
		if recs, err := all(log, 1, 1); len(recs) != 1 || err != nil {
			t.Errorf("%d records, %v", len(recs), err)
		}
		mustClose(t, log)
	}
}

// together: callers of several volumes append, read and trim at once, while volumes are
// claimed anew.
func together(t *testing.T, b Bench) {
	log := b.Open(t)
	var wg sync.WaitGroup
	for id := range wal.Volume(6) {
		wg.Go(func() {
			w := NewWitness()
			if err := w.Claim(t, log, id); err != nil {
				t.Error(err)
				return
			}
			for i := range 60 {
				if errs := w.Append(t, log, w.Next(id, 100*(i%7)), wal.Record{Volume: id + 100, Epoch: 1, Seq: 1, Data: []byte("x")}); errs[0] != nil || !errors.Is(errs[1], wal.ErrFenced) {
					t.Errorf("volume %d: %v", id, errs)
				}
				switch i % 20 {
				case 5:
					w.Trim(t, log, id, w.volume(id).last/2)
				case 10:
					w.CheckAll(t, log)
				case 15:
					if err := w.Claim(t, log, id); err != nil {
						t.Error(err)
					}
				}
			}
			w.CheckAll(t, log)
		})
	}
	wg.Wait()
	mustClose(t, log)
}

// anyHistory: random calls, failures, crashes and reopenings, against a witness.
func anyHistory(t *testing.T, b Bench) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 2))
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	log, w := b.Open(t), NewWitness()
	for range 600 {
		id := wal.Volume(rnd.IntN(4))
		v := w.volume(id)
		switch n := rnd.IntN(40); {
		case v.claim.Epoch == 0 && n < 30:
			_ = w.Claim(t, log, id)
		case n < 24:
			recs := []wal.Record{w.Next(id, rnd.IntN(3000))}
			if other := (id + 1) % 4; w.volume(other).claim.Epoch > 0 {
				recs = append(recs, w.Next(other, rnd.IntN(300)))
			}
			w.Append(t, log, recs...)
		case n < 30 && v.last > 0:
			w.Trim(t, log, id, v.last-uint64(rnd.IntN(int(min(v.last, 10)))))
		case n < 32:
			_ = w.Claim(t, log, id)
		case n < 34:
			b.FailNext(rnd.IntN(2) == 0)
		case n < 36:
			b.Heal()
		case n < 37:
			b.Heal()
			b.Crash(t)
			log = b.Open(t)
			w.Reopened()
		case n < 38:
			b.Heal()
			mustClose(t, log)
			log = b.Open(t)
			w.Reopened()
		}
	}
	b.Heal()
	mustClose(t, log)
	log = b.Open(t)
	w.CheckAll(t, log)
	mustClose(t, log)
}
