package api

import "time"

// Operation is something that is done to every job that a filter chooses, and how far it has come.
type Operation struct {
	ID         uint64           `json:"id"` // from 1
	Action     OperationAction  `json:"action"`
	Filter     JobFilter        `json:"filter"`
	By         string           `json:"by,omitempty"` // the operator
	CreatedAt  time.Time        `json:"createdAt"`
	AsOf       string           `json:"asOf"`       // it is on no job that came later
	Counted    int              `json:"counted"`    // jobs that it is on
	CountedAll bool             `json:"countedAll"` // false: there are more than counted, which stops at 10,000
	Done       int              `json:"done"`       // jobs that were changed so far
	Damaged    int              `json:"damaged,omitempty"`
	At         *time.Time       `json:"at,omitempty"`       // of a reschedule: when its jobs are due then
	Priority   int              `json:"priority,omitempty"` // of a reschedule
	Outcome    OperationOutcome `json:"outcome"`
	EndedAt    *time.Time       `json:"endedAt"`
	Error      *JobError        `json:"error,omitempty"` // of one that failed
	Hidden     []string         `json:"hidden,omitempty"`
}

// OperationAction is what is done to the jobs.
type OperationAction string

// The actions.
const (
	OperationCancel OperationAction = "cancel" // pending, running and held ones
	OperationRetry  OperationAction = "retry"  // dead or held ones are pending again
	OperationDrop   OperationAction = "drop"   // dead or held ones are gone

	OperationReschedule OperationAction = "reschedule" // pending or held ones are due at another instant, or have another priority
	OperationRun        OperationAction = "run"        // pending ones that are due later, or held ones, are due now
)

// Enum returns all actions.
func (OperationAction) Enum() []string {
	return enum(OperationCancel, OperationRetry, OperationDrop, OperationReschedule, OperationRun)
}

// OperationOutcome is how an operation ended.
type OperationOutcome string

// The outcomes of operations.
const (
	OperationGoing    OperationOutcome = "" // it goes on
	OperationDone     OperationOutcome = "done"
	OperationCanceled OperationOutcome = "canceled" // by a person; what was done stays done
	OperationFailed   OperationOutcome = "failed"   // its error says why; what was done stays done
)

// Enum returns all outcomes of operations.
func (OperationOutcome) Enum() []string {
	return enum(OperationGoing, OperationDone, OperationCanceled, OperationFailed)
}

// OperationPage is one page of operations, the latest first: 100, or the parameter limit, which is 1
// to 1,000.
type OperationPage struct {
	Operations []Operation `json:"operations"`
	Next       string      `json:"next,omitempty"` // cursor of the next page; none if this is the last
}

// NewOperation is what an operation is made of. It has either a filter that chooses some jobs, or
// All.
type NewOperation struct {
	Action OperationAction `json:"action"`
	Filter JobFilter       `json:"filter"`
	All    bool            `json:"all"`
	AsOf   string          `json:"asOf"`   // of a count: on no job that came later; "": now
	DryRun bool            `json:"dryRun"` // only count

	// Of a reschedule, which has one of them at least.
	At       *time.Time `json:"at,omitempty"`       // when the jobs are due then; null: it stays
	Priority int        `json:"priority,omitempty"` // 1 (first) to 4; 0: it stays
}

// OperationCount is how many jobs an operation would be on.
type OperationCount struct {
	Jobs int    `json:"jobs"` // up to 10,000
	More bool   `json:"more"` // there are more than that
	AsOf string `json:"asOf"`
}
