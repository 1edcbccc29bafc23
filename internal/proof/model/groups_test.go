package model_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"carillon/dispatch"
	"carillon/storage"
)

// Jobs may be members of a group: of one that is open any, of one that is sealed those that its
// members schedule while they run. When it is sealed and all members have ended, one job follows in
// that very commit, which is told how they have ended (G32). Each member counts once.

// group is a group of jobs; replaced as a whole when it changes.
type group struct {
	id       storage.GroupID
	sealed   bool
	canceled bool
	then     order
	dropped  storage.GroupEnds // how members ended that were dropped
}

// followUp is what the program is called that follows the group.
func (g *group) followUp() string { return g.then.Do.Name }

// drawGroup has the order be of the group of the job that schedules it.
func (o *order) drawGroup(t *rapid.T) { o.Joins = rapid.Bool().Draw(t, "joins") }

// group finds a group; nil: there is none.
func (a *app) group(id storage.GroupID) *group {
	for _, g := range a.groups {
		if g.id == id && id != 0 {
			return g
		}
	}
	return nil
}

// change replaces the group.
func (a *app) changeGroup(g group) {
	was := a.groups
	a.groups = slices.Clone(was)
	for i, k := range a.groups {
		if k.id == g.id {
			a.groups[i] = &g
		}
	}
	a.undoing(func() { a.groups = was })
}

// tally is how many members of the group have not ended, and how the others did.
func (a *app) tally(g *group) (pending int, ends storage.GroupEnds) {
	ends = g.dropped
	for _, j := range a.jobs {
		if j.group != g.id {
			continue
		}
		switch j.leftAs {
		case "":
			pending++
		case storage.StateSuccess:
			ends.Success++
		case storage.StateFailed:
			ends.Failed++
		case storage.StateExpired:
			ends.Expired++
		default:
			ends.Canceled++
		}
	}
	return pending, ends
}

// leavesGroup is a member at its end.
func (m *model) leavesGroup(a *app, j *job, at time.Time) {
	if g := a.group(j.group); g != nil && j.leftAs == "" {
		j.leftAs = j.state
		m.endsGroup(a, g, at)
	}
}

// endsGroup takes in what follows the group, if it has ended.
func (m *model) endsGroup(a *app, g *group, at time.Time) {
	pending, _ := a.tally(g)
	if !g.sealed || pending > 0 || slices.ContainsFunc(a.jobs, func(j *job) bool { return j.ofGroup == g.id }) {
		return
	}
	for _, stored := range m.seen[a.id].all {
		if o := stored.GroupOutcome; o == nil || o.Group != g.id || nameOf(&stored) != g.followUp() {
			continue
		}
		f := newJob(&g.then, stored.ID, g.followUp(), stored.ScheduledFor.UTC(), at)
		f.ofGroup = g.id
		m.cutOff(a, f)
		a.add(f)
		m.groupsEnded++
		return
	}
}

// groupRefusal is why an order must be refused, since it is for a group; maybe says that this
// hangs on what happened at this moment.
func (m *model) groupRefusal(a *app, by *run, o *order, at time.Time) (code dispatch.Code, maybe bool) {
	id := o.groupOf(by)
	if id == 0 {
		return "", false
	}
	g := a.group(id)
	if g == nil {
		return dispatch.CodeNotFound, false
	}
	pending, _ := a.tally(g)
	for _, j := range a.jobs {
		maybe = maybe || j.group == id && (j.changedAt.Equal(at) || m.tooLate(j, at))
	}
	parent := a.parent(by)
	switch {
	case g.canceled, g.sealed && pending == 0, g.sealed && (parent == nil || parent.group != id || parent.leftAs != ""):
		return dispatch.CodeFailedPrecondition, maybe
	}
	return "", maybe && g.sealed
}

// groupOf is the group that the order is for.
func (o *order) groupOf(by *run) storage.GroupID {
	if o.Joins && by != nil && by.job.ID != "" {
		return by.job.Group
	}
	return storage.GroupID(o.Group)
}

// groupCommand is "group APP PATH PROGRAM", "seal APP N" or "cancel-group APP N".
func (g *generator) groupCommand(s *step) string {
	a := g.app(s)
	if s.Word == "group" {
		then := s.Order
		return fmt.Sprintf("group %s %s %s", a.id, then.path(), g.json(a, then.Do))
	}
	id := uint64(4)
	if n := len(a.groups); n > 0 {
		id = uint64(a.groups[s.N%n].id)
	}
	return fmt.Sprintf("%s %s %d", s.Word, a.id, id)
}

// groupWord has a job be of one of the app's groups, often.
func (g *generator) groupWord(a *app, s *step) string {
	if len(a.groups) == 0 || s.N%2 == 0 {
		return ""
	}
	return fmt.Sprintf(" group=%d", a.groups[len(a.groups)-1-s.M%min(len(a.groups), 2)].id)
}

func beforeGroup(m *model, l *line) {
	a := l.app(m)
	a.touched = l.at
	then := order{Acts: l.words[2] == modelAct.Path(), Do: programIn(l.rest(3))}
	code, failed := l.failed()
	switch want := m.unknown(then.path()); {
	case want != "" && code == want:
	case want != "" || failed:
		m.found("other", "%s: %q", l.text, l.printed)
	default:
		n, _ := strconv.ParseUint(strings.TrimPrefix(l.printed, "group "), 10, 64)
		a.groups = append(slices.Clip(a.groups), &group{id: storage.GroupID(n), then: then})
	}
}

func beforeSeal(m *model, l *line) {
	a := l.app(m)
	a.touched = l.at
	n, _ := strconv.ParseUint(l.words[2], 10, 64)
	g := a.group(storage.GroupID(n))
	if code, failed := l.failed(); (g == nil) != (code == dispatch.CodeNotFound) || g != nil && failed {
		m.found("other", "%s: %q, there %t", l.text, l.printed, g != nil)
		return
	}
	if g == nil {
		return
	}
	sealed := *g
	sealed.sealed = true
	a.begin("seal")
	a.changeGroup(sealed)
	m.endsGroup(a, &sealed, l.at)
	a.end(true)
}

// beforeCancelGroup seals the group, and cancels the members that have not ended. Which of them ran
// the store tells.
func beforeCancelGroup(m *model, l *line) {
	a := l.app(m)
	a.touched = l.at
	n, _ := strconv.ParseUint(l.words[2], 10, 64)
	g := a.group(storage.GroupID(n))
	code, failed := l.failed()
	if g == nil || failed {
		if (g == nil) != (code == dispatch.CodeNotFound) && code != dispatch.CodeUnavailable {
			m.found("other", "%s: %q, there %t", l.text, l.printed, g != nil)
		}
		if g == nil || !slices.ContainsFunc(m.seen[a.id].groups, func(k storage.Group) bool { return k.ID == g.id && k.Canceled }) {
			m.refusals++
			return
		}
	}
	if pending, _ := a.tally(g); g.sealed && pending == 0 {
		if l.printed != "0 canceled" {
			m.found("other", "%s: %q, and it has ended", l.text, l.printed)
		}
		return
	}
	a.begin("cancel of the group")
	canceled := *g
	canceled.sealed, canceled.canceled = true, true
	a.changeGroup(canceled)
	m.endsGroup(a, &canceled, l.at)
	a.end(true)
	count := m.canceledMany(a, l, func(j *job) bool { return j.group == g.id && j.leftAs == "" })
	if want := fmt.Sprintf("%d canceled", count); !failed && l.printed != want {
		m.found("other", "%s: %q, want %q", l.text, l.printed, want)
	}
}

// droppedMember is a job of a group that is dropped: its end counts, and one that was held has ended
// as if it were canceled.
func (m *model) droppedMember(a *app, j *job, at time.Time) {
	g := a.group(j.group)
	if g == nil {
		return
	}
	now := *g
	if j.leftAs == "" || j.leftAs == storage.StateCanceled {
		now.dropped.Canceled++
	} else if j.leftAs == storage.StateFailed {
		now.dropped.Failed++
	}
	a.changeGroup(now)
	m.endsGroup(a, &now, at)
}

// startedInGroup demands that the attempt knows its group, and how that has ended that it follows.
func (m *model) startedInGroup(a *app, j *job, r *run) {
	want := j.group
	if j.leftAs != "" {
		want = 0
	}
	if r.job.Group != want {
		m.found("other", "job %s (%s) was told that it is of group %d, want %d", j.id, j.name, r.job.Group, want)
	}
	o := r.job.GroupOutcome
	if (o != nil) != (j.ofGroup != 0) {
		m.found("other", "job %s (%s) was told of a group: %v, it follows group %d", j.id, j.name, o, j.ofGroup)
		return
	}
	if g := a.group(j.ofGroup); g != nil && o != nil {
		if pending, ends := a.tally(g); pending > 0 || o.GroupEnds != ends || o.Group != g.id {
			m.found("other", "job %s (%s) was told %+v, want %+v of group %d", j.id, j.name, *o, ends, g.id)
		}
	}
}

// compareGroups compares the groups of the app.
func (m *model) compareGroups(a *app) {
	show := func(id storage.GroupID, sealed, canceled bool, pending int, ends storage.GroupEnds, over bool, then storage.JobID) string {
		return fmt.Sprintf("group %d sealed %t canceled %t pending %d %+v ended %t then %q", id, sealed, canceled, pending, ends, over, then)
	}
	var got, want []string
	for _, g := range m.seen[a.id].groups {
		got = append(got, show(g.ID, g.Sealed, g.Canceled, g.Pending, g.Ends, g.Ended(), g.FollowUp))
	}
	for _, g := range a.groups {
		pending, ends := a.tally(g)
		var then storage.JobID
		for _, j := range a.jobs {
			if j.ofGroup == g.id {
				then = j.id
			}
		}
		over := g.sealed && pending == 0
		if over != (then != "") {
			m.found("lost", "app %s: group %d has ended: %t, and is followed by job %q", a.id, g.id, over, then)
		}
		want = append(want, show(g.id, g.sealed, g.canceled, pending, ends, over, then))
	}
	if !slices.Equal(got, want) {
		m.found("lost", "app %s has the groups\n\t%q, want\n\t%q", a.id, got, want)
	}
}
