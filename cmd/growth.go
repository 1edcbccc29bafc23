package cmd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"carillon/cmd/carillon/workload"
)

// grown is what bench --growth has measured.
type grown struct {
	std    Stdio
	rounds int
	form   string
	dir    string // "": nothing is written

	steps  []workload.Step
	tables bytes.Buffer
	failed error // of the first write that failed
}

// measure measures the series, and shows and writes each when it is known.
func (g *grown) measure(ctx context.Context, harness *workload.Harness, show *progress, list []workload.Series) error {
	if g.dir != "" {
		if err := os.MkdirAll(g.dir, 0o755); err != nil {
			return err
		}
	}
	fmt.Fprintf(&g.tables, "The least of %d rounds, at scale %v, on %s.\n\n", g.rounds, harness.Scale, workload.Machine())
	err := harness.Grow(ctx, list, g.rounds, func(s workload.Series, steps []workload.Step) {
		g.steps = append(g.steps, steps...)
		was := g.tables.Len()
		err := workload.WriteGrowth(&g.tables, s, steps)
		if g.form == "table" {
			show.clear(func() { _, _ = g.std.Out.Write(g.tables.Bytes()[was:]) })
		}
		if err == nil && g.dir != "" {
			fmt.Fprintf(&g.tables, "![How it grows with its %s](growth-%[1]s.svg)\n\n", s.Name)
			err = g.write("growth-"+s.Name+".svg", func(w io.Writer) error { return workload.PlotGrowth(w, s, steps) })
		}
		if g.failed == nil {
			g.failed = err
		}
	})
	show.stop()
	if err == nil {
		err = g.failed
	}
	if err != nil {
		return err
	}
	figures := func(w io.Writer) error { return printJSON(w, g.steps) }
	if g.dir != "" {
		if err := g.write("growth.json", figures); err != nil {
			return err
		}
		tables := func(w io.Writer) error {
			_, err := w.Write(bytes.TrimRight(g.tables.Bytes(), "\n"))
			if err == nil {
				_, err = io.WriteString(w, "\n")
			}
			return err
		}
		if err := g.write("growth.md", tables); err != nil {
			return err
		}
	}
	if g.form == "json" {
		return figures(g.std.Out)
	}
	return nil
}

// write writes a file of the directory.
func (g *grown) write(name string, fn func(io.Writer) error) error {
	var b bytes.Buffer
	if err := fn(&b); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(g.dir, name), b.Bytes(), 0o644)
}
