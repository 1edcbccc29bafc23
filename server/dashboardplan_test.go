package server_test

import (
	"net/http"
	"net/url"
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
