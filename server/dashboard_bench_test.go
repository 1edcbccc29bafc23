package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
)

// BenchmarkDashboard asks for pages of an engine with 100,000 apps and 1,000,000 jobs, a tenth of them in one
// app, as many of which have failed as are pending: how long each takes, and how much of it goes over the wire:
// not more than 100 KB. An operation is one page.
func BenchmarkDashboard(b *testing.B) {
	const apps, inBig, each = 100_000, 100_000, 9
	eng := manyApps(b, apps, inBig, each)
	site := server.New(eng, server.Options{
		Logger: slog.New(slog.DiscardHandler),
		Operator: func(*http.Request) (*server.Operator, error) {
			return &server.Operator{Name: "ann", AllApps: true, Scopes: server.Scopes()}, nil
		},
	})
	for _, page := range []struct{ name, path string }{
		{"overview", "/ui/"},
		{"apps", "/ui/apps"},
		{"apps-by-name", "/ui/apps?contains=0777"},
		{"app", "/ui/apps/big"},
		{"jobs", "/ui/apps/big/jobs"},
		{"jobs-failed", "/ui/apps/big/jobs?state=failed"},
		{"jobs-by-tag", "/ui/apps/big/jobs?tag=half"},
		{"jobs-of-function", "/ui/apps/big/jobs?function=page:fails"},
		{"jobs-text-not-found", "/ui/apps/big/jobs?argsContains=nowhere"},
		{"job", "/ui/apps/big/jobs/one"},
	} {
		b.Run(page.name, func(b *testing.B) {
			var took []time.Duration
			var body []byte
			for b.Loop() {
				r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, page.path, nil)
				r.Host = "localhost"
				w := httptest.NewRecorder()
				start := time.Now()
				site.ServeHTTP(w, r)
				took = append(took, time.Since(start))
				if body = w.Body.Bytes(); w.Code != http.StatusOK || len(body) > 100_000 {
					b.Fatalf("%d, %d bytes: %.1000s", w.Code, len(body), body)
				}
			}
			slices.Sort(took)
			b.ReportMetric(took[len(took)/2].Seconds()*1e3, "p50-ms")
			b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "p99-ms")
			b.ReportMetric(float64(len(body))/1e3, "kB")
		})
	}
}

// manyApps opens an engine with that many apps of a few jobs each, and one with many, due in an hour but for the half of
// its own that has failed.
func manyApps(b *testing.B, apps, inBig, each int) *actors.Engine {
	b.Helper()
	reg := dispatch.NewRegistry()
	var failed atomic.Int64
	waits := dispatch.InternalMutation[note, dispatch.None]("page:waits")
	waits.Handle(reg, func(*dispatch.MutationCtx, note) (none dispatch.None, err error) { return none, nil })
	fails := dispatch.InternalMutation[note, dispatch.None]("page:fails")
	fails.Handle(reg, func(*dispatch.MutationCtx, note) (none dispatch.None, err error) {
		failed.Add(1)
		return none, dispatch.Permanent(dispatch.Errorf(dispatch.CodeInvalidArgument, "no"))
	})
	eng, err := actors.Open(b.TempDir(), actors.Options{
		Functions: reg, Logger: slog.New(slog.DiscardHandler), IdleAfter: time.Second,
		Testing: actors.Testing{NoSync: true},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = eng.Close(context.Background()) })
	due := time.Now().Add(6 * time.Hour)
	fill := func(name string, n int) {
		app, err := eng.App(storage.AppID(name))
		if err != nil {
			b.Error(err)
			return
		}
		sched := app.Scheduler(context.Background())
		for at := 0; at < n; at += dispatch.MaxBatch {
			var calls []dispatch.Scheduled
			for i := at; i < min(n, at+dispatch.MaxBatch); i++ {
				opts := []dispatch.RunOption{dispatch.Tags([]string{"half", "other"}[i%2])}
				if name == "big" && i == 0 {
					opts = append(opts, dispatch.ID("one"))
				}
				if call := waits.With(note{"some text"}); name == "big" && i%2 == 1 {
					calls = append(calls, dispatch.After(0, fails.With(note{"other text"}), opts...))
				} else {
					calls = append(calls, dispatch.At(due, call, opts...))
				}
			}
			if _, err := sched.RunMany(calls); err != nil {
				b.Error(err)
				return
			}
		}
	}
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 64 {
		wg.Go(func() {
			for n := next.Add(1); n < int64(apps) && !b.Failed(); n = next.Add(1) {
				fill(fmt.Sprintf("app-%05d", n), each)
			}
		})
	}
	fill("big", inBig)
	wg.Wait()
	for failed.Load() < int64(inBig)/2 && !b.Failed() {
		time.Sleep(time.Millisecond)
	}
	if b.Failed() {
		b.FailNow()
	}
	return eng
}
