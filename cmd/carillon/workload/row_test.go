package workload

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// ms are spans of 1 to n milliseconds, the longest first.
func ms(n int) []time.Duration {
	spans := make([]time.Duration, n)
	for i := range spans {
		spans[i] = time.Duration(n-i) * time.Millisecond
	}
	return spans
}

func TestSpread(t *testing.T) {
	for _, tt := range []struct {
		n              int
		p50, p99, most float64
	}{
		{1, 1, 1, 1},
		{2, 1, 2, 2},
		{3, 2, 3, 3},
		{100, 50, 99, 100},
		{101, 51, 100, 101},
		{2000, 1000, 1980, 2000},
	} {
		var row Row
		row.spread(ms(tt.n))
		if *row.P50 != tt.p50 || *row.P99 != tt.p99 || *row.Max != tt.most {
			t.Errorf("of %d: got %v, %v, %v, want %v, %v, %v", tt.n, *row.P50, *row.P99, *row.Max, tt.p50, tt.p99, tt.most)
		}
	}
	var none Row
	none.spread(nil)
	if none.P50 != nil {
		t.Errorf("of none: got %v", *none.P50)
	}
}

func TestLatenessCountsEarlyStarts(t *testing.T) {
	var row Row
	row.lateness([]time.Duration{3, 0, -1, 2, -5, 0})
	if *row.Early != 2 {
		t.Errorf("got %d early, want 2", *row.Early)
	}
	row.lateness([]time.Duration{0, 1})
	if *row.Early != 0 {
		t.Errorf("got %d early, want 0", *row.Early)
	}
}

// TestRowInJSON: what is zero is told, what has no meaning is absent.
func TestRowInJSON(t *testing.T) {
	row := Row{Workload: "W3", Jobs: 2, Early: new(0), P50: new(0.5)}
	got, err := json.Marshal(row)
	if want := `{"workload":"W3","jobs":2,"p50_ms":0.5,"early":0}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	table := NewTable(&out)
	table.Print(Row{Workload: "W1b", Callers: 64, Jobs: 100_000, Seconds: 2.5, PerSecond: 40_000, P50: new(0.1234), P99: new(12.34), Max: new(1234.5), BytesWritten: new(int64(3 << 20)), BytesPerJob: new(31.46)})
	table.Print(Row{Workload: "W3", Jobs: 20, Early: new(0)})
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{
		"workload callers apps jobs seconds per second p50 ms p99 ms max ms early rss MB flushes MB written B/job file MB B/app B/wait",
		"W1b 64 100,000 2.50 40,000 0.123 12.3 1,235 3.00 31.5",
		"W3 20 0",
	} {
		if got := strings.Join(strings.Fields(lines[i]), " "); got != want {
			t.Errorf("line %d is %q, want %q", i+1, got, want)
		}
	}
}

func TestSelect(t *testing.T) {
	names := func(list []Workload) string {
		var names []string
		for _, w := range list {
			names = append(names, w.Name)
		}
		return strings.Join(names, " ")
	}
	for _, tt := range []struct{ only, want string }{
		{"", "W1a W1b W1c W1s W1u W2 W3 W4 W5 W6 W7 W8 W9 W10 W11"},
		{"W3, w1B,W3", "W1b W3"},
	} {
		list, err := Select(tt.only)
		if got := names(list); err != nil || got != tt.want {
			t.Errorf("%q: got %s, %v, want %s", tt.only, got, err, tt.want)
		}
	}
	if _, err := Select("W1"); err == nil {
		t.Error("W1 is a workload")
	}
}

// TestRoundNotesEveryStart: it is over when all that it counts is there to be read.
func TestRoundNotesEveryStart(t *testing.T) {
	r := newRound(100)
	for range 100 {
		go r.note(time.Millisecond)
	}
	if err := r.wait(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	for i, late := range r.late {
		if late != time.Millisecond {
			t.Errorf("start %d was not noted", i)
		}
	}
	r.note(time.Second) // of a job that it does not count
	if err := newRound(1).wait(t.Context(), time.Millisecond); err == nil || err.Error() != "0 of 1 jobs have started within 0s" {
		t.Errorf("a round that nothing starts in: %v", err)
	}
}

// TestCollectorFollowsTheHeap: a large heap is not given room for six times its size.
func TestCollectorFollowsTheHeap(t *testing.T) {
	for _, tt := range []struct {
		live uint64
		want int
	}{{0, 600}, {40 << 20, 600}, {43 << 20, 575}, {128 << 20, 200}, {256 << 20, 100}, {330 << 20, 75}, {4 << 30, 50}} {
		if got := gcPercent(tt.live); got != tt.want {
			t.Errorf("GOGC of %d live bytes is %d, want %d", tt.live, got, tt.want)
		}
	}
}
