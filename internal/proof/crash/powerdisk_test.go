package crash_test

import (
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// This file is a disk that knows what a power cut may leave of a record: of each
// file what was synced, and of what was written since any part, sector by sector;
// of each directory the same, entry by entry.

// sectorSize is what a disk writes wholly or not at all.
const sectorSize = 512

// platter is the state of that disk at one moment of a record.
type platter struct {
	root  string            // entries outside of it are of no concern
	live  map[string]*inode // by path: what the process sees; nil is a directory
	names map[string]*inode // by path: the entries that are durable
	moves []*nameChange     // entries changed since, oldest first
	syncs map[*diskCall]syncSet
}

// inode is a file.
type inode struct {
	sectors map[int64][]byte // by number, the durable ones
	size    int64            // durable
	changes []*fileChange    // not durable, oldest first
}

// fileChange is a write or a truncation on its way to the disk. A sync that fails
// leaves it lost: it may or may not have come there, and no later sync sees to it.
type fileChange struct {
	call  *diskCall
	ended bool
	lost  bool
	gone  map[int64]bool // sectors that were written again since, durably
}

// nameChange is an entry that is made, removed, or both: renamed.
type nameChange struct {
	dir     string // they are all in one
	made    string // "" is none
	file    *inode // under that name; nil is a directory
	removed string // "" is none
}

// syncSet is what a sync that is under way makes durable.
type syncSet struct {
	file    *inode
	changes []*fileChange
	moves   []*nameChange
}

func newPlatter(root string) *platter {
	return &platter{root: root, live: map[string]*inode{}, names: map[string]*inode{}, syncs: map[*diskCall]syncSet{}}
}

// event has the disk take note of a call's beginning or end.
func (p *platter) event(e diskEvent) {
	if !strings.HasPrefix(e.path, p.root) {
		return
	}
	switch e.name {
	case "pwrite64", "ftruncate":
		p.change(e)
	case "fsync", "fdatasync":
		p.sync(e)
	case "openat", "mkdirat", "unlinkat", "rename", "renameat", "renameat2":
		// What a call has done to a directory shows in its answer.
		if e.ended && e.ret >= 0 {
			p.move(e.diskCall)
		}
	}
}

func (p *platter) change(e diskEvent) {
	file := p.live[e.path]
	if file == nil {
		return
	}
	if !e.ended {
		file.changes = append(file.changes, &fileChange{call: e.diskCall, gone: map[int64]bool{}})
		return
	}
	i := slices.IndexFunc(file.changes, func(c *fileChange) bool { return c.call == e.diskCall })
	if file.changes[i].ended = true; e.ret < 0 {
		file.changes = slices.Delete(file.changes, i, i+1) // it was refused
	} else if e.name == "pwrite64" {
		e.data = e.data[:e.ret]
	}
}

func (p *platter) sync(e diskEvent) {
	if !e.ended {
		s := syncSet{file: p.live[e.path]}
		if s.file != nil {
			for _, c := range s.file.changes {
				if c.ended && !c.lost {
					s.changes = append(s.changes, c)
				}
			}
		}
		for _, m := range p.moves {
			if m.dir == e.path {
				s.moves = append(s.moves, m)
			}
		}
		p.syncs[e.diskCall] = s
		return
	}
	s := p.syncs[e.diskCall]
	delete(p.syncs, e.diskCall)
	if e.ret < 0 {
		for _, c := range s.changes {
			c.lost = c.call.name == "pwrite64"
		}
		return
	}
	for _, m := range s.moves {
		m.apply(p.names)
	}
	p.moves = slices.DeleteFunc(p.moves, func(m *nameChange) bool { return slices.Contains(s.moves, m) })
	if s.file != nil {
		s.file.settle(s.changes)
	}
}

// settle makes the changes durable.
func (f *inode) settle(changes []*fileChange) {
	durable := map[*fileChange]bool{}
	for _, c := range changes {
		durable[c] = true
	}
	for i, c := range f.changes {
		if !durable[c] {
			continue
		}
		if c.call.name == "ftruncate" {
			f.size = c.call.at
			continue
		}
		for at, sector := range c.sectors() {
			f.sectors[at] = sector
			for _, older := range f.changes[:i] {
				older.gone[at] = true
			}
		}
		f.size = max(f.size, c.call.at+int64(len(c.call.data)))
	}
	f.changes = slices.DeleteFunc(f.changes, func(c *fileChange) bool { return durable[c] })
}

// sectors yields what is written, by the number of the sector in the file.
func (c *fileChange) sectors() map[int64][]byte {
	sectors := map[int64][]byte{}
	for i := 0; c.call.name == "pwrite64" && i < len(c.call.data); i += sectorSize {
		sectors[(c.call.at+int64(i))/sectorSize] = c.call.data[i:min(i+sectorSize, len(c.call.data))]
	}
	return sectors
}

func (p *platter) move(call *diskCall) {
	m := &nameChange{dir: path.Dir(call.path)}
	switch call.name {
	case "mkdirat":
		m.made = call.path
	case "unlinkat":
		m.removed = call.path
	case "openat":
		if _, ok := p.live[call.path]; ok || !call.creates {
			return
		}
		m.made, m.file = call.path, &inode{sectors: map[int64][]byte{}}
	default:
		m.made, m.file, m.removed = call.to, p.live[call.path], call.path
	}
	m.apply(p.live)
	p.moves = append(p.moves, m)
}

func (m *nameChange) apply(names map[string]*inode) {
	if m.removed != "" {
		delete(names, m.removed)
	}
	if m.made != "" {
		names[m.made] = m.file
	}
}

// mercy says how much of what was not synced survives a power cut.
type mercy string

// The mercies.
const (
	keepNone  mercy = "nothing"
	keepAll   mercy = "everything"
	keepSome  mercy = "some writes"
	keepParts mercy = "some sectors"
)

// mercies in the order in which they are tried.
var mercies = []mercy{keepNone, keepParts, keepSome, keepAll}

// keeps says whether something that was not synced has come to the disk.
func (m mercy) keeps() bool { return m == keepAll || m != keepNone && rand.IntN(2) == 0 }

// cut writes what a power cut now may leave of the directory into dir, which is
// there and empty.
func (p *platter) cut(of, dir string, m mercy) error {
	names := maps.Clone(p.names)
	for _, move := range p.moves {
		if m.keeps() {
			move.apply(names)
		}
	}
	if _, ok := names[of]; !ok {
		return nil // not even the directory
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		inside, ok := strings.CutPrefix(name, of+"/")
		if _, parent := names[path.Dir(name)]; !ok || !parent {
			continue
		}
		var err error
		if place := filepath.Join(dir, inside); names[name] == nil {
			err = os.Mkdir(place, 0o700)
		} else {
			err = names[name].cut(place, m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *inode) cut(name string, m mercy) error {
	out, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fs.FileMode(0o600))
	if err != nil {
		return err
	}
	defer out.Close()
	if err := out.Truncate(f.size); err != nil {
		return err
	}
	for at, sector := range f.sectors {
		if _, err := out.WriteAt(sector, at*sectorSize); err != nil {
			return err
		}
	}
	for _, c := range f.changes {
		whole := m.keeps()
		if c.call.name == "ftruncate" && whole {
			if err := out.Truncate(c.call.at); err != nil {
				return err
			}
		}
		for at, sector := range c.sectors() {
			kept := whole
			if m == keepParts {
				kept = m.keeps()
			}
			if !kept || c.gone[at] {
				continue
			}
			if _, err := out.WriteAt(sector, at*sectorSize); err != nil {
				return err
			}
		}
	}
	return nil
}
