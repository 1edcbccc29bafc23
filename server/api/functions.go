package api

import "encoding/json"

// Function is a function of the program.
type Function struct {
	Path       string   `json:"path"` // namespace:function, up to 256 bytes
	Kind       Kind     `json:"kind"`
	Internal   bool     `json:"internal"`         // to clients it does not exist
	Remote     bool     `json:"remote,omitempty"` // another program runs all whose paths begin with what stands before the * of this one
	Formerly   []string `json:"formerly,omitempty"`
	DeadlineMs int64    `json:"deadlineMs,omitempty"` // of one run; none: the engine's own for the kind

	// Of its jobs that say nothing else; a query has none:
	Retry       *Retry   `json:"retry,omitempty"`
	Tags        []string `json:"tags,omitempty"`
	Pool        string   `json:"pool,omitempty"`
	Priority    int      `json:"priority,omitempty"`    // 1 (first) to 4
	StrictArgs  bool     `json:"strictArgs,omitempty"`  // they run only with arguments that fit exactly
	KeepsResult bool     `json:"keepsResult,omitempty"` // what they return is kept

	// For operators of all apps; remote functions have none.
	Stats *FunctionStats `json:"stats,omitempty"`

	// JSON Schemas (2020-12) of what it takes and returns.
	Args   json.RawMessage `json:"args"`
	Result json.RawMessage `json:"result"`
}

// FunctionStats is how often a function has run in all apps, by calls and as jobs, and how long that took.
type FunctionStats struct {
	Runs            int64   `json:"runs"`          // that have ended since the server was started
	Errors          int64   `json:"errors"`        // of them
	RunsPerSecond   float64 `json:"runsPerSecond"` // in about the last minute
	ErrorsPerSecond float64 `json:"errorsPerSecond"`
	P50Ms           float64 `json:"p50Ms"` // of the time of a run, since the start, as far as buckets tell; 0 without runs
	P99Ms           float64 `json:"p99Ms"`
}

// CallRequest is the call of a function by an operator.
type CallRequest struct {
	Function string          `json:"function"`       // of any kind, also an internal one
	Args     json.RawMessage `json:"args,omitempty"` // none are {}
	As       *Identity       `json:"as"`             // who it runs as, a service; null is anonymous
}

// CallResult is what the function has returned.
type CallResult struct {
	Result json.RawMessage `json:"result"`
}

// Kind is a kind of function.
type Kind string

// The kinds of functions.
const (
	KindQuery    Kind = "query"    // reads
	KindMutation Kind = "mutation" // reads and writes, in one transaction
	KindAction   Kind = "action"   // reaches the outside world, and data through queries and mutations
)

// Enum returns all kinds.
func (Kind) Enum() []string { return enum(KindQuery, KindMutation, KindAction) }

// Retry is how often and when what has failed is tried again.
type Retry struct {
	MaxAttempts int     `json:"maxAttempts"` // 1 to 1,000, the first among them
	Backoff     Backoff `json:"backoff"`
	BaseMs      int64   `json:"baseMs"`           // wait before the second attempt
	MaxMs       int64   `json:"maxMs,omitempty"`  // the longest wait; 0: any
	Jitter      bool    `json:"jitter,omitempty"` // each wait is anywhere between 0 and what it would be
}

// RetryRequest is the Retry that is asked for. It has to name its attempts and base: a zero in the
// place of what was left out would mean no wait.
type RetryRequest struct {
	MaxAttempts *int    `json:"maxAttempts"` // 1 to 1,000
	Backoff     Backoff `json:"backoff"`     // none is exponential
	BaseMs      *int64  `json:"baseMs"`
	MaxMs       int64   `json:"maxMs"` // 0: any
	Jitter      bool    `json:"jitter"`
}

// Backoff is how waits between attempts grow.
type Backoff string

// The ways that waits grow.
const (
	BackoffExponential Backoff = "exponential" // each is twice the one before
	BackoffLinear      Backoff = "linear"      // each is longer by the first one
)

// Enum returns all ways that waits grow.
func (Backoff) Enum() []string { return enum(BackoffExponential, BackoffLinear) }
