package dispatch

import (
	"time"

	"carillon/storage"
)

// Scheduler schedules calls and tells what became of them. A mutation's is part
// of its transaction: it sees the transaction's own jobs, and what it did is
// undone with it. From an action or the host each call is its own transaction,
// durable when it returns. Every error is an *Error.
type Scheduler interface {
	// RunAfter schedules the call for d from now, rounded up to a whole
	// millisecond; 0 is as soon as possible. A negative d is refused.
	RunAfter(d time.Duration, call Call, opts ...RunOption) (storage.JobID, error)
	// RunAt schedules the call for t, rounded up to a whole millisecond. An
	// instant that has passed is legal: the job is overdue and keeps t as what
	// it was scheduled for. An instant that is not after the beginning of
	// 1970, or after storage.MaxInstant, is refused.
	RunAt(t time.Time, call Call, opts ...RunOption) (storage.JobID, error)
	// RunMany schedules up to MaxBatch calls, made by After and At, and returns their
	// ids in the same order: all of them, or none with an error that names the first one
	// at fault by its index. They are one commit, which keeps to Options.TxLimits:
	// resource_exhausted says which limit it would pass.
	RunMany(calls []Scheduled) ([]storage.JobID, error)
	// List returns one page of the jobs that the filter chooses.
	List(filter storage.JobFilter) (storage.JobPage, error)
	// Get returns a job. ok is false if none of that id is known.
	Get(id storage.JobID) (job storage.Job, ok bool, err error)
	// Cancel cancels a pending or running job; the answer says whether it was in
	// time. The handler of a running action is told by its context; a new job that is
	// given the same id begins when it has returned. Cascade takes along what has come of it.
	Cancel(id storage.JobID, opts ...CancelOption) (storage.Cancellation, error)
	// Reschedule changes a pending job, which keeps its id: its instant (DueAt, DueIn), its
	// Priority or its arguments (NewArgs); DueIn(0) runs it now. The answer says whether it
	// was in time: a job that runs, or has ended, stays as it is. A job that waits for a retry
	// is tried again at the instant, with the attempts that it has left. One that is held is
	// pending again, and held again if it still cannot run. Other arguments, once an attempt
	// has begun, are a new revision of the job (JobRun.IdempotencyKey), with its failures
	// counted anew. A job of a throttled key (Throttle) is due no sooner than that lets it. An
	// instant after the job's NotAfter is refused, and so is a tick of a trigger that has not
	// begun, and other arguments for one that has.
	Reschedule(id storage.JobID, changes ...ChangeOption) (storage.Rescheduling, error)
	// Pause keeps the jobs of the scope, OfApp, OfFunction or OfPool, from beginning:
	// no attempt, no retry and no tick starts until Resume. What runs ends, calls are
	// served, and jobs can be scheduled; one that waits says why (Job.Reason). by says
	// who has paused, reason why: at most storage.MaxPauseBy and MaxPauseReason bytes. A
	// scope that is paused stays so, with the new texts. invalid_argument if the function
	// or pool is not one of the program's, resource_exhausted if the app has
	// storage.MaxControls pauses and limits of pools.
	Pause(of storage.Scope, by, reason string) error
	// Resume ends the pause of the scope. What is due begins at once; the slots of
	// triggers that have passed meanwhile are judged by their CatchUp. resumed is false
	// if it was not paused. A job waits as long as one pause is of it.
	Resume(of storage.Scope) (resumed bool, err error)
	// Pauses returns what is paused: the app, then functions and pools by name.
	Pauses() ([]storage.Pause, error)
	// LimitPool gives a pool of the program another limit, 1 to MaxPoolLimit, which wins
	// over the declared one until ClearPoolLimit, through restarts. A lower one lets those
	// end that run; a higher one begins more at once. Errors are those of Pause.
	LimitPool(pool string, limit int) error
	// ClearPoolLimit has the declared limit count again. cleared is false if it did.
	ClearPoolLimit(pool string) (cleared bool, err error)
	// NewGroup makes a group of jobs, for InGroup. When it is sealed and all of its members
	// have ended, onEnd is scheduled in that very commit, and is told by ctx.Job.GroupOutcome
	// how many ended how. The options are those of onEnd, by the rules of OnDone. At most
	// storage.MaxGroups that have not ended in an app, else resource_exhausted.
	NewGroup(onEnd Call, opts ...RunOption) (storage.GroupID, error)
	// Seal says that the group has all of its first members: from then on only members add
	// members, and it can end. One that has no member that has not ended ends at once. To
	// seal one that is sealed changes nothing; not_found if there is none.
	Seal(id storage.GroupID) error
	// CancelGroup seals the group, has no job added to it any more, not by members either, and
	// cancels those that have not ended. The group ends with them. It returns how many it has
	// canceled. In a mutation it is part of the transaction, or refused with
	// resource_exhausted if that has no room for it, and reads all jobs of the app that have not
	// ended; from elsewhere it goes in steps like HostScheduler.CancelMany.
	CancelGroup(id storage.GroupID) (n int, err error)
	// Group returns a group. ok is false if none of that id is known: it never was, or it ended
	// longer ago than jobs are kept.
	Group(id storage.GroupID) (g storage.Group, ok bool, err error)
	// Groups returns one page of the groups that the filter chooses, in the order they were made.
	Groups(filter storage.GroupFilter) ([]storage.Group, error)
	// Crons are the app's cron triggers, under the same rules.
	Crons() Crons
}

// RunOption changes how one job runs. Of two that say the same the last one counts.
type RunOption interface{ changeRun(*runOptions) }

// runOption is a RunOption and nothing else.
type runOption func(*runOptions)

func (o runOption) changeRun(to *runOptions) { o(to) }

type runOptions struct {
	id         *storage.JobID
	asCaller   bool
	atMostOnce bool
	timeout    *time.Duration
	notAfter   *time.Time
	expires    *time.Duration
	retry      *RetryPolicy
	tags       *TagsOption
	placement  Placement
	unique     *UniquePolicy
	once       *string
	keepResult *bool
	onDone     *Scheduled
	group      *storage.GroupID
	instance   string
	shardKey   string
}

// ID chooses the job's id instead of having one minted. It is refused while a
// pending, running or dead job holds it, and is no idempotency key. Chosen again after
// the job has ended it means the later one; listings show both, the earlier one as
// Superseded.
func ID(id storage.JobID) RunOption {
	return runOption(func(o *runOptions) { o.id = &id })
}

// AsCaller has the job run as the identity that schedules it: its claims are
// stored with the job. Without it, and for an anonymous caller, the job runs
// anonymously.
func AsCaller() RunOption {
	return runOption(func(o *runOptions) { o.asCaller = true })
}

// AtMostOnce has an action begin at most once: one that a crash cut off, or
// that failed, is never run again. It is refused together with retries, and for
// a mutation, whose effects happen exactly once anyway.
func AtMostOnce() RunOption {
	return runOption(func(o *runOptions) { o.atMostOnce = true })
}

// Timeout bounds each attempt of the job, instead of the function's own
// deadline. It is rounded up to a whole millisecond, and must be positive.
func Timeout(d time.Duration) RunOption {
	return runOption(func(o *runOptions) { o.timeout = &d })
}

// NotAfter has no attempt of the job begin after t, rounded up to a whole millisecond,
// retries among them. A job that waits by then, for whatever it does, has expired
// (storage.StateExpired), and its Reason says what it has waited for; an attempt that has
// begun goes on, but is not tried again. That is the end of the job: it can be scheduled
// anew, but not retried. A t before the instant that the job is scheduled for is refused; if
// both have passed the job expires at once. t is read off the wall clock: while that is in
// doubt, since it has leapt ahead by more than a day, the job neither begins nor expires.
func NotAfter(t time.Time) RunOption {
	return runOption(func(o *runOptions) { o.notAfter, o.expires = &t, nil })
}

// WithRetry gives the job a retry policy instead of its function's (Retry), or DefaultRetry.
func WithRetry(policy RetryPolicy) RunOption {
	return runOption(func(o *runOptions) { o.retry = &policy })
}

// FromInstance notes with the job what a client of the reference scheduler's protocol has said
// (storage.Job.Instance and ShardKey), each at most storage.MaxInstance bytes of UTF-8. For servers.
func FromInstance(instance, shardKey string) RunOption {
	return runOption(func(o *runOptions) { o.instance, o.shardKey = instance, shardKey })
}

// NoRetry has the first failure of the job be its last.
func NoRetry() RunOption { return WithRetry(RetryPolicy{MaxAttempts: 1}) }

// txScheduler is the scheduler inside a transaction: good as long as w is, and like w
// for one goroutine at a time. newCrons makes its Crons; nil: every method of them is
// an error.
type txScheduler struct {
	w        storage.JobWriter
	planner  Planner
	newCrons func(storage.JobWriter) Crons
}

func (s *txScheduler) Crons() Crons {
	if s.newCrons == nil {
		return noCrons{}
	}
	return s.newCrons(s.w)
}

func (s *txScheduler) RunAfter(d time.Duration, call Call, opts ...RunOption) (storage.JobID, error) {
	job, err := s.planner.After(d, call, opts...)
	return s.insert(job, opts, err)
}

func (s *txScheduler) RunAt(t time.Time, call Call, opts ...RunOption) (storage.JobID, error) {
	job, err := s.planner.At(t, call, opts...)
	return s.insert(job, opts, err)
}

func (s *txScheduler) insert(job storage.Job, opts []RunOption, err error) (storage.JobID, error) {
	if err != nil {
		return "", err
	}
	done, err := s.w.Schedule(job)
	if err != nil {
		return "", AsError(err)
	}
	TellScheduled(opts, done)
	return done.ID, nil
}

func (s *txScheduler) List(filter storage.JobFilter) (storage.JobPage, error) {
	page, err := s.w.System().List(filter)
	if err != nil {
		return storage.JobPage{}, AsError(err)
	}
	return page, nil
}

func (s *txScheduler) Get(id storage.JobID) (storage.Job, bool, error) {
	job, ok, err := s.w.System().Get(id)
	if err != nil {
		return storage.Job{}, false, AsError(err)
	}
	return job, ok, nil
}

func (s *txScheduler) Cancel(id storage.JobID, opts ...CancelOption) (storage.Cancellation, error) {
	if Cascades(opts) {
		return s.cascade(id)
	}
	answer, err := s.w.CancelJob(id)
	if err != nil {
		return storage.Cancellation{}, AsError(err)
	}
	return answer, nil
}
