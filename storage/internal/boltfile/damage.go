package boltfile

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"unsafe"
)

var (
	// ErrDamaged says that what the file holds breaks its own structure, or cannot be read.
	ErrDamaged = errors.New("file is damaged")
	// ErrAbandoned says that the file was closed while the snapshot was open.
	ErrAbandoned = errors.New("file was closed")
)

// Damage is an ErrDamaged that names the place.
type Damage struct {
	File  string // its name
	Page  int64  // -1 if it is not known
	What  string
	Space Space  // of Key
	Key   []byte // the key whose value is damaged; nil if it is more than one value
	Stack string // of a panic
}

// Error names the file, and the page unless it is that of a key, which each commit may move.
func (d *Damage) Error() string {
	if d.Page < 0 || d.Key != nil {
		return fmt.Sprintf("%s: %s", d.File, d.What)
	}
	return fmt.Sprintf("%s: page %d: %s", d.File, d.Page, d.What)
}

// Is says that a Damage is ErrDamaged.
func (d *Damage) Is(target error) bool { return target == ErrDamaged }

func (db *DB) damaged(page uint64, format string, args ...any) *Damage {
	return &Damage{File: filepath.Base(db.path), Page: int64(page), What: fmt.Sprintf(format, args...)}
}

// errAbandoned is the panic of a read of a file that was closed over its head.
var errAbandoned = errors.New("abandoned")

// guarded runs fn. A *Damage that it panics with, and a fault in the mapped file,
// which is how the system says that it cannot read a page, are its error. Any other
// panic goes on, unless of is set: then it is bbolt's, and how it reports damage.
func (db *DB) guarded(of bool, fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if v == errAbandoned {
			err = fmt.Errorf("%s: %w", filepath.Base(db.path), ErrAbandoned)
			return
		}
		if d, ok := v.(*Damage); ok {
			err = d
			return
		}
		if page, ok := db.faulted(v); ok {
			err = db.damaged(page, "it cannot be read")
			return
		}
		if !of {
			panic(v)
		}
		err = &Damage{File: filepath.Base(db.path), Page: -1, What: fmt.Sprint(v), Stack: string(debug.Stack())}
	}()
	return fn()
}

// faulted returns the page of the mapped file at which a panic says it faulted.
func (db *DB) faulted(v any) (page uint64, ok bool) {
	fault, ok := v.(interface{ Addr() uintptr })
	if !ok || db.pageSize == 0 {
		return 0, false
	}
	if len(db.head) > 0 {
		if base := uintptr(unsafe.Pointer(&db.head[0])); fault.Addr() >= base && fault.Addr() < base+uintptr(len(db.head)) {
			return uint64(fault.Addr()-base) / uint64(db.pageSize), true
		}
	}
	base := db.base.Load()
	if base == 0 || fault.Addr() < base || fault.Addr()-base >= maxMap {
		return 0, false
	}
	return uint64(fault.Addr()-base) / uint64(db.pageSize), true
}

// maxMap bounds the address space that the file is mapped into.
const maxMap = 1 << 40
