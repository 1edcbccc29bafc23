package dispatch

import (
	"errors"
	"fmt"
	"time"

	"carillon/storage"
)

// MaxUniqueSpan bounds the spans of a UniquePolicy: those of Throttle, MaxWait and HeldFor.
const MaxUniqueSpan = 366 * 24 * time.Hour

// waitDelays is how many times its delay a job can be put off by Replace, if nothing else is
// said.
const waitDelays = 10

// UniquePolicy says what becomes of a call that is scheduled with Unique while the key is
// held: Keep, Replace, Throttle or Refuse make one.
type UniquePolicy struct {
	asked   storage.Unique
	maxWait *time.Duration
	heldFor *time.Duration
	every   *time.Duration
}

// Unique has the call be the only one of its key, 1 to storage.MaxKey bytes, among the
// jobs of its function. A job holds the key while it is pending, held or running; what
// becomes of a call that finds it held the policy of that call says. It is decided inside
// the transaction, and undone with it.
//
// A call that comes while the holder runs, and that the policy does not turn away, is a
// job of its own, which begins when the handler of the one before has returned or was given
// up. It holds the key from then on: the one before is not tried again should it fail, but
// ends as canceled. A job that is dead holds nothing; HostScheduler.RetryDead takes its key
// back, or answers already_exists.
func Unique(key string, policy UniquePolicy) RunOption {
	return runOption(func(o *runOptions) {
		policy.asked.Key = key
		o.unique = &policy
	})
}

// Keep has the job that is there do for the call: its id is the answer (Tell says that it
// was). One that is pending begins after the transaction that it was kept in is durable, and
// so sees what that has written; one that runs may not: see UniquePolicy.PendingOnly.
func Keep() UniquePolicy { return policyOf(storage.UniqueKeep) }

// Replace has the job that is there become the call: it keeps its id, and has the call's
// arguments, instant and options from then on. That is a debounce. A steady run of calls puts a
// job off for ten times the delay of the last one at most, unless MaxWait says otherwise,
// counted from the first call, or from the end of the latest attempt. Other
// arguments, once an attempt has begun, are a new revision of the job
// (JobRun.IdempotencyKey), with its failures counted anew.
func Replace() UniquePolicy { return policyOf(storage.UniqueReplace) }

// Throttle has the job of a key start at most once in each d, retries counted, by the wall
// clock. The first call starts as it asks; those that come too soon are one job, with the
// arguments of the last of them, that starts as soon as it may.
func Throttle(d time.Duration) UniquePolicy {
	p := policyOf(storage.UniqueThrottle)
	p.every = &d
	return p
}

// Refuse has the call be an error, already_exists, that names the job that is there.
func Refuse() UniquePolicy { return policyOf(storage.UniqueRefuse) }

func policyOf(p storage.UniquePolicy) UniquePolicy {
	return UniquePolicy{asked: storage.Unique{Policy: p}}
}

// AppWide has the key be one of the whole app, whatever the function.
func (p UniquePolicy) AppWide() UniquePolicy {
	p.asked.AppWide = true
	return p
}

// PendingOnly has a job that runs not hold the key: the call is a job of its own then, and
// may run beside it. It is not for Throttle.
func (p UniquePolicy) PendingOnly() UniquePolicy {
	p.asked.PendingOnly = true
	return p
}

// MaxWait bounds how long calls that replace each other can put a job off. It is for Replace.
func (p UniquePolicy) MaxWait(d time.Duration) UniquePolicy {
	p.maxWait = &d
	return p
}

// HeldFor has the job hold the key for d after it has ended as a success, against calls that
// Keep and Refuse. It is for those two.
func (p UniquePolicy) HeldFor(d time.Duration) UniquePolicy {
	p.heldFor = &d
	return p
}

// Once has a job schedule the call at most once under the name, 1 to storage.MaxKey bytes,
// however often its handler is tried: later calls are answered with the id of the first one's
// job, also when that has long ended. It is for the handlers of jobs, mutations and
// actions, and what they run. The names of a job, storage.MaxOnce of them at most, are kept until
// its own record is purged or dropped.
func Once(name string) RunOption {
	return runOption(func(o *runOptions) { o.once = &name })
}

// Tell has done say what became of a call that is scheduled with Unique or Once, when it has
// been without an error.
func Tell(done *storage.Told) RunOption { return tellOption{done} }

type tellOption struct{ done *storage.Told }

func (tellOption) changeRun(*runOptions) {}

// TellScheduled does what the call's options of Tell ask for. For engines.
func TellScheduled(opts []RunOption, done storage.Told) {
	for _, opt := range opts {
		if tell, ok := opt.(tellOption); ok && tell.done != nil {
			*tell.done = done
		}
	}
}

// applyUnique checks Unique and Once, and puts them into the job.
func (o *runOptions) applyUnique(job *storage.Job) (err error) {
	if o.unique != nil {
		if job.Unique, err = o.unique.stored(job.Due.Sub(job.EnqueuedAt)); err != nil {
			return err
		}
	}
	if o.once == nil {
		return nil
	}
	switch n := len(*o.once); {
	case job.Parent == "":
		return errors.New("Once is for what a job schedules")
	case n < 1 || n > storage.MaxKey:
		return fmt.Errorf("name of Once has %d bytes, want 1 to %d", n, storage.MaxKey)
	}
	job.Once = *o.once
	return nil
}

// stored checks the policy, and makes of it what is stored with a job that is due after the
// delay.
func (p *UniquePolicy) stored(delay time.Duration) (*storage.Unique, error) {
	u := p.asked
	if n := len(u.Key); n < 1 || n > storage.MaxKey {
		return nil, fmt.Errorf("unique key has %d bytes, want 1 to %d", n, storage.MaxKey)
	}
	switch u.Policy {
	case "":
		return nil, errors.New("Unique has no policy, want Keep, Replace, Throttle or Refuse")
	case storage.UniqueThrottle:
		if u.PendingOnly {
			return nil, errors.New("PendingOnly is not for Throttle")
		}
	}
	for _, s := range []struct {
		name string
		span *time.Duration
		into *time.Duration
		fits bool
		whom string
	}{
		{"Throttle", p.every, &u.Every, true, ""},
		{"MaxWait", p.maxWait, &u.MaxWait, u.Policy == storage.UniqueReplace, "Replace"},
		{"HeldFor", p.heldFor, &u.HeldFor, u.Policy == storage.UniqueKeep || u.Policy == storage.UniqueRefuse, "Keep and Refuse"},
	} {
		switch {
		case s.span == nil:
		case !s.fits:
			return nil, fmt.Errorf("%s is for %s", s.name, s.whom)
		case *s.span <= 0 || *s.span > MaxUniqueSpan:
			return nil, fmt.Errorf("%s of %s, want more than 0 and at most %s", s.name, *s.span, MaxUniqueSpan)
		default:
			*s.into = ceil(*s.span)
		}
	}
	if u.Policy == storage.UniqueReplace && p.maxWait == nil {
		u.MaxWait = waitDelays * min(max(delay, 0), longest/waitDelays)
	}
	return &u, nil
}
