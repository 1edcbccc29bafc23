package cron_test

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/cron"
)

func TestG21_StarterTable(t *testing.T) { runRows(t, mustRows(t, "starter.txt")) }
func TestG21_ClockChanges(t *testing.T) { runRows(t, mustRows(t, "dst.txt")) }

func TestConformance_Cronos(t *testing.T) { runRows(t, mustRows(t, "conformance/cronos-next.txt")) }
func TestConformance_CCronExpr(t *testing.T) {
	runRows(t, mustRows(t, "conformance/ccronexpr-next.txt"))
}

// runRows asks every row. A disagreement has to be exactly the one that is
// written down, so that neither side can drift.
func runRows(t *testing.T, rows []row) {
	t.Helper()
	differ := 0
	for _, r := range rows {
		got, want := r.answer(t), r.want
		if r.why != "" {
			differ++
			if r.ours == r.want {
				t.Errorf("%s:%d: %q is marked as a disagreement and is none", r.file, r.line, r.spec)
			}
			want = r.ours
		}
		if got != want {
			t.Errorf("%s:%d: %q in %s from %v (at: %v) = %s, want %s", r.file, r.line, r.spec, r.zone, r.from, r.at, got, want)
		}
	}
	t.Logf("%d rows, %d of them disagreements", len(rows), differ)
}

func TestConformance_Refused(t *testing.T) {
	for _, file := range []string{"conformance/cronos-refused.txt", "conformance/ccronexpr-refused.txt"} {
		kind, count := "", 0
		for line, text := range mustLines(t, file) {
			kind = kindOf(t, file, line)
			if text == kind {
				continue
			}
			if kind == "whole" || kind == "never" {
				expr, _, accepted := strings.Cut(text, " ! ")
				mustRefuse(t, file, line, expr, "", !accepted)
				count++
				continue
			}
			items := strings.Split(text, " | ")
			for _, item := range items[1:] {
				value, _, accepted := strings.Cut(item, " ! ")
				for _, expr := range inField(kind, items[0], value) {
					mustRefuse(t, file, line, expr, items[0], !accepted)
					count++
				}
			}
		}
		t.Logf("%s: %d rows", file, count)
	}
}

// kindOf is the section of a table of refusals that a line is in.
func kindOf(tb testing.TB, file string, line int) string {
	tb.Helper()
	lines := mustLines(tb, file)
	for ; line > 0; line-- {
		if slices.Contains([]string{"five", "six", "whole", "never"}, lines[line]) {
			return lines[line]
		}
	}
	tb.Fatalf("%s has no sections", file)
	return ""
}

// inField puts a value in a field of an expression that is otherwise stars, of
// five fields and of six.
func inField(kind, field, value string) []string {
	at := slices.Index([]string{"second", "minute", "hour", "day-of-month", "month", "day-of-week"}, field)
	parts := []string{"*", "*", "*", "*", "*", "*"}
	parts[at] = value
	six := strings.Join(parts, " ")
	if kind == "six" {
		return []string{six}
	}
	return []string{six, strings.TrimPrefix(six, "* ")}
}

// mustRefuse checks that an expression is refused, on account of the field if
// one is given; or that it is not, if the disagreement is known.
func mustRefuse(t *testing.T, file string, line int, expr, field string, want bool) {
	t.Helper()
	_, err := cron.Expr(expr).Compile("")
	var spec *cron.SpecError
	switch {
	case !want && err != nil:
		t.Errorf("%s:%d: %q is refused (%v) and marked as accepted", file, line, expr, err)
	case want && err == nil:
		t.Errorf("%s:%d: %q is accepted", file, line, expr)
	case want && (!errors.As(err, &spec) || field != "" && spec.Field != field):
		t.Errorf("%s:%d: %q: %v does not blame %s", file, line, expr, err, field)
	}
}

func TestConformance_Same(t *testing.T) {
	for _, file := range []string{"conformance/cronos-same.txt", "conformance/ccronexpr-same.txt"} {
		for line, text := range mustLines(t, file) {
			text, _, refused := strings.Cut(text, " ! ")
			left, right, _ := strings.Cut(text, " | ")
			a, errA := cron.Expr(left).Compile("")
			b, errB := cron.Expr(right).Compile("")
			if err := errors.Join(errA, errB); refused || err != nil {
				if refused != (err != nil) {
					t.Errorf("%s:%d: marked as refused: %v, but: %v", file, line, refused, err)
				}
				continue
			}
			at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
			for range 200 {
				// Walk on by a step that no cycle divides, to see all parts of both.
				next := a.Next(at)
				if got := b.Next(at); !got.Equal(next) {
					t.Errorf("%s:%d: after %v, %q has %v and %q has %v", file, line, at, left, next, right, got)
					break
				}
				at = next.Add(7*time.Hour + 11*time.Minute + 13*time.Second)
			}
		}
	}
}

// TestConformance_Explained checks that the package comment explains every
// disagreement of the tables, and no other.
func TestConformance_Explained(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^//   - (D\d+) `).FindAllStringSubmatch(string(doc), -1) {
		explained[m[1]] = false
	}
	entries, err := os.ReadDir(tables + "/conformance")
	if err != nil {
		t.Fatal(err)
	}
	mark := regexp.MustCompile(` ! [^,|]*?(D\d+)(,| \||$)`)
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".txt") || strings.HasPrefix(entry.Name(), "LICENSE") {
			continue
		}
		for line, text := range mustLines(t, "conformance/"+entry.Name()) {
			for _, m := range mark.FindAllStringSubmatch(text, -1) {
				if _, ok := explained[m[1]]; !ok {
					t.Errorf("%s:%d: %s is not explained in doc.go", entry.Name(), line, m[1])
				}
				explained[m[1]] = true
			}
		}
	}
	for code, used := range explained {
		if !used {
			t.Errorf("doc.go explains %s, which no table has", code)
		}
	}
}
