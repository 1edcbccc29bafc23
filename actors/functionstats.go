package actors

import (
	"sync"
	"sync/atomic"
	"time"

	"carillon/dispatch"
	"carillon/internal/histogram"
	"carillon/storage"
)

// FunctionStats is how often a function has run in the engine's apps, by calls and as jobs, and how long that
// took. A query that a mutation calls is part of its run.
type FunctionStats struct {
	Runs, Errors int64             // that have ended since Open; Errors returned one
	Time         storage.Histogram // of a run, in nanoseconds

	// The same of about the last minute, a second.
	RunsPerSecond, ErrorsPerSecond float64
}

// runTimeUnit is the first bound of the time of a run; the last one is 33 s.
const runTimeUnit = int64(64 * time.Microsecond)

// meterLen is how many samples of a functionMeter make a minute.
const meterLen = int(time.Minute / sampleSpan)

// functionMeter counts the runs of a function.
type functionMeter struct {
	errors atomic.Int64
	time   histogram.Histogram

	mu     sync.Mutex
	recent [meterLen]runTally // the latest samples, of which next is the oldest
	next   int
}

// runTally is what had been counted at an instant of clock.elapsed.
type runTally struct {
	at           time.Duration
	runs, errors int64
}

// functionMeters are those of the functions that are registered by now. It is not changed any more.
func functionMeters(reg *dispatch.Registry) map[*dispatch.Function]*functionMeter {
	meters := map[*dispatch.Function]*functionMeter{}
	if reg == nil {
		return meters
	}
	for _, info := range reg.Functions() {
		if fn, ok := reg.Lookup(info.Path); ok {
			meters[fn] = &functionMeter{time: histogram.Histogram{Unit: runTimeUnit}}
		}
	}
	return meters
}

// ran counts a run of the function. Remote ones, which may have any path, are not counted.
func (e *Engine) ran(fn *dispatch.Function, began time.Time, err error) {
	m := e.functions[fn]
	if m == nil {
		return
	}
	if m.time.Since(began); err != nil {
		m.errors.Add(1)
	}
}

// tally is what was counted so far. The counts of a run that ends meanwhile may be in it in part.
func (m *functionMeter) tally(at time.Duration) (t runTally, times storage.Histogram) {
	t.errors = m.errors.Load()
	times = storage.Histogram(m.time.Counts())
	t.at, t.runs = at, int64(times.Total())
	return t, times
}

// sample remembers what was counted so far, in the place of what is a minute old.
func (m *functionMeter) sample(at time.Duration) {
	t, _ := m.tally(at)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.recent[m.next] = t
	m.next = (m.next + 1) % meterLen
}

// stats is what was counted so far, and how much of it since the oldest sample, which is that of Open at first.
func (m *functionMeter) stats(at time.Duration) FunctionStats {
	m.mu.Lock()
	before := m.recent[m.next]
	m.mu.Unlock()
	t, times := m.tally(at)
	s := FunctionStats{Runs: t.runs, Errors: t.errors, Time: times}
	if span := (at - before.at).Seconds(); span > 0 {
		s.RunsPerSecond, s.ErrorsPerSecond = float64(t.runs-before.runs)/span, float64(t.errors-before.errors)/span
	}
	return s
}

// FunctionStats returns those of all functions that were registered before Open, by path. It does not block.
func (e *Engine) FunctionStats() map[string]FunctionStats {
	now, all := e.clock.elapsed(), make(map[string]FunctionStats, len(e.functions))
	for fn, m := range e.functions {
		all[fn.Path] = m.stats(now)
	}
	return all
}
