package dispatch

import (
	"errors"
	"fmt"
	"time"

	"carillon/internal/brief"
	"carillon/storage"
)

// Planner turns a call and an instant into the job to store. It checks all that
// can be checked without the app's state, so that an engine can refuse a bad
// call before it asks for the turn. For engines.
type Planner struct {
	Registry *Registry
	Identity *Identity                         // whose claims AsCaller stores; nil is anonymous
	Limits   Limits                            // of the arguments
	Pools    map[string]*Pool                  // that jobs may be in, by name
	Parent   storage.JobID                     // the job that schedules; "" is none
	Now      time.Time                         // what RunAfter counts from, and when a job is enqueued
	Clock    func() (time.Time, storage.EraID) // reads the wall, and its era, in place of Now; default nil

	Trace *Trace // where what schedules is; nil: nowhere

	chain int  // how many jobs it is the follow-up of, each of the one before
	bare  bool // without what the function's declaration says of its jobs
}

// After plans a call for d from now. The error is an *Error.
func (p Planner) After(d time.Duration, call Call, opts ...RunOption) (storage.Job, error) {
	if d < 0 {
		return storage.Job{}, refuse(call, "delay %s is negative", d)
	}
	now, era := p.now()
	job, err := p.plan(now, now.Add(d), call, opts)
	job.Era, job.AskedEra = era, era
	return job, err
}

// At plans a call for the instant t, which may have passed. The error is an *Error.
func (p Planner) At(t time.Time, call Call, opts ...RunOption) (storage.Job, error) {
	now, _ := p.now()
	return p.plan(now, t, call, opts)
}

// now is the clock's instant, but not before the earliest one a job can be due
// at: RunAfter(0) never fails because of a clock that is wrong.
func (p Planner) now() (now time.Time, era storage.EraID) {
	now = p.Now
	if p.Clock != nil {
		now, era = p.Clock()
	}
	if first := time.UnixMilli(1); now.Before(first) {
		return first, era
	}
	return now, era
}

func (p Planner) plan(now, at time.Time, call Call, opts []RunOption) (storage.Job, error) {
	due, err := dueInstant(at)
	if err != nil {
		return storage.Job{}, refuse(call, "%w", err)
	}
	fn, args, err := p.Registry.schedulable(call, p.Limits)
	if err != nil {
		return storage.Job{}, err
	}
	if p.bare {
		fn = &Function{Info: Info{Path: call.path, Kind: fn.Kind, Remote: fn.Remote}}
	}
	job := storage.Job{
		Function: fn.Path, Remote: fn.Remote, Args: args, State: storage.StatePending,
		Due: due, ScheduledFor: due, EnqueuedAt: time.UnixMilli(now.UnixMilli()).UTC(), Parent: p.Parent,
	}
	if p.Trace != nil {
		job.Trace = p.Trace.Span
	}
	o := fn.options(opts)
	if err := o.apply(&job, fn); err != nil {
		return storage.Job{}, refuse(call, "%w", err)
	}
	if err := p.placed(&job, o.placement.over(fn.Placement)); err != nil {
		return storage.Job{}, refuse(call, "%w", err)
	}
	if o.onDone != nil {
		if err := p.follow(&job, now, o.onDone); err != nil {
			return storage.Job{}, refuse(call, "%w", err)
		}
	}
	if o.asCaller {
		claims, err := encodeIdentity(p.Identity)
		if err != nil {
			return storage.Job{}, err
		}
		job.Claims = claims
	}
	return job, nil
}

// placed puts the job where it waits.
func (p Planner) placed(job *storage.Job, at Placement) error {
	if err := at.Check(p.Pools); err != nil {
		return err
	}
	at.Place(job)
	return nil
}

// apply checks the options and puts them into the job.
func (o *runOptions) apply(job *storage.Job, fn *Function) error {
	if o.id != nil {
		if err := o.id.Check(); err != nil {
			return err
		}
		job.ID = *o.id
	}
	if o.timeout != nil {
		if *o.timeout <= 0 {
			return fmt.Errorf("timeout %s is not positive", *o.timeout)
		}
		job.Timeout = ceil(*o.timeout)
	}
	var err error
	if job.NotAfter, err = o.lastInstant(job.Due); err != nil {
		return err
	}
	if job.Tags = o.tagsOf(fn); len(job.Tags) > 0 {
		if err := storage.CheckTags(job.Tags); err != nil {
			return err
		}
	}
	if err := o.applyUnique(job); err != nil {
		return err
	}
	job.KeepResult = o.keepResult
	job.Instance, job.ShardKey = o.instance, o.shardKey
	if o.group != nil {
		job.Group = *o.group
	}
	if o.retry != nil {
		if err := o.retry.check(); err != nil {
			return err
		}
		job.Retry = o.retry.stored()
	}
	if o.atMostOnce {
		switch {
		case fn.Kind == KindMutation:
			return fmt.Errorf("AtMostOnce is for actions: the effects of a mutation happen exactly once")
		case o.retry != nil && o.retry.attempts() > 1:
			return fmt.Errorf("AtMostOnce excludes retries")
		}
		job.AtMostOnce, job.Retry = true, RetryPolicy{MaxAttempts: 1}.stored()
	}
	return nil
}

// dueInstant rounds an instant up to the next whole millisecond, so that a job
// is never early, and refuses one that no job can be due at.
func dueInstant(t time.Time) (time.Time, error) {
	switch {
	case !t.After(time.UnixMilli(0)):
		return time.Time{}, fmt.Errorf("instant %s is not after the beginning of 1970", t.UTC().Format(time.RFC3339Nano))
	case t.After(storage.MaxInstant):
		return time.Time{}, errors.New("instant is later than the latest a job can be due at, the end of the year 9999")
	}
	ms := t.UnixMilli()
	if t.Nanosecond()%int(time.Millisecond) != 0 {
		ms++
	}
	return time.UnixMilli(ms).UTC(), nil
}

// refuse is the error of a call whose instant or options are at fault.
func refuse(call Call, format string, args ...any) *Error {
	e := Errorf(CodeInvalidArgument, format, args...)
	e.Path, e.Message = brief.Cut(call.path, MaxPath), withoutCode(e.Message, e.Code)
	return e
}
