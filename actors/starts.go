package actors

import (
	"errors"
	"math"
	"time"

	"carillon/actors/internal/ticks"
	"carillon/storage"
)

// This file is about triggers AtStart: they have no spec, and tick once in each
// process that opens their volume. The process is known by the volume's epoch. It is
// in the tick's id, and the trigger keeps the latest one that it has ticked in, in the
// change set that makes the tick. So no start ticks twice, and a start of which nothing
// is durable has not been.

// unstarted says whether the trigger has not ticked in this process.
func (p *planner) unstarted(t *storage.Trigger) bool {
	return t.AtStart && t.Started != p.epoch && !t.Unreadable()
}

// start takes back what an earlier process has left of the trigger, and has it tick
// in this one.
func (p *planner) start(w storage.JobWriter, t *storage.Trigger, wall, now time.Time) error {
	if err := p.withdraw(w, t, ticks.StartedAgain, false, wall, now); err != nil {
		return err
	}
	return p.wind(w, t, wall, now)
}

// windStart is wind for a trigger AtStart. A start that finds it paused is skipped.
func (p *planner) windStart(w storage.JobWriter, t *storage.Trigger, wall, now time.Time) error {
	t.Fault = ""
	if t.Started == p.epoch {
		return w.PutTrigger(t)
	}
	t.Started = p.epoch
	at := wall.Truncate(time.Millisecond).UTC()
	slot, err := p.startSlot(w, t, at)
	if err != nil {
		return err
	}
	if t.Paused {
		if err := p.decide(w, t, slot, slot, storage.SlotSkipped, ticks.PausedFor(t.PauseReason), "", now); err != nil {
			return err
		}
		return w.PutTrigger(t)
	}
	job := p.jobOf(t)
	job.ID, job.Slot, job.ScheduledFor, job.Due = storage.StartID(t.Name, p.epoch), slot, at, at.Add(p.jitter(t))
	job.EnqueuedAt = now
	id, err := w.InsertTick(job)
	switch {
	case err == nil:
		t.Next, t.NextJob = slot, id
	case errors.Is(err, storage.ErrExists):
		err = p.decide(w, t, slot, slot, storage.SlotSkipped, takenReason, "", now)
	}
	if err != nil {
		return err
	}
	return w.PutTrigger(t)
}

// startSlot is the slot of a start at the instant: the first from there on that no start in
// the log has. The wall may have been set back to one since.
func (p *planner) startSlot(w storage.JobWriter, t *storage.Trigger, at time.Time) (time.Time, error) {
	if at.After(t.Decided) {
		return at, nil
	}
	slots, err := w.System().Slots(t.Name, math.MaxInt)
	taken := map[int64]bool{}
	for _, s := range slots {
		taken[s.From.UnixMilli()] = true
	}
	for taken[at.UnixMilli()] {
		at = at.Add(time.Millisecond)
	}
	return at, err
}
