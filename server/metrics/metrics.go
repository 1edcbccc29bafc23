package metrics

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server"
)

// Metrics are those of one engine.
type Metrics struct {
	registry  *prometheus.Registry
	seconds   *prometheus.HistogramVec
	errors    *prometheus.CounterVec
	durations sync.Map // prometheus.Observer by the path of a function
	watched   atomic.Pointer[watched]
	node      atomic.Pointer[func() Node]
}

// New returns metrics of no engine yet, with those of the process and of Go's runtime.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "carillon_handler_seconds", Help: "How long handlers ran: of calls, jobs, and functions that ran inside others.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
		}, []string{"function", "kind"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "carillon_handler_errors_total", Help: "Runs of handlers that have failed, by the code of the error.",
		}, []string{"function", "code"}),
	}
	m.registry.MustRegister(m.seconds, m.errors, collector{m}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Middleware measures how long handlers take, and counts their errors by code. It is for
// dispatch.Registry.Use, as the first of all, so that it stands around the others.
func (m *Metrics) Middleware(ctx context.Context, run dispatch.HandlerRun, next func(context.Context) error) (err error) {
	began, code := time.Now(), dispatch.CodeInternal // of a panic
	defer func() {
		m.duration(&run).Observe(time.Since(began).Seconds())
		if code != "" {
			m.errors.WithLabelValues(run.Path, string(code)).Inc()
		}
	}()
	if err = next(ctx); err == nil {
		code = ""
	} else {
		code = dispatch.AsError(err).Code
	}
	return err
}

// duration is where the durations of a function are observed.
func (m *Metrics) duration(run *dispatch.HandlerRun) prometheus.Observer {
	if o, ok := m.durations.Load(run.Path); ok {
		return o.(prometheus.Observer)
	}
	o := m.seconds.WithLabelValues(run.Path, string(run.Kind))
	m.durations.Store(run.Path, o)
	return o
}

// Watch has the metrics be of the engine from now on, and of the refusals of its server, which may be
// nil. They are of no engine from now on if eng is nil.
func (m *Metrics) Watch(eng *actors.Engine, refusals *server.Refusals) {
	if eng == nil {
		m.watched.Store(nil)
		return
	}
	m.watched.Store(&watched{eng: eng, refusals: refusals})
}

// Handler answers with the metrics in the formats of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// watched is the engine that metrics are of.
type watched struct {
	eng      *actors.Engine
	refusals *server.Refusals
}

// surveyWait is how long metrics wait for new counts of all apps, unless there are none yet.
const surveyWait = 20 * time.Millisecond

// survey is what there is to do in all apps, as it was lately.
func (w *watched) survey() actors.Survey {
	ctx, enough := context.WithTimeout(context.Background(), surveyWait)
	defer enough()
	s := w.eng.Survey(ctx)
	if s.At.IsZero() {
		s = w.eng.Survey(context.Background())
	}
	return s
}
