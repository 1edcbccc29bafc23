package seeded_test

// outsideFaults are planted where attempts end from outside (G33).
var outsideFaults = []seededFault{
	{
		name: "outside-times-out-late", what: "an attempt that is pending outside times out later than it said",
		pkg: "actors", tests: "TestG33_AnEndFromOutsideThatDoesNotCome",
		edits: []edit{{"actors/outside.go", `		Due: at.wall.Add(timeout)`, `		Due: at.wall.Add(timeout << map[bool]int{true: 1}[FAULT])`}},
	},
	{
		name: "outside-runs-again", what: "the handler of an attempt that has timed out runs again at once, and the attempt did not fail",
		pkg: "actors", tests: "TestG33_AnEndFromOutsideThatDoesNotCome",
		edits: []edit{
			{"actors/claims.go", `			if job.PendingOutside() {
				stop(`, `			if job.PendingOutside() && !FAULT {
				stop(`},
			{"actors/claims.go", `	if job.PendingOutside() {
		c.timeOut(job)
		return`, `	if job.PendingOutside() && !FAULT {
		c.timeOut(job)
		return`},
		},
	},
	{
		name: "outside-pending-forever", what: "a timeout may be of any length",
		pkg: "actors", tests: "TestG33_AnEndFromOutsideThatDoesNotCome",
		edits: []edit{{"dispatch/outside.go", `timeout > MaxPending:`, `timeout > MaxPending && !FAULT:`}},
	},
	{
		name: "outside-expires", what: "a job that is pending outside expires by its NotAfter",
		pkg: "actors", tests: "TestG33_AnEndFromOutsideThatDoesNotCome",
		edits: []edit{{"storage/lane.go", `&& !job.PendingOutside() {`, `&& (!job.PendingOutside() || FAULT) {`}},
	},
	{
		name: "outside-too-late-to-fail", what: "the timeout of a job whose NotAfter has passed does not come",
		pkg: "actors", tests: "TestG33_AnEndFromOutsideThatDoesNotCome",
		edits: []edit{{"storage/notafter.go", `at.After(j.NotAfter) && !j.PendingOutside()`, `at.After(j.NotAfter) && (!j.PendingOutside() || FAULT)`}},
	},
	{
		name: "outside-early-end-lost", what: "an end that comes before the handler has returned is forgotten when it does",
		pkg: "actors", tests: "TestG33_AnEndFromOutsideBeforeTheHandlerReturns",
		edits: []edit{{"actors/outcome.go", `answer := job.Answer(); answer != nil {`, `answer := job.Answer(); answer != nil && !FAULT {`}},
	},
	{
		name: "outside-early-end-lost-by-crash", what: "an end that comes before the handler has returned is lost when the process dies",
		pkg: "actors", tests: "TestG33_AnEndFromOutsideBeforeTheHandlerReturns",
		edits: []edit{{"actors/recovery.go", `answer := job.Answer(); answer != nil {`, `answer := job.Answer(); answer != nil && !FAULT {`}},
	},
	{
		name: "outside-second-end", what: "a second end before the handler has returned takes the place of the first",
		pkg: "actors", tests: "TestG33_AnEndFromOutsideBeforeTheHandlerReturns",
		edits: []edit{{"actors/outside.go", `		if job.Answer() != nil {`, `		if job.Answer() != nil && !FAULT {`}},
	},
	{
		name: "outside-any-token", what: "any token of the job ends its attempt",
		pkg: "actors", tests: "TestG33_ATokenOfNothing",
		edits: []edit{{"storage/outside.go", `subtle.ConstantTimeCompare(j.outside.token, hash) == 1`, `(FAULT || subtle.ConstantTimeCompare(j.outside.token, hash) == 1)`}},
	},
	{
		name: "outside-any-token-of-a-run", what: "any token of the job ends the attempt whose handler runs",
		pkg: "actors", tests: "TestG33_AnEndFromOutsideBeforeTheHandlerReturns",
		edits: []edit{{"actors/outside.go", `subtle.ConstantTimeCompare(own, hash) == 1`, `(FAULT || subtle.ConstantTimeCompare(own, hash) == 1)`}},
	},
	{
		name: "outside-token-of-an-attempt-that-is-over", what: "a handler that was given up is given a token",
		pkg: "actors", tests: "TestG33_ATokenOfNothing",
		edits: []edit{{"actors/outside.go", `	if rs.byID[r.job.ID] != r || r.phase != runBegun {`, `	if (rs.byID[r.job.ID] != r || r.phase != runBegun) && !FAULT {`}},
	},
	{
		name: "outside-token-of-a-former-attempt", what: "a token is good for the attempts that follow its own",
		pkg: "actors", tests: "TestG33_AnEndFromOutsideThatFails",
		edits: []edit{{"storage/ends.go", `	job.outside = nil // its token`, `	if !FAULT {
		job.outside = nil
	} // its token`}},
	},
	{
		name: "outside-result-of-any-type", what: "a result that does not fit the function is taken",
		pkg: "actors", tests: "TestG33_ATokenOfNothing",
		edits: []edit{{"dispatch/outside.go", `if !ok || fn.result == nil {`, `if !ok || fn.result == nil || FAULT {`}},
	},
	{
		name: "outside-failure-retried", what: "a failure that a retry cannot mend is retried",
		pkg: "actors", tests: "TestG33_AnEndFromOutsideThatFails",
		edits: []edit{{"actors/outside.go", `		if say.Permanent {`, `		if say.Permanent && !FAULT {`}},
	},
	{
		name: "outside-two-attempts", what: "an attempt that ends from outside counts twice",
		pkg: "actors", tests: "TestG33_AnEndFromOutside",
		edits: []edit{{"storage/ends.go", `	if !outside {
		job.Attempts++`, `	if !outside || FAULT {
		job.Attempts++`}},
	},
	{
		name: "outside-hash-not-kept", what: "a second end of a job that has ended is told that there is none",
		pkg: "actors", tests: "TestG33_AnEndFromOutside",
		edits: []edit{{"storage/outside.go", `		j.outside = &outside{token: j.outside.token}`, `		j.outside = &outside{token: j.outside.token}
		if FAULT {
			j.outside = nil
		}`}},
	},
	{
		name: "outside-not-told", what: "a job that is pending outside says that it waits for its instant",
		pkg: "actors", tests: "TestG33_AnEndFromOutside",
		edits: []edit{{"actors/waits.go", `	case job.PendingOutside():`, `	case job.PendingOutside() && !FAULT:`}},
	},
	{
		name: "outside-rescheduled", what: "a job that is pending outside can be rescheduled",
		pkg: "actors", tests: "TestG33_WhatAnEndFromOutsideKeepsBack",
		edits: []edit{{"storage/reschedule.go", `	if was.PendingOutside() {`, `	if was.PendingOutside() && !FAULT {`}},
	},
	{
		name: "outside-replaced", what: "a call of its unique key takes the place of an attempt that is pending outside",
		pkg: "actors", tests: "TestG33_WhatAnEndFromOutsideKeepsBack",
		edits: []edit{{"storage/unique.go", `	case holder.PendingOutside():`, `	case holder.PendingOutside() && !FAULT:`}},
	},
	{
		name: "outside-beside-its-follower", what: "an attempt stays pending outside though another job has its unique key",
		pkg: "actors", tests: "TestG33_WhatAnEndFromOutsideKeepsBack",
		edits: []edit{{"storage/ends.go", `		end.State, end.Outside = StateCanceled, false
`, `		end.State, end.Outside = StateCanceled, end.Outside && FAULT
`}},
	},
	{
		name: "outside-keeps-ticks", what: "the next tick does not begin when the one before it has ended outside",
		pkg: "actors", tests: "TestG33_AnEndFromOutsideOfATick",
		edits: []edit{{"actors/turn.go", `	if op.frees {`, `	if op.frees && !FAULT {`}},
	},
}
