package lunora

import "encoding/json"

// PageSize is how many records a page has.
const PageSize = 100

// Record is a job. Instants are milliseconds since 1970.
type Record struct {
	ID           string          `json:"id"`
	Args         json.RawMessage `json:"args,omitempty"` // JSON as the function is given it
	EnqueuedAt   int64           `json:"enqueuedAt"`
	ScheduledFor int64           `json:"scheduledFor"`           // of the next attempt, or of the last one
	FunctionPath string          `json:"functionPath,omitempty"` // "" if it is a workflow
	Workflow     string          `json:"workflow,omitempty"`     // "" if it is a function
	Attempts     int             `json:"attempts,omitempty"`     // that have failed
	InstanceName string          `json:"instanceName,omitempty"`
	Pool         string          `json:"pool,omitempty"`
	Retry        *Retry          `json:"retry,omitempty"`
	ShardKey     string          `json:"shardKey,omitempty"`
}

// Scheduled is the answer for a job that was scheduled.
type Scheduled struct {
	ID           string `json:"id"`
	ScheduledFor int64  `json:"scheduledFor"`
}

// Canceled is the answer for a job that was to be canceled.
type Canceled struct {
	Canceled bool `json:"cancelled"` // false: none was pending
}

// Found is the answer for one job.
type Found struct {
	Record *Record `json:"record,omitempty"` // nil: there is none
}

// Page is a page of jobs, in the order of their ids.
type Page struct {
	Records   []Record `json:"records"`
	Truncated bool     `json:"truncated"`
	Cursor    string   `json:"cursor,omitempty"` // of the next page, if it is truncated
}

// ByID is the body that names a job.
type ByID struct {
	ID string `json:"id"`
}

// The prefixes of cursors, which an id follows.
const (
	PendingCursor = "id:"
	DeadCursor    = "dead:"
)

// Retried is the answer for a dead job that was to be tried again.
type Retried struct {
	Retried      bool   `json:"retried"` // false: none was dead
	ID           string `json:"id,omitempty"`
	ScheduledFor int64  `json:"scheduledFor,omitempty"`
}

// Removed is the answer for a dead job that was to be removed.
type Removed struct {
	Removed bool `json:"removed"` // false: none was dead
}

// PoolStatus is what a pool does.
type PoolStatus struct {
	InFlight       int `json:"inFlight"`
	MaxConcurrency int `json:"maxConcurrency"`
	Queued         int `json:"queued"` // jobs that wait, those among them that are not due
}

// Pool is a pool, and what it does.
type Pool struct {
	PoolStatus
	Name string `json:"name"`
}

// Status is what all pools do.
type Status struct {
	Backlog  int    `json:"backlog"` // of all pools
	InFlight int    `json:"inFlight"`
	Pools    []Pool `json:"pools"`
}

// Completion says that a function has ended.
type Completion struct {
	Pool string `json:"pool"`
	ID   string `json:"id"` // of its job; "": of the workflow in the pool that began first
}

// Completed is the answer for that.
type Completed struct {
	InFlight int `json:"inFlight"` // of the pool
}

// Texts of a WebSocket, and the bytes that a client may send at once.
const (
	Ping      = "lunora-ping"
	Pong      = "lunora-pong"
	FrameJobs = "jobs"
	MaxFrame  = 4096
)

// Frame is what a WebSocket tells of the jobs: the first of them by id.
type Frame struct {
	Type      string   `json:"type"`
	Records   []Record `json:"records"`
	Truncated bool     `json:"truncated"` // there are more
}
