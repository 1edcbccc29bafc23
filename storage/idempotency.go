package storage

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"carillon/proto"
)

// What a call with an idempotency key has come to is kept in the commit that applied it, so that
// a repeat of the call is told that and changes nothing (G39). The name is a hash, so that rows
// are small whatever the key, its principal and its function are.
//
//	number ‖ 'I' ‖ 'k' ‖ name                    what became of the call
//	number ‖ 'I' ‖ 'e' ‖ until ‖ size ‖ name     (empty) when that row is void, and its bytes
//	number ‖ 'I' ‖ 's' ‖ until ‖ size ‖ name     (empty) the same, of one that is spare
const (
	keptCall  byte = 'k'
	keptUntil byte = 'e'
	keptSpare byte = 's'
)

// keptEnds are the kinds of rows that say when a key is void.
var keptEnds = [...]byte{keptUntil, keptSpare}

// Bounds of what is kept of calls with an idempotency key.
const (
	IdempotencyFor      = 24 * time.Hour // how long it is kept
	MaxIdempotencyKeys  = 100_000        // keys of an app
	MaxIdempotencyBytes = 64 << 20       // bytes of an app's rows, with the results in them
	MaxIdempotentResult = 64 << 10       // of one result; of a longer one only the length is kept
)

// keptAtOnce is how many rows a call takes away at once that has met a bound.
const keptAtOnce = 64

// IdempotencyKey says which key of an app a call has, and which call it is. For engines.
type IdempotencyKey struct {
	Name        [32]byte // of the principal, the function and the key itself
	Fingerprint [32]byte // of all else that was asked
	// For is how long it is kept, at most IdempotencyFor, which 0 means.
	For time.Duration
	// Spare says that it gives way when there is no room for another key, the oldest first.
	Spare bool
}

// end is the kind of the row that says when the key is void.
func (key *IdempotencyKey) end() byte { return keptEnd(key.Spare) }

func keptEnd(spare bool) byte {
	if spare {
		return keptSpare
	}
	return keptUntil
}

// IdempotentResult is what a call with an idempotency key has returned. For engines.
type IdempotentResult struct {
	Result []byte // JSON; nil: it was longer than MaxIdempotentResult
	Size   int    // of the result, in bytes
}

func (n keyspace) keptCall(name []byte) []byte {
	return append(append(n.prefix(tagIdempotency), keptCall), name...)
}

func (n keyspace) keptUntil(end byte, ms int64, size int, name []byte) []byte {
	b := n.keptUntils(end)
	b = binary.BigEndian.AppendUint64(b, uint64(ms))
	return append(binary.BigEndian.AppendUint32(b, uint32(size)), name...)
}

// keptUntilOf takes the rest of such a key apart.
func keptUntilOf(rest []byte) (ms int64, size int, name []byte, ok bool) {
	if len(rest) != 1+8+4+32 || slices.Index(keptEnds[:], rest[0]) < 0 {
		return 0, 0, nil, false
	}
	return int64(binary.BigEndian.Uint64(rest[1:])), int(binary.BigEndian.Uint32(rest[9:])), rest[13:], true
}

// IdempotencyKeys returns how many idempotency keys are kept, and the bytes of their rows, as of
// the last change submitted. Any goroutine may ask.
func (a *App) IdempotencyKeys() (keys int, bytes int64) {
	return int(a.keyedNow.Load()), a.keyedBytesNow.Load()
}

// IdempotentCall returns what the call with the key has come to; nil if none has been applied that
// is kept at the instant, of which the zero one is before the end of all. ErrInvalid if the key
// was that of another call, ErrLimit if it is new and there is no room for it: the call must not
// be made then.
func (tx *Tx) IdempotentCall(key *IdempotencyKey, at time.Time) (*IdempotentResult, error) {
	if err := tx.lockTop(); err != nil {
		return nil, err
	}
	defer tx.mu.Unlock()
	p, _, err := tx.keptCall(key.Name[:])
	if err != nil {
		return nil, err
	}
	switch {
	case p == nil, !at.IsZero() && p.UntilMs <= at.UnixMilli():
		return nil, tx.roomForKey(at, 1)
	case !bytes.Equal(p.Fingerprint, key.Fingerprint[:]):
		return nil, fmt.Errorf("%w: the idempotency key is that of another call", ErrInvalid)
	}
	return &IdempotentResult{Result: p.Result, Size: int(p.ResultBytes)}, nil
}

// KeepIdempotentCall keeps what the call with the key returns, JSON, which this transaction applies.
// ErrLimit if there is no room, ErrReentrant if a nested
// transaction was left open: the transaction must be rolled back then.
func (tx *Tx) KeepIdempotentCall(key *IdempotencyKey, result []byte, at time.Time) error {
	if err := tx.lock(0); err != nil {
		return err
	}
	defer tx.mu.Unlock()
	p := proto.IdempotencyKey{
		Version: recordVersion, Fingerprint: key.Fingerprint[:], ResultBytes: uint64(len(result)),
		UntilMs: ceilMs(tx.now.Add(cmp.Or(key.For, IdempotencyFor))), Spare: key.Spare,
	}
	if len(result) <= MaxIdempotentResult {
		p.Result = result
	}
	row := encoded(p.MarshalVT())
	was, size, err := tx.keptCall(key.Name[:])
	if err != nil {
		return err
	}
	if was != nil { // it is void
		tx.dropKeptCall(keptEnd(was.Spare), was.UntilMs, size, key.Name[:])
	}
	if err := tx.roomForKey(at, len(row)); err != nil {
		return err
	}
	c, keys := &tx.top().counts, tx.app.keys
	tx.put(keys.keptCall(key.Name[:]), row)
	tx.put(keys.keptUntil(key.end(), p.UntilMs, len(row), key.Name[:]), nil)
	c.keyed++
	c.keyedBytes += uint64(len(row))
	return nil
}

// roomForKey says why there is no room for another key whose row has that many bytes, after it has taken
// away what is void, and then what is spare.
func (tx *Tx) roomForKey(at time.Time, size int) error {
	full := func() error {
		c := &tx.top().counts
		if most := tx.app.mostKeyed; c.keyed >= most {
			return fmt.Errorf("%w: app %s keeps %d idempotency keys, it may keep %d (MaxIdempotencyKeys), each for %v", ErrLimit, tx.app.id, c.keyed, most, IdempotencyFor)
		}
		if most := tx.app.mostKeyedBytes; c.keyedBytes+uint64(size) > most {
			return fmt.Errorf("%w: the idempotency keys of app %s would have %d bytes, they may have %d (MaxIdempotencyBytes), each for %v", ErrLimit, tx.app.id, c.keyedBytes+uint64(size), most, IdempotencyFor)
		}
		return nil
	}
	err := full()
	if err != nil && !at.IsZero() {
		if _, err := tx.purgeKeptCalls(at, keptAtOnce); err != nil {
			return err
		}
		err = full()
	}
	for err != nil {
		n, failed := tx.dropKeptCalls(keptSpare, nil, keptAtOnce)
		if failed != nil {
			return failed
		}
		if n == 0 {
			return err
		}
		err = full()
	}
	return nil
}

// keptCall reads the row of the name, which has size bytes; nil if there is none.
func (tx *Tx) keptCall(name []byte) (p *proto.IdempotencyKey, size int, err error) {
	data, err := tx.get(tx.app.keys.keptCall(name))
	if err != nil || data == nil {
		return nil, 0, err
	}
	if p, err = decodeKeptCall(data); err != nil {
		return nil, 0, fmt.Errorf("app %s: %w", tx.app.id, err)
	}
	return p, len(data), nil
}

func decodeKeptCall(data []byte) (*proto.IdempotencyKey, error) {
	p := new(proto.IdempotencyKey)
	if err := unmarshal(data, p, &p.Version); err != nil {
		return nil, fmt.Errorf("idempotency key: %w", err)
	}
	return p, nil
}

// dropKeptCall takes the rows of a name away, which are there.
func (tx *Tx) dropKeptCall(end byte, ms int64, size int, name []byte) {
	c, keys := &tx.top().counts, tx.app.keys
	tx.delete(keys.keptCall(name))
	tx.delete(keys.keptUntil(end, ms, size, name))
	c.keyed -= min(c.keyed, 1)
	c.keyedBytes -= min(c.keyedBytes, uint64(size))
}

// PurgeIdempotencyKeys deletes up to limit keys that are void at the instant (zero: none is). It
// returns how many; more is false if none is left.
func (tx *Tx) PurgeIdempotencyKeys(at time.Time, limit int) (n int, more bool, err error) {
	if err := tx.lockTop(); err != nil {
		return 0, false, err
	}
	defer tx.mu.Unlock()
	if at.IsZero() || limit < 1 {
		return 0, false, nil
	}
	if n, err = tx.purgeKeptCalls(at, limit); err != nil || n == limit {
		return n, err == nil, err
	}
	for _, end := range keptEnds {
		moved, err := tx.hastenKeptCalls(end, ceilMs(tx.now.Add(IdempotencyFor)), limit-n)
		if n += moved; err != nil || n == limit {
			return n, err == nil, err
		}
	}
	return n, false, nil
}

// hastenKeptCalls has those that are void later than at the instant be so then, up to limit of them: the
// clock has been set back since.
func (tx *Tx) hastenKeptCalls(end byte, most int64, limit int) (n int, err error) {
	keys := tx.app.keys
	rows, err := tx.rows(keys.keptUntil(end, most+1, 0, nil), after(keys.keptUntils(end)), true, limit)
	for _, r := range rows {
		ms, size, name, ok := keptUntilOf(tail(r.key))
		if !ok {
			continue
		}
		n++
		p, _, err := tx.keptCall(name)
		if err != nil || p == nil {
			tx.dropKeptCall(end, ms, size, name)
			continue
		}
		tx.dropKeptCall(end, ms, size, name)
		p.UntilMs = most
		row := encoded(p.MarshalVT())
		tx.put(keys.keptCall(name), row)
		tx.put(keys.keptUntil(end, most, len(row), name), nil)
		c := &tx.top().counts
		c.keyed++
		c.keyedBytes += uint64(len(row))
	}
	return n, err
}

// keptUntils is what the keys of a kind begin with that say until when a row is kept.
func (n keyspace) keptUntils(end byte) []byte { return append(n.prefix(tagIdempotency), end) }

// purgeKeptCalls is PurgeIdempotencyKeys of those that are void.
func (tx *Tx) purgeKeptCalls(at time.Time, limit int) (n int, err error) {
	for _, end := range keptEnds {
		dropped, err := tx.dropKeptCalls(end, tx.app.keys.keptUntil(end, at.UnixMilli()+1, 0, nil), limit-n)
		if n += dropped; err != nil || n == limit {
			return n, err
		}
	}
	return n, nil
}

// dropKeptCalls takes away those of a kind that are void first, up to limit and before the key; nil is none.
func (tx *Tx) dropKeptCalls(end byte, before []byte, limit int) (n int, err error) {
	if tx.top().counts.keyed == 0 {
		return 0, nil
	}
	from := tx.app.keys.keptUntils(end)
	if before == nil {
		before = after(from)
	}
	rows, err := tx.rows(from, before, false, limit)
	for _, r := range rows {
		ms, size, name, ok := keptUntilOf(tail(r.key))
		if !ok {
			tx.delete(r.key)
		} else {
			tx.dropKeptCall(end, ms, size, slices.Clone(name))
		}
		n++
	}
	return n, err
}

// keptCalls verifies the idempotency keys: each has its end, and no more.
func (c *jobCheck) keptCalls() {
	untils := map[string]bool{}
	sizes := map[string]string{} // key of the end by name
	for k, v := range c.n.all(c.snap, tagIdempotency) {
		rest := tail(k)
		if ms, size, name, ok := keptUntilOf(rest); ok {
			if err := damageOf(v); err != nil {
				c.failed(err)
			}
			untils[string(c.n.keptUntil(rest[0], ms, size, name))] = true
			c.got.keyed++
			c.got.keyedBytes += uint64(size)
			continue
		}
		if len(rest) != 1+32 || rest[0] != keptCall {
			c.bad("key %x of idempotency keys", k)
			continue
		}
		p, err := decodeKeptCall(v)
		if err != nil {
			c.failed(err)
			sizes[string(rest[1:])] = ""
			continue
		}
		if n := len(p.Result); len(p.Fingerprint) != 32 || n > MaxIdempotentResult || n > 0 && (uint64(n) != p.ResultBytes || !wellFormed(p.Result)) {
			c.bad("an idempotency key has a fingerprint of %d bytes, and %d bytes of a result of %d", len(p.Fingerprint), n, p.ResultBytes)
		}
		sizes[string(rest[1:])] = string(c.n.keptUntil(keptEnd(p.Spare), p.UntilMs, len(v), rest[1:]))
	}
	for name, end := range sizes {
		if end != "" && !untils[end] {
			c.bad("the idempotency key %x has no end, or another", name)
		}
	}
	for k := range untils {
		_, _, name, _ := keptUntilOf(tail([]byte(k)))
		if end, ok := sizes[string(name)]; !ok || end != "" && end != k {
			c.bad("end %x is of no idempotency key", k)
		}
	}
}
