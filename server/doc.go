// Package server is the HTTP face of an engine: clients run public functions
// with it, and operators look after jobs and cron triggers. It is an http.Handler,
// to be mounted where an app server needs it.
//
// Use:
//
//	eng, err := actors.Open("data", actors.Options{Functions: functions()})
//	ln, err := net.Listen("tcp", "127.0.0.1:8377")
//	err = server.Serve(ctx, ln, server.New(eng, server.Options{Identify: identify}), 10*time.Second, nil)
//	err = eng.Close(ctx) // after Serve, so that the calls it waits for are served
//
// The routes, below Options.BasePath:
//
//	POST /v1/apps/{app}/functions/{ns:fn}   body: the arguments as JSON, none is {}
//	POST /v1/apps/{app}/api/query           and the next three are what clients of npm convex ask for below the address
//	POST /v1/apps/{app}/api/mutation        …/v1/apps/{app}: body {"path","format","args"}; docs/clients.md
//	POST /v1/apps/{app}/api/action
//	POST /v1/apps/{app}/api/function        of any kind
//	POST /v1/apps/{app}/api/query_ts        {"ts":…}: an instant, kept for up to 30 s, and
//	POST /v1/apps/{app}/api/query_at_ts     with "ts" a query as of it
//	GET  /v1/apps/{app}/api/{version}/sync  the WebSocket of npm convex: its queries are kept up to date
//	POST /v1/apps/{app}/scheduler/schedule     and the next ten are what clients of Lunora's scheduler ask an operator's
//	POST /v1/apps/{app}/scheduler/cancel       way for, below the address …/v1/apps/{app}/scheduler; docs/clients.md
//	GET  /v1/apps/{app}/scheduler/get?id=
//	GET  /v1/apps/{app}/scheduler/list
//	GET  /v1/apps/{app}/scheduler/dead
//	POST /v1/apps/{app}/scheduler/dead/retry
//	POST /v1/apps/{app}/scheduler/dead/cancel
//	POST /v1/apps/{app}/scheduler/complete
//	GET  /v1/apps/{app}/scheduler/pool?name=
//	GET  /v1/apps/{app}/scheduler/status
//	GET  /v1/apps/{app}/scheduler/ws
//	POST /v1/apps/{app}/outside/{token}/complete  ends the attempt of the token (ctx.Pending); body: {"result":…} or none
//	POST /v1/apps/{app}/outside/{token}/fail      the same as a failure; body: {"code","message","permanent"} or none
//	GET  /v1/health                         200 {"status":"ok"}; 503 {"status":"failing"} while apps of a volume are not served;
//	                                        200 {"status":"degraded"} while all are, and Engine.Warnings is not nil
//	GET  /livez                             200 {"status":"ok"} while the process answers
//	GET  /readyz                            200 {"status":"ok"} or "degraded" while anything can be served; 503 "starting",
//	                                        "draining" or "failing"; with "reasons". Both come before all below
//	GET  /v1/openapi.json                   these routes as an OpenAPI 3.1 document; docs/openapi.json is that of all
//
// And if there is Options.Operator or Admin, for operators of the app who have the scope, which
// is read for GET and else write, unless it says more (routes.go has the table):
//
//	GET    /v1/apps?prefix=&contains=           a page of the operator's apps, by name; limit and cursor; wakes none
//	POST   /v1/apps                             body: {"name"}: make one: 201; admin
//	GET    /v1/apps/{app}                       what there is to say of it without waking it
//	DELETE /v1/apps/{app}                       body: {"name"}, the same once more: gone for good; admin
//	POST   /v1/apps/{app}/pause                 body: {"reason":…} or none: no job of it begins
//	POST   /v1/apps/{app}/resume
//	GET    /v1/apps/{app}/export                all of it as of one moment; not JSON; admin
//	POST   /v1/apps/{app}/import                body: an export, up to Options.MaxImport: make one of it: 201; admin
//	GET    /v1/apps/{app}/operations            what is done, or was, to many jobs, the latest first; going, limit, cursor
//	POST   /v1/apps/{app}/operations            body: {"action","filter" or "all","at","priority","asOf","dryRun"}: 201, or a count; see below
//	GET    /v1/apps/{app}/operations/{id}       one, and how far it has come
//	POST   /v1/apps/{app}/operations/{id}/cancel it goes no further; what was done stays done
//	GET    /v1/apps/{app}/crons                 all triggers of the app, by name
//	POST   /v1/apps/{app}/crons                 make one: 201; write and call, and act-as for "as"
//	GET    /v1/apps/{app}/crons/{name}?slots=20 one, with how its latest slots ended
//	GET    /v1/crons/preview?spec=&zone=        what a spec says in words, and the first five slots of a trigger that is made of it now
//	PUT    /v1/apps/{app}/crons/{name}          make it: 201, or give it another definition, as a whole; the same
//	DELETE /v1/apps/{app}/crons/{name}
//	POST   /v1/apps/{app}/crons/{name}/run      {"jobId":…}; its next slot stays as it is
//	POST   /v1/apps/{app}/crons/{name}/backfill body: {"from","to","again","reason"}: 201, it runs for slots that have passed
//	DELETE /v1/apps/{app}/crons/{name}/backfill the rest of those slots do not run
//	POST   /v1/apps/{app}/crons/{name}/pause    body: {"reason":…} or none
//	POST   /v1/apps/{app}/crons/{name}/resume
//	GET    /v1/apps/{app}/jobs?state=failed     a page of jobs; see below
//	POST   /v1/apps/{app}/jobs                  schedule one: 201 {"jobId":…}, 200 if its unique key was held; write and call, and act-as for "as"
//	GET    /v1/apps/{app}/jobs/{id}             one, with its attempts
//	GET    /v1/apps/{app}/jobs/{id}/result?wait=30s how it has ended, waiting for that up to a minute
//	POST   /v1/apps/{app}/jobs/{id}/run         a pending or held one is due now
//	POST   /v1/apps/{app}/jobs/{id}/reschedule  body: {"at" or "afterMs","priority","args"}; call for args
//	GET    /v1/apps/{app}/events?state=failed   server-sent events: the jobs that a filter chooses, and each change of theirs
//	POST   /v1/apps/{app}/jobs/{id}/retry       a dead or held one is pending again
//	POST   /v1/apps/{app}/jobs/{id}/drop        a dead or held one is gone
//	POST   /v1/apps/{app}/jobs/{id}/cancel      a pending, running or held one does not begin, or ends; body: {"cascade":true} or none
//	POST   /v1/apps/{app}/jobs/{id}/abandon     wait no more for its stuck handler; body: {"by":…} or none
//	POST   /v1/apps/{app}/calls                 body: {"function","args","as"}: {"result":…} of one of any kind; write, call and read-args, and act-as for "as"
//	POST   /v1/apps/{app}/calls/{id}/abandon    forget the stuck handler of a call; the same body
//	GET    /v1/apps/{app}/groups?going=true     groups of jobs in the order they were made; limit, and after for the next page
//	GET    /v1/apps/{app}/groups/{group}        one, with how many members have ended how
//	POST   /v1/apps/{app}/groups/{group}/cancel its members that have not ended, and none join it any more
//	GET    /v1/apps/{app}/pools                 what each pool does, its limit and its rate
//	PUT    /v1/apps/{app}/pools/{pool}/limit    body: {"limit":…}, which wins over the declared one
//	DELETE /v1/apps/{app}/pools/{pool}/limit    the declared one counts again
//	GET    /v1/apps/{app}/pauses                what is paused
//	POST   /v1/apps/{app}/pauses                body: {"app":true} or {"function"} or {"pool","poolKey"}, and "reason"
//	DELETE /v1/apps/{app}/pauses?function=      the same by parameters: it is paused no more
//	GET    /v1/apps/{app}/tables                tables, with their indexes and how many documents they have, up to 10,000
//	GET    /v1/apps/{app}/tables/{table}/documents?index=&eq=&from= a page of documents; read-docs, as the next ones
//	POST   /v1/apps/{app}/tables/{table}/documents body: {"value":…}: 201, a new one; write-docs too, as the next but one and two
//	GET    /v1/apps/{app}/tables/{table}/documents/{id} one, with its version
//	PUT    /v1/apps/{app}/tables/{table}/documents/{id} body: {"version","value"}: 409 with "present" if there is another version by now
//	DELETE /v1/apps/{app}/tables/{table}/documents/{id} body: {"version"}, the same
//	GET    /v1/apps/{app}/functions             all functions, with JSON Schemas of what they take and return
//	GET    /v1/apps/{app}/functions/openapi.json the public ones as an OpenAPI 3.1 document, each as a path
//	GET    /v1/apps/{app}/functions/api.d.ts    the same as types of TypeScript, not JSON; ?internal=true for internal ones too
//	GET    /v1/stuck                            handlers that were given up and have not returned, of the operator's apps
//	GET    /v1/stats                            what there is to do, what was done, and the last hour of that; read, of all apps
//	GET    /v1/operator                         who the operator is that asks, and what they may do
//	GET    /v1/system                           version, volumes, log and configuration in force; admin of all apps
//	GET    /v1/nodes                            nodes that share the log of the store; read, of all apps
//	GET    /v1/shards                           its shards, and who owns them; read, of all apps
//	GET    /v1/clock                            what the engine knows of the wall clock
//	POST   /v1/clock/accept                     it is right: ends every caution because of it; admin of all apps
//	GET    /v1/tokens                           tokens of operators; admin of all apps
//	POST   /v1/tokens                           body: {"name","apps" or "allApps","scopes","expiresAt"}: 201 {"token":…}, once; the same
//	DELETE /v1/tokens/{id}                      it is good for nothing from now on; the same
//	GET    /v1/audit?app=&operator=&from=&before=&limit=&cursor=   {"entries":[…],"next"}: what operators have changed; admin, of their apps
//	GET    /metrics                             Options.Metrics, if there is one; not JSON; read, of all apps
//	POST   /mcp                                 Options.MCP, if there is one: a message of the Model Context Protocol; read, and what its tools need
//	GET    /v1/backup?since=                    the whole store as of one moment, or what came since; not JSON; admin of all apps
//
// And for the same operators with a browser the dashboard, whose pages are package ui's: they do what the
// rows above do, with their scopes. A session, which begins with a token in a form, lets in there and nowhere else.
//
//	GET    /ui/                                 what there is to say at a glance
//	GET    /ui/apps?prefix=&contains=
//	GET    /ui/apps/{app}
//	POST   /ui/apps/{app}/pause                 a form, as are the next ones: 303
//	POST   /ui/apps/{app}/resume
//	GET    /ui/apps/{app}/jobs?state=           the parameters are those of a listing
//	GET    /ui/apps/{app}/jobs/{id}
//	POST   /ui/apps/{app}/jobs/{id}/cancel
//	POST   /ui/apps/{app}/jobs/{id}/retry
//	POST   /ui/apps/{app}/jobs/{id}/run
//	GET    /ui/apps/{app}/triggers
//	GET    /ui/apps/{app}/triggers/{name}
//	POST   /ui/apps/{app}/triggers/{name}/pause, resume, run, backfill, backfill/cancel, delete
//	GET    /ui/apps/{app}/triggers/{name}/edit  the form that is posted there
//	GET    /ui/apps/{app}/new-trigger           the same
//	GET    /ui/apps/{app}/functions?contains=
//	GET    /ui/apps/{app}/functions/{function}  with a form that is posted there
//	GET    /ui/live?app=                        server-sent events: the page of the app, or of all, is not up to date any more
//	GET    /ui/static/{hash}/{file}             scripts, for every caller
//	GET    /ui/apps/{app}/tables
//	GET    /ui/apps/{app}/tables/{table}?index=&eq= the parameters are those of a listing
//	GET    /ui/apps/{app}/tables/{table}/new
//	POST   /ui/apps/{app}/tables/{table}/new
//	GET    /ui/apps/{app}/tables/{table}/documents/{id}
//	POST   /ui/apps/{app}/tables/{table}/documents/{id} 303, or the page with both versions
//	POST   /ui/apps/{app}/tables/{table}/documents/{id}/delete
//	POST   /ui/login                            a token: begins a session of up to 12 hours
//	POST   /ui/logout
//	GET    /ui/style.css                        for every caller
//
// A filter is storage.JobFilter: {"id","idContains","states","function","trigger","parent","group","error","tags",
// "pool","poolKey","uniqueKey","priority","argsContains","due":{"from","before"},"ended":{"from","before"}}.
// In a URL it is state and tag (more than once for several), dueFrom, dueBefore, endedFrom,
// endedBefore, the others by these names, limit and cursor, and count=true. Types Job,
// JobPage, Affected and StuckHandler are what is answered.
//
// An operation is done by the app itself, in steps, also after a restart. It is on jobs that were
// there when it was asked for.
//
// A definition is {"name","spec","function"}, and if wanted "zone", "args",
// "overlap", "catchUp":{"mode","limit","windowMs"}, "jitterMs", "tags",
// "retry":{"maxAttempts","backoff","baseMs","maxMs","jitter"} and, where one is made, "paused".
// Type Cron is what is answered.
//
// What a call goes through, and what each step refuses it with (before all of it, with 429, the
// requests of a client that are beyond Options.RequestsPerSecond):
//
//	request ── host ── route ── origin ── method ── content type ── Identify ── size ── engine ── 200 {"result":…}
//	             │       │         │         │           │             │          │        │
//	            403     404       403       405         415        its code      413   its code
//
// In an operator route Operator, or Admin, is asked right after the origin, and Identify is
// not; then the method, the app and the scope are looked at.
//
// Every refusal is {"code":…,"message":…}, with "path" once a function is known.
// The code's status is that of package dispatch's table. Only what HTTP itself
// refuses has a status of its own beside the code: 405 is unimplemented, 413
// resource_exhausted, 415 invalid_argument.
//
// What clients of npm convex are answered once a function was looked for has the status 200, errors among
// it: {"status":"success","value":…} or {"status":"error","errorMessage","errorData":{"code","path","message"}}.
// With "Authorization: Convex TOKEN" an operator who has the scope act-as calls, with call internal functions too.
//
// What clients of Lunora's scheduler are answered has nothing around it, and what they are refused is
// {"error":{"code":"INVALID_INPUT","message":…}}, with codes of their own and 404 for another method.
//
// Invariants:
//
//	H1  To a client an internal function is an unknown one, byte for byte.
//	H2  Every answer, and every refusal, is JSON of the two forms above; with Serve also
//	    what net/http refuses itself, which is HTML for a browser that goes to a page. Pages of
//	    the dashboard, and what they refuse, are HTML.
//	H3  A fault (internal, unknown, data_loss) carries a request id; its cause is
//	    logged under that id and not told to the caller.
//	H4  At most Options.MaxBody bytes of a body are read, and a client has 30 s to
//	    send them, a second once it was answered, and a minute to read the answer; one
//	    that goes away cancels its call.
//	H5  A page of another origin cannot call, unless Options.Origins has it: then it calls
//	    functions, without cookies, and reads the answers (CORS). No operator route
//	    answers another origin, to read either, and no route upgrades for one.
//	H6  A panic anywhere in the handling is one caller's error and nothing else's.
//	H7  A request that Options.Operator or Admin does not let learns of jobs and triggers
//	    neither names nor number, and changes nothing; and an operator learns of other
//	    apps than theirs not even whether they are there. Each route has a row that says
//	    which scopes it needs, and the mux is made of the rows.
//	H8  In an operator route, and where no one is asked who they are, a request that comes
//	    in on a loopback address is for this machine or a name of Options.Hosts (DNS rebinding).
//	H9  Memory is bounded: Serve has at most DefaultMaxConns connections, three quarters of
//	    them from one remote host, and the bodies
//	    under way, as far as they have come, take Options.MaxMemory and 16 KiB each. Of
//	    that one client has Options.MaxClientMemory, and MaxClientRequests under way.
//	H10 Arguments, results, checkpoints, log lines, the text of errors and reasons are shown to operators with
//	    the scope read-args only; for others they are left out, and "hidden" names them.
//	H11 A stream of events ends when its server begins to shut down, within a second of
//	    its operator's rights, and when its client reads nothing for 30 s. It slows no app.
//	H12 A page of the dashboard shows and does nothing that the JSON API refuses its operator. A form is of its
//	    own origin, and a session ends with its token, and after 12 hours.
package server
