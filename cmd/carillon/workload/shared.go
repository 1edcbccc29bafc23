package workload

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"carillon/actors"
	"carillon/storage"
)

// Scratch is a log that has others beside it, which can be taken away again: that of storage/postgres is one.
type Scratch interface {
	storage.SharedLog
	// Beside is the log of that name at the same place; there may be none yet.
	Beside(name string) storage.SharedLog
	// Remove takes the log away, with all that it has. There may be none.
	Remove(ctx context.Context) error
}

// ErrNoScratch says of a log that none can be made beside it.
var ErrNoScratch = errors.New("no log can be made and removed beside this one")

// CarillonOn is the engine as a node of its own whose log is beside the one that is given, of so many shards: a new
// one for each new directory, which has the copy, removed with it. It has W11, too, where there is no other node.
func CarillonOn(log storage.SharedLog, shards int) (System, error) {
	beside, ok := log.(Scratch)
	if !ok {
		return System{}, ErrNoScratch
	}
	logs := &scratches{beside: beside, shards: shards, prefix: fmt.Sprintf("carillon_bench_%08x_", rand.Uint32())}
	s := carillon(logs)
	s.Absent = nil
	s.Written = func() (int64, bool) { return 0, false } // it is the log's server that writes
	s.Remove = logs.remove
	return s, nil
}

// scratches are the logs of directories.
type scratches struct {
	beside Scratch
	shards int
	prefix string   // of the names
	made   sync.Map // directories whose logs were
}

// of is the log that belongs to the directory.
func (l *scratches) of(dir string) storage.SharedLog {
	return l.beside.Beside(l.prefix + strings.TrimPrefix(filepath.Base(dir), dirPrefix))
}

// make makes the log of a directory, if there is none.
func (l *scratches) make(ctx context.Context, dir string) (storage.SharedLog, error) {
	log := l.of(dir)
	_, err := log.Migrate(ctx, l.shards)
	if err == nil {
		l.made.Store(dir, true)
	}
	return log, err
}

// removeWait bounds how long a log may take to be removed.
const removeWait = time.Minute

// remove takes the log of a directory away, if it was made. It is done after an interrupt, too.
func (l *scratches) remove(dir string) error {
	if _, made := l.made.LoadAndDelete(dir); !made {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeWait)
	defer cancel()
	return l.of(dir).(Scratch).Remove(ctx)
}

// node has the options be those of a node that shares the log of a directory; nil: the log is in the directory.
func (l *scratches) node(ctx context.Context, dir, name string, opts *actors.Options) (err error) {
	if l != nil {
		opts.Log, err = l.make(ctx, dir)
		opts.Node.Name = name
	}
	return err
}
