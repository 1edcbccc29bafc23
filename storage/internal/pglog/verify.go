package pglog

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"carillon/storage/internal/wal"

	"github.com/jackc/pgx/v5"
)

// maxFaults is how many faults Verify names.
const maxFaults = 100

// Verified is what Verify has read, and what is wrong with it.
type Verified struct {
	Shards  int    // that were ever claimed
	Records uint64 // takeovers too
	Rows    uint64 // of checkpoints
	Bytes   uint64 // of both, as they are stored
	Faults  []string
}

// Err is nil if nothing is wrong, else an ErrDamaged that names the first faults.
func (c Verified) Err() error {
	if len(c.Faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", wal.ErrDamaged, strings.Join(c.Faults, "; "))
}

// Verify reads all shards, each as of one moment: their records have no gap and can be read,
// their claims never go back, no checkpoint is ahead of its log, and what was trimmed is in the
// checkpoint. It may be called while nodes are at work, and names 100 faults at most. That
// the server is durable was seen when the connection was made. It takes about a second for
// each hundred MiB.
func (l *Log) Verify(ctx context.Context) (Verified, error) {
	var all Verified
	c, err := l.take(ctx)
	if err != nil {
		return all, err
	}
	err = c.timed(ctx, 0, func() error {
		for shard := range int64(l.shards) {
			err := pgx.BeginTxFunc(ctx, c.Conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
				return all.shard(c, shard)
			})
			if err != nil {
				return err
			}
		}
		var strange int64
		rows, err := c.query("strange", int64(l.shards))
		if err == nil {
			_, err = rowOf(rows, &strange)
		}
		if strange > 0 {
			all.fault("%d shards that the log does not have", strange)
		}
		return err
	})
	l.give(c, err)
	return all, err
}

func (c *Verified) fault(format string, args ...any) {
	if len(c.Faults) < maxFaults {
		c.Faults = append(c.Faults, fmt.Sprintf(format, args...))
	}
}

// stands is the row of a shard.
type stands struct {
	epoch, trimmed, folded int64
	claim                  []byte
}

// seen is a row of the log.
type seen struct {
	seq, epoch  int64
	claim, data []byte
}

// shard checks one.
func (c *Verified) shard(conn *conn, shard int64) error {
	var s stands
	rows, err := conn.query("shardrow", shard)
	if err != nil {
		return err
	}
	claimed, err := rowOf(rows, &s.epoch, &s.claim, &s.trimmed, &s.folded)
	if err != nil {
		return err
	}
	var points, size int64
	if rows, err = conn.query("points", shard); err != nil {
		return err
	} else if _, err = rowOf(rows, &points, &size); err != nil {
		return err
	}
	c.Rows += uint64(points)
	c.Bytes += uint64(size)
	if rows, err = conn.query("logrows", shard); err != nil {
		return err
	}
	defer rows.Close()
	last := seen{}
	for rows.Next() {
		var r seen
		if err := rows.Scan(&r.seq, &r.epoch, &r.claim, &r.data); err != nil {
			return err
		}
		c.Records++
		c.Bytes += uint64(len(r.data))
		if why := r.wrong(last, s.trimmed); why != "" {
			c.fault("shard %d, record %d: %s", shard, r.seq, why)
		}
		last = r
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if claimed {
		c.Shards++
	} else if last.seq > 0 || points > 0 {
		c.fault("shard %d was never claimed, and has %d rows and records up to %d", shard, points, last.seq)
		return nil
	}
	if why := s.wrong(last); why != "" {
		c.fault("shard %d: %s", shard, why)
	}
	return nil
}

// wrong says what is wrong with a record behind last, "" if nothing is.
func (r seen) wrong(last seen, trimmed int64) string {
	takeover := len(r.data) == 0
	next := r.seq == last.seq+1
	_, err := unpack(r.data)
	switch {
	case !next && r.seq > trimmed && (last.seq >= trimmed || r.seq > trimmed+1):
		return fmt.Sprintf("the one before is %d, of which none is trimmed behind %d", last.seq, trimmed)
	case r.epoch < last.epoch:
		return fmt.Sprintf("its epoch is %d, behind one of %d", r.epoch, last.epoch)
	case takeover && (r.epoch == last.epoch || bytes.Equal(r.claim, last.claim)):
		return "it takes over from its own claim"
	case !takeover && next && (r.epoch != last.epoch || !bytes.Equal(r.claim, last.claim)):
		return "it is of another claim than the one before, and no takeover"
	case len(r.claim) != len(claimID{}):
		return fmt.Sprintf("its claim has %d bytes", len(r.claim))
	case err != nil:
		return err.Error()
	}
	return ""
}

// wrong says what is wrong with a shard whose last record is that.
func (s stands) wrong(last seen) string {
	switch {
	case s.trimmed > s.folded:
		return fmt.Sprintf("it is trimmed up to record %d, and its checkpoint has those up to %d", s.trimmed, s.folded)
	case s.folded > last.seq:
		return fmt.Sprintf("its checkpoint has records up to %d, and its log ends at %d", s.folded, last.seq)
	case last.epoch > s.epoch:
		return fmt.Sprintf("its log has epoch %d, above that of its latest claim, %d", last.epoch, s.epoch)
	case last.epoch == s.epoch && last.seq > 0 && !bytes.Equal(last.claim, s.claim):
		return fmt.Sprintf("its log ends with another claim of epoch %d", s.epoch)
	}
	return ""
}
