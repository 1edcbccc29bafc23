package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"carillon/client"
	"carillon/server"
	"carillon/server/api"
	"carillon/storage"
)

// nodeCommands are the commands about the nodes that share the log of a store. What looks into the log itself
// is there if Options have Log.
func (p *program) nodeCommands() []Verb {
	example := " --server 127.0.0.1:8377"
	verbs := []Verb{}
	if p.Log != nil {
		example += "\n%s --store postgres://db/carillon"
		verbs = append(verbs, Verb{
			"store migrate", "store", "make the log of a store in PostgreSQL, or bring it up to date",
			"store migrate postgres://db/carillon --shards 64", p.storeMigrate,
		}, Verb{
			"store import", "data log", "move a store from a data directory into a log in PostgreSQL",
			"store import ./data postgres://db/carillon", p.storeImport,
		}, Verb{
			"store export", "log data", "move a store from a log in PostgreSQL into a data directory",
			"store export postgres://db/carillon ./data", p.storeExport,
		})
	}
	of := func(verb string) string { return verb + strings.ReplaceAll(example, "%s", verb) }
	return append(
		verbs,
		Verb{"nodes", "", "list the nodes that share the log of a store", of("nodes"), p.nodes},
		Verb{"shards", "", "list the shards of such a log, and who owns them", of("shards"), p.shards},
	)
}

// nodes lists them.
func (p *program) nodes(flags *flag.FlagSet) func(context.Context, Stdio) error {
	return standingList(p, flags, (*client.Client).Nodes, server.Nodes, func(w io.Writer, nodes []api.Node) {
		printTable(w, "NODE STATE SHARDS LEASE SILENT LAG RELEASE ADDRESS", func(row func(...any)) {
			for _, n := range nodes {
				lease, lag := "-", "-"
				if n.LeaseMs > 0 {
					lease = milliseconds(n.LeaseMs)
				}
				if n.LagMs != nil {
					lag = milliseconds(*n.LagMs)
				}
				row(n.Incarnation, n.State, n.Shards, lease, milliseconds(n.SilentMs), lag, orDash(n.Release), orDash(n.Address))
			}
		})
	})
}

// shards lists them.
func (p *program) shards(flags *flag.FlagSet) func(context.Context, Stdio) error {
	return standingList(p, flags, (*client.Client).Shards, server.Shards, func(w io.Writer, shards []api.Shard) {
		printTable(w, "SHARD OWNER EPOCH TAKEN WHY LAST UNFOLDED", func(row func(...any)) {
			for _, s := range shards {
				row(s.Shard, orDash(s.Owner), s.Epoch, s.Taken.Format(time.RFC3339), orDash(s.Why), s.Last, s.Unfolded)
			}
		})
	})
}

// standingList asks a server, or the log of --store, and prints the list.
func standingList[R any](p *program, flags *flag.FlagSet, ask func(*client.Client, context.Context) ([]R, error), of func(storage.Standing) []R, text func(io.Writer, []R)) func(context.Context, Stdio) error {
	r, address := siteFlags(flags), new("")
	if p.Log != nil {
		address = flags.String("store", "", "`ADDRESS` of the log in the place of a server, postgres://…")
	}
	return func(ctx context.Context, std Stdio) error {
		if *address == "" {
			return askStore(ctx, r, std, reading, ask, func(w io.Writer, list []R) {
				if len(list) == 0 {
					fmt.Fprintln(w, "the store is in a data directory: there are no nodes that share its log")
					return
				}
				text(w, list)
			})
		}
		form, err := r.output()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		is, err := storage.StandingOf(ctx, p.Log(*address))
		if err != nil {
			return err
		}
		list := of(is)
		return printList(std.Out, form, list, func() { text(std.Out, list) })
	}
}

func milliseconds(ms int64) string { return (time.Duration(ms) * time.Millisecond).String() }

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// storeMigrate makes a log.
func (p *program) storeMigrate(flags *flag.FlagSet) func(context.Context, Stdio) error {
	address := flags.String("store", "", "`ADDRESS` of the log, postgres://…, with or without the flag")
	shards := shardsFlag(flags)
	return func(ctx context.Context, std Stdio) error {
		if err := errors.Join(checkAddress(*address), checkShards(*shards)); err != nil {
			return usageError{err}
		}
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		is, err := p.Log(*address).Migrate(ctx, *shards)
		if err != nil {
			return err
		}
		showShared(std.Out, is)
		return nil
	}
}

func shardsFlag(flags *flag.FlagSet) *int {
	return flags.Int("shards", 64, "`N` shards, 1 to 4096, that it is made with; one that is there keeps its own")
}

func checkShards(n int) error {
	if n < 1 || n > 4096 {
		return fmt.Errorf("--shards is %d, want 1 to 4096", n)
	}
	return nil
}

func checkAddress(log string) error {
	if log == "" {
		return errors.New("the address of the log is missing")
	}
	return nil
}

// checkShared verifies the log at the address.
func (p *program) checkShared(ctx context.Context, std Stdio, address string) error {
	if p.Log == nil {
		return usageError{errors.New("this program has no log but in a data directory")}
	}
	asked, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	log := p.Log(address)
	is, err := log.Check(asked)
	if err != nil {
		return err
	}
	faults, err := log.Verify(ctx)
	if err != nil {
		return err
	}
	for _, fault := range faults {
		fmt.Fprintln(std.Err, fault)
	}
	if len(faults) > 0 {
		return &faultsError{n: len(faults), err: storage.ErrCorrupt}
	}
	showShared(std.Out, is)
	return nil
}

func showShared(w io.Writer, is storage.SharedState) {
	fmt.Fprintf(w, "ok, shards: %d, version of the schema: %d, id: %016x\n", is.Shards, is.Version, is.ID)
}

// isAddress says whether a store is named by the address of its log, and not by a directory.
func isAddress(store string) bool { return strings.Contains(store, "://") }
