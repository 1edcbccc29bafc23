package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"carillon/internal/pgtest"
	"carillon/storage"
	"carillon/storage/internal/pglog"
	"carillon/storage/postgres"

	"go.uber.org/goleak"
)

// server is that of all tests.
var server pgtest.Server

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		server.Stop()
		os.Exit(code)
	}))
}

// TestLogIsMadeAndChecked: a log is made with the shards that were asked for and keeps them, and a check
// says what it is and makes nothing.
func TestLogIsMadeAndChecked(t *testing.T) {
	log := postgres.Log(server.Address(t) + "&schema=made")
	for range 2 {
		if _, err := log.Check(t.Context()); !errors.Is(err, pglog.ErrNone) {
			t.Fatalf("before it is made: %v, want %v", err, pglog.ErrNone)
		}
	}
	made, err := log.Migrate(t.Context(), 8)
	if err != nil || made.Shards != 8 || made.ID == 0 || made.Version < 1 {
		t.Fatalf("made: %+v, %v", made, err)
	}
	again, err := log.Migrate(t.Context(), 16)
	if err != nil || again != made {
		t.Errorf("made again: %+v, %v, want %+v", again, err, made)
	}
	is, err := log.Check(t.Context())
	if err != nil || is != made {
		t.Errorf("checked: %+v, %v, want %+v", is, err, made)
	}
	other, err := postgres.Log(server.Address(t)+"&schema=other").Migrate(t.Context(), 0)
	if err != nil || other.Shards != pglog.DefaultShards || other.ID == made.ID {
		t.Errorf("another one: %+v, %v", other, err)
	}
	for _, n := range []int{-1, pglog.MaxShards + 1} {
		if _, err := postgres.Log(server.Address(t)+fmt.Sprintf("&schema=of%d", n)).Migrate(t.Context(), n); err == nil {
			t.Errorf("a log with %d shards was made", n)
		}
	}
}

// TestAddressesThatAreWrong are told when the log is used.
func TestAddressesThatAreWrong(t *testing.T) {
	for _, address := range []string{"postgres://h:port/", "postgres://127.0.0.1:1/?unsafe=maybe"} {
		if _, err := postgres.Log(address).Check(t.Context()); err == nil {
			t.Errorf("%q: no error", address)
		}
	}
}

// TestTimelineIsKeptBesideTheCopies: a node that joins has the timeline of the server in its directory.
func TestTimelineIsKeptBesideTheCopies(t *testing.T) {
	log, dir := postgres.Log(server.Address(t)+"&schema=beside"), filepath.Join(t.TempDir(), "cache")
	if _, err := log.Migrate(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	node, err := storage.Join(t.Context(), dir, storage.Options{Log: log, Node: storage.Node{Name: "a"}, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	if text, err := os.ReadFile(filepath.Join(dir, "timeline")); err != nil || !strings.HasSuffix(string(text), " timeline 1\n") {
		t.Errorf("the node's directory has %q, %v", text, err)
	}
}

// TestLogBesideAnother is in a schema of its own, by either form of an address, and goes without the other.
func TestLogBesideAnother(t *testing.T) {
	type scratch interface {
		storage.SharedLog
		Beside(schema string) storage.SharedLog
		Remove(context.Context) error
	}
	address := server.Address(t) + "&schema=first"
	settings := "user=postgres dbname=postgres host=" + filepath.Dir(server.Socket()) + " schema=first"
	first, err := postgres.Log(address).Migrate(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{address, strings.Replace(address, "postgres:", "postgresql:", 1), settings} {
		beside := postgres.Log(at).(scratch).Beside("second").(scratch)
		if is, err := beside.Migrate(t.Context(), 2); err != nil || is.Shards != 2 || is.ID == first.ID {
			t.Fatalf("beside %s: %+v, %v", at, is, err)
		}
		for range 2 {
			if err := beside.Remove(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := beside.Check(t.Context()); !errors.Is(err, pglog.ErrNone) {
				t.Errorf("once it was removed: %v, want %v", err, pglog.ErrNone)
			}
		}
		if is, err := postgres.Log(at).Check(t.Context()); err != nil || is != first {
			t.Errorf("the other one: %+v, %v, want %+v", is, err, first)
		}
	}
}
