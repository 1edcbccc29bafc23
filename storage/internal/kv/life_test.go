package kv_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"carillon/storage/internal/kv"
	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

var errInjected = errors.New("injected")

// TestG1_LogLayersAndCopy: a volume is killed, or loses power, at any disk call of its log,
// and before and after a checkpoint; or some of these fail. After each opening, and each that
// follows an unknown outcome, it shows what was acknowledged, with the change of unknown
// outcome or without; and the copy is whole.
func TestG1_LogLayersAndCopy(t *testing.T) {
	unknown, kept, refused, stalls := 0, 0, 0, 0
	var checkpoints atomic.Int64
	for life := range uint64(60) {
		rnd := rand.New(rand.NewPCG(life, 3))
		v := newVolume(t, life)
		v.share = 16 * share // checkpoints are made when the test says so
		acked, maybe := table{}, table(nil)
		settle := func() {
			t.Helper()
			shown := v.shown(t)
			if maybe != nil && maps.Equal(shown, maybe) {
				acked = maybe
				kept++
			}
			if maybe = nil; !maps.Equal(shown, acked) {
				t.Fatalf("life %d: it shows %v, want %v", life, shown, acked)
			}
		}
		for range 6 { // deaths
			deadline, bad, mid := rnd.IntN(180)+v.disk.Calls(), rnd.IntN(4) == 0, rnd.IntN(6)
			v.disk.SetFate(func(c waltest.Call) waltest.Fate {
				switch {
				case c.N == deadline:
					return waltest.Die
				case bad && c.N%25 == 0:
					return waltest.Fail
				}
				return waltest.Succeed
			})
			var dead atomic.Bool
			var mu sync.Mutex // a checkpoint is tried again by the checkpointer
			faults := rand.New(rand.NewPCG(rnd.Uint64(), 4))
			v.fault = func(point string) error {
				checkpoints.Add(1)
				mu.Lock()
				defer mu.Unlock()
				if faults.IntN(8) == 0 {
					if mid == 0 {
						dead.Store(true)
					}
					return fmt.Errorf("%w: %s", errInjected, point)
				}
				return nil
			}
			err := v.open(t)
			for n := 0; !errors.Is(err, waltest.ErrDead) && !dead.Load() && n < 300; n++ {
				if v.DB == nil {
					if err = v.open(t); errors.Is(err, kv.ErrBadFile) {
						t.Fatalf("life %d: %v", life, err)
					} else if err != nil {
						continue
					}
				}
				settle()
				if n%25 == 24 {
					err = v.Checkpoint()
					if err != nil && v.Stalled() == nil && v.put("key", "x") == nil {
						t.Fatal("an update goes on though the copy may show what is not durable")
					}
					if err != nil && v.Stalled() != nil && !dead.Load() {
						stalls++
						err = nil // it is tried again
					}
				} else {
					key, value := fmt.Sprint(rnd.IntN(30)), fmt.Sprint(n)+strings.Repeat("x", rnd.IntN(500))
					then := maps.Clone(acked)
					if then[key] = value; rnd.IntN(4) == 0 {
						value = ""
						delete(then, key)
					}
					switch err = v.put(key, value); {
					case err == nil:
						acked = then
					case errors.Is(err, wal.ErrUnknown):
						maybe = then
						unknown++
					case errors.Is(err, kv.ErrRefused):
						refused++
					}
				}
				if err != nil {
					if err := v.Abandon(); err != nil {
						t.Fatal(err)
					}
					v.DB = nil
				}
			}
			v.crash(t, rnd.IntN(2) == 0)
		}
		v.fault = nil
		if err := v.open(t); err != nil {
			t.Fatal(err)
		}
		settle()
		if err := errors.Join(v.CheckPages(), v.Close()); err != nil {
			t.Errorf("life %d: %v", life, err)
		}
		if got := v.copied(t); !maps.Equal(got, acked) {
			t.Errorf("life %d: after the close the copy has %v, want %v", life, got, acked)
		}
		if err := v.log.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d outcomes unknown, of which %d were kept; %d refused; %d points of checkpoints, %d of which are tried again", unknown, kept, refused, checkpoints.Load(), stalls)
	if unknown < 20 || kept == 0 || refused == 0 || checkpoints.Load() < 50 || stalls < 10 {
		t.Error("too few")
	}
}

// TestG6_AnUnknownOutcomeStopsTheVolume: after a sync of the log has failed every Update is
// refused until the volume was opened anew, which shows what has become of it; reads go on.
func TestG6_AnUnknownOutcomeStopsTheVolume(t *testing.T) {
	v := newVolume(t, 1)
	mustOpenVolume(t, v)
	mustPut(t, v, "a", "1")
	v.disk.SetFate(func(c waltest.Call) waltest.Fate {
		if c.Name == "datasync" {
			return waltest.Fail
		}
		return waltest.Succeed
	})
	if err := v.put("b", "2"); !errors.Is(err, wal.ErrUnknown) {
		t.Errorf("an update whose sync has failed: %v, want ErrUnknown", err)
	}
	v.disk.SetFate(func(waltest.Call) waltest.Fate { return waltest.Succeed })
	if err := v.put("c", "3"); !errors.Is(err, kv.ErrRefused) || !strings.Contains(err.Error(), "opened anew") {
		t.Errorf("the next update: %v, want it to be refused", err)
	}
	wantShown(t, v, table{"a": "1"})
	if err := v.Abandon(); err != nil {
		t.Fatal(err)
	}
	mustOpenVolume(t, v)
	wantShown(t, v, table{"a": "1"})
	mustPut(t, v, "c", "3")
	if err := errors.Join(v.Close(), v.log.Close()); err != nil {
		t.Error(err)
	}
}

// TestG2_NothingIsShownBeforeTheLogHasIt: a reader does not see a change while its record is
// being synced.
func TestG2_NothingIsShownBeforeTheLogHasIt(t *testing.T) {
	v := newVolume(t, 1)
	mustOpenVolume(t, v)
	syncs := 0
	v.disk.SetFate(func(c waltest.Call) waltest.Fate {
		if c.Name == "datasync" {
			syncs++
			wantShown(t, v, table{})
		}
		return waltest.Succeed
	})
	mustPut(t, v, "a", "1")
	if syncs != 1 {
		t.Errorf("%d syncs of one change", syncs)
	}
	wantShown(t, v, table{"a": "1"})
	v.disk.SetFate(nil)
	if err := errors.Join(v.Close(), v.log.Close()); err != nil {
		t.Error(err)
	}
}
