package actors

import (
	"errors"
	"hash/fnv"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"carillon/actors/internal/ticks"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// maxCounted bounds how many slots of a skipped run are counted one by one.
const maxCounted = 10_000

// takenReason is why a slot is skipped whose id a tick of a deleted trigger has:
// the clock was stepped back since.
const takenReason = "an earlier trigger of this name has a tick of this slot"

// planner turns triggers into ticks: it knows what a spec means, which
// storage does not. It belongs to the holder of the app's turn.
//
// A trigger that is not paused has exactly one pending tick, that of its next
// slot: an ordinary job in the sorted bucket. When that tick is claimed, or its
// slot is skipped, the trigger is advanced and the next tick inserted in the
// same change set (G20), so that every slot is decided once (G19).
type planner struct {
	app   storage.AppID
	epoch uint64 // of its volume
	runs  *runs  // the app's
	log   *slog.Logger

	alerts *alerts // of missed slots

	functions *dispatch.Registry

	watched  atomic.Bool // one of the triggers can become overdue, or could
	unlooked atomic.Bool // when they do may have moved

	// A mutation that has lost its turn may still be in here, though all it
	// writes is refused: what is in memory has a lock, a leaf.
	mu        sync.Mutex
	schedules map[string]*compiled
	queued    map[string]storage.JobID // by trigger: the tick that waits for its predecessor to end

	complaints map[string]string // by trigger: the latest error that was logged
}

// compiled is a schedule and what it was compiled from.
type compiled struct {
	spec, zone string
	anchor     time.Time
	schedule   *cron.Schedule

	asked, next time.Time // the latest answer of nextOf: each tick asks twice
}

func newPlanner(app storage.AppID, epoch uint64, runs *runs, eng *Engine) *planner {
	return &planner{app: app, epoch: epoch, runs: runs, functions: eng.opts.Functions, log: eng.opts.Logger, alerts: eng.alerts}
}

// forget drops what is in memory of a trigger that is deleted.
func (p *planner) forget(trigger string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.schedules, trigger)
	delete(p.queued, trigger)
	delete(p.complaints, trigger)
}

// waits notes that the tick waits for its predecessor, or with "" that none does.
func (p *planner) waits(trigger string, id storage.JobID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id == "" {
		delete(p.queued, trigger) // a map that never held anything takes no room
	} else {
		if p.queued == nil {
			p.queued = map[string]storage.JobID{}
		}
		p.queued[trigger] = id
	}
}

// waited says whether the tick has waited for its predecessor.
func (p *planner) waited(job *storage.Job) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queued[job.Trigger] == job.ID
}

// schedule returns the trigger's schedule, compiled once.
func (p *planner) schedule(t *storage.Trigger) (*cron.Schedule, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k, ok := p.schedules[t.Name]; ok && k.spec == t.Spec && k.zone == t.Zone && k.anchor.Equal(t.Anchor) {
		return k.schedule, nil
	}
	schedule, err := dispatch.ScheduleOf(t)
	if err != nil {
		return nil, err
	}
	if p.schedules == nil {
		p.schedules = map[string]*compiled{}
	}
	p.schedules[t.Name] = &compiled{spec: t.Spec, zone: t.Zone, anchor: t.Anchor, schedule: schedule}
	return schedule, nil
}

// nextOf is the trigger's slot after another one, or nil if its schedule is not known.
func (p *planner) nextOf(t *storage.Trigger) func(time.Time) time.Time {
	schedule, err := p.schedule(t)
	if err != nil || schedule == nil {
		return nil
	}
	return func(after time.Time) time.Time {
		p.mu.Lock()
		k := p.schedules[t.Name]
		if k != nil && k.schedule == schedule && k.asked.Equal(after) {
			defer p.mu.Unlock()
			return k.next
		}
		p.mu.Unlock()
		next := schedule.Next(after)
		p.mu.Lock()
		defer p.mu.Unlock()
		if k != nil && k.schedule == schedule {
			k.asked, k.next = after, next
		}
		return next
	}
}

// jitter is how much later than their slots the ticks of the trigger are due:
// always the same for one app and trigger, and spread over the apps.
func (p *planner) jitter(t *storage.Trigger) time.Duration { return jitterOf(p.app, t) }

func jitterOf(app storage.AppID, t *storage.Trigger) time.Duration {
	if t.Jitter <= 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(app))
	h.Write([]byte{0})
	h.Write([]byte(t.Name))
	return time.Duration(h.Sum64() % uint64(t.Jitter.Milliseconds()+1) * uint64(time.Millisecond))
}

// wind gives the trigger the first slot after the instant that has no tick, with a
// tick, and its backfill one, and stores it. A schedule that has no slot left leaves it without, and
// so does a fault, which is stored with it.
func (p *planner) wind(w storage.JobWriter, t *storage.Trigger, after, now time.Time) error {
	t.Next, t.NextJob = time.Time{}, ""
	if t.AtStart {
		return p.windStart(w, t, after, now)
	}
	if t.Paused {
		return w.PutTrigger(t)
	}
	if _, err := p.schedule(t); err != nil {
		return p.fault(w, t, err, now)
	}
	t.Fault = ""
	next := p.nextOf(t)
	// A clock that was stepped back brings no slot twice, and none from before the
	// trigger, or its spec, was made. No job is due before 1970.
	for _, since := range []time.Time{t.Anchor, t.Decided, time.UnixMilli(0)} {
		if since.After(after) {
			after = since
		}
	}
	var from, to time.Time // the slots that are taken
	for {
		slot := next(after)
		if slot.IsZero() || slot.After(storage.MaxInstant.Add(-dispatch.MaxJitter)) {
			break
		}
		if i := spanOf(t.Spent, slot); i >= 0 && !t.Spent[i].Merged {
			after = t.Spent[i].To // these have fired
			continue
		}
		id, err := p.insert(w, t, slot, false, now)
		if err == nil {
			t.Next, t.NextJob = slot.UTC(), id
			break
		}
		if !errors.Is(err, storage.ErrExists) {
			return err
		}
		if from.IsZero() {
			from = slot
		}
		to, after = slot, slot
	}
	if !from.IsZero() {
		if err := p.skip(w, t, from, to, takenReason, now); err != nil {
			return err
		}
	}
	if err := p.feed(w, t, now); err != nil {
		return err
	}
	return w.PutTrigger(t)
}

// insert stores the tick of a slot, which is late if it is one to be caught up.
func (p *planner) insert(w storage.JobWriter, t *storage.Trigger, slot time.Time, late bool, now time.Time) (storage.JobID, error) {
	job := p.jobOf(t)
	job.Slot, job.ScheduledFor, job.Due = slot.UTC(), slot.UTC(), slot.Add(p.jitter(t))
	job.EnqueuedAt, job.CaughtUp = now, late
	return w.InsertTick(job)
}

// decide writes down how the slots [from, to] of the trigger ended.
func (p *planner) decide(w storage.JobWriter, t *storage.Trigger, from, to time.Time, outcome storage.SlotOutcome, reason string, job storage.JobID, now time.Time) error {
	mark(t, w.Era())
	if outcome != storage.SlotSkipped && !t.AtStart {
		t.Spent = spend(t.Spent, to, p.nextOf(t))
	}
	if to.After(t.Decided) {
		t.Decided = to.UTC()
	}
	n := 1
	if !to.Equal(from) {
		n = p.count(t, from, to)
	}
	return w.LogSlot(t.Name, storage.Slot{
		From: from.UTC(), To: to.UTC(), Count: n, Outcome: outcome, Reason: reason, Job: job, At: now,
	})
}

// count is how many slots lie in [from, to], 0 if there are too many to count.
func (p *planner) count(t *storage.Trigger, from, to time.Time) int {
	schedule, err := p.schedule(t)
	if err != nil {
		return 0
	}
	if every, ok := schedule.Interval(); ok {
		if n := to.Sub(from)/every + 1; n <= 1<<31-1 {
			return int(n)
		}
		return 0
	}
	n := 1
	for at := schedule.Next(from); !at.IsZero() && !at.After(to); at = schedule.Next(at) {
		if n++; n > maxCounted {
			return 0
		}
	}
	return n
}

// judge decides about a tick that is due, or nearly, and applies the decision. running
// are the runs of its trigger. unrunnable is why no program with these functions can run
// it, or "". After an error the caller drops what was written.
func (p *planner) judge(w storage.JobWriter, job *storage.Job, running []*run, unrunnable string, wall, now time.Time) (ticks.Decision, error) {
	c, err := p.look(w, job, running, unrunnable, wall)
	if err != nil {
		return ticks.Decision{Verb: ticks.Wait}, err
	}
	d := ticks.Decide(c)
	if d.Replace {
		leaving, err := p.replace(w, c.Trigger, c.Trigger.Next, running, now)
		if err != nil {
			return d, err
		}
		if leaving > 0 {
			d = ticks.Decision{Verb: ticks.Wait, Queued: true} // until they have returned, or are stuck
		}
	}
	return d, p.apply(w, c, &d, now)
}

// look gathers all that a decision about the tick depends on.
func (p *planner) look(w storage.JobWriter, job *storage.Job, running []*run, unrunnable string, wall time.Time) (*ticks.Case, error) {
	if job.Slot.IsZero() {
		return &ticks.Case{Job: job}, nil // it is run by hand
	}
	t, ok, err := w.System().Trigger(job.Trigger)
	if err != nil {
		return nil, err
	}
	c := p.caseOf(&t, ok, job, wall)
	if c.Unrunnable = unrunnable; !ok {
		return c, nil
	}
	c.Waited, c.Left = p.waited(job), p.left(&t)
	for _, r := range running {
		switch {
		case r.job.Slot.IsZero():
			c.ByHand++
		case r.job.Backfill != 0:
			c.Backfill++
		default:
			c.Ticks++
		}
	}
	if job.Backfill != 0 && job.Attempts == 0 {
		if c.Before, err = p.unfinished(w, &t, job, wall); err != nil {
			return nil, err
		}
	}
	if i := spanOf(t.Spent, t.Next); i >= 0 {
		c.SpentTo = t.Spent[i].To
	}
	if unrunnable == "" && t.Overlap != storage.OverlapAllow && c.Ticks+c.Left == 0 {
		c.Retry, err = p.retry(w, &t, wall)
	}
	return c, err
}

// caseOf is what the trigger, if there is one, and the wall say about the tick.
func (p *planner) caseOf(t *storage.Trigger, ok bool, job *storage.Job, wall time.Time) *ticks.Case {
	c := &ticks.Case{Job: job, Epoch: p.epoch, Wall: wall}
	if ok {
		c.Trigger, c.Jitter = t, p.jitter(t)
		c.Schedule, c.Fault = p.schedule(t)
	}
	return c
}

// apply does what was decided about a tick and its trigger.
func (p *planner) apply(w storage.JobWriter, c *ticks.Case, d *ticks.Decision, now time.Time) error {
	t, job := c.Trigger, c.Job
	if t == nil || job.ID != t.NextJob {
		return p.applyToAnother(w, c, d, now)
	}
	if d.Fault != nil {
		return p.fault(w, t, d.Fault, now)
	}
	var err error
	switch d.Verb {
	case ticks.Wait:
		if d.Queued {
			p.waits(t.Name, job.ID)
		}
		return nil
	case ticks.Drop:
		_, err = w.RemoveTick(job.ID)
	case ticks.Hold:
		_, err = w.HoldJob(job.ID, c.Unrunnable)
		t.HeldJob = job.ID
	}
	if err == nil && d.Verb != ticks.Drop {
		p.waits(t.Name, "")
		err = p.decide(w, t, t.Next, t.Next, storage.SlotFired, d.Note, job.ID, now)
	}
	for _, s := range d.Skip {
		if d.Held {
			s.Reason = heldReason(w, t)
		}
		if err == nil {
			err = p.skip(w, t, s.From, s.To, s.Reason, now)
		}
		if err == nil && d.Lost {
			err = p.alerts.schedule(w, dispatch.Alert{
				Kind: dispatch.AlertMissed, App: p.app, At: now, Function: t.Function, Message: s.Reason, Trigger: t.Name, From: s.From.UTC(), To: s.To.UTC(),
			})
		}
	}
	for _, at := range d.Late {
		if err == nil {
			err = p.runLate(w, t, at, d.Missed, now)
		}
	}
	if err != nil {
		return err
	}
	return p.wind(w, t, d.Wind, now)
}

// applyToAnother is apply for a tick that is not its trigger's next one. One that is
// dropped leaves no trace but that in the log if it never began, and is canceled if it
// did.
func (p *planner) applyToAnother(w storage.JobWriter, c *ticks.Case, d *ticks.Decision, now time.Time) error {
	t, job := c.Trigger, c.Job
	switch {
	case d.Verb == ticks.Run && job.Backfill != 0 && t != nil:
		return p.backfilled(w, t, job, storage.SlotFired, now)
	case d.Verb == ticks.Hold:
		_, err := w.HoldJob(job.ID, c.Unrunnable)
		return err
	case d.Verb != ticks.Drop:
		return nil
	case job.Attempts > 0:
		_, err := w.CancelJob(job.ID)
		return err
	}
	if _, err := w.RemoveTick(job.ID); err != nil || t == nil || ticks.Predates(job, t) {
		return err
	}
	reason := d.Stale
	if d.Held {
		reason = heldReason(w, t)
	}
	if job.Backfill != 0 {
		return p.beginAgain(w, t, job, storage.SlotSkipped, reason, now)
	}
	return p.relog(w, t, job, storage.SlotSkipped, reason, now)
}

// runLate has the tick of a slot that was missed run. If the slot has fired, or may have,
// it is skipped for the reason.
func (p *planner) runLate(w storage.JobWriter, t *storage.Trigger, at time.Time, missed string, now time.Time) error {
	if spanOf(t.Spent, at) >= 0 {
		return p.skip(w, t, at, at, missed, now)
	}
	id, err := p.insert(w, t, at, true, now)
	outcome, reason := storage.SlotFired, "missed: run late"
	switch {
	case errors.Is(err, storage.ErrExists):
		outcome, reason = storage.SlotSkipped, takenReason
	case err != nil:
		return err
	}
	return p.decide(w, t, at, at, outcome, reason, id, now)
}

// tickOf is what a function that runs for the job sees as ctx.Tick. Its instants have
// the trigger's zone, or UTC if there is no trigger any more.
func (p *planner) tickOf(tx *storage.Tx, job *storage.Job) dispatch.Tick {
	if job.Trigger == "" {
		return dispatch.Tick{}
	}
	tick := dispatch.Tick{Trigger: job.Trigger, Slot: job.Slot}
	if t, ok, err := tx.JobWriter().System().Trigger(job.Trigger); err == nil && ok {
		tick.PreviousSuccess = t.LastSuccess
		if job.Backfill != 0 {
			tick.PreviousSuccess = p.slotBefore(&t, job.Slot)
		}
		if schedule, err := p.schedule(&t); err == nil {
			tick.Slot, tick.PreviousSuccess = schedule.In(tick.Slot), schedule.In(tick.PreviousSuccess)
		}
	}
	return tick
}
