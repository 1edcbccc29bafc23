package storage

import "time"

// State is what a job is in. Pending and running jobs lie in the sorted job
// bucket, held ones beside it; a job in any other state is at its end and lies in
// the history (success, canceled, expired) or among the dead (failed).
type State string

// The states of a job. The legal changes are drawn in the package comment.
const (
	StatePending  State = "pending"
	StateRunning  State = "running"
	StateSuccess  State = "success"
	StateFailed   State = "failed"
	StateCanceled State = "canceled"
	StateExpired  State = "expired" // it was not begun in time (Job.NotAfter): Job.Reason says why
	StateHeld     State = "held"    // this program cannot run it: Job.Reason says why
)

// Ended says whether the state is final.
func (s State) Ended() bool {
	return s == StateSuccess || s == StateFailed || s == StateCanceled || s == StateExpired
}

// keyedByDue says whether the job's key has the instant it is due.
func (s State) keyedByDue() bool { return s == StatePending || s == StateRunning }

// Job is a stored call with the instant it is due, and what became of it.
// Instants have millisecond precision and are in UTC; an instant that has not
// come is the zero time.
type Job struct {
	ID       JobID
	Function string // path, "namespace:function"
	Remote   bool   // another program runs it, as was said when the job was scheduled
	Args     []byte // JSON
	State    State

	Due          time.Time // instant of the next attempt, or of the last one; while PendingOutside, when that fails
	ScheduledFor time.Time // instant first asked for; a retry leaves it alone
	Era          EraID     // the clock era that Due counts from; 0: it is absolute
	AskedEra     EraID     // the same of ScheduledFor
	NotAfter     time.Time // no attempt begins after it; zero: there is no such instant
	EnqueuedAt   time.Time
	StartedAt    time.Time // start of the last attempt
	CompletedAt  time.Time

	Attempts      int // attempts begun, the one under way included
	Failures      int // ended attempts that spent the retry budget
	Interruptions int // crashes in a row that cut an attempt off, but for those of which nothing tells whether it had begun
	Postponed     int // attempts in a row that the handler has put off (dispatch.RetryAfter), and since when
	PutOffSince   time.Time
	Error         *JobError
	History       []Attempt // the latest 100 ended attempts that did not succeed, oldest first
	Forgotten     int       // those before them

	// Result is what the function of a success returned, as JSON of ResultSize bytes. NotKept
	// says why it is not here; nil: it is, or, if ResultSize is 0, an earlier release kept none.
	Result     []byte
	ResultSize int
	NotKept    *NotKept

	Retry      *Retry // nil means the default policy
	AtMostOnce bool
	Timeout    time.Duration // bound of one attempt; 0 means the function's own
	KeepResult *bool         // whether the result is kept; nil means as the function says
	Claims     []byte        // the stored caller's identity as JSON; nil means no user
	Tags       []string      // see CheckTags

	Pool     string // the pool whose permit each attempt needs; "" is none
	PoolKey  string // the key within the pool; "" is none
	Ordered  bool   // it keeps those of its pool and key back that come after it, until it has ended
	Priority int    // 1 (first) to 4; 0, where a job is inserted, is DefaultPriority

	Trigger  string    // the cron trigger the job is a tick of; "" if it is none
	Slot     time.Time // the slot the tick stands for; zero if it was run by hand
	CaughtUp bool      // the slot had passed when the tick was made
	Backfill uint64    // the number of the backfill that the tick is of (Backfill.Number); 0: of none

	Unique   *Unique // the key that it is the only job of; nil: it has none
	Revision int     // how often another call took its place (UniqueReplace) after an attempt had begun
	Parent   JobID   // the job whose handler scheduled it; "" if none did
	Once     string  // the name under which Parent did so at most once; "" if it may do so again

	// Then is the call that is scheduled when the job ends, and Ends how often it has ended with
	// one; nil: there is none, or the job has ended for good. Outcome is how the job has
	// ended, Parent, that this one follows; nil: it follows none.
	Then    *Job
	Ends    int
	Outcome *Outcome

	// Progress is how far the attempt that runs has come; nil: its handler has not told.
	// CheckpointSize is how many bytes the next attempt is given of an earlier one; 0: nothing.
	Progress       *Progress
	CheckpointSize int

	// Group is the group that the job is a member of; 0: of none. GroupOutcome is how the group
	// has ended that this job follows; nil: it follows none.
	Group        GroupID
	GroupOutcome *GroupOutcome

	// Operation is the one that has rescheduled the job last; 0: none has.
	Operation OperationID

	// Instance and ShardKey are what a client of the reference scheduler's protocol has said, and
	// is told again; "" if nothing. Nothing else is made of them.
	Instance string
	ShardKey string

	// Trace is the span that has scheduled the job; nil: it was in none.
	Trace *Trace

	// Superseded says that a later job was given this one's chosen ID: Get and Cancel
	// mean that one, and only a listing still shows this one.
	Superseded bool

	// Wait is what a job that is pending or held waits for, and Reason says more of it, such
	// as who has paused it, or why it is held, or has expired; "" if Wait says all. The reason
	// of a pending job, and Wait, the engine works out, the others are stored.
	Wait   Wait
	Reason string
	HeldAt time.Time // when it was last held; zero if it never was

	place      place      // where the job lies in its region
	claim      ClaimID    // the latest, if it is claimed
	claimBegin ClaimBegin // what that says
	outside    *outside   // of an attempt that ends from outside; nil: of none
}

// JobError is why an attempt did not succeed.
type JobError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// NotKept is why the result of a job is not kept. The job is a success all the
// same, with its effects.
type NotKept struct {
	Bytes  int    `json:"bytes,omitempty"` // of the result as JSON; 0: it has no JSON
	Reason string `json:"reason"`
}

// Attempt is one ended run of a job that did not succeed.
type Attempt struct {
	Number      int       `json:"number"`
	Due         time.Time `json:"due,omitzero"` // when it was due; zero: an earlier release has written it, which did not say
	StartedAt   time.Time `json:"startedAt"`
	EndedAt     time.Time `json:"endedAt"`
	Error       JobError  `json:"error"`
	Interrupted bool      `json:"interrupted,omitempty"`
	Postponed   bool      `json:"postponed,omitempty"` // the handler has put the job off: it is not charged
	Unsure      bool      `json:"-"`                   // a crash found the job claimed, and nothing tells whether the handler had begun
}

// Retry says how often and when a failed attempt is repeated.
type Retry struct {
	Limit  int           // retries after the first attempt, 0 to 1,000
	Linear bool          // Base·n instead of Base·2ⁿ⁻¹
	Base   time.Duration // wait before the first retry, 0 or more
	Max    time.Duration // longest wait; 0 means none
	Jitter bool          // each wait is anywhere between 0 and what it would be
}

// Cancellation is the true answer to a cancel.
type Cancellation struct {
	Canceled bool  // the job was pending or running and has been canceled
	Found    State // the state it was found in; "" means no such job is known
	Along    int   // how many that have come of it were canceled with it
}
