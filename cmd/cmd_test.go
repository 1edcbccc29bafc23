package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"carillon/client/mcp"
	"carillon/cmd/carillon/sample"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sampleOptions is the command of the sample app.
func sampleOptions() Options {
	return Options{Name: "carillon", About: "the sample app", Engine: sample.Engine(), Try: sample.Try, Agents: mcp.Agents{}, Log: postgres.Log}
}

// run runs a command line of the sample app's command.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	return Run(ctx, sampleOptions(), args, stdin, stdout, stderr)
}

// runs runs a command line with nothing on standard input.
func runs(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	return runsWith(t, strings.NewReader(""), args...)
}

func runsWith(t *testing.T, stdin io.Reader, args ...string) (stdout string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	err = run(t.Context(), args, stdin, &out, &errs)
	if errs.Len() > 0 {
		t.Errorf("carillon %s: standard error has %s", strings.Join(args, " "), &errs)
	}
	return out.String(), err
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args string
		want string
	}{
		{"", `no command given; "carillon help" lists them`},
		{"sevre", `unknown command "sevre"; "carillon help" lists them`},
		{"jobs", `jobs: which command? "carillon help jobs" lists them`},
		{"jobs lst", `jobs: unknown command "lst"; "carillon help jobs" lists them`},
		{"help sevre", `help: no command "sevre"; "carillon help" lists them`},
		{"demo --port 1", `demo: unknown flag: --port; "carillon help demo" says more`},
		{"demo now", `demo: unexpected argument "now"; "carillon help demo" says more`},
		{"demo --drain soon", `demo: invalid argument "soon" for "--drain" flag: parse error; "carillon help demo" says more`},
		{"demo --drain -1s", `demo: --drain is -1s, want 0s or more; "carillon help demo" says more`},
		{"export --data x", `export: --app is missing; "carillon help export" says more`},
		{"import --app -x", `import: invalid argument: app id "-x": …; "carillon help import" says more`},
		{"check --data", `check: flag needs an argument: --data; "carillon help check" says more`},
	} {
		out, err := runs(t, strings.Fields(tt.args)...)
		begin, end, _ := strings.Cut(tt.want, "…")
		if err == nil || !strings.HasPrefix(err.Error(), begin) || !strings.HasSuffix(err.Error(), end) || out != "" || ExitCode(err) != 2 {
			t.Errorf("carillon %s: got %v, code %d, output %q\nwant %s", tt.args, err, ExitCode(err), out, tt.want)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range []string{"help", "-h", "--help"} {
		out, err := runs(t, args)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range (&program{}).verbs() {
			name, _, _ := strings.Cut(v.Name, "|")
			word, second, two := strings.Cut(name, " ")
			if !strings.Contains(out, "\n  "+word+" ") {
				t.Errorf("%s does not list %s: %s", args, word, out)
			}
			if of, err := runs(t, "help", word); two && (err != nil || !strings.Contains(of, "\n  "+second+" ")) {
				t.Errorf("help %s does not list %s: %v, %s", word, v.Name, err, of)
			}
		}
	}
	for _, args := range [][]string{{"help", "demo"}, {"demo", "-h"}, {"demo", "--help"}, {"demo", "-help"}} {
		out, err := runs(t, args...)
		if err != nil || !strings.Contains(out, "--listen ADDR") || !strings.Contains(out, `(default "127.0.0.1:8377")`) {
			t.Errorf("%v: got %v, %s", args, err, out)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, args := range []string{"version", "--version", "-version"} {
		out, err := runs(t, args)
		if err != nil || !strings.HasPrefix(out, "carillon ") || strings.Count(out, "\n") != 1 {
			t.Errorf("%s: got %v, %q", args, err, out)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("anything else"), 1},
		{os.ErrPermission, 1},
		{usageError{errors.New("no")}, 2},
		{fmt.Errorf("data: %w", storage.ErrLocked), dispatch.CodeUnavailable.ExitCode()},
		{fmt.Errorf("data: %w", storage.ErrNotFound), dispatch.CodeNotFound.ExitCode()},
		{dispatch.Errorf(dispatch.CodeUnauthenticated, "no"), 26},
	} {
		if got := ExitCode(tt.err); got != tt.want {
			t.Errorf("%v: got %d, want %d", tt.err, got, tt.want)
		}
	}
}

// TestOfflineCommands takes an app from one data directory to another, and looks
// at both.
func TestOfflineCommands(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	file := filepath.Join(t.TempDir(), "acme.app")
	must := func(want string, args ...string) {
		t.Helper()
		if out, err := runs(t, args...); err != nil || out != want {
			t.Fatalf("carillon %s: got %v, %q, want %q", strings.Join(args, " "), err, out, want)
		}
	}
	mustSeed(t, from, "acme")
	mustSeed(t, to, "globex")
	must("ok, apps: 1\n", "check", "--data", from)
	must("acme\n", "apps", "--data", from)
	must("", "export", "--data", from, "--app", "acme", "--out", file)
	must("imported copy\n", "import", "--data", to, "--app", "copy", "--in", file)
	must("copy\nglobex\n", "apps", "--data", to)
	must("ok, apps: 2\n", "check", "--data", to)

	stream, err := runs(t, "export", "--data", from, "--app", "acme")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := runsWith(t, strings.NewReader(stream), "import", "--data", to, "--app", "piped"); err != nil || out != "imported piped\n" {
		t.Errorf("import of standard input: %v, %q", err, out)
	}
	if _, err := runsWith(t, strings.NewReader(stream[:len(stream)/2]), "import", "--data", to, "--app", "half"); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("import of half a stream: %v", err)
	}
	if _, err := runs(t, "import", "--data", to, "--app", "copy", "--in", file); !errors.Is(err, storage.ErrExists) {
		t.Errorf("import under a name that is taken: %v", err)
	}
	if _, err := runs(t, "export", "--data", from, "--app", "acme", "--out", file); !errors.Is(err, os.ErrExist) {
		t.Errorf("export to a file that exists: %v", err)
	}
	if _, err := runs(t, "export", "--data", from, "--app", "nobody", "--out", file+"2"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("export of an app that does not exist: %v", err)
	}
	if _, err := os.Stat(file + "2"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an export that failed has left a file: %v", err)
	}
	must("copy\nglobex\npiped\n", "apps", "--data", to)
}

// TestNoDataDirectory demands that a mistyped directory is an error, and is not
// made.
func TestNoDataDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "typo")
	for _, args := range [][]string{{"check"}, {"apps"}, {"export", "--app", "a"}, {"import", "--app", "a"}} {
		_, err := runs(t, append(args, "--data", dir)...)
		if want := dir + " is no data directory: not found"; err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", args[0], err, want)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
}

func TestCheckFindsDamage(t *testing.T) {
	dir := t.TempDir()
	mustSeed(t, dir, "acme")
	if err := os.Remove(filepath.Join(dir, "volume-002.db")); err != nil {
		t.Fatal(err)
	}
	_, err := runs(t, "check", "--data", dir)
	if !errors.Is(err, storage.ErrFormat) || ExitCode(err) != dispatch.CodeDataLoss.ExitCode() {
		t.Errorf("got %v", err)
	}
}

// TestCheckNamesThePage damages each page in turn: the check comes back, prints a line
// that names the page if it holds something, and exits 25; what looks only does not
// write.
func TestCheckNamesThePage(t *testing.T) {
	dir := t.TempDir()
	mustSeed(t, dir, "acme")
	read := func(path string) []byte {
		t.Helper()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	found := 0
	for i := range 4 {
		path := filepath.Join(dir, fmt.Sprintf("volume-%03d.db", i))
		sound := read(path)
		sound = sound[:(len(bytes.TrimRight(sound, "\x00"))/4096+1)*4096] // behind are pages that were never used
		for page := 0; page < len(sound); page += 4096 {
			for _, flip := range []byte{0, 0xff} {
				damaged := bytes.Clone(sound)
				for at := page; at < page+4096; at++ {
					damaged[at] = flip & ^damaged[at]
				}
				if err := os.WriteFile(path, damaged, 0o600); err != nil {
					t.Fatal(err)
				}
				var out, errs bytes.Buffer
				err := run(t.Context(), []string{"check", "--data", dir}, strings.NewReader(""), &out, &errs)
				if err != nil {
					found++
					name := fmt.Sprintf("volume-%03d.db: page %d: ", i, page/4096)
					if ExitCode(err) != 25 || !strings.Contains(errs.String()+err.Error(), name) || out.Len() > 0 {
						t.Errorf("page %d: got %v, exit code %d, with %q, want 25 and %q", page/4096, err, ExitCode(err), &errs, name)
					}
				}
				for _, args := range [][]string{{"apps"}, {"export", "--app", "acme"}} {
					_ = run(t.Context(), append(args, "--data", dir), strings.NewReader(""), io.Discard, io.Discard)
				}
				if !bytes.Equal(read(path), damaged) {
					t.Fatalf("page %d: the file was written to", page/4096)
				}
			}
		}
		if err := os.WriteFile(path, sound, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if found < 4*2*4 {
		t.Errorf("%d damages were found, want at least those of the meta pages, the root and the freelist", found)
	}
}

// TestDemoLeavesOthersAlone demands that the sample app opens no directory that
// bears another's name, nor one with apps that bears none, that what looks after
// directories opens any, and that a person can give one to another program.
func TestDemoLeavesOthersAlone(t *testing.T) {
	theirs, old, empty := t.TempDir(), t.TempDir(), t.TempDir()
	mustSeed(t, theirs, "acme")
	mustSeed(t, old, "acme")
	withOptions := func(dir, program string) {
		store, err := storage.Open(dir, storage.Options{Program: program})
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := runs(t, "store", "own", "--data", theirs, "--as", "acme/notes"); err != nil || out != theirs+" is the store of acme/notes, it was that of carillon-demo\n" {
		t.Fatalf("store own: %v, %q", err, out)
	}
	withOptions(theirs, "acme/notes")
	// A store from before there were names, which has an app.
	if err := os.RemoveAll(old); err != nil {
		t.Fatal(err)
	}
	stream, err := runs(t, "export", "--data", theirs, "--app", "acme")
	if err != nil {
		t.Fatal(err)
	}
	withOptions(old, "")
	if _, err := runsWith(t, strings.NewReader(stream), "import", "--data", old, "--app", "acme"); err != nil {
		t.Fatal(err)
	}
	for dir, who := range map[string]string{theirs: "it is that of acme/notes, not of carillon-demo", old: "it has apps and bears no name, so carillon-demo does not take it on"} {
		err := run(t.Context(), []string{"demo", "--data", dir, "--listen", "127.0.0.1:0"}, strings.NewReader(""), io.Discard, io.Discard)
		want := "data directory " + dir + ": open " + dir + ": store of another program: " + who +
			"; if it is to be this one's: carillon store own --data " + dir + " --as NAME"
		if err == nil || err.Error() != want || ExitCode(err) != dispatch.CodeFailedPrecondition.ExitCode() {
			t.Errorf("demo: got %v, code %d, want %s", err, ExitCode(err), want)
		}
		for _, args := range [][]string{{"apps"}, {"check"}, {"export", "--app", "acme"}} {
			if _, err := runs(t, append(args, "--data", dir)...); err != nil {
				t.Errorf("%s: %v", args[0], err)
			}
		}
	}
	withOptions(empty, "")
	mustSeed(t, empty, "acme") // nobody's, and nothing in it
	if _, err := runs(t, "store", "own", "--data", old, "--as", "carillon-demo"); err != nil {
		t.Fatal(err)
	}
	mustSeed(t, old, "globex")
	for _, args := range [][]string{{}, {"--as", ""}, {"--as", "a b"}} {
		if _, err := runs(t, append([]string{"store", "own", "--data", old}, args...)...); ExitCode(err) != 2 {
			t.Errorf("store own %v: %v", args, err)
		}
	}
}

// mustSeed makes a data directory with one app that has a job far in the future.
func mustSeed(t *testing.T, dir, app string) {
	t.Helper()
	s := mustServe(t, context.Background(), dir)
	s.mustCall(t, app, "reminders:set", `{"text":"tea","afterMs":3600000}`)
	s.mustStop(t)
}
