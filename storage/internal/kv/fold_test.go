package kv_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage/internal/kv"
	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

// brittle is a shared log whose folds fail when a test says so.
type brittle struct {
	wal.Shared
	owner **brittle // who may claim; nil: each may

	mu    sync.Mutex
	folds func() foldFate // nil: they work
	spent uint64          // an epoch of which a fold has ended in ErrUnknown
	keys  []string        // of all rows that were folded
	hold  chan struct{}   // not nil: folds wait until it is closed
}

// foldFate is how a fold ends.
type foldFate struct {
	rows int   // how many of the rows are taken
	err  error // nil: all are
}

func (b *brittle) set(folds func() foldFate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.folds = folds
}

// claimSpent says whether the claim is of no use since a fold was of unknown outcome.
func (b *brittle) claimSpent(epoch uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spent >= epoch
}

func (b *brittle) Fold(c wal.Claim, upTo uint64, rows iter.Seq2[wal.Row, error]) error {
	if b.hold != nil {
		<-b.hold
	}
	b.mu.Lock()
	fate, spent := foldFate{}, b.spent >= c.Epoch
	if b.folds != nil {
		fate = b.folds()
	}
	if fate.err != nil && errors.Is(fate.err, wal.ErrUnknown) {
		b.spent = max(b.spent, c.Epoch)
	}
	b.mu.Unlock()
	if spent {
		return wal.ErrFenced
	}
	err := b.Shared.Fold(c, upTo, func(yield func(wal.Row, error) bool) {
		n := 0
		for row, err := range rows {
			if n++; fate.err != nil && n > fate.rows {
				yield(wal.Row{}, fate.err)
				return
			}
			b.mu.Lock()
			b.keys = append(b.keys, string(row.Key))
			b.mu.Unlock()
			if !yield(row, err) {
				return
			}
		}
	})
	return errors.Join(err, fate.err)
}

func (b *brittle) Claim(ctx context.Context, v wal.Volume) (wal.Claim, error) {
	if b.owner != nil && *b.owner != b {
		return wal.Claim{}, wal.ErrOwned
	}
	return b.Shared.Claim(ctx, v)
}

func (b *brittle) Append(recs ...wal.Record) []error {
	if b.claimSpent(recs[0].Epoch) {
		return []error{wal.ErrFenced}
	}
	return b.Shared.Append(recs...)
}

func (b *brittle) Trim(c wal.Claim, upTo uint64) error {
	if b.claimSpent(c.Epoch) {
		return wal.ErrFenced
	}
	return b.Shared.Trim(c, upTo)
}

// newBrittle makes a node whose log is brittle.
func newBrittle(tb testing.TB, log *waltest.Memory) (*node, *brittle) {
	tb.Helper()
	n := newNode(tb, log)
	b := &brittle{Shared: n.shared}
	n.by(b)
	return n, b
}

func never() foldFate { return foldFate{err: errInjected} }

// wantCold opens a copy that is made anew, and wants it to show that.
func wantCold(tb testing.TB, log *waltest.Memory, want table) {
	tb.Helper()
	n := newNode(tb, log)
	mustOpenNode(tb, n)
	wantShown(tb, &n.volume, want)
	n.end(tb, (*kv.DB).Abandon)
}

// TestG45_AFoldThatFails: one that has taken some of its rows leaves a log from which all can be
// read; it is tried again, with what has come since.
func TestG45_AFoldThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := waltest.NewMemory()
		a, brittle := newBrittle(t, log)
		mustOwn(t, a)
		for i := range 20 {
			mustPut(t, &a.volume, fmt.Sprint(i), "1")
		}
		if err := a.Fold(); err != nil {
			t.Fatal(err)
		}
		want := a.shown(t)
		tries := 0
		brittle.set(func() foldFate { tries++; return foldFate{rows: 5, err: errInjected} })
		for i := range 10 {
			mustPut(t, &a.volume, fmt.Sprint(2*i), "2")
			mustPut(t, &a.volume, fmt.Sprint(2*i+1), "")
			want[fmt.Sprint(2*i)] = "2"
			delete(want, fmt.Sprint(2*i+1))
		}
		if err := a.Fold(); !errors.Is(err, errInjected) {
			t.Fatalf("the fold ends in %v", err)
		}
		wantCold(t, log, want)
		mustPut(t, &a.volume, "more", "3")
		want["more"] = "3"
		time.Sleep(20 * time.Second)
		if stall := a.FoldStalled(); stall == nil || !errors.Is(stall.Err, errInjected) || tries < 3 || tries > 20 {
			t.Errorf("after %d tries the stall is %+v", tries, stall)
		}
		brittle.set(nil)
		time.Sleep(time.Minute)
		if a.FoldStalled() != nil || a.Folded() != a.Last() {
			t.Errorf("it is folded up to %d of %d, stalled %v", a.Folded(), a.Last(), a.FoldStalled())
		}
		wantCold(t, log, want)
		a.end(t, (*kv.DB).Close)
	})
}

// TestG45_AFoldSaysWhatTheCopyHas: what was made durable since the checkpoint is read of the log.
func TestG45_AFoldSaysWhatTheCopyHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := waltest.NewMemory()
		a, brittle := newBrittle(t, log)
		mustOwn(t, a)
		brittle.set(never)
		mustPut(t, &a.volume, "copied", "1")
		if err := a.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		copied := a.Last()
		mustPut(t, &a.volume, "not copied", "1")
		brittle.set(nil)
		if err := a.FoldCopied(); err != nil || a.Folded() != copied {
			t.Errorf("it is folded up to %d, %v; want %d", a.Folded(), err, copied)
		}
		wantCold(t, log, table{"copied": "1", "not copied": "1"})
	})
}

// TestG45_WhatTheOwnerBeforeLeft: records that the owner before has not folded are folded by the
// next one, though its copy has them already; in pieces, if they are many.
func TestG45_WhatTheOwnerBeforeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := waltest.NewMemory()
		a, brittle := newBrittle(t, log)
		b := newNode(t, log)
		mustOpenNode(t, a)
		mustOpenNode(t, b)
		mustClaim(t, a)
		brittle.set(never)
		want := table{}
		for i := range 10 {
			err := a.Update(func(tx *kv.Txn) error {
				for j := range 20 {
					key := fmt.Sprintf("%d %d", i, j)
					if want[key] = "1"; i == 9 && j == 19 {
						key = "the last"
						want = maps.Clone(want)
						want[key] = "1"
						delete(want, "9 19")
					}
					if err := tx.Put(kv.Data, []byte(key), []byte("1")); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		a.end(t, (*kv.DB).Abandon)
		mustFollow(t, b)
		if err := b.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		b.SetFoldRead(1 << 10)
		mustClaim(t, b)
		mustPut(t, &b.volume, "mine", "1")
		want["mine"] = "1"
		if err := b.Fold(); err != nil {
			t.Fatal(err)
		}
		if b.Folded() != b.Last() {
			t.Errorf("it is folded up to %d, want %d", b.Folded(), b.Last())
		}
		wantCold(t, log, want)
	})
}

// TestG45_AFoldOfUnknownOutcome: it spends the claim, which is made anew; the Update that meets
// it goes on.
func TestG45_AFoldOfUnknownOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := waltest.NewMemory()
		a, brittle := newBrittle(t, log)
		mustOwn(t, a)
		time.Sleep(time.Second) // what was claimed a moment ago is not folded yet
		mustPut(t, &a.volume, "a", "1")
		brittle.set(func() foldFate { return foldFate{rows: 1, err: wal.ErrUnknown} })
		if err := a.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // it is folded, and not again before time passes
		if stall := a.FoldStalled(); stall == nil || !errors.Is(stall.Err, wal.ErrUnknown) {
			t.Fatalf("the fold has ended in %v", stall)
		}
		brittle.set(nil)
		mustPut(t, &a.volume, "b", "1")
		wantShown(t, &a.volume, table{"a": "1", "b": "1"})
		if err := a.Fold(); err != nil {
			t.Fatal(err)
		}
		wantCold(t, log, table{"a": "1", "b": "1"})
		a.end(t, (*kv.DB).Close)
	})
}

// TestG45_WhatIsNotFoldedHasABound: an Update waits for a fold when the records which are not
// folded have reached it, and is refused while folds fail.
func TestG45_WhatIsNotFoldedHasABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := waltest.NewMemory()
		a, brittle := newBrittle(t, log)
		mustOwn(t, a)
		brittle.set(never)
		mustPut(t, &a.volume, "a", "1")
		a.SetUnfolded(a.Unfolded() + 1) // one more has room
		mustPut(t, &a.volume, "b", "1")
		if err := a.put("c", "1"); !errors.Is(err, kv.ErrNoRoom) || !errors.Is(err, kv.ErrRefused) || !errors.Is(err, errInjected) {
			t.Errorf("an Update that has no room ends in %v, want ErrNoRoom and why", err)
		}
		brittle.set(nil)
		time.Sleep(time.Minute) // it is tried again
		mustPut(t, &a.volume, "c", "1")
		mustPut(t, &a.volume, "d", "1") // waits for a fold
		mustPut(t, &a.volume, "e", "1")
		wantCold(t, log, table{"a": "1", "b": "1", "c": "1", "d": "1", "e": "1"})
		a.end(t, (*kv.DB).Close)
	})
}

// TestG45_LargeChangesAreFolded: changes whose layers are too large to be kept for a fold, which reads
// them of the log, count as folded behind it, so that an Update has room again.
func TestG45_LargeChangesAreFolded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := waltest.NewMemory()
		a := newNode(t, log)
		mustOpenNode(t, a)
		if err := a.Claim(t.Context(), 1<<10); err != nil {
			t.Fatal(err)
		}
		want, large := table{}, strings.Repeat("x", 4<<10)
		for i := range 3 {
			want[fmt.Sprint(i)] = large
			mustPut(t, &a.volume, fmt.Sprint(i), large)
			if err := a.Fold(); err != nil {
				t.Fatal(err)
			}
			if n := a.Unfolded(); n != 0 {
				t.Fatalf("all is folded, and %d bytes are said not to be", n)
			}
		}
		a.SetUnfolded(20 << 10)
		for i := range 30 {
			want[fmt.Sprint(i)] = large
			mustPut(t, &a.volume, fmt.Sprint(i), large)
		}
		wantCold(t, log, want)
		a.end(t, (*kv.DB).Close)
	})
}

// TestG45_CloseEndsTheWaitForRoom: an Update that waits for a fold is refused when the DB is closed.
func TestG45_CloseEndsTheWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, brittle := newBrittle(t, waltest.NewMemory())
		brittle.hold = make(chan struct{})
		mustOwn(t, a)
		mustPut(t, &a.volume, "a", "1")
		a.SetUnfolded(a.Unfolded())
		updated, closed := make(chan error, 1), make(chan error, 1)
		go func() { updated <- a.put("b", "1") }()
		synctest.Wait()
		go func() { closed <- a.Close() }()
		if err := <-updated; !errors.Is(err, kv.ErrRefused) {
			t.Errorf("the Update ends in %v, want ErrRefused", err)
		}
		close(brittle.hold)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		a.DB = nil
	})
}

// TestG45_AKilledBuildBeginsAnew: a node that is killed while it makes its copy, at any point,
// makes it anew.
func TestG45_AKilledBuildBeginsAnew(t *testing.T) {
	log := waltest.NewMemory()
	a := newNode(t, log)
	mustOwn(t, a)
	want := table{}
	for i := range 12 {
		mustPut(t, &a.volume, fmt.Sprint(i), "1")
		want[fmt.Sprint(i)] = "1"
		if i == 8 {
			if err := a.Fold(); err != nil {
				t.Fatal(err)
			}
		}
	}
	n := newNode(t, log)
	for points := 1; ; points++ {
		left := points
		n.opts.Fault = func(string) error {
			if left--; left == 0 {
				return errInjected
			}
			return nil
		}
		err := n.open(t)
		if err == nil {
			if points < 12 {
				t.Errorf("it was killed at %d points only", points-1)
			}
			break
		}
		if !errors.Is(err, errInjected) {
			t.Fatal(err)
		}
		n.opts.Fault = nil
		mustOpenNode(t, n)
		if !n.rebuilt {
			t.Errorf("point %d: what was left of the copy is used", points)
		}
		wantShown(t, &n.volume, want)
		n.end(t, (*kv.DB).Abandon)
		if err := kv.RemoveCopy(n.path); err != nil {
			t.Fatal(err)
		}
	}
	wantShown(t, &n.volume, want)
	files, err := os.ReadDir(strings.TrimSuffix(n.path, "volume.db"))
	if err != nil || len(files) != 1 {
		t.Errorf("the directory has %v, %v; want the copy", files, err)
	}
}

// sameID has two histories of a log look like one, as a database that lost its last moments.
type sameID struct{ wal.Shared }

func (sameID) ID() uint64 { return 7 }

// TestG45_ACopyOfAnotherHistory: a copy whose last record the log does not have, but another one
// in its place, is made anew.
func TestG45_ACopyOfAnotherHistory(t *testing.T) {
	nodes := make([]*node, 2)
	for i := range nodes {
		n := newNode(t, waltest.NewMemory())
		n.shared = sameID{n.shared}
		n.over = kv.Over(n.shared, kv.Options{})
		mustOwn(t, n)
		mustPut(t, &n.volume, "whose", fmt.Sprint(i))
		n.end(t, (*kv.DB).Close)
		nodes[i] = n
	}
	lost := nodes[0].file(t)
	if err := os.WriteFile(nodes[1].path, lost, 0o600); err != nil {
		t.Fatal(err)
	}
	mustOpenNode(t, nodes[1])
	if !nodes[1].rebuilt {
		t.Error("the copy of another history is used")
	}
	wantShown(t, &nodes[1].volume, table{"whose": "1"})
}

// mustTakeOver claims the shard, with a copy that is made anew if the log has forgotten what the
// one at hand lacks.
func mustTakeOver(tb testing.TB, n *node) {
	tb.Helper()
	err := n.Claim(tb.Context(), share)
	if errors.Is(err, kv.ErrBadFile) {
		n.end(tb, (*kv.DB).Abandon)
		mustOpenNode(tb, n)
		n.SetKept(4 << 10)
		err = n.Claim(tb.Context(), share)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// TestG45_ShardsLifes: nodes take a shard over from one another; their processes are killed,
// their copies removed or replaced by older ones, appends and folds fail or are of unknown
// outcome. The owner, and a node without a copy, show what was acknowledged.
func TestG45_ShardsLifes(t *testing.T) {
	for life := range uint64(3) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(life, 19))
			log := waltest.NewMemory()
			nodes := make([]*node, 3)
			brittles := make([]*brittle, 3)
			old := make([][]byte, 3)
			var lease *brittle
			for i := range nodes {
				nodes[i], brittles[i] = newBrittle(t, log)
				brittles[i].owner = &lease
			}
			want, owner := table{}, -1
			for range 100 {
				i := rnd.IntN(len(nodes))
				n := nodes[i]
				if n.DB == nil {
					mustOpenNode(t, n)
					n.SetKept(4 << 10)
				}
				switch rnd.IntN(12) {
				case 0: // killed
					n.end(t, (*kv.DB).Abandon)
					if i == owner {
						owner = -1
					}
					switch rnd.IntN(3) {
					case 0:
						if err := kv.RemoveCopy(n.path); err != nil {
							t.Fatal(err)
						}
					case 1:
						if old[i] != nil {
							if err := os.WriteFile(n.path, old[i], 0o600); err != nil {
								t.Fatal(err)
							}
						}
					default:
						old[i] = n.file(t)
					}
				case 1: // takes over
					lease = brittles[i]
					if owner >= 0 && owner != i {
						before := nodes[owner]
						mustTakeOver(t, n)
						if err := before.put("x", "stale"); !errors.Is(err, wal.ErrFenced) {
							t.Fatalf("life %d: the owner before is told %v", life, err)
						}
						before.end(t, []func(*kv.DB) error{(*kv.DB).Abandon, (*kv.DB).Close}[rnd.IntN(2)])
					} else {
						mustTakeOver(t, n)
					}
					owner = i
					wantShown(t, &n.volume, want)
				case 2:
					rnd := rand.New(rand.NewPCG(rnd.Uint64(), life)) // of folds in the background
					brittles[i].set(func() foldFate {
						if rnd.IntN(2) == 0 {
							return foldFate{}
						}
						return foldFate{rows: rnd.IntN(10), err: []error{errInjected, wal.ErrUnknown}[rnd.IntN(2)]}
					})
				case 3:
					brittles[i].set(nil)
				case 4:
					time.Sleep(time.Duration(rnd.IntN(4000)) * time.Millisecond)
				case 5:
					if i == owner {
						_ = n.Fold()
					} else if err := n.Follow(t.Context()); err != nil {
						// Whatever the log has forgotten, it is made anew.
						if !errors.Is(err, kv.ErrBadFile) {
							t.Fatalf("life %d: %v", life, err)
						}
						n.end(t, (*kv.DB).Abandon)
					}
				default:
					if owner < 0 {
						continue
					}
					fate := rnd.IntN(10)
					if fate < 2 {
						log.FailNext(fate == 0)
					}
					key, value := fmt.Sprint(rnd.IntN(40)), fmt.Sprint(rnd.Uint32())
					if rnd.IntN(3) == 0 {
						value = ""
					}
					err := nodes[owner].put(key, value)
					log.Heal()
					if err != nil && (fate != 1 || !errors.Is(err, kv.ErrRefused)) {
						t.Fatalf("life %d: Update ends in %v", life, err)
					}
					if err == nil {
						if want[key] = value; value == "" {
							delete(want, key)
						}
					}
					wantShown(t, &nodes[owner].volume, want)
				}
			}
			wantCold(t, log, want)
			for _, n := range nodes {
				if n.DB != nil {
					n.end(t, (*kv.DB).Close)
				}
			}
			wantCold(t, log, want)
		})
	}
}

// TestG45_AStandbyMayBeBehind: records that were folded are kept for a minute, or as long as they
// are not many, and a standby goes on by them; then it is told that its copy is of no use.
func TestG45_AStandbyMayBeBehind(t *testing.T) {
	for _, tt := range []struct {
		name string
		kept int // bytes
		wait time.Duration
		ends bool
	}{
		{"a while", 1 << 20, kv.KeptFor - time.Second, false},
		{"for longer", 1 << 20, kv.KeptFor, true},
		{"many records", 1 << 10, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := waltest.NewMemory()
				a, b := newNode(t, log), newNode(t, log)
				mustOpenNode(t, a)
				mustOpenNode(t, b)
				a.SetKept(tt.kept)
				mustClaim(t, a)
				put := func(key string) {
					mustPut(t, &a.volume, key, "1")
					if err := a.Fold(); err != nil {
						t.Fatal(err)
					}
				}
				put("a")
				put("b")
				time.Sleep(tt.wait)
				put("c")
				err := b.Follow(t.Context())
				if ends := errors.Is(err, kv.ErrBadFile); ends != tt.ends || !ends && err != nil {
					t.Errorf("the standby is told %v", err)
				}
				if !tt.ends {
					wantShown(t, &b.volume, table{"a": "1", "b": "1", "c": "1"})
				}
				wantCold(t, log, table{"a": "1", "b": "1", "c": "1"})
			})
		})
	}
}

// TestG45_NoFoldIsTooMuch: a fold has the keys that were changed since the one before, each once.
func TestG45_NoFoldIsTooMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := waltest.NewMemory()
		a, brittle := newBrittle(t, log)
		mustOwn(t, a)
		for i := range 10 {
			mustPut(t, &a.volume, fmt.Sprint(i), "1")
		}
		if err := a.Fold(); err != nil {
			t.Fatal(err)
		}
		brittle.mu.Lock()
		brittle.keys = nil
		brittle.mu.Unlock()
		for range 3 {
			mustPut(t, &a.volume, "3", "2")
			mustPut(t, &a.volume, "5", "2")
		}
		if err := a.Fold(); err != nil {
			t.Fatal(err)
		}
		brittle.mu.Lock()
		defer brittle.mu.Unlock()
		data := string([]byte{byte(kv.Data)})
		if want := []string{"\x00applied", data + "3", data + "5"}; !slices.Equal(brittle.keys, want) {
			t.Errorf("the second fold has %q, want %q", brittle.keys, want)
		}
	})
}

// TestG45_AnotherHasOwnedItMeanwhile: an owner whose claim a fold has spent does not go on from
// what it knows if another node has written before it claims again.
func TestG45_AnotherHasOwnedItMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := waltest.NewMemory()
		a, brittle := newBrittle(t, log)
		b := newNode(t, log)
		mustOpenNode(t, a)
		mustOpenNode(t, b)
		mustClaim(t, a)
		time.Sleep(time.Second) // what was claimed a moment ago is not folded yet
		mustPut(t, &a.volume, "a", "1")
		brittle.set(func() foldFate { return foldFate{err: wal.ErrUnknown} })
		if err := a.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // it is folded, and not again before time passes
		if stall := a.FoldStalled(); stall == nil || !errors.Is(stall.Err, wal.ErrUnknown) {
			t.Fatalf("the fold has ended in %v", stall)
		}
		mustClaim(t, b)
		mustPut(t, &b.volume, "b", "1")
		if err := a.put("a", "2"); !errors.Is(err, wal.ErrFenced) {
			t.Errorf("the earlier owner is told %v, want ErrFenced", err)
		}
		wantCold(t, log, table{"a": "1", "b": "1"})
	})
}

// TestG45_AKeyThatNoCheckpointHas: a key that is too long for one is refused before it is durable.
func TestG45_AKeyThatNoCheckpointHas(t *testing.T) {
	a := newNode(t, waltest.NewMemory())
	mustOwn(t, a)
	longest := strings.Repeat("k", wal.MaxKey-1)
	mustPut(t, &a.volume, longest, "1")
	if err := a.put(longest+"k", "1"); !errors.Is(err, kv.ErrRefused) {
		t.Errorf("a key of %d bytes: %v, want ErrRefused", len(longest)+1, err)
	}
	if err := a.Fold(); err != nil {
		t.Error(err)
	}
}
