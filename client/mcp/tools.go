package mcp

import (
	"cmp"
	"context"
	"slices"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"carillon/client"
	"carillon/server/api"
)

// add adds a tool.
func add[In any](s *sdk.Server, name, about string, hints *sdk.ToolAnnotations, do func(context.Context, *sdk.CallToolRequest, In) (answer, error)) {
	tool := &sdk.Tool{Name: name, Description: about + " " + preface, Annotations: hints}
	sdk.AddTool(s, tool, func(ctx context.Context, req *sdk.CallToolRequest, in In) (*sdk.CallToolResult, any, error) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		a, err := do(ctx, req, in)
		r, err := a.text(err)
		return r, nil, err
	})
}

// reading adds a tool that only reads.
func reading[In any](s *sdk.Server, name, about string, do func(context.Context, In) (answer, error)) {
	closed := false
	add(s, name, about, &sdk.ToolAnnotations{ReadOnlyHint: true, IdempotentHint: true, OpenWorldHint: &closed},
		func(ctx context.Context, _ *sdk.CallToolRequest, in In) (answer, error) { return do(ctx, in) })
}

// What tools are given.
type (
	ofApp struct {
		App string `json:"app" jsonschema:"name of the app"`
	}
	ofJob struct {
		ofApp
		ID string `json:"id" jsonschema:"id of the job"`
	}
	ofTrigger struct {
		ofApp
		Name string `json:"name" jsonschema:"name of the trigger"`
	}
	rowsAfter struct {
		After string `json:"after,omitempty" jsonschema:"the next of the result before, for the page after it"`
		Limit int    `json:"limit,omitempty" jsonschema:"rows at most, 1 to 100; 20 if it is left out"`
	}
	listOf struct {
		ofApp
		rowsAfter
	}
	jobsOf struct {
		ofApp
		api.JobFilter
	}
	appsLike struct {
		Prefix   string `json:"prefix,omitempty" jsonschema:"what names begin with"`
		Contains string `json:"contains,omitempty" jsonschema:"what is in names"`
		Cursor   string `json:"cursor,omitempty" jsonschema:"the next of the result before, for the page after it"`
		Limit    int    `json:"limit,omitempty" jsonschema:"rows at most, 1 to 100; 20 if it is left out"`
	}
	functionOf struct {
		ofApp
		Path string `json:"path" jsonschema:"path of the function, namespace:function"`
	}
	nothing struct{}
)

const jobFilterAbout = "The fields of the filter narrow it each: states is any of pending, running, held, success, failed, canceled and expired; " +
	"error is the code of the latest error; due and ended are spans of instants in RFC 3339. " +
	"The longest fields of a row are cut: get_job shows more of one."

// addReading adds the tools that only read.
func addReading(s *sdk.Server, c *client.Client) {
	one := func(v any, err error) (answer, error) { return answer{one: v}, err }

	reading(s, "list_apps", "List the apps with how many jobs they have in which state.", func(ctx context.Context, in appsLike) (answer, error) {
		return paged(in.Limit, func(limit int) ([]api.App, string, error) {
			page, err := client.FirstPage(c.AppPages(ctx, client.AppFilter{Prefix: in.Prefix, Contains: in.Contains, Limit: limit, Cursor: in.Cursor}))
			if err != nil {
				return nil, "", err
			}
			return page.Apps, page.Next, nil
		})
	})
	reading(s, "get_app", "Show an app: its counts of jobs, its limits and what is paused.", func(ctx context.Context, in ofApp) (answer, error) {
		return one(c.App(in.App).Status(ctx))
	})
	jobs := func(ctx context.Context, in jobsOf) (answer, error) {
		return paged(in.Limit, func(limit int) ([]api.Job, string, error) {
			f := in.JobFilter
			f.Limit = limit
			page, err := client.FirstPage(c.App(in.App).JobPages(ctx, f))
			if err != nil {
				return nil, "", err
			}
			return page.Jobs, page.Next, nil
		})
	}
	reading(s, "list_jobs", "List the jobs of an app that a filter chooses: first those that are due next, then held, dead and finished ones. "+
		"A page may have no row although there is a next one: go on with its cursor. "+jobFilterAbout, jobs)
	reading(s, "list_failures", "List the jobs of an app that have failed for good or are held, with their latest error. "+jobFilterAbout,
		func(ctx context.Context, in jobsOf) (answer, error) {
			if in.States == nil {
				in.States = []api.State{api.StateFailed, api.StateHeld}
			}
			return jobs(ctx, in)
		})
	reading(s, "count_jobs", "Count the jobs of an app that a filter chooses, up to 10000. "+jobFilterAbout, func(ctx context.Context, in jobsOf) (answer, error) {
		return one(c.App(in.App).CountJobs(ctx, in.JobFilter))
	})
	reading(s, "get_job", "Show a job with what it waits for and why, its attempts, timeline, log lines and result.", func(ctx context.Context, in ofJob) (answer, error) {
		return one(c.App(in.App).Job(ctx, in.ID))
	})
	reading(s, "list_triggers", "List the cron triggers of an app with their next slots and how the last one ended.", func(ctx context.Context, in listOf) (answer, error) {
		rows, err := c.App(in.App).Crons(ctx)
		if err != nil {
			return answer{}, err
		}
		return listed(rows, func(t *api.Cron) string { return t.Name }, in.After, in.Limit)
	})
	reading(s, "get_trigger", "Show a cron trigger with its next slots and how its latest 20 have ended.", func(ctx context.Context, in ofTrigger) (answer, error) {
		return one(c.App(in.App).Cron(ctx, in.Name, 20))
	})
	reading(s, "list_pools", "List the pools of an app: limits, how many jobs run, how many wait and since when.", func(ctx context.Context, in listOf) (answer, error) {
		rows, err := c.App(in.App).Pools(ctx)
		if err != nil {
			return answer{}, err
		}
		slices.SortFunc(rows, func(a, b api.Pool) int { return cmp.Compare(a.Name, b.Name) })
		return listed(rows, func(p *api.Pool) string { return p.Name }, in.After, in.Limit)
	})
	reading(s, "list_functions", "List the functions of the program, without the schemas of what they take, which get_function has.", func(ctx context.Context, in listOf) (answer, error) {
		rows, err := c.App(in.App).Functions(ctx)
		if err != nil {
			return answer{}, err
		}
		for i := range rows {
			rows[i].Args, rows[i].Result = nil, nil
		}
		return listed(rows, func(f *api.Function) string { return f.Path }, in.After, in.Limit)
	})
	reading(s, "get_function", "Show a function of the program with JSON Schemas of what it takes and returns.", func(ctx context.Context, in functionOf) (answer, error) {
		all, err := c.App(in.App).Functions(ctx)
		if err != nil {
			return answer{}, err
		}
		for i := range all {
			if all[i].Path == in.Path {
				return one(&all[i], nil)
			}
		}
		return answer{}, &client.Error{Code: api.CodeNotFound, Message: "the program has no function of that path"}
	})
	reading(s, "list_stuck", "List handlers that were given up and have not returned, of all of the operator's apps.", func(ctx context.Context, _ nothing) (answer, error) {
		rows, err := c.Stuck(ctx)
		if err != nil {
			return answer{}, err
		}
		return listed(rows, func(*api.StuckHandler) string { return "" }, "", MaxRows)
	})
}
