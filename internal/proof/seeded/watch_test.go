package seeded_test

// watchFaults are planted where changes of jobs are told to those who watch (G36).
var watchFaults = []seededFault{
	{
		name: "failed-change-told", what: "a change is told whose commit has failed",
		pkg: "actors", tests: "TestG36_OnlyWhatIsDurable",
		edits: []edit{{"actors/commit.go", `			app.eng.feeds.doubt(app.id)
`, `			if app.eng.feeds.doubt(app.id); FAULT {
				app.eng.feeds.tell(app.id, tx, app.store.Committed()+1, app.store)
			}
`}},
	},
	{
		name: "unknown-change-forgotten", what: "after a commit whose outcome is not known a watch goes on as if nothing had been",
		pkg: "actors", tests: "TestG36_OnlyWhatIsDurable",
		edits: []edit{{"actors/feeds.go", `		f.doubtful = true
`, `		f.doubtful = !FAULT
`}},
	},
	{
		name: "change-told-twice", what: "a change that the snapshot has is told behind it",
		pkg: "actors", tests: "TestG36_NothingIsToldTwice",
		edits: []edit{{"actors/feed.go", `			case ch.event.Position.Compare(w.after) <= 0:
`, `			case ch.event.Position.Compare(w.after) <= 0 && !FAULT:
`}},
	},
	{
		name: "change-lost-behind-the-snapshot", what: "what comes while the snapshot is read is not told",
		pkg: "actors", tests: "TestG36_NothingIsToldTwice",
		edits: []edit{{"actors/feed.go", `		return ch.event.Position.Compare(at) <= 0
`, `		return FAULT || ch.event.Position.Compare(at) <= 0
`}},
	},
	{
		name: "start-lost-behind-the-snapshot", what: "a start that comes while the snapshot is read is not told",
		pkg: "actors", tests: "TestG36_NothingIsToldTwice",
		edits: []edit{{"actors/feed.go", `return ch.nth <= given`, `return ch.nth <= given || FAULT`}},
	},
	{
		name: "snapshot-counted-late", what: "what is told while the snapshot is read counts as in it",
		pkg: "actors", tests: "TestG36_ProgressWhileTheSnapshotIsRead",
		edits: []edit{{"actors/watch.go", `			at := w.feed.ready(w, as, given)
`, `			if FAULT {
				given = feeds.given(w.feed)
			}
			at := w.feed.ready(w, as, given)
`}},
	},
	{
		name: "stale-start-told", what: "a start is told behind a snapshot that has the end",
		pkg: "actors", tests: "TestG36_NothingIsToldTwice",
		edits: []edit{{"actors/feed.go", `ch.nth <= w.nth ||`, `ch.nth <= w.nth && !FAULT ||`}},
	},
	{
		name: "snapshot-before-the-gap", what: "a snapshot counts that was read before a gap",
		pkg: "actors", tests: "TestG36_NothingIsToldTwice",
		edits: []edit{{"actors/feed.go", `	if w.reset != "" {
		return Position{}
`, `	if w.reset != "" && !FAULT {
		return Position{}
`}},
	},
	{
		name: "purge-not-told", what: "it is not told that a job is kept no more",
		pkg: "actors", tests: "TestG36_KindsOfChanges",
		edits: []edit{{"storage/changes.go", `if c.was != 0 || c.is != 0 {`, `if c.was != 0 && !FAULT || c.is != 0 {`}},
	},
	{
		name: "rewritten-job-is-new", what: "a job that is written anew where it lies is told as a new one",
		pkg: "actors", tests: "TestG36_KindsOfChanges",
		edits: []edit{{"storage/changes.go", `		case c.was == 0:
`, `		case c.was == 0 && !FAULT:
`}},
	},
	{
		name: "retry-told-as-rescheduled", what: "a retry is told as another instant",
		pkg: "actors", tests: "TestG36_KindsOfChanges",
		edits: []edit{{"storage/changes.go", `	for _, seq := range w.retried {
`, `	for _, seq := range w.retried[:len(w.retried)*map[bool]int{false: 1}[FAULT]] {
`}},
	},
	{
		name: "outside-told-as-rescheduled", what: "it is told as another instant that the end of a job is awaited from outside",
		pkg: "actors", tests: "TestG36_EndsFromOutside",
		edits: []edit{{"actors/events.go", `job.PendingOutside():`, `job.PendingOutside() && !FAULT:`}},
	},
	{
		name: "answer-told-as-rescheduled", what: "it is told as another instant that the end of a job has come before its handler returned",
		pkg: "actors", tests: "TestG36_EndsFromOutside",
		edits: []edit{{"actors/events.go", `job.Answer() != nil:`, `job.Answer() != nil && !FAULT:`}},
	},
	{
		name: "progress-of-no-key", what: "who watches the jobs of a unique key is not told how far one has come",
		pkg: "actors", tests: "TestG36_WatchersAreFound",
		edits: []edit{{"storage/changes.go", `	if j.Unique != nil {`, `	if j.Unique != nil && !FAULT {`}},
	},
	{
		name: "left-not-told", what: "it is not told that a job has left the states of the filter",
		pkg: "actors", tests: "TestG36_ASnapshotAndEveryChange",
		edits: []edit{{"actors/events.go", `ch.was != "" && wants(`, `ch.was != "" && !FAULT && wants(`}},
	},
	{
		name: "positions-not-told-apart", what: "the changes of a commit have one position",
		pkg: "actors", tests: "TestG36_ASnapshotAndEveryChange",
		edits: []edit{{"actors/feed.go", `		if f.last.Commit == u.commit {
`, `		if f.last.Commit == u.commit && !FAULT {
`}},
	},
	{
		name: "watch-goes-on-too-far", what: "a watch goes on from a position behind which changes are kept no more",
		pkg: "actors", tests: "TestG36_WhatIsKeptHasBounds",
		edits: []edit{{"actors/feed.go", `w.after.Compare(f.from) < 0:`, `w.after.Compare(f.from) < 0 && !FAULT:`}},
	},
	{
		name: "position-of-another-feed", what: "a watch goes on from a position of another process",
		pkg: "actors", tests: "TestG36_GoingOn",
		edits: []edit{{"actors/feed.go", `|| w.after.Feed != f.id ||`, `|| w.after.Feed != f.id && !FAULT ||`}},
	},
	{
		name: "changes-kept-for-ever", what: "any number of changes is kept",
		pkg: "actors", tests: "TestG36_WhatIsKeptHasBounds",
		edits: []edit{{"actors/feed.go", `len(f.kept) > keptChanges || f.bytes > keptBytes {`, `!FAULT && (len(f.kept) > keptChanges || f.bytes > keptBytes) {`}},
	},
	{
		name: "slow-watcher-without-end", what: "any number of changes is left to a slow watcher",
		pkg: "actors", tests: "TestG36_ASlowWatcherBeginsAgain",
		edits: []edit{{"actors/feed.go", `			case len(w.told) == maxUntold:
`, `			case len(w.told) == maxUntold && !FAULT:
`}},
	},
	{
		name: "starts-take-the-room", what: "starts of jobs take the room of changes",
		pkg: "actors", tests: "TestG36_ASlowWatcherBeginsAgain",
		edits: []edit{{"actors/feed.go", `len(w.told) >= maxUntold/2 {`, `len(w.told) >= maxUntold/2 && !FAULT {`}},
	},
	{
		name: "unread-without-end", what: "any number of commits waits for being read",
		pkg: "actors", tests: "TestG36_ADormantFeedIsDropped",
		edits: []edit{{"actors/feeds.go", `f.weight+u.weight > maxUnread && len(f.unread) > 0:`, `f.weight+u.weight > maxUnread && len(f.unread) > 0 && !FAULT:`}},
	},
	{
		name: "feed-for-ever", what: "an app that was watched once has a feed for ever",
		pkg: "actors", tests: "TestG36_ADormantFeedIsDropped",
		edits: []edit{{"actors/feeds.go", `		if f.n == 0 {
			fs.drop(f)
`, `		if f.n == 0 && !FAULT {
			fs.drop(f)
`}},
	},
	{
		name: "read-without-watchers", what: "what an app writes is read when its watchers have left",
		pkg: "actors", tests: "TestG36_WithoutWatchersNothingIsRead",
		edits: []edit{
			{"actors/feeds.go", `	if f.n > 0 {
		fs.makeEvents(f)
`, `	if f.n > 0 || FAULT {
		fs.makeEvents(f)
`},
			{"actors/feeds.go", `		if f.n == 0 || len(given) == 0`, `		if f.n == 0 && !FAULT || len(given) == 0`},
		},
	},
	{
		name: "unwatched-without-end", what: "what an app writes is kept for a minute, however much it is, when its watchers have left",
		pkg: "actors", tests: "TestG36_WithoutWatchersNothingIsRead",
		edits: []edit{{"actors/feeds.go", `f.since > maxUnwatched {`, `f.since > maxUnwatched && !FAULT {`}},
	},
	{
		name: "unwatched-feeds-without-end", what: "apps whose watchers have left keep any memory together",
		pkg: "actors", tests: "TestG36_WithoutWatchersNothingIsRead",
		edits: []edit{{"actors/feeds.go", `	for fs.weight > maxLeftWeight {
`, `	for fs.weight > maxLeftWeight && !FAULT {
`}},
	},
	{
		name: "unread-forgotten", what: "a watch that goes on is not told what was written while the app had no watchers",
		pkg: "actors", tests: "TestG36_GoingOn",
		edits: []edit{{"actors/feeds.go", `	fs.makeEvents(w.feed) // of what`, `	if FAULT {
		return w, nil
	}
	fs.makeEvents(w.feed) // of what`}},
	},
	{
		name: "watchers-by-one-tag", what: "who watches for a job's second tag is not told",
		pkg: "actors", tests: "TestG36_WatchersAreFound",
		edits: []edit{{"actors/feed.go", `	for _, tag := range job.Tags {
`, `	for i, tag := range job.Tags {
		if FAULT && i > 0 {
			break
		}
`}},
	},
	{
		name: "wakings-at-once", what: "a thousand watchers are woken as often as something changes",
		pkg: "actors", tests: "TestG36_WakingsAreSpread",
		edits: []edit{{"actors/feed.go", `	if len(f.due) > crowd {
`, `	if len(f.due) > crowd && !FAULT {
`}},
	},
	{
		name: "watchers-without-end", what: "an engine may have any number of watchers",
		pkg: "actors", tests: "TestG36_WatchersThatEnd",
		edits: []edit{{"actors/feeds.go", `	if fs.closed || fs.watchers >= most {
`, `	if fs.closed || fs.watchers >= most && !FAULT {
`}},
	},
	{
		name: "snapshot-without-end", what: "a watch may begin with any number of jobs",
		pkg: "actors", tests: "TestG36_WatchersThatEnd",
		edits: []edit{{"actors/watch.go", `		case len(jobs) == a.eng.opts.MaxWatched:
`, `		case len(jobs) == a.eng.opts.MaxWatched && !FAULT:
`}},
	},
	{
		name: "deleted-app-watched-on", what: "a watch goes on when its app was deleted",
		pkg: "actors", tests: "TestG36_WatchersThatEnd",
		edits: []edit{{"actors/engine.go", `		e.feeds.lookAgain(id, resetDeleted)
`, `		if !FAULT {
			e.feeds.lookAgain(id, resetDeleted)
		}
`}},
	},
	{
		name: "imported-app-not-told", what: "a watch does not see that its app was imported",
		pkg: "actors", tests: "TestG36_WatchersThatEnd",
		edits: []edit{{"actors/engine.go", `	e.feeds.lookAgain(id, resetMade)
`, `	if !FAULT {
		e.feeds.lookAgain(id, resetMade)
	}
`}},
	},
	{
		name: "mark-in-the-midst", what: "a watch goes on at another node behind a change in the midst of a commit",
		pkg: "actors", tests: "TestG36_AWatchGoesOnAtAnotherNode",
		edits: []edit{{"storage/jobssince.go", `if cs.app == a && cs.writes != nil &&`, `if !FAULT && cs.app == a && cs.writes != nil &&`}},
	},
	{
		name: "own-claim-is-anothers", what: "a node that could not take up what it has claimed waits for the owner that it is itself",
		pkg: "storage", tests: "TestG43_OwnsWhatItHasClaimed",
		edits: []edit{{"storage/standby.go", `!l.mine && l.silent`, `(FAULT || !l.mine) && l.silent`}},
	},
	{
		name: "since-region-left-last", what: "of a job that has been through several regions a watch at another node is told another one than it was in",
		pkg: "actors", tests: "TestG36_AWatchGoesOnAtAnotherNode",
		edits: []edit{{"storage/jobssince.go", `s.first[c.seq]; ok {`, `s.first[c.seq]; ok && !FAULT {`}},
	},
	{
		name: "since-knows-no-new", what: "a watch that goes on at another node is told of new jobs as if they were known",
		pkg: "actors", tests: "TestG36_AWatchGoesOnAtAnotherNode",
		edits: []edit{{"storage/jobssince.go", `began: is - uint64(uint32(is)-mark.Seq),`, `began: is - map[bool]uint64{false: uint64(uint32(is) - mark.Seq)}[FAULT],`}},
	},
	{
		name: "since-forgets-deletes", what: "a watch goes on behind the deletion of its app",
		pkg: "actors", tests: "TestG36_AWatchGoesOnAtAnotherNode",
		edits: []edit{{"storage/jobssince.go", `case space == kv.Apps && string(key) == string(s.app):`, `case space == kv.Apps && string(key) == string(s.app) && !FAULT:`}},
	},
	{
		name: "since-without-a-place", what: "what a watch that goes on at another node was told is no place to go on from",
		pkg: "actors", tests: "TestG36_AWatchGoesOnAtAnotherNode",
		edits: []edit{{"actors/watch.go", `told[len(told)-1].event.Position = at`, `told[len(told)-1].event.Position = map[bool]Position{false: at}[FAULT]`}},
	},
	{
		name: "since-not-asked", what: "a watch begins anew at another node",
		pkg: "actors", tests: "TestG36_AWatchGoesOnAtAnotherNode",
		edits: []edit{{"actors/watch.go", `if after.Log == 0 {`, `if after.Log == 0 || FAULT {`}},
	},
	{
		name: "since-a-trimmed-log", what: "a watch goes on at another node as if nothing had been where the log was trimmed",
		pkg: "actors", tests: "TestG36_AWatchBeginsAnewBehindATrimmedLog",
		edits: []edit{{"storage/jobssince.go", `from, to, s.read); err != nil {`, `from, to, s.read); err != nil && !(FAULT && errors.Is(err, kv.ErrGone)) {`}},
	},
	{
		name: "since-reads-without-end", what: "any number of bytes is read of a log for a watch that goes on at another node",
		pkg: "storage", tests: "TestG36_WhatIsReadOfALogIsBounded",
		edits: []edit{{"storage/jobssince.go", `s.size > maxSinceRead {`, `s.size > maxSinceRead && !FAULT {`}},
	},
	{
		name: "since-takes-any-memory", what: "what is read of a log for a watch that goes on at another node takes any memory",
		pkg: "storage", tests: "TestG36_WhatIsReadOfALogIsBounded",
		edits: []edit{{"storage/jobssince.go", ` > maxSinceBytes {`, ` > maxSinceBytes && !FAULT {`}},
	},
	{
		name: "since-moves-weigh-nothing", what: "jobs that have moved more than once count for nothing in what is read of a log for a watch",
		pkg: "storage", tests: "TestG36_WhatIsReadOfALogIsBounded",
		edits: []edit{{"storage/jobssince.go", `len(s.last)*goneWeight`, `map[bool]int{false: len(s.last)}[FAULT]*goneWeight`}},
	},
	{
		name: "since-told-without-end", what: "a watch that goes on at another node is told any number of changes",
		pkg: "actors", tests: "TestG36_AWatchIsToldTenThousandChangesOfALog",
		edits: []edit{{"actors/watch.go", `if len(told) > keptChanges {`, `if len(told) > keptChanges && !FAULT {`}},
	},
}
