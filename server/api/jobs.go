package api

import (
	"encoding/json"
	"time"
)

// Job is a job. Instants that have not come are null.
type Job struct {
	ID           string          `json:"id"` // 1 to 64 of A-Z, a-z, 0-9, "_" and "-" if it was chosen, of ticks also ":" and "."
	Function     string          `json:"function"`
	Args         json.RawMessage `json:"args,omitempty"`
	State        State           `json:"state"`
	Due          time.Time       `json:"due"` // of the next attempt, or of the last one
	ScheduledFor time.Time       `json:"scheduledFor"`
	EnqueuedAt   time.Time       `json:"enqueuedAt"`
	NotAfter     *time.Time      `json:"notAfter,omitempty"` // no attempt begins after it
	StartedAt    *time.Time      `json:"startedAt"`
	EndedAt      *time.Time      `json:"endedAt"`
	Attempts     int             `json:"attempts"` // that have begun
	Failures     int             `json:"failures"` // attempts that are charged
	Error        *JobError       `json:"error"`    // of the latest attempt that did not succeed
	Tags         []string        `json:"tags,omitempty"`
	Pool         string          `json:"pool,omitempty"`
	PoolKey      string          `json:"poolKey,omitempty"`
	Priority     int             `json:"priority"` // 1 (first) to 4
	UniqueKey    string          `json:"uniqueKey,omitempty"`
	Revision     int             `json:"revision,omitempty"` // how often another call took its place after an attempt had begun
	Parent       string          `json:"parent,omitempty"`   // the job that scheduled it
	Group        uint64          `json:"group,omitempty"`    // that it is a member of
	Trigger      string          `json:"trigger,omitempty"`
	Slot         *time.Time      `json:"slot,omitempty"`
	Superseded   bool            `json:"superseded,omitempty"` // its id was chosen again, and means the later job
	Wait         Wait            `json:"wait,omitempty"`       // what it waits for
	Reason       string          `json:"reason,omitempty"`     // more of that, or why it is held or has expired
	HeldAt       *time.Time      `json:"heldAt,omitempty"`

	Hidden []string `json:"hidden,omitempty"`

	// Only where one job is asked for:
	History []Attempt       `json:"history,omitempty"` // the latest 100 attempts that did not succeed
	Result  json.RawMessage `json:"result,omitempty"`  // of a success
	NotKept *NotKept        `json:"notKept,omitempty"` // why it has none
	*JobDetail
}

// State is the state of a job.
type State string

// The states of jobs. The last four are final.
const (
	StatePending  State = "pending"
	StateRunning  State = "running"
	StateHeld     State = "held" // this program cannot run it: the reason says why
	StateSuccess  State = "success"
	StateFailed   State = "failed" // dead: it is not tried again
	StateCanceled State = "canceled"
	StateExpired  State = "expired" // it was not begun in time: the reason says why
)

// Enum returns all states.
func (State) Enum() []string {
	return enum(StatePending, StateRunning, StateHeld, StateSuccess, StateFailed, StateCanceled, StateExpired)
}

// Wait is what a job that is pending or held waits for.
type Wait string

// What jobs wait for.
const (
	WaitHeld        Wait = "held"             // a program that can run it, or a person
	WaitVolume      Wait = "volume down"      // its volume, or that what is damaged there can be read
	WaitPaused      Wait = "paused"           // the end of a pause
	WaitStuck       Wait = "handler stuck"    // the return of handlers that were given up
	WaitPredecessor Wait = "predecessor runs" // the end of another job: of its trigger, of its unique key, or before it in an ordered pool
	WaitNotDue      Wait = "not due"          // its instant
	WaitBackoff     Wait = "back-off"         // the instant of its next attempt
	WaitPool        Wait = "pool full"        // a permit of its pool
	WaitRate        Wait = "rate"             // that more of its app, or of its pool, may begin
	WaitAppCap      Wait = "app cap"          // one of the permits that the app may have
	WaitEngineCap   Wait = "engine cap"       // one of the permits that all apps share
	WaitSuspect     Wait = "suspect"          // the end of other jobs that crashes have cut off
	WaitClaimed     Wait = "claimed"          // nothing but its instant: its handler is about to begin
	WaitClock       Wait = "clock in doubt"   // that the wall clock is believed: by it the job is too late
	WaitClaim       Wait = "not claimed"      // its claim: others are due before it, and are claimed first
	WaitOutside     Wait = "pending outside"  // an end from outside, or its timeout
)

// Enum returns all that jobs wait for.
func (Wait) Enum() []string {
	return enum(WaitHeld, WaitVolume, WaitPaused, WaitStuck, WaitPredecessor, WaitNotDue, WaitBackoff, WaitPool, WaitRate,
		WaitAppCap, WaitEngineCap, WaitSuspect, WaitClaimed, WaitClock, WaitClaim, WaitOutside)
}

// JobError is why an attempt did not succeed.
type JobError struct {
	Code    Code   `json:"code"`
	Message string `json:"message"` // "" if it is hidden
}

// NotKept is why the result of a job is not kept. The job is a success all the same.
type NotKept struct {
	Bytes  int    `json:"bytes,omitempty"` // of the result as JSON; 0: it has no JSON
	Reason string `json:"reason"`
}

// Attempt is one ended run of a job that did not succeed.
type Attempt struct {
	Number      int       `json:"number"`       // from 1
	Due         time.Time `json:"due,omitzero"` // when it was due; none if an earlier release has written it
	StartedAt   time.Time `json:"startedAt"`
	EndedAt     time.Time `json:"endedAt"`
	Error       JobError  `json:"error"`
	Interrupted bool      `json:"interrupted,omitempty"` // by a crash or a shutdown: it is not charged
	Postponed   bool      `json:"postponed,omitempty"`   // the handler has put the job off: it is not charged
}

// Progress is how far the attempt of a job has come, as its handler has told.
type Progress struct {
	Done  int64     `json:"done"`
	Total int64     `json:"total,omitempty"` // 0: it is not known
	Note  string    `json:"note,omitempty"`  // up to 1 KiB
	At    time.Time `json:"at"`              // when that was told
}

// LogLine is a line that the handler of a job has logged.
type LogLine struct {
	At    time.Time `json:"at"`
	Level int       `json:"level"` // that of package slog: 0 is info, 4 warn, 8 error
	Text  string    `json:"text"`  // up to 1 KiB
}

// AttemptLog is the last lines that an attempt has logged, up to 50, and what it has failed of.
type AttemptLog struct {
	Attempt int       `json:"attempt"`
	Dropped int       `json:"dropped,omitempty"` // lines before those
	Lines   []LogLine `json:"lines"`
	Cause   string    `json:"cause,omitempty"` // of its failure, that the message of the error does not tell; up to 4 KiB
	Stack   string    `json:"stack,omitempty"` // where that was, if a handler panicked, or its error says so; up to 8 KiB
}

// JobDetail is what else there is to say of one job.
type JobDetail struct {
	Timeline     []Moment        `json:"timeline"`               // what has happened to it, in order
	Planned      []Planned       `json:"planned,omitempty"`      // attempts to come, if each fails at once; the first 10
	Forgotten    int             `json:"forgotten,omitempty"`    // attempts that did not succeed, before those of the history
	Retry        *Retry          `json:"retry,omitempty"`        // its own; none: its function's
	TimeoutMs    int64           `json:"timeoutMs,omitempty"`    // its own
	AtMostOnce   bool            `json:"atMostOnce,omitempty"`   // an attempt that has begun is its last
	As           *Identity       `json:"as,omitempty"`           // who it runs as; none: anonymously
	Progress     *Progress       `json:"progress,omitempty"`     // of the attempt that runs
	Checkpoint   json.RawMessage `json:"checkpoint,omitempty"`   // what the next attempt goes on from, up to 64 KiB
	Logs         []AttemptLog    `json:"logs,omitempty"`         // what its latest attempts have logged, and failed of, up to 10 of them
	Trace        *JobTrace       `json:"trace,omitempty"`        // the span that has scheduled it; none: it was in none
	Follows      *Follows        `json:"follows,omitempty"`      // the job whose end has scheduled it
	FollowUps    []string        `json:"followUps,omitempty"`    // functions that are scheduled when it ends, each when the one before has
	Children     []string        `json:"children,omitempty"`     // the first jobs that it has scheduled, up to 20
	MoreChildren bool            `json:"moreChildren,omitempty"` // there are others: jobs?parent= lists all
}

// Planned is an attempt of a job that is to come.
type Planned struct {
	Attempt int       `json:"attempt"`
	At      time.Time `json:"at"` // if those before it last, or are cut off or put off, it is later
}

// Moment is something that has happened to a job.
type Moment struct {
	At      *time.Time `json:"at"` // null of the beginning of an attempt that has ended since the rest was read
	What    MomentKind `json:"what"`
	Attempt int        `json:"attempt,omitempty"`
	Due     *time.Time `json:"due,omitempty"`   // of an attempt that begins: when it was due, where that is known
	Code    Code       `json:"code,omitempty"`  // of the error that an attempt has failed with
	State   State      `json:"state,omitempty"` // in which it has ended
}

// MomentKind is a kind of moment.
type MomentKind string

// The kinds of moments.
const (
	MomentScheduled   MomentKind = "scheduled"
	MomentBegun       MomentKind = "begun"       // an attempt
	MomentFailed      MomentKind = "failed"      // an attempt
	MomentInterrupted MomentKind = "interrupted" // an attempt, by a crash or a shutdown
	MomentPostponed   MomentKind = "postponed"   // an attempt, by its handler
	MomentHeld        MomentKind = "held"
	MomentEnded       MomentKind = "ended"
)

// Enum returns all kinds of moments.
func (MomentKind) Enum() []string {
	return enum(MomentScheduled, MomentBegun, MomentFailed, MomentInterrupted, MomentPostponed, MomentHeld, MomentEnded)
}

// JobTrace is a span, as the headers of those names have it.
type JobTrace struct {
	Traceparent string `json:"traceparent"`
	Tracestate  string `json:"tracestate,omitempty"` // up to 512 bytes
}

// Follows is how the job has ended that another one follows.
type Follows struct {
	Job      string `json:"job"`
	Function string `json:"function"`
	State    State  `json:"state"`
	Ordinal  int    `json:"ordinal"` // 1 is its first end
}

// JobPage is one page of a listing: 100 jobs, or the parameter limit, which is 1 to 1,000, and fewer
// if they are large or take long to find.
type JobPage struct {
	Jobs   []Job     `json:"jobs"`             // none does not say that no later page has any
	Next   string    `json:"next,omitempty"`   // cursor of the next page; none if this is the last
	Looked *Looked   `json:"looked,omitempty"` // how far the page has looked; none if it is the last
	Count  *JobCount `json:"count,omitempty"`  // if count=true asks for it
}

// Looked is how far a page has looked.
type Looked struct {
	Jobs int       `json:"jobs"` // that it has looked at
	In   Region    `json:"in"`   // where the last of them lies; "" if there was none
	To   time.Time `json:"to"`   // by which that is sorted there: when it is due, or was held, or about when it has ended
}

// Region is one of the places where jobs lie. A listing goes through them in this order.
type Region string

// The regions.
const (
	RegionNone     Region = ""
	RegionOpen     Region = "open"     // pending and running
	RegionHeld     Region = "held"     // held
	RegionDead     Region = "dead"     // failed
	RegionFinished Region = "finished" // success, canceled and expired
)

// Enum returns all regions.
func (Region) Enum() []string {
	return enum(RegionNone, RegionOpen, RegionHeld, RegionDead, RegionFinished)
}

// JobCount is how many jobs of the app a filter chooses.
type JobCount struct {
	Jobs int  `json:"jobs"`           // on all pages
	More bool `json:"more,omitempty"` // there may be more: the count stops at 10,000, and when its time is over
}

// JobFilter chooses jobs. Each field that is given narrows it.
type JobFilter struct {
	ID        string    `json:"id,omitempty"`        // only this job
	States    []State   `json:"states,omitempty"`    // any of them
	Function  string    `json:"function,omitempty"`  // path
	Trigger   string    `json:"trigger,omitempty"`   // the ticks and runs by hand of a trigger
	Parent    string    `json:"parent,omitempty"`    // only jobs that this one has scheduled
	Group     uint64    `json:"group,omitempty"`     // only members of the group
	Error     string    `json:"error,omitempty"`     // code of the latest error
	Tags      []string  `json:"tags,omitempty"`      // only jobs that have all of them; up to 8
	Pool      string    `json:"pool,omitempty"`      // only jobs of the pool
	PoolKey   string    `json:"poolKey,omitempty"`   // only jobs whose key in the pool begins so
	UniqueKey string    `json:"uniqueKey,omitempty"` // only jobs of this unique key, whatever their function
	Due       TimeRange `json:"due,omitzero"`        // instant of the next attempt, or of the last one
	Ended     TimeRange `json:"ended,omitzero"`      // only jobs that have ended have this one
	Priority  int       `json:"priority,omitempty"`  // 1 to 4

	// Only jobs with this text in their id, or in their arguments as they are written; up to 256 bytes.
	// The latter needs the scope read-args.
	IDContains   string `json:"idContains,omitempty"`
	ArgsContains string `json:"argsContains,omitempty"`

	// Of a listing, whose URL has them; a body may not.
	Limit  int    `json:"limit,omitempty"`  // jobs a page, 1 to 1,000
	Cursor string `json:"cursor,omitempty"` // next of the page before
	Desc   bool   `json:"desc,omitempty"`   // the order is turned around among those that have not ended, and among those that have
}

// TimeRange is a span of instants; an end that is left out is open.
type TimeRange struct {
	From   time.Time `json:"from,omitzero"`
	Before time.Time `json:"before,omitzero"`
}

// JobResult is how a job has ended, if it has.
type JobResult struct {
	ID      string          `json:"id"`
	State   State           `json:"state"`
	Ended   bool            `json:"ended"` // else ask again
	EndedAt *time.Time      `json:"endedAt"`
	Result  json.RawMessage `json:"result,omitempty"`  // of a success
	NotKept *NotKept        `json:"notKept,omitempty"` // why it has none
	Error   *JobError       `json:"error,omitempty"`   // of the last attempt
	Reason  string          `json:"reason,omitempty"`  // why it has expired
	Hidden  []string        `json:"hidden,omitempty"`
}

// StuckHandler is a handler that was given up and has not returned.
type StuckHandler struct {
	App      string    `json:"app"`
	Function string    `json:"function"`
	Call     string    `json:"call,omitempty"` // none if it is that of a job
	Job      string    `json:"job,omitempty"`  // none if it is that of a call
	Attempt  int       `json:"attempt,omitempty"`
	Since    time.Time `json:"since"`
}
