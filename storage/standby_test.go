package storage_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage"
	"carillon/storage/internal/wal"
	"carillon/storage/memlog"
)

// nodeShards is how many shards the logs of these tests have.
const nodeShards = 3

// node is a node of a log in memory, and the store while it owns it.
type node struct {
	*storage.Standby
	store *storage.Store
	name  string
	dir   string
	log   *logs
}

func nodeOptions(log storage.SharedLog, name string) storage.Options {
	return storage.Options{Log: log, Node: storage.Node{Name: name}, NoSync: true, Program: "notes", Tables: []storage.Schema{dingbats}}
}

// mustJoin joins a node, which leaves when the test ends.
func mustJoin(t *testing.T, log storage.SharedLog, name, dir string) *node {
	t.Helper()
	return mustJoinWith(t, nodeOptions(log, name), dir)
}

// mustJoinWith is mustJoin with these options.
func mustJoinWith(t *testing.T, opts storage.Options, dir string) *node {
	t.Helper()
	lines := new(logs)
	opts.Logger = lines.logger()
	st, err := storage.Join(t.Context(), dir, opts)
	if err != nil {
		t.Fatalf("%s joins: %v", opts.Node.Name, err)
	}
	n := &node{Standby: st, name: opts.Node.Name, dir: dir, log: lines}
	t.Cleanup(func() { n.mustLeave(t) })
	return n
}

// mustOwn waits until the node owns the store.
func (n *node) mustOwn(t *testing.T) *storage.Store {
	t.Helper()
	s, err := n.Own(t.Context())
	if err != nil {
		t.Fatalf("own: %v", err)
	}
	n.store = s
	return s
}

// mustGiveUp closes the node's store after a check.
func (n *node) mustGiveUp(t *testing.T) {
	t.Helper()
	if n.store == nil {
		return
	}
	select {
	case <-n.store.Lost():
	default:
		if err := n.store.Check(); err != nil {
			t.Errorf("check: %v", err)
		}
	}
	if err := n.store.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	n.store = nil
}

// mustLeave ends the node. A second call does nothing.
func (n *node) mustLeave(t *testing.T) {
	t.Helper()
	n.mustGiveUp(t)
	if err := n.Standby.Close(); err != nil {
		t.Errorf("leave: %v", err)
	}
}

// inAll are apps of which each shard has one at least.
var inAll = []storage.AppID{"a", "b", "c", "d", "e", "f"}

// TestG43_HandOver: a standby owns the store as soon as the owner has given it up, and not before, and
// waits neither for its own next round nor for the copies of the owner; it shows all that the owner has written, which is in the
// log's checkpoint but for the latest, what it has said of the store too, and so back again. No copy is made twice.
func TestG43_HandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(nodeShards)
		var copies atomic.Bool // take their time
		opts := nodeOptions(log, "a")
		opts.Fault = func(at string) error {
			if at == "checkpoint" && copies.Load() {
				time.Sleep(time.Second)
			}
			return nil
		}
		a, b := mustJoinWith(t, opts, t.TempDir()), mustJoin(t, log, "b", t.TempDir())
		s := a.mustOwn(t)
		if _, err := a.Own(t.Context()); !errors.Is(err, storage.ErrLocked) {
			t.Errorf("own what is owned: %v", err)
		}
		for _, id := range inAll {
			mustAdd(t, s, id, "of a")
		}
		if err := s.SetDeclared("v1"); err != nil {
			t.Fatal(err)
		}
		owns := b.owning(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case <-owns:
			t.Fatal("b owns what a does")
		default:
		}
		for _, id := range inAll {
			mustAdd(t, s, id, "a moment ago")
		}
		s.Leave(t.Context())
		before, err := a.Standing(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, shard := range before.Shards {
			if shard.Folded != shard.Last {
				t.Errorf("shard %d has %d records, and the checkpoint %d of them when it is given up", shard.Shard, shard.Last, shard.Folded)
			}
		}
		if mustAdd(t, s, "a", "while a leaves"); !before.Nodes[0].Leaving {
			t.Error("a does not say that it leaves")
		}
		began, slow := time.Now(), make(chan struct{})
		copies.Store(true)
		go func() {
			defer close(slow)
			a.mustGiveUp(t)
		}()
		b.store = <-owns
		if took := time.Since(began); took > 50*time.Millisecond {
			t.Errorf("b owned it %v after a began to give it up", took)
		}
		if err := s.Lease().Held(); err == nil {
			t.Error("a holds its lease")
		}
		if <-slow; time.Since(began) < time.Second {
			t.Error("a has not closed its copies after that")
		}
		copies.Store(false)
		standing, err := b.Standing(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, shard := range standing.Shards {
			if shard.Why != "released" {
				t.Errorf("shard %d was taken over since it was %s", shard.Shard, shard.Why)
			}
		}
		for _, id := range inAll {
			mustAdd(t, b.store, id, "of b")
		}
		if name, err := b.store.Program(); name != "notes" || err != nil {
			t.Errorf("program %q, %v", name, err)
		}
		if d, err := b.store.Declared(); d != "v1" || err != nil {
			t.Errorf("declared %q, %v", d, err)
		}
		want := mustDumpAll(t, b.store)
		b.mustGiveUp(t)
		if got := mustDumpAll(t, a.mustOwn(t)); !slices.Equal(got, want) {
			t.Errorf("a shows %q, want %q", got, want)
		}
		for _, n := range []*node{a, b} {
			if made := n.copiesMade(); made != nodeShards {
				t.Errorf("%d copies were made, want %d", made, nodeShards)
			}
		}
	})
}

// TestG43_ALongHandOverIsAskedForLessOften: a standby looks a hundred times in the first second in which an owner leaves, and
// later less often, so that it is late by a hundredth of the time that the owner took.
func TestG43_ALongHandOverIsAskedForLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(nodeShards)
		counts := &counted{SharedLog: log}
		a, b := mustJoin(t, log, "a", t.TempDir()), mustJoinWith(t, nodeOptions(counts, "b"), t.TempDir())
		s := a.mustOwn(t)
		owns := b.owning(t)
		time.Sleep(time.Second)
		s.Leave(t.Context())
		counts.standings.Store(0)
		if time.Sleep(700 * time.Millisecond); counts.standings.Load() < 65 {
			t.Errorf("b has looked %d times in 0.7 s in which a leaves, want 70", counts.standings.Load())
		}
		counts.standings.Store(0)
		if time.Sleep(9 * time.Second); counts.standings.Load() > 300 {
			t.Errorf("b has looked %d times in 9 s more, want 240", counts.standings.Load())
		}
		began := time.Now()
		a.mustGiveUp(t)
		b.store = <-owns
		if took := time.Since(began); took > 150*time.Millisecond {
			t.Errorf("b owned it %v after a began to give it up, of which it has waited 100 ms at most", took)
		}
	})
}

// TestStandingTellsLags: of each node, the owner and one that follows, the log knows how far behind it its copies are.
func TestStandingTellsLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(nodeShards)
		a := mustJoin(t, log, "a", t.TempDir())
		mustJoin(t, log, "b", t.TempDir())
		mustAdd(t, a.mustOwn(t), "a", "of a")
		time.Sleep(3 * time.Second)
		is, err := storage.StandingOf(t.Context(), log)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range is.Nodes {
			if n.Lag < 0 || n.Lag > 250*time.Millisecond {
				t.Errorf("%s lags by %v, want 250 ms at most", n.Name, n.Lag)
			}
		}
		if len(is.Nodes) != 2 {
			t.Errorf("there are %+v", is.Nodes)
		}
	})
}

// TestNodesThatEndedAreForgotten: a day and an hour later at most, though no other node joins.
func TestNodesThatEndedAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(nodeShards)
		a, b := mustJoin(t, log, "a", t.TempDir()), mustJoin(t, log, "b", t.TempDir())
		a.mustOwn(t)
		b.mustLeave(t)
		names := func() (all []string) {
			is, err := a.Standing(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for i := range is.Nodes {
				all = append(all, is.Nodes[i].Name)
			}
			return all
		}
		log.Pass(wal.KeptFor - time.Hour)
		time.Sleep(time.Minute)
		if got := names(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("after 23 hours: %q", got)
		}
		log.Pass(time.Hour)
		time.Sleep(time.Hour)
		if got := names(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("after a day and an hour: %q", got)
		}
	})
}

// TestG43_TakesOverWhenTheTTLIsOver: a standby takes a store over at the moment at which it may, whenever its rounds are. Until
// then it asks how the log stands once in each, and claims nothing. When it owns the store it asks once for all shards where
// they are folded.
func TestG43_TakesOverWhenTheTTLIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(nodeShards)
		counts := &counted{SharedLog: log}
		a := mustJoin(t, log, "a", t.TempDir())
		a.mustOwn(t)
		time.Sleep(70 * time.Millisecond)
		b := mustJoinWith(t, nodeOptions(counts, "b"), t.TempDir())
		owns := b.owning(t)
		time.Sleep(time.Minute)
		if counts.claims.Load() > 0 || counts.standings.Load() > 250 {
			t.Errorf("in a minute in which a owned the store b has asked for it %d times, and how it stands %d times; want 0, and each 250 ms", counts.claims.Load(), counts.standings.Load())
		}
		is, err := a.Standing(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		log.Cut("a")
		began := time.Now()
		b.store = <-owns
		if late := time.Since(began) - (is.Nodes[0].TTL - is.Nodes[0].Silent); late < 0 || late > 10*time.Millisecond {
			t.Errorf("b owned it %v after the TTL of a", late)
		}
		counts.standings.Store(0)
		for _, id := range inAll {
			mustAdd(t, b.store, id, "of b")
		}
		if time.Sleep(time.Minute); counts.standings.Load() != 1 {
			t.Errorf("%d questions were asked for %d shards, want 1", counts.standings.Load(), nodeShards)
		}
		log.Heal()
		time.Sleep(10 * time.Second) // a has joined anew
	})
}

// TestAStandbyTellsOfTroubleOnce: an outage of the log is told when it is met, and each minute, whether the node waits for the
// store or only follows; the next one is told anew.
func TestAStandbyTellsOfTroubleOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(nodeShards)
		a, b, c := mustJoin(t, log, "a", t.TempDir()), mustJoin(t, log, "b", t.TempDir()), mustJoin(t, log, "c", t.TempDir())
		a.mustOwn(t)
		owns := b.owning(t)
		for i := range 2 {
			log.Cut("b")
			log.Cut("c")
			time.Sleep(90 * time.Second)
			log.Heal()
			time.Sleep(10 * time.Second)
			for _, n := range []*node{b, c} {
				if lines := n.log.lines(); len(slices.DeleteFunc(lines, func(line string) bool { return !strings.Contains(line, "level=WARN") })) != 2*(i+1) {
					t.Errorf("after outage %d of 90 s: %q", i+1, lines)
				}
			}
		}
		a.mustGiveUp(t)
		b.store = <-owns
	})
}

// counted is a log that counts what one node asks.
type counted struct {
	storage.SharedLog
	claims, standings atomic.Int64
}

type countedNode struct {
	wal.Shared
	of *counted
}

// OpenShared implements storage.SharedLog.
func (c *counted) OpenShared(ctx context.Context) (wal.Shared, error) {
	shared, err := c.SharedLog.OpenShared(ctx)
	return &countedNode{shared, c}, err
}

// Claim implements wal.Log.
func (n *countedNode) Claim(ctx context.Context, v wal.Volume) (wal.Claim, error) {
	n.of.claims.Add(1)
	return n.Shared.Claim(ctx, v)
}

// Standing implements wal.Shared.
func (n *countedNode) Standing(ctx context.Context) (wal.Standing, error) {
	n.of.standings.Add(1)
	return n.Shared.Standing(ctx)
}

// TestG43_TakeOver: a node that does not reach the log any more is overtaken after its TTL, and not
// before its own lease has ended; nothing that it writes later is taken, and it says so.
func TestG43_TakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(nodeShards)
		a, b := mustJoin(t, log, "a", t.TempDir()), mustJoin(t, log, "b", t.TempDir())
		s := a.mustOwn(t)
		apps := map[storage.AppID]*storage.App{}
		for _, id := range inAll {
			mustAdd(t, s, id, "of a")
			apps[id] = mustApp(t, s, id)
		}
		want := mustDumpAll(t, s)
		owns := b.owning(t)
		time.Sleep(10 * time.Second)
		log.Cut("a")
		began := time.Now()
		b.store = <-owns
		if took := time.Since(began); took < 4*time.Second || took > 5500*time.Millisecond {
			t.Errorf("b owned it after %v, want the TTL, 5 s, and a little", took)
		}
		if err := s.Lease().Held(); err == nil {
			t.Error("a holds its lease when b owns the store")
		}
		if got := mustDumpAll(t, b.store); !slices.Equal(got, want) {
			t.Errorf("b shows %q, want %q", got, want)
		}
		// Away, and then back: refused either way.
		err := tryAdd(t, apps["a"])
		if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrUnknownOutcome) {
			t.Errorf("a change while a is cut off: %v", err)
		}
		log.Heal()
		time.Sleep(time.Second)
		select {
		case <-s.Lost():
		default:
			t.Error("the former owner is not told")
		}
		if err := tryAdd(t, apps["b"]); !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, storage.ErrFenced) {
			t.Errorf("a change of the former owner: %v", err)
		}
		if got := mustDumpAll(t, b.store); !slices.Equal(got, want) {
			t.Errorf("b shows %q, want %q", got, want)
		}
		for _, id := range inAll {
			mustAdd(t, b.store, id, "of b")
		}
		want = mustDumpAll(t, b.store)
		a.mustGiveUp(t)
		b.mustGiveUp(t)
		if got := mustDumpAll(t, a.mustOwn(t)); !slices.Equal(got, want) {
			t.Errorf("a shows %q, want %q", got, want)
		}
	})
}

// TestG43_FencedBeforeItKnows: a commit of an owner that was overtaken while it took itself for the
// owner is refused, certainly not applied, and loses the store; so are those behind it, in other
// shards, too.
func TestG43_FencedBeforeItKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(nodeShards)
		a, b := mustJoin(t, log, "a", t.TempDir()), mustJoin(t, log, "b", t.TempDir())
		s := a.mustOwn(t)
		mustAdd(t, s, "a", "of a")
		mustAdd(t, s, "b", "of a")
		first, second := mustApp(t, s, "a"), mustApp(t, s, "b")
		log.Pass(time.Minute) // the log's clock is ahead
		b.mustOwn(t)
		if err := tryAdd(t, first); !errors.Is(err, storage.ErrFenced) || !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("the first change: %v", err)
		}
		select {
		case <-s.Lost():
		default:
			t.Fatal("the store is not lost")
		}
		if err := s.Lease().Held(); !errors.Is(err, storage.ErrFenced) {
			t.Errorf("the lease: %v", err)
		}
		if err := tryAdd(t, second); !errors.Is(err, storage.ErrFenced) || !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("a change of another shard: %v", err)
		}
		if got := mustDumpAll(t, b.store); len(got) != 4 {
			t.Errorf("b shows %q", got)
		}
	})
}

// TestG2_UnknownIsFoundOut: of a commit whose outcome the log did not tell the caller is told what is
// true, and the store goes on.
func TestG2_UnknownIsFoundOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(nodeShards)
		a := mustJoin(t, log, "a", t.TempDir())
		s := a.mustOwn(t)
		mustAdd(t, s, "a", "before")
		for _, kept := range []bool{true, false} {
			before := len(mustDump(t, s, "a"))
			log.Unknown(kept)
			err := tryAdd(t, mustApp(t, s, "a"))
			if kept && err != nil || !kept && !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("kept %v: %v", kept, err)
			}
			if added := len(mustDump(t, s, "a")) > before; added != kept {
				t.Errorf("kept %v: it is there: %v", kept, added)
			}
			mustAdd(t, s, "a", "after")
		}
		if s.Health() != nil {
			t.Error(s.Health())
		}
	})
}

// TestG1_LogIsAway: while the log is away changes are refused at once, and what is there is read; when
// it is back, before the lease of another could begin, they go on.
func TestG1_LogIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(nodeShards)
		a := mustJoin(t, log, "a", t.TempDir())
		s := a.mustOwn(t)
		mustAdd(t, s, "a", "before")
		want := mustDumpAll(t, s)
		log.Cut("a")
		for range 20 {
			began := time.Now()
			if err := tryAdd(t, mustApp(t, s, "a")); !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrFenced) || time.Since(began) > 0 {
				t.Fatalf("a change while the log is away: %v, after %v", err, time.Since(began))
			}
			time.Sleep(time.Second)
		}
		if got := mustDumpAll(t, s); !slices.Equal(got, want) {
			t.Errorf("it shows %q, want %q", got, want)
		}
		log.Heal()
		time.Sleep(500 * time.Millisecond)
		mustAdd(t, s, "a", "after")
		if err := s.Lease().Held(); err != nil {
			t.Errorf("no other node has come, and the lease is not held: %v", err)
		}
	})
}

// TestG45_AnUnsureCopyIsOpenedAnew: a copy of which a checkpoint was not made durable is opened anew:
// that of an owner goes on to be written, and that of a standby to follow, and is owned.
func TestG45_AnUnsureCopyIsOpenedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(nodeShards)
		var nodes [2]*node
		var faults [2]*faults
		for i, name := range []string{"a", "b"} {
			faults[i] = newFaults()
			opts := nodeOptions(log, name)
			opts.Fault = faults[i].at
			nodes[i] = mustJoinWith(t, opts, t.TempDir())
		}
		a, b := nodes[0], nodes[1]
		s := a.mustOwn(t)
		for _, f := range faults {
			f.fail("checkpointed", errDisk)
		}
		for _, id := range inAll {
			mustAdd(t, s, id, "before")
		}
		time.Sleep(10 * time.Second) // a checkpoint of all is made meanwhile
		for _, f := range faults {
			f.fail("checkpointed", nil)
		}
		for _, id := range inAll {
			_ = tryAdd(t, mustApp(t, s, id)) // it may be refused
		}
		time.Sleep(time.Second)
		for _, id := range inAll {
			mustAdd(t, s, id, "after")
		}
		want := mustDumpAll(t, s)
		a.mustGiveUp(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var err error
		if b.store, err = b.Own(ctx); err != nil {
			t.Fatalf("own: %v", err)
		}
		if got := mustDumpAll(t, b.store); !slices.Equal(got, want) {
			t.Errorf("b shows %q, want %q", got, want)
		}
	})
}

// TestG45_LostTail: an owner that finds records of its own gone from the log is lost, with all that is
// open of it, and shows afterwards what the log has; so does a standby which had them, that says so.
func TestG45_LostTail(t *testing.T) {
	for name, unknown := range map[string]bool{"an append of unknown outcome": true, "an append that is fenced": false} {
		t.Run(name, func(t *testing.T) { lostTail(t, unknown) })
	}
}

func lostTail(t *testing.T, unknown bool) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(1)
		a, b := mustJoin(t, log, "a", t.TempDir()), mustJoin(t, log, "b", t.TempDir())
		s := a.mustOwn(t)
		mustAdd(t, s, "a", "kept")
		want := mustDumpAll(t, s)
		app := mustApp(t, s, "a")
		if err := tryAdd(t, app); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // b has it, too
		log.Lose(0, 1)
		if unknown {
			log.Unknown(false)
		}
		if err := tryAdd(t, app); !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrUnknownOutcome) {
			t.Errorf("a change behind the lost one: %v", err)
		}
		select {
		case <-s.Lost():
		default:
			t.Error("the store is not lost")
		}
		if err := tryAdd(t, app); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("the next: %v", err)
		}
		a.mustGiveUp(t)
		for _, n := range []*node{b, a} {
			if got := mustDumpAll(t, n.mustOwn(t)); !slices.Equal(got, want) {
				t.Errorf("it shows %q, want %q", got, want)
			}
			mustAdd(t, n.store, "a", "more")
			want = mustDumpAll(t, n.store)
			mustTellOfLostTails(t, n, 1)
			n.mustGiveUp(t)
		}
	})
}

// TestG45_QuietOwnerFindsItsTailLost: an owner that changes nothing learns by a beat that the log has lost records, is
// lost, and says so, once.
func TestG45_QuietOwnerFindsItsTailLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(1)
		a := mustJoin(t, log, "a", t.TempDir())
		s := a.mustOwn(t)
		mustAdd(t, s, "a", "kept")
		want := mustDumpAll(t, s)
		if err := tryAdd(t, mustApp(t, s, "a")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		select {
		case <-s.Lost():
			t.Fatal("the store is lost before")
		default:
		}
		log.Lose(0, 1)
		time.Sleep(2 * time.Second)
		select {
		case <-s.Lost():
		default:
			t.Fatal("the owner has not learned it")
		}
		a.mustGiveUp(t)
		for range 2 { // the audit log is told once
			if got := mustDumpAll(t, a.mustOwn(t)); !slices.Equal(got, want) {
				t.Errorf("it shows %q, want %q", got, want)
			}
			mustTellOfLostTails(t, a, 1)
			a.mustGiveUp(t)
		}
	})
}

// TestG45_OneLineTellsOfAllShards: what a failover has taken from all shards is one line in the log of a node, and one entry of the
// audit log, and each shard is counted.
func TestG45_OneLineTellsOfAllShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(nodeShards)
		a := mustJoin(t, log, "a", t.TempDir())
		s := a.mustOwn(t)
		for _, id := range inAll {
			mustAdd(t, s, id, "of a")
		}
		time.Sleep(time.Second)
		for shard := range nodeShards {
			log.Lose(shard, 1)
		}
		time.Sleep(3 * time.Second)
		a.mustGiveUp(t)
		a.mustOwn(t)
		var said []string
		for _, line := range a.log.lines() {
			if strings.Contains(line, "the log has lost records") {
				said = append(said, line)
			}
		}
		if len(said) != 1 || !strings.Contains(said[0], "shards=3 which=0-2") {
			t.Errorf("its log says %q", said)
		}
		if got := a.LostTails(); got != nodeShards {
			t.Errorf("%d are counted, want %d", got, nodeShards)
		}
		page, err := a.store.AuditLog(storage.AuditFilter{Operator: "node a"})
		if err != nil || len(page.Entries) != 1 || page.Entries[0].Count != nodeShards {
			t.Errorf("the audit log has %+v, %v", page.Entries, err)
		}
	})
}

// mustTellOfLostTails checks that the node, which owns the store, has said as often in its log, its metric and the audit log that
// records are lost.
func mustTellOfLostTails(t *testing.T, n *node, want int) {
	t.Helper()
	page, err := n.store.AuditLog(storage.AuditFilter{Operator: "node " + n.name})
	if err != nil {
		t.Fatal(err)
	}
	audited := len(page.Entries)
	logged := 0
	for _, line := range n.log.lines() {
		if strings.Contains(line, "level=ERROR") && strings.Contains(line, "the log has lost records") {
			logged++
		}
	}
	if told := int(n.LostTails()); told != want || audited != want || logged != want {
		t.Errorf("%d are counted, %d in the audit log (%+v), %d in the log, want %d", told, audited, page.Entries, logged, want)
	}
}

// TestG45_CopyOfAnotherNode: a cache that is another node's, or partly that of an earlier moment, is
// made anew where it is not what the log says.
func TestG45_CopyOfAnotherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, dir, old := memlog.New(nodeShards), t.TempDir(), t.TempDir()
		a := mustJoin(t, log, "a", dir)
		s := a.mustOwn(t)
		for _, id := range inAll {
			mustAdd(t, s, id, "first")
		}
		a.mustLeave(t)
		shard := func(in string, i int) string { return filepath.Join(in, fmt.Sprintf("shard-%03d.db", i)) }
		mustCopy(t, shard(dir, 1), shard(old, 1))
		a = mustJoin(t, log, "a", dir)
		s = a.mustOwn(t)
		for _, id := range inAll {
			mustAdd(t, s, id, "second")
		}
		want := mustDumpAll(t, s)
		a.mustLeave(t)
		mustCopy(t, shard(old, 1), shard(dir, 1))
		if err := os.Rename(shard(dir, 2), shard(dir, 0)); err != nil {
			t.Fatal(err)
		}
		a = mustJoin(t, log, "a", dir)
		if got := mustDumpAll(t, a.mustOwn(t)); !slices.Equal(got, want) {
			t.Errorf("it shows %q, want %q", got, want)
		}
		if made := a.copiesMade(); made < 2 {
			t.Errorf("%d copies were made, want 2 or more", made)
		}
	})
}

// TestNodesAreRefused: what is no node of the log, or no directory of a node's.
func TestNodesAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, dir := memlog.New(nodeShards), t.TempDir()
		for name, n := range map[string]storage.Node{
			"no name":        {},
			"a long name":    {Name: strings.Repeat("n", 65)},
			"a name":         {Name: "a b"},
			"a long address": {Name: "a", Address: strings.Repeat("n", 257)},
			"a long release": {Name: "a", Release: strings.Repeat("n", 65)},
			"a short TTL":    {Name: "a", TTL: time.Second - 1},
			"a long TTL":     {Name: "a", TTL: time.Minute + 1},
		} {
			if _, err := storage.Join(t.Context(), dir, storage.Options{Log: log, Node: n}); !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := storage.Join(t.Context(), dir, storage.Options{}); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("no log: %v", err)
		}
		if _, err := storage.Open(dir, storage.Options{Log: log}); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("opened without a name: %v", err)
		}
		a := mustJoin(t, log, strings.Repeat("n", 64), dir)
		if _, err := storage.Join(t.Context(), dir, nodeOptions(log, "b")); !errors.Is(err, storage.ErrLocked) {
			t.Errorf("joined twice in a directory: %v", err)
		}
		a.mustLeave(t)
		if _, err := storage.Open(dir, storage.Options{}); !errors.Is(err, storage.ErrFormat) {
			t.Errorf("a node's directory, opened: %v", err)
		}
		own := t.TempDir()
		s, err := storage.Open(own, storage.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		mustClose(t, s)
		if _, err := storage.Join(t.Context(), own, nodeOptions(log, "a")); !errors.Is(err, storage.ErrFormat) {
			t.Errorf("the directory of a store, joined: %v", err)
		}
		a = mustJoin(t, log, "a", t.TempDir())
		a.mustOwn(t)
		a.mustGiveUp(t)
		opts := nodeOptions(log, "b")
		opts.Program = "another"
		b, err := storage.Join(t.Context(), t.TempDir(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Own(t.Context()); !errors.Is(err, storage.ErrProgram) {
			t.Fatalf("the store of another program: %v", errors.Join(err, b.Close()))
		}
		a.mustOwn(t) // and it was not kept
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if _, err := b.Own(t.Context()); !errors.Is(err, storage.ErrClosed) {
			t.Errorf("own after it has left: %v", err)
		}
	})
}

// TestG15_ClockOfAllShards: an owner's clock is that of all shards, whichever node has moved it.
func TestG15_ClockOfAllShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(nodeShards)
		a, b := mustJoin(t, log, "a", t.TempDir()), mustJoin(t, log, "b", t.TempDir())
		s := a.mustOwn(t)
		s.BeginEra([]storage.Era{{ID: s.NextEra(), Began: testNow}})
		late := testNow.Add(time.Hour)
		for _, id := range inAll {
			mustAdd(t, s, id, "now")
		}
		mustTx(t, mustApp(t, s, "e"), late, func(tx *storage.Tx) { mustInsert(t, tx.JobWriter(), storage.Job{Due: late}) })
		want, eras := s.HighWater(), s.Eras()
		if want.Before(late) {
			t.Fatalf("the clock has come to %v", want)
		}
		a.mustGiveUp(t)
		s = b.mustOwn(t)
		if got := s.HighWater(); !got.Equal(want) || len(s.Eras()) != 1 || s.Eras()[0] != eras[0] {
			t.Errorf("b has %v and %v, want %v and %v", got, s.Eras(), want, eras)
		}
	})
}

// copiesMade is how many copies the node has made since it has joined.
func (n *node) copiesMade() (made int) {
	for _, line := range n.log.lines() {
		if _, rest, ok := strings.Cut(line, "copies were made of the log\" copies="); ok {
			var some int
			_, _ = fmt.Sscan(rest, &some)
			made += some
		}
	}
	return made
}

// owning has the node wait until it owns the store.
func (n *node) owning(t *testing.T) <-chan *storage.Store {
	owns := make(chan *storage.Store, 1)
	go func() {
		s, err := n.Own(t.Context())
		if err != nil {
			t.Errorf("own: %v", err)
		}
		owns <- s
	}()
	return owns
}

// tryAdd adds a dingbat and returns how that has ended.
func tryAdd(t *testing.T, app *storage.App) error {
	t.Helper()
	tx := app.Begin(testNow)
	if _, err := dingbats.Insert(tx.Writer(), Dingbat{Name: "tried"}); err != nil {
		tx.Rollback(nil)
		return err
	}
	done := make(chan error, 1)
	if err := tx.Commit(func(err error) { done <- err }); err != nil {
		return err
	}
	return <-done
}

// mustDumpAll is what the store has of all its apps.
func mustDumpAll(t *testing.T, s *storage.Store) (lines []string) {
	t.Helper()
	for _, id := range mustApps(t, s) {
		lines = append(append(lines, string(id)), mustDump(t, s, id)...)
	}
	return lines
}

// unreleased is a log that does not hear what one node gives up.
type unreleased struct{ *memlog.Log }

type unreleasedNode struct{ wal.Shared }

// OpenShared implements storage.SharedLog.
func (l unreleased) OpenShared(ctx context.Context) (wal.Shared, error) {
	node, err := l.Log.OpenShared(ctx)
	return unreleasedNode{node}, err
}

// Release implements wal.Shared.
func (unreleasedNode) Release(context.Context) error { return errors.New("no answer") }

// TestTakeOverThatFailsBlocksNoOthers: a node that has claimed shards, cannot have the store, and does not reach the log to
// give them up, lets another one take over when its TTL has passed.
func TestTakeOverThatFailsBlocksNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(nodeShards)
		b := mustJoin(t, log, "b", t.TempDir())
		b.mustOwn(t)
		b.mustGiveUp(t)
		opts := nodeOptions(unreleased{log}, "a")
		opts.Program = "another"
		a, err := storage.Join(t.Context(), t.TempDir(), opts)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = a.Close() }()
		if _, err := a.Own(t.Context()); !errors.Is(err, storage.ErrProgram) {
			t.Fatalf("own what another program does: %v", err)
		}
		owns := b.owning(t)
		select {
		case b.store = <-owns:
		case <-time.After(time.Minute):
			t.Error("b does not own what a has no use for")
		}
	})
}

// mute is a log in which the outcome of an append is unknown, and cannot be found out, until it is healed.
type mute struct {
	*memlog.Log
	cut, healed atomic.Bool
	slow        atomic.Bool // a claim takes as long as it may
}

type muteNode struct {
	wal.Shared
	log *mute
}

// OpenShared implements storage.SharedLog.
func (l *mute) OpenShared(ctx context.Context) (wal.Shared, error) {
	node, err := l.Log.OpenShared(ctx)
	return &muteNode{node, l}, err
}

// Append implements wal.Log.
func (n *muteNode) Append(records ...wal.Record) []error {
	if n.log.healed.Load() {
		return n.Shared.Append(records...)
	}
	n.log.cut.Store(true)
	errs := make([]error, len(records))
	for i := range errs {
		errs[i] = wal.ErrUnknown
	}
	return errs
}

// Claim implements wal.Log.
func (n *muteNode) Claim(ctx context.Context, v wal.Volume) (wal.Claim, error) {
	if n.log.slow.Load() {
		<-ctx.Done()
		return wal.Claim{}, ctx.Err()
	}
	if n.log.cut.Load() && !n.log.healed.Load() {
		return wal.Claim{}, errors.New("no answer")
	}
	return n.Shared.Claim(ctx, v)
}

// TestOwnEndsThoughTheLogIsAway: a node that takes the store over, and does not learn whether what it has written is in the
// log, can be told to stop, and closed.
func TestOwnEndsThoughTheLogIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &mute{Log: memlog.New(nodeShards)}
		a, err := storage.Join(t.Context(), t.TempDir(), nodeOptions(log, "a"))
		if err != nil {
			t.Fatal(err)
		}
		ends := func(what string, begun func()) {
			t.Helper()
			ended := make(chan struct{})
			go func() { defer close(ended); begun() }()
			select {
			case <-ended:
			case <-time.After(time.Minute):
				t.Errorf("%s does not end", what)
				log.healed.Store(true)
				<-ended
			}
		}
		own := func(ctx context.Context) {
			if s, err := a.Own(ctx); err == nil {
				t.Error("it owns what it could not write")
				_ = s.Close()
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ends("Own with a context", func() { own(ctx) })
		log.cut.Store(false)
		go own(t.Context())
		time.Sleep(time.Second)
		ends("Close", func() { _ = a.Close() })
	})
}

// TestOwnThatWasEndedCanBeAskedAgain: the store that a later Own returns finds out what has become of its changes.
func TestOwnThatWasEndedCanBeAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &mute{Log: memlog.New(nodeShards)}
		log.healed.Store(true)
		a := mustJoin(t, log, "a", t.TempDir())
		log.slow.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Own(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("own: %v", err)
		}
		synctest.Wait()
		log.slow.Store(false)
		app := mustApp(t, a.mustOwn(t), "a")
		log.Unknown(true)
		if err := tryAdd(t, app); err != nil {
			t.Errorf("a change that is in the log: %v", err)
		}
	})
}
