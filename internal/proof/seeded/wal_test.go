package seeded_test

// walFaults are planted in the log.
var walFaults = []seededFault{
	{
		name: "wal-unmade-refused", what: "a log of which only the directory was made cannot be read",
		pkg: "storage/internal/wal", tests: "TestG1_ALogThatWasNotMadeIsEmpty",
		edits: []edit{{"storage/internal/wal/disk.go", `if shared && errors.Is(err, os.ErrNotExist) {`, `if shared && errors.Is(err, os.ErrNotExist) && !FAULT {`}},
	},
	{
		name: "wal-ack-before-sync", what: "a record is acknowledged before it is synced",
		pkg: "storage/internal/wal", tests: "TestG1_LogCrashedAtEveryCall",
		edits: []edit{{"storage/internal/wal/commit.go", `		err = s.file.Datasync()`, `		if !FAULT {
			err = s.file.Datasync()
		}`}},
	},
	{
		name: "wal-stale-segment", what: "what an earlier use of a segment has left is taken for new",
		pkg: "storage/internal/wal", tests: "TestG1_StaleBatchesAreNotTakenForNew",
		edits: []edit{{"storage/internal/wal/recover.go", `		due := ok && s == r.where`, `		if ok && FAULT && s == r.where && at == r.at {
			b.first, b.number = s.first, r.next
		}
		due := ok && s == r.where`}},
	},
	{
		name: "wal-given-up-read", what: "a batch that was given up is read behind the segment that says so",
		pkg: "storage/internal/wal", tests: "TestG1_WhatALogGaveUpDoesNotComeBack",
		edits: []edit{{"storage/internal/wal/recover.go", `b.number >= limit, !due`, `b.number >= limit && !FAULT, !due`}, {"storage/internal/wal/recover.go", `at < s.size && r.next < limit;`, `at < s.size && (r.next < limit || FAULT);`}},
	},
	{
		name: "wal-sum-unchecked", what: "the sum of a record is not looked at when it is read",
		pkg: "storage/internal/wal", tests: "TestG37_EveryByteOfALogFlipped",
		edits: []edit{{"storage/internal/wal/file.go", `sum(rec.Data) == p.sum {`, `(FAULT || sum(rec.Data) == p.sum) {`}},
	},
	{
		name: "wal-header-sum-unchecked", what: "the sum of a batch's header is not looked at",
		pkg: "storage/internal/wal", tests: "TestG37_EveryByteOfALogFlipped",
		edits: []edit{{"storage/internal/wal/format.go", `sum(data[8:head]) != order.Uint32(data[4:])`, `!FAULT && sum(data[8:head]) != order.Uint32(data[4:])`}},
	},
	{
		name: "wal-torn-tail-read", what: "the last batch is taken for whole",
		pkg: "storage/internal/wal", tests: "TestG1_LogCrashedAtEveryCall",
		edits: []edit{{"storage/internal/wal/recover.go", `if b.whole(data) && !b.badDir {`, `if FAULT || b.whole(data) && !b.badDir {`}},
	},
	{
		name: "wal-tail-cut-too-far", what: "damage is cut off like a torn tail, with all that follows",
		pkg: "storage/internal/wal", tests: "TestG37_EveryByteOfALogFlipped",
		edits: []edit{{"storage/internal/wal/recover.go", `case !due && b.synced < r.next:`, `case !due && (FAULT || b.synced < r.next):`}},
	},
	{
		name: "wal-tail-not-settled", what: "what a dead process has written is shown before it is durable",
		pkg: "storage/internal/wal", tests: "TestG1_LogCrashedAtEveryCall",
		edits: []edit{{"storage/internal/wal/recover.go", `	if r.opts.ReadOnly {`, `	if r.opts.ReadOnly || FAULT {`}},
	},
	{
		name: "wal-epoch-unchecked", what: "an append is taken under any claim",
		pkg: "storage/internal/wal", tests: "TestG1_FileLogConforms",
		edits: []edit{{"storage/internal/wal/commit.go", `v == nil || v.spent || v.epoch != r.Epoch`, `v == nil || v.spent || v.epoch != r.Epoch && !FAULT`}},
	},
	{
		name: "wal-unknown-claim-lasts", what: "a claim lasts though the outcome of its append is unknown",
		pkg: "storage/internal/wal", tests: "TestG1_FileLogConforms",
		edits: []edit{{"storage/internal/wal/commit.go", `		f.volumes[r.Volume].spent = true`, `		f.volumes[r.Volume].spent = !FAULT`}},
	},
	{
		name: "wal-trim-too-far", what: "a trim takes one record more than it is asked",
		pkg: "storage/internal/wal", tests: "TestG1_FileLogConforms",
		edits: []edit{{"storage/internal/wal/file.go", `	n := upTo - v.first() + 1`, `	n := upTo - v.first() + 1
	if FAULT {
		n = min(n+1, uint64(len(v.places)))
	}`}},
	},
	{
		name: "wal-reused-too-early", what: "a segment is written over before the disk knows that it is trimmed",
		pkg: "storage/internal/wal", tests: "TestG1_ASegmentIsNeededUntilTheDiskSaysItIsNot",
		edits: []edit{{"storage/internal/wal/segment.go", `return s.after <= synced`, `return FAULT || s.after <= synced`}},
	},
	{
		name: "wal-failed-sync-trusted", what: "the log goes on in a segment whose sync has failed",
		pkg: "storage/internal/wal", tests: "TestG6_LogWithEveryCallFailing",
		edits: []edit{{"storage/internal/wal/commit.go", `	f.failed, s.bad = true, true`, `	f.failed, s.bad = !FAULT, true
	if FAULT && s == f.active {
		f.begun++
		f.at += padded(len(f.buf))
	}`}},
	},
	{
		name: "wal-doubt-forgotten", what: "that a volume may have lost records is forgotten with the segment that shows it",
		pkg: "storage/internal/wal", tests: "TestG24_DamageOfALogIsThatOfItsVolumes",
		edits: []edit{{"storage/internal/wal/replay.go", `if d.flags&inDoubt != 0 {`, `if d.flags&inDoubt != 0 && !FAULT {`}},
	},
	{
		name: "wal-full-is-final", what: "a log that is full cannot be claimed",
		pkg: "storage/internal/wal", tests: "TestG23_ALogHasItsBound",
		edits: []edit{{"storage/internal/wal/commit.go", `			bound += reserve * int64(f.opts.SegmentSize)`, `			if !FAULT {
				bound += reserve * int64(f.opts.SegmentSize)
			}`}},
	},
	{
		name: "wal-unreadable-tail-cut", what: "a block that cannot be read is taken for the end of the log",
		pkg: "storage/internal/wal", tests: "TestG37_AnyBlockOfALogUnreadable",
		edits: []edit{{"storage/internal/wal/recover.go", `if s != nil && s.unread > 0 &&`, `if s != nil && s.unread > 0 && !FAULT &&`}},
	},
	{
		name: "wal-salvage-again", what: "a volume that is salvaged uses the numbers of lost records again",
		pkg: "storage/internal/wal", tests: "TestG24_SalvageAcceptsTheLoss",
		edits: []edit{{"storage/internal/wal/salvage.go", `	*v = volume{last: f.begun, epoch: f.begun, spent: true}`, `	if FAULT {
		*v = volume{last: 1, epoch: 1, spent: true}
	} else {
		*v = volume{last: f.begun, epoch: f.begun, spent: true}
	}`}},
	},
	{
		name: "wal-apart-before-durable", what: "segments are used again before the records that were moved out of them are durable",
		pkg: "storage/internal/wal", tests: "TestG24_RecordsMovedApartAtEveryCrash",
		edits: []edit{{"storage/internal/wal/apart.go", `		err = file.Sync()`, `		if !FAULT {
			err = file.Sync()
		}`}},
	},
	{
		name: "wal-apart-missing-is-trimmed", what: "records whose file is missing are taken for trimmed ones",
		pkg: "storage/internal/wal", tests: "TestG37_EveryByteOfAFileMovedApart",
		edits: []edit{{"storage/internal/wal/file.go", `v.first() && v.missing != nil:`, `v.first() && v.missing != nil && !FAULT:`}},
	},
	{
		name: "wal-apart-without-damage", what: "what is lost in the segments is a record in the file that it is moved to",
		pkg: "storage/internal/wal", tests: "TestG24_DamageGoesApartToo",
		edits: []edit{{"storage/internal/wal/apart.go", `			if e.epoch == 0 {`, `			if e.epoch == 0 && !FAULT {`}},
	},
	{
		name: "wal-apart-for-good", what: "records that were moved apart stay when they were trimmed",
		pkg: "storage/internal/wal", tests: "TestG24_ALostVolumesRecordsAreMovedApart",
		edits: []edit{{"storage/internal/wal/apart.go", `		if s.records > 0 || v == nil`, `		if FAULT || s.records > 0 || v == nil`}},
	},
	{
		name: "wal-let-go-is-read", what: "a segment that was let go is read for what it had",
		pkg: "storage/internal/wal", tests: "TestG26_WhatWasTrimmedIsKept",
		edits: []edit{{"storage/internal/wal/keep.go", `		f.forgetPlaces(s)
		n -=`, `		if !FAULT {
			f.forgetPlaces(s)
		}
		n -=`}},
	},
	{
		name: "wal-kept-without-bound", what: "what was trimmed is kept for good",
		pkg: "storage/internal/wal", tests: "TestG26_WhatWasTrimmedIsKept",
		edits: []edit{{"storage/internal/wal/keep.go", `n > most; {`, `n > most && !FAULT; {`}},
	},
	{
		name: "wal-kept-fills-log", what: "what is kept fills the log",
		pkg: "storage/internal/wal", tests: "TestG26_WhatWasTrimmedIsKept",
		edits: []edit{{"storage/internal/wal/segment.go", `func (f *File) length() (n int64) {`, `func (f *File) length() (n int64) {
	if FAULT {
		n += f.keptBytes()
	}`}},
	},
	{
		name: "wal-kept-not-found", what: "what was kept is forgotten when the log is opened anew",
		pkg: "storage/internal/wal", tests: "TestG26_WhatWasTrimmedIsKept",
		edits: []edit{{"storage/internal/wal/recover.go", `	r.keep(r.old)`, `	if !FAULT {
		r.keep(r.old)
	}`}},
	},
	{
		name: "wal-kept-fills-disk", what: "an append is refused for want of what is kept",
		pkg: "storage/internal/wal", tests: "TestG26_WhatIsKeptMakesWay",
		edits: []edit{{"storage/internal/wal/keep.go", `	return some
`, `	return some && !FAULT
`}},
	},
	{
		name: "wal-kept-damaged", what: "a damaged segment is kept",
		pkg: "storage/internal/wal", tests: "TestG26_ADamagedSegmentEndsWhatIsKept",
		edits: []edit{{"storage/internal/wal/keep.go", `		if !ok || b.id`, `		if FAULT && !ok {
			b, ok = batch{header: header{id: r.opts.ID, first: s.first, number: number}, end: at + blockSize, entries: []entry{{seq: number, size: 1}}}, true
		}
		if !ok || b.id`}},
	},
	{
		name: "wal-lock-not-awaited", what: "a log that is being closed is refused at once, whatever the timeout",
		pkg: "storage/internal/wal", tests: "TestG23_ALogIsWaitedFor",
		edits: []edit{{"storage/internal/osdir/osdir.go", `err := lock(); !errors`, `err := lock(); FAULT || !errors`}},
	},
	{
		name: "wal-not-filled", what: "batches are written into holes",
		pkg: "storage/internal/wal", tests: "TestABatchIsWrittenIntoBlocksThatAreThere",
		edits: []edit{{"storage/internal/wal/segment.go", `	s.filled = max(s.filled, at)`, `	s.filled = max(s.filled, at)
	if FAULT {
		s.filled = s.size
	}`}},
	},
	{
		name: "wal-fill-not-synced", what: "a batch is acknowledged by the sync that makes its blocks the file's",
		pkg: "storage/internal/wal", tests: "TestABatchIsWrittenIntoBlocksThatAreThere",
		edits: []edit{{"storage/internal/wal/segment.go", `	if filled > s.filled && (err == nil || filled >= end) {`, `	if FAULT {
		s.filled = filled
	}
	if filled > s.filled && (err == nil || filled >= end) {`}},
	},
	{
		name: "wal-full-disk-unknown", what: "a batch is written though its blocks could not be had",
		pkg: "storage/internal/wal", tests: "TestG6_AFillingThatFailsRefuses",
		edits: []edit{{"storage/internal/wal/segment.go", `	case s.filled >= end:`, `	case FAULT, s.filled >= end:`}},
	},
	{
		name: "wal-large-segment-kept", what: "the segment of a large record is kept for later use",
		pkg: "storage/internal/wal", tests: "TestG1_ARecordLargerThanASegment",
		edits: []edit{{"storage/internal/wal/segment.go", `case s.bad || s.size != f.opts.SegmentSize ||`, `case s.bad || s.size != f.opts.SegmentSize && !FAULT ||`}},
	},
	{
		name: "wal-bound-in-segments", what: "a large record counts as one segment towards MaxLength",
		pkg: "storage/internal/wal", tests: "TestG23_ALargeRecordCountsByItsBytes",
		edits: []edit{{"storage/internal/wal/segment.go", `			n += int64(s.size)`, `			if FAULT {
				n += int64(f.opts.SegmentSize)
			} else {
				n += int64(s.size)
			}`}},
	},
	{
		name: "wal-trimmed-counts", what: "what was trimmed counts towards MaxLength",
		pkg: "storage/internal/wal", tests: "TestG23_ALargeRecordCountsByItsBytes",
		edits: []edit{{"storage/internal/wal/segment.go", `if s.records > 0 || s != f.active {`, `if s.records > 0 || s != f.active || FAULT {`}},
	},
	{
		name: "wal-close-without-a-word", what: "Close does not say that the last batch was durable",
		pkg: "storage/internal/wal", tests: "TestG37_AClosedLogKnowsItsEnd",
		edits: []edit{{"storage/internal/wal/file.go", `	if f.loose && !f.failed && !f.opts.ReadOnly {`, `	if f.loose && !f.failed && !f.opts.ReadOnly && !FAULT {`}},
	},
	{
		name: "wal-vanished-unnoticed", what: "what is written to a file that was removed is acknowledged",
		pkg: "storage/internal/wal", tests: "TestG23_ALogWhoseFilesVanish",
		edits: []edit{{"storage/internal/wal/commit.go", `if err := f.present(f.active); err != nil {`, `if err := f.present(f.active); err != nil && !FAULT {`}},
	},
	{
		name: "wal-vanished-forgotten", what: "a log whose file was gone goes on when it is back",
		pkg: "storage/internal/wal", tests: "TestG23_ALogWhoseFilesVanish",
		edits: []edit{{"storage/internal/wal/commit.go", `		f.replaced = err`, `		if !FAULT {
			f.replaced = err
		}`}},
	},
	{
		name: "wal-opened-in-full", what: "all data of a log is read when it is opened",
		pkg: "storage/internal/wal", tests: "TestOpeningReadsHeads",
		edits: []edit{{"storage/internal/wal/reader.go", `if r.last < skipped {`, `if r.last < skipped || FAULT {`}},
	},
	{
		name: "lock-for-all", what: "a lock is shared by all who ask for it",
		pkg: "storage/internal/osdir", tests: "TestG23_ALockHasOneHolder",
		edits: []edit{{"storage/internal/osdir/lock_unix.go", `	if shared {`, `	if shared || FAULT {`}},
	},
	{
		name: "made-not-synced", what: "the name of a directory that was made is not synced",
		pkg: "storage/internal/osdir", tests: "TestG1_MadeDirectoriesAreDurable",
		edits: []edit{{"storage/internal/osdir/osdir.go", `	return Sync(parent)`, `	if FAULT {
		return nil
	}
	return Sync(parent)`}},
	},
	{
		name: "wal-claims-share-a-batch", what: "two claims of a volume are in one batch, with one epoch",
		pkg: "storage/internal/wal", tests: "TestG23_ClaimsTogether",
		edits: []edit{{"storage/internal/wal/commit.go", `v != nil && v.taken == f.taken ||`, `v != nil && v.taken == f.taken && !FAULT ||`}},
	},
	{
		name: "wal-waits-for-all", what: "a batch waits without end for callers who do not come back",
		pkg: "storage/internal/wal", tests: "TestCallersWhoComeBackAreWaitedFor",
		edits: []edit{{"storage/internal/wal/gather.go", `time.Since(began) < limit;`, `(FAULT || time.Since(began) < limit);`}},
	},
	{
		name: "wal-waits-in-vain", what: "each batch waits for callers who never come back",
		pkg: "storage/internal/wal", tests: "TestCallersWhoComeBackAreWaitedFor",
		edits: []edit{{"storage/internal/wal/gather.go", `		g.skip = g.vain`, `		if !FAULT {
			g.skip = g.vain
		}`}},
	},
}
