package cron_test

import (
	"testing"
	"time"

	"carillon/cron"
)

// hot is a set of expressions that takes every path through Next.
var hot = []struct{ name, expr, zone string }{
	{"minute", "* * * * *", "UTC"},
	{"second", "*/5 * * * * *", "Europe/Rome"},
	{"wildcard", "*/15 * * * *", "America/New_York"},
	{"nightly", "0 3 * * *", "Europe/Rome"},
	{"weekday", "30 9 * * MON-FRI", "America/New_York"},
	{"last", "0 0 LW * *", "Africa/Cairo"},
	{"nth", "0 0 * 3 5#2", "Australia/Lord_Howe"},
	{"yearly", "@yearly", "Pacific/Apia"},
	{"rarest", "0 0 29 2 */7", "Europe/Rome"},
	{"rarest_wildcard", "0 * 29 2 */7", "Europe/Rome"},
	{"interval", "@every 90s", "Europe/Rome"},
}

// TestG21_NextAllocatesNothing is C3: the scheduler asks once for every tick.
func TestG21_NextAllocatesNothing(t *testing.T) {
	for _, tt := range hot {
		s := mustCompile(t, cron.Expr(tt.expr), tt.zone)
		at := time.Date(2072, 3, 1, 0, 0, 0, 0, time.UTC)
		if n := testing.AllocsPerRun(100, func() {
			at = s.Next(at)
			if at.Year() > 9000 {
				at = time.Time{}
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a call", tt.name, n)
		}
	}
}

// TestG21_NextIsQuick puts a number on the bound of C3: forty years between two
// slots, in a zone that changes its clock, are a matter of microseconds. The
// limit is generous, for a loaded machine with the race detector on.
func TestG21_NextIsQuick(t *testing.T) {
	for _, expr := range []string{"0 0 29 2 */7", "* * 29 2 */7", "* * * 29 2 */7"} {
		s := mustCompile(t, cron.Expr(expr), "America/New_York")
		from := time.Date(2088, 3, 2, 0, 0, 0, 0, time.UTC) // the 29th was a Sunday
		best := time.Hour
		for range 5 {
			began := time.Now()
			next := s.Next(from)
			best = min(best, time.Since(began))
			if next.Year() != 2128 {
				t.Fatalf("%v: Next(%v) = %v", s, from, next)
			}
		}
		if best > 50*time.Millisecond {
			t.Errorf("%v: Next took %v", s, best)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	for _, tt := range hot {
		b.Run(tt.name, func(b *testing.B) {
			s := mustCompile(b, cron.Expr(tt.expr), tt.zone)
			from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			at := from
			b.ReportAllocs()
			for b.Loop() {
				if at = s.Next(at); at.Year() > 2037 {
					at = from
				}
			}
		})
	}
}

// BenchmarkLast is a catch-up after ten years.
func BenchmarkLast(b *testing.B) {
	for _, tt := range hot {
		b.Run(tt.name, func(b *testing.B) {
			s := mustCompile(b, cron.Expr(tt.expr), tt.zone)
			from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			b.ReportAllocs()
			for b.Loop() {
				s.Last(from, from.AddDate(10, 0, 0))
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, tt := range hot {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := cron.Expr(tt.expr).Compile(tt.zone); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
