package actors

import (
	"context"

	"carillon/dispatch"
	"carillon/storage"
)

// HostScheduler is a dispatch.Scheduler for the host, with what only the host
// may do. AsCaller stores no identity, since the host has none, unless As gives it one.
type HostScheduler struct{ remoteScheduler }

// As returns the scheduler whose AsCaller stores the identity with a job, which runs as that; nil
// is anonymous. The host answers for it.
func (s *HostScheduler) As(identity *dispatch.Identity) *HostScheduler {
	as := *s
	as.planner.Identity = identity
	return &as
}

// RetryDead makes a dead or held job pending again, due at once; a dead one with a new
// budget of retries. A held one that still cannot run is held again. ok is false if no
// such job has the id.
func (s *HostScheduler) RetryDead(id storage.JobID) (ok bool, err error) {
	return s.ofDead(s.eng.add, func(tx *storage.Tx) (bool, error) { return tx.RetryDeadAt(id, s.eng.clock.wall()) })
}

// DropDead removes a dead or held job for good. ok is false if no such job has the id.
func (s *HostScheduler) DropDead(id storage.JobID) (ok bool, err error) {
	return s.ofDead(s.eng.change, func(tx *storage.Tx) (bool, error) { return tx.DropDead(id) })
}

// changer is Engine.change or Engine.add.
type changer func(context.Context, storage.AppID, *source, func(*storage.Tx) error) error

func (s *HostScheduler) ofDead(do changer, change func(*storage.Tx) (bool, error)) (bool, error) {
	var ok bool // the actor's, until it answers: a caller who gives up must not touch it
	err := do(s.ctx, s.app, nil, func(tx *storage.Tx) (err error) {
		ok, err = change(tx)
		return err
	})
	if err != nil {
		return false, err
	}
	return ok, nil
}
