package kv_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage/internal/kv"
	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

// unanswered is a shared log that gives no answer to one append, which it does not take.
type unanswered struct {
	wal.Shared
	meanwhile func() // what happens before that is known; nil: appends are answered
}

func (u *unanswered) Append(recs ...wal.Record) []error {
	if fn := u.meanwhile; fn != nil {
		u.meanwhile = nil
		fn()
		return []error{wal.ErrUnknown}
	}
	return u.Shared.Append(recs...)
}

// newUnanswered makes a node whose log is unanswered.
func newUnanswered(tb testing.TB, log *waltest.Memory) (*node, *unanswered) {
	tb.Helper()
	n := newNode(tb, log)
	u := &unanswered{Shared: n.shared}
	n.by(u)
	return n, u
}

// TestG45_ACopyThatIsAheadOfTheLog: a node that shows records which the log has lost does not build
// upon them, also where takeovers have come in their place.
func TestG45_ACopyThatIsAheadOfTheLog(t *testing.T) {
	for lost := range 3 {
		log := waltest.NewMemory()
		a, b := newNode(t, log), newNode(t, log)
		mustOpenNode(t, a)
		mustOpenNode(t, b)
		mustClaim(t, a)
		want := table{}
		for i := range 5 {
			mustPut(t, &a.volume, fmt.Sprint(i), "1")
			if i < 5-lost {
				want[fmt.Sprint(i)] = "1"
			}
		}
		mustFollow(t, b)
		log.Lose(nodeShard, lost)
		behind, _, err := b.over.Behind(t.Context(), []*kv.DB{b.DB})
		if err != nil || len(behind) != min(lost, 1) {
			t.Errorf("%d lost: %d are not what the log has, %v", lost, len(behind), err)
		}
		if err := b.Follow(t.Context()); (err != nil) != (lost > 0) || lost > 0 && (!errors.Is(err, kv.ErrBadFile) || !errors.Is(err, wal.ErrTailLost)) {
			t.Errorf("%d lost: Follow says %v", lost, err)
		}
		for claims := range 2 {
			err := b.Claim(t.Context(), share)
			if lost == 0 && err != nil || lost > 0 && (!errors.Is(err, kv.ErrBadFile) || !errors.Is(err, wal.ErrTailLost)) {
				t.Fatalf("%d lost: claim %d says %v", lost, claims, err)
			}
		}
		b.end(t, (*kv.DB).Abandon)
		mustOwn(t, b)
		mustPut(t, &b.volume, "more", "1")
		want["more"] = "1"
		wantShown(t, &b.volume, want)
		wantCold(t, log, want)
	}
}

// TestG45_AnOwnerFindsItsTailLost: an append of unknown outcome, behind records that are gone from the
// log, is refused, and so is what would be built upon them.
func TestG45_AnOwnerFindsItsTailLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := waltest.NewMemory()
		a, u := newUnanswered(t, log)
		mustOwn(t, a)
		for i := range 5 {
			mustPut(t, &a.volume, fmt.Sprint(i), "1")
		}
		u.meanwhile = func() { log.Lose(nodeShard, 2) }
		began := time.Now()
		if err := a.put("more", "1"); !errors.Is(err, kv.ErrRefused) || !errors.Is(err, wal.ErrTailLost) || time.Since(began) > 0 {
			t.Errorf("the append of unknown outcome: %v after %v, want ErrTailLost at once", err, time.Since(began))
		}
		if err := a.put("more", "1"); !errors.Is(err, wal.ErrTailLost) || !a.Failed() {
			t.Errorf("the one after it: %v", err)
		}
		wantCold(t, log, table{"0": "1", "1": "1", "2": "1"})
		a.end(t, (*kv.DB).Abandon)
	})
}

// TestG6_AnUnknownAppendThatWasTrimmed: where another node owns the shard for so long that the log
// has forgotten whether it had the record, the outcome stays unknown.
func TestG6_AnUnknownAppendThatWasTrimmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := waltest.NewMemory()
		a, u := newUnanswered(t, log)
		first, b := &brittle{Shared: u.Shared}, newNode(t, log)
		owner := first
		first.owner, u.Shared = &owner, first
		mustOpenNode(t, a)
		mustOpenNode(t, b)
		b.SetKept(1)
		mustClaim(t, a)
		mustPut(t, &a.volume, "a", "1")
		u.meanwhile = func() {
			owner = nil
			mustClaim(t, b)
			for i := range 10 {
				mustPut(t, &b.volume, "b", fmt.Sprint(i))
				if err := b.Fold(); err != nil {
					t.Error(err)
				}
			}
		}
		updated := make(chan error, 1)
		go func() { updated <- a.put("a", "2") }()
		time.Sleep(time.Minute)
		select {
		case err := <-updated:
			if !errors.Is(err, wal.ErrUnknown) {
				t.Errorf("its outcome is %v, want ErrUnknown", err)
			}
		default:
			t.Fatal("it is asked for without end")
		}
		if err := a.put("a", "3"); !errors.Is(err, wal.ErrFenced) {
			t.Errorf("the next: %v, want ErrFenced", err)
		}
		a.end(t, (*kv.DB).Abandon)
		b.end(t, (*kv.DB).Close)
	})
}

// TestG45_ALostTailIsTold: a node that opens its copy anew says, once, that the log has lost what it has shown, or what
// is in its file. Where others have gone on for so long that the log has forgotten, it says nothing.
func TestG45_ALostTailIsTold(t *testing.T) {
	for _, lost := range []int{2, 0} {
		log := waltest.NewMemory()
		owner, started, next := newNode(t, log), newNode(t, log), newNode(t, log)
		mustOpenNode(t, started)
		mustOwn(t, owner)
		mustOpenNode(t, next)
		want := table{}
		for i := range 5 {
			mustPut(t, &owner.volume, fmt.Sprint(i), "1")
			if i < 5-lost {
				want[fmt.Sprint(i)] = "1"
			}
		}
		mustFollow(t, started)
		started.end(t, (*kv.DB).Close) // its file has them all
		started.by(started.shared)     // as a process anew does
		owner.end(t, (*kv.DB).Abandon) // its file has none
		log.Lose(nodeShard, lost)
		next.SetKept(1)
		mustClaim(t, next)
		more := func(times int) {
			for i := range times {
				mustPut(t, &next.volume, "more", fmt.Sprint(i))
				want["more"] = fmt.Sprint(i)
			}
		}
		more(3)
		for name, n := range map[string]*node{"the owner": owner, "one that was started again": started} {
			for opens := range 3 {
				mustOpenNode(t, n)
				if err := n.TailLost(); errors.Is(err, wal.ErrTailLost) != (lost > 0 && opens == 0) {
					t.Errorf("%d lost, open %d of %s: %v", lost, opens, name, err)
				}
				wantShown(t, &n.volume, want)
				n.end(t, (*kv.DB).Abandon)
			}
		}
		for range 10 {
			more(2)
			if err := next.Fold(); err != nil {
				t.Fatal(err)
			}
		}
		mustOpenNode(t, owner)
		if err := owner.TailLost(); err != nil {
			t.Errorf("where others have gone on: %v", err)
		}
		owner.end(t, (*kv.DB).Abandon)
		next.end(t, (*kv.DB).Close)
	}
}
