package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// dataFlag declares the flag of the data directory.
func dataFlag(flags *flag.FlagSet, usage string) *string {
	return flags.String("data", "./data", usage)
}

// readStore opens a data directory of any program to be read, and closes it when fn
// has returned. Nothing in it is changed.
func readStore(std Stdio, dir string, fn func(*storage.Store) error) error {
	return openStore(std, dir, storage.Options{ReadOnly: true}, fn)
}

// withStore opens a data directory that there must be, without an engine, and
// closes it when fn has returned.
func withStore(std Stdio, dir string, fn func(*storage.Store) error) error {
	// One volume is the least, so that no volume is added to a store of another
	// size. It may be any program's: none of its tables and no name are asked for.
	return openStore(std, dir, storage.Options{Volumes: 1, CheckTrigger: dispatch.CheckStored}, fn)
}

// openStore says on a terminal how far it is while it reads a long log.
func openStore(std Stdio, dir string, opts storage.Options, fn func(*storage.Store) error) (err error) {
	if err := checkDirectory(dir); err != nil {
		return err
	}
	said := func() {}
	if isTerminal(std.Err) {
		opts.Progress = func(volume string, done, total int) {
			sayReplay(std.Err, volume, done, total)
			said = func() { fmt.Fprint(std.Err, clearLine) }
		}
	}
	store, err := storage.Open(dir, opts)
	said()
	if err != nil {
		return openError(std, dir, err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return fn(store)
}

// sayReplay writes one line over the one before.
func sayReplay(w io.Writer, volume string, done, total int) {
	fmt.Fprintf(w, "%sreading the log: %s lacks %d records, %d are read", clearLine, volume, total, done)
}

// openError says in plain words what most often keeps a directory from opening.
func openError(std Stdio, dir string, err error) error {
	switch {
	case errors.Is(err, storage.ErrProgram):
		return fmt.Errorf(`data directory %s: %w; if it is to be this one's: %s store own --data %s --as NAME`, dir, err, std.name, dir)
	case errors.Is(err, storage.ErrLocked):
		return fmt.Errorf("data directory %s is in use: is it being served already? (%w); ask its server, with --server URL, where the verb can, or stop it", dir, storage.ErrLocked)
	}
	return fmt.Errorf("data directory %s: %w", dir, err)
}

// apps lists the names of all apps, a line each.
func apps(flags *flag.FlagSet) func(context.Context, Stdio) error {
	dir := dataFlag(flags, "`DIR` of the data")
	return func(_ context.Context, std Stdio) error {
		return readStore(std, *dir, func(store *storage.Store) error {
			ids, err := store.Apps()
			for _, id := range ids {
				fmt.Fprintln(std.Out, id)
			}
			return err
		})
	}
}

// faultsError is what a check has found, and has printed a line each.
type faultsError struct {
	dir string // "": a log in a database
	n   int
	err error
}

func (e *faultsError) Error() string {
	if e.dir == "" {
		return fmt.Sprintf("the log: %d faults were found", e.n) // its address may have a password
	}
	return fmt.Sprintf("data directory %s: %d faults were found", e.dir, e.n)
}
func (e *faultsError) Unwrap() error { return e.err }

// check verifies the files and what is in them, and prints nothing but "ok" if
// all is well. It prints each fault on standard error.
func (p *program) check(flags *flag.FlagSet) func(context.Context, Stdio) error {
	dir := dataFlag(flags, "`DIR` of the data, or the address of a log, postgres://…")
	return func(ctx context.Context, std Stdio) error {
		if isAddress(*dir) {
			return p.checkShared(ctx, std, *dir)
		}
		return readStore(std, *dir, func(store *storage.Store) error {
			if err := new(passing).showing(std, "verifying "+*dir, 0, store.Check); err != nil {
				faults := strings.Split(err.Error(), "\n")
				for _, fault := range faults {
					fmt.Fprintln(std.Err, fault)
				}
				return &faultsError{*dir, len(faults), err}
			}
			ids, err := store.Apps()
			if err != nil {
				return err
			}
			fmt.Fprintf(std.Out, "ok, apps: %d\n", len(ids))
			if n := store.Uncopied(); n > 0 {
				fmt.Fprintf(std.Out, "%d records of the log are not in the files yet (the next start copies them)\n", n)
			}
			losses, err := store.Losses()
			if err != nil {
				return err
			}
			for _, loss := range losses {
				fmt.Fprintln(std.Out, loss)
			}
			misfits, err := store.Misfits()
			if err != nil {
				return err
			}
			for _, m := range misfits {
				fmt.Fprintln(std.Out, m)
			}
			notes, err := clockNotes(store, time.Now())
			for _, note := range notes {
				fmt.Fprintln(std.Out, "clock:", note)
			}
			return err
		})
	}
}

// storeOwn marks a data directory with the name of another program.
func storeOwn(flags *flag.FlagSet) func(context.Context, Stdio) error {
	dir := dataFlag(flags, "`DIR` of the data")
	name := flags.String("as", "", "`NAME` of the program whose store it is from now on, as its actors.Options.Program says")
	return func(_ context.Context, std Stdio) error {
		if *name == "" {
			return usageError{errors.New("--as is missing")}
		}
		return withStore(std, *dir, func(store *storage.Store) error {
			was, err := store.Program()
			if err == nil {
				err = store.SetProgram(*name)
			}
			if errors.Is(err, storage.ErrInvalid) {
				return usageError{err}
			} else if err != nil {
				return err
			}
			if was == "" {
				was = "no program"
			}
			fmt.Fprintf(std.Out, "%s is the store of %s, it was that of %s\n", *dir, *name, was)
			return nil
		})
	}
}
