package actors

import (
	"fmt"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is about jobs that this program cannot run (G38). They are held: neither
// begun nor failed, until a person decides, or an engine opens with functions that are
// not those they were held by. Then all of them are released, and what still cannot run
// is held again.

// heldChunk is how many held jobs one change set releases at most; storage bounds their
// bytes.
const heldChunk = 256

// unrunnable says why no program with these functions can run the job, or "".
// Whether its arguments fit is known when it has been tried.
func (e *Engine) unrunnable(job *storage.Job) string {
	switch fn, ok := e.opts.Functions.Lookup(job.Function); {
	case !ok && job.Remote:
		return fmt.Sprintf("no remote function %q", job.Function)
	case ok && job.Remote != fn.Remote && job.Remote:
		return fmt.Sprintf("function %q is one of this program, and the job is of a remote one", job.Function)
	case ok && job.Remote != fn.Remote:
		return fmt.Sprintf("function %q is remote, and the job is of one of the program's", job.Function)
	case !ok:
		return fmt.Sprintf("no function %q", job.Function)
	case fn.Kind == dispatch.KindQuery:
		return fmt.Sprintf("function %q is a query: only mutations and actions run later", job.Function)
	case job.Pool != "" && e.pools[job.Pool] == nil:
		return fmt.Sprintf("no pool %q", job.Pool)
	}
	return ""
}

// hold holds a due job, for the reason, in the transaction that was about to claim it.
func (s *scheduler) hold(tx *storage.Tx, job *storage.Job, reason string, wall time.Time) error {
	s.warnHeld(job, reason)
	return tx.JobWriter().Nested(func(w storage.JobWriter) error {
		if job.Trigger != "" && !job.Slot.IsZero() {
			_, err := s.planner.judge(w, job, nil, reason, wall, tx.Now())
			return err
		}
		_, err := w.HoldJob(job.ID, reason)
		return err
	})
}

// warnHeld tells the operator once of each function.
func (s *scheduler) warnHeld(job *storage.Job, reason string) {
	if s.warned[job.Function] {
		return
	}
	if s.warned == nil {
		s.warned = map[string]bool{}
	}
	s.warned[job.Function] = true
	s.eng.opts.Logger.Warn("jobs that cannot run are held", s.attrsOf(job, "reason", reason)...)
}

// wakeHeld wakes the apps with jobs that were held by other functions than the
// engine's, when none is due.
func (w *waker) wakeHeld() {
	err := w.eng.store.Held(func(id storage.AppID, by string) bool {
		if by != w.eng.registry {
			w.background = append(w.background, id)
		}
		return true
	})
	if err != nil && !w.eng.closing.Load() {
		w.eng.opts.Logger.Error("looking for held jobs", "err", err)
	}
}

// releaseHeld makes a chunk of the held jobs pending that other functions than the
// engine's were not able to run. It is false if there are none.
func (s *scheduler) releaseHeld() bool {
	n, by := s.store.Held()
	if n == 0 || by == s.eng.registry || s.phase().draining() || s.unreleased {
		return false
	}
	at := s.eng.clock.look()
	tx := s.begin(at)
	tx.Pin()
	var err error
	if s.heldTo == (storage.Place{}) {
		s.heldTo, err = tx.LastHeld()
	}
	more := false
	if err == nil {
		f := s.eng.clock.fixes(0) // no correction has looked at when they are due
		_, more, err = tx.ReleaseHeld(s.heldTo, heldChunk, func(job *storage.Job) { f.job(job, false, at) })
	}
	if err == nil && !more {
		err = tx.SetHeldBy()
		s.heldTo = storage.Place{}
	}
	if err != nil {
		s.unreleased = true // until the app is opened again
		s.eng.opts.Logger.Error("releasing held jobs", "app", s.id, "err", err)
		s.rollback(tx, nil, nil)
		return true
	}
	s.commit(tx, nil, nil)
	return true
}

// heldReason is why a slot is skipped while a tick of its trigger is held.
func heldReason(r interface{ System() storage.System }, t *storage.Trigger) string {
	job, _, _ := r.System().Get(t.HeldJob) // what cannot be read is told to those who read it
	return fmt.Sprintf("the tick of %s is held: %s", job.Slot.Format(time.RFC3339), job.Reason)
}

// dropHeld takes the held tick of a trigger away that comes to mean something else.
func (p *planner) dropHeld(w storage.JobWriter, t *storage.Trigger, reason string, now time.Time) error {
	if t.HeldJob == "" {
		return nil
	}
	id := t.HeldJob
	t.HeldJob = ""
	job, ok, err := w.System().Get(id)
	switch {
	case err != nil || !ok:
		return err
	case job.Attempts > 0:
		_, err := p.cancelBegun(w, t, id)
		return err
	}
	if _, _, err := w.DropHeld(id); err != nil {
		return err
	}
	return p.relog(w, t, &job, storage.SlotSkipped, reason, now)
}
