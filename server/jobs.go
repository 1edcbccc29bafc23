package server

import (
	"cmp"
	"net/http"
	"strings"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

func jobOf(job *storage.Job) api.Job {
	shown := api.Job{
		ID: string(job.ID), Function: job.Function, Args: job.Args, State: api.State(job.State),
		Due: job.Due.UTC(), ScheduledFor: job.ScheduledFor.UTC(), EnqueuedAt: job.EnqueuedAt.UTC(),
		NotAfter: instant(job.NotAfter), StartedAt: instant(job.StartedAt), EndedAt: instant(job.CompletedAt),
		Attempts: job.Attempts, Failures: job.Failures, Error: errorOf(job.Error), Trigger: job.Trigger, Slot: instant(job.Slot),
		Superseded: job.Superseded, Tags: job.Tags, Pool: job.Pool, PoolKey: job.PoolKey, Priority: job.Priority,
		Wait: api.Wait(job.Wait), Reason: job.Reason, HeldAt: instant(job.HeldAt), Revision: job.Revision, Parent: string(job.Parent), Group: uint64(job.Group),
	}
	if job.Unique != nil {
		shown.UniqueKey = job.Unique.Key
	}
	return shown
}

// errorOf is the error in JSON, or nil.
func errorOf(err *storage.JobError) *api.JobError {
	if err == nil {
		return nil
	}
	return &api.JobError{Code: api.Code(err.Code), Message: err.Message}
}

func noJob(id storage.JobID) error {
	return dispatch.Errorf(dispatch.CodeNotFound, "no job %.64q", string(id))
}

func (h *handler) retryJob(w http.ResponseWriter, r *request) (int, any, error) {
	return h.ofDead(w, r, (*actors.HostScheduler).RetryDead)
}

func (h *handler) dropJob(w http.ResponseWriter, r *request) (int, any, error) {
	return h.ofDead(w, r, (*actors.HostScheduler).DropDead)
}

func (h *handler) listStuck(_ http.ResponseWriter, r *request) (int, any, error) {
	shown := []api.StuckHandler{}
	for _, s := range h.eng.Stuck() {
		if !r.op.has(s.App) {
			continue
		}
		shown = append(shown, api.StuckHandler{
			App: string(s.App), Function: s.Function, Call: string(s.Call), Job: string(s.Job), Attempt: s.Attempt, Since: s.Since.UTC(),
		})
	}
	return http.StatusOK, shown, nil
}

func (h *handler) abandonJob(w http.ResponseWriter, r *request) (int, any, error) {
	id := storage.JobID(r.PathValue("id"))
	return h.abandon(w, r, "job", api.Affected{Jobs: 1}, func(by string) (bool, error) { return r.app.Scheduler(r.Context()).Abandon(id, by) })
}

func (h *handler) abandonCall(w http.ResponseWriter, r *request) (int, any, error) {
	id := actors.CallID(r.PathValue("id"))
	return h.abandon(w, r, "call", api.Empty{}, func(by string) (bool, error) { return r.app.Scheduler(r.Context()).AbandonCall(id, by) })
}

// abandon has the engine log who the body says decided it, or else the operator, and the
// address that it came from.
func (h *handler) abandon(w http.ResponseWriter, r *request, what string, done any, do func(by string) (bool, error)) (int, any, error) {
	var body api.AbandonRequest
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	ok, err := do(cmp.Or(strings.TrimSpace(body.By), r.op.Name) + " from " + r.RemoteAddr)
	if err == nil && !ok {
		err = dispatch.Errorf(dispatch.CodeFailedPrecondition, "%s %.64q has no stuck handler", what, r.PathValue("id"))
	}
	if err == nil {
		err = h.eng.Audit(r.Context(), r.app.ID()) // nothing else of it is stored
	}
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, done, nil
}

// ofDead does to the dead job of the path what change does.
func (h *handler) ofDead(w http.ResponseWriter, r *request, change func(*actors.HostScheduler, storage.JobID) (bool, error)) (int, any, error) {
	if status, err := h.decodeBody(w, r, &api.Empty{}); err != nil {
		return status, nil, err
	}
	s, id := r.app.Scheduler(r.Context()), storage.JobID(r.PathValue("id"))
	ok, err := change(s, id)
	if err == nil && !ok {
		job, known, getErr := s.Get(id)
		switch {
		case getErr != nil:
			err = getErr
		case !known:
			err = noJob(id)
		default:
			err = dispatch.Errorf(dispatch.CodeFailedPrecondition, "job %s is %s: only a dead or held one can be retried or dropped", id, job.State)
		}
	}
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, api.Affected{Jobs: 1}, nil
}
