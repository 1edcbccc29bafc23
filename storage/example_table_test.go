package storage_test

import (
	"fmt"
	"log"
	"os"
	"time"

	"carillon/storage"
)

type Post struct {
	Author string    `json:"author"`
	Title  string    `json:"title"`
	At     time.Time `json:"at"`
}

// A table, an index to find posts by their author, newest or oldest first, and
// a page of the newest. In an app the Writer and the Reader come from the
// function's context, as ctx.DB.
func Example_documents() {
	posts := storage.NewTable[Post]("posts", storage.Index("by_author", "author", "at"))

	dir, err := os.MkdirTemp("", "carillon")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := storage.Open(dir, storage.Options{Tables: []storage.Schema{posts}})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	app, err := store.App("acme")
	if err != nil {
		log.Fatal(err)
	}

	tx := app.Begin(time.Now())
	defer tx.Rollback(nil) // does nothing once committed
	w := tx.Writer()
	monday := time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)
	for day, title := range []string{"Hello", "Bells", "Ropes", "Towers"} {
		if _, err := posts.Insert(w, Post{Author: "ann", Title: title, At: monday.AddDate(0, 0, day)}); err != nil {
			log.Fatal(err)
		}
	}

	byAnn := posts.Query(w).By("by_author").Eq("ann")
	newest, next, err := byAnn.Desc().Take(2).Page()
	if err != nil {
		log.Fatal(err)
	}
	for _, post := range newest {
		fmt.Println(post.Value.Title)
	}
	older, _, err := byAnn.Desc().Take(2).Cursor(next).Page()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("and before:", older[0].Value.Title)

	n, err := byAnn.From(monday.AddDate(0, 0, 1)).Count()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("since Tuesday:", n)

	for post, err := range byAnn.Before(monday.AddDate(0, 0, 1)).All() {
		if err != nil {
			log.Fatal(err)
		}
		err := posts.Patch(w, post.ID, func(p *Post) error {
			p.Title += ", world"
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	first, _, err := byAnn.First()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(first.Value.Title)
	// Output:
	// Towers
	// Ropes
	// and before: Bells
	// since Tuesday: 3
	// Hello, world
}
