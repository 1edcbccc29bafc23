package dispatch_test

import (
	"math"
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
		{"linear", dispatch.RetryPolicy{Limit: 3, Backoff: dispatch.Linear, Base: s}, 1, []time.Duration{s, 2 * s, 3 * s}},
		{"max", dispatch.RetryPolicy{Limit: 4, Base: s, Max: 3 * s}, 1, []time.Duration{s, 2 * s, 3 * s, 3 * s}},
		{"max below base", dispatch.RetryPolicy{Limit: 1, Base: s, Max: ms}, 1, []time.Duration{ms}},
		{"at once", dispatch.RetryPolicy{Limit: 2}, 1, []time.Duration{0, 0}},
		{"rounded up", dispatch.RetryPolicy{Limit: 3, Base: ms/2 + 1}, 1, []time.Duration{ms, 2 * ms, 3 * ms}},
		{"exponential saturates", dispatch.RetryPolicy{Limit: 1000, Base: time.Hour}, 998, []time.Duration{longest, longest, longest}},
		{"linear saturates", dispatch.RetryPolicy{Limit: 1000, Backoff: dispatch.Linear, Base: math.MaxInt64 / 999}, 1000, []time.Duration{longest}},
		{"base saturates", dispatch.RetryPolicy{Limit: 1, Base: math.MaxInt64}, 1, []time.Duration{longest}},
		{"tiny base saturates", dispatch.RetryPolicy{Limit: 1000, Base: 1}, 64, []time.Duration{longest}},
		{"saturates to max", dispatch.RetryPolicy{Limit: 1000, Base: s, Max: time.Hour}, 1000, []time.Duration{time.Hour}},
		{"none", dispatch.RetryPolicy{}, 1, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, want := range tt.want {
				if got, ok := tt.policy.Next(tt.first + i); !ok || got != want {
					t.Errorf("after failure %d: %s, %v, want %s", tt.first+i, got, ok, want)
				}
			}
			if got, ok := tt.policy.Next(tt.policy.Limit + 1); ok {
				t.Errorf("after the last failure: %s", got)
			}
		})
	}
	if _, ok := dispatch.DefaultRetry().Next(0); ok {
		t.Error("a wait after no failure")
	}
}

func TestRetryOfWhatIsStored(t *testing.T) {
	if got := dispatch.RetryOf(nil); got != dispatch.DefaultRetry() {
		t.Errorf("nothing stored is %+v", got)
	}
	got := dispatch.RetryOf(&storage.Retry{Limit: 2, Linear: true, Base: time.Second, Max: time.Minute})
	if want := (dispatch.RetryPolicy{Limit: 2, Backoff: dispatch.Linear, Base: time.Second, Max: time.Minute}); got != want {
		t.Errorf("policy %+v, want %+v", got, want)
	}
}
