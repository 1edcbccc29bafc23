package postgres_test

import (
	"testing"
	"time"

	"carillon/storage"
	"carillon/storage/postgres"
)

type bell struct{ Name string }

var bells = storage.NewTable[bell]("bells")

// joins joins a node, which has left when the test ends.
func joins(t *testing.T, log storage.SharedLog, name string) *storage.Standby {
	t.Helper()
	node, err := storage.Join(t.Context(), t.TempDir(), storage.Options{Log: log, NoSync: true, Node: storage.Node{Name: name, TTL: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	return node
}

func mustOwn(t *testing.T, node *storage.Standby) *storage.Store {
	t.Helper()
	s, err := node.Own(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// add adds a bell to the app, and returns how many there are then.
func add(t *testing.T, s *storage.Store, id storage.AppID) (n int) {
	t.Helper()
	app, err := s.App(id)
	if err != nil {
		t.Fatal(err)
	}
	tx := app.Begin(time.UnixMilli(1_800_000_000_000))
	if _, err = bells.Insert(tx.Writer(), bell{"b"}); err == nil {
		for _, err = range bells.Query(tx.Writer()).All() {
			n++
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	if err := tx.Commit(func(err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return n
}

// TestG43_StoreInPostgreSQL: what a node has written another one shows that takes the store over,
// which the first has given up, or after its TTL.
func TestG43_StoreInPostgreSQL(t *testing.T) {
	log := postgres.Log(server.Address(t) + "&schema=store")
	if _, err := log.Migrate(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	apps := []storage.AppID{"a", "b", "c", "d", "e"}
	a, b := joins(t, log, "a"), joins(t, log, "b")
	s := mustOwn(t, a)
	for _, id := range apps {
		add(t, s, id)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOwn(t, b)
	for _, id := range apps {
		if n := add(t, s, id); n != 2 {
			t.Errorf("app %s has %d bells, want 2", id, n)
		}
	}
	if err := b.Abort(); err != nil { // its TTL has to pass
		t.Fatal(err)
	}
	s = mustOwn(t, a)
	for _, id := range apps {
		if n := add(t, s, id); n != 3 {
			t.Errorf("app %s has %d bells, want 3", id, n)
		}
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}
