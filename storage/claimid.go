package storage

import (
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

// ClaimID returns the claim of a job that Tx.Claim has claimed or Tx.Claimed returned. For
// engines.
func (j *Job) ClaimID() ClaimID { return j.claim }

// Ours says whether the claim was made since the store was opened, and in no other store.
// Any goroutine may ask.
func (a *App) Ours(id ClaimID) bool { return id.Incarnation == a.vol.claims.incarnation }
