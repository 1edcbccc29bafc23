package ui

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"carillon/server/api"
)

// Call is a request to a row of the JSON API.
type Call struct {
	Route string            // method and pattern, such as "GET /v1/apps/{app}/jobs"
	Path  map[string]string // what stands in braces there
	Query url.Values
	Body  any // nil: none; else it is made JSON
}

// Request is what a browser asks of a page.
type Request struct {
	HTTP *http.Request
	Base string // where the pages are, such as "/ui"

	Operator string // the name of who asks
	Scopes   []api.Scope
	AllApps  bool
	Session  bool // it is one of a session, which can be ended

	Ready  api.Readiness // of the server
	Shared bool          // the log of its store is one that nodes share

	// Ask does what the row does, with the operator's rights, and returns the result of its answer: a
	// type of package api, or a pointer to one. Errors are those of the row.
	Ask func(Call) (any, error)

	// Upload is Ask for a row whose body is the file of the form that was sent, which is read as it comes. It is an
	// error if the form has none.
	Upload func(Call) (any, error)

	// Refused is the status and the text of an error, for a page that shows it beside a form.
	Refused func(error) (status int, shown api.Error)
}

// May says whether the operator has the scope. It is for what is offered; what is done is for Ask to refuse.
func (r *Request) May(scope api.Scope) bool { return slices.Contains(r.Scopes, scope) }

// Page is a route of the dashboard.
type Page struct {
	Method  string
	Pattern string // below Request.Base
	Do      func(*Request) (*Answer, error)
}

// Pages returns all pages but those for which no operator is asked: the form to sign in, and the
// style sheet.
func Pages() []Page {
	const get, post = http.MethodGet, http.MethodPost
	return []Page{
		{get, "/{$}", overview},
		{get, "/jump", jump},
		{get, "/audit", audit},
		{get, "/tokens", tokens},
		{post, "/tokens", createToken},
		{post, "/tokens/{id}/revoke", revokeToken},
		{get, "/system", system},
		{get, "/backup", backup},
		{get, "/nodes", nodes},
		{post, "/system/clock", acceptClock},
		{post, "/apps/{app}/calls/{id}/abandon", abandonCall},
		{get, "/apps/{app}/pools", pools},
		{post, "/apps/{app}/pools/{pool}/limit", limitPool},
		{post, "/apps/{app}/pools/{pool}/limit/clear", clearPoolLimit},
		{get, "/apps/{app}/groups", groups},
		{get, "/apps/{app}/groups/{group}", group},
		{post, "/apps/{app}/groups/{group}/cancel", cancelGroup},
		{get, "/apps/{app}/pauses", pauses},
		{post, "/apps/{app}/pauses", pause},
		{post, "/apps/{app}/pauses/end", endPause},
		{get, "/apps", apps},
		{get, "/new-app", newApp},
		{post, "/new-app", createApp},
		{post, "/new-app/import", importApp},
		{get, "/apps/{app}", app},
		{post, "/apps/{app}/pause", pauseApp},
		{post, "/apps/{app}/resume", resumeApp},
		{get, "/apps/{app}/export", exportApp},
		{post, "/apps/{app}/delete", deleteApp},
		{get, "/apps/{app}/operations", operations},
		{post, "/apps/{app}/operations", makeChange},
		{get, "/apps/{app}/operations/new", askChange},
		{get, "/apps/{app}/operations/{id}", operation},
		{post, "/apps/{app}/operations/{id}/cancel", cancelOperation},
		{get, "/apps/{app}/jobs", jobs},
		{get, "/apps/{app}/jobs/{id}", job},
		{post, "/apps/{app}/jobs/{id}/cancel", cancelJob},
		{post, "/apps/{app}/jobs/{id}/retry", retryJob},
		{post, "/apps/{app}/jobs/{id}/run", runJob},
		{post, "/apps/{app}/jobs/{id}/reschedule", rescheduleJob},
		{get, "/apps/{app}/jobs/{id}/args", jobArgs},
		{post, "/apps/{app}/jobs/{id}/args", changeJobArgs},
		{post, "/apps/{app}/jobs/{id}/drop", dropJob},
		{post, "/apps/{app}/jobs/{id}/abandon", abandonJob},
		{get, "/apps/{app}/tables", tables},
		{get, "/apps/{app}/tables/{table}", table},
		{get, "/apps/{app}/tables/{table}/new", newDocument},
		{post, "/apps/{app}/tables/{table}/new", createDocument},
		{get, "/apps/{app}/tables/{table}/documents/{id}", documentPage},
		{post, "/apps/{app}/tables/{table}/documents/{id}", saveDocument},
		{post, "/apps/{app}/tables/{table}/documents/{id}/delete", deleteDocument},
		{get, "/apps/{app}/triggers", triggers},
		{get, "/apps/{app}/new-trigger", newTrigger}, // a trigger may be called new
		{post, "/apps/{app}/new-trigger", createTrigger},
		{get, "/apps/{app}/triggers/{name}/edit", editTrigger},
		{post, "/apps/{app}/triggers/{name}/edit", updateTrigger},
		{get, "/apps/{app}/triggers/{name}", triggerPage},
		{post, "/apps/{app}/triggers/{name}/pause", pauseTrigger},
		{post, "/apps/{app}/triggers/{name}/resume", resumeTrigger},
		{post, "/apps/{app}/triggers/{name}/run", runTrigger},
		{post, "/apps/{app}/triggers/{name}/backfill", backfillTrigger},
		{post, "/apps/{app}/triggers/{name}/backfill/cancel", cancelBackfill},
		{post, "/apps/{app}/triggers/{name}/delete", deleteTrigger},
		{get, "/apps/{app}/functions", functionList},
		{get, "/apps/{app}/openapi.json", functionsOpenAPI},
		{get, "/apps/{app}/api.d.ts", functionTypes},
		{get, "/apps/{app}/functions/{function...}", functionPage},
		{post, "/apps/{app}/functions/{function...}", callFunction},
	}
}

// Answer is a page, or the way to another one.
type Answer struct {
	status int
	body   []byte
	to     string // if it is not "", the browser goes there
	stream *Call  // if it is not nil, what that answers is what the browser saves,
	name   string // as a file of this name
}

// Stream is the row whose answer takes the place of the page; nil if there is none.
func (a *Answer) Stream() *Call { return a.stream }

// SetName has the browser save the stream as a file.
func (a *Answer) SetName(h http.Header) {
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": a.name}))
}

// Write answers the request with it. A client that has gone is no fault.
func (a *Answer) Write(w http.ResponseWriter) {
	head := w.Header()
	if a.to != "" {
		head.Set("Location", a.to)
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	head.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// SetHeaders says what the browser may do with any answer of the dashboard: neither run nor load what
// does not come from here, nor show it in a frame, nor keep it, nor tell others of its address.
func SetHeaders(h http.Header, r *http.Request) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	// With no-referrer a browser hides the origin of a form as well. One that says where a request comes from
	// in Sec-Fetch-Site is known by that; others, as all are over plain HTTP to another machine, are not.
	if r.Header.Get("Sec-Fetch-Site") != "" {
		h.Set("Referrer-Policy", "no-referrer")
	} else {
		h.Set("Referrer-Policy", "same-origin")
	}
}

// Failed is the page of an error.
func Failed(r *Request, status int, e api.Error) *Answer {
	title := "That did not work"
	switch status {
	case http.StatusNotFound:
		title = "There is nothing here"
	case http.StatusForbidden:
		title = "You may not do that"
	case http.StatusTooManyRequests:
		title = "Too many requests"
	case http.StatusRequestEntityTooLarge:
		title = "That is too large"
	}
	a := r.show("failed", title, nil, e)
	a.status = status
	return a
}

// SignIn is the form to sign in, after which the browser goes to next. The message says why an
// attempt before has failed; "" if there was none.
func SignIn(base, next, message string) *Answer {
	r := &Request{Base: base}
	a := r.show("signin", "Sign in", nil, struct{ Next, Message string }{next, message})
	a.status = http.StatusUnauthorized
	return a
}

// Go is the answer that sends the browser to the address.
func Go(to string) *Answer { return &Answer{to: to} }

// NotFound is the page of an address below Base that is none.
func NotFound(r *Request) *Answer {
	return Failed(r, http.StatusNotFound, api.Error{Code: api.CodeNotFound, Message: "No page has this address."})
}

// ask is Ask, for a result of the type.
func ask[T any](r *Request, c Call) (T, error) {
	var none T
	result, err := r.Ask(c)
	if err != nil {
		return none, err
	}
	switch result := result.(type) {
	case T:
		return result, nil
	case *T:
		return *result, nil
	}
	panic("ui: " + c.Route + " answers with another type")
}

// inPath is the value of a wildcard of the page's pattern, for that of the row.
func (r *Request) inPath(names ...string) map[string]string {
	path := map[string]string{}
	for _, name := range names {
		path[name] = r.HTTP.PathValue(name)
	}
	return path
}

// given are the parameters of the page's URL with something in them: a form sends empty fields, too.
func (r *Request) given() url.Values { return filled(r.HTTP.URL.Query()) }

// filled are the fields with something in them.
func filled(fields url.Values) url.Values {
	some := url.Values{}
	for key, values := range fields {
		for _, v := range values {
			if v != "" {
				some.Add(key, v)
			}
		}
	}
	return some
}

// MaxForm bounds the body of a form, in bytes.
const MaxForm = 64 << 10

// field is a field of the form that was sent.
func (r *Request) field(name string) string { return r.HTTP.PostForm.Get(name) }

// Form reads the form that was sent: at most 64 KiB. The error is for the one who sent it.
func Form(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, MaxForm)
	return r.ParseForm()
}

// FormWithFile reads the fields of a form that has a file behind them: at most 64 KiB, with what is read ahead. The file is
// what is read next, without a bound; nil if there is none.
func FormWithFile(w http.ResponseWriter, r *http.Request) (file io.Reader, err error) {
	all := r.Body
	body := &bounded{http.MaxBytesReader(w, all, MaxForm)}
	r.Body = io.NopCloser(body)
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, err
	}
	r.PostForm = url.Values{}
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if part.FileName() != "" {
			body.Reader = all
			return part, nil
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, err
		}
		r.PostForm.Add(part.FormName(), string(value))
	}
}

// bounded is a body whose bound is lifted once the fields of its form are read.
type bounded struct{ io.Reader }

// crumb is a step of the way to a page.
type crumb struct{ Text, To string }

// EventChanged is the event of a page's stream which says that the page is not up to date any more.
const EventChanged = "changed"

// frame is what the layout shows around a page.
type frame struct {
	*Request
	Title  string
	Crumbs []crumb
	Data   any
	failed bool // the page is that of an error
	asks   bool // its form confirms what the page said when it was loaded: it must not say more by the time of the click
}

// Live is the address of the stream that says when the page is not up to date; "" if it has none.
func (f frame) Live() string {
	switch {
	case f.HTTP == nil || f.HTTP.Method != http.MethodGet || f.Operator == "" || f.failed || f.asks:
		return ""
	case f.HTTP.PathValue("app") == "":
		return f.Base + "/live"
	}
	return f.Base + "/live?app=" + url.QueryEscape(f.HTTP.PathValue("app"))
}

// At says whether the page has the path, which is below Base.
func (f frame) At(path string) bool { return f.HTTP != nil && f.HTTP.URL.Path == f.Base+path }

// In says whether the page is somewhere below the path.
func (f frame) In(path string) bool {
	return f.HTTP != nil && strings.HasPrefix(f.HTTP.URL.Path, f.Base+path+"/")
}

// Now is when the page was made, in milliseconds since 1970: a browser's clock may be another one.
func (f frame) Now() int64 { return time.Now().UnixMilli() }

// tab leads to another page of the same app. Current is what aria-current says of it, "" of others.
type tab struct{ Text, To, Current string }

// Tabs are those of the app that the page is of; none if it is of none, or could not be shown.
func (f frame) Tabs() []tab {
	if f.HTTP == nil || f.HTTP.PathValue("app") == "" || f.failed {
		return nil
	}
	app := "/apps/" + url.PathEscape(f.HTTP.PathValue("app"))
	var tabs []tab
	for _, t := range []crumb{
		{"App", ""}, {"Jobs", "/jobs"}, {"Triggers", "/triggers"}, {"Functions", "/functions"}, {"Pools", "/pools"}, {"Groups", "/groups"}, {"Pauses", "/pauses"}, {"Operations", "/operations"}, {"Tables", "/tables"},
	} {
		current, here := "", f.HTTP.URL.EscapedPath()
		switch to := f.Base + app + t.To; {
		case here == to:
			current = "page"
		case t.To != "" && strings.HasPrefix(here, to+"/"):
			current = "true"
		}
		tabs = append(tabs, tab{t.Text, f.Base + app + t.To, current})
	}
	return tabs
}

// show renders a page.
func (r *Request) show(name, title string, crumbs []crumb, data any) *Answer {
	var body bytes.Buffer
	if err := templates()[name].ExecuteTemplate(&body, "layout", frame{r, title, crumbs, data, name == "failed", name == "change"}); err != nil {
		panic(err) // a template that does not fit its data
	}
	return &Answer{status: http.StatusOK, body: body.Bytes()}
}
