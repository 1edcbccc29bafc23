package storagetest

import (
	"cmp"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"carillon/storage"
	"carillon/storage/memlog"
)

// SharedLog says whether tests have their stores on a log that nodes share, in memory (package memlog), as
// CARILLON_LOG=memory asks for, and not on one in their directory.
func SharedLog() bool { return os.Getenv("CARILLON_LOG") == "memory" }

// NeedsFiles skips a test, or a case, of what a store has in its directory only, if tests have their logs in
// memory: why says what that is.
func NeedsFiles(tb testing.TB, why string) {
	tb.Helper()
	if SharedLog() {
		tb.Skip("not on a shared log: " + why)
	}
}

// logs are the logs in memory, by the directory of which they are in the place.
var logs sync.Map

// nodeTTL is the longest there is, so that an idle store beats seldom.
const nodeTTL = time.Minute

// On returns options that open the store in dir on its log in memory, if tests have theirs there and dir is not one
// with a log of its own, as what was restored is; else it returns them as they are. The log has as many shards as the store would have volumes, and an owner of before is taken for dead.
func On(dir string, opts storage.Options) storage.Options {
	if !SharedLog() || opts.ReadOnly || opts.Log != nil {
		return opts
	}
	if _, err := os.Stat(filepath.Join(dir, "volume-000.db")); err == nil {
		return opts
	}
	made, _ := logs.LoadOrStore(dir, memlog.New(cmp.Or(opts.Volumes, 4)))
	log := made.(*memlog.Log)
	log.Pass(nodeTTL)
	opts.Log, opts.Node = log, storage.Node{Name: "a", TTL: nodeTTL}
	return opts
}
