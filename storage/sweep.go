package storage

import (
	"slices"
	"sync"

	"carillon/storage/internal/kv"
)

// sweepChunk and sweepBytes are how many keys of a deleted app one commit takes
// away, and how much is under them, so that living apps' commits are hardly delayed.
const (
	sweepChunk = 2000
	sweepBytes = 4 << 20
)

// sweeps are the app numbers whose keys wait to be swept away: of apps that were
// deleted, and of imports that were cut off.
type sweeps struct {
	mu     sync.Mutex
	doomed []keyspace
}

// load takes up the sweeps that an earlier owner left.
func (s *sweeps) load(snap *kv.Snapshot) {
	c := snap.Cursor(kv.Doomed)
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		n := keyspace(uint32(k[0])<<24 | uint32(k[1])<<16 | uint32(k[2])<<8 | uint32(k[3]))
		s.doomed = append(s.doomed, n)
	}
}

func (s *sweeps) add(n keyspace) {
	s.mu.Lock()
	s.doomed = append(s.doomed, n)
	s.mu.Unlock()
}

func (s *sweeps) first() keyspace {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.doomed) == 0 {
		return 0
	}
	return s.doomed[0]
}

func (s *sweeps) remove(n keyspace) {
	s.mu.Lock()
	s.doomed = slices.DeleteFunc(s.doomed, func(m keyspace) bool { return m == n })
	s.mu.Unlock()
}

// sweepSome deletes a chunk of a doomed app's keys, when the committer has
// nothing else to do. It says whether it did anything.
func (v *volume) sweepSome() bool {
	n := v.sweeps.first()
	if n == 0 || v.unwritable() != nil {
		return false
	}
	done := false
	var own error // of the sweep, which has changed nothing
	err := v.fault("sweep")
	if err == nil {
		err = v.update(func(tx *kv.Txn) (err error) {
			defer func() { own = err }()
			prefix := n.number()
			if k, _ := tx.Base().Cursor(kv.Doomed).Seek(prefix); string(k) != string(prefix) {
				// An import whose last commit returned an error was made whole by it.
				done = true
				return nil
			}
			var keys [][]byte
			size := 0
			c := tx.Base().Cursor(kv.Data)
			k, value := c.Seek(prefix)
			for ; k != nil && string(k[:numberLen]) == string(prefix); k, value = c.Next() {
				if len(keys) == sweepChunk || size >= sweepBytes {
					break
				}
				// Deleting while iterating can skip keys: collect first.
				keys = append(keys, slices.Clone(k))
				size += len(k) + len(value)
			}
			done = k == nil || string(k[:numberLen]) != string(prefix)
			for _, k := range keys {
				if err := tx.Delete(kv.Data, k); err != nil {
					return err
				}
			}
			if done {
				return tx.Delete(kv.Doomed, prefix)
			}
			return nil
		})
	}
	if err != nil {
		if own != nil {
			v.logger.Error("sweeping a deleted app", "volume", v.name, "err", own)
		} else {
			v.fail(nil, err)
		}
		// The sweep goes on when the store is opened again.
		v.sweeps.remove(n)
		return true
	}
	if done {
		v.sweeps.remove(n)
	}
	return true
}

// do runs one transaction of the file from outside the committer's batches: as
// a change set of no app and that weight, in its turn. It returns when that is durable.
func (v *volume) do(weight int, fn func(*kv.Txn) error) error {
	done := make(chan error, 1)
	v.submit(&changeSet{app: new(App), weight: weight, special: fn, done: func(err error) { done <- err }})
	return <-done
}
