package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"carillon/server/api"
	"carillon/storage"
)

// appCommands are the commands about the apps of a server.
func appCommands() []Verb {
	return []Verb{
		{"apps list", "", "list the apps of a server, by name", appsList},
		{"apps show", "name", "show an app of a server, without waking it", appsShow},
		{"apps create", "name", "make an app on a server", appsCreate},
		{"apps delete", "name", "remove an app of a server for good", appsDelete},
		{"apps pause", "name", "have no job of an app begin", appsPause},
		{"apps resume", "name", "end the pause of an app", appsResume},
	}
}

// namedApp declares the flags of a command about one app, whose name is also taken as an
// argument.
func namedApp(flags *flag.FlagSet) *remote {
	r := siteFlags(flags)
	r.app = flags.String("name", "", "`NAME` of the app, with or without the flag")
	return r
}

// needName refuses a command without the app's name.
func (r *remote) needName() error {
	if *r.app == "" {
		return usageError{errors.New("the app's name is missing")}
	}
	return nil
}

func appsList(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := siteFlags(flags)
	r.rows = "apps"
	prefix := flags.String("prefix", "", "only apps whose names begin with `TEXT`")
	contains := flags.String("contains", "", "only apps whose names have `TEXT` in them")
	limit := flags.Int("n", 100, "`N` apps at most, 1 to 1000")
	cursor := flags.String("cursor", "", "`CURSOR` that the page before ended with")
	return func(ctx context.Context, std Stdio) error {
		query := url.Values{"limit": {strconv.Itoa(*limit)}}
		for key, text := range map[string]string{"prefix": *prefix, "contains": *contains, "cursor": *cursor} {
			if text != "" {
				query.Set(key, text)
			}
		}
		return send(ctx, r, std, http.MethodGet, "/v1/apps?"+query.Encode(), nil, func(w io.Writer, page api.AppPage) {
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
		if err := r.needName(); err != nil {
			return err
		}
		return ask(ctx, r, std, http.MethodGet, "", nil, showApp)
	}
}

// showApp prints an app for people.
func showApp(w io.Writer, app api.AppStatus) {
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
		if err := r.needName(); err != nil {
			return err
		}
		app, err := checkApp(*r.app)
		if err != nil {
			return err
		}
		return send(ctx, r, std, http.MethodPost, "/v1/apps", api.NewApp{Name: string(app)}, func(w io.Writer, app api.AppStatus) {
			fmt.Fprintf(w, "made %s\n", app.Name)
		})
	}
}

func appsDelete(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := namedApp(flags)
	again := flags.String("confirm", "", "`NAME` of the app once more: it is gone for good")
	return func(ctx context.Context, std Stdio) error {
		if err := r.needName(); err != nil {
			return err
		}
		if *again != *r.app {
			return usageError{fmt.Errorf("the app is gone for good then: --confirm %s says that it is this one", *r.app)}
		}
		return ask(ctx, r, std, http.MethodDelete, "", api.DeleteApp{Name: *r.app}, func(w io.Writer, _ struct{}) {
			fmt.Fprintf(w, "deleted %s\n", *r.app)
		})
	}
}

func appsPause(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := namedApp(flags)
	reason := flags.String("reason", "", "`TEXT` that says why")
	return func(ctx context.Context, std Stdio) error {
		if err := r.needName(); err != nil {
			return err
		}
		return ask(ctx, r, std, http.MethodPost, "/pause", api.PauseApp{Reason: *reason}, showApp)
	}
}

func appsResume(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := namedApp(flags)
	return func(ctx context.Context, std Stdio) error {
		if err := r.needName(); err != nil {
			return err
		}
		return ask(ctx, r, std, http.MethodPost, "/resume", nil, showApp)
	}
}
