package actors

import "time"

// purgeChunk is how many expired rows one change set deletes, so that due work
// waits for no more than that.
const purgeChunk = 256

// purgeEvery is how often history is looked at while there is nothing to delete.
const purgeEvery = time.Minute

// purgeDue says whether it is time to look for expired history: only while no
// job is due, unless there is far too much of it.
func (s *scheduler) purgeDue() bool {
	if s.draining || s.purgeBad && s.eng.clock.elapsed() < s.purgeAt {
		return false
	}
	over := s.store.History() - s.eng.opts.KeepFinished
	if over > purgeChunk && (s.ready.len() == 0 || over > s.eng.opts.KeepFinished/8) {
		return true
	}
	return s.store.History() > 0 && s.eng.clock.elapsed() >= s.purgeAt && s.ready.len() == 0
}

// purge deletes a chunk of expired history.
func (s *scheduler) purge() {
	now := s.eng.clock.now()
	tx := s.store.Begin(now)
	tx.Pin()
	n, err := tx.PurgeHistory(now.Add(-s.eng.opts.Retention), s.eng.opts.KeepFinished, purgeChunk)
	if err != nil && !s.purgeBad {
		s.eng.opts.Logger.Error("purging history", "app", s.id, "err", err)
	}
	s.purgeBad = err != nil // the next one would meet the same
	if n < purgeChunk || err != nil {
		s.purgeAt = s.eng.clock.elapsed() + purgeEvery
	}
	if n == 0 {
		s.rollback(tx, nil, nil)
		return
	}
	s.commit(tx, nil, nil)
}
