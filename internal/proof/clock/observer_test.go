package clock_test

import (
	"fmt"
	"sync"
	"time"

	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// clockTask is what a job or a tick of the clock proof is to do.
type clockTask struct {
	Name  string        `json:"name"`
	Fails int           `json:"fails"` // attempts that fail
	Takes time.Duration `json:"takes"` // of an action
}

// clockEffect is what an attempt leaves behind, if it counts.
type clockEffect struct {
	Name string        `json:"name"`
	Slot time.Time     `json:"slot"` // zero: it is no tick
	Job  storage.JobID `json:"job"`
}

var (
	clockTable   = storage.NewTable[clockEffect]("clock")
	clockDo      = dispatch.InternalMutation[clockTask, dispatch.None]("clock:do")
	clockAct     = dispatch.InternalAction[clockTask, dispatch.None]("clock:act")
	clockMark    = dispatch.InternalMutation[clockEffect, dispatch.None]("clock:mark") // how an action leaves its effect
	clockTouch   = dispatch.Mutation[dispatch.None, time.Time]("clock:touch")
	clockEffects = dispatch.Query[dispatch.None, []clockEffect]("clock:effects")
)

// clockObserver sees every attempt begin. It stands outside of the engine, and
// remembers what crashes wipe out.
type clockObserver struct {
	h *actorstest.Harness

	mu      sync.Mutex
	may     map[string]clockDue // before which a job must not begin
	retry   map[string]clockDue // and its next attempt
	ahead   time.Duration       // how far the wall may have been moved forward in all, as the engine sees it
	starts  map[string]int
	blind   bool // to when an attempt is retried
	notes   []string
	retried int
}

func newClockObserver() *clockObserver {
	return &clockObserver{may: map[string]clockDue{}, retry: map[string]clockDue{}, starts: map[string]int{}}
}

// clockDue is an instant that nothing may come before: as the wall shows it or, if it
// counts from a reading of the clock, once the time since then has passed. Of that time
// each step forward has taken its part away, whatever became of the clock since.
type clockDue struct {
	wall   time.Time
	passed time.Time     // in the bubble's time; zero: it is absolute
	ahead  time.Duration // clockObserver.ahead, when it was read
}

// due is the instant so long from now.
func (w *clockObserver) due(d time.Duration, relative bool) clockDue {
	at := clockDue{wall: w.h.Now().Add(d), ahead: w.ahead}
	if relative {
		at.passed = time.Now().Add(d)
	}
	return at
}

// tooEarly is how long it is until then, if that has not come.
func (w *clockObserver) tooEarly(at clockDue) time.Duration {
	early := at.wall.Sub(w.h.Now())
	if !at.passed.IsZero() {
		early = min(early, time.Until(at.passed.Add(at.ahead-w.ahead)))
	}
	return early
}

// mayBegin says that a job must not begin before so long from now, and whether that
// counts from a reading of the clock.
func (w *clockObserver) mayBegin(name string, d time.Duration, relative bool) clockDue {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.may[name] = w.due(d, relative)
	return w.may[name]
}

// goesAhead notes that the wall was moved forward, or may seem so.
func (w *clockObserver) goesAhead(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += d
}

func (w *clockObserver) started(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.starts[name]
}

// ignoreRetries has the observer not look, or look again, at when an attempt is retried.
func (w *clockObserver) ignoreRetries(blind bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.blind = blind
	clear(w.retry)
}

// early are the attempts that began too early since it was last asked.
func (w *clockObserver) early() (notes []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	notes, w.notes = w.notes, nil
	return notes
}

// clockKey names a job, or a slot of a trigger.
func clockKey(name string, slot time.Time) string {
	if slot.IsZero() {
		return name
	}
	return name + " of " + slot.UTC().Format(time.RFC3339Nano)
}

// begins notes that an attempt begins.
func (w *clockObserver) begins(task clockTask, job dispatch.JobRun, tick dispatch.Tick) {
	wall, key := w.h.Now(), clockKey(task.Name, tick.Slot)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.starts[key]++
	early := max(w.tooEarly(w.may[key]), tick.Slot.Sub(wall), job.ScheduledFor.Sub(wall))
	if job.Attempt > 1 {
		early = w.tooEarly(w.retry[key]) // which may be before that: it waits by the wall as it is now
		w.retried++
	}
	if early > 0 {
		w.notes = append(w.notes, fmt.Sprintf("attempt %d of %s began %v early", job.Attempt, key, early))
	}
}

// fails says how the attempt ends, and when there may be another.
func (w *clockObserver) fails(task clockTask, job dispatch.JobRun, tick dispatch.Tick) error {
	if job.Attempt > task.Fails {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.blind {
		w.retry[clockKey(task.Name, tick.Slot)] = w.due(clockRetry.Base, true)
	}
	return dispatch.Errorf(dispatch.CodeUnavailable, "attempt %d is to fail", job.Attempt)
}

func (w *clockObserver) functions() *dispatch.Registry {
	reg := dispatch.NewRegistry()
	clockDo.Handle(reg, func(ctx *dispatch.MutationCtx, task clockTask) (dispatch.None, error) {
		w.begins(task, ctx.Job, ctx.Tick)
		if _, err := clockTable.Insert(ctx.DB, clockEffect{task.Name, ctx.Tick.Slot, ctx.Job.ID}); err != nil {
			return dispatch.None{}, err
		}
		return dispatch.None{}, w.fails(task, ctx.Job, ctx.Tick)
	})
	clockAct.Handle(reg, func(ctx *dispatch.ActionCtx, task clockTask) (dispatch.None, error) {
		w.begins(task, ctx.Job, ctx.Tick)
		select {
		case <-time.After(task.Takes):
		case <-ctx.Done():
			return dispatch.None{}, ctx.Err()
		}
		if err := w.fails(task, ctx.Job, ctx.Tick); err != nil {
			return dispatch.None{}, err
		}
		return clockMark.Run(ctx, clockEffect{task.Name, ctx.Tick.Slot, ctx.Job.ID})
	})
	clockMark.Handle(reg, func(ctx *dispatch.MutationCtx, e clockEffect) (dispatch.None, error) {
		_, err := clockTable.Insert(ctx.DB, e)
		return dispatch.None{}, err
	})
	clockTouch.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (time.Time, error) {
		_, err := clockTable.Insert(ctx.DB, clockEffect{Name: "touch"})
		return ctx.Now, err
	})
	clockEffects.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) ([]clockEffect, error) {
		effects := []clockEffect{}
		for doc, err := range clockTable.Query(ctx.DB).All() {
			if err != nil {
				return nil, err
			}
			effects = append(effects, doc.Value)
		}
		return effects, nil
	})
	return reg
}
