package seeded_test

// orderFaults are planted where the jobs of an ordered pool get their turn (G27).
var orderFaults = []seededFault{
	{
		name: "order-retry-overtaken", what: "a job of an ordered pool that waits for another attempt lets the next begin",
		pkg: "actors", tests: "TestG27_AnOrderedPoolRunsOneAfterAnother",
		edits: []edit{{"storage/ordered.go", `	case job.Attempts > 0:`, `	case job.Attempts > 0 && !FAULT:`}},
	},
	{
		name: "order-held-overtaken", what: "a held job of an ordered pool lets the next begin",
		pkg: "actors", tests: "TestG27_AHeldJobKeepsItsTurn",
		edits: []edit{{"storage/ordered.go", `	case job.State == StateHeld:`, `	case job.State == StateHeld && FAULT:
		return nil
	case job.State == StateHeld:`}},
	},
	{
		name: "order-held-too-soon", what: "a job of an ordered pool is held before its turn has come",
		pkg: "actors", tests: "TestG27_AHeldJobKeepsItsTurn",
		edits: []edit{{"actors/claims.go", `(c.pools.ordered(job.Pool) || c.eng.unrunnable(job) == "")`, `(c.pools.ordered(job.Pool) && !FAULT || c.eng.unrunnable(job) == "")`}},
	},
	{
		name: "order-by-priority", what: "priorities change the order of an ordered pool",
		pkg: "actors", tests: "TestG27_AnOrderedPoolRunsOneAfterAnother",
		edits: []edit{{"actors/admit.go", `	if l.ordered {
		return job.Place()`, `	if l.ordered && !FAULT {
		return job.Place()`}},
	},
	{
		name: "order-new-job-first", what: "a new job of an ordered pool is claimed at once, whosever turn it is",
		pkg: "actors", tests: "TestG27_AnOrderedPoolGoesOn",
		edits: []edit{{"actors/claims.go", `	if s.pools.ordered(job.Pool) {`, `	if s.pools.ordered(job.Pool) && !FAULT {`}},
	},
	{
		name: "order-stands-still", what: "when a job of an ordered pool is canceled between its attempts nothing begins",
		pkg: "actors", tests: "TestG27_AnOrderedPoolGoesOn",
		edits: []edit{{"storage/ordered.go", `	if job.Ordered {`, `	if job.Ordered && !FAULT {`}},
	},
	{
		name: "order-kept-overtaken", what: "a job of an ordered pool that waits for another one lets the next begin",
		pkg: "actors", tests: "TestG27_AJobThatIsKeptBackKeepsItsTurn",
		edits: []edit{{"actors/ordered.go", `		case c.kept != nil:`, `		case c.kept != nil && !FAULT:`}},
	},
	{
		name: "order-turn-stays", what: "a job that is released keeps its turn as a held one",
		pkg: "storage", tests: "TestG27_ATurnIsStoredUntilItsJobIsClaimedOrEnds",
		edits: []edit{{"storage/held.go", `key != nil {
		tx.delete(key)`, `key != nil && !FAULT {
		tx.delete(key)`}},
	},
	{
		name: "pool-stands-still", what: "a job of a pool that waits for another one does not begin when that has ended",
		pkg: "actors", tests: "TestG27_WhatWaitsForAnotherJobBeginsWhenItHasEnded",
		edits: []edit{{"actors/claims.go", `	s.pools.unstallAll()`, `	if !FAULT {
		s.pools.unstallAll()
	}`}},
	},
}
