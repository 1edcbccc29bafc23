package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"carillon/actors"
	"carillon/client"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
)

// exampleServer serves the function site:greet to clients, and the internal site:remind to operators with
// the token "s3cret". The examples have no other choice than to ignore what goes wrong with it.
func exampleServer() (url string, end func()) {
	reg := dispatch.NewRegistry()
	dispatch.Query[string, string]("site:greet").Handle(reg, func(_ *dispatch.QueryCtx, name string) (string, error) {
		if name == "" {
			return "", dispatch.Errorf(dispatch.CodeInvalidArgument, "want a name")
		}
		return "hello " + name, nil
	})
	dispatch.InternalMutation[string, string]("site:remind").Handle(reg, func(ctx *dispatch.MutationCtx, what string) (string, error) {
		if id, ok := ctx.Auth.Identity(); ok {
			return id.Subject + " reminds of " + what, nil
		}
		return "reminded of " + what, nil
	})
	dir, err := os.MkdirTemp("", "carillon-")
	if err != nil {
		panic(err)
	}
	eng, err := actors.Open(dir, actors.Options{Functions: reg})
	if err != nil {
		panic(err)
	}
	srv := httptest.NewServer(server.New(eng, server.Options{Operator: func(r *http.Request) (*server.Operator, error) {
		if r.Header.Get("Authorization") != "Bearer s3cret" {
			return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, "this token is not good")
		}
		return &server.Operator{Name: "ann", AllApps: true, Scopes: server.Scopes()}, nil
	}}))
	return srv.URL, func() {
		srv.Close()
		_ = eng.Close(context.Background())
		_ = os.RemoveAll(dir)
	}
}

// A client runs public functions.
func Example() {
	url, end := exampleServer()
	defer end()
	ctx := context.Background()

	c, err := client.New(url, client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	acme := c.App("acme")

	greeting, err := client.Call[string](ctx, acme, "site:greet", "world")
	fmt.Println(greeting, err)

	_, err = client.Call[string](ctx, acme, "site:greet", "")
	fmt.Println(errors.Is(err, api.CodeInvalidArgument), err)
	// Output:
	// hello world <nil>
	// true site:greet: invalid_argument: want a name
}

// An operator schedules a job, as a service, and waits for its result.
func ExampleAwait() {
	url, end := exampleServer()
	defer end()
	ctx := context.Background()
	c, err := client.New(url, client.Options{Token: "s3cret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	acme := c.App("acme")

	job := api.JobRequest{Function: "site:remind", AfterMs: new(int64(20)), As: &api.Identity{Subject: "service:calendar"}}
	scheduled, err := acme.Schedule(ctx, job, "tea")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client.Await[string](ctx, acme, scheduled.JobID))
	// Output: service:calendar reminds of tea <nil>
}

// A listing goes through as many pages as there are.
func ExampleApp_Jobs() {
	url, end := exampleServer()
	defer end()
	ctx := context.Background()
	c, err := client.New(url, client.Options{Token: "s3cret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	acme := c.App("acme")
	for _, id := range []string{"a", "b", "c"} {
		job := api.JobRequest{Function: "site:remind", At: new(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)), ID: &id}
		if _, err := acme.Schedule(ctx, job, "tea"); err != nil {
			fmt.Println(err)
			return
		}
	}

	for job, err := range acme.Jobs(ctx, api.JobFilter{States: []api.State{api.StatePending}, Limit: 2}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(job.ID, job.State, string(job.Args))
	}
	// Output:
	// a pending "tea"
	// b pending "tea"
	// c pending "tea"
}

// A loop that has the jobs as they are, from now on.
func ExampleApp_Events() {
	url, end := exampleServer()
	defer end()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, err := client.New(url, client.Options{Token: "s3cret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	acme := c.App("acme")
	tomorrow := api.JobRequest{Function: "site:remind", AfterMs: new(int64(86_400_000)), ID: new("tea")}
	if _, err := acme.Schedule(ctx, tomorrow, "tea"); err != nil {
		fmt.Println(err)
		return
	}

	jobs := map[uint64]*api.Job{}
	for e, err := range acme.Events(ctx, api.JobFilter{States: []api.State{api.StatePending}}, "") {
		if err != nil {
			fmt.Println(err)
			return
		}
		switch {
		case e.Kind == api.EventReset || e.Kind == api.EventLagged:
			clear(jobs) // a snapshot follows
		case e.Left:
			delete(jobs, e.Seq)
		case e.Job != nil:
			jobs[e.Seq] = e.Job
		}
		fmt.Println(e.Kind, len(jobs))
		if e.Kind == api.EventReady {
			if _, err := acme.Cancel(ctx, "tea", false); err != nil {
				fmt.Println(err)
				return
			}
		}
		if e.Kind == api.EventCanceled {
			break
		}
	}
	// Output:
	// reset 0
	// job 1
	// ready 1
	// canceled 0
}

// A key that is made from what is done, rather than drawn, has it done once however often, and by
// however many processes, it is asked for.
func ExampleWithIdempotencyKey() {
	url, end := exampleServer()
	defer end()
	c, err := client.New(url, client.Options{Token: "s3cret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	acme := c.App("acme")

	ctx := client.WithIdempotencyKey(context.Background(), "remind-of-order-17")
	first, err := acme.Schedule(ctx, api.JobRequest{Function: "site:remind", AfterMs: new(int64(60_000))}, "order 17")
	if err != nil {
		fmt.Println(err)
		return
	}
	again, err := acme.Schedule(ctx, api.JobRequest{Function: "site:remind", AfterMs: new(int64(60_000))}, "order 17")
	fmt.Println(first == again, err)
	// Output: true <nil>
}
