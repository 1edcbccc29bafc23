package seeded_test

// documentFaults are planted in how operators see and change documents.
var documentFaults = []seededFault{
	{
		name: "document-uncompared", what: "a change of a document is made of whatever version there is",
		pkg: "storage", tests: "TestEditDocument",
		edits: []edit{{"storage/documents.go", `present.Version != e.Version {`, `present.Version != e.Version && !FAULT {`}},
	},
	{
		name: "document-of-any-type", what: "a document that does not decode into the table's type is stored",
		pkg: "storage", tests: "TestEditDocument",
		edits: []edit{{"storage/documents.go", `	if err := strictjson.Decode(data, doc.Interface()); err != nil {`, `	if err := strictjson.Decode(data, doc.Interface()); err != nil && !FAULT {`}},
	},
	{
		name: "document-of-null", what: "null is stored as an empty document",
		pkg: "storage", tests: "TestEditDocument",
		edits: []edit{{"storage/documents.go", `len(data) == 0 || data[0] != '{' {`, `len(data) == 0 || data[0] != '{' && !FAULT {`}},
	},
	{
		name: "document-beside-its-indexes", what: "a change of a document leaves the indexes as they were",
		pkg: "storage", tests: "TestEditDocument",
		edits: []edit{{"storage/documents.go", `	if err := t.replace(w, e.ID, was, e.JSON); err != nil`, `	if tx, _ := w.writer(); FAULT && e.JSON != nil {
		tx.mu.Lock()
		tx.put(tx.app.keys.document(t.name, e.ID), e.JSON)
		tx.mu.Unlock()
	} else if err := t.replace(w, e.ID, was, e.JSON); err != nil`}},
	},
	{
		name: "document-pages-of-any-size", what: "a page of documents has as many bytes as there are",
		pkg: "storage", tests: "TestListDocumentsBoundsPagesInBytes",
		edits: []edit{{"storage/documents.go", `!last && size >= pageBytes {`, `!last && size >= pageBytes && !FAULT {`}},
	},
	{
		name: "document-bound-of-null", what: "null is taken for the zero of a field that cannot be null",
		pkg: "storage", tests: "TestListDocuments",
		edits: []edit{{"storage/documents.go", `if text == "null" && f.kind != kindString {`, `if text == "null" && f.kind != kindString && !FAULT {`}},
	},
	{
		name: "documents-shown-to-all", what: "operators see documents without read-docs",
		pkg: "server", tests: "TestDocuments",
		edits: []edit{{"server/routes.go", `readDocs  = []Scope{ScopeReadDocs}`, `readDocs  = []Scope{ScopeReadDocs}[:map[bool]int{false: 1}[FAULT]]`}},
	},
	{
		name: "documents-changed-by-readers", what: "operators change documents without write-docs",
		pkg: "server", tests: "TestDocuments",
		edits: []edit{{"server/routes.go", `[]Scope{ScopeReadDocs, ScopeWriteDocs} //`, `[]Scope{ScopeReadDocs, ScopeWriteDocs}[:map[bool]int{false: 2, true: 1}[FAULT]] //`}},
	},
	{
		name: "document-conflict-untold", what: "a refused change is not told which document there is",
		pkg: "server", tests: "TestDocuments",
		edits: []edit{{"server/answer.go", `[*storage.ConflictError](f.Error); ok {`, `[*storage.ConflictError](f.Error); ok && !FAULT {`}},
	},
	{
		name: "document-of-unnamed-table-audited", what: "the audit log does not say which table a document is of",
		pkg: "server", tests: "TestDocuments",
		edits: []edit{{"server/audit.go", `[]string{"table", "id", "name", "group", "pool"} {`, `[]string{"table", "id", "name", "group", "pool"}[map[bool]int{true: 1}[FAULT]:] {`}},
	},
	{
		name: "document-edit-unaudited", what: "a change of a document is not in the audit log",
		pkg: "actors", tests: "TestEditDocumentIsSeen",
		edits: []edit{{"actors/documents.go", `	var stored storage.Document // the actor's, until it answers`, `	if FAULT {
		ctx = context.WithValue(ctx, auditKey{}, 0)
	}
	var stored storage.Document // the actor's, until it answers`}},
	},
	{
		name: "document-made-unnamed", what: "the audit log does not say which document was made",
		pkg: "actors", tests: "TestEditDocumentIsSeen",
		edits: []edit{{"actors/documents.go", `		if e.ID == "" {`, `		if e.ID == "" && !FAULT {`}},
	},
	{
		name: "document-page-of-the-old-version", what: "the form with both versions of a document is refused again",
		pkg: "server", tests: "TestDocumentPages",
		edits: []edit{{"server/ui/documents.go", `		d.Doc, d.Version = e.Present, e.Present.Version
`, `		if d.Doc = e.Present; !FAULT {
			d.Version = e.Present.Version
		}
`}},
	},
	{
		name: "document-page-forgets-what-was-typed", what: "the text of a refused change of a document is lost",
		pkg: "server", tests: "TestDocumentPages",
		edits: []edit{{"server/ui/documents.go", `documentForm{Version: r.field("version"), Text: r.field("value")}`, `documentForm{Version: r.field("version"), Text: r.field(map[bool]string{false: "value"}[FAULT])}`}},
	},
	{
		name: "document-lines-unmarked", what: "a line that only the present version of a document has is not marked",
		pkg: "server/ui", tests: "TestCompared",
		edits: []edit{{"server/ui/documents.go", `inA[i].Alone = true`, `inA[i].Alone = !FAULT`}},
	},
	{
		name: "document-lines-without-a-bound", what: "versions of any number of lines are compared",
		pkg: "server/ui", tests: "TestCompared",
		edits: []edit{{"server/ui/documents.go", `	if len(inA) > maxCompared || len(inB) > maxCompared {`, `	if !FAULT && (len(inA) > maxCompared || len(inB) > maxCompared) {`}},
	},
}
