package actorstest

import (
	"strings"
	"sync"

	"carillon/actors"
	"carillon/storage"
)

// scriptWatch is a watch that a script has begun.
type scriptWatch struct {
	mu   sync.Mutex
	told []actors.Event
	err  error
}

// watch runs "watch APP [FILTER…]": it begins a watch, of which events tells.
func (s *script) watch(app storage.AppID, f storage.JobFilter) {
	w := &scriptWatch{}
	if s.watches == nil {
		s.watches = map[storage.AppID]*scriptWatch{}
	}
	s.watches[app] = w
	events := s.h.App(app).Watch(s.h.Context(), f)
	go func() {
		for e, err := range events {
			w.mu.Lock()
			if err != nil {
				w.err = err
			} else {
				w.told = append(w.told, e)
			}
			w.mu.Unlock()
		}
	}()
	s.h.Settle()
}

// events runs "events APP": what the app's watch was told since the last time.
func (s *script) events(app storage.AppID) (string, error) {
	w := s.watches[app]
	if w == nil {
		return "it is not watched", nil
	}
	s.h.Settle()
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := make([]string, 0, len(w.told))
	for _, e := range w.told {
		line := string(e.Kind)
		switch {
		case e.Kind == actors.EventReset:
			line += ": " + e.Reason
		case e.Job.ID != "":
			line += " " + s.line(&e.Job)
		}
		if e.Left {
			line += " left"
		}
		lines = append(lines, line)
	}
	w.told = nil
	if w.err != nil {
		return strings.Join(lines, "\n"), w.err
	}
	return strings.Join(lines, "\n"), nil
}
