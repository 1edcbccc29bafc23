package model_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// follow takes the model through what the handlers have noted, up to now.
func (m *model) follow(seen []event, now time.Time) {
	seen = slices.Clone(seen)
	for len(seen) > 0 && len(m.findings) == 0 {
		i := m.next(seen)
		h := seen[i]
		seen = slices.Delete(seen, i, i+1)
		m.rest = seen
		m.pass(h.at, true)
		m.timesOut(h.at)
		m.happened(h)
		m.tell(h.at)
		m.refresh(h.at)
		m.reached++
	}
	if len(m.findings) > 0 {
		return
	}
	m.pass(now, false)
	m.timesOut(now)
	m.refresh(now)
}

func (m *model) happened(h event) {
	if h.what == "open" {
		m.opened(h.at)
		return
	}
	a := m.apps[h.run.app]
	if a == nil {
		m.found("leaked", "a program of app %q ran", h.run.app)
		return
	}
	if h.what == "start" {
		if h.run.life = m.life; m.dead || m.ofDeleted(h.run) {
			h.run.life = -1
		}
	}
	if h.run.life != m.life {
		m.unheard(a, h)
		return // its engine or its app is gone, and whatever it does counts for nothing
	}
	a.touched = h.at
	switch h.what {
	case "start":
		m.ran++
		m.started(a, h)
	case "ran":
		m.mutated(a, h)
	case "asked":
		if !h.run.over {
			h.run.token = h.answers[0]
		}
	case "saving", "saved":
		m.saving(a, h)
	case "resumed":
		m.resumed(a, h)
	case "doing":
		m.begun = append(m.begun, h)
	case "did":
		m.did(a, h)
	case "end":
		m.acted(a, h)
	}
}

// wall is what the wall clock shows at an instant of the bubble's.
func (m *model) wall(at time.Time) time.Time { return at.Add(m.step).Round(0).UTC() }

// own is the job that the run is an attempt of; nil if it is none, but was asked
// for by an action that is, or by a client.
func (a *app) own(r *run) *job {
	if r.job.ID == "" {
		return nil
	}
	if j := a.job(r.job.ID); j != nil && j.name == r.prog.Name && j.acts() == r.acts {
		return j
	}
	return nil
}

// started is a handler that begins.
func (m *model) started(a *app, h event) {
	r := h.run
	r.wall = h.wall
	m.nested(r)
	if r.job.ID != "" && a.own(r) == nil {
		m.adopt(a, r, h)
	}
	j := a.own(r)
	limit := modelTurn
	if r.acts {
		limit = modelDeadline + modelGrace
	}
	if j != nil {
		m.startedJob(a, j, h)
		if limit = j.timeout(); r.acts {
			limit += modelGrace
		}
		m.runs = append(m.runs, r)
	} else if r.job.ID != "" {
		if by := a.job(r.job.ID); by == nil {
			m.found("leaked", "%s runs for job %s, which is not known", r.prog.Name, r.job.ID)
		} else if by.run != nil && by.run.over && by.run.freed.Before(h.at) {
			m.found("other", "%s was begun by an attempt of job %s that is over", r.prog.Name, r.job.ID)
		}
	}
	r.freed = h.at.Add(limit)
	if !r.acts {
		if a.holder != nil {
			m.found("other", "%s has the turn while %s has it", r.prog.Name, a.holder.prog.Name)
		}
		a.holder = r
	}
}

// adopt takes in a job that begins before whoever has scheduled it was told.
func (m *model) adopt(a *app, r *run, h event) {
	if a.job(r.job.ID) == nil {
		m.adoptTick(a, r, h)
	}
	if a.job(r.job.ID) == nil {
		m.expiredFirst(a, r, h.at)
	}
	for i, by := range m.begun {
		if o := by.op.Run; by.run.app == a.id && o != nil && child(o.Do.Name, by.run.job.Attempt, by.run.tick) == r.prog.Name {
			m.begun = slices.Delete(m.begun, i, i+1)
			by.at = h.at // it may have waited for the turn
			m.doing(a, by.run, by.op, string(r.job.ID), by)
			return
		}
	}
}

// startedJob is a handler that begins an attempt of a job: the model says
// whether it may.
func (m *model) startedJob(a *app, j *job, h event) {
	r := h.run
	if h.wall.Before(j.due) {
		m.found("early", "job %s (%s) is due %s and began at %s", j.id, j.name, j.due.Format(stamp), h.wall.Format(stamp))
	}
	switch {
	case j.mayStart && j.state == storage.StateCanceled:
		// It was starting when it was canceled: its handler is told at once.
		r.end(h.at)
		j.mayStart, j.run = false, r
		return
	case j.state == storage.StateSuccess:
		m.found("doubled", "job %s (%s) had succeeded and began again", j.id, j.name)
	case j.state != storage.StatePending:
		m.found("other", "job %s (%s) was %s and began", j.id, j.name, j.state)
	case j.outside != nil:
		m.found("doubled", "job %s (%s) is pending outside and began again", j.id, j.name)
	case j.revision != r.job.Revision:
		m.found("other", "job %s (%s) began revision %d, want %d", j.id, j.name, r.job.Revision, j.revision)
	case j.attempts+1 != r.job.Attempt:
		m.found("other", "job %s (%s) began attempt %d after %d", j.id, j.name, r.job.Attempt, j.attempts)
	}
	inApp := 0
	for _, other := range m.runs {
		if other.app == a.id {
			inApp++
		}
		if other.job.ID == r.job.ID && other.app == r.app {
			m.found("doubled", "two attempts of job %s (%s) run at once", j.id, j.name)
		}
	}
	if m.leaves(a, j) {
		m.found("doubled", "job %s (%s) began beside a handler that was given up", j.id, j.name)
	}
	if inApp >= m.perApp || len(m.runs) >= m.all {
		m.found("other", "job %s (%s) began though %d of %d jobs of the app and %d of %d of all were running",
			j.id, j.name, inApp, m.perApp, len(m.runs), m.all)
	}
	if m.closing && j.acts() {
		m.found("other", "job %s (%s) began while the engine was closing", j.id, j.name)
	}
	if by, ok := m.late(a, j, h.at); ok {
		m.found("other", "job %s (%s), due %s, began at %s: %v after it could have", j.id, j.name, j.due.Format(stamp), h.wall.Format(stamp), by)
	}
	if a.waitsForResume(j) {
		m.found("other", "job %s (%s) began while it was paused: %v", j.id, j.name, a.paused)
	}
	if !j.notAfter.IsZero() && h.wall.After(j.notAfter) {
		m.found("other", "job %s (%s) began at %s, and not after %s", j.id, j.name, h.wall.Format(stamp), j.notAfter.Format(stamp))
	}
	m.startedInLane(a, j, r)
	m.inTurn(a, j, h)
	m.inRate(a, j, h.at)
	m.inOrder(a, j, h)
	m.inRank(a, j, h)
	m.replaces(a, j, h.at)
	m.startedFollowing(j, r)
	m.startedInGroup(a, j, r)
	j.state, j.run, j.was = storage.StateRunning, r, nil
}

// late says how much later than it could have a pending job begins, or has not
// begun yet. It errs on the side of the engine.
func (m *model) late(a *app, j *job, at time.Time) (by time.Duration, late bool) {
	lane := a.lanes[j.order.Pool]
	opens, known := m.turnOrRate(a, j)
	if j.order.Pool != "" && !lane.free || m.keyBusy(a, j) || a.waitsForResume(j) || !known || m.tooLate(j, at) {
		return 0, false
	}
	if j.outside != nil || !a.free || j.crashes >= 2 || m.leaves(a, j) || j.trigger != "" && !m.alone(a, j) {
		return 0, false
	}
	could := at.Add(-m.wall(at).Sub(j.due)) // when it came to be due
	if noticed := m.steppedAt.Add(modelCheck); could.Before(noticed) {
		could = noticed
	}
	for _, t := range []time.Time{a.freeSince, lane.since, opens, j.readyAt, j.addedAt, m.openedAt} {
		if t.After(could) {
			could = t
		}
	}
	waits, since := a.followsKey(j)
	if waits {
		return 0, false
	}
	if since.After(could) {
		could = since
	}
	for _, k := range a.jobs { // a tick waits for the one before it
		if j.trigger != "" && k.trigger == j.trigger && k.changedAt.After(could) {
			could = k.changedAt
		}
	}
	if m.all < len(m.apps)*m.perApp {
		could = could.Add(modelAhead) // another app may have kept the slot for a job that is claimed ahead
	}
	return at.Sub(could), at.After(could)
}

// inOrder demands that no mutation of the app that comes before j still waits.
func (m *model) inOrder(a *app, j *job, h event) {
	for _, k := range a.jobs {
		if k.order.Pool != j.order.Pool || k.order.Priority != j.order.Priority || k.order.Key != "" || k.order.Pool == "line" || a.waitsForResume(k) || m.tooLate(k, h.at) {
			continue // each waits for something else, or the one overtakes the other
		}
		if k == j || k.state != storage.StatePending || k.acts() || j.acts() || k.trigger != "" || k.crashes >= 2 || k.due.After(h.wall) || m.leaves(a, k) {
			continue
		}
		// What came to be, or became due, at this very moment may come too late for its place.
		if !k.addedAt.Before(h.at) || !k.readyAt.Before(h.at) || !k.due.Before(h.wall) || m.steppedAt.Add(modelCheck).After(h.at) || !m.openedAt.Before(h.at) {
			continue
		}
		if before, known := k.before(j); before && known && a.free && a.freeSince.Before(h.at) {
			m.found("other", "job %s (%s) began before %s (%s), which comes before it", j.id, j.name, k.id, k.name)
		}
	}
}

// mutated is a mutation whose handler is about to return.
func (m *model) mutated(a *app, h event) {
	r := h.run
	if a.holder != r {
		m.returned(a, r, h.at) // it had lost the turn
		return
	}
	a.holder = nil
	j := a.own(r)
	keys := r.job.Attempt
	c := a.begin("mutation " + r.prog.Name)
	c.ordered, c.acked = true, r.prog.Name == m.acked && r.job.ID == ""
	fx := effect{r.prog.Name, keys}.String()
	had := a.effects[fx]
	c.durable = func() bool { return m.seen[a.id].docs[fx] > had }
	ended := h.err
	if ended == nil && m.cut && !c.durable() && m.maybe() {
		// The engine had died already: what this was answered is nothing to anybody.
		a.end(true)
		m.turnFree(a, h.at)
		return
	}
	if ended == nil {
		m.mutate(a, r, r.prog, h)
		if j != nil && j.state == storage.StateRunning {
			m.succeed(a, j, h.at, h.answers)
			j.endedAt = r.wall
		}
	} else if want := r.prog.end(r.job.Attempt); want == nil && dispatch.AsError(ended).Code != dispatch.CodeDeadlineExceeded && !m.cut && r.toldAt.IsZero() {
		m.found("other", "%s failed with %v", r.prog.Name, ended)
	}
	a.end(ended == nil)
	m.free(r)
	r.end(h.at)
	if ended != nil && j != nil {
		m.settle(a, ending{run: r, err: ended}, h.at)
	}
	m.turnFree(a, h.at)
}

// turnFree settles the endings that had to wait for the turn.
func (m *model) turnFree(a *app, at time.Time) {
	waiting := a.unsettled
	a.unsettled = nil
	for _, e := range waiting {
		m.settle(a, e, at)
	}
}

// free gives the slot of the run back.
func (m *model) free(r *run) { m.runs = slices.DeleteFunc(m.runs, func(x *run) bool { return x == r }) }

// acted is an action whose handler is about to return.
func (m *model) acted(a *app, h event) {
	r, j := h.run, a.own(h.run)
	m.free(r)
	if j != nil && j.run == r && errors.Is(h.err, context.Canceled) && !(m.cut && m.maybe()) {
		m.replaced(a, j, h.at) // else a crash has cut it off, and its retry is what was replaced
	}
	if r.over {
		m.returned(a, r, h.at)
		return
	}
	r.end(h.at)
	if r.key != "" {
		m.goOn(a, r, h.at)
	}
	if j != nil {
		err := h.err
		if h.at.Sub(r.began) >= j.timeout() {
			err = late(err)
		}
		m.ended(a, ending{r, err, h.answers}, h.at)
	}
}

// late is how a run ends whose handler returns err past its deadline.
func late(err error) error {
	if err == nil || dispatch.IsPermanent(err) || errors.Is(err, errPanic) {
		return err
	}
	return errDeadline
}

// leaves says whether the job waits for a handler that was given up, or canceled,
// and has not returned: one of its own, or one of an earlier tick.
func (m *model) leaves(a *app, j *job) bool {
	t := a.triggers[j.trigger]
	return slices.ContainsFunc(slices.Concat(m.runs, m.left), func(r *run) bool {
		switch {
		case r.app != a.id || !r.over || r.life != m.life:
			return false
		case r.job.ID == j.id:
			return true
		case t == nil || j.slot.IsZero() || r.tick.Trigger != t.name || r.tick.Slot.IsZero() || t.overlap == storage.OverlapAllow:
			return false
		}
		return t.overlap != storage.OverlapReplace || slices.Contains(m.runs, r) // its grace is not over
	})
}

// returned is a handler that was given up, or canceled, and has returned.
func (m *model) returned(a *app, r *run, at time.Time) {
	m.left = slices.DeleteFunc(m.left, func(x *run) bool { return x == r })
	m.goOn(a, r, at)
	if j := a.job(r.job.ID); j != nil && j.run == r { // it may have another program by now
		j.run = nil
	}
}

// goOn notes that what has waited for the handler need not any more.
func (m *model) goOn(a *app, r *run, at time.Time) {
	for _, j := range a.jobs {
		if j.id == r.job.ID || r.key != "" && j.uniqueKey() == r.key || r.tick.Trigger != "" && j.trigger == r.tick.Trigger {
			j.readyAt = at
		}
	}
}

// ended settles the run of an action now, or when the turn is free.
func (m *model) ended(a *app, e ending, at time.Time) {
	if a.holder != nil {
		a.unsettled = append(a.unsettled, e)
		return
	}
	m.settle(a, e, at)
}

// settle is how a run that ended outside the turn ends its attempt.
func (m *model) settle(a *app, e ending, at time.Time) {
	j := a.own(e.run)
	if j == nil || j.state != storage.StateRunning {
		return
	}
	was := *j
	j.was = &was
	c := a.begin("end of " + j.name)
	a.savedLast(j, e.run)
	attempt, history := e.run.job.Attempt, j.history
	c.durable = func() bool {
		now := m.seen[a.id].of(j)
		if len(now.History) > history {
			return !now.History[history].Interrupted
		}
		return now.State == storage.StateSuccess && now.Attempts == attempt
	}
	if j.said != nil {
		m.endOutside(a, j, *j.said, at)
		a.end(true)
		return
	}
	if isPending(e.run, e.err) {
		c.durable = func() bool {
			now := m.seen[a.id].of(j)
			return now.Attempts >= attempt && (len(now.History) <= history || !now.History[history].Interrupted)
		}
		m.leave(a, j, e.run, at)
		a.end(true)
		return
	}
	defer func() {
		if j.token = e.run.token; !j.state.Ended() {
			j.token = ""
		}
	}()
	if e.err == nil {
		m.succeed(a, j, at, e.answers)
		// A wrong order of what happened at one moment is found out here, not at the end
		// of the command, when too many others are to be tried first.
		if now := m.seen[a.id].of(j); !m.cut && now.State == j.state && now.Attempts == j.attempts {
			m.compareEnd(a, j)
		}
	} else if !e.run.toldAt.IsZero() && late(e.err) == errDeadline {
		m.heldUp(a, j, c, at)
	} else if e.run.refused && e.err != errDeadline && late(e.err) == errDeadline {
		m.turnedAway(a, j, c, at)
	} else {
		m.fail(a, j, e.err, at)
	}
	a.end(true)
}

func (m *model) succeed(a *app, j *job, at time.Time, answers []string, said ...string) {
	a.touch(j)
	if j.returned(answers); len(said) > 0 {
		j.result = said[0]
	}
	j.state, j.code, j.attempts, j.changedAt, j.endedAt = storage.StateSuccess, "", j.attempts+1, at, m.wall(at)
	m.over(a, j, at)
}

// fail ends an attempt that did not succeed: the job is dead, or tried again.
func (m *model) fail(a *app, j *job, err error, at time.Time) {
	a.touch(j)
	j.attempts, j.history, j.failures, j.crashes, j.changedAt = j.attempts+1, j.history+1, j.failures+1, 0, at
	j.code = dispatch.AsError(err).Code
	policy := dispatch.DefaultRetry()
	if p, ok := j.order.retry(); ok {
		policy = p
	}
	wait, again := policy.Next(j.failures)
	if !again || j.order.Once || dispatch.IsPermanent(err) {
		j.state, j.endedAt = storage.StateFailed, m.wall(at)
		m.over(a, j, at)
		return
	}
	if m.givesWay(a, j, at) {
		j.failures-- // its end is no failure
		return
	}
	j.state, j.due, j.readyAt = storage.StatePending, ceil(m.wall(at).Add(wait)), at
}

var errDeadline = dispatch.Errorf(dispatch.CodeDeadlineExceeded, "it took too long")

// pass lets time go by up to an instant: deadlines are overrun on the way. If
// something happens then, whether before or after a deadline of that very moment
// is open.
func (m *model) pass(to time.Time, happens bool) {
	later := map[*run]bool{}
	for {
		var first *run
		for _, r := range m.held() {
			if !r.freed.After(to) && !later[r] && (first == nil || r.freed.Before(first.freed)) {
				first = r
			}
		}
		if first == nil {
			return
		}
		if happens && first.freed.Equal(to) && m.maybe() {
			later[first] = true
			continue
		}
		m.overrun(first)
		m.tell(first.freed)
		m.refresh(first.freed)
	}
}

// held is every run that holds a slot or a turn.
func (m *model) held() []*run {
	runs := slices.Clone(m.runs)
	for _, id := range modelApps {
		if a := m.apps[id]; a.holder != nil && a.own(a.holder) == nil {
			runs = append(runs, a.holder)
		}
	}
	return runs
}

// overrun takes from a run what it held.
func (m *model) overrun(r *run) {
	a := m.apps[r.app]
	m.free(r)
	canceled := r.over
	r.end(r.freed)
	j := a.own(r)
	if a.holder == r {
		a.holder = nil
		if r.job.ID != "" {
			m.left = append(m.left, r)
		}
		if j != nil {
			m.settle(a, ending{run: r, err: errDeadline}, r.freed)
		}
		m.turnFree(a, r.freed)
		return
	}
	m.left = append(m.left, r)
	m.goOn(a, r, r.freed) // as far as a tick that replaces it is concerned
	if j != nil && !canceled {
		m.ended(a, ending{run: r, err: errDeadline}, r.freed)
	}
}

// refresh notes since when due jobs of each app could begin at once.
func (m *model) refresh(at time.Time) {
	turns := 0
	for _, a := range m.apps {
		if a.holder != nil {
			turns++
		}
	}
	for _, a := range m.apps {
		m.lanesAt(a, at)
		if a.holder != nil {
			a.turnSince = at.Add(time.Hour) // it is not free
		} else if a.turnSince.After(at) {
			a.turnSince = at
		}
		inApp := 0
		for _, r := range m.runs {
			if r.app == a.id {
				inApp++
			}
		}
		// While a turn is held, mutations that wait for it hold slots unseen.
		free := inApp < m.perApp && len(m.runs) < m.all && turns == 0 && !m.closing && !a.held
		if free && !a.free {
			a.freeSince = at
		}
		a.free = free
	}
}

// opened is the moment the directory was opened again.
func (m *model) opened(at time.Time) {
	m.life++
	m.opening, m.openedAt, m.dead, m.crashed = false, at, false, !m.graceful
	m.doubt(at, 0)
	for _, id := range modelApps {
		if a := m.apps[id]; !m.graceful {
			m.undone(a)
		}
	}
	for _, h := range m.begun {
		m.doubtful(m.apps[h.run.app], h.run, h.op, h)
	}
	m.begun = nil
	for _, id := range modelApps {
		a := m.apps[id]
		if !m.graceful {
			m.interrupted(a, at)
		}
		a.holder, a.unsettled, a.held = nil, nil, false
		a.window = nil
		if at.Sub(m.steppedAt) <= modelSpan {
			a.starts = nil // by the wall that is logged by, they may be further ago
		}
	}
	for _, id := range modelApps {
		m.apps[id].release(at, m.lacks != m.released)
	}
	m.lacks, m.declared, m.wait = m.released, m.declares, m.waits
	for _, id := range modelApps {
		m.startsOf(m.apps[id], at)
	}
	m.runs, m.left, m.closing = nil, nil, false
	m.perApp, m.all = m.limits[0], m.limits[1]
}

// undone finds out which of the last changes were durable, and undoes the others.
func (m *model) undone(a *app) {
	missing := ""
	for _, c := range a.window {
		if c.durable == nil {
			continue
		}
		there := c.durable()
		switch {
		case there && c.ordered && missing != "":
			m.found("lost", "app %s: %s is gone, and %s, which came later, is not", a.id, missing, c.what)
		case !there && c.acked:
			m.found("lost", "app %s: %s was acknowledged and is gone", a.id, c.what)
		case !there && c.ordered:
			missing = c.what
		}
	}
	for _, c := range slices.Backward(a.window) {
		if c.durable != nil && !c.durable() {
			c.back(0)
		}
	}
}

// interrupted counts the attempts that were cut off.
func (m *model) interrupted(a *app, at time.Time) {
	latest := m.wall(at)
	if m.peak.After(latest) {
		latest = m.peak // it may have been claimed before the wall was stepped back
	}
	var lost []*job
	defer func() { m.cutOffInLanes(a, lost) }()
	for _, j := range slices.Clone(a.jobs) {
		if j.state.Ended() || j.state == storage.StateHeld {
			continue
		}
		now := m.seen[a.id].of(j)
		cutOff := len(now.History) > j.history && now.History[j.history].Interrupted
		began := j.state == storage.StateRunning
		ahead := modelAhead
		if j.order.Once || j.order.Pool != "" {
			ahead = 0
		}
		switch {
		case cutOff && !began && j.due.After(latest.Add(ahead)):
			m.found("other", "app %s: job %s (%s) has an attempt that was cut off, and cannot have been claimed", a.id, j.id, j.name)
		case !cutOff && began && j.said == nil:
			m.found("other", "app %s: job %s (%s) was running, and the attempt is not counted", a.id, j.id, j.name)
		}
		if j.run != nil {
			j.run.end(at)
		}
		if began && j.said != nil && !cutOff {
			m.endOutside(a, j, *j.said, at)
			j.endedAt, j.run, j.mayStart, j.was = time.Time{}, nil, false, nil
			continue
		}
		j.run, j.said = nil, nil
		j.state, j.readyAt, j.mayStart, j.was = storage.StatePending, at, false, nil
		if !cutOff {
			continue
		}
		lost = append(lost, j)
		j.crash()
		j.code, j.changedAt = dispatch.CodeAborted, at
		if j.order.Once || j.crashes >= modelCrashes {
			j.state, j.endedAt = storage.StateFailed, m.wall(at)
			m.over(a, j, at)
			continue
		}
		m.givesWay(a, j, at)
	}
}
