package ui

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/internal/strictjson"
	"carillon/server/api"
)

// triggerForm is the form of a trigger that is made, or is changed.
type triggerForm struct {
	App                       string
	Prior                     *api.Cron  // the trigger that is changed; nil of one that is made
	Form                      url.Values // what its fields have
	Functions                 []api.Function
	Overlaps, Modes, Backoffs []string

	Spec  string    // what the instants are of, in words
	Due   []instant // the first slots of what was typed
	Error *api.Error
}

// newTrigger shows the empty form.
func newTrigger(r *Request) (*Answer, error) {
	return r.showTrigger(nil, url.Values{"function": r.HTTP.URL.Query()["function"], "args": {"{}"}}, nil)
}

// editTrigger shows the form with the trigger as it is.
func editTrigger(r *Request) (*Answer, error) {
	prior, err := r.priorTrigger()
	if err != nil {
		return nil, err
	}
	return r.showTrigger(prior, formOf(prior), nil)
}

// createTrigger makes the trigger of the form, or shows its first slots.
func createTrigger(r *Request) (*Answer, error) {
	return r.saveTrigger(nil, func(d api.CronDefinition) (string, error) {
		path := map[string]string{"app": r.HTTP.PathValue("app")}
		made, err := ask[api.Cron](r, Call{Route: "POST /v1/apps/{app}/crons", Path: path, Body: d})
		return made.Name, err
	})
}

// updateTrigger gives the trigger the definition of the form, or shows its first slots.
func updateTrigger(r *Request) (*Answer, error) {
	prior, err := r.priorTrigger()
	if err != nil {
		return nil, err
	}
	return r.saveTrigger(prior, func(d api.CronDefinition) (string, error) {
		d.Name = prior.Name
		_, err := r.Ask(Call{Route: "PUT /v1/apps/{app}/crons/{name}", Path: r.inPath("app", "name"), Body: d})
		return prior.Name, err
	})
}

// priorTrigger is the trigger of the page. An update replaces all of it, so that who may not see its arguments
// cannot keep them.
func (r *Request) priorTrigger() (*api.Cron, error) {
	c, err := ask[api.Cron](r, Call{Route: "GET /v1/apps/{app}/crons/{name}", Path: r.inPath("app", "name"), Query: url.Values{"slots": {"0"}}})
	switch {
	case err != nil:
		return nil, err
	case c.Args == nil:
		return nil, dispatch.Errorf(dispatch.CodePermissionDenied, "an edit replaces a trigger as a whole, with its arguments: it needs the scope read-args")
	}
	return &c, nil
}

// saveTrigger does what the button says.
func (r *Request) saveTrigger(prior *api.Cron, save func(api.CronDefinition) (name string, err error)) (*Answer, error) {
	form := maps.Clone(r.HTTP.PostForm)
	if r.field("do") == "preview" {
		return r.showTrigger(prior, form, nil)
	}
	d, err := definitionOf(form, prior)
	name := ""
	if err == nil {
		name, err = save(d)
	}
	if err != nil {
		return r.showTrigger(prior, form, err)
	}
	return Go(r.triggersAt() + "/" + escaped(name)), nil
}

// showTrigger shows the form with what was typed, and what is wrong about it or its first slots.
func (r *Request) showTrigger(prior *api.Cron, form url.Values, wrong error) (*Answer, error) {
	d := triggerForm{
		App: r.HTTP.PathValue("app"), Prior: prior, Form: form,
		Overlaps: api.Overlap("").Enum(), Modes: api.CatchUpMode("").Enum(), Backoffs: api.Backoff("").Enum(),
	}
	if wrong != nil && dispatch.AsError(wrong).Code == dispatch.CodePermissionDenied {
		return nil, wrong
	}
	var err error
	if d.Functions, err = ask[[]api.Function](r, Call{Route: "GET /v1/apps/{app}/functions", Path: r.inPath("app")}); err != nil {
		return nil, err
	}
	d.Functions = slices.DeleteFunc(d.Functions, func(f api.Function) bool { return f.Kind == api.KindQuery })
	if wrong == nil && (form.Get("spec") != "" || r.field("do") != "") {
		d.Spec, d.Due, wrong = r.firstSlots(prior, form)
	}
	status := 200
	if wrong != nil {
		var e api.Error
		status, e = r.Refused(wrong)
		d.Error = &e
	}
	title, crumbs := "New trigger", r.inApp(crumb{"Triggers", r.triggersAt()})
	if prior != nil {
		title = "Edit"
		crumbs = append(crumbs, crumb{prior.Name, r.triggersAt() + "/" + escaped(prior.Name)})
	}
	a := r.show("triggerform", title, crumbs, d)
	a.status = status
	return a, nil
}

// firstSlots are those of the spec and zone of the form. A trigger whose spec stays keeps its slots.
func (r *Request) firstSlots(prior *api.Cron, form url.Values) (words string, due []instant, err error) {
	spec, zone := strings.TrimSpace(form.Get("spec")), strings.TrimSpace(form.Get("zone"))
	if prior != nil && spec == prior.Spec && zone == prior.Zone {
		if due = triggerOf(prior, nextSlots).Due; len(due) > 0 {
			return prior.Description, due, nil
		}
	}
	p, err := ask[api.CronPreview](r, Call{Route: "GET /v1/crons/preview", Query: url.Values{"spec": {spec}, "zone": {zone}}})
	if err != nil {
		return "", nil, err
	}
	for _, n := range p.Next {
		due = append(due, instant{n.Slot.UTC(), n.Local})
	}
	return p.Description, due, nil
}

// formOf are the fields of the form with the trigger as it is.
func formOf(c *api.Cron) url.Values {
	form := url.Values{
		"spec": {c.Spec}, "zone": {c.Zone}, "function": {c.Function}, "args": {indented(c.Args)}, "overlap": {string(c.Overlap)},
		"mode": {string(c.CatchUp.Mode)}, "tags": {strings.Join(c.Tags, "\n")}, "attempts": {strconv.Itoa(c.Retry.MaxAttempts)},
		"backoff": {string(c.Retry.Backoff)}, "base": {(time.Duration(c.Retry.BaseMs) * time.Millisecond).String()},
	}
	for field, ms := range map[string]int64{
		"window": c.CatchUp.WindowMs, "jitter": c.JitterMs, "timeout": c.TimeoutMs, "success": c.SuccessWithinMs, "max": c.Retry.MaxMs,
	} {
		if ms != 0 {
			form.Set(field, (time.Duration(ms) * time.Millisecond).String())
		}
	}
	if c.CatchUp.Limit != 0 {
		form.Set("limit", strconv.Itoa(c.CatchUp.Limit))
	}
	for field, is := range map[string]bool{"once": c.AtMostOnce, "spread": c.Retry.Jitter} {
		if is {
			form.Set(field, "true")
		}
	}
	if c.As != nil {
		form.Set("as", c.As.Subject)
		if len(c.As.Claims) > 0 {
			if claims, err := json.Marshal(c.As.Claims); err == nil {
				form.Set("claims", indented(claims))
			}
		}
	}
	return form
}

// definitionOf is the definition of the form's fields, of a trigger that is made or of the prior one.
func definitionOf(form url.Values, prior *api.Cron) (d api.CronDefinition, err error) {
	f := fields{form: form}
	d = api.CronDefinition{
		Name: f.text("name"), Spec: f.text("spec"), Zone: f.text("zone"), Function: f.text("function"), Args: f.json("args"), Overlap: api.Overlap(f.text("overlap")),
		CatchUp:  api.CatchUp{Mode: api.CatchUpMode(f.text("mode")), Limit: f.number("limit"), WindowMs: f.span("window")},
		JitterMs: f.span("jitter"), AtMostOnce: f.text("once") != "", TimeoutMs: f.span("timeout"), SuccessWithinMs: f.span("success"),
		Tags: f.lines("tags"), As: f.identity(), Retry: f.retry(),
	}
	if prior == nil && f.text("paused") != "" {
		d.Paused = new(true)
	}
	return d, f.err
}

// fields reads the fields of a form, of which one that is empty is not given. The error is the first.
type fields struct {
	form url.Values
	err  error
}

func (f *fields) text(name string) string { return strings.TrimSpace(f.form.Get(name)) }

func (f *fields) wrong(format string, args ...any) {
	if f.err == nil {
		f.err = unfit(format, args...)
	}
}

func (f *fields) number(name string) int {
	text := f.text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		f.wrong("%s is %.40q, want a number", name, text)
	}
	return n
}

// span is a field in milliseconds.
func (f *fields) span(name string) int64 {
	text := f.text(name)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d%time.Millisecond != 0 {
		f.wrong("%s is %.40q, want a time such as 90s, 5m or 24h", name, text)
	}
	return d.Milliseconds()
}

func (f *fields) json(name string) json.RawMessage {
	text := f.text(name)
	if text == "" {
		return nil
	}
	if !json.Valid([]byte(text)) {
		f.wrong("%s: this is no JSON: %.80q", name, text)
	}
	return json.RawMessage(text)
}

func (f *fields) lines(name string) (lines []string) {
	for line := range strings.Lines(f.form.Get(name)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// identity is that of the fields as and claims; nil is anonymous.
func (f *fields) identity() *api.Identity {
	subject := f.text("as")
	var claims map[string]any
	f.object("claims", &claims)
	switch {
	case subject != "":
		return &api.Identity{Subject: subject, Claims: claims}
	case len(claims) > 0:
		f.wrong("the claims are of no one: say who it runs as")
	}
	return nil
}

// object is a field that has an object in JSON, if it has anything.
func (f *fields) object(name string, into any) {
	if text := f.json(name); text != nil && f.err == nil {
		if err := strictjson.Decode(text, into); err != nil {
			f.wrong("%s: %w", name, err)
		}
	}
}

// instant is a field that has an instant; nil if it has none.
func (f *fields) instant(name string) *time.Time {
	text := f.text(name)
	if text == "" {
		return nil
	}
	at, err := instantIn(name, text)
	if err != nil {
		f.wrong("%w", err)
	}
	return &at
}

// optional is a field in milliseconds; nil if it has nothing.
func (f *fields) optional(name string) *int64 {
	if f.text(name) == "" {
		return nil
	}
	ms := f.span(name)
	return &ms
}

// retry is the policy of the fields; nil without a number of attempts.
func (f *fields) retry() *api.RetryRequest {
	if f.text("attempts") == "" {
		return nil
	}
	attempts, base := f.number("attempts"), f.span("base")
	return &api.RetryRequest{MaxAttempts: &attempts, Backoff: api.Backoff(f.text("backoff")), BaseMs: &base, MaxMs: f.span("max"), Jitter: f.text("spread") != ""}
}
