package waltest

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
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
	// Count is how many shards there are.
	Count int

	id      uint64
	mu      sync.Mutex
	volumes map[wal.Volume]*memoryVolume
	nodes   map[string]*memoryNode // by incarnation
	next    []Outcome
}

type memoryVolume struct {
	claim   [16]byte // in force
	holder  *Node    // who made it
	epoch   uint64
	records []wal.Record
	first   uint64 // number of the first of them
	spent   bool
	limbo   []wal.Record // of unknown outcome, which the next claim finds in the log

	owner  string // incarnation
	taken  time.Time
	why    string
	folded uint64
	point  map[string][]byte // the checkpoint
}

// NewMemory returns an empty log of 64 shards. Its Max is that of a wal.File.
func NewMemory() *Memory {
	return &Memory{Max: 64 << 20, Count: 64, id: rand.Uint64() >> 1, volumes: map[wal.Volume]*memoryVolume{}, nodes: map[string]*memoryNode{}}
}

// Open returns the log. Two that are open at once fence each other by their claims. It trims
// what was not folded, too, as the log of one node does.
func (m *Memory) Open(testing.TB) wal.Log {
	return &Node{m: m, claims: map[wal.Volume]bool{}, seen: map[wal.Volume]uint64{}}
}

// Node returns the log as another node has it.
func (m *Memory) Node() *Node {
	return &Node{m: m, shared: true, claims: map[wal.Volume]bool{}, seen: map[wal.Volume]uint64{}}
}

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

// Lose takes away so many records from the end of the volume, as a failover to an asynchronous
// standby does.
func (m *Memory) Lose(id wal.Volume, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.volumes[id]
	v.records = v.records[:len(v.records)-n]
}

// Heal is Bench's.
func (m *Memory) Heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next = nil
}

// Node is a Memory as one node has it. It is a wal.Shared.
type Node struct {
	m      *Memory
	shared bool // what is trimmed was folded

	follows atomic.Pointer[time.Time] // when the copies had all; nil: never yet

	// These are under m.mu.
	closed bool
	cut    bool
	me     string                // incarnation, once joined
	claims map[wal.Volume]bool   // of which it knows no end
	seen   map[wal.Volume]uint64 // latest record that it was acknowledged
}

// Cut cuts the node off: nothing that it asks for is sent until it is not cut any more.
func (l *Node) Cut(cut bool) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.cut = cut
}

// errCut is the answer to a node that is cut off.
var errCut = fmt.Errorf("%w: the node is cut off", wal.ErrRefused)

// away says why the log cannot be asked. The caller holds m.mu.
func (l *Node) away() error {
	switch {
	case l.closed:
		return wal.ErrClosed
	case l.cut:
		return errCut
	}
	return nil
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

func (l *Node) Claim(ctx context.Context, id wal.Volume) (wal.Claim, error) {
	if err := ctx.Err(); err != nil {
		return wal.Claim{}, fmt.Errorf("%w: %w", wal.ErrRefused, err)
	}
	outcome := l.m.fate(wal.Record{Volume: id})
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if err := l.away(); err != nil {
		return wal.Claim{}, err
	}
	if int64(id) >= int64(l.m.Count) || outcome == Refused {
		return wal.Claim{}, wal.ErrRefused
	}
	v := l.m.volumes[id]
	if v == nil {
		v = &memoryVolume{first: 1, point: map[string][]byte{}}
		l.m.volumes[id] = v
	}
	if outcome == Lost {
		v.spent = v.spent || v.holder == l
		delete(l.claims, id)
		return wal.Claim{}, wal.ErrUnknown
	}
	if err := l.own(v); err != nil {
		return wal.Claim{}, err
	}
	v.records = append(v.records, v.limbo...)
	v.limbo = nil
	v.epoch++
	v.holder = l
	binary.NativeEndian.PutUint64(v.claim[:], rand.Uint64())
	binary.NativeEndian.PutUint64(v.claim[8:], rand.Uint64())
	rec := wal.Record{Volume: id, Epoch: v.epoch, Seq: v.last() + 1, Fence: v.claim}
	v.records = append(v.records, rec)
	v.spent = outcome == Kept
	if v.spent {
		delete(l.claims, id)
		return wal.Claim{}, wal.ErrUnknown
	}
	before := l.seen[id]
	if l.seen[id] = rec.Seq; before >= rec.Seq {
		v.spent = true
		return wal.Claim{}, wal.ErrTailLost
	}
	l.claims[id] = true
	return wal.Claim{Volume: id, Epoch: v.epoch, Last: rec.Seq}, nil
}

// holds says that the node's claim of the epoch is in force. If it was claimed by another one,
// the node learns it.
func (l *Node) holds(v *memoryVolume, id wal.Volume, epoch uint64) bool {
	if v != nil && v.holder != l {
		delete(l.claims, id)
	}
	return v != nil && v.holder == l && !v.spent && v.epoch == epoch
}

func (v *memoryVolume) last() uint64 { return v.first + uint64(len(v.records)) - 1 }

func (l *Node) Append(recs ...wal.Record) []error {
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

func (l *Node) append(rec wal.Record, twice bool, outcome Outcome) error {
	if err := l.away(); err != nil {
		return err
	}
	v := l.m.volumes[rec.Volume]
	switch {
	case len(rec.Data) == 0:
		return wal.ErrEmpty
	case len(rec.Data) > l.m.Max:
		return wal.ErrTooLarge
	case twice:
		return wal.ErrOrder
	case !l.holds(v, rec.Volume, rec.Epoch):
		return wal.ErrFenced
	case l.seen[rec.Volume] > v.last() && outcome == Lost:
		v.spent = true
		return wal.ErrUnknown
	case l.seen[rec.Volume] > v.last():
		return wal.ErrFenced // what comes before it is gone
	case rec.Seq != v.last()+1:
		return wal.ErrOrder
	case outcome == Refused:
		return wal.ErrRefused
	}
	rec.Data, rec.Fence = append([]byte(nil), rec.Data...), v.claim
	if outcome != Durable {
		delete(l.claims, rec.Volume)
	}
	switch outcome {
	case Lost:
		v.spent = true
		return wal.ErrUnknown
	case Kept:
		v.spent, v.limbo = true, append(v.limbo, rec)
		return wal.ErrUnknown
	}
	v.records = append(v.records, rec)
	l.seen[rec.Volume] = rec.Seq
	return nil
}

func (l *Node) Read(ctx context.Context, id wal.Volume, from uint64) iter.Seq2[wal.Record, error] {
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

func (l *Node) read(ctx context.Context, id wal.Volume, seq uint64) (rec wal.Record, ok bool, err error) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if err := cmp.Or(ctx.Err(), l.away()); err != nil {
		return rec, false, err
	}
	v := l.m.volumes[id]
	switch {
	case v == nil || seq > v.last():
		return rec, false, nil
	case seq < v.first:
		return rec, false, wal.ErrTrimmed
	}
	rec = v.records[seq-v.first]
	rec.Data = append([]byte(nil), rec.Data...)
	return rec, true, nil
}

func (l *Node) Trim(c wal.Claim, upTo uint64) error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if err := l.away(); err != nil {
		return err
	}
	v := l.m.volumes[c.Volume]
	switch {
	case !l.holds(v, c.Volume, c.Epoch):
		return wal.ErrFenced
	case upTo > v.last():
		return wal.ErrOrder
	case l.shared && upTo > v.folded:
		return wal.ErrNotFolded
	case upTo >= v.first:
		v.records = append([]wal.Record(nil), v.records[upTo-v.first+1:]...)
		v.first = upTo + 1
	}
	return nil
}

func (l *Node) MaxRecord() int { return l.m.Max }

func (l *Node) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.closed = true
	return nil
}
