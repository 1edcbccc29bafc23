package pglog

import (
	"context"
	"fmt"

	"carillon/storage/internal/wal"
)

// adopt has a claim that is made be the one in force. Where it is behind what this process has
// seen of the shard, another claim was made since, or the server has lost records: then it is
// ErrTailLost, once, and the next claim goes on from what is left.
func (l *Log) adopt(ctx context.Context, v wal.Volume, h *held) (wal.Claim, error) {
	l.mu.Lock()
	was := l.claims[v]
	behind := was != nil && (was.epoch > h.epoch || was.last >= h.last)
	l.mu.Unlock()
	if behind {
		var latest, over bool
		if _, err := l.ask(ctx, "standing", []any{int64(v), h.id[:]}, &latest, &over); err != nil {
			return wal.Claim{}, l.failed(v, fmt.Errorf("%w: %v", wal.ErrUnknown, err))
		}
		if !latest {
			return wal.Claim{}, wal.ErrFenced
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch is := l.claims[v]; {
	case l.closed:
		return wal.Claim{}, wal.ErrClosed
	case is != was && is.epoch > h.epoch:
		return wal.Claim{}, wal.ErrFenced
	case is != nil:
		is.spent = true
	}
	l.claims[v] = h
	if behind {
		h.spent = true
		return wal.Claim{}, fmt.Errorf("%w: shard %d has had record %d, and the claim is record %d", wal.ErrTailLost, v, was.last, h.last)
	}
	return wal.Claim{Volume: v, Epoch: h.epoch, Last: h.last}, nil
}
