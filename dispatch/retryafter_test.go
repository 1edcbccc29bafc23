package dispatch_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"carillon/dispatch"
)

// TestG28_RetryAfterIsAnError: that wraps its cause, is found by errors.As, has bounds, and
// tells a caller how long to wait.
func TestG28_RetryAfterIsAnError(t *testing.T) {
	err := fmt.Errorf("charging: %w", dispatch.RetryAfter(time.Minute, dispatch.Because(io.ErrUnexpectedEOF), dispatch.WholePool()))
	var p *dispatch.Postponement
	if !errors.As(err, &p) || p.After != time.Minute || !p.WholePool || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the postponement is %+v", p)
	}
	if want := "charging: to be tried again after 1m0s: unexpected EOF"; err.Error() != want {
		t.Errorf("the text is %q, want %q", err, want)
	}
	if e := dispatch.AsError(err); e.Code != dispatch.CodeUnavailable || e.Message != "to be tried again after 1m0s" || e.RetryAfter != time.Minute {
		t.Errorf("a caller is told %+v", e)
	}
	limited := dispatch.Errorf(dispatch.CodeResourceExhausted, "too many")
	if e := dispatch.AsError(dispatch.RetryAfter(time.Minute, dispatch.Because(limited))); e.Code != dispatch.CodeResourceExhausted || e.Message != "too many" || e.RetryAfter != time.Minute {
		t.Errorf("with a cause that has a code a caller is told %+v", e)
	}
	for d, want := range map[time.Duration]time.Duration{
		-time.Hour: 0, -1: 0, 0: 0, 1: 1,
		dispatch.MaxRetryAfter: dispatch.MaxRetryAfter, dispatch.MaxRetryAfter + 1: dispatch.MaxRetryAfter,
	} {
		if errors.As(dispatch.RetryAfter(d), &p); p.After != want || p.WholePool {
			t.Errorf("RetryAfter(%v) is %+v, want %v", d, p, want)
		}
	}
}
