package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"carillon/server"
	"carillon/server/api"
)

// inputs says of rows of the JSON API on which page the form is that has their parameters and the fields of their bodies. What
// has another name there, or, behind a =, the reason why there is no field of it, is said; all else is called the same.
var inputs = map[string]struct {
	page   string
	fields map[string]string
}{
	"GET /v1/apps":                 {"/ui/apps", paged},
	"POST /v1/apps":                {"/ui/new-app", nil},
	"GET /v1/apps/{app}":           {"/ui/apps/acme", map[string]string{"history": "=it is always shown"}},
	"DELETE /v1/apps/{app}":        {"/ui/apps/acme", nil},
	"POST /v1/apps/{app}/pause":    {"/ui/apps/acme", nil},
	"GET /v1/backup":               {"/ui/system", nil},
	"GET /v1/crons/preview":        {"/ui/apps/acme/new-trigger", nil},
	"GET /v1/apps/{app}/crons":     {"/ui/apps/acme/triggers", slots},
	"POST /v1/apps/{app}/crons":    {"/ui/apps/acme/new-trigger", trigger(nil)},
	"GET /v1/apps/{app}/groups":    {"/ui/apps/acme/groups", map[string]string{"after": paging, "limit": paging, "going": "=the page of the app links to it"}},
	"POST /v1/apps/{app}/pauses":   {"/ui/apps/acme/pauses", nil},
	"DELETE /v1/apps/{app}/pauses": {"/ui/apps/acme/pauses", nil},
	"GET /v1/audit":                {"/ui/audit", paged},
	"GET /v1/stats":                {"/ui/system", map[string]string{"stale": "=the page does not wait for a count, and says how old it is"}},

	"GET /v1/apps/{app}/operations": {"/ui/apps/acme/operations", map[string]string{"cursor": paging, "limit": paging, "going": "=those that go on are the first"}},
	"POST /v1/apps/{app}/operations": {"/ui/apps/acme/operations/new?action=reschedule&of=filter&state=pending", map[string]string{
		"priority": "to", "filter": "state", "all": "=the page says so if the filter has no condition", "dryRun": "=the page counts before it asks",
	}},

	"GET /v1/apps/{app}/crons/{name}": {"/ui/apps/acme/triggers/none", slots},
	"PUT /v1/apps/{app}/crons/{name}": {"/ui/apps/acme/triggers/none/edit", trigger(map[string]string{"name": "=it stays", "paused": "=it is for one that is made"})},

	"POST /v1/apps/{app}/crons/{name}/backfill": {"/ui/apps/acme/triggers/none", nil},
	"POST /v1/apps/{app}/crons/{name}/pause":    {"/ui/apps/acme/triggers/none", nil},

	"GET /v1/apps/{app}/jobs": {"/ui/apps/acme/jobs", map[string]string{
		"cursor": paging, "limit": paging, "id": "=it has a page, and Go to finds it", "count": "=a change of what the filter chooses says how many there are",
	}},
	"POST /v1/apps/{app}/jobs": {"/ui/apps/acme/functions/bad:say", map[string]string{
		"function": ofThePage, "args": "arg.text", "afterMs": "after", "expiresMs": "expires", "timeoutMs": "timeout", "atMostOnce": "once", "as.subject": "as", "as.claims": "claims", "keepResult": "keep", "onDone": "then",
		"retry.maxAttempts": "attempts", "retry.backoff": "backoff", "retry.baseMs": "base", "retry.maxMs": "max", "retry.jitter": "spread",
		"unique.key": "key", "unique.policy": "policy", "unique.everyMs": "every", "unique.maxWaitMs": "maxWait", "unique.heldForMs": "heldFor", "unique.appWide": "appWide", "unique.pendingOnly": "pendingOnly",
	}},
	"POST /v1/apps/{app}/jobs/{id}/reschedule": {"/ui/apps/acme/jobs/{later}", map[string]string{"afterMs": "after", "priority": "to", "args": "=it has a page of its own", "ifArgs": "=that page says what it was made of"}},
	"POST /v1/apps/{app}/jobs/{id}/cancel":     {"/ui/apps/acme/jobs/{later}", nil},
	"POST /v1/apps/{app}/jobs/{id}/abandon":    {"/ui/system", map[string]string{"by": "=it is the operator"}},
	"POST /v1/apps/{app}/calls":                {"/ui/apps/acme/functions/bad:say", map[string]string{"function": ofThePage, "args": "arg.text", "as.subject": "as", "as.claims": "claims"}},
	"POST /v1/apps/{app}/calls/{id}/abandon":   {"/ui/system", map[string]string{"by": "=it is the operator"}},

	"PUT /v1/apps/{app}/pools/{pool}/limit": {"/ui/apps/acme/pools", nil},

	"GET /v1/apps/{app}/tables/{table}/documents":         {"/ui/apps/acme/tables/signs?index=by_text", paged},
	"POST /v1/apps/{app}/tables/{table}/documents":        {"/ui/apps/acme/tables/signs/new", nil},
	"PUT /v1/apps/{app}/tables/{table}/documents/{id}":    {"/ui/apps/acme/tables/signs/documents/{document}", nil},
	"DELETE /v1/apps/{app}/tables/{table}/documents/{id}": {"/ui/apps/acme/tables/signs/documents/{document}", nil},

	"GET /v1/apps/{app}/functions/api.d.ts": {"/ui/apps/acme/functions", map[string]string{"internal": "=there is a link for each"}},

	"POST /v1/tokens": {"/ui/tokens", map[string]string{"scopes": "scope", "allApps": "all", "expiresAt": "days"}},
}

const (
	paging    = "=there are links from page to page"
	ofThePage = "=it is that of the page"
)

var (
	paged = map[string]string{"cursor": paging, "limit": paging}
	slots = map[string]string{"slots": "=as many are shown as there is room for"}
)

// trigger are the fields of the form of a trigger, and those of one row besides.
func trigger(besides map[string]string) map[string]string {
	fields := map[string]string{
		"catchUp.mode": "mode", "catchUp.limit": "limit", "catchUp.windowMs": "window", "jitterMs": "jitter", "atMostOnce": "once", "timeoutMs": "timeout", "successWithinMs": "success", "as.subject": "as", "as.claims": "claims",
		"retry.maxAttempts": "attempts", "retry.backoff": "backoff", "retry.baseMs": "base", "retry.maxMs": "max", "retry.jitter": "spread",
	}
	for of, field := range besides {
		fields[of] = field
	}
	return fields
}

// leaves are the names of the type's fields in JSON, with those inside of others behind a dot. A filter, and a follow-up, is one.
func leaves(of reflect.Type, before string) (names []string) {
	for i := range of.NumField() {
		f := of.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inside := f.Type
		if inside.Kind() == reflect.Pointer {
			inside = inside.Elem()
		}
		switch {
		case f.Anonymous:
			names = append(names, leaves(inside, before)...)
		case inside.Kind() == reflect.Struct && inside != reflect.TypeFor[time.Time]() && inside != reflect.TypeFor[api.JobFilter]() && inside != reflect.TypeFor[api.FollowUp]():
			names = append(names, leaves(inside, before+name+".")...)
		default:
			names = append(names, before+name)
		}
	}
	return names
}

// TestFormsTakeWhatTheJSONAPITakes: each parameter of a row of the JSON API, and each field of its body, has a field in a form of
// the dashboard, or a reason why it needs none.
func TestFormsTakeWhatTheJSONAPITakes(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signInAs(t, server.Scopes()...)
		b.mustGo(t, "/ui/apps/acme/new-trigger", "/ui/apps/acme/triggers/none", url.Values{"name": {"none"}, "spec": {"@yearly"}, "function": {"bad:say"}})
		w := b.ask("POST", "/ui/apps/acme/tables/signs/new", url.Values{"value": {`{"text":"x"}`}})
		document := w.Header().Get("Location")
		places := strings.NewReplacer("{later}", string(b.later(t)), "{document}", document[strings.LastIndex(document, "/")+1:])
		for _, row := range server.Routes(b.site) {
			takes, body := server.InputOf(row)
			if body != nil && body.Kind() == reflect.Struct {
				takes = append(takes, leaves(body, "")...)
			}
			in, known := inputs[row]
			switch {
			case faceless[row] != "":
				continue
			case known != (len(takes) > 0):
				t.Errorf("%s takes %q: on which page is the form? This test has %q", row, takes, in.page)
				continue
			case !known:
				continue
			}
			page := b.ask("GET", places.Replace(in.page), nil)
			if page.Code != 200 {
				t.Errorf("%s: %s: %d", row, in.page, page.Code)
			}
			left := map[string]string{}
			for of, field := range in.fields {
				left[of] = field
			}
			for _, name := range takes {
				field, said := left[name]
				if delete(left, name); !said {
					field = name
				}
				if !strings.HasPrefix(field, "=") && !strings.Contains(page.Body.String(), `name="`+field+`"`) {
					t.Errorf("%s takes %s, and the page %s has no field %s for it", row, name, in.page, field)
				}
			}
			if len(left) > 0 {
				t.Errorf("%s does not take %v any more", row, left)
			}
		}
	})
}

// unshown says why a field of what the JSON API answers with is on no page.
var unshown = map[string]string{
	"AppStatus.PoolLimits": "the page of pools has each limit, and the declared one", "System.Health": "the page has the readiness, which says more",
	"Scheduled.Kept": "the page of the job that does it follows", "Scheduled.Replaced": "the page of the job that does it follows", "Scheduled.Holder": "the page of the job that does it follows",
	"JobFilter.Cursor": "it is that of an operation, which has none", "JobFilter.Desc": "it is that of an operation, which has none",
}

// TestPagesShowWhatTheJSONAPITells: each field of what a row of the JSON API answers with is in a page, or has a reason why it is not.
func TestPagesShowWhatTheJSONAPITells(t *testing.T) {
	var pages strings.Builder
	for _, pattern := range []string{"ui/*.go", "ui/templates/*.html"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			pages.Write(text)
		}
	}
	seen, left := map[reflect.Type]bool{}, maps.Clone(unshown)
	var look func(of reflect.Type)
	look = func(of reflect.Type) {
		switch of.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			look(of.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if seen[of] || !strings.HasSuffix(of.PkgPath(), "server/api") {
			return
		}
		seen[of] = true
		for i := range of.NumField() {
			f := of.Field(i)
			look(f.Type)
			name := of.Name() + "." + f.Name
			_, why := unshown[name]
			delete(left, name)
			if shown := f.Anonymous || regexp.MustCompile(`\.`+f.Name+`\b`).MatchString(pages.String()); shown == why {
				t.Errorf("%s is shown by a page: %t, and it has a reason not to be: %t", name, shown, why)
			}
		}
	}
	eng := mustOpen(t)
	rows := server.Routes(server.New(eng, server.Options{Admin: func(*http.Request) error { return nil }}))
	for _, row := range rows {
		for _, of := range server.AnswersOf(row) {
			if faceless[row] == "" {
				look(of)
			}
		}
	}
	if len(seen) < 30 || len(left) > 0 {
		t.Errorf("the answers have %d types, and of none are %v", len(seen), left)
	}
}

// TestFormsScheduleWithEveryOption: what is typed in the form of a job is what its row is told.
func TestFormsScheduleWithEveryOption(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signInAs(t, server.Scopes()...)
		const at = "/ui/apps/acme/functions/bad:say"
		form := func(more ...string) url.Values {
			form := url.Values{"do": {"schedule"}, "arg.text": {"x"}, "after": {"1h"}}
			for i := 0; i < len(more); i += 2 {
				form.Set(more[i], more[i+1])
			}
			return form
		}
		b.mustGo(t, at, "/ui/apps/acme/jobs/mine", form(
			"id", "mine", "attempts", "3", "base", "2s", "max", "1m", "backoff", "linear", "spread", "true", "keep", "true", "notAfter", "2099-01-01T00:00", "pool", "mail",
			"as", "service:cleaner", "claims", `{"team": "night"}`, "then", `{"function": "bad:hang", "args": {}, "asJob": true, "priority": 1}`,
			"key", "k", "policy", "replace", "maxWait", "2h", "appWide", "true", "pendingOnly", "true",
		))
		b.has(t, "/ui/apps/acme/jobs/mine", "3 attempts, linear back-off from 2 s to 1 min, with jitter", "Not begun after", "service:cleaner, with claims", "<code>bad:hang</code>", "Unique key", "mail")
		token, _ := b.token(t, allOperator(), time.Time{})
		told := func(path string, into any) {
			t.Helper()
			w := b.ask("GET", "/v1/apps/acme/"+path, nil, "Authorization", "Bearer "+token)
			answer := struct{ Result any }{into}
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 {
				t.Fatalf("%s: %d %s, %v", path, w.Code, w.Body, err)
			}
		}
		var job api.Job
		if told("jobs/mine", &job); job.As.Claims["team"] != "night" || job.UniqueKey != "k" || job.Priority == 1 || job.Pool != "mail" {
			t.Errorf("scheduled: %+v", job)
		}
		b.mustGo(t, at, "/ui/apps/acme/jobs/bare", form("id", "bare", "pool", "(none)", "keep", "false"))
		for what, more := range map[string][]string{
			"the id":                 {"id", "a b"},
			"a throttle of no span":  {"key", "k2", "policy", "throttle"},
			"every":                  {"key", "k2", "policy", "keep", "every", "1m"},
			"everyMs is for":         {"key", "k2", "policy", "refuse", "every", "1m"},
			"claims":                 {"claims", `{"a":1}`},
			"claims, which is no":    {"as", "service:x", "claims", `[1]`},
			"then":                   {"then", `{"function":"bad:say","nosuch":1}`},
			"then: this is no JSON":  {"then", `{`},
			"notAfter":               {"notAfter", "soon"},
			"group":                  {"group", "x"},
			"no group":               {"group", "77"},
			"no group either":        {"group", "-1"},
			"both":                   {"notAfter", "2099-01-01T00:00", "expires", "1h"},
			"a key without a policy": {"key", "k2", "policy", "none"},
		} {
			w := b.ask("POST", at, form(more...))
			if w.Code != 400 && w.Code != 404 || !strings.Contains(w.Body.String(), `role="alert"`) || harmIn(w.Body.String()) != "" {
				t.Errorf("%s, %q: %d %s", what, more, w.Code, w.Header().Get("Location"))
			}
		}
		if page := b.ask("POST", at, form("then", `{"function":"no:such"}`)).Body.String(); !strings.Contains(page, "<details open>") || !strings.Contains(page, "no:such") {
			t.Errorf("what was typed is not shown: %s", page)
		}

		b.mustGo(t, "/ui/apps/acme/new-trigger", "/ui/apps/acme/triggers/held", url.Values{
			"name": {"held"}, "spec": {"@yearly"}, "function": {"bad:say"}, "paused": {"true"}, "as": {"service:cleaner"}, "claims": {`{"team":"night"}`},
		})
		edit := "/ui/apps/acme/triggers/held/edit"
		b.has(t, "/ui/apps/acme/triggers/held", "It is paused")
		b.has(t, edit, "&#34;team&#34;", `!name="paused"`)
		for _, team := range []string{"night", "day", ""} {
			claims := ""
			if team != "" {
				claims = `{"team":"` + team + `"}`
			}
			b.mustGo(t, edit, "/ui/apps/acme/triggers/held", url.Values{"spec": {"@yearly"}, "function": {"bad:say"}, "as": {"service:cleaner"}, "claims": {claims}})
			var c api.Cron
			if told("crons/held", &c); c.As == nil || team != "" && c.As.Claims["team"] != team || team == "" && len(c.As.Claims) > 0 || !c.Paused {
				t.Errorf("with the claims %s it is %+v", claims, c)
			}
		}
	})
}
