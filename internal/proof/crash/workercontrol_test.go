package crash_test

import (
	"fmt"
	"slices"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is the worker's work under control: jobs of pools, with keys, in order and of a
// rate, that are paused, and that expire.

// The pools, and how many jobs of a lane of each may run at once. The span of the rate is
// longer than a worker and its verifier live.
var (
	narrowPool = dispatch.NewPool("narrow", 2)
	keyedPool  = dispatch.NewPool("keyed", 1)
	linePool   = dispatch.NewPool("line", 1, dispatch.Ordered())
	pacedPool  = dispatch.NewPool("paced", pacedRate, dispatch.Rate(pacedRate, pacedSpan))

	workerPools = []*dispatch.Pool{narrowPool, keyedPool, linePool, pacedPool}
	laneLimits  = map[string]int{"narrow": 2, "keyed": 1, "line": 1, "paced": pacedRate}
)

const (
	pacedRate = 2
	pacedSpan = time.Minute
	laterHold = 1 // the limit of the narrow pool that is set at run time
)

// The actions of these pools say when they begin, and when they are about to end.
var (
	poolStep = dispatch.InternalAction[string, dispatch.None]("work:step")
	lineStep = dispatch.InternalAction[string, dispatch.None]("work:line") // its first attempt fails
)

// workerScopes are what the script pauses, by the name of the call.
var workerScopes = map[string]storage.Scope{
	"keyed": dispatch.OfPool("keyed"), "function": dispatch.OfFunction(lineStep.Path()), "app": dispatch.OfApp(),
}

// handleSteps binds the actions of the pools.
func handleSteps(reg *dispatch.Registry, tell func(said)) {
	for _, ref := range []*dispatch.ActionRef[string, dispatch.None]{poolStep, lineStep} {
		ref.Handle(reg, func(ctx *dispatch.ActionCtx, key string) (dispatch.None, error) {
			tell(sentBy(ctx, key))
			time.Sleep(2 * time.Millisecond) // a real process has no virtual time
			done := sentBy(ctx, key)
			done.Kind = saidDone
			tell(done)
			if ref == lineStep && ctx.Job.Attempt == 1 {
				return dispatch.None{}, errAsTold
			}
			return dispatch.None{}, nil
		})
	}
}

// poolsSize is how many jobs pools schedules.
const poolsSize = 11

// pools is some of each pool, in one batch. The ordered ones fail first, and wait for another
// attempt; the last one may be too late.
func (p *part) pools(name func(string) string) {
	key := string(p.id) + "/" + name("pools")
	calls := make([]dispatch.Scheduled, 0, poolsSize)
	add := func(ref *dispatch.ActionRef[string, dispatch.None], opts ...dispatch.RunOption) {
		calls = append(calls, dispatch.After(0, ref.With(batched(key, len(calls))), opts...))
	}
	for i := range 3 {
		add(poolStep, dispatch.InPool(narrowPool))
		add(poolStep, dispatch.InPool(keyedPool, fmt.Sprint(i%2)))
	}
	add(lineStep, dispatch.InPool(linePool, "only"), dispatch.WithRetry(flakyRetry))
	add(lineStep, dispatch.InPool(linePool, "only"), dispatch.WithRetry(flakyRetry))
	for range pacedRate { // of two rounds, more than may begin
		add(poolStep, dispatch.InPool(pacedPool))
	}
	add(poolStep, dispatch.InPool(keyedPool, "late"), dispatch.ExpiresAfter(200*time.Millisecond))
	p.control(name("pools"), func(s dispatch.Scheduler) error {
		_, err := s.RunMany(calls)
		return err
	})
}

// control is a call that pauses, resumes or limits something.
func (p *part) control(name string, change func(s dispatch.Scheduler) error) {
	p.w.do(p.id, name, func() (storage.JobID, string, error) { return "", "", change(p.w.app(p.id).Scheduler(p.w.ctx)) })
}

// stop pauses something, and then leaves a mark: what begins at a later instant than that
// has begun after the pause was acknowledged.
func (p *part) stop(what string) {
	p.control("stop:"+what, func(s dispatch.Scheduler) error { return s.Pause(workerScopes[what], "ann", "for a while") })
	p.w.do(p.id, stopMark+what, func() (storage.JobID, string, error) {
		_, err := putMark.Run(p.w.app(p.id).As(p.w.ctx, nil), string(p.id)+"/"+stopMark+what)
		return "", "", err
	})
}

const stopMark = "put-stopped-"

func (p *part) goOn(what string) {
	p.control("go:"+what, func(s dispatch.Scheduler) error {
		_, err := s.Resume(workerScopes[what])
		return err
	})
}

// mayWait says whether the job may have good reason not to have run yet.
func (v *appView) mayWait(job *storage.Job) bool {
	return job.Pool == "paced" || job.Wait == storage.WaitOutside && v.left || slices.ContainsFunc(v.Pauses, func(p storage.Pause) bool {
		return p.Of.App || p.Of.Function == job.Function || p.Of.Pool != "" && p.Of.Pool == job.Pool
	})
}

// controlled verifies that what was acknowledged to be paused, resumed or limited is, unless
// a later call was begun.
func (l *appLedger) controlled(verb, what string) {
	paused := slices.ContainsFunc(l.view.Pauses, func(p storage.Pause) bool { return p.Of == workerScopes[what] })
	_, resumes := l.did[l.keyed("go:"+what)]
	switch {
	case verb == "limit" && l.view.Limits[what] != laterHold:
		l.tally.Lost("%s: app %s: the limit of pool %s was acknowledged, and is %d", l.what, l.id, what, l.view.Limits[what])
	case verb == "stop" && !paused && !resumes && !l.resumed:
		l.tally.Lost("%s: app %s: the pause of %s was acknowledged, and is gone", l.what, l.id, what)
	case verb == "go" && paused:
		l.tally.Lost("%s: app %s: the end of the pause of %s was acknowledged, and it is paused", l.what, l.id, what)
	}
}

// resume ends what a worker has left paused, of all apps.
func (v *verifier) resume() {
	for _, id := range workerApps {
		for _, of := range workerScopes {
			if _, err := v.h.Scheduler(id).Resume(of); err != nil {
				v.tally.Other("%s: app %s: resuming %s: %v", v.what, id, of, err)
			}
		}
	}
	v.resumed = true
}

// lanes verifies what the journal, in its order, says of the jobs of pools (G27, G28, G35).
func (l *appLedger) lanes() {
	running := map[storage.Lane]map[storage.JobID]bool{}
	starts := map[storage.Lane][]time.Time{}
	cutOff := map[storage.Lane]int{}
	life := 0
	for _, d := range l.journal {
		job := l.jobs[d.Job]
		if d.Life != life {
			clear(running)
			life = d.Life
		}
		if d.app() != l.id || job == nil || job.Pool == "" || d.Kind != saidSent && d.Kind != saidDone {
			continue
		}
		at := job.Lane()
		if running[at] == nil {
			running[at] = map[storage.JobID]bool{}
		}
		if d.Kind == saidDone {
			delete(running[at], d.Job)
			continue
		}
		running[at][d.Job] = true
		starts[at] = append(starts[at], d.Now)
		if n := len(running[at]); n > laneLimits[at.Pool] && !l.bad {
			l.tally.Doubled("%s: %d jobs of %v run at once, in life %d", l.what, n, at, life)
		}
	}
	for _, job := range l.jobs {
		for _, attempt := range job.History {
			if attempt.Interrupted && job.Pool != "" {
				cutOff[job.Lane()]++
			}
		}
	}
	for at, n := range cutOff {
		if most := laneLimits[at.Pool] * l.deaths; n > most && !l.bad {
			l.tally.Doubled("%s: of %v %d attempts were cut off by %d crashes, %d at most run at once", l.what, at, n, l.deaths, laneLimits[at.Pool])
		}
	}
	// An instant of a worker's is ahead of its clock, which is stepped.
	paced := starts[storage.Lane{Pool: "paced"}]
	for i := pacedRate; i < len(paced); i++ {
		if span := paced[i].Sub(paced[i-pacedRate]); span < pacedSpan/2 {
			l.tally.Doubled("%s: app %s: %d jobs of a rate of %d in %v began within %v", l.what, l.id, pacedRate+1, pacedRate, pacedSpan, span)
		}
	}
}

// inLine verifies that jobs of an ordered pool have run one after another, whatever failed
// or was cut off between.
func (l *appLedger) inLine() {
	var before string // the last that has begun
	over := map[string]bool{}
	for _, d := range l.journal {
		if d.Kind != saidSent || d.app() != l.id {
			continue
		}
		job := l.jobs[d.Job]
		if job == nil || job.Pool != "line" || d.Key == before {
			continue
		}
		if over[d.Key] || before != "" && job.Seq() < l.byKey[before][0].Seq() {
			l.tally.Other("%s: %s began after %s, which comes behind it", l.what, d.Key, before)
		}
		over[before], before = true, d.Key
	}
}

// stopped verifies that nothing of a pause has begun between its acknowledgement and the
// resume, and nothing after its last instant: by ctx.Now, which is no earlier than the wall.
func (l *appLedger) stopped() {
	for what, of := range workerScopes {
		if _, acked := l.acks[l.keyed("stop:"+what)]; !acked {
			continue
		}
		from := l.opened
		if marks := l.marks[l.keyed(stopMark+what)]; len(marks) > 0 {
			from = marks[0].At
		}
		until := l.opened.Add(quietFor) // when the verifier resumes
		if d, ok := l.did[l.keyed("go:"+what)]; ok {
			until = d.At
		}
		during := func(at time.Time) bool { return at.After(from) && at.Before(until) }
		for key, lines := range l.sent {
			for _, d := range lines {
				if job := l.jobs[d.Job]; job != nil && during(d.Now) && (of.App || of.Function == job.Function || of.Pool != "" && of.Pool == job.Pool) {
					l.tally.Other("%s: %s began at %v, and %s was paused at %v", l.what, key, d.Now, of, from)
				}
			}
		}
		for _, m := range l.view.Marks {
			if job := l.jobs[m.Job]; job != nil && during(m.At) && (of.App || of.Pool != "" && of.Pool == job.Pool) {
				l.tally.Other("%s: %s began at %v, and %s was paused at %v", l.what, m.Key, m.At, of, from)
			}
		}
	}
	// What came after the pause, and is too late when that ends, never begins.
	_, stopped := l.acks[l.keyed("stop:keyed")]
	goes, ok := l.did[l.keyed("go:keyed")]
	for _, job := range l.byKey[batched(l.keyed("pools-2"), poolsSize-1)] {
		if n := len(l.sent[keyOf(job)]); stopped && ok && goes.At.After(job.NotAfter) && n > 0 {
			l.tally.Other("%s: %s was begun, its pool was paused until %v, and no attempt was to begin after %v", l.what, keyOf(job), goes.At, job.NotAfter)
		}
	}
	for key, lines := range l.sent {
		for _, d := range lines {
			// A worker's handler looks at its clock, which is stepped, later than it begins.
			if job := l.jobs[d.Job]; job != nil && job.TooLate(d.Now) && !d.Now.Before(l.opened) {
				l.tally.Other("%s: %s began at %v, and not after %v", l.what, key, d.Now, job.NotAfter)
			}
		}
	}
}

// mayHave is the state of a job that may not have run; "" of others.
func (l *appLedger) mayHave(job *storage.Job) storage.State {
	switch {
	case job.State == storage.StateExpired && job.TooLate(l.h.Now()):
		return storage.StateExpired
	case job.Pool == "paced" && job.State == storage.StatePending && l.starts("paced") >= pacedRate:
		return storage.StatePending
	}
	return ""
}

// starts is how many attempts of the pool have begun, or were cut off.
func (l *appLedger) starts(pool string) (n int) {
	for _, job := range l.jobs {
		if job.Pool == pool {
			n += job.Attempts
		}
	}
	return n
}
