package server

import (
	"net/http"
	"reflect"
	"slices"

	"carillon/internal/jsonschema"
	"carillon/server/api"
	"carillon/server/convex"
	"carillon/server/lunora"
	"carillon/storage"
)

// description is what the OpenAPI document says of a route, besides what its row does.
type description struct {
	id       string // of the operation: clients that are made of the document name it so
	summary  string
	query    []parameter
	body     reflect.Type // nil: it takes none
	needed   []string     // fields without which the body is refused
	answers  []described  // of the statuses that are no error
	conflict bool         // it may be refused with 409
	foreign  bool         // what is refused is told as lunora.Refusal
	keyed    bool         // it takes an idempotency key
	events   bool         // it is a stream of them
}

// described is an answer.
type described struct {
	status int
	of     reflect.Type // of the result; nil: it is bare or no JSON
	bare   reflect.Type // of the whole body, which is no api.Answer
	media  string       // "": JSON
}

// parameter is one of the URL's query.
type parameter struct {
	name, about string
	schema      jsonschema.Schema
	often       bool // it may be given more than once
}

func ok[T any]() described   { return described{status: 200, of: reflect.TypeFor[T]()} }
func made[T any]() described { return described{status: 201, of: reflect.TypeFor[T]()} }

func bare[T any](status int) described {
	return described{status: status, bare: reflect.TypeFor[T]()}
}

func raw(media string) described { return described{status: 200, media: media} }

func text(name, about string) parameter {
	return parameter{name: name, about: about, schema: jsonschema.Schema{{Name: "type", Value: "string"}}}
}

func flag(name, about string) parameter {
	return parameter{name: name, about: about, schema: jsonschema.Schema{{Name: "type", Value: "boolean"}}}
}

func instantIn(name, about string) parameter {
	return parameter{name: name, about: about, schema: jsonschema.Schema{{Name: "type", Value: "string"}, {Name: "format", Value: "date-time"}}}
}

func number(name string, low, high int, about string) parameter {
	return parameter{name: name, about: about, schema: jsonschema.Schema{{Name: "type", Value: "integer"}, {Name: "minimum", Value: low}, {Name: "maximum", Value: high}}}
}

// pathParameters are what stands in braces in the patterns.
var pathParameters = map[string]parameter{
	"version":  text("version", "That of the client, which is not looked at."),
	"app":      text("app", "The app's name: 1 to 64 of A-Z, a-z, 0-9, _, - and ."),
	"function": text("function", "The function's path, namespace:function, with slashes as they are."),
	"token":    text("token", "What ctx.Pending has given the attempt: a secret."),
	"name":     text("name", "The trigger's name."),
	"id":       text("id", "The id of the job, the call, the operation, the document or the token."),
	"group":    number("group", 0, 1<<53, "The group's number."),
	"pool":     text("pool", "The pool's name."),
	"table":    text("table", "The table's name: a letter, then up to 63 of A-Z, a-z, 0-9 and _."),
}

var (
	limitParameter  = number("limit", 1, maxLimit, "How many the page has at most; 100 if it is not said.")
	cursorParameter = text("cursor", "The next of the page before.")
	oneState        = parameter{
		name: "state", about: "In which jobs are; more than once for any of several.", often: true,
		schema: jsonschema.Schema{{Name: "type", Value: "string"}, {Name: "enum", Value: api.State("").Enum()}},
	}
	oneTag = parameter{name: "tag", about: "That jobs have; more than once for all of several.", often: true, schema: jsonschema.Schema{{Name: "type", Value: "string"}}}
)

// jobParameters are a storage.JobFilter in a URL.
var jobParameters = []parameter{
	text("id", "Only this job."),
	text("idContains", "What is in the id, up to 256 bytes."),
	oneState,
	text("function", "Path of the function."),
	text("trigger", "Name of the trigger that the jobs are ticks or runs by hand of."),
	text("parent", "Id of the job that has scheduled them."),
	number("group", 1, 1<<53, "Number of the group that they are members of."),
	text("error", "Code of the latest error."),
	oneTag,
	text("pool", "Name of their pool."),
	text("poolKey", "What their key in the pool begins with."),
	text("uniqueKey", "Their unique key, whatever their function."),
	number("priority", 1, storage.MaxPriority, "Their priority."),
	text("argsContains", "What is in the arguments as they are written, up to 256 bytes; needs the scope read-args."),
	instantIn("dueFrom", "Due then or later."),
	instantIn("dueBefore", "Due before."),
	instantIn("endedFrom", "Ended then or later."),
	instantIn("endedBefore", "Ended before."),
	limitParameter,
	cursorParameter,
	flag("count", "Whether they are counted, on all pages."),
	flag("desc", "Whether the order in each of the regions is turned around."),
}

// documentParameters are a storage.DocumentQuery in a URL.
var documentParameters = []parameter{
	text("index", "Name of the index to read through; in the order of insertion if it is not said."),
	{name: "eq", about: "Value of the index's first field, then of the second, and so on; text may go without quotes.", often: true, schema: jsonschema.Schema{{Name: "type", Value: "string"}}},
	text("from", "The least value of the field after those of eq."),
	text("after", "What the field's value is more than."),
	text("to", "The greatest value of the field."),
	text("before", "What the field's value is less than."),
	flag("desc", "Whether the order is turned around."),
	limitParameter,
	cursorParameter,
}

// watchParameters are those of them that a stream may have.
var watchParameters = slices.DeleteFunc(slices.Clone(jobParameters), func(p parameter) bool {
	return slices.Contains([]string{"error", "priority", "argsContains", "dueFrom", "dueBefore", "endedFrom", "endedBefore", "limit", "cursor", "count", "desc"}, p.name)
})

// convexDescription is that of a route of npm convex: an error of the function has the status 200, too.
func convexDescription(id, summary string) description {
	return description{
		id: "convex" + id, summary: summary, body: reflect.TypeFor[convex.Call](), needed: []string{"path"},
		answers: []described{bare[convex.Answer](200)}, keyed: true,
	}
}

var (
	lunoraByID  = description{body: reflect.TypeFor[lunora.ByID](), needed: []string{"id"}}
	lunoraPaged = description{query: []parameter{text("cursor", "That of the page before.")}}
)

// lunoraDescription is that of a route of Lunora's scheduler.
func lunoraDescription[T any](id, summary string, said description) description {
	said.id, said.summary = "scheduler"+id, summary+" For clients of Lunora's scheduler."
	said.answers, said.foreign = []described{bare[T](200)}, true
	return said
}

const octets = "application/octet-stream"

// descriptions is what there is to say of each route, by its method and pattern.
var descriptions = map[string]description{
	"POST " + functionPattern: {
		id: "callFunction", summary: "Call a public function. The body is its arguments, {} if there is none.",
		body: reflect.TypeFor[any](), answers: []described{ok[any]()}, conflict: true, keyed: true,
	},
	"POST " + convexPattern + "/query":       convexDescription("Query", "Run a public query, for npm convex."),
	"POST " + convexPattern + "/mutation":    convexDescription("Mutation", "Run a public mutation, for npm convex."),
	"POST " + convexPattern + "/action":      convexDescription("Action", "Run a public action, for npm convex."),
	"POST " + convexPattern + "/function":    convexDescription("Function", "Run a public function of any kind, for npm convex."),
	"POST " + convexPattern + "/query_at_ts": convexDescription("QueryAt", "Run a public query at an instant, for npm convex."),
	"POST " + convexPattern + "/query_ts": {
		id: "convexInstant", summary: "Keep the app's state for up to 30 seconds, for queries that are to see the same.",
		body: reflect.TypeFor[struct{}](), answers: []described{bare[convex.Instant](200)}, keyed: true,
	},
	"POST " + lunoraPattern + "/schedule": lunoraDescription[lunora.Scheduled]("Schedule", "Schedule a job.", description{
		body: reflect.TypeFor[lunora.Call](), needed: []string{"scheduledFor"}, conflict: true, keyed: true,
	}),
	"POST " + lunoraPattern + "/cancel": lunoraDescription[lunora.Canceled]("Cancel", "Cancel a pending or running job.", lunoraByID),
	"GET " + lunoraPattern + "/get": lunoraDescription[lunora.Found]("Get", "Show a job that has not ended.", description{
		query: []parameter{text("id", "The job's id.")},
	}),
	"GET " + lunoraPattern + "/list":         lunoraDescription[lunora.Page]("List", "List the jobs that have not ended, 100 a page, by id.", lunoraPaged),
	"GET " + lunoraPattern + "/dead":         lunoraDescription[lunora.Page]("Dead", "List the dead jobs, 100 a page, by id.", lunoraPaged),
	"POST " + lunoraPattern + "/dead/retry":  lunoraDescription[lunora.Retried]("RetryDead", "Have a dead job tried again, at once.", lunoraByID),
	"POST " + lunoraPattern + "/dead/cancel": lunoraDescription[lunora.Removed]("DropDead", "Remove a dead job.", lunoraByID),
	"POST " + lunoraPattern + "/complete": lunoraDescription[lunora.Completed]("Complete", "Say that a function has ended, which the engine knows.", description{
		body: reflect.TypeFor[lunora.Completion](), needed: []string{"pool"},
	}),
	"GET " + lunoraPattern + "/pool": lunoraDescription[lunora.PoolStatus]("Pool", "Show what a pool does.", description{
		query: []parameter{text("name", "The pool's name.")},
	}),
	"GET " + lunoraPattern + "/status": lunoraDescription[lunora.Status]("Status", "Show what all pools do.", description{}),
	"GET " + lunoraPattern + "/ws": {
		id: "schedulerWatch", summary: "The WebSocket of Lunora's scheduler: the first 100 jobs by id, and again when they have changed.",
		answers: []described{{status: 101}}, foreign: true,
	},
	"GET " + convexPattern + "/{version}/sync": {
		id: "convexSync", summary: "The WebSocket of npm convex: mutations, actions, and queries whose results are kept up to date.",
		answers: []described{{status: http.StatusSwitchingProtocols}},
	},
	"POST " + outsidePattern + "/complete": {
		id: "completeOutside", summary: "End the attempt of the token as a success.", body: reflect.TypeFor[api.OutsideResult](), answers: []described{ok[api.OutsideEnd]()},
	},
	"POST " + outsidePattern + "/fail": {
		id: "failOutside", summary: "End the attempt of the token as a failed one.", body: reflect.TypeFor[api.OutsideFailure](), answers: []described{ok[api.OutsideEnd]()},
	},
	"GET /v1/health": {
		id: "health", summary: "Whether all apps are served: 503 while those of a volume are not.",
		answers: []described{bare[api.Health](200), bare[api.Health](503)},
	},
	"GET " + livePath:  {id: "live", summary: "Whether the process answers.", answers: []described{bare[api.Readiness](200)}},
	"GET " + readyPath: {id: "ready", summary: "Whether requests should be sent here: 503 if not.", answers: []described{bare[api.Readiness](200), bare[api.Readiness](503)}},
	"GET /metrics":     {id: "metrics", summary: "The metrics, in a format of Prometheus.", answers: []described{raw("text/plain")}},
	"POST " + mcpPath: {
		id: "mcp", summary: "A message of the Model Context Protocol, as its streamable HTTP transport has it, without sessions.",
		body: reflect.TypeFor[any](), answers: []described{raw("application/json"), {status: http.StatusAccepted}},
	},
	"GET " + openapiPath: {
		id: "openapi", summary: "This document.", answers: []described{raw("application/json")},
	},

	"GET /v1/apps": {
		id: "listApps", summary: "A page of the operator's apps, by name. None is woken.",
		query: []parameter{text("prefix", "What names begin with."), text("contains", "What is in names."), limitParameter, cursorParameter}, answers: []described{ok[api.AppPage]()},
	},
	"POST /v1/apps":              {id: "createApp", summary: "Make an app.", body: reflect.TypeFor[api.NewApp](), needed: []string{"name"}, answers: []described{made[api.AppStatus]()}, conflict: true},
	"GET /v1/apps/{app}":         {id: "getApp", summary: "What there is to say of an app without waking it.", query: []parameter{flag("history", "Whether what the app did in the last hour is in the answer.")}, answers: []described{ok[api.AppStatus]()}},
	"DELETE /v1/apps/{app}":      {id: "deleteApp", summary: "Delete an app for good. The body repeats its name.", body: reflect.TypeFor[api.DeleteApp](), needed: []string{"name"}, answers: []described{ok[api.Empty]()}},
	"POST /v1/apps/{app}/pause":  {id: "pauseApp", summary: "No job of the app begins any more.", body: reflect.TypeFor[api.PauseApp](), answers: []described{ok[api.AppStatus]()}},
	"POST /v1/apps/{app}/resume": {id: "resumeApp", summary: "The app is paused no more.", body: reflect.TypeFor[api.Empty](), answers: []described{ok[api.AppStatus]()}},
	"GET /v1/apps/{app}/export":  {id: "exportApp", summary: "All of the app as of one moment.", answers: []described{raw(octets)}},
	"POST /v1/apps/{app}/import": {id: "importApp", summary: "Make an app of an export, which is the body.", answers: []described{made[api.AppStatus]()}, conflict: true},

	"GET /v1/apps/{app}/operations": {
		id: "listOperations", summary: "What is done, or was, to many jobs, the latest first.",
		query: []parameter{flag("going", "Only those that go on."), limitParameter, cursorParameter}, answers: []described{ok[api.OperationPage]()},
	},
	"POST /v1/apps/{app}/operations": {
		id: "createOperation", summary: "Do something to every job that a filter chooses, or with dryRun count them.", body: reflect.TypeFor[api.NewOperation](), needed: []string{"action"},
		answers: []described{made[api.Operation](), ok[api.OperationCount]()},
	},
	"GET /v1/apps/{app}/operations/{id}":         {id: "getOperation", summary: "How far an operation has come.", answers: []described{ok[api.Operation]()}},
	"POST /v1/apps/{app}/operations/{id}/cancel": {id: "cancelOperation", summary: "The operation goes no further; what was done stays done.", body: reflect.TypeFor[api.Empty](), answers: []described{ok[api.Operation]()}},

	"GET /v1/crons/preview": {
		id: "previewCron", summary: "What a spec says in words, and its first five slots, before a trigger has it.",
		query: []parameter{text("spec", "The spec, up to 256 bytes."), text("zone", "An IANA name; none is UTC.")}, answers: []described{ok[api.CronPreview]()},
	},
	"GET /v1/apps/{app}/crons":  {id: "listCrons", summary: "All triggers of the app, by name.", query: []parameter{number("slots", 0, maxListedSlots, "How many slots of each of the first 100; none if it is not said.")}, answers: []described{ok[[]api.Cron]()}},
	"POST /v1/apps/{app}/crons": {id: "createCron", summary: "Make a trigger. An identity in as needs act-as.", body: reflect.TypeFor[api.CronDefinition](), needed: []string{"name", "spec", "function"}, answers: []described{made[api.Cron]()}, conflict: true},
	"GET /v1/apps/{app}/crons/{name}": {
		id: "getCron", summary: "A trigger, with how its latest slots ended.", query: []parameter{number("slots", 0, maxSlots, "How many slots; 20 if it is not said.")}, answers: []described{ok[api.Cron]()},
	},
	"PUT /v1/apps/{app}/crons/{name}": {
		id: "putCron", summary: "Make a trigger, or give it another definition as a whole. An identity in as needs act-as.",
		body: reflect.TypeFor[api.CronDefinition](), needed: []string{"spec", "function"}, answers: []described{ok[api.Cron](), made[api.Cron]()}, conflict: true,
	},
	"DELETE /v1/apps/{app}/crons/{name}":      {id: "deleteCron", summary: "Delete a trigger.", answers: []described{ok[api.Empty]()}},
	"POST /v1/apps/{app}/crons/{name}/run":    {id: "runCron", summary: "Run a trigger by hand; its next slot stays as it is.", body: reflect.TypeFor[api.Empty](), answers: []described{ok[api.CronRun]()}},
	"POST /v1/apps/{app}/crons/{name}/pause":  {id: "pauseCron", summary: "The trigger does not tick any more.", body: reflect.TypeFor[api.PauseCron](), answers: []described{ok[api.Cron]()}},
	"POST /v1/apps/{app}/crons/{name}/resume": {id: "resumeCron", summary: "The trigger ticks again.", body: reflect.TypeFor[api.Empty](), answers: []described{ok[api.Cron]()}},

	"POST /v1/apps/{app}/crons/{name}/backfill": {
		id: "backfillCron", summary: "Run a trigger for slots that have passed.", body: reflect.TypeFor[api.BackfillRequest](), needed: []string{"from", "to"}, answers: []described{made[api.CronBackfill]()}, conflict: true,
	},
	"DELETE /v1/apps/{app}/crons/{name}/backfill": {id: "cancelBackfill", summary: "The trigger's backfill goes no further.", answers: []described{ok[api.Cron]()}},

	"GET /v1/apps/{app}/jobs": {id: "listJobs", summary: "A page of the jobs that a filter chooses.", query: jobParameters, answers: []described{ok[api.JobPage]()}},
	"POST /v1/apps/{app}/jobs": {
		id: "scheduleJob", summary: "Schedule a call: 200 if its unique key was held. An identity in as needs act-as.",
		body: reflect.TypeFor[api.JobRequest](), needed: []string{"function"}, answers: []described{made[api.Scheduled](), ok[api.Scheduled]()}, conflict: true, keyed: true,
	},
	"GET /v1/apps/{app}/events": {
		id: "watchJobs", summary: "Server-sent events: the jobs that a filter chooses, and each change of theirs. Last-Event-ID goes on from there.",
		query: watchParameters, answers: []described{raw("text/event-stream")}, events: true,
	},
	"GET /v1/apps/{app}/jobs/{id}": {id: "getJob", summary: "A job, with its attempts.", answers: []described{ok[api.Job]()}},
	"GET /v1/apps/{app}/jobs/{id}/result": {
		id: "getJobResult", summary: "How a job has ended, waiting for that.", query: []parameter{text("wait", "How long, such as 30s: up to 1m.")}, answers: []described{ok[api.JobResult]()},
	},
	"POST /v1/apps/{app}/jobs/{id}/run":        {id: "runJob", summary: "A pending or held job is due now.", body: reflect.TypeFor[api.Empty](), answers: []described{ok[api.Affected]()}},
	"POST /v1/apps/{app}/jobs/{id}/reschedule": {id: "rescheduleJob", summary: "Change a pending job. Other arguments need the scope call, ifArgs needs read-args.", body: reflect.TypeFor[api.JobChange](), answers: []described{ok[api.Affected]()}, conflict: true},
	"POST /v1/apps/{app}/jobs/{id}/retry":      {id: "retryJob", summary: "A dead or held job is pending again.", body: reflect.TypeFor[api.Empty](), answers: []described{ok[api.Affected]()}},
	"POST /v1/apps/{app}/jobs/{id}/drop":       {id: "dropJob", summary: "A dead or held job is gone.", body: reflect.TypeFor[api.Empty](), answers: []described{ok[api.Affected]()}},
	"POST /v1/apps/{app}/jobs/{id}/cancel":     {id: "cancelJob", summary: "A pending, running or held job does not begin, or ends.", body: reflect.TypeFor[api.CancelRequest](), answers: []described{ok[api.Affected]()}},
	"POST /v1/apps/{app}/jobs/{id}/abandon":    {id: "abandonJob", summary: "Wait no more for the job's stuck handler.", body: reflect.TypeFor[api.AbandonRequest](), answers: []described{ok[api.Affected]()}},
	"POST /v1/apps/{app}/calls": {
		id: "runFunction", summary: "Run a function of any kind, internal ones too, and wait for it. An identity in as needs act-as.",
		body: reflect.TypeFor[api.CallRequest](), needed: []string{"function"}, answers: []described{ok[api.CallResult]()}, conflict: true, keyed: true,
	},
	"POST /v1/apps/{app}/calls/{id}/abandon": {id: "abandonCall", summary: "Forget the stuck handler of a call.", body: reflect.TypeFor[api.AbandonRequest](), answers: []described{ok[api.Empty]()}},

	"GET /v1/apps/{app}/groups": {
		id: "listGroups", summary: "A page of groups, in the order they were made.",
		query: []parameter{flag("going", "Only those that have not ended."), number("after", 0, 1<<53, "The next of the page before."), limitParameter}, answers: []described{ok[api.GroupPage]()},
	},
	"GET /v1/apps/{app}/groups/{group}":         {id: "getGroup", summary: "A group, with how many members have ended how.", answers: []described{ok[api.Group]()}},
	"POST /v1/apps/{app}/groups/{group}/cancel": {id: "cancelGroup", summary: "Cancel a group's members that have not ended; none join it any more.", body: reflect.TypeFor[api.Empty](), answers: []described{ok[api.Affected]()}},
	"GET /v1/apps/{app}/pools":                  {id: "listPools", summary: "What each pool does, its limit and its rate.", answers: []described{ok[[]api.Pool]()}},
	"PUT /v1/apps/{app}/pools/{pool}/limit":     {id: "limitPool", summary: "Give a pool a limit, which wins over the declared one.", body: reflect.TypeFor[api.PoolLimit](), needed: []string{"limit"}, answers: []described{ok[api.PoolLimit]()}},
	"DELETE /v1/apps/{app}/pools/{pool}/limit":  {id: "clearPoolLimit", summary: "The declared limit of a pool counts again.", answers: []described{ok[api.Changed]()}},
	"GET /v1/apps/{app}/pauses":                 {id: "listPauses", summary: "What is paused.", answers: []described{ok[api.PauseList]()}},
	"POST /v1/apps/{app}/pauses":                {id: "pause", summary: "Pause the app, a function, a pool, or a key of one.", body: reflect.TypeFor[api.PauseRequest](), answers: []described{ok[api.Empty]()}},
	"DELETE /v1/apps/{app}/pauses": {
		id: "resume", summary: "What the parameters name is paused no more.",
		query: []parameter{flag("app", "The app."), text("function", "Path of a function."), text("pool", "Name of a pool."), text("poolKey", "A key of the pool.")}, answers: []described{ok[api.Changed]()},
	},

	"GET /v1/apps/{app}/tables": {id: "listTables", summary: "The app's tables, with their indexes.", answers: []described{ok[[]api.Table]()}},
	"GET /v1/apps/{app}/tables/{table}/documents": {
		id: "listDocuments", summary: "A page of a table's documents, which ends early once it has 1 MiB of them.", query: documentParameters, answers: []described{ok[api.DocumentPage]()},
	},
	"POST /v1/apps/{app}/tables/{table}/documents": {
		id: "createDocument", summary: "Make a document, which decodes into the type that the program declares.", body: reflect.TypeFor[api.NewDocument](), needed: []string{"value"}, answers: []described{made[api.Document]()},
	},
	"GET /v1/apps/{app}/tables/{table}/documents/{id}": {id: "getDocument", summary: "A document, with its version.", answers: []described{ok[api.Document]()}},
	"PUT /v1/apps/{app}/tables/{table}/documents/{id}": {
		id: "putDocument", summary: "Replace a document, if it has the version.", body: reflect.TypeFor[api.DocumentChange](), needed: []string{"version", "value"}, answers: []described{ok[api.Document]()}, conflict: true,
	},
	"DELETE /v1/apps/{app}/tables/{table}/documents/{id}": {
		id: "deleteDocument", summary: "Delete a document, if it has the version.", body: reflect.TypeFor[api.DeleteDocument](), needed: []string{"version"}, answers: []described{ok[api.Empty]()}, conflict: true,
	},

	"GET " + functionsPattern:                   {id: "listFunctions", summary: "All functions, with JSON Schemas of what they take and return.", answers: []described{ok[[]api.Function]()}},
	"GET " + functionsPattern + "/openapi.json": {id: "functionsOpenapi", summary: "The public functions as an OpenAPI 3.1 document.", answers: []described{raw("application/json")}},
	"GET " + functionsPattern + "/api.d.ts": {
		id: "functionTypes", summary: "What functions take and return, as types of TypeScript.", query: []parameter{flag("internal", "Whether internal functions are among them.")}, answers: []described{raw("text/plain")},
	},
	"GET /v1/stuck":          {id: "listStuck", summary: "Handlers that were given up and have not returned, of the operator's apps.", answers: []described{ok[[]api.StuckHandler]()}},
	"GET /v1/stats":          {id: "getStats", summary: "What there is to do in all apps, what was done since the start, and the last hour of that.", query: []parameter{flag("stale", "Whether counts of all apps that are at hand will do, however old: countedAt says when they were made.")}, answers: []described{ok[api.Stats]()}},
	"GET /v1/system":         {id: "getSystem", summary: "What the server runs on and with: its version, volumes, log and configuration in force.", answers: []described{ok[api.System]()}},
	"GET /v1/nodes":          {id: "listNodes", summary: "The nodes that share the log of the store, by name, the latest start of each first; none if the store is in a data directory.", answers: []described{ok[[]api.Node]()}},
	"GET /v1/shards":         {id: "listShards", summary: "The shards of that log which have had an owner, by number.", answers: []described{ok[[]api.Shard]()}},
	"GET /v1/operator":       {id: "getOperator", summary: "Who the operator is that asks, and what they may do.", answers: []described{ok[api.Operator]()}},
	"GET /v1/clock":          {id: "getClock", summary: "What the engine knows of the wall clock.", answers: []described{ok[api.Clock]()}},
	"POST /v1/clock/accept":  {id: "acceptClock", summary: "The wall clock is right: every caution because of it ends.", body: reflect.TypeFor[api.Empty](), answers: []described{ok[api.Clock]()}},
	"GET /v1/tokens":         {id: "listTokens", summary: "Tokens of operators.", answers: []described{ok[[]api.Token]()}},
	"POST /v1/tokens":        {id: "createToken", summary: "Make a token with no more scopes than its maker has.", body: reflect.TypeFor[api.NewToken](), needed: []string{"scopes"}, answers: []described{made[api.Token]()}},
	"DELETE /v1/tokens/{id}": {id: "revokeToken", summary: "A token is good for nothing from now on.", answers: []described{ok[api.Empty]()}},
	"GET /v1/audit": {
		id: "listAudit", summary: "What operators have changed, of the operator's apps.",
		query: []parameter{
			text("app", "Only of this app."), text("operator", "Only by this one."), instantIn("from", "Then or later."), instantIn("before", "Before."), limitParameter, cursorParameter,
		}, answers: []described{ok[api.AuditPage]()},
	},
	"GET /v1/backup": {id: "backup", summary: "The whole store as of one moment, or what came since.", query: []parameter{text("since", "The position that an earlier backup ends with.")}, answers: []described{raw(octets)}},
}
