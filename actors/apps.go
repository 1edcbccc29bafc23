package actors

import (
	"context"

	"carillon/storage"
)

// ListApps returns one page of apps, by name. It opens none, and wakes none: what it says of
// their jobs is what the file has. Like a query it waits for a sync that is under way. A
// filter that is none is invalid_argument.
func (e *Engine) ListApps(f storage.AppFilter) (storage.AppPage, error) {
	page, err := e.store.ListApps(f)
	return page, asError(e.lapse.answer(err))
}

// AppStatus is what there is to say of an app that does not disturb it.
type AppStatus struct {
	storage.AppInfo            // what the file has
	Inspection      Inspection // what the app has in memory
	Limits          AppLimits  // that hold for it now
}

// Status looks at the app without waking it. there is false if it does not exist. Like a query
// it waits for a sync that is under way.
func (a *App) Status(ctx context.Context) (status AppStatus, there bool, err error) {
	status.AppInfo, there, err = a.eng.store.AppInfo(a.id)
	if err = a.eng.lapse.answer(err); err != nil || !there {
		return AppStatus{}, false, asError(err)
	}
	status.Limits = a.eng.limitsOf(a.id)
	status.Inspection, err = a.Inspect(ctx)
	return status, err == nil, err
}

// made is the key of a context that lets an app come into being without Options.Admit.
type made struct{}

// Create has an app come into being that has nothing but the triggers that Options.Crons
// declares. Options.Admit is not asked about it; about the first call of it, it is. It is
// durable when Create returns nil. Errors: already_exists; resource_exhausted for one more
// than Options.MaxApps.
func (e *Engine) Create(ctx context.Context, id storage.AppID) error {
	if err := e.store.Free(id); err != nil {
		return asError(e.lapse.answer(err))
	}
	ctx = context.WithValue(ctx, made{}, true)
	err := e.change(ctx, id, nil, (*storage.Tx).Create)
	if v, live := e.directory.live.Load(id); live {
		v.(*appRef).admitted.Store(false)
	}
	return err
}
