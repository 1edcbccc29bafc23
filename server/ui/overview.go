package ui

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"time"

	"carillon/server/api"
)

// Bounds of the overview: it looks at the apps of an operator so many at a time and for so long, shows so many of those that
// need a look, and of so many of them the latest failures, a few each.
const (
	overviewApps     = 1000
	overviewLooks    = 20 * time.Millisecond
	overviewTroubled = 10
	overviewFailing  = 5
	overviewFailures = 5
	overviewBusy     = 5           // apps with the most jobs, of which it shows what runs, and what waits
	overviewOld      = time.Minute // counts of all apps that are older are said to be
	overviewCharted  = 20          // apps with the most jobs, whose last hour it shows to an operator who does not have all
)

// failure is a job that has failed, of an app.
type failure struct {
	App string
	api.Job
}

// alike are failures of one function with one code.
type alike struct {
	Jobs   int
	Latest failure
}

type overviewData struct {
	All      bool // the operator has all apps, and so the next one
	Slots    api.SlotCounts
	Charts   []chart // of all apps, or of so many of the operator's
	Charted  int
	Running  []failure
	Held     []hold
	Alike    []alike
	Total    api.App // the sum of them
	Apps     int
	More     bool       // there are others
	Counted  *time.Time // when they were counted, if that was long ago
	Missing  []string
	Troubled []api.App
	Failures []failure
	Stuck    []api.StuckHandler
	Clock    api.Clock
}

// overview is what there is to say at a glance. Of all apps it is what the engine has found out when it has counted them; of
// those of the operator, or while there are no counts yet, what the first of them by name say.
func overview(r *Request) (*Answer, error) {
	stats, err := ask[api.Stats](r, Call{Route: "GET /v1/stats", Query: url.Values{"stale": {"true"}}})
	d := overviewData{All: err == nil}
	if d.All { // else it is for operators of all apps
		d.Charts = chartsOf(&stats)
	}
	if d.Clock, err = ask[api.Clock](r, Call{Route: "GET /v1/clock"}); err != nil {
		return nil, err
	}
	var paused, busy, running []api.App
	if at := stats.CountedAt; at != nil {
		page, err := ask[api.AppPage](r, Call{Route: "GET /v1/apps", Query: url.Values{"limit": {"1"}}})
		if err != nil {
			return nil, err
		}
		d.Missing = page.Missing
		if stats.At.Sub(*at) > overviewOld {
			d.Counted = at
		}
		d.Apps, d.Slots, d.Troubled = stats.Apps.Total, stats.Slots, stats.Troubled
		d.Total = api.App{Pending: stats.Jobs.Pending, Held: stats.Jobs.Held, Dead: stats.Jobs.Failed, Finished: stats.Jobs.Finished}
		for _, in := range stats.Running {
			running = append(running, api.App{Name: in.Name})
		}
		paused, busy = stats.Paused, stats.Busy
	} else {
		apps, err := d.look(r)
		if err != nil {
			return nil, err
		}
		if !d.All {
			d.Charted = min(len(apps), overviewCharted)
			d.Charts = chartsOfSome(r, d.Clock.Wall, byPending(apps)[:d.Charted])
		}
		paused, busy = slices.DeleteFunc(slices.Clone(apps), func(a api.App) bool { return !a.Paused }), byPending(apps)
		running = busiest(busy)
	}
	paused, busy, running = paused[:min(len(paused), overviewBusy)], busiest(busy), running[:min(len(running), overviewBusy)]
	d.Running = runningIn(r, running)
	if room := overviewTroubled - len(paused); len(d.Troubled) > room {
		d.Troubled = d.Troubled[:max(room, overviewFailing)]
	}
	for _, a := range paused {
		if !slices.ContainsFunc(d.Troubled, func(in api.App) bool { return in.Name == a.Name }) {
			d.Troubled = append(d.Troubled, a)
		}
	}
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
	d.Alike = alikeOf(d.Failures)
	if d.Stuck, err = ask[[]api.StuckHandler](r, Call{Route: "GET /v1/stuck"}); err != nil {
		return nil, err
	}
	d.Held = heldUp(r, &d, stats.Volumes, paused, busy)
	return r.show("overview", "Overview", nil, d), nil
}

// look goes through the apps, and adds up what they have: of an operator of all apps through one page, since all
// are being counted, and else for so long, and says whether there are others.
func (d *overviewData) look(r *Request) (apps []api.App, err error) {
	query, began := url.Values{"limit": {strconv.Itoa(overviewApps)}}, time.Now()
	for {
		page, err := ask[api.AppPage](r, Call{Route: "GET /v1/apps", Query: query})
		if err != nil {
			return nil, err
		}
		apps, d.Missing = append(apps, page.Apps...), append(d.Missing, page.Missing...)
		if d.More = page.Next != ""; !d.More || d.All || time.Since(began) > overviewLooks {
			break
		}
		query.Set("cursor", page.Next)
	}
	slices.Sort(d.Missing)
	d.Apps, d.Missing = len(apps), slices.Compact(d.Missing)
	for _, a := range apps {
		d.Total.Pending += a.Pending
		d.Total.Held += a.Held
		d.Total.Dead += a.Dead
		d.Total.Finished += a.Finished
		if a.Dead > 0 || a.Held > 0 || a.Fault != "" {
			d.Troubled = append(d.Troubled, a)
		}
	}
	slices.SortStableFunc(d.Troubled, func(a, b api.App) int {
		return cmp.Or(cmp.Compare(min(len(b.Fault), 1), min(len(a.Fault), 1)), cmp.Compare(b.Dead+b.Held, a.Dead+a.Held))
	})
	return apps, nil
}

// busiest are the apps with the most to do.
func busiest(apps []api.App) []api.App {
	busy := slices.DeleteFunc(byPending(apps), func(a api.App) bool { return a.Pending == 0 })
	return busy[:min(len(busy), overviewBusy)]
}

// byPending are the apps, those with the most to do first.
func byPending(apps []api.App) []api.App {
	return slices.SortedStableFunc(slices.Values(apps), func(a, b api.App) int { return cmp.Compare(b.Pending, a.Pending) })
}

// chartsOfSome are the charts of the apps together, or none if there are no apps.
func chartsOfSome(r *Request, now time.Time, apps []api.App) []chart {
	var all [][]api.AppSample
	for _, a := range apps {
		status, err := ask[api.AppStatus](r, Call{Route: "GET /v1/apps/{app}", Path: map[string]string{"app": a.Name}, Query: url.Values{"history": {"true"}}})
		if err != nil {
			continue // as with failures
		}
		all = append(all, status.History)
	}
	if len(all) == 0 {
		return nil
	}
	return chartsOfApps(now, all...)
}

// runningIn is what runs in the apps.
func runningIn(r *Request, apps []api.App) (running []failure) {
	for _, a := range apps {
		page, err := ask[api.JobPage](r, Call{
			Route: "GET /v1/apps/{app}/jobs", Path: map[string]string{"app": a.Name},
			Query: url.Values{"state": {string(api.StateRunning)}, "limit": {strconv.Itoa(overviewBusy)}},
		})
		if err != nil {
			continue // as with failures
		}
		for _, job := range page.Jobs {
			running = append(running, failure{a.Name, job})
		}
	}
	return running
}

// alikeOf puts failures of one function with one code together, the latest first.
func alikeOf(failures []failure) (groups []alike) {
	at := map[[2]string]int{}
	for _, f := range failures { // the latest first
		key := [2]string{f.Function, ""}
		if f.Error != nil {
			key[1] = string(f.Error.Code)
		}
		i, known := at[key]
		if !known {
			i = len(groups)
			at[key], groups = i, append(groups, alike{Latest: f})
		}
		groups[i].Jobs++
	}
	return groups
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
		Query: url.Values{"state": {string(api.StateFailed)}, "limit": {strconv.Itoa(limit)}, "desc": {"true"}},
	})
	return page.Jobs, err
}
