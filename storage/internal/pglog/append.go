package pglog

import (
	"context"
	"fmt"
	"sync"
	"time"

	"carillon/storage/internal/wal"
)

// pending is a record that waits for its answer.
type pending struct {
	wal.Record
	err  *error
	done *sync.WaitGroup
	held *held
}

func (p *pending) answer(err error) {
	*p.err = err
	p.done.Done()
}

// Append is wal.Log's. Records of all callers share a statement; a statement that was sent
// is not canceled.
func (l *Log) Append(recs ...wal.Record) []error {
	errs := make([]error, len(recs))
	var done sync.WaitGroup
	seen := map[wal.Volume]bool{}
	l.mu.Lock()
	for i, rec := range recs {
		twice := seen[rec.Volume]
		seen[rec.Volume] = true
		switch {
		case l.closed:
			errs[i] = wal.ErrClosed
		case l.silent == lanes:
			errs[i] = errSilent
		case len(rec.Data) == 0:
			errs[i] = wal.ErrEmpty
		case len(rec.Data) > maxRecord:
			errs[i] = wal.ErrTooLarge
		case twice:
			errs[i] = wal.ErrOrder
		default:
			done.Add(1)
			l.queue = append(l.queue, &pending{Record: rec, err: &errs[i], done: &done})
		}
	}
	l.more.Broadcast()
	l.mu.Unlock()
	done.Wait()
	return errs
}

// carry sends what is in the queue, over one connection, until the log is closed.
func (l *Log) carry() {
	var c *conn
	defer func() {
		if c != nil {
			c.close()
		}
	}()
	for {
		batch, ok := l.next()
		if !ok {
			return
		}
		c = l.send(c, batch)
	}
}

// next takes records out of the queue, of each shard one, none of a shard that has one on its
// way. ok is false once the log was closed.
func (l *Log) next() (batch []*pending, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if l.closed {
			return nil, false
		}
		size, rest := 0, l.queue[:0]
		for _, p := range l.queue {
			h := l.claims[p.Volume]
			switch {
			case h != nil && h.busy || size >= maxStatement:
				rest = append(rest, p)
			case h == nil || h.spent || h.epoch != p.Epoch:
				p.answer(wal.ErrFenced)
			case p.Seq != h.last+1:
				p.answer(wal.ErrOrder)
			default:
				h.busy, p.held = true, h
				size += len(p.Data)
				batch = append(batch, p)
			}
		}
		clear(l.queue[len(rest):])
		l.queue = rest
		if len(batch) > 0 {
			return batch, true
		}
		l.more.Wait()
	}
}

// send appends the batch and answers it. It returns the connection that is of use next, nil
// for a new one.
func (l *Log) send(c *conn, batch []*pending) *conn {
	heard := l.listen()
	c, taken, err := l.deliver(c, batch)
	heard() // before those that are answered ask for more
	unknown := isUnknown(err)
	l.mu.Lock()
	for _, p := range batch {
		h := p.held
		h.busy = false
		switch {
		case unknown:
			h.spent = true
		case err == nil && taken[p.Volume]:
			h.last = p.Seq
		case err == nil:
			h.spent = true
		}
	}
	l.more.Broadcast()
	l.mu.Unlock()
	for _, p := range batch {
		if err == nil && !taken[p.Volume] {
			p.answer(wal.ErrFenced)
		} else {
			p.answer(err)
		}
	}
	return c
}

// deliver sends the batch over the connection, or a new one, and returns whose records were taken.
func (l *Log) deliver(c *conn, batch []*pending) (is *conn, taken map[wal.Volume]bool, err error) {
	if c != nil && l.useless(c) {
		c.close()
		c = nil
	}
	if c == nil {
		if c, err = l.lane(); err != nil {
			return nil, nil, refused(err) // nothing was sent
		}
	}
	if taken, err = l.insert(c, batch); err != nil {
		c.close()
		c = nil
	}
	return c, taken, err
}

// lane returns a connection for appends. The server is away if that takes as long as an attempt of comeBack may.
func (l *Log) lane() (*conn, error) {
	limit := min(l.opts.ConnectTimeout, attemptTimeout)
	ctx, cancel := context.WithTimeout(l.ending, limit)
	defer cancel()
	c, err := l.pick(ctx)
	if err == nil {
		if err = c.timed(l.ending, limit, func() error { return c.prepare("append") }); err != nil {
			c.close()
		}
		return c, err
	}
	if ctx.Err() != nil && l.ending.Err() == nil {
		l.leave(err)
		err = l.want(err)
	}
	return nil, err
}

// insert runs the one statement of a batch, and returns whose records it has taken.
func (l *Log) insert(c *conn, batch []*pending) (taken map[wal.Volume]bool, err error) {
	n := len(batch)
	shards, seqs, epochs := make([]int64, n), make([]int64, n), make([]int64, n)
	ids, data := make([][]byte, n), make([][]byte, n)
	for i, p := range batch {
		shards[i], seqs[i], epochs[i] = int64(p.Volume), int64(p.Seq), int64(p.Epoch)
		ids[i], data[i] = p.held.id[:], pack(p.Data)
	}
	taken = map[wal.Volume]bool{}
	err = c.timed(context.Background(), l.opts.AnswerTimeout, func() error {
		rows, err := c.query("append", shards, seqs, epochs, ids, data)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var shard int64
			if err := rows.Scan(&shard); err != nil {
				return err
			}
			taken[wal.Volume(shard)] = true
		}
		return rows.Err()
	})
	if err == nil && c.warned {
		err = errWarned // it may be on this server only
	}
	return taken, outcome(err)
}

// errSilent refuses what would wait behind appends that have no answer.
var errSilent = fmt.Errorf("%w: it does not answer", ErrAway)

// listen has appends refused once all lanes have waited for SilenceTimeout, until heard.
func (l *Log) listen() (heard func()) {
	counted, over := false, false
	timer := time.AfterFunc(l.opts.SilenceTimeout, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if over {
			return
		}
		if l.silent, counted = l.silent+1, true; l.silent < lanes {
			return
		}
		for _, p := range l.queue {
			p.answer(errSilent)
		}
		l.queue = nil
	})
	return func() {
		timer.Stop()
		l.mu.Lock()
		defer l.mu.Unlock()
		if over = true; counted {
			l.silent--
		}
	}
}
