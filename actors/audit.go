package actors

import (
	"context"

	"carillon/storage"
)

// auditKey is under what a context has the entry of WithAudit.
type auditKey struct{}

// WithAudit returns a context for what an operator does: each change that the host makes with it
// has the entry in the audit log, in the change's own commit, and so have an app's import and
// deletion and AcceptClock. When it was and which app it is about is filled in. The entry may be
// changed until it is used. What functions do that run with the context has no entry.
func WithAudit(ctx context.Context, e *storage.AuditEntry) context.Context {
	return context.WithValue(ctx, auditKey{}, e)
}

// auditOf is the entry of the context, or none.
func (e *Engine) auditOf(ctx context.Context, app storage.AppID) []storage.AuditEntry {
	by, ok := ctx.Value(auditKey{}).(*storage.AuditEntry)
	if !ok {
		return nil
	}
	entry := *by
	entry.At, entry.App = e.clock.now(), app
	return []storage.AuditEntry{entry}
}

// Audit writes the context's entry about the app, or the store if that is "", durably when it
// returns: about what has no commit of its own. Without an entry it does nothing.
func (e *Engine) Audit(ctx context.Context, app storage.AppID) error {
	for _, entry := range e.auditOf(ctx, app) {
		if err := e.store.Audit(entry); err != nil {
			return asError(err)
		}
	}
	return nil
}

// AuditLog returns a page of what operators have changed in the last 90 days, as
// storage.Store.AuditLog does.
func (e *Engine) AuditLog(f storage.AuditFilter) (storage.AuditPage, error) {
	page, err := e.store.AuditLog(f)
	return page, asError(e.lapse.answer(err))
}

// audit has the operation's change be told of in its commit.
func (e *Engine) audit(op *operation, tx *storage.Tx) {
	if op.from != nil {
		return // of a function
	}
	for _, entry := range e.auditOf(op.ctx, "") {
		tx.Audit(entry)
	}
}

// purgeAudit drops entries that are too old, unless the wall is in doubt.
func (e *Engine) purgeAudit() error {
	at := e.clock.look()
	if e.clock.doubted() {
		return nil
	}
	return e.store.PurgeAudit(at.now.Add(-storage.AuditFor))
}
