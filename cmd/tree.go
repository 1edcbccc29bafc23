package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"carillon/actors"
)

// A Verb is one word of the command line, or two.
type Verb struct {
	// Name is the word, or the two with a space between: "orders", "orders replay". What
	// follows a "|" is another word for the last.
	Name string
	// Args are the names of the flags whose values may also be given as arguments, in this
	// order, with a space between. "..." after the last has it take all that follow.
	Args string
	// Summary says in a few words what it does.
	Summary string
	// Example is one use of it, or one a line, without the command's own name.
	Example string
	// Declare adds the verb's flags and returns what runs it after they are parsed. It may
	// be called without that following, for help.
	Declare func(*flag.FlagSet) func(context.Context, Stdio) error
}

// Stdio is what a verb reads and writes.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer

	name   string          // of the command
	engine *actors.Options // of the program
}

// groups are the words that verbs of two words begin with.
var groups = map[string]string{
	"apps":       "look after apps",
	"clock":      "look after the wall clock of a server",
	"crons":      "look after cron triggers",
	"docs":       "look at the documents of an app, and change them",
	"functions":  "look at the functions of a server",
	"groups":     "look after groups of jobs",
	"operations": "look after what is done to many jobs at once",
	"pools":      "look after pools",
	"jobs":       "look after jobs",
	"store":      "look after the files of a store",
	"tokens":     "look after the tokens of operators",
}

// verbs returns all verbs.
func (p *program) verbs() []Verb {
	return slices.Concat([]Verb{
		{"demo", "", "serve on a loopback address without tokens, to try it", "demo --listen 127.0.0.1:0", p.demo},
		{"serve", "", "serve over HTTP, with tokens for operators", "serve --data ./data --listen 127.0.0.1:8377", p.serve},
		{"apps", "", "list the apps of a data directory", "apps --data ./data", apps},
		{"check", "data", "verify every structure of a data directory", "check --data ./data", p.check},
		{"export", "", "write one app as a stream", "export --data ./data --app acme --out acme.app", export},
		{"import", "", "make an app from an exported stream", "import --data ./data --app copy --in acme.app", importApp},
		{"backup", "data", "write the whole store to a file, or what came since", "backup ./data --to all.backup", backup},
		{"restore", "backup...", "make a data directory of backups", "restore --data ./restored all.backup", restore},
		{"store salvage", "", "say what a store that cannot be opened still has, and go on with it", "store salvage --data ./data", storeSalvage},
		{"store acknowledge", "", "have health say no more that a loss was accepted", "store acknowledge --data ./data", storeAcknowledge},
		{"store compact", "data", "rewrite the files of a store without the room that lies free", "store compact ./data", storeCompact},
		{"store upgrade", "data", "have a store that an earlier release wrote be wholly of this one's format", "store upgrade ./data", storeUpgrade},
		{"store own", "", "make a data directory that of another program", "store own --data ./data --as acme/notes", storeOwn},
		{"bench", "", "measure how fast it is on this machine", "bench --only W1b,W3 --scale 0.1", p.bench},
		{"audit", "", "list what operators have changed", "audit --app acme --from 2026-03-01T00:00:00Z", audit},
		{"healthcheck", "", "say whether a server is ready, and exit with 0 if it is", "healthcheck --server 127.0.0.1:8377", healthcheck},
		{"config", "of...", "print what the flags of a verb say without the line, and where from", "config serve --config carillon.json", p.config},
		{"man", "dir", "write a manual page for each command", "man ./man1", p.man},
		{"version", "", "print the version", "version", p.version},
		{"apps export", "", "write one app as a stream", "apps export --data ./data --app acme --out acme.app", export},
		{"apps import", "", "make an app from an exported stream", "apps import --data ./data --app copy --in acme.app", importApp},
		{"store check", "data", "verify every structure of a data directory", "store check ./data", p.check},
		{"store backup", "data", "write the whole store to a file, or what came since", "store backup ./data --to all.backup\nstore backup --server 127.0.0.1:8377 --to since.backup --since all.backup", backup},
		{"store restore", "backup...", "make a data directory of backups", "store restore --data ./restored all.backup since.backup", restore},
	}, functionCommands(), operationCommands(), documentCommands(), poolCommands(), appCommands(), jobCommands(), p.cronCommands(), clockCommands(), tokenCommands(), p.nodeCommands(), p.agentCommands(), p.Verbs)
}

// tree returns cobra's command of the whole line, with a child for each verb.
func (p *program) tree(std Stdio) *cobra.Command {
	root := &cobra.Command{
		Use: p.Name, Short: p.About,
		Long: p.Name + " serves " + p.About + " and looks after\nservers and data directories, of whatever program.\n\n" +
			"What a flag says can be in the environment: of --drain in " + variable("drain") + ",\n" +
			"and in a file: --config. The line goes first, then the environment.\n" +
			"The exit code is 0; 2 for wrong usage; 15 for an app, a job or what else there is not; 24 for a\n" +
			"server that is not there, or a directory in use; and else that of the error in docs/command.md.",
	}
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(std.In)
	root.SetOut(std.Out)
	root.SetErr(std.Err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return wrong(c, err) })
	root.SetHelpCommand(helpCommand())
	branch(root)
	verbs := p.verbs()
	for i, v := range verbs {
		replaced := func(own Verb) bool { return own.Name == v.Name }
		if !slices.ContainsFunc(verbs[i+1:], replaced) {
			words, other, _ := strings.Cut(v.Name, "|")
			c := node(root, strings.Fields(words))
			if other != "" {
				c.Aliases = []string{other}
			}
			p.grow(c, v, std)
		}
	}
	return root
}

// node returns the command of the words, which it makes if there is none.
func node(c *cobra.Command, words []string) *cobra.Command {
	for _, word := range words {
		at := slices.IndexFunc(c.Commands(), func(child *cobra.Command) bool { return child.Name() == word })
		if at >= 0 {
			c = c.Commands()[at]
			continue
		}
		child := &cobra.Command{Use: word, Short: groups[word]}
		branch(child)
		c.AddCommand(child)
		c = child
	}
	return c
}

// branch has a command that only has others below it say so.
func branch(c *cobra.Command) {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		where, none, help := "", "no command given;", c.Root().Name()+" help"
		if c.HasParent() {
			where, none, help = name(c)+": ", "which command?", help+" "+name(c)
		}
		if len(args) == 0 {
			return usageError{fmt.Errorf(`%s%s "%s" lists them`, where, none, help)}
		}
		if args[0] == "help" {
			return helpOf(c, args[1:])
		}
		return usageError{fmt.Errorf(`%sunknown command %q; "%s" lists them`, where, args[0], help)}
	}
}

// grow makes the command that of the verb.
func (p *program) grow(c *cobra.Command, v Verb, std Stdio) {
	flags := flag.NewFlagSet(v.Name, flag.ContinueOnError)
	do := v.Declare(flags)
	addConfig(flags)
	adopt(c.Flags(), flags)
	c.Short = v.Summary
	for line := range strings.Lines(v.Example) {
		c.Example += "  " + p.Name + " " + line
	}
	for _, arg := range strings.Fields(v.Args) {
		word, more := strings.CutSuffix(arg, "...")
		kind, _ := flag.UnquoteUsage(flags.Lookup(word))
		if more {
			kind += "..."
		}
		c.Use += " [" + kind + "]"
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := v.take(c.Flags(), args); err != nil {
			return wrong(c, err)
		}
		if c.Flags().Changed("server") && c.Flags().Changed("data") {
			return wrong(c, errors.New("want either --server or --data"))
		}
		if c.Flags().Changed("store") && (c.Flags().Changed("server") || c.Flags().Changed("data")) {
			return wrong(c, errors.New("want either --store, or --server or --data"))
		}
		sources, err := p.fill(c)
		if err == nil {
			err = checkCompanions(c.Flags(), sources)
		}
		if err != nil {
			return wrong(c, err)
		}
		err = do(c.Context(), std)
		if usage, ok := errors.AsType[usageError](err); ok {
			return wrong(c, usage.error)
		}
		return err
	}
}

// take gives the arguments to the flags that they may also be given with.
func (v Verb) take(flags *pflag.FlagSet, args []string) error {
	names := strings.Fields(v.Args)
	for _, arg := range args {
		if len(names) == 0 {
			return fmt.Errorf("unexpected argument %q", arg)
		}
		word, more := strings.CutSuffix(names[0], "...")
		if !more {
			names = names[1:]
			if flags.Changed(word) {
				return fmt.Errorf("unexpected argument %q", arg)
			}
		}
		if err := flags.Set(word, arg); err != nil {
			return err
		}
	}
	return nil
}

// longNames are those of the flags of one letter.
var longNames = map[string]string{"n": "limit", "o": "output"}

// adopt adds the flags of package flag.
func adopt(to *pflag.FlagSet, from *flag.FlagSet) {
	to.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if long, ok := longNames[name]; ok {
			name = long
		}
		return pflag.NormalizedName(name)
	})
	from.VisitAll(func(f *flag.Flag) { to.AddFlag(pflag.PFlagFromGoFlag(f)) })
}

// doubled writes flags of one hyphen, as package flag reads them, with two.
func doubled(c *cobra.Command, args []string) []string {
	known := map[string]bool{"help": true, "version": true}
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
		for _, child := range c.Commands() {
			visit(child)
		}
	}
	visit(c)
	args = slices.Clone(args)
	for i, arg := range args {
		if arg == "--" {
			break
		}
		word, _, _ := strings.Cut(arg, "=")
		if word, ok := strings.CutPrefix(word, "-"); ok && len(word) > 1 && known[word] {
			args[i] = "-" + arg
		}
	}
	return args
}

// name is the verb's.
func name(c *cobra.Command) string {
	return strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
}

// wrong is a usage error that says where to read on.
func wrong(c *cobra.Command, err error) error {
	return usageError{fmt.Errorf(`%s: %w; "%s help %[1]s" says more`, name(c), err, c.Root().Name())}
}

// helpCommand prints what a command takes, as its flag --help does.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "print what a command takes",
		RunE: func(c *cobra.Command, args []string) error { return helpOf(c.Root(), args) },
	}
}

// helpOf prints what the command of the words below c takes.
func helpOf(c *cobra.Command, words []string) error {
	found, rest, err := c.Find(words)
	if err != nil || len(rest) > 0 {
		return usageError{fmt.Errorf(`help: no command %q; "%s help" lists them`, strings.Join(words, " "), c.Root().Name())}
	}
	found.InitDefaultHelpFlag()
	return found.Help()
}
