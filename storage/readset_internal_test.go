package storage

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// keysOf is the key set of those keys.
func keysOf(keys ...[]byte) *KeySet {
	s := new(KeySet)
	for _, key := range keys {
		s.keys = append(s.keys, tailOf(string(key)))
	}
	return s
}

// TestG40_AReadSetHasWhatWasRead: every key that was read is in it, however coarse it has become,
// and it keeps to its bounds; as long as it is not coarse it has nothing else.
func TestG40_AReadSetHasWhatWasRead(t *testing.T) {
	const n = keyspace(7)
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 40))
		var r ReadSet
		key := func() []byte {
			table := string(rune('a' + rng.IntN(3)))
			if rng.IntN(3) == 0 {
				return append(n.indexEntries(table, "by"), fmt.Sprintf("%03d", rng.IntN(300))...)
			}
			return n.document(table, fmt.Sprintf("%03d", rng.IntN(300)))
		}
		var read [][2][]byte
		for range 1 + rng.IntN(150) {
			from, to := key(), key()
			switch rng.IntN(20) {
			case 0:
				from = n.documents("a")
				to = after(from)
			case 1:
				if string(from) >= string(to) {
					continue
				}
			default:
				to = append(slices.Clone(from), 0)
			}
			r.add(from, to)
			read = append(read, [2][]byte{from, to})
			if len(r.ranges) > maxReadRanges || r.bytes > maxReadBytes {
				t.Fatalf("it has %d ranges, %d bytes", len(r.ranges), r.bytes)
			}
		}
		bytes := 0
		for i, k := range r.ranges {
			bytes += k.size()
			if k.from >= k.to || i > 0 && r.ranges[i-1].to >= k.from {
				t.Fatalf("the ranges %q are not in order", r.ranges)
			}
		}
		if bytes != r.bytes {
			t.Fatalf("it counts %d bytes, it has %d", r.bytes, bytes)
		}
		for range 400 {
			k := key()
			was := slices.ContainsFunc(read, func(at [2][]byte) bool { return string(at[0]) <= string(k) && string(k) < string(at[1]) })
			if was && !r.Meets(keysOf(k)) {
				t.Fatalf("seed %d: %q was read and is not in %q", seed, k, r.ranges)
			}
			if few := len(read) < maxReadRanges; few && !was && r.Meets(keysOf(k)) {
				t.Fatalf("seed %d: %q was not read and is in %q", seed, k, r.ranges)
			}
			many := keysOf([]byte("\x00\x00\x00\x07zz"), k, n.prefix(tagGroup), n.prefix(tagLog))
			if r.Meets(many) != r.Meets(keysOf(k)) {
				t.Fatalf("seed %d: %q is in it only alone, or only beside others", seed, k)
			}
		}
	}
}

// TestG40_AReadSetIsWidenedToTables: with 64 ranges it is exact, with one more the table of most
// of them counts as read whole, and no other.
func TestG40_AReadSetIsWidenedToTables(t *testing.T) {
	const n = keyspace(7)
	var r ReadSet
	r.addKey(n.document("small", "x"))
	for i := range maxReadRanges - 1 {
		r.addKey(n.document("big", fmt.Sprint(i)))
	}
	other := keysOf(n.document("big", "other"))
	if r.Meets(other) {
		t.Error("with 64 ranges it is not exact")
	}
	r.addKey(n.document("big", "64"))
	if !r.Meets(other) || !r.Meets(keysOf(n.document("big", "3"))) || !r.Meets(keysOf(n.document("small", "x"))) {
		t.Error("with 65 ranges the table was not read, or what was read is not")
	}
	for _, key := range [][]byte{n.document("small", "y"), n.document("bigger", "3"), n.document("bi", "3"), n.indexEntries("big", "by")} {
		if r.Meets(keysOf(key)) {
			t.Errorf("with 65 ranges %q counts as read", key)
		}
	}
	// Many tables: what is left is to widen to all of a kind.
	for i := range 200 {
		r.addKey(n.document(fmt.Sprint("t", i), "x"))
	}
	if len(r.ranges) > maxReadRanges || !r.Meets(keysOf(n.document("t77", "x"))) {
		t.Errorf("of 200 tables it has %d ranges", len(r.ranges))
	}
	// Jobs are one table.
	r = ReadSet{}
	for i := range uint64(100) {
		r.addKey(n.place(tagQueue, place{seq: i * 2}))
	}
	if !r.Meets(keysOf(n.place(tagQueue, place{seq: 1}))) || r.Meets(keysOf(n.place(tagHistory, place{seq: 1}))) {
		t.Error("of many jobs the region was not read, or another one was")
	}
}
