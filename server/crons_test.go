package server_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
	"carillon/storage"
)

// mustAdminSite is a site whose admin token is "s3cret".
func mustAdminSite(tb testing.TB) *site {
	tb.Helper()
	return mustSite(tb, server.Options{Admin: func(r *http.Request) error {
		switch r.Header.Get("Authorization") {
		case "":
			return dispatch.Errorf(dispatch.CodeUnauthenticated, "sign in first")
		case "Bearer s3cret":
			return nil
		default:
			return dispatch.Errorf(dispatch.CodePermissionDenied, "not you")
		}
	}})
}

// admin sends an admin's request about triggers of the app acme.
func (s *site) admin(tb testing.TB, method, path, body string) reply {
	tb.Helper()
	req := s.mustRequest(tb, method, "/v1/apps/acme/crons"+path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer s3cret")
	return s.mustSend(tb, req)
}

// mustCron decodes the trigger that a request is answered with.
func mustCron(tb testing.TB, status int, r reply) api.Cron {
	tb.Helper()
	var body struct{ Result api.Cron }
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || r.status != status {
		tb.Fatalf("got %d %s, %v, want status %d", r.status, r.body, err, status)
	}
	return body.Result
}

func TestCronsLife(t *testing.T) {
	s := mustAdminSite(t)
	for _, ask := range [][2]string{
		{"GET", ""}, {"GET", "/none"}, {"DELETE", "/none"}, {"POST", "/none/run"}, {"POST", "/none/pause"}, {"POST", "/none/resume"},
	} {
		if got := s.admin(t, ask[0], ask[1], ""); got.status != 404 || got.body != `{"code":"not_found","message":"no such app \"acme\""}`+"\n" {
			t.Errorf("%s%s of no app: got %d %s", ask[0], ask[1], got.status, got.body)
		}
	}
	made := s.admin(t, "POST", "", `{"name":"nightly","spec":"0 3 * * *","zone":"Europe/Rome","function":"notes:post","args":{"text":"hi"},
		"overlap":"queue","catchUp":{"mode":"all","limit":5,"windowMs":3600000},"jitterMs":1000,
		"retry":{"maxAttempts":2,"jitter":true,"backoff":"linear","baseMs":100,"maxMs":900}}`)
	c := mustCron(t, 201, made)
	if got := made.header.Get("Location"); got != "/v1/apps/acme/crons/nightly" {
		t.Errorf("location %s", got)
	}
	if c.Name != "nightly" || c.Zone != "Europe/Rome" || c.Description != "at 03:00 every day, Europe/Rome" || string(c.Args) != `{"text":"hi"}` ||
		c.Overlap != api.OverlapQueue || c.CatchUp != (api.CatchUp{Mode: "all", Limit: 5, WindowMs: 3600000}) || c.JitterMs != 1000 ||
		c.Retry != (api.Retry{MaxAttempts: 2, Backoff: "linear", BaseMs: 100, MaxMs: 900, Jitter: true}) || c.Declared || c.Paused || len(c.Next) != 3 || c.Last != nil {
		t.Errorf("made %+v", c)
	}
	rome, _ := time.LoadLocation("Europe/Rome")
	for _, at := range c.Next {
		if local := at.Slot.In(rome); local.Hour() != 3 || local.Minute() != 0 || at.Slot.Location() != time.UTC || at.At.Before(at.Slot) || at.At.After(at.Slot.Add(time.Second)) {
			t.Errorf("next %v", at)
		}
	}
	if got := mustCron(t, 200, s.admin(t, "GET", "/nightly", "")); fmt.Sprint(got.Next) != fmt.Sprint(c.Next) || got.Slots != nil {
		t.Errorf("got %+v", got)
	}

	// What a trigger says of its ticks comes back as it was given.
	put := `{"spec":"@hourly","function":"notes:wipe","timeoutMs":1500,"as":{"subject":"service:cleaner","claims":{"role":"cleaner"}},"successWithinMs":7200000}`
	for _, status := range []int{201, 200} {
		got := s.admin(t, "PUT", "/hourly", put)
		c := mustCron(t, status, got)
		if c.TimeoutMs != 1500 || c.AtMostOnce || c.As == nil || c.As.Subject != "service:cleaner" || c.As.Claims["role"] != "cleaner" ||
			c.SuccessWithinMs != 7200000 || c.Overdue || c.LastSuccessAt != nil {
			t.Errorf("put %+v", c)
		}
		if at := got.header.Get("Location"); (status == 201) != (at == "/v1/apps/acme/crons/hourly") {
			t.Errorf("%d with location %q", status, at)
		}
	}
	if got := s.admin(t, "DELETE", "/hourly", ""); got.status != 200 {
		t.Errorf("deleted: got %d %s", got.status, got.body)
	}

	// A definition is replaced as a whole; whether it is paused is no part of it.
	paused := mustCron(t, 200, s.admin(t, "POST", "/nightly/pause", `{"reason":"too loud"}`))
	if !paused.Paused || paused.PauseReason != "too loud" || len(paused.Next) != 0 {
		t.Errorf("paused %+v", paused)
	}
	updated := mustCron(t, 200, s.admin(t, "PUT", "/nightly", `{"spec":"@every 90s","function":"notes:wipe"}`))
	if updated.Spec != "@every 90s" || updated.Zone != "UTC" || updated.Function != "notes:wipe" || string(updated.Args) != "{}" ||
		updated.Overlap != api.OverlapSkip || updated.Retry.MaxAttempts != 6 || !updated.Paused {
		t.Errorf("updated %+v", updated)
	}
	if got := mustCron(t, 200, s.admin(t, "POST", "/nightly/resume", "")); got.Paused || len(got.Next) != 3 {
		t.Errorf("resumed %+v", got)
	}
	var list struct{ Result []api.Cron }
	if err := json.Unmarshal([]byte(s.admin(t, "GET", "", "").body), &list); err != nil || len(list.Result) != 1 || list.Result[0].Name != "nightly" {
		t.Errorf("list %+v, %v", list, err)
	}
	if got := s.admin(t, "DELETE", "/nightly", ""); got.status != 200 || got.body != `{"result":{}}`+"\n" {
		t.Errorf("deleted: got %d %s", got.status, got.body)
	}
	if got := s.admin(t, "GET", "/nightly", ""); got.status != 404 {
		t.Errorf("after that: got %d %s", got.status, got.body)
	}
}

// TestCronsBackfill: an operator has a trigger run for slots that have passed, sees with the trigger
// how far that is, and ends it.
func TestCronsBackfill(t *testing.T) {
	s := mustAdminSite(t)
	if c := mustCron(t, 201, s.admin(t, "POST", "", `{"name":"daily","spec":"@daily","function":"notes:wipe","paused":true}`)); c.Backfill != nil {
		t.Errorf("one that has none: %+v", c.Backfill)
	}
	mustCron(t, 201, s.admin(t, "POST", "", `{"name":"often","spec":"* * * * * *","function":"notes:wipe","paused":true}`))
	const span = `"from":"2024-02-28T00:00:00Z","to":"2024-03-02T00:00:00Z"`
	for _, tt := range []struct {
		method, path, body, want string
		status                   int
	}{
		{"POST", "/none/backfill", `{` + span + `}`, "no trigger", 404},
		{"DELETE", "/none/backfill", "", "no trigger", 404},
		{"DELETE", "/daily/backfill", "", "no backfill that goes on", 400},
		{"POST", "/daily/backfill", "", "before 1970", 400},
		{"POST", "/daily/backfill", `{"from":"2024-02-28T00:00:00Z"}`, "no slot", 400},
		{"POST", "/daily/backfill", `{"from":"2024-02-28","to":"2024-03-02"}`, "body", 400},
		{"POST", "/daily/backfill", `{"from":"2024-02-28T00:00:00Z","to":"9999-01-01T00:00:00Z"}`, "yet to come", 400},
		{"POST", "/daily/backfill", `{` + span + `,"reason":"` + strings.Repeat("x", storage.MaxPauseReason+1) + `"}`, "reason", 400},
		{"POST", "/daily/backfill", `{` + span + `,"slots":1}`, "slots", 400},
		{"POST", "/daily/backfill", `[]`, "no JSON object", 400},
		{"POST", "/often/backfill", `{"from":"2024-02-28T00:00:00Z","to":"2024-02-28T02:46:41Z"}`, "more than 10000 slots", 429},
		{"GET", "/daily/backfill", "", "want DELETE, POST", 405},
	} {
		if got := s.admin(t, tt.method, tt.path, tt.body); got.status != tt.status || !strings.Contains(got.body, tt.want) {
			t.Errorf("%s %s %s: %d %s, want %d and %s", tt.method, tt.path, tt.body, got.status, got.body, tt.status, tt.want)
		}
	}
	check := func(b *api.CronBackfill, outcome api.BackfillOutcome) {
		t.Helper()
		if b == nil || b.From.Format(time.DateOnly) != "2024-02-28" || b.To.Format(time.DateOnly) != "2024-03-02" || !b.Again || b.Reason != "why" ||
			b.Slots != 3 || b.Begun != 0 || b.Outcome != outcome || (b.EndedAt == nil) != (outcome == "") {
			t.Errorf("it is %+v, want it %q", b, outcome)
		}
	}
	got := s.admin(t, "POST", "/daily/backfill", `{`+span+`,"again":true,"reason":"why"}`)
	if got.status != 201 {
		t.Fatalf("asked for: %d %s", got.status, got.body)
	}
	made := mustDecode[api.CronBackfill](t, got)
	check(&made, api.BackfillGoing)
	check(mustCron(t, 200, s.admin(t, "GET", "/daily", "")).Backfill, api.BackfillGoing)
	if got := s.admin(t, "POST", "/daily/backfill", `{`+span+`}`); got.status != 409 {
		t.Errorf("a second: %d %s", got.status, got.body)
	}
	check(mustCron(t, 200, s.admin(t, "DELETE", "/daily/backfill", "")).Backfill, api.BackfillCanceled)
	mustCron(t, 200, s.admin(t, "POST", "/daily/resume", ""))
	if got := s.admin(t, "POST", "/daily/backfill", `{`+span+`}`); got.status != 201 {
		t.Fatalf("asked for again: %d %s", got.status, got.body)
	}
	for end := time.Now().Add(10 * time.Second); mustCron(t, 200, s.admin(t, "GET", "/daily", "")).Backfill.Begun < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it has not run")
		}
	}
}

// TestCronsRunNow runs what a trigger runs; its next slot stays, and is no slot of its own.
func TestCronsRunNow(t *testing.T) {
	s := mustAdminSite(t)
	before := mustCron(t, 201, s.admin(t, "POST", "", `{"name":"yearly","spec":"@yearly","function":"notes:post","args":{"text":"hi"},"paused":false}`))
	got := s.admin(t, "POST", "/yearly/run", "{}")
	var run struct{ Result api.CronRun }
	if err := json.Unmarshal([]byte(got.body), &run); err != nil || got.status != 200 || run.Result.JobID == "" {
		t.Fatalf("got %d %s, %v", got.status, got.body, err)
	}
	for end := time.Now().Add(10 * time.Second); s.call(t, "acme", "notes/all:count", "{}").body != `{"result":1}`+"\n"; {
		if time.Now().After(end) {
			t.Fatal("it has not run")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if after := mustCron(t, 200, s.admin(t, "GET", "/yearly?slots=200", "")); fmt.Sprint(after.Next) != fmt.Sprint(before.Next) || len(after.Slots) != 0 {
		t.Errorf("after the run: %+v", after)
	}
}

// TestCronsSlots asks for the slots of a trigger that ticks.
func TestCronsSlots(t *testing.T) {
	actorstest.Run(t, actors.Options{Functions: new(site).functions(), Logger: slog.New(slog.DiscardHandler)}, func(h *actorstest.Harness) {
		t := h.TB()
		admin := server.New(h.Engine, server.Options{Admin: func(*http.Request) error { return nil }})
		s := &site{url: "http://site", client: h.Peer(documented(t, admin, ""))}
		mustCron(t, 201, s.admin(t, "POST", "", `{"name":"tick","spec":"* * * * * *","function":"notes:post","args":{"text":"hi"}}`))
		h.Advance(2 * time.Second)
		c := mustCron(t, 200, s.admin(t, "GET", "/tick", ""))
		if len(c.Slots) != 2 || c.Slots[0].From.Sub(c.Slots[1].From) != time.Second {
			t.Fatalf("the slots are %+v", c.Slots)
		}
		for i, slot := range c.Slots {
			if slot.Outcome != api.SlotFired || slot.Count != 1 || storage.JobID(slot.JobID) != storage.TickID("tick", slot.From) || !slot.To.Equal(slot.From) {
				t.Errorf("slot %d: %+v", i, slot)
			}
		}
		if c.Last == nil || c.Last.State != api.StateSuccess || c.Last.Slot == nil || c.Last.JobID != c.Slots[0].JobID || c.LastSuccess == nil {
			t.Errorf("last %+v", c.Last)
		}
		if got := mustCron(t, 200, s.admin(t, "GET", "/tick?slots=1", "")); len(got.Slots) != 1 {
			t.Errorf("one slot: %+v", got.Slots)
		}
		if got := mustCron(t, 200, s.admin(t, "GET", "/tick?slots=0", "")); got.Slots != nil {
			t.Errorf("no slots: %+v", got.Slots)
		}
	})
}

func TestCronsRefuse(t *testing.T) {
	s := mustAdminSite(t)
	mustCron(t, 201, s.admin(t, "POST", "", `{"name":"mine","spec":"@yearly","function":"notes:wipe"}`))
	with := func(more string) string { return `{"name":"new","spec":"@yearly","function":"notes:wipe"` + more + `}` }
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "", `{"name":"mine","spec":"@daily","function":"notes:wipe"}`, 409, `{"code":"already_exists","message":"there is a trigger \"mine\""}`},
		{"POST", "", `{"name":"new","spec":"0 0 30 2 *","function":"notes:wipe"}`, 400, `day-of-month: no such day comes within 45 years`},
		{"POST", "", `{"name":"new","spec":"* * * * *","function":"notes:read"}`, 400, `\"notes:read\" is a query`},
		{"POST", "", `{"name":"new","spec":"* * * * *","function":"no:thing"}`, 404, `no function \"no:thing\"`},
		{"POST", "", `{"name":"new","spec":"* * * * *"}`, 404, `"code":"not_found"`},
		{"POST", "", `{"name":"new","spec":"* * * * *","function":"notes:post","args":{"x":1}}`, 400, `unknown field \"x\"`},
		{"POST", "", `{"name":"a b","spec":"* * * * *","function":"notes:wipe"}`, 400, `trigger name \"a b\"`},
		{"POST", "", `{"name":"..","spec":"* * * * *","function":"notes:wipe"}`, 400, `no URL can have`},
		{"POST", "", `{}`, 400, `trigger name`},
		{"POST", "", ``, 400, `trigger name`},
		{"POST", "", `[]`, 400, `{"code":"invalid_argument","message":"the body is no JSON object"}`},
		{"POST", "", `null`, 400, `the body is no JSON object`},
		{"POST", "", `{"name":`, 400, `{"code":"invalid_argument","message":"the body: not JSON: unexpected end"}`},
		{"POST", "", `{} {}`, 400, `the body: more than one JSON value`},
		{"POST", "", `{"name":7}`, 400, `{"code":"invalid_argument","message":"the body: field \"name\": want string, got number"}`},
		{"POST", "", with(`,"schedule":"x"`), 400, `{"code":"invalid_argument","message":"the body: unknown field \"schedule\""}`},
		{"POST", "", with(`,"catchUp":{"most":1}`), 400, `unknown field \"most\"`},
		{"POST", "", with(`,"catchUp":{"mode":"some"}`), 400, `catch-up \"some\", want one, none or all`},
		{"POST", "", with(`,"catchUp":{"mode":"all","windowMs":-1}`), 400, `catchUp.windowMs is -1, want 0 to`},
		{"POST", "", with(`,"overlap":"both"`), 400, `overlap \"both\"`},
		{"POST", "", with(`,"zone":"Mars/Base"`), 400, `zone`},
		{"POST", "", with(`,"jitterMs":86400001`), 400, `jitter`},
		{"POST", "", with(`,"jitterMs":9223372036854775807`), 400, `jitterMs is 9223372036854775807, want 0 to`},
		{"POST", "", with(`,"retry":{"maxAttempts":1}`), 400, `retry: maxAttempts and baseMs have to be given`},
		{"POST", "", with(`,"retry":{"maxAttempts":1,"baseMs":1,"backoff":"cubic"}`), 400, `retry.backoff \"cubic\", want exponential or linear`},
		{"POST", "", with(`,"retry":{"maxAttempts":1001,"baseMs":1}`), 400, `1001 attempts`},
		{"POST", "", with(`,"retry":{"maxAttempts":0,"baseMs":1}`), 400, `0 attempts`},
		{"PUT", "/mine", `{"name":"other","spec":"@daily","function":"notes:wipe"}`, 400, `a trigger cannot be renamed`},
		{"PUT", "/mine", `{"spec":"@daily","function":"notes:wipe","paused":true}`, 400, `paused: an update leaves that as it is`},
		{"PUT", "/new", `{"spec":"@daily"}`, 404, `"code":"not_found"`},
		{"PUT", "/a%20b", `{"spec":"@daily","function":"notes:wipe"}`, 400, `trigger name`},
		{"POST", "", with(`,"timeoutMs":-1`), 400, `timeoutMs is -1, want 0 to`},
		{"POST", "", with(`,"successWithinMs":-1`), 400, `successWithinMs is -1, want 0 to`},
		{"POST", "", with(`,"atMostOnce":true`), 400, `AtMostOnce is for actions`},
		{"POST", "", with(`,"as":{"subject":""}`), 400, `as: the subject is \"\", want the name of a service`},
		{"POST", "", with(`,"as":{"subject":"ann"}`), 400, `as: the subject is \"ann\", want the name of a service, such as \"service:cleaner\"`},
		{"POST", "", with(`,"as":{"subject":"service:"}`), 400, `want the name of a service`},
		{"PUT", "/new", with(`,"as":{"subject":"ann"}`), 400, `want the name of a service`},
		{"POST", "", with(`,"as":{"sub":"x"}`), 400, `unknown field \"sub\"`},
		{"GET", "/none", ``, 404, `no trigger \"none\"`},
		{"DELETE", "/none", ``, 404, `no trigger \"none\"`},
		{"POST", "/none/run", ``, 404, `no trigger \"none\"`},
		{"POST", "/none/pause", ``, 404, `no trigger \"none\"`},
		{"POST", "/none/resume", ``, 404, `no trigger \"none\"`},
		{"POST", "/mine/run", `{"now":true}`, 400, `unknown field \"now\"`},
		{"POST", "/mine/pause", `{"reason":"` + strings.Repeat("x", 501) + `"}`, 400, `reason is 501 bytes long, want at most 500`},
		{"GET", "/mine?slots=201", ``, 400, `slots is \"201\", want 0 to 200`},
		{"GET", "/mine?slots=many", ``, 400, `slots is \"many\"`},
		{"GET", "/mine/run", ``, 405, `{"code":"unimplemented",`},
		{"PATCH", "/mine", ``, 405, `want DELETE, GET, PUT`},
		{"DELETE", "", ``, 405, `want GET, POST`},
		{"POST", "/mine/stop", ``, 404, `no route`},
		{"GET", "/", ``, 404, `no route`},
		{"GET", "/mine/", ``, 404, `no route`},
		{"GET", "//mine", ``, 404, `no route`},
	} {
		if got := s.admin(t, tt.method, tt.path, tt.body); got.status != tt.status || !strings.Contains(got.body, tt.want) || !strings.HasPrefix(got.body, `{"code":`) {
			t.Errorf("%s %s %s: got %d %s", tt.method, tt.path, tt.body, got.status, got.body)
		}
	}
	form := s.mustRequest(t, "POST", "/v1/apps/acme/crons/mine/run", nil)
	form.Header.Set("Authorization", "Bearer s3cret")
	form.Header.Set("Content-Type", "text/plain")
	if got := s.mustSend(t, form); got.status != http.StatusUnsupportedMediaType {
		t.Errorf("a form's content type: got %d %s", got.status, got.body)
	}
	large := `{"reason":"` + strings.Repeat("x", server.DefaultMaxBody) + `"}`
	if got := s.admin(t, "POST", "/mine/pause", large); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: got %d %.100s", got.status, got.body)
	}
	if got := mustCron(t, 200, s.admin(t, "GET", "/mine", "")); got.Spec != "@yearly" || got.Paused {
		t.Errorf("a refusal has changed the trigger: %+v", got)
	}
}

// TestCronsAreForAdmins demands that who may not is told the same of what exists
// and what does not, and that without Options.Admin there are no such routes.
func TestCronsAreForAdmins(t *testing.T) {
	s, open := mustAdminSite(t), mustSite(t, server.Options{})
	mustCron(t, 201, s.admin(t, "POST", "", `{"name":"mine","spec":"@yearly","function":"notes:wipe"}`))
	for _, tt := range []struct{ method, path string }{
		{"GET", ""},
		{"POST", ""},
		{"GET", "/mine"},
		{"PUT", "/mine"},
		{"DELETE", "/mine"},
		{"PATCH", "/mine"},
		{"GET", "/none"},
		{"POST", "/mine/run"},
		{"POST", "/mine/pause"},
		{"POST", "/mine/resume"},
	} {
		path := "/v1/apps/acme/crons" + tt.path
		nobody := s.mustRequest(t, tt.method, path, nil)
		if got := s.mustSend(t, nobody); got.status != 401 || got.body != `{"code":"unauthenticated","message":"sign in first"}`+"\n" || got.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s %s by nobody: got %d %s", tt.method, path, got.status, got.body)
		}
		other := s.mustRequest(t, tt.method, path, nil)
		other.Header.Set("Authorization", "Bearer guess")
		if got := s.mustSend(t, other); got.status != 403 || got.body != `{"code":"permission_denied","message":"not you"}`+"\n" {
			t.Errorf("%s %s by another: got %d %s", tt.method, path, got.status, got.body)
		}
		foreign := s.mustRequest(t, tt.method, path, nil)
		foreign.Header.Set("Authorization", "Bearer s3cret")
		foreign.Header.Set("Origin", "https://evil.example.com")
		if got := s.mustSend(t, foreign); tt.method != "GET" && got.status != 403 {
			t.Errorf("%s %s from a foreign page: got %d %s", tt.method, path, got.status, got.body)
		}
		if got := open.mustSend(t, open.mustRequest(t, tt.method, path, nil)); got.status != 404 || !strings.Contains(got.body, "no route") {
			t.Errorf("%s %s without Options.Admin: got %d %s", tt.method, path, got.status, got.body)
		}
	}
	if got := mustCron(t, 200, s.admin(t, "GET", "/mine", "")); got.Paused {
		t.Errorf("got %+v", got)
	}
}
