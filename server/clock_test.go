package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"carillon/server/api"
)

// TestClock looks at the engine's wall clock and accepts it, as an admin.
func TestClock(t *testing.T) {
	s := mustAdminSite(t)
	ask := func(method, path, token, body string) reply {
		t.Helper()
		req := s.mustRequest(t, method, "/v1/clock"+path, strings.NewReader(body))
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		return s.mustSend(t, req)
	}
	for method, path := range map[string]string{"GET": "", "POST": "/accept"} {
		got := ask(method, path, "s3cret", "")
		var body struct{ Result api.Clock }
		if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.status != http.StatusOK || body.Result.Notes == nil ||
			len(body.Result.Notes) != 0 || time.Since(body.Result.Wall).Abs() > time.Minute || body.Result.DoubtedMs != 0 {
			t.Errorf("%s %s: got %d %s, %v", method, path, got.status, got.body, err)
		}
		if got := ask(method, path, "", ""); got.status != http.StatusUnauthorized {
			t.Errorf("%s %s of nobody: got %d %s", method, path, got.status, got.body)
		}
		if got := ask("DELETE", path, "s3cret", ""); got.status != http.StatusMethodNotAllowed {
			t.Errorf("DELETE %s: got %d %s", path, got.status, got.body)
		}
	}
	if got := ask("POST", "/accept", "s3cret", `{"what":1}`); got.status != http.StatusBadRequest {
		t.Errorf("a field that there is not: got %d %s", got.status, got.body)
	}
}
