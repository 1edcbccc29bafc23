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

// TestG27_ASharedPoolIsDeclaredLikeAnother: what is declared is told, and its bounds hold.
func TestG27_ASharedPoolIsDeclaredLikeAnother(t *testing.T) {
	p := dispatch.NewSharedPool("pay", 1, dispatch.HoldWhileStuck(), dispatch.Ordered(), dispatch.Rate(10, time.Second))
	if n, span := p.Rate(); !p.IsShared() || !p.HoldsWhileStuck() || !p.IsOrdered() || n != 10 || span != time.Second {
		t.Errorf("of what was declared it says %+v", p)
	}
	if dispatch.NewPool("pay", 2).IsShared() {
		t.Error("a pool of each app says that all share it")
	}
	defer func() {
		if v := recover(); v != "dispatch: pool pay: limit 2, want 1: it is Ordered, and runs one job after another" {
			t.Errorf("a limit of 2: %v", v)
		}
	}()
	dispatch.NewSharedPool("pay", 2, dispatch.Ordered())
}
