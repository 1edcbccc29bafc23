package cmd

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"carillon/storage"
)

// appFlag declares the flag of the app's name.
func appFlag(flags *flag.FlagSet, usage string) *string { return flags.String("app", "", usage) }

// checkApp refuses a name that no app can have before anything is opened.
func checkApp(app string) (storage.AppID, error) {
	if app == "" {
		return "", usageError{errors.New("--app is missing")}
	}
	id := storage.AppID(app)
	if err := id.Check(); err != nil {
		return "", usageError{err}
	}
	return id, nil
}

// export writes an app to a file or to standard output.
func export(flags *flag.FlagSet) func(context.Context, Stdio) error {
	dir := dataFlag(flags, "`DIR` of the data")
	app := appFlag(flags, "`APP` to export")
	path := flags.String("out", "", "`FILE` to write, which must not exist; standard output if not given")
	site := flags.String("server", "", "`URL` of the server that has the data open, in the place of DIR")
	token := siteToken(flags, site)
	return func(ctx context.Context, std Stdio) error {
		id, err := checkApp(*app)
		if err != nil {
			return err
		}
		doing := "exporting " + string(id)
		if *path == "" && isTerminal(std.Out) {
			return usageError{errors.New("an export is no text for a terminal: write it to a file with --out, or into a pipe")}
		}
		write := func(w io.Writer) error {
			return readStore(std, *dir, func(store *storage.Store) error {
				return writing(std, doing, w, func(w io.Writer) error { return store.Export(ctx, id, w) })
			})
		}
		if *site != "" {
			at, err := openSite(*site, token, false)
			if err != nil {
				return err
			}
			defer at.close()
			write = func(w io.Writer) error {
				return writing(std, doing, w, func(w io.Writer) error {
					return at.copy(w, func() (io.ReadCloser, error) { return at.App(string(id)).Export(ctx) })
				})
			}
		}
		if *path == "" {
			return write(std.Out)
		}
		return createFile(*path, write)
	}
}

// copy copies a stream of the server to w.
func (p *place) copy(w io.Writer, open func() (io.ReadCloser, error)) error {
	stream, err := open()
	if err != nil {
		return p.told(err)
	}
	defer stream.Close()
	_, err = io.Copy(w, stream)
	return p.told(err)
}

// createFile makes a file that there must not be yet, and removes it if write
// fails. What a crash leaves of it no import accepts.
func createFile(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// importApp makes an app from a file or from standard input.
func importApp(flags *flag.FlagSet) func(context.Context, Stdio) error {
	dir := dataFlag(flags, "`DIR` of the data, which must exist")
	app := appFlag(flags, "`APP` to make, a name that is free")
	path := flags.String("in", "", "`FILE` to read; standard input if not given")
	site := flags.String("server", "", "`URL` of the server that has the data open, in the place of DIR")
	token := siteToken(flags, site)
	return func(ctx context.Context, std Stdio) error {
		id, err := checkApp(*app)
		if err != nil {
			return err
		}
		in := std.In
		if *path != "" {
			f, err := os.Open(*path)
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		} else if isTerminal(in) {
			return usageError{errors.New("nothing is piped in: give the file with --in")}
		}
		p, doing, total := &passing{Reader: in}, "importing "+string(id), sizeOf(in)
		if *site != "" {
			at, err := openSite(*site, token, false)
			if err != nil {
				return err
			}
			defer at.close()
			err = p.showing(std, doing, total, func() error {
				_, err := at.App(string(id)).Import(ctx, p)
				return err
			})
			if err != nil {
				return at.told(err)
			}
			fmt.Fprintf(std.Out, "imported %s\n", id)
			return nil
		}
		return withStore(std, *dir, func(store *storage.Store) error {
			if err := p.showing(std, doing, total, func() error { return store.Import(ctx, id, bufio.NewReader(p)) }); err != nil {
				return err
			}
			fmt.Fprintf(std.Out, "imported %s\n", id)
			return nil
		})
	}
}
