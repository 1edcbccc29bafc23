package seeded_test

// nodeFaults are those of what tells which nodes share a log.
var nodeFaults = []seededFault{
	{
		name: "nodes-for-one-app", what: "an operator of some apps is told the addresses of nodes",
		pkg: "server", tests: "TestEveryRouteHasItsDoor",
		edits: []edit{{"server/routes.go", `pattern: "/v1/nodes", scopes: read, whole: true,`, `pattern: "/v1/nodes", scopes: read, whole: !FAULT,`}},
	},
	{
		name: "silent-owner", what: "a node whose lease has ended is shown as the owner",
		pkg: "server", tests: "TestNodesAndShardsAreShown",
		edits: []edit{{"server/nodes.go", `case lease <= 0:`, `case !FAULT && lease <= 0:`}},
	},
	{
		name: "look-makes-a-log", what: "a list of the nodes of a log that is not there makes it",
		pkg: "cmd/carillon", tests: "TestStoreInPostgreSQL",
		edits: []edit{{"storage/postgres/postgres.go", `	return pglog.Standing(ctx, string(a))`, `	if FAULT {
		_, _ = a.Migrate(ctx, 0)
	}
	return pglog.Standing(ctx, string(a))`}},
	},
	{
		name: "standby-answers", what: "a node that has lost the store goes on answering",
		pkg: "server", tests: "TestStandBy",
		edits: []edit{{"server/health.go", `s.now.Store(&startupState{owner: owner})`, `if before := s.now.Load(); !FAULT || before == nil || before.handler == nil {
		s.now.Store(&startupState{owner: owner})
	}`}},
	},
	{
		name: "lapsed-and-ready", what: "a node whose lease is not held says that it is ready",
		pkg: "server", tests: "TestNotReadyWithoutTheLease",
		edits: []edit{{"server/health.go", `if h.eng.Held() != nil {`, `if h.eng.Held() != nil && !FAULT {`}},
	},
	{
		name: "lapsed-judges-tokens", what: "a node whose lease is not held says that a token is not good",
		pkg: "server", tests: "TestNoTokenIsJudgedWithoutTheLease",
		edits: []edit{{"server/tokens.go", `if err := eng.Held(); err != nil {`, `if err := eng.Held(); err != nil && !FAULT {`}},
	},
	{
		name: "store-password-shown", what: "the configuration in force is shown with the password of the log",
		pkg: "cmd", tests: "TestPasswordsOfAStoreAreHidden",
		edits: []edit{{"cmd/config.go", `case f.Name == "store":`, `case f.Name == "store" && !FAULT:`}},
	},
	{
		name: "stop-fails-a-join", what: "a node that is told to stop while it joins has failed",
		pkg: "cmd", tests: "TestNodeIsToldToStopWhileItJoins",
		edits: []edit{{"cmd/servenode.go", `	if ctx.Err() == nil {`, `	if ctx.Err() == nil || FAULT {`}},
	},
	{
		name: "long-release-refused", what: "a node of a release with a long version is refused",
		pkg: "cmd", tests: "TestReleaseOfANode",
		edits: []edit{{"cmd/servenode.go", `return of[:min(64, len(of))]`, `return of[:min(map[bool]int{false: 64, true: 65}[FAULT], len(of))]`}},
	},
	{
		name: "lost-engine-watched", what: "the metrics of a node that stands by are those of the store that it has lost",
		pkg: "server/metrics", tests: "TestMetricsOfNoEngine",
		edits: []edit{{"server/metrics/metrics.go", `	if eng == nil {`, `	if eng == nil && FAULT {
		return
	}
	if eng == nil {`}},
	},
	{
		name: "lost-and-not-seen", what: "a node that has lost the store does not follow the log again",
		pkg: "cmd/carillon", tests: "TestNodesTakeOver",
		edits: []edit{{"cmd/servenode.go", `!r.wait(ctx, eng.Lost()) {`, `!r.wait(ctx, (map[bool]<-chan struct{}{false: eng.Lost()}[FAULT])) {`}},
	},
}
