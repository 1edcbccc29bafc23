package actors

import (
	"context"
	"slices"
	"sync"
	"time"

	"carillon/actors/internal/timing"
	"carillon/storage"
)

// batchTurns and batchSpan bound how many turns a batch has, and for how long it
// holds the turn, so that the app's other operations wait no longer than that.
//
// One that begins with a job of a pool has poolTurns at most: the jobs that wait for its permits
// are claimed when it has ended, and their claims are on the way to the disk during the next.
const (
	batchTurns = 64
	poolTurns  = 16
	batchSpan  = 2 * time.Millisecond
)

// turnBatch is the turn passed from mutation to mutation within one goroutine of
// the Runner: going back to the SchedulerActor between any two would cost more
// than most handlers do. Each is its own transaction. A turn that does nothing but
// write is submitted by the goroutine itself; one that fails, cancels a claimed
// job, pauses something, or schedules a job that is due soon is left to the
// SchedulerActor, and ends the batch.
type turnBatch struct {
	app   *appState
	turns []*turn
	began time.Time

	mu       sync.Mutex
	at       int // turns[at-1] has been begun last
	holds    *turn
	deadline time.Time
	lost     bool

	// For the SchedulerActor, once the batch has ended.
	submitted []*turn       // their transactions are on their way
	untimely  []*run        // not begun: they wait again, since the wall was stepped back, or are too late
	inserted  []storage.Job // by submitted turns, due later
	left      *turn         // for the SchedulerActor to finish
}

func newTurnBatch(app *appState, turns []*turn) *turnBatch {
	return &turnBatch{app: app, turns: slices.Clone(turns), began: time.Now()}
}

// next begins the next turn; nil means that the batch has ended.
func (r *turnBatch) next() *turn {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.lost && r.left == nil && r.at < len(r.turns) {
		now := time.Now()
		if r.at > 0 && (now.Sub(r.began) > batchSpan || r.app.queued.Load() >= maxQueued) {
			break
		}
		t := r.turns[r.at]
		r.at++
		if r.begin(t, now) {
			r.holds = t
			return t
		}
	}
	r.holds = nil
	return nil
}

// begin opens the turn's transaction, unless its caller has gone.
func (r *turnBatch) begin(t *turn, now time.Time) bool {
	inv, app := t.inv, r.app
	if !inv.start.begin() {
		inv.reply(result{err: errTurnWait(app.id, inv.Path, app.eng.opts.TurnWait)})
		return false
	}
	if err := refuse(inv.ctx, inv.from, inv.Path); err != nil {
		inv.reply(result{err: blame(inv.Path, inv.timeout, err, context.Cause(inv.ctx))})
		return false
	}
	if inv.job != nil {
		if cut := app.cutBefore(inv.job); cut != nil {
			inv.reply(result{err: cut})
			return false
		}
	} else if err := app.runs.blocks(inv.fn.Path); err != nil {
		inv.reply(result{err: err})
		return false
	}
	if inv.job != nil && app.paused(&inv.job.job) != nil {
		inv.reply(result{err: cutByPause})
		return false
	}
	if inv.job == nil && app.overloaded() {
		inv.reply(result{err: errOverloaded(inv.Path)})
		return false
	}
	at := app.eng.clock.look()
	if job := inv.job; job != nil && (job.job.Due.After(at.wall) || job.job.TooLate(at.wall)) {
		r.untimely = append(r.untimely, job)
		return false
	}
	r.deadline = now.Add(inv.timeout)
	t.ctx = timing.NewLazyContext(inv.ctx, app.eng.ctx, r.deadline)
	if job := inv.job; job != nil && !app.runs.start(job, at.now, t.ctx.Cancel) {
		// Canceled while it waited; the cancel has answered its caller.
		t.ctx.Cancel(nil)
		return false
	}
	t.tx = app.begin(at)
	t.tx.OnCancel(app.noteCancels(&t.cancelings))
	t.writer = t.tx.Bounded(&app.limits.TxLimits)
	inv.now = t.tx.Now()
	if inv.job != nil {
		inv.job.startedAt = inv.now
		app.noteLate(&inv.job.job, at.wall)
	}
	return true
}

// end takes the turn's result. It submits the transaction if that is all
// there is to do.
func (r *turnBatch) end(t *turn, res result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost || r.holds != t {
		r.app.returnedFrom(t.inv)
		return // the turn was taken away, with its transaction
	}
	res.err = blame(t.inv.Path, t.inv.timeout, res.err, t.ctx.Why())
	t.ctx.Cancel(nil)
	t.result = res
	r.holds = nil
	if !r.submit(t) {
		r.left = t
		return
	}
	r.submitted = append(r.submitted, t)
}

// submit submits the turn's transaction. It is false, with nothing done, if
// that is the SchedulerActor's to do.
func (r *turnBatch) submit(t *turn) bool {
	if t.result.err != nil || len(t.cancelings) > 0 || len(t.tx.CanceledClaims()) > 0 || len(t.tx.CanceledTicks()) > 0 || len(t.tx.Left()) > 0 || t.tx.ChangesControls() {
		return false
	}
	if !r.app.store.Stored() && len(r.app.eng.declared.plans) > 0 {
		return false // the app comes into being, and its triggers with it
	}
	inserted := t.tx.Inserted()
	if len(inserted) > 0 {
		soon := r.app.eng.clock.wall().Add(r.app.eng.opts.ClaimAhead)
		for i := range inserted {
			if !inserted[i].Due.After(soon) {
				return false
			}
		}
	}
	job := t.inv.job
	if job != nil && job.job.Then != nil {
		return false // its follow-up is due
	}
	if job != nil && t.tx.EndsGroup(&job.job) {
		return false // so is what follows its group
	}
	if job != nil && t.complete(r.app) != nil {
		return false
	}
	r.inserted = append(r.inserted, inserted...)
	if job != nil {
		r.app.submit(t.tx, runChanges{ended: []*run{job}}, nil)
	} else {
		r.app.submit(t.tx, runChanges{}, t.replyDurable)
	}
	return true
}

// holding returns the turn whose handler runs, and when it must be done.
func (r *turnBatch) holding() (*turn, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.holds, r.deadline
}

// lose takes the turn away and returns who had it. From here on the batch's
// goroutine changes nothing.
func (r *turnBatch) lose() *turn {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = true
	t := r.holds
	r.holds = nil
	return t
}

// finishBatch takes note of what a batch has done, and finishes what it has left.
func (s *scheduler) finishBatch(r *turnBatch) {
	s.eng.sys.gate.Spend(&s.share, time.Since(r.began))
	for _, job := range r.untimely {
		if s.runs.get(job.job.ID) == job && !s.runs.isOver(job) {
			s.runs.mustMove(job, turnTooSoon)
			s.releasePermit()
			s.enqueue(job)
		}
	}
	for _, t := range r.submitted {
		if job := t.inv.job; job != nil {
			s.noLongerAhead(job)
			s.forgetRun(job)
			s.end(job)
		}
	}
	for i := range r.inserted {
		s.noteUnclaimed(&r.inserted[i])
	}
	if t := r.left; t != nil {
		if t.inv.job != nil {
			s.noLongerAhead(t.inv.job)
		}
		s.finishTurn(t)
	}
	if rest := r.turns[r.at:]; len(rest) > 0 {
		s.queue = append(slices.Clone(rest), s.queue...)
	}
}

// batch runs the turns of the batch and tells the SchedulerActor at the end. A
// function that ends its goroutine ends the batch, too.
func (h *handlers) batch(app *appState, r *turnBatch) {
	t, _ := r.holding()
	h.spawn(t.inv.Path, func() result {
		for t != nil {
			app.noteStart(t.inv.job)
			app.tellStart(t.inv.job)
			value, err := h.mutate(app, t)
			h.noteIgnored(app, t.inv)
			h.log(t.inv.Path, err)
			r.end(t, result{value: value, err: err})
			t = r.next()
		}
		return result{}
	}, func(res result) {
		if t != nil {
			r.end(t, res)
		}
		h.eng.sys.tell(app.scheduler, &batchEnded{r})
	})
}
