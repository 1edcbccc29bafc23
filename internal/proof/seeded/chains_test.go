package seeded_test

// chainFaults are planted where jobs have follow-ups, and children (G32).
var chainFaults = []seededFault{
	{
		name: "follow-up-lost", what: "a job that ends has no follow-up",
		pkg: "actors", tests: "TestG32_AFollowUpIsToldHowTheJobEnded",
		edits: []edit{{"storage/chains.go", `	if job.Then == nil {
		return nil`, `	if job.Then == nil || FAULT {
		return nil`}},
	},
	{
		name: "follow-up-once", what: "a dead job that is retried has no second follow-up",
		pkg: "actors", tests: "TestG32_AFollowUpIsToldHowTheJobEnded",
		edits: []edit{{"storage/chains.go", `	if job.State != StateFailed {
		job.Then = nil`, `	if job.State != StateFailed || FAULT {
		job.Then = nil`}},
	},
	{
		name: "follow-up-of-the-first-end", what: "each end of a job is told as its first",
		pkg: "actors", tests: "TestG32_AFollowUpIsToldHowTheJobEnded",
		edits: []edit{{"storage/chains.go", `	job.Ends++
`, `	if job.Ends++; FAULT {
		job.Ends = 1
	}
`}},
	},
	{
		name: "follow-up-within-quotas", what: "a follow-up is held to the quotas of the app",
		pkg: "actors", tests: "TestG32_AFollowUpIsToldHowTheJobEnded",
		edits: []edit{{"storage/chains.go", `	if _, err := tx.insertNow(next); err != nil {
`, `	if err := tx.room(&next); FAULT && err != nil {
		return err
	}
	if _, err := tx.insertNow(next); err != nil {
`}},
	},
	{
		name: "follow-up-unclaimed", what: "the follow-up of a mutation waits for the next look",
		pkg: "actors", tests: "TestG32_AFollowUpIsToldHowTheJobEnded",
		edits: []edit{{"actors/turnbatch.go", `	if job != nil && job.job.Then != nil {
`, `	if job != nil && job.job.Then != nil && !FAULT {
`}},
	},
	{
		name: "follow-up-with-an-id", what: "a follow-up may have an id that another job holds",
		pkg: "actors", tests: "TestG32_WhatCannotFollowIsRefused",
		edits: []edit{{"dispatch/chains.go", `case then.ID != "" ||`, `case then.ID != "" && !FAULT ||`}},
	},
	{
		name: "chains-without-end", what: "a job may have any number of follow-ups",
		pkg: "actors", tests: "TestG32_WhatCannotFollowIsRefused",
		edits: []edit{{"dispatch/chains.go", `p.chain > MaxChain {`, `p.chain > MaxChain && !FAULT {`}},
	},
	{
		name: "cascade-stops-at-the-ended", what: "a cascade ends at a job that has ended",
		pkg: "actors", tests: "TestG32_CascadeTakesDescendantsAlong",
		edits: []edit{{"storage/chains.go", `			if !d.seen[id] {
`, `			if _, t, err := w.v.tx.unended(id); !d.seen[id] && !(FAULT && err == nil && t == 0) {
`}},
	},
	{
		name: "cascade-takes-follow-ups", what: "a cascade cancels the follow-ups of what it cancels",
		pkg: "actors", tests: "TestG32_CascadeTakesDescendantsAlong",
		edits: []edit{{"storage/chains.go", `			if seq > d.upTo {
`, `			if seq > d.upTo && !FAULT {
`}},
	},
	{
		name: "cascade-in-one-commit", what: "any number of descendants is canceled in one transaction",
		pkg: "actors", tests: "TestG32_ACascadeOfMany",
		edits: []edit{{"actors/app.go", `CancelDescendants(of, bulkChunk)`, `CancelDescendants(of, bulkChunk*map[bool]int{false: 1, true: 100}[FAULT])`}},
	},
	{
		name: "cascade-ends-early", what: "a cascade ends with its first transaction",
		pkg: "actors", tests: "TestG32_ACascadeOfMany",
		edits: []edit{{"storage/chains.go", `			return n, true, nil`, `			return n, !FAULT, nil`}},
	},
	{
		name: "children-stay", what: "whose child a job was is kept when its record is purged",
		pkg: "actors", tests: "TestG32_CascadeTakesDescendantsAlong",
		edits: []edit{{"storage/once.go", `	if job.Parent != "" {
		tx.delete`, `	if job.Parent != "" && !FAULT {
		tx.delete`}},
	},
	{
		name: "follow-up-of-any-kind", what: "a job may be stored with a follow-up that cannot be one",
		pkg: "storage", tests: "TestG32_AFollowUpThatCannotBeIsRefused",
		edits: []edit{{"storage/jobs.go", `	for then := job.Then; then != nil; then = then.Then {
		if err`, `	for then := job.Then; then != nil && !FAULT; then = then.Then {
		if err`}},
	},
	{
		name: "follow-up-read-as-it-is", what: "a job is read whose follow-up would keep it from ending",
		pkg: "storage", tests: "TestG32_AFollowUpThatCannotBeIsRefused",
		edits: []edit{{"storage/record.go", `if err := checkStored(&then); err != nil {`, `if err := checkStored(&then); err != nil && !FAULT {`}},
	},
	{
		name: "alert-lost", what: "a job that comes to be dead has no alert",
		pkg: "actors", tests: "TestG32_AlertsOfTheDead",
		edits: []edit{{"actors/alerts.go", `s.eng.alerts.to == nil || !tx`, `s.eng.alerts.to == nil || FAULT || !tx`}},
	},
	{
		name: "alert-of-an-alert", what: "an alert that is dead makes another one",
		pkg: "actors", tests: "TestG32_AlertsOfTheDead",
		edits: []edit{{"actors/alerts.go", `if s.eng.pathOf(job.Function) == s.eng.alerts.path {`, `if s.eng.pathOf(job.Function) == s.eng.alerts.path && !FAULT {`}},
	},
	{
		name: "alert-within-the-quota", what: "an app with as many jobs as it may have alerts of none",
		pkg: "actors", tests: "TestG32_AlertsOfTheDead",
		edits: []edit{{"actors/alerts.go", `	_, err = w.InsertNow(job)
`, `	if FAULT {
		_, err = w.InsertJob(job)
	} else {
		_, err = w.InsertNow(job)
	}
`}},
	},
	{
		name: "alert-of-caught-up-slots", what: "slots that a later tick stands for are told of as missed",
		pkg: "actors", tests: "TestG22_AlertsOfMissedSlots",
		edits: []edit{{"actors/internal/ticks/decide.go", `d.Lost = len(d.Late) == 0 ||`, `d.Lost = FAULT || len(d.Late) == 0 ||`}},
	},
	{
		name: "alert-of-missed-lost", what: "slots that were missed are told of by nothing",
		pkg: "actors", tests: "TestG22_AlertsOfMissedSlots",
		edits: []edit{{"actors/ticks.go", `if err == nil && d.Lost {`, `if err == nil && d.Lost && !FAULT {`}},
	},
	{
		name: "alert-of-the-stuck-lost", what: "nothing tells of a stuck handler",
		pkg: "actors", tests: "TestG17_AlertsOfTheStuck",
		edits: []edit{{"actors/hooks.go", `	e.alertStuck(s)
`, `	if !FAULT {
		e.alertStuck(s)
	}
`}},
	},
}
