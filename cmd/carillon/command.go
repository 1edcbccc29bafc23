package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// command is one word of the command line.
type command struct {
	name    string
	summary string
	// declare adds the command's flags and returns what runs it after they are
	// parsed.
	declare func(*flag.FlagSet) func(ctx context.Context, std stdio) error
}

// stdio is what a command reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// commands returns all commands, in the order that help lists them.
func commands() []command {
	return []command{
		{"serve", "serve the sample app over HTTP", serve},
		{"apps", "list the apps of a data directory", apps},
		{"check", "verify every structure of a data directory", check},
		{"export", "write one app as a stream", export},
		{"import", "make an app from an exported stream", importApp},
		{"version", "print the version", version},
	}
}

// run runs the command line and returns what went wrong, in one line.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	std := stdio{stdin, stdout, stderr}
	if len(args) == 0 {
		return usageError{errors.New(`no command given; "carillon help" lists them`)}
	}
	name, args := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		return help(args, std)
	case "-version", "--version":
		name = "version"
	}
	for _, cmd := range commands() {
		if cmd.name == name {
			return cmd.run(ctx, args, std)
		}
	}
	return usageError{fmt.Errorf(`unknown command %q; "carillon help" lists them`, name)}
}

func (c command) run(ctx context.Context, args []string, std stdio) error {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // what is wrong is returned
	do := c.declare(flags)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		c.help(std.out)
		return nil
	case err != nil:
		return c.wrong("%w", err)
	case flags.NArg() > 0:
		return c.wrong("unexpected argument %q", flags.Arg(0))
	}
	err := do(ctx, std)
	if usage, ok := errors.AsType[usageError](err); ok {
		return c.wrong("%w", usage.error)
	}
	return err
}

// wrong is a usage error that says where to read on.
func (c command) wrong(format string, args ...any) error {
	return usageError{fmt.Errorf(`%s: %w; "carillon help %s" says more`, c.name, fmt.Errorf(format, args...), c.name)}
}

// help prints the flags of the command.
func (c command) help(w io.Writer) {
	fmt.Fprintf(w, "carillon %s: %s\n", c.name, c.summary)
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	c.declare(flags)
	flags.VisitAll(func(f *flag.Flag) {
		kind, text := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "  %-18s %s", strings.TrimRight("--"+f.Name+" "+kind, " "), text)
		if f.DefValue != "" {
			fmt.Fprintf(w, " (default %s)", f.DefValue)
		}
		fmt.Fprintln(w)
	})
}

// help lists the commands, or prints what one of them takes.
func help(args []string, std stdio) error {
	if len(args) == 0 {
		fmt.Fprintln(std.out, "carillon runs the functions of app servers later, durably. Commands:")
		for _, cmd := range commands() {
			fmt.Fprintf(std.out, "  %-8s %s\n", cmd.name, cmd.summary)
		}
		fmt.Fprintln(std.out, `"carillon help COMMAND" prints the flags of one. To begin: carillon serve`)
		return nil
	}
	for _, cmd := range commands() {
		if cmd.name == args[0] && len(args) == 1 {
			cmd.help(std.out)
			return nil
		}
	}
	return usageError{fmt.Errorf(`help: no command %q; "carillon help" lists them`, strings.Join(args, " "))}
}
