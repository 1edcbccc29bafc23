package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"carillon/server/api"
	"carillon/storage"
)

// remote is the flags of a command that asks a server, or a data directory that is not served,
// about an app if it has app.
type remote struct {
	app, site, dir, trigger *string
	token                   func() (string, error)
	output                  func() (string, error)
	rows                    string // field of the answer that has the rows of a list; "": the answer is the list
}

// siteFlags declares those of any such command.
func siteFlags(flags *flag.FlagSet) *remote {
	r := &remote{
		site:   flags.String("server", "http://"+defaultListen, "`ADDRESS` of the server, host:port or URL"),
		dir:    flags.String("data", "", "`DIR` of the data in the place of a server, if it is not being served"),
		output: outputFlag(flags),
	}
	r.token = siteToken(flags, r.site)
	return r
}

// remoteFlags declares them. The trigger's name is also taken as an argument.
func remoteFlags(flags *flag.FlagSet, named bool) *remote {
	r := siteFlags(flags)
	r.app = appFlag(flags, "`APP` that it is about")
	if named {
		r.trigger = flags.String("name", "", "`NAME` of the trigger, with or without the flag")
	}
	return r
}

// itemFlags declares the flags of a command about one thing of an app, which has an id or a
// name, and returns what says where that is, below base.
func itemFlags(flags *flag.FlagSet, what, id, base string) (r *remote, path func() (string, error)) {
	r = remoteFlags(flags, false)
	name := flags.String("name", "", "`"+strings.ToUpper(id)+"` of the "+what+", with or without the flag")
	return r, func() (string, error) {
		if *name == "" {
			return "", usageError{fmt.Errorf("the %s's %s is missing", what, id)}
		}
		return base + url.PathEscape(*name), nil
	}
}

// client returns what is asked. reads says that nothing is changed.
func (r *remote) client(std Stdio, reads bool) (*client, error) {
	if *r.dir != "" {
		return openDirectory(std, *r.dir, reads)
	}
	return newClient(*r.site, r.token)
}

// do asks the server about triggers. path follows the trigger's name, if there is one.
func do[R any](ctx context.Context, r *remote, std Stdio, method, path string, body any, text func(io.Writer, R)) error {
	where := "/crons"
	if r.trigger != nil {
		if *r.trigger == "" {
			return usageError{errors.New("the trigger's name is missing")}
		}
		if err := storage.CheckTriggerName(*r.trigger); err != nil {
			return usageError{err}
		}
		where += "/" + *r.trigger
	}
	return ask(ctx, r, std, method, where+path, body, text)
}

// ask asks the server about the app and prints the answer as JSON, or else with text.
// path follows the app's.
func ask[R any](ctx context.Context, r *remote, std Stdio, method, path string, body any, text func(io.Writer, R)) error {
	app, err := checkApp(*r.app)
	if err != nil {
		return err
	}
	path = "/v1/apps/" + url.PathEscape(string(app)) + path
	return send(ctx, r, std, method, path, body, text)
}

// send asks the server and prints the answer as JSON, or else with text.
func send[R any](ctx context.Context, r *remote, std Stdio, method, path string, body any, text func(io.Writer, R)) error {
	form, err := r.output()
	if err != nil {
		return err
	}
	c, err := r.client(std, method == http.MethodGet)
	if err != nil {
		return err
	}
	defer c.close()
	if form != formTable {
		var result json.RawMessage // as the server wrote it, numbers of any size included
		if err := c.do(ctx, method, path, body, &result); err != nil {
			return err
		}
		return printAs(std.Out, form, result, r.rows)
	}
	var result R
	if err := c.do(ctx, method, path, body, &result); err != nil {
		return err
	}
	text(std.Out, result)
	return nil
}

func cronsList(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags, false)
	return func(ctx context.Context, std Stdio) error {
		return do(ctx, r, std, http.MethodGet, "", nil, func(w io.Writer, crons []api.Cron) {
			printTable(w, "NAME RUNS FUNCTION NEXT LAST", func(row func(...any)) {
				for _, c := range crons {
					row(c.Name, c.Description, c.Function, nextOf(&c), lastOf(&c)+overdueOf(&c))
				}
			})
		})
	}
}

func cronsShow(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags, true)
	slots := flags.Int("slots", 20, "`N` latest slots, 0 to 200")
	return func(ctx context.Context, std Stdio) error {
		return do(ctx, r, std, http.MethodGet, fmt.Sprintf("?slots=%d", *slots), nil, showCron)
	}
}

func cronsRun(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags, true)
	return func(ctx context.Context, std Stdio) error {
		return do(ctx, r, std, http.MethodPost, "/run", nil, func(w io.Writer, run api.CronRun) {
			fmt.Fprintln(w, run.JobID)
		})
	}
}

func cronsPause(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags, true)
	reason := flags.String("reason", "", "`TEXT` that says why")
	return func(ctx context.Context, std Stdio) error {
		body := map[string]string{"reason": *reason}
		return do(ctx, r, std, http.MethodPost, "/pause", body, func(w io.Writer, c api.Cron) {
			fmt.Fprintf(w, "%s is %s\n", c.Name, nextOf(&c))
		})
	}
}

func cronsResume(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags, true)
	return func(ctx context.Context, std Stdio) error {
		return do(ctx, r, std, http.MethodPost, "/resume", nil, func(w io.Writer, c api.Cron) {
			fmt.Fprintf(w, "%s ticks next at %s\n", c.Name, nextOf(&c))
		})
	}
}

// cronsUpsert makes a trigger, or makes one another that is there.
func cronsUpsert(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags, true)
	var c api.CronDefinition
	flags.StringVar(&c.Spec, "spec", "", "`SPEC` of five or six fields, @daily and the like, or @every 90s")
	flags.StringVar(&c.Zone, "zone", "", "`ZONE`, an IANA name such as Europe/Rome; UTC if not given")
	flags.StringVar(&c.Function, "function", "", "`PATH` of the mutation or action that it runs")
	args := flags.String("args", "", "`JSON` of its arguments, - for standard input; {} if not given")
	overlap := flags.String("overlap", "", "`WAY` of a slot while the run before goes on: skip, queue, allow, replace")
	timeout := flags.Duration("timeout", 0, "`TIME` that an attempt may take")
	jitter := flags.Duration("jitter", 0, "`TIME` by which a slot is put off at most")
	success := flags.Duration("success-within", 0, "`TIME` without a success that is too long")
	flags.BoolVar(&c.AtMostOnce, "at-most-once", false, "an attempt that has begun is its last")
	flags.Func("tag", "`TAG` of its jobs, up to 8 times", func(tag string) error {
		c.Tags = append(c.Tags, tag)
		return nil
	})
	return func(ctx context.Context, std Stdio) (err error) {
		switch {
		case c.Spec == "":
			return usageError{errors.New("--spec is missing")}
		case c.Function == "":
			return usageError{errors.New("--function is missing")}
		}
		if c.Args, err = argsOf(std, *args); err != nil {
			return err
		}
		c.Overlap, c.Name = api.Overlap(*overlap), *r.trigger
		c.TimeoutMs, c.JitterMs, c.SuccessWithinMs = timeout.Milliseconds(), jitter.Milliseconds(), success.Milliseconds()
		return do(ctx, r, std, http.MethodPut, "", c, func(w io.Writer, c api.Cron) {
			fmt.Fprintf(w, "%s ticks next at %s\n", c.Name, nextOf(&c))
		})
	}
}

func cronsBackfill(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags, true)
	from := instantFlag(flags, "from", "`INSTANT` in RFC 3339 from which slots are run")
	to := instantFlag(flags, "to", "`INSTANT` in RFC 3339 before which they are")
	again := flags.Bool("again", false, "slots that have run already run once more")
	reason := flags.String("reason", "", "`TEXT` that says why")
	cancel := flags.Bool("cancel", false, "end the one that goes on, in the place of beginning one")
	return func(ctx context.Context, std Stdio) error {
		if *cancel {
			return do(ctx, r, std, http.MethodDelete, "/backfill", nil, func(w io.Writer, c api.Cron) {
				if b := c.Backfill; b != nil {
					fmt.Fprintf(w, "%s: %d of %d slots have begun\n", b.Outcome, b.Begun, b.Slots)
				}
			})
		}
		if from() == nil || to() == nil {
			return usageError{errors.New("want --from and --to, or --cancel")}
		}
		body := api.BackfillRequest{From: *from(), To: *to(), Again: *again, Reason: *reason}
		return do(ctx, r, std, http.MethodPost, "/backfill", body, func(w io.Writer, b api.CronBackfill) {
			fmt.Fprintf(w, "%d slots are run, one after the other\n", b.Slots)
		})
	}
}

func cronsDelete(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags, true)
	yes := yesFlag(flags)
	return func(ctx context.Context, std Stdio) error {
		if err := confirm(std, *yes, "remove the trigger "+*r.trigger); err != nil {
			return err
		}
		return do(ctx, r, std, http.MethodDelete, "", nil, func(w io.Writer, _ json.RawMessage) {
			fmt.Fprintf(w, "deleted %s\n", *r.trigger)
		})
	}
}

// showCron prints a trigger for people.
func showCron(w io.Writer, c api.Cron) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(table, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	row("name", "%s", c.Name)
	row("runs", "%s", c.Description)
	if !c.AtStart {
		row("spec", "%s (%s)", c.Spec, c.Zone)
	}
	row("function", "%s %s", c.Function, c.Args)
	made := "at run time"
	if c.Declared {
		made = "declared by the program"
	}
	row("made", "%s, %s", made, c.CreatedAt.Format(time.RFC3339))
	row("overlap", "%s", c.Overlap)
	if !c.AtStart {
		row("catch-up", "%s", catchUpOf(&c))
	}
	row("jitter", "up to %v", time.Duration(c.JitterMs)*time.Millisecond)
	row("attempts", "%s", attemptsOf(&c.Retry))
	if c.TimeoutMs > 0 {
		row("timeout", "%v", time.Duration(c.TimeoutMs)*time.Millisecond)
	}
	if c.AtMostOnce {
		row("runs", "at most once a slot")
	}
	if c.As != nil {
		row("as", "%s", c.As.Subject)
	}
	if len(c.Tags) > 0 {
		row("tags", "%s", strings.Join(c.Tags, ", "))
	}
	row("next", "%s", nextOf(&c))
	for _, at := range c.Next[min(1, len(c.Next)):] {
		row("", "%s", tickOf(at))
	}
	if c.HeldJob != "" {
		row("held", "%s, and skips its other slots", c.HeldJob)
	}
	row("last", "%s", lastOf(&c))
	if c.SuccessWithinMs > 0 {
		row("success", "wanted every %v%s", time.Duration(c.SuccessWithinMs)*time.Millisecond, overdueOf(&c))
	}
	for i, s := range c.Slots {
		name := ""
		if i == 0 {
			name = "slots"
		}
		row(name, "%s", slotLine(&s))
	}
	if slices.ContainsFunc(c.Slots, func(s api.CronSlot) bool { return s.Outcome == api.SlotFired }) {
		row("", "fired: a run was begun; what came of it: jobs show")
	}
	_ = table.Flush() // to standard output, which may be gone
}

func attemptsOf(r *api.Retry) string {
	if r.MaxAttempts == 1 {
		return "1"
	}
	text := fmt.Sprintf("%d, %s from %v", r.MaxAttempts, r.Backoff, time.Duration(r.BaseMs)*time.Millisecond)
	if r.MaxMs > 0 {
		text += fmt.Sprintf(" to %v", time.Duration(r.MaxMs)*time.Millisecond)
	}
	if r.Jitter {
		text += ", with jitter"
	}
	return text
}

func catchUpOf(c *api.Cron) string {
	text := string(c.CatchUp.Mode)
	if c.CatchUp.Limit > 0 {
		text += fmt.Sprintf(", at most %d", c.CatchUp.Limit)
	}
	if c.CatchUp.WindowMs > 0 {
		text += fmt.Sprintf(" of the last %v", time.Duration(c.CatchUp.WindowMs)*time.Millisecond)
	}
	return text
}

// nextOf is the next slot, or why there is none.
func nextOf(c *api.Cron) string {
	switch {
	case c.Paused && c.PauseReason != "":
		return "paused: " + strings.Join(strings.Fields(c.PauseReason), " ")
	case c.Paused:
		return "paused"
	case c.Fault != "":
		return "never: " + strings.Join(strings.Fields(c.Fault), " ")
	case len(c.Next) == 0 && c.AtStart:
		return "when the program starts"
	case len(c.Next) == 0:
		return "never"
	}
	return tickOf(c.Next[0])
}

// tickOf is a slot, and when it is run if that is later.
func tickOf(next api.CronNext) string {
	text := next.Slot.Format(time.RFC3339Nano)
	if !next.At.Equal(next.Slot) {
		text += ", run at " + next.At.Format(time.RFC3339Nano)
	}
	return text
}

// overdueOf says that the last success is too long ago, if it is.
func overdueOf(c *api.Cron) string {
	switch {
	case !c.Overdue:
		return ""
	case c.LastSuccessAt == nil:
		return ", OVERDUE: none yet"
	}
	return ", OVERDUE: the last one was at " + c.LastSuccessAt.Format(time.RFC3339)
}

// lastOf is how the last tick ended.
func lastOf(c *api.Cron) string {
	if c.Last == nil {
		return "none yet"
	}
	text := string(c.Last.State)
	if slot := c.Last.Slot; slot != nil {
		text += " for " + slot.Format(time.RFC3339Nano)
	}
	if err := c.Last.Error; err != nil {
		text += ": " + strings.Join(strings.Fields(err.Message), " ")
	}
	return text
}

// slotLine is one slot, or a run of them that ended alike.
func slotLine(s *api.CronSlot) string {
	text := s.From.Format(time.RFC3339Nano)
	switch {
	case s.Count == 0:
		text += " … " + s.To.Format(time.RFC3339Nano) + " (many)"
	case s.Count > 1:
		text += " … " + s.To.Format(time.RFC3339Nano) + fmt.Sprintf(" (%d)", s.Count)
	}
	text += " " + string(s.Outcome)
	if s.Reason != "" {
		text += ", " + strings.Join(strings.Fields(s.Reason), " ")
	}
	if s.JobID != "" {
		text += " " + string(s.JobID)
	}
	return text
}
