package main

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// firstTime says whether dir has not been opened before, and marks it. What a
// server holds belongs to a directory: of a new one it has nothing yet.
func firstTime(dir string) (bool, error) {
	f, err := os.OpenFile(filepath.Join(dir, "opened"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if os.IsExist(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}

// until calls done every millisecond or so until it is true.
func until(ctx context.Context, done func() (bool, error)) error {
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// inParallel calls fn for 0 to n-1 from as many goroutines as there are workers,
// and returns the first error.
func inParallel(workers, n int, fn func(i int) error) error {
	var wg sync.WaitGroup
	var once sync.Once
	var first error
	next := make(chan int)
	for range min(workers, n) {
		wg.Go(func() {
			for i := range next {
				if err := fn(i); err != nil {
					once.Do(func() { first = err })
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return first
}

// task is what the peers store of a job: unlike Carillon they do not tell a
// handler when it was due.
type task struct {
	N   int    `json:"n"`
	To  string `json:"to"`
	Due int64  `json:"due"` // ms
}

func (t task) due() time.Time { return time.UnixMilli(t.Due) }
