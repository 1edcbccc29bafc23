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
		edits: []edit{{"actors/survey.go", `|| began.Before(s.until) {`, `|| began.Before(s.until) && !FAULT {`}},
	},
	{
		name: "survey-of-the-first", what: "the apps that stand out are the first ones, whatever those behind them have",
		pkg: "storage", tests: "TestSurveyNamesWhatStandsOut",
		edits: []edit{{"storage/survey.go", `s.before(a, &s.apps[len(s.apps)-1]) > 0`, `(FAULT || s.before(a, &s.apps[len(s.apps)-1]) > 0)`}},
	},
	{
		name: "overview-of-one-app", what: "the overview says what stands out of the first app alone",
		pkg: "server", tests: "TestTheOverviewIsOfAllApps",
		edits: []edit{{"server/stats.go", `	s.Troubled = still(`, `	if FAULT {
		d.Troubled = nil
	}
	s.Troubled = still(`}},
	},
	{
		name: "survey-outlives-its-engine", what: "the counters of all apps are read when the engine has been closed",
		pkg: "actors", tests: "TestCloseWaitsForASurvey",
		edits: []edit{{"actors/engine.go", `	e.surveys.close()`, `	if !FAULT {
		e.surveys.close()
	}`}},
	},
	{
		name: "chart-joins-gaps", what: "a chart draws a line through minutes that nothing is known of",
		pkg: "server/ui", tests: "TestChartsHaveTheMinutesOfAnHour",
		edits: []edit{{"server/ui/chart.go", `				joined = false`, `				joined = FAULT && joined`}},
	},
	{
		name: "page-told-each-time", what: "a page is told of each change, however many there are",
		pkg: "server", tests: "TestPagesAreToldOfChanges",
		edits: []edit{{"server/livepages.go", `			quiet = true`, `			quiet = !FAULT`}},
	},
	{
		name: "last-change-untold", what: "a change that comes soon after another is never told of",
		pkg: "server", tests: "TestPagesAreToldOfChanges",
		edits: []edit{{"server/livepages.go", `			quiet = false`, `			if quiet = false; FAULT {
				select {
				case <-changed:
				default:
				}
			}`}},
	},
	{
		name: "changes-of-other-apps", what: "an operator is told of changes in apps of others",
		pkg: "server", tests: "TestPagesAreToldOfChanges",
		edits: []edit{{"server/livepages.go", `	case op.AllApps:`, `	case op.AllApps || FAULT:`}},
	},
	{
		name: "charts-stand-still", what: "a page of all apps is told of nothing while nothing changes, so that its charts end in the past",
		pkg: "server", tests: "TestPagesAreToldOfChanges",
		edits: []edit{{"server/livepages.go", `	if !ofApp {`, `	if !ofApp && !FAULT {`}},
	},
	{
		name: "stream-for-ever", what: "a page's stream outlives the session that it began with",
		pkg: "server", tests: "TestPagesAreToldOfChanges",
		edits: []edit{{"server/livepages.go", `		case <-over.C:
			return nil`, `		case <-over.C:
			if !FAULT {
				return nil
			}`}},
	},
	{
		name: "commit-untold", what: "a page is not told of what is committed",
		pkg: "server", tests: "TestPagesAreToldOfChanges",
		edits: []edit{{"actors/commit.go", `			app.eng.bells.ring(app.id)`, `			if !FAULT {
				app.eng.bells.ring(app.id)
			}`}},
	},
	{
		name: "many-pages-as-few", what: "each page is told as often however many there are",
		pkg: "server", tests: "TestManyPagesAreToldMoreRarely",
		edits: []edit{{"server/livepages.go", `	least := liveStoreApart
`, `	least := liveStoreApart
	if FAULT {
		return liveApart
	}
`}},
	},
	{
		name: "stream-of-the-revoked", what: "a page is told of changes after its token was revoked",
		pkg: "server", tests: "TestStreamsOfPagesEnd",
		edits: []edit{{"server/livepages.go", `	defer h.recheck(w, asked)()`, `	if !FAULT {
		defer h.recheck(w, asked)()
	}`}},
	},
	{
		name: "stream-uncounted", what: "there may be any number of streams of pages",
		pkg: "server", tests: "TestStreamsOfPagesEnd",
		edits: []edit{{"server/livepages.go", `	var leave func()
	if err == nil {`, `	leave := func() {}
	if err == nil && !FAULT {`}},
	},
	{
		name: "stream-for-any", what: "who may not read an app is told when it changes",
		pkg: "server", tests: "TestEveryPageHasItsDoor",
		edits: []edit{{"server/livepages.go", `	err := h.admit(row, asked)`, `	err := h.admit(row, asked)
	if FAULT {
		err = nil
	}`}},
	},
	{
		name: "script-of-another-release", what: "a browser keeps a script under the address of another",
		pkg: "server", tests: "TestScriptsMayBeKept",
		edits: []edit{{"server/ui/static.go", `hash != r.PathValue("hash")`, `(hash != r.PathValue("hash") && !FAULT)`}},
	},
	{
		name: "live-page-of-before", what: "a live page is one that was made before it was asked for",
		pkg: "server", tests: "TestLivePagesAreMadeOnce",
		edits: []edit{{"server/sharedpages.go", `	delete(s.next, key)`, `	if !FAULT {
		delete(s.next, key)
	}`}},
	},
	{
		name: "live-page-of-others-rights", what: "a live page is one that was made for an operator with other rights",
		pkg: "server", tests: "TestLivePagesAreMadeOnce",
		edits: []edit{{"server/sharedpages.go", `	return h.pages.get(`, `	if FAULT {
		key = r.URL.RequestURI()
	}
	return h.pages.get(`}},
	},
	{
		name: "live-page-for-each", what: "a live page is made anew for each of those who look at it",
		pkg: "server", tests: "TestLivePagesAreMadeOnce",
		edits: []edit{{"server/sharedpages.go", `	if r.Method != http.MethodGet ||`, `	if FAULT || r.Method != http.MethodGet ||`}},
	},
	{
		name: "many-pages-told-apart", what: "many pages of an app are told of a change at instants of their own",
		pkg: "server", tests: "TestManyPagesAreToldMoreRarely",
		edits: []edit{{"server/livepages.go", `	if l.open.Load() < liveTogether {`, `	if l.open.Load() < liveTogether || FAULT {`}},
	},
	{
		name: "live-pages-unpaid", what: "open pages are told of changes as often as if it cost nothing to make them",
		pkg: "server", tests: "TestPagesThatCostMoreAreToldMoreRarely",
		edits: []edit{{"server/livepages.go", `apart < enough && apart < liveMost`, `apart < enough && apart < liveMost && !FAULT`}},
	},
	{
		name: "live-pages-uncounted", what: "what it takes to make live pages is not counted",
		pkg: "server", tests: "TestLivePagesArePaidFor",
		edits: []edit{{"server/sharedpages.go", `defer func() { h.live.paid(took) }()`, `defer func() {
		if !FAULT {
			h.live.paid(took)
		}
	}()`}},
	},
	{
		name: "counts-of-nothing", what: "the overview shows counts of all apps though they were not counted yet",
		pkg: "server", tests: "TestTheOverviewDoesNotWaitForACount",
		edits: []edit{{"server/stats.go", `; !d.At.IsZero() {`, `; FAULT || !d.At.IsZero() {`}},
	},
	{
		name: "old-counts-as-new", what: "old counts are given to those who did not ask for such",
		pkg: "server", tests: "TestTheOverviewDoesNotWaitForACount",
		edits: []edit{{"server/stats.go", `	if stale {
		var`, `	if stale || FAULT {
		var`}},
	},
	{
		name: "app-history-for-ever", what: "what an app did more than an hour ago is in its last hour",
		pkg: "actors", tests: "TestAppHistoryIsOfTheLastHour",
		edits: []edit{{"actors/apphistory.go", `for n := max(from, now-hourMinutes+1)`, `for n := max(from, now-map[bool]int64{false: hourMinutes, true: 2 * hourMinutes}[FAULT]+1)`}},
	},
	{
		name: "app-history-outlives-it", what: "an app that was deleted has the history that it had",
		pkg: "actors", tests: "TestAppHistoryIsOfTheLastHour",
		edits: []edit{{"actors/engine.go", `		e.apps.forget(id)`, `		if !FAULT {
			e.apps.forget(id)
		}`}},
	},
	{
		name: "app-history-of-a-quiet-one", what: "to make room for the history of an app that of one is dropped which goes on doing something",
		pkg: "actors", tests: "TestAppHistoryIsOfSomeApps",
		edits: []edit{{"actors/apphistory.go", `for a.ring[a.next].used.Swap(false) {`, `for a.ring[a.next].used.Swap(false) && !FAULT {`}},
	},
	{
		name: "app-history-not-known", what: "an app whose history was dropped is said to have done nothing",
		pkg: "actors", tests: "TestAppHistoryIsOfSomeApps",
		edits: []edit{{"actors/apphistory.go", `	a.from = now + 1`, `	if !FAULT {
		a.from = now + 1
	}`}},
	},
	{
		name: "no-charts-of-some", what: "an operator of some apps is shown no charts",
		pkg: "server", tests: "TestChartsAreOfTheOperatorsApps",
		edits: []edit{{"server/ui/overview.go", `			d.Charts = chartsOfSome(r, d.Clock.Wall, byPending(apps)[:d.Charted])`, `			if !FAULT {
				d.Charts = chartsOfSome(r, d.Clock.Wall, byPending(apps)[:d.Charted])
			}`}},
	},
	{
		name: "dashboard-unlabeled", what: "profiles do not tell what the dashboard costs",
		pkg: "server", tests: "TestProfilesTellTheDashboardApart",
		edits: []edit{{"server/dashboard.go", `pprof.Labels("carillon", "dashboard")`, `map[bool]pprof.LabelSet{false: pprof.Labels("carillon", "dashboard")}[FAULT]`}},
	},
}
