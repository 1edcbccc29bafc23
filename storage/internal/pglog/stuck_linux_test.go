package pglog_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/internal/pgtest"
	"carillon/storage/internal/pglog"
	"carillon/storage/internal/wal"
)

// TestReadOfACheckpointEnds: a checkpoint is read for as long as the server sends it, and no longer. What
// the reader does with a row is not the server's time.
func TestReadOfACheckpointEnds(t *testing.T) {
	p := mustPlace(t)
	log := p.open(t, pglog.Options{})
	c := mustClaim(t, log, 1)
	wants(t, log.Fold(c, 1, rows(put("a", "1"), put("b", "2"), put("c", "3"))), nil)
	way := *p
	way.proxy = pgtest.NewProxy(t, postgres.Socket())
	reader := way.open(t, pglog.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	load := func(row func()) (n int, err error) {
		_, err = reader.Load(ctx, 1, func() error { return nil },
			func(_, _ []byte) error { n++; row(); return nil },
			func(wal.Record) error { return nil })
		return n, err
	}
	n, err := load(func() {}) // its connection knows the statements from now on
	if wants(t, err, nil); n != 3 {
		t.Fatalf("%d rows are read", n)
	}
	const limit = 300 * time.Millisecond
	reader.SetAnswerTimeout(limit)
	for range 5 { // a busy machine may take that long for the first row
		once := limit + 30*time.Millisecond
		if n, err = load(func() { time.Sleep(once); once = 0 }); err == nil {
			break
		}
	}
	if wants(t, err, nil); n != 3 {
		t.Errorf("%d rows are read slowly", n)
	}
	release := make(chan struct{})
	defer close(release)
	var came atomic.Int64
	way.proxy.SetMessageFate(func(m pgtest.Message) pgtest.Fate {
		if m.Type == 'D' && !m.ToServer && came.Add(1) > 2 { // where it is folded, a row, and no more
			<-release
		}
		return pgtest.Pass
	})
	if _, err = load(func() {}); err == nil || !strings.Contains(err.Error(), "closed") || ctx.Err() != nil {
		t.Errorf("the server has sent nothing, and the reader says %v", err)
	}
}

// TestServerThatDoesNotAccept: while both connections for appends are being made, to a host that does not answer,
// appends behind those that wait for them are refused.
func TestServerThatDoesNotAccept(t *testing.T) {
	p := mustPlace(t)
	log := p.open(t, pglog.Options{SilenceTimeout: 20 * time.Millisecond})
	var claims [3]wal.Claim
	for i := range claims {
		claims[i] = mustClaim(t, log, wal.Volume(i))
	}
	p.proxy.HalfOpen(true)
	p.proxy.CutAll()
	var answers [2]chan error
	for i := range answers {
		before := p.proxy.Accepted.Load()
		answers[i] = make(chan error, 1)
		go func() { answers[i] <- log.Append(record(claims[i], 2, "x"))[0] }()
		for p.proxy.Accepted.Load() == before {
			time.Sleep(time.Millisecond)
		}
	}
	began := time.Now()
	if wants(t, log.Append(record(claims[2], 2, "x"))[0], pglog.ErrAway); time.Since(began) > time.Second {
		t.Errorf("it is refused after %v", time.Since(began))
	}
	_ = log.Close() // an attempt takes 2 s
	for _, answer := range answers {
		if err := <-answer; !errors.Is(err, wal.ErrClosed) && !errors.Is(err, pglog.ErrAway) { // if the machine was that slow
			t.Errorf("what waits for a connection ends with %v", err)
		}
	}
}

// TestG1_OldPrimaryGoesOn: where a primary goes on beside the standby that was promoted, nothing more is
// acknowledged over the connections to it, once the log has seen the promotion.
func TestG1_OldPrimaryGoesOn(t *testing.T) {
	p := mustPlace(t)
	log := p.open(t, pglog.Options{})
	c := mustClaim(t, log, 1)
	mustAppend(t, log, record(c, 2, "before"))
	log.SeeTimelines(1)
	err := log.Append(record(c, 3, "on the old one"))[0]
	wants(t, err, pglog.ErrAway)
	wants(t, err, pglog.ErrUnfit)
	wants(t, log.Fold(c, 2, rows()), pglog.ErrAway)
	log.SeeTimelines(-1) // it was another one
	for began := time.Now(); errors.Is(err, pglog.ErrAway) && time.Since(began) < 10*time.Second; {
		err = log.Append(record(c, 3, "after"))[0]
	}
	wants(t, err, nil)
}
