package storage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"carillon/storage/internal/kv"
)

// Compacted says what Compact has made of a volume's file. For engines.
type Compacted struct {
	Volume        string
	Before, After int64 // bytes that its pages take, free ones included
}

// CompactOptions are options of Compact. The zero value is ready for use. For engines.
type CompactOptions struct {
	// Progress is told what is being done, and, while the files are rewritten, how many bytes
	// of about how many: total is 0 before. It does not block. Default: it is not.
	Progress func(doing string, done, total int64)
}

// Compact rewrites the files of a store that is not open: in the order of their keys, without
// the pages that lie free, and every value with a checksum, those of the first format, too.
// The whole store is verified before anything is changed, and what the log has is applied as
// Open does it. Then volume by volume a new file is made beside the old one, which takes as
// much room as that at most, is made durable, read back, and takes its name. After an error, or
// a crash at any point, each file is the old one or the new one, and the store has all that it
// had; the next Open removes what was not finished. Those that were done are returned with the
// error.
// Errors: ErrNotFound, ErrLocked if another has the store open, ErrCorrupt, which names the
// place, ErrFormat, that of ctx, or the file system's. For engines.
func Compact(ctx context.Context, dir string, opts CompactOptions) (done []Compacted, err error) {
	progress := opts.Progress
	if progress == nil {
		progress = func(string, int64, int64) {}
	}
	// One volume is the least: none is added. A file of the log that is made now is small.
	write := Options{Volumes: 1, LogSegment: minLogLength / 16}.withDefaults()
	release, err := kv.LockDir(dir, write.LockTimeout)
	if err != nil {
		return nil, mapOpenError("directory", err)
	}
	defer release() // until then the store stays closed to others, while its files are closed, too
	count, err := countVolumes(dir)
	if err != nil {
		return nil, err
	}
	if count == 0 {
		return nil, fmt.Errorf("%w: no store in %s", ErrNotFound, dir)
	}
	progress("verifying the store", 0, 0)
	if err := verified(dir); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	progress("applying the log", 0, 0)
	s, err := open(dir, write)
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	sizes := make([]int64, count)
	var before, total int64
	for i := range sizes {
		info, err := os.Stat(volumePath(dir, i))
		if err != nil {
			return nil, err
		}
		sizes[i] = info.Size()
		total += sizes[i]
	}
	for i, size := range sizes {
		path, moved := volumePath(dir, i), int64(0)
		c, err := compactVolume(ctx, path, func(bytes int) {
			moved += int64(bytes)
			progress("rewriting "+filepath.Base(path), before+min(moved, size), total)
		})
		if err != nil {
			return done, fmt.Errorf("%s: %w", filepath.Base(path), readError(err))
		}
		done, before = append(done, c), before+size
	}
	return done, nil
}

// compactVolume makes the file anew, which is closed.
func compactVolume(ctx context.Context, path string, moved func(bytes int)) (Compacted, error) {
	made, err := kv.Rewrite(ctx, path, path+compacting, moved)
	if err == nil {
		err = os.Rename(path+compacting, path)
	}
	if err == nil {
		err = kv.SyncDir(filepath.Dir(path))
	}
	return Compacted{Volume: filepath.Base(path), Before: made.Before, After: made.After}, err
}

// compacting ends the name of a file that takes the place of a volume's when it is whole.
const compacting = ".compacting"

// removeCompacting removes what a Compact that was killed has left, as far as it can.
func removeCompacting(dir string, volumes int) {
	for i := range volumes {
		_ = kv.RemoveRewritten(volumePath(dir, i) + compacting)
	}
}
