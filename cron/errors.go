package cron

import (
	"fmt"
	"strings"
)

// SpecError says why a declaration was refused. It does not know the trigger's
// name: the caller wraps it with that ("trigger nightly: %w").
type SpecError struct {
	// Spec is the declaration as it was written, cut to MaxText bytes.
	Spec string
	// Field is the part at fault: "second", "minute", "hour", "day-of-month",
	// "month", "day-of-week", "interval", "zone", or "spec" for the text as a
	// whole.
	Field string
	// Reason is what is wrong with it, in a form that can follow "hour: ".
	Reason string
}

// Error names the spec, the field and the reason, in that order.
func (e *SpecError) Error() string {
	return fmt.Sprintf("spec %q: %s: %s", e.Spec, e.Field, e.Reason)
}

// fault is a refusal that does not know yet which field and which spec it
// belongs to: the small parsing steps return it, and refuse completes it.
type fault string

func (f fault) Error() string { return string(f) }

// faultf formats a fault.
func faultf(format string, args ...any) error {
	return fault(fmt.Sprintf(format, args...))
}

// refuse builds the error a caller sees. Text longer than MaxText is cut, so
// that an error never carries more of a hostile text than an accepted one may
// have.
func refuse(text, field, reason string) *SpecError {
	if len(text) > MaxText {
		text = strings.ToValidUTF8(text[:MaxText], "") // a character may have been cut through
	}
	return &SpecError{Spec: text, Field: field, Reason: reason}
}
