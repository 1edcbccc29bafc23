package workload

import "sync/atomic"

// Meter says how far a run is, to a reader that looks now and then.
type Meter struct {
	label       atomic.Pointer[string]
	done, total atomic.Int64
}

// Now is what is being done, and how much of it; total is 0 if that is not known.
func (m *Meter) Now() (label string, done, total int64) {
	if p := m.label.Load(); p != nil {
		label = *p
	}
	return label, m.done.Load(), m.total.Load()
}

func (m *Meter) begin(label string, total int) {
	m.label.Store(&label)
	m.done.Store(0)
	m.total.Store(int64(total))
}

func (m *Meter) add(n int) { m.done.Add(int64(n)) }
