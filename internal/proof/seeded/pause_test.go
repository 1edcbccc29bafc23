package seeded_test

// pauseFaults are planted where pauses, and limits of pools set at run time, are followed (G35).
var pauseFaults = []seededFault{
	{
		name: "pause-of-a-function-ignored", what: "jobs of a function that is paused begin",
		pkg: "actors", tests: "TestG35_NothingOfAPauseBegins",
		edits: []edit{{"actors/controls.go", `	if len(c.functions) == 0 {`, `	if len(c.functions) == 0 || FAULT {`}},
	},
	{
		name: "pause-of-a-key-ignored", what: "jobs of a key that is paused begin",
		pkg: "actors", tests: "TestG35_NothingOfAPauseBegins",
		edits: []edit{{"actors/controls.go", `	return c.lanes[at]
`, `	return c.lanes[map[bool]storage.Lane{false: at}[FAULT]]
`}},
	},
	{
		name: "pause-spares-the-claimed", what: "a job that was claimed ahead begins though it is paused",
		pkg: "actors", tests: "TestG35_AClaimedJobDoesNotBegin",
		edits: []edit{{"actors/controls.go", `return s.paused(&r.job) != nil })`, `return s.paused(&r.job) != nil && !FAULT })`}, {"actors/handlers.go", `if cut := app.cutHere(inv.job, at.wall); cut != nil {`, `if cut := app.cutHere(inv.job, at.wall); cut != nil && !FAULT {`}},
	},
	{
		name: "pause-spares-the-turn", what: "a mutation that waits for its turn begins though it is paused",
		pkg: "actors", tests: "TestG35_AMutationThatWaitsForItsTurnDoesNotBegin",
		edits: []edit{{"actors/turnbatch.go", `app.paused(&inv.job.job) != nil {`, `app.paused(&inv.job.job) != nil && !FAULT {`}},
	},
	{
		name: "resume-looks-at-nothing", what: "jobs of a function that is resumed are not looked for",
		pkg: "actors", tests: "TestG35_NothingOfAPauseBegins",
		edits: []edit{{"actors/controls.go", `			s.claimFrom(storage.Place{}) // the walks have passed its jobs by`, `			if !FAULT {
				s.claimFrom(storage.Place{})
			}`}},
	},
	{
		name: "paused-jobs-fill-their-pool", what: "jobs of a function that is paused keep others of their pool back",
		pkg: "actors", tests: "TestG35_APausedFunctionKeepsItsPoolFree",
		edits: []edit{{"actors/admit.go", `			skipped++
`, `			if skipped++; FAULT {
				passed++
			}
`}},
	},
	{
		name: "pause-forgotten", what: "a pause does not survive a restart",
		pkg: "actors", tests: "TestG35_PausesSurvive",
		edits: []edit{{"storage/controls.go", `	if c.controls == 0 {`, `	if c.controls == 0 || FAULT {`}},
	},
	{
		name: "pause-not-imported", what: "an imported app that is paused is in the alarm index",
		pkg: "actors", tests: "TestG35_PausesSurvive",
		edits: []edit{{"storage/transfer.go", `		a.filed.counters = c
`, `		if !FAULT {
			a.filed.counters = c
		}
`}},
	},
	{
		name: "paused-app-in-the-alarm-index", what: "the pause of an app leaves its alarm",
		pkg: "actors", tests: "TestG35_EveryCrash",
		edits: []edit{{"storage/committer.go", `a.relasted && !realarmed {`, `a.relasted && (!realarmed || FAULT) {`}},
	},
	{
		name: "pause-by-the-old-path", what: "the pause of a function ends when it is renamed",
		pkg: "actors", tests: "TestG35_APauseFollowsARename",
		edits: []edit{{"actors/controls.go", `c.functions[app.eng.pathOf(scope.Function)] = &pause`, `c.functions[map[bool]string{false: app.eng.pathOf(scope.Function), true: scope.Function}[FAULT]] = &pause`}},
	},
	{
		name: "pauses-without-end", what: "an app may have any number of pauses",
		pkg: "actors", tests: "TestG35_BoundsAndRefusals",
		edits: []edit{{"storage/controls.go", `	if fresh && c.controls >= MaxControls {`, `	if fresh && c.controls >= MaxControls && !FAULT {`}},
	},
	{
		name: "declared-limit-wins", what: "a limit of a pool that is set at run time does not count",
		pkg: "actors", tests: "TestG27_ALimitSetAtRunTime",
		edits: []edit{{"actors/pools.go", `	if n, ok := c.limits[at.Pool]; ok {`, `	if n, ok := c.limits[at.Pool]; ok && !FAULT {`}},
	},
	{
		name: "waits-for-nothing", what: "a job that waits for a permit of its app says that it is about to begin",
		pkg: "actors", tests: "TestG35_EveryPendingJobSaysWhatItWaitsFor",
		edits: []edit{{"actors/waits.go", `	s.short.Store(int32(short))`, `	if !FAULT {
		s.short.Store(int32(short))
	}`}},
	},
}
