package actors_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/memlog"
)

// outageKit has an action that takes a second, or, where its name says that it is long, until it is told to stop.
func outageKit() (k *leaseKit, act *dispatch.ActionRef[string, none]) {
	k = newLeaseKit()
	k.opts.Testing.Lease = nil
	act = k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("begin "+name, ctx.Job)
		takes := time.NewTimer(time.Second)
		defer takes.Stop()
		if strings.HasPrefix(name, "long") {
			takes.Stop()
		}
		select {
		case <-takes.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if k.note("return "+name, ctx.Job); name == "fails" {
			return dispatch.Errorf(dispatch.CodeNotFound, "no")
		}
		return nil
	})
	return k, act
}

// outage is a node that owns the store, and is cut off from the log while its jobs are half done.
type outage struct {
	*leaseKit
	t    *testing.T
	log  *memlog.Log
	a, b *member
	jobs map[string]storage.JobID
}

// inOutage schedules the jobs at node a, those of which the name says that at most once, and cuts it off.
func inOutage(t *testing.T, opts func(*actors.Options), names []string, test func(o *outage)) {
	t.Helper()
	k, act := outageKit()
	opts(&k.opts)
	synctest.Test(t, func(t *testing.T) {
		o := &outage{leaseKit: k, t: t, log: memlog.New(2), jobs: map[string]storage.JobID{}}
		o.a, o.b = join(t, o.log, "a", k.opts), join(t, o.log, "b", k.opts)
		defer o.a.leave()
		defer o.b.leave()
		o.a.own()
		for _, name := range names {
			var how []dispatch.RunOption
			switch {
			case strings.HasSuffix(name, "once"):
				how = append(how, dispatch.AtMostOnce())
			case name == "fails":
				how = append(how, dispatch.NoRetry())
			}
			o.jobs[name] = o.a.schedule(0, act.With(name), how...)
			synctest.Wait()
		}
		time.Sleep(500 * time.Millisecond)
		o.log.Cut("a")
		test(o)
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // long ones wait to be told
		for _, m := range []*member{o.a, o.b} {
			if m.eng != nil {
				_ = m.eng.Close(ctx)
			}
		}
	})
}

// wants demands what has become of a job, and how often it has begun.
func (o *outage) wants(at *member, name string, state storage.State, attempts, interrupted, poison, begun int) {
	o.t.Helper()
	job, cut := at.job(o.jobs[name]), 0
	for _, a := range job.History {
		if a.Interrupted {
			cut++
		}
	}
	if job.State != state || job.Attempts != attempts || cut != interrupted || job.Interruptions != poison {
		o.t.Errorf("job %q is %s after %d attempts, %d of them interrupted, with %d crashes in a row; want %s, %d, %d, %d",
			name, job.State, job.Attempts, cut, job.Interruptions, state, attempts, interrupted, poison)
	}
	n := 0
	for _, e := range o.events("begin") {
		if e.What == "begin "+name {
			n++
		}
	}
	if n != begun {
		o.t.Errorf("job %q has begun %d times, want %d", name, n, begun)
	}
}

// TestG44_WhatReturnedWhileTheLogWasAwayIsWrittenDown: of actions that return, or fail, while no node reaches the log.
// The claim still is this node's when it is back, so that what they said holds, though the lease has ended meanwhile. What was
// told to stop by that begins again, and an at-most-once job does not.
func TestG44_WhatReturnedWhileTheLogWasAwayIsWrittenDown(t *testing.T) {
	names := []string{"returns", "returns once", "fails", "long", "long once"}
	inOutage(t, func(*actors.Options) {}, names, func(o *outage) {
		time.Sleep(20 * time.Second)
		if o.count("return") != 3 {
			t.Errorf("while the log is away there have returned %q", o.noted("return"))
		}
		o.log.Heal()
		time.Sleep(10 * time.Second)
		o.wants(o.a, "returns", storage.StateSuccess, 1, 0, 0, 1)
		o.wants(o.a, "returns once", storage.StateSuccess, 1, 0, 0, 1)
		o.wants(o.a, "fails", storage.StateFailed, 1, 0, 0, 1)
		o.wants(o.a, "long", storage.StateRunning, 2, 1, 0, 2)
		o.wants(o.a, "long once", storage.StateFailed, 1, 1, 0, 1)
	})
}

// TestG44_WhatReturnedWhileTheLogWasAwayIsAnothers: the other node takes over before the log hears of it. What had begun is
// interrupted, whatever it has returned, and begins again; an at-most-once job has failed, and does not. The node
// of before writes nothing down.
func TestG44_WhatReturnedWhileTheLogWasAwayIsAnothers(t *testing.T) {
	inOutage(t, func(*actors.Options) {}, []string{"returns", "returns once", "fails"}, func(o *outage) {
		o.b.own()
		if o.count("return") != 3 {
			t.Errorf("before the other node owns the store there have returned %q", o.noted("return"))
		}
		time.Sleep(500 * time.Millisecond)
		o.log.Heal()
		time.Sleep(10 * time.Second)
		o.wants(o.b, "returns", storage.StateSuccess, 2, 1, 0, 2)
		o.wants(o.b, "returns once", storage.StateFailed, 1, 1, 0, 1)
		o.wants(o.b, "fails", storage.StateFailed, 2, 1, 0, 2)
	})
}

// TestG5_TakeoversCostNothingThatHasNotBegun: a job that is claimed and waits for a slot is no suspect, however often
// another node takes over; what had the slot each time is.
func TestG5_TakeoversCostNothingThatHasNotBegun(t *testing.T) {
	one := func(o *actors.Options) { o.AppConcurrency = 1 }
	inOutage(t, one, []string{"long", "waits"}, func(o *outage) {
		owner, other := o.a, o.b
		const takeovers = 4
		for n := range takeovers {
			if n > 0 {
				o.log.Cut([]string{"a", "b"}[n%2])
			}
			other.own()
			synctest.Wait()
			o.log.Heal()
			<-owner.eng.Lost()
			owner.giveUp()
			owner, other = other, owner
			other.eng = nil
		}
		o.wants(owner, "long", storage.StateRunning, takeovers+1, takeovers, takeovers-1, takeovers+1)
		o.wants(owner, "waits", storage.StatePending, 1, 1, 0, 0)
	})
}
