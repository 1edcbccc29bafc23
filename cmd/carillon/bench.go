package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"carillon/cmd/carillon/workload"
)

// bench runs the workloads in a temporary directory and prints what came out.
func bench(flags *flag.FlagSet) func(context.Context, stdio) error {
	only := flags.String("only", "", "`NAMES` of workloads, such as W1b,W3; all of them if not given")
	scale := flags.Float64("scale", 1, "`FACTOR` to multiply the numbers of jobs, apps and calls by, more than 0 and at most 10")
	form := flags.String("o", "table", "`FORM` of the output, table or json")
	return func(ctx context.Context, std stdio) (err error) {
		list, err := workload.Select(*only)
		if err != nil {
			return usageError{fmt.Errorf("--only: %w", err)}
		}
		if err := workload.CheckScale(*scale); err != nil {
			return usageError{fmt.Errorf("--scale: %w", err)}
		}
		if *form != "table" && *form != "json" {
			return usageError{fmt.Errorf("-o is %q, want table or json", *form)}
		}
		dir, err := os.MkdirTemp("", "carillon-bench-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

		harness := &workload.Harness{System: workload.Carillon(), Dir: dir, Scale: *scale, Meter: &workload.Meter{}}
		show := newProgress(std.err, harness.Meter)
		defer show.stop()
		rows := []workload.Row{} // of no workload it is [], not null
		table := workload.NewTable(std.out)
		err = harness.Run(ctx, list, func(row workload.Row) {
			rows = append(rows, row)
			if *form == "table" {
				show.clear(func() { table.Print(row) })
			}
		})
		show.stop()
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("bench: interrupted: %w", ctx.Err())
		case err != nil:
			return fmt.Errorf("bench: %w", err)
		case *form == "json":
			return printJSON(std.out, rows)
		}
		return nil
	}
}
