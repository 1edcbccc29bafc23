package storage

import (
	"context"
	"sync"
	"time"
)

// A reader can see a commit a moment before those are told who wait for it. Who has to know
// all that a snapshot has waits here for that moment.

// answered is up to which record of the log the change sets of a volume were answered.
type answered struct {
	mu    sync.Mutex
	upTo  uint64
	down  bool
	ended bool
	more  chan struct{} // closed when something has changed; nil: no one waits
}

// noteAnswered notes that all is answered that the volume shows. The committer calls it.
func (v *volume) noteAnswered() {
	a := &v.answered
	a.mu.Lock()
	defer a.mu.Unlock()
	upTo := a.upTo
	if v.db != nil {
		upTo = v.db.Last()
	}
	if down := v.db == nil; upTo != a.upTo || down != a.down {
		a.upTo, a.down = upTo, down
		a.tell()
	}
}

// tell has those look again who wait. The lock is held.
func (a *answered) tell() {
	if a.more != nil {
		close(a.more)
		a.more = nil
	}
}

// end notes that nothing is committed any more.
func (a *answered) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	a.tell()
}

// wait waits until the change sets up to the commit were answered.
func (a *answered) wait(ctx context.Context, commit uint64) error {
	for {
		a.mu.Lock()
		switch {
		case a.upTo >= commit:
			a.mu.Unlock()
			return nil
		case a.ended:
			a.mu.Unlock()
			return ErrClosed
		case a.down:
			a.mu.Unlock()
			return ErrUnavailable
		}
		if a.more == nil {
			a.more = make(chan struct{})
		}
		more := a.more
		a.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// SnapshotAnswered is SnapshotAt that waits until each change set was answered that the
// snapshot has.
func (a *App) SnapshotAnswered(ctx context.Context, now time.Time) (*Snapshot, uint64, error) {
	snap, commit, err := a.SnapshotAt(now)
	if err != nil {
		return nil, 0, err
	}
	if err := a.vol.answered.wait(ctx, commit); err != nil {
		snap.Close()
		return nil, 0, err
	}
	return snap, commit, nil
}
