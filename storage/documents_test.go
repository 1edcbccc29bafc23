package storage_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

type shelfItem struct {
	Shelf string    `json:"shelf"`
	N     int       `json:"n"`
	At    time.Time `json:"at"`
	Owner *string   `json:"owner,omitempty"`
	More  shelfMore `json:"more,omitzero"`
}

type shelfMore struct {
	Wide bool `json:"wide"`
}

// mustDocuments is an app with 12 documents of a table with indexes, and one of a table that the store
// has not heard of.
func mustDocuments(t *testing.T) (*storage.App, []string) {
	t.Helper()
	items := storage.NewTable[shelfItem]("items", storage.Index("by_shelf", "shelf", "n"), storage.Index("by_owner", "owner"), storage.Index("by_at", "at"), storage.Index("by_wide", "more.wide"))
	bare := storage.NewTable[Note]("bare")
	s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{items}})
	app := mustApp(t, s, "acme")
	var ids []string
	mustUpdate(t, app, func(w storage.Writer) {
		ann := "ann"
		for i := range 12 {
			item := shelfItem{Shelf: []string{"a", "b", "null"}[i%3], N: i, At: time.Date(2030, 1, 1+i, 0, 0, 0, 0, time.UTC)}
			if i == 4 {
				item.Owner, item.More = &ann, shelfMore{true}
			}
			id, err := items.Insert(w, item)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, string(id))
		}
		if _, err := bare.Insert(w, Note{Text: "x"}); err != nil {
			t.Fatal(err)
		}
	})
	return app, ids
}

// TestListTables: the declared tables are listed, and those that have documents only, with what there
// is to say of each.
func TestListTables(t *testing.T) {
	app, _ := mustDocuments(t)
	mustRead(t, app, func(r storage.Reader) {
		tables, err := storage.ListTables(r)
		if err != nil || len(tables) != 2 {
			t.Fatal(tables, err)
		}
		if bare := tables[0]; bare.Name != "bare" || bare.Type != "" || bare.Documents != 1 || bare.More || bare.Indexes != nil {
			t.Errorf("%+v", bare)
		}
		items := tables[1]
		if items.Name != "items" || items.Type != "storage_test.shelfItem" || items.Documents != 12 || len(items.Indexes) != 4 {
			t.Errorf("%+v", items)
		}
		if got, want := fmt.Sprint(items.Indexes), "[{by_at [{at time}] true} {by_owner [{owner *string}] true} {by_shelf [{shelf string} {n int}] true} {by_wide [{more.wide bool}] true}]"; got != want {
			t.Errorf("indexes %s, want %s", got, want)
		}
	})
}

// TestListDocuments: values are text, as in JSON or without the quotes; pages lead on in both directions.
func TestListDocuments(t *testing.T) {
	app, ids := mustDocuments(t)
	text := func(s string) *string { return &s }
	mustRead(t, app, func(r storage.Reader) {
		for _, tt := range []struct {
			q    storage.DocumentQuery
			want []int
			err  string
		}{
			{q: storage.DocumentQuery{}, want: []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
			{q: storage.DocumentQuery{Desc: true}, want: []int{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}},
			{q: storage.DocumentQuery{Index: "by_shelf", Eq: []string{"b"}}, want: []int{1, 4, 7, 10}},
			{q: storage.DocumentQuery{Index: "by_shelf", Eq: []string{`"b"`, "4"}}, want: []int{4}},
			{q: storage.DocumentQuery{Index: "by_shelf", Eq: []string{"null"}}, want: []int{2, 5, 8, 11}},
			{q: storage.DocumentQuery{Index: "by_shelf", Eq: []string{"b"}, From: text("4"), Before: text("10")}, want: []int{4, 7}},
			{q: storage.DocumentQuery{Index: "by_shelf", Eq: []string{"b"}, After: text("4"), To: text("10"), Desc: true}, want: []int{10, 7}},
			{q: storage.DocumentQuery{Index: "by_owner", Eq: []string{"ann"}}, want: []int{4}},
			{q: storage.DocumentQuery{Index: "by_owner", After: text("null")}, want: []int{4}},
			{q: storage.DocumentQuery{Index: "by_wide", Eq: []string{"true"}}, want: []int{4}},
			{q: storage.DocumentQuery{Index: "by_at", From: text("2030-01-11T00:00:00Z")}, want: []int{10, 11}},
			{q: storage.DocumentQuery{Index: "by_shelf", Eq: []string{"b", "null"}}, err: "want a int, got null"},
			{q: storage.DocumentQuery{Index: "by_shelf", Eq: []string{"b", "x"}}, err: `field "n"`},
			{q: storage.DocumentQuery{Index: "by_shelf", Eq: []string{"b", "1", "2"}}, err: "values for 3 fields"},
			{q: storage.DocumentQuery{Index: "by_at", From: text("null")}, err: `field "at"`},
			{q: storage.DocumentQuery{Index: "by_shelf", From: text("a"), After: text("a")}, err: "two lower bounds"},
			{q: storage.DocumentQuery{Index: "by_shelf", To: text("a"), Before: text("a")}, err: "two upper bounds"},
			{q: storage.DocumentQuery{Index: "none"}, err: "there is no index"},
			{q: storage.DocumentQuery{Eq: []string{"b"}}, err: "values without an index"},
			{q: storage.DocumentQuery{Cursor: "x"}, err: "not a cursor"},
			{q: storage.DocumentQuery{Limit: 1001}, err: "want 1 to 1000"},
			{q: storage.DocumentQuery{Table: "_scheduled_functions"}, err: "table name"},
			{q: storage.DocumentQuery{Table: "none"}, err: "no such table"},
		} {
			q := tt.q
			if q.Table == "" {
				q.Table = "items"
			}
			if tt.err != "" {
				if _, err := storage.ListDocuments(r, q); err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%+v: %v, want %q", tt.q, err, tt.err)
				}
				continue
			}
			for _, limit := range []int{0, 1, 2, len(tt.want), len(tt.want) + 1} {
				var got []string
				pages := 0
				for q.Limit, q.Cursor = limit, ""; ; pages++ {
					page, err := storage.ListDocuments(r, q)
					if err != nil {
						t.Fatal(tt.q, err)
					}
					for _, d := range page.Documents {
						got = append(got, d.ID)
					}
					if q.Cursor = page.Next; q.Cursor == "" {
						break
					}
				}
				var want []string
				for _, i := range tt.want {
					want = append(want, ids[i])
				}
				if fmt.Sprint(got) != fmt.Sprint(want) || limit > 0 && pages != (len(want)-1)/limit {
					t.Errorf("%+v, %d a page: %d more pages, %s, want %s", tt.q, limit, pages, got, want)
				}
			}
		}
		if page, err := storage.ListDocuments(r, storage.DocumentQuery{Table: "bare"}); err != nil || len(page.Documents) != 1 {
			t.Errorf("of a table that is not declared: %v, %v", page, err)
		}
	})
}

// TestListDocumentsBoundsPagesInBytes: a page ends once it has 1 MiB, through an index as well.
func TestListDocumentsBoundsPagesInBytes(t *testing.T) {
	notes := notesTable()
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{notes}}), "acme")
	for range 5 {
		mustUpdate(t, app, func(w storage.Writer) {
			if _, err := notes.Insert(w, textOf(1<<19)); err != nil {
				t.Fatal(err)
			}
		})
	}
	mustRead(t, app, func(r storage.Reader) {
		for _, index := range []string{"", "by_stars"} {
			q, sizes := storage.DocumentQuery{Table: "notes", Index: index}, ""
			for {
				page, err := storage.ListDocuments(r, q)
				if err != nil {
					t.Fatal(err)
				}
				sizes += fmt.Sprint(len(page.Documents))
				if q.Cursor = page.Next; q.Cursor == "" {
					break
				}
			}
			if sizes != "221" {
				t.Errorf("by %q: pages of %s documents, want 221", index, sizes)
			}
		}
	})
}

// TestEditDocument: a change is made of the version that it names, in the form of the table's type, and the
// indexes follow; what does not decode, or is of another version, changes nothing.
func TestEditDocument(t *testing.T) {
	app, ids := mustDocuments(t)
	fit := func(table, data string) (out []byte, err error) {
		mustRead(t, app, func(r storage.Reader) { out, err = storage.FitDocument(r, table, []byte(data)) })
		return out, err
	}
	edit := func(e storage.DocumentEdit) (doc storage.Document, err error) {
		mustUpdate(t, app, func(w storage.Writer) { doc, err = storage.EditDocument(w, e) })
		return doc, err
	}
	get := func(id string) (doc storage.Document, err error) {
		mustRead(t, app, func(r storage.Reader) { doc, err = storage.GetDocument(r, "items", id) })
		return doc, err
	}
	onShelf := func(shelf string) (n int) {
		mustRead(t, app, func(r storage.Reader) {
			page, err := storage.ListDocuments(r, storage.DocumentQuery{Table: "items", Index: "by_shelf", Eq: []string{shelf}})
			if err != nil {
				t.Fatal(err)
			}
			n = len(page.Documents)
		})
		return n
	}
	stored, err := fit("items", ` { "n": 1, "shelf": "new", "at": "2030-01-01T00:00:00Z" } `)
	if want := `{"shelf":"new","n":1,"at":"2030-01-01T00:00:00Z"}`; err != nil || string(stored) != want {
		t.Fatalf("%s, %v, want %s", stored, err, want)
	}
	for data, want := range map[string]string{
		`{"shelf":"x","colour":"red"}`: "colour", `{"shelf":1}`: "shelf", `[]`: "items", `{"n":1,"n":2}`: "items",
		`null`: "items", `{`: "items", `{"shelf":"` + strings.Repeat("x", 3000) + `"}`: "index key",
	} {
		if got, err := fit("items", data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s is %s, %v", data, got, err)
		}
	}
	_, err = fit("bare", `{}`)
	wantErr(t, err, storage.ErrUndeclared, "bare")

	seen, err := get(ids[0])
	if err != nil {
		t.Fatal(err)
	}
	changed, err := edit(storage.DocumentEdit{Table: "items", ID: ids[0], Version: seen.Version, JSON: stored})
	if err != nil || changed.Version == seen.Version || string(changed.JSON) != string(stored) {
		t.Fatalf("%+v, %v", changed, err)
	}
	if now, err := get(ids[0]); err != nil || now.Version != changed.Version || string(now.JSON) != string(stored) || onShelf("new") != 1 || onShelf("a") != 3 {
		t.Errorf("%+v, %v; %d on the new shelf, %d on the old", now, err, onShelf("new"), onShelf("a"))
	}
	for _, json := range [][]byte{stored, []byte(`{"shelf":"late"}`), nil} {
		_, err := edit(storage.DocumentEdit{Table: "items", ID: ids[0], Version: seen.Version, JSON: json})
		wantErr(t, err, storage.ErrConflict, changed.Version)
	}
	made, err := edit(storage.DocumentEdit{Table: "items", JSON: stored})
	if err != nil || made.ID <= ids[11] || onShelf("new") != 2 || onShelf("late") != 0 {
		t.Errorf("%+v, %v; %d on the shelf", made, err, onShelf("new"))
	}
	if _, err := edit(storage.DocumentEdit{Table: "items", ID: made.ID, Version: made.Version}); err != nil || onShelf("new") != 1 {
		t.Errorf("deleted: %v; %d on the shelf", err, onShelf("new"))
	}
	_, err = edit(storage.DocumentEdit{Table: "items", ID: made.ID, Version: made.Version, JSON: stored})
	wantErr(t, err, storage.ErrNotFound)
	_, err = edit(storage.DocumentEdit{Table: "bare", JSON: stored})
	wantErr(t, err, storage.ErrUndeclared)
}
