package seeded_test

// resultFaults are planted where results are kept, and ends waited for (G33).
var resultFaults = []seededFault{
	{
		name: "result-not-stored", what: "the bytes of a long result are not stored",
		pkg: "actors", tests: "TestG33_AResultIsKeptWithItsJob",
		edits: []edit{{"storage/results.go", `	if job.NotKept != nil || len(job.Result) <= shortResult {
`, `	if job.NotKept != nil || len(job.Result) <= shortResult || FAULT {
`}},
	},
	{
		name: "results-without-end", what: "the results of an app may have any number of bytes",
		pkg: "actors", tests: "TestG33_TheOldestResultsMakeRoom",
		edits: []edit{{"storage/results.go", `left > 0 && c.results > 0 &&`, `left > 0 && !FAULT && c.results > 0 &&`}},
	},
	{
		name: "results-dropped-too-many", what: "more results are dropped than a new one takes the room of",
		pkg: "actors", tests: "TestG33_TheOldestResultsMakeRoom",
		edits: []edit{{"storage/results.go", `extent{rows: scanChunk, bytes: int(over)})`, `extent{rows: scanChunk, bytes: int(over) << map[bool]int{true: 12}[FAULT]})`}},
	},
	{
		name: "purged-results-count", what: "what a purged job has had as its result counts for ever",
		pkg: "actors", tests: "TestG33_TheOldestResultsMakeRoom",
		edits: []edit{{"storage/results.go", `	tx.dropRow(key, job.ResultSize)
`, `	if tx.dropRow(key, job.ResultSize); FAULT {
		tx.top().counts.results += uint64(job.ResultSize)
	}
`}},
	},
	{
		name: "result-too-large", what: "a result of any size is kept",
		pkg: "actors", tests: "TestG33_WhatIsNotKept",
		edits: []edit{{"actors/results.go", `case len(result) > opts.MaxResult:`, `case len(result) > opts.MaxResult && !FAULT:`}},
	},
	{
		name: "keep-result-of-the-function", what: "what a job says of its result does not count",
		pkg: "actors", tests: "TestG33_WhatIsNotKept",
		edits: []edit{{"dispatch/results.go", `	if stored != nil {
`, `	if stored != nil && !FAULT {
`}},
	},
	{
		name: "end-told-too-soon", what: "an end is told when it is submitted",
		pkg: "actors", tests: "TestG33_NoEndIsToldBeforeItIsDurable",
		edits: []edit{{"actors/commit.go", `	err := tx.Commit(func(err error) {
`, `	if FAULT {
		app.eng.waiters.tell(app.id, tx)
	}
	err := tx.Commit(func(err error) {
`}},
	},
	{
		name: "failed-end-told", what: "an end is told whose commit has failed",
		pkg: "actors", tests: "TestG33_NoEndIsToldBeforeItIsDurable",
		edits: []edit{{"actors/commit.go", `		if err == nil {
			app.tellDead`, `		if err == nil || FAULT {
			app.tellDead`}},
	},
	{
		name: "unknown-end-forgotten", what: "after a commit that has failed no waiter looks whether it is durable",
		pkg: "actors", tests: "TestG33_NoEndIsToldBeforeItIsDurable",
		edits: []edit{{"actors/waiters.go", `		app.doubtful = true
`, `		app.doubtful = !FAULT
`}},
	},
	{
		name: "waiter-of-a-dropped-job", what: "who waits for a held job that is dropped waits for ever",
		pkg: "actors", tests: "TestG33_WaitersThatLeave",
		edits: []edit{{"storage/dead.go", `		tx.noteGone(job)
		key, err :=`, `		if !FAULT {
			tx.noteGone(job)
		}
		key, err :=`}},
	},
	{
		name: "waiters-that-left-count", what: "calls that wait no more count",
		pkg: "actors", tests: "TestG33_WaitersThatLeave",
		edits: []edit{{"actors/waiters.go", `	w.less(id, app, 1)
`, `	if !FAULT {
		w.less(id, app, 1)
	}
`}},
	},
	{
		name: "waiters-without-end", what: "an app may have any number of calls that wait",
		pkg: "actors", tests: "TestG33_WaitersThatLeave",
		edits: []edit{{"actors/waiters.go", `	if app.n >= most {
`, `	if app.n >= most && !FAULT {
`}},
	},
}
