package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

// DefaultMaxImport is the default of Options.MaxImport.
const DefaultMaxImport = 4 << 30

// importMemory is what an import under way takes of Options.MaxMemory: it holds a record and
// a few MiB of others at one time.
const importMemory = 20 << 20

func appOf(info *storage.AppInfo) api.App {
	return api.App{
		Name: string(info.ID), Pending: info.Pending, Held: info.Held, Dead: info.Dead, Finished: info.Finished,
		Paused: info.Paused, Fault: info.Fault,
	}
}

func hideInApp(s *api.AppStatus) {
	for i := range s.Pauses {
		hide(&s.Hidden, "pauses.reason", &s.Pauses[i].Reason, s.Pauses[i].Reason != "")
	}
	s.Hidden = slices.Compact(s.Hidden)
}

// appParameters are those of the URL of a listing of apps.
var appParameters = []string{"prefix", "contains", "limit", "cursor"}

// appFilter makes the filter of a URL's parameters.
func (r *request) appFilter() (f storage.AppFilter, err error) {
	query := r.URL.Query()
	if err := onlyOnce(query, appParameters); err != nil {
		return f, err
	}
	f.Prefix, f.Contains, f.After = query.Get("prefix"), query.Get("contains"), storage.AppID(query.Get("cursor"))
	if f.Limit, err = limitOf(query, 0); err != nil {
		return f, err
	}
	if !r.op.AllApps {
		f.Among = append([]storage.AppID{}, r.op.Apps...)
	}
	return f, nil
}

func (h *handler) listApps(_ http.ResponseWriter, r *request) (int, any, error) {
	filter, err := r.appFilter()
	if err != nil {
		return 0, nil, err
	}
	page, err := h.eng.ListApps(filter)
	if err != nil {
		return 0, nil, err
	}
	shown := api.AppPage{Apps: make([]api.App, len(page.Apps)), Next: string(page.Next)}
	for i := range page.Apps {
		shown.Apps[i] = appOf(&page.Apps[i])
	}
	for _, err := range page.Missing {
		shown.Missing = append(shown.Missing, dispatch.AsError(err).Message)
	}
	return http.StatusOK, shown, nil
}

// createApp makes an app that is one of the operator's.
func (h *handler) createApp(w http.ResponseWriter, r *request) (int, any, error) {
	var body api.NewApp
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	id := storage.AppID(body.Name)
	app, err := h.eng.App(id)
	if err != nil {
		return 0, nil, err
	}
	if !r.op.has(id) {
		return 0, nil, notTheirs(id)
	}
	if err := h.eng.Create(r.Context(), id); err != nil {
		return 0, nil, err
	}
	r.app = app
	w.Header().Set("Location", r.URL.EscapedPath()+"/"+url.PathEscape(body.Name))
	return r.appShown(http.StatusCreated)
}

func (h *handler) getApp(_ http.ResponseWriter, r *request) (int, any, error) {
	query := r.URL.Query()
	if err := onlyOnce(query, []string{"history"}); err != nil {
		return 0, nil, err
	}
	history, err := flagOf(query, "history")
	if err != nil {
		return 0, nil, err
	}
	status, shown, err := r.appShown(http.StatusOK)
	if of, ok := shown.(api.AppStatus); ok && history {
		for _, s := range h.eng.AppHistory(r.app.ID()) {
			of.History = append(of.History, api.AppSample{
				At: s.At.UTC(), SpanMs: s.Span.Milliseconds(), Begun: s.Begun, Ended: s.Ended, Failed: s.Failed, LateMs: inMs(s.Late), MaxMs: inMs(s.Latest),
			})
		}
		shown = of
	}
	return status, shown, err
}

// appShown is the answer that shows the app as it is now.
func (r *request) appShown(status int) (int, any, error) {
	of, there, err := r.app.Status(r.Context())
	if err == nil && !there {
		err = noApp(r.app.ID())
	}
	if err != nil {
		return 0, nil, err
	}
	shown := appStatusOf(&of)
	veil(r, &shown, hideInApp)
	return status, shown, nil
}

func appStatusOf(of *actors.AppStatus) api.AppStatus {
	in, l := &of.Inspection, &of.Limits
	shown := api.AppStatus{
		App: appOf(&of.AppInfo), Volume: of.Volume, Asleep: in.Asleep, Running: in.Running, Stuck: in.Stuck, Overdue: in.Overdue,
		ArgBytes: of.ArgBytes, ResultBytes: of.ResultBytes, CheckpointBytes: of.CheckpointBytes, Groups: of.Groups,
		AlarmAt: instant(in.AlarmAt), PoolLimits: of.PoolLimits,
		Limits: api.AppLimits{
			MaxJobs: l.MaxJobs, MaxArgBytes: l.MaxArgBytes, MaxResultBytes: l.MaxResultBytes, MaxCheckpointBytes: l.MaxCheckpointBytes,
			Concurrency: l.Concurrency, StartsPerSecond: l.StartsPerSecond,
		},
	}
	for i := range of.Pauses {
		shown.Pauses = append(shown.Pauses, pauseOf(&of.Pauses[i]))
	}
	return shown
}

// deleteApp removes an app for good, if the body says its name once more.
func (h *handler) deleteApp(w http.ResponseWriter, r *request) (int, any, error) {
	var body api.DeleteApp
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	if body.Name != string(r.app.ID()) {
		return 0, nil, dispatch.Errorf(dispatch.CodeInvalidArgument, `to delete an app for good the body has to say its name: {"name":%q}`, string(r.app.ID()))
	}
	if err := h.eng.Delete(r.Context(), r.app.ID()); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, api.Empty{}, nil
}

func (h *handler) pauseApp(w http.ResponseWriter, r *request) (int, any, error) {
	var body api.PauseApp
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	if err := r.app.Pause(r.Context(), dispatch.OfApp(), r.op.Name, body.Reason); err != nil {
		return 0, nil, err
	}
	return r.appShown(http.StatusOK)
}

func (h *handler) resumeApp(w http.ResponseWriter, r *request) (int, any, error) {
	if status, err := h.decodeBody(w, r, &api.Empty{}); err != nil {
		return status, nil, err
	}
	if _, err := r.app.Resume(r.Context(), dispatch.OfApp()); err != nil {
		return 0, nil, err
	}
	return r.appShown(http.StatusOK)
}

// exportApp streams an app. If that fails on the way, the connection is cut.
func (h *handler) exportApp(w http.ResponseWriter, r *request) (int, any, error) {
	if err := h.eng.Audit(r.Context(), r.app.ID()); err != nil {
		return 0, nil, err
	}
	liftReadDeadline(w)
	stream := &backupStream{w: w, ctx: r.Context()}
	err := h.eng.Export(r.Context(), r.app.ID(), stream)
	if err != nil && stream.begun {
		panic(http.ErrAbortHandler)
	}
	return 0, answered{}, err
}

// importApp makes an app of what exportApp wrote.
func (h *handler) importApp(w http.ResponseWriter, r *request) (int, any, error) {
	tooLarge := &dispatch.Error{
		Code: dispatch.CodeResourceExhausted, Message: fmt.Sprintf("the export has more than %d bytes, which is the limit: the app was not made", h.opts.MaxImport),
		Err: &http.MaxBytesError{Limit: h.opts.MaxImport},
	}
	if r.ContentLength > h.opts.MaxImport {
		w.Header().Set("Connection", "close") // rather than read on
		return http.StatusRequestEntityTooLarge, nil, tooLarge
	}
	held := h.hold(r.Request)
	defer held.release()
	if err := held.grow(0, min(importMemory, h.opts.MaxMemory, h.opts.MaxClientMemory)); err != nil {
		return 0, nil, err
	}
	body := &patientBody{r.Context(), w, http.MaxBytesReader(w, r.Body, h.opts.MaxImport), nil}
	err := h.eng.Import(r.Context(), r.app.ID(), body)
	if err == nil {
		liftReadDeadline(w)
		return r.appShown(http.StatusCreated)
	}
	w.Header().Set("Connection", "close") // the rest of the body is of no use
	if _, large := errors.AsType[*http.MaxBytesError](body.err); large {
		return http.StatusRequestEntityTooLarge, nil, tooLarge
	}
	switch {
	case body.err != nil && !errors.Is(body.err, io.EOF):
		err = &dispatch.Error{Code: dispatch.CodeInvalidArgument, Message: "the body could not be read to its end: the app was not made", Err: body.err}
	case errors.Is(err, storage.ErrCorrupt), errors.Is(err, storage.ErrFormat):
		err = &dispatch.Error{Code: dispatch.CodeInvalidArgument, Message: dispatch.AsError(err).Message, Err: err}
	}
	return 0, nil, err
}

// patientBody is a body that may take any time in all, and readTimeout for each piece.
type patientBody struct {
	ctx  context.Context
	w    http.ResponseWriter
	body io.Reader
	err  error // why there is no more of it
}

// Read implements io.Reader.
func (b *patientBody) Read(p []byte) (n int, err error) {
	_ = http.NewResponseController(b.w).SetReadDeadline(time.Now().Add(readTimeout))
	if b.err = b.ctx.Err(); b.err != nil {
		return 0, b.err
	}
	n, err = b.body.Read(p)
	b.err = err
	return n, err
}
