package crash_test

import (
	"context"
	"fmt"
	"time"

	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// This file is what the worker does. The verifier tells from a call's name what
// must have come of it: see workerverify_test.go.

// The triggers of every app of the script, and what else is known by name.
const (
	tickingName = "ticking" // made, and given other arguments
	pausedName  = "paused"  // made, and paused for a while
	briefName   = "brief"   // made, and deleted
	pastName    = "past"    // made, and run for months that have passed
	laterName   = "later"   // part of the keys of jobs that are due in an hour

	oldWord, newWord = "old", "new" // in the arguments of the ticks
)

// goneApp is an app that is deleted while it has work.
const goneApp = storage.AppID("gone")

// The retries of the jobs that fail.
var (
	flakyRetry = dispatch.RetryPolicy{MaxAttempts: 6, Base: 200 * time.Millisecond}
	failRetry  = dispatch.RetryPolicy{MaxAttempts: 3, Base: 100 * time.Millisecond}
)

// The slots that a trigger is run for afterwards: one a month.
var (
	monthly  = cron.Monthly(1, 0, 0)
	pastFrom = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
)

const pastMonths = 3

// play is the script of one app. A call that builds upon one that has failed is
// left out.
func (w *worker) play(id storage.AppID) {
	s := w.app(id).Scheduler(w.ctx)
	p := &part{w: w, id: id}
	ticks := func(name, word string) dispatch.Trigger {
		return dispatch.Trigger{
			Name: name, Schedule: cron.Expr("* * * * * *"), Call: tickMark.With(string(id) + "/" + name + "/" + word),
			CatchUp: storage.CatchUp{Mode: storage.CatchUpAll, Limit: 1000},
		}
	}
	cron := func(name string, change func() error) bool {
		_, ok := w.do(id, name, func() (storage.JobID, string, error) { return "", "", change() })
		return ok
	}
	ticking := cron("create:"+tickingName, func() error { return s.Crons().Create(ticks(tickingName, oldWord)) })
	p.round(1)
	brief := cron("create:"+briefName, func() error { return s.Crons().Create(ticks(briefName, oldWord)) })
	paused := cron("create:"+pausedName, func() error {
		def := ticks(pausedName, oldWord)
		def.CatchUp = storage.CatchUp{} // the latest one only
		return s.Crons().Create(def)
	})
	if ticking {
		cron("update:"+tickingName, func() error { return s.Crons().Update(ticks(tickingName, newWord)) })
		w.do(id, "hand-1", func() (storage.JobID, string, error) {
			job, err := s.Crons().RunNow(tickingName)
			return job, "", err
		})
	}
	if paused {
		paused = cron("pause:"+pausedName, func() error { return s.Crons().Pause(pausedName, "for a while") })
	}
	if id == workerApps[0] && cron("create:"+pastName, func() error {
		def := ticks(pastName, oldWord)
		def.Schedule = monthly
		return s.Crons().Create(def)
	}) {
		cron("backfill:"+pastName, func() error {
			_, err := s.Crons().Backfill(pastName, dispatch.Backfill{From: pastFrom, To: pastFrom.AddDate(0, pastMonths, 0)})
			return err
		})
	}
	p.stop("keyed")
	p.stop("function")
	p.round(2)
	p.goOn("function")
	p.goOn("keyed")
	if brief {
		cron("delete:"+briefName, func() error { return s.Crons().Delete(briefName) })
	}
	if paused {
		cron("resume:"+pausedName, func() error { return s.Crons().Resume(pausedName) })
	}
	p.control("limit:narrow", func(s dispatch.Scheduler) error { return s.LimitPool("narrow", laterHold) })
	p.stop("app")
	p.schedule("stopped", 0, runMark.With)
	p.goOn("app")
	p.bury()
}

// part is one app's part in the script.
type part struct {
	w  *worker
	id storage.AppID
}

// schedule has the host schedule the call; its argument is the call's key.
func (p *part) schedule(name string, after time.Duration, call func(key string) dispatch.Call, opts ...dispatch.RunOption) (storage.JobID, bool) {
	return p.w.do(p.id, name, func() (storage.JobID, string, error) {
		job, err := p.w.app(p.id).Scheduler(p.w.ctx).RunAfter(after, call(string(p.id)+"/"+name), opts...)
		return job, "", err
	})
}

// cancel cancels the job of the call of that name.
func (p *part) cancel(name string, job storage.JobID) {
	p.w.do(p.id, "cancel:"+name, func() (storage.JobID, string, error) {
		answer, err := p.w.app(p.id).Scheduler(p.w.ctx).Cancel(job)
		found := string(answer.Found)
		if answer.Canceled {
			found = string(storage.StateCanceled)
		}
		return job, found, err
	})
}

// round is one of everything.
func (p *part) round(n int) {
	name := func(what string) string { return fmt.Sprint(what, "-", n) }
	caller := p.w.app(p.id).As(p.w.ctx, nil)
	p.w.do(p.id, name("put"), func() (storage.JobID, string, error) {
		_, err := putMark.Run(caller, string(p.id)+"/"+name("put"))
		return "", "", err
	})
	p.schedule(name("run"), 0, runMark.With)
	p.schedule(name("flaky"), 0, flakyMark.With, dispatch.WithRetry(flakyRetry))
	later, ok := p.schedule(name(laterName), time.Hour, runMark.With)
	p.schedule(name("fail"), 0, failMark.With, dispatch.WithRetry(failRetry))
	p.schedule(name("send"), 0, sendMark.With, dispatch.WithRetry(flakyRetry))
	if ok {
		p.cancel(name(laterName), later)
	}
	p.w.do(p.id, name("plan"), func() (storage.JobID, string, error) {
		job, err := planMark.Run(caller, string(p.id)+"/"+name("plan"))
		return job, "", err
	})
	p.schedule(name("once"), 0, sendOnce.With, dispatch.AtMostOnce(), p.then(name("once")))
	p.schedule(name("chosen"), 300*time.Millisecond, runMark.With, dispatch.ID(storage.JobID(name("chosen"))))
	p.schedule(name(laterName+"-kept"), time.Hour, runMark.With)
	p.keys(name)
	p.revise(name)
	p.pools(name)
	p.w.do(p.id, name("batch"), func() (storage.JobID, string, error) {
		calls := make([]dispatch.Scheduled, batchSize)
		for i := range calls {
			calls[i] = dispatch.After(100*time.Millisecond, runMark.With(batched(string(p.id)+"/"+name("batch"), i)))
		}
		_, err := p.w.app(p.id).Scheduler(p.w.ctx).RunMany(calls)
		return "", "", err
	})
	if soon, ok := p.schedule(name("soon"), 40*time.Millisecond, runMark.With, p.then(name("soon"))); ok {
		p.cancel(name("soon"), soon) // in time, or not
	}
	p.chain(name("chain"))
	p.groups(name)
	p.schedule(name("save"), 0, saveMark.With, dispatch.WithRetry(flakyRetry))
	p.schedule(name("ask"), 0, askMark.With, dispatch.WithRetry(flakyRetry))
}

// batchSize is how many jobs a batch has, and batched the key of one of them.
const batchSize = 3

func batched(key string, i int) string { return fmt.Sprint(key, "/", i) }

// burstDelay is that of calls for one job.
const burstDelay = 100 * time.Millisecond

// keys is two calls for one job: the second of which is kept, or replaces the first.
func (p *part) keys(name func(string) string) {
	// Of this part alone: that of the next one would replace what this one was told of.
	keep, replace := dispatch.Unique(name("keep"), dispatch.Keep()), dispatch.Unique(name("replace"), dispatch.Replace())
	p.schedule(name("only"), burstDelay, runMark.With, keep)
	p.schedule(name("again"), burstDelay, runMark.With, keep)
	p.schedule(name("burst"), burstDelay, runMark.With, replace)
	p.schedule(name("last"), burstDelay, runMark.With, replace)
}

// revise gives a job other arguments: those of the call that does, which it is then. It is due now.
func (p *part) revise(name func(string) string) {
	job, ok := p.schedule(name(laterName+"-revised"), time.Hour, runMark.With)
	if !ok {
		return
	}
	p.w.do(p.id, name("last-revision"), func() (storage.JobID, string, error) {
		call := runMark.With(string(p.id) + "/" + name("last-revision"))
		answer, err := p.w.app(p.id).Scheduler(p.w.ctx).Reschedule(job, dispatch.NewArgs(call), dispatch.DueIn(0))
		return job, string(answer.Found), err
	})
}

// bury has jobs die, and then brings one back and removes the other for good.
func (p *part) bury() {
	w := p.w
	s := w.app(p.id).Scheduler(w.ctx)
	for name, then := range map[string]func(storage.JobID) (bool, error){"revive": s.RetryDead, "drop": s.DropDead} {
		job, ok := p.schedule(name, 0, failMark.With, dispatch.NoRetry(), p.then(name))
		for deadline := time.Now().Add(w.patience()); ok; {
			job, _, err := s.Get(job)
			if err == nil && job.State == storage.StateFailed {
				break
			}
			ok = time.Now().Before(deadline)
			time.Sleep(2 * time.Millisecond) // a real process has no virtual time
		}
		if ok {
			w.do(p.id, name+":dead", func() (storage.JobID, string, error) {
				found, err := then(job)
				return job, fmt.Sprint(found), err
			})
		}
	}
}

// playGone makes an app with work, and deletes it.
func (w *worker) playGone() {
	p := &part{w: w, id: goneApp}
	p.round(1)
	// On a disk that is broken for good the app never comes to rest.
	ctx, cancel := context.WithTimeout(w.ctx, w.patience())
	defer cancel()
	w.do(goneApp, "delete", func() (storage.JobID, string, error) { return "", "", w.eng.Delete(ctx, goneApp) })
}
