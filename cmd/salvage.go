package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"carillon/storage"
)

// storeSalvage says, volume by volume, what is left of a store whose log is damaged, lost or
// of another moment, and goes on with that if it is told to.
func storeSalvage(flags *flag.FlagSet) func(context.Context, Stdio) error {
	dir := dataFlag(flags, "`DIR` of the data")
	accept := flags.Bool("accept-loss", false, "go on without what is lost; there is no way back")
	return func(_ context.Context, std Stdio) error {
		found, err := storage.Salvage(*dir, *accept, time.Now())
		if errors.Is(err, storage.ErrNotFound) || errors.Is(err, os.ErrNotExist) && len(found) == 0 {
			return fmt.Errorf("%s is no data directory: %w", *dir, storage.ErrNotFound)
		}
		if err != nil {
			return openError(std, *dir, err)
		}
		lost := 0
		for _, r := range found {
			switch {
			case r.Damaged != nil:
				fmt.Fprintf(std.Out, "%s: the file is damaged, put it back from a backup: %v\n", r.Volume, r.Damaged)
				continue
			case r.Applied > r.Copied:
				fmt.Fprintf(std.Out, "%s: the file has all up to record %d, the log adds those up to %d\n", r.Volume, r.Copied, r.Applied)
			default:
				fmt.Fprintf(std.Out, "%s: the file has all up to record %d, the log adds none\n", r.Volume, r.Copied)
			}
			if r.Lost != "" {
				lost++
				fmt.Fprintf(std.Out, "%s: LOST: %s\n", r.Volume, r.Lost)
			}
		}
		switch {
		case lost == 0:
			fmt.Fprintln(std.Out, "nothing of the log is lost")
		case *accept:
			fmt.Fprintf(std.Out, "THE LOSS WAS ACCEPTED: the store opens without it; look at it with %[1]s check, and then: %[1]s store acknowledge\n", std.name)
		default:
			fmt.Fprintf(std.Out, "nothing was changed; copy the directory, then, to go on without what is lost: %s store salvage --data %s --accept-loss\n", std.name, *dir)
		}
		return nil
	}
}

// storeAcknowledge writes down that a person knows of what was lost.
func storeAcknowledge(flags *flag.FlagSet) func(context.Context, Stdio) error {
	dir := dataFlag(flags, "`DIR` of the data")
	return func(_ context.Context, std Stdio) error {
		return withStore(std, *dir, func(store *storage.Store) error {
			n, err := store.AcknowledgeLosses()
			if err == nil {
				fmt.Fprintf(std.Out, "losses acknowledged: %d; %s check lists all\n", n, std.name)
			}
			return err
		})
	}
}
