package actors

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// These bound the snapshots that are kept for queries at an instant, which hold back the reuse of
// pages: of one app, of all, and for how long.
const (
	appInstants = 8
	allInstants = 256
	instantAge  = 30 * time.Second
)

// instants are the snapshots that App.Instant has kept. The lock is a leaf.
type instants struct {
	mu     sync.Mutex
	kept   []*instant // the oldest first
	closed bool
}

// instant is one of them.
type instant struct {
	app    storage.AppID
	commit uint64
	now    time.Time // ctx.Now of what runs there
	snap   *storage.Snapshot
	age    *time.Timer

	// Below: guarded by instants.mu.
	uses int  // calls that read it
	gone bool // it is closed when there is none
}

// Instant keeps a snapshot of what is committed now, for queries that are to see the same
// (CallAt), and returns the commit that it is as of. It is kept for 30 seconds, as long as it is
// among the latest 8 of the app and 256 of the engine, and not after a commit whose outcome was
// not known, nor in another process.
func (a *App) Instant(ctx context.Context) (commit uint64, err error) {
	ref, err := a.eng.acquire(ctx, a.id, nil)
	if err != nil {
		return 0, err
	}
	defer ref.release()
	now := a.eng.clock.now()
	snap, commit, err := ref.app.store.SnapshotAt(now)
	if err != nil {
		return 0, asError(err)
	}
	if !a.eng.instants.keep(&instant{app: a.id, commit: commit, now: now, snap: snap}) {
		return 0, errShutdown()
	}
	if err := a.eng.lapse.held(); err != nil {
		return 0, err
	}
	return commit, nil
}

// CallAt is Call of a query as of an instant, exactly. The error is aborted if that is not kept:
// ask for another Instant, and begin again.
func (a *App) CallAt(ctx context.Context, commit uint64, path string, args json.RawMessage, identity *dispatch.Identity) (json.RawMessage, error) {
	identity, err := identity.Normalize()
	if err != nil {
		return nil, err
	}
	ref, err := a.eng.acquire(ctx, a.id, nil)
	if err != nil {
		return nil, err
	}
	in := a.eng.instants.use(a.id, commit)
	if in == nil {
		ref.release()
		return nil, dispatch.Errorf(dispatch.CodeAborted, "the instant %d is not kept any more: ask for another one, and begin again", commit)
	}
	value, err := a.eng.queryOn(ctx, ref, in.snap.Reader(), in.now, dispatch.Invocation{
		Path: path, Kind: dispatch.KindQuery, Args: args, Identity: identity, Origin: dispatch.OriginClient,
	}, func() {
		a.eng.instants.leave(in)
		ref.release()
	})
	return value, err
}

// keep keeps the snapshot. It is false, and the snapshot closed, when the engine closes.
func (is *instants) keep(in *instant) bool {
	is.mu.Lock()
	defer is.mu.Unlock()
	if is.closed {
		in.snap.Close()
		return false
	}
	n := 0
	for i := len(is.kept) - 1; i >= 0; i-- {
		if k := is.kept[i]; k.app == in.app {
			if n++; n == appInstants || k.commit == in.commit {
				is.drop(k)
			}
		}
	}
	if len(is.kept) == allInstants {
		is.drop(is.kept[0])
	}
	is.kept = append(is.kept, in)
	in.age = time.AfterFunc(instantAge, func() {
		is.mu.Lock()
		defer is.mu.Unlock()
		is.drop(in)
	})
	return true
}

// drop keeps the snapshot no more. The lock is held.
func (is *instants) drop(in *instant) {
	i := slices.Index(is.kept, in)
	if i < 0 {
		return
	}
	is.kept = slices.Delete(is.kept, i, i+1)
	in.age.Stop()
	if in.gone = true; in.uses == 0 {
		in.snap.Close()
	}
}

// use has the snapshot stay until leave, or returns nil.
func (is *instants) use(app storage.AppID, commit uint64) *instant {
	is.mu.Lock()
	defer is.mu.Unlock()
	for _, in := range is.kept {
		if in.app == app && in.commit == commit {
			in.uses++
			return in
		}
	}
	return nil
}

// leave is the end of a use.
func (is *instants) leave(in *instant) {
	is.mu.Lock()
	defer is.mu.Unlock()
	if in.uses--; in.uses == 0 && in.gone {
		in.snap.Close()
	}
}

// forget drops those of the app, or of all if that is "". Those are the last.
func (is *instants) forget(app storage.AppID) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.closed = is.closed || app == ""
	for _, in := range slices.Clone(is.kept) {
		if app == "" || in.app == app {
			is.drop(in)
		}
	}
}
