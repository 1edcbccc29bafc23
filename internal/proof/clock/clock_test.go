package clock_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/internal/proof"
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

// clockBridged is how far the wall may be stepped for it not to be noticed.
const clockBridged = 5 * time.Minute

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
	clockRetry = dispatch.RetryPolicy{MaxAttempts: 4, Base: 1300 * time.Millisecond}
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
	*clockObserver
	tally *proof.Tally
	seed  int
	rnd   *rand.Rand
	pace  clockPace
	seen  map[string]int // of everything worth a test, how often it came about

	offset   time.Duration // how far the wall was moved in all
	wentBack bool          // it was moved back once
	slack    time.Duration // how far what the engine knows of the steps may be off
	calm     time.Time     // when the wall was last moved or the engine opened, in the bubble's time
	jobs     map[string]clockJob
	logs     map[clockTrigger]*clockLog
	trace    []string
	broken   bool
}

// clockLog is all that was ever seen of a trigger's slot log.
type clockLog struct {
	schedule *cron.Schedule
	anchor   time.Time
	paused   bool
	rows     []storage.Slot // as they are now, or were when they left the log, in its order
}

// clockJob is a job whose schedule was acknowledged.
type clockJob struct {
	app      storage.AppID
	id       storage.JobID
	due      clockDue
	slack    time.Duration // clockLife.slack, when it was made
	canceled bool
	starts   int // when it was canceled
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
	first := proof.Seed(proof.Pick(0, 0, rand.IntN(1_000_000_000))) // the long form lives other lives each time
	lives := 0
	for began := time.Now(); lives < proof.Pick(1, 10, 20_000) && time.Since(began) < proof.For(time.Hour, time.Hour, 24*time.Hour); lives++ {
		seed := first + lives
		t.Run(fmt.Sprintf("life-%d", seed), func(t *testing.T) { clockLive(t, tally, seed, seen) })
	}
	t.Logf("%d lives: %v", lives, seen)
	for _, what := range []string{ // that a few lives are not sure to have
		"once", "flaky", "action", "at most once", "canceled", "slept", "crashed", "restarted", "went back over a restart",
		"fired", "skipped", "caught up", "interrupted", "retried",
	} {
		if seen[what] == 0 && lives >= 10 {
			tally.Other("it never came about that something was, or has, %s", what)
		}
	}
}

// clockLive lives one life.
func clockLive(t *testing.T, tally *proof.Tally, seed int, seen map[string]int) {
	l := &clockLife{
		clockObserver: newClockObserver(), tally: tally, seed: seed, seen: seen,
		rnd: rand.New(rand.NewPCG(uint64(seed), 11)), pace: clockPaces[seed%len(clockPaces)],
		jobs: map[string]clockJob{}, logs: map[clockTrigger]*clockLog{},
	}
	opts := actors.Options{
		Functions: l.functions(), Logger: slog.New(slog.DiscardHandler), ClockCheck: l.pace.check, Crons: l.declared(),
		MaxInterruptions: 1000, AppConcurrency: 1000, Concurrency: 10_000, Retention: 200 * clockYear, DeadRetention: -1,
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
			t.Errorf("seed %d:\n%s", seed, strings.Join(l.trace, "\n"))
		}
	})
}

// found notes a finding. The first one of a life ends it.
func (l *clockLife) found(note func(string, ...any), format string, args ...any) {
	l.broken = true
	note("seed %d, by the wall %v: %s", l.seed, l.h.Now(), fmt.Sprintf(format, args...))
}

func (l *clockLife) did(format string, args ...any) {
	l.trace = append(l.trace, fmt.Sprintf("%v ", l.h.Now().Format("2006-01-02T15:04:05.000"))+fmt.Sprintf(format, args...))
}

// clockOne picks one of the list.
func clockOne[T any](rnd *rand.Rand, list []T) T { return list[rnd.IntN(len(list))] }

// trigger makes up a trigger.
func (l *clockLife) trigger(name string, overlap storage.Overlap, catchUp storage.CatchUp) dispatch.Trigger {
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
	return dispatch.Trigger{
		Name: name, Schedule: cron.Expr(clockOne(l.rnd, l.pace.specs)), Zone: clockOne(l.rnd, clockZones), Call: call, Overlap: overlap, CatchUp: catchUp,
		Jitter: clockOne(l.rnd, []time.Duration{0, 0, 0, 1700 * time.Millisecond}), Retry: &clockRetry,
	}
}

func (l *clockLife) declared() (triggers []dispatch.Trigger) {
	for i := range 2 {
		d := l.trigger(fmt.Sprintf("declared-%d", i), clockOne(l.rnd, clockOverlaps), clockOne(l.rnd, clockCatchUps))
		d.Apps = []storage.AppID{clockDeclared}
		triggers = append(triggers, d)
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
				schedule: schedule.WithAnchor(info.Anchor), anchor: info.Anchor,
			}
		}
	}
}
