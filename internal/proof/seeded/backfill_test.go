package seeded_test

// backfillFaults are planted where triggers are run for slots that have passed.
var backfillFaults = []seededFault{
	{
		name: "backfill-again-and-again", what: "a backfill runs slots that have fired",
		pkg: "actors", tests: "TestG19_ABackfillRunsWhatWasMissed",
		edits: []edit{
			{"actors/backfill.go", `} else if i := spanOf(t.Spent, slot); i >= 0 {`, `} else if i := spanOf(t.Spent, slot); i >= 0 && !FAULT {`},
			{"actors/backfill.go", `there || errors.Is(err, storage.ErrCorrupt)`, `there && !FAULT || errors.Is(err, storage.ErrCorrupt)`},
		},
	},
	{
		name: "backfill-not-again", what: "a backfill that is to run slots again passes over those that have fired",
		pkg: "actors", tests: "TestG19_ABackfillRunsEachOfItsSlotsOnce",
		edits: []edit{{"actors/backfill.go", `		if b.Again {`, `		if b.Again && !FAULT {`}},
	},
	{
		name: "backfill-skips-slots-to-come", what: "a slot of the trigger is skipped since a tick of a backfill runs",
		pkg: "actors", tests: "TestG19_ABackfillComesAfterTheSlotsToCome",
		edits: []edit{{"actors/ticks.go", `		case r.job.Backfill != 0:`, `		case r.job.Backfill != 0 && !FAULT:`}},
	},
	{
		name: "backfill-beside-itself", what: "ticks of a backfill run beside each other where ticks may overlap",
		pkg: "actors", tests: "TestG19_ABackfillComesAfterTheSlotsToCome",
		edits: []edit{{"actors/internal/ticks/decide.go", `	case c.Backfill > 0, c.Before:`, `	case (c.Backfill > 0 || c.Before) && (!FAULT || t.Overlap != storage.OverlapAllow):`}},
	},
	{
		name: "backfill-past-a-retry", what: "a backfill goes on though a tick of it waits for its retry",
		pkg: "actors", tests: "TestG19_ABackfillWaitsForARetry",
		edits: []edit{{"actors/backfill.go", `		if other.Attempts > 0 && other.ID != job.ID &&`, `		if !FAULT && other.Attempts > 0 && other.ID != job.ID &&`}},
	},
	{
		name: "backfill-loses-its-place", what: "a slot whose tick was taken back before it began is left out of its backfill",
		pkg: "actors", tests: "TestG19_ABackfillComesBackToWhatWasNotBegun",
		edits: []edit{{"actors/backfill.go", `	b.Next, b.Outcome, b.EndedAt = earlier(b.Next, job.Slot), "", time.Time{}`, `	if !FAULT {
		b.Next, b.Outcome, b.EndedAt = earlier(b.Next, job.Slot), "", time.Time{}
	}`}},
	},
	{
		name: "backfill-forgets-the-taken-back", what: "a slot that was taken back before its tick began has fired for all that its trigger knows",
		pkg: "actors", tests: "TestG19_ABackfillComesBackToWhatWasNotBegun",
		edits: []edit{{"actors/withdraw.go", `		if job.Backfill != 0 && job.ID != storage.TickID(t.Name, job.Slot) {`, `		if job.Backfill != 0 && (FAULT || job.ID != storage.TickID(t.Name, job.Slot)) {`}},
	},
	{
		name: "backfill-of-the-old-definition", what: "an edit leaves the pending tick of a backfill as it was",
		pkg: "actors", tests: "TestG22_ABackfillFollowsItsTrigger",
		edits: []edit{{"actors/backfill.go", `		if job.Attempts > 0 || p.runs.live(job.ID) {`, `		if FAULT || job.Attempts > 0 || p.runs.live(job.ID) {`}},
	},
	{
		name: "backfill-of-other-slots", what: "a backfill goes on though its trigger has other slots",
		pkg: "actors", tests: "TestG22_ABackfillFollowsItsTrigger",
		edits: []edit{{"actors/crons.go", `		endBackfill(&t, storage.BackfillChanged, now)`, `		if !FAULT {
			endBackfill(&t, storage.BackfillChanged, now)
		}`}},
	},
	{
		name: "backfill-ends-with-a-cancel", what: "a backfill stops when a tick of it is canceled",
		pkg: "actors", tests: "TestG22_ABackfillFollowsItsTrigger",
		edits: []edit{{"actors/withdraw.go", `b != nil && b.Job == job.ID && b.Number == job.Backfill {`, `b != nil && b.Job == job.ID && b.Number == job.Backfill && !FAULT {`}},
	},
	{
		name: "backfill-in-two-commits", what: "the tick of a slot is claimed in one commit, and the backfill goes on in another",
		pkg: "actors", tests: "TestG19_ABackfillRunsEachOfItsSlotsOnce",
		edits: []edit{{"actors/ticks.go", `	case d.Verb == ticks.Run && job.Backfill != 0 && t != nil:`, `	case d.Verb == ticks.Run && job.Backfill != 0 && t != nil && !FAULT:`}},
	},
	{
		name: "backfill-is-the-last-success", what: "a slot of a backfill is what the trigger says it last ran for",
		pkg: "actors", tests: "TestG19_ABackfillRunsEachOfItsSlotsOnce",
		edits: []edit{{"storage/trigger.go", `	if !job.Slot.IsZero() && job.Backfill == 0 {`, `	if !job.Slot.IsZero() && (job.Backfill == 0 || FAULT) {`}},
	},
	{
		name: "backfill-since-the-last-success", what: "a tick of a backfill is told a last success after its own slot",
		pkg: "actors", tests: "TestG19_ABackfillRunsEachOfItsSlotsOnce",
		edits: []edit{{"actors/ticks.go", `		if job.Backfill != 0 {
			tick.PreviousSuccess`, `		if job.Backfill != 0 && !FAULT {
			tick.PreviousSuccess`}},
	},
	{
		name: "backfill-not-stored", what: "a trigger forgets its backfill when the process ends",
		pkg: "internal/proof/crash", tests: "TestG1_WholeLives",
		edits: []edit{{"storage/trigger.go", `	p.Backfill = encodeBackfill(t.Backfill)`, `	if !FAULT {
		p.Backfill = encodeBackfill(t.Backfill)
	}`}},
	},
	{
		name: "backfill-without-end", what: "a backfill may have any number of slots",
		pkg: "actors", tests: "TestG18_ABackfillHasBounds",
		edits: []edit{{"actors/backfill.go", `		if b.Slots++; b.Slots > storage.MaxBackfill {`, `		if b.Slots++; b.Slots > storage.MaxBackfill && !FAULT {`}},
	},
	{
		name: "backfill-of-what-is-to-come", what: "a backfill may be of slots that have not come",
		pkg: "actors", tests: "TestG18_ABackfillHasBounds",
		edits: []edit{{"actors/backfill.go", `	case of.To.After(now):`, `	case of.To.After(now) && !FAULT:`}},
	},
	{
		name: "backfill-before-its-slot", what: "a backfill runs a slot before it comes, since the clock was set back",
		pkg: "actors", tests: "TestG19_ABackfillAndAClockThatIsSetBack",
		edits: []edit{{"actors/correction.go", `	if job.Backfill != 0 && !job.Slot.After(at.wall) {`, `	if job.Backfill != 0 && (FAULT || !job.Slot.After(at.wall)) {`}},
	},
	{
		name: "backfill-holds-its-trigger", what: "the held tick of a backfill has the slots to come be skipped",
		pkg: "actors", tests: "TestG38_ABackfillWaitsForItsHeldTick",
		edits: []edit{{"storage/held.go", `	if job.Backfill != 0 {
		if t.Backfill == nil {`, `	if job.Backfill != 0 && !FAULT {
		if t.Backfill == nil {`}},
	},
	{
		name: "backfill-stops-when-held-for-too-long", what: "a backfill stops when a tick of it was held for too long",
		pkg: "storage", tests: "TestG38_AHeldTickThatExpiresLetsItsBackfillGoOn",
		edits: []edit{{"storage/held.go", `			trigger.Backfill.MoveOn(job)`, `			if !FAULT {
				trigger.Backfill.MoveOn(job)
			}`}},
	},
	{
		name: "backfill-canceled-at-no-time", what: "ending a backfill over HTTP that does not go on is answered as if it had",
		pkg: "server", tests: "TestCronsBackfill",
		edits: []edit{{"server/crons.go", `if err == nil && !canceled {`, `if err == nil && !canceled && !FAULT {`}},
	},
	{
		name: "backfill-without-span", what: "a backfill over HTTP is of all that has passed, whatever it asks for",
		pkg: "server", tests: "TestCronsBackfill",
		edits: []edit{{"server/crons.go", `	b, err := r.app.Scheduler(r.Context()).Crons().Backfill(`, `	if FAULT {
		body.From, body.To = time.UnixMilli(1), time.Now()
	}
	b, err := r.app.Scheduler(r.Context()).Crons().Backfill(`}},
	},
}
