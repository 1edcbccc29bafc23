package actors

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is how an attempt ends from outside (dispatch.ErrPending). While its handler runs the
// run knows the token, and an answer that comes is written down beside the claim. When the handler
// has returned, the store has the hash, the job is in the bucket without a claim, and the walk that
// finds it due ends the attempt. So nothing of it is in memory, or holds a permit.

// secretBytes is how many random bytes a token has; the job's id follows.
const secretBytes = 24

func newToken(id storage.JobID) string {
	secret := make([]byte, secretBytes, secretBytes+len(id))
	rand.Read(secret) // it never fails
	return base64.RawURLEncoding.EncodeToString(append(secret, id...))
}

// jobOfToken is the job that the token is of, whatever its secret; "" if it is none.
func jobOfToken(token string) storage.JobID {
	const most = secretBytes + 1024 // of a tick's id
	if base64.RawURLEncoding.DecodedLen(len(token)) > most {
		return ""
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) <= secretBytes {
		return ""
	}
	return storage.JobID(raw[secretBytes:])
}

// hashOf is what is stored of a token. That is random, so no salt is needed.
func hashOf(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}

// errNoToken answers a token that ends nothing, whatever the reason: the answer tells none of them
// from the others.
var errNoToken = &dispatch.Error{
	Code: dispatch.CodeNotFound, Err: storage.ErrNotFound,
	Message: "no attempt that is under way has the token",
}

// Complete ends the attempt that the token is of (ActionCtx.Pending) as a success with the result,
// and with it the job; nil is null. That is durable when it returns nil. While the handler runs, the
// attempt ends so when that has returned; ok is false if the attempt was ended already, by the token or
// else, and the result counts for nothing. Errors: not_found for a token of another attempt or
// app, or of none, which are told apart by nothing, invalid_argument for a result that has no JSON,
// is larger than Options.Limits let one be or does not fit the function's type, failed_precondition
// inside a mutation of the app, unavailable, and unknown: then ask again. Nothing is changed by a call
// that is refused.
func (a *App) Complete(ctx context.Context, token string, result any) (ok bool, err error) {
	raw, err := dispatch.EncodeResult(result, a.eng.opts.Limits)
	if err != nil {
		return false, err
	}
	return a.endOutside(ctx, token, func(job *storage.Job) (storage.Answer, error) {
		if err := a.eng.opts.Functions.CheckResult(job.Function, raw); err != nil {
			return storage.Answer{}, err
		}
		kept, notKept := a.eng.kept(job.Function, job, raw)
		return storage.Answer{Result: kept, NotKept: notKept}, nil
	})
}

// Fail ends the attempt that the token is of as a failed one: the job is retried by its policy, or
// dead, at once if the failure is dispatch.Permanent. What is not an *Error is internal; code and
// message are kept with the job. A RetryAfter is a failure like any other. Otherwise it is as Complete,
// but once the job is pending again, or retried, the token is not found any more.
func (a *App) Fail(ctx context.Context, token string, failure error) (ok bool, err error) {
	if failure == nil {
		return false, dispatch.Errorf(dispatch.CodeInvalidArgument, "Fail: the failure is nil")
	}
	e := dispatch.AsError(failure)
	answer := storage.Answer{
		Error: &storage.JobError{Code: string(e.Code), Message: e.Message}, Permanent: dispatch.IsPermanent(failure),
	}
	return a.endOutside(ctx, token, func(*storage.Job) (storage.Answer, error) { return answer, nil })
}

// endOutside ends the attempt of the token with what answer says. A token that cannot end anything
// asks for no turn, and wakes no app.
func (a *App) endOutside(ctx context.Context, token string, answer func(*storage.Job) (storage.Answer, error)) (ok bool, err error) {
	id, hash := jobOfToken(token), hashOf(token)
	if id == "" {
		return false, errNoToken
	}
	job, there, err := a.Scheduler(ctx).Get(id)
	switch {
	case err != nil:
		return false, err
	case !there || job.State.Ended() && !job.HasToken(hash) || job.State == storage.StateHeld:
		return false, errNoToken
	case job.State.Ended():
		return false, nil
	}
	say, err := answer(&job)
	if err != nil {
		return false, err
	}
	op := &operation{frees: job.Trigger != "" || job.Unique != nil}
	op.durable = func(app *appState) { app.runs.tellAnswered(id) }
	var done bool // the actor's, until it answers: a caller who gives up must not touch it
	err = a.eng.operate(ctx, a.id, op, func(app *appState, tx *storage.Tx) (err error) {
		done, err = app.answer(tx, id, hash, say)
		return err
	})
	if err != nil {
		return false, err
	}
	return done, nil
}

// answer ends the attempt of the job, if the hash is that of its token, or stores how it ends. ok is
// false if it has ended.
func (app *appState) answer(tx *storage.Tx, id storage.JobID, hash []byte, say storage.Answer) (ok bool, err error) {
	job, claimed, there, err := tx.Unended(id)
	switch {
	case err != nil:
		return false, err
	case !there: // it has ended meanwhile
		job, there, err = tx.JobWriter().System().Get(id)
		if err != nil || there && job.HasToken(hash) {
			return false, err
		}
	case claimed && app.runs.hasToken(id, hash):
		if job.Answer() != nil {
			return false, nil
		}
		return true, tx.AnswerClaimed(job, hash, say)
	case !claimed && job.PendingOutside() && job.HasToken(hash):
		at := app.eng.clock.look()
		_, err := tx.EndAttempt(job, app.outcome(tx, at, answered(&run{job: job, attempt: job.Attempts}, &say)))
		return err == nil, err
	}
	return false, errNoToken
}

// answered is the end of an attempt as it was said outside.
func answered(of *run, say *storage.Answer) ending {
	end := ending{run: of, result: say.Result, notKept: say.NotKept}
	if e := say.Error; e != nil {
		end.err = &dispatch.Error{Code: dispatch.Code(e.Code), Path: of.job.Function, Message: e.Message}
		if say.Permanent {
			end.err = dispatch.Permanent(end.err)
		}
	}
	return end
}

// leaveOutside is what becomes of the job whose handler has returned, and whose attempt goes on.
func (app *appState) leaveOutside(r *run, at reading, hash []byte) storage.End {
	_, timeout := app.runs.tokenOf(r)
	return storage.End{
		State: storage.StatePending, Outside: true, Token: hash, StartedAt: r.startedAt,
		Due: at.wall.Add(timeout).Add(time.Millisecond - 1),
	}
}

// timeOut ends the attempt of a job that is pending outside, once that is due.
func (c *claimPass) timeOut(job *storage.Job) {
	if job.Due.After(c.wall) {
		c.keep(job, job.Due)
		return
	}
	end := answered(&run{job: *job, attempt: job.Attempts}, &storage.Answer{Error: &storage.JobError{
		Code:    string(dispatch.CodeDeadlineExceeded),
		Message: fmt.Sprintf("its end did not come from outside by %s", job.Due.Format(time.RFC3339)),
	}})
	if _, err := c.tx.EndAttempt(*job, c.outcome(c.tx, reading{wall: c.wall, now: c.tx.Now()}, end)); err != nil {
		c.eng.opts.Logger.Error("ending a job that is pending outside", c.attrsOf(job, "err", err)...)
		c.keep(job, c.wall.Add(time.Second))
		return
	}
	c.held++ // of what the transaction may change
	c.again = c.again || job.Trigger != "" || job.Unique != nil
}

// pendingOutside gives the run's attempt a token, if it has none yet, and the timeout.
func (app *appState) pendingOutside(r *run, timeout time.Duration) (string, error) {
	token := newToken(r.job.ID)
	rs := app.runs
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.byID[r.job.ID] != r || r.phase != runBegun {
		return "", &dispatch.Error{Code: dispatch.CodeAborted, Path: r.path, Message: "the attempt is over"}
	}
	if r.token == "" {
		r.token = token
	}
	r.pending = timeout
	if r.answered == nil {
		r.answered = make(chan struct{})
	}
	return r.token, nil
}

// hasToken says whether the hash is that of the token of the job's run.
func (rs *runs) hasToken(id storage.JobID, hash []byte) bool {
	r := rs.get(id)
	if r == nil {
		return false
	}
	own, _ := rs.tokenOf(r)
	return subtle.ConstantTimeCompare(own, hash) == 1
}

// tokenOf is the hash of the run's token, nil if it has none, and its timeout.
func (rs *runs) tokenOf(r *run) ([]byte, time.Duration) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r.token == "" {
		return nil, 0
	}
	return hashOf(r.token), r.pending
}
