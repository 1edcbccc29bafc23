package cmd

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"carillon/client"
	"carillon/dispatch"
	"carillon/server/api"
)

// jobsWatch prints what happens to jobs, a line each, until it is stopped. It goes on behind the last
// event when the connection is lost, or the server restarts.
func jobsWatch(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, id := jobFlags(flags)
	filter := filterFlags(flags)
	after := flags.String("after", "", "go on behind the `EVENT`, which is the \"after\" of a line of -o jsonl; the server knows it for a minute")
	span := flags.Duration("for", 0, "end after that `TIME`; 0 is never")
	untilEnded := flags.Bool("until-ended", false, "end when all jobs that were shown have ended; with --for, an error if they have not by then")
	return func(ctx context.Context, std Stdio) error {
		f, err := filter()
		if err != nil {
			return err
		}
		form, err := r.output()
		if err != nil {
			return err
		}
		app, err := r.appOf()
		switch {
		case err != nil:
			return err
		case *span < 0:
			return usageError{fmt.Errorf("--for is %v, want 0s or more", *span)}
		case *r.dir != "":
			return usageError{fmt.Errorf("nothing happens to jobs of a directory that is not served: watch its server, with --server; or see jobs list --data %s", *r.dir)}
		}
		chosen := shownFilter(&f)
		if chosen.ID = *id; *id == "" && len(f.States) == 0 {
			chosen.States = []api.State{api.StatePending, api.StateRunning, api.StateHeld}
		}
		at, err := r.open(std, reading)
		if err != nil {
			return err
		}
		defer at.close()
		if *id != "" {
			if _, err := at.App(app).Job(ctx, *id); err != nil { // there is none: that is no event
				return at.told(err)
			}
		}
		watching := ctx
		if *span > 0 {
			limited, cancel := context.WithTimeout(ctx, *span)
			defer cancel()
			watching = limited
		}
		w := &watch{out: std.Out, err: std.Err, form: form, open: map[uint64]bool{}}
		for e, err := range at.App(app).Events(watching, chosen, *after) {
			if err == nil {
				err = w.show(&e)
			}
			switch {
			case err != nil && watching.Err() == nil:
				return at.told(err)
			case err != nil && !*untilEnded:
				return nil // the time is over, or a person has stopped it: that is how it ends
			case err != nil && ctx.Err() == nil:
				return dispatch.Errorf(dispatch.CodeDeadlineExceeded, "after %v %s still not ended", *span, jobsAre(len(w.open)))
			case err != nil:
				return ctx.Err()
			case *untilEnded && w.whole && len(w.open) == 0:
				return nil
			}
		}
		return nil
	}
}

// watch prints events.
type watch struct {
	out, err io.Writer
	form     string
	headed   bool            // the head of the table is printed
	whole    bool            // the snapshot is
	open     map[uint64]bool // jobs that were shown and have not ended
}

// eventLine is an event as JSON.
type eventLine struct {
	Event         api.EventKind `json:"event"`
	*api.JobEvent               // none of reset, lagged and ready
	Reason        string        `json:"reason,omitempty"` // of reset and lagged
	After         string        `json:"after,omitempty"`  // where --after goes on; none within a snapshot
}

// show prints the event. An error is that of standard output.
func (w *watch) show(e *client.Event) error {
	line := eventLine{Event: e.Kind, Reason: e.Reason, After: e.After}
	again := false
	switch e.Kind {
	case api.EventReset, api.EventLagged:
		again, w.whole = w.whole, false
		clear(w.open)
	case api.EventReady:
		w.whole = true
	default:
		line.JobEvent = &e.JobEvent
		if e.Job != nil {
			w.open[e.Seq] = true
			if e.Left || e.Job.EndedAt != nil || e.Kind == api.EventPurged { // no more is told of it
				delete(w.open, e.Seq)
			}
		}
	}
	if w.form != formTable {
		return printJSON(w.out, line)
	}
	if again {
		fmt.Fprintf(w.err, "events may be missing (%s): what follows is as it is now\n", e.Reason)
	}
	return w.row(e)
}

// row prints the event for people, in columns that do not wait for the rows that follow.
func (w *watch) row(e *client.Event) error {
	row := func(cells ...any) error {
		text := fmt.Sprintf("%-11s  %-26s  %-8s  %-24s  %-32s  %s", cells...)
		_, err := fmt.Fprintln(w.out, strings.TrimRight(text, " "))
		return err
	}
	if !w.headed {
		w.headed = true
		if err := row("EVENT", "ID", "STATE", "FUNCTION", "WHEN", "WHY"); err != nil {
			return err
		}
	}
	switch {
	case e.Job != nil:
		return row(e.Kind, e.ID, e.Job.State, e.Job.Function, whenOf(e.Job), whyOf(e.Job))
	case e.Progress != nil:
		return row(e.Kind, e.ID, "", "", "", progressText(e.Progress))
	}
	return nil
}

// progressText is how far an attempt is.
func progressText(p *api.Progress) string {
	text := fmt.Sprint(p.Done)
	if p.Total > 0 {
		text = fmt.Sprintf("%d of %d", p.Done, p.Total)
	}
	if p.Note != "" {
		text += ", " + strings.Join(strings.Fields(p.Note), " ")
	}
	return text
}
