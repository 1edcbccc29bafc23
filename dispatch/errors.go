package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"carillon/internal/brief"
	"carillon/storage"
)

// MaxMessage bounds the public message of an error, in bytes; a longer one is cut.
const MaxMessage = 4096

// internalMessage is all that a caller learns about a fault that is not its own.
const internalMessage = "internal error"

// Error is the one structured error of a call. Its JSON form, {code, path?,
// message}, is what may leave the process; Err is for the log only.
type Error struct {
	Code    Code   `json:"code"`
	Path    string `json:"path,omitempty"` // the function that was called; "" before one is known
	Message string `json:"message"`
	Err     error  `json:"-"` // the cause, never sent to a caller; may be nil
	// RetryAfter is how long to wait before the call is repeated; 0 says nothing of
	// that. Over HTTP it is the header Retry-After.
	RetryAfter time.Duration `json:"-"`

	permanent bool   // the same call ends with it again, however often it is repeated
	cause     *cause // of a job's attempt
}

// Errorf makes an Error that reaches the caller with this code and message. An
// error wrapped with %w is kept as its cause, and its text is part of the message.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// Error returns the text for people inside the process: path, code, message,
// and the cause where it adds something. Answers to callers use the JSON form.
func (e *Error) Error() string {
	text := string(e.Code)
	if e.Message != text && e.Message != e.Code.words() {
		text += ": " + e.Message
	}
	if e.Path != "" {
		text = e.Path + ": " + text
	}
	if detail := e.detail(); detail != "" {
		text += ": " + detail
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// detail is what the cause adds to the message, or "". The cause is the first
// thing below e that is not one of our envelopes.
func (e *Error) detail() string {
	cause := e.Err
	for {
		if inner, ok := cause.(*Error); ok {
			cause = inner.Err
		} else if inner, ok := cause.(*permanentError); ok {
			cause = inner.err
		} else {
			break
		}
	}
	if cause == nil || strings.Contains(e.Message, cause.Error()) || strings.Contains(e.Message, withoutCode(cause.Error(), e.Code)) {
		return ""
	}
	return cause.Error()
}

// LogValue gives the log everything: code, path, message, the cause, and the
// stack of a panic.
func (e *Error) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("code", string(e.Code)), slog.String("message", e.Message)}
	if e.Path != "" {
		attrs = append(attrs, slog.String("path", e.Path))
	}
	if detail := e.detail(); detail != "" {
		attrs = append(attrs, slog.String("cause", detail))
	}
	var p *PanicError
	if errors.As(e.Err, &p) {
		attrs = append(attrs, slog.String("stack", string(p.Stack)))
	}
	return slog.GroupValue(attrs...)
}

// PanicError is the cause of an Error that a panic in a function became.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // the goroutine's stack where it happened
}

// Error returns the panic's value without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Is implements errors.Is for storage.ErrPermanent.
func (e *Error) Is(target error) bool { return e.permanent && target == storage.ErrPermanent }

// permanentError marks a failure that a retry cannot mend.
type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Is implements errors.Is.
func (e *permanentError) Is(target error) bool { return target == storage.ErrPermanent }

// Permanent marks an error as one that a retry cannot mend: the job that ends
// with it is dead at once, whatever is left of its retries. Code and message
// stay what they are. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent says whether a run that ended with err must not be retried, because
// it would end so again: the function said so with Permanent, or err is, or wraps
// what the function was told, that a value which it passes on is too large or cannot
// be encoded, or that arguments, its own or those of a function that it runs or
// schedules, do not decode, or that it would do more in one transaction than
// storage.TxLimits let it.
func IsPermanent(err error) bool { return errors.Is(err, storage.ErrPermanent) }

// sentinelCodes maps the errors of package storage and of contexts. A public
// row speaks about what the caller asked for, so its text is the message; of
// the others the caller learns the sentinel's own words only.
var sentinelCodes = [...]struct {
	is     error
	code   Code
	public bool
}{
	{storage.ErrNotFound, CodeNotFound, true},
	{storage.ErrInvalid, CodeInvalidArgument, true},
	{storage.ErrExists, CodeAlreadyExists, true},
	{storage.ErrLimit, CodeResourceExhausted, true},
	{storage.ErrTxLimit, CodeResourceExhausted, true},
	{storage.ErrReentrant, CodeFailedPrecondition, true},
	{storage.ErrSealed, CodeFailedPrecondition, true},
	{storage.ErrUndeclared, CodeFailedPrecondition, true},
	{storage.ErrConflict, CodeAborted, true},
	{storage.ErrTxDone, CodeAborted, false},
	{storage.ErrUnknownOutcome, CodeUnknown, false},
	{storage.ErrNotApplied, CodeUnavailable, false},
	{storage.ErrUnavailable, CodeUnavailable, false},
	{storage.ErrClosed, CodeUnavailable, false},
	{storage.ErrLocked, CodeUnavailable, false},
	{storage.ErrReadOnly, CodeFailedPrecondition, false},
	{storage.ErrProgram, CodeFailedPrecondition, true},
	{storage.ErrFenced, CodeUnavailable, false},
	{storage.ErrCorrupt, CodeDataLoss, false},
	{storage.ErrNotBuilt, CodeDataLoss, false}, // of an app that is open: its pages are damaged
	{storage.ErrFormat, CodeDataLoss, false},
	{context.DeadlineExceeded, CodeDeadlineExceeded, false},
	{context.Canceled, CodeCanceled, false},
}

// AsError returns err as the structured error a caller may see, with err itself
// as the cause. An *Error anywhere in its chain keeps code, path and message;
// a RetryAfter is unavailable; the errors of package storage and of contexts have a code each; everything
// else is internal and tells the caller nothing. AsError(nil) is nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		if e == err && e.Code.Valid() && e.Message != "" && len(e.Message) <= MaxMessage {
			return e
		}
		code, message := e.Code, e.Message
		if !code.Valid() {
			code = CodeUnknown
		}
		if message == "" {
			message = string(code)
		}
		return &Error{Code: code, Path: e.Path, Message: brief.Cut(message, MaxMessage), Err: err, RetryAfter: cmp.Or(e.RetryAfter, retryAfterOf(err))}
	}
	var p *Postponement
	if errors.As(err, &p) {
		return &Error{Code: CodeUnavailable, Message: p.message(), Err: err, RetryAfter: p.After}
	}
	for _, row := range sentinelCodes {
		if !errors.Is(err, row.is) {
			continue
		}
		message := row.is.Error()
		if row.public {
			message = brief.Cut(withoutCode(err.Error(), row.code), MaxMessage)
		}
		return &Error{Code: row.code, Message: message, Err: err}
	}
	return &Error{Code: CodeInternal, Message: internalMessage, Err: err}
}

// words is the code as a text has it.
func (c Code) words() string { return strings.ReplaceAll(string(c), "_", " ") }

// withoutCode takes the words of the code out of a text that says more: the code
// stands before it already.
func withoutCode(text string, code Code) string {
	words := code.words() + ": "
	if rest, ok := strings.CutPrefix(text, words); ok {
		return rest
	}
	return strings.Replace(text, ": "+words, ": ", 1)
}

// failure is what a call of the function at path ends with. The outermost
// function names itself: a client never learns which internal one failed.
func failure(path string, err error) *Error {
	e := AsError(err)
	return &Error{Code: e.Code, Path: path, Message: e.Message, Err: err, RetryAfter: e.RetryAfter}
}
