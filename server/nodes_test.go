package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
	"carillon/storage"
)

// mustHave asks for a route of the JSON API and wants a result.
func mustHave[T any](t *testing.T, b *browser, path string) T {
	t.Helper()
	token, _ := b.token(t, allOperator(), time.Time{})
	w := b.ask("GET", path, nil, "Authorization", "Bearer "+token)
	var answer struct{ Result T }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return answer.Result
}

// TestNodesAndShardsAreShown: the routes and the page say of each node what it does and for how long its lease lasts,
// and of each shard who owns it; to operators of all apps alone.
func TestNodesAndShardsAreShown(t *testing.T) {
	taken := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	is, away := storage.Standing{
		Nodes: []storage.NodeState{
			{Name: "a", Incarnation: "a/2", Address: "http://10.0.0.1:8377", Release: hostile, TTL: 5 * time.Second, Silent: 400 * time.Millisecond, Lag: 120 * time.Millisecond},
			{Name: "a", Incarnation: "a/1", TTL: 5 * time.Second, Silent: time.Hour, Lag: time.Second, Retired: true, Leaving: true},
			{Name: "b", Incarnation: "b/1", TTL: 5 * time.Second, Silent: 5*time.Second - time.Nanosecond, Lag: -1},
			{Name: "c", Incarnation: "c/1", TTL: 5 * time.Second, Silent: 5 * time.Second},
			{Name: "d", Incarnation: "d/1", TTL: 5 * time.Second, Lag: 3 * time.Second, Leaving: true},
		},
		Shards: []storage.ShardState{
			{Shard: 0, Epoch: 3, Owner: "a/2", Taken: taken, Why: "expired", Folded: 70, Last: 100},
			{Shard: 1, Epoch: 2, Taken: taken.Add(-time.Hour), Why: "released", Folded: 12, Last: 12},
			{Shard: 2, Epoch: 1, Owner: "gone/1", Taken: taken, Why: "free", Last: 7},
		},
	}, error(nil)
	opts := actors.Options{Functions: dispatch.NewRegistry(), Logger: slog.New(slog.DiscardHandler), Testing: actors.Testing{
		Standing: func(context.Context) (storage.Standing, error) { return is, away },
	}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		t, b := h.TB().(*testing.T), &browser{h: h}
		b.mount()
		nodes := mustHave[[]api.Node](t, b, "/v1/nodes")
		want := []api.Node{
			{Name: "a", Incarnation: "a/2", State: api.NodeOwner, Shards: 1, Address: "http://10.0.0.1:8377", Release: hostile, LeaseMs: 4600, SilentMs: 400, LagMs: new(int64(120))},
			{Name: "a", Incarnation: "a/1", State: api.NodeRetired, SilentMs: 3_600_000},
			{Name: "b", Incarnation: "b/1", State: api.NodeStandby, LeaseMs: 1, SilentMs: 4999},
			{Name: "c", Incarnation: "c/1", State: api.NodeSilent, SilentMs: 5000},
			{Name: "d", Incarnation: "d/1", State: api.NodeLeaving},
		}
		if !reflect.DeepEqual(nodes, want) {
			t.Errorf("the nodes are %+v\nwant %+v", nodes, want)
		}
		shards := mustHave[[]api.Shard](t, b, "/v1/shards")
		if want := []api.Shard{
			{Shard: 0, Owner: "a/2", Node: "a", Epoch: 3, Taken: taken, Why: "expired", Last: 100, Unfolded: 30},
			{Shard: 1, Epoch: 2, Taken: taken.Add(-time.Hour), Why: "released", Last: 12},
			{Shard: 2, Owner: "gone/1", Node: "gone/1", Epoch: 1, Taken: taken, Why: "free", Last: 7, Unfolded: 7},
		}; !slices.Equal(shards, want) {
			t.Errorf("the shards are %+v\nwant %+v", shards, want)
		}
		b.signInAs(t, server.ScopeRead)
		b.has(t, "/ui/nodes", `href="/ui/nodes" aria-current`, "<code>a/2</code>", `<th scope="col" class="num">Lag</th>`, ">120 ms<", ">owner<", ">standby<", ">silent<", ">leaving<", ">retired<", "shard 0 by <code>a</code>", "expired")
		text, _ := b.token(t, server.Operator{Name: "bob", Apps: []storage.AppID{"acme"}, Scopes: server.Scopes()}, time.Time{})
		b.signIn(t, text)
		if w := b.ask("GET", "/ui/nodes", nil); w.Code != http.StatusForbidden {
			t.Errorf("an operator of one app: %d %s", w.Code, w.Body)
		}
		b.signInAs(t, server.ScopeRead)
		is = storage.Standing{}
		if nodes := mustHave[[]api.Node](t, b, "/v1/nodes"); nodes == nil || len(nodes) > 0 {
			t.Errorf("without nodes they are %#v", nodes)
		}
		all, _ := b.token(t, allOperator(), time.Time{})
		away = errors.New("connection refused")
		for _, path := range []string{"/v1/nodes", "/v1/shards", "/ui/nodes"} {
			if w := b.ask("GET", path, nil, "Authorization", "Bearer "+all); w.Code != http.StatusServiceUnavailable {
				t.Errorf("%s while the log is away: %d %s", path, w.Code, w.Body)
			}
		}
	})
}

// TestNodesOfADirectory: a store in a data directory has no nodes, and its pages do not lead to them.
func TestNodesOfADirectory(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signInAs(t, server.ScopeRead)
		b.has(t, "/ui/nodes", "no nodes share its log", `!href="/ui/nodes"`)
	})
}
