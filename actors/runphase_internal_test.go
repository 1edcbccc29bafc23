package actors

import (
	"context"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// A15: a run goes from phase to phase along the arrows of the picture and no others.
func TestPhasesOfARun(t *testing.T) {
	const (
		claimed, queued, parked, launched = runClaimed, runQueued, runParked, runLaunched
		begun, ended, dropped, withheld   = runBegun, runEnded, runDropped, runWithheld
	)
	arrows := map[runPhase]map[runEvent]runPhase{
		claimed:             {claimDurable: queued, cancelBegun: claimed | withheld, runOver: dropped},
		queued:              {beginLogs: claimed, turnAsked: launched, handlerBegins: begun, cancelBegun: queued | withheld, runOver: dropped},
		launched:            {turnTooSoon: queued, handlerBegins: begun, cancelBegun: launched | withheld, runOver: dropped},
		begun:               {runOver: ended},
		ended:               {},
		dropped:             {},
		claimed | withheld:  {claimDurable: queued | withheld, cancelBegun: claimed | withheld, cancelReverted: claimed, runOver: dropped},
		queued | withheld:   {beginLogs: claimed | withheld, turnAsked: launched | withheld, handlerBegins: parked | withheld, cancelBegun: queued | withheld, cancelReverted: queued, runOver: dropped},
		parked | withheld:   {cancelBegun: parked | withheld, cancelReverted: queued, runOver: dropped},
		launched | withheld: {turnTooSoon: queued | withheld, cancelBegun: launched | withheld, cancelReverted: launched, runOver: dropped},
	}
	for from, events := range arrows {
		for e := range runEvents {
			want, drawn := events[e]
			if !drawn {
				want = from
			}
			if got, ok := from.next(e); got != want || ok != drawn {
				t.Errorf("%s while %s: %s, %t, want %s, %t", e, from, got, ok, want, drawn)
			}
			if _, there := arrows[want]; !there {
				t.Errorf("%s while %s: %s is no phase of the table", e, from, want)
			}
		}
	}
}

// A5, A8: what holds of a run in a phase.
func TestWhatPhasesOfARunSay(t *testing.T) {
	for p, want := range map[runPhase]struct{ begun, over, permit bool }{
		runClaimed:                {},
		runQueued:                 {},
		runLaunched:               {permit: true},
		runBegun:                  {begun: true, permit: true},
		runEnded:                  {begun: true, over: true},
		runDropped:                {over: true},
		runClaimed | runWithheld:  {},
		runQueued | runWithheld:   {},
		runParked | runWithheld:   {},
		runLaunched | runWithheld: {permit: true},
	} {
		got := want
		got.begun, got.over, got.permit = p.begun(), p.over(), p.holdsPermit()
		if got != want {
			t.Errorf("%s: %+v, want %+v", p, got, want)
		}
	}
}

// A5: no handler begins while the claim is not durable, a cancel of its job is not
// decided, or the run is over.
func TestNoHandlerBegins(t *testing.T) {
	cancel := context.CancelCauseFunc(func(error) {})
	claimed := func() (*runs, *run) {
		rs, r := newRuns(dispatch.NewRegistry()), &run{app: &appState{id: "acme"}, job: storage.Job{ID: "a"}}
		rs.add(r)
		return rs, r
	}
	rs, r := claimed()
	if rs.start(r, time.Time{}, cancel) || !rs.setDurable(r) || rs.setDurable(r) {
		t.Error("a run has begun whose claim is not durable, or a claim is durable twice")
	}
	if _, begun := rs.beginCancel("a"); begun || rs.start(r, time.Time{}, cancel) {
		t.Error("a run has begun whose cancel is not decided")
	}
	if !rs.revertCancel(r) || rs.revertCancel(r) || !rs.start(r, time.Time{}, cancel) || !rs.live("a") {
		t.Error("a run whose cancel was reverted does not wait once, or does not begin")
	}
	if was := rs.end(r); was != runBegun || rs.end(r) != runEnded || rs.start(r, time.Time{}, cancel) {
		t.Errorf("it was %s, and is %s", was, r.phase)
	}
	rs, r = claimed()
	rs.setDurable(r)
	rs.end(r)
	if rs.start(r, time.Time{}, cancel) || rs.live("a") || rs.setDurable(r) {
		t.Error("a run has begun that is over")
	}
}

// A15: what the SchedulerActor asks of a run that is not drawn is refused loudly.
func TestARunsPhaseThatIsNotDrawnIsRefused(t *testing.T) {
	r := &run{app: &appState{id: "acme"}, job: storage.Job{ID: "a"}}
	defer func() {
		const want = "actors: A15: app acme: job a: turn asked for while claimed"
		if got := recover(); got != want {
			t.Errorf("panic %v, want %v", got, want)
		}
	}()
	newRuns(dispatch.NewRegistry()).mustMove(r, turnAsked)
}

// TestLostEndsAreHandedOver: what the next App of the name is given is its own. A commit of the one that has stopped may
// still be under way, and mends what that one knows.
func TestLostEndsAreHandedOver(t *testing.T) {
	rs, r := newRuns(dispatch.NewRegistry()), &run{app: &appState{id: "acme"}, job: storage.Job{ID: "a"}, phase: runBegun}
	rs.add(r)
	lost := rs.lostEnds()
	rs.mended([]storage.ClaimID{r.job.ClaimID()})
	if _, ok := lost[r.job.ClaimID()]; !ok || len(lost) != 1 {
		t.Errorf("handed over is %v, want the claim", lost)
	}
	if _, lost := rs.lostEnd(r.job.ClaimID()); lost {
		t.Error("the claim whose end is durable is still lost")
	}
}
