package overlay

import (
	"sync"
	"sync/atomic"
)

// Stack is the layers over a copy: the latest, and below it one that is frozen while it is
// written to the copy.
//
// Publish is for one goroutine, the committer: no change is published between a change's view
// and its own Publish. Freeze and Drop are for the one that writes the copy; View is for any.
type Stack struct {
	mu   sync.Mutex // of those who change view
	view atomic.Pointer[View]
}

// View is what a Stack shows at one moment.
type View struct {
	latest *Layer
	frozen *Layer // nil if there is none
	id     uint64 // of the copy that has all that is in neither
	txs    uint64 // that write the frozen layer to the copy
}

// NewStack returns an empty one over the copy, whose id goes up with each of its
// transactions.
func NewStack(spaces int, id uint64) *Stack {
	s := &Stack{}
	s.view.Store(&View{latest: newLayer(spaces), id: id})
	return s
}

// View returns what is shown now.
func (s *Stack) View() *View { return s.view.Load() }

// Accepts says whether the view and the copy with the id belong together: the copy has
// all that the view lacks, and nothing that is newer. If not, both are taken anew.
func (v *View) Accepts(id uint64) bool { return id >= v.id && id-v.id <= v.txs }

// Publish shows the change, whose record is durable, on top of what was published before.
func (s *Stack) Publish(c *Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := *s.View()
	if v.latest == c.view.latest {
		v.latest = c.layer
	} else { // it was frozen meanwhile
		v.latest = c.onto(v.latest)
	}
	s.view.Store(&v)
}

// Freeze has the latest layer stay as it is, to be written to the copy in so many
// transactions, and begins another. It returns nil if the layer is empty, or while one is
// frozen. A change that is under way is published on top of the new one.
func (s *Stack) Freeze(txs int) *Layer { return s.freeze(txs, 1) }

// FreezeAny is Freeze of a layer that may be empty.
func (s *Stack) FreezeAny(txs int) *Layer { return s.freeze(txs, 0) }

func (s *Stack) freeze(txs, least int) *Layer {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := *s.View()
	if v.frozen != nil || v.latest.Len() < least {
		return nil
	}
	v.frozen, v.txs = v.latest, uint64(txs)
	v.latest = newLayer(len(v.frozen.spaces))
	s.view.Store(&v)
	return v.frozen
}

// Drop drops the frozen layer: the copy that shows it is durable, after as many
// transactions as Freeze was told.
func (s *Stack) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := *s.View()
	v.frozen, v.id, v.txs = nil, v.id+v.txs, 0
	s.view.Store(&v)
}

// Bytes is about what the layers take in memory.
func (v *View) Bytes() int {
	if v.frozen == nil {
		return v.latest.bytes
	}
	return v.latest.bytes + v.frozen.bytes
}

// Latest is about what the latest layer takes in memory; 0 if it is empty.
func (v *View) Latest() int { return v.latest.bytes }

// layers yields the layers, the newest first.
func (v *View) layers() []*Layer {
	if v.frozen == nil {
		return []*Layer{v.latest}
	}
	return []*Layer{v.latest, v.frozen}
}

// Get returns what the layers say of the key: its value, or nil if it was deleted. known is
// false if that is for the copy to say. The bytes are the layer's.
func (v *View) Get(space int, key []byte) (value []byte, known bool) {
	value, known = v.latest.get(space, key)
	if !known && v.frozen != nil {
		value, known = v.frozen.get(space, key)
	}
	return value, known
}
