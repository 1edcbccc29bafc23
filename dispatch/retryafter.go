package dispatch

import (
	"errors"
	"fmt"
	"time"
)

// MaxRetryAfter bounds how long a RetryAfter puts a job off.
const MaxRetryAfter = 24 * time.Hour

// Postponement is the error of RetryAfter, for errors.As.
type Postponement struct {
	After     time.Duration // 0 to MaxRetryAfter
	WholePool bool          // all of the job's pool waits, or of its key
	Backoff   bool          // it waits as the job's policy has it, if that is longer
	Err       error         // the cause; may be nil
}

// RetryAfterOption changes a Postponement.
type RetryAfterOption func(*Postponement)

// WholePool has nothing of the job's pool begin before the job does, or in a pool with keys
// nothing of its key: a peer that has answered one call with 429 would answer all so. A
// job that is in no pool is put off alone. Of a pool that all apps share it is the job's app
// that is put off, and the others go on.
func WholePool() RetryAfterOption { return func(p *Postponement) { p.WholePool = true } }

// Because has the error wrap its cause, which is for the log and for errors.As; if that is
// an *Error, code and message are those of it.
func Because(err error) RetryAfterOption { return func(p *Postponement) { p.Err = err } }

// RetryAfter returns the error with which a handler puts its job off: it is tried again
// once d has passed, and this attempt is not charged. It counts as an attempt, but the
// limit of retries does not count it. A mutation is rolled back as by any error. A job that
// has put itself off 1,000 times in a row, or for 24 hours, is charged from then on as
// for any failure, and so is one that runs AtMostOnce: it has failed. A d of less than 0
// is 0, and one of more than MaxRetryAfter is that.
//
// It stands whatever has ended the context meanwhile, and it may be wrapped: by fmt.Errorf,
// or by a function that was run and has passed it on. To a client it is CodeUnavailable, with
// d as Error.RetryAfter.
func RetryAfter(d time.Duration, opts ...RetryAfterOption) error {
	p := &Postponement{After: min(max(d, 0), MaxRetryAfter)}
	for _, opt := range opts {
		opt(p)
	}
	return p
}

// Error returns the text for people inside the process.
func (p *Postponement) Error() string {
	if p.Err == nil {
		return p.message()
	}
	return p.message() + ": " + p.Err.Error()
}

// Unwrap returns the cause.
func (p *Postponement) Unwrap() error { return p.Err }

func (p *Postponement) message() string { return fmt.Sprintf("to be tried again after %v", p.After) }

// retryAfterOf is how long err says to wait, 0 if it says nothing.
func retryAfterOf(err error) time.Duration {
	var p *Postponement
	if errors.As(err, &p) {
		return p.After
	}
	return 0
}
