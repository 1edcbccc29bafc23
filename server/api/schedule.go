package api

import (
	"encoding/json"
	"time"
)

// JobRequest is a call to schedule. The defaults of what is left out are the function's.
type JobRequest struct {
	Function string          `json:"function"`       // of a mutation or an action
	Args     json.RawMessage `json:"args,omitempty"` // none are {}
	JobOptions

	At        *time.Time     `json:"at"`        // when it is due,
	AfterMs   *int64         `json:"afterMs"`   // or how long from now; with neither it is at once
	ID        *string        `json:"id"`        // 1 to 64 of A-Z, a-z, 0-9, "_" and "-", in the place of one that is made
	NotAfter  *time.Time     `json:"notAfter"`  // no attempt begins after it,
	ExpiresMs *int64         `json:"expiresMs"` // or so long after it is due
	As        *Identity      `json:"as"`        // who it runs as, a service; null is anonymous
	Unique    *UniqueRequest `json:"unique"`
}

// JobOptions are those that a job and its follow-ups have.
type JobOptions struct {
	AtMostOnce bool          `json:"atMostOnce"`
	TimeoutMs  *int64        `json:"timeoutMs"`
	Retry      *RetryRequest `json:"retry"`
	Tags       *[]string     `json:"tags"`     // up to 8, of 1 to 64 bytes
	Pool       *string       `json:"pool"`     // name; "" is none
	PoolKey    string        `json:"poolKey"`  // up to 256 bytes
	Priority   int           `json:"priority"` // 1 (first) to 4
	KeepResult *bool         `json:"keepResult"`
	Group      uint64        `json:"group"`  // one that has not ended
	OnDone     *FollowUp     `json:"onDone"` // up to 16, each within the one before
}

// FollowUp is the call that is scheduled when a job ends.
type FollowUp struct {
	Function string          `json:"function"`
	Args     json.RawMessage `json:"args,omitempty"` // none are {}
	JobOptions

	AsJob bool `json:"asJob"` // it runs as the job does
}

// UniqueRequest is a unique key, which at most one job holds.
type UniqueRequest struct {
	Key         string       `json:"key"` // 1 to 256 bytes
	Policy      UniquePolicy `json:"policy"`
	EveryMs     *int64       `json:"everyMs"`     // of throttle: up to 366 days, as the others
	MaxWaitMs   *int64       `json:"maxWaitMs"`   // of replace
	HeldForMs   *int64       `json:"heldForMs"`   // of keep and refuse
	AppWide     bool         `json:"appWide"`     // the key is the app's, and not the function's
	PendingOnly bool         `json:"pendingOnly"` // a job that has begun holds it no more
}

// UniquePolicy says what becomes of a call whose unique key a job holds.
type UniquePolicy string

// The policies of unique keys.
const (
	UniqueKeep     UniquePolicy = "keep"     // the job that is there does for it
	UniqueReplace  UniquePolicy = "replace"  // the job that is there becomes this call
	UniqueThrottle UniquePolicy = "throttle" // the same, but for the instant, and starts are kept apart
	UniqueRefuse   UniquePolicy = "refuse"   // already_exists
)

// Enum returns all policies of unique keys.
func (UniquePolicy) Enum() []string {
	return enum(UniqueKeep, UniqueReplace, UniqueThrottle, UniqueRefuse)
}

// Scheduled is what became of a call that was to be scheduled.
type Scheduled struct {
	JobID    string `json:"jobId"`              // the job that does it
	Kept     bool   `json:"kept,omitempty"`     // it was there: nothing was stored
	Replaced bool   `json:"replaced,omitempty"` // it was there, and is this call now
	Holder   string `json:"holder,omitempty"`   // the job that the unique key belonged to
}

// JobChange is what of a pending job is changed. What is left out stays.
type JobChange struct {
	At       *time.Time      `json:"at"`       // when it is due,
	AfterMs  *int64          `json:"afterMs"`  // or how long from now
	Priority int             `json:"priority"` // 1 (first) to 4
	Args     json.RawMessage `json:"args,omitempty"`

	// IfArgs are those that it has: if they are others by now, nothing is changed.
	IfArgs json.RawMessage `json:"ifArgs,omitempty"`
}

// CancelRequest is how a job is canceled.
type CancelRequest struct {
	Cascade bool `json:"cascade"` // along with what has come of it
}

// AbandonRequest says who waits no more for a stuck handler.
type AbandonRequest struct {
	By string `json:"by"` // none: the operator
}
