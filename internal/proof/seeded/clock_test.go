package seeded_test

// clockFaults are planted in what puts right what a wrong clock has left.
var clockFaults = []seededFault{
	{
		name: "relative-due-not-moved", what: "what a wrong clock made due after a while stays where it is",
		pkg: "actors", tests: "TestG15_AWrongClockLeavesNothingSilent",
		edits: []edit{{"actors/correction.go", `if by, ok := f.shift[job.Era]; ok {`, `if by, ok := f.shift[job.Era]; ok && !FAULT {`}},
	},
	{
		name: "decided-stays-ahead", what: "what a wrong clock decided of a trigger's slots stands",
		pkg: "actors", tests: "TestG15_AWrongClockLeavesNothingSilent",
		edits: []edit{{"actors/correction.go", `if !changed && decided.Equal(t.Decided) {`, `if FAULT || !changed && decided.Equal(t.Decided) {`}},
	},
	{
		name: "spent-fires-again", what: "a slot that has fired comes again after the wall was set back",
		pkg: "actors", tests: "TestG19_NoSlotFiresTwiceThoughTheWallIsSetBack",
		edits: []edit{{"actors/spent.go", `	if spanOf(spans, slot) >= 0 {
		return spans`, `	if spanOf(spans, slot) >= 0 || FAULT {
		return spans`}},
	},
	{
		name: "replaced-is-spent", what: "a slot whose tick was replaced before it began does not come",
		pkg: "actors", tests: "TestG19_ASlotThatWasReplacedInAWrongFutureComes",
		edits: []edit{{"actors/withdraw.go", `if err != nil || schedule == nil || spanOf(t.Spent, slot) < 0 {`, `if err != nil || schedule == nil || spanOf(t.Spent, slot) < 0 || FAULT {`}},
	},
	{
		name: "cut-off-is-of-the-present", what: "what a crash cut off in a wrong future waits until that comes",
		pkg: "actors", tests: "TestG15_WhatACrashCutOffInAWrongFutureGoesOn",
		edits: []edit{{"storage/ends.go", `if !job.Due.Equal(timeOf(due)) {`, `if FAULT || !job.Due.Equal(timeOf(due)) {`}},
	},
	{
		name: "rollout-of-steps-forgotten", what: "apps that sleep are not told that the wall was stepped",
		pkg: "actors", tests: "TestG12_AnAppThatSleepsInAWrongFutureIsWoken",
		edits: []edit{{"actors/waker.go", `(w.step <= rolledOut || f.none()) {`, `(w.step <= rolledOut || f.none() || FAULT) {`}},
	},
	{
		name: "claims-before-corrected", what: "what a wrong clock has made due is claimed before that is put right",
		pkg: "actors", tests: "TestG15_NothingIsClaimedBeforeItIsPutRight",
		edits: []edit{
			{"actors/scheduler.go", `	case s.correct():
`, `	case FAULT && s.claimDue(s.eng.clock.look()):
	case (!FAULT || s.runs.len() == 0) && s.correct():
`},
			{"actors/claims.go", `s.phase().begins() && !s.uncorrected() && s.walks`, `s.phase().begins() && (!s.uncorrected() || FAULT) && s.walks`},
			{"actors/release.go", `s.phase().begins() && !s.uncorrected() {`, `s.phase().begins() && (!s.uncorrected() || FAULT) {`},
		},
	},
	{
		name: "end-of-an-era-as-read", what: "the era that a step has ended ends when the wall was last read",
		pkg: "actors", tests: "TestG15_AStepThatIsReadLateIsPutRight",
		edits: []edit{{"actors/clock.go", `if c.shown.After(last) {`, `if FAULT || c.shown.After(last) {`}},
	},
	{
		name: "false-by-the-present-wall", what: "what was false is so no more once the wall has passed it",
		pkg: "actors", tests: "TestG15_AnAppIsPutRightHoursLater",
		edits: []edit{{"actors/correction.go", `	for _, p := range later[1:] {`, `	if FAULT {
			back = time.Now()
		}
		for _, p := range later[1:] {`}},
	},
	{
		name: "claimed-is-spent", what: "a slot that was claimed in a false future, and had not begun, has fired",
		pkg: "actors", tests: "TestG19_ASlotThatWasClaimedInAWrongFutureComes",
		edits: []edit{{"actors/correction.go", `!job.Slot.After(decided) {`, `FAULT || !job.Slot.After(decided) {`}},
	},
	{
		name: "running-not-put-right", what: "what runs while the clock is put right stays due in the false future",
		pkg: "actors", tests: "TestG15_WhatRunsWhileTheClockIsPutRightGoesOn",
		edits: []edit{{"actors/correction.go", `if r != nil && !begun {`, `if r != nil && (FAULT || !begun) {`}},
	},
}
