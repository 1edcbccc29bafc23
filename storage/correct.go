package storage

import (
	"errors"
	"fmt"
	"time"
)

// This file corrects what a false reading of the clock has left behind. The engine says
// which readings were false, and by how much (A14).

// Era is the clock era of the transaction.
func (w JobWriter) Era() EraID {
	tx, _ := w.writer()
	return tx.era
}

// Corrected is the clock era up to which the engine has made up for steps of the
// clock in this app, as of the last change submitted; 0 if it has for none, and
// beyond every era if nothing of the app is stored. Any goroutine may call it.
func (a *App) Corrected() EraID { return EraID(a.corrected.Load()) }

// SetCorrected records that the app is in line with the clock up to the era.
func (tx *Tx) SetCorrected(era EraID) error {
	if err := tx.lockTop(); err != nil {
		return err
	}
	defer tx.mu.Unlock()
	c := &tx.top().counts
	c.corrected = era
	tx.put(tx.app.keys.prefix(tagMeta), c.encode()) // each commit writes the counters, if it writes anything
	return nil
}

// Amend stores a pending job anew that Due has returned in this transaction, with other
// instants or another era. It lies at job.Due then, and its claim with it if it has one.
func (tx *Tx) Amend(job *Job) error {
	if err := tx.lockTop(); err != nil {
		return err
	}
	defer tx.mu.Unlock()
	due := job.Due.UnixMilli()
	if due < 1 || due > maxInstantMs {
		return fmt.Errorf("%w: due instant %v is not between 1970 and %v", ErrInvalid, job.Due, MaxInstant)
	}
	keys := tx.app.keys
	claim, err := tx.get(keys.place(tagClaim, job.place))
	if err != nil {
		return err
	}
	if claim != nil {
		tx.delete(keys.place(tagClaim, job.place))
	}
	tx.takePending(job)
	if job.place.ms = due; job.place == homeOf(job.ID) {
		tx.delete(keys.name(tagID, string(job.ID))) // it is found without
	}
	tx.putPending(job)
	if claim != nil {
		tx.put(keys.place(tagClaim, job.place), claim)
		tx.removeLanes(job)
	}
	return nil
}

// Follow gives a job that is under way the instants and the place that Amend has stored.
func (j *Job) Follow(stored Job) {
	j.place.ms, j.Due, j.Era = stored.place.ms, stored.Due, stored.Era
	j.ScheduledFor, j.AskedEra = stored.ScheduledFor, stored.AskedEra
	j.EnqueuedAt, j.StartedAt, j.History = stored.EnqueuedAt, stored.StartedAt, stored.History
}

func homeOf(id JobID) place {
	home, _ := id.home()
	return home
}

// EndedCursor is where BoundEnded goes on. The zero EndedCursor is the beginning.
// For engines.
type EndedCursor struct {
	region int
	from   place
	over   bool
}

// Over says whether BoundEnded has come to the end.
func (c EndedCursor) Over() bool { return c.over }

// End is behind all.
func (c EndedCursor) End() EndedCursor { return EndedCursor{over: true} }

// BoundEnded brings the instants of jobs that have ended, or are held, down to that of
// the transaction, where they lie after it: of up to limit rows. It returns where to go
// on. A record that cannot be read is left, and is part of err.
func (tx *Tx) BoundEnded(at EndedCursor, limit int) (next EndedCursor, err error) {
	if err := tx.lockTop(); err != nil {
		return at, err
	}
	defer tx.mu.Unlock()
	regions := []tag{tagHistory, tagDead, tagHeld}
	now := timeOf(tx.now.UnixMilli())
	if at.from == (place{}) {
		at.from = place{ms: now.UnixMilli() + 1} // what lies before it has not ended later (G15)
	}
	keys, t := tx.app.keys, regions[at.region]
	rows, err := tx.rows(keys.place(t, at.from), after(keys.prefix(t)), false, limit)
	if err != nil {
		return at, err
	}
	for _, r := range rows {
		p := placeOf(r.key)
		at.from = p.next()
		job, bad := decodeJob(p, r.value)
		if bad != nil {
			err = errors.Join(err, fmt.Errorf("app %s: job at %d/%d: %w", tx.app.id, p.ms, p.seq, bad))
		} else if job.Bound(now) {
			tx.put(r.key, encodeJob(&job))
		}
	}
	if len(rows) < limit {
		at = EndedCursor{region: at.region + 1}
		at.over = at.region == len(regions)
	}
	return at, err
}

// isAfter says whether one of the instants that were written down in the job is after
// the instant.
func (j *Job) isAfter(now time.Time) bool {
	if n := len(j.History); n > 0 && (j.History[n-1].StartedAt.After(now) || j.History[n-1].EndedAt.After(now)) {
		return true
	}
	if u := j.Unique; u != nil && (u.Since.After(now) || u.LastStart.After(now)) {
		return true
	}
	return j.EnqueuedAt.After(now) || j.StartedAt.After(now) || j.CompletedAt.After(now) || j.HeldAt.After(now)
}

// Bound brings those of the job's recorded instants that lie after now down to it, and
// says whether there were any.
func (j *Job) Bound(now time.Time) bool {
	if !j.isAfter(now) {
		return false
	}
	if j.CompletedAt.After(now) {
		j.CompletedAt = now
	}
	if !j.CompletedAt.IsZero() {
		now = j.CompletedAt
	}
	j.boundInstants(now)
	return true
}

// UndoSlots marks in the slot log of the trigger that what was skipped after the
// instant was not: the slots are yet to come. Of a run of slots that were skipped in
// part before it, last says which one of those was the last, and how many they are.
func (w JobWriter) UndoSlots(trigger string, decided time.Time, last func(from time.Time) (time.Time, int)) error {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return err
	}
	defer tx.mu.Unlock()
	log, err := readSlots(tx.rows, tx.app.keys.slots(trigger), false, keptSlots+2)
	if err != nil {
		return err
	}
	for i, r := range log.rows {
		s, err := log.slot(i)
		if err != nil {
			continue // a read of the log returns the error
		}
		if s.Outcome != SlotSkipped || !s.To.After(decided) {
			continue
		}
		to, n := time.Time{}, 0
		if !s.From.After(decided) {
			to, n = last(s.From)
		}
		if to.IsZero() {
			s.Outcome = SlotUndone
		} else {
			s.To, s.Count = to, n
			s.Reason += "; the later ones are undone: the clock was set back"
		}
		data := encodeSlot(&s, log.rank(i))
		if err := w.v.spare(0, 1, len(r.key)+len(data)); err != nil {
			return err
		}
		tx.put(r.key, data)
	}
	return nil
}
