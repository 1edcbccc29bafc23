package workload

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Series is one thing that a store may have more and more of. It is measured at each
// of its sizes, in a store of its own, so that what grows faster than the store does
// is seen. A series runs on the engine only.
type Series struct {
	Name  string
	What  string
	Sizes []int
	run   func(ctx context.Context, r *Harness, n int) ([]Figure, error)
}

// AllSeries returns all series, in order.
func AllSeries() []Series {
	return []Series{
		{"jobs", "pending jobs of one app, due over a year", []int{10_000, 100_000, 1_000_000, 3_000_000}, growJobs},
		{"documents", "documents of one app, in a table with 3 indexes", []int{1_000, 10_000, 100_000}, growDocuments},
		{"history", "ended jobs of one app, one for each minute: a week, 100,000 minutes, a year", []int{10_080, 100_000, 525_600}, growHistory},
		// It is the last, since a process keeps what its many goroutines have taken.
		{"apps", "apps that have been called once", []int{1_000, 10_000, 100_000}, growApps},
	}
}

// SelectSeries returns the series of a list of names, in the order of AllSeries; "" is
// all of them.
func SelectSeries(names string) ([]Series, error) {
	all := AllSeries()
	if names == "" {
		return all, nil
	}
	known := make([]string, len(all))
	for i, s := range all {
		known[i] = s.Name
	}
	wanted := map[string]bool{}
	for name := range strings.SplitSeq(names, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no series %q, but %s", name, strings.Join(known, ", "))
		}
		wanted[name] = true
	}
	return slices.DeleteFunc(all, func(s Series) bool { return !wanted[s.Name] }), nil
}

// Figure is one figure of a step.
type Figure struct {
	Name string `json:"name"` // with its unit
	// Whole says that it is of all there is, such as the size of the files, and may grow
	// as fast as the store does. Else it is of one, such as a call, and should not grow.
	Whole bool    `json:"whole"`
	Value float64 `json:"value"`
	// Exponent e says that since the size before, where there were k times fewer, the
	// figure has grown to the k^e-fold: 0 is not at all, and 1 is as fast as the store.
	Exponent *float64 `json:"exponent,omitempty"`
	// Steep says that this is more than the figure may grow by, noise allowed for: an
	// exponent above 1.2 of all there is, or above 0.2 of one.
	Steep bool `json:"steep,omitzero"`
}

// steepness is how far an exponent may be above what is expected.
const steepness = 0.2

// Step is a series at one size.
type Step struct {
	Series  string   `json:"series"`
	Size    int      `json:"size"`
	Seconds float64  `json:"seconds"` // that measuring it took in all rounds
	Figures []Figure `json:"figures"`
}

// figure returns the step's figure of the name.
func (s *Step) figure(name string) (f Figure, ok bool) {
	i := slices.IndexFunc(s.Figures, func(f Figure) bool { return f.Name == name })
	if i < 0 {
		return Figure{}, false
	}
	return s.Figures[i], true
}

// since sets the exponents of the step, which follows one of fewer.
func (s *Step) since(before *Step) {
	for i := range s.Figures {
		f := &s.Figures[i]
		was, ok := before.figure(f.Name)
		if !ok || was.Value <= 0 || f.Value <= 0 || s.Size <= before.Size {
			continue
		}
		e := math.Log(f.Value/was.Value) / math.Log(float64(s.Size)/float64(before.Size))
		f.Exponent = &e
		limit := steepness
		if f.Whole {
			limit++
		}
		f.Steep = e > limit
	}
}

// least takes over the figures of another round that are less than its own.
func (s *Step) least(of []Figure) {
	for _, f := range of {
		i := slices.IndexFunc(s.Figures, func(have Figure) bool { return have.Name == f.Name })
		if i < 0 {
			s.Figures = append(s.Figures, f)
			continue
		}
		s.Figures[i].Value = min(s.Figures[i].Value, f.Value)
	}
}

// Grow measures the series in turn, and passes each on when its steps are known. All
// sizes are measured in each of the rounds, 1 or more, and each figure is the least of
// them: what else runs on the machine only adds to it.
func (r *Harness) Grow(ctx context.Context, list []Series, rounds int, emit func(Series, []Step)) error {
	if err := CheckScale(r.Scale); err != nil {
		return err
	}
	if r.Meter == nil {
		r.Meter = &Meter{}
	}
	for _, s := range list {
		steps := make([]Step, len(s.Sizes))
		for range rounds {
			for i, size := range s.Sizes {
				step := &steps[i]
				step.Series, step.Size = s.Name, r.scaled(size)
				r.name = fmt.Sprintf("%s %s", whole(int64(step.Size)), s.Name)
				began := time.Now()
				figures, err := s.run(ctx, r, step.Size)
				if err != nil {
					return fmt.Errorf("%s: %w", r.name, err)
				}
				step.least(figures)
				step.Seconds += time.Since(began).Seconds()
			}
		}
		for i := range steps[1:] {
			steps[i+1].since(&steps[i])
		}
		emit(s, steps)
	}
	return ctx.Err()
}

const (
	// growCalls is how many calls a latency is taken of.
	growCalls = 2_000
	// growPages is how many readings.
	growPages = 200
)

// latencies makes n calls of fn, one after the other, and returns the percentiles of
// what they took as figures of one.
func (r *Harness) latencies(ctx context.Context, name string, n int, fn func(i int) error) ([]Figure, error) {
	n = max(10, r.scaled(n))
	r.Meter.begin(r.name+": "+name, n)
	took := make([]time.Duration, n)
	for i := range took {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		began := time.Now()
		if err := fn(i); err != nil {
			return nil, err
		}
		took[i] = time.Since(began)
		r.Meter.add(1)
	}
	slices.Sort(took)
	return []Figure{
		{Name: name + ", p50 ms", Value: milliseconds(percentile(took, 0.50))},
		{Name: name + ", p99 ms", Value: milliseconds(percentile(took, 0.99))},
	}, nil
}

// each is a figure of one: what each of n has taken.
func each(name string, took time.Duration, n int) Figure {
	return Figure{Name: name + " µs", Value: float64(took) / float64(time.Microsecond) / float64(n)}
}

// all is a figure of all there is: what it has taken.
func all(name string, took time.Duration) Figure {
	return Figure{Name: name + ", ms", Whole: true, Value: milliseconds(took)}
}

// files is how large the files are.
func files(dir string) Figure {
	return Figure{Name: "files, MB", Whole: true, Value: megabytes(sizeOf(dir))}
}

// memory is how much memory there is that is no file's. There is none where the system
// does not tell.
func memory() []Figure {
	_, own, ok := settled()
	if !ok {
		return nil
	}
	return []Figure{{Name: "memory, MB", Whole: true, Value: megabytes(own)}}
}

// timed is how long fn takes.
func timed(fn func() error) (time.Duration, error) {
	began := time.Now()
	err := fn()
	return time.Since(began), err
}
