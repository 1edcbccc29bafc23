package server_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
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

// fieldsOf calls do with each field of the message: a number, or a text.
func fieldsOf(tb testing.TB, message []byte, do func(field protowire.Number, number uint64, text []byte)) {
	for len(message) > 0 {
		field, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			tb.Fatal(protowire.ParseError(n))
		}
		message = message[n:]
		var number uint64
		var text []byte
		switch kind {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			text, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(field, kind, message)
		}
		if n < 0 {
			tb.Fatal(protowire.ParseError(n))
		}
		message = message[n:]
		do(field, number, text)
	}
}

// labeled is how long the processor was had by what has the label, by a profile of it as package pprof writes it.
func labeled(tb testing.TB, profile io.Reader, key, value string) (spent time.Duration) {
	unzipped, err := gzip.NewReader(profile)
	if err != nil {
		tb.Fatal(err)
	}
	all, err := io.ReadAll(unzipped)
	if err != nil {
		tb.Fatal(err)
	}
	var samples [][]byte
	var texts []string
	fieldsOf(tb, all, func(field protowire.Number, _ uint64, text []byte) {
		switch field {
		case 2:
			samples = append(samples, text)
		case 6:
			texts = append(texts, string(text))
		}
	})
	for _, sample := range samples {
		var took uint64 // the last of its values, in nanoseconds
		has := false
		fieldsOf(tb, sample, func(field protowire.Number, number uint64, text []byte) {
			switch {
			case field == 2 && text == nil:
				took = number
			case field == 3:
				var of [2]string
				fieldsOf(tb, text, func(field protowire.Number, number uint64, _ []byte) {
					if field <= 2 {
						of[field-1] = texts[number]
					}
				})
				has = has || of == [2]string{key, value}
			}
		})
		if has {
			spent += time.Duration(took)
		}
	}
	return spent
}

// BenchmarkViewers has 50 pages of one app, in which 20 jobs run each second, be told of changes and asked for again each
// time: of the app, of its jobs, the overview, and of its jobs with 50 filters, of 50 jobs. It says what share of one processor that takes more than the same jobs
// without viewers, what share of one the profile has for the dashboard, and how many pages were made in a second.
func BenchmarkViewers(b *testing.B) {
	const viewers, jobs, span = 50, 20, 10 * time.Second
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
	var ids [viewers]storage.JobID
	for i := range ids {
		if ids[i], err = app.Scheduler(b.Context()).RunAfter(time.Hour, do.With(note{"x"})); err != nil {
			b.Fatal(err)
		}
	}
	for _, page := range []struct {
		name, stream string
		path         func(viewer int) string
	}{
		{"app", "?app=acme", func(int) string { return "/ui/apps/acme" }},
		{"jobs", "?app=acme", func(int) string { return "/ui/apps/acme/jobs" }},
		{"overview", "", func(int) string { return "/ui/" }},
		{"other-filters", "?app=acme", func(viewer int) string { return fmt.Sprint("/ui/apps/acme/jobs?limit=", 50+viewer) }},
		{"other-jobs", "?app=acme", func(viewer int) string { return "/ui/apps/acme/jobs/" + string(ids[viewer]) }},
	} {
		b.Run(page.name, func(b *testing.B) {
			var alone, seen, labels time.Duration
			var made atomic.Int64
			for b.Loop() {
				alone += work()
				ctx, stop := context.WithCancel(b.Context())
				var open sync.WaitGroup
				for i := range viewers {
					v := viewer{again: make(chan struct{}, 1)}
					open.Go(func() { ask(ctx, v, "/ui/live"+page.stream) })
					open.Go(func() {
						for {
							select {
							case <-v.again:
								w := httptest.NewRecorder()
								ask(ctx, w, page.path(i))
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
				var profile bytes.Buffer
				if err := pprof.StartCPUProfile(&profile); err != nil {
					b.Fatal(err) // with -cpuprofile there is another one
				}
				seen += work()
				pprof.StopCPUProfile()
				labels += labeled(b, &profile, "carillon", "dashboard")
				stop()
				open.Wait()
			}
			total := float64(b.N) * float64(span)
			b.ReportMetric(100*float64(seen-alone)/total, "%cpu")
			b.ReportMetric(100*float64(labels)/total, "%cpu-labeled")
			b.ReportMetric(float64(made.Load())*float64(time.Second)/float64(span), "pages/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
