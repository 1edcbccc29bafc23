package actors

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// turn is the right to change the app's state, asked for or held. It is asked
// for by a mutation, whose handler then runs in a goroutine of the Runner, or
// by an operation, which the SchedulerActor does itself.
type turn struct {
	inv *invocation
	op  *operation

	// Below: once it is held.
	tx         *storage.Tx
	ctx        context.Context // of the handler
	cancel     context.CancelFunc
	cancelings []*run // runs the transaction has cancelled, so far
	result     result // set by the handler's goroutine before it tells
}

// nextTurn gives the turn to whoever has waited longest.
func (s *scheduler) nextTurn() {
	t := s.queue[0]
	s.queue[0] = nil
	if s.queue = s.queue[1:]; len(s.queue) == 0 {
		s.queue = nil
	}
	if t.op != nil {
		s.operate(t.op)
		return
	}
	inv := t.inv
	if err := s.refuse(inv.ctx, inv.from, inv.Path); err != nil {
		inv.reply(result{err: err})
		return
	}
	t.ctx, t.cancel = context.WithTimeout(inv.ctx, inv.timeout)
	if r := inv.job; r != nil {
		if !s.runs.start(r, t.cancel) {
			// Cancelled while it waited; whoever did that has told all there is to tell.
			t.cancel()
			s.freeSlot(r)
			return
		}
		s.claims--
	}
	t.tx = s.store.Begin(s.eng.clock.now())
	inv.now = t.tx.Now()
	if inv.job != nil {
		inv.job.startedAt = inv.now
	}
	t.tx.OnCancel(func(id storage.JobID) bool {
		r, started := s.runs.beginCancel(id)
		if r != nil && !started {
			t.cancelings = append(t.cancelings, r)
		}
		return started
	})
	s.holder = t
	inv.deadline = time.Now().Add(inv.timeout)
	s.watchTurn(inv.timeout)
	s.eng.handlers.mutation(s.appState, t)
}

// refuse says why nothing is to be done for the caller any more, or nil.
func (s *scheduler) refuse(ctx context.Context, from *source, path string) error {
	if err := from.refusal(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return contextError(ctx, path)
	}
	return nil
}

// operate does an operation, all of it within this message.
func (s *scheduler) operate(op *operation) {
	if err := s.refuse(op.ctx, op.from, ""); err != nil {
		op.answer(err)
		return
	}
	tx := s.store.Begin(s.eng.clock.now())
	var cancelings []*run
	tx.OnCancel(func(id storage.JobID) bool {
		r, started := s.runs.beginCancel(id)
		if r != nil && !started {
			cancelings = append(cancelings, r)
		}
		return started
	})
	if err := guarded(op.change, tx); err != nil {
		s.rollback(tx, cancelings, func(lost error) {
			if lost != nil {
				err = lost
			}
			op.answer(err)
		})
		return
	}
	s.commit(tx, cancelings, op.answer)
}

// guarded keeps a panic of an operation from taking the actor down with the
// transaction open.
func guarded(change func(*storage.Tx) error, tx *storage.Tx) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &dispatch.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return change(tx)
}

// finishTurn takes the turn back from a handler that has returned. One that has
// lost the turn meanwhile has no say.
func (s *scheduler) finishTurn(t *turn) {
	t.cancel()
	if s.holder != t {
		return
	}
	s.holder = nil
	r := t.inv.job
	if t.result.err != nil {
		if r != nil {
			s.rollback(t.tx, t.cancelings, nil)
			s.endRun(ending{run: r, err: t.result.err})
			return
		}
		s.rollback(t.tx, t.cancelings, func(lost error) {
			if lost != nil {
				t.result.err = lost
			}
			t.inv.reply(t.result)
		})
		return
	}
	var reply func(error)
	if r != nil {
		if s.runs.get(r.job.ID) == r {
			if err := s.complete(t, r); err != nil {
				s.rollback(t.tx, t.cancelings, nil)
				s.endRun(ending{run: r, err: err})
				return
			}
		}
	} else {
		reply = func(err error) {
			if err != nil {
				t.result = result{err: err}
			}
			t.inv.reply(t.result)
		}
	}
	s.commit(t.tx, t.cancelings, reply)
	if r != nil {
		s.forgetRun(r)
		s.freeSlot(r)
	}
}

// complete puts the job's completion into the transaction with the effects of
// its mutation: one change set, so both happen exactly once (G3). A job that
// has cancelled itself stays cancelled.
func (s *scheduler) complete(t *turn, r *run) error {
	for _, id := range t.tx.CanceledClaims() {
		if id == r.job.ID {
			return nil
		}
	}
	_, err := t.tx.EndAttempt(r.job, storage.End{State: storage.StateSuccess, StartedAt: r.startedAt})
	return err
}

// watchTurn has the holder's deadline looked at when it comes. One timer serves
// many turns: it is set again only when it has fired, or would fire too late.
func (s *scheduler) watchTurn(timeout time.Duration) {
	at := time.Now().Add(timeout)
	if s.expiry != nil {
		if !at.Before(s.expiryAt) {
			return
		}
		s.expiry.Stop()
	}
	s.expiryAt = at
	sys, self := s.eng.sys, s.self
	s.expiry = time.AfterFunc(timeout, func() { sys.tell(self, &turnExpired{}) })
}

// expireTurn takes the turn from a handler that has overrun its deadline: its
// transaction is dead, and the app goes on.
func (s *scheduler) expireTurn() {
	s.expiry = nil
	t := s.holder
	if t == nil {
		return
	}
	if left := time.Until(t.inv.deadline); left > 0 {
		s.watchTurn(left)
		return
	}
	s.loseTurn(&dispatch.Error{
		Code: dispatch.CodeDeadlineExceeded, Path: t.inv.Path,
		Message: fmt.Sprintf("the mutation took longer than %v", t.inv.timeout),
	})
}

// loseTurn takes the turn from its holder, whose call ends with err.
func (s *scheduler) loseTurn(err error) {
	t := s.holder
	s.holder = nil
	s.rollback(t.tx, t.cancelings, nil)
	t.cancel()
	if t.inv.job != nil {
		s.endRun(ending{run: t.inv.job, err: err})
		return
	}
	t.inv.reply(result{err: err})
}
