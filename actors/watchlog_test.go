package actors_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/memlog"
)

// TestG36_AWatchBeginsAnewBehindATrimmedLog: at another node, when the log has not all that came behind
// its position any more. It has what came in the last minute.
func TestG36_AWatchBeginsAnewBehindATrimmedLog(t *testing.T) {
	k := newLeaseKit()
	k.opts.Testing.Lease, k.opts.Volumes = nil, 0
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(1)
		a, b := join(t, log, "a", k.opts), join(t, log, "b", k.opts)
		defer a.leave()
		defer b.leave()
		a.own()
		call, later := addEntry.With("x"), 24*time.Hour
		a.schedule(later, call, dispatch.Tags("before"))
		_, _, first := a.watching(storage.JobFilter{}, actors.Position{}, 0)
		gone := a.schedule(later, call, dispatch.Tags("gone"))
		if _, err := a.app().Scheduler(t.Context()).Cancel(gone); err != nil {
			t.Fatal(err)
		}
		for minute := range 6 {
			a.schedule(later, call, dispatch.Tags(fmt.Sprint("minute ", minute)))
			time.Sleep(time.Minute)
		}
		_, _, at := a.watching(storage.JobFilter{}, actors.Position{}, 0)
		a.schedule(later, call, dispatch.Tags("after"))

		log.Cut("a")
		b.own()
		events, resets, _ := b.watching(storage.JobFilter{}, at, 1)
		if got := kindsOf(events); resets != 0 || !slices.Equal(got, []string{"scheduled after"}) {
			t.Errorf("behind a position that the log has the watch goes on at b with %q, and begins %d times anew", got, resets)
		}
		var jobs []string
		reason := ""
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for e, err := range b.app().WatchAfter(ctx, storage.JobFilter{States: []storage.State{storage.StatePending}}, first) {
			if err != nil {
				t.Errorf("behind a position of which the log was trimmed b tells nothing for a minute: %v", err)
			}
			if err != nil || e.Kind == actors.EventReady {
				break
			}
			switch e.Kind {
			case actors.EventReset:
				reason = e.Reason
			case actors.EventJob:
				jobs = append(jobs, e.Job.Tags...)
			default:
				t.Errorf("before its snapshot b tells that %q was %s", e.Job.Tags, e.Kind)
			}
		}
		want := []string{"after", "before", "minute 0", "minute 1", "minute 2", "minute 3", "minute 4", "minute 5"}
		if slices.Sort(jobs); reason == "" || !slices.Equal(jobs, want) {
			t.Errorf("it begins anew because %q, with %q", reason, jobs)
		}
		b.giveUp()
		log.Heal()
		<-a.eng.Lost()
		_ = a.eng.Close(t.Context()) // says that what it owned was lost
	})
}

// TestG36_AWatchIsToldTenThousandChangesOfALog: at another node. With one more it begins anew.
func TestG36_AWatchIsToldTenThousandChangesOfALog(t *testing.T) {
	k := newLeaseKit()
	k.opts.Testing.Lease, k.opts.Volumes, k.opts.MaxWatched = nil, 0, 20_000
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(1)
		a, b := join(t, log, "a", k.opts), join(t, log, "b", k.opts)
		defer a.leave()
		defer b.leave()
		a.own()
		many := func(of *member, n int) {
			t.Helper()
			calls := make([]dispatch.Scheduled, n)
			for i := range calls {
				calls[i] = dispatch.After(24*time.Hour, addEntry.With("x"))
			}
			for piece := range slices.Chunk(calls, 1000) {
				must[[]storage.JobID](t)(of.app().Scheduler(t.Context()).RunMany(piece))
			}
		}
		many(a, 1)
		_, _, at := a.watching(storage.JobFilter{}, actors.Position{}, 0)
		many(a, 10_000)
		log.Cut("a")
		b.own()
		if events, resets, _ := b.watching(storage.JobFilter{}, at, 10_000); len(events) != 10_000 || resets != 0 {
			t.Errorf("of 10,000 changes it tells %d, and begins %d times anew", len(events), resets)
		}
		b.giveUp()
		log.Heal()
		<-a.eng.Lost()
		_ = a.eng.Close(t.Context()) // says that what it owned was lost
		a.own()
		many(a, 1)
		a.giveUp()
		b.own()
		if events, resets, _ := b.watching(storage.JobFilter{}, at, 0); len(events) != 0 || resets != 1 {
			t.Errorf("of 10,001 changes it tells %d, and begins %d times anew", len(events), resets)
		}
		b.giveUp()
	})
}
