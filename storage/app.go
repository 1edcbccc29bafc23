package storage

import (
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"carillon/proto"
	"carillon/storage/internal/kv"
)

// counts is an app's counters.
type counts struct {
	seq     uint64 // last number assigned, to a job or a document
	pending uint64 // rows of the sorted job bucket, claimed ones included
	claimed uint64
	done    uint64
	dead    uint64
	ended   uint64 // rank of the job that ended, or was held, last; not in the counters, but in their keys

	held   uint64
	heldBy string // registry that the first of them were held by

	deadSince int64 // ms; from when the age of dead jobs counts, at the earliest; 0: not known yet
	corrected EraID // up to where steps of the clock have been made up for

	lasting     uint64 // unique keys whose jobs have ended
	onceParents uint64 // jobs that have scheduled others once

	argBytes   int64  // of the arguments of pending and held jobs; -1: not known (argbytes.go)
	results    uint64 // bytes of results beside the records of their jobs
	notes      uint64 // keys of checkpoints and progress
	saved      uint64 // bytes of those checkpoints
	logs       uint64 // attempts with log lines
	logged     uint64 // bytes of those
	groups     uint64 // that have not ended
	over       uint64 // groups that have
	keyed      uint64 // idempotency keys
	keyedBytes uint64 // bytes of their rows
	oldest     place  // no result lies before it; not in the counters
	controls   uint64 // pauses, and limits of pools that were set at run time
	paused     bool   // the app as a whole

	operations     uint64 // that go on
	overOperations uint64 // that have ended
}

// App is the state of one app. Exactly one owner at a time calls Begin, Commit
// and Reload: the one that holds the app's turn. Any goroutine may call Snapshot.
// For engines.
type App struct {
	id   AppID
	vol  *volume
	keys keyspace

	// Below: the turn's.
	stored    bool // the app has keys in the file or in the overlay
	laned     laned
	lasts     atomic.Bool // there may be jobs with a NotAfter
	starts    atomic.Bool // a lane may have a start log
	counts    counts
	overlay   overlay
	claims    map[string]struct{} // keys of the claims submitted since the last load and not dropped since
	submitted uint64              // number of the last change set submitted
	tx        *Tx

	durable  atomic.Uint64 // number of the last change set known to be durable
	broken   atomic.Bool   // a change set failed: nothing more is applied until Reload
	live     atomic.Pointer[func(JobID) bool]
	waitsFor atomic.Pointer[func(*Job) (Wait, string)]
	progress atomic.Pointer[func(JobID) *Progress]
	clock    atomic.Pointer[func() (time.Time, EraID)]
	stops    atomic.Pointer[func(string) JobID]
	names    atomic.Pointer[func(string) []string]

	controls atomic.Pointer[Controls] // as of the last change submitted; nil: there are none

	schema                    map[string]*tableInfo // the tables the store was opened with
	maxJobs                   atomic.Int64
	maxArgs                   atomic.Int64 // SetMaxArgBytes
	mostKept                  atomic.Int64 // SetMaxResultBytes
	mostSaved                 atomic.Int64 // SetMaxCheckpointBytes
	mostLogged                atomic.Int64 // SetMaxLogBytes
	mostKeyed, mostKeyedBytes uint64       // MaxIdempotencyKeys and MaxIdempotencyBytes
	retention                 atomic.Int64
	registry                  string // SetRegistry

	waits waits // in the committer's queue, and guarded by it

	deadRetention           atomic.Int64
	deadSince               atomic.Int64  // counts.deadSince, for readers
	finished                atomic.Int64  // counts.done, for readers
	heldNow                 atomic.Int64  // counts.held, for readers
	argsNow                 atomic.Int64  // counts.argBytes, for readers
	resultsNow              atomic.Int64  // counts.results, for readers
	notesNow                atomic.Int64  // counts.notes, for readers
	savedNow                atomic.Int64  // counts.saved, for readers
	loggedNow               atomic.Int64  // counts.logged, for readers
	keyedNow, keyedBytesNow atomic.Int64  // counts.keyed and keyedBytes, for readers
	corrected               atomic.Uint64 // counts.corrected, for readers
	operationsNow           atomic.Uint64 // counts.operations, for readers

	// Below: the committer's.
	commit   uint64 // number of the volume's latest commit that has a change set of the app
	seq      uint64 // the latest sequence number as of the change set that is answered
	filed    filed
	filing   filed  // what it will say if the batch is committed
	counters counts // the counters after the batch
	requeued bool   // the batch has a write in the sorted job bucket
	enqueued string // the first key that it puts there, if any
	relasted bool   // the same of jobs with a NotAfter
	lasted   string
}

// filed is what the file says about an app, beside its keys.
type filed struct {
	entered  bool   // it has an entry
	counters counts // its counters
	alarm    int64  // instant under which the alarm index has it; 0 is none
	due      int64  // of its first job; 0 is none
	from     string // no key of the sorted job bucket lies before it
	last     int64  // alarm of its first job with a NotAfter; 0 is none
	lastFrom string // no key of those lies before it
}

// ID returns the app's name.
func (a *App) ID() AppID { return a.id }

// Epoch numbers the times that a process has opened the app's volume: it is greater
// in each one than in any before.
func (a *App) Epoch() uint64 { return a.vol.epoch }

// Stored says whether the app exists: its first change has been submitted.
func (a *App) Stored() bool { return a.stored }

// History returns how many finished jobs are kept, as of the last change
// submitted. Any goroutine may ask.
func (a *App) History() int { return int(a.finished.Load()) }

// publish has readers see the counters as they are now.
func (a *App) publish() {
	a.deadSince.Store(a.counts.deadSince)
	a.finished.Store(int64(a.counts.done))
	a.heldNow.Store(int64(a.counts.held))
	a.argsNow.Store(a.counts.argBytes)
	a.resultsNow.Store(int64(a.counts.results))
	a.notesNow.Store(int64(a.counts.notes))
	a.savedNow.Store(int64(a.counts.saved))
	a.loggedNow.Store(int64(a.counts.logged))
	a.keyedNow.Store(int64(a.counts.keyed))
	a.keyedBytesNow.Store(int64(a.counts.keyedBytes))
	a.operationsNow.Store(a.counts.operations)
	corrected := a.counts.corrected
	if !a.stored {
		corrected = math.MaxUint64 // nothing of it is older than a step
	}
	a.corrected.Store(uint64(corrected))
}

// Dead returns how many dead jobs are kept, as of the last change submitted.
func (a *App) Dead() int { return int(a.counts.dead) }

// SetDeadRetention sets how long dead jobs are kept for readers; 0 or less is for
// ever. It is exact for readers at once; PurgeDead deletes the rows.
func (a *App) SetDeadRetention(d time.Duration) { a.deadRetention.Store(int64(d)) }

// SetMaxJobs sets how many jobs the app may have, pending, running and held, instead of
// Options.MaxJobs. n is 1 or more. It counts from the next transaction on.
func (a *App) SetMaxJobs(n int) { a.maxJobs.Store(int64(n)) }

// SetRetention sets how long finished jobs are kept for readers; 0 is for ever.
// It is exact for readers at once; PurgeHistory deletes the rows.
func (a *App) SetRetention(d time.Duration) { a.retention.Store(int64(d)) }

// SetLive sets what says whether a claimed job's handler has started: only the
// engine knows. Until it is set no job shows as running. It may be called from
// any goroutine and must not block.
func (a *App) SetLive(started func(JobID) bool) { a.live.Store(&started) }

// SetWaits sets what says what a pending job waits for (Job.Wait, Job.Reason). It may be
// called from any goroutine and must not block.
func (a *App) SetWaits(waits func(*Job) (Wait, string)) { a.waitsFor.Store(&waits) }

// SetStopping sets what says which canceled job of a unique key (Job.UniqueKey) still
// runs, "" if none does. It may be called from any goroutine and must not block.
func (a *App) SetStopping(fn func(key string) JobID) { a.stops.Store(&fn) }

// SetNames sets what says which other paths the function of a path has, or had: its unique
// keys are the same under all of them. It may be called from any goroutine and must not block.
func (a *App) SetNames(fn func(function string) []string) { a.names.Store(&fn) }

func (a *App) otherNames(function string) []string {
	if fn := a.names.Load(); fn != nil {
		return (*fn)(function)
	}
	return nil
}

func (a *App) stopping(key string) JobID {
	if fn := a.stops.Load(); fn != nil {
		return (*fn)(key)
	}
	return ""
}

func (a *App) started(id JobID) bool {
	fn := a.live.Load()
	return fn != nil && (*fn)(id)
}

// Begin is BeginIn of the era that lasts.
func (a *App) Begin(now time.Time) *Tx { return a.BeginIn(a.vol.clock.Load().id(), now) }

// BeginIn opens a transaction on top of everything submitted so far. now is the
// instant that it writes down, of the clock era. It panics if a transaction is
// open: that turn was not given back.
func (a *App) BeginIn(era EraID, now time.Time) *Tx {
	if a.tx != nil {
		panic("storage: S3: app " + string(a.id) + ": a transaction is open")
	}
	if a.keys == 0 {
		// Not known outside until the first change set is durable.
		a.keys = a.vol.nextNumber()
	}
	a.trim()
	tx := &Tx{app: a, era: era, now: now, began: a.counts.seq}
	tx.base.counts = a.counts
	if !a.stored && a.vol.clock.Load().stepped() {
		tx.base.counts.corrected = era // nothing of it is older
	}
	tx.layers = append(tx.stack[:0], &tx.base)
	a.tx = tx
	return tx
}

// overlay is what was submitted and is not known to be durable. It is two
// buffers, so that what has become durable is dropped a buffer at a time and not
// key by key: the older one holds the change sets up to olderTo.
type overlay struct {
	newer, older *buffer
	olderTo      uint64
}

// newestFirst returns the overlay's buffers.
func (o *overlay) newestFirst() [2]*buffer { return [2]*buffer{o.newer, o.older} }

// get returns the overlay's word on the key.
func (o *overlay) get(key string) (write, bool) {
	if w, ok := o.newer.m.Get(key); ok {
		return w, true
	}
	return o.older.m.Get(key)
}

// trim drops from the overlay what has become durable, before a snapshot of
// the file is opened that therefore has it.
func (a *App) trim() {
	durable := a.durable.Load()
	switch {
	case a.submitted == durable:
		if a.overlay.newer.m.Len()+a.overlay.older.m.Len() > 0 {
			a.overlay = newOverlay()
		}
	case durable >= a.overlay.olderTo:
		a.overlay = overlay{newer: new(buffer), older: a.overlay.newer, olderTo: a.submitted}
	}
}

func newOverlay() overlay { return overlay{newer: new(buffer), older: new(buffer)} }

// InFlight says whether a change set is on its way to the disk.
func (a *App) InFlight() bool { return a.durable.Load() < a.submitted }

// Settle calls fn when each change set of the app was answered, from the committer's
// goroutine or from Settle itself. fn must not block.
func (a *App) Settle(fn func()) {
	a.vol.submit(&changeSet{app: a, n: a.submitted, done: func(error) { fn() }})
}

// Committed is the number of the commit of the change set that is being answered: one of
// those of the app's volume, which ascend, over restarts, too. It is for the done of a Commit.
func (a *App) Committed() uint64 { return a.commit }

// Snapshot opens the app's committed state. It does not wait for the turn.
func (a *App) Snapshot(now time.Time) (*Snapshot, error) {
	pin, err := a.vol.begin()
	if err != nil {
		return nil, err
	}
	return a.snapshot(pin, now)
}

// SnapshotAt is Snapshot that says which commit is the last that it has.
func (a *App) SnapshotAt(now time.Time) (*Snapshot, uint64, error) {
	pin, place, err := a.vol.beginAt()
	if err != nil {
		return nil, 0, err
	}
	snap, err := a.snapshot(pin, now)
	if err == nil {
		snap.place = place
	}
	return snap, place.Seq, err
}

func (a *App) snapshot(pin *kv.Pin, now time.Time) (*Snapshot, error) {
	// a.keys is the turn's. An app that is not in the file has number 0 here,
	// under which there is nothing.
	var n keyspace
	err := pin.Read(func(snap *kv.Snapshot) (err error) {
		if entry := snap.Get(kv.Apps, []byte(a.id)); entry != nil {
			n, err = decodeEntry(entry)
		}
		return err
	})
	if err != nil {
		pin.Close()
		return nil, fmt.Errorf("app %s: %w", a.id, readError(err))
	}
	s := &Snapshot{pin: pin}
	s.v = view{keys: n, now: now, app: a, snap: s}
	return s, nil
}

// enqueue makes the buffer a change set, lays it over the app's state and gives it
// to the committer.
func (a *App) enqueue(l *layer, cs *changeSet) {
	l.counts.seq = max(l.counts.seq, a.counts.seq)
	if l.m.Len() == 0 {
		a.counts.seq = l.counts.seq
		a.vol.submit(&changeSet{app: a, n: a.submitted, awaited: cs.awaited, done: cs.done})
		return
	}
	a.counts = l.counts
	a.stored = true
	a.publish()
	a.submitted++
	cs.app, cs.n, cs.counts, cs.writes = a, a.submitted, a.counts, &l.buffer
	a.overlay.newer.join(&l.buffer)
	a.noteClaims(&l.buffer)
	a.noteControls(&l.buffer)
	a.vol.submit(cs)
}

// noteClaims keeps in memory which claims there are, so that the end of an
// attempt need not ask the file whether the job is claimed (S5).
func (a *App) noteClaims(b *buffer) {
	prefix := string(a.keys.prefix(tagClaim))
	b.m.Ascend(prefix, func(key string, w write) bool {
		switch {
		case !strings.HasPrefix(key, prefix):
			return false
		case w.deleted:
			delete(a.claims, key)
		default:
			a.claims[key] = struct{}{}
		}
		return true
	})
}

func (c counts) encode() []byte {
	p := proto.App{Version: recordVersion, Seq: c.seq, Pending: c.pending, Claimed: c.claimed, Done: c.done, Dead: c.dead, DeadSinceMs: c.deadSince, Held: c.held, HeldBy: c.heldBy, Corrected: uint64(c.corrected), Lasting: c.lasting, OnceParents: c.onceParents, ArgBytes: uint64(c.argBytes + 1), Controls: c.controls, Paused: c.paused, ResultBytes: c.results, Notes: c.notes, CheckpointBytes: c.saved, Groups: c.groups, EndedGroups: c.over, IdempotencyKeys: c.keyed, IdempotencyBytes: c.keyedBytes, Logs: c.logs, LogBytes: c.logged, Operations: c.operations, EndedOperations: c.overOperations}
	return encoded(p.MarshalVT())
}

func decodeCounts(data []byte) (counts, error) {
	var p proto.App
	if err := unmarshal(data, &p, &p.Version); err != nil {
		return counts{}, fmt.Errorf("counters: %w", err)
	}
	return counts{seq: p.Seq, pending: p.Pending, claimed: p.Claimed, done: p.Done, dead: p.Dead, deadSince: p.DeadSinceMs, held: p.Held, heldBy: p.HeldBy, corrected: EraID(p.Corrected), lasting: p.Lasting, onceParents: p.OnceParents, argBytes: int64(p.ArgBytes) - 1, controls: p.Controls, paused: p.Paused, results: p.ResultBytes, notes: p.Notes, saved: p.CheckpointBytes, groups: p.Groups, over: p.EndedGroups, keyed: p.IdempotencyKeys, keyedBytes: p.IdempotencyBytes, logs: p.Logs, logged: p.LogBytes, operations: p.Operations, overOperations: p.EndedOperations}, nil
}

// load reads what of the app is in the file into a.
func (a *App) load(snap *kv.Snapshot) error {
	a.stored, a.filed, a.counts = false, filed{}, counts{seq: a.counts.seq, ended: a.counts.ended}
	a.publish()
	a.overlay, a.claims = newOverlay(), map[string]struct{}{}
	a.controls.Store(nil)
	entry := snap.Get(kv.Apps, []byte(a.id))
	if entry == nil {
		return nil
	}
	n, err := decodeEntry(entry)
	if err != nil {
		return err
	}
	a.keys, a.stored = n, true
	c, err := decodeCounts(snap.Get(kv.Data, a.keys.prefix(tagMeta)))
	if err != nil {
		return err
	}
	a.laned.load(a.keys, snap)
	a.loadControls(snap, c)
	due, last := a.keys.alarms(snap)
	if last != 0 {
		a.lasts.Store(true)
	}
	a.filed = filed{entered: true, counters: c, alarm: c.alarm(due, last), due: due, last: last}
	if c.argBytes < 0 {
		c.argBytes = a.keys.sumArgs(snap)
	}
	a.loadStarts(snap)
	c.ended = max(a.keys.lastRank(snap), a.counts.ended)
	// A number assigned in memory stays assigned, though its change was lost.
	c.seq = max(c.seq, a.counts.seq)
	a.counts = c
	a.publish()
	return nil
}

// Abandon drops the transaction that a holder of the turn left open when it
// panicked.
func (a *App) Abandon() {
	if a.tx != nil {
		a.tx.Rollback(nil)
	}
}

// RetryIn is how long Reload will fail from now on, because the volume applies no
// change sets; 0 if Reload may succeed.
func (a *App) RetryIn() time.Duration { return a.vol.backoff.wait() }

// Reload forgets everything that was submitted and reads the app from the
// file anew, after a commit error. No change set may be under way. It fails while
// the volume applies no change sets, since they would be refused.
func (a *App) Reload() error {
	a.Abandon()
	if err := a.vol.backoff.refusal(); err != nil {
		return err
	}
	a.submitted = max(a.submitted, a.durable.Load())
	a.durable.Store(a.submitted)
	if err := a.read(a.load); err != nil {
		return err
	}
	a.broken.Store(false)
	return nil
}

// lastRank is the rank of the app's job that ended, or was held, last, 0 if there is
// none.
func (n keyspace) lastRank(snap *kv.Snapshot) (rank uint64) {
	for _, t := range []tag{tagHeld, tagHistory, tagDead} {
		prefix := n.prefix(t)
		rows, _ := collect(snap, nil, prefix, after(prefix), true, page(1))
		for _, r := range rows {
			rank = max(rank, uint64(placeOf(r.key).ms))
		}
	}
	return rank
}

// read runs fn on a snapshot of the file. Its errors name the app.
func (a *App) read(fn func(*kv.Snapshot) error) error {
	if err := a.vol.read(fn); err != nil {
		return fmt.Errorf("app %s: %w", a.id, err)
	}
	return nil
}

// dueAt is the due instant of the app's first job in ms, 0 if it has none, by the
// first key that is not before its sorted job bucket.
func (n keyspace) dueAt(key []byte) int64 {
	p, ok := n.placeIn(tagQueue, key)
	if !ok {
		return 0
	}
	return max(p.ms, 1)
}

// alarms are when the app's first job is due, and when the first of those with a NotAfter may
// not begin any more, in ms; 0: there is none.
func (n keyspace) alarms(snap *kv.Snapshot) (due, last int64) {
	first, _ := snap.Cursor(kv.Data).Seek(n.prefix(tagQueue))
	due = n.dueAt(first)
	first, _ = snap.Cursor(kv.Data).Seek(n.prefix(tagLast))
	return due, n.lastAt(first)
}

// alarm is the instant in ms at which the alarm index has the app, by those that alarms has
// found. What is paused is not due. What has an operation that goes on is, at once.
func (c counts) alarm(due, last int64) int64 {
	if c.operations > 0 {
		return operationAlarm
	}
	if c.paused {
		due = 0
	}
	return sooner(due, last)
}

// sooner is the earlier of two alarms, of which 0 is none.
func sooner(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
