package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"carillon/storage/internal/osdir"
)

// Space is one flat, ordered key space of a file.
type Space int

// The spaces of a file.
const (
	Meta   Space = iota // format, epoch, clock high-water mark
	Apps                // app name -> number
	Alarms              // due ‖ app number -> nothing
	Doomed              // app number -> nothing: keys that wait for garbage collection
	Data                // app number ‖ tag ‖ … -> record
	spaces
)

// names are the spaces' bucket names. Small spaces stay inline in the root
// page, so touching Meta with every commit costs no page of its own.
var names = [spaces][]byte{[]byte("meta"), []byte("apps"), []byte("alarms"), []byte("doomed"), []byte("data")}

// fillPercent leaves little air in a split page: most keys are inserted in
// ascending order within their app, and half-full pages would never be filled.
const fillPercent = 0.9

// Errors of opening and reading a file.
var (
	// ErrLocked says that another process or store has the file open.
	ErrLocked = osdir.ErrLocked
	// ErrBadFile says that the file is not one of ours, or is damaged.
	ErrBadFile = errors.New("not a usable volume file")
	// ErrReplaced says that the path is not that of the file any more: it was removed,
	// or another one has its name.
	ErrReplaced = errors.New("file was replaced or removed while it was open")
	// ErrUnsure says that what the file shows may not be durable: it must be opened anew.
	ErrUnsure = errors.New("file must be opened anew")
)

// Options of Open. The zero value is ready for use.
type Options struct {
	LockTimeout time.Duration // how long to wait for the file's lock; default 1 s
	NoSync      bool          // do not sync commits: a power cut may lose the last ones, or the file
	ReadOnly    bool          // write nothing and share the file's lock: Update is refused
}

// DB is one open file. Its methods may be called from any goroutine.
type DB struct {
	path     string
	file     *os.File // bbolt's
	info     os.FileInfo
	bolt     *bolt.DB
	pageSize int
	head     []byte         // the two meta pages, mapped; nil where that is not needed
	base     atomic.Uintptr // where bbolt has mapped the file
	readOnly bool
	updating sync.Mutex    // held by Update, and by Close
	commit   sync.RWMutex  // held by Update, and by readers that it must not commit beside
	trust    trust         // for Update
	size     atomic.Int64  // of what was committed when it was opened, or an Update last began
	writing  atomic.Uint64 // number of the commit that was begun last; 0 if there is none

	sealedFrom atomic.Int64 // number of the commit that made the file the second format; 0 if it always was
	upgraded   bool         // it was not always, or is not yet
	arena      []byte       // of the latest Update

	pins      atomic.Int64
	none      atomic.Pointer[chan struct{}] // closed when there is no Pin; nil until the file is closed
	broken    atomic.Pointer[Damage]        // bbolt has panicked: its locks and its memory cannot be trusted
	closed    atomic.Bool
	abandoned atomic.Bool // closed over the heads of Pins
	unmapped  atomic.Bool
	late      atomic.Bool // Pins were open for longer than Unpinned waits
}

// Create makes a new file at path, with init applied in its first commit. The
// file appears under its name only when it is whole and durable; an existing
// file is replaced, so callers check first.
func Create(path string, init func(*Txn) error) (err error) {
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := openBolt(tmp, Options{})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp)
		}
	}()
	err = db.bolt.Update(func(tx *bolt.Tx) error {
		t := &Txn{db: db, tx: tx, fresh: true}
		for i := range names {
			var err error
			if t.buckets[i], err = tx.CreateBucket(names[i]); err != nil {
				return err
			}
		}
		if err := t.Put(Meta, formatKey, binary.BigEndian.AppendUint64(nil, formatSealed)); err != nil {
			return err
		}
		return init(t)
	})
	// bbolt syncs what it commits, not what it only wrote when it made the file.
	err = errors.Join(err, db.bolt.Sync(), db.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return osdir.Sync(filepath.Dir(path))
}

// Open opens the file at path, which must exist. ErrBadFile says that it is none of
// ours; ErrDamaged that it is, and that what every use of it needs cannot be read.
func Open(path string, opts Options) (*DB, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.Size() == 0:
		return nil, fmt.Errorf("%w: %s is empty", ErrBadFile, filepath.Base(path)) // bbolt would fill it
	}
	db, err := openBolt(path, opts)
	if err != nil {
		return nil, err
	}
	if !opts.ReadOnly {
		err = db.settle()
	}
	if err == nil {
		err = db.lookAround()
	}
	if errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w: %w", ErrBadFile, err)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// lookAround looks at what every use of the file needs.
func (db *DB) lookAround() error {
	pin, err := db.Begin()
	if err != nil {
		return err
	}
	defer pin.Close()
	db.size.Store(pin.tx.Size())
	if size := db.info.Size(); pin.tx.Size() > size {
		return &Damage{File: filepath.Base(db.path), Page: -1, What: fmt.Sprintf("it is cut off at %d of %d bytes", size, pin.tx.Size())}
	}
	return pin.Read(func(snap *Snapshot) error {
		id := uint64(pin.tx.ID())
		m, ok := decodeMeta(snap.tree.data[id%2*uint64(db.pageSize):])
		if !ok || m.txid != id {
			return db.damaged(id%2, "it is not what was committed last")
		}
		if _, _, err := snap.tree.freelist(m.freelist); err != nil {
			return err
		}
		for i := range names {
			snap.root(Space(i))
		}
		return db.readFormat(snap)
	})
}

// openBolt opens or creates a bbolt file. bbolt panics on some torn files, and
// reads behind the end of others, so a panic or a fault is turned into an error
// here, and the lock given back that bbolt then keeps.
func openBolt(path string, opts Options) (*DB, error) {
	db := &DB{path: path, readOnly: opts.ReadOnly}
	if opts.LockTimeout <= 0 {
		opts.LockTimeout = time.Second
	}
	returned := false
	err := db.guarded(true, func() (err error) {
		db.bolt, err = bolt.Open(path, 0o600, &bolt.Options{
			Timeout:         opts.LockTimeout,
			FreelistType:    bolt.FreelistMapType,
			NoSync:          opts.NoSync,
			InitialMmapSize: initialMmapSize,
			NoStatistics:    true,
			ReadOnly:        opts.ReadOnly,
			OpenFile: func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
				db.file, err = os.OpenFile(name, flag, mode)
				return db.file, err
			},
		})
		returned = true
		return err
	})
	switch {
	case !returned:
		err = badFile(path, err)
		// The map that bbolt leaves behind keeps the lock.
		osdir.Unlock(db.file)
		db.file.Close()
		return nil, err
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w: %s", ErrLocked, filepath.Base(path))
	case err != nil && !errors.As(err, new(syscall.Errno)):
		// What the file system did not say is about what the file holds.
		return nil, badFile(path, err)
	case err != nil:
		return nil, err
	}
	db.pageSize = db.bolt.Info().PageSize
	if db.info, err = db.file.Stat(); err == nil {
		db.head, err = mapHead(db.file, 2*db.pageSize)
	}
	if err != nil {
		return nil, errors.Join(err, db.bolt.Close())
	}
	runtime.AddCleanup(db, unmapHead, db.head)
	return db, nil
}

// badFile says that the file is none of ours, or, if it has a meta page, that it is
// damaged.
func badFile(path string, err error) error {
	d, ok := errors.AsType[*Damage](err)
	if !ok {
		d = &Damage{File: filepath.Base(path), Page: -1, What: err.Error()}
	}
	head, size := make([]byte, 2*os.Getpagesize()), int64(0)
	if f, err := os.Open(path); err == nil {
		n, _ := f.ReadAt(head, 0)
		head = head[:n]
		if info, err := f.Stat(); err == nil {
			size = info.Size()
		}
		f.Close()
	}
	m, ours := decodeMeta(head)
	if !ours && len(head) > os.Getpagesize() {
		m, ours = decodeMeta(head[os.Getpagesize():])
	}
	if !ours {
		return fmt.Errorf("%w: %v", ErrBadFile, d)
	}
	if end := int64(m.pages) * int64(m.pageSize); size < end {
		d.What = fmt.Sprintf("it is cut off at %d of %d bytes", size, end)
	}
	return fmt.Errorf("%w: %w", ErrBadFile, d)
}

// CloseWait is how long Close waits for open Pins.
const CloseWait = time.Second

// Close closes the file. It waits for open Pins, and after CloseWait closes it over
// their heads: they read no more (ErrAbandoned). If an Update is under way the file
// stays open and locked, and that is the error.
func (db *DB) Close() error {
	if !db.closed.CompareAndSwap(false, true) {
		return nil
	}
	if !db.updating.TryLock() {
		return fmt.Errorf("%s: a commit is under way", filepath.Base(db.path))
	}
	defer db.updating.Unlock()
	if db.Unpinned() {
		if db.readOnly {
			// bbolt does not: it trusts that closing does, which the mapped head keeps it from.
			osdir.Unlock(db.file)
		}
		return db.bolt.Close()
	}
	db.abandoned.Store(true)
	osdir.Unlock(db.file)
	return db.file.Close()
}

// Unpinned waits until no Pin is open, for CloseWait at most, and says whether none is and
// the file can be written. The caller opens no more.
func (db *DB) Unpinned() bool {
	if db.broken.Load() != nil || db.late.Load() {
		return false
	}
	none := make(chan struct{})
	db.none.Store(&none)
	if db.pins.Load() == 0 {
		return true
	}
	late := time.NewTimer(CloseWait)
	defer late.Stop()
	select {
	case <-none:
		return true
	case <-late.C:
		db.late.Store(true)
		return false
	}
}

// usable says why the file cannot be used any more, or nil.
func (db *DB) usable() error {
	if d := db.broken.Load(); d != nil {
		return d
	}
	if db.closed.Load() {
		return fmt.Errorf("%s: %w", filepath.Base(db.path), ErrAbandoned)
	}
	return nil
}

// bbolt runs fn, which calls bbolt. Once it has panicked it is not called again:
// it leaves its locks locked.
func (db *DB) bbolt(fn func() error) error {
	if err := db.usable(); err != nil {
		return err
	}
	returned := false
	err := db.guarded(true, func() error {
		err := fn()
		returned = true
		return err
	})
	if d, ok := errors.AsType[*Damage](err); ok && !returned {
		db.broken.CompareAndSwap(nil, d)
	}
	return err
}

// Used is how many bytes of the file its pages take, free ones included. What is behind them
// is air, by which bbolt has grown the file ahead.
func (db *DB) Used() (int64, error) {
	pin, err := db.Begin()
	if err != nil {
		return 0, err
	}
	defer pin.Close()
	return pin.tx.Size(), nil
}

// Begin pins the file as of all that was committed before. It does not block,
// except while the file's map grows. Pins hold back page reuse: close them soon.
func (db *DB) Begin() (*Pin, error) {
	pin := &Pin{db: db}
	err := db.bbolt(func() (err error) {
		// bbolt panics if it finds no meta page, and keeps its locks.
		if !db.hasMeta() {
			return db.damaged(0, "neither it nor page 1 is a meta page")
		}
		if pin.tx, err = db.bolt.Begin(false); err == nil {
			pin.snap = db.snapshotOf(pin.tx, pin.tx.ID())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	db.pins.Add(1)
	return pin, nil
}

func (db *DB) hasMeta() bool {
	if db.head == nil {
		return true
	}
	_, ok := decodeMeta(db.head)
	if !ok {
		_, ok = decodeMeta(db.head[db.pageSize:])
	}
	return ok
}

// Present says whether the file still has its name, and is as long as it was when an
// Update last began: nil, ErrReplaced or ErrDamaged.
func (db *DB) Present() error { return db.present(db.size.Load()) }

// Sizes returns the bytes of the file, as they were when an Update last began, and those of its pages that
// are free, of which later Updates make use before the file grows. It waits for nothing.
func (db *DB) Sizes() (all, free int64) {
	if db.broken.Load() != nil {
		return db.size.Load(), 0
	}
	st := db.bolt.Stats()
	return db.size.Load(), int64(st.FreePageN+st.PendingPageN) * int64(db.pageSize)
}

// present says whether the file is still the one that has its name, and as long as
// it must be.
func (db *DB) present(size int64) error {
	info, err := os.Stat(db.path)
	switch {
	case errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(info, db.info):
		return fmt.Errorf("%w: %s", ErrReplaced, filepath.Base(db.path))
	case err == nil && info.Size() < size:
		return &Damage{File: filepath.Base(db.path), Page: -1, What: fmt.Sprintf("it was cut off at %d of %d bytes", info.Size(), size)}
	}
	return err
}
