package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEnvironmentGoesBeforeTheFile, and the line before both; a key that is no flag is an error
// with its line.
func TestEnvironmentGoesBeforeTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.json")
	for _, tt := range []struct{ file, env, want string }{
		{`{"drain": "3s"}`, "", "--drain 3s " + path + ":1"},
		{`{"drain": "3s"}`, "7s", "--drain 7s $CARILLON_DRAIN"},
		{`{}`, "7s", "--drain 7s $CARILLON_DRAIN"},
		{`{}`, "", "--drain 10s default"},
		{"{\n\"drian\": \"3s\"}", "7s", path + `:2: "drian" is no flag of any command`},
	} {
		if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
			t.Fatal(err)
		}
		opts := sampleOptions()
		opts.Getenv = func(name string) string { return map[string]string{"CARILLON_DRAIN": tt.env}[name] }
		var out bytes.Buffer
		err := Run(t.Context(), opts, []string{"config", "--config", path}, strings.NewReader(""), &out, &out)
		text := strings.Join(strings.Fields(out.String()), " ")
		if err != nil {
			text = err.Error()
		}
		if !strings.Contains(text, tt.want) {
			t.Errorf("%s with %q: %s, want %s", tt.file, tt.env, text, tt.want)
		}
	}
}
