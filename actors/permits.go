package actors

import (
	"time"
)

// This file is how many slots of the engine-wide limit the app asks for and gives back.

// freeSlot gives back the slot of a run that has ended.
func (s *scheduler) freeSlot(r *run) {
	if !r.holdsSlot {
		return
	}
	r.holdsSlot = false
	s.started--
	if s.eng.governor.contended.Load() {
		s.slots--
		s.eng.governor.giveBack(s.self, 1)
	}
}

// askSlots keeps as many slots as there is work for, and no more.
func (s *scheduler) askSlots(wall time.Time) {
	want := s.started
	if s.soon(wall) {
		want += s.ready.len()
	}
	want = min(want, s.eng.opts.AppConcurrency)
	switch more := want - s.slots; {
	case more > s.asked && !s.broken && !s.draining:
		s.eng.governor.ask(s.self, more-s.asked)
		s.asked = more
	case more <= 0 && s.asked > 0:
		s.eng.governor.unask(s.self)
		s.asked = 0
	}
	if want < s.slots {
		// Also while nobody waits: of whoever comes to wait this app would not hear
		// before one of its jobs has ended.
		s.eng.governor.giveBack(s.self, s.slots-want)
		s.slots = want
	}
}
