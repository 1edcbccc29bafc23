package server

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"carillon/actors"
	"carillon/server/api"
	"carillon/storage"
)

// audited is the request with the entry that the audit log has of what it changes.
func (h *handler) audited(rt *route, r *request) {
	r.entry = &storage.AuditEntry{
		Operator: r.op.Name, Action: rt.method + " " + strings.TrimPrefix(strings.TrimPrefix(rt.pattern, "/v1/"), "apps/{app}/"),
	}
	if from := addressOf(r.Request, h.opts.TrustedProxies); from.IsValid() {
		r.entry.From = from.String()
	}
	for _, name := range []string{"table", "id", "name", "group", "pool"} {
		if value := r.PathValue(name); value != "" {
			r.entry.IDs = append(r.entry.IDs, value)
		}
	}
	r.Request = r.WithContext(actors.WithAudit(r.Context(), r.entry))
}

// tokens are those of the store, for a change by the operator.
func (h *handler) tokens(r *request) storage.Tokens {
	r.entry.At = h.eng.Clock().Written
	return h.eng.Tokens().By(*r.entry)
}

// auditKeys are the parameters of the audit log's URL.
var auditKeys = []string{"app", "operator", "from", "before", "limit", "cursor"}

func (h *handler) listAudit(_ http.ResponseWriter, r *request) (int, any, error) {
	f, err := auditFilter(r.URL.Query(), r.op)
	if err != nil {
		return 0, nil, err
	}
	page, err := h.eng.AuditLog(f)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, api.AuditPage{
		Entries: each(page.Entries, func(e storage.AuditEntry) api.AuditEntry {
			return api.AuditEntry{At: e.At, Operator: e.Operator, Action: e.Action, App: string(e.App), IDs: e.IDs, Count: e.Count, From: e.From}
		}),
		Next: page.Next,
	}, nil
}

// auditFilter is what the URL asks for, of the operator's apps. Only one who has all sees what is
// about the store.
func auditFilter(query url.Values, op *Operator) (f storage.AuditFilter, err error) {
	if err := onlyOnce(query, auditKeys); err != nil {
		return f, err
	}
	if !op.AllApps {
		f.Apps = append([]storage.AppID{}, op.Apps...)
	}
	if app := storage.AppID(query.Get("app")); app != "" {
		if !op.has(app) {
			return f, notTheirs(app)
		}
		f.Apps = []storage.AppID{app}
	}
	f.Operator, f.Cursor = query.Get("operator"), query.Get("cursor")
	if err := instantsOf(query, map[string]*time.Time{"from": &f.Span.From, "before": &f.Span.Before}); err != nil {
		return f, err
	}
	f.Limit, err = limitOf(query, 0)
	return f, err
}
