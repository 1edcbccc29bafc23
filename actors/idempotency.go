package actors

import (
	"encoding/json"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is how calls with an idempotency key are applied once (G39). The outcome is looked
// up and kept by the call's own transaction, which has the turn: so of two calls at once the
// second sees what the first has written, is answered when that is durable, and fails with it.

// mayBeKeyed says why a function of the kind has no idempotency key, or nil. A query changes
// nothing, and does without.
func (inv *invocation) mayBeKeyed() error {
	if inv.key == nil {
		return nil
	}
	switch inv.fn.Kind {
	case dispatch.KindAction:
		return &dispatch.Error{
			Code: dispatch.CodeInvalidArgument, Path: inv.fn.Path,
			Message: "an action has no idempotency key: what it does is no transaction",
		}
	case dispatch.KindQuery:
		inv.key = nil
	}
	return nil
}

// mutate runs the mutation of the turn, unless its call was applied before: then it returns what
// that has come to.
func (h *handlers) mutate(app *appState, t *turn) (json.RawMessage, error) {
	run := func() (json.RawMessage, error) {
		began := time.Now()
		value, err := t.inv.fn.RunMutation(h.env(app, t.inv, t.ctx), t.writer, t.inv.Args)
		h.eng.ran(t.inv.fn, began, err)
		return value, err
	}
	if t.inv.key == nil {
		return run()
	}
	key := t.inv.key.Of(t.inv.Path, t.inv.Identity, t.inv.Args)
	value, err := app.once(t.tx, &key, run)
	if err != nil && dispatch.AsError(err).Path == "" {
		e := *dispatch.AsError(err)
		e.Path = t.inv.fn.Path
		return nil, &e
	}
	return value, err
}

// once runs fn in the transaction, and keeps what it returns, unless that was done before: then
// it returns what was kept.
func (app *appState) once(tx *storage.Tx, key *storage.IdempotencyKey, fn func() (json.RawMessage, error)) (json.RawMessage, error) {
	at := app.eng.voidSince(tx.Now())
	switch kept, err := tx.IdempotentCall(key, at); {
	case err != nil:
		return nil, err
	case kept != nil && kept.Result == nil && kept.Size > 0:
		return nil, &dispatch.Error{
			Code: dispatch.CodeAlreadyExists, Err: dispatch.ErrResultNotKept,
			Message: dispatch.ErrResultNotKept.Error(),
		}
	case kept != nil:
		return kept.Result, nil
	}
	value, err := fn()
	if err != nil {
		return nil, err
	}
	return value, tx.KeepIdempotentCall(key, value, at)
}

// voidSince is the instant at which keys are void that were kept until then: none, while the
// wall is in doubt.
func (e *Engine) voidSince(now time.Time) time.Time {
	if e.clock.doubted() {
		return time.Time{}
	}
	return now
}

// scheduleOnce schedules the job in the transaction, unless the key's was: then it tells of that.
func (app *appState) scheduleOnce(tx *storage.Tx, key *storage.IdempotencyKey, job storage.Job) (told storage.Told, err error) {
	value, err := app.once(tx, key, func() (json.RawMessage, error) {
		done, err := tx.JobWriter().Schedule(job)
		if err != nil {
			return nil, err
		}
		return json.Marshal(done)
	})
	if err == nil {
		err = json.Unmarshal(value, &told)
	}
	return told, err
}
