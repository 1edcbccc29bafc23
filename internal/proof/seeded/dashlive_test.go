package seeded_test

// dashLiveFaults are planted in what the dashboard shows of now and of the last hour.
var dashLiveFaults = []seededFault{
	{
		name: "samples-since-open", what: "a sample of the history has what was counted since the engine was opened",
		pkg: "actors", tests: "TestHistoryIsOfTheLastHour",
		edits: []edit{{"actors/history.go", `	if h.last = m; len(h.list) < historyLen {`, `	if FAULT {
		m.late = h.last.late
	}
	if h.last = m; len(h.list) < historyLen {`}},
	},
	{
		name: "history-out-of-order", what: "what is sampled when there is an hour of history takes the place of what was sampled just before",
		pkg: "actors", tests: "TestHistoryIsOfTheLastHour",
		edits: []edit{{"actors/history.go", `	h.next = (h.next + 1) % historyLen`, `	if !FAULT {
		h.next = (h.next + 1) % historyLen
	}`}},
	},
	{
		name: "depth-of-each-viewer", what: "each request of the stats reads the counters of all apps",
		pkg: "server", tests: "TestStatsAddUpOnce",
		edits: []edit{{"server/stats.go", `if began.Before(l.until) {`, `if began.Before(l.until) && !FAULT {`}},
	},
}
