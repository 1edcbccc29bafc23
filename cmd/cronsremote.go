package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"carillon/client"
	"carillon/server/api"
)

func cronsList(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags)
	return func(ctx context.Context, std Stdio) error {
		return ask(ctx, r, std, reading, (*client.App).Crons, func(w io.Writer, crons []api.Cron) {
			printTable(w, "NAME RUNS FUNCTION NEXT LAST", func(row func(...any)) {
				for _, c := range crons {
					row(c.Name, c.Description, c.Function, nextOf(&c), lastOf(&c)+overdueOf(&c))
				}
			})
		})
	}
}

// askCron asks about the trigger of the flags.
func askCron[R any](ctx context.Context, r *remote, name func() (string, error), std Stdio, how access, do func(*client.App, context.Context, string) (R, error), text func(io.Writer, R)) error {
	trigger, err := name()
	if err != nil {
		return err
	}
	of := func(app *client.App, ctx context.Context) (R, error) { return do(app, ctx, trigger) }
	return ask(ctx, r, std, how, of, text)
}

func cronsShow(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, name := triggerFlags(flags)
	slots := flags.Int("slots", 20, "`N` latest slots, 0 to 200")
	return func(ctx context.Context, std Stdio) error {
		show := func(app *client.App, ctx context.Context, trigger string) (*api.Cron, error) {
			return app.Cron(ctx, trigger, *slots)
		}
		return askCron(ctx, r, name, std, reading, show, showCron)
	}
}

func cronsRun(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, name := triggerFlags(flags)
	return func(ctx context.Context, std Stdio) error {
		run := func(app *client.App, ctx context.Context, trigger string) (api.CronRun, error) {
			id, err := app.RunCron(ctx, trigger)
			return api.CronRun{JobID: id}, err
		}
		return askCron(ctx, r, name, std, changing, run, func(w io.Writer, run api.CronRun) {
			fmt.Fprintln(w, run.JobID)
		})
	}
}

func cronsPause(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, name := triggerFlags(flags)
	reason := flags.String("reason", "", "`TEXT` that says why")
	return func(ctx context.Context, std Stdio) error {
		pause := func(app *client.App, ctx context.Context, trigger string) (*api.Cron, error) {
			return app.PauseCron(ctx, trigger, *reason)
		}
		return askCron(ctx, r, name, std, changing, pause, func(w io.Writer, c *api.Cron) {
			fmt.Fprintf(w, "%s is %s\n", c.Name, nextOf(c))
		})
	}
}

func cronsResume(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, name := triggerFlags(flags)
	return func(ctx context.Context, std Stdio) error {
		return askCron(ctx, r, name, std, changing, (*client.App).ResumeCron, sayNext)
	}
}

// sayNext says when a trigger ticks next.
func sayNext(w io.Writer, c *api.Cron) { fmt.Fprintf(w, "%s ticks next at %s\n", c.Name, nextOf(c)) }

// cronsUpsert makes a trigger, or makes one another that is there.
func cronsUpsert(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, name := triggerFlags(flags)
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
		c.Overlap = api.Overlap(*overlap)
		c.TimeoutMs, c.JitterMs, c.SuccessWithinMs = timeout.Milliseconds(), jitter.Milliseconds(), success.Milliseconds()
		put := func(app *client.App, ctx context.Context, trigger string) (*api.Cron, error) {
			c.Name = trigger
			return app.PutCron(ctx, c)
		}
		return askCron(ctx, r, name, std, changing, put, sayNext)
	}
}

func cronsBackfill(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, name := triggerFlags(flags)
	from := instantFlag(flags, "from", "`INSTANT` in RFC 3339 from which slots are run")
	to := instantFlag(flags, "to", "`INSTANT` in RFC 3339 before which they are")
	again := flags.Bool("again", false, "slots that have run already run once more")
	reason := flags.String("reason", "", "`TEXT` that says why")
	cancel := flags.Bool("cancel", false, "end the one that goes on, in the place of beginning one")
	return func(ctx context.Context, std Stdio) error {
		if *cancel {
			return askCron(ctx, r, name, std, changing, (*client.App).CancelBackfill, func(w io.Writer, c *api.Cron) {
				if b := c.Backfill; b != nil {
					fmt.Fprintf(w, "%s: %d of %d slots have begun\n", b.Outcome, b.Begun, b.Slots)
				}
			})
		}
		if from() == nil || to() == nil {
			return usageError{errors.New("want --from and --to, or --cancel")}
		}
		begin := func(app *client.App, ctx context.Context, trigger string) (api.CronBackfill, error) {
			return app.BackfillCron(ctx, trigger, api.BackfillRequest{From: *from(), To: *to(), Again: *again, Reason: *reason})
		}
		return askCron(ctx, r, name, std, changing, begin, func(w io.Writer, b api.CronBackfill) {
			fmt.Fprintf(w, "%d slots are run, one after the other\n", b.Slots)
		})
	}
}

func cronsDelete(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, name := triggerFlags(flags)
	yes := yesFlag(flags)
	return func(ctx context.Context, std Stdio) error {
		trigger, err := name()
		if err != nil {
			return err
		}
		if err := confirm(std, *yes, "remove the trigger "+trigger); err != nil {
			return err
		}
		remove := func(app *client.App, ctx context.Context) (api.Empty, error) {
			return api.Empty{}, app.DeleteCron(ctx, trigger)
		}
		return ask(ctx, r, std, changing, remove, func(w io.Writer, _ api.Empty) {
			fmt.Fprintf(w, "deleted %s\n", trigger)
		})
	}
}

// showCron prints a trigger for people.
func showCron(w io.Writer, c *api.Cron) {
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
		row("catch-up", "%s", catchUpOf(c))
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
	row("next", "%s", nextOf(c))
	for _, at := range c.Next[min(1, len(c.Next)):] {
		row("", "%s", tickOf(at))
	}
	if c.HeldJob != "" {
		row("held", "%s, and skips its other slots", c.HeldJob)
	}
	row("last", "%s", lastOf(c))
	if c.SuccessWithinMs > 0 {
		row("success", "wanted every %v%s", time.Duration(c.SuccessWithinMs)*time.Millisecond, overdueOf(c))
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
