package seeded_test

// boundsFaults are planted where the sum of what one app does is bounded.
var boundsFaults = []seededFault{
	{
		name: "tx-limits-of-the-innermost", what: "what the outer mutation has written does not count in a nested one",
		pkg: "storage", tests: "TestG24_ATransactionHasLimits",
		edits: []edit{{"storage/limits.go", `for _, l := range v.tx.layers {`, `layers := v.tx.layers
	if FAULT {
		layers = layers[len(layers)-1:]
	}
	for _, l := range layers {`}},
	},
	{
		name: "tx-limits-after-the-write", what: "the call that passes a limit of a transaction is refused when it has written",
		pkg: "storage", tests: "TestG24_ATransactionHasLimits",
		edits: []edit{{"storage/jobs.go", `if err := v.spare(1, writes, size); err != nil {`, `if err := v.spare(1, writes, size); err != nil {
		if FAULT {
			c.seq++
			tx.putEncoded(&job, data)
		}`}},
	},
	{
		name: "tx-limits-retried", what: "a job that passes the limits of a transaction is retried",
		pkg: "actors", tests: "TestG24_AMutationHasLimits",
		edits: []edit{{"storage/errors.go", `ErrTxLimit = permanent(errors.New("limit of one transaction exceeded"))`, `ErrTxLimit = func() error {
		err := errors.New("limit of one transaction exceeded")
		if FAULT {
			return err
		}
		return permanent(err)
	}()`}},
	},
	{
		name: "heavy-before-light", what: "heavy change sets are committed in the order they came, before a light one",
		pkg: "storage", tests: "TestG24_ALightChangeSetWaitsForOneHeavyOne",
		edits: []edit{{"storage/queue.go", `case w.light+cs.weight >= heavyWeight || w.in[heavyLane] > 0:`, `case (w.light+cs.weight >= heavyWeight || w.in[heavyLane] > 0) && !FAULT:`}},
	},
	{
		name: "many-make-no-weight", what: "of an app's change sets only each by itself is weighed",
		pkg: "storage", tests: "TestG24_ManyOfAnAppWaitLikeAHeavyOne",
		edits: []edit{{"storage/queue.go", `	if l != heavyLane {
		w.light += weight`, `	if l != heavyLane && !FAULT {
		w.light += weight`}},
	},
	{
		name: "queued-without-bound", what: "an app has any number of large change sets on their way to the disk",
		pkg: "actors", tests: "TestG24_WhatOneAppHasQueuedIsBounded",
		edits: []edit{{"actors/commit.go", `less := app.queued.Add(-weight) < maxQueued && app.full.Load()`, `if FAULT {
			weight = 0
		}
		less := app.queued.Add(-weight) < maxQueued && app.full.Load()`}, {"actors/commit.go", `	app.queued.Add(weight)
	if reply`, `	if !FAULT {
		app.queued.Add(weight)
	}
	if reply`}},
	},
	{
		name: "own-writes-without-bound", what: "what the engine writes of its own accord is one change set, however large",
		pkg: "actors", tests: "TestG24_WhatTheEngineWritesGoesInPieces",
		edits: []edit{{"actors/commit.go", `return n < ownJobs && tx.Weight() < ownWeight`, `return FAULT || n < ownJobs && tx.Weight() < ownWeight`}},
	},
	{
		name: "pages-by-count", what: "jobs are read by the hundred, however large they are",
		pkg: "storage", tests: "TestG24_ReadsAreBoundedInBytes",
		edits: []edit{{"storage/view.go", `	for most.rows > 0 && most.bytes > 0 {`, `	for most.rows > 0 && (FAULT || most.bytes > 0) {`}},
	},
	{
		name: "light-overtakes-its-app", what: "a light change set passes a heavy one of its app",
		pkg: "storage", tests: "TestG24_QueueInTurns",
		edits: []edit{{"storage/queue.go", `	w.in[l]++
`, `	if l != heavyLane || !FAULT {
		w.in[l]++
	}
`}},
	},
	{
		name: "awaited-behind-ticks", what: "a change set that a caller waits for stands behind those of a crowd's ticks",
		pkg: "storage", tests: "TestG24_WhatIsAwaitedComesFirst",
		edits: []edit{{"storage/queue.go", `case cs.awaited:`, `case cs.awaited && !FAULT:`}},
	},
	{
		name: "awaited-passes-its-app", what: "a change set that a caller waits for passes an earlier one of its app",
		pkg: "storage", tests: "TestG24_WhatIsAwaitedComesFirst",
		edits: []edit{{"storage/queue.go", `if l == awaitedLane && w.in[lightLane] > 0 {`, `if l == awaitedLane && w.in[lightLane] > 0 && !FAULT {`}},
	},
	{
		name: "flood-takes-all", what: "one app's callers may fill the committer's queue, so that those of others are refused",
		pkg: "storage", tests: "TestG18_CallersAreHeldToASecondsWork",
		edits: []edit{{"storage/overload.go", `return a.waits.asked+askWeight > free`, `if FAULT {
		return free <= 0
	}
	return a.waits.asked+askWeight > free`}},
	},
	{
		name: "never-shed", what: "calls are let in however much waits for the committer",
		pkg: "actors", tests: "TestG18_AnOverloadedVolumeSheds",
		edits: []edit{{"actors/overload.go", `if !app.store.Overloaded() {`, `if !app.store.Overloaded() || FAULT {`}},
	},
	{
		name: "jobs-shed", what: "a job that is due is refused with the calls of an overloaded volume",
		pkg: "actors", tests: "TestG18_AnOverloadedVolumeSheds",
		edits: []edit{{"actors/turnbatch.go", `if inv.job == nil && app.overloaded() {`, `if (inv.job == nil || FAULT) && app.overloaded() {`}},
	},
	{
		name: "wait-charged", what: "a job is charged for the attempt whose call has waited too long for its turn",
		pkg: "actors", tests: "TestG5_AJobWhoseCallWaitedTooLongIsNotCharged",
		edits: []edit{{"actors/invocation.go", `errors.Is(err, errWaited)`, `errors.Is(err, errWaited) && !FAULT`}},
	},
	{
		name: "shed-charged", what: "a job is charged for the attempt that an overloaded volume cut off",
		pkg: "actors", tests: "TestG18_AnOverloadedVolumeSheds",
		edits: []edit{{"actors/invocation.go", `errors.Is(err, errShed)`, `errors.Is(err, errShed) && !FAULT`}},
	},
	{
		name: "garbage-at-once", what: "a removed app is collected in one commit, however much it had",
		pkg: "storage", tests: "TestG24_ImportsAndGarbageCollectionGoInPieces",
		edits: []edit{{"storage/gc.go", `size += len(k) + len(value)`, `if !FAULT {
					size += len(k) + len(value)
				}`}},
	},
	{
		name: "body-memory-kept", what: "what a body took is not given back",
		pkg: "server", tests: "TestG24_BodiesUnderWayAreBounded",
		edits: []edit{{"server/memory.go", `h.memory.left.Add(h.bytes)`, `if !FAULT {
		h.memory.left.Add(h.bytes)
	}`}},
	},
	{
		name: "announced-body-taken", what: "a body takes as much memory as its client announces",
		pkg: "server", tests: "TestG24_SlowBodiesTakeWhatHasCome",
		edits: []edit{{"server/memory.go", `buf := make([]byte, 0, min(first, smallBody))`, `size := min(first, smallBody)
	if FAULT {
		size = first
	}
	buf := make([]byte, 0, size)`}},
	},
	{
		name: "client-requests-unbounded", what: "one client has any number of requests under way",
		pkg: "server", tests: "TestG24_RequestsOfAClientAreBounded",
		edits: []edit{{"server/clients.go", `	case of.requests >= c.mostRequests:`, `	case of.requests >= c.mostRequests && !FAULT:`}},
	},
	{
		name: "client-remembered", what: "a client that has nothing under way is remembered",
		pkg: "server", tests: "TestG24_RequestsOfAClientAreBounded",
		edits: []edit{{"server/clients.go", `of.requests == 0 {`, `of.requests == 0 && !FAULT {`}},
	},
	{
		name: "client-bytes-off-by-one", what: "the bodies of one client take a byte more than they may",
		pkg: "server", tests: "TestG24_BytesOfAClientAreBounded",
		edits: []edit{{"server/clients.go", `of.bytes+n > c.mostBytes {`, `of.bytes+n > c.mostBytes+map[bool]int64{true: 1}[FAULT] {`}},
	},
	{
		name: "polls-uncounted", what: "any number of requests wait for the ends of jobs",
		pkg: "server", tests: "TestLongPollsAreBounded",
		edits: []edit{{"server/result.go", `		defer leave()`, `		if FAULT {
			leave()
			leave = func() {}
		}
		defer leave()`}},
	},
	{
		name: "idle-connection-kept", what: "an idle connection keeps a new one out",
		pkg: "server", tests: "TestG24_ConnectionsAreBounded",
		edits: []edit{{"server/conns.go", `drop := state == http.StateIdle && l.waiting`, `drop := state == http.StateIdle && l.waiting && !FAULT`}},
	},
	{
		name: "max-apps-off", what: "there may be any number of apps",
		pkg: "actors", tests: "TestG24_MaxApps",
		edits: []edit{{"actors/census.go", `if c.most > 0 && c.n >= c.most && !whatever {`, `if c.most > 0 && c.n >= c.most && !whatever && !FAULT {`}},
	},
	{
		name: "admitted-after-spawn", what: "an app that is not admitted is spawned all the same",
		pkg: "actors", tests: "TestG26_WhoIsNotAdmittedTakesNothing",
		edits: []edit{{"actors/directory.go", `if err := d.eng.admit(ctx, id); err != nil {`, `if err := d.eng.admit(ctx, id); err != nil {
			if FAULT {
				d.eng.sys.tell(d.self, &acquireApp{id, func(ref *appRef, err error) { ref.release() }})
			}`}},
	},
	{
		name: "given-up-begins", what: "a call that was given up for its wait is applied all the same",
		pkg: "actors", tests: "TestG24_TheWaitForTheTurnIsBounded",
		edits: []edit{{"actors/turnbatch.go", `if !inv.start.begin() {`, `if !inv.start.begin() && !FAULT {`}},
	},
	{
		name: "panic-ends-the-shared", what: "a panic of the directory, the waker or the permit broker is left to the actor library",
		pkg: "actors", tests: "TestG24_APanicInWhatAllAppsShare",
		edits: []edit{{"actors/health.go", `if v := recover(); v != nil {`, `if v := recover(); v != nil && FAULT {
			panic(v)
		} else if v != nil {`}},
	},
	{
		name: "files-not-looked-at", what: "a volume that is replaced or removed goes unnoticed until it is written",
		pkg: "actors", tests: "TestG37_ALostVolumeTurnsHealthRed",
		edits: []edit{{"storage/volume.go", `if err := v.db.Present(); err != nil {`, `if err := v.db.Present(); err != nil && !FAULT {`}},
	},
}
