package cron

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Describe says in plain English when the schedule runs and in which zone: "at
// 03:00 every day, Europe/Rome". It is meant for people to check that they
// wrote what they meant; programs compare Spec.String.
func (s *Schedule) Describe() string {
	if s.never {
		return "at no time"
	}
	if s.every != 0 {
		text := "every " + describeSpan(s.every)
		if s.anchor != 0 {
			text += " from " + time.UnixMilli(s.anchor).In(s.loc).Format("2006-01-02 15:04:05.999")
		}
		return text + ", " + s.Zone()
	}
	text, exact := s.cal.describeTime()
	if days := s.cal.describeDays(exact); days != "" {
		text += " " + days
	}
	return text + ", " + s.Zone()
}

// describeSpan writes an interval in words, given in milliseconds: "90
// seconds", "1 hour 30 minutes", and just "hour" for one of a kind.
func describeSpan(ms int64) string {
	var words []string
	for _, unit := range []struct {
		name string
		ms   int64
	}{{"hour", 3_600_000}, {"minute", 60_000}, {"second", 1000}, {"millisecond", 1}} {
		n := ms / unit.ms
		ms %= unit.ms
		switch {
		case n == 1 && ms == 0 && words == nil:
			return unit.name
		case n > 0:
			words = append(words, plural(int(n), unit.name))
		}
	}
	return strings.Join(words, " ")
}

// describeTime says at which times of a day the calendar matches, and whether
// that sounds unfinished without a day after it: "at 03:00" does, "every
// minute" does not.
func (c *calendar) describeTime() (text string, exact bool) {
	seconds, minutes, hours := values(c.second), values(c.minute), values(c.hour)
	exact = len(hours) < 24
	switch {
	case len(seconds)*len(minutes)*len(hours) <= 6:
		return "at " + join(c.times(seconds, minutes, hours), "and"), true
	case c.second == 1:
		return c.describeMinutes(minutes, hours)
	}
	text = "at " + counted("second", seconds)
	if every := cycle(seconds, 60, "second"); every != "" {
		if len(minutes) == 60 && len(hours) == 24 {
			return every, false
		}
		text = every
	}
	switch {
	case len(minutes) < 60:
		text += " of " + counted("minute", minutes)
	case len(hours) == 24:
		return text + " of every minute", false
	default:
		text += " of every minute"
	}
	return text + " of " + describeHours(hours), exact
}

// describeMinutes is describeTime for what runs on the full minute.
func (c *calendar) describeMinutes(minutes, hours []int) (text string, exact bool) {
	every := cycle(minutes, 60, "minute")
	first, last := clock(hours[0], minutes[0]), clock(hours[len(hours)-1], minutes[len(minutes)-1])
	switch {
	case every != "" && len(hours) == 24:
		return every, false
	case every != "" && consecutive(hours):
		return every + " from " + first + " to " + last, true
	case len(minutes) == 1 && cycle(hours, 24, "hour") != "":
		text = cycle(hours, 24, "hour")
		if minutes[0] != 0 {
			text += " at " + counted("minute", minutes)
		}
		return text, false
	case len(minutes) == 1 && consecutive(hours):
		return "every hour from " + first + " to " + last, true
	}
	return "at " + counted("minute", minutes) + " of " + describeHours(hours), len(hours) < 24
}

// describeHours follows "of".
func describeHours(hours []int) string {
	if len(hours) == 24 {
		return "every hour"
	}
	return counted("hour", hours)
}

// times lists the times of a day that match, seconds only where they are not
// zero.
func (c *calendar) times(seconds, minutes, hours []int) []string {
	var all []string
	for _, h := range hours {
		for _, m := range minutes {
			for _, s := range seconds {
				at := clock(h, m)
				if c.second != 1 {
					at += fmt.Sprintf(":%02d", s)
				}
				all = append(all, at)
			}
		}
	}
	return all
}

// clock writes a time of day.
func clock(hour, minute int) string {
	return fmt.Sprintf("%02d:%02d", hour, minute)
}

// cycle is "every minute" or "every 5 minutes" if the values go round a clock
// of n in equal steps from 0, otherwise empty.
func cycle(v []int, n int, unit string) string {
	if len(v) < 2 || v[0] != 0 || n%len(v) != 0 || !even(v) || v[1]*len(v) != n {
		return ""
	}
	if v[1] == 1 {
		return "every " + unit
	}
	return "every " + plural(v[1], unit)
}

// counted is "minute 5" or "minutes 5, 10 and 20".
func counted(unit string, v []int) string {
	if len(v) == 1 {
		return unit + " " + strconv.Itoa(v[0])
	}
	return unit + "s " + join(runs(v, strconv.Itoa), "and")
}

// plural is "1 hour" or "2 hours".
func plural(n int, unit string) string {
	if n != 1 {
		unit += "s"
	}
	return strconv.Itoa(n) + " " + unit
}
