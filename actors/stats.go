package actors

import (
	"sync/atomic"
	"time"

	"carillon/internal/histogram"
	"carillon/storage"
)

// meters are what the engine counts always: each count is an atomic addition.
type meters struct {
	late                histogram.Histogram // ns from when an attempt was due until its handler began
	ends                attemptEnds
	wakes, hibernations atomic.Int64
}

// attemptEnds is storage.AttemptEnds of all that was committed.
type attemptEnds struct {
	success, retried, dead, postponed, interrupted, held, canceled atomic.Int64
}

// add adds the ends of a transaction that is durable, which has canceled so many that had begun.
// The committer calls it.
func (a *attemptEnds) add(n storage.AttemptEnds, stopped int) {
	a.success.Add(int64(n.Success))
	a.retried.Add(int64(n.Retried))
	a.dead.Add(int64(n.Dead))
	a.postponed.Add(int64(n.Postponed))
	a.interrupted.Add(int64(n.Interrupted))
	a.held.Add(int64(n.Held))
	a.canceled.Add(int64(n.Canceled) + int64(stopped))
}

// noteLate notes that the handler of a job begins at the instant, by the wall.
func (app *appState) noteLate(job *storage.Job, wall time.Time) {
	late := wall.Sub(job.Due)
	app.eng.meters.late.Observe(int64(late))
	app.note(func(m *minuteOfApp) {
		m.begun++
		m.late += max(late, 0)
		m.latest = max(m.latest, late)
	})
}

// noteEnds notes how attempts have ended of a transaction that is durable, which has canceled so many that had begun.
func (app *appState) noteEnds(n storage.AttemptEnds, stopped int) {
	if n == (storage.AttemptEnds{}) && stopped == 0 {
		return
	}
	app.eng.meters.ends.add(n, stopped)
	app.note(func(m *minuteOfApp) {
		m.ended += int64(n.Success+n.Retried+n.Dead+n.Postponed+n.Interrupted+n.Held+n.Canceled) + int64(stopped)
		m.failed += int64(n.Dead)
	})
}

// Stats are what an engine has done, and cleared away, since Open.
type Stats struct {
	storage.Stats
	PurgedDead int64 // dead jobs past their retention (Options.DeadRetention, Options.KeepDead)
	Overdue    int   // triggers without a success for too long now, as Inspection.Overdue has them
	Slots      int   // jobs of all apps that may run at once (Options.Concurrency)
	Claimed    int64 // jobs of all apps that are claimed now and wait to be started
	Shed       int64 // mutations of clients, the host and actions that were refused since their volume was overloaded

	Lateness    storage.Histogram // nanoseconds from when an attempt of a job was due until its handler began
	Attempts    AttemptCounts     // that have ended, and are durable
	ClockSteps, // steps of the wall clock of more than five minutes
	Wakes, Hibernations int64 // of apps

	LiveQueries int               // that are subscribed to now, in all apps; equal ones count each
	LiveBytes   int64             // what is retained of their results and of what they have read, about
	LiveRuns    int64             // runs of queries that are subscribed to, which equal ones share
	Staleness   storage.Histogram // nanoseconds from when the first of what a live query reads was written, durably, until the results of a round have it
}

// AttemptCounts are how many attempts have ended how, as storage.AttemptEnds has them.
type AttemptCounts struct{ Success, Retried, Dead, Postponed, Interrupted, Held, Canceled int64 }

// Stats returns what the engine has done, and cleared away, since Open. It waits for a volume
// that is being opened anew.
func (e *Engine) Stats() Stats {
	m := &e.meters
	queries, bytes := e.lives.sums()
	return Stats{
		Stats: e.store.Stats(), PurgedDead: e.purgedDead.Load(), Slots: e.opts.Concurrency, Claimed: e.claimed.runs.Load(), Shed: e.shed.Load(),
		Overdue:    e.overdues.count("", e.clock.wall()),
		Lateness:   storage.Histogram(m.late.Counts()),
		Attempts:   m.ends.counts(),
		ClockSteps: e.clock.steps.Load(), Wakes: m.wakes.Load(), Hibernations: m.hibernations.Load(),
		LiveQueries: queries, LiveBytes: bytes, LiveRuns: e.lives.runs.Load(), Staleness: storage.Histogram(e.lives.stale.Counts()),
	}
}

// VolumeStats returns what there is to say of each volume, in their order. It waits for a volume that is
// being opened anew, and for the file system.
func (e *Engine) VolumeStats() []storage.VolumeStats { return e.store.VolumeStats() }

// Options returns the options in force: those of Open, with their defaults, and as many volumes as
// the store has.
func (e *Engine) Options() Options {
	o, store := e.opts, e.store.Options()
	o.Volumes, o.LockTimeout, o.LogKeep = store.Volumes, store.LockTimeout, store.LogKeep
	o.Limits = o.Limits.WithDefaults()
	return o
}

// Depth is what there is to do, in all apps.
type Depth struct {
	storage.Depth
	Awake   int // apps that are in memory
	Running int // jobs whose handlers have begun, of those that are pending
	Stuck   int // handlers, as Engine.Stuck names them
}

// Depth returns what there is to do. It reads the counters of all apps, a few microseconds for
// each, and wakes none: Survey is for those who ask often.
func (e *Engine) Depth() Depth { return e.survey(0).Depth }
