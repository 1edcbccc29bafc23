package cmd

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// progress shows on a terminal, in one line that it writes over, how far a run
// is. On anything else it shows nothing.
type progress struct {
	w     io.Writer                                // nil: not a terminal
	now   func() (label string, done, total int64) // total is 0 if it is not known
	began time.Time

	mu    sync.Mutex // of w
	end   sync.Once
	ended chan struct{}
	gone  sync.WaitGroup
}

const (
	progressEvery = 200 * time.Millisecond
	clearLine     = "\r\x1b[K"
)

func newProgress(w io.Writer, now func() (label string, done, total int64)) *progress {
	p := &progress{now: now, began: time.Now(), ended: make(chan struct{})}
	if !isTerminal(w) {
		return p
	}
	p.w = w
	p.gone.Go(p.run)
	return p
}

// isTerminal says whether what is read or written is a device of characters, with a person at its
// other end: the null device is one too, and has none.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

func (p *progress) run() {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		p.clear(func() { fmt.Fprint(p.w, p.line()) })
		select {
		case <-tick.C:
		case <-p.ended:
			p.clear(func() {})
			return
		}
	}
}

func (p *progress) line() string {
	label, done, total := p.now()
	elapsed := time.Since(p.began).Round(time.Second)
	if total == 0 {
		return fmt.Sprintf("%v  %s …", elapsed, label)
	}
	return fmt.Sprintf("%v  %s %d%% (%d of %d)", elapsed, label, done*100/total, done, total)
}

// clear takes the line away and has fn write.
func (p *progress) clear(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w != nil {
		fmt.Fprint(p.w, clearLine)
	}
	fn()
}

// stop takes the line away for good. A second stop does nothing.
func (p *progress) stop() {
	p.end.Do(func() { close(p.ended) })
	p.gone.Wait()
}
