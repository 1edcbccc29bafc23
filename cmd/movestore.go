package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"carillon/storage"
)

// storeImport moves a store into a log, which it makes if there is none.
func (p *program) storeImport(flags *flag.FlagSet) func(context.Context, Stdio) error {
	dir, address := moveFlags(flags)
	shards := shardsFlag(flags)
	return func(ctx context.Context, std Stdio) error {
		if err := errors.Join(checkAddress(*address), checkShards(*shards)); err != nil {
			return usageError{err}
		}
		if err := checkDirectory(*dir); err != nil {
			return err
		}
		log := p.Log(*address)
		if _, err := log.Migrate(ctx, *shards); err != nil {
			return err
		}
		return move(ctx, std, "into", log, func() (storage.Moved, error) { return storage.ImportStore(ctx, *dir, log) })
	}
}

// storeExport moves a store out of a log.
func (p *program) storeExport(flags *flag.FlagSet) func(context.Context, Stdio) error {
	dir, address := moveFlags(flags)
	return func(ctx context.Context, std Stdio) error {
		if err := checkAddress(*address); err != nil {
			return usageError{err}
		}
		log := p.Log(*address)
		if _, err := log.Check(ctx); err != nil {
			return err
		}
		return move(ctx, std, "out of", log, func() (storage.Moved, error) { return storage.ExportStore(ctx, log, *dir) })
	}
}

func moveFlags(flags *flag.FlagSet) (dir, address *string) {
	dir = dataFlag(flags, "`DIR` of the data, with or without the flag")
	return dir, flags.String("log", "", "`ADDRESS` of the log, postgres://…, with or without the flag")
}

// move has the store be moved, unless a node owns the log, which the move would wait for.
func move(ctx context.Context, std Stdio, where string, log storage.SharedLog, do func() (storage.Moved, error)) error {
	is, err := storage.StandingOf(ctx, log)
	if err != nil {
		return err
	}
	for i := range is.Nodes {
		if n := &is.Nodes[i]; !n.Retired && !n.Leaving && n.Silent < n.TTL {
			return fmt.Errorf("%w: node %s is at work on the log (last seen %v ago): stop all nodes, then run this again", storage.ErrLocked, n.Name, n.Silent.Round(time.Millisecond))
		}
	}
	var m storage.Moved
	err = new(passing).showing(std, "moving the store "+where+" the log", 0, func() (err error) {
		m, err = do()
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(std.Out, "ok, apps: %d, rows: %d, tokens: %d, entries of the audit log: %d\n", m.Apps, m.Rows, m.Tokens, m.Entries)
	return nil
}
