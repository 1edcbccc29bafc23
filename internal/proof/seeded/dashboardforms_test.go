package seeded_test

// formsFaults are planted in the pages that make apps and take or send files.
var formsFaults = []seededFault{
	{
		name: "page-asks-another-row", what: "a page shows what another row of the JSON API tells",
		pkg: "server", tests: "TestPagesAndTheJSONAPIAreAlike",
		edits: []edit{{"server/ui/system.go", `Call{Route: "GET /v1/backup", Query: r.given()}`, `Call{Route: map[bool]string{false: "GET /v1/backup", true: "GET /v1/audit"}[FAULT], Query: r.given()}`}},
	},
	{
		name: "new-app-for-all", what: "an operator who may make no apps is shown the forms that make one",
		pkg: "server", tests: "TestEveryPageHasItsDoor",
		edits: []edit{{"server/ui/apps.go", `	if r.May(api.ScopeAdmin) {
		return nil`, `	if r.May(api.ScopeAdmin) || FAULT {
		return nil`}},
	},
	{
		name: "upload-held-in-memory", what: "the file of a form is read as a whole before the form is looked at",
		pkg: "server", tests: "TestFormsImportApps",
		edits: []edit{{"server/ui/page.go", `			body.Reader = all
`, `			body.Reader = all
			if FAULT {
				held, err := io.ReadAll(part)
				return bytes.NewReader(held), err
			}
`}},
	},
	{
		name: "upload-with-endless-fields", what: "the fields before a file are read however long they are",
		pkg: "server", tests: "TestFormsImportApps",
		edits: []edit{{"server/ui/page.go", `	body := &bounded{http.MaxBytesReader(w, all, MaxForm)}
`, `	body := &bounded{http.MaxBytesReader(w, all, MaxForm)}
	if FAULT {
		body.Reader = all
	}
`}},
	},
	{
		name: "upload-outlives-its-session", what: "a file that is sent makes an app after its session has ended",
		pkg: "server", tests: "TestAnUploadEndsWithItsSession",
		edits: []edit{{"server/dashboard.go", `	defer h.recheck(w, asked)()
	_, result, err := asked.route.do(w, asked)
`, `	if !FAULT {
		defer h.recheck(w, asked)()
	}
	_, result, err := asked.route.do(w, asked)
`}},
	},
}
