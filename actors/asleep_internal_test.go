package actors

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"carillon/dispatch"
	"carillon/storage"
)

// TestG26_SleepingAppsAreForgotten: of apps that are asleep hardly one is left in
// memory. Some caches of the actor library keep the last ones they have seen.
func TestG26_SleepingAppsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng, err := Open(t.TempDir(), Options{Functions: dispatch.NewRegistry(), IdleAfter: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer eng.Close(t.Context())
		const apps, most = 200, 20
		var states []weak.Pointer[appState]
		for i := range apps {
			id := storage.AppID(fmt.Sprint("app-", i))
			ref, err := eng.directory.acquire(t.Context(), id, nil)
			if err != nil {
				t.Fatal(err)
			}
			states = append(states, weak.Make(ref.app))
			ref.release()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		left := 0
		for range 3 {
			runtime.GC()
		}
		for _, state := range states {
			if state.Value() != nil {
				left++
			}
		}
		if left > most {
			t.Errorf("%d of %d apps that are asleep are in memory, want at most %d", left, apps, most)
		}
	})
}
