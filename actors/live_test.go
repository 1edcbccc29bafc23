package actors_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
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

// piece is a document that live queries are of.
type piece struct {
	Shelf string `json:"shelf"`
	N     int    `json:"n"`
}

var (
	pieces = storage.NewTable[piece]("pieces", storage.Index("by_shelf", "shelf", "n"))
	others = storage.NewTable[piece]("otherpieces")
)

// liveStep is what one mutation of these tests does, all in one commit.
type liveStep struct {
	Insert []piece
	Change map[storage.ID[piece]]piece
	Delete []storage.ID[piece]
	Other  int // how many documents it inserts in the other table
	Jobs   int // how many it schedules
	Cancel storage.JobID
}

var (
	liveStepOf = dispatch.Mutation[liveStep, []storage.ID[piece]]("live:step")
	liveJob    = dispatch.InternalMutation[none, none]("live:job")
	liveGet    = dispatch.Query[storage.ID[piece], piece]("live:get")
	liveShelf  = dispatch.Query[string, []string]("live:shelf")
	liveRange  = dispatch.Query[[2]int, int]("live:range")
	liveFirst  = dispatch.Query[string, string]("live:first")
	liveLast   = dispatch.Query[string, string]("live:last")
	liveCount  = dispatch.Query[none, int]("live:count")
	livePage   = dispatch.Query[int, []string]("live:page")
	liveOther  = dispatch.Query[none, int]("live:other")
	liveJobs   = dispatch.Query[none, []string]("live:jobs")
	liveState  = dispatch.Query[storage.JobID, string]("live:state")
	liveWho    = dispatch.Query[none, string]("live:who")
	liveMany   = dispatch.Query[[]storage.ID[piece], int]("live:many")
	liveRefuse = dispatch.Query[string, string]("live:refuse")
	liveSecret = dispatch.InternalQuery[none, int]("live:secret")
	liveSlow   = dispatch.Query[int, int]("live:slow")
)

// liveKit are the functions of these tests.
type liveKit struct {
	reg  *dispatch.Registry
	runs atomic.Int64  // of queries
	slow time.Duration // of liveSlow
}

func newLiveKit() *liveKit {
	k := &liveKit{reg: dispatch.NewRegistry()}
	text := func(d storage.Doc[piece]) string { return fmt.Sprintf("%s %s %d", d.ID, d.Value.Shelf, d.Value.N) }
	liveStepOf.Handle(k.reg, func(ctx *dispatch.MutationCtx, s liveStep) (ids []storage.ID[piece], err error) {
		for _, p := range s.Insert {
			id, err := pieces.Insert(ctx.DB, p)
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
		for id, p := range s.Change {
			if err := pieces.Replace(ctx.DB, id, p); err != nil {
				return nil, err
			}
		}
		for _, id := range s.Delete {
			if err := pieces.Delete(ctx.DB, id); err != nil {
				return nil, err
			}
		}
		for range s.Other {
			if _, err := others.Insert(ctx.DB, piece{"other", 0}); err != nil {
				return nil, err
			}
		}
		for range s.Jobs {
			if _, err := ctx.Scheduler.RunAfter(time.Hour, liveJob.With(none{})); err != nil {
				return nil, err
			}
		}
		if s.Cancel != "" {
			if _, err := ctx.Scheduler.Cancel(s.Cancel); err != nil {
				return nil, err
			}
		}
		return ids, nil
	})
	liveJob.Handle(k.reg, func(*dispatch.MutationCtx, none) (none, error) { return none{}, nil })
	liveGet.Handle(k.reg, func(ctx *dispatch.QueryCtx, id storage.ID[piece]) (piece, error) {
		k.runs.Add(1)
		return pieces.Get(ctx.DB, id)
	})
	liveShelf.Handle(k.reg, func(ctx *dispatch.QueryCtx, shelf string) (list []string, err error) {
		k.runs.Add(1)
		for d, err := range pieces.Query(ctx.DB).By("by_shelf").Eq(shelf).All() {
			if err != nil {
				return nil, err
			}
			list = append(list, text(d))
		}
		return list, nil
	})
	liveRange.Handle(k.reg, func(ctx *dispatch.QueryCtx, of [2]int) (int, error) {
		k.runs.Add(1)
		return pieces.Query(ctx.DB).By("by_shelf").Eq("a").From(of[0]).Before(of[1]).Count()
	})
	end := func(desc bool) func(*dispatch.QueryCtx, string) (string, error) {
		return func(ctx *dispatch.QueryCtx, shelf string) (string, error) {
			k.runs.Add(1)
			q := pieces.Query(ctx.DB).By("by_shelf").Eq(shelf)
			if desc {
				q = q.Desc()
			}
			d, ok, err := q.First()
			if !ok {
				return "none", err
			}
			return text(d), err
		}
	}
	liveFirst.Handle(k.reg, end(false))
	liveLast.Handle(k.reg, end(true))
	liveCount.Handle(k.reg, func(ctx *dispatch.QueryCtx, _ none) (int, error) {
		k.runs.Add(1)
		return pieces.Query(ctx.DB).Count()
	})
	livePage.Handle(k.reg, func(ctx *dispatch.QueryCtx, size int) (list []string, err error) {
		k.runs.Add(1)
		docs, _, err := pieces.Query(ctx.DB).Desc().Take(size).Page()
		for _, d := range docs {
			list = append(list, text(d))
		}
		return list, err
	})
	liveOther.Handle(k.reg, func(ctx *dispatch.QueryCtx, _ none) (int, error) {
		k.runs.Add(1)
		return others.Query(ctx.DB).Count()
	})
	liveJobs.Handle(k.reg, func(ctx *dispatch.QueryCtx, _ none) (list []string, err error) {
		k.runs.Add(1)
		for job, err := range ctx.DB.System().All(storage.JobFilter{}) {
			if err != nil {
				return nil, err
			}
			list = append(list, string(job.ID)+" "+string(job.State))
		}
		return list, nil
	})
	liveState.Handle(k.reg, func(ctx *dispatch.QueryCtx, id storage.JobID) (string, error) {
		k.runs.Add(1)
		job, ok, err := ctx.DB.System().Get(id)
		if !ok {
			return "none", err
		}
		return string(job.State), err
	})
	liveWho.Handle(k.reg, func(ctx *dispatch.QueryCtx, _ none) (string, error) {
		k.runs.Add(1)
		n, err := pieces.Query(ctx.DB).Count()
		who := "nobody"
		if id, ok := ctx.Auth.Identity(); ok {
			who = id.Subject
		}
		return fmt.Sprint(who, " ", n), err
	})
	liveMany.Handle(k.reg, func(ctx *dispatch.QueryCtx, ids []storage.ID[piece]) (sum int, err error) {
		k.runs.Add(1)
		for _, id := range ids {
			p, err := pieces.Get(ctx.DB, id)
			if err != nil && !errors.Is(err, storage.ErrNotFound) {
				return 0, err
			}
			sum += p.N
		}
		return sum, nil
	})
	liveRefuse.Handle(k.reg, func(ctx *dispatch.QueryCtx, shelf string) (string, error) {
		k.runs.Add(1)
		n, err := pieces.Query(ctx.DB).By("by_shelf").Eq(shelf).Count()
		if err == nil && n%2 == 1 {
			err = dispatch.Errorf(dispatch.CodeFailedPrecondition, "%d pieces", n)
		}
		return fmt.Sprint(n), err
	})
	liveSecret.Handle(k.reg, func(*dispatch.QueryCtx, none) (int, error) { return 42, nil })
	liveSlow.Handle(k.reg, func(ctx *dispatch.QueryCtx, _ int) (int, error) {
		time.Sleep(k.slow)
		return pieces.Query(ctx.DB).Count()
	})
	return k
}

func (k *liveKit) options() actors.Options {
	return actors.Options{Functions: k.reg, Tables: []storage.Schema{pieces}}
}

// liveClient is a client with a Live: what it knows.
type liveClient struct {
	t       testing.TB
	live    *actors.Live
	known   map[uint64]string
	commit  uint64
	version uint64
	took    int // transitions
	changed int // results
}

func newLiveClient(h *actorstest.Harness, identity *dispatch.Identity) *liveClient {
	c := &liveClient{t: h.TB(), live: h.App("acme").Live(identity), known: map[uint64]string{}}
	h.TB().Cleanup(c.live.Close)
	return c
}

// add adds queries, from the id on.
func (c *liveClient) add(from uint64, queries ...actors.LiveQuery) uint64 {
	c.t.Helper()
	queries = slices.Clone(queries)
	for i := range queries {
		queries[i].ID = from + uint64(i)
	}
	version, err := c.live.Change(queries, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return version
}

// one takes one transition.
func (c *liveClient) one() (actors.Transition, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 3*time.Hour) // of the bubble's
	defer cancel()
	tr, err := c.live.Next(ctx)
	if err != nil {
		return tr, err
	}
	c.took++
	c.changed += len(tr.Changed)
	if tr.Commit < c.commit || tr.Version < c.version {
		c.t.Errorf("the transition %d of version %d comes after %d of version %d", tr.Commit, tr.Version, c.commit, c.version)
	}
	c.commit, c.version = tr.Commit, tr.Version
	for _, r := range tr.Changed {
		text := resultText(r.Value, r.Err)
		if c.known[r.ID] == text {
			c.t.Errorf("the result of %d is told again, and the same: %s", r.ID, text)
		}
		c.known[r.ID] = text
	}
	return tr, nil
}

// reach takes transitions until one has the version, and the commit.
func (c *liveClient) reach(version, commit uint64) {
	c.t.Helper()
	c.live.Await(commit)
	for c.commit < commit || c.version < version {
		if _, err := c.one(); err != nil {
			c.t.Fatal(err)
		}
	}
}

func resultText(value json.RawMessage, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	return string(value)
}

func liveQuery(path string, args any) actors.LiveQuery {
	data, err := json.Marshal(args)
	if err != nil {
		panic(err)
	}
	return actors.LiveQuery{Path: path, Args: data}
}

// step makes the step, and returns its commit.
func (k *liveKit) step(h *actorstest.Harness, s liveStep) (ids []storage.ID[piece], commit uint64) {
	h.TB().Helper()
	ids, err := liveStepOf.Run(h.App("acme").As(actors.TellCommit(h.Context(), &commit), nil), s)
	if err != nil {
		h.TB().Fatal(err)
	}
	return ids, commit
}

// TestG40_AsIfRunFromScratch: whatever is written, after each commit the results of live queries
// are those that the queries have when they are run anew at that very commit, all of them; none
// is told that has not changed.
func TestG40_AsIfRunFromScratch(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			k := newLiveKit()
			actorstest.Run(t, k.options(), func(h *actorstest.Harness) {
				rng := rand.New(rand.NewPCG(seed, 40))
				var ids []storage.ID[piece]
				shelves := []string{"a", "b", "c"}
				random := func() piece { return piece{shelves[rng.IntN(3)], rng.IntN(20)} }
				first, _ := k.step(h, liveStep{Insert: slices.Repeat([]piece{{"a", 3}}, 3), Jobs: 2})
				ids = append(ids, first...)
				var jobs []storage.JobID
				for _, job := range h.Jobs("acme") {
					jobs = append(jobs, job.ID)
				}
				queries := []actors.LiveQuery{
					liveQuery("live:get", ids[0]), liveQuery("live:get", ids[1]), liveQuery("live:shelf", "a"), liveQuery("live:shelf", "b"),
					liveQuery("live:range", [2]int{5, 10}), liveQuery("live:first", "a"), liveQuery("live:last", "b"), liveQuery("live:count", nil),
					liveQuery("live:page", 3), liveQuery("live:other", nil), liveQuery("live:jobs", nil), liveQuery("live:state", jobs[0]),
					liveQuery("live:state", "nothing"), liveQuery("live:refuse", "c"), liveQuery("live:who", nil), liveQuery("live:none", nil),
					liveQuery("live:get", "pieces_of_nothing"),
				}
				ann := &dispatch.Identity{Subject: "ann"}
				app := h.App("acme")
				clients := []*liveClient{newLiveClient(h, nil), newLiveClient(h, ann)}
				clients[0].add(0, queries...)
				clients[1].add(0, queries[7:]...)
				for range 40 {
					var s liveStep
					switch n := rng.IntN(10); {
					case n < 3:
						s.Insert = append(s.Insert, random())
					case n < 4:
						s.Insert = append(s.Insert, random(), random(), random())
					case n < 6:
						s.Change = map[storage.ID[piece]]piece{ids[rng.IntN(len(ids))]: random()}
					case n < 7 && len(ids) > 3:
						i := 2 + rng.IntN(len(ids)-2)
						s.Delete = append(s.Delete, ids[i])
						ids = slices.Delete(ids, i, i+1)
					case n < 8:
						s.Jobs = 1
					case n < 9 && len(jobs) > 0:
						s.Cancel = jobs[0]
						jobs = jobs[1:]
					default:
						s.Other = 1
					}
					fresh, commit := k.step(h, s)
					ids = append(ids, fresh...)
					if rng.IntN(4) == 0 {
						h.Advance(time.Duration(rng.IntN(40)) * time.Minute)
					}
					at, err := app.Instant(h.Context())
					if err != nil {
						t.Fatal(err)
					}
					for i, c := range clients {
						c.reach(1, max(at, commit))
						if c.commit != at {
							continue // something was committed meanwhile
						}
						who, of := []*dispatch.Identity{nil, ann}[i], [][]actors.LiveQuery{queries, queries[7:]}[i]
						for id, q := range of {
							want := resultText(app.CallAt(h.Context(), at, q.Path, q.Args, who))
							if got := c.known[uint64(id)]; got != want {
								t.Errorf("seed %d, commit %d: %s %s is\n%s, want\n%s", seed, at, q.Path, q.Args, got, want)
							}
						}
					}
				}
				if clients[0].changed < 40 {
					t.Errorf("only %d results have changed", clients[0].changed)
				}
			})
		})
	}
}

// TestG40_OnlyWhatIsMetRuns: a commit has those queries run that have read what it has written,
// and no others; equal ones share a run.
func TestG40_OnlyWhatIsMetRuns(t *testing.T) {
	k := newLiveKit()
	actorstest.Run(t, k.options(), func(h *actorstest.Harness) {
		ids, _ := k.step(h, liveStep{Insert: []piece{{"a", 1}, {"b", 1}, {"c", 7}}})
		var clients []*liveClient
		for range 5 {
			c := newLiveClient(h, nil)
			c.add(0, liveQuery("live:get", ids[0]), liveQuery("live:shelf", "b"), liveQuery("live:range", [2]int{5, 10}), liveQuery("live:other", nil))
			c.reach(1, 0)
			clients = append(clients, c)
		}
		for _, tt := range []struct {
			name string
			s    liveStep
			runs int64
		}{
			{"the first", liveStep{Change: map[storage.ID[piece]]piece{ids[0]: {"a", 2}}}, 1},
			{"a shelf that is not read", liveStep{Insert: []piece{{"c", 5}}}, 0},
			{"a range", liveStep{Insert: []piece{{"a", 5}}}, 1},
			{"beside the range", liveStep{Insert: []piece{{"a", 10}}}, 0},
			{"the shelf", liveStep{Insert: []piece{{"b", 5}}}, 1},
			{"another table", liveStep{Other: 1}, 1},
			{"a job", liveStep{Jobs: 1}, 0},
			{"two of them", liveStep{Other: 1, Insert: []piece{{"b", 6}}}, 2},
		} {
			before := k.runs.Load()
			_, commit := k.step(h, tt.s)
			h.Settle()
			if ran := k.runs.Load() - before; ran != tt.runs {
				t.Errorf("%s: %d queries were run, want %d", tt.name, ran, tt.runs)
			}
			for _, c := range clients {
				before := c.changed
				c.reach(1, commit)
				if changed := int64(c.changed - before); changed != tt.runs {
					t.Errorf("%s: %d results have changed, want %d", tt.name, changed, tt.runs)
				}
			}
		}
	})
}

// TestG40_Subscribe: the loop gets the first result, and each that is another one.
func TestG40_Subscribe(t *testing.T) {
	k := newLiveKit()
	actorstest.Run(t, k.options(), func(h *actorstest.Harness) {
		app := h.App("acme")
		var got []string
		for r, err := range app.Subscribe(h.Context(), "live:count", nil, nil) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, string(r.Value)); len(got) == 4 {
				break
			}
			k.step(h, liveStep{Other: 1})
			k.step(h, liveStep{Insert: []piece{{"a", 1}}})
		}
		if want := "0 1 2 3"; strings.Join(got, " ") != want {
			t.Errorf("the loop got %v, want %s", got, want)
		}
		ctx, cancel := context.WithCancel(h.Context())
		defer cancel()
		var last error
		for r, err := range app.Subscribe(ctx, "live:secret", nil, nil) {
			if last = err; err == nil && string(r.Value) != "42" {
				t.Errorf("an internal query is %s", resultText(r.Value, r.Err))
			}
			cancel()
		}
		if code := dispatch.AsError(last).Code; code != dispatch.CodeCanceled {
			t.Errorf("the loop has ended with %v", last)
		}
	})
}
