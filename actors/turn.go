package actors

import (
	"context"
	"runtime/debug"
	"time"

	"carillon/actors/internal/timing"
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
	writer     storage.JobWriter   // of tx, made while the turn is certainly held
	ctx        *timing.LazyContext // of the handler
	cancelings []*run              // runs the transaction has canceled, so far
	result     result              // set by the handler's goroutine before it tells
}

// nextTurn gives the turn to what has waited longest: to an operation, or to
// the mutations at the head of the queue, as a batch.
func (s *scheduler) nextTurn() {
	if op := s.queue[0].op; op != nil {
		s.dequeue(1)
		s.operate(op)
		return
	}
	most := batchTurns
	if r := s.queue[0].inv.job; r != nil && r.job.Pool != "" {
		most = poolTurns
	}
	// Deadlines do not decrease within a batch, so one timer armed for the first turn
	// covers all.
	n := 1
	for n < min(len(s.queue), most) && s.queue[n].op == nil && s.queue[n].inv.timeout >= s.queue[n-1].inv.timeout {
		n++
	}
	r := newTurnBatch(s.appState, s.queue[:n])
	s.dequeue(n)
	first := r.next()
	if first == nil {
		s.finishBatch(r) // they were all refused, or canceled while they waited
		return
	}
	s.holder = r
	s.watchTurn(first.inv.timeout)
	s.eng.handlers.batch(s.appState, r)
}

func (s *scheduler) dequeue(n int) {
	clear(s.queue[:n])
	if s.queue = s.queue[n:]; len(s.queue) == 0 {
		s.queue = nil
	}
}

// refuse says why the caller's turn must not begin any more, or nil.
func refuse(ctx context.Context, from *source, path string) error {
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
	if !op.start.begin() {
		op.answer(errTurnWait(s.id, "", s.eng.opts.TurnWait))
		return
	}
	if err := refuse(op.ctx, op.from, ""); err != nil {
		op.answer(err)
		return
	}
	if op.sheds && s.overloaded() {
		op.answer(errOverloaded(""))
		return
	}
	tx := s.begin(s.eng.clock.look())
	var cancelings []*run
	tx.OnCancel(s.noteCancels(&cancelings))
	err := guarded(op.change, tx)
	if err == nil {
		err = s.follow(tx)
	}
	if err == nil && s.eng.opts.Still && !s.store.Stored() && !tx.Unchanged() {
		err = dispatch.Errorf(dispatch.CodeNotFound, "no such app %q: one is made where the directory is served", s.id)
	}
	s.eng.audit(op, tx)
	if err != nil {
		s.rollback(tx, cancelings, func(lost error) {
			if lost != nil {
				err = lost
			}
			op.answer(err)
		})
		return
	}
	s.commitRuns(tx, cancelings, runChanges{by: op.from}, op.answer)
	if op.frees {
		s.planner.unlooked.Store(true)
		s.lookAgain()
	}
}

// begin opens a transaction of the app's turn at the reading of the clock.
func (app *appState) begin(at reading) *storage.Tx { return app.store.BeginIn(at.era, at.now) }

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

// noteCancels is what a transaction asks when it cancels a claimed job: it keeps
// the run from starting until the transaction is decided, and notes it down.
func (app *appState) noteCancels(runs *[]*run) func(storage.JobID) bool {
	return func(id storage.JobID) bool {
		r, started := app.runs.beginCancel(id)
		if r != nil && !started {
			*runs = append(*runs, r)
		}
		return started
	}
}

// finishTurn finishes a turn that its batch has left to the SchedulerActor.
func (s *scheduler) finishTurn(t *turn) {
	r := t.inv.job
	if t.result.err == nil {
		if err := s.follow(t.tx); err != nil {
			t.result = result{err: err}
		}
	}
	if t.result.err != nil {
		if r != nil {
			s.rollback(t.tx, t.cancelings, nil)
			s.endRun(ending{run: r, err: t.result.err, unfit: t.inv.stored.Unfit})
			return
		}
		s.rollback(t.tx, t.cancelings, t.replyDurable)
		return
	}
	if r == nil {
		s.commit(t.tx, t.cancelings, t.replyDurable)
		return
	}
	if s.runs.get(r.job.ID) == r {
		if err := t.complete(s.appState); err != nil {
			s.rollback(t.tx, t.cancelings, nil)
			s.endRun(ending{run: r, err: err})
			return
		}
	}
	s.commitRuns(t.tx, t.cancelings, runChanges{ended: []*run{r}}, nil)
	s.forgetRun(r)
	s.end(r)
}

// replyDurable tells the caller, now that what the result depends on is durable
// or, with err, is not (the output gate).
func (t *turn) replyDurable(err error) {
	if err != nil {
		t.result = result{err: err}
	} else {
		t.result.commit = t.inv.store.Committed()
	}
	t.inv.reply(t.result)
}

// complete puts the job's completion into the transaction with the effects of
// its mutation: one change set, so both happen exactly once (G3). A job that
// has canceled itself stays canceled.
func (t *turn) complete(app *appState) error {
	r := t.inv.job
	for _, id := range t.tx.CanceledClaims() {
		if id == r.job.ID {
			return nil
		}
	}
	if err := app.logStart(t.tx, r); err != nil {
		return err
	}
	app.saveLog(t.tx, r, storage.End{}, nil)
	result, notKept := app.keep(t.inv, t.result.value)
	_, err := t.tx.EndAttempt(r.job, storage.End{
		State: storage.StateSuccess, StartedAt: r.startedAt, Result: result, NotKept: notKept,
	})
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
	if s.holder == nil {
		return
	}
	t, deadline := s.holder.holding()
	if left := time.Until(deadline); left > 0 || t == nil {
		s.watchTurn(max(left, time.Millisecond))
		return
	}
	err := blame(t.inv.Path, t.inv.timeout, overran(t.inv.Path, t.inv.timeout, nil), t.ctx.Why())
	if len(s.queue) > 0 || s.phase().draining() {
		err = suspectItself(err)
	}
	s.loseTurn(err)
}

// suspectItself adds to the end of a mutation that overran what its author may have
// missed: something waited for the turn that it held, perhaps its own call. A call
// that does not come from its context cannot be told from that of another caller.
func suspectItself(err error) error {
	e := dispatch.AsError(err)
	if e == nil || e.Code != dispatch.CodeDeadlineExceeded {
		return err
	}
	told := *e
	told.Message += "; others waited for it: a mutation that calls its own app must do so through its context, or it waits for itself"
	return &told
}

// loseTurn takes the turn from its holder, whose call ends with err.
func (s *scheduler) loseTurn(err error) {
	r := s.holder
	s.holder = nil
	t := r.lose()
	s.finishBatch(r)
	if t == nil {
		return // it had just given the turn back
	}
	t.ctx.Cancel(err)
	t.tx.Rollback(nil) // first of all: from then on its handler cancels nothing more
	s.rollback(t.tx, t.cancelings, nil)
	s.leaveCall(t.inv, true, s.eng.opts.Grace)
	if t.inv.job != nil {
		s.noLongerAhead(t.inv.job)
		s.endRun(ending{run: t.inv.job, err: err})
		return
	}
	t.inv.reply(result{err: err}) // at once: it depends on nothing
}
