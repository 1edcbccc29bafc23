package dispatch

import (
	"fmt"
	"time"

	"carillon/storage"
)

// Defaults are options of all of the function's jobs, those of triggers among them as far
// as a trigger has such an option; an option that a job is scheduled with wins over the one
// here that says the same. They are put into a job when it is scheduled. It panics for a
// query, which is never a job, for options that are at fault, and for those of one job
// alone: ID, Once, Tell, InGroup, and NotAfter, in whose place there is ExpiresAfter.
func Defaults(opts ...RunOption) FunctionOption {
	return functionOption(func(info *Info) {
		if err := checkDefaults(info, opts); err != nil {
			panic(fmt.Sprintf("dispatch: %s: defaults: %s", info.Path, err))
		}
		info.Defaults = append(info.Defaults[:len(info.Defaults):len(info.Defaults)], opts...)
	})
}

func checkDefaults(info *Info, opts []RunOption) error {
	if info.Kind == KindQuery {
		return fmt.Errorf("a query is never a job")
	}
	var o runOptions
	for _, opt := range opts {
		if _, ok := opt.(tellOption); ok {
			return fmt.Errorf("Tell is of one job alone")
		}
		opt.changeRun(&o)
	}
	switch {
	case o.id != nil:
		return fmt.Errorf("an ID is of one job alone")
	case o.group != nil:
		return fmt.Errorf("InGroup is of one job alone")
	case o.once != nil:
		return fmt.Errorf("Once is of one job alone")
	case o.notAfter != nil:
		return fmt.Errorf("NotAfter is of one job alone; ExpiresAfter is for all")
	}
	return o.apply(&storage.Job{Due: time.UnixMilli(1)}, &Function{Info: *info})
}

// options are those of a job of the function that is scheduled with opts.
func (f *Function) options(opts []RunOption) (o runOptions) {
	for _, opt := range f.Defaults {
		opt.changeRun(&o)
	}
	// Of retries and AtMostOnce, which exclude each other, the job's own wins.
	once, retry := o.atMostOnce, o.retry
	o.atMostOnce, o.retry = false, nil
	for _, opt := range opts {
		opt.changeRun(&o)
	}
	if !o.atMostOnce && o.retry == nil {
		o.atMostOnce, o.retry = once, retry
	}
	return o
}

// ExpiresAfter is NotAfter, counted from the instant that the job is scheduled for: no
// attempt begins when that is longer than d past, which is rounded up to a whole
// millisecond, and must not be negative. Of it and NotAfter the last one counts.
func ExpiresAfter(d time.Duration) RunOption {
	return runOption(func(o *runOptions) { o.notAfter, o.expires = nil, &d })
}

// lastInstant is the instant after which no attempt of a job begins that is due then, or
// zero.
func (o *runOptions) lastInstant(due time.Time) (time.Time, error) {
	switch {
	case o.expires != nil && *o.expires < 0:
		return time.Time{}, fmt.Errorf("ExpiresAfter: %s is negative", *o.expires)
	case o.expires != nil:
		last, err := dueInstant(due.Add(ceil(*o.expires)))
		if err != nil {
			return time.Time{}, fmt.Errorf("ExpiresAfter: %w", err)
		}
		return last, nil
	case o.notAfter == nil:
		return time.Time{}, nil
	}
	last, err := dueInstant(*o.notAfter)
	if err != nil {
		return time.Time{}, fmt.Errorf("NotAfter: %w", err)
	}
	if last.Before(due) {
		return time.Time{}, fmt.Errorf("NotAfter %s is before the instant that the job is due, %s",
			last.Format(time.RFC3339Nano), due.Format(time.RFC3339Nano))
	}
	return last, nil
}
