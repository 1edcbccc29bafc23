package clock_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// clockAll are the apps of a life.
var clockAll = append([]storage.AppID{clockCrons, clockDeclared}, clockApps...)

// check looks at everything that must hold at every moment.
func (l *clockLife) check() {
	for _, app := range clockApps {
		if l.h.Inspect(app).Asleep {
			l.seen["slept"]++
		}
	}
	for _, note := range l.early() {
		l.found(l.tally.Early, "G11: %s", note)
	}
	if err := l.h.Engine.Check(); err != nil {
		l.found(l.tally.Other, "G20: %v", err)
	}
	now, err := clockTouch.Run(l.h.Caller("touch"), dispatch.None{})
	if err != nil {
		l.found(l.tally.Other, "touch: %v", err)
	}
	l.wrote("a mutation's Now", now)
	l.h.Settle() // it may be what has noticed a step
	for at, log := range l.logs {
		l.checkSlots(at, log)
	}
	if time.Since(l.calm) >= l.pace.check {
		l.checkLateness()
		l.checkRelative()
	}
}

// checkSlots reads the trigger's log on: each entry begins with the slot after those
// that are accounted for, and the trigger goes on after the last (G19, G20). Once the
// wall was set back what was skipped is yet to come, and what has fired does not come
// again (G15).
func (l *clockLife) checkSlots(at clockTrigger, log *clockLog) {
	crons := l.h.Scheduler(at.app).Crons()
	info, ok, err := crons.Get(at.name)
	slots, err2 := crons.Slots(at.name, 200)
	if err != nil || err2 != nil || !ok {
		l.found(l.tally.Lost, "trigger %s: known %v, %v, %v", at.name, ok, err, err2)
		return
	}
	if !info.Anchor.Equal(log.anchor) {
		// It was made by a clock that was ahead, and no slot of it is before now.
		if !l.wentBack || info.Anchor.After(log.anchor) {
			l.found(l.tally.Other, "trigger %s began at %v, and begins at %v", at.name, log.anchor, info.Anchor)
		}
		log.schedule, log.anchor = log.schedule.WithAnchor(info.Anchor), info.Anchor
	}
	slices.Reverse(slots)
	seen := len(log.rows)
	log.update(slots)
	for _, s := range log.rows[min(seen, len(log.rows)):] {
		l.seen[string(s.Outcome)]++
		if strings.Contains(s.Reason, "run late") || strings.Contains(s.Reason, "caught up by") {
			l.seen["caught up"]++
		}
		l.checkSlot(at, log, s)
	}
	next, why := log.account(l.wentBack)
	if why != "" {
		l.found(l.tally.Doubled, "G19: trigger %s: %s", at.name, why)
	}
	last := storage.Slot{}
	if len(log.rows) > 0 {
		last = log.rows[len(log.rows)-1]
	}
	switch {
	case log.paused != info.Paused, log.paused != info.Next.IsZero():
		l.found(l.tally.Other, "trigger %s: paused %v, next %v, want paused %v", at.name, info.Paused, info.Next, log.paused)
	case log.paused, info.Next.Equal(next):
	case last.Outcome == storage.SlotSkipped && last.From.Equal(info.Next):
		// It had been taken back before it came, and may come again.
	case l.wentBack && info.Next.Before(next) && !log.fired(info.Next):
		// What undid it is not in the log any more.
	default:
		l.found(l.tally.Lost, "G20: trigger %s: next is %v, want %v, after %+v", at.name, info.Next, next.UTC(), log.rows[max(0, len(log.rows)-10):])
	}
}

// update takes up what the log says now: of an entry that has been in it before, too.
func (log *clockLog) update(slots []storage.Slot) {
	sameFrom := func(a, b storage.Slot) bool { return a.From.Equal(b.From) }
	gone := max(0, len(log.rows)-200)
	for gone < len(log.rows) && !slices.EqualFunc(log.rows[gone:], slots[:min(len(slots), len(log.rows)-gone)], sameFrom) {
		gone++
	}
	log.rows = append(log.rows[:gone:gone], slots...)
}

// fired says whether the slot has fired.
func (log *clockLog) fired(slot time.Time) bool {
	return slices.ContainsFunc(log.rows, func(s storage.Slot) bool {
		return (s.Outcome == storage.SlotFired || s.Outcome == storage.SlotCanceled) && s.From.Equal(slot)
	})
}

// account returns the first slot that nothing is decided of, and why something is
// decided twice, or something before it is not decided at all; "" if it is all right.
func (log *clockLog) account(wentBack bool) (next time.Time, why string) {
	type span struct {
		from, to time.Time
		fired    bool
	}
	var spans []span // by from
	uncovered := func(slot time.Time) time.Time {
		for _, s := range spans {
			if !slot.Before(s.from) && !slot.After(s.to) {
				slot = log.schedule.Next(s.to)
			}
		}
		return slot
	}
	first := log.schedule.Next(log.anchor)
	for _, s := range log.rows {
		if s.Outcome == storage.SlotUndone || s.To.Before(first) {
			continue
		}
		is := span{s.From, s.To, s.Outcome != storage.SlotSkipped}
		for i, was := range spans {
			if was.from.Equal(is.from) && was.to.Equal(is.to) && was.fired && !is.fired {
				spans[i].fired = false // its tick has waited for long, and was taken back when its entry had left the log
				continue
			}
			again := !was.to.Before(is.from) && !is.to.Before(was.from)
			if again && (was.fired && !strings.Contains(s.Reason, "may have fired") || !wentBack) {
				return next, fmt.Sprintf("%v to %v was decided, and is again: %+v", was.from, was.to, s)
			}
		}
		if missing := uncovered(first); missing.Before(is.from) && !wentBack {
			return next, fmt.Sprintf("slot %v is missing before %+v", missing, s)
		}
		i, _ := slices.BinarySearchFunc(spans, is, func(a, b span) int { return a.from.Compare(b.from) })
		spans = slices.Insert(spans, i, is)
	}
	return uncovered(first), ""
}

// checkSlot looks at one entry of the log.
func (l *clockLife) checkSlot(at clockTrigger, log *clockLog, s storage.Slot) {
	n := 1
	if span := s.To.Sub(s.From); span < time.Hour {
		for slot := s.From; slot.Before(s.To); slot = log.schedule.Next(slot) {
			n++
		}
	} else {
		n = s.Count
	}
	switch {
	case n != s.Count,
		s.Outcome != storage.SlotFired && s.Reason == "",
		(s.Outcome == storage.SlotFired || s.Outcome == storage.SlotCanceled) && (!s.To.Equal(s.From) || s.Job == ""):
		l.found(l.tally.Other, "G19: trigger %s: %+v, which has %d slots", at.name, s, n)
	}
}

// checkLateness is called when the wall has stood by monotonic time for as long
// as the engine may take to notice a step: what is due has begun (G12). A tick
// may wait for the end of another one of its trigger, which runs or has begun and
// waits for its next attempt, and a job that was cut off by several crashes in a row
// for others like it.
func (l *clockLife) checkLateness() {
	now := l.h.Now()
	for _, app := range clockAll {
		begun := map[string]bool{} // triggers with a tick that has begun and not ended
		for _, job := range l.h.Jobs(app, storage.StateRunning) {
			begun[job.Trigger] = true
		}
		for _, job := range l.h.Jobs(app, storage.StatePending, storage.StateSuccess, storage.StateFailed, storage.StateCanceled) {
			for _, at := range []time.Time{job.EnqueuedAt, job.StartedAt, job.CompletedAt} {
				if at.Sub(now) > clockBridged {
					l.found(l.tally.Other, "G15: app %s: job %s has the instant %v: %+v", app, job.ID, at, job)
				}
			}
		}
		pending := l.h.Jobs(app, storage.StatePending)
		for _, job := range pending {
			if job.Attempts > 0 && (job.Due.After(now) || job.Interruptions >= 2) {
				begun[job.Trigger] = true
			}
		}
		for _, job := range pending {
			waits := job.Trigger != "" && begun[job.Trigger] || job.Interruptions >= 2
			if !waits && !job.Due.After(now) {
				l.found(l.tally.Other, "G12: app %s: job %s is %v late: %+v", app, job.ID, now.Sub(job.Due), job)
			}
		}
	}
}

// checkRelative looks at the jobs whose time has passed since they were made: whatever
// the wall did, they have begun (G15).
func (l *clockLife) checkRelative() {
	for name, made := range l.jobs {
		if made.due.passed.IsZero() || l.started(name) > 0 {
			continue
		}
		late := time.Since(made.due.passed) - (l.slack - made.slack) - l.pace.check - time.Minute
		if job := l.h.Job(made.app, made.id); late > 0 && !job.State.Ended() {
			l.found(l.tally.Lost, "G15: app %s: %s was to begin %v ago: %+v", made.app, name, late, job)
		}
	}
}

// finish lets all that was scheduled, and every slot that was begun, come to its
// end, and judges the life.
func (l *clockLife) finish() {
	for at := range l.logs {
		l.setPaused(at, true)
	}
	for range 100 {
		l.h.Drain()
		if l.check(); l.broken {
			return
		}
		last := l.pendingUntil()
		if last.IsZero() {
			l.judge()
			return
		}
		l.did("the end: the wall moves to %v", last)
		// While it is down: a step forward would have what is relative wait longer, if the
		// wall was stepped back before.
		l.forgets()
		l.h.Reconfigure(func(*actors.Options) {
			d := max(last.Sub(l.h.Now()), 0)
			l.goesAhead(d)
			l.h.StepClock(d)
		})
		l.calm = time.Now()
		l.h.Advance(l.pace.check)
	}
	l.found(l.tally.Lost, "jobs are pending without end")
}

// pendingUntil is when the last of the jobs is due that have not ended.
func (l *clockLife) pendingUntil() (last time.Time) {
	for _, app := range clockAll {
		for _, job := range l.h.Jobs(app, storage.StatePending, storage.StateRunning) {
			if job.Due.After(last) {
				last = job.Due
			}
		}
	}
	return last
}

// judge compares what was acknowledged, what is written down of every job and
// slot, and what took effect.
func (l *clockLife) judge() {
	effects := map[string]int{}
	jobs := map[storage.AppID]map[storage.JobID]storage.Job{}
	for _, app := range clockAll {
		list, err := clockEffects.Run(l.h.Caller(app), dispatch.None{})
		if err != nil {
			l.found(l.tally.Other, "effects: %v", err)
		}
		for _, e := range list {
			effects[clockKey(e.Name, e.Slot)]++
		}
		jobs[app] = map[storage.JobID]storage.Job{}
		for _, job := range l.h.Jobs(app) {
			jobs[app][job.ID] = job
			l.judgeJob(&job, effects)
		}
	}
	for name, acked := range l.jobs {
		job, ok := jobs[acked.app][acked.id]
		switch {
		case !ok:
			l.found(l.tally.Lost, "G1: app %s: %s was acknowledged and is gone", acked.app, name)
		case acked.canceled && (job.State != storage.StateCanceled || l.started(name) != acked.starts):
			l.found(l.tally.Other, "G9: %s was canceled, is %s, and began %d times, %d before", name, job.State, l.started(name), acked.starts)
		}
	}
	for at, log := range l.logs {
		kept, err := l.h.Scheduler(at.app).Crons().Slots(at.name, 200)
		if err != nil {
			l.found(l.tally.Other, "trigger %s: its log: %v", at.name, err)
		}
		for _, s := range log.rows {
			key := clockKey(at.name, s.From)
			_, ok := jobs[at.app][s.Job]
			switch {
			case s.Outcome == storage.SlotFired && !ok && effects[key] == 0 && !slices.ContainsFunc(kept, func(k storage.Slot) bool { return k.From.Equal(s.From) && k.Outcome == s.Outcome }):
				// A tick that has waited for so long may have been taken back since its entry left the log.
			case s.Outcome == storage.SlotFired && !ok:
				l.found(l.tally.Lost, "G19: trigger %s: %+v has no job", at.name, s)
			case s.Outcome != storage.SlotFired && effects[key] > 0 && !l.wentBack:
				// Else it may have fired before, or since.
				l.found(l.tally.Doubled, "G19: trigger %s: %+v took effect", at.name, s)
			}
		}
	}
	l.seen["retried"] += l.retried
}

// judgeJob looks at one job that has ended.
func (l *clockLife) judgeJob(job *storage.Job, effects map[string]int) {
	var task clockTask
	if err := json.Unmarshal(job.Args, &task); err != nil {
		l.found(l.tally.Other, "job %s: %v", job.ID, err)
	}
	key := clockKey(task.Name, job.Slot)
	n, starts, mutation := effects[key], l.started(key), job.Function == clockDo.Path()
	if slices.ContainsFunc(job.History, func(a storage.Attempt) bool { return a.Interrupted }) {
		l.seen["interrupted"]++
	}
	switch job.State {
	case storage.StateSuccess:
		switch {
		case n == 0:
			l.found(l.tally.Lost, "G3: %s succeeded without effect", key)
		case n > 1 && (mutation || job.AtMostOnce):
			l.found(l.tally.Doubled, "G3: %s took effect %d times", key, n)
		}
	case storage.StateCanceled:
		if mutation && n > 0 {
			l.found(l.tally.Doubled, "G9: %s was canceled and took effect", key)
		}
	case storage.StateFailed:
		switch {
		case !job.AtMostOnce:
			l.found(l.tally.Lost, "%s failed: %+v", key, job)
		case n > 1:
			l.found(l.tally.Doubled, "G4: %s took effect %d times", key, n)
		}
	default:
		l.found(l.tally.Lost, "%s is %s in the end", key, job.State)
	}
	if job.AtMostOnce && starts > 1 {
		l.found(l.tally.Doubled, "G4: %s began %d times", key, starts)
	}
	if !job.StartedAt.IsZero() && job.StartedAt.Before(job.EnqueuedAt) || job.CompletedAt.Before(job.StartedAt) {
		l.found(l.tally.Other, "G15: %s was enqueued at %v, started at %v, completed at %v", key, job.EnqueuedAt, job.StartedAt, job.CompletedAt)
	}
}
