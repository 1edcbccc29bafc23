package model_test

import (
	"maps"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// look takes in all that the engine shows of an app.
func look(h *actorstest.Harness, id storage.AppID) (*sight, error) {
	s := &sight{jobs: map[storage.JobID]storage.Job{}, docs: map[string]int{}, slots: map[string][]storage.Slot{}}
	var err error
	if s.state, err = modelState.Run(h.Caller(id), dispatch.None{}); err != nil {
		return s, err
	}
	for _, e := range s.state.Effects {
		s.docs[e.String()]++
	}
	s.all = h.Jobs(id)
	for _, job := range s.all {
		if s.jobs[job.ID], _, err = h.Scheduler(id).Get(job.ID); err != nil {
			return s, err
		}
	}
	crons := h.Scheduler(id).Crons()
	if s.crons, err = crons.List(); err != nil {
		return s, err
	}
	for _, info := range s.crons {
		if s.slots[info.Name], err = crons.Slots(info.Name, 200); err != nil {
			return s, err
		}
	}
	if s.groups, err = h.Scheduler(id).Groups(storage.GroupFilter{Limit: 1000}); err != nil {
		return s, err
	}
	h.Read(id, func(r storage.Reader) { err = s.pausesOf(r) })
	return s, err
}

// compare compares all of an app with what it must be like.
func (m *model) compare(a *app, now time.Time) {
	seen := m.seen[a.id]
	for fx, n := range seen.docs {
		switch want := a.effects[fx]; {
		case want == 0 && appOf(fx) != a.id:
			m.found("leaked", "app %s has the effect %s", a.id, fx)
		case n > want:
			m.found("doubled", "app %s has the effect %s %d times, want %d", a.id, fx, n, want)
		}
	}
	for fx, want := range a.effects {
		if n := seen.docs[fx]; n < want {
			m.found("lost", "app %s has the effect %s %d times, want %d", a.id, fx, n, want)
		}
	}
	if !maps.Equal(seen.state.Counters, a.counters) {
		m.found("other", "app %s has the counters %v, want %v", a.id, seen.state.Counters, a.counters)
	}
	m.compareJobs(a)
	m.compareOrder(a)
	m.compareTimes(a)
	m.compareChains(a)
	m.compareResults(a)
	m.compareTriggers(a, now)
	m.comparePauses(a)
	m.compareOutside(a, now)
	m.compareCheckpoints(a)
	m.compareGroups(a)
	for _, j := range a.jobs {
		if j.state != storage.StatePending || j.due.After(m.wall(now)) {
			continue
		}
		if by, late := m.late(a, j, now); late {
			m.found("other", "app %s: job %s (%s) is due %s, could have begun %v ago and has not", a.id, j.id, j.name, j.due.Format(stamp), by)
		}
	}
}

// compareJobs compares the records of all jobs.
func (m *model) compareJobs(a *app) {
	lines := map[string]int{}
	known := map[storage.JobID]bool{}
	for _, j := range a.jobs {
		lines[j.line()]++
		known[j.id] = true
	}
	var extra, there []string
	ids := map[storage.JobID]bool{}
	for _, job := range m.seen[a.id].all {
		line := lineOf(&job)
		ids[job.ID] = true
		if lines[line]--; lines[line] >= 0 {
			continue
		}
		if lines[line] = 0; known[job.ID] {
			extra = append(extra, line)
			continue
		}
		kind := "other"
		if appOf(nameOf(&job)) != a.id {
			kind = "leaked"
		}
		m.found(kind, "app %s has a job that nobody has made: %s", a.id, line)
	}
	for _, j := range a.jobs {
		if lines[j.line()] > 0 {
			lines[j.line()]--
			if !ids[j.id] {
				m.found("lost", "app %s: there is no job %s", a.id, j.line())
				continue
			}
			there = append(there, j.line())
		}
	}
	if len(extra)+len(there) > 0 {
		m.found("other", "app %s has\n\t%q, want\n\t%q", a.id, extra, there)
	}
}

// lineOf is job.line of what the engine shows.
func lineOf(job *storage.Job) string {
	shown := newJob(&order{Do: program{}}, job.ID, nameOf(job), job.Due.UTC(), time.Time{})
	shown.path, shown.scheduledFor, shown.state, shown.attempts = job.Function, job.ScheduledFor.UTC(), job.State, job.Attempts
	shown.failures, shown.history, shown.trigger = job.Failures, len(job.History), job.Trigger
	shown.order.placed(job)
	if shown.state == storage.StateRunning {
		shown.attempts--
	}
	if job.Error != nil {
		shown.code = dispatch.Code(job.Error.Code)
	}
	return shown.line()
}

// compareOrder demands the order of the listing: by instant, then in the order
// of their scheduling.
func (m *model) compareOrder(a *app) {
	var before *job
	for _, job := range m.seen[a.id].all {
		if job.State.Ended() || job.State == storage.StateHeld {
			continue
		}
		j := a.job(job.ID)
		if j != nil && before != nil {
			if after, known := j.before(before); after && known {
				m.found("other", "app %s: job %s (%s) is listed after %s (%s)", a.id, j.id, j.name, before.id, before.name)
			}
		}
		before = j
	}
}

// compareAlarm demands that an app that has something to do later is going to do
// it: by its one alarm, or in the engine's index if it sleeps.
func (m *model) compareAlarm(a *app, i actors.Inspection, now time.Time) {
	if a.paused["app"] {
		return // it waits for no instant
	}
	var due time.Time
	var first *job
	for _, j := range a.jobs {
		if !i.Asleep && (j.trigger != "" && m.awaits(a, j, now) || m.leaves(a, j) || a.waitsForResume(j)) {
			continue // it waits for something else than an instant
		}
		waits := j.state == storage.StatePending || i.Asleep && !j.state.Ended() && j.state != storage.StateHeld || j.state == storage.StateHeld && !j.notAfter.IsZero()
		at := j.wakesAt()
		if at.Before(j.due) || j.state == storage.StateHeld {
			waits = waits && (i.Asleep || !m.doubted.After(now)) // nothing expires while the wall is in doubt
		}
		if waits && (due.IsZero() || at.Before(due)) {
			due, first = at, j
		}
	}
	if i.Asleep {
		m.hibernated++
		if !i.AlarmAt.Equal(due) && !(due.IsZero() && i.AlarmAt.IsZero()) {
			m.found("other", "app %s sleeps until %s, its first job is due %s", a.id, i.AlarmAt.Format(stamp), due.Format(stamp))
		}
		return
	}
	if i.Running > m.perApp {
		m.found("other", "app %s has %d jobs running, of %d", a.id, i.Running, m.perApp)
	}
	if m.all < len(m.apps)*m.perApp && m.othersSoon(a, now) {
		return // what waits for a slot waits for no instant
	}
	if m.steppedAt.Add(modelCheck).After(now) || !a.free || !due.After(m.wall(now)) {
		return
	}
	if i.AlarmAt.IsZero() || i.AlarmAt.After(due) {
		m.found("other", "app %s has its alarm at %s, its first job, %s (%s), is due %s", a.id, i.AlarmAt.Format(stamp), first.id, first.name, due.Format(stamp))
	}
}

// othersSoon says whether another app may keep slots for jobs that are claimed ahead.
func (m *model) othersSoon(a *app, now time.Time) bool {
	for _, other := range m.apps {
		for _, j := range other.jobs {
			if other != a && j.state == storage.StatePending && !j.due.After(m.wall(now).Add(modelAhead)) {
				return true
			}
		}
	}
	return false
}
