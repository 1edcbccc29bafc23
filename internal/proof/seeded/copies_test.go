package seeded_test

// copyFaults are faults of the copies of a log that several nodes reach (G45).
var copyFaults = []seededFault{
	{
		name: "copy-of-another-moment", what: "a copy is used though its last record is not the log's",
		pkg: "storage/internal/kv", tests: "TestG45_ACopyOfAnotherHistory",
		edits: []edit{
			{"storage/internal/kv/losttail.go", `case rec.Fence != at.fence ||`, `case FAULT: // it is
	case rec.Fence != at.fence ||`},
			{"storage/internal/kv/shard.go", `if met = true; rec.Fence != db.fence ||`, `if met = true; FAULT {
				// it is looked at where the copy is opened
			} else if rec.Fence != db.fence ||`},
		},
	},
	{
		name: "half-built-copy-used", what: "a copy says what it is before it has all of it",
		pkg: "storage/internal/kv", tests: "TestG45_AKilledBuildBeginsAnew",
		edits: []edit{
			{"storage/internal/kv/shardcopy.go", `b := build{path: path + ".building", log`, `b := build{path: path + map[bool]string{false: ".building"}[FAULT], log`},
			{"storage/internal/kv/shardcopy.go", `	if err := b.file.Flush(); err != nil {
		return err
	}`, `	if FAULT {
		err := b.file.file.Update(func(tx *boltfile.Txn) error {
			return tx.Put(Meta, metaApplied, label(b.log, b.volume, b.at))
		})
		if err = errors.Join(err, b.fault("marking"), b.file.Flush()); err != nil {
			return err
		}
	}
	if err := b.file.Flush(); err != nil {
		return err
	}`},
		},
	},
	{
		name: "damaged-copy-kept", what: "a copy that is damaged is used again and again",
		pkg: "storage/internal/kv", tests: "TestG45_ADamagedCopyIsThrownAway",
		edits: []edit{{"storage/internal/kv/shard.go", `errors.Is(*why, ErrDamaged) {`, `errors.Is(*why, ErrDamaged) && !FAULT {`}},
	},
	{
		name: "trimmed-before-folded", what: "the log forgets records that its checkpoint does not have yet",
		pkg: "storage/internal/kv", tests: "TestG45_AFoldThatFails",
		edits: []edit{{"storage/internal/kv/fold.go", `	if err := s.log.shared.Fold(`, `	if FAULT {
		_ = s.log.Trim(f.claim, f.at.last)
	}
	if err := s.log.shared.Fold(`}},
	},
	{
		name: "fold-ahead-of-copy", what: "the log's checkpoint says that it has what the copy does not",
		pkg: "storage/internal/kv", tests: "TestG45_AFoldSaysWhatTheCopyHas",
		edits: []edit{{"storage/internal/kv/fold.go", `			f.at, f.recorded = l.at, l.recorded`, `			f.at, f.recorded = l.at, l.recorded
			if FAULT {
				f.at.last = db.Last()
			}`}},
	},
	{
		name: "unfolded-of-before-lost", what: "what the owner before has not folded is folded by none",
		pkg: "storage/internal/kv", tests: "TestG45_WhatTheOwnerBeforeLeft",
		edits: []edit{{"storage/internal/kv/fold.go", `	case folded < from:`, `	case folded < from && !FAULT:`}},
	},
	{
		name: "deleted-row-folded", what: "a row that was deleted stays in the log's checkpoint",
		pkg: "storage/internal/kv", tests: "TestG45_FoldsAndLoads",
		edits: []edit{{"storage/internal/kv/fold.go", `row.Deleted = value == nil`, `row.Deleted = value == nil && !FAULT`}},
	},
	{
		name: "fold-spends-claim", what: "a fold of unknown outcome ends what its owner may do",
		pkg: "storage/internal/kv", tests: "TestG45_AFoldOfUnknownOutcome",
		edits: []edit{{"storage/internal/kv/fold.go", `s.spent || errors.Is(err, wal.ErrUnknown)`, `s.spent || errors.Is(err, wal.ErrUnknown) && !FAULT`}},
	},
	{
		name: "another-owned-meanwhile", what: "an owner goes on from what it knows though another node has written",
		pkg: "storage/internal/kv", tests: "TestG45_AnotherHasOwnedItMeanwhile",
		edits: []edit{{"storage/internal/kv/shard.go", `err == nil && db.chain != chain {
			err = errMeanwhile
		}
		if hopeless`, `err == nil && db.chain != chain && !FAULT {
			err = errMeanwhile
		}
		if hopeless`}},
	},
	{
		name: "unfolded-unbounded", what: "commits go on, however much the log's checkpoint lacks",
		pkg: "storage/internal/kv", tests: "TestG45_WhatIsNotFoldedHasABound",
		edits: []edit{{"storage/internal/kv/checkpoint.go", `db.unfolded() < db.shard.bound)`, `db.unfolded() < db.shard.bound || FAULT)`}},
	},
	{
		name: "large-changes-unfolded", what: "changes that a fold has read of the log count for ever as not folded",
		pkg: "storage/internal/kv", tests: "TestG45_LargeChangesAreFolded",
		edits: []edit{{"storage/internal/kv/fold.go", `s.folded >= s.copied.from {`, `s.folded >= s.copied.from && !FAULT {`}},
	},
	{
		name: "copy-a-fold-behind-dropped", what: "the log forgets at once what a copy lacks that is somewhat behind",
		pkg: "storage/internal/kv", tests: "TestG45_AStandbyMayBeBehind",
		edits: []edit{{"storage/internal/kv/fold.go", `if time.Since(f.at) >= keptFor ||`, `if FAULT || time.Since(f.at) >= keptFor ||`}},
	},
	{
		name: "lost-tail-built-upon", what: "a node goes on from records that the log has lost",
		pkg: "storage/internal/kv", tests: "TestG45_ACopyThatIsAheadOfTheLog",
		edits: []edit{{"storage/internal/kv/shard.go", `	met := db.last == 0`, `	met := db.last == 0
	if FAULT {
		for rec, err := range db.log.Read(ctx, db.volume, db.last+1) {
			if err == nil {
				err = db.show(rec)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}`}},
	},
	{
		name: "lost-tail-untold", what: "a node that opens its copy anew forgets what it had shown",
		pkg: "storage/internal/kv", tests: "TestG45_ALostTailIsTold",
		edits: []edit{{"storage/internal/kv/losttail.go", `there := log.shown.Load(db.volume); there {`, `there := log.shown.Load(db.volume); there && !FAULT {`}},
	},
	{
		name: "lost-tail-of-file-untold", what: "a node that was started again does not say that its file is ahead of the log",
		pkg: "storage/internal/kv", tests: "TestG45_ALostTailIsTold",
		edits: []edit{{"storage/internal/kv/shardcopy.go", `if errors.Is(err, wal.ErrTailLost) {`, `if errors.Is(err, wal.ErrTailLost) && !FAULT {`}},
	},
	{
		name: "lost-tail-claimed-again", what: "an owner is told once that records are gone, and does not heed it",
		pkg: "storage/internal/kv", tests: "TestG45_AnOwnerFindsItsTailLost",
		edits: []edit{{"storage/internal/kv/shard.go", `		case hopeless(err): // what`, `		case hopeless(err) && !FAULT: // what`}},
	},
	{
		name: "unknown-append-unasked", what: "an append of unknown outcome is said to be in a log that does not have it",
		pkg: "storage/internal/kv", tests: "TestG6_AnUnknownAppendIsFoundOut",
		edits: []edit{{"storage/internal/kv/shard.go", `		in = is.Fence == fence`, `		in = FAULT || is.Fence == fence`}},
	},
	{
		name: "long-key-taken", what: "a key is written that no checkpoint of a log can have",
		pkg: "storage/internal/kv", tests: "TestG45_AKeyThatNoCheckpointHas",
		edits: []edit{{"storage/internal/kv/txn.go", `if len(key) >= wal.MaxKey {`, `if len(key) >= wal.MaxKey && !FAULT {`}},
	},
}
