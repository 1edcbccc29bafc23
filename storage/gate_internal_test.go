package storage

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// G6: readers wait for the writer, which waits for readers before it; all wait in a
// way that lets virtual time pass.
func TestG6_GateKeepsReadersAndWritersApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		var log []string
		g.RLock()
		g.RLock()
		go func() {
			g.Lock()
			log = append(log, "writer in")
			time.Sleep(time.Second) // ends only if those that wait let time pass
			log = append(log, "writer out")
			g.Unlock()
		}()
		synctest.Wait()
		var late sync.WaitGroup
		for range 3 {
			late.Go(func() {
				g.RLock()
				defer g.RUnlock()
			})
		}
		second := make(chan struct{})
		go func() {
			g.Lock()
			log = append(log, "second writer")
			g.Unlock()
			close(second)
		}()
		synctest.Wait()
		if len(log) > 0 {
			t.Fatalf("with readers inside: %v", log)
		}
		g.RUnlock()
		synctest.Wait()
		if len(log) > 0 {
			t.Fatalf("with a reader inside: %v", log)
		}
		g.RUnlock()
		late.Wait()
		<-second
		if len(log) != 3 || log[1] != "writer out" {
			t.Errorf("in this order: %v", log)
		}
	})
}
