package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"carillon/cmd/carillon/sample"
	"carillon/storage"
)

// dataFlag declares the flag of the data directory.
func dataFlag(flags *flag.FlagSet, usage string) *string {
	return flags.String("data", "./data", usage)
}

// withStore opens a data directory that there must be, without an engine, and
// closes it when fn has returned.
func withStore(dir string, fn func(*storage.Store) error) (err error) {
	if _, err := os.Stat(filepath.Join(dir, "volume-000.db")); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s is no data directory: %w", dir, storage.ErrNotFound)
		}
		return err
	}
	// One volume is the least, so that no volume is added to a store of another size.
	store, err := storage.Open(dir, storage.Options{Volumes: 1, Tables: sample.Tables()})
	if err != nil {
		return openError(dir, err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return fn(store)
}

// openError says in plain words what most often keeps a directory from opening.
func openError(dir string, err error) error {
	if errors.Is(err, storage.ErrLocked) {
		return fmt.Errorf("data directory %s is in use: is it being served already? (%w)", dir, storage.ErrLocked)
	}
	return fmt.Errorf("data directory %s: %w", dir, err)
}

// apps lists the names of all apps, a line each.
func apps(flags *flag.FlagSet) func(context.Context, stdio) error {
	dir := dataFlag(flags, "`DIR` of the data")
	return func(_ context.Context, std stdio) error {
		return withStore(*dir, func(store *storage.Store) error {
			ids, err := store.Apps()
			for _, id := range ids {
				fmt.Fprintln(std.out, id)
			}
			return err
		})
	}
}

// check verifies the files and what is in them, and prints nothing but "ok" if
// all is well.
func check(flags *flag.FlagSet) func(context.Context, stdio) error {
	dir := dataFlag(flags, "`DIR` of the data")
	return func(_ context.Context, std stdio) error {
		return withStore(*dir, func(store *storage.Store) error {
			if err := store.Check(); err != nil {
				return fmt.Errorf("data directory %s: %w", *dir, err)
			}
			ids, err := store.Apps()
			if err == nil {
				fmt.Fprintf(std.out, "ok, apps: %d\n", len(ids))
			}
			return err
		})
	}
}
