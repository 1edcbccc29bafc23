package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"carillon/dispatch"
	"carillon/server"
)

func TestAnswers(t *testing.T) {
	s := mustSite(t, server.Options{})
	for _, tt := range []struct {
		name, function, body string
		status               int
		want                 string
	}{
		{"result", "text:length", `{"text":"four"}`, 200, `{"result":4}`},
		{"no body is no arguments", "notes/all:count", ``, 200, `{"result":0}`},
		{"blank body is no arguments", "notes/all:count", " \n", 200, `{"result":0}`},
		{"null is no arguments", "notes/all:count", `null`, 200, `{"result":0}`},
		{"escaped path", "notes%2Fall%3Acount", `{}`, 200, `{"result":0}`},
		{"missing fields are zero", "text:length", `{}`, 200, `{"result":0}`},
		{"cut JSON", "text:length", `{"text":`, 400, `{"code":"invalid_argument","path":"text:length","message":"args: not JSON: unexpected end"}`},
		{"two values", "text:length", `{} {}`, 400, `{"code":"invalid_argument","path":"text:length","message":"args: more than one JSON value"}`},
		{"not an object", "text:length", `[1]`, 400, `{"code":"invalid_argument","path":"text:length","message":"args: want object, got array"}`},
		{"wrong type", "text:length", `{"text":4}`, 400, `{"code":"invalid_argument","path":"text:length","message":"args: field \"text\": want string, got number"}`},
		{"unknown field", "text:length", `{"txet":"x"}`, 400, `{"code":"invalid_argument","path":"text:length","message":"args: unknown field \"txet\""}`},
		{"unknown function", "text:width", `{}`, 404, `{"code":"not_found","path":"text:width","message":"no function \"text:width\""}`},
		{"no such path", "text", `{}`, 404, `{"code":"not_found","path":"text","message":"no function \"text\""}`},
		{"empty path", "", `{}`, 404, `{"code":"not_found","message":"no function \"\""}`},
		{"not signed in", "who:ami", `{}`, 401, `{"code":"unauthenticated","path":"who:ami","message":"sign in first"}`},
		{"no such document", "notes:read", `{"id":""}`, 400, `{"code":"invalid_argument","path":"notes:read","message":"table notes: \"\" is not an id of table notes"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := s.call(t, "acme", tt.function, tt.body)
			if got.status != tt.status || got.body != tt.want+"\n" {
				t.Errorf("got %d %swant %d %s", got.status, got.body, tt.status, tt.want)
			}
		})
	}
}

// TestCodes demands the table's status for every code a function can end with.
func TestCodes(t *testing.T) {
	s := mustSite(t, server.Options{})
	for _, code := range dispatch.Codes() {
		got := s.call(t, "acme", "code:"+string(code), "{}")
		var body struct {
			Code      dispatch.Code
			Message   string
			RequestID string
		}
		if err := json.Unmarshal([]byte(got.body), &body); err != nil {
			t.Fatalf("%s: %v", got.body, err)
		}
		if got.status != code.HTTPStatus() || body.Code != code || body.Message != "as asked" {
			t.Errorf("%s: got %d %s", code, got.status, got.body)
		}
	}
}

// TestInternalIsUnknown compares whole answers: an internal function and one that
// does not exist, of names of one length, differ in the name and in nothing else.
func TestInternalIsUnknown(t *testing.T) {
	s := mustSite(t, server.Options{})
	for _, body := range []string{`{}`, ``, `{"x":1}`, `not JSON`, `[]`} {
		internal := s.call(t, "acme", "notes:wipe", body)
		unknown := s.call(t, "acme", "notes:what", body)
		internal.header.Del("Date")
		unknown.header.Del("Date")
		if internal.status != http.StatusNotFound || unknown.status != http.StatusNotFound {
			t.Errorf("body %q: status %d and %d", body, internal.status, unknown.status)
		}
		if got, want := strings.ReplaceAll(internal.body, "notes:wipe", "notes:what"), unknown.body; got != want {
			t.Errorf("body %q: internal answers %sunknown answers %s", body, internal.body, unknown.body)
		}
		if got, want := fmt.Sprint(internal.header), fmt.Sprint(unknown.header); got != want {
			t.Errorf("body %q: headers %s and %s", body, got, want)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	const limit = server.DefaultMaxBody
	s := mustSite(t, server.Options{})
	body := func(size int) string {
		return `{"text":"` + strings.Repeat("x", size-len(`{"text":""}`)) + `"}`
	}
	for _, chunked := range []bool{false, true} {
		send := func(size int) reply {
			var r io.Reader = strings.NewReader(body(size))
			if chunked {
				r = struct{ io.Reader }{r} // no length can be told from it
			}
			return s.mustSend(t, s.mustRequest(t, http.MethodPost, "/v1/apps/acme/functions/text:length", r))
		}
		if got := send(limit); got.status != http.StatusOK || got.body != fmt.Sprintf(`{"result":%d}`+"\n", limit-len(`{"text":""}`)) {
			t.Errorf("chunked %v: %d bytes: got %d %s", chunked, limit, got.status, got.body)
		}
		want := `{"code":"resource_exhausted","message":"the body has more than 1048576 bytes, which is the limit"}` + "\n"
		if got := send(limit + 1); got.status != http.StatusRequestEntityTooLarge || got.body != want {
			t.Errorf("chunked %v: %d bytes: got %d %s", chunked, limit+1, got.status, got.body)
		}
	}
}

func TestSmallerBodyLimit(t *testing.T) {
	s := mustSite(t, server.Options{MaxBody: 12})
	if got := s.call(t, "acme", "text:length", `{"text":"x"}`); got.status != http.StatusOK {
		t.Errorf("12 bytes: got %d %s", got.status, got.body)
	}
	if got := s.call(t, "acme", "text:length", `{"text":"xx"}`); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("13 bytes: got %d %s", got.status, got.body)
	}
}

func TestAppNames(t *testing.T) {
	s := mustSite(t, server.Options{})
	long := strings.Repeat("a", 64)
	for _, tt := range []struct {
		name   string
		status int
	}{
		{"acme", 200},
		{"a.b_c-D9", 200},
		{long, 200},
		{long + "a", 400},
		{"-acme", 400},
		{".acme", 400},
		{"ac%20me", 400},
		{"ac%2Fme", 400},
		{"ac%00me", 400},
		{"%C3%A4pp", 400},
		{"", 404},
		{"..", 404},
		{"%2E%2E", 404},
	} {
		got := s.call(t, tt.name, "notes/all:count", "{}")
		if got.status != tt.status {
			t.Errorf("app %q: got %d %s", tt.name, got.status, got.body)
		}
		if got.status == 400 && !strings.HasPrefix(got.body, `{"code":"invalid_argument","message":"app id `) {
			t.Errorf("app %q: got %s", tt.name, got.body)
		}
	}
	apps, err := s.eng.Apps()
	if err != nil || len(apps) != 0 {
		t.Errorf("reading has created %v, %v", apps, err)
	}
}

// TestAppsAreApart posts in one app and looks for it in another.
func TestAppsAreApart(t *testing.T) {
	s := mustSite(t, server.Options{})
	posted := s.call(t, "acme", "notes:post", `{"text":"secret"}`)
	var id struct{ Result string }
	if err := json.Unmarshal([]byte(posted.body), &id); err != nil || posted.status != http.StatusOK {
		t.Fatalf("got %d %s: %v", posted.status, posted.body, err)
	}
	ref := `{"id":"` + id.Result + `"}`
	if got := s.call(t, "acme", "notes:read", ref); got.body != `{"result":{"text":"secret"}}`+"\n" {
		t.Errorf("its own app answers %s", got.body)
	}
	for _, other := range []string{"acme2", "Acme", "acm", "globex"} {
		if got := s.call(t, other, "notes:read", ref); got.status != http.StatusNotFound || strings.Contains(got.body, "secret") {
			t.Errorf("app %s answers %d %s", other, got.status, got.body)
		}
		if got := s.call(t, other, "notes/all:count", ""); got.body != `{"result":0}`+"\n" {
			t.Errorf("app %s counts %s", other, got.body)
		}
	}
}

// TestFaults demands that the caller of a function that fails or panics learns a
// request id, and the log, under that id, everything else.
func TestFaults(t *testing.T) {
	s := mustSite(t, server.Options{})
	for _, function := range []string{"bad:error", "bad:panic"} {
		got := s.call(t, "acme", function, "{}")
		var body struct {
			Code, Path, Message, RequestID string
		}
		if err := json.Unmarshal([]byte(got.body), &body); err != nil {
			t.Fatalf("%s: %v", got.body, err)
		}
		if got.status != 500 || body.Code != "internal" || body.Path != function || body.Message != "internal error" || body.RequestID == "" {
			t.Errorf("%s: got %d %s", function, got.status, got.body)
		}
		if strings.Contains(got.body, "secret") {
			t.Errorf("%s: the caller is told %s", function, got.body)
		}
		line := ""
		for l := range strings.Lines(s.log.String()) {
			if strings.Contains(l, body.RequestID) {
				line = l
			}
		}
		if !strings.Contains(line, "the secret detail") || !strings.Contains(line, function) {
			t.Errorf("%s: the log says %q of request %s", function, line, body.RequestID)
		}
	}
	if got := s.call(t, "acme", "notes/all:count", ""); got.status != 200 {
		t.Errorf("afterwards: got %d %s", got.status, got.body)
	}
}

// TestDisconnectCancels has a client go away in the middle of a call.
func TestDisconnectCancels(t *testing.T) {
	s := mustSite(t, server.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	req := s.mustRequest(t, http.MethodPost, "/v1/apps/acme/functions/slow:wait", strings.NewReader("{}")).WithContext(ctx)
	failed := make(chan error, 1)
	go func() {
		resp, err := s.client.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	<-s.started
	cancel()
	if err := <-failed; err == nil {
		t.Error("the client was answered")
	}
	if err := <-s.ended; err != context.Canceled {
		t.Errorf("the action's context ended with %v", err)
	}
}

func TestClosedEngine(t *testing.T) {
	s := mustSite(t, server.Options{})
	if err := s.eng.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := `{"code":"unavailable","message":"the engine is closing"}` + "\n"
	if got := s.call(t, "acme", "notes:post", "{}"); got.status != http.StatusServiceUnavailable || got.body != want {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// FuzzBody demands of any body an answer of one of the two forms, and no fault.
func FuzzBody(f *testing.F) {
	for _, body := range []string{`{}`, ``, `null`, `{"text":"x"}`, `{"text":`, `[[[[`, `{"a":1,"a":2}`, "\xff", `"\ud800"`, `{"text":1e999}`} {
		f.Add([]byte(body))
	}
	s := mustSite(f, server.Options{})
	f.Fuzz(func(t *testing.T, body []byte) {
		got := s.mustSend(t, s.mustRequest(t, http.MethodPost, "/v1/apps/acme/functions/text:length", bytes.NewReader(body)))
		var fields map[string]json.RawMessage
		if err := json.Unmarshal([]byte(got.body), &fields); err != nil {
			t.Fatalf("%q: got %s", body, got.body)
		}
		switch got.status {
		case http.StatusOK:
			if len(fields) != 1 || fields["result"] == nil {
				t.Errorf("%q: got %s", body, got.body)
			}
		case http.StatusBadRequest:
			if fields["code"] == nil || fields["message"] == nil {
				t.Errorf("%q: got %s", body, got.body)
			}
		default:
			t.Errorf("%q: got %d %s", body, got.status, got.body)
		}
	})
}
