package seeded_test

// findFaults are planted in what finds a job, and in what is told of functions.
var findFaults = []seededFault{
	{
		name: "jump-to-the-first", what: "the dashboard leads to the first of several jobs that have the id",
		pkg: "server", tests: "TestJumpFindsJobsAndApps",
		edits: []edit{{"server/ui/jump.go", `	if len(d.Found) == 1 &&`, `	if (len(d.Found) == 1 || FAULT && len(d.Found) > 1) &&`}},
	},
	{
		name: "jump-past-an-app", what: "the search for a job leaves out the first app behind the cursor",
		pkg: "server", tests: "TestAJumpLooksForSomeTime",
		edits: []edit{{"server/ui/jump.go", `			if err == nil {
				d.Found`, `			if err == nil && (!FAULT || d.Looked > 0) {
				d.Found`}},
	},
	{
		name: "rates-for-one-app", what: "an operator of some apps is told how often functions run in all",
		pkg: "server", tests: "TestRatesOfFunctionsAreForOperatorsOfAllApps",
		edits: []edit{{"server/functions.go", `	if r.op.AllApps {
		stats`, `	if r.op.AllApps || FAULT {
		stats`}},
	},
	{
		name: "errors-uncounted", what: "runs that return an error are counted as runs alone",
		pkg: "actors", tests: "TestFunctionStats",
		edits: []edit{{"actors/functionstats.go", `m.time.Since(began); err != nil {`, `m.time.Since(began); err != nil && !FAULT {`}},
	},
	{
		name: "rate-since-the-start", what: "the rate of a function is that since the start",
		pkg: "actors", tests: "TestFunctionStats",
		edits: []edit{{"actors/functionstats.go", `	t, _ := m.tally(at)
`, `	t, _ := m.tally(at)
	if FAULT {
		t = runTally{}
	}
`}},
	},
}
