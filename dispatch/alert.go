package dispatch

import (
	"time"

	"carillon/storage"
)

// AlertKind says what needs a person.
type AlertKind string

// What needs a person.
const (
	AlertDead   AlertKind = "dead"   // a job has failed, and is not tried again by itself
	AlertMissed AlertKind = "missed" // slots of a trigger have passed, and no tick stands for them
	AlertStuck  AlertKind = "stuck"  // a handler was given up and has not returned within its grace
)

// Alert is what the function of Registry.AlertTo is given. It has no arguments and no result of
// a job, but the text of its error.
type Alert struct {
	Kind     AlertKind     `json:"kind"`
	App      storage.AppID `json:"app"`
	At       time.Time     `json:"at"`                 // when it came to that
	Function string        `json:"function"`           // path of the job's, the handler's, the trigger's
	Job      storage.JobID `json:"job,omitempty"`      // dead, or run by the stuck handler; "" for a call
	Attempts int           `json:"attempts,omitempty"` // of the job so far
	Code     Code          `json:"code,omitempty"`     // of a dead job's last error
	Message  string        `json:"message,omitempty"`  // of that error, or why slots were missed
	Trigger  string        `json:"trigger,omitempty"`  // that ticked, or has missed slots
	From     time.Time     `json:"from,omitzero"`      // the first slot that was missed
	To       time.Time     `json:"to,omitzero"`        // the last one
}

// AlertTarget is a function that alerts are sent to: a reference of an action or a mutation
// that takes an Alert.
type AlertTarget interface{ With(alert Alert) Call }

// AlertTo has a job of the function scheduled for each job that comes to be dead and for each
// span of slots that is missed, in the very commit in which that happens, and for each handler
// that comes to be stuck. It is a job of the same app, due at once, with the function's own
// retries; no quota of the app holds it up. One that comes to be dead itself makes no other.
// Nothing of a stuck handler is durable: if the process dies first there is no alert of it.
//
// A job that dies, is retried and dies again makes two. It panics if the function is nil or
// there is one already, or if the registry is in use.
func (r *Registry) AlertTo(to AlertTarget) {
	r.mustTakeHook(to == nil)
	if r.alerts != nil {
		panic("dispatch: alerts have a function already")
	}
	r.alerts = to
}

// Alerts returns the function of AlertTo, or nil. For engines.
func (r *Registry) Alerts() AlertTarget { return r.alerts }
