package kv_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"carillon/storage/internal/kv"
)

func mustCount(tb testing.TB, v *volume, n int) {
	tb.Helper()
	mustPut(tb, v, "count", strconv.Itoa(n))
}

func counted(tb testing.TB, pin *kv.Pin) int {
	tb.Helper()
	n, _ := strconv.Atoi(pinned(tb, pin)["count"])
	return n
}

func mustMoment(tb testing.TB, volumes ...*volume) ([]*kv.Pin, []kv.Place) {
	tb.Helper()
	var dbs []*kv.DB
	for _, v := range volumes {
		dbs = append(dbs, v.DB)
	}
	pins, places, err := kv.Moment(dbs)
	if err != nil {
		tb.Fatal(err)
	}
	return pins, places
}

// TestG26_AMomentIsOneOfAllVolumes: while one volume is changed and then another, no moment has
// the change of the second without that of the first, nor is it older than two changes; also
// while checkpoints are made.
func TestG26_AMomentIsOneOfAllVolumes(t *testing.T) {
	a, b := newVolume(t, 1), newVolume(t, 2)
	mustOpenVolume(t, a)
	mustOpenVolume(t, b)
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	work.Go(func() {
		for n := 1; ctx.Err() == nil; n++ {
			mustCount(t, a, n)
			mustCount(t, b, n)
		}
	})
	for _, v := range []*volume{a, b} {
		work.Go(func() {
			for ctx.Err() == nil {
				if err := v.Checkpoint(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 2000 {
		pins, places := mustMoment(t, b, a)
		second, first := counted(t, pins[0]), counted(t, pins[1])
		if second > first || first > second+1 {
			t.Fatalf("the first volume is at %d, the second at %d", first, second)
		}
		// One record is the takeover.
		if got := int(places[1].Seq) - 1; got != first {
			t.Fatalf("the place is record %d, and %d changes are shown", got, first)
		}
		for _, pin := range pins {
			pin.Close()
		}
	}
	stop()
	work.Wait()
	mustCloseAll(t, a, b)
}

func mustCloseAll(tb testing.TB, volumes ...*volume) {
	tb.Helper()
	for _, v := range volumes {
		if err := errors.Join(v.Close(), v.log.Close()); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestG26_AMomentDoesNotWaitForTheDisk: while a checkpoint stands still, as on a disk that does
// not answer, moments are taken.
func TestG26_AMomentDoesNotWaitForTheDisk(t *testing.T) {
	v := newVolume(t, 1)
	gate := make(chan struct{})
	v.fault = func(point string) error {
		if point == "checkpoint" {
			<-gate
		}
		return nil
	}
	mustOpenVolume(t, v)
	mustPut(t, v, "a", "1")
	done := make(chan error)
	go func() { done <- v.Checkpoint() }()
	mustPut(t, v, "a", "2")
	taken := make(chan string)
	go func() {
		pins, _ := mustMoment(t, v)
		defer pins[0].Close()
		taken <- pinned(t, pins[0])["a"]
	}()
	select {
	case got := <-taken:
		if got != "2" {
			t.Errorf("the moment has %q", got)
		}
	case <-time.After(10 * time.Second):
		t.Error("the moment waits")
	}
	close(gate)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	mustCloseAll(t, v)
}

// TestG26_TheLogTellsWhatCameSinceAPlace: between two places there are the records of one
// history, all of them, or the log says that there are not.
func TestG26_TheLogTellsWhatCameSinceAPlace(t *testing.T) {
	v := newVolume(t, 1)
	mustOpenVolume(t, v)
	var places []kv.Place
	at := func() kv.Place {
		pins, places := mustMoment(t, v)
		pins[0].Close()
		return places[0]
	}
	for n := range 4 {
		mustCount(t, v, n)
		places = append(places, at())
	}
	log := kv.LogOf(v.log)
	since := func(from, to kv.Place) (records int, err error) {
		err = log.Since(t.Context(), 0, from, to, func(uint64, []byte) error { records++; return nil })
		return records, err
	}
	for i, from := range places {
		for j, to := range places {
			records, err := since(from, to)
			if i > j {
				if !errors.Is(err, kv.ErrGone) {
					t.Errorf("from %d back to %d: %v", i, j, err)
				}
			} else if err != nil || records != j-i {
				t.Errorf("from %d to %d there are %d records, %v", i, j, records, err)
			}
		}
	}
	last := places[3]
	for _, from := range []kv.Place{{Seq: places[1].Seq, Chain: 1}, {Seq: last.Seq, Chain: 1}, {Seq: last.Seq + 9, Chain: last.Chain}} {
		if _, err := since(from, last); !errors.Is(err, kv.ErrGone) {
			t.Errorf("from %v: %v", from, err)
		}
	}
	for _, to := range []kv.Place{{Seq: last.Seq, Chain: 1}, {Seq: last.Seq + 1, Chain: last.Chain}, {Seq: last.Seq - 1, Chain: last.Chain}} {
		if _, err := since(places[0], to); !errors.Is(err, kv.ErrGone) {
			t.Errorf("to %v: %v", to, err)
		}
	}
	if err := v.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if _, err := since(places[0], last); !errors.Is(err, kv.ErrGone) {
		t.Errorf("what was trimmed: %v", err)
	}
	if records, err := since(places[2], last); err != nil || records != 1 {
		t.Errorf("the last record: %d, %v", records, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := log.Since(ctx, 0, places[2], last, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	mustCloseAll(t, v)
}
