package pool_test

import (
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"carillon/actors/internal/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// P1: whatever runs already, what is scheduled runs beside it.
func TestScheduleNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New()
		release := make(chan struct{})
		var wg sync.WaitGroup
		const n = 500 // more than wait for work afterwards
		wg.Add(n)
		for range n {
			p.Schedule(func() { wg.Done(); <-release })
		}
		wg.Wait() // all of them run at once
		close(release)
		p.Close(true)
	})
}

// P2: nothing starts after Close; Close(true) waits for what runs.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.New()
		release, closed := make(chan struct{}), false
		p.Schedule(func() { <-release })
		synctest.Wait()
		go func() { p.Close(true); closed = true }()
		synctest.Wait()
		if closed {
			t.Fatal("Close returned while a function ran")
		}
		ran := false
		p.Schedule(func() { ran = true })
		synctest.Wait()
		if ran {
			t.Error("a function ran after Close")
		}
		close(release)
		synctest.Wait()
		if !closed {
			t.Error("Close did not return when the last function had")
		}
	})
}
