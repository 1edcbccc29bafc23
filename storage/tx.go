package storage

import (
	"bytes"
	"fmt"
	"math"
	"sync"
	"time"

	"carillon/storage/internal/kv"
)

// Tx is one change to one app: it reads everything the app has submitted so
// far and writes into a private buffer. Exactly one Tx of an app is open at a
// time; the goroutine that opened it holds the app's turn.
//
// Its methods may be called from several goroutines. After Commit, Rollback or
// Kill every use returns ErrTxDone. For engines.
type Tx struct {
	mu       sync.Mutex
	app      *App
	era      EraID
	now      time.Time
	latest   time.Time // the latest instant it has written down; may be zero
	over     bool
	awaited  bool     // a caller waits for its end
	layers   []*layer // the outermost first; nested ones see and join those below
	base     layer    // the outermost, and room for it and one nested: most need no more
	stack    [2]*layer
	pinned   bool
	pin      *kv.Pin // of a pinned transaction, from its first read on
	read     row     // what was last read from the file, which does not change meanwhile
	onCancel func(JobID) (started bool)

	audit    [][]byte // the entry of Audit, or nothing
	concerns []string
	ends     AttemptEnds

	began   uint64   // the last sequence number assigned before it
	retried []uint64 // sequence numbers of jobs that are pending again after an attempt
	number  keyspace // the app's, once it was committed
}

// layer is the private buffer of a transaction or of one nested in it.
type layer struct {
	buffer
	counts   counts
	jobs     int // how many it has scheduled
	inserted []Job
	canceled []JobID // claimed jobs that were canceled
	ticks    []Job   // ticks of triggers that were canceled
	moved    bool    // a job may be in inserted more than once
	left     []Lane  // ordered, of jobs that are where they were no more
	gone     []Job   // jobs whose records were taken away, as they were
}

// Nested runs fn on a transaction nested in w's. If fn returns nil its writes
// and jobs join the outer transaction; otherwise, or if fn panics, they are
// dropped and the outer transaction is as before. While fn runs the outer
// JobWriter, and every Writer of it, answers ErrReentrant.
func (w JobWriter) Nested(fn func(JobWriter) error) error {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return err
	}
	parent := tx.layers[depth]
	tx.layers = append(tx.layers, &layer{counts: parent.counts})
	tx.mu.Unlock()

	joined := false
	defer func() {
		tx.mu.Lock()
		defer tx.mu.Unlock()
		if tx.over || len(tx.layers) <= depth+1 {
			return
		}
		child := tx.layers[depth+1]
		tx.layers = tx.layers[:depth+1]
		if !joined {
			// Numbers are never assigned twice, not even those of dropped jobs.
			parent.counts.seq = child.counts.seq
			return
		}
		parent.join(&child.buffer)
		parent.counts = child.counts
		parent.jobs += child.jobs
		parent.inserted = append(parent.inserted, child.inserted...)
		parent.canceled = append(parent.canceled, child.canceled...)
		parent.ticks = append(parent.ticks, child.ticks...)
		parent.moved = parent.moved || child.moved
		parent.left = append(parent.left, child.left...)
		parent.gone = append(parent.gone, child.gone...)
	}()
	inner := JobWriter{&view{keys: tx.app.keys, now: tx.now, app: tx.app, tx: tx, depth: depth + 1, limits: w.v.limits}}
	if err := fn(inner); err != nil {
		return err
	}
	joined = true
	return nil
}

// Writer reads and writes the app's documents in the transaction.
func (tx *Tx) Writer() Writer {
	return writable{tx.view()}
}

// JobWriter writes the app's jobs and triggers in the transaction. Only what
// holds the Tx can make one: it cannot be had from a Writer.
func (tx *Tx) JobWriter() JobWriter {
	return JobWriter{tx.view()}
}

func (tx *Tx) view() *view {
	return &view{keys: tx.app.keys, now: tx.now, app: tx.app, tx: tx}
}

// Unchanged says whether the transaction has written nothing.
func (tx *Tx) Unchanged() bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	return len(tx.layers) == 1 && tx.layers[0].m.Len() == 0
}

// Pin has all reads of the transaction share one snapshot of the file, which is
// cheaper. It is for transactions without user code, that end soon and open no
// other snapshot meanwhile: while the file's map grows, or it is opened anew,
// the volume waits for them.
func (tx *Tx) Pin() { tx.pinned = true }

// Now is the instant the transaction began, as given to Begin.
func (tx *Tx) Now() time.Time { return tx.now }

// OnCancel sets the function that says, when a claimed job is canceled, whether its
// handler has started. fn is called with the transaction locked, and must not use the
// transaction.
func (tx *Tx) OnCancel(fn func(JobID) (started bool)) { tx.onCancel = fn }

// lock takes the transaction for one operation of the layer at depth.
func (tx *Tx) lock(depth int) error {
	if tx == nil {
		return ErrTxDone // of a JobWriter that no transaction made
	}
	tx.mu.Lock()
	switch {
	case tx.over:
		tx.mu.Unlock()
		return ErrTxDone
	case depth != len(tx.layers)-1:
		tx.mu.Unlock()
		if depth >= len(tx.layers) {
			return ErrTxDone // a nested transaction that has ended
		}
		return ErrReentrant
	}
	return nil
}

// lockTop takes the transaction for an operation of whichever layer is innermost.
func (tx *Tx) lockTop() error {
	tx.mu.Lock()
	if tx.over {
		tx.mu.Unlock()
		return ErrTxDone
	}
	return nil
}

func (tx *Tx) owner() *App { return tx.app }

func (tx *Tx) top() *layer { return tx.layers[len(tx.layers)-1] }

// The lower-case operations below are called with the transaction locked.

// readFile runs fn on a snapshot of the file that has at least what the overlay
// has not: any will do, since file plus overlay say the same at any time.
func (tx *Tx) readFile(fn func(*kv.Snapshot) error) (err error) {
	if !tx.pinned {
		return tx.app.read(fn)
	}
	if tx.pin == nil {
		if tx.pin, err = tx.app.vol.begin(); err != nil {
			return err
		}
	}
	if err := readPin(tx.app.vol.name, tx.pin, fn); err != nil {
		return fmt.Errorf("app %s: %w", tx.app.id, err)
	}
	return nil
}

// unpin gives the snapshot of a pinned transaction back.
func (tx *Tx) unpin() {
	if tx.pin != nil {
		tx.pin.Close()
		tx.pin = nil
	}
}

func (tx *Tx) get(key []byte) ([]byte, error) {
	if w, ok := tx.written(string(key)); ok {
		return w.copy(), nil
	}
	if !tx.app.stored {
		return nil, nil
	}
	// What was read last is often what is written next.
	if tx.read.value == nil || !bytes.Equal(tx.read.key, key) {
		tx.read = row{key: key}
		err := tx.readFile(func(snap *kv.Snapshot) error {
			tx.read.value = bytes.Clone(snap.Get(kv.Data, key))
			return nil
		})
		if err != nil {
			tx.read = row{}
			return nil, err
		}
	}
	return bytes.Clone(tx.read.value), nil
}

// written is the newest word on the key that is not known to be in the file.
func (tx *Tx) written(key string) (write, bool) {
	for i := len(tx.layers) - 1; i >= 0; i-- {
		if w, ok := tx.layers[i].m.Get(key); ok {
			return w, true
		}
	}
	return tx.app.overlay.get(key)
}

// copy keeps a reader from reaching into a buffer that becomes a change set.
func (w write) copy() []byte {
	if w.deleted {
		return nil
	}
	return append([]byte{}, w.value...)
}

func (tx *Tx) rows(from, to []byte, reverse bool, limit int) ([]row, error) {
	rows, _, err := tx.readPage(from, to, reverse, extent{rows: limit, bytes: math.MaxInt})
	return rows, err
}

func (tx *Tx) readPage(from, to []byte, reverse bool, most extent) (rows []row, more bool, err error) {
	buffers := make([]*buffer, 0, len(tx.layers)+2)
	for i := len(tx.layers) - 1; i >= 0; i-- {
		buffers = append(buffers, &tx.layers[i].buffer)
	}
	under := tx.app.overlay.newestFirst()
	buffers = append(buffers, under[:]...)
	err = tx.readFile(func(snap *kv.Snapshot) error {
		rows, more = collect(snap, buffers, from, to, reverse, most)
		return nil
	})
	return rows, more, err
}

func (tx *Tx) put(key, value []byte) { tx.top().put(key, value) }

func (tx *Tx) delete(key []byte) { tx.top().delete(key) }

// Inserted returns the jobs that the transaction has put into the sorted job
// bucket, so that the engine can claim them or set its alarm. Of one that was put in
// more than once it returns the last word.
func (tx *Tx) Inserted() []Job {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.over {
		return nil
	}
	l := tx.layers[0]
	if !l.moved {
		return l.inserted
	}
	last := make(map[uint64]int, len(l.inserted)) // by sequence number
	for i := range l.inserted {
		last[l.inserted[i].place.seq] = i
	}
	jobs := make([]Job, 0, len(last))
	for i := range l.inserted {
		if last[l.inserted[i].place.seq] == i {
			jobs = append(jobs, l.inserted[i])
		}
	}
	return jobs
}

// CanceledClaims returns the claimed jobs that the transaction has canceled.
func (tx *Tx) CanceledClaims() []JobID {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.over {
		return nil
	}
	return tx.layers[0].canceled
}

// CanceledTicks returns the ticks of triggers that the transaction has
// canceled, so that the engine can advance their triggers.
func (tx *Tx) CanceledTicks() []Job {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.over {
		return nil
	}
	return tx.layers[0].ticks
}

// Await marks the transaction as one that a caller waits for: its change set goes before
// those without a caller, and counts for Overloaded.
func (tx *Tx) Await() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.awaited = true
}

// Commit ends the transaction and submits its change set to the volume's
// committer. It returns at once; done is called exactly once, from the
// committer's goroutine or from Commit itself, when the change is durable (nil)
// or certainly or possibly is not (ErrNotApplied, ErrUnknownOutcome,
// ErrUnavailable, ErrClosed, ErrFenced). A transaction that wrote nothing is
// done when everything it may have read is durable. done must not block.
//
// After an error of any done the app must be reloaded before the next Begin.
func (tx *Tx) Commit(done func(error)) error {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.over {
		return ErrTxDone
	}
	// A nested transaction that was left open is dropped.
	tx.layers[0].counts.seq = tx.top().counts.seq
	tx.over, tx.number = true, tx.app.keys
	tx.app.tx = nil
	tx.unpin()
	if tx.latest.Before(tx.now) {
		tx.latest = tx.now
	}
	tx.app.enqueue(tx.layers[0], &changeSet{era: tx.era, at: tx.latest, awaited: tx.awaited, audit: tx.audit, done: done})
	return nil
}

// Rollback ends the transaction and drops what it wrote. done is called as by
// Commit of a transaction that wrote nothing; nil is allowed.
func (tx *Tx) Rollback(done func(error)) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.over {
		return
	}
	tx.over = true
	tx.app.tx = nil
	tx.unpin()
	// Numbers are never assigned twice: an id from a dropped transaction may
	// have left the engine, and must never name another job.
	tx.app.counts.seq = tx.top().counts.seq
	if done != nil {
		tx.app.vol.submit(&changeSet{app: tx.app, n: tx.app.submitted, awaited: tx.awaited, done: done})
	}
}
