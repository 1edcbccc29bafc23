package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"carillon/cmd/carillon/workload"
)

func main() {
	workload.TuneGC() // for all systems alike
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	var usage usageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "bench: interrupted")
		os.Exit(1)
	case err != nil && !errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

// childFlag is the first argument of a process that measures one system.
const childFlag = "measure"

// run runs the command line.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 2 && args[0] == childFlag {
		return measure(ctx, args[1], stdout)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	rounds := flags.Int("rounds", 5, "how often each workload is run on each system, in an order that is turned round each time")
	only := flags.String("only", "", "workloads, such as W1b,W3; all of them if not given")
	peers := flags.String("peers", "", "peers to measure beside Carillon, or none; all of them if not given, but carillon-postgres, carillon-postgres-8 and insert")
	scale := flags.Float64("scale", 1, "what the numbers of jobs, apps and calls are multiplied by")
	form := flags.String("o", "table", "form of the output, table or json")
	svg := flags.String("svg", "", "directory to write the table and the plots to")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usageError{err}
	}
	if flags.NArg() > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", flags.Arg(0))}
	}
	list, err := workload.Select(*only)
	if err != nil {
		return usageError{fmt.Errorf("-only: %w", err)}
	}
	systems, err := selectSystems(*peers)
	if err != nil {
		return usageError{fmt.Errorf("-peers: %w", err)}
	}
	if err := workload.CheckScale(*scale); err != nil {
		return usageError{fmt.Errorf("-scale: %w", err)}
	}
	if *rounds < 1 {
		return usageError{fmt.Errorf("-rounds is %d, want 1 or more", *rounds)}
	}
	if *form != "table" && *form != "json" {
		return usageError{fmt.Errorf("-o is %q, want table or json", *form)}
	}
	c := &contest{systems: systems, workloads: list, rounds: *rounds, scale: *scale, log: stderr}
	if err := c.run(ctx); err != nil {
		return err
	}
	report := c.report()
	if *svg != "" {
		if err := report.writeFiles(*svg); err != nil {
			return err
		}
	}
	if *form == "json" {
		return report.json(stdout)
	}
	return report.markdown(stdout)
}
