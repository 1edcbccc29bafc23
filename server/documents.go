package server

import (
	"encoding/json"
	"net/http"
	"net/url"

	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

func tableOf(t storage.TableStatus) api.Table {
	return api.Table{
		Name: t.Name, Type: t.Type, Documents: t.Documents, More: t.More,
		Indexes: each(t.Indexes, func(x storage.IndexStatus) api.TableIndex {
			return api.TableIndex{
				Name: x.Name, Built: x.Built,
				Fields: each(x.Fields, func(f storage.IndexField) api.IndexField { return api.IndexField(f) }),
			}
		}),
	}
}

func documentOf(d *storage.Document) api.Document {
	return api.Document{ID: d.ID, Version: d.Version, Value: d.JSON}
}

func (h *handler) listTables(_ http.ResponseWriter, r *request) (int, any, error) {
	tables, err := r.app.Tables(r.Context())
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, each(tables, tableOf), nil
}

// documentKeys are the parameters of a listing of documents.
var documentKeys = []string{"index", "eq", "from", "after", "to", "before", "desc", "limit", "cursor"}

// documentQuery makes the query of a URL's parameters.
func documentQuery(table string, query url.Values) (q storage.DocumentQuery, err error) {
	if err := onlyOnce(query, documentKeys, "eq"); err != nil {
		return q, err
	}
	q.Table, q.Index, q.Eq, q.Cursor = table, query.Get("index"), query["eq"], query.Get("cursor")
	for key, into := range map[string]**string{"from": &q.From, "after": &q.After, "to": &q.To, "before": &q.Before} {
		if query.Has(key) {
			text := query.Get(key)
			*into = &text
		}
	}
	if q.Desc, err = flagOf(query, "desc"); err != nil {
		return q, err
	}
	q.Limit, err = limitOf(query, 0)
	return q, err
}

func (h *handler) listDocuments(_ http.ResponseWriter, r *request) (int, any, error) {
	q, err := documentQuery(r.PathValue("table"), r.URL.Query())
	if err != nil {
		return 0, nil, err
	}
	page, err := r.app.Documents(r.Context(), q)
	if err != nil {
		return 0, nil, err
	}
	shown := api.DocumentPage{Documents: make([]api.Document, len(page.Documents)), Next: page.Next}
	for i := range page.Documents {
		shown.Documents[i] = documentOf(&page.Documents[i])
	}
	return http.StatusOK, shown, nil
}

func (h *handler) getDocument(_ http.ResponseWriter, r *request) (int, any, error) {
	doc, err := r.app.Document(r.Context(), r.PathValue("table"), r.PathValue("id"))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, documentOf(&doc), nil
}

func (h *handler) createDocument(w http.ResponseWriter, r *request) (int, any, error) {
	var body api.NewDocument
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	doc, err := r.edit("", "", body.Value)
	if err != nil {
		return 0, nil, err
	}
	w.Header().Set("Location", r.URL.EscapedPath()+"/"+doc.ID)
	return http.StatusCreated, documentOf(&doc), nil
}

func (h *handler) putDocument(w http.ResponseWriter, r *request) (int, any, error) {
	var body api.DocumentChange
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	if err := saysVersion(body.Version); err != nil {
		return 0, nil, err
	}
	doc, err := r.edit(r.PathValue("id"), body.Version, body.Value)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, documentOf(&doc), nil
}

func (h *handler) deleteDocument(w http.ResponseWriter, r *request) (int, any, error) {
	var body api.DeleteDocument
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	if err := saysVersion(body.Version); err != nil {
		return 0, nil, err
	}
	_, err := r.app.EditDocument(r.Context(), storage.DocumentEdit{Table: r.PathValue("table"), ID: r.PathValue("id"), Version: body.Version})
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, api.Empty{}, nil
}

// saysVersion refuses a change that does not say what it is made of.
func saysVersion(version string) error {
	if version == "" {
		return dispatch.Errorf(dispatch.CodeInvalidArgument, "version: say which version of the document was seen")
	}
	return nil
}

// edit stores the value as the document, or as a new one.
func (r *request) edit(id, version string, value json.RawMessage) (storage.Document, error) {
	if value == nil {
		return storage.Document{}, dispatch.Errorf(dispatch.CodeInvalidArgument, "value: give the document")
	}
	return r.app.EditDocument(r.Context(), storage.DocumentEdit{Table: r.PathValue("table"), ID: id, Version: version, JSON: value})
}
