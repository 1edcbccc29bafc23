package crash_test

import (
	"strconv"

	"carillon/dispatch"
)

// This file is the worker's action that saves how far it has come. What it was given and has saved
// it says.

var saveMark = dispatch.InternalAction[string, dispatch.None]("work:save")

// savedMark is a checkpoint.
type savedMark struct {
	Key  string
	Done int
}

// savedAll is when there is nothing more to do. The first attempt fails before.
const savedAll = 3

// handleSaves binds the action.
func handleSaves(reg *dispatch.Registry, tell func(said)) {
	saveMark.Handle(reg, func(ctx *dispatch.ActionCtx, key string) (none dispatch.None, err error) {
		say := func(kind saidKind, saved savedMark) {
			d := sentBy(ctx, key)
			d.Kind, d.Answer, d.Of = kind, strconv.Itoa(saved.Done), saved.Key
			tell(d)
		}
		saved, _, err := dispatch.CheckpointOf[savedMark](ctx)
		if err != nil {
			return none, err
		}
		say(saidSent, saved)
		for saved.Done < savedAll {
			if ctx.Job.Attempt == 1 && saved.Done == savedAll-1 {
				say(saidFails, saved)
				return none, errAsTold
			}
			saved = savedMark{key, saved.Done + 1}
			if err := ctx.Checkpoint(saved); err != nil {
				return none, err
			}
			say(saidSaved, saved)
		}
		return none, nil
	})
}

// saves verifies that each attempt was given a checkpoint of its own job, and none older than
// the last that is known to be durable: the first of an attempt when it was told of, what an attempt
// was given, and of one that has failed the last when the next one begins (G34).
func (l *appLedger) saves() {
	type attempts struct {
		durable, last, life int
		first, failed       bool
	}
	of := map[string]*attempts{}
	for _, d := range l.journal {
		if d.app() != l.id || d.Kind != saidSaved && d.Kind != saidFails && (d.Kind != saidSent || d.Answer == "") {
			continue
		}
		a := of[d.Key]
		if a == nil {
			a = new(attempts)
			of[d.Key] = a
		}
		done, err := strconv.Atoi(d.Answer)
		if err != nil {
			l.tally.Other("%s: %+v: %v", l.what, d, err)
		}
		switch d.Kind {
		case saidSent:
			if a.failed && a.life == d.Life && !l.bad {
				a.durable = max(a.durable, a.last)
			}
			switch {
			case d.Of != "" && d.Of != d.Key:
				l.tally.Leaked("%s: attempt %d of %s was given the checkpoint of %s", l.what, d.Attempt, d.Key, d.Of)
			case done < a.durable:
				l.tally.Lost("%s: attempt %d of %s was given checkpoint %d in life %d, and %d had been saved", l.what, d.Attempt, d.Key, done, d.Life, a.durable)
			}
			*a = attempts{durable: max(a.durable, done), last: done, life: d.Life, first: true}
		case saidSaved:
			if a.first {
				a.durable = max(a.durable, done)
			}
			a.first, a.last = false, done
		case saidFails:
			a.failed = true
		}
	}
	for _, job := range l.jobs {
		if a := of[keyOf(job)]; job.Function == saveMark.Path() && job.State.Ended() && (a == nil || a.last != savedAll) {
			l.tally.Lost("%s: job %s (%s) is %s, and was told of %+v", l.what, job.ID, keyOf(job), job.State, a)
		}
	}
}
