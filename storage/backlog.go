package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// The backlog of a trigger is its pending ticks before the next one: ticks that have had
// an attempt and wait for another, ticks that are caught up and have not begun, and those
// of backfills. An index lists them, so that the next tick knows of them after a restart, too.
//
//	number ‖ 'b' ‖ trigger ‖ 0 ‖ begun or late ‖ slot              job, if it has not the id of the slot
//	number ‖ 'b' ‖ trigger ‖ 0 ‖ 'f' ‖ number of backfill ‖ slot   the same
const (
	backlogBegun    byte = 'b'
	backlogLate     byte = 'l'
	backlogBackfill byte = 'f'
)

func (n keyspace) backlog(trigger string, kind byte) []byte {
	return append(n.name(tagBacklog, trigger), 0, kind)
}

// backlogKey is the key of a pending job in the backlog of its trigger, or nil.
// A late tick that was dead and is run again by hand is none any more.
func (n keyspace) backlogKey(job *Job) []byte {
	kind := backlogBegun
	switch {
	case job.Trigger == "" || job.Slot.IsZero():
		return nil
	case job.Backfill != 0:
		key := binary.BigEndian.AppendUint64(n.backlog(job.Trigger, backlogBackfill), job.Backfill)
		return binary.BigEndian.AppendUint64(key, uint64(msOf(job.Slot)))
	case job.Attempts > 0:
	case job.CaughtUp && len(job.History) == 0:
		kind = backlogLate
	default:
		return nil
	}
	return binary.BigEndian.AppendUint64(n.backlog(job.Trigger, kind), uint64(msOf(job.Slot)))
}

// addBacklog makes the index entry of a pending job that belongs to a backlog.
func (l *layer) addBacklog(keys keyspace, job *Job) {
	key := keys.backlogKey(job)
	if key == nil {
		return
	}
	var id []byte
	if job.ID != TickID(job.Trigger, job.Slot) {
		id = []byte(job.ID)
	}
	l.put(key, id)
}

// removeBacklog takes the index entry of a pending job away. The job is as it was
// put into the bucket.
func (tx *Tx) removeBacklog(job *Job) {
	if key := tx.app.keys.backlogKey(job); key != nil {
		tx.delete(key)
	}
}

// backlogOf returns the keys that the backlog has of a tick whose record cannot be read.
// The tick's id names the trigger.
func (tx *Tx) backlogOf(id JobID) (keys [][]byte, err error) {
	trigger, _, _ := strings.Cut(strings.TrimPrefix(string(id), tickPrefix), ":")
	prefix := append(tx.app.keys.name(tagBacklog, trigger), 0)
	rows, err := tx.rows(prefix, after(prefix), false, int(tx.top().counts.pending)+1)
	for _, r := range rows {
		if damageOf(r.value) == nil && backlogID(trigger, r) == id {
			keys = append(keys, r.key)
		}
	}
	return keys, err
}

// backlogID is the id of the job that a row of the trigger's backlog is of.
func backlogID(trigger string, r row) JobID {
	if id := JobID(r.value); id != "" {
		return id
	}
	return TickID(trigger, timeOf(int64(binary.BigEndian.Uint64(r.key[len(r.key)-8:]))))
}

// Begun returns the ticks of the trigger that have had an attempt and are pending
// or running, by slot, up to limit of them.
func (s System) Begun(trigger string, limit int) ([]Job, error) {
	return s.ofBacklog(trigger, backlogBegun, limit)
}

// Late returns the ticks of the trigger that are caught up, and have had no attempt
// yet, by slot, up to limit of them.
func (s System) Late(trigger string, limit int) ([]Job, error) {
	return s.ofBacklog(trigger, backlogLate, limit)
}

// Backfilling returns the ticks of the trigger that backfills have made and that are pending
// or running, by backfill and slot, up to limit of them.
func (s System) Backfilling(trigger string, limit int) ([]Job, error) {
	return s.ofBacklog(trigger, backlogBackfill, limit)
}

func (s System) ofBacklog(trigger string, kind byte, limit int) ([]Job, error) {
	if limit < 1 {
		return nil, fmt.Errorf("%w: limit %d, want 1 or more", ErrInvalid, limit)
	}
	prefix := s.of.keys.backlog(trigger, kind)
	rows, err := s.of.rows(prefix, after(prefix), false, limit)
	if err != nil {
		return nil, err
	}
	var jobs []Job
	for _, r := range rows {
		if err := damageOf(r.value); err != nil {
			return nil, err
		}
		job, ok, err := s.Get(backlogID(trigger, r))
		if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrFormat) {
			continue // a read of the job returns the error
		}
		if err != nil {
			return nil, err
		}
		if ok && !job.State.Ended() {
			jobs = append(jobs, job)
		}
	}
	return jobs, nil
}
