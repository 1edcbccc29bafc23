package model_test

import (
	"fmt"
	"slices"
	"strings"

	"carillon/dispatch"
	"carillon/storage"
)

// All jobs that a filter chooses may be canceled, or all dead ones tried again, in one call: those
// that were there when it was made, and no other (G30). Here the filter is a function, so that no
// tick is chosen.

// bulk is "cancel-many APP function=PATH" or "retry-many APP function=PATH".
func (g *generator) bulk(s *step) string {
	a := g.app(s)
	path := []string{modelAct.Path(), modelDo.Path()}[s.N%2]
	if s.Word == "retry-many" { // how far it comes in an app that is full the model does not know
		dead, _ := a.retryable(path)
		live := len(dead) + 2*len(a.triggers)
		for _, j := range a.jobs {
			if !j.state.Ended() {
				live++
			}
		}
		if live > modelMaxJobs/2 || len(dead) == 0 {
			return ""
		}
	}
	return fmt.Sprintf("%s %s function=%s", s.Word, a.id, path)
}

// bulkPath is the function that the line chooses.
func (l *line) bulkPath() string { return strings.TrimPrefix(l.words[2], "function=") }

// bulkRefused says whether the call was refused before it has done anything.
func (m *model) bulkRefused(l *line) bool {
	code, failed := l.failed()
	if failed && code == dispatch.CodeUnavailable {
		m.refusals++
	} else if failed {
		m.found("other", "%s: %q", l.text, l.printed)
	}
	return failed
}

// canceledMany cancels those of the chosen jobs that were canceled in this command. Which of them
// ran the store tells.
func (m *model) canceledMany(a *app, l *line, chosen func(*job) bool) (count int) {
	for _, j := range slices.Clone(a.jobs) {
		now := m.seen[a.id].of(j)
		if !chosen(j) || j.state.Ended() || now.State != storage.StateCanceled {
			continue
		}
		count++
		found := j.state
		if found == storage.StatePending && now.Attempts > j.attempts {
			found = storage.StateRunning
		} else if m.mayBeHeld(j, l.at) {
			found = storage.StateHeld
		}
		a.begin("cancel of " + j.name)
		m.canceled(a, j, found, nil, l.at)
		a.end(true)
	}
	return count
}

func beforeCancelMany(m *model, l *line) {
	a := l.app(m)
	a.touched = l.at
	if m.bulkRefused(l) {
		return
	}
	var chosen []*job
	for _, j := range a.jobs {
		if j.path == l.bulkPath() && j.trigger == "" && !j.state.Ended() && j.addedAt.Before(l.began) {
			chosen = append(chosen, j)
		}
	}
	count := m.canceledMany(a, l, func(j *job) bool { return j.path == l.bulkPath() && j.trigger == "" })
	if want := fmt.Sprintf("%d canceled", count); l.printed != want {
		m.found("other", "%s: %q, want %q", l.text, l.printed, want)
	}
	for _, j := range chosen {
		if j.state != storage.StateCanceled && !m.tooLate(j, l.at) && !m.seen[a.id].of(j).State.Ended() {
			m.found("lost", "%s: %q, and job %s (%s) is %s", l.text, l.printed, j.id, j.name, j.state)
		}
	}
	m.bulks += count
}

// retryable are the dead jobs of the function, the first to die first, and whether it is known which
// of them have their keys back.
func (a *app) retryable(path string) (dead []*job, known bool) {
	for _, j := range a.jobs {
		if j.path == path && j.trigger == "" && j.state == storage.StateFailed {
			dead = append(dead, j)
		}
	}
	slices.SortStableFunc(dead, func(j, k *job) int { return j.changedAt.Compare(k.changedAt) })
	known = !slices.ContainsFunc(dead, func(j *job) bool { return j.order.Key != "" })
	return dead, known
}

func beforeRetryMany(m *model, l *line) {
	a := l.app(m)
	a.touched = l.at
	if m.bulkRefused(l) {
		return
	}
	dead, known := a.retryable(l.bulkPath())
	count := 0
	for _, j := range dead {
		if m.keyTaken(a, j, l.at) {
			continue
		}
		count++
		m.revive(j, l)
	}
	if want := fmt.Sprintf("%d pending again", count); l.printed != want && known {
		m.found("other", "%s: %q, want %q", l.text, l.printed, want)
	}
	m.bulks += count
}

// revive is a dead job that is tried again from the beginning.
func (m *model) revive(j *job, l *line) {
	j.state, j.attempts, j.failures, j.crashes = storage.StatePending, 0, 0, 0
	// A member that has ended is one no more, whatever becomes of it.
	j.due, j.changedAt, j.readyAt, j.token, j.since = m.wall(l.at), l.at, l.at, "", m.wall(l.at)
}
