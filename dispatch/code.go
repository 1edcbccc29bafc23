package dispatch

import "net/http"

// Code says what kind of failure an Error is. The codes are those of the
// Connect protocol; one table gives each its HTTP status and its exit code.
type Code string

// The codes, in Connect's order.
const (
	CodeCanceled           Code = "canceled"            // the caller gave up, or the job was canceled
	CodeUnknown            Code = "unknown"             // it may or may not have happened
	CodeInvalidArgument    Code = "invalid_argument"    // the request is at fault, whatever the state
	CodeDeadlineExceeded   Code = "deadline_exceeded"   // the run overran its time
	CodeNotFound           Code = "not_found"           // no such function, document or job
	CodeAlreadyExists      Code = "already_exists"      // the id or name is held
	CodePermissionDenied   Code = "permission_denied"   // this caller may not
	CodeResourceExhausted  Code = "resource_exhausted"  // a size or count would exceed its limit
	CodeFailedPrecondition Code = "failed_precondition" // the state forbids it, and repeating it does not help
	CodeAborted            Code = "aborted"             // the transaction is over; repeat the whole call
	CodeOutOfRange         Code = "out_of_range"        // past the end of something
	CodeUnimplemented      Code = "unimplemented"       // not built
	CodeInternal           Code = "internal"            // a fault of the server; details are in its log
	CodeUnavailable        Code = "unavailable"         // not now; try again later
	CodeDataLoss           Code = "data_loss"           // what was stored cannot be read
	CodeUnauthenticated    Code = "unauthenticated"     // there is no caller identity
)

// statusClientClosedRequest is the HTTP status of CodeCanceled, which net/http does not name.
const statusClientClosedRequest = 499

// firstExitCode is the exit code before the first one of the table. Exit codes
// are this plus the code's number in Connect's order, so that each is distinct
// and 1 (anything else) and 2 (usage, as package flag has it) stay free.
const firstExitCode = 10

// codeTable is the one table: a code's number is its place here.
var codeTable = [...]struct {
	code   Code
	status int
}{
	{CodeCanceled, statusClientClosedRequest},
	{CodeUnknown, http.StatusInternalServerError},
	{CodeInvalidArgument, http.StatusBadRequest},
	{CodeDeadlineExceeded, http.StatusGatewayTimeout},
	{CodeNotFound, http.StatusNotFound},
	{CodeAlreadyExists, http.StatusConflict},
	{CodePermissionDenied, http.StatusForbidden},
	{CodeResourceExhausted, http.StatusTooManyRequests},
	{CodeFailedPrecondition, http.StatusBadRequest},
	{CodeAborted, http.StatusConflict},
	{CodeOutOfRange, http.StatusBadRequest},
	{CodeUnimplemented, http.StatusNotImplemented},
	{CodeInternal, http.StatusInternalServerError},
	{CodeUnavailable, http.StatusServiceUnavailable},
	{CodeDataLoss, http.StatusInternalServerError},
	{CodeUnauthenticated, http.StatusUnauthorized},
}

// Codes returns every code, in Connect's order.
func Codes() []Code {
	codes := make([]Code, len(codeTable))
	for i, row := range codeTable {
		codes[i] = row.code
	}
	return codes
}

// number is the code's place in the table counted from 1, or 0 for a code that is not ours.
func (c Code) number() int {
	for i, row := range codeTable {
		if row.code == c {
			return i + 1
		}
	}
	return 0
}

// Valid says whether the code is one of the table.
func (c Code) Valid() bool { return c.number() > 0 }

// HTTPStatus returns the status an HTTP answer with this code has. A code that
// is not of the table is a fault of the server: 500.
func (c Code) HTTPStatus() int {
	if n := c.number(); n > 0 {
		return codeTable[n-1].status
	}
	return http.StatusInternalServerError
}

// ExitCode returns the exit code of a command that ends with this code: 11
// (canceled) to 26 (unauthenticated), and 1 for a code that is not of the table.
func (c Code) ExitCode() int {
	if n := c.number(); n > 0 {
		return firstExitCode + n
	}
	return 1
}
