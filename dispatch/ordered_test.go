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

// TestG27_ASharedPoolIsNotOrdered: that is a panic, and what is declared is told.
func TestG27_ASharedPoolIsNotOrdered(t *testing.T) {
	if p := dispatch.NewSharedPool("pay", 2, dispatch.HoldWhileStuck()); !p.IsShared() || !p.HoldsWhileStuck() || dispatch.NewPool("pay", 2).IsShared() {
		t.Error("IsShared does not say what was declared")
	}
	defer func() {
		if v := recover(); v != "dispatch: pool pay: a pool that all apps share cannot be Ordered" {
			t.Errorf("an ordered one: %v", v)
		}
	}()
	dispatch.NewSharedPool("pay", 1, dispatch.Ordered())
}
