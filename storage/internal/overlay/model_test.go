package overlay_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"carillon/storage/internal/overlay"
)

const spaces = 2

// table is a space, small enough to be believed.
type table map[string]string

// tableCursor walks a table as the copy's cursor would.
type tableCursor struct {
	table table
	keys  []string
	at    int // -1 and len(keys) are the ends
}

func newTableCursor(t table) *tableCursor {
	return &tableCursor{table: t, keys: slices.Sorted(maps.Keys(t)), at: -1}
}

func (c *tableCursor) here() (k, v []byte) {
	if c.at < 0 || c.at >= len(c.keys) {
		return nil, nil
	}
	return []byte(c.keys[c.at]), []byte(c.table[c.keys[c.at]])
}

func (c *tableCursor) First() (k, v []byte) { c.at = 0; return c.here() }
func (c *tableCursor) Last() (k, v []byte)  { c.at = len(c.keys) - 1; return c.here() }
func (c *tableCursor) Next() (k, v []byte)  { c.at = min(c.at+1, len(c.keys)); return c.here() }
func (c *tableCursor) Prev() (k, v []byte)  { c.at = max(c.at-1, -1); return c.here() }

func (c *tableCursor) Seek(key []byte) (k, v []byte) {
	c.at, _ = slices.BinarySearch(c.keys, string(key))
	return c.here()
}

var keys = rapid.StringMatching(`[a-d]{1,3}`)

// disk is a copy: the states of its spaces, by id.
type disk struct {
	states [][spaces]table
}

func (d *disk) latest() [spaces]table { return d.states[len(d.states)-1] }

// write writes entries as one transaction.
func (d *disk) write(layer *overlay.Layer, only func(space int) bool) {
	var next [spaces]table
	for i, t := range d.latest() {
		next[i] = maps.Clone(t)
		if only(i) {
			_ = layer.Scan(i, func(key, value []byte, deleted bool) error {
				if next[i][string(key)] = string(value); deleted {
					delete(next[i], string(key))
				}
				return nil
			})
		}
	}
	d.states = append(d.states, next)
}

// TestTable_ALayeredSpaceIsOne: what a view shows over any copy that it accepts, by Get and
// by a cursor that is moved and turned at random, is what one plain table shows that all
// published changes were made to; before, between and after the transactions of a copy.
func TestTable_ALayeredSpaceIsOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &disk{states: [][spaces]table{{}, {}}}
		for i := range spaces {
			start := rapid.MapOf(keys, rapid.Just("copy")).Draw(t, "copy")
			d.states[1][i] = start
		}
		d.states[0] = d.states[1]
		stack := overlay.NewStack(spaces, 1)
		want := [spaces]table{maps.Clone(d.states[1][0]), maps.Clone(d.states[1][1])}
		var frozen *overlay.Layer
		written := 0
		type moment struct {
			view *overlay.View
			want [spaces]table
		}
		var before []moment
		check := func() {
			view := stack.View()
			for _, m := range before { // what was taken before shows what it did
				for id := range uint64(len(d.states)) {
					for space := range spaces {
						if c := m.view.Cursor(space, newTableCursor(d.states[id][space])); m.view.Accepts(id) {
							compare(t, c, newTableCursor(m.want[space]))
						}
					}
				}
			}
			before = append(before, moment{view, want})
			before = before[max(0, len(before)-3):]
			for id := range uint64(len(d.states)) {
				if !view.Accepts(id) {
					if id == uint64(len(d.states)-1) {
						t.Fatalf("the view does not accept the latest copy, %d", id)
					}
					continue
				}
				for space := range spaces {
					compare(t, view.Cursor(space, newTableCursor(d.states[id][space])), newTableCursor(want[space]))
					for _, key := range []string{"a", "bb", "ccc", "d"} {
						value, known := view.Get(space, []byte(key))
						if !known {
							if v, ok := d.states[id][space][key]; ok {
								value = []byte(v)
							}
						}
						if w, ok := want[space][key]; ok != (value != nil) || w != string(value) {
							t.Fatalf("key %s is %q, want %q, %v", key, value, w, ok)
						}
					}
				}
			}
		}
		for n := range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1, 2:
				c := stack.View().Change()
				then := [spaces]table{maps.Clone(want[0]), maps.Clone(want[1])}
				for range rapid.IntRange(0, 8).Draw(t, "writes") {
					space, key := rapid.IntRange(0, spaces-1).Draw(t, "space"), keys.Draw(t, "key")
					if rapid.Bool().Draw(t, "put") {
						value := rapid.SampledFrom([]string{"", "v", fmt.Sprint(n)}).Draw(t, "value")
						c.Put(space, []byte(key), []byte(value))
						then[space][key] = value
					} else {
						c.Delete(space, []byte(key))
						delete(then[space], key)
					}
				}
				check() // it shows nothing before it is published
				for space := range spaces {
					compare(t, c.Cursor(space, newTableCursor(d.latest()[space])), newTableCursor(then[space]))
				}
				if rapid.Bool().Draw(t, "publish") {
					if rapid.Bool().Draw(t, "freeze meanwhile") {
						if l := stack.Freeze(2); l != nil {
							frozen, written = l, 0
						}
					} else if rapid.Bool().Draw(t, "replay") && c.Record(7) != nil {
						again := stack.View().Change()
						for range 2 { // any number of times
							if err := again.Replay(c.Record(7), 7); err != nil {
								t.Fatal(err)
							}
						}
						c = again
					}
					stack.Publish(c)
					want = then
				}
			case 3:
				if l := stack.Freeze(2); l != nil {
					frozen, written = l, 0
				}
			case 4, 5:
				switch {
				case frozen == nil:
				case written < 2:
					first := written == 0
					d.write(frozen, func(space int) bool { return (space == 0) == first })
					written++
				default:
					stack.Drop()
					frozen = nil
				}
			}
			check()
		}
	})
}

// compare moves both cursors alike.
func compare(t *rapid.T, got, want overlay.Below) {
	same := func(what string, k, v, wk, wv []byte) {
		if !bytes.Equal(k, wk) || !bytes.Equal(v, wv) || (k == nil) != (wk == nil) {
			t.Fatalf("%s: %q %q, want %q %q", what, k, v, wk, wv)
		}
	}
	k, v := got.First()
	wk, wv := want.First()
	same("first", k, v, wk, wv)
	for range rapid.IntRange(0, 25).Draw(t, "moves") {
		what := rapid.SampledFrom([]string{"next", "next", "prev", "prev", "first", "last", "seek"}).Draw(t, "move")
		switch what {
		case "next":
			k, v = got.Next()
			wk, wv = want.Next()
		case "prev":
			k, v = got.Prev()
			wk, wv = want.Prev()
		case "first":
			k, v = got.First()
			wk, wv = want.First()
		case "last":
			k, v = got.Last()
			wk, wv = want.Last()
		case "seek":
			key := []byte(keys.Draw(t, "key"))
			k, v = got.Seek(key)
			wk, wv = want.Seek(key)
		}
		same(what, k, v, wk, wv)
	}
}

// TestG2_ReadersSeeOneMoment: readers take views and copies, as they come, while changes
// are published, frozen, copied in several transactions and dropped. Each reader sees one
// moment: all keys have the number of one change.
func TestG2_ReadersSeeOneMoment(t *testing.T) {
	const changes, readers, width = 800, 3, 20
	stack := overlay.NewStack(spaces, 0)
	var d atomic.Pointer[disk]
	d.Store(&disk{states: [][spaces]table{{{}, {}}}})
	var done atomic.Bool
	var wg sync.WaitGroup
	frozen := make(chan *overlay.Layer)
	wg.Go(func() { // the checkpointer
		for layer := range frozen {
			for tx := range 2 {
				next := &disk{states: slices.Clone(d.Load().states)}
				next.write(layer, func(space int) bool { return space == tx })
				d.Store(next)
			}
			stack.Drop()
		}
	})
	seen := make([]int, readers)
	for r := range readers {
		wg.Go(func() {
			last := 0
			for !done.Load() {
				view := stack.View()
				below := d.Load()
				if !view.Accepts(uint64(len(below.states) - 1)) {
					continue
				}
				number, n := "", 0
				for space := range spaces {
					c := view.Cursor(space, newTableCursor(below.latest()[space]))
					for k, v := c.First(); k != nil; k, v = c.Next() {
						if n++; number == "" {
							number = string(v)
						}
						if string(v) != number {
							t.Errorf("key %s has change %s beside %s", k, v, number)
							return
						}
					}
				}
				var now int
				fmt.Sscan(number, &now)
				if n != 0 && n != spaces*width || now < last {
					t.Errorf("%d keys of change %d after %d", n, now, last)
					return
				}
				last = now
				seen[r]++
			}
		})
	}
	for i := range changes {
		c := stack.View().Change()
		for space := range spaces {
			for k := range width {
				c.Put(space, fmt.Appendf(nil, "%02d", (k+i)%width), fmt.Append(nil, i+1))
				c.Delete(space, fmt.Appendf(nil, "%02dx", k))
			}
		}
		stack.Publish(c)
		if i%10 == 9 {
			if layer := stack.Freeze(2); layer != nil {
				frozen <- layer
			}
		}
	}
	close(frozen)
	done.Store(true)
	wg.Wait()
	t.Logf("readers saw %v moments", seen)
}
