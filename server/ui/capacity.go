package ui

import (
	"net/url"
	"strconv"

	"carillon/server/api"
)

type poolsData struct {
	App   api.AppStatus // for its own limits, which are for all pools
	Pools []*api.Pool
}

func pools(r *Request) (*Answer, error) {
	path := r.inPath("app")
	var d poolsData
	var err error
	if d.App, err = ask[api.AppStatus](r, Call{Route: "GET /v1/apps/{app}", Path: path}); err != nil {
		return nil, err
	}
	if d.Pools, err = ask[[]*api.Pool](r, Call{Route: "GET /v1/apps/{app}/pools", Path: path}); err != nil {
		return nil, err
	}
	return r.show("pools", "Pools", r.inApp(), d), nil
}

// limitPool gives the pool the limit of the form.
func limitPool(r *Request) (*Answer, error) {
	limit, _ := strconv.Atoi(r.field("limit")) // what is no number is 0, or too large, and for the row to refuse
	return r.changeInApp(Call{Route: "PUT /v1/apps/{app}/pools/{pool}/limit", Path: r.inPath("app", "pool"), Body: api.PoolLimit{Limit: limit}}, "pools")
}

func clearPoolLimit(r *Request) (*Answer, error) {
	return r.changeInApp(Call{Route: "DELETE /v1/apps/{app}/pools/{pool}/limit", Path: r.inPath("app", "pool")}, "pools")
}

// changeInApp makes the change and goes to the page of the app.
func (r *Request) changeInApp(c Call, page string) (*Answer, error) {
	if _, err := r.Ask(c); err != nil {
		return nil, err
	}
	return Go(r.Base + "/apps/" + escaped(c.Path["app"]) + "/" + page), nil
}

type groupsData struct {
	App string
	listed[api.GroupPage]
}

func groups(r *Request) (*Answer, error) {
	path, query := r.inPath("app"), r.given()
	page, err := ask[api.GroupPage](r, Call{Route: "GET /v1/apps/{app}/groups", Path: path, Query: query})
	if err != nil {
		return nil, err
	}
	next := ""
	if page.Next != 0 {
		next = strconv.FormatUint(page.Next, 10)
	}
	return r.show("groups", "Groups", r.inApp(), groupsData{path["app"], listingBy("after", page, query, next)}), nil
}

type groupData struct {
	App string
	api.Group
}

func group(r *Request) (*Answer, error) {
	path := r.inPath("app", "group")
	shown, err := ask[api.Group](r, Call{Route: "GET /v1/apps/{app}/groups/{group}", Path: path})
	if err != nil {
		return nil, err
	}
	list := crumb{"Groups", r.Base + "/apps/" + escaped(path["app"]) + "/groups"}
	return r.show("group", "Group "+path["group"], r.inApp(list), groupData{path["app"], shown}), nil
}

func cancelGroup(r *Request) (*Answer, error) {
	path := r.inPath("app", "group")
	return r.changeInApp(Call{Route: "POST /v1/apps/{app}/groups/{group}/cancel", Path: path}, "groups/"+escaped(path["group"]))
}

type pausesData struct {
	App    string
	Pauses []api.Pause
	Pools  []*api.Pool // which there are to pause
}

func pauses(r *Request) (*Answer, error) {
	path := r.inPath("app")
	list, err := ask[api.PauseList](r, Call{Route: "GET /v1/apps/{app}/pauses", Path: path})
	if err != nil {
		return nil, err
	}
	pools, err := ask[[]*api.Pool](r, Call{Route: "GET /v1/apps/{app}/pools", Path: path})
	if err != nil {
		return nil, err
	}
	return r.show("pauses", "Pauses", r.inApp(), pausesData{path["app"], list.Pauses, pools}), nil
}

// pause pauses what the form says. Which combinations there are is for the row to say.
func pause(r *Request) (*Answer, error) {
	return r.changeInApp(Call{Route: "POST /v1/apps/{app}/pauses", Path: r.inPath("app"), Body: api.PauseRequest{
		App: r.field("app") == "true", Function: r.field("function"), Pool: r.field("pool"), PoolKey: r.field("poolKey"), Reason: r.field("reason"),
	}}, "pauses")
}

func endPause(r *Request) (*Answer, error) {
	query := url.Values{}
	for _, key := range []string{"app", "function", "pool", "poolKey"} {
		if value := r.field(key); value != "" {
			query.Set(key, value)
		}
	}
	return r.changeInApp(Call{Route: "DELETE /v1/apps/{app}/pauses", Path: r.inPath("app"), Query: query}, "pauses")
}
