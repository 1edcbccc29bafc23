package server_test

import (
	"html"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/cron"
	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
)

// withTrigger makes the trigger nightly of acme, whose ticks fail, with what is hostile wherever a text is free.
func (b *browser) withTrigger(t *testing.T) {
	t.Helper()
	if err := b.h.Scheduler("acme").Crons().Create(dispatch.Trigger{
		Name: "nightly", Schedule: cron.Expr("0 3 * * *"), Zone: "Europe/Rome", Tags: []string{hostile[:60]},
		Call: dispatch.Path("bad:say").With(note{hostile}), Retry: &dispatch.RetryPolicy{MaxAttempts: 1},
	}); err != nil {
		t.Fatal(err)
	}
}

// wantIn says which of the texts a page does not have.
func wantIn(t *testing.T, what, body string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(body, text) {
			t.Errorf("%s: it has no %q: %s", what, text, body)
		}
	}
}

// TestTriggerPagesShowSlots: the list and the page of a trigger have its slots in UTC and in its zone, those that have
// passed with what became of them, and the days to come.
func TestTriggerPagesShowSlots(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		text, _ := b.token(t, allOperator(), time.Time{})
		b.signIn(t, text)
		b.withTrigger(t)
		from := b.h.Now()
		next := time.Date(from.Year(), from.Month(), from.Day(), 2, 0, 0, 0, time.UTC) // in winter
		for !next.After(from) {
			next = next.AddDate(0, 0, 1)
		}
		b.h.Advance(time.Second)
		if err := b.h.Scheduler("acme").Crons().Create(dispatch.Trigger{Name: "often", Schedule: cron.Every(7 * time.Hour), Call: dispatch.Path("bad:say").With(note{"x"})}); err != nil {
			t.Fatal(err)
		}
		often := b.ask("GET", "/ui/apps/acme/triggers/often", nil).Body.String()
		for i := range 5 {
			wantIn(t, "the page of an interval", often, b.h.Now().Add(time.Duration(i+1)*7*time.Hour).Format("Mon 2006-01-02 15:04:05"))
		}
		list := b.ask("GET", "/ui/apps/acme/triggers", nil).Body.String()
		wantIn(t, "the list", list, `href="/ui/apps/acme/triggers/nightly"`, "at 03:00 every day, Europe/Rome", next.Format(time.DateTime), next.Format("Mon 2006-01-02 ")+"03:00:00 CET")
		b.h.AdvanceTo(next.Add(time.Hour))
		page := b.ask("GET", "/ui/apps/acme/triggers/nightly", nil).Body.String()
		for i := range 5 {
			wantIn(t, "the page", page, next.AddDate(0, 0, i+1).Format("Mon 2006-01-02 15:04:05"))
		}
		if soon := next.AddDate(0, 0, 6).Format("Mon 2006-01-02 15:04:05"); strings.Contains(page, soon) {
			t.Errorf("the page has a sixth slot: %s", page)
		}
		wantIn(t, "the page", page, `<li class="failed" title="`+next.Format(time.DateTime)+" failed", `<caption>Days of Europe/Rome`)
		if days := strings.Count(page, `<time datetime="20`) - strings.Count(page, "T"+next.Format("15")); days < calendarDays {
			t.Errorf("the calendar has %d days", days)
		}
	})
}

// calendarDays is how many days a calendar has.
const calendarDays = 30

// TestFormsActOnTriggers: the forms of a trigger's page do what the rows of the JSON API do, and say why when those refuse.
func TestFormsActOnTriggers(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		text, _ := b.token(t, allOperator(), time.Time{})
		b.signIn(t, text)
		b.withTrigger(t)
		crons, at := b.h.Scheduler("acme").Crons(), "/ui/apps/acme/triggers/nightly"
		is := func(what string, want bool, of func(dispatch.CronInfo) bool) {
			t.Helper()
			info, known, err := crons.Get("nightly")
			if err != nil || !known || of(info) != want {
				t.Errorf("%s: %+v, %t, %v", what, info, known, err)
			}
		}
		post := func(what string, form url.Values, code int, to string) {
			t.Helper()
			w := b.ask("POST", at+what, form)
			if w.Code != code || code == http.StatusSeeOther && !strings.HasPrefix(w.Header().Get("Location"), to) {
				t.Errorf("%s with %v: %d %v %s", what, form, w.Code, w.Header(), w.Body)
			}
			if bad := harmIn(w.Body.String()); bad != "" {
				t.Errorf("%s has %q", what, bad)
			}
		}
		paused := func(info dispatch.CronInfo) bool { return info.Paused }
		post("/pause", url.Values{"reason": {hostile}}, 303, at)
		is("paused", true, paused)
		is("for the reason", true, func(info dispatch.CronInfo) bool { return info.PauseReason == hostile })
		for _, path := range []string{"/ui/apps/acme/triggers", at} {
			body := b.ask("GET", path, nil).Body.String()
			if bad := harmIn(body); bad != "" {
				t.Errorf("%s has %q", path, bad)
			}
			wantIn(t, path, body, "&lt;script&gt;")
		}
		post("/pause", url.Values{"reason": {strings.Repeat("x", 501)}}, 400, "")
		post("/resume", nil, 303, at)
		is("resumed", false, paused)
		post("/run", nil, 303, "/ui/apps/acme/jobs/")
		b.h.Advance(time.Second)
		is("it was run", true, func(info dispatch.CronInfo) bool { return info.LastState == storage.StateFailed })

		day := b.h.Now().AddDate(0, 0, -3)
		span := url.Values{"from": {day.Format("2006-01-02T15:04")}, "to": {day.AddDate(0, 0, 2).Format("2006-01-02T15:04")}, "reason": {hostile}}
		post("/backfill", url.Values{"from": {hostile}, "to": {""}}, 400, "")
		post("/backfill/cancel", nil, 400, "")
		post("/pause", nil, 303, at)
		post("/backfill", span, 303, at)
		is("it backfills", true, func(info dispatch.CronInfo) bool {
			return info.Backfill != nil && info.Backfill.Reason == hostile && info.Backfill.Slots == 2
		})
		wantIn(t, "the page", b.ask("GET", at, nil).Body.String(), "of 2 slots", at+"/backfill/cancel")
		post("/backfill/cancel", nil, 303, at)
		is("the backfill is canceled", true, func(info dispatch.CronInfo) bool {
			return info.Backfill.Outcome == storage.BackfillCanceled
		})

		reads, _ := b.token(t, server.Operator{Name: "bob", AllApps: true, Scopes: []server.Scope{server.ScopeRead}}, time.Time{})
		post("/pause", url.Values{"reason": {"the alert(1) of it"}}, 303, at)
		b.signIn(t, reads)
		for _, path := range []string{"/ui/apps/acme/triggers", at} {
			if body := b.ask("GET", path, nil).Body.String(); strings.Contains(body, "the alert(1) of it") || strings.Contains(body, `method="post" action="/ui/apps`) {
				t.Errorf("%s: one who may only read is shown a reason, or offered a form: %s", path, body)
			}
		}
		b.signIn(t, text)
		post("/delete", nil, 303, "/ui/apps/acme/triggers")
		if _, known, err := crons.Get("nightly"); known || err != nil {
			t.Errorf("it is deleted: %t, %v", known, err)
		}
		post("/delete", nil, 404, "")
	})
}

// TestFormsMakeTriggers: the form to make a trigger and that to change one show the next five slots of what was typed, or what is
// wrong about it, keep what was typed, and save what an operator may.
func TestFormsMakeTriggers(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		text, _ := b.token(t, allOperator(), time.Time{})
		b.signIn(t, text)
		crons, made := b.h.Scheduler("acme").Crons(), "/ui/apps/acme/new-trigger"
		post := func(at string, form url.Values, code int, wants ...string) {
			t.Helper()
			w := b.ask("POST", at, form)
			if w.Code != code {
				t.Errorf("%s with %v: %d %v %s", at, form, w.Code, w.Header(), w.Body)
			}
			if bad := harmIn(w.Body.String()); bad != "" {
				t.Errorf("%s has %q", at, bad)
			}
			wantIn(t, at, w.Body.String()+w.Header().Get("Location"), wants...)
		}
		wantIn(t, "the empty form", b.ask("GET", made, nil).Body.String(), `name="spec"`, `value="bad:say"`)
		form := url.Values{
			"name": {"new"}, "function": {"bad:say"}, "spec": {"@every 7h"}, "zone": {"Europe/Rome"}, "args": {`{"text":"a<b>"}`}, "overlap": {"queue"}, "mode": {"all"},
			"window": {"36h"}, "limit": {"7"}, "jitter": {"1m30s"}, "success": {"48h"}, "attempts": {"4"}, "base": {"2s"}, "max": {"1m"}, "backoff": {"linear"}, "spread": {"true"},
			"once": {""}, "timeout": {"5s"}, "as": {"service:cleaner"}, "tags": {"one\r\ntwo, three\r\n"}, "do": {"preview"},
		}
		five := []string{"every 7 h", "a&lt;b&gt;"}
		for i := range 5 {
			five = append(five, b.h.Now().Add(time.Duration(i+1)*7*time.Hour).Format("Mon 2006-01-02 15:04:05"))
		}
		post(made, form, 200, five...)
		with := func(field, text string) url.Values {
			other := maps.Clone(form)
			other.Set(field, text)
			return other
		}
		post(made, with("spec", "61 * * * *"), 400, "61", `value="61 * * * *"`, "a&lt;b&gt;")
		post(made, with("zone", hostile), 400, "zone", "&lt;script&gt;")
		if _, known, err := crons.Get("new"); known || err != nil {
			t.Errorf("what was only shown is there: %v", err)
		}
		form.Set("do", "save")
		for field, wrong := range map[string]string{"args": `{"text":`, "limit": "many", "jitter": "1 day", "as": "ann", "name": hostile, "overlap": "x"} {
			post(made, with(field, wrong), 400, `role="alert"`, "two, three")
		}
		post(made, with("function", "no:such"), 404, `role="alert"`, "two, three")
		post(made, form, 303, "/ui/apps/acme/triggers/new")
		info, _, err := crons.Get("new")
		if err != nil || info.Spec != "@every 7h" || info.Overlap != storage.OverlapQueue || info.CatchUp != (storage.CatchUp{Mode: storage.CatchUpAll, Limit: 7, Window: 36 * time.Hour}) || info.Jitter != 90*time.Second ||
			info.As.Subject != "service:cleaner" || !slices.Equal(info.Tags, []string{"one", "two, three"}) || info.Timeout != 5*time.Second || info.SuccessWithin != 48*time.Hour ||
			info.Policy != (dispatch.RetryPolicy{MaxAttempts: 4, Backoff: dispatch.Linear, Base: 2 * time.Second, Max: time.Minute, Jitter: true}) {
			t.Fatalf("made: %+v, %v", info, err)
		}
		post(made, form, 409, "already") // there is one

		// An edit that changes nothing leaves the trigger as it is: no field is without its place in the form.
		b.h.Advance(time.Second)
		at := "/ui/apps/acme/triggers/new/edit"
		page := b.ask("GET", at, nil).Body.String()
		same := url.Values{"do": {"save"}}
		for _, field := range regexp.MustCompile(`<input[^>]* name="([^"]*)"[^>]* value="([^"]*)"( checked)?`).FindAllStringSubmatch(page, -1) {
			if !strings.Contains(field[0], "checkbox") || field[3] != "" {
				same.Set(field[1], html.UnescapeString(field[2]))
			}
		}
		for _, field := range regexp.MustCompile(`(?s)<textarea[^>]* name="([^"]*)"[^>]*>(.*?)</textarea>`).FindAllStringSubmatch(page, -1) {
			same.Set(field[1], html.UnescapeString(field[2]))
		}
		for _, field := range regexp.MustCompile(`(?s)<select[^>]* name="([^"]*)">.*?<option selected>([^<]*)<`).FindAllStringSubmatch(page, -1) {
			same.Set(field[1], field[2])
		}
		post(at, same, 303, "/ui/apps/acme/triggers/new")
		after, _, err := crons.Get("new")
		if err != nil || !reflect.DeepEqual(after, info) {
			t.Errorf("saved as it was: %v\n%+v\nwas\n%+v", err, after, info)
		}
		same.Set("spec", "0 4 * * *")
		same.Set("do", "preview")
		post(at, same, 200, "at 04:00 every day, Europe/Rome", "04:00:00 CET")
		same.Set("do", "save")
		post(at, same, 303, "/ui/apps/acme/triggers/new")
		if after, _, err = crons.Get("new"); err != nil || after.Spec != "0 4 * * *" {
			t.Errorf("changed: %+v, %v", after, err)
		}

		// One who may not see the arguments cannot replace them without knowing.
		blind, _ := b.token(t, server.Operator{AllApps: true, Scopes: []server.Scope{server.ScopeRead, server.ScopeWrite, server.ScopeCall}}, time.Time{})
		b.signIn(t, blind)
		if w := b.ask("GET", at, nil); w.Code != 403 || strings.Contains(w.Body.String(), "a&lt;b&gt;") {
			t.Errorf("edited without read-args: %d %s", w.Code, w.Body)
		}
		post(at, same, 403)
		same.Set("as", "")
		post(at, same, 403)
		reads, _ := b.token(t, server.Operator{AllApps: true, Scopes: []server.Scope{server.ScopeRead, server.ScopeReadArgs}}, time.Time{})
		b.signIn(t, reads)
		post(at, same, 403)
		form.Set("name", "other")
		post(made, form, 403)
	})
}
