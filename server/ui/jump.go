package ui

import (
	"net/http"
	"net/url"
	"time"

	"carillon/server/api"
)

// jumpFor is how long one request looks through apps for a job. An id says nothing of the app that the job is of.
const jumpFor = 20 * time.Millisecond

// jumpData is what has the name: jobs of that id, in the apps that were looked at.
type jumpData struct {
	To     string
	Found  []failure
	Looked int      // at so many apps
	Unread []string // of them, which could not be read
	More   string   // where the search goes on; "": it looked at all apps
}

// jump goes to the app of the name, or to the job of the id, of whichever app.
func jump(r *Request) (*Answer, error) {
	query := r.given()
	to, behind := query.Get("to"), query.Get("cursor")
	d := jumpData{To: to}
	if to == "" {
		return r.show("jump", "Go to", nil, d), nil
	}
	if behind == "" {
		if _, err := r.Ask(Call{Route: "GET /v1/apps/{app}", Path: map[string]string{"app": to}}); err == nil {
			return Go(r.Base + "/apps/" + url.PathEscape(to)), nil
		}
	}
	for end := time.Now().Add(jumpFor); ; {
		page, err := ask[api.AppPage](r, Call{Route: "GET /v1/apps", Query: url.Values{"cursor": {behind}, "limit": {"100"}}})
		if err != nil {
			return nil, err
		}
		for _, app := range page.Apps {
			if d.Looked > 0 && time.Now().After(end) {
				d.More = r.Base + "/jump?" + url.Values{"to": {to}, "cursor": {behind}}.Encode()
				return r.jumped(d), nil
			}
			job, err := ask[api.Job](r, Call{Route: "GET /v1/apps/{app}/jobs/{id}", Path: map[string]string{"app": app.Name, "id": to}})
			if err == nil {
				d.Found = append(d.Found, failure{app.Name, job})
			} else if status, _ := r.Refused(err); status != http.StatusNotFound {
				d.Unread = append(d.Unread, app.Name)
			}
			d.Looked, behind = d.Looked+1, app.Name
		}
		if page.Next == "" {
			return r.jumped(d), nil
		}
	}
}

// jumped goes to the only job that was found, if all apps were looked at, and else says what was found.
func (r *Request) jumped(d jumpData) *Answer {
	if len(d.Found) == 1 && d.More == "" && r.HTTP.URL.Query().Get("cursor") == "" {
		return Go(r.Base + "/apps/" + url.PathEscape(d.Found[0].App) + "/jobs/" + url.PathEscape(d.Found[0].ID))
	}
	return r.show("jump", "Go to", nil, d)
}
