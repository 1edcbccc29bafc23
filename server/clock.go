package server

import (
	"net/http"

	"carillon/server/api"
)

func (h *handler) showClock(http.ResponseWriter, *request) (int, any, error) {
	s := h.eng.Clock()
	return http.StatusOK, api.Clock{
		Wall: s.Wall.UTC(), Written: s.Written.UTC(), Steps: s.Steps, DoubtedMs: s.Doubted.Milliseconds(), Notes: append([]string{}, s.Notes...),
	}, nil
}

func (h *handler) acceptClock(w http.ResponseWriter, r *request) (int, any, error) {
	if status, err := h.decodeBody(w, r, &api.Empty{}); err != nil {
		return status, nil, err
	}
	if err := h.eng.AcceptClock(r.Context()); err != nil {
		return 0, nil, err
	}
	return h.showClock(w, r)
}
