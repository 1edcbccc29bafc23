package server_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
)

// TestRevocationEndsWhatIsUnderWay: within a second of a token's end, by hand or by its time, a
// backup and an export whose client does not read are cut off, and an import whose body does not
// come is refused. What another token does goes on.
func TestRevocationEndsWhatIsUnderWay(t *testing.T) {
	reg := dispatch.NewRegistry()
	fill := dispatch.Mutation[note, storage.ID[note]]("notes:fill")
	notes := storage.NewTable[note]("notes")
	fill.Handle(reg, func(ctx *dispatch.MutationCtx, n note) (storage.ID[note], error) { return notes.Insert(ctx.DB, n) })
	actorstest.Run(t, actors.Options{Functions: reg}, func(h *actorstest.Harness) {
		app, err := h.Engine.App("acme")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 8 {
			if _, err := fill.Run(app.As(h.Context(), nil), note{fmt.Sprint(i, strings.Repeat("x", 200<<10))}); err != nil {
				t.Fatal(err)
			}
		}
		client := h.Peer(server.New(h.Engine, server.Options{Operator: server.Tokens(h.Engine)}))
		now, all := h.Now(), server.Operator{Name: "ann", AllApps: true, Scopes: server.Scopes()}
		revoked, id := mustToken(t, h.Engine, all, now, time.Time{})
		expires, _ := mustToken(t, h.Engine, all, now, now.Add(10*time.Second))
		keeps, _ := mustToken(t, h.Engine, all, now, time.Time{})
		type end struct {
			at     time.Time
			status int
			text   string
			cut    bool
		}
		ends := map[string]*end{}
		var bodies []io.Closer
		begin := func(what, token string) {
			method, path := http.MethodGet, "/v1/backup"
			var body io.Reader
			switch what {
			case "export":
				path = "/v1/apps/acme/export"
			case "import":
				method, path = http.MethodPost, "/v1/apps/copy"+fmt.Sprint(len(ends))+"/import"
				r, w := io.Pipe()
				bodies = append(bodies, w)
				body = r
			}
			req, err := http.NewRequestWithContext(h.Context(), method, "http://peer"+path, body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			e := &end{}
			ends[what+" "+token] = e
			go func() {
				resp, err := client.Do(req)
				if err != nil {
					e.at, e.cut = time.Now(), true
					return
				}
				defer resp.Body.Close()
				e.status = resp.StatusCode
				if what == "import" {
					text, _ := io.ReadAll(resp.Body)
					e.at, e.text = time.Now(), string(text)
					return
				}
				time.Sleep(time.Until(now.Add(12 * time.Second))) // it does not read
				_, err = io.Copy(io.Discard, resp.Body)
				e.at, e.cut = time.Now(), err != nil
			}()
		}
		for _, token := range []string{revoked, expires, keeps} {
			for _, what := range []string{"backup", "export", "import"} {
				begin(what, token)
			}
		}
		h.Advance(5*time.Second + 300*time.Millisecond)
		at := h.Now()
		if known, err := h.Engine.Tokens().Remove(id); !known || err != nil {
			t.Fatal(known, err)
		}
		h.Advance(8 * time.Second)
		for token, when := range map[string]time.Time{revoked: at, expires: now.Add(10 * time.Second)} {
			if e := ends["import "+token]; e.status != 401 || !strings.Contains(e.text, "unauthenticated") || e.at.Before(when) || e.at.Sub(when) > time.Second {
				t.Errorf("the import has ended %v after its token: %+v", e.at.Sub(when), e)
			}
			for _, what := range []string{"backup ", "export "} {
				if e := ends[what+token]; e.status != 401 && !e.cut { // one waits for the other
					t.Errorf("the %s was not cut off: %+v", what, e)
				}
			}
		}
		for _, what := range []string{"backup ", "export "} {
			if e := ends[what+keeps]; e.status != 200 || e.cut {
				t.Errorf("the %s of a good token: %+v", what, e)
			}
		}
		if e := ends["import "+keeps]; !e.at.IsZero() {
			t.Errorf("the import of a good token: %+v", e)
		}
		for _, body := range bodies {
			body.Close()
		}
		h.Advance(time.Minute)
	})
}

// TestRefusalsAreCounted: by door and code; the log has a line a second of each, which says how
// many there were since the last one, and nothing of a token.
func TestRefusalsAreCounted(t *testing.T) {
	log := new(logBuffer)
	actorstest.Run(t, actors.Options{Functions: dispatch.NewRegistry()}, func(h *actorstest.Harness) {
		var refusals server.Refusals
		ops := operators{"reads": {Name: "ann", AllApps: true, Scopes: []server.Scope{server.ScopeRead}}}
		site := server.New(h.Engine, server.Options{
			Operator: ops.hook, BasePath: "/x", RequestsPerSecond: 16, Refusals: &refusals, Logger: slog.New(slog.NewTextHandler(log, nil)),
			Identify: func(r *http.Request) (*dispatch.Identity, error) {
				if r.Header.Get("Authorization") != "" {
					return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, "not good")
				}
				return nil, nil
			},
		})
		ask := func(n, want int, method, path, token string) {
			t.Helper()
			for range n {
				r, w := httptest.NewRequest(method, "/x"+path, nil), httptest.NewRecorder()
				if token != "" {
					r.Header.Set("Authorization", "Bearer "+token)
				}
				site.ServeHTTP(w, r)
				if w.Code != want {
					t.Fatalf("%s: %d, want %d", path, w.Code, want)
				}
			}
		}
		ask(3, 401, "GET", "/v1/clock", "secretive")
		ask(2, 403, "POST", "/v1/clock/accept", "reads")
		ask(1, 401, "POST", "/v1/apps/acme/functions/a:b", "secretive")
		ask(1, 401, "POST", "/v1/apps/acme/functions/a:b", "carillon_x_secretive")
		ask(1, 404, "GET", "/nowhere", "")
		ask(8, 200, "GET", "/v1/health", "")
		ask(5, 429, "GET", "/v1/health", "")
		const want = "[{{ resource_exhausted} 5} {{client unauthenticated} 2} {{operator permission_denied} 2} {{operator unauthenticated} 3}]"
		if got := fmt.Sprint(refusals.Counts()); got != want {
			t.Errorf("counted %s, want %s", got, want)
		}
		if n := strings.Count(log.String(), "a request was refused"); n != 4 || strings.Contains(log.String(), "secretive") {
			t.Errorf("%d lines in the log:\n%s", n, log)
		}
		h.Advance(time.Second - 1)
		ask(1, 401, "GET", "/v1/clock", "")
		if n := strings.Count(log.String(), "a request was refused"); n != 4 {
			t.Errorf("a nanosecond early there are %d lines", n)
		}
		h.Advance(1)
		ask(1, 401, "GET", "/v1/clock", "")
		if n := strings.Count(log.String(), "a request was refused"); n != 5 || !strings.Contains(log.String(), `door=operator code=unauthenticated reason="this token is not good" client=192.0.2.1 method=GET route=/x/v1/clock app="" more=0`) ||
			!strings.Contains(log.String(), "route=/x/v1/clock app=\"\" more=3") {
			t.Errorf("a second later there are %d lines:\n%s", n, log)
		}
	})
}
