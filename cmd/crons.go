package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"carillon/cron"
	"carillon/dispatch"
)

// cronCommands are the commands about cron triggers.
func (p *program) cronCommands() []Verb {
	return []Verb{
		{"crons check", "", "verify the triggers that this program declares", "crons check", p.cronsCheck},
		{"crons next", "spec", "print the next instants of a spec", "crons next '0 3 * * *' --zone Europe/Rome -n 3", cronsNext},
		{"crons list", "", "list the triggers of an app that is served", "crons list --app acme", cronsList},
		{"crons show", "name", "show a trigger and how its latest slots ended", "crons show nightly --app acme", cronsShow},
		{"crons run", "name", "run what a trigger runs now; its next slot stays", "crons run nightly --app acme", cronsRun},
		{"crons pause", "name", "let a trigger tick no more until it is resumed", "crons pause nightly --app acme --reason 'too loud'", cronsPause},
		{"crons resume", "name", "let a paused trigger tick again", "crons resume nightly --app acme", cronsResume},
		{"crons upsert", "name", "make a trigger, or change one that the program does not declare", "crons upsert nightly --app acme --spec '0 3 * * *' --function counters:bump --args '{\"key\":\"k\"}'", cronsUpsert},
		{"crons backfill", "name", "have a trigger run for slots that have passed, or end that", "crons backfill nightly --app acme --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z", cronsBackfill},
		{"crons delete", "name", "remove a trigger that the program does not declare", "crons delete nightly --app acme --yes", cronsDelete},
	}
}

// cronsCheck verifies what serve opens with.
func (p *program) cronsCheck(*flag.FlagSet) func(context.Context, Stdio) error {
	return func(_ context.Context, std Stdio) error {
		return checkCrons(std, p.Engine.Functions, p.Engine.Crons)
	}
}

// checkCrons prints each fault of the triggers on a line of standard error, and
// nothing but "ok" if there is none.
func checkCrons(std Stdio, reg *dispatch.Registry, triggers []dispatch.Trigger) error {
	plans, err := dispatch.Planner{Registry: reg, Now: time.Now()}.CheckTriggers(triggers)
	var faults dispatch.TriggerFaults
	switch {
	case errors.As(err, &faults):
		for _, fault := range faults {
			fmt.Fprintln(std.Err, oneLine(fault))
		}
		return reportedError{err}
	case err != nil:
		return err
	}
	fmt.Fprintf(std.Out, "ok, triggers: %d\n", len(plans))
	return nil
}

// maxNext bounds crons next -n.
const maxNext = 1000

// cronsNext prints the instants of a spec that nothing need have declared.
func cronsNext(flags *flag.FlagSet) func(context.Context, Stdio) error {
	spec := flags.String("spec", "", "`SPEC` of five or six fields, @daily and the like, or @every 90s, with or without the flag")
	zone := flags.String("zone", "", "`ZONE`, an IANA name such as Europe/Rome; UTC if not given")
	from := flags.String("from", "", "`INSTANT` in RFC 3339 after which they are, and from which @every counts; now if not given")
	n := flags.Int("n", 5, "`N` instants, 1 to 1000")
	output := outputFlag(flags)
	return func(_ context.Context, std Stdio) error {
		if *n < 1 || *n > maxNext {
			return usageError{fmt.Errorf("-n is %d, want 1 to %d", *n, maxNext)}
		}
		form, err := output()
		if err != nil {
			return err
		}
		at := time.Now()
		if *from != "" {
			if at, err = time.Parse(time.RFC3339, *from); err != nil {
				return usageError{fmt.Errorf("--from is %q, want an instant in RFC 3339, such as 2026-03-08T07:00:00Z", *from)}
			}
		}
		schedule, err := cron.Expr(*spec).Compile(*zone)
		if err != nil {
			return usageError{err}
		}
		schedule = schedule.WithAnchor(at)
		instants := make([]time.Time, 0, *n)
		for at = schedule.Next(at); !at.IsZero() && len(instants) < *n; at = schedule.Next(at) {
			instants = append(instants, at.UTC())
		}
		loc, err := time.LoadLocation(schedule.Zone()) // package cron has accepted it, and embeds all zones
		if err != nil {
			return err
		}
		return printList(std.Out, form, instants, func() {
			fmt.Fprintln(std.Out, schedule.Describe())
			for _, at := range instants {
				fmt.Fprintln(std.Out, wallClock(at, loc))
			}
		})
	}
}

// wallClock is an instant as people in the zone read it, and in UTC.
func wallClock(at time.Time, loc *time.Location) string {
	local := at.In(loc).Format("Mon 2006-01-02 15:04:05.999 -07:00")
	if loc == time.UTC {
		return local
	}
	return local + "  " + at.UTC().Format(time.RFC3339Nano)
}
