package cron_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"carillon/cron"
)

// FuzzParse compiles any text in any zone: it never panics (C6), it refuses
// with a field and a reason, and what it accepts has slots (C2), a description,
// and a text that means the same (C7).
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"* * * * *", "*/5 * * * * *", "0 0 LW * 5#2", "0 0 L-3W,15W 2 FRIL", "@daily", "@every 90s", "TZ=UTC", "1,,2 * * * *",
		"? ? ? ? ?", "*/100 * * * *", "0 0 30 2 *", "0 0 29 2 */7", "+5 * * * *", "0 0 * * 7-7", "0 0 ? * SAT-SUN/2", "\x00",
		"0-59/59 0-23/23 1-31/31 1-12/12 0-7/7",
	} {
		f.Add(text, "Europe/Rome")
	}
	f.Add("0 3 * * *", "Local")
	f.Add("0 3 * * *", "../../etc/passwd")
	f.Fuzz(func(t *testing.T, text, zone string) {
		s, err := cron.Expr(text).Compile(zone)
		if err != nil {
			var spec *cron.SpecError
			if !errors.As(err, &spec) || spec.Field == "" || spec.Reason == "" || len(spec.Spec) > cron.MaxText {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		again, err := cron.Expr(cron.Expr(text).String()).Compile(s.Zone())
		if err != nil {
			t.Fatalf("%q is accepted, its String %q is not: %v", text, cron.Expr(text), err)
		}
		if s.Describe() == "" || again.Describe() != s.Describe() || !strings.HasSuffix(s.Describe(), ", "+s.Zone()) {
			t.Fatalf("%q is described as %q", text, s.Describe())
		}
		for _, year := range []int{1, 1970, 2026, 2096, 9900} {
			from := time.Date(year, 2, 28, 23, 59, 59, 0, time.UTC)
			next := s.Next(from)
			if !next.After(from) || next.Year() > year+45 {
				t.Fatalf("G21: %q: Next(%v) = %v", text, from, next)
			}
			if !again.Next(from).Equal(next) {
				t.Fatalf("%q and its String disagree after %v", text, from)
			}
		}
	})
}

// FuzzNext asks any accepted expression from any instant: Next is after it
// (C1), quick (C3), and within a window it is what the oracle says.
func FuzzNext(f *testing.F) {
	for _, expr := range broad {
		f.Add(expr, uint16(100), int64(1_774_000_000), uint32(0))
	}
	f.Add("*/7 59 1 * * *", uint16(300), int64(1_793_500_000), uint32(999_999_999))
	f.Add("0 2 * * *", uint16(330), int64(-1), uint32(1))
	f.Add("30 2 29 2 */7", uint16(200), int64(253_402_300_799), uint32(1))
	zones := mustZones(f)
	f.Fuzz(func(t *testing.T, expr string, zone uint16, u int64, ns uint32) {
		name := zones[int(zone)%len(zones)]
		s, err := cron.Expr(expr).Compile(name)
		if err != nil {
			return
		}
		from := time.Unix(u, int64(ns%1e9))
		began := time.Now()
		next := s.Next(from)
		for tries := 1; time.Since(began) > time.Second; tries++ { // a busy machine is slow once
			if tries == 3 {
				t.Fatalf("C3: %v: Next(%v) took %v", s, from, time.Since(began))
			}
			began = time.Now()
			s.Next(from)
		}
		if next.IsZero() {
			if from.Year() < 9950 {
				t.Fatalf("C2: %v: Next(%v) is none", s, from)
			}
			return
		}
		if !next.After(from) {
			t.Fatalf("C1: %v: Next(%v) = %v", s, from, next)
		}
		if _, every := s.Interval(); every || strings.Contains(expr, "@") || u < 0 || u > 1<<34 {
			return // what follows is about expressions in years that zones know
		}
		step, window := int64(60), int64(86400)
		if len(strings.Fields(expr)) == 6 {
			step, window = 1, 3600
		}
		begin := u - u%60
		o := newOracle(mustZone(t, name), begin-2*86400, begin+window, step)
		if zoneOffMinute(o) {
			return
		}
		for _, slot := range o.slots(newNaive(expr)) {
			if time.Unix(slot, 0).After(from) {
				if next.Unix() != slot {
					t.Fatalf("%v: Next(%v) = %v, want %v", s, from.UTC(), next, time.Unix(slot, 0).In(next.Location()))
				}
				return
			}
		}
		if next.Unix() < o.end() {
			t.Fatalf("%v: Next(%v) = %v, want none before %v", s, from.UTC(), next, time.Unix(o.end(), 0).UTC())
		}
	})
}

// zoneOffMinute is whether the window has an offset that is not whole minutes,
// through which the oracle cannot walk by minutes. There are a few such before
// 1975.
func zoneOffMinute(o *oracle) bool {
	for _, w := range o.wall {
		if o.step == 60 && w%60 != 0 {
			return true
		}
	}
	return false
}
