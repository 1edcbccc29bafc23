package server_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
)

// lunoraSite is a site that clients of Lunora's scheduler ask.
type lunoraSite struct {
	*site
	token string
}

func mustLunora(t *testing.T) *lunoraSite {
	t.Helper()
	ops := operators{
		"all": {Name: "all", AllApps: true, Scopes: server.Scopes()}, "reads": {Name: "reads", AllApps: true, Scopes: []server.Scope{server.ScopeRead}},
		"writes": {Name: "writes", AllApps: true, Scopes: []server.Scope{server.ScopeWrite}},
	}
	return &lunoraSite{mustSite(t, server.Options{Operator: ops.hook}), "all"}
}

// ask sends a request: a POST if there is a body.
func (s *lunoraSite) ask(t *testing.T, path, body string) (int, string) {
	t.Helper()
	method := http.MethodPost
	if body == "" {
		method = http.MethodGet
	}
	req := s.mustRequest(t, method, "/v1/apps/acme/scheduler/"+path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+s.token)
	got := s.mustSend(t, req)
	return got.status, strings.TrimSpace(got.body)
}

func (s *lunoraSite) want(t *testing.T, path, body string, status int, want string) {
	t.Helper()
	if got, text := s.ask(t, path, body); got != status || text != want {
		t.Errorf("%s %s: %d %s, want %d %s", path, body, got, text, status, want)
	}
}

// refused is want of a refusal, whose message only has to have something in it.
func (s *lunoraSite) refused(t *testing.T, path, body string, status int, code, about string) {
	t.Helper()
	var refused struct {
		Error struct{ Code, Message string }
	}
	got, text := s.ask(t, path, body)
	if err := json.Unmarshal([]byte(text), &refused); err != nil || got != status || refused.Error.Code != code || !strings.Contains(refused.Error.Message, about) {
		t.Errorf("%s %s: %d %s, want %d %s with %q", path, body, got, text, status, code, about)
	}
}

// far is an instant that does not come within a test, in milliseconds.
const far = "4102444800000"

// TestG42_LunoraSchedules: a job that is scheduled is shown with all that was said of it, until it is
// canceled, and its id is free then.
func TestG42_LunoraSchedules(t *testing.T) {
	s := mustLunora(t)
	s.want(t, "schedule", `{"args":{"text":"hi"},"functionPath":"notes:post","id":"a","instanceName":"default","originUrl":"http://x","maxConcurrency":3,"pool":"mail",`+
		`"retry":{"maxAttempts":2,"backoff":"linear","baseMs":1500.5},"scheduledFor":`+far+`,"shardKey":"s"}`, 200, `{"id":"a","scheduledFor":`+far+`}`)
	_, text := s.ask(t, "get?id=a", "")
	var found struct {
		Record struct{ EnqueuedAt int64 }
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil || time.Since(time.UnixMilli(found.Record.EnqueuedAt)).Abs() > time.Hour {
		t.Errorf("%s, %v", text, err)
	}
	record := `{"id":"a","args":{"text":"hi"},"enqueuedAt":` + strconv.FormatInt(found.Record.EnqueuedAt, 10) + `,"scheduledFor":` + far +
		`,"functionPath":"notes:post","instanceName":"default","pool":"mail","retry":{"maxAttempts":2,"backoff":"linear","baseMs":1501},"shardKey":"s"}`
	s.want(t, "get?id=a", "", 200, `{"record":`+record+`}`)
	s.want(t, "list", "", 200, `{"records":[`+record+`],"truncated":false}`)
	s.want(t, "pool?name=mail", "", 200, `{"inFlight":0,"maxConcurrency":3,"queued":1}`)
	s.want(t, "pool?name=nosuch", "", 200, `{"inFlight":0,"maxConcurrency":1,"queued":0}`)
	s.want(t, "status", "", 200, `{"backlog":1,"inFlight":0,"pools":[{"inFlight":0,"maxConcurrency":3,"queued":1,"name":"mail"},{"inFlight":0,"maxConcurrency":1,"queued":0,"name":"none"}]}`)
	s.want(t, "complete", `{"pool":"mail","id":"a"}`, 200, `{"inFlight":0}`)
	s.want(t, "complete", `{"pool":"nosuch"}`, 200, `{"inFlight":0}`)
	s.want(t, "status", "", 200, `{"backlog":1,"inFlight":0,"pools":[{"inFlight":0,"maxConcurrency":3,"queued":1,"name":"mail"},{"inFlight":0,"maxConcurrency":1,"queued":0,"name":"none"}]}`)

	const again = `{"functionPath":"notes:post","id":"a","scheduledFor":` + far + `}`
	s.refused(t, "schedule", again, 409, "DUPLICATE_SCHEDULE_ID", "is held by a pending or running job")
	s.want(t, "cancel", `{"id":"a"}`, 200, `{"cancelled":true}`)
	s.want(t, "cancel", `{"id":"a"}`, 200, `{"cancelled":false}`)
	s.want(t, "cancel", `{"id":"no such: id"}`, 200, `{"cancelled":false}`)
	s.want(t, "get?id=a", "", 200, `{}`)
	s.want(t, "get?id=nosuch", "", 200, `{}`)
	s.want(t, "list", "", 200, `{"records":[],"truncated":false}`)
	s.want(t, "schedule", again, 200, `{"id":"a","scheduledFor":`+far+`}`)

	s.token = "reads"
	if _, text := s.ask(t, "get?id=a", ""); strings.Contains(text, "args") || !strings.Contains(text, `"id":"a"`) {
		t.Errorf("without the scope: %s", text)
	}
	page, err := s.eng.AuditLog(storage.AuditFilter{})
	if err != nil || len(page.Entries) < 3 || page.Entries[0].Action != "POST scheduler/schedule" || page.Entries[0].IDs[0] != "notes:post" {
		t.Errorf("%+v, %v", page.Entries, err)
	}
}

// TestG42_LunoraRefuses: what is refused has the status and the code that its clients know, and stores nothing.
func TestG42_LunoraRefuses(t *testing.T) {
	s := mustLunora(t)
	at := func(rest string) string { return `{"functionPath":"notes:post","scheduledFor":` + far + rest + `}` }
	s.want(t, "schedule", at(`,"id":"there"`), 200, `{"id":"there","scheduledFor":`+far+`}`)
	for _, id := range []string{`""`, `7`, `"a:b"`, `"-a"`, `"` + strings.Repeat("a", 65) + `"`, `["x"]`, `"j000000000000000000000000"`} {
		s.refused(t, "schedule", at(`,"id":`+id), 400, "INVALID_SCHEDULE_ID", "id")
	}
	for _, bad := range []struct {
		path, body  string
		status      int
		code, about string
	}{
		{"schedule", `{"scheduledFor":1,"id":""}`, 400, "INVALID_INPUT", "functionPath is missing"},
		{"schedule", `{"functionPath":"notes:post","scheduledFor":1e15,"id":""}`, 400, "INVALID_INPUT", "scheduledFor"},
		{"schedule", `{"functionPath":"notes:post","scheduledFor":253402300800000}`, 400, "INVALID_INPUT", "scheduledFor is later"},
		{"schedule", `{"workflow":"ORDERS","scheduledFor":1}`, 500, "ORIGIN_NOT_CONFIGURED", "no origin"},
		{"schedule", `{"functionPath":"no:such","scheduledFor":1}`, 404, "FUNCTION_NOT_FOUND", "no:such"},
		{"schedule", `{"functionPath":"who:ami","scheduledFor":1}`, 400, "INVALID_INPUT", "query"},
		{"schedule", at(`,"args":{"nosuch":1}`), 400, "INVALID_INPUT", "nosuch"},
		{"schedule", at(`,"args":{"text":["$lunora.wire$","nan"]}`), 400, "INVALID_INPUT", "nan"},
		{"schedule", at(`,"args":[]`), 400, "INVALID_INPUT", "args"},
		{"schedule", at(`,"pool":"nosuch"`), 400, "INVALID_INPUT", "pool"},
		{"schedule", at(`,"pool":"mail","maxConcurrency":100001`), 400, "INVALID_INPUT", "limit"},
		{"schedule", at(`,"retry":{"maxAttempts":1000}`), 400, "INVALID_INPUT", "attempts"},
		{"schedule", at(`,"shardKey":"` + strings.Repeat("x", storage.MaxInstance+1) + `"`), 400, "INVALID_INPUT", "shardKey has 257 bytes"},
		{"schedule", `[]`, 400, "INVALID_INPUT", "no JSON object"},
		{"cancel", `{}`, 400, "INVALID_INPUT", "id is missing"},
		{"cancel", `{"id":7}`, 400, "INVALID_INPUT", "id"},
		{"complete", `{"id":"there"}`, 400, "INVALID_INPUT", "pool is missing"},
		{"dead/retry", `{}`, 400, "INVALID_INPUT", "id is missing"},
		{"dead/cancel", `{"id":""}`, 400, "INVALID_INPUT", "id is missing"},
		{"get", ``, 400, "INVALID_INPUT", "id is missing"},
		{"pool", ``, 400, "INVALID_INPUT", "name is missing"},
		{"list?cursor=dead:a", ``, 400, "INVALID_INPUT", "cursor"},
		{"dead?cursor=id:a", ``, 400, "INVALID_INPUT", "cursor"},
	} {
		s.refused(t, bad.path, bad.body, bad.status, bad.code, bad.about)
	}
	for path, body := range map[string]string{"nosuch": "", "": "", "schedule": "", "list": "{}", "dead/": ""} {
		s.want(t, path, body, 404, `{"error":{"code":"NOT_FOUND"}}`)
	}
	s.token = "writes"
	s.refused(t, "schedule", at(``), 403, "FORBIDDEN", "call")
	s.refused(t, "list", "", 403, "FORBIDDEN", "read")
	s.token = "nobody"
	s.refused(t, "list", "", 401, "UNAUTHORIZED", "not good")
	s.token = "all"
	if _, text := s.ask(t, "list", ""); strings.Count(text, `"id":`) != 1 {
		t.Errorf("something was stored: %s", text)
	}
}

// TestG42_LunoraLists: a listing has every job, 100 a page, by id, and so has that of the dead.
func TestG42_LunoraLists(t *testing.T) {
	s := mustLunora(t)
	for i := range 103 {
		id := "x" + strconv.Itoa(1000-i)
		s.want(t, "schedule", `{"functionPath":"notes:post","id":"`+id+`","scheduledFor":`+far+`}`, 200, `{"id":"`+id+`","scheduledFor":`+far+`}`)
	}
	var page struct {
		Records   []struct{ ID string }
		Truncated bool
		Cursor    string
	}
	var all []string
	for cursor := ""; ; {
		_, text := s.ask(t, "list?cursor="+url.QueryEscape(cursor), "")
		page.Truncated, page.Cursor = false, ""
		if err := json.Unmarshal([]byte(text), &page); err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Records {
			all = append(all, r.ID)
		}
		if cursor = page.Cursor; !page.Truncated {
			break
		}
		if len(page.Records) != 100 || cursor != "id:"+all[99] {
			t.Errorf("%d records, then %s", len(page.Records), cursor)
		}
	}
	if len(all) != 103 || all[0] != "x1000" || all[1] != "x898" || all[102] != "x999" || page.Cursor != "" {
		t.Errorf("%d jobs: %q", len(all), all)
	}
}

// TestG42_LunoraDead: a job that has failed for good is among the dead, and can be tried again or removed.
func TestG42_LunoraDead(t *testing.T) {
	s := mustLunora(t)
	fail := func(id string) {
		t.Helper()
		s.want(t, "schedule", `{"functionPath":"bad:job","id":"`+id+`","scheduledFor":1,"retry":{"maxAttempts":1,"baseMs":0}}`, 200, `{"id":"`+id+`","scheduledFor":1}`)
		s.ended(t, id)
	}
	fail("b")
	fail("a")
	_, text := s.ask(t, "dead", "")
	var page struct {
		Records []struct {
			ID           string
			Attempts     int
			FunctionPath string
		}
		Truncated bool
	}
	if err := json.Unmarshal([]byte(text), &page); err != nil || len(page.Records) != 2 || page.Records[0].ID != "a" || page.Records[1].Attempts != 2 || page.Records[1].FunctionPath != "bad:job" || page.Truncated {
		t.Errorf("%s, %v", text, err)
	}
	s.want(t, "dead?cursor=dead:b", "", 200, `{"records":[],"truncated":false}`)
	s.want(t, "list", "", 200, `{"records":[],"truncated":false}`)
	s.want(t, "get?id=a", "", 200, `{}`)
	s.want(t, "cancel", `{"id":"a"}`, 200, `{"cancelled":false}`)
	s.refused(t, "schedule", `{"functionPath":"bad:job","id":"a","scheduledFor":1}`, 409, "DUPLICATE_SCHEDULE_ID", "is held by a dead job")
	s.want(t, "dead/cancel", `{"id":"b"}`, 200, `{"removed":true}`)
	s.want(t, "dead/cancel", `{"id":"b"}`, 200, `{"removed":false}`)
	s.want(t, "dead/retry", `{"id":"b"}`, 200, `{"retried":false}`)
	if _, text := s.ask(t, "dead/retry", `{"id":"a"}`); !strings.HasPrefix(text, `{"retried":true,"id":"a","scheduledFor":1`) {
		t.Error(text)
	}
	s.ended(t, "a")
	s.want(t, "schedule", `{"functionPath":"bad:job","id":"b","scheduledFor":`+far+`}`, 200, `{"id":"b","scheduledFor":`+far+`}`)
	s.want(t, "dead/cancel", `{"id":"b"}`, 200, `{"removed":false}`)
	s.want(t, "dead/retry", `{"id":"b"}`, 200, `{"retried":false}`)
}

// ended waits until the job has ended.
func (s *lunoraSite) ended(t *testing.T, id string) {
	t.Helper()
	app, err := s.eng.App("acme")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Wait(t.Context(), storage.JobID(id)); err != nil {
		t.Fatal(err)
	}
}

// workflows is a worker that starts any workflow, and tells of each.
type workflows chan dispatch.RemoteCall

func (w workflows) Call(_ context.Context, call dispatch.RemoteCall) (json.RawMessage, error) {
	w <- call
	return nil, nil
}

// TestG42_LunoraWorkflows: a workflow is one below a remote prefix, whose worker is given the arguments
// as they came; it holds its slot until it is completed.
func TestG42_LunoraWorkflows(t *testing.T) {
	started, reg := make(workflows, 1), dispatch.NewRegistry()
	reg.Remote("workflow:*", started)
	eng, err := actors.Open(t.TempDir(), actors.Options{Functions: reg, Volumes: 1, Pools: []*dispatch.Pool{dispatch.NewPool("flows", 1)}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := eng.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	ops := operators{"all": {Name: "all", AllApps: true, Scopes: server.Scopes()}}
	srv := httptest.NewServer(documented(t, server.New(eng, server.Options{Operator: ops.hook}), ""))
	t.Cleanup(srv.Close)
	s := &lunoraSite{&site{url: srv.URL, client: srv.Client()}, "all"}

	const args = `{"n":["$lunora.wire$","bigint","9007199254740993"],"set":["$lunora.wire$","set",[]]}`
	for _, id := range []string{"now", "late"} {
		at := map[string]string{"now": "1", "late": far}[id]
		if status, text := s.ask(t, "schedule", `{"args":`+args+`,"workflow":"ORDERS","id":"`+id+`","pool":"flows","scheduledFor":`+at+`}`); status != 200 {
			t.Fatalf("%d %s", status, text)
		}
	}
	var call dispatch.RemoteCall
	select {
	case call = <-started:
	case <-time.After(time.Minute):
		t.Fatal("no worker was asked")
	}
	if call.Workflow != "ORDERS" || string(call.Args) != args || call.Job != "now" {
		t.Errorf("%+v is asked for", call)
	}
	s.want(t, "pool?name=flows", "", 200, `{"inFlight":1,"maxConcurrency":1,"queued":1}`)
	s.want(t, "complete", `{"pool":"flows","id":"late"}`, 200, `{"inFlight":1}`)
	if _, text := s.ask(t, "get?id=late", ""); !strings.Contains(text, `"workflow":"ORDERS"`) || strings.Contains(text, "functionPath") || !strings.Contains(text, args) {
		t.Errorf("shown as %s", text)
	}
	s.refused(t, "complete", `{"pool":"flows","id":1}`, 400, "INVALID_INPUT", "id: want a text")
	if _, text := s.ask(t, "get?id=now", ""); !strings.Contains(text, `"id":"now"`) {
		t.Errorf("it has ended before it was completed: %s", text)
	}
	if status, text := s.ask(t, "complete", `{"pool":"flows","id":"now"}`); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	app, err := eng.App("acme")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Wait(ctx, "now"); err != nil {
		t.Fatalf("it has not ended, though it was completed: %v", err)
	}
	s.want(t, "get?id=now", "", 200, `{}`)
}
