package ui

import (
	"maps"
	"net/http"
	"net/url"

	"carillon/dispatch"
	"carillon/server/api"
)

// listed is a page of a listing whose filter is in the URL.
type listed[T any] struct {
	Page  T
	Query url.Values // the filter
	First string     // address of the first page; "" if this is it
	Next  string     // address of the next one; "" if this is the last
}

// listing is the page, whose next one begins behind the cursor.
func listing[T any](page T, query url.Values, next string) listed[T] {
	return listingBy("cursor", page, query, next)
}

// listingBy is listing for a listing whose cursor has the name.
func listingBy[T any](cursor string, page T, query url.Values, next string) listed[T] {
	l := listed[T]{Page: page, Query: query}
	at := maps.Clone(query)
	if at.Has(cursor) {
		at.Del(cursor)
		l.First = "?" + at.Encode()
	}
	if next != "" {
		at.Set(cursor, next)
		l.Next = "?" + at.Encode()
	}
	return l
}

// appsDetailed is of how many apps of a list it is shown what is not in the list of the JSON API: as many as that has if its
// address does not say.
const appsDetailed = 100

// appRow is an app of a list, and what is known of it without waking it; nil if that is not known.
type appRow struct {
	api.App
	Status *api.AppStatus
}

// Bytes is what the app has of arguments, results and checkpoints, if they are counted.
func (a appRow) Bytes() int64 {
	return max(a.Status.ArgBytes, 0) + a.Status.ResultBytes + a.Status.CheckpointBytes
}

type appsData struct {
	listed[api.AppPage]
	Rows []appRow
}

func apps(r *Request) (*Answer, error) {
	query := r.given()
	page, err := ask[api.AppPage](r, Call{Route: "GET /v1/apps", Query: query})
	if err != nil {
		return nil, err
	}
	d := appsData{listed: listing(page, query, page.Next)}
	for i, a := range page.Apps {
		row := appRow{App: a}
		if i < appsDetailed {
			if status, err := ask[api.AppStatus](r, Call{Route: "GET /v1/apps/{app}", Path: map[string]string{"app": a.Name}}); err == nil {
				row.Status = &status // else it was deleted meanwhile, or cannot be read: its row says so
			}
		}
		d.Rows = append(d.Rows, row)
	}
	return r.show("apps", "Apps", nil, d), nil
}

// appFailures is how many of its failures the page of an app shows.
const appFailures = 10

type appData struct {
	App      api.AppStatus
	Charts   []chart
	Pools    []*api.Pool
	Crons    []*api.Cron
	Running  []api.Job
	Failures []api.Job
}

func app(r *Request) (*Answer, error) {
	path := r.inPath("app")
	var d appData
	var err error
	if d.App, err = ask[api.AppStatus](r, Call{Route: "GET /v1/apps/{app}", Path: path, Query: url.Values{"history": {"true"}}}); err != nil {
		return nil, err
	}
	if n := len(d.App.History); n > 0 {
		d.Charts = chartsOfApps(d.App.History[n-1].At, d.App.History)
	}
	if d.Pools, err = ask[[]*api.Pool](r, Call{Route: "GET /v1/apps/{app}/pools", Path: path}); err != nil {
		return nil, err
	}
	if d.Crons, err = ask[[]*api.Cron](r, Call{Route: "GET /v1/apps/{app}/crons", Path: path}); err != nil {
		return nil, err
	}
	running, err := ask[api.JobPage](r, Call{Route: "GET /v1/apps/{app}/jobs", Path: path, Query: url.Values{"state": {string(api.StateRunning)}, "limit": {"10"}}})
	if err != nil {
		return nil, err
	}
	d.Running = running.Jobs
	if d.Failures, err = latestFailures(r, path["app"], appFailures); err != nil {
		return nil, err
	}
	return r.show("app", path["app"], []crumb{{"Apps", r.Base + "/apps"}}, d), nil
}

// pauseApp pauses the app, for the reason of the form.
func pauseApp(r *Request) (*Answer, error) {
	return r.changeApp("POST /v1/apps/{app}/pause", api.PauseApp{Reason: r.field("reason")})
}

func resumeApp(r *Request) (*Answer, error) {
	return r.changeApp("POST /v1/apps/{app}/resume", nil)
}

// changeApp changes the app and goes back to its page.
func (r *Request) changeApp(route string, body any) (*Answer, error) {
	path := r.inPath("app")
	if _, err := r.Ask(Call{Route: route, Path: path, Body: body}); err != nil {
		return nil, err
	}
	return Go(r.Base + "/apps/" + escaped(path["app"])), nil
}

// exportApp sends the app as a file, which the row of an import reads.
func exportApp(r *Request) (*Answer, error) {
	path := r.inPath("app")
	return &Answer{stream: &Call{Route: "GET /v1/apps/{app}/export", Path: path}, name: path["app"] + ".carillon"}, nil
}

// deleteApp removes the app for good, if its name was typed.
func deleteApp(r *Request) (*Answer, error) {
	call := Call{Route: "DELETE /v1/apps/{app}", Path: r.inPath("app"), Body: api.DeleteApp{Name: r.field("name")}}
	if _, err := r.Ask(call); err != nil {
		return nil, err
	}
	return Go(r.Base + "/apps"), nil
}

// newAppData are the forms that make an app: an empty one, and one of an export.
type newAppData struct {
	Name, Of string // what was typed
	Error    *api.Error
}

// newApp shows the forms that make an app.
func newApp(r *Request) (*Answer, error) {
	if err := r.mayMakeApps(); err != nil {
		return nil, err
	}
	return r.showNewApp(newAppData{}, nil)
}

// mayMakeApps says why the forms are not for the operator.
func (r *Request) mayMakeApps() error {
	if r.May(api.ScopeAdmin) {
		return nil
	}
	return dispatch.Errorf(dispatch.CodePermissionDenied, "to make an app needs the scope %s", api.ScopeAdmin)
}

// showNewApp shows the forms with what was typed, and why no app was made of it.
func (r *Request) showNewApp(d newAppData, wrong error) (*Answer, error) {
	status := http.StatusOK
	if wrong != nil {
		if dispatch.AsError(wrong).Code == dispatch.CodePermissionDenied {
			return nil, wrong
		}
		var e api.Error
		status, e = r.Refused(wrong)
		d.Error = &e
	}
	a := r.show("newapp", "New app", []crumb{{"Apps", r.Base + "/apps"}}, d)
	a.status = status
	return a, nil
}

// createApp makes the app that the form names, which has nothing in it.
func createApp(r *Request) (*Answer, error) {
	made, err := ask[api.AppStatus](r, Call{Route: "POST /v1/apps", Body: api.NewApp{Name: r.field("name")}})
	if err != nil {
		return r.showNewApp(newAppData{Name: r.field("name")}, err)
	}
	return Go(r.Base + "/apps/" + escaped(made.Name)), nil
}

// importApp makes an app of the form's file, which is what exportApp sends. The name stands before the file in the form, so
// that a name that is taken is refused before the file is read.
func importApp(r *Request) (*Answer, error) {
	name := r.field("name")
	if err := r.mayMakeApps(); err != nil {
		return nil, err
	}
	if name == "" {
		return r.showNewApp(newAppData{}, unfit("the form has no name for the app: it has to stand before the file"))
	}
	if _, err := r.Upload(Call{Route: "POST /v1/apps/{app}/import", Path: map[string]string{"app": name}}); err != nil {
		return r.showNewApp(newAppData{Of: name}, err)
	}
	return Go(r.Base + "/apps/" + escaped(name)), nil
}
