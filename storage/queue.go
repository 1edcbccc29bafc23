package storage

import (
	"runtime"
	"sync"
)

// Bounds of what one commit takes of a queue, so that no app's change sets keep
// those of the others waiting for long. Weights are bytes, of which a key counts
// keyWeight beside its own: that is about what each costs.
const (
	// maxBatch bounds how many change sets share one commit.
	maxBatch = 4096
	// batchWeight bounds them together. A lone one may weigh more.
	batchWeight = 4 << 20
	// heavyWeight is what a change set weighs at least to wait in the heavy lane.
	heavyWeight = 1 << 20
	keyWeight   = 128
)

// lingerRounds bounds how often the committer lets others run before it
// commits, as long as each time more arrived. A lone caller does not wait.
const lingerRounds = 8

// queue is what waits for a volume's committer. Heavy change sets have a lane of
// their own, and the lanes take turns, so that a light one waits for one heavy one
// at most, however many there are, and a heavy one for one batch of light ones.
//
//	change set ──┬──► light lane ──┐
//	             │                 ├──► batch: of one lane, up to batchWeight
//	             └──► heavy lane ──┘
//
// An app's change sets keep their order (S2): one that comes behind a heavy one of
// its app waits in the heavy lane too, and a heavy one is not taken before the light
// ones of its app that were there first.
type queue struct {
	mu      sync.Mutex
	light   []*changeSet
	heavy   []*changeSet
	yielded bool // the last batch was of light ones, and a heavy one waited
	closed  bool
	wake    chan struct{}
}

// lanes are how many change sets of an app wait in each lane, guarded by queue.mu.
type lanes struct{ light, heavy int }

// weight is what a change set costs the committer.
func (b *buffer) weight() int { return b.bytes + keyWeight*b.m.Len() }

// put adds a change set. It is false if the queue is closed. It never blocks.
func (q *queue) put(cs *changeSet) bool {
	if cs.writes != nil {
		cs.weight = cs.writes.weight()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	if lanes := &cs.app.lanes; cs.weight >= heavyWeight || lanes.heavy > 0 {
		lanes.heavy++
		q.heavy = append(q.heavy, cs)
	} else {
		lanes.light++
		q.light = append(q.light, cs)
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true
}

// len is how many change sets wait.
func (q *queue) len() (n int, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.light) + len(q.heavy), q.closed
}

// linger lets others run as long as that makes more arrive. alone says that the
// last batch was one change set.
func (q *queue) linger(alone bool) {
	for seen, i := 0, 0; i < lingerRounds; i++ {
		n, _ := q.len()
		if n == seen || n >= maxBatch || n == 1 && alone {
			return
		}
		seen = n
		runtime.Gosched()
	}
}

// take returns the next batch, which is of one lane; nil if nothing waits.
func (q *queue) take() []*changeSet {
	q.mu.Lock()
	defer q.mu.Unlock()
	heavy := len(q.heavy) > 0 && q.heavy[0].app.lanes.light == 0 && (q.yielded || len(q.light) == 0)
	q.yielded = !heavy && len(q.heavy) > 0
	lane := &q.light
	if heavy {
		lane = &q.heavy
	}
	n, weight := 0, 0
	for _, cs := range *lane {
		if weight += cs.weight; n == maxBatch || n > 0 && weight > batchWeight || heavy && cs.app.lanes.light > 0 {
			break
		}
		n++
	}
	batch := (*lane)[:n:n]
	for _, cs := range batch {
		if heavy {
			cs.app.lanes.heavy--
		} else {
			cs.app.lanes.light--
		}
	}
	if *lane = (*lane)[n:]; len(*lane) == 0 {
		*lane = nil // what is left of it holds on to apps that may be asleep by now
	}
	return batch
}

// close lets nothing more in. It returns what waits, if drop says so.
func (q *queue) close(drop bool) (dropped []*changeSet) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if drop {
		dropped = append(q.light, q.heavy...)
		q.light, q.heavy = nil, nil
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return dropped
}
