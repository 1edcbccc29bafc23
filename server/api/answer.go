package api

// Answer is the answer of a request that was served.
type Answer[T any] struct {
	Result T `json:"result"`
}

// Error is the answer of a request that was not served.
type Error struct {
	Code      Code   `json:"code"`
	Path      string `json:"path,omitempty"`      // the function that was called; "" before one is known
	Message   string `json:"message"`             // for people, up to 4,096 bytes
	RequestID string `json:"requestId,omitempty"` // of a fault, whose cause is in the server's log under that id
	// Present is, where a change of a document is refused as aborted because it was made of another
	// version, the document as it is.
	Present *Document `json:"present,omitempty"`
}

// Code is a kind of error, of which there is a fixed set. Each has one HTTP status, but for what HTTP itself refuses.
type Code string

// The codes.
const (
	CodeCanceled           Code = "canceled"            // the caller gave up, or the job was canceled
	CodeUnknown            Code = "unknown"             // it may or may not have happened
	CodeInvalidArgument    Code = "invalid_argument"    // the request is at fault, whatever the state
	CodeDeadlineExceeded   Code = "deadline_exceeded"   // the run overran its time
	CodeNotFound           Code = "not_found"           // no such app, function, document or job
	CodeAlreadyExists      Code = "already_exists"      // the id or name is held
	CodePermissionDenied   Code = "permission_denied"   // this caller may not
	CodeResourceExhausted  Code = "resource_exhausted"  // a size or count would exceed its limit
	CodeFailedPrecondition Code = "failed_precondition" // the state forbids it, and repeating it does not help
	CodeAborted            Code = "aborted"             // the transaction is over; repeat the whole call
	CodeOutOfRange         Code = "out_of_range"        // past the end of something
	CodeUnimplemented      Code = "unimplemented"       // not built, or not a method of the route
	CodeInternal           Code = "internal"            // a fault of the server; details are in its log
	CodeUnavailable        Code = "unavailable"         // not now; try again later
	CodeDataLoss           Code = "data_loss"           // what was stored cannot be read
	CodeUnauthenticated    Code = "unauthenticated"     // it does not say who asks
)

// Error returns the code, which so is a target for errors.Is: package client's errors are those of
// their codes.
func (c Code) Error() string { return string(c) }

// Enum returns all codes.
func (Code) Enum() []string {
	return enum(CodeCanceled, CodeUnknown, CodeInvalidArgument, CodeDeadlineExceeded, CodeNotFound, CodeAlreadyExists,
		CodePermissionDenied, CodeResourceExhausted, CodeFailedPrecondition, CodeAborted, CodeOutOfRange, CodeUnimplemented,
		CodeInternal, CodeUnavailable, CodeDataLoss, CodeUnauthenticated)
}

// enum is the values as text.
func enum[T ~string](values ...T) []string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = string(v)
	}
	return list
}

// Empty is a body, or an answer, that has nothing to say.
type Empty struct{}

// Affected is how many jobs a request has changed, or would change.
type Affected struct {
	Jobs int `json:"jobs"`
}

// Changed says whether a change has found something to change.
type Changed struct {
	Changed bool `json:"changed"`
}

// Identity is who a function runs as.
type Identity struct {
	Subject string         `json:"subject"`          // not empty; one that an operator chooses begins with "service:"
	Claims  map[string]any `json:"claims,omitempty"` // with the subject up to 64 KiB as JSON
}

// Health is whether the server serves all apps.
type Health struct {
	Status HealthStatus `json:"status"`
}

// HealthStatus is a kind of health.
type HealthStatus string

// The kinds of health.
const (
	HealthOK       HealthStatus = "ok"
	HealthDegraded HealthStatus = "degraded" // all apps are served, and something needs a person
	HealthFailing  HealthStatus = "failing"  // apps of a volume are not served: the status is 503
)

// Enum returns all kinds of health.
func (HealthStatus) Enum() []string { return enum(HealthOK, HealthDegraded, HealthFailing) }

// Readiness is whether requests should be sent to the server; GET /livez answers with ReadyOK only.
type Readiness struct {
	Status  ReadyStatus `json:"status"`
	Reasons []string    `json:"reasons,omitempty"` // for people; none with ReadyOK
}

// ReadyStatus is a kind of Readiness. With the first two the status is 200, with the others 503.
type ReadyStatus string

// The kinds of readiness.
const (
	ReadyOK       ReadyStatus = "ok"
	ReadyDegraded ReadyStatus = "degraded" // it serves what it can, and a person is needed
	ReadyStarting ReadyStatus = "starting" // the engine is being opened
	ReadyStandby  ReadyStatus = "standby"  // another node owns the store, or none does yet
	ReadyDraining ReadyStatus = "draining" // the server is about to stop
	ReadyFailing  ReadyStatus = "failing"  // nothing can be served, or another node may have taken over
)

// Enum are all of them.
func (ReadyStatus) Enum() []string {
	return enum(ReadyOK, ReadyDegraded, ReadyStarting, ReadyStandby, ReadyDraining, ReadyFailing)
}
