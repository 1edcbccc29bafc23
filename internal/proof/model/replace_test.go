package model_test

import (
	"strings"
	"time"

	"carillon/storage"
)

// A call of a key that replaces makes of the job that has it, and has not begun, this call: it keeps
// its id and its place, its group and what it follows, and has the call's program, instant and
// options. While that one runs it is a job of its own, which follows: it begins when the handler
// before has returned or was given up, and the one before is tried no more (G29).

// replaces says whether the order's policy is that.
func (o *order) replaces() bool { return strings.Contains(o.Key, ",replace") }

// maxWait is how long calls of the key can put the job off.
func (o *order) maxWait() time.Duration {
	if _, wait, ok := strings.Cut(o.Key, ",wait="); ok {
		return span(wait)
	}
	return 10 * max(span(o.After), 0)
}

// putOff is when a job is due of which the order is, and whose calls have begun to replace each
// other at the wall of since.
func (m *model) putOff(a *app, by *run, o *order, due, since time.Time, h event) time.Time {
	if !o.replaces() {
		return due
	}
	now := m.transactionAt(by, h)
	bounded := func(now time.Time) time.Time {
		most := since
		if most.After(now) {
			most = now
		}
		if most = most.Add(o.maxWait()); most.Before(now) {
			most = now
		}
		if most.Before(due) {
			return ceil(most)
		}
		return due
	}
	first := bounded(now)
	if !m.peak.After(now) {
		return first
	}
	// What the wall has shown before it was stepped back may count.
	if seen := m.seen[a.id].keyed(o); !seen.Before(first) && !seen.After(bounded(m.peak)) {
		return seen
	}
	return first
}

// transactionAt is when the transaction began that asks for something.
func (m *model) transactionAt(by *run, h event) time.Time {
	if by != nil && !by.acts && !by.wall.IsZero() {
		return by.wall
	}
	return m.wall(h.at)
}

// enqueuedAt is when what is asked for came to be.
func (m *model) enqueuedAt(by *run, h event) time.Time {
	if at := m.transactionAt(by, h); at.After(h.wall) {
		return at
	}
	return h.wall
}

// keyed is when the job is due whose program that of the order is; zero if there is none.
func (s *sight) keyed(o *order) time.Time {
	for _, job := range s.all {
		if job.Unique != nil && strings.HasPrefix(nameOf(&job), o.Do.Name) {
			return job.Due.UTC()
		}
	}
	return time.Time{}
}

// replace makes of a job that has not begun the call.
func (m *model) replace(a *app, by *run, j *job, o *order, name string, h event) {
	a.touch(j)
	if j.state == storage.StatePending && m.mayBeHeld(j, h.at) && m.releasedIn(a, j) {
		m.heldFirst(j, h.at)
	}
	group := j.order
	j.order = *o
	j.order.Group, j.order.Joins = group.Group, group.Joins
	prog := o.Do
	prog.Name = name
	j.revise(prog)
	j.base = ""
	j.scheduledFor = ceil(h.wall.Add(span(o.After)))
	j.due = m.putOff(a, by, o, j.scheduledFor, j.since, h)
	j.notAfter = o.last(h.wall)
	j.moves++
	j.state, j.addedBy = storage.StatePending, nil
	j.readyAt, j.addedAt, j.changedAt = h.at, h.at, h.at
	m.replacedCalls++
}

// releasedIn says whether those who watch were told that the job was held, and is no more.
func (m *model) releasedIn(a *app, j *job) bool {
	p := m.audiences[a.id]
	if p == nil {
		return false
	}
	for _, h := range p.told {
		if h.Job.ID == j.id && h.was == storage.StateHeld {
			return true
		}
	}
	return false
}

// superseded says whether a later job has the job's key, so that it is tried no more.
func (a *app) superseded(j *job) bool {
	key := j.uniqueKey()
	for _, k := range a.jobs {
		if key != "" && k != j && k.seq > j.seq && k.uniqueKey() == key && !k.state.Ended() {
			return true
		}
	}
	return false
}

// followsKey says whether an earlier job has the job's key that has not ended, or when the last has.
func (a *app) followsKey(j *job) (waits bool, since time.Time) {
	key := j.uniqueKey()
	for _, k := range a.jobs {
		if key == "" || k == j || k.uniqueKey() != key {
			continue
		}
		waits = waits || k.seq < j.seq && !k.state.Ended()
		if k.changedAt.After(since) {
			since = k.changedAt
		}
	}
	return waits, since
}

// givesWay ends a job that would be tried again, if a later one has its key.
func (m *model) givesWay(a *app, j *job, at time.Time) bool {
	if !a.superseded(j) {
		j.since = m.wall(at)
		return false
	}
	j.state, j.endedAt = storage.StateCanceled, m.wall(at)
	m.superseded++
	m.over(a, j, at)
	return true
}
