package dispatch

import (
	"encoding/json"
	"time"

	"carillon/internal/brief"
)

// How long an attempt may be pending outside: DefaultPending where its handler does not say, and
// MaxPending at most.
const (
	DefaultPending = 24 * time.Hour
	MaxPending     = 90 * 24 * time.Hour
)

// ErrPending is what the handler of a job's action returns, wrapped or not, whose attempt ends from
// outside: by App.Complete or App.Fail with the token of ActionCtx.Pending, or when that has timed
// out. The permits of the attempt are free meanwhile. From any other handler, and without a token, it
// is a failure that no retry mends.
var ErrPending error = &Error{
	Code: CodeFailedPrecondition, permanent: true,
	Message: "only the action of a job can be pending outside, once it has asked for a token (ctx.Pending)",
}

// Pending returns the token of the job's attempt, with which something outside ends it: hand it
// on, then return ErrPending. It is the same in every call of the attempt, is written down as a hash
// only, and is good for this attempt alone; it is a credential, so log it nowhere. An end that comes
// before the handler has returned is kept, and stands whatever the handler returns.
//
// Once the handler has returned ErrPending, the attempt fails with deadline_exceeded when the
// timeout has passed, and is retried like any other: 0 is DefaultPending, and the timeout of the
// latest call counts. It does not block, and writes nothing. Errors: invalid_argument for a timeout
// below 0 or above MaxPending, failed_precondition in what is no job or runs inside another
// function, aborted if the attempt is over.
func (c *ActionCtx) Pending(timeout time.Duration) (token string, err error) {
	path := ""
	if c.run != nil {
		path = c.run.fn.Path
	}
	if err := c.run.over(path); err != nil {
		return "", err
	}
	switch pending := c.run.env.Pending; {
	case timeout < 0 || timeout > MaxPending:
		return "", &Error{Code: CodeInvalidArgument, Path: path, Message: "a timeout of " + timeout.String() + ": want 0 to " + MaxPending.String()}
	case pending == nil:
		return "", failure(path, ErrPending)
	case timeout == 0:
		return pending(DefaultPending)
	default:
		return pending(timeout)
	}
}

// EncodeResult returns what an attempt has come to outside as JSON, or an *Error: it has none, or
// more bytes than the limit. nil is null, and a json.RawMessage is JSON already. For engines.
func EncodeResult(result any, limits Limits) (json.RawMessage, error) {
	if raw, ok := result.(json.RawMessage); ok && !json.Valid(raw) {
		return nil, Errorf(CodeInvalidArgument, "the result is not JSON: %s", brief.Quote(string(raw)))
	}
	raw, err := encodeResult(result, limits.WithDefaults())
	if bad, ok := err.(resultError); ok {
		return nil, Errorf(CodeInvalidArgument, "the result cannot be kept: %s", bad.why.Reason)
	}
	return raw, asError(err)
}

// CheckResult says with an *Error why the JSON is no result of the function at the path; nil: it
// is, or the function is not known. For engines.
func (r *Registry) CheckResult(path string, result json.RawMessage) error {
	fn, ok := r.Lookup(path)
	if !ok || fn.result == nil {
		return nil
	}
	if err := fn.result(result); err != nil {
		return Errorf(CodeInvalidArgument, "the result does not fit %s: %s", path, brief.Cut(err.Error(), MaxMessage/2))
	}
	return nil
}

// fitsResult says why the JSON is no R.
func fitsResult[R any](raw json.RawMessage) (err error) {
	defer func() {
		if v := recover(); v != nil { // a method UnmarshalJSON of the user's
			err = newPanic(v)
		}
	}()
	var result R
	if _, nothing := any(result).(None); nothing {
		return nil
	}
	return json.Unmarshal(raw, &result)
}
