package pglog_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"carillon/storage/internal/pglog"
	"carillon/storage/internal/wal"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestRolesOfNodesAndReaders: with the grants of docs/cluster.md a role that makes no table is enough for a node, and one
// that reads is enough for a look, but for no more.
func TestRolesOfNodesAndReaders(t *testing.T) {
	p := mustPlace(t)
	_ = p.open(t, pglog.Options{}).Close() // store migrate, as another role
	doc, err := os.ReadFile("../../../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	_, grants, _ := strings.Cut(string(doc), "```sql\n")
	grants, _, _ = strings.Cut(grants, "```")
	t.Cleanup(func() {
		_, err := p.admin.Exec(context.Background(), `DROP OWNED BY nodes; DROP ROLE nodes; DROP OWNED BY readers; DROP ROLE readers`)
		wants(t, err, nil)
	})
	p.exec(t, strings.ReplaceAll(grants, "SCHEMA carillon", "SCHEMA "+p.schema))
	as := func(role string) string { return strings.Replace(p.address(), "postgres@", role+"@", 1) }
	denied := func(err error) {
		t.Helper()
		if said := (*pgconn.PgError)(nil); !errors.As(err, &said) || said.Code != "42501" {
			t.Errorf("the answer is %v, want insufficient_privilege", err)
		}
	}

	node, err := pglog.Open(t.Context(), as("nodes"), pglog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	wants(t, node.Join(t.Context(), wal.Node{Name: "a", TTL: time.Hour}), nil)
	c := mustClaim(t, node, 1)
	mustAppend(t, node, record(c, 2, "x"))
	wants(t, node.Beat(t.Context()), nil)
	wants(t, node.Fold(c, 2, rows(put("a", "1"), put("b", "2"))), nil)
	mustAppend(t, node, record(c, 3, "y"))
	wants(t, node.Fold(c, 3, rows(wal.Row{Key: []byte("a"), Deleted: true})), nil)
	wants(t, node.Trim(c, 3), nil)
	found, err := node.Verify(t.Context())
	wants(t, errors.Join(err, found.Err()), nil)

	_, err = pglog.Check(t.Context(), as("readers"))
	wants(t, err, nil)
	is, err := pglog.Standing(t.Context(), as("readers"))
	if wants(t, err, nil); len(is.Nodes) != 1 || len(is.Shards) != 1 || is.Shards[0].Last != 3 {
		t.Errorf("a reader sees %+v", is)
	}
	_, err = pglog.Open(t.Context(), as("readers"), pglog.Options{})
	denied(err)
	wants(t, node.Leave(t.Context()), nil)
	wants(t, node.Release(t.Context()), nil)
	p.exec(t, `CREATE TABLE later (id int)`) // as a later release may
	p.exec(t, `SET ROLE nodes`)
	p.exec(t, `INSERT INTO later VALUES (1)`)
	_, err = p.admin.Exec(t.Context(), `CREATE TABLE other (id int)`)
	denied(err)
	p.exec(t, `RESET ROLE`)
}
