package server_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestTraceOfARequest: a job that it schedules shows the span that it came from; headers that are
// malformed, or several, are ignored.
func TestTraceOfARequest(t *testing.T) {
	s := mustAdminSite(t)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, tt := range []struct {
		parents, states []string
		want            string
	}{
		{[]string{parent}, []string{"a=1", "b=2"}, `"trace":{"traceparent":"` + parent + `","tracestate":"a=1,b=2"}`},
		{[]string{parent}, nil, `"trace":{"traceparent":"` + parent + `"}`},
		{[]string{parent}, []string{"A"}, `"trace":{"traceparent":"` + parent + `"}`},
		{[]string{strings.ToUpper(parent)}, []string{"a=1"}, ""},
		{[]string{parent, parent}, nil, ""},
		{nil, []string{"a=1"}, ""},
	} {
		req := s.mustRequest(t, http.MethodPost, "/v1/apps/acme/jobs", strings.NewReader(`{"function":"notes:post","args":{"text":"hi"},"afterMs":3600000}`))
		req.Header.Set("Authorization", "Bearer s3cret")
		for _, h := range tt.parents {
			req.Header.Add("traceparent", h)
		}
		for _, h := range tt.states {
			req.Header.Add("tracestate", h)
		}
		made := s.mustSend(t, req)
		shown := s.jobs(t, "GET", strings.TrimPrefix(made.header.Get("Location"), "/v1/apps/acme"), "")
		if shown.status != 200 || !strings.Contains(shown.body, tt.want) || strings.Contains(shown.body, `"trace":`) != (tt.want != "") {
			t.Errorf("%q with %q: the job is %d %s", tt.parents, tt.states, shown.status, shown.body)
		}
	}
}
