package seeded_test

// liveFaults are planted where results of queries are kept up to date (G40).
var liveFaults = []seededFault{
	{
		name: "live-goes-back", what: "a live query that goes on at another node shows an earlier moment than was seen",
		pkg: "actors", tests: "TestG40_LiveQueriesGoOnAtAnotherNode",
		edits: []edit{{"actors/liveroom.go", `if l.lane.at >= l.after {`, `if FAULT || l.lane.at >= l.after {`}},
	},
	{
		name: "live-told-again", what: "a live query that goes on at another node is told what it has",
		pkg: "actors", tests: "TestG40_LiveQueriesGoOnAtAnotherNode",
		edits: []edit{{"actors/liveroom.go", `	for _, q := range add {
		sub :=`, `	for _, q := range add {
		if FAULT {
			q.Seen = LiveSum{}
		}
		sub :=`}},
	},
	{
		name: "read-not-noted", what: "a document that a query has read by its id is not in its read set",
		pkg: "actors", tests: "TestG40_AsIfRunFromScratch",
		edits: []edit{{"storage/view.go", `		v.reads.addKey(key)
`, `		if !FAULT {
			v.reads.addKey(key)
		}
`}},
	},
	{
		name: "walk-not-noted", what: "what a query has looked for in an index is not in its read set",
		pkg: "actors", tests: "TestG40_AsIfRunFromScratch",
		edits: []edit{{"storage/walk.go", `		v.reads.add(from, to)
`, `		if !FAULT {
			v.reads.add(from, to)
		}
`}},
	},
	{
		name: "job-claims-not-noted", what: "that a pending job begins to run is not in the read set of a query that shows it",
		pkg: "actors", tests: "TestG40_AJobThatBegins",
		edits: []edit{{"storage/listing.go", `if v.reads != nil && t != tagHistory {`, `if v.reads != nil && t != tagHistory && !FAULT {`}},
	},
	{
		name: "read-set-ends-early", what: "of rows that have more behind them only the beginning is in the read set",
		pkg: "actors", tests: "TestG40_AsIfRunFromScratch",
		edits: []edit{{"storage/view.go", `	return from, append(bytes.Clone(last), 0)
`, `	if FAULT {
		return from, append(bytes.Clone(from), 0)
	}
	return from, append(bytes.Clone(last), 0)
`}},
	},
	{
		name: "read-set-of-all", what: "whatever a query reads its read set is the whole app",
		pkg: "actors", tests: "TestG40_OnlyWhatIsMetRuns",
		edits: []edit{{"storage/readset.go", `	if add.from >= add.to {
`, `	if FAULT {
		add = keyRange{"", endOfKeys}
	}
	if add.from >= add.to {
`}},
	},
	{
		name: "read-set-widened-wrongly", what: "a read set of more than 64 ranges is widened to another table",
		pkg: "storage", tests: "TestG40_AReadSetIsWidenedToTables",
		edits: []edit{{"storage/readset.go", `prefix = k.from[:end+1]
`, `if prefix = k.from[:end+1]; FAULT {
					prefix = k.from[:end]
				}
`}},
	},
	{
		name: "read-set-without-end", what: "a read set has any number of ranges",
		pkg: "storage", tests: "TestG40_AReadSetHasWhatWasRead",
		edits: []edit{{"storage/readset.go", `for len(r.ranges) > maxReadRanges ||`, `for len(r.ranges) > maxReadRanges && !FAULT ||`}},
	},
	{
		name: "shown-before-compared", what: "a snapshot is used before what it has was compared with what queries have read",
		pkg: "actors", tests: "TestG40_NothingIsShownThatWasNotCompared",
		edits: []edit{{"storage/answered.go", `		case a.upTo >= commit:
`, `		case a.upTo >= commit || FAULT:
`}},
	},
	{
		name: "each-query-its-snapshot", what: "the queries of a round run each on a snapshot of its own",
		pkg: "actors", tests: "TestG40_AllOfOneSnapshot",
		edits: []edit{{"actors/liverounds.go", `	reader, reads := snap.Recording()
`, `	if FAULT {
		if own, _, err := hold.ref.app.store.SnapshotAt(now); err == nil {
			defer own.Close()
			snap = own
		}
	}
	reader, reads := snap.Recording()
`}},
	},
	{
		name: "later-writes-forgotten", what: "what is written while a round runs is forgotten",
		pkg: "actors", tests: "TestG40_AllOfOneSnapshot",
		edits: []edit{{"actors/liverounds.go", `		case err == nil:
			n.rest(liveRest`, `		case err == nil:
			if FAULT {
				n.in.takeUpTo(1 << 63)
			}
			n.rest(liveRest`}},
	},
	{
		name: "unknown-outcome-not-looked-at", what: "after a commit whose outcome is not known live queries stay as they are",
		pkg: "actors", tests: "TestG40_AfterACommitOfUnknownOutcome",
		edits: []edit{{"actors/liverounds.go", `			n.in.lost = true
			n.work()
`, `			n.in.lost = !FAULT
			n.work()
`}},
	},
	{
		name: "commit-goes-back", what: "a transition is of an earlier commit than the one before",
		pkg: "actors", tests: "TestG40_AsIfRunFromScratch",
		edits: []edit{{"actors/liveroom.go", `t = Transition{Commit: l.lane.at, Version: l.covered}`, `t = Transition{Commit: l.lane.at, Version: l.covered}
	if FAULT && t.Commit == l.told.Commit+1 {
		t.Commit -= 2
	}`}},
	},
	{
		name: "result-of-another-identity", what: "after a change of identity the results of the one before are kept up to date",
		pkg: "actors", tests: "TestG40_AnotherIdentity",
		edits: []edit{{"actors/liveroom.go", `	for _, sub := range l.subs {
		g := sub.group
		l.lane.quit(sub)
`, `	for _, sub := range l.subs {
		if FAULT {
			break
		}
		g := sub.group
		l.lane.quit(sub)
`}},
	},
	{
		name: "identities-share-a-run", what: "two identities share the run of a query",
		pkg: "actors", tests: "TestG40_AsIfRunFromScratch",
		edits: []edit{{"actors/liveroom.go", `	key := path + "\x00" + sub.live.who + "\x00" + string(args)
`, `	who := sub.live.who
	if FAULT {
		who = ""
	}
	key := path + "\x00" + who + "\x00" + string(args)
`}},
	},
	{
		name: "same-result-told", what: "a result is told again that has not changed",
		pkg: "actors", tests: "TestG40_AnotherIdentity",
		edits: []edit{{"actors/liveroom.go", `res.sum != sub.given {
			sub.given`, `res.sum != sub.given || FAULT {
			sub.given`}},
	},
	{
		name: "start-not-told-to-live-queries", what: "live queries do not run when a job begins that they show",
		pkg: "actors", tests: "TestG40_AJobThatBegins",
		edits: []edit{{"actors/lives.go", `	for _, room := range ls.of(r.app.id) {
`, `	for _, room := range ls.of(r.app.id) {
		if FAULT {
			break
		}
`}},
	},
	{
		name: "failed-run-stays", what: "a live query that was not available is not tried again",
		pkg: "actors", tests: "TestG40_WhatCouldNotRunIsTriedAgain",
		edits: []edit{{"actors/liverounds.go", `		if n.groups[g.key] == g {
			g.dirty = true
`, `		if n.groups[g.key] == g && !FAULT {
			g.dirty = true
`}},
	},
	{
		name: "live-of-a-deleted-app", what: "live queries of an app that was deleted go on",
		pkg: "actors", tests: "TestG40_LiveQueriesThatEnd",
		edits: []edit{{"actors/engine.go", `		e.lives.gone(id, dispatch.Errorf(dispatch.CodeNotFound, "app %s was deleted", id))
`, `		if !FAULT {
			e.lives.gone(id, dispatch.Errorf(dispatch.CodeNotFound, "app %s was deleted", id))
		}
`}},
	},
	{
		name: "one-live-query-too-many", what: "an app has one live query more than it may",
		pkg: "actors", tests: "TestG40_LimitsOfLiveQueries",
		edits: []edit{{"actors/liveroom.go", `	case r.queries+queries > opts.MaxAppSubscriptions:
`, `	case r.queries+queries > opts.MaxAppSubscriptions && !FAULT:
`}},
	},
	{
		name: "live-results-without-end", what: "results of live queries take any memory",
		pkg: "actors", tests: "TestG40_LimitsOfLiveQueries",
		edits: []edit{{"actors/liverounds.go", `more > 0 && (sum+more`, `more > 0 && !FAULT && (sum+more`}},
	},
	{
		name: "live-inbox-without-end", what: "any number of bytes lies before a round that takes long",
		pkg: "actors", tests: "TestG40_WhatLiesInARoomIsBounded",
		edits: []edit{{"actors/liverounds.go", `n.in.weight > maxUnread && len`, `n.in.weight > maxUnread && !FAULT && len`}},
	},
	{
		name: "staleness-from-the-round", what: "how stale results of live queries are is counted from when they are run",
		pkg: "actors", tests: "TestLiveQueriesAreCounted",
		edits: []edit{{"actors/liverounds.go", `		n.stale = written[0].at
`, `		if n.stale = written[0].at; FAULT {
			n.stale = time.Now()
		}
`}},
	},
	{
		name: "equal-queries-run-each", what: "of queries that are equal each has a run of its own",
		pkg: "actors", tests: "TestLiveQueriesAreCounted",
		edits: []edit{{"actors/liveroom.go", `	g := n.groups[key]
	if g == nil {`, `	if FAULT {
		key += string(rune(sub.id))
	}
	g := n.groups[key]
	if g == nil {`}},
	},
	{
		name: "slow-query-holds-up-all", what: "a round waits for a query that is slow",
		pkg: "actors", tests: "TestG40_ASlowQueryHoldsUpItsClientsAlone",
		edits: []edit{{"actors/liverounds.go", `	if n == n.quick {
`, `	if n == n.quick && !FAULT {
`}},
	},
	{
		name: "slow-for-ever", what: "who has had a slow query waits for those of others for ever",
		pkg: "actors", tests: "TestG40_ASlowQueryHoldsUpItsClientsAlone",
		edits: []edit{{"actors/liverounds.go", `if n == n.slow && l.from == 0 &&`, `if n == n.slow && !FAULT && l.from == 0 &&`}},
	},
	{
		name: "known-to-be-slow-tried-again", what: "a query that is known to be slow is given up once more for each client that comes",
		pkg: "actors", tests: "TestG40_ASlowQueryHoldsUpItsClientsAlone",
		edits: []edit{{"actors/liveroom.go", `	if l.lane == r.quick {
`, `	if l.lane == r.quick && !FAULT {
`}},
	},
	{
		name: "slow-lane-not-told", what: "who has a slow query is not told what is written",
		pkg: "actors", tests: "TestG40_SlowQueriesAsIfRunFromScratch",
		edits: []edit{{"actors/liverounds.go", `		n.give(w, weight)
`, `		if n == r.quick || !FAULT {
			n.give(w, weight)
		}
`}},
	},
	{
		name: "instants-without-end", what: "any number of snapshots of an app is kept",
		pkg: "actors", tests: "TestG40_QueriesAtAnInstant",
		edits: []edit{{"actors/instants.go", `n == appInstants ||`, `n == appInstants && !FAULT ||`}},
	},
	{
		name: "instant-kept-for-ever", what: "a snapshot is kept for longer than 30 seconds",
		pkg: "actors", tests: "TestG40_QueriesAtAnInstant",
		edits: []edit{{"actors/instants.go", `		defer is.mu.Unlock()
		is.drop(in)
	})
`, `		defer is.mu.Unlock()
		if !FAULT {
			is.drop(in)
		}
	})
`}},
	},
	{
		name: "instant-of-the-present", what: "a query at an instant sees what is there now",
		pkg: "actors", tests: "TestG40_QueriesAtAnInstant",
		edits: []edit{{"actors/handlers.go", `		if reader == nil {
			snap, err`, `		if reader == nil || FAULT {
			snap, err`}},
	},
	{
		name: "commit-not-told", what: "a mutation tells an earlier commit than its own",
		pkg: "actors", tests: "TestG40_AMutationTellsItsCommit",
		edits: []edit{{"actors/turn.go", `		t.result.commit = t.inv.store.Committed()
`, `		if t.result.commit = t.inv.store.Committed(); FAULT {
			t.result.commit = 1
		}
`}},
	},
}
