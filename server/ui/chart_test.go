package ui

import (
	"strings"
	"testing"
	"time"

	"carillon/server/api"
)

// TestChartsHaveTheMinutesOfAnHour: each minute has what its samples have, one that nothing is known of is a gap, and what is
// not of the last hour is left out.
func TestChartsHaveTheMinutesOfAnHour(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	at := func(ago time.Duration, begun int64, p99 float64) api.Sample {
		return api.Sample{At: now.Add(-ago), SpanMs: 10_000, Begun: begun, Lateness: api.Latency{Count: begun, P50Ms: 1, P99Ms: p99}}
	}
	charts := chartsOf(&api.Stats{At: now, History: []api.Sample{
		at(2*time.Hour, 1000, 9), at(-time.Hour, 1000, 9), at(30*time.Minute, 0, 0), at(50*time.Second, 20, 4), at(0, 60, 3),
	}})
	jobs, late := charts[0], charts[1]
	if len(jobs.Rows) != 2 || jobs.Rows[0].Values[0] != "4" || jobs.Rows[1].Values[0] != "0" || !jobs.Rows[0].At.Equal(now) || jobs.Top != "5" {
		t.Errorf("jobs: %+v", jobs)
	}
	if jobs.Lines[0].Path != "M294.9 100.0h0.1M600.0 20.0h0.1" || jobs.Lines[0].Now != "4" {
		t.Errorf("jobs: %+v", jobs.Lines[0])
	}
	if len(late.Rows) != 1 || late.Rows[0].Values[1] != "4" || strings.Count(late.Lines[1].Path, "M") != 1 {
		t.Errorf("lateness: %+v", late)
	}
	if none := chartsOf(&api.Stats{At: now}); none[0].Lines[0].Path != "" || none[0].Rows != nil || none[0].Top != "1" {
		t.Errorf("of nothing: %+v", none[0])
	}
	for v, want := range map[float64]string{0: "0", 0.1234: "0.12", 3.14: "3.1", 31.41: "31.4", 31415.9: "31,416"} {
		if got := amount(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

// TestChartsOfAppsAddThemUp: the samples of a minute of several apps are one point, and the last one may be a part of a minute.
func TestChartsOfAppsAddThemUp(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 20, 0, time.UTC)
	at := func(ago time.Duration, span, begun int64, late, longest float64) api.AppSample {
		return api.AppSample{At: now.Add(-ago), SpanMs: span, Begun: begun, Ended: begun, Failed: 1, LateMs: late, MaxMs: longest}
	}
	charts := chartsOfApps(now,
		[]api.AppSample{at(59*time.Minute+20*time.Second, 60_000, 600, 1, 1), at(20*time.Second, 60_000, 60, 60, 5), at(0, 20_000, 20, 0, 0)},
		[]api.AppSample{at(20*time.Second, 60_000, 60, 180, 30), at(0, 20_000, 40, 120, 7)},
	)
	jobs, late := charts[0].Rows, charts[1].Rows
	if len(jobs) != 2 || jobs[0].Values[0] != "3" || jobs[1].Values[0] != "2" || jobs[0].Values[2] != "0.1" {
		t.Errorf("jobs: %+v", jobs)
	}
	if len(late) != 2 || late[0].Values[0] != "2" || late[0].Values[1] != "7" || late[1].Values[0] != "2" || late[1].Values[1] != "30.0" {
		t.Errorf("lateness: %+v", late)
	}
	if none := chartsOfApps(now); none[0].Rows != nil {
		t.Errorf("of no apps: %+v", none)
	}
}
