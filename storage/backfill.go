package storage

import (
	"strconv"
	"time"

	"carillon/proto"
)

// MaxBackfill bounds the slots of one backfill.
const MaxBackfill = 10_000

// Backfill is a request that a trigger be run for slots that have passed, and how far it
// has come.
type Backfill struct {
	Number   uint64    // tells it from others of the trigger
	From, To time.Time // its slots are those in [From, To)
	Again    bool      // slots that have run already run once more
	Reason   string
	AskedAt  time.Time

	Slots int       // in the span
	Begun int       // slots whose tick has begun; at the end the rest had run before
	Next  time.Time // where it goes on
	Job   JobID     // the tick that has not begun; "" if there is none
	Held  JobID     // the tick that is held; "" if none is

	Outcome BackfillOutcome // "" while it goes on
	EndedAt time.Time
}

// BackfillOutcome is how a backfill ended.
type BackfillOutcome string

// The outcomes of backfills.
const (
	BackfillDone     BackfillOutcome = "done"     // the tick of its last slot has begun
	BackfillCanceled BackfillOutcome = "canceled" // by a person
	BackfillChanged  BackfillOutcome = "changed"  // the trigger was given other slots
)

// Active says whether the backfill goes on.
func (b *Backfill) Active() bool { return b != nil && b.Outcome == "" }

// BackfillID is the id of the job of a slot that a backfill runs again. For engines.
func BackfillID(trigger string, slot time.Time, number uint64) JobID {
	return TickID(trigger, slot) + JobID(":"+strconv.FormatUint(number, 10))
}

// MoveOn has the backfill go on after the slot of its tick. For engines.
func (b *Backfill) MoveOn(job *Job) {
	if b == nil || b.Job != job.ID || b.Number != job.Backfill {
		return
	}
	b.Job = ""
	if !b.Next.Before(job.Slot) { // else it comes back to an earlier one
		b.Next = job.Slot.Add(time.Millisecond)
	}
}

func encodeBackfill(b *Backfill) *proto.Backfill {
	if b == nil {
		return nil
	}
	return &proto.Backfill{
		Number: b.Number, FromMs: msOf(b.From), ToMs: msOf(b.To), Slots: uint32(b.Slots), Again: b.Again, Reason: b.Reason,
		AskedAtMs: msOf(b.AskedAt), Begun: uint32(b.Begun), NextMs: msOf(b.Next), Job: string(b.Job), Held: string(b.Held),
		Outcome: string(b.Outcome), EndedAtMs: msOf(b.EndedAt),
	}
}

func decodeBackfill(p *proto.Backfill) *Backfill {
	if p == nil {
		return nil
	}
	return &Backfill{
		Number: p.Number, From: timeOf(p.FromMs), To: timeOf(p.ToMs), Slots: int(p.Slots), Again: p.Again, Reason: p.Reason,
		AskedAt: timeOf(p.AskedAtMs), Begun: int(p.Begun), Next: timeOf(p.NextMs), Job: JobID(p.Job), Held: JobID(p.Held),
		Outcome: BackfillOutcome(p.Outcome), EndedAt: timeOf(p.EndedAtMs),
	}
}
