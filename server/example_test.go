package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
	"carillon/storage"
)

var exampleGreet = dispatch.Query[string, string]("site:greet")

// serve answers one request by an engine with function site:greet.
func serve(opts server.Options, request *http.Request) {
	reg := dispatch.NewRegistry()
	exampleGreet.Handle(reg, func(ctx *dispatch.QueryCtx, name string) (string, error) {
		if id, ok := ctx.Auth.Identity(); ok {
			return fmt.Sprintf("hello %s, says %s", name, id.Subject), nil
		}
		return "hello " + name, nil
	})
	dir, err := os.MkdirTemp("", "carillon-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	eng, err := actors.Open(dir, actors.Options{Functions: reg})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close(context.Background())
	mux := http.NewServeMux() // a server of one's own, with routes of its own
	mux.Handle("/v1/", server.New(eng, opts))
	recorder := httptest.NewRecorder()
	mux.ServeHTTP(recorder, request)
	body, _ := io.ReadAll(recorder.Result().Body)
	fmt.Println(recorder.Code, strings.TrimSpace(string(body)))
}

func exampleRequest() *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/v1/apps/acme/functions/site:greet", strings.NewReader(`"world"`))
	r.Header.Set("Content-Type", "application/json")
	return r
}

// The handler is mounted in a server of one's own.
func ExampleNew() {
	serve(server.Options{}, exampleRequest())
	// Output: 200 {"result":"hello world"}
}

// Identify tells who calls: here by a header that a proxy in front has checked.
// A server with many apps must also check that the app is one of the caller's.
func ExampleOptions_identify() {
	request := exampleRequest()
	request.Header.Set("X-User", "ann")
	serve(server.Options{Identify: func(r *http.Request) (*dispatch.Identity, error) {
		user := r.Header.Get("X-User")
		if user == "" {
			return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, "sign in first")
		}
		return &dispatch.Identity{Subject: user}, nil
	}}, request)
	// Output: 200 {"result":"hello world, says ann"}
}

// Operator says who looks after jobs and triggers, of which apps, and what they may do
// there: these look, and act on jobs, and are not shown arguments.
func ExampleOptions_operator() {
	request := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/v1/apps/other/jobs", nil)
	request.Header.Set("X-Team", "billing")
	signedIn := func(r *http.Request) (string, bool) { team := r.Header.Get("X-Team"); return team, team != "" }
	opts := server.Options{
		Operator: func(r *http.Request) (*server.Operator, error) {
			team, ok := signedIn(r)
			if !ok {
				return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, "sign in first")
			}
			return &server.Operator{
				Name:   team,
				Apps:   []storage.AppID{"acme"},
				Scopes: []server.Scope{server.ScopeRead, server.ScopeWrite},
			}, nil
		},
	}
	serve(opts, request)
	// Output: 403 {"code":"permission_denied","message":"app \"other\" is not one of this operator's"}
}

// An error of a function is answered with its code, as JSON.
func ExampleNew_refused() {
	r := exampleRequest()
	r.URL.Path = "/v1/apps/acme/functions/site:nothing"
	serve(server.Options{}, r)
	// Output: 404 {"code":"not_found","path":"site:nothing","message":"no function \"site:nothing\""}
}

// The dashboard stands in a site of the program's own: below /jobs/ui/, where operators sign in with tokens of
// the store.
func ExampleNew_dashboard() {
	dir, err := os.MkdirTemp("", "carillon-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	eng, err := actors.Open(dir, actors.Options{Functions: dispatch.NewRegistry()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close(context.Background())
	site := http.NewServeMux()
	site.Handle("/jobs/", server.New(eng, server.Options{BasePath: "/jobs", Operator: server.Tokens(eng)}))
	w := httptest.NewRecorder()
	site.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/jobs/ui/", nil))
	fmt.Println(w.Code, strings.Contains(w.Body.String(), "Sign in"))
	// Output: 401 true
}

// What happens to an app's jobs is told as server-sent events: the jobs that there are, and
// then each change. A page reads them with an EventSource.
func ExampleNew_events() {
	reg := dispatch.NewRegistry()
	greet := dispatch.InternalMutation[string, dispatch.None]("site:later")
	greet.Handle(reg, func(*dispatch.MutationCtx, string) (dispatch.None, error) { return dispatch.None{}, nil })
	dir, err := os.MkdirTemp("", "carillon-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	eng, err := actors.Open(dir, actors.Options{Functions: reg})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close(context.Background())
	app, err := eng.App("acme")
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := app.Scheduler(context.Background()).RunAfter(time.Hour, greet.With("world"), dispatch.ID("hello")); err != nil {
		fmt.Println(err)
		return
	}
	site := httptest.NewServer(server.New(eng, server.Options{Admin: func(*http.Request) error { return nil }}))
	defer site.Close()
	resp, err := http.Get(site.URL + "/v1/apps/acme/events?state=pending")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && lines.Text() != "event: ready" {
		switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
		case "event":
			fmt.Println(value)
		case "data":
			var e api.JobEvent
			if err := json.Unmarshal([]byte(value), &e); err != nil {
				fmt.Println(err)
				return
			}
			if e.Job != nil {
				fmt.Println(e.ID, "is", e.Job.State)
			}
		}
	}
	// Output:
	// reset
	// job
	// hello is pending
}
