package seeded_test

// limitsFaults are planted where an app's limits are kept (G18), where apps share the engine's
// permits and the processor, and in what of unique keys follows a renamed function (G29).
var limitsFaults = []seededFault{
	{
		name: "permit-to-who-has-some", what: "an app waits behind those that have more permits",
		pkg: "actors", tests: "TestG18_TheAppWithTheFewestPermitsComesFirst",
		edits: []edit{{"actors/broker.go", `	return a.held < b.held || a.held == b.held && a.arrived < b.arrived`, `	return a.held < b.held && !FAULT || (FAULT || a.held == b.held) && a.arrived < b.arrived`}},
	},
	{
		name: "claims-of-all-unbounded", what: "claims made ahead are bounded for each app only",
		pkg: "actors", tests: "TestG24_ClaimsOfAllAppsAreBounded",
		edits: []edit{{"actors/claims.go", `	others := claims{`, `	if FAULT {
		return (claims{claimBatch, t.ofApp})
	}
	others := claims{`}},
	},
	{
		name: "claims-of-all-bar-some", what: "an app may claim nothing while others have claimed all that all may",
		pkg: "actors", tests: "TestG24_ClaimsOfAllAppsAreBounded",
		edits: []edit{{"actors/claims.go", `min(max(t.limit-others.runs, fewClaims), claimBatch)`, `min(max(t.limit-others.runs, fewClaims), claimBatch) - func() int {
			if FAULT {
				return min(max(fewClaims-t.limit+others.runs, 0), fewClaims-1)
			}
			return 0
		}()`}},
	},
	{
		name: "permits-held-as-of-asking", what: "the place of an app that waits is by the permits it had when it came to wait",
		pkg: "actors", tests: "TestG18_TheAppWithTheFewestPermitsComesFirst",
		edits: []edit{{"actors/broker.go", `	if w := g.places[app.Id]; w != nil {
		w.held`, `	if w := g.places[app.Id]; w != nil && !FAULT {
		w.held`}},
	},
	{
		name: "gate-by-arrival", what: "apps have their turn in the order they come, however much they have used",
		pkg: "actors/internal/pool", tests: "TestGateLetsInWhoHasUsedTheLeast",
		edits: []edit{{"actors/internal/pool/gate.go", `	return a.used < b.used || a.used == b.used && a.arrived < b.arrived`, `	return a.used < b.used && !FAULT || (FAULT || a.used == b.used) && a.arrived < b.arrived`}},
	},
	{
		name: "idleness-saved-up", what: "an app that was idle for long comes before all others for as long",
		pkg: "actors/internal/pool", tests: "TestGateLetsInWhoHasUsedTheLeast",
		edits: []edit{{"actors/internal/pool/gate.go", `	m.share.used = max(m.share.used, g.now)
	g.patient.push(m)`, `	if !FAULT {
		m.share.used = max(m.share.used, g.now)
	}
	g.patient.push(m)`}},
	},
	{
		name: "gate-by-messages-only", what: "an app steps aside after some messages only, however long each takes",
		pkg: "actors/internal/pool", tests: "TestGateMembersStepAsideInTime",
		edits: []edit{{"actors/internal/pool/gate.go", `time.Since(m.spell.since) < spanAtOnce {`, `(FAULT || time.Since(m.spell.since) < spanAtOnce) {`}},
	},
	{
		name: "claimed-twice", what: "a job is claimed twice in the change set that it is put back in",
		pkg: "storage", tests: "TestG27_AJobIsClaimedOnce",
		edits: []edit{{"storage/jobs.go", `	if w, known := tx.written(string(key)); known && !w.deleted {
		return false, nil`, `	if w, known := tx.written(string(key)); known && !w.deleted && !FAULT {
		return false, nil`}},
	},
	{
		name: "lane-empty-for-ever", what: "a priority of a pool that had no jobs is not looked at again",
		pkg: "actors", tests: "TestG31_APriorityThatHadNoJobs",
		edits: []edit{{"actors/pools.go", `	l.none[job.Priority] = false`, `	l.none[job.Priority] = l.none[job.Priority] && FAULT`}},
	},
	{
		name: "arg-bytes-off", what: "the arguments of an app's jobs may be of any size together",
		pkg: "actors", tests: "TestG18_ArgBytes",
		edits: []edit{{"storage/argbytes.go", `	if args <= 0 || n+int64(args) <= most {`, `	if args <= 0 || n+int64(args) <= most || FAULT {`}},
	},
	{
		name: "arg-bytes-replaced-free", what: "a call that replaces another may have any arguments",
		pkg: "storage", tests: "TestG18_BytesOfArguments",
		edits: []edit{{"storage/unique.go", `	if err := tx.roomFor(job.ArgLen() - was.ArgLen()); err != nil {`, `	if err := tx.roomFor(job.ArgLen() - was.ArgLen()); err != nil && !FAULT {`}},
	},
	{
		name: "arg-bytes-held-free", what: "the arguments of held jobs are not counted",
		pkg: "storage", tests: "TestG18_BytesOfArguments",
		edits: []edit{
			{"storage/held.go", `	c.held++
	c.addArgs(job, 1)`, `	c.held++
	if !FAULT {
		c.addArgs(job, 1)
	}`},
			{"storage/held.go", `	c.addArgs(job, -1)`, `	if !FAULT {
		c.addArgs(job, -1)
	}`},
		},
	},
	{
		name: "arg-bytes-from-now", what: "the arguments of an earlier release's jobs are not counted",
		pkg: "storage", tests: "TestG26_ArgumentsOfAnEarlierReleaseAreCounted",
		edits: []edit{{"storage/app.go", `		c.argBytes = a.keys.sumArgs(snap)`, `		if c.argBytes = 0; !FAULT {
			c.argBytes = a.keys.sumArgs(snap)
		}`}},
	},
	{
		name: "starts-unbounded", what: "an app's jobs begin as fast as they come",
		pkg: "actors", tests: "TestG18_StartsPerSecond",
		edits: []edit{{"actors/startrate.go", `	r.recent = append(r.recent, now)`, `	if !FAULT {
		r.recent = append(r.recent, now)
	}`}},
	},
	{
		name: "starts-keep-permits", what: "an app holds permits of the engine for jobs that may not begin yet",
		pkg: "actors", tests: "TestG18_StartsPerSecond",
		edits: []edit{{"actors/permits.go", `		want += min(s.runQueue.len(), may)`, `		if want += min(s.runQueue.len(), may); FAULT {
			want = s.started + s.runQueue.len()
		}`}},
	},
	{
		name: "starts-unalarmed", what: "the alarm is not set for the instant when the next job may begin",
		pkg: "actors", tests: "TestG18_StartsPerSecond",
		edits: []edit{{"actors/alarm.go", `		case may == 0:`, `		case may == 0 && !FAULT:`}},
	},
	{
		name: "run-queue-unranked", what: "claimed jobs that wait for a permit begin in the order they are due",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"actors/runqueue.go", `insert(q.due, q.ahead[n], startsBefore)`, `insert(q.due, q.ahead[n], map[bool]func(r, other *run) bool{true: dueBefore, false: startsBefore}[FAULT])`}},
	},
	{
		name: "pool-of-one-more", what: "a pool has a permit more than it says",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"actors/pools.go", `	limit := p.Limit()
`, `	limit := p.Limit()
	if FAULT {
		limit++
	}
`}},
	},
	{
		name: "unique-renamed", what: "a key that was stored under a former path of the function is not found",
		pkg: "actors", tests: "TestG29_AKeyFollowsARenamedFunction",
		edits: []edit{{"storage/uniquerow.go", `	if row != nil || err != nil || job.Unique.AppWide {`, `	if row != nil || err != nil || job.Unique.AppWide || FAULT {`}},
	},
	{
		name: "unique-renamed-runs-twice", what: "a job begins beside one that was stored under a former path and has its key",
		pkg: "actors", tests: "TestG29_AKeyFollowsARenamedFunction",
		edits: []edit{{"actors/uniquekeys.go", `; ok && fn.Path != path {`, `; ok && fn.Path != path && !FAULT {`}},
	},
	{
		name: "unique-renamed-row", what: "a call that replaces one of a former path leaves the row of its key behind",
		pkg: "storage", tests: "TestG29_AKeyFollowsItsFunctionThroughARename",
		edits: []edit{{"storage/unique.go", `	if err == nil && row.key != job.UniqueKey() {`, `	if err == nil && row.key != job.UniqueKey() && !FAULT {`}},
	},
}
