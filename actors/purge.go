package actors

import (
	"errors"
	"time"
)

// purgeChunk is how many expired rows one change set deletes at most (storage bounds
// their bytes), so that due work waits for no more than that.
const purgeChunk = 256

// purgeEvery is how often history and dead jobs are looked at while there is
// nothing to delete.
const purgeEvery = time.Minute

// purgeDue says whether it is time to look for expired history, dead and held jobs: only
// while no job is due, unless there are far too many.
func (s *scheduler) purgeDue() bool {
	if s.phase().draining() || s.purgeStuck && s.eng.clock.elapsed() < s.purgeAt {
		return false
	}
	o, idle := &s.eng.opts, s.runQueue.len() == 0
	tooMany := func(n, keep int) bool {
		return keep >= 0 && n-keep > purgeChunk && (idle || n-keep > keep/8)
	}
	history, dead := s.store.History(), s.store.Dead()
	if tooMany(history, o.KeepFinished) || tooMany(dead, o.KeepDead) {
		return true
	}
	if held, _ := s.store.Held(); o.HoldFor > 0 {
		history += held
	}
	keyed, _ := s.store.IdempotencyKeys()
	return (history+dead+keyed+s.store.EndedOperations()+s.store.EndedGroups()+s.store.Lasting() > 0 || s.store.HasStarts()) && s.eng.clock.elapsed() >= s.purgeAt && idle
}

// purge deletes a chunk of expired history and dead jobs. Expired held ones are dead.
func (s *scheduler) purge() {
	o, at := &s.eng.opts, s.eng.clock.look()
	expiry := s.eng.expiry(at)
	tx := s.begin(at)
	tx.Pin()
	n, more, err := tx.PurgeHistory(expiry.History, o.KeepFinished, purgeChunk)
	dead := 0
	if !more {
		var deadErr error
		dead, more, deadErr = tx.PurgeDead(expiry.Dead, o.KeepDead, purgeChunk-n)
		err = errors.Join(err, deadErr)
	}
	if !more {
		var groupErr error
		_, more, groupErr = tx.PurgeGroups(expiry.History, o.KeepFinished, purgeChunk)
		err = errors.Join(err, groupErr)
	}
	if !more && o.HoldFor > 0 {
		var expired int
		var heldErr error
		expired, more, heldErr = tx.ExpireHeld(expiry.Held, purgeChunk-n-dead)
		if expired > 0 {
			s.eng.opts.Logger.Warn("held jobs are dead", "app", s.id, "jobs", expired, "after", o.HoldFor)
		}
		err = errors.Join(err, heldErr)
	}
	if !more {
		var keysErr error
		_, more, keysErr = tx.PurgeKeys(expiry.Keys, purgeChunk)
		err = errors.Join(err, keysErr)
	}
	if !more && !s.eng.clock.doubted() {
		_, operationsErr := tx.PurgeOperations(at.now.Add(-operationsKept))
		err = errors.Join(err, operationsErr)
	}
	if !more {
		var keyedErr error
		_, more, keyedErr = tx.PurgeIdempotencyKeys(expiry.Keys, purgeChunk)
		err = errors.Join(err, keyedErr)
	}
	if !more {
		var startsErr error
		more, startsErr = s.sweepStarts(tx, at)
		err = errors.Join(err, startsErr)
	}
	if err != nil && !s.purgeStuck {
		s.eng.opts.Logger.Error("purging jobs that have ended", "app", s.id, "err", err)
	}
	s.purgeStuck = err != nil // the next purge would meet the same
	if s.purgedDead += dead; !more || err != nil {
		s.purgeAt = s.eng.clock.elapsed() + purgeEvery
		if s.purgedDead > 0 {
			s.eng.opts.Logger.Info("purged dead jobs past their retention", "app", s.id, "jobs", s.purgedDead)
			s.purgedDead = 0
		}
	}
	if tx.Unchanged() {
		s.rollback(tx, nil, nil)
		return
	}
	purged := &s.eng.purgedDead
	s.commitRuns(tx, nil, runChanges{own: true}, func(err error) {
		if err == nil {
			purged.Add(int64(dead))
		}
	})
}
