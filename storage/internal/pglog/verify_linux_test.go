package pglog_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"carillon/storage/internal/pglog"
	"carillon/storage/internal/wal"
)

// TestLogInPostgresIsVerified: what takeovers, folds and trims leave is sound; of each fault
// Verify names the shard and the record.
func TestLogInPostgresIsVerified(t *testing.T) {
	p := mustPlace(t)
	log := p.open(t, pglog.Options{Shards: 3})
	verified := func() pglog.Verified {
		t.Helper()
		c, err := log.Verify(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := verified(); c.Err() != nil || c.Shards != 0 || c.Records != 0 {
		t.Errorf("of an empty log: %+v", c)
	}
	for v := range wal.Volume(2) {
		c := mustClaim(t, log, v)
		for seq := uint64(2); seq <= 8; seq++ {
			if seq == 5 {
				c = mustClaim(t, log, v)
				continue
			}
			mustAppend(t, log, record(c, seq, strings.Repeat("record ", 20)))
			if seq == 7 && v == 1 {
				wants(t, log.Fold(c, 7, rows(put("a", "1"), put("b", "22"))), nil)
				wants(t, log.Trim(c, 7), nil)
			}
		}
	}
	if c := verified(); c.Err() != nil || c.Shards != 2 || c.Records != 8+4 || c.Rows != 2 || c.Bytes == 0 {
		t.Errorf("of a log: %+v, %v", c, c.Err())
	}
	for name, tt := range map[string]struct{ sql, says string }{
		"gap":        {`DELETE FROM log WHERE shard = 0 AND seq = 3`, "shard 0, record 4: the one before is 2"},
		"cut":        {`DELETE FROM log WHERE shard = 1 AND seq = 8; UPDATE shard SET folded = 8`, "shard 1: its checkpoint has records up to 8, and its log ends at 7"},
		"trimmed":    {`DELETE FROM log WHERE shard = 0 AND seq = 1`, "shard 0, record 2: the one before is 0"},
		"form":       {`UPDATE log SET data = '\x09' WHERE shard = 1 AND seq = 8`, "shard 1, record 8: form of a record is not known"},
		"data":       {`UPDATE log SET data = '\x02ff' WHERE shard = 0 AND seq = 2`, "shard 0, record 2:"},
		"epoch":      {`UPDATE log SET epoch = 1 WHERE shard = 0 AND seq = 8`, "record 8: its epoch is 1, behind one of 2"},
		"claim":      {`UPDATE log SET claim = decode(repeat('00', 16), 'hex') WHERE shard = 0 AND seq = 3`, "record 3: it is of another claim"},
		"again":      {`UPDATE log SET epoch = 1 WHERE shard = 0 AND seq = 5`, "record 5: it takes over from its own claim"},
		"lost epoch": {`UPDATE shard SET epoch = 1 WHERE id = 0`, "shard 0: its log has epoch 2"},
		"lost claim": {`UPDATE shard SET claim = '' WHERE id = 0`, "shard 0: its log ends with another claim"},
		"not folded": {`UPDATE shard SET folded = 6 WHERE id = 1`, "shard 1: it is trimmed up to record 7, and its checkpoint has those up to 6"},
		"unclaimed":  {`DELETE FROM shard WHERE id = 1`, "shard 1 was never claimed"},
		"strange":    {`UPDATE log SET shard = 3 WHERE shard = 0; UPDATE shard SET id = 3 WHERE id = 0`, "shards that the log does not have"},
	} {
		t.Run(name, func(t *testing.T) {
			p.exec(t, `CREATE TABLE was_log AS TABLE log`)
			p.exec(t, `CREATE TABLE was_shard AS TABLE shard`)
			for _, sql := range strings.Split(tt.sql, ";") {
				p.exec(t, sql)
			}
			c := verified()
			if !slices.ContainsFunc(c.Faults, func(f string) bool { return strings.Contains(f, tt.says) }) {
				t.Errorf("%q does not say %q", c.Faults, tt.says)
			}
			wants(t, c.Err(), wal.ErrDamaged)
			for _, table := range []string{"log", "shard"} {
				p.exec(t, `DELETE FROM `+table)
				p.exec(t, fmt.Sprintf(`INSERT INTO %s TABLE was_%s`, table, table))
				p.exec(t, `DROP TABLE was_`+table)
			}
		})
	}
	p.exec(t, `UPDATE log SET data = '\x09' WHERE data <> ''`)
	p.exec(t, `INSERT INTO log SELECT 0, seq, 2, claim, '\x09' FROM shard, generate_series(9, 200) AS seq WHERE id = 0`)
	if c := verified(); len(c.Faults) != 100 || !errors.Is(c.Err(), wal.ErrDamaged) {
		t.Errorf("%d faults are named", len(c.Faults))
	}
}
