package model_test

import (
	"fmt"
	"strconv"
	"strings"

	"carillon/dispatch"
	"carillon/storage"
)

// A job that has not begun may be given another instant and priority, and keeps its id (G8, G9).

// reschedule is "reschedule APP ID in=D [priority=N]".
func (g *generator) reschedule(s *step) string {
	line := g.jobCommand(s)
	if line == "" {
		return ""
	}
	line += " in=" + []string{"0s", "0s", "250ms", "2s", "30s"}[s.M%5]
	if s.N%3 == 0 {
		line += fmt.Sprintf(" priority=%d", 1+s.M%4)
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
	case j == nil && l.printed == "no such job":
	case j == nil:
		m.found("other", "%s: %s, and there is no such job", l.text, l.printed)
	case j.trigger != "": // its tick may be another one by now
	case changed && j.outside == nil && !j.state.Ended() && (j.state == storage.State(was) || was == string(storage.StateHeld) && m.mayBeHeld(j, l.at)) && j.state != storage.StateRunning:
		if was == string(storage.StateHeld) {
			m.heldFirst(j, l.at)
		}
		m.moved(j, l)
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
	for _, word := range l.words[3:] {
		switch name, value, _ := strings.Cut(word, "="); name {
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
