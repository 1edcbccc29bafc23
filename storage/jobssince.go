package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"carillon/storage/internal/kv"
)

// What has become of jobs since a commit is read from a log that nodes share: another node has it,
// too, for about a minute after it was folded. It is what a transaction would have done to them that
// had done all of it.

// These bound what is read of a log to tell what has become of jobs since a commit, and what of it
// is of the app: in bytes of records, and of memory, about. Tests set others.
var (
	maxSinceRead  = 64 << 20
	maxSinceBytes = 4 << 20
)

// ErrSinceGone says that it cannot be told what has become of jobs since a commit.
var ErrSinceGone = errors.New("what came behind the commit is not known any more")

// CommitMark is where an app stands in a log that nodes share: a commit of its volume, of a history
// that has the checksum, with the app's latest sequence number, or its lower half. The zero one is
// no such place. For engines.
type CommitMark struct {
	Commit     uint64
	Chain, Seq uint32
}

// CommittedMark is the mark of the change set that is being answered, if the log is shared and no
// later one of the same commit has to do with jobs of the app. It is for the done of a Commit.
func (a *App) CommittedMark() CommitMark {
	if !a.vol.shard {
		return CommitMark{}
	}
	for _, cs := range a.vol.unanswered {
		if cs.app == a && cs.writes != nil && a.keys.movesJobs(cs.writes) {
			return CommitMark{}
		}
	}
	return CommitMark{a.commit, a.vol.last.Chain, uint32(a.seq)}
}

// jobRegions are the regions that a job moves through.
var jobRegions = [...]tag{tagQueue, tagHeld, tagHistory, tagDead}

// movesJobs says whether records of jobs are among what is written.
func (n keyspace) movesJobs(b *buffer) (moves bool) {
	for _, t := range jobRegions {
		prefix := string(n.prefix(t))
		b.m.Ascend(prefix, func(key string, _ write) bool {
			moves = moves || len(key) == len(prefix)+placeLen && key[:len(prefix)] == prefix
			return false
		})
	}
	return moves
}

// JobsSince returns what has become of the app's jobs since the mark, each told once, and the mark
// up to which it is told. It reads the log. ErrSinceGone, or an error of the log's or of ctx, says
// that it is not known. For engines.
func (a *App) JobsSince(ctx context.Context, mark CommitMark) ([]JobChange, CommitMark, error) {
	if !a.vol.shard || mark == (CommitMark{}) {
		return nil, CommitMark{}, ErrSinceGone
	}
	pin, to, err := a.vol.beginAt()
	if err != nil {
		return nil, CommitMark{}, err
	}
	defer pin.Close()
	n, is, err := a.stands(pin)
	if err != nil {
		return nil, CommitMark{}, err
	}
	s := since{app: a.id, keys: n, began: is - uint64(uint32(is)-mark.Seq), first: map[uint64]int{}, last: map[uint64]Job{}}
	from := kv.Place{Seq: mark.Commit, Chain: mark.Chain}
	if err := a.vol.log.Since(ctx, kv.Volume(a.vol.index), from, to, s.read); err != nil {
		return nil, CommitMark{}, fmt.Errorf("app %s: %w", a.id, readError(err))
	}
	changes, err := s.changes()
	return changes, CommitMark{to.Seq, to.Chain, uint32(is)}, err
}

// Mark is the mark of a snapshot that App.SnapshotAt has opened.
func (s *Snapshot) Mark() (CommitMark, error) {
	if !s.v.app.vol.shard {
		return CommitMark{}, nil
	}
	_, seq, err := s.v.app.stands(s.pin)
	return CommitMark{s.place.Seq, s.place.Chain, uint32(seq)}, err
}

// stands reads what the app's number is, and its latest sequence number.
func (a *App) stands(pin *kv.Pin) (n keyspace, seq uint64, err error) {
	err = pin.Read(func(snap *kv.Snapshot) error {
		entry := snap.Get(kv.Apps, []byte(a.id))
		if entry == nil {
			return nil
		}
		if n, err = decodeEntry(entry); err != nil {
			return err
		}
		c, err := decodeCounts(snap.Get(kv.Data, n.prefix(tagMeta)))
		seq = c.seq
		return err
	})
	return n, seq, readError(err)
}

// since is what of an app's jobs is read from a log.
type since struct {
	app    AppID
	keys   keyspace
	began  uint64 // jobs up to this sequence number are not new
	size   int
	writes buffer
	first  map[uint64]int // by sequence number, of those jobs, the index of the region that they have left first
	last   map[uint64]Job // likewise, as their records were that were taken away
}

// read takes what a record has of them.
func (s *since) read(_ uint64, record []byte) (err error) {
	if s.size += len(record); s.size > maxSinceRead {
		return ErrSinceGone
	}
	left := map[uint64]int{} // of several regions in one commit the last, as in a transaction
	scanned := kv.Scan(record, func(space kv.Space, key, value []byte, deleted bool) {
		switch {
		case space == kv.Apps && string(key) == string(s.app):
			err = ErrSinceGone // it was made, or deleted
		case space == kv.Data:
			region, ok := s.region(key)
			if !ok {
				return
			}
			if seq := placeOf(key).seq; deleted && seq <= s.began {
				left[seq] = max(left[seq], region)
				s.keepLast(key)
			}
			s.writes.set(string(key), write{bytes.Clone(value), deleted})
		}
	})
	for seq, region := range left {
		if _, known := s.first[seq]; !known {
			s.first[seq] = region
		}
	}
	if err == nil && s.writes.weight()+len(s.last)*goneWeight > maxSinceBytes {
		err = ErrSinceGone
	}
	return errors.Join(err, scanned)
}

// keepLast keeps what the job was whose record is taken away, if that was written since the mark.
func (s *since) keepLast(key []byte) {
	was, known := s.writes.m.Get(string(key))
	if !known || was.deleted {
		return
	}
	p := placeOf(key)
	if job, err := decodeJob(p, was.value); err == nil {
		job.shorten()
		s.last[p.seq] = job
	}
}

// region is the index of the one that the key of a job's record is of.
func (s *since) region(key []byte) (i int, ok bool) {
	for i, t := range jobRegions {
		if prefix := s.keys.prefix(t); len(key) == len(prefix)+placeLen && bytes.HasPrefix(key, prefix) {
			return i, true
		}
	}
	return 0, false
}

// changes are what was read.
func (s *since) changes() ([]JobChange, error) {
	w := JobWrites{keys: s.keys, writes: s.writes, began: s.began}
	changes := w.Changes()
	for i := range changes {
		c := &changes[i]
		if c.Gone {
			job, known := s.last[c.seq]
			if !known {
				return nil, ErrSinceGone // nothing says what it was
			}
			c.gone = &job
		}
		if region, ok := s.first[c.seq]; ok {
			c.was = jobRegions[region]
		}
		if c.Gone {
			continue
		}
		job, err := decodeJob(c.place, c.record)
		c.Retried = err == nil && c.is == tagQueue && c.was == tagQueue && job.Attempts > 0 && !job.PendingOutside() && job.Answer() == nil
	}
	return changes, nil
}
