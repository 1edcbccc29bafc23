package actors

import (
	"sync"
	"testing"
)

// A15: the door of an app goes from phase to phase along the arrows of the picture, and is
// closed for good only while no caller is inside.
func TestPhasesOfADoor(t *testing.T) {
	arrows := map[doorPhase]map[doorEvent]doorPhase{
		doorOpen:     {holdBegun: doorDraining, appSleeps: doorAsleep},
		doorDraining: {appHasDrained: doorDrained, holdTakenBack: doorOpen},
		doorDrained:  {appStops: doorStopped, holdTakenBack: doorOpen},
		doorStopped:  {},
		doorAsleep:   {},
	}
	for from, events := range arrows {
		for e := range doorEvents {
			for inside := range uint32(3) {
				want, drawn := events[e]
				if inside > 0 && (want == doorStopped || want == doorAsleep) {
					drawn = false
				}
				if !drawn {
					want = from
				}
				var d door
				d.state.Store(uint64(from)<<32 | uint64(inside))
				ok := d.move(e)
				if got, n := d.load(); got != want || n != inside || ok != drawn {
					t.Errorf("%s while %s with %d inside: %s with %d, %t, want %s, %t", e, from, inside, got, n, ok, want, drawn)
				}
			}
		}
	}
}

// A11, A12: who is let in, and who lets the app stop when it leaves.
func TestWhoEntersADoor(t *testing.T) {
	for p, want := range map[doorPhase]struct{ any, own, lastStops bool }{
		doorOpen:     {any: true, own: true},
		doorDraining: {own: true},
		doorDrained:  {own: true, lastStops: true},
		doorStopped:  {},
		doorAsleep:   {},
	} {
		for _, own := range []bool{false, true} {
			var d door
			d.state.Store(uint64(p) << 32)
			entered := d.enter(own)
			if entered != want.any && !own || entered != want.own && own {
				t.Errorf("%s: entered %t, own %t", p, entered, own)
			}
			if entered {
				d.enter(own)
				if d.leave() || d.leave() != want.lastStops {
					t.Errorf("%s: the app stops with a caller inside, or does not stop with none", p)
				}
			}
			if got, n := d.load(); got != p || n != 0 {
				t.Errorf("%s: then it is %s with %d inside", p, got, n)
			}
		}
	}
}

// A11: callers that come and go beside a hold find the app open, or wait; exactly one of
// them, or the hold, lets it stop.
func TestADoorUnderLoad(t *testing.T) {
	for range 200 {
		var d door
		var wg sync.WaitGroup
		stops := make(chan bool, 100)
		for range 4 {
			wg.Go(func() {
				for range 20 {
					if d.enter(false) && d.leave() {
						stops <- d.move(appStops)
					}
				}
			})
		}
		wg.Go(func() {
			if !d.move(holdBegun) || !d.move(appHasDrained) {
				t.Error("an open door does not drain")
			}
			stops <- d.move(appStops)
		})
		wg.Wait()
		close(stops)
		n := 0
		for stopped := range stops {
			if stopped {
				n++
			}
		}
		if p, inside := d.load(); n != 1 || p != doorStopped || inside != 0 {
			t.Fatalf("%d have stopped it, and it is %s with %d inside", n, p, inside)
		}
	}
}
