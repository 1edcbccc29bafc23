package server

import (
	"net/http"
	"net/url"
	"strconv"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

func hideInOperation(o *api.Operation) {
	hide(&o.Hidden, "filter.argsContains", &o.Filter.ArgsContains, o.Filter.ArgsContains != "")
}

func (r *request) operationShown(o *storage.Operation) api.Operation {
	shown := api.Operation{
		ID: uint64(o.ID), Action: api.OperationAction(o.Action), Filter: shownFilter(&o.Filter), By: o.By, CreatedAt: o.CreatedAt.UTC(), AsOf: o.AsOf.String(),
		Counted: o.Counted, CountedAll: o.CountedAll, Done: o.Done, Damaged: o.Damaged, Outcome: api.OperationOutcome(o.Outcome),
		EndedAt: instant(o.EndedAt), Error: errorOf(o.Error), At: instant(o.Due), Priority: o.Priority,
	}
	veil(r, &shown, hideInOperation)
	return shown
}

func (h *handler) createOperation(w http.ResponseWriter, r *request) (int, any, error) {
	var body api.NewOperation
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	filter := askedFilter(&body.Filter)
	if err := r.mayFilter(&filter); err != nil {
		return 0, nil, err
	}
	if none := onlyStates(filter); none != body.All {
		return 0, nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "want a filter that chooses some jobs, or all: true")
	}
	asOf, err := storage.ParseAsOf(body.AsOf)
	if err != nil {
		return 0, nil, err
	}
	s, ask := r.app.Scheduler(r.Context()), actors.Operation{Action: storage.OperationAction(body.Action), Filter: filter, By: r.op.Name, AsOf: asOf, Priority: body.Priority}
	if body.At != nil {
		ask.Due = *body.At
	}
	if body.DryRun {
		count, err := s.CountOperation(ask)
		if err != nil {
			return 0, nil, err
		}
		return http.StatusOK, api.OperationCount{Jobs: count.Jobs, More: !count.All, AsOf: count.AsOf.String()}, nil
	}
	made, err := s.Operate(ask)
	if err != nil {
		return 0, nil, err
	}
	w.Header().Set("Location", r.URL.EscapedPath()+"/"+made.ID.String())
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
	page := api.OperationPage{Operations: make([]api.Operation, len(list))}
	for i := range list {
		page.Operations[i] = r.operationShown(&list[i])
	}
	if len(list) == filter.Limit {
		page.Next = list[len(list)-1].ID.String()
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
	if status, err := h.decodeBody(w, r, &api.Empty{}); err != nil {
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
