package pglog

// Statements by their names, which a connection prepares once. They take what CockroachDB and
// YugabyteDB have too: unnest, joins, ON CONFLICT, RETURNING, and changes in WITH, no two of
// one table.
var statements = map[string]string{
	// A record is taken only behind one of its own claim. The place that is taken already
	// yields no row.
	"append": `INSERT INTO log (shard, seq, epoch, claim, data)
		SELECT w.shard, w.seq, w.epoch, w.claim, w.data
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[]) AS w (shard, seq, epoch, claim, data)
		JOIN log p ON p.shard = w.shard AND p.seq = w.seq - 1 AND p.claim = w.claim
		ON CONFLICT DO NOTHING RETURNING shard`,

	"claim": `INSERT INTO shard (id, epoch, claim) VALUES ($1, 1, $2)
		ON CONFLICT (id) DO UPDATE SET epoch = shard.epoch + 1, claim = excluded.claim RETURNING epoch`,

	// The row of the shard stays locked until the record is in: a later claim, and with it a
	// trim, comes behind. What is read of the log is from after the claim.
	"takeover": `WITH mine AS (UPDATE shard SET tries = tries + 1 WHERE id = $1 AND claim = $2 RETURNING id, epoch)
		INSERT INTO log (shard, seq, epoch, claim, data)
		SELECT mine.id, coalesce(p.seq, 0) + 1, mine.epoch, $2, ''
		FROM mine LEFT JOIN (SELECT shard, seq, epoch FROM log WHERE shard = $1 ORDER BY seq DESC LIMIT 1) p ON p.shard = mine.id
		WHERE p.epoch IS NULL OR p.epoch < mine.epoch
		ON CONFLICT DO NOTHING RETURNING seq`,

	// Whether the claim is the latest one, and whether the log has one that is not below it.
	"standing": `SELECT s.claim = $2, EXISTS (SELECT FROM log WHERE shard = $1 AND epoch >= s.epoch) FROM shard s WHERE s.id = $1`,

	"read": `SELECT l.seq, l.epoch, l.claim, l.data, s.trimmed FROM log l JOIN shard s ON s.id = l.shard
		WHERE l.shard = $1 AND l.seq >= $2 ORDER BY l.seq LIMIT $3`,

	"foldput": `WITH mine AS (UPDATE shard SET tries = tries + 1 WHERE id = $1 AND claim = $2 RETURNING id)
		, put AS (INSERT INTO point (shard, key, value)
			SELECT mine.id, w.key, w.value FROM mine, unnest($3::bytea[], $4::bytea[]) AS w (key, value)
			ON CONFLICT (shard, key) DO UPDATE SET value = excluded.value RETURNING shard)
		SELECT id FROM mine`,

	"folddelete": `WITH mine AS (UPDATE shard SET tries = tries + 1 WHERE id = $1 AND claim = $2 RETURNING id)
		, gone AS (DELETE FROM point USING mine WHERE point.shard = mine.id AND point.key = ANY ($3::bytea[]) RETURNING point.shard)
		SELECT id FROM mine`,

	"folded": `UPDATE shard SET folded = greatest(folded, $3) WHERE id = $1 AND claim = $2 RETURNING folded`,

	"standat": `SELECT trimmed, folded FROM shard WHERE id = $1 AND claim = $2`,

	// The last record, and takeovers, stay for ever: a stale append finds its place taken.
	"trim": `WITH mine AS (UPDATE shard SET trimmed = $3 WHERE id = $1 AND claim = $2 AND trimmed < $3 AND folded >= $3 RETURNING id)
		, gone AS (DELETE FROM log USING mine WHERE log.shard = mine.id AND log.seq <= $3 AND log.data <> ''
			AND log.seq < (SELECT max(seq) FROM log WHERE shard = $1) RETURNING log.seq)
		SELECT id FROM mine`,

	"position": `SELECT folded FROM shard WHERE id = $1`,
	"point":    `SELECT key, value FROM point WHERE shard = $1 ORDER BY key`,
}
