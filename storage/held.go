package storage

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"carillon/storage/internal/kv"
)

// This file holds jobs that this program cannot run, such as those of a function that it
// does not know. Held jobs lie beside the sorted job bucket and are due at no instant. The
// alarm index lists each app with held jobs behind all that is due, with the registry
// that held them, so that an engine with another registry finds them (G38).

// heldAlarm is the instant, in ms, at which the alarm index has the apps with held jobs.
const heldAlarm = math.MaxInt64

// indexHeld brings the app's entry among those in line with its counters.
func (a *App) indexHeld(tx *kv.Txn, was, is counts) error {
	key := alarmKey(heldAlarm, a.keys)
	switch {
	case was.held > 0 == (is.held > 0) && was.heldBy == is.heldBy:
		return nil
	case is.held == 0:
		return tx.Delete(kv.Alarms, key)
	}
	return tx.Put(kv.Alarms, key, heldEntry(a.id, is.heldBy))
}

func heldEntry(id AppID, by string) []byte { return append(append([]byte(id), 0), by...) }

// Held calls visit for the apps that have held jobs, each with the registry that the
// first of them were held by, until visit returns false. Else it is as Alarms.
func (s *Store) Held(visit func(id AppID, by string) bool) error {
	var errs []error
	for _, v := range s.volumes {
		more := true
		err := v.read(func(snap *kv.Snapshot) error {
			c := snap.Cursor(kv.Alarms)
			for k, entry := c.Seek(alarmKey(heldAlarm, 0)); k != nil && more; k, entry = c.Next() {
				id, by, _ := strings.Cut(string(entry), "\x00")
				if err := damageOf(entry); err != nil {
					_, n := decodeAlarmKey(k)
					id, by = string(appOf(snap, n)), ""
					errs = append(errs, err)
				}
				more = id == "" || visit(AppID(id), by)
			}
			return nil
		})
		if err != nil || !more {
			return errors.Join(append(errs, err)...)
		}
	}
	return errors.Join(errs...)
}

// SetRegistry names the functions that the app's jobs are held by from now on.
func (a *App) SetRegistry(fingerprint string) { a.registry = fingerprint }

// HeldNow returns how many jobs are held, as of the last change submitted. Any
// goroutine may ask.
func (a *App) HeldNow() int { return int(a.heldNow.Load()) }

// Held returns how many jobs are held, and the registry that the first of them were
// held by, as of the last change submitted.
func (a *App) Held() (n int, by string) { return int(a.counts.held), a.counts.heldBy }

// HoldJob takes a pending job that is not claimed out of the bucket until it is
// released, canceled or dropped, and keeps the reason with it. It counts as no
// attempt. The held tick of a trigger is also kept as its HeldJob. ok is false if there
// is no such job.
func (w JobWriter) HoldJob(id JobID, reason string) (ok bool, err error) {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return false, err
	}
	defer tx.mu.Unlock()
	p, t, found, err := tx.locate(id)
	if err != nil || !found || t != tagQueue {
		return false, err
	}
	data, err := tx.get(tx.app.keys.place(tagQueue, p))
	if err != nil {
		return false, err
	}
	job, err := decodeJob(p, data)
	if err != nil {
		return false, fmt.Errorf("app %s: job %s: %w", tx.app.id, id, err)
	}
	claim, err := tx.get(tx.app.keys.place(tagClaim, p))
	if err != nil || claim != nil {
		return false, err
	}
	trigger, err := tx.triggerOf(&job)
	if err != nil {
		return false, err
	}
	tx.removeBacklog(&job)
	tx.takePending(&job)
	tx.hold(&job, reason, trigger)
	return true, nil
}

// hold puts a job that was taken out of the bucket among the held ones.
func (tx *Tx) hold(job *Job, reason string, trigger *Trigger) {
	keys, c := tx.app.keys, &tx.top().counts
	if c.held == 0 {
		c.heldBy = tx.app.registry
	}
	c.held++
	c.addArgs(job, 1)
	job.State, job.Reason, job.HeldAt = StateHeld, errorText(reason), timeOf(tx.now.UnixMilli())
	job.place.ms = c.nextRank(tx.now.UnixMilli())
	tx.put(keys.place(tagHeld, job.place), encodeJob(job))
	tx.put(keys.name(tagID, string(job.ID)), encodeLocation(tagHeld, job.place))
	if !job.NotAfter.IsZero() {
		tx.put(keys.lastKey(tagHeld, job), nil)
	}
	if key := keys.turnKey(job); key != nil {
		tx.put(key, []byte{})
	}
	tx.noteHeld(job, trigger, "", job.ID)
}

// unhold takes a job from among the held ones; its entry in the id index is still
// there.
func (tx *Tx) unhold(job *Job, trigger *Trigger) {
	tx.delete(tx.app.keys.place(tagHeld, job.place))
	if !job.NotAfter.IsZero() {
		tx.delete(tx.app.keys.lastKey(tagHeld, job))
	}
	if key := tx.app.keys.turnKey(job); key != nil {
		tx.delete(key)
		tx.top().leaveOrder(job)
	}
	c := &tx.top().counts
	if c.held--; c.held == 0 {
		c.heldBy = ""
	}
	c.addArgs(job, -1)
	job.Reason = ""
	tx.noteHeld(job, trigger, job.ID, "")
}

// noteHeld has the trigger (nil: there is none) of a tick keep which of its ticks is
// held, if that was another before.
func (tx *Tx) noteHeld(job *Job, t *Trigger, was, is JobID) {
	if t == nil || job.Slot.IsZero() {
		return
	}
	held := &t.HeldJob
	if job.Backfill != 0 {
		if t.Backfill == nil {
			return
		}
		held = &t.Backfill.Held
	}
	if *held != was {
		return
	}
	*held = is
	tx.put(tx.app.keys.name(tagTrigger, t.Name), encodeTrigger(t))
}

// LastHeld is behind every held job, and before every one that will be.
func (tx *Tx) LastHeld() (Place, error) {
	if err := tx.lockTop(); err != nil {
		return Place{}, err
	}
	defer tx.mu.Unlock()
	prefix := tx.app.keys.prefix(tagHeld)
	rows, err := tx.rows(prefix, after(prefix), true, 1)
	if err != nil || len(rows) == 0 {
		return Place{}, err
	}
	return Place{placeOf(rows[0].key)}, nil
}

// ReleaseHeld makes up to limit held jobs pending again, some megabytes of them at most
// and those that were held first, up to the place, each due at the instant it was. right
// (nil: nothing does) puts each right first, whose instant a wrong clock may have told.
// It returns how many; more is false if none is left.
func (tx *Tx) ReleaseHeld(upTo Place, limit int, right func(*Job)) (n int, more bool, err error) {
	return tx.eachHeld(limit, func(job *Job) (bool, error) {
		if upTo.Less(job.Place()) {
			return false, nil
		}
		trigger, err := tx.triggerOf(job)
		if err != nil {
			return false, err
		}
		tx.unhold(job, trigger)
		if right != nil {
			right(job)
		}
		tx.release(job, msOf(job.Due))
		return true, nil
	})
}

// release puts a job back that was held, due at the instant in ms.
func (tx *Tx) release(job *Job, due int64) {
	job.State = StatePending
	job.place.ms = min(max(due, 1), maxInstantMs)
	job.Due = timeOf(job.place.ms)
	tx.putPending(job)
}

// ExpireHeld has up to limit jobs be dead that were held before the instant, some
// megabytes of them at most, up to the first that was not. It returns how many; more
// is false if none is left.
func (tx *Tx) ExpireHeld(before time.Time, limit int) (n int, more bool, err error) {
	return tx.eachHeld(limit, func(job *Job) (bool, error) {
		if job.HeldAt.After(tx.now) { // by a clock that has been set back since
			job.HeldAt = timeOf(tx.now.UnixMilli())
			tx.put(tx.app.keys.place(tagHeld, job.place), encodeJob(job))
		}
		if !job.HeldAt.Before(before) {
			return false, nil
		}
		trigger, err := tx.triggerOf(job)
		if err != nil {
			return false, err
		}
		key, err := tx.keyOf(job)
		if err != nil {
			return false, err
		}
		job.Error = &JobError{Code: "failed_precondition", Message: errorText(
			fmt.Sprintf("held since %s: %s", job.HeldAt.Format(time.RFC3339), job.Reason))}
		tx.unhold(job, trigger)
		if trigger != nil {
			trigger.Backfill.MoveOn(job)
		}
		return true, tx.finish(job, StateFailed, trigger, key)
	})
}

// eachHeld calls do for the held jobs, a page of them and those that were held first,
// until it returns false or has been called limit times; more is false if it was not
// for these bounds. A record that cannot be read is passed over.
func (tx *Tx) eachHeld(limit int, do func(*Job) (bool, error)) (n int, more bool, err error) {
	if err := tx.lockTop(); err != nil {
		return 0, false, err
	}
	defer tx.mu.Unlock()
	prefix := tx.app.keys.prefix(tagHeld)
	from, bytes := prefix, pageBytes
	for n < limit && bytes > 0 {
		rows, _, err := tx.readPage(from, after(prefix), false, extent{limit - n, bytes})
		if err != nil || len(rows) == 0 {
			return n, false, err
		}
		for _, r := range rows {
			from = append(r.key, 0)
			job, err := decodeJob(placeOf(r.key), r.value)
			if err != nil {
				continue
			}
			if ok, err := do(&job); err != nil || !ok {
				return n, false, err
			}
			n++
			bytes -= len(r.value)
		}
	}
	return n, true, nil
}

// SetHeldBy notes that what is held was held by the registry of SetRegistry.
func (tx *Tx) SetHeldBy() error {
	if err := tx.lockTop(); err != nil {
		return err
	}
	defer tx.mu.Unlock()
	if c := &tx.top().counts; c.held > 0 && c.heldBy != tx.app.registry {
		c.heldBy = tx.app.registry
		tx.put(tx.app.keys.prefix(tagMeta), c.encode()) // each commit writes the counters, if it writes anything
	}
	return nil
}

// DropHeld takes a held job, such as the tick of a trigger that has changed, away
// without a trace. ok is false if no held job has the id.
func (w JobWriter) DropHeld(id JobID) (job Job, ok bool, err error) {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return Job{}, false, err
	}
	_, t, found, err := tx.locate(id)
	tx.mu.Unlock()
	if err != nil || !found || t != tagHeld {
		return Job{}, false, err
	}
	job, ok, err = tx.take(id, nil)
	if ok {
		err = tx.gone(&job)
		tx.mu.Unlock()
	}
	return job, ok, err
}
