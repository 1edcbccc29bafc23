package storage

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// lostTails are the shards of which this node has had records that their log has lost, as a log in PostgreSQL may
// where an asynchronous standby was promoted. The next store of this node has them in its audit log.
type lostTails struct {
	mu      sync.Mutex
	unsaid  []string // shards that the audit log does not have yet, each once
	count   int64
	unknown []int // shards that the node's own log does not have yet
	why     error // of the first of these
}

// add takes note of a shard, unless it is noted, and not in the audit log yet.
func (l *lostTails) add(shard int, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := fmt.Sprintf("shard %d", shard)
	if slices.Contains(l.unsaid, name) {
		return
	}
	l.unsaid = append(l.unsaid, name)
	l.count++
	if l.unknown = append(l.unknown, shard); len(l.unknown) == 1 {
		l.why = why
	}
}

// take returns the shards that the node's own log does not have yet, in their order, and why the first of them was noted.
func (l *lostTails) take() (shards []int, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	shards, why = l.unknown, l.why
	l.unknown, l.why = nil, nil
	slices.Sort(shards)
	return shards, why
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
func (st *Standby) tailLost(v *volume, why error) { st.lost.add(v.index, why) }

// sayLost says what was noted since it was called last, in one line however many shards that is: a failover takes from all.
func (st *Standby) sayLost() {
	if shards, why := st.lost.take(); len(shards) > 0 {
		st.opts.Logger.Error("the log has lost records that this node had; its copies of them are dropped",
			"shards", len(shards), "which", spans(shards), "err", why)
	}
}

// spans writes sorted numbers such as 0-3,7.
func spans(numbers []int) string {
	var text strings.Builder
	for i := 0; i < len(numbers); {
		first, last := numbers[i], numbers[i]
		for i++; i < len(numbers) && numbers[i] == last+1; i++ {
			last++
		}
		if text.Len() > 0 {
			text.WriteByte(',')
		}
		if text.WriteString(strconv.Itoa(first)); last > first {
			text.WriteString("-" + strconv.Itoa(last))
		}
	}
	return text.String()
}

// LostTails is how many times this node has found that the log has lost records which it had, of one shard each. For
// engines.
func (st *Standby) LostTails() int64 {
	st.lost.mu.Lock()
	defer st.lost.mu.Unlock()
	return st.lost.count
}
