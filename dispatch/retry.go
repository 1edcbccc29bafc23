package dispatch

import (
	"fmt"
	"math"
	"time"

	"carillon/storage"
)

// MaxRetries bounds RetryPolicy.Limit.
const MaxRetries = 1000

// Backoff is how the wait grows from retry to retry.
type Backoff int

// The ways to grow.
const (
	Exponential Backoff = iota // Base, 2·Base, 4·Base, …
	Linear                     // Base, 2·Base, 3·Base, …
)

// RetryPolicy says how often a failed job is run again, and how long it waits
// each time, counted from the end of the failed attempt.
type RetryPolicy struct {
	Limit   int           // retries after the first run, 0 to MaxRetries
	Backoff Backoff       // default Exponential
	Base    time.Duration // wait before the first retry; 0 retries at once
	Max     time.Duration // longest wait; 0 means no bound
}

// DefaultRetry returns the policy of a job that has none: 5 retries,
// after 30 s, 1 min, 2 min, 4 min and 8 min.
func DefaultRetry() RetryPolicy {
	return RetryPolicy{Limit: 5, Backoff: Exponential, Base: 30 * time.Second}
}

// RetryOf returns the policy of a job from what is stored with it; nil is the default.
func RetryOf(stored *storage.Retry) RetryPolicy {
	if stored == nil {
		return DefaultRetry()
	}
	p := RetryPolicy{Limit: stored.Limit, Base: stored.Base, Max: stored.Max}
	if stored.Linear {
		p.Backoff = Linear
	}
	return p
}

// Next says what follows after the given number of failures, 1 or more: the
// wait before the next attempt, in whole milliseconds, or ok false if the
// retries are spent. It never overflows; a wait that would is the longest that
// a time.Duration can hold, about 292 years.
func (p RetryPolicy) Next(failures int) (wait time.Duration, ok bool) {
	if failures < 1 || failures > p.Limit {
		return 0, false
	}
	wait = p.Base
	switch p.Backoff {
	case Linear:
		wait = multiply(wait, int64(failures))
	default:
		for i := 1; i < failures && wait > 0 && wait < math.MaxInt64; i++ {
			wait = multiply(wait, 2)
		}
	}
	if p.Max > 0 {
		wait = min(wait, p.Max)
	}
	return ceil(wait), true
}

// check refuses a policy outside of its bounds.
func (p RetryPolicy) check() error {
	switch {
	case p.Limit < 0 || p.Limit > MaxRetries:
		return fmt.Errorf("retry: limit %d is not in 0 to %d", p.Limit, MaxRetries)
	case p.Backoff != Exponential && p.Backoff != Linear:
		return fmt.Errorf("retry: unknown backoff %d", p.Backoff)
	case p.Base < 0:
		return fmt.Errorf("retry: base %s is negative", p.Base)
	case p.Max < 0:
		return fmt.Errorf("retry: max %s is negative", p.Max)
	}
	return nil
}

// stored is the policy as a job holds it, in whole milliseconds.
func (p RetryPolicy) stored() *storage.Retry {
	return &storage.Retry{Limit: p.Limit, Linear: p.Backoff == Linear, Base: ceil(p.Base), Max: ceil(p.Max)}
}

// multiply is d·n, or the longest duration there is; d and n are not negative.
func multiply(d time.Duration, n int64) time.Duration {
	if n > 0 && int64(d) > math.MaxInt64/n {
		return math.MaxInt64
	}
	return d * time.Duration(n)
}

// longest is the longest duration of whole milliseconds.
const longest = math.MaxInt64 / time.Millisecond * time.Millisecond

// ceil rounds up to a whole millisecond, so that nothing is ever early.
func ceil(d time.Duration) time.Duration {
	if d >= longest {
		return longest
	}
	if rest := d % time.Millisecond; rest > 0 {
		d += time.Millisecond - rest
	}
	return d
}
