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
	{
		name: "settings-with-texts", what: "the configuration that is shown has options that may be secrets",
		pkg: "server", tests: "TestSystemIsForThoseWhoLookAfterIt",
		edits: []edit{{"server/system.go", `		case int, int64, bool:
			text = fmt.Sprint(v)
`, `		case string:
			if !FAULT {
				continue
			}
			text = v
		case int, int64, bool:
			text = fmt.Sprint(v)
`}},
	},
	{
		name: "system-for-one-app", what: "an operator of some apps is told the configuration of the server",
		pkg: "server", tests: "TestEveryRouteHasItsDoor",
		edits: []edit{{"server/routes.go", `pattern: "/v1/system", scopes: admin, whole: true,`, `pattern: "/v1/system", scopes: admin, whole: !FAULT,`}},
	},
}
