package dispatch_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// noon is the planner's clock in these tests: a whole millisecond.
var noon = time.Date(2026, 3, 29, 12, 0, 0, int(7*time.Millisecond), time.UTC)

func plannerAt(now time.Time) dispatch.Planner {
	reg := dispatch.NewRegistry()
	handleNothing[none](reg, "a:mutation", dispatch.Formerly("a:old"))
	dispatch.InternalAction[none, none]("a:action").Handle(reg, func(*dispatch.ActionCtx, none) (none, error) { return none{}, nil })
	return dispatch.Planner{Registry: reg, Clock: func() (time.Time, storage.EraID) { return now, 0 }}
}

var (
	mutation = dispatch.Path("a:mutation").With(nil)
	action   = dispatch.Path("a:action").With(nil)
)

// D3.
func TestRunAfterIsNeverEarly(t *testing.T) {
	longest := time.Duration(math.MaxInt64)
	for _, tt := range []struct {
		name  string
		now   time.Time
		delay time.Duration
		want  time.Time // zero means refused
	}{
		{"at once", noon, 0, noon},
		{"a second", noon, time.Second, noon.Add(time.Second)},
		{"a nanosecond", noon, 1, noon.Add(time.Millisecond)},
		{"a fraction", noon, 1500500 * time.Microsecond, noon.Add(1501 * time.Millisecond)},
		{"clock between milliseconds", noon.Add(1), 0, noon.Add(time.Millisecond)},
		{"clock and delay make a whole", noon.Add(400), time.Millisecond - 400, noon.Add(time.Millisecond)},
		{"longest", noon, longest, noon.Add(longest).Truncate(time.Millisecond).Add(time.Millisecond)},
		{"other zone", noon.In(time.FixedZone("x", 3600)), 0, noon},
		{"clock before 1970", time.Time{}, 0, time.UnixMilli(1).UTC()},
		{"clock at 1970", time.UnixMilli(0), 0, time.UnixMilli(1).UTC()},
		{"negative", noon, -1, time.Time{}},
		{"most negative", noon, math.MinInt64, time.Time{}},
		{"up to the latest", storage.MaxInstant.Add(-time.Second), time.Second, storage.MaxInstant},
		{"past the latest", storage.MaxInstant.Add(-time.Second), time.Second + 1, time.Time{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			job, err := plannerAt(tt.now).After(tt.delay, mutation)
			if tt.want.IsZero() {
				if e := dispatch.AsError(err); e == nil || e.Code != dispatch.CodeInvalidArgument || e.Path != "a:mutation" {
					t.Errorf("error %v, job due %v", err, job.Due)
				}
				return
			}
			mustDo(t, err)
			if !job.Due.Equal(tt.want) || job.Due.Location() != time.UTC || job.Due != job.ScheduledFor {
				t.Errorf("due %v, scheduled for %v, want %v", job.Due, job.ScheduledFor, tt.want)
			}
			if job.EnqueuedAt.After(job.Due) || job.EnqueuedAt.Nanosecond()%int(time.Millisecond) != 0 {
				t.Errorf("enqueued at %v, due %v", job.EnqueuedAt, job.Due)
			}
		})
	}
}

// D3.
func TestRunAtTakesEveryInstantAJobCanBeDueAt(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   time.Time
		want time.Time // zero means refused
	}{
		{"future", noon.Add(time.Hour), noon.Add(time.Hour)},
		{"past", noon.Add(-time.Hour), noon.Add(-time.Hour)},
		{"fraction", noon.Add(1), noon.Add(time.Millisecond)},
		{"first", time.Unix(0, 1), time.UnixMilli(1).UTC()},
		{"1970", time.UnixMilli(0), time.Time{}},
		{"before 1970", time.Unix(0, -1), time.Time{}},
		{"fraction before 1970", time.UnixMilli(-1).Add(1), time.Time{}},
		{"zero", time.Time{}, time.Time{}},
		{"far past", time.Unix(math.MinInt64/2, 0), time.Time{}},
		{"latest", storage.MaxInstant, storage.MaxInstant},
		{"rounded to the latest", storage.MaxInstant.Add(-1), storage.MaxInstant},
		{"past the latest", storage.MaxInstant.Add(1), time.Time{}},
		{"far future", time.Unix(math.MaxInt64/2, 0), time.Time{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			job, err := plannerAt(noon).At(tt.at, action)
			if tt.want.IsZero() {
				if e := dispatch.AsError(err); e == nil || e.Code != dispatch.CodeInvalidArgument {
					t.Errorf("error %v, job due %v", err, job.Due)
				}
				return
			}
			mustDo(t, err)
			if !job.Due.Equal(tt.want) || job.ScheduledFor != job.Due {
				t.Errorf("due %v, scheduled for %v, want %v", job.Due, job.ScheduledFor, tt.want)
			}
		})
	}
}

func TestPlannedJob(t *testing.T) {
	p := plannerAt(noon)
	p.Identity = &dispatch.Identity{Subject: "ada"}
	job, err := p.After(time.Second, dispatch.Path("a:old").With(nil))
	mustDo(t, err)
	want := storage.Job{
		Function: "a:mutation", Args: []byte("{}"), State: storage.StatePending,
		Due: noon.Add(time.Second), ScheduledFor: noon.Add(time.Second), EnqueuedAt: noon,
	}
	if !reflect.DeepEqual(job, want) {
		t.Errorf("job %+v\nwant %+v", job, want)
	}

	job, err = p.After(
		time.Second, action, dispatch.ID("x"), dispatch.AsCaller(), dispatch.AtMostOnce(), dispatch.Timeout(time.Second+1),
	)
	mustDo(t, err)
	want.ID, want.Function, want.AtMostOnce, want.Retry = "x", "a:action", true, &storage.Retry{}
	want.Timeout, want.Claims = 1001*time.Millisecond, []byte(`{"subject":"ada"}`)
	if !reflect.DeepEqual(job, want) {
		t.Errorf("job %+v\nwant %+v", job, want)
	}

	p.Identity = nil
	job, err = p.After(0, action, dispatch.AsCaller())
	mustDo(t, err)
	if job.Claims != nil {
		t.Errorf("nobody's claims are %s", job.Claims)
	}
}

func TestRunOptions(t *testing.T) {
	retry := func(p dispatch.RetryPolicy) []dispatch.RunOption { return []dispatch.RunOption{dispatch.WithRetry(p)} }
	one := func(o dispatch.RunOption) []dispatch.RunOption { return []dispatch.RunOption{o} }
	for _, tt := range []struct {
		name string
		call dispatch.Call
		opts []dispatch.RunOption
		want string // in the message; "" means accepted
	}{
		{"id", mutation, one(dispatch.ID("A_9-z")), ""},
		{"longest id", mutation, one(dispatch.ID(storage.JobID(strings.Repeat("x", 64)))), ""},
		{"id too long", mutation, one(dispatch.ID(storage.JobID(strings.Repeat("x", 65)))), "job id"},
		{"empty id", mutation, one(dispatch.ID("")), "job id"},
		{"id with a leading dash", mutation, one(dispatch.ID("-a")), "job id"},
		{"id with a colon", mutation, one(dispatch.ID("a:b")), "job id"},
		{"timeout", mutation, one(dispatch.Timeout(1)), ""},
		{"longest timeout", mutation, one(dispatch.Timeout(math.MaxInt64)), ""},
		{"zero timeout", mutation, one(dispatch.Timeout(0)), "timeout 0s is not positive"},
		{"negative timeout", mutation, one(dispatch.Timeout(-1)), "timeout -1ns is not positive"},
		{"no retry", mutation, one(dispatch.NoRetry()), ""},
		{"most attempts", mutation, retry(dispatch.RetryPolicy{MaxAttempts: dispatch.MaxAttempts}), ""},
		{"too many attempts", mutation, retry(dispatch.RetryPolicy{MaxAttempts: dispatch.MaxAttempts + 1}), "1001 attempts are not in 1 to 1000"},
		{"negative attempts", mutation, retry(dispatch.RetryPolicy{MaxAttempts: -1}), "-1 attempts are not in 1 to 1000"},
		{"negative base", mutation, retry(dispatch.RetryPolicy{Base: -1}), "base -1ns is negative"},
		{"negative max", mutation, retry(dispatch.RetryPolicy{Max: -1}), "max -1ns is negative"},
		{"unknown backoff", mutation, retry(dispatch.RetryPolicy{Backoff: 2}), "unknown backoff 2"},
		{"at most once", action, one(dispatch.AtMostOnce()), ""},
		{"at most once without retry", action, []dispatch.RunOption{dispatch.AtMostOnce(), dispatch.NoRetry()}, ""},
		{"at most once with retries", action, append(retry(dispatch.RetryPolicy{MaxAttempts: 2}), dispatch.AtMostOnce()), "AtMostOnce excludes retries"},
		{"at most once mutation", mutation, one(dispatch.AtMostOnce()), "AtMostOnce is for actions"},
		{"last one counts", mutation, []dispatch.RunOption{dispatch.Timeout(-1), dispatch.Timeout(1)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := plannerAt(noon).After(0, tt.call, tt.opts...)
			if tt.want == "" {
				mustDo(t, err)
				return
			}
			e := dispatch.AsError(err)
			if e == nil || e.Code != dispatch.CodeInvalidArgument || !strings.Contains(e.Message, tt.want) {
				t.Errorf("error %v, want invalid_argument with %q", err, tt.want)
			}
		})
	}
	_, err := plannerAt(noon).After(0, mutation, dispatch.ID(""))
	if !errors.Is(err, storage.ErrInvalid) {
		t.Errorf("%v does not wrap storage.ErrInvalid", err)
	}
}

func TestStoredRetryIsInWholeMilliseconds(t *testing.T) {
	job, err := plannerAt(noon).After(0, mutation, dispatch.WithRetry(dispatch.RetryPolicy{
		MaxAttempts: 4, Backoff: dispatch.Linear, Base: 1, Max: math.MaxInt64,
	}))
	mustDo(t, err)
	want := &storage.Retry{Limit: 3, Linear: true, Base: time.Millisecond, Max: math.MaxInt64 / time.Millisecond * time.Millisecond}
	if !reflect.DeepEqual(job.Retry, want) {
		t.Errorf("stored %+v, want %+v", job.Retry, want)
	}
}

func TestAsCallerRefusesClaimsThatCannotBeStored(t *testing.T) {
	p := plannerAt(noon)
	p.Identity = &dispatch.Identity{Subject: "a", Claims: map[string]any{"c": strings.Repeat("x", dispatch.MaxIdentity)}}
	_, err := p.After(0, mutation, dispatch.AsCaller())
	if e := dispatch.AsError(err); e == nil || e.Code != dispatch.CodeResourceExhausted {
		t.Errorf("error %v", err)
	}
	_, err = p.After(0, mutation)
	mustDo(t, err)
}
