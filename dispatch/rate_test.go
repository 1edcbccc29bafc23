package dispatch_test

import (
	"fmt"
	"testing"
	"time"

	"carillon/dispatch"
)

// TestG28_BoundsOfARate: a rate out of bounds is a fault of the declaration.
func TestG28_BoundsOfARate(t *testing.T) {
	for _, tt := range []struct {
		n    int
		span time.Duration
		ok   bool
	}{
		{1, time.Millisecond, true},
		{dispatch.MaxRate, dispatch.MaxRateSpan, true},
		{0, time.Second, false},
		{-1, time.Second, false},
		{dispatch.MaxRate + 1, time.Second, false},
		{1, 0, false},
		{1, time.Millisecond - 1, false},
		{1, dispatch.MaxRateSpan + 1, false},
	} {
		t.Run(fmt.Sprint(tt.n, " in ", tt.span), func(t *testing.T) {
			defer func() {
				if v := recover(); (v == nil) != tt.ok {
					t.Errorf("NewPool panics with %v", v)
				}
			}()
			if n, span := dispatch.NewPool("stripe", 1, dispatch.Rate(tt.n, tt.span)).Rate(); n != tt.n || span != tt.span {
				t.Errorf("the rate is %d in %v", n, span)
			}
		})
	}
	if n, span := dispatch.NewPool("stripe", 1).Rate(); n != 0 || span != 0 {
		t.Errorf("without one the rate is %d in %v", n, span)
	}
}
