package ui

import (
	"encoding/json"
	"maps"
	"strings"
	"unicode/utf8"

	"carillon/dispatch"
	"carillon/server/api"
)

// Bounds of the pages of documents.
const (
	documentsPerPage = "50"
	previewBytes     = 160      // of a document in a list
	maxEdited        = 20 << 10 // of a document in a form, which is three times as long where it is sent
	maxCompared      = 500      // lines of two versions whose differences are looked for
)

type tablesData struct {
	App    string
	Tables []api.Table
}

func tables(r *Request) (*Answer, error) {
	list, err := r.tables()
	if err != nil {
		return nil, err
	}
	return r.show("tables", "Tables", r.inApp(), tablesData{r.HTTP.PathValue("app"), list}), nil
}

func (r *Request) tables() ([]api.Table, error) {
	return ask[[]api.Table](r, Call{Route: "GET /v1/apps/{app}/tables", Path: r.inPath("app")})
}

// tableAt is the address of the table's page.
func (r *Request) tableAt() string { return r.tablesAt() + "/" + escaped(r.HTTP.PathValue("table")) }

func (r *Request) tablesAt() string {
	return r.Base + "/apps/" + escaped(r.HTTP.PathValue("app")) + "/tables"
}

// inTable is the way to a page of the table.
func (r *Request) inTable() []crumb {
	return r.inApp(crumb{"Tables", r.tablesAt()}, crumb{r.HTTP.PathValue("table"), r.tableAt()})
}

// keyField is a field of the index that the page reads through, with the value that it is to have.
type keyField struct {
	api.IndexField
	Value string
}

type tableData struct {
	App   string
	Table api.Table
	Keys  []keyField // of the chosen index
	Bound string     // the field that a range is of: the first one without a value; "" if there is none
	listed[api.DocumentPage]
}

// Changeable says whether the program declares the table, so that its documents can be changed.
func (d tableData) Changeable() bool { return d.Table.Type != "" }

func table(r *Request) (*Answer, error) {
	name, query := r.HTTP.PathValue("table"), r.given()
	asked := maps.Clone(query)
	if !asked.Has("limit") {
		asked.Set("limit", documentsPerPage)
	}
	page, err := ask[api.DocumentPage](r, Call{Route: "GET /v1/apps/{app}/tables/{table}/documents", Path: r.inPath("app", "table"), Query: asked})
	if err != nil {
		return nil, err
	}
	list, err := r.tables()
	if err != nil {
		return nil, err
	}
	d := tableData{App: r.HTTP.PathValue("app"), Table: api.Table{Name: name}, listed: listing(page, query, page.Next)}
	for _, t := range list {
		if t.Name == name {
			d.Table = t
		}
	}
	for _, x := range d.Table.Indexes {
		if x.Name != query.Get("index") {
			continue
		}
		if n := len(query["eq"]); n < len(x.Fields) {
			d.Bound = x.Fields[n].Name
		}
		for i, f := range x.Fields {
			key := keyField{IndexField: f}
			if i < len(query["eq"]) {
				key.Value = query["eq"][i]
			}
			d.Keys = append(d.Keys, key)
		}
	}
	return r.show("table", name, r.inApp(crumb{"Tables", r.tablesAt()}), d), nil
}

// preview is the beginning of a document.
func preview(doc json.RawMessage) string {
	text := string(doc)
	if len(text) <= previewBytes {
		return text
	}
	n := previewBytes
	for !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…"
}

// documentForm is a document, and what is to become of it.
type documentForm struct {
	App, Table string
	Doc        *api.Document // as it is; nil of a new one, or if it is not there any more
	Version    string        // that the form is made of
	Text       string        // in the form
	Editable   bool          // it is short enough for one
	Error      *api.Error
	Theirs     []versionLine // if there are two versions: the present one,
	Yours      []versionLine // and that of the form
}

func documentPage(r *Request) (*Answer, error) {
	doc, err := r.document()
	if err != nil {
		return nil, err
	}
	return r.showDocument(200, documentForm{Doc: &doc, Version: doc.Version, Text: indented(doc.Value)}), nil
}

func (r *Request) document() (api.Document, error) {
	return ask[api.Document](r, Call{Route: "GET /v1/apps/{app}/tables/{table}/documents/{id}", Path: r.inPath("app", "table", "id")})
}

func (r *Request) showDocument(status int, d documentForm) *Answer {
	d.App, d.Table, d.Editable = r.HTTP.PathValue("app"), r.HTTP.PathValue("table"), len(d.Text) <= maxEdited
	title := "New document"
	if r.HTTP.PathValue("id") != "" {
		title = r.HTTP.PathValue("id")
	}
	a := r.show("document", title, r.inTable(), d)
	a.status = status
	return a
}

// newDocument shows the empty form.
func newDocument(r *Request) (*Answer, error) {
	if _, err := r.tables(); err != nil {
		return nil, err
	}
	return r.showDocument(200, documentForm{Text: "{}"}), nil
}

// typed is the document in the form's field; nil if that is no JSON, and why.
func (r *Request) typed() (value json.RawMessage, wrong error) {
	var any json.RawMessage
	if err := json.Unmarshal([]byte(r.field("value")), &any); err != nil {
		return nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "the text is no JSON: %w", err)
	}
	return any, nil
}

// createDocument makes the document of the form.
func createDocument(r *Request) (*Answer, error) {
	value, wrong := r.typed()
	doc, err := ask[api.Document](r, Call{Route: "POST /v1/apps/{app}/tables/{table}/documents", Path: r.inPath("app", "table"), Body: api.NewDocument{Value: value}})
	if err == nil {
		return Go(r.tableAt() + "/documents/" + escaped(doc.ID)), nil
	}
	return r.mendDocument(documentForm{Text: r.field("value")}, err, wrong)
}

// saveDocument replaces the document by that of the form, if it is as the form was made of.
func saveDocument(r *Request) (*Answer, error) {
	value, wrong := r.typed()
	change := api.DocumentChange{Version: r.field("version"), Value: value}
	_, err := r.Ask(Call{Route: "PUT /v1/apps/{app}/tables/{table}/documents/{id}", Path: r.inPath("app", "table", "id"), Body: change})
	if err == nil {
		return Go(r.tableAt() + "/documents/" + escaped(r.HTTP.PathValue("id"))), nil
	}
	return r.mendDocument(documentForm{Version: r.field("version"), Text: r.field("value")}, err, wrong)
}

// deleteDocument deletes the document, if it is as the form was made of.
func deleteDocument(r *Request) (*Answer, error) {
	_, err := r.Ask(Call{
		Route: "DELETE /v1/apps/{app}/tables/{table}/documents/{id}", Path: r.inPath("app", "table", "id"), Body: api.DeleteDocument{Version: r.field("version")},
	})
	if err == nil {
		return Go(r.tableAt()), nil
	}
	status, e := r.Refused(err)
	if e.Present == nil {
		return nil, err
	}
	return r.showDocument(status, documentForm{Doc: e.Present, Version: e.Present.Version, Text: indented(e.Present.Value), Error: &e}), nil
}

// mendDocument shows the form again, with what was typed and why it was refused. If the document has changed
// since, it shows both, and the form is of the present one.
func (r *Request) mendDocument(d documentForm, err, wrong error) (*Answer, error) {
	code := dispatch.AsError(err).Code
	if code == dispatch.CodeInvalidArgument && wrong != nil {
		err = wrong // the row has said that the operator may, and has been given nothing instead
	}
	status, e := r.Refused(err)
	switch {
	case e.Present != nil:
		d.Doc, d.Version = e.Present, e.Present.Version
		d.Text = indented([]byte(d.Text))
		d.Theirs, d.Yours = compared(indented(e.Present.Value), d.Text)
	case code == dispatch.CodeNotFound && d.Version != "":
		// It is not there any more: what was typed can be made a new one.
	case code != dispatch.CodeInvalidArgument && code != dispatch.CodeResourceExhausted:
		return nil, err
	case d.Version != "":
		doc, gone := r.document()
		if gone != nil {
			return nil, gone
		}
		d.Doc = &doc
	case r.HTTP.PathValue("id") != "":
		return nil, err // the form has not said what it is made of
	}
	d.Error = &e
	return r.showDocument(status, d), nil
}

// versionLine is a line of a version.
type versionLine struct {
	Text  string
	Alone bool // the other version does not have it there
}

// compared are the lines of two versions, with those marked that only one has. Of long ones none is.
func compared(a, b string) (inA, inB []versionLine) {
	linesOf := func(text string) (list []versionLine) {
		for text := range strings.SplitSeq(text, "\n") {
			list = append(list, versionLine{Text: strings.TrimSuffix(text, "\r")})
		}
		return list
	}
	inA, inB = linesOf(a), linesOf(b)
	if len(inA) > maxCompared || len(inB) > maxCompared {
		return inA, inB
	}
	// common[i][j] is how many lines inA[i:] and inB[j:] have in common, in order.
	common := make([][]int, len(inA)+1)
	for i := range common {
		common[i] = make([]int, len(inB)+1)
	}
	for i := len(inA) - 1; i >= 0; i-- {
		for j := len(inB) - 1; j >= 0; j-- {
			if inA[i].Text == inB[j].Text {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(inA) || j < len(inB) {
		switch {
		case i < len(inA) && j < len(inB) && inA[i].Text == inB[j].Text:
			i, j = i+1, j+1
		case j == len(inB) || i < len(inA) && common[i+1][j] >= common[i][j+1]:
			inA[i].Alone = true
			i++
		default:
			inB[j].Alone = true
			j++
		}
	}
	return inA, inB
}
