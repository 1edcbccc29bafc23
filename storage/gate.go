package storage

import "sync"

// gate is a sync.RWMutex whose waiters wait on channels. The one that closes the file
// waits with the lock for snapshots to be given back, up to a bound of time; in the
// virtual time of tests that bound only comes when all others wait on channels, too.
// The zero gate is open.
type gate struct {
	mu      sync.Mutex
	readers int
	shut    chan struct{} // there is a writer, or one that waits; closed when it is done
	empty   chan struct{} // the writer waits; closed by the last reader
}

// RLock enters the gate; it waits while a writer has it or waits for it.
func (g *gate) RLock() {
	for {
		g.mu.Lock()
		shut := g.shut
		if shut == nil {
			g.readers++
		}
		g.mu.Unlock()
		if shut == nil {
			return
		}
		<-shut
	}
}

// RUnlock leaves the gate.
func (g *gate) RUnlock() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.readers--; g.readers == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

// Lock shuts the gate and waits until the last reader has left.
func (g *gate) Lock() {
	for {
		g.mu.Lock()
		shut, empty := g.shut, chan struct{}(nil)
		if shut == nil {
			g.shut = make(chan struct{})
			if g.readers > 0 {
				empty = make(chan struct{})
				g.empty = empty
			}
		}
		g.mu.Unlock()
		switch {
		case shut != nil:
			<-shut
			continue
		case empty != nil:
			<-empty
		}
		return
	}
}

// Unlock opens the gate.
func (g *gate) Unlock() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.shut)
	g.shut = nil
}
