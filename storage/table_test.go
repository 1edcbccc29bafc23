package storage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

type Note struct {
	Text   string   `json:"text"`
	Stars  int      `json:"stars"`
	Tags   []string `json:"tags,omitempty"`
	Secret string   `json:"-"`
}

func notesTable() *storage.Table[Note] {
	return storage.NewTable[Note]("notes", storage.Index("by_stars", "stars"))
}

// textOf makes a note whose JSON is size bytes long.
func textOf(size int) Note {
	empty, _ := json.Marshal(Note{})
	return Note{Text: strings.Repeat("x", size-len(empty))}
}

func wantErr(tb testing.TB, err, want error, parts ...string) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Fatalf("got error %v, want %v", err, want)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			tb.Errorf("error %q does not say %q", err, part)
		}
	}
}

func TestTableReadsItsOwnWrites(t *testing.T) {
	notes := notesTable()
	s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{notes}})
	app := mustApp(t, s, "acme")
	var id storage.ID[Note]
	mustUpdate(t, app, func(w storage.Writer) {
		var err error
		id, err = notes.Insert(w, Note{Text: "a<b", Stars: 3, Tags: []string{"x"}, Secret: "gone"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := notes.Get(w, id)
		if want := (Note{Text: "a<b", Stars: 3, Tags: []string{"x"}}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Get = %+v, %v, want %+v", got, err, want)
		}
		err = notes.Patch(w, id, func(n *Note) error {
			n.Stars++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if d, ok, err := notes.Query(w).By("by_stars").Eq(4).First(); err != nil || !ok || d.ID != id {
			t.Errorf("First = %+v, %v, %v, want the patched note", d, ok, err)
		}
		if n, err := notes.Query(w).By("by_stars").Eq(3).Count(); err != nil || n != 0 {
			t.Errorf("Count = %d, %v at the old place, want 0", n, err)
		}
	})
	mustRead(t, app, func(r storage.Reader) {
		if got, err := notes.Get(r, id); err != nil || got.Stars != 4 {
			t.Errorf("Get after commit = %+v, %v, want 4 stars", got, err)
		}
	})
	mustUpdate(t, app, func(w storage.Writer) {
		if err := notes.Replace(w, id, Note{Text: "new"}); err != nil {
			t.Fatal(err)
		}
		if got, err := notes.Get(w, id); err != nil || got.Text != "new" || got.Stars != 0 {
			t.Errorf("Get after Replace = %+v, %v", got, err)
		}
		if err := notes.Delete(w, id); err != nil {
			t.Fatal(err)
		}
		_, err := notes.Get(w, id)
		wantErr(t, err, storage.ErrNotFound, "table notes", string(id))
		wantErr(t, notes.Delete(w, id), storage.ErrNotFound, "table notes", string(id))
		wantErr(t, notes.Replace(w, id, Note{}), storage.ErrNotFound, "table notes", string(id))
		wantErr(t, notes.Patch(w, id, func(*Note) error { return nil }), storage.ErrNotFound, string(id))
	})
	mustRead(t, app, func(r storage.Reader) {
		if n, err := notes.Query(r).By("by_stars").Count(); err != nil || n != 0 {
			t.Errorf("index has %d entries, %v, want none", n, err)
		}
	})
}

func TestFailedPatchLeavesTheDocument(t *testing.T) {
	notes := notesTable()
	s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{notes}})
	app := mustApp(t, s, "acme")
	mustUpdate(t, app, func(w storage.Writer) {
		id, err := notes.Insert(w, Note{Text: "t", Tags: []string{"a"}})
		if err != nil {
			t.Fatal(err)
		}
		same := func() {
			t.Helper()
			if got, err := notes.Get(w, id); err != nil || !reflect.DeepEqual(got, Note{Text: "t", Tags: []string{"a"}}) {
				t.Errorf("the note became %+v, %v", got, err)
			}
		}
		mine := errors.New("mine")
		err = notes.Patch(w, id, func(n *Note) error {
			n.Text, n.Tags[0] = "u", "b"
			return mine
		})
		if err != mine {
			t.Errorf("Patch = %v, want the closure's own error", err)
		}
		same()
		err = notes.Patch(w, id, func(n *Note) error {
			*n = textOf(1<<20 + 1)
			return nil
		})
		wantErr(t, err, storage.ErrLimit, "table notes")
		same()
		func() {
			defer func() { _ = recover() }()
			_ = notes.Patch(w, id, func(n *Note) error {
				n.Text = "u"
				panic("mine")
			})
			t.Error("the panic did not come through")
		}()
		same()
		err = notes.Patch(w, id, func(n *Note) error {
			n.Text = "lost"
			return notes.Patch(w, id, func(n *Note) error {
				n.Text = "inner"
				return nil
			})
		})
		wantErr(t, err, storage.ErrReentrant, string(id))
		if got, _ := notes.Get(w, id); got.Text != "inner" {
			t.Errorf("the inner patch became %+v", got)
		}
	})
}

func TestPatchWithoutChangeWritesNothing(t *testing.T) {
	notes := notesTable()
	s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{notes}})
	app := mustApp(t, s, "acme")
	var id storage.ID[Note]
	mustUpdate(t, app, func(w storage.Writer) { id, _ = notes.Insert(w, Note{Text: "t"}) })
	mustUpdate(t, app, func(w storage.Writer) {
		if err := notes.Patch(w, id, func(*Note) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if n := storage.Written(w); n != 0 {
			t.Errorf("%d keys were written", n)
		}
		if err := notes.Patch(w, id, func(n *Note) error { n.Text = "u"; return nil }); err != nil {
			t.Fatal(err)
		}
		if n := storage.Written(w); n != 1 {
			t.Errorf("%d keys were written for a field that no index has, want 1", n)
		}
	})
}

func TestDocumentSizeIsBounded(t *testing.T) {
	notes := storage.NewTable[Note]("notes")
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	mustUpdate(t, app, func(w storage.Writer) {
		id, err := notes.Insert(w, textOf(1<<20))
		if err != nil {
			t.Errorf("Insert at the limit: %v", err)
		}
		_, err = notes.Insert(w, textOf(1<<20+1))
		wantErr(t, err, storage.ErrLimit, "table notes", "1048577", "1048576")
		wantErr(t, notes.Replace(w, id, textOf(1<<20+1)), storage.ErrLimit)
		if err := notes.Replace(w, id, textOf(1<<20)); err != nil {
			t.Errorf("Replace at the limit: %v", err)
		}
		if n, err := notes.Query(w).Count(); err != nil || n != 1 {
			t.Errorf("Count = %d, %v, want 1", n, err)
		}
	})
}

func TestIndexKeyIsBounded(t *testing.T) {
	type doc struct {
		A string `json:"a"`
		N int    `json:"n"`
		B string `json:"b"`
	}
	docs := storage.NewTable[doc]("docs", storage.Index("by_all", "a", "n", "b"))
	s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{docs}})
	app := mustApp(t, s, "acme")
	// Two terminators of 2 bytes and an int of 8 leave 2,036 bytes for text.
	fits, over := strings.Repeat("b", 1036), strings.Repeat("b", 1037)
	a := strings.Repeat("a", 1000)
	mustUpdate(t, app, func(w storage.Writer) {
		id, err := docs.Insert(w, doc{A: a, B: fits})
		if err != nil {
			t.Fatalf("Insert at the limit: %v", err)
		}
		_, err = docs.Insert(w, doc{A: a, B: over})
		wantErr(t, err, storage.ErrLimit, "table docs", "by_all", `field "b"`, "2049", "2048")
		wantErr(t, docs.Replace(w, id, doc{A: a, B: over}), storage.ErrLimit, `field "b"`, string(id))
		if got, err := docs.Get(w, id); err != nil || got.B != fits {
			t.Errorf("a refused Replace changed the document: %v", err)
		}
		if _, ok, err := docs.Query(w).By("by_all").Eq(a, 0, fits).First(); err != nil || !ok {
			t.Errorf("First at the limit = %v, %v", ok, err)
		}
		_, _, err = docs.Query(w).By("by_all").Eq(a, 0, over).First()
		wantErr(t, err, storage.ErrLimit, "table docs", `field "b"`)
		if n, err := docs.Query(w).By("by_all").Count(); err != nil || n != 1 {
			t.Errorf("Count = %d, %v, want 1", n, err)
		}
	})
}

func TestIDsOfOtherTablesAreRefused(t *testing.T) {
	type Other struct{ N int }
	notes, others := storage.NewTable[Note]("notes"), storage.NewTable[Other]("others")
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	mustUpdate(t, app, func(w storage.Writer) {
		other, err := others.Insert(w, Other{1})
		if err != nil {
			t.Fatal(err)
		}
		note, err := notes.Insert(w, Note{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = notes.Get(w, storage.ID[Note](other))
		wantErr(t, err, storage.ErrInvalid, "table notes", string(other), "another table")
		wantErr(t, notes.Delete(w, storage.ID[Note](other)), storage.ErrInvalid, "another table")
		for _, id := range []string{"", "x", strings.ToUpper(string(note)), string(note) + "0", strings.Repeat("z", 24), strings.Repeat("x", 1<<16)} {
			_, err := notes.Get(w, storage.ID[Note](id))
			wantErr(t, err, storage.ErrInvalid, "table notes")
			if len(err.Error()) > 300 {
				t.Errorf("an error of %d bytes for a hostile id", len(err.Error()))
			}
		}
	})
}

func TestDocumentsThatHaveNoJSONAreRefused(t *testing.T) {
	type doc struct {
		X any       `json:"x"`
		T time.Time `json:"t"`
	}
	docs := storage.NewTable[doc]("docs")
	loose := storage.NewTable[map[string]any]("loose")
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	mustUpdate(t, app, func(w storage.Writer) {
		for _, d := range []doc{{X: math.NaN()}, {X: func() {}}, {T: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}} {
			_, err := docs.Insert(w, d)
			wantErr(t, err, storage.ErrInvalid, "table docs")
		}
		_, err := loose.Insert(w, nil)
		wantErr(t, err, storage.ErrInvalid, "table loose", "null")
		id, err := loose.Insert(w, map[string]any{"a": 1.0})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := loose.Get(w, id); err != nil || got["a"] != 1.0 {
			t.Errorf("Get = %v, %v", got, err)
		}
		if n, err := docs.Query(w).Count(); err != nil || n != 0 {
			t.Errorf("Count = %d, %v, want 0", n, err)
		}
	})
}

func TestDocumentThatNoLongerFitsCanBeReplacedAndDeleted(t *testing.T) {
	type Before struct {
		Name string `json:"name"`
		Size string `json:"size"`
	}
	type After struct {
		Name string `json:"name"`
		Size int    `json:"size"`
	}
	dir := t.TempDir()
	before := storage.NewTable[Before]("docs", storage.Index("by_name", "name"))
	s := mustOpen(t, dir, storage.Options{Tables: []storage.Schema{before}})
	app := mustApp(t, s, "acme")
	var ids []storage.ID[After]
	mustUpdate(t, app, func(w storage.Writer) {
		for i := range 2 {
			id, err := before.Insert(w, Before{Name: fmt.Sprint(i), Size: "large"})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, storage.ID[After](id))
		}
	})
	mustClose(t, s)
	docs := storage.NewTable[After]("docs", storage.Index("by_name", "name"))
	s = mustOpen(t, dir, storage.Options{Tables: []storage.Schema{docs}})
	app = mustApp(t, s, "acme")
	mustUpdate(t, app, func(w storage.Writer) {
		_, err := docs.Get(w, ids[0])
		wantErr(t, err, storage.ErrFormat, "table docs", string(ids[0]), "size")
		_, _, err = docs.Query(w).By("by_name").Eq("0").First()
		wantErr(t, err, storage.ErrFormat, "table docs", string(ids[0]), "size")
		wantErr(t, docs.Patch(w, ids[0], func(*After) error { return nil }), storage.ErrFormat, "size")
		if err := docs.Replace(w, ids[0], After{Name: "new"}); err != nil {
			t.Errorf("Replace: %v", err)
		}
		if err := docs.Delete(w, ids[1]); err != nil {
			t.Errorf("Delete: %v", err)
		}
		if n, err := docs.Query(w).By("by_name").Count(); err != nil || n != 1 {
			t.Errorf("Count = %d, %v, want 1", n, err)
		}
	})
}

func TestAppsDoNotSeeEachOthersDocuments(t *testing.T) {
	notes := notesTable()
	s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{notes}})
	acme, zeta := mustApp(t, s, "acme"), mustApp(t, s, "zeta")
	var id storage.ID[Note]
	mustUpdate(t, acme, func(w storage.Writer) { id, _ = notes.Insert(w, Note{Text: "acme's"}) })
	mustUpdate(t, zeta, func(w storage.Writer) {
		if _, err := notes.Insert(w, Note{Text: "zeta's"}); err != nil {
			t.Fatal(err)
		}
		wantErr(t, notes.Delete(w, id), storage.ErrNotFound)
		for _, q := range []storage.Query[Note]{notes.Query(w), notes.Query(w).By("by_stars")} {
			docs, _, err := q.Page()
			if err != nil || len(docs) != 1 || docs[0].Value.Text != "zeta's" {
				t.Errorf("zeta sees %+v, %v", docs, err)
			}
		}
	})
}

func TestUseAfterTheEnd(t *testing.T) {
	notes := notesTable()
	s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{notes}})
	app := mustApp(t, s, "acme")
	var late storage.Writer
	var id storage.ID[Note]
	mustUpdateJobs(t, app, func(tx storage.JobWriter) {
		w := tx.Writer()
		late = w
		id, _ = notes.Insert(w, Note{})
		next := 0
		err := tx.Nested(func(storage.JobWriter) error {
			_, err := notes.Insert(w, Note{})
			wantErr(t, err, storage.ErrReentrant, "table notes")
			_, err = notes.Query(w).Count()
			wantErr(t, err, storage.ErrReentrant, "table notes")
			next++
			return nil
		})
		if err != nil || next != 1 {
			t.Error(err)
		}
	})
	var old storage.Reader
	mustRead(t, app, func(r storage.Reader) { old = r })
	for _, r := range []storage.Reader{late, old} {
		_, err := notes.Get(r, id)
		wantErr(t, err, storage.ErrTxDone)
		for _, q := range []storage.Query[Note]{notes.Query(r), notes.Query(r).By("by_stars")} {
			_, _, err = q.Page()
			wantErr(t, err, storage.ErrTxDone)
			_, _, err = q.First()
			wantErr(t, err, storage.ErrTxDone)
			_, err = q.Count()
			wantErr(t, err, storage.ErrTxDone)
			for _, err = range q.All() {
				wantErr(t, err, storage.ErrTxDone)
			}
		}
	}
	_, err := notes.Insert(late, Note{})
	wantErr(t, err, storage.ErrTxDone)
	wantErr(t, notes.Replace(late, id, Note{}), storage.ErrTxDone)
	wantErr(t, notes.Delete(late, id), storage.ErrTxDone)
}

func TestDroppedNestedTransactionLeavesNoIndexEntries(t *testing.T) {
	notes := notesTable()
	s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{notes}})
	app := mustApp(t, s, "acme")
	mustUpdateJobs(t, app, func(tx storage.JobWriter) {
		w := tx.Writer()
		id, err := notes.Insert(w, Note{Stars: 1})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[storage.ID[Note]]bool{id: true}
		_ = tx.Nested(func(tx storage.JobWriter) error {
			w := tx.Writer()
			inner, err := notes.Insert(w, Note{Stars: 2})
			if err != nil || notes.Delete(w, id) != nil {
				t.Error(err)
			}
			seen[inner] = true
			return errors.New("no")
		})
		docs, _, err := notes.Query(w).By("by_stars").Page()
		if err != nil || len(docs) != 1 || docs[0].ID != id {
			t.Errorf("after the dropped nested transaction: %+v, %v", docs, err)
		}
		next, err := notes.Insert(w, Note{})
		if err != nil || seen[next] || next < id {
			t.Errorf("id %s after %v, %v", next, seen, err)
		}
	})
}

func TestBadDeclarationsPanic(t *testing.T) {
	type doc struct {
		A   int             `json:"a"`
		B   []string        `json:"b"`
		Own json.RawMessage `json:"own"`
		P   **int           `json:"p"`
		In  struct{ X int } `json:"in"`
		Ptr *struct{ X int }
		At  time.Time `json:"at"`
		No  string    `json:"-"`
		any bool
	}
	_ = doc{}.any
	type own struct {
		json.Marshaler
		A int
	}
	tests := map[string]struct {
		fn   func()
		want string
	}{
		"empty name":             {func() { storage.NewTable[doc]("") }, `table name ""`},
		"system name":            {func() { storage.NewTable[doc]("_jobs") }, `"_jobs"`},
		"name begins with digit": {func() { storage.NewTable[doc]("1a") }, `"1a"`},
		"name with dash":         {func() { storage.NewTable[doc]("a-b") }, `"a-b"`},
		"name of 65":             {func() { storage.NewTable[doc](strings.Repeat("a", 65)) }, "up to 63"},
		"not an object":          {func() { storage.NewTable[string]("t") }, "table t: documents are JSON objects"},
		"a pointer":              {func() { storage.NewTable[*doc]("t") }, "not a *storage_test.doc"},
		"a struct of text":       {func() { storage.NewTable[time.Time]("t") }, "0001-01-01"},
		"interface":              {func() { storage.NewTable[any]("t") }, "documents are JSON objects"},
		"index name":             {func() { storage.NewTable[doc]("t", storage.Index("", "a")) }, `index name ""`},
		"no fields":              {func() { storage.NewTable[doc]("t", storage.Index("x")) }, "index x has no fields"},
		"index twice":            {func() { storage.NewTable[doc]("t", storage.Index("x", "a"), storage.Index("x", "at")) }, "two indexes are named x"},
		"field twice":            {func() { storage.NewTable[doc]("t", storage.Index("x", "a", "a")) }, `field "a" is in it twice`},
		"unknown field":          {func() { storage.NewTable[doc]("t", storage.Index("x", "A")) }, `no JSON field "A"; it has a, b`},
		"hidden field":           {func() { storage.NewTable[doc]("t", storage.Index("x", "No")) }, `no JSON field "No"`},
		"unexported field":       {func() { storage.NewTable[doc]("t", storage.Index("x", "any")) }, `no JSON field "any"`},
		"list":                   {func() { storage.NewTable[doc]("t", storage.Index("x", "b")) }, `field "b": a []string cannot be indexed`},
		"raw JSON":               {func() { storage.NewTable[doc]("t", storage.Index("x", "own")) }, `field "own"`},
		"pointer to pointer":     {func() { storage.NewTable[doc]("t", storage.Index("x", "p")) }, `field "p": a **int`},
		"struct":                 {func() { storage.NewTable[doc]("t", storage.Index("x", "in")) }, `field "in"`},
		"unknown inner field":    {func() { storage.NewTable[doc]("t", storage.Index("x", "in.Y")) }, `field "in": struct { X int } has no JSON field "Y"`},
		"path through pointer":   {func() { storage.NewTable[doc]("t", storage.Index("x", "Ptr.X")) }, `field "Ptr"`},
		"path through number":    {func() { storage.NewTable[doc]("t", storage.Index("x", "a.b")) }, `field "a"`},
		"path into time":         {func() { storage.NewTable[doc]("t", storage.Index("x", "at.wall")) }, `field "at": time.Time encodes itself`},
		"own JSON":               {func() { storage.NewTable[own]("t", storage.Index("x", "A")) }, "encodes itself"},
		"map":                    {func() { storage.NewTable[map[string]int]("t", storage.Index("x", "a")) }, "no declared fields"},
		"empty field":            {func() { storage.NewTable[doc]("t", storage.Index("x", "")) }, `field "" is not a dotted name`},
		"open path":              {func() { storage.NewTable[doc]("t", storage.Index("x", "in.")) }, `field "in." is not a dotted name`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				got := fmt.Sprint(recover())
				if !strings.HasPrefix(got, "storage: table ") || !strings.Contains(got, tt.want) {
					t.Errorf("panic %q, want %q in it", got, tt.want)
				}
			}()
			tt.fn()
		})
	}
	// And what is allowed, at the bounds.
	storage.NewTable[doc](strings.Repeat("a", 64), storage.Index("x", "a", "in.X", "at"), storage.Index("y", "at"))
	storage.NewTable[struct{}]("t")
}

func TestTwoDeclarationsOfOneTable(t *testing.T) {
	one, two := notesTable(), notesTable()
	_, err := storage.Open(t.TempDir(), storage.Options{Tables: []storage.Schema{one, two}})
	wantErr(t, err, storage.ErrInvalid, "two declarations of table notes")
	_, err = storage.Open(t.TempDir(), storage.Options{Tables: []storage.Schema{one, nil}})
	wantErr(t, err, storage.ErrInvalid, "Tables[1]")

	s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{one, one}})
	app := mustApp(t, s, "acme")
	bare := storage.NewTable[map[string]any]("notes")
	mustUpdate(t, app, func(w storage.Writer) {
		id, err := one.Insert(w, Note{Text: "x"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = two.Get(w, id)
		wantErr(t, err, storage.ErrUndeclared, "table notes", "another declaration")
		_, err = two.Query(w).Count()
		wantErr(t, err, storage.ErrUndeclared, "another declaration")
		_, err = two.Insert(w, Note{})
		wantErr(t, err, storage.ErrUndeclared)
		// A declaration without indexes may look, but not write past the other's.
		if got, err := bare.Get(w, storage.ID[map[string]any](id)); err != nil || got["text"] != "x" {
			t.Errorf("Get = %v, %v", got, err)
		}
		_, err = bare.Insert(w, map[string]any{})
		wantErr(t, err, storage.ErrUndeclared, "another declaration")
		wantErr(t, bare.Delete(w, storage.ID[map[string]any](id)), storage.ErrUndeclared)
	})
}

func TestUndeclaredTable(t *testing.T) {
	notes := notesTable()
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	mustUpdate(t, app, func(w storage.Writer) {
		const hint = "list it in Options.Tables"
		_, err := notes.Insert(w, Note{})
		wantErr(t, err, storage.ErrUndeclared, "table notes", hint)
		_, err = notes.Get(w, "x")
		wantErr(t, err, storage.ErrUndeclared, hint)
		wantErr(t, notes.Delete(w, "x"), storage.ErrUndeclared, hint)
		_, err = notes.Query(w).Count()
		wantErr(t, err, storage.ErrUndeclared, hint)
	})
}
