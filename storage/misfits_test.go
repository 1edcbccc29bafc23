package storage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"carillon/storage"
)

// looseRows opens the table of openRows with documents of any shape and no index, and
// stores these.
func looseRows(t *testing.T, dir string, docs ...string) (ids []storage.ID[any2]) {
	t.Helper()
	s := mustOpen(t, dir, storage.Options{})
	loose := storage.NewTable[any2]("rows")
	mustUpdate(t, mustApp(t, s, "acme"), func(w storage.Writer) {
		for _, text := range docs {
			var doc any2
			if err := json.Unmarshal([]byte(text), &doc); err != nil {
				t.Fatal(err)
			}
			id, err := loose.Insert(w, doc)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
	})
	mustClose(t, s)
	return ids
}

// G38: a document that does not fit an index is left out of it and counted; it is in
// every index that it fits, and all other writes to the table go on.
func TestG38_ADocumentThatFitsNoIndexIsLeftOut(t *testing.T) {
	long := func(n int) string { return fmt.Sprintf(`{"a":%q,"n":1}`, strings.Repeat("x", n)) }
	for name, tt := range map[string]struct {
		doc  string
		byA  bool // it fits
		byN  bool
		says []string
	}{
		"fits":           {`{"a":"x","n":1}`, true, true, nil},
		"longest key":    {long(2048 - 2), true, true, nil},
		"key too long":   {long(2048 - 1), false, true, []string{"index by_a", `field "a"`, "2049 bytes"}},
		"other type":     {`{"a":"x","n":"one"}`, true, false, []string{"index by_n", `field "n"`, "want a int, got string"}},
		"two of them":    {`{"a":1,"n":"one"}`, false, false, []string{"index by_a", `field "a"`, "want a string, got number"}},
		"a fraction":     {`{"a":"x","n":1.5}`, true, false, []string{"index by_n", "1.5"}},
		"null is a zero": {`{"a":null}`, true, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			fine := `{"a":"fine","n":7}`
			ids := looseRows(t, dir, fine, tt.doc, fine)
			s, rows, app := openRows(t, dir, storage.Index("by_a", "a"), storage.Index("by_n", "n"))
			var leftOut []error
			for done := false; !done; {
				tx := app.Begin(testNow)
				var more []error
				var err error
				if done, more, err = tx.ReconcileIndexes(2); err != nil {
					t.Fatal(err)
				}
				mustCommit(t, tx)
				leftOut = append(leftOut, more...)
			}
			want := 0
			for _, fits := range []bool{tt.byA, tt.byN} {
				if !fits {
					want++
				}
			}
			if len(leftOut) != want {
				t.Fatalf("left out: %v, want %d", leftOut, want)
			}
			for _, part := range append(tt.says, "table rows", string(ids[1])) {
				if want > 0 && !strings.Contains(leftOut[0].Error(), part) {
					t.Errorf("%v does not say %q", leftOut[0], part)
				}
			}
			counts := func() {
				t.Helper()
				if n, err := app.Misfits(); err != nil || n != want {
					t.Errorf("the app counts %d, %v, want %d", n, err, want)
				}
				list, err := s.Misfits()
				if err != nil || len(list) != want {
					t.Errorf("the store lists %v, %v", list, err)
				}
				if err := s.Check(); err != nil {
					t.Error(err)
				}
				mustRead(t, app, func(r storage.Reader) {
					for index, fits := range map[string]bool{"by_a": tt.byA, "by_n": tt.byN} {
						all, err := rows.Query(r).Count()
						n, err2 := rows.Query(r).By(index).Count()
						if err := errors.Join(err, err2); err != nil || (n == all) != fits {
							t.Errorf("%s has %d of %d, %v", index, n, all, err)
						}
					}
				})
			}
			counts()
			// The rest of the table goes on, and what does not fit is refused by name.
			mustUpdate(t, app, func(w storage.Writer) {
				id, err := rows.Insert(w, Rows{A: "new", N: 3})
				if err != nil {
					t.Fatal(err)
				}
				if err := rows.Replace(w, id, Rows{A: "newer", N: 4}); err != nil {
					t.Fatal(err)
				}
				_, err = rows.Insert(w, Rows{A: strings.Repeat("y", 2047)})
				wantErr(t, err, storage.ErrLimit, "table rows", "index by_a", `field "a"`)
				wantErr(t, rows.Replace(w, id, Rows{A: strings.Repeat("y", 2047)}), storage.ErrPermanent, "index by_a")
			})
			counts()
			// It can be mended, and spoiled no more.
			mustUpdate(t, app, func(w storage.Writer) {
				if err := rows.Replace(w, storage.ID[Rows](ids[1]), Rows{A: "mended", N: 5}); err != nil {
					t.Fatal(err)
				}
				if n, err := rows.Query(w).By("by_a").Eq("mended").Count(); err != nil || n != 1 {
					t.Errorf("mended: %d, %v", n, err)
				}
			})
			want, tt.byA, tt.byN = 0, true, true
			counts()
			mustUpdate(t, app, func(w storage.Writer) {
				if err := rows.Delete(w, storage.ID[Rows](ids[1])); err != nil {
					t.Fatal(err)
				}
			})
			counts()
		})
	}
}

// G38: a document that is left out can be deleted, and goes with its index.
func TestG38_WhatIsLeftOutGoesAway(t *testing.T) {
	for name, away := range map[string]func(t *testing.T, dir string, id storage.ID[Rows]) int{
		"deleted": func(t *testing.T, dir string, id storage.ID[Rows]) int {
			s, rows, app := openRows(t, dir, storage.Index("by_n", "n"))
			defer mustClose(t, s)
			reconcile(t, app, 100, 10)
			mustUpdate(t, app, func(w storage.Writer) {
				if err := rows.Delete(w, id); err != nil {
					t.Fatal(err)
				}
			})
			return 0
		},
		"index dropped": func(t *testing.T, dir string, id storage.ID[Rows]) int {
			s, _, app := openRows(t, dir)
			defer mustClose(t, s)
			reconcile(t, app, 1, 100)
			return 0
		},
		"index of another field": func(t *testing.T, dir string, id storage.ID[Rows]) int {
			s, _, app := openRows(t, dir, storage.Index("by_n", "a"))
			defer mustClose(t, s)
			reconcile(t, app, 1, 100)
			return 0
		},
		"exported and imported": func(t *testing.T, dir string, id storage.ID[Rows]) int {
			s, _, _ := openRows(t, dir, storage.Index("by_n", "n"))
			defer mustClose(t, s)
			var stream strings.Builder
			if err := s.Export(t.Context(), "acme", &stream); err != nil {
				t.Fatal(err)
			}
			if err := s.Import(t.Context(), "other", strings.NewReader(stream.String())); err != nil {
				t.Fatal(err)
			}
			return 2
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ids := looseRows(t, dir, `{"n":1}`, `{"n":"one"}`, `{"n":2}`)
			s, _, app := openRows(t, dir, storage.Index("by_n", "n"))
			reconcile(t, app, 100, 10)
			if n, err := app.Misfits(); err != nil || n != 1 {
				t.Fatalf("left out: %d, %v", n, err)
			}
			mustClose(t, s)
			want := away(t, dir, storage.ID[Rows](ids[1]))
			s = mustOpen(t, dir, storage.Options{})
			list, err := s.Misfits()
			if err != nil || len(list) != want {
				t.Errorf("left out then: %v, %v", list, err)
			}
			if err := s.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// mood is a type that decodes itself, by the rules of a release.
type mood string

// moods are the texts that this release knows.
var moods = map[string]mood{}

func (m *mood) UnmarshalText(text []byte) error {
	known, ok := moods[string(text)]
	if !ok {
		return fmt.Errorf("no mood %q", text)
	}
	*m = known
	return nil
}

// G38: an integer of another width, and a type that decodes itself by other rules,
// leave the entries of an index as they are, and each document can be changed.
func TestG38_AnotherReleaseChangesWhatItsIndexesHave(t *testing.T) {
	type wide struct {
		N    int16 `json:"n"`
		Mood mood  `json:"mood"`
	}
	type narrow struct {
		N    int8 `json:"n"`
		Mood mood `json:"mood"`
	}
	dir := t.TempDir()
	moods = map[string]mood{"good": "a", "bad": "b"}
	indexes := []storage.IndexDecl{storage.Index("by_n", "n"), storage.Index("by_mood", "mood")}
	old := storage.NewTable[wide]("moody", indexes...)
	s := mustOpen(t, dir, storage.Options{Tables: []storage.Schema{old}})
	var ids []storage.ID[narrow]
	mustUpdate(t, mustApp(t, s, "acme"), func(w storage.Writer) {
		for i, m := range []mood{"good", "bad", "good", "bad", "good"} {
			id, err := old.Insert(w, wide{N: int16(100 * i), Mood: m})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, storage.ID[narrow](id))
		}
	})
	mustClose(t, s)
	moods = map[string]mood{"good": "z"} // and "bad" is not known
	now := storage.NewTable[narrow]("moody", indexes...)
	s = mustOpen(t, dir, storage.Options{Tables: []storage.Schema{now}})
	app, err := s.App("acme")
	if err != nil {
		t.Fatal(err)
	}
	reconcile(t, app, 100, 10)
	mustUpdate(t, app, func(w storage.Writer) {
		for i, id := range ids {
			if i%2 == 0 {
				err = now.Replace(w, id, narrow{N: int8(i), Mood: "good"})
			} else {
				err = now.Delete(w, id)
			}
			if err != nil {
				t.Errorf("document %d: %v", i, err)
			}
		}
		if n, err := now.Query(w).By("by_mood").Eq(mood("z")).Count(); err != nil || n != 3 {
			t.Errorf("by mood: %d, %v", n, err)
		}
		if n, err := now.Query(w).By("by_n").Eq(int8(2)).Count(); err != nil || n != 1 {
			t.Errorf("by number: %d, %v", n, err)
		}
		_, err := now.Insert(w, narrow{Mood: "bad"})
		wantErr(t, err, storage.ErrInvalid, "index by_mood", `field "mood"`, `no mood "bad"`)
	})
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}
