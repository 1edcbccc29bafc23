package seeded_test

// orderFaults are planted where the jobs of an ordered pool get their turn, and those of a shared
// one their permits (G27).
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
		edits: []edit{{"actors/claims.go", `	if s.pools.ordered(job.Pool) || `, `	if s.pools.ordered(job.Pool) && !FAULT || `}},
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
	{
		name: "shared-without-limit", what: "a pool that all apps share lets each app have its limit",
		pkg: "actors", tests: "TestG27_AllAppsShareAPool",
		edits: []edit{{"actors/sharedpools.go", `len(l.waiting) == 0 && sp.free(at, l) > 0:`, `FAULT || len(l.waiting) == 0 && sp.free(at, l) > 0:`}},
	},
	{
		name: "shared-not-fair", what: "an app that gives a permit of a shared pool back takes it again before those that wait",
		pkg: "actors", tests: "TestG27_AllAppsShareAPool",
		edits: []edit{{"actors/sharedpools.go", `			l.waiting = append(l.waiting, app)
`, `			if l.waiting = append(l.waiting, app); FAULT && app.id == "deep" {
				l.waiting = append([]*appState{app}, l.waiting[:len(l.waiting)-1]...)
			}
`}},
	},
	{
		name: "shared-permit-kept", what: "the permit of an attempt that has ended does not come back to a shared pool",
		pkg: "actors", tests: "TestG27_ASharedPermitComesBack",
		edits: []edit{{"actors/pools.go", `	if ps.isShared(r.job.Pool) {
		ps.shared.release`, `	if ps.isShared(r.job.Pool) && !FAULT {
		ps.shared.release`}},
	},
	{
		name: "shared-permit-hoarded", what: "an app that runs as many jobs as it may takes permits of a shared pool all the same",
		pkg: "actors", tests: "TestG27_AnAppWithoutAPermitOfItsOwnKeepsNoneOfAllApps",
		edits: []edit{{"actors/admit.go", `c.pools.isShared(at.Pool) && c.isCrowded(job) {`, `c.pools.isShared(at.Pool) && c.isCrowded(job) && !FAULT {`}},
	},
	{
		name: "shared-stuck-forgotten", what: "a stuck handler keeps no permit of a shared pool, whatever that says",
		pkg: "actors", tests: "TestG27_AStuckHandlerKeepsASharedPermit",
		edits: []edit{{"actors/sharedpools.go", `p.IsShared() && p.HoldsWhileStuck() {`, `p.IsShared() && p.HoldsWhileStuck() && !FAULT {`}},
	},
	{
		name: "shared-turn-lost", what: "an app that hears of a permit which it has used waits for no other",
		pkg: "actors", tests: "TestG27_AllAppsShareAPool",
		edits: []edit{{"actors/sharedpools.go", `if had = l.dropUnused(app); had {`, `if had = l.dropUnused(app); had || FAULT {`}},
	},
}
