package actors_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/storage"
)

// G6, G12: many change sets of an app fail together. That the later ones of them
// have failed, too, is no second failure, after which the app would wait for
// answers that it is not told of: callers who call again wait for no timer.
func TestG6_ManyFailTogetherAndTheAppGoesOn(t *testing.T) {
	const callers = 8
	// On one processor the committer answers all of them before the app hears of the first.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	k, f := newKit(), newFaults()
	actorstest.Run(t, actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: f.ask}, Logger: quiet}, func(h *actorstest.Harness) {
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "before"))
		began, release := h.Now(), f.hold()
		want := []string{"before"}
		var calls sync.WaitGroup
		for i := range callers {
			name := fmt.Sprint("with others ", i)
			want = append(want, name)
			calls.Go(func() {
				for range 100 {
					if _, err := addEntry.Run(h.Caller("acme"), name); err == nil {
						return
					}
				}
				t.Errorf("%s has failed again and again", name)
			})
		}
		h.Settle()
		f.fail("commit", 1)
		release()
		calls.Wait()
		if waited := h.Now().Sub(began); waited > 0 {
			t.Errorf("the callers have waited for %v", waited)
		}
		wantEntries(t, h, "acme", want...)
	})
}
