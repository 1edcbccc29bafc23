package pglog

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"carillon/storage/internal/wal"

	"github.com/jackc/pgx/v5"
)

// Bounds of a log.
const (
	// MaxShards is how many shards a log may have.
	MaxShards = 4096
	// DefaultShards is how many a log has if its maker does not say.
	DefaultShards = 64

	maxRecord    = 64 << 20 // bytes of data, as in a file
	maxStatement = 32 << 20 // bytes of data from which an append takes no further record
	maxPiece     = 1 << 20  // bytes of keys and values in a statement of a fold
	pageRows     = 256      // records that one statement reads
	pageBytes    = 8 << 20  // bytes of data from which a page takes no further record
)

// lanes is how many connections carry appends.
const lanes = 2

// Options of Open. The zero value is ready for use.
type Options struct {
	// Shards is how many shards a log is made with; one that exists keeps what it has.
	// Default DefaultShards.
	Shards int
	// ConnectTimeout bounds an attempt to connect. Default 5 s.
	ConnectTimeout time.Duration
	// AnswerTimeout is how long a statement may take before its connection is closed.
	// Default 10 s.
	AnswerTimeout time.Duration
	// SilenceTimeout is how long both connections for appends may wait for an answer before
	// other appends are refused. Default 2 s.
	SilenceTimeout time.Duration
	// TimelineFile keeps the highest timeline of PostgreSQL that was seen, so that an old
	// primary is refused after a start, too. "": for as long as the log is open.
	TimelineFile string
	// TrimRows is how many numbers one statement of a trim covers. Default 10,000.
	TrimRows int
}

func (o Options) withDefaults() Options {
	o.Shards = cmp.Or(o.Shards, DefaultShards)
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 5*time.Second)
	o.AnswerTimeout = cmp.Or(o.AnswerTimeout, 10*time.Second)
	o.SilenceTimeout = cmp.Or(o.SilenceTimeout, 2*time.Second)
	o.TrimRows = cmp.Or(o.TrimRows, 10_000)
	return o
}

// claimID tells a claim from every other one, also of an earlier life of the database.
type claimID [16]byte

// Log is a wal.Log whose records are rows of a table. Its methods may be called from any
// goroutine.
type Log struct {
	opts   Options
	target target
	store  uint64
	shards int

	mu       sync.Mutex
	more     sync.Cond // the queue has grown, a shard is free, or the log was closed
	queue    []*pending
	claims   map[wal.Volume]*held
	closed   bool
	idle     []*conn // that wait for use
	me       string  // incarnation of the node; "": it has not joined
	claiming claiming
	claimed  atomic.Int64              // claims of the node that were begun
	follows  atomic.Pointer[time.Time] // when its copies had all of the log; nil: never yet

	seeing sync.Mutex // held while a server is compared with seen
	seen   history
	latest atomic.Int64 // seen.timeline

	places chan struct{} // one for each connection that take has returned
	away   error         // why the server cannot be reached; nil if it was
	silent int           // how many lanes wait for an answer, for longer than SilenceTimeout
	asked  chan struct{}
	ending context.Context // ends with Close
	end    context.CancelFunc

	workers sync.WaitGroup
}

// held is a claim that this process has made.
type held struct {
	id    claimID
	epoch uint64
	last  uint64 // number of the latest record that is known to be in the log
	spent bool   // its outcome is unknown, or it is fenced
	busy  bool   // an append of it is under way
	fold  sync.Mutex
}

// Open connects, makes the schema if there is none or brings it up to date, and returns the
// log. The address is a URL or a list of settings as psql takes it; besides theirs it may have
// schema (default carillon) and unsafe=1, with which the server is not checked. It blocks for
// ConnectTimeout at most for each host, and then for AnswerTimeout.
func Open(ctx context.Context, address string, opts Options) (*Log, error) {
	opts = opts.withDefaults()
	if opts.Shards < 1 || opts.Shards > MaxShards {
		return nil, fmt.Errorf("a log has 1 to %d shards, not %d", MaxShards, opts.Shards)
	}
	target, err := parse(address)
	if err != nil {
		return nil, err
	}
	l := newLog(target, opts)
	if l.seen, err = remembered(opts.TimelineFile); err != nil {
		return nil, fmt.Errorf("timeline of PostgreSQL: %w", err)
	}
	c, err := l.connect(ctx, opts.ConnectTimeout, 0)
	if err != nil {
		return nil, err
	}
	err = c.timed(ctx, opts.AnswerTimeout, func() (err error) { // it may wait for a standby, too
		l.store, l.shards, err = migrate(context.Background(), c.Conn, target.schema, opts.Shards)
		return err
	})
	l.keep(c, err)
	if err != nil {
		return nil, err
	}
	for range lanes {
		l.workers.Go(l.carry)
	}
	return l, nil
}

// newLog returns a log that has no connection yet.
func newLog(target target, opts Options) *Log {
	l := &Log{opts: opts, target: target, claims: map[wal.Volume]*held{}, asked: make(chan struct{}, 1), places: make(chan struct{}, maxBusy)}
	l.more.L = &l.mu
	l.ending, l.end = context.WithCancel(context.Background())
	return l
}

// ID tells the log from every other one.
func (l *Log) ID() uint64 { return l.store }

// Shards is how many shards the log has: volumes 0 to Shards-1 can be claimed.
func (l *Log) Shards() int { return l.shards }

// MaxRecord is wal.Log's.
func (l *Log) MaxRecord() int { return maxRecord }

// Close is wal.Log's. An append whose answer does not come is given up after AnswerTimeout.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	idle, queue := l.idle, l.queue
	l.idle, l.queue = nil, nil
	l.more.Broadcast()
	l.mu.Unlock()
	l.end()
	for _, p := range queue {
		p.answer(wal.ErrClosed)
	}
	for _, c := range idle {
		c.close()
	}
	l.workers.Wait()
	return nil
}

// isClosed says whether Close was called.
func (l *Log) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// inForce returns what is held under the claim, or why it cannot be used.
func (l *Log) inForce(c wal.Claim) (*held, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.claims[c.Volume]
	switch {
	case l.closed:
		return nil, wal.ErrClosed
	case h == nil || h.spent || h.epoch != c.Epoch:
		return nil, wal.ErrFenced
	}
	return h, nil
}

// spend says that the claim is of no use any more.
func (l *Log) spend(h *held) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.spent = true
}

// newClaimID draws the id of a claim.
func newClaimID() (id claimID) {
	_, _ = rand.Read(id[:]) // it does not fail
	return id
}

// rowOf reads the one row of a statement. ok is false if there was none.
func rowOf(rows pgx.Rows, into ...any) (ok bool, err error) {
	defer rows.Close()
	if rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return false, err
		}
		ok = true
	}
	rows.Close()
	return ok, rows.Err()
}
