package actors_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/memlog"
)

// shownAt begins a Live at the node that goes on after what was shown, and returns it with its first transition.
func (m *member) shownAt(t *testing.T, after actors.Transition, seen map[uint64]actors.LiveSum) (*actors.Live, actors.Transition, error) {
	t.Helper()
	l := m.app().Live(nil)
	t.Cleanup(l.Close)
	l.After(after.Commit)
	set := []actors.LiveQuery{
		{ID: 1, Path: liveShelf.Path(), Args: json.RawMessage(`"a"`), Seen: seen[1]},
		{ID: 2, Path: liveShelf.Path(), Args: json.RawMessage(`"b"`), Seen: seen[2]},
	}
	if _, err := l.Change(set, nil); err != nil {
		return l, actors.Transition{}, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tr, err := l.Next(ctx)
	return l, tr, err
}

// TestG40_LiveQueriesGoOnAtAnotherNode: what was shown at one node is not told again at the next owner, what has changed since is
// told once, and nothing is as of an earlier commit. Where the log is not as far any more the client is told to begin anew.
func TestG40_LiveQueriesGoOnAtAnotherNode(t *testing.T) {
	opts := actors.Options{Functions: newLiveKit().reg, Tables: []storage.Schema{pieces, others}}
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(1)
		a, b := join(t, log, "a", opts), join(t, log, "b", opts)
		defer a.leave()
		defer b.leave()
		put := func(m *member, shelf string) (commit uint64) {
			t.Helper()
			args, _ := json.Marshal(liveStep{Insert: []piece{{Shelf: shelf}}})
			if _, err := m.app().Call(actors.TellCommit(t.Context(), &commit), liveStepOf.Path(), args, nil); err != nil {
				t.Fatal(err)
			}
			return commit
		}
		a.own()
		put(a, "a")
		put(a, "b")
		l, before, err := a.shownAt(t, actors.Transition{}, nil)
		if err != nil || len(before.Changed) != 2 {
			t.Fatalf("at a: %+v, %v", before, err)
		}
		seen := map[uint64]actors.LiveSum{}
		for _, r := range before.Changed {
			seen[r.ID] = r.Sum
		}
		if seen[1] == seen[2] || seen[1] == (actors.LiveSum{}) {
			t.Errorf("the sums are %x", seen)
		}
		l.Close()
		put(a, "b")
		a.giveUp()
		b.own()
		l, now, err := b.shownAt(t, before, seen)
		if err != nil || now.Commit <= before.Commit || len(now.Changed) != 1 || now.Changed[0].ID != 2 {
			t.Errorf("at b, after a change of the second result: %+v, %v", now, err)
		}
		l.Close()
		seen[2] = now.Changed[0].Sum
		l, again, err := b.shownAt(t, now, seen)
		if err != nil || again.Commit < now.Commit || len(again.Changed) != 0 {
			t.Errorf("at b, after no change: %+v, %v", again, err)
		}
		put(b, "a")
		if next, err := l.Next(t.Context()); err != nil || len(next.Changed) != 1 || next.Changed[0].ID != 1 {
			t.Errorf("then a change: %+v, %v", next, err)
		}
		l.Close()

		// A failover of PostgreSQL that takes away what was shown.
		lost := put(b, "a")
		for range 9 {
			lost = put(b, "a")
		}
		log.Lose(0, 10)
		log.Cut("b")
		a.own()
		_, _, err = a.shownAt(t, actors.Transition{Commit: lost}, seen)
		if err == nil || dispatch.AsError(err).Code != dispatch.CodeAborted {
			t.Errorf("after a loss: %v", err)
		}
		if _, anew, err := a.shownAt(t, actors.Transition{}, nil); err != nil || len(anew.Changed) != 2 || anew.Commit >= lost {
			t.Errorf("begun anew: %+v, %v", anew, err)
		}
		log.Heal()
		a.giveUp()
		_ = b.eng.Close(t.Context())
	})
}
