package ticks

import (
	"bytes"
	"time"

	"carillon/storage"
)

// StartedAgain is why a tick of an earlier process is not run any more.
const StartedAgain = "the program was started again before the tick began"

// PausedFor is why a slot is skipped of a trigger that is paused for the reason.
func PausedFor(reason string) string {
	if reason == "" {
		return "paused"
	}
	return "paused: " + reason
}

// Predates says whether the tick is of an earlier trigger of the name. The clock
// does not tell: it may have been set back between the two.
func Predates(job *storage.Job, t *storage.Trigger) bool {
	if t.Seq == 0 {
		return job.EnqueuedAt.Before(t.CreatedAt) // the trigger was made by an older release
	}
	return job.Seq() < t.Seq
}

// Stale says why a tick that is not its trigger's next must not run any
// more, or "". A tick that has begun once is stale only if the trigger has come
// to mean something else.
func (c *Case) Stale() string {
	t, job := c.Trigger, c.Job
	begun := job.Attempts > 0
	switch {
	case !begun && len(job.History) > 0:
		return "" // it was dead, and a person has it run again
	case t == nil || Predates(job, t):
		return "the trigger was deleted"
	case job.Function != t.Function || !bytes.Equal(job.Args, t.Args) || !bytes.Equal(job.Claims, t.Claims):
		return "the trigger was changed"
	case t.AtStart:
		return c.staleStart()
	case c.Fault != nil:
		return "" // a fault of the trigger is none of the slots that it had
	case !c.Schedule.Next(job.Slot.Add(-time.Millisecond)).Equal(job.Slot):
		return "the trigger was changed"
	case begun:
		return ""
	case t.Paused:
		return PausedFor(t.PauseReason)
	}
	// A claim that was taken back, when the engine was closed, leaves a tick that
	// is not a late one. It can be missed like any other.
	if c.Wall.Sub(job.Due) > LateAfter && !job.CaughtUp {
		passed := t.Decided.After(job.Slot) || !t.Next.IsZero() && !t.Next.Add(c.Jitter).After(c.Wall)
		passed = passed && job.HeldAt.IsZero() // the slots after a held tick are skipped for it
		switch {
		case t.CatchUp.Mode == storage.CatchUpNone:
			return "missed: not caught up"
		case t.CatchUp.Mode == storage.CatchUpOne && passed:
			return "missed: caught up by a later tick"
		}
	}
	return ""
}

// staleStart is Stale for a tick of a trigger AtStart.
func (c *Case) staleStart() string {
	t, job := c.Trigger, c.Job
	switch {
	case job.ID == storage.TickID(t.Name, job.Slot):
		return "the trigger was changed"
	case job.Attempts > 0:
		return ""
	case t.Paused:
		return PausedFor(t.PauseReason)
	case job.ID != storage.StartID(t.Name, c.Epoch):
		return StartedAgain
	}
	return ""
}
