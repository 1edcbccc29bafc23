package dispatch

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"

	"carillon/storage"
)

// MaxAttempts bounds RetryPolicy.MaxAttempts.
const MaxAttempts = 1000

// Backoff is how the wait grows from retry to retry.
type Backoff int

// The ways to grow.
const (
	Exponential Backoff = iota // Base, 2·Base, 4·Base, …
	Linear                     // Base, 2·Base, 3·Base, …
)

// RetryPolicy says how many attempts a job has, and how long it waits between
// them, counted from the end of the failed one. An attempt that the engine
// interrupted, because it was closed or crashed, counts as none.
type RetryPolicy struct {
	MaxAttempts int           // attempts in all, the first one included, 1 to MaxAttempts; default 6
	Backoff     Backoff       // default Exponential
	Base        time.Duration // wait before the second attempt; 0 is none
	Max         time.Duration // longest wait; 0 means no bound
	// Jitter spreads jobs that failed together: each wait is anywhere between 0 and
	// what it would be without ("full jitter"). Default false.
	Jitter bool
}

// defaultAttempts is MaxAttempts of a policy that says nothing.
const defaultAttempts = 6

// DefaultRetry returns the policy where neither a job nor its function has one: 6
// attempts, 30 s, 1 min, 2 min, 4 min and 8 min apart.
func DefaultRetry() RetryPolicy {
	return RetryPolicy{MaxAttempts: defaultAttempts, Backoff: Exponential, Base: 30 * time.Second}
}

// Retry is the policy of the function's jobs that have none of their own, instead
// of DefaultRetry. It is looked up whenever an attempt fails, so a release that
// changes it changes it for the jobs that are stored already. An option of the
// job, WithRetry, NoRetry or AtMostOnce, wins. It panics for a query, which is never a job,
// and for a policy outside of its bounds.
func Retry(policy RetryPolicy) FunctionOption {
	return functionOption(func(info *Info) {
		if info.Kind == KindQuery {
			panic(fmt.Sprintf("dispatch: %s: a query is never retried", info.Path))
		}
		if err := policy.check(); err != nil {
			panic(fmt.Sprintf("dispatch: %s: %s", info.Path, err))
		}
		policy.MaxAttempts = policy.attempts()
		info.Retry = &policy
	})
}

// RetryOf returns the policy of a job of the function at the path: what is stored
// with the job, or if that is nil the function's own, or DefaultRetry.
func (r *Registry) RetryOf(path string, stored *storage.Retry) RetryPolicy {
	if stored == nil {
		if fn, ok := r.Lookup(path); ok && fn.Retry != nil {
			return *fn.Retry
		}
		return DefaultRetry()
	}
	p := RetryPolicy{MaxAttempts: stored.Limit + 1, Base: stored.Base, Max: stored.Max, Jitter: stored.Jitter}
	if stored.Linear {
		p.Backoff = Linear
	}
	return p
}

// attempts is MaxAttempts or its default.
func (p RetryPolicy) attempts() int {
	if p.MaxAttempts == 0 {
		return defaultAttempts
	}
	return p.MaxAttempts
}

// Next says what follows after the given number of failures, 1 or more: the
// wait before the next attempt, in whole milliseconds and without jitter, or ok
// false if there is none. It never overflows; a wait that would is the longest
// that a time.Duration can hold, about 292 years.
func (p RetryPolicy) Next(failures int) (wait time.Duration, ok bool) {
	if failures < 1 || failures >= p.attempts() {
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
	case p.MaxAttempts < 0 || p.MaxAttempts > MaxAttempts:
		return fmt.Errorf("retry: %d attempts are not in 1 to %d", p.MaxAttempts, MaxAttempts)
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
	return &storage.Retry{
		Limit: p.attempts() - 1, Linear: p.Backoff == Linear, Base: ceil(p.Base), Max: ceil(p.Max), Jitter: p.Jitter,
	}
}

// Jittered is the wait of the job's attempt under the policy, which without Jitter is
// the wait as it is. With it the wait is anywhere in 0 to wait, in whole
// milliseconds: always the same for one key and attempt, and even over many.
func (p RetryPolicy) Jittered(wait time.Duration, key string, attempt int) time.Duration {
	if !p.Jitter || wait <= 0 {
		return wait
	}
	h := fnv.New64a()
	h.Write([]byte(key))
	r := rand.New(rand.NewPCG(h.Sum64(), uint64(attempt)))
	return time.Duration(r.Uint64N(uint64(wait/time.Millisecond)+1)) * time.Millisecond
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
