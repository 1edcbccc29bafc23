package actors

import (
	"fmt"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is what a pending job waits for, as readers are told. They ask from their own
// goroutines, so what the SchedulerActor alone knows of it, it leaves where they find it.

// shortage says which permits the due jobs of an app wait for.
type shortage int32

const (
	noShortage shortage = iota
	ofAppPermits
	ofEnginePermits
)

// tellReaders leaves for readers what only the SchedulerActor knows.
func (s *scheduler) tellReaders() {
	short := noShortage
	if len(s.runQueue.due) > 0 && s.started >= s.permits {
		if short = ofEnginePermits; s.started >= s.limits.Concurrency {
			short = ofAppPermits
		}
	}
	s.short.Store(int32(short))
	s.unwell.Store(s.backingOff())
}

// waits is what the pending job waits for, and why, if there is more to say. Of several
// it is the first.
func (app *appState) waits(job *storage.Job) (storage.Wait, string) {
	switch {
	case app.phase().stage() == phaseFailed || !app.eng.opts.ReadOnly && app.store.RetryIn() > 0:
		return storage.WaitVolume, "the volume has failed, and is tried again"
	case app.unwell.Load():
		return storage.WaitVolume, "pages of the app are damaged"
	case job.PendingOutside():
		return storage.WaitOutside, "its end comes from outside, by " + job.Due.Format(time.RFC3339)
	}
	if p := app.paused(job); p != nil {
		return storage.WaitPaused, p.String()
	}
	if job.TooLate(app.eng.clock.wall()) && app.eng.clock.doubted() {
		return storage.WaitClock, "it was not begun in time, by a clock that is in doubt"
	}
	if why := app.stuckReason(job); why != "" {
		return storage.WaitStuck, why
	}
	if why := app.runs.keyReason(job); why != "" {
		return storage.WaitPredecessor, why
	}
	claimed := app.runs.get(job.ID) != nil
	due := !job.Due.After(app.eng.clock.wall())
	switch {
	case !due && claimed:
		return storage.WaitClaimed, ""
	case !due && job.Attempts > 0:
		return storage.WaitBackoff, ""
	case !due:
		return storage.WaitNotDue, ""
	case claimed:
		if why := app.rateReason(job); why != "" {
			return storage.WaitRate, why
		}
		if wait, why := app.shortOfPermits(); wait != "" {
			return wait, why
		}
		return storage.WaitClaimed, ""
	}
	return app.waitsUnclaimed(job)
}

// waitsUnclaimed is waits for a job that is due and not claimed.
func (app *appState) waitsUnclaimed(job *storage.Job) (storage.Wait, string) {
	const tickBefore = "waits for an earlier tick of its trigger to end"
	switch {
	case app.phase().draining():
		return storage.WaitClaim, "the app comes to rest"
	case app.planner.waited(job):
		return storage.WaitPredecessor, tickBefore
	case job.Interruptions >= suspectAfter:
		return storage.WaitSuspect, fmt.Sprintf("%d crashes in a row have cut it off: it runs beside few others", job.Interruptions)
	case job.Pool != "":
		if wait, why := app.pools.waitsFor(job); wait != "" {
			return wait, why
		}
	}
	if why := app.rateReason(job); why != "" {
		return storage.WaitRate, why
	}
	if job.Trigger != "" && len(app.runs.ofTrigger(job.Trigger)) > 0 {
		return storage.WaitPredecessor, tickBefore
	}
	_, why := app.shortOfPermits()
	if job.Backfill != 0 && why == "" {
		return storage.WaitPredecessor, tickBefore
	}
	return storage.WaitClaim, why
}

// shortOfPermits is which permits the app's due jobs wait for; "" if for none.
func (app *appState) shortOfPermits() (storage.Wait, string) {
	switch shortage(app.short.Load()) {
	case ofAppPermits:
		return storage.WaitAppCap, fmt.Sprintf("%[1]d of %[1]d permits of the app are taken", app.limits.Concurrency)
	case ofEnginePermits:
		return storage.WaitEngineCap, "the permits that all apps share are taken"
	}
	return "", ""
}

// stuckReason is why handlers that were given up keep the job from beginning, or "".
func (app *appState) stuckReason(job *storage.Job) string {
	if l := app.runs.waitingFor(job, app.planner.waited(job)); l != nil {
		whose := "the attempt before"
		if l.Job != job.ID {
			whose = "an earlier tick"
		}
		return fmt.Sprintf("waits for the handler of %s, which was given up at %s and has not returned", whose, l.Since.UTC().Format(time.RFC3339))
	}
	if err := app.tooManyStuck(job); err != nil {
		return dispatch.AsError(err).Message
	}
	return ""
}
