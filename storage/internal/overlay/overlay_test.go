package overlay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"carillon/storage/internal/overlay"
)

// TestG2_ABadRecordChangesNothing: each cut and each other version of a record is refused
// as a whole, or is the whole of a shorter record.
func TestG2_ABadRecordChangesNothing(t *testing.T) {
	stack := overlay.NewStack(spaces, 0)
	c := stack.Begin()
	c.Put(0, []byte("key"), []byte("value"))
	c.Delete(1, []byte("gone"))
	c.Put(1, []byte("k"), nil)
	record := c.Record()
	wholes := 0
	for n := range record {
		again := stack.Begin()
		err := again.Replay(record[:n])
		_, known := again.Get(0, []byte("key"))
		if err == nil {
			wholes++
		}
		if err != nil && (known || !errors.Is(err, overlay.ErrBadRecord)) {
			t.Errorf("%d bytes of %d: %v, key known: %v", n, len(record), err, known)
		}
	}
	if wholes != 3 { // none, one, and two changes
		t.Errorf("%d cuts are taken for whole, want 3", wholes)
	}
	for _, bad := range [][]byte{nil, {0}, {2}, append([]byte{2}, record[1:]...), {1, spaces << 1, 1, 'k', 0}, {1, 0, 0, 0}} {
		if err := stack.Begin().Replay(bad); !errors.Is(err, overlay.ErrBadRecord) {
			t.Errorf("%x: %v", bad, err)
		}
	}
	if stack.Begin().Record() != nil {
		t.Error("a change of nothing has a record")
	}
}

// FuzzReplay: no record breaks anything, and what is taken is written again alike.
func FuzzReplay(f *testing.F) {
	c := overlay.NewStack(spaces, 0).Begin()
	c.Put(0, []byte("key"), []byte("value"))
	c.Delete(1, []byte("gone"))
	f.Add(c.Record())
	f.Add([]byte{1, 0, 1, 'k', 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, record []byte) {
		one := overlay.NewStack(spaces, 0).Begin()
		if one.Replay(record) != nil {
			return
		}
		two := overlay.NewStack(spaces, 0).Begin()
		if one.Record() == nil {
			return
		}
		if err := two.Replay(one.Record()); err != nil || !bytes.Equal(one.Record(), two.Record()) {
			t.Errorf("%x becomes %x, then %x: %v", record, one.Record(), two.Record(), err)
		}
	})
}

// TestChangesAreTheirOwn: a change keeps no slice of its caller's, and what is dropped has
// changed nothing, in memory used neither.
func TestChangesAreTheirOwn(t *testing.T) {
	stack := overlay.NewStack(spaces, 0)
	key, value := []byte("key"), []byte("value")
	c := stack.Begin()
	c.Put(0, key, value)
	clear(key)
	clear(value)
	stack.Publish(c)
	used := stack.View().Bytes()
	stack.Begin().Put(0, []byte("key"), []byte("dropped"))
	if got, _ := stack.View().Get(0, []byte("key")); string(got) != "value" {
		t.Errorf("the key has %q", got)
	}
	if now := stack.View().Bytes(); now != used || used < len("keyvalue") {
		t.Errorf("%d bytes, %d before", now, used)
	}
	c = stack.Begin()
	c.Put(0, []byte("key"), []byte("other"))
	stack.Publish(c)
	if now := stack.View().Bytes(); now != used {
		t.Errorf("%d bytes for a value of the same size, %d before", now, used)
	}
}

// TestFreezeIsOneAtATime: while a layer is frozen no other one is, and an empty one is not;
// the copy is accepted from its start to its end, and not before or after.
func TestFreezeIsOneAtATime(t *testing.T) {
	stack := overlay.NewStack(spaces, 5)
	if stack.Freeze(1) != nil {
		t.Error("an empty layer was frozen")
	}
	put := func() {
		c := stack.Begin()
		c.Put(0, []byte("k"), []byte("v"))
		stack.Publish(c)
	}
	accepts := func(want ...uint64) {
		t.Helper()
		for id := range uint64(12) {
			want := fmt.Sprint(want)
			if got := stack.View().Accepts(id); got != bytes.Contains([]byte(want), fmt.Append(nil, id)) {
				t.Errorf("copy %d: %v, want %s", id, got, want)
			}
		}
	}
	accepts(5)
	put()
	accepts(5)
	if l := stack.Freeze(3); l == nil || l.Len() != 1 {
		t.Error("it was not frozen")
	}
	accepts(5, 6, 7, 8)
	put()
	if stack.Freeze(1) != nil {
		t.Error("a second layer was frozen")
	}
	stack.Drop()
	accepts(8)
	if stack.View().Bytes() == 0 {
		t.Error("the layer behind the frozen one was dropped")
	}
}

// TestG23_BudgetIsABound: bytes are taken up to the bound, n is and n+1 is not; in the order
// they were asked for; one that is larger than all has to be alone; and one that gives up
// has taken nothing.
func TestG23_BudgetIsABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := overlay.NewBudget(10)
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var order []string
		take := func(ctx context.Context, name string, n int) {
			go func() {
				err := b.Take(ctx, n)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					name += " gave up"
				}
				order = append(order, name)
			}()
			synctest.Wait()
		}
		wants := func(used int, want ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(order)
			if fmt.Sprint(order) != fmt.Sprint(want) || b.Used() != used {
				t.Fatalf("%v, %d used; want %v, %d", order, b.Used(), want, used)
			}
			order = nil
		}
		take(ctx, "all", 10)
		wants(10, "all")
		take(ctx, "one more", 1)
		wants(10)
		b.Give(1)
		wants(10, "one more")
		take(ctx, "big", 6)
		take(t.Context(), "small, behind big", 1)
		b.Give(5)
		wants(5)
		cancel()
		wants(6, "big gave up", "small, behind big")
		take(t.Context(), "larger than all", 11)
		b.Give(5)
		wants(1)
		b.Give(1)
		wants(11, "larger than all")
		take(t.Context(), "last", 1)
		wants(11)
		b.Give(11)
		wants(1, "last")
	})
}
