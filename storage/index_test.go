package storage_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// Rows is what the tests of this file index in changing ways.
type Rows struct {
	A string `json:"a"`
	N int    `json:"n"`
}

// openRows opens the store in dir with indexes on table rows and the app
// without reconciling it.
func openRows(tb testing.TB, dir string, indexes ...storage.IndexDecl) (*storage.Store, *storage.Table[Rows], *storage.App) {
	tb.Helper()
	rows := storage.NewTable[Rows]("rows", indexes...)
	s := mustOpen(tb, dir, storage.Options{Tables: []storage.Schema{rows}})
	app, err := s.App("acme")
	if err != nil {
		tb.Fatal(err)
	}
	return s, rows, app
}

// reconcile commits steps of the budget until nothing is left, at most limit of
// them, and returns how many it took.
func reconcile(tb testing.TB, app *storage.App, budget, limit int) int {
	tb.Helper()
	for n := 1; n <= limit; n++ {
		tx := app.Begin(testNow)
		done, _, err := tx.ReconcileIndexes(budget)
		if err != nil {
			tb.Fatal(err)
		}
		mustCommit(tb, tx)
		if done {
			return n
		}
	}
	return limit
}

func keys(app *storage.App, prefix string) []string {
	tx := app.Begin(testNow)
	defer tx.Rollback(nil)
	return tx.Keys(prefix)
}

func TestIndexIsBuiltOverExistingDocumentsAndDropped(t *testing.T) {
	dir := t.TempDir()
	s, rows, app := openRows(t, dir)
	const many = 100
	mustUpdate(t, app, func(w storage.Writer) {
		for i := range many {
			if _, err := rows.Insert(w, Rows{A: fmt.Sprint(i % 10), N: -i}); err != nil {
				t.Fatal(err)
			}
		}
	})
	mustClose(t, s)

	byA, byN := storage.Index("by_a", "a", "n"), storage.Index("by_n", "n")
	for _, tt := range []struct {
		name    string
		indexes []storage.IndexDecl
		steps   int // of 30 rows
		entries int
	}{
		{"one added", []storage.IndexDecl{byN}, 4, many},
		{"nothing changed", []storage.IndexDecl{byN}, 1, many},
		{"another added", []storage.IndexDecl{byA, byN}, 4, 2 * many},
		{"the order of declaration does not matter", []storage.IndexDecl{byN, byA}, 1, 2 * many},
		{"one dropped", []storage.IndexDecl{byA}, 4, many},
		{"one changed", []storage.IndexDecl{storage.Index("by_a", "n", "a")}, 7, many},
		{"renamed", []storage.IndexDecl{storage.Index("by_other", "n", "a")}, 7, many},
		{"all dropped", nil, 4, 0},
	} {
		s, rows, app = openRows(t, dir, tt.indexes...)
		if got := reconcile(t, app, 30, 100); got != tt.steps {
			t.Errorf("%s: took %d steps, want %d", tt.name, got, tt.steps)
		}
		if got := len(keys(app, "i")); got != tt.entries {
			t.Errorf("%s: %d index entries, want %d", tt.name, got, tt.entries)
		}
		if got, want := len(keys(app, "s")), min(len(tt.indexes), 1); got != want {
			t.Errorf("%s: %d schema records, want %d", tt.name, got, want)
		}
		if slices.ContainsFunc(tt.indexes, func(x storage.IndexDecl) bool { return fmt.Sprint(x) == fmt.Sprint(byN) }) {
			mustUpdate(t, app, func(w storage.Writer) {
				docs, _, err := rows.Query(w).By("by_n").Take(3).Page()
				if err != nil || len(docs) != 3 || docs[0].Value.N != -99 || docs[2].Value.N != -97 {
					t.Errorf("%s: %+v, %v", tt.name, docs, err)
				}
			})
		}
		mustClose(t, s)
	}
}

// At each step of a build the process may die; what was built is kept, and the
// declaration may be another one when the store opens again.
func TestBuildGoesOnAfterReopen(t *testing.T) {
	dir := t.TempDir()
	s, rows, app := openRows(t, dir)
	mustUpdate(t, app, func(w storage.Writer) {
		for i := range 40 {
			if _, err := rows.Insert(w, Rows{N: i}); err != nil {
				t.Fatal(err)
			}
		}
	})
	mustClose(t, s)
	total := 0
	for range 100 {
		s, _, app = openRows(t, dir, storage.Index("by_n", "n"), storage.Index("by_a", "a"))
		if reconcile(t, app, 7, 1); len(keys(app, "i")) == 80 {
			break
		}
		total++
		mustClose(t, s)
	}
	if total != 11 {
		t.Errorf("built after %d reopens, want 11", total)
	}
	reconcile(t, app, 7, 1)
	mustClose(t, s)

	// Dropped in part, then wanted again, then built in part, then not wanted.
	for _, names := range [][]string{{"by_n"}, {"by_n", "by_a"}, {"by_n", "by_a"}, {"by_a"}, {}, {"by_n"}, {}, {"by_a", "by_n"}} {
		var indexes []storage.IndexDecl
		for _, name := range names {
			indexes = append(indexes, storage.Index(name, strings.TrimPrefix(name, "by_")))
		}
		s, _, app = openRows(t, dir, indexes...)
		reconcile(t, app, 13, 2)
		mustClose(t, s)
	}
	_, rows, app = openRows(t, dir, storage.Index("by_n", "n"), storage.Index("by_a", "a"))
	reconcile(t, app, 13, 100)
	mustUpdate(t, app, func(w storage.Writer) {
		for _, index := range []string{"by_n", "by_a"} {
			if n, err := rows.Query(w).By(index).Count(); err != nil || n != 40 {
				t.Errorf("%s: %d, %v", index, n, err)
			}
		}
	})
}

func TestIndexThatIsNotBuiltIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	s, rows, app := openRows(t, dir)
	var id storage.ID[Rows]
	mustUpdate(t, app, func(w storage.Writer) {
		for i := range 3 {
			id, _ = rows.Insert(w, Rows{N: i})
		}
	})
	mustClose(t, s)
	refused := func(step string) {
		t.Helper()
		mustUpdate(t, app, func(w storage.Writer) {
			_, err := rows.Query(w).By("by_n").Count()
			wantErr(t, err, storage.ErrNotBuilt, "table rows")
			_, err = rows.Insert(w, Rows{})
			wantErr(t, err, storage.ErrNotBuilt, "table rows")
			wantErr(t, rows.Replace(w, id, Rows{A: step}), storage.ErrNotBuilt, "table rows")
			wantErr(t, rows.Delete(w, id), storage.ErrNotBuilt, "table rows")
			if n, err := rows.Query(w).Count(); err != nil || n != 3 {
				t.Errorf("%s: the table has %d, %v", step, n, err)
			}
			if _, err := rows.Get(w, id); err != nil {
				t.Errorf("%s: %v", step, err)
			}
		})
		mustRead(t, app, func(r storage.Reader) {
			_, _, err := rows.Query(r).By("by_n").First()
			wantErr(t, err, storage.ErrNotBuilt, "table rows")
		})
	}
	s, rows, app = openRows(t, dir, storage.Index("by_n", "n"))
	refused("not begun")
	reconcile(t, app, 2, 1)
	refused("half built")
	reconcile(t, app, 2, 2)
	mustUpdate(t, app, func(w storage.Writer) {
		if _, err := rows.Insert(w, Rows{}); err != nil {
			t.Errorf("built: %v", err)
		}
	})
	mustUpdate(t, app, func(w storage.Writer) { _ = rows.Delete(w, docs(t, rows, w)[3]) })
	var cursor string
	mustUpdate(t, app, func(w storage.Writer) { _, cursor, _ = rows.Query(w).By("by_n").Take(1).Page() })
	mustClose(t, s)
	s, rows, app = openRows(t, dir, storage.Index("by_n", "a"))
	refused("another shape")
	reconcile(t, app, 100, 10)
	mustUpdate(t, app, func(w storage.Writer) {
		_, _, err := rows.Query(w).By("by_n").Cursor(cursor).Page()
		wantErr(t, err, storage.ErrInvalid, "cursor is of another query")
	})
	mustClose(t, s)
	s2, rows, app := openRows(t, dir, storage.Index("by_n", "n"), storage.Index("by_a", "a"))
	mustUpdate(t, app, func(w storage.Writer) {
		_, err := rows.Insert(w, Rows{})
		wantErr(t, err, storage.ErrNotBuilt, "index by_a")
	})
	reconcile(t, app, 100, 10)
	mustClose(t, s2)
	_, rows, app = openRows(t, dir, storage.Index("by_n", "n"))
	mustUpdate(t, app, func(w storage.Writer) {
		_, err := rows.Insert(w, Rows{})
		wantErr(t, err, storage.ErrNotBuilt, "no longer declared")
	})
	reconcile(t, app, 100, 10)
}

// docs lists the ids of a table's documents.
func docs[T any](tb testing.TB, table *storage.Table[T], r storage.Reader) (ids []storage.ID[T]) {
	tb.Helper()
	for d, err := range table.Query(r).All() {
		if err != nil {
			tb.Fatal(err)
		}
		ids = append(ids, d.ID)
	}
	return ids
}

func TestReconcilingAnAppThatIsNotThereCreatesNothing(t *testing.T) {
	s, rows, app := openRows(t, t.TempDir(), storage.Index("by_n", "n"))
	if n := reconcile(t, app, 1, 10); n != 1 {
		t.Errorf("took %d steps", n)
	}
	mustUpdate(t, app, func(w storage.Writer) {
		if n, err := rows.Query(w).By("by_n").Count(); err != nil || n != 0 {
			t.Errorf("Count = %d, %v", n, err)
		}
	})
	if apps, err := s.Apps(); err != nil || len(apps) > 0 {
		t.Errorf("apps %v, %v", apps, err)
	}
	// The first document needs no step before it, nor does one after all are gone.
	for range 2 {
		mustUpdate(t, app, func(w storage.Writer) {
			id, err := rows.Insert(w, Rows{N: 1})
			if err != nil {
				t.Fatal(err)
			}
			if n, err := rows.Query(w).By("by_n").Count(); err != nil || n != 1 {
				t.Errorf("Count = %d, %v", n, err)
			}
			if err := rows.Delete(w, id); err != nil {
				t.Fatal(err)
			}
		})
	}
	tx := app.Begin(testNow)
	defer tx.Rollback(nil)
	_, _, err := tx.ReconcileIndexes(0)
	wantErr(t, err, storage.ErrInvalid, "budget")
}

func TestTableWithoutDocumentsNeedsNoRecord(t *testing.T) {
	others := storage.NewTable[Note]("others")
	_, rows, app := openRows(t, t.TempDir(), storage.Index("by_n", "n"))
	mustUpdate(t, app, func(w storage.Writer) {
		if _, err := others.Insert(w, Note{}); err != nil {
			t.Fatal(err)
		}
	})
	tx := app.Begin(testNow)
	if done, _, err := tx.ReconcileIndexes(1); err != nil || !done || storage.Written(tx.Writer()) != 0 {
		t.Errorf("done %v, %v, %d keys written", done, err, storage.Written(tx.Writer()))
	}
	tx.Rollback(nil)
	mustRead(t, app, func(r storage.Reader) {
		if _, ok, err := rows.Query(r).By("by_n").First(); err != nil || ok {
			t.Errorf("First = %v, %v", ok, err)
		}
	})
}

func TestManyTablesAreReconciled(t *testing.T) {
	const many = 130 // more than one read takes
	open := func(dir string, indexed bool) (tables []*storage.Table[Rows], s *storage.Store) {
		opts := storage.Options{}
		for i := range many {
			var indexes []storage.IndexDecl
			if indexed {
				indexes = append(indexes, storage.Index("by_n", "n"))
			}
			tables = append(tables, storage.NewTable[Rows](fmt.Sprint("t", i), indexes...))
			opts.Tables = append(opts.Tables, tables[i])
		}
		return tables, mustOpen(t, dir, opts)
	}
	dir := t.TempDir()
	tables, s := open(dir, false)
	mustUpdate(t, mustApp(t, s, "acme"), func(w storage.Writer) {
		for _, table := range tables {
			if _, err := table.Insert(w, Rows{}); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, indexed := range []bool{true, false} {
		mustClose(t, s)
		_, s = open(dir, indexed)
		app, err := s.App("acme")
		if err != nil {
			t.Fatal(err)
		}
		if n := reconcile(t, app, 20, 100); n != 7 {
			t.Errorf("indexed=%v took %d steps of 20 rows, want 7", indexed, n)
		}
		if n := len(keys(app, "i")); (n == many) != indexed || (n == 0) == indexed {
			t.Errorf("indexed=%v: %d entries", indexed, n)
		}
	}
}

type any2 = map[string]any

func TestStepsAreBoundedInBytes(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, storage.Options{})
	app := mustApp(t, s, "acme")
	notes := storage.NewTable[Note]("notes")
	mustUpdate(t, app, func(w storage.Writer) {
		for range 9 {
			if _, err := notes.Insert(w, textOf(1<<19)); err != nil {
				t.Fatal(err)
			}
		}
	})
	mustClose(t, s)
	s = mustOpen(t, dir, storage.Options{Tables: []storage.Schema{notesTable()}})
	app, err := s.App("acme")
	if err != nil {
		t.Fatal(err)
	}
	if n := reconcile(t, app, 1000, 100); n != 2 {
		t.Errorf("4.5 MiB took %d steps, want 2", n)
	}
}

// What an index sees of a document is what encoding/json sees.
func TestIndexedFieldsFollowEncodingJSON(t *testing.T) {
	type deep struct {
		Deep  int    `json:"deep"`
		Shade string `json:"shade"` // hidden by the outer one
	}
	type Inner struct {
		deep
		Plain string
		Twice int `json:"twice"`
	}
	type Other struct {
		Twice int // named like Inner's, but without a tag
	}
	type Pointed struct {
		Far int `json:"far"`
	}
	type doc struct {
		Inner
		Other
		*Pointed
		Shade  string `json:"shade"`
		Tie    string
		Tied   string `json:"Tie"` // wins, having a tag
		Quoted int64  `json:"quoted,string"`
		Name   string `json:"name"`
		NAME   string `json:"NAME"`
		SHADE  string // not indexed, and not to be taken for the one that is
		//lint:ignore SA5008 the name is what is tested
		Dash string `json:"-,"`
		Odd  string `json:"\u00f6 $%"`
		//lint:ignore SA5008 the name that is none is what is tested
		Bad  string    `json:"b\\d"`
		Zero time.Time `json:"zero,omitzero"`
		Sub  struct {
			Sub struct{ X, x int }
		} `json:"sub"`
	}
	d := doc{
		Inner: Inner{deep: deep{7, "dark"}, Plain: "p", Twice: 2}, Other: Other{3}, Pointed: &Pointed{4},
		Shade: "light", SHADE: "glaring", Quoted: 5, Name: "n", NAME: "N", Dash: "d", Odd: "o", Bad: "b", Tie: "lost", Tied: "won",
	}
	d.Sub.Sub.X = 6
	values := map[string]any{
		"deep": 7, "Plain": "p", "twice": 2, "Twice": 3, "far": 4, "shade": "light", "quoted": 5, "name": "n", "NAME": "N",
		"-": "d", "\u00f6 $%": "o", "Bad": "b", "Tie": "won", "zero": time.Time{}, "sub.Sub.X": 6,
	}
	var indexes []storage.IndexDecl
	names := map[string]string{}
	for field := range values {
		names[field] = fmt.Sprint("x", len(indexes))
		indexes = append(indexes, storage.Index(names[field], field))
	}
	docsTable := storage.NewTable[doc]("docs", indexes...)
	s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{docsTable}})
	app := mustApp(t, s, "acme")
	mustUpdate(t, app, func(w storage.Writer) {
		for _, d := range []doc{d, {Pointed: nil, Zero: testNow}} {
			if _, err := docsTable.Insert(w, d); err != nil {
				t.Fatal(err)
			}
		}
		for field, value := range values {
			if n, err := docsTable.Query(w).By(names[field]).Eq(value).Count(); err != nil || n != 1 {
				t.Errorf("field %s = %v: %d documents, %v", field, value, n, err)
			}
		}
	})
}

func TestFieldHiddenByItsLikesIsUnknown(t *testing.T) {
	type A struct{ X int }
	type B struct{ X int }
	type doc struct {
		A
		B
	}
	type Chain struct {
		*Chain
		Y int
	}
	storage.NewTable[Chain]("docs", storage.Index("by_y", "Y"))
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, `no JSON field "X"`) {
			t.Errorf("panic %q", got)
		}
	}()
	storage.NewTable[doc]("docs", storage.Index("by_x", "X"))
}

// level has JSON of its own: the index goes by its number, not by its text.
type level int

func (l level) MarshalText() ([]byte, error) { return []byte([]string{"low", "high"}[l]), nil }

func (l *level) UnmarshalText(text []byte) error {
	*l = level(slices.Index([]string{"low", "high"}, string(text)))
	if *l < 0 {
		return fmt.Errorf("unknown level %q", text)
	}
	return nil
}

func TestFieldWithItsOwnJSON(t *testing.T) {
	type doc struct {
		L level `json:"l"`
	}
	table := storage.NewTable[doc]("docs", storage.Index("by_l", "l"))
	s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{table}})
	app := mustApp(t, s, "acme")
	mustUpdate(t, app, func(w storage.Writer) {
		for _, l := range []level{1, 0, 1} {
			if _, err := table.Insert(w, doc{l}); err != nil {
				t.Fatal(err)
			}
		}
		if d, ok, err := table.Query(w).By("by_l").First(); err != nil || !ok || d.Value.L != 0 {
			t.Errorf("First = %+v, %v, %v", d, ok, err)
		}
		if n, err := table.Query(w).By("by_l").After(level(0)).Count(); err != nil || n != 2 {
			t.Errorf("Count = %d, %v", n, err)
		}
	})
}

// oneway writes JSON that it does not read.
type oneway int

func (oneway) MarshalText() ([]byte, error)  { return []byte("x"), nil }
func (*oneway) UnmarshalText(_ []byte) error { return errors.New("not me") }

func TestIndexedFieldThatDoesNotReadWhatItWrites(t *testing.T) {
	type doc struct {
		O oneway `json:"o"`
	}
	table := storage.NewTable[doc]("docs", storage.Index("by_o", "o"))
	s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{table}})
	app := mustApp(t, s, "acme")
	mustUpdate(t, app, func(w storage.Writer) {
		_, err := table.Insert(w, doc{})
		wantErr(t, err, storage.ErrInvalid, "table docs", "not me")
		if n, err := table.Query(w).Count(); err != nil || n != 0 {
			t.Errorf("Count = %d, %v", n, err)
		}
	})
}

// The index goes by what is stored: JSON turns bytes that are no UTF-8 into U+FFFD.
func TestIndexGoesByTheStoredValue(t *testing.T) {
	_, rows, app := openRows(t, t.TempDir(), storage.Index("by_a", "a"))
	mustUpdate(t, app, func(w storage.Writer) {
		if _, err := rows.Insert(w, Rows{A: "a\xffb"}); err != nil {
			t.Fatal(err)
		}
		d, ok, err := rows.Query(w).By("by_a").Eq("a\ufffdb").First()
		if err != nil || !ok || d.Value.A != "a\ufffdb" {
			t.Errorf("First = %+v, %v, %v", d, ok, err)
		}
	})
}

func TestCheckFindsDamage(t *testing.T) {
	const none = "\x00000000000000000000000000" // as many as an id has
	tests := map[string]struct {
		damage func(tx *storage.Tx, document, entry string)
		want   string
	}{
		"document lost":           {func(tx *storage.Tx, d, _ string) { tx.Write(d, nil) }, "which is not there"},
		"document is no JSON":     {func(tx *storage.Tx, d, _ string) { tx.Write(d, []byte(`{"n":`)) }, "is not a JSON object"},
		"document is a list":      {func(tx *storage.Tx, d, _ string) { tx.Write(d, []byte(`[]`)) }, "is not a JSON object"},
		"document is empty":       {func(tx *storage.Tx, d, _ string) { tx.Write(d, []byte{}) }, "is not a JSON object"},
		"document changed":        {func(tx *storage.Tx, d, _ string) { tx.Write(d, []byte(`{"n":9}`)) }, "is not in index by_n at its place"},
		"document does not fit":   {func(tx *storage.Tx, d, _ string) { tx.Write(d, []byte(`{"n":"9"}`)) }, "does not say that it leaves it out"},
		"document of no table":    {func(tx *storage.Tx, d, _ string) { tx.Write("t1"+d[1:], []byte(`{}`)) }, "key of a document"},
		"id of another table":     {func(tx *storage.Tx, d, _ string) { tx.Write("tother"+d[5:], []byte(`{}`)) }, "key of a document"},
		"entry lost":              {func(tx *storage.Tx, _, e string) { tx.Write(e, nil) }, "is not in index by_n at its place"},
		"entry twice":             {func(tx *storage.Tx, _, e string) { tx.Write(strings.Replace(e, "\x80", "\x81", 1), []byte{}) }, "3 entries for 2 documents"},
		"entry of nothing":        {func(tx *storage.Tx, _, _ string) { tx.Write("irows\x00by_n"+none, []byte{}) }, "which is not there"},
		"entry with a value":      {func(tx *storage.Tx, _, e string) { tx.Write(e, []byte("x")) }, "has a value"},
		"left out twice":          {func(tx *storage.Tx, d, _ string) { tx.Write("urows\x00by_n\x00"+d[len(d)-24:], []byte{}) }, "3 entries for 2 documents"},
		"left out of nothing":     {func(tx *storage.Tx, _, _ string) { tx.Write("urows\x00by_n\x00"+none[len(none)-24:], []byte{}) }, "which is not there"},
		"left out of no index":    {func(tx *storage.Tx, d, _ string) { tx.Write("urows\x00by_x\x00"+d[len(d)-24:], []byte{}) }, "index by_x, which is not in its schema"},
		"entry too short":         {func(tx *storage.Tx, _, _ string) { tx.Write("irows\x00by_n\x00x", []byte{}) }, "key of an index entry"},
		"entry of no index":       {func(tx *storage.Tx, _, e string) { tx.Write(strings.Replace(e, "by_n", "by_x", 1), []byte{}) }, "index by_x, which is not in its schema"},
		"schema lost":             {func(tx *storage.Tx, _, _ string) { tx.Write("srows", nil) }, "index by_n, which is not in its schema"},
		"schema damaged":          {func(tx *storage.Tx, _, _ string) { tx.Write("srows", []byte{0xff}) }, "table rows: schema"},
		"schema of another time":  {func(tx *storage.Tx, _, _ string) { tx.Write("srows", []byte{8, 2}) }, "record version 2"},
		"schema without an index": {func(tx *storage.Tx, _, _ string) { tx.Write("sother", []byte{8, 1}) }, "with 0 indexes"},
	}
	for name, tt := range tests {
		for _, declared := range []bool{true, false} {
			if !declared && strings.Contains(tt.want, "at its place") || !declared && strings.Contains(tt.want, "leaves it out") {
				continue // what only the declaration can tell
			}
			t.Run(fmt.Sprint(name, " declared=", declared), func(t *testing.T) {
				dir := t.TempDir()
				s, rows, app := openRows(t, dir, storage.Index("by_n", "n"))
				mustUpdate(t, app, func(w storage.Writer) {
					for range 2 {
						if _, err := rows.Insert(w, Rows{}); err != nil {
							t.Fatal(err)
						}
					}
				})
				mustUpdate(t, app, func(storage.Writer) {}) // durable
				tx := app.Begin(testNow)
				tt.damage(tx, tx.Keys("t")[0], tx.Keys("i")[0])
				mustCommit(t, tx)
				if !declared {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					s = mustOpen(t, dir, storage.Options{})
				}
				err := s.Check()
				if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "app acme") {
					t.Errorf("Check = %v, want %q in it", err, tt.want)
				}
				if err := s.Close(); err != nil { // before the check at the end
					t.Fatal(err)
				}
			})
		}
	}
}

func TestCheckFindsNumbersNotHandedOut(t *testing.T) {
	s, rows, app := openRows(t, t.TempDir())
	mustUpdate(t, app, func(w storage.Writer) {
		if _, err := rows.Insert(w, Rows{}); err != nil {
			t.Fatal(err)
		}
	})
	tx := app.Begin(testNow)
	key := tx.Keys("t")[0]
	tx.Write("trows\x00001"+key[9:], []byte(`{}`))
	mustCommit(t, tx)
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), "above the last assigned") {
		t.Errorf("Check = %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
