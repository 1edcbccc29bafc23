package seeded_test

// engineFaults are planted in package actors.
var engineFaults = []seededFault{
	{
		name: "pool-without-limit", what: "a pool lets any number run",
		pkg: "actors", tests: "TestG27_NoMoreThanThePermitsRunAtOnce",
		edits: []edit{{"actors/admit.go", `for c.pools.room(at) > 0 &&`, `for (FAULT || c.pools.room(at) > 0) &&`}},
	},
	{
		name: "permit-kept", what: "the permit of an attempt that has ended does not come back",
		pkg: "actors", tests: "TestG27_APermitComesBack",
		edits: []edit{{"actors/permits.go", `!was.over() && s.pools.free(r,`, `!was.over() && !FAULT && s.pools.free(r,`}},
	},
	{
		name: "key-of-all-apps", what: "jobs that two apps have under one id have one idempotency key",
		pkg: "actors", tests: "TestG5_OneIdempotencyKeyThatNoOtherJobHas",
		edits: []edit{{"actors/release.go", `inv := &invocation{`, `if FAULT {
		job.App = ""
	}
	inv := &invocation{`}},
	},
	{
		name: "skip-rearm", what: "the alarm is not set again",
		pkg: "actors", tests: "TestG14_TheAlarmFollowsTheEarliestJob",
		edits: []edit{{"actors/alarm.go", `wait := time.Duration(-1)`, `if FAULT {
		return
	}
	wait := time.Duration(-1)`}},
	},
	{
		name: "alarm-not-moved", what: "an alarm that is set is not set earlier",
		pkg: "actors", tests: "TestG14_TheAlarmFollowsTheEarliestJob",
		edits: []edit{{"actors/alarm.go", `s.alarm.At == at {`, `(s.alarm.At == at || FAULT) {`}},
	},
	{
		name: "sleep-while-due", what: "an app falls asleep while it works",
		pkg: "actors", tests: "TestG26_WhatWorksDoesNotSleep",
		edits: []edit{{"actors/alarm.go", `return s.holder == nil && len(s.queue) == 0 && len(s.ended) == 0 && s.runQueue.len() == 0 &&`, `if FAULT {
		return true
	}
	return s.holder == nil && len(s.queue) == 0 && len(s.ended) == 0 && s.runQueue.len() == 0 &&`}},
	},
	{
		name: "sleeper-writes", what: "an app that has fallen asleep puts itself right, beside the one that is opened next",
		pkg: "actors", tests: "TestG20_AnAppThatFallsAsleepWritesNothingMore",
		edits: []edit{{"actors/alarm.go", `s.move(actorsStopped)`, `if !FAULT {
						s.move(actorsStopped)
					}`}},
	},
	{
		name: "opened-beside-what-is-submitted", what: "an app is opened anew before the file has all that it has submitted",
		pkg: "actors", tests: "TestG2_AnAppIsOpenedAnewWhenTheFileHasAllOfIt",
		edits: []edit{{"actors/directory.go", `if ref.app.store.InFlight() {`, `if !FAULT && ref.app.store.InFlight() {`}},
	},
	{
		name: "asleep-while-stepped", what: "an app that falls asleep while the wall is stepped is not put right",
		pkg: "actors", tests: "TestG12_AnAppThatFallsAsleepWhileTheWallIsSteppedIsPutRight",
		edits: []edit{{"actors/directory.go", `if ref.app.uncorrected() {`, `if !FAULT && ref.app.uncorrected() {`}},
	},
	{
		name: "running-not-bound", what: "a job that runs when the wall is set back keeps the instants of a future",
		pkg: "actors", tests: "TestG15_WhatRunsWhenTheClockIsPutRightIsOfNoFuture",
		edits: []edit{{"actors/correction.go", `changed := job.Bound(at.now)`, `changed := (!begun || !FAULT) && job.Bound(at.now)`}},
	},
	{
		name: "hold-stops-no-runs", what: "a hold waits for jobs that are not told to stop",
		pkg: "actors", tests: "TestG26_AHoldServesTheActionsThatItWaitsFor",
		edits: []edit{{"actors/drain.go", `if !s.runs.live(r.job.ID) {
			continue`, `if !s.runs.live(r.job.ID) || FAULT {
			continue`}},
	},
	{
		name: "hold-for-ever", what: "a hold that gave up is not taken back",
		pkg: "actors", tests: "TestG26_AHoldThatGivesUpIsTakenBack",
		edits: []edit{{"actors/holds.go", `if !m.given && !d.resume(m.id) {`, `if !m.given && (FAULT || !d.resume(m.id)) {`}},
	},
	{
		name: "hold-waits-for-itself", what: "an action's call waits for the hold that waits for the action",
		pkg: "actors", tests: "TestG26_AHoldServesTheActionsThatItWaitsFor",
		edits: []edit{{"actors/door.go", `p != doorOpen && (!own || p > doorDrained) {`, `p != doorOpen && (!own || p > doorDrained || FAULT) {`}},
	},
	{
		name: "wake-lost", what: "an app that sleeps is not woken",
		pkg: "actors", tests: "TestG14_SleepAndWake",
		edits: []edit{{"actors/directory.go", `d.eng.sys.tell(d.self, &acquireApp{id: id})`, `if FAULT {
		return
	}
	d.eng.sys.tell(d.self, &acquireApp{id: id})`}},
	},
	{
		name: "clock-step-unnoticed", what: "the wall is not read after a step of it",
		pkg: "actors", tests: "TestG12_AForwardStepIsNoticedWithinClockCheck",
		edits: []edit{{"actors/scheduler.go", `s.alarm.Clear()`, `if FAULT {
			return
		}
		s.alarm.Clear()`}},
	},
	{
		name: "no-second-look", what: "the wall is not read again before a start",
		pkg: "actors", tests: "TestG14_TheAlarmFollowsTheEarliestJob",
		edits: []edit{{"actors/runqueue.go", `!q.ahead[n].job.Due.After(wall)`, `(FAULT || !q.ahead[n].job.Due.After(wall))`}, {"actors/turnbatch.go", `(job.job.Due.After(at.wall)`, `(job.job.Due.After(at.wall) && !FAULT`}},
	},
	{
		name: "due-by-written-time", what: "jobs are due by the instant that would be written down",
		pkg: "actors", tests: "TestG11_DueIsByTheWallThoughWhatIsWrittenDownIsAhead",
		edits: []edit{{"actors/release.go", `var due []*invocation`, `if FAULT {
		wall = s.eng.clock.now()
	}
	var due []*invocation`}},
	},
	{
		name: "false-future-believed", what: "what is written down is never before what was",
		pkg: "actors", tests: "TestG15_StepsBackAreNotBridgedTogether",
		edits: []edit{
			{"actors/clock.go", `|| ahead > bridged {`, `|| ahead > bridged && !FAULT {`},
			{"actors/clock.go", `	if by < 0 {
		c.shown = wall`, `	if by < 0 && !FAULT {
		c.shown = wall`},
		},
	},
	{
		name: "step-back-not-bridged", what: "what is written down goes back with the wall",
		pkg: "actors", tests: "TestG15_WrittenInstantsFollowTheWall",
		edits: []edit{{"actors/clock.go", `if ahead := c.shown.Sub(wall); `, `if ahead := c.shown.Sub(wall); FAULT || `}},
	},
	{
		name: "bridge-stands-still", what: "what is written down stands until the wall has caught up",
		pkg: "actors", tests: "TestG15_WrittenInstantsFollowTheWall",
		edits: []edit{{"actors/clock.go", `	c.shown, c.shownAt = `, `	if FAULT {
		c.shownAt = elapsed
	}
	c.shown, c.shownAt = `}},
	},
	{
		name: "undone-step-unnoticed", what: "only the waker looks for steps of the wall",
		pkg: "actors", tests: "TestG12_AStepThatIsUndoneIsNoticed",
		edits: []edit{{"actors/waker.go", `moves := w.eng.clock.check()`, `moves := w.eng.clock.check()
		if FAULT {
			moves = int(w.eng.clock.skew.Round(time.Millisecond))
		}`}},
	},
	{
		name: "suspend-is-a-step", what: "a suspend is taken for a step of the wall",
		pkg: "actors", tests: "TestG15_AStepOfTheWallIsNoticed",
		edits: []edit{{"actors/clock.go", `	by := c.skewOf(wall, elapsed) - c.skew - (slept - c.slept)`, `	by := c.skewOf(wall, elapsed) - c.skew - (slept - c.slept)
	if FAULT {
		by = c.skewOf(wall, elapsed) - c.skew
	}`}},
	},
	{
		name: "doubt-forgotten", what: "rows are purged by a wall that is far ahead",
		pkg: "actors", tests: "TestG26_PurgingWaitsForAClockInDoubt",
		edits: []edit{{"actors/expired.go", `if e.clock.doubted() {`, `if e.clock.doubted() && !FAULT {`}},
	},
	{
		name: "purge-keeps-callers-out", what: "all expired rows are purged before a call is heard",
		pkg: "actors", tests: "TestG26_ACallDoesNotWaitForAllThatIsPurged",
		edits: []edit{{"actors/scheduler.go", `if s.tidying || !s.mayQueue() {`, `if !FAULT && (s.tidying || !s.mayQueue()) {`}},
	},
	{
		name: "doubt-ends-with-the-process", what: "a restart makes a wall in doubt believed",
		pkg: "actors", tests: "TestG26_PurgingWaitsForAClockInDoubt",
		edits: []edit{{"actors/eras.go", `	e.watch(0)
	return e, nil`, `	if e.watch(0); FAULT {
		e.wait = 0
	}
	return e, nil`}},
	},
	{
		name: "stale-turn-timer", what: "the timer of an earlier turn ends a later one",
		pkg: "actors", tests: "TestG24_DeadlinesOfMutations",
		edits: []edit{{"actors/turn.go", `if left := time.Until(deadline); left > 0 || t == nil {`, `if left := time.Until(deadline); left > 0 && !FAULT || t == nil {`}},
	},
	{
		name: "deadline-ignored", what: "a mutation that overruns keeps the turn",
		pkg: "actors", tests: "TestG24_DeadlinesOfMutations",
		edits: []edit{{"actors/turn.go", `if s.holder == nil {`, `if s.holder == nil || FAULT {`}},
	},
	{
		name: "start-before-durable", what: "a claim is released before it is durable",
		pkg: "actors", tests: "TestG4_NothingBeginsBeforeItsClaimIsDurable",
		edits: []edit{{"actors/commit.go", `s.submit(tx, runs, reply)`, `if FAULT {
		s.noteCommitted(&committed{runs: runs})
		runs.claimed = nil
	}
	s.submit(tx, runs, reply)`}},
	},
	{
		name: "complete-in-second-commit", what: "a mutation's effects and its job's end are two commits",
		pkg: "actors", tests: "TestG3_ScheduledMutationsAreExactlyOnceAtEveryCommit",
		edits: []edit{{"actors/turn.go", `if s.runs.get(r.job.ID) == r {`, `if FAULT {
		sys, self := s.eng.sys, s.self
		s.commit(t.tx, t.cancelings, func(error) { sys.tell(self, &jobEnded{ending{run: r}}) })
		return
	}
	if s.runs.get(r.job.ID) == r {`}, {"actors/turnbatch.go", `inserted := t.tx.Inserted()`, `if FAULT && t.inv.job != nil {
		return false
	}
	inserted := t.tx.Inserted()`}},
	},
	{
		name: "claims-not-recovered", what: "claims that a crash cut off are forgotten",
		pkg: "actors", tests: "TestG13_OrderAfterACrash",
		edits: []edit{{"actors/recovery.go", `	s.runs.keepLost(jobs)`, `	if FAULT {
		jobs = nil
	}
	s.runs.keepLost(jobs)`}},
	},
	{
		name: "no-reload", what: "the state is not read again after a commit error",
		pkg: "actors", tests: "TestG6_AFailedCommitIsReportedAndOvercome",
		edits: []edit{{"actors/recovery.go", `	s.move(stateLost)
`, `	if FAULT {
		return
	}
	s.move(stateLost)
`}},
	},
	{
		name: "undrawn-arrow", what: "an app goes from phase to phase as nothing draws it",
		pkg: "actors", tests: "TestAPhaseThatIsNotDrawnIsRefused",
		edits: []edit{{"actors/phase.go", `		panic(fmt.Sprintf(`, `		if FAULT {
			return
		}
		panic(fmt.Sprintf(`}},
	},
	{
		name: "begun-before-durable", what: "a handler begins while the claim of its job is on its way to the disk",
		pkg: "actors", tests: "TestNoHandlerBegins",
		edits: []edit{{"actors/runphase.go", `case e == handlerBegins && (p == runQueued`, `case e == handlerBegins && (p == runQueued || FAULT && p == runClaimed`}},
	},
	{
		name: "at-most-once-forgotten", what: "the claim of an at-most-once job counts as not durable",
		pkg: "actors", tests: "TestG4_AtMostOnceInterruptedIsFailedAndNeverRunAgain",
		edits: []edit{{"actors/recovery.go", `crashed := !s.store.Ours(job.ClaimID())`, `crashed := !s.store.Ours(job.ClaimID()) && !(FAULT && job.AtMostOnce)`}},
	},
	{
		name: "lost-ends-shared", what: "what an app that has stopped knows of lost ends is that of the next one, too, without its lock",
		pkg: "actors", tests: "TestLostEndsAreHandedOver",
		edits: []edit{{"actors/runs.go", `	return maps.Clone(rs.lost)
`, `	if FAULT {
		return rs.lost
	}
	return maps.Clone(rs.lost)
`}},
	},
	{
		name: "lost-end-forgotten", what: "an attempt whose end was lost with a failed commit is not counted",
		pkg: "actors", tests: "TestG5_AnAttemptWhoseEndWasLostIsCounted",
		edits: []edit{{"actors/runs.go", `rs.unlist(r)
	}
	if !r.phase.begun() {`, `rs.unlist(r)
	}
	if !r.phase.begun() || FAULT {`}},
	},
	{
		name: "lost-end-gone-with-its-app", what: "an attempt whose end was lost is forgotten when its app is held and opened anew",
		pkg: "actors", tests: "TestG4_ALostEndIsKnownToTheAppOpenedAnew",
		edits: []edit{{"actors/directory.go", `if lost := d.lost[id]; lost != nil {`, `if lost := d.lost[id]; lost != nil && !FAULT {`}},
	},
	{
		name: "foreign-claim-uncharged", what: "a claim of another incarnation counts as one whose handler never began",
		pkg: "actors", tests: "TestG5_AttemptsAreCountedOverCrashes",
		edits: []edit{{"storage/claimid.go", `return id.Incarnation == a.vol.claims.incarnation`, `return id.Incarnation == a.vol.claims.incarnation || FAULT`}},
	},
	{
		name: "own-claim-charged", what: "a claim of ours whose handler never began counts as an attempt",
		pkg: "actors", tests: "TestG5_AVolumeThatFailsCostsNoAttemptThatHasNotBegun",
		edits: []edit{{"actors/recovery.go", ` lost {`, ` lost || FAULT {`}},
	},
	{
		name: "end-not-written-again", what: "an attempt that has ended while the log was away counts as interrupted",
		pkg: "actors", tests: "TestG44_WhatReturnedWhileTheLogWasAwayIsWrittenDown",
		edits: []edit{{"actors/recovery.go", `if known != nil && job.Answer() == nil {`, `if known != nil && job.Answer() == nil && !FAULT {`}},
	},
	{
		name: "end-known-too-late", what: "how an attempt has ended is not kept before it is on its way to the log",
		pkg: "actors", tests: "TestG6_AnEndIsWrittenDownWhenTheVolumeIsBack",
		edits: []edit{{"actors/outcome.go", `	if !end.unbegun {
		r.ending`, `	if !end.unbegun && !FAULT {
		r.ending`}},
	},
	{
		name: "end-queued-twice", what: "the end of a mutation that was lost stays in the queue, and comes into it again",
		pkg: "actors", tests: "TestG6_AnEndIsWrittenDownWhenTheVolumeIsBack",
		edits: []edit{{"actors/recovery.go", `return s.runs.get(e.run.job.ID) != e.run })`, `return !FAULT && s.runs.get(e.run.job.ID) != e.run })`}},
	},
	{
		name: "end-told-again", what: "each try to write an end down tells the engine's log of it",
		pkg: "actors", tests: "TestG6_AnEndIsToldOnceHoweverOftenItIsWrittenDown",
		edits: []edit{{"actors/outcome.go", `if r.told {`, `if r.told && !FAULT {`}},
	},
	{
		name: "imported-claim-ours", what: "a claim that an import has brought counts as one of this store",
		pkg: "actors", tests: "TestG26_ExportWhileRunning",
		edits: []edit{{"storage/transfer.go", `if tag(e.Key[0]) == tagClaim {`, `if tag(e.Key[0]) == tagClaim && !FAULT {`}},
	},
	{
		name: "unreadable-claim-hides-its-job", what: "a job whose claim cannot be read is not recovered",
		pkg: "storage", tests: "TestG37_AClaimThatCannotBeReadIsForeign",
		edits: []edit{{"storage/jobs.go", `			job.claim, job.claimBegin = id, begin
		} // else`, `			job.claim, job.claimBegin = id, begin
		} else if FAULT {
			continue
		} // else`}},
	},
	{
		name: "token-used-again", what: "two claims of a process have one name",
		pkg: "actors", tests: "TestG4_ARetryByHandIsNotTakenForTheAttemptBefore",
		edits: []edit{{"storage/claimid.go", `return ClaimID{c.incarnation, c.latest.Add(1)}`, `if FAULT {
		return ClaimID{c.incarnation, 1}
	}
	return ClaimID{c.incarnation, c.latest.Add(1)}`}},
	},
	{
		name: "at-most-once-retried", what: "an at-most-once job is retried",
		pkg: "actors", tests: "TestG4_AtMostOnceIsNotRetried",
		edits: []edit{{"actors/outcome.go", `if dispatch.IsPermanent(end.err) || r.job.AtMostOnce {`, `if FAULT && r.job.AtMostOnce {
		r.job.AtMostOnce, r.job.Retry = false, nil
	}
	if dispatch.IsPermanent(end.err) || r.job.AtMostOnce {`}},
	},
	{
		name: "retry-at-once", what: "a retry does not wait",
		pkg: "actors", tests: "TestG5_RetryLadder",
		edits: []edit{{"actors/outcome.go", `dueAfter(at.wall, wait)`, `dueAfter(at.wall, map[bool]time.Duration{false: wait}[FAULT])`}},
	},
	{
		name: "function-retry-ignored", what: "a function's own retry policy is not looked at",
		pkg: "actors", tests: "TestG5_AFunctionsOwnRetry",
		edits: []edit{{"dispatch/retry.go", `if fn, ok := r.Lookup(path); ok && fn.Retry != nil {`, `if fn, ok := r.functions[path]; ok && fn.Retry != nil && !FAULT {`}},
	},
	{
		name: "jitter-forgotten", what: "jobs that failed together are retried together, jitter or not",
		pkg: "actors", tests: "TestG5_RetriesWithJitterAreSpread",
		edits: []edit{{"dispatch/retry.go", `if !p.Jitter || wait <= 0 {`, `if !p.Jitter || wait <= 0 || FAULT {`}},
	},
	{
		name: "close-judged-by-error", what: "only an error that wraps context.Canceled counts as cut off by Close",
		pkg: "actors", tests: "TestG5_WhatTheEngineEndsIsInterrupted",
		edits: []edit{{"actors/cause.go", `case cut != nil:`, `case cut != nil && FAULT && !errors.Is(err, context.Canceled):
		return err
	case cut != nil:`}},
	},
	{
		name: "deadline-judged-by-error", what: "what a handler returns past its deadline is taken for the reason",
		pkg: "actors", tests: "TestG5_WhatADeadlineEndsIsDeadlineExceeded",
		edits: []edit{{"actors/cause.go", `case errors.Is(cause, context.DeadlineExceeded):`, `case errors.Is(cause, context.DeadlineExceeded) && !FAULT:`}},
	},
	{
		name: "panic-not-a-failure", what: "a panic while the engine closes spends nothing",
		pkg: "actors", tests: "TestG5_WhatTheEngineEndsIsInterrupted",
		edits: []edit{{"actors/cause.go", `|| errors.As(err, &panicked) {`, `|| errors.As(err, &panicked) && !FAULT {`}},
	},
	{
		name: "cut-off-is-crash", what: "an attempt that Close leaves behind counts as cut off by a crash",
		pkg: "actors", tests: "TestG5_TenDeploysInARowKillNoJob",
		edits: []edit{{"actors/drain.go", `if !s.phase().read() || s.eng.aborted.Load()`, `if FAULT || !s.phase().read() || s.eng.aborted.Load()`}},
	},
	{
		name: "waiting-is-an-attempt", what: "a mutation that Close finds waiting for the turn has had an attempt",
		pkg: "actors", tests: "TestG5_TenDeploysInARowKillNoJob",
		edits: []edit{{"actors/outcome.go", ` !was.begun())`, ` !was.begun() && !FAULT)`}},
	},
	{
		name: "volume-failure-charged", what: "an action that a volume failed spends an attempt",
		pkg: "actors", tests: "TestG5_AnActionThatAVolumeFailedIsInterrupted",
		edits: []edit{{"actors/invocation.go", `case volumeFailed(err):`, `case volumeFailed(err) && !FAULT:`}},
	},
	{
		name: "close-in-two-stages", what: "Close waits one grace for what runs and another for the handlers",
		pkg: "actors", tests: "TestG26_CloseIsBoundedByItsContextAndOneGrace",
		edits: []edit{{"actors/engine.go", `	return e.stop(e.store.Close, over)`, `	if FAULT {
		over, forget = e.grace()
		defer forget()
	}
	return e.stop(e.store.Close, over)`}},
	},
	{
		name: "unkept-result-fails", what: "a job whose result is too large fails, and is retried with its effects",
		pkg: "actors", tests: "TestG5_AResultThatCannotBeKeptIsASuccess",
		edits: []edit{{"dispatch/invoke.go", `if f.env.NotKept != nil {`, `if f.env.NotKept != nil && !FAULT {`}},
	},
	{
		name: "nested-result-dropped", what: "a function that a job runs hands on nothing in place of a result that is too large",
		pkg: "actors", tests: "TestG5_WhatRepeatingDoesNotMendIsNotRetried",
		edits: []edit{{"dispatch/frame.go", `	env.NotKept = nil //`, `	if FAULT {
		env.Depth++
		return fn, env, nil
	}
	env.NotKept = nil //`}},
	},
	{
		name: "too-large-retried", what: "a value that is too large is tried again and again",
		pkg: "actors", tests: "TestG5_WhatRepeatingDoesNotMendIsNotRetried",
		edits: []edit{{"dispatch/args.go", `what, size, limit), permanent: true,`, `what, size, limit), permanent: !FAULT,`}},
	},
	{
		name: "poison-for-ever", what: "a job that crashes the process is run for ever",
		pkg: "actors", tests: "TestG5_MaxInterruptions",
		edits: []edit{{"actors/outcome.go", `case crashed && job.Interruptions+1 >= app.eng.opts.MaxInterruptions:`, `case crashed && job.Interruptions+1 >= app.eng.opts.MaxInterruptions && !FAULT:`}},
	},
	{
		name: "begin-not-logged", what: "a job that a crash has found claimed begins though its claim says that it has not",
		pkg: "actors", tests: "TestG5_ACrashCostsNothingThatHasNotBegun",
		edits: []edit{{"actors/release.go", `if r.job.ClaimBegin() == storage.BeginAwaited {`, `if r.job.ClaimBegin() == storage.BeginAwaited && !FAULT {`}},
	},
	{
		name: "claim-tells-nothing", what: "a claim tells nothing though a crash has found the job claimed before",
		pkg: "actors", tests: "TestG5_ACrashCostsNothingThatHasNotBegun",
		edits: []edit{{"storage/jobs.go", `job.logsBegin() {`, `job.logsBegin() && !FAULT {`}},
	},
	{
		name: "unbegun-counts", what: "a crash counts against a job whose claim says that it has not begun",
		pkg: "actors", tests: "TestG5_ACrashCostsNothingThatHasNotBegun",
		edits: []edit{{"actors/recovery.go", `crashed && job.ClaimBegin() != storage.BeginAwaited ||`, `crashed && (FAULT || job.ClaimBegin() != storage.BeginAwaited) ||`}},
	},
	{
		name: "first-crash-counts", what: "a crash counts against a job of which nothing tells whether it had begun",
		pkg: "actors", tests: "TestG5_ACrashCostsNothingThatHasNotBegun",
		edits: []edit{{"actors/outcome.go", `unsure := crashed && job.ClaimBegin()`, `unsure := !FAULT && crashed && job.ClaimBegin()`}},
	},
	{
		name: "begins-beyond-permits", what: "more jobs are said to begin than there are permits for",
		pkg: "actors", tests: "TestG5_ACrashCostsNothingThatHasNotBegun",
		edits: []edit{{"actors/release.go", `s.nearing++`, `s.nearing += map[bool]int{false: 1}[FAULT]`}},
	},
	{
		name: "stuck-forgotten", what: "a job runs again beside a handler that was given up",
		pkg: "actors", tests: "TestG5_NeverTwoAtOnceThoughAHandlerWasGivenUp",
		edits: []edit{{"actors/stuck.go", `return app.runs.anyLeft() && (`, `return !FAULT && app.runs.anyLeft() && (`}},
	},
	{
		name: "mutation-runs-beside-itself", what: "a mutation is tried again beside its handler, which hangs",
		pkg: "actors", tests: "TestG5_AJobWaitsForItsStuckHandler",
		edits: []edit{{"actors/turn.go", `	s.leaveCall(t.inv, true, s.eng.opts.Grace)`, `	if !FAULT {
		s.leaveCall(t.inv, true, s.eng.opts.Grace)
	}`}},
	},
	{
		name: "stuck-without-bound", what: "handlers that hang are begun without end",
		pkg: "actors", tests: "TestG17_StuckHandlersAreBounded",
		edits: []edit{{"actors/stuck.go", `if n < maxStuck || of == 0 {`, `if n < maxStuck || of == 0 || FAULT {`}},
	},
	{
		name: "stuck-overlaps", what: "a tick is begun beside a stuck one, whatever its policy",
		pkg: "actors", tests: "TestG19_OverlapWithAStuckHandler",
		edits: []edit{{"actors/overlaps.go", `if t.Overlap == storage.OverlapReplace {`, `if FAULT {
		return 0
	}
	if t.Overlap == storage.OverlapReplace {`}},
	},
	{
		name: "replaced-runs-on", what: "a tick begins beside the one that it replaces",
		pkg: "actors", tests: "TestG19_ReplaceWaitsForTheHandler",
		edits: []edit{{"actors/ticks.go", `if leaving > 0 {`, `if leaving > 0 && !FAULT {`}},
	},
	{
		name: "abandon-forgets-nothing", what: "a job waits for its stuck handler though a person has abandoned it",
		pkg: "actors", tests: "TestG5_AbandonLetsAJobGoOn",
		edits: []edit{{"actors/stuck.go", `			list = append(list, l.StuckHandler)
			delete(rs.left, h)`, `			list = append(list, l.StuckHandler)
			if !FAULT {
				delete(rs.left, h)
			}`}},
	},
	{
		name: "claims-without-bytes", what: "claims made ahead are bounded by their number only",
		pkg: "actors", tests: "TestG24_ClaimsAheadAreBoundedInBytes",
		edits: []edit{{"actors/claims.go", `c.bytes+claimSize(job) <= most.bytes`, `(c.bytes+claimSize(job) <= most.bytes || FAULT)`}},
	},
	{
		name: "panic-of-the-directory-is-internal", what: "an app whose records make the directory panic is refused as internal",
		pkg: "actors", tests: "TestG37_APanicWhereAnAppIsOpenedIsDataLoss",
		edits: []edit{{"actors/directory.go", `err = fmt.Errorf("%w: %w", storage.ErrCorrupt, fault)`, `if err = fault; !FAULT {
			err = fmt.Errorf("%w: %w", storage.ErrCorrupt, fault)
		}`}},
	},
	{
		name: "abandon-takes-all-calls", what: "who abandons one stuck call abandons all of the app's",
		pkg: "actors", tests: "TestG17_AStuckCallCanBeAbandoned",
		edits: []edit{{"actors/stuck.go", `l.Job == job && l.Call == call && h.move`, `l.Job == job && (l.Call == call || FAULT && call != "") && h.move`}},
	},
	{
		name: "close-waits-for-stuck", what: "Close waits for stuck handlers as long as for those that run",
		pkg: "actors", tests: "TestG26_StuckHandlersKeepNobody",
		edits: []edit{{"actors/engine.go", `e.handlers.wait(false, e.directory.gone)`, `e.handlers.wait(FAULT, e.directory.gone)`}},
	},
	{
		name: "hook-never-given-up", what: "a hook that hangs keeps its job running for ever",
		pkg: "actors", tests: "TestG17_AHookThatHangsIsStuck",
		edits: []edit{{"actors/runner.go", `if over.CompareAndSwap(false, true) {`, `if !FAULT && over.CompareAndSwap(false, true) {`}},
	},
	{
		name: "canceled-runs-on", what: "a canceled action is not told",
		pkg: "actors", tests: "TestG10_CancelOfARunningAction",
		edits: []edit{{"actors/commit.go", `var undecided []*run`, `if FAULT {
		stop = nil
	}
	var undecided []*run`}},
	},
	{
		name: "slot-in-utc", what: "a handler is told its slot in UTC",
		pkg: "actors", tests: "TestG19_ASlotIsToldInItsZone",
		edits: []edit{{"actors/ticks.go", `schedule, err := p.schedule(&t); err == nil {
			tick.Slot`, `schedule, err := p.schedule(&t); err == nil && !FAULT {
			tick.Slot`}},
	},
	{
		name: "bulk-of-one-page", what: "a bulk operation ends with its first transaction",
		pkg: "actors", tests: "TestG8_BulkByFilter",
		edits: []edit{{"actors/bulk.go", `		case page.Next != "":`, `		case FAULT:
			return n, nil
		case page.Next != "":`}},
	},
	{
		name: "last-in-first-out", what: "jobs start in the wrong order",
		pkg: "actors", tests: "TestG13_ByDueInstantThenSequence",
		edits: []edit{{"actors/runqueue.go", `return other.job.OvertakenBy(&r.job)`, `if FAULT {
		r, other = other, r
	}
	return other.job.OvertakenBy(&r.job)`}},
	},
	{
		name: "permit-kept-on-panic", what: "the permit of a job that panicked is lost",
		pkg: "actors", tests: "TestG17_NoPermitIsLostHoweverAJobEnds",
		edits: []edit{{"actors/outcome.go", `	was := s.end(r)
`, `	if FAULT && errors.As(end.err, new(*dispatch.PanicError)) {
		s.started++
	}
	was := s.end(r)
`}},
	},
	{
		name: "permits-ignored", what: "jobs start without a permit",
		pkg: "actors", tests: "TestG16_CapsAreReachedAndNotExceeded",
		edits: []edit{{"actors/release.go", `if s.started+s.nearing >= s.permits {`, `if s.started+s.nearing >= s.permits && !FAULT {`}},
	},
	{
		name: "batch-keeps-its-prefix", what: "a batch that was refused within a mutation leaves the jobs before the one at fault",
		pkg: "actors", tests: "TestG30_ABatchWithinAMutation",
		edits: []edit{{"dispatch/batch.go", `	err = s.w.Nested(func(w storage.JobWriter) (err error) {`, `	nested := s.w.Nested
	if FAULT {
		nested = func(fn func(storage.JobWriter) error) error { return fn(s.w) }
	}
	err = nested(func(w storage.JobWriter) (err error) {`}},
	},
	{
		name: "batch-in-pieces", what: "a batch of the host is committed though a call of it is refused",
		pkg: "actors", tests: "TestG30_ABatchIsAllOrNothing",
		edits: []edit{{"actors/app.go", `		told, err = dispatch.InsertMany(tx.Bounded(&app.limits.TxLimits), jobs)
		return err`, `		told, err = dispatch.InsertMany(tx.Bounded(&app.limits.TxLimits), jobs)
		if FAULT {
			return nil
		}
		return err`}},
	},
	{
		name: "bulk-tells-too-much", what: "a bulk operation counts what is not durable",
		pkg: "actors", tests: "TestG30_CancelManyAtEveryCommit",
		edits: []edit{{"actors/bulk.go", `			err := b.do(s.ctx, s.app, nil, func(tx *storage.Tx) error {`, `			if FAULT {
				n += len(jobs)
			}
			err := b.do(s.ctx, s.app, nil, func(tx *storage.Tx) error {`}},
	},
	{
		name: "app-limits-ignored", what: "every app has the limits of the options",
		pkg: "actors", tests: "TestG24_LimitsOfOneApp",
		edits: []edit{{"actors/applimits.go", `if e.opts.AppLimits == nil {`, `if e.opts.AppLimits == nil || FAULT {`}},
	},
	{
		name: "app-limit-off", what: "an app may take all permits of the engine",
		pkg: "actors", tests: "TestG16_CapsAreReachedAndNotExceeded",
		edits: []edit{{"actors/permits.go", `want = min(want, s.limits.Concurrency)`, `if !FAULT {
		want = min(want, s.limits.Concurrency)
	}`}},
	},
	{
		name: "permits-not-shared", what: "a busy app never gives a permit back",
		pkg: "actors", tests: "TestG18_ANoisyAppStarvesNoOther",
		edits: []edit{{"actors/permits.go", `if s.eng.broker.contended.Load() {`, `if s.eng.broker.contended.Load() && !FAULT {`}},
	},
	{
		name: "claims-counted-again", what: "the claims of an app whose actor was restarted are counted once more",
		pkg: "actors", tests: "TestG24_ClaimsOfAnAppThatIsRestartedAreCountedOnce",
		edits: []edit{{"actors/scheduler.go", `		s.uncountClaims()
		s.close(&dispatch.Error`, `		if !FAULT {
			s.uncountClaims()
		}
		s.close(&dispatch.Error`}},
	},
	{
		name: "claimant-forgotten", what: "an app that got some of the permits it asked for gets no more",
		pkg: "actors", tests: "TestG18_ANoisyAppStarvesNoOther",
		edits: []edit{{"actors/broker.go", `if w.n -= n; w.n > 0 {`, `if w.n -= n; w.n > 0 && !FAULT {`}},
	},
	{
		name: "identity-dropped", what: "a job runs anonymously, whatever identity was recorded",
		pkg: "actors", tests: "TestG25_AJobRunsAsTheIdentityRecorded",
		edits: []edit{{"actors/runner.go", `id, err := eng.opts.Reauthorize(ctx, r.app.id, stored)
	if err == nil {`, `id, err := eng.opts.Reauthorize(ctx, r.app.id, stored)
	if err == nil && !FAULT {`}},
	},
	{
		name: "next-slot-from-now", what: "the next slot is worked out from now",
		pkg: "actors", tests: "TestG22_ShortStallsMissNothing",
		edits: []edit{{"actors/internal/ticks/decide.go", `if last := c.Schedule.Last(slot, c.Wall.Add(-c.Jitter)); c.Waited && !last.IsZero() {`, `if FAULT {
		d.Wind = c.Wall
	}
	if last := c.Schedule.Last(slot, c.Wall.Add(-c.Jitter)); c.Waited && !last.IsZero() {`}},
	},
	{
		name: "no-catch-up-policy", what: "slots that were missed are run one after the other",
		pkg: "actors", tests: "TestG22_CatchUpPolicies",
		edits: []edit{{"actors/internal/ticks/decide.go", `if !c.Waited && c.late() {`, `if !c.Waited && c.late() && !FAULT {`}},
	},
	{
		name: "overlap-ignored", what: "a tick starts though one of its trigger runs",
		pkg: "actors", tests: "TestG19_OverlapPolicies",
		edits: []edit{{"actors/internal/ticks/decide.go", `case reason == "":`, `case reason == "" || FAULT:`}},
	},
	{
		name: "stale-tick-runs", what: "a tick of an old definition runs",
		pkg: "actors", tests: "TestG22_NoRunOfTheOldSpecAfterAnEdit",
		edits: []edit{{"actors/internal/ticks/decide.go", `case reason != "":`, `case reason != "" && !FAULT:`}},
	},
	{
		name: "retry-overtaken", what: "a tick starts though an older one waits for its retry",
		pkg: "actors", tests: "TestG19_AFailingTickHoldsUpLaterTicksOfItsTriggerOnly",
		edits: []edit{{"actors/internal/ticks/decide.go", `	case !c.Retry.IsZero():`, `	case !c.Retry.IsZero() && !FAULT:`}},
	},
	{
		name: "retry-into-next", what: "a tick is retried by default though its trigger's next slot has come",
		pkg: "actors", tests: "TestG19_ByDefaultATickIsRetriedBeforeTheNextSlotOnly",
		edits: []edit{{"actors/overlaps.go", `if job.Slot.IsZero() || job.Retry != nil {`, `if job.Slot.IsZero() || job.Retry != nil || FAULT {`}},
	},
	{
		name: "half-judged", what: "what was written before an error of judging a tick stays",
		pkg: "actors", tests: "TestG19_ATriggerPassesAnyNumberOfSlotsThatAreTaken",
		edits: []edit{
			{"actors/ticks.go", `case errors.Is(err, storage.ErrExists):`, `case !FAULT && errors.Is(err, storage.ErrExists):`},
			{"actors/claims.go", `err := tx.JobWriter().Nested(func(w storage.JobWriter) (err error) {`, `nested := tx.JobWriter().Nested
	if FAULT {
		nested = func(fn func(storage.JobWriter) error) error { return fn(tx.JobWriter()) }
	}
	err := nested(func(w storage.JobWriter) (err error) {`},
		},
	},
	{
		name: "paused-ticks", what: "a paused trigger ticks",
		pkg: "actors", tests: "TestG22_RunTimeAPI",
		edits: []edit{{"actors/crons.go", `if err := c.planner.withdraw(w, &t, ticks.PausedFor(reason), false, c.eng.clock.wall(), c.now); err != nil {`, `if FAULT {
			return w.PutTrigger(&t)
		}
		if err := c.planner.withdraw(w, &t, ticks.PausedFor(reason), false, c.eng.clock.wall(), c.now); err != nil {`}},
	},
	{
		name: "overdue-again-and-again", what: "a trigger that is overdue is warned of again and again",
		pkg: "actors", tests: "TestG19_OverdueIsToldOnce",
		edits: []edit{{"actors/overdue.go", `case !d.told:`, `case !d.told || FAULT:`}},
	},
	{
		name: "cancel-of-the-next-of-its-id", what: "the cancel of a job forgets the run of another one that the transaction gives its id",
		pkg: "actors", tests: "TestG1_AMutationMayGiveTheIDOfAJobItCancels",
		edits: []edit{{"actors/commit.go", `runs.stop = s.applyCancels(tx, cancelings)
	runs.claimed = append(runs.claimed, s.claimInserted(tx)...)`, `var inserted []*run
	if FAULT {
		inserted = s.claimInserted(tx)
	}
	runs.stop = s.applyCancels(tx, cancelings)
	if !FAULT {
		inserted = s.claimInserted(tx)
	}
	runs.claimed = append(runs.claimed, inserted...)`}},
	},
	{
		name: "close-leaves-waker", what: "the store is closed while the waker may read it",
		pkg: "actors", tests: "TestG26_CloseLogsNoErrors",
		edits: []edit{{"actors/engine.go", `<-e.waker.gone`, `if !FAULT {
		<-e.waker.gone
	}`}},
	},
	{
		name: "start-forgotten", what: "a trigger AtStart ticks whenever its app is woken",
		pkg: "actors", tests: "TestG19_ATriggerAtStartTicksOnceInAProcess",
		edits: []edit{
			{"actors/starts.go", `return t.AtStart && t.Started != p.epoch && !t.Unreadable()`, `return t.AtStart && (FAULT || t.Started != p.epoch) && !t.Unreadable()`},
			{"actors/starts.go", `t.Started = p.epoch
	at`, `if !FAULT {
		t.Started = p.epoch
	}
	at`},
		},
	},
	{
		name: "starts-asleep", what: "an app with a trigger AtStart sleeps through the start",
		pkg: "actors", tests: "TestG19_ATriggerAtStartTicksOnceInAProcess",
		edits: []edit{{"actors/waker.go", `w.background = append(w.background, w.eng.declared.starters()...)`, `if !FAULT {
		w.background = append(w.background, w.eng.declared.starters()...)
	}`}},
	},
	{
		name: "old-start-runs", what: "a start that had not begun is run by the next process, too",
		pkg: "actors", tests: "TestG19_AStartThatHasNotBegunIsNotCaughtUp",
		edits: []edit{
			{"actors/starts.go", `if err := p.withdraw(w, t, ticks.StartedAgain, false, wall, now); err != nil {`, `if FAULT {
		return p.wind(w, t, wall, now)
	}
	if err := p.withdraw(w, t, ticks.StartedAgain, false, wall, now); err != nil {`},
			{"actors/internal/ticks/stale.go", `case job.ID != storage.StartID(t.Name, c.Epoch):`, `case job.ID != storage.StartID(t.Name, c.Epoch) && !FAULT:`},
		},
	},
	{
		name: "start-slot-taken", what: "a start at the instant of an earlier one takes that one's place in the log",
		pkg: "actors", tests: "TestG19_AStartAtTheInstantOfAnEarlierOneIsASlot",
		edits: []edit{{"actors/starts.go", `if at.After(t.Decided) {`, `if at.After(t.Decided) || FAULT {`}},
	},
	{
		name: "unbound-unseen", what: "Open does not ask for the handlers of declared references",
		pkg: "actors", tests: "TestOpenTellsAllThatTheProgramsShapeTells",
		edits: []edit{{"dispatch/unbound.go", `case !bound && !r.without[d.What.Path]:`, `case !bound && !r.without[d.What.Path] && !FAULT:`}},
	},
	{
		name: "unlisted-unseen", what: "Open does not ask for tables with indexes that are not listed",
		pkg: "actors", tests: "TestWhatTheProgramDoesNotTakePartInIsNotMissed",
		edits: []edit{{"storage/schema.go", `case len(t.indexes) > 0 && listed == nil:
			errs`, `case len(t.indexes) > 0 && listed == nil && FAULT:
		case len(t.indexes) > 0 && listed == nil:
			errs`}},
	},
	{
		name: "next-without-jitter", what: "the tick that comes next is shown at its slot, whatever its jitter",
		pkg: "actors", tests: "TestG22_NextShowsTheSlotAndTheRun",
		edits: []edit{{"actors/crons.go", `At: schedule.In(at.Add(jitterOf(app, &t)))})`, `At: schedule.In(at.Add(jitterOf(app, &t)))})
		if FAULT {
			info.Upcoming[len(info.Upcoming)-1].At = schedule.In(at)
		}`}},
	},
}
