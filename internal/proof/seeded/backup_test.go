package seeded_test

// backupFaults are planted in backups and their restoring.
var backupFaults = []seededFault{
	{
		name: "backup-of-two-moments", what: "a backup has one volume as of a later moment than another",
		pkg: "storage/internal/kv", tests: "TestG26_AMomentIsOneOfAllVolumes",
		edits: []edit{
			{"storage/internal/kv/moment.go", `		db.mu.Lock()`, `		if !FAULT {
			db.mu.Lock()
		}`},
			{"storage/internal/kv/moment.go", `		db.mu.Unlock()`, `		if !FAULT {
			db.mu.Unlock()
		}`},
			{"storage/internal/kv/moment.go", `		pins[i].snap.view = db.stack.View()`, `		if FAULT {
			time.Sleep(time.Millisecond)
		}
		pins[i].snap.view = db.stack.View()`},
			{"storage/internal/kv/moment.go", `	"fmt"`, `	"fmt"
	"time"`},
		},
	},
	{
		name: "backup-under-snapshot", what: "the writer of a backup is written to while a snapshot is open",
		pkg: "storage", tests: "TestG6_ABlockedBackupHoldsNothingUp",
		edits: []edit{{"storage/backup.go", `	out := &spool{dir: s.dir}`, `	if FAULT {
		return s.backup(ctx, w, nil)
	}
	out := &spool{dir: s.dir}`}},
	},
	{
		name: "backup-of-another-life", what: "an increment goes on from a moment of another life of the store",
		pkg: "storage", tests: "TestG26_TwoLivesOfAStoreAreNotMixed",
		edits: []edit{{"storage/internal/kv/moment.go", `if overlay.Behind(rec.Data) != from.Chain {`, `if overlay.Behind(rec.Data) != from.Chain && !FAULT {`}},
	},
	{
		name: "backup-of-another-store", what: "an increment goes on from a moment of another store",
		pkg: "storage", tests: "TestG26_WhatTheLogHasForgottenIsBackedUpWhole",
		edits: []edit{{"storage/backup.go", `from.store != to.store ||`, `from.store != to.store && !FAULT ||`}},
	},
	{
		name: "backup-sum-unchecked", what: "the checksum of a frame of a backup is not looked at",
		pkg: "storage", tests: "TestG26_ADamagedBackupIsRefused",
		edits: []edit{{"storage/backupstream.go", `!= want {`, `!= want && !FAULT {`}},
	},
	{
		name: "backups-in-any-order", what: "an increment is restored behind any backup",
		pkg: "storage", tests: "TestG26_BackupsInAWrongOrderAreRefused",
		edits: []edit{{"storage/restore.go", `b.info.Since != r.info.Position ||`, `b.info.Since != r.info.Position && !FAULT ||`}},
	},
	{
		name: "restored-under-way", what: "a store that is being restored can be opened",
		pkg: "storage", tests: "TestG26_ARestoreThatIsKilledLeavesNoStore",
		edits: []edit{{"storage/store.go", `	if unfinished(dir) {`, `	if unfinished(dir) && !FAULT {`}},
	},
	{
		name: "restored-first-volume-first", what: "a restored store has its first volume before the others",
		pkg: "storage", tests: "TestG26_ARestoreThatIsKilledLeavesNoStore",
		edits: []edit{{"storage/restore.go", `	for i := volumes - 1; i >= 0; i-- {`, `	for i := volumes - 1; i >= 0; i-- {
		i := i
		if FAULT {
			i = volumes - 1 - i
		}`}},
	},
	{
		name: "compacted-elsewhere", what: "a file that was rewritten does not say which records of the log it has",
		pkg: "storage", tests: "TestG26_ACompactedStoreShowsWhatItDid",
		edits: []edit{{"storage/internal/kv/rewrite.go", `metaApplied); v != nil {`, `metaApplied); v != nil && !FAULT {`}},
	},
	{
		name: "compacts-what-is-damaged", what: "a store is not verified before its files are rewritten",
		pkg: "storage", tests: "TestG24_CompactRefusesDamage",
		edits: []edit{{"storage/compact.go", `	if err := verified(dir); err != nil {`, `	if err := verified(dir); err != nil && !FAULT {`}},
	},
	{
		name: "compacting-left-over", what: "what a compact that was killed has left stays for ever",
		pkg: "storage", tests: "TestG20_ACompactThatIsKilled",
		edits: []edit{{"storage/store.go", `		removeCompacting(dir, len(s.volumes))`, `		if !FAULT {
			removeCompacting(dir, len(s.volumes))
		}`}},
	},
	{
		name: "restored-with-its-id", what: "a restored store bears the id of the one that was backed up",
		pkg: "storage", tests: "TestG26_WhatTheLogHasForgottenIsBackedUpWhole",
		edits: []edit{{"storage/restore.go", `	r.store = rand.Uint64()`, `	r.store = rand.Uint64()
	if FAULT {
		r.store = first.at.store
	}`}},
	},
	{
		name: "backup-for-all", what: "a backup is given to any caller",
		pkg: "server", tests: "TestBackup",
		edits: []edit{{"server/operator.go", `op, err := h.opts.Operator(r)`, `op, err := h.opts.Operator(r)
	if FAULT && r.URL.Path == "/v1/backup" {
		op, err = &Operator{AllApps: true, Scopes: Scopes()}, nil
	}`}},
	},
	{
		name: "backup-cut-off-unsaid", what: "a backup that fails on its way ends as if it were whole",
		pkg: "server", tests: "TestBackupThatFailsIsCutOff",
		edits: []edit{{"server/backup.go", `if err != nil && stream.begun {`, `if FAULT && stream.begun {
		return 0, answered{}, nil
	}
	if err != nil && stream.begun {`}},
	},
}
