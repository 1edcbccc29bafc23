package crash_test

import (
	"context"
	"fmt"
	"strings"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is the worker's work that something follows: jobs with follow-ups, which leave marks
// of what they were told, and results, which are waited for.

var (
	longMark = dispatch.InternalMutation[string, string]("work:long")        // its result lies beside its job
	tellMark = dispatch.InternalMutation[string, dispatch.None]("work:tell") // a follow-up
)

// returned is the result of longMark.
func returned(key string) string { return strings.Repeat(key+" ", 40) }

// toldOf is the argument of the follow-up of the call of that key, and toldKey what the mark of
// one is called.
func toldOf(key string) string               { return key + toldEnd }
func toldKey(key string, ordinal int) string { return fmt.Sprint(key, "#", ordinal) }

const toldEnd = "/told"

// handleChains binds the functions.
func handleChains(reg *dispatch.Registry) {
	longMark.Handle(reg, func(ctx *dispatch.MutationCtx, key string) (string, error) {
		return returned(key), leaveMark(ctx, key)
	})
	tellMark.Handle(reg, func(ctx *dispatch.MutationCtx, key string) (dispatch.None, error) {
		o := ctx.Job.Outcome
		told := string(o.State)
		if text, err := dispatch.ResultOf[string](o); err == nil {
			told += ": " + text
		}
		return dispatch.None{}, leaveMarkOf(ctx, mark{Key: toldKey(key, o.Ordinal), Told: told})
	})
}

// then is the follow-up of the call of that name; it may have one, too.
func (p *part) then(name string, more ...dispatch.RunOption) dispatch.RunOption {
	return dispatch.OnDone(tellMark.With(toldOf(string(p.id)+"/"+name)), more...)
}

// chain is a chain of three, whose first job is waited for.
func (p *part) chain(name string) {
	job, ok := p.schedule(name, 0, longMark.With, p.then(name, p.then(name+toldEnd)))
	if !ok {
		return
	}
	p.w.do(p.id, "wait:"+name, func() (storage.JobID, string, error) {
		ctx, cancel := context.WithTimeout(p.w.ctx, p.w.patience())
		defer cancel()
		ended, err := p.w.app(p.id).Wait(ctx, job)
		return job, string(ended.State), err
	})
}

// hasFollowUp says whether the call of that key was made with one.
func hasFollowUp(key string) bool {
	_, name, _ := strings.Cut(key, "/")
	name, told := strings.CutSuffix(name, toldEnd)
	switch what, _, _ := strings.Cut(name, "-"); what {
	case "chain":
		return !strings.HasSuffix(name, toldEnd)
	case "soon", "once", "revive", "drop":
		return !told
	}
	return false
}

// chains verifies that each end has its follow-up, in the commit of the end, and one; that it is
// told how the job has ended; and that of a success the result is there (G32, G33).
func (l *appLedger) chains() {
	type end struct {
		of      storage.JobID
		ordinal int
	}
	follows := map[end]*storage.Job{}
	for _, job := range l.jobs {
		o := job.Outcome
		if o == nil {
			continue
		}
		if other := follows[end{o.Job, o.Ordinal}]; other != nil {
			l.tally.Doubled("%s: end %d of job %s has the follow-ups %s and %s", l.what, o.Ordinal, o.Job, other.ID, job.ID)
		}
		follows[end{o.Job, o.Ordinal}] = job
		_, dropped := l.did[strings.TrimSuffix(keyOf(job), toldEnd)+":dead"]
		of := l.jobs[o.Job]
		switch {
		case of == nil && !dropped:
			l.tally.Lost("%s: job %s follows %s, which is not there", l.what, job.ID, o.Job)
			continue
		case of != nil && (job.Parent != of.ID || o.Ordinal > of.Ends):
			l.tally.Other("%s: job %s follows end %d of %d of job %s, and its parent is %q", l.what, job.ID, o.Ordinal, of.Ends, of.ID, job.Parent)
		}
		told := string(o.State)
		if o.State == storage.StateSuccess {
			if told += ": "; o.Function == longMark.Path() {
				told += returned(strings.TrimSuffix(keyOf(job), toldEnd))
			}
		}
		for _, m := range l.marks[toldKey(keyOf(job), o.Ordinal)] {
			if m.Told != told {
				l.tally.Other("%s: job %s was told %q, want %q", l.what, job.ID, m.Told, told)
			}
		}
	}
	for _, job := range l.jobs {
		if job.State == storage.StateSuccess && job.Function == longMark.Path() && string(job.Result) != fmt.Sprintf("%q", returned(keyOf(job))) {
			l.tally.Lost("%s: the result of job %s (%s) is %q: %+v", l.what, job.ID, keyOf(job), job.Result, job.NotKept)
		}
		if !hasFollowUp(keyOf(job)) {
			continue
		}
		if job.State.Ended() && job.Ends == 0 {
			l.tally.Lost("%s: job %s (%s) is %s, and has no follow-up", l.what, job.ID, keyOf(job), job.State)
		}
		for n := 1; n <= job.Ends; n++ {
			if follows[end{job.ID, n}] == nil {
				l.tally.Lost("%s: job %s (%s) is %s, and its end %d has no follow-up", l.what, job.ID, keyOf(job), job.State, n)
			}
		}
		if last := follows[end{job.ID, job.Ends}]; job.State.Ended() && last != nil && last.Outcome.State != job.State {
			l.tally.Other("%s: job %s (%s) is %s, and its follow-up was told %+v", l.what, job.ID, keyOf(job), job.State, last.Outcome)
		}
	}
}
