package actors

import (
	"errors"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is how a handler puts its job off, or all of its pool (dispatch.RetryAfter).
// Of a pool that waits nothing is admitted, and claims that have not begun are taken
// back. Its start log has until when.

// maxPostponed and maxPutOff bound how often in a row, and for how long, a job is put off
// uncharged.
const (
	maxPostponed = 1000
	maxPutOff    = 24 * time.Hour
)

// postponement is what err asks for, or nil.
func postponement(err error) *dispatch.Postponement {
	var p *dispatch.Postponement
	if dispatch.IsPermanent(err) || !errors.As(err, &p) {
		return nil
	}
	return p
}

// mayPutOff says whether the job may be put off once more without a charge.
func mayPutOff(job *storage.Job, now time.Time) bool {
	return job.Postponed < maxPostponed && (job.Postponed == 0 || now.Sub(job.PutOffSince) < maxPutOff)
}

// putOffPool has the pool of the run wait, if its handler has asked for that.
func (s *scheduler) putOffPool(r *run, err error) {
	if p := postponement(err); p != nil && p.WholePool && r.job.Pool != "" {
		s.pools.putOff(r.job.Lane(), p.After)
	}
}

// logPutOff has the transaction that ends the attempt write down that its pool waits.
func (s *scheduler) logPutOff(tx *storage.Tx, r *run, err error) error {
	p := postponement(err)
	if p == nil || !p.WholePool || r.job.Pool == "" {
		return nil
	}
	at, now := s.eng.clock.look(), s.eng.clock.elapsed()
	wait := s.pools.putOffUntil(r.job.Lane()) - now
	if wait <= 0 {
		return nil
	}
	return tx.LogStart(r.job.Lane(), storage.Start{Wall: at.wall, Era: at.era, Elapsed: now, Wait: wait})
}

// putOff has nothing of the lane begin for so long.
func (ps *pools) putOff(at storage.Lane, d time.Duration) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.isShared(at.Pool) {
		ps.shared.putOff(at, d)
		return
	}
	l := ps.at(at)
	l.starts.until = max(l.starts.until, ps.clock.elapsed()+d)
	ps.noteOpens(at, l)
	ps.tidy(at, l)
}

// putOffUntil is when the wait of the lane ends, or has ended.
func (ps *pools) putOffUntil(at storage.Lane) time.Duration {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.isShared(at.Pool) {
		return ps.shared.putOffUntil(at)
	}
	if l := ps.lanes[at]; l != nil {
		return l.starts.until
	}
	return 0
}

// isPutOff says whether the pool of the job waits.
func (app *appState) isPutOff(job *storage.Job) bool {
	return job.Pool != "" && app.pools.putOffUntil(job.Lane()) > app.eng.clock.elapsed()
}
