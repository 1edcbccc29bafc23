package cmd

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// mustTree is the tree of commands of the sample app.
func mustTree(t *testing.T) *cobra.Command {
	t.Helper()
	p := &program{Options: sampleOptions()}
	p.Getenv = func(string) string { return "" }
	root := p.tree(Stdio{In: strings.NewReader(""), Out: t.Output(), Err: t.Output(), name: p.Name, engine: &p.Engine})
	root.InitDefaultCompletionCmd()
	return root
}

// TestManPages: there is one for each command, with its flags; the same program writes the same
// ones; and of what a text has nothing is taken for a request of the typesetter's.
func TestManPages(t *testing.T) {
	pages := func(epoch string) map[string]string {
		t.Setenv("SOURCE_DATE_EPOCH", epoch)
		dir := filepath.Join(t.TempDir(), "man1")
		if out, err := runs(t, "man", dir); err != nil || !strings.HasSuffix(out, " pages in "+dir+"\n") {
			t.Fatalf("man: %v, %s", err, out)
		}
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for _, f := range files {
			data, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all[f.Name()] = string(data)
		}
		return all
	}
	got, again := pages("0"), pages("0")
	request := regexp.MustCompile(`^\.(TH|SH|TP|B|BR|nf|fi)( |$)|^[^.']|^$`)
	n := 0
	err := walk(mustTree(t), func(c *cobra.Command) error {
		n++
		name := pageName(c) + ".1"
		text := got[name]
		if !strings.Contains(text, `1 "1970-01-01" "carillon"`) || !strings.Contains(text, ".SH NAME") || text != again[name] {
			t.Errorf("%s, twice:\n%s\n%s", name, text, again[name])
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(text, `\-\-`+strings.ReplaceAll(f.Name, "-", `\-`)+`\fR`) {
				t.Errorf("%s does not have --%s", name, f.Name)
			}
		})
		for line := range strings.Lines(text) {
			if !request.MatchString(strings.TrimRight(line, "\n")) {
				t.Errorf("%s: a line is taken for a request: %s", name, line)
			}
		}
		return nil
	})
	if err != nil || len(got) != n || n < 80 {
		t.Errorf("%v: %d pages of %d commands", err, len(got), n)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "today")
	if _, err := runs(t, "man", t.TempDir()); ExitCode(err) != 2 {
		t.Errorf("with a date that is none: %v", err)
	}
	if got, want := roff(`.a \b-c`), `\&.a \eb\-c`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
