package ui

import (
	"fmt"
	"net/url"
	"time"

	"carillon/server/api"
)

// Bounds of what the overview says is held up: so many handlers, and so many pauses and pools of an app.
const (
	heldStuck  = 10
	heldOfEach = 5
)

// hold is what keeps jobs from running, and why.
type hold struct {
	Since time.Time
	App   string // "": it is not of one app
	What  string
	Name  string // of it; "" if there is but one
	To    string // the page that has more of it, below Base
	Why   string
}

// heldUp is what keeps jobs from running: in all apps, and in those that are paused and that have the most to do.
func heldUp(r *Request, d *overviewData, volumes []api.Volume, paused, busy []api.App) (held []hold) {
	for _, v := range volumes {
		if !v.Served {
			held = append(held, hold{What: "volume", Name: v.Name, To: "/system", Why: "It is not served: no job of its apps runs."})
		}
	}
	for _, s := range d.Stuck[:min(len(d.Stuck), heldStuck)] {
		to := "/system"
		if s.Job != "" {
			to = "/apps/" + escaped(s.App) + "/jobs/" + escaped(s.Job)
		}
		held = append(held, hold{s.Since, s.App, "handler of", s.Function, to, "It was given up at its deadline and has not returned."})
	}
	looked := map[string]bool{}
	for _, a := range paused {
		looked[a.Name] = true
		held = append(held, pausesIn(r, a.Name)...)
	}
	for _, a := range busy {
		if !looked[a.Name] {
			held = append(held, pausesIn(r, a.Name)...)
		}
		held = append(held, fullPoolsIn(r, a.Name)...)
		held = append(held, overdueIn(r, a.Name, d.Clock.Wall)...)
	}
	return held
}

// pausesIn is what is paused of the app, which is not woken to say so.
func pausesIn(r *Request, app string) (held []hold) {
	status, err := ask[api.AppStatus](r, Call{Route: "GET /v1/apps/{app}", Path: map[string]string{"app": app}})
	if err != nil {
		return nil // it was deleted in the meantime, or cannot be read: the row of the app says so
	}
	for _, p := range status.Pauses[:min(len(status.Pauses), heldOfEach)] {
		h := hold{Since: p.Since, App: app, What: "app", Name: app, To: "/apps/" + escaped(app) + "/pauses", Why: "It is paused"}
		switch {
		case p.Function != "":
			h.What, h.Name = "function", p.Function
		case p.PoolKey != "":
			h.What, h.Name = "key of pool "+p.Pool, p.PoolKey
		case p.Pool != "":
			h.What, h.Name = "pool", p.Pool
		}
		if p.By != "" {
			h.Why += " by " + p.By
		}
		if p.Reason != "" {
			h.Why += ": " + p.Reason
		} else {
			h.Why += "."
		}
		held = append(held, h)
	}
	return held
}

// fullPoolsIn is the pools of the app that have jobs waiting for one that ends.
func fullPoolsIn(r *Request, app string) (held []hold) {
	pools, err := ask[[]*api.Pool](r, Call{Route: "GET /v1/apps/{app}/pools", Path: map[string]string{"app": app}})
	if err != nil {
		return nil
	}
	for _, p := range pools {
		if p.Queued == 0 || p.Running < p.Limit || p.Paused != nil || len(held) == heldOfEach {
			continue
		}
		h := hold{App: app, What: "pool", Name: p.Name, To: "/apps/" + escaped(app) + "/pools"}
		h.Why = fmt.Sprintf("It is full: %s of %s run, and %s wait.", count(p.Running), count(p.Limit), count(p.Queued))
		if p.Oldest != nil {
			h.Since = *p.Oldest
		}
		held = append(held, h)
	}
	return held
}

// overdueIn is the job that has been due the longest and does not run, if something holds it up: that holds up others
// as well.
func overdueIn(r *Request, app string, now time.Time) []hold {
	path := map[string]string{"app": app}
	page, err := ask[api.JobPage](r, Call{
		Route: "GET /v1/apps/{app}/jobs", Path: path,
		Query: url.Values{"state": {string(api.StatePending)}, "dueBefore": {now.UTC().Format(time.RFC3339Nano)}, "limit": {"1"}},
	})
	if err != nil || len(page.Jobs) == 0 {
		return nil
	}
	path["id"] = page.Jobs[0].ID
	job, err := ask[api.Job](r, Call{Route: "GET /v1/apps/{app}/jobs/{id}", Path: path})
	if err != nil {
		return nil // it has ended meanwhile
	}
	switch job.Wait {
	case "", api.WaitClaimed, api.WaitClaim, api.WaitNotDue:
		return nil
	}
	return []hold{{job.Due, app, "job of", job.Function, "/apps/" + escaped(app) + "/jobs/" + escaped(job.ID), whyItWaits(job.Wait)}}
}
