package clock_test

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

// step does one thing, and lets time pass.
func (l *clockLife) step() {
	wait := clockOne(l.rnd, l.pace.waits)
	switch what := l.rnd.IntN(32); {
	case what < 6:
		for range 1 + l.rnd.IntN(3) {
			l.schedule()
		}
	case what < 13:
		l.move(clockOne(l.rnd, clockMoves), l.rnd.IntN(2) == 0)
	case what < 16:
		l.did("suspended")
		l.move(clockOne(l.rnd, clockMoves), true)
		wait = min(wait, time.Second)
	case what < 18:
		l.h.Kill()
		l.rebirth("crashed")
		l.h.Open()
		l.calm = time.Now()
	case what < 20:
		l.h.Reconfigure(func(*actors.Options) { l.rebirth("restarted") })
		l.calm = time.Now()
	case what < 22:
		l.crashOnTheWay(wait)
		wait = 0
	case what < 26:
		l.pause()
	case what < 28:
		l.cancel()
	case what < 29:
		wait = clockIdle + time.Second
	}
	l.did("waits %v", wait)
	l.h.Advance(wait)
}

// move moves the wall apart from monotonic time.
func (l *clockLife) move(d time.Duration, forward bool) {
	if !forward {
		d = -d
	}
	if to := l.offset + d; to < clockLeast*clockYear || to > clockMost*clockYear {
		d = -d
	}
	l.tally.Tried(1)
	l.h.Settle() // what is under way has read the wall as it was
	l.offset += d
	switch {
	case d > 0:
		l.goesAhead(d)
	case d >= -clockBridged:
		l.slack -= d // it is not noticed
	default:
		l.wentBack = true
	}
	l.did("the wall moves by %v", d)
	l.h.StepClock(d)
	l.calm = time.Now()
}

// rebirth is what happens to the clock while the engine is down.
func (l *clockLife) rebirth(how string) {
	l.did("%s", how)
	l.seen[how]++
	l.forgets()
	was := l.offset
	switch l.rnd.IntN(4) {
	case 0:
	case 1:
		l.move(clockOne(l.rnd, clockMoves), true)
	default:
		l.move(clockOne(l.rnd, clockMoves), false)
	}
	if l.offset < was {
		l.seen["went back over a restart"]++
	}
}

// forgets notes that all that is left of what the wall was like is what was written
// down, which may be ahead of it, or be some time ago.
func (l *clockLife) forgets() {
	l.slack += clockBridged
	l.goesAhead(clockBridged)
}

// crashOnTheWay moves the wall, lets time pass, and crashes at one of the
// commits that this brings.
func (l *clockLife) crashOnTheWay(wait time.Duration) {
	point, n := clockOne(l.rnd, []string{"commit", "committed"}), 1+l.rnd.IntN(8)
	d, forward := clockOne(l.rnd, clockMoves), l.rnd.IntN(3) > 0
	// Of an attempt that fails right now nobody knows whether its end is durable.
	l.ignoreRetries(true)
	crashed := l.h.CrashAt(point, n, func() {
		l.move(d, forward)
		l.h.Advance(wait)
	})
	l.forgets()
	l.ignoreRetries(false)
	l.did("%v at %s %d, while it waited %v", map[bool]string{true: "crashed", false: "did not crash"}[crashed], point, n, wait)
	if crashed {
		l.seen["crashed"]++
		l.calm = time.Now()
	}
}

// schedule makes up a job.
func (l *clockLife) schedule() {
	app, name := clockOne(l.rnd, clockApps), fmt.Sprintf("job-%d", len(l.jobs))
	task := clockTask{Name: name}
	opts := []dispatch.RunOption{dispatch.WithRetry(clockRetry)}
	var call dispatch.Call
	kind := clockOne(l.rnd, []string{"once", "flaky", "action", "at most once"})
	switch kind {
	case "once":
		call = clockDo.With(task)
	case "flaky":
		task.Fails = 1 + l.rnd.IntN(clockRetry.MaxAttempts-1)
		call = clockDo.With(task)
	case "action":
		task.Fails, task.Takes = l.rnd.IntN(2), clockOne(l.rnd, []time.Duration{0, 30 * time.Millisecond, 5 * time.Second, 90 * time.Second})
		call = clockAct.With(task)
	case "at most once":
		task.Takes = clockOne(l.rnd, []time.Duration{0, 30 * time.Millisecond, 5 * time.Second})
		call, opts = clockAct.With(task), []dispatch.RunOption{dispatch.AtMostOnce()}
	}
	wall, delay, s := l.h.Now(), clockOne(l.rnd, clockDelay), l.h.Scheduler(app)
	absolute := delay < 0 || l.rnd.IntN(2) == 0
	due := l.mayBegin(name, delay, !absolute)
	var id storage.JobID
	var err error
	if absolute {
		id, err = s.RunAt(wall.Add(delay), call, opts...)
	} else {
		id, err = s.RunAfter(delay, call, opts...)
	}
	l.did("app %s: %s, %s, in %v: %v", app, name, kind, delay, err)
	if err != nil {
		l.found(l.tally.Other, "schedule: %v", err)
		return
	}
	l.seen[kind]++
	l.jobs[name] = clockJob{app: app, id: id, due: due, slack: l.slack}
	l.wrote("EnqueuedAt of "+name, l.h.Job(app, id).EnqueuedAt)
}

// wrote looks at an instant that has just been written down: it is the wall's, or
// not far ahead of it after a step back (G15).
func (l *clockLife) wrote(what string, at time.Time) {
	if ahead := at.Sub(l.h.Now().Truncate(time.Millisecond)); ahead < 0 || ahead > 5*time.Minute {
		l.found(l.tally.Other, "G15: %s is %v, %v ahead of the wall", what, at, ahead)
	}
}

// cancel cancels some job, if it has not ended yet.
func (l *clockLife) cancel() {
	if len(l.jobs) == 0 {
		return
	}
	name := fmt.Sprintf("job-%d", l.rnd.IntN(len(l.jobs)))
	job := l.jobs[name]
	answer, err := l.h.Scheduler(job.app).Cancel(job.id)
	l.did("cancel of %s: %+v, %v", name, answer, err)
	if err != nil {
		l.found(l.tally.Other, "cancel of %s: %v", name, err)
	}
	if answer.Canceled {
		l.seen["canceled"]++
		job.canceled, job.starts = true, l.started(name)
		l.jobs[name] = job
	}
}

// pause pauses some trigger, or lets it go on.
func (l *clockLife) pause() {
	byName := func(a, b clockTrigger) int { return strings.Compare(a.name, b.name) }
	triggers := slices.SortedFunc(maps.Keys(l.logs), byName)
	at := clockOne(l.rnd, triggers)
	if i := slices.IndexFunc(triggers, func(at clockTrigger) bool { return l.logs[at].paused }); i >= 0 && l.rnd.IntN(3) > 0 {
		at = triggers[i]
	}
	l.setPaused(at, !l.logs[at].paused)
}

func (l *clockLife) setPaused(at clockTrigger, paused bool) {
	crons := l.h.Scheduler(at.app).Crons()
	err := crons.Resume(at.name)
	if paused {
		err = crons.Pause(at.name, "the proof")
	}
	l.logs[at].paused = paused
	if l.did("trigger %s is paused: %v", at.name, paused); err != nil {
		l.found(l.tally.Other, "pause of %s: %v", at.name, err)
	}
}
