package proof_test

import (
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/actors/proof"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

const (
	clockYear  = 365 * 24 * time.Hour
	clockIdle  = 3 * time.Second // until an app sleeps
	clockSteps = 30              // of a life
)

// clockMoves are how far the wall is moved apart from monotonic time.
var clockMoves = []time.Duration{
	time.Millisecond, time.Second, time.Minute, time.Hour, 24 * time.Hour, clockYear, 10 * clockYear,
}

// The wall of a life begins in clockBegin years after the bubble's beginning,
// and is kept between clockLeast and clockMost years of that.
const (
	clockBegin = 30
	clockLeast = -12
	clockMost  = 40
)

// clockPace is how fast a life is lived: what its triggers' cadences are and how
// much time passes at once.
type clockPace struct {
	specs []string
	waits []time.Duration
	check time.Duration // Options.ClockCheck
}

var clockPaces = []clockPace{
	{
		specs: []string{"*/10 * * * * *", "*/20 * * * * *", "3,17,18 * * * * *", "@every 7s", "@every 1500ms", "* * * * *", "@hourly"},
		waits: []time.Duration{0, time.Millisecond, 50 * time.Millisecond, 950 * time.Millisecond, time.Second, 2500 * time.Millisecond, 11 * time.Second, 31 * time.Second},
		check: time.Second,
	},
	{
		specs: []string{"0 * * * *", "*/15 * * * *", "@every 1h30m", "30 2 * * *", "0 0 LW * *", "0 0 29 2 *"},
		waits: []time.Duration{0, time.Millisecond, time.Second, 61 * time.Second, 10 * time.Minute, 100 * time.Minute, 7 * time.Hour},
		check: time.Minute,
	},
}

var (
	clockZones    = []string{"", "Europe/Rome", "America/New_York", "Australia/Lord_Howe"}
	clockOverlaps = []storage.Overlap{storage.OverlapSkip, storage.OverlapQueue, storage.OverlapAllow, storage.OverlapReplace}
	clockCatchUps = []storage.CatchUp{
		{Mode: storage.CatchUpOne},
		{Mode: storage.CatchUpNone},
		{Mode: storage.CatchUpAll, Limit: 5},
		{Mode: storage.CatchUpAll, Limit: 20, Window: time.Minute},
	}
	clockRetry = dispatch.RetryPolicy{Limit: 3, Base: 1300 * time.Millisecond}
	clockDelay = []time.Duration{
		-time.Minute, 0, time.Millisecond, 99 * time.Millisecond, 100 * time.Millisecond, time.Second, 9 * time.Second,
		59 * time.Second, time.Minute, time.Hour, 25 * time.Hour, clockYear, 10 * clockYear,
	}
)

// clockTrigger names a trigger of an app.
type clockTrigger struct {
	app  storage.AppID
	name string
}

// clockLife is the life of one engine whose wall clock cannot be trusted.
type clockLife struct {
	*clockWitness
	tally *proof.Tally
	seed  int
	rnd   *rand.Rand
	pace  clockPace
	seen  map[string]int // of everything worth a test, how often it came about

	offset time.Duration // how far the wall was moved in all
	calm   time.Time     // when the wall was last moved or the engine opened, in the bubble's time
	now    time.Time     // the latest scheduler time that was written down
	jobs   map[string]clockJob
	logs   map[clockTrigger]*clockLog
	trail  []string
	broken bool
}

// clockLog is all that was ever seen of a trigger's slot log.
type clockLog struct {
	schedule *cron.Schedule
	paused   bool
	last     time.Time              // every slot up to here is accounted for
	lastFrom time.Time              // the entry that ends there
	slots    map[int64]storage.Slot // by From
}

// clockJob is a job whose schedule was acknowledged.
type clockJob struct {
	app      storage.AppID
	id       storage.JobID
	canceled bool
	starts   int // when it was cancelled
}

// clockApps have jobs, clockCrons has triggers made at run time, each with another
// way to overlap and to catch up, and clockDeclared has declared ones.
var clockApps = []storage.AppID{"a", "b", "c"}

const (
	clockCrons    = storage.AppID("crons")
	clockDeclared = storage.AppID("declared")
)

// G11, G12, G15, G19, G20: wall and monotonic time move apart, by a millisecond or
// ten years, at random moments of a life with jobs, triggers, crashes and
// restarts. Nothing is early, nothing is late for longer than Options.ClockCheck,
// every job runs exactly once, every slot is accounted for exactly once.
func TestG11_Clocks(t *testing.T) {
	tally := proof.NewTally(t, "clocks")
	seen := map[string]int{}
	lives := proof.Pick(3, 40, 20_000)
	for seed := range lives {
		t.Run(fmt.Sprintf("life-%d", seed), func(t *testing.T) { clockLive(t, tally, seed, seen) })
	}
	t.Logf("%d lives: %v", lives, seen)
	for _, what := range []string{ // that a few lives are not sure to have
		"once", "flaky", "action", "at most once", "canceled", "slept", "crashed", "restarted", "went back over a restart",
		"fired", "skipped", "caught up", "interrupted", "retried",
	} {
		if seen[what] == 0 && lives > 3 {
			tally.Other("it never came about that something was, or has, %s", what)
		}
	}
}

// clockLive lives one life.
func clockLive(t *testing.T, tally *proof.Tally, seed int, seen map[string]int) {
	l := &clockLife{
		clockWitness: newClockWitness(), tally: tally, seed: seed, seen: seen,
		rnd: rand.New(rand.NewPCG(uint64(seed), 11)), pace: clockPaces[seed%len(clockPaces)],
		jobs: map[string]clockJob{}, logs: map[clockTrigger]*clockLog{},
	}
	opts := actors.Options{
		Functions: l.functions(), Logger: slog.New(slog.DiscardHandler), ClockCheck: l.pace.check, Crons: l.declared(),
		MaxInterruptions: 1000, AppConcurrency: 1000, Concurrency: 10_000, Retention: 200 * clockYear,
		IdleAfter: clockIdle,
	}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		h.StepClock(clockBegin * clockYear)
		l.begin(h)
		for range clockSteps {
			l.step()
			if l.check(); l.broken {
				break
			}
		}
		if !l.broken {
			l.finish()
		}
		if l.broken {
			t.Errorf("seed %d:\n%s", seed, strings.Join(l.trail, "\n"))
		}
	})
}

// found notes a finding. The first one of a life ends it.
func (l *clockLife) found(note func(string, ...any), format string, args ...any) {
	l.broken = true
	note("seed %d, by the wall %v: %s", l.seed, l.h.Now(), fmt.Sprintf(format, args...))
}

func (l *clockLife) did(format string, args ...any) {
	l.trail = append(l.trail, fmt.Sprintf("%v ", l.h.Now().Format("2006-01-02T15:04:05.000"))+fmt.Sprintf(format, args...))
}

// clockOne picks one of the list.
func clockOne[T any](rnd *rand.Rand, list []T) T { return list[rnd.IntN(len(list))] }

// trigger makes up a trigger.
func (l *clockLife) trigger(name string, overlap storage.Overlap, catchUp storage.CatchUp) dispatch.Cron {
	task := clockTask{Name: name}
	call := clockDo.With(task)
	switch l.rnd.IntN(4) {
	case 0:
		task.Fails = 1
		call = clockDo.With(task)
	case 1:
		task.Takes = clockOne(l.rnd, []time.Duration{0, 30 * time.Millisecond, 4 * time.Second, 20 * time.Second})
		call = clockAct.With(task)
	}
	return dispatch.Cron{
		Name: name, Spec: clockOne(l.rnd, l.pace.specs), Zone: clockOne(l.rnd, clockZones), Call: call, Overlap: overlap, CatchUp: catchUp,
		Jitter: clockOne(l.rnd, []time.Duration{0, 0, 0, 1700 * time.Millisecond}), Retry: &clockRetry,
	}
}

func (l *clockLife) declared() (triggers []cron.Trigger) {
	for i := range 2 {
		d := l.trigger(fmt.Sprintf("declared-%d", i), clockOne(l.rnd, clockOverlaps), clockOne(l.rnd, clockCatchUps))
		triggers = append(triggers, cron.Trigger{
			Name: d.Name, Schedule: cron.Expr(d.Spec), Zone: d.Zone, Call: d.Call, Overlap: d.Overlap, CatchUp: d.CatchUp,
			Jitter: d.Jitter, Retry: d.Retry, Apps: []storage.AppID{clockDeclared},
		})
	}
	return triggers
}

// begin makes the triggers.
func (l *clockLife) begin(h *actorstest.Harness) {
	l.h, l.calm = h, time.Now()
	for i, n := range l.rnd.Perm(len(clockOverlaps) * len(clockCatchUps))[:5] {
		overlap, catchUp := clockOverlaps[n%len(clockOverlaps)], clockCatchUps[n/len(clockOverlaps)]
		def := l.trigger(fmt.Sprintf("%d-%s-%s", i, overlap, catchUp.Mode), overlap, catchUp)
		if err := h.Scheduler(clockCrons).Crons().Create(def); err != nil {
			l.found(l.tally.Other, "create %s: %v", def.Name, err)
		}
	}
	for _, app := range []storage.AppID{clockCrons, clockDeclared} {
		infos, err := h.Scheduler(app).Crons().List()
		if err != nil || len(infos) == 0 {
			l.found(l.tally.Other, "app %s has %d triggers, %v", app, len(infos), err)
		}
		for _, info := range infos {
			schedule, err := cron.Expr(info.Spec).Compile(info.Zone)
			if err != nil {
				l.found(l.tally.Other, "trigger %s: %v", info.Name, err)
				continue
			}
			l.logs[clockTrigger{app, info.Name}] = &clockLog{
				schedule: schedule.WithAnchor(info.Anchor), last: info.Anchor, slots: map[int64]storage.Slot{},
			}
		}
	}
}

// step does one thing, and lets time pass.
func (l *clockLife) step() {
	wait := clockOne(l.rnd, l.pace.waits)
	switch what := l.rnd.IntN(30); {
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
	case what < 24:
		l.pause()
	case what < 26:
		l.cancel()
	case what < 27:
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
	l.offset += d
	l.did("the wall moves by %v", d)
	l.h.StepClock(d)
	l.calm = time.Now()
}

// rebirth is what happens to the clock while the engine is down.
func (l *clockLife) rebirth(how string) {
	l.did("%s", how)
	l.seen[how]++
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
		task.Fails = 1 + l.rnd.IntN(clockRetry.Limit)
		call = clockDo.With(task)
	case "action":
		task.Fails, task.Takes = l.rnd.IntN(2), clockOne(l.rnd, []time.Duration{0, 30 * time.Millisecond, 5 * time.Second, 90 * time.Second})
		call = clockAct.With(task)
	case "at most once":
		task.Takes = clockOne(l.rnd, []time.Duration{0, 30 * time.Millisecond, 5 * time.Second})
		call, opts = clockAct.With(task), []dispatch.RunOption{dispatch.AtMostOnce()}
	}
	wall, delay, s := l.h.Now(), clockOne(l.rnd, clockDelay), l.h.Scheduler(app)
	l.mayBegin(name, wall.Add(delay))
	var id storage.JobID
	var err error
	if delay < 0 || l.rnd.IntN(2) == 0 {
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
	l.jobs[name] = clockJob{app: app, id: id}
	l.wrote("EnqueuedAt of "+name, l.h.Job(app, id).EnqueuedAt)
}

// wrote notes a scheduler time that is durable (G15).
func (l *clockLife) wrote(what string, at time.Time) {
	if at.Before(l.now) {
		l.found(l.tally.Other, "G15: %s is %v, %v before what was written down already", what, at, l.now.Sub(at))
	}
	l.now = at
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
	at := clockOne(l.rnd, slices.SortedFunc(maps.Keys(l.logs), byName))
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
