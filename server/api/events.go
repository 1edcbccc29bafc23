package api

// EventKind is the name of a server-sent event.
type EventKind string

// The names of events. The data of reset and lagged is an EventReason, that of ready a Ready, that of
// end an Error, and that of the others a JobEvent.
const (
	EventReset  EventKind = "reset"  // forget what was told before: a snapshot follows
	EventLagged EventKind = "lagged" // the same, because this client has read too slowly
	EventJob    EventKind = "job"    // a job of the snapshot
	EventReady  EventKind = "ready"  // that was the snapshot: changes follow
	EventEnd    EventKind = "end"    // why the stream ends

	EventScheduled   EventKind = "scheduled"   // the job is new
	EventRescheduled EventKind = "rescheduled" // its instant, its arguments or its priority are others
	EventRetried     EventKind = "retried"     // it is pending again: after an attempt, or a person has retried it
	EventOutside     EventKind = "outside"     // its handler has returned, and its end comes from outside, by its due
	EventAnswered    EventKind = "answered"    // its end has come from outside, and counts when its handler has returned
	EventHeld        EventKind = "held"        // this program cannot run it
	EventReleased    EventKind = "released"    // it was held, and is pending again
	EventEnded       EventKind = "ended"       // as a success, or dead
	EventCanceled    EventKind = "canceled"
	EventExpired     EventKind = "expired"   // it was not begun in time
	EventCorrected   EventKind = "corrected" // its state is the same, its instants were put right after a step of the clock
	EventPurged      EventKind = "purged"    // it is kept no more, or was dropped: the job is as it was

	EventStarted    EventKind = "started"    // its handler begins; may be missing
	EventProgressed EventKind = "progressed" // its handler has told how far it is; may be missing
)

// Enum returns the names of all events.
func (EventKind) Enum() []string {
	return enum(EventReset, EventLagged, EventJob, EventReady, EventEnd, EventScheduled, EventRescheduled, EventRetried,
		EventOutside, EventAnswered, EventHeld, EventReleased, EventEnded, EventCanceled, EventExpired, EventCorrected, EventPurged, EventStarted, EventProgressed)
}

// JobEvent is the data of an event that is about a job.
type JobEvent struct {
	Seq      uint64    `json:"seq"` // tells jobs apart: a chosen id may be given to a later one
	ID       string    `json:"id"`
	Left     bool      `json:"left,omitempty"`     // the filter chooses the job no more
	Job      *Job      `json:"job,omitempty"`      // as it is now, without what can be long; none of progressed
	Progress *Progress `json:"progress,omitempty"` // of an attempt that runs
	Hidden   []string  `json:"hidden,omitempty"`
}

// EventReason is the data of the events reset and lagged: why a snapshot follows.
type EventReason struct {
	Reason string `json:"reason"`
}

// Ready is the data of the event ready.
type Ready struct{}
