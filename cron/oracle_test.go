package cron_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"carillon/cron"
)

// fullOracle asks for the long form of the tests that compare with the oracle.
var fullOracle = os.Getenv("CRON_ORACLE") == "full"

// oracle walks through a window of instants, second by second or minute by
// minute, and notes the slots of an expression. It knows the rule only in its
// plainest form: a wildcard hour runs whenever the clock shows a time that
// matches; a fixed hour runs once for each wall time that matches, when the
// clock first shows it or has gone past it.
type oracle struct {
	from, step int64
	wall       []int64 // wall[i] is what the clock shows at from + i*step
}

func newOracle(loc *time.Location, from, to, step int64) *oracle {
	o := &oracle{from: from, step: step}
	for u := from; u < to; u += step {
		_, off := time.Unix(u, 0).In(loc).Zone()
		o.wall = append(o.wall, u+int64(off))
	}
	return o
}

// slots is every slot in the window. The first two days of it are only there
// for the clock to show what it shows, and have no slots.
func (o *oracle) slots(n *naive) []int64 {
	var slots []int64
	shown := o.wall[0] // every wall time up to here was shown
	for i, w := range o.wall {
		u := o.from + int64(i)*o.step
		match := false
		if n.wild {
			match = n.second(w)
		} else {
			for ; shown < w; shown += o.step {
				match = match || n.second(shown+o.step)
			}
		}
		if match && u >= o.begin() {
			slots = append(slots, u)
		}
	}
	return slots
}

// begin is the first instant the oracle speaks about, end the one after the
// last.
func (o *oracle) begin() int64 { return o.from + 2*86400 }
func (o *oracle) end() int64   { return o.from + int64(len(o.wall))*o.step }

// compare checks Next from one instant against the slots that are left from
// there on. Past the last of them it can only say that Next is not in the
// window.
func (o *oracle) compare(t *testing.T, s *cron.Schedule, from time.Time, left []int64) {
	t.Helper()
	got := s.Next(from)
	switch {
	case !got.After(from):
		t.Errorf("G21: %v: Next(%v) = %v is not after it", s, from.UTC(), got)
	case len(left) == 0 && got.Unix() < o.end():
		t.Errorf("%v: Next(%v) = %v, but there is none before %v", s, from.UTC(), got, time.Unix(o.end(), 0).UTC())
	case len(left) > 0 && !got.Equal(time.Unix(left[0], 0)):
		t.Errorf("%v: Next(%v) = %v, want %v", s, from.UTC(), got, time.Unix(left[0], 0).In(got.Location()))
	}
}

// check compares Next with the oracle at every instant of the window that is a
// multiple of every steps, at every slot and just before it, and at the given
// instants and around them. It returns the number of comparisons.
func (o *oracle) check(t *testing.T, expr, zone string, every int64, at ...int64) int {
	t.Helper()
	s, err := cron.Expr(expr).Compile(zone)
	if err != nil {
		t.Error(err)
		return 0
	}
	slots := o.slots(newNaive(expr))
	count := 0
	ask := func(from time.Time, left []int64) {
		o.compare(t, s, from, left)
		count++
	}
	left := slots
	for u := o.begin() - o.step; u < o.end(); u += every * o.step {
		for len(left) > 0 && left[0] <= u {
			left = left[1:]
		}
		ask(time.Unix(u, 0), left)
	}
	for i, slot := range slots {
		ask(time.Unix(slot, 0), slots[i+1:])
		ask(time.Unix(slot, -1), slots[i:])
	}
	for _, u := range at {
		left := slots
		for _, d := range []int64{-3600, -60, -1, 0, 1, 60, 3600} {
			for len(left) > 0 && left[0] <= u+d {
				left = left[1:]
			}
			ask(time.Unix(u+d, 0), left)
		}
	}
	return count
}

// broad is a set of expressions that uses every form of every field.
var broad = []string{
	"* * * * *", "*/7 * * * *", "30 * * * *", "0,15,45 */2 * * *", "0 */5 * * *", "59 *,3 * * *",
	"0 0 * * *", "30 0 * * *", "0 1 * * *", "30 1 * * *", "15,45 1 * * *", "*/20 1 * * *", "* 2 * * *",
	"0 2 * * *", "30 2 * * *", "10-50/10 2-4 * * *", "0 3 * * *", "0 23 * * *", "30 23 * * *", "59 23 * * *",
	"0 0-23 * * *", "0 0,12 * * *", "5/25 8-17/3 * * *", "0 12 * * *",
	"0 0 1 * *", "0 0 31 * *", "30 2 L * *", "0 0 L-2 * *", "0 1 LW * *", "30 1 L-3W * *", "0 0 1W,15W * *", "*/30 * 1-7 * *",
	"0 0 * * 0", "0 2 * * 7", "30 0 * * SAT-SUN", "0 0 * * FRI-MON", "0 2 * * SUN#2", "30 1 * * 0L", "0 0 * * 5#5",
	"0 2 * * 1-5", "30 2 */2 * 0", "0 0 */3 * MON", "0 1 13 * FRI", "0 0 L * 6L", "30 * 29 2 *", "0 0 ? 3,10 ?",
	"*/15 * * APR-OCT *", "0 2 1-7 * */7",
}

// around builds expressions for the wall times next to a change: the times that
// it skips or repeats, its ends, on its own date and weekday.
func (c change) around() []string {
	var all []string
	for _, off := range []int{c.before, c.after} {
		for _, d := range []int64{-1800, -60, 0, 900} {
			w := time.Unix(c.at+d+int64(off), 0).UTC()
			hm := fmt.Sprintf("%d %d", w.Minute(), w.Hour())
			all = append(all, hm+" * * *", fmt.Sprintf("%s %d %d *", hm, w.Day(), int(w.Month())))
			if d == 0 {
				all = append(
					all,
					fmt.Sprintf("%s * * %d", hm, int(w.Weekday())),
					fmt.Sprintf("%s * %d %d#%d", hm, int(w.Month()), int(w.Weekday()), (w.Day()-1)/7+1),
					fmt.Sprintf("* %d %d * *", w.Hour(), w.Day()),
					fmt.Sprintf("%d * * * %d", w.Minute(), int(w.Weekday())),
					fmt.Sprintf("*/10 %d-23 * * *", w.Hour()),
					fmt.Sprintf("5 0-%d * * *", w.Hour()),
				)
			}
		}
	}
	return all
}

// TestG21_OracleAroundEveryChange compares Next with the oracle, minute by
// minute, around one clock change of every shape there has been in any zone
// from 1975 to 2037. CRON_ORACLE=full takes more shapes and every minute.
func TestG21_OracleAroundEveryChange(t *testing.T) {
	before, after, every := int64(2*86400), int64(2*86400), int64(67)
	if fullOracle {
		before, after, every = 9*86400, 9*86400, 1
	}
	changes := mustChanges(t, fullOracle)
	count := 0
	for i, c := range changes {
		if c.at%60 != 0 || c.before%60 != 0 || c.after%60 != 0 {
			t.Fatalf("%v is not on a minute: the walk would miss it", c)
		}
		o := newOracle(mustZone(t, c.zone), c.at-before-2*86400, c.at+after, 60)
		exprs := append(c.around(), broad...)
		for j, expr := range exprs {
			// The short form takes an eighth of the fixed set for each change, and
			// all of it for the set of all changes.
			if !fullOracle && j >= len(exprs)-len(broad) && (i+j)%8 != 0 {
				continue
			}
			count += o.check(t, expr, c.zone, every, c.at)
		}
		if t.Failed() {
			t.Fatalf("stopped at %v", c)
		}
	}
	t.Logf("%d comparisons over %d clock changes", count, len(changes))
}

// TestG21_OracleSeconds is the same second by second, for expressions of six
// fields, within hours of the change.
func TestG21_OracleSeconds(t *testing.T) {
	exprs := []string{
		"*/5 * * * * *", "30 59 * * * *", "0 0 * * * *", "59 59 23 * * *", "1 0 0 * * *", "59 59 1 * * *", "*/20 0 2 * * *",
		"10-50/20 30 1-3 * * *", "0 0 0 * * *", "7 */9 * * * *", "* 0 3 * * *",
	}
	changes := mustChanges(t, false)
	stride := 12
	if fullOracle {
		stride = 1
	}
	count := 0
	for i := 0; i < len(changes); i += stride {
		c := changes[i]
		o := newOracle(mustZone(t, c.zone), c.at-2*86400-2*3600, c.at+2*3600, 1)
		for _, expr := range exprs {
			count += o.check(t, expr, c.zone, 61, c.at)
		}
		if t.Failed() {
			t.Fatalf("stopped at %v", c)
		}
	}
	t.Logf("%d comparisons", count)
}
