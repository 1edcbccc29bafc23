// Package storage keeps the state of apps in volumes: documents and their
// indexes, jobs in the order they are due, their history, triggers. It knows
// keys, transactions and records, and has never heard of functions, actors or clocks.
//
// Use:
//
//	notes := storage.NewTable[Note]("notes", storage.Index("by_author", "author"))
//	s, err := storage.Open("data", storage.Options{Tables: []storage.Schema{notes}})
//	app, err := s.App("acme")
//	tx := app.Begin(now) // the turn: one transaction of an app at a time
//	id, err := notes.Insert(tx.Writer(), Note{Author: "ada"})
//	job, err := tx.JobWriter().InsertJob(storage.Job{Function: "notes:burn", Args: args, Due: now.Add(time.Hour)})
//	err = tx.Commit(func(err error) { ... }) // returns at once; nil is told when both are durable
//	snap, err := app.Snapshot(now) // what is committed, without waiting for the turn
//	note, err := notes.Get(snap.Reader(), id)
//	snap.Close()
//
// An app before its first call: Tx.ReconcileIndexes until it is done. After any
// error of a Commit's done: App.Reload.
//
// # Names
//
// For functions and their hosts: AppFilter, AppID, AppInfo, AppPage, AsOf, Attempt, AttemptEnds, AttemptLog, AuditEntry, AuditFilter, AuditFor, AuditPage, Backfill, BackfillOutcome, BackupInfo, Cancellation, CatchUp, CatchUpMode, ConflictError, DefaultMaxLogBytes, DefaultPriority, Depth, Doc, Document, DocumentEdit, DocumentPage, DocumentQuery, GetDocument, Group, GroupEnds, GroupFilter,
// GroupID, GroupOutcome, Histogram, ID, IDPage, IdempotencyFor, Index, IndexDecl, IndexField, IndexStatus, Job, JobError, JobFilter, JobID, JobPage, KeepOperations, Latency, ListDocuments, ListTables, LogLine, Looked, MaxAuditIDs, MaxBackfill, MaxCatchUp, MaxCause, MaxCheckpoint, MaxContains, MaxControls, MaxGroupMembers,
// MaxGroups, MaxIdempotencyBytes, MaxIdempotencyKeys, MaxIdempotentResult, MaxInstance, MaxInstant, MaxKey, MaxLogLine, MaxLogLines, MaxLoggedAttempts, MaxOnce, MaxOperations, MaxPauseBy,
// MaxPauseReason, MaxPriority, MaxStack, MaxTag, MaxTags, MaxTokenApps, MaxTokens, MaxTraceState, MaxTriggerName, MaxTriggers,
// MinPriority, NewTable, Node, NotKept, Operation, OperationAction, OperationFilter, OperationID, OperationOutcome, Outcome, Overlap, ParseAsOf, ParseTrace, Pause, PriorityStep, Progress, Query, Reader, Region, Rescheduling, Restore,
// Retry, Schema, Scope, Slot, SlotOutcome, State, System, Table, TableStatus, TimeRange, Token, Tokens, Told,
// Trace, Trigger, TxLimits, Unique, UniquePolicy, VerifyBackup, VolumeHealth, VolumeStats, Wait, Writer, and
// every error.
//
// For engines, and they change with the engine: Answer, App, BackfillID, Change, CheckPoolKey, CheckPoolName,
// CheckPosition, CheckTags, CheckTriggerName, ClaimBegin, ClaimID, ClockNotes, CommitMark, Compact, CompactOptions, Compacted,
// Controls, Descendants, EditDocument, End, EndedCursor, Era, EraID, EraMark, ExpiredCursor, Expiry,
// ExportStore, FitDocument, IdempotencyKey, IdempotentResult, ImportStore, JobChange, JobWriter, JobWrites, Join, KeySet, Lane, LateCursor, Lease,
// Loss, Misfits, Moved, NodeState, Open, Options, Place, ReadSet, Remains, Salvage, ShardState, SharedLog,
// SharedState, SlotSpan, Snapshot, Standby, Standing, StandingOf, Start, StartCursor, StartID, StartOf, Stats, Store, Survey,
// TickID, TickPriority, TokenHash, TriggerMark, Tx.
//
// # Jobs
//
// Where a job lies says what it is in; that it is claimed is a key beside it.
// Whether the handler of a claimed job has started only the engine knows: it
// shows as running from then on.
//
//	        InsertJob, InsertTick      Unclaim, EndAttempt (to try again)
//	                 │              ┌──────────────────────────────────┐
//	                 ▼              ▼                                  │
//	            ┌──────────────────────┐           Claim         ┌─────┴─────┐
//	 RetryDead─►│       pending        ├────────────────────────►│  claimed  │
//	     ▲      └────────┬─────────────┘                         │ (running) │
//	     │               │ CancelJob                             └─┬───┬───┬─┘
//	     │               ▼                                         │   │   │
//	     │         ┌──────────┐     CancelJob, EndAttempt          │   │   │
//	     │         │ canceled │◄───────────────────────────────────┘   │   │
//	     │         └─────┬────┘                          EndAttempt    │   │  EndAttempt
//	     │               │                               ┌─────────┐   │   │   ┌────────┐
//	     │               │                               │ success │◄──┘   └──►│ failed ├──►DropDead, PurgeDead
//	     │               │                               └────┬────┘           └───┬────┘
//	     │               └────────────►PurgeHistory◄──────────┘                    │
//	     └─────────────────────────────────────────────────────────────────────────┘
//
//	key  sorted job bucket (due, sequence)   history (rank, sequence)   dead (rank, sequence)
//
// A job whose handler has returned, and whose attempt ends from outside, is pending again in the
// meantime (EndAttempt with End.Outside), and then its attempt ends without a claim (EndAttempt).
//
// A pending job that this program cannot run is held (HoldJob, or EndAttempt of one
// that was claimed): it lies beside the bucket, under (rank, sequence), due at no
// instant. ReleaseHeld and RetryDead make it pending again, ExpireHeld failed,
// CancelJob canceled; DropDead takes it away. One that was not begun in time, pending or
// held, is expired (ExpireLate), and lies in the history. The alarm index has the apps with held
// jobs behind all that is due, with the fingerprint of the registry that holds them.
//
// A document that does not fit an index is noted under (table, index, document) in
// place of its entry (misfits.go); a write that does not fit is refused.
//
// The rank of an ended job is the instant it ended, or one more than the rank of
// the job that ended before it: it orders them as they ended, whatever the clock
// did. An entry of a slot log has its place in the same way.
//
// # A change's way to the disk
//
//	Tx ──Commit──► change set ──► overlay of the app: the next Tx reads it at once
//	                   │
//	                   └──► the volume's committer: one record of the log for all that
//	                        wait, of all apps, in order ──► durable ──► done(nil)
//	                                                            └──► the file, later
//
// A commit takes a bounded number of bytes, and change sets of a bounded number of
// apps. What callers wait for comes first; heavy change sets wait in a lane of their
// own, and the lanes take turns, so that those of other apps wait for a few at most.
// App.Overloaded says when callers ask for more than the committer gets through.
//
// One goroutine a volume, the committer, writes. It also collects garbage: the keys of
// deleted apps when it has nothing else to do.
//
// # Invariants
//
//	S1   A change set is in the file as a whole or not at all; done(nil) is called when
//	     it is durable, and never for one that is not (G1, G2).
//	S2   An app's change sets become durable in the order they were submitted. Once one
//	     has failed, none behind it is applied before Reload, and what is read of the
//	     file was read after it was opened anew (G6).
//	S3   An app has one open Tx at a time; its opener holds the app's turn.
//	S4   A minted job id spells the place (due, sequence) the job was first put at. Ids,
//	     keys and Places order jobs alike (G13).
//	S5   Only the attempt of a job that is claimed, or pending outside, ends. A claim ends once: with its attempt, by
//	     Unclaim, or with a cancel, after which the attempt counts no more (G9, G10).
//	S6   A job lies in one region. Pending and claimed ones lie in the sorted job bucket,
//	     held ones beside it, success, canceled and expired in the history, failed among
//	     the dead; it moves only as drawn above, and what lies in the history stays (G8).
//	S7   While an App is open no number is assigned twice, not even one of a
//	     transaction that was dropped, and what has the form of a minted id cannot be
//	     chosen: an id that has left the engine never names another job.
//	S8   In every committed state counters, job regions, claims, id index, triggers and
//	     their ticks, documents, their indexes and the alarm index agree. Store.Check
//	     verifies all of it (G7).
//	S9   A volume has one owner: it holds the file's lock, and each of its commits finds
//	     its own epoch in the file (G23). Files are made under a lock of the directory. A
//	     store that bears a program's name is opened by no other that has one.
//	S10  The high-water mark in the file is the latest instant that was committed in
//	     the clock era on record there, which is that of its latest commit.
//	     No order hangs on it, nor on any other instant: sequence numbers and ranks
//	     never go back (G15).
//	S11  A call that is refused has changed nothing; so has an Open that is refused.
//	S12  What this reader does not know (a format, a record's version) or what is damaged
//	     is an error that names it, and is not written over.
//	S13  An app's keys begin with its number, which no other app of the file is ever
//	     given. An app that is deleted, or whose import is not complete, has its
//	     number on the list of the doomed, in the same commit that hides it.
//	S14  No snapshot of the file is open while code of a caller runs, except between
//	     App.Snapshot and Snapshot.Close, and in the visit of Store.Alarms: a volume
//	     cannot be reopened before they end.
//	S15  A Writer changes documents only. Jobs and triggers change through a JobWriter,
//	     which only the holder of the Tx can make.
//	S16  What the writers of Tx.Bounded have written, nested ones included, stays within
//	     their TxLimits (G24).
//	S17  Damage of a page is ErrCorrupt, which names file and page and, where it is
//	     known, the app. A change set that would write to a damaged page is refused before
//	     anything of its commit is written; those of other apps in it are not.
//	S18  A volume that cannot be written hurts no other. After two commits in a row that
//	     failed its change sets are refused for 10 ms to 10 s; those of one whose file cannot
//	     be written are committed while memory and log have room; after damage that every
//	     commit needs, or when its file has another owner or was replaced, for good.
//	S19  Close returns within seconds, also while a Snapshot is held, unless the disk stands still.
//	S20  A Backup is all volumes as of one moment. What Restore makes of it is verified before
//	     it can be opened, and shares no id, log or position with the original.
//	S21  A unique key has one row: of the one job of the key that is pending or held, else of
//	     one that is claimed, else of one that has ended, with the end of the row. A job
//	     of the key that has no row is claimed, and does not become pending again beside
//	     the one that has (G29).
//	S22  A job of an ordered pool has a turn exactly while it is held, or is pending, was
//	     tried before, and is not claimed (G27).
//	S23  An App has in memory what is paused and which limits of pools were set at run time, as
//	     of the last change submitted. One that is paused as a whole has no alarm but for what
//	     expires (G35).
//	S24  Each result beside the history is that of the job at its place, and the counters have
//	     the sum of their bytes (G33).
//	S25  While the record of a job with a parent is kept, the children of the parent have it;
//	     one that has a follow-up has it in the commit of each end (G32).
//	S26  Only the attempt that a job is claimed for saves a checkpoint, and its progress. The
//	     job has the checkpoint until it has ended for good, and the progress until the attempt
//	     has; the counters have the number of both, and the bytes of the former (G34).
//	S27  A group counts as pending those of the pending and held jobs that have its number; it has
//	     ended exactly if it is sealed and they are none, in the commit in which that came to
//	     be so, with its one follow-up (G32).
//	S28  A job that is pending outside is not claimed, has its unique key, if it has one, and is due when its
//	     attempt times out. Its record, and that of a claimed one that was answered, has the
//	     hash of the attempt's token; one that waits for another attempt has none (G33).
//	S29  The entry of a Tx.Audit is in the commit of what the Tx has changed. The audit log is no part of
//	     an app, and the file has the sum of its bytes.
//	S30  A step of an operation is one change set: what it does to jobs, and how far the operation
//	     has come. While one goes on, the alarm index has the app as due at once.
package storage
