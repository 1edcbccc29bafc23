package pglog

import (
	"context"
	"errors"
	"fmt"

	"carillon/storage/internal/wal"
)

func isUnknown(err error) bool { return errors.Is(err, wal.ErrUnknown) }

// Claim is wal.Log's. It takes a new epoch and a new id, then appends the takeover record
// behind whatever is in the log by then: an owner that does not know of it goes on until the
// record is in, and not beyond.
func (l *Log) Claim(ctx context.Context, v wal.Volume) (wal.Claim, error) {
	if err := ctx.Err(); err != nil {
		return wal.Claim{}, refused(err)
	}
	if int64(v) >= int64(l.shards) {
		if l.isClosed() {
			return wal.Claim{}, wal.ErrClosed
		}
		return wal.Claim{}, fmt.Errorf("%w: the log has %d shards, and no shard %d", wal.ErrRefused, l.shards, v)
	}
	l.count(&l.claiming.begun)
	defer l.count(&l.claiming.ended)
	h := &held{id: newClaimID()}
	epoch, err := l.own(ctx, v, h.id)
	if err != nil {
		return wal.Claim{}, l.failed(v, err)
	}
	var seq int64
	for seq == 0 {
		// Without a row another record has taken the place: this is not the claim then, or
		// the next place may be free.
		if ok, err := l.ask(ctx, "takeover", []any{int64(v), h.id[:]}, &seq); ok || err != nil {
			if err != nil {
				return wal.Claim{}, l.failed(v, fmt.Errorf("%w: %v", wal.ErrUnknown, err))
			}
			break
		}
		var latest, over bool
		if _, err := l.ask(ctx, "standing", []any{int64(v), h.id[:]}, &latest, &over); err != nil {
			return wal.Claim{}, l.failed(v, fmt.Errorf("%w: %v", wal.ErrUnknown, err))
		}
		if !latest || over {
			return wal.Claim{}, l.failed(v, wal.ErrFenced)
		}
	}
	h.epoch, h.last = uint64(epoch), uint64(seq)
	return l.adopt(ctx, v, h)
}

// claiming counts calls of Claim: a beat under way beside one does not know what to find.
type claiming struct{ begun, ended int }

func (l *Log) count(n *int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*n++
}

// failed has the claim before spent, unless the new one certainly was not made.
func (l *Log) failed(v wal.Volume, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.claims[v]; h != nil && isUnknown(err) {
		h.spent = true
	}
	return err
}
