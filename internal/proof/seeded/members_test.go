package seeded_test

// memberFaults are planted in the membership of a shared log and in the lease of a node.
var memberFaults = []seededFault{
	{
		name: "pg-beat-revives", what: "a beat that comes after a retirement is taken",
		pkg: "storage/internal/pglog", tests: "TestG44_BeatAndRetirementMeetInOneRow",
		edits: []edit{{"storage/internal/pglog/statements.go", "`UPDATE node SET beat = clock_timestamp(), lag = $5 WHERE id = $1 AND retired IS NULL\n", "`UPDATE node SET beat = clock_timestamp(), lag = $5` + map[bool]string{true: `, retired = NULL WHERE id = $1`, false: ` WHERE id = $1 AND retired IS NULL`}[FAULT] + `\n"}},
	},
	{
		name: "pg-statements-compiled", what: "PostgreSQL compiles what takes a moment, since its settings make that seem to be dear",
		pkg: "storage/internal/pglog", tests: "TestStatementsAreNotCompiled",
		edits: []edit{{"storage/internal/pglog/conn.go", `	params["jit"] = "off"`, `	params["jit"] = map[bool]string{true: "on", false: "off"}[FAULT]`}},
	},
	{
		name: "pg-claim-without-retired", what: "a claim takes a shard whose owner was not retired",
		pkg: "storage/internal/pglog", tests: "TestG43_ClaimMeetsAnOwnerItHasNotSeen",
		edits: []edit{{"storage/internal/pglog/statements.go", `OR EXISTS (SELECT FROM node o WHERE o.id = shard.owner AND o.retired IS NOT NULL)`, "` + map[bool]string{true: `OR true`, false: `OR EXISTS (SELECT FROM node o WHERE o.id = shard.owner AND o.retired IS NOT NULL)`}[FAULT] + `"}},
	},
	{
		name: "pg-releases-anothers", what: "a node releases what another one owns, too",
		pkg: "storage/internal/pglog", tests: "TestG43_PostgresLogIsShared",
		edits: []edit{{"storage/internal/pglog/statements.go", "`UPDATE shard SET owner = NULL WHERE owner = $1`", "map[bool]string{true: `UPDATE shard SET owner = NULL WHERE owner IS NOT NULL OR owner = $1`, false: `UPDATE shard SET owner = NULL WHERE owner = $1`}[FAULT]"}},
	},
	{
		name: "pg-restart-unheeded", what: "a node that could not beat while the server was away is retired as soon as it is back",
		pkg: "storage/internal/pglog", tests: "TestG44_RestartOfPostgres",
		edits: []edit{{"storage/internal/pglog/statements.go", `AND ($3 = '' OR EXISTS`, "AND (` + map[bool]string{true: `true OR `, false: ``}[FAULT] + `$3 = '' OR EXISTS"}},
	},
	{
		name: "pg-release-keeps-claims", what: "a node appends to what it has released",
		pkg: "storage/internal/pglog", tests: "TestG43_PostgresLogIsShared",
		edits: []edit{{"storage/internal/pglog/members.go", "		return wal.ErrNotJoined\n	}\n	l.spendAll()", "		return wal.ErrNotJoined\n	}\n	if !FAULT {\n		l.spendAll()\n	}"}},
	},
	{
		name: "pg-lost-claims-untold", what: "a node whose claims the server has lost goes on",
		pkg: "storage/internal/pglog", tests: "TestG44_BeatFindsItsClaimsLost",
		edits: []edit{{"storage/internal/pglog/members.go", `case int(min(there, whole)) == len(ids) || !unchanged():`, `case FAULT || int(min(there, whole)) == len(ids) || !unchanged():`}},
	},
	{
		name: "pg-claim-behind-a-promotion", what: "what is free on a server that was promoted is claimed, though another node may own it",
		pkg: "storage/internal/pglog", tests: "TestG44_ClaimLostByAPromotion",
		edits: []edit{{"storage/internal/pglog/statements.go", `o.unheard > clock_timestamp()`, "o.unheard > clock_timestamp()` + map[bool]string{true: ` + interval '9 h'`}[FAULT] + `"}},
	},
	{
		name: "pg-promotion-not-looked-for", what: "a claim does not look whether the server is one that others have not been seen on",
		pkg: "storage/internal/pglog", tests: "TestG44_ClaimLostByAPromotion",
		edits: []edit{{"storage/internal/pglog/statements.go", `($4 = '' OR EXISTS`, "(` + map[bool]string{true: `true OR `}[FAULT] + `$4 = '' OR EXISTS"}},
	},
	{
		name: "pg-late-claim-taken", what: "a claim that was held up takes the place of a later one of the same node",
		pkg: "storage/internal/pglog", tests: "TestG43_LateClaimOfItsOwn",
		edits: []edit{{"storage/internal/pglog/statements.go", `AND shard.attempt < excluded.attempt`, "AND ` + map[bool]string{true: `true`, false: `shard.attempt < excluded.attempt`}[FAULT] + `"}},
	},
	{
		name: "pg-beat-without-its-tail", what: "a beat does not look for the latest records of the node",
		pkg: "storage/internal/pglog", tests: "TestG43_PostgresLogIsShared",
		edits: []edit{{"storage/internal/pglog/members.go", `	case !ok:
		return wal.ErrRetired
`, `	case FAULT && ok && int(there) == len(ids):
		return nil
	case !ok:
		return wal.ErrRetired
`}},
	},
	{
		name: "pg-beat-finds-a-trim", what: "a beat takes records that were trimmed for lost ones",
		pkg: "storage/internal/pglog", tests: "TestG43_PostgresLogIsShared",
		edits: []edit{{"storage/internal/pglog/statements.go", `WHERE s.trimmed >= w.seq OR EXISTS`, "WHERE ` + map[bool]string{true: `EXISTS (SELECT FROM log l WHERE l.shard = w.shard AND l.seq = w.seq AND l.data <> '') AND`, false: `s.trimmed >= w.seq OR`}[FAULT] + ` EXISTS"}},
	},
	{
		name: "pg-unchecked-gives-time", what: "a node that does not check its server gives a dead owner another TTL",
		pkg: "storage/internal/pglog", tests: "TestG43_NodeThatChecksNothingBesideOthers",
		edits: []edit{{"storage/internal/pglog/statements.go", "meta.server <> $1 AND $1 <> ''", "meta.server <> $1 AND (` + map[bool]string{true: `true OR `}[FAULT] + `$1 <> '')"}},
	},
	{
		name: "pg-claim-beside-a-beat", what: "a claim that a beat overtakes is taken for one that the server has lost",
		pkg: "storage/internal/pglog", tests: "TestG44_BeatBesideAClaim",
		edits: []edit{{"storage/internal/pglog/members.go", `same := claims == l.claiming && claims.begun == claims.ended`, `same := FAULT || claims == l.claiming && claims.begun == claims.ended`}},
	},
	{
		name: "lease-from-the-answer", what: "a lease is counted from the answer to a beat",
		pkg: "storage/internal/lease", tests: "TestG44_LeaseCountsFromBeforeTheBeat",
		edits: []edit{{"storage/internal/lease/lease.go", "		l.answer(sent, err)", "		if FAULT {\n			sent = l.clock.now()\n		}\n		l.answer(sent, err)"}},
	},
	{
		name: "lease-joined-at-the-answer", what: "the lease of a new incarnation is counted from the answer to its join",
		pkg: "storage/internal/lease", tests: "TestG44_LeaseCountsFromBeforeTheBeat",
		edits: []edit{{"storage/internal/lease/lease.go", "	l.lost, l.again = make", "	if FAULT {\n		l.sent = l.clock.now()\n	}\n	l.lost, l.again = make"}},
	},
	{
		name: "lease-without-margin", what: "a lease is trusted for the whole TTL",
		pkg: "storage/internal/lease", tests: "TestG44_LeaseIsHeldWhileItBeats",
		edits: []edit{{"storage/internal/lease/lease.go", `l.trust = n.TTL - n.TTL/5`, "l.trust = n.TTL - n.TTL/5\n	if FAULT {\n		l.trust = n.TTL\n	}"}},
	},
	{
		name: "lease-suspend-unheeded", what: "time in which the machine was suspended does not count",
		pkg: "storage/internal/lease", tests: "TestG44_SuspendEndsTheLease",
		edits: []edit{{"storage/internal/lease/clock.go", `return max(now.boot-s.boot, `, `return max(map[bool]time.Duration{false: now.boot - s.boot}[FAULT], `}},
	},
	{
		name: "lease-retired-goes-on", what: "a node that was retired goes on to beat",
		pkg: "storage/internal/lease", tests: "TestG44_RetiredIsForEver",
		edits: []edit{{"storage/internal/lease/lease.go", `case errors.Is(err, wal.ErrRetired):`, `case errors.Is(err, wal.ErrRetired) && !FAULT:`}},
	},
	{
		name: "lease-term-outlives", what: "the context of a term goes on where nothing asks for the lease",
		pkg: "storage/internal/lease", tests: "TestG44_LeaseIsHeldWhileItBeats",
		edits: []edit{{"storage/internal/lease/lease.go", `if left := l.left(); left > 0 {`, `if left := l.left(); left > 0 && !FAULT {`}},
	},
}
