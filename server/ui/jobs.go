package ui

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"carillon/server/api"
)

// jobsPerPage is how many jobs a page lists if its address does not say.
const jobsPerPage = "50"

type jobsData struct {
	App    string
	States []string
	Filter url.Values // the query without what says which page it is
	listed[api.JobPage]
}

// Folded says whether the filter has none of the fields that are folded away.
func (d jobsData) Folded() bool {
	return !slices.ContainsFunc([]string{"error", "group", "poolKey", "uniqueKey", "parent", "trigger", "priority", "dueFrom", "dueBefore", "endedFrom", "endedBefore"}, d.Query.Has)
}

// Chosen says whether the filter has the state.
func (d jobsData) Chosen(state string) bool { return slices.Contains(d.Query["state"], state) }

func jobs(r *Request) (*Answer, error) {
	path, query := r.inPath("app"), r.given()
	for _, key := range []string{"dueFrom", "dueBefore", "endedFrom", "endedBefore"} {
		if query.Has(key) {
			query.Set(key, utc(query.Get(key)))
		}
	}
	asked, filter := maps.Clone(query), maps.Clone(query)
	for _, key := range []string{"limit", "cursor", "count", "desc"} {
		filter.Del(key)
	}
	if !asked.Has("limit") {
		asked.Set("limit", jobsPerPage)
	}
	page, err := ask[api.JobPage](r, Call{Route: "GET /v1/apps/{app}/jobs", Path: path, Query: asked})
	if err != nil {
		return nil, err
	}
	return r.show("jobs", "Jobs", r.inApp(), jobsData{path["app"], api.State("").Enum(), filter, listing(page, query, page.Next)}), nil
}

// inApp is the way to a page of an app.
func (r *Request) inApp(more ...crumb) []crumb {
	name := r.HTTP.PathValue("app")
	return append([]crumb{{"Apps", r.Base + "/apps"}, {name, r.Base + "/apps/" + escaped(name)}}, more...)
}

type jobData struct {
	App string
	api.Job
	Why      string // it waits, in a sentence; "" if it does not
	Stuck    bool   // a handler of it was given up and has not returned
	Tree     *node  // nil if it stands alone
	Commands commands
}

// Late is how much later than it was due the latest attempt began; "" if that was in time.
func (d jobData) Late() string {
	for i := range slices.Backward(d.Timeline) {
		if m := &d.Timeline[i]; m.What == api.MomentBegun {
			return lateBy(m.Due, m.At)
		}
	}
	return ""
}

// lateBy is how much later than it was due an attempt began; "" if that was in time, or if an earlier release, which
// did not say when it was due, has written the attempt.
func lateBy(due, began *time.Time) string {
	if due == nil || due.IsZero() || began == nil || began.IsZero() || began.Sub(*due) < time.Millisecond {
		return ""
	}
	return span(began.Sub(*due))
}

// LateOf is that of an attempt that has failed.
func (d jobData) LateOf(a api.Attempt) string { return lateBy(&a.Due, &a.StartedAt) }

// LateAt is that of one that begins at a moment of the timeline.
func (d jobData) LateAt(m api.Moment) string {
	if m.What != api.MomentBegun {
		return ""
	}
	return lateBy(m.Due, m.At)
}

// FailedOf is what is kept of why the attempt has failed, besides its error; nil if that is nothing.
func (d jobData) FailedOf(attempt int) *api.AttemptLog {
	i := slices.IndexFunc(d.Logs, func(l api.AttemptLog) bool { return l.Attempt == attempt && l.Cause+l.Stack != "" })
	if i < 0 {
		return nil
	}
	return &d.Logs[i]
}

// Lines are the logs that have any.
func (d jobData) Lines() []api.AttemptLog {
	return slices.DeleteFunc(slices.Clone(d.Logs), func(l api.AttemptLog) bool { return len(l.Lines) == 0 })
}

func job(r *Request) (*Answer, error) {
	shown, err := ask[api.Job](r, Call{Route: "GET /v1/apps/{app}/jobs/{id}", Path: r.inPath("app", "id")})
	if err != nil {
		return nil, err
	}
	name := r.HTTP.PathValue("app")
	list := crumb{"Jobs", r.Base + "/apps/" + escaped(name) + "/jobs"}
	stuck, err := ask[[]api.StuckHandler](r, Call{Route: "GET /v1/stuck"})
	if err != nil {
		return nil, err
	}
	d := jobData{App: name, Job: shown, Why: whyItWaits(shown.Wait), Tree: treeOf(r, &shown), Commands: commandsOf(r.address(), name, &shown)}
	d.Stuck = slices.ContainsFunc(stuck, func(s api.StuckHandler) bool { return s.App == name && s.Job == shown.ID })
	return r.show("job", shown.Function, r.inApp(list), d), nil
}

// address is where the browser has found the JSON API.
func (r *Request) address() string {
	scheme := "http://"
	if r.HTTP.TLS != nil {
		scheme = "https://"
	}
	return scheme + r.HTTP.Host + strings.TrimSuffix(r.Base, "/ui")
}

// whyItWaits is a sentence about what a job waits for.
func whyItWaits(w api.Wait) string {
	if w == "" {
		return ""
	}
	sentences := map[api.Wait]string{
		api.WaitHeld:        "It is held until a program that can run it is there, or a person decides.",
		api.WaitVolume:      "Its volume is down, or has damage that has to be mended first.",
		api.WaitPaused:      "The app, its function or its pool is paused.",
		api.WaitStuck:       "Handlers that were given up have not returned, and it waits for them.",
		api.WaitPredecessor: "Another job has to end first: of its trigger, of its unique key, or before it in an ordered pool.",
		api.WaitNotDue:      "It is not due yet.",
		api.WaitBackoff:     "Its last attempt failed, and the next one is not due yet.",
		api.WaitPool:        "All permits of its pool are taken.",
		api.WaitRate:        "As many jobs have begun as the rate of its app or pool lets begin.",
		api.WaitAppCap:      "As many jobs of the app run as may at once.",
		api.WaitEngineCap:   "As many jobs of all apps run as may at once.",
		api.WaitSuspect:     "Crashes have cut off its attempts, so that it runs when other such jobs have ended.",
		api.WaitClaimed:     "It is claimed: its handler is about to begin.",
		api.WaitClock:       "The wall clock is in doubt, and by it the job would be too late.",
		api.WaitClaim:       "Others are due before it, and are claimed first.",
		api.WaitOutside:     "It waits for its end from outside, or for its timeout.",
	}
	if s := sentences[w]; s != "" {
		return s
	}
	return "It waits: " + string(w) + "."
}

// indented is the JSON for people, as it is if it is none.
func indented(text json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, text, "", "  ") != nil {
		return string(text)
	}
	return b.String()
}

func cancelJob(r *Request) (*Answer, error) {
	return r.changeJob("cancel", api.CancelRequest{Cascade: r.field("cascade") == "true"})
}

func retryJob(r *Request) (*Answer, error) { return r.changeJob("retry", nil) }

func runJob(r *Request) (*Answer, error) { return r.changeJob("run", nil) }

// abandonJob has the job wait no more for its stuck handler.
func abandonJob(r *Request) (*Answer, error) { return r.changeJob("abandon", nil) }

// rescheduleJob changes when the job is due, or its priority, as the form says.
func rescheduleJob(r *Request) (*Answer, error) {
	c := change{At: r.field("at"), To: r.field("to")}
	body, err := c.jobChange()
	if err != nil {
		return nil, err
	}
	if f := (fields{form: r.HTTP.PostForm}); f.text("after") != "" {
		after := f.span("after")
		if body.AfterMs = &after; f.err != nil {
			return nil, f.err
		}
	}
	return r.changeJob("reschedule", body)
}

// dropJob removes the job, and goes to the list of those that are left.
func dropJob(r *Request) (*Answer, error) {
	if _, err := r.changeJob("drop", nil); err != nil {
		return nil, err
	}
	return Go(r.List(nil)), nil
}

// changeJob changes the job and goes back to its page.
func (r *Request) changeJob(what string, body any) (*Answer, error) {
	path := r.inPath("app", "id")
	if _, err := r.Ask(Call{Route: "POST /v1/apps/{app}/jobs/{id}/" + what, Path: path, Body: body}); err != nil {
		return nil, err
	}
	return Go(r.Base + "/apps/" + escaped(path["app"]) + "/jobs/" + escaped(path["id"])), nil
}
