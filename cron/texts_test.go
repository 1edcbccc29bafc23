package cron_test

import (
	"archive/zip"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"carillon/cron"
)

// What is refused is told in characters, as people count and see them.
func TestG21_ErrorsNameCharacters(t *testing.T) {
	for _, tt := range []struct{ spec, zone, want string }{
		{"0 9 * * 1–5", "", `character 10, '–', is not allowed; write a hyphen, -`},
		{"０ 9 * * *", "", `character 1, '０', is not allowed; write '0'`},
		{"0\u00a09 * * *", "", `character 2, '\u00a0', is not allowed; write a blank`},
		{"ä", "", `character 1, 'ä', is not allowed`},
		{"0 9 * * \xff", "", "it is not UTF-8"},
		{strings.Repeat("é", 200), "", "400 bytes is longer than 256"},
		{"0 9 * * *", "us/eastern", `"us/eastern" is not a known IANA zone; did you mean US/Eastern?`},
		{"0 9 * * *", "europe/rome", `did you mean Europe/Rome?`},
		{"0 9 * * *", "america/new_york", `did you mean America/New_York?`},
		{"0 9 * * *", "utc", `did you mean UTC?`},
		{"0 9 * * *", "etc/gmt+1", `did you mean Etc/GMT+1?`},
		{"0 9 * * *", "Mars/Base", `"Mars/Base" is not a known IANA zone`},
	} {
		_, err := cron.Expr(tt.spec).Compile(tt.zone)
		var bad *cron.SpecError
		if !errors.As(err, &bad) || !strings.Contains(bad.Reason, tt.want) || !utf8.ValidString(bad.Error()) {
			t.Errorf("%q in %q: %v, want %q", tt.spec, tt.zone, err, tt.want)
		}
	}
}

// A zone in the wrong case is answered with the right one, whichever it is.
func TestG21_EveryZoneIsFoundInAnyCase(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skip(err)
	}
	names, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Skip(err)
	}
	defer names.Close()
	n := 0
	for _, file := range names.File {
		name := file.Name
		if strings.HasSuffix(name, "/") {
			continue
		}
		n++
		for _, other := range []string{strings.ToLower(name), strings.ToUpper(name)} {
			if _, err := cron.Expr("0 9 * * *").Compile(other); other != name && (err == nil || !strings.HasSuffix(err.Error(), "; did you mean "+name+"?")) {
				t.Errorf("%s is answered with: %v", other, err)
			}
		}
	}
	if n < 500 {
		t.Errorf("the database has %d zones", n)
	}
}

// White space around a spec means nothing, whichever it is.
func TestG21_BlanksAroundASpec(t *testing.T) {
	want, err := cron.Expr("0 9 * * *").Compile("")
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range []string{"0 9 * * *\n", "0 9 * * *\r\n", "\t0 9 * * * ", "0  9 * *\t*"} {
		got, err := cron.Expr(spec).Compile("")
		if err != nil || got.String() != want.String() {
			t.Errorf("%q: %v, %v", spec, got, err)
		}
	}
	if _, err := cron.Expr("0 9\n* * *").Compile(""); err == nil {
		t.Error("a line break within a spec is taken")
	}
}
