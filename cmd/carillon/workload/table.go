package workload

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Table prints rows as they come, in columns under a head.
type Table struct {
	w       io.Writer
	columns []column
	begun   bool
}

type column struct {
	name  string
	width int // negative: to the left
	cell  func(*Row) string
}

// NewTable returns a table of the columns that rows of one system have.
func NewTable(w io.Writer) *Table { return &Table{w: w, columns: columns()} }

func columns() []column {
	return []column{
		{"workload", -10, func(r *Row) string { return r.Workload }},
		{"callers", 7, func(r *Row) string { return whole(int64(r.Callers)) }},
		{"apps", 6, func(r *Row) string { return whole(int64(r.Apps)) }},
		{"jobs", 9, func(r *Row) string { return whole(int64(r.Jobs)) }},
		{"seconds", 8, func(r *Row) string { return figure(&r.Seconds) }},
		{"per second", 10, func(r *Row) string { return whole(int64(r.PerSecond)) }},
		{"p50 ms", 8, func(r *Row) string { return figure(r.P50) }},
		{"p99 ms", 8, func(r *Row) string { return figure(r.P99) }},
		{"max ms", 8, func(r *Row) string { return figure(r.Max) }},
		{"early", 5, func(r *Row) string {
			if r.Early == nil {
				return ""
			}
			return strconv.Itoa(*r.Early)
		}},
		{"rss MB", 7, func(r *Row) string { return figure(r.RSS) }},
		{"flushes", 8, func(r *Row) string {
			if r.Flushes == nil {
				return ""
			}
			return whole(*r.Flushes)
		}},
		{"MB written", 10, func(r *Row) string {
			if r.BytesWritten == nil {
				return ""
			}
			return figure(new(megabytes(*r.BytesWritten)))
		}},
		{"B/job", 7, func(r *Row) string { return figure(r.BytesPerJob) }},
		{"file MB", 7, func(r *Row) string { return figure(r.FileMB) }},
		{"B/app", 6, func(r *Row) string { return figure(r.BytesPerApp) }},
		{"B/wait", 6, func(r *Row) string { return figure(r.BytesPerWaiter) }},
	}
}

// Print prints the row.
func (t *Table) Print(row Row) {
	if !t.begun {
		t.begun = true
		t.line(func(c *column) string { return c.name })
	}
	t.line(func(c *column) string { return c.cell(&row) })
}

func (t *Table) line(cell func(*column) string) {
	var b strings.Builder
	for i := range t.columns {
		c := &t.columns[i]
		if i > 0 {
			b.WriteString("  ")
		}
		fmt.Fprintf(&b, "%*s", c.width, cell(c))
	}
	fmt.Fprintln(t.w, strings.TrimRight(b.String(), " "))
}

// whole is a number with its thousands set apart; 0 is nothing.
func whole(n int64) string {
	if n == 0 {
		return ""
	}
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// figure is a number with three digits that count; none is nothing.
func figure(f *float64) string {
	switch {
	case f == nil || *f == 0:
		return ""
	case *f >= 100 || *f <= -100:
		return whole(int64(*f + 0.5))
	case *f >= 10:
		return strconv.FormatFloat(*f, 'f', 1, 64)
	case *f >= 1:
		return strconv.FormatFloat(*f, 'f', 2, 64)
	}
	return strconv.FormatFloat(*f, 'f', 3, 64)
}
