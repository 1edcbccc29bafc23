package kv_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage/internal/kv"
)

// failing is a volume whose checkpoints fail while bad is set.
func failing(t *testing.T) (v *volume, bad *atomic.Bool, tries *atomic.Int32) {
	v, bad, tries = newVolume(t, 1), new(atomic.Bool), new(atomic.Int32)
	v.fault = func(point string) error {
		if point == "checkpoint" {
			tries.Add(1)
			if bad.Load() {
				return errInjected
			}
		}
		return nil
	}
	return v, bad, tries
}

// TestG23_AFailedCheckpointIsTriedAgain: after 100 ms and then twice as long each time, up to
// half a minute. Meanwhile all is shown, Updates go on, and no claim of the log is taken;
// when it works the copy has all of it.
func TestG23_AFailedCheckpointIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, bad, tries := failing(t)
		mustOpenVolume(t, v)
		bad.Store(true)
		tries.Store(0)
		want := table{"0": "0"}
		mustPut(t, v, "0", "0")
		time.Sleep(kv.MaxAge)
		synctest.Wait()
		since := time.Now()
		for i, wait := range []time.Duration{100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000} {
			stall := v.Stalled()
			if stall == nil || stall.Tries != i+1 || !errors.Is(stall.Err, errInjected) || !stall.Since.Equal(since) {
				t.Fatalf("it says %+v after %d checkpoints", stall, i+1)
			}
			wait *= time.Millisecond
			time.Sleep(wait - time.Millisecond)
			key := fmt.Sprint(i)
			mustPut(t, v, key, "1")
			want[key] = "1"
			v.Press()
			synctest.Wait()
			if n := tries.Load(); n != int32(i+1) {
				t.Fatalf("try %d is made before %v have passed", n, wait)
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if n := tries.Load(); n != int32(i+2) {
				t.Fatalf("%d tries after %v, want %d", n, wait, i+2)
			}
			wantShown(t, v, want)
		}
		bad.Store(false)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if stall := v.Stalled(); stall != nil || v.Uncopied() != 0 {
			t.Errorf("a checkpoint has worked: %+v, and %d records are not copied", stall, v.Uncopied())
		}
		if err := v.CheckPages(); err != nil {
			t.Error(err)
		}
		v.crash(t, true)
		if got := v.copied(t); !maps.Equal(got, want) {
			t.Errorf("the copy has %v, want %v", got, want)
		}
	})
}

// TestG23_AFailedCheckpointRefusesWhatHasNoRoom: while checkpoints fail Updates go on until the
// layers are full, or the tail of the log is twice as long as a checkpoint waits for, and
// are refused then, with the reason, at once. When one works they go on.
func TestG23_AFailedCheckpointRefusesWhatHasNoRoom(t *testing.T) {
	for what, key := range map[string]string{"the layers are full": "key %d", "the tail is long": "key"} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v, bad, _ := failing(t)
				mustOpenVolume(t, v)
				bad.Store(true)
				value, least, most := strings.Repeat("x", share/16), 12, 16
				if key == "key" {
					value, least, most = "x", 110, 113 // of 1.1 KiB, as it counts
				}
				n, began := 0, time.Now()
				var err error
				for ; err == nil && n < 1000; n++ {
					err = v.put(strings.ReplaceAll(key, "%d", fmt.Sprint(n)), value+fmt.Sprint(n))
					synctest.Wait()
				}
				if n--; n < least || n > most {
					t.Errorf("%d Updates have room, want %d to %d", n, least, most)
				}
				for range 3 {
					if !errors.Is(err, kv.ErrNoRoom) || !errors.Is(err, kv.ErrRefused) || !errors.Is(err, errInjected) {
						t.Errorf("one without room: %v, want ErrNoRoom and why", err)
					}
					err = v.put("y", value)
				}
				if time.Since(began) > 0 {
					t.Errorf("it is refused after %v", time.Since(began))
				}
				shown := v.shown(t)
				bad.Store(false)
				time.Sleep(time.Second)
				synctest.Wait()
				mustPut(t, v, "z", "1")
				shown["z"] = "1"
				wantShown(t, v, shown)
				if err := errors.Join(v.Close(), v.log.Close()); err != nil {
					t.Error(err)
				}
				if got := v.copied(t); !maps.Equal(got, shown) {
					t.Errorf("the copy has %d keys, want %d", len(got), len(shown))
				}
			})
		})
	}
}
