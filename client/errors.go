package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"carillon/server/api"
)

// Error is why a request has not come to its answer. Every error of this package is one, or wraps
// one. errors.Is tells its code: errors.Is(err, api.CodeNotFound).
type Error struct {
	Code      api.Code
	Path      string        // the function that was called; "" before one is known
	Message   string        // for people
	RequestID string        // of a fault of the server, whose cause is in its log under that id
	Present   *api.Document // of a refused change of a document: as it is; else nil
	// Status is that of the answer. 0: there was none. Then the code is unavailable if the
	// request has not reached a server, and else unknown: it may or may not have been done.
	Status int
	// RetryAfter is how long the server asks to wait before the same is asked again. 0: it does
	// not say.
	RetryAfter time.Duration
	Attempts   int   // how often the request was sent, 0 if it was not
	Err        error // what there is below, such as that of the connection or of the context; may be nil

	own bool // the server itself has refused, and no proxy in front of it
}

// Error returns the path, the code, the message, and how often the request was sent if that is more
// than once.
func (e *Error) Error() string {
	text := string(e.Code)
	if e.Path != "" {
		text = e.Path + ": " + text
	}
	if e.Message != "" && e.Message != string(e.Code) {
		text += ": " + e.Message
	}
	if e.Attempts > 1 {
		text += fmt.Sprintf(" (after %d attempts)", e.Attempts)
	}
	return text
}

// Unwrap returns what there is below.
func (e *Error) Unwrap() error { return e.Err }

// Is implements errors.Is for codes.
func (e *Error) Is(target error) bool {
	code, ok := target.(api.Code)
	return ok && code == e.Code
}

func invalid(format string, args ...any) *Error {
	return &Error{Code: api.CodeInvalidArgument, Message: fmt.Sprintf(format, args...)}
}

// ended is the error of a request whose context has ended, after last, which may be nil.
func ended(ctx context.Context, last *Error) *Error {
	e := &Error{Code: api.CodeCanceled, Message: ctx.Err().Error(), Err: ctx.Err()}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Code = api.CodeDeadlineExceeded
	}
	if last != nil {
		e.Attempts = last.Attempts
		e.Message += "; before: " + last.Message
	}
	return e
}

// unanswered is the error of a request that has no answer, or not all of it. What net/http wraps
// around it has the URL, in which there may be the token of an attempt.
func unanswered(err error) *Error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	e := &Error{Code: api.CodeUnknown, Message: "no answer: " + err.Error(), Err: err}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		e.Code, e.Message = api.CodeUnavailable, "no connection: "+err.Error()
	} else if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		e.Code, e.Message = api.CodeFailedPrecondition, "the server is not trusted: "+err.Error()
	}
	return e
}

// codeOf is what a status means that comes without a code: not from the server, but from a proxy
// in front of it.
func codeOf(status int) api.Code {
	switch status {
	case http.StatusUnauthorized:
		return api.CodeUnauthenticated
	case http.StatusForbidden:
		return api.CodePermissionDenied
	case http.StatusNotFound:
		return api.CodeNotFound
	case http.StatusTooManyRequests, http.StatusRequestEntityTooLarge:
		return api.CodeResourceExhausted
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return api.CodeUnavailable
	}
	if status < http.StatusInternalServerError {
		return api.CodeUnimplemented // this is another server
	}
	return api.CodeUnknown
}

// refusal is the error that an answer is, of which body is all or the beginning.
func refusal(resp *http.Response, body []byte) *Error {
	e := &Error{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	var told api.Error
	if json.Unmarshal(body, &told) == nil && told.Code != "" {
		e.Code, e.Path, e.Message, e.RequestID, e.own = told.Code, told.Path, told.Message, told.RequestID, true
		e.Present = told.Present
		return e
	}
	e.Code, e.Message = codeOf(resp.StatusCode), "the answer has status "+resp.Status+", and is none of the server's"
	return e
}

// retryAfter is the span that the header says: a number of seconds, or else none.
func retryAfter(header string) time.Duration {
	seconds, err := strconv.ParseUint(header, 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
