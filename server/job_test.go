package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
	"carillon/storage"
)

// TestOneJobInFull: what has happened to it, what it has told, whom it runs as, and what has come of
// it; what its handler has written is for operators with read-args.
func TestOneJobInFull(t *testing.T) {
	ops := operators{"s3cret": {AllApps: true, Scopes: server.Scopes()}, "reads": {AllApps: true, Scopes: []server.Scope{server.ScopeRead}}}
	s := mustSite(t, server.Options{Operator: ops.hook})
	mustScheduleBy(t, s, 201, `{"function":"slow:save","id":"w","as":{"subject":"service:x"},"timeoutMs":60000,
		"retry":{"maxAttempts":3,"baseMs":5},"onDone":{"function":"notes:wipe","onDone":{"function":"bad:job","atMostOnce":false}}}`)
	<-s.started
	job := mustResult[api.Job](t, s.jobs(t, "GET", "/jobs/w", ""))
	d := job.JobDetail
	if d == nil || len(d.Timeline) != 2 || d.Timeline[0].What != api.MomentScheduled || d.Timeline[1].What != api.MomentBegun || d.Timeline[1].Attempt != 1 || d.Timeline[1].At == nil ||
		job.StartedAt == nil || !job.StartedAt.Equal(*d.Timeline[1].At) || time.Since(*job.StartedAt).Abs() > time.Minute ||
		len(d.Planned) != 2 || d.Planned[0].Attempt != 2 || d.Planned[1].Attempt != 3 || d.Planned[1].At.Sub(d.Planned[0].At) != 10*time.Millisecond ||
		d.Retry == nil || *d.Retry != (api.Retry{MaxAttempts: 3, Backoff: "exponential", BaseMs: 5}) || d.TimeoutMs != 60_000 || d.As == nil || d.As.Subject != "service:x" ||
		d.Progress == nil || d.Progress.Done != 1 || d.Progress.Note != "the secret note" || string(d.Checkpoint) != `{"text":"the secret checkpoint"}` ||
		fmt.Sprint(d.FollowUps) != "[notes:wipe bad:job]" || len(d.Children) != 0 || job.State != api.StateRunning {
		t.Errorf("got %+v, %+v", job, d)
	}
	req := s.mustRequest(t, "GET", "/v1/apps/acme/jobs/w", nil)
	req.Header.Set("Authorization", "Bearer reads")
	if got := s.mustSend(t, req); got.status != 200 || strings.Contains(got.body, "secret") || !strings.Contains(got.body, `"hidden":["args","checkpoint","progress.note"]`) || !strings.Contains(got.body, `"done":1`) {
		t.Errorf("without read-args: %d %s", got.status, got.body)
	}
	s.release <- struct{}{}
	result := mustResult[api.JobResult](t, s.jobs(t, "GET", "/jobs/w/result?wait=30s", ""))
	if !result.Ended || result.State != api.StateSuccess || string(result.Result) != `"the secret result"` || result.EndedAt == nil {
		t.Errorf("the result is %+v", result)
	}
	d = mustResult[api.Job](t, s.jobs(t, "GET", "/jobs/w", "")).JobDetail
	if n := len(d.Timeline); n != 3 || d.Timeline[2].What != api.MomentEnded || d.Timeline[2].State != api.StateSuccess || len(d.Children) != 1 || d.Checkpoint != nil ||
		len(d.Logs) != 1 || d.Logs[0].Attempt != 1 || d.Logs[0].Lines[0].Text != "the secret line" {
		t.Fatalf("ended it is %+v", d)
	}
	child := mustResult[api.Job](t, s.jobs(t, "GET", "/jobs/"+string(d.Children[0]), ""))
	if f := child.Follows; f == nil || *f != (api.Follows{Job: "w", Function: "slow:save", State: api.StateSuccess, Ordinal: 1}) || child.Parent != "w" {
		t.Errorf("the follow-up is %+v, and follows %+v", child, f)
	}
	req.URL.RawQuery = ""
	if got := s.mustSend(t, req); strings.Contains(got.body, "secret") || !strings.Contains(got.body, `"logs"`) {
		t.Errorf("ended, without read-args: %d %s", got.status, got.body)
	}
	ids := mustKill(t, s, 1)
	dead := mustResult[api.Job](t, s.jobs(t, "GET", "/jobs/"+string(ids[0]), "")).Timeline
	if len(dead) != 4 || dead[2].What != api.MomentFailed || dead[2].Code != "unavailable" || dead[3].State != api.StateFailed {
		t.Errorf("of one that is dead: %+v", dead)
	}
	for _, path := range []string{"/jobs/" + string(ids[0]) + "/result", "/jobs/w/result"} {
		req := s.mustRequest(t, "GET", "/v1/apps/acme"+path, nil)
		req.Header.Set("Authorization", "Bearer reads")
		if got := s.mustSend(t, req); got.status != 200 || strings.Contains(got.body, "secret") || strings.Contains(got.body, "as ever") || !strings.Contains(got.body, `"hidden":[`) {
			t.Errorf("%s without read-args: %d %s", path, got.status, got.body)
		}
	}
	for path, want := range map[string]int{
		"/jobs/w/result?wait=61s": 400, "/jobs/w/result?wait=-1s": 400, "/jobs/w/result?wait=5": 400, "/jobs/w/result?wait=1s&wait=1s": 400,
		"/jobs/w/result?w=1s": 400, "/jobs/none/result?wait=60s": 404,
	} {
		if got := s.jobs(t, "GET", path, ""); got.status != want {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

// TestG33_ResultByLongPoll: it comes with the end of the job, or after so long without one; and no
// longer than the operator may ask.
func TestG33_ResultByLongPoll(t *testing.T) {
	actorstest.Run(t, eventsEngine(), func(h *actorstest.Harness) {
		now := h.Now()
		good, _ := mustToken(t, h.Engine, *eventsOperators["all"], now, time.Time{})
		expires, _ := mustToken(t, h.Engine, *eventsOperators["all"], now, now.Add(500*time.Millisecond))
		client := h.Peer(server.New(h.Engine, server.Options{Operator: server.Tokens(h.Engine)}))
		id, err := h.Scheduler("acme").RunAfter(45*time.Second, dispatch.Path("work:do").With(1))
		if err != nil {
			t.Fatal(err)
		}
		type answered struct {
			status int
			result api.JobResult
			after  time.Duration
		}
		ask := func(token, wait string) <-chan answered {
			got := make(chan answered, 1)
			go func() {
				status, result := mustPoll(h, client, token, "/jobs/"+string(id)+"/result?wait="+wait)
				got <- answered{status, result, time.Since(now)}
			}()
			h.Settle()
			return got
		}
		soon, refused, late, at := ask(good, "30s"), ask(expires, "60s"), ask(good, "60s"), ask(good, "0s")
		h.Advance(time.Minute)
		if a := <-at; a.status != 200 || a.result.Ended || a.after != 0 || a.result.State != api.StatePending {
			t.Errorf("without a wait: %+v", a)
		}
		if a := <-soon; a.status != 200 || a.result.Ended || a.after != 30*time.Second {
			t.Errorf("too early: %+v", a)
		}
		if a := <-refused; a.status != http.StatusUnauthorized || a.after > 2*time.Second {
			t.Errorf("with a token that expires: %+v", a)
		}
		if a := <-late; a.status != 200 || !a.result.Ended || string(a.result.Result) != `"the secret result"` || a.after < 46*time.Second || a.after > 47*time.Second {
			t.Errorf("in time: %+v", a)
		}
	})
}

// TestOutsideOverHTTP: the token of an attempt ends it, once, and is all that is asked for; what is
// wrong is refused and ends nothing.
func TestOutsideOverHTTP(t *testing.T) {
	s := mustAdminSite(t)
	end := func(path, body, bearer string) reply {
		req := s.mustRequest(t, "POST", "/v1/apps/"+path, strings.NewReader(body))
		if bearer != "" {
			req.Header.Set("Authorization", "Bearer "+bearer)
		}
		return s.mustSend(t, req)
	}
	mustScheduleBy(t, s, 201, `{"function":"world:ask","id":"a","retry":{"maxAttempts":2,"baseMs":0}}`)
	first := <-s.tokens
	for _, tt := range []struct {
		path, body, bearer, want string
		status                   int
	}{
		{"acme/outside/none/complete", `{"result":5}`, "", "no attempt", 404},
		{"other/outside/" + first + "/complete", `{"result":5}`, "", "no attempt", 404},
		{"acme/outside/" + first + "/complete", `{"result":"five"}`, "", "does not fit", 400},
		{"acme/outside/" + first + "/complete", `5`, "", "no JSON object", 400},
		{"acme/outside/" + first + "/complete", `{"outcome":5}`, "", "outcome", 400},
		{"acme/outside/none/complete", `{"result":5}`, "carillon_x", "operator's token", 401},
		{"acme/outside/" + first + "/fail", `{"code":"odd"}`, "", "want any of", 400},
		{"acme/outside/" + first + "/fail", `{"message":"` + strings.Repeat("x", dispatch.MaxMessage+1) + `"}`, "", "want at most", 400},
		{"acme/outside/" + first + "/fail", `{"code":"unavailable","message":"later"}`, "", `{"result":{"ended":true}}`, 200},
	} {
		got := end(tt.path, tt.body, tt.bearer)
		if got.status != tt.status || !strings.Contains(got.body, tt.want) {
			t.Errorf("%.80s %.80s: %d %s, want %d %s", tt.path, tt.body, got.status, got.body, tt.status, tt.want)
		}
	}
	if got := s.mustSend(t, s.mustRequest(t, "GET", "/v1/apps/acme/outside/"+first+"/complete", nil)); got.status != 405 {
		t.Errorf("GET: %d %s", got.status, got.body)
	}
	second := <-s.tokens // it is tried again
	if got := end("acme/outside/"+first+"/complete", `{"result":5}`, ""); got.status != 404 {
		t.Errorf("the token of the attempt before: %d %s", got.status, got.body)
	}
	for _, want := range []string{`{"result":{"ended":true}}`, `{"result":{"ended":false}}`} {
		if got := end("acme/outside/"+second+"/complete", `{"result":5}`, ""); got.status != 200 || strings.TrimSpace(got.body) != want {
			t.Errorf("completed: %d %s, want %s", got.status, got.body, want)
		}
	}
	if job := mustJob(t, s, "a"); job.State != storage.StateSuccess || string(job.Result) != "5" {
		t.Errorf("the job is %+v", job)
	}
	mustScheduleBy(t, s, 201, `{"function":"world:ask","id":"b","retry":{"maxAttempts":2,"baseMs":0}}`)
	if got := end("acme/outside/"+<-s.tokens+"/fail", `{"permanent":true}`, ""); got.status != 200 {
		t.Errorf("failed: %d %s", got.status, got.body)
	}
	if job := mustResult[api.JobResult](t, s.jobs(t, "GET", "/jobs/b/result?wait=30s", "")); job.State != api.StateFailed || job.Error.Code != "unknown" {
		t.Errorf("the job is %+v", job)
	}
	// A closed engine is a fault of none: but were it logged, the token is not.
	for _, token := range []string{first, second} {
		if strings.Contains(s.log.String(), token) {
			t.Error("the log has a token")
		}
	}
}

// TestGroupsPoolsAndPauses: an operator looks at them and acts on them.
func TestGroupsPoolsAndPauses(t *testing.T) {
	ops := operators{"s3cret": {Name: "ann", AllApps: true, Scopes: server.Scopes()}, "reads": {AllApps: true, Scopes: []server.Scope{server.ScopeRead}}}
	s := mustSite(t, server.Options{Operator: ops.hook})
	app, err := s.eng.App("acme")
	if err != nil {
		t.Fatal(err)
	}
	var groups []storage.GroupID
	for range 3 {
		id, err := app.Scheduler(t.Context()).NewGroup(dispatch.Path("notes:wipe").With(dispatch.None{}))
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, id)
		mustScheduleBy(t, s, 201, fmt.Sprintf(`{"function":"slow:wait","afterMs":3600000,"group":%d,"pool":"none"}`, id))
	}
	page := mustResult[api.GroupPage](t, s.jobs(t, "GET", "/groups?limit=2", ""))
	rest := mustResult[api.GroupPage](t, s.jobs(t, "GET", fmt.Sprintf("/groups?limit=2&going=true&after=%d", page.Next), ""))
	if len(page.Groups) != 2 || page.Groups[0].ID != uint64(groups[0]) || page.Groups[0].Pending != 1 || len(rest.Groups) != 1 || rest.Groups[0].ID != uint64(groups[2]) || rest.Next != 0 {
		t.Errorf("pages %+v and %+v", page, rest)
	}
	one := fmt.Sprintf("/groups/%d", groups[0])
	if n := mustResult[api.Affected](t, s.jobs(t, "POST", one+"/cancel", "")).Jobs; n != 1 {
		t.Errorf("%d members are canceled", n)
	}
	if g := mustResult[api.Group](t, s.jobs(t, "GET", one, "")); !g.Canceled || !g.Sealed || g.EndedAt == nil || g.Ends.Canceled != 1 || g.FollowUp == "" {
		t.Errorf("the canceled group is %+v", g)
	}
	if page := mustResult[api.GroupPage](t, s.jobs(t, "GET", "/groups?going=true", "")); len(page.Groups) != 2 {
		t.Errorf("that have not ended: %+v", page)
	}

	mustResult[struct{}](t, s.jobs(t, "POST", "/pauses", `{"pool":"none","reason":"the secret reason"}`))
	mustResult[struct{}](t, s.jobs(t, "POST", "/pauses", `{"function":"slow:wait"}`))
	mustResult[struct{}](t, s.jobs(t, "POST", "/pauses", `{"pool":"mail","poolKey":"ann"}`))
	mustResult[struct{}](t, s.jobs(t, "POST", "/pauses", `{"app":true}`))
	if list := mustResult[api.PauseList](t, s.jobs(t, "GET", "/pauses", "")).Pauses; len(list) != 4 || list[1].Function != "slow:wait" || list[1].By != "ann" {
		t.Errorf("paused are %+v", list)
	}
	mustResult[api.PoolLimit](t, s.jobs(t, "PUT", "/pools/none/limit", `{"limit":7}`))
	pools := mustResult[[]api.Pool](t, s.jobs(t, "GET", "/pools", ""))
	if len(pools) != 2 || pools[0].Name != "mail" || pools[0].Rate == nil || *pools[0].Rate != (api.PoolRate{Starts: 100, SpanMs: 1000}) || pools[0].Paused != nil ||
		pools[1].Limit != 7 || pools[1].Declared != 1 || pools[1].Rate != nil || pools[1].Paused == nil || pools[1].Paused.Reason != "the secret reason" || pools[1].Queued != 0 {
		t.Errorf("the pools are %+v", pools)
	}
	for _, path := range []string{"/pools", "/pauses"} {
		req := s.mustRequest(t, "GET", "/v1/apps/acme"+path, nil)
		req.Header.Set("Authorization", "Bearer reads")
		if got := s.mustSend(t, req); got.status != 200 || strings.Contains(got.body, "secret") || !strings.Contains(got.body, `"hidden":["pause`) {
			t.Errorf("%s without read-args: %d %s", path, got.status, got.body)
		}
	}
	for _, tt := range []struct {
		method, path string
		want         bool
	}{
		{"DELETE", "/pools/none/limit", true},
		{"DELETE", "/pools/none/limit", false},
		{"DELETE", "/pauses?app=true", true},
		{"DELETE", "/pauses?function=slow:wait", true},
		{"DELETE", "/pauses?pool=mail&poolKey=ann", true},
		{"DELETE", "/pauses?pool=mail", false},
		{"DELETE", "/pauses?pool=none", true},
	} {
		if got := mustResult[api.Changed](t, s.jobs(t, tt.method, tt.path, "")); got.Changed != tt.want {
			t.Errorf("%s %s has changed something: %t", tt.method, tt.path, got.Changed)
		}
	}
	if pools := mustResult[[]api.Pool](t, s.jobs(t, "GET", "/pools", "")); pools[1].Limit != 1 || pools[1].Paused != nil {
		t.Errorf("the pools are %+v", pools)
	}
	for _, tt := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/groups?limit=0", "", 400},
		{"GET", "/groups?limit=1001", "", 400},
		{"GET", "/groups?after=x", "", 400},
		{"GET", "/groups?going=1", "", 400},
		{"GET", "/groups?state=x", "", 400},
		{"GET", "/groups/x", "", 400},
		{"GET", "/groups/999", "", 404},
		{"POST", "/groups/999/cancel", "", 404},
		{"POST", "/groups/999/cancel", `{"all":true}`, 400},
		{"POST", one + "/cancel", "", 400},
		{"PUT", "/pools/nowhere/limit", `{"limit":7}`, 400},
		{"PUT", "/pools/none/limit", `{"limit":0}`, 400},
		{"PUT", "/pools/none/limit", `{"limit":100001}`, 400},
		{"PUT", "/pools/none/limit", `{}`, 400},
		{"POST", "/pauses", `{}`, 400},
		{"POST", "/pauses", `{"app":true,"pool":"none"}`, 400},
		{"POST", "/pauses", `{"pool":"nowhere"}`, 400},
		{"POST", "/pauses", `{"function":"no:such"}`, 400},
		{"POST", "/pauses", `{"poolKey":"ann"}`, 400},
		{"POST", "/pauses", `{"app":true,"reason":"` + strings.Repeat("x", storage.MaxPauseReason+1) + `"}`, 400},
		{"DELETE", "/pauses", "", 400},
		{"DELETE", "/pauses?app=1", "", 400},
		{"DELETE", "/pauses?scope=app", "", 400},
	} {
		if got := s.jobs(t, tt.method, tt.path, tt.body); got.status != tt.status || !strings.HasPrefix(got.body, `{"code":`) {
			t.Errorf("%s %s %.60s: %d %s, want %d", tt.method, tt.path, tt.body, got.status, got.body, tt.status)
		}
	}
	if list := mustResult[api.PauseList](t, s.jobs(t, "GET", "/pauses", "")).Pauses; len(list) != 0 {
		t.Errorf("a refusal has paused %+v", list)
	}
}

// mustPoll sends one request about the app acme, and returns its status and what it is answered.
func mustPoll(h *actorstest.Harness, client *http.Client, token, path string) (int, api.JobResult) {
	req, err := http.NewRequestWithContext(h.Context(), "GET", "http://site/v1/apps/acme"+path, nil)
	if err != nil {
		h.TB().Error(err)
		return 0, api.JobResult{}
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		h.TB().Error(err)
		return 0, api.JobResult{}
	}
	defer resp.Body.Close()
	var body struct{ Result api.JobResult }
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		h.TB().Error(err)
	}
	return resp.StatusCode, body.Result
}
