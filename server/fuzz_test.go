package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"carillon/server"
)

// fuzzed sends a request to the routes of a site that every caller may use.
func fuzzed(f *testing.F) func(method, path, query, body string) *httptest.ResponseRecorder {
	h := server.New(mustSite(f, server.Options{}).eng, server.Options{Operator: operators{"": {AllApps: true, Scopes: server.Scopes()}}.hook})
	ask := func(method, path, query, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Host, r.RemoteAddr = "localhost", "127.0.0.1:1"
		r.Header.Set("Authorization", "Bearer ")
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := ask("POST", "/v1/apps/acme/jobs", "", `{"function":"bad:job","afterMs":3600000,"id":"there"}`); w.Code != http.StatusCreated {
		f.Fatal(w.Body)
	}
	return ask
}

// FuzzFilter demands of any parameters of a listing that they are a filter or refused as one.
func FuzzFilter(f *testing.F) {
	ask := fuzzed(f)
	for _, query := range []string{
		"", "state=failed&state=held&tag=eu&limit=10", "dueFrom=2026-03-08T07:00:00Z&dueBefore=2026-03-08T08:00:00%2B01:00",
		"id=a&idContains=b&parent=c&group=7&priority=1&argsContains=%22u%22&count=true", "cursor=AAAA", "limit=0", "%zz=1&;",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		w := ask("GET", "/v1/apps/acme/jobs", query, "")
		if w.Code != http.StatusOK && w.Code != http.StatusBadRequest || !strings.HasPrefix(w.Body.String(), `{"`) {
			t.Fatalf("%q: %d %s", query, w.Code, w.Body)
		}
	})
}

// FuzzSchedule demands of any body that it is scheduled, to be read back, or refused, and is never a
// fault.
func FuzzSchedule(f *testing.F) {
	ask := fuzzed(f)
	for _, body := range []string{
		``, `{}`, `[]`, `{"function":"bad:job"}`, `{"function":"notes:post","args":{"text":"x"},"at":"2222-02-02T02:02:02Z","id":"a","notAfter":"2222-02-03T02:02:02Z"}`,
		`{"function":"notes:post","args":{"text":"x"},"afterMs":3600000,"expiresMs":5,"as":{"subject":"service:x","claims":{"a":[1]}},"timeoutMs":5,"tags":["a"]}`,
		`{"function":"slow:wait","afterMs":3600000,"atMostOnce":true,"pool":"mail","poolKey":"k","priority":3,"keepResult":true,"group":0}`,
		`{"function":"bad:job","afterMs":9223372036854,"unique":{"key":"k","policy":"replace","maxWaitMs":5,"appWide":true,"pendingOnly":true}}`,
		`{"function":"bad:job","retry":{"maxAttempts":3,"baseMs":10,"maxMs":20,"jitter":true,"backoff":"linear"},"onDone":{"function":"bad:job","asJob":true}}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if strings.Contains(body, "slow:wait") && !strings.Contains(body, "3600000") {
			return // it would run until the end of the test
		}
		w := ask("POST", "/v1/apps/acme/jobs", "", body)
		switch {
		case w.Code == http.StatusCreated || w.Code == http.StatusOK:
			if read := ask("GET", strings.TrimPrefix(w.Header().Get("Location"), "http://localhost"), "", ""); read.Code != http.StatusOK {
				t.Fatalf("%q: scheduled as %s: %d %s", body, w.Header().Get("Location"), read.Code, read.Body)
			}
		case w.Code < 400 || w.Code >= 500 || !strings.HasPrefix(w.Body.String(), `{"code":`):
			t.Fatalf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}
