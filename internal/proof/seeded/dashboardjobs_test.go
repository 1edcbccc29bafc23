package seeded_test

// dashboardJobsFaults are planted in the pages that change many jobs.
var dashboardJobsFaults = []seededFault{
	{
		name: "change-of-a-lost-filter", what: "a form whose filter was lost on the way changes all jobs",
		pkg: "server", tests: "TestManyJobsAreChangedAsConfirmed",
		edits: []edit{{"server/ui/operations.go", `	body.All = form.Get("all") == "true"`, `	body.All = form.Get("all") == "true" || FAULT && onlyStates(c.Filter)`}},
	},
	{
		name: "change-of-more-than-confirmed", what: "more jobs are changed than were confirmed, since more have come to be as the filter says",
		pkg: "server", tests: "TestManyJobsAreChangedAsConfirmed",
		edits: []edit{{"server/ui/operations.go", `	if !more && (`, `	if !FAULT && !more && (`}},
	},
	{
		name: "change-as-of-the-form", what: "a change is on jobs that were scheduled after they were counted",
		pkg: "server", tests: "TestManyJobsAreChangedAsConfirmed",
		edits: []edit{{"server/ui/operations.go", `	made, err := ask[api.Operation]`, `	if FAULT {
		body.AsOf = ""
	}
	made, err := ask[api.Operation]`}},
	},
	{
		name: "change-without-a-moment", what: "a form that does not say of when its count is changes what is there now",
		pkg: "server", tests: "TestManyJobsAreChangedAsConfirmed",
		edits: []edit{{"server/ui/operations.go", `	if body.AsOf == "" {`, `	if body.AsOf == "" && !FAULT {`}},
	},
	{
		name: "change-past-a-condition", what: "a condition of the filter that the form does not know is left out, and more jobs are changed",
		pkg: "server", tests: "TestManyJobsAreChangedAsConfirmed",
		edits: []edit{{"server/ui/filter.go", `		if !slices.Contains(chooses, key) ||`, `		if FAULT {
			continue
		}
		if !slices.Contains(chooses, key) ||`}},
	},
	{
		name: "change-past-a-span", what: "the spans of a listing's filter are not those of the change",
		pkg: "server", tests: "TestListedJobsAreThoseChanged",
		edits: []edit{{"server/ui/filter.go", `		if *into, err = instantField(values, key); err != nil {`, `		if FAULT {
			continue
		}
		if *into, err = instantField(values, key); err != nil {`}},
	},
	{
		name: "listing-hands-less-on", what: "the listing's form does not send all of the filter along",
		pkg: "server", tests: "TestManyJobsAreChangedAsConfirmed",
		edits: []edit{{"server/ui/jobs.go", `		filter.Del(key)
	}`, `		filter.Del(key)
	}
	if FAULT {
		filter.Del("tag")
	}`}},
	},
	{
		name: "selection-ignored", what: "all that the filter chooses is changed, and not what was selected",
		pkg: "server", tests: "TestSelectedJobsAreChangedOneByOne",
		edits: []edit{{"server/ui/operations.go", `Selected: values.Get("of") == "selected",`, `Selected: values.Get("of") == "selected" && !FAULT,`}},
	},
	{
		name: "selection-unbounded", what: "a form changes any number of selected jobs",
		pkg: "server", tests: "TestSelectedJobsAreChangedOneByOne",
		edits: []edit{{"server/ui/operations.go", `	case len(c.Jobs) > maxChosen:`, `	case len(c.Jobs) > maxChosen && !FAULT:`}},
	},
	{
		name: "selection-refused-quietly", what: "the page does not say which of the selected jobs were not changed",
		pkg: "server", tests: "TestSelectedJobsAreChangedOneByOne",
		edits: []edit{{"server/ui/operations.go", `	if len(d.Selection) == 0 {`, `	if len(d.Selection) == 0 || FAULT {`}},
	},
	{
		name: "operation-widened", what: "the page of an operation has a link to jobs that its hidden filter does not choose",
		pkg: "server", tests: "TestOperationsHideWhatTheyWereChosenBy",
		edits: []edit{{"server/ui/operations.go", `	if len(o.Hidden) > 0 {`, `	if len(o.Hidden) > 0 && !FAULT {`}},
	},
	{
		name: "command-unquoted", what: "a shell runs what is in a job's name or arguments, when a command of its page is copied",
		pkg: "server/ui", tests: "TestCommandsAreWhatAShellReads",
		edits: []edit{{"server/ui/shell.go", "		command += \" '\" + strings.ReplaceAll(", `		if FAULT {
			command += " '" + arg + "'"
			continue
		}
		command += " '" + strings.ReplaceAll(`}},
	},
	{
		name: "command-to-the-terminal", what: "a command that is copied from a page has characters that a terminal acts on",
		pkg: "server/ui", tests: "TestCommandsAreWhatAShellReads",
		edits: []edit{{"server/ui/shell.go", `	return r == ' ' || unicode.IsGraphic`, `	return FAULT || r == ' ' || unicode.IsGraphic`}},
	},
	{
		name: "tree-unbounded", what: "the page of a job asks for all that has come of it",
		pkg: "server", tests: "TestJobPageShowsTheTree",
		edits: []edit{{"server/ui/tree.go", `min(len(children), max(t.left, 0))`, `min(len(children), max(t.left, 0)+map[bool]int{FAULT: 100}[true])`}},
	},
	{
		name: "tree-cut-off", what: "the tree of a job does not say where there are more jobs",
		pkg: "server", tests: "TestJobPageShowsTheTree",
		edits: []edit{{"server/ui/tree.go", `n.More = len(shown) < len(children) ||`, `n.More = !FAULT && len(shown) < len(children) ||`}},
	},
	{
		name: "cascade-ignored", what: "a job is canceled alone, although its form says with what has come of it",
		pkg: "server", tests: "TestJobPageShowsTheTree",
		edits: []edit{{"server/ui/jobs.go", `Cascade: r.field("cascade") == "true"`, `Cascade: r.field("cascade") == "true" && !FAULT`}},
	},
	{
		name: "delete-untyped", what: "an app is deleted whatever name was typed",
		pkg: "server", tests: "TestAppIsExportedAndDeleted",
		edits: []edit{{"server/ui/apps.go", `api.DeleteApp{Name: r.field("name")}`, `api.DeleteApp{Name: map[bool]string{false: r.field("name"), true: r.HTTP.PathValue("app")}[FAULT]}`}},
	},
	{
		name: "export-saves-the-refusal", what: "the page that refuses an export is saved as if it were one",
		pkg: "server", tests: "TestAppIsExportedAndDeleted",
		edits: []edit{{"server/dashboard.go", `				w.Header().Del("Content-Disposition")`, `				if !FAULT {
					w.Header().Del("Content-Disposition")
				}`}},
	},
	{
		name: "confirmation-moves", what: "the page that asks says another count by itself, just before the click",
		pkg: "server", tests: "TestManyJobsAreChangedAsConfirmed",
		edits: []edit{{"server/ui/page.go", `f.failed || f.asks:`, `f.failed || f.asks && !FAULT:`}},
	},
}
