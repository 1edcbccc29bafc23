package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"carillon/cmd/carillon/workload"
)

// Span is the least and the greatest of the rounds.
type Span struct {
	Min float64 `json:"min"`
	Max float64 `json:"max"`
}

// Result is a row of medians over the rounds.
type Result struct {
	workload.Row
	Durable bool            `json:"durable"` // every call is durable before it returns
	Rounds  int             `json:"rounds,omitzero"`
	Spread  map[string]Span `json:"spread,omitempty"` // by the name of the figure
	// Ratio is by how much Carillon is better than the best durable peer that is
	// never early, in what the workload is about; only on Carillon's rows.
	Ratio   float64 `json:"ratio,omitzero"`
	RatioOf string  `json:"ratio_of,omitempty"` // the name of the figure
	RatioTo string  `json:"ratio_to,omitempty"` // the peer
	// Floors is how many times the p50 of each floor the p50 of Carillon's W7 is, by
	// the name of the floor's row.
	Floors map[string]float64 `json:"floors,omitempty"`
	// Absent says why there are no figures.
	Absent string `json:"absent,omitempty"`
}

// Report is what came out of a contest.
type Report struct {
	Results []Result
	Absent  []absence
	Rounds  int
	Scale   float64
}

// figures are the figures of a row that medians are taken of.
func figures(r *workload.Row) map[string]*float64 {
	all := map[string]*float64{"seconds": &r.Seconds, "per_second": &r.PerSecond, "p50_ms": r.P50, "p99_ms": r.P99, "max_ms": r.Max, "rss_mb": r.RSS, "bytes_per_job": r.BytesPerJob, "bytes_per_app": r.BytesPerApp, "bytes_per_waiter": r.BytesPerWaiter, "file_mb": r.FileMB}
	for name, f := range all {
		if f == nil || *f == 0 {
			delete(all, name)
		}
	}
	return all
}

// aspect is the figure that a workload is about, and whether more of it is better.
func aspect(name string) (figure string, more bool) {
	switch name {
	case "W3", "W3-loaded", "W6-W3", "W4-herd", "W8", "W8-due", "W9-quiet":
		return "p99_ms", false
	case "W7", "W7-bbolt", "W7-append":
		return "p50_ms", false
	case "W11", "W11-first", "W11-cold", "W11-cold-first":
		return "seconds", false
	case "W4-idle":
		return "bytes_per_app", false
	case "W6": // a server that is up has nothing to open
		return "rss_mb", false
	}
	return "per_second", true
}

// isFloor says whether the row is of what the disk itself takes. It is measured in
// turn with the calls of W7, and that beside Carillon's counts as its own.
func isFloor(name string) bool { return name == "W7-bbolt" || name == "W7-append" }

// key tells rows apart.
type key struct {
	workload      string
	callers, apps int
}

func keyOf(r *workload.Row) key { return key{r.Workload, r.Callers, r.Apps} }

// report works the medians out.
func (c *contest) report() *Report {
	rep := &Report{Absent: c.absent, Rounds: c.rounds, Scale: c.scale}
	var order []key
	for i := range c.rows {
		if k := keyOf(&c.rows[i]); !slices.Contains(order, k) {
			order = append(order, k)
		}
	}
	slices.SortStableFunc(order, func(a, b key) int { return c.place(a.workload) - c.place(b.workload) })
	for _, k := range order {
		first := len(rep.Results)
		for _, s := range c.systems {
			var rows []workload.Row
			for _, r := range c.rows {
				if r.System == s.name && keyOf(&r) == k {
					rows = append(rows, r)
				}
			}
			if len(rows) > 0 {
				rep.Results = append(rep.Results, medianOf(rows, s.durable))
			}
		}
		compare(rep.Results[first:])
	}
	rep.toFloors()
	return rep
}

// place is where a workload is in the order of all.
func (c *contest) place(name string) int {
	for i, w := range c.workloads {
		if len(name) >= len(w.Name) && name[:len(w.Name)] == w.Name {
			return i
		}
	}
	return len(c.workloads)
}

// medianOf is the row of the medians. What is counted is that of the first
// round, but for jobs that were early, which are those of all.
func medianOf(rows []workload.Row, durable bool) Result {
	res := Result{Row: rows[0], Durable: durable, Rounds: len(rows), Spread: map[string]Span{}}
	medians := map[string]float64{}
	for name := range figures(&rows[0]) {
		var values []float64
		for i := range rows {
			if v := figures(&rows[i])[name]; v != nil {
				values = append(values, *v)
			}
		}
		slices.Sort(values)
		medians[name] = middle(values)
		res.Spread[name] = Span{values[0], values[len(values)-1]}
	}
	res.Seconds, res.PerSecond = medians["seconds"], medians["per_second"]
	for name, f := range map[string]**float64{"p50_ms": &res.P50, "p99_ms": &res.P99, "max_ms": &res.Max, "rss_mb": &res.RSS, "bytes_per_job": &res.BytesPerJob, "bytes_per_app": &res.BytesPerApp, "bytes_per_waiter": &res.BytesPerWaiter, "file_mb": &res.FileMB} {
		if m, ok := medians[name]; ok {
			*f = &m
		}
	}
	if res.Early != nil {
		early := 0
		for _, r := range rows {
			early += *r.Early
		}
		res.Early = &early
	}
	return res
}

func middle(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// compare gives Carillon's row of one workload its ratio.
func compare(rows []Result) {
	if len(rows) == 0 || rows[0].System != "carillon" {
		return
	}
	if isFloor(rows[0].Workload) {
		return // a bound, not a contest
	}
	figure, more := aspect(rows[0].Workload)
	own := figures(&rows[0].Row)[figure]
	if own == nil {
		return
	}
	for i := range rows[1:] {
		peer := &rows[1+i]
		value := figures(&peer.Row)[figure]
		if c, _ := contestantOf(peer.System); c.aside || !peer.Durable || value == nil || peer.Early != nil && *peer.Early > 0 {
			continue // what starts jobs before they are due is late by nothing
		}
		ratio := *own / *value
		if !more {
			ratio = *value / *own
		}
		if rows[0].RatioTo == "" || ratio < rows[0].Ratio {
			rows[0].Ratio, rows[0].RatioOf, rows[0].RatioTo = ratio, figure, peer.System
		}
	}
}

// timesFloor is how many times a floor's p50 Carillon's W7 takes.
func (rep *Report) timesFloor(floor string) (times float64, ok bool) {
	for _, r := range rep.Results {
		if times, ok = r.Floors[floor]; ok {
			break
		}
	}
	return times, ok
}

// toFloors gives Carillon's W7 its Floors.
func (rep *Report) toFloors() {
	i := slices.IndexFunc(rep.Results, func(r Result) bool { return r.Workload == "W7" && r.System == "carillon" })
	if i < 0 {
		return
	}
	call := &rep.Results[i]
	for _, r := range rep.Results {
		if isFloor(r.Workload) && call.P50 != nil && r.P50 != nil && *r.P50 > 0 {
			if call.Floors == nil {
				call.Floors = map[string]float64{}
			}
			call.Floors[r.Workload] = *call.P50 / *r.P50
		}
	}
}

func (rep *Report) json(w io.Writer) error {
	rows := slices.Clone(rep.Results)
	for _, a := range rep.Absent {
		c, _ := contestantOf(a.system)
		rows = append(rows, Result{Row: workload.Row{System: a.system, Workload: a.workload}, Durable: c.durable, Absent: a.reason})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(rows)
}

// writeFiles writes the table, the figures and the plots to the directory.
func (rep *Report) writeFiles(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	write := func(name string, fn func(io.Writer) error) error {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if err := fn(f); err != nil {
			f.Close()
			return err
		}
		return f.Close()
	}
	if err := write("results.md", rep.markdown); err != nil {
		return err
	}
	if err := write("results.json", rep.json); err != nil {
		return err
	}
	for _, p := range plots() {
		chart := p.chart(rep)
		if len(chart.bars) == 0 {
			continue
		}
		if err := write(p.file, chart.svg); err != nil {
			return fmt.Errorf("%s: %w", p.file, err)
		}
	}
	return nil
}
