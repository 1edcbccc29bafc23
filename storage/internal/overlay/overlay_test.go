package overlay_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"carillon/storage/internal/overlay"
)

// TestG2_ABadRecordChangesNothing: each cut and each other version of a record is refused
// as a whole, or is the whole of a shorter record.
func TestG2_ABadRecordChangesNothing(t *testing.T) {
	stack := overlay.NewStack(spaces, 0)
	c := stack.View().Change()
	c.Put(0, []byte("key"), []byte("value"))
	c.Delete(1, []byte("gone"))
	c.Put(1, []byte("k"), nil)
	record := c.Record(7)
	wholes := 0
	for n := range record {
		again := stack.View().Change()
		err := again.Replay(record[:n], 7)
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
	if err := stack.View().Change().Replay(record, 8); !errors.Is(err, overlay.ErrBadRecord) {
		t.Errorf("behind another record: %v", err)
	}
	head := []byte{1, 0, 0, 0, 7}
	for _, bad := range [][]byte{nil, {0}, {2}, append([]byte{2}, record[1:]...), append(head, spaces<<1, 1, 'k', 0), append(head, 0, 0, 0)} {
		if err := stack.View().Change().Replay(bad, 7); !errors.Is(err, overlay.ErrBadRecord) {
			t.Errorf("%x: %v", bad, err)
		}
	}
	if stack.View().Change().Record(7) != nil {
		t.Error("a change of nothing has a record")
	}
}

// FuzzReplay: no record breaks anything, and what is taken can be read and is taken again.
func FuzzReplay(f *testing.F) {
	c := overlay.NewStack(spaces, 0).View().Change()
	c.Put(0, []byte("key"), []byte("value"))
	c.Delete(1, []byte("gone"))
	f.Add(c.Record(0))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 1, 'k', 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, record []byte) {
		stack := overlay.NewStack(spaces, 0)
		one := stack.View().Change()
		if one.Replay(record, 0) != nil {
			return
		}
		if one.Record(0) != nil {
			t.Error("what was replayed would be written again")
		}
		stack.Publish(one)
		two := stack.View().Change()
		if err := two.Replay(record, 0); err != nil || two.Bytes() != 0 {
			t.Errorf("%x once more: %v, %d bytes more", record, err, two.Bytes())
		}
	})
}

// TestChangesAreTheirOwn: a change keeps no slice of its caller's, and what is dropped has
// changed nothing, in memory used neither.
func TestChangesAreTheirOwn(t *testing.T) {
	stack := overlay.NewStack(spaces, 0)
	key, value := []byte("key"), []byte("value")
	c := stack.View().Change()
	c.Put(0, key, value)
	clear(key)
	clear(value)
	stack.Publish(c)
	used := stack.View().Bytes()
	stack.View().Change().Put(0, []byte("key"), []byte("dropped"))
	if got, _ := stack.View().Get(0, []byte("key")); string(got) != "value" {
		t.Errorf("the key has %q", got)
	}
	if now := stack.View().Bytes(); now != used || used < len("keyvalue") {
		t.Errorf("%d bytes, %d before", now, used)
	}
	c = stack.View().Change()
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
		c := stack.View().Change()
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

// countingBelow counts what it was asked.
type countingBelow struct {
	*tableCursor
	asked *int
}

func (c countingBelow) Next() (k, v []byte) { *c.asked++; return c.tableCursor.Next() }

// TestUntilLooksAtNothingBehind: a cursor with an end shows what lies before it, and walks
// over none of the keys behind that a layer has deleted.
func TestUntilLooksAtNothingBehind(t *testing.T) {
	const keys = 100
	below := table{}
	s := overlay.NewStack(1, 1)
	change := s.View().Change()
	for i := range keys {
		key := fmt.Sprintf("%03d", i)
		below[key] = "x"
		if i%2 == 0 || i >= keys/2 {
			change.Delete(0, []byte(key))
		}
	}
	s.Publish(change)
	asked := 0
	c := s.View().Cursor(0, countingBelow{newTableCursor(below), &asked})
	c.Until([]byte("010"))
	var got []string
	for k, _ := c.Seek([]byte("003")); k != nil; k, _ = c.Next() {
		got = append(got, string(k))
	}
	if want := "[003 005 007 009]"; fmt.Sprint(got) != want {
		t.Errorf("it shows %v, want %s", got, want)
	}
	if k, _ := c.Next(); k != nil {
		t.Errorf("behind the end it shows %s", k)
	}
	if asked > 10 {
		t.Errorf("it has walked over %d keys, want those before the end", asked)
	}
}
