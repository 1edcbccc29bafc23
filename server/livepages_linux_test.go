package server_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server"
)

// viewer is a page that is told of changes, and is asked for again each time.
type viewer struct {
	http.ResponseWriter
	again chan struct{}
}

func (v viewer) Header() http.Header { return http.Header{} }
func (v viewer) WriteHeader(int)     {}
func (v viewer) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("event: changed")) {
		select {
		case v.again <- struct{}{}:
		default:
		}
	}
	return len(p), nil
}
func (v viewer) Flush() {}

// spent is how long the process has had a processor.
func spent(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkViewers has 50 pages of one app, in which 20 jobs run each second, be told of changes and asked for again each
// time: of the app, of its jobs, and the overview. It says what share of one processor that takes more than the same jobs
// without viewers, and how many pages were made in a second.
func BenchmarkViewers(b *testing.B) {
	const viewers, jobs, span = 50, 20, 6 * time.Second
	reg := dispatch.NewRegistry()
	do := dispatch.InternalMutation[note, dispatch.None]("notes:do")
	do.Handle(reg, func(*dispatch.MutationCtx, note) (none dispatch.None, err error) { return none, nil })
	eng, err := actors.Open(b.TempDir(), actors.Options{Functions: reg, Volumes: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = eng.Close(context.Background()) }()
	app, err := eng.App("acme")
	if err != nil {
		b.Fatal(err)
	}
	site := server.New(eng, server.Options{Admin: func(*http.Request) error { return nil }, Logger: slog.New(slog.DiscardHandler)})
	work := func() time.Duration {
		began := spent(b)
		for range int(span/time.Second) * jobs {
			if _, err := app.Scheduler(b.Context()).RunAfter(0, do.With(note{"x"})); err != nil {
				b.Fatal(err)
			}
			time.Sleep(time.Second / jobs)
		}
		return spent(b) - began
	}
	ask := func(ctx context.Context, w http.ResponseWriter, path string) {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
		r.Host = "localhost"
		r.Header.Set("Carillon-Live", "1")
		site.ServeHTTP(w, r)
	}
	for _, page := range []struct{ name, path, stream string }{
		{"app", "/ui/apps/acme", "?app=acme"},
		{"jobs", "/ui/apps/acme/jobs", "?app=acme"},
		{"overview", "/ui/", ""},
	} {
		b.Run(page.name, func(b *testing.B) {
			var alone, seen time.Duration
			var made atomic.Int64
			for b.Loop() {
				alone += work()
				ctx, stop := context.WithCancel(b.Context())
				var open sync.WaitGroup
				for range viewers {
					v := viewer{again: make(chan struct{}, 1)}
					open.Go(func() { ask(ctx, v, "/ui/live"+page.stream) })
					open.Go(func() {
						for {
							select {
							case <-v.again:
								w := httptest.NewRecorder()
								ask(ctx, w, page.path)
								if _, _ = io.Copy(io.Discard, w.Body); w.Code == http.StatusOK {
									made.Add(1)
								}
							case <-ctx.Done():
								return
							}
						}
					})
				}
				time.Sleep(100 * time.Millisecond) // until all are open
				made.Store(0)
				seen += work()
				stop()
				open.Wait()
			}
			total := float64(b.N) * float64(span)
			b.ReportMetric(100*float64(seen-alone)/total, "%cpu")
			b.ReportMetric(float64(made.Load())*float64(time.Second)/float64(span), "pages/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
