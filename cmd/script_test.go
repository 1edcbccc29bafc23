package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"carillon/dispatch"
)

// TestScripts runs testdata/scripts/cmd: what each verb prints, against a server of the sample
// app, with a function that panics, where $CARILLON_SERVER is, or against a data directory. A script's app is its own.
func TestScripts(t *testing.T) {
	opts := sampleOptions()
	dispatch.InternalAction[dispatch.None, dispatch.None]("lamps:light").Handle(opts.Engine.Functions, func(*dispatch.ActionCtx, dispatch.None) (dispatch.None, error) {
		panic("the lamp\nis broken")
	})
	s := mustServeWith(t, t.Context(), opts, "demo", filepath.Join(t.TempDir(), "data"))
	site, _, _ := strings.Cut(s.url, "/v1/")
	t.Run("against", func(t *testing.T) { // which ends when all scripts have
		testscript.Run(t, testscript.Params{
			Dir: filepath.Join(root, "testdata", "scripts", "cmd"),
			Setup: func(env *testscript.Env) error {
				env.Setenv("CARILLON_SERVER", strings.TrimPrefix(site, "http://"))
				env.Setenv("CARILLON_APP", strings.TrimPrefix(filepath.Base(env.WorkDir), "script-"))
				return nil
			},
			Cmds: map[string]func(*testscript.TestScript, bool, []string){
				"carillon": func(ts *testscript.TestScript, neg bool, args []string) { scriptLine(t, ts, neg, args) },
				// seed DIR makes a data directory with one app that has a job far in the future.
				"seed": func(ts *testscript.TestScript, _ bool, args []string) { mustSeed(t, ts.MkAbs(args[0]), "acme") },
				// field VARIABLE NAME takes a field of the first row that was printed.
				"field": func(ts *testscript.TestScript, _ bool, args []string) {
					var row map[string]json.RawMessage
					ts.Check(json.NewDecoder(strings.NewReader(ts.ReadFile("stdout"))).Decode(&row))
					ts.Setenv(args[0], strings.Trim(string(row[args[1]]), `"`))
				},
			},
		})
	})
	s.mustStop(t)
}

// scriptLine runs a line of the command. One that fails prints its error and its exit code on
// standard error. Arguments that begin with ./ are paths of the script's directory.
func scriptLine(t *testing.T, ts *testscript.TestScript, neg bool, args []string) {
	resolved := make([]string, len(args))
	for i, arg := range args {
		if resolved[i] = arg; strings.HasPrefix(arg, "./") {
			resolved[i] = ts.MkAbs(arg)
		}
	}
	opts := sampleOptions()
	opts.Getenv = ts.Getenv
	err := Run(t.Context(), opts, resolved, strings.NewReader(""), ts.Stdout(), ts.Stderr())
	if err != nil {
		fmt.Fprintf(ts.Stderr(), "%s\nexit code %d\n", oneLine(err), ExitCode(err))
	}
	if (err != nil) != neg {
		ts.Fatalf("carillon %s: %v", strings.Join(args, " "), err)
	}
}

// TestEachVerbIsShown demands of each command that a script runs it, but of those that have tests of
// their own; that its help has an example, which is a line that it takes; and that docs/command.md
// names it.
func TestEachVerbIsShown(t *testing.T) {
	elsewhere := map[string]bool{
		"bench": true, "demo": true, "serve": true, // TestBench…, all tests against a server
		"store salvage": true, "store acknowledge": true, // TestSalvage…
	}
	same := map[string]bool{"backup": true, "restore": true, "export": true, "import": true} // as those of store and apps
	paths, err := filepath.Glob(filepath.Join(root, "testdata", "scripts", "cmd", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var scripts strings.Builder
	for _, path := range paths {
		scripts.WriteString(mustRead(t, strings.TrimPrefix(path, root)))
	}
	named := namedInPage(mustRead(t, "docs/command.md"))
	tree := mustTree(t)
	n := 0
	_ = walk(tree, func(c *cobra.Command) error {
		name := name(c)
		own := c.HasParent() && (c.Parent() == tree || c.Parent().Name() != "completion")
		if _, group := groups[name]; group && name != "apps" || !own || !c.IsAvailableCommand() {
			return nil
		}
		n++
		if !elsewhere[name] && !same[name] && !strings.Contains(scripts.String(), "carillon "+name) {
			t.Errorf("no script of testdata/scripts/cmd has carillon %s", name)
		}
		both := c.Flags().Lookup("server") != nil && c.Flags().Lookup("data") != nil
		if both && !same[name] {
			server, directory := ranAgainst(scripts.String(), name)
			if !server || !directory {
				t.Errorf("a script runs carillon %s against a server (%t) and a directory (%t)", name, server, directory)
			}
		}
		if !same[name] && !named[name] {
			t.Errorf("docs/command.md does not name %s", name)
		}
		if c.Name() == "completion" || c.Name() == "help" { // cobra's
			return nil
		}
		if c.Example == "" {
			t.Errorf("%s has no example", name)
		}
		for line := range strings.Lines(c.Example) {
			if err := takesLine(tree, strings.TrimSpace(line)); err != nil {
				t.Errorf("the example of %s, %q: %v", name, line, err)
			}
		}
		return nil
	})
	if n < 65 {
		t.Errorf("only %d commands were looked at", n)
	}
}

// ranAgainst says whether a line runs the verb against a server, and one against a directory.
func ranAgainst(scripts, name string) (server, directory bool) {
	for line := range strings.Lines(scripts) {
		if strings.HasPrefix(strings.TrimPrefix(line, "! "), "carillon "+name) {
			data := strings.Contains(line, " --data ./") || strings.HasPrefix(name, "store ") && strings.Contains(line, " ./data")
			server, directory = server || !data, directory || data
		}
	}
	return server, directory
}

// tableRow matches a row of a table.
var tableRow = regexp.MustCompile(`(?m)^\|.*$`)

// namedInPage is the verbs that the tables of the page name in backquotes; one word after "jobs list" is of jobs, too.
func namedInPage(page string) map[string]bool {
	named := map[string]bool{}
	group := ""
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(strings.Join(tableRow.FindAllString(page, -1), "\n"), -1) {
		words := append(strings.Fields(m[1]), "")
		if _, ok := groups[words[0]]; ok {
			group = words[0]
			named[words[0]+" "+words[1]] = true
		}
		named[words[0]], named[group+" "+words[0]] = true, true
	}
	return named
}

// takesLine says why a line of the command makes no sense, without running it.
func takesLine(tree *cobra.Command, line string) error {
	line, _, _ = strings.Cut(line, " >") // of a shell
	var words []string
	for _, m := range regexp.MustCompile(`'([^']*)'|(\S+)`).FindAllStringSubmatch(line, -1) {
		words = append(words, m[1]+m[2])
	}
	if words[0] != tree.Name() {
		return errors.New("it is of another command")
	}
	c, rest, err := tree.Find(words[1:])
	if err != nil {
		return err
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	for _, v := range (&program{Options: sampleOptions()}).verbs() {
		if word, _, _ := strings.Cut(v.Name, "|"); word == name(c) {
			return v.take(c.Flags(), c.Flags().Args())
		}
	}
	return errors.New("there is no such verb")
}
