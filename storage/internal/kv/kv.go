// Package kv is the file under a volume: one bbolt database with four flat key
// spaces, ordered by byte, with snapshots and one writer.
//
// It is the only package that imports bbolt, and hides its traps: creation is
// safe against a crash, opening never waits for ever and never panics, a
// snapshot's bytes are copied by the caller before Close.
//
//	db, err := kv.Open(path, kv.Options{LockTimeout: time.Second})
//	err = db.Update(func(tx *kv.Txn) error { return tx.Put(kv.Data, key, value) })
//	snap, err := db.Begin()
//	defer snap.Close()
//	value := bytes.Clone(snap.Get(kv.Data, key))
//
// Invariants:
//
//	K1  A file under its final name always opens: it was committed, synced and renamed before.
//	K2  After Update returned nil its writes survive a power cut (unless NoSync).
//	K3  After Update returned an error the outcome is unknown until the file was opened anew.
//	K4  What BeginDurable shows survives a power cut (unless NoSync). bbolt itself shows
//	    a commit to readers before it has synced it, and after a sync that failed.
//	K5  Nothing is written to a file before the latest commit that it shows is durable:
//	    bbolt takes the pages of the one before it for free, and they are all there is
//	    if the power fails while the latest is not on the disk.
package kv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Space is one flat, ordered key space of a file.
type Space int

// The spaces of a file.
const (
	Meta   Space = iota // format, epoch, clock high-water mark
	Apps                // app name -> number
	Alarms              // due ‖ app number -> nothing
	Doomed              // app number -> nothing: keys to be swept away
	Data                // app number ‖ tag ‖ … -> record
	spaces
)

// names are the spaces' bucket names. Small spaces stay inline in the root
// page, so touching Meta with every commit costs no page of its own.
var names = [spaces][]byte{[]byte("meta"), []byte("apps"), []byte("alarms"), []byte("doomed"), []byte("data")}

// fillPercent leaves little air in a split page: most keys are inserted in
// ascending order within their app, and half-full pages would never be filled.
const fillPercent = 0.9

// initialMmapSize is address space, not memory. A large map makes remaps rare;
// a remap must wait for every open snapshot.
const initialMmapSize = 1 << 30

// Errors of opening and reading a file.
var (
	// ErrLocked says that another process or store has the file open.
	ErrLocked = errors.New("file is in use")
	// ErrBadFile says that the file is not one of ours, or is damaged.
	ErrBadFile = errors.New("not a usable volume file")
	// ErrNotDurable says that what the file shows may not be on the disk.
	ErrNotDurable = errors.New("file shows what may not be durable")
)

// Options of Open. The zero value is ready for use.
type Options struct {
	LockTimeout time.Duration // how long to wait for the file's lock; default 1 s
	NoSync      bool          // do not sync commits: a power cut may lose the last ones, or the file
}

// DB is one open file. Its methods may be called from any goroutine.
type DB struct {
	bolt    *bolt.DB
	durable atomic.Int64 // number of the latest commit of this process that was synced
	commit  sync.RWMutex // held by Update
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
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range names {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return init(newTxn(tx))
	})
	// bbolt syncs what it commits, not what it only wrote when it made the file.
	err = errors.Join(err, db.Sync(), db.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// MakeDir makes the directory, and those above it as needed, so that their names
// are durable.
func MakeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := MakeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return SyncDir(parent)
}

// SyncDir makes the names in the directory durable, which bbolt never does.
func SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// lockRetry is how often a lock that is held is tried again.
const lockRetry = 10 * time.Millisecond

// LockDir keeps every other process, and every other caller in this one, from
// passing LockDir of the directory until release is called. Files are made under
// this lock, since they have none before they have their name. ErrLocked if it
// is held for longer than the timeout.
func LockDir(dir string, timeout time.Duration) (release func() error, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(timeout); ; time.Sleep(lockRetry) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return f.Close, nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return nil, errors.Join(err, f.Close())
		case time.Now().After(deadline):
			return nil, errors.Join(fmt.Errorf("%w: directory", ErrLocked), f.Close())
		}
	}
}

// Open opens the file at path, which must exist.
func Open(path string, opts Options) (*DB, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.Size() == 0:
		return nil, fmt.Errorf("%w: %s is empty", ErrBadFile, filepath.Base(path)) // bbolt would fill it
	}
	b, err := openBolt(path, opts)
	if err != nil {
		return nil, err
	}
	db := &DB{bolt: b}
	if err := settle(b); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	err = db.view(func(tx *bolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("%w: %s is cut off at %d of %d bytes", ErrBadFile, filepath.Base(path), info.Size(), tx.Size())
		}
		for _, name := range names {
			if tx.Bucket(name) == nil {
				return fmt.Errorf("%w: %s has no space %q", ErrBadFile, filepath.Base(path), name)
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return db, nil
}

// settle makes the latest commit durable that the file shows (K5). Whoever had it
// open may have died between writing a meta page and its sync, or seen that fail,
// which no later sync mends: so both meta pages are written again as they are.
func settle(b *bolt.DB) error {
	f, err := os.OpenFile(b.Path(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	pages := make([]byte, 2*b.Info().PageSize)
	if _, err = f.ReadAt(pages, 0); err == nil {
		_, err = f.WriteAt(pages, 0)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return b.Sync()
}

// openBolt opens or creates a bbolt file. bbolt panics on some torn files, and
// reads behind the end of others, so a panic or a fault is turned into an error
// here, and the lock given back that bbolt then keeps.
func openBolt(path string, opts Options) (db *bolt.DB, err error) {
	var file *os.File
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, fmt.Errorf("%w: %s: %v", ErrBadFile, filepath.Base(path), r)
			// Closing is not enough: the map that bbolt leaves behind keeps the lock.
			_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
			file.Close()
		}
	}()
	if opts.LockTimeout <= 0 {
		opts.LockTimeout = time.Second
	}
	db, err = bolt.Open(path, 0o600, &bolt.Options{
		Timeout:         opts.LockTimeout,
		FreelistType:    bolt.FreelistMapType,
		NoSync:          opts.NoSync,
		InitialMmapSize: initialMmapSize,
		NoStatistics:    true,
		OpenFile: func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
			file, err = os.OpenFile(name, flag, mode)
			return file, err
		},
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w: %s", ErrLocked, filepath.Base(path))
	case err != nil && !errors.As(err, new(syscall.Errno)):
		// What the file system did not say is about what the file holds.
		return nil, fmt.Errorf("%w: %s: %w", ErrBadFile, filepath.Base(path), err)
	}
	return db, err
}

func (db *DB) view(fn func(tx *bolt.Tx) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrBadFile, r)
		}
	}()
	return db.bolt.View(fn)
}

// Close closes the file. It waits for open snapshots.
func (db *DB) Close() error { return db.bolt.Close() }

// Begin opens a snapshot of all that was committed before. It does not block,
// except while the file's map grows. Snapshots hold back page reuse: close them soon.
func (db *DB) Begin() (*Snapshot, error) {
	tx, err := db.bolt.Begin(false)
	if err != nil {
		return nil, err
	}
	return &Snapshot{tx: tx}, nil
}

// BeginDurable is Begin for what leaves the process: it waits if the commit it
// would show is being synced. ErrNotDurable if that has failed, or if nothing was
// committed yet since Open.
func (db *DB) BeginDurable() (*Snapshot, error) {
	snap, err := db.Begin()
	if err != nil || db.synced(snap) {
		return snap, err
	}
	// Not while the snapshot is open, for which an Update may have to wait.
	snap.Close()
	db.commit.RLock()
	defer db.commit.RUnlock()
	if snap, err = db.Begin(); err == nil && !db.synced(snap) {
		snap.Close()
		return nil, ErrNotDurable
	}
	return snap, err
}

func (db *DB) synced(snap *Snapshot) bool {
	return int64(snap.tx.ID()) <= db.durable.Load()
}

// Update applies fn's writes in one transaction and returns when they are
// durable. One Update runs at a time; fn must not call Update or Begin.
// After an error see K3.
func (db *DB) Update(fn func(*Txn) error) error {
	db.commit.Lock()
	defer db.commit.Unlock()
	id := 0
	err := db.bolt.Update(func(tx *bolt.Tx) error {
		id = tx.ID()
		return fn(newTxn(tx))
	})
	if err == nil {
		db.durable.Store(int64(id))
	}
	return err
}

// CheckPages verifies the file's own structure: every page reachable or free,
// once. It keeps Update waiting, because what is free is known for now only: seen
// from a snapshot, a page that an Update has freed since counts as reachable and free.
func (db *DB) CheckPages() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrBadFile, r)
		}
	}()
	tx, err := db.bolt.Begin(true)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var errs []error
	for err := range tx.Check() {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Snapshot is the file at one moment. It is used by one goroutine at a time.
// What Get and a Cursor return is valid only until Close.
type Snapshot struct {
	tx      *bolt.Tx
	buckets [spaces]*bolt.Bucket
}

func (s *Snapshot) bucket(space Space) *bolt.Bucket {
	if s.buckets[space] == nil {
		s.buckets[space] = s.tx.Bucket(names[space])
	}
	return s.buckets[space]
}

// Get returns the value of key, or nil if there is none.
func (s *Snapshot) Get(space Space, key []byte) []byte { return s.bucket(space).Get(key) }

// Cursor returns a cursor over the space, not yet placed.
func (s *Snapshot) Cursor(space Space) *Cursor { return s.bucket(space).Cursor() }

// Close ends the snapshot. A second Close does nothing.
func (s *Snapshot) Close() {
	// The only error is that of a snapshot already closed.
	_ = s.tx.Rollback()
}

// Cursor walks a space in byte order: Seek, First, Last, Next and Prev return
// a nil key at the end.
type Cursor = bolt.Cursor

// Txn is a Snapshot that can be written to.
type Txn struct {
	Snapshot
	cursors [spaces]*Cursor // of Delete
}

func newTxn(tx *bolt.Tx) *Txn {
	t := &Txn{Snapshot: Snapshot{tx: tx}}
	for i := range names {
		if b := tx.Bucket(names[i]); b != nil {
			b.FillPercent = fillPercent
			t.buckets[i] = b
		}
	}
	return t
}

// Put stores value under key. The value must stay unchanged until Update returns.
func (t *Txn) Put(space Space, key, value []byte) error { return t.bucket(space).Put(key, value) }

// OnCommit has fn told, when the transaction is durable, how many bytes of pages
// it wrote.
func (t *Txn) OnCommit(fn func(written int64)) {
	tx, page := t.tx, int64(t.tx.DB().Info().PageSize)
	tx.OnCommit(func() {
		stats := tx.Stats()
		fn(stats.GetPageAlloc() + page) // and the meta page, which is not allocated
	})
}

// Delete removes key if it is there.
func (t *Txn) Delete(space Space, key []byte) error {
	// A cursor that is used again has its stack already, which a new one allocates.
	if t.cursors[space] == nil {
		t.cursors[space] = t.bucket(space).Cursor()
	}
	if found, _ := t.cursors[space].Seek(key); !bytes.Equal(found, key) {
		return nil
	}
	return t.cursors[space].Delete()
}
