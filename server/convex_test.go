package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
)

// convex sends a call as npm convex does.
func (s *site) convex(tb testing.TB, kind, auth, path, args string) reply {
	tb.Helper()
	req := s.mustRequest(tb, http.MethodPost, "/v1/apps/acme/api/"+kind, strings.NewReader(`{"path":"`+path+`","format":"convex_encoded_json","args":[`+args+`]}`))
	req.Header.Set("Convex-Client", "npm-1.49.0")
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	return s.mustSend(tb, req)
}

func wantConvex(t *testing.T, got reply, status int, want string) {
	t.Helper()
	if got.status != status || strings.TrimSpace(got.body) != want {
		t.Errorf("%d %s, want %d %s", got.status, got.body, status, want)
	}
}

// failed is the answer for a function's error.
func failed(code, path, message string) string {
	data, _ := json.Marshal(message)
	of := ""
	if path != "" {
		of = `"path":"` + path + `",`
	}
	return `{"status":"error","errorMessage":` + string(data) + `,"errorData":{"code":"` + code + `",` + of + `"message":` + string(data) + `}}`
}

// TestConvexCalls: what npm convex sends is answered as it wants it, with the status 200 once there is a
// function to ask, and before that as every other route does.
func TestConvexCalls(t *testing.T) {
	s := mustSite(t, server.Options{})
	posted := s.convex(t, "mutation", "", "notes:post", `{"text":"hi"}`)
	if posted.status != 200 || !strings.HasPrefix(posted.body, `{"status":"success","value":"`) {
		t.Fatal(posted.status, posted.body)
	}
	wantConvex(t, s.convex(t, "query", "", "notes/all:count", ``), 200, `{"status":"success","value":1}`)
	wantConvex(t, s.convex(t, "query", "", "notes/all.js:count", `{}`), 200, `{"status":"success","value":1}`)
	wantConvex(t, s.convex(t, "function", "", "notes/all:count", `{}`), 200, `{"status":"success","value":1}`)
	wantConvex(t, s.convex(t, "query", "", "values:of", `{"n":{"$integer":"AQAAAAAAIAA="},"b":{"$bytes":"aGk="}}`), 200, `{"status":"success","value":{"n":{"$integer":"AQAAAAAAIAA="},"b":{"$bytes":"aGk="}}}`)
	wantConvex(t, s.convex(t, "query", "", "values:of", ``), 200, `{"status":"success","value":{"n":{"$integer":"AAAAAAAAAAA="},"b":{"$bytes":""}}}`)
	wantConvex(t, s.convex(t, "mutation", "", "bad:none", `{}`), 200, `{"status":"success","value":null}`)

	wantConvex(t, s.convex(t, "query", "", "values:of", `{"n":{"$float":"AAAAAAAA+H8="}}`), 200, failed("invalid_argument", "values:of", "args: .n.$float: NaN is no value that JSON has"))
	wantConvex(t, s.convex(t, "query", "", "values:of", `{"x":1}`), 200, failed("invalid_argument", "values:of", `args: unknown field "x"`))
	wantConvex(t, s.convex(t, "query", "", "values:keys", `{}`), 200, failed("failed_precondition", "values:keys", "the query has run, but a Convex client cannot hold its result: .é: the name has the character 'é', and a client takes ASCII only"))
	wantConvex(t, s.convex(t, "query", "", "notes:nosuch", `{}`), 200, failed("not_found", "notes:nosuch", `no function "notes:nosuch"`))
	wantConvex(t, s.convex(t, "mutation", "", "notes:wipe", `{}`), 200, failed("not_found", "notes:wipe", `no function "notes:wipe"`))
	wantConvex(t, s.convex(t, "query", "", "notes:post", `{"text":"hi"}`), 200, failed("invalid_argument", "notes:post", `function "notes:post" is of kind mutation, not query`))
	wantConvex(t, s.convex(t, "query", "", "code:already_exists", `{}`), 200, failed("already_exists", "code:already_exists", "as asked"))
	if got := s.convex(t, "query", "", "bad:error", `{}`); got.status != 200 || strings.Contains(got.body, "secret") || !strings.Contains(got.body, `"message":"internal error","requestId":"`) || !strings.Contains(s.log.String(), "the secret detail") {
		t.Errorf("a fault: %d %s", got.status, got.body)
	}

	for body, want := range map[string]string{
		`{"path":"notes:post","format":"xml"}`:      `format \"xml\", want convex_encoded_json or json`,
		`{"path":"notes:post","ts":"AAAAAAAAAAA="}`: "a ts is for query_at_ts",
		`{"path":"a:b","componentPath":"x"}`:        "there are no components here",
	} {
		if got := s.mustSend(t, s.mustRequest(t, "POST", "/v1/apps/acme/api/query", strings.NewReader(body))); got.status != 400 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	got := s.mustSend(t, s.mustRequest(t, "POST", "/v1/apps/acme//api/query", strings.NewReader(`{}`)))
	wantConvex(t, got, 404, `{"code":"not_found","message":"the client's address ends with a slash, so that it asks for //api/query: give it \"/v1/apps/acme\""}`)
}

// TestConvexKeys: a mutation that is repeated with its key is applied once.
func TestConvexKeys(t *testing.T) {
	s := mustSite(t, server.Options{})
	for range 2 {
		req := s.mustRequest(t, "POST", "/v1/apps/acme/api/mutation", strings.NewReader(`{"path":"notes:post","args":{"text":"hi"}}`))
		req.Header.Set("Idempotency-Key", "k")
		if got := s.mustSend(t, req); got.status != 200 || !strings.Contains(got.body, "success") {
			t.Fatal(got.status, got.body)
		}
	}
	wantConvex(t, s.convex(t, "query", "", "notes/all:count", ``), 200, `{"status":"success","value":1}`)
}

// TestConvexCallers: a client is who Identify says; an operator with setAdminAuth needs act-as, and call
// for internal functions, and is in the audit log.
func TestConvexCallers(t *testing.T) {
	as := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	none := operators{}
	for name, scopes := range map[string][]server.Scope{"acts": {server.ScopeActAs}, "both": {server.ScopeActAs, server.ScopeCall}, "calls": {server.ScopeCall, server.ScopeWrite}} {
		none[name] = &server.Operator{Name: name, Apps: []storage.AppID{"acme"}, Scopes: scopes}
	}
	none["other"] = &server.Operator{Name: "other", Apps: []storage.AppID{"other"}, Scopes: server.Scopes()}
	s := mustSite(t, server.Options{Operator: none.hook, Origins: []string{"https://page.example"}, Identify: func(r *http.Request) (*dispatch.Identity, error) {
		switch r.Header.Get("Authorization") {
		case "":
			return nil, nil
		case "Bearer good":
			return &dispatch.Identity{Subject: "ann"}, nil
		}
		return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, "this token is not good")
	}})
	is := `{"status":"success","value":"`
	wantConvex(t, s.convex(t, "query", "Bearer good", "who:ami", ``), 200, is+`ann"}`)
	wantConvex(t, s.convex(t, "query", "", "who:ami", ``), 200, failed("unauthenticated", "who:ami", "sign in first"))
	wantConvex(t, s.convex(t, "query", "Bearer bad", "who:ami", ``), 401, `{"code":"unauthenticated","message":"this token is not good"}`)
	wantConvex(t, s.convex(t, "query", "Bearer carillon_x", "who:ami", ``), 401, `{"code":"unauthenticated","message":"this is an operator's token: functions are for clients, setAdminAuth is for operators"}`)

	wantConvex(t, s.convex(t, "query", "Convex acts:"+as(`{"subject":"bob","name":"Bob"}`), "who:ami", ``), 200, is+`bob"}`)
	wantConvex(t, s.convex(t, "query", "Convex acts", "who:ami", ``), 200, failed("unauthenticated", "who:ami", "sign in first"))
	wantConvex(t, s.convex(t, "mutation", "Convex acts", "notes:wipe", ``), 200, failed("not_found", "notes:wipe", `no function "notes:wipe"`))
	wantConvex(t, s.convex(t, "mutation", "Convex both", "notes:wipe", ``), 200, `{"status":"success","value":null}`)
	wantConvex(t, s.convex(t, "query", "Convex both", "notes/all:count", ``), 200, `{"status":"success","value":0}`)
	for auth, want := range map[string]int{
		"Convex calls": 403, "Convex other": 403, "Convex good": 401, "Convex ": 401, "Convex acts:!": 400, "Convex acts:" + as(`{"name":"x"}`): 400, "Convex acts:" + as(`{"subject":1}`): 400, "Convex acts:": 400,
	} {
		if got := s.convex(t, "query", auth, "who:ami", ``); got.status != want || want == 401 && got.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %s, want %d", auth, got.status, got.body, want)
		}
	}
	// A page of another origin calls as a client, and never as an operator.
	for auth, want := range map[string]int{"Bearer good": 200, "Convex both": 403} {
		req := s.mustRequest(t, "POST", "/v1/apps/acme/api/query", strings.NewReader(`{"path":"notes/all:count"}`))
		req.Header.Set("Authorization", auth)
		req.Header.Set("Origin", "https://page.example")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		if got := s.mustSend(t, req); got.status != want {
			t.Errorf("%s from a page: %d %s, want %d", auth, got.status, got.body, want)
		}
	}
	page, err := s.eng.AuditLog(storage.AuditFilter{})
	if err != nil || len(page.Entries) != 1 || page.Entries[0].Operator != "both" || page.Entries[0].Action != "POST api/mutation" || page.Entries[0].IDs[0] != "notes:wipe" || page.Entries[0].App != "acme" {
		t.Errorf("the audit log has %+v, %v", page.Entries, err)
	}
	h := server.New(s.eng, server.Options{})
	req := s.mustRequest(t, "POST", "/v1/apps/acme/api/query", strings.NewReader(`{"path":"who:ami"}`))
	req.Header.Set("Authorization", "Convex both")
	if w := recorded(h, req); w.Code != 401 {
		t.Errorf("without operators: %d %s", w.Code, w.Body)
	}
}

// recorded is the handler's answer, without a network between.
func recorded(h http.Handler, req *http.Request) *httptest.ResponseRecorder {
	req.RequestURI, req.RemoteAddr = req.URL.RequestURI(), "127.0.0.1:1"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// TestConvexOperatorIsRevoked: a call of an operator ends within a second of the end of their token.
func TestConvexOperatorIsRevoked(t *testing.T) {
	s := mustSite(t, server.Options{})
	text, id := mustToken(t, s.eng, server.Operator{Name: "ann", AllApps: true, Scopes: server.Scopes()}, time.Now(), time.Time{})
	h := server.New(s.eng, server.Options{Operator: server.Tokens(s.eng)})
	req := s.mustRequest(t, "POST", "/v1/apps/acme/api/action", strings.NewReader(`{"path":"slow:wait"}`))
	req.Header.Set("Authorization", "Convex "+text)
	go func() {
		<-s.started
		_, _ = s.eng.Tokens().Remove(id)
	}()
	if w := recorded(h, req); w.Code != 401 || !strings.Contains(w.Body.String(), "revoked") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestConvexInstants: queries at an instant see what there was, and one that is not kept is refused with a
// word of what to do.
func TestConvexInstants(t *testing.T) {
	s := mustSite(t, server.Options{Identify: func(r *http.Request) (*dispatch.Identity, error) {
		if r.Header.Get("Authorization") != "Bearer good" {
			return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, "sign in first")
		}
		return nil, nil
	}})
	ask := func(path, body string, header ...string) reply {
		req := s.mustRequest(t, "POST", "/v1/apps/acme/api/"+path, strings.NewReader(body))
		if len(header) == 0 {
			req.Header.Set("Authorization", "Bearer good")
		}
		return s.mustSend(t, req)
	}
	ts := strings.TrimSpace(ask("query_ts", ``).body)
	s.post(t)
	at := func(ts string) reply {
		return ask("query_at_ts", `{"path":"notes/all:count","format":"convex_encoded_json","args":[{}],`+strings.TrimPrefix(ts, "{"))
	}
	wantConvex(t, at(ts), 200, `{"status":"success","value":0}`)
	wantConvex(t, at(strings.TrimSpace(ask("query_ts", `{}`).body)), 200, `{"status":"success","value":1}`)
	wantConvex(t, at(ts), 200, `{"status":"success","value":0}`)
	wantConvex(t, at(`{"ts":"//////////8="}`), 200, failed("aborted", "", "the instant 18446744073709551615 is not kept any more: ask for another one, and begin again"))
	for _, got := range []reply{ask("query_ts", ``, "none"), ask("query_at_ts", `{"path":"notes/all:count"}`, "none")} {
		wantConvex(t, got, 401, `{"code":"unauthenticated","message":"sign in first"}`)
	}
	for _, got := range []reply{ask("query_at_ts", `{"path":"notes/all:count"}`), at(`{"ts":"AA=="}`), ask("query_ts", `{"x":1}`)} {
		if got.status != 400 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}
