package pglog_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/internal/pgtest"
	"carillon/storage/internal/pglog"
	"carillon/storage/internal/wal"

	"github.com/jackc/pgx/v5"
)

// pair is a primary and its standby, and the way to the one that is in use.
type pair struct {
	*place
	primary, standby *pgtest.Server
}

func mustPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{primary: pgtest.New(t)}
	p.standby = p.primary.Standby(t)
	p.place = &place{proxy: pgtest.NewProxy(t, p.primary.Socket()), schema: "carillon", admin: mustAdmin(t, p.primary)}
	p.await(t, `SELECT count(*)::int FROM pg_stat_replication WHERE state = 'streaming'`)
	return p
}

func mustAdmin(t *testing.T, s *pgtest.Server) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), s.Address(t)+"&search_path=carillon")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// failOver ends the primary, and has the standby be in its place.
func (p *pair) failOver(t *testing.T) {
	t.Helper()
	p.primary.StopNow()
	p.standby.Promote(t)
	p.proxy.SetServer(p.standby.Socket())
	p.proxy.CutAll()
	p.admin = mustAdmin(t, p.standby)
}

// mustReach claims the shard when the server is there again.
func mustReach(t *testing.T, log *pglog.Log, v wal.Volume) wal.Claim {
	t.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		c, err := log.Claim(t.Context(), v)
		if err == nil {
			return c
		}
		if !errors.Is(err, pglog.ErrAway) && !errors.Is(err, wal.ErrUnknown) && !errors.Is(err, wal.ErrRefused) || time.Since(began) > 30*time.Second {
			t.Fatal(err)
		}
	}
}

// TestG1_SynchronousFailover: with a synchronous standby all that was acknowledged under load is
// there after its promotion, in order, and the log goes on. The old primary, when it is back, is refused, by
// the log that has seen the promotion, and by one that was opened anew with what it has left.
func TestG1_SynchronousFailover(t *testing.T) {
	p := mustPair(t)
	p.exec(t, `ALTER SYSTEM SET synchronous_standby_names = '*'`)
	p.exec(t, `SELECT pg_reload_conf()`)
	p.await(t, `SELECT count(*)::int FROM pg_stat_replication WHERE sync_state = 'sync'`)
	opts := pglog.Options{TimelineFile: filepath.Join(t.TempDir(), "timeline")}
	log := p.open(t, opts)
	const shards, before = 4, 30
	enough := make(chan bool, shards)
	type told struct{ acked, refused []string }
	answers := make(chan map[wal.Volume]*told)
	go func() {
		all := map[wal.Volume]*told{}
		done := make(chan *told, shards)
		for v := range wal.Volume(shards) {
			is := &told{}
			all[v] = is
			c, err := log.Claim(context.Background(), v)
			go func() {
				defer func() { done <- is }()
				for n := 0; err == nil; n++ {
					data := fmt.Sprint(n)
					if err = log.Append(record(c, c.Last+1, data))[0]; err == nil {
						c.Last++
						is.acked = append(is.acked, data)
					} else if errors.Is(err, wal.ErrRefused) {
						is.refused = append(is.refused, data)
					}
					if n == before || err != nil && n < before {
						enough <- true
					}
				}
			}()
		}
		for range shards {
			<-done
		}
		answers <- all
	}()
	for range shards {
		<-enough
	}
	p.failOver(t)
	for v, is := range <-answers {
		c := mustReach(t, log, v)
		var got []string
		for _, text := range texts(t, log, v, 1) {
			if text != "" {
				got = append(got, text)
			}
		}
		if len(is.acked) < before || len(got) < len(is.acked) || !slices.Equal(got[:len(is.acked)], is.acked) {
			t.Errorf("shard %d: %d were acknowledged, and there is %q", v, len(is.acked), got)
		}
		for _, data := range is.refused {
			if slices.Contains(got, data) {
				t.Errorf("shard %d: %q was refused, and is there", v, data)
			}
		}
		p.exec(t, `ALTER SYSTEM RESET synchronous_standby_names`)
		p.exec(t, `SELECT pg_reload_conf()`)
		mustAppend(t, log, record(c, c.Last+1, "after"))
	}
	p.primary.Start(t)
	p.proxy.SetServer(p.primary.Socket())
	p.proxy.CutAll()
	for began := time.Now(); ; {
		_, err := log.Claim(t.Context(), 0)
		if err == nil {
			t.Fatal("the log goes on at the old primary")
		}
		if errors.Is(err, pglog.ErrUnfit) || time.Since(began) > 30*time.Second {
			break
		}
	}
	_, err := log.Claim(t.Context(), 0)
	wants(t, err, pglog.ErrAway)
	wants(t, err, pglog.ErrUnfit)
	opts.AnswerTimeout = 3 * time.Second
	again, err := pglog.Open(t.Context(), p.address(), opts)
	if err == nil {
		_ = again.Close()
	}
	if !errors.Is(err, pglog.ErrUnfit) || !strings.Contains(err.Error(), "timeline 1, and 2 was seen") {
		t.Errorf("the old primary is opened: %v", err)
	}
	p.proxy.SetServer(p.standby.Socket())
	mustReach(t, log, 0)
}

// TestG1_AsynchronousFailoverIsNoticed: what an asynchronous standby has not had is lost; the
// log says so, once, and acknowledges nothing under the claim of before. Of the hosts in its address
// it uses the one that can be written to, whichever comes first, and is no old primary.
func TestG1_AsynchronousFailoverIsNoticed(t *testing.T) {
	p := mustPair(t)
	second := pgtest.NewProxy(t, p.standby.Socket())
	address := fmt.Sprintf("postgres://postgres@%s,%s/postgres?sslmode=disable&target_session_attrs=read-write", p.proxy.Host(), second.Host())
	opts := pglog.Options{TimelineFile: filepath.Join(t.TempDir(), "timeline")}
	log, err := pglog.Open(t.Context(), address, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	c, other := mustClaim(t, log, 1), mustClaim(t, log, 2)
	mustAppend(t, log, record(c, 2, "kept"))
	mustAppend(t, log, record(other, 2, "kept"))
	standby := mustAdmin(t, p.standby)
	followed := &place{admin: standby}
	p.await(t, `SELECT count(*)::int FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()`)
	followed.exec(t, `ALTER SYSTEM SET primary_conninfo = ''`)
	followed.exec(t, `SELECT pg_reload_conf()`)
	followed.await(t, `SELECT (count(*) = 0)::int FROM pg_stat_wal_receiver WHERE status = 'streaming'`)
	p.await(t, `SELECT (count(*) = 0)::int FROM pg_stat_replication`)
	mustAppend(t, log, record(c, 3, "lost"))
	mustAppend(t, log, record(c, 4, "lost"))
	p.primary.StopNow()
	p.standby.Promote(t)
	p.proxy.CutAll()
	for err := error(nil); !errors.Is(err, wal.ErrFenced); {
		if err = log.Append(record(c, 5, "on nothing"))[0]; err == nil {
			t.Fatal("a record is accepted behind those that are lost")
		}
	}
	for began := time.Now(); !errors.Is(err, wal.ErrTailLost) && time.Since(began) < 30*time.Second; {
		if _, err = log.Claim(t.Context(), 1); err == nil {
			t.Fatal("the loss is not noticed")
		}
	}
	wants(t, err, wal.ErrDamaged)
	if want := "shard 1 has had record 4, and the claim is record 3"; !strings.Contains(fmt.Sprint(err), want) {
		t.Errorf("%v does not say %q", err, want)
	}
	wants(t, log.Append(record(c, 5, "on nothing"))[0], wal.ErrFenced)
	if c = mustReach(t, log, 1); c.Last != 4 {
		t.Errorf("the second claim is record %d", c.Last)
	}
	mustAppend(t, log, record(c, 5, "anew"))
	if got := texts(t, log, 1, 1); !slices.Equal(got, []string{"", "kept", "", "", "anew"}) {
		t.Errorf("the log has %q", got)
	}
	if other = mustReach(t, log, 2); other.Last != 3 {
		t.Errorf("of a shard that has lost nothing the claim is record %d", other.Last)
	}
	p.primary.Start(t)
	again, err := pglog.Open(t.Context(), address, opts)
	if err != nil {
		t.Fatal("beside an old primary:", err)
	}
	defer again.Close()
	if other = mustClaim(t, again, 2); other.Last != 4 {
		t.Errorf("beside an old primary the claim is record %d", other.Last)
	}
}

// TestG1_FrozenServer: a server that stops in the midst of appends, and goes on, makes those that it
// has had unknown, and the next claim tells; others are refused.
func TestG1_FrozenServer(t *testing.T) {
	p := mustPlace(t)
	_ = p.open(t, pglog.Options{}).Close() // makes the schema, which takes longer
	log := p.open(t, pglog.Options{SilenceTimeout: 20 * time.Millisecond, AnswerTimeout: 500 * time.Millisecond, ConnectTimeout: 500 * time.Millisecond})
	claims := []wal.Claim{mustReach(t, log, 0), mustReach(t, log, 1), mustReach(t, log, 2)}
	for i := range claims {
		for claims[i].Last < 2 {
			if err := log.Append(record(claims[i], claims[i].Last+1, "before"))[0]; err == nil {
				claims[i].Last++
			} else {
				claims[i] = mustReach(t, log, claims[i].Volume)
			}
		}
	}
	postgres.Freeze(t)
	thaw := func() { postgres.Thaw(t) }
	defer func() { thaw() }()
	for i := range 3 {
		err := log.Append(record(claims[i], claims[i].Last+1, "frozen"))[0]
		if !errors.Is(err, wal.ErrUnknown) && !errors.Is(err, pglog.ErrAway) {
			t.Errorf("an append is answered by a server that is frozen: %v", err)
		}
	}
	thaw()
	thaw = func() {}
	for i := range claims {
		c := mustReach(t, log, claims[i].Volume)
		was := texts(t, log, c.Volume, 1)
		mustReach(t, log, claims[i].Volume)
		if got := texts(t, log, c.Volume, 1); !slices.Equal(got[:len(was)], was) || slices.Contains(got[len(was):], "frozen") {
			t.Errorf("the claim has found %q, and then there was %q", was, got)
		}
	}
}

// TestG23_HeldAppendComesAfterATakeover: what is held between a node and its server, and is delivered
// when the node has gone and another has taken the shard, is refused.
func TestG23_HeldAppendComesAfterATakeover(t *testing.T) {
	p := mustPlace(t)
	_ = p.open(t, pglog.Options{}).Close() // makes the schema, which takes longer
	a := p.open(t, pglog.Options{AnswerTimeout: 500 * time.Millisecond, ConnectTimeout: 500 * time.Millisecond})
	old := mustReach(t, a, 1)
	for a.Append(record(old, old.Last+1, "before"))[0] != nil { // half a second is little on a busy machine
		old = mustReach(t, a, 1)
	}
	var processes []int32
	if err := p.admin.QueryRow(t.Context(), `SELECT array_agg(pid) FROM pg_stat_activity WHERE application_name = 'carillon'`).Scan(&processes); err != nil {
		t.Fatal(err)
	}
	p.proxy.Hold()
	err := pglog.ErrAway
	for errors.Is(err, pglog.ErrAway) { // of the one that has no connection yet
		err = a.Append(record(old, old.Last+2, "held"))[0]
	}
	wants(t, err, wal.ErrUnknown)
	_ = a.Close()
	way := *p
	way.proxy = pgtest.NewProxy(t, postgres.Socket())
	b := way.open(t, pglog.Options{})
	c := mustClaim(t, b, 1)
	mustAppend(t, b, record(c, c.Last+1, "theirs"))
	p.proxy.Release()
	p.await(t, `SELECT (count(*) = 0)::int FROM pg_stat_activity WHERE pid = ANY ($1)`, processes)
	if got := texts(t, b, 1, old.Last+1); !slices.Equal(got, []string{"before", "", "theirs"}) {
		t.Errorf("the log has %q", got)
	}
}
