package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"carillon/cmd/carillon/workload"
)

// order is what a process is to measure.
type order struct {
	System   string  `json:"system"`
	Workload string  `json:"workload"`
	Scale    float64 `json:"scale"`
	Dir      string  `json:"dir"`
	Server   server  `json:"server"`
}

// measure carries an order out, and prints a row a line.
func measure(ctx context.Context, text string, stdout io.Writer) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return usageError{err}
	}
	c, ok := contestantOf(o.System)
	if !ok {
		return usageError{fmt.Errorf("there is no system %q", o.System)}
	}
	list, err := workload.Select(o.Workload)
	if err != nil {
		return usageError{err}
	}
	harness := &workload.Harness{System: c.open(o.Server), Dir: o.Dir, Scale: o.Scale}
	enc := json.NewEncoder(stdout)
	var printed error
	err = harness.Run(ctx, list, func(row workload.Row) {
		row.System = c.name
		if err := enc.Encode(row); err != nil {
			printed = err
		}
	})
	if err != nil {
		return err
	}
	return printed
}
