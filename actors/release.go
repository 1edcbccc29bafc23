package actors

import (
	"context"
	"errors"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is how claimed jobs start, at their instant and as far as there are permits.

// release starts the claimed jobs whose instant has come, as far as there are
// permits, in the order they were due. The wall is read again here: a timer is
// only a hint, and no job starts early (G11).
func (s *scheduler) release() {
	wall := s.eng.clock.wall()
	var due []*invocation
	s.runQueue.ripen(wall)
	for len(s.runQueue.due) > 0 && s.eng.lapse.held() == nil && s.phase().begins() && !s.uncorrected() {
		r := s.runQueue.first()
		if s.runs.get(r.job.ID) != r || s.runs.isOver(r) {
			s.runQueue.pop() // canceled meanwhile, or too late
			continue
		}
		if s.started+s.nearing >= s.permits {
			break
		}
		if may, _ := s.starts.left(s.eng.clock.elapsed()); may == 0 {
			break
		}
		s.runQueue.pop()
		if r.job.TooLate(wall) {
			s.endRun(ending{run: r, err: cutByTime})
			continue
		}
		if cut := s.cutBefore(r); cut != nil {
			s.endRun(ending{run: r, err: cut})
			continue
		}
		if r.job.ClaimBegin() == storage.BeginAwaited {
			s.runs.mustMove(r, beginLogs)
			s.begins = append(s.begins, r)
			s.nearing++
			continue
		}
		if inv := s.launch(r); inv != nil {
			due = append(due, inv)
		}
	}
	if len(due) > 0 {
		s.eng.sys.tell(s.runner, &dueJobs{due})
	}
	s.askPermits(wall)
}

// logBegins writes down of jobs that crashes have found claimed that their handlers are about to
// begin. They wait for their permits once more when that is durable.
func (s *scheduler) logBegins() {
	tx := s.begin(s.eng.clock.look())
	tx.Pin()
	var logged []*run
	for _, r := range s.begins {
		if s.runs.get(r.job.ID) != r || s.runs.isOver(r) {
			s.nearing--
			continue // canceled meanwhile, or too late
		}
		if err := tx.LogBegin(&r.job); err != nil {
			s.rollback(tx, nil, nil)
			if errors.Is(err, storage.ErrCorrupt) {
				s.backOff(err)
			}
			s.breakDown(err)
			return
		}
		logged = append(logged, r)
	}
	s.begins = nil
	if tx.Unchanged() {
		s.rollback(tx, nil, nil)
		return
	}
	s.commitRuns(tx, nil, runChanges{claimed: logged}, nil)
}

// cutBefore is why the run must not begin though it is due and has a permit, or nil.
func (app *appState) cutBefore(r *run) error {
	switch {
	case app.eng.lapse.held() != nil:
		return notHeld
	case app.runs.blocks(r.path) != nil:
		return cutByStuck
	case app.isPutOff(&r.job):
		return cutByPutOff
	}
	return nil
}

// cutHere is why the handler of an action must not be called after all, or nil: the way from
// release to here leads through a mailbox and the host's hook, which may take any time.
func (app *appState) cutHere(r *run, wall time.Time) error {
	switch {
	case r.job.TooLate(wall):
		return cutByTime
	case app.paused(&r.job) != nil:
		return cutByPause
	}
	return nil
}

// soon says whether the first of the claimed jobs is as near as its claim is
// ahead of it. A wall that was stepped back puts it off.
func (s *scheduler) soon(wall time.Time) bool {
	return s.runQueue.len() > 0 && !s.runQueue.first().job.Due.After(wall.Add(s.eng.opts.ClaimAhead))
}

// launch makes of the run what goes down the path of an RPC. An action's handler
// counts as started from here; a mutation's when it gets the turn. It is nil if
// the run is not to start.
func (s *scheduler) launch(r *run) *invocation {
	job := dispatch.JobRun{App: s.id, ID: r.job.ID, Attempt: r.attempt, ScheduledFor: r.job.ScheduledFor, Tags: r.job.Tags, Revision: r.job.Revision, Outcome: r.job.Outcome, Group: r.job.Group, GroupOutcome: r.job.GroupOutcome}
	inv := &invocation{
		Invocation: dispatch.Invocation{
			Path: r.job.Function, Args: r.job.Args, Origin: dispatch.OriginJob, Job: job, Tick: r.tick,
		},
		ctx: s.eng.ctx,
		job: r,
	}
	if link := r.job.Trace; link != nil {
		inv.ctx = dispatch.TraceRun(inv.ctx, link)
	}
	cancel := context.CancelCauseFunc(func(error) {})
	r.log = &runLog{run: r}
	if !r.mutation {
		inv.ctx, cancel = context.WithCancelCause(inv.ctx)
		r.notes = &notes{run: r}
		r.src.notes, r.src.log = r.notes, r.log
		if !s.runs.start(r, s.eng.clock.now(), cancel) {
			cancel(nil)
			return nil // parked until a cancel is decided
		}
		s.noLongerAhead(r)
		r.ctx = inv.ctx
	} else {
		s.runs.mustMove(r, turnAsked)
	}
	s.started++
	s.starts.note(s.eng.clock.elapsed())
	sys, self := s.eng.sys, s.self
	inv.answer = func(res result) {
		cancel(nil)
		end := ending{run: r, err: res.err, unfit: inv.stored.Unfit}
		if res.err == nil {
			end.result, end.notKept = s.keep(inv, res.value)
		}
		sys.tell(self, &jobEnded{end})
	}
	return inv
}
