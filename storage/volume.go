package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"carillon/internal/histogram"
	"carillon/proto"
	"carillon/storage/internal/kv"
	"carillon/storage/internal/wal"
)

// recordVersion is the version of every record this code writes.
const recordVersion = 1

// The keys of the Meta space, in which the file has its format, too. Values are 8 bytes,
// big-endian, but for texts and the clock.
var (
	metaStore     = []byte("store")     // random, the same in all volumes of a store
	metaIndex     = []byte("index")     // which volume of the store this is, from 0
	metaVolumes   = []byte("volumes")   // how many the store has; kept in volume 0
	metaEpoch     = []byte("epoch")     // raised by every owner when it opens the file
	metaHighWater = []byte("highwater") // latest instant committed in the era, ms
	metaEra       = []byte("era")       // the clock era of the high-water mark
	metaClock     = []byte("clock")     // what the file knows of the clock, a record
	metaDeclared  = []byte("declared")  // Store.SetDeclared; kept in volume 0
	metaNumbers   = []byte("numbers")   // highest app number in the file
	metaProgram   = []byte("program")   // the name of the program whose store it is; kept in each
)

// volume is one file with one owner and one committer.
type volume struct {
	name   string
	path   string
	opts   kv.Options
	fault  func(point string) error
	logger *slog.Logger
	epoch  uint64

	index int
	log   *kv.Log // the store's

	shard    bool              // of a shared log
	lose     func(cause error) // Store.lose, of a shard
	tailLost func(why error)   // Standby.tailLost, of a shard
	share    int               // bytes of memory for what the file does not have yet

	relieve   func() (holders []string) // Store.relieve
	refreshed atomic.Bool               // refresh is under way

	mu gate   // guards db; held for reading only while a snapshot is opened
	db *kv.DB // nil while the volume is down, and after close

	queue    queue
	answered answered
	stopped  chan struct{}
	ending   context.Context // ends when the file is not opened anew any more
	end      context.CancelFunc

	backoff backoff
	suspect atomic.Bool // its file may not be the one that has its name any more

	mark    atomic.Pointer[instantMark]
	claims  *claimIDs                   // the store's
	clock   *atomic.Pointer[clockState] // the store's
	known   *clockState                 // what the file knew when it was opened
	numbers atomic.Uint32               // highest app number assigned
	garbage garbage

	maxAudit   int64        // Options.MaxAuditBytes
	batchApps  []*App       // scratch of the committer
	lone       bool         // its last batch was one change set
	last       kv.Place     // the record of its last batch, in the log; the committer's
	unanswered []*changeSet // of that batch, behind the one that is being answered; the committer's
	commits    atomic.Int64
	written    atomic.Int64 // bytes of the file

	batchTime, batchBytes, checkpoints histogram.Histogram
}

func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func getU64(snap *kv.Snapshot, key []byte) uint64 { return decodeU64(snap.Get(kv.Meta, key)) }

func decodeU64(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// createVolume makes the file of a new, empty volume.
func createVolume(path string, store uint64, index int) error {
	return kv.Create(path, func(tx *kv.Fresh) (err error) {
		for _, m := range volumeMeta(store, index) {
			err = errors.Join(err, tx.Put(kv.Meta, m.Key, m.Value))
		}
		return err
	})
}

// volumeMeta is what every file begins with, and no restored row replaces.
func volumeMeta(store uint64, index int) []kv.Row {
	return []kv.Row{
		{Key: metaStore, Value: u64(store)},
		{Key: metaIndex, Value: u64(uint64(index))},
	}
}

// openVolume opens the file, which must be volume index of a store, and changes
// nothing in it. One that is damaged is lost, and its store not known: 0. It shows what is in
// the file only, and its committer is not started yet.
func openVolume(path string, index int, opts Options) (v *volume, store uint64, err error) {
	v = newVolume(path, index, opts)
	db, err := kv.Open(path, v.opts)
	if errors.Is(err, kv.ErrDamaged) {
		v.backoff.lose(err)
		return v, 0, nil
	}
	if err != nil {
		return nil, 0, mapOpenError(v.name, err)
	}
	v.db = db
	err = v.read(func(snap *kv.Snapshot) error {
		if i := getU64(snap, metaIndex); i != uint64(index) {
			return fmt.Errorf("%w: %s is volume %d of its store: was it copied or renamed?", ErrFormat, v.name, i)
		}
		store = getU64(snap, metaStore)
		return nil
	})
	return v, store, v.lostOr(err)
}

// newVolume returns the volume, whose file is not open yet.
func newVolume(path string, index int, opts Options) *volume {
	v := &volume{
		name:     filepath.Base(path),
		path:     path,
		index:    index,
		maxAudit: opts.MaxAuditBytes,
		opts:     kv.Options{LockTimeout: opts.LockTimeout, NoSync: opts.NoSync, ReadOnly: opts.ReadOnly, SegmentSize: opts.LogSegment, LogLength: opts.LogLength, LogKeep: opts.LogKeep, Fault: opts.Fault},
		fault:    opts.Fault,
		logger:   opts.Logger,
		queue:    queue{wake: make(chan struct{}, 1)},
		stopped:  make(chan struct{}),
		backoff:  backoff{volume: filepath.Base(path), logger: opts.Logger, most: maxBackoff},

		batchTime:   histogram.Histogram{Unit: timeUnit},
		batchBytes:  histogram.Histogram{Unit: bytesUnit},
		checkpoints: histogram.Histogram{Unit: timeUnit},
	}
	v.ending, v.end = context.WithCancel(context.Background())
	v.opts.Moved = func() { v.relieve() }
	v.opts.Stalled = v.stalled
	v.opts.Replaying = opts.replaying(v.name)
	v.opts.Checkpointed = v.checkpoints.Since
	v.opts.Copied = func(bytes int64) { v.written.Add(bytes) }
	v.mark.Store(new(instantMark)) // until the file is read
	return v
}

// join has the volume show what the log has of it, too.
func (v *volume) join(log *kv.Log) error {
	v.log = log
	if v.db == nil {
		return nil
	}
	err := v.db.Join(context.Background(), log, kv.Volume(v.index))
	if err != nil {
		return v.lostOr(mapOpenError(v.name, err))
	}
	return v.learn()
}

// learn reads what the volume says of itself. Its own epoch is the one after that.
func (v *volume) learn() error {
	return v.lostOr(v.read(func(snap *kv.Snapshot) error {
		v.epoch = getU64(snap, metaEpoch) + 1
		v.mark.Store(readMark(snap))
		v.numbers.Store(uint32(getU64(snap, metaNumbers)))
		v.garbage.load(snap)
		var err error
		v.known, err = readClock(snap)
		return err
	}))
}

// lostOr takes note of an error of opening that leaves the volume lost, and the others as
// they are. Any other is returned.
func (v *volume) lostOr(err error) error {
	if errors.Is(err, kv.ErrDamaged) {
		v.failed(err)
		return nil
	}
	return err
}

// claim has an earlier owner's changes be refused from now on. A volume that is found
// damaged is lost. share is how many bytes of memory it may have for what is in the log only.
func (v *volume) claim(share int) error {
	if v.share = share; v.db == nil {
		return nil
	}
	return v.ownError(v.db.Claim(context.Background(), share))
}

// own makes this process the owner of the file: the epoch it writes fences
// every earlier one. It is told of the program whose store it is, unless that is "".
func (v *volume) own(program string, audit ...AuditEntry) error {
	if v.db == nil {
		return nil
	}
	return v.ownError(v.db.Update(func(tx *kv.Txn) error {
		if program != "" {
			if err := tx.Put(kv.Meta, metaProgram, []byte(program)); err != nil {
				return err
			}
		}
		return errors.Join(v.auditAll(tx, audit), v.raiseEpoch(tx))
	}))
}

func (v *volume) raiseEpoch(tx *kv.Txn) error { return tx.Put(kv.Meta, metaEpoch, u64(v.epoch)) }

func (v *volume) ownError(err error) error {
	if err = v.lostOr(err); err != nil {
		return fmt.Errorf("volume %s: %w", v.name, err)
	}
	return nil
}

func mapOpenError(name string, err error) error {
	switch {
	case errors.Is(err, kv.ErrLocked):
		return fmt.Errorf("%w: %s: another process has it open", ErrLocked, name)
	case errors.Is(err, kv.ErrBadFile):
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return fmt.Errorf("volume %s: %w", name, err)
}

// begin pins the volume as it is now: what it shows is durable.
func (v *volume) begin() (*kv.Pin, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.db == nil {
		return nil, v.downError()
	}
	pin, err := v.db.Begin()
	return pin, readError(err)
}

// beginAt is begin, with the place of the last record that is shown.
func (v *volume) beginAt() (*kv.Pin, kv.Place, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.db == nil {
		return nil, kv.Place{}, v.downError()
	}
	pins, places, err := kv.Moment([]*kv.DB{v.db})
	if err != nil {
		return nil, kv.Place{}, readError(err)
	}
	return pins[0], places[0], nil
}

// read runs fn on a snapshot of the file.
func (v *volume) read(fn func(*kv.Snapshot) error) error {
	pin, err := v.begin()
	if err != nil {
		return err
	}
	defer pin.Close()
	return readPin(v.name, pin, fn)
}

func readFile(volume string, db *kv.DB, fn func(*kv.Snapshot) error) error {
	pin, err := db.Begin()
	if err != nil {
		return readError(err)
	}
	defer pin.Close()
	return readPin(volume, pin, fn)
}

// readPin runs fn on the file as it was when the Pin was made. A key that no code of
// ours can have written is damage, and no reason to panic.
func readPin(volume string, pin *kv.Pin, fn func(*kv.Snapshot) error) error {
	return readError(pin.Read(func(snap *kv.Snapshot) (err error) {
		defer func() {
			r := recover()
			if r == nil {
				return
			}
			_, fault := r.(interface{ Addr() uintptr })
			if _, ok := r.(runtime.Error); !ok || fault {
				panic(r) // kv knows it
			}
			err = fmt.Errorf("%w: %s: %v", ErrCorrupt, volume, r)
		}()
		return fn(snap)
	}))
}

// health is Store.Health of one volume.
func (v *volume) health() error {
	if err := v.backoff.refusal(); err != nil && !errors.Is(err, ErrReadOnly) {
		return err
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.db == nil {
		return v.downError()
	}
	if err := v.db.Present(); err != nil {
		// The committer takes the volume down.
		v.suspect.Store(true)
		v.submit(&changeSet{app: new(App), done: func(error) {}})
		return lostError(v.name, err)
	}
	return nil
}

// downError says why there is no file to read. If it may be opened again by now
// it also nudges the committer, which tries to.
func (v *volume) downError() error {
	if _, closed := v.queue.len(); closed {
		return ErrClosed
	}
	if err := v.backoff.refusal(); err != nil {
		return err
	}
	v.submit(&changeSet{app: new(App), done: func(error) {}})
	return fmt.Errorf("%w: %s", ErrUnavailable, v.name)
}

// update runs fn in a transaction of the file that is durable when it returns
// nil. Only the committer, and Open before it is started, may call it.
func (v *volume) update(fn func(*kv.Txn) error) error {
	err := v.db.Update(func(tx *kv.Txn) error {
		if e := getU64(tx.Base(), metaEpoch); e != v.epoch {
			return fmt.Errorf("%w: %s is at epoch %d, ours is %d", ErrFenced, v.name, e, v.epoch)
		}
		return fn(tx)
	})
	if err == nil {
		v.commits.Add(1)
	}
	return v.ofShard(err)
}

// ofShard has an error of a shared log which says that another node owns the shard be ErrFenced.
func (v *volume) ofShard(err error) error {
	if v.shard && (errors.Is(err, wal.ErrFenced) || errors.Is(err, wal.ErrOwned) || errors.Is(err, wal.ErrRetired)) {
		return fmt.Errorf("%w: %s: %w", ErrFenced, v.name, err)
	}
	return err
}

// raiseNumbers records that the number has been used in the file.
func raiseNumbers(tx *kv.Txn, n keyspace) error {
	before, err := tx.Get(kv.Meta, metaNumbers)
	if err != nil || uint64(n) <= decodeU64(before) {
		return err
	}
	return tx.Put(kv.Meta, metaNumbers, u64(uint64(n)))
}

// nextNumber assigns a number for an app that is not in the file yet.
func (v *volume) nextNumber() keyspace { return keyspace(v.numbers.Add(1)) }

// drop closes the file as it is, if it is open. Reads wait meanwhile.
func (v *volume) drop() error { return v.shut((*kv.DB).Abandon) }

// shut closes the file, if it is open. Reads wait meanwhile.
func (v *volume) shut(close func(*kv.DB) error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.db == nil {
		return nil
	}
	db := v.db
	v.db = nil
	return close(db)
}

// reopen closes the file and opens it anew, after an error that leaves unknown
// what it holds. Reads wait meanwhile. On error the volume is down. It ends with v.ending, also
// where the log does not answer.
func (v *volume) reopen() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if db := v.db; db != nil {
		v.db = nil
		if err := db.Abandon(); err != nil {
			return err
		}
	}
	if err := v.fault("reopen"); err != nil {
		return err
	}
	opts := v.opts
	opts.Replaying = nil // it takes as long as it must
	db, err := v.open(opts)
	if err != nil {
		return mapOpenError(v.name, err)
	}
	if err := v.retake(db); err != nil {
		return errors.Join(err, db.Abandon())
	}
	v.db = db
	return nil
}

// open opens the file anew, and has it show what the log has.
func (v *volume) open(opts kv.Options) (db *kv.DB, err error) {
	if v.shard {
		db, _, err := kv.OpenCopy(v.ending, v.path, v.log, kv.Volume(v.index), volumeMeta(v.log.ID(), v.index), opts)
		if err != nil {
			return nil, err
		}
		if lost := db.TailLost(); lost != nil { // apps that are open know what is lost
			return nil, errors.Join(lost, db.Abandon())
		}
		return db, nil
	}
	if db, err = kv.Open(v.path, opts); err != nil {
		return nil, err
	}
	if err := db.Join(v.ending, v.log, kv.Volume(v.index)); err != nil {
		return nil, errors.Join(err, db.Abandon())
	}
	return db, nil
}

// retake has a file that was opened anew be written again.
func (v *volume) retake(db *kv.DB) error {
	if err := db.Claim(v.ending, v.share); err != nil {
		return mapOpenError(v.name, v.ofShard(err))
	}
	return readFile(v.name, db, func(snap *kv.Snapshot) error {
		if getU64(snap, metaEpoch) != v.epoch {
			return fmt.Errorf("%w: %s", ErrFenced, v.name)
		}
		v.mark.Store(readMark(snap))
		return nil
	})
}

// abort closes the volume as a crash would: what is queued is not committed.
func (v *volume) abort() error {
	for _, cs := range v.queue.close(true) {
		cs.app.broken.Store(true)
		cs.done(ErrClosed)
	}
	v.end()
	return v.finish((*kv.DB).Abandon)
}

// close lets the committer finish what is queued, then closes the file.
func (v *volume) close() error {
	v.queue.close(false)
	return v.finish((*kv.DB).Close)
}

// finish waits for the committer, then closes the file.
func (v *volume) finish(close func(*kv.DB) error) error {
	if err := v.settle(); err != nil {
		return err
	}
	return v.shut(close)
}

// settle waits for the committer, whose queue was closed.
func (v *volume) settle() error {
	late := time.NewTimer(closeWait)
	defer late.Stop()
	select {
	case <-v.stopped:
		return nil
	case <-late.C:
		if v.shard {
			v.end()
			// It waits for the log, which is away, and ends when the copy is closed.
			err := v.shut((*kv.DB).Abandon)
			<-v.stopped
			return errors.Join(fmt.Errorf("%s: the log is away, and what was submitted is not written after %v", v.name, closeWait), err)
		}
		return fmt.Errorf("%s: what was submitted is not written after %v", v.name, closeWait)
	}
}

// closeWait is how long Close waits for a volume's committer, since a disk may stop
// answering.
const closeWait = 10 * time.Second

func encodeEntry(n keyspace) []byte {
	p := proto.AppEntry{Version: recordVersion, Number: uint32(n)}
	return encoded(p.MarshalVT())
}

func decodeEntry(data []byte) (keyspace, error) {
	var p proto.AppEntry
	if err := unmarshal(data, &p, &p.Version); err != nil {
		return 0, fmt.Errorf("app entry: %w", err)
	}
	return keyspace(p.Number), nil
}
