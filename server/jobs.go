package server

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// bulkOperation is on every job that the filter chooses.
type bulkOperation struct {
	do             func(*actors.HostScheduler, storage.JobFilter) (int, error)
	states, ifNone []storage.State // that the filter may have, and what it means without
}

// Job is a job as the operator routes show it. Instants are RFC 3339 in UTC; one that
// has not come is null.
type Job struct {
	ID           storage.JobID     `json:"id"`
	Function     string            `json:"function"`
	Args         json.RawMessage   `json:"args,omitempty"`
	State        storage.State     `json:"state"`
	Due          time.Time         `json:"due"` // of the next attempt, or of the last one
	ScheduledFor time.Time         `json:"scheduledFor"`
	EnqueuedAt   time.Time         `json:"enqueuedAt"`
	NotAfter     *time.Time        `json:"notAfter,omitempty"` // no attempt begins after it
	StartedAt    *time.Time        `json:"startedAt"`
	EndedAt      *time.Time        `json:"endedAt"`
	Attempts     int               `json:"attempts"`
	Failures     int               `json:"failures"`
	Error        *storage.JobError `json:"error"`
	Tags         []string          `json:"tags,omitempty"`
	Pool         string            `json:"pool,omitempty"`
	PoolKey      string            `json:"poolKey,omitempty"`
	Priority     int               `json:"priority"` // 1 (first) to 4
	UniqueKey    string            `json:"uniqueKey,omitempty"`
	Revision     int               `json:"revision,omitempty"` // how often another call took its place after an attempt had begun
	Parent       storage.JobID     `json:"parent,omitempty"`   // the job that scheduled it
	Group        storage.GroupID   `json:"group,omitempty"`    // that it is a member of
	Trigger      string            `json:"trigger,omitempty"`
	Slot         *time.Time        `json:"slot,omitempty"`
	Superseded   bool              `json:"superseded,omitempty"` // its id was chosen again, and means the later job
	Wait         storage.Wait      `json:"wait,omitempty"`       // what it waits for
	Reason       string            `json:"reason,omitempty"`     // more of that, or why it is held or has expired
	HeldAt       *time.Time        `json:"heldAt,omitempty"`

	// Hidden names what an operator without the scope read-args is not shown.
	Hidden []string `json:"hidden,omitempty"`

	// Only where one job is asked for:
	History []storage.Attempt `json:"history,omitempty"`
	Result  json.RawMessage   `json:"result,omitempty"`  // of a success
	NotKept *storage.NotKept  `json:"notKept,omitempty"` // why it has none
	*JobDetail
}

// JobPage is one page of a listing.
type JobPage struct {
	Jobs   []Job     `json:"jobs"`             // none does not say that no later page has any
	Next   string    `json:"next,omitempty"`   // cursor of the next page; none if this is the last
	Looked *Looked   `json:"looked,omitempty"` // how far the page has looked; none if it is the last
	Count  *JobCount `json:"count,omitempty"`  // if count=true asks for it
}

// Looked is storage.Looked in JSON.
type Looked struct {
	Jobs int            `json:"jobs"`
	In   storage.Region `json:"in"`
	To   time.Time      `json:"to"`
}

// JobCount is how many jobs of the app the filter chooses.
type JobCount struct {
	Jobs int  `json:"jobs"`           // on all pages
	More bool `json:"more,omitempty"` // there may be more: the count stops at 10,000, and when its time is over
}

// Bulk is how many jobs a bulk operation has changed, or would change.
type Bulk struct {
	Jobs int `json:"jobs"`
}

// StuckHandler is actors.StuckHandler in JSON.
type StuckHandler struct {
	App      storage.AppID `json:"app"`
	Function string        `json:"function"`
	Call     actors.CallID `json:"call,omitempty"` // none if it is that of a job
	Job      storage.JobID `json:"job,omitempty"`  // none if it is that of a call
	Attempt  int           `json:"attempt,omitempty"`
	Since    time.Time     `json:"since"`
}

func jobOf(job *storage.Job) Job {
	shown := Job{
		ID: job.ID, Function: job.Function, Args: job.Args, State: job.State,
		Due: job.Due.UTC(), ScheduledFor: job.ScheduledFor.UTC(), EnqueuedAt: job.EnqueuedAt.UTC(),
		NotAfter: instant(job.NotAfter), StartedAt: instant(job.StartedAt), EndedAt: instant(job.CompletedAt),
		Attempts: job.Attempts, Failures: job.Failures, Error: job.Error, Trigger: job.Trigger, Slot: instant(job.Slot),
		Superseded: job.Superseded, Tags: job.Tags, Pool: job.Pool, PoolKey: job.PoolKey, Priority: job.Priority,
		Wait: job.Wait, Reason: job.Reason, HeldAt: instant(job.HeldAt), Revision: job.Revision, Parent: job.Parent, Group: job.Group,
	}
	if job.Unique != nil {
		shown.UniqueKey = job.Unique.Key
	}
	return shown
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
	shown := []StuckHandler{}
	for _, s := range h.eng.Stuck() {
		if !r.op.has(s.App) {
			continue
		}
		shown = append(shown, StuckHandler{s.App, s.Function, s.Call, s.Job, s.Attempt, s.Since.UTC()})
	}
	return http.StatusOK, shown, nil
}

func (h *handler) abandonJob(w http.ResponseWriter, r *request) (int, any, error) {
	id := storage.JobID(r.PathValue("id"))
	return h.abandon(w, r, "job", Bulk{1}, func(by string) (bool, error) { return r.app.Scheduler(r.Context()).Abandon(id, by) })
}

func (h *handler) abandonCall(w http.ResponseWriter, r *request) (int, any, error) {
	id := actors.CallID(r.PathValue("id"))
	return h.abandon(w, r, "call", struct{}{}, func(by string) (bool, error) { return r.app.Scheduler(r.Context()).AbandonCall(id, by) })
}

// abandon has the engine log who the body says decided it, or else the operator, and the
// address that it came from.
func (h *handler) abandon(w http.ResponseWriter, r *request, what string, done any, do func(by string) (bool, error)) (int, any, error) {
	var body struct {
		By string `json:"by"`
	}
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
	if status, err := h.decodeBody(w, r, &struct{}{}); err != nil {
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
	return http.StatusOK, Bulk{1}, nil
}

// bulk runs the operation on every job that the body's filter chooses, or on all jobs if
// the body says "all": a forgotten filter is not taken for that.
func (h *handler) bulk(b bulkOperation) operation {
	return func(w http.ResponseWriter, r *request) (int, any, error) {
		var body struct {
			Filter storage.JobFilter `json:"filter"`
			All    bool              `json:"all"`
			DryRun bool              `json:"dryRun"`
		}
		if status, err := h.decodeBody(w, r, &body); err != nil {
			return status, nil, err
		}
		if err := r.mayFilter(&body.Filter); err != nil {
			return 0, nil, err
		}
		if none := onlyStates(body.Filter); none != body.All {
			return 0, nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "want a filter that chooses some jobs, or all: true")
		}
		s := r.app.Scheduler(r.Context())
		if body.DryRun {
			for _, state := range body.Filter.States {
				if !slices.Contains(b.states, state) {
					return 0, nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "state %.32q: this bulk operation is on jobs that are %q", string(state), b.states)
				}
			}
			if len(body.Filter.States) == 0 {
				body.Filter.States = b.ifNone
			}
			n, err := s.CountJobs(body.Filter)
			if err != nil {
				return 0, nil, err
			}
			return http.StatusOK, Bulk{n}, nil
		}
		n, err := b.do(s, body.Filter)
		if err != nil {
			if e := dispatch.AsError(err); n > 0 {
				err = &dispatch.Error{Code: e.Code, Message: fmt.Sprintf("after %d jobs: %s", n, e.Message), Err: err}
			}
			return 0, nil, err
		}
		return http.StatusOK, Bulk{n}, nil
	}
}
