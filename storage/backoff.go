package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"carillon/storage/internal/kv"
	"carillon/storage/internal/wal"
)

// Bounds of the time in which a volume applies no change sets, after two or more
// commits in a row that failed. It doubles with each.
const (
	minBackoff = 10 * time.Millisecond
	maxBackoff = 10 * time.Second

	maxSharedBackoff = 200 * time.Millisecond // of a shard, whose log may be back at any time
)

// minCalm is how long after a failed commit the next one that fails counts as one of
// the same row, at least.
const minCalm = time.Second

// backoff is what keeps a volume from being written. The committer changes it; any
// goroutine asks it. Each change of state is one line of the log.
//
//	        commit failed                    commit failed again
//	  up ─────────────────► failing ─────────────────────────────► backing off
//	   ▲                       │                                    │    │ ▲
//	   └───────────────────────┴── committed, after a while ────────┘    └─┘ 10 ms … 10 s
//
//	any ── damage of what every commit needs, another owner, another file, a lost tail ──► lost, for good
type backoff struct {
	volume string
	logger *slog.Logger
	most   time.Duration // maxBackoff, or that of a shard

	mu       sync.Mutex
	failures int       // in a row
	since    time.Time // of the first of them
	last     time.Time // of the last of them
	until    time.Time // nothing is applied before
	cause    error     // of the last of them
	lost     error     // for good
}

// refusal says why a change set is not applied now, or nil.
func (b *backoff) refusal() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.lost != nil:
		return b.lost
	case time.Now().Before(b.until):
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, b.volume, b.cause)
	}
	return nil
}

// wait is how long the volume refuses change sets from now on.
func (b *backoff) wait() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost != nil {
		return maxBackoff
	}
	return max(time.Until(b.until), 0)
}

// fail notes that a commit, or a reopening, has failed.
func (b *backoff) fail(cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.cause, b.last = cause, now
	switch b.failures++; b.failures {
	case 1:
		b.since = now
		what := "commit failed; reopening the volume"
		if errors.Is(cause, kv.ErrNoRoom) || b.most == maxSharedBackoff && errors.Is(cause, kv.ErrRefused) {
			what = "commit refused"
		}
		b.logger.Error(what, "volume", b.volume, "err", cause)
	case 2:
		b.logger.Error("volume is down: commits keep failing", "volume", b.volume, "err", cause)
		fallthrough
	default:
		b.until = now.Add(min(minBackoff<<min(b.failures-2, 20), b.most))
	}
}

// succeed notes that something was committed. A full disk has room for what is small:
// only a success some time after the last failure says that the volume is up.
func (b *backoff) succeed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if calm := max(2*b.until.Sub(b.last), minCalm); b.failures == 0 || time.Since(b.last) < calm {
		return
	}
	if b.failures > 1 {
		b.logger.Info("volume is up again", "volume", b.volume, "after", time.Since(b.since), "failures", b.failures)
	}
	b.failures, b.until, b.cause = 0, time.Time{}, nil
}

// again has the next change set be tried at once.
func (b *backoff) again() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until = time.Time{}
}

// lose notes that nothing is committed any more before the store is opened anew.
func (b *backoff) lose(cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost != nil {
		return
	}
	b.lost = lostError(b.volume, cause)
	args := []any{"volume", b.volume, "err", b.lost}
	if d, ok := errors.AsType[*kv.Damage](cause); ok && d.Stack != "" {
		args = append(args, "stack", d.Stack)
	}
	b.logger.Error("volume is down until the store is opened anew", args...)
}

// isLost says whether nothing is committed any more before the store is opened anew.
func (b *backoff) isLost() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lost != nil
}

// close has every change set refused with the error, unless the volume is lost.
func (b *backoff) close(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost == nil {
		b.lost = err
	}
}

// lostError says in this package's words why a volume is lost.
func lostError(volume string, cause error) error {
	switch {
	case errors.Is(cause, kv.ErrReplaced):
		return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrFenced, cause)
	case errors.Is(cause, ErrFenced) || errors.Is(cause, wal.ErrTailLost):
		return fmt.Errorf("%w: %w", ErrUnavailable, cause)
	case errors.Is(cause, kv.ErrDamaged):
		return readError(cause)
	}
	return fmt.Errorf("%w: %s: %w", ErrCorrupt, volume, cause)
}

// isLost says whether a commit that failed so leaves the volume lost. What open apps know may be of
// records that the log has lost.
func isLost(cause error) bool {
	return errors.Is(cause, kv.ErrDamaged) || errors.Is(cause, kv.ErrReplaced) || errors.Is(cause, ErrFenced) || errors.Is(cause, wal.ErrTailLost)
}
