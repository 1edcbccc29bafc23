package actors

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// maxSteps bounds the steps of an attempt's progress that wait for the SchedulerActor.
const maxSteps = 64

// noteEvery is how far apart the checkpoints of an attempt are written, and so is its progress.
const noteEvery = time.Second

// notes are what an action notes while it runs as a job: its checkpoints, and how far it has come.
// Those that come too soon after one that was written wait in memory, the latest alone. Handlers
// use them from their own goroutines; the lock is a leaf.
type notes struct {
	run *run

	mu       sync.Mutex
	over     bool            // the attempt is
	latest   json.RawMessage // the checkpoint that this attempt has saved last
	waits    *json.RawMessage
	saveFrom time.Time // when the next checkpoint may be written
	progress *storage.Progress
	untold   bool               // it has not been written down
	tellFrom time.Time          // when that may be
	unlogged bool               // there are lines of the log that were not written down
	logFrom  time.Time          // when they may be
	steps    []storage.Progress // the latest that those who watch were not told, in order
	timer    *time.Timer
	timerAt  time.Time
}

// errAttemptOver refuses what comes from an attempt that is over.
func errAttemptOver() error {
	return dispatch.Errorf(dispatch.CodeAborted, "the attempt is over: another one may have begun, and nothing of this one is saved")
}

// Checkpoint implements dispatch.Notes.
func (n *notes) Checkpoint(ctx context.Context, value json.RawMessage) error {
	if err := n.run.src.refusal(); err != nil {
		return err
	}
	n.mu.Lock()
	if n.over {
		n.mu.Unlock()
		return errAttemptOver()
	}
	now := time.Now()
	if now.Before(n.saveFrom) {
		n.latest, n.waits = value, &value
		n.arm(n.saveFrom)
		n.mu.Unlock()
		return nil
	}
	n.saveFrom = now.Add(noteEvery)
	before := n.waits
	n.mu.Unlock()
	// A handler that was told to stop has its grace for this, too.
	ctx = context.WithoutCancel(ctx)
	err := n.run.app.eng.change(ctx, n.run.app.id, &n.run.src, func(tx *storage.Tx) error {
		if err := n.run.save(tx, value); err != nil {
			return err
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.latest = value; n.waits == before {
			n.waits = nil
		} else if n.waits != nil {
			n.latest = *n.waits
		}
		return nil
	})
	if volumeFailed(err) {
		n.giveBack(&value)
	}
	return err
}

// save stores the checkpoint in the transaction.
func (r *run) save(tx *storage.Tx, value json.RawMessage) error {
	ok, err := tx.SaveCheckpoint(&r.job, value)
	if err == nil && !ok {
		err = errAttemptOver()
	}
	return err
}

// giveBack has a checkpoint wait again that may not have been written, unless a later one does.
func (n *notes) giveBack(value *json.RawMessage) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.waits == nil && value != nil && !n.over {
		n.waits = value
	}
}

// Latest implements dispatch.Notes.
func (n *notes) Latest() (json.RawMessage, error) {
	n.mu.Lock()
	latest := n.latest
	n.mu.Unlock()
	if latest != nil {
		return latest, nil
	}
	app := n.run.app
	snap, err := app.store.Snapshot(app.eng.clock.now())
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	latest, err = snap.Checkpoint(&n.run.job)
	return latest, app.eng.lapse.answer(err)
}

// Progress implements dispatch.Notes.
func (n *notes) Progress(done, total int64, note string) {
	eng := n.run.app.eng
	p := &storage.Progress{Done: done, Total: total, Note: note, At: eng.clock.now()}
	if n.run.src.refusal() != nil || !n.tell(p) {
		return
	}
	if eng.feeds.watches(n.run.app.id) && n.step(p) {
		eng.sys.tell(n.run.app.scheduler, &runProgressed{n.run})
	}
}

// step has those who watch be told, and says whether the SchedulerActor has to hear of that: it
// tells them, behind the start and before the end.
func (n *notes) step(p *storage.Progress) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.steps) == maxSteps {
		n.steps = slices.Delete(n.steps, 0, 1)
	}
	n.steps = append(n.steps, *p)
	return len(n.steps) == 1
}

// takeSteps returns what step was given since.
func (n *notes) takeSteps() []storage.Progress {
	n.mu.Lock()
	defer n.mu.Unlock()
	steps := n.steps
	n.steps = nil
	return steps
}

// tell notes the progress, and has it written down. It is false if the attempt is over.
func (n *notes) tell(p *storage.Progress) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over {
		return false
	}
	n.progress = p
	if !n.untold || n.timer == nil {
		n.untold = true
		// Not at once: an attempt that is over within that time has written nothing.
		if now := time.Now(); n.tellFrom.Before(now) {
			n.tellFrom = now.Add(noteEvery)
		}
		n.arm(n.tellFrom)
	}
	return true
}

// logged has the lines of the log written down.
func (n *notes) logged() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over || n.unlogged && n.timer != nil {
		return
	}
	n.unlogged = true
	if now := time.Now(); n.logFrom.Before(now) {
		n.logFrom = now.Add(noteEvery)
	}
	n.arm(n.logFrom)
}

// arm has what waits written down at the instant, if not before. The lock is held.
func (n *notes) arm(at time.Time) {
	if n.timer != nil {
		if !at.Before(n.timerAt) {
			return
		}
		n.timer.Stop()
	}
	n.timerAt = at
	n.timer = time.AfterFunc(time.Until(at), n.flush)
}

// flush has what waits written down in a change of its own.
func (n *notes) flush() {
	app := n.run.app
	if app.phase() == phaseStopped {
		return
	}
	var waits *json.RawMessage
	var logs bool
	app.eng.sys.tell(app.scheduler, &operation{
		ctx: context.Background(), from: &n.run.src,
		change: func(tx *storage.Tx) error {
			var p *storage.Progress
			if waits, p, logs = n.due(time.Now()); waits != nil {
				if err := n.run.save(tx, *waits); err != nil {
					return err
				}
			}
			if logs {
				if log, ok := n.run.log.take(false); ok {
					if _, err := tx.SaveLog(&n.run.job, log); err != nil {
						return err
					}
				}
			}
			if p == nil {
				return nil
			}
			_, err := tx.SaveProgress(&n.run.job, *p)
			return err
		},
		answer: func(err error) {
			if err != nil {
				n.giveBack(waits)
				if logs {
					n.run.log.giveBack()
				}
			}
		},
	})
}

// due takes what may be written now; nil is nothing of the kind.
func (n *notes) due(now time.Time) (waits *json.RawMessage, p *storage.Progress, logs bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over {
		return nil, nil, false
	}
	n.timer = nil
	switch {
	case n.waits == nil:
	case now.Before(n.saveFrom): // a later one is on its way
		n.arm(n.saveFrom)
	default:
		waits, n.waits, n.saveFrom = n.waits, nil, now.Add(noteEvery)
	}
	switch {
	case !n.untold:
	case now.Before(n.tellFrom):
		n.arm(n.tellFrom)
	default:
		p, n.untold, n.tellFrom = n.progress, false, now.Add(noteEvery)
	}
	switch {
	case !n.unlogged:
	case now.Before(n.logFrom):
		n.arm(n.logFrom)
	default:
		logs, n.unlogged, n.logFrom = true, false, now.Add(noteEvery)
	}
	return waits, p, logs
}

// hush stops the timer: the app's actors stop.
func (n *notes) hush() {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.timer != nil {
		n.timer.Stop()
		n.timer = nil
	}
}

// end ends them with the attempt, and returns the checkpoint that waits, if one does. A nil one
// is that of a mutation.
func (n *notes) end() *json.RawMessage {
	if n == nil {
		return nil
	}
	n.hush()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.over = true
	waits := n.waits
	n.waits, n.latest, n.progress = nil, nil, nil
	return waits
}

// saveLast stores the checkpoint that an attempt has left that did not come to be written, if the
// job may be tried again.
func (s *scheduler) saveLast(tx *storage.Tx, end *ending, out storage.End) error {
	if end.checkpoint == nil || out.State.Ended() && out.State != storage.StateFailed {
		return nil
	}
	err := end.run.save(tx, *end.checkpoint)
	if err == nil || errors.Is(err, storage.ErrUnavailable) {
		return err
	}
	s.eng.opts.Logger.Warn("the last checkpoint of an attempt is lost", s.attrsOf(&end.run.job, "err", err)...)
	return nil
}

// progressOf is how far the job has come that runs, nil if it has told nothing.
func (rs *runs) progressOf(id storage.JobID) *storage.Progress {
	rs.mu.Lock()
	r := rs.byID[id]
	if r == nil || !r.phase.begun() || r.notes == nil {
		rs.mu.Unlock()
		return nil
	}
	n := r.notes
	rs.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.progress
}
