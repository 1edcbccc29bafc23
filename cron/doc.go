// Package cron turns a cadence and a zone into instants. It is pure: it starts
// nothing, waits for nothing and never asks what time it is; the caller says
// from when. The engine keeps the last slot of a trigger on disk and asks for
// the next one from there.
//
//	nightly, err := cron.Daily(3, 0).Compile("Europe/Rome")
//	if err != nil {
//		return fmt.Errorf("trigger nightly: %w", err) // a *cron.SpecError: field and reason
//	}
//	slot := nightly.Next(lastSlot)       // strictly after lastSlot
//	late := nightly.Last(lastSlot, now)  // the last one missed, if any
//	fmt.Println(nightly.Describe())      // at 03:00 every day, Europe/Rome
//
//	sweep, err := cron.Every(90 * time.Second).Compile("")
//	sweep = sweep.WithAnchor(createdAt)  // stored once, so a restart changes nothing
//
// # Expressions
//
// Five fields, or six with the second first. Names are taken in any case.
//
//	┌ second        0-59            (only with six fields; else 0)
//	│ ┌ minute        0-59
//	│ │ ┌ hour          0-23
//	│ │ │ ┌ day of month  1-31          L  L-3  LW  L-3W  15W
//	│ │ │ │ ┌ month         1-12 JAN-DEC
//	│ │ │ │ │ ┌ day of week   0-7 SUN-SAT   5L  5#2   (0 and 7 are Sunday)
//	* * * * * *
//
// A field is a list, with commas, of: * for every value; a value; a range a-b; a
// range that stands for every n-th value, as in */n, a-b/n, and a/n from a to
// the end. A step is at most the largest value of its field. Ranges ascend,
// except in days of the week, where SAT-MON is three days. A ? may stand for *
// in the two day fields, alone.
//
// L is the last day of the month and L-3 the third day before it; 15W is the day
// from Monday to Friday nearest to the 15th in the same month, LW and L-3W
// likewise; 5L is the last Friday of the month and 5#2 its second. They are
// taken on the civil date, and a month without such a day is left out.
// Unlike in Quartz, days of the week are numbered from 0 as in every other cron.
//
// A day must match both day fields if either starts with * or ?, otherwise it
// is enough if it matches one: "0 0 13 * FRI" is every 13th and every Friday,
// "0 0 */2 * SUN" the Sundays on odd days. This is Vixie cron's rule.
//
// Short names are @hourly, @daily or @midnight, @weekly, @monthly, @yearly or
// @annually. "@every 90s" is the text form of Every, whose interval is at least
// a second.
//
// The zone is never part of the text, and never the machine's own.
//
// # Clock changes
//
// An expression whose hour field starts with * follows the clock: it runs
// whenever the clock shows a time that matches. In a gap there is no such time,
// in a repeated hour there are two. Every other expression runs once for each
// wall time that matches, at the first instant at which the clock shows that
// time or has gone past it:
//
//	New York   08 March 2026, no 02:00-02:59       01 November 2026, 01:00-01:59 twice
//
//	clock      01:30  03:00  03:30  04:00          01:00  01:30  01:00  01:30  02:00
//	0 * * * *         run           run            run           run           run
//	30 2 * * *        run  (for 02:30)
//	30 1 * * * run                                        run
//
// That is Vixie cron's rule too, with two differences. It has no limit of three
// hours: what falls on the day that Apia left out runs when that day would have
// ended. And only a star in the hour makes a wildcard; one in the minute, as in
// "*/30 2 * * *", leaves it a job of two times a day, which a gap must not lose.
//
// Intervals count elapsed time and have no clock; the zone is only the one in
// which their slots are shown.
//
// # Invariants
//
//   - C1 Next(t) is after t, and the least slot that is.
//   - C2 What Compile accepts has a slot within 45 years of any instant in the
//     years 1 to 9954; what has none is refused, with the field and the reason.
//   - C3 Next does bounded work: at most one step for each month and each clock
//     change between t and the slot. It allocates nothing.
//   - C4 Slots depend on the text, the zone, the anchor and the zone database,
//     and on nothing else: not on the clock, the machine's zone, or the instant
//     from which they were asked for. So a slot is its own name.
//   - C5 Slots are whole seconds, of intervals whole milliseconds: they survive
//     being stored in milliseconds, and Next of a stored slot is never itself.
//   - C6 No text and no zone name makes Compile panic or run long; a text has at
//     most 256 bytes.
//   - C7 Expr(s.String()) has the same slots as s.
//
// Together C1, C2 and C3 are the guarantee G21.
//
// # What parses
//
// robfig/cron turns lists of ranges into sets. Everything around that is done
// here, because it panics on "TZ=UTC", accepts "1,,2", "+5", "*/100" and
// question marks anywhere, knows neither 7 nor L, W and #, and its Next loses
// whole days in zones that move their clocks at midnight or by half an hour.
//
// # Conformance
//
// The tables below testdata/cron/conformance hold what two other libraries'
// test-suites say, Cronos (MIT) and ccronexpr (Apache 2.0). There is no
// disagreement with ccronexpr. These are all there are with Cronos:
//
//   - D1 Cronos wants both day fields to match even if neither is a star. We
//     follow Vixie cron, as crontab(5) documents it and most people know it. So
//     Friday the 13th cannot be written as "13 * FRI" here, and "1 * SUN#2",
//     which never comes there, is every 1st and every second Sunday here.
//   - D2 Cronos takes ranges that run backwards in every field. We take them in
//     days of the week only. Elsewhere they are as often a mistake as a wish, and
//     in days of the month it is not even clear what they mean; the error says
//     how to write the range as two.
//   - D3 Cronos takes ? in every field. We take it where it has a meaning.
//   - D4 Cronos also runs a wildcard hour at the end of a gap if it would have
//     matched inside. For us it follows the clock: "30 * * * *" runs at 01:30 and
//     03:30 and not at 03:00 as well.
//   - D5 Cronos runs twice in a repeated hour if the second, the minute or the
//     hour has a range or a step. For us only a star in the hour does that:
//     "*/30 1 * * *" is a list of two times, and each runs once a day.
//   - D6 Cronos wants W to stand alone. We take it in lists: "1W,15W".
//   - D7 Cronos has @every_minute and @every_second. "* * * * *" and
//     "* * * * * *" are as short.
//   - D8 Asked for the slots at or after the very end of a gap, Cronos leaves out
//     the one that runs there, although it has it when asked from a moment
//     before. Our slots do not depend on who asks (C4).
//
// # Tests
//
// The default run takes seconds. These take longer; the first compares Next
// with the oracle some 470 million times, in about ten minutes:
//
//	CRON_ORACLE=full go test -run Oracle -timeout 0 ./cron
//	go test -run NONE -fuzz FuzzParse -fuzztime 10m ./cron
//	go test -run NONE -fuzz FuzzNext -fuzztime 10m ./cron
package cron
