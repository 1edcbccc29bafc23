package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"runtime/pprof"
	"strings"

	"carillon/dispatch"
	"carillon/server/api"
	"carillon/server/ui"
)

// dashboardPattern is below what the pages of the dashboard are.
const dashboardPattern = "/ui/"

// isPage says whether the request is for the dashboard, whatever is there.
func (h *handler) isPage(r *http.Request) bool {
	return h.opts.Operator != nil && strings.HasPrefix(path.Clean(r.URL.Path)+"/", h.opts.BasePath+dashboardPattern)
}

// pageStream answers an operator's request with a stream.
type pageStream func(http.ResponseWriter, *http.Request, *Operator)

// dashboardRoutes are those of package ui, and the two for which no operator is asked.
func (h *handler) dashboardRoutes() []route {
	routes := []route{
		{method: http.MethodGet, pattern: dashboardPattern + "style.css", client: toRead(h.pageOf(ui.Style))},
		{method: http.MethodGet, pattern: strings.TrimSuffix(dashboardPattern, "/") + ui.StaticPattern, client: toRead(h.pageOf(ui.Script))},
		{method: http.MethodGet, pattern: livePattern, page: &ui.Page{}, follow: h.streamChanges},
		{method: http.MethodPost, pattern: dashboardPattern + "login", client: h.pageOf(h.login)},
		{method: http.MethodPost, pattern: dashboardPattern + "logout", client: h.pageOf(h.logout)},
		{method: http.MethodGet, pattern: dashboardPattern + "{rest...}", page: &ui.Page{
			Do: func(r *ui.Request) (*ui.Answer, error) { return ui.NotFound(r), nil },
		}},
	}
	for _, page := range ui.Pages() {
		routes = append(routes, route{method: page.Method, pattern: strings.TrimSuffix(dashboardPattern, "/") + page.Pattern, page: &page})
	}
	return routes
}

// pageOf is what goes before all of the dashboard: a form of another origin is refused. Another
// origin's page may have a link, whose reader then arrives signed in.
func (h *handler) pageOf(next http.HandlerFunc) http.HandlerFunc {
	protection := http.NewCrossOriginProtection()
	return func(w http.ResponseWriter, r *http.Request) {
		ui.SetHeaders(w.Header(), r)
		if err := h.host.check(r, true); err != nil {
			h.failPage(w, h.pageRequest(r, nil), err)
			return
		}
		if err := protection.Check(r); err != nil {
			h.failPage(w, h.pageRequest(r, nil), &dispatch.Error{
				Code: dispatch.CodePermissionDenied, Message: "a page of another origin may not send a form here", Err: err,
			})
			return
		}
		next(w, r)
	}
}

// dashboard is the handler of the pages of a pattern, by method.
func (h *handler) dashboard(methods map[string]*route) http.Handler {
	return h.pageOf(profiled(func(w http.ResponseWriter, r *http.Request) {
		r, err := h.withSession(r)
		var op *Operator
		if err == nil {
			op, err = h.operator(w, r)
		}
		asked := h.pageRequest(r, op)
		if err != nil {
			h.failPage(w, asked, err)
			return
		}
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		rt, ok := methods[method]
		if !ok {
			h.failPage(w, asked, dispatch.Errorf(dispatch.CodeNotFound, "no page and no form has this address"))
			return
		}
		if rt.follow != nil {
			rt.follow(w, r, op)
			return
		}
		if r.Method == http.MethodPost {
			file, err := readForm(w, r)
			if err != nil {
				h.failPage(w, asked, err)
				return
			}
			asked.Upload = func(c ui.Call) (any, error) { return h.upload(w, r, op, c, file) }
		}
		page, err := h.pageOnce(rt.page, asked, r, op)
		if err != nil {
			h.failPage(w, asked, err)
			return
		}
		if c := page.Stream(); c != nil {
			page.SetName(w.Header())
			if err := h.send(w, r, op, *c); err != nil {
				w.Header().Del("Content-Disposition")
				h.failPage(w, asked, err)
			}
			return
		}
		h.writePage(w, page)
	}))
}

// profiled has profiles of the processor say what of it is the dashboard's: the label carillon is dashboard.
func profiled(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		pprof.Do(r.Context(), pprof.Labels("carillon", "dashboard"), func(context.Context) { next(w, r) })
	}
}

// pageRequest is the request for package ui. If op is nil no one is known to ask.
func (h *handler) pageRequest(r *http.Request, op *Operator) *ui.Request {
	asked := &ui.Request{HTTP: r, Base: strings.TrimSuffix(h.opts.BasePath+dashboardPattern, "/"), Ready: h.readiness(), Shared: h.eng.Shared()}
	if op != nil {
		asked.Operator, asked.Scopes, asked.AllApps, asked.Session = op.Name, op.Scopes, op.AllApps, sessionOf(r.Context()) != ""
		asked.Ask = func(c ui.Call) (any, error) { return h.ask(r, op, c) }
		asked.Refused = func(err error) (int, api.Error) {
			f := h.failureOf(r, err)
			return pageStatus(f.Error), f.shown()
		}
	}
	return asked
}

// ask does what a row of operators does, as if the operator had asked for it.
func (h *handler) ask(r *http.Request, op *Operator, c ui.Call) (any, error) {
	asked, err := h.asking(r, op, c)
	if err != nil {
		return nil, err
	}
	_, result, err := asked.route.do(headersOnly{http.Header{}}, asked)
	return result, err
}

// send has a row that streams answer in the place of a page, for as long as the operator may have it.
func (h *handler) send(w http.ResponseWriter, r *http.Request, op *Operator, c ui.Call) error {
	asked, err := h.asking(r, op, c)
	if err != nil {
		return err
	}
	asked.Header = r.Header // by which the operator is asked for again
	defer h.recheck(w, asked)()
	_, _, err = asked.route.do(w, asked)
	return err
}

// upload is ask for a row whose body is the file of the form, for as long as the operator may send it.
func (h *handler) upload(w http.ResponseWriter, r *http.Request, op *Operator, c ui.Call, file io.Reader) (any, error) {
	asked, err := h.asking(r, op, c)
	if err != nil {
		return nil, err
	}
	if file == nil {
		return nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "the form has no file: choose one")
	}
	asked.Body, asked.ContentLength = io.NopCloser(file), max(r.ContentLength-ui.MaxForm, -1) // the file has at least so much
	asked.Header = r.Header                                                                   // by which the operator is asked for again
	defer h.recheck(w, asked)()
	_, result, err := asked.route.do(w, asked)
	if why := revokedOf(asked.Context()); err != nil && why != nil {
		err = why
	}
	return result, err
}

// asking is the request of a row as if the operator had made it, if they may.
func (h *handler) asking(r *http.Request, op *Operator, c ui.Call) (*request, error) {
	rt := h.rows[c.Route]
	body := []byte("{}")
	if c.Body != nil {
		var err error
		if body, err = json.Marshal(c.Body); err != nil {
			return nil, err
		}
	}
	inner := r.Clone(r.Context())
	inner.Method, inner.Header = rt.method, http.Header{}
	inner.URL = &url.URL{Path: h.opts.BasePath + rt.pattern, RawQuery: c.Query.Encode()}
	inner.Body, inner.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	for name, value := range c.Path {
		inner.SetPathValue(name, value)
	}
	asked := &request{Request: inner, route: rt, op: op}
	if err := h.admit(rt, asked); err != nil {
		return nil, err
	}
	h.audited(rt, asked)
	return asked, nil
}

// headersOnly is the writer of a row that is done for a page, which has another answer.
type headersOnly struct{ header http.Header }

func (w headersOnly) Header() http.Header         { return w.header }
func (w headersOnly) Write(p []byte) (int, error) { return len(p), nil }
func (w headersOnly) WriteHeader(int)             {}

// writePage answers with the page.
func (h *handler) writePage(w http.ResponseWriter, page *ui.Answer) {
	setDiscardDeadline(w)
	setWriteDeadline(w)
	page.Write(w)
}

// failPage answers with the error: as the form to sign in if that may help.
func (h *handler) failPage(w http.ResponseWriter, r *ui.Request, err error) {
	f := h.failureOf(r.HTTP, err)
	if f.Code == dispatch.CodeUnauthenticated {
		next := r.Base + "/"
		if r.HTTP.Method == http.MethodGet {
			next = r.HTTP.URL.RequestURI()
		}
		message := ""
		if _, none := r.HTTP.Cookie(sessionCookie); none == nil {
			message = "Your session is over, or its token is not good any more."
		}
		h.signIn(w, next, message)
		return
	}
	setRetryAfter(w, f.Error)
	h.writePage(w, ui.Failed(r, pageStatus(f.Error), f.shown()))
}

// pageStatus is the status of a page that shows the error.
func pageStatus(err *dispatch.Error) int {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return http.StatusRequestEntityTooLarge
	}
	return err.Code.HTTPStatus()
}

// signIn answers with the form to sign in, which says so if that has been tried.
func (h *handler) signIn(w http.ResponseWriter, next, message string) {
	w.Header().Set("WWW-Authenticate", "Bearer") // without it a 401 breaks RFC 9110
	h.writePage(w, ui.SignIn(strings.TrimSuffix(h.opts.BasePath+dashboardPattern, "/"), next, message))
}

// readForm reads what a form sends, but for a file, which is left to read; nil if there is none.
func readForm(w http.ResponseWriter, r *http.Request) (file io.Reader, err error) {
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media == "multipart/form-data" {
		file, err = ui.FormWithFile(w, r)
	} else {
		err = ui.Form(w, r)
	}
	if err == nil {
		liftReadDeadline(w)
		return file, nil
	}
	w.Header().Set("Connection", "close") // the rest of the body is of no use
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &dispatch.Error{Code: dispatch.CodeResourceExhausted, Message: fmt.Sprintf("the form has more than %d bytes, which is the limit", large.Limit), Err: err}
	}
	return nil, &dispatch.Error{Code: dispatch.CodeInvalidArgument, Message: "the form could not be read to its end", Err: err}
}

// login begins a session for one who has a token, whose text is in the form.
func (h *handler) login(w http.ResponseWriter, r *http.Request) {
	asked := h.pageRequest(r, nil)
	if r.Method != http.MethodPost {
		h.writePage(w, ui.Go(asked.Base+"/"))
		return
	}
	if _, err := readForm(w, r); err != nil {
		h.failPage(w, asked, err)
		return
	}
	next := h.localPage(r.PostForm.Get("next"))
	text := strings.TrimSpace(r.PostForm.Get("token"))
	shown := r.Clone(r.Context())
	shown.Header.Set("Authorization", "Bearer "+text)
	var id string
	var err error
	if h.isHost(text) {
		id, err = h.hostSessionID()
	} else {
		_, err = Tokens(h.eng)(shown) // a session names a token of the store, whatever else the hook lets in
		id, _, _ = strings.Cut(strings.TrimPrefix(text, tokenPrefix), "_")
	}
	if err == nil {
		_, err = h.operatorOf(shown)
	}
	var cookie *http.Cookie
	if err == nil {
		cookie, err = h.newSession(r, id)
	}
	if err != nil && dispatch.AsError(err).Code == dispatch.CodeUnauthenticated {
		h.signIn(w, next, h.failureOf(r, err).Message)
		return
	}
	if err != nil {
		h.failPage(w, asked, err)
		return
	}
	http.SetCookie(w, cookie)
	h.writePage(w, ui.Go(next))
}

// localPage is the address if it is one of the dashboard, and else its first page.
func (h *handler) localPage(address string) string {
	base := h.opts.BasePath + dashboardPattern
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, base) || !canonical(u.Path) {
		return base
	}
	return u.RequestURI()
}

// logout has the browser forget its session.
func (h *handler) logout(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		http.SetCookie(w, h.cookie(r, "", -1))
	}
	h.writePage(w, ui.Go(h.opts.BasePath+dashboardPattern))
}
