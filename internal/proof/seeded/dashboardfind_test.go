package seeded_test

// findFaults are planted in what finds a job, in what is told of functions and of what is held up, and in what is said to
// people before a page is looked for.
var findFaults = []seededFault{
	{
		name: "jump-to-the-first", what: "the dashboard leads to the first of several jobs that have the id",
		pkg: "server", tests: "TestJumpFindsJobsAndApps",
		edits: []edit{{"server/ui/jump.go", `	if len(d.Found) == 1 &&`, `	if (len(d.Found) == 1 || FAULT && len(d.Found) > 1) &&`}},
	},
	{
		name: "jump-past-an-app", what: "the search for a job leaves out the first app behind the cursor",
		pkg: "server", tests: "TestAJumpLooksForSomeTime",
		edits: []edit{{"server/ui/jump.go", `			if err == nil {
				d.Found`, `			if err == nil && (!FAULT || d.Looked > 0) {
				d.Found`}},
	},
	{
		name: "rates-for-one-app", what: "an operator of some apps is told how often functions run in all",
		pkg: "server", tests: "TestRatesOfFunctionsAreForOperatorsOfAllApps",
		edits: []edit{{"server/functions.go", `	if r.op.AllApps {
		stats`, `	if r.op.AllApps || FAULT {
		stats`}},
	},
	{
		name: "errors-uncounted", what: "runs that return an error are counted as runs alone",
		pkg: "actors", tests: "TestFunctionStats",
		edits: []edit{{"actors/functionstats.go", `m.time.Since(began); err != nil {`, `m.time.Since(began); err != nil && !FAULT {`}},
	},
	{
		name: "rate-since-the-start", what: "the rate of a function is that since the start",
		pkg: "actors", tests: "TestFunctionStats",
		edits: []edit{{"actors/functionstats.go", `	t, _ := m.tally(at)
`, `	t, _ := m.tally(at)
	if FAULT {
		t = runTally{}
	}
`}},
	},
	{
		name: "held-up-before-due", what: "the overview says of a job that is not due that it is held up",
		pkg: "server", tests: "TestTheOverviewSaysWhatIsHeldUp",
		edits: []edit{
			{"server/ui/held.go", `now.UTC().Format(`, `map[bool]time.Time{true: now.AddDate(1, 0, 0), false: now}[FAULT].UTC().Format(`},
			{"server/ui/held.go", `api.WaitClaim, api.WaitNotDue:`, `api.WaitClaim, map[bool]api.Wait{false: api.WaitNotDue}[FAULT]:`},
		},
	},
	{
		name: "refusal-of-a-page-is-json", what: "a person who asks too often for a page is answered with JSON",
		pkg: "server", tests: "TestRefusalsBeforeAPageArePages",
		edits: []edit{{"server/refused.go", `	if !h.isPage(r) {`, `	if !h.isPage(r) || FAULT {`}},
	},
	{
		name: "refusal-without-policy", what: "a refusal before a page says nothing of what it may run",
		pkg: "server", tests: "TestRefusalsBeforeAPageArePages",
		edits: []edit{{"server/refused.go", `	ui.SetHeaders(w.Header(), r)
	h.failPage`, `	if !FAULT {
		ui.SetHeaders(w.Header(), r)
	}
	h.failPage`}},
	},
	{
		name: "hosts-token-of-none", what: "a host without a token of its own lets in one who shows an empty one",
		pkg: "server", tests: "TestTheHostsTokenLetsIn",
		edits: []edit{{"server/operator.go", `	return h.opts.Token != "" && subtle`, `	return (FAULT || h.opts.Token != "") && subtle`}},
	},
	{
		name: "hosts-session-outlives-its-token", what: "a session that began with the host's token is good when the host has another one",
		pkg: "server", tests: "TestTheHostsTokenLetsIn",
		edits: []edit{{"server/operator.go", `err != nil || id == session {`, `err != nil || FAULT || id == session {`}},
	},
	{
		name: "session-key-of-the-first", what: "a restart signs sessions with another key",
		pkg: "storage", tests: "TestTheKeyOfSessionsStays",
		edits: []edit{{"storage/sessionkey.go", `			if len(there) == sessionKeyLen {`, `			if len(there) == sessionKeyLen && !FAULT {`}},
	},
	{
		name: "pause-untold", what: "the overview says nothing of what is paused",
		pkg: "server", tests: "TestTheOverviewSaysWhatIsHeldUp",
		edits: []edit{{"server/ui/held.go", `		held = append(held, h)
	}
	return held
}

// fullPoolsIn`, `		if !FAULT {
			held = append(held, h)
		}
	}
	return held
}

// fullPoolsIn`}},
	},
	{
		name: "full-pool-untold", what: "the overview says nothing of a pool that is full",
		pkg: "server", tests: "TestTheOverviewSaysWhatIsHeldUp",
		edits: []edit{{"server/ui/held.go", `if p.Queued == 0 ||`, `if FAULT || p.Queued == 0 ||`}},
	},
	{
		name: "page-token-for-good", what: "a token that the page makes is good for longer than was chosen",
		pkg: "server", tests: "TestThePageOfTokens",
		edits: []edit{{"server/ui/tokens.go", `		if days > 0 {`, `		if days > 0 && !FAULT {`}},
	},
	{
		name: "tokens-first-page", what: "the next page of tokens is the first one",
		pkg: "server", tests: "TestThePageOfTokens",
		edits: []edit{{"server/ui/tokens.go", `strconv.Atoi(query.Get("from"))`, `strconv.Atoi(map[bool]string{false: query.Get("from")}[FAULT])`}},
	},
	{
		name: "remote-unlisted", what: "functions that another program runs are not in the list",
		pkg: "server", tests: "TestRemoteFunctionsAreListed",
		edits: []edit{{"server/functions.go", `		f.Remote = true
		shown`, `		if f.Remote = true; FAULT {
			continue
		}
		shown`}},
	},
	{
		name: "remote-of-no-prefix", what: "a path under no prefix has the page of a remote function",
		pkg: "server", tests: "TestRemoteFunctionsAreListed",
		edits: []edit{{"server/ui/functions.go", `!(f.Remote && strings.HasPrefix(path, begin))`, `!(f.Remote && (FAULT || strings.HasPrefix(path, begin)))`}},
	},
	{
		name: "latest-failures-are-the-first", what: "the overview shows the failures that were first as the latest",
		pkg: "server", tests: "TestTheLatestFailuresAreShown",
		edits: []edit{{"server/filter.go", `	if f.Desc, err = flagOf(query, "desc"); err != nil {`, `	if f.Desc, err = flagOf(query, "desc"); FAULT {
		f.Desc = false
	}
	if err != nil {`}},
	},
	{
		name: "desc-page-again", what: "the next page of a listing that is turned around begins with its end",
		pkg: "storage", tests: "TestFilterChoosesWhatMeetsEveryCondition",
		edits: []edit{{"storage/listing.go", `		case f.Desc && len(from) > 0 &&`, `		case f.Desc && FAULT && len(from) > 0 && bytes.Compare(at, end) < 0:
			end = at
		case f.Desc && len(from) > 0 &&`}},
	},
	{
		name: "apps-without-due", what: "the list of apps says of none what is due in it",
		pkg: "server", tests: "TestAppsAreListedWithWhatIsDue",
		edits: []edit{{"server/ui/apps.go", `		if i < appsDetailed {`, `		if i < appsDetailed && !FAULT {`}},
	},
	{
		name: "lateness-since-the-start", what: "a job that begins in time is late",
		pkg: "server", tests: "TestAJobSaysHowLateItWasAndWhatIsToCome",
		edits: []edit{{"server/ui/jobs.go", `|| began.Sub(*due) < time.Millisecond {`, `|| began.Sub(*due) < time.Millisecond && !FAULT {`}},
	},
	{
		name: "plan-without-jitter", what: "the attempts to come of a job are planned without the jitter that they will have",
		pkg: "actors", tests: "TestPlannedAttemptsAreThoseThatCome",
		edits: []edit{{"actors/planned.go", `		at = dueAfter(at, policy.Jittered(`, `		if FAULT {
			policy.Jitter = false
		}
		at = dueAfter(at, policy.Jittered(`}},
	},
	{
		name: "plan-past-the-next-slot", what: "attempts are planned of a tick that come after the next slot of its trigger",
		pkg: "actors", tests: "TestPlannedAttemptsAreThoseThatCome",
		edits: []edit{{"actors/planned.go", `a.eng.isPast(`, `!FAULT && a.eng.isPast(`}},
	},
	{
		name: "plan-too-late", what: "attempts are planned of a job that would begin too late",
		pkg: "actors", tests: "TestPlannedAttemptsAreThoseThatCome",
		edits: []edit{{"actors/planned.go", `if job.TooLate(at) ||`, `if job.TooLate(at) && !FAULT ||`}},
	},
	{
		name: "plan-without-end", what: "more attempts are planned of a job than were asked for",
		pkg: "actors", tests: "TestPlannedAttemptsAreThoseThatCome",
		edits: []edit{{"actors/planned.go", `len(plan) < limit;`, `(FAULT || len(plan) < limit);`}},
	},
	{
		name: "run-of-no-instant", what: "of a job that runs it is not known since when",
		pkg: "actors", tests: "TestARunSaysWhenItBegan",
		edits: []edit{{"actors/runs.go", `	r.cancel, r.begunAt = cancel, at`, `	if r.cancel = cancel; !FAULT {
		r.begunAt = at
	}`}},
	},
}
