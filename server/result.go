package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

// maxWait bounds how long one request waits for the end of a job; a client asks again.
const maxWait = time.Minute

func hideInResult(j *api.JobResult) {
	hide(&j.Hidden, "result", &j.Result, j.Result != nil)
	hide(&j.Hidden, "reason", &j.Reason, j.Reason != "")
	j.Error = hideMessage(&j.Hidden, j.Error)
}

// errWaited ends a wait that has been long enough.
var errWaited = errors.New("the wait is over")

// waitOf is how long the request waits.
func waitOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 || wait > maxWait {
		return 0, dispatch.Errorf(dispatch.CodeInvalidArgument, "wait is %.32q, want 0s to %s", text, maxWait)
	}
	return wait, nil
}

// jobResult answers when the job has ended, or when it has waited for that as long as it may:
// until the operator may ask no more, or the server stops, after which the client asks again.
func (h *handler) jobResult(w http.ResponseWriter, r *request) (int, any, error) {
	query := r.URL.Query()
	if err := onlyOnce(query, []string{"wait"}); err != nil {
		return 0, nil, err
	}
	wait, err := waitOf(query.Get("wait"))
	if err != nil {
		return 0, nil, err
	}
	id := storage.JobID(r.PathValue("id"))
	job, known, err := r.app.Scheduler(r.Context()).Get(id)
	if err == nil && !known {
		err = noJob(id)
	}
	if err == nil && !job.State.Ended() && wait > 0 {
		leave, full := h.streams.enter(clientOf(r.Request, h.opts.TrustedProxies), r.op.Name)
		if full != nil {
			return 0, nil, full
		}
		defer leave()
		liftReadDeadline(w)
		job, err = h.await(r, job, wait)
	}
	if err != nil {
		return 0, nil, err
	}
	shown := &api.JobResult{
		ID: string(job.ID), State: api.State(job.State), Ended: job.State.Ended(), EndedAt: instant(job.CompletedAt), Result: job.Result, NotKept: (*api.NotKept)(job.NotKept),
	}
	if shown.Ended {
		shown.Error, shown.Reason = errorOf(job.Error), job.Reason
	}
	veil(r, shown, hideInResult)
	return http.StatusOK, shown, nil
}

// await waits for the end of the job, and returns how it is then.
func (h *handler) await(r *request, job storage.Job, wait time.Duration) (storage.Job, error) {
	ctx, stop := context.WithCancelCause(r.Context())
	defer stop(nil)
	over := func() { stop(errWaited) }
	defer time.AfterFunc(wait, over).Stop()
	defer context.AfterFunc(h.streams.closingOf(r.Request), over)()
	ended, err := r.app.Wait(ctx, job.ID)
	cause := context.Cause(ctx)
	switch {
	case err == nil:
		return ended, nil
	case errors.Is(cause, errWaited):
		now, known, err := r.app.Scheduler(r.Context()).Get(job.ID)
		if err == nil && !known {
			err = noJob(job.ID)
		}
		return now, err
	}
	return job, err
}
