package cron

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Schedule is a checked Spec in a zone. It is immutable and safe for use by
// many goroutines; the methods that change something return a copy.
type Schedule struct {
	text string         // normalised spec text
	loc  *time.Location // never nil, never time.Local
	// every is the interval in milliseconds. Invariant: it is zero if and only
	// if cal decides the slots.
	every  int64
	anchor int64 // phase of every, in Unix milliseconds
	cal    calendar
	never  bool // it has no slots
}

// Never is the schedule without a slot, of what does not go by time. Its zone is UTC.
func Never() *Schedule { return &Schedule{loc: time.UTC, never: true} }

// Compile checks the spec and binds it to a zone: an IANA name, or "" for UTC.
// Every error is a *SpecError. Compile neither reads a clock nor panics, and
// what it accepts has an occurrence within 45 years of any instant (C2).
func (s Spec) Compile(zone string) (_ *Schedule, err error) {
	defer func() {
		// The text may come from a client and a third party parses part of it,
		// so a panic here is an answer about the text, not about the program.
		if p := recover(); p != nil {
			err = refuse(s.text, "spec", fmt.Sprintf("it cannot be parsed: %v", p))
		}
	}()
	out := &Schedule{}
	if err := out.parse(s.text); err != nil {
		return nil, err
	}
	loc, err := loadZone(zone)
	if err != nil {
		return nil, refuse(s.text, "zone", err.Error())
	}
	out.loc = loc
	return out, nil
}

// parse fills in either the interval or the calendar.
func (s *Schedule) parse(text string) error {
	if len(text) > MaxText {
		return refuse(text, "spec", fmt.Sprintf("%d bytes is longer than %d", len(text), MaxText))
	}
	n := 0
	for _, c := range strings.TrimSpace(text) {
		n++
		switch {
		case c == utf8.RuneError && !utf8.ValidString(text):
			return refuse(text, "spec", "it is not UTF-8")
		case c < ' ' && c != '\t', c > '~':
			return refuse(text, "spec", fmt.Sprintf("character %d, %q, is not allowed%s", n, c, hint(c)))
		}
	}
	s.text = Spec{text}.String()
	expr := strings.ToUpper(s.text)
	if d, ok := strings.CutPrefix(expr, strings.ToUpper(everyPrefix)); ok {
		every, err := parseEvery(strings.ToLower(d))
		if err != nil {
			return refuse(text, "interval", err.Error())
		}
		s.every = every
		return nil
	}
	if long, ok := macros[expr]; ok {
		expr = long
	}
	return s.cal.parse(text, expr)
}

// hint says what was meant by a character that editors and keyboards put in the
// place of another.
func hint(c rune) string {
	switch {
	case unicode.Is(unicode.Pd, c) || c == '−':
		return "; write a hyphen, -"
	case '！' <= c && c <= '～':
		return fmt.Sprintf("; write %q", c-'！'+'!')
	case unicode.IsSpace(c):
		return "; write a blank"
	}
	return ""
}

// Interval is the distance between two slots and true if the schedule is an
// interval, whose anchor the caller has to store; it is 0 and false if the
// calendar decides.
func (s *Schedule) Interval() (time.Duration, bool) {
	return time.Duration(s.every) * time.Millisecond, s.every != 0
}

// WithAnchor is the same interval with the phase of t, cut to a whole
// millisecond: one of its slots is t, and all others are whole intervals away
// from it. A calendar schedule has no phase and is returned as it is.
func (s *Schedule) WithAnchor(t time.Time) *Schedule {
	if s.every == 0 {
		return s
	}
	out := *s
	out.anchor = t.UnixMilli()
	if u := t.Unix(); u < earliest || u >= latest {
		out.anchor %= s.every // only the phase counts, and sums must not overflow
	}
	return &out
}

// Zone is the IANA name of the zone, "UTC" if none was given.
func (s *Schedule) Zone() string {
	return s.loc.String()
}

// In is the instant with the zone's clock; the zero time stays as it is.
func (s *Schedule) In(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.In(s.loc)
}

// String is the spec and its zone, for logs: "0 3 * * * (Europe/Rome)".
func (s *Schedule) String() string {
	return s.text + " (" + s.Zone() + ")"
}
