package cmd

import (
	"context"
	"flag"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"carillon/client/mcp"
	"carillon/storage/postgres"
)

// codeBlock matches a block of code, with its language.
var codeBlock = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// inlineLine matches a line of the command in running text.
var inlineLine = regexp.MustCompile("`carillon ([a-z][^`]*)`")

// TestDocsShowLinesThatParse demands that each line of the command in the pages has a verb
// that there is, flags that it takes and arguments that it knows: what follows "$ " or
// stands in a block of sh, and what stands in running text, where the name of a group will do.
func TestDocsShowLinesThatParse(t *testing.T) {
	opts := Options{Agents: mcp.Agents{}, Log: postgres.Log, Getenv: func(string) string { return "" }}
	for _, v := range (&program{Options: opts}).verbs() {
		declare := v.Declare
		v.Declare = func(flags *flag.FlagSet) func(context.Context, Stdio) error {
			declare(flags)
			return func(context.Context, Stdio) error { return nil }
		}
		opts.Verbs = append(opts.Verbs, v)
	}
	parse := func(words []string) error {
		return Run(t.Context(), opts, words, strings.NewReader(""), io.Discard, io.Discard)
	}
	for line, fails := range map[string]bool{
		"jobs list --app a":             false,
		"jobs list --ap a":              true,
		"jobs lists --app a":            true,
		"crons next '0 3 * * *' more x": true,
	} {
		if err := parse(shellWords(line)); (err != nil) != fails {
			t.Fatalf("carillon %s: %v", line, err)
		}
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		name, err := filepath.Rel(root, page)
		if err != nil {
			t.Fatal(err)
		}
		text := mustRead(t, name)
		for _, block := range codeBlock.FindAllStringSubmatch(text, -1) {
			for line := range strings.Lines(block[2]) {
				line, typed := strings.CutPrefix(line, "$ ")
				program, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
				if !typed && block[1] != "sh" || !ok || program != "carillon" && program != "./tower" && program != "./bells" {
					continue
				}
				found++
				if err := parse(shellWords(rest)); err != nil {
					t.Errorf("%s: %s: %v", name, line, err)
				}
			}
		}
		for _, m := range inlineLine.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
			found++
			line, _, _ := strings.Cut(m[1], " …")
			if err := parse(shellWords(line)); err != nil && !strings.Contains(err.Error(), "which command?") {
				t.Errorf("%s: carillon %s: %v", name, m[1], err)
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d lines were found", found)
	}
}

// shellWord matches a word of a line, or what ends the command: a pipe, a redirection, a
// comment.
var shellWord = regexp.MustCompile(`'[^']*'|"[^"]*"|&&|[|>#]|[^\s|>#]+`)

// shellWords are the arguments of a line as a shell has them. The flags of carillon/cmd/oidc,
// which this package does not link, are left out.
func shellWords(line string) (words []string) {
	all := shellWord.FindAllString(line, -1)
	for i := 0; i < len(all); i++ {
		switch word := all[i]; {
		case strings.ContainsAny(word[:1], "|>#"), word == "&&":
			return words
		case strings.HasPrefix(word, "--oidc-"):
			i++
		default:
			words = append(words, strings.Trim(word, `'"`))
		}
	}
	return words
}
