package entries

import (
	"fmt"

	"carillon/dispatch"
	"carillon/storage"
)

// Entry is a document. Each author has 20 of them, and each city 40.
type Entry struct {
	N      int    `json:"n"`
	Author string `json:"author"`
	City   string `json:"city"`
	At     int64  `json:"at"`
	Score  int    `json:"score"`
	Text   string `json:"text"`
}

// Ask says which entries a query is to find.
type Ask struct {
	Index  string `json:"index"`
	Author string `json:"author,omitempty"`
	City   string `json:"city,omitempty"`
	From   int64  `json:"from,omitempty"`
}

// Span is the numbers of entries: n of them, from the first.
type Span struct {
	First int `json:"first"`
	N     int `json:"n"`
}

// Change is a new number for an entry, which changes all that its indexes are of.
type Change struct {
	ID storage.ID[Entry] `json:"id"`
	N  int               `json:"n"`
}

const (
	ofAuthor = 20
	ofCity   = 40
	// page is how many entries a query finds at most.
	page = 20
)

// The table, and its functions: to insert a span and tell its last entry, to replace an
// entry, and to find at most 20 and tell how many there were.
var (
	Table = storage.NewTable[Entry]("entries",
		storage.Index("by_author", "author", "at"), storage.Index("by_city", "city", "at"), storage.Index("by_score", "score"))

	Put     = dispatch.Mutation[Span, storage.ID[Entry]]("entries:put")
	Rewrite = dispatch.Mutation[Change, dispatch.None]("entries:rewrite")
	Find    = dispatch.Query[Ask, int]("entries:find")
)

// Of is the entry of the number. The scores of entries one after the other are far apart.
func Of(n int) Entry {
	return Entry{
		N: n, Author: fmt.Sprintf("author-%06d", n/ofAuthor), City: fmt.Sprintf("city-%06d", n/ofCity),
		At: int64(n), Score: int(uint32(n) * 2654435761 >> 1), Text: "what a note of a few words has",
	}
}

// Handle binds the functions.
func Handle(reg *dispatch.Registry) {
	Put.Handle(reg, func(ctx *dispatch.MutationCtx, s Span) (id storage.ID[Entry], err error) {
		for i := s.First; i < s.First+s.N && err == nil; i++ {
			id, err = Table.Insert(ctx.DB, Of(i))
		}
		return id, err
	})
	Rewrite.Handle(reg, func(ctx *dispatch.MutationCtx, c Change) (dispatch.None, error) {
		return dispatch.None{}, Table.Replace(ctx.DB, c.ID, Of(c.N))
	})
	Find.Handle(reg, func(ctx *dispatch.QueryCtx, a Ask) (int, error) {
		q := Table.Query(ctx.DB).By(a.Index).Take(page)
		switch a.Index {
		case "by_author":
			q = q.Eq(a.Author)
		case "by_city":
			q = q.Eq(a.City).From(a.From)
		case "by_score":
			q = q.From(int(a.From))
		}
		n := 0
		for _, err := range q.All() {
			if err != nil {
				return 0, err
			}
			n++
		}
		return n, nil
	})
}
