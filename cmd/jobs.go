package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	"carillon/client"
	"carillon/server/api"
	"carillon/storage"
)

// jobCommands are the commands about jobs.
func jobCommands() []Verb {
	return []Verb{
		{"jobs list", "", "list the jobs of an app that is served", "jobs list --app acme --state failed --error unavailable -o jsonl", jobsList},
		{"jobs get|show", "name", "show a job with all its attempts", "jobs get order-17 --app acme", jobsShow},
		{"jobs schedule", "function args", "have a function run at once, or later", "jobs schedule counters:bump '{\"key\":\"k\"}' --app acme --after 90s --tag night", jobsSchedule},
		{"jobs watch", "name", "print what happens to jobs that have not ended, as it happens", "jobs watch --app acme --function counters:bump -o jsonl\njobs watch order-17 --app acme --until-ended --for 10m", jobsWatch},
		{"jobs run", "name", "make pending or held jobs due now: one, or all that a filter chooses", "jobs run order-17 --app acme", jobsRun},
		{"jobs reschedule", "name", "change when pending jobs are due, their priority, or the arguments of one", "jobs reschedule --app acme --tag night --after 30m --yes", jobsReschedule},
		{"jobs result", "name", "print what a job has come to, and wait for its end if asked to", "jobs result order-17 --app acme --wait", jobsResult},
		{"jobs retry", "name", "make dead or held jobs pending again: one, or all that a filter chooses", "jobs retry --app acme --function payments:charge --dry-run", jobsRetry},
		{"jobs cancel", "name", "cancel jobs that have not ended: one, or all that a filter chooses", "jobs cancel --app acme --tag night --yes", jobsCancel},
		{"jobs drop", "name", "remove dead or held jobs for good: one, or all that a filter chooses", "jobs drop --app acme --ended-before 2026-01-01T00:00:00Z --yes", jobsDrop},
		{"jobs stuck", "", "list the handlers of a server that were given up and have not returned", "jobs stuck", jobsStuck},
		{"jobs abandon", "name", "have a job wait no more for its stuck handler, or forget that of a call", "jobs abandon order-17 --app acme --by ann", jobsAbandon},
	}
}

// filterFlags declares the flags of a filter, and returns what reads it once the
// flags are parsed.
func filterFlags(flags *flag.FlagSet) func() (storage.JobFilter, error) {
	var f storage.JobFilter
	state := flags.String("state", "", "only jobs in the `STATE`, or in any of several with commas between: pending, running, held, success, failed, canceled, expired")
	flags.StringVar(&f.Function, "function", "", "only jobs of the function `PATH`")
	flags.StringVar(&f.Trigger, "trigger", "", "only ticks and runs of the trigger `NAME`")
	flags.StringVar(&f.Error, "error", "", "only jobs whose latest error has the `CODE`, such as unavailable")
	flags.StringVar(&f.Pool, "pool", "", "only jobs of the pool `NAME`")
	flags.StringVar(&f.PoolKey, "pool-key", "", "only jobs whose key in their pool begins with `TEXT`")
	flags.StringVar(&f.UniqueKey, "unique-key", "", "only jobs of the unique `KEY`, whatever their function")
	flags.Func("tag", "only jobs with the `TAG`; given several times, with all of them", func(tag string) error {
		f.Tags = append(f.Tags, tag)
		return nil
	})
	instants := map[string]*time.Time{
		"due-from": &f.Due.From, "due-before": &f.Due.Before, "ended-from": &f.Ended.From, "ended-before": &f.Ended.Before,
	}
	for name, into := range instants {
		what, which, _ := strings.Cut(name, "-")
		flags.Func(name, fmt.Sprintf("only jobs %s %s the `INSTANT`, in RFC 3339", map[string]string{"due": "that are due", "ended": "that have ended"}[what],
			map[string]string{"from": "at or after", "before": "before"}[which]), func(text string) (err error) {
			if *into, err = time.Parse(time.RFC3339, text); err != nil {
				err = errors.New("want an instant in RFC 3339, such as 2026-03-08T07:00:00Z")
			}
			return err
		})
	}
	return func() (storage.JobFilter, error) {
		if *state != "" {
			for s := range strings.SplitSeq(*state, ",") {
				f.States = append(f.States, storage.State(s))
			}
		}
		if err := f.Check(); err != nil {
			return f, usageError{err}
		}
		return f, nil
	}
}

// jobFlags declares the flags of a command about one app's jobs. The job's id is
// also taken as an argument.
func jobFlags(flags *flag.FlagSet) (r *remote, id *string) {
	r = remoteFlags(flags)
	return r, flags.String("name", "", "`ID` of the job, with or without the flag")
}

func jobsList(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, filter := remoteFlags(flags), filterFlags(flags)
	r.rows = "jobs"
	limit, cursor := pageFlags(flags, "jobs")
	return func(ctx context.Context, std Stdio) error {
		f, err := filter()
		if err != nil {
			return err
		}
		chosen := shownFilter(&f)
		chosen.Limit, chosen.Cursor = *limit, *cursor
		list := func(app *client.App, ctx context.Context) (*api.JobPage, error) {
			return client.FirstPage(app.JobPages(ctx, chosen))
		}
		return ask(ctx, r, std, reading, list, func(w io.Writer, page *api.JobPage) {
			printTable(w, "ID STATE FUNCTION WHEN WHY", func(row func(...any)) {
				for _, job := range page.Jobs {
					row(job.ID, stateOf(&job), job.Function, whenOf(&job), whyOf(&job))
				}
			})
			sayMore(w, page.Next)
		})
	}
}

// stateOf is the state, and whether the id means another job by now.
func stateOf(job *api.Job) string {
	if job.Superseded {
		return string(job.State) + " (superseded)"
	}
	return string(job.State)
}

// whenOf is the instant that matters about a job in its state.
func whenOf(job *api.Job) string {
	switch {
	case job.EndedAt != nil:
		return "ended " + job.EndedAt.Format(time.RFC3339)
	case job.State == api.StateHeld && job.HeldAt != nil:
		return "held since " + job.HeldAt.Format(time.RFC3339)
	}
	return "due " + job.Due.Format(time.RFC3339)
}

// whyOf is why the job is held, waits or has expired, or its latest error.
func whyOf(job *api.Job) string {
	if job.Reason != "" {
		return job.Reason
	}
	return errorOf(job.Error)
}

func errorOf(err *api.JobError) string {
	if err == nil {
		return ""
	}
	return string(err.Code) + ": " + strings.Join(strings.Fields(err.Message), " ")
}

func jobsShow(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, id := itemFlags(flags, "job", "id")
	return func(ctx context.Context, std Stdio) error {
		job, err := id()
		if err != nil {
			return err
		}
		get := func(app *client.App, ctx context.Context) (api.Job, error) { return app.Job(ctx, job) }
		return ask(ctx, r, std, reading, get, showJob)
	}
}

// showJob prints a job for people.
func showJob(w io.Writer, job api.Job) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(table, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	row("id", "%s", job.ID)
	row("state", "%s", job.State)
	row("function", "%s %s", job.Function, job.Args)
	row("when", "%s", whenOf(&job))
	row("asked for", "%s, on %s", job.ScheduledFor.Format(time.RFC3339Nano), job.EnqueuedAt.Format(time.RFC3339))
	if job.NotAfter != nil {
		row("not after", "%s", job.NotAfter.Format(time.RFC3339Nano))
	}
	if job.Trigger != "" {
		row("trigger", "%s", job.Trigger)
	}
	if job.Pool != "" {
		row("pool", "%s", strings.TrimSuffix(job.Pool+" "+job.PoolKey, " "))
	}
	if job.Priority != storage.DefaultPriority {
		row("priority", "%d", job.Priority)
	}
	if job.UniqueKey != "" {
		row("unique key", "%s", job.UniqueKey)
	}
	if job.Revision > 0 {
		row("revision", "%d", job.Revision)
	}
	if job.Parent != "" {
		row("parent", "%s", job.Parent)
	}
	if job.Group != 0 {
		row("group", "%d", job.Group)
	}
	if len(job.Tags) > 0 {
		row("tags", "%s", strings.Join(job.Tags, ", "))
	}
	if job.Reason != "" {
		row("reason", "%s", job.Reason)
	}
	row("attempts", "%d, of which %d failed", job.Attempts, job.Failures)
	if job.Error != nil {
		row("error", "%s", errorOf(job.Error))
	}
	if job.Result != nil {
		row("result", "%s", job.Result)
	}
	if n := job.NotKept; n != nil {
		row("result", "not kept, %d bytes: %s", n.Bytes, n.Reason)
	}
	var logs []api.AttemptLog
	if job.JobDetail != nil {
		logs = job.Logs
	}
	for i := range job.History {
		a := &job.History[i]
		row(fmt.Sprint("attempt ", a.Number), "%sended %s, %s", lateOf(a), a.EndedAt.Format(time.RFC3339), errorOf(&a.Error))
		for _, l := range logs {
			if l.Attempt == a.Number && l.Cause != "" {
				row("", "cause: %s", strings.Join(strings.Fields(l.Cause), " "))
			}
			if l.Attempt == a.Number && l.Stack != "" {
				row("", "stack: %s; -o json has all of it", placeOf(l.Stack))
			}
		}
	}
	_ = table.Flush() // to standard output, which may be gone
}

// lateOf says how much later than it was due the attempt began, where that is known.
func lateOf(a *api.Attempt) string {
	late := a.StartedAt.Sub(a.Due)
	if a.Due.IsZero() || a.StartedAt.IsZero() || late < time.Millisecond {
		return ""
	}
	return fmt.Sprintf("begun %s late, ", late.Round(time.Millisecond))
}

// placeOf is the innermost call of a stack, and its place, in one line.
func placeOf(stack string) string {
	call, rest, _ := strings.Cut(stack, "\n")
	place, _, _ := strings.Cut(rest, "\n")
	return strings.Join(strings.Fields(call+" "+place), " ")
}

func jobsRetry(flags *flag.FlagSet) func(context.Context, Stdio) error {
	return jobsBulk(flags, api.OperationRetry, "dead", "pending again", alone((*client.App).Retry))
}

func jobsCancel(flags *flag.FlagSet) func(context.Context, Stdio) error {
	cancel := func(app *client.App, ctx context.Context, id string) (api.Affected, error) {
		n, err := app.Cancel(ctx, id, false)
		return api.Affected{Jobs: n}, err
	}
	return jobsBulk(flags, api.OperationCancel, "pending, running and held", "canceled", cancel)
}

func jobsRun(flags *flag.FlagSet) func(context.Context, Stdio) error {
	return jobsBulk(flags, api.OperationRun, "pending", "due now", alone((*client.App).Run))
}

func jobsDrop(flags *flag.FlagSet) func(context.Context, Stdio) error {
	return jobsBulk(flags, api.OperationDrop, "dead", "gone", alone((*client.App).Drop))
}

// onJob is a change of one job.
type onJob func(app *client.App, ctx context.Context, id string) (api.Affected, error)

// alone is a change that is of the job alone.
func alone(do func(*client.App, context.Context, string) error) onJob {
	return func(app *client.App, ctx context.Context, id string) (api.Affected, error) {
		return affected(do(app, ctx, id))
	}
}

// choosesSome says whether a filter says more than in which states jobs are.
func choosesSome(f storage.JobFilter) bool {
	f.States = nil
	return !reflect.ValueOf(f).IsZero()
}

// jobsBulk is a command on one job, or, as an operation, on all that a filter chooses.
func jobsBulk(flags *flag.FlagSet, action api.OperationAction, which, done string, one onJob) func(context.Context, Stdio) error {
	r, id := jobFlags(flags)
	filter := filterFlags(flags)
	all := flags.Bool("all", false, "all "+which+" jobs of the app, where no filter says which")
	dryRun := flags.Bool("dry-run", false, "only say how many jobs that would be")
	yes := yesFlag(flags)
	return func(ctx context.Context, std Stdio) error {
		f, err := filter()
		if err != nil {
			return err
		}
		chosen := choosesSome(f)
		tell := func(w io.Writer, n int) { fmt.Fprintf(w, "%s %s\n", jobsAre(n), done) }
		switch {
		case *id != "" && (chosen || *all || *dryRun || len(f.States) > 0):
			return usageError{errors.New("want either a job's id or a filter")}
		case *id != "":
			if action == api.OperationDrop {
				if err := confirm(std, *yes, "remove the job "+*id+" for good"); err != nil {
					return err
				}
			}
			do := func(app *client.App, ctx context.Context) (api.Affected, error) { return one(app, ctx, *id) }
			return ask(ctx, r, std, changing, do, func(w io.Writer, n api.Affected) { tell(w, n.Jobs) })
		case chosen == *all:
			return usageError{errors.New("want a job's id, a filter that chooses some jobs, or --all")}
		}
		o := api.NewOperation{Action: action, Filter: shownFilter(&f), All: *all}
		if *dryRun {
			count := func(app *client.App, ctx context.Context) (api.OperationCount, error) {
				return app.CountOperation(ctx, o)
			}
			return ask(ctx, r, std, changing, count, func(w io.Writer, n api.OperationCount) {
				fmt.Fprintf(w, "that would be %s\n", countOf(n.Jobs, n.More))
			})
		}
		return operate(ctx, r, std, o, *yes, tell)
	}
}

func jobsStuck(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := siteFlags(flags)
	return func(ctx context.Context, std Stdio) error {
		return askStore(ctx, r, std, reading, (*client.Client).Stuck, showStuck)
	}
}

// showStuck prints the handlers for people.
func showStuck(w io.Writer, list []api.StuckHandler) {
	printTable(w, "APP FUNCTION WHOSE SINCE", func(row func(...any)) {
		for _, s := range list {
			whose := "call " + s.Call
			if s.Job != "" {
				whose = fmt.Sprintf("%s attempt %d", s.Job, s.Attempt)
			}
			row(s.App, s.Function, whose, s.Since.Format(time.RFC3339))
		}
	})
}

func jobsAbandon(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, id := jobFlags(flags)
	call := flags.String("call", "", "`ID` of a call, as jobs stuck lists it, in place of a job's")
	by := flags.String("by", "", "`NAME` of the person who decides it, for the server's log; $USER if not given")
	return func(ctx context.Context, std Stdio) error {
		switch {
		case *id == "" && *call == "":
			return usageError{errors.New("the job's id is missing, or --call")}
		case *id != "" && *call != "":
			return usageError{errors.New("want either a job's id or --call")}
		}
		if *by == "" {
			*by = os.Getenv("USER")
		}
		if *call != "" {
			abandon := func(app *client.App, ctx context.Context) (api.Empty, error) {
				return api.Empty{}, app.AbandonCall(ctx, *call, *by)
			}
			return ask(ctx, r, std, changing, abandon, func(w io.Writer, _ api.Empty) {
				fmt.Fprintf(w, "the stuck handler of call %s counts no more\n", *call)
			})
		}
		abandon := func(app *client.App, ctx context.Context) (api.Affected, error) {
			return affected(app.Abandon(ctx, *id, *by))
		}
		return ask(ctx, r, std, changing, abandon, func(w io.Writer, _ api.Affected) {
			fmt.Fprintf(w, "%s waits no more for its stuck handler\n", *id)
		})
	}
}
