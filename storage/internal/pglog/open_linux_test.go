package pglog_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"carillon/internal/pgtest"
	"carillon/storage/internal/pglog"
	"carillon/storage/internal/wal"
)

// TestServerIsChecked: a server that forgets, or a pooler before it, is refused, unless the
// address says that it is wanted.
func TestServerIsChecked(t *testing.T) {
	p := mustPlace(t)
	refused := func(address, why string) {
		t.Helper()
		log, err := pglog.Open(t.Context(), address, pglog.Options{})
		if err == nil {
			_ = log.Close()
		}
		if !errors.Is(err, pglog.ErrUnfit) || !strings.Contains(err.Error(), why) {
			t.Errorf("a server is opened: %v, want %q", err, why)
		}
		if log, err = pglog.Open(t.Context(), address+"&unsafe=1", pglog.Options{}); err != nil {
			t.Errorf("with unsafe: %v", err)
			return
		}
		_ = log.Close()
	}
	refused(p.address()+"&options=-c%20synchronous_commit%3Doff", "synchronous_commit is off")
	p.proxy.SetProcessID(7)
	refused(p.address(), "PgBouncer")
	p.proxy.SetProcessID(0)
	for _, bad := range []string{"&unsafe=perhaps", "&schema=" + strings.Repeat("s", 64), "&port=x"} {
		if _, err := pglog.Open(t.Context(), p.proxy.Address()+bad, pglog.Options{}); err == nil {
			t.Errorf("an address with %s is taken", bad)
		}
	}
}

// TestSchemaIsMadeOnce: of several that come at once one makes it; shards stay as they were;
// one of a later release is not touched.
func TestSchemaIsMadeOnce(t *testing.T) {
	p := mustPlace(t)
	var logs [4]*pglog.Log
	var all sync.WaitGroup
	for i := range logs {
		all.Go(func() {
			var err error
			if logs[i], err = pglog.Open(t.Context(), p.address(), pglog.Options{Shards: 3}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, log := range logs {
		if log == nil {
			t.FailNow()
		}
		defer log.Close()
		if log.ID() != logs[0].ID() || log.Shards() != 3 {
			t.Errorf("store %d of %d shards, and store %d", log.ID(), log.Shards(), logs[0].ID())
		}
	}
	if log := p.open(t, pglog.Options{Shards: 5}); log.Shards() != 3 || log.ID() != logs[0].ID() {
		t.Errorf("it has %d shards now", log.Shards())
	}
	mustClaim(t, logs[0], 2)
	_, err := logs[0].Claim(t.Context(), 3)
	wants(t, err, wal.ErrRefused)
	p.exec(t, `UPDATE meta SET version = 99`)
	_, err = pglog.Open(t.Context(), p.address(), pglog.Options{})
	wants(t, err, pglog.ErrLater)
	for _, shards := range []int{-1, pglog.MaxShards + 1} {
		if _, err := pglog.Open(t.Context(), p.address(), pglog.Options{Shards: shards}); err == nil || !strings.Contains(err.Error(), "1 to 4096") {
			t.Errorf("%d shards: %v", shards, err)
		}
	}
}

// TestFoldIsBounded: a statement has 1 MiB of keys and values; keys fit the index, and come
// in their order.
func TestFoldIsBounded(t *testing.T) {
	p := mustPlace(t)
	log := p.open(t, pglog.Options{})
	c := mustClaim(t, log, 1)
	statements := 0
	p.proxy.SetFate(func(name string) pgtest.Fate {
		if name == "foldput" {
			statements++
		}
		return pgtest.Pass
	})
	half := strings.Repeat("v", 1<<19-1)
	for i, value := range []string{half, half + "v"} {
		statements = 0
		wants(t, log.Fold(c, 1, rows(put("a", half), put("b", value))), nil)
		if statements != i+1 {
			t.Errorf("%d bytes are folded in %d statements", 1<<20+i, statements)
		}
	}
	key := make([]byte, 2561) // of random bytes, which the server cannot compress
	_, _ = rand.Read(key)
	wants(t, log.Fold(c, 1, rows(wal.Row{Key: key[:2560]})), nil)
	for _, bad := range [][]wal.Row{{{Key: key}}, {put("", "x")}, {put("b", "1"), put("a", "2")}, {put("a", "1"), put("a", "2")}} {
		wants(t, log.Fold(c, 1, rows(bad...)), wal.ErrKeys)
	}
	if got, _, _ := loaded(t, log, 1); len(got) != 3 || got["b"] != half+"v" || got[string(key[:2560])] != "" {
		t.Errorf("the checkpoint has %d rows", len(got))
	}
}

// TestReadGoesOnBehindAPage: a read of more records than a page has yields all, and tells of
// one that is not there.
func TestReadGoesOnBehindAPage(t *testing.T) {
	p := mustPlace(t)
	log := p.open(t, pglog.Options{})
	mustClaim(t, log, 1)
	p.exec(t, `INSERT INTO log SELECT 1, seq, 1, claim, '\x0141' FROM shard, generate_series(2, 513) AS seq`)
	for from, want := range map[uint64]int{1: 513, 2: 512, 258: 256, 513: 1, 514: 0} {
		if got := texts(t, log, 1, from); len(got) != want {
			t.Errorf("from %d: %d records, want %d", from, len(got), want)
		}
	}
	p.exec(t, `DELETE FROM log WHERE seq = 300`)
	n := 0
	var last error
	for _, err := range log.Read(t.Context(), 1, 1) {
		if n, last = n+1, err; err != nil {
			break
		}
	}
	if n != 257 || !errors.Is(last, wal.ErrDamaged) || !strings.Contains(fmt.Sprint(last), "record 300") {
		t.Errorf("after %d: %v", n, last)
	}
}

// TestConnectionThatHasEndedIsNotUsed: what the server has closed while it had nothing to do makes
// no append unknown.
func TestConnectionThatHasEndedIsNotUsed(t *testing.T) {
	p := mustPlace(t)
	log := p.open(t, pglog.Options{})
	claim := func() (c wal.Claim) {
		err := wal.ErrUnknown
		for err != nil {
			c, err = log.Claim(t.Context(), 1)
		}
		return c
	}
	c, unknown := claim(), 0
	for range 20 {
		p.proxy.CutAll()
		if err := log.Append(record(c, c.Last+1, "a"))[0]; err != nil {
			wants(t, err, wal.ErrUnknown)
			unknown++
			c = claim()
		} else {
			c.Last++
		}
	}
	if unknown > 4 { // where the end of a connection has not come yet; of all, half would be
		t.Errorf("%d of 20 appends are unknown", unknown)
	}
}
