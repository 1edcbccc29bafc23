package actors

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"carillon/dispatch"
	"carillon/storage"
)

// recover looks at every claim without a run: after a crash, or a commit that failed (A6).
// Of one that another incarnation has made the attempt counts as interrupted, unless the claim
// says that its handler has not begun: then it is taken back. Of its own this process knows: if its handler
// began and its end was lost, that is written down again, or the attempt was interrupted if the end is not
// known, and else the claim is taken back, uncharged. Because the volume has one owner there is no lease to wait out. An error means
// that nothing could be read.
func (s *scheduler) recover() error {
	if s.eng.opts.Still {
		s.recovered = true // claims are the next start's to look at
		return nil
	}
	tx := s.begin(s.eng.clock.look())
	tx.Pin()
	jobs, err := tx.Claimed()
	if err != nil {
		if jobs == nil {
			s.rollback(tx, nil, nil)
			return err
		}
		s.eng.opts.Logger.Error("recovering claimed jobs", "app", s.id, "err", err)
	}
	s.recovered = true
	if err == nil { // else one of them may be of a job that cannot be read now
		s.runs.keepLost(jobs)
	}
	var mended []storage.ClaimID // what the transaction says the end of
	var told []func()            // what the log says when that is durable: until then it is found again
	n := 0
	for i := range jobs {
		job := &jobs[i]
		if r := s.runs.get(job.ID); r != nil {
			if r.job.Place() != job.Place() {
				r.job.Follow(*job) // a correction of the clock has not become durable
			}
			continue
		}
		if n++; !hasRoom(tx, n) {
			s.commitMended(tx, mended, told)
			tx, mended, told, n = s.begin(s.eng.clock.look()), nil, nil, 0
			tx.Pin()
		}
		crashed := !s.store.Ours(job.ClaimID())
		known, lost := s.runs.lostEnd(job.ClaimID())
		if known != nil && job.Answer() == nil {
			s.endAgain(known, job)
			continue
		}
		if answer := job.Answer(); answer != nil {
			end := answered(&run{job: *job, attempt: job.Attempts + 1}, answer)
			if err = s.logCrash(tx, job); err == nil {
				_, err = tx.EndAttempt(*job, s.outcome(tx, s.eng.clock.look(), end))
			}
		} else if crashed && job.ClaimBegin() != storage.BeginAwaited || lost {
			end := s.interruption(job, cutByStop, crashed)
			told = append(told, func() { s.logInterruption(job, end, crashed) })
			if err = s.logCrash(tx, job); err == nil {
				_, err = tx.EndAttempt(*job, end)
			}
		} else {
			err = tx.Unclaim(job)
		}
		if errors.Is(err, storage.ErrUnavailable) {
			s.rollback(tx, nil, nil)
			return err
		}
		if err != nil {
			s.eng.opts.Logger.Error("recovering a claimed job", s.attrsOf(job, "err", err)...)
			continue // the next recovery finds it again
		}
		mended = append(mended, job.ClaimID())
	}
	s.commitMended(tx, mended, told)
	s.claimFrom(storage.Place{})
	return nil
}

// endAgain has an attempt end as it has: its claim is there, so that the change set which said so has come to nothing.
func (s *scheduler) endAgain(end *ending, job *storage.Job) {
	r := end.run
	if r.app != s.appState { // it began before the app was stopped, and its handler may not have returned
		r = r.app.runs.moved(r, s.appState)
	}
	if r.job.Place() != job.Place() {
		r.job.Follow(*job)
	}
	s.runs.add(r)
	s.runs.mended([]storage.ClaimID{job.ClaimID()})
	s.ended = append(s.ended, *r.ending)
}

// logInterruption is called by the committer.
func (app *appState) logInterruption(job *storage.Job, end storage.End, crashed bool) {
	level := slog.LevelWarn
	if job.Interruptions > 0 && !crashed {
		level = slog.LevelDebug // of a volume that keeps failing, say: it has been told
	}
	app.eng.opts.Logger.Log(context.Background(), level, "job was interrupted",
		app.attrsOf(job, "attempt", job.Attempts+1, "state", end.State)...)
}

// commitMended submits what recover has written of the claims.
func (s *scheduler) commitMended(tx *storage.Tx, claims []storage.ClaimID, told []func()) {
	if tx.Unchanged() {
		s.rollback(tx, nil, nil) // nothing to wait for
		return
	}
	runs := s.runs
	s.commitRuns(tx, nil, runChanges{own: true}, func(err error) {
		if err == nil {
			runs.mended(claims)
			for _, tell := range told {
				tell()
			}
		}
	})
}

// breakDown stops everything that builds upon a change set that failed, or finds
// the volume down, until the app's state was read again (G6). Actions that run go
// on running.
func (s *scheduler) breakDown(cause error) {
	s.move(stateLost)
	s.correction = nil
	if s.holder != nil {
		s.loseTurn(&dispatch.Error{
			Code:    dispatch.CodeUnavailable,
			Message: "the volume failed; nothing was changed", Err: cause,
		})
	}
	for _, r := range s.runs.all() {
		if r.mutation || !s.runs.live(r.job.ID) {
			s.runs.lose(r)
			s.end(r)
		}
	}
	s.ended = slices.DeleteFunc(s.ended, func(e ending) bool { return s.runs.get(e.run.job.ID) != e.run }) // endAgain has them
	s.runQueue, s.begins, s.nearing = runQueue{}, nil, 0
	s.walks.dropClaims()
	s.pools.leaveShared()
}

// reload reads the app's state again once every change set has been answered.
// It is false while that is not possible.
func (s *scheduler) reload() bool {
	if s.outstanding.Load() > 0 {
		return false // a committed message comes with each
	}
	err := s.store.Reload()
	if err == nil {
		s.loads++
		s.eng.waiters.lookAgain(s.id, false)
		s.eng.feeds.lookAgain(s.id, "")
		// A claim without a run is told from one whose run ended meanwhile.
		s.walks, s.lates = walks{}, lates{busy: s.lates.busy}
		if s.unrecovered = s.backingOff(); s.unrecovered {
			s.claimFrom(storage.Place{})
		} else {
			err = s.recover()
		}
	}
	if err != nil {
		s.rest(err)
		return false
	}
	if s.resting {
		s.resting = false
		s.eng.opts.Logger.Info("app is up again", "app", s.id)
	}
	s.reloads = 0
	s.move(stateRead)
	return true
}

// backOff has the app's own work wait: claims, ends of jobs, triggers, purging. One of
// its change sets has met a damaged page, which the next one meets again. Callers are
// served meanwhile, as far as their pages are sound.
func (s *scheduler) backOff(cause error) {
	now := s.eng.clock.elapsed()
	if now-s.refusedAt > 2*maxBackoff {
		s.refusals = 0
	}
	s.refusedAt = now
	if s.refusals++; s.refusals == 1 {
		s.eng.opts.Logger.Error("jobs of an app wait: their pages are damaged", "app", s.id, "err", cause)
	}
	s.resumeAt = now + waitAfter(s.refusals)
}

func (s *scheduler) backingOff() bool { return s.eng.clock.elapsed() < s.resumeAt }

// rest has an app that cannot go on try again later. Callers do not wait for it, nor
// does the close of the engine.
func (s *scheduler) rest(err error) {
	s.reloads++
	wait := s.store.RetryIn()
	if wait <= 0 {
		wait = waitAfter(s.reloads)
	}
	if !s.resting && !volumeFailed(err) { // of a volume that is down storage tells
		s.resting = true
		s.eng.opts.Logger.Error("app is down", "app", s.id, "err", err)
	}
	sys, self := s.eng.sys, s.self
	s.alarm.Set(wait, func(uint64) { sys.tell(self, &retryReload{}) })
	s.alarm.At = s.eng.clock.elapsed() + wait
	s.dismiss(err)
	if !slices.ContainsFunc(s.runs.all(), func(r *run) bool { return !s.runs.isOver(r) }) {
		s.tellDrained()
	}
}
