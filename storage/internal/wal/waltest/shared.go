package waltest

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carillon/storage/internal/wal"
)

// SharedBench is a shared log under test, of 4 shards.
type SharedBench interface {
	// Node opens the log as a node of its own does. It is closed with the test.
	Node(testing.TB) wal.Shared
	// Pass has so much time pass for the latest beat of each node.
	Pass(testing.TB, time.Duration)
	// Restart is what makes the log not sure of beats any more.
	Restart(testing.TB)
	// Lose takes the latest record of a shard away, as a failover to an asynchronous standby does.
	Lose(testing.TB, wal.Volume)
}

// SharedConformance tests that the log keeps what wal.Shared promises beyond wal.Log.
func SharedConformance(t *testing.T, bench func(*testing.T) SharedBench) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, SharedBench)
	}{
		{"ClaimsWhatIsFree", claimsWhatIsFree},
		{"RetiresTheSilent", retiresTheSilent},
		{"BeatKeeps", beatKeeps},
		{"ReleasesItsOwn", releasesItsOwn},
		{"Leaves", leaves},
		{"WaitsAfterARestart", waitsAfterARestart},
		{"JoinsAnew", joinsAnew},
		{"OneWins", oneWins},
		{"ClaimsUnjoined", claimsUnjoined},
		{"BeatFindsATailLost", beatFindsATailLost},
		{"ChecksNodes", checksNodes},
		{"Forgets", forgets},
		{"TellsItsLag", tellsItsLag},
		{"FoldsAndLoads", foldsAndLoads},
		{"FoldIsFenced", foldIsFenced},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, bench(t)) })
	}
}

// ttl is that of the nodes in these tests: none runs out by itself.
const ttl = time.Hour

func mustJoin(t *testing.T, b SharedBench, name string) wal.Shared {
	t.Helper()
	log := b.Node(t)
	if err := log.Join(t.Context(), wal.Node{Name: name, Address: "http://" + name, Release: "v1", TTL: ttl}); err != nil {
		t.Fatal(err)
	}
	return log
}

func wantClaim(t *testing.T, log wal.Shared, v wal.Volume, want error) {
	t.Helper()
	_, err := log.Claim(t.Context(), v)
	wantErr(t, fmt.Sprintf("a claim of shard %d", v), err, want)
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// wantShard says who owns a shard, by name, and why.
func wantShard(t *testing.T, log wal.Shared, v wal.Volume, owner, why string) {
	t.Helper()
	s := standing(t, log)
	i := slices.IndexFunc(s.Shards, func(s wal.ShardState) bool { return s.Shard == v })
	if i < 0 {
		t.Errorf("shard %d is not there", v)
		return
	}
	name, _, _ := strings.Cut(s.Shards[i].Owner, "/")
	if name != owner || s.Shards[i].Why != why {
		t.Errorf("shard %d is of %q, %s; want %q, %s", v, name, s.Shards[i].Why, owner, why)
	}
}

func standing(t *testing.T, log wal.Shared) wal.Standing {
	t.Helper()
	s, err := log.Standing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// node is the latest incarnation of a name.
func node(t *testing.T, log wal.Shared, name string) wal.NodeState {
	t.Helper()
	s := standing(t, log)
	i := slices.IndexFunc(s.Nodes, func(n wal.NodeState) bool { return n.Name == name })
	if i < 0 {
		t.Fatalf("node %s is not there", name)
	}
	return s.Nodes[i]
}

// claimsWhatIsFree: the first one to claim a shard has it, and it alone.
func claimsWhatIsFree(t *testing.T, b SharedBench) {
	a, other := mustJoin(t, b, "a"), mustJoin(t, b, "b")
	if a.ID() != other.ID() || a.Shards() != 4 || other.Shards() != 4 {
		t.Errorf("store %d of %d shards, and store %d of %d", a.ID(), a.Shards(), other.ID(), other.Shards())
	}
	wantClaim(t, a, 4, wal.ErrRefused)
	c := mustClaim(t, a, 1)
	wantShard(t, other, 1, "a", "free")
	wantClaim(t, other, 1, wal.ErrOwned)
	wants(t, a.Append(record(c, c.Last+1, "mine")), nil)
	again := mustClaim(t, a, 1)
	wants(t, a.Append(record(again, again.Last+1, "again")), nil)
	wantShard(t, other, 1, "a", "again")
	wantClaim(t, other, 2, nil)
	wantClaim(t, a, 2, wal.ErrOwned)
	s := standing(t, a)
	if len(s.Nodes) != 2 || s.Nodes[0].Name != "a" || s.Nodes[1].Name != "b" || len(s.Shards) != 2 || s.Shards[0].Last != again.Last+1 || s.Shards[0].Epoch != again.Epoch {
		t.Errorf("%+v", s)
	}
	n := s.Nodes[0]
	if n.Address != "http://a" || n.Release != "v1" || n.TTL != ttl || n.Leaving || n.Retired || n.Gone || n.Silent < 0 || n.Silent > time.Minute || s.Shards[0].Owner != n.Incarnation {
		t.Errorf("%+v", n)
	}
	if taken := s.At.Sub(s.Shards[0].Taken); taken < 0 || taken > time.Minute {
		t.Errorf("it was taken %v ago", taken)
	}
}

// retiresTheSilent: what was owned by a node that has not beaten for its TTL is another's, and
// the node is retired for good, in all.
func retiresTheSilent(t *testing.T, b SharedBench) {
	a, other := mustJoin(t, b, "a"), mustJoin(t, b, "b")
	c, kept := mustClaim(t, a, 1), mustClaim(t, a, 2)
	b.Pass(t, ttl/2)
	wantClaim(t, other, 1, wal.ErrOwned)
	b.Pass(t, ttl/2)
	wantErr(t, "a beat of the claimer", other.Beat(t.Context()), nil)
	wantClaim(t, other, 1, nil)
	wantShard(t, other, 1, "b", "expired")
	wants(t, a.Append(record(c, c.Last+1, "late")), wal.ErrFenced)
	for range 2 {
		wantErr(t, "a late beat", a.Beat(t.Context()), wal.ErrRetired)
	}
	if n := node(t, other, "a"); !n.Retired || n.Gone || n.Silent < ttl {
		t.Errorf("%+v", n)
	}
	_, err := a.Claim(t.Context(), 3)
	wantErr(t, "a claim of the retired", err, wal.ErrRetired)
	wantErr(t, "a claim of the retired", err, wal.ErrRefused)
	wantErr(t, "a leave of the retired", a.Leave(t.Context()), wal.ErrRetired)
	// Writes need no clock: what was not claimed is still its own.
	wants(t, a.Append(record(kept, kept.Last+1, "kept")), nil)
	wantClaim(t, other, 2, nil)
	wants(t, a.Append(record(kept, kept.Last+2, "late")), wal.ErrFenced)
	wantErr(t, "a release of the retired", a.Release(t.Context()), nil)
	wantShard(t, other, 1, "b", "expired")
}

// beatKeeps: a node that beats keeps what it owns.
func beatKeeps(t *testing.T, b SharedBench) {
	a, other := mustJoin(t, b, "a"), mustJoin(t, b, "b")
	c := mustClaim(t, a, 1)
	for range 3 {
		b.Pass(t, ttl-time.Minute)
		wantClaim(t, other, 1, wal.ErrOwned)
		wantErr(t, "beat", a.Beat(t.Context()), nil)
	}
	wants(t, a.Append(record(c, c.Last+1, "mine")), nil)
	b.Pass(t, ttl)
	wantErr(t, "a beat before any claim", a.Beat(t.Context()), nil)
	wantClaim(t, other, 1, wal.ErrOwned)
}

// releasesItsOwn: a node gives up what it owns, and nothing else.
func releasesItsOwn(t *testing.T, b SharedBench) {
	a, other, third := mustJoin(t, b, "a"), mustJoin(t, b, "b"), mustJoin(t, b, "c")
	old := [2]wal.Claim{mustClaim(t, a, 1), mustClaim(t, a, 2)}
	theirs := mustClaim(t, other, 3)
	wantErr(t, "release", a.Release(t.Context()), nil)
	wantShard(t, third, 1, "", "free")
	wants(t, a.Append(record(old[0], old[0].Last+1, "late"), record(old[1], old[1].Last+1, "late")), wal.ErrFenced, wal.ErrFenced)
	wants(t, other.Append(record(theirs, theirs.Last+1, "mine")), nil)
	wantClaim(t, third, 3, wal.ErrOwned)
	wantClaim(t, third, 1, nil)
	wantShard(t, a, 1, "c", "released")
	wantErr(t, "beat", a.Beat(t.Context()), nil)
	wantClaim(t, a, 2, nil) // it goes on as a node
	wantErr(t, "a release of one that has not joined", b.Node(t).Release(t.Context()), wal.ErrNotJoined)
}

// leaves: a node says that it leaves, and is gone once it owns nothing.
func leaves(t *testing.T, b SharedBench) {
	a, other := mustJoin(t, b, "a"), mustJoin(t, b, "b")
	c := mustClaim(t, a, 1)
	wantErr(t, "leave", a.Leave(t.Context()), nil)
	if n := node(t, other, "a"); !n.Leaving || n.Retired || n.Gone {
		t.Errorf("%+v", n)
	}
	wantErr(t, "a beat while it drains", a.Beat(t.Context()), nil)
	wants(t, a.Append(record(c, c.Last+1, "drained")), nil)
	wantClaim(t, other, 1, wal.ErrOwned)
	wantErr(t, "release", a.Release(t.Context()), nil)
	wantErr(t, "leave", a.Leave(t.Context()), nil)
	if n := node(t, other, "a"); !n.Leaving || !n.Retired || !n.Gone {
		t.Errorf("%+v", n)
	}
	wantErr(t, "a beat of one that is gone", a.Beat(t.Context()), wal.ErrRetired)
	wantClaim(t, a, 2, wal.ErrRetired)
	wantClaim(t, other, 1, nil)
	wantErr(t, "a leave of one that has not joined", b.Node(t).Leave(t.Context()), wal.ErrNotJoined)
	wantErr(t, "a beat of one that has not joined", b.Node(t).Beat(t.Context()), wal.ErrNotJoined)
}

// waitsAfterARestart: while the log is not sure of beats it retires no node.
func waitsAfterARestart(t *testing.T, b SharedBench) {
	a, other := mustJoin(t, b, "a"), mustJoin(t, b, "b")
	mustClaim(t, a, 1)
	mustClaim(t, other, 2)
	wantErr(t, "release", other.Release(t.Context()), nil)
	b.Pass(t, 2*ttl)
	b.Restart(t)
	third := mustJoin(t, b, "c")
	wantClaim(t, third, 1, wal.ErrOwned)
	wantClaim(t, third, 2, nil)
	b.Pass(t, ttl-time.Minute)
	wantErr(t, "a beat of the claimer", third.Beat(t.Context()), nil)
	wantClaim(t, third, 1, wal.ErrOwned)
	b.Pass(t, time.Minute)
	wantClaim(t, third, 1, nil)
	wantErr(t, "a beat of the owner", a.Beat(t.Context()), wal.ErrRetired)
}

// joinsAnew: a node that joins again is another incarnation, which owns nothing.
func joinsAnew(t *testing.T, b SharedBench) {
	a, other := mustJoin(t, b, "a"), mustJoin(t, b, "b")
	c, before := mustClaim(t, a, 1), node(t, other, "a")
	mustClaim(t, a, 2)
	wantErr(t, "join", a.Join(t.Context(), wal.Node{Name: "a", TTL: ttl}), nil)
	after := node(t, other, "a")
	if before.Incarnation == after.Incarnation || after.Retired {
		t.Errorf("%+v, then %+v", before, after)
	}
	wants(t, a.Append(record(c, c.Last+1, "late")), wal.ErrFenced)
	wantClaim(t, other, 1, nil)
	wantShard(t, other, 1, "b", "expired")
	wantClaim(t, a, 2, nil)
	wantErr(t, "beat", a.Beat(t.Context()), nil)
	// A start of its own, of the same name, waits as any other.
	restarted := mustJoin(t, b, "a")
	wantClaim(t, restarted, 2, wal.ErrOwned)
	wantErr(t, "beat", a.Beat(t.Context()), nil)
}

// oneWins: of several that claim a shard of a dead node at once, one has it.
func oneWins(t *testing.T, b SharedBench) {
	a := mustJoin(t, b, "a")
	c := mustClaim(t, a, 1)
	b.Pass(t, ttl)
	var all sync.WaitGroup
	var won atomic.Int64
	for i := range 4 {
		log := mustJoin(t, b, fmt.Sprintf("b%d", i))
		all.Go(func() {
			switch c, err := log.Claim(t.Context(), 1); {
			case err == nil:
				won.Add(1)
				if err := log.Append(record(c, c.Last+1, "mine"))[0]; err != nil {
					t.Errorf("the winner appends: %v", err)
				}
			case !errors.Is(err, wal.ErrOwned):
				t.Errorf("a claim: %v", err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d have won", won.Load())
	}
	wants(t, a.Append(record(c, c.Last+1, "late")), wal.ErrFenced)
}

// claimsUnjoined: what has not joined claims whatever there is, and owns nothing. The owner
// learns it by its append, or by its next beat, and has lost all then.
func claimsUnjoined(t *testing.T, b SharedBench) {
	a, tool := mustJoin(t, b, "a"), b.Node(t)
	c := mustClaim(t, a, 1)
	is := mustClaim(t, tool, 1)
	wants(t, a.Append(record(c, c.Last+1, "late")), wal.ErrFenced)
	wants(t, tool.Append(record(is, is.Last+1, "mine")), nil)
	wantShard(t, tool, 1, "", "again")
	wantErr(t, "a beat of one that knows", a.Beat(t.Context()), nil)
	wantClaim(t, a, 1, nil)
	wantShard(t, tool, 1, "a", "released")
	kept := mustClaim(t, a, 2)
	mustClaim(t, tool, 1)
	wantErr(t, "a beat of one that does not know", a.Beat(t.Context()), wal.ErrRetired)
	wants(t, a.Append(record(kept, kept.Last+1, "late")), wal.ErrFenced)
	wantErr(t, "another beat", a.Beat(t.Context()), wal.ErrRetired)
	wantClaim(t, mustJoin(t, b, "b"), 2, nil)
}

// beatFindsATailLost: an owner that appends nothing learns by its beat that the log has lost what was acknowledged to
// it, and not where that was trimmed.
func beatFindsATailLost(t *testing.T, b SharedBench) {
	a := mustJoin(t, b, "a")
	c, kept := mustClaim(t, a, 1), mustClaim(t, a, 2)
	for n := range uint64(3) {
		wants(t, a.Append(record(c, c.Last+1+n, "x")), nil)
	}
	wants(t, a.Append(record(kept, kept.Last+1, "x")), nil)
	for _, c := range []wal.Claim{{Volume: 1, Epoch: c.Epoch, Last: c.Last + 3}, {Volume: 2, Epoch: kept.Epoch, Last: kept.Last + 1}} {
		wantErr(t, "fold", a.Fold(c, c.Last, func(func(wal.Row, error) bool) {}), nil)
		wantErr(t, "trim", a.Trim(c, c.Last), nil)
	}
	wantErr(t, "a beat behind a trim", a.Beat(t.Context()), nil)
	wants(t, a.Append(record(c, c.Last+4, "lost")), nil)
	wantErr(t, "beat", a.Beat(t.Context()), nil)
	b.Lose(t, 1)
	err := a.Beat(t.Context())
	wantErr(t, "a beat of one that has lost its tail", err, wal.ErrRetired)
	wantErr(t, "a beat of one that has lost its tail", err, wal.ErrTailLost)
	wants(t, a.Append(record(kept, kept.Last+2, "late")), wal.ErrFenced)
	wantClaim(t, mustJoin(t, b, "b"), 2, nil)
}

// tellsItsLag: a beat says how long ago the copies of its node had all of the log, from when they first had on.
func tellsItsLag(t *testing.T, b SharedBench) {
	log := mustJoin(t, b, "a")
	lag := func() time.Duration {
		wantErr(t, "beat", log.Beat(t.Context()), nil)
		return node(t, log, "a").Lag
	}
	if got := lag(); got != wal.Unsaid {
		t.Errorf("before it has followed: %v", got)
	}
	log.Follows(time.Now().Add(-time.Minute))
	if got := node(t, log, "a").Lag; got != wal.Unsaid {
		t.Errorf("before it has beaten: %v", got)
	}
	if got := lag(); got < time.Minute || got > 2*time.Minute {
		t.Errorf("a minute behind: %v", got)
	}
	log.Follows(time.Now())
	if got := lag(); got < 0 || got > time.Minute {
		t.Errorf("behind nothing: %v", got)
	}
}

// checksNodes: what a node says of itself is bounded.
func checksNodes(t *testing.T, b SharedBench) {
	log := b.Node(t)
	for _, tt := range []struct {
		node wal.Node
		want error
	}{
		{wal.Node{Name: strings.Repeat("n", 64), Address: strings.Repeat("a", 256), Release: strings.Repeat("r", 128), TTL: time.Hour}, nil},
		{wal.Node{Name: "a.b-c_D9", TTL: 100 * time.Millisecond}, nil},
		{wal.Node{Name: "", TTL: ttl}, wal.ErrRefused},
		{wal.Node{Name: strings.Repeat("n", 65), TTL: ttl}, wal.ErrRefused},
		{wal.Node{Name: "a/b", TTL: ttl}, wal.ErrRefused},
		{wal.Node{Name: "ä", TTL: ttl}, wal.ErrRefused},
		{wal.Node{Name: "a", Address: strings.Repeat("a", 257), TTL: ttl}, wal.ErrRefused},
		{wal.Node{Name: "a", Release: strings.Repeat("r", 129), TTL: ttl}, wal.ErrRefused},
		{wal.Node{Name: "a", TTL: 100*time.Millisecond - 1}, wal.ErrRefused},
		{wal.Node{Name: "a", TTL: time.Hour + 1}, wal.ErrRefused},
	} {
		wantErr(t, fmt.Sprintf("a join of %.20q, %v", tt.node.Name, tt.node.TTL), log.Join(t.Context(), tt.node), tt.want)
	}
}

// forgets: a join, and Forget, forget nodes that were silent for long and own nothing.
func forgets(t *testing.T, b SharedBench) {
	mustJoin(t, b, "idle")
	owner := mustJoin(t, b, "owner")
	mustClaim(t, owner, 1)
	b.Pass(t, wal.KeptFor-time.Minute)
	names := func() (all []string) {
		for _, n := range standing(t, mustJoin(t, b, "new")).Nodes {
			if !slices.Contains(all, n.Name) {
				all = append(all, n.Name)
			}
		}
		return all
	}
	if got := names(); !slices.Equal(got, []string{"idle", "new", "owner"}) {
		t.Errorf("before the time has passed: %q", got)
	}
	b.Pass(t, time.Minute)
	if got := names(); !slices.Equal(got, []string{"new", "owner"}) {
		t.Errorf("after it has passed: %q", got)
	}
	b.Pass(t, wal.KeptFor)
	for range 2 {
		if err := owner.Forget(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if all := standing(t, owner).Nodes; len(all) != 1 || all[0].Name != "owner" {
		t.Errorf("after an owner has forgotten: %v", all)
	}
}

func rowsOf(list ...wal.Row) iter.Seq2[wal.Row, error] {
	return func(yield func(wal.Row, error) bool) {
		for _, row := range list {
			if !yield(row, nil) {
				return
			}
		}
	}
}

func put(key, value string) wal.Row { return wal.Row{Key: []byte(key), Value: []byte(value)} }

// load is what Load returns of a shard.
func load(t *testing.T, log wal.Shared, v wal.Volume) (point map[string]string, recs []wal.Record, last uint64) {
	t.Helper()
	key := ""
	last, err := log.Load(t.Context(), v,
		func() error { point, recs, key = map[string]string{}, nil, ""; return nil },
		func(k, value []byte) error {
			if string(k) <= key {
				t.Errorf("key %q comes behind %q", k, key)
			}
			key = string(k)
			point[key] = string(value)
			return nil
		},
		func(rec wal.Record) error { recs = append(recs, rec); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return point, recs, last
}

// foldsAndLoads: a checkpoint has what was folded, and the records behind it follow.
func foldsAndLoads(t *testing.T, b SharedBench) {
	log := mustJoin(t, b, "a")
	if point, recs, last := load(t, log, 1); len(point) > 0 || len(recs) > 0 || last != 0 {
		t.Errorf("a shard that never was has %v, %v, %d", point, recs, last)
	}
	c := mustClaim(t, log, 1)
	for seq := uint64(2); seq <= 6; seq++ {
		wants(t, log.Append(record(c, seq, fmt.Sprint(seq))), nil)
	}
	wantErr(t, "a trim before any fold", log.Trim(c, 1), wal.ErrNotFolded)
	wantErr(t, "a fold beyond the log", log.Fold(c, 7, rowsOf()), wal.ErrOrder)
	wantErr(t, "a fold", log.Fold(c, 3, rowsOf(put("a", "1"), put("b", ""), put("c", "3"))), nil)
	wantErr(t, "the next one", log.Fold(c, 4, rowsOf(put("a", "4"), wal.Row{Key: []byte("c"), Deleted: true}, wal.Row{Key: []byte("d"), Deleted: true}, put("e", "5"))), nil)
	point, recs, last := load(t, log, 1)
	if want := map[string]string{"a": "4", "b": "", "e": "5"}; !maps.Equal(point, want) {
		t.Errorf("the checkpoint has %v, want %v", point, want)
	}
	if len(recs) != 2 || recs[0].Seq != 5 || string(recs[1].Data) != "6" || last != 6 {
		t.Errorf("behind it: %v, %d", recs, last)
	}
	for _, bad := range [][]wal.Row{{put("", "x")}, {put(strings.Repeat("k", wal.MaxKey+1), "")}, {put("b", "1"), put("a", "2")}, {put("a", "1"), put("a", "2")}} {
		wantErr(t, "a fold of bad keys", log.Fold(c, 5, rowsOf(bad...)), wal.ErrKeys)
	}
	broken := errors.New("broken")
	wantErr(t, "a fold that breaks off", log.Fold(c, 5, func(yield func(wal.Row, error) bool) { yield(wal.Row{}, broken) }), broken)
	wantErr(t, "a trim beyond the fold", log.Trim(c, 5), wal.ErrNotFolded)
	wantErr(t, "a trim", log.Trim(c, 4), nil)
	wantErr(t, "a fold of before", log.Fold(c, 2, rowsOf()), nil)
	if s := standing(t, log).Shards[0]; s.Folded != 4 || s.Last != 6 {
		t.Errorf("%+v", s)
	}
	again := mustClaim(t, log, 1)
	_, recs, last = load(t, log, 1)
	if len(recs) != 3 || last != again.Last || recs[0].Fence != recs[1].Fence || recs[2].Fence == recs[1].Fence || recs[2].Fence == [16]byte{} {
		t.Errorf("behind it: %v, %d", recs, last)
	}
	stop := errors.New("stop")
	for i := range 3 {
		at := func(n int) error {
			if n == i {
				return stop
			}
			return nil
		}
		_, err := log.Load(t.Context(), 1, func() error { return at(0) }, func(_, _ []byte) error { return at(1) }, func(wal.Record) error { return at(2) })
		wantErr(t, "a load that is ended", err, stop)
	}
}

// foldIsFenced: an owner of before changes no checkpoint, and trims nothing.
func foldIsFenced(t *testing.T, b SharedBench) {
	a, other := mustJoin(t, b, "a"), mustJoin(t, b, "b")
	old := mustClaim(t, a, 1)
	wantErr(t, "a fold", a.Fold(old, 1, rowsOf(put("k", "v"))), nil)
	b.Pass(t, ttl)
	mustClaim(t, other, 1)
	for _, row := range []wal.Row{put("k", "stale"), {Key: []byte("k"), Deleted: true}} {
		wantErr(t, "a late fold", a.Fold(old, 1, rowsOf(row)), wal.ErrFenced)
	}
	wantErr(t, "a late trim", a.Trim(old, 1), wal.ErrFenced)
	if point, _, _ := load(t, other, 1); !maps.Equal(point, map[string]string{"k": "v"}) {
		t.Errorf("the checkpoint has %v", point)
	}
}
