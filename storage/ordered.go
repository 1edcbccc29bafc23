package storage

import (
	"errors"
	"fmt"
)

// The jobs of an ordered pool run one after another. One whose turn has come keeps it until
// it ends. While it does not run, since it waits for another attempt or is held, it has
// beside its record
//
//	number ‖ 'j' ‖ pool ‖ 0 ‖ key ‖ 0 ‖ 0 ‖ due ‖ seq      pending, and tried before
//	number ‖ 'j' ‖ pool ‖ 0 ‖ key ‖ 0 ‖ 1 ‖ held ‖ seq     held
//
// both empty, and written with what put it there.
const (
	turnPending byte = iota
	turnHeld
)

// turns is the prefix of what has its turn in the lane.
func (n keyspace) turns(l Lane) []byte { return n.inLane(tagTurn, l) }

// turnKey is the key of a job that is not claimed and has its turn; nil of any other.
func (n keyspace) turnKey(job *Job) []byte {
	switch {
	case !job.Ordered:
		return nil
	case job.State == StateHeld:
		return job.place.append(append(n.turns(job.Lane()), turnHeld))
	case job.Attempts > 0:
		return job.place.append(append(n.turns(job.Lane()), turnPending))
	}
	return nil
}

// Turn returns the job of an ordered lane that has its turn and is not claimed: it has to
// end before another one begins. ok is false if there is none. One that cannot be read is
// passed over, and part of err.
func (tx *Tx) Turn(lane Lane) (job Job, ok bool, err error) {
	if err := tx.lockTop(); err != nil {
		return Job{}, false, err
	}
	defer tx.mu.Unlock()
	prefix := tx.app.keys.turns(lane)
	var errs []error
	for from := prefix; ; {
		rows, err := tx.rows(from, after(prefix), false, 1)
		if err != nil || len(rows) == 0 {
			return Job{}, false, errors.Join(append(errs, err)...)
		}
		key := rows[0].key
		from = append(key[:len(key):len(key)], 0)
		if len(key) != len(prefix)+1+placeLen {
			continue
		}
		p, region := decodePlace(key[len(prefix)+1:]), tagQueue
		if key[len(prefix)] == turnHeld {
			region = tagHeld
		}
		data, err := tx.get(tx.app.keys.place(region, p))
		if err != nil {
			return Job{}, false, err
		}
		if data == nil {
			tx.delete(key) // its job was taken away unread
			continue
		}
		job, err := decodeJob(p, data)
		if err == nil {
			return job, true, errors.Join(errs...)
		}
		errs = append(errs, fmt.Errorf("app %s: job at %d/%d: %w", tx.app.id, p.ms, p.seq, err))
	}
}

// leaveOrder notes that a job which has been in a lane's way is where it was no more.
func (l *layer) leaveOrder(job *Job) {
	if job.Ordered {
		l.left = append(l.left, job.Lane())
	}
}

// Left returns the ordered lanes of jobs that the transaction has taken from where they
// were: those behind them may be able to begin.
func (tx *Tx) Left() []Lane {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.over {
		return nil
	}
	return tx.layers[0].left
}
