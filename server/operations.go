package server

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// Operation is storage.Operation in JSON: something that is done to every job that a filter
// chooses, and how far it has come.
type Operation struct {
	ID         storage.OperationID      `json:"id"`
	Action     storage.OperationAction  `json:"action"`
	Filter     storage.JobFilter        `json:"filter"`
	By         string                   `json:"by,omitempty"`
	CreatedAt  time.Time                `json:"createdAt"`
	AsOf       string                   `json:"asOf"`       // it is on no job that came later
	Counted    int                      `json:"counted"`    // jobs that it is on
	CountedAll bool                     `json:"countedAll"` // false: there are more than counted
	Done       int                      `json:"done"`       // jobs that were changed so far
	Damaged    int                      `json:"damaged,omitempty"`
	Outcome    storage.OperationOutcome `json:"outcome"` // "" while it goes on
	EndedAt    *time.Time               `json:"endedAt"`
	Error      *storage.JobError        `json:"error,omitempty"` // of one that failed
	Hidden     []string                 `json:"hidden,omitempty"`
}

// OperationPage is one page of operations, the latest first.
type OperationPage struct {
	Operations []Operation `json:"operations"`
	Next       string      `json:"next,omitempty"` // cursor of the next page; none if this is the last
}

// NewOperation is what an operation is made of. It has either a filter that chooses some jobs, or
// All.
type NewOperation struct {
	Action storage.OperationAction `json:"action"`
	Filter storage.JobFilter       `json:"filter"`
	All    bool                    `json:"all"`
	AsOf   string                  `json:"asOf"`   // of a count: on no job that came later; "": now
	DryRun bool                    `json:"dryRun"` // only count
}

// OperationCount is how many jobs an operation would be on.
type OperationCount struct {
	Jobs int    `json:"jobs"`
	More bool   `json:"more"` // there are more than that
	AsOf string `json:"asOf"`
}

func (o *Operation) hideArgs() {
	hide(&o.Hidden, "filter.argsContains", &o.Filter.ArgsContains, o.Filter.ArgsContains != "")
}

func (r *request) operationShown(o *storage.Operation) Operation {
	shown := Operation{
		ID: o.ID, Action: o.Action, Filter: o.Filter, By: o.By, CreatedAt: o.CreatedAt.UTC(), AsOf: o.AsOf.String(),
		Counted: o.Counted, CountedAll: o.CountedAll, Done: o.Done, Damaged: o.Damaged, Outcome: o.Outcome,
		EndedAt: instant(o.EndedAt), Error: o.Error,
	}
	r.veil(&shown)
	return shown
}

func (h *handler) createOperation(w http.ResponseWriter, r *request) (int, any, error) {
	var body NewOperation
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	if err := r.mayFilter(&body.Filter); err != nil {
		return 0, nil, err
	}
	if none := onlyStates(body.Filter); none != body.All {
		return 0, nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "want a filter that chooses some jobs, or all: true")
	}
	asOf, err := storage.ParseAsOf(body.AsOf)
	if err != nil {
		return 0, nil, err
	}
	s, ask := r.app.Scheduler(r.Context()), actors.Operation{Action: body.Action, Filter: body.Filter, By: r.op.Name, AsOf: asOf}
	if body.DryRun {
		count, err := s.CountOperation(ask)
		if err != nil {
			return 0, nil, err
		}
		return http.StatusOK, OperationCount{count.Jobs, !count.All, count.AsOf.String()}, nil
	}
	made, err := s.Operate(ask)
	if err != nil {
		return 0, nil, err
	}
	w.Header().Set("Location", r.URL.EscapedPath()+"/"+strconv.FormatUint(uint64(made.ID), 10))
	return http.StatusCreated, r.operationShown(&made), nil
}

// operationParameters are those of the URL of a listing of operations.
var operationParameters = []string{"going", "limit", "cursor"}

func operationFilter(query url.Values) (f storage.OperationFilter, err error) {
	if err := onlyOnce(query, operationParameters); err != nil {
		return f, err
	}
	if f.Going, err = flagOf(query, "going"); err != nil {
		return f, err
	}
	if f.Limit, err = limitOf(query, 100); err != nil {
		return f, err
	}
	if text := query.Get("cursor"); text != "" {
		before, err := strconv.ParseUint(text, 10, 63)
		if err != nil || before == 0 {
			return f, dispatch.Errorf(dispatch.CodeInvalidArgument, "cursor is %.32q, want the next of a page", text)
		}
		f.Before = storage.OperationID(before)
	}
	return f, nil
}

func (h *handler) listOperations(_ http.ResponseWriter, r *request) (int, any, error) {
	filter, err := operationFilter(r.URL.Query())
	if err != nil {
		return 0, nil, err
	}
	list, err := r.app.Scheduler(r.Context()).Operations(filter)
	if err != nil {
		return 0, nil, err
	}
	page := OperationPage{Operations: make([]Operation, len(list))}
	for i := range list {
		page.Operations[i] = r.operationShown(&list[i])
	}
	if len(list) == filter.Limit {
		page.Next = strconv.FormatUint(uint64(list[len(list)-1].ID), 10)
	}
	return http.StatusOK, page, nil
}

// operationID is that of the path.
func (r *request) operationID() (storage.OperationID, error) {
	text := r.PathValue("id")
	id, err := strconv.ParseUint(text, 10, 63)
	if err != nil || id == 0 {
		return 0, noOperation(text)
	}
	return storage.OperationID(id), nil
}

func noOperation(id string) error {
	return dispatch.Errorf(dispatch.CodeNotFound, "no operation %.64q", id)
}

func (h *handler) getOperation(_ http.ResponseWriter, r *request) (int, any, error) {
	id, err := r.operationID()
	if err != nil {
		return 0, nil, err
	}
	o, known, err := r.app.Scheduler(r.Context()).Operation(id)
	if err == nil && !known {
		err = noOperation(r.PathValue("id"))
	}
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, r.operationShown(&o), nil
}

func (h *handler) cancelOperation(w http.ResponseWriter, r *request) (int, any, error) {
	if status, err := h.decodeBody(w, r, &struct{}{}); err != nil {
		return status, nil, err
	}
	id, err := r.operationID()
	if err != nil {
		return 0, nil, err
	}
	s := r.app.Scheduler(r.Context())
	canceled, err := s.CancelOperation(id)
	if err != nil {
		return 0, nil, err
	}
	o, known, err := s.Operation(id)
	switch {
	case err != nil:
	case !known:
		err = noOperation(r.PathValue("id"))
	case !canceled:
		err = dispatch.Errorf(dispatch.CodeFailedPrecondition, "operation %d is %s: it is too late to cancel it", id, o.Outcome)
	}
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, r.operationShown(&o), nil
}
