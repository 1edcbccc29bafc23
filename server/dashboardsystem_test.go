package server_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
	"carillon/storage"
)

// signInAs begins a session of one who has the scopes for all apps.
func (b *browser) signInAs(t *testing.T, scopes ...server.Scope) {
	t.Helper()
	text, _ := b.token(t, server.Operator{Name: "ann", AllApps: true, Scopes: scopes}, time.Time{})
	b.signIn(t, text)
}

// mustGo sends the form and wants to be sent to the page.
func (b *browser) mustGo(t *testing.T, path, page string, form url.Values) {
	t.Helper()
	if w := b.ask("POST", path, form); w.Code != 303 || w.Header().Get("Location") != page {
		t.Errorf("%s %v: %d to %q, want %q: %s", path, form, w.Code, w.Header().Get("Location"), page, w.Body)
	}
}

// has wants all of the texts in the page, and those that begin with a ! not in it.
func (b *browser) has(t *testing.T, path string, texts ...string) {
	t.Helper()
	w := b.ask("GET", path, nil)
	if w.Code != 200 {
		t.Errorf("%s: %d %s", path, w.Code, w.Body)
	}
	for _, text := range texts {
		if absent := strings.HasPrefix(text, "!"); strings.Contains(w.Body.String(), strings.TrimPrefix(text, "!")) == absent {
			t.Errorf("%s: want %q in it: %s", path, text, w.Body)
		}
	}
	if harm := harmIn(w.Body.String()); harm != "" {
		t.Errorf("%s has %q", path, harm)
	}
}

// TestFormsChangePoolsAndPauses: limits of pools and pauses are shown, changed and ended by the forms of their pages, which
// are offered to those alone who may send them.
func TestFormsChangePoolsAndPauses(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		const at = "/ui/apps/acme"
		limit := func(want int) {
			t.Helper()
			pools, err := b.h.App("acme").Pools(b.h.Context())
			if err != nil || pools[0].Limit != want {
				t.Errorf("the pools are %+v, %v, want the limit %d", pools, err, want)
			}
		}
		b.signInAs(t, server.Scopes()...)
		b.has(t, at+"/pools", `action="/ui/apps/acme/pools/mail/limit"`, "0 of 2", "!limit/clear")
		b.mustGo(t, at+"/pools/mail/limit", at+"/pools", url.Values{"limit": {"7"}})
		limit(7)
		b.has(t, at+"/pools", "0 of 7", "declared 2", "limit/clear")
		for _, bad := range []string{"", "x", "0", "-1", "100001", "99999999999999999999"} {
			if w := b.ask("POST", at+"/pools/mail/limit", url.Values{"limit": {bad}}); w.Code != 400 {
				t.Errorf("the limit %q: %d %s", bad, w.Code, w.Body)
			}
		}
		limit(7)
		b.mustGo(t, at+"/pools/mail/limit/clear", at+"/pools", nil)
		limit(2)

		pauses := []url.Values{{"app": {"true"}}, {"function": {"bad:say"}}, {"pool": {"mail"}}, {"pool": {"mail"}, "poolKey": {strings.ReplaceAll(hostile, "alert", "print")}}}
		for i, of := range pauses {
			form := url.Values{"reason": {hostile}}
			for key, value := range of {
				form[key] = value
			}
			b.mustGo(t, at+"/pauses", at+"/pauses", form)
			if list, err := b.h.App("acme").Pauses(b.h.Context()); err != nil || len(list) != i+1 || list[i].Reason != hostile || list[i].By != "ann" {
				t.Errorf("after %v: %+v, %v", form, list, err)
			}
		}
		b.has(t, at+"/pauses", "the app</th>", "<code>bad:say</code>", "pool mail, key &#34;", "alert(1)")
		b.has(t, at+"/pools", `href="/ui/apps/acme/pauses">paused`)
		for _, of := range []url.Values{nil, {"function": {"bad:say"}, "pool": {"mail"}}, {"poolKey": {"k"}}} {
			if w := b.ask("POST", at+"/pauses", of); w.Code != 400 {
				t.Errorf("a pause of %v: %d %s", of, w.Code, w.Body)
			}
		}
		b.signInAs(t, server.ScopeRead)
		b.has(t, at+"/pauses", "!alert(1)", "hidden", `!action="/ui/apps`)
		b.has(t, at+"/pools", `!action="/ui/apps`)
		b.signInAs(t, server.Scopes()...)
		for i, of := range pauses {
			b.mustGo(t, at+"/pauses/end", at+"/pauses", of)
			if list, err := b.h.App("acme").Pauses(b.h.Context()); err != nil || len(list) != len(pauses)-i-1 {
				t.Errorf("%v has ended, and there are %+v, %v", of, list, err)
			}
		}
		b.has(t, at+"/pauses", "Nothing of the app is paused.")
	})
}

// TestGroupsAreShownAndCanceled: the pages of groups list them page by page, and cancel one that goes on.
func TestGroupsAreShownAndCanceled(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		const at = "/ui/apps/acme/groups"
		b.signInAs(t, server.Scopes()...)
		b.has(t, at, "The app has no groups.")
		s, say := b.h.Scheduler("acme"), dispatch.Path("bad:say").With(note{hostile})
		var ids []storage.GroupID
		for range 2 {
			id, err := s.NewGroup(say)
			if err == nil {
				_, err = s.RunAfter(time.Hour, say, dispatch.InGroup(id))
			}
			if err == nil {
				err = s.Seal(id)
			}
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		one, two := fmt.Sprint(ids[0]), fmt.Sprint(ids[1])
		b.has(t, at+"?limit=1", `groups/`+one+`"`, "!groups/"+two+`"`, `href="?after=`+one+`&amp;limit=1">Next page`)
		b.has(t, at+"?limit=1&after="+one, "!groups/"+one+`"`, "groups/"+two+`"`, `href="?limit=1">First page`)
		b.has(t, at+"/"+one, "Cancel its 1 jobs", "sealed", "/ui/apps/acme/jobs?group="+one)
		b.mustGo(t, at+"/"+one+"/cancel", at+"/"+one, nil)
		b.h.Advance(time.Second)
		g, known, err := s.Group(ids[0])
		if err != nil || !known || g.Ends.Canceled != 1 || g.EndedAt.IsZero() {
			t.Errorf("the group is %+v, %t, %v", g, known, err)
		}
		b.has(t, at+"/"+one, "!Cancel its", string(g.FollowUp))
		b.has(t, at+"?going=true", "!groups/"+one+`"`, "groups/"+two+`"`)
		if w := b.ask("POST", at+"/"+one+"/cancel", nil); w.Code != 400 && w.Code != 409 {
			t.Errorf("canceled twice: %d %s", w.Code, w.Body)
		}
		page, err := b.h.Engine.AuditLog(storage.AuditFilter{Apps: []storage.AppID{"acme"}})
		if err != nil || len(page.Entries) == 0 || page.Entries[0].Action != "POST groups/{group}/cancel" || page.Entries[0].IDs[0] != one {
			t.Errorf("the audit log has %+v, %v", page.Entries, err)
		}
		b.signInAs(t, server.ScopeRead)
		b.has(t, at+"/"+two, "!Cancel its")
	})
}

// TestSystemIsForThoseWhoLookAfterIt: the page of the system shows volumes and the configuration to operators of all apps
// with the scope admin alone, and no option in it is a secret or a part of the program.
func TestSystemIsForThoseWhoLookAfterIt(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		settings := map[string]string{}
		system := func() (s api.System) {
			token, _ := b.token(t, allOperator(), time.Time{})
			w := b.ask("GET", "/v1/system", nil, "Authorization", "Bearer "+token)
			var answer struct{ Result api.System }
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			return answer.Result
		}
		s := system()
		for _, of := range s.Settings {
			settings[of.Of+"."+of.Name] = of.Value
		}
		for name, want := range map[string]string{
			"engine.Concurrency": "1024", "engine.Volumes": "1", "engine.LockTimeout": "1s", "engine.LogKeep": "268435456", "engine.Limits.Args": "1048576", "engine.Limits.Result": "1048576",
			"engine.Retention": "168h0m0s", "engine.TxLimits.Jobs": "10000", "server.MaxStreams": "1024", "server.Hosts": "a.internal, b.internal",
		} {
			if settings[name] != want {
				t.Errorf("%s is %q, want %q", name, settings[name], want)
			}
		}
		for _, none := range []string{"server.Version", "server.BasePath", "engine.Logger", "server.Operator", "engine.Functions", "engine.Program"} {
			if value, there := settings[none]; there {
				t.Errorf("%s is told: %q", none, value)
			}
		}
		v := s.Volumes[0]
		if s.Health != api.HealthOK || s.Version != hostile || !v.Served || v.Epoch != 1 || v.Bytes < 4096 || v.FreeBytes >= v.Bytes || s.Log.Bytes == 0 {
			t.Errorf("the system is %+v", s)
		}
		b.signInAs(t, server.Scopes()...)
		b.has(t, "/ui/system", ">served<", "<code>Concurrency</code>", "a.internal, b.internal", "No handler is stuck.", `!action="/ui/system`)
		b.signInAs(t, server.ScopeRead, server.ScopeWrite)
		b.has(t, "/ui/system", "Slots taken", "!Concurrency", "!a.internal", "!>served<")
		text, _ := b.token(t, server.Operator{Name: "bob", Apps: []storage.AppID{"acme"}, Scopes: server.Scopes()}, time.Time{})
		b.signIn(t, text)
		b.has(t, "/ui/system", "Wall clock", "!Slots taken", "!Concurrency")

		b.h.StepClock(6 * time.Hour)
		b.h.Advance(2 * time.Second)
		b.has(t, "/ui/system", "notice warn", `!action="/ui/system/clock"`)
		b.signInAs(t, server.Scopes()...)
		b.has(t, "/ui/system", "notice warn", `action="/ui/system/clock"`)
		b.mustGo(t, "/ui/system/clock", "/ui/system", nil)
		b.has(t, "/ui/system", "!notice warn", `!action="/ui/system/clock"`)
		b.h.Crash()
		b.mount()
		if again := system().Volumes[0]; again.Epoch != 2 {
			t.Errorf("after a restart the volume is %+v", again)
		}
	})
}
