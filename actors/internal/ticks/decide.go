package ticks

import (
	"fmt"
	"slices"
	"time"

	"carillon/cron"
	"carillon/storage"
)

// LateAfter is how late a tick may be before its slot counts as missed, and the catch-up
// policy says what becomes of it.
const LateAfter = 5 * time.Second

// MergedReason is why a slot is skipped that lies in a merged span.
const MergedReason = "the clock was set back, and the slot may have fired before"

// Case is all that a decision depends on.
type Case struct {
	Trigger  *storage.Trigger // nil: there is none any more
	Job      *storage.Job     // the tick
	Schedule *cron.Schedule   // the trigger's; nil: Fault says why
	Fault    error
	Jitter   time.Duration // by which its ticks are due later than their slots
	Epoch    uint64        // of the app's volume
	Wall     time.Time

	Unrunnable string    // why no program with these functions can run the tick, or ""
	SpentTo    time.Time // the end of the span of spent slots that the trigger's next lies in; zero: of none
	Waited     bool      // the tick has waited for the one before it

	// Of the trigger's other ticks:
	Ticks, ByHand int       // how many run, and how many runs by hand do
	Backfill      int       // how many of a backfill run
	Before        bool      // of a tick of a backfill: one of those waits for its retry, is held, or has left a handler
	Left          int       // handlers that were given up and have not returned
	Retry         time.Time // the first slot of those that wait for their retry; zero: none does
}

// Verb is what becomes of the tick.
type Verb int

// The verbs.
const (
	Run  Verb = iota // it is claimed
	Wait             // it stays, until Decision.Until or the end of a run of its trigger
	Hold             // it is held: no program with these functions can run it
	Drop             // it is taken out of the bucket
)

// Decision is what is done with a tick and its trigger.
type Decision struct {
	Verb  Verb
	Until time.Time // of Wait; zero: until a run of the trigger has ended

	// Stale is why a tick is dropped that is not its trigger's next one. Held says that
	// the reason is the trigger's held tick, which Skip is without.
	Stale string
	Held  bool

	// Below: of the trigger's next tick.
	Fault   error       // the trigger is faulty
	Queued  bool        // the tick is noted to wait for the one before it
	Replace bool        // what it overlaps ends first; while handlers of that are there, it waits
	Skip    []Span      // slots that are skipped: before Late, or after the tick's own
	Late    []time.Time // slots that run late, oldest first
	Lost    bool        // they were missed, and no tick stands for them
	Missed  string      // why one of those is skipped that has fired
	Note    string      // about the slot that fires
	Wind    time.Time   // the trigger goes on after it; zero: it stays as it is
}

// Span are the slots in [From, To], which are skipped for the reason.
type Span struct {
	From, To time.Time
	Reason   string
}

// Decide decides about a tick that is due, or nearly.
func Decide(c *Case) Decision {
	t := c.Trigger
	switch {
	case c.Job.Slot.IsZero():
		return Decision{Verb: Run} // it is run by hand
	case c.Job.Backfill != 0:
		return c.backfill()
	case t == nil || c.Job.ID != t.NextJob:
		return c.another()
	case c.Fault != nil:
		return Decision{Verb: Drop, Fault: c.Fault}
	case t.HeldJob != "":
		return c.besideHeld()
	case c.Unrunnable != "":
		return c.hold()
	case !c.SpentTo.IsZero() && !t.AtStart:
		return c.spent()
	}
	if !c.Waited && c.late() {
		if d := c.catchUp(); d.Verb == Drop {
			return d
		}
		// The slot itself runs late: it is judged like any other.
	}
	if t.Overlap != storage.OverlapAllow {
		return c.overlap()
	}
	return c.fire()
}

// another decides about a tick that is not its trigger's next one: a retry, or one that
// is caught up. It waits its turn unless ticks may overlap.
func (c *Case) another() Decision {
	t := c.Trigger
	reason := c.Stale()
	switch {
	case reason != "":
		return Decision{Verb: Drop, Stale: reason}
	case c.Unrunnable != "" && t != nil && t.HeldJob != "" && c.Job.Attempts == 0:
		return Decision{Verb: Drop, Held: true}
	case c.Unrunnable != "":
		return Decision{Verb: Hold}
	case t == nil || t.Overlap == storage.OverlapAllow:
		return Decision{Verb: Run}
	case c.Ticks+c.ByHand+c.Backfill+c.Left > 0, c.Job.Attempts == 0 && !c.Retry.IsZero():
		return Decision{Verb: Wait}
	}
	return Decision{Verb: Run}
}

// backfill decides about a tick of a backfill: they run one after another, and beside the
// trigger's other ticks only if those may overlap.
func (c *Case) backfill() Decision {
	t := c.Trigger
	if reason := c.Stale(); reason != "" {
		return Decision{Verb: Drop, Stale: reason}
	}
	switch {
	case c.Unrunnable != "":
		return Decision{Verb: Hold}
	case t == nil:
		return Decision{Verb: Run}
	case c.Backfill > 0, c.Before:
		return Decision{Verb: Wait}
	case t.Overlap == storage.OverlapAllow:
		return Decision{Verb: Run}
	case c.Ticks+c.ByHand+c.Left > 0, c.Job.Attempts == 0 && !c.Retry.IsZero():
		return Decision{Verb: Wait}
	}
	return Decision{Verb: Run}
}

// come is the last slot from the trigger's next on that has come, or zero.
func (c *Case) come() time.Time { return c.lastBefore(c.Wall.Add(-c.Jitter)) }

// lastBefore is the last slot from the trigger's next on up to the instant, or zero.
func (c *Case) lastBefore(until time.Time) time.Time {
	return c.Schedule.Last(c.Trigger.Next.Add(-time.Millisecond), until)
}

// late says whether the tick is so late that its slot was missed.
func (c *Case) late() bool {
	return !c.Trigger.AtStart && c.Wall.Sub(c.Job.Due) > LateAfter
}

// besideHeld skips the slots that have come while a tick of the trigger is held.
func (c *Case) besideHeld() Decision {
	slot, last := c.Trigger.Next, time.Time{}
	if !c.Trigger.AtStart {
		last = c.come()
	}
	if last.IsZero() {
		last = slot
	}
	return Decision{Verb: Drop, Held: true, Skip: []Span{{From: slot, To: last}}, Wind: last}
}

// hold decides about a tick that cannot run: it is held, unless its slot was missed.
func (c *Case) hold() Decision {
	if c.late() {
		if d := c.catchUp(); d.Verb == Drop {
			return d
		}
	}
	return Decision{Verb: Hold, Note: "held: " + c.Unrunnable, Wind: c.Trigger.Next}
}

// spent skips slots that may have fired before the clock was set back.
func (c *Case) spent() Decision {
	if c.Wall.Before(c.Job.Due) {
		return Decision{Verb: Wait, Until: c.Job.Due}
	}
	until := c.Wall.Add(-c.Jitter)
	if c.SpentTo.Before(until) {
		until = c.SpentTo
	}
	last := c.lastBefore(until)
	return Decision{Verb: Drop, Skip: []Span{{c.Trigger.Next, last, MergedReason}}, Wind: last}
}

// catchUp decides about the slots that were missed, of which the pending one is the
// first. Run means that this one itself runs late.
func (c *Case) catchUp() Decision {
	t := c.Trigger
	slot, last := t.Next, c.come()
	d := Decision{Verb: Drop}
	switch t.CatchUp.Mode {
	case storage.CatchUpNone:
		d.Missed = "missed: not caught up"
		last = c.lastBefore(c.Wall.Add(-c.Jitter - LateAfter - 1)) // the others are not missed
	case storage.CatchUpAll:
		d.Missed = "missed: beyond the catch-up limit"
		from := slot.Add(-time.Millisecond)
		if window := c.Wall.Add(-t.CatchUp.Window - 1); t.CatchUp.Window > 0 && window.After(from) {
			from = window
		}
		d.Late = latest(c.Schedule, from, last, t.CatchUp.Limit)
	default:
		if w := t.CatchUp.Window; w > 0 && last.Before(c.Wall.Add(-w)) {
			d.Missed = "missed: beyond the catch-up window"
			break
		}
		d.Missed = fmt.Sprintf("missed: caught up by the tick of %s", last.UTC().Format(time.RFC3339))
		d.Late = []time.Time{last}
	}
	if len(d.Late) == 1 && d.Late[0].Equal(slot) && last.Equal(slot) {
		return Decision{Verb: Run}
	}
	d.Wind = last
	skipTo := last
	if len(d.Late) > 0 {
		skipTo = c.lastBefore(d.Late[0].Add(-time.Millisecond))
	}
	if !skipTo.IsZero() {
		d.Skip = []Span{{slot, skipTo, d.Missed}}
		d.Lost = len(d.Late) == 0 || t.CatchUp.Mode == storage.CatchUpAll
	}
	return d
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

// overlap decides about the trigger's next tick beside those before it.
func (c *Case) overlap() Decision {
	t := c.Trigger
	reason, byHand := c.overlaps()
	switch {
	case reason == "":
		return c.fire()
	case t.Overlap == storage.OverlapQueue, t.Overlap == storage.OverlapSkip && byHand:
		return Decision{Verb: Wait, Queued: true}
	case c.Wall.Before(c.Job.Due):
		return Decision{Verb: Wait, Until: c.Job.Due} // it may have ended by then
	case t.Overlap == storage.OverlapReplace:
		d := c.fire()
		d.Replace = true
		return d
	}
	return Decision{Verb: Drop, Skip: []Span{{t.Next, t.Next, reason}}, Wind: t.Next}
}

// overlaps says why the trigger's next tick would overlap, or "". byHand is true if
// only with a run by hand, or of a backfill, which takes none of the slots to come.
func (c *Case) overlaps() (reason string, byHand bool) {
	switch {
	case c.Ticks > 0:
		return "overlap: the tick before it still runs", false
	case c.Left > 0:
		return "overlap: the handler of an earlier tick has not returned", false
	case !c.Retry.IsZero():
		return "overlap: retry of " + c.Retry.Format(time.RFC3339Nano), false
	case c.ByHand+c.Backfill > 0:
		return "overlap: a run by hand", true
	}
	return "", false
}

// fire has the tick run. Slots that have come while it waited are skipped.
func (c *Case) fire() Decision {
	slot := c.Trigger.Next
	d := Decision{Verb: Run, Wind: slot}
	if last := c.Schedule.Last(slot, c.Wall.Add(-c.Jitter)); c.Waited && !last.IsZero() {
		d.Skip = []Span{{c.Schedule.Next(slot), last, "overlap: a tick was waiting already"}}
		d.Wind = last
	}
	return d
}
