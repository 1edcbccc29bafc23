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

// TestPasswordsOfAStoreAreHidden: what is in force shows where the log is, and no password of it.
func TestPasswordsOfAStoreAreHidden(t *testing.T) {
	for address, want := range map[string]string{
		"postgres://carillon@db/x":                        "postgres://carillon@db/x",
		"postgres://carillon:secret1@db/x?sslmode=prefer": "postgres://carillon:xxxxx@db/x?sslmode=prefer",
		"postgres://db/x?user=a&password=secret1":         "(hidden)",
		"postgres://db/x?user=a&passw%6Frd=secret1":       "(hidden)",
		"postgres://db/x?sslpassword=secret1":             "(hidden)",
		"host=db user=a PASSWORD=secret1":                 "(hidden)",
		"postgres://a:1/secret1@db/x":                     "(hidden)",
		"postgres://a:se#cret1@db/x":                      "(hidden)",
	} {
		opts := sampleOptions()
		opts.Getenv = func(name string) string { return map[string]string{"CARILLON_STORE": address}[name] }
		for _, verb := range []string{"serve", "nodes"} {
			var out bytes.Buffer
			if err := Run(t.Context(), opts, []string{"config", verb, "-o", "jsonl"}, strings.NewReader(""), &out, &out); err != nil {
				t.Fatal(err)
			}
			if line := `{"flag":"store","value":"` + want + `","source":"$CARILLON_STORE"}`; !strings.Contains(out.String(), line) || strings.Contains(out.String(), "cret1") {
				t.Errorf("%s of %s: want %s in %s", verb, address, line, &out)
			}
		}
	}
}
