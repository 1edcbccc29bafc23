package overlay

import (
	"context"
	"sync"
)

// Budget bounds the bytes of layers that are not copied yet, of all stacks that share it.
type Budget struct {
	mu      sync.Mutex
	most    int
	used    int
	waiting []*waiter // in the order they came
}

type waiter struct {
	bytes int
	ready chan struct{}
}

// NewBudget returns one of so many bytes.
func NewBudget(most int) *Budget { return &Budget{most: most} }

// Take waits until there is room for the bytes, behind those who have waited for longer.
// More than there are in all is taken when no other has any. The error is the context's;
// then nothing was taken.
func (b *Budget) Take(ctx context.Context, bytes int) error {
	b.mu.Lock()
	w := &waiter{bytes, make(chan struct{})}
	b.waiting = append(b.waiting, w)
	b.admit()
	b.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	default:
	}
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, other := range b.waiting {
		if other == w {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			b.admit() // those behind it may be smaller
			return ctx.Err()
		}
	}
	return nil // it was admitted at the same moment
}

// Give gives bytes back.
func (b *Budget) Give(bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= bytes
	b.admit()
}

// Used is how many bytes are taken.
func (b *Budget) Used() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// admit lets in who waits, in order, as long as there is room.
func (b *Budget) admit() {
	for len(b.waiting) > 0 {
		w := b.waiting[0]
		if b.used > 0 && b.used+w.bytes > b.most {
			return
		}
		b.waiting = b.waiting[1:]
		b.used += w.bytes
		close(w.ready)
	}
}
