package waltest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"

	"carillon/storage/internal/wal"
)

const (
	sectorSize = 512  // what a disk writes wholly or not at all
	blockSize  = 4096 // what a file has, or has not, on the disk
)

// ErrDead is the error of every call of a disk whose process was killed.
var ErrDead = errors.New("process is dead")

// Call is a call of a Disk.
type Call struct {
	N    int    // 1 is the first
	Name string // create, open, write, fill (zeros), sync, datasync, rename, remove, syncdir, lock, list, read
	File string
}

// Fate is what becomes of a call.
type Fate int

// The fates.
const (
	Succeed Fate = iota
	Fail         // it is an error: a write is done in part, a sync leaves its writes lost
	Die          // it is done, perhaps in part, and the process dies
)

// Disk is a directory in memory that knows what a power cut may leave of it. Its zero
// value is empty.
type Disk struct {
	Fate  func(Call) Fate // of each call that changes something; nil: Succeed
	Space int             // bytes of blocks that files may have in all; 0 is no bound
	// Unreadable says that a part of a file cannot be read; nil: all can.
	Unreadable func(file string, at, size int64) bool

	mu    sync.Mutex
	live  map[string]*inode // what the process sees
	names map[string]*inode // the names that are durable
	moves []move            // changes of names that are not, oldest first
	calls int
	locks int // that are held; -1 if one that is not shared is
	holes int
	dead  bool
	rnd   *rand.Rand
}

type move struct {
	made, gone string
	file       *inode
}

// inode is a file.
type inode struct {
	data    []byte            // what the process sees
	disk    []byte            // what is durable
	pending map[int64]*sector // what is not, by number
	blocks  map[int64]bool    // that it has, by number; the others are holes
	synced  map[int64]bool    // of them, those that are durable
}

func newInode(data []byte, blocks map[int64]bool) *inode {
	return &inode{
		data: data, disk: bytes.Clone(data), pending: map[int64]*sector{},
		blocks: maps.Clone(blocks), synced: maps.Clone(blocks),
	}
}

// sector was written since it was synced.
type sector struct {
	versions [][]byte
	lost     bool // a sync has failed: no later one writes it
}

// NewDisk returns an empty disk. Its chances are those of the seed.
func NewDisk(seed uint64) *Disk {
	return &Disk{live: map[string]*inode{}, names: map[string]*inode{}, rnd: rand.New(rand.NewPCG(seed, 1))}
}

// Calls is how many calls there were that change something.
func (d *Disk) Calls() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

// Holes is how many blocks were written, other than with zeros, that their file did not have
// durably.
func (d *Disk) Holes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.holes
}

// Kill ends the process. The system goes on, with all that it was given.
func (d *Disk) Kill() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	next := NewDisk(d.rnd.Uint64())
	next.live, next.names, next.moves, next.Space = d.live, d.names, d.moves, d.Space
	return next
}

// Cut cuts the power: of what was not synced, nothing is left, all, or some sectors and
// some names, as keeps says.
func (d *Disk) Cut(keeps func(*rand.Rand) bool) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	next := NewDisk(d.rnd.Uint64())
	next.Space = d.Space
	names := maps.Clone(d.names)
	for _, m := range d.moves {
		if keeps(d.rnd) {
			m.apply(names)
		}
	}
	for name, file := range names {
		data := bytes.Clone(file.disk)
		if len(file.data) > len(data) && keeps(d.rnd) {
			data = append(data, make([]byte, len(file.data)-len(data))...)
		}
		blocks := maps.Clone(file.synced)
		for _, at := range slices.Sorted(maps.Keys(file.pending)) {
			if s := file.pending[at]; keeps(d.rnd) && at*sectorSize < int64(len(data)) {
				version := s.versions[len(s.versions)-1]
				if !keeps(d.rnd) {
					version = s.versions[d.rnd.IntN(len(s.versions))]
				}
				copy(data[at*sectorSize:], version)
				blocks[at*sectorSize/blockSize] = true
			}
		}
		file := newInode(data, blocks)
		next.live[name], next.names[name] = file, file
	}
	return next
}

// The mercies of a power cut.
func KeepNone(*rand.Rand) bool     { return false }
func KeepAll(*rand.Rand) bool      { return true }
func KeepSome(rnd *rand.Rand) bool { return rnd.IntN(2) == 0 }

// Copy returns a disk of the same files, all of it durable.
func (d *Disk) Copy() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := NewDisk(d.rnd.Uint64())
	for name, file := range d.live {
		file := newInode(bytes.Clone(file.data), file.blocks)
		next.live[name], next.names[name] = file, file
	}
	return next
}

// Bytes returns a copy of the file.
func (d *Disk) Bytes(name string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return bytes.Clone(d.live[name].data)
}

// Spoil changes the file, behind the log's back and durably.
func (d *Disk) Spoil(name string, change func([]byte)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d.live[name].data)
	change(d.live[name].disk)
}

// Truncate cuts the file off, behind the log's back.
func (d *Disk) Truncate(name string, size int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.live[name].data, d.live[name].disk = d.live[name].data[:size], d.live[name].disk[:size]
}

// call counts the call and returns its fate.
func (d *Disk) call(name, file string) (Fate, error) {
	if d.dead {
		return Die, ErrDead
	}
	if name == "read" || name == "list" || name == "open" {
		return Succeed, nil
	}
	d.calls++
	fate := Succeed
	if d.Fate != nil {
		fate = d.Fate(Call{d.calls, name, file})
	}
	switch fate {
	case Die:
		d.dead = true
		return fate, fmt.Errorf("%s %s: %w", name, file, ErrDead)
	case Fail:
		return fate, fmt.Errorf("%s %s: %w", name, file, syscall.EIO)
	}
	return fate, nil
}

// Lock is wal.Disk's.
func (d *Disk) Lock(shared bool) (func() error, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.call("lock", ""); err != nil {
		return nil, err
	}
	if d.locks < 0 || d.locks > 0 && !shared {
		return nil, wal.ErrLocked
	}
	if d.locks++; !shared {
		d.locks = -1
	}
	return func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.locks = max(d.locks-1, 0)
		return nil
	}, nil
}

// List is wal.Disk's.
func (d *Disk) List() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.call("list", "")
	return slices.Sorted(maps.Keys(d.live)), err
}

// Create is wal.Disk's.
func (d *Disk) Create(name string) (wal.DiskFile, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.live[name] != nil {
		return nil, fs.ErrExist
	}
	file := newInode(nil, map[int64]bool{})
	return &diskFile{d, name, file}, d.move("create", move{made: name, file: file})
}

// Open is wal.Disk's.
func (d *Disk) Open(name string, _ bool) (wal.DiskFile, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.call("open", name)
	if err == nil && d.live[name] == nil {
		err = fs.ErrNotExist
	}
	return &diskFile{d, name, d.live[name]}, err
}

// Rename is wal.Disk's.
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.move("rename", move{made: to, gone: from, file: d.live[from]})
}

// Remove is wal.Disk's.
func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.dead && d.live[name] == nil {
		return fs.ErrNotExist
	}
	return d.move("remove", move{gone: name})
}

func (d *Disk) move(name string, m move) error {
	fate, err := d.call(name, m.made+m.gone)
	if fate == Fail || err == ErrDead { // dead before the call
		return err
	}
	m.apply(d.live)
	d.moves = append(d.moves, m)
	return err
}

func (m move) apply(names map[string]*inode) {
	delete(names, m.gone)
	if m.made != "" {
		names[m.made] = m.file
	}
}

// Sync is wal.Disk's.
func (d *Disk) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.call("syncdir", ""); err != nil {
		return err
	}
	for _, m := range d.moves {
		m.apply(d.names)
	}
	d.moves = nil
	return nil
}

type diskFile struct {
	disk *Disk
	name string
	*inode
}

func (f *diskFile) ReadAt(p []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if _, err := f.disk.call("read", f.name); err != nil {
		return 0, err
	}
	if u := f.disk.Unreadable; u != nil && u(f.name, at, int64(len(p))) {
		return 0, syscall.EIO
	}
	n := copy(p, f.data[min(at, int64(len(f.data))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *diskFile) WriteAt(p []byte, at int64) (int, error) {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	name := "write"
	if len(bytes.Trim(p, "\x00")) == 0 {
		name = "fill"
	}
	fate, err := d.call(name, f.name)
	if err == ErrDead {
		return 0, err
	}
	if fate != Succeed {
		p = p[:d.rnd.IntN(len(p)/sectorSize+1)*sectorSize]
	}
	room := math.MaxInt
	if d.Space > 0 {
		room = d.Space / blockSize
		for _, file := range d.live {
			room -= len(file.blocks)
		}
	}
	for block := at / blockSize; block*blockSize < at+int64(len(p)); block++ {
		if !f.blocks[block] && room <= 0 {
			p = p[:max(block*blockSize-at, 0)]
			err = errors.Join(err, syscall.ENOSPC)
			continue
		}
		if name == "write" && !f.synced[block] {
			d.holes++
		}
		if !f.blocks[block] {
			f.blocks[block] = true
			room--
		}
	}
	f.write(p, at)
	if err != nil {
		return len(p), err
	}
	return len(p), nil
}

// write writes whole sectors.
func (f *inode) write(p []byte, at int64) {
	if grows := int(at) + len(p) - len(f.data); grows > 0 {
		f.data = append(f.data, make([]byte, grows)...)
	}
	copy(f.data[at:], p)
	for i := at / sectorSize; i*sectorSize < at+int64(len(p)); i++ {
		s := f.pending[i]
		if s == nil {
			s = &sector{}
			f.pending[i] = s
		}
		s.versions = append(s.versions, bytes.Clone(f.data[i*sectorSize:min((i+1)*sectorSize, int64(len(f.data)))]))
		s.lost = false
	}
}

func (f *diskFile) Sync() error     { return f.sync("sync") }
func (f *diskFile) Datasync() error { return f.sync("datasync") }

func (f *diskFile) sync(name string) error {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	fate, err := d.call(name, f.name)
	if err != nil {
		for _, s := range f.pending {
			s.lost = s.lost || fate == Fail
		}
		return err
	}
	if name == "sync" {
		f.disk.grow(f.inode)
	}
	for at, s := range f.pending {
		if at*sectorSize < int64(len(f.inode.disk)) && !s.lost {
			copy(f.inode.disk[at*sectorSize:], s.versions[len(s.versions)-1])
			f.synced[at*sectorSize/blockSize] = true
			delete(f.pending, at)
		}
	}
	return nil
}

// grow makes the size durable.
func (d *Disk) grow(f *inode) {
	if n := len(f.data) - len(f.disk); n > 0 {
		f.disk = append(f.disk, make([]byte, n)...)
	}
}

func (f *diskFile) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	_, err := f.disk.call("read", f.name)
	return int64(len(f.data)), err
}

// Present is wal.DiskFile's.
func (f *diskFile) Present(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if _, err := f.disk.call("read", f.name); err != nil {
		return err
	}
	if f.disk.live[f.name] != f.inode || int64(len(f.data)) < size {
		return fmt.Errorf("%w: %s", wal.ErrReplaced, f.name)
	}
	return nil
}

func (f *diskFile) Close() error { return nil }

// SetFate sets Fate while the disk is in use.
func (d *Disk) SetFate(fate func(Call) Fate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Fate = fate
}
