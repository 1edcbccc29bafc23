package seeded_test

// sharedFaults are planted where a pool that all apps share keeps its rate (G28) and its
// order (G27), and where walks remember what they have passed by (G35).
var sharedFaults = []seededFault{
	{
		name: "shared-rate-of-each", what: "the rate of a pool that all apps share is not kept",
		pkg: "actors", tests: "TestG28_AllAppsShareARate",
		edits: []edit{{"actors/sharedrates.go", `.Rate(); rate > 0 {
			l.starts.begun =`, `.Rate(); rate > 0 && !FAULT {
			l.starts.begun =`}},
	},
	{
		name: "shared-rate-sleeps-on", what: "no app hears that the rate of a shared pool lets a job begin",
		pkg: "actors", tests: "TestG28_AllAppsShareARate",
		edits: []edit{{"actors/sharedrates.go", `if opens > now && opens != never {`, `if opens > now && opens != never && !FAULT {`}},
	},
	{
		name: "shared-rate-of-claims", what: "a permit of a shared pool whose job has not begun is not counted by the rate",
		pkg: "actors", tests: "TestG28_ASharedRateCountsStarts",
		edits: []edit{{"actors/sharedpools.go", `	s.ahead, l.starts.ahead = s.ahead+1, l.starts.ahead+1`, `	if !FAULT {
		s.ahead, l.starts.ahead = s.ahead+1, l.starts.ahead+1
	}`}, {"actors/sharedpools.go", `	s.ahead, l.starts.ahead = s.ahead-ahead, l.starts.ahead-ahead`, `	if !FAULT {
		s.ahead, l.starts.ahead = s.ahead-ahead, l.starts.ahead-ahead
	}`}},
	},
	{
		name: "shared-rate-of-dropped-claims", what: "a claim of a shared pool that is taken back counts as a start for ever",
		pkg: "actors", tests: "TestG28_ASharedRateCountsStarts",
		edits: []edit{{"actors/sharedpools.go", `	ahead := 1
	if begun {`, `	ahead := 1
	if begun || FAULT {`}},
	},
	{
		name: "shared-rate-forgotten", what: "an engine that is opened knows nothing of what began before in other apps",
		pkg: "actors", tests: "TestG28_WhatBeganInAnyAppBeforeAnOpenCounts",
		edits: []edit{{"actors/sharedrates.go", `case s.Wait == 0 && age < spans[lane.Pool]:`, `case s.Wait == 0 && age < spans[lane.Pool] && !FAULT:`}},
	},
	{
		name: "shared-rate-forgets-crashes", what: "what a crash has cut off of a shared pool is no start before its app is taken up",
		pkg: "actors", tests: "TestG28_WhatBeganInAnyAppBeforeAnOpenCounts",
		edits: []edit{{"storage/startlog.go", `if slices.Contains(pools, job.Pool) {`, `if slices.Contains(pools, job.Pool) && !FAULT {`}},
	},
	{
		name: "shared-put-off-alone", what: "a job that puts its whole pool off does so for its own app, of a shared pool as well",
		pkg: "actors", tests: "TestG28_AJobPutsASharedPoolOffForAllApps",
		edits: []edit{{"actors/sharedrates.go", `sp.change(at, func(l *sharedLane) { l.starts.until = max(l.starts.until, sp.clock.elapsed()+d) })`, `sp.change(at, func(l *sharedLane) {
		if !FAULT {
			l.starts.until = max(l.starts.until, sp.clock.elapsed()+d)
		}
	})`}},
	},
	{
		name: "shared-wait-forgotten", what: "a restart ends the wait of a shared pool",
		pkg: "actors", tests: "TestG28_AJobPutsASharedPoolOffForAllApps",
		edits: []edit{{"actors/sharedrates.go", `			case s.Wait > age:`, `			case s.Wait > age && !FAULT:`}},
	},
	{
		name: "shared-doubt-forgotten", what: "a shared pool whose starts cannot be read begins at once",
		pkg: "actors", tests: "TestG28_ASharedPoolWaitsIfItsStartsCannotBeRead",
		edits: []edit{{"actors/sharedrates.go", `	if err != nil {
		log.Error(`, `	if err != nil && !FAULT {
		log.Error(`}},
	},
	{
		name: "paused-read-again", what: "jobs of a paused function behind one that is kept back are read with each look",
		pkg: "actors", tests: "TestG35_WhatIsPausedIsNotReadAgain",
		edits: []edit{{"actors/claims.go", `c.passed.skip(from); to != from {`, `c.passed.skip(from); to != from && !FAULT {`}},
	},
	{
		name: "stretch-never-forgotten", what: "what a walk has passed by is never looked at again",
		pkg: "actors", tests: "TestG35_WhatIsPausedIsNotReadAgain",
		edits: []edit{{"actors/walks.go", `	w.passed.forget(p)`, `	if !FAULT {
		w.passed.forget(p)
	}`}},
	},
	{
		name: "shared-order-hoards", what: "an app that runs as many jobs as it may takes the permit of an ordered shared pool",
		pkg: "actors", tests: "TestG27_ASharedPoolKeepsTheOrderOfEachApp",
		edits: []edit{{"actors/ordered.go", `c.pools.isShared(l.lane.Pool) && c.isCrowded(job) {`, `c.pools.isShared(l.lane.Pool) && c.isCrowded(job) && !FAULT {`}},
	},
}
