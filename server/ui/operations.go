package ui

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"carillon/dispatch"
	"carillon/server/api"
)

// maxChosen is how many jobs a form may name one by one.
const maxChosen = 100

// change is what a form asks to be done to many jobs: to those that were selected, or to all that the
// filter chooses.
type change struct {
	Action   api.OperationAction
	Selected bool
	Jobs     []string   // the selected ones
	Filter   url.Values // of the listing that they were in
	At, To   string     // of a reschedule: the new instant and the new priority; "": as it is
}

// Fields of forms that are about a change, beside its filter.
var (
	asksChange  = []string{"action", "of", "job", "at", "to", "was"}
	makesChange = []string{"action", "of", "job", "at", "to", "asOf", "counted", "more", "all"}
)

// changeOf reads the change from a page's URL, or from the form that was sent. What is neither one of
// the fields nor part of a filter is refused: it may be part of one that this knows nothing of.
func changeOf(values url.Values, fields []string) (change, error) {
	filter := maps.Clone(values)
	for _, field := range fields {
		filter.Del(field)
	}
	_, err := bodyFilter(filter)
	return change{
		Action: api.OperationAction(values.Get("action")), Selected: values.Get("of") == "selected", Jobs: values["job"],
		Filter: filter, At: utc(values.Get("at")), To: values.Get("to"),
	}, err
}

// checkSelected says what is wrong with the jobs that were selected.
func (c *change) checkSelected() error {
	switch {
	case len(c.Jobs) == 0:
		return dispatch.Errorf(dispatch.CodeInvalidArgument, "no job is selected: go back and select some")
	case len(c.Jobs) > maxChosen:
		return dispatch.Errorf(dispatch.CodeInvalidArgument, "%d jobs are selected, and at most %d may be: choose them with a filter", len(c.Jobs), maxChosen)
	case !slices.Contains(api.OperationAction("").Enum(), string(c.Action)):
		return dispatch.Errorf(dispatch.CodeInvalidArgument, "%.64q is nothing that can be done to jobs", string(c.Action))
	}
	return nil
}

// jobChange is what a reschedule changes.
func (c *change) jobChange() (change api.JobChange, err error) {
	at, err := instantField(url.Values{"at": {c.At}}, "at")
	if err != nil {
		return change, err
	}
	if !at.IsZero() {
		change.At = &at
	}
	to, err := numberField(url.Values{"priority": {c.To}}, "priority")
	change.Priority = int(to)
	return change, err
}

// operation is the body of the row, for the jobs that were there as of then.
func (c *change) operation(asOf string) (body api.NewOperation, err error) {
	body.Action, body.AsOf = c.Action, asOf
	if c.Action == api.OperationReschedule {
		change, err := c.jobChange()
		if err != nil {
			return body, err
		}
		body.At, body.Priority = change.At, change.Priority
	}
	body.Filter, err = bodyFilter(c.Filter)
	return body, err
}

// count counts the jobs that the operation would be on.
func (c *change) count(r *Request, body api.NewOperation) (api.OperationCount, error) {
	body.DryRun = true
	if c.Action == api.OperationReschedule && body.At == nil && body.Priority == 0 {
		body.Priority = 1 // it is not entered yet, and the count is that of any
	}
	return ask[api.OperationCount](r, Call{Route: "POST /v1/apps/{app}/operations", Path: r.inPath("app"), Body: body})
}

// selectedJob is a job that was selected.
type selectedJob struct {
	ID  string
	Job *api.Job   // nil if there is none
	Err *api.Error // why it was not changed
}

type changeData struct {
	App string
	change
	All       bool // the filter chooses all jobs, by their states at most
	Count     api.OperationCount
	Was       string // how many jobs a form was about to change that is not done, since there are more now
	Selection []selectedJob
}

// Conditions is the filter, in words.
func (d changeData) Conditions() []condition { return conditions(d.Filter) }

// List is the address of the app's jobs that the filter chooses.
func (r *Request) List(filter url.Values) string {
	at := r.Base + "/apps/" + escaped(r.HTTP.PathValue("app")) + "/jobs"
	if len(filter) > 0 {
		at += "?" + filter.Encode()
	}
	return at
}

// askChange says how many jobs would be changed, and asks. It changes none.
func askChange(r *Request) (*Answer, error) {
	given := r.given()
	c, err := changeOf(given, asksChange)
	if err != nil {
		return nil, err
	}
	d := changeData{App: r.HTTP.PathValue("app"), change: c, Was: given.Get("was")}
	if d.Selected {
		if err := d.checkSelected(); err != nil {
			return nil, err
		}
		for _, id := range d.Jobs {
			s := selectedJob{ID: id}
			job, err := ask[api.Job](r, Call{Route: "GET /v1/apps/{app}/jobs/{id}", Path: map[string]string{"app": d.App, "id": id}})
			if err == nil {
				s.Job = &job
			}
			d.Selection = append(d.Selection, s)
		}
	} else {
		body, err := d.operation("")
		if err != nil {
			return nil, err
		}
		body.All = onlyStates(d.Filter)
		if d.Count, err = d.count(r, body); err != nil {
			return nil, err
		}
		d.All = body.All
	}
	return r.show("change", changeTitles[d.Action], r.inApp(crumb{"Jobs", r.List(d.Filter)}), d), nil
}

// changeTitles are the titles of the pages that ask, by action.
var changeTitles = map[api.OperationAction]string{
	api.OperationCancel: "Cancel jobs", api.OperationRetry: "Retry jobs", api.OperationDrop: "Drop jobs",
	api.OperationRun: "Run jobs now", api.OperationReschedule: "Reschedule jobs, or change their priority",
}

// onlyStates says whether the filter has no condition but states: the row wants it to be said that all jobs are meant.
func onlyStates(filter url.Values) bool {
	for key := range filter {
		if key != "state" {
			return false
		}
	}
	return true
}

// makeChange does what the page of askChange has asked about.
func makeChange(r *Request) (*Answer, error) {
	form := filled(r.HTTP.PostForm)
	c, err := changeOf(form, makesChange)
	if err != nil {
		return nil, err
	}
	if c.Selected {
		return c.oneByOne(r)
	}
	body, err := c.operation(form.Get("asOf"))
	if err != nil {
		return nil, err
	}
	body.All = form.Get("all") == "true" // as it was said, so that a filter that was lost on the way is refused
	path := r.inPath("app")
	count, err := c.count(r, body)
	if err != nil {
		return nil, err
	}
	if body.AsOf == "" {
		return nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "the form does not say of when its count of jobs is")
	}
	counted, err := numberField(form, "counted")
	if err != nil {
		return nil, err
	}
	more := form.Get("more") == "true"
	if !more && (count.More || uint64(count.Jobs) > counted) { // jobs have come to be as the filter says
		again := maps.Clone(c.Filter)
		for key, value := range map[string]string{"action": string(c.Action), "at": c.At, "to": c.To, "was": strconv.FormatUint(counted, 10)} {
			if value != "" {
				again.Set(key, value)
			}
		}
		return Go(r.Base + "/apps/" + escaped(path["app"]) + "/operations/new?" + again.Encode()), nil
	}
	made, err := ask[api.Operation](r, Call{Route: "POST /v1/apps/{app}/operations", Path: path, Body: body})
	if err != nil {
		return nil, err
	}
	return r.toOperation(made.ID), nil
}

// oneByOne does it to the selected jobs: to one may be done what the row of one job says. It goes
// back to the listing if that was done to all of them, and else says to which it was not, and why.
func (c *change) oneByOne(r *Request) (*Answer, error) {
	if err := c.checkSelected(); err != nil {
		return nil, err
	}
	var body any
	if c.Action == api.OperationReschedule {
		change, err := c.jobChange()
		if err != nil {
			return nil, err
		}
		body = change
	}
	d := changeData{App: r.HTTP.PathValue("app"), change: *c}
	for _, id := range c.Jobs {
		_, err := r.Ask(Call{Route: "POST /v1/apps/{app}/jobs/{id}/" + string(c.Action), Path: map[string]string{"app": d.App, "id": id}, Body: body})
		if err == nil {
			continue
		}
		_, shown := r.Refused(err)
		if shown.Code == api.CodePermissionDenied || shown.Code == api.CodeUnauthenticated {
			return nil, err // it is so of all of them
		}
		d.Selection = append(d.Selection, selectedJob{ID: id, Err: &shown})
	}
	list := r.List(d.Filter)
	if len(d.Selection) == 0 {
		return Go(list), nil
	}
	a := r.show("changed", "Not all of the jobs were changed", r.inApp(crumb{"Jobs", list}), d)
	a.status = http.StatusConflict
	return a, nil
}

// Changed is how many of the selected jobs were changed.
func (d changeData) Changed() int { return len(d.Jobs) - len(d.Selection) }

// toOperation is the way to the page of an operation.
func (r *Request) toOperation(id uint64) *Answer {
	return Go(r.Base + "/apps/" + escaped(r.HTTP.PathValue("app")) + "/operations/" + strconv.FormatUint(id, 10))
}

// shownOperation is an operation as the pages show it.
type shownOperation struct {
	api.Operation
	Conditions []condition
	Filter     url.Values // of a listing of its jobs; nil if a part of it is hidden
}

func showOperation(o api.Operation) shownOperation {
	query := queryOf(&o.Filter)
	s := shownOperation{o, conditions(query), query}
	if len(o.Hidden) > 0 {
		s.Conditions, s.Filter = append(s.Conditions, condition{"arguments contain", "something that is hidden"}), nil
	}
	return s
}

// Share is how many of Whole are done, of a bar: that of one that has ended is full.
func (s shownOperation) Share() int {
	if s.Outcome == api.OperationDone {
		return s.Whole()
	}
	return s.Done
}

// Whole is how many jobs there are to do, of a bar.
func (s shownOperation) Whole() int { return max(s.Counted, s.Done, 1) }

type operationsData struct {
	App string
	listed[api.OperationPage]
	Operations []shownOperation
}

func operations(r *Request) (*Answer, error) {
	path, query := r.inPath("app"), r.given()
	page, err := ask[api.OperationPage](r, Call{Route: "GET /v1/apps/{app}/operations", Path: path, Query: query})
	if err != nil {
		return nil, err
	}
	d := operationsData{App: path["app"], listed: listing(page, query, page.Next)}
	for _, o := range page.Operations {
		d.Operations = append(d.Operations, showOperation(o))
	}
	return r.show("operations", "Operations", r.inApp(), d), nil
}

type operationData struct {
	App string
	shownOperation
}

func operation(r *Request) (*Answer, error) {
	path := r.inPath("app", "id")
	o, err := ask[api.Operation](r, Call{Route: "GET /v1/apps/{app}/operations/{id}", Path: path})
	if err != nil {
		return nil, err
	}
	list := crumb{"Operations", r.Base + "/apps/" + escaped(path["app"]) + "/operations"}
	return r.show("operation", "Operation "+strconv.FormatUint(o.ID, 10), r.inApp(list), operationData{path["app"], showOperation(o)}), nil
}

func cancelOperation(r *Request) (*Answer, error) {
	o, err := ask[api.Operation](r, Call{Route: "POST /v1/apps/{app}/operations/{id}/cancel", Path: r.inPath("app", "id")})
	if err != nil {
		return nil, err
	}
	return r.toOperation(o.ID), nil
}
