package cmd

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
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
	if out, ok := stream.(*standardOutput); ok {
		stream = out.Writer
	}
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

// passing counts the bytes that are read or written through it.
type passing struct {
	io.Reader
	io.Writer
	n atomic.Int64
}

// Read implements io.Reader.
func (p *passing) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.n.Add(int64(n))
	return n, err
}

// Write implements io.Writer.
func (p *passing) Write(b []byte) (int, error) {
	n, err := p.Writer.Write(b)
	p.n.Add(int64(n))
	return n, err
}

// showing shows on a terminal, while fn runs, how many bytes have passed, of total if that is not 0.
func (p *passing) showing(std Stdio, doing string, total int64, fn func() error) error {
	show := newProgress(std.Err, func() (string, int64, int64) {
		switch n := p.n.Load(); {
		case total > 0:
			return doing, min(n, total), total
		case n > 0:
			return doing + ", " + size(n), 0, 0
		}
		return doing, 0, 0
	})
	defer show.stop()
	return fn()
}

// writing is showing of what fn writes to w.
func writing(std Stdio, doing string, w io.Writer, fn func(io.Writer) error) error {
	p := &passing{Writer: w}
	return p.showing(std, doing, 0, func() error { return fn(p) })
}

// sizeOf is the size of what is read, 0 if it is not known.
func sizeOf(r io.Reader) int64 {
	if f, ok := r.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return info.Size()
		}
	}
	return 0
}
