package sample

import (
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Page is a document of the table pages: a text that is edited, and what of it can be found.
type Page struct {
	Text      string    `json:"text"`
	Indexed   string    `json:"indexed"` // the text that the search knows
	IndexedAt time.Time `json:"indexedAt,omitzero"`
	Times     int       `json:"times"` // how often it was indexed
}

// indexAfter is how long a page must rest before it is indexed. One that is edited all
// the time is indexed all the same, after ten times as long (dispatch.Replace).
const indexAfter = 3 * time.Second

type (
	createPage struct {
		Text string `json:"text"`
	}
	editPage struct {
		PageID storage.ID[Page] `json:"pageId"`
		Text   string           `json:"text"`
	}
	pageRef struct {
		PageID storage.ID[Page] `json:"pageId"`
	}
	findPages struct {
		Word string `json:"word"`
	}
)

var (
	pages = storage.NewTable[Page]("pages")

	searchCreate = dispatch.Mutation[createPage, storage.ID[Page]]("search:create")
	searchEdit   = dispatch.Mutation[editPage, scheduled]("search:edit")
	searchFind   = dispatch.Query[findPages, []storage.ID[Page]]("search:find")
	searchRead   = dispatch.Query[pageRef, Page]("search:read")
	searchIndex  = dispatch.InternalAction[pageRef, dispatch.None]("search:index")
	searchRecord = dispatch.InternalMutation[editPage, dispatch.None]("search:record")
)

func handleSearch(reg *dispatch.Registry) {
	searchCreate.Handle(reg, func(ctx *dispatch.MutationCtx, args createPage) (storage.ID[Page], error) {
		if err := checkText("text", args.Text); err != nil {
			return "", err
		}
		id, err := pages.Insert(ctx.DB, Page{Text: args.Text})
		if err != nil {
			return "", err
		}
		_, err = indexSoon(ctx, id)
		return id, err
	})

	searchEdit.Handle(reg, func(ctx *dispatch.MutationCtx, args editPage) (scheduled, error) {
		if err := checkText("text", args.Text); err != nil {
			return scheduled{}, err
		}
		err := pages.Patch(ctx.DB, args.PageID, func(p *Page) error {
			p.Text = args.Text
			return nil
		})
		if err != nil {
			return scheduled{}, err
		}
		job, err := indexSoon(ctx, args.PageID)
		return scheduled{job}, err
	})

	// The job reads the page when it runs, and so knows the last edit, whichever it was.
	searchIndex.Handle(reg, func(ctx *dispatch.ActionCtx, args pageRef) (dispatch.None, error) {
		page, err := searchRead.Run(ctx, args)
		if err != nil {
			return dispatch.None{}, err
		}
		// A real app sends the text to its search engine here.
		return searchRecord.Run(ctx, editPage{args.PageID, page.Text})
	})

	searchRecord.Handle(reg, func(ctx *dispatch.MutationCtx, args editPage) (dispatch.None, error) {
		return dispatch.None{}, pages.Patch(ctx.DB, args.PageID, func(p *Page) error {
			p.Indexed, p.IndexedAt, p.Times = args.Text, ctx.Now, p.Times+1
			return nil
		})
	})

	searchRead.Handle(reg, func(ctx *dispatch.QueryCtx, args pageRef) (Page, error) {
		return pages.Get(ctx.DB, args.PageID)
	})

	searchFind.Handle(reg, func(ctx *dispatch.QueryCtx, args findPages) ([]storage.ID[Page], error) {
		found := []storage.ID[Page]{}
		for page, err := range pages.Query(ctx.DB).All() {
			if err != nil {
				return nil, err
			}
			if strings.Contains(page.Value.Indexed, args.Word) {
				found = append(found, page.ID)
			}
		}
		return found, nil
	})
}

// indexSoon has the page indexed once for all the edits that come one soon after the
// other. What is edited while it is being indexed is indexed again afterwards, and never
// beside it.
func indexSoon(ctx *dispatch.MutationCtx, id storage.ID[Page]) (storage.JobID, error) {
	return ctx.Scheduler.RunAfter(indexAfter, searchIndex.With(pageRef{id}), dispatch.Unique(string(id), dispatch.Replace()))
}
