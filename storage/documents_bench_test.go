package storage_test

import (
	"fmt"
	"testing"

	"carillon/storage"
)

// benchDocuments is how many documents the benchmarks' table has.
const benchDocuments = 100_000

type Person struct {
	Name  string `json:"name"`
	City  string `json:"city"`
	Age   int    `json:"age"`
	Email string `json:"email"`
}

func person(i int) Person {
	return Person{Name: fmt.Sprint("name", i), City: fmt.Sprint("city", i%100), Age: i % 90, Email: fmt.Sprintf("someone%d@example.org", i)}
}

func benchTable(b *testing.B, indexes ...storage.IndexDecl) (*storage.Table[Person], *storage.App, []storage.ID[Person]) {
	b.Helper()
	people := storage.NewTable[Person]("people", indexes...)
	s, err := storage.Open(b.TempDir(), storage.Options{Volumes: 1, NoSync: true, Tables: []storage.Schema{people}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	app := mustApp(b, s, "acme")
	var ids []storage.ID[Person]
	for len(ids) < benchDocuments {
		mustUpdate(b, app, func(w storage.Writer) {
			for range 10_000 {
				id, err := people.Insert(w, person(len(ids)))
				if err != nil {
					b.Fatal(err)
				}
				ids = append(ids, id)
			}
		})
	}
	b.ReportAllocs()
	return people, app, ids
}

// BenchmarkInsert measures what a mutation pays for one insert, its share of a
// commit of 100 not included.
func BenchmarkInsert(b *testing.B) {
	for _, indexes := range [][]storage.IndexDecl{nil, {storage.Index("by_city", "city", "age")}} {
		b.Run(fmt.Sprint("indexes=", len(indexes)), func(b *testing.B) {
			people, app, _ := benchTable(b, indexes...)
			n := 0
			b.ResetTimer()
			for n < b.N {
				tx := app.Begin(testNow)
				for range min(100, b.N-n) {
					if _, err := people.Insert(tx.Writer(), person(n)); err != nil {
						b.Fatal(err)
					}
					n++
				}
				b.StopTimer()
				mustCommit(b, tx)
				b.StartTimer()
			}
		})
	}
}

func BenchmarkPatch(b *testing.B) {
	people, app, ids := benchTable(b, storage.Index("by_city", "city", "age"))
	tx := app.Begin(testNow)
	defer tx.Rollback(nil)
	i := 0
	for b.Loop() {
		err := people.Patch(tx.Writer(), ids[i*7919%len(ids)], func(p *Person) error { p.Age++; return nil })
		if err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkGet(b *testing.B) {
	people, app, ids := benchTable(b)
	run := func(b *testing.B, r storage.Reader) {
		i := 0
		for b.Loop() {
			if _, err := people.Get(r, ids[i*7919%len(ids)]); err != nil {
				b.Fatal(err)
			}
			i++
		}
	}
	b.Run("query", func(b *testing.B) { mustRead(b, app, func(r storage.Reader) { run(b, r) }) })
	b.Run("mutation", func(b *testing.B) { mustUpdate(b, app, func(w storage.Writer) { run(b, w) }) })
}

func BenchmarkQuery(b *testing.B) {
	people, app, _ := benchTable(b, storage.Index("by_city", "city", "age"))
	run := func(b *testing.B, r storage.Reader) {
		b.Run("first", func(b *testing.B) {
			for b.Loop() {
				if _, ok, err := people.Query(r).By("by_city").Eq("city50").First(); err != nil || !ok {
					b.Fatal(ok, err)
				}
			}
		})
		b.Run("page of 100", func(b *testing.B) {
			for b.Loop() {
				if docs, _, err := people.Query(r).By("by_city").Eq("city50").From(30).Page(); err != nil || len(docs) != 100 {
					b.Fatal(len(docs), err)
				}
			}
		})
		b.Run("all of 1000", func(b *testing.B) {
			for b.Loop() {
				n := 0
				for _, err := range people.Query(r).By("by_city").Eq("city50").All() {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != benchDocuments/100 {
					b.Fatal(n)
				}
			}
		})
		b.Run("count of 100000", func(b *testing.B) {
			for b.Loop() {
				if n, err := people.Query(r).By("by_city").Count(); err != nil || n != benchDocuments {
					b.Fatal(n, err)
				}
			}
		})
	}
	b.Run("query", func(b *testing.B) { mustRead(b, app, func(r storage.Reader) { run(b, r) }) })
	b.Run("mutation", func(b *testing.B) { mustUpdate(b, app, func(w storage.Writer) { run(b, w) }) })
}

// BenchmarkBuildIndex measures building one index over one document, at 1,000 a step.
func BenchmarkBuildIndex(b *testing.B) {
	people := storage.NewTable[Person]("people")
	dir := b.TempDir()
	s := mustOpen(b, dir, storage.Options{})
	app := mustApp(b, s, "acme")
	for n := 0; n < b.N; n += 1000 {
		mustUpdate(b, app, func(w storage.Writer) {
			for i := range min(1000, b.N-n) {
				if _, err := people.Insert(w, person(n+i)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	mustClose(b, s)
	indexed := storage.NewTable[Person]("people", storage.Index("by_city", "city", "age"))
	s = mustOpen(b, dir, storage.Options{Tables: []storage.Schema{indexed}})
	b.ResetTimer()
	mustApp(b, s, "acme")
	b.StopTimer()
}
