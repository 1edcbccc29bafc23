package storage_test

import (
	"fmt"
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

	withTable(posts, func(w storage.Writer) error {
		monday := time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)
		for day, title := range []string{"Hello", "Bells", "Ropes", "Towers"} {
			if _, err := posts.Insert(w, Post{Author: "ann", Title: title, At: monday.AddDate(0, 0, day)}); err != nil {
				return err
			}
		}

		byAnn := posts.Query(w).By("by_author").Eq("ann")
		newest, next, err := byAnn.Desc().Take(2).Page()
		if err != nil {
			return err
		}
		for _, post := range newest {
			fmt.Println(post.Value.Title)
		}
		older, _, err := byAnn.Desc().Take(2).Cursor(next).Page()
		if err != nil {
			return err
		}
		fmt.Println("and before:", older[0].Value.Title)

		n, err := byAnn.From(monday.AddDate(0, 0, 1)).Count()
		if err != nil {
			return err
		}
		fmt.Println("since Tuesday:", n)

		for post, err := range byAnn.Before(monday.AddDate(0, 0, 1)).All() {
			if err != nil {
				return err
			}
			err := posts.Patch(w, post.ID, func(p *Post) error {
				p.Title += ", world"
				return nil
			})
			if err != nil {
				return err
			}
		}
		first, _, err := byAnn.First()
		if err != nil {
			return err
		}
		fmt.Println(first.Value.Title)
		return nil
	})
	// Output:
	// Towers
	// Ropes
	// and before: Bells
	// since Tuesday: 3
	// Hello, world
}
