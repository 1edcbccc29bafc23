package storage_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"carillon/storage"
	"carillon/storage/memlog"
)

// nodeShards is how many shards the logs of these tests have.
const nodeShards = 3

// node is a node of a log in memory, and the store while it owns it.
type node struct {
	*storage.Standby
	store *storage.Store
	dir   string
}

func nodeOptions(log storage.SharedLog, name string) storage.Options {
	return storage.Options{Log: log, Node: storage.Node{Name: name}, NoSync: true, Program: "notes", Tables: []storage.Schema{dingbats}}
}

// mustJoin joins a node, which leaves when the test ends.
func mustJoin(t *testing.T, log storage.SharedLog, name, dir string) *node {
	t.Helper()
	st, err := storage.Join(t.Context(), dir, nodeOptions(log, name))
	if err != nil {
		t.Fatalf("%s joins: %v", name, err)
	}
	n := &node{Standby: st, dir: dir}
	t.Cleanup(func() { n.mustLeave(t) })
	return n
}

// mustOwn waits until the node owns the store.
func (n *node) mustOwn(t *testing.T) *storage.Store {
	t.Helper()
	s, err := n.Own(t.Context())
	if err != nil {
		t.Fatalf("own: %v", err)
	}
	n.store = s
	return s
}

// mustGiveUp closes the node's store after a check.
func (n *node) mustGiveUp(t *testing.T) {
	t.Helper()
	if n.store == nil {
		return
	}
	select {
	case <-n.store.Lost():
	default:
		if err := n.store.Check(); err != nil {
			t.Errorf("check: %v", err)
		}
	}
	if err := n.store.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	n.store = nil
}

// mustLeave ends the node. A second call does nothing.
func (n *node) mustLeave(t *testing.T) {
	t.Helper()
	n.mustGiveUp(t)
	if err := n.Standby.Close(); err != nil {
		t.Errorf("leave: %v", err)
	}
}

// inAll are apps of which each shard has one at least.
var inAll = []storage.AppID{"a", "b", "c", "d", "e", "f"}

// TestG43_HandOver: what one node has written another one shows when it owns the store; and so back
// again.
func TestG43_HandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(nodeShards)
		a, b := mustJoin(t, log, "a", t.TempDir()), mustJoin(t, log, "b", t.TempDir())
		s := a.mustOwn(t)
		for _, id := range inAll {
			mustAdd(t, s, id, "of a")
		}
		if err := s.SetDeclared("v1"); err != nil {
			t.Fatal(err)
		}
		a.mustGiveUp(t)
		b.mustOwn(t)
		for _, id := range inAll {
			mustAdd(t, b.store, id, "of b")
		}
		if name, err := b.store.Program(); name != "notes" || err != nil {
			t.Errorf("program %q, %v", name, err)
		}
		if d, err := b.store.Declared(); d != "v1" || err != nil {
			t.Errorf("declared %q, %v", d, err)
		}
		want := mustDumpAll(t, b.store)
		b.mustGiveUp(t)
		if got := mustDumpAll(t, a.mustOwn(t)); !slices.Equal(got, want) {
			t.Errorf("a shows %q, want %q", got, want)
		}
	})
}

// mustDumpAll is what the store has of all its apps.
func mustDumpAll(t *testing.T, s *storage.Store) (lines []string) {
	t.Helper()
	for _, id := range mustApps(t, s) {
		lines = append(append(lines, string(id)), mustDump(t, s, id)...)
	}
	return lines
}
