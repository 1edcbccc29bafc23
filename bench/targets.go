package main

import (
	"fmt"
	"strings"
)

// target is what is wanted of Carillon with its log in PostgreSQL: a figure, or how many times that of another system
// it is.
type target struct {
	what          string
	workload      string
	callers, apps int
	figure        string
	to            string // "": the figure itself
	more          bool   // at least, else at most
	bound         float64
}

// targets are those of docs/cluster.md.
func targets() []target {
	return []target{
		{"W1a, one call takes, times a bare INSERT", "W1a", 1, 0, "p50_ms", "insert", false, 2},
		{"W1b, 64 callers, of embedded", "W1b", 64, 0, "per_second", "carillon", true, 0.6},
		{"W1b, 64 callers, times River", "W1b", 64, 0, "per_second", "river", true, 12},
		{"W1b, 256 callers, of embedded", "W1b", 256, 0, "per_second", "carillon", true, 0.6},
		{"W1b, 256 callers, times River", "W1b", 256, 0, "per_second", "river", true, 12},
		{"W1b, 64 callers, 64 shards of 8", "W1b", 64, 0, "per_second", "carillon-postgres-8", true, 0.75},
		{"W5, 64 apps, 64 shards of 8", "W5", 64, 64, "per_second", "carillon-postgres-8", true, 0.75},
		{"W2, of embedded", "W2", 0, 0, "per_second", "carillon", true, 0.5},
		{"W3, start minus due, p99 in ms", "W3", 0, 0, "p99_ms", "", false, 3},
		{"W11, first app, s from the end of the lease", "W11-first", 0, 64, "seconds", "", false, 0.5},
		{"W11, last app, s", "W11", 0, 64, "seconds", "", false, 0.5},
		{"W11-cold, last app, s", "W11-cold", 0, 64, "seconds", "", false, 3},
	}
}

// inPostgres is the system that targets are of.
const inPostgres = "carillon-postgres"

// measured is the target's figure; ok is false if it was not measured.
func (t *target) measured(rep *Report) (value float64, ok bool) {
	of := func(system string) *float64 {
		for i := range rep.Results {
			if r := &rep.Results[i]; r.System == system && keyOf(&r.Row) == (key{t.workload, t.callers, t.apps}) {
				return figures(&r.Row)[t.figure]
			}
		}
		return nil
	}
	own := of(inPostgres)
	if own == nil || t.to == "" {
		return valueOf(own)
	}
	other := of(t.to)
	if other == nil {
		return 0, false
	}
	return *own / *other, true
}

func valueOf(f *float64) (value float64, ok bool) {
	if f == nil {
		return 0, false
	}
	return *f, true
}

// writeTargets writes what was measured beside what is wanted, if any of it was.
func (rep *Report) writeTargets(b *strings.Builder) {
	begun := false
	for _, t := range targets() {
		value, ok := t.measured(rep)
		if !ok {
			continue
		}
		if !begun {
			begun = true
			b.WriteString("\n### Carillon with its log in PostgreSQL\n\n| | measured | target | met |\n|---|---|---|---|\n")
		}
		bound, met := "at most", value <= t.bound
		if t.more {
			bound, met = "at least", value >= t.bound
		}
		yes := "no"
		if met {
			yes = "yes"
		}
		fmt.Fprintf(b, "| %s | %s | %s %s | %s |\n", t.what, number(value), bound, number(t.bound), yes)
	}
}
