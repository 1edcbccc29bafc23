package model_test

import (
	"slices"
	"strings"
	"time"

	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// trigger is what a cron trigger must be like.
type trigger struct {
	name, path, spec string
	overlap          storage.Overlap
	paused           bool
	madeAt           time.Time // the wall, when it was made
	since            time.Time // the log has every slot after this
	changed          bool      // by this command
	atStart          bool
	held             bool // it had a held tick when it was last compared
	skipped          int  // how many entries of the log said so
	starts, logged   int  // of one AtStart: since it was made, and of those the ones whose end was compared
}

// beforeCron is "cron" or "recron APP NAME ZONE [OPTION…] PATH SPEC…".
func beforeCron(m *model, l *line) {
	a := l.app(m)
	a.touched = l.at
	t := &trigger{name: l.words[2], overlap: storage.OverlapSkip, madeAt: m.wall(l.at), changed: true}
	for i, word := range l.words[4:] {
		option, value, _ := strings.Cut(word, "=")
		switch option {
		case "overlap":
			t.overlap = storage.Overlap(value)
		case "catch-up":
		case "paused":
			t.paused = true
		default:
			t.path, t.spec = word, strings.Join(l.words[4+i+1:], " ")
		}
		if t.path != "" {
			break
		}
	}
	old := a.triggers[t.name]
	code, _ := l.failed()
	switch {
	case m.unknown(t.path) != "":
		if code != m.unknown(t.path) {
			m.found("other", "%s: %q, and there is no such function", l.text, l.printed)
		}
		return
	case l.words[0] == "cron" && old != nil:
		if code != dispatch.CodeAlreadyExists {
			m.found("other", "%s: %q, and it is there", l.text, l.printed)
		}
		return
	case l.words[0] == "recron" && old == nil:
		if code != dispatch.CodeNotFound {
			m.found("other", "%s: %q, and it is not there", l.text, l.printed)
		}
		return
	case l.printed != "":
		m.found("other", "%s: %q", l.text, l.printed)
		return
	}
	if t.since = t.madeAt; old != nil {
		t.madeAt, t.paused = old.madeAt, old.paused
		for _, job := range a.jobs {
			if job.trigger == t.name && job.slot.After(t.since) {
				t.since = job.slot
			}
		}
		for _, s := range m.seen[a.id].slots[t.name] {
			if s.To.After(t.since) && s.Outcome != storage.SlotFired {
				t.since = s.To
			}
		}
	}
	a.triggers[t.name] = t
	m.withdraw(a, t.name, true)
}

// withdraw forgets the ticks of the trigger that have not begun. What of them is
// there again is seen; what is still there, since it waits for another tick, is
// taken out when its turn comes. If changed, the held one goes, too.
func (m *model) withdraw(a *app, name string, changed bool) {
	for _, j := range slices.Clone(a.jobs) {
		goes := j.state == storage.StatePending || changed && j.state == storage.StateHeld
		if j.trigger != name || j.slot.IsZero() || j.attempts > 0 || !goes {
			continue
		}
		if job, there := m.seen[a.id].jobs[j.id]; j.state == storage.StateHeld {
			if a.drop(j); there {
				m.found("other", "app %s: job %s is still there, as %s, and its trigger is another or none", a.id, j.id, job.State)
			}
		} else if !there || job.Function != j.path || job.State != j.state {
			a.drop(j)
		}
	}
}

// trigger is the one that a command is about; what it says if there is none.
func (l *line) trigger(m *model) *trigger {
	t := l.app(m).triggers[l.words[2]]
	code, _ := l.failed()
	if (t == nil) != (code == dispatch.CodeNotFound) {
		m.found("other", "%s: %q, there %v", l.text, l.printed, t != nil)
	}
	return t
}

func beforePause(m *model, l *line) {
	l.app(m).touched = l.at
	if t := l.trigger(m); t != nil {
		t.paused, t.changed = l.words[0] == "pause", true
		m.withdraw(l.app(m), t.name, false)
	}
}

func beforeDelete(m *model, l *line) {
	l.app(m).touched = l.at
	t := l.app(m).triggers[l.words[2]]
	if code, _ := l.failed(); t != nil && t.atStart {
		if code != dispatch.CodeFailedPrecondition {
			m.found("other", "%s: %q, and the program declares it", l.text, l.printed)
		}
		return
	}
	if l.trigger(m) != nil {
		delete(l.app(m).triggers, l.words[2])
		m.withdraw(l.app(m), l.words[2], true)
	}
}

func beforeRunNow(m *model, l *line) {
	a := l.app(m)
	a.touched = l.at
	t := l.trigger(m)
	code, failed := l.failed()
	least, most := m.live(a, l.at)
	switch {
	case t == nil:
	case failed && (code != dispatch.CodeResourceExhausted || most < modelMaxJobs), !failed && least >= modelMaxJobs:
		m.found("other", "%s: %q", l.text, l.printed)
	case !failed:
		j := m.tickJob(t, l.id(l.printed), time.Time{}, ceil(m.wall(l.at)), l.at)
		j.scheduledFor = j.due
		a.add(j)
	}
}

// tickJob is the job of a slot, or of a run by hand if there is none.
func (m *model) tickJob(t *trigger, id storage.JobID, slot, due, at time.Time) *job {
	o := &order{Acts: t.path == modelHaste.Path(), Do: tickProgram(dispatch.Tick{Trigger: t.name, Slot: slot}, dispatch.JobRun{ID: id})}
	j := newJob(o, id, o.Do.Name, due, at)
	j.path, j.trigger, j.slot = t.path, t.name, slot
	return j
}

// due is when the tick of a slot is due: one of a start at the start, which may stand in
// the log as a later slot.
func (t *trigger) due(slot, scheduledFor time.Time) time.Time {
	if t.atStart {
		return scheduledFor.UTC()
	}
	return slot
}

// adoptTick takes in the job of a tick, which came to be by itself, when it begins.
func (m *model) adoptTick(a *app, r *run, h event) {
	t := a.triggers[r.tick.Trigger]
	switch {
	case r.tick.Trigger == "":
		return
	case t == nil:
		m.found("other", "a tick of trigger %s began, which is not there (any more)", r.tick.Trigger)
	case t.paused && !r.job.ScheduledFor.Before(t.madeAt):
		m.found("other", "a tick of trigger %s began, which is paused", t.name)
	case r.job.ID != t.tickID(r.job.ID, r.tick.Slot):
		m.found("other", "job %s began for slot %s of trigger %s", r.job.ID, r.tick.Slot.Format(stamp), t.name)
	default:
		j := m.tickJob(t, r.job.ID, r.tick.Slot, t.due(r.tick.Slot, r.job.ScheduledFor), h.at)
		m.cutOff(a, j)
		a.add(j)
	}
}

// cutOff counts the attempt of a tick that a crash of this command has cut off
// before its handler began.
func (m *model) cutOff(a *app, j *job) {
	if job := m.seen[a.id].jobs[j.id]; m.crashed && len(job.History) > 0 && job.History[0].Interrupted {
		j.crash()
		j.code = dispatch.CodeAborted
	}
}

// alone says whether no other job of the tick's trigger is running.
func (m *model) alone(a *app, j *job) bool {
	t := a.triggers[j.trigger]
	if t == nil || t.overlap == storage.OverlapAllow {
		return t != nil
	}
	return !slices.ContainsFunc(a.jobs, func(k *job) bool { return k != j && k.trigger == j.trigger && !k.state.Ended() && k.run != nil })
}

// missed says whether the job is a tick that was due, never began and is gone:
// its slot was skipped.
func (j *job) missed(m *model, a *app, at time.Time) bool {
	_, there := m.seen[a.id].jobs[j.id]
	return !there && !j.slot.IsZero() && j.attempts == 0 && j.state == storage.StatePending && !j.due.After(m.wall(at))
}

// replaced ends a run of a trigger's that its next tick has canceled. By whom it
// was canceled nobody notes: that it was is seen.
func (m *model) replaced(a *app, k *job, at time.Time) bool {
	t := a.triggers[k.trigger]
	if t == nil || t.overlap != storage.OverlapReplace || k.state.Ended() || m.seen[a.id].of(k).State != storage.StateCanceled {
		return false
	}
	open := a.open
	a.begin("replacement of " + k.name)
	m.canceled(a, k, k.state, nil, at)
	a.end(true)
	a.open = open
	return true
}

// replaces ends what the tick that begins has replaced.
func (m *model) replaces(a *app, j *job, at time.Time) {
	for _, k := range a.jobs {
		if k != j && k.trigger == j.trigger && k.state == storage.StateRunning && !j.slot.IsZero() && j.attempts == 0 {
			m.replaced(a, k, at)
		}
	}
}

// compareReplaced demands that no run of a trigger goes on beside a tick that
// replaces it.
func (m *model) compareReplaced(a *app, t *trigger) {
	for _, k := range a.jobs {
		for _, j := range a.jobs {
			if t.overlap == storage.OverlapReplace && k != j && k.trigger == t.name && j.trigger == t.name && !t.changed &&
				k.state == storage.StateRunning && j.state == storage.StateRunning && !j.slot.IsZero() && j.attempts == 0 && k.run.began.Before(j.run.began) {
				m.found("other", "app %s: job %s runs beside %s, which replaces it", a.id, k.id, j.id)
			}
		}
	}
}

// awaits says whether the tick waits for a run of its trigger to end, and not for
// an instant: at its own, only the next tick is skipped for a tick that runs.
func (m *model) awaits(a *app, j *job, now time.Time) bool {
	t := a.triggers[j.trigger]
	if t == nil || t.overlap == storage.OverlapAllow {
		return false
	}
	running, ticks, next := false, false, true
	for _, k := range a.jobs {
		switch {
		case k == j || k.trigger != j.trigger || k.state.Ended():
		case k.run != nil || !k.due.After(m.wall(now).Add(modelAhead)):
			running, ticks = true, ticks || !k.slot.IsZero()
		case k.due.Before(j.due):
			next = false
		}
	}
	if t.overlap == storage.OverlapReplace {
		return running && !next
	}
	return running && (t.overlap == storage.OverlapQueue || !ticks || !next)
}

// ticks brings the model in line with what triggers have done by themselves:
// a next tick that came to be, one that was taken back or skipped.
func (m *model) ticks(a *app, now time.Time) {
	seen := m.seen[a.id]
	for _, j := range slices.Clone(a.jobs) {
		if j.trigger != "" && m.replaced(a, j, now) {
			j.endedAt = time.Time{}
		}
		if j.trigger == "" || j.slot.IsZero() || j.state.Ended() {
			continue
		}
		t := a.triggers[j.trigger]
		job, there := seen.jobs[j.id]
		switch {
		case !there && j.attempts == 0 && j.state == storage.StatePending:
			a.drop(j)
		case there && job.State == storage.StateCanceled && j.attempts > 0 && (t == nil || t.changed || t.madeAt.After(j.slot) || !now.Before(j.readyAt)):
			j.state = storage.StateCanceled // a retry of what its trigger does not mean any more
		}
	}
	for _, job := range seen.all {
		if job.Trigger == "" || job.Slot.IsZero() || job.Attempts > 1 || a.job(job.ID) != nil {
			continue
		}
		t := a.triggers[job.Trigger]
		if t == nil && job.State == storage.StateCanceled && job.Attempts == 0 {
			t = &trigger{name: job.Trigger, path: job.Function, atStart: job.Trigger == bootOf(a.id)} // it was replaced, or canceled, before its trigger was deleted
		}
		if t == nil || t.paused && job.State == storage.StatePending {
			m.found("other", "app %s: %s is %s, and its trigger is not there, or paused", a.id, job.ID, job.State)
			continue
		}
		j := m.tickJob(t, job.ID, job.Slot, t.due(job.Slot, job.ScheduledFor), now)
		if m.cutOff(a, j); j.attempts == job.Attempts {
			j.state = job.State
			a.add(j)
		}
	}
}

// compareTriggers compares triggers and what became of their slots.
func (m *model) compareTriggers(a *app, now time.Time) {
	seen := m.seen[a.id]
	if len(seen.crons) != len(a.triggers) {
		m.found("other", "app %s has %d triggers, want %d", a.id, len(seen.crons), len(a.triggers))
	}
	for _, info := range seen.crons {
		t := a.triggers[info.Name]
		if t == nil {
			m.found("leaked", "app %s has trigger %s", a.id, info.Name)
			continue
		}
		if info.Paused != t.paused || info.Spec != t.spec || info.Function != t.path || info.Overlap != t.overlap {
			m.found("other", "app %s: trigger %s is %+v, want %+v", a.id, t.name, info.Trigger, *t)
		}
		next, pending := seen.jobs[info.NextJob]
		switch {
		case t.atStart:
			m.compareStarts(a, t, info)
		case t.paused && info.NextJob != "":
			m.found("other", "app %s: trigger %s is paused and has the tick %s", a.id, t.name, info.NextJob)
		case !t.paused && (!pending || !next.Due.Equal(info.Next) || next.State != storage.StatePending):
			m.found("lost", "app %s: trigger %s: its next slot is %s, the tick of that: %v %s %s", a.id, t.name, info.Next.Format(stamp), pending, next.State, next.Due.Format(stamp))
		}
		if !t.atStart {
			m.compareSlots(a, t, info)
		}
		m.compareReplaced(a, t)
		m.compareHeld(a, t, info)
		t.changed = false
	}
}

// compareSlots demands every slot of the trigger once: none is left out, none is
// twice, and what was skipped did not run.
func (m *model) compareSlots(a *app, t *trigger, info dispatch.CronInfo) {
	schedule, err := cron.Expr(t.spec).Compile("UTC")
	if err != nil {
		m.found("other", "trigger %s: %v", t.name, err)
		return
	}
	schedule = schedule.WithAnchor(info.Anchor)
	slots := slices.Clone(m.seen[a.id].slots[t.name])
	slices.Reverse(slots)
	var last time.Time
	for _, s := range slots {
		switch {
		case !last.IsZero() && !s.From.After(last):
			m.found("doubled", "app %s: trigger %s: slot %s is in the log twice", a.id, t.name, s.From.Format(stamp))
		case last.After(t.since) && !schedule.Next(last).Equal(s.From):
			m.found("lost", "app %s: trigger %s: after slot %s comes %s in the log", a.id, t.name, last.Format(stamp), s.From.Format(stamp))
		}
		if job, ok := m.seen[a.id].jobs[storage.TickID(t.name, s.From)]; s.Outcome == storage.SlotSkipped && s.From.Equal(s.To) && ok && job.State == storage.StateSuccess && job.EnqueuedAt.After(info.CreatedAt) {
			m.found("doubled", "app %s: trigger %s: slot %s was skipped (%s), and ran", a.id, t.name, s.From.Format(stamp), s.Reason)
		}
		last = s.To
	}
	if last.After(t.since) && !t.paused && !schedule.Next(last).Equal(info.Next) {
		m.found("lost", "app %s: trigger %s: the last slot in the log is %s, the next one %s", a.id, t.name, last.Format(stamp), info.Next.Format(stamp))
	}
}
