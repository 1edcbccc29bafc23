package storage

import (
	"encoding/binary"
	"slices"
	"sort"
	"strings"
	"sync"
)

// These bound what a ReadSet keeps; what is beyond them makes it coarser.
const (
	maxReadRanges = 64
	maxReadBytes  = 16 << 10
)

// ReadSet is what a query has read of its app, as ranges of the app's keys. It may have more
// than that, and never less: with more than 64 ranges, or 16 KiB of them, the ranges of one
// table become the whole table. Its methods may be called from any goroutine. For engines.
type ReadSet struct {
	mu     sync.Mutex
	ranges []keyRange // Invariant: in order, and none meets or touches the next
	bytes  int
}

// keyRange is [from, to) of an app's keys, without the app's number: an app has none before it
// exists, and another one when it is made again.
type keyRange struct{ from, to string }

// endOfKeys lies behind all keys of an app: a tag is ASCII.
const endOfKeys = "\xff"

// tailOf is what follows the app's number in a key.
func tailOf(key string) string { return key[min(len(key), numberLen):] }

// add adds [from, to), whole keys, of which to may be nil or of a later app: all the rest.
func (r *ReadSet) add(from, to []byte) {
	if r == nil {
		return
	}
	end := endOfKeys
	if len(to) > numberLen && binary.BigEndian.Uint32(from) == binary.BigEndian.Uint32(to) {
		end = string(to[numberLen:])
	}
	r.insert(keyRange{string(from[numberLen:]), end})
}

// addKey adds one key.
func (r *ReadSet) addKey(key []byte) {
	if r != nil {
		tail := tailOf(string(key))
		r.insert(keyRange{tail, tail + "\x00"})
	}
}

// addUnder adds all keys that begin with prefix.
func (r *ReadSet) addUnder(prefix []byte) {
	if r != nil {
		r.add(prefix, after(prefix))
	}
}

func (r *ReadSet) insert(add keyRange) {
	if add.from >= add.to {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(add)
	for level := range 2 {
		for len(r.ranges) > maxReadRanges || r.bytes > maxReadBytes {
			if !r.widen(level) {
				break
			}
		}
	}
}

// put adds a range to those that there are. The lock is held.
func (r *ReadSet) put(add keyRange) {
	i := sort.Search(len(r.ranges), func(i int) bool { return r.ranges[i].to >= add.from })
	j := i
	for ; j < len(r.ranges) && r.ranges[j].from <= add.to; j++ {
		add.from, add.to = min(add.from, r.ranges[j].from), max(add.to, r.ranges[j].to)
		r.bytes -= r.ranges[j].size()
	}
	r.ranges = slices.Replace(r.ranges, i, j, add)
	r.bytes += add.size()
}

func (k keyRange) size() int { return len(k.from) + len(k.to) }

// wide is what a range is widened to: at level 0 all keys of its kind of its table, at level 1
// all of its kind.
func (k keyRange) wide(level int) keyRange {
	if k.from == "" {
		return k
	}
	prefix := k.from[:1]
	if k.to > string(after([]byte(prefix))) {
		return k // it is of several kinds, of which there are few
	}
	if level == 0 {
		switch tag(prefix[0]) {
		case tagDocument, tagIndex, tagMisfit:
			if end := strings.IndexByte(k.from, 0); end > 0 && k.to <= string(after([]byte(k.from[:end+1]))) {
				prefix = k.from[:end+1]
			}
		}
	}
	return keyRange{prefix, string(after([]byte(prefix)))}
}

// widen widens those ranges that are widened to the same and take the most room. It says
// whether that has changed anything. The lock is held.
func (r *ReadSet) widen(level int) bool {
	rooms := map[keyRange]int{}
	var widest keyRange
	for _, k := range r.ranges {
		if w := k.wide(level); w != k {
			// Ranges count, and so do bytes.
			if rooms[w] += maxReadBytes/maxReadRanges + k.size(); rooms[w] > rooms[widest] || rooms[w] == rooms[widest] && w.from < widest.from {
				widest = w
			}
		}
	}
	if len(rooms) == 0 {
		return false
	}
	r.put(widest)
	return true
}

// Weight is how many bytes of memory it holds, about.
func (r *ReadSet) Weight() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return 64 + 32*len(r.ranges) + r.bytes
}

// Meets says whether one of the keys was read, or might have been.
func (r *ReadSet) Meets(written *KeySet) bool {
	keys := written.sorted()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(keys) < len(r.ranges) {
		return slices.ContainsFunc(keys, func(key string) bool {
			i := sort.Search(len(r.ranges), func(i int) bool { return r.ranges[i].to > key })
			return i < len(r.ranges) && r.ranges[i].from <= key
		})
	}
	return slices.ContainsFunc(r.ranges, func(k keyRange) bool {
		i, _ := slices.BinarySearch(keys, k.from)
		return i < len(keys) && keys[i] < k.to
	})
}

// KeySet are keys of one app that were written. For engines.
type KeySet struct {
	keys  []string // without the app's number
	ready bool     // they are in order
}

// Add adds what was written.
func (s *KeySet) Add(w *JobWrites) {
	w.writes.m.Scan(func(key string, _ write) bool {
		s.keys = append(s.keys, tailOf(key))
		return true
	})
	s.ready = false
}

// StartOf is that a handler of the job begins, as if a transaction had written its claim anew:
// none does, and the job shows as running from then on. For engines.
func StartOf(job *Job) *JobWrites {
	w := new(JobWrites)
	w.writes.put(w.keys.place(tagClaim, job.place), nil)
	return w
}

// Len is how many there are; one that was written twice may count twice.
func (s *KeySet) Len() int { return len(s.keys) }

func (s *KeySet) sorted() []string {
	if !s.ready {
		slices.Sort(s.keys)
		s.keys, s.ready = slices.Compact(s.keys), true
	}
	return s.keys
}

// Recording is another Reader of the snapshot, and what is read through it, as far as it was.
// It ends with the snapshot.
func (s *Snapshot) Recording() (Reader, *ReadSet) {
	v := s.v
	v.reads = new(ReadSet)
	return &v, v.reads
}
