package actors_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
)

// liveDrag are queries that count pieces, and take as long as each is told to.
type liveDrag struct {
	takes [3]atomic.Int64
	runs  [3]atomic.Int64
}

func newLiveDrag(k *liveKit) *liveDrag {
	d := new(liveDrag)
	dispatch.Query[int, int]("live:drag").Handle(k.reg, func(ctx *dispatch.QueryCtx, i int) (int, error) {
		d.runs[i].Add(1)
		time.Sleep(time.Duration(d.takes[i].Load()))
		return pieces.Query(ctx.DB).Count()
	})
	return d
}

// TestG40_ASlowQueryHoldsUpItsClientsAlone: who has none is told at once, whoever else has one.
// When it is quick again its clients are told at once as well, after a while.
func TestG40_ASlowQueryHoldsUpItsClientsAlone(t *testing.T) {
	k := newLiveKit()
	drag := newLiveDrag(k)
	actorstest.Run(t, k.options(), func(h *actorstest.Harness) {
		var clients []*liveClient
		join := func(queries ...actors.LiveQuery) {
			c := newLiveClient(h, nil)
			c.reach(c.add(0, queries...), 0)
			clients = append(clients, c)
		}
		n := 0
		step := func(what string, pause time.Duration, most ...time.Duration) {
			t.Helper()
			n++
			_, commit := k.step(h, liveStep{Insert: []piece{{"a", n}}})
			time.Sleep(pause)
			began := time.Now()
			for i, c := range clients {
				c.reach(1, commit)
				if took := time.Since(began); took > most[i] {
					t.Errorf("%s: client %d was told after %v, want %v", what, i, took, most[i])
				}
				for id, value := range c.known {
					if value != fmt.Sprint(n) {
						t.Errorf("%s: client %d, query %d: %s pieces, want %d", what, i, id, value, n)
					}
				}
			}
			time.Sleep(10 * time.Second) // rounds have rested
		}
		join(liveQuery("live:count", nil))
		join(liveQuery("live:count", nil), liveQuery("live:drag", 1))
		const quick, slow = 10 * time.Millisecond, 3 * time.Second
		step("at first", 0, quick, quick)
		drag.takes[1].Store(int64(slow))
		step("when it becomes slow", 0, 250*time.Millisecond, 250*time.Millisecond+slow)
		step("while it is slow", 0, quick, slow)
		runs := drag.runs[1].Load()
		join(liveQuery("live:drag", 1), liveQuery("live:count", nil))
		if ran := drag.runs[1].Load() - runs; ran != 0 {
			t.Errorf("for one more client a query that is known to be slow was run %d times", ran)
		}
		step("with another client", 0, quick, slow, slow)
		drag.takes[1].Store(0)
		step("when it becomes quick", 0, quick, quick, quick)
		join(liveQuery("live:drag", 2))
		time.Sleep(2 * time.Minute)
		drag.takes[2].Store(int64(slow))
		step("when another one becomes slow", time.Second, quick, quick, quick, slow)
		step("while another one is slow", 0, quick, quick, quick, slow)
	})
}

// TestG40_SlowQueriesAsIfRunFromScratch: whatever is slow when, and whichever queries clients add
// and remove, each transition of each client has all of its queries as of one commit.
func TestG40_SlowQueriesAsIfRunFromScratch(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			k := newLiveKit()
			drag := newLiveDrag(k)
			actorstest.Run(t, k.options(), func(h *actorstest.Harness) {
				rng := rand.New(rand.NewPCG(seed, 41))
				var commits []uint64 // of each piece
				clients := make([]slowClient, 5)
				var taken sync.WaitGroup
				for i := range clients {
					c := &clients[i]
					c.live = h.App("acme").Live(nil)
					defer c.live.Close()
					c.sets = [][]uint64{nil}
					c.change(t, []actors.LiveQuery{liveQuery("live:count", nil), liveQuery("live:drag", i%3)}[:1+min(i, 1)], nil)
					taken.Go(func() {
						for {
							tr, err := c.live.Next(h.Context())
							if err != nil {
								return
							}
							c.shown = append(c.shown, tr)
							c.asked = append(c.asked, c.latest.Load())
						}
					})
				}
				for range 60 {
					switch n := rng.IntN(8); {
					case n < 2:
						drag.takes[rng.IntN(3)].Store(int64(time.Duration(rng.IntN(3)*rng.IntN(300)) * time.Millisecond))
					case n < 3:
						c := &clients[1+rng.IntN(4)]
						last := c.sets[len(c.sets)-1]
						c.change(t, []actors.LiveQuery{liveQuery("live:drag", rng.IntN(3))}, last[len(last)-1:])
					default:
						_, commit := k.step(h, liveStep{Insert: []piece{{"a", 1}}})
						commits = append(commits, commit)
					}
					time.Sleep(time.Duration([]int{0, 1, 20, 300, 2000, 30000}[rng.IntN(6)]) * time.Millisecond)
				}
				time.Sleep(5 * time.Minute)
				for i := range clients {
					clients[i].live.Close()
				}
				taken.Wait()
				for i := range clients {
					clients[i].check(t, i, commits)
				}
			})
		})
	}
}

// slowClient is a client, and all that it was shown.
type slowClient struct {
	live  *actors.Live
	next  uint64
	sets  [][]uint64 // ids, by version
	shown []actors.Transition

	latest atomic.Uint64 // version that was asked for
	asked  []uint64      // the same, when each was shown: what is removed is told no more
}

// change adds queries under ids that no other one has had, and removes those.
func (c *slowClient) change(t *testing.T, add []actors.LiveQuery, remove []uint64) {
	t.Helper()
	set := slices.DeleteFunc(slices.Clone(c.sets[len(c.sets)-1]), func(id uint64) bool { return slices.Contains(remove, id) })
	for i := range add {
		add[i].ID = c.next
		set = append(set, c.next)
		c.next++
	}
	c.latest.Store(uint64(len(c.sets)))
	c.sets = append(c.sets, set)
	if version, err := c.live.Change(add, remove); err != nil || version != uint64(len(c.sets)-1) {
		t.Errorf("the version is %d, want %d (%v)", version, len(c.sets)-1, err)
	}
}

// check looks whether what was shown is so, when the pieces were inserted by those commits.
func (c *slowClient) check(t *testing.T, client int, commits []uint64) {
	known, last := map[uint64]string{}, actors.Transition{}
	for i, tr := range c.shown {
		for _, r := range tr.Changed {
			known[r.ID] = resultText(r.Value, r.Err)
		}
		if tr.Commit < last.Commit || tr.Version < last.Version {
			t.Errorf("client %d: commit %d of version %d comes after %d of %d", client, tr.Commit, tr.Version, last.Commit, last.Version)
		}
		last = tr
		want := 0
		for want < len(commits) && commits[want] <= tr.Commit {
			want++
		}
		for _, id := range c.sets[tr.Version] {
			if known[id] != fmt.Sprint(want) && slices.Contains(c.sets[c.asked[i]], id) {
				t.Errorf("client %d, query %d: as of %d there are %s pieces, want %d", client, id, tr.Commit, known[id], want)
			}
		}
	}
	if last.Version != uint64(len(c.sets)-1) || last.Commit < commits[len(commits)-1] {
		t.Errorf("client %d has come to commit %d of version %d, want %d of %d", client, last.Commit, last.Version, commits[len(commits)-1], len(c.sets)-1)
	}
}
