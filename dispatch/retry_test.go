package dispatch_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// D3.
func TestRetryWaits(t *testing.T) {
	const ms, s, longest = time.Millisecond, time.Second, math.MaxInt64 / time.Millisecond * time.Millisecond
	for _, tt := range []struct {
		name   string
		policy dispatch.RetryPolicy
		first  int // number of the first failure asked about
		want   []time.Duration
	}{
		{"default", dispatch.DefaultRetry(), 1, []time.Duration{30 * s, 60 * s, 120 * s, 240 * s, 480 * s}},
		{"linear", dispatch.RetryPolicy{MaxAttempts: 4, Backoff: dispatch.Linear, Base: s}, 1, []time.Duration{s, 2 * s, 3 * s}},
		{"max", dispatch.RetryPolicy{MaxAttempts: 5, Base: s, Max: 3 * s}, 1, []time.Duration{s, 2 * s, 3 * s, 3 * s}},
		{"max below base", dispatch.RetryPolicy{MaxAttempts: 2, Base: s, Max: ms}, 1, []time.Duration{ms}},
		{"at once", dispatch.RetryPolicy{MaxAttempts: 3}, 1, []time.Duration{0, 0}},
		{"rounded up", dispatch.RetryPolicy{MaxAttempts: 4, Base: ms/2 + 1}, 1, []time.Duration{ms, 2 * ms, 3 * ms}},
		{"exponential saturates", dispatch.RetryPolicy{MaxAttempts: 1000, Base: time.Hour}, 997, []time.Duration{longest, longest, longest}},
		{"linear saturates", dispatch.RetryPolicy{MaxAttempts: 1000, Backoff: dispatch.Linear, Base: math.MaxInt64 / 998}, 999, []time.Duration{longest}},
		{"base saturates", dispatch.RetryPolicy{MaxAttempts: 2, Base: math.MaxInt64}, 1, []time.Duration{longest}},
		{"tiny base saturates", dispatch.RetryPolicy{MaxAttempts: 1000, Base: 1}, 64, []time.Duration{longest}},
		{"saturates to max", dispatch.RetryPolicy{MaxAttempts: 1000, Base: s, Max: time.Hour}, 999, []time.Duration{time.Hour}},
		{"so many by default", dispatch.RetryPolicy{Base: s}, 1, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s}},
		{"none", dispatch.RetryPolicy{MaxAttempts: 1}, 1, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, want := range tt.want {
				if got, ok := tt.policy.Next(tt.first + i); !ok || got != want {
					t.Errorf("after failure %d: %s, %v, want %s", tt.first+i, got, ok, want)
				}
			}
			attempts := tt.policy.MaxAttempts
			if attempts == 0 {
				attempts = 6
			}
			if got, ok := tt.policy.Next(attempts); ok {
				t.Errorf("after the last failure: %s", got)
			}
		})
	}
	if _, ok := dispatch.DefaultRetry().Next(0); ok {
		t.Error("a wait after no failure")
	}
}

// The job's own policy wins over its function's, and that over the default.
func TestRetryOf(t *testing.T) {
	reg := dispatch.NewRegistry()
	own := dispatch.RetryPolicy{Base: time.Second, Jitter: true}
	declared := dispatch.Mutation[dispatch.None, dispatch.None]("t:own", dispatch.Retry(own), dispatch.Formerly("t:old"))
	declared.Handle(reg, func(*dispatch.MutationCtx, dispatch.None) (dispatch.None, error) { return dispatch.None{}, nil })
	own.MaxAttempts = 6
	stored := &storage.Retry{Limit: 2, Linear: true, Base: time.Second, Max: time.Minute, Jitter: true}
	for _, tt := range []struct {
		path   string
		stored *storage.Retry
		want   dispatch.RetryPolicy
	}{
		{"t:own", nil, own},
		{"t:old", nil, own},
		{"t:other", nil, dispatch.DefaultRetry()},
		{"t:own", stored, dispatch.RetryPolicy{MaxAttempts: 3, Backoff: dispatch.Linear, Base: time.Second, Max: time.Minute, Jitter: true}},
		{"t:own", &storage.Retry{}, dispatch.RetryPolicy{MaxAttempts: 1}},
	} {
		if got := reg.RetryOf(tt.path, tt.stored); got != tt.want {
			t.Errorf("%s with %+v: policy %+v, want %+v", tt.path, tt.stored, got, tt.want)
		}
	}
	reg.Functions()[0].Retry.MaxAttempts = 1 // a copy
	if got := reg.RetryOf("t:own", nil); got != own {
		t.Errorf("the function's policy was changed from outside: %+v", got)
	}
}

func TestRetryOfAFunctionIsChecked(t *testing.T) {
	for name, declare := range map[string]func(){
		"retry: 1001 attempts": func() {
			dispatch.Action[dispatch.None, dispatch.None]("t:a", dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 1001}))
		},
		"a query is never retried": func() {
			dispatch.Query[dispatch.None, dispatch.None]("t:q", dispatch.Retry(dispatch.DefaultRetry()))
		},
	} {
		func() {
			defer func() {
				if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), name) {
					t.Errorf("panic %v, want %q", v, name)
				}
			}()
			declare()
		}()
	}
}

// Full jitter: over many jobs the waits are even from 0 to the whole of it, and
// the wait of one attempt is always the same.
func TestRetryJitter(t *testing.T) {
	policy := dispatch.RetryPolicy{Jitter: true}
	const jobs, most = 10_000, 9 * time.Millisecond
	counts := map[time.Duration]int{}
	for i := range jobs {
		key := fmt.Sprintf("acme/job%d", i)
		wait := policy.Jittered(most, key, 1)
		counts[wait]++
		if again := policy.Jittered(most, key, 1); again != wait {
			t.Fatalf("%v, then %v", wait, again)
		}
	}
	for ms := range 10 {
		wait := time.Duration(ms) * time.Millisecond
		if n := counts[wait]; n < jobs/10*8/10 || n > jobs/10*12/10 {
			t.Errorf("%d of %d wait for %v", n, jobs, wait)
		}
		delete(counts, wait)
	}
	if len(counts) > 0 {
		t.Errorf("waits out of bounds: %v", counts)
	}
	same := 0
	for i := range 1000 {
		key := fmt.Sprint(i)
		if policy.Jittered(time.Hour, key, 1) == policy.Jittered(time.Hour, key, 2) {
			same++
		}
	}
	if same > 10 {
		t.Errorf("%d of 1000 jobs wait alike after their first and their second failure", same)
	}
	if got := (dispatch.RetryPolicy{}).Jittered(most, "x", 1); got != most {
		t.Errorf("without jitter %v", got)
	}
	if got := policy.Jittered(0, "x", 1); got != 0 {
		t.Errorf("of nothing %v", got)
	}
}
