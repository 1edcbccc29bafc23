package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync"

	"carillon/storage"
)

// storeCompact rewrites the files of a store that is not served, and says how much smaller
// each has become.
func storeCompact(flags *flag.FlagSet) func(context.Context, Stdio) error {
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
		case errors.Is(err, storage.ErrNotFound):
			return fmt.Errorf("%s is no data directory: %w", *dir, storage.ErrNotFound)
		case err != nil:
			return openError(std, *dir, err)
		case after < before:
			fmt.Fprintf(std.Out, "%s smaller\n", size(before-after))
		default:
			fmt.Fprintln(std.Out, "no smaller: there was nothing to gain")
		}
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
