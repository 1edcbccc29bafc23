// Package waltest has what a log is tested with: a suite that each implementation of
// wal.Log passes, another one for those of wal.Shared, a log in memory and a disk in memory, both of which fail on demand.
//
//	func TestMemory(t *testing.T) {
//		waltest.Conformance(t, func(t *testing.T) waltest.Bench { return waltest.NewMemory() })
//	}
//
// Tests of what stands on a log take Memory: it runs in the virtual time of
// testing/synctest, and its appends fail, or take their time, as Fault says. For several
// nodes it is a wal.Shared:
//
//	m := waltest.NewMemory()
//	a, b := m.Node(), m.Node()
//	a.Cut(true) // and once a's TTL has passed, b claims what a owns
package waltest
