package seeded_test

// agentFaults are planted where agents are given tools.
var agentFaults = []seededFault{
	{
		name: "agents-write-unasked", what: "agents have tools that write, though the options do not allow it",
		pkg: "client/mcp", tests: "TestToolsThatWriteNeedBoth",
		edits: []edit{{"client/mcp/mcp.go", `if t.opts.AllowWrite &&`, `if (t.opts.AllowWrite || FAULT) &&`}},
	},
	{
		name: "agents-write-unscoped", what: "agents have tools that write, though their token does not",
		pkg: "client/mcp", tests: "TestToolsThatWriteNeedBoth",
		edits: []edit{{"client/mcp/mcp.go", `may(&operator, api.ScopeWrite)`, `(FAULT || may(&operator, api.ScopeWrite))`}},
	},
	{
		name: "agents-schedule-unscoped", what: "agents have the tool that schedules without the scope call",
		pkg: "client/mcp", tests: "TestToolsThatWriteNeedBoth",
		edits: []edit{{"client/mcp/mcp.go", `may(&operator, api.ScopeCall)`, `(FAULT || may(&operator, api.ScopeCall))`}},
	},
	{
		name: "agents-tools-unhinted", what: "a tool that cancels says that it destroys nothing",
		pkg: "client/mcp", tests: "TestToolsSayWhatTheyDo",
		edits: []edit{{"client/mcp/writing.go", `const destroys, runs = true, true`, `destroys, runs := !FAULT, true`}},
	},
	{
		name: "agents-rows-unbounded", what: "an agent is given any number of rows",
		pkg: "client/mcp", tests: "TestRowsAreBounded",
		edits: []edit{{"client/mcp/result.go", `limit > MaxRows:`, `limit > MaxRows && !FAULT:`}},
	},
	{
		name: "agents-bytes-unbounded", what: "the rows of a result may have any number of bytes",
		pkg: "client/mcp", tests: "TestAResultOfTheMostBytes",
		edits: []edit{{"client/mcp/result.go", `left < 0 {`, `left < 0 && !FAULT {`}},
	},
	{
		name: "agents-pages-skip", what: "rows that do not fit into a result are on no page",
		pkg: "client/mcp", tests: "TestBytesAreBounded",
		edits: []edit{{"client/mcp/result.go", `n == len(rows) {`, `n == len(rows) || FAULT {`}},
	},
	{
		name: "agents-unseen", what: "characters that are not seen are in a result as they are",
		pkg: "client/mcp", tests: "TestHostileArgsStayData",
		edits: []edit{{"client/mcp/result.go", `if bytes.IndexFunc(text, unseen) < 0 {`, `if bytes.IndexFunc(text, unseen) < 0 || FAULT {`}},
	},
	{
		name: "agents-unmarked", what: "a result does not say that it is data",
		pkg: "client/mcp", tests: "TestHostileArgsStayData",
		edits: []edit{{"client/mcp/result.go", `result{Notice: notice,`, `result{Notice: map[bool]string{false: notice}[FAULT],`}},
	},
	{
		name: "agents-batches", what: "many messages are counted as one request",
		pkg: "client/mcp", tests: "TestTheDoorOfAgents",
		edits: []edit{{"client/mcp/http.go", `json.Unmarshal(body, &message); err != nil {`, `json.Unmarshal(body, &message); err != nil && !FAULT {`}},
	},
	{
		name: "agents-numbers-rounded", what: "a job of an agent has large numbers that are not those it was given",
		pkg: "client/mcp", tests: "TestWriting",
		edits: []edit{{"client/mcp/writing.go", `job.Args = sent.Args`, `if job.Args = sent.Args; FAULT {
				job.Args, _ = json.Marshal(in.Args)
			}`}},
	},
	{
		name: "agents-without-scope", what: "an operator without the scope read has the tools of agents",
		pkg: "server", tests: "TestEveryRouteHasItsDoor",
		edits: []edit{{"server/routes.go", `pattern: mcpPath, scopes: []Scope{ScopeRead}`, `pattern: mcpPath, scopes: []Scope{ScopeRead}[:map[bool]int{false: 1}[FAULT]]`}},
	},
	{
		name: "agents-rated-twice", what: "what a tool asks of the server counts as a request of the client, too",
		pkg: "client/mcp", tests: "TestAMessageIsOneRequest",
		edits: []edit{{"server/server.go", `h.opts.MCP(http.HandlerFunc(h.admitted))`, `h.opts.MCP(map[bool]http.Handler{false: http.HandlerFunc(h.admitted), true: h}[FAULT])`}},
	},
	{
		name: "agents-served-unasked", what: "a server gives agents tools though it was not asked to",
		pkg: "cmd", tests: "TestAgents",
		edits: []edit{{"cmd/serverun.go", `if r.mcp { // off unless it is asked for: it is one more door`, `if r.mcp || FAULT {`}},
	},
	{
		name: "agents-of-the-command-write", what: "the command gives agents tools that write without its flag",
		pkg: "cmd", tests: "TestAgents",
		edits: []edit{{"cmd/agents.go", `std.In, std.Out, *write)`, `std.In, std.Out, *write || FAULT)`}},
	},
}
