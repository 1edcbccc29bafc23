package server_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
)

// TestTokensLife: a token is made, let in, listed without its secret, and good for nothing from
// the instant it expires, or was revoked; both outlive a crash.
func TestTokensLife(t *testing.T) {
	actorstest.Run(t, actors.Options{Functions: dispatch.NewRegistry()}, func(h *actorstest.Harness) {
		send := func(method, path, token, body string) reply {
			req, rec := httptest.NewRequest(method, path, strings.NewReader(body)), httptest.NewRecorder()
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+token)
			server.New(h.Engine, server.Options{Operator: server.Tokens(h.Engine)}).ServeHTTP(rec, req)
			return reply{rec.Code, rec.Header(), rec.Body.String()}
		}
		first, _ := mustToken(t, h.Engine, server.Operator{Name: "first", AllApps: true, Scopes: server.Scopes()}, time.Now(), time.Time{})
		in := func(token string) bool { return send("GET", "/v1/clock", token, "").status == 200 }
		expires := time.Now().Add(time.Hour).UTC()
		got := send("POST", "/v1/tokens", first, `{"name":"ann","apps":["acme"],"scopes":["read"],"expiresAt":"`+expires.Format(time.RFC3339Nano)+`"}`)
		var made struct{ Result api.Token }
		if err := json.Unmarshal([]byte(got.body), &made); err != nil || got.status != 201 || !made.Result.ExpiresAt.Equal(expires) || made.Result.Name != "ann" {
			t.Fatalf("made: %d %s, %v", got.status, got.body, err)
		}
		ann, list := made.Result.Token, send("GET", "/v1/tokens", first, "").body
		if secret := ann[strings.LastIndex(ann, "_")+1:]; !in(ann) || len(secret) < 26 || strings.Contains(list, secret) || !strings.Contains(list, `"apps":["acme"]`) {
			t.Errorf("with the token %s the list is %s", ann, list)
		}
		h.Crash()
		if !in(first) || !in(ann) {
			t.Error("a crash has taken tokens away")
		}
		h.Advance(time.Until(expires) - time.Millisecond)
		if !in(ann) {
			t.Error("the token has expired a millisecond early")
		}
		h.Advance(time.Millisecond)
		if in(ann) {
			t.Error("the token has not expired")
		}
		if list := send("GET", "/v1/tokens", first, "").body; !strings.Contains(list, `"expired":true`) {
			t.Errorf("the list does not say so: %s", list)
		}
		second, id := mustToken(t, h.Engine, server.Operator{Name: "second", AllApps: true, Scopes: server.Scopes()}, time.Now(), time.Time{})
		if got := send("DELETE", "/v1/tokens/"+id, second, ""); got.status != 200 || in(second) {
			t.Errorf("revoked: %d %s", got.status, got.body)
		}
		if got := send("DELETE", "/v1/tokens/"+id, first, ""); got.status != 404 {
			t.Errorf("revoked again: %d %s", got.status, got.body)
		}
		h.Crash()
		if in(second) || !in(first) {
			t.Error("a crash has brought a token back")
		}
		// A token may no more than its maker may.
		admin, _ := mustToken(t, h.Engine, server.Operator{Name: "admin", AllApps: true, Scopes: []server.Scope{server.ScopeAdmin}}, time.Now(), time.Time{})
		for _, tt := range []struct {
			body, want string
			status     int
		}{
			{`{"name":"x","allApps":true,"scopes":["admin","read"]}`, "does not have the scope read", 403},
			{`{"name":"x","allApps":true,"scopes":["admin"]}`, `"token":"carillon_`, 201},
			{`{"name":"x","allApps":true,"scopes":["root"]}`, "unknown scope", 400},
			{`{"name":"x","allApps":true,"scopes":[]}`, "needs scopes", 400},
			{`{"name":"x","scopes":["admin"]}`, "which?", 400},
			{`{"name":"x","allApps":true,"apps":["a"],"scopes":["admin"]}`, "which?", 400},
			{`{"name":"x","apps":["a/b"],"scopes":["admin"]}`, "app id", 400},
			{`{"name":"","allApps":true,"scopes":["admin"]}`, "name of a token", 400},
			{`{"name":"x","allApps":true,"scopes":["admin"],"expiresAt":"1999-01-01T00:00:00Z"}`, "would have expired", 400},
			{`{"name":"x","allApps":true,"scopes":["admin"],"expires":1}`, "expires", 400},
			{`[]`, "no JSON object", 400},
		} {
			if got := send("POST", "/v1/tokens", admin, tt.body); got.status != tt.status || !strings.Contains(got.body, tt.want) {
				t.Errorf("%s: got %d %s, want %d and %s", tt.body, got.status, got.body, tt.status, tt.want)
			}
		}
		if all, err := h.Engine.Tokens().List(); err != nil || len(all) != 4 {
			t.Errorf("a refusal has made a token: %d, %v", len(all), err)
		}
	})
}
