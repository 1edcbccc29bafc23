package ui

import (
	"testing"
	"time"

	"carillon/cron"
	"carillon/server/api"
)

// TestSlotsSayHowTheyEnded: the strip of a trigger tells what was late, what its job came to, and what was skipped.
func TestSlotsSayHowTheyEnded(t *testing.T) {
	at := time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		outcome              api.SlotOutcome
		after                time.Duration
		jitter               int64
		state                api.State
		shown, class, lateBy string
	}{
		{api.SlotFired, 0, 0, api.StateSuccess, "fired", "success", ""},
		{api.SlotFired, time.Second, 0, api.StateSuccess, "fired", "success", ""},
		{api.SlotFired, time.Second + 1, 0, api.StateSuccess, "late", "held", "1 s"},
		{api.SlotFired, 90 * time.Second, 90_000, api.StateSuccess, "fired", "success", ""},
		{api.SlotFired, 0, 0, api.StateFailed, "failed", "failed", ""},
		{api.SlotFired, time.Hour, 0, api.StateFailed, "failed", "failed", "1 h"},
		{api.SlotFired, 0, 0, "", "fired", "", ""},
		{api.SlotSkipped, time.Hour, 0, "", "skipped", "held", ""},
		{api.SlotCanceled, 0, 0, api.StateCanceled, "canceled", "held", ""},
	} {
		got := slotOf(&api.Cron{JitterMs: tt.jitter}, api.CronSlot{From: at, At: at.Add(tt.after), Outcome: tt.outcome, State: tt.state})
		if got.Outcome != tt.shown || got.Class != tt.class || got.Late != tt.lateBy {
			t.Errorf("%+v: %q, %q, late by %q", tt, got.Outcome, got.Class, got.Late)
		}
	}
}

// TestCalendarsHaveTheSlotsOfEachDay: of 30 days in the schedule's zone, from today, with those that a clock
// change leaves out or repeats, and no more work than a bound for what runs each second.
func TestCalendarsHaveTheSlotsOfEachDay(t *testing.T) {
	now := time.Date(2026, 3, 20, 22, 30, 0, 0, time.UTC) // 23:30 in Rome, on a Friday
	days := func(spec string) (weeks []week, shown []day) {
		t.Helper()
		schedule, err := cron.Expr(spec).Compile("Europe/Rome")
		if err != nil {
			t.Fatal(err)
		}
		weeks = calendar(schedule, schedule.Next(now), now)
		for _, w := range weeks {
			for _, d := range w {
				if d.Date != "" {
					shown = append(shown, d)
				}
			}
		}
		return weeks, shown
	}
	weeks, hourly := days("0 * * * *")
	if len(hourly) != 30 || len(weeks) != 5 || !weeks[0][4].Today || weeks[0][4].Name != "20 Mar" || weeks[0][3].Date != "" || weeks[1][0].Date != "2026-03-23" {
		t.Errorf("%d days in %d weeks: %+v", len(hourly), len(weeks), weeks[0])
	}
	for _, d := range hourly {
		want, times := "24", 3
		switch d.Date {
		case "2026-03-20":
			want, times = "", 0 // the hour is over
		case "2026-03-29":
			want = "23"
		}
		if d.Count != want || len(d.Times) != times || d.More != (times == 3) {
			t.Errorf("%s: %+v, want %s slots", d.Date, d, want)
		}
	}
	_, second := days("* * * * * *")
	if d := second[0]; d.Count != "1,000+" || d.Times[0] != "23:30:01" {
		t.Errorf("each second: %+v", d)
	}
	for spec, want := range map[string]string{"@every 86.4s": "1,000", "@every 86.313s": "1,000+"} {
		if _, many := days(spec); many[1].Count != want {
			t.Errorf("%s: %+v, want %s", spec, many[1], want)
		}
	}
}
