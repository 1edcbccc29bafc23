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

// remote is the flags of a command that asks a server, about an app if it has app.
type remote struct {
	app, site, trigger *string
	token              func() (string, error)
	output             func() (bool, error)
}

// siteFlags declares those of any such command.
func siteFlags(flags *flag.FlagSet) *remote {
	r := &remote{
		site:   flags.String("server", "http://"+defaultListen, "`URL` of the server"),
		output: outputFlag(flags),
	}
	r.token = siteToken(flags, r.site)
	return r
}

// remoteFlags declares them. The trigger's name is also taken as an argument.
func remoteFlags(flags *flag.FlagSet, named bool) *remote {
	r := siteFlags(flags)
	r.app = appFlag(flags, "`APP` that has the trigger")
	if named {
		r.trigger = flags.String("name", "", "`NAME` of the trigger, with or without the flag")
	}
	return r
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
	asJSON, err := r.output()
	if err != nil {
		return err
	}
	c, err := newClient(*r.site, r.token)
	if err != nil {
		return err
	}
	defer c.close()
	if asJSON {
		var result json.RawMessage // as the server wrote it, numbers of any size included
		if err := c.do(ctx, method, path, body, &result); err != nil {
			return err
		}
		return printJSON(std.Out, result)
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
			table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			for _, c := range crons {
				fmt.Fprintf(table, "%s\t%s\t%s\tnext %s\tlast %s%s\n", c.Name, c.Description, c.Function, nextOf(&c), lastOf(&c), overdueOf(&c))
			}
			_ = table.Flush() // to standard output, which may be gone
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
