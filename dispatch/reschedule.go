package dispatch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"carillon/storage"
)

// ChangeOption is one thing that Scheduler.Reschedule changes of a job: DueAt, DueIn, NewArgs
// or Priority; or what that is on condition of: IfArgs. Of two that say the same the last one counts.
type ChangeOption interface{ changeJob(*changes) }

type changes struct {
	at        *time.Time
	delay     *time.Duration
	call      *Call
	former    json.RawMessage
	placement Placement
}

type changeOption func(*changes)

func (o changeOption) changeJob(c *changes) { o(c) }

func (o JobOption) changeJob(c *changes) { o(&c.placement) }

// DueAt has the job be due at t, by the rules of Scheduler.RunAt.
func DueAt(t time.Time) ChangeOption {
	return changeOption(func(c *changes) { c.at, c.delay = &t, nil })
}

// DueIn has the job be due d from now, by the rules of Scheduler.RunAfter: DueIn(0) is now.
func DueIn(d time.Duration) ChangeOption {
	return changeOption(func(c *changes) { c.at, c.delay = nil, &d })
}

// NewArgs has the job have the arguments of the call, which is of the job's function.
func NewArgs(call Call) ChangeOption {
	return changeOption(func(c *changes) { c.call = &call })
}

// IfArgs has nothing be changed, with CodeAborted, unless these are the job's arguments, in any spacing: so a change that was made of what
// its author has seen does not undo another one that came meanwhile.
func IfArgs(args json.RawMessage) ChangeOption {
	return changeOption(func(c *changes) { c.former = append(json.RawMessage{}, args...) })
}

// Changes are what a Reschedule asks for. For engines.
type Changes struct {
	change storage.Change
	fn     *Function // whose arguments there are; nil: there are none
	of     *Registry
	former []byte // the arguments that the job has to have, without spaces; nil: any
}

// Changes checks what a Reschedule asks for. The error is an *Error.
func (p Planner) Changes(opts ...ChangeOption) (Changes, error) {
	var c changes
	for _, opt := range opts {
		opt.changeJob(&c)
	}
	made := Changes{of: p.Registry}
	if err := c.check(); err != nil {
		return made, Errorf(CodeInvalidArgument, "%w", err)
	}
	now, era := p.now()
	if c.delay != nil {
		at := now.Add(*c.delay)
		c.at, made.change.Era = &at, era
	}
	if c.at != nil {
		due, err := dueInstant(*c.at)
		if err != nil {
			return made, Errorf(CodeInvalidArgument, "%w", err)
		}
		made.change.Due = due
	}
	if c.call != nil {
		fn, args, err := p.Registry.schedulable(*c.call, p.Limits)
		if err != nil {
			return made, AsError(err)
		}
		made.fn, made.change.Args = fn, args
	}
	if c.former != nil {
		var former bytes.Buffer
		if err := json.Compact(&former, c.former); err != nil {
			return made, Errorf(CodeInvalidArgument, "the arguments that the job has to have are no JSON: %w", err)
		}
		made.former = former.Bytes()
	}
	made.change.Priority = c.placement.Priority
	return made, nil
}

func (c *changes) check() error {
	switch at := c.placement; {
	case at.Pool != nil || at.unpooled:
		return errors.New("the pool of a job cannot be changed")
	case at.Priority < 0 || at.Priority > storage.MaxPriority:
		return fmt.Errorf("priority %d, want %d to %d", at.Priority, storage.MinPriority, storage.MaxPriority)
	case c.delay != nil && *c.delay < 0:
		return fmt.Errorf("delay %s is negative", *c.delay)
	case c.at == nil && c.delay == nil && c.call == nil && at.Priority == 0:
		return errors.New("nothing is to be changed")
	}
	return nil
}

// Make changes the job. The error is an *Error.
func (c Changes) Make(w storage.JobWriter, id storage.JobID) (storage.Rescheduling, error) {
	if c.fn != nil || c.former != nil {
		job, ok, err := w.System().Get(id)
		if err != nil || !ok {
			return storage.Rescheduling{}, asError(err)
		}
		changes := job.State == storage.StatePending || job.State == storage.StateHeld
		if c.former != nil && changes && !sameJSON(job.Args, c.former) {
			return storage.Rescheduling{}, Errorf(CodeAborted, "job %s has other arguments by now: look at them, and change it again", id)
		}
		if c.fn != nil {
			if fn, known := c.of.Lookup(job.Function); !known || fn.Path != c.fn.Path {
				return storage.Rescheduling{}, Errorf(CodeInvalidArgument, "job %s is one of function %q, and the arguments are those of %q", id, job.Function, c.fn.Path)
			}
		}
	}
	answer, err := w.RescheduleJob(id, c.change)
	return answer, asError(err)
}

// sameJSON says whether the text is the compact one, but for spaces, and for how characters of HTML are written, which
// depends on the way that JSON has come.
func sameJSON(text, compact []byte) bool {
	var a, b, spaceless bytes.Buffer
	if json.Compact(&spaceless, text) != nil {
		return bytes.Equal(text, compact)
	}
	json.HTMLEscape(&a, spaceless.Bytes())
	json.HTMLEscape(&b, compact)
	return bytes.Equal(a.Bytes(), b.Bytes())
}

// asError is AsError of what may be nil.
func asError(err error) error {
	if err == nil {
		return nil
	}
	return AsError(err)
}

func (s *txScheduler) Reschedule(id storage.JobID, opts ...ChangeOption) (storage.Rescheduling, error) {
	c, err := s.planner.Changes(opts...)
	if err != nil {
		return storage.Rescheduling{}, err
	}
	return c.Make(s.w, id)
}
