package ui

import (
	"strconv"
	"time"

	"carillon/cron"
)

// Bounds of a calendar: so many days, and slots of one day that are counted and named.
const (
	calendarDays = 30
	countedSlots = 1000
	namedSlots   = 3
)

// week is a row of a calendar, from Monday to Sunday.
type week [7]day

// day is one of a calendar. Those before its first one and behind its last have no date.
type day struct {
	Date  string // 2006-01-02
	Name  string // the number, with the month where that is new
	Today bool
	Count string   // of its slots; "" if there is none
	Times []string // of the first of them
	More  bool     // there are more than those
}

// calendar is the schedule's slots of 30 days in its own zone, today first. The first slot is
// where the schedule goes on.
func calendar(schedule *cron.Schedule, first, now time.Time) (weeks []week) {
	today := schedule.In(now)
	for i := range calendarDays {
		begin := time.Date(today.Year(), today.Month(), today.Day()+i, 0, 0, 0, 0, today.Location())
		end := time.Date(today.Year(), today.Month(), today.Day()+i+1, 0, 0, 0, 0, today.Location())
		d := dayOf(schedule, begin, end, first)
		d.Today = i == 0
		if d.Name = strconv.Itoa(begin.Day()); i == 0 || begin.Day() == 1 {
			d.Name = begin.Format("2 Jan")
		}
		at := (int(begin.Weekday()) + 6) % 7
		if i == 0 || at == 0 {
			weeks = append(weeks, week{})
		}
		weeks[len(weeks)-1][at] = d
	}
	return weeks
}

// dayOf is the day from begin until before end, without the slots before the first one.
func dayOf(schedule *cron.Schedule, begin, end, first time.Time) day {
	d := day{Date: begin.Format(time.DateOnly)}
	from := begin
	if from.Before(first) {
		from = first
	}
	n := 0
	for at := schedule.Next(from.Add(-1)); !at.IsZero() && at.Before(end) && n <= countedSlots; at = schedule.Next(at) {
		if n++; n <= namedSlots {
			layout := "15:04"
			if at.Second() != 0 {
				layout = time.TimeOnly
			}
			d.Times = append(d.Times, schedule.In(at).Format(layout))
		}
	}
	switch {
	case n > countedSlots:
		d.Count = count(countedSlots) + "+"
	case n > 0:
		d.Count = count(n)
	}
	d.More = n > namedSlots
	return d
}
