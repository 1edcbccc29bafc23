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
	{
		name: "args-undo-others", what: "arguments that a job is given on condition of what it has take the place of any",
		pkg: "actors", tests: "TestG18_ARescheduleOnConditionOfTheArguments",
		edits: []edit{{"dispatch/reschedule.go", `changes && !sameJSON(`, `changes && !FAULT && !sameJSON(`}},
	},
	{
		name: "args-of-an-old-form", what: "a form gives a job its arguments though the job was given others since",
		pkg: "server", tests: "TestFormsGiveAJobOtherArguments",
		edits: []edit{{"server/ui/jobargs.go", `case r.field("version") != versionOf(job.Args):`, `case r.field("version") != versionOf(job.Args) && !FAULT:`}},
	},
	{
		name: "args-guessed", what: "an operator who may not see the arguments of a job is told whether they are as guessed",
		pkg: "server", tests: "TestFormsGiveAJobOtherArguments",
		edits: []edit{{"server/schedule.go", `		if err := r.op.need(ScopeReadArgs); err != nil {`, `		if err := r.op.need(ScopeReadArgs); err != nil && !FAULT {`}},
	},
	{
		name: "form-without-claims", what: "the claims that are typed for who a function runs as are lost",
		pkg: "server", tests: "TestFormsScheduleWithEveryOption",
		edits: []edit{{"server/ui/triggerform.go", `&api.Identity{Subject: subject, Claims: claims}`, `&api.Identity{Subject: subject, Claims: map[bool]map[string]any{false: claims}[FAULT]}`}},
	},
}
