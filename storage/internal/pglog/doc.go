// Package pglog is a wal.Log in PostgreSQL: each record is a row, fenced by the row before
// it. Several nodes share it; it knows which of them owns what.
//
//	log, err := pglog.Open(ctx, "postgres://db/carillon", pglog.Options{})
//	claim, err := log.Claim(ctx, shard) // as in package wal
//	errs := log.Append(wal.Record{Volume: shard, Epoch: claim.Epoch, Seq: claim.Last + 1, Data: data})
//	err = log.Fold(claim, upTo, rows) // into the checkpoint that others begin from
//	err = log.Trim(claim, upTo)
//	found, err := log.Verify(ctx) // all shards, while nodes are at work
//	last, err := log.Load(ctx, shard, begin, row, record) // checkpoint, then the log behind it
//
//	err := log.Join(ctx, wal.Node{Name: "a", TTL: 5 * time.Second}) // Claim asks the owner's row now
//	err = log.Beat(ctx) // ErrRetired: another node has taken over
//
// A shard is a volume. How many there are is fixed when the log is made.
//
// # Tables
//
//	meta    version of the schema, id of the store, number of shards, server that has heard the beats
//	shard   one row each: epoch and id of the latest claim, its owner, up to where it is folded and trimmed
//	node    one row for each start of a node: its latest beat, its TTL, when it was retired
//	log     shard, number, epoch, claim id, data: empty in a takeover, else a byte that says how it is packed
//	point   the checkpoint: shard, key, value
//
// # Why it is safe
//
//	shard row   claim X ───────────────► claim Y: X folds and trims no more
//	log         X  X  X  X  X │ takeover of Y │ Y  Y
//	                       ▲                  ▲
//	                       X goes on until the takeover is in, and not beyond
//
// The primary key makes the log of a shard one sequence. A record but a takeover is accepted
// only behind one with its own claim id. So behind the takeover of Y nothing of X is ever
// accepted: its place is taken, and the row before any later place is not X's. The claimer
// reads the log behind its takeover, so that it sees all that was accepted before; an
// acknowledgement comes after. No clock is in it. The epoch orders claims; the id fences them,
// also where a database lost its last moments and hands an epoch out twice.
//
// A statement may have begun before what it meets at the end of its way: PostgreSQL sees no
// conflict with a row that was inserted and deleted since. Therefore a trim leaves takeovers,
// and the last row; and a takeover holds the row of its shard until it is in, so that no later
// claim has trimmed its place.
//
// A fold is of several statements and is not atomic. Its rows may be ahead of the position that
// the checkpoint says it has, never behind: a reader then reads the log from that
// position on, where each later value stands, and setting a key twice changes nothing.
//
// # Who owns a shard
//
// That argument has no clock in it, and needs no owner. Reads do: a node answers from its copy,
// and has to know that no other node has appended since. Package lease has the node trust itself
// for a while after a beat; this package takes a shard from no node that may trust itself.
//
//	node row    joined ── beat ── beat ─────────► retired (for good): its beats have no row
//	                                 └─ TTL ──┘ on the server's clock
//	shard row   owner a ─────────────────────────────────► owner b
//
// The claimer retires the owner in the row that a beat writes, so that one of both comes first,
// and the other one sees it. Only then it takes the shard, from an owner that it has seen to be
// retired; what is retired stays so. A server that was started again, or promoted, may not have
// heard the latest beats, and its clock is another one: the first node that finds it has all
// nodes begin their TTL anew.
//
// # Invariants
//
//	P1  An append is one statement with a Sync of its own. It is not canceled and has no
//	    timeout at the server: after AnswerTimeout its connection is closed, and its outcome
//	    is unknown. A warning makes it unknown too: a wait for a standby was given up.
//	P2  An append is refused if nothing was sent, if the server has rolled it back, or if it
//	    has accepted no row. Everything else is unknown, and spends the claim.
//	P3  A shard has one append on its way. Two connections carry those of all shards.
//	P4  What changes the checkpoint, or trims, changes the row of the shard in the same
//	    statement, where it is the latest claim's. The checkpoint takes nothing of a record that the
//	    server does not have.
//	P5  Nothing is trimmed that is not folded. The last record and takeovers stay for ever.
//	P6  A new connection is used once its server is seen to be durable, no standby, on no lower
//	    timeline than was seen, and without a pooler between. Nothing more is sent over one of before to a
//	    server on a lower timeline.
//	    The highest timeline is kept in TimelineFile before anything is built upon it, so that an
//	    old primary is refused after a start, too.
//	P7  The schema grows; a step that was released does not change. One of several that come
//	    at once takes the steps.
//	P8  While the server is away, what would need a new connection is refused at once. It is
//	    tried again after 50 ms to 2 s, by chance; while it is wanted, after 250 ms. Until it is known to be
//	    away, an append waits for SilenceTimeout behind others, or for an attempt to connect.
//	    A server that has no connection left is not away. Besides those for appends a log uses 12
//	    at a time; a beat, and a release, wait for none of them.
//	P9  A joined log claims from none, itself, or an incarnation whose row says retired. A node
//	    is retired once its latest beat is a TTL old on the clock of the server that has heard it.
//	    For a TTL after the server was found on a later timeline it claims from itself alone, while another
//	    node is not retired: that one may own what the server has lost.
//	P10 A beat, or a claim, of what was retired changes nothing. A node that owns a shard is not
//	    forgotten. One whose claims are not there any more learns it by its next beat.
//	P11 A claim that finds less than this process was acknowledged is ErrTailLost, once: a
//	    failover to an asynchronous standby has lost it. Nothing is appended a second time. An owner that
//	    appends nothing learns it by its next beat.
//	P12 Statements find rows by key: a session's plans read no table in whole, merge and hash none, and none is
//	    compiled.
//
// The SQL is what CockroachDB and YugabyteDB have too, but for the checks of a connection,
// which unsafe=1 leaves out: unique keys, joins on the row before, unnest of arrays, ON
// CONFLICT, RETURNING, foreign keys, changes in WITH (of a table once), SELECT … FOR UPDATE when the schema is
// made, REPEATABLE READ. It was tried on PostgreSQL 15 alone.
package pglog
