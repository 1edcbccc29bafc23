package actors_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// TestG40_AllOfOneSnapshot: queries that count the same say the same in every transition, though
// they run one after another while more is written.
func TestG40_AllOfOneSnapshot(t *testing.T) {
	k := newLiveKit()
	k.slow = 10 * time.Millisecond
	actorstest.Run(t, k.options(), func(h *actorstest.Harness) {
		c := newLiveClient(h, nil)
		var queries []actors.LiveQuery
		for i := range 10 {
			queries = append(queries, liveQuery("live:slow", i))
		}
		c.add(0, queries...)
		var commit uint64
		for range 5 {
			time.Sleep(5 * time.Millisecond)
			_, commit = k.step(h, liveStep{Insert: []piece{{"a", 1}}})
		}
		c.live.Await(commit)
		for c.commit < commit {
			if _, err := c.one(); err != nil {
				t.Fatal(err)
			}
			for id := range uint64(10) {
				if c.known[id] != c.known[0] {
					t.Fatalf("as of %d the counts are %v", c.commit, c.known)
				}
			}
		}
		if c.known[0] != "5" {
			t.Errorf("the counts are %v", c.known)
		}
	})
}

// TestG40_NothingIsShownThatWasNotCompared: a reader may see a commit before those are told who
// wait for it. A transition that has it has all that it has changed.
func TestG40_NothingIsShownThatWasNotCompared(t *testing.T) {
	k := newLiveKit()
	opts := k.options()
	var armed atomic.Bool
	opts.Testing.Fault = func(point string) error {
		if point == "committed" && armed.CompareAndSwap(true, false) {
			time.Sleep(10 * time.Millisecond)
		}
		return nil
	}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		k.step(h, liveStep{Insert: []piece{{"a", 1}}})
		c := newLiveClient(h, nil)
		c.reach(c.add(0, liveQuery("live:range", [2]int{0, 9})), 0)
		armed.Store(true)
		done := make(chan struct{})
		go func() {
			defer close(done)
			k.step(h, liveStep{Insert: []piece{{"a", 2}}})
		}()
		time.Sleep(5 * time.Millisecond)
		if armed.Load() {
			t.Fatal("nothing is being committed")
		}
		c.reach(c.add(1, liveQuery("live:count", nil)), 0)
		if c.known[0] != c.known[1] {
			t.Errorf("as of %d there are %s and %s pieces", c.commit, c.known[0], c.known[1])
		}
		<-done
	})
}

// TestG40_AfterACommitOfUnknownOutcome: what may have been written is looked at again.
func TestG40_AfterACommitOfUnknownOutcome(t *testing.T) {
	k := newLiveKit()
	opts := k.options()
	opts.Logger = quiet
	var armed atomic.Bool
	opts.Testing.Fault = func(point string) error {
		if point == "committed" && armed.CompareAndSwap(true, false) {
			return errors.New("the disk does not answer")
		}
		return nil
	}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		k.step(h, liveStep{Insert: []piece{{"a", 1}}})
		c := newLiveClient(h, nil)
		c.reach(c.add(0, liveQuery("live:count", nil)), 0)
		armed.Store(true)
		if _, err := liveStepOf.Run(h.Caller("acme"), liveStep{Insert: []piece{{"a", 2}}}); err == nil {
			t.Fatal("a commit that has failed is acknowledged")
		}
		time.Sleep(time.Minute) // the volume is opened anew
		at, err := h.App("acme").Instant(h.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.reach(1, at)
		want := resultText(h.App("acme").CallAt(h.Context(), at, "live:count", nil, nil))
		if c.known[0] != want {
			t.Errorf("there are %s pieces, want %s", c.known[0], want)
		}
		_, commit := k.step(h, liveStep{Insert: []piece{{"a", 3}}})
		if c.reach(1, commit); c.known[0] == want {
			t.Error("after it nothing is told any more")
		}
	})
}

// TestG40_TheCommitNeverGoesBack: neither from one transition to the next (liveClient looks at
// that), nor when the engine is opened again, nor after a crash.
func TestG40_TheCommitNeverGoesBack(t *testing.T) {
	k := newLiveKit()
	actorstest.Run(t, k.options(), func(h *actorstest.Harness) {
		_, last := k.step(h, liveStep{Insert: []piece{{"a", 1}}})
		for i, again := range []func(){h.Restart, h.Kill, func() {}} {
			if i == 1 {
				again = func() { h.Kill(); h.Open() }
			}
			c := newLiveClient(h, nil)
			c.reach(c.add(0, liveQuery("live:count", nil)), 0)
			if c.commit < last {
				t.Errorf("%d: the first transition is of commit %d, there was one of %d", i, c.commit, last)
			}
			_, commit := k.step(h, liveStep{Insert: []piece{{"a", 1}}})
			if c.reach(1, commit); c.known[0] != fmt.Sprint(i+2) {
				t.Errorf("%d: there are %s pieces", i, c.known[0])
			}
			last = c.commit
			again()
		}
	})
}

// TestG40_AnotherIdentity: once the identity is another one no result of the one before is given.
func TestG40_AnotherIdentity(t *testing.T) {
	k := newLiveKit()
	actorstest.Run(t, k.options(), func(h *actorstest.Harness) {
		c := newLiveClient(h, &dispatch.Identity{Subject: "ann"})
		c.reach(c.add(0, liveQuery("live:who", nil), liveQuery("live:count", nil)), 0)
		k.step(h, liveStep{Insert: []piece{{"a", 1}}})
		h.Settle() // there is a result for ann
		version, err := c.live.SetIdentity(&dispatch.Identity{Subject: "bob"})
		if err != nil {
			t.Fatal(err)
		}
		tr, err := c.one()
		if err != nil {
			t.Fatal(err)
		}
		if tr.Version != version || c.known[0] != `"bob 1"` || c.known[1] != "1" {
			t.Errorf("version %d is %v, want that of bob", tr.Version, c.known)
		}
		version, err = c.live.SetIdentity(nil)
		if err != nil {
			t.Fatal(err)
		}
		before := c.changed
		if c.reach(version, 0); c.known[0] != `"nobody 1"` || c.changed != before+1 {
			t.Errorf("without an identity it is %v, and %d results have changed", c.known, c.changed-before)
		}
		if _, err := c.live.SetIdentity(&dispatch.Identity{}); dispatch.AsError(err).Code != dispatch.CodeInvalidArgument {
			t.Errorf("an identity without a subject: %v", err)
		}
	})
}

// TestG40_ASlowClientTakesTheLatest: it neither holds up the app nor other clients, and what it
// has missed it is told once.
func TestG40_ASlowClientTakesTheLatest(t *testing.T) {
	k := newLiveKit()
	actorstest.Run(t, k.options(), func(h *actorstest.Harness) {
		slow, quick := newLiveClient(h, nil), newLiveClient(h, nil)
		slow.reach(slow.add(0, liveQuery("live:count", nil)), 0)
		quick.reach(quick.add(0, liveQuery("live:count", nil)), 0)
		var commit uint64
		for i := range 50 {
			_, commit = k.step(h, liveStep{Insert: []piece{{"a", i}}})
			if quick.reach(1, commit); quick.known[0] != fmt.Sprint(i+1) {
				t.Errorf("after %d pieces the quick one knows %s", i+1, quick.known[0])
			}
		}
		before := slow.took
		if slow.reach(1, commit); slow.known[0] != "50" || slow.took != before+1 {
			t.Errorf("the slow one knows %s after %d transitions, want 50 after 1", slow.known[0], slow.took-before)
		}
	})
}

// TestG40_ChangesOfTheSet: queries come and go, all of one change at once, and a change that is
// refused changes nothing.
func TestG40_ChangesOfTheSet(t *testing.T) {
	k := newLiveKit()
	actorstest.Run(t, k.options(), func(h *actorstest.Harness) {
		c := newLiveClient(h, nil)
		c.reach(c.add(1, liveQuery("live:count", nil), liveQuery("live:secret", nil)), 0)
		if c.known[1] != "0" || !strings.Contains(c.known[2], "not_found") {
			t.Errorf("the results are %v, want a count, and no internal query", c.known)
		}
		for name, add := range map[string][]actors.LiveQuery{"taken": {{ID: 9, Path: "live:count"}, {ID: 1, Path: "live:other"}}, "twice": {{ID: 9, Path: "live:count"}, {ID: 9, Path: "live:other"}}} {
			if _, err := c.live.Change(add, nil); dispatch.AsError(err).Code != dispatch.CodeInvalidArgument {
				t.Errorf("an id that is %s: %v", name, err)
			}
		}
		version, err := c.live.Change([]actors.LiveQuery{{ID: 1, Path: "live:other"}, {ID: 3, Path: "live:count"}}, []uint64{1, 2, 77})
		if err != nil || version != 2 {
			t.Fatalf("version %d, %v", version, err)
		}
		c.known = map[uint64]string{}
		if c.reach(2, 0); c.known[1] != "0" || c.known[3] != "0" || len(c.known) != 2 {
			t.Errorf("the results are %v", c.known)
		}
		_, commit := k.step(h, liveStep{Insert: []piece{{"a", 1}}})
		if c.reach(2, commit); c.known[1] != "0" || c.known[3] != "1" {
			t.Errorf("then the results are %v", c.known)
		}
	})
}

// TestG40_AJobThatBegins: a job shows as running when its handler begins, though nothing is
// committed then.
func TestG40_AJobThatBegins(t *testing.T) {
	k := newLiveKit()
	work := dispatch.InternalAction[none, none]("live:work")
	work.Handle(k.reg, func(*dispatch.ActionCtx, none) (none, error) {
		time.Sleep(time.Minute)
		return none{}, nil
	})
	actorstest.Run(t, k.options(), func(h *actorstest.Harness) {
		id, err := h.Scheduler("acme").RunAfter(time.Hour, work.With(none{}))
		if err != nil {
			t.Fatal(err)
		}
		c := newLiveClient(h, nil)
		version := c.add(0, liveQuery("live:state", id))
		var states []string
		for range 3 {
			c.reach(version, 0)
			states = append(states, c.known[0])
			if len(states) < 3 {
				c.version--
			}
		}
		if want := []string{`"pending"`, `"running"`, `"success"`}; !slices.Equal(states, want) {
			t.Errorf("the job was %v, want %v", states, want)
		}
	})
}

// TestG40_WhatCouldNotRunIsTriedAgain: a query that is not available may be so for what it has
// not read.
func TestG40_WhatCouldNotRunIsTriedAgain(t *testing.T) {
	k := newLiveKit()
	var fails atomic.Int64
	fails.Store(3)
	weather := dispatch.Query[none, string]("live:weather")
	weather.Handle(k.reg, func(*dispatch.QueryCtx, none) (string, error) {
		if fails.Add(-1) >= 0 {
			return "", dispatch.Errorf(dispatch.CodeUnavailable, "a cloud")
		}
		return "fair", nil
	})
	actorstest.Run(t, k.options(), func(h *actorstest.Harness) {
		c := newLiveClient(h, nil)
		c.reach(c.add(0, liveQuery("live:weather", nil)), 0)
		if !strings.Contains(c.known[0], "a cloud") {
			t.Errorf("the result is %s", c.known[0])
		}
		began := time.Now()
		if _, err := c.one(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); c.known[0] != `"fair"` || took < 7*time.Second || took > 8*time.Second {
			t.Errorf("after %v the result is %s", took, c.known[0])
		}
	})
}

// TestG40_LiveQueriesThatEnd: whatever ends them says why, and the next ones begin anew.
func TestG40_LiveQueriesThatEnd(t *testing.T) {
	k := newLiveKit()
	actorstest.Run(t, k.options(), func(h *actorstest.Harness) {
		var export bytes.Buffer
		k.step(h, liveStep{Insert: []piece{{"a", 1}}})
		if err := h.Engine.Export(h.Context(), "acme", &export); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name string
			end  func(c *liveClient) error
			want dispatch.Code
		}{
			{"closed", func(c *liveClient) error { c.live.Close(); return nil }, dispatch.CodeCanceled},
			{"deleted", func(*liveClient) error { return h.Engine.Delete(h.Context(), "acme") }, dispatch.CodeNotFound},
			{"imported", func(*liveClient) error { return h.Engine.Import(h.Context(), "acme", &export) }, dispatch.CodeAborted},
			{"engine closed", func(*liveClient) error { return h.Engine.Close(h.Context()) }, dispatch.CodeUnavailable},
		} {
			c := newLiveClient(h, nil)
			c.reach(c.add(0, liveQuery("live:count", nil)), 0)
			got := make(chan error)
			go func() {
				_, err := c.one()
				got <- err
			}()
			h.Settle()
			if err := tt.end(c); err != nil {
				t.Fatal(tt.name, err)
			}
			if err := <-got; err == nil || dispatch.AsError(err).Code != tt.want {
				t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
			}
			if _, err := c.live.Change(nil, nil); err == nil || dispatch.AsError(err).Code != tt.want {
				t.Errorf("%s: a change: %v, want %s", tt.name, err, tt.want)
			}
			c.live.Close()
		}
		late := newLiveClient(h, nil)
		if _, err := late.one(); err == nil || dispatch.AsError(err).Code != dispatch.CodeUnavailable {
			t.Errorf("of an engine that is closed: %v", err)
		}
		h.Open()
	})
}

// TestG40_LimitsOfLiveQueries: as many as there may be, and one more.
func TestG40_LimitsOfLiveQueries(t *testing.T) {
	k := newLiveKit()
	opts := k.options()
	opts.MaxAppSubscriptions, opts.MaxSubscriptions, opts.MaxSubscriptionBytes = 3, 4, 8<<10
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		refused := func(l *actors.Live, id uint64, args, what string) {
			t.Helper()
			_, err := l.Change([]actors.LiveQuery{{ID: id, Path: "live:count", Args: []byte(args)}}, nil)
			if !errors.Is(err, storage.ErrLimit) || !strings.Contains(err.Error(), what) {
				t.Errorf("one more than %s: %v", what, err)
			}
		}
		c := newLiveClient(h, nil)
		c.reach(c.add(0, liveQuery("live:count", nil), liveQuery("live:count", nil), liveQuery("live:count", nil)), 0)
		refused(c.live, 3, "", "MaxAppSubscriptions")
		if _, err := c.live.Change([]actors.LiveQuery{{ID: 3, Path: "live:count"}}, []uint64{0}); err != nil {
			t.Errorf("one in the place of another: %v", err)
		}
		other := h.App("other").Live(nil)
		defer other.Close()
		if _, err := other.Change([]actors.LiveQuery{{ID: 0, Path: "live:count"}}, nil); err != nil {
			t.Fatal(err)
		}
		refused(other, 1, "", "MaxSubscriptions")
		c.live.Close()
		refused(other, 1, strings.Repeat(" ", 2<<10), "MaxSubscriptionBytes")
		if _, err := other.Change([]actors.LiveQuery{{ID: 1, Path: "live:count"}}, nil); err != nil {
			t.Errorf("when others have left: %v", err)
		}
		// A result that has no room.
		c = newLiveClient(h, nil)
		k.step(h, liveStep{Insert: []piece{{"a", 1}}})
		version := c.add(0, liveQuery("live:shelf", "a"))
		if c.reach(version, 0); strings.Contains(c.known[0], "error") {
			t.Fatalf("the result is %s", c.known[0])
		}
		_, commit := k.step(h, liveStep{Insert: []piece{{strings.Repeat("a", 1500), 1}}})
		c.reach(version, commit)
		ids, commit := k.step(h, liveStep{Insert: slices.Repeat([]piece{{"a", 1}}, 60)})
		if c.reach(version, commit); !strings.Contains(c.known[0], "resource_exhausted") {
			t.Errorf("a result of more than 2 KiB is %s", c.known[0])
		}
		_, commit = k.step(h, liveStep{Delete: ids})
		if c.reach(version, commit); strings.Contains(c.known[0], "error") {
			t.Errorf("when it has room it is %s", c.known[0])
		}
	})
}

// TestG40_QueriesAtAnInstant: they see exactly that instant, or are told to begin again.
func TestG40_QueriesAtAnInstant(t *testing.T) {
	k := newLiveKit()
	clock := dispatch.Query[none, time.Time]("live:clock")
	clock.Handle(k.reg, func(ctx *dispatch.QueryCtx, _ none) (time.Time, error) { return ctx.Now, nil })
	actorstest.Run(t, k.options(), func(h *actorstest.Harness) {
		app := h.App("acme")
		at := func(commit uint64, path string) string {
			return resultText(app.CallAt(h.Context(), commit, path, nil, nil))
		}
		var instants []uint64
		for i := range 9 {
			k.step(h, liveStep{Insert: []piece{{"a", i}}})
			commit, err := app.Instant(h.Context())
			if err != nil {
				t.Fatal(err)
			}
			instants = append(instants, commit)
		}
		if got := at(instants[0], "live:count"); !strings.Contains(got, "aborted") {
			t.Errorf("the ninth latest instant: %s", got)
		}
		now := at(instants[1], "live:clock")
		h.Advance(30*time.Second - time.Millisecond)
		for i, commit := range instants[1:] {
			if got := at(commit, "live:count"); got != fmt.Sprint(i+2) {
				t.Errorf("at the instant %d there were %s pieces, want %d", i+1, got, i+2)
			}
		}
		if got := at(instants[1], "live:clock"); got != now {
			t.Errorf("at the instant it was %s, and later %s", now, got)
		}
		if got := at(instants[1], "live:secret"); !strings.Contains(got, "not_found") {
			t.Errorf("an internal query is %s", got)
		}
		h.Advance(2 * time.Millisecond)
		if got := at(instants[8], "live:count"); !strings.Contains(got, "aborted") {
			t.Errorf("after 30 s: %s", got)
		}
		commit, err := app.Instant(h.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Engine.Delete(h.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		if got := at(commit, "live:count"); !strings.Contains(got, "aborted") {
			t.Errorf("of an app that was deleted: %s", got)
		}
	})
}

// TestG40_AMutationTellsItsCommit: a transition as of it shows the mutation. What the mutation's
// function calls is told nothing.
func TestG40_AMutationTellsItsCommit(t *testing.T) {
	k := newLiveKit()
	outer := dispatch.Action[none, uint64]("live:outer")
	outer.Handle(k.reg, func(ctx *dispatch.ActionCtx, _ none) (uint64, error) {
		var commit uint64
		_, err := liveStepOf.Run(ctx, liveStep{Other: 1})
		return commit, err
	})
	actorstest.Run(t, k.options(), func(h *actorstest.Harness) {
		var last uint64
		for range 3 {
			_, commit := k.step(h, liveStep{Other: 1})
			if commit <= last {
				t.Errorf("the commit %d comes after %d", commit, last)
			}
			last = commit
		}
		commit := uint64(7)
		if _, err := outer.Run(h.App("acme").As(actors.TellCommit(h.Context(), &commit), nil), none{}); err != nil || commit != 0 {
			t.Errorf("of an action the commit is %d (%v), want none", commit, err)
		}
		ctx, cancel := context.WithCancel(h.Context())
		cancel()
		l := h.App("acme").Live(nil)
		defer l.Close()
		if _, err := l.Next(ctx); dispatch.AsError(err).Code != dispatch.CodeCanceled {
			t.Errorf("Next without time: %v", err)
		}
	})
}

// TestLiveQueriesAreCounted: how many there are, how often they have run, and how stale their
// results were.
func TestLiveQueriesAreCounted(t *testing.T) {
	k := newLiveKit()
	k.slow = 100 * time.Millisecond
	actorstest.Run(t, k.options(), func(h *actorstest.Harness) {
		c := newLiveClient(h, nil)
		version := c.add(0, liveQuery("live:slow", 1), liveQuery("live:slow", 1), liveQuery("live:other", nil))
		c.reach(version, 0)
		time.Sleep(time.Second)
		look := func(what string, runs int64, shown uint64, stale time.Duration) {
			t.Helper()
			st := h.Engine.Stats()
			if st.LiveQueries != 3 || st.LiveRuns != runs || st.Staleness.Total() != shown || st.Staleness.Sum != int64(stale) {
				t.Errorf("%s there are %d live queries, %d runs, and results were stale %d times, for %v: want 3, %d, %d, %v", what,
					st.LiveQueries, st.LiveRuns, st.Staleness.Total(), time.Duration(st.Staleness.Sum), runs, shown, stale)
			}
		}
		look("at first", 2, 0, 0)
		k.step(h, liveStep{Jobs: 1})
		time.Sleep(time.Second)
		look("after what they do not read", 2, 0, 0)
		k.step(h, liveStep{Insert: []piece{{"a", 1}}})
		time.Sleep(30 * time.Millisecond)
		k.step(h, liveStep{Insert: []piece{{"a", 2}}})
		time.Sleep(time.Second)
		// The second one waits for the first round, for the rest after it, and for its own.
		look("after two of them", 4, 2, 100*time.Millisecond+270*time.Millisecond)
		weight := h.Engine.Stats().LiveBytes
		c.live.Close()
		if st := h.Engine.Stats(); weight < 200 || st.LiveQueries != 0 || st.LiveBytes != 0 {
			t.Errorf("they take %d bytes, and %d queries of %d bytes are there after all were closed", weight, st.LiveQueries, st.LiveBytes)
		}
	})
}
