package storage

import (
	"testing"
	"time"
)

// busyVolume is a volume whose committer got through so much in a second lately, and
// commits nothing now.
func busyVolume(weight int) *volume {
	v := &volume{queue: queue{wake: make(chan struct{}, 1)}}
	v.queue.pace.note(weight, time.Second)
	return v
}

// askUntilShed puts change sets of the weight, for each of which a caller waits, until
// the app is overloaded, and returns how many.
func askUntilShed(app *App, weight int) (n int) {
	for !app.Overloaded() {
		app.vol.queue.put(&changeSet{app: app, weight: weight, awaited: true})
		n++
	}
	return n
}

// TestG18_CallersAreHeldToASecondsWork: one app is let in until as much is left free
// for others as it has asked for, the first of another still is, and what no caller
// waits for is no reason to refuse any.
func TestG18_CallersAreHeldToASecondsWork(t *testing.T) {
	const budget, weight = 16 << 20, 1000
	v := busyVolume(budget)
	a, b, c := &App{vol: v}, &App{vol: v}, &App{vol: v}
	for range 10_000 {
		v.queue.put(&changeSet{app: c, weight: weight})
	}
	// The n+1st is refused: with it, as far as is known, the app would have more than is free.
	n := askUntilShed(a, weight)
	if got, want := n, (budget-askWeight)/(2*(weight+askWeight))+1; got != want {
		t.Errorf("a lone app is let in %d times, want %d", got, want)
	}
	if used := v.queue.asked; used > budget/2+weight+askWeight {
		t.Errorf("a lone app has %d of %d", used, budget)
	}
	if b.Overloaded() || c.Overloaded() {
		t.Error("an app that asks for nothing yet is refused since another floods")
	}
	if n := askUntilShed(b, weight); n < budget/4/(weight+askWeight) {
		t.Errorf("the second app is let in %d times", n)
	}
	if c.Overloaded() {
		t.Error("the third app is refused since two flood")
	}
	for v.queue.asked > 0 {
		v.queue.take()
	}
	if a.Overloaded() || b.Overloaded() || a.waits.asked != 0 {
		t.Error("an app is refused though nothing is asked for any more")
	}
}

// TestG18_AThousandAppsShareASecondsWork: however many apps ask, the queue does not
// grow past the bound, and each that asks for little is let in as often as the others.
func TestG18_AThousandAppsShareASecondsWork(t *testing.T) {
	const budget = 16 << 20
	v := busyVolume(budget)
	apps := make([]*App, 1000)
	for i := range apps {
		apps[i] = &App{vol: v}
	}
	for again := true; again; {
		again = false
		for _, app := range apps {
			if !app.Overloaded() {
				v.queue.put(&changeSet{app: app, weight: 100, awaited: true})
				again = true
			}
		}
	}
	if v.queue.asked > budget {
		t.Errorf("callers wait for %d of %d", v.queue.asked, budget)
	}
	first, last := apps[0].waits.in[awaitedLane], apps[len(apps)-1].waits.in[awaitedLane]
	if first-last > 1 || last < 10 {
		t.Errorf("the first app was let in %d times, the last %d times", first, last)
	}
}

// TestPaceIsTheRecentOne: what the committer does now outweighs what it did.
func TestPaceIsTheRecentOne(t *testing.T) {
	var p pace
	if got := p.within(time.Second); got < 1<<30 {
		t.Errorf("before the first commit the pace is %d", got)
	}
	for range 50 {
		p.note(1<<20, 100*time.Millisecond)
	}
	if got := p.within(time.Second); got < 10<<20-1 || got > 10<<20+1 {
		t.Errorf("the pace is %d, want 10 MiB", got)
	}
	for range 4 {
		p.note(1<<20, time.Second)
	}
	if got := p.within(time.Second); got > 3<<20 {
		t.Errorf("the pace is %d after four slow batches", got)
	}
}

// TestG24_WhatIsAwaitedComesFirst: behind a batch's worth of what no caller waits for
// comes a change set that one waits for, and is in the next batch; of a crowd of those
// the others still get half.
func TestG24_WhatIsAwaitedComesFirst(t *testing.T) {
	q := &queue{wake: make(chan struct{}, 1)}
	crowd := func(n int, awaited bool) {
		for range n {
			q.put(&changeSet{app: new(App), awaited: awaited})
		}
	}
	count := func(batch []*changeSet) (awaited, others int) {
		for _, cs := range batch {
			if cs.awaited {
				awaited++
			} else {
				others++
			}
		}
		return awaited, others
	}
	crowd(3*batchApps, false)
	crowd(1, true)
	if awaited, others := count(q.take()); awaited != 1 || others != batchApps-1 {
		t.Errorf("a batch of %d awaited and %d others, want 1 and %d", awaited, others, batchApps-1)
	}
	crowd(3*batchApps, true)
	if awaited, others := count(q.take()); awaited != batchApps/2 || others != batchApps/2 {
		t.Errorf("a batch of %d awaited and %d others, want %d of each", awaited, others, batchApps/2)
	}
	one := new(App)
	q.put(&changeSet{app: one, n: 1})
	q.put(&changeSet{app: one, n: 2, awaited: true})
	if one.waits.in != [laneCount]int{awaitedLane: 2} {
		t.Errorf("a change set before an awaited one of its app waits elsewhere: %v", one.waits.in)
	}
}
