package boltfile

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
)

// This file reads bbolt's pages. bbolt trusts what it maps: a damaged page makes
// it panic, recurse for ever, or follow a pointer out of the file. Here every
// number of a page is compared with its bounds before it is used (K6).
//
//	page     id 8 | flags 2 | count 2 | overflow 4 | count elements | keys and values
//	leaf     flags 4 | position 4 | key length 4 | value length 4
//	branch   position 4 | key length 4 | page 8
//	freelist count numbers of 8; if count is 0xffff the first of them is the count
//	meta     magic 4 | version 4 | page size 4 | flags 4 | root 8 | sequence 8 |
//	         freelist 8 | pages 8 | transaction 8 | checksum 8
//
// A position counts from its element. Integers are in the machine's byte order.
const (
	headerLen  = 16
	elementLen = 16
	bucketLen  = 16 // root and sequence of a bucket, before its page if that is inline
	metaLen    = 64

	branchFlag   = 0x01
	leafFlag     = 0x02
	metaFlag     = 0x04
	freelistFlag = 0x10

	plainFlags  = 0 // of a leaf's element
	bucketFlags = 1

	metaMagic   = 0xED0CDAED
	metaVersion = 2

	// maxDepth bounds the way down a tree. A sound one of 2^32 pages is less deep.
	maxDepth = 32
)

var order = binary.NativeEndian

// meta is a meta page that says of itself that it is whole.
type meta struct {
	root, freelist, pages, txid uint64
	pageSize                    int
}

// decodeMeta reads the meta page at the beginning of data. ok is false if it is none.
func decodeMeta(data []byte) (m meta, ok bool) {
	if len(data) < headerLen+metaLen {
		return meta{}, false
	}
	data = data[headerLen : headerLen+metaLen]
	sum := fnv.New64a()
	sum.Write(data[:metaLen-8]) // a hash never fails
	if order.Uint32(data) != metaMagic || order.Uint32(data[4:]) != metaVersion || order.Uint64(data[56:]) != sum.Sum64() {
		return meta{}, false
	}
	return meta{
		pageSize: int(order.Uint32(data[8:])),
		root:     order.Uint64(data[16:]),
		freelist: order.Uint64(data[32:]),
		pages:    order.Uint64(data[40:]),
		txid:     order.Uint64(data[48:]),
	}, true
}

// tree is the pages of a file as of one commit.
type tree struct {
	db      *DB
	data    []byte // the mapped file, up to the last page of that commit
	size    int    // of a page
	sealing sealing
}

func (t *tree) pages() uint64 { return uint64(len(t.data) / t.size) }

// has says whether the page may be one that something refers to.
func (t *tree) has(id uint64) bool { return id >= 2 && id < t.pages() }

// page is a leaf or a branch. Its elements are looked at when they are used.
type page struct {
	t     *tree
	id    uint64 // of the page that holds it, if it is inline
	data  []byte // with the pages that overflow it
	leaf  bool
	count int
}

// page returns the page of that number, which must be a leaf or a branch. A panic
// with a *Damage says that it is neither.
func (t *tree) page(id uint64) page {
	flags, count, data := t.header(id)
	p := page{t: t, id: id, data: data, leaf: flags == leafFlag, count: count}
	if flags != leafFlag && flags != branchFlag {
		p.bad("its type is %#x, which is neither a leaf nor a branch", flags)
	}
	p.sized()
	return p
}

// header reads the header of a page and returns its bytes, with those of the pages
// that overflow it.
func (t *tree) header(id uint64) (flags uint16, count int, data []byte) {
	if !t.has(id) {
		panic(t.db.damaged(id, "it is referred to, and the file has %d pages", t.pages()))
	}
	if t.db.abandoned.Load() {
		panic(errAbandoned)
	}
	data = t.data[id*uint64(t.size):]
	if own := order.Uint64(data); own != id {
		panic(t.db.damaged(id, "it says that it is page %d", own))
	}
	overflow := uint64(order.Uint32(data[12:]))
	if overflow >= t.pages()-id {
		panic(t.db.damaged(id, "%d pages overflow it, and the file has %d", overflow, t.pages()))
	}
	return order.Uint16(data[8:]), int(order.Uint16(data[10:])), data[:(overflow+1)*uint64(t.size)]
}

// inline returns the page inside the value of a small bucket.
func (t *tree) inline(id uint64, value []byte) page {
	p := page{t: t, id: id, data: value[bucketLen:], leaf: true}
	if len(p.data) < headerLen || order.Uint16(p.data[8:]) != leafFlag {
		p.bad("a bucket in it is no leaf")
	}
	p.count = int(order.Uint16(p.data[10:]))
	p.sized()
	return p
}

func (p *page) bad(format string, args ...any) { panic(p.t.db.damaged(p.id, format, args...)) }

func (p *page) sized() {
	if headerLen+p.count*elementLen > len(p.data) || p.count == 0 && !p.leaf {
		p.bad("it has %d elements in %d bytes", p.count, len(p.data))
	}
}

// cut returns the n bytes at the position, which counts from the element.
func (p *page) cut(element int, position, n uint64) []byte {
	from := uint64(headerLen+element*elementLen) + position
	if from < uint64(headerLen+p.count*elementLen) || from+n > uint64(len(p.data)) {
		p.bad("its element %d lies outside of it", element)
	}
	return p.data[from : from+n : from+n]
}

func (p *page) element(i int) []byte { return p.data[headerLen+i*elementLen:][:elementLen] }

func (p *page) key(i int) []byte {
	e := p.element(i)
	if p.leaf {
		return p.cut(i, uint64(order.Uint32(e[4:])), uint64(order.Uint32(e[8:])))
	}
	return p.cut(i, uint64(order.Uint32(e)), uint64(order.Uint32(e[4:])))
}

// value returns the value of a leaf's element, whose flags must be those.
func (p *page) value(i int, flags uint32) []byte {
	e := p.element(i)
	if got := order.Uint32(e); got != flags {
		p.bad("its element %d has the flags %#x", i, got)
	}
	klen := uint64(order.Uint32(e[8:]))
	return p.cut(i, uint64(order.Uint32(e[4:]))+klen, uint64(order.Uint32(e[12:])))
}

// child returns the page that a branch's element refers to.
func (p *page) child(i int) uint64 {
	id := order.Uint64(p.element(i)[8:])
	if !p.t.has(id) {
		p.bad("its element %d refers to page %d of %d", i, id, p.t.pages())
	}
	return id
}

// search returns the first element whose key is not below the key, and whether it
// is the key.
func (p *page) search(key []byte) (i int, equal bool) {
	low, high := 0, p.count
	for low < high {
		mid := int(uint(low+high) / 2)
		switch c := bytes.Compare(p.key(mid), key); {
		case c < 0:
			low = mid + 1
		case c == 0:
			return mid, true
		default:
			high = mid
		}
	}
	return low, false
}

// towards returns the element of a branch below which the key is, if anywhere.
func (p *page) towards(key []byte) int {
	i, equal := p.search(key)
	if !equal && i > 0 {
		i--
	}
	return i
}

// verify looks at all that the page says of itself. bbolt writes elements without
// a gap and their keys in order, and takes no more pages than they fill; every key
// lies in [low, high), where nil is no bound. flags are those of a leaf's elements.
func (p *page) verify(flags uint32, low, high []byte) {
	at := uint64(headerLen + p.count*elementLen)
	previous := low
	for i := range p.count {
		key := p.key(i)
		var value []byte
		if p.leaf {
			value = p.value(i, flags)
		} else if p.child(i) == p.id {
			p.bad("its element %d refers to the page itself", i)
		}
		if from := p.cut(i, at-uint64(headerLen+i*elementLen), uint64(len(key))); len(key) == 0 || &from[0] != &key[0] {
			p.bad("its element %d does not lie behind the one before", i)
		}
		if c := bytes.Compare(previous, key); c > 0 || c == 0 && i > 0 || high != nil && bytes.Compare(key, high) >= 0 {
			p.bad("its key %d is out of order", i)
		}
		previous = key
		at += uint64(len(key) + len(value))
	}
	// One more than is filled is what the freelist may have, and older versions took.
	if fills := (at + uint64(p.t.size) - 1) / uint64(p.t.size); uint64(len(p.data)/p.t.size) > fills+1 ||
		uint64(len(p.data)/p.t.size) > fills && at%uint64(p.t.size) != 0 {
		p.bad("it takes %d pages and fills %d", len(p.data)/p.t.size, fills)
	}
}
