package actors

import "testing"

// A15: a handler goes from phase to phase along the arrows of the picture; what comes too
// late changes nothing.
func TestPhasesOfAHandler(t *testing.T) {
	arrows := map[handlerPhase]map[handlerEvent]handlerPhase{
		handlerRuns:      {handlerGivenUp: handlerLeaving, handlerReturns: handlerReturned},
		handlerLeaving:   {graceOver: handlerStuck, handlerReturns: handlerReturned},
		handlerStuck:     {personAbandons: handlerAbandoned, handlerReturns: handlerReturned},
		handlerAbandoned: {handlerReturns: handlerReturned},
		handlerReturned:  {},
	}
	listed := map[handlerPhase]bool{handlerLeaving: true, handlerStuck: true}
	counted := map[handlerPhase]bool{handlerStuck: true, handlerAbandoned: true}
	for from, events := range arrows {
		if from.listed() != listed[from] || from.counted() != counted[from] {
			t.Errorf("%s: listed %t, counted %t", from, from.listed(), from.counted())
		}
		for e := range handlerEvents {
			want, drawn := events[e]
			if !drawn {
				want = from
			}
			h := handle{phase: from}
			if ok := h.move(e); h.phase != want || ok != drawn {
				t.Errorf("%s while %s: %s, %t, want %s, %t", e, from, h.phase, ok, want, drawn)
			}
		}
	}
}
