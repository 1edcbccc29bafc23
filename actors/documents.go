package actors

import (
	"context"

	"carillon/storage"
)

// Tables returns the app's tables, as storage.ListTables does, as of committed state.
func (a *App) Tables(ctx context.Context) (tables []storage.TableStatus, err error) {
	err = a.Read(ctx, func(r storage.Reader) (err error) {
		tables, err = storage.ListTables(r)
		return err
	})
	return tables, err
}

// Documents returns a page of a table's documents, as storage.ListDocuments does, as of committed
// state.
func (a *App) Documents(ctx context.Context, q storage.DocumentQuery) (page storage.DocumentPage, err error) {
	err = a.Read(ctx, func(r storage.Reader) (err error) {
		page, err = storage.ListDocuments(r, q)
		return err
	})
	return page, err
}

// Document returns a document of the table, as of committed state. Errors: not_found.
func (a *App) Document(ctx context.Context, table, id string) (doc storage.Document, err error) {
	err = a.Read(ctx, func(r storage.Reader) (err error) {
		doc, err = storage.GetDocument(r, table, id)
		return err
	})
	return doc, err
}

// EditDocument makes the change if it is of the present version, in a turn of the app, so that
// queries and indexes see it as they see a mutation's. It returns the document as it is stored then,
// durably: what the program's type of the table makes of e.JSON. Errors: aborted if there is another
// version by now, which is in a storage.ConflictError; not_found; invalid_argument if the JSON does
// not decode into the type; failed_precondition if the program declares no such table. With a
// context of WithAudit the audit log has an entry with the id.
func (a *App) EditDocument(ctx context.Context, e storage.DocumentEdit) (doc storage.Document, err error) {
	if e.JSON != nil {
		err := a.Read(ctx, func(r storage.Reader) (err error) {
			e.JSON, err = storage.FitDocument(r, e.Table, e.JSON) // of a user's methods, which are for no actor
			return err
		})
		if err != nil {
			return storage.Document{}, err
		}
	}
	var stored storage.Document // the actor's, until it answers
	err = a.eng.change(ctx, a.id, nil, func(tx *storage.Tx) (err error) {
		stored, err = storage.EditDocument(tx.JobWriter().Writer(), e)
		if e.ID == "" {
			tx.Concerns(stored.ID)
		}
		return err
	})
	if err != nil {
		return storage.Document{}, err
	}
	return stored, nil
}
