package ui

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"carillon/dispatch"
	"carillon/server/api"
)

type functionsData struct {
	App       string
	Functions []api.Function
	Rated     bool   // they have stats, which remote ones have not in any case
	Of        string // what their paths have
	All       int
}

// functionList lists the functions whose path has the text of the address.
func functionList(r *Request) (*Answer, error) {
	list, err := ask[[]api.Function](r, Call{Route: "GET /v1/apps/{app}/functions", Path: r.inPath("app")})
	if err != nil {
		return nil, err
	}
	d := functionsData{App: r.HTTP.PathValue("app"), Of: r.given().Get("contains"), All: len(list)}
	for _, f := range list {
		if strings.Contains(f.Path, d.Of) {
			d.Functions, d.Rated = append(d.Functions, f), d.Rated || f.Stats != nil
		}
	}
	return r.show("functions", "Functions", r.inApp(), d), nil
}

// functionsOpenAPI sends the OpenAPI document of the functions that clients may call as a file.
func functionsOpenAPI(r *Request) (*Answer, error) {
	path := r.inPath("app")
	return &Answer{stream: &Call{Route: "GET /v1/apps/{app}/functions/openapi.json", Path: path}, name: path["app"] + "-openapi.json"}, nil
}

// functionTypes sends the types of the functions in TypeScript as a file. Those that clients may not call are in it if the
// address says so.
func functionTypes(r *Request) (*Answer, error) {
	path := r.inPath("app")
	return &Answer{stream: &Call{Route: "GET /v1/apps/{app}/functions/api.d.ts", Path: path, Query: r.given()}, name: path["app"] + ".d.ts"}, nil
}

type functionData struct {
	App string
	api.Function
	Begin  string     // of a prefix, which is no function: what stands before its *
	Fields []argument // nil: the arguments are one text of JSON
	Pools  []string
	Form   url.Values

	Ran      bool // it has been run, and has returned this
	Returned json.RawMessage
	Error    *api.Error
}

// Unshaped says whether the arguments are one text, since their schema does not name them.
func (d *functionData) Unshaped() bool { return d.Fields == nil }

// noPool is the choice of no pool, which no pool has as its name.
const noPool = "(none)"

// More says whether one of the fields that are folded away has something.
func (d *functionData) More() bool {
	return slices.ContainsFunc([]string{"attempts", "base", "max", "spread", "key", "every", "maxWait", "heldFor", "appWide", "pendingOnly", "id", "group", "then"}, func(name string) bool { return d.Form.Get(name) != "" })
}

// Backoffs are those of retries.
func (d *functionData) Backoffs() []string { return api.Backoff("").Enum() }

// Policies are those of unique keys.
func (d *functionData) Policies() []string { return api.UniquePolicy("").Enum() }

// functionPage shows the function, and the forms to run and to schedule it.
func functionPage(r *Request) (*Answer, error) {
	if path := r.given().Get("path"); path != "" { // of one under a prefix
		return Go(r.Base + "/apps/" + escaped(r.HTTP.PathValue("app")) + "/functions/" + escaped(path)), nil
	}
	d, err := r.functionData(url.Values{})
	if err != nil {
		return nil, err
	}
	return r.showFunction(d), nil
}

func (r *Request) functionData(form url.Values) (*functionData, error) {
	list, err := ask[[]api.Function](r, Call{Route: "GET /v1/apps/{app}/functions", Path: r.inPath("app")})
	if err != nil {
		return nil, err
	}
	path := r.HTTP.PathValue("function")
	for _, f := range list {
		begin, ofPrefix := strings.CutSuffix(f.Path, "*")
		if f.Path != path && !(f.Remote && strings.HasPrefix(path, begin)) {
			continue
		}
		if ofPrefix = ofPrefix && f.Path == path; !ofPrefix {
			begin = ""
		}
		f.Path = path
		d := &functionData{Begin: begin, App: r.HTTP.PathValue("app"), Function: f, Fields: argumentsOf(f.Args, form), Form: form}
		if f.Kind == api.KindQuery {
			return d, nil
		}
		pools, err := ask[[]*api.Pool](r, Call{Route: "GET /v1/apps/{app}/pools", Path: r.inPath("app")})
		if err != nil && dispatch.AsError(err).Code != dispatch.CodeNotFound { // an app that has done nothing yet is not there
			return nil, err
		}
		for _, p := range pools {
			d.Pools = append(d.Pools, p.Name)
		}
		return d, nil
	}
	return nil, dispatch.Errorf(dispatch.CodeNotFound, "no function has the path %.128q", path)
}

func (r *Request) showFunction(d *functionData) *Answer {
	here := r.Base + "/apps/" + escaped(d.App) + "/functions"
	return r.show("function", d.Path, r.inApp(crumb{"Functions", here}), d)
}

// callFunction runs or schedules the function with the arguments of the form. What it returns is part of the page, and
// kept nowhere.
func callFunction(r *Request) (*Answer, error) {
	d, err := r.functionData(r.HTTP.PostForm)
	if err != nil {
		return nil, err
	}
	args, err := argsIn(d.Fields, d.Form)
	if err == nil && r.field("do") == "schedule" {
		var job api.Scheduled
		if job, err = r.schedule(d, args); err == nil {
			return Go(r.Base + "/apps/" + escaped(d.App) + "/jobs/" + escaped(job.JobID)), nil
		}
	} else if err == nil {
		f := fields{form: d.Form}
		body := api.CallRequest{Function: d.Path, Args: args, As: f.identity()}
		var ran api.CallResult
		if err = f.err; err == nil {
			ran, err = ask[api.CallResult](r, Call{Route: "POST /v1/apps/{app}/calls", Path: r.inPath("app"), Body: body})
		}
		if err == nil {
			d.Ran, d.Returned = true, ran.Result
		}
	}
	if err == nil {
		return r.showFunction(d), nil
	}
	status, e := r.Refused(err)
	if e.Code == api.Code(dispatch.CodePermissionDenied) && e.Path == "" { // of the operator, and not of the function
		return nil, err
	}
	d.Error = &e
	a := r.showFunction(d)
	a.status = status
	return a, nil
}

// schedule schedules the function as the form says.
func (r *Request) schedule(d *functionData, args []byte) (job api.Scheduled, err error) {
	f := fields{form: d.Form}
	body := api.JobRequest{
		Function: d.Path, Args: args, As: f.identity(), At: f.instant("at"), AfterMs: f.optional("after"), NotAfter: f.instant("notAfter"), ExpiresMs: f.optional("expires"),
		JobOptions: api.JobOptions{
			Priority: f.number("priority"), PoolKey: f.text("poolKey"), Retry: f.retry(), AtMostOnce: f.text("once") != "", TimeoutMs: f.optional("timeout"),
		},
	}
	group := f.number("group")
	if group < 0 {
		f.wrong("group is %d, want the number of one", group)
	}
	body.Group = uint64(group)
	if tags := f.lines("tags"); len(tags) > 0 {
		body.Tags = &tags
	}
	switch pool := f.text("pool"); pool {
	case "":
	case noPool:
		body.Pool = new("")
	default:
		body.Pool = &pool
	}
	if id := f.text("id"); id != "" {
		body.ID = &id
	}
	if keep := f.text("keep"); keep != "" {
		body.KeepResult = new(keep == "true")
	}
	if key := f.text("key"); key != "" {
		body.Unique = &api.UniqueRequest{
			Key: key, Policy: api.UniquePolicy(f.text("policy")), EveryMs: f.optional("every"), MaxWaitMs: f.optional("maxWait"), HeldForMs: f.optional("heldFor"),
			AppWide: f.text("appWide") != "", PendingOnly: f.text("pendingOnly") != "",
		}
	}
	f.object("then", &body.OnDone)
	if f.err != nil {
		return job, f.err
	}
	return ask[api.Scheduled](r, Call{Route: "POST /v1/apps/{app}/jobs", Path: r.inPath("app"), Body: body})
}
