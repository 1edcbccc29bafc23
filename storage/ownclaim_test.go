package storage_test

import (
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

// blinkLog is a log that is away for one read, right behind a claim of its first shard.
type blinkLog struct {
	storage.SharedLog
	armed, away atomic.Bool
}

// OpenShared implements storage.SharedLog.
func (l *blinkLog) OpenShared(ctx context.Context) (wal.Shared, error) {
	shared, err := l.SharedLog.OpenShared(ctx)
	return blinkShared{shared, l}, err
}

type blinkShared struct {
	wal.Shared
	log *blinkLog
}

// Claim implements wal.Log.
func (s blinkShared) Claim(ctx context.Context, v wal.Volume) (wal.Claim, error) {
	c, err := s.Shared.Claim(ctx, v)
	if err == nil && v == 0 && s.log.armed.CompareAndSwap(true, false) {
		s.log.away.Store(true)
	}
	return c, err
}

// Read implements wal.Log.
func (s blinkShared) Read(ctx context.Context, v wal.Volume, from uint64) iter.Seq2[wal.Record, error] {
	if v == 0 && s.log.away.CompareAndSwap(true, false) {
		return func(yield func(wal.Record, error) bool) { yield(wal.Record{}, errDisk) }
	}
	return s.Shared.Read(ctx, v, from)
}

// Virtual has the lease be in virtual time.
func (s blinkShared) Virtual() bool { return true }

// TestG43_OwnsWhatItHasClaimed: a node that has claimed the first shard, and could not read it then, does not take itself for
// another owner that is alive.
func TestG43_OwnsWhatItHasClaimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &blinkLog{SharedLog: memlog.New(nodeShards)}
		a := mustJoin(t, log, "a", t.TempDir())
		log.armed.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s, err := a.Own(ctx)
		if err != nil {
			t.Fatalf("a does not own what it has claimed: %v", err)
		}
		a.store = s
	})
}
