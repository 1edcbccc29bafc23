package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
	"carillon/storage"
)

// mustScheduleBy schedules what the body says, and returns the answer.
func mustScheduleBy(tb testing.TB, s *site, status int, body string) api.Scheduled {
	tb.Helper()
	got := s.jobs(tb, "POST", "/jobs", body)
	var made struct{ Result api.Scheduled }
	if err := json.Unmarshal([]byte(got.body), &made); err != nil || got.status != status {
		tb.Fatalf("%s: %d %s, %v, want %d", body, got.status, got.body, err, status)
	}
	if want := "/v1/apps/acme/jobs/" + made.Result.JobID; got.header.Get("Location") != want {
		tb.Errorf("the location is %q, want %s", got.header.Get("Location"), want)
	}
	return made.Result
}

// mustJob reads the job of the app acme.
func mustJob(tb testing.TB, s *site, id string) storage.Job {
	tb.Helper()
	app, err := s.eng.App("acme")
	if err != nil {
		tb.Fatal(err)
	}
	job, ok, err := app.Scheduler(tb.Context()).Get(storage.JobID(id))
	if err != nil || !ok {
		tb.Fatalf("job %s: %t, %v", id, ok, err)
	}
	return job
}

// TestScheduleWithAllOptions: each option of the body is the one of package dispatch.
func TestScheduleWithAllOptions(t *testing.T) {
	s := mustAdminSite(t)
	app, err := s.eng.App("acme")
	if err != nil {
		t.Fatal(err)
	}
	group, err := app.Scheduler(t.Context()).NewGroup(dispatch.Path("notes:wipe").With(dispatch.None{}))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
	mustScheduleBy(t, s, 201, fmt.Sprintf(`{"function":"notes:post","args":{"text":"hi"},"at":%q,"id":"mine","notAfter":%q,
		"as":{"subject":"service:cleaner","claims":{"team":"night"}},"unique":{"key":"k","policy":"keep","heldForMs":1000},
		"timeoutMs":1500,"retry":{"maxAttempts":3,"backoff":"linear","baseMs":10,"maxMs":20,"jitter":true},"tags":["eu","us"],
		"pool":"mail","poolKey":"ann","priority":1,"keepResult":false,"group":%d,
		"onDone":{"function":"notes:wipe","asJob":true,"timeoutMs":7,"onDone":{"function":"bad:job"}}}`,
		at.Format(time.RFC3339Nano), at.Add(time.Minute).Format(time.RFC3339Nano), group))
	job := mustJob(t, s, "mine")
	if !job.Due.Equal(at) || !job.NotAfter.Equal(at.Add(time.Minute)) || string(job.Args) != `{"text":"hi"}` || job.Timeout != 1500*time.Millisecond ||
		fmt.Sprint(job.Tags) != "[eu us]" || job.Pool != "mail" || job.PoolKey != "ann" || job.Priority != 1 || job.KeepResult == nil || *job.KeepResult ||
		job.Group != group || job.State != storage.StatePending || !strings.Contains(string(job.Claims), `"service:cleaner"`) || !strings.Contains(string(job.Claims), `"night"`) {
		t.Errorf("got %+v", job)
	}
	if r := job.Retry; r == nil || *r != (storage.Retry{Limit: 2, Linear: true, Base: 10 * time.Millisecond, Max: 20 * time.Millisecond, Jitter: true}) {
		t.Errorf("the retry policy is %+v", r)
	}
	if u := job.Unique; u == nil || u.Key != "k" || u.Policy != storage.UniqueKeep || u.HeldFor != time.Second {
		t.Errorf("unique is %+v", u)
	}
	if then := job.Then; then == nil || then.Function != "notes:wipe" || then.Timeout != 7*time.Millisecond || string(then.Claims) != string(job.Claims) ||
		then.Then == nil || then.Then.Function != "bad:job" || then.Then.Claims != nil {
		t.Errorf("the follow-up is %+v", then)
	}
	kept := mustScheduleBy(t, s, 200, `{"function":"notes:post","args":{"text":"again"},"unique":{"key":"k","policy":"keep"}}`)
	if kept != (api.Scheduled{JobID: "mine", Kept: true, Holder: "mine"}) {
		t.Errorf("of a key that is held: %+v", kept)
	}
	if got := s.jobs(t, "POST", "/jobs", `{"function":"notes:post","args":{"text":"hi"},"unique":{"key":"k","policy":"refuse"}}`); got.status != http.StatusConflict {
		t.Errorf("of a key that is held, refused: %d %s", got.status, got.body)
	}
	before := time.Now() // the request comes before the job is written
	for body, want := range map[string]func(*storage.Job) bool{
		`{"function":"slow:wait","afterMs":3600000,"atMostOnce":true}`: func(j *storage.Job) bool {
			return j.AtMostOnce && !j.Due.Before(before.Add(time.Hour)) && j.Claims == nil
		},
		`{"function":"slow:wait","afterMs":3600000,"expiresMs":5}`:                                             func(j *storage.Job) bool { return j.NotAfter.Sub(j.Due) == 5*time.Millisecond },
		`{"function":"slow:wait","afterMs":3600000,"unique":{"key":"t","policy":"throttle","everyMs":60000}}`:  func(j *storage.Job) bool { return j.Unique.Every == time.Minute },
		`{"function":"slow:wait","afterMs":3600000,"unique":{"key":"r","policy":"replace","maxWaitMs":60000}}`: func(j *storage.Job) bool { return j.Due.Sub(j.EnqueuedAt) == time.Minute },
		`{"function":"slow:wait","afterMs":3600000,"unique":{"key":"w","policy":"refuse","appWide":true,"pendingOnly":true}}`: func(j *storage.Job) bool {
			return j.Unique.AppWide && j.Unique.PendingOnly
		},
	} {
		if job := mustJob(t, s, mustScheduleBy(t, s, 201, body).JobID); !want(&job) {
			t.Errorf("%s made %+v", body, job)
		}
	}
}

// TestScheduleRefusals: what is wrong with a call, or a change, is said, and nothing is stored.
func TestScheduleRefusals(t *testing.T) {
	s := mustAdminSite(t)
	mustScheduleBy(t, s, 201, `{"function":"notes:post","args":{"text":"hi"},"afterMs":3600000,"id":"there"}`)
	const fn = `{"function":"notes:wipe",`
	for body, want := range map[string]string{
		`[]`:                             "no JSON object",
		`{}`:                             "function",
		`{"function":"no:such"}`:         "no:such",
		`{"function":"notes/all:count"}`: "is a query",
		`{"function":"notes:post","args":{"txt":1}}`:                          "txt",
		fn + `"at":"2026-01-01T00:00:00Z","afterMs":5}`:                       "not both",
		fn + `"at":"tomorrow"}`:                                               "tomorrow",
		fn + `"at":"1969-01-01T00:00:00Z"}`:                                   "1970",
		fn + `"afterMs":-1}`:                                                  "afterMs is -1",
		fn + `"afterMs":9223372036854775807}`:                                 "afterMs is 9223372036854775807",
		fn + `"id":"."}`:                                                      "no URL",
		fn + `"id":""}`:                                                       "id",
		fn + `"id":"there"}`:                                                  "there",
		fn + `"notAfter":"2026-01-01T00:00:00Z","expiresMs":5}`:               "not both",
		fn + `"notAfter":"1971-01-01T00:00:00Z"}`:                             "1971",
		fn + `"expiresMs":-5}`:                                                "expiresMs",
		fn + `"as":{"subject":"ann"}}`:                                        "name of a service",
		fn + `"timeoutMs":0}`:                                                 "not positive",
		fn + `"timeoutMs":-1}`:                                                "timeoutMs is -1",
		fn + `"atMostOnce":true}`:                                             "AtMostOnce is for actions",
		fn + `"retry":{}}`:                                                    "have to be given",
		fn + `"retry":{"maxAttempts":0,"baseMs":0}}`:                          "0 attempts",
		fn + `"retry":{"maxAttempts":1001,"baseMs":0}}`:                       "1001 attempts",
		fn + `"retry":{"maxAttempts":2,"baseMs":0,"backoff":"slow"}}`:         "retry.backoff",
		fn + `"tags":["","x"]}`:                                               "tag",
		fn + `"pool":"nowhere"}`:                                              `none that is called \"nowhere\"`,
		fn + `"poolKey":"ann"}`:                                               "want the pool",
		fn + `"pool":"","poolKey":"ann"}`:                                     "without a pool",
		fn + `"priority":5}`:                                                  "priority 5",
		fn + `"group":7}`:                                                     "group",
		fn + `"unique":{"key":"k"}}`:                                          "unique.policy",
		fn + `"unique":{"key":"","policy":"keep"}}`:                           "0 bytes",
		fn + `"unique":{"key":"k","policy":"throttle"}}`:                      "Throttle of 0s",
		fn + `"unique":{"key":"k","policy":"keep","everyMs":5}}`:              "is for the policy throttle",
		fn + `"unique":{"key":"k","policy":"keep","maxWaitMs":5}}`:            "MaxWait is for Replace",
		fn + `"unique":{"key":"k","policy":"replace","heldForMs":5}}`:         "HeldFor is for",
		fn + `"onDone":{"function":"no:such"}}`:                               "no:such",
		fn + `"onDone":{"function":"notes:wipe","at":5}}`:                     "at",
		fn + `"onDone":{"function":"notes:wipe","group":7}}`:                  "InGroup",
		strings.Repeat(fn+`"onDone":`, 18) + `null` + strings.Repeat("}", 18): "16",
	} {
		got := s.jobs(t, "POST", "/jobs", body)
		if (got.status != 400 && got.status != 404 && got.status != 409) || !strings.Contains(got.body, want) || !strings.HasPrefix(got.body, `{"code":`) {
			t.Errorf("%.300s: got %d %s, want %s", body, got.status, got.body, want)
		}
	}
	s.call(t, "acme", "notes:post", `{"text":"hi"}`)
	for _, tt := range []struct {
		path, body, want string
		status           int
	}{
		{"there/reschedule", `{}`, "nothing is to be changed", 400},
		{"there/reschedule", `{"due":5}`, "due", 400},
		{"there/reschedule", `{"afterMs":5,"at":"2030-01-01T00:00:00Z"}`, "not both", 400},
		{"there/reschedule", `{"afterMs":-5}`, "afterMs is -5", 400},
		{"there/reschedule", `{"priority":9}`, "priority 9", 400},
		{"there/reschedule", `{"args":{"txt":5}}`, "txt", 400},
		{"there/reschedule", `{"priority":1,"ifArgs":{"text":"no such"}}`, "other arguments by now", 409},
		{"there/reschedule", `{"ifArgs":{}}`, "nothing is to be changed", 400},
		{"none/reschedule", `{"priority":1}`, "no job", 404},
		{"none/reschedule", `{"args":{}}`, "no job", 404},
		{"none/run", ``, "no job", 404},
		{"there/run", `{"now":true}`, "now", 400},
		{"there/cancel", `{"all":true}`, "all", 400},
		{"none/cancel", `{"cascade":true}`, "no job", 404},
	} {
		if got := s.jobs(t, "POST", "/jobs/"+tt.path, tt.body); got.status != tt.status || !strings.Contains(got.body, tt.want) {
			t.Errorf("%s %s: got %d %s, want %d and %s", tt.path, tt.body, got.status, got.body, tt.status, tt.want)
		}
	}
	if page := mustResult[api.JobPage](t, s.jobs(t, "GET", "/jobs", "")); len(page.Jobs) != 1 || page.Jobs[0].Due.Before(time.Now().Add(50*time.Minute)) {
		t.Errorf("there are %+v", page.Jobs)
	}
}

// TestActOnOneJob: a job is put off, given other arguments, run now, and canceled with what has
// come of it.
func TestActOnOneJob(t *testing.T) {
	s := mustAdminSite(t)
	mustScheduleBy(t, s, 201, `{"function":"notes:post","args":{"text":"hi"},"afterMs":3600000,"id":"a","onDone":{"function":"notes:wipe"}}`)
	act := func(path, body string) int {
		t.Helper()
		return mustResult[api.Affected](t, s.jobs(t, "POST", "/jobs/"+path, body)).Jobs
	}
	act("a/reschedule", `{"at":"2222-02-02T02:02:02Z","priority":4,"args":{"text":"later"}}`)
	if job := mustJob(t, s, "a"); job.Due.Year() != 2222 || job.Priority != 4 || string(job.Args) != `{"text":"later"}` {
		t.Errorf("changed it is %+v", job)
	}
	act("a/reschedule", `{"afterMs":60000}`)
	if job := mustJob(t, s, "a"); time.Until(job.Due) > time.Minute+time.Millisecond || job.Priority != 4 {
		t.Errorf("changed again it is %+v", job)
	}
	before := mustJob(t, s, "a").Due
	act("a/reschedule", `{"priority":2}`)
	if job := mustJob(t, s, "a"); !job.Due.Equal(before) || job.Priority != 2 || string(job.Args) != `{"text":"later"}` {
		t.Errorf("with another priority it is %+v", job)
	}
	act("a/run", "")
	for mustJob(t, s, "a").State != storage.StateSuccess {
		time.Sleep(time.Millisecond)
	}
	for _, verb := range []string{"run", "reschedule", "cancel"} {
		body := ""
		if verb == "reschedule" {
			body = `{"priority":1}`
		}
		if got := s.jobs(t, "POST", "/jobs/a/"+verb, body); got.status != 400 || !strings.Contains(got.body, "too late") {
			t.Errorf("%s of what has ended: %d %s", verb, got.status, got.body)
		}
	}
	mustScheduleBy(t, s, 201, `{"function":"slow:wait","id":"p"}`)
	<-s.started
	if got := s.jobs(t, "POST", "/jobs/p/run", ""); got.status != 400 || !strings.Contains(got.body, "is running") {
		t.Errorf("run now of one that runs: %d %s", got.status, got.body)
	}
	if n := act("p/cancel", `{"cascade":true}`); n != 1 {
		t.Errorf("%d are canceled", n)
	}
	<-s.ended
	if n := act("p/cancel", `{"cascade":true}`); n != 0 { // it may go on with what has come of it
		t.Errorf("%d are canceled once more", n)
	}
}

// TestReschedulingArgumentsIsCalling: an operator who may not call a function may not choose what
// it is given either, nor as whom it runs.
func TestReschedulingArgumentsIsCalling(t *testing.T) {
	ops := operators{
		"writes": {AllApps: true, Scopes: []server.Scope{server.ScopeWrite}},
		"calls":  {AllApps: true, Scopes: []server.Scope{server.ScopeWrite, server.ScopeCall}},
		"acts":   {AllApps: true, Scopes: []server.Scope{server.ScopeWrite, server.ScopeCall, server.ScopeActAs}},
	}
	s := mustSite(t, server.Options{Operator: ops.hook})
	ask := func(token, path, body string) int {
		req := s.mustRequest(t, "POST", "/v1/apps/acme/jobs"+path, strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+token)
		return s.mustSend(t, req).status
	}
	const job, as = `{"function":"notes:post","args":{"text":"hi"},"afterMs":3600000`, `,"as":{"subject":"service:cleaner"}}`
	for _, tt := range []struct {
		token, path, body string
		want              int
	}{
		{"writes", "", job + "}", 403},
		{"calls", "", job + as, 403},
		{"acts", "", job + as, 201},
		{"calls", "", job + `,"id":"a"}`, 201},
		{"writes", "/a/reschedule", `{"args":{"text":"else"}}`, 403},
		{"writes", "/a/reschedule", `{"priority":1,"args":{"text":"else"}}`, 403},
		{"writes", "/a/reschedule", `{"priority":1}`, 200},
		{"calls", "/a/reschedule", `{"args":{"text":"else"}}`, 200},
	} {
		if got := ask(tt.token, tt.path, tt.body); got != tt.want {
			t.Errorf("%s: %s %s: %d, want %d", tt.token, tt.path, tt.body, got, tt.want)
		}
	}
}
