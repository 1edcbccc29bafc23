package pglog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"carillon/storage/internal/wal"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var _ wal.Shared = (*Log)(nil)

// Join implements wal.Shared.
func (l *Log) Join(ctx context.Context, n wal.Node) error {
	if err := n.Check(); err != nil {
		return err
	}
	before := l.incarnation()
	l.spendAll()
	if before != "" {
		if _, err := l.ask(ctx, "retireself", []any{before}); err != nil {
			return err
		}
	}
	if err := l.Forget(ctx); err != nil {
		return err
	}
	if _, err := l.ask(ctx, "newserver", []any{theServer}); err != nil {
		return err
	}
	me := n.NewIncarnation()
	if _, err := l.ask(ctx, "join", []any{me, n.Name, n.Address, n.Release, n.TTL}); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.me = me
	return nil
}

// Forget implements wal.Shared.
func (l *Log) Forget(ctx context.Context) error {
	_, err := l.ask(ctx, "forget", []any{wal.KeptFor})
	var said *pgconn.PgError
	if errors.As(err, &said) && said.Code == foreignKey {
		return nil
	}
	return err
}

// foreignKey is foreign_key_violation: a node that is forgotten has claimed a shard.
const foreignKey = "23503"

// incarnation is what this node is, "" if it has not joined.
func (l *Log) incarnation() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.me
}

// spendAll says that no claim of this node is of use any more.
func (l *Log) spendAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.claims {
		h.spent = true
	}
}

// Beat implements wal.Shared. It is ErrRetired, too, if the server has lost claims that this node
// holds, as a standby may that was promoted: another node can have them, and neither knows. Where it has lost
// records that were acknowledged to this node, what that shows is of no use: ErrTailLost, too.
func (l *Log) Beat(ctx context.Context) error {
	me := l.incarnation()
	if me == "" {
		return wal.ErrNotJoined
	}
	ids, shards, last, unchanged := l.standingClaims()
	var there, whole int64
	switch ok, err := l.ask(ctx, "beat", []any{me, ids, shards, last, l.lag()}, &there, &whole); {
	case err != nil:
		return err
	case !ok:
		return wal.ErrRetired
	case int(min(there, whole)) == len(ids) || !unchanged():
		return nil
	}
	l.spendAll()
	_, _ = l.ask(ctx, "retireself", []any{me}) // or its TTL ends it
	if int(there) == len(ids) {
		return fmt.Errorf("%w: of its %d shards the server has all records of %d: %w", wal.ErrRetired, len(ids), whole, wal.ErrTailLost)
	}
	return fmt.Errorf("%w: of its %d claims the server has %d", wal.ErrRetired, len(ids), there)
}

// Follows implements wal.Shared.
func (l *Log) Follows(at time.Time) { l.follows.Store(&at) }

// lag is how long ago the copies of the node had all of the log, nil if they never had.
func (l *Log) lag() *time.Duration {
	at := l.follows.Load()
	if at == nil {
		return nil
	}
	lag := time.Since(*at)
	return &lag
}

// standingClaims are the ids of the claims in force, with their shards and what was acknowledged of them last,
// and a way to ask later whether they were the same all along.
func (l *Log) standingClaims() (ids [][]byte, shards, last []int64, unchanged func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids = [][]byte{}
	var all []*held
	for v, h := range l.claims {
		if !h.spent {
			ids, all = append(ids, h.id[:]), append(all, h)
			shards, last = append(shards, int64(v)), append(last, int64(h.last))
		}
	}
	claims := l.claiming
	return ids, shards, last, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		same := claims == l.claiming && claims.begun == claims.ended
		for _, h := range all {
			same = same && !h.spent
		}
		return same
	}
}

// Leave implements wal.Shared.
func (l *Log) Leave(ctx context.Context) error {
	me := l.incarnation()
	if me == "" {
		return wal.ErrNotJoined
	}
	var id string
	ok, err := l.ask(ctx, "leave", []any{me}, &id)
	if err == nil && !ok {
		err = wal.ErrRetired
	}
	return err
}

// Release implements wal.Shared.
func (l *Log) Release(ctx context.Context) error {
	me := l.incarnation()
	if me == "" {
		return wal.ErrNotJoined
	}
	l.spendAll()
	_, err := l.ask(ctx, "release", []any{me})
	return err
}

// own takes the row of the shard for a new claim, and returns its epoch. The owner of before is
// retired first, if it has not beaten for its TTL.
func (l *Log) own(ctx context.Context, v wal.Volume, claim claimID) (epoch int64, err error) {
	me := l.incarnation()
	if me == "" {
		_, err := l.ask(ctx, "claim", []any{int64(v), claim[:]}, &epoch)
		return epoch, err
	}
	if _, err := l.ask(ctx, "retire", []any{int64(v), me, theServer}); err != nil {
		return 0, notClaimed(err)
	}
	if ok, err := l.ask(ctx, "claimfor", []any{int64(v), claim[:], me, theServer, l.claimed.Add(1)}, &epoch); ok || err != nil {
		return epoch, err
	}
	var retired bool
	switch known, err := l.ask(ctx, "retired", []any{me}, &retired); {
	case err != nil:
		return 0, notClaimed(err)
	case !known || retired:
		return 0, fmt.Errorf("%w: %w", wal.ErrRefused, wal.ErrRetired)
	}
	if _, err := l.ask(ctx, "newserver", []any{theServer}); err != nil {
		return 0, notClaimed(err)
	}
	return 0, wal.ErrOwned
}

// notClaimed is an error before a claim was sent: whatever its own outcome is, nothing is claimed.
func notClaimed(err error) error {
	if isUnknown(err) {
		return fmt.Errorf("%w: %v", wal.ErrRefused, err)
	}
	return err
}

// Standing implements wal.Shared.
func (l *Log) Standing(ctx context.Context) (s wal.Standing, err error) {
	c, err := l.take(ctx)
	if err != nil {
		return s, err
	}
	s, err = c.standing(ctx, l.opts.AnswerTimeout)
	l.give(c, err) // with an error it is closed, and with it the transaction
	return s, err
}

// standing is Standing over the connection.
func (c *conn) standing(ctx context.Context, limit time.Duration) (s wal.Standing, err error) {
	err = c.timed(ctx, limit, func() error {
		tx, err := c.BeginTx(context.Background(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
		if err != nil {
			return err
		}
		if err := c.all("nodes", func(rows pgx.Rows) error {
			var n wal.NodeState
			var lag *time.Duration
			err := rows.Scan(&n.Incarnation, &n.Name, &n.Address, &n.Release, &n.TTL, &n.Silent, &lag, &n.Leaving, &n.Retired, &n.Gone)
			if n.Lag = wal.Unsaid; lag != nil {
				n.Lag = max(0, *lag)
			}
			s.Nodes = append(s.Nodes, n)
			return err
		}); err != nil {
			return err
		}
		if err := c.all("shards", func(rows pgx.Rows) error {
			var id, epoch, folded, last int64
			var is wal.ShardState
			err := rows.Scan(&id, &epoch, &is.Owner, &is.Taken, &is.Why, &folded, &last)
			is.Shard, is.Epoch, is.Folded, is.Last = wal.Volume(id), uint64(epoch), uint64(folded), uint64(last)
			s.Shards = append(s.Shards, is)
			return err
		}); err != nil {
			return err
		}
		if err := c.all("clock", func(rows pgx.Rows) error { return rows.Scan(&s.At) }); err != nil {
			return err
		}
		return tx.Commit(context.Background())
	})
	return s, err
}

// all calls scan for each row of a statement without arguments.
func (c *conn) all(name string, scan func(pgx.Rows) error) error {
	rows, err := c.query(name)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
