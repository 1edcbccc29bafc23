package storage

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
)

// claimIDs makes the names of a store's claims.
type claimIDs struct {
	incarnation uint64
	latest      atomic.Uint64
}

func newClaimIDs() *claimIDs { return &claimIDs{incarnation: rand.Uint64N(1<<64-1) + 1} }

func (c *claimIDs) next() ClaimID { return ClaimID{c.incarnation, c.latest.Add(1)} }

// ClaimID names one claim of one job. For engines.
type ClaimID struct {
	Incarnation uint64 // of the store that made it: random, and new each time it is opened; 0: of an earlier release
	Token       uint64 // differs from that of every other claim of the incarnation
}

// ClaimBegin is what a claim says of whether its handler may have begun. For engines.
type ClaimBegin uint8

// The claims of a job say nothing until a crash has found one; from then on each says that its
// handler has not begun, until that is about to (Tx.LogBegin).
const (
	BeginUntold  ClaimBegin = iota
	BeginAwaited            // its handler has not begun
	BeginLogged             // it has, or was about to
)

// ClaimBegin returns what the claim of a job says that Tx.Claim has claimed or Tx.Claimed
// returned. For engines.
func (j *Job) ClaimBegin() ClaimBegin { return j.claimBegin }

// logsBegin says whether the job's claims tell whether their handlers have begun: crashes have
// found it claimed since its latest attempt that came to an end.
func (j *Job) logsBegin() bool {
	n := len(j.History)
	return j.Interruptions > 0 || n > 0 && j.History[n-1].Unsure
}

// LogBegin records, durably once committed, that the handler of the job, which Tx.Claim has
// claimed in an earlier transaction, is about to begin. ErrCorrupt: it is not claimed.
func (tx *Tx) LogBegin(job *Job) error {
	if err := tx.lockTop(); err != nil {
		return err
	}
	defer tx.mu.Unlock()
	key := tx.app.keys.place(tagClaim, job.place)
	switch claim, err := tx.get(key); {
	case err != nil:
		return err
	case claim == nil:
		return fmt.Errorf("%w: S5: job %s is not claimed", ErrCorrupt, job.ID)
	}
	job.claimBegin = BeginLogged
	tx.put(key, encodeClaim(job.claim, job.claimBegin, job.Attempts+1, tx.now))
	return nil
}

// ClaimID returns the claim of a job that Tx.Claim has claimed or Tx.Claimed returned. For
// engines.
func (j *Job) ClaimID() ClaimID { return j.claim }

// Ours says whether the claim was made since the store was opened, and in no other store.
// Any goroutine may ask.
func (a *App) Ours(id ClaimID) bool { return id.Incarnation == a.vol.claims.incarnation }
