package crash_test

import (
	"carillon/dispatch"
	"carillon/storage"
)

// Each action of an engine whose commits fail saves a checkpoint when it begins, and another one
// right behind it. The first is durable when it is acknowledged, whatever has failed before and
// fails then, so that a later attempt is given that one or a later one, and never one of an attempt
// that comes after it, or of another job (G34).

// failSaved is a checkpoint.
type failSaved struct {
	App storage.AppID `json:"app"`
	Job storage.JobID `json:"job"`
	Nth int           `json:"nth"` // attempt of it, as the test counts: one that is tried again by hand begins with 1 again
}

// saves has the action look at what it is given, and save its own.
func (l *failLife) saves(ctx *dispatch.ActionCtx) {
	of := failSaved{App: ctx.Job.App, Job: ctx.Job.ID}
	given, saved, err := dispatch.CheckpointOf[failSaved](ctx)
	before := given.Nth
	given.Nth = 0
	l.mu.Lock()
	nth := l.jobs[of.Job].begins
	switch least := l.saved[of]; {
	case err != nil: // the volume is down
	case saved && (given != of || before >= nth):
		l.found(l.tally.Leaked, "attempt %d of %+v was given the checkpoint of attempt %d of %+v", nth, of, before, given)
	case before < least:
		l.found(l.tally.Lost, "attempt %d of %+v was given the checkpoint of attempt %d, and that of %d was saved", nth, of, before, least)
	case before > 0:
		l.seen["checkpoint"]++
	}
	l.mu.Unlock()
	own := of
	own.Nth = nth
	err = ctx.Checkpoint(own)
	l.mu.Lock()
	if err == nil {
		l.saved[of] = max(l.saved[of], nth)
	} else {
		l.seen["checkpoint not saved"]++
	}
	l.mu.Unlock()
	_ = ctx.Checkpoint(own) // too soon: it is written with the end of the attempt, or not at all
}
