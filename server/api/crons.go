package api

import (
	"encoding/json"
	"time"
)

// Cron is a trigger, and how it does.
type Cron struct {
	Name     string          `json:"name"` // 1 to 64 of A-Z, a-z, 0-9, "_", "-" and "."
	Spec     string          `json:"spec"`
	Zone     string          `json:"zone"`    // an IANA name
	AtStart  bool            `json:"atStart"` // it has no spec, and ticks when the program starts
	Function string          `json:"function"`
	Args     json.RawMessage `json:"args,omitempty"`
	Overlap  Overlap         `json:"overlap"`
	CatchUp  CatchUp         `json:"catchUp"`
	JitterMs int64           `json:"jitterMs"`
	Retry    Retry           `json:"retry"`

	AtMostOnce      bool      `json:"atMostOnce"`
	TimeoutMs       int64     `json:"timeoutMs"`       // 0: the function's own
	As              *Identity `json:"as"`              // who its ticks run as; null is anonymous
	SuccessWithinMs int64     `json:"successWithinMs"` // how long without a success is too long; 0: nothing is
	Tags            []string  `json:"tags,omitempty"`  // of its ticks

	Declared    bool       `json:"declared"` // by the program, which alone can change or delete it
	Paused      bool       `json:"paused"`
	PauseReason string     `json:"pauseReason"`
	Fault       string     `json:"fault"`       // why it cannot tick; "" if it can
	HeldJob     string     `json:"heldJob"`     // the tick that this program cannot run; "" if it can
	Description string     `json:"description"` // the spec in English
	CreatedAt   time.Time  `json:"createdAt"`
	Next        []CronNext `json:"next"`        // the next three ticks; none while it is paused or faulty
	Last        *CronLast  `json:"last"`        // the last tick that ended; null if none has
	LastSuccess *time.Time `json:"lastSuccess"` // the slot
	// LastSuccessAt is when a tick, or a run by hand, last ended as a success, and
	// Overdue whether that is too long ago.
	LastSuccessAt *time.Time `json:"lastSuccessAt"`
	Overdue       bool       `json:"overdue"`

	Backfill *CronBackfill `json:"backfill,omitempty"` // the latest that was asked for
	Slots    []CronSlot    `json:"slots,omitempty"`    // the latest first; in a list if it was asked for, of the first 100
	Hidden   []string      `json:"hidden,omitempty"`
}

// Overlap says what becomes of a tick that comes due while one of its trigger still runs, or waits
// for its retry.
type Overlap string

// The overlap policies. None is skip.
const (
	OverlapSkip    Overlap = "skip"    // the slot is skipped
	OverlapQueue   Overlap = "queue"   // it waits for the other's end; slots that come meanwhile are skipped
	OverlapAllow   Overlap = "allow"   // both run
	OverlapReplace Overlap = "replace" // the other is canceled, for good
)

// Enum returns all overlap policies.
func (Overlap) Enum() []string {
	return enum(OverlapSkip, OverlapQueue, OverlapAllow, OverlapReplace)
}

// CatchUp says what becomes of slots that passed while nothing could run.
type CatchUp struct {
	Mode     CatchUpMode `json:"mode"`
	Limit    int         `json:"limit,omitempty"`    // of all, 1 to 1,000; 0: 100
	WindowMs int64       `json:"windowMs,omitempty"` // how old such a slot may be; 0: any age
}

// CatchUpMode says which of the slots that were missed are run late.
type CatchUpMode string

// The catch-up modes. None is one.
const (
	CatchUpOne  CatchUpMode = "one"  // the latest one, if it lies within the window
	CatchUpNone CatchUpMode = "none" // none
	CatchUpAll  CatchUpMode = "all"  // the latest of those within the window, up to the limit
)

// Enum returns all catch-up modes.
func (CatchUpMode) Enum() []string { return enum(CatchUpOne, CatchUpNone, CatchUpAll) }

// CronBackfill is a request that a trigger be run for slots that have passed, and how far it has
// come.
type CronBackfill struct {
	From    time.Time       `json:"from"`            // its slots are those from here
	To      time.Time       `json:"to"`              // until before here
	Again   bool            `json:"again,omitempty"` // slots that have run already run once more
	Reason  string          `json:"reason,omitempty"`
	AskedAt time.Time       `json:"askedAt"`
	Slots   int             `json:"slots"` // in the span, up to 10,000
	Begun   int             `json:"begun"` // slots whose tick has begun; at the end the rest had run before
	Outcome BackfillOutcome `json:"outcome"`
	EndedAt *time.Time      `json:"endedAt"`
}

// BackfillRequest asks that a trigger be run for slots that have passed, up to 10,000.
type BackfillRequest struct {
	From   time.Time `json:"from"`   // its slots are those from here, not before 1970,
	To     time.Time `json:"to"`     // until before here, which is not after now
	Again  bool      `json:"again"`  // slots that have run already run once more
	Reason string    `json:"reason"` // up to 1,024 bytes
}

// BackfillOutcome is how a backfill ended.
type BackfillOutcome string

// The outcomes of backfills.
const (
	BackfillGoing    BackfillOutcome = ""         // it goes on
	BackfillDone     BackfillOutcome = "done"     // the tick of its last slot has begun
	BackfillCanceled BackfillOutcome = "canceled" // by a person
	BackfillChanged  BackfillOutcome = "changed"  // the trigger was given other slots
)

// Enum returns all outcomes of backfills.
func (BackfillOutcome) Enum() []string {
	return enum(BackfillGoing, BackfillDone, BackfillCanceled, BackfillChanged)
}

// CronNext is a tick that is to come.
type CronNext struct {
	Slot time.Time `json:"slot"`
	At   time.Time `json:"at"` // when it runs: the slot, and its delay
}

// CronPreview is what a spec and a zone say, before a trigger has them.
type CronPreview struct {
	Spec        string        `json:"spec"`        // as a trigger would have it
	Zone        string        `json:"zone"`        // an IANA name
	Description string        `json:"description"` // the spec in English
	Next        []PreviewSlot `json:"next"`        // the first five slots of a trigger that is made now
}

// PreviewSlot is a slot that a trigger would have.
type PreviewSlot struct {
	Slot  time.Time `json:"slot"`
	Local string    `json:"local"` // as a clock of the zone shows it, such as "Mon 2026-11-30 09:00:00 CET"
}

// CronLast is how the last tick of a trigger that has ended did.
type CronLast struct {
	Slot    *time.Time `json:"slot"` // null of a run by hand
	JobID   string     `json:"jobId"`
	State   State      `json:"state"`
	EndedAt *time.Time `json:"endedAt"`
	Error   *JobError  `json:"error"`
}

// CronSlot is how one slot of a trigger, or a run of slots with one reason, ended.
type CronSlot struct {
	From    time.Time   `json:"from"`
	To      time.Time   `json:"to"`    // the last slot of the run; from if it is one
	Count   int         `json:"count"` // 0: too many to count
	Outcome SlotOutcome `json:"outcome"`
	Reason  string      `json:"reason,omitempty"`
	JobID   string      `json:"jobId,omitempty"` // of a fired or canceled slot: its state is what came of it
	State   State       `json:"state,omitempty"` // of that job, if it is kept
	At      time.Time   `json:"at"`              // when that was decided
}

// SlotOutcome is how a slot of a trigger ended.
type SlotOutcome string

// The outcomes of slots.
const (
	SlotFired    SlotOutcome = "fired"    // its tick was begun; how that ended is the state of its job
	SlotSkipped  SlotOutcome = "skipped"  // see the reason
	SlotCanceled SlotOutcome = "canceled" // its tick was canceled before it began
	SlotUndone   SlotOutcome = "undone"   // a clock that was ahead has skipped it, and it is yet to come
)

// Enum returns all outcomes of slots.
func (SlotOutcome) Enum() []string { return enum(SlotFired, SlotSkipped, SlotCanceled, SlotUndone) }

// CronDefinition is what a trigger is made of.
type CronDefinition struct {
	Name     string          `json:"name"` // 1 to 64 of A-Z, a-z, 0-9, "_", "-" and "."; an update may leave it out
	Spec     string          `json:"spec"` // up to 256 bytes
	Zone     string          `json:"zone"` // an IANA name; none is UTC
	Function string          `json:"function"`
	Args     json.RawMessage `json:"args,omitempty"` // none are {}
	Overlap  Overlap         `json:"overlap"`
	CatchUp  CatchUp         `json:"catchUp"`
	JitterMs int64           `json:"jitterMs"` // up to 24 h

	AtMostOnce      bool      `json:"atMostOnce"`
	TimeoutMs       int64     `json:"timeoutMs"`       // 0: the function's own
	As              *Identity `json:"as"`              // a service; null is anonymous
	SuccessWithinMs int64     `json:"successWithinMs"` // 0: nothing is too long
	Tags            []string  `json:"tags"`            // up to 8, of 1 to 64 bytes

	Retry  *RetryRequest `json:"retry"`  // none: the function's
	Paused *bool         `json:"paused"` // only where one is made
}

// CronRun is the answer to a trigger that was run by hand.
type CronRun struct {
	JobID string `json:"jobId"`
}

// PauseCron says why a trigger is paused.
type PauseCron struct {
	Reason string `json:"reason"` // up to 500 bytes
}
