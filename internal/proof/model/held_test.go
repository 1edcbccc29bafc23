package model_test

import (
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// A release may lack the function of stored jobs. They are held when they come due, and
// run when another release opens the store (G38).

// perform plays a line on the engine: "release [PATH]" restarts it with a program that
// does not have the function.
func (x *history) perform(l *line) string {
	switch l.words[0] {
	case "starts":
		x.starts(l)
		return ""
	case "release":
	default:
		return x.player.Play(l.text)
	}
	x.player.Reconfigure(func(o *actors.Options) { o.Functions = modelFunctions(x.notes, l.words[1:]...) })
	return ""
}

// release is mostly one that lacks what jobs wait for.
func (g *generator) release(s *step) string {
	for _, id := range modelApps {
		for _, j := range g.m.apps[id].jobs {
			if j.state == storage.StatePending && j.path == "model:act" && s.N%4 > 0 {
				return "release model:act"
			}
		}
	}
	return "release"
}

func beforeRelease(m *model, l *line) {
	beforeRestart(m, l)
	if m.released = ""; len(l.words) > 1 {
		m.released = l.words[1]
	}
}

// mayBeHeld says whether the pending job is one that the engine holds by now.
func (m *model) mayBeHeld(j *job, at time.Time) bool {
	return j.state == storage.StatePending && j.path == m.lacks && !j.due.After(m.wall(at))
}

// holds notes which of the jobs that may be held are. That the others could not have
// been compare demands, as of all that is due.
func (m *model) holds(a *app, now time.Time) {
	for _, j := range a.jobs {
		if m.mayBeHeld(j, now) && m.seen[a.id].of(j).State == storage.StateHeld {
			j.state = storage.StateHeld
			m.heldJobs++
		}
	}
}

// release makes the held jobs pending, if the program is another one than that they
// were held by.
func (a *app) release(at time.Time, other bool) {
	for _, j := range a.jobs {
		if other && j.state == storage.StateHeld {
			j.state, j.readyAt = storage.StatePending, at
		}
	}
}

// unknown is the code of a call of a function that the engine's program lacks.
func (m *model) unknown(path string) dispatch.Code {
	if path == m.lacks {
		return dispatch.CodeNotFound
	}
	return ""
}
