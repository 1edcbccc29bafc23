package actors

import (
	"fmt"
	"testing"

	"carillon/storage"
)

// TestAppHistoryIsOfSomeApps: it is kept of so many apps, and of the others it is not said that they have done nothing. One that has
// done something since it was looked at last stays.
func TestAppHistoryIsOfSomeApps(t *testing.T) {
	var all appHistories
	of := func(i int) storage.AppID { return storage.AppID(fmt.Sprint("app-", i)) }
	for i := range historyApps {
		all.take(of(i), 1)
	}
	busy := all.take(of(0), 1)
	if all.from != 0 || all.take(of(0), 1) != busy {
		t.Errorf("with as many apps as there may be: from %d", all.from)
	}
	for i := range 3 * historyApps {
		busy.used.Store(true)
		if h := all.take(of(historyApps+i), 5); i > 0 && h.from != 6 {
			t.Fatalf("what app %d has done is known from minute %d", i, h.from)
		}
	}
	if len(all.of) != historyApps || len(all.ring) != historyApps || all.from != 6 || busy.gone.Load() {
		t.Errorf("%d apps, %d in the ring, from minute %d, and the busy one is gone: %t", len(all.of), len(all.ring), all.from, busy.gone.Load())
	}
	all.forget(of(0))
	if again := all.take(of(0), 7); !busy.gone.Load() || again == busy {
		t.Error("an app that was forgotten has its history again")
	}
	if len(all.of) > historyApps || len(all.ring) != historyApps {
		t.Errorf("then %d apps, %d in the ring", len(all.of), len(all.ring))
	}
}
