package model_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// What is about an app as a whole: it is deleted, exported and imported. An app
// that is deleted is gone with all it had, and nothing of it runs any more; a
// Delete that gives up has changed nothing but the attempts that it interrupted;
// an import is the app as of the moment of its export, or nothing.

// modelHold is how long a Delete that does not give up may take: it waits for the
// turn, and for the grace of actions that it has told to stop.
const modelHold = modelTurn + modelGrace

func (g *generator) export(s *step) string { return fmt.Sprintf("export %s", g.app(s).id) }

// importApp brings back what was exported last, preferably of an app that is gone:
// programs bear the name of their app.
func (g *generator) importApp(*step) string {
	if g.m.kept == nil {
		return ""
	}
	return fmt.Sprintf("import %s", g.m.kept.id)
}

// deleteApp deletes an app, preferably the one that can be imported again.
func (g *generator) deleteApp(s *step) string {
	id := g.app(s).id
	if g.m.kept != nil && s.M%2 == 0 {
		id = g.m.kept.id
	}
	return strings.TrimSuffix(fmt.Sprintf("delete-app %s %s", id, []string{"", "", "0s", "1s"}[s.N%4]), " ")
}

// empty says whether the app has nothing.
func (a *app) empty() bool {
	return len(a.jobs)+len(a.effects)+len(a.counters)+len(a.triggers)+len(a.paused)+len(a.poolLimits)+len(a.groups) == 0
}

// empty says whether nothing of the app is to be seen.
func (s *sight) empty() bool {
	return len(s.all)+len(s.docs)+len(s.state.Counters)+len(s.crons)+len(s.pauses)+len(s.limits)+len(s.groups) == 0
}

func beforeExport(m *model, l *line) {
	a := l.app(m)
	switch code, _ := l.failed(); {
	case l.printed == "":
		m.kept = a.clone()
		m.kept.lacked = m.lacks
	case code != dispatch.CodeNotFound || !a.empty():
		m.found("lost", "%s: %q, and it has %d jobs and %d documents", l.text, l.printed, len(a.jobs), len(a.effects))
	}
}

// clone is all that the app has, as it is written down.
func (a *app) clone() *app {
	kept := &app{
		id: a.id, seq: a.seq, groups: a.groups, counters: maps.Clone(a.counters), effects: maps.Clone(a.effects),
		triggers: map[string]*trigger{}, ends: maps.Clone(a.ends), paused: a.paused, poolLimits: a.poolLimits,
	}
	for name, t := range a.triggers {
		was := *t
		kept.triggers[name] = &was
	}
	for _, j := range a.jobs {
		was := *j
		was.run, was.was, was.addedBy, was.canceledBy, was.mayStart, was.endedAt = nil, nil, nil, nil, false, time.Time{}
		was.shown, was.tells, was.gone = durable{}, nil, false
		kept.jobs = append(kept.jobs, &was)
	}
	return kept
}

func beforeImport(m *model, l *line) {
	a, kept := l.app(m), m.kept
	code, failed := l.failed()
	switch {
	case !failed && !m.cut && l.printed != "", failed && code != dispatch.CodeAlreadyExists && !m.cut:
		m.found("other", "%s: %q", l.text, l.printed)
	case !failed && !a.empty() && !m.cut:
		m.found("doubled", "%s: it is there, with %d jobs and %d documents", l.text, len(a.jobs), len(a.effects))
	case failed || !a.empty() || m.cut && m.seen[a.id].empty():
	default:
		m.imported(a, kept, l.at)
	}
}

// imported makes the app what was kept.
func (m *model) imported(a, kept *app, at time.Time) {
	is := kept.clone()
	a.jobs, a.counters, a.effects, a.triggers, a.ends, a.seq = is.jobs, is.counters, is.effects, is.triggers, is.ends, a.seq+is.seq
	a.touched, a.paused, a.poolLimits, a.groups = at, is.paused, is.poolLimits, is.groups
	for _, j := range a.jobs {
		j.addedAt, j.readyAt = at, at
	}
	for _, t := range a.triggers {
		t.changed = true
	}
	if !m.cut {
		m.startsOf(a, at)
	}
	a.release(at, m.lacks != kept.lacked)
	m.interrupted(a, at) // what was running is not, in the copy
}

func beforeDeleteApp(m *model, l *line) {
	a := l.app(m)
	code, _ := l.failed()
	a.touched = l.at
	took, within := l.done.Sub(l.began), modelHold
	if len(l.words) > 2 {
		within = min(within, span(l.words[2]))
	}
	if took > within && !m.cut {
		m.found("other", "%s took %v", l.text, took)
	}
	switch {
	case l.printed == "", m.cut && m.reborn(a):
		m.gone(a, l)
	case m.cut:
		m.hold(a, l.began)
	case code == dispatch.CodeNotFound:
		if !a.empty() {
			m.found("lost", "%s: %q, and it has %d jobs and %d documents", l.text, l.printed, len(a.jobs), len(a.effects))
		}
	case code == dispatch.CodeDeadlineExceeded && len(l.words) > 2:
		m.hold(a, l.began)
	default:
		m.found("other", "%s: %q", l.text, l.printed)
	}
}

// afterDeleteApp takes a hold back.
func afterDeleteApp(m *model, l *line) {
	l.app(m).held, l.app(m).queued = false, nil
	m.refresh(m.now)
}

// hold stops the app: its jobs are told to stop, and none begins.
func (m *model) hold(a *app, at time.Time) {
	a.held = true
	for _, r := range m.runs {
		if r.app != a.id || r.over || !r.toldAt.IsZero() {
			continue
		}
		if j := a.own(r); j == nil || at.Before(r.began.Add(j.timeout())) { // else its deadline came first
			r.toldAt = at
		}
		if end := at.Add(modelGrace); r.acts && end.Before(r.freed) {
			r.freed = end
		}
	}
	m.refresh(at)
}

// gone takes away all that the app has. Its handlers go on to their end, with no
// effect; those of canceled jobs are not waited for.
func (m *model) gone(a *app, l *line) {
	m.hold(a, l.began)
	a.queued = map[storage.JobID]bool{}
	for _, j := range a.jobs {
		a.queued[j.id] = a.holder != nil && j.state == storage.StatePending && !j.due.After(m.wall(l.began)) && !j.acts()
	}
	a.jobs, a.counters, a.effects, a.triggers, a.ends = nil, map[string]int{}, map[string]int{}, map[string]*trigger{}, nil
	a.unsettled, a.window, a.paused, a.poolLimits, a.starts, a.groups = nil, nil, nil, nil, nil, nil
	for _, r := range slices.Concat(m.runs, m.left, []*run{a.holder}) {
		if r == nil || r.app != a.id {
			continue
		}
		if r.life = -1; r.over && r.freed.After(l.done) {
			r.freed = l.done
		}
	}
	m.begun = slices.DeleteFunc(m.begun, func(h event) bool { return h.run.app == a.id })
	if !m.cut {
		m.startsOf(a, l.done)
		a.reborn = m.declared[a.id] != nil
	}
}

// ofDeleted says whether the run was begun by an action of an app that is being
// deleted, and that is waited for, or was next in the turn.
func (m *model) ofDeleted(r *run) bool {
	a := m.apps[r.app]
	if a.held && a.queued[r.job.ID] && !r.acts && (r.tick.Trigger != bootOf(r.app) || m.maybe()) {
		delete(a.queued, r.job.ID)
		return true
	}
	return a.held && slices.ContainsFunc(m.runs, func(by *run) bool {
		return by.app == r.app && by.life < 0 && by.acts && by.job.ID == r.job.ID && r.job.ID != "" && !r.acts
	})
}

// unheard takes note of a run that counts for nothing: it may hold a slot.
func (m *model) unheard(a *app, h event) {
	if h.what != "ran" && h.what != "end" {
		return
	}
	m.free(h.run)
	m.left = slices.DeleteFunc(m.left, func(x *run) bool { return x == h.run })
	if a.holder == h.run {
		a.holder = nil
	}
}

// heldUp ends an attempt that a Delete has interrupted: it is tried again at once,
// and not charged.
func (m *model) heldUp(a *app, j *job, c *change, at time.Time) {
	history := j.history
	c.durable = func() bool {
		now := m.seen[a.id].of(j)
		return len(now.History) > history && strings.Contains(now.History[history].Error.Message, "held")
	}
	m.uncharged(a, j, at)
}

// uncharged ends an attempt that the engine has interrupted.
func (m *model) uncharged(a *app, j *job, at time.Time) {
	a.touch(j)
	j.attempts, j.history, j.code, j.changedAt = j.attempts+1, j.history+1, dispatch.CodeAborted, at
	if j.state, j.readyAt = storage.StatePending, at; j.order.Once {
		j.state, j.endedAt = storage.StateFailed, m.wall(at)
		m.over(a, j, at)
		return
	}
	m.givesWay(a, j, at)
}
