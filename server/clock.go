package server

import (
	"net/http"
	"time"
)

// routeClock adds the routes of the engine's wall clock.
func (h *handler) routeClock() {
	h.route("/v1/clock", h.guarded(map[string]plainOperation{http.MethodGet: h.showClock}))
	h.route("/v1/clock/accept", h.guarded(map[string]plainOperation{http.MethodPost: h.acceptClock}))
}

// Clock is actors.ClockState in JSON.
type Clock struct {
	Wall      time.Time `json:"wall"`
	Written   time.Time `json:"written"` // what would be written down now
	Steps     int       `json:"steps"`   // that were noticed since the start
	DoubtedMs int64     `json:"doubtedMs"`
	Notes     []string  `json:"notes"` // what a person should look at
}

func (h *handler) showClock(http.ResponseWriter, *http.Request) (int, any, error) {
	s := h.eng.Clock()
	return http.StatusOK, Clock{s.Wall.UTC(), s.Written.UTC(), s.Steps, s.Doubted.Milliseconds(), append([]string{}, s.Notes...)}, nil
}

func (h *handler) acceptClock(w http.ResponseWriter, r *http.Request) (int, any, error) {
	if status, err := h.decodeBody(w, r, &struct{}{}); err != nil {
		return status, nil, err
	}
	if err := h.eng.AcceptClock(r.Context()); err != nil {
		return 0, nil, err
	}
	return h.showClock(w, r)
}
