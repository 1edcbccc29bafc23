package ui

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"time"

	"carillon/server/api"
)

// Bounds of the overview: it looks at so many apps, shows so many of those that need a look, and of
// so many of them the latest failures, a few each.
const (
	overviewApps     = 1000
	overviewTroubled = 10
	overviewFailing  = 5
	overviewFailures = 5
)

// failure is a job that has failed, of an app.
type failure struct {
	App string
	api.Job
}

type overviewData struct {
	Total    api.App // the sum of them
	Apps     int
	More     bool // there are others
	Missing  []string
	Troubled []api.App
	Failures []failure
	Stuck    []api.StuckHandler
	Clock    api.Clock
}

// overview is what there is to say at a glance.
func overview(r *Request) (*Answer, error) {
	page, err := ask[api.AppPage](r, Call{Route: "GET /v1/apps", Query: url.Values{"limit": {strconv.Itoa(overviewApps)}}})
	if err != nil {
		return nil, err
	}
	d := overviewData{Apps: len(page.Apps), More: page.Next != "", Missing: page.Missing}
	for _, a := range page.Apps {
		d.Total.Pending += a.Pending
		d.Total.Held += a.Held
		d.Total.Dead += a.Dead
		d.Total.Finished += a.Finished
		if a.Dead > 0 || a.Held > 0 || a.Paused || a.Fault != "" {
			d.Troubled = append(d.Troubled, a)
		}
	}
	slices.SortStableFunc(d.Troubled, func(a, b api.App) int { return cmp.Compare(b.Dead+b.Held, a.Dead+a.Held) })
	d.Troubled = d.Troubled[:min(len(d.Troubled), overviewTroubled)]
	for _, a := range d.Troubled[:min(len(d.Troubled), overviewFailing)] {
		if a.Dead == 0 {
			continue
		}
		failed, err := latestFailures(r, a.Name, overviewFailures)
		if err != nil {
			continue // it was deleted in the meantime, or cannot be read: its row above says so
		}
		for _, job := range failed {
			d.Failures = append(d.Failures, failure{a.Name, job})
		}
	}
	slices.SortStableFunc(d.Failures, func(a, b failure) int { return endOf(b.Job).Compare(endOf(a.Job)) })
	if d.Stuck, err = ask[[]api.StuckHandler](r, Call{Route: "GET /v1/stuck"}); err != nil {
		return nil, err
	}
	if d.Clock, err = ask[api.Clock](r, Call{Route: "GET /v1/clock"}); err != nil {
		return nil, err
	}
	return r.show("overview", "Overview", nil, d), nil
}

// endOf is when the job has ended, or the zero time.
func endOf(job api.Job) time.Time {
	if job.EndedAt == nil {
		return time.Time{}
	}
	return *job.EndedAt
}

// latestFailures are jobs of the app that have failed.
func latestFailures(r *Request, app string, limit int) ([]api.Job, error) {
	page, err := ask[api.JobPage](r, Call{
		Route: "GET /v1/apps/{app}/jobs", Path: map[string]string{"app": app},
		Query: url.Values{"state": {string(api.StateFailed)}, "limit": {strconv.Itoa(limit)}},
	})
	return page.Jobs, err
}
