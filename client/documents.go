package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"

	"carillon/server/api"
)

// DocumentFilter chooses documents of a table. Values are as in JSON; one of a string or an instant may
// go without quotes, unless it begins with one.
type DocumentFilter struct {
	Index string   // to read through; "": in the order of insertion, and without values
	Eq    []string // values of the index's first fields
	// The bounds are of the field after those of Eq; nil: there is none.
	From, After, To, Before *string
	Desc                    bool   // the order is turned around
	Limit                   int    // documents a page, 1 to 1,000; 0 is 100
	Cursor                  string // where to go on; "" is the beginning
}

// Tables returns the app's tables, with their indexes.
func (a *App) Tables(ctx context.Context) (tables []api.Table, err error) {
	err = a.c.do(ctx, a.get("tables"), &tables)
	return tables, err
}

// Documents yields the documents of the table that the filter chooses, page by page.
func (a *App) Documents(ctx context.Context, table string, f DocumentFilter) iter.Seq2[api.Document, error] {
	return rows(a.DocumentPages(ctx, table, f), func(p *api.DocumentPage) []api.Document { return p.Documents })
}

// DocumentPages is Documents by pages, of which Next is the Cursor that another DocumentPages goes on from.
func (a *App) DocumentPages(ctx context.Context, table string, f DocumentFilter) iter.Seq2[*api.DocumentPage, error] {
	return pages(f.Cursor, func(cursor string) (*api.DocumentPage, string, error) {
		r := a.get("tables", table, "documents")
		r.query = url.Values{}
		if len(f.Eq) > 0 {
			r.query["eq"] = f.Eq
		}
		for key, value := range map[string]*string{"from": f.From, "after": f.After, "to": f.To, "before": f.Before} {
			if value != nil {
				r.query.Set(key, *value)
			}
		}
		setFlag(r.query, "desc", f.Desc)
		setNumber(r.query, "limit", f.Limit)
		set(r.query, "index", f.Index)
		set(r.query, "cursor", cursor)
		page := new(api.DocumentPage)
		err := a.c.do(ctx, r, page)
		return page, page.Next, err
	})
}

// Document returns a document of the table, with its version.
func (a *App) Document(ctx context.Context, table, id string) (doc api.Document, err error) {
	err = a.c.do(ctx, a.get("tables", table, "documents", id), &doc)
	return doc, err
}

// CreateDocument makes a document, which is stored as the program's type of the table encodes it.
func (a *App) CreateDocument(ctx context.Context, table string, value json.RawMessage) (doc api.Document, err error) {
	err = a.c.do(ctx, a.post(ifNotDone, &api.NewDocument{Value: value}, "tables", table, "documents"), &doc)
	return doc, err
}

// PutDocument replaces a document, if it has the version. If it has another one by now, the error is aborted,
// and its Present is the document as it is.
func (a *App) PutDocument(ctx context.Context, table, id, version string, value json.RawMessage) (doc api.Document, err error) {
	err = a.c.do(ctx, request{
		method: http.MethodPut, path: a.path("tables", table, "documents", id), repeat: ifNotDone,
		body: &api.DocumentChange{Version: version, Value: value},
	}, &doc)
	return doc, err
}

// DeleteDocument deletes a document for good, if it has the version; errors are as of PutDocument.
func (a *App) DeleteDocument(ctx context.Context, table, id, version string) error {
	return a.c.do(ctx, request{
		method: http.MethodDelete, path: a.path("tables", table, "documents", id), repeat: ifNotDone,
		body: &api.DeleteDocument{Version: version},
	}, nil)
}
