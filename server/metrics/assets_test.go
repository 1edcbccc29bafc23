package metrics_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"go.yaml.in/yaml/v4"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/metrics"
)

// Files that are made of the names of metrics.
const (
	alertsFile    = "../../deploy/prometheus/alerts.yaml"
	dashboardFile = "../../deploy/grafana/carillon.json"
)

// alertRule is a rule as Prometheus reads it.
type alertRule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// mustAlerts reads the rules.
func mustAlerts(t *testing.T) (rules []alertRule) {
	t.Helper()
	text, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string      `yaml:"name"`
			Rules []alertRule `yaml:"rules"`
		} `yaml:"groups"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	if len(rules) < 15 {
		t.Fatalf("only %d rules were read", len(rules))
	}
	return rules
}

// panel is a part of a dashboard, as Grafana reads it.
type panel struct {
	ID      int    `json:"id"`
	Type    string `json:"type"`
	Title   string `json:"title"`
	GridPos struct{ X, Y, W, H int }
	Targets []struct {
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
	} `json:"targets"`
}

// mustPanels reads the dashboard.
func mustPanels(t *testing.T) []panel {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels     []panel `json:"panels"`
		Templating struct {
			List []struct{ Name, Query string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	if len(dashboard.Panels) < 20 {
		t.Fatalf("only %d panels were read", len(dashboard.Panels))
	}
	// What a variable asks for is of the same names.
	for _, v := range dashboard.Templating.List {
		if inside, ok := strings.CutPrefix(v.Query, "label_values("); ok {
			selector, label, _ := strings.Cut(strings.TrimSuffix(inside, ")"), ", ")
			p := panel{Title: "the variable " + v.Name}
			p.Targets = append(p.Targets, struct {
				Expr         string `json:"expr"`
				LegendFormat string `json:"legendFormat"`
			}{"sum by (" + label + ") (" + selector + ")", ""})
			dashboard.Panels = append(dashboard.Panels, p)
		}
	}
	return dashboard.Panels
}

// known is what an expression may name.
type known struct {
	kinds  map[string]dto.MetricType
	labels map[string][]string // by metric
	values map[string][]string // by "metric label", of labels whose values are always the same
}

// mustKnow asks an engine for its metrics; those that have no series yet are in names.
func mustKnow(t *testing.T) known {
	t.Helper()
	k := known{kinds: map[string]dto.MetricType{}, labels: map[string][]string{}, values: map[string][]string{}}
	m := metrics.New()
	m.WatchNode(func() metrics.Node { return metrics.Node{Owner: true, Epoch: 1, Why: "free"} })
	actorstest.Run(t, actors.Options{Functions: dispatch.NewRegistry()}, func(h *actorstest.Harness) {
		m.Watch(h.Engine, new(server.Refusals))
		got, _ := mustScrape(t, m.Handler(), "/", "")
		for name, family := range got {
			k.kinds[name] = family.GetType()
			for _, series := range family.GetMetric() {
				for _, l := range series.GetLabel() {
					at := name + " " + l.GetName()
					k.values[at] = append(k.values[at], l.GetValue())
				}
			}
		}
	})
	for _, name := range names {
		bare, labels, _ := strings.Cut(strings.TrimSuffix(name, "}"), "{")
		if labels != "" {
			k.labels[bare] = strings.Split(labels, ",")
		}
		switch _, there := k.kinds[bare]; {
		case there:
		case strings.HasSuffix(bare, "_total"):
			k.kinds[bare] = dto.MetricType_COUNTER
		case strings.HasSuffix(bare, "_seconds"):
			k.kinds[bare] = dto.MetricType_HISTOGRAM
		default:
			t.Errorf("no scrape has %s", bare)
		}
	}
	k.kinds["up"] = dto.MetricType_GAUGE // Prometheus makes it
	return k
}

var (
	// promToken matches a token of PromQL: a string, a range, a name, a number, or a sign.
	promToken = regexp.MustCompile(`"[^"]*"|\[[^\]]*\]|[a-zA-Z_:][a-zA-Z0-9_:]*|[0-9.]+|[<>=!~]+|\S`)
	promName  = regexp.MustCompile(`^[a-zA-Z_:]`)
	promRange = regexp.MustCompile(`^\[([0-9]+[smhd]|\$__rate_interval)\]$`)

	// promFunctions are those that the assets use, and whether each takes a range.
	promFunctions = map[string]bool{"sum": false, "topk": false, "histogram_quantile": false, "rate": true, "increase": true, "changes": true}

	// ofTarget are the labels that Prometheus gives each target.
	ofTarget = []string{"instance", "job"}
)

// faultsOf says what is wrong with an expression, and returns the metrics that it names and the labels
// that its result has.
func (k known) faultsOf(expr string) (faults []string, used, labels []string) {
	fault := func(parts ...string) { faults = append(faults, strings.Join(parts, "")) }
	tokens := append(promToken.FindAllString(expr, -1), "", "")
	depth, grouped := 0, false
	function, last := "", "" // the function that the next metric is the argument of; the last metric
	for i := 0; i < len(tokens)-2; i++ {
		switch token, next := tokens[i], tokens[i+1]; {
		case token == "(":
			depth++
		case token == ")":
			depth--
		case token == "by":
			grouped, labels = true, nil
			for i += 2; tokens[i] != ")" && tokens[i] != ""; i++ {
				if tokens[i] != "," {
					labels = append(labels, tokens[i])
				}
			}
		case strings.HasPrefix(token, "["):
			if last == "" || !promRange.MatchString(token) {
				fault("the range ", token)
			}
		case !promName.MatchString(token):
		case next == "(" || next == "by":
			if _, ok := promFunctions[token]; !ok {
				fault("the function ", token, " is not known")
			}
			function = token
		default:
			base, part := token, ""
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if of, ok := strings.CutSuffix(token, suffix); ok && k.kinds[of] == dto.MetricType_HISTOGRAM {
					base, part = of, suffix
				}
			}
			kind, there := k.kinds[base]
			if !there {
				fault("there is no metric ", token)
			}
			if kind == dto.MetricType_HISTOGRAM && part == "" {
				fault(token, " is a histogram: no series has just that name")
			}
			used, last = append(used, base), token
			has := slices.Concat(k.labels[base], ofTarget)
			if part == "_bucket" {
				has = append(has, "le")
			}
			if next == "{" {
				for i += 2; tokens[i] != "}" && tokens[i] != ""; i++ {
					if tokens[i] == "," {
						continue
					}
					label, op, value := tokens[i], tokens[i+1], strings.Trim(tokens[min(i+2, len(tokens)-1)], `"`)
					if !slices.Contains(has, label) {
						fault(token, " has no label ", label)
					}
					if all := k.values[base+" "+label]; op == "=" && all != nil && !slices.Contains(all, value) {
						fault(token, " has no ", label, " ", value)
					}
					i += 2
				}
			}
			if !grouped {
				labels = append(labels, has...)
			}
			for _, l := range labels {
				if grouped && !slices.Contains(has, l) {
					fault(token, " has no label ", l, " to sum by")
				}
			}
			ranged := strings.HasPrefix(tokens[i+1], "[")
			if counts := kind == dto.MetricType_COUNTER || part != ""; counts != (function == "rate" || function == "increase") {
				fault(token, " in ", function, ": of counters, and only of them, a rate or an increase says something")
			}
			if ranged != promFunctions[function] {
				fault(token, " in ", function, ": a range belongs to it, or does not")
			}
			function = ""
		}
	}
	if depth != 0 || len(used) == 0 {
		fault("no expression")
	}
	if strings.Contains(expr, "histogram_quantile") {
		if !slices.Contains(labels, "le") {
			fault("a quantile without le")
		}
		labels = slices.DeleteFunc(labels, func(l string) bool { return l == "le" })
	}
	return faults, used, labels
}

// TestAssetsNameWhatThereIs: each expression of the rules and of the dashboard is of metrics that there
// are, with labels and values that those have, and each metric is on the dashboard.
func TestAssetsNameWhatThereIs(t *testing.T) {
	k := mustKnow(t)
	named := regexp.MustCompile(`\$labels\.([a-z]+)`)
	for _, r := range mustAlerts(t) {
		faults, _, labels := k.faultsOf(r.Expr)
		for _, m := range named.FindAllStringSubmatch(r.Annotations["summary"], -1) {
			if !slices.Contains(labels, m[1]) {
				faults = append(faults, "its text has the label "+m[1]+", and it has none")
			}
		}
		for _, fault := range faults {
			t.Errorf("%s: %s", r.Alert, fault)
		}
	}
	shown, ids, cells := map[string]bool{}, map[int]bool{}, map[[2]int]string{}
	braces := regexp.MustCompile(`\{\{([a-z]+)\}\}`)
	for _, p := range mustPanels(t) {
		for _, target := range p.Targets {
			faults, used, labels := k.faultsOf(target.Expr)
			for _, m := range braces.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !slices.Contains(labels, m[1]) {
					faults = append(faults, "its legend has the label "+m[1]+", and it has none")
				}
			}
			for _, fault := range faults {
				t.Errorf("%s: %s", p.Title, fault)
			}
			for _, name := range used {
				shown[name] = true
			}
		}
		if p.Type == "" {
			continue // a variable
		}
		if p.Title == "" || ids[p.ID] {
			t.Errorf("the panel %d, %q, has no title or another one's id", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := cells[at]; other != "" || at[0] >= 24 {
					t.Fatalf("%s lies on %s, or beside the page", p.Title, other)
				}
				cells[at] = p.Title
			}
		}
	}
	for _, name := range names {
		if bare, _, _ := strings.Cut(name, "{"); !shown[bare] {
			t.Errorf("the dashboard does not show %s", bare)
		}
	}
}

// TestFaultsOfExpressionsAreFound shows that the test above can fail.
func TestFaultsOfExpressionsAreFound(t *testing.T) {
	k := mustKnow(t)
	for expr, want := range map[string]string{
		`carillon_job > 0`:                                         "there is no metric carillon_job",
		`carillon_jobs{stat="dead"}`:                               "carillon_jobs has no label stat",
		`carillon_jobs{state="deaf"}`:                              "carillon_jobs has no state deaf",
		`sum by (app) (carillon_jobs)`:                             "carillon_jobs has no label app to sum by",
		`carillon_attempts_total > 0`:                              "carillon_attempts_total in : of counters, and only of them, a rate or an increase says something",
		`rate(carillon_apps[5m])`:                                  "carillon_apps in rate: of counters, and only of them, a rate or an increase says something",
		`rate(carillon_shed_total)`:                                "carillon_shed_total in rate: a range belongs to it, or does not",
		`rate(carillon_shed_total[5])`:                             "the range [5]",
		`rate(carillon_commit_seconds[5m])`:                        "carillon_commit_seconds is a histogram: no series has just that name",
		`sum(histogram_quantile(0.9, carillon_apps)`:               "no expression",
		`histogram_quantile(1, sum by (job) (carillon_apps))`:      "a quantile without le",
		`median(carillon_apps)`:                                    "the function median is not known",
		`rate(carillon_handler_errors_total{code!="x",le=""}[1d])`: "carillon_handler_errors_total has no label le",
	} {
		if faults, _, _ := k.faultsOf(expr); !slices.Contains(faults, want) {
			t.Errorf("%s: %q, want %q", expr, faults, want)
		}
	}
}

// TestEachAlertHasWhatToDo: each rule says what it is about, how bad it is, and where a person reads what
// to do, and the manual has no alert that there is not.
func TestEachAlertHasWhatToDo(t *testing.T) {
	page, err := os.ReadFile("../../docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^### (Carillon[A-Za-z]+)$`).FindAllStringSubmatch(string(page), -1) {
		sections[m[1]] = true
	}
	for _, r := range mustAlerts(t) {
		if want := "docs/alerts.md#" + strings.ToLower(r.Alert); r.Annotations["runbook"] != want {
			t.Errorf("%s has the runbook %q, want %q", r.Alert, r.Annotations["runbook"], want)
		}
		if s := r.Labels["severity"]; (s != "warning" && s != "critical") || r.Annotations["summary"] == "" {
			t.Errorf("%s has the severity %q, and the summary %q", r.Alert, s, r.Annotations["summary"])
		}
		if !sections[r.Alert] {
			t.Errorf("docs/alerts.md does not say what to do about %s", r.Alert)
		}
		delete(sections, r.Alert)
	}
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		t.Errorf("docs/alerts.md has %s, which is no alert or two", name)
	}
}

// TestPromtoolTakesTheRules: each rule has a case that raises it, and where Prometheus is there its own
// tool tries them.
func TestPromtoolTakesTheRules(t *testing.T) {
	const cases = "../../deploy/prometheus/alerts_test.yaml"
	text, err := os.ReadFile(cases)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range mustAlerts(t) {
		if !strings.Contains(string(text), "alertname: "+r.Alert+"\n") {
			t.Errorf("no case raises %s", r.Alert)
		}
	}
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("there is no promtool")
	}
	for _, args := range [][]string{{"check", "rules", alertsFile}, {"test", "rules", cases}} {
		if out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", args, err, out)
		}
	}
}
