package dispatch

import (
	"carillon/storage"
)

// InGroup has the job be a member of the group, which does not end before it. Anything of the
// app may add members until the group is sealed; then only jobs that are members themselves, while
// they run (ctx.Job.Group), and those that they follow as OnDone. Where the job is scheduled:
// failed_precondition if the group has ended, was canceled, or is sealed for the caller;
// resource_exhausted if it has storage.MaxGroupMembers; not_found. A job counts with its first
// end, and is a member until then, also while it is held; a dead one that is retried is a member
// no more, and one that is dropped while it is held counts as canceled. If the call takes the
// place of another one (Replace), or is kept off by one (Keep, Once), the stored job is of the
// group that it was of. 0 is no group.
func InGroup(id storage.GroupID) RunOption {
	return runOption(func(o *runOptions) { o.group = &id })
}

// Group plans what follows a group. The error is an *Error.
func (p Planner) Group(onEnd Call, opts []RunOption) (storage.Job, error) {
	job, err := p.After(0, onEnd, opts...)
	if err == nil && (job.ID != "" || job.Unique != nil || job.Once != "" || job.Group != 0) {
		return storage.Job{}, refuse(onEnd, "what follows a group has no ID, Unique, Once or InGroup: they could keep the group from ending")
	}
	return job, err
}

// CancelGroup is Scheduler.CancelGroup in the transaction of w.
func cancelGroup(w storage.JobWriter, id storage.GroupID) (n int, err error) {
	if err := w.StopGroup(id); err != nil {
		return 0, err
	}
	var members []storage.JobID
	for job, err := range w.System().All(storage.JobFilter{Group: id, States: unended}) {
		if err != nil {
			return 0, err
		}
		members = append(members, job.ID)
	}
	for _, id := range members {
		answer, err := w.CancelJob(id)
		if err != nil {
			return 0, err
		}
		if answer.Canceled {
			n++
		}
	}
	return n, nil
}

var unended = []storage.State{storage.StatePending, storage.StateRunning, storage.StateHeld}

func (s *txScheduler) NewGroup(onEnd Call, opts ...RunOption) (storage.GroupID, error) {
	job, err := s.planner.Group(onEnd, opts)
	if err != nil {
		return 0, err
	}
	id, err := s.w.NewGroup(job)
	return id, asError(err)
}

func (s *txScheduler) Seal(id storage.GroupID) error { return asError(s.w.SealGroup(id)) }

func (s *txScheduler) CancelGroup(id storage.GroupID) (n int, err error) {
	err = s.w.Nested(func(w storage.JobWriter) error {
		n, err = cancelGroup(w, id)
		return err
	})
	if err != nil {
		return 0, AsError(err)
	}
	return n, nil
}

func (s *txScheduler) Group(id storage.GroupID) (storage.Group, bool, error) {
	g, ok, err := s.w.System().Group(id)
	return g, ok, asError(err)
}

func (s *txScheduler) Groups(f storage.GroupFilter) ([]storage.Group, error) {
	list, err := s.w.System().Groups(f)
	return list, asError(err)
}
