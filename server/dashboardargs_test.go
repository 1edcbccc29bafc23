package server_test

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
)

// TestFormsGiveAJobOtherArguments: a job that has not begun is given the arguments that were typed, if it has those that the form
// was made of. Else it stays as it is, and the form shows both, with what was typed.
func TestFormsGiveAJobOtherArguments(t *testing.T) {
	version := regexp.MustCompile(`name="version" value="([0-9a-f]*)"`)
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signInAs(t, server.Scopes()...)
		id := b.later(t)
		job := "/ui/apps/acme/jobs/" + string(id)
		at := job + "/args"
		is := func(want string) {
			t.Helper()
			if got := string(b.h.Job("acme", id).Args); got != want {
				t.Errorf("the job has %s, want %s", got, want)
			}
		}
		seen := func(page string) string {
			t.Helper()
			found := version.FindStringSubmatch(page)
			if found == nil {
				t.Fatalf("the form does not say what it is made of: %s", page)
			}
			return found[1]
		}
		b.has(t, job, at, `name="after"`)
		b.has(t, at, "&#34;later&#34;", "Give it these")
		one := seen(b.ask("GET", at, nil).Body.String())
		b.mustGo(t, at, job, url.Values{"version": {one}, "args": {`{"text": "mine"}`}})
		is(`{"text":"mine"}`)
		if log := b.audit(t, "acme"); log[0] != "ann: POST jobs/{id}/reschedule" {
			t.Errorf("the audit log has %q", log)
		}

		refused := func(form url.Values, code int, texts ...string) string {
			t.Helper()
			w := b.ask("POST", at, form)
			if w.Code != code || harmIn(w.Body.String()) != "" {
				t.Errorf("%v: %d %s", form, w.Code, w.Body)
			}
			wantIn(t, at, w.Body.String(), texts...)
			is(`{"text":"mine"}`)
			return w.Body.String()
		}
		both := refused(url.Values{"version": {one}, "args": {`{"text":"precious <b>"}`}}, 409, "As they are now", "&#34;mine&#34;", "precious &lt;b&gt;", "Give it mine")
		refused(url.Values{"args": {`{"text":"precious"}`}}, 409, "As you have them")
		two := seen(both)
		refused(url.Values{"version": {two}, "args": {`{"text":`}}, 400, `{&#34;text&#34;:`, "no JSON")
		refused(url.Values{"version": {two}}, 400, "no JSON")
		refused(url.Values{"version": {two}, "args": {`{"texts":"precious"}`}}, 400, "texts", `role="alert"`)
		b.mustGo(t, at, job, url.Values{"version": {two}, "args": {`{"text":"precious <b>"}`}})
		b.mustGo(t, job+"/reschedule", job, url.Values{"at": {""}, "to": {""}, "after": {"3h"}})
		if due := b.h.Job("acme", id).Due; !due.Equal(b.h.Now().Add(3 * time.Hour)) {
			t.Errorf("it is due %v", due)
		}
		if w := b.ask("POST", job+"/reschedule", url.Values{"after": {"soon"}}); w.Code != 400 {
			t.Errorf("due after soon: %d", w.Code)
		}

		// Rights: what a function is given is for one who may call it; who may not see what there is replaces it unseen.
		as := func(scopes []server.Scope, want int) {
			t.Helper()
			b.signInAs(t, scopes...)
			page := b.ask("GET", at, nil).Body.String()
			if offered := strings.Contains(page, "<textarea"); offered != (want == 303) || strings.Contains(b.ask("GET", job, nil).Body.String(), at) != offered {
				t.Errorf("with %v it is offered: %t", scopes, offered)
			}
			if seen := strings.Contains(page, "precious"); seen != (want == 303 && slices.Contains(scopes, server.ScopeReadArgs)) {
				t.Errorf("with %v the arguments are seen: %t", scopes, seen)
			}
			v := url.Values{"args": {`{"text":"precious <b>"}`}}
			if found := version.FindStringSubmatch(page); found != nil {
				v.Set("version", found[1])
			}
			if w := b.ask("POST", at, v); w.Code != want {
				t.Errorf("with %v: %d %s", scopes, w.Code, w.Body)
			}
		}
		as([]server.Scope{server.ScopeRead, server.ScopeWrite}, 403)
		as([]server.Scope{server.ScopeRead, server.ScopeCall}, 403)
		as([]server.Scope{server.ScopeRead, server.ScopeWrite, server.ScopeCall}, 303)
		as([]server.Scope{server.ScopeRead, server.ScopeWrite, server.ScopeCall, server.ScopeReadArgs}, 303)

		blind, _ := b.token(t, server.Operator{AllApps: true, Scopes: []server.Scope{server.ScopeRead, server.ScopeWrite, server.ScopeCall}}, time.Time{})
		for _, guess := range []string{`{"text":"precious \u003cb\u003e"}`, `{"text":"x"}`} {
			w := b.send("POST", "/v1/apps/acme/jobs/"+string(id)+"/reschedule", "application/json", strings.NewReader(`{"priority":1,"ifArgs":`+guess+`}`), "Authorization", "Bearer "+blind)
			if w.Code != 403 {
				t.Errorf("one who may not see the arguments guesses %s: %d %s", guess, w.Code, w.Body)
			}
		}

		b.signInAs(t, server.Scopes()...)
		long := b.later(t)
		if _, err := b.h.Scheduler("acme").Reschedule(long, dispatch.NewArgs(dispatch.Path("bad:say").With(note{strings.Repeat("x", 21<<10)}))); err != nil {
			t.Fatal(err)
		}
		b.has(t, "/ui/apps/acme/jobs/"+string(long)+"/args", "too long to be changed in a form", "!<textarea")
		ended := "/ui/apps/acme/jobs/" + b.job + "/args"
		last := seen(b.ask("GET", ended, nil).Body.String())
		if w := b.ask("POST", ended, url.Values{"version": {last}, "args": {`{"text":"x"}`}}); w.Code != 400 || b.h.Job("acme", storage.JobID(b.job)).State != storage.StateFailed {
			t.Errorf("one that has ended: %d %s", w.Code, w.Body)
		}
	})
}
