package seeded_test

import "slices"

// kvFaults are planted where log, layers and copy meet.
var kvFaults = slices.Concat(volumeFaults, copyFaults)

// volumeFaults are those of a volume of a log in files.
var volumeFaults = []seededFault{
	{
		name: "shown-before-synced", what: "readers see a commit that is still being synced",
		pkg: "storage/internal/kv", tests: "TestG2_NothingIsShownBeforeTheLogHasIt",
		edits: []edit{{"storage/internal/kv/db.go", `	rec := wal.Record{`, `	if FAULT {
		db.stack.Publish(t.change)
	}
	rec := wal.Record{`}},
	},
	{
		name: "trimmed-before-copied", what: "the log forgets what the copy does not have durably",
		pkg: "storage/internal/kv", tests: "TestG1_LogLayersAndCopy",
		edits: []edit{{"storage/internal/kv/checkpoint.go", `	err := fault("checkpoint")`, `	if FAULT {
		_ = db.log.Trim(db.claim, at.last-1)
	}
	err := fault("checkpoint")`}},
	},
	{
		name: "unknown-goes-on", what: "a volume goes on after an append of unknown outcome",
		pkg: "storage/internal/kv", tests: "TestG6_AnUnknownOutcomeStopsTheVolume",
		edits: []edit{{"storage/internal/kv/db.go", `if !errors.Is(err, ErrRefused) {`, `if !errors.Is(err, ErrRefused) && !FAULT {`}},
	},
	{
		name: "copy-of-another-life", what: "a copy is laid under a log that is not of its life",
		pkg: "storage/internal/kv", tests: "TestG23_ALogAndACopyOfDifferentMoments",
		edits: []edit{{"storage/internal/kv/db.go", `case len(rec.Data) > 0 && overlay.Chain(rec.Data) != chain:`, `case len(rec.Data) > 0 && overlay.Chain(rec.Data) != chain && !FAULT:`}},
	},
	{
		name: "chain-unchecked", what: "a record is replayed whatever comes before it",
		pkg: "storage/internal/overlay", tests: "TestG2_ABadRecordChangesNothing",
		edits: []edit{{"storage/internal/overlay/record.go", `is != chain {`, `is != chain && !FAULT {`}},
	},
	{
		name: "layers-unbounded", what: "commits go on, whatever memory their layers take",
		pkg: "storage/internal/kv", tests: "TestG23_TheLayersHaveABound",
		edits: []edit{{"storage/internal/kv/checkpoint.go", `return (used == 0 ||`, `return (FAULT || used == 0 ||`}},
	},
	{
		name: "idle-not-copied", what: "an idle volume is left in the log",
		pkg: "storage/internal/kv", tests: "TestG9_AnIdleVolumeIsCopied",
		edits: []edit{{"storage/internal/kv/checkpoint.go", `if due || full &&`, `if due && !FAULT || full &&`}},
	},
	{
		name: "log-not-missed", what: "a store that was never copied opens without its log",
		pkg: "storage", tests: "TestG23_AStoreThatWasNeverCopiedNeedsItsLog",
		edits: []edit{{"storage/internal/kv/db.go", `if empty {`, `if empty && !FAULT {`}},
	},
	{
		name: "log-damage-fatal", what: "damage in the log keeps the whole store from opening",
		pkg: "storage", tests: "TestG24_DamageOfTheLogIsOneVolumes",
		edits: []edit{{"storage/internal/kv/log.go", `; ok {
		return &Damage{`, `; ok && !FAULT {
		return &Damage{`}},
	},
	{
		name: "packed-not-unpacked", what: "a record that was compressed is read as it is in the log",
		pkg: "storage/internal/kv", tests: "TestG1_WhatIsPackedIsReplayed",
		edits: []edit{{"storage/internal/kv/pack.go", `data[0] != packMark {`, `data[0] != packMark || FAULT {`}},
	},
	{
		name: "packed-too-large", what: "a record that is too large is taken because it can be compressed",
		pkg: "storage/internal/kv", tests: "TestG37_ARecordThatCannotBeUnpacked",
		edits: []edit{{"storage/internal/kv/pack.go", `len(data) > l.MaxRecord() {`, `len(data) > l.MaxRecord() && !FAULT {`}},
	},
	{
		name: "salvage-untold", what: "a loss that was accepted is not written down",
		pkg: "storage", tests: "TestG24_SalvageGivesUpWhatIsLost",
		edits: []edit{{"storage/salvage.go", `	return tx.Put(kv.Meta, metaLosses, encoded(losses.`, `	if FAULT {
		return nil
	}
	return tx.Put(kv.Meta, metaLosses, encoded(losses.`}},
	},
	{
		name: "loss-not-warned", what: "a loss that was accepted is no warning",
		pkg: "storage", tests: "TestG24_SalvageGivesUpWhatIsLost",
		edits: []edit{{"storage/warnings.go", `if !l.Acknowledged {`, `if !l.Acknowledged && !FAULT {`}},
	},
	{
		name: "salvage-told-twice", what: "a salvage that was killed and run again counts its loss twice",
		pkg: "storage", tests: "TestG24_ASalvageThatIsKilled",
		edits: []edit{{"storage/salvage.go", `n == 0 || losses`, `n == 0 || FAULT || losses`}},
	},
	{
		name: "salvage-forgets", what: "a salvage gives up what could be read, too",
		pkg: "storage", tests: "TestG24_SalvageGivesUpWhatIsLost",
		edits: []edit{{"storage/internal/kv/salvage.go", `		if err := write(tx, layer); err != nil {`, `		if FAULT {
		} else if err := write(tx, layer); err != nil {`}},
	},
	{
		name: "tail-unbounded", what: "small records of one key are left in the log without a bound",
		pkg: "storage/internal/kv", tests: "TestG23_TheTailHasABound",
		edits: []edit{{"storage/internal/kv/db.go", `	db.tail += replayCost(record, change.Writes())`, `	if db.tail += len(record); !FAULT {
		db.tail += replayCost(nil, change.Writes())
	}`}},
	},
	{
		name: "writes-cost-nothing", what: "how many writes are in the records that are replayed has no bound",
		pkg: "storage/internal/kv", tests: "TestG23_TheTailHasABound",
		edits: []edit{{"storage/internal/kv/checkpoint.go", `return len(record) + recordCost + writes*writeCost`, `if FAULT {
		writes = 0
	}
	return len(record) + recordCost + writes*writeCost`}},
	},
	{
		name: "quiet-holds-log", what: "a volume that is quiet holds back all that the others write",
		pkg: "storage", tests: "TestG23_AQuietVolumeDoesNotHoldTheLogBack",
		edits: []edit{{"storage/logroom.go", `if v.refreshed.Swap(true) {`, `if v.refreshed.Swap(true) || FAULT {`}},
	},
	{
		name: "look-at-what-came-since", what: "what checkpoints have written since a look began is taken for damage",
		pkg: "storage/internal/boltfile", tests: "TestG37_ALookIsNotAtWhatIsWrittenSince",
		edits: []edit{{"storage/internal/boltfile/txn.go", `} else if t.db.writing.Load() < latest+2 {`, `} else if FAULT || t.db.writing.Load() < latest+2 {`}},
	},
	{
		name: "lost-holds-log", what: "a volume that is lost holds back all that the others write",
		pkg: "storage", tests: "TestG24_ALostVolumeDoesNotHoldTheLogBack",
		edits: []edit{{"storage/logroom.go", `		case !v.refreshed.Swap(true):`, `		case !v.refreshed.Swap(true) && !FAULT:`}},
	},
	{
		name: "full-of-the-lost", what: "a log that is full of what a lost volume needs keeps the store from opening",
		pkg: "storage", tests: "TestG24_AFullLogOpensWithoutTheLost",
		edits: []edit{{"storage/internal/wal/apart.go", `	case v == nil || len(v.needed()) == 0 ||`, `	case FAULT, v == nil || len(v.needed()) == 0 ||`}},
	},
	{
		name: "full-log-dead-end", what: "a full log is not trimmed of what the files have already",
		pkg: "storage", tests: "TestG23_AFullLogIsNoDeadEnd",
		edits: []edit{{"storage/internal/kv/checkpoint.go", `		db.trim() // an`, `		if FAULT {
			return nil
		}
		db.trim() // an`}},
	},
	{
		name: "change-lost-by-freeze", what: "a change that was under way when its layer was frozen takes the frozen one's place",
		pkg: "storage/internal/overlay", tests: "TestTable_ALayeredSpaceIsOne",
		edits: []edit{{"storage/internal/overlay/stack.go", `v.latest = c.onto(v.latest)`, `if v.latest = c.onto(v.latest); FAULT {
			v.latest = newLayer(len(c.layer.spaces))
		}`}},
	},
	{
		name: "applied-too-high", what: "the copy says that it has what was made durable while it was written",
		pkg: "storage/internal/kv", tests: "TestG1_ACheckpointHasWhatWasFrozen",
		edits: []edit{{"storage/internal/kv/checkpoint.go", `			if err := write(tx, layer); err != nil {`, `			if FAULT {
				at = db.position
			}
			if err := write(tx, layer); err != nil {`}},
	},
	{
		name: "last-record-trimmed", what: "the log forgets the record that the copy has applied last",
		pkg: "storage/internal/kv", tests: "TestG1_LogLayersAndCopy",
		edits: []edit{{"storage/internal/kv/checkpoint.go", `	if db.shard != nil {
		signal`, `	if FAULT {
		upTo = db.inFile.last
	}
	if db.shard != nil {
		signal`}},
	},
	{
		name: "failed-checkpoint-goes-on", what: "a volume goes on after a checkpoint of which the copy shows what may not be durable",
		pkg: "storage/internal/kv", tests: "TestG1_LogLayersAndCopy",
		edits: []edit{{"storage/internal/kv/stall.go", `		db.fail(notCopied(err))`, `		if !FAULT {
			db.fail(notCopied(err))
		}`}},
	},
	{
		name: "checkpoint-not-tried-again", what: "what a checkpoint that failed was to write is never written",
		pkg: "storage/internal/kv", tests: "TestG23_AFailedCheckpointIsTriedAgain",
		edits: []edit{{"storage/internal/kv/checkpoint.go", `if stall := db.stall.Load(); stall != nil {
			timer`, `if stall := db.stall.Load(); stall != nil && !FAULT {
			timer`}},
	},
	{
		name: "stalled-tail-unbounded", what: "while checkpoints fail there is no bound on what is replayed",
		pkg: "storage/internal/kv", tests: "TestG23_AFailedCheckpointRefusesWhatHasNoRoom",
		edits: []edit{{"storage/internal/kv/checkpoint.go", `db.frozen.tail+db.tail < 2*db.share`, `(db.frozen.tail+db.tail < 2*db.share || FAULT)`}},
	},
	{
		name: "no-room-reopens", what: "a volume is opened anew, with a claim of the log, for each commit that has no room",
		pkg: "storage", tests: "TestG23_AFullDiskUnderAFile",
		edits: []edit{{"storage/committer.go", `!errors.Is(cause, kv.ErrNoRoom) {`, `(FAULT || !errors.Is(cause, kv.ErrNoRoom)) {`}},
	},
	{
		name: "unsure-file-trusted", what: "a volume file is written again though it may show a commit that is not durable",
		pkg: "storage/internal/boltfile", tests: "TestG6_ACommitThatMayBeShownIsTheNextOpenings",
		edits: []edit{{"storage/internal/boltfile/commit.go", `if tx.ID() < id {`, `if tx.ID() < id || FAULT {`}},
	},
	{
		name: "check-taken-for-a-commit", what: "a file that is checked cannot be closed, and stays locked",
		pkg: "storage/internal/boltfile", tests: "TestG6_AFileIsClosedBesideACheck",
		edits: []edit{{"storage/internal/boltfile/file.go", `	if !db.updating.TryLock() {`, `	if !db.updating.TryLock() || FAULT && !db.commit.TryLock() {`}},
	},
	{
		name: "closed-without-checkpoint", what: "a volume is closed with what is in the log only",
		pkg: "storage/internal/kv", tests: "TestG1_LogLayersAndCopy",
		edits: []edit{{"storage/internal/kv/db.go", `db.halt(checkpointWait) && clean &&`, `db.halt(checkpointWait) && clean && !FAULT &&`}},
	},
	{
		name: "older-log-taken", what: "a log that ends before what the copy has applied is taken for its own",
		pkg: "storage/internal/kv", tests: "TestG23_ALogAndACopyOfDifferentMoments",
		edits: []edit{{"storage/internal/kv/db.go", `	return db.mismatch("the log ends before record %d, which the file has applied", applied)`, `	if FAULT {
		return nil
	}
	return db.mismatch("the log ends before record %d, which the file has applied", applied)`}},
	},
	{
		name: "older-copy-taken", what: "a copy that lacks what the log has forgotten is taken for whole",
		pkg: "storage", tests: "TestG23_FilesAndLogOfDifferentMoments",
		edits: []edit{{"storage/internal/kv/db.go", `	if errors.Is(err, wal.ErrTrimmed) {`, `	if FAULT && errors.Is(err, wal.ErrTrimmed) {
		return nil
	}
	if errors.Is(err, wal.ErrTrimmed) {`}},
	},
}
