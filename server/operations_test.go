package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
)

// mustOperate has an operation of acme be done, and returns how many jobs it has changed, or would
// change in a dry run.
func mustOperate(t *testing.T, s *site, body string) int {
	t.Helper()
	got := s.jobs(t, "POST", "/operations", body)
	if got.status == 200 {
		return mustDecode[api.OperationCount](t, got).Jobs
	}
	if got.status != 201 {
		t.Fatalf("%s: %d %s", body, got.status, got.body)
	}
	o := mustDecode[api.Operation](t, got)
	for path := fmt.Sprintf("/operations/%d", o.ID); o.Outcome == ""; time.Sleep(time.Millisecond) {
		o = mustResult[api.Operation](t, s.jobs(t, "GET", path, ""))
	}
	return o.Done
}

// TestOperationsOverHTTP: an operator counts, starts an operation on what was counted, follows it,
// lists operations, and cannot cancel one that has ended.
func TestOperationsOverHTTP(t *testing.T) {
	s := mustAdminSite(t)
	app, err := s.eng.App("acme")
	if err != nil {
		t.Fatal(err)
	}
	schedule := func(n int) {
		t.Helper()
		for range n {
			if _, err := app.Scheduler(t.Context()).RunAfter(time.Hour, dispatch.Path("bad:job").With(dispatch.None{}), dispatch.Tags("a")); err != nil {
				t.Fatal(err)
			}
		}
	}
	schedule(5)
	ask := func(status int, method, path, body string) reply {
		t.Helper()
		got := s.ask(t, "s3cret", method, "/v1/apps/acme/operations"+path, body)
		if got.status != status {
			t.Fatalf("%s %s %s: %d %s, want %d", method, path, body, got.status, got.body, status)
		}
		return got
	}
	count := mustDecode[api.OperationCount](t, ask(200, "POST", "", `{"action":"cancel","filter":{"tags":["a"]},"dryRun":true}`))
	if count.Jobs != 5 || count.More || count.AsOf == "" {
		t.Errorf("counted: %+v", count)
	}
	schedule(2)
	got := ask(201, "POST", "", fmt.Sprintf(`{"action":"cancel","filter":{"tags":["a"]},"asOf":%q}`, count.AsOf))
	made := mustDecode[api.Operation](t, got)
	path := fmt.Sprintf("/%d", made.ID)
	if at := got.header.Get("Location"); at != "/v1/apps/acme/operations"+path {
		t.Errorf("it is at %q", at)
	}
	if made.Counted != 5 || !made.CountedAll || made.AsOf != count.AsOf || made.By != "host" || len(made.Filter.Tags) != 1 || made.EndedAt != nil {
		t.Errorf("made: %+v", made)
	}
	var o api.Operation
	for deadline := time.Now().Add(10 * time.Second); o.Outcome == "" && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		o = mustDecode[api.Operation](t, ask(200, "GET", path, ""))
	}
	if o.Outcome != api.OperationDone || o.Done != 5 || o.EndedAt == nil {
		t.Errorf("at the end: %+v", o)
	}
	ask(400, "POST", path+"/cancel", "")
	other := mustDecode[api.Operation](t, ask(201, "POST", "", `{"action":"reschedule","all":true,"at":"2222-02-02T02:02:02Z","priority":1}`))
	for at := fmt.Sprintf("/%d", other.ID); other.Outcome == ""; time.Sleep(time.Millisecond) {
		other = mustDecode[api.Operation](t, ask(200, "GET", at, ""))
	}
	if other.Done != 2 || other.Priority != 1 || other.At == nil || other.At.Year() != 2222 {
		t.Errorf("rescheduled: %+v", other)
	}
	jobs := mustResult[api.JobPage](t, s.jobs(t, "GET", "/jobs?state=pending", "")).Jobs
	if len(jobs) != 2 || jobs[0].Due.Year() != 2222 || jobs[1].Priority != 1 {
		t.Errorf("rescheduled: %+v", jobs)
	}
	second := mustDecode[api.Operation](t, ask(201, "POST", "", `{"action":"drop","all":true}`))
	page := mustDecode[api.OperationPage](t, ask(200, "GET", "?limit=1", ""))
	if len(page.Operations) != 1 || page.Operations[0].ID != second.ID || page.Next == "" {
		t.Errorf("a page: %+v", page)
	}
	page = mustDecode[api.OperationPage](t, ask(200, "GET", "?cursor="+page.Next, ""))
	if len(page.Operations) != 2 || page.Operations[1].ID != made.ID || page.Next != "" {
		t.Errorf("the next: %+v", page)
	}
	for _, path := range []string{"/0", "/x", "/-1", "/999", "/99999999999999999999"} {
		ask(404, "GET", path, "")
		ask(404, "POST", path+"/cancel", "")
	}
	for _, query := range []string{"?limit=0", "?limit=1001", "?limit=x", "?cursor=x", "?cursor=0", "?going=yes", "?x=1", "?limit=1&limit=2"} {
		ask(400, "GET", query, "")
	}
	for _, body := range []string{
		``, `{}`, `[]`, `{"action":"burn","all":true}`, `{"action":"cancel"}`, `{"action":"cancel","all":true,"filter":{"tags":["a"]}}`,
		`{"action":"cancel","all":true,"filter":{"states":["failed"]}}`, `{"action":"drop","all":true,"filter":{"states":["pending"]}}`,
		`{"action":"cancel","all":true,"filter":{"limit":5}}`, `{"action":"cancel","all":true,"asOf":"yesterday"}`, `{"action":"cancel","all":true,"asOf":"1-2-3"}`,
		`{"action":"cancel","all":true,"asOf":"900000000-0"}`, `{"action":"cancel","all":true,"x":1}`, `{"action":7,"all":true}`,
		`{"action":"burn","all":true,"dryRun":true}`, `{"action":"reschedule","all":true}`, `{"action":"reschedule","all":true,"at":"soon"}`,
		`{"action":"reschedule","all":true,"at":"1969-01-01T00:00:00Z"}`, `{"action":"reschedule","all":true,"priority":5,"dryRun":true}`,
		`{"action":"run","all":true,"priority":1}`, `{"action":"run","all":true,"filter":{"states":["failed"]}}`,
	} {
		ask(400, "POST", "", body)
	}
	ask(400, "POST", path+"/cancel", `{"x":1}`)
	if got := s.ask(t, "s3cret", "GET", "/v1/apps/none/operations", ""); got.status != 404 {
		t.Errorf("of an app that is not there: %d", got.status)
	}
}

// TestOperationsHideArguments: who may not see arguments may not look for text in them, nor see what
// another has looked for.
func TestOperationsHideArguments(t *testing.T) {
	ops := operators{"all": {AllApps: true, Scopes: server.Scopes()}, "writes": {AllApps: true, Scopes: []server.Scope{server.ScopeRead, server.ScopeWrite}}}
	s := mustSite(t, server.Options{Operator: ops.hook})
	s.call(t, "acme", "notes:post", `{"text":"hi"}`)
	const path, body = "/v1/apps/acme/operations", `{"action":"cancel","filter":{"argsContains":"s3cret"}}`
	if got := s.ask(t, "writes", "POST", path, body); got.status != 403 {
		t.Errorf("without the scope: %d %s", got.status, got.body)
	}
	if got := s.ask(t, "all", "POST", path, body); got.status != 201 || !strings.Contains(got.body, "s3cret") {
		t.Errorf("with it: %d %s", got.status, got.body)
	}
	if got := s.ask(t, "writes", "GET", path, ""); got.status != 200 || strings.Contains(got.body, "s3cret") || !strings.Contains(got.body, `"hidden":["filter.argsContains"]`) {
		t.Errorf("listed without it: %d %s", got.status, got.body)
	}
}
