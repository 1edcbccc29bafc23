package remote_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/server/remote"
)

const secret = "a secret of the worker"

var at = time.UnixMilli(1_790_000_000_123)

// serve has the handler be the worker of the caller that is returned.
func serve(t *testing.T, handler http.HandlerFunc) *remote.Caller {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return mustNew(t, remote.Options{URL: server.URL, Secret: secret, Now: func() time.Time { return at }})
}

func mustNew(t *testing.T, opts remote.Options) *remote.Caller {
	t.Helper()
	c, err := remote.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// call is one of job j1 in its second attempt.
func call() dispatch.RemoteCall {
	return dispatch.RemoteCall{
		App: "acme", Job: "j1", Attempt: 2, Path: "mail:send", Args: json.RawMessage(`{"to":"a<b>&é"}`),
		ScheduledFor: at, MaxResult: 100,
	}
}

func sum(text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	io.WriteString(h, text)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// TestG41_ARequestIsSigned: the body has the protocol's keys in their order, and both signatures are
// what the page says, made here by other means than the package's.
func TestG41_ARequestIsSigned(t *testing.T) {
	var got *http.Request
	var body string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		got, body = r, string(text)
	})
	flow := call()
	flow.Path, flow.Workflow, flow.Pool = "workflow:ORDERS", "ORDERS", "flows"
	for _, tt := range []struct {
		call dispatch.RemoteCall
		body string
	}{
		{call(), `{"args":{"to":"a<b>&é"},"functionPath":"mail:send","id":"j1","instanceName":"acme","scheduledFor":1790000000123}`},
		{flow, `{"args":{"to":"a<b>&é"},"id":"j1","instanceName":"acme","pool":"flows","scheduledFor":1790000000123,"workflow":"ORDERS"}`},
	} {
		if _, err := c.Call(t.Context(), tt.call); err != nil {
			t.Fatal(err)
		}
		if body != tt.body || got.URL.Path != "/_lunora/scheduler/dispatch" || got.Method != http.MethodPost || got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s with %s, want %s", got.Method, got.URL, body, tt.body)
		}
		for header, want := range map[string]string{
			"x-lunora-scheduler-signature": sum(body),
			"x-carillon-attempt":           "2",
			"x-carillon-timestamp":         "1790000000",
			"x-carillon-signature":         sum("carillon/1\nacme\nj1\n2\n1790000000\n" + body),
		} {
			if got.Header.Get(header) != want {
				t.Errorf("%s is %q, want %q", header, got.Header.Get(header), want)
			}
		}
		d, attempt, err := remote.Verify(secret, got.Header, []byte(body), at)
		if err != nil || d.ID != "j1" || d.InstanceName != "acme" || attempt != 2 || d.Workflow != tt.call.Workflow {
			t.Errorf("it is verified as %+v, attempt %d, %v", d, attempt, err)
		}
	}
	none := call()
	none.Job, none.Attempt, none.ScheduledFor = "", 0, time.Time{}
	if _, err := c.Call(t.Context(), none); err != nil {
		t.Fatal(err)
	}
	if d, attempt, err := remote.Verify(secret, got.Header, []byte(body), at); err != nil || !strings.HasPrefix(d.ID, "call_") || attempt != 0 || d.ScheduledFor != at.UnixMilli() {
		t.Errorf("what is no job is sent as %+v, attempt %d, %v", d, attempt, err)
	}
}

// TestG41_ABadSignatureIsRefused: whichever part is not what was signed, and from 5 minutes on.
func TestG41_ABadSignatureIsRefused(t *testing.T) {
	var header http.Header
	var body []byte
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Clone()
		body, _ = io.ReadAll(r.Body)
	})
	if _, err := c.Call(t.Context(), call()); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		header, value string
		from, to      string
		after         time.Duration
		ok            bool
	}{
		"as it was sent":          {ok: true},
		"after 5 minutes":         {after: remote.MaxAge - 123*time.Millisecond, ok: true},
		"after more":              {after: remote.MaxAge - 122*time.Millisecond},
		"5 minutes ahead":         {after: -remote.MaxAge - 123*time.Millisecond, ok: true},
		"further ahead":           {after: -remote.MaxAge - 124*time.Millisecond},
		"another attempt":         {header: "X-Carillon-Attempt", value: "3"},
		"another time":            {header: "X-Carillon-Timestamp", value: "1790000001"},
		"no first signature":      {header: "X-Lunora-Scheduler-Signature"},
		"no second signature":     {header: "X-Carillon-Signature"},
		"the first as the second": {header: "X-Carillon-Signature", value: header.Get("X-Lunora-Scheduler-Signature")},
		"another app":             {from: `"acme"`, to: `"evil"`},
		"another job":             {from: `"j1"`, to: `"j2"`},
		"other arguments":         {from: `{"to"`, to: `{"by"`},
		"no JSON":                 {from: `{`, to: `[`},
	} {
		h, text := header.Clone(), body
		if tt.header != "" {
			h.Set(tt.header, tt.value)
		}
		if tt.from != "" {
			text = []byte(strings.Replace(string(body), tt.from, tt.to, 1))
		}
		if _, _, err := remote.Verify(secret, h, text, at.Add(tt.after)); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One signature over a changed body is not enough, whichever it is.
	text := strings.Replace(string(body), `"acme"`, `"evil"`, 1)
	h := header.Clone()
	h.Set("X-Lunora-Scheduler-Signature", sum(text))
	if _, _, err := remote.Verify(secret, h, []byte(text), at); err == nil {
		t.Error("the second signature is not looked at")
	}
	if _, _, err := remote.Verify("another secret, as long", header, body, at); err == nil {
		t.Error("another secret will do")
	}
}

// TestG41_WhatAnAnswerComesTo: each status, a decline that is one and what only looks like it, and
// answers that are no JSON or too large.
func TestG41_WhatAnAnswerComesTo(t *testing.T) {
	var answer http.HandlerFunc
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { answer(w, r) })
	const busy = `{"error":{"code":"DISPATCH_IN_PROGRESS","message":"still running"}}`
	result := func(n int) string { return `{"result":"` + strings.Repeat("x", n-2) + `"}` }
	for _, tt := range []struct {
		status  int
		decline string
		body    string
		want    string // the result, the error's code, "declined" or "too large"
		message string
	}{
		{200, "", `{"result":{"n":1}}`, `{"n":1}`, ""},
		{204, "", ``, ``, ""},
		{299, "", `no JSON`, ``, ""},
		{200, "", `{"error":{"code":"X"}}`, ``, ""},
		{200, "1", busy, ``, ""},
		{200, "", result(100), result(100)[10 : len(result(100))-1], ""},
		{200, "", result(101), "too large", ""},
		{200, "", strings.Repeat("x", 1<<20), "too large", ""},
		{409, "1", busy, "declined", ""},
		{409, "", busy, "aborted", "the worker answered 409: DISPATCH_IN_PROGRESS: still running"},
		{409, "0", busy, "aborted", ""},
		{409, "1", `{"error":{"code":"CONFLICT"}}`, "aborted", "the worker answered 409: CONFLICT: "},
		{409, "1", ``, "aborted", "the worker answered 409"},
		{503, "1", busy, "unavailable", ""},
		{400, "", `{"error":{"message":"no"}}`, "invalid_argument", "the worker answered 400: no code: no"},
		{404, "", `<html>`, "not_found", "the worker answered 404"},
		{403, "", ``, "unavailable", "the worker answered 403"},
		{429, "", ``, "resource_exhausted", ""},
		{500, "", strings.Repeat("x", 1<<20), "unavailable", "the worker answered 500"},
		{304, "", ``, "unavailable", "the worker answered 304"},
	} {
		answer = func(w http.ResponseWriter, r *http.Request) {
			if tt.decline != "" {
				w.Header().Set("X-Lunora-Dispatch-Declined", tt.decline)
			}
			w.WriteHeader(tt.status)
			io.WriteString(w, tt.body)
		}
		out, err := c.Call(t.Context(), call())
		got := string(out)
		var large *remoteTooLarge
		var e *dispatch.Error
		switch {
		case errors.As(err, &large):
			got = "too large"
		case errors.Is(err, dispatch.ErrDeclined):
			got = "declined"
		case errors.As(err, &e):
			if got = string(e.Code); tt.message != "" && e.Message != tt.message {
				t.Errorf("%d %.40s: message %q, want %q", tt.status, tt.body, e.Message, tt.message)
			}
		}
		if got != tt.want || dispatch.IsPermanent(err) {
			t.Errorf("%d %.40s: %.40s (%v), want %.40s", tt.status, tt.body, got, err, tt.want)
		}
	}
}

type remoteTooLarge = dispatch.RemoteTooLarge

// TestG41_NoRedirectAndNoProxy: the body and its signatures reach only the worker.
func TestG41_NoRedirectAndNoProxy(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	t.Setenv("HTTP_PROXY", other.URL)
	t.Setenv("NO_PROXY", "")
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) })
		if _, err := c.Call(t.Context(), call()); err == nil || !strings.Contains(err.Error(), fmt.Sprint("answered ", status)) {
			t.Errorf("a redirect of %d: %v", status, err)
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

// TestG41_AWorkerThatHangs: before its answer, in it, or that closes the connection.
func TestG41_AWorkerThatHangs(t *testing.T) {
	released := make(chan struct{})
	defer close(released)
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		ok      bool
	}{
		"before the header": {func(w http.ResponseWriter, r *http.Request) { <-released }, false},
		"in a failure": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			w.(http.Flusher).Flush()
			<-released
		}, false},
		"in a success": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			<-released
		}, true},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			time.AfterFunc(20*time.Millisecond, cancel)
			tt.handler(w, r)
		})
		_, err := c.Call(ctx, call())
		if tt.ok && err != nil || !tt.ok && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := c.Call(t.Context(), call())
	var e *dispatch.Error
	if !errors.As(err, &e) || e.Code != dispatch.CodeUnavailable || strings.Contains(err.Error(), "127.0.0.1/") {
		t.Errorf("a connection that is closed: %v", err)
	}
}
