package pglog_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync/atomic"
	"testing"

	"carillon/internal/pgtest"
	"carillon/storage/internal/pglog"
	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// postgres is the server of all tests.
var postgres pgtest.Server

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		postgres.Stop()
		os.Exit(code)
	}))
}

// schemas counts those that were made.
var schemas atomic.Int64

// place is a schema of its own, and a way to it.
type place struct {
	proxy  *pgtest.Proxy
	schema string
	admin  *pgx.Conn
}

func mustPlace(t *testing.T) *place {
	t.Helper()
	address := postgres.Address(t)
	p := &place{proxy: pgtest.NewProxy(t, postgres.Socket()), schema: fmt.Sprintf("log%d", schemas.Add(1))}
	admin, err := pgx.Connect(t.Context(), address+"&search_path="+p.schema)
	if err != nil {
		t.Fatal(err)
	}
	p.admin = admin
	t.Cleanup(func() { _ = admin.Close(context.Background()) })
	return p
}

func (p *place) address() string { return p.proxy.Address() + "&schema=" + p.schema }

// open opens a log, as a node does. It is closed with the test.
func (p *place) open(t *testing.T, opts pglog.Options) *pglog.Log {
	t.Helper()
	log, err := pglog.Open(t.Context(), p.address(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log
}

// exec runs SQL beside the log.
func (p *place) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := p.admin.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// await asks until the answer is not 0, and returns it.
func (p *place) await(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	for n == 0 {
		if err := p.admin.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func mustClaim(t *testing.T, log wal.Log, v wal.Volume) wal.Claim {
	t.Helper()
	c, err := log.Claim(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func record(c wal.Claim, seq uint64, data string) wal.Record {
	return wal.Record{Volume: c.Volume, Epoch: c.Epoch, Seq: seq, Data: []byte(data)}
}

func mustAppend(t *testing.T, log wal.Log, rec wal.Record) {
	t.Helper()
	if err := log.Append(rec)[0]; err != nil {
		t.Fatalf("record %d: %v", rec.Seq, err)
	}
}

// texts are the data of a volume's records from a number on, takeovers as "".
func texts(t *testing.T, log wal.Log, v wal.Volume, from uint64) (all []string) {
	t.Helper()
	for rec, err := range log.Read(t.Context(), v, from) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(rec.Data))
	}
	return all
}

func rows(list ...wal.Row) iter.Seq2[wal.Row, error] {
	return func(yield func(wal.Row, error) bool) {
		for _, row := range list {
			if !yield(row, nil) {
				return
			}
		}
	}
}

func put(key, value string) wal.Row {
	return wal.Row{Key: []byte(key), Value: []byte(value)}
}

// loaded is what Load returns of a volume: its rows, then its records, and how often it began.
func loaded(t *testing.T, log *pglog.Log, v wal.Volume) (rows map[string]string, recs []string, begins int) {
	t.Helper()
	last, err := log.Load(t.Context(), v,
		func() error { rows, recs, begins = map[string]string{}, nil, begins+1; return nil },
		func(key, value []byte) error { rows[string(key)] = string(value); return nil },
		func(rec wal.Record) error { recs = append(recs, string(rec.Data)); return nil })
	if err != nil {
		t.Fatalf("load, up to %d: %v", last, err)
	}
	return rows, recs, begins
}

// folding is a log whose trims are preceded by a fold of nothing: who reads it has the rest.
type folding struct{ *pglog.Log }

func (l folding) Trim(c wal.Claim, upTo uint64) error {
	if err := l.Fold(c, upTo, rows()); err != nil {
		return err
	}
	return l.Log.Trim(c, upTo)
}

// bench is waltest's.
type bench struct {
	*place
	log *pglog.Log
}

func (b *bench) Open(tb testing.TB) wal.Log {
	tb.Helper()
	log, err := pglog.Open(context.Background(), b.address(), pglog.Options{Shards: pglog.MaxShards})
	if err != nil {
		tb.Fatal(err)
	}
	b.log = log
	return folding{log}
}

func (b *bench) Crash(testing.TB) {
	b.proxy.CutAll()
	_ = b.log.Close()
}

func (b *bench) FailNext(kept bool) {
	fate := pgtest.CutBefore
	if kept {
		fate = pgtest.CutAfter
	}
	var once atomic.Bool
	b.proxy.SetFate(func(statement string) pgtest.Fate {
		if (statement == "append" || statement == "takeover") && once.CompareAndSwap(false, true) {
			return fate
		}
		return pgtest.Pass
	})
}

func (b *bench) Heal() { b.proxy.SetFate(nil) }

// TestG1_PostgresLogConforms: the log in PostgreSQL is one.
func TestG1_PostgresLogConforms(t *testing.T) {
	waltest.Conformance(t, func(t *testing.T) waltest.Bench {
		b := &bench{place: mustPlace(t)}
		t.Cleanup(func() {
			if b.log != nil {
				_ = b.log.Close()
			}
		})
		return b
	})
}

func wants(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Errorf("the answer is %v, want %v", err, want)
	}
}
