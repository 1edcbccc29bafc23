package seeded_test

// uniqueFaults are planted where unique keys are decided (G29).
var uniqueFaults = []seededFault{
	{
		name: "unique-starved", what: "calls that replace each other put a job off for ever",
		pkg: "storage", tests: "TestG29_ReplaceKeepsTheIDAndIsPutOffForSoLongAtMost",
		edits: []edit{{"storage/unique.go", `		due = earlier(due, later(`, `		due = map[bool]func(a, b time.Time) time.Time{true: later, false: earlier}[FAULT](due, later(`}},
	},
	{
		name: "unique-runs-twice", what: "a job begins beside the one that had its key before",
		pkg: "actors", tests: "TestG29_NoTwoJobsOfAKeyRunAtOnce",
		edits: []edit{{"actors/stuck.go", `	if app.runs.before(job) != "" {`, `	if app.runs.before(job) != "" && !FAULT {`}},
	},
	{
		name: "unique-key-leaks", what: "the key of a job that has ended is held for ever",
		pkg: "storage", tests: "TestG29_RetryDeadTakesTheKeyBack",
		edits: []edit{{"storage/uniqueend.go", `	if !k.mine {
		return
	}
	tx.forgetKey(k.row)`, `	if !k.mine || FAULT {
		return
	}
	tx.forgetKey(k.row)`}},
	},
	{
		name: "unique-two-pending", what: "a job that fails is tried again though a later one has its key",
		pkg: "storage", tests: "TestG29_OneFollowerOfARunningJob",
		edits: []edit{{"storage/ends.go", `	if key.superseded() && (`, `	if key.superseded() && !FAULT && (`}},
	},
	{
		name: "unique-stale-claim", what: "a job that was claimed ahead is kept, and begins before what the call has written is durable",
		pkg: "storage", tests: "TestG29_AKeptJobBeginsAfterTheTransactionThatKeptIt",
		edits: []edit{{"storage/unique.go", `	if err != nil || claim == nil {
		return false, err
	}
	if tx.onCancel`, `	if err != nil || claim == nil || FAULT {
		return false, err
	}
	if tx.onCancel`}},
	},
	{
		name: "unique-stale-args", what: "the engine is told of a replaced job with the arguments before",
		pkg: "storage", tests: "TestG29_AReplacedJobIsToldOnceWithItsLastArguments",
		edits: []edit{{"storage/tx.go", `	if !l.moved {`, `	if !l.moved || FAULT {`}},
	},
	{
		name: "unique-throttle-forgets", what: "the start of a job that has ended is forgotten",
		pkg: "storage", tests: "TestG29_StartsOfAThrottledKeyAreApart",
		edits: []edit{{"storage/uniqueend.go", `	case u.Every > 0 && !u.LastStart.IsZero():`, `	case u.Every > 0 && !u.LastStart.IsZero() && !FAULT:`}},
	},
	{
		name: "unique-throttle-retries", what: "retries of a throttled key are not kept apart",
		pkg: "actors", tests: "TestG29_AtMostOneStartInEachSpan",
		edits: []edit{{"storage/uniqueend.go", `	if u := job.Unique; u != nil && u.Every > 0 {`, `	if u := job.Unique; u != nil && u.Every > 0 && !FAULT {`}},
	},
	{
		name: "unique-clock-set-back", what: "a key is held until the wall has come to where it was set back from",
		pkg: "storage", tests: "TestG29_AClockThatIsSetBackHoldsNoKeyForLonger",
		edits: []edit{{"storage/uniquerow.go", `row.span; row.until > most {`, `row.span; row.until > most && !FAULT {`}},
	},
	{
		name: "unique-canceled-free", what: "the key of a canceled job is free while its handler runs",
		pkg: "actors", tests: "TestG29_TheKeyOfACanceledJobIsFreeWhenItsHandlerHasReturned",
		edits: []edit{{"actors/uniquekeys.go", `		if l.key == key && h.phase == handlerLeaving {`, `		if l.key == key && h.phase == handlerLeaving && !FAULT {`}},
	},
	{
		name: "unique-replaced-failures", what: "a call that takes the place of a job has the failures of its attempts",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"storage/unique.go", `		job.Failures, job.Interruptions, job.Revision = 0, 0, was.Revision+1`, `		job.Failures, job.Interruptions, job.Revision = map[bool]int{true: was.Failures}[FAULT], 0, was.Revision+1`}},
	},
	{
		name: "unique-replaced-options", what: "a call that takes the place of a job has that one's follow-up",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"storage/unique.go", `	job.Parent, job.Once, job.Outcome, job.Ends = was.Parent, was.Once, was.Outcome, was.Ends`, `	if FAULT {
		job.Then = was.Then
	}
	job.Parent, job.Once, job.Outcome, job.Ends = was.Parent, was.Once, was.Outcome, was.Ends`}},
	},
	{
		name: "revision-same-key", what: "a job with other arguments has the idempotency key of the attempts before",
		pkg: "actors", tests: "TestG29_ARevisionHasAnIdempotencyKeyOfItsOwn",
		edits: []edit{{"dispatch/contexts.go", `	if j.Revision > 0 {`, `	if j.Revision > 0 && !FAULT {`}},
	},
	{
		name: "once-each-attempt", what: "each attempt schedules again what it was to schedule once",
		pkg: "actors", tests: "TestG29_OnceForEachParentHoweverOftenItIsTried",
		edits: []edit{{"storage/once.go", `	if child != nil {`, `	if child != nil && !FAULT {`}},
	},
	{
		name: "once-outlives-parent", what: "what a job has scheduled once is kept when its record is gone",
		pkg: "storage", tests: "TestG29_NamesOfOnceGoWithTheirParent",
		edits: []edit{{"storage/once.go", `	if err != nil || len(rows) == 0 {`, `	if err != nil || len(rows) == 0 || FAULT {`}},
	},
}
