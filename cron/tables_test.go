package cron_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carillon/cron"
)

// tables is where the data lives, seen from this package.
const tables = "../testdata/cron"

// row is one question of a table: the first slot of spec from an instant.
type row struct {
	file, spec, zone string
	line             int
	from             time.Time
	at               bool // the slot may be at from
	want             string
	ours, why        string // a disagreement, if why is not empty
}

// mustLines reads a table and returns its lines by number, without comments.
func mustLines(tb testing.TB, file string) map[int]string {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(tables, file))
	if err != nil {
		tb.Fatal(err)
	}
	lines := map[int]string{}
	for i, line := range strings.Split(string(data), "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "# ") && line != "#" {
			lines[i+1] = line
		}
	}
	return lines
}

// mustRows reads a table of slots; its format is in conformance/README.md.
func mustRows(tb testing.TB, file string) []row {
	tb.Helper()
	lines := mustLines(tb, file)
	last := 0
	for n := range lines {
		last = max(last, n)
	}
	var rows []row
	cur := row{file: file}
	loc := time.UTC
	for n := 1; n <= last; n++ {
		line, ok := lines[n]
		if !ok {
			continue
		}
		cur.line = n
		spec, rest, ok := strings.Cut(line, " | ")
		switch {
		case line == "at", line == "after":
			cur.at = line == "at"
			continue
		case strings.HasPrefix(line, "zone "):
			cur.zone = strings.TrimPrefix(line, "zone ")
			loc = mustZone(tb, cur.zone)
			continue
		case !ok:
			tb.Fatalf("%s:%d: %q is no row", file, n, line)
		}
		for pair := range strings.SplitSeq(rest, ", ") {
			chain := strings.Split(pair, " > ")
			for i := range chain[1:] {
				r := cur
				r.spec = spec
				r.from = mustInstant(tb, chain[i], loc)
				want, ours, differs := strings.Cut(chain[i+1], " ! ")
				if differs {
					j := strings.LastIndexByte(ours, ' ')
					r.ours, r.why = ours[:j], ours[j+1:]
					if r.ours != "refused" {
						r.ours = mustInstant(tb, r.ours, loc).Format(time.RFC3339Nano)
					}
				}
				r.want = mustInstant(tb, want, loc).Format(time.RFC3339Nano)
				rows = append(rows, r)
			}
		}
	}
	return rows
}

// answer is what the package says to a row, in the form of row.want.
func (r row) answer(tb testing.TB) string {
	tb.Helper()
	s, err := cron.Expr(r.spec).Compile(r.zone)
	if err != nil {
		return "refused"
	}
	from := r.from
	if r.at {
		from = from.Add(-1)
	}
	return s.Next(from).Format(time.RFC3339Nano)
}

// mustInstant reads an instant of a table and returns it in the zone.
func mustInstant(tb testing.TB, text string, loc *time.Location) time.Time {
	tb.Helper()
	if i := strings.IndexAny(text, "- "); i < 0 {
		text = "2016-12-09 " + text
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05"} {
		if t, err := time.ParseInLocation(layout, text, loc); err == nil {
			return t
		}
		if t, err := time.ParseInLocation(layout+" -07:00", text, loc); err == nil {
			return t.In(loc)
		}
	}
	tb.Fatalf("%q is no instant", text)
	return time.Time{}
}

func mustZone(tb testing.TB, name string) *time.Location {
	tb.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		tb.Fatal(err)
	}
	return loc
}

func mustCompile(tb testing.TB, spec cron.Spec, zone string) *cron.Schedule {
	tb.Helper()
	s, err := spec.Compile(zone)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}
