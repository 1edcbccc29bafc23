package server_test

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server"
)

// TestG24_ARefusalDoesNotWaitForTheBody: a client that is refused while it sends its
// body slowly is answered soon and keeps neither its connection nor what it has sent:
// at once where there is no room for more, and within a second where net/http throws
// the rest of a small body away. One that is served has its time.
func TestG24_ARefusalDoesNotWaitForTheBody(t *testing.T) {
	reg := dispatch.NewRegistry()
	take := dispatch.Mutation[string, int]("t:take")
	take.Handle(reg, func(_ *dispatch.MutationCtx, text string) (int, error) { return len(text), nil })
	opts := actors.Options{Functions: reg, Logger: slog.New(slog.DiscardHandler)}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		const room = 50_000
		client := h.Peer(server.New(h.Engine, server.Options{MaxMemory: room}))
		// send sends some of a body, and the rest after a while: never, if that is 0.
		send := func(path, kind string, length, some int, while time.Duration) (status int, took time.Duration, closes bool) {
			t.Helper()
			body, out := io.Pipe()
			go func() {
				text := `"` + strings.Repeat("x", length-2) + `"`
				_, _ = io.WriteString(out, text[:some]) // it may be refused before
				if while > 0 {
					time.Sleep(while)
					_, _ = io.WriteString(out, text[some:])
					out.Close()
				}
			}()
			req, err := http.NewRequestWithContext(h.Context(), "POST", "http://site"+path, body)
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = int64(length)
			req.Header.Set("Content-Type", kind)
			began := h.Now()
			resp, err := client.Do(req)
			took = h.Now().Sub(began)
			if err != nil {
				t.Errorf("%s: %v after %v", path, err, took)
				return 0, took, false
			}
			defer out.Close()
			defer resp.Body.Close()
			if _, err := io.ReadAll(resp.Body); err != nil {
				t.Error(err)
			}
			return resp.StatusCode, took, resp.Close
		}
		const fn, kind = "/v1/apps/acme/functions/t:take", "application/json"
		for _, tt := range []struct {
			name, path, kind string
			length, some     int
			while            time.Duration
			status           int
			most             time.Duration
		}{
			{"no room", fn, kind, 4 * room, 3 * room, 0, 503, 0},
			{"room again, which has been given back", fn, kind, room, room / 2, time.Millisecond, 200, time.Millisecond},
			{"too large", fn, kind, 2 << 20, 10, 0, 413, 0},
			{"another type", fn, "text/plain", 1000, 10, 0, 415, time.Second},
			{"no such route", "/v1/none", kind, 1000, 10, 0, 404, time.Second},
			{"a name that no app can have", "/v1/apps/a%20b/functions/t:take", kind, 1000, 10, 0, 400, time.Second},
			{"what takes no body", "/v1/health", kind, 1000, 10, 0, 405, time.Second},
			{"slow, and served", fn, kind, 1000, 10, 29 * time.Second, 200, 29 * time.Second},
			{"too slow", fn, kind, 1000, 10, 0, 400, 30 * time.Second},
		} {
			status, took, closes := send(tt.path, tt.kind, tt.length, tt.some, tt.while)
			if status != tt.status || took > tt.most || closes != (tt.status != 200) {
				t.Errorf("%s: %d after %v, closed %t, want %d within %v", tt.name, status, took, closes, tt.status, tt.most)
			}
		}
	})
}
