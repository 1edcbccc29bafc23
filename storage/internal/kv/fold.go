package kv

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"carillon/storage/internal/boltfile"
	"carillon/storage/internal/overlay"
	"carillon/storage/internal/wal"
)

// Bounds of folds.
const (
	// foldsAtOnce is how many shards of a log are folded at a time.
	foldsAtOnce = 4
	// maxUnfolded is how many bytes the records of a shard may have, as replayCost, that the
	// log's checkpoint lacks.
	maxUnfolded = 64 << 20
	// foldRead is how many bytes of memory the keys take, about, that one fold reads of
	// the log.
	foldRead = 4 << 20
	// The records of folds are kept for so long, and so many bytes of a shard, as replayCost: a
	// standby that asks once in a while, and a node that starts again, go on from there.
	keptFor   = time.Minute
	keptBytes = 16 << 20
	// foldPiece is how many bytes of rows are read of the copy at a time.
	foldPiece = 1 << 20
)

// foldedKey is the row of the log's checkpoint that says up to which record it was to be, and
// the chain behind that: number 8, chain 4. No record has it.
var foldedKey = append([]byte{byte(Meta)}, metaApplied...)

// foldMark is a fold that was made.
type foldMark struct {
	last  uint64 // record up to which it was
	bytes int    // shard.bytes then
	at    time.Time
}

// copied is the layers that the copy has since the log's checkpoint, or some later record.
type copied struct {
	layers []copiedLayer
	bytes  int
	from   uint64 // number of the last record before them

	recorded int // shard.bytes behind that
}

type copiedLayer struct {
	*overlay.Layer
	at       position
	recorded int // shard.bytes behind it
}

// drop forgets the layers that are of records up to there.
func (c *copied) drop(upTo uint64) {
	for len(c.layers) > 0 && c.layers[0].at.last <= upTo {
		c.bytes -= c.layers[0].Bytes()
		c.from, c.recorded = c.layers[0].at.last, c.layers[0].recorded
		c.layers = slices.Delete(c.layers, 0, 1)
	}
}

// copiedLayer takes note of a layer that the copy has now. The caller holds mu. If there are
// too many, the records of the log are to say what was changed.
func (db *DB) copiedLayer(layer *overlay.Layer, at position) {
	if db.shard == nil || !db.claimed.Load() {
		return
	}
	c, recorded := &db.shard.copied, db.shard.bytes-db.tail
	if c.bytes+layer.Bytes() > db.share {
		*c = copied{from: at.last, recorded: recorded}
		return
	}
	c.bytes += layer.Bytes()
	c.layers = append(c.layers, copiedLayer{layer, at, recorded})
}

// unfolded is about how many bytes of records the log's checkpoint lacks. The caller holds mu.
func (db *DB) unfolded() int {
	if db.shard == nil {
		return 0
	}
	return db.shard.bytes - db.shard.foldedAt
}

func (db *DB) foldsBehind() bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.unfolded() >= db.shard.bound
}

// foldsFrom is how long after its claim a shard is folded first: a node claims all its shards at the same time,
// and what callers write comes first.
const foldsFrom = 500 * time.Millisecond

// keepFolding folds what the copy has got, until the DB is closed.
func (db *DB) keepFolding() {
	s := db.shard
	defer close(s.stopped)
	retry, wake := time.NewTimer(foldsFrom), chan struct{}(nil)
	defer retry.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-wake:
			if s.stall.Load() != nil {
				continue // when it is time
			}
		case <-retry.C:
			wake = s.wake
		}
		if err := db.foldAll(); err != nil && s.ctx.Err() == nil {
			retry.Reset(time.Until(db.foldStalls(err).again))
		}
	}
}

// foldStalls takes note of a fold that has failed.
func (db *DB) foldStalls(err error) *Stall {
	now := time.Now()
	stall := &Stall{Since: now, Err: err}
	if before := db.shard.stall.Load(); before != nil {
		stall.Since, stall.Tries = before.Since, before.Tries
	}
	stall.again = now.Add(min(minRetry<<min(stall.Tries, 20), maxRetry))
	stall.Tries++
	db.shard.stall.Store(stall)
	signal(db.room)
	return stall
}

// FoldStalled returns why the log's checkpoint stays behind; nil if the latest fold has worked.
func (db *DB) FoldStalled() *Stall {
	if db.shard == nil {
		return nil
	}
	return db.shard.stall.Load()
}

// Folded is the number of the record up to which the log's checkpoint has all; 0 if it is not
// known yet.
func (db *DB) Folded() uint64 {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.shard == nil || !db.shard.known {
		return 0
	}
	return db.shard.folded
}

// Fold has the copy and the log's checkpoint say all that is shown when it is called. It may run beside Close, and
// then ends with an error.
func (db *DB) Fold() error {
	db.copying.Lock()
	err := db.shard.ctx.Err()
	if err == nil {
		err = db.copyAll(db.fault)
	}
	db.copying.Unlock()
	if err != nil {
		return err
	}
	return db.foldAll()
}

// foldAll folds until the log's checkpoint has what the copy has.
func (db *DB) foldAll() error {
	s := db.shard
	for {
		if db.failed.Load() != nil {
			return nil // it is opened anew, or another's
		}
		if db.spent() {
			select {
			case db.commit <- struct{}{}:
			case <-s.ctx.Done(): // Close holds it
				return s.ctx.Err()
			}
			err := db.renew()
			db.commit.Unlock()
			if err != nil {
				return err
			}
		}
		select {
		case s.log.folds <- struct{}{}:
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
		more, err := db.fold()
		<-s.log.folds
		if err != nil {
			return err
		}
		s.stall.Store(nil)
		signal(db.room)
		if !more {
			return nil
		}
	}
}

// fold folds once, and trims. more says that the copy has more than the log's checkpoint then.
func (db *DB) fold() (more bool, err error) {
	s := db.shard
	s.folding.Lock()
	defer s.folding.Unlock()
	defer func() { s.spent = s.spent || errors.Is(err, wal.ErrUnknown) }()
	if err := s.ctx.Err(); err != nil {
		return false, err // it may be closed by now
	}
	if err := db.whereFolded(); err != nil {
		return false, err
	}
	f, err := db.toFold()
	if err != nil || f.at.last == 0 {
		return false, err
	}
	if err := s.log.shared.Fold(f.claim, f.at.last, db.foldRows(f)); err != nil {
		return false, err
	}
	db.mu.Lock()
	s.folded = f.at.last
	s.foldedAt = max(s.foldedAt, f.recorded)
	bytes := s.bytes
	if s.copied.drop(f.at.last); s.folded >= s.copied.from {
		s.foldedAt = max(s.foldedAt, s.copied.recorded) // also of records that were read of the log
	}
	more = s.folded < db.inFile.last
	db.mu.Unlock()
	s.folds = append(s.folds, foldMark{f.at.last, bytes, time.Now()})
	return more, db.trimFolded(f.claim, bytes)
}

// trimFolded has the log forget what was folded a while ago. The last record of a fold stays:
// a copy that has come so far is told by it.
func (db *DB) trimFolded(claim wal.Claim, bytes int) error {
	s := db.shard
	old := 0
	for i, f := range s.folds {
		if time.Since(f.at) >= keptFor || bytes-f.bytes >= s.kept {
			old = i
		}
	}
	if s.folds = slices.Delete(s.folds, 0, old); s.folds[0].last <= 1 {
		return nil
	}
	return s.log.Trim(claim, s.folds[0].last-1)
}

// whereFolded finds out where the fold of an earlier owner has left the log's checkpoint.
func (db *DB) whereFolded() error {
	s := db.shard
	if s.known {
		return nil
	}
	db.mu.Lock()
	epoch := db.claim.Epoch
	db.mu.Unlock()
	is, err := s.log.standingSince(s.ctx, db.volume, epoch)
	if err != nil {
		return err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	s.folded = is.Folded
	s.folds = []foldMark{{s.folded, s.bytes, time.Now()}}
	s.known = true
	return nil
}

// standingSince is how the shard stood at some time since it was claimed with the epoch. The log is asked
// once for all shards that were claimed by then.
func (l *Log) standingSince(ctx context.Context, v Volume, epoch uint64) (is wal.ShardState, err error) {
	l.standing.Lock()
	defer l.standing.Unlock()
	if is := l.stood[v]; is.Epoch == epoch {
		return is, nil
	}
	standing, err := l.shared.Standing(ctx)
	if err != nil {
		return is, err
	}
	l.stood = map[Volume]wal.ShardState{}
	for _, is := range standing.Shards {
		l.stood[is.Shard] = is
	}
	return l.stood[v], nil
}

// folding is what one fold takes.
type folding struct {
	claim  wal.Claim
	at     position // how far the log's checkpoint comes; 0: there is nothing to fold
	keys   []string // in order: the space, then the key
	unsaid bool     // the chain at the position is not known

	recorded int // shard.bytes at the position, if known
}

// toFold finds the keys that were changed since the latest fold: in the layers that were
// copied since, or, if there are older changes, in the records of the log.
func (db *DB) toFold() (f folding, err error) {
	s := db.shard
	db.mu.Lock()
	f.claim = db.claim
	from, to, folded := s.copied.from, db.inFile.last, s.folded
	layers := slices.Clone(s.copied.layers)
	db.mu.Unlock()
	switch {
	case folded < from:
		err = db.readFolding(&f, folded, from)
	case folded < to:
		for _, l := range layers {
			f.keys = appendKeys(f.keys, l.Layer)
			f.at, f.recorded = l.at, l.recorded
		}
	}
	slices.Sort(f.keys)
	f.keys = slices.Compact(f.keys)
	return f, err
}

// readFolding reads the records of the log behind the one, up to the other or so many that
// their keys take the room.
func (db *DB) readFolding(f *folding, behind, upTo uint64) error {
	room, known := db.shard.read, false
	for rec, err := range db.log.Read(db.shard.ctx, db.volume, behind+1) {
		if err != nil {
			return err
		}
		if len(rec.Data) > 0 {
			if !known {
				f.at.chain, known = overlay.Behind(rec.Data), true
			}
			err := overlay.Scan(rec.Data, spaces, f.at.chain, func(space int, key, _ []byte, _ bool) {
				f.keys = append(f.keys, string(append([]byte{byte(space)}, key...)))
				room -= len(key) + rowCost
			})
			if err != nil {
				return fmt.Errorf("%w: record %d of shard %d: %w", wal.ErrDamaged, rec.Seq, db.volume, err)
			}
		}
		f.at = f.at.after(rec)
		if rec.Seq >= upTo || room <= 0 {
			break
		}
	}
	f.unsaid = !known // takeovers alone leave it as it is
	return nil
}

func appendKeys(keys []string, layer *overlay.Layer) []string {
	for space := range spaces {
		_ = layer.Scan(space, func(key, _ []byte, _ bool) error {
			keys = append(keys, string(append([]byte{byte(space)}, key...)))
			return nil
		})
	}
	return keys
}

// foldRows yields the rows of a fold, as the copy has them now: that is what they were at the
// position, or what a record behind it sets again. Of the copy no moment is held while the log
// takes them.
func (db *DB) foldRows(f folding) iter.Seq2[wal.Row, error] {
	stop := db.shard.ctx
	return func(yield func(wal.Row, error) bool) {
		said := wal.Row{Key: foldedKey, Value: encodeApplied(f.at.last, f.at.chain)}
		if f.unsaid {
			said.Key = nil
		}
		for keys := f.keys; ; {
			rows, err := db.readRows(keys)
			if err == nil {
				err = stop.Err()
			}
			if err != nil {
				yield(wal.Row{}, err)
				return
			}
			keys = keys[len(rows):]
			for _, row := range rows {
				if said.Key != nil && string(said.Key) < string(row.Key) {
					if !yield(said, nil) {
						return
					}
					said.Key = nil
				}
				if !yield(row, nil) {
					return
				}
			}
			if len(keys) == 0 {
				if said.Key != nil {
					yield(said, nil)
				}
				return
			}
		}
	}
}

// readRows reads the rows of the first keys of the copy.
func (db *DB) readRows(keys []string) (rows []wal.Row, err error) {
	pin, err := db.file.Begin()
	if err != nil {
		return nil, err
	}
	defer pin.Close()
	err = pin.Read(func(snap *boltfile.Snapshot) error {
		size := 0
		for _, key := range keys {
			row := wal.Row{Key: []byte(key)}
			value := snap.Get(Space(key[0]), row.Key[1:])
			if d := DamageOf(value); d != nil {
				return d
			}
			row.Deleted = value == nil
			row.Value = append([]byte{}, value...)
			rows = append(rows, row)
			if size += len(key) + len(value); size >= foldPiece {
				break
			}
		}
		return nil
	})
	return rows, db.met(err)
}
