package actors

// handlerPhase is what has become of a handler. The picture is in stuck.go. It is guarded
// by runs.mu.
type handlerPhase uint8

const (
	handlerRuns      handlerPhase = iota
	handlerLeaving                // it was given up, and has its grace to return
	handlerStuck                  // its grace is over
	handlerAbandoned              // it was stuck, and nothing waits for it any more
	handlerReturned
)

// handlerEvent is what takes a handler from one phase to the next.
type handlerEvent uint8

const (
	handlerGivenUp handlerEvent = iota
	graceOver
	personAbandons
	handlerReturns
	handlerEvents // how many there are
)

// next is the phase after the event. It is false, and the phase as before, if the event
// comes too late: the handler may return at any moment.
func (p handlerPhase) next(e handlerEvent) (handlerPhase, bool) {
	switch {
	case e == handlerReturns && p != handlerReturned:
		return handlerReturned, true
	case e == handlerGivenUp && p == handlerRuns:
		return handlerLeaving, true
	case e == graceOver && p == handlerLeaving:
		return handlerStuck, true
	case e == personAbandons && p == handlerStuck:
		return handlerAbandoned, true
	}
	return p, false
}

// listed says whether the handler is on the table of those that were given up.
func (p handlerPhase) listed() bool { return p == handlerLeaving || p == handlerStuck }

// counted says whether the handler is among those that the end of the engine does not
// wait for.
func (p handlerPhase) counted() bool { return p == handlerStuck || p == handlerAbandoned }

func (p handlerPhase) String() string {
	return [...]string{"running", "leaving", "stuck", "abandoned", "returned"}[p]
}

func (e handlerEvent) String() string {
	return [...]string{"given up", "grace over", "abandoned", "returns"}[e]
}

// move takes the handler to its next phase, if the event leads to one. The caller has the
// lock of the table.
func (h *handle) move(e handlerEvent) bool {
	to, ok := h.phase.next(e)
	h.phase = to
	return ok
}
