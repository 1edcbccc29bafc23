package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

// jobs sends an admin's request about jobs of the app acme.
func (s *site) jobs(tb testing.TB, method, path, body string) reply {
	tb.Helper()
	req := s.mustRequest(tb, method, "/v1/apps/acme"+path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer s3cret")
	return s.mustSend(tb, req)
}

// mustResult decodes what a request is answered with.
func mustResult[R any](tb testing.TB, r reply) R {
	tb.Helper()
	var body struct{ Result R }
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || r.status != 200 {
		tb.Fatalf("got %d %s, %v", r.status, r.body, err)
	}
	return body.Result
}

// mustKill leaves n dead jobs in the app acme and returns their ids.
func mustKill(tb testing.TB, s *site, n int) (ids []storage.JobID) {
	tb.Helper()
	app, err := s.eng.App("acme")
	if err != nil {
		tb.Fatal(err)
	}
	sched := app.Scheduler(tb.Context())
	for range n {
		id, err := sched.RunAfter(0, dispatch.Path("bad:job").With(dispatch.None{}), dispatch.NoRetry(), dispatch.Tags("bad", "x"))
		if err != nil {
			tb.Fatal(err)
		}
		ids = append(ids, id)
	}
	for {
		dead, err := sched.CountJobs(storage.JobFilter{States: []storage.State{storage.StateFailed}})
		if err != nil {
			tb.Fatal(err)
		}
		if dead == n {
			return ids
		}
		time.Sleep(time.Millisecond)
	}
}

// TestJobsLife: an admin lists, looks at, retries and drops jobs, one and in bulk.
func TestJobsLife(t *testing.T) {
	s := mustAdminSite(t)
	ids := mustKill(t, s, 5)
	if got := s.jobs(t, "GET", "/jobs?state=success", ""); got.status != 200 || got.body != `{"result":{"jobs":[]}}`+"\n" {
		t.Errorf("no jobs: got %d %s", got.status, got.body)
	}
	first := mustResult[api.JobPage](t, s.jobs(t, "GET", "/jobs?state=failed&limit=3", ""))
	rest := mustResult[api.JobPage](t, s.jobs(t, "GET", "/jobs?state=failed&state=success&cursor="+url.QueryEscape(first.Next), ""))
	if len(first.Jobs) != 3 || len(rest.Jobs) != 2 || rest.Next != "" {
		t.Errorf("pages of %d and %d, then %q", len(first.Jobs), len(rest.Jobs), rest.Next)
	}
	job := mustResult[api.Job](t, s.jobs(t, "GET", "/jobs/"+string(ids[0]), ""))
	if job.ID != string(ids[0]) || job.State != api.StateFailed || job.Function != "bad:job" || string(job.Args) != "{}" ||
		job.EndedAt == nil || job.Attempts != 1 || job.Error == nil || job.Error.Code != "unavailable" || len(job.History) != 1 || fmt.Sprint(job.Tags) != "[bad x]" {
		t.Errorf("got %+v", job)
	}
	list := func(query string) int {
		t.Helper()
		return len(mustResult[api.JobPage](t, s.jobs(t, "GET", "/jobs?"+query, "")).Jobs)
	}
	ended := url.QueryEscape(job.EndedAt.Format(time.RFC3339Nano))
	for query, want := range map[string]int{
		"function=bad:job": 5, "function=notes:post": 0, "error=unavailable": 5, "error=internal": 0, "trigger=t": 0,
		"tag=bad": 5, "tag=bad&tag=x": 5, "tag=bad&tag=good": 0,
		"endedFrom=" + ended: 5, "state=pending": 0,
		"id=" + string(ids[0]): 1, "id=x": 0, "idContains=" + string(ids[0][1:]): 1, "priority=2": 5, "priority=1": 0,
		"parent=x": 0, "group=7": 0, "pool=p": 0, "argsContains={": 5, "argsContains=text": 0,
	} {
		if got := list(query); got != want {
			t.Errorf("%s: %d jobs, want %d", query, got, want)
		}
	}

	counted := mustResult[api.JobPage](t, s.jobs(t, "GET", "/jobs?count=true&limit=2&function=bad:job", ""))
	if c := counted.Count; c == nil || *c != (api.JobCount{Jobs: 5}) || len(counted.Jobs) != 2 || counted.Looked == nil ||
		counted.Looked.Jobs != 2 || counted.Looked.In != api.RegionDead || counted.Looked.To.Before(*counted.Jobs[1].EndedAt) {
		t.Errorf("a page that counts: %+v, looked at %+v, counted %+v", counted, counted.Looked, c)
	}

	if n := mustOperate(t, s, `{"action":"drop","filter":{"function":"bad:job"},"dryRun":true}`); n != 5 || list("") != 5 {
		t.Errorf("a dry run is on %d jobs, and leaves %d", n, list(""))
	}
	if n := mustResult[api.Affected](t, s.jobs(t, "POST", "/jobs/"+string(ids[0])+"/drop", "")).Jobs; n != 1 || list("") != 4 {
		t.Errorf("one drop is of %d, and leaves %d", n, list(""))
	}
	if n := mustOperate(t, s, `{"action":"drop","filter":{"tags":["good"]}}`); n != 0 {
		t.Errorf("%d jobs with another tag were dropped", n)
	}
	if n := mustOperate(t, s, `{"action":"retry","filter":{"error":"unavailable","ended":{"from":"2020-01-01T00:00:00Z"}}}`); n != 4 {
		t.Errorf("%d were retried, want 4", n)
	}
	mustResult[api.JobPage](t, s.jobs(t, "GET", "/jobs", ""))
	for list("state=failed") < 4 {
		time.Sleep(time.Millisecond)
	}
	if n := mustOperate(t, s, `{"action":"drop","all":true}`); n != 4 || list("") != 0 {
		t.Errorf("%d were dropped, and %d are left", n, list(""))
	}

	app, err := s.eng.App("acme")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if _, err := app.Scheduler(t.Context()).RunAfter(time.Hour, dispatch.Path("bad:job").With(dispatch.None{}), dispatch.ID(storage.JobID(fmt.Sprint("j", i))), dispatch.Tags(fmt.Sprint("t", i/2))); err != nil {
			t.Fatal(err)
		}
	}
	if n := mustOperate(t, s, `{"action":"cancel","filter":{"tags":["t0"]},"dryRun":true}`); n != 2 || list("state=pending") != 4 {
		t.Errorf("a dry run of a cancel is on %d jobs, and leaves %d", n, list("state=pending"))
	}
	if n := mustOperate(t, s, `{"action":"cancel","filter":{"tags":["t0"]}}`); n != 2 || list("state=pending") != 2 {
		t.Errorf("%d were canceled, and %d are pending", n, list("state=pending"))
	}
	mustResult[api.Affected](t, s.jobs(t, "POST", "/jobs/j2/cancel", ""))
	if got := s.jobs(t, "POST", "/jobs/j2/cancel", ""); got.status != 412 && got.status != 400 || !strings.Contains(got.body, "too late") {
		t.Errorf("a second cancel: %d %s", got.status, got.body)
	}
	if got := s.jobs(t, "POST", "/jobs/j9/cancel", ""); got.status != 404 {
		t.Errorf("a cancel of no job: %d %s", got.status, got.body)
	}
	if n := mustOperate(t, s, `{"action":"cancel","all":true}`); n != 1 || list("state=pending") != 0 || list("state=canceled") != 4 {
		t.Errorf("%d were canceled, and %d are", n, list("state=canceled"))
	}
}

// TestJobsRefusals: what is wrong with a request is said, and changes nothing; above
// all no filter is taken for every job.
func TestJobsRefusals(t *testing.T) {
	s := mustAdminSite(t)
	ids := mustKill(t, s, 1)
	app, err := s.eng.App("acme")
	if err != nil {
		t.Fatal(err)
	}
	pending, err := app.Scheduler(t.Context()).RunAfter(time.Hour, dispatch.Path("bad:job").With(dispatch.None{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		method, path, body, want string
		status                   int
	}{
		{"GET", "/jobs?stat=failed", "", `unknown parameter \"stat\"`, 400},
		{"GET", "/jobs?state=done", "", "unknown state", 400},
		{"GET", "/jobs?limit=0", "", "limit is", 400},
		{"GET", "/jobs?limit=1001", "", "limit is", 400},
		{"GET", "/jobs?limit=-1", "", "limit is", 400},
		{"GET", "/jobs?priority=5", "", "priority is", 400},
		{"GET", "/jobs?group=0", "", "group is", 400},
		{"GET", "/jobs?group=9223372036854775808", "", "group is", 400},
		{"GET", "/jobs?count=1", "", "count is", 400},
		{"GET", "/jobs?idContains=" + strings.Repeat("x", 257), "", "want at most 256", 400},
		{"GET", "/jobs?argsContains=" + strings.Repeat("x", 257), "", "want at most 256", 400},
		{"GET", "/jobs?uniqueKey=" + strings.Repeat("x", 257), "", "want 1 to 256", 400},
		{"GET", "/jobs?function=a:b&function=a:c", "", "given twice", 400},
		{"GET", "/jobs?dueFrom=tomorrow", "", "RFC 3339", 400},
		{"GET", "/jobs?dueFrom=2020-01-02T00:00:00Z&dueBefore=2020-01-01T00:00:00Z", "", "is not before", 400},
		{"GET", "/jobs/nobody", "", `no job \"nobody\"`, 404},
		{"POST", "/jobs/nobody/retry", "", `no job \"nobody\"`, 404},
		{"POST", "/jobs/" + string(pending) + "/drop", "", "is pending", 400},
		{"PUT", "/jobs", "", "want GET, POST", 405},
		{"PUT", "/operations", "", "want GET, POST", 405},
		{"POST", "/bulk/drop", `{"all":true}`, "no route", 404},
		{"POST", "/operations", "", "want a filter", 400},
		{"POST", "/operations", `{"action":"drop"}`, "want a filter", 400},
		{"POST", "/operations", `{"action":"drop","filter":{"states":["failed"]}}`, "want a filter", 400},
		{"POST", "/operations", `{"action":"drop","filter":{"function":"a:b"},"all":true}`, "want a filter", 400},
		{"POST", "/operations", `{"action":"drop","filter":{"func":"a:b"}}`, "func", 400},
		{"POST", "/operations", `{"action":"retry","all":true,"filter":{"states":["pending"]}}`, "on jobs that are", 400},
		{"POST", "/operations", `{"action":"retry","all":true,"dryRun":true,"filter":{"states":["pending"]}}`, "on jobs that are", 400},
		{"POST", "/operations", `{"action":"cancel","all":true,"filter":{"states":["failed"]}}`, "on jobs that are", 400},
		{"POST", "/operations", `{"action":"retry","all":true,"filter":{"limit":5}}`, "for listings", 400},
	} {
		got := s.jobs(t, tt.method, tt.path, tt.body)
		if got.status != tt.status || !strings.Contains(got.body, tt.want) {
			t.Errorf("%s %s %s: got %d %s, want %d and %s", tt.method, tt.path, tt.body, got.status, got.body, tt.status, tt.want)
		}
	}
	// What would be empty or nothing of an app that there is not, is refused.
	for path, method := range map[string]string{"/jobs": "GET", "/operations": "POST"} {
		req := s.mustRequest(t, method, "/v1/apps/nowhere"+path, strings.NewReader(`{"all":true}`))
		req.Header.Set("Authorization", "Bearer s3cret")
		if got := s.mustSend(t, req); got.status != 404 || !strings.Contains(got.body, `no such app \"nowhere\"`) {
			t.Errorf("%s %s of no app: got %d %s", method, path, got.status, got.body)
		}
	}
	if got := mustResult[api.JobPage](t, s.jobs(t, "GET", "/jobs", "")); len(got.Jobs) != 2 {
		t.Errorf("%d jobs are left, want the 2 of %v", len(got.Jobs), ids)
	}
	for _, path := range []string{"/jobs", "/jobs/x", "/operations"} {
		req := s.mustRequest(t, "POST", "/v1/apps/acme"+path, strings.NewReader(`{"all":true}`))
		if got := s.mustSend(t, req); got.status != http.StatusUnauthorized {
			t.Errorf("%s without a token: got %d", path, got.status)
		}
	}
}
