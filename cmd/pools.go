package cmd

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strconv"
	"time"

	"carillon/client"
	"carillon/server/api"
)

// poolCommands are the commands about pools and groups.
func poolCommands() []Verb {
	return []Verb{
		{"pools list", "", "list the pools of an app, and how full they are", "pools list --app acme", poolsList},
		{"pools limit", "name limit", "set how many attempts of a pool there are at once, until it is cleared", "pools limit refunds 3 --app acme", poolsLimit},
		{"pools clear", "name", "have a pool have the limit again that the program gives it", "pools clear refunds --app acme", poolsClear},
		{"groups list", "", "list the groups of an app, in the order they were made", "groups list --app acme", groupsList},
		{"groups get", "name", "show a group and how its jobs have ended", "groups get 7 --app acme", groupsGet},
		{"groups cancel", "name", "cancel the jobs of a group that have not ended", "groups cancel 7 --app acme --yes", groupsCancel},
	}
}

func poolsList(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags)
	return func(ctx context.Context, std Stdio) error {
		return ask(ctx, r, std, reading, (*client.App).Pools, func(w io.Writer, pools []api.Pool) {
			printTable(w, "NAME LIMIT RUNNING QUEUED OLDEST STATE", func(row func(...any)) {
				for i := range pools {
					p := &pools[i]
					oldest, state := "-", "open"
					if p.Oldest != nil {
						oldest = p.Oldest.Format(time.RFC3339)
					}
					if p.Paused != nil {
						state = "paused " + p.Paused.Reason
					}
					row(p.Name, p.Limit, p.Running, p.Queued, oldest, state)
				}
			})
		})
	}
}

func poolsLimit(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, name := itemFlags(flags, "pool", "name")
	limit := flags.Int("limit", 0, "`N` attempts at once, with or without the flag")
	return func(ctx context.Context, std Stdio) error {
		pool, err := name()
		if err != nil {
			return err
		}
		if *limit < 1 {
			return usageError{fmt.Errorf("the limit is %d, want 1 or more", *limit)}
		}
		set := func(app *client.App, ctx context.Context) (api.Empty, error) {
			return api.Empty{}, app.LimitPool(ctx, pool, *limit)
		}
		return ask(ctx, r, std, changing, set, func(w io.Writer, _ api.Empty) {
			fmt.Fprintf(w, "at most %d at once\n", *limit)
		})
	}
}

func poolsClear(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, name := itemFlags(flags, "pool", "name")
	return func(ctx context.Context, std Stdio) error {
		pool, err := name()
		if err != nil {
			return err
		}
		unset := func(app *client.App, ctx context.Context) (api.Changed, error) {
			changed, err := app.ClearPoolLimit(ctx, pool)
			return api.Changed{Changed: changed}, err
		}
		return ask(ctx, r, std, changing, unset, func(w io.Writer, c api.Changed) {
			if c.Changed {
				fmt.Fprintln(w, "it has the limit of the program again")
			} else {
				fmt.Fprintln(w, "it had the limit of the program")
			}
		})
	}
}

func groupsList(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := remoteFlags(flags)
	r.rows = "groups"
	limit := limitFlag(flags, "groups")
	after := flags.Uint64("cursor", 0, "`CURSOR` that the page before ended with")
	return func(ctx context.Context, std Stdio) error {
		list := func(app *client.App, ctx context.Context) (*api.GroupPage, error) {
			return client.FirstPage(app.GroupPages(ctx, client.GroupFilter{Limit: *limit, After: *after}))
		}
		return ask(ctx, r, std, reading, list, func(w io.Writer, page *api.GroupPage) {
			printTable(w, "ID STATE PENDING SUCCESS FAILED CANCELED EXPIRED CREATED", func(row func(...any)) {
				for i := range page.Groups {
					g := &page.Groups[i]
					row(g.ID, stateOfGroup(g), g.Pending, g.Ends.Success, g.Ends.Failed, g.Ends.Canceled, g.Ends.Expired, g.CreatedAt.Format(time.RFC3339))
				}
			})
			if page.Next > 0 {
				sayMore(w, strconv.FormatUint(page.Next, 10))
			}
		})
	}
}

func stateOfGroup(g *api.Group) string {
	switch {
	case g.EndedAt != nil:
		return "ended"
	case g.Canceled:
		return "canceled"
	case g.Sealed:
		return "sealed"
	}
	return "open"
}

func groupsGet(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, id := numberFlags(flags, "group")
	return func(ctx context.Context, std Stdio) error {
		group, err := id()
		if err != nil {
			return err
		}
		get := func(app *client.App, ctx context.Context) (api.Group, error) { return app.Group(ctx, group) }
		return ask(ctx, r, std, reading, get, func(w io.Writer, g api.Group) {
			fmt.Fprintf(w, "group %d is %s: %d pending, %d success, %d failed, %d canceled, %d expired\n",
				g.ID, stateOfGroup(&g), g.Pending, g.Ends.Success, g.Ends.Failed, g.Ends.Canceled, g.Ends.Expired)
			if g.FollowUp != "" {
				fmt.Fprintf(w, "when it ended it has scheduled %s\n", g.FollowUp)
			}
		})
	}
}

func groupsCancel(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r, id := numberFlags(flags, "group")
	yes := yesFlag(flags)
	return func(ctx context.Context, std Stdio) error {
		group, err := id()
		if err != nil {
			return err
		}
		if err := confirm(std, *yes, fmt.Sprintf("cancel what has not ended of group %d", group)); err != nil {
			return err
		}
		cancel := func(app *client.App, ctx context.Context) (api.Affected, error) {
			n, err := app.CancelGroup(ctx, group)
			return api.Affected{Jobs: n}, err
		}
		return ask(ctx, r, std, changing, cancel, func(w io.Writer, n api.Affected) {
			fmt.Fprintf(w, "%s canceled\n", jobsAre(n.Jobs))
		})
	}
}
