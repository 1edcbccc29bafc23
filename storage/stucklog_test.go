package storage_test

import (
	"cmp"
	"context"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage"
	"carillon/storage/internal/wal"
	"carillon/storage/memlog"
)

// stuckLog is a log whose reads have no answer while it is stuck.
type stuckLog struct {
	storage.SharedLog
	stuck atomic.Bool
}

func (l *stuckLog) OpenShared(ctx context.Context) (wal.Shared, error) {
	shared, err := l.SharedLog.OpenShared(ctx)
	return stuckShared{shared, l}, err
}

type stuckShared struct {
	wal.Shared
	log *stuckLog
}

func (s stuckShared) Read(ctx context.Context, v wal.Volume, from uint64) iter.Seq2[wal.Record, error] {
	if !s.log.stuck.Load() {
		return s.Shared.Read(ctx, v, from)
	}
	return func(yield func(wal.Record, error) bool) {
		for s.log.stuck.Load() && ctx.Err() == nil {
			time.Sleep(time.Second)
		}
		yield(wal.Record{}, cmp.Or(ctx.Err(), errDisk))
	}
}

// Virtual has the lease be in virtual time.
func (s stuckShared) Virtual() bool { return true }

// TestG44_StoreEndsWhileACopyIsOpenedAnew: where the log does not answer what opens a copy of the owner
// anew, Close ends all the same, and other nodes need not wait for it.
func TestG44_StoreEndsWhileACopyIsOpenedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &stuckLog{SharedLog: memlog.New(1)}
		opts, faults := nodeOptions(log, "a"), newFaults()
		opts.Fault = faults.at
		a := mustJoinWith(t, opts, t.TempDir())
		s := a.mustOwn(t)
		faults.fail("checkpointed", errDisk)
		mustAdd(t, s, "x", "before")
		time.Sleep(10 * time.Second) // a checkpoint is made meanwhile
		faults.fail("checkpointed", nil)
		log.stuck.Store(true)
		app, refused := mustApp(t, s, "x"), make(chan error, 1)
		go func() { refused <- tryAdd(t, app) }()
		time.Sleep(time.Second) // the copy is being opened
		began, closed := time.Now(), make(chan error, 1)
		go func() { closed <- s.Close() }()
		select {
		case err := <-closed:
			if change := <-refused; change == nil || err == nil {
				t.Errorf("the change: %v; Close: %v after %v", change, err, time.Since(began))
			}
		case <-time.After(15 * time.Second):
			t.Error("Close waits for the log")
			log.stuck.Store(false)
		}
		a.store = nil
		log.stuck.Store(false)
		b := mustJoin(t, log, "b", t.TempDir())
		began = time.Now()
		b.mustOwn(t)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the next owner comes after %v", took)
		}
	})
}
