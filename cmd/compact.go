package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"

	"carillon/storage"
)

// storeCompact rewrites the files of a store that is not served, and says how much smaller
// each has become.
func storeCompact(flags *flag.FlagSet) func(context.Context, Stdio) error {
	return storeRewrite(flags, func(w io.Writer, before, after int64) {
		if after < before {
			fmt.Fprintf(w, "%s smaller\n", size(before-after))
		} else {
			fmt.Fprintln(w, "no smaller: there was nothing to gain")
		}
	})
}

// storeUpgrade rewrites them, too: then nothing in them is as an earlier release wrote it, where serve
// upgrades what it writes only.
func storeUpgrade(flags *flag.FlagSet) func(context.Context, Stdio) error {
	return storeRewrite(flags, func(w io.Writer, _, _ int64) {
		fmt.Fprintln(w, "all of it is as this release writes it: an earlier one may not open it any more")
	})
}

// storeRewrite rewrites the files of a store, and says what that has come to.
func storeRewrite(flags *flag.FlagSet, say func(w io.Writer, before, after int64)) func(context.Context, Stdio) error {
	dir := flags.String("data", "", "`DIR` of the data, with or without the flag; ./data if not given")
	return func(ctx context.Context, std Stdio) error {
		if *dir == "" {
			*dir = "./data"
		}
		var at step
		show := newProgress(std.Err, at.now)
		defer show.stop()
		done, err := storage.Compact(ctx, *dir, storage.CompactOptions{Progress: at.set})
		show.stop()
		var before, after int64
		for _, c := range done {
			fmt.Fprintf(std.Out, "%s: %s, was %s\n", c.Volume, size(c.After), size(c.Before))
			before, after = before+c.Before, after+c.After
		}
		switch {
		case errors.Is(err, storage.ErrNotFound), errors.Is(err, os.ErrNotExist) && len(done) == 0:
			return fmt.Errorf("%s is no data directory: %w", *dir, storage.ErrNotFound)
		case err != nil:
			return openError(std, *dir, err)
		}
		say(std.Out, before, after)
		return nil
	}
}

// size is a number of bytes in words.
func size(bytes int64) string {
	if bytes < 10<<20 {
		return fmt.Sprintf("%d KB", (bytes+1023)>>10)
	}
	return fmt.Sprintf("%d MB", (bytes+1<<19)>>20)
}

// step is what is being done, and how much of it.
type step struct {
	mu          sync.Mutex
	doing       string
	done, total int64
}

func (s *step) set(doing string, done, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doing, s.done, s.total = doing, done, total
}

func (s *step) now() (doing string, done, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.doing, s.done, s.total
}
