package actors

import (
	"time"

	"carillon/storage"
)

// walk is how far the jobs of a priority were looked at, in the order they are due, and
// what of them is claimed. The pools have one, too, without an order.
type walk struct {
	from    storage.Place // no unclaimed job of the priority lies before it
	nextAt  time.Time     // when to claim next; zero: nothing to claim
	claims  claims        // ahead of their start
	most    claims        // that there may be
	blocked bool          // a job that is due waits for another one to end
	passed  stretches     // behind a job that is kept
}

// ready says whether there may be something to claim at the instant.
func (w *walk) ready(wall time.Time) bool {
	return !w.nextAt.IsZero() && !w.nextAt.After(wall) && w.claims.low(w.most)
}

// hasRoom says whether the job may be claimed beside those that are.
func (w *walk) hasRoom(job *storage.Job) bool { return w.claims.room(job, w.most) }

// look has the walk made at the instant, or sooner.
func (w *walk) look(at time.Time) {
	if w.nextAt.IsZero() || at.Before(w.nextAt) {
		w.nextAt = at
	}
}

// back has what lies from the place on read again.
func (w *walk) back(p storage.Place) {
	w.passed.forget(p)
	if p.Less(w.from) {
		w.from = p
	}
}

// walks are those of the priorities, and at 0 that of the pools.
type walks [storage.MaxPriority + 1]walk

const ofPools = 0

// of is the walk whose claims the job counts among.
func (ws *walks) of(job *storage.Job) *walk {
	if job.Pool != "" {
		return &ws[ofPools]
	}
	return &ws[job.Priority]
}

// claimFrom has the jobs read again from the place on.
func (ws *walks) claimFrom(p storage.Place, wall time.Time) {
	for i := range ws {
		ws[i].back(p)
	}
	ws.lookAgain(wall)
}

// lookAgain has all be looked at again that wait for another job.
func (ws *walks) lookAgain(wall time.Time) {
	for i := range ws {
		ws[i].look(wall)
	}
}

// ready says whether there may be something to claim.
func (ws *walks) ready(wall time.Time) bool {
	for i := range ws {
		if ws[i].ready(wall) {
			return true
		}
	}
	return false
}

// next is when there may be something to claim, as far as there is room; zero is never.
func (ws *walks) next() (at time.Time) {
	for i := range ws {
		if w := &ws[i]; w.claims.low(w.most) && !w.nextAt.IsZero() && (at.IsZero() || w.nextAt.Before(at)) {
			at = w.nextAt
		}
	}
	return at
}

// blocked says whether a job that is due waits for another one to end.
func (ws *walks) blocked() bool {
	for i := range ws {
		if ws[i].blocked {
			return true
		}
	}
	return false
}

// claimed is the claimed jobs that wait to be started.
func (ws *walks) claimed() (all claims) {
	for i := range ws {
		all.runs += ws[i].claims.runs
		all.bytes += ws[i].claims.bytes
	}
	return all
}

// forget is what follows when the app's state was lost.
func (ws *walks) dropClaims() {
	for i := range ws {
		ws[i].claims = claims{}
	}
}
