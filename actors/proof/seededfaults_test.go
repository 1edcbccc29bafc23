package proof_test

// seededFault is a known fault that the build tag seeded plants in the engine,
// and what must find it.
type seededFault struct {
	name  string // as in the source
	what  string
	pkg   string // of the tests
	tests string // regular expression
}

// seededFaults are all of them. docs/reliability.md shows this table.
var seededFaults = []seededFault{
	// storage
	{"nanosecond-keys", "keys hold nanoseconds, which overflow in 2262", "storage", "TestG13_OrderOfIDsAndKeysIsOrderOfPlaces"},
	{"ack-before-durable", "callers are answered before the commit", "storage", "TestG6_NothingIsAcknowledgedAfterACommitError"},
	{"no-sync", "commits are not synced", "storage/internal/kv", "TestG1_NothingIsAcknowledgedBeforeItIsSynced"},
	{"no-dir-sync", "a new file's directory is not synced", "storage/internal/kv", "TestG1_NothingIsAcknowledgedBeforeItIsSynced"},
	{"no-reopen", "a volume is not reopened after a commit error", "actors", "TestG6_AVolumeThatIsDownForAWhile"},
	{"lost-sync-trusted", "what a failed sync has left is not committed again", "storage", "TestG6_WhatAFailedSyncHasLeftIsMadeDurable"},
	{"shown-before-synced", "readers see a commit that is still being synced", "storage", "TestG2_NothingIsShownBeforeItIsSynced"},
	{"meta-not-settled", "a file is written to before the latest commit it shows is known to be durable", "storage", "TestG6_WhatAFailedSyncHasLeftIsMadeDurable"},
	{"alarm-index-stale", "the alarm index keeps an app's first entry", "storage", "TestG8_RetriedDeadJobIsFoundAgain"},
	{"advance-before-insert", "a trigger is advanced in a commit before that of its tick", "actors", "TestG20_CrashAtEveryCommitAroundTicks"},
	{"high-water-not-kept", "the latest scheduler time is not written down", "storage", "TestG15_HighWaterNeverGoesBack"},
	{"epoch-unchecked", "an owner that was replaced goes on committing", "storage", "TestG23_EpochFencesTheOldOwner"},
	{"wrong-app-number", "documents of all apps share the number of the first", "storage", "TestAppsDoNotSeeEachOthersDocuments"},
	{"index-entry-kept", "a changed document keeps its old index entry", "storage", "TestTableReadsItsOwnWrites"},
	{"overlay-hidden", "the next turn does not see what is not yet durable", "storage", "TestG1_AcknowledgedSurvives"},
	{"nested-keeps-writes", "a nested mutation that failed keeps its writes", "actors", "TestG2_NestedMutations"},
	{"rollback-keeps-jobs", "a mutation that failed keeps its jobs", "actors", "TestG9_CancelRollsBack"},
	{"number-given-twice", "the id of a dropped job comes to name another one", "storage", "TestG8_AnIDOfADroppedTransactionIsNotGivenAgain"},
	{"max-jobs-off", "an app may have any number of jobs", "actors", "TestG18_MaxJobs"},
	{"key-of-all-apps", "jobs that two apps have under one id have one idempotency key", "actors", "TestG5_OneIdempotencyKeyThatNoOtherJobHas"},
	{"attempt-not-counted", "attempts are not counted", "actors", "TestG5_AttemptsAreCountedOverCrashes"},
	{"failure-not-counted", "failures are not counted, so retries never end", "actors", "TestG5_AttemptsAreCountedOverCrashes"},
	{"interrupted-is-failure", "an interrupted attempt spends a retry", "actors", "TestG5_AShutdownSpendsNothing"},
	{"cancel-after-end", "a job that has ended can be cancelled", "actors", "TestG8_OnlyLegalChangesOfState"},
	{"cancel-lost-by-retry", "the cancel of a claimed job is acknowledged, and its run goes on", "actors", "TestG10_CancelOfARunningAction"},
	{"canceled-still-counted", "a claim that is cancelled stays in the counters", "storage", "TestG7_JobsAgainstModel"},
	{"purge-early", "history is purged a minute early", "storage", "TestG26_RetentionIsExact"},
	{"deleted-jobs-survive", "a deleted app's jobs stay", "actors", "TestG26_Delete"},
	// actors
	{"skip-rearm", "the alarm is not set again", "actors", "TestG14_TheAlarmFollowsTheEarliestJob"},
	{"alarm-not-moved", "an alarm that is set is not set earlier", "actors", "TestG14_TheAlarmFollowsTheEarliestJob"},
	{"sleep-while-due", "an app falls asleep while it works", "actors", "TestG26_WhatWorksDoesNotSleep"},
	{"wake-lost", "an app that sleeps is not woken", "actors", "TestG14_SleepAndWake"},
	{"clock-step-unnoticed", "nobody looks at the wall after a step of it", "actors", "TestG12_AForwardStepIsNoticedWithinClockCheck"},
	{"no-second-look", "the wall is not read again before a start", "actors", "TestG14_TheAlarmFollowsTheEarliestJob"},
	{"due-by-scheduler-time", "jobs are due by scheduler time", "actors", "TestG11_DueIsByTheWallThoughSchedulerTimeIsAhead"},
	{"stale-turn-timer", "the timer of an earlier turn ends a later one", "actors", "TestG24_DeadlinesOfMutations"},
	{"deadline-ignored", "a mutation that overruns keeps the turn", "actors", "TestG24_DeadlinesOfMutations"},
	{"start-before-durable", "a claim is released before it is durable", "actors", "TestG4_AtMostOnceAtEveryCommit"},
	{"complete-in-second-commit", "a mutation's effects and its job's end are two commits", "actors", "TestG3_ScheduledMutationsAreExactlyOnceAtEveryCommit"},
	{"claims-not-recovered", "claims that a crash cut off are forgotten", "actors", "TestG13_OrderAfterACrash"},
	{"no-reload", "the state is not read again after a commit error", "actors", "TestG6_AFailedCommitIsReportedAndOvercome"},
	{"at-most-once-forgotten", "the claim of an at-most-once job counts as not durable", "actors", "TestG4_AtMostOnceInterruptedIsFailedAndNeverRunAgain"},
	{"attempt-before-due-forgotten", "an attempt that a crash cut off is not counted if the wall shows less than its instant then", "actors", "TestG5_AnAttemptIsCountedThoughTheWallWasSteppedBack"},
	{"lost-end-forgotten", "an attempt whose end was lost with a failed commit is not counted", "actors", "TestG5_AnAttemptWhoseEndWasLostIsCounted"},
	{"attempt-taken-for-another", "a claim that is found after a failed commit is taken for that of another attempt", "actors", "TestG5_AnAttemptWhoseEndWasLostIsCounted"},
	{"at-most-once-retried", "an at-most-once job is retried", "actors", "TestG4_AtMostOnceIsNotRetried"},
	{"retry-at-once", "a retry does not wait", "actors", "TestG5_RetryLadder"},
	{"poison-for-ever", "a job that crashes the process is run for ever", "actors", "TestG5_MaxInterruptions"},
	{"ghosts-forgotten", "a job runs again beside a handler that was given up", "actors", "TestG5_NeverTwoAtOnceThoughAHandlerWasGivenUp"},
	{"canceled-runs-on", "a cancelled action is not told", "actors", "TestG10_CancelOfARunningAction"},
	{"last-in-first-out", "jobs start in the wrong order", "actors", "TestG13_ByDueInstantThenSequence"},
	{"slot-kept-on-panic", "the slot of a job that panicked is lost", "actors", "TestG17_NoSlotIsLostHoweverAJobEnds"},
	{"slots-ignored", "jobs start without a slot", "actors", "TestG16_CapsAreReachedAndNotExceeded"},
	{"app-limit-off", "an app may take all slots of the engine", "actors", "TestG16_CapsAreReachedAndNotExceeded"},
	{"slots-not-shared", "a busy app never gives a slot back", "actors", "TestG18_ANoisyAppStarvesNoOther"},
	{"claimant-forgotten", "an app that got some of the slots it asked for gets no more", "actors", "TestG18_ANoisyAppStarvesNoOther"},
	{"identity-dropped", "a job runs as nobody, whoever was recorded", "actors", "TestG25_AJobRunsAsTheIdentityRecorded"},
	// cron
	{"next-slot-from-now", "the next slot is worked out from now", "actors", "TestG22_ShortStallsMissNothing"},
	{"no-catch-up-policy", "slots that were missed are run one after the other", "actors", "TestG22_CatchUpPolicies"},
	{"overlap-ignored", "a tick starts though one of its trigger runs", "actors", "TestG19_OverlapPolicies"},
	{"stale-tick-runs", "a tick of an old definition runs", "actors", "TestG22_NoRunOfTheOldSpecAfterAnEdit"},
	{"paused-ticks", "a paused trigger ticks", "actors", "TestG22_RunTimeAPI"},
	{"next-is-now", "Next(t) may be t", "cron", "TestG21_StarterTable"},
	{"repeated-hour-twice", "a slot in the hour that is repeated comes twice", "cron", "TestG21_ClockChanges"},
}
