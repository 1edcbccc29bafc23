package waltest

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"carillon/storage/internal/wal"
)

// Outcome is how an append ends.
type Outcome int

// The outcomes.
const (
	Durable Outcome = iota
	Refused         // the record is not in the log: ErrRefused
	Lost            // ErrUnknown, and the record is not in the log
	Kept            // ErrUnknown, and the record is in the log
)

// Memory is a log in memory: what Open returns goes through it, and it outlives that.
type Memory struct {
	// Fault decides how an append or a claim (without data) ends; nil: Durable. It may
	// block, as in time.Sleep.
	Fault func(wal.Record) Outcome
	// Delay is how long each call takes, which waits for nothing but its like.
	Delay time.Duration
	// Max is how many bytes of data a record may have.
	Max int

	mu      sync.Mutex
	id      uint64
	claims  uint64 // how many were made
	volumes map[wal.Volume]*memoryVolume
	next    []Outcome
}

type memoryVolume struct {
	epoch   uint64
	fence   [16]byte
	records []wal.Record
	first   uint64 // number of the first of them
	spent   bool
	limbo   []wal.Record // of unknown outcome, which the next claim finds in the log

	point  map[string][]byte // the checkpoint
	folded uint64            // it has the records up to this one
}

// NewMemory returns an empty log. Its Max is that of a wal.File.
func NewMemory() *Memory {
	return &Memory{Max: 64 << 20, id: rand.Uint64(), volumes: map[wal.Volume]*memoryVolume{}}
}

// Open returns the log. Two that are open at once fence each other by their claims.
func (m *Memory) Open(testing.TB) wal.Log { return &memoryLog{m: m} }

// Crash does nothing: what is acknowledged is in memory.
func (m *Memory) Crash(testing.TB) {}

// FailNext has the next append end in ErrUnknown.
func (m *Memory) FailNext(kept bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if kept {
		m.next = append(m.next, Kept)
	} else {
		m.next = append(m.next, Lost)
	}
}

// Heal is Bench's.
func (m *Memory) Heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next = nil
}

type memoryLog struct {
	m      *Memory
	closed bool // under m.mu
}

// fate decides how the record ends.
func (m *Memory) fate(rec wal.Record) Outcome {
	if m.Delay > 0 {
		time.Sleep(m.Delay)
	}
	if m.Fault != nil {
		if o := m.Fault(rec); o != Durable {
			return o
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.next) == 0 {
		return Durable
	}
	o := m.next[0]
	m.next = m.next[1:]
	return o
}

func (l *memoryLog) Claim(ctx context.Context, id wal.Volume) (wal.Claim, error) {
	if err := ctx.Err(); err != nil {
		return wal.Claim{}, fmt.Errorf("%w: %w", wal.ErrRefused, err)
	}
	outcome := l.m.fate(wal.Record{Volume: id})
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	v := l.m.volumes[id]
	if v == nil {
		v = &memoryVolume{first: 1, point: map[string][]byte{}}
		l.m.volumes[id] = v
	}
	switch {
	case l.closed:
		return wal.Claim{}, wal.ErrClosed
	case id == ^wal.Volume(0) || outcome == Refused:
		return wal.Claim{}, wal.ErrRefused
	case outcome == Lost:
		v.spent = true
		return wal.Claim{}, wal.ErrUnknown
	}
	v.records = append(v.records, v.limbo...)
	v.limbo = nil
	v.epoch++
	l.m.claims++
	binary.BigEndian.PutUint64(v.fence[:], l.m.id)
	binary.BigEndian.PutUint64(v.fence[8:], l.m.claims)
	rec := wal.Record{Volume: id, Epoch: v.epoch, Seq: v.last() + 1, Fence: v.fence}
	v.records = append(v.records, rec)
	v.spent = outcome == Kept
	if v.spent {
		return wal.Claim{}, wal.ErrUnknown
	}
	return wal.Claim{Volume: id, Epoch: v.epoch, Last: rec.Seq}, nil
}

func (v *memoryVolume) last() uint64 { return v.first + uint64(len(v.records)) - 1 }

func (l *memoryLog) Append(recs ...wal.Record) []error {
	errs := make([]error, len(recs))
	seen := map[wal.Volume]bool{}
	for i, rec := range recs {
		twice := seen[rec.Volume]
		seen[rec.Volume] = true
		outcome := l.m.fate(rec)
		l.m.mu.Lock()
		errs[i] = l.append(rec, twice, outcome)
		l.m.mu.Unlock()
	}
	return errs
}

func (l *memoryLog) append(rec wal.Record, twice bool, outcome Outcome) error {
	v := l.m.volumes[rec.Volume]
	switch {
	case l.closed:
		return wal.ErrClosed
	case len(rec.Data) == 0:
		return wal.ErrEmpty
	case len(rec.Data) > l.m.Max:
		return wal.ErrTooLarge
	case twice:
		return wal.ErrOrder
	case v == nil || v.spent || v.epoch != rec.Epoch:
		return wal.ErrFenced
	case rec.Seq != v.last()+1:
		return wal.ErrOrder
	case outcome == Refused:
		return wal.ErrRefused
	}
	rec.Data, rec.Fence = append([]byte(nil), rec.Data...), v.fence
	switch outcome {
	case Lost:
		v.spent = true
		return wal.ErrUnknown
	case Kept:
		v.spent, v.limbo = true, append(v.limbo, rec)
		return wal.ErrUnknown
	}
	v.records = append(v.records, rec)
	return nil
}

func (l *memoryLog) Read(ctx context.Context, id wal.Volume, from uint64) iter.Seq2[wal.Record, error] {
	return func(yield func(wal.Record, error) bool) {
		for seq := max(from, 1); ; seq++ {
			rec, ok, err := l.read(ctx, id, seq)
			if err != nil {
				yield(wal.Record{}, err)
			}
			if !ok || !yield(rec, nil) {
				return
			}
		}
	}
}

func (l *memoryLog) read(ctx context.Context, id wal.Volume, seq uint64) (rec wal.Record, ok bool, err error) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	v := l.m.volumes[id]
	switch {
	case ctx.Err() != nil:
		return rec, false, ctx.Err()
	case l.closed:
		return rec, false, wal.ErrClosed
	case v == nil || seq > v.last():
		return rec, false, nil
	case seq < v.first:
		return rec, false, wal.ErrTrimmed
	}
	rec = v.records[seq-v.first]
	rec.Data = append([]byte(nil), rec.Data...)
	return rec, true, nil
}

func (l *memoryLog) Trim(c wal.Claim, upTo uint64) error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	v := l.m.volumes[c.Volume]
	switch {
	case l.closed:
		return wal.ErrClosed
	case v == nil || v.spent || v.epoch != c.Epoch:
		return wal.ErrFenced
	case upTo > v.last():
		return wal.ErrOrder
	case upTo >= v.first:
		v.records = append([]wal.Record(nil), v.records[upTo-v.first+1:]...)
		v.first = upTo + 1
	}
	return nil
}

func (l *memoryLog) MaxRecord() int { return l.m.Max }

func (l *memoryLog) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.closed = true
	return nil
}
