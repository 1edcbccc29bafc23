package storage_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/storage"
)

type Status string

type Task struct {
	List   string                `json:"list"`
	Rank   int                   `json:"rank"`
	Status Status                `json:"status,omitempty"`
	Small  uint8                 `json:"small"`
	Weight float32               `json:"weight"`
	Due    *time.Time            `json:"due,omitempty"`
	Done   bool                  `json:"done"`
	Note   storage.ID[Note]      `json:"note"`
	Where  struct{ City string } `json:"where"`
}

func tasksTable() *storage.Table[Task] {
	return storage.NewTable[Task]("tasks",
		storage.Index("by_rank", "list", "rank"),
		storage.Index("by_status", "status"),
		storage.Index("by_small", "small"),
		storage.Index("by_weight", "weight"),
		storage.Index("by_due", "due"),
		storage.Index("by_done", "done", "due"),
		storage.Index("by_note", "note"),
		storage.Index("by_city", "where.City"),
	)
}

// withTasks gives the test a table with tasks of ranks 0 to 9, alternating
// between the lists "even" and "odd", in a transaction that is then committed.
func withTasks(t *testing.T, fn func(tasks *storage.Table[Task], w storage.Writer)) {
	t.Helper()
	tasks := tasksTable()
	s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{tasks}})
	app := mustApp(t, s, "acme")
	mustUpdate(t, app, func(w storage.Writer) {
		for i := range 10 {
			if _, err := tasks.Insert(w, Task{List: []string{"even", "odd"}[i%2], Rank: i}); err != nil {
				t.Fatal(err)
			}
		}
	})
	mustUpdate(t, app, func(w storage.Writer) { fn(tasks, w) })
}

func ranks(docs []storage.Doc[Task]) string {
	var all []string
	for _, d := range docs {
		all = append(all, fmt.Sprint(d.Value.Rank))
	}
	return strings.Join(all, " ")
}

func TestQueries(t *testing.T) {
	withTasks(t, func(tasks *storage.Table[Task], w storage.Writer) {
		all := tasks.Query(w)
		ranked := all.By("by_rank")
		odd := ranked.Eq("odd")
		tests := map[string]struct {
			query storage.Query[Task]
			want  string
		}{
			"whole table":            {all, "0 1 2 3 4 5 6 7 8 9"},
			"whole table backwards":  {all.Desc(), "9 8 7 6 5 4 3 2 1 0"},
			"take":                   {all.Take(3), "0 1 2"},
			"take backwards":         {all.Desc().Take(3), "9 8 7"},
			"take more than there":   {all.Take(11), "0 1 2 3 4 5 6 7 8 9"},
			"index":                  {ranked, "0 2 4 6 8 1 3 5 7 9"},
			"index backwards":        {ranked.Desc(), "9 7 5 3 1 8 6 4 2 0"},
			"equal":                  {odd, "1 3 5 7 9"},
			"equal backwards":        {odd.Desc(), "9 7 5 3 1"},
			"equal in all fields":    {odd.Eq(5), "5"},
			"equal to none":          {odd.Eq(4), ""},
			"both values at once":    {ranked.Eq("even", 4), "4"},
			"from":                   {odd.From(5), "5 7 9"},
			"from between":           {odd.From(4), "5 7 9"},
			"after":                  {odd.After(5), "7 9"},
			"to":                     {odd.To(5), "1 3 5"},
			"before":                 {odd.Before(5), "1 3"},
			"from to":                {odd.From(3).To(7), "3 5 7"},
			"after before":           {odd.After(3).Before(7), "5"},
			"range backwards":        {odd.From(3).Before(9).Desc(), "7 5 3"},
			"range backwards, taken": {odd.From(3).Desc().Take(2), "9 7"},
			"empty range":            {odd.From(7).Before(7), ""},
			"range upside down":      {odd.From(9).To(1), ""},
			"upside down, backwards": {odd.From(9).To(1).Desc(), ""},
			"range on first field":   {ranked.From("odd"), "1 3 5 7 9"},
			"after the first field":  {ranked.After("even"), "1 3 5 7 9"},
			"prefix is not equal":    {ranked.Eq("ev"), ""},
			"by before values":       {all.Eq("odd").From(5).By("by_rank"), "5 7 9"},
		}
		for name, tt := range tests {
			docs, next, err := tt.query.Page()
			if got := ranks(docs); err != nil || got != tt.want {
				t.Errorf("%s: Page = %q, %v, want %q", name, got, err, tt.want)
			}
			if more := strings.Contains(name, "take") && !strings.Contains(name, "more"); more != (next != "") {
				t.Errorf("%s: next = %q", name, next)
			}
			if docs == nil {
				t.Errorf("%s: Page has nil documents", name)
			}
			docs = nil
			for d, err := range tt.query.All() {
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				docs = append(docs, d)
			}
			if got := ranks(docs); got != tt.want {
				t.Errorf("%s: All = %q, want %q", name, got, tt.want)
			}
			if n, err := tt.query.Count(); err != nil || n != len(docs) {
				t.Errorf("%s: Count = %d, %v, want %d", name, n, err, len(docs))
			}
			first, ok, err := tt.query.First()
			if err != nil || ok != (len(docs) > 0) || ok && first.ID != docs[0].ID {
				t.Errorf("%s: First = %+v, %v, %v", name, first, ok, err)
			}
		}
	})
}

func TestQueryValuesOfEveryKind(t *testing.T) {
	withTasks(t, func(tasks *storage.Table[Task], w storage.Writer) {
		due := time.Date(2030, 1, 2, 3, 4, 5, 6, time.FixedZone("far", 3600))
		doc := Task{List: "kinds", Status: "open", Small: 255, Weight: 0.1, Due: &due, Done: true, Note: "n"}
		doc.Where.City = "Bath"
		id, err := tasks.Insert(w, doc)
		if err != nil {
			t.Fatal(err)
		}
		by := tasks.Query(w).By
		tests := map[string]storage.Query[Task]{
			"named string":           by("by_status").Eq(Status("open")),
			"plain string":           by("by_status").Eq("open"),
			"own uint8":              by("by_small").Eq(uint8(255)),
			"plain int for uint8":    by("by_small").Eq(255),
			"float32":                by("by_weight").Eq(float32(0.1)),
			"plain float":            by("by_weight").Eq(0.1),
			"plain int for float":    by("by_weight").After(0),
			"time for pointer":       by("by_due").Eq(due.UTC()),
			"pointer":                by("by_due").Eq(&due),
			"after nil":              by("by_due").After(nil),
			"after nil pointer":      by("by_due").After((*time.Time)(nil)),
			"bool and time":          by("by_done").Eq(true, due),
			"id":                     by("by_note").Eq(storage.ID[Note]("n")),
			"nested":                 by("by_city").Eq("Bath"),
			"zero values before all": by("by_city").After(""),
		}
		for name, q := range tests {
			if docs, _, err := q.Page(); err != nil || len(docs) != 1 || docs[0].ID != id {
				t.Errorf("%s: %+v, %v", name, docs, err)
			}
		}
		for name, q := range map[string]storage.Query[Task]{
			"nil pointers":  by("by_due").Eq(nil),
			"before a time": by("by_due").Before(due),
			"absent":        by("by_status").Eq(""),
		} {
			if n, err := q.Count(); err != nil || n != 10 {
				t.Errorf("%s: %d, %v, want the 10 others", name, n, err)
			}
		}
	})
}

func TestWrongQueriesAreErrors(t *testing.T) {
	withTasks(t, func(tasks *storage.Table[Task], w storage.Writer) {
		all := tasks.Query(w)
		by := all.By
		tests := map[string]struct {
			query storage.Query[Task]
			want  string
		}{
			"unknown index":           {by("by_rang"), `no index "by_rang"; there is by_city, by_done`},
			"empty index name":        {by(""), `no index ""`},
			"no index at all":         {storage.NewTable[Task]("tasks").Query(w).By("x"), `no index "x"; there is none`},
			"two indexes":             {by("by_rank").By("by_due"), "By is given twice"},
			"value without index":     {all.Eq(1), "name one with By"},
			"bound without index":     {all.From(1), "name one with By"},
			"string for int":          {by("by_rank").Eq("odd", "5"), `index by_rank: field "rank": want a int, got string`},
			"int for string":          {by("by_rank").Eq(5), `field "list": want a string, got int 5`},
			"other int type":          {by("by_rank").Eq("odd", int64(5)), "got int64"},
			"float for int":           {by("by_rank").Eq("odd", 5.0), "got float64 5"},
			"other string type":       {by("by_rank").Eq(Status("odd")), "got storage_test.Status"},
			"id of another table":     {by("by_note").Eq(storage.ID[Task]("n")), "want a storage.ID"},
			"int too large":           {by("by_small").Eq(256), `field "small": want a uint8, got int 256`},
			"int negative":            {by("by_small").Eq(-1), "got int -1"},
			"float too large":         {by("by_weight").Eq(1e300), "got float64 1e+300"},
			"NaN":                     {by("by_weight").From(math.NaN()), "NaN"},
			"nil":                     {by("by_rank").Eq(nil), "want a string, got nil"},
			"nil of another pointer":  {by("by_due").Eq((*int)(nil)), "want a *time.Time, got *int"},
			"untyped struct":          {by("by_rank").Eq(struct{}{}), "got struct {}"},
			"bool for time":           {by("by_due").To(true), "got bool"},
			"too many values":         {by("by_rank").Eq("odd", 5, 6), "values for 3 fields, it has 2"},
			"range after all fields":  {by("by_rank").Eq("odd", 5).From(1), "values for 3 fields, it has 2"},
			"two lower bounds":        {by("by_rank").From("a").After("b"), "two lower bounds"},
			"two upper bounds":        {by("by_rank").To("a").Before("b"), "two upper bounds"},
			"take none":               {all.Take(0), "Take wants 1 or more"},
			"take less":               {all.Take(-1), "Take wants 1 or more"},
			"cursor is not one":       {all.Cursor("!"), "is not a cursor"},
			"cursor is short":         {all.Cursor("AAAA"), "is not a cursor"},
			"cursor is long":          {all.Cursor(strings.Repeat("A", 1<<16)), "cursor"},
			"value of the wrong kind": {by("by_done").Eq(1), "want a bool, got int 1"},
		}
		for name, tt := range tests {
			_, _, err := tt.query.Page()
			wantErr(t, err, storage.ErrInvalid, "table tasks: ", tt.want)
			_, _, first := tt.query.First()
			_, count := tt.query.Count()
			var each error
			for d, err := range tt.query.All() {
				if each != nil || d.ID != "" {
					t.Errorf("%s: All goes on after the error", name)
				}
				each = err
			}
			for _, other := range []error{first, count, each} {
				if other == nil || other.Error() != err.Error() {
					t.Errorf("%s: %q and %v", name, err, other)
				}
			}
			if len(err.Error()) > 400 {
				t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
			}
		}
	})
}

func TestQueriesCanBeContinuedInSeveralWays(t *testing.T) {
	withTasks(t, func(tasks *storage.Table[Task], w storage.Writer) {
		base := tasks.Query(w).By("by_rank").Eq("odd")
		a, b := base.Eq(1), base.Eq(3)
		lower := base.From(5)
		_ = lower.Before(7)
		for want, q := range map[string]storage.Query[Task]{"1": a, "3": b, "5 7 9": lower, "1 3 5 7 9": base} {
			if docs, _, err := q.Page(); err != nil || ranks(docs) != want {
				t.Errorf("%q, %v, want %q", ranks(docs), err, want)
			}
		}
	})
}

func TestLongCount(t *testing.T) {
	notes := notesTable()
	s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{notes}})
	app := mustApp(t, s, "acme")
	mustUpdate(t, app, func(w storage.Writer) {
		for i := range 4100 {
			if _, err := notes.Insert(w, Note{Stars: i}); err != nil {
				t.Fatal(err)
			}
		}
		for _, q := range []storage.Query[Note]{notes.Query(w), notes.Query(w).Desc(), notes.Query(w).By("by_stars"), notes.Query(w).By("by_stars").Desc()} {
			for _, take := range []int{4095, 4096, 4097, 4099, 4100, 4101} {
				if n, err := q.Take(take).Count(); err != nil || n != min(take, 4100) {
					t.Errorf("Take(%d).Count = %d, %v", take, n, err)
				}
			}
		}
	})
}

func TestPageSizes(t *testing.T) {
	notes := storage.NewTable[Note]("notes")
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	mustUpdate(t, app, func(w storage.Writer) {
		for i := range 1001 {
			if _, err := notes.Insert(w, Note{Stars: i}); err != nil {
				t.Fatal(err)
			}
		}
	})
	mustRead(t, app, func(r storage.Reader) {
		q := notes.Query(r)
		docs, next, err := q.Page()
		if err != nil || len(docs) != 100 || next == "" {
			t.Errorf("without Take: %d documents, %q, %v", len(docs), next, err)
		}
		docs, next, err = q.Take(1000).Page()
		if err != nil || len(docs) != 1000 || next == "" {
			t.Errorf("Take(1000): %d documents, %q, %v", len(docs), next, err)
		}
		docs, next, err = q.Take(1000).Cursor(next).Page()
		if err != nil || len(docs) != 1 || docs[0].Value.Stars != 1000 || next != "" {
			t.Errorf("its next: %d documents, %q, %v", len(docs), next, err)
		}
		_, _, err = q.Take(1001).Page()
		wantErr(t, err, storage.ErrInvalid, "table notes", "1001", "1 to 1000")
		if n, err := q.Take(1001).Count(); err != nil || n != 1001 {
			t.Errorf("Count = %d, %v", n, err)
		}
		if n, err := q.Take(1000).Count(); err != nil || n != 1000 {
			t.Errorf("Count = %d, %v", n, err)
		}
	})
}

func TestCursorOfAnotherQueryIsRefused(t *testing.T) {
	withTasks(t, func(tasks *storage.Table[Task], w storage.Writer) {
		others := storage.NewTable[struct{ X int }]("others")
		queries := map[string]storage.Query[Task]{
			"table":           tasks.Query(w),
			"table backwards": tasks.Query(w).Desc(),
			"index":           tasks.Query(w).By("by_rank"),
			"other index":     tasks.Query(w).By("by_city"),
			"backwards":       tasks.Query(w).By("by_rank").Desc(),
			"equal":           tasks.Query(w).By("by_rank").Eq("odd"),
			"other value":     tasks.Query(w).By("by_rank").Eq("even"),
			"range":           tasks.Query(w).By("by_rank").Eq("even").From(0),
			"other range":     tasks.Query(w).By("by_rank").Eq("even").To(8),
		}
		for from, q := range queries {
			_, cursor, err := q.Take(2).Page()
			if err != nil || cursor == "" {
				t.Fatal(err)
			}
			for name, other := range queries {
				_, _, err := other.Cursor(cursor).Page()
				if name == from {
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
					continue
				}
				wantErr(t, err, storage.ErrInvalid, "table tasks", "cursor is of another query")
			}
			_, _, err = others.Query(w).Cursor(cursor).Page()
			wantErr(t, err, storage.ErrInvalid, "table others", "cursor is of another query")
		}
	})
}

// A cursor that was tampered with leads nowhere outside its query.
func TestCursorStaysInsideItsQuery(t *testing.T) {
	withTasks(t, func(tasks *storage.Table[Task], w storage.Writer) {
		q := tasks.Query(w).By("by_rank").Eq("odd").Take(1)
		docs, cursor, err := q.Page()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(raw, []byte("odd"))
		for _, list := range []string{"even", "odc", "ode", "", "zzz", "odd"} {
			forged := slices.Concat(raw[:at], []byte(list), raw[at+len("odd"):])
			next, _, err := q.Cursor(base64.RawURLEncoding.EncodeToString(forged)).Page()
			if list == "odd" {
				if err != nil || len(next) != 1 || next[0].ID <= docs[0].ID {
					t.Errorf("the true cursor: %+v, %v", next, err)
				}
				continue
			}
			wantErr(t, err, storage.ErrInvalid, "cursor is of another query")
		}
	})
}

func TestAllInAMutationMeetsEachDocumentOnce(t *testing.T) {
	const many = 120 // several chunks
	type step func(tasks *storage.Table[Task], w storage.Writer, ids []storage.ID[Task], at int) error
	move := func(by func(at int) (doc, rank int)) step {
		return func(tasks *storage.Table[Task], w storage.Writer, ids []storage.ID[Task], at int) error {
			doc, rank := by(at)
			return tasks.Patch(w, ids[doc%many], func(task *Task) error {
				task.Rank += rank
				return nil
			})
		}
	}
	tests := map[string]struct {
		body step
		want int // documents met; -1: only that none is met twice
	}{
		"moving each ahead": {move(func(at int) (int, int) { return at, 1000 }), many},
		"moving each back":  {move(func(at int) (int, int) { return at, -1000 }), many},
		"moving the next":   {move(func(at int) (int, int) { return at + 1, 1 }), many},
		"inserting": {func(tasks *storage.Table[Task], w storage.Writer, _ []storage.ID[Task], at int) error {
			_, err := tasks.Insert(w, Task{List: "all", Rank: at})
			return err
		}, many},
		"deleting each": {func(tasks *storage.Table[Task], w storage.Writer, ids []storage.ID[Task], at int) error {
			return tasks.Delete(w, ids[at])
		}, many},
		"deleting the next": {func(tasks *storage.Table[Task], w storage.Writer, ids []storage.ID[Task], at int) error {
			return tasks.Delete(w, ids[at+1])
		}, many / 2},
		"taking the next off the list": {func(tasks *storage.Table[Task], w storage.Writer, ids []storage.ID[Task], at int) error {
			return tasks.Patch(w, ids[at+1], func(task *Task) error {
				task.List = "other"
				return nil
			})
		}, many / 2},
		"reading": {func(tasks *storage.Table[Task], w storage.Writer, _ []storage.ID[Task], _ int) error {
			_, err := tasks.Query(w).By("by_rank").Count()
			return err
		}, many},
	}
	for name, tt := range tests {
		for _, desc := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " desc=", desc), func(t *testing.T) {
				tasks := tasksTable()
				s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{tasks}})
				app := mustApp(t, s, "acme")
				var ids []storage.ID[Task]
				insert := func(w storage.Writer) {
					id, err := tasks.Insert(w, Task{List: "all", Rank: len(ids)})
					if err != nil {
						t.Fatal(err)
					}
					ids = append(ids, id)
				}
				mustUpdate(t, app, func(w storage.Writer) {
					for range many / 2 {
						insert(w)
					}
				})
				mustUpdate(t, app, func(w storage.Writer) {
					for range many / 2 {
						insert(w)
					}
					order := slices.Clone(ids)
					q := tasks.Query(w).By("by_rank").Eq("all")
					if desc {
						slices.Reverse(order)
						q = q.Desc()
					}
					seen := map[storage.ID[Task]]bool{}
					for d, err := range q.All() {
						if err != nil {
							t.Fatal(err)
						}
						if seen[d.ID] {
							t.Fatalf("document %s is met twice", d.ID)
						}
						seen[d.ID] = true
						if now, err := tasks.Get(w, d.ID); err != nil || now.Rank != d.Value.Rank {
							t.Fatalf("got rank %d, it is %d, %v", d.Value.Rank, now.Rank, err)
						}
						if err := tt.body(tasks, w, order, slices.Index(order, d.ID)); err != nil {
							t.Fatal(err)
						}
					}
					if len(seen) != tt.want {
						t.Errorf("met %d documents, want %d", len(seen), tt.want)
					}
				})
			})
		}
	}
}

func TestAllOverTheTableSeesTheBodysWrites(t *testing.T) {
	withTasks(t, func(tasks *storage.Table[Task], w storage.Writer) {
		var got []string
		for d, err := range tasks.Query(w).All() {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(d.Value.Rank))
			docs, _, _ := tasks.Query(w).Page()
			for i, other := range docs {
				if other.ID == d.ID && i+1 < len(docs) {
					if d.Value.Rank == 103 {
						_ = tasks.Delete(w, docs[i+1].ID)
					} else {
						_ = tasks.Patch(w, docs[i+1].ID, func(task *Task) error { task.Rank += 100; return nil })
					}
				}
			}
			if _, err := tasks.Insert(w, Task{}); err != nil {
				t.Fatal(err)
			}
		}
		if want := "0 101 102 103 5 106 107 108 109"; strings.Join(got, " ") != want {
			t.Errorf("got %v, want %s", got, want)
		}
	})
}

// Pages are read, each from its own snapshot, while other documents come and go
// before, behind and at the cursor. Those that stay are met once, in order.
func TestPagesAreStableUnderConcurrentWrites(t *testing.T) {
	tasks := tasksTable()
	s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{tasks}})
	app := mustApp(t, s, "acme")
	const stay = 300
	mustUpdate(t, app, func(w storage.Writer) {
		for i := range stay {
			if _, err := tasks.Insert(w, Task{List: "stay", Rank: i / 3}); err != nil {
				t.Fatal(err)
			}
		}
	})
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		var passing []storage.ID[Task]
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			mustUpdate(t, app, func(w storage.Writer) {
				for i := range 20 {
					id, err := tasks.Insert(w, Task{List: "stay", Rank: (n*31 + i*7) % (stay / 3), Done: true})
					if err != nil {
						t.Error(err)
						return
					}
					passing = append(passing, id)
				}
				for len(passing) > 200 {
					if err := tasks.Delete(w, passing[0]); err != nil {
						t.Error(err)
						return
					}
					passing = passing[1:]
				}
			})
		}
	})
	defer writer.Wait()
	defer close(stop)
	for round := range 20 {
		var got []int
		var last storage.Doc[Task]
		for cursor := ""; ; {
			mustRead(t, app, func(r storage.Reader) {
				q := tasks.Query(r).By("by_rank").Eq("stay")
				if round%2 == 1 {
					q = q.Desc()
				}
				docs, next, err := q.Take(7).Cursor(cursor).Page()
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range docs {
					order := d.Value.Rank - last.Value.Rank
					if order == 0 {
						order = strings.Compare(string(d.ID), string(last.ID))
					}
					if last.ID != "" && (order > 0) == (round%2 == 1) {
						t.Fatalf("%v after %v", d, last)
					}
					last = d
					if !d.Value.Done {
						got = append(got, d.Value.Rank)
					}
				}
				cursor = next
			})
			if cursor == "" {
				break
			}
		}
		if len(got) != stay {
			t.Fatalf("round %d: met %d documents that stayed, want %d", round, len(got), stay)
		}
	}
}

func TestTransactionIsSafeForSeveralGoroutines(t *testing.T) {
	tasks := tasksTable()
	s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{tasks}})
	app := mustApp(t, s, "acme")
	mustUpdate(t, app, func(w storage.Writer) {
		var all sync.WaitGroup
		for g := range 4 {
			all.Go(func() {
				for i := range 30 {
					id, err := tasks.Insert(w, Task{List: fmt.Sprint(g), Rank: i})
					if err == nil && i%2 == 0 {
						err = tasks.Delete(w, id)
					}
					if err != nil {
						t.Error(err)
					}
					for _, err := range tasks.Query(w).By("by_rank").Eq(fmt.Sprint(g)).All() {
						if err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		all.Wait()
		if n, err := tasks.Query(w).By("by_rank").Count(); err != nil || n != 60 {
			t.Errorf("Count = %d, %v, want 60", n, err)
		}
	})
}
