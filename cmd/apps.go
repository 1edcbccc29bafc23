package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"carillon/client"
	"carillon/server/api"
	"carillon/storage"
)

// appCommands are the commands about the apps of a server.
func appCommands() []Verb {
	return []Verb{
		{"apps list", "", "list the apps of a server, by name", "apps list --prefix eu-", appsList},
		{"apps show", "name", "show an app of a server, without waking it", "apps show acme", appsShow},
		{"apps create", "name", "make an app on a server", "apps create acme", appsCreate},
		{"apps delete", "name", "remove an app of a server for good", "apps delete acme --yes", appsDelete},
		{"apps pause", "name", "have no job of an app begin", "apps pause acme --reason 'moving house'", appsPause},
		{"apps resume", "name", "end the pause of an app", "apps resume acme", appsResume},
	}
}

// namedApp declares the flags of a command about one app, whose name is also taken as an
// argument.
func namedApp(flags *flag.FlagSet) *remote {
	r := siteFlags(flags)
	r.app = flags.String("name", "", "`NAME` of the app, with or without the flag")
	return r
}

// askNamed is ask with an app that an argument names.
func askNamed[R any](ctx context.Context, r *remote, std Stdio, how access, do func(*client.App, context.Context) (R, error), text func(io.Writer, R)) error {
	if *r.app == "" {
		return usageError{errors.New("the app's name is missing")}
	}
	return ask(ctx, r, std, how, do, text)
}

func appsList(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := siteFlags(flags)
	r.rows = "apps"
	prefix := flags.String("prefix", "", "only apps whose names begin with `TEXT`")
	contains := flags.String("contains", "", "only apps whose names have `TEXT` in them")
	limit, cursor := pageFlags(flags, "apps")
	return func(ctx context.Context, std Stdio) error {
		list := func(c *client.Client, ctx context.Context) (*api.AppPage, error) {
			return client.FirstPage(c.AppPages(ctx, client.AppFilter{Prefix: *prefix, Contains: *contains, Limit: *limit, Cursor: *cursor}))
		}
		return askStore(ctx, r, std, reading, list, func(w io.Writer, page *api.AppPage) {
			printTable(w, "NAME PENDING HELD DEAD STATE", func(row func(...any)) {
				for _, app := range page.Apps {
					row(app.Name, app.Pending, app.Held, app.Dead, stateOfApp(&app))
				}
			})
			for _, volume := range page.Missing {
				fmt.Fprintf(w, "apps are left out: %s\n", volume)
			}
			sayMore(w, page.Next)
		})
	}
}

func stateOfApp(app *api.App) string {
	switch {
	case app.Fault != "":
		return app.Fault
	case app.Paused:
		return "paused"
	}
	return ""
}

func appsShow(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := namedApp(flags)
	return func(ctx context.Context, std Stdio) error {
		return askNamed(ctx, r, std, reading, (*client.App).Status, showApp)
	}
}

// showApp prints an app for people.
func showApp(w io.Writer, app *api.AppStatus) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(table, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	row("name", "%s", app.Name)
	row("volume", "%d", app.Volume)
	row("jobs", "%d pending or running, %d held, %d dead, %d finished", app.Pending, app.Held, app.Dead, app.Finished)
	switch {
	case app.Asleep && app.AlarmAt != nil:
		row("state", "asleep until %s", app.AlarmAt.Format(time.RFC3339))
	case app.Asleep:
		row("state", "asleep")
	default:
		row("state", "in memory, %d running, %d stuck", app.Running, app.Stuck)
	}
	for i, p := range app.Pauses {
		name := ""
		if i == 0 {
			name = "paused"
		}
		of := storage.Scope{App: p.Function == "" && p.Pool == "", Function: p.Function, Pool: p.Pool, PoolKey: p.PoolKey}
		row(name, "%s, since %s", storage.Pause{Of: of, By: p.By, Reason: p.Reason}, p.Since.Format(time.RFC3339))
	}
	_ = table.Flush() // to standard output, which may be gone
}

func appsCreate(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := namedApp(flags)
	return func(ctx context.Context, std Stdio) error {
		create := func(c *client.Client, ctx context.Context) (*api.AppStatus, error) { return c.CreateApp(ctx, *r.app) }
		if *r.app == "" {
			return usageError{errors.New("the app's name is missing")}
		}
		if _, err := checkApp(*r.app); err != nil {
			return err
		}
		return askStore(ctx, r, std, changing, create, func(w io.Writer, app *api.AppStatus) {
			fmt.Fprintf(w, "made %s\n", app.Name)
		})
	}
}

func appsDelete(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := namedApp(flags)
	yes := yesFlag(flags)
	return func(ctx context.Context, std Stdio) error {
		if _, err := checkApp(*r.app); err != nil {
			return err
		}
		if err := confirm(std, *yes, "remove the app "+*r.app+" with all that it has"); err != nil {
			return err
		}
		remove := func(app *client.App, ctx context.Context) (api.Empty, error) { return api.Empty{}, app.Delete(ctx) }
		return askNamed(ctx, r, std, changing, remove, func(w io.Writer, _ api.Empty) {
			fmt.Fprintf(w, "deleted %s\n", *r.app)
		})
	}
}

func appsPause(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := namedApp(flags)
	reason := flags.String("reason", "", "`TEXT` that says why")
	return func(ctx context.Context, std Stdio) error {
		pause := func(app *client.App, ctx context.Context) (*api.AppStatus, error) { return app.Pause(ctx, *reason) }
		return askNamed(ctx, r, std, changing, pause, showApp)
	}
}

func appsResume(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := namedApp(flags)
	return func(ctx context.Context, std Stdio) error {
		return askNamed(ctx, r, std, changing, (*client.App).Resume, showApp)
	}
}
