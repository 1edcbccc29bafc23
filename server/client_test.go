package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/client"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
)

// TestEveryRouteHasAClientMethod walks through the client's methods against a real server. A route that none of them
// has asked with success makes it red, or with the refusal that is asked for here.
func TestEveryRouteHasAClientMethod(t *testing.T) {
	s := mustSite(t, server.Options{})
	ops := operators{"s3cret": {Name: "ann", AllApps: true, Scopes: server.Scopes()}}
	handler := server.New(s.eng, server.Options{BasePath: "/x/y", Operator: ops.hook})
	var mu sync.Mutex
	asked := map[string]bool{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r)
		pattern := r.Pattern
		if pattern == "" {
			pattern = r.URL.Path // of a probe
		}
		mu.Lock()
		defer mu.Unlock()
		asked[r.Method+" "+strings.TrimPrefix(pattern, "/x/y")] = true
	}))
	defer srv.Close()
	c, err := client.New(srv.URL+"/x/y/", client.Options{Token: "s3cret", Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	anyone, err := client.New(srv.URL+"/x/y", client.Options{Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer anyone.Close()
	ctx, acme := t.Context(), c.App("acme")
	is := func(what string, ok bool, err error) {
		t.Helper()
		if err != nil || !ok {
			t.Errorf("%s: %v, %v", what, ok, err)
		}
	}
	refused := func(what string, err error, code api.Code) {
		t.Helper()
		if e, ok := errors.AsType[*client.Error](err); !ok || e.Code != code || e.Status == 0 {
			t.Errorf("%s: %v, want %s", what, err, code)
		}
	}

	// Apps.
	status, err := c.CreateApp(ctx, "acme")
	is("create", err == nil && status.Name == "acme", err)
	_, err = c.CreateApp(ctx, "acme")
	refused("create again", err, api.CodeAlreadyExists)
	status, err = acme.Pause(ctx, "moving house")
	is("pause", err == nil && status.Paused && status.Pauses[0].Reason == "moving house", err)
	status, err = acme.Resume(ctx)
	is("resume", err == nil && !status.Paused, err)
	status, err = acme.Status(ctx)
	is("status", err == nil && status.Name == "acme" && status.History == nil, err)
	history, err := acme.History(ctx)
	is("history", len(history) > 0, err)
	apps, err := all(c.Apps(ctx, client.AppFilter{Prefix: "ac", Contains: "cm"}))
	is("apps", len(apps) == 1 && apps[0].Name == "acme", err)

	// Functions.
	user := anyone.App("acme")
	id, err := client.Call[string](ctx, user, "notes:post", note{"hi"})
	is("call", id != "", err)
	n, err := client.Call[int](ctx, user, "notes/all:count", nil)
	is("query", n == 1, err)
	_, err = client.Call[any](ctx, user, "world:ask", nil)
	refused("an action with a key", err, api.CodeInvalidArgument)
	_, err = client.Action[any](ctx, user, "code:aborted", nil)
	refused("a function that fails", err, api.CodeAborted)
	functions, err := acme.Functions(ctx)
	is("functions", len(functions) > 10 && functions[0].Args != nil, err)
	text, err := acme.TypeScript(ctx, true)
	is("types", strings.Contains(text, "notes:wipe"), err)
	functionsDocument, err := acme.FunctionsOpenAPI(ctx)
	is("OpenAPI of the functions", bytes.Contains(functionsDocument, []byte(`"/notes:post"`)) && !bytes.Contains(functionsDocument, []byte("notes:wipe")), err)

	// Jobs.
	later := api.JobRequest{
		Function: "notes:post", ID: new("later"), At: new(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)), As: &api.Identity{Subject: "service:x", Claims: map[string]any{"a": 1.0}},
		Unique: &api.UniqueRequest{Key: "k", Policy: api.UniqueKeep},
		JobOptions: api.JobOptions{
			Tags: &[]string{"a"}, Pool: new("mail"), PoolKey: "p", Priority: 2, TimeoutMs: new(int64(60_000)), KeepResult: new(true),
			Retry:  &api.RetryRequest{MaxAttempts: new(3), BaseMs: new(int64(5)), Backoff: api.BackoffLinear},
			OnDone: &api.FollowUp{Function: "notes:wipe", JobOptions: api.JobOptions{OnDone: &api.FollowUp{Function: "bad:job"}}},
		},
	}
	made, err := acme.Schedule(ctx, later, note{"later"})
	is("schedule", made == api.Scheduled{JobID: "later"}, err)
	later.ID = nil
	made, err = acme.Schedule(ctx, later, note{"later"})
	is("schedule with a key that is held", made.JobID == "later" && made.Kept, err)
	is("reschedule", true, acme.Reschedule(ctx, "later", api.JobChange{AfterMs: new(int64(3_600_000)), Priority: 1}))
	shown, err := acme.Job(ctx, "later")
	is("job", shown.ID == "later" && shown.Priority == 1 && string(shown.Args) == `{"text":"later"}` && shown.As.Subject == "service:x" && len(shown.FollowUps) == 2 && shown.Retry.MaxAttempts == 3, err)
	result, err := acme.Result(ctx, "later", time.Millisecond)
	is("no result yet", !result.Ended && result.State == api.StatePending, err)
	is("run", true, acme.Run(ctx, "later"))
	noteID, err := client.Await[string](ctx, acme, "later")
	is("await", noteID != "", err)
	refused("run one that has ended", acme.Run(ctx, "later"), api.CodeFailedPrecondition)
	for _, id := range []string{"dead-1", "dead-2"} {
		once := api.JobRequest{Function: "bad:job", ID: &id, JobOptions: api.JobOptions{Retry: &api.RetryRequest{MaxAttempts: new(1), BaseMs: new(int64(0))}, Tags: &[]string{"bad"}}}
		made, err = acme.Schedule(ctx, once, nil)
		is("schedule "+id, made.JobID == id, err)
		_, err = client.Await[any](ctx, acme, id)
		if refusal, ok := errors.AsType[*client.Error](err); !ok || refusal.Code != api.CodeUnavailable || refusal.Message != "as ever" {
			t.Errorf("await one that is dead: %v", err)
		}
	}
	is("retry", true, acme.Retry(ctx, "dead-1"))
	result, err = acme.Wait(ctx, "dead-1")
	is("wait", result.State == api.StateFailed, err)
	is("drop", true, acme.Drop(ctx, "dead-1"))
	_, err = acme.Job(ctx, "dead-1")
	refused("one that was dropped", err, api.CodeNotFound)
	made, err = acme.Schedule(ctx, api.JobRequest{Function: "notes:wipe", AfterMs: new(int64(3_600_000)), ID: new("c"), JobOptions: api.JobOptions{Tags: &[]string{"bad"}}}, nil)
	is("schedule one to cancel", made.JobID == "c", err)
	canceled, err := acme.Cancel(ctx, "c", true)
	is("cancel", canceled == 1, err)
	_, err = client.Await[any](ctx, acme, "c")
	refused("await one that was canceled", err, api.CodeCanceled)
	refused("abandon", acme.Abandon(ctx, "c", "ann"), api.CodeFailedPrecondition)
	refused("abandon a call", acme.AbandonCall(ctx, "1", "ann"), api.CodeFailedPrecondition)
	jobs, err := all(acme.Jobs(ctx, api.JobFilter{Tags: []string{"bad"}, Limit: 1}))
	is("jobs", len(jobs) == 2, err)
	count, err := acme.CountJobs(ctx, api.JobFilter{Tags: []string{"bad"}})
	is("count", count == api.JobCount{Jobs: 2}, err)
	for e, err := range acme.Events(ctx, api.JobFilter{IDContains: "ead-2"}, "") {
		is("events", e.Kind == api.EventReset || e.Kind == api.EventJob && e.ID == "dead-2" || e.Kind == api.EventReady, err)
		if e.Kind == api.EventReady || err != nil {
			break
		}
	}

	// Ends from outside.
	for i, end := range []func(token string) (bool, error){
		func(token string) (bool, error) { return user.Complete(ctx, token, 42) },
		func(token string) (bool, error) {
			return user.Fail(ctx, token, api.OutsideFailure{Code: api.CodeOutOfRange, Message: "no", Permanent: true})
		},
	} {
		made, err = acme.Schedule(ctx, api.JobRequest{Function: "world:ask"}, nil)
		is("schedule what is pending outside", err == nil, err)
		token := <-s.tokens
		ended, err := end(token)
		is("end", ended, err)
		ended, err = end(token)
		is("end again", !ended, err)
		got, err := client.Await[int](ctx, acme, made.JobID)
		if (i == 0) != (err == nil && got == 42) || i == 1 && !errors.Is(err, api.CodeOutOfRange) {
			t.Errorf("what is ended from outside: %d, %v", got, err)
		}
	}

	// Groups, pools and pauses.
	app, err := s.eng.App("acme")
	is("the engine's app", app != nil, err)
	groupID, err := app.Scheduler(ctx).NewGroup(dispatch.Path("notes:wipe").With(dispatch.None{}))
	is("the engine's group", groupID != 0, err)
	made, err = acme.Schedule(ctx, api.JobRequest{Function: "notes:wipe", AfterMs: new(int64(3_600_000)), JobOptions: api.JobOptions{Group: uint64(groupID)}}, nil)
	is("schedule a member", made.JobID != "", err)
	groups, err := all(acme.Groups(ctx, client.GroupFilter{Going: true}))
	is("groups", len(groups) == 1 && groups[0].ID == uint64(groupID), err)
	group, err := acme.Group(ctx, uint64(groupID))
	is("group", group.Pending == 1, err)
	canceled, err = acme.CancelGroup(ctx, uint64(groupID))
	is("cancel a group", canceled == 1, err)
	is("limit", true, acme.LimitPool(ctx, "mail", 1))
	doc, err := acme.CreateDocument(ctx, "notes", json.RawMessage(`{"text":"by hand"}`))
	is("create a document", doc.Version != "", err)
	put, err := acme.PutDocument(ctx, "notes", doc.ID, doc.Version, json.RawMessage(`{"text":"once more"}`))
	is("put a document", string(put.Value) == `{"text":"once more"}`, err)
	_, err = acme.PutDocument(ctx, "notes", doc.ID, doc.Version, json.RawMessage(`{"text":"too late"}`))
	var conflict *client.Error
	is("put an old version", errors.As(err, &conflict) && errors.Is(err, api.CodeAborted) && conflict.Present != nil && conflict.Present.Version == put.Version, nil)
	tables, err := acme.Tables(ctx)
	is("tables", len(tables) == 1 && tables[0].Name == "notes" && tables[0].Type == "server_test.note", err)
	docs, err := all(acme.Documents(ctx, "notes", client.DocumentFilter{Desc: true}))
	is("documents", len(docs) == tables[0].Documents && docs[0].ID == doc.ID, err)
	doc, err = acme.Document(ctx, "notes", doc.ID)
	is("document", doc.Version == put.Version, err)
	is("delete a document", true, acme.DeleteDocument(ctx, "notes", doc.ID, doc.Version))
	pools, err := acme.Pools(ctx)
	is("pools", len(pools) == 2 && pools[0].Name == "mail" && pools[0].Limit == 1 && pools[0].Declared == 2, err)
	changed, err := acme.ClearPoolLimit(ctx, "mail")
	is("clear a limit", changed, err)
	key := api.PauseRequest{Pool: "mail", PoolKey: "p", Reason: "too many"}
	is("pause a key", true, acme.AddPause(ctx, key))
	pauses, err := acme.Pauses(ctx)
	is("pauses", len(pauses) == 1 && pauses[0].PoolKey == "p" && pauses[0].By == "ann", err)
	changed, err = acme.EndPause(ctx, key)
	is("end a pause", changed, err)
	changed, err = acme.EndPause(ctx, key)
	is("end it again", !changed, err)

	ran, err := acme.RunFunction(ctx, api.CallRequest{Function: "text:length", Args: []byte(`{"text":"four"}`)})
	is("run a function", string(ran) == "4", err)

	// Triggers.
	preview, err := c.PreviewCron(ctx, "0 * * * *", "Europe/Rome")
	is("preview a trigger", preview.Zone == "Europe/Rome" && len(preview.Next) == 5, err)
	hourly := api.CronDefinition{Name: "hourly", Spec: "0 * * * *", Function: "notes:wipe"}
	cron, err := acme.CreateCron(ctx, hourly)
	is("create a trigger", err == nil && cron.Name == "hourly" && !cron.Paused, err)
	hourly.Tags = []string{"cron"}
	cron, err = acme.PutCron(ctx, hourly)
	is("put a trigger", err == nil && slices.Equal(cron.Tags, []string{"cron"}), err)
	cron, err = acme.PauseCron(ctx, "hourly", "quiet")
	is("pause a trigger", err == nil && cron.PauseReason == "quiet", err)
	now := time.Now()
	backfill, err := acme.BackfillCron(ctx, "hourly", api.BackfillRequest{From: now.Add(-3 * time.Hour), To: now, Reason: "late"})
	is("backfill", backfill.Slots == 3 && backfill.Reason == "late", err)
	cron, err = acme.CancelBackfill(ctx, "hourly")
	is("cancel a backfill", err == nil && cron.Backfill.Outcome == api.BackfillCanceled, err)
	cron, err = acme.ResumeCron(ctx, "hourly")
	is("resume a trigger", err == nil && !cron.Paused, err)
	id, err = acme.RunCron(ctx, "hourly")
	is("run a trigger", id != "", err)
	cron, err = acme.Cron(ctx, "hourly", 5)
	is("trigger", err == nil && cron.Description != "", err)
	crons, err := acme.Crons(ctx)
	is("triggers", len(crons) == 1, err)
	is("delete a trigger", true, acme.DeleteCron(ctx, "hourly"))

	// Operations.
	drop := api.NewOperation{Action: api.OperationDrop, Filter: api.JobFilter{Tags: []string{"bad"}}}
	counted, err := acme.CountOperation(ctx, drop)
	is("count an operation", counted.Jobs == 1 && counted.AsOf != "", err)
	drop.AsOf = counted.AsOf
	operation, err := acme.StartOperation(ctx, drop)
	is("start an operation", err == nil && operation.ID != 0 && operation.By == "ann", err)
	for err == nil && operation.Outcome == api.OperationGoing {
		operation, err = acme.Operation(ctx, operation.ID)
	}
	is("operation", err == nil && operation.Done == 1, err)
	_, err = acme.CancelOperation(ctx, operation.ID)
	refused("cancel an operation", err, api.CodeFailedPrecondition)
	operations, err := all(acme.Operations(ctx, client.OperationFilter{}))
	is("operations", len(operations) == 1, err)

	// The store.
	health, err := c.Health(ctx)
	is("health", health == api.HealthOK, err)
	ready, readiness, err := c.Ready(ctx)
	is("ready", ready && readiness.Status == api.ReadyOK && readiness.Reasons == nil, err)
	is("live", true, c.Live(ctx))
	document, err := c.OpenAPI(ctx)
	is("OpenAPI", bytes.Contains(document, []byte(`"openapi":"3.1`)), err)
	stuck, err := c.Stuck(ctx)
	is("stuck", len(stuck) == 0, err)
	stats, err := c.Stats(ctx)
	is("stats", stats.Apps.Total > 0 && stats.Begun > 0 && stats.Slots.Total == 1024 && len(stats.Volumes) > 0 && stats.Volumes[0].Served, err)
	system, err := c.System(ctx)
	is("system", system.Health == api.HealthOK && len(system.Volumes) > 0 && system.Volumes[0].Epoch == 1 && system.Volumes[0].Bytes > 0 && len(system.Settings) > 20, err)
	nodes, err := c.Nodes(ctx)
	is("nodes", nodes != nil && len(nodes) == 0, err)
	shards, err := c.Shards(ctx)
	is("shards", shards != nil && len(shards) == 0, err)
	operator, err := c.Operator(ctx)
	is("operator", operator.Name == "ann" && operator.AllApps && slices.Equal(operator.Scopes, server.Scopes()), err)
	clock, err := c.Clock(ctx)
	is("clock", !clock.Wall.IsZero(), err)
	clock, err = c.AcceptClock(ctx)
	is("accept the clock", !clock.Wall.IsZero(), err)
	token, err := c.CreateToken(ctx, api.NewToken{Name: "bob", AllApps: true, Scopes: []api.Scope{api.ScopeRead}})
	is("create a token", strings.HasPrefix(token.Token, "carillon_") && token.ExpiresAt == nil, err)
	tokens, err := c.Tokens(ctx)
	is("tokens", len(tokens) == 1 && tokens[0].ID == token.ID && tokens[0].Token == "", err)
	is("revoke a token", true, c.RevokeToken(ctx, token.ID))
	entries, err := all(c.Audit(ctx, client.AuditFilter{App: "acme", Operator: "ann", Limit: 3}))
	is("audit", len(entries) > 20 && entries[len(entries)-1].Action == "POST apps", err)
	backup, err := c.Backup(ctx, "")
	is("backup", length(backup) > 1000, err)
	_, err = c.Backup(ctx, "no mark")
	refused("a backup since what is none", err, api.CodeInvalidArgument)
	export, err := acme.Export(ctx)
	is("export", err == nil, err)
	copied, err := io.ReadAll(export)
	is("export", export.Close() == nil, err)
	status, err = c.App("copy").Import(ctx, bytes.NewReader(copied))
	is("import", err == nil && status.Name == "copy", err)
	_, err = c.App("copy").Import(ctx, bytes.NewReader(copied))
	refused("import again", err, api.CodeAlreadyExists)
	is("delete", true, c.App("copy").Delete(ctx))
	_, err = c.App("copy").Status(ctx)
	refused("what was deleted", err, api.CodeNotFound)

	if t.Failed() {
		return
	}
	routes := map[string]bool{}
	for _, route := range server.Routes(handler) {
		routes[route] = true
		foreign := strings.Contains(route, "/{app}/api/") || strings.Contains(route, "/{app}/scheduler/") // clients of other systems ask these
		if !asked[route] && !foreign {
			t.Errorf("package client has no method that asks %s", route)
		}
	}
	if len(routes) < 60 {
		t.Errorf("the routes are %q", slices.Sorted(maps.Keys(routes)))
	}
}

// all is what the listing has.
func all[R any](rows iter.Seq2[R, error]) (list []R, err error) {
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		list = append(list, row)
	}
	return list, nil
}

// length is how much there is to read.
func length(r io.ReadCloser) int64 {
	defer r.Close()
	n, err := io.Copy(io.Discard, r)
	if err != nil {
		return -1
	}
	return n
}
