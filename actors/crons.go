package actors

import (
	"errors"
	"reflect"
	"time"

	"carillon/actors/internal/ticks"
	"carillon/dispatch"
	"carillon/storage"
)

// upcoming is how many next slots a trigger's listing has.
const upcoming = 3

// txCrons are the triggers of an app inside a transaction of it.
type txCrons struct {
	eng     *Engine
	planner *planner
	w       storage.JobWriter
	now     time.Time // to be written down
}

var _ dispatch.Crons = (*txCrons)(nil)

// newCrons makes the triggers of a mutation for its writer.
func (app *appState) newCrons(w storage.JobWriter) dispatch.Crons {
	return &txCrons{eng: app.eng, planner: app.planner, w: w, now: app.eng.clock.now()}
}

// must returns the trigger of that name, or not_found.
func (c *txCrons) must(name string) (storage.Trigger, error) {
	t, ok, err := c.w.System().Trigger(name)
	if err == nil && !ok {
		err = dispatch.Errorf(dispatch.CodeNotFound, "no trigger %q", name)
	}
	return t, asError(err)
}

// Create implements dispatch.Crons.
func (c *txCrons) Create(def dispatch.Trigger) error {
	plan, err := c.eng.planner().PlanTrigger(def)
	if err != nil {
		return err
	}
	if _, ok, err := c.w.System().Trigger(plan.Name); err != nil {
		return asError(err)
	} else if ok {
		return dispatch.Errorf(dispatch.CodeAlreadyExists, "there is a trigger %q", plan.Name)
	}
	return c.whole(func(w storage.JobWriter) error { return c.planner.create(w, plan, c.eng.clock.wall(), c.now) })
}

// whole makes a change to a trigger wholly or not at all, though the mutation
// may overlook its error and be committed.
func (c *txCrons) whole(change func(storage.JobWriter) error) error {
	c.planner.unlooked.Store(true)
	return asError(c.w.Nested(change))
}

// Update implements dispatch.Crons.
func (c *txCrons) Update(def dispatch.Trigger) error {
	plan, err := c.eng.planner().PlanTrigger(def)
	if err != nil {
		return err
	}
	t, err := c.own(plan.Name)
	if err != nil || t.Fault == "" && sameDefinition(&t, &plan) {
		return err
	}
	return c.whole(func(w storage.JobWriter) error { return c.planner.redefine(w, t, plan, c.eng.clock.wall(), c.now) })
}

// Put implements dispatch.Crons.
func (c *txCrons) Put(def dispatch.Trigger) (created bool, err error) {
	_, ok, err := c.w.System().Trigger(def.Name)
	switch {
	case err != nil:
		return false, asError(err)
	case ok:
		return false, c.Update(def)
	}
	err = c.Create(def)
	return err == nil, err
}

// own is must for a change that the program's declaration would undo.
func (c *txCrons) own(name string) (storage.Trigger, error) {
	t, err := c.must(name)
	if err == nil && t.Declared {
		err = dispatch.Errorf(dispatch.CodeFailedPrecondition, "trigger %q is declared by the program: it can be paused, but changed only there", name)
	}
	return t, err
}

// Delete implements dispatch.Crons.
func (c *txCrons) Delete(name string) error {
	t, err := c.own(name)
	if errors.Is(err, storage.ErrCorrupt) || errors.Is(err, storage.ErrFormat) {
		// Its pending tick is found to be stale when it is due.
		return c.whole(func(w storage.JobWriter) error {
			c.planner.forget(name)
			return w.DeleteTrigger(name)
		})
	}
	if err != nil {
		return err
	}
	return c.whole(func(w storage.JobWriter) error { return c.planner.remove(w, &t, c.eng.clock.wall(), c.now) })
}

// Pause implements dispatch.Crons.
func (c *txCrons) Pause(name, reason string) error {
	t, err := c.must(name)
	if err != nil {
		return err
	}
	return c.whole(func(w storage.JobWriter) error {
		t.Paused, t.PauseReason = true, reason
		if err := c.planner.withdraw(w, &t, ticks.PausedFor(reason), false, c.eng.clock.wall(), c.now); err != nil {
			return err
		}
		return w.PutTrigger(&t)
	})
}

// Resume implements dispatch.Crons.
func (c *txCrons) Resume(name string) error {
	t, err := c.must(name)
	if err != nil || !t.Paused && t.Fault == "" {
		return err
	}
	return c.whole(func(w storage.JobWriter) error { return c.planner.resume(w, t, c.eng.clock.wall(), c.now) })
}

// RunNow implements dispatch.Crons.
func (c *txCrons) RunNow(name string) (storage.JobID, error) {
	t, err := c.must(name)
	if err != nil {
		return "", err
	}
	job := c.planner.jobOf(&t)
	at := c.eng.clock.look()
	job.Due, job.Era, job.AskedEra, job.EnqueuedAt = at.wall.Truncate(time.Millisecond), at.era, at.era, c.now
	id, err := c.w.InsertJob(job)
	return id, asError(err)
}

// jobOf is what the trigger runs, without an instant. It waits where jobs of its function
// do, before most others, so that no backlog has a slot be missed.
func (p *planner) jobOf(t *storage.Trigger) storage.Job {
	job := storage.Job{
		Function: t.Function, Args: t.Args, Retry: t.Retry, Trigger: t.Name,
		AtMostOnce: t.AtMostOnce, Timeout: t.Timeout, Claims: t.Claims, Tags: t.Tags,
		Priority: storage.TickPriority,
	}
	if fn, ok := p.functions.Lookup(t.Function); ok {
		fn.Place(&job)
		job.Remote = fn.Remote
	}
	return job
}

// Get implements dispatch.Crons.
func (c *txCrons) Get(name string) (dispatch.CronInfo, bool, error) {
	return c.eng.cronInfo(c.planner.app, c.w.Writer(), name)
}

// List implements dispatch.Crons.
func (c *txCrons) List() ([]dispatch.CronInfo, error) {
	return c.eng.cronInfos(c.planner.app, c.w.Writer())
}

// Slots implements dispatch.Crons.
func (c *txCrons) Slots(name string, limit int) ([]storage.Slot, error) {
	return cronSlots(c.w.Writer(), name, limit)
}

func (e *Engine) cronInfo(app storage.AppID, r storage.Reader, name string) (dispatch.CronInfo, bool, error) {
	t, ok, err := r.System().Trigger(name)
	if err != nil || !ok {
		return dispatch.CronInfo{}, false, asError(err)
	}
	return e.describe(app, t), true, nil
}

func (e *Engine) cronInfos(app storage.AppID, r storage.Reader) ([]dispatch.CronInfo, error) {
	triggers, err := r.System().Triggers()
	if err != nil {
		return nil, asError(err)
	}
	infos := make([]dispatch.CronInfo, len(triggers))
	for i, t := range triggers {
		infos[i] = e.describe(app, t)
	}
	return infos, nil
}

func cronSlots(r storage.Reader, name string, limit int) ([]storage.Slot, error) {
	if _, ok, err := r.System().Trigger(name); err != nil {
		return nil, asError(err)
	} else if !ok {
		return nil, dispatch.Errorf(dispatch.CodeNotFound, "no trigger %q", name)
	}
	slots, err := r.System().Slots(name, limit)
	return slots, asError(err)
}

// describe works out what follows from the trigger.
func (e *Engine) describe(app storage.AppID, t storage.Trigger) dispatch.CronInfo {
	info := dispatch.CronInfo{Trigger: t, Policy: e.opts.Functions.RetryOf(t.Function, t.Retry), Overdue: overdue(&t, e.clock.wall())}
	info.As, _ = dispatch.DecodeIdentity(t.Claims) // the run that uses it tells what cannot be read
	schedule, err := dispatch.ScheduleOf(&t)
	if err != nil {
		info.Description = err.Error()
		return info
	}
	info.Description = schedule.Describe()
	if t.AtStart {
		info.Description = "when the program starts"
	}
	for at := t.Next; !at.IsZero() && len(info.Upcoming) < upcoming; at = schedule.Next(at) {
		info.Upcoming = append(info.Upcoming, dispatch.Upcoming{Slot: schedule.In(at), At: schedule.In(at.Add(jitterOf(app, &t)))})
	}
	return info
}

// copyState copies what of a trigger is no part of its definition.
func copyState(to, from *storage.Trigger) {
	to.Paused, to.PauseReason, to.Fault = from.Paused, from.PauseReason, from.Fault
	to.CreatedAt, to.Seq, to.Anchor = from.CreatedAt, from.Seq, from.Anchor
	to.Next, to.NextJob, to.Decided = from.Next, from.NextJob, from.Decided
	copyEnds(to, from)
	to.HeldJob, to.Started, to.Marks, to.Spent = from.HeldJob, from.Started, from.Marks, from.Spent
	to.Backfill = from.Backfill
}

// copyEnds copies how its ticks have ended, which storage writes down with their ends.
func copyEnds(to, from *storage.Trigger) {
	to.LastSlot, to.LastJob, to.LastState = from.LastSlot, from.LastJob, from.LastState
	to.LastEndedAt, to.LastError = from.LastEndedAt, from.LastError
	to.LastSuccess, to.LastSuccessSeq, to.LastSuccessAt = from.LastSuccess, from.LastSuccessSeq, from.LastSuccessAt
}

// definition is the trigger without its state.
func definition(t *storage.Trigger) storage.Trigger {
	d := *t
	copyState(&d, &storage.Trigger{})
	if len(d.Args) == 0 {
		d.Args = nil
	}
	return d
}

// sameDefinition says whether two triggers are defined alike.
func sameDefinition(a, b *storage.Trigger) bool {
	return reflect.DeepEqual(definition(a), definition(b))
}

// create stores a new trigger with its first tick.
func (p *planner) create(w storage.JobWriter, plan storage.Trigger, wall, now time.Time) error {
	p.watch([]storage.Trigger{plan})
	plan.CreatedAt = now
	plan.Anchor = wall.Truncate(time.Millisecond).UTC()
	if err := w.PutTrigger(&plan); err != nil {
		return err // there is no room for it, nor for a tick
	}
	return p.wind(w, &plan, wall, now)
}

// redefine gives the trigger a new definition. What the old one has pending is
// taken back; what runs, runs on.
func (p *planner) redefine(w storage.JobWriter, t, plan storage.Trigger, wall, now time.Time) error {
	p.watch([]storage.Trigger{plan})
	if err := p.withdraw(w, &t, "the trigger was changed", true, wall, now); err != nil {
		return err
	}
	if err := p.passGap(w, &t, wall, now); err != nil {
		return err
	}
	interval := false
	if schedule, err := p.schedule(&t); err == nil {
		_, interval = schedule.Interval()
	}
	if t.Spec != plan.Spec || t.Zone != plan.Zone && !interval {
		t.Anchor = wall.Truncate(time.Millisecond).UTC() // also: no slot of the new spec is before this
		blur(t.Spent)
		endBackfill(&t, storage.BackfillChanged, now)
	}
	copyState(&plan, &t)
	return p.wind(w, &plan, wall, now)
}

// passGap skips the slots up to now of a pause or a fault.
func (p *planner) passGap(w storage.JobWriter, t *storage.Trigger, wall, now time.Time) error {
	reason := ticks.PausedFor(t.PauseReason)
	if !t.Paused {
		if t.Fault == "" {
			return nil
		}
		reason = faultOf(t.Fault)
	}
	since := t.Anchor
	if t.Decided.After(since) {
		since = t.Decided
	}
	first := p.next(t, since)
	last := p.last(t, first, wall)
	if last.IsZero() {
		return nil
	}
	return p.skip(w, t, first, last, reason, now)
}

// resume lets the trigger tick again. The slots of the gap are skipped.
func (p *planner) resume(w storage.JobWriter, t storage.Trigger, wall, now time.Time) error {
	if err := p.passGap(w, &t, wall, now); err != nil {
		return err
	}
	t.Paused, t.PauseReason = false, ""
	return p.wind(w, &t, wall, now)
}

// remove deletes the trigger with its pending ticks.
func (p *planner) remove(w storage.JobWriter, t *storage.Trigger, wall, now time.Time) error {
	if err := p.withdraw(w, t, "the trigger was deleted", true, wall, now); err != nil {
		return err
	}
	p.forget(t.Name)
	return w.DeleteTrigger(t.Name)
}
