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

	// Of a log that has not joined: it takes what there is, and no node owns it.
	"claim": `INSERT INTO shard (id, epoch, claim, taken, why) VALUES ($1, 1, $2, clock_timestamp(), 'again')
		ON CONFLICT (id) DO UPDATE SET epoch = shard.epoch + 1, claim = excluded.claim, owner = NULL, taken = excluded.taken, why = excluded.why
		RETURNING epoch`,

	// Of a node. An owner of before is seen to be retired for good: this statement has not seen
	// one that came since it began, and takes nothing from that one. A server that was promoted
	// may not know of an owner that has claimed just before: from others it takes nothing while
	// there may be one, which is on the timeline of $4. $5 counts the node's claims: one that comes
	// behind a later one is of no use.
	"claimfor": `INSERT INTO shard (id, epoch, claim, owner, taken, why, attempt)
		SELECT $1, 1, $2, n.id, clock_timestamp(), 'free', $5 FROM node n
		WHERE n.id = $3 AND n.retired IS NULL
			AND NOT EXISTS (SELECT FROM shard s JOIN node o ON o.id = s.owner WHERE s.id = $1 AND o.id <> $3 AND o.retired IS NULL)
			AND (EXISTS (SELECT FROM shard WHERE id = $1 AND owner = $3)
				OR ($4 = '' OR EXISTS (SELECT FROM meta WHERE split_part(server, '/', 1) = split_part($4, '/', 1)))
					AND NOT EXISTS (SELECT FROM node o WHERE o.id <> $3 AND o.retired IS NULL AND o.unheard > clock_timestamp()))
		ON CONFLICT (id) DO UPDATE SET epoch = shard.epoch + 1, claim = excluded.claim, owner = excluded.owner, taken = excluded.taken,
			attempt = excluded.attempt, why = CASE WHEN shard.owner = excluded.owner THEN 'again' WHEN shard.owner IS NULL THEN 'released' ELSE 'expired' END
		WHERE shard.owner IS NULL OR shard.owner = excluded.owner AND shard.attempt < excluded.attempt
			OR EXISTS (SELECT FROM node o WHERE o.id = shard.owner AND o.retired IS NOT NULL)
		RETURNING epoch`,

	// In the row that the beat writes: one of both comes first, and the other one sees it. $3 is
	// the server as it runs now, once all are known to have beaten there, or not to have.
	"retire": `UPDATE node SET retired = clock_timestamp()
		WHERE id = (SELECT owner FROM shard WHERE id = $1) AND id <> $2 AND retired IS NULL AND beat <= clock_timestamp() - ttl
			AND ($3 = '' OR EXISTS (SELECT FROM meta WHERE server = $3))`,

	// Another server, or one that was started again, has not heard all beats: each node has one
	// more TTL on it. On a later timeline it may own what the server does not know, for as long.
	// A connection that was not checked does not know which it is.
	"newserver": `WITH was AS (SELECT id, server FROM meta)
		, seen AS (UPDATE meta SET server = $1 FROM was WHERE meta.id = was.id AND meta.server <> $1 AND $1 <> ''
			RETURNING was.server <> '' AND split_part(was.server, '/', 1) <> split_part($1, '/', 1) AS promoted)
		UPDATE node SET beat = clock_timestamp(), unheard = CASE WHEN seen.promoted THEN clock_timestamp() + ttl ELSE unheard END
		FROM seen WHERE node.retired IS NULL`,

	"join": `INSERT INTO node (id, name, address, release, ttl, joined, beat)
		VALUES ($1, $2, $3, $4, $5, clock_timestamp(), clock_timestamp())`,
	"retireself": `UPDATE node SET retired = clock_timestamp() WHERE id = $1 AND retired IS NULL`,
	"forget":     `DELETE FROM node WHERE beat <= clock_timestamp() - $1::interval AND NOT EXISTS (SELECT FROM shard WHERE owner = node.id)`,

	// With how many of the claims are there still, and of how many the record that was acknowledged last.
	"beat": `UPDATE node SET beat = clock_timestamp(), lag = $5 WHERE id = $1 AND retired IS NULL
		RETURNING (SELECT count(*) FROM shard WHERE owner = $1 AND claim = ANY ($2::bytea[])),
			(SELECT count(*) FROM unnest($2::bytea[], $3::bigint[], $4::bigint[]) AS w (claim, shard, seq) JOIN shard s ON s.id = w.shard
				WHERE s.trimmed >= w.seq OR EXISTS (SELECT FROM log l WHERE l.shard = w.shard AND l.seq = w.seq AND l.claim = w.claim))`,

	"leave": `UPDATE node SET leaving = true, gone = NOT EXISTS (SELECT FROM shard WHERE owner = $1),
			retired = CASE WHEN EXISTS (SELECT FROM shard WHERE owner = $1) THEN NULL ELSE clock_timestamp() END
		WHERE id = $1 AND retired IS NULL RETURNING id`,

	"release": `UPDATE shard SET owner = NULL WHERE owner = $1`,

	"retired": `SELECT retired IS NOT NULL FROM node WHERE id = $1`,

	"clock": `SELECT clock_timestamp()`,
	"nodes": `SELECT id, name, address, release, ttl, clock_timestamp() - beat, lag, leaving, retired IS NOT NULL, gone
		FROM node ORDER BY name, joined DESC`,
	"shards": `SELECT s.id, s.epoch, coalesce(s.owner, ''), s.taken, s.why, s.folded,
			coalesce((SELECT max(seq) FROM log WHERE shard = s.id), 0)
		FROM shard s ORDER BY s.id`,

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

	// A fold is of records that this server has: one that was promoted may have lost some.
	"foldput": `WITH mine AS (UPDATE shard SET tries = tries + 1 WHERE id = $1 AND claim = $2
			AND (trimmed >= $3 OR EXISTS (SELECT FROM log WHERE shard = $1 AND seq = $3)) RETURNING id)
		, put AS (INSERT INTO point (shard, key, value)
			SELECT mine.id, w.key, w.value FROM mine, unnest($4::bytea[], $5::bytea[]) AS w (key, value)
			ON CONFLICT (shard, key) DO UPDATE SET value = excluded.value RETURNING shard)
		SELECT id FROM mine`,

	"folddelete": `WITH mine AS (UPDATE shard SET tries = tries + 1 WHERE id = $1 AND claim = $2
			AND (trimmed >= $3 OR EXISTS (SELECT FROM log WHERE shard = $1 AND seq = $3)) RETURNING id)
		, gone AS (DELETE FROM point USING mine WHERE point.shard = mine.id AND point.key = ANY ($4::bytea[]) RETURNING point.shard)
		SELECT id FROM mine`,

	"folded": `UPDATE shard SET folded = greatest(folded, $3) WHERE id = $1 AND claim = $2
			AND (trimmed >= $3 OR EXISTS (SELECT FROM log WHERE shard = $1 AND seq = $3)) RETURNING folded`,

	"standat": `SELECT trimmed, folded FROM shard WHERE id = $1 AND claim = $2`,

	// The last record, and takeovers, stay for ever: a stale append finds its place taken.
	"trim": `WITH mine AS (UPDATE shard SET trimmed = $3 WHERE id = $1 AND claim = $2 AND trimmed < $3 AND folded >= $3 RETURNING id)
		, gone AS (DELETE FROM log USING mine WHERE log.shard = mine.id AND log.seq <= $3 AND log.data <> ''
			AND log.seq < (SELECT max(seq) FROM log WHERE shard = $1) RETURNING log.seq)
		SELECT id FROM mine`,

	"shardrow": `SELECT epoch, claim, trimmed, folded FROM shard WHERE id = $1`,
	"logrows":  `SELECT seq, epoch, claim, data FROM log WHERE shard = $1 ORDER BY seq`,
	"points":   `SELECT count(*), coalesce(sum(length(key) + length(value)), 0)::bigint FROM point WHERE shard = $1`,
	"strange": `SELECT count(*) FROM (SELECT id FROM shard UNION SELECT shard FROM log UNION SELECT shard FROM point) AS s (id)
		WHERE id < 0 OR id >= $1`,

	"position": `SELECT folded FROM shard WHERE id = $1`,
	"point":    `SELECT key, value FROM point WHERE shard = $1 ORDER BY key`,
}
