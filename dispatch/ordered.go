package dispatch

import "fmt"

// Ordered has the jobs of the pool, or of each of its keys, run strictly one after another,
// in the order they are first due, and of those due at one instant in the order they were
// scheduled. A job whose turn has come keeps it until it has ended, as a success, dead or
// canceled: those behind it wait also while it waits for another attempt, or is held. Their
// priorities do not change the order. The limit of such a pool is 1. If all apps share it,
// the order is that of each app, one job of all of them runs at a time, and a job that waits
// for another attempt keeps back those of its own app.
func Ordered() PoolOption { return func(p *Pool) { p.ordered = true } }

// IsOrdered says whether the pool is Ordered.
func (p *Pool) IsOrdered() bool { return p.ordered }

func (p *Pool) checkOrdered() error {
	if p.ordered && p.limit != 1 {
		return fmt.Errorf("pool %s: limit %d, want 1: it is Ordered, and runs one job after another", p.name, p.limit)
	}
	return nil
}
