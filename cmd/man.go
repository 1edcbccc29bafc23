package cmd

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// man writes a manual page for each verb, of what help prints.
func (p *program) man(flags *flag.FlagSet) func(context.Context, Stdio) error {
	dir := flags.String("dir", "", "`DIR` to write the pages to, made if there is none, with or without the flag")
	return func(_ context.Context, std Stdio) error {
		if *dir == "" {
			return usageError{errors.New("the directory is missing")}
		}
		day, err := p.day()
		if err != nil {
			return usageError{err}
		}
		if err := os.MkdirAll(*dir, 0o755); err != nil {
			return err
		}
		root := p.tree(std)
		root.InitDefaultCompletionCmd()
		n := 0
		err = walk(root, func(c *cobra.Command) error {
			n++
			return os.WriteFile(filepath.Join(*dir, pageName(c)+".1"), page(c, day), 0o644)
		})
		if err == nil {
			fmt.Fprintf(std.Out, "%d pages in %s\n", n, *dir)
		}
		return err
	}
}

// day is the day that the pages bear, so that the same program writes the same pages: that of
// $SOURCE_DATE_EPOCH, or of the commit that the binary was built from, or else none.
func (p *program) day() (string, error) {
	if text := p.Getenv("SOURCE_DATE_EPOCH"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return "", fmt.Errorf("$SOURCE_DATE_EPOCH is %.40q, want seconds since 1970", text)
		}
		return time.Unix(seconds, 0).UTC().Format(time.DateOnly), nil
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.time" {
				day, _, _ := strings.Cut(s.Value, "T")
				return day, nil
			}
		}
	}
	return "", nil
}

// walk visits the command and all below it.
func walk(c *cobra.Command, fn func(*cobra.Command) error) error {
	err := fn(c)
	for _, child := range c.Commands() {
		err = errors.Join(err, walk(child, fn))
	}
	return err
}

// pageName is the name of the command's page.
func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// page is the manual page of the command, for man.
func page(c *cobra.Command, day string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, ".TH %s 1 %q %q %q\n", roff(strings.ToUpper(pageName(c))), day, c.Root().Name(), "User Commands")
	section := func(title string) { fmt.Fprintf(&b, ".SH %s\n", title) }
	section("NAME")
	fmt.Fprintf(&b, "%s \\- %s\n", roff(pageName(c)), roff(c.Short))
	section("SYNOPSIS")
	fmt.Fprintf(&b, ".B %s\n%s\n", roff(c.CommandPath()), roff(strings.TrimSpace(strings.TrimPrefix(c.UseLine(), c.CommandPath()))))
	section("DESCRIPTION")
	text := c.Long
	if text == "" {
		text = c.Short
	}
	literal(&b, text, "")
	if c.HasAvailableSubCommands() {
		section("COMMANDS")
		for _, child := range c.Commands() {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(child.Name()), roff(child.Short))
		}
	}
	if c.Flags().HasAvailableFlags() {
		section("OPTIONS")
		c.Flags().VisitAll(func(f *pflag.Flag) { option(&b, f) })
	}
	if c.Example != "" {
		section("EXAMPLES")
		literal(&b, c.Example, "  ")
	}
	section("SEE ALSO")
	var others []string
	if c.HasParent() {
		others = append(others, pageName(c.Parent()))
	}
	for _, child := range c.Commands() {
		others = append(others, pageName(child))
	}
	for i, other := range others {
		if others[i] = ".BR " + roff(other) + " (1)"; i < len(others)-1 {
			others[i] += " ,"
		}
	}
	fmt.Fprintln(&b, strings.Join(others, "\n"))
	return b.Bytes()
}

// option is a flag in the list of them.
func option(b *bytes.Buffer, f *pflag.Flag) {
	kind, usage := pflag.UnquoteUsage(f)
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	fmt.Fprintf(b, ".TP\n\\fB%s\\fR", roff(name))
	if kind != "" {
		fmt.Fprintf(b, " \\fI%s\\fR", roff(kind))
	}
	if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
		usage += " (default " + f.DefValue + ")"
	}
	fmt.Fprintf(b, "\n%s\n", roff(usage))
}

// literal is text that keeps its lines, without the indent that each has.
func literal(b *bytes.Buffer, text, indent string) {
	b.WriteString(".nf\n")
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		fmt.Fprintln(b, roff(strings.TrimPrefix(strings.TrimRight(line, "\n"), indent)))
	}
	b.WriteString(".fi\n")
}

// roff is a line of text, of which nothing is taken for a command of the typesetter's.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ", "…", "...", "’", "'").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
