package storage_test

import (
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage/memlog"
)

// TestG43_HandOverWhileTheLogIsAway: an owner that cannot give the store up at once tries again for
// a moment, so that others do not wait for its TTL.
func TestG43_HandOverWhileTheLogIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(nodeShards)
		a, b := mustJoin(t, log, "a", t.TempDir()), mustJoin(t, log, "b", t.TempDir())
		mustAdd(t, a.mustOwn(t), "a", "of a")
		owns := b.owning(t)
		log.Cut("a")
		time.AfterFunc(300*time.Millisecond, log.Heal)
		began := time.Now()
		a.mustGiveUp(t)
		b.store = <-owns
		if took := time.Since(began); took > time.Second {
			t.Errorf("b owned it %v after a began to give it up", took)
		}
	})
}
