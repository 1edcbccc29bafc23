package model_test

import (
	"fmt"
	"strconv"
	"strings"

	"carillon/dispatch"
	"carillon/storage"
)

// A job that has not begun may be given another instant, priority and arguments, and keeps its id
// (G8, G9). Other arguments, once an attempt has begun, are a new revision, whose failures and
// checkpoint begin anew (G29).

// reschedule is "reschedule APP ID in=D [priority=N] [args=PATH PROGRAM]".
func (g *generator) reschedule(s *step) string {
	line := g.jobCommand(s)
	if line == "" {
		return ""
	}
	line += " in=" + []string{"0s", "0s", "250ms", "2s", "30s"}[s.M%5]
	if s.N%3 == 0 {
		line += fmt.Sprintf(" priority=%d", 1+s.M%4)
	}
	a := g.app(s)
	if j := a.job(g.player.ID(strings.Fields(line)[2])); j != nil && j.trigger == "" && j.acts() == s.Order.Acts && s.N%2 == 0 {
		prog := s.Order.Do
		if j.order.Key != "" && prog.Pends != "" {
			prog.Pends, prog.Ends = "", ""
		}
		line += fmt.Sprintf(" args=%s %s", j.path, g.json(a, prog))
	}
	return line
}

func beforeReschedule(m *model, l *line) {
	a := l.app(m)
	j := a.job(l.id(l.words[2]))
	a.touched = l.at
	was, changed := strings.CutPrefix(l.printed, "changed, it was ")
	late, isLate := strings.CutPrefix(l.printed, "too late, it is ")
	code, _ := l.failed()
	expired := j != nil && m.tooLate(j, l.at)
	switch {
	case code == dispatch.CodeNotFound && j != nil && m.unknown(j.path) == code && strings.Contains(l.text, " args="):
	case j == nil && l.printed == "no such job":
	case j == nil:
		m.found("other", "%s: %s, and there is no such job", l.text, l.printed)
	case j.trigger != "": // its tick may be another one by now
	case changed && j.outside == nil && !j.state.Ended() && (j.state == storage.State(was) || was == string(storage.StateHeld) && m.mayBeHeld(j, l.at)) && j.state != storage.StateRunning:
		if was == string(storage.StateHeld) {
			m.heldFirst(j, l.at)
		}
		m.moved(j, l)
		if j.revision > 0 {
			m.revised++
		}
	case j.outside != nil && j.state == storage.StatePending:
		if late != string(storage.StateRunning) {
			m.found("other", "%s: %q (%s), and it is pending outside", l.text, l.printed, code)
		}
	case isLate && (j.state == storage.State(late) || expired && storage.State(late) == storage.StateExpired):
	case code == dispatch.CodeInvalidArgument && !j.notAfter.IsZero(): // it would be due behind its last instant
	case isLate && late == string(storage.StateRunning) && j.state == storage.StatePending && !j.due.After(m.wall(l.at)): // it was on its way to its handler
	default:
		m.found("other", "%s: %q (%s), and it is %s", l.text, l.printed, code, j.state)
	}
}

// moved is a job that was given another instant.
func (m *model) moved(j *job, l *line) {
	for i, word := range l.words[3:] {
		name, value, _ := strings.Cut(word, "=")
		if name == "args" {
			j.revise(programIn(l.rest(3 + i + 1)))
			break
		}
		switch name {
		case "in":
			j.due = ceil(m.wall(l.began).Add(span(value)))
		case "priority":
			j.order.Priority, _ = strconv.Atoi(value)
		}
	}
	if j.attempts == 0 && j.history == 0 {
		j.scheduledFor = j.due
	}
	j.moves++
	j.state, j.addedBy = storage.StatePending, nil
	j.readyAt, j.addedAt, j.changedAt = l.at, l.at, l.at
}

// revise gives the job another program.
func (j *job) revise(prog program) {
	if j.base == "" {
		j.base = j.name
	}
	j.name, j.prog, j.order.Do = prog.Name, prog, prog
	if j.attempts > 0 || j.history > 0 {
		j.revision++
		j.failures, j.crashes = 0, 0
		j.saved, j.unsaved, j.unknown = "", "", false
	}
}

// called is what the job's first program was called, which its follow-up is named for.
func (j *job) called() string {
	if j.base != "" {
		return j.base
	}
	return j.name
}
