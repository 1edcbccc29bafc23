package actors

import (
	"errors"
	"fmt"
	"slices"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is how an app comes to rest, for the end of the engine, sleep or a hold.

// drain begins the end: no job starts any more, and claims of jobs that have
// not started are taken back, so that they count as no attempt. For a hold, jobs
// that run are told to stop and have Options.Grace to return.
func (s *scheduler) drain(m *drain) {
	s.move(drainBegun)
	s.pools.leaveShared()
	s.drained = append(s.drained, m.done)
	s.askPermits(s.eng.clock.wall())
	if !m.hold {
		s.runs.dropHeld()
		return
	}
	for _, r := range s.runs.all() {
		if !s.runs.live(r.job.ID) {
			continue
		}
		s.runs.stop(r, cutByHold)
		if !r.mutation { // a mutation is bounded by the turn
			s.expireAfter(r, s.eng.opts.Grace)
		}
	}
}

// resume goes on after a drain for a hold that was taken back, unless the engine
// is closing meanwhile.
func (s *scheduler) resume() {
	if s.eng.closing.Load() {
		return
	}
	s.move(drainResumed)
	s.drained = nil
	s.claimFrom(storage.Place{})
}

func (s *scheduler) tellDrained() {
	for _, done := range s.drained {
		done()
	}
	s.drained = nil
}

// drainStep takes the claims back, and tells when nothing runs or waits.
func (s *scheduler) drainStep() {
	if s.holder != nil || !s.phase().read() {
		return
	}
	if slices.ContainsFunc(s.runs.all(), func(r *run) bool { return !s.runs.live(r.job.ID) }) {
		tx := s.begin(s.eng.clock.look())
		err := s.unclaim(tx)
		if errors.Is(err, storage.ErrUnavailable) {
			s.rollback(tx, nil, nil)
			s.breakDown(err)
			return
		}
		if err != nil {
			s.eng.opts.Logger.Error("taking claims back", "app", s.id, "err", err)
		}
		s.commit(tx, nil, nil)
	}
	if len(s.queue) == 0 && s.runs.len() == 0 && s.outstanding.Load() == 0 {
		s.tellDrained()
	}
}

// unclaim takes back the claims of the jobs that have not begun.
func (s *scheduler) unclaim(tx *storage.Tx) error {
	var errs error
	for _, r := range s.runs.all() {
		if s.runs.live(r.job.ID) {
			continue
		}
		s.runs.remove(r)
		s.end(r)
		if err := tx.Unclaim(&r.job); err != nil {
			errs = errors.Join(errs, fmt.Errorf("job %s: %w", r.job.ID, err))
		}
	}
	s.runQueue, s.begins, s.nearing = runQueue{}, nil, 0
	s.walks.dropClaims()
	return errs
}

// close leaves nothing behind that could fire or wait.
func (s *scheduler) close(err error) {
	s.alarm.Clear()
	if s.expiry != nil {
		s.expiry.Stop()
	}
	for _, r := range s.runs.all() {
		if r.expires != nil {
			r.expires.Stop()
		}
		r.notes.hush()
	}
	if s.holder != nil {
		lost := dispatch.AsError(err)
		s.loseTurn(&dispatch.Error{Code: lost.Code, Message: lost.Message, Err: cutByClose})
	}
	s.dismiss(err)
	s.tellDrained()
}

// cutOff writes down, when the engine is closed, what that interrupts: attempts that
// have begun as interrupted, and claims of those that have not as none. A crash
// leaves them as they are.
func (s *scheduler) cutOff() {
	if !s.phase().read() || s.eng.aborted.Load() || !s.eng.closing.Load() {
		return
	}
	for _, r := range s.runs.all() {
		if !s.runs.isOver(r) {
			s.endRun(ending{run: r, err: cutByClose})
		}
	}
	for len(s.ended) > 0 && s.phase().read() {
		s.applyEnded()
	}
}

// dismiss answers every caller that waits for the turn.
func (s *scheduler) dismiss(err error) {
	for _, t := range s.queue {
		switch {
		case t.op != nil:
			t.op.answer(err)
		case t.inv.job == nil:
			t.inv.reply(result{err: err})
		} // else what ends the app ends its runs
	}
	s.queue = nil
}
