package pglog_test

import (
	"maps"
	"testing"

	"carillon/storage/internal/pglog"
	"carillon/storage/internal/wal"
)

// TestG1_LostRecordsAreNotFolded: where the server has lost the end of the log, as one may that was
// promoted, an owner that does not know of it puts nothing of what is lost into the checkpoint.
func TestG1_LostRecordsAreNotFolded(t *testing.T) {
	p := mustPlace(t)
	log := p.open(t, pglog.Options{})
	for v, lost := range [][]wal.Row{{put("a", "lost"), put("c", "lost")}, {{Key: []byte("b"), Deleted: true}}, nil} {
		c := mustClaim(t, log, wal.Volume(v))
		mustAppend(t, log, record(c, 2, "kept"))
		wants(t, log.Fold(c, 2, rows(put("a", "kept"), put("b", "kept"))), nil)
		for seq := range uint64(2) {
			mustAppend(t, log, record(c, 3+seq, "lost"))
		}
		p.exec(t, `DELETE FROM log WHERE shard = $1 AND seq > 2`, v)
		wants(t, log.Fold(c, 4, rows(lost...)), wal.ErrTailLost)
		wants(t, log.Append(record(c, 5, "on nothing"))[0], wal.ErrFenced)
		got, recs, _ := loaded(t, log, c.Volume)
		if want := (map[string]string{"a": "kept", "b": "kept"}); !maps.Equal(got, want) || len(recs) > 0 {
			t.Errorf("the checkpoint has %v, and behind it there is %q", got, recs)
		}
		_, err := log.Claim(t.Context(), c.Volume)
		wants(t, err, wal.ErrTailLost)
	}
	found, err := log.Verify(t.Context())
	wants(t, err, nil)
	wants(t, found.Err(), nil)
}
