package server_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"carillon/server"
)

// TestThePageOfTokens: it makes a token, whose text is on the page that answers and on no other, with no more than its maker
// has; lists all, 100 a page; and revokes one.
func TestThePageOfTokens(t *testing.T) {
	secret := regexp.MustCompile(`carillon_([a-z0-9]{10})_[A-Z2-7]{26}`)
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signInAs(t, server.Scopes()...)
		b.has(t, "/ui/tokens", "<th scope=\"row\">ann</th>", "Make a token", `value="90" selected`)
		made := func(form url.Values) (text, id string) {
			t.Helper()
			w := b.ask("POST", "/ui/tokens", form)
			found := secret.FindStringSubmatch(w.Body.String())
			if w.Code != 200 || found == nil || w.Header().Get("Cache-Control") != "no-store" || harmIn(w.Body.String()) != "" {
				t.Fatalf("%v: %d %v %s", form, w.Code, w.Header(), w.Body)
			}
			if page := b.ask("GET", "/ui/tokens", nil).Body.String(); strings.Contains(page, found[0]) || !strings.Contains(page, found[1]) {
				t.Errorf("after it was made: %s", page)
			}
			return found[0], found[1]
		}
		let := func(text string, want int) {
			t.Helper()
			asked := &browser{h: b.h, site: b.site}
			if w := asked.ask("GET", "/v1/apps/acme", nil, "Authorization", "Bearer "+text); w.Code != want {
				t.Errorf("the token: %d, want %d: %s", w.Code, want, w.Body)
			}
		}
		text, id := made(url.Values{"name": {hostile[:60]}, "scope": {"read"}, "apps": {" acme \n\nother"}, "days": {"7"}})
		let(text, 200)
		if token, _, err := b.h.Engine.Tokens().Get(id); err != nil || !token.ExpiresAt.Equal(b.h.Engine.Clock().Wall.Add(7*24*time.Hour)) || len(token.Apps) != 2 || token.AllApps || len(token.Scopes) != 1 {
			t.Errorf("it is %+v, %v", token, err)
		}
		b.mustGo(t, "/ui/tokens/"+id+"/revoke", "/ui/tokens", nil)
		let(text, 401)
		_, id = made(url.Values{"name": {"ann"}, "scope": {"read", "admin"}, "all": {"true"}, "days": {"0"}})
		if token, _, err := b.h.Engine.Tokens().Get(id); err != nil || !token.ExpiresAt.IsZero() || !token.AllApps {
			t.Errorf("it is %+v, %v", token, err)
		}
		for _, tt := range []struct {
			form url.Values
			code int
			text string
		}{
			{url.Values{"name": {"bob"}, "all": {"true"}, "days": {"7"}}, 400, "a token needs scopes"},
			{url.Values{"name": {"bob"}, "scope": {"read"}, "days": {"7"}}, 400, "for some apps or for all"},
			{url.Values{"name": {"bob"}, "scope": {"read"}, "all": {"true"}, "days": {"366"}}, 400, "want up to 365"},
			{url.Values{"name": {"bob"}, "scope": {"read"}, "all": {"true"}, "days": {"x"}}, 400, "want a number"},
			{url.Values{"name": {"bob"}, "scope": {"every"}, "all": {"true"}}, 400, "unknown scope"},
		} {
			w := b.ask("POST", "/ui/tokens", tt.form)
			if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.text) || !strings.Contains(w.Body.String(), `value="bob"`) || secret.MatchString(w.Body.String()) {
				t.Errorf("%v: %d %s", tt.form, w.Code, w.Body)
			}
		}
		if w := b.ask("POST", "/ui/tokens/none/revoke", nil); w.Code != 404 {
			t.Errorf("revoked none: %d", w.Code)
		}
		for i := range 100 {
			b.h.Advance(time.Millisecond)
			b.token(t, server.Operator{Name: fmt.Sprint("op-", i), AllApps: true, Scopes: server.Scopes()}, time.Time{})
		}
		b.has(t, "/ui/tokens", "op-99<", "op-0<", `href="?from=100"`, `!row">ann<`)
		b.has(t, "/ui/tokens?from=100", "!op-0<", `row">ann<`, "First page")
		b.has(t, "/ui/tokens?from=-5", "op-99<")
		b.has(t, "/ui/tokens?from=9999", "There are no tokens")

		b.signInAs(t, server.ScopeAdmin)
		if w := b.ask("POST", "/ui/tokens", url.Values{"name": {"bob"}, "scope": {"write"}, "all": {"true"}}); w.Code != 403 || secret.MatchString(w.Body.String()) {
			t.Errorf("a token with a scope that its maker has not: %d %s", w.Code, w.Body)
		}
		b.has(t, "/ui/tokens", "<code>admin</code>", "!<code>write</code>")
	})
}
