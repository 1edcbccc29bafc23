package model_test

import (
	"strings"
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
	case "complete", "complete-large", "fail-outside", "fail-for-good":
		return x.sayOutside(l)
	case "unwatch", "rewatch":
		x.unwatch(l)
		return ""
	case "turn-wait":
		x.turnWait(l)
		return ""
	case "release":
	default:
		return x.player.Play(l.text)
	}
	x.player.Reconfigure(func(o *actors.Options) { o.Functions = modelFunctions(x.notes, l.words[1:]...) })
	return ""
}

// release is mostly one that lacks what jobs wait for. What the program declares a trigger
// of it has.
func (g *generator) release(s *step) string {
	if path := []string{modelTick.Path(), modelHaste.Path()}[s.M%2]; s.N%4 == 1 && g.triggered(path) && !g.declared(path) {
		return "release " + path
	}
	for _, id := range modelApps {
		for _, j := range g.m.apps[id].jobs {
			if j.state == storage.StatePending && j.path == "model:act" && s.N%4 > 0 {
				return "release model:act"
			}
		}
	}
	return "release"
}

// triggered says whether a trigger runs the function.
func (g *generator) triggered(path string) bool {
	for _, a := range g.m.apps {
		for _, t := range a.triggers {
			if t.path == path {
				return true
			}
		}
	}
	return false
}

// declared says whether the program declares a trigger that does.
func (g *generator) declared(path string) bool {
	for _, t := range g.m.declares {
		if t != nil && t.path == path {
			return true
		}
	}
	return false
}

func beforeRelease(m *model, l *line) {
	beforeRestart(m, l)
	if m.released = ""; len(l.words) > 1 {
		m.released = l.words[1]
	}
}

// mayBeHeld says whether the pending job is one that the engine holds by now.
func (m *model) mayBeHeld(j *job, at time.Time) bool {
	return j.state == storage.StatePending && j.outside == nil && j.path == m.lacks && !j.due.After(m.wall(at))
}

// holds notes which of the jobs that may be held are. That the others could not have
// been compare demands, as of all that is due.
func (m *model) holds(a *app, now time.Time) {
	for _, j := range a.jobs {
		if m.mayBeHeld(j, now) && m.seen[a.id].of(j).State == storage.StateHeld {
			j.state = storage.StateHeld
			m.heldJobs++
			if !j.slot.IsZero() {
				m.heldTicks++
			}
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

// compareHeld demands that a trigger keeps one tick at most of those that have not begun,
// knows it, and skips its slots for that reason only while it has one.
func (m *model) compareHeld(a *app, t *trigger, info dispatch.CronInfo) {
	var held []storage.JobID
	for _, job := range m.seen[a.id].all {
		if job.Trigger == t.name && job.State == storage.StateHeld && job.Attempts == 0 && !job.Slot.IsZero() {
			held = append(held, job.ID)
		}
	}
	if len(held) > 1 || len(held) == 1 && held[0] != info.HeldJob {
		m.found("other", "app %s: trigger %s has the held ticks %q, and says %q", a.id, t.name, held, info.HeldJob)
	}
	if j := m.seen[a.id].jobs[info.HeldJob]; info.HeldJob != "" && j.State != storage.StateHeld {
		m.found("other", "app %s: trigger %s says that %s is held, and it is %s", a.id, t.name, info.HeldJob, j.State)
	}
	skipped, once := 0, false
	for _, s := range m.seen[a.id].slots[t.name] {
		if strings.HasPrefix(s.Reason, "the tick of ") {
			skipped++
		}
		once = once || strings.HasPrefix(s.Reason, "held: ")
	}
	if skipped > t.skipped && !t.held && !once && !t.changed && info.HeldJob == "" {
		m.found("lost", "app %s: trigger %s has skipped slots for a held tick that it did not have", a.id, t.name)
	}
	t.held, t.skipped = info.HeldJob != "", skipped
}
