package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"

	"carillon/cmd/carillon/workload"
)

// bench runs the workloads in a temporary directory and prints what came out.
func (p *program) bench(flags *flag.FlagSet) func(context.Context, Stdio) error {
	only := flags.String("only", "", "`NAMES` of workloads, such as W1b,W3, or of series; all of them if not given")
	scale := flags.Float64("scale", 1, "`FACTOR` to multiply the numbers of jobs, apps and calls by, more than 0 and at most 10")
	form := flags.String("o", "table", "`FORM` of the output, table or json")
	growth := flags.Bool("growth", false, "measure the series apps, jobs, documents and history at several sizes instead")
	rounds := flags.Int("rounds", 3, "`HOW` often --growth measures each size; the least counts")
	write := flags.String("write", "", "`DIR` to write the tables, figures and plots of --growth to, too")
	address, shards := "", new(int)
	if p.Log != nil {
		flags.StringVar(&address, "store", "", "`ADDRESS` of a PostgreSQL, postgres://…, to keep the log in, in schemas that are made for it and removed; not in --growth")
		shards = shardsFlag(flags)
	}
	profile := flags.String("cpuprofile", "", "`FILE` to write a profile of the processor's time to, for go tool pprof")
	return func(ctx context.Context, std Stdio) (err error) {
		if err := workload.CheckScale(*scale); err != nil {
			return usageError{fmt.Errorf("--scale: %w", err)}
		}
		if *form != "table" && *form != "json" {
			return usageError{fmt.Errorf("-o is %q, want table or json", *form)}
		}
		system, err := p.benched(address, *shards)
		if err != nil {
			return usageError{err}
		}
		var measure func(*workload.Harness, *progress) error
		switch {
		case *growth && address != "":
			return usageError{errors.New("--store is not for --growth")}
		case *growth:
			list, err := workload.SelectSeries(*only)
			if err != nil {
				return usageError{fmt.Errorf("--only: %w", err)}
			}
			if *rounds < 1 {
				return usageError{fmt.Errorf("--rounds is %d, want 1 or more", *rounds)}
			}
			g := &grown{std: std, rounds: *rounds, form: *form, dir: *write}
			measure = func(h *workload.Harness, show *progress) error { return g.measure(ctx, h, show, list) }
		case *write != "":
			return usageError{errors.New("--write is for --growth")}
		default:
			list, err := workload.Select(*only)
			if err != nil {
				return usageError{fmt.Errorf("--only: %w", err)}
			}
			measure = func(h *workload.Harness, show *progress) error { return benchRows(ctx, std, *form, h, show, list) }
		}
		stop, err := startProfile(*profile)
		if err != nil {
			return fmt.Errorf("--cpuprofile: %w", err)
		}
		defer func() { err = errors.Join(err, stop()) }()
		dir, err := os.MkdirTemp("", "carillon-bench-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

		harness := &workload.Harness{System: system, Dir: dir, Scale: *scale, Meter: &workload.Meter{}}
		show := newProgress(std.Err, harness.Meter.Now)
		defer show.stop()
		err = measure(harness, show)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("bench: interrupted: %w", ctx.Err())
		case err != nil:
			return fmt.Errorf("bench: %w", err)
		}
		return nil
	}
}

// benched is the engine that is measured: with its log in its directory, or there.
func (p *program) benched(address string, shards int) (workload.System, error) {
	if address == "" {
		return workload.Carillon(), nil
	}
	if err := checkShards(shards); err != nil {
		return workload.System{}, err
	}
	return workload.CarillonOn(p.Log(address), shards)
}

// startProfile writes a profile of the processor's time to a file, if there is a path, until
// it is stopped.
func startProfile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// benchRows runs workloads and prints their rows.
func benchRows(ctx context.Context, std Stdio, form string, harness *workload.Harness, show *progress, list []workload.Workload) error {
	rows := []workload.Row{} // of no workload it is [], not null
	table := workload.NewTable(std.Out)
	err := harness.Run(ctx, list, func(row workload.Row) {
		rows = append(rows, row)
		if form == "table" {
			show.clear(func() { table.Print(row) })
		}
	})
	show.stop()
	if err == nil && form == "json" {
		return printJSON(std.Out, rows)
	}
	return err
}
