package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"carillon/storage"
)

// backup writes the whole store of a directory, or of a server, to a file, or what came
// since an earlier backup. The file is read again before the command says that it is there.
func backup(flags *flag.FlagSet) func(context.Context, Stdio) error {
	dir := flags.String("data", "", "`DIR` of the data, with or without the flag; ./data if not given")
	path := flags.String("to", "", "`FILE` to write, which must not exist")
	since := flags.String("since", "", "only what came after this `BACKUP`: a file, or the position that was printed")
	site := flags.String("server", "", "`URL` of the server that has the data open, in the place of DIR")
	token := siteToken(flags, site)
	return func(ctx context.Context, std Stdio) error {
		if *path == "" {
			return usageError{errors.New("--to is missing")}
		}
		from, err := positionOf(*since)
		if err != nil {
			return err
		}
		write := func(w io.Writer) error { return backupDir(ctx, std, *dir, w, from) }
		if *site != "" {
			at, err := openSite(*site, token, false)
			if err != nil {
				return err
			}
			defer at.close()
			write = func(w io.Writer) error {
				return writing(std, "backing up", w, func(w io.Writer) error {
					return at.copy(w, func() (io.ReadCloser, error) { return at.Backup(ctx, from) })
				})
			}
		}
		var info storage.BackupInfo
		err = createFile(*path, func(w io.Writer) (err error) {
			if err = write(w); err == nil {
				info, err = verifyFile(*path)
			}
			return err
		})
		if err != nil {
			return err
		}
		showBackup(std.Out, *path, *since, info)
		return nil
	}
}

// backupDir backs up the directory, that of ./data by default.
func backupDir(ctx context.Context, std Stdio, dir string, w io.Writer, since string) error {
	if dir == "" {
		dir = "./data"
	}
	return readStore(std, dir, func(store *storage.Store) error {
		return writing(std, "backing up", w, func(w io.Writer) error {
			_, err := store.Backup(ctx, w, since)
			return err
		})
	})
}

// positionOf is the position that is given, or that of the backup in the file.
func positionOf(since string) (string, error) {
	if since == "" {
		return "", nil
	}
	info, err := verifyFile(since)
	switch {
	case errors.Is(err, os.ErrNotExist) && !strings.ContainsAny(since, "./\\"):
		return since, nil // which the store looks at
	case err != nil:
		return "", fmt.Errorf("backup %s: %w", since, err)
	}
	return info.Position, nil
}

// verifyFile reads a backup to its end.
func verifyFile(path string) (storage.BackupInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return storage.BackupInfo{}, err
	}
	defer f.Close()
	return storage.VerifyBackup(f)
}

// showBackup says what is in the file, first of all whether it is what was asked for.
func showBackup(w io.Writer, path, since string, info storage.BackupInfo) {
	switch {
	case info.Since != "":
		fmt.Fprintf(w, "%s: %d records that came since, %d bytes\n", path, info.Records, info.Bytes)
	case since != "":
		fmt.Fprintf(w, "%s: everything, because the log does not go back to that backup: %d rows, %d bytes\n", path, info.Rows, info.Bytes)
	default:
		fmt.Fprintf(w, "%s: everything, %d rows, %d bytes\n", path, info.Rows, info.Bytes)
	}
	fmt.Fprintf(w, "position: %s\n", info.Position)
}

// fileList is a flag that is given once for each file.
type fileList []string

func (l *fileList) String() string     { return "" }
func (l *fileList) Set(s string) error { *l = append(*l, s); return nil }

// restore makes a data directory of backups.
func restore(flags *flag.FlagSet) func(context.Context, Stdio) error {
	dir := dataFlag(flags, "`DIR` to restore into, which must not have a store")
	var files fileList
	flags.Var(&files, "backup", "`FILE` of a backup, with or without the flag: one that has everything, then those that go on from it")
	return func(ctx context.Context, std Stdio) error {
		if len(files) == 0 {
			return usageError{errors.New("no backup is given")}
		}
		p := &passing{Writer: io.Discard}
		var backups []io.Reader
		var total int64
		for _, path := range files {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			backups = append(backups, io.TeeReader(f, p))
			total += sizeOf(f)
		}
		var info storage.BackupInfo
		err := p.showing(std, "restoring", total, func() (err error) {
			info, err = storage.Restore(ctx, *dir, backups...)
			return err
		})
		if err != nil {
			return fmt.Errorf("restore into %s: %w", *dir, err)
		}
		return readStore(std, *dir, func(store *storage.Store) error {
			ids, err := store.Apps()
			if err == nil {
				fmt.Fprintf(std.Out, "restored %s, apps: %d, up to position %s\n", *dir, len(ids), info.Position)
			}
			return err
		})
	}
}
