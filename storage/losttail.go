package storage

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// lostTails are the shards of which this node has had records that their log has lost, as a log in PostgreSQL may
// where an asynchronous standby was promoted. The next store of this node has them in its audit log.
type lostTails struct {
	mu     sync.Mutex
	unsaid []string // shards that the audit log does not have yet, each once
	count  int64
}

// add takes note of a shard. first is false where it is noted, and not in the audit log yet.
func (l *lostTails) add(shard string) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Contains(l.unsaid, shard) {
		return false
	}
	l.unsaid = append(l.unsaid, shard)
	l.count++
	return true
}

// audit has write be given an entry about what the audit log does not have yet, if there is something.
func (l *lostTails) audit(node string, write func([]AuditEntry) error) error {
	l.mu.Lock()
	shards := slices.Clone(l.unsaid)
	l.mu.Unlock()
	var entries []AuditEntry
	if len(shards) > 0 {
		entries = []AuditEntry{{
			At: time.Now(), Operator: "node " + node, Action: "records lost by the log",
			IDs: shards[:min(len(shards), MaxAuditIDs)], Count: len(shards), From: "log",
		}}
	}
	err := write(entries)
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.unsaid = l.unsaid[len(shards):]
	}
	return err
}

// tailLost takes note that the log has lost records of the volume that this node had.
func (st *Standby) tailLost(v *volume, why error) {
	if st.lost.add(fmt.Sprintf("shard %d", v.index)) {
		st.opts.Logger.Error("the log has lost records that this node had; its copy of them is dropped", "volume", v.name, "err", why)
	}
}

// LostTails is how many times this node has found that the log has lost records which it had, of one shard each. For
// engines.
func (st *Standby) LostTails() int64 {
	st.lost.mu.Lock()
	defer st.lost.mu.Unlock()
	return st.lost.count
}
