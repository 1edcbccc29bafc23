package server_test

import (
	"html"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
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
		wantIn(t, "the list", b.ask("GET", "/ui/apps/acme/triggers", nil).Body.String(), `<li class="failed" title="`+next.Format(time.DateTime)+" failed")
		for query, want := range map[string]int{"": 0, "?slots=0": 0, "?slots=20": 1, "?slots=21": -1, "?slots=x": -1} {
			w := b.ask("GET", "/v1/apps/acme/crons"+query, nil, "Authorization", "Bearer "+text)
			_, slots, _ := strings.Cut(w.Body.String(), `"name":"nightly"`)
			slots, _, _ = strings.Cut(slots, `"name":"often"`)
			_, slots, _ = strings.Cut(slots, `"slots":`)
			if states := strings.Count(slots, `"state":"failed"`); (w.Code == http.StatusOK) != (want >= 0) || want >= 0 && states != want {
				t.Errorf("%s: %d, with %d states of slots, want %d: %s", query, w.Code, states, want, w.Body)
			}
		}
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

// filled are the arguments of a function with a field of each kind.
type filled struct {
	Text string  `json:"text"`
	N    int64   `json:"n"`
	F    float64 `json:"f"`
	Yes  bool    `json:"yes"`
	In   note    `json:"in"`
	List []int   `json:"list"`
}

// TestFormsRunFunctions: the form that is made of a function's schema gives it what was typed, as the identity that was chosen; what it
// returns, or why it does not, stands beside the form with what was typed.
func TestFormsRunFunctions(t *testing.T) {
	reg := dispatch.NewRegistry()
	var got filled
	var as *dispatch.Identity
	dispatch.Query[filled, filled]("deep/er:echo").Handle(reg, func(ctx *dispatch.QueryCtx, args filled) (filled, error) {
		as = nil
		if id, known := ctx.Auth.Identity(); known {
			as = &id
		}
		if args.N == 7 {
			return args, dispatch.Errorf(dispatch.CodePermissionDenied, "%s", hostile)
		}
		got = args
		return args, nil
	})
	dispatch.InternalMutation[note, string]("in:side").Handle(reg, func(_ *dispatch.MutationCtx, n note) (string, error) { return n.Text, nil })
	dispatch.InternalMutation[map[string]int, int]("in:map").Handle(reg, func(_ *dispatch.MutationCtx, m map[string]int) (int, error) { return m["a"], nil })
	actorstest.Run(t, actors.Options{Functions: reg, Logger: slog.New(slog.DiscardHandler), Pools: []*dispatch.Pool{dispatch.NewPool("mail", 2)}}, func(h *actorstest.Harness) {
		t, b := h.TB().(*testing.T), &browser{h: h}
		b.mount()
		text, _ := b.token(t, allOperator(), time.Time{})
		b.signIn(t, text)
		if _, err := h.Scheduler("acme").RunAfter(0, dispatch.Path("in:side").With(note{})); err != nil {
			t.Fatal(err)
		}
		h.Advance(time.Second)
		const echo, side = "/ui/apps/acme/functions/deep/er:echo", "/ui/apps/acme/functions/in:side"
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
		wantIn(t, "the list", b.ask("GET", "/ui/apps/acme/functions?contains=e", nil).Body.String(), echo, side, "query", "clients", "the program")
		if body := b.ask("GET", "/ui/apps/acme/functions?contains=deep", nil).Body.String(); strings.Contains(body, side) {
			t.Errorf("the list has what was not searched for: %s", body)
		}
		page := b.ask("GET", echo, nil).Body.String()
		wantIn(t, "a query", page, `name="arg.text"`, `name="arg.n"`, `type="checkbox" name="arg.yes"`, `<textarea id="arg.in"`, `<textarea id="arg.list"`, `name="as"`)
		if strings.Contains(page, `value="schedule"`) {
			t.Errorf("a query is offered as a job: %s", page)
		}
		form := url.Values{
			"arg.text": {hostile}, "arg.n": {"9007199254740993"}, "arg.f": {"1.5"}, "arg.yes": {"true"}, "arg.in": {`{"text":"x"}`}, "arg.list": {"[1,2]"},
			"arg.no": {"1"}, "as": {"service:cleaner"}, "do": {"run"},
		}
		post(echo, form, 200, "It has run.", "9007199254740993", "&lt;script&gt;")
		if want := (filled{hostile, 9007199254740993, 1.5, true, note{"x"}, []int{1, 2}}); !reflect.DeepEqual(got, want) || as == nil || as.Subject != "service:cleaner" {
			t.Errorf("it was given %+v, as %+v", got, as)
		}
		post(echo, url.Values{}, 200, "It has run.")
		if !reflect.DeepEqual(got, filled{}) || as != nil {
			t.Errorf("of an empty form it was given %+v, as %+v", got, as)
		}
		with := func(field, text string) url.Values {
			other := maps.Clone(form)
			other.Set(field, text)
			return other
		}
		for field, wrong := range map[string]string{"arg.n": `"1"`, "arg.f": "x", "arg.in": "{", "arg.list": `[1`, "as": "ann"} {
			post(echo, with(field, wrong), 400, `role="alert"`, "&lt;script&gt;")
		}
		post(echo, with("arg.n", "1.5"), 400, `role="alert"`, `value="1.5"`) // the row says so
		post(echo, with("arg.n", "7"), 403, `role="alert"`, `value="7"`, "deep/er:echo")

		post(side, url.Values{"arg.text": {"hi"}, "do": {"run"}}, 200, "&#34;hi&#34;")
		post("/ui/apps/acme/functions/in:map", url.Values{"args": {`{"a":3}`}}, 200, ">3<")
		post("/ui/apps/acme/functions/in:map", url.Values{"args": {`{"a":`}}, 400, "{&#34;a&#34;:")
		post("/ui/apps/acme/functions/no:such", nil, 404)
		log, err := h.Engine.AuditLog(storage.AuditFilter{Apps: []storage.AppID{"acme"}})
		if err != nil || len(log.Entries) != 2 || log.Entries[1].Action != "POST calls" || !slices.Contains(log.Entries[1].IDs, "in:side") {
			t.Errorf("the audit log has %+v, %v", log.Entries, err)
		}

		job := url.Values{
			"arg.text": {"later"}, "do": {"schedule"}, "after": {"24h"}, "tags": {"one\r\ntwo"}, "priority": {"1"}, "pool": {"mail"}, "poolKey": {"k"}, "key": {"u"}, "policy": {"refuse"},
			"timeout": {"5s"}, "expires": {"1h"}, "attempts": {"4"}, "base": {"2s"}, "as": {"service:cleaner"},
		}
		post(side, job, 303, "/ui/apps/acme/jobs/")
		jobs := h.Jobs("acme", storage.StatePending)
		if len(jobs) != 1 || jobs[0].Due != h.Now().Add(24*time.Hour) || jobs[0].Priority != 1 || jobs[0].Pool != "mail" || jobs[0].PoolKey != "k" || !slices.Equal(jobs[0].Tags, []string{"one", "two"}) || string(jobs[0].Args) != `{"text":"later"}` {
			t.Fatalf("scheduled: %+v", jobs)
		}
		post(side, job, 409, `role="alert"`, `value="24h"`)
		at := maps.Clone(job)
		at.Set("at", "2030-01-01T00:00")
		post(side, at, 400, "at or afterMs")
		at.Set("at", "soon")
		post(side, at, 400, "want an instant")

		// Rights: what a function returns is for one who may read arguments, an identity for one who may act as another.
		for _, tt := range []struct {
			scopes []server.Scope
			form   url.Values
			code   int
		}{
			{[]server.Scope{server.ScopeRead, server.ScopeReadArgs, server.ScopeWrite}, url.Values{}, 403},
			{[]server.Scope{server.ScopeRead, server.ScopeReadArgs, server.ScopeCall}, url.Values{}, 403},
			{[]server.Scope{server.ScopeRead, server.ScopeCall, server.ScopeWrite}, url.Values{}, 403},
			{[]server.Scope{server.ScopeRead, server.ScopeCall, server.ScopeWrite}, url.Values{"do": {"schedule"}}, 303},
			{[]server.Scope{server.ScopeRead, server.ScopeReadArgs, server.ScopeCall, server.ScopeWrite}, url.Values{}, 200},
			{[]server.Scope{server.ScopeRead, server.ScopeReadArgs, server.ScopeCall, server.ScopeWrite}, url.Values{"as": {"service:cleaner"}}, 403},
		} {
			token, _ := b.token(t, server.Operator{AllApps: true, Scopes: tt.scopes}, time.Time{})
			b.signIn(t, token)
			post(side, tt.form, tt.code)
			if page := b.ask("GET", side, nil).Body.String(); strings.Contains(page, `name="as"`) || strings.Contains(page, `value="run"`) != (tt.code == 200 || tt.form.Has("as")) {
				t.Errorf("one with %v is offered: %s", tt.scopes, page)
			}
		}
	})
}
