package workload

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// TestGrowSmall measures every series, very small, and demands that each size has the
// same figures, each of which says something.
func TestGrowSmall(t *testing.T) {
	harness := &Harness{System: Carillon(), Dir: t.TempDir(), Scale: 0.001}
	seen := map[string][]Step{}
	err := harness.Grow(t.Context(), AllSeries(), 1, func(s Series, steps []Step) { seen[s.Name] = steps })
	if err != nil {
		t.Fatal(err)
	}
	wants := map[string][]string{
		"apps":      {"make an app, µs", "files, MB", "open, ms", "wake an app, µs", "mutation, p50 ms", "mutation, p99 ms", "schedule, p50 ms"},
		"jobs":      {"store a job in batches of 1,000, µs", "files, MB", "open, ms", "schedule, p50 ms", "list the first page, p50 ms", "list a page in the middle, p50 ms", "count them, ms", "run a due job, the open included, µs"},
		"documents": {"insert a document in batches of 100, µs", "files, MB", "open, ms", "insert, p50 ms", "rewrite, every index changed, p50 ms", "query of 20 by equality, p50 ms", "query of 20 by equality and a range, p50 ms", "query of 20 by a range, p50 ms"},
		"history":   {"run a job of the past, µs", "files, MB", "open, ms", "schedule, p50 ms", "list a page, p50 ms", "look at the app, p50 ms", "count them, ms", "clear an expired one, µs"},
	}
	if len(seen) != len(wants) {
		t.Errorf("%d series were measured, want %d", len(seen), len(wants))
	}
	for _, s := range AllSeries() {
		steps := seen[s.Name]
		if len(steps) != len(s.Sizes) {
			t.Errorf("%s has %d steps, want %d", s.Name, len(steps), len(s.Sizes))
			continue
		}
		for i, step := range steps {
			if step.Series != s.Name || step.Size != harness.scaled(s.Sizes[i]) || len(step.Figures) != len(steps[0].Figures) {
				t.Errorf("%s: step %d is %+v", s.Name, i, step)
			}
			for _, name := range wants[s.Name] {
				f, ok := step.figure(name)
				if !ok || f.Value <= 0 || math.IsInf(f.Value, 0) || f.Exponent != nil != (i > 0) {
					t.Errorf("%s of %d: %s is %+v, %v", s.Name, step.Size, name, f, ok)
				}
			}
		}
	}
}

// TestLeast: each figure of a step is the least of its rounds.
func TestLeast(t *testing.T) {
	values := []map[string]float64{{"a": 3, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 3}}
	rounds := -1
	s := Series{Name: "jobs", Sizes: []int{1, 10}, run: func(_ context.Context, _ *Harness, n int) (figures []Figure, err error) {
		if n == 1 {
			rounds++
		}
		for _, name := range []string{"a", "b"} {
			figures = append(figures, Figure{Name: name, Value: values[rounds][name] * float64(n)})
		}
		return figures, nil
	}}
	var steps []Step
	harness := &Harness{Scale: 1}
	if err := harness.Grow(t.Context(), []Series{s}, len(values), func(_ Series, all []Step) { steps = all }); err != nil {
		t.Fatal(err)
	}
	for i, step := range steps {
		for _, f := range step.Figures {
			if want := float64(s.Sizes[i]); f.Value != want || i > 0 && *f.Exponent != 1 {
				t.Errorf("%s of %d is %v, want %v", f.Name, step.Size, f.Value, want)
			}
		}
	}
	if rounds != len(values)-1 || len(steps) != 2 {
		t.Errorf("%d rounds, %d steps", rounds+1, len(steps))
	}
}

func TestExponents(t *testing.T) {
	before := Step{Size: 10, Figures: []Figure{{Name: "of one", Value: 2}, {Name: "of all", Value: 2, Whole: true}, {Name: "new at first", Value: 0}}}
	for _, tt := range []struct {
		one, all           float64
		oneGrows, allGrows float64
		oneSteep, allSteep bool
	}{
		{2, 2, 0, 0, false, false},
		{1, 0.2, -math.Log10(2), -1, false, false},
		{2 * math.Pow(10, 0.19), 2 * math.Pow(10, 1.19), 0.19, 1.19, false, false},
		{2 * math.Pow(10, 0.21), 2 * math.Pow(10, 1.21), 0.21, 1.21, true, true},
		{20, 200, 1, 2, true, true},
	} {
		now := Step{Size: 100, Figures: []Figure{{Name: "of one", Value: tt.one}, {Name: "of all", Value: tt.all, Whole: true}, {Name: "new at first", Value: 1}, {Name: "new", Value: 1}}}
		now.since(&before)
		for i, want := range []struct {
			grows float64
			steep bool
		}{{tt.oneGrows, tt.oneSteep}, {tt.allGrows, tt.allSteep}} {
			f := now.Figures[i]
			if f.Exponent == nil || math.Abs(*f.Exponent-want.grows) > 1e-9 || f.Steep != want.steep {
				t.Errorf("%s is %v: exponent %v, steep %v, want %v, %v", f.Name, f.Value, *f.Exponent, f.Steep, want.grows, want.steep)
			}
		}
		if now.Figures[2].Exponent != nil || now.Figures[3].Exponent != nil {
			t.Errorf("what was not before has grown: %+v", now.Figures[2:])
		}
	}
	same := Step{Size: 10, Figures: []Figure{{Name: "of one", Value: 4}}}
	if same.since(&before); same.Figures[0].Exponent != nil {
		t.Error("a figure has grown though the store has not")
	}
}

// grownSteps are steps of a series in which one figure is steep.
func grownSteps() (Series, []Step) {
	step := func(size int, flat, linear, steep float64) Step {
		return Step{Series: "jobs", Size: size, Figures: []Figure{
			{Name: "schedule, p50 ms", Value: flat},
			{Name: "open, ms", Value: linear, Whole: true},
			{Name: "list < all, ms", Value: steep},
			{Name: "list, p99 ms", Value: steep},
		}}
	}
	steps := []Step{step(1000, 0.4, 8, 0.5), step(10_000, 0.4, 80, 50), step(100_000, 0.4, 800, 50)}
	for i := range steps[1:] {
		steps[i+1].since(&steps[i])
	}
	return Series{Name: "jobs", What: "jobs & more"}, steps
}

func TestGrowthTable(t *testing.T) {
	s, steps := grownSteps()
	var b bytes.Buffer
	if err := WriteGrowth(&b, s, steps); err != nil {
		t.Fatal(err)
	}
	want := `### jobs: jobs & more

| | 1,000 | 10,000 | 100,000 |
|---|---:|---:|---:|
| schedule, p50 ms | 0.400 | 0.400 (^0.00) | 0.400 (^0.00) |
| open, ms | 8.00 | 80.0 (^1.00) | 800 (^1.00) |
| list < all, ms | 0.500 | 50.0 (**^2.00**) | 50.0 (^0.00) |
| list, p99 ms | 0.500 | 50.0 (**^2.00**) | 50.0 (^0.00) |

`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
}

func TestGrowthPlot(t *testing.T) {
	s, steps := grownSteps()
	var b bytes.Buffer
	if err := PlotGrowth(&b, s, steps); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for d := xml.NewDecoder(&b); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for want, times := range map[string]int{
		`class="line one"`: 1, `class="line all"`: 1, `class="line steep"`: 1, `class="line even"`: 1,
		"list &lt; all: 100×": 1, "schedule, p50: 1.00×": 1, "p99 ms": 0, "NaN": 0, "Inf": 0, "jobs &amp; more": 2, "prefers-color-scheme:dark": 2, ">100,000</text>": 1,
	} {
		if n := strings.Count(text, want); n != times {
			t.Errorf("the plot has %d of %q, want %d:\n%s", n, want, times, text)
		}
	}
	for _, few := range [][]Step{nil, steps[:1], {steps[0], steps[0]}} {
		if err := PlotGrowth(io.Discard, s, few); err == nil {
			t.Errorf("a plot of %d steps", len(few))
		}
	}
}

func TestSelectSeries(t *testing.T) {
	for _, tt := range []struct{ only, want string }{{"", "jobs documents history apps"}, {"history, Jobs,jobs", "jobs history"}} {
		list, err := SelectSeries(tt.only)
		var names []string
		for _, s := range list {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != tt.want {
			t.Errorf("%q: got %s, %v, want %s", tt.only, got, err, tt.want)
		}
	}
	if _, err := SelectSeries("jobs,"); err == nil || err.Error() != `there is no series "", but jobs, documents, history, apps` {
		t.Errorf("got %v", err)
	}
}
