package isolation_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// offender is an app that misbehaves.
type offender struct {
	s    *street
	id   storage.AppID
	app  *actors.App
	n    int
	want map[string]int // how often the notes must be there, by name
}

// offences are the ways to misbehave. Each goes on until ctx ends.
var offences = []struct {
	name   string
	commit func(ctx context.Context, o *offender)
}{
	{"panics", func(ctx context.Context, o *offender) {
		o.often(ctx, func(note isoNote) {
			_, err := isoPanics.Run(o.caller(), note)
			o.refused("a panic", err, dispatch.CodeInternal)
			if err != nil && strings.Contains(dispatch.AsError(err).Message, "secret") {
				o.s.tally.Leaked("a caller is told what the panic was: %v", err)
			}
			o.schedule(isoPanics.With(note))
		})
	}},
	{"goexit", func(ctx context.Context, o *offender) {
		o.often(ctx, func(note isoNote) {
			_, err := isoExits.Run(o.caller(), note)
			o.refused("Goexit in a mutation", err, dispatch.CodeInternal)
			_, err = isoExitsAct.Run(o.caller(), note)
			o.refused("Goexit in an action", err, dispatch.CodeInternal)
			o.schedule(isoExits.With(note))
			o.schedule(isoExitsAct.With(note))
		})
	}},
	{"loop.mutation", func(ctx context.Context, o *offender) {
		_, err := isoLoops.Run(o.caller(), o.note())
		o.refused("an endless mutation", err, dispatch.CodeDeadlineExceeded)
		<-ctx.Done()
	}},
	{"loop.query", func(ctx context.Context, o *offender) {
		_, err := isoLoopsQuery.Run(o.caller(), o.note())
		o.refused("an endless query", err, dispatch.CodeDeadlineExceeded)
		<-ctx.Done()
	}},
	{"loop.action", func(ctx context.Context, o *offender) {
		_, err := isoLoopsAct.Run(o.caller(), o.note())
		o.refused("an endless action", err, dispatch.CodeDeadlineExceeded)
		<-ctx.Done()
	}},
	{"loop.jobs", func(ctx context.Context, o *offender) {
		o.schedule(isoLoops.With(o.note()))
		o.schedule(isoLoopsAct.With(o.note()))
		<-ctx.Done()
	}},
	{"huge.result", func(ctx context.Context, o *offender) {
		o.often(ctx, func(note isoNote) {
			_, err := isoHuge.Run(o.caller(), note)
			o.refused("a huge result of a mutation", err, dispatch.CodeResourceExhausted)
			_, err = isoHugeQuery.Run(o.caller(), note)
			o.refused("a huge result of a query", err, dispatch.CodeResourceExhausted)
			o.schedule(isoPassesOn.With(note)) // a job's own result would not be kept, and it a success
		})
	}},
	{"huge.argument", func(ctx context.Context, o *offender) {
		o.often(ctx, func(note isoNote) {
			note.Name += strings.Repeat("x", 16*isoLimit)
			_, err := isoAdd.Run(o.caller(), note)
			o.refused("a huge argument", err, dispatch.CodeResourceExhausted)
			_, err = o.scheduler().RunAfter(0, isoAdd.With(note))
			o.refused("a huge argument of a job", err, dispatch.CodeResourceExhausted)
		})
	}},
	{"many.jobs", func(ctx context.Context, o *offender) {
		if _, err := isoManyJobs.Run(o.caller(), isoMaxJobs); err != nil {
			o.s.tally.Other("app %s: %v", o.id, err)
		}
		o.often(ctx, func(note isoNote) {
			_, err := o.scheduler().RunAfter(time.Hour, isoAdd.With(note))
			o.refused("a job beyond the limit", err, dispatch.CodeResourceExhausted)
			_, err = isoManyJobs.Run(o.caller(), 1)
			o.refused("a job beyond the limit, of a mutation", err, dispatch.CodeResourceExhausted)
		})
		// What it has can be taken back.
		page, err := o.scheduler().List(storage.JobFilter{Limit: 10})
		if err != nil || len(page.Jobs) != 10 {
			o.s.tally.Other("app %s: %d jobs, %v", o.id, len(page.Jobs), err)
		}
		for _, job := range page.Jobs {
			if c, err := o.scheduler().Cancel(job.ID); err != nil || !c.Canceled {
				o.s.tally.Other("app %s: at the limit a job is not canceled: %+v, %v", o.id, c, err)
			}
		}
	}},
	{"many.triggers", func(ctx context.Context, o *offender) {
		for from := 0; from < storage.MaxTriggers; from += 50 {
			if _, err := isoManyTriggers.Run(o.caller(), from); err != nil {
				o.s.tally.Other("app %s: %d triggers: %v", o.id, from, err)
				return
			}
		}
		o.often(ctx, func(note isoNote) {
			o.refused("a trigger too many", o.scheduler().Crons().Create(isoDaily("more")), dispatch.CodeResourceExhausted)
		})
	}},
	{"leaves.goroutines", func(ctx context.Context, o *offender) {
		o.often(ctx, func(note isoNote) {
			for _, ref := range []func() error{
				func() error { _, err := isoLeaves.Run(o.caller(), note); return err },
				func() error { _, err := isoLeavesAct.Run(o.caller(), note); return err },
			} {
				if err := ref(); err != nil {
					o.s.tally.Other("app %s: %v", o.id, err)
				}
			}
			close(o.s.world.answered(note))
		})
		o.s.world.gone.Wait()
	}},
}

func isoTrigger(n int) string { return fmt.Sprint("trigger", n) }

func isoDaily(name string) dispatch.Trigger {
	return dispatch.Trigger{Name: name, Schedule: cron.Expr("0 3 1 1 *"), Call: isoAdd.With(isoNote{Name: name})}
}

func (o *offender) caller() dispatch.Caller { return o.app.As(o.s.t.Context(), nil) }

func (o *offender) scheduler() *actors.HostScheduler { return o.app.Scheduler(o.s.t.Context()) }

// often has the app misbehave a hundred times a second, and once at least.
func (o *offender) often(ctx context.Context, fn func(isoNote)) {
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for {
		fn(o.note())
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
	}
}

// note is one that must not come to be there.
func (o *offender) note() isoNote {
	o.n++
	return isoNote{o.id, fmt.Sprint(o.id, " bad ", o.n)}
}

// schedule has the app run the call as a job, at once.
func (o *offender) schedule(call dispatch.Call) {
	if _, err := o.scheduler().RunAfter(0, call, dispatch.NoRetry()); err != nil {
		o.s.tally.Other("app %s: schedule %v: %v", o.id, call, err)
	}
}

func (o *offender) refused(what string, err error, code dispatch.Code) {
	if err == nil || dispatch.AsError(err).Code != code {
		o.s.tally.Other("app %s: %s ends with %v, want %s", o.id, what, err, code)
	}
}

// works demands that the app itself is served: a call, and a job.
func (o *offender) works() {
	o.want = map[string]int{"call": 1, "job": 1}
	if _, err := isoAdd.Run(o.caller(), isoNote{o.id, "call"}); err != nil {
		o.s.tally.Other("app %s does not work any more: %v", o.id, err)
		return
	}
	if _, err := o.scheduler().RunAfter(0, isoAdd.With(isoNote{o.id, "job"})); err != nil {
		o.s.tally.Other("app %s does not schedule any more: %v", o.id, err)
		return
	}
	awaitQuiet(o.s.t, o.app, time.Now().Add(time.Second)) // dues are rounded up to whole milliseconds
}

// owns demands that of what the app did only that is there which was in order,
// and that its bad jobs are dead.
func (o *offender) owns() {
	awaitQuiet(o.s.t, o.app, time.Now().Add(time.Second)) // dues are rounded up to whole milliseconds
	n := neighbour{s: o.s, id: o.id, app: o.app}
	notes, err := n.notes()
	if err != nil {
		o.s.tally.Other("app %s: list: %v", o.id, err)
	}
	got := map[string]int{}
	for _, note := range notes {
		got[note.Name]++
	}
	for name, times := range o.want {
		switch {
		case got[name] < times:
			o.s.tally.Lost("app %s: %q is not there", o.id, name)
		case got[name] > times:
			o.s.tally.Doubled("app %s: %q is there %d times", o.id, name, got[name])
		}
		delete(got, name)
	}
	if len(got) > 0 {
		o.s.tally.Other("app %s: what failed has left %v", o.id, got)
	}
	for _, job := range isoJobs(o.s.t, o.app) {
		if bad := job.Function != "iso:add" && job.Function != "iso:nothing"; bad != (job.State == storage.StateFailed) || bad && job.Attempts != 1 {
			o.s.tally.Other("app %s: job %s of %s is %s after %d attempts", o.id, job.ID, job.Function, job.State, job.Attempts)
		}
	}
}
