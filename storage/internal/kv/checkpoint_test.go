package kv_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage/internal/kv"
)

// TestG23_TheLayersHaveABound: an Update waits while its layers would take more memory than
// the share, until a checkpoint has made room; one that fails refuses it.
func TestG23_TheLayersHaveABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVolume(t, 1)
		gate, fail := make(chan bool), false
		v.fault = func(point string) error {
			if point == "checkpoint" {
				<-gate
			}
			if fail {
				return errInjected
			}
			return nil
		}
		mustOpenVolume(t, v)
		value := strings.Repeat("x", share/8)
		n, done := 0, make(chan error, 100)
		go func() {
			for i := range 20 {
				done <- v.put(fmt.Sprint(i), value)
			}
		}()
		drain := func() {
			synctest.Wait()
			for len(done) > 0 {
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				n++
			}
		}
		drain()
		// A quarter is frozen by two of them, or three; and the share is eight.
		if n < 6 || n > 8 {
			t.Errorf("%d updates of an eighth of the share went on while nothing was copied", n)
		}
		before := n
		gate <- true
		if drain(); n <= before || n > before+8 {
			t.Errorf("%d went on after one checkpoint", n-before)
		}
		fail = true
		gate <- true
		synctest.Wait()
		if err := <-done; !errors.Is(err, kv.ErrRefused) || !errors.Is(err, errInjected) {
			t.Errorf("after a checkpoint that failed: %v, want ErrRefused and why", err)
		}
		want := v.shown(t)
		synctest.Wait()
		fail = false
		close(gate)
		v.crash(t, true)
		mustOpenVolume(t, v)
		if got := v.shown(t); !maps.Equal(got, want) {
			t.Errorf("opened anew it shows %d keys, want %d", len(got), len(want))
		}
		if err := errors.Join(v.Close(), v.log.Close()); err != nil {
			t.Error(err)
		}
	})
}

// TestG23_TheTailHasABound: records of one key, which take no more memory than one of them,
// are copied before there are too many to be replayed quickly.
func TestG23_TheTailHasABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVolume(t, 1)
		var copied atomic.Int32
		v.fault = func(point string) error {
			if point == "checkpointed" {
				copied.Add(1)
			}
			return nil
		}
		mustOpenVolume(t, v)
		for _, writes := range []int32{1, 100} {
			copied.Store(0)
			// 64 KiB are the share; a record counts 1 KiB, a write 128 bytes, and both their bytes.
			every := (64<<10)/(5+(1<<10)+(5+128)*writes) + 1
			for n := range 3 * every {
				err := v.Update(func(tx *kv.Txn) (err error) {
					for range writes {
						err = errors.Join(err, tx.Put(kv.Data, []byte("a"), []byte("1")))
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if want := (n + 1) / every; copied.Load() != want {
					t.Fatalf("%d checkpoints after %d records of %d writes, want %d", copied.Load(), n+1, writes, want)
				}
			}
		}
		if err := errors.Join(v.Close(), v.log.Close()); err != nil {
			t.Error(err)
		}
	})
}

// TestG23_ALongTailIsCopiedWhileItIsClaimed: the checkpointer begins while Claim is at its
// last steps. It is for the race detector.
func TestG23_ALongTailIsCopiedWhileItIsClaimed(t *testing.T) {
	v := newVolume(t, 1)
	v.share = 1 << 20
	mustOpenVolume(t, v)
	for range share / 1024 {
		mustPut(t, v, "a", "1")
	}
	v.crash(t, false)
	moved := make(chan struct{}, 8)
	v.moved = func() { moved <- struct{}{} }
	v.share = 0
	mustOpenVolume(t, v)
	<-moved
	if got := v.Uncopied(); got != 0 {
		t.Errorf("%d records are not copied, want none", got)
	}
	if err := errors.Join(v.Close(), v.log.Close()); err != nil {
		t.Error(err)
	}
}

// TestG9_AnIdleVolumeIsCopied: the copy has a change some seconds after it was made.
func TestG9_AnIdleVolumeIsCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVolume(t, 1)
		var copied atomic.Int32
		v.fault = func(point string) error {
			if point == "checkpointed" {
				copied.Add(1)
			}
			return nil
		}
		mustOpenVolume(t, v)
		mustPut(t, v, "a", "1")
		time.Sleep(kv.MaxAge - time.Millisecond)
		synctest.Wait()
		if copied.Load() != 0 {
			t.Errorf("%d checkpoints before a change is of age", copied.Load())
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if copied.Load() != 1 {
			t.Errorf("%d checkpoints when it is, want 1", copied.Load())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if copied.Load() != 1 {
			t.Errorf("%d checkpoints of a volume that is idle", copied.Load())
		}
		v.crash(t, true)
		if got := v.copied(t); got["a"] != "1" {
			t.Errorf("the copy has %v", got)
		}
	})
}

// TestG2_ASnapshotIsOneMoment: while changes are made, frozen and copied, each of them is seen
// as a whole by readers, and a snapshot stays what it was.
func TestG2_ASnapshotIsOneMoment(t *testing.T) {
	const keys, rounds = 40, 400
	v := newVolume(t, 1)
	mustOpenVolume(t, v)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for last := ""; ; {
				select {
				case <-stop:
					return
				default:
				}
				pin, err := v.Begin()
				if err != nil {
					t.Error(err)
					return
				}
				once := pinned(t, pin)
				if again := pinned(t, pin); !maps.Equal(once, again) {
					t.Errorf("a snapshot shows %v, then %v", once, again)
				}
				pin.Close()
				for _, value := range once {
					if len(once) != keys || value != once["k0"] || value < last {
						t.Errorf("it shows %v after %s", once, last)
						return
					}
				}
				last = once["k0"]
			}
		})
	}
	for round := range rounds {
		err := v.Update(func(tx *kv.Txn) error {
			for i := range keys {
				// A change of all keys, some by way of a deletion.
				key := fmt.Append(nil, "k", i)
				if err := tx.Delete(kv.Data, key); err != nil {
					return err
				}
				if err := tx.Put(kv.Data, key, fmt.Appendf(nil, "%06d", round)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	if err := errors.Join(v.CheckPages(), v.Close(), v.log.Close()); err != nil {
		t.Error(err)
	}
}

// TestG2_AFailedChangeIsNone: what fn has written is not shown, nor written by what follows;
// fn sees its own writes.
func TestG2_AFailedChangeIsNone(t *testing.T) {
	v := newVolume(t, 1)
	mustOpenVolume(t, v)
	mustPut(t, v, "a", "1")
	err := v.Update(func(tx *kv.Txn) error {
		if err := errors.Join(tx.Put(kv.Data, []byte("a"), []byte("2")), tx.Delete(kv.Data, []byte("b")), tx.Put(kv.Data, []byte("c"), nil)); err != nil {
			return err
		}
		got, err := tx.Get(kv.Data, []byte("a"))
		k, _, err2 := tx.Seek(kv.Data, []byte("b"))
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		if string(got) != "2" || string(k) != "c" || string(tx.Base().Get(kv.Data, []byte("a"))) != "1" {
			t.Errorf("in the change a is %q, and %q follows", got, k)
		}
		return errInjected
	})
	if !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	wantShown(t, v, table{"a": "1"})
	mustPut(t, v, "d", "4")
	v.crash(t, true)
	mustOpenVolume(t, v)
	wantShown(t, v, table{"a": "1", "d": "4"})
	if err := errors.Join(v.Close(), v.log.Close()); err != nil {
		t.Error(err)
	}
}

// TestG1_ACheckpointHasWhatWasFrozen: what becomes durable while a checkpoint is made is not
// part of it, and is replayed.
func TestG1_ACheckpointHasWhatWasFrozen(t *testing.T) {
	v := newVolume(t, 1)
	points := 0
	v.fault = func(point string) error {
		points++
		mustPut(t, v, point, "2")
		return nil
	}
	mustOpenVolume(t, v)
	mustPut(t, v, "a", "1")
	if err := v.Checkpoint(); err != nil || points != 2 {
		t.Fatalf("%v, after %d points", err, points)
	}
	want := table{"a": "1", "checkpoint": "2", "checkpointed": "2"}
	wantShown(t, v, want)
	v.fault = nil
	v.crash(t, true)
	if got := v.copied(t); !maps.Equal(got, table{"a": "1"}) {
		t.Errorf("the copy has %v", got)
	}
	mustOpenVolume(t, v)
	wantShown(t, v, want)
	if err := errors.Join(v.Close(), v.log.Close()); err != nil {
		t.Error(err)
	}
}

// TestG26_CloseWaitsForACheckpoint: one that is under way when the volume is closed, and takes
// longer than open Pins are waited for, is waited for.
func TestG26_CloseWaitsForACheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVolume(t, 1)
		slow := true
		v.fault = func(point string) error {
			if slow && point == "checkpoint" {
				slow = false
				time.Sleep(5 * kv.CloseWait)
			}
			return nil
		}
		mustOpenVolume(t, v)
		mustPut(t, v, "a", "1")
		time.Sleep(kv.MaxAge + time.Millisecond)
		if err := errors.Join(v.Close(), v.log.Close()); err != nil {
			t.Error(err)
		}
		if got := v.copied(t); got["a"] != "1" {
			t.Errorf("the copy has %v", got)
		}
	})
}
