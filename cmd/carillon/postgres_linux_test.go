package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"carillon/cmd"
	"carillon/internal/pgtest"

	"go.uber.org/goleak"
)

// postgresql is the server of all tests.
var postgresql pgtest.Server

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		postgresql.Stop()
		os.Exit(code)
	}))
}

// runs runs a command line, and returns what it has printed and its exit code.
func runs(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	var stdout bytes.Buffer
	err := cmd.Run(t.Context(), options(), args, strings.NewReader(""), &stdout, &stdout)
	if err != nil {
		stdout.WriteString(err.Error())
	}
	return stdout.String(), cmd.ExitCode(err)
}

// TestStoreInPostgreSQL: the log is made once, keeps its shards, and is checked; what only looks makes nothing.
func TestStoreInPostgreSQL(t *testing.T) {
	at := postgresql.Address(t) + "&schema=command"
	for _, tt := range []struct {
		line, want string
		code       int
	}{
		{"store check", "there is no log", 1},
		{"nodes --store", "there is no log", 1},
		{"shards --store", "there is no log", 1},
		{"store migrate --shards 0", "--shards is 0, want 1 to 4096", 2},
		{"store migrate --shards 4097", "--shards is 4097, want 1 to 4096", 2},
		{"store migrate --shards 8", "ok, shards: 8, version", 0},
		{"store migrate", "ok, shards: 8, version", 0},
		{"store check", "ok, shards: 8, version", 0},
		{"check --data", "ok, shards: 8, version", 0},
		{"nodes --server 127.0.0.1:1 --store", "want either --store, or --server or --data", 2},
	} {
		out, code := runs(t, append(strings.Fields(tt.line), at)...)
		if !strings.Contains(out, tt.want) || code != tt.code {
			t.Errorf("carillon %s: exit code %d, %s\nwant %d and %q", tt.line, code, out, tt.code, tt.want)
		}
	}
}
