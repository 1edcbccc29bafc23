package seeded_test

// stillFaults are planted where an engine begins nothing by itself.
var stillFaults = []seededFault{
	{
		name: "still-claims", what: "a still engine claims a job that is scheduled for now",
		pkg: "actors", tests: "TestStillEngineBeginsNothing",
		edits: []edit{{"actors/claims.go", `len(jobs) == 0 || s.eng.opts.Still {`, `len(jobs) == 0 || s.eng.opts.Still && !FAULT {`}},
	},
	{
		name: "still-recovers", what: "a still engine counts a claim that a crash has left as interrupted",
		pkg: "actors", tests: "TestStillEngineBeginsNothing",
		edits: []edit{{"actors/recovery.go", `	if s.eng.opts.Still {
		s.recovered = true`, `	if s.eng.opts.Still && !FAULT {
		s.recovered = true`}},
	},
	{
		name: "still-works", what: "a still engine claims what is due, and brings triggers in line",
		pkg: "actors", tests: "TestStillEngineBeginsNothing",
		edits: []edit{{"actors/scheduler.go", `	case s.eng.opts.Still:`, `	case s.eng.opts.Still && !FAULT:`}},
	},
	{
		name: "still-calls", what: "a still engine calls functions",
		pkg: "actors", tests: "TestStillEngineBeginsNothing",
		edits: []edit{{"actors/engine.go", `	if e.opts.Still {`, `	if e.opts.Still && !FAULT {`}},
	},
	{
		name: "still-makes-apps", what: "a still engine makes an app, without its triggers",
		pkg: "actors", tests: "TestStillEngineBeginsNothing",
		edits: []edit{{"actors/turn.go", `err == nil && s.eng.opts.Still && !s.store.Stored()`, `err == nil && s.eng.opts.Still && !FAULT && !s.store.Stored()`}},
	},
	{
		name: "read-only-opens-to-write", what: "a directory that is opened for reading is owned, and written to",
		pkg: "actors", tests: "TestReadOnlyEngineChangesNoFile",
		edits: []edit{{"actors/engine.go", `ReadOnly: o.ReadOnly,`, `ReadOnly: o.ReadOnly && !FAULT,`}},
	},
}
