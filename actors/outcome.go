package actors

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// ending is how a job's run came to its end outside the turn: an action's
// always, a mutation's if it failed.
type ending struct {
	run        *run
	err        error // nil: success
	result     []byte
	notKept    *storage.NotKept
	unfit      error            // this program cannot run it: the handler has not started
	checkpoint *json.RawMessage // its last, if that was not written yet
	unbegun    bool             // the handler has not started and was interrupted: no attempt
}

// endRun takes note of a run's end. What it means for the job is written down with
// the next turn.
func (s *scheduler) endRun(end ending) {
	r := end.run
	if r.expires != nil {
		r.expires.Stop()
	}
	r.src.end(dispatch.CodeAborted, "the attempt is over")
	end.checkpoint = r.notes.end()
	was := s.end(r)
	if s.runs.get(r.job.ID) != r || was.over() {
		return // canceled, or given up: only the permit was left
	}
	cut := interrupted(end.err)
	if !was.begun() {
		s.noLongerAhead(r) // a mutation that has ended before it had the turn
	}
	end.unbegun = cut != nil && (cut.unbegun || !was.begun())
	if s.eng.aborted.Load() {
		return // as if the process had died: nothing that a handler returns counts
	}
	if !end.unbegun {
		r.ending = &end
	}
	s.putOffPool(r, end.err)
	s.ended = append(s.ended, end)
}

// forgetRun takes the run off the table. After a suspect, a tick, or a job with a unique
// key, one that has waited for it may be claimed.
func (s *scheduler) forgetRun(r *run) {
	s.runs.remove(r)
	if r.job.Trigger != "" {
		s.planner.unlooked.Store(true)
	}
	if r.suspect || r.job.Trigger != "" || r.job.Unique != nil {
		s.lookAgain()
	}
}

// expireAfter has the run of an action given up after d, unless that is set
// sooner already.
func (s *scheduler) expireAfter(r *run, d time.Duration) {
	at := time.Now().Add(d)
	if r.expires != nil {
		if at.After(r.expiresAt) {
			return
		}
		r.expires.Stop()
	}
	r.expiresAt = at
	sys, self := s.eng.sys, s.self
	r.expires = time.AfterFunc(d, func() { sys.tell(self, &runExpired{r}) })
}

// giveUp ends the run of an action whose handler has neither returned by its
// deadline, or since its app is held, nor within the grace after it. The permit is
// freed; the job is not run again before that handler has returned.
func (s *scheduler) giveUp(r *run) {
	end := ending{run: r}
	if s.runs.get(r.job.ID) == r && !s.runs.isOver(r) {
		end.err = r.overran()
	}
	if !r.mutation {
		s.leaveBehind(&r.handle, leftOfRun(r, false), 0)
	}
	s.endRun(end)
}

// applyEnded writes down what became of jobs whose runs have ended, in one change
// set: of the first of them, as many as it has room for. It claims what is due as well:
// those that have waited for the permits of the ended ones need not wait for another commit.
func (s *scheduler) applyEnded() {
	ended := s.ended
	at := s.eng.clock.look()
	tx := s.begin(at)
	tx.Pin()
	var cancelings, over []*run
	tx.OnCancel(s.noteCancels(&cancelings))
	n := 0
	for ; n < len(ended) && hasRoom(tx, n); n++ {
		end := ended[n]
		r := end.run
		if s.runs.get(r.job.ID) != r {
			continue
		}
		var err error
		if end.unbegun {
			err = tx.Unclaim(&r.job)
			s.claimFrom(r.job.Place())
		} else {
			var out storage.End
			out, err = s.endOf(tx, at, end)
			if err = errors.Join(err, s.logStart(tx, r), s.logPutOff(tx, r, end.err)); err == nil {
				if err = s.saveLast(tx, &end, out); err == nil {
					s.saveLog(tx, r, out, end.err)
					_, err = tx.EndAttempt(r.job, out)
				}
			}
		}
		if errors.Is(err, storage.ErrUnavailable) {
			s.rollback(tx, nil, nil) // to be written down when the volume is up
			s.breakDown(err)
			return
		}
		if err != nil {
			s.eng.opts.Logger.Error("ending a run", s.attrsOf(&r.job, "err", err)...)
		}
		s.lates.note(&r.job)
		over = append(over, r)
	}
	if s.ended = ended[n:]; len(s.ended) == 0 {
		s.ended = nil
	}
	for _, r := range over {
		s.forgetRun(r)
	}
	s.leaveOrder(tx.Left())
	changes := runChanges{ended: over}
	if len(s.ended) == 0 && s.mayClaim(at) {
		changes.claimed = s.claimIn(tx, at)
	}
	s.commitRuns(tx, cancelings, changes, nil)
}

// endOf says what follows from how a run ended, or was said to end outside.
func (s *scheduler) endOf(tx *storage.Tx, at reading, end ending) (storage.End, error) {
	hash, _ := s.runs.tokenOf(end.run)
	if hash != nil {
		job, _, _, err := tx.Unended(end.run.job.ID)
		if err != nil {
			return storage.End{}, err
		}
		if answer := job.Answer(); answer != nil {
			end = answered(end.run, answer)
		} else if errors.Is(end.err, dispatch.ErrPending) {
			return s.leaveOutside(end.run, at, hash), nil
		}
	}
	if end.unfit != nil {
		reason := dispatch.AsError(end.unfit).Message
		s.warnHeld(&end.run.job, reason)
		return storage.End{State: storage.StateHeld, Reason: reason}, nil
	}
	out := s.outcome(tx, at, end)
	out.Token = hash
	return out, nil
}

// outcome says what follows from how an attempt ended. A retry waits by the wall,
// like whatever is due: what is written down may be ahead of it.
func (app *appState) outcome(tx *storage.Tx, at reading, end ending) storage.End {
	r := end.run
	if end.err == nil {
		return storage.End{State: storage.StateSuccess, StartedAt: r.startedAt, Result: end.result, NotKept: end.notKept}
	}
	e := dispatch.AsError(end.err)
	out := storage.End{
		State:     storage.StateFailed,
		StartedAt: r.startedAt,
		Error:     &storage.JobError{Code: string(e.Code), Message: e.Message},
	}
	log := app.eng.opts.Logger
	if r.told { // it is being written down again
		log = slog.New(slog.DiscardHandler)
	}
	r.told = true
	log = log.With(app.attrsOf(&r.job, "attempt", r.attempt, "err", e)...)
	cut := interrupted(end.err)
	if cut == nil && volumeFailed(end.err) {
		cut = cutByVolume
	}
	if cut != nil && !dispatch.IsPermanent(end.err) {
		out := app.interruption(&r.job, cut, false)
		out.StartedAt = r.startedAt
		if cut.lasts && out.State == storage.StatePending {
			out.Due = at.wall.Add(afterLasting) // not again and again while that lasts
		}
		log.Info("job was interrupted", "state", out.State)
		return out
	}
	if dispatch.IsPermanent(end.err) || r.job.AtMostOnce {
		log.Warn("job failed for good")
		return out
	}
	policy := app.eng.opts.Functions.RetryOf(r.job.Function, r.job.Retry)
	log = log.With("attempts", policy.MaxAttempts)
	putOff := postponement(end.err)
	out.Postponed = putOff != nil && mayPutOff(&r.job, at.now)
	wait, again := policy.Next(r.job.Failures + 1)
	if !again && !out.Postponed {
		log.Warn("job failed, and its attempts are spent")
		return out
	}
	wait = policy.Jittered(wait, retryKey(app.id, r.job.ID), r.attempt)
	switch {
	case out.Postponed && !putOff.Backoff:
		wait = putOff.After
	case putOff != nil:
		wait = max(wait, putOff.After)
	}
	out.State, out.Due = storage.StatePending, dueAfter(at.wall, wait) // one past the last possible is dead (storage)
	if app.eng.isPast(app.id, tx.JobWriter().System(), &r.job, out.Due) {
		out.State, out.Postponed = storage.StateFailed, false
		log.Warn("job failed, and its trigger's next slot comes before another attempt")
		return out
	}
	if out.Postponed {
		log.Info("job was put off by its handler", "wait", wait)
		return out
	}
	log.Info("job failed, and will be tried again", "wait", wait)
	return out
}

// afterLasting is how long a job waits that was interrupted by what may last, such as a
// volume's failure.
const afterLasting = time.Second

// interruption says what follows from an attempt that was interrupted.
func (app *appState) interruption(job *storage.Job, cut *interruption, crashed bool) storage.End {
	unsure := crashed && job.ClaimBegin() == storage.BeginUntold
	crashed = crashed && !unsure
	end := storage.End{
		State: storage.StatePending, Due: job.Due, Interrupted: true, Crashed: crashed, Unsure: unsure,
		Error: &storage.JobError{Code: string(dispatch.CodeAborted), Message: cut.Error()},
	}
	switch {
	case job.AtMostOnce:
		end.State = storage.StateFailed
		end.Error.Message = "interrupted, and to be run at most once"
	case crashed && job.Interruptions+1 >= app.eng.opts.MaxInterruptions:
		end.State = storage.StateFailed
		end.Error.Message = fmt.Sprintf("suspected poison: %d crashes in a row cut it off", job.Interruptions+1)
	}
	return end
}
