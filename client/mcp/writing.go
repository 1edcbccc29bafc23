package mcp

import (
	"context"
	"encoding/json"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"carillon/client"
	"carillon/server/api"
)

// writing adds a tool that changes something. Of one that runs functions it is not known what that
// destroys, so that the hint is given.
func writing[In any](s *sdk.Server, name, about string, destroys, runs bool, do func(context.Context, In) (any, error)) {
	add(s, name, about, &sdk.ToolAnnotations{DestructiveHint: &destroys, OpenWorldHint: &runs},
		func(ctx context.Context, _ *sdk.CallToolRequest, in In) (answer, error) {
			v, err := do(ctx, in)
			return answer{one: v}, err
		})
}

// What tools are given that change something.
type (
	cancelOf struct {
		ofJob
		Cascade bool `json:"cascade,omitempty" jsonschema:"also the jobs that have come of it"`
	}
	rescheduleOf struct {
		ofJob
		At       *time.Time `json:"at,omitempty" jsonschema:"when it is due, in RFC 3339,"`
		AfterMs  *int64     `json:"afterMs,omitempty" jsonschema:"or in how many milliseconds from now"`
		Priority int        `json:"priority,omitempty" jsonschema:"1 (first) to 4"`
	}
	pauseOf struct {
		resumeOf
		Reason string `json:"reason,omitempty" jsonschema:"for people, up to 500 bytes"`
	}
	resumeOf struct {
		ofApp
		Function string `json:"function,omitempty" jsonschema:"path of a function,"`
		Pool     string `json:"pool,omitempty" jsonschema:"or name of a pool,"`
		Trigger  string `json:"trigger,omitempty" jsonschema:"or name of a trigger; with none of them it is the whole app"`
	}
	scheduleOf struct {
		ofApp
		Function string         `json:"function" jsonschema:"path of a mutation or an action, namespace:function"`
		Args     map[string]any `json:"args,omitempty" jsonschema:"its arguments; get_function has their schema"`
		At       *time.Time     `json:"at,omitempty" jsonschema:"when it is due, in RFC 3339,"`
		AfterMs  *int64         `json:"afterMs,omitempty" jsonschema:"or in how many milliseconds from now; with neither it is at once"`
		ID       *string        `json:"id,omitempty" jsonschema:"an id of your own, so that scheduling it twice makes one job"`
		Tags     *[]string      `json:"tags,omitempty" jsonschema:"up to 8"`
		Priority int            `json:"priority,omitempty" jsonschema:"1 (first) to 4"`
	}
)

// pause is what the tool is told to pause, or to pause no more.
func (r *resumeOf) pause(reason string) api.PauseRequest {
	return api.PauseRequest{App: r.Function == "" && r.Pool == "", Function: r.Function, Pool: r.Pool, Reason: reason}
}

// one says why it is not one thing that is paused.
func (r *resumeOf) one() error {
	if r.Trigger != "" && (r.Function != "" || r.Pool != "") {
		return &client.Error{Code: api.CodeInvalidArgument, Message: "want one of function, pool and trigger"}
	}
	return nil
}

// addWriting adds the tools that change something, for operators with the scope write.
func addWriting(s *sdk.Server, c *client.Client) {
	affected := func(jobs int, err error) (any, error) { return api.Affected{Jobs: jobs}, err }
	const destroys, runs = true, true

	writing(s, "cancel_job", "Cancel a job that has not ended.", destroys, !runs, func(ctx context.Context, in cancelOf) (any, error) {
		return affected(c.App(in.App).Cancel(ctx, in.ID, in.Cascade))
	})
	writing(s, "retry_job", "Make a job that has failed for good, or is held, pending again.", destroys, runs, func(ctx context.Context, in ofJob) (any, error) {
		return affected(1, c.App(in.App).Retry(ctx, in.ID))
	})
	writing(s, "run_job", "Make a pending or held job due now.", destroys, runs, func(ctx context.Context, in ofJob) (any, error) {
		return affected(1, c.App(in.App).Run(ctx, in.ID))
	})
	writing(s, "reschedule_job", "Change when a pending job is due, or its priority. What is left out stays.", destroys, runs, func(ctx context.Context, in rescheduleOf) (any, error) {
		return affected(1, c.App(in.App).Reschedule(ctx, in.ID, api.JobChange{At: in.At, AfterMs: in.AfterMs, Priority: in.Priority}))
	})
	writing(s, "run_trigger", "Run a cron trigger by hand. Its next slot stays as it is.", destroys, runs, func(ctx context.Context, in ofTrigger) (any, error) {
		id, err := c.App(in.App).RunCron(ctx, in.Name)
		return api.CronRun{JobID: id}, err
	})
	writing(s, "pause", "Pause an app, a function, a pool or a trigger: none of its jobs begins.", !destroys, !runs, func(ctx context.Context, in pauseOf) (any, error) {
		if err := in.one(); err != nil {
			return nil, err
		}
		if in.Trigger != "" {
			return c.App(in.App).PauseCron(ctx, in.Trigger, in.Reason)
		}
		return api.Changed{Changed: true}, c.App(in.App).AddPause(ctx, in.pause(in.Reason))
	})
	writing(s, "resume", "End a pause of an app, a function, a pool or a trigger.", !destroys, runs, func(ctx context.Context, in resumeOf) (any, error) {
		if err := in.one(); err != nil {
			return nil, err
		}
		if in.Trigger != "" {
			return c.App(in.App).ResumeCron(ctx, in.Trigger)
		}
		changed, err := c.App(in.App).EndPause(ctx, in.pause(""))
		return api.Changed{Changed: changed}, err
	})
}

// addScheduling adds the tool that schedules, for operators with the scopes write and call.
func addScheduling(s *sdk.Server, c *client.Client) {
	destroys, runs := true, true
	add(s, "schedule_job", "Have a function run once, now or later.", &sdk.ToolAnnotations{DestructiveHint: &destroys, OpenWorldHint: &runs},
		func(ctx context.Context, req *sdk.CallToolRequest, in scheduleOf) (answer, error) {
			job := api.JobRequest{Function: in.Function, At: in.At, AfterMs: in.AfterMs, ID: in.ID}
			job.Tags, job.Priority = in.Tags, in.Priority
			// As they were sent: a number in a map is a float64, which has no room for every int64.
			var sent struct {
				Args json.RawMessage `json:"args"`
			}
			if err := json.Unmarshal(req.Params.Arguments, &sent); err != nil {
				return answer{}, &client.Error{Code: api.CodeInvalidArgument, Message: err.Error()}
			}
			job.Args = sent.Args
			scheduled, err := c.App(in.App).Schedule(ctx, job, nil)
			return answer{one: scheduled}, err
		})
}
