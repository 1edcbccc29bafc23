package browser

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
)

// afterAnHour is the overview of a server that has had an hour of work: one of virtual time, in which the disk takes some
// milliseconds, so that its charts have what those of a server that has just been started cannot have.
func afterAnHour(t *testing.T) (overview string) {
	t.Helper()
	opts := program().Engine
	opts.Logger = slog.New(slog.DiscardHandler)
	opts.ClockCheck = 10 * time.Second // with which the samples of an hour are taken
	commits := 0
	opts.Testing.Fault = func(point string) error {
		if point == "commit" {
			commits++
			time.Sleep(time.Duration(3000+1500*math.Sin(float64(commits)/40)+float64(commits*7919%900)) * time.Microsecond)
		}
		return nil
	}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		call := func(app storage.AppID, path, id, note string, opts ...dispatch.RunOption) {
			if _, err := h.Scheduler(app).RunAfter(0, dispatch.Path(path).With(order{ID: id, Note: note}), opts...); err != nil {
				t.Fatal(err)
			}
		}
		for app, due := range map[storage.AppID]int{"acme": 12, "bakery": 3, "quiet": 1} {
			for i := range due {
				if _, err := h.Scheduler(app).RunAfter(2*time.Hour, dispatch.Path("orders:place").With(order{ID: fmt.Sprint(i)})); err != nil {
					t.Fatal(err)
				}
			}
		}
		for step := range 6 * 60 {
			shop := 9 + 5*math.Sin(float64(step)/38) + float64(step*2654435761%5)
			if step > 200 && step < 216 {
				shop *= 2.2
			}
			for i := range int(shop) {
				call("acme", "orders:place", fmt.Sprintf("A-%d-%d", step, i), "two loaves of rye")
			}
			if step%11 == 3 || step > 204 && step < 210 {
				call("acme", "billing:charge", fmt.Sprint("A-", step), []string{"insufficient funds", "expired", "stolen"}[step%3])
			}
			if step%97 == 5 {
				call("zoo", "billing:charge", fmt.Sprint("Z-", step), "expired")
			}
			if step == 6*60-4 {
				for i := range 5 { // two run, and the others wait for the pool
					call("acme", "mail:send", fmt.Sprint(i), "")
				}
			}
			h.Advance(10 * time.Second)
		}
		if err := h.Scheduler("bakery").Pause(dispatch.OfApp(), "ann", "the oven is being mended"); err != nil {
			t.Fatal(err)
		}
		h.Advance(20 * time.Second)
		site := server.New(h.Engine, server.Options{
			Logger: slog.New(slog.DiscardHandler), Admin: func(*http.Request) error { return nil },
		})
		r, w := httptest.NewRequestWithContext(h.Context(), http.MethodGet, "/ui/", nil), httptest.NewRecorder()
		r.Host = "localhost"
		site.ServeHTTP(w, r)
		overview = w.Body.String()
	})
	if strings.Contains(overview, "Nothing yet") || strings.Count(overview, `class="line`) < 6 {
		t.Errorf("its charts are empty: %s", overview)
	}
	return overview
}

// serveAt is the address of a server whose overview is the text, and all else that of the site's server.
func serveAt(t *testing.T, overview string) string {
	t.Helper()
	behind, err := url.Parse(site.URL)
	if err != nil {
		t.Fatal(err)
	}
	others := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(behind) }}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ui/":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte(overview))
		case "/ui/live": // of a page that does not change
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		default:
			others.ServeHTTP(w, r)
		}
	})}
	go func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { _ = srv.Close() })
	return "http://" + ln.Addr().String()
}
