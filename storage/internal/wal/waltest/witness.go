package waltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"carillon/storage/internal/wal"
)

// Witness remembers what a log has answered, and what it must therefore show.
type Witness struct {
	volumes map[wal.Volume]*witnessed
	n       int
}

type witnessed struct {
	claim   wal.Claim // in force, if epoch is not 0
	epoch   uint64    // the highest seen
	last    uint64
	trimmed uint64
	records map[uint64]wal.Record // that are durable
	maybe   []wal.Record          // of unknown outcome, in order
}

// NewWitness returns one that knows of nothing.
func NewWitness() *Witness { return &Witness{volumes: map[wal.Volume]*witnessed{}} }

func (w *Witness) volume(id wal.Volume) *witnessed {
	if w.volumes[id] == nil {
		w.volumes[id] = &witnessed{records: map[uint64]wal.Record{}}
	}
	return w.volumes[id]
}

// Claim claims the volume and verifies what the log then shows of it.
func (w *Witness) Claim(tb testing.TB, log wal.Log, id wal.Volume) error {
	tb.Helper()
	v := w.volume(id)
	c, err := log.Claim(context.Background(), id)
	v.claim = wal.Claim{}
	switch {
	case errors.Is(err, wal.ErrUnknown):
		v.maybe = append(v.maybe, wal.Record{Volume: id})
		return err
	case err != nil:
		return err
	case c.Epoch <= v.epoch:
		tb.Fatalf("volume %d: a claim has epoch %d after %d", id, c.Epoch, v.epoch)
	case c.Last <= v.last:
		tb.Fatalf("volume %d: a claim has record %d after %d", id, c.Last, v.last)
	}
	takeover := wal.Record{Volume: id, Epoch: c.Epoch, Seq: c.Last}
	v.maybe = append(v.maybe, takeover)
	w.Check(tb, log, id)
	if v.last != c.Last || v.epoch != c.Epoch {
		tb.Fatalf("volume %d: claimed with record %d of epoch %d, the log shows %d of %d", id, c.Last, c.Epoch, v.last, v.epoch)
	}
	v.claim = c
	return nil
}

// Next returns a record to append to the volume, with data that no other one has.
func (w *Witness) Next(id wal.Volume, size int) wal.Record {
	v := w.volume(id)
	w.n++
	data := bytes.Repeat([]byte{byte(w.n)}, max(size, 8))
	copy(data, fmt.Sprintf("%08d", w.n))
	return wal.Record{Volume: id, Epoch: v.claim.Epoch, Seq: v.last + 1, Data: data}
}

// Append appends the records and notes the answers.
func (w *Witness) Append(tb testing.TB, log wal.Log, recs ...wal.Record) []error {
	tb.Helper()
	errs := log.Append(recs...)
	for i, rec := range recs {
		v := w.volume(rec.Volume)
		switch err := errs[i]; {
		case err == nil:
			v.last, v.records[rec.Seq] = rec.Seq, rec
		case errors.Is(err, wal.ErrUnknown):
			v.claim, v.maybe = wal.Claim{}, append(v.maybe, rec)
		case !errors.Is(err, wal.ErrRefused):
			tb.Fatalf("volume %d: an append is neither refused nor unknown: %v", rec.Volume, err)
		}
	}
	return errs
}

// Trim trims the volume.
func (w *Witness) Trim(tb testing.TB, log wal.Log, id wal.Volume, upTo uint64) {
	tb.Helper()
	v := w.volume(id)
	if v.claim.Epoch == 0 {
		return
	}
	if err := log.Trim(v.claim, upTo); err != nil {
		tb.Fatalf("volume %d: trim to %d of %d: %v", id, upTo, v.last, err)
	}
	v.trimmed = max(v.trimmed, upTo)
}

// TrimBy trims the volume but for so many of its latest records.
func (w *Witness) TrimBy(tb testing.TB, log wal.Log, id wal.Volume, keep int) {
	tb.Helper()
	if v := w.volume(id); v.last > uint64(keep) {
		w.Trim(tb, log, id, v.last-uint64(keep))
	}
}

// Claimed says whether a claim of the volume is in force.
func (w *Witness) Claimed(id wal.Volume) bool { return w.volume(id).claim.Epoch > 0 }

// Trimmed is up to which record the volume was trimmed.
func (w *Witness) Trimmed(id wal.Volume) uint64 { return w.volume(id).trimmed }

// Check reads the volume and verifies that all is there that was acknowledged, nothing
// that was refused, and of what is unknown anything, in its order. What it has seen
// must be there from then on.
func (w *Witness) Check(tb testing.TB, log wal.Log, id wal.Volume) {
	tb.Helper()
	v := w.volume(id)
	seq, maybe := v.trimmed, v.maybe
	for rec, err := range log.Read(context.Background(), id, v.trimmed+1) {
		if err != nil {
			tb.Fatalf("volume %d: after record %d of %d: %v", id, seq, v.last, err)
		}
		if seq++; rec.Seq != seq || rec.Volume != id {
			tb.Fatalf("volume %d: record %d of volume %d is read as %d", id, rec.Seq, rec.Volume, seq)
		}
		if seq <= v.last {
			if want := v.records[seq]; want.Epoch != rec.Epoch || !bytes.Equal(want.Data, rec.Data) {
				tb.Fatalf("volume %d: record %d is %s, want %s", id, seq, text(rec), text(want))
			}
			continue
		}
		i := slices.IndexFunc(maybe, func(m wal.Record) bool {
			return bytes.Equal(m.Data, rec.Data) && (m.Epoch == rec.Epoch || m.Epoch == 0)
		})
		if i < 0 {
			tb.Fatalf("volume %d: record %d is %s, which was not acknowledged, nor unknown", id, seq, text(rec))
		}
		maybe = maybe[i+1:]
		v.records[seq] = rec
	}
	if seq < v.last {
		tb.Fatalf("volume %d: it ends with record %d, but %d was acknowledged", id, seq, v.last)
	}
	if rec, ok := v.records[seq]; ok {
		v.epoch = rec.Epoch
	}
	v.last, v.maybe = max(seq, v.last), nil
}

// CheckKept verifies that what can be read of the volume's trimmed records is what was
// appended, up to the others, and returns the number of the first.
func (w *Witness) CheckKept(tb testing.TB, log wal.Log, id wal.Volume) (first uint64) {
	tb.Helper()
	v := w.volume(id)
	for first = 1; first <= v.trimmed; first++ {
		seq := first
		for rec, err := range log.Read(context.Background(), id, first) {
			if errors.Is(err, wal.ErrTrimmed) && seq == first {
				break
			}
			if err != nil {
				tb.Fatalf("volume %d: trimmed record %d: %v", id, seq, err)
			}
			if want, ok := v.records[seq]; ok && (want.Epoch != rec.Epoch || !bytes.Equal(want.Data, rec.Data)) || !ok && seq <= v.trimmed || rec.Seq != seq {
				tb.Fatalf("volume %d: trimmed record %d is %s, want %s", id, seq, text(rec), text(want))
			}
			seq++
		}
		if seq > first {
			if seq <= v.last {
				tb.Fatalf("volume %d: from trimmed record %d on it ends before record %d of %d", id, first, seq, v.last)
			}
			return first
		}
	}
	return first
}

// CheckAll checks every volume there is.
func (w *Witness) CheckAll(tb testing.TB, log wal.Log) {
	tb.Helper()
	for _, id := range slices.Sorted(maps.Keys(w.volumes)) {
		w.Check(tb, log, id)
	}
}

// Reopened says that no claim is in force any more.
func (w *Witness) Reopened() {
	for _, v := range w.volumes {
		v.claim = wal.Claim{}
	}
}

func text(rec wal.Record) string {
	return fmt.Sprintf("(epoch %d, %d bytes %.10q)", rec.Epoch, len(rec.Data), rec.Data)
}
