package pglog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"carillon/internal/pgtest"
	"carillon/storage/internal/pglog"
	"carillon/storage/internal/wal"
)

// holds tells the locks of tests apart.
var holds atomic.Int64

// hold has the server stop in the middle of each insert into the log of which the condition
// holds, after it has looked and before it has put the row in its place, until release.
func (p *place) hold(t *testing.T, condition string) (held func() bool, release func()) {
	t.Helper()
	key := holds.Add(1)
	p.exec(t, fmt.Sprintf(`CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(%d); RETURN NEW; END $$`, key))
	p.exec(t, `CREATE TRIGGER hold BEFORE INSERT ON log FOR EACH ROW WHEN (`+condition+`) EXECUTE FUNCTION hold()`)
	p.exec(t, `SELECT pg_advisory_lock($1)`, key)
	t.Cleanup(func() { _, _ = p.admin.Exec(context.Background(), `SELECT pg_advisory_unlock($1)`, key) }) // of a test that has failed
	return func() bool {
		p.await(t, `SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted`, key)
		return true
	}, func() { p.exec(t, `SELECT pg_advisory_unlock($1)`, key) }
}

// claimOf is the condition that a row is of the claim which is in force now.
func (p *place) claimOf(t *testing.T, v wal.Volume) string {
	t.Helper()
	var id string
	if err := p.admin.QueryRow(t.Context(), `SELECT encode(claim, 'hex') FROM shard WHERE id = $1`, int64(v)).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return `NEW.claim = '\x` + id + `'`
}

// TestG23_StaleAppendAfterTakeoverFoldAndTrim: an append that began before a takeover, and
// comes to its place after a trim beyond it, finds the takeover there.
func TestG23_StaleAppendAfterTakeoverFoldAndTrim(t *testing.T) {
	p := mustPlace(t)
	a, b := p.open(t, pglog.Options{}), p.open(t, pglog.Options{})
	old := mustClaim(t, a, 1)
	mustAppend(t, a, record(old, 2, "mine"))
	held, release := p.hold(t, p.claimOf(t, 1))
	stale := make(chan error, 1)
	go func() { stale <- a.Append(record(old, 3, "stale"))[0] }()
	held()
	c := mustClaim(t, b, 1)
	if c.Last != 3 {
		t.Fatalf("the takeover is record %d, want the place of the append, 3", c.Last)
	}
	mustAppend(t, b, record(c, 4, "theirs"))
	wants(t, b.Fold(c, 4, rows(put("k", "v"))), nil)
	wants(t, b.Trim(c, 4), nil)
	release()
	wants(t, <-stale, wal.ErrFenced)
	mustAppend(t, b, record(c, 5, "next"))
	if got := texts(t, b, 1, 5); !slices.Equal(got, []string{"next"}) {
		t.Errorf("the log has %q", got)
	}
}

// TestG23_StaleTakeoverFindsItsPlaceTaken: a claim that stops in the middle of its takeover
// does not come to a place that a later claim has trimmed.
func TestG23_StaleTakeoverFindsItsPlaceTaken(t *testing.T) {
	p := mustPlace(t)
	x, y, z := p.open(t, pglog.Options{}), p.open(t, pglog.Options{}), p.open(t, pglog.Options{})
	first := mustClaim(t, x, 1)
	mustAppend(t, x, record(first, 2, "a"))
	held, release := p.hold(t, `NEW.epoch = 2 AND NEW.data = ''`)
	type claimed struct {
		wal.Claim
		err error
	}
	stale, later := make(chan claimed, 1), make(chan claimed, 1)
	claim := func(log *pglog.Log, to chan claimed) {
		c, err := log.Claim(t.Context(), 1)
		to <- claimed{c, err}
	}
	go claim(z, stale)
	held()
	mustAppend(t, x, record(first, 3, "b")) // the owner does not know yet
	mustAppend(t, x, record(first, 4, "c"))
	go claim(y, later)
	var c claimed
	for waits := 0; waits == 0 && c.Epoch == 0; {
		select {
		case c = <-later:
			if c.err != nil {
				t.Fatal(c.err)
			}
			wants(t, y.Fold(c.Claim, c.Last, rows()), nil)
			wants(t, y.Trim(c.Claim, c.Last), nil)
		default:
			if err := p.admin.QueryRow(t.Context(), `SELECT count(*)::int FROM pg_locks WHERE locktype IN ('transactionid', 'tuple') AND NOT granted`).Scan(&waits); err != nil {
				t.Fatal(err)
			}
		}
	}
	release()
	s := <-stale
	if c.Epoch == 0 {
		c = <-later
	}
	if c.err != nil {
		t.Fatal(c.err)
	}
	if s.err == nil {
		wants(t, z.Append(record(s.Claim, s.Last+1, "stale"))[0], wal.ErrFenced)
	}
	mustAppend(t, y, record(c.Claim, c.Last+1, "mine"))
}

// TestG23_ClaimIDFencesWhereTheEpochDoesNot: after a server has lost its last moments, and
// has handed an epoch out twice, the owner of before is refused.
func TestG23_ClaimIDFencesWhereTheEpochDoesNot(t *testing.T) {
	p := mustPlace(t)
	a, b := p.open(t, pglog.Options{}), p.open(t, pglog.Options{})
	old := mustClaim(t, a, 1)
	p.exec(t, `DELETE FROM log`)
	p.exec(t, `UPDATE shard SET epoch = 0`)
	c := mustClaim(t, b, 1)
	if c.Epoch != old.Epoch || c.Last != old.Last {
		t.Fatalf("claims %+v and %+v differ", old, c)
	}
	wants(t, a.Append(record(old, 2, "stale"))[0], wal.ErrFenced)
	mustAppend(t, b, record(c, 2, "mine"))
	wants(t, a.Trim(old, 1), wal.ErrFenced)
}

// TestG23_FoldIsFenced: rows and deletions of an owner of before change no checkpoint.
func TestG23_FoldIsFenced(t *testing.T) {
	p := mustPlace(t)
	a, b := p.open(t, pglog.Options{}), p.open(t, pglog.Options{})
	for v, row := range []wal.Row{put("k", "stale"), {Key: []byte("k"), Deleted: true}} {
		v := wal.Volume(v)
		old := mustClaim(t, a, v)
		wants(t, a.Fold(old, 1, rows(put("k", "v"))), nil)
		mustClaim(t, b, v)
		wants(t, a.Fold(old, 1, rows(row)), wal.ErrFenced)
		if got, _, _ := loaded(t, b, v); len(got) != 1 || got["k"] != "v" {
			t.Errorf("volume %d: the checkpoint has %q", v, got)
		}
	}
}

// TestTrimOfALogInPostgres: what no checkpoint has stays; what goes, goes from the lowest on.
func TestTrimOfALogInPostgres(t *testing.T) {
	p := mustPlace(t)
	log := p.open(t, pglog.Options{TrimRows: 2})
	c := mustClaim(t, log, 1)
	for seq := uint64(2); seq <= 9; seq++ {
		mustAppend(t, log, record(c, seq, fmt.Sprint(seq)))
	}
	wants(t, log.Trim(c, 1), wal.ErrNotFolded)
	wants(t, log.Fold(c, 10, rows()), wal.ErrOrder)
	wants(t, log.Fold(c, 8, rows()), nil)
	wants(t, log.Trim(c, 9), wal.ErrNotFolded)
	statements := 0
	p.proxy.SetFate(func(name string) pgtest.Fate {
		if name == "trim" {
			if statements++; statements == 3 {
				return pgtest.CutBefore
			}
		}
		return pgtest.Pass
	})
	wants(t, log.Trim(c, 8), wal.ErrUnknown)
	wants(t, log.Append(record(c, 10, "spent"))[0], wal.ErrFenced)
	if got := texts(t, log, 1, 5); !slices.Equal(got, []string{"5", "6", "7", "8", "9"}) {
		t.Errorf("after half of a trim the log has %q", got)
	}
	for rec, err := range log.Read(t.Context(), 1, 4) {
		if !errors.Is(err, wal.ErrTrimmed) {
			t.Errorf("a trimmed record is read: %v, %v", rec, err)
		}
	}
	c = mustClaim(t, log, 1)
	wants(t, log.Fold(c, c.Last, rows()), nil)
	wants(t, log.Trim(c, c.Last), nil)
	if n := p.await(t, `SELECT count(*)::int FROM log`); n != 2 {
		t.Errorf("%d rows are left, want both takeovers", n)
	}
	for range 2 { // what comes next has its record before it
		c.Last++
		mustAppend(t, log, record(c, c.Last, "next"))
		wants(t, log.Fold(c, c.Last, rows()), nil)
		wants(t, log.Trim(c, c.Last), nil)
	}
}

// TestLoadBeginsAgain: a reader whose checkpoint is older than the log reads the next one.
func TestLoadBeginsAgain(t *testing.T) {
	p := mustPlace(t)
	log, reader := p.open(t, pglog.Options{}), p.open(t, pglog.Options{})
	c := mustClaim(t, log, 1)
	mustAppend(t, log, record(c, 2, "a"))
	wants(t, log.Fold(c, 2, rows(put("gone", "x"), put("k", "1"))), nil)
	mustAppend(t, log, record(c, 3, "b"))
	if got, recs, begins := loaded(t, reader, 1); len(got) != 2 || !slices.Equal(recs, []string{"b"}) || begins != 1 {
		t.Errorf("%q, then %q, begun %d times", got, recs, begins)
	}
	var once atomic.Bool
	p.proxy.SetFate(func(name string) pgtest.Fate {
		if name == "read" && once.CompareAndSwap(false, true) {
			mustAppend(t, log, record(c, 4, "c"))
			wants(t, log.Fold(c, 4, rows(wal.Row{Key: []byte("gone"), Deleted: true}, put("k", "2"))), nil)
			wants(t, log.Trim(c, 4), nil)
		}
		return pgtest.Pass
	})
	if got, recs, begins := loaded(t, reader, 1); len(got) != 1 || got["k"] != "2" || len(recs) != 0 || begins != 2 {
		t.Errorf("%q, then %q, begun %d times", got, recs, begins)
	}
}

// TestG1_AppendIsGivenUpAndNotCanceled: an append whose answer does not come is unknown, and
// the server is not asked to cancel it: what waits for a standby would be committed by that.
func TestG1_AppendIsGivenUpAndNotCanceled(t *testing.T) {
	p := mustPlace(t)
	other := p.open(t, pglog.Options{}) // first, since it makes the schema, which takes longer
	log := p.open(t, pglog.Options{AnswerTimeout: 200 * time.Millisecond})
	c, err := log.Claim(t.Context(), 1)
	for err != nil { // on a busy machine that takes longer, too
		c, err = log.Claim(t.Context(), 1)
	}
	held, release := p.hold(t, p.claimOf(t, 1))
	answer := make(chan error, 1)
	go func() { answer <- log.Append(record(c, c.Last+1, "late"))[0] }()
	held()
	wants(t, <-answer, wal.ErrUnknown)
	if n := p.proxy.Canceled.Load(); n > 0 {
		t.Errorf("%d statements were canceled", n)
	}
	release()
	mustClaim(t, other, 1)
	before := texts(t, other, 1, 1)
	mustClaim(t, other, 1)
	if got := texts(t, other, 1, 1); !slices.Equal(got[:len(before)], before) || slices.Contains(got[len(before):], "late") {
		t.Errorf("the claim found %q, and then there was %q", before, got)
	}
}

// TestG1_WarningOfAStandbyThatDidNotAnswer: what the server has committed without its standby
// is unknown, and not durable.
func TestG1_WarningOfAStandbyThatDidNotAnswer(t *testing.T) {
	p := mustPlace(t)
	log := p.open(t, pglog.Options{})
	c := mustClaim(t, log, 1)
	p.exec(t, `ALTER SYSTEM SET synchronous_standby_names = 'absent'`)
	reset := func() {
		p.exec(t, `ALTER SYSTEM RESET synchronous_standby_names`)
		p.exec(t, `SELECT pg_reload_conf()`)
	}
	p.exec(t, `SELECT pg_reload_conf()`)
	for { // until the server has heard of it
		answer := make(chan error, 1)
		go func() { answer <- log.Append(record(c, c.Last+1, "alone"))[0] }()
		pid := 0
		var err error
		for answered := false; !answered && pid == 0; {
			select {
			case err = <-answer:
				answered = true
			default:
				if err := p.admin.QueryRow(t.Context(), `SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`).Scan(&pid); err != nil {
					t.Fatal(err)
				}
			}
		}
		if pid == 0 {
			if err != nil {
				reset()
				t.Fatal(err)
			}
			c.Last++
			continue
		}
		p.exec(t, `SELECT pg_cancel_backend($1)`, pid)
		wants(t, <-answer, wal.ErrUnknown)
		break
	}
	reset()
	p.await(t, `SELECT count(*)::int FROM pg_settings WHERE name = 'synchronous_standby_names' AND setting = ''`)
}
