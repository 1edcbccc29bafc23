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
	// batchApps bounds of how many apps: each costs some pages of its own, a tenth of a
	// millisecond or two.
	batchApps = 128
	// batchWeight bounds them together. A lone one may weigh more.
	batchWeight = 4 << 20
	// heavyWeight is what a change set weighs at least to wait in the heavy lane, with
	// those of its app that wait in the others.
	heavyWeight = 1 << 20
	keyWeight   = 128
)

// lingerRounds bounds how often the committer lets others run before it
// commits, as long as each time more arrived. A lone caller does not wait.
const lingerRounds = 8

// queue is what waits for a volume's committer, in three lanes:
//
//	             ┌──► awaited lane: a caller waits for it ──┐ first,
//	change set ──┼──► light lane ───────────────────────────┴► batch, up to its bounds
//	             └──► heavy lane ────────────────────────────► batch, up to its bounds
//
// Of a batch that is not of the heavy lane what is awaited gets all that the light
// lane leaves, and half at least. Batches of the heavy lane take turns with the others,
// so that a light change set waits for one heavy one at most, however many there are,
// and a heavy one for one batch of light ones.
//
// An app's change sets keep their order (S2). Behind one in the heavy lane all that
// follow wait there, too; what waits in the light lane is awaited with one that follows
// and is; and none is taken while an earlier one of its app waits in a lane before.
type queue struct {
	mu      sync.Mutex
	lanes   [laneCount][]*changeSet
	yielded bool   // the last batch was not of the heavy lane, and one waited there
	batches uint64 // taken so far
	asked   int    // what callers wait for in all lanes, with askWeight for each
	pace    pace
	closed  bool
	wake    chan struct{}
}

type lane int

const (
	awaitedLane lane = iota
	lightLane
	heavyLane
	laneCount
)

// waits is what of an app waits in the queue, guarded by queue.mu.
type waits struct {
	in    [laneCount]int // change sets
	light int            // what those weigh that are not in the heavy lane
	asked int            // queue.asked, of the app
	batch uint64         // the latest that has one of the app
}

// before is how many of the app's change sets wait in the lanes before l.
func (w *waits) before(l lane) (n int) {
	for _, m := range w.in[:l] {
		n += m
	}
	return n
}

// lighten notes that more, or less, of the app waits in the lane.
func (w *waits) lighten(l lane, weight int) {
	if l != heavyLane {
		w.light += weight
	}
}

// lane is where a change set of the app waits.
func (w *waits) lane(cs *changeSet) lane {
	switch {
	case w.light+cs.weight >= heavyWeight || w.in[heavyLane] > 0:
		return heavyLane // a hundred of a tenth as much make others wait as long
	case cs.awaited:
		return awaitedLane
	}
	return lightLane
}

// hasten moves what of the app waits in the light lane to the awaited one.
func (q *queue) hasten(app *App) {
	w := &app.waits
	left := q.lanes[lightLane][:0]
	for _, cs := range q.lanes[lightLane] {
		if cs.app == app {
			q.lanes[awaitedLane] = append(q.lanes[awaitedLane], cs)
		} else {
			left = append(left, cs)
		}
	}
	clear(q.lanes[lightLane][len(left):])
	q.lanes[lightLane] = left
	w.in[awaitedLane] += w.in[lightLane]
	w.in[lightLane] = 0
}

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
	w := &cs.app.waits
	l := w.lane(cs)
	if l == awaitedLane && w.in[lightLane] > 0 {
		q.hasten(cs.app)
	}
	w.in[l]++
	w.lighten(l, cs.weight)
	q.lanes[l] = append(q.lanes[l], cs)
	q.ask(cs, 1)
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
	for _, lane := range q.lanes {
		n += len(lane)
	}
	return n, q.closed
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

// room is what a batch has left for more.
type room struct{ sets, apps, weight int }

// halfBatch is that of half an empty batch.
var halfBatch = room{maxBatch / 2, batchApps / 2, batchWeight / 2}

func (r room) plus(s room) room { return room{r.sets + s.sets, r.apps + s.apps, r.weight + s.weight} }

// take returns the next batch; nil if nothing waits.
func (q *queue) take() (batch []*changeSet) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.batches++
	if q.yielded || len(q.lanes[awaitedLane])+len(q.lanes[lightLane]) == 0 {
		left := halfBatch.plus(halfBatch)
		if batch = q.fill(nil, heavyLane, &left); len(batch) > 0 {
			q.yielded = false
			return batch
		}
	}
	q.yielded = len(q.lanes[heavyLane]) > 0
	left, kept := halfBatch, halfBatch
	if len(q.lanes[lightLane]) == 0 {
		left, kept = left.plus(kept), room{}
	}
	batch = q.fill(nil, awaitedLane, &left)
	left = left.plus(kept)
	return q.fill(batch, lightLane, &left)
}

// fill takes change sets of the lane into the batch, as long as there is room. The
// first of a batch always has.
func (q *queue) fill(batch []*changeSet, l lane, left *room) []*changeSet {
	n := 0
	for _, cs := range q.lanes[l] {
		w := &cs.app.waits
		if w.before(l) > 0 {
			break
		}
		apps := left.apps
		if w.batch != q.batches {
			apps--
		}
		if len(batch)+n > 0 && (left.sets == 0 || apps < 0 || cs.weight > left.weight) {
			break
		}
		left.sets, left.apps, left.weight = left.sets-1, apps, left.weight-cs.weight
		w.batch = q.batches
		w.in[l]--
		w.lighten(l, -cs.weight)
		q.ask(cs, -1)
		n++
	}
	taken := q.lanes[l][:n:n]
	if q.lanes[l] = q.lanes[l][n:]; len(q.lanes[l]) == 0 {
		q.lanes[l] = nil // what is left of it holds on to apps that may be asleep by now
	}
	if batch == nil {
		return taken
	}
	return append(batch, taken...)
}

// close lets nothing more in. It returns what waits, if drop says so.
func (q *queue) close(drop bool) (dropped []*changeSet) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if drop {
		for l := range q.lanes {
			dropped = append(dropped, q.lanes[l]...)
			q.lanes[l] = nil
		}
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return dropped
}
