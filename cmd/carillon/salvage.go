package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"carillon/storage"
)

// storeSalvage says, volume by volume, what is left of a store whose log is damaged, lost or
// of another moment, and goes on with that if it is told to.
func storeSalvage(flags *flag.FlagSet) func(context.Context, stdio) error {
	dir := dataFlag(flags, "`DIR` of the data")
	accept := flags.Bool("accept-loss", false, "go on without what is lost; there is no way back")
	return func(_ context.Context, std stdio) error {
		found, err := storage.Salvage(*dir, *accept, time.Now())
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("%s is no data directory: %w", *dir, storage.ErrNotFound)
		}
		if err != nil {
			return openError(*dir, err)
		}
		lost := 0
		for _, r := range found {
			switch {
			case r.Damaged != nil:
				fmt.Fprintf(std.out, "%s: the file is damaged, put it back from a backup: %v\n", r.Volume, r.Damaged)
				continue
			case r.Applied > r.Copied:
				fmt.Fprintf(std.out, "%s: the file has all up to record %d, the log adds those up to %d\n", r.Volume, r.Copied, r.Applied)
			default:
				fmt.Fprintf(std.out, "%s: the file has all up to record %d, the log adds none\n", r.Volume, r.Copied)
			}
			if r.Lost != "" {
				lost++
				fmt.Fprintf(std.out, "%s: LOST: %s\n", r.Volume, r.Lost)
			}
		}
		switch {
		case lost == 0:
			fmt.Fprintln(std.out, "nothing of the log is lost")
		case *accept:
			fmt.Fprintln(std.out, "THE LOSS WAS ACCEPTED: the store opens without it; look at it with carillon check, and then: carillon store acknowledge")
		default:
			fmt.Fprintf(std.out, "nothing was changed; copy the directory, then, to go on without what is lost: carillon store salvage --data %s --accept-loss\n", *dir)
		}
		return nil
	}
}

// storeAcknowledge writes down that a person knows of what was lost.
func storeAcknowledge(flags *flag.FlagSet) func(context.Context, stdio) error {
	dir := dataFlag(flags, "`DIR` of the data")
	return func(_ context.Context, std stdio) error {
		return withStore(std, *dir, func(store *storage.Store) error {
			n, err := store.AcknowledgeLosses()
			if err == nil {
				fmt.Fprintf(std.out, "losses acknowledged: %d; carillon check lists all\n", n)
			}
			return err
		})
	}
}
