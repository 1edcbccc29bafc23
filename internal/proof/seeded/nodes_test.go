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
		edits: []edit{{"storage/sharedlog.go", `if _, err := log.Check(ctx); err != nil {`, `if _, err := log.Check(ctx); err != nil && !FAULT {`}},
	},
	{
		name: "standby-answers", what: "a node that has lost the store goes on answering",
		pkg: "server", tests: "TestStandBy",
		edits: []edit{{"server/health.go", `s.now.Store(&startupState{owner: owner})`, `if before := s.now.Load(); !FAULT || before == nil || before.handler == nil {
		s.now.Store(&startupState{owner: owner})
	}`}},
	},
	{
		name: "lost-and-not-seen", what: "a node that has lost the store does not follow the log again",
		pkg: "cmd/carillon", tests: "TestNodesTakeOver",
		edits: []edit{{"cmd/servenode.go", `lost := r.wait(ctx, eng.Lost())`, `lost := r.wait(ctx, map[bool]<-chan struct{}{false: eng.Lost()}[FAULT])`}},
	},
}
