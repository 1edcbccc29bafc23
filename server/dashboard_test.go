package server_test

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
)

// pageRights is what each page of the dashboard needs, as rights has it for the JSON API; "any" is of
// any operator.
var pageRights = map[string]string{
	"GET /ui/style.css":            open,
	"GET /ui/static/{hash}/{file}": open,
	"GET /ui/live":                 "read",
	"POST /ui/login":               open,
	"POST /ui/logout":              open,
	"GET /ui/{rest...}":            "any",
	"GET /ui/{$}":                  "read",
	"GET /ui/apps":                 "read",
	"GET /ui/apps/{app}":           "read",
	"POST /ui/apps/{app}/pause":    "write",
	"POST /ui/apps/{app}/resume":   "write",

	"GET /ui/apps/{app}/jobs":              "read",
	"GET /ui/apps/{app}/jobs/{id}":         "read",
	"POST /ui/apps/{app}/jobs/{id}/cancel": "write",
	"POST /ui/apps/{app}/jobs/{id}/retry":  "write",
	"POST /ui/apps/{app}/jobs/{id}/run":    "write",

	"GET /ui/apps/{app}/triggers":                         "read",
	"GET /ui/apps/{app}/triggers/{name}":                  "read",
	"POST /ui/apps/{app}/triggers/{name}/pause":           "write",
	"POST /ui/apps/{app}/triggers/{name}/resume":          "write",
	"POST /ui/apps/{app}/triggers/{name}/run":             "write",
	"POST /ui/apps/{app}/triggers/{name}/backfill":        "write",
	"POST /ui/apps/{app}/triggers/{name}/backfill/cancel": "write",
	"POST /ui/apps/{app}/triggers/{name}/delete":          "write",
	"GET /ui/apps/{app}/pools":                            "read",
	"POST /ui/apps/{app}/pools/{pool}/limit":              "write",
	"POST /ui/apps/{app}/pools/{pool}/limit/clear":        "write",
	"GET /ui/apps/{app}/groups":                           "read",
	"GET /ui/apps/{app}/groups/{group}":                   "read",
	"POST /ui/apps/{app}/groups/{group}/cancel":           "write",
	"GET /ui/apps/{app}/pauses":                           "read",
	"POST /ui/apps/{app}/pauses":                          "write",
	"POST /ui/apps/{app}/pauses/end":                      "write",
	"GET /ui/apps/{app}/triggers/{name}/edit":             "read",
	"POST /ui/apps/{app}/triggers/{name}/edit":            "read", // which tells that this one is not there
	"GET /ui/apps/{app}/functions":                        "read",
	"GET /ui/apps/{app}/functions/{function...}":          "read",
	"POST /ui/apps/{app}/functions/{function...}":         "read write call read-args",
	"GET /ui/apps/{app}/new-trigger":                      "read",
	"POST /ui/apps/{app}/new-trigger":                     "write call",
	"POST /ui/apps/{app}/jobs/{id}/reschedule":            "write",
	"POST /ui/apps/{app}/jobs/{id}/drop":                  "write",
	"GET /ui/apps/{app}/jobs/{id}/args":                   "read",
	"POST /ui/apps/{app}/jobs/{id}/args":                  "read write",
	"POST /ui/apps/{app}/jobs/{id}/abandon":               "write",
	"GET /ui/apps/{app}/export":                           "admin",
	"POST /ui/apps/{app}/delete":                          "admin",
	"GET /ui/apps/{app}/operations":                       "read",
	"POST /ui/apps/{app}/operations":                      "write",
	"GET /ui/apps/{app}/operations/new":                   "write",
	"GET /ui/apps/{app}/operations/{id}":                  "read",
	"POST /ui/apps/{app}/operations/{id}/cancel":          "write",

	"GET /ui/apps/{app}/tables":                                "read",
	"GET /ui/apps/{app}/tables/{table}":                        "read read-docs",
	"GET /ui/apps/{app}/tables/{table}/new":                    "read",
	"POST /ui/apps/{app}/tables/{table}/new":                   "read-docs write-docs",
	"GET /ui/apps/{app}/tables/{table}/documents/{id}":         "read-docs",
	"POST /ui/apps/{app}/tables/{table}/documents/{id}":        "read-docs write-docs",
	"POST /ui/apps/{app}/tables/{table}/documents/{id}/delete": "read-docs write-docs",
	"GET /ui/jump":                           "any",
	"GET /ui/new-app":                        "admin",
	"POST /ui/new-app":                       "admin",
	"POST /ui/new-app/import":                "admin",
	"GET /ui/backup":                         "whole admin",
	"GET /ui/apps/{app}/openapi.json":        "read",
	"GET /ui/apps/{app}/api.d.ts":            "read",
	"GET /ui/audit":                          "admin",
	"GET /ui/system":                         "read",
	"GET /ui/nodes":                          "whole read",
	"GET /ui/tokens":                         "whole admin",
	"POST /ui/tokens":                        "whole admin",
	"POST /ui/tokens/{id}/revoke":            "whole admin",
	"POST /ui/system/clock":                  "whole admin",
	"POST /ui/apps/{app}/calls/{id}/abandon": "write",
}

// hostile is text that does harm where it is not escaped.
const hostile = `"'><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}`

// signs is a table of the app.
var signs = storage.NewTable[note]("signs", storage.Index("by_text", "text"))

// browser asks a server with a dashboard, on an engine with an app that has a bit of everything.
type browser struct {
	survey atomic.Pointer[func()] // is called before the apps are counted
	h      *actorstest.Harness
	site   http.Handler
	job    string // one that has failed
	cookie string // of a session
}

// inBrowser runs the test with the app acme, of which one job has failed.
func inBrowser(t *testing.T, test func(t *testing.T, b *browser)) {
	t.Helper()
	reg := dispatch.NewRegistry()
	say := dispatch.InternalMutation[note, dispatch.None]("bad:say")
	say.Handle(reg, func(_ *dispatch.MutationCtx, n note) (none dispatch.None, err error) {
		if n.Text == "somewhere" {
			return none, dispatch.Permanent(placed{})
		}
		return none, dispatch.Permanent(dispatch.Errorf(dispatch.CodeInvalidArgument, "%s", n.Text))
	})
	reg.Remote("ext:*", elsewhere{})
	mail := dispatch.NewPool("mail", 2)
	dispatch.InternalAction[dispatch.None, dispatch.None]("bad:hang", dispatch.InPool(mail)).Handle(reg, func(ctx *dispatch.ActionCtx, _ dispatch.None) (none dispatch.None, err error) {
		<-ctx.Done()
		return none, ctx.Err()
	})
	opts := actors.Options{
		Tables: []storage.Schema{signs}, Functions: reg, Logger: slog.New(slog.DiscardHandler), Pools: []*dispatch.Pool{mail},
	}
	b := &browser{}
	opts.Testing.Survey = func() {
		if wait := b.survey.Load(); wait != nil {
			(*wait)()
		}
	}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		t := h.TB().(*testing.T)
		b.h = h
		b.mount()
		id, err := h.Scheduler("acme").RunAfter(0, say.With(note{hostile}), dispatch.Tags(strings.ReplaceAll(hostile, "alert", "print")))
		if err != nil {
			t.Fatal(err)
		}
		b.job = string(id)
		if _, err := h.App("acme").EditDocument(h.Context(), storage.DocumentEdit{Table: signs.Name(), JSON: mustJSON(t, note{hostile})}); err != nil {
			t.Fatal(err)
		}
		h.Advance(time.Second)
		if job := h.Job("acme", id); job.State != storage.StateFailed {
			t.Fatalf("the job is %s", job.State)
		}
		test(t, b)
	})
}

// mount has the server be one of the engine as it is now. It asks clients who they are, so that their routes are for every
// host's name, and those of operators are not.
func (b *browser) mount() {
	b.site = server.New(b.h.Engine, server.Options{
		Operator: server.Tokens(b.h.Engine), Logger: slog.New(slog.DiscardHandler), Hosts: []string{"a.internal", "b.internal"}, Version: hostile,
		Identify: func(*http.Request) (*dispatch.Identity, error) { return nil, nil },
	})
}

// token makes a token, and returns its text and id.
func (b *browser) token(t *testing.T, op server.Operator, expiresAt time.Time) (text, id string) {
	t.Helper()
	if op.Name == "" {
		op.Name = hostile[:60]
	}
	return mustToken(t, b.h.Engine, op, b.h.Engine.Clock().Wall, expiresAt)
}

// ask sends a request with the browser's cookie, a form if its method is POST.
func (b *browser) ask(method, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	media := ""
	if method == http.MethodPost {
		media = "application/x-www-form-urlencoded"
	}
	return b.send(method, path, media, strings.NewReader(form.Encode()), header...)
}

// send sends a request with the browser's cookie and a body of the type, if that is not "".
func (b *browser) send(method, path, media string, body io.Reader, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(b.h.Context(), method, path, body)
	r.Host = "localhost"
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	if b.cookie != "" {
		r.Header.Set("Cookie", "other=1; "+b.cookie)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if strings.HasPrefix(path, "/ui/live") { // which has no end
		ctx, stop := context.WithCancel(r.Context())
		stop()
		r = r.WithContext(ctx)
	}
	w := httptest.NewRecorder()
	b.site.ServeHTTP(w, r)
	return w
}

// signIn begins a session with the token and returns its cookie.
func (b *browser) signIn(t *testing.T, token string) *http.Cookie {
	t.Helper()
	w := b.ask("POST", "/ui/login", url.Values{"token": {token}, "next": {"/ui/apps?contains=a"}}, "Sec-Fetch-Site", "same-origin")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/ui/apps?contains=a" || len(w.Result().Cookies()) != 1 {
		t.Fatalf("signed in: %d %v %s", w.Code, w.Header(), w.Body)
	}
	cookie := w.Result().Cookies()[0]
	b.cookie = cookie.Name + "=" + cookie.Value
	return cookie
}

// allOperator is one who may do everything.
func allOperator() server.Operator { return server.Operator{AllApps: true, Scopes: server.Scopes()} }

// pathOfPage is the address that a pattern stands for.
func (b *browser) pathOfPage(pattern, app string) string {
	return strings.NewReplacer("{$}", "", "{app}", app, "{id}", b.job, "{name}", "none", "{pool}", "mail", "{group}", "1", "{function...}", "bad:say", "{table}", "signs", "{rest...}", "no/such/page").Replace(pattern)
}

// TestEveryPageHasItsDoor walks every page of the dashboard as callers without a token, with a bad one, with
// one of another app, with each scope alone and with what the page needs, by a token and by a session.
func TestEveryPageHasItsDoor(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		pages := server.Pages(b.site)
		if missing := slices.DeleteFunc(slices.Sorted(maps.Keys(pageRights)), func(row string) bool { return slices.Contains(pages, row) }); len(missing) > 0 {
			t.Errorf("these rows are of no page: %q", missing)
		}
		callers := map[string]*server.Operator{
			"": nil, "carillon_aaaaaaaaaa_BBBBBBBBBBBBBBBBBBBBBBBBBB": nil,
		}
		cookies := map[string]string{}
		add := func(op server.Operator) {
			text, _ := b.token(t, op, time.Time{})
			callers[text] = &op
			b.signIn(t, text)
			cookies[text] = b.cookie
		}
		add(allOperator())
		add(server.Operator{Apps: []storage.AppID{"other"}, Scopes: server.Scopes()})
		for _, scope := range server.Scopes() {
			add(server.Operator{Apps: []storage.AppID{"acme"}, Scopes: []server.Scope{scope}})
		}
		for _, row := range pages {
			need, known := pageRights[row]
			if !known {
				t.Errorf("%s: which rights does it need? This test has no row of it", row)
			}
			if need == open {
				continue
			}
			need, whole := strings.CutPrefix(need, "whole ")
			method, pattern, _ := strings.Cut(row, " ")
			for token, op := range callers {
				want := 0
				switch {
				case op == nil:
					want = http.StatusUnauthorized
				case whole && !op.AllApps, strings.Contains(pattern, "{app}") && !op.AllApps && !slices.Contains(op.Apps, "acme"),
					need != "any" && slices.ContainsFunc(strings.Fields(need), func(scope string) bool { return !slices.Contains(op.Scopes, server.Scope(scope)) }):
					want = http.StatusForbidden
				}
				ways := []*httptest.ResponseRecorder{}
				b.cookie = ""
				if token != "" {
					ways = append(ways, b.ask(method, b.pathOfPage(pattern, "acme"), nil, "Authorization", "Bearer "+token))
				}
				b.cookie = cookies[token]
				ways = append(ways, b.ask(method, b.pathOfPage(pattern, "acme"), nil))
				for _, w := range ways {
					let := w.Code != http.StatusUnauthorized && w.Code != http.StatusForbidden
					if let != (want == 0) || !let && w.Code != want {
						t.Errorf("%s as %+v: %d, want %d", row, op, w.Code, want)
					}
					if got := w.Code == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") != "" && strings.Contains(w.Body.String(), `<input id="token" name="token"`); got != (op == nil) {
						t.Errorf("%s as %+v: %d has the form to sign in: %t", row, op, w.Code, got)
					}
					if w.Code == http.StatusInternalServerError {
						t.Errorf("%s as %+v: %s", row, op, w.Body)
					}
				}
				if op != nil && want != 0 && strings.Contains(pattern, "{app}") { // it does not tell which apps there are
					there, other := b.ask(method, b.pathOfPage(pattern, "acme"), nil).Body.String(), b.ask(method, b.pathOfPage(pattern, "none"), nil).Body.String()
					if op.Apps[0] == "other" && strings.ReplaceAll(other, "none", "acme") != there {
						t.Errorf("%s as %+v: %q of an app that is there, %q of one that is not", row, op, there, other)
					}
				}
			}
		}
	})
}

// TestSessionsAreOfATokenThatIsGood: a session lets in what its token lets in, for 12 hours, in pages alone and
// after a restart too, and no longer than the token is good.
func TestSessionsAreOfATokenThatIsGood(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		text, id := b.token(t, allOperator(), time.Time{})
		brief, _ := b.token(t, allOperator(), b.h.Engine.Clock().Wall.Add(time.Hour))
		is := func(what string, want int) {
			t.Helper()
			if w := b.ask("GET", "/ui/apps", nil); w.Code != want {
				t.Errorf("%s: %d, want %d", what, w.Code, want)
			}
		}
		is("without a session", 401)
		for _, bad := range []string{"", "x", text[:len(text)-1] + "0", "carillon_" + id + "_", strings.TrimPrefix(text, "carillon_")} {
			w := b.ask("POST", "/ui/login", url.Values{"token": {bad}})
			if w.Code != 401 || len(w.Result().Cookies()) != 0 || bad != "" && strings.Contains(w.Body.String(), bad) && len(bad) > 5 {
				t.Errorf("signed in with %q: %d %v %s", bad, w.Code, w.Header(), w.Body)
			}
		}
		cookie := b.signIn(t, text)
		if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/ui/" || cookie.MaxAge != 12*60*60 || strings.Contains(cookie.Value, text[len(text)-10:]) {
			t.Errorf("the cookie is %+v", cookie)
		}
		is("signed in", 200)
		if w := b.ask("GET", "/v1/apps", nil); w.Code != 401 {
			t.Errorf("the JSON API takes the cookie: %d", w.Code)
		}
		good := b.cookie
		parts := strings.Split(cookie.Value, ".")
		for what, value := range map[string]string{
			"another token's":       "aaaaaaaaaa." + parts[1] + "." + parts[2],
			"longer":                parts[0] + ".9999999999." + parts[2],
			"unsealed":              parts[0] + "." + parts[1] + ".",
			"sealed by another key": parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])),
			"empty":                 "", "a dot": ".",
		} {
			b.cookie = cookie.Name + "=" + value
			is(what, 401)
		}
		b.cookie = good
		b.h.Crash()
		b.mount()
		is("after a restart", 200)

		b.signIn(t, brief)
		b.h.Advance(time.Hour - time.Second)
		is("before the token's end", 200)
		b.h.Advance(time.Second)
		is("the token has expired", 401)

		b.cookie = good
		b.h.Advance(11*time.Hour - 2*time.Second)
		is("before 12 hours are over", 200)
		b.h.Advance(2 * time.Second)
		is("12 hours are over", 401)

		b.signIn(t, text)
		is("signed in once more", 200)
		if w := b.ask("POST", "/ui/logout", nil); w.Code != 303 || len(w.Result().Cookies()) != 1 || w.Result().Cookies()[0].MaxAge >= 0 {
			t.Errorf("signed out: %d %v", w.Code, w.Header())
		}
		if known, err := b.h.Engine.Tokens().Remove(id); !known || err != nil {
			t.Fatal(known, err)
		}
		is("the token was revoked", 401)
	})
}

// TestSignInGoesToPagesAlone: what a form to sign in names as the next page is one of the dashboard.
func TestSignInGoesToPagesAlone(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		text, _ := b.token(t, allOperator(), time.Time{})
		for next, want := range map[string]string{
			"": "/ui/", "/ui/apps?prefix=a": "/ui/apps?prefix=a", "https://evil.example/ui/": "/ui/", "//evil.example/ui/": "/ui/",
			"/ui/../v1/apps": "/ui/", "/v1/apps": "/ui/", "javascript:alert(1)": "/ui/", `/ui/\evil.example`: `/ui/%5Cevil.example`, "/ui/%0d%0aSet-Cookie:x": "/ui/%0d%0aSet-Cookie:x",
		} {
			if w := b.ask("POST", "/ui/login", url.Values{"token": {text}, "next": {next}}); w.Code != 303 || w.Header().Get("Location") != want {
				t.Errorf("%q: %d to %q, want %q", next, w.Code, w.Header().Get("Location"), want)
			}
		}
	})
}

// TestFormsActOnJobs: the forms of a job's page do what the rows of the JSON API do, and say why when those refuse.
func TestFormsActOnJobs(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		text, _ := b.token(t, allOperator(), time.Time{})
		b.signIn(t, text)
		id, err := b.h.Scheduler("acme").RunAfter(time.Hour, dispatch.Path("bad:say").With(note{"later"}))
		if err != nil {
			t.Fatal(err)
		}
		at := "/ui/apps/acme/jobs/" + string(id)
		if body := b.ask("GET", at, nil).Body.String(); !strings.Contains(body, "It is not due yet.") || !strings.Contains(body, at+"/run") || strings.Contains(body, at+"/retry") {
			t.Errorf("the page of a job that is not due: %s", body)
		}
		if body := b.ask("GET", "/ui/apps/acme/jobs?state=pending&function=&tag=", nil).Body.String(); !strings.Contains(body, at) || strings.Contains(body, b.job) {
			t.Errorf("the pending ones are: %s", body)
		}
		for _, step := range []struct {
			form  string
			code  int
			state storage.State
		}{{"retry", 400, storage.StatePending}, {"run", 303, storage.StateFailed}, {"retry", 303, storage.StateFailed}, {"run", 400, storage.StateFailed}, {"cancel", 400, storage.StateFailed}} {
			w := b.ask("POST", at+"/"+step.form, nil)
			b.h.Advance(time.Second)
			if job := b.h.Job("acme", id); w.Code != step.code || job.State != step.state || w.Code == 303 && w.Header().Get("Location") != at {
				t.Errorf("%s: %d %v, and the job is %s: %s", step.form, w.Code, w.Header(), job.State, w.Body)
			}
		}
		id, err = b.h.Scheduler("acme").RunAfter(time.Hour, dispatch.Path("bad:say").With(note{"later"}))
		if err != nil {
			t.Fatal(err)
		}
		if w := b.ask("POST", "/ui/apps/acme/jobs/"+string(id)+"/cancel", nil); w.Code != 303 || b.h.Job("acme", id).State != storage.StateCanceled {
			t.Errorf("canceled: %d %s", w.Code, w.Body)
		}
	})
}

// TestSignInNeedsATokenOfTheStore: whatever else the host lets in, a session is of a token of the store, whole.
func TestSignInNeedsATokenOfTheStore(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		text, _ := b.token(t, allOperator(), time.Time{})
		b.site = server.New(b.h.Engine, server.Options{Admin: func(*http.Request) error { return nil }, Logger: slog.New(slog.DiscardHandler)})
		if w := b.ask("GET", "/ui/", nil); w.Code != 200 || strings.Contains(w.Body.String(), "Sign out") {
			t.Errorf("the host's operator: %d %s", w.Code, w.Body)
		}
		for token, want := range map[string]int{text: 303, text[:len(text)-26] + strings.Repeat("A", 26): 401, "s3cret": 401} {
			if w := b.ask("POST", "/ui/login", url.Values{"token": {token}}); w.Code != want || (len(w.Result().Cookies()) == 1) != (want == 303) {
				t.Errorf("with %q: %d %v", token, w.Code, w.Header())
			}
		}
	})
}

// TestFormsAreOfTheSameOrigin: a form that a page of another origin sends changes nothing; a link there
// arrives signed in. So it is for another host's name.
func TestFormsAreOfTheSameOrigin(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		text, _ := b.token(t, allOperator(), time.Time{})
		b.signIn(t, text)
		for _, header := range [][]string{
			{"Sec-Fetch-Site", "cross-site"},
			{"Sec-Fetch-Site", "same-site"},
			{"Origin", "https://evil.example"},
			{"Origin", "null"},
		} {
			for _, row := range server.Pages(b.site) {
				method, pattern, _ := strings.Cut(row, " ")
				w := b.ask(method, b.pathOfPage(pattern, "acme"), url.Values{"token": {text}}, header...)
				if refused := w.Code == http.StatusForbidden; refused != (method == http.MethodPost) || len(w.Result().Cookies()) > 0 {
					t.Errorf("%s with %q: %d %v", row, header, w.Code, w.Header())
				}
			}
		}
		if status, _, err := b.h.App("acme").Status(b.h.Context()); err != nil || status.Paused {
			t.Errorf("a form of another origin has paused the app, or: %v", err)
		}
		for _, header := range [][]string{{"Sec-Fetch-Site", "same-origin"}, {"Origin", "http://localhost"}} {
			w := b.ask("POST", "/ui/apps/acme/pause", url.Values{"reason": {hostile}}, header...)
			if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/ui/apps/acme" {
				t.Errorf("with %q: %d %s", header, w.Code, w.Body)
			}
			if status, _, err := b.h.App("acme").Status(b.h.Context()); err != nil || !status.Paused || status.Pauses[0].Reason != hostile {
				t.Errorf("with %q: it is not paused: %+v, %v", header, status, err)
			}
			if w := b.ask("POST", "/ui/apps/acme/resume", nil, header...); w.Code != http.StatusSeeOther {
				t.Errorf("resumed with %q: %d %s", header, w.Code, w.Body)
			}
		}
		page, err := b.h.Engine.AuditLog(storage.AuditFilter{Apps: []storage.AppID{"acme"}})
		page.Entries = slices.DeleteFunc(page.Entries, func(e storage.AuditEntry) bool { return e.Action == "GET export" }) // it changes nothing
		if err != nil || len(page.Entries) != 4 || page.Entries[3].Action != "POST pause" {
			t.Errorf("the audit log has %+v, %v", page.Entries, err)
		}
		if w := b.ask("POST", "/ui/apps/acme/pause", url.Values{"reason": {strings.Repeat("x", 64<<10)}}); w.Code != 413 || !strings.Contains(w.Body.String(), "<h1>That is too large</h1>") {
			t.Errorf("a form that is too large: %d %s", w.Code, w.Body)
		}
		for host, want := range map[string]int{"localhost:8377": 200, "evil.example": 403} {
			for _, path := range []string{"/ui/apps", "/ui/style.css"} {
				r := httptest.NewRequestWithContext(context.WithValue(b.h.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}), "GET", path, nil)
				r.Host = host
				r.Header.Set("Cookie", b.cookie)
				w := httptest.NewRecorder()
				if b.site.ServeHTTP(w, r); w.Code != want {
					t.Errorf("%s for %s: %d, want %d", path, host, w.Code, want)
				}
			}
		}
	})
}

// What no tag of a page may be, or have beside the values of attributes, and what no address may be: what runs, what
// is loaded from elsewhere, and styles in place.
var (
	tag       = regexp.MustCompile(`<[^>]*>`)
	value     = regexp.MustCompile(`"[^"]*"`)
	unsafeTag = regexp.MustCompile(`(?i)^<(script|style|iframe|img|object|embed|base)\b|\son\w+|\sstyle\b|'`)
	script    = regexp.MustCompile(`<script src="/ui/static/[0-9a-f]{16}/[a-z.]+\.js" defer></script>`) // one of ours, which holds nothing
	address   = regexp.MustCompile(`(?i)\s(?:src|href|action|formaction)="([^"]*)"`)
)

// harmIn is what may do harm in a page; "" if there is nothing.
func harmIn(body string) string {
	for _, tag := range tag.FindAllString(script.ReplaceAllString(body, ""), -1) {
		if harm := unsafeTag.FindString(value.ReplaceAllString(tag, `""`)); harm != "" {
			return tag
		}
		for _, to := range address.FindAllStringSubmatch(tag, -1) {
			if !regexp.MustCompile(`^(/[^/\\]|[?#])`).MatchString(to[1]) {
				return tag
			}
		}
	}
	return ""
}

// TestPagesEscapeWhatIsHostile: no page lets a job's arguments, error or tags, a reason or an operator's name be anything
// but text, and the Content-Security-Policy of every answer lets nothing run.
func TestPagesEscapeWhatIsHostile(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		text, _ := b.token(t, allOperator(), time.Time{})
		b.signIn(t, text)
		b.ask("POST", "/ui/apps/acme/pause", url.Values{"reason": {hostile}})
		shown := 0
		for _, row := range server.Pages(b.site) {
			method, pattern, _ := strings.Cut(row, " ")
			for _, query := range []string{"", "?contains=" + url.QueryEscape(hostile) + "&prefix=" + url.QueryEscape(hostile)} {
				if method == http.MethodPost && query == "" {
					continue // what it shows are refusals
				}
				w := b.ask(method, b.pathOfPage(pattern, "acme")+query, url.Values{"token": {hostile}, "next": {hostile}})
				body := w.Body.String()
				if bad := harmIn(body); bad != "" && strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
					t.Errorf("%s%s has %q", row, query, bad)
				}
				shown += strings.Count(body, "&lt;script&gt;")
				policy := w.Header().Get("Content-Security-Policy")
				for _, directive := range []string{"default-src 'none'", "script-src 'self'", "connect-src 'self'", "style-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"} {
					if !slices.Contains(strings.Split(policy, "; "), directive) {
						t.Errorf("%s: the policy is %q", row, policy)
					}
				}
				if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, "http") || strings.Contains(policy, "data:") {
					t.Errorf("%s: the policy is %q", row, policy)
				}
				if h := w.Header(); h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" || h.Get("X-Frame-Options") != "DENY" {
					t.Errorf("%s: %v", row, h)
				}
				if w.Code == 200 && strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
					for _, want := range []string{"<!doctype html>\n<html lang=\"en\"", "<main id=\"main\">", "<h1>", "<title>"} {
						if strings.Count(body, want) != 1 {
							t.Errorf("%s has %d times %q", row, strings.Count(body, want), want)
						}
					}
				}
			}
		}
		if shown < 5 {
			t.Errorf("only %d hostile texts were shown: the test shows nothing", shown)
		}
	})
}

// TestReferrersStayHere: a browser that says where a request comes from tells no one of the page's address; one that does
// not still says the origin of a form.
func TestReferrersStayHere(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		for site, want := range map[string]string{"none": "no-referrer", "": "same-origin"} {
			header := []string{"Sec-Fetch-Site", site}
			if site == "" {
				header = nil
			}
			if got := b.ask("GET", "/ui/", nil, header...).Header().Get("Referrer-Policy"); got != want {
				t.Errorf("of %q: %q, want %q", site, got, want)
			}
		}
	})
}

// TestPagesHideWhatOperatorsMayNotSee: what an operator without read-args is not shown by the JSON API is in no page.
func TestPagesHideWhatOperatorsMayNotSee(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		full, _ := b.token(t, server.Operator{Name: "ann", AllApps: true, Scopes: server.Scopes()}, time.Time{})
		reads, _ := b.token(t, server.Operator{Name: "bob", AllApps: true, Scopes: []server.Scope{server.ScopeRead}}, time.Time{})
		b.signIn(t, full)
		b.ask("POST", "/ui/apps/acme/pause", url.Values{"reason": {"the alert(1) of it"}})
		for _, path := range []string{"/ui/", "/ui/apps/acme", "/ui/apps/acme/jobs", "/ui/apps/acme/jobs/" + b.job} {
			b.signIn(t, full)
			if body := b.ask("GET", path, nil).Body.String(); !strings.Contains(body, "alert(1)") {
				t.Errorf("%s: with the scope there is nothing to see: %s", path, body)
			}
			b.signIn(t, reads)
			body := b.ask("GET", path, nil).Body.String()
			if strings.Contains(body, "alert(1)") || !strings.Contains(body, "invalid_argument") {
				t.Errorf("%s: without: %s", path, body)
			}
			if strings.Contains(body, `method="post" action="/ui/apps`) {
				t.Errorf("%s: a form is offered to one who may only read", path)
			}
		}
	})
}
