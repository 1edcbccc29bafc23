package cmd

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"carillon/client"
	"carillon/server/api"
	"carillon/storage"
)

// operationCommands are the commands about what is done to many jobs.
func operationCommands() []Verb {
	return []Verb{
		{"operations list", "", "list what is and was done to many jobs at once, the latest first", "operations list --app acme --going", operationsList},
		{"operations get", "name", "show an operation and how far it is", "operations get 7 --app acme", operationsGet},
		{"operations cancel", "name", "stop an operation where it is", "operations cancel 7 --app acme", operationsCancel},
	}
}

// operationPause is how long the command waits before it asks again how far an operation is.
const operationPause = 100 * time.Millisecond

// operate starts an operation and waits for its end. On a terminal it asks first, with the
// number of jobs; the operation then is on none that came later. Elsewhere one that cannot be undone
// needs --yes.
func operate(ctx context.Context, r *remote, std Stdio, o api.NewOperation, yes bool, tell func(io.Writer, int)) error {
	form, err := r.output()
	if err != nil {
		return err
	}
	final := o.Action == api.OperationCancel || o.Action == api.OperationDrop
	if final && !isTerminal(std.In) {
		if err := confirm(std, yes, string(o.Action)+" jobs (--dry-run says how many)"); err != nil {
			return err
		}
	}
	name, err := r.appOf()
	if err != nil {
		return err
	}
	at, err := r.open(std, changing)
	if err != nil {
		return err
	}
	defer at.close()
	app := at.App(name)
	if !yes && isTerminal(std.In) {
		n, err := app.CountOperation(ctx, o)
		if err != nil {
			return at.told(err)
		}
		if err := askPerson(std, string(o.Action)+" "+countOf(n.Jobs, n.More)+" of "+name); err != nil {
			return err
		}
		o.AsOf = n.AsOf
	}
	going, err := app.StartOperation(ctx, o)
	if err != nil {
		return at.told(err)
	}
	show := newProgress(std.Err, func() (string, int64, int64) { return string(o.Action), 0, 0 })
	defer show.stop()
	for going.Outcome == api.OperationGoing {
		select {
		case <-time.After(operationPause):
		case <-ctx.Done():
			return fmt.Errorf("operation %d goes on; %s operations cancel --app %s %d stops it: %w", going.ID, std.name, name, going.ID, ctx.Err())
		}
		if going, err = app.Operation(ctx, going.ID); err != nil {
			return at.told(err)
		}
	}
	show.stop()
	if form != formTable {
		return printJSON(std.Out, going)
	}
	tell(std.Out, going.Done)
	switch {
	case going.Outcome == api.OperationFailed && going.Error != nil:
		return fmt.Errorf("operation %d has failed after that: %s", going.ID, going.Error.Message)
	case going.Outcome == api.OperationCanceled:
		return fmt.Errorf("operation %d was canceled after that", going.ID)
	}
	return nil
}

// jobsAre is a number of jobs with its verb.
func jobsAre(n int) string {
	if n == 1 {
		return "1 job is"
	}
	return fmt.Sprintf("%d jobs are", n)
}

// countOf is a number of jobs, which may be the least that there are.
func countOf(n int, more bool) string {
	switch {
	case more:
		return fmt.Sprintf("more than %d jobs", n)
	case n == 1:
		return "1 job"
	}
	return fmt.Sprintf("%d jobs", n)
}

// shownFilter is the filter as a body has it.
func shownFilter(f *storage.JobFilter) api.JobFilter {
	shown := api.JobFilter{
		Function: f.Function, Trigger: f.Trigger, Error: f.Error, Tags: f.Tags, Pool: f.Pool, PoolKey: f.PoolKey,
		UniqueKey: f.UniqueKey, Due: api.TimeRange(f.Due), Ended: api.TimeRange(f.Ended), Group: uint64(f.Group), Parent: string(f.Parent),
		IDContains: f.IDContains, ArgsContains: f.ArgsContains, Priority: f.Priority,
	}
	for _, s := range f.States {
		shown.States = append(shown.States, api.State(s))
	}
	return shown
}

func operationsList(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags)
	r.rows = "operations"
	going := flags.Bool("going", false, "only operations that go on")
	limit, cursor := pageFlags(flags, "operations")
	return func(ctx context.Context, std Stdio) error {
		list := func(app *client.App, ctx context.Context) (*api.OperationPage, error) {
			return client.FirstPage(app.OperationPages(ctx, client.OperationFilter{Going: *going, Limit: *limit, Cursor: *cursor}))
		}
		return ask(ctx, r, std, reading, list, func(w io.Writer, page *api.OperationPage) {
			printTable(w, "ID ACTION OUTCOME DONE OF BY CREATED", func(row func(...any)) {
				for i := range page.Operations {
					o := &page.Operations[i]
					row(o.ID, o.Action, outcomeOf(o), o.Done, countOf(o.Counted, !o.CountedAll), o.By, o.CreatedAt.Format(time.RFC3339))
				}
			})
			sayMore(w, page.Next)
		})
	}
}

func outcomeOf(o *api.Operation) string {
	if o.Outcome == api.OperationGoing {
		return "goes on"
	}
	return string(o.Outcome)
}

func operationsGet(flags *flag.FlagSet) func(context.Context, Stdio) error {
	return operationsDo(flags, reading, (*client.App).Operation)
}

func operationsCancel(flags *flag.FlagSet) func(context.Context, Stdio) error {
	return operationsDo(flags, changing, (*client.App).CancelOperation)
}

func operationsDo(flags *flag.FlagSet, how access, do func(*client.App, context.Context, uint64) (*api.Operation, error)) func(context.Context, Stdio) error {
	r, id := numberFlags(flags, "operation")
	return func(ctx context.Context, std Stdio) error {
		operation, err := id()
		if err != nil {
			return err
		}
		of := func(app *client.App, ctx context.Context) (*api.Operation, error) { return do(app, ctx, operation) }
		return ask(ctx, r, std, how, of, func(w io.Writer, o *api.Operation) {
			text := fmt.Sprintf("%s of %s: %s, %d done", o.Action, countOf(o.Counted, !o.CountedAll), outcomeOf(o), o.Done)
			if o.Error != nil {
				text += ", " + o.Error.Message
			}
			fmt.Fprintln(w, text)
		})
	}
}
