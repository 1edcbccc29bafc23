package cron_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"carillon/cron"
)

// mustSpecError checks that a spec is refused on account of a field.
func mustSpecError(t *testing.T, s cron.Spec, zone, field, reason string) {
	t.Helper()
	_, err := s.Compile(zone)
	var spec *cron.SpecError
	switch {
	case err == nil:
		t.Errorf("%q in %q is accepted", s, zone)
	case !errors.As(err, &spec):
		t.Errorf("%q in %q: %v is no SpecError", s, zone, err)
	case spec.Field != field || !strings.Contains(spec.Reason, reason):
		t.Errorf("%q in %q: %v, want field %q and a reason with %q", s, zone, err, field, reason)
	}
}

// TestG21_BoundsOfFields takes the largest and the smallest value of each field
// and refuses the next one.
func TestG21_BoundsOfFields(t *testing.T) {
	for _, tt := range []struct {
		field    string
		min, max string
		out      []string
	}{
		{"second", "0", "59", []string{"60", "-1", "59-60", "*/60", "0/60", "100"}},
		{"minute", "0", "59", []string{"60", "-1", "59-60", "*/60", "*/0", "0/60"}},
		{"hour", "0", "23", []string{"24", "23-24", "*/24", "0-23/24"}},
		{"day-of-month", "1", "31", []string{"0", "32", "0-3", "31-32", "*/32", "0W", "32W", "L-31", "L-31W", "1,L-31", "1,L-31W"}},
		{"month", "1", "12", []string{"0", "13", "0-2", "12-13", "*/13"}},
		{"day-of-week", "0", "7", []string{"8", "7-8", "*/8", "8L", "8#1", "1#0", "1#6"}},
	} {
		step := map[string]string{"day-of-week": "*/7"}[tt.field]
		if step == "" {
			step = "*/" + tt.max
		}
		for _, in := range []string{tt.min, tt.max, tt.min + "-" + tt.max, step} {
			for _, expr := range inField("six", tt.field, in) {
				mustCompile(t, cron.Expr(expr), "")
			}
		}
		for _, out := range tt.out {
			for _, expr := range inField("six", tt.field, out) {
				mustSpecError(t, cron.Expr(expr), "", tt.field, "")
			}
		}
	}
	for _, expr := range []string{"0 0 L-30 * *", "0 0 L-30W * *", "0 0 31W * *", "0 0 * * 7#5", "0 0 L-0 * *"} {
		mustCompile(t, cron.Expr(expr), "")
	}
}

func TestG21_BoundOfText(t *testing.T) {
	fits := "* * * * " + strings.Repeat("1,", (cron.MaxText-9)/2) + "1"
	fits += strings.Repeat(" ", cron.MaxText-len(fits))
	mustCompile(t, cron.Expr(fits), "")
	mustSpecError(t, cron.Expr(fits+" "), "", "spec", "longer than 256")
	mustSpecError(t, cron.Expr(strings.Repeat("9", 1<<20)), "", "spec", "longer than 256")
	_, err := cron.Expr(strings.Repeat("9", 1<<20)).Compile("")
	if n := len(err.Error()); n > 2*cron.MaxText {
		t.Errorf("the error for a text of a megabyte has %d bytes", n)
	}
}

func TestG21_BoundsOfIntervals(t *testing.T) {
	for _, d := range []time.Duration{cron.MinEvery, cron.MinEvery + time.Millisecond, cron.MaxEvery, 90 * time.Minute} {
		s := mustCompile(t, cron.Every(d), "")
		if got, ok := s.Interval(); got != d || !ok {
			t.Errorf("Interval of %v = %v, %v", s, got, ok)
		}
	}
	for _, d := range []time.Duration{
		0, -time.Hour, cron.MinEvery - time.Millisecond, cron.MaxEvery + time.Millisecond,
		time.Second + time.Microsecond, math.MinInt64, math.MaxInt64,
	} {
		mustSpecError(t, cron.Every(d), "", "interval", "")
	}
	for _, text := range []string{"@every 500ms", "@every -1h", "@every 0s", "@every +5s", "@every 5", "@every  5q", "@every 1.0000001s", "@every 1h 5m", "@every 99999999999h"} {
		mustSpecError(t, cron.Expr(text), "", "interval", "")
	}
	if s := mustCompile(t, cron.Expr("* * * * *"), ""); s.WithAnchor(time.Unix(5, 0)) != s {
		t.Error("a calendar schedule took an anchor")
	}
}

// TestG21_TextsThatOthersGetWrong has the texts on which the third party parser
// panics or which it accepts for no reason.
func TestG21_TextsThatOthersGetWrong(t *testing.T) {
	for _, tt := range []struct{ text, field, reason string }{
		{"TZ=UTC", "zone", "not part of the text"},
		{"CRON_TZ=UTC", "zone", "not part of the text"},
		{"TZ=", "zone", "not part of the text"},
		{"TZ=Local 0 0 * * *", "zone", "not part of the text"},
		{"cron_tz=Europe/Rome @every 24h", "zone", "not part of the text"},
		{"0 0 30 2 *", "day-of-month", "45 years"},
		{"0 0 31 4,6,9,11 *", "day-of-month", "45 years"},
		{"0 0 31 2 */2", "day-of-month", "45 years"},
		{"0 0 */31 2 5#5", "day-of-week", "45 years"},
		{"1,,2 * * * *", "minute", "empty item"},
		{"1, * * * *", "minute", "empty item"},
		{"+5 * * * *", "minute", `"+5" is not a number`},
		{"? ? ? ? ?", "minute", "alone"},
		{"0 0 ?/2 * *", "day-of-month", "alone"},
		{"0 0 1,? * *", "day-of-month", "alone"},
		{"*/100 * * * *", "minute", "1 to 59"},
		{"*-5 * * * *", "minute", `"*" is not a number`},
		{"1-2-3 * * * *", "minute", `"2-3" is not a number`},
		{"1/2/3 * * * *", "minute", "1 to 59"},
		{"5-1 * * * *", "minute", "write 5-59,0-1"},
		{"0 0 * DEC-FEB *", "month", "write 12-12,1-2"},
		{"0 0 * * L", "day-of-week", "5L"},
		{"0 0 W * *", "day-of-month", "15W"},
		{"0 0 1-5W * *", "day-of-month", "one day"},
		{"0 0 FRI * *", "day-of-month", "not a number"},
		{"0 0 * * FRIDAY", "day-of-week", "name such as SUN"},
		{"@reboot", "spec", "declare a trigger with AtStart"},
		{" @Reboot ", "spec", "declare a trigger with AtStart"},
		{"@reboots", "spec", "no such short name"},
		{"@daily 5", "spec", "no such short name"},
		{"", "spec", "empty"},
		{" \t ", "spec", "empty"},
		{"* * * *", "spec", "5 fields"},
		{"* * * * * * 2026", "spec", "year"},
		{"0 0 *\n* *", "spec", "not allowed"},
		{"0 0 *\x00* * *", "spec", "not allowed"},
		{"0\u00a00 * * *", "spec", "not allowed"},
		{"\u0660 0 * * *", "spec", "not allowed"},
	} {
		mustSpecError(t, cron.Expr(tt.text), "", tt.field, tt.reason)
	}
	mustSpecError(t, cron.Spec{}, "", "spec", "empty")
	for _, text := range []string{"@Daily", " @HOURLY ", "0\t0 * * 7", "0  0 ? * Fri-mon", "0 0 l * ?", "0 0 15w * *", "0 0 * * 5#2", "0 0 * jan,DEC *"} {
		mustCompile(t, cron.Expr(text), "")
	}
}

func TestG21_HelpersAreChecked(t *testing.T) {
	for _, s := range []cron.Spec{
		cron.Hourly(0), cron.Hourly(59), cron.Daily(0, 0), cron.Daily(23, 59),
		cron.Weekly(time.Sunday, 0, 0), cron.Weekly(time.Saturday, 23, 59), cron.Monthly(1, 0, 0), cron.Monthly(31, 23, 59),
	} {
		mustCompile(t, s, "")
	}
	for _, tt := range []struct {
		spec  cron.Spec
		field string
	}{
		{cron.Hourly(60), "minute"},
		{cron.Hourly(-1), "minute"},
		{cron.Daily(24, 0), "hour"},
		{cron.Daily(0, 60), "minute"},
		{cron.Daily(-1, 0), "hour"},
		{cron.Weekly(8, 0, 0), "day-of-week"},
		{cron.Weekly(-1, 0, 0), "day-of-week"},
		{cron.Monthly(0, 0, 0), "day-of-month"},
		{cron.Monthly(32, 0, 0), "day-of-month"},
		{cron.Monthly(math.MinInt, 0, 0), "day-of-month"},
	} {
		mustSpecError(t, tt.spec, "", tt.field, "")
	}
}

func TestG21_Zones(t *testing.T) {
	for _, zone := range mustZones(t) {
		if got := mustCompile(t, cron.Daily(3, 0), zone).Zone(); got != zone {
			t.Errorf("zone %q became %q", zone, got)
		}
	}
	if got := mustCompile(t, cron.Daily(3, 0), "").Zone(); got != "UTC" {
		t.Errorf("the default zone is %q", got)
	}
	for _, zone := range []string{
		"Local", "local", "localtime", "posixrules", "right/Europe/Rome", "posix/Europe/Rome", "Europe/Roma", "Europe",
		"../Europe/Rome", "/etc/localtime", "Europe/Rome ", "UTC+1", "+01:00", "CET-1CEST", "\x00", strings.Repeat("A", 65),
	} {
		mustSpecError(t, cron.Daily(3, 0), zone, "zone", "")
	}
}

// TestG21_EndsOfTime asks from instants that no scheduler will see.
func TestG21_EndsOfTime(t *testing.T) {
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	for _, spec := range []cron.Spec{cron.Expr("* * * * * *"), cron.Expr("59 59 23 * * *"), cron.Every(time.Second)} {
		s := mustCompile(t, spec, "")
		if got := s.Next(last.Add(-1)); !got.Equal(last) {
			t.Errorf("%v: Next just before the end of time = %v", s, got)
		}
		for _, from := range []time.Time{last, last.Add(time.Hour), time.Unix(math.MaxInt64, 0), time.Unix(1<<55, 0)} {
			if got := s.Next(from); !got.IsZero() {
				t.Errorf("%v: Next(%d) = %v", s, from.Unix(), got)
			}
		}
	}
	for _, spec := range []cron.Spec{cron.Expr("* * * * *"), cron.Expr("30 2 * * *"), cron.Expr("0 0 29 2 */7"), cron.Every(time.Second)} {
		for _, zone := range []string{"", "America/New_York", "Asia/Manila", "Pacific/Apia", "Africa/Casablanca"} {
			s := mustCompile(t, spec, zone)
			for _, from := range []time.Time{{}, time.Unix(math.MinInt64, 0), time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC)} {
				if got := s.Next(from); got.Before(time.Time{}) || got.IsZero() || got.Year() > 41 {
					t.Errorf("%v: Next(%d) = %v", s, from.Unix(), got)
				}
			}
			if got := s.Next(time.Date(9950, 1, 1, 0, 0, 0, 0, time.UTC)); got.IsZero() {
				t.Errorf("%v has nothing after 9950", s)
			}
		}
		s := mustCompile(t, spec, "")
		for _, anchor := range []time.Time{{}, time.Unix(math.MaxInt64, 0), time.Unix(math.MinInt64, 0), time.Unix(1<<40, 0)} {
			from := time.Unix(1_800_000_000, 0)
			if got := s.WithAnchor(anchor).Next(from); !got.After(from) {
				t.Errorf("%v with anchor %d: Next = %v", s, anchor.Unix(), got)
			}
		}
	}
}

// TestG21_LastOverALongSpan asks for the last slot of a span that has too many
// to walk through, and at the edges of a span.
func TestG21_LastOverALongSpan(t *testing.T) {
	s := mustCompile(t, cron.Expr("* * * * * *"), "America/New_York")
	from := time.Date(2016, 3, 1, 0, 0, 0, 0, time.UTC)
	to := from.AddDate(10, 0, 0)
	for until, want := range map[time.Time]time.Time{
		to:                  to,
		to.Add(-1):          to.Add(-time.Second),
		from:                {},
		from.Add(-1):        {},
		from.Add(1e9):       from.Add(1e9),
		time.Unix(1<<60, 0): time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		if got := s.Last(from, until); !got.Equal(want) {
			t.Errorf("Last until %v = %v, want %v", until, got, want)
		}
	}
}

// TestG21_LastDayOfALeapYear is about an answer of time.Time.ZoneBounds that
// lies in the past (see stretchAt): taken at its word it would loop for ever.
func TestG21_LastDayOfALeapYear(t *testing.T) {
	for _, year := range []int{2040, 2044, 2096, 2400, 9996} {
		for _, spec := range []string{"*/30 * * * *", "30 23 * * *", "0 0 1 1 *"} {
			s := mustCompile(t, cron.Expr(spec), "America/New_York")
			from := time.Date(year, 12, 31, 12, 0, 0, 0, time.UTC)
			if got := s.Next(from); !got.After(from) || got.Sub(from) > 48*time.Hour {
				t.Errorf("%v: Next(%v) = %v", s, from, got)
			}
		}
	}
}

// TestG21_LongestPause walks day patterns that are as rare as an expression can
// make them through the 400 years after which the calendar repeats. None pauses
// for more than 40 years, so the window of 45 in which Compile looks is enough.
func TestG21_LongestPause(t *testing.T) {
	weeks, dates, months := "*/7 */5 1 5#5", "28 29 31 29W 31W L L-28 LW */28", "2"
	if fullOracle {
		weeks = "* */7 */6 */5 */3 */7,1 1 1#5 0#5 5#5 5L"
		dates = "28 29 30 31 29W 30W 31W L L-1 L-27 L-28 L-28W L-30 LW */28 */29 */30 */31"
		months = "1 2 3 4 2,4 6,9,11"
	}
	longest := time.Duration(0)
	for week := range strings.FieldsSeq(weeks) {
		for date := range strings.FieldsSeq(dates) {
			for month := range strings.FieldsSeq(months) {
				longest = max(longest, longestPause(t, "0 0 "+date+" "+month+" "+week))
			}
		}
	}
	if want := 40 * 366 * 24 * time.Hour; longest > want {
		t.Errorf("a pause of %v is longer than %v", longest, want)
	}
	t.Logf("the longest pause is %.1f years", longest.Hours()/24/365.25)
}

// longestPause compares Next with every day that an expression matches from
// 2000 to 2440, and returns the longest time between two of them.
func longestPause(t *testing.T, expr string) (longest time.Duration) {
	t.Helper()
	s, err := cron.Expr(expr).Compile("")
	n := newNaive(expr)
	prev := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for d := prev; d.Year() < 2440; d = d.AddDate(0, 0, 1) {
		if !n.month[d.Month()] { // skip to the next month
			d = time.Date(d.Year(), d.Month()+1, 0, 0, 0, 0, 0, time.UTC)
			continue
		}
		if !n.date(d) {
			continue
		}
		if err != nil {
			t.Fatalf("%q matches %v, but: %v", expr, d, err)
		}
		if got := s.Next(prev); !d.Equal(prev) && !got.Equal(d) {
			t.Fatalf("%q: Next(%v) = %v, want %v", expr, prev, got, d)
		}
		longest = max(longest, d.Sub(prev))
		prev = d
	}
	return longest
}
