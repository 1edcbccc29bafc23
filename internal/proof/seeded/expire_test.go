package seeded_test

// expireFaults are planted where jobs expire, and where they are moved.
var expireFaults = []seededFault{
	{
		name: "late-claims-stay", what: "a job that is claimed and waits for a permit expires when that comes",
		pkg: "actors", tests: "TestG12_AJobThatIsNotBegunInTimeExpires",
		edits: []edit{{"actors/notafter.go", `case r.job.NotAfter.IsZero() ||`, `case FAULT || r.job.NotAfter.IsZero() ||`}},
	},
	{
		name: "late-turn-begins", what: "an attempt begins after its instant if its turn comes then",
		pkg: "actors", tests: "TestG12_NoAttemptBeginsAfterItsInstant",
		edits: []edit{{"actors/turnbatch.go", `job.job.TooLate(at.wall)) {`, `job.job.TooLate(at.wall) && !FAULT) {`}},
	},
	{
		name: "late-after-the-hook", what: "the handler of an action is called after its instant if the host's hook took so long",
		pkg: "actors", tests: "TestG12_AHandlerBeginsInTimeOrNotAtAll",
		edits: []edit{{"actors/release.go", `case r.job.TooLate(wall):`, `case !FAULT && r.job.TooLate(wall):`}},
	},
	{
		name: "paused-under-the-hook", what: "the handler of an action is called during a pause that came while the host's hook ran",
		pkg: "actors", tests: "TestG12_AHandlerBeginsInTimeOrNotAtAll",
		edits: []edit{{"actors/release.go", `case app.paused(&r.job) != nil:`, `case !FAULT && app.paused(&r.job) != nil:`}},
	},
	{
		name: "unbegun-counted", what: "an attempt is counted whose handler was not called in time",
		pkg: "actors", tests: "TestG12_AHandlerBeginsInTimeOrNotAtAll",
		edits: []edit{{"actors/outcome.go", `(cut.unbegun ||`, `(cut.unbegun && !FAULT ||`}},
	},
	{
		name: "late-unnoticed", what: "a job that waits expires when something else happens in its app",
		pkg: "actors", tests: "TestG12_AJobThatIsNotBegunInTimeExpires",
		edits: []edit{{"actors/alarm.go", `if at := s.lates.nextAt; !at.IsZero() &&`, `if at := s.lates.nextAt; !FAULT && !at.IsZero() &&`}},
	},
	{
		name: "late-asleep", what: "an app that sleeps is not woken to have its held jobs expire",
		pkg: "actors", tests: "TestG12_AHeldJobExpires",
		edits: []edit{{"storage/committer.go", `	due := f.counters.alarm(f.due, f.last)`, `	due := f.counters.alarm(f.due, map[bool]int64{false: f.last}[FAULT])`}},
	},
	{
		name: "late-in-doubt", what: "jobs expire by a wall that has leapt ahead by two days",
		pkg: "actors", tests: "TestG15_AClockThatLeapsAheadExpiresNothing",
		edits: []edit{{"actors/notafter.go", `wait > 0 {`, `wait > 0 && !FAULT {`}},
	},
	{
		name: "moved-old-claim", what: "a job that was claimed ahead and is moved begins at its instant before",
		pkg: "actors", tests: "TestG9_ARescheduledJobRunsAsItWasChangedLast",
		edits: []edit{{"storage/unique.go", `	l.canceled = append(l.canceled, job.ID)
	l.inserted`, `	if !FAULT {
		l.canceled = append(l.canceled, job.ID)
	}
	l.inserted`}},
	},
	{
		name: "moved-running", what: "a job that runs is moved, and runs again",
		pkg: "actors", tests: "TestG8_RescheduleAnswersTruly",
		edits: []edit{
			{"storage/reschedule.go", `if tx.app.started(id) {`, `if tx.app.started(id) && !FAULT {`},
			{"storage/reschedule.go", `if running {`, `if running && !FAULT {`},
		},
	},
	{
		name: "moved-same-revision", what: "a job with other arguments has the idempotency key of its attempts before",
		pkg: "actors", tests: "TestG9_ARescheduledJobRunsAsItWasChangedLast",
		edits: []edit{{"storage/reschedule.go", `		if begun {
`, `		if begun && !FAULT {
`}},
	},
	{
		name: "moved-without-its-arguments", what: "a job that was given other arguments runs with those before",
		pkg: "internal/proof/crash", tests: "TestG1_WholeLives",
		edits: []edit{{"storage/reschedule.go", `	if c.Args != nil && !bytes.Equal(c.Args, job.Args) {`, `	if c.Args != nil && !FAULT && !bytes.Equal(c.Args, job.Args) {`}},
	},
	{
		name: "moved-with-its-failures", what: "a job with other arguments has the failures of its attempts before",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"storage/reschedule.go", `			job.Failures, job.Interruptions, job.Revision = 0, 0, job.Revision+1`, `			job.Failures, job.Interruptions, job.Revision = map[bool]int{true: job.Failures}[FAULT], 0, job.Revision+1`}},
	},
	{
		name: "moved-past-its-last-instant", what: "a job is moved to after its NotAfter",
		pkg: "actors", tests: "TestG18_ARescheduleThatIsRefusedChangesNothing",
		edits: []edit{{"storage/reschedule.go", `if job.TooLate(c.Due) {`, `if job.TooLate(c.Due) && !FAULT {`}},
	},
	{
		name: "moved-tick", what: "a tick runs before its slot has come",
		pkg: "actors", tests: "TestG19_ATickIsNotRescheduled",
		edits: []edit{{"storage/reschedule.go", `case tick && !begun:`, `case tick && !begun && !FAULT:`}},
	},
	{
		name: "catch-up-one-whatever-its-age", what: "the slot that is caught up may be older than the window",
		pkg: "actors", tests: "TestG22_CatchUpPolicies",
		edits: []edit{{"actors/internal/ticks/decide.go", `w > 0 && last.Before(`, `w > 0 && !FAULT && last.Before(`}},
	},
	{
		name: "late-all-at-once", what: "all jobs that are too late expire in one commit",
		pkg: "storage", tests: "TestG24_JobsExpireInPieces",
		edits: []edit{
			{"storage/notafter.go", `if i == limit ||`, `if i == limit && !FAULT ||`},
			{"storage/notafter.go", `false, limit+1)`, `false, map[bool]int{true: 1 << 30, false: limit + 1}[FAULT])`},
		},
	},
	{
		name: "late-by-a-moved-entry", what: "a job expires by an entry of the index that damage has moved",
		pkg: "storage", tests: "TestG37_AMovedLastInstantExpiresNothing",
		edits: []edit{{"storage/notafter.go", `case !bytes.Equal(tx.app.keys.lastKey(t, &job), r.key):`, `case !FAULT && !bytes.Equal(tx.app.keys.lastKey(t, &job), r.key):`}},
	},
	{
		name: "late-without-a-break", what: "jobs that are too late expire one chunk after the other, before anything else is done",
		pkg: "actors", tests: "TestG24_ExpiryLetsDueWorkThrough",
		edits: []edit{{"actors/notafter.go", `	s.lates.busy = true
`, `	s.lates.busy = !FAULT
`}},
	},
	{
		name: "late-behind-a-later-one", what: "a job is not seen to expire when one waits that may begin for longer",
		pkg: "actors", tests: "TestG12_AJobExpiresBeforeOneThatCameFirst",
		edits: []edit{{"storage/notafter.go", `return n, next, notAfter,`, `return n, map[bool]LateCursor{false: next, true: {string(r.key)}}[FAULT], notAfter,`}},
	},
}
