package actors_test

import (
	"errors"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// beat is what a tick leaves behind: proof that it ran, for which slot, and when.
type beat struct {
	Trigger string    `json:"trigger"`
	Word    string    `json:"word"` // the argument: which definition it was
	Slot    time.Time `json:"slot"`
	At      time.Time `json:"at"` // what the wall clock showed
	Prev    time.Time `json:"prev"`
	Job     string    `json:"job"`
	Attempt int       `json:"attempt"`
}

var (
	cronBeats  = storage.NewTable[beat]("beats")
	cronBeat   = dispatch.InternalMutation[string, dispatch.None]("cron:beat")  // writes a beat
	cronFlaky  = dispatch.InternalMutation[string, dispatch.None]("cron:flaky") // asks the harness whether to fail, then writes a beat
	cronSlow   = dispatch.InternalAction[string, dispatch.None]("cron:slow")    // writes a beat, and takes the harness's time
	cronNote   = dispatch.InternalMutation[beat, dispatch.None]("cron:note")    // how an action writes a beat
	cronTouch  = dispatch.Mutation[dispatch.None, dispatch.None]("cron:touch")  // brings the app into being
	cronList   = dispatch.Query[dispatch.None, []beat]("cron:list")
	cronQuery  = dispatch.Query[dispatch.None, dispatch.None]("cron:query")      // cannot be scheduled
	cronInside = dispatch.InternalMutation[string, dispatch.None]("cron:inside") // runs the harness's function in a mutation
	cronDeep   = dispatch.InternalMutation[string, dispatch.None]("cron:deep")   // the same, for a nested mutation
	cronAction = dispatch.InternalAction[string, dispatch.None]("cron:inaction") // the same, in an action
	errFlaky   = errors.New("the handler was told to fail")
	cronNobody = dispatch.InternalMutation[string, dispatch.None]("cron:nowhere") // bound to nothing
)

// cronHarness is a harness with functions for triggers, and what they are to do.
type cronHarness struct {
	*actorstest.Harness
	t testing.TB

	mu       sync.Mutex
	takes    func(beat) time.Duration // of cron:slow; nil: no time
	fails    func(beat) error         // of cron:flaky; nil: never
	inside   func(*dispatch.MutationCtx) error
	deep     func(*dispatch.MutationCtx) error
	inaction func(*dispatch.ActionCtx) error
	canceled []beat // runs of cron:slow whose context was canceled
	running  int    // of cron:slow
	most     int
}

// ask calls a function of the harness's under its lock.
func (r *cronHarness) ask(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn()
}

func (r *cronHarness) beatOf(tick dispatch.Tick, job dispatch.JobRun, word string) beat {
	return beat{tick.Trigger, word, tick.Slot.UTC(), r.Now(), tick.PreviousSuccess.UTC(), string(job.ID), job.Attempt}
}

// allBeats are the beats that are there.
func allBeats(db storage.Reader) (beats []beat, err error) {
	for doc, err := range cronBeats.Query(db).All() {
		if err != nil {
			return nil, err
		}
		beats = append(beats, doc.Value)
	}
	return beats, nil
}

func (r *cronHarness) functions() *dispatch.Registry {
	reg := dispatch.NewRegistry()
	cronBeat.Handle(reg, func(ctx *dispatch.MutationCtx, word string) (dispatch.None, error) {
		_, err := cronBeats.Insert(ctx.DB, r.beatOf(ctx.Tick, ctx.Job, word))
		return dispatch.None{}, err
	})
	cronFlaky.Handle(reg, func(ctx *dispatch.MutationCtx, word string) (dispatch.None, error) {
		b := r.beatOf(ctx.Tick, ctx.Job, word)
		if _, err := cronBeats.Insert(ctx.DB, b); err != nil {
			return dispatch.None{}, err
		}
		var fails func(beat) error
		r.ask(func() { fails = r.fails })
		if fails != nil {
			return dispatch.None{}, fails(b)
		}
		return dispatch.None{}, nil
	})
	cronNote.Handle(reg, func(ctx *dispatch.MutationCtx, b beat) (dispatch.None, error) {
		_, err := cronBeats.Insert(ctx.DB, b)
		return dispatch.None{}, err
	})
	cronSlow.Handle(reg, func(ctx *dispatch.ActionCtx, word string) (dispatch.None, error) {
		b := r.beatOf(ctx.Tick, ctx.Job, word)
		if _, err := cronNote.Run(ctx, b); err != nil {
			return dispatch.None{}, err
		}
		var d time.Duration
		r.ask(func() {
			r.running++
			r.most = max(r.most, r.running)
			if r.takes != nil {
				d = r.takes(b)
			}
		})
		defer r.ask(func() { r.running-- })
		if d <= 0 {
			return dispatch.None{}, nil
		}
		select {
		case <-time.After(d):
			return dispatch.None{}, nil
		case <-ctx.Done():
			r.ask(func() { r.canceled = append(r.canceled, b) })
			return dispatch.None{}, ctx.Err()
		}
	})
	cronTouch.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
		_, err := cronBeats.Insert(ctx.DB, beat{Word: "touch", At: r.Now()})
		return dispatch.None{}, err
	})
	cronList.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) ([]beat, error) { return allBeats(ctx.DB) })
	cronQuery.Handle(reg, func(*dispatch.QueryCtx, dispatch.None) (dispatch.None, error) { return dispatch.None{}, nil })
	mutation := func(pick func() func(*dispatch.MutationCtx) error) func(*dispatch.MutationCtx, string) (dispatch.None, error) {
		return func(ctx *dispatch.MutationCtx, _ string) (dispatch.None, error) {
			var fn func(*dispatch.MutationCtx) error
			r.ask(func() { fn = pick() })
			return dispatch.None{}, fn(ctx)
		}
	}
	cronInside.Handle(reg, mutation(func() func(*dispatch.MutationCtx) error { return r.inside }))
	cronDeep.Handle(reg, mutation(func() func(*dispatch.MutationCtx) error { return r.deep }))
	cronAction.Handle(reg, func(ctx *dispatch.ActionCtx, _ string) (dispatch.None, error) {
		var fn func(*dispatch.ActionCtx) error
		r.ask(func() { fn = r.inaction })
		return dispatch.None{}, fn(ctx)
	})
	return reg
}

// withCrons runs test on a harness whose engine is opened with the declared triggers.
func withCrons(t *testing.T, opts actors.Options, test func(r *cronHarness)) {
	t.Helper()
	r := &cronHarness{t: t}
	opts.Functions = r.functions()
	if opts.ClockCheck == 0 {
		opts.ClockCheck = time.Second // the clock is stepped in many of these tests
	}
	// The functions ask the harness for the time, which has it from the harness.
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		r.Harness, r.t = h, h.TB()
		h.Settle()
		test(r)
	})
}

// declare restarts the engine as a deployment of a program with these triggers does.
func (r *cronHarness) declare(triggers ...dispatch.Trigger) {
	r.t.Helper()
	r.Reconfigure(func(o *actors.Options) { o.Functions, o.Crons = r.functions(), triggers })
}

func (r *cronHarness) crons(app storage.AppID) dispatch.Crons {
	r.t.Helper()
	return r.Scheduler(app).Crons()
}

// create makes a trigger at run time.
func (r *cronHarness) create(app storage.AppID, def dispatch.Trigger) {
	r.t.Helper()
	if err := r.crons(app).Create(def); err != nil {
		r.t.Fatalf("create %s: %v", def.Name, err)
	}
}

func (r *cronHarness) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// info returns the trigger; the test fails if there is none.
func (r *cronHarness) info(app storage.AppID, name string) dispatch.CronInfo {
	r.t.Helper()
	info, ok, err := r.crons(app).Get(name)
	if err != nil || !ok {
		r.t.Fatalf("app %s: trigger %s: known %v, %v", app, name, ok, err)
	}
	return info
}

// names are the names of the app's triggers.
func (r *cronHarness) names(app storage.AppID) (names []string) {
	r.t.Helper()
	infos, err := r.crons(app).List()
	r.must(err)
	for _, info := range infos {
		names = append(names, info.Name)
	}
	return names
}

// log is the trigger's slot log, the oldest first.
func (r *cronHarness) log(app storage.AppID, name string) []storage.Slot {
	r.t.Helper()
	slots, err := r.crons(app).Slots(name, 1000)
	r.must(err)
	slices.Reverse(slots)
	return slots
}

// outcomes is the log as "outcome at" words, with at the time since begin:
// "fired 5s", "skipped 10s-20s".
func (r *cronHarness) outcomes(app storage.AppID, name string, begin time.Time) (lines []string) {
	r.t.Helper()
	for _, s := range r.log(app, name) {
		line := string(s.Outcome) + " " + s.From.Sub(begin).String()
		if !s.To.Equal(s.From) {
			line += "-" + s.To.Sub(begin).String()
		}
		lines = append(lines, line)
	}
	return lines
}

func (r *cronHarness) wantOutcomes(app storage.AppID, name string, begin time.Time, want ...string) {
	r.t.Helper()
	if got := r.outcomes(app, name, begin); !slices.Equal(got, want) {
		r.t.Errorf("slots of %s:\n got %q\nwant %q", name, got, want)
		for _, s := range r.log(app, name) {
			r.t.Logf("%+v", s)
		}
	}
}

// beats are the beats of the trigger, in the order they were written.
func (r *cronHarness) beats(app storage.AppID, trigger string) (beats []beat) {
	r.t.Helper()
	all, err := cronList.Run(r.Caller(app), dispatch.None{})
	r.must(err)
	for _, b := range all {
		if b.Trigger == trigger {
			beats = append(beats, b)
		}
	}
	slices.SortStableFunc(beats, func(a, b beat) int { return a.At.Compare(b.At) })
	return beats
}

// ran is when the trigger's ticks ran, as the times of their slots since begin.
func (r *cronHarness) ran(app storage.AppID, trigger string, begin time.Time) (slots []string) {
	r.t.Helper()
	for _, b := range r.beats(app, trigger) {
		slots = append(slots, b.Slot.Sub(begin).String())
	}
	return slots
}

func (r *cronHarness) wantRan(app storage.AppID, trigger string, begin time.Time, want ...string) {
	r.t.Helper()
	if got := r.ran(app, trigger, begin); !slices.Equal(got, want) {
		r.t.Errorf("ticks of %s ran for %q, want %q", trigger, got, want)
	}
}

// cronCode is the error's code, "" if it is nil.
func cronCode(err error) dispatch.Code {
	if err == nil {
		return ""
	}
	return dispatch.AsError(err).Code
}

// cronCPU is the processor time the process has used: in a bubble there is no
// other time that shows how long something took.
func cronCPU(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
