package cron

import (
	"errors"
	"fmt"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Trigger declares a recurring call in the program. The engine brings each
// app's triggers in line with the declared ones by name when it is opened.
type Trigger struct {
	Name     string        // 1 to 64 letters, digits, _, - and ., unique among the declared
	Schedule Spec          // when; none with AtStart
	AtStart  bool          // when the program starts: once in each process that opens the store, see the package comment
	Zone     string        // IANA name; "" is UTC
	Call     dispatch.Call // what; a mutation or an action, internal ones included

	Overlap storage.Overlap       // default: skip the slot
	CatchUp storage.CatchUp       // default: one late run
	Jitter  time.Duration         // bound of the delay after the slot; default 0
	Retry   *dispatch.RetryPolicy // of its ticks; default the function's own, or dispatch.DefaultRetry up to the next slot
	Paused  bool                  // declared, but not ticking until it is resumed

	AtMostOnce bool               // of its ticks, as dispatch.AtMostOnce
	Timeout    time.Duration      // of its ticks, as dispatch.Timeout; default the function's own
	As         *dispatch.Identity // who its ticks run as, such as a named service; default anonymous
	// SuccessWithin is how long the trigger may be without a success before it
	// counts as overdue. Default: for ever.
	SuccessWithin time.Duration

	// Apps are the apps that have the trigger, which come into being with it.
	// Default: every app that exists, and every one as it comes into being.
	Apps []storage.AppID
}

// MaxJitter bounds Trigger.Jitter.
const MaxJitter = 24 * time.Hour

// cron is the declaration in the form of a trigger made at run time.
func (t *Trigger) cron() dispatch.Cron {
	return dispatch.Cron{
		Name: t.Name, Spec: t.Schedule.String(), Zone: t.Zone, Call: t.Call, Overlap: t.Overlap,
		CatchUp: t.CatchUp, Jitter: t.Jitter, Retry: t.Retry, Paused: t.Paused,
		AtMostOnce: t.AtMostOnce, Timeout: t.Timeout, As: t.As, SuccessWithin: t.SuccessWithin,
	}
}

// plan is Plan of the declaration.
func (t *Trigger) plan(planner dispatch.Planner) (storage.Trigger, error) {
	if !t.AtStart {
		return Plan(planner, t.cron())
	}
	bad := func(reason string) (storage.Trigger, error) {
		return storage.Trigger{}, dispatch.Errorf(dispatch.CodeInvalidArgument, "trigger %s: AtStart %s", t.Name, reason)
	}
	switch {
	case t.Schedule != Spec{}:
		return bad(fmt.Sprintf("has no schedule, and this one is %q", t.Schedule.String()))
	case t.Zone != "":
		return bad("has no zone")
	case t.CatchUp != storage.CatchUp{}:
		return bad("has no catch-up: no start is missed")
	case len(t.Apps) == 0:
		return bad("names its apps: all others stay asleep when the program starts")
	}
	return makePlan(planner, t.cron(), Never(), true)
}

// Fault is what is wrong with one trigger.
type Fault struct {
	Trigger string
	Path    string // of the function it calls
	Reason  string
	Err     error
}

// Error implements error.
func (f *Fault) Error() string { return fmt.Sprintf("trigger %s: %s: %s", f.Trigger, f.Path, f.Reason) }

// Unwrap returns what the reason was taken from.
func (f *Fault) Unwrap() error { return f.Err }

// Faults are the faults of declared triggers, all of them.
type Faults []*Fault

// Error implements error, a line a fault.
func (fs Faults) Error() string {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errors.Join(errs...).Error()
}

// Unwrap returns the faults.
func (fs Faults) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}

// Check works out what the declared triggers come to, in the form they are
// stored in. The error is Faults and names every faulty trigger at once: one
// whose function is not registered or is a query, whose arguments do not decode,
// whose spec or policy is refused, or whose name is taken.
func Check(planner dispatch.Planner, triggers []Trigger) ([]storage.Trigger, error) {
	var faults Faults
	plans := make([]storage.Trigger, 0, len(triggers))
	names := map[string]bool{}
	room := newRoom()
	for i := range triggers {
		t := &triggers[i]
		plan, err := t.plan(planner)
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
			faults = append(faults, &Fault{Trigger: t.Name, Path: t.Call.Path(), Reason: reason(err), Err: err})
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
	var e *dispatch.Error
	if errors.As(err, &e) && e.Message != "" {
		return e.Message
	}
	return err.Error()
}

// Plan checks the definition of a trigger and returns it in the form it is
// stored in, without a next slot. The error is an *dispatch.Error.
func Plan(planner dispatch.Planner, def dispatch.Cron) (storage.Trigger, error) {
	schedule, err := Expr(def.Spec).Compile(def.Zone)
	if err != nil {
		err = dispatch.Errorf(dispatch.CodeInvalidArgument, "trigger %s: %w", def.Name, err)
		if nameErr := storage.CheckTriggerName(def.Name); nameErr != nil {
			err = dispatch.AsError(nameErr)
		}
		return storage.Trigger{}, err
	}
	return makePlan(planner, def, schedule, false)
}

func makePlan(planner dispatch.Planner, def dispatch.Cron, schedule *Schedule, atStart bool) (storage.Trigger, error) {
	if err := storage.CheckTriggerName(def.Name); err != nil {
		return storage.Trigger{}, dispatch.AsError(err)
	}
	t := storage.Trigger{
		Name: def.Name, Spec: Expr(def.Spec).String(), Zone: schedule.Zone(), Overlap: def.Overlap, AtStart: atStart,
		CatchUp: def.CatchUp, Jitter: def.Jitter, SuccessWithin: def.SuccessWithin, Paused: def.Paused,
	}
	if err := checkPolicies(&t); err != nil {
		return storage.Trigger{}, dispatch.Errorf(dispatch.CodeInvalidArgument, "trigger %s: %w", def.Name, err)
	}
	// What the planner refuses of a job, no tick may be made of.
	var opts []dispatch.RunOption
	if def.Retry != nil {
		opts = append(opts, dispatch.WithRetry(*def.Retry))
	}
	if def.AtMostOnce {
		opts = append(opts, dispatch.AtMostOnce())
	}
	if def.Timeout != 0 {
		opts = append(opts, dispatch.Timeout(def.Timeout))
	}
	if def.As != nil {
		planner.Identity = def.As
		opts = append(opts, dispatch.AsCaller())
	}
	job, err := planner.After(0, def.Call, opts...)
	if err != nil {
		return storage.Trigger{}, err
	}
	t.Function, t.Args, t.Retry = job.Function, job.Args, job.Retry
	t.AtMostOnce, t.Timeout, t.Claims = job.AtMostOnce, job.Timeout, job.Claims
	return t, nil
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
		if c.Limit != 0 || c.Window != 0 {
			return fmt.Errorf("catch-up limit and window go with all, not with %s", c.Mode)
		}
	case storage.CatchUpAll:
		if c.Limit == 0 {
			c.Limit = 100
		}
		if c.Limit < 1 || c.Limit > 1000 {
			return fmt.Errorf("catch-up limit %d, want 1 to 1000", c.Limit)
		}
		if c.Window < 0 {
			return fmt.Errorf("catch-up window %v is negative", c.Window)
		}
	default:
		return fmt.Errorf("catch-up %q, want one, none or all", string(c.Mode))
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
// had, or nil. The function need not be known here.
func CheckStored(t *storage.Trigger) error {
	switch {
	case t.AtStart && (t.Spec != "" || !t.Declared):
		return fmt.Errorf("at start, with spec %q, declared %t", t.Spec, t.Declared)
	case !t.AtStart:
		if _, err := Expr(t.Spec).Compile(t.Zone); err != nil {
			return err
		}
	}
	if err := dispatch.Path(t.Function).Check(); err != nil {
		return err
	}
	if _, err := dispatch.DecodeIdentity(t.Claims); err != nil {
		return err
	}
	if t.Timeout < 0 {
		return fmt.Errorf("timeout %v is negative", t.Timeout)
	}
	filled := *t
	return checkPolicies(&filled)
}
