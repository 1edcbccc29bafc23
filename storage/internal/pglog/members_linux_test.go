package pglog_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"carillon/internal/pgtest"
	"carillon/storage/internal/pglog"
	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"

	"github.com/jackc/pgx/v5"
)

// sharedBench is waltest's.
type sharedBench struct {
	*place
	t *testing.T
}

func (b sharedBench) Node(testing.TB) wal.Shared { return b.open(b.t, pglog.Options{Shards: 4}) }

func (b sharedBench) Pass(_ testing.TB, d time.Duration) {
	b.exec(b.t, `UPDATE node SET beat = beat - $1::interval`, d)
}

// Restart has the log see another server than the one that has heard the beats.
func (b sharedBench) Restart(testing.TB) {
	b.exec(b.t, `UPDATE meta SET server = split_part(server, '/', 1) || '/0'`)
}

func (b sharedBench) Lose(_ testing.TB, v wal.Volume) {
	b.exec(b.t, `DELETE FROM log WHERE shard = $1 AND seq = (SELECT max(seq) FROM log WHERE shard = $1)`, int64(v))
}

// TestG43_PostgresLogIsShared: the log in PostgreSQL is one that several nodes reach.
func TestG43_PostgresLogIsShared(t *testing.T) {
	waltest.SharedConformance(t, func(t *testing.T) waltest.SharedBench { return sharedBench{mustPlace(t), t} })
}

// mustJoin opens the log for a node.
func (p *place) mustJoin(t *testing.T, name string) *pglog.Log {
	t.Helper()
	log := p.open(t, pglog.Options{})
	wants(t, log.Join(t.Context(), wal.Node{Name: name, TTL: time.Hour}), nil)
	return log
}

// during runs fn while a transaction is open that has run the statements, and commits once fn
// waits for it. It returns what fn has.
func (p *place) during(t *testing.T, fn func() error, statements ...string) (err error) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), postgres.Address(t)+"&search_path="+p.schema)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	exec := func(sql string) {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`BEGIN`)
	for _, sql := range statements {
		exec(sql)
	}
	answer := make(chan error, 1)
	go func() { answer <- fn() }()
	for waits := 0; waits == 0 && len(answer) == 0; {
		if err := p.admin.QueryRow(t.Context(), `SELECT count(*)::int FROM pg_locks WHERE locktype IN ('transactionid', 'tuple') AND NOT granted`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	exec(`COMMIT`)
	return <-answer
}

// TestG44_BeatAndRetirementMeetInOneRow: a beat that waits for a retirement is told of it, and a
// retirement that waits for a beat retires nothing.
func TestG44_BeatAndRetirementMeetInOneRow(t *testing.T) {
	p := mustPlace(t)
	a, b := p.mustJoin(t, "a"), p.mustJoin(t, "b")
	mustClaim(t, a, 1)
	p.exec(t, `UPDATE node SET beat = beat - interval '1 h' WHERE name = 'a'`)
	claim := func() error { _, err := b.Claim(t.Context(), 1); return err }
	wants(t, p.during(t, claim, `UPDATE node SET beat = clock_timestamp() WHERE name = 'a'`), wal.ErrOwned)
	wants(t, a.Beat(t.Context()), nil)
	beat := func() error { return a.Beat(t.Context()) }
	wants(t, p.during(t, beat, `UPDATE node SET retired = clock_timestamp() WHERE name = 'a'`), wal.ErrRetired)
	wants(t, claim(), nil)
}

// TestG43_ClaimMeetsAnOwnerItHasNotSeen: a claim that waits for the shard does not take it from
// a node that came, and took it, in between.
func TestG43_ClaimMeetsAnOwnerItHasNotSeen(t *testing.T) {
	p := mustPlace(t)
	a, b := p.mustJoin(t, "a"), p.mustJoin(t, "b")
	mustClaim(t, a, 1)
	p.exec(t, `UPDATE node SET retired = clock_timestamp() WHERE name = 'a'`)
	claim := func() error { _, err := b.Claim(t.Context(), 1); return err }
	wants(t, p.during(t, claim,
		`INSERT INTO node (id, name, address, release, ttl, joined, beat) VALUES ('c/1', 'c', '', '', '1 h', clock_timestamp(), clock_timestamp())`,
		`UPDATE shard SET epoch = epoch + 1, claim = '\x01', owner = 'c/1' WHERE id = 1`), wal.ErrOwned)
}

// TestG44_RestartOfPostgres: for one TTL after PostgreSQL was started again no node is retired,
// and what a node has released before is free.
func TestG44_RestartOfPostgres(t *testing.T) {
	p := mustPlace(t)
	a, b := p.mustJoin(t, "a"), p.mustJoin(t, "b")
	for v := range wal.Volume(2) {
		mustClaim(t, a, v)
	}
	p.exec(t, `UPDATE shard SET owner = NULL WHERE id = 0`)
	p.exec(t, `UPDATE node SET beat = beat - interval '1 day'`)
	_ = p.admin.Close(t.Context())
	postgres.Restart(t)
	var err error
	if p.admin, err = pgx.Connect(t.Context(), postgres.Address(t)+"&search_path="+p.schema); err != nil {
		t.Fatal(err)
	}
	claim := func(v wal.Volume) error {
		for {
			_, err := b.Claim(t.Context(), v)
			if err == nil || errors.Is(err, wal.ErrOwned) {
				return err
			}
		}
	}
	wants(t, claim(1), wal.ErrOwned)
	wants(t, claim(0), nil)
	p.exec(t, `UPDATE node SET beat = beat - interval '1 h'`)
	wants(t, claim(1), nil)
}

// TestG44_ClaimLostByAPromotion: where a standby was promoted that may not have heard of the latest claims, a shard that is
// free there is claimed once no other node can take itself for its owner, and what a node owns by itself at once.
func TestG44_ClaimLostByAPromotion(t *testing.T) {
	p := mustPlace(t)
	a, b := p.mustJoin(t, "a"), p.mustJoin(t, "b")
	mustClaim(t, a, 1)
	mustClaim(t, b, 2)
	p.exec(t, `UPDATE shard SET owner = NULL WHERE id = 1`) // as the standby had it
	p.exec(t, `UPDATE meta SET server = '0/1'`)
	claim := func(v wal.Volume) error { _, err := b.Claim(t.Context(), v); return err }
	for range 2 {
		wants(t, claim(1), wal.ErrOwned) // released
		wants(t, claim(3), wal.ErrOwned) // free
		wants(t, claim(2), nil)
	}
	late := p.mustJoin(t, "c") // after the promotion
	p.exec(t, `UPDATE node SET unheard = unheard - interval '59 min'`)
	wants(t, claim(1), wal.ErrOwned)
	wants(t, a.Beat(t.Context()), wal.ErrRetired) // it has learned what was lost
	wants(t, claim(1), nil)
	wants(t, late.Leave(t.Context()), nil)
	p.exec(t, `UPDATE meta SET server = '0/1'`)
	d := p.mustJoin(t, "d")
	_, err := d.Claim(t.Context(), 3)
	wants(t, err, wal.ErrOwned) // b may
	p.exec(t, `UPDATE node SET unheard = unheard - interval '1 h'`)
	mustClaim(t, d, 3)
}

// TestG43_LateClaimOfItsOwn: a claim that was held up, and comes behind a later one of the same node, takes nothing from that.
func TestG43_LateClaimOfItsOwn(t *testing.T) {
	p := mustPlace(t)
	a := p.mustJoin(t, "a")
	var once atomic.Bool
	p.proxy.SetFate(func(name string) pgtest.Fate {
		if name == "claimfor" && once.CompareAndSwap(false, true) {
			c := mustClaim(t, a, 1) // comes first
			mustAppend(t, a, record(c, c.Last+1, "x"))
		}
		return pgtest.Pass
	})
	_, err := a.Claim(t.Context(), 1)
	wants(t, err, wal.ErrOwned)
	p.proxy.SetFate(nil)
	wants(t, a.Beat(t.Context()), nil)
	wants(t, a.Append(wal.Record{Volume: 1, Epoch: 1, Seq: 3, Data: []byte("y")})[0], nil)
}

// TestG44_BeatFindsItsClaimsLost: a node whose claims the server has lost is told so by its next
// beat, though it was not retired, and owns nothing from then on.
func TestG44_BeatFindsItsClaimsLost(t *testing.T) {
	p := mustPlace(t)
	a, b := p.mustJoin(t, "a"), p.mustJoin(t, "b")
	var c wal.Claim
	for v := range wal.Volume(3) {
		c = mustClaim(t, a, v)
	}
	for range 2 { // also where a claim was made again
		mustClaim(t, a, 1)
		wants(t, a.Beat(t.Context()), nil)
	}
	p.exec(t, `UPDATE shard SET claim = '\x01', epoch = epoch - 1 WHERE id = 1`) // as a server that was behind
	wants(t, a.Beat(t.Context()), wal.ErrRetired)
	wants(t, a.Beat(t.Context()), wal.ErrRetired)
	wants(t, a.Append(record(c, c.Last+1, "late"))[0], wal.ErrFenced)
	mustClaim(t, b, 0)
}

// TestG44_BeatBesideAClaim: a beat that does not find a claim which is being made is none of a
// node that has lost any.
func TestG44_BeatBesideAClaim(t *testing.T) {
	p := mustPlace(t)
	a := p.mustJoin(t, "a")
	c := mustClaim(t, a, 1)
	var once atomic.Bool
	p.proxy.SetFate(func(name string) pgtest.Fate {
		if name == "takeover" && once.CompareAndSwap(false, true) {
			wants(t, a.Beat(t.Context()), nil) // the row has the next claim, which is not known yet
		}
		return pgtest.Pass
	})
	again := mustClaim(t, a, 1)
	p.proxy.SetFate(nil)
	wants(t, a.Append(record(again, c.Last+2, "mine"))[0], nil)
	wants(t, a.Beat(t.Context()), nil)
}

// TestG43_MembershipOverCuts: wherever a connection is cut in what a node does as a member, a node
// that tries again comes to what it wanted, and no shard has an owner that does not know of it.
func TestG43_MembershipOverCuts(t *testing.T) {
	p := mustPlace(t)
	dead, log := p.mustJoin(t, "dead"), p.open(t, pglog.Options{})
	var v wal.Volume
	for _, statement := range []string{"join", "retire", "claimfor", "takeover", "beat", "release", "leave"} {
		for _, fate := range []pgtest.Fate{pgtest.CutBefore, pgtest.CutAfter} {
			wants(t, dead.Join(t.Context(), wal.Node{Name: "dead", TTL: time.Hour}), nil)
			mustClaim(t, dead, v)
			p.exec(t, `UPDATE node SET beat = beat - interval '1 h'`)
			var once atomic.Bool
			p.proxy.SetFate(func(name string) pgtest.Fate {
				if name == statement && once.CompareAndSwap(false, true) {
					return fate
				}
				return pgtest.Pass
			})
			until := func(what string, done error, fn func() error) {
				for { // until it has another connection
					if err := fn(); err == nil || done != nil && errors.Is(err, done) {
						return
					} else if !errors.Is(err, wal.ErrRefused) && !errors.Is(err, wal.ErrUnknown) || errors.Is(err, wal.ErrOwned) {
						t.Fatalf("%s cut, %s: %v", statement, what, err)
					}
				}
			}
			var c wal.Claim
			until("join", nil, func() error { return log.Join(t.Context(), wal.Node{Name: "n", TTL: time.Hour}) })
			until("claim", nil, func() (err error) { c, err = log.Claim(t.Context(), v); return err })
			until("beat", nil, func() error { return log.Beat(t.Context()) })
			mustAppend(t, log, record(c, c.Last+1, "mine"))
			until("release", nil, func() error { return log.Release(t.Context()) })
			until("leave", wal.ErrRetired, func() error { return log.Leave(t.Context()) })
			if !once.Load() {
				t.Errorf("%s was not cut", statement)
			}
			p.proxy.SetFate(nil)
			var owned int
			if err := p.admin.QueryRow(t.Context(), `SELECT count(*)::int FROM shard WHERE owner IS NOT NULL`).Scan(&owned); err != nil || owned > 0 {
				t.Errorf("%s cut: %d shards are owned, %v", statement, owned, err)
			}
			v++
		}
	}
}

// TestG43_NodeThatChecksNothingBesideOthers: a node that does not know which server it has reached
// gives no owner another TTL.
func TestG43_NodeThatChecksNothingBesideOthers(t *testing.T) {
	p := mustPlace(t)
	a, b := p.mustJoin(t, "a"), p.mustJoin(t, "b")
	log, err := pglog.Open(t.Context(), p.address()+"&unsafe=1", pglog.Options{})
	wants(t, err, nil)
	defer log.Close()
	mustClaim(t, a, 1)
	p.exec(t, `UPDATE node SET beat = beat - interval '50 min' WHERE name = 'a'`)
	wants(t, log.Join(t.Context(), wal.Node{Name: "c", TTL: time.Hour}), nil)
	_, err = log.Claim(t.Context(), 1)
	wants(t, err, wal.ErrOwned)
	p.exec(t, `UPDATE node SET beat = beat - interval '20 min' WHERE name = 'a'`)
	mustClaim(t, b, 1)
}
