package server

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"carillon/server/ui"
)

// route is one method of one pattern: a client's, or an operator's with what that has to be
// allowed.
type route struct {
	method, pattern string
	client          http.Handler // a client's route; nil of an operator's
	scopes          []Scope      // the operator needs all of them,
	whole           bool         // and all apps
	stream          bool         // its body is no JSON, and has a bound of its own
	probe           bool         // it is answered before anything else is looked at
	page            *ui.Page     // of the dashboard, which does what other rows do
	follow          pageStream   // in its place: a stream for a page
	do              operation
}

// ofApp says whether the route is about one app, which an operator's has to be.
func (rt *route) ofApp() bool { return strings.HasPrefix(rt.pattern+"/", "/v1/apps/{app}/") }

// routes is every route there is: the mux is made of it, so that none is without a row.
func (h *handler) routes() []route {
	client := h.clientOrigins(h.opts.Origins)
	routes := []route{
		{method: http.MethodPost, pattern: functionPattern, client: client(h.function)},
		{method: http.MethodPost, pattern: outsidePattern + "/complete", client: client(h.completeOutside)},
		{method: http.MethodPost, pattern: outsidePattern + "/fail", client: client(h.failOutside)},
		{method: http.MethodGet, pattern: "/v1/health", client: toRead(h.health)},
		{method: http.MethodGet, pattern: openapiPath, client: toRead(h.openapi)},
		{method: http.MethodGet, pattern: livePath, probe: true, client: toRead(live)},
		{method: http.MethodGet, pattern: readyPath, probe: true, client: toRead(h.ready)},
	}
	routes = append(routes, h.convexRoutes(client)...)
	if h.opts.Operator != nil {
		routes = append(routes, h.operatorRoutes()...)
		routes = append(routes, h.dashboardRoutes()...)
	}
	return routes
}

const (
	functionsPattern = "/v1/apps/{app}/functions"
	functionPattern  = functionsPattern + "/{function...}"
)

// operatorRoutes is who may do what.
func (h *handler) operatorRoutes() (routes []route) {
	if h.opts.Metrics != nil {
		routes = append(routes, route{method: http.MethodGet, pattern: metricsPath, scopes: []Scope{ScopeRead}, whole: true, do: h.metrics})
	}
	if h.agents != nil {
		routes = append(routes, route{method: http.MethodPost, pattern: mcpPath, scopes: []Scope{ScopeRead}, do: h.mcp})
	}
	const (
		get, post, put, remove = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete

		apps, app   = "/v1/apps", "/v1/apps/{app}"
		operations  = "/v1/apps/{app}/operations"
		crons, cron = "/v1/apps/{app}/crons", "/v1/apps/{app}/crons/{name}"
		jobs, job   = "/v1/apps/{app}/jobs", "/v1/apps/{app}/jobs/{id}"

		tables    = "/v1/apps/{app}/tables"
		documents = tables + "/{table}/documents"

		groups, pools, pauses = "/v1/apps/{app}/groups", "/v1/apps/{app}/pools", "/v1/apps/{app}/pauses"
	)
	var (
		read     = []Scope{ScopeRead}
		write    = []Scope{ScopeWrite}
		schedule = []Scope{ScopeWrite, ScopeCall}                // a trigger calls any function, and so does a job; act-as for another identity
		run      = []Scope{ScopeWrite, ScopeCall, ScopeReadArgs} // the same, and it is shown what the function returns
		admin    = []Scope{ScopeAdmin}

		readDocs  = []Scope{ScopeReadDocs}
		writeDocs = []Scope{ScopeReadDocs, ScopeWriteDocs} // what a change is refused for has the document
	)
	routes = append(routes, []route{
		{method: get, pattern: apps, scopes: read, do: h.listApps}, // of the operator's
		{method: post, pattern: apps, scopes: admin, do: h.createApp},
		{method: get, pattern: app, scopes: read, do: h.getApp},
		{method: remove, pattern: app, scopes: admin, do: existing(h.deleteApp)},
		{method: post, pattern: app + "/pause", scopes: write, do: existing(h.pauseApp)},
		{method: post, pattern: app + "/resume", scopes: write, do: existing(h.resumeApp)},
		{method: get, pattern: app + "/export", scopes: admin, do: existing(h.exportApp)},
		{method: post, pattern: app + "/import", scopes: admin, stream: true, do: h.importApp},

		{method: get, pattern: operations, scopes: read, do: existing(h.listOperations)},
		{method: post, pattern: operations, scopes: write, do: existing(h.createOperation)},
		{method: get, pattern: operations + "/{id}", scopes: read, do: existing(h.getOperation)},
		{method: post, pattern: operations + "/{id}/cancel", scopes: write, do: existing(h.cancelOperation)},

		{method: get, pattern: "/v1/crons/preview", scopes: read, do: h.previewCron},
		{method: get, pattern: crons, scopes: read, do: existing(h.listCrons)},
		{method: post, pattern: crons, scopes: schedule, do: h.createCron},
		{method: get, pattern: cron, scopes: read, do: existing(h.getCron)},
		{method: put, pattern: cron, scopes: schedule, do: h.putCron},
		{method: remove, pattern: cron, scopes: write, do: existing(h.deleteCron)},
		{method: post, pattern: cron + "/run", scopes: write, do: existing(h.runCron)},
		{method: post, pattern: cron + "/backfill", scopes: write, do: existing(h.backfillCron)},
		{method: remove, pattern: cron + "/backfill", scopes: write, do: existing(h.cancelBackfill)},
		{method: post, pattern: cron + "/pause", scopes: write, do: existing(h.pauseCron)},
		{method: post, pattern: cron + "/resume", scopes: write, do: existing(h.resumeCron)},

		{method: get, pattern: jobs, scopes: read, do: existing(h.listJobs)},
		{method: post, pattern: jobs, scopes: schedule, do: h.scheduleJob},
		{method: get, pattern: "/v1/apps/{app}/events", scopes: read, do: existing(h.watchJobs)},
		{method: get, pattern: job, scopes: read, do: h.getJob},
		{method: get, pattern: job + "/result", scopes: read, do: h.jobResult},
		{method: post, pattern: job + "/run", scopes: write, do: h.runJob},
		{method: post, pattern: job + "/reschedule", scopes: write, do: h.rescheduleJob}, // and call for other arguments
		{method: post, pattern: job + "/retry", scopes: write, do: h.retryJob},
		{method: post, pattern: job + "/drop", scopes: write, do: h.dropJob},
		{method: post, pattern: job + "/cancel", scopes: write, do: h.cancelJob},
		{method: post, pattern: job + "/abandon", scopes: write, do: h.abandonJob},
		{method: post, pattern: "/v1/apps/{app}/calls", scopes: run, do: existing(h.runFunction)},
		{method: post, pattern: "/v1/apps/{app}/calls/{id}/abandon", scopes: write, do: h.abandonCall},

		{method: get, pattern: groups, scopes: read, do: existing(h.listGroups)},
		{method: get, pattern: groups + "/{group}", scopes: read, do: h.getGroup},
		{method: post, pattern: groups + "/{group}/cancel", scopes: write, do: h.cancelGroup},
		{method: get, pattern: pools, scopes: read, do: existing(h.listPools)},
		{method: put, pattern: pools + "/{pool}/limit", scopes: write, do: existing(h.limitPool)},
		{method: remove, pattern: pools + "/{pool}/limit", scopes: write, do: existing(h.clearPoolLimit)},
		{method: get, pattern: pauses, scopes: read, do: existing(h.listPauses)},
		{method: post, pattern: pauses, scopes: write, do: existing(h.pause)},
		{method: remove, pattern: pauses, scopes: write, do: existing(h.resume)},

		{method: get, pattern: tables, scopes: read, do: existing(h.listTables)},
		{method: get, pattern: documents, scopes: readDocs, do: existing(h.listDocuments)},
		{method: post, pattern: documents, scopes: writeDocs, do: existing(h.createDocument)},
		{method: get, pattern: documents + "/{id}", scopes: readDocs, do: existing(h.getDocument)},
		{method: put, pattern: documents + "/{id}", scopes: writeDocs, do: existing(h.putDocument)},
		{method: remove, pattern: documents + "/{id}", scopes: writeDocs, do: existing(h.deleteDocument)},

		{method: get, pattern: functionsPattern, scopes: read, do: h.listFunctions},
		{method: get, pattern: functionsPattern + "/openapi.json", scopes: read, do: h.functionsDocument},
		{method: get, pattern: functionsPattern + "/api.d.ts", scopes: read, do: h.functionTypes},
		{method: get, pattern: "/v1/stuck", scopes: read, do: h.listStuck}, // of the operator's apps
		{method: get, pattern: "/v1/stats", scopes: read, whole: true, do: h.showStats},
		{method: get, pattern: "/v1/system", scopes: admin, whole: true, do: h.showSystem},
		{method: get, pattern: "/v1/nodes", scopes: read, whole: true, do: h.listNodes},
		{method: get, pattern: "/v1/shards", scopes: read, whole: true, do: h.listShards},
		{method: get, pattern: "/v1/operator", scopes: read, do: h.showOperator},
		{method: get, pattern: "/v1/clock", scopes: read, do: h.showClock},
		{method: post, pattern: "/v1/clock/accept", scopes: admin, whole: true, do: h.acceptClock},
		{method: get, pattern: "/v1/tokens", scopes: admin, whole: true, do: h.listTokens},
		{method: post, pattern: "/v1/tokens", scopes: admin, whole: true, do: h.createToken},
		{method: remove, pattern: "/v1/tokens/{id}", scopes: admin, whole: true, do: h.revokeToken},
		{method: get, pattern: "/v1/audit", scopes: admin, do: h.listAudit}, // of the operator's apps
		{method: get, pattern: "/v1/backup", scopes: admin, whole: true, do: h.backup},
	}...)
	return append(routes, h.lunoraRoutes()...)
}

// routeAll makes the mux. Methods are not part of its patterns, so that it, whose refusals
// are plain text, never refuses one. Nor does it redirect: a folder is a route.
func (h *handler) routeAll(routes []route) {
	operators := map[string]map[string]*route{} // by pattern and method
	pages := map[string]map[string]*route{}
	add := func(to map[string]map[string]*route, rt *route) {
		if to[rt.pattern] == nil {
			to[rt.pattern] = map[string]*route{}
		}
		to[rt.pattern][rt.method] = rt
	}
	for i := range routes {
		h.rows[routes[i].method+" "+routes[i].pattern] = &routes[i]
		switch rt := &routes[i]; {
		case rt.page != nil:
			add(pages, rt)
		case rt.client != nil:
			h.doors[h.opts.BasePath+rt.pattern] = clientDoor
			h.probes[h.opts.BasePath+rt.pattern] = rt.probe
			h.handle(rt.pattern, rt.client)
		default:
			add(operators, rt)
		}
	}
	for pattern, methods := range pages {
		h.doors[h.opts.BasePath+pattern] = operatorDoor
		h.handle(pattern, h.dashboard(methods))
	}
	for pattern, methods := range operators {
		h.doors[h.opts.BasePath+pattern] = operatorDoor
		h.handle(pattern, h.guarded(methods, strings.Join(slices.Sorted(maps.Keys(methods)), ", ")))
	}
	if operators[functionsPattern] == nil {
		h.handle(functionsPattern, http.HandlerFunc(h.noRoute)) // not redirected to one with a slash
	}
	h.mux.HandleFunc("/", h.noRoute)
}

// handle has the mux serve a pattern below the base path.
func (h *handler) handle(pattern string, handler http.Handler) {
	h.mux.Handle(h.opts.BasePath+pattern, handler)
}
