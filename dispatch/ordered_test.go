package dispatch_test

import (
	"testing"
	"time"

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

// TestG27_ASharedPoolIsNotOrdered: that is a panic, as is a rate, which would be of each
// app; what is declared is told.
func TestG27_ASharedPoolIsNotOrdered(t *testing.T) {
	if p := dispatch.NewSharedPool("pay", 2, dispatch.HoldWhileStuck()); !p.IsShared() || !p.HoldsWhileStuck() || dispatch.NewPool("pay", 2).IsShared() {
		t.Error("IsShared does not say what was declared")
	}
	for what, opt := range map[string]dispatch.PoolOption{"be Ordered": dispatch.Ordered(), "have a Rate": dispatch.Rate(10, time.Second)} {
		func() {
			defer func() {
				if v := recover(); v != "dispatch: pool pay: a pool that all apps share cannot "+what {
					t.Errorf("one that should not %s: %v", what, v)
				}
			}()
			dispatch.NewSharedPool("pay", 1, opt)
		}()
	}
}
