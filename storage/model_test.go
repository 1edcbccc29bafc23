package storage_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"carillon/storage"
)

// Thing has a field of every indexable kind, each of few values, so that
// random documents collide.
type Thing struct {
	S string          `json:"s"`
	I int16           `json:"i"`
	U uint            `json:"u"`
	F float64         `json:"f"`
	B bool            `json:"b,omitempty"`
	T time.Time       `json:"t"`
	P *string         `json:"p,omitempty"`
	X []int           `json:"x"` // not indexed
	N struct{ I int } `json:"n"`
}

// model is the table as a map. Queries of it are answered by filter and sort.
type model map[storage.ID[Thing]]Thing

// modelIndex knows the fields of one index: how to read them from a thing and
// how to order them.
type modelIndex struct {
	name   string
	fields []string
}

var modelIndexes = []modelIndex{
	{"by_s", []string{"s"}},
	{"by_sif", []string{"s", "i", "f"}},
	{"by_u", []string{"u", "s"}},
	{"by_bt", []string{"b", "t"}},
	{"by_p", []string{"p", "n.I"}},
}

func thingsTable() *storage.Table[Thing] {
	var indexes []storage.IndexDecl
	for _, x := range modelIndexes {
		indexes = append(indexes, storage.Index(x.name, x.fields...))
	}
	return storage.NewTable[Thing]("things", indexes...)
}

func (th Thing) field(name string) any {
	switch name {
	case "s":
		return th.S
	case "i":
		return th.I
	case "u":
		return th.U
	case "f":
		return th.F
	case "b":
		return th.B
	case "t":
		return th.T
	case "p":
		return th.P
	case "n.I":
		return th.N.I
	}
	panic(name)
}

func compareFields(a, b any) int {
	switch a := a.(type) {
	case string:
		return cmp.Compare(a, b.(string))
	case int16:
		return cmp.Compare(a, b.(int16))
	case int:
		return cmp.Compare(a, b.(int))
	case uint:
		return cmp.Compare(a, b.(uint))
	case float64:
		return cmp.Compare(a, b.(float64))
	case bool:
		return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
	case time.Time:
		return a.Compare(b.(time.Time))
	case *string:
		switch b := b.(*string); {
		case a == nil && b == nil:
			return 0
		case a == nil:
			return -1
		case b == nil:
			return 1
		default:
			return cmp.Compare(*a, *b)
		}
	}
	panic(fmt.Sprintf("%T", a))
}

func drawThing(t *rapid.T) Thing {
	th := Thing{
		S: rapid.SampledFrom([]string{"", "a", "a\x00", "a\x00b", "aa", "b", "\u00ff"}).Draw(t, "s"),
		I: rapid.SampledFrom([]int16{-32768, -1, 0, 1, 256, 32767}).Draw(t, "i"),
		U: rapid.SampledFrom([]uint{0, 1, 256, 1 << 63}).Draw(t, "u"),
		F: rapid.SampledFrom([]float64{-1e300, -1, -0.5, 0, 0.1, 2}).Draw(t, "f"),
		B: rapid.Bool().Draw(t, "b"),
		T: time.Unix(rapid.Int64Range(-2, 2).Draw(t, "t"), rapid.SampledFrom([]int64{0, 1, 999_999_999}).Draw(t, "ns")).UTC(),
		P: rapid.SampledFrom([]*string{nil, ptr(""), ptr("p")}).Draw(t, "p"),
		X: []int{rapid.IntRange(0, 3).Draw(t, "x")},
	}
	th.N.I = rapid.IntRange(-1, 1).Draw(t, "n")
	return th
}

func (th Thing) equal(other Thing) bool {
	for _, f := range []string{"s", "i", "u", "f", "b", "t", "p", "n.I"} {
		if compareFields(th.field(f), other.field(f)) != 0 {
			return false
		}
	}
	return slices.Equal(th.X, other.X)
}

// ask puts one random query to the table and to the model and compares every
// way of asking it.
func (m model) ask(t *rapid.T, things *storage.Table[Thing], r storage.Reader) {
	q := things.Query(r)
	keep := func(Thing) bool { return true }
	var order []string
	if i := rapid.IntRange(-1, len(modelIndexes)-1).Draw(t, "index"); i >= 0 {
		x := modelIndexes[i]
		order = x.fields
		probe := drawThing(t)
		eq := rapid.IntRange(0, len(x.fields)).Draw(t, "eq")
		q = q.By(x.name)
		for _, f := range x.fields[:eq] {
			q = q.Eq(probe.field(f))
		}
		lower, upper := "", ""
		a, b := drawThing(t), drawThing(t)
		if eq < len(x.fields) {
			f := x.fields[eq]
			lower = rapid.SampledFrom([]string{"", "from", "after"}).Draw(t, "lower")
			upper = rapid.SampledFrom([]string{"", "to", "before"}).Draw(t, "upper")
			switch lower {
			case "from":
				q = q.From(a.field(f))
			case "after":
				q = q.After(a.field(f))
			}
			switch upper {
			case "to":
				q = q.To(b.field(f))
			case "before":
				q = q.Before(b.field(f))
			}
		}
		keep = func(th Thing) bool {
			for _, f := range x.fields[:eq] {
				if compareFields(th.field(f), probe.field(f)) != 0 {
					return false
				}
			}
			if eq == len(x.fields) {
				return true
			}
			f := x.fields[eq]
			above, below := compareFields(th.field(f), a.field(f)), compareFields(th.field(f), b.field(f))
			return (lower == "" || above > 0 || above == 0 && lower == "from") && (upper == "" || below < 0 || below == 0 && upper == "to")
		}
	}
	var want []storage.ID[Thing]
	for id, th := range m {
		if keep(th) {
			want = append(want, id)
		}
	}
	slices.SortFunc(want, func(a, b storage.ID[Thing]) int {
		for _, f := range order {
			if c := compareFields(m[a].field(f), m[b].field(f)); c != 0 {
				return c
			}
		}
		return strings.Compare(string(a), string(b))
	})
	if rapid.Bool().Draw(t, "desc") {
		slices.Reverse(want)
		q = q.Desc()
	}
	compare := func(how string, got []storage.Doc[Thing], err error, want []storage.ID[Thing]) {
		if err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		var ids []storage.ID[Thing]
		for _, d := range got {
			ids = append(ids, d.ID)
			if !m[d.ID].equal(d.Value) {
				t.Fatalf("%s: document %s is %+v, want %+v", how, d.ID, d.Value, m[d.ID])
			}
		}
		if !slices.Equal(ids, want) {
			t.Fatalf("%s: got %d documents %v, want %d %v", how, len(ids), ids, len(want), want)
		}
	}
	var all []storage.Doc[Thing]
	for d, err := range q.All() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	compare("All", all, nil, want)
	size := rapid.IntRange(1, 5).Draw(t, "size")
	var paged []storage.Doc[Thing]
	for cursor := ""; ; {
		docs, next, err := q.Take(size).Cursor(cursor).Page()
		paged = append(paged, docs...)
		if err != nil || len(docs) > size || next != "" && len(docs) < size {
			t.Fatalf("Page of %d: %d documents, next %q, %v", size, len(docs), next, err)
		}
		if cursor = next; next == "" {
			break
		}
	}
	compare("Page", paged, nil, want)
	n, err := q.Take(size).Count()
	if err != nil || n != min(size, len(want)) {
		t.Fatalf("Count = %d, %v, want %d of %d", n, err, size, len(want))
	}
	first, ok, err := q.First()
	if ok {
		compare("First", []storage.Doc[Thing]{first}, err, want[:1])
	} else {
		compare("First", nil, err, want[:0])
	}
}

// write does one random change to the table and to the model.
func (m model) write(t *rapid.T, things *storage.Table[Thing], w storage.Writer) {
	ids := slices.Sorted(maps.Keys(m))
	op := rapid.SampledFrom([]string{"insert", "insert", "patch", "patch fails", "replace", "delete", "twice"}).Draw(t, "op")
	if len(ids) == 0 {
		op = "insert"
	}
	var id storage.ID[Thing]
	if op != "insert" {
		id = rapid.SampledFrom(ids).Draw(t, "id")
	}
	th := drawThing(t)
	var err error
	switch op {
	case "insert":
		id, err = things.Insert(w, th)
		if len(ids) > 0 && id <= ids[len(ids)-1] {
			t.Fatalf("id %s after %s", id, ids[len(ids)-1])
		}
		m[id] = th
	case "patch":
		err = things.Patch(w, id, func(doc *Thing) error {
			doc.S, doc.P = th.S, th.P
			return nil
		})
		was := m[id]
		was.S, was.P = th.S, th.P
		m[id] = was
	case "patch fails":
		mine := errors.New("mine")
		if err = things.Patch(w, id, func(doc *Thing) error { *doc = th; return mine }); errors.Is(err, mine) {
			err = nil
		}
	case "replace":
		err = things.Replace(w, id, th)
		m[id] = th
	case "delete":
		err = things.Delete(w, id)
		delete(m, id)
	case "twice":
		if err = things.Delete(w, id); err == nil {
			if err = things.Delete(w, id); errors.Is(err, storage.ErrNotFound) {
				err = nil
			}
		}
		delete(m, id)
	}
	if err != nil {
		t.Fatalf("%s: %v", op, err)
	}
}

// change does random writes, questions and nested transactions, and returns
// the model as it is in the end.
func (m model) change(t *rapid.T, things *storage.Table[Thing], tx storage.JobWriter, depth int) model {
	w := tx.Writer()
	for range rapid.IntRange(0, 6).Draw(t, "steps") {
		switch step := rapid.IntRange(0, 9).Draw(t, "step"); {
		case step == 0:
			m.ask(t, things, w)
		case step == 1 && depth < 3:
			var inner model
			failed := errors.New("dropped")
			err := tx.Nested(func(tx storage.JobWriter) error {
				inner = maps.Clone(m).change(t, things, tx, depth+1)
				if rapid.Bool().Draw(t, "drop") {
					return failed
				}
				return nil
			})
			if err == nil {
				m = inner
			} else if !errors.Is(err, failed) {
				t.Fatal(err)
			}
		default:
			m.write(t, things, w)
		}
	}
	m.ask(t, things, w)
	return m
}

// The table against a map that is filtered and sorted, through transactions
// that are committed, rolled back, nested, and submitted before the one
// before is durable.
func TestTableAgainstModel(t *testing.T) {
	things := thingsTable()
	s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{things}})
	apps := 0
	rapid.Check(t, func(t *rapid.T) {
		apps++
		app, err := s.App(storage.AppID(fmt.Sprint("app", apps)))
		if err != nil {
			t.Fatal(err)
		}
		m := model{}
		for range rapid.IntRange(1, 8).Draw(t, "transactions") {
			tx := app.Begin(testNow)
			next := maps.Clone(m).change(t, things, tx.JobWriter(), 0)
			if rapid.IntRange(0, 4).Draw(t, "rollback") == 0 {
				tx.Rollback(nil)
				continue
			}
			m = next
			done := make(chan error, 1)
			if err := tx.Commit(func(err error) { done <- err }); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "wait") {
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				snap, err := app.Snapshot(testNow)
				if err != nil {
					t.Fatal(err)
				}
				m.ask(t, things, snap.Reader())
				snap.Close()
			}
		}
		settled := make(chan error, 1)
		app.Begin(testNow).Rollback(func(err error) { settled <- err })
		if err := <-settled; err != nil {
			t.Fatal(err)
		}
	})
}
