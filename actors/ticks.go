package actors

import (
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// lateTick is how late a tick may be before its slot counts as missed, and the
// catch-up policy says what becomes of it.
const lateTick = 5 * time.Second

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

func newPlanner(app storage.AppID, epoch uint64, runs *runs, log *slog.Logger) *planner {
	return &planner{
		app: app, epoch: epoch, runs: runs, log: log, schedules: map[string]*compiled{}, queued: map[string]storage.JobID{}, complaints: map[string]string{},
	}
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
// tick, and stores it. A schedule that has no slot left leaves it without, and
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
	return w.PutTrigger(t)
}

// insert stores the tick of a slot, which is late if it is one to be caught up.
func (p *planner) insert(w storage.JobWriter, t *storage.Trigger, slot time.Time, late bool, now time.Time) (storage.JobID, error) {
	job := jobOf(t)
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

// verdict decides a job that is about to be claimed.
type verdict int

const (
	runTick  verdict = iota
	holdTick         // look again at the instant, or when a run of its trigger has ended
	dropTick         // the transaction has taken it out of the bucket
)

// judge decides about a tick that is due, or nearly. running are the runs of its
// trigger. A tick that is not its trigger's next is a retry, or is caught up: it
// waits its turn unless ticks may overlap. After an error the caller drops what
// was written.
func (p *planner) judge(w storage.JobWriter, job *storage.Job, running []*run, wall, now time.Time) (verdict, time.Time, error) {
	if job.Slot.IsZero() {
		return runTick, time.Time{}, nil // run by hand
	}
	t, ok, err := w.System().Trigger(job.Trigger)
	if err != nil {
		return holdTick, time.Time{}, err
	}
	if !ok || job.ID != t.NextJob {
		if gone, err := p.dropStale(w, &t, ok, job, wall, now); gone || err != nil {
			return dropTick, time.Time{}, err
		}
		if !ok || t.Overlap == storage.OverlapAllow {
			return runTick, time.Time{}, nil
		}
		if len(running) > 0 || p.left(&t) > 0 {
			return holdTick, time.Time{}, nil
		}
		if job.Attempts == 0 {
			if retries, err := p.retries(w, &t, wall); len(retries) > 0 || err != nil {
				return holdTick, time.Time{}, err
			}
		}
		return runTick, time.Time{}, nil
	}
	schedule, err := p.schedule(&t)
	if err != nil {
		return dropTick, time.Time{}, p.fault(w, &t, err, now)
	}
	if t.HeldJob != "" {
		return dropTick, time.Time{}, p.skipHeld(w, &t, wall, now)
	}
	slot, waited := t.Next, p.waited(job)
	if i := spanOf(t.Spent, slot); i >= 0 && !t.AtStart {
		if wall.Before(job.Due) {
			return holdTick, job.Due, nil
		}
		if _, err := w.RemoveTick(job.ID); err != nil {
			return holdTick, time.Time{}, err
		}
		last := schedule.Last(slot.Add(-time.Millisecond), earlier(t.Spent[i].To, wall.Add(-p.jitter(&t))))
		if err := p.skip(w, &t, slot, last, mergedReason, now); err != nil {
			return holdTick, time.Time{}, err
		}
		return dropTick, time.Time{}, p.wind(w, &t, last, now)
	}
	if !waited && !t.AtStart && wall.Sub(job.Due) > lateTick {
		v, err := p.catchUp(w, &t, schedule, wall, now)
		if v == dropTick || err != nil {
			return v, time.Time{}, err
		}
		// The slot itself runs late: it is judged like any other.
	}
	if t.Overlap != storage.OverlapAllow {
		reason, byHand, err := p.overlap(w, &t, running, wall)
		switch {
		case err != nil:
			return holdTick, time.Time{}, err
		case reason == "":
		case t.Overlap == storage.OverlapQueue, t.Overlap == storage.OverlapSkip && byHand:
			p.waits(t.Name, job.ID)
			return holdTick, time.Time{}, nil
		case wall.Before(job.Due):
			return holdTick, job.Due, nil // it may have ended by then
		case t.Overlap == storage.OverlapReplace:
			leaving, err := p.replace(w, &t, slot, running, now)
			if err != nil {
				return holdTick, time.Time{}, err
			}
			if leaving > 0 {
				p.waits(t.Name, job.ID) // until they have returned, or are stuck
				return holdTick, time.Time{}, nil
			}
		default:
			if _, err := w.RemoveTick(job.ID); err != nil {
				return holdTick, time.Time{}, err
			}
			if err := p.decide(w, &t, slot, slot, storage.SlotSkipped, reason, "", now); err != nil {
				return holdTick, time.Time{}, err
			}
			return dropTick, time.Time{}, p.wind(w, &t, slot, now)
		}
	}
	p.waits(t.Name, "")
	if err := p.decide(w, &t, slot, slot, storage.SlotFired, "", job.ID, now); err != nil {
		return holdTick, time.Time{}, err
	}
	after := slot
	if last := schedule.Last(slot, wall.Add(-p.jitter(&t))); waited && !last.IsZero() {
		if err := p.skip(w, &t, schedule.Next(slot), last, "overlap: a tick was waiting already", now); err != nil {
			return holdTick, time.Time{}, err
		}
		after = last
	}
	return runTick, time.Time{}, p.wind(w, &t, after, now)
}

// catchUp decides the slots that were missed, the pending one being the first
// of them. runTick means that the pending tick runs.
func (p *planner) catchUp(w storage.JobWriter, t *storage.Trigger, schedule *cron.Schedule, wall, now time.Time) (verdict, error) {
	slot, jitter := t.Next, p.jitter(t)
	before := slot.Add(-time.Millisecond)
	last := schedule.Last(before, wall.Add(-jitter)) // of the slots that have come
	var late []time.Time                             // to be run, oldest first
	reason := ""
	switch t.CatchUp.Mode {
	case storage.CatchUpNone:
		reason = "missed: not caught up"
		last = schedule.Last(before, wall.Add(-jitter-lateTick-1)) // the others are not missed
	case storage.CatchUpAll:
		reason = "missed: beyond the catch-up limit"
		from := before
		if window := wall.Add(-t.CatchUp.Window - 1); t.CatchUp.Window > 0 && window.After(from) {
			from = window
		}
		late = latest(schedule, from, last, t.CatchUp.Limit)
	default:
		reason = fmt.Sprintf("missed: caught up by the tick of %s", last.UTC().Format(time.RFC3339))
		late = []time.Time{last}
	}
	if len(late) == 1 && late[0].Equal(slot) && last.Equal(slot) {
		return runTick, nil
	}
	if _, err := w.RemoveTick(t.NextJob); err != nil {
		return holdTick, err
	}
	skippedTo := last
	if len(late) > 0 {
		skippedTo = schedule.Last(before, late[0].Add(-time.Millisecond))
	}
	if !skippedTo.IsZero() {
		if err := p.skip(w, t, slot, skippedTo, reason, now); err != nil {
			return holdTick, err
		}
	}
	for _, at := range late {
		if spanOf(t.Spent, at) >= 0 {
			if err := p.skip(w, t, at, at, reason, now); err != nil { // it has fired, or may have
				return holdTick, err
			}
			continue
		}
		id, err := p.insert(w, t, at, true, now)
		outcome, reason := storage.SlotFired, "missed: run late"
		switch {
		case errors.Is(err, storage.ErrExists):
			outcome, reason = storage.SlotSkipped, takenReason
		case err != nil:
			return holdTick, err
		}
		if err := p.decide(w, t, at, at, outcome, reason, id, now); err != nil {
			return holdTick, err
		}
	}
	return dropTick, p.wind(w, t, last, now)
}

// latest returns up to limit of the latest slots in (from, to], oldest first. It
// walks back from the end, since the span may hold millions.
func latest(schedule *cron.Schedule, from, to time.Time, limit int) (slots []time.Time) {
	for len(slots) < limit {
		slot := schedule.Last(from, to)
		if slot.IsZero() {
			break
		}
		slots = append(slots, slot)
		to = slot.Add(-time.Millisecond)
	}
	slices.Reverse(slots)
	return slots
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
		if schedule, err := p.schedule(&t); err == nil {
			tick.Slot, tick.PreviousSuccess = schedule.In(tick.Slot), schedule.In(tick.PreviousSuccess)
		}
	}
	return tick
}
