package storage_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/storage"
	"carillon/storage/internal/kv"
)

func tokenOf(id string) storage.Token {
	at := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	return storage.Token{
		ID: id, Name: "ann", Apps: []storage.AppID{"acme"}, Scopes: []string{"read"},
		Hash: sha256.Sum256([]byte(id)), CreatedAt: at, ExpiresAt: at.Add(time.Hour),
	}
}

// TestTokensAreKept: through a restart, a backup and its restore; and one that was taken away
// is gone at once, and for good.
func TestTokensAreKept(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, fourVolumes)
	want := []storage.Token{tokenOf("a1"), tokenOf("b2"), {ID: "c3", Name: "ann", AllApps: true, Hash: sha256.Sum256(nil), CreatedAt: tokenOf("").CreatedAt.Add(time.Second)}}
	for _, token := range append(want, tokenOf("gone")) {
		if err := s.Tokens().Add(token); err != nil {
			t.Fatal(err)
		}
	}
	if known, err := s.Tokens().Remove("gone"); !known || err != nil {
		t.Errorf("removing one: %v, %v", known, err)
	}
	if known, err := s.Tokens().Remove("gone"); known || err != nil {
		t.Errorf("removing it again: %v, %v", known, err)
	}
	if err := s.Tokens().Add(tokenOf("a1")); !errors.Is(err, storage.ErrExists) {
		t.Errorf("the same id again: %v", err)
	}
	same := func(what string, s *storage.Store) {
		t.Helper()
		if got, err := s.Tokens().List(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", what, got, err, want)
		}
		if got, known, err := s.Tokens().Get("b2"); !known || err != nil || !reflect.DeepEqual(got, want[1]) {
			t.Errorf("%s: %+v, %v, %v", what, got, known, err)
		}
		if got, known, err := s.Tokens().Get("gone"); known || err != nil {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	same("made", s)
	backup, _ := mustBackup(t, s, "")
	mustClose(t, s)
	s = mustOpen(t, dir, fourVolumes)
	same("reopened", s)
	mustClose(t, s)
	s = mustRestore(t, backup)
	same("restored", s)
	mustClose(t, s)
}

// TestTokensAreBounded refuses what cannot be, and the one beyond each bound.
func TestTokensAreBounded(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{NoSync: true})
	defer mustClose(t, s)
	with := func(change func(*storage.Token)) storage.Token {
		token := tokenOf(fmt.Sprint("n", time.Now().UnixNano()))
		change(&token)
		return token
	}
	apps := slices.Repeat([]storage.AppID{"a"}, storage.MaxTokenApps+1)
	for name, change := range map[string]func(n int) func(*storage.Token){
		"id":   func(n int) func(*storage.Token) { return func(t *storage.Token) { t.ID = strings.Repeat("x", 64+n) } },
		"name": func(n int) func(*storage.Token) { return func(t *storage.Token) { t.Name = strings.Repeat("x", 64+n) } },
		"apps": func(n int) func(*storage.Token) {
			return func(t *storage.Token) { t.Apps = apps[:storage.MaxTokenApps+n] }
		},
		"scopes": func(n int) func(*storage.Token) {
			return func(t *storage.Token) { t.Scopes = slices.Repeat([]string{"s"}, 64+n) }
		},
		"scope": func(n int) func(*storage.Token) {
			return func(t *storage.Token) { t.Scopes = []string{strings.Repeat("s", 64+n)} }
		},
	} {
		if err := s.Tokens().Add(with(change(0))); err != nil {
			t.Errorf("the longest %s: %v", name, err)
		}
		if err := s.Tokens().Add(with(change(1))); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("a longer %s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*storage.Token){
		"no id":             func(t *storage.Token) { t.ID = "" },
		"an id in capitals": func(t *storage.Token) { t.ID = "A" },
		"no name":           func(t *storage.Token) { t.Name = "" },
		"a name of lines":   func(t *storage.Token) { t.Name = "a\nb" },
		"no app's name":     func(t *storage.Token) { t.Apps = []storage.AppID{"a/b"} },
		"no hash":           func(t *storage.Token) { t.Hash = [sha256.Size]byte{} },
	} {
		if err := s.Tokens().Add(with(change)); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	all, err := s.Tokens().List()
	if err != nil || len(all) != 5 {
		t.Fatalf("%d tokens, %v", len(all), err)
	}
	for i := len(all); i < storage.MaxTokens; i++ {
		if err := s.Tokens().Add(tokenOf(fmt.Sprint("t", i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Tokens().Add(tokenOf("more")); !errors.Is(err, storage.ErrLimit) {
		t.Errorf("one more than the limit: %v", err)
	}
	if known, err := s.Tokens().Remove("t7"); !known || err != nil {
		t.Errorf("removing one: %v, %v", known, err)
	}
	if err := s.Tokens().Add(tokenOf("more")); err != nil {
		t.Errorf("in its place: %v", err)
	}
}

// TestTokensAreChecked: a token that is damaged lets no one in, check tells of it, and it can
// be taken away.
func TestTokensAreChecked(t *testing.T) {
	dir := t.TempDir()
	open := func() *storage.Store { // it is not sound when it is closed
		s, err := storage.Open(dir, storage.Options{Volumes: 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	s := open()
	for _, id := range []string{"a1", "b2"} {
		if err := s.Tokens().Add(tokenOf(id)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	for i, row := range map[int]string{0: "a1", 1: "c3"} {
		if err := s.WriteVolume(i, func(tx *kv.Txn) error { return tx.Put(kv.Meta, []byte("token-"+row), []byte("\x08\x01bad")) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), `token "a1"`) || !strings.Contains(err.Error(), `token "c3" is not in volume 0`) || strings.Contains(err.Error(), "b2") {
		t.Errorf("check says %v", err)
	}
	for id, want := range map[string]bool{"a1": false, "b2": true, "c3": false} {
		if _, known, err := s.Tokens().Get(id); known != want || err != nil {
			t.Errorf("%s: %v, %v", id, known, err)
		}
	}
	if known, err := s.Tokens().Remove("a1"); !known || err != nil {
		t.Errorf("the damaged one: %v, %v", known, err)
	}
	if err := s.Check(); err == nil || strings.Contains(err.Error(), "a1") {
		t.Errorf("afterwards check says %v", err)
	}
}
