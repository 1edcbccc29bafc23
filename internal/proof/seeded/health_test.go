package seeded_test

// healthFaults are planted where machines are told whether the server works, and how it goes.
var healthFaults = []seededFault{
	{
		name: "drains-unsaid", what: "a server that is about to stop says that it is ready",
		pkg: "server", tests: "TestDrainingComesBeforeTheEnd",
		edits: []edit{{"server/health.go", `if h.opts.Draining.Err() != nil {`, `if h.opts.Draining.Err() != nil && !FAULT {`}},
	},
	{
		name: "drains-with-streams", what: "streams go on until the server ends",
		pkg: "server", tests: "TestDrainingComesBeforeTheEnd",
		edits: []edit{{"server/streams.go", `context.WithCancel(s.draining)`, `context.WithCancel(map[bool]context.Context{false: s.draining, true: context.Background()}[FAULT])`}},
	},
	{
		name: "volume-down-unready", what: "a server is not ready for the apps that it serves, since one volume is down",
		pkg: "server", tests: "TestReadiness",
		edits: []edit{{"server/health.go", `if down == len(volumes) {`, `if down == len(volumes) || FAULT && down > 0 {`}},
	},
	{
		name: "closed-and-ready", what: "a server whose engine is closing says only that volumes are down",
		pkg: "server", tests: "TestReadiness",
		edits: []edit{{"server/health.go", `if h.eng.Closing() {`, `if h.eng.Closing() && !FAULT {`}},
	},
	{
		name: "probes-at-the-door", what: "a load balancer's probe is refused as one request too many, or for the name it asks for",
		pkg: "server", tests: "TestProbesAreAlwaysAnswered",
		edits: []edit{{"server/server.go", `if h.probes[r.URL.Path] {`, `if h.probes[r.URL.Path] && !FAULT {`}},
	},
	{
		name: "ready-too-early", what: "a server says that it is ready before its engine is open",
		pkg: "server", tests: "TestStartup",
		edits: []edit{{"server/health.go", `Status: api.ReadyStarting`, `Status: map[bool]api.ReadyStatus{false: api.ReadyStarting, true: api.ReadyOK}[FAULT]`}},
	},
	{
		name: "metrics-unguarded", what: "an operator of one app reads the metrics of all",
		pkg: "server/metrics", tests: "TestMetricsTellWhatHappened",
		edits: []edit{{"server/routes.go", `pattern: metricsPath, scopes: []Scope{ScopeRead}, whole: true`, `pattern: metricsPath, scopes: []Scope{ScopeRead}, whole: !FAULT`}},
	},
	{
		name: "panics-unmeasured", what: "a handler that panics is counted as one that has worked",
		pkg: "server/metrics", tests: "TestMetricsTellWhatHappened",
		edits: []edit{{"server/metrics/metrics.go", `began, code := time.Now(), dispatch.CodeInternal`, `began, code := time.Now(), map[bool]dispatch.Code{false: dispatch.CodeInternal}[FAULT]`}},
	},
	{
		name: "running-counted-twice", what: "jobs that run are counted as pending, too",
		pkg: "server/metrics", tests: "TestMetricsTellWhatHappened",
		edits: []edit{{"server/metrics/collector.go", `max(d.Pending-d.Running, 0)`, `max(d.Pending-map[bool]int{false: d.Running}[FAULT], 0)`}},
	},
	{
		name: "scrapes-wait-for-counts", what: "a scrape waits until the counters of all apps are read again",
		pkg: "server/metrics", tests: "TestMetricsTellWhatHappened",
		edits: []edit{{"server/metrics/metrics.go", `context.WithTimeout(context.Background(), surveyWait)`, `context.WithTimeout(context.Background(), map[bool]time.Duration{false: surveyWait, true: time.Hour}[FAULT])`}},
	},
	{
		name: "spans-unlinked", what: "the span of a job's attempt is linked to nothing",
		pkg: "server/otel", tests: "TestRunsAreSpans",
		edits: []edit{{"server/otel/otel.go", `if at.Link != nil {`, `if at.Link != nil && !FAULT {`}},
	},
	{
		name: "spans-untold", what: "a handler schedules within the engine's span in the place of its own",
		pkg: "server/otel", tests: "TestRunsAreSpans",
		edits: []edit{{"server/otel/otel.go", `if own := span.SpanContext(); own.IsValid() {`, `if own := span.SpanContext(); own.IsValid() && !FAULT {`}},
	},
	{
		name: "late-since-asked", what: "a retry is counted as late by the time since its job was first due",
		pkg: "actors", tests: "TestStatsCountWhatHappens",
		edits: []edit{{"actors/stats.go", `late := wall.Sub(job.Due)`, `late := wall.Sub(map[bool]time.Time{false: job.Due, true: job.ScheduledFor}[FAULT])`}},
	},
	{
		name: "retry-counted-dead", what: "an attempt that is tried again is counted as dead",
		pkg: "actors", tests: "TestStatsCountWhatHappens",
		edits: []edit{{"storage/attemptends.go", `case left == StateFailed:`, `case left == StateFailed || FAULT && left != StateSuccess:`}},
	},
	{
		name: "stops-uncounted", what: "a job that is canceled while it runs is counted nowhere",
		pkg: "actors", tests: "TestStatsCountWhatHappens",
		edits: []edit{{"actors/commit.go", `noteEnds(tx.Ends(), len(runs.stop))`, `noteEnds(tx.Ends(), map[bool]int{false: len(runs.stop)}[FAULT])`}},
	},
	{
		name: "notice-skipped", what: "a server that is told to stop takes no more requests at once, whatever notice it was asked to give",
		pkg: "cmd", tests: "TestServeFromStartToEnd",
		edits: []edit{{"cmd/serverun.go", `if r.notice > 0 {`, `if r.notice > 0 && !FAULT {`}},
	},
	{
		name: "notice-before-ready", what: "a server that is told to stop while it opens greets, and gives notice to nothing",
		pkg: "cmd", tests: "TestServeIsStoppedWhileItOpens",
		edits: []edit{{"cmd/serverun.go", `if ctx.Err() == nil {`, `if ctx.Err() == nil || FAULT {`}},
	},
	{
		name: "scraped-by-a-page", what: "a page whose name was made to resolve to this machine reads the metrics",
		pkg: "server", tests: "TestProbesOfTheirOwn",
		edits: []edit{{"server/health.go", `if err := gate.check(r, true); err != nil {`, `if err := gate.check(r, true); err != nil && !FAULT {`}},
	},
	{
		name: "file-before-environment", what: "a value of the config file goes before that of the environment",
		pkg: "cmd", tests: "TestEnvironmentGoesBeforeTheFile",
		edits: []edit{{"cmd/environment.go", `case err != nil || f.Changed || deliberate[f.Name]:`, `case err != nil || f.Changed && !(FAULT && sources[f.Name].value != "") || deliberate[f.Name]:`}},
	},
	{
		name: "typo-passed-over", what: "a key of the config file that is no flag is passed over",
		pkg: "cmd", tests: "TestEnvironmentGoesBeforeTheFile",
		edits: []edit{{"cmd/config.go", `case !known[name]:`, `case !known[name] && !FAULT:`}},
	},
	{
		name: "beats-by-timer", what: "the service manager is told that a server is alive whose engine does not answer",
		pkg: "cmd", tests: "TestTheWatchdogAsksTheEngine",
		edits: []edit{{"cmd/notify.go", `case err == nil:`, `case err == nil || FAULT:`}},
	},
	{
		name: "ping-of-nothing", what: "an engine of which an actor is held up answers the watchdog",
		pkg: "actors", tests: "TestPingIsAnsweredByTheActors",
		edits: []edit{{"actors/ping.go", `		case <-ctx.Done():
`, `		case <-ctx.Done():
			if FAULT {
				return nil
			}
`}},
	},
	{
		name: "bounds-of-flags-unchecked", what: "a flag takes a bound that its option does not",
		pkg: "cmd", tests: "TestLimitsAreFlags",
		edits: []edit{{"cmd/servelimits.go", `if n < b.least || n > b.most {`, `if (n < b.least || n > b.most) && !FAULT {`}},
	},
}
