package model_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// A program may declare a trigger of an app that ticks AtStart: once in each engine
// that opens the store, whatever became of the ticks before it (G19). The app comes
// into being with it, and again when it is deleted.

// mostSlots is how many entries a slot log keeps.
const mostSlots = 200

func bootOf(id storage.AppID) string { return string(id) + ".boot" }

// starts is "starts APP [overlap=O] [paused] PATH": a restart with a program that has
// such a trigger of the app, or none without PATH.
func (g *generator) starts(s *step) string {
	line := fmt.Sprintf("starts %s", g.app(s).id)
	if g.app(s).paused["app"] {
		return ""
	}
	if s.N%6 == 5 {
		return line
	}
	if overlap := []string{"", "allow", "queue", "skip", "replace"}[s.N%5]; overlap != "" {
		line += " overlap=" + overlap
	}
	if s.M%7 == 6 {
		line += " paused"
	}
	path := []string{modelTick.Path(), modelHaste.Path()}[s.M%2]
	if path == g.m.released {
		return ""
	}
	return line + " " + path
}

// plan reads the trigger of a line; nil if it has none.
func (l *line) plan() *trigger {
	t := &trigger{name: bootOf(storage.AppID(l.words[1])), overlap: storage.OverlapSkip, atStart: true}
	for _, word := range l.words[2:] {
		option, value, _ := strings.Cut(word, "=")
		switch option {
		case "overlap":
			t.overlap = storage.Overlap(value)
		case "paused":
			t.paused = true
		default:
			t.path = word
		}
	}
	if t.path == "" {
		return nil
	}
	return t
}

// starts has the engine opened with the triggers that the model declares.
func (x *history) starts(l *line) {
	declares := maps.Clone(x.m.declares)
	declares[storage.AppID(l.words[1])] = l.plan()
	var triggers []dispatch.Trigger
	for _, id := range modelApps {
		if t := declares[id]; t != nil {
			call := modelTick.With(dispatch.None{})
			if t.path == modelHaste.Path() {
				call = modelHaste.With(dispatch.None{})
			}
			triggers = append(triggers, dispatch.Trigger{
				Name: t.name, AtStart: true, Call: call, Overlap: t.overlap, Paused: t.paused, Apps: []storage.AppID{id},
			})
		}
	}
	x.player.Reconfigure(func(o *actors.Options) { o.Crons = triggers })
}

func beforeStarts(m *model, l *line) {
	beforeRestart(m, l)
	m.declares = maps.Clone(m.declares)
	m.declares[storage.AppID(l.words[1])] = l.plan()
}

// startsOf brings the app's trigger AtStart in line with the program that has opened the
// store: it has one tick more.
func (m *model) startsOf(a *app, at time.Time) {
	plan, old := m.declared[a.id], a.triggers[bootOf(a.id)]
	if plan == nil {
		if old != nil {
			delete(a.triggers, old.name)
			m.withdraw(a, old.name, true)
		}
		return
	}
	t := *plan
	t.madeAt, t.changed = m.wall(at), true
	if old != nil {
		t.madeAt, t.paused, t.starts, t.logged, t.held, t.skipped = old.madeAt, old.paused, old.starts, old.logged, old.held, old.skipped
		t.changed = t.path != old.path || t.overlap != old.overlap
	}
	t.starts++
	a.triggers[t.name] = &t
	m.withdraw(a, t.name, t.changed)
}

// reborn says whether the app is one that came into being with its trigger AtStart in
// this command: there was no start of it before.
func (m *model) reborn(a *app) bool {
	s := m.seen[a.id]
	for _, info := range s.crons {
		if info.AtStart && m.declared[a.id] != nil {
			return startsIn(s, info) == 1
		}
	}
	return s.empty()
}

// startsIn is how many starts the engine accounts for.
func startsIn(s *sight, info dispatch.CronInfo) int {
	n := len(s.slots[info.Name])
	if info.NextJob != "" {
		n++
	}
	return n
}

// tickID is the id that the tick of a slot must have. That of a start has the number of
// the engine.
func (t *trigger) tickID(id storage.JobID, slot time.Time) storage.JobID {
	if t.atStart && strings.HasPrefix(string(id), strings.TrimSuffix(string(storage.StartID(t.name, 0)), "0")) {
		return id
	}
	return storage.TickID(t.name, slot)
}

// compareStarts demands every start of the trigger once, and for each that did not fire
// a reason that holds.
func (m *model) compareStarts(a *app, t *trigger, info dispatch.CronInfo) {
	seen := m.seen[a.id]
	slots := slices.Clone(seen.slots[t.name])
	slices.Reverse(slots)
	kind := "lost"
	n := startsIn(seen, info)
	if n > t.starts {
		kind = "doubled"
	}
	if n != t.starts && (n < mostSlots || t.starts < mostSlots) {
		m.found(kind, "app %s: trigger %s accounts for %d starts, want %d", a.id, t.name, n, t.starts)
	}
	if next := seen.jobs[info.NextJob]; info.NextJob != "" &&
		(next.State != storage.StatePending || !next.Slot.Equal(info.Next) || info.NextJob != storage.StartID(t.name, info.Started)) {
		m.found("lost", "app %s: trigger %s: its tick %s is %s, of slot %s, want %s", a.id, t.name, info.NextJob, next.State, next.Slot.Format(stamp), info.Next.Format(stamp))
	}
	fired := map[storage.JobID]bool{}
	at := map[time.Time]bool{}
	for i, s := range slots {
		what := fmt.Sprintf("app %s: trigger %s: start %s was %s (%s)", a.id, t.name, s.From.Format(stamp), s.Outcome, s.Reason)
		if at[s.From] || !s.From.Equal(s.To) || s.Count != 1 || s.Job != "" && fired[s.Job] {
			m.found("doubled", "%s, and is in the log twice", what)
		}
		at[s.From], fired[s.Job] = true, true
		for _, job := range seen.all {
			if job.Trigger == t.name && job.Slot.Equal(s.From) && s.Outcome == storage.SlotSkipped && job.State == storage.StateSuccess && len(job.History) == 0 {
				m.found("doubled", "%s, and ran", what)
			}
		}
		if i >= t.logged && s.Outcome == storage.SlotSkipped && !m.skippable(a, t, s) {
			m.found("lost", "%s, for no reason that the model knows", what)
		}
	}
	t.logged = len(slots)
}

// skippable says whether a start may have been skipped in this command for the reason.
func (m *model) skippable(a *app, t *trigger, s storage.Slot) bool {
	switch word, _, _ := strings.Cut(s.Reason, ":"); word {
	case "paused":
		return t.paused || t.changed
	case "overlap":
		return t.overlap == storage.OverlapSkip || t.changed
	case "the program was started again before the tick began", "the trigger was changed":
		return t.starts > 1
	}
	return false
}
