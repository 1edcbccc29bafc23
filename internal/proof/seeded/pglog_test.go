package seeded_test

// pgFaults are planted in the log in PostgreSQL.
var pgFaults = []seededFault{
	{
		name: "shared-ack-before-append", what: "a commit to a shared log is acknowledged before the log has it",
		pkg: "storage/internal/kv", tests: "TestG45_FollowAndTakeOver",
		edits: []edit{{"storage/internal/kv/shard.go", `		err := db.log.Append(rec)[0]
`, `		if FAULT {
			db.publish(change, record)
			_ = db.log.Append(rec)
			return nil
		}
		err := db.log.Append(rec)[0]
`}},
	},
	{
		name: "pg-no-predecessor", what: "a record is appended whatever stands before it",
		pkg: "storage/internal/pglog", tests: "TestG23_ClaimIDFencesWhereTheEpochDoesNot",
		edits: []edit{{"storage/internal/pglog/statements.go", `JOIN log p ON p.shard = w.shard AND p.seq = w.seq - 1 `, "` + map[bool]string{true: `LEFT JOIN log p ON p.shard = w.shard AND p.seq = w.seq - 1 `, false: `JOIN log p ON p.shard = w.shard AND p.seq = w.seq - 1 `}[FAULT] + `"}},
	},
	{
		name: "pg-claim-id-ignored", what: "a record is appended behind one of its epoch, of another claim",
		pkg: "storage/internal/pglog", tests: "TestG23_ClaimIDFencesWhereTheEpochDoesNot",
		edits: []edit{{"storage/internal/pglog/statements.go", `AND p.claim = w.claim`, "` + map[bool]string{true: `AND p.epoch = w.epoch`, false: `AND p.claim = w.claim`}[FAULT] + `"}},
	},
	{
		name: "pg-takeover-trimmed", what: "a trim takes takeover records away",
		pkg: "storage/internal/pglog", tests: "TestG23_StaleAppendAfterTakeoverFoldAndTrim",
		edits: []edit{{"storage/internal/pglog/statements.go", `AND log.data <> ''`, "` + map[bool]string{true: ``, false: `AND log.data <> ''`}[FAULT] + `"}},
	},
	{
		name: "pg-last-trimmed", what: "a trim takes the last record away",
		pkg: "storage/internal/pglog", tests: "TestTrimOfALogInPostgres",
		edits: []edit{{"storage/internal/pglog/statements.go", `AND log.seq < (SELECT max(seq) FROM log WHERE shard = $1)`, "` + map[bool]string{true: ``, false: `AND log.seq < (SELECT max(seq) FROM log WHERE shard = $1)`}[FAULT] + `"}},
	},
	{
		name: "pg-trim-out-of-order", what: "a trim begins in the middle",
		pkg: "storage/internal/pglog", tests: "TestTrimOfALogInPostgres",
		edits: []edit{{"storage/internal/pglog/statements.go", `AND log.seq <= $3 `, "` + map[bool]string{true: `AND log.seq > $3 + 2 AND log.seq <= $3 + 4 `, false: `AND log.seq <= $3 `}[FAULT] + `"}},
	},
	{
		name: "pg-no-takeover", what: "a claim appends no takeover record",
		pkg: "storage/internal/pglog", tests: "TestG23_ClaimIDFencesWhereTheEpochDoesNot",
		edits: []edit{{"storage/internal/pglog/claim.go", `ok, err := l.ask(ctx, "takeover", []any{int64(v), h.id[:]}, &seq); ok || err != nil {`, `ok, err := l.ask(ctx, map[bool]string{true: "look", false: "takeover"}[FAULT], []any{int64(v), h.id[:]}, &seq); ok || err != nil {`}, {"storage/internal/pglog/statements.go", `"position":`, "\"look\": `SELECT coalesce(max(seq), 1) FROM log WHERE shard = $1 AND $2::bytea IS NOT NULL`,\n\t\"position\":"}},
	},
	{
		name: "pg-takeover-unfenced", what: "a takeover is appended though the shard was claimed again",
		pkg: "storage/internal/pglog", tests: "TestG23_StaleTakeoverFindsItsPlaceTaken",
		edits: []edit{{"storage/internal/pglog/statements.go", "\"takeover\": `WITH mine AS (UPDATE shard SET tries = tries + 1 WHERE id = $1 AND claim = $2 RETURNING id, epoch)", "\"takeover\": map[bool]string{true: `WITH mine AS (SELECT id, epoch FROM shard WHERE id = $1 AND claim = $2)`, false: `WITH mine AS (UPDATE shard SET tries = tries + 1 WHERE id = $1 AND claim = $2 RETURNING id, epoch)`}[FAULT] + `"}},
	},
	{
		name: "pg-fold-unfenced", what: "an owner of before changes the checkpoint",
		pkg: "storage/internal/pglog", tests: "TestG23_FoldIsFenced",
		edits: []edit{{"storage/internal/pglog/statements.go", "\"foldput\": `WITH mine AS (UPDATE shard SET tries = tries + 1 WHERE id = $1 AND claim = $2", "\"foldput\": map[bool]string{true: `WITH mine AS (UPDATE shard SET tries = tries + 1 WHERE id = $1 AND $2::bytea IS NOT NULL`, false: `WITH mine AS (UPDATE shard SET tries = tries + 1 WHERE id = $1 AND claim = $2`}[FAULT] + `"}},
	},
	{
		name: "pg-lost-folded", what: "the checkpoint is said to have records that the server has lost",
		pkg: "storage/internal/pglog", tests: "TestG1_LostRecordsAreNotFolded",
		edits: []edit{{"storage/internal/pglog/statements.go", "greatest(folded, $3) WHERE id = $1 AND claim = $2\n\t\t\tAND (", "greatest(folded, $3) WHERE id = $1 AND claim = $2\n\t\t\tAND (` + map[bool]string{true: `true OR `}[FAULT] + `"}},
	},
	{
		name: "pg-busy-unbounded", what: "a log makes as many connections as it has callers",
		pkg: "storage/internal/pglog", tests: "TestConnectionsAreBounded",
		edits: []edit{{"storage/internal/pglog/log.go", `places: make(chan struct{}, maxBusy)`, `places: make(chan struct{}, maxBusy*map[bool]int{true: 9, false: 1}[FAULT])`}},
	},
	{
		name: "pg-full-as-away", what: "a server that has no connection left is taken to be away",
		pkg: "storage/internal/pglog", tests: "TestServerThatIsFullIsNotAway",
		edits: []edit{{"storage/internal/pglog/reach.go", `ctx.Err() != nil || full(err):`, `ctx.Err() != nil || full(err) && !FAULT:`}},
	},
	{
		name: "pg-unknown-refused", what: "an append whose answer is lost is said to be refused",
		pkg: "storage/internal/pglog", tests: "TestG1_AppendIsGivenUpAndNotCanceled",
		edits: []edit{{"storage/internal/pglog/conn.go", `case pgconn.SafeToRetry(err), errors.Is(err, wal.ErrRefused):`, `case pgconn.SafeToRetry(err), errors.Is(err, wal.ErrRefused), FAULT:`}},
	},
	{
		name: "pg-append-canceled", what: "the server is asked to cancel an append that is given up",
		pkg: "storage/internal/pglog", tests: "TestG1_AppendIsGivenUpAndNotCanceled",
		edits: []edit{{"storage/internal/pglog/conn.go", `if connected.Load() {`, `if connected.Load() && !FAULT {`}},
	},
	{
		name: "pg-warning-ignored", what: "what was committed without the standby is acknowledged",
		pkg: "storage/internal/pglog", tests: "TestG1_WarningOfAStandbyThatDidNotAnswer",
		edits: []edit{{"storage/internal/pglog/append.go", `if err == nil && c.warned {`, `if err == nil && c.warned && !FAULT {`}},
	},
	{
		name: "pg-load-once", what: "a reader that a trim has overtaken gives up",
		pkg: "storage/internal/pglog", tests: "TestLoadBeginsAgain",
		edits: []edit{{"storage/internal/pglog/fold.go", `if !errors.Is(err, wal.ErrTrimmed) {`, `if FAULT || !errors.Is(err, wal.ErrTrimmed) {`}},
	},
	{
		name: "pg-server-unchecked", what: "a server that forgets what it acknowledges is taken",
		pkg: "storage/internal/pglog", tests: "TestServerIsChecked",
		edits: []edit{{"storage/internal/pglog/conn.go", `if !l.target.unsafe {`, `if !l.target.unsafe && !FAULT {`}},
	},
	{
		name: "pg-ended-connection-used", what: "an append is sent over a connection that the server has closed",
		pkg: "storage/internal/pglog", tests: "TestConnectionThatHasEndedIsNotUsed",
		edits: []edit{{"storage/internal/pglog/conn.go", `|| readable(c.PgConn().Conn())`, `|| readable(c.PgConn().Conn()) && !FAULT`}},
	},
	{
		name: "pg-away-waited-for", what: "each append makes its own attempt at a server that is away",
		pkg: "storage/internal/pglog", tests: "TestServerThatIsAway",
		edits: []edit{{"storage/internal/pglog/reach.go", `if why == nil {`, `if why == nil || FAULT {`}},
	},
	{
		name: "pg-tried-slowly", what: "a server that is wanted is tried every 2 s",
		pkg: "storage/internal/pglog", tests: "TestAServerIsTriedAgain",
		edits: []edit{{"storage/internal/pglog/reach.go", `min(pause, askedPause)`, `min(pause, map[bool]time.Duration{true: mostPause, false: askedPause}[FAULT])`}},
	},
	{
		name: "pg-attempts-in-turn", what: "an attempt that hangs holds up the next",
		pkg: "storage/internal/pglog", tests: "TestAServerIsTriedAgain",
		edits: []edit{{"storage/internal/pglog/reach.go", `		under.Go(func() {`, `		if FAULT {
			under.Wait()
		}
		under.Go(func() {`}},
	},
	{
		name: "pg-late-kept", what: "a connection that comes too late is not closed",
		pkg: "storage/internal/pglog", tests: "TestTryingEnds",
		edits: []edit{{"storage/internal/pglog/reach.go", `				late(c)`, `				if !FAULT {
					late(c)
				}`}},
	},
	{
		name: "pg-silence-waited-for", what: "an append waits behind others that have no answer",
		pkg: "storage/internal/pglog", tests: "TestServerThatDoesNotAnswer",
		edits: []edit{{"storage/internal/pglog/append.go", `case l.silent == lanes:`, `case l.silent == lanes && !FAULT:`}},
	},
	{
		name: "pg-connection-waited-for", what: "an append waits behind others whose connection does not come",
		pkg: "storage/internal/pglog", tests: "TestServerThatDoesNotAccept",
		edits: []edit{{"storage/internal/pglog/append.go", `	heard := l.listen()`, `	heard := func() {}
	if !FAULT {
		heard = l.listen()
	}`}},
	},
	{
		name: "pg-checkpoint-waited-for", what: "a checkpoint is waited for without end once it has begun to come",
		pkg: "storage/internal/pglog", tests: "TestReadOfACheckpointEnds",
		edits: []edit{{"storage/internal/pglog/fold.go", `c.limit.Reset(l.opts.AnswerTimeout)`, `c.limit.Reset(l.opts.AnswerTimeout * map[bool]time.Duration{true: 1000, false: 1}[FAULT])`}, {"storage/internal/pglog/fold.go", `	"iter"
`, `	"iter"
	"time"
`}},
	},
	{
		name: "pg-reader-hurried", what: "the time that a reader takes for a row of a checkpoint is the server's",
		pkg: "storage/internal/pglog", tests: "TestReadOfACheckpointEnds",
		edits: []edit{{"storage/internal/pglog/fold.go", `			c.limit.Stop() `, `			if !FAULT {
				c.limit.Stop()
			}
			`}},
	},
	{
		name: "pg-old-primary-kept", what: "a connection to an old primary is used though a later one was seen",
		pkg: "storage/internal/pglog", tests: "TestG1_OldPrimaryGoesOn",
		edits: []edit{{"storage/internal/pglog/conn.go", `c.of > 0 && int64(c.of) < l.latest.Load()`, `!FAULT && c.of > 0 && int64(c.of) < l.latest.Load()`}},
	},
	{
		name: "pg-timeline-forgotten", what: "the timeline that was seen is not kept over a start",
		pkg: "storage/internal/pglog", tests: "TestG1_SynchronousFailover",
		edits: []edit{{"storage/internal/pglog/conn.go", `s.remember(l.opts.TimelineFile)`, `s.remember(map[bool]string{true: "", false: l.opts.TimelineFile}[FAULT])`}},
	},
	{
		name: "pg-old-primary-taken", what: "a server on a lower timeline than was seen is used",
		pkg: "storage/internal/pglog", tests: "TestUnfitServers",
		edits: []edit{{"storage/internal/pglog/timeline.go", `case s.timeline < h.timeline:`, `case s.timeline < h.timeline && !FAULT:`}},
	},
	{
		name: "pg-tail-lost-unsaid", what: "a claim goes on where acknowledged records are gone",
		pkg: "storage/internal/pglog", tests: "TestG1_AsynchronousFailoverIsNoticed",
		edits: []edit{{"storage/internal/pglog/adopt.go", `	if behind {
		h.spent`, `	if behind && !FAULT {
		h.spent`}},
	},
	{
		name: "pg-verify-gap", what: "a log that lacks a record is said to be sound",
		pkg: "storage/internal/pglog", tests: "TestLogInPostgresIsVerified",
		edits: []edit{{"storage/internal/pglog/verify.go", `case !next && `, `case !FAULT && !next && `}},
	},
	{
		name: "pg-verify-claims", what: "a record of another claim than the one before is said to be sound",
		pkg: "storage/internal/pglog", tests: "TestLogInPostgresIsVerified",
		edits: []edit{{"storage/internal/pglog/verify.go", `case !takeover && next && `, `case !FAULT && !takeover && next && `}},
	},
	{
		name: "pg-verify-checkpoint", what: "a checkpoint that is ahead of its log is said to be sound",
		pkg: "storage/internal/pglog", tests: "TestLogInPostgresIsVerified",
		edits: []edit{{"storage/internal/pglog/verify.go", `case s.folded > last.seq:`, `case s.folded > last.seq && !FAULT:`}},
	},
	{
		name: "pg-hosts-not-in-turn", what: "each attempt begins with the same host",
		pkg: "storage/internal/pglog", tests: "TestHostsAreTriedInTurn",
		edits: []edit{{"storage/internal/pglog/hosts.go", `starts[first%len(starts)]`, `starts[first%len(starts)*map[bool]int{true: 0, false: 1}[FAULT]]`}},
	},
	{
		name: "pg-unfit-host-ends", what: "behind a host that is not fit none is tried",
		pkg: "storage/internal/pglog", tests: "TestG1_AsynchronousFailoverIsNoticed",
		edits: []edit{{"storage/internal/pglog/conn.go", `			return l.check(ctx, p, c)`, `			if err := l.check(ctx, p, c); err == nil || !FAULT {
				return err
			}
			return &pgconn.PgError{Code: "28P01"}`}},
	},
	{
		name: "pg-look-waits-for-a-reader", what: "an append waits without end for a read that pgx has left on its connection",
		pkg: "storage/internal/pglog", tests: "TestALookAtAConnectionWaitsForNoReader",
		edits: []edit{{"storage/internal/pglog/ended_linux.go", `	// Not Read:`, `	if FAULT {
		_ = raw.Read(func(uintptr) bool { return true })
	}
	// Not Read:`}},
	},
	{
		name: "pg-tls-as-ended", what: "a connection with TLS is taken to have ended",
		pkg: "storage/internal/pglog", tests: "TestServerIsReachedByTLS",
		edits: []edit{{"storage/internal/pglog/ended_linux.go", `		c = inner.NetConn()`, `		if c = inner.NetConn(); FAULT {
			return true
		}`}},
	},
	{
		name: "pg-append-reads-all", what: "an append reads the whole log, by a plan of when it was short",
		pkg: "storage/internal/pglog", tests: "TestAppendFindsItsPlaceByKey",
		edits: []edit{{"storage/internal/pglog/conn.go", `params[plan] = "off"`, `params[plan] = map[bool]string{true: "on", false: "off"}[FAULT]`}},
	},
	{
		name: "pg-pooler-unnamed", what: "a pooler that refuses settings is not named",
		pkg: "storage/internal/pglog", tests: "TestPoolerIsNamed",
		edits: []edit{{"storage/internal/pglog/conn.go", `said.Code == pgerrProtocol`, `!FAULT && said.Code == pgerrProtocol`}},
	},
	{
		name: "pg-timeline-nowhere", what: "a node does not keep the timeline in its directory",
		pkg: "storage/postgres", tests: "TestTimelineIsKeptBesideTheCopies",
		edits: []edit{{"storage/standby.go", `log.(keepsBeside); ok {`, `log.(keepsBeside); ok && !FAULT {`}},
	},
}
