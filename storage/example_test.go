package storage_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"carillon/storage"
)

type task struct {
	Owner string `json:"owner"`
	Title string `json:"title"`
	Done  bool   `json:"done"`
}

var tasks = storage.NewTable[task]("tasks", storage.Index("by_owner", "owner", "title"))

// withWriter runs fn with what a mutation has as ctx.DB, in an app with tasks.
func withWriter(fn func(db storage.Writer) error) { withTable(tasks, fn) }

// withTable is withWriter of another table.
func withTable(table storage.Schema, fn func(db storage.Writer) error) {
	dir, err := os.MkdirTemp("", "carillon")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := storage.Open(dir, storage.Options{Tables: []storage.Schema{table}})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	app, err := store.App("acme")
	if err != nil {
		log.Fatal(err)
	}
	tx := app.Begin(time.Now())
	defer tx.Rollback(nil)
	if err := fn(tx.Writer()); err != nil {
		fmt.Println(err)
	}
}

// Insert gives a document an id, which carries its type.
func ExampleTable_Insert() {
	withWriter(func(db storage.Writer) error {
		id, err := tasks.Insert(db, task{Owner: "ann", Title: "ring"})
		if err != nil {
			return err
		}
		doc, err := tasks.Get(db, id)
		fmt.Println(doc.Title)
		return err
	})
	// Output: ring
}

// Patch changes a document where it is, within the transaction.
func ExampleTable_Patch() {
	withWriter(func(db storage.Writer) error {
		id, err := tasks.Insert(db, task{Owner: "ann", Title: "ring"})
		if err != nil {
			return err
		}
		if err := tasks.Patch(db, id, func(t *task) error { t.Done = true; return nil }); err != nil {
			return err
		}
		doc, err := tasks.Get(db, id)
		fmt.Println(doc.Done)
		return err
	})
	// Output: true
}

// Get of an id that is gone is ErrNotFound.
func ExampleTable_Get_notFound() {
	withWriter(func(db storage.Writer) error {
		id, err := tasks.Insert(db, task{Title: "gone"})
		if err != nil {
			return err
		}
		if err := tasks.Delete(db, id); err != nil {
			return err
		}
		_, err = tasks.Get(db, id)
		fmt.Println(errors.Is(err, storage.ErrNotFound))
		return nil
	})
	// Output: true
}

// An index finds documents by their fields, in the order of the fields.
func ExampleIndex() {
	withWriter(func(db storage.Writer) error {
		for _, title := range []string{"sweep", "ring", "oil"} {
			if _, err := tasks.Insert(db, task{Owner: "ann", Title: title}); err != nil {
				return err
			}
		}
		for doc, err := range tasks.Query(db).By("by_owner").Eq("ann").All() {
			if err != nil {
				return err
			}
			fmt.Println(doc.Value.Title)
		}
		return nil
	})
	// Output:
	// oil
	// ring
	// sweep
}

// Pages of a query, each continued where the one before ended.
func ExampleQuery_Page() {
	withWriter(func(db storage.Writer) error {
		for n := range 3 {
			if _, err := tasks.Insert(db, task{Owner: "ann", Title: fmt.Sprint("task ", n)}); err != nil {
				return err
			}
		}
		first, next, err := tasks.Query(db).By("by_owner").Eq("ann").Take(2).Page()
		if err != nil {
			return err
		}
		rest, _, err := tasks.Query(db).By("by_owner").Eq("ann").Take(2).Cursor(next).Page()
		fmt.Println(len(first), "then", len(rest))
		return err
	})
	// Output: 2 then 1
}
