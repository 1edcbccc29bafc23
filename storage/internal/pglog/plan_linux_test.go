package pglog_test

import (
	"fmt"
	"testing"

	"carillon/storage/internal/pglog"
	"carillon/storage/internal/wal"
)

// TestAppendFindsItsPlaceByKey: a plan that is made when the log is short, and is kept, does not
// read all of it. PostgreSQL counts the rows that it has read so.
func TestAppendFindsItsPlaceByKey(t *testing.T) {
	p := mustPlace(t)
	log, err := pglog.Open(t.Context(), p.address(), pglog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var recs []wal.Record
	for v := range wal.Volume(8) {
		c := mustClaim(t, log, v)
		recs = append(recs, record(c, c.Last, "a"))
	}
	for range 12 { // from the sixth on a plan is for all values
		for i := range recs {
			recs[i].Seq++
		}
		for _, err := range log.Append(recs...) {
			wants(t, err, nil)
		}
	}
	for v := range wal.Volume(8) {
		texts(t, log, v, 3)
		c := mustClaim(t, log, v)
		wants(t, log.Fold(c, c.Last, rows(put("k", "v"), wal.Row{Key: []byte("l"), Deleted: true})), nil)
		wants(t, log.Trim(c, c.Last), nil)
	}
	_ = log.Close() // what a process has counted is told when it ends
	p.await(t, `SELECT (count(*) = 0)::int FROM pg_stat_activity WHERE application_name = 'carillon'`)
	for _, table := range []string{"log", "point"} {
		var read int
		if err := p.admin.QueryRow(t.Context(), fmt.Sprintf(`SELECT seq_tup_read FROM pg_stat_user_tables WHERE schemaname = '%s' AND relname = '%s'`, p.schema, table)).Scan(&read); err != nil {
			t.Fatal(err)
		}
		if read > 0 {
			t.Errorf("%d rows of %s are read in no order", read, table)
		}
	}
}
