package dispatch

import (
	"time"

	"carillon/storage"
)

// CronInfo is a trigger and what follows from it.
type CronInfo struct {
	storage.Trigger
	Description string      // the spec in English
	Upcoming    []Upcoming  // the next three ticks; none while it is paused or faulty
	Policy      RetryPolicy // what its ticks are retried by: Retry, or the function's own, or DefaultRetry
	As          *Identity   // who its ticks run as; nil is anonymous
	// Overdue says that no tick and no run by hand has succeeded for longer than
	// SuccessWithin, counted from the making of the trigger if none ever has. A
	// pause does not stop that clock.
	Overdue bool
}

// Upcoming is a tick to come. Its instants have the trigger's zone.
type Upcoming struct {
	Slot time.Time
	At   time.Time // when it is to run: the slot, and what the trigger's jitter is for this app
}

// Backfill asks that a trigger be run for slots that have passed: those in [From, To).
// Instants between two milliseconds count as the later one.
type Backfill struct {
	From, To time.Time
	// Again runs slots once more that have run, or were canceled. Default: they are
	// passed over, and so are those of which that is not known any more.
	Again  bool
	Reason string // shown with it and in the slot log; at most storage.MaxPauseReason bytes of UTF-8
}

// Crons are the cron triggers of one app: those declared by the program, which
// can be paused, resumed and run, and those made at run time. From a mutation
// they are part of its transaction; from an action or the host each call is its
// own, durable when it returns. Every error is an *Error; not_found if there is
// no trigger of the name.
type Crons interface {
	// Create makes a trigger. already_exists if the name is taken,
	// resource_exhausted if the app has storage.MaxTriggers.
	Create(Trigger) error
	// Update gives a trigger made at run time a new definition. Its pending tick
	// is taken back: no run of the old definition begins after this. A definition
	// that changes nothing changes nothing. failed_precondition if it is declared.
	Update(Trigger) error
	// Put makes the trigger or, if there is one of its name, updates it; created says
	// which. Paused counts only where it is made. Errors are those of the two.
	Put(Trigger) (created bool, err error)
	// Delete removes a trigger made at run time, its pending tick and its slots.
	// failed_precondition if it is declared.
	Delete(name string) error
	// Pause takes the pending tick back and lets none follow. A trigger that is
	// paused stays so; the reason is the new one. A tick that has had an attempt is
	// left to its retries, and so is one that was claimed, up to Options.ClaimAhead
	// before its instant, when the process was killed: it counts as begun.
	Pause(name, reason string) error
	// Resume lets a trigger that is paused, or whose Fault is gone, tick again, from
	// the next slot on.
	Resume(name string) error
	// RunNow runs what the trigger runs, once, and does not touch its next slot.
	RunNow(name string) (storage.JobID, error)
	// Backfill runs the trigger for the slots in [From, To), which its cadence has there,
	// also before the trigger was made: one after another, the oldest first, each as
	// the tick of its slot. What it asks for is stored with the trigger: CronInfo.Backfill
	// tells how far it has come, and it goes on after a restart, a pause and an edit that
	// leaves the slots as they are. Slots that have not come are left to the trigger.
	// invalid_argument for a span without a slot, from before 1970, or to beyond now;
	// resource_exhausted if it has more than storage.MaxBackfill; failed_precondition if the trigger is faulty
	// or has no slots; already_exists if a backfill of it goes on. Nothing is changed then.
	Backfill(name string, of Backfill) (storage.Backfill, error)
	// CancelBackfill ends the backfill of the trigger. No tick of it begins any more that
	// has had no attempt; what runs, and what waits for its retry, goes on. canceled is
	// false if none went on.
	CancelBackfill(name string) (canceled bool, err error)
	// Get returns a trigger; ok is false if there is none of that name.
	Get(name string) (info CronInfo, ok bool, err error)
	// List returns all triggers, by name.
	List() ([]CronInfo, error)
	// Slots returns how the latest slots of a trigger ended, the latest first; limit is 1 or more.
	// One that has fired was begun; what came of the run is the state of its job.
	Slots(name string, limit int) ([]storage.Slot, error)
}

// noCrons are the triggers of a scheduler that no engine made.
type noCrons struct{}

func (noCrons) err() error { return notRunning("") }

func (c noCrons) Create(Trigger) error                 { return c.err() }
func (c noCrons) Update(Trigger) error                 { return c.err() }
func (c noCrons) Put(Trigger) (bool, error)            { return false, c.err() }
func (c noCrons) Delete(string) error                  { return c.err() }
func (c noCrons) Pause(string, string) error           { return c.err() }
func (c noCrons) Resume(string) error                  { return c.err() }
func (c noCrons) RunNow(string) (storage.JobID, error) { return "", c.err() }
func (c noCrons) Backfill(string, Backfill) (storage.Backfill, error) {
	return storage.Backfill{}, c.err()
}
func (c noCrons) CancelBackfill(string) (bool, error)       { return false, c.err() }
func (c noCrons) Get(string) (CronInfo, bool, error)        { return CronInfo{}, false, c.err() }
func (c noCrons) List() ([]CronInfo, error)                 { return nil, c.err() }
func (c noCrons) Slots(string, int) ([]storage.Slot, error) { return nil, c.err() }
