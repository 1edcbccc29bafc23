package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"carillon/cmd/carillon/workload"
)

// ran is a contest of three rounds that was run.
func ran() *contest {
	all := contestants()
	c := &contest{systems: all, workloads: workload.All(), rounds: 3, scale: 1}
	row := func(system string, perSecond float64) {
		c.rows = append(c.rows, workload.Row{System: system, Workload: "W1b", Callers: 64, Jobs: 100_000, Seconds: 100_000 / perSecond, PerSecond: perSecond})
	}
	late := func(system string, p99 float64, early int) {
		c.rows = append(c.rows, workload.Row{System: system, Workload: "W3", Jobs: 2000, P50: new(p99 / 2), P99: new(p99), Max: new(p99 * 2), Early: new(early)})
	}
	for _, n := range []float64{40_000, 60_000, 50_000} {
		late("carillon", 1, 0) // out of order: it is put in order
		row("carillon", n)
		row("river", n/20)
		row("asynq", n/2.5)
		row("asynq-everysec", n*2)
		late("gocron", n/20_000-1.9, 1) // more often late than early
		late("asynq", n/20_000-2.5, 3)  // negative, nothing, and positive
		late("river", 20, 0)
	}
	for _, r := range []workload.Row{{Workload: "W7", P50: new(0.6)}, {Workload: "W7-bbolt", P50: new(0.5)}, {Workload: "W7-append", P50: new(0.25), BytesPerJob: new(4096.0)}} {
		r.System, r.Callers, r.Jobs = "carillon", 1, 5000
		c.rows = append(c.rows, r)
	}
	c.absent = []absence{{"gocron", "W1b", "a|reason"}, {"gocron", "W2", "another"}, {"gocron", "W5", "a|reason"}}
	return c
}

func TestReport(t *testing.T) {
	rep := ran().report()
	var names []string
	for _, r := range rep.Results {
		names = append(names, r.Workload+" "+r.System)
	}
	if got, want := strings.Join(names, ", "), "W1b carillon, W1b river, W1b asynq, W1b asynq-everysec, W3 carillon, W3 river, W3 asynq, W3 gocron, W7 carillon, W7-bbolt carillon, W7-append carillon"; got != want {
		t.Fatalf("the rows are %s\nwant %s", got, want)
	}
	own := rep.Results[0]
	if own.PerSecond != 50_000 || own.Seconds != 2 || own.Spread["per_second"] != (Span{40_000, 60_000}) || own.Rounds != 3 {
		t.Errorf("the median is %+v", own)
	}
	if own.RatioTo != "asynq" || math.Abs(own.Ratio-2.5) > 1e-9 || own.RatioOf != "per_second" {
		t.Errorf("the best durable peer: %+v", own)
	}
	// asynq is less late, but only because it is early.
	if late := rep.Results[4]; late.RatioTo != "river" || late.Ratio != 20 || late.RatioOf != "p99_ms" || *late.Early != 0 {
		t.Errorf("lateness: %+v", late)
	}
	if floors := rep.Results[8].Floors; len(floors) != 2 || math.Abs(floors["W7-bbolt"]-1.2) > 1e-9 || math.Abs(floors["W7-append"]-2.4) > 1e-9 {
		t.Errorf("W7 is these times its floors: %v", floors)
	}
	if early := rep.Results[6]; *early.Early != 9 {
		t.Errorf("early in all rounds: %d", *early.Early)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	if err := ran().report().writeFiles(dir); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	table := string(read("results.md"))
	for _, want := range []string{
		"### W1b, callers: 64, jobs: 100,000\n", "| carillon | 50,000 (40,000–60,000) | 2.00 |", "| 2.50× (asynq) |",
		"| asynq-everysec (not durable) | 100,000 (80,000–120,000) |", "| gocron | W1b, W5 | a/reason |",
		"| carillon |  |  | 0.25 |  |  |  |  | 4,096 |  |\n\nA call of W7 takes 2.40 times as long at p50.\n",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("the table has no %q:\n%s", want, table)
		}
	}
	var rows []map[string]any
	if err := json.Unmarshal(read("results.json"), &rows); err != nil || len(rows) != 14 || rows[0]["system"] != "carillon" || rows[11]["absent"] != "a|reason" {
		t.Errorf("the figures: %v, %v", err, rows)
	}
	for _, name := range []string{"schedule.svg", "lateness.svg"} {
		for d := xml.NewDecoder(bytes.NewReader(read(name))); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if text := string(read(name)); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") || !strings.Contains(text, "prefers-color-scheme:dark") {
			t.Errorf("%s is\n%s", name, text)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "mutations.svg")); !os.IsNotExist(err) {
		t.Errorf("a plot of nothing: %v", err)
	}
}

// TestTurns: the order of the systems is turned round in every second round.
func TestTurns(t *testing.T) {
	c := &contest{systems: contestants()[:3]}
	var got []string
	for round := range 4 {
		for _, s := range c.turn(round) {
			got = append(got, s.name)
		}
	}
	if want := "carillon river asynq asynq river carillon carillon river asynq asynq river carillon"; strings.Join(got, " ") != want {
		t.Errorf("the turns are %v, want %s", got, want)
	}
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"-only W99", "-only: there is no workload"},
		{"-peers kafka", "-peers: there is no peer \"kafka\", but river, asynq, asynq-everysec, goqite, backlite, gocron, carillon-postgres, carillon-postgres-8, insert"},
		{"-scale -1", "-scale: scale is -1"},
		{"-rounds 0", "-rounds is 0"},
		{"-o xml", "-o is \"xml\""},
		{"now", "unexpected argument \"now\""},
		{"measure {", "unexpected end of JSON input"},
	} {
		err := run(t.Context(), strings.Fields(tt.args), io.Discard, io.Discard)
		var usage usageError
		if !errors.As(err, &usage) || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.args, err, tt.want)
		}
	}
}

// TestMeasure measures Carillon in this process, as a child would.
func TestMeasure(t *testing.T) {
	text, err := json.Marshal(order{System: "carillon", Workload: "W1a", Scale: 0.002, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{childFlag, string(text)}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	var row workload.Row
	if err := json.Unmarshal(out.Bytes(), &row); err != nil || row.System != "carillon" || row.Workload != "W1a" || row.Jobs != 10 || row.PerSecond <= 0 {
		t.Errorf("got %v, %s", err, &out)
	}
}

// TestTargets: what was measured of Carillon on PostgreSQL stands beside what is wanted, and what was not is left out.
func TestTargets(t *testing.T) {
	c := &contest{systems: contestants(), workloads: workload.All(), rounds: 1, scale: 1}
	for system, perSecond := range map[string]float64{"carillon": 40_000, "carillon-postgres": 20_000, "carillon-postgres-8": 25_000, "river": 2_000, "insert": 1_000_000} {
		c.rows = append(c.rows, workload.Row{System: system, Workload: "W1b", Callers: 64, Jobs: 100_000, PerSecond: perSecond})
	}
	c.rows = append(c.rows,
		workload.Row{System: "carillon-postgres", Workload: "W1a", Callers: 1, Jobs: 5_000, P50: new(0.75)},
		workload.Row{System: "insert", Workload: "W1a", Callers: 1, Jobs: 5_000, P50: new(0.5)},
		workload.Row{System: "carillon-postgres", Workload: "W3", Jobs: 2_000, P99: new(4.0)},
		workload.Row{System: "carillon-postgres", Workload: "W11-cold", Apps: 64, Jobs: 640_000, Seconds: 2.5},
		workload.Row{System: "carillon-postgres-8", Workload: "W11", Apps: 8, Jobs: 80_000, Seconds: 0.2},
	)
	rep := c.report()
	var b bytes.Buffer
	if err := rep.markdown(&b); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(b.String(), "### Carillon with its log in PostgreSQL\n\n")
	const want = `| | measured | target | met |
|---|---|---|---|
| W1a, one call takes, times a bare INSERT | 1.50 | at most 2.00 | yes |
| W1b, 64 callers, of embedded | 0.5 | at least 0.6 | no |
| W1b, 64 callers, times River | 10.0 | at least 12.0 | no |
| W1b, 64 callers, 64 shards of 8 | 0.8 | at least 0.75 | yes |
| W3, start minus due, p99 in ms | 4.00 | at most 3.00 | no |
| W11-cold, last app, s | 2.50 | at most 3.00 | yes |
`
	if table != want {
		t.Errorf("the targets are\n%s\nwant\n%s", table, want)
	}
	for _, r := range rep.Results { // what stands aside is no peer
		if r.System == "carillon" && r.RatioTo != "river" {
			t.Errorf("%s is compared with %q", r.Workload, r.RatioTo)
		}
	}
	if list, err := selectSystems(""); err != nil || len(list) != 7 {
		t.Errorf("by default these are measured: %v, %v", list, err)
	}
}
