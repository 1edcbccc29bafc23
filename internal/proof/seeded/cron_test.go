package seeded_test

// cronFaults are planted in package cron, and where triggers follow their ticks.
var cronFaults = []seededFault{
	{
		name: "next-is-now", what: "Next(t) may be t",
		pkg: "cron", tests: "TestG21_StarterTable",
		edits: []edit{{"cron/next.go", `if s.cal.wild {`, `if FAULT {
		u--
	}
	if s.cal.wild {`}},
	},
	{
		name: "repeated-hour-twice", what: "a slot in the hour that is repeated comes twice",
		pkg: "cron", tests: "TestG21_ClockChanges",
		edits: []edit{{"cron/next.go", `seen = max(seen, at+before.off)`, `if !FAULT {
			seen = max(seen, at+before.off)
		}`}},
	},
	{
		name: "canceled-retry-forgotten", what: "a trigger that cancels a retry tells of the end before",
		pkg: "actors", tests: "TestG20_ACanceledRetryIsTheLastEndOfItsTrigger",
		edits: []edit{{"actors/withdraw.go", `	if err == nil && ok {
		copyEnds(`, `	if err == nil && ok && !FAULT {
		copyEnds(`}},
	},
}
