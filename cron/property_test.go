package cron_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"carillon/cron"
)

// anyItem draws an item of a field with the values lo to hi.
func anyItem(lo, hi int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		a := rapid.IntRange(lo, hi).Draw(t, "a")
		b := rapid.IntRange(a, hi).Draw(t, "b")
		step := rapid.IntRange(1, hi).Draw(t, "step")
		return rapid.SampledFrom([]string{
			"*", fmt.Sprintf("*/%d", step), fmt.Sprint(a), fmt.Sprint(a), fmt.Sprintf("%d-%d", a, b),
			fmt.Sprintf("%d-%d/%d", a, b, step), fmt.Sprintf("%d/%d", a, step),
		}).Draw(t, "item")
	})
}

// anyList draws one to three items, most often one.
func anyList(item *rapid.Generator[string]) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		n := rapid.SampledFrom([]int{1, 1, 1, 2, 3}).Draw(t, "n")
		return strings.Join(rapid.SliceOfN(item, n, n).Draw(t, "items"), ",")
	})
}

// anyExpr draws an expression of five fields, or of six.
func anyExpr(six bool) *rapid.Generator[string] {
	dom := rapid.OneOf(rapid.Just("*"), anyItem(1, 31), anyItem(1, 31), rapid.SampledFrom(strings.Fields(
		"? L LW L-1 L-29 L-3W 1W 15W 31W 29W")))
	dow := rapid.OneOf(rapid.Just("*"), anyItem(0, 7), rapid.SampledFrom(strings.Fields(
		"? 5L SUNL 7L 5#2 MON#5 7#1 FRI-MON SAT-SUN 5-1 7-7 0-7 SUN-SAT/3")))
	return rapid.Custom(func(t *rapid.T) string {
		parts := []string{
			anyList(anyItem(0, 59)).Draw(t, "minute"),
			anyList(anyItem(0, 23)).Draw(t, "hour"),
			listOf(t, dom, "dom"),
			rapid.OneOf(rapid.Just("*"), rapid.Just("*"), anyList(anyItem(1, 12))).Draw(t, "month"),
			listOf(t, dow, "dow"),
		}
		if six {
			parts = append([]string{anyList(anyItem(0, 59)).Draw(t, "second")}, parts...)
		}
		return strings.Join(parts, " ")
	})
}

// listOf draws a list of a day field, in which a question mark stands alone.
func listOf(t *rapid.T, item *rapid.Generator[string], label string) string {
	list := anyList(item).Draw(t, label)
	if strings.Contains(list, "?") {
		return "?"
	}
	return list
}

// anyInstant draws an instant between 1975 and 2037, half of the time within
// two days of a clock change.
func anyInstant(t *rapid.T, changes []change) (zone string, u int64) {
	c := rapid.SampledFrom(changes).Draw(t, "change")
	if rapid.Bool().Draw(t, "near") {
		return c.zone, c.at + rapid.Int64Range(-2*86400, 2*86400).Draw(t, "distance")
	}
	return c.zone, rapid.Int64Range(157766400, 2145916800).Draw(t, "u")
}

// TestG21_OracleRandom compares Next with the oracle for expressions, zones and
// instants drawn at random.
func TestG21_OracleRandom(t *testing.T) {
	changes := mustChanges(t, fullOracle)
	rapid.Check(t, func(r *rapid.T) {
		zone, u := anyInstant(r, changes)
		six := rapid.SampledFrom([]bool{false, false, false, true}).Draw(r, "six")
		expr := anyExpr(six).Draw(r, "expr")
		s, err := cron.Expr(expr).Compile(zone)
		if err != nil {
			mustNeverCome(r, expr, err)
			return
		}
		step, window := int64(60), int64(10*86400)
		if six {
			step, window = 1, 3*3600
		}
		u -= u % step
		o := newOracle(mustZone(t, zone), u-2*86400-step, u+window, step)
		left := o.slots(newNaive(expr))
		if len(left) > 0 && left[0] == u-step {
			left = left[1:]
		}
		for _, from := range []time.Time{time.Unix(u-step, 0), time.Unix(u, -1), time.Unix(u, 0)} {
			for len(left) > 0 && left[0] <= from.Unix() {
				left = left[1:]
			}
			got := s.Next(from)
			switch {
			case !got.After(from):
				r.Fatalf("G21: %v: Next(%v) = %v is not after it", s, from.UTC(), got)
			case len(left) == 0 && got.Unix() < o.end():
				r.Fatalf("%v: Next(%v) = %v, want none before %v", s, from.UTC(), got, time.Unix(o.end(), 0).UTC())
			case len(left) > 0 && got.Unix() != left[0]:
				r.Fatalf("%v: Next(%v) = %v, want %v", s, from.UTC(), got, time.Unix(left[0], 0).In(got.Location()))
			}
		}
	})
}

// mustNeverCome checks that an expression of correct grammar was refused only
// because no day matches, in the 400 years after which the calendar repeats.
func mustNeverCome(r *rapid.T, expr string, err error) {
	if !strings.Contains(err.Error(), "no such day") {
		r.Fatalf("%q: %v", expr, err)
	}
	n := newNaive(expr)
	for d := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC); d.Year() < 2400; d = d.AddDate(0, 0, 1) {
		if n.date(d) {
			r.Fatalf("%q is refused (%v) but matches %v", expr, err, d)
		}
	}
}

// TestG21_SlotsDoNotDependOnWhoAsks checks C1 and C4 together: asked from any
// instant before a slot and not before the slot before it, Next is that slot.
func TestG21_SlotsDoNotDependOnWhoAsks(t *testing.T) {
	changes := mustChanges(t, false)
	rapid.Check(t, func(r *rapid.T) {
		zone, u := anyInstant(r, changes)
		s, err := cron.Expr(anyExpr(true).Draw(r, "expr")).Compile(zone)
		if err != nil {
			return
		}
		from := time.Unix(u, rapid.Int64Range(0, 999_999_999).Draw(r, "ns"))
		for range 5 {
			next := s.Next(from)
			if !next.After(from) {
				r.Fatalf("%v: Next(%v) = %v", s, from, next)
			}
			gap := next.Sub(from)
			mid := from.Add(time.Duration(rapid.Int64Range(0, int64(gap)-1).Draw(r, "mid")))
			if got := s.Next(mid); !got.Equal(next) {
				r.Fatalf("%v: Next(%v) = %v, but Next(%v) = %v", s, from, next, mid, got)
			}
			from = next
		}
	})
}

// TestG21_IntervalsKeepTheirPhase checks that slots of an interval are whole
// intervals away from its anchor, whatever the three are.
func TestG21_IntervalsKeepTheirPhase(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		every := time.Duration(rapid.Int64Range(1000, 1e12).Draw(r, "every")) * time.Millisecond
		anchor := time.UnixMilli(rapid.Int64Range(-1e13, 1e14).Draw(r, "anchor"))
		from := time.UnixMilli(rapid.Int64Range(-1e13, 1e14).Draw(r, "from")).Add(time.Duration(rapid.IntRange(0, 999_999).Draw(r, "ns")))
		s, err := cron.Every(every).Compile("Europe/Rome")
		if err != nil {
			r.Fatal(err)
		}
		next := s.WithAnchor(anchor).Next(from)
		if !next.After(from) || next.UnixMilli()-from.UnixMilli() > every.Milliseconds() {
			r.Fatalf("every %v: Next(%v) = %v", every, from, next)
		}
		if (next.UnixMilli()-anchor.UnixMilli())%every.Milliseconds() != 0 || next.Nanosecond()%1e6 != 0 {
			r.Fatalf("every %v from %v: %v is off phase", every, anchor, next)
		}
	})
}

// TestG21_LastIsTheLastNext compares Last with a walk from slot to slot.
func TestG21_LastIsTheLastNext(t *testing.T) {
	changes := mustChanges(t, false)
	rapid.Check(t, func(r *rapid.T) {
		zone, u := anyInstant(r, changes)
		expr := rapid.OneOf(anyExpr(false), rapid.SampledFrom([]string{"@every 1s", "@every 1.001s", "@every 7h", "@yearly"})).Draw(r, "expr")
		s, err := cron.Expr(expr).Compile(zone)
		if err != nil {
			return
		}
		after := time.Unix(u, 0)
		until := after.Add(time.Duration(rapid.Int64Range(-int64(time.Hour), int64(6*time.Hour)).Draw(r, "span")))
		var want time.Time
		for next := s.Next(after); !next.IsZero() && !next.After(until); next = s.Next(next) {
			want = next
		}
		if got := s.Last(after, until); !got.Equal(want) {
			r.Fatalf("%v: Last(%v, %v) = %v, want %v", s, after, until, got, want)
		}
	})
}
