package server_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"carillon/dispatch"
	"carillon/server"
)

// syncSite serves the site's engine to WebSockets.
func syncSite(t *testing.T, opts server.Options) (s *site, url string) {
	t.Helper()
	s = mustSite(t, server.Options{})
	srv := httptest.NewServer(server.New(s.eng, opts))
	t.Cleanup(srv.Close)
	return s, "ws" + strings.TrimPrefix(srv.URL, "http") + "/v1/apps/acme/api/1.49.0/sync"
}

// syncClient is a client of npm convex, as far as the messages go.
type syncClient struct {
	testing.TB
	conn *websocket.Conn
	at   string        // the end of the latest transition
	wait time.Duration // for a message; default 10 s
}

func mustDial(t testing.TB, url, session string, header http.Header) *syncClient {
	t.Helper()
	return mustDialBy(t, http.DefaultClient, url, session, header)
}

func mustDialBy(t testing.TB, client *http.Client, url, session string, header http.Header) *syncClient {
	t.Helper()
	conn, resp, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPClient: client, HTTPHeader: header})
	if err != nil {
		t.Fatal(resp, err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	c := &syncClient{TB: t, conn: conn, at: `{"querySet":0,"identity":0,"ts":"AAAAAAAAAAA="}`}
	if session != "" {
		c.send(`{"type":"Connect","sessionId":"` + session + `","connectionCount":0,"lastCloseReason":null,"clientTs":1}`)
	}
	return c
}

func (c *syncClient) send(message string) {
	c.Helper()
	if err := c.conn.Write(c.Context(), websocket.MessageText, []byte(message)); err != nil {
		c.Fatal(err)
	}
}

// next is the next message. A transition begins where the one before has ended.
func (c *syncClient) next() string {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), cmp.Or(c.wait, 10*time.Second))
	defer cancel()
	_, text, err := c.conn.Read(ctx)
	for err == nil && string(text) == `{"type":"Ping"}` {
		_, text, err = c.conn.Read(ctx)
	}
	if err != nil {
		return "closed: " + websocket.CloseStatus(err).String()
	}
	var t struct {
		Type                     string
		StartVersion, EndVersion json.RawMessage
	}
	if err := json.Unmarshal(text, &t); err != nil {
		c.Fatal(err)
	}
	if t.Type == "Transition" {
		if string(t.StartVersion) != c.at {
			c.Errorf("a transition begins at %s, the one before has ended at %s", t.StartVersion, c.at)
		}
		c.at = string(t.EndVersion)
	}
	return string(text)
}

// until reads messages up to the first that has the text, and returns all of them.
func (c *syncClient) until(part string) (all string) {
	c.Helper()
	for {
		m := c.next()
		if all += m + "\n"; strings.Contains(m, part) {
			return all
		}
		if strings.HasPrefix(m, "closed") {
			c.Fatalf("no message has %s:\n%s", part, all)
		}
	}
}

// query follows a query under the id.
func (c *syncClient) query(version int, id, path string) {
	c.Helper()
	before, _ := json.Marshal(version - 1)
	after, _ := json.Marshal(version)
	c.send(`{"type":"ModifyQuerySet","baseVersion":` + string(before) + `,"newVersion":` + string(after) + `,"modifications":[{"type":"Add","queryId":` + id + `,"udfPath":"` + path + `","args":[{}]}]}`)
}

func (s *site) post(t *testing.T) {
	t.Helper()
	app, err := s.eng.App("acme")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Call(t.Context(), "notes:post", json.RawMessage(`{"text":"hi"}`), nil); err != nil {
		t.Fatal(err)
	}
}

const postMutation = `{"type":"Mutation","requestId":7,"udfPath":"notes:post","args":[{"text":"hi"}]}`

// TestG40_ASessionsMutationIsAppliedOnce: a mutation resolves when the transition behind its answer shows it,
// and one that is sent again, over another connection, is answered again and applied once.
func TestG40_ASessionsMutationIsAppliedOnce(t *testing.T) {
	s, url := syncSite(t, server.Options{})
	value := func(n string) string {
		return `{"type":"QueryUpdated","queryId":0,"value":` + n + `,"logLines":[],"journal":null}`
	}
	var answer string
	for i, session := range []string{"a", "a", "b"} {
		c := mustDial(t, url, session, nil)
		c.query(1, "0", "notes/all:count")
		c.until(`"querySet":1`)
		c.send(postMutation)
		response := c.until(`"type":"MutationResponse"`)
		if !strings.Contains(response, `"requestId":7,"success":true,"result":"`) {
			t.Fatal(response)
		}
		_, result, _ := strings.Cut(response, `"result":`)
		result, _, _ = strings.Cut(result, ",")
		ts := response[strings.LastIndex(response, `"ts":`)+len(`"ts":`):]
		if shown := response + c.until(`"type":"Transition"`); !strings.HasPrefix(c.at, `{"querySet":1,"identity":0,"ts":`+ts[:14]) || i != 1 && !strings.Contains(shown, value([]string{"1", "1", "2"}[i])) {
			t.Errorf("%s: after %s comes %s", session, response, shown)
		}
		if i == 1 && result != answer {
			t.Errorf("the repeat was answered %s, the first one %s", result, answer)
		}
		answer = result
		c.send(`{"type":"ModifyQuerySet","baseVersion":1,"newVersion":2,"modifications":[{"type":"Remove","queryId":0}]}`)
		c.until(`{"type":"QueryRemoved","queryId":0}`)
	}
	if got := s.call(t, "acme", "notes/all:count", `{}`); !strings.Contains(got.body, `:2}`) {
		t.Errorf("in the end there are %s", got.body)
	}
}

// TestG40_NothingIsToldOfAnotherIdentity: before anything is told the host is asked again who the client is.
func TestG40_NothingIsToldOfAnotherIdentity(t *testing.T) {
	var subject atomic.Value
	subject.Store("ann")
	ops := operators{"acts": {Name: "op", AllApps: true, Scopes: []server.Scope{server.ScopeActAs}}, "reads": {AllApps: true, Scopes: []server.Scope{server.ScopeRead}}}
	s, url := syncSite(t, server.Options{Operator: ops.hook, Identify: func(r *http.Request) (*dispatch.Identity, error) {
		if r.Header.Get("Cookie") != "" || r.Header.Get("X-Host") != "it" {
			return nil, errors.New("it is not the request that was upgraded, without cookies")
		}
		switch subject := subject.Load().(string); {
		case r.Header.Get("Authorization") != "Bearer good" || subject == "":
			return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, "not good")
		default:
			return &dispatch.Identity{Subject: subject}, nil
		}
	}})
	c := mustDial(t, url, "a", http.Header{"Cookie": {"a=b"}, "X-Host": {"it"}, "Authorization": {"Bearer good"}})
	authenticate := func(base, more string) { c.send(`{"type":"Authenticate","baseVersion":` + base + more + `}`) }
	authenticate("0", `,"tokenType":"User","value":"bad"`)
	if got := c.next(); got != `{"type":"AuthError","error":"not good","baseVersion":0,"authUpdateAttempted":true}` {
		t.Fatal(got)
	}
	c.send(postMutation)
	if got := c.next(); !strings.Contains(got, `"success":false`) || !strings.Contains(got, `"code":"unauthenticated"`) {
		t.Fatal(got)
	}
	c.query(1, "0", "notes/all:count")
	c.query(2, "1", "who:ami")
	authenticate("1", `,"tokenType":"User","value":"good"`)
	if got := c.until(`"value":"ann"`); strings.Contains(got, "QueryFailed") {
		t.Error(got)
	}
	if !strings.Contains(c.at, `"identity":2`) {
		c.until(`"identity":2`)
	}

	// Another identity under the same token: its own results come, and none that was read for the one before.
	subject.Store("bob")
	s.post(t)
	if got := c.until(`"value":"bob"`); strings.Contains(got, `"value":"ann"`) {
		t.Error(got)
	}
	s.post(t)
	c.until(`"queryId":0,"value":2`)

	// Revoked: nothing is told until there is another credential.
	subject.Store("")
	s.post(t)
	if got := c.until(`"AuthError"`); !strings.HasSuffix(got, `{"type":"AuthError","error":"not good","baseVersion":1,"authUpdateAttempted":false}`+"\n") || strings.Contains(got, "QueryUpdated") {
		t.Error(got)
	}
	s.post(t)
	subject.Store("ann")
	authenticate("2", `,"tokenType":"User","value":"good"`)
	if got := c.until(`"value":"ann"`); strings.Contains(got, `"value":3`) {
		t.Error(got)
	}

	// An operator acts as another.
	authenticate("3", `,"tokenType":"Admin","value":"acts","impersonating":{"subject":"eve"}`)
	c.until(`"value":"eve"`)
	authenticate("4", `,"tokenType":"Admin","value":"reads"`)
	if got := c.until(`"AuthError"`); !strings.Contains(got, "act-as") {
		t.Error(got)
	}
}

// TestConvexSessionsRefuse: what is not of the protocol ends the connection, and who may not have one gets
// none.
func TestConvexSessionsRefuse(t *testing.T) {
	draining, drain := context.WithCancel(t.Context())
	defer drain()
	_, url := syncSite(t, server.Options{MaxBody: 1000})
	for message, want := range map[string]string{
		`{"type":"Mutation"}`:                "the first message is no Connect",
		`{"type":"Nosuch"}`:                  `the message is of type \"Nosuch\"`,
		`[`:                                  "none of the protocol",
		`{"type":"Connect","sessionId":""}`:  "1 to 128 visible ASCII",
		`{"type":"Connect","sessionId":"é"}`: "1 to 128 visible ASCII",
		`{"type":"Connect","sessionId":"` + strings.Repeat("a", 129) + `"}`:         "1 to 128 visible ASCII",
		`{"type":"Authenticate","baseVersion":0,"tokenType":"x"}`:                   "want User, Admin or None",
		`{"type":"ModifyQuerySet","modifications":[{"type":"x"}]}`:                  "want Add or Remove",
		`{"type":"Connect","sessionId":"` + strings.Repeat("a", 1000) + `","x":"y"`: "closed: StatusMessageTooBig",
	} {
		c := mustDial(t, url, "", nil)
		c.send(message)
		if got := c.next(); !strings.Contains(got, want) || !strings.HasPrefix(want, "closed") && !strings.HasPrefix(got, `{"type":"FatalError"`) {
			t.Errorf("%.60s: %s, want %s", message, got, want)
		}
		for !strings.HasPrefix(c.next(), "closed") {
		}
	}
	_, url = syncSite(t, server.Options{Origins: []string{"https://page.example"}, MaxStreams: 2, Draining: draining})
	refused := func(header http.Header) int {
		conn, resp, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: header})
		if err == nil {
			_ = conn.CloseNow()
			return 101
		}
		if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
			t.Errorf("the refusal is %v", resp.Header)
		}
		return resp.StatusCode
	}
	if got := refused(http.Header{"Origin": {"https://evil.example"}}); got != 403 {
		t.Errorf("a page of another origin: %d", got)
	}
	_, resp, err := websocket.Dial(t.Context(), strings.Replace(url, "/api/", "//api/", 1), nil)
	if err == nil {
		t.Fatal("an address with a slash at its end has a connection")
	}
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 404 || !strings.Contains(string(body), `the client's address ends with a slash, so that it asks for //api/1.49.0/sync: give it \"/v1/apps/acme\"`) {
		t.Errorf("a slash at the end of the address: %d %s", resp.StatusCode, body)
	}
	c := mustDial(t, url, "a", http.Header{"Origin": {"https://page.example"}})
	other := mustDial(t, url, "b", nil)
	other.query(1, "0", "no:such")
	if got := other.next(); !strings.Contains(got, `{"type":"QueryFailed","queryId":0,"errorMessage":"no function \"no:such\"","errorData":{"code":"not_found","path":"no:such","message":"no function \"no:such\""},"logLines":[],"journal":null}`) {
		t.Error(got)
	}
	if got := refused(nil); got != 429 {
		t.Errorf("a third connection of two: %d", got)
	}
	drain()
	if got := c.next(); got != "closed: StatusGoingAway" {
		t.Errorf("when the server stops: %s", got)
	}
	if got := refused(nil); got != 503 {
		t.Errorf("a connection to a server that stops: %d", got)
	}
}

// TestConvexSessionsAreBounded: what waits for a client that is not told, and what its queries are asked with.
func TestConvexSessionsAreBounded(t *testing.T) {
	modify := func(c *syncClient, version string, ids int, path, args string) {
		var mods []string
		for i := range ids {
			id, _ := json.Marshal(i)
			mods = append(mods, `{"type":"Add","queryId":`+version+string(id)+`,"udfPath":"`+path+`","args":[`+args+`]}`)
		}
		c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":` + version + `,"modifications":[` + strings.Join(mods, ",") + `]}`)
	}
	_, url := syncSite(t, server.Options{Identify: func(*http.Request) (*dispatch.Identity, error) {
		return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, "not good")
	}})
	c := mustDial(t, url, "a", nil)
	for _, ids := range []int{4094, 0} { // 1 + 4094, and 1
		modify(c, "1", ids, "no:such", "{}")
		if got := c.next(); got != `{"type":"AuthError","error":"not good","baseVersion":0,"authUpdateAttempted":false}` {
			t.Fatal(got)
		}
	}
	modify(c, "1", 0, "", "")
	if got := c.next(); got != "closed: StatusPolicyViolation" {
		t.Error(got)
	}

	_, url = syncSite(t, server.Options{MaxBody: 1000})
	c = mustDial(t, url, "a", nil)
	text := func(n int) string { return `{"text":"` + strings.Repeat("a", n-len(`{"text":""}`)) + `"}` }
	modify(c, "1", 1, "text:length", text(600))
	if got := c.next(); !strings.Contains(got, `"value":589`) {
		t.Error(got)
	}
	modify(c, "2", 1, "text:length", text(401))
	if got := c.next(); !strings.Contains(got, `"QueryFailed","queryId":20,"errorMessage":"the arguments of a connection's queries have more than 1000 bytes, which is the limit"`) {
		t.Error(got)
	}
	modify(c, "3", 1, "text:length", text(400))
	if got := c.next(); !strings.Contains(got, `"value":389`) {
		t.Error(got)
	}
}

// TestConvexCallsThatWaitAreCounted: what the messages of a connection take is in the sum of all bodies until
// their calls have ended, and is given back then.
func TestConvexCallsThatWaitAreCounted(t *testing.T) {
	const each = 131_072 - 16<<10 // a message of 100,000 bytes is read into so much, beyond what is free
	s, url := syncSite(t, server.Options{})
	h := server.New(s.eng, server.Options{MaxMemory: 2*each + 50_000})
	srv := httptest.NewServer(h)
	defer srv.Close()
	c := mustDial(t, "ws"+strings.TrimPrefix(srv.URL, "http")+strings.TrimPrefix(url, url[:strings.Index(url, "/v1/")]), "a", nil)
	call := func(kind, id, path string) {
		c.send(`{"type":"` + kind + `","requestId":` + id + `,"udfPath":"` + path + `","args":[` + padded(100_000) + `]}`)
	}
	large := func() int { // there is room for it if nothing else is under way
		r, w := httptest.NewRequest("POST", "/v1/apps/acme/functions/notes/all:count", strings.NewReader(padded(2*each))), httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for _, id := range []string{"1", "2"} {
		call("Action", id, "slow:wait")
		<-s.started
		call("Mutation", id, "slow:post")
		<-s.started
		if got := large(); got != 503 {
			t.Errorf("a large request while an action and a mutation run: %d", got)
		}
		s.release <- struct{}{}
		s.release <- struct{}{}
		got := c.next() + c.next()
		for !strings.Contains(got, "ActionResponse") || !strings.Contains(got, "MutationResponse") {
			got += c.next()
		}
		for wait := time.Now().Add(10 * time.Second); large() != 200; { // it is given back behind the answer
			if time.Now().After(wait) {
				t.Fatal("what the calls took is not given back")
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// TestConvexMessagesHaveTheRateOfRequests: what comes too soon over a connection waits.
func TestConvexMessagesHaveTheRateOfRequests(t *testing.T) {
	const rate, messages = 50, 65
	began := time.Now()
	_, url := syncSite(t, server.Options{RequestsPerSecond: rate})
	c := mustDial(t, url, "a", nil) // with Connect, these are two
	for range messages - 3 {
		c.send(`{"type":"Event","eventType":"x","event":{}}`)
	}
	c.query(1, "0", "no:such")
	c.until("QueryFailed")
	if took, want := time.Since(began), (messages-rate)*time.Second/rate; took < want {
		t.Errorf("%d messages and requests in %v, sooner than in %v", messages, took, want)
	}
}
