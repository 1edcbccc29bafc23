package cmd

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"carillon/server/api"
	"carillon/storage"
)

// operationCommands are the commands about what is done to many jobs.
func operationCommands() []Verb {
	return []Verb{
		{"operations list", "", "list what is and was done to many jobs at once, the latest first", operationsList},
		{"operations get", "name", "show an operation and how far it is", operationsGet},
		{"operations cancel", "name", "stop an operation where it is", operationsCancel},
	}
}

// operationPause is how long the command waits before it asks again how far an operation is.
const operationPause = 100 * time.Millisecond

// operate starts an operation and waits for its end. On a terminal it asks first, with the
// number of jobs; the operation then is on none that came later.
func operate(ctx context.Context, r *remote, std Stdio, o api.NewOperation, yes bool, tell func(io.Writer, int)) error {
	form, err := r.output()
	if err != nil {
		return err
	}
	app, err := checkApp(*r.app)
	if err != nil {
		return err
	}
	c, err := r.client(std, false)
	if err != nil {
		return err
	}
	defer c.close()
	path := "/v1/apps/" + url.PathEscape(string(app)) + "/operations"
	if !yes && isTerminal(std.In) {
		var n api.OperationCount
		if err := c.do(ctx, http.MethodPost, path, o, &n); err != nil {
			return err
		}
		if err := confirm(std, yes, string(o.Action)+" "+countOf(n.Jobs, n.More)+" of "+string(app)); err != nil {
			return err
		}
		o.AsOf = n.AsOf
	}
	o.DryRun = false
	var going api.Operation
	if err := c.do(ctx, http.MethodPost, path, o, &going); err != nil {
		return err
	}
	show := newProgress(std.Err, func() (string, int64, int64) { return string(o.Action), 0, 0 })
	defer show.stop()
	path += "/" + strconv.FormatUint(going.ID, 10)
	for going.Outcome == api.OperationGoing {
		select {
		case <-time.After(operationPause):
		case <-ctx.Done():
			return fmt.Errorf("operation %d goes on; %s operations cancel --app %s %d stops it: %w", going.ID, std.name, app, going.ID, ctx.Err())
		}
		if err := c.do(ctx, http.MethodGet, path, nil, &going); err != nil {
			return err
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
		Due: api.TimeRange(f.Due), Ended: api.TimeRange(f.Ended), Group: uint64(f.Group), Parent: string(f.Parent),
		IDContains: f.IDContains, ArgsContains: f.ArgsContains, Priority: f.Priority,
	}
	for _, s := range f.States {
		shown.States = append(shown.States, api.State(s))
	}
	return shown
}

func operationsList(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags, false)
	r.rows = "operations"
	going := flags.Bool("going", false, "only operations that go on")
	limit := flags.Int("n", 100, "`N` operations at most, 1 to 1000")
	cursor := flags.String("cursor", "", "`CURSOR` that the page before ended with")
	return func(ctx context.Context, std Stdio) error {
		query := url.Values{"limit": {strconv.Itoa(*limit)}}
		if *going {
			query.Set("going", "true")
		}
		if *cursor != "" {
			query.Set("cursor", *cursor)
		}
		return ask(ctx, r, std, http.MethodGet, "/operations?"+query.Encode(), nil, func(w io.Writer, page api.OperationPage) {
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
	return operationsDo(flags, http.MethodGet, "")
}

func operationsCancel(flags *flag.FlagSet) func(context.Context, Stdio) error {
	return operationsDo(flags, http.MethodPost, "/cancel")
}

func operationsDo(flags *flag.FlagSet, method, then string) func(context.Context, Stdio) error {
	r, path := itemFlags(flags, "operation", "id", "/operations/")
	return func(ctx context.Context, std Stdio) error {
		path, err := path()
		if err != nil {
			return err
		}
		return ask(ctx, r, std, method, path+then, nil, func(w io.Writer, o api.Operation) {
			text := fmt.Sprintf("%s of %s: %s, %d done", o.Action, countOf(o.Counted, !o.CountedAll), outcomeOf(&o), o.Done)
			if o.Error != nil {
				text += ", " + o.Error.Message
			}
			fmt.Fprintln(w, text)
		})
	}
}
