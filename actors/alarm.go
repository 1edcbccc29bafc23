package actors

import "time"

// maxSleep bounds one setting of the alarm: far instants are approached in
// steps, so that no duration overflows.
const maxSleep = 24 * time.Hour

// rearm sets the alarm for the earliest thing there is to do, or none (G14).
func (s *scheduler) rearm() {
	wait := time.Duration(-1)
	sooner := func(d time.Duration) {
		d = max(d, 0)
		if wait < 0 || d < wait {
			wait = d
		}
	}
	wall, elapsed := s.eng.clock.wall(), s.eng.clock.elapsed()
	if s.eng.opts.Still {
		s.rearmStill(elapsed)
		return
	}
	if s.runQueue.len() > 0 && !s.phase().draining() {
		due := s.runQueue.first().job.Due.Sub(wall)
		may, wait := s.starts.left(elapsed)
		switch ahead := due - s.eng.opts.ClaimAhead; { // it asks for a permit then
		case s.eng.lapse.held() != nil:
			sooner(max(due, lapseLook))
		case may == 0:
			sooner(max(wait, ahead))
		case s.started+s.nearing < s.permits:
			sooner(due)
		case !s.soon(wall):
			sooner(ahead)
		}
	}
	if s.backingOff() {
		sooner(s.resumeAt - elapsed)
	} else if next := s.nextWork(); !next.IsZero() && !s.phase().draining() && s.holder == nil {
		sooner(next.Sub(wall))
	}
	if opens := s.pools.nextOpens(); opens > 0 && !s.backingOff() && !s.phase().draining() && s.holder == nil {
		sooner(opens - elapsed)
	}
	if s.goesOn() && !s.operating.busy && s.phase().begins() && !s.backingOff() {
		sooner(s.operating.at - elapsed)
	}
	busy := wait // of what there is to do, not counting sleep
	if s.idle() {
		idleAt := s.touched + s.eng.opts.IdleAfter
		if elapsed >= idleAt {
			// Not while the next job is nearer than it pays to sleep. No message need
			// follow the end of a commit, so the alarm comes again while change sets are on their way.
			if next := s.nextWork(); !s.tidying && !s.store.InFlight() && (next.IsZero() || next.Sub(wall) > s.eng.opts.IdleAfter) {
				if s.eng.directory.sleep(s.ref, next) {
					s.move(actorsStopped)
					s.alarm.Clear()
					return
				}
			}
			idleAt = elapsed + s.eng.opts.IdleAfter
		}
		sooner(idleAt - elapsed)
	}
	if wait < 0 {
		if !s.alarm.Idle {
			s.alarm.Clear()
		}
		return
	}
	wait = min(wait, maxSleep)
	at := elapsed + wait
	idle := busy < 0 || wait < busy
	if idle && s.alarm.Armed() && s.alarm.Idle && s.alarm.At <= at {
		return // each call puts the sleep off: it is looked at when the alarm comes
	}
	if s.alarm.Armed() && s.alarm.At == at {
		return
	}
	sys, self := s.eng.sys, s.self
	s.alarm.Set(wait, func(gen uint64) { sys.tell(self, &alarmFired{gen}) })
	s.alarm.At, s.alarm.Idle = at, idle
}

// rearmStill sets the alarm of an app that begins nothing by itself: for an operation.
func (s *scheduler) rearmStill(elapsed time.Duration) {
	if s.operating.busy || !s.goesOn() || !s.phase().begins() {
		s.alarm.Clear()
		return
	}
	sys, self := s.eng.sys, s.self
	s.alarm.Set(max(s.operating.at-elapsed, 0), func(gen uint64) { sys.tell(self, &alarmFired{gen}) })
}

// idle says whether nothing is under way, except perhaps to the disk.
func (s *scheduler) idle() bool {
	return s.holder == nil && len(s.queue) == 0 && len(s.ended) == 0 && s.runQueue.len() == 0 &&
		len(s.begins) == 0 && s.started == 0 && s.asked == 0 && s.runs.empty() && !s.awaits() && !s.lates.busy && !s.goesOn() && s.phase().begins()
}

// nextWork is when there may be jobs to claim, or to have expire; zero is never.
func (s *scheduler) nextWork() time.Time {
	next := s.nextClaim()
	if at := s.lates.nextAt; !at.IsZero() && !s.lates.busy && (next.IsZero() || at.Before(next)) {
		return at
	}
	return next
}
