package cmd

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/server"
)

// fieldOf is the option whose name with hyphens the flag has.
func fieldOf(p *program, name string) (field reflect.Value) {
	for _, options := range []any{&p.Engine, &p.Server} {
		v := reflect.ValueOf(options).Elem()
		field := v.FieldByNameFunc(func(f string) bool { return strings.EqualFold(f, strings.ReplaceAll(name, "-", "")) })
		if field.IsValid() {
			return field
		}
	}
	return field
}

// TestLimitsAreFlags: each sets the option of its name, within its bounds, and is on the page of
// limits.
func TestLimitsAreFlags(t *testing.T) {
	page := mustRead(t, "docs/limits.md")
	p := &program{Options: Options{Engine: actors.Options{MaxApps: 7}, Server: server.Options{MaxBody: 2 << 20}}}
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	p.limitFlags(flags)
	found := 0
	flags.VisitAll(func(f *flag.Flag) {
		if !strings.Contains(page, "`--"+f.Name+"`") {
			t.Errorf("docs/limits.md does not have --%s", f.Name)
		}
		b, ok := f.Value.(*bound)
		if !ok {
			return
		}
		found++
		field := fieldOf(p, f.Name)
		if !field.IsValid() {
			t.Errorf("--%s is no option", f.Name)
			return
		}
		for _, n := range []int64{b.least, b.most} {
			if err := f.Value.Set(b.show(n)); err != nil || field.Int() != n {
				t.Errorf("--%s %s: %v, and the option is %d", f.Name, b.show(n), err, field.Int())
			}
		}
		for _, n := range []int64{b.least - 1, b.most + 1} {
			if err := f.Value.Set(b.show(n)); err == nil || field.Int() != b.most {
				t.Errorf("--%s %s: %v, and the option is %d", f.Name, b.show(n), err, field.Int())
			}
		}
	})
	if found != 24 {
		t.Errorf("%d limits are flags", found)
	}
}

// TestLimitsOfTheProgram hold unless a flag says otherwise.
func TestLimitsOfTheProgram(t *testing.T) {
	p := &program{Options: Options{Engine: actors.Options{MaxApps: 7, Retention: time.Hour}, Server: server.Options{MaxBody: 2 << 20}}}
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	p.limitFlags(flags)
	for name, want := range map[string]string{"max-apps": "7", "retention": "1h0m0s", "max-body": "2MiB", "max-memory": ""} {
		if got := flags.Lookup(name).DefValue; got != want {
			t.Errorf("--%s is %q without a flag, want %q", name, got, want)
		}
	}
	if err := flags.Parse([]string{"--max-body", "300KiB", "--origins", "https://a.example,https://b.example:8443", "--hosts", "a.internal"}); err != nil {
		t.Fatal(err)
	}
	if p.Server.MaxBody != 300<<10 || p.Engine.MaxApps != 7 || p.Engine.Retention != time.Hour || len(p.Server.Origins) != 2 || p.Server.Hosts[0] != "a.internal" {
		t.Errorf("the options are %+v, %d", p.Server, p.Engine.MaxApps)
	}
}

// TestBadLimitsAreRefused before anything is made, with what is wanted.
func TestBadLimitsAreRefused(t *testing.T) {
	for _, tt := range []struct{ flag, value, want string }{
		{"max-body", "lots", "want a number of bytes, such as 64MiB"},
		{"max-body", "1TB", "want a number of bytes"},
		{"max-body", "9999999999999GiB", "want a number of bytes"},
		{"max-body", "0", "want 1 to 1024GiB"},
		{"max-client-requests", "0", "want 1 to 1000000000"},
		{"concurrency", "1000001", "want 1 to 1000000"},
		{"retention", "1us", "want 1ms to 876000h0m0s"},
		{"retention", "7", "missing unit"},
		{"keep-dead", "-2", "want -1 to"},
		{"max-conns", "0", "--max-conns is 0, want 1 to 1000000"},
		{"origins", "app.example.com", "invalid origin"},
		{"trusted-proxies", "10.0.0.1", "no '/'"},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		var out bytes.Buffer
		err := run(t.Context(), []string{"serve", "--data", dir, "--listen", "127.0.0.1:0", "--" + tt.flag, tt.value}, strings.NewReader(""), &out, &out)
		if ExitCode(err) != 2 || !strings.Contains(err.Error(), tt.want) || out.Len() > 0 {
			t.Errorf("--%s %s: %v, want %s", tt.flag, tt.value, err, tt.want)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("--%s %s: the directory was made", tt.flag, tt.value)
		}
	}
}
