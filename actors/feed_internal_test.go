package actors

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage"
)

// newTestFeed is a feed that a watch can go on from, from the beginning on.
func newTestFeed() *feed {
	return &feed{id: 1, watchers: map[indexKey][]*watcher{}, from: Position{Feed: 1}, rooted: true}
}

// watch has one more watch the feed, from behind the commit on.
func (f *feed) watch(filter storage.JobFilter, commit uint64) *watcher {
	w := &watcher{feed: f, filter: filter, key: indexKeyOf(&filter), wake: make(chan struct{}, 1), after: Position{1, commit, 0, 0}}
	f.add(w)
	return w
}

// scheduled tells of a new job, in that commit.
func (f *feed) scheduled(commit int, job storage.Job) {
	f.mu.Lock()
	defer f.mu.Unlock()
	job.State = storage.StatePending
	f.leave(&change{event: Event{Kind: EventScheduled, Position: Position{1, uint64(commit), 0, 0}, Job: job}})
}

// TestG36_WhatIsKeptHasBounds: 10,000 changes, and a megabyte of them. A watch goes on from
// behind the last one that is not kept any more, and from no other before that.
func TestG36_WhatIsKeptHasBounds(t *testing.T) {
	for name, tt := range map[string]struct{ most, weight int }{
		"changes": {keptChanges, 100},
		"bytes":   {64, keptBytes / 64},
	} {
		t.Run(name, func(t *testing.T) {
			f := newTestFeed()
			last := 3*tt.most + 2 // more than they have room for, several times
			for n := 1; n <= last; n++ {
				f.keep(kept{at: Position{1, uint64(n), 0, 0}, weight: tt.weight})
				gone := max(n-tt.most, 0)
				if len(f.kept) != n-gone || f.from.Commit != uint64(gone) || f.kept[0].at.Commit != uint64(gone+1) || f.kept[n-gone-1].at.Commit != uint64(n) {
					t.Fatalf("after %d changes %d are kept, behind %v", n, len(f.kept), f.from)
				}
			}
			for from, want := range map[int]string{1: resetGone, 2: "", 3: ""} {
				from += last - tt.most - 2
				if w := f.watch(storage.JobFilter{}, uint64(from)); w.reset != want {
					t.Errorf("a watch that goes on from behind %d begins again: %q, want %q", from, w.reset, want)
				}
			}
		})
	}
}

// TestG36_ASlowWatcherBeginsAgain: it is left so many changes, and with one more it begins
// again; others are told all the same, and no start of a job takes the room of a change.
func TestG36_ASlowWatcherBeginsAgain(t *testing.T) {
	f := newTestFeed()
	slow, quick := f.watch(storage.JobFilter{}, 0), f.watch(storage.JobFilter{Function: "t:x"}, 0)
	job := storage.Job{Function: "t:x", State: storage.StateRunning}
	for n := range maxUntold {
		f.scheduled(n+1, job)
		f.mu.Lock()
		f.leave(&change{event: Event{Kind: EventStarted, Job: job}, was: storage.StatePending, nth: 1})
		f.mu.Unlock()
		if told, _, _ := quick.take(); len(told) != 2 {
			t.Fatalf("the quick one is told %d", len(told))
		}
		if want := map[int]int{maxUntold/4 - 1: maxUntold / 2, maxUntold / 4: maxUntold/2 + 1}[n]; want > 0 && len(slow.told) != want {
			t.Fatalf("after %d changes %d are left", n+1, len(slow.told))
		}
		if slow.reset != "" {
			break
		}
	}
	slow = f.watch(storage.JobFilter{}, 0)
	for n := range maxUntold + 1 {
		if slow.reset != "" || len(slow.told) != n {
			t.Fatalf("after %d changes %d are left, and it begins again: %q", n, len(slow.told), slow.reset)
		}
		f.scheduled(n+1, job)
	}
	told, reset, _ := slow.take()
	if reset != resetLagged || len(told) != 0 || slow.told != nil {
		t.Errorf("after one more %d are left, and it begins again: %q", len(told), reset)
	}
	f.scheduled(1, job)
	if told, _, _ = slow.take(); len(told) != 1 {
		t.Errorf("after it has begun again it is told %d", len(told))
	}
}

// TestG36_WatchersAreFound: by the condition that chooses least, and told what all of their
// conditions choose.
func TestG36_WatchersAreFound(t *testing.T) {
	f := newTestFeed()
	job := storage.Job{ID: "id", Function: "t:x", Tags: []string{"a", "b"}, Parent: "p", Trigger: "g", Pool: "pool", PoolKey: "key", Unique: &storage.Unique{Key: "u"}}
	var chosen, others []*watcher
	for _, filter := range []storage.JobFilter{
		{},
		{ID: "id"},
		{Function: "t:x"},
		{Tags: []string{"b"}},
		{Tags: []string{"b", "a"}},
		{Parent: "p"},
		{Trigger: "g"},
		{Pool: "pool"},
		{PoolKey: "k"},
		{UniqueKey: "u"},
		{ID: "id", Tags: []string{"a"}, Function: "t:x", Parent: "p", Trigger: "g"},
		{States: []storage.State{storage.StatePending}},
	} {
		chosen = append(chosen, f.watch(filter, 0))
	}
	for _, filter := range []storage.JobFilter{
		{ID: "x"},
		{Function: "t:y"},
		{Tags: []string{"c"}},
		{Tags: []string{"b", "c"}},
		{Parent: "x"},
		{Trigger: "x"},
		{Pool: "x"},
		{PoolKey: "x"},
		{UniqueKey: "x"},
		{ID: "id", Tags: []string{"c"}},
		{States: []storage.State{storage.StateHeld}},
	} {
		others = append(others, f.watch(filter, 0))
	}
	f.scheduled(1, job)
	f.scheduled(2, job.Named()) // as progress is told
	for i, among := range [][]*watcher{others, chosen} {
		for _, w := range among {
			if told, _, _ := w.take(); len(told) != 2*i {
				t.Errorf("%+v is told %d of the job, want %d", w.filter, len(told), 2*i)
			}
		}
	}
	for _, w := range append(chosen, others...) {
		f.remove(w)
	}
	if len(f.watchers) > 0 || len(f.due) > 0 {
		t.Errorf("those that have left are still there: %d, %d", len(f.watchers), len(f.due))
	}
}

// TestG36_WakingsAreSpread: one watcher is woken at once; after a thousand were, the next
// round waits, and has all that came until then.
func TestG36_WakingsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFeed()
		var crowd []*watcher
		for i := range 1000 {
			crowd = append(crowd, f.watch(storage.JobFilter{Tags: []string{fmt.Sprint("t", i)}}, 0))
		}
		woken := func() (n int) {
			for _, w := range crowd {
				select {
				case <-w.wake:
					n++
				default:
				}
			}
			return n
		}
		commit := 0
		all := func(n int) {
			for i := range n {
				commit++
				f.scheduled(commit, storage.Job{Tags: []string{fmt.Sprint("t", i)}})
			}
			f.wakeDue()
		}
		for range 3 {
			if all(1); woken() != 1 {
				t.Error("a single one is not woken at once")
			}
		}
		if all(1000); woken() != 1000 {
			t.Error("the first round waits")
		}
		all(1)
		all(1000)
		time.Sleep(1000*wakeEvery - 1)
		synctest.Wait()
		if n := woken(); n > 0 {
			t.Errorf("%d are woken too soon", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := woken(); n != 1000 {
			t.Errorf("%d are woken in the next round", n)
		}
	})
}

// TestG36_ADormantFeedIsDropped: what was submitted to a feed that nothing reads in time is
// too much at some point, and then all begin again; a feed without watchers is forgotten.
func TestG36_ADormantFeedIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := &feeds{}
		w := mustJoin(t, fs, "acme")
		if _, reset, _ := w.take(); reset != resetBegins {
			t.Errorf("it begins because of %q", reset)
		}
		give := func(weight int) {
			fs.mu.Lock()
			defer fs.mu.Unlock()
			fs.give(w.feed, unread{ephemeral: &change{}, weight: weight})
		}
		w.feed.making = true // as if its reader did not come to it
		for range 2 {
			give(maxUnread / 2)
		}
		if len(w.feed.unread) != 2 || w.feed.overflown {
			t.Errorf("%d are to be read, too many: %v", len(w.feed.unread), w.feed.overflown)
		}
		give(1)
		if len(w.feed.unread) != 0 || !w.feed.overflown {
			t.Errorf("%d are to be read, too many: %v", len(w.feed.unread), w.feed.overflown)
		}
		fs.read(w.feed)
		if _, reset, _ := w.take(); reset != resetLagged {
			t.Errorf("it begins again because of %q", reset)
		}
		fs.leave(w)
		time.Sleep(keptFor - 1)
		synctest.Wait()
		if fs.n.Load() != 1 {
			t.Error("it is forgotten at once")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		fs.wantFeeds(t)
	})
}

// mustJoin has one more watch the app.
func mustJoin(t *testing.T, fs *feeds, app storage.AppID) *watcher {
	t.Helper()
	w, err := fs.join(app, storage.JobFilter{}, Position{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// wantFeeds demands that those apps have feeds, none of which is watched.
func (fs *feeds) wantFeeds(t *testing.T, want ...storage.AppID) {
	t.Helper()
	fs.mu.Lock()
	defer fs.mu.Unlock()
	var got []storage.AppID
	weight := 0
	for _, f := range fs.left {
		got = append(got, f.app)
		weight += f.held
	}
	if !slices.Equal(got, want) || len(fs.apps) != len(want) || int(fs.n.Load()) != len(want) || fs.weight != weight {
		t.Errorf("there are feeds of %v, want %v; %d, of %d bytes for %d", got, want, fs.n.Load(), weight, fs.weight)
	}
}

// TestG36_WithoutWatchersNothingIsRead: what is written after the last watcher has left lies
// there as it is, up to a bound, and then the feed goes; feeds that were left first go before
// others when all of them hold too much.
func TestG36_WithoutWatchersNothingIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := &feeds{}
		give := func(f *feed, weight int) {
			fs.mu.Lock()
			fs.give(f, unread{ephemeral: &change{}, weight: weight})
			fs.mu.Unlock()
			synctest.Wait()
		}
		w := mustJoin(t, fs, "acme")
		f := w.feed
		if give(f, 1); len(f.unread) != 0 {
			t.Errorf("%d are not read", len(f.unread))
		}
		if fs.note("acme", &change{}); f.given != 2 {
			t.Errorf("%d were given", f.given)
		}
		synctest.Wait()
		fs.leave(w)
		if fs.note("acme", &change{}); f.given != 2 || fs.watches("acme") {
			t.Error("it is told how far a job is, without a watcher")
		}
		give(f, maxUnwatched-1)
		give(f, 1)
		if len(f.unread) != 2 || f.making {
			t.Errorf("%d are not read, without a watcher", len(f.unread))
		}
		fs.wantFeeds(t, "acme")
		w = mustJoin(t, fs, "acme")
		synctest.Wait()
		if w.feed != f || len(f.unread) != 0 {
			t.Errorf("%d are not read, now that there is a watcher", len(f.unread))
		}
		fs.leave(w)
		give(f, maxUnwatched)
		fs.wantFeeds(t, "acme")
		give(f, 1)
		fs.wantFeeds(t)

		var apps []storage.AppID
		for n := range maxLeftWeight / maxUnwatched {
			apps = append(apps, storage.AppID(fmt.Sprint("app", n)))
			w = mustJoin(t, fs, apps[n])
			fs.leave(w)
			give(w.feed, maxUnwatched)
		}
		fs.wantFeeds(t, apps...)
		w = mustJoin(t, fs, "one-more")
		fs.leave(w)
		fs.wantFeeds(t, append(apps, "one-more")...)
		give(w.feed, 1)
		fs.wantFeeds(t, append(apps[1:], "one-more")...)
		time.Sleep(keptFor)
		synctest.Wait()
		fs.wantFeeds(t)
	})
}

// TestG36_NothingIsToldTwice: what comes while a snapshot is read is told after it, but for
// what the snapshot has; and no start of a job that may have ended by then.
func TestG36_NothingIsToldTwice(t *testing.T) {
	f := newTestFeed()
	w := f.watch(storage.JobFilter{}, 0)
	f.begin(resetUnknown)
	if _, reset, _ := w.take(); reset != resetUnknown {
		t.Errorf("it begins because of %q", reset)
	}
	start := func(nth uint64) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.leave(&change{event: Event{Kind: EventStarted, Job: storage.Job{State: storage.StateRunning}}, was: storage.StatePending, nth: nth})
	}
	start(1)
	start(6)
	for commit := range 3 {
		f.scheduled(commit+1, storage.Job{})
	}
	if at := f.ready(w, storage.CommitMark{Commit: 2}, 5); at.Compare(Position{2, 2, 1 << 31, 0}) < 0 || at.Compare(Position{2, 3, 0, 0}) >= 0 {
		t.Errorf("the snapshot of commit 2 is at %v", at)
	}
	f.scheduled(2, storage.Job{})
	start(5)
	f.scheduled(4, storage.Job{})
	start(7)
	told, reset, _ := w.take()
	var commits []uint64
	for _, ch := range told {
		commits = append(commits, ch.event.Position.Commit)
	}
	if !slices.Equal(commits, []uint64{0, 3, 4, 0}) || reset != "" {
		t.Errorf("after a snapshot of commit 2 it is told of commits %d, and begins again: %q", commits, reset)
	}
	f.begin(resetUnknown)
	if at := f.ready(w, storage.CommitMark{Commit: 5}, 6); !at.IsZero() {
		t.Errorf("a snapshot that was read before a gap is good for %v", at)
	}
}
