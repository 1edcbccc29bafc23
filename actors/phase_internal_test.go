package actors

import "testing"

// A15: an app goes from phase to phase along the arrows of the picture and no others, and
// while it drains along the same ones.
func TestPhasesOfAnApp(t *testing.T) {
	const (
		opening, indexing, aligning = phaseOpening, phaseIndexing, phaseAligning
		serving, failed, stopped    = phaseServing, phaseFailed, phaseStopped
	)
	arrows := map[phase]map[phaseEvent]phase{
		opening:  {stateRead: indexing, stateLost: opening},
		indexing: {indexesBuilt: aligning, stateLost: opening},
		aligning: {triggersAligned: serving, stateLost: failed},
		serving:  {triggersDoubted: aligning, stateLost: failed},
		failed:   {stateRead: aligning, stateLost: failed},
		stopped:  nil,
	}
	seen := 0
	for from, events := range arrows {
		for e := range phaseEvents {
			for _, draining := range []phase{0, phaseDraining} {
				if from == stopped && draining != 0 {
					continue
				}
				seen++
				want, drawn := events[e]
				want |= draining
				switch {
				case from == stopped:
					want, drawn = stopped, e == actorsStopped || e == drainBegun
				case e == drainBegun:
					want, drawn = from|phaseDraining, true
				case e == drainResumed:
					want, drawn = from, draining != 0
				case e == actorsStopped:
					want, drawn = stopped, true
				}
				from := from | draining
				if !drawn {
					want = from
				}
				if got, ok := from.next(e); got != want || ok != drawn {
					t.Errorf("%s while %s: %s, %t, want %s, %t", e, from, got, ok, want, drawn)
				}
			}
		}
	}
	if want := (5*2 + 1) * int(phaseEvents); seen != want {
		t.Errorf("%d arrows were looked at, want %d", seen, want)
	}
}

// A15: what is done in a phase.
func TestWhatPhasesAllow(t *testing.T) {
	for p, want := range map[phase]struct{ read, admits, begins, awaits bool }{
		phaseOpening:                  {awaits: true},
		phaseIndexing:                 {read: true, awaits: true},
		phaseAligning:                 {read: true, admits: true, begins: true},
		phaseServing:                  {read: true, admits: true, begins: true},
		phaseFailed:                   {admits: true, awaits: true},
		phaseStopped:                  {admits: true},
		phaseOpening | phaseDraining:  {awaits: true},
		phaseIndexing | phaseDraining: {read: true, awaits: true},
		phaseAligning | phaseDraining: {read: true, admits: true, awaits: true},
		phaseServing | phaseDraining:  {read: true, admits: true, awaits: true},
		phaseFailed | phaseDraining:   {admits: true, awaits: true},
	} {
		got := want
		got.read, got.admits, got.begins, got.awaits = p.read(), p.admits(), p.begins(), p.awaits()
		if got != want {
			t.Errorf("%s: %+v, want %+v", p, got, want)
		}
	}
}

// A15: an arrow that is not drawn is refused loudly, and changes nothing.
func TestAPhaseThatIsNotDrawnIsRefused(t *testing.T) {
	s := &scheduler{appState: &appState{id: "acme"}}
	s.move(stateRead)
	defer func() {
		const want = "actors: A15: app acme: triggers aligned while indexing"
		if got := recover(); got != want {
			t.Errorf("panic %v, want %v", got, want)
		}
		if s.phase() != phaseIndexing {
			t.Errorf("then it is %s", s.phase())
		}
	}()
	s.move(triggersAligned)
}
