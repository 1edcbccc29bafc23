package ui

import (
	"net/url"
	"time"

	"carillon/server/api"
)

// systemData is what all operators may see, and what those may who look after the machine.
type systemData struct {
	Who   api.Operator // who asks
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
	d := systemData{Who: who, All: who.AllApps}
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

// backup sends a backup of the store as a file, or what came since the position of the address.
func backup(r *Request) (*Answer, error) {
	name := "carillon-" + time.Now().UTC().Format("20060102T150405Z") + ".backup"
	return &Answer{stream: &Call{Route: "GET /v1/backup", Query: r.given()}, name: name}, nil
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
