package actors

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"

	"carillon/dispatch"
)

// The waker reads nothing of a store that is closed, though it is asked to all the while.
func TestG26_CloseLogsNoErrors(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	for range 30 {
		eng, err := Open(t.TempDir(), Options{Functions: dispatch.NewRegistry(), Volumes: 1, Testing: Testing{NoSync: true}, Logger: logger})
		if err != nil {
			t.Fatal(err)
		}
		var asking sync.WaitGroup
		stop := make(chan struct{})
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					eng.waker.rescan()
				}
			}
		})
		err = eng.stop(eng.store.Close, nil)
		close(stop)
		asking.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if log.Len() > 0 {
			t.Fatalf("it has logged\n%s", &log)
		}
	}
}
