package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"carillon/server"
)

// FuzzFilter demands of any parameters of a listing that they are a filter or refused as one.
func FuzzFilter(f *testing.F) {
	h := server.New(mustSite(f, server.Options{}).eng, server.Options{Operator: operators{"": {AllApps: true, Scopes: server.Scopes()}}.hook})
	fuzzed := func(t *testing.T, method, path, query, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Host, r.RemoteAddr = "localhost", "127.0.0.1:1"
		r.Header.Set("Authorization", "Bearer ")
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := fuzzed(nil, "POST", "/v1/apps/acme/functions/notes:post", "", `{"text":"hi"}`); w.Code != http.StatusOK {
		f.Fatal(w.Body)
	}
	for _, query := range []string{
		"", "state=failed&state=held&tag=eu&limit=10", "dueFrom=2026-03-08T07:00:00Z&dueBefore=2026-03-08T08:00:00%2B01:00",
		"id=a&idContains=b&parent=c&group=7&priority=1&argsContains=%22u%22&count=true", "cursor=AAAA", "limit=0", "%zz=1&;",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		w := fuzzed(t, "GET", "/v1/apps/acme/jobs", query, "")
		if w.Code != http.StatusOK && w.Code != http.StatusBadRequest || !strings.HasPrefix(w.Body.String(), `{"`) {
			t.Fatalf("%q: %d %s", query, w.Code, w.Body)
		}
	})
}
