package cmd

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs testdata/scripts/cmd: what each verb prints, against a server of the sample
// app, where $CARILLON_SERVER is, or against a data directory. A script's app is its own.
func TestScripts(t *testing.T) {
	s := mustServe(t, t.Context(), filepath.Join(t.TempDir(), "data"))
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

// TestEachVerbIsInAScript demands that, but of those that have tests of their own.
func TestEachVerbIsInAScript(t *testing.T) {
	elsewhere := map[string]bool{
		"bench": true, "demo": true, "serve": true, // TestBench…, all tests against a server
		"store salvage": true, "store acknowledge": true, // TestSalvage…
		"backup": true, "restore": true, "export": true, "import": true, // the same as those of store and apps
	}
	paths, err := filepath.Glob(filepath.Join(root, "testdata", "scripts", "cmd", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var scripts strings.Builder
	for _, path := range paths {
		scripts.WriteString(mustRead(t, strings.TrimPrefix(path, root)))
	}
	for _, v := range (&program{}).verbs() {
		name, _, _ := strings.Cut(v.Name, "|")
		if !elsewhere[name] && !strings.Contains(scripts.String(), "carillon "+name) {
			t.Errorf("no script of testdata/scripts/cmd has carillon %s", name)
		}
	}
}
