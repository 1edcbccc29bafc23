package boltfile

// Looker looks at pages as an Update does before it touches them (K6), for a write that
// comes later. One goroutine at a time may use it, until the Pin is closed.
type Looker struct {
	t  Txn
	id uint64
}

// Looker looks at the file as it was at the Pin's moment.
func (p *Pin) Looker() *Looker { return &Looker{Txn{db: p.db, base: p.snap}, p.ID()} }

// Top looks at what every Update touches.
func (l *Looker) Top() error { return l.t.lookAtTop(l.id) }

// Look looks at what a write of the key may touch.
func (l *Looker) Look(space Space, key []byte, deletes bool) error {
	return l.t.look(space, key, deletes)
}

// ID is the number of the latest commit at the Pin's moment. Each commit's is higher by one.
func (p *Pin) ID() uint64 { return uint64(p.tx.ID()) }
