package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"carillon/client"
	"carillon/server/api"
)

// instantFlag declares a flag that is an instant.
func instantFlag(flags *flag.FlagSet, name, usage string) func() *time.Time {
	var at *time.Time
	flags.Func(name, usage, func(text string) error {
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return errors.New("want an instant in RFC 3339, such as 2026-03-08T07:00:00Z")
		}
		at = &t
		return nil
	})
	return func() *time.Time { return at }
}

// spanFlag declares a flag that is a span of time, and returns it in milliseconds.
func spanFlag(flags *flag.FlagSet, name, usage string) func() *int64 {
	var ms *int64
	flags.Func(name, usage, func(text string) error {
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("want a span of time such as 90s or 2h")
		}
		ms = new(d.Milliseconds())
		return nil
	})
	return func() *int64 { return ms }
}

// maxArgs bounds arguments that are read of standard input: a server takes less.
const maxArgs = 64 << 20

// argsOf is JSON that is given on the command line, or on standard input as "-"; {} for none.
func argsOf(std Stdio, text string) (json.RawMessage, error) {
	switch text {
	case "":
		return json.RawMessage("{}"), nil
	case "-":
		data, err := io.ReadAll(io.LimitReader(std.In, maxArgs))
		if err != nil {
			return nil, err
		}
		text = string(data)
	}
	if !json.Valid([]byte(text)) {
		return nil, usageError{fmt.Errorf("the arguments %.40q are no JSON", text)}
	}
	return json.RawMessage(text), nil
}

func jobsSchedule(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags)
	var job api.JobRequest
	flags.StringVar(&job.Function, "function", "", "`PATH` of the mutation or action, with or without the flag")
	args := flags.String("args", "", "`JSON` of its arguments, with or without the flag, - for standard input; {} if not given")
	at := instantFlag(flags, "at", "`INSTANT` in RFC 3339 when it is due")
	after := spanFlag(flags, "after", "`TIME` from now when it is due, such as 90s")
	notAfter := instantFlag(flags, "not-after", "`INSTANT` in RFC 3339 after which no attempt begins")
	timeout := spanFlag(flags, "timeout", "`TIME` that an attempt may take")
	id := flags.String("id", "", "`ID` in the place of one that is made")
	pool := flags.String("pool", "", "`NAME` of the pool that it is in")
	as := flags.String("as", "", "`SERVICE` that it runs as, which begins with service:")
	unique := flags.String("unique", "", "`KEY` that at most one job holds; the one that is there does for it")
	flags.StringVar(&job.PoolKey, "pool-key", "", "`TEXT` that is its key in the pool")
	flags.IntVar(&job.Priority, "priority", 0, "`N`, 1 (first) to 4; the function's if not given")
	flags.BoolVar(&job.AtMostOnce, "at-most-once", false, "an attempt that has begun is its last")
	flags.Func("tag", "`TAG` of the job, up to 8 times", func(tag string) error {
		if job.Tags == nil {
			job.Tags = &[]string{}
		}
		*job.Tags = append(*job.Tags, tag)
		return nil
	})
	return func(ctx context.Context, std Stdio) (err error) {
		if job.Function == "" {
			return usageError{errors.New("the function is missing")}
		}
		if job.Args, err = argsOf(std, *args); err != nil {
			return err
		}
		job.At, job.AfterMs, job.NotAfter, job.TimeoutMs = at(), after(), notAfter(), timeout()
		if *id != "" {
			job.ID = id
		}
		if *pool != "" {
			job.Pool = pool
		}
		if *as != "" {
			job.As = &api.Identity{Subject: *as}
		}
		if *unique != "" {
			job.Unique = &api.UniqueRequest{Key: *unique, Policy: api.UniqueKeep}
		}
		schedule := func(app *client.App, ctx context.Context) (api.Scheduled, error) { return app.Schedule(ctx, job, nil) }
		return ask(ctx, r, std, changing, schedule, func(w io.Writer, s api.Scheduled) { fmt.Fprintln(w, s.JobID) })
	}
}

func jobsReschedule(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, id := jobFlags(flags)
	filter := filterFlags(flags)
	at := instantFlag(flags, "at", "`INSTANT` in RFC 3339 when it is due")
	after := spanFlag(flags, "after", "`TIME` from now when it is due, such as 90s")
	args := flags.String("args", "", "`JSON` of its arguments, - for standard input; of one job")
	priority := flags.Int("priority", 0, "`N`, 1 (first) to 4")
	all := flags.Bool("all", false, "all pending jobs of the app, where no filter says which")
	yes := yesFlag(flags)
	return func(ctx context.Context, std Stdio) error {
		f, err := filter()
		if err != nil {
			return err
		}
		change := api.JobChange{At: at(), AfterMs: after(), Priority: *priority}
		if *args != "" {
			if change.Args, err = argsOf(std, *args); err != nil {
				return err
			}
		}
		tell := func(w io.Writer, n int) { fmt.Fprintf(w, "%s changed\n", jobsAre(n)) }
		many := choosesSome(f) || *all
		switch {
		case change.At == nil && change.AfterMs == nil && change.Args == nil && change.Priority == 0:
			return usageError{errors.New("nothing to change: want any of --at, --after, --args, --priority")}
		case *id != "" && many:
			return usageError{errors.New("want either a job's id or a filter")}
		case *id != "":
			do := func(app *client.App, ctx context.Context) (api.Affected, error) {
				return affected(app.Reschedule(ctx, *id, change))
			}
			return ask(ctx, r, std, changing, do, func(w io.Writer, n api.Affected) { tell(w, n.Jobs) })
		case choosesSome(f) == *all:
			return usageError{errors.New("want a job's id, a filter that chooses some jobs, or --all")}
		case change.Args != nil:
			return usageError{errors.New("--args is for one job, which its id names")}
		}
		if change.AfterMs != nil {
			change.At = new(time.Now().Add(time.Duration(*change.AfterMs) * time.Millisecond))
		}
		o := api.NewOperation{Action: api.OperationReschedule, Filter: shownFilter(&f), All: *all, At: change.At, Priority: change.Priority}
		return operate(ctx, r, std, o, *yes, tell)
	}
}

func jobsResult(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, id := itemFlags(flags, "job", "id")
	wait := flags.Bool("wait", false, "wait until the job has ended")
	return func(ctx context.Context, std Stdio) error {
		job, err := id()
		if err != nil {
			return err
		}
		form, err := r.output()
		if err != nil {
			return err
		}
		app, err := r.appOf()
		if err != nil {
			return err
		}
		if *wait && *r.dir != "" {
			return usageError{errors.New("--wait is for a server: no job of a directory ends that is not served")}
		}
		r.patient = *wait
		at, err := r.open(std, reading)
		if err != nil {
			return err
		}
		defer at.close()
		result := func(ctx context.Context, id string) (api.JobResult, error) { return at.App(app).Result(ctx, id, 0) }
		if *wait {
			result = at.App(app).Wait
		}
		end, err := result(ctx, job)
		switch {
		case err != nil:
			return at.told(err)
		case form != formTable:
			return printJSON(std.Out, end)
		case end.State == api.StateSuccess && end.Result != nil:
			return printJSON(std.Out, end.Result)
		}
		_, err = fmt.Fprintln(std.Out, strings.TrimSpace(string(end.State)+" "+end.Reason+errorOf(end.Error)))
		return err
	}
}
