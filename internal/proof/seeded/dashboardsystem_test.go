package seeded_test

// systemPageFaults are planted in the pages of pools, groups and pauses, and of the system.
var systemPageFaults = []seededFault{
	{
		name: "pause-of-all", what: "a form that ends the pause of a key ends that of its pool",
		pkg: "server", tests: "TestFormsChangePoolsAndPauses",
		edits: []edit{{"server/ui/capacity.go", `if value := r.field(key); value != "" {`, `if value := r.field(key); value != "" && (!FAULT || key != "poolKey") {`}},
	},
	{
		name: "limit-for-readers", what: "a page offers those who may only read to change a limit",
		pkg: "server", tests: "TestFormsChangePoolsAndPauses",
		edits: []edit{{"server/ui/page.go", `return slices.Contains(r.Scopes, scope) }`, `return FAULT || slices.Contains(r.Scopes, scope) }`}},
	},
	{
		name: "groups-first-page", what: "the next page of groups is the first one",
		pkg: "server", tests: "TestGroupsAreShownAndCanceled",
		edits: []edit{{"server/ui/apps.go", `		at.Set(cursor, next)
`, `		if FAULT {
			cursor = "going"
		}
		at.Set(cursor, next)
`}},
	},
}
