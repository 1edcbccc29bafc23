package seeded_test

// storageFaults are planted in package storage and below it.
var storageFaults = []seededFault{
	{
		name: "relogged-as-latest", what: "a slot whose entry has left the log is told as the latest",
		pkg: "storage", tests: "TestG19_SlotLog",
		edits: []edit{{"storage/trigger.go", `if again && !known {`, `if again && !known && !FAULT {`}},
	},
	{
		name: "claimed-in-lane", what: "a claimed job stays in its lane",
		pkg: "storage", tests: "TestG27_AClaimedJobIsInNoLane",
		edits: []edit{{"storage/jobs.go", `encodeClaim(job.claim, job.claimBegin, job.Attempts+1, tx.now))
	tx.removeLanes(job)`, `encodeClaim(job.claim, job.claimBegin, job.Attempts+1, tx.now))
	if !FAULT {
		tx.removeLanes(job)
	}`}},
	},
	{
		name: "priority-ignored", what: "jobs that wait begin in the order they are due, whatever their priority",
		pkg: "actors", tests: "TestG31_PriorityAmongJobsThatWait",
		edits: []edit{{"storage/lane.go", `	return j.Due.Add(time`, `	if FAULT {
		return j.Due
	}
	return j.Due.Add(time`}},
	},
	{
		name: "priority-without-end", what: "a job of a higher level overtakes one that has waited for an hour",
		pkg: "actors", tests: "TestG31_PriorityAmongJobsThatWait",
		edits: []edit{{"storage/lane.go", `	if a, b := j.Rank(), other.Rank(); !a.Equal(b) {`, `	if FAULT && j.Priority != other.Priority {
		return other.Priority < j.Priority
	}
	if a, b := j.Rank(), other.Rank(); !a.Equal(b) {`}},
	},
	{
		name: "nanosecond-keys", what: "keys hold nanoseconds, which overflow in 2262",
		pkg: "storage", tests: "TestG13_OrderOfIDsAndKeysIsOrderOfPlaces",
		edits: []edit{{"storage/ids.go", `b = binary.BigEndian.AppendUint64(b, uint64(p.ms))`, `if FAULT {
		p.ms *= 1e6
	}
	b = binary.BigEndian.AppendUint64(b, uint64(p.ms))`}, {"storage/ids.go", `	return p
`, `	if FAULT {
		p.ms /= 1e6
	}
	return p
`}},
	},
	{
		name: "high-water-of-all-eras", what: "the high-water mark is not lowered by a step back",
		pkg: "storage", tests: "TestG15_TheHighWaterMarkIsOfTheEraThatLasts",
		edits: []edit{{"storage/eras.go", `		mark = 0 // it is of another era`, `		if mark = 0; FAULT {
			ms = max(ms, int64(getU64(tx.Base(), metaHighWater)))
		}`}},
	},
	{
		name: "ended-by-instant", what: "ended jobs are ordered by the instant they ended",
		pkg: "storage", tests: "TestG15_EndedJobsStandInTheOrderTheyEnded",
		edits: []edit{{"storage/ends.go", `	return int64(c.ended)`, `	if FAULT {
		return ms
	}
	return int64(c.ended)`}},
	},
	{
		name: "slots-by-instant", what: "the slot log is ordered by slot",
		pkg: "storage", tests: "TestG15_SlotsStandInTheOrderTheyWereDecided",
		edits: []edit{{"storage/trigger.go", `	data := encodeSlot(&s, rank)`, `	if FAULT {
		rank = from
	}
	data := encodeSlot(&s, rank)`}},
	},
	{
		name: "ack-before-durable", what: "callers are answered before the commit",
		pkg: "storage", tests: "TestG6_NothingIsAcknowledgedAfterACommitError",
		edits: []edit{{"storage/committer.go", `err := v.commit(batch)`, `if FAULT {
			for _, cs := range batch {
				cs.done(nil)
				cs.done = func(error) {}
			}
		}
		err := v.commit(batch)`}},
	},
	{
		name: "page-trusted", what: "a page is taken for the one that was asked for",
		pkg: "storage/internal/boltfile", tests: "TestG37_APageInAnothersPlace",
		edits: []edit{{"storage/internal/boltfile/page.go", `own := order.Uint64(data); own != id {`, `own := order.Uint64(data); own != id && !FAULT {`}},
	},
	{
		name: "fault-not-caught", what: "a page that cannot be read is a fault of the process",
		pkg: "storage/internal/boltfile", tests: "TestG37_AFileCutOffWhileItIsOpen",
		edits: []edit{{"storage/internal/boltfile/damage.go", `if page, ok := db.faulted(v); ok {`, `if page, ok := db.faulted(v); ok && !FAULT {`}},
	},
	{
		name: "close-waits-for-snapshots", what: "closing a file waits for every snapshot of it",
		pkg: "storage", tests: "TestG26_CloseOverALeakedSnapshot",
		edits: []edit{{"storage/internal/boltfile/file.go", `late := time.NewTimer(CloseWait)`, `late := time.NewTimer(CloseWait)
	if FAULT {
		late.Reset(time.Hour)
	}`}},
	},
	{
		name: "damage-of-one-fails-all", what: "damage of one app's pages takes its whole volume down",
		pkg: "storage", tests: "TestG37_ADamagedPageOfOneApp",
		edits: []edit{{"storage/committer.go", `if errors.Is(err, kv.ErrDamaged) {
		return &appError`, `if errors.Is(err, kv.ErrDamaged) && !FAULT {
		return &appError`}},
	},
	{
		name: "no-backoff", what: "commits that keep failing are tried again at once",
		pkg: "storage", tests: "TestG23_BackoffOfAVolumeThatKeepsFailing",
		edits: []edit{{"storage/backoff.go", `b.until = now.Add(`, `if FAULT {
			return
		}
		b.until = now.Add(`}},
	},
	{
		name: "damaged-tick-leaves-backlog", what: "a damaged tick that is taken out leaves its entry in the backlog of its trigger",
		pkg: "storage", tests: "TestG7_ADamagedTickLeavesNoBacklog",
		edits: []edit{{"storage/trigger.go", `for _, key := range stray {`, `for _, key := range stray {
		if FAULT {
			break
		}`}},
	},
	{
		name: "damaged-tick-stays", what: "a pending tick whose record is damaged cannot be taken out, nor its trigger deleted",
		pkg: "actors", tests: "TestG37_ADamagedTriggerCanBeDeleted",
		edits: []edit{{"storage/trigger.go", `job = Job{ID: id, Priority: DefaultPriority, place: p} // nothing can run it`, `if FAULT {
			return false, err
		}
		job = Job{ID: id, Priority: DefaultPriority, place: p}`}},
	},
	{
		name: "one-success-is-up", what: "one commit that succeeds ends the back-off of a volume, as on a full disk every other one does",
		pkg: "storage", tests: "TestG23_BackoffOfAVolumeWhereSmallCommitsSucceed",
		edits: []edit{{"storage/backoff.go", `b.failures == 0 || time.Since(b.last) < calm {`, `b.failures == 0 || time.Since(b.last) < calm && !FAULT {`}},
	},
	{
		name: "replaced-file-served", what: "a volume whose file was replaced goes on",
		pkg: "storage", tests: "TestG37_DamageThatEveryCommitNeeds",
		edits: []edit{{"storage/internal/boltfile/file.go", `err == nil && !os.SameFile(info, db.info)`, `err == nil && !os.SameFile(info, db.info) && !FAULT`}},
	},
	{
		name: "alarms-end-at-a-lost-volume", what: "apps of the volumes behind one that is down are not woken",
		pkg: "storage", tests: "TestG37_AVolumeDamagedWhenOpened",
		edits: []edit{{"storage/store.go", `errs = append(errs, err)
	}
	return errors.Join(errs...)
}`, `if errs = append(errs, err); FAULT && err != nil {
			break
		}
	}
	return errors.Join(errs...)
}`}},
	},
	{
		name: "no-sync", what: "commits are not synced",
		pkg: "storage/internal/boltfile", tests: "TestG1_NothingIsAcknowledgedBeforeItIsSynced",
		edits: []edit{{"storage/internal/boltfile/file.go", `NoSync:          opts.NoSync,`, `NoSync:          opts.NoSync || FAULT,`}},
	},
	{
		name: "no-dir-sync", what: "a new file's directory is not synced",
		pkg: "storage/internal/boltfile", tests: "TestG1_NothingIsAcknowledgedBeforeItIsSynced",
		edits: []edit{{"storage/internal/osdir/lock_unix.go", `f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join`, `if FAULT {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join`}},
	},
	{
		name: "no-reopen", what: "a volume is not reopened after a commit error",
		pkg: "actors", tests: "TestG6_AVolumeThatIsDownForAWhile",
		edits: []edit{{"storage/volume.go", `func (v *volume) reopen() error {
	v.mu.Lock()
	defer v.mu.Unlock()`, `func (v *volume) reopen() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.db != nil && FAULT {
		return nil
	}`}},
	},
	{
		name: "short-key-panics", what: "a key that damage has made shorter is taken apart as if it were whole",
		pkg: "storage", tests: "TestG37_AKeyOfAnotherLengthSpoilsNoListing",
		edits: []edit{{"storage/ids.go", `copy(whole[:], b)`, `if FAULT {
		_ = b[placeLen-1]
	}
	copy(whole[:], b)`}},
	},
	{
		name: "meta-not-settled", what: "a file is written to before the latest commit it shows is known to be durable",
		pkg: "storage/internal/boltfile", tests: "TestG6_WhatAFileShowsIsMadeDurableWhenItIsOpened",
		edits: []edit{{"storage/internal/boltfile/commit.go", `	if db.bolt.NoSync {`, `	if db.bolt.NoSync || FAULT {`}},
	},
	{
		name: "alarm-index-behind", what: "the alarm index looks for a job that comes first only where the last one was",
		pkg: "storage", tests: "TestG14_TheAlarmFollowsTheFirstJob",
		edits: []edit{{"storage/committer.go", `if put != "" {`, `if put != "" && !FAULT {`}},
	},
	{
		name: "alarm-index-stale", what: "the alarm index keeps an app's first entry",
		pkg: "storage", tests: "TestG8_RetriedDeadJobIsFoundAgain",
		edits: []edit{{"storage/committer.go", `if due == f.alarm {`, `if due == f.alarm || f.alarm != 0 && FAULT {`}},
	},
	{
		name: "advance-before-insert", what: "a trigger is advanced in a commit before that of its tick",
		pkg: "actors", tests: "TestG20_CrashAtEveryCommitAroundTicks",
		edits: []edit{{"storage/committer.go", `var key []byte
	err := v.update(`, `if FAULT {
		err := v.update(func(tx *kv.Txn) error {
			for _, w := range writes {
				if tag(w.key[numberLen]) != tagTrigger || w.deleted {
					continue
				}
				if err := tx.Put(kv.Data, []byte(w.key), w.value); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			err = v.fault("committed")
		}
		if err != nil {
			return err
		}
	}
	var key []byte
	err := v.update(`}},
	},
	{
		name: "high-water-not-kept", what: "the latest instant is not written down",
		pkg: "storage", tests: "TestG15_HighWaterIsKnownAfterAReopen",
		edits: []edit{{"storage/eras.go", `	if ms <= mark {`, `	if ms <= mark || FAULT {`}},
	},
	{
		name: "epoch-unchecked", what: "an owner that was replaced goes on committing",
		pkg: "storage", tests: "TestG23_EpochFencesTheOldOwner",
		edits: []edit{{"storage/volume.go", `if e := getU64(tx.Base(), metaEpoch); e != v.epoch {`, `if e := getU64(tx.Base(), metaEpoch); e != v.epoch && !FAULT {`}},
	},
	{
		name: "wrong-app-number", what: "documents of all apps share the number of the first",
		pkg: "storage", tests: "TestAppsDoNotSeeEachOthersDocuments",
		edits: []edit{{"storage/index.go", `return append(append(n.prefix(tagDocument), table...), 0)`, `if FAULT {
		n = 1
	}
	return append(append(n.prefix(tagDocument), table...), 0)`}},
	},
	{
		name: "index-entry-kept", what: "a changed document keeps its old index entry",
		pkg: "storage", tests: "TestTableReadsItsOwnWrites",
		edits: []edit{{"storage/index.go", `if before[i] != nil {`, `if before[i] != nil && !FAULT {`}},
	},
	{
		name: "overlay-hidden", what: "the next turn does not see what is not yet durable",
		pkg: "storage", tests: "TestG1_AcknowledgedSurvives",
		edits: []edit{{"storage/tx.go", `return tx.app.overlay.get(key)`, `if FAULT {
		return write{}, false
	}
	return tx.app.overlay.get(key)`}},
	},
	{
		name: "nested-keeps-writes", what: "a nested mutation that failed keeps its writes",
		pkg: "actors", tests: "TestG2_NestedMutations",
		edits: []edit{{"storage/tx.go", `if !joined {`, `if !joined && !FAULT {`}},
	},
	{
		name: "rollback-keeps-jobs", what: "a mutation that failed keeps its jobs",
		pkg: "actors", tests: "TestG9_CancelRollsBack",
		edits: []edit{{"storage/tx.go", `}
	tx.over = true
	tx.app.tx = nil
	tx.unpin()`, `}
	tx.over = true
	tx.app.tx = nil
	tx.unpin()
	if FAULT {
		tx.app.enqueue(tx.layers[0], &changeSet{era: tx.era, at: tx.now, done: func(error) {}})
	}`}},
	},
	{
		name: "number-given-twice", what: "the id of a dropped job comes to name another one",
		pkg: "storage", tests: "TestG8_AnIDOfADroppedTransactionIsNotGivenAgain",
		edits: []edit{{"storage/tx.go", `// Numbers are never assigned twice: an id from a dropped transaction may`, `if FAULT {
		tx.top().counts.seq = tx.app.counts.seq
	}
	// Numbers are never assigned twice: an id from a dropped transaction may`}},
	},
	{
		name: "max-jobs-off", what: "an app may have any number of jobs",
		pkg: "actors", tests: "TestG18_MaxJobs",
		edits: []edit{{"storage/jobs.go", `if n := tx.top().counts.pending + tx.top().counts.held; n >= uint64(tx.app.maxJobs.Load()) {`, `if n := tx.top().counts.pending + tx.top().counts.held; n >= uint64(tx.app.maxJobs.Load()) && !FAULT {`}},
	},
	{
		name: "attempt-not-counted", what: "attempts are not counted",
		pkg: "actors", tests: "TestG5_AttemptsAreCountedOverCrashes",
		edits: []edit{{"storage/ends.go", `switch {`, `if FAULT {
		job.Attempts--
	}
	switch {`}},
	},
	{
		name: "failure-not-counted", what: "failures are not counted, so retries never end",
		pkg: "actors", tests: "TestG5_AttemptsAreCountedOverCrashes",
		edits: []edit{{"storage/ends.go", `case end.Crashed:`, `case FAULT:
	case end.Crashed:`}},
	},
	{
		name: "interrupted-is-failure", what: "an interrupted attempt spends a retry",
		pkg: "actors", tests: "TestG5_AShutdownSpendsNothing",
		edits: []edit{{"storage/ends.go", `job.Error = nil
	}`, `job.Error = nil
	}
	if FAULT && end.Interrupted {
		job.Failures++
	}`}},
	},
	{
		name: "cancel-after-end", what: "a job that has ended can be canceled",
		pkg: "actors", tests: "TestG8_OnlyLegalChangesOfState",
		edits: []edit{{"storage/ends.go", `if job.State.Ended() {`, `if job.State.Ended() && !FAULT {`}},
	},
	{
		name: "cancel-lost-by-retry", what: "the cancel of a claimed job is acknowledged, and its run goes on",
		pkg: "actors", tests: "TestG10_CancelOfARunningAction",
		edits: []edit{{"storage/ends.go", `if claim != nil {
		tx.delete(claimKey)`, `if claim != nil && FAULT {
		return answer, nil
	}
	if claim != nil {
		tx.delete(claimKey)`}},
	},
	{
		name: "canceled-still-counted", what: "a claim that is canceled stays in the counters",
		pkg: "storage", tests: "TestG10_OnlyAClaimedJobEnds",
		edits: []edit{{"storage/ends.go", `tx.top().counts.claimed--
		tx.top().canceled`, `if !FAULT {
			tx.top().counts.claimed--
		}
		tx.top().canceled`}},
	},
	{
		name: "purge-early", what: "history is purged a minute early",
		pkg: "storage", tests: "TestG26_RetentionIsExact",
		edits: []edit{{"storage/purge.go", `return msOf(job.CompletedAt) < before.UnixMilli() || c.done > uint64(max(keep, 0))`, `if FAULT {
			return msOf(job.CompletedAt) < before.Add(time.Minute).UnixMilli()
		}
		return msOf(job.CompletedAt) < before.UnixMilli() || c.done > uint64(max(keep, 0))`}},
	},
	{
		name: "dead-purged-at-upgrade", what: "dead jobs of an older release age from their death",
		pkg: "storage", tests: "TestG26_DeadJobsOfAnOlderReleaseAgeFromTheUpgrade",
		edits: []edit{{"storage/purge.go", `old := !before.IsZero() && max(msOf(job.CompletedAt), c.deadSince) < before.UnixMilli()`, `old := !before.IsZero() && max(msOf(job.CompletedAt), c.deadSince) < before.UnixMilli()
		if FAULT {
			old = !before.IsZero() && msOf(job.CompletedAt) < before.UnixMilli()
		}`}},
	},
	{
		name: "dead-for-ever", what: "readers see dead jobs past their retention",
		pkg: "storage", tests: "TestG26_DeadRetentionIsExact",
		edits: []edit{{"storage/dead.go", `return keep > 0 && since > 0 &&`, `return keep > 0 && since > 0 && !FAULT &&`}},
	},
	{
		name: "tags-ignored", what: "a filter's tags choose every job",
		pkg: "storage", tests: "TestFilterChoosesWhatMeetsEveryCondition",
		edits: []edit{{"storage/filter.go", `		hasTags(job, f.Tags) &&`, `		(hasTags(job, f.Tags) || FAULT) &&`}},
	},
	{
		name: "attempt-due-by-timeout", what: "an attempt whose end came from outside is said to have been due when it had taken too long",
		pkg: "storage", tests: "TestEachAttemptKeepsWhenItWasDue",
		edits: []edit{{"storage/outside.go", `if j.outside == nil || j.outside.due.IsZero() {`, `if j.outside == nil || j.outside.due.IsZero() || FAULT {`}},
	},
	{
		name: "unique-key-ignored", what: "a filter's unique key chooses every job that has one",
		pkg: "storage", tests: "TestFilterChoosesWhatMeetsEveryCondition",
		edits: []edit{{"storage/filter.go", `job.Unique != nil && job.Unique.Key == f.UniqueKey)`, `job.Unique != nil && (job.Unique.Key == f.UniqueKey || FAULT))`}},
	},
	{
		name: "filter-forgets-its-end", what: "a filter chooses jobs that end at the instant before which they are to end",
		pkg: "storage", tests: "TestFilterChoosesWhatMeetsEveryCondition",
		edits: []edit{{"storage/filter.go", `(r.Before.IsZero() || t.Before(r.Before))`, `(r.Before.IsZero() || t.Before(r.Before) || FAULT)`}, {"storage/filter.go", `if !r.Before.IsZero() {`, `if !r.Before.IsZero() && !FAULT {`}},
	},
	{
		name: "export-under-snapshot", what: "the writer of an export is written to while a snapshot is open",
		pkg: "storage", tests: "TestG6_ABlockedExportHoldsNothingUp",
		edits: []edit{{"storage/transfer.go", `spool := &spool{dir: s.dir}`, `if FAULT {
		return s.export(ctx, id, w)
	}
	spool := &spool{dir: s.dir}`}},
	},
	{
		name: "deleted-jobs-survive", what: "a deleted app's jobs stay",
		pkg: "actors", tests: "TestG26_Delete",
		edits: []edit{{"storage/transfer.go", `for _, at := range []int64{n.dueAt(first), n.lastAt(firstLast)} { // one of the two, if any`, `if FAULT {
			return tx.Delete(kv.Apps, []byte(id))
		}
		for _, at := range []int64{n.dueAt(first), n.lastAt(firstLast)} { // one of the two, if any`}},
	},
	{
		name: "any-program", what: "a store is opened by whatever program",
		pkg: "storage", tests: "TestAStoreIsOpenedByItsOwnProgramOnly",
		edits: []edit{{"storage/program.go", `case name != "":`, `case name != "" && !FAULT:`}},
	},
	{
		name: "adopted-with-apps", what: "a store with apps and no name is taken on by a program that adopts empty ones only",
		pkg: "storage", tests: "TestAStoreIsOpenedByItsOwnProgramOnly",
		edits: []edit{{"storage/program.go", `case !s.opts.AdoptEmpty:`, `case !s.opts.AdoptEmpty || FAULT:`}},
	},
}
