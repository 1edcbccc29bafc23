package dispatch

import (
	"errors"
	"fmt"
	"time"

	"carillon/cron"
	"carillon/storage"
)

// Trigger defines a cron trigger: one that the program declares (actors.Options.Crons),
// which the engine brings in line by name in each app when it is opened, or one that is
// made at run time (Crons).
type Trigger struct {
	Name     string    // 1 to 64 letters, digits, _, - and ., unique in the app
	Schedule cron.Spec // when: cron.Daily and the like, or cron.Expr of a text
	Zone     string    // IANA name; "" is UTC
	Call     Call      // what each tick runs; a mutation or an action, internal ones included

	Overlap storage.Overlap // default: skip the slot
	CatchUp storage.CatchUp // default: one late run
	// Jitter bounds how much later than its slot a tick is due, 0 to MaxJitter. The
	// delay is the same for every tick of this trigger in this app.
	Jitter time.Duration
	// Retry is the policy of the ticks. nil is the function's own; if that has none
	// either it is DefaultRetry, but an attempt that would begin at the next slot or
	// later is not made: the tick has failed.
	Retry  *RetryPolicy
	Paused bool // made, but not ticking until it is resumed

	// AtMostOnce, Timeout and Tags are options of the ticks, as of other jobs.
	AtMostOnce bool
	Timeout    time.Duration // 0 is the function's own
	Tags       []string
	// As is who the ticks run as, such as a service with a name of its own; nil is
	// anonymous. It is stored with the trigger. Where stored identities are looked at
	// again when jobs run (actors.Options.Reauthorize), this one is, too.
	As *Identity
	// SuccessWithin is how long the trigger may be without a success before it counts
	// as overdue; 0 is for ever. It should be longer than the cadence and one run.
	SuccessWithin time.Duration

	// The rest is of declared triggers only.

	// AtStart stands in place of Schedule: the trigger ticks when the program starts,
	// once in each process that opens the store. It names its Apps.
	AtStart bool
	// Apps are the apps that have the trigger, which come into being with it.
	// Default: every app that exists, and every one as it comes into being.
	Apps []storage.AppID
}

// MaxJitter bounds Trigger.Jitter.
const MaxJitter = 24 * time.Hour

// TriggerFault is what is wrong with one trigger.
type TriggerFault struct {
	Trigger string
	Path    string // of the function it calls
	Reason  string
	Err     error
}

// Error implements error.
func (f *TriggerFault) Error() string {
	return fmt.Sprintf("trigger %s: %s: %s", f.Trigger, f.Path, f.Reason)
}

// Unwrap returns what the reason was taken from.
func (f *TriggerFault) Unwrap() error { return f.Err }

// TriggerFaults are the faults of declared triggers, all of them.
type TriggerFaults []*TriggerFault

// Error implements error, a line a fault.
func (fs TriggerFaults) Error() string {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errors.Join(errs...).Error()
}

// Unwrap returns the faults.
func (fs TriggerFaults) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}

// CheckTriggers works out what the declared triggers come to, in the form they are
// stored in. The error is TriggerFaults and names every faulty trigger at once: one
// whose function is not registered or is a query, whose arguments do not decode,
// whose spec or policy is refused, or whose name is taken.
func (p Planner) CheckTriggers(triggers []Trigger) ([]storage.Trigger, error) {
	var faults TriggerFaults
	plans := make([]storage.Trigger, 0, len(triggers))
	names := map[string]bool{}
	room := newRoom()
	for i := range triggers {
		t := &triggers[i]
		plan, err := p.declared(t)
		switch {
		case err == nil && names[t.Name]:
			err = fmt.Errorf("the name is declared twice")
		case err == nil:
			for _, id := range t.Apps {
				if err = id.Check(); err != nil {
					break
				}
			}
		}
		names[t.Name] = true
		if err == nil {
			err = room.take(t.Apps)
		}
		if err != nil {
			faults = append(faults, &TriggerFault{Trigger: t.Name, Path: t.Call.Path(), Reason: reason(err), Err: err})
			continue
		}
		plan.Declared = true
		plans = append(plans, plan)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return plans, nil
}

// room counts how many triggers each app is to have.
type room struct {
	all  int // those for every app
	most int // of some app, those that name it
	own  map[storage.AppID]int
}

func newRoom() *room { return &room{own: map[storage.AppID]int{}} }

// take makes room for one more trigger of the apps, of every app if there are none.
func (r *room) take(apps []storage.AppID) error {
	if len(apps) == 0 {
		r.all++
	}
	for _, id := range apps {
		r.own[id]++
		r.most = max(r.most, r.own[id])
	}
	if r.all+r.most > storage.MaxTriggers {
		return fmt.Errorf("an app has %d triggers at most", storage.MaxTriggers)
	}
	return nil
}

// reason is the error's text without what the line around it says already.
func reason(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Message != "" {
		return e.Message
	}
	return err.Error()
}

// PlanTrigger checks the definition of a trigger that is made at run time and returns
// it in the form it is stored in, without a next slot. The error is an *Error.
func (p Planner) PlanTrigger(def Trigger) (storage.Trigger, error) {
	if def.AtStart || len(def.Apps) > 0 {
		return storage.Trigger{}, Errorf(CodeInvalidArgument, "trigger %s: AtStart and Apps are of declared triggers", def.Name)
	}
	return p.trigger(&def)
}

// declared is trigger for one that the program declares.
func (p Planner) declared(t *Trigger) (storage.Trigger, error) {
	reason := ""
	switch {
	case !t.AtStart:
	case t.Schedule != cron.Spec{}:
		reason = fmt.Sprintf("has no schedule, and this one is %q", t.Schedule.String())
	case t.Zone != "":
		reason = "has no zone"
	case t.CatchUp != storage.CatchUp{}:
		reason = "has no catch-up: no start is missed"
	case len(t.Apps) == 0:
		reason = "names its apps: all others stay asleep when the program starts"
	}
	if reason != "" {
		return storage.Trigger{}, Errorf(CodeInvalidArgument, "trigger %s: AtStart %s", t.Name, reason)
	}
	return p.trigger(t)
}

// trigger checks a definition.
func (p Planner) trigger(def *Trigger) (storage.Trigger, error) {
	if err := storage.CheckTriggerName(def.Name); err != nil {
		return storage.Trigger{}, AsError(err)
	}
	bad := func(err error) (storage.Trigger, error) {
		return storage.Trigger{}, Errorf(CodeInvalidArgument, "trigger %s: %w", def.Name, err)
	}
	t := storage.Trigger{
		Name: def.Name, Spec: def.Schedule.String(), Zone: def.Zone, Overlap: def.Overlap, AtStart: def.AtStart,
		CatchUp: def.CatchUp, Jitter: def.Jitter, SuccessWithin: def.SuccessWithin, Paused: def.Paused,
	}
	schedule, err := ScheduleOf(&t)
	if err != nil {
		return bad(err)
	}
	t.Zone = schedule.Zone()
	if err := checkPolicies(&t); err != nil {
		return bad(err)
	}
	// What the planner refuses of a job, no tick may be made of.
	var opts []RunOption
	if def.Retry != nil {
		opts = append(opts, WithRetry(*def.Retry))
	}
	if def.AtMostOnce {
		opts = append(opts, AtMostOnce())
	}
	if def.Timeout != 0 {
		opts = append(opts, Timeout(def.Timeout))
	}
	if len(def.Tags) > 0 {
		opts = append(opts, Tags(def.Tags...))
	}
	if def.As != nil {
		p.Identity = def.As
		opts = append(opts, AsCaller())
	}
	job, err := p.After(0, def.Call, opts...)
	if err != nil {
		return storage.Trigger{}, err
	}
	t.Function, t.Args, t.Retry = job.Function, job.Args, job.Retry
	t.AtMostOnce, t.Timeout, t.Claims, t.Tags = job.AtMostOnce, job.Timeout, job.Claims, job.Tags
	return t, nil
}

// ScheduleOf compiles the schedule of a stored trigger, which has no slot if it is
// AtStart. For engines.
func ScheduleOf(t *storage.Trigger) (*cron.Schedule, error) {
	if t.AtStart {
		return cron.Never(), nil
	}
	schedule, err := cron.Expr(t.Spec).Compile(t.Zone)
	if err != nil {
		return nil, err
	}
	return schedule.WithAnchor(t.Anchor), nil
}

// checkPolicies fills in what a definition leaves out, and says what it cannot have.
func checkPolicies(t *storage.Trigger) error {
	switch t.Overlap {
	case "":
		t.Overlap = storage.OverlapSkip
	case storage.OverlapSkip, storage.OverlapQueue, storage.OverlapAllow, storage.OverlapReplace:
	default:
		return fmt.Errorf("overlap %q, want skip, queue, allow or replace", string(t.Overlap))
	}
	switch c := &t.CatchUp; c.Mode {
	case "", storage.CatchUpOne, storage.CatchUpNone:
		if c.Mode == "" {
			c.Mode = storage.CatchUpOne
		}
		if c.Limit != 0 || c.Window != 0 && c.Mode == storage.CatchUpNone {
			return fmt.Errorf("catch-up %s: a limit goes with all, a window with one and all", c.Mode)
		}
	case storage.CatchUpAll:
		if c.Limit == 0 {
			c.Limit = 100
		}
		if c.Limit < 1 || c.Limit > storage.MaxCatchUp {
			return fmt.Errorf("catch-up limit %d, want 1 to %d", c.Limit, storage.MaxCatchUp)
		}
	default:
		return fmt.Errorf("catch-up %q, want one, none or all", string(c.Mode))
	}
	if t.CatchUp.Window < 0 {
		return fmt.Errorf("catch-up window %v is negative", t.CatchUp.Window)
	}
	if t.Jitter < 0 || t.Jitter > MaxJitter {
		return fmt.Errorf("jitter %v, want 0 to %v", t.Jitter, MaxJitter)
	}
	if t.SuccessWithin < 0 {
		return fmt.Errorf("success within %v is negative", t.SuccessWithin)
	}
	return nil
}

// CheckStored says what is wrong with the definition of a trigger that another store has
// had, or nil. The function need not be known here. For engines.
func CheckStored(t *storage.Trigger) error {
	if t.AtStart && (t.Spec != "" || !t.Declared) {
		return fmt.Errorf("at start, with spec %q, declared %t", t.Spec, t.Declared)
	}
	if _, err := ScheduleOf(t); err != nil {
		return err
	}
	if err := Path(t.Function).Check(); err != nil {
		return err
	}
	if _, err := DecodeIdentity(t.Claims); err != nil {
		return err
	}
	if t.Timeout < 0 {
		return fmt.Errorf("timeout %v is negative", t.Timeout)
	}
	if err := storage.CheckTags(t.Tags); err != nil {
		return err
	}
	filled := *t
	return checkPolicies(&filled)
}
