package actors

import (
	"slices"
	"sync"
	"sync/atomic"

	"carillon/storage"
)

// bells tell those who look at apps that something has changed, and not what. Nothing is kept for
// them, so that a look at an app of a million jobs costs what one of an app with none does. The lock is a leaf.
type bells struct {
	n  atomic.Int64 // of bells; 0: a commit looks no further
	mu sync.Mutex
	of map[storage.AppID][]chan struct{} // by app; "": of all
}

// ring tells those who look at the app. It does not block.
func (b *bells) ring(id storage.AppID) {
	if b.n.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, of := range []storage.AppID{id, ""} {
		for _, bell := range b.of[of] {
			select {
			case bell <- struct{}{}:
			default: // it was told and has not looked yet
			}
		}
	}
}

// Changes returns a channel that is told when something of one of the apps, or of any app if none is
// named, has changed since it was last received from: a commit is durable, a job's handler
// has begun or told its progress, an app was imported or deleted. It does not tell what, and what
// changes while it is not received from is told once. It never closes; leave, which the caller must call once, ends it.
// Neither slows the app nor keeps it awake, and both cost the same whatever there is in it.
func (e *Engine) Changes(apps ...storage.AppID) (changed <-chan struct{}, leave func()) {
	b, bell := &e.bells, make(chan struct{}, 1)
	if len(apps) == 0 {
		apps = []storage.AppID{""}
	}
	apps = slices.Compact(slices.Sorted(slices.Values(apps)))
	b.n.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of == nil {
		b.of = map[storage.AppID][]chan struct{}{}
	}
	for _, id := range apps {
		b.of[id] = append(b.of[id], bell)
	}
	return bell, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, id := range apps {
			list := b.of[id]
			if i := slices.Index(list, bell); i >= 0 {
				list = slices.Delete(list, i, i+1)
			}
			if b.of[id] = list; len(list) == 0 {
				delete(b.of, id)
			}
		}
		b.n.Add(-1)
	}
}
