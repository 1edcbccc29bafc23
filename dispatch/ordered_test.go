package dispatch_test

import (
	"testing"

	"carillon/dispatch"
)

// TestG27_AnOrderedPoolHasOnePermit: any other limit is a panic that says so.
func TestG27_AnOrderedPoolHasOnePermit(t *testing.T) {
	if p := dispatch.NewPool("user", 1, dispatch.Ordered()); !p.IsOrdered() || dispatch.NewPool("user", 1).IsOrdered() {
		t.Error("IsOrdered does not say what was declared")
	}
	defer func() {
		if v := recover(); v != "dispatch: pool user: limit 2, want 1: it is Ordered, and runs one job after another" {
			t.Errorf("a limit of 2: %v", v)
		}
	}()
	dispatch.NewPool("user", 2, dispatch.Ordered())
}
