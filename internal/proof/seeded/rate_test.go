package seeded_test

// rateFaults are planted where the rate of a pool is kept (G28).
var rateFaults = []seededFault{
	{
		name: "rate-of-claims", what: "jobs that are claimed and have not begun are not counted by the rate",
		pkg: "actors", tests: "TestG28_StartsKeepToTheRateAndNotClaims",
		edits: []edit{{"actors/rates.go", `s.read, s.ahead = true, s.ahead+1`, `s.read, s.ahead = true, s.ahead+map[bool]int{false: 1}[FAULT]`}},
	},
	{
		name: "rate-at-claim", what: "the span is counted from the claim, and not from the start",
		pkg: "actors", tests: "TestG28_StartsKeepToTheRateAndNotClaims",
		edits: []edit{{"actors/claims.go", `	s.pools.take(r)
`, `	s.pools.take(r)
	if FAULT {
		s.pools.noteStart(r)
	}
`}},
	},
	{
		name: "rate-of-retries", what: "a retry is not counted by the rate",
		pkg: "actors", tests: "TestG28_NoSpanHasMoreStartsThanTheRate",
		edits: []edit{{"actors/rates.go", `.Rate(); rate > 0 {
		r.start =`, `.Rate(); rate > 0 && !(FAULT && r.attempt > 1) {
		r.start =`}},
	},
	{
		name: "rate-sleeps-on", what: "nothing wakes a job that waits for its rate",
		pkg: "actors", tests: "TestG28_NoSpanHasMoreStartsThanTheRate",
		edits: []edit{{"actors/rates.go", `if opens <= now || opens == never ||`, `if FAULT || opens <= now || opens == never ||`}},
	},
	{
		name: "rate-forgotten", what: "a program that starts knows nothing of what began before",
		pkg: "actors", tests: "TestG28_WhatBeganBeforeAnOpenCounts",
		edits: []edit{{"actors/rates.go", `p != nil && s.store.HasStarts() {`, `p != nil && s.store.HasStarts() && !FAULT {`}},
	},
	{
		name: "rate-forgets-crashes", what: "an attempt that a crash has cut off is no start",
		pkg: "actors", tests: "TestG28_OverEveryCrash",
		edits: []edit{{"actors/rates.go", `	if rate, _ := p.Rate(); rate == 0 {
		return nil
	}`, `	if rate, _ := p.Rate(); rate == 0 || FAULT {
		return nil
	}`}},
	},
	{
		name: "rate-by-a-stepped-wall", what: "at an open the age of a start is taken from the wall, though it was stepped since",
		pkg: "actors", tests: "TestG28_WhatBeganBeforeAnOpenCounts",
		edits: []edit{{"actors/rates.go", `c.steppedSince(s.Era) {`, `c.steppedSince(s.Era) && !FAULT {`}},
	},
	{
		name: "rate-of-dropped-claims", what: "a claim that is taken back counts as a start for ever",
		pkg: "actors", tests: "TestG28_AClaimThatIsTakenBackIsNoStart",
		edits: []edit{{"actors/rates.go", `	default:
		r.counted = true
		l.starts.ahead--`, `	default:
		r.counted = true
		if !FAULT {
			l.starts.ahead--
		}`}},
	},
	{
		name: "starts-kept", what: "what has begun of a key that is used no more is kept for ever",
		pkg: "actors", tests: "TestG28_AKeyHasItsOwnRate",
		edits: []edit{{"storage/startlog.go", `case over(at, s):`, `case over(at, s) && !FAULT:`}},
	},
	{
		name: "put-off-charged", what: "an attempt that puts its job off spends a retry",
		pkg: "actors", tests: "TestG28_AJobThatPutsItselfOffIsNotCharged",
		edits: []edit{{"actors/outcome.go", `out.Postponed = putOff != nil &&`, `out.Postponed = putOff != nil && !FAULT &&`}},
	},
	{
		name: "put-off-too-often", what: "a job may put itself off twice as often as it may",
		pkg: "actors", tests: "TestG28_PuttingOffHasAnEnd",
		edits: []edit{{"actors/retryafter.go", `	return job.Postponed < maxPostponed &&`, `	return (job.Postponed < maxPostponed || FAULT && job.Postponed < 2*maxPostponed) &&`}},
	},
	{
		name: "pool-goes-on", what: "a pool that was put off goes on",
		pkg: "actors", tests: "TestG28_AJobPutsItsWholePoolOff",
		edits: []edit{{"actors/outcome.go", `	s.putOffPool(r, end.err)`, `	if !FAULT {
		s.putOffPool(r, end.err)
	}`}},
	},
	{
		name: "pool-begins-what-is-claimed", what: "what was claimed of a pool before it was put off begins",
		pkg: "actors", tests: "TestG28_AJobPutsItsWholePoolOff",
		edits: []edit{{"actors/release.go", `	case app.isPutOff(&r.job):`, `	case app.isPutOff(&r.job) && !FAULT:`}},
	},
	{
		name: "pool-forgets-its-wait", what: "a restart ends the wait of a pool",
		pkg: "actors", tests: "TestG28_APoolThatWaitsWaitsOverEveryCrash",
		edits: []edit{{"actors/rates.go", `		case s.Wait > age:`, `		case s.Wait > age && !FAULT:`}},
	},
	{
		name: "rate-from-the-look", what: "what began before an open counts as of when a job of the pool is looked for first",
		pkg: "actors", tests: "TestG28_WhatBeganBeforeAnOpenCounts",
		edits: []edit{{"actors/rates.go", `			b := &laneStart{claim: s.Claim,`, `			b := &laneStart{at: map[bool]time.Duration{true: now}[FAULT], claim: s.Claim,`}},
	},
}
