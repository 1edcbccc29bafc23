package actors

import (
	"time"
)

// This file is how many permits of the engine-wide limit the app asks for and gives back.

// end ends the run, gives back the permit that it may have, and returns the phase that it
// was in.
func (s *scheduler) end(r *run) (was runPhase) {
	if was = s.runs.end(r); !was.over() && s.pools.free(r, was.begun()) {
		s.walks[ofPools].look(s.eng.clock.wall())
	}
	if was.holdsPermit() {
		s.releasePermit()
	}
	if s.pools.uncrowd() {
		s.walks[ofPools].look(s.eng.clock.wall())
	}
	return was
}

// releasePermit gives up the permit of a run, for returnPermits.
func (s *scheduler) releasePermit() {
	s.started--
	if s.eng.broker.contended.Load() {
		s.permits--
		s.unused++
	}
}

// returnPermits gives back the permits that releasePermit has set aside, all at once: a
// message for each would be one for each job of a backlog.
func (s *scheduler) returnPermits() {
	if s.unused > 0 {
		s.eng.broker.giveBack(s.self, s.unused)
		s.unused = 0
	}
}

// askPermits keeps as many permits as there is work for, and no more.
func (s *scheduler) askPermits(wall time.Time) {
	s.returnPermits()
	want := s.started + s.nearing
	if s.soon(wall) {
		may, _ := s.starts.left(s.eng.clock.elapsed())
		want += min(s.runQueue.len(), may)
	}
	want = min(want, s.limits.Concurrency)
	switch more := want - s.permits; {
	case more > s.asked && s.phase().begins():
		s.eng.broker.ask(s.self, more-s.asked)
		s.asked = more
	case more <= 0 && s.asked > 0:
		s.eng.broker.unask(s.self)
		s.asked = 0
	}
	if want < s.permits {
		// Also while no app waits: this app would hear of one that comes to wait only
		// when one of its jobs ends.
		s.eng.broker.giveBack(s.self, s.permits-want)
		s.permits = want
	}
}
