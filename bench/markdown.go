package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"carillon/cmd/carillon/workload"
)

// markdown writes a table for each workload, and why systems are left out.
func (rep *Report) markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Medians of %d rounds, and in brackets the least and the greatest, at scale %v, on %s.\n", rep.Rounds, rep.Scale, workload.Machine())
	var last string
	for i := range rep.Results {
		r := &rep.Results[i]
		if title := r.title(); title != last {
			last = title
			fmt.Fprintf(&b, "\n### %s\n\n", title)
			b.WriteString("| system | per second | seconds | p50 ms | p99 ms | max ms | early | RSS MB | B written a job | Carillon is better by |\n")
			b.WriteString("|---|---|---|---|---|---|---|---|---|---|\n")
		}
		r.line(&b)
		if times, ok := rep.timesFloor(r.Workload); ok {
			fmt.Fprintf(&b, "\nA call of W7 takes %s times as long at p50.\n", number(times))
		}
	}
	rep.writeTargets(&b)
	if len(rep.Absent) > 0 {
		b.WriteString("\n### Left out\n\n| system | workload | reason |\n|---|---|---|\n")
		for _, a := range merged(rep.Absent) {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", a.system, a.workload, strings.ReplaceAll(a.reason, "|", "/"))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// merged has one absence where a system is left out of several workloads for
// one reason.
func merged(list []absence) (out []absence) {
	for _, a := range list {
		i := slices.IndexFunc(out, func(have absence) bool { return have.system == a.system && have.reason == a.reason })
		if i < 0 {
			out = append(out, a)
			continue
		}
		out[i].workload += ", " + a.workload
	}
	return out
}

func (r *Result) title() string {
	title := r.Workload
	if r.Callers > 0 {
		title += fmt.Sprintf(", callers: %d", r.Callers)
	}
	if r.Apps > 0 {
		title += fmt.Sprintf(", apps: %s", whole(float64(r.Apps)))
	}
	return title + fmt.Sprintf(", jobs: %s", whole(float64(r.Jobs)))
}

// line writes the result as a line of the table. It has the spread of what the
// workload is about.
func (r *Result) line(b *strings.Builder) {
	about, _ := aspect(r.Workload)
	cell := func(name string) string {
		f := figures(&r.Row)[name]
		if f == nil {
			return ""
		}
		text := number(*f)
		if s := r.Spread[name]; name == about && s.Min != s.Max {
			text += fmt.Sprintf(" (%s–%s)", number(s.Min), number(s.Max))
		}
		return text
	}
	name := r.System
	if !r.Durable {
		name += " (not durable)"
	}
	early, written, ratio := "", "", ""
	if r.Early != nil {
		early = strconv.Itoa(*r.Early)
	}
	if r.BytesPerJob != nil {
		written = cell("bytes_per_job")
	}
	if r.RatioTo != "" {
		ratio = fmt.Sprintf("%s× (%s)", number(r.Ratio), r.RatioTo)
	}
	rss := cell("rss_mb")
	if r.BytesPerApp != nil {
		rss += fmt.Sprintf(", %s B an app", cell("bytes_per_app"))
	}
	if r.BytesPerWaiter != nil {
		rss += fmt.Sprintf(", %s B a call that waits", cell("bytes_per_waiter"))
	}
	if r.FileMB != nil {
		rss += fmt.Sprintf(", files %s MB", cell("file_mb"))
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n",
		name, cell("per_second"), cell("seconds"), cell("p50_ms"), cell("p99_ms"), cell("max_ms"), early, rss, written, ratio)
}

// number is a figure with three digits that count.
func number(f float64) string {
	switch abs := math.Abs(f); {
	case abs == 0:
		return "0"
	case abs >= 100:
		return whole(math.Round(f))
	case abs >= 10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	case abs >= 1:
		return strconv.FormatFloat(f, 'f', 2, 64)
	}
	return strconv.FormatFloat(f, 'g', 2, 64)
}

// whole is a whole number with its thousands set apart.
func whole(f float64) string {
	digits := strconv.FormatFloat(f, 'f', 0, 64)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
