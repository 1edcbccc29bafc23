package seeded_test

// standbyFaults are planted where a node takes a store over, gives it up, loses it, and where a store
// is moved.
var standbyFaults = []seededFault{
	{
		name: "standby-fence-unheeded", what: "a store goes on whose commit another owner has fenced",
		pkg: "storage", tests: "TestG43_FencedBeforeItKnows",
		edits: []edit{{"storage/volume.go", `if v.shard && (errors.Is(err, wal.ErrFenced)`, `if v.shard && !FAULT && (errors.Is(err, wal.ErrFenced)`}},
	},
	{
		name: "standby-fenced-answers", what: "a node whose commit was fenced answers until its next beat",
		pkg: "storage", tests: "TestG43_FencedBeforeItKnows",
		edits: []edit{{"storage/node.go", `		s.lease.End(cause)`, `		if !FAULT {
			s.lease.End(cause)
		}`}},
	},
	{
		name: "standby-retired-untold", what: "a store is not told that its node was retired",
		pkg: "storage", tests: "TestG43_TakeOver",
		edits: []edit{{"storage/standby.go", `case <-s.lease.Lost():
			s.lose(`, `case <-s.lease.Lost():
			if FAULT {
				return true, nil
			}
			s.lose(`}},
	},
	{
		name: "open-takes-the-dead-for-alive", what: "Open with a log does not wait for the TTL of a node that has crashed",
		pkg: "storage", tests: "TestG43_OpenOwns",
		edits: []edit{{"storage/openshared.go", `case l.owned && l.silent >=`, `case l.owned && !FAULT && l.silent >=`}},
	},
	{
		name: "open-stays", what: "a store that Open has made on a shared log stays in it when it is closed",
		pkg: "storage", tests: "TestG43_OpenOwns",
		edits: []edit{{"storage/openshared.go", `	st.sole = true`, `	st.sole = !FAULT`}},
	},
	{
		name: "restore-counts-no-shards", what: "a backup of a store on a shared log is restored as if it had as many volumes as Open makes",
		pkg: "storage", tests: "TestG26_ABackupOfASharedLogHasAllShards",
		edits: []edit{{"storage/restore.go", `if i == 0 { // that of a shared log`, `if i == 0 && !FAULT { // that of a shared log`}},
	},
	{
		name: "standby-keeps-shards", what: "a store that is closed keeps its shards until the TTL has passed",
		pkg: "storage", tests: "TestG43_HandOver",
		edits: []edit{{"storage/takeover.go", `		err := st.shared.Release(ctx)`, `		if FAULT {
			return nil
		}
		err := st.shared.Release(ctx)`}},
	},
	{
		name: "standby-releases-once", what: "a node that cannot give its shards up at once keeps them until the TTL has passed",
		pkg: "storage", tests: "TestG43_HandOverWhileTheLogIsAway",
		edits: []edit{{"storage/takeover.go", `if err == nil || errors.Is(err, wal.ErrNotJoined)`, `if FAULT || err == nil || errors.Is(err, wal.ErrNotJoined)`}},
	},
	{
		name: "standby-waits-for-ever", what: "a node that is told to stop while it takes a store over waits for the log as long as that is away",
		pkg: "storage", tests: "TestOwnEndsThoughTheLogIsAway",
		edits: []edit{{"storage/takeover.go", `	if v.db != nil {`, `	if v.db != nil && !FAULT {`}},
	},
	{
		name: "standby-blocks-others", what: "a node that could not give up what it has claimed in vain keeps it for as long as it beats",
		pkg: "storage", tests: "TestTakeOverThatFailsBlocksNoOthers",
		edits: []edit{{"storage/takeover.go", `		st.lease.End(e)`, `		if !FAULT {
			st.lease.End(e)
		}`}},
	},
	{
		name: "standby-leaving-unheeded", what: "a standby looks no more often at an owner who is about to give the store up",
		pkg: "storage", tests: "TestG43_HandOver",
		edits: []edit{{"storage/standby.go", `case l.owned && l.leaving:`, `case l.owned && l.leaving && !FAULT:`}},
	},
	{
		name: "standby-release-last", what: "a store is given up when its copies have been written, and not before",
		pkg: "storage", tests: "TestG43_HandOver",
		edits: []edit{{"storage/takeover.go", `		return v.settle()`, `		if FAULT {
			return v.finish((*kv.DB).Close)
		}
		return v.settle()`}},
	},
	{
		name: "leave-folds-nothing", what: "an owner that is about to give the store up leaves all folding to the next",
		pkg: "storage", tests: "TestG43_HandOver",
		edits: []edit{{"storage/takeover.go", `if db == nil || ctx.Err() != nil {`, `if db == nil || ctx.Err() != nil || FAULT {`}},
	},
	{
		name: "standby-asks-in-vain", what: "a standby tries to claim what a node owns that is alive",
		pkg: "storage", tests: "TestG43_TakesOverWhenTheTTLIsOver",
		edits: []edit{{"storage/standby.go", `return l.owned &&`, `return !FAULT && l.owned &&`}},
	},
	{
		name: "standby-in-its-rounds", what: "a standby does not look at the moment at which the TTL of the owner is over",
		pkg: "storage", tests: "TestG43_TakesOverWhenTheTTLIsOver",
		edits: []edit{{"storage/standby.go", `case l.owned && over > 0:`, `case l.owned && over > 0 && !FAULT:`}},
	},
	{
		name: "each-shard-asks", what: "an owner asks for each shard by itself how far that is folded",
		pkg: "storage", tests: "TestG43_TakesOverWhenTheTTLIsOver",
		edits: []edit{{"storage/internal/kv/fold.go", `is.Epoch == epoch {`, `is.Epoch == epoch && !FAULT {`}},
	},
	{
		name: "standby-tells-each-round", what: "a standby that does not reach the log says so in each of its rounds",
		pkg: "storage", tests: "TestAStandbyTellsOfTroubleOnce",
		edits: []edit{{"storage/standby.go", `if !t.told.IsZero() && time.Since`, `if !FAULT && !t.told.IsZero() && time.Since`}},
	},
	{
		name: "standby-answers-after-release", what: "a node holds its lease after it has released its shards",
		pkg: "storage", tests: "TestG43_HandOver",
		edits: []edit{{"storage/takeover.go", `	s.lease.End(errGivenUp) //`, `	if !FAULT {
		s.lease.End(errGivenUp)
	} //`}},
	},
	{
		name: "standby-copy-closed", what: "nothing is read while the log is away",
		pkg: "storage", tests: "TestG1_LogIsAway",
		edits: []edit{{"storage/committer.go", `sound := v.shard && errors.Is`, `sound := v.shard && !FAULT && errors.Is`}},
	},
	{
		name: "unsure-copy-kept", what: "an owner does not open a copy anew that may show what is not durable",
		pkg: "storage", tests: "TestG45_AnUnsureCopyIsOpenedAnew",
		edits: []edit{{"storage/committer.go", `!v.db.Failed(); !sound`, `(!v.db.Failed() || FAULT); !sound`}},
	},
	{
		name: "stuck-copy-waited-for", what: "a store does not end while a copy is being opened anew",
		pkg: "storage", tests: "TestG44_StoreEndsWhileACopyIsOpenedAnew",
		edits: []edit{{"storage/volume.go", `			v.end()
`, `			if !FAULT {
				v.end()
			}
`}},
	},
	{
		name: "lost-tail-unaudited", what: "the audit log is not told that the log has lost records",
		pkg: "storage", tests: "TestG45_QuietOwnerFindsItsTailLost",
		edits: []edit{{"storage/losttail.go", `	if len(shards) > 0 {`, `	if len(shards) > 0 && !FAULT {`}},
	},
	{
		name: "lost-tail-audited-again", what: "each store of a node has an entry about the same loss",
		pkg: "storage", tests: "TestG45_QuietOwnerFindsItsTailLost",
		edits: []edit{{"storage/losttail.go", `	if err == nil {`, `	if err == nil && !FAULT {`}},
	},
	{
		name: "lost-tail-counted-twice", what: "a loss is counted, and logged, wherever it is found",
		pkg: "storage", tests: "TestG45_QuietOwnerFindsItsTailLost",
		edits: []edit{{"storage/losttail.go", `if slices.Contains(l.unsaid, name) {`, `if slices.Contains(l.unsaid, name) && !FAULT {`}},
	},
	{
		name: "lost-tail-line-each", what: "a node's log has a line for each shard of which records are lost at once",
		pkg: "storage", tests: "TestG45_OneLineTellsOfAllShards",
		edits: []edit{{"storage/losttail.go", `{ st.lost.add(v.index, why) }`, `{
	if st.lost.add(v.index, why); FAULT {
		st.sayLost()
	}
}`}},
	},
	{
		name: "standby-leaving-hurried", what: "a standby asks each 10 ms for as long as an owner takes to leave",
		pkg: "storage", tests: "TestG43_ALongHandOverIsAskedForLessOften",
		edits: []edit{{"storage/standby.go", `if before.leaving && before.owner`, `if !FAULT && before.leaving && before.owner`}},
	},
	{
		name: "standby-lag-untold", what: "the log does not know how far behind it a node is",
		pkg: "storage", tests: "TestStandingTellsLags",
		edits: []edit{{"storage/standby.go", `	st.shared.Follows(at)`, `	if !FAULT {
		st.shared.Follows(at)
	}`}},
	},
	{
		name: "nodes-forgotten-at-joins", what: "a node that has ended is listed until another one joins",
		pkg: "storage", tests: "TestNodesThatEndedAreForgotten",
		edits: []edit{{"storage/standby.go", `			_ = st.shared.Forget(st.ctx)`, `			if !FAULT {
				_ = st.shared.Forget(st.ctx)
			}`}},
	},
	{
		name: "unsure-copy-followed", what: "a standby does not open a copy anew that may show what is not durable",
		pkg: "storage", tests: "TestG45_AnUnsureCopyIsOpenedAnew",
		edits: []edit{{"storage/standby.go", `(mustReopen(err) || v.db.Failed())`, `(mustReopen(err) || v.db.Failed() && !FAULT)`}},
	},
	{
		name: "standby-long-backoff", what: "a shard waits for as long as a disk would need before it tries the log again",
		pkg: "storage", tests: "TestG1_LogIsAway",
		edits: []edit{{"storage/standby.go", `v.shard, v.log, v.backoff.most = true, st.log, maxSharedBackoff`, `v.shard, v.log, v.backoff.most = true, st.log, maxSharedBackoff
		if FAULT {
			v.backoff.most = maxBackoff
		}`}},
	},
	{
		name: "standby-clock-of-none", what: "an owner does not take the clock of its shards over",
		pkg: "storage", tests: "TestG15_ClockOfAllShards",
		edits: []edit{{"storage/takeover.go", `		s.raiseClock(v)`, `		if !FAULT {
			s.raiseClock(v)
		}`}},
	},
	{
		name: "move-half-opened", what: "a store into which a move has not ended is owned",
		pkg: "storage", tests: "TestG26_HalfAMoveIsRefused",
		edits: []edit{{"storage/move.go", `	if s.opts.moving || `, `	if FAULT || s.opts.moving || `}},
	},
	{
		name: "move-over-a-store", what: "a store is moved into one that there is",
		pkg: "storage", tests: "TestG26_StoreIsMoved",
		edits: []edit{{"storage/move.go", `before == nil && len(apps) > 0 {`, `before == nil && len(apps) > 0 && !FAULT {`}},
	},
	{
		name: "move-audited-twice", what: "a move that is run again has entries of the audit log twice",
		pkg: "storage", tests: "TestG26_HalfAMoveIsRefused",
		edits: []edit{{"storage/move.go", `for some := true; some && err == nil; {`, `for some := true; some && err == nil && !FAULT; {`}},
	},
}
