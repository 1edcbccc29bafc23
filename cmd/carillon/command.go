package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// command is one word of the command line, or two.
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
	return slices.Concat([]command{
		{"demo", "serve the sample app over HTTP, to try it", demo},
		{"serve", "serve the sample app over HTTP, with tokens for operators", serve},
		{"apps", "list the apps of a data directory", apps},
		{"check", "verify every structure of a data directory", check},
		{"export", "write one app as a stream", export},
		{"import", "make an app from an exported stream", importApp},
		{"backup", "write the whole store to a file, or what came since", backup},
		{"restore", "make a data directory of backups", restore},
		{"store salvage", "say what a store that cannot be opened still has, and go on with it", storeSalvage},
		{"store acknowledge", "have health say no more that a loss was accepted", storeAcknowledge},
		{"store compact", "rewrite the files of a store without the room that lies free", storeCompact},
		{"store own", "make a data directory that of another program", storeOwn},
		{"bench", "measure how fast it is on this machine", bench},
		{"audit", "list what operators have changed", audit},
		{"version", "print the version", version},
	}, appCommands(), jobCommands(), cronCommands(), clockCommands(), tokenCommands())
}

// find returns the command that the line begins with, of one word or two, and
// what follows it.
func find(line []string) (cmd command, args []string, ok bool) {
	most := 0
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if len(words) > most && len(line) >= len(words) && slices.Equal(line[:len(words)], words) {
			cmd, args, ok, most = c, line[len(words):], true, len(words)
		}
	}
	return cmd, args, ok
}

// group returns the commands of two words that begin with the word.
func group(word string) []command {
	return slices.DeleteFunc(commands(), func(cmd command) bool { return !strings.HasPrefix(cmd.name, word+" ") })
}

// run runs the command line and returns what went wrong, in one line.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	std := stdio{stdin, stdout, stderr}
	if len(args) == 0 {
		return usageError{errors.New(`no command given; "carillon help" lists them`)}
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		return help(args[1:], std)
	case "-version", "--version":
		args = append([]string{"version"}, args[1:]...)
	}
	if cmd, args, ok := find(args); ok {
		return cmd.run(ctx, args, std)
	}
	word := args[0]
	if len(group(word)) == 0 {
		return usageError{fmt.Errorf(`unknown command %q; "carillon help" lists them`, word)}
	}
	if len(args) == 1 {
		return usageError{fmt.Errorf(`%s: which command? "carillon help %s" lists them`, word, word)}
	}
	switch args[1] {
	case "help", "-h", "-help", "--help":
		return help(append([]string{word}, args[2:]...), std)
	}
	return usageError{fmt.Errorf(`%s: unknown command %q; "carillon help %s" lists them`, word, args[1], word)}
}

// Flags whose value may also be given as an argument, before or after the other flags, by
// the commands that have one: the first that there is, if it has no value yet.
const (
	argumentFlag = "name"
	listArgument = "backup" // any number of times
	dirArgument  = "data"
)

// argument returns the flag, or nil if an argument is one too many.
func argument(flags *flag.FlagSet) *flag.Flag {
	for _, name := range []string{argumentFlag, listArgument, dirArgument} {
		if f := flags.Lookup(name); f != nil {
			if f.Value.String() != "" {
				return nil
			}
			return f
		}
	}
	return nil
}

func (c command) run(ctx context.Context, args []string, std stdio) error {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // what is wrong is returned
	do := c.declare(flags)
	for {
		switch err := flags.Parse(args); {
		case errors.Is(err, flag.ErrHelp):
			c.help(std.out)
			return nil
		case err != nil:
			return c.wrong("%w", err)
		}
		if flags.NArg() == 0 {
			break
		}
		// Package flag stops at an argument; what follows may be flags again.
		f := argument(flags)
		if f == nil {
			return c.wrong("unexpected argument %q", flags.Arg(0))
		}
		if err := flags.Set(f.Name, flags.Arg(0)); err != nil {
			return c.wrong("%w", err)
		}
		args = flags.Args()[1:]
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
		list(std.out, commands())
		fmt.Fprintln(std.out, `"carillon help COMMAND" prints the flags of one. To begin: carillon demo`)
		return nil
	}
	if cmd, rest, ok := find(args); ok && len(rest) == 0 {
		cmd.help(std.out)
		return nil
	}
	if cmds := group(args[0]); len(cmds) > 0 && len(args) == 1 {
		list(std.out, cmds)
		return nil
	}
	return usageError{fmt.Errorf(`help: no command %q; "carillon help" lists them`, strings.Join(args, " "))}
}

func list(w io.Writer, cmds []command) {
	for _, cmd := range cmds {
		fmt.Fprintf(w, "  %-12s %s\n", cmd.name, cmd.summary)
	}
}
