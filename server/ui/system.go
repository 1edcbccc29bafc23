package ui

import (
	"net/url"

	"carillon/server/api"
)

// systemData is what all operators may see, and what those may who look after the machine.
type systemData struct {
	Clock api.Clock
	Stuck []api.StuckHandler
	All   bool        // the operator has all apps
	Stats *api.Stats  // nil: they have not
	Whole *api.System // nil: or have not the scope admin

	CommitsPerSecond float64 // in the latest seconds
}

func system(r *Request) (*Answer, error) {
	who, err := ask[api.Operator](r, Call{Route: "GET /v1/operator"})
	if err != nil {
		return nil, err
	}
	d := systemData{All: who.AllApps}
	if d.Clock, err = ask[api.Clock](r, Call{Route: "GET /v1/clock"}); err != nil {
		return nil, err
	}
	if d.Stuck, err = ask[[]api.StuckHandler](r, Call{Route: "GET /v1/stuck"}); err != nil {
		return nil, err
	}
	if d.All {
		stats, err := ask[api.Stats](r, Call{Route: "GET /v1/stats", Query: url.Values{"stale": {"true"}}})
		if err != nil {
			return nil, err
		}
		d.Stats = &stats
		if n := len(stats.History); n > 0 && stats.History[n-1].SpanMs > 0 {
			d.CommitsPerSecond = float64(stats.History[n-1].Commits.Count) / (float64(stats.History[n-1].SpanMs) / 1000)
		}
	}
	if d.All && r.May(api.ScopeAdmin) {
		whole, err := ask[api.System](r, Call{Route: "GET /v1/system"})
		if err != nil {
			return nil, err
		}
		d.Whole = &whole
	}
	return r.show("system", "System", nil, d), nil
}

func acceptClock(r *Request) (*Answer, error) {
	return r.changeSystem(Call{Route: "POST /v1/clock/accept"})
}

func abandonCall(r *Request) (*Answer, error) {
	return r.changeSystem(Call{Route: "POST /v1/apps/{app}/calls/{id}/abandon", Path: r.inPath("app", "id")})
}

// changeSystem makes the change and goes to the page of the system.
func (r *Request) changeSystem(c Call) (*Answer, error) {
	if _, err := r.Ask(c); err != nil {
		return nil, err
	}
	return Go(r.Base + "/system"), nil
}
