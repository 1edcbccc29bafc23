package metrics_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/metrics"
	"carillon/storage"
)

// names are all metrics that there are, with their labels: dashboards and alerts are made of them, so
// none is renamed.
var names = []string{
	"carillon_app_hibernations_total",
	"carillon_app_wakes_total",
	"carillon_apps",
	"carillon_apps_awake",
	"carillon_attempts_total{end}",
	"carillon_checkpoint_seconds",
	"carillon_clock_notes",
	"carillon_clock_steps_total",
	"carillon_commit_bytes",
	"carillon_commit_seconds",
	"carillon_groups",
	"carillon_handler_errors_total{code,function}",
	"carillon_handler_seconds{function,kind}",
	"carillon_job_lateness_seconds",
	"carillon_jobs{state}",
	"carillon_live_bytes",
	"carillon_live_queries",
	"carillon_live_runs_total",
	"carillon_live_staleness_seconds",
	"carillon_log_bytes",
	"carillon_log_sync_seconds",
	"carillon_log_uncopied_records",
	"carillon_node_epoch{why}",
	"carillon_node_lag_seconds",
	"carillon_node_lease_seconds",
	"carillon_node_lost_tails_total",
	"carillon_node_owner",
	"carillon_node_takeovers_total",
	"carillon_node_unfolded_records",
	"carillon_overdue_triggers",
	"carillon_purged_dead_jobs_total",
	"carillon_refusals_total{code,door}",
	"carillon_shed_total",
	"carillon_stuck_handlers",
	"carillon_unreadable",
	"carillon_volumes",
	"carillon_volumes_down",
	"carillon_warnings",
	"carillon_written_bytes_total",
}

// scraped are the metrics as a parser has read them.
type scraped map[string]*dto.MetricFamily

// mustScrape asks for the metrics as Prometheus does.
func mustScrape(tb testing.TB, h http.Handler, path, token string) (scraped, []byte) {
	tb.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "http://localhost"+path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		tb.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		tb.Fatalf("%v: %s", err, w.Body)
	}
	return families, w.Body.Bytes()
}

// value is the value of the one metric of the family whose labels have these values.
func (s scraped) value(family string, labels ...string) string {
	for _, m := range s[family].GetMetric() {
		var have []string
		for _, l := range m.GetLabel() {
			have = append(have, l.GetValue())
		}
		if !slices.Equal(have, labels) {
			continue
		}
		switch {
		case m.Histogram != nil:
			return fmt.Sprintf("%d in %g", m.Histogram.GetSampleCount(), m.Histogram.GetSampleSum())
		case m.Counter != nil:
			return fmt.Sprint(m.Counter.GetValue())
		}
		return fmt.Sprint(m.Gauge.GetValue())
	}
	return "none"
}

// TestMetricsTellWhatHappened: what jobs, calls and requests have done is in what a scrape says, under
// names that stay.
func TestMetricsTellWhatHappened(t *testing.T) {
	m, reg, tries := metrics.New(), dispatch.NewRegistry(), 0
	m.WatchNode(func() metrics.Node { return metrics.Node{Owner: true, Epoch: 1, Why: "free"} })
	reg.Use(m.Middleware)
	again := dispatch.Mutation[dispatch.None, dispatch.None]("t:again")
	again.Handle(reg, func(*dispatch.MutationCtx, dispatch.None) (dispatch.None, error) {
		if tries++; tries == 1 {
			return dispatch.None{}, dispatch.Errorf(dispatch.CodeUnavailable, "not yet")
		}
		return dispatch.None{}, nil
	})
	bad := dispatch.Action[dispatch.None, dispatch.None]("t:bad")
	bad.Handle(reg, func(*dispatch.ActionCtx, dispatch.None) (dispatch.None, error) {
		time.Sleep(5 * time.Second)
		panic("as ever")
	})
	wait := dispatch.Action[dispatch.None, dispatch.None]("t:wait")
	wait.Handle(reg, func(ctx *dispatch.ActionCtx, _ dispatch.None) (dispatch.None, error) {
		<-ctx.Done()
		return dispatch.None{}, ctx.Err()
	})
	opts := actors.Options{Functions: reg, Volumes: 2, IdleAfter: time.Minute}
	opts.Testing.Survey = func() { time.Sleep(50 * time.Millisecond) }
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		refusals := new(server.Refusals)
		m.Watch(h.Engine, refusals)
		site := server.New(h.Engine, server.Options{
			Refusals: refusals, Metrics: m.Handler(),
			Operator: func(r *http.Request) (*server.Operator, error) {
				switch r.Header.Get("Authorization") {
				case "Bearer all":
					return &server.Operator{AllApps: true, Scopes: []server.Scope{server.ScopeRead}}, nil
				case "Bearer one":
					return &server.Operator{Apps: []storage.AppID{"acme"}, Scopes: server.Scopes()}, nil
				}
				return nil, nil
			},
		})
		for token, want := range map[string]int{"": 401, "one": 403} {
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "http://localhost/metrics", nil)
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			if site.ServeHTTP(w, r); w.Code != want || !json.Valid(w.Body.Bytes()) {
				t.Errorf("with the token %q: %d %s", token, w.Code, w.Body)
			}
		}
		at := func(in time.Duration, call dispatch.Call, options ...dispatch.RunOption) {
			t.Helper()
			if _, err := h.Scheduler("acme").RunAfter(in, call, options...); err != nil {
				t.Fatal(err)
			}
		}
		at(time.Second, again.With(dispatch.None{}))
		at(time.Minute, bad.With(dispatch.None{}), dispatch.NoRetry())
		at(2*time.Minute, wait.With(dispatch.None{}))
		at(time.Hour, again.With(dispatch.None{}))
		h.Advance(2*time.Minute + time.Second)
		got, text := mustScrape(t, site, "/metrics", "all")
		for _, want := range []struct {
			value, family string
			labels        []string
		}{
			{"1", "carillon_attempts_total", []string{"success"}},
			{"1", "carillon_attempts_total", []string{"retried"}},
			{"1", "carillon_attempts_total", []string{"dead"}},
			{"0", "carillon_attempts_total", []string{"held"}},
			{"4 in 0", "carillon_job_lateness_seconds", nil},
			{"2 in 0", "carillon_handler_seconds", []string{"t:again", "mutation"}},
			{"1 in 5", "carillon_handler_seconds", []string{"t:bad", "action"}},
			{"1", "carillon_handler_errors_total", []string{"unavailable", "t:again"}},
			{"1", "carillon_handler_errors_total", []string{"internal", "t:bad"}},
			{"1", "carillon_jobs", []string{"pending"}},
			{"1", "carillon_jobs", []string{"running"}},
			{"1", "carillon_jobs", []string{"dead"}},
			{"1", "carillon_jobs", []string{"finished"}},
			{"1", "carillon_apps", nil},
			{"1", "carillon_apps_awake", nil},
			{"1", "carillon_app_wakes_total", nil},
			{"0", "carillon_clock_steps_total", nil},
			{"2", "carillon_volumes", nil},
			{"0", "carillon_volumes_down", nil},
			{"0", "carillon_warnings", nil},
			{"1", "carillon_refusals_total", []string{"unauthenticated", "operator"}},
			{"1", "carillon_refusals_total", []string{"permission_denied", "operator"}},
		} {
			if v := got.value(want.family, want.labels...); v != want.value {
				t.Errorf("%s%q is %s, want %s", want.family, want.labels, v, want.value)
			}
		}
		for _, some := range []string{"carillon_log_bytes", "carillon_written_bytes_total"} {
			if v := got.value(some); v == "0" || v == "none" {
				t.Errorf("%s is %s", some, v)
			}
		}
		for _, some := range []string{"carillon_commit_seconds", "carillon_commit_bytes"} {
			if v := got.value(some); strings.HasPrefix(v, "0 ") || v == "none" {
				t.Errorf("%s is %s", some, v)
			}
		}
		if text := string(text); strings.Contains(text, "acme") {
			t.Error("a label has the name of an app")
		}
		// What the counters of all apps say is kept for twenty times as long as it took to read them, and a scrape does
		// not wait until they are read again.
		at(time.Hour, again.With(dispatch.None{}))
		if got, _ := mustScrape(t, m.Handler(), "/", ""); got.value("carillon_jobs", "pending") != "1" {
			t.Error("all apps are read by each scrape")
		}
		h.Advance(time.Second)
		if got, _ := mustScrape(t, m.Handler(), "/", ""); got.value("carillon_jobs", "pending") != "1" {
			t.Error("a scrape waits until all apps are read")
		}
		h.Advance(50 * time.Millisecond)
		if got, _ := mustScrape(t, m.Handler(), "/", ""); got.value("carillon_jobs", "pending") != "2" {
			t.Errorf("a second later %s jobs are pending, want 2", got.value("carillon_jobs", "pending"))
		}
		checkNames(t, got)
		problems, err := promlint.New(bytes.NewReader(text)).Lint()
		for _, p := range problems {
			if strings.HasPrefix(p.Metric, "carillon_") {
				t.Errorf("%s: %s", p.Metric, p.Text)
			}
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// checkNames demands that the metrics are those that there always were, and that the manual says what
// each means.
func checkNames(t *testing.T, got scraped) {
	t.Helper()
	var have []string
	for name, family := range got {
		if !strings.HasPrefix(name, "carillon_") {
			continue
		}
		var labels []string
		for _, l := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		if len(labels) > 0 {
			name += "{" + strings.Join(labels, ",") + "}"
		}
		have = append(have, name)
	}
	if slices.Sort(have); !slices.Equal(have, names) {
		t.Errorf("the metrics are %q, want %q", have, names)
	}
	manual, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, name := range regexp.MustCompile("(?m)^\\| `(carillon_[a-z_]+)").FindAllStringSubmatch(string(manual), -1) {
		documented[name[1]] = true
	}
	for _, name := range names {
		bare, _, _ := strings.Cut(name, "{")
		if !documented[bare] {
			t.Errorf("docs/operating.md does not say what %s means", bare)
		}
		delete(documented, bare)
	}
	for name := range documented {
		t.Errorf("docs/operating.md has %s, which there is not", name)
	}
}

// TestOnlyThoseWhoAskLinkThem: of this module's packages only this one, server/otel and client/mcp import
// what they are for, and none but the command imports them.
func TestOnlyThoseWhoAskLinkThem(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "carillon/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	homes := map[string]string{
		"github.com/prometheus/": "carillon/server/metrics", "go.opentelemetry.io/": "carillon/server/otel", "github.com/modelcontextprotocol/": "carillon/client/mcp",
	}
	optIn := slices.Collect(maps.Values(homes))
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		pkg, imports := words[0], words[1:]
		for _, imported := range imports {
			for party, home := range homes {
				if strings.HasPrefix(imported, party) && pkg != home {
					t.Errorf("%s imports %s", pkg, imported)
				}
			}
			if slices.Contains(optIn, imported) && !strings.HasPrefix(pkg, "carillon/cmd") {
				t.Errorf("%s imports %s", pkg, imported)
			}
		}
	}
}
