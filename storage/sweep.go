package storage

import (
	"slices"
	"sync"
	"time"

	"carillon/storage/internal/kv"
)

// sweepChunk and sweepBytes are how many keys of a deleted app one commit takes
// away, and how much is under them, so that living apps' commits are hardly delayed.
const (
	sweepChunk = 2000
	sweepBytes = 4 << 20
)

// Bounds of the time in which nothing is swept after a sweep that failed. It doubles
// with each in a row.
const (
	minSweepWait = time.Second
	maxSweepWait = time.Hour
)

// sweeps are the app numbers whose keys wait to be swept away: of apps that were
// deleted, and of imports that were cut off.
type sweeps struct {
	mu       sync.Mutex
	doomed   []keyspace
	failures int       // in a row
	until    time.Time // nothing is swept before
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
	if len(s.doomed) == 0 || time.Now().Before(s.until) {
		return 0
	}
	return s.doomed[0]
}

// wait is in how long there is something to sweep again. ok is false if there is nothing.
func (s *sweeps) wait() (d time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(time.Until(s.until), 0), len(s.doomed) > 0
}

// failed puts the number last, and all sweeping off.
func (s *sweeps) failed(n keyspace) {
	s.remove(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doomed = append(s.doomed, n)
	s.until = time.Now().Add(min(minSweepWait<<min(s.failures, 20), maxSweepWait))
	s.failures++
}

// swept notes that something was swept away.
func (s *sweeps) swept() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures, s.until = 0, time.Time{}
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
	if n == 0 {
		return false
	}
	v.revive()
	if v.unwritable() != nil {
		v.sweeps.failed(n)
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
		v.sweeps.failed(n)
		return true
	}
	if v.sweeps.swept(); done {
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
