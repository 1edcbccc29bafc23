package seeded_test

// heldFaults are planted where things are kept: jobs and documents that this program
// cannot use, and rows past their time.
var heldFaults = []seededFault{
	{
		name: "unfit-is-a-failure", what: "a job whose stored arguments do not decode has failed",
		pkg: "actors", tests: "TestG38_ArgumentsOfAnotherRelease",
		edits: []edit{{"actors/outcome.go", `if end.unfit != nil {`, `if end.unfit != nil && !FAULT {`}},
	},
	{
		name: "stored-args-strict", what: "a job whose stored arguments have one more field is held",
		pkg: "actors", tests: "TestG38_ArgumentsOfAnotherRelease",
		edits: []edit{{"dispatch/decode.go", `if d.strict || checkDepth(raw)`, `if d.strict || FAULT || checkDepth(raw)`}},
	},
	{
		name: "held-not-woken", what: "an app that sleeps keeps its held jobs, whatever opens the store",
		pkg: "actors", tests: "TestG38_AFunctionThatIsGone",
		edits: []edit{{"actors/held.go", `if by != w.eng.registry {`, `if by != w.eng.registry && !FAULT {`}},
	},
	{
		name: "held-tick-for-each-slot", what: "a trigger has a held tick for each of its slots",
		pkg: "actors", tests: "TestG38_ATriggerKeepsOneHeldTick",
		edits: []edit{{"actors/internal/ticks/decide.go", `case t.HeldJob != "":`, `case t.HeldJob != "" && !FAULT:`}},
	},
	{
		name: "held-tick-outlives-its-trigger", what: "the held tick of a trigger stays when that is changed or deleted",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"actors/withdraw.go", `	if changed {
		if err := p.dropHeld(`, `	if changed && !FAULT {
		if err := p.dropHeld(`}},
	},
	{
		name: "held-in-a-wrong-future", what: "a job that was held in a wrong future is due there when it is released",
		pkg: "actors", tests: "TestG15_WhatWasHeldInAWrongFutureIsPutRightWhenItIsReleased",
		edits: []edit{{"storage/held.go", `if right != nil {`, `if right != nil && !FAULT {`}},
	},
	{
		name: "held-in-the-future", what: "a job that was held in a wrong future and ends later keeps that instant",
		pkg: "internal/proof/model", tests: "TestG15_ModelUnderStepsScripts",
		edits: []edit{{"storage/ends.go", `bound(&j.HeldAt)`, `if !FAULT {
		bound(&j.HeldAt)
	}`}},
	},
	{
		name: "held-for-ever", what: "HoldFor is not looked at",
		pkg: "actors", tests: "TestG38_HoldFor",
		edits: []edit{{"actors/purge.go", `if !more && o.HoldFor > 0 {`, `if n+dead < purgeChunk && o.HoldFor > 0 && !FAULT {`}},
	},
	{
		name: "held-index-stale", what: "the alarm index has an app that holds no jobs any more",
		pkg: "storage", tests: "TestG7_AnAppThatHoldsNothingLeavesTheIndex",
		edits: []edit{{"storage/held.go", `case is.held == 0:`, `case is.held == 0 && FAULT:
		return nil
	case is.held == 0:`}},
	},
	{
		name: "sleeping-rows-kept", what: "the rows of an app that sleeps stay until it is woken for something else",
		pkg: "actors", tests: "TestG26_RowsOfAppsThatSleepAreClearedAway",
		edits: []edit{{"actors/waker.go", `w.lookForExpired()`, `if !FAULT {
			w.lookForExpired()
		}`}},
	},
	{
		name: "garbage-collection-given-up", what: "a garbage collection that failed waits for the next opening of the store",
		pkg: "storage", tests: "TestG26_AFailedGarbageCollectionIsTriedAgain",
		edits: []edit{{"storage/gc.go", `		v.garbage.failed(n)
		return true`, `		if v.garbage.failed(n); FAULT {
			v.garbage.remove(n)
		}
		return true`}},
	},
	{
		name: "history-for-ever", what: "a job keeps every attempt it ever had",
		pkg: "storage", tests: "TestG26_AJobsHistoryIsBounded",
		edits: []edit{{"storage/ends.go", `if over := len(job.History) - maxHistory; over > 0 {`, `if over := len(job.History) - maxHistory; over > 0 && !FAULT {`}},
	},
	{
		name: "misfit-stops-the-build", what: "an index is not built because of a document that does not fit it",
		pkg: "actors", tests: "TestG38_DocumentsThatFitNoIndexStopNothing",
		edits: []edit{{"storage/reconcile.go", `if r.tx.put(entry, nil); unfit != nil {`, `if FAULT && unfit != nil {
				return unfit
			}
			if r.tx.put(entry, nil); unfit != nil {`}},
	},
	{
		name: "misfit-kept", what: "a document that is left out of an index stays counted when it is gone",
		pkg: "storage", tests: "TestG38_WhatIsLeftOutGoesAway",
		edits: []edit{{"storage/index.go", `keys[i], _ = x.place(tx.app.keys, t.name, id, data, projection)`, `var unfit error
		if keys[i], unfit = x.place(tx.app.keys, t.name, id, data, projection); FAULT && unfit != nil {
			keys[i] = nil
		}`}},
	},
	{
		name: "entry-where-it-would-be", what: "an index entry is looked for where this release would put it",
		pkg: "storage", tests: "TestG38_AnotherReleaseChangesWhatItsIndexesHave",
		edits: []edit{{"storage/index.go", `if x.own {
			var`, `if x.own && !FAULT {
			var`}},
	},
	{
		name: "fingerprint-of-paths", what: "other types of arguments are taken for the same registry",
		pkg: "dispatch", tests: "TestG38_TheFingerprintIsOfAllThatJobsNeed",
		edits: []edit{{"dispatch/fingerprint.go", `describe(h, fn.args.typ(), map[reflect.Type]bool{})`, `if !FAULT {
			describe(h, fn.args.typ(), map[reflect.Type]bool{})
		}`}},
	},
}
