package actors

import (
	"sync"
	"time"

	"carillon/storage"
)

const (
	sampleSpan  = 10 * time.Second
	historySpan = time.Hour
	historyLen  = int(historySpan / sampleSpan)
)

// Sample is what an engine has done in about ten seconds.
type Sample struct {
	At   time.Time     // its end, by the wall clock
	Span time.Duration // its length, by a clock that no step moves

	Begun    int64           // attempts of jobs whose handlers began
	Attempts AttemptCounts   // that have ended, and are durable
	Lateness storage.Latency // of those that began
	Commits  storage.Latency // of what was committed together
}

// history is the samples of the last hour. The waker takes them, as it checks the clock, so that
// they cost neither a goroutine nor a timer.
type history struct {
	mu    sync.Mutex
	last  tally
	next  int // where the oldest is once there are historyLen
	list  []Sample
	ended []time.Duration // when each of them ended, as clock.elapsed has it
}

// tally is what had been counted at an instant.
type tally struct {
	at       time.Duration // clock.elapsed
	late     storage.Histogram
	commits  storage.Histogram
	attempts AttemptCounts
}

// sample adds a sample if the last one is old enough. It does not block.
func (e *Engine) sample() {
	h, now := &e.history, e.clock.elapsed()
	h.mu.Lock()
	defer h.mu.Unlock()
	if now-h.last.at < sampleSpan {
		return
	}
	for _, m := range e.functions {
		m.sample(now)
	}
	m := tally{now, storage.Histogram(e.meters.late.Counts()), e.store.CommitTimes(), e.meters.ends.counts()}
	late, commits := m.late.Since(&h.last.late), m.commits.Since(&h.last.commits)
	s := Sample{
		At: e.clock.wall(), Span: now - h.last.at, Begun: int64(late.Total()), Attempts: m.attempts.since(h.last.attempts),
		Lateness: late.Latency(), Commits: commits.Latency(),
	}
	if h.last = m; len(h.list) < historyLen {
		h.list, h.ended = append(h.list, s), append(h.ended, now)
		return
	}
	h.list[h.next], h.ended[h.next] = s, now
	h.next = (h.next + 1) % historyLen
}

// History returns what the engine has done in the last hour, the oldest sample first: at most 360, one each ten
// seconds, or each Options.ClockCheck if that is longer. It is kept in memory, about 60 KiB, and
// begins with Open. It does not block.
func (e *Engine) History() []Sample {
	h, now := &e.history, e.clock.elapsed()
	h.mu.Lock()
	defer h.mu.Unlock()
	samples := make([]Sample, 0, len(h.list))
	for i := range h.list {
		at := (h.next + i) % len(h.list)
		if now-h.ended[at] < historySpan {
			samples = append(samples, h.list[at])
		}
	}
	return samples
}

// counts are what was added so far.
func (a *attemptEnds) counts() AttemptCounts {
	return AttemptCounts{
		a.success.Load(), a.retried.Load(), a.dead.Load(), a.postponed.Load(),
		a.interrupted.Load(), a.held.Load(), a.canceled.Load(),
	}
}

// since is what was counted after before.
func (a AttemptCounts) since(before AttemptCounts) AttemptCounts {
	return AttemptCounts{
		a.Success - before.Success, a.Retried - before.Retried, a.Dead - before.Dead, a.Postponed - before.Postponed,
		a.Interrupted - before.Interrupted, a.Held - before.Held, a.Canceled - before.Canceled,
	}
}

// Ended is how many have ended.
func (a AttemptCounts) Ended() int64 {
	return a.Success + a.Retried + a.Dead + a.Postponed + a.Interrupted + a.Held + a.Canceled
}
