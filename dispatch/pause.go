package dispatch

import (
	"carillon/internal/brief"
	"carillon/storage"
)

// OfApp is the scope of a pause that is of the whole app.
func OfApp() storage.Scope { return storage.Scope{App: true} }

// OfFunction is the scope of a pause of one function, by its path.
func OfFunction(path string) storage.Scope { return storage.Scope{Function: path} }

// OfPool is the scope of a pause of a pool by its name, or of one key of it.
func OfPool(name string, key ...string) storage.Scope {
	s := storage.Scope{Pool: name}
	if len(key) > 0 {
		s.PoolKey = key[0]
	}
	return s
}

// Pause is Scheduler.Pause in the transaction of w.
func (p Planner) Pause(w storage.JobWriter, of storage.Scope, by, reason string) error {
	of, paused, err := p.known(w, of)
	switch {
	case err != nil:
		return AsError(err)
	case paused:
	case of.Pool != "" && p.Pools[of.Pool] == nil:
		return Errorf(CodeInvalidArgument, "no pool %q to pause", of.Pool)
	case of.Function != "":
		fn, ok := p.Registry.Lookup(of.Function)
		if !ok {
			return Errorf(CodeInvalidArgument, "no function %s to pause", brief.Quote(of.Function))
		}
		if fn.Kind == KindQuery {
			return Errorf(CodeInvalidArgument, "function %q is a query: only mutations and actions run later, and can be paused", fn.Path)
		}
	}
	return asError(w.PutPause(storage.Pause{Of: of, By: by, Reason: reason}))
}

// Resume is Scheduler.Resume in the transaction of w.
func (p Planner) Resume(w storage.JobWriter, of storage.Scope) (bool, error) {
	of, _, err := p.known(w, of)
	if err != nil {
		return false, AsError(err)
	}
	ok, err := w.DropPause(of)
	return ok, asError(err)
}

// known is the scope as the app has it paused, if it has: a function that was renamed
// since has its earlier path there. Else it has the path of today.
func (p Planner) known(w storage.JobWriter, of storage.Scope) (_ storage.Scope, paused bool, err error) {
	if err := of.Check(); err != nil {
		return of, false, err
	}
	list, err := w.System().Pauses()
	if err != nil {
		return of, false, err
	}
	for _, pause := range list {
		if pause.Of == of || of.Function != "" && pause.Of.Function != "" && p.pathOf(pause.Of.Function) == p.pathOf(of.Function) {
			return pause.Of, true, nil
		}
	}
	if of.Function != "" {
		of.Function = p.pathOf(of.Function)
	}
	return of, false, nil
}

// pathOf is the path of today of a function, which formerly may have had this one.
func (p Planner) pathOf(path string) string {
	if fn, ok := p.Registry.Lookup(path); ok {
		return fn.Path
	}
	return path
}

// LimitPool is Scheduler.LimitPool in the transaction of w.
func (p Planner) LimitPool(w storage.JobWriter, pool string, limit int) error {
	switch {
	case p.Pools[pool] == nil:
		return Errorf(CodeInvalidArgument, "no pool %.64q", pool)
	case limit < 1 || limit > MaxPoolLimit:
		return Errorf(CodeInvalidArgument, "pool %s: limit %d, want 1 to %d", pool, limit, MaxPoolLimit)
	case p.Pools[pool].IsOrdered() && limit != 1:
		return Errorf(CodeInvalidArgument, "pool %s: limit %d of an ordered pool, want 1", pool, limit)
	}
	return asError(w.SetPoolLimit(pool, limit))
}

func (s *txScheduler) Pause(of storage.Scope, by, reason string) error {
	return s.planner.Pause(s.w, of, by, reason)
}

func (s *txScheduler) Resume(of storage.Scope) (bool, error) { return s.planner.Resume(s.w, of) }

func (s *txScheduler) Pauses() ([]storage.Pause, error) {
	list, err := s.w.System().Pauses()
	return list, asError(err)
}

func (s *txScheduler) LimitPool(pool string, limit int) error {
	return s.planner.LimitPool(s.w, pool, limit)
}

func (s *txScheduler) ClearPoolLimit(pool string) (bool, error) {
	ok, err := s.w.DropPoolLimit(pool)
	return ok, asError(err)
}
