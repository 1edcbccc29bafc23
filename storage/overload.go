package storage

import (
	"math"
	"time"
)

// This file sheds load. The change sets that callers wait for, in the queue of a volume's
// committer, are bounded by what the committer gets through in backlogSpan, by its recent
// pace. An accepted caller has its answer in about that time; a shed one has it at once.

const (
	// backlogSpan is how long the callers' change sets may keep the committer busy.
	backlogSpan = time.Second
	// leastBacklog is what may wait whatever the pace: half a batch.
	leastBacklog = batchWeight / 2
	// askWeight is what a change set counts beside its weight, and what the next one
	// is taken to weigh.
	askWeight = 1 << 10
	// commitWeight is what a commit counts beside its change sets, for its sync.
	commitWeight = 256 << 10
	// paceMemory is how much a commit counts for the pace once another has followed.
	paceMemory = 0.9
)

// pace is what the committer got through lately, and how long that took: sums in which
// a commit counts the less the more have followed.
type pace struct{ weight, seconds float64 }

// note takes note of a batch.
func (p *pace) note(weight int, took time.Duration) {
	p.weight = p.weight*paceMemory + float64(weight)
	p.seconds = p.seconds*paceMemory + took.Seconds()
}

// within is how much the committer gets through in d.
func (p *pace) within(d time.Duration) int {
	const most = math.MaxInt32
	if n := p.weight * d.Seconds(); n < most*p.seconds {
		return int(n / p.seconds)
	}
	return most
}

// ask counts a change set that a caller waits for, or with -1 one that is not in the
// queue any more. The caller has the lock.
func (q *queue) ask(cs *changeSet, sign int) {
	if cs.awaited {
		n := sign * (cs.weight + askWeight)
		q.asked += n
		cs.app.waits.asked += n
	}
}

// noteBatch takes note of how long a batch took.
func (q *queue) noteBatch(sets, weight int, took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pace.note(weight+sets*askWeight+commitWeight, took)
}

// Overloaded says whether to refuse a caller's change because too much waits for the
// volume's committer. Each app may have as much in the queue as is still free: one app
// that floods it leaves half to the others, n such apps leave one part of n+1, and an app
// that asks for little finds room. Change sets without a waiting caller (Tx.Await) do not
// count, and are committed after awaited ones. Any goroutine may ask.
func (a *App) Overloaded() bool {
	q := &a.vol.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	free := max(q.pace.within(backlogSpan), leastBacklog) - q.asked
	return a.waits.asked+askWeight > free
}
