package main

import "fmt"

// plot is one of the charts.
type plot struct {
	file      string
	title     string
	note      string
	figure    string
	log       bool
	workloads map[string]string // to the name of the group
}

// plots are the charts that README shows.
func plots() []plot {
	return []plot{
		{
			"schedule.svg", "Jobs scheduled per second", "each durable before its call returns; more is better", "per_second", false,
			map[string]string{"W1a": "1 caller", "W1b": "%d callers", "W1c": "in batches of 1,000", "W1s": "%d callers, due over a year"},
		},
		{
			"run.svg", "Jobs run per second", "100,000 that are due, handler does nothing; more is better", "per_second", false,
			map[string]string{"W2": "until all are durably done"},
		},
		{
			"lateness.svg", "Start minus due, p99 in ms", "2,000 jobs at random instants over 20 s; less is better", "p99_ms", true,
			map[string]string{"W3": "idle", "W3-loaded": "while %d callers schedule"},
		},
		{
			"mutations.svg", "Mutations per second", "read a document, write it, schedule a job, in one transaction; more is better", "per_second", false,
			map[string]string{"W5": "%d callers, tenants: %d"},
		},
	}
}

// chart takes what the plot shows from the report.
func (p *plot) chart(rep *Report) *chart {
	c := &chart{title: p.title, note: p.note, log: p.log}
	for i := range rep.Results {
		r := &rep.Results[i]
		group, ok := p.workloads[r.Workload]
		value := figures(&r.Row)[p.figure]
		if !ok || value == nil || p.log && *value <= 0 {
			continue
		}
		switch r.Workload {
		case "W1b", "W1s", "W3-loaded":
			group = fmt.Sprintf(group, r.Callers)
		case "W5":
			group = fmt.Sprintf(group, r.Callers, r.Apps)
		}
		spread := r.Spread[p.figure]
		if p.log {
			spread.Min = max(spread.Min, *value/10) // what is early has no logarithm
		}
		name := r.System
		if !r.Durable {
			name += " (not durable)"
		}
		if r.Early != nil && *r.Early > 0 {
			name += ", some early"
		}
		c.bars = append(c.bars, bar{group, name, *value, spread, r.System == "carillon", !r.Durable})
	}
	return c
}
