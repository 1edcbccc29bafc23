package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"carillon/cmd/carillon/workload"
	"carillon/dispatch"
)

// benchFields are the fields that a row may have, and no others.
var benchFields = []string{
	"workload", "callers", "apps", "jobs", "seconds", "per_second", "p50_ms", "p99_ms", "max_ms",
	"early", "rss_mb", "flushes", "bytes_written", "bytes_per_job", "bytes_per_app", "bytes_per_waiter", "file_mb",
}

// TestBench runs all workloads, very small.
func TestBench(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	out, err := runs(t, "bench", "--scale", "0.001", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]any
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	number := func(row map[string]any, field string) float64 {
		n, ok := row[field].(float64)
		if !ok {
			t.Errorf("%s is no number in %v", field, row)
		}
		return n
	}
	seen := map[string]int{}
	for _, row := range rows {
		name, _ := row["workload"].(string)
		seen[name]++
		for field := range row {
			if !slices.Contains(benchFields, field) {
				t.Errorf("%s has a field %s", name, field)
			}
		}
		if n := number(row, "jobs"); n < 1 {
			t.Errorf("%s is of %v jobs", name, n)
		}
		switch {
		case strings.HasPrefix(name, "W1"), name == "W2", name == "W5":
			if number(row, "per_second") <= 0 || number(row, "flushes") < 1 && name != "W1u-held" {
				t.Errorf("%s has not measured anything: %v", name, row)
			}
		case strings.Contains(name, "W3"), name == "W4-herd", name == "W9-quiet":
			if number(row, "early") != 0 {
				t.Errorf("%s: jobs have started early: %v", name, row)
			}
			if p50, p99, most := number(row, "p50_ms"), number(row, "p99_ms"), number(row, "max_ms"); p50 > p99 || p99 > most {
				t.Errorf("%s: percentiles are in no order: %v", name, row)
			}
		}
	}
	want := map[string]int{
		"W1a": 1, "W1b": 2, "W1c": 1, "W1s": 1, "W1u": 1, "W1u-held": 1, "W2": 1, "W3": 1, "W3-loaded": 1, "W4": 1, "W4-idle": 1, "W4-herd": 1,
		"W5": 2, "W6": 1, "W6-W1b": 1, "W6-W3": 1, "W7": 1, "W7-bbolt": 1, "W7-append": 1, "W8": 1, "W8-due": 1,
		"W9": 1, "W9-64": 1, "W9-actions": 1, "W9-actions-64": 1, "W9-1": 1, "W9-quiet": 1,
		"W10": 1, "W10-64k": 1, "W10-wait": 1,
	}
	for name, n := range want {
		if seen[name] != n {
			t.Errorf("%s has %d rows, want %d", name, seen[name], n)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("the workloads are %v", seen)
	}
	mustBeEmpty(t, os.Getenv("TMPDIR"))
}

// TestBenchTable: a row is printed as soon as it is known, under one head.
func TestBenchTable(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	out, err := runs(t, "bench", "--only", "W1c, w1a", "--scale", "0.001")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "workload ") || !strings.HasPrefix(lines[1], "W1a ") || !strings.HasPrefix(lines[2], "W1c ") {
		t.Errorf("the table is\n%s", out)
	}
}

// TestBenchProfile: the profile is written beside the table; where it cannot be, nothing is
// measured.
func TestBenchProfile(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	path := filepath.Join(t.TempDir(), "cpu.out")
	if out, err := runs(t, "bench", "--only", "W1a", "--scale", "0.001", "--cpuprofile", path); err != nil || !strings.Contains(out, "W1a ") {
		t.Errorf("got %v, %s", err, out)
	}
	if profile, err := os.ReadFile(path); err != nil || len(profile) == 0 {
		t.Errorf("the profile has %d bytes, %v", len(profile), err)
	}
	out, err := runs(t, "bench", "--only", "W1a", "--scale", "0.001", "--cpuprofile", filepath.Join(path, "there"))
	if err == nil || !strings.HasPrefix(err.Error(), "--cpuprofile: ") || out != "" {
		t.Errorf("of a file in no directory: %v, %s", err, out)
	}
	mustBeEmpty(t, os.Getenv("TMPDIR"))
}

func TestBenchUsage(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"--only W99", `bench: --only: there is no workload "W99", but ` + workload.Names() + `; "carillon help bench" says more`},
		{"--only W1b,", `bench: --only: there is no workload "", but ` + workload.Names() + `; "carillon help bench" says more`},
		{"--scale 0", `bench: --scale: scale is 0, want more than 0 and at most 10; "carillon help bench" says more`},
		{"--scale NaN", `bench: --scale: scale is NaN, want more than 0 and at most 10; "carillon help bench" says more`},
		{"--scale 11", `bench: --scale: scale is 11, want more than 0 and at most 10; "carillon help bench" says more`},
		{"--growth --only W1b", `bench: --only: there is no series "w1b", but jobs, documents, history, apps; "carillon help bench" says more`},
		{"--growth --rounds 0", `bench: --rounds is 0, want 1 or more; "carillon help bench" says more`},
		{"--growth --scale 11", `bench: --scale: scale is 11, want more than 0 and at most 10; "carillon help bench" says more`},
		{"--growth --store postgres://h", `bench: --store is not for --growth; "carillon help bench" says more`},
		{"--store postgres://h --shards 0", `bench: --shards is 0, want 1 to 4096; "carillon help bench" says more`},
		{"--write out", `bench: --write is for --growth; "carillon help bench" says more`},
		{"-o xml", `bench: -o is "xml", want table or json; "carillon help bench" says more`},
		{"W1b", `bench: unexpected argument "W1b"; "carillon help bench" says more`},
	} {
		out, err := runs(t, append([]string{"bench"}, strings.Fields(tt.args)...)...)
		if err == nil || err.Error() != tt.want || out != "" || ExitCode(err) != 2 {
			t.Errorf("bench %s: got %v, code %d, output %q\nwant %s", tt.args, err, ExitCode(err), out, tt.want)
		}
	}
}

// TestBenchGrowth: a series is shown, and written with its plot; of another form there
// are the figures.
func TestBenchGrowth(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := filepath.Join(t.TempDir(), "growth", "now")
	out, err := runs(t, "bench", "--growth", "--only", "documents", "--rounds", "1", "--scale", "0.001", "--write", dir)
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	head, table, _ := strings.Cut(read("growth.md"), "\n\n")
	if !strings.HasPrefix(head, "The least of 1 rounds, at scale 0.001, on ") || table != out+"![How it grows with its documents](growth-documents.svg)\n" || !strings.HasPrefix(out, "### documents: ") {
		t.Errorf("the table is\n%s\n%s\nand was shown as\n%s", head, table, out)
	}
	if plot := read("growth-documents.svg"); !strings.HasPrefix(plot, "<svg ") {
		t.Errorf("the plot is\n%s", plot)
	}
	var steps []workload.Step
	if err := json.Unmarshal([]byte(read("growth.json")), &steps); err != nil || len(steps) != 3 || steps[2].Size != 100 || len(steps[2].Figures) == 0 {
		t.Errorf("the figures are %+v, %v", steps, err)
	}
	mustBeEmpty(t, os.Getenv("TMPDIR"))
	out, err = runs(t, "bench", "--growth", "--only", "documents", "--rounds", "1", "--scale", "0.001", "-o", "json")
	if err != nil || json.Unmarshal([]byte(out), &steps) != nil || len(steps) != 3 {
		t.Errorf("got %v, %s", err, out)
	}
	if _, err = runs(t, "bench", "--growth", "--only", "documents", "--rounds", "1", "--scale", "0.001", "--write", filepath.Join(dir, "growth.md")); err == nil {
		t.Error("a file took the place of a directory")
	}
	mustBeEmpty(t, os.Getenv("TMPDIR"))
}

// TestBenchInterrupted: what was begun is left at once, and nothing behind.
func TestBenchInterrupted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// Its first row is the signal to stop it.
	out := writerFunc(func(p []byte) (int, error) {
		cancel()
		return len(p), nil
	})
	err := run(ctx, []string{"bench", "--only", "W1a,W6", "--scale", "0.01"}, strings.NewReader(""), out, io.Discard)
	if !errors.Is(err, context.Canceled) || ExitCode(err) != dispatch.CodeCanceled.ExitCode() {
		t.Errorf("got %v, code %d", err, ExitCode(err))
	}
	mustBeEmpty(t, os.Getenv("TMPDIR"))
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func mustBeEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}

// TestProgressIsForTerminals: into a file or a pipe nothing is written.
func TestProgressIsForTerminals(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "err"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0) // what cron and systemd give a command to read
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, w := range []io.Writer{file, null, &bytes.Buffer{}} {
		if isTerminal(w) {
			t.Errorf("%T is a terminal", w)
		}
	}
	var out bytes.Buffer
	p := newProgress(&out, (&workload.Meter{}).Now)
	p.clear(func() {})
	p.stop()
	p.stop()
	if out.Len() > 0 {
		t.Errorf("progress wrote %q", &out)
	}
}
