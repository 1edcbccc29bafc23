package ui

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"carillon/server/api"
)

// The size of a chart's picture, in units of its own, and how many points it has: one a minute.
const (
	chartWide, chartHigh = 600, 100
	chartPoints          = 60
)

// chart is a picture of an hour, and its numbers.
type chart struct {
	Title, Unit string
	Top         string // what its upper edge stands for
	Lines       []curve
	Rows        []chartRow // from the latest on
}

// curve is one of a chart. The path is "" if it has no point.
type curve struct{ Name, Kind, Path, Now string }

// chartRow is a minute that a chart has something of.
type chartRow struct {
	At     time.Time
	Values []string
}

// minute is what was done in a minute, of the samples that end there.
type minute struct {
	span                 time.Duration
	begun, ended, failed int64
	late, commits        slowest
	lateness, latest     float64 // of an app, in milliseconds: of all that began, and the longest
}

// slowest is the latency of a minute: of its samples the greatest, since quantiles have no sum.
type slowest struct {
	any      bool
	p50, p99 float64
}

func (s *slowest) add(l api.Latency) {
	if l.Count > 0 {
		s.any, s.p50, s.p99 = true, max(s.p50, l.P50Ms), max(s.p99, l.P99Ms)
	}
}

// chartsOf are those of the overview, the last minute at their right edge.
func chartsOf(stats *api.Stats) []chart {
	var minutes [chartPoints]minute
	for _, s := range stats.History {
		at := chartPoints - 1 - int(stats.At.Sub(s.At)/time.Minute)
		if at < 0 || at >= chartPoints || s.SpanMs <= 0 {
			continue
		}
		m := &minutes[at]
		m.span += time.Duration(s.SpanMs) * time.Millisecond
		m.begun, m.ended, m.failed = m.begun+s.Begun, m.ended+s.Ended, m.failed+s.Failed
		m.late.add(s.Lateness)
		m.commits.add(s.Commits)
	}
	return []chart{
		drawn(stats.At, &minutes, "Jobs per second", "", []string{"started", "ended", "failed"}, []string{"one", "two", "bad"}, jobsPerSecond),
		drawn(stats.At, &minutes, "Lateness", "ms", []string{"p50", "p99"}, []string{"one", "two"}, func(m *minute, l int) (float64, bool) {
			return []float64{m.late.p50, m.late.p99}[l], m.late.any
		}),
		drawn(stats.At, &minutes, "Commits", "ms", []string{"p50", "p99"}, []string{"one", "two"}, func(m *minute, l int) (float64, bool) {
			return []float64{m.commits.p50, m.commits.p99}[l], m.commits.any
		}),
	}
}

// chartsOfApps are those of some apps together, up to the instant. What an app has done that is not known is not in them.
func chartsOfApps(at time.Time, apps ...[]api.AppSample) []chart {
	var minutes [chartPoints]minute
	for _, samples := range apps {
		for _, s := range samples {
			i := chartPoints - 1 - int((at.Sub(s.At)+time.Minute-1)/time.Minute) // the last one may be a part of a minute
			if i < 0 || i >= chartPoints || s.SpanMs <= 0 {
				continue
			}
			m := &minutes[i]
			m.span = max(m.span, time.Duration(s.SpanMs)*time.Millisecond)
			m.begun, m.ended, m.failed = m.begun+s.Begun, m.ended+s.Ended, m.failed+s.Failed
			m.lateness, m.latest = m.lateness+s.LateMs, max(m.latest, s.MaxMs)
		}
	}
	return []chart{
		drawn(at, &minutes, "Jobs per second", "", []string{"started", "ended", "failed"}, []string{"one", "two", "bad"}, jobsPerSecond),
		drawn(at, &minutes, "Lateness", "ms", []string{"mean", "longest"}, []string{"one", "two"}, func(m *minute, l int) (float64, bool) {
			return []float64{m.lateness / float64(max(m.begun, 1)), m.latest}[l], m.begun > 0
		}),
	}
}

// jobsPerSecond are the lines of a chart: those that started, that ended, and that failed.
func jobsPerSecond(m *minute, line int) (float64, bool) {
	return float64([]int64{m.begun, m.ended, m.failed}[line]) / m.span.Seconds(), m.span > 0
}

// drawn is the chart of the minutes up to the instant, with lines of such names and kinds.
func drawn(at time.Time, minutes *[chartPoints]minute, title, unit string, names, kinds []string, of func(m *minute, line int) (float64, bool)) chart {
	c := chart{Title: title, Unit: unit}
	top := 0.0
	for i := range minutes {
		row := chartRow{At: at.Add(-time.Duration(chartPoints-1-i) * time.Minute)}
		some := false
		for l := range names {
			v, ok := of(&minutes[i], l)
			text := "–"
			if ok {
				top, some, text = max(top, v), true, amount(v)
			}
			row.Values = append(row.Values, text)
		}
		if some {
			c.Rows = append([]chartRow{row}, c.Rows...)
		}
	}
	top = niceAbove(top)
	c.Top = amount(top)
	for l := range names {
		added := curve{Name: names[l], Kind: kinds[l], Now: "–"}
		var path strings.Builder
		joined := false
		for i := range minutes {
			v, ok := of(&minutes[i], l)
			if !ok {
				joined = false
				continue
			}
			x, y := float64(i)*chartWide/(chartPoints-1), chartHigh-v/top*chartHigh
			if joined {
				fmt.Fprintf(&path, "L%.1f %.1f", x, y)
			} else {
				fmt.Fprintf(&path, "M%.1f %.1fh0.1", x, y)
			}
			joined = true
			added.Now = amount(v)
		}
		added.Path = path.String()
		c.Lines = append(c.Lines, added)
	}
	return c
}

// niceAbove is 1, 2 or 5 times a power of ten, and not below v.
func niceAbove(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 5} {
		if v <= n*power {
			return n * power
		}
	}
	return 10 * power
}

// amount is the number with at most three digits behind what says its size.
func amount(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 100:
		return count(int64(math.Round(v)))
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}
