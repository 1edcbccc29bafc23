package server

import (
	"net/http"
	"time"
)

// Clock is actors.ClockState in JSON.
type Clock struct {
	Wall      time.Time `json:"wall"`
	Written   time.Time `json:"written"` // what would be written down now
	Steps     int       `json:"steps"`   // that were noticed since the start
	DoubtedMs int64     `json:"doubtedMs"`
	Notes     []string  `json:"notes"` // what a person should look at
}

func (h *handler) showClock(http.ResponseWriter, *request) (int, any, error) {
	s := h.eng.Clock()
	return http.StatusOK, Clock{s.Wall.UTC(), s.Written.UTC(), s.Steps, s.Doubted.Milliseconds(), append([]string{}, s.Notes...)}, nil
}

func (h *handler) acceptClock(w http.ResponseWriter, r *request) (int, any, error) {
	if status, err := h.decodeBody(w, r, &struct{}{}); err != nil {
		return status, nil, err
	}
	if err := h.eng.AcceptClock(r.Context()); err != nil {
		return 0, nil, err
	}
	return h.showClock(w, r)
}
