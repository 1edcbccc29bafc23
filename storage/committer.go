package storage

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"carillon/storage/internal/kv"
	"carillon/storage/internal/wal"
)

// changeSet is what one transaction of one app wrote, on its way to the disk.
type changeSet struct {
	app    *App
	n      uint64
	era    EraID     // in which the transaction began
	at     time.Time // the latest instant that it has written down
	counts counts    // the app's counters after it
	writes *buffer   // nil: nothing to write, only to wait for what came before
	done   func(error)
	weight int // what it costs the committer; about bytes

	awaited bool     // a caller waits for it
	audit   [][]byte // rows of the audit log, if it writes anything

	special func(*kv.Txn) error // a transaction that is not an app's, run on its own
}

// submit queues a change set for the committer. It never blocks.
func (v *volume) submit(cs *changeSet) {
	if !v.queue.put(cs) {
		cs.done(ErrClosed)
	}
}

// take returns the next batch, waiting for one; nil means closed and empty.
func (v *volume) take() []*changeSet {
	for {
		waiting, closed := v.queue.len()
		if waiting > 0 {
			break
		}
		if closed {
			return nil
		}
		if v.collectGarbage() {
			v.noteAnswered() // it has written, too
			continue
		}
		v.await()
	}
	v.queue.linger(v.lone)
	batch := v.queue.take()
	v.lone = len(batch) == 1
	return batch
}

// await waits for a change set, or until the next collection of garbage.
func (v *volume) await() {
	d, ok := v.garbage.wait()
	if !ok {
		<-v.queue.wake
		return
	}
	again := time.NewTimer(d)
	defer again.Stop()
	select {
	case <-v.queue.wake:
	case <-again.C:
	}
}

// revive opens the volume anew if it is down, unless it is too early for that. One
// whose file was replaced goes down.
func (v *volume) revive() {
	if v.suspect.Swap(false) && v.db != nil {
		if err := v.db.Present(); err != nil {
			v.failed(err)
		}
	}
	if v.db == nil && v.backoff.refusal() == nil {
		if err := v.reopen(); err != nil {
			v.failed(err)
		}
	}
}

// commitLoop is the volume's one goroutine: it applies every waiting change
// set, of all apps, in one transaction of the file, then answers all of them.
func (v *volume) commitLoop() {
	defer close(v.stopped)
	defer v.answered.end()
	for {
		v.noteAnswered()
		batch := v.take()
		if batch == nil {
			return
		}
		v.revive()
		sets, weight, began := len(batch), 0, time.Now()
		for _, cs := range batch {
			weight += cs.weight
		}
		for len(batch) > 0 {
			n := slices.IndexFunc(batch, func(cs *changeSet) bool { return cs.special != nil })
			if n == 0 {
				v.commitSpecial(batch[0])
				v.noteAnswered()
				batch = batch[1:]
				continue
			}
			if n < 0 {
				n = len(batch)
			}
			v.commitBatch(batch[:n])
			v.noteAnswered()
			batch = batch[n:]
		}
		took := time.Since(began)
		v.queue.noteBatch(sets, weight, took)
		if weight > 0 { // else they only waited for what was before them
			v.batchTime.Observe(int64(took))
			v.batchBytes.Observe(int64(weight))
		}
	}
}

// commitBatch makes the change sets durable together and answers them.
func (v *volume) commitBatch(batch []*changeSet) {
	for {
		batch = v.sound(batch)
		err := v.commit(batch)
		damaged, ok := errors.AsType[*appError](err)
		switch {
		case ok:
			// Nothing was written. The change sets of other apps go on.
			batch = refuseApp(batch, damaged)
			continue
		case err != nil:
			v.fail(batch, err)
			return
		}
		break
	}
	for _, cs := range batch {
		if cs.writes != nil {
			cs.app.durable.Store(cs.n)
			cs.app.commit = v.last.Seq
		}
	}
	for i, cs := range batch {
		v.unanswered = batch[i+1:]
		if cs.writes != nil {
			cs.app.seq = cs.counts.seq
		}
		cs.done(nil)
	}
	v.unanswered = nil
}

// appError is damage of the pages of one app, met before anything was written.
type appError struct {
	app *App
	err error
}

func (e *appError) Error() string { return "app " + string(e.app.id) + ": " + e.err.Error() }
func (e *appError) Unwrap() error { return e.err }

// ofApp says whose pages an error is about, if it is about damage.
func ofApp(app *App, err error) error {
	if errors.Is(err, kv.ErrDamaged) {
		return &appError{app, readError(err)}
	}
	return err
}

// refuseApp answers the change sets of the app whose pages are damaged, and returns
// the others.
func refuseApp(batch []*changeSet, damaged *appError) []*changeSet {
	damaged.app.broken.Store(true)
	return slices.DeleteFunc(batch, func(cs *changeSet) bool {
		if cs.app == damaged.app {
			cs.done(damaged)
		}
		return cs.app == damaged.app
	})
}

// unwritable says why nothing is committed now, or nil.
func (v *volume) unwritable() error {
	if err := v.backoff.refusal(); err != nil {
		return err
	}
	if v.db == nil {
		// An earlier part of what was taken together brought the volume down.
		return fmt.Errorf("%w: %s", ErrUnavailable, v.name)
	}
	return nil
}

// commitSpecial runs a transaction that is not an app's. An error of its own
// undoes it and is its answer; only an error of the commit fails the volume.
func (v *volume) commitSpecial(cs *changeSet) {
	if err := v.unwritable(); err != nil {
		cs.done(err)
		return
	}
	var own error
	err := v.fault("commit")
	if err == nil {
		err = v.update(func(tx *kv.Txn) error {
			own = cs.special(tx)
			return own
		})
	}
	if err == nil {
		err = v.fault("committed")
	}
	switch {
	case own != nil:
		cs.done(readError(own))
	case err != nil:
		v.fail([]*changeSet{cs}, err)
	default:
		v.backoff.succeed()
		cs.done(nil)
	}
}

// batchWrite is one write of a batch.
type batchWrite struct {
	key string
	write
}

// commit makes the batch durable. A nil error means every change set is.
func (v *volume) commit(batch []*changeSet) error {
	n := 0
	for _, cs := range batch {
		if cs.writes != nil {
			n += cs.writes.m.Len()
		}
	}
	if n == 0 {
		return nil
	}
	writes := make([]batchWrite, 0, n)
	apps := v.batchApps[:0]
	clock, latest := v.clock.Load(), int64(0)
	var audit [][]byte
	for _, cs := range batch {
		if cs.writes == nil {
			continue
		}
		if !slices.Contains(apps[max(0, len(apps)-8):], cs.app) {
			apps = append(apps, cs.app)
			cs.app.filing = cs.app.filed
		}
		cs.app.counters = cs.counts
		audit = append(audit, cs.audit...)
		if cs.era == clock.id() {
			latest = max(latest, cs.at.UnixMilli())
		}
		cs.writes.m.Scan(func(key string, w write) bool {
			writes = append(writes, batchWrite{key, w})
			switch tag(key[numberLen]) {
			case tagQueue:
				requeue(key, w, &cs.app.requeued, &cs.app.enqueued)
			case tagLast:
				requeue(key, w, &cs.app.relasted, &cs.app.lasted)
			}
			return true
		})
	}
	v.batchApps = apps
	defer clear(apps)
	order := inKeyOrder(writes)
	if err := v.fault("commit"); err != nil {
		return err
	}
	var key []byte
	err := v.update(func(tx *kv.Txn) error {
		for i, n := range order {
			w := &writes[n]
			if i+1 < len(order) && writes[order[i+1]].key == w.key {
				continue
			}
			key = append(key[:0], w.key...)
			var err error
			if w.deleted {
				err = tx.Delete(kv.Data, key)
			} else {
				err = tx.Put(kv.Data, key, w.value)
			}
			if err != nil {
				i := slices.IndexFunc(apps, func(a *App) bool { return w.key[:numberLen] == string(a.keys.number()) })
				return ofApp(apps[i], err)
			}
		}
		for _, app := range apps {
			if err := app.apply(tx); err != nil {
				return ofApp(app, err)
			}
		}
		if err := v.audit(tx, audit...); err != nil {
			return err
		}
		return v.noteInstant(tx, clock, latest)
	})
	if err == nil {
		err = v.fault("committed")
	}
	if err != nil {
		return err
	}
	for _, app := range apps {
		app.filed, app.requeued, app.enqueued = app.filing, false, ""
		app.relasted, app.lasted = false, ""
	}
	v.last = v.db.Place()
	v.backoff.succeed()
	return nil
}

// requeue takes note of a write among keys of which the first one matters.
func requeue(key string, w write, any *bool, first *string) {
	*any = true
	if !w.deleted && (*first == "" || key < *first) {
		*first = key
	}
}

// apply writes the app's entry, its counters and its place in the alarm index as they are
// after the batch.
func (a *App) apply(tx *kv.Txn) error {
	f := &a.filing
	fresh := !f.entered
	realarmed := a.counters.paused != f.counters.paused || (a.counters.operations > 0) != (f.counters.operations > 0)
	if err := a.makeEntry(tx, f); err != nil {
		return err
	}
	if fresh || a.counters != f.counters {
		if err := tx.Put(kv.Data, a.keys.prefix(tagMeta), a.counters.encode()); err != nil {
			return err
		}
		if err := a.indexHeld(tx, f.counters, a.counters); err != nil {
			return err
		}
		f.counters = a.counters
	}
	if !a.requeued && !a.relasted && !realarmed {
		return nil
	}
	return a.index(tx, f)
}

// makeEntry makes the app's entry, unless it has one.
func (a *App) makeEntry(tx *kv.Txn, f *filed) error {
	if f.entered {
		return nil
	}
	f.entered = true
	if err := tx.Put(kv.Apps, []byte(a.id), encodeEntry(a.keys)); err != nil {
		return err
	}
	return raiseNumbers(tx, a.keys)
}

// index puts the app at its place in the alarm index.
func (a *App) index(tx *kv.Txn, f *filed) (err error) {
	if f.due, f.from, err = a.firstOf(tx, tagQueue, a.keys.dueAt, f.from, a.enqueued); err != nil {
		return err
	}
	if a.relasted {
		if f.last, f.lastFrom, err = a.firstOf(tx, tagLast, a.keys.lastAt, f.lastFrom, a.lasted); err != nil {
			return err
		}
	}
	due := f.counters.alarm(f.due, f.last)
	if due == f.alarm {
		return nil
	}
	if f.alarm != 0 {
		if err := tx.Delete(kv.Alarms, alarmKey(f.alarm, a.keys)); err != nil {
			return err
		}
	}
	f.alarm = due
	if due == 0 {
		return nil
	}
	return tx.Put(kv.Alarms, alarmKey(due, a.keys), []byte(a.id))
}

// firstOf finds the first key of the kind, and what its alarm is. It looks from where the
// last one was found, or the batch has put one: to pass what was removed since a checkpoint
// takes a step each.
func (a *App) firstOf(tx *kv.Txn, t tag, alarm func(key []byte) int64, from, put string) (int64, string, error) {
	if put != "" {
		from = min(from, put)
	}
	from = max(from, string(a.keys.prefix(t)))
	first, _, err := tx.Seek(kv.Data, []byte(from))
	if err != nil {
		return 0, from, err
	}
	at := alarm(first)
	if at != 0 {
		from = string(first)
	}
	return at, from, nil
}

// fail answers a batch whose commit returned an error. Unless the volume is lost, or the
// commit was refused, and nothing of it was written, its outcome is unknown; everything
// queued behind it was built upon it, so it is not applied. The file is closed and opened
// anew before anything else is read or written (G6), but for a commit that had no room, or that
// a shared log has not taken: it may be away, and the file is what it was, unless it is unsure.
func (v *volume) fail(batch []*changeSet, cause error) {
	for _, cs := range batch {
		cs.app.broken.Store(true)
	}
	v.failed(cause)
	if sound := v.shard && errors.Is(cause, kv.ErrRefused) && v.db != nil && !v.db.Failed(); !sound && !isLost(cause) && !errors.Is(cause, kv.ErrNoRoom) {
		if err := v.reopen(); err != nil {
			v.failed(err)
		}
	}
	for _, cs := range batch {
		switch {
		case isLost(cause):
			cs.done(lostError(v.name, cause))
			continue
		case errors.Is(cause, kv.ErrRefused):
			if errors.Is(cause, kv.ErrFull) {
				cause = fullError(v.relieve(), cause)
			}
			cs.done(fmt.Errorf("%w: %s: %w", ErrUnavailable, v.name, cause))
			continue
		}
		cs.done(fmt.Errorf("%w: %w", ErrUnknownOutcome, cause))
	}
}

// failed takes note of what has failed. A volume that is lost is closed.
func (v *volume) failed(cause error) {
	if !isLost(cause) {
		v.backoff.fail(cause)
		return
	}
	v.backoff.lose(cause)
	if v.shard {
		if errors.Is(cause, wal.ErrTailLost) {
			v.tailLost(cause)
		}
		v.lose(cause)
	}
	if err := v.drop(); err != nil {
		v.logger.Error("closing a volume", "volume", v.name, "err", err)
	}
}

// sound answers the change sets that cannot be applied, because they were built
// upon a failed one or the volume is down, and returns the rest. One that writes
// nothing is sound while the file can be read.
func (v *volume) sound(batch []*changeSet) []*changeSet {
	down := v.unwritable()
	return slices.DeleteFunc(batch, func(cs *changeSet) bool {
		switch {
		case down != nil && (cs.writes != nil || v.db == nil):
			cs.app.broken.Store(true)
			cs.done(down)
		case cs.app.broken.Load():
			cs.done(ErrNotApplied)
		default:
			return false
		}
		return true
	})
}
