package dispatch_test

import (
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// plan plans a call of the action, declared with the options, at an instant.
func plan(t *testing.T, declared []dispatch.FunctionOption, opts ...dispatch.RunOption) (storage.Job, error) {
	t.Helper()
	reg := dispatch.NewRegistry()
	mail := dispatch.InternalAction[message, dispatch.None]("mail:default", declared...)
	mail.Handle(reg, func(*dispatch.ActionCtx, message) (dispatch.None, error) { return dispatch.None{}, nil })
	return dispatch.Planner{Registry: reg, Now: time.UnixMilli(5000), Identity: &dispatch.Identity{Subject: "ann"}}.At(time.UnixMilli(10_000), mail.With(message{"hi"}), opts...)
}

// TestDefaults: a job has the options of its function, and its own win over them.
func TestDefaults(t *testing.T) {
	declared := []dispatch.FunctionOption{dispatch.Defaults(
		dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 3}), dispatch.Timeout(time.Second), dispatch.AsCaller(), dispatch.Priority(1),
		dispatch.ExpiresAfter(time.Minute), dispatch.Tags("mail"), dispatch.Unique("key", dispatch.Refuse()),
	)}
	job, err := plan(t, declared)
	if err != nil {
		t.Fatal(err)
	}
	if job.Retry == nil || job.Retry.Limit != 2 || job.Timeout != time.Second || !strings.Contains(string(job.Claims), "ann") || job.Priority != 1 ||
		!job.NotAfter.Equal(time.UnixMilli(70_000)) || job.Tags[0] != "mail" || job.UniqueKey() == "" {
		t.Errorf("a job that says nothing: %+v", job)
	}
	job, err = plan(t, declared, dispatch.AtMostOnce(), dispatch.Timeout(time.Minute), dispatch.Priority(3), dispatch.Tags(),
		dispatch.NotAfter(time.UnixMilli(20_000)), dispatch.Unique("other", dispatch.Keep()))
	if err != nil {
		t.Fatal(err)
	}
	if job.Retry.Limit != 0 || !job.AtMostOnce || job.Timeout != time.Minute || job.Priority != 3 || !job.NotAfter.Equal(time.UnixMilli(20_000)) ||
		len(job.Tags) > 0 || !strings.Contains(job.UniqueKey(), "other") {
		t.Errorf("a job that says all: %+v", job)
	}
	once := []dispatch.FunctionOption{dispatch.Defaults(dispatch.AtMostOnce())}
	if job, err = plan(t, once); err != nil || !job.AtMostOnce {
		t.Errorf("of a function that runs at most once: %+v, %v", job, err)
	}
	if job, err = plan(t, once, dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 4})); err != nil || job.AtMostOnce || job.Retry.Limit != 3 {
		t.Errorf("of a function that runs at most once, with retries of its own: %+v, %v", job, err)
	}
	if _, err = plan(t, once, dispatch.AtMostOnce(), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 4})); err == nil {
		t.Error("a job that is to run at most once and to be tried again is planned")
	}
}

// TestG12_ExpiresAfter: the span counts from the instant that the job is scheduled for, in
// whole milliseconds, and is 0 or more.
func TestG12_ExpiresAfter(t *testing.T) {
	for _, tt := range []struct {
		span time.Duration
		last int64 // 0: refused
	}{{0, 10_000}, {1, 10_001}, {time.Millisecond, 10_001}, {-1, 0}, {1<<63 - 1, 10_000 + 9_223_372_036_854}} {
		job, err := plan(t, nil, dispatch.ExpiresAfter(tt.span))
		switch {
		case tt.last == 0 && err == nil:
			t.Errorf("%v is let pass", tt.span)
		case tt.last != 0 && (err != nil || job.NotAfter.UnixMilli() != tt.last):
			t.Errorf("%v: not after %d, %v, want %d", tt.span, job.NotAfter.UnixMilli(), err, tt.last)
		}
	}
	job, err := plan(t, nil, dispatch.NotAfter(time.UnixMilli(20_000)), dispatch.ExpiresAfter(time.Second))
	if err != nil || job.NotAfter.UnixMilli() != 11_000 {
		t.Errorf("of two the last one counts: %v, %v", job.NotAfter, err)
	}
}

// TestDefaultsAtFault: what cannot be the option of all jobs is refused where it is declared.
func TestDefaultsAtFault(t *testing.T) {
	var told storage.Told
	for want, opt := range map[string]dispatch.RunOption{
		"an ID is of one job": dispatch.ID("a"), "Once is of one job": dispatch.Once("a"), "Tell is of one job": dispatch.Tell(&told),
		"NotAfter is of one job": dispatch.NotAfter(time.UnixMilli(20_000)), "timeout 0s": dispatch.Timeout(0), "tag": dispatch.Tags(""),
		"-1ns is negative": dispatch.ExpiresAfter(-1), "1001 attempts": dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: dispatch.MaxAttempts + 1}),
	} {
		mustPanic(t, want, func() { dispatch.InternalAction[message, none]("mail:fault", dispatch.Defaults(opt)) })
	}
	mustPanic(t, "a query is never a job", func() { dispatch.Query[none, none]("mail:asked", dispatch.Defaults(dispatch.AsCaller())) })
	mustPanic(t, "AtMostOnce is for actions", func() { dispatch.InternalMutation[none, none]("mail:kept", dispatch.Defaults(dispatch.AtMostOnce())) })
}
