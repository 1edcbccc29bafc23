package storage

import (
	"slices"
	"sync"
	"time"

	"carillon/storage/internal/kv"
)

// gcChunk and gcBytes are how many keys of a deleted app one commit takes
// away, and how much is under them, so that living apps' commits are hardly delayed.
const (
	gcChunk = 2000
	gcBytes = 4 << 20
)

// Bounds of how long the collection of garbage waits after a failure. The wait doubles
// with each failure in a row.
const (
	minGCWait = time.Second
	maxGCWait = time.Hour
)

// garbage is the app numbers whose keys wait to be deleted: those of deleted apps,
// and those of imports that were cut off.
type garbage struct {
	mu       sync.Mutex
	doomed   []keyspace
	failures int       // in a row
	until    time.Time // nothing is deleted before
}

// load takes over the garbage that an earlier owner left.
func (g *garbage) load(snap *kv.Snapshot) {
	c := snap.Cursor(kv.Doomed)
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if kv.DamageOf(v) != nil {
			continue // the number may be that of an app which lives
		}
		g.doomed = append(g.doomed, numberOf(k))
	}
}

func (g *garbage) add(n keyspace) {
	g.mu.Lock()
	g.doomed = append(g.doomed, n)
	g.mu.Unlock()
}

func (g *garbage) first() keyspace {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.doomed) == 0 || time.Now().Before(g.until) {
		return 0
	}
	return g.doomed[0]
}

// wait is how long the next collection waits. ok is false if there is no garbage.
func (g *garbage) wait() (d time.Duration, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(time.Until(g.until), 0), len(g.doomed) > 0
}

// failed puts the number last, and postpones the next collection.
func (g *garbage) failed(n keyspace) {
	g.remove(n)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.doomed = append(g.doomed, n)
	g.until = time.Now().Add(min(minGCWait<<min(g.failures, 20), maxGCWait))
	g.failures++
}

// collected ends the back-off: a chunk was deleted.
func (g *garbage) collected() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failures, g.until = 0, time.Time{}
}

func (g *garbage) remove(n keyspace) {
	g.mu.Lock()
	g.doomed = slices.DeleteFunc(g.doomed, func(m keyspace) bool { return m == n })
	g.mu.Unlock()
}

// collectGarbage deletes a chunk of a doomed app's keys, when the committer has
// nothing else to do. It says whether it did anything.
func (v *volume) collectGarbage() bool {
	n := v.garbage.first()
	if n == 0 {
		return false
	}
	v.revive()
	if v.unwritable() != nil {
		v.garbage.failed(n)
		return false
	}
	done := false
	var own error // of the collection, which has changed nothing
	err := v.fault("gc")
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
			for ; k != nil && numberOf(k) == n; k, value = c.Next() {
				if len(keys) == gcChunk || size >= gcBytes {
					break
				}
				// Deleting while iterating can skip keys: collect first.
				keys = append(keys, slices.Clone(k))
				size += len(k) + len(value)
			}
			done = k == nil || numberOf(k) != n
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
			v.logger.Error("collecting the garbage of a deleted app", "volume", v.name, "err", own)
		} else {
			v.fail(nil, err)
		}
		v.garbage.failed(n)
		return true
	}
	if v.garbage.collected(); done {
		v.garbage.remove(n)
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
