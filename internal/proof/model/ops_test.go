package model_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// mutate does to the app what the program of a mutation does, and compares the
// answers it got.
func (m *model) mutate(a *app, r *run, p *program, h event) {
	a.put(effect{p.Name, r.job.Attempt}.String())
	if len(h.answers) != len(p.Does) {
		m.found("other", "%s did %d things of %d", p.Name, len(h.answers), len(p.Does))
		return
	}
	for i := range p.Does {
		d, answer := &p.Does[i], h.answers[i]
		switch {
		case d.Count != "":
			if n := a.count(d.Count); answer != fmt.Sprint(n) {
				m.found("other", "%s counted %s for %s, want %d", p.Name, answer, d.Count, n)
			}
		case d.Run != nil:
			m.order(a, r, d.Run, child(d.Run.Do.Name, r.job.Attempt, r.tick), answer, h)
		case d.Cancel != "":
			m.cancel(a, r, d.Cancel, answer, h.at)
		case d.Nest != nil:
			m.nest(a, r, d.Nest, answer, h)
		}
	}
}

// nest is a nested mutation: with its outer one, or undone alone.
func (m *model) nest(a *app, r *run, p *program, answer string, h event) {
	if code, failed := failedWith(answer); failed {
		if end := p.end(r.job.Attempt); end == nil || dispatch.AsError(end).Code != code {
			m.found("other", "%s, nested, ended with %s, want %v", p.Name, answer, end)
		}
		return
	}
	inner := h
	inner.answers = nil
	if err := json.Unmarshal([]byte(answer), &inner.answers); err != nil || p.end(r.job.Attempt) != nil {
		m.found("other", "%s, nested, answered %s", p.Name, answer)
		return
	}
	m.mutate(a, r, p, inner)
}

func failedWith(answer string) (dispatch.Code, bool) {
	code, failed := strings.CutPrefix(answer, "error: ")
	return dispatch.Code(code), failed
}

// put notes that a mutation's document is there.
func (a *app) put(fx string) {
	a.effects[fx]++
	a.undoing(func() {
		if a.effects[fx]--; a.effects[fx] == 0 {
			delete(a.effects, fx)
		}
	})
}

func (a *app) count(key string) int {
	was, had := a.counters[key]
	a.counters[key]++
	a.undoing(func() {
		if a.counters[key] = was; !had {
			delete(a.counters, key)
		}
	})
	return a.counters[key]
}

// refusal is why an order must be refused; "" is why not. maybe says that it
// hangs on what happened at this very moment, in an order that nobody has told.
func (m *model) refusal(a *app, by *run, o *order, at time.Time) (code dispatch.Code, maybe bool) {
	code, maybe = m.refusalBut(a, by, o, at)
	_, born := a.child(by, o)
	_, uncertain, decided := m.keyRefusal(a, o, at)
	if born || decided && !uncertain {
		return code, maybe // what is kept off joins nothing
	}
	maybe = maybe || decided
	if of, open := m.groupRefusal(a, by, o, at); of != "" || open {
		if code == "" && !maybe {
			return of, open
		}
		maybe = true // which of two reasons is told, or whether one is
	}
	return code, maybe
}

// refusalBut is refusal but for what is about groups.
func (m *model) refusalBut(a *app, by *run, o *order, at time.Time) (code dispatch.Code, maybe bool) {
	policy, retried := o.retry()
	_, born := a.child(by, o)
	switch {
	case m.unknown(o.path()) != "":
		return m.unknown(o.path()), false
	case m.unknownThen(o):
		return dispatch.CodeInvalidArgument, false
	case o.Once && !o.Acts, o.Once && retried && policy.MaxAttempts > 1, o.onceRefusal(by) != "":
		return dispatch.CodeInvalidArgument, false
	case born:
		return "", false
	}
	code, uncertain, decided := m.keyRefusal(a, o, at)
	if decided && (code != "" || !uncertain) {
		return code, uncertain
	}
	defer func() { maybe = maybe || uncertain }()
	just := 0
	for _, j := range a.jobs {
		if j.state.Ended() && j.changedAt.Equal(at) {
			just++
		}
	}
	least, most := m.live(a, at)
	for _, j := range a.jobs {
		if j.told != nil && j.addedAt.Equal(at) {
			least-- // it may not have come yet
		}
	}
	if least >= modelMaxJobs {
		return dispatch.CodeResourceExhausted, false
	}
	maybe = most+just >= modelMaxJobs
	if o.ID == "" {
		return "", maybe
	}
	if j := a.job(storage.JobID(o.ID)); j != nil {
		maybe = maybe || j.changedAt.Equal(at) || m.tooLate(j, at)
		if j.state != storage.StateSuccess && j.state != storage.StateCanceled && j.state != storage.StateExpired {
			return dispatch.CodeAlreadyExists, maybe
		}
	}
	return "", maybe
}

// order is a job that was scheduled, or refused.
func (m *model) order(a *app, by *run, o *order, name, answer string, h event) *job {
	want, maybe := m.refusal(a, by, o, h.at)
	got, failed := failedWith(answer)
	if !failed {
		got = ""
	}
	if got != want && !maybe {
		m.found("other", "%s was scheduled with the answer %q, want %q", name, answer, want)
	}
	if failed {
		return nil
	}
	if id, born := a.child(by, o); born {
		if id != storage.JobID(answer) {
			m.found("doubled", "%s was scheduled as job %s, and its parent has job %s under that name", name, answer, id)
		}
		return nil
	}
	if j, kept := m.keptBy(a, by, o, name, storage.JobID(answer), h); kept {
		return j
	}
	j := newJob(o, storage.JobID(answer), name, ceil(h.wall.Add(span(o.After))), h.at)
	j.since = m.enqueuedAt(by, h)
	j.due = m.putOff(a, by, o, j.due, j.since, h)
	j.addedBy, j.notAfter, j.group = by, o.last(h.wall), o.groupOf(by)
	if by != nil {
		j.parent = by.job.ID
	}
	a.add(j)
	a.bear(by, o, j.id)
	return j
}

func newJob(o *order, id storage.JobID, name string, due, at time.Time) *job {
	return &job{
		id: id, name: name, path: o.path(), prog: o.Do, order: *o, due: due, scheduledFor: due,
		state: storage.StatePending, addedAt: at, readyAt: at,
	}
}

// cancel is what a run, or the host, was told when it canceled a job by the
// name of its program.
func (m *model) cancel(a *app, by *run, name, answer string, at time.Time) {
	if what, _, _ := strings.Cut(answer, " "); answer == "none" || what == "late" {
		for _, j := range slices.Clone(a.jobs) {
			if j.name == name && j.missed(m, a, at) {
				a.drop(j)
			}
		}
	}
	for _, j := range a.jobs {
		if answer == "late canceled" && j.name == name && m.replaced(a, j, at) {
			j.endedAt = time.Time{}
		}
	}
	first := a.first(name)
	states := map[storage.State]bool{}
	for _, j := range a.jobs {
		if j.name != name {
			continue
		}
		states[j.state] = true
		if m.mayBeHeld(j, at) {
			states[storage.StateHeld] = true
		}
		if m.tooLate(j, at) {
			states[storage.StateExpired] = true
		}
		if j.changedAt.Equal(at) { // the other way round, perhaps
			states[storage.StateRunning], states[storage.StatePending] = true, true
		}
	}
	for _, j := range a.jobs {
		if first == nil && j.name == name && j.was != nil && j.changedAt.Equal(at) {
			first = j
		}
	}
	switch what, found, _ := strings.Cut(answer, " "); {
	case answer == "late " && len(states) == 0: // skipped since it was looked up
	case what == "none" && len(states) > 0, what != "none" && len(states) == 0, what == "late" && !states[storage.State(found)]:
		m.found("other", "cancel of %s was answered with %q, it is %v", name, answer, states)
	case what == "canceled" && first == nil:
		m.found("other", "cancel of %s was answered with %q, it is %v", name, answer, states)
	case what == "canceled":
		m.canceled(a, first, storage.State(found), by, at)
	case what == "late" && first != nil && !first.changedAt.Equal(at) && !m.tooLate(first, at):
		m.found("other", "cancel of %s was answered with %q, it is %s", name, answer, first.state)
	}
}

// beforeLive says whether the job can be canceled and is listed before k.
func (j *job) beforeLive(k *job) (before, known bool) {
	if j.state.Ended() {
		return false, true
	}
	if k == nil {
		return true, true
	}
	if !j.due.Equal(k.due) {
		return j.due.Before(k.due), true
	}
	return j.seq < k.seq, true
}

// canceled is a job that was canceled, and found in a state.
func (m *model) canceled(a *app, j *job, found storage.State, by *run, at time.Time) {
	a.touch(j)
	if found == storage.StateRunning && j.was != nil && j.changedAt.Equal(at) {
		// Its handler had returned, but that was not settled yet.
		a.notOver(j)
		was := *j.was
		was.run = j.run
		*j = was
	}
	switch {
	case found == j.state:
	case found == storage.StateHeld && m.mayBeHeld(j, at):
		m.heldFirst(j, at)
	case found == storage.StateRunning && j.state == storage.StatePending && !j.due.After(m.wall(at)):
		j.mayStart = true // it was on its way to its handler
	default:
		m.found("other", "job %s (%s) was canceled as %s, it is %s", j.id, j.name, found, j.state)
	}
	j.state, j.changedAt, j.endedAt, j.canceledBy = storage.StateCanceled, at, m.wall(at), by
	if by != nil && !by.acts && !by.wall.IsZero() {
		j.endedAt = by.wall
	}
	j.canceledOutside()
	if found == storage.StateRunning {
		j.attempts++
	}
	m.over(a, j, at)
	if found != storage.StateRunning {
		return
	}
	if r := j.run; r != nil && (r != by || r.acts) {
		over, overAt, freed := r.over, r.overAt, r.freed
		a.undoing(func() { r.over, r.overAt, r.freed = over, overAt, freed })
		r.end(at)
		if end := at.Add(modelGrace); end.Before(r.freed) {
			r.freed = end
		}
	}
}

// did is what an action has done in a transaction of its own.
func (m *model) did(a *app, h event) {
	r, d, answer := h.run, h.op, h.answers[0]
	i := slices.IndexFunc(m.begun, func(by event) bool { return by.run == r && by.op == d })
	if i < 0 {
		return // its job has begun meanwhile
	}
	by := m.begun[i]
	h.wall = by.wall // what it schedules is due from when it asked, though it may have waited for the turn
	m.begun = slices.Delete(m.begun, i, i+1)
	code, failed := failedWith(answer)
	over := r.began.Add(modelDeadline)
	if j := a.own(r); j != nil {
		over = r.began.Add(j.timeout())
	}
	if r.over && r.overAt.Before(over) {
		over = r.overAt
	}
	if told := r.toldAt; !told.IsZero() && told.Before(over) {
		over = told
	}
	if m.refused(by, h) && !m.cut {
		r.refused = true
		return
	}
	switch {
	case d.Nest != nil:
		return // its own run tells
	case failed && m.cut:
		m.doubtful(a, r, d, h)
		return
	case h.at.After(over), r.over && a.own(r) != nil && a.own(r).canceledBy == r: // itself, before this
		if !failed && answer != "none" && !strings.HasPrefix(answer, "late") { // to look is not forbidden
			m.found("other", "%s, which was over, was answered with %q", r.prog.Name, answer)
		}
		return
	case failed && (code == dispatch.CodeCanceled || code == dispatch.CodeAborted || code == dispatch.CodeDeadlineExceeded) &&
		(h.at.Equal(over) || d.Cancel == r.prog.Name):
		// It was over at this moment: whether before this was done it was not told.
		if m.maybe() {
			m.unanswered(a, r, d, h)
		}
		return
	}
	m.doing(a, r, d, answer, h)
}

// doing makes the change of an action's op.
func (m *model) doing(a *app, r *run, d *op, answer string, h event) {
	if d.Run != nil {
		name := child(d.Run.Do.Name, r.job.Attempt, r.tick)
		c := a.begin("order of " + name)
		j := m.order(a, r, d.Run, name, answer, h)
		if j != nil {
			c.acked, c.durable = true, func() bool { return m.seen[a.id].of(j).ID == j.id }
		}
		a.end(true)
		return
	}
	a.begin("cancel of " + d.Cancel)
	m.cancel(a, r, d.Cancel, answer, h.at)
	a.end(true)
}

// unanswered makes the change of an op whose answer was that the action is over.
func (m *model) unanswered(a *app, r *run, d *op, h event) {
	if d.Run != nil {
		m.doubtful(a, r, d, h)
		return
	}
	if j := a.first(d.Cancel); j != nil {
		m.doing(a, r, d, "canceled "+string(j.state), h)
	}
}

// first is the job that a cancel of the program of that name is about, if any.
func (a *app) first(name string) (first *job) {
	for _, j := range a.jobs {
		if j.name != name {
			continue
		}
		if before, _ := j.beforeLive(first); before {
			first = j
		}
	}
	return first
}

// doubtful makes the change of an op that a crash has cut off, if it is there.
func (m *model) doubtful(a *app, r *run, d *op, h event) {
	if d.Nest != nil {
		return
	}
	if d.Run != nil {
		name := child(d.Run.Do.Name, r.job.Attempt, r.tick)
		for _, there := range m.seen[a.id].all { // of several of that name, the one that is new
			known := slices.ContainsFunc(a.jobs, func(j *job) bool { return j.name == name && j.id == there.ID })
			if nameOf(&there) == name && !known {
				m.doing(a, r, d, string(there.ID), h)
				break
			}
		}
		return
	}
	if m.canceledLater(d.Cancel) {
		return
	}
	for _, j := range a.jobs {
		if now := m.seen[a.id].of(j); j.name == d.Cancel && !j.state.Ended() && now.State == storage.StateCanceled {
			m.canceled(a, j, j.state, r, h.at)
			j.endedAt = time.Time{}
			return
		}
	}
}

// canceledLater says whether the job was there to be canceled later in the command.
func (m *model) canceledLater(name string) bool {
	for _, h := range m.rest {
		ops := []op{}
		if h.op != nil {
			ops = append(ops, *h.op)
		} else if h.what == "ran" {
			ops = h.run.prog.Does
		}
		for i, d := range ops {
			if d.Cancel == name && i < len(h.answers) && strings.HasPrefix(h.answers[i], "canceled") {
				return true
			}
		}
	}
	return false
}
