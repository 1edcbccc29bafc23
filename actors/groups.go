package actors

import (
	"carillon/dispatch"
	"carillon/storage"
)

// NewGroup implements dispatch.Scheduler. The group is durable when it returns.
func (s *remoteScheduler) NewGroup(onEnd dispatch.Call, opts ...dispatch.RunOption) (storage.GroupID, error) {
	job, err := s.planner.Group(onEnd, opts)
	if err != nil {
		return 0, err
	}
	var id storage.GroupID // the actor's, until it answers
	err = s.eng.add(s.ctx, s.app, s.from, func(tx *storage.Tx) (err error) {
		id, err = tx.JobWriter().NewGroup(job)
		return err
	})
	if err != nil {
		return 0, err
	}
	return id, nil
}

// Seal implements dispatch.Scheduler. It is durable when it returns.
func (s *remoteScheduler) Seal(id storage.GroupID) error {
	return s.eng.change(s.ctx, s.app, s.from, func(tx *storage.Tx) error { return tx.JobWriter().SealGroup(id) })
}

// CancelGroup implements dispatch.Scheduler. What it has canceled is durable when it returns, also
// beside an error: then another call goes on.
func (s *remoteScheduler) CancelGroup(id storage.GroupID) (n int, err error) {
	err = s.eng.change(s.ctx, s.app, s.from, func(tx *storage.Tx) error { return tx.JobWriter().StopGroup(id) })
	if err != nil {
		return 0, err
	}
	host := HostScheduler{*s}
	return host.CancelMany(storage.JobFilter{Group: id})
}

// Group implements dispatch.Scheduler. It reads committed state.
func (s *remoteScheduler) Group(id storage.GroupID) (g storage.Group, ok bool, err error) {
	err = s.eng.read(s.ctx, s.app, s.from, func(r storage.Reader) (err error) {
		g, ok, err = r.System().Group(id)
		return err
	})
	return g, ok && err == nil, err
}

// Groups implements dispatch.Scheduler. It reads committed state.
func (s *remoteScheduler) Groups(f storage.GroupFilter) (list []storage.Group, err error) {
	err = s.eng.read(s.ctx, s.app, s.from, func(r storage.Reader) (err error) {
		list, err = r.System().Groups(f)
		return err
	})
	return list, err
}
