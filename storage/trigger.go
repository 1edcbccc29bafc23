package storage

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"carillon/proto"
)

// Overlap says what becomes of a tick that comes due while one of its trigger
// still runs, or waits for its retry.
type Overlap string

// The overlap policies. "" is OverlapSkip.
const (
	OverlapSkip    Overlap = "skip"    // the slot is skipped
	OverlapQueue   Overlap = "queue"   // it waits for the other's end; slots that come meanwhile are skipped
	OverlapAllow   Overlap = "allow"   // both run
	OverlapReplace Overlap = "replace" // the other is canceled, for good
)

// CatchUpMode says which of the slots that were missed are run late.
type CatchUpMode string

// The catch-up modes. "" is CatchUpOne.
const (
	CatchUpOne  CatchUpMode = "one"  // the latest one, if it lies within Window
	CatchUpNone CatchUpMode = "none" // none
	CatchUpAll  CatchUpMode = "all"  // the latest Limit of those within Window
)

// CatchUp says what becomes of slots that passed while nothing could run: the
// engine was down, or the clock was stepped. A slot less than 5 s late is not missed.
type CatchUp struct {
	Mode   CatchUpMode
	Limit  int           // of CatchUpAll, 1 to 1,000; 0 means 100
	Window time.Duration // of CatchUpOne and CatchUpAll: how old such a slot may be; 0 means no bound
}

// Trigger is a cron trigger of one app: its definition, its one pending tick,
// and how its last run went. Package storage knows nothing of what Spec means.
type Trigger struct {
	Name     string
	Spec     string
	Zone     string // IANA name; "" is UTC
	Function string
	Args     []byte // JSON
	Overlap  Overlap
	CatchUp  CatchUp
	AtStart  bool          // it has no Spec, and ticks once in each epoch of its volume
	Jitter   time.Duration // bound of the delay; each app and trigger has its own, always the same
	Retry    *Retry        // of its ticks; nil means their function's, or the default one up to the next slot
	// AtMostOnce, Timeout, Claims and Tags are those of its ticks, and of its runs by hand.
	AtMostOnce bool
	Timeout    time.Duration // 0 means the function's own
	Claims     []byte        // the identity they run as, as JSON; nil is anonymous
	Tags       []string      // see CheckTags
	// SuccessWithin is how long without a success is too long; 0 means that nothing is.
	SuccessWithin time.Duration
	Declared      bool // by the program; false: made at run time

	Paused      bool
	PauseReason string

	// Fault is why the trigger cannot tick, such as a zone that this machine does
	// not know; "" if it can. A faulty trigger has neither Next nor NextJob.
	Fault      string
	unreadable bool // only Name and Fault are known

	CreatedAt time.Time
	Seq       uint64    // jobs of the app with a lesser Job.Seq are older than the trigger; 0 is not known
	Anchor    time.Time // the phase of an interval
	Next      time.Time // the slot of the pending tick; zero if there is none
	NextJob   JobID     // its job

	Decided time.Time // the latest slot that was fired, skipped or canceled; none is twice

	LastSlot    time.Time // of the last tick that ended
	LastJob     JobID
	LastState   State // "" if none has ended
	LastEndedAt time.Time
	LastError   *JobError
	LastSuccess time.Time // the slot of the latest tick that succeeded

	LastSuccessSeq uint64    // that tick's Job.Seq
	LastSuccessAt  time.Time // when a tick, or a run by hand, last ended as a success

	HeldJob JobID // the tick that is held; "" if none is

	Started uint64 // of AtStart: the latest App.Epoch that has had its tick

	// Marks are how far the trigger had come in what went before each clock era in which
	// a slot was decided, the latest last.
	Marks []TriggerMark
	// Spent are the slots that have fired or were canceled, by instant: they do not come
	// again, though the wall is set back before them.
	Spent []SlotSpan

	Backfill *Backfill // the latest that was asked for; nil: none ever was
}

// TriggerMark is what a trigger was like when the first slot was decided in a clock era.
// For engines.
type TriggerMark struct {
	Era            EraID
	Decided        time.Time
	LastSuccess    time.Time
	LastSuccessSeq uint64
}

// SlotSpan is a run of slots, From and To among them. For engines.
type SlotSpan struct {
	From, To time.Time
	Merged   bool // it was made of two, and slots between them are in it
}

// SlotOutcome is how a slot of a trigger ended.
type SlotOutcome string

// The outcomes of slots.
const (
	// SlotFired means that its tick was begun: an attempt has begun, is about to, or is
	// held. It does not mean that the run had an effect, and does not change with what
	// comes of it, which is the job's state: a run that fails, or that replace cancels
	// before it has done anything, leaves its slot fired. Of one that was replaced the
	// reason tells.
	SlotFired    SlotOutcome = "fired"
	SlotSkipped  SlotOutcome = "skipped"  // see the reason
	SlotCanceled SlotOutcome = "canceled" // its tick was canceled before it began
	// SlotUndone means that the slot was skipped by a clock that was ahead, and is yet
	// to come: then it has another entry.
	SlotUndone SlotOutcome = "undone"
)

// Slot is how one slot of a trigger, or a run of slots with one reason, ended.
type Slot struct {
	From    time.Time
	To      time.Time // the last slot of the run; From if it is one
	Count   int       // slots in the run; 0 means too many to count
	Outcome SlotOutcome
	Reason  string
	Job     JobID     // of a fired or canceled slot: its state is what came of it
	At      time.Time // when that was decided
}

// MaxTriggers bounds the triggers of one app, MaxTriggerName the length of a
// name in bytes, MaxCatchUp CatchUp.Limit, and keptSlots how many entries of its
// slot log a trigger keeps.
const (
	MaxTriggers    = 1000
	MaxTriggerName = 64
	MaxCatchUp     = 1000
	keptSlots      = 200
)

// tickPrefix opens the id of a tick's job. It has a ':', which no caller-chosen id has.
const tickPrefix = "cron:"

// TickID is the id of the job of a trigger's slot: the same however often it is
// worked out, so that no slot can have two. For engines.
func TickID(trigger string, slot time.Time) JobID {
	return JobID(tickPrefix + trigger + ":" + strconv.FormatInt(slot.UnixMilli(), 10))
}

// StartID is the id of the job of a trigger AtStart in an epoch of its volume. For engines.
func StartID(trigger string, epoch uint64) JobID {
	return JobID(tickPrefix + trigger + ":start:" + strconv.FormatUint(epoch, 10))
}

// tickID is the id of the trigger's pending tick.
func (t *Trigger) tickID() JobID {
	if t.AtStart {
		return StartID(t.Name, t.Started)
	}
	return TickID(t.Name, t.Next)
}

// CheckTriggerName says whether the name can be a trigger's. For engines.
func CheckTriggerName(name string) error {
	// A name of dots only would be a path segment of another meaning.
	if !nameOK(name, "_-.") || len(name) > MaxTriggerName || strings.Trim(name, ".") == "" {
		return fmt.Errorf("%w: trigger name %s: want 1 to %d of A-Z a-z 0-9 _ . - and not dots only", ErrInvalid, quote(name), MaxTriggerName)
	}
	return nil
}

func encodeTrigger(t *Trigger) []byte {
	p := &proto.Trigger{
		Version: recordVersion, Spec: t.Spec, Zone: t.Zone, Function: t.Function, Args: t.Args,
		Overlap: string(t.Overlap), CatchUp: string(t.CatchUp.Mode), CatchUpLimit: uint32(t.CatchUp.Limit),
		CatchUpWindowMs: t.CatchUp.Window.Milliseconds(), JitterMs: t.Jitter.Milliseconds(), Retry: encodeRetry(t.Retry),
		Declared: t.Declared, Paused: t.Paused, PauseReason: t.PauseReason, AnchorMs: msOf(t.Anchor),
		NextMs: msOf(t.Next), NextJob: string(t.NextJob), CreatedAtMs: msOf(t.CreatedAt),
		LastSlotMs: msOf(t.LastSlot), LastJob: string(t.LastJob), LastState: storedState(t.LastState),
		LastEndedAtMs: msOf(t.LastEndedAt), LastSuccessMs: msOf(t.LastSuccess),
		AtMostOnce: t.AtMostOnce, TimeoutMs: t.Timeout.Milliseconds(), Claims: t.Claims,
		SuccessWithinMs: t.SuccessWithin.Milliseconds(), LastSuccessAtMs: msOf(t.LastSuccessAt),
		DecidedMs: msOf(t.Decided), Fault: t.Fault, Seq: t.Seq, LastSuccessSeq: t.LastSuccessSeq,
		HeldJob: string(t.HeldJob), AtStart: t.AtStart, Started: t.Started, Tags: t.Tags,
	}
	for _, m := range t.Marks {
		p.Marks = append(p.Marks, &proto.TriggerMark{
			Era: uint64(m.Era), DecidedMs: msOf(m.Decided), LastSuccessMs: msOf(m.LastSuccess), LastSuccessSeq: m.LastSuccessSeq,
		})
	}
	for _, s := range t.Spent {
		p.Spent = append(p.Spent, &proto.SlotSpan{FromMs: msOf(s.From), ToMs: msOf(s.To), Merged: s.Merged})
	}
	if e := t.LastError; e != nil {
		p.LastError = &proto.JobError{Code: e.Code, Message: e.Message}
	}
	p.Backfill = encodeBackfill(t.Backfill)
	return encoded(p.MarshalVT())
}

func decodeTrigger(name string, data []byte) (Trigger, error) {
	var p proto.Trigger
	if err := unmarshal(data, &p, &p.Version); err != nil {
		return Trigger{}, fmt.Errorf("trigger %s: %w", name, err)
	}
	for _, ms := range []int64{p.JitterMs, p.CatchUpWindowMs, p.TimeoutMs, p.SuccessWithinMs, p.Retry.GetBaseMs(), p.Retry.GetMaxMs()} {
		if ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
			return Trigger{}, fmt.Errorf("trigger %s: %w: a span of %d ms", name, ErrCorrupt, ms)
		}
	}
	if p.CatchUpLimit > MaxCatchUp {
		return Trigger{}, fmt.Errorf("trigger %s: %w: a catch-up of %d slots", name, ErrCorrupt, p.CatchUpLimit)
	}
	for _, none := range []*[]byte{&p.Args, &p.Claims} {
		if len(*none) == 0 {
			*none = nil // which is what empty ones are written down as
		}
	}
	t := Trigger{
		Name: name, Spec: p.Spec, Zone: p.Zone, Function: p.Function, Args: p.Args, Overlap: Overlap(p.Overlap),
		CatchUp: CatchUp{CatchUpMode(p.CatchUp), int(p.CatchUpLimit), time.Duration(p.CatchUpWindowMs) * time.Millisecond},
		Jitter:  time.Duration(p.JitterMs) * time.Millisecond, Retry: decodeRetry(p.Retry),
		Declared: p.Declared, Paused: p.Paused, PauseReason: p.PauseReason, Anchor: timeOf(p.AnchorMs),
		Next: timeOf(p.NextMs), NextJob: JobID(p.NextJob), CreatedAt: timeOf(p.CreatedAtMs),
		LastSlot: timeOf(p.LastSlotMs), LastJob: JobID(p.LastJob), LastEndedAt: timeOf(p.LastEndedAtMs), LastSuccess: timeOf(p.LastSuccessMs),
		AtMostOnce: p.AtMostOnce, Timeout: time.Duration(p.TimeoutMs) * time.Millisecond, Claims: p.Claims,
		SuccessWithin: time.Duration(p.SuccessWithinMs) * time.Millisecond, LastSuccessAt: timeOf(p.LastSuccessAtMs),
		Decided: timeOf(p.DecidedMs), Fault: p.Fault, Seq: p.Seq, LastSuccessSeq: p.LastSuccessSeq,
		HeldJob: JobID(p.HeldJob), AtStart: p.AtStart, Started: p.Started, Tags: p.Tags,
	}
	for _, m := range p.Marks {
		t.Marks = append(t.Marks, TriggerMark{EraID(m.Era), timeOf(m.DecidedMs), timeOf(m.LastSuccessMs), m.LastSuccessSeq})
	}
	for _, s := range p.Spent {
		t.Spent = append(t.Spent, SlotSpan{timeOf(s.FromMs), timeOf(s.ToMs), s.Merged})
	}
	if !t.LastEndedAt.IsZero() {
		t.LastState = stateOf(p.LastState)
	}
	t.Backfill = decodeBackfill(p.Backfill)
	if p.LastError != nil {
		t.LastError = &JobError{Code: p.LastError.Code, Message: p.LastError.Message}
	}
	return t, nil
}

// Trigger returns the app's trigger of that name; ok is false if there is none.
func (s System) Trigger(name string) (t Trigger, ok bool, err error) {
	data, err := s.of.get(s.of.keys.name(tagTrigger, name))
	if err != nil || data == nil {
		return Trigger{}, false, err
	}
	t, err = decodeTrigger(name, data)
	t.Args = shownArgs(t.Args)
	return t, err == nil, err
}

// Unreadable says whether the trigger stands in a listing for a record that cannot be
// read: Fault says why, and nothing but the name is known.
func (t *Trigger) Unreadable() bool { return t.unreadable }

// Triggers returns all triggers of the app, by name. There are MaxTriggers at most.
// One that cannot be read does not spoil the rest: it is Unreadable.
func (s System) Triggers() ([]Trigger, error) {
	prefix := s.of.keys.prefix(tagTrigger)
	var triggers []Trigger
	for r, err := range s.of.scan(prefix, after(prefix), false) {
		if err != nil {
			return nil, err
		}
		name := string(tail(r.key))
		t, err := decodeTrigger(name, r.value)
		if err != nil {
			t = Trigger{Name: name, Fault: cannotRead(err), unreadable: true}
		}
		t.Args = shownArgs(t.Args)
		triggers = append(triggers, t)
	}
	return triggers, nil
}

// Slots returns how the trigger's latest slots ended, what was decided last first,
// 1 to limit entries. The log keeps the last 200. Of an entry that cannot be read the
// Outcome is "", and Reason says why.
func (s System) Slots(trigger string, limit int) ([]Slot, error) {
	if limit < 1 {
		return nil, fmt.Errorf("%w: limit %d, want 1 or more", ErrInvalid, limit)
	}
	log, err := readSlots(s.of.rows, s.of.keys.slots(trigger), true, min(limit, keptSlots))
	if err != nil {
		return nil, err
	}
	slots := make([]Slot, 0, len(log.rows))
	for i := range log.rows {
		slot, err := log.slot(i)
		if err != nil {
			at := timeOf(int64(log.rank(i)))
			slot = Slot{From: at, To: at, Reason: cannotRead(err)}
		}
		slots = append(slots, slot)
	}
	return slots, nil
}

// slotRows are rows of a slot log, by rank.
type slotRows struct {
	rows   []row
	prefix int // length of what their keys have before the rank
}

// readSlots reads up to limit rows of the slot log that has the prefix.
func readSlots(read func(from, to []byte, reverse bool, limit int) ([]row, error), prefix []byte, reverse bool, limit int) (slotRows, error) {
	rows, err := read(prefix, after(prefix), reverse, limit)
	return slotRows{rows, len(prefix)}, err
}

func (l *slotRows) rank(i int) uint64 { return binary.BigEndian.Uint64(l.rows[i].key[l.prefix:]) }

// slot is what a row says.
func (l *slotRows) slot(i int) (Slot, error) {
	var p proto.Slot
	if err := unmarshal(l.rows[i].value, &p, &p.Version); err != nil {
		return Slot{}, err
	}
	s := Slot{
		From: timeOf(p.FromMs), To: timeOf(p.ToMs), Count: int(p.Count),
		Outcome: SlotOutcome(p.Outcome), Reason: p.Reason, Job: JobID(p.Job), At: timeOf(p.AtMs),
	}
	if p.FromMs == 0 {
		s.From = timeOf(int64(l.rank(i)))
	}
	return s, nil
}

// encodeSlot is the record of a slot log's entry of that rank.
func encodeSlot(s *Slot, rank uint64) []byte {
	p := proto.Slot{
		Version: recordVersion, ToMs: msOf(s.To), Count: uint32(s.Count), Outcome: string(s.Outcome),
		Reason: errorText(s.Reason), Job: string(s.Job), AtMs: msOf(s.At),
	}
	if from := uint64(msOf(s.From)); from != rank {
		p.FromMs = int64(from)
	}
	return encoded(p.MarshalVT())
}

func (n keyspace) slots(trigger string) []byte { return append(n.name(tagSlot, trigger), 0) }

// PutTrigger stores the trigger, new or changed, in the transaction of w, and numbers a
// new backfill. The engine sees to it that Next and NextJob say the truth, and those of the
// backfill. ErrLimit if it is new and the app has MaxTriggers.
func (w JobWriter) PutTrigger(t *Trigger) error {
	if err := CheckTriggerName(t.Name); err != nil {
		return err
	}
	if t.unreadable {
		return fmt.Errorf("%w: trigger %s: %s", ErrCorrupt, t.Name, t.Fault)
	}
	for _, text := range []string{t.Spec, t.Zone, t.Function, string(t.Overlap), string(t.CatchUp.Mode), t.PauseReason, string(t.NextJob), t.Fault} {
		if !utf8.ValidString(text) {
			return fmt.Errorf("%w: trigger %s: %s is not UTF-8", ErrInvalid, t.Name, quote(text))
		}
	}
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return err
	}
	defer tx.mu.Unlock()
	key := tx.app.keys.name(tagTrigger, t.Name)
	old, err := tx.get(key)
	if err != nil {
		return err
	}
	if old == nil {
		t.Seq = tx.top().counts.seq + 1 // never 0, which is not known
		prefix := tx.app.keys.prefix(tagTrigger)
		rows, err := tx.rows(prefix, after(prefix), false, MaxTriggers)
		if err != nil {
			return err
		}
		if len(rows) == MaxTriggers {
			return fmt.Errorf("%w: app %s has %d triggers, as many as it may", ErrLimit, tx.app.id, MaxTriggers)
		}
	}
	if b := t.Backfill; b != nil && b.Number == 0 {
		b.Number = tx.top().counts.seq + 1 // the first job of it has this number or a later one
	}
	data := encodeTrigger(t)
	if err := w.v.spare(0, 1, len(key)+len(data)); err != nil {
		return err
	}
	tx.put(key, data)
	return nil
}

// DeleteTrigger removes the trigger and its slot log. Its pending tick is the
// engine's to withdraw.
func (w JobWriter) DeleteTrigger(name string) error {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return err
	}
	defer tx.mu.Unlock()
	prefix := tx.app.keys.slots(name)
	log, err := readSlots(tx.rows, prefix, false, keptSlots+1)
	if err != nil {
		return err
	}
	if err := w.v.spare(0, 1+len(log.rows), len(name)+len(log.rows)*len(prefix)); err != nil {
		return err
	}
	tx.delete(tx.app.keys.name(tagTrigger, name))
	for _, r := range log.rows {
		tx.delete(r.key)
	}
	return nil
}

// LogSlot writes down how a slot of the trigger, or a run of them, ended, in the
// place of what an entry of that one slot said before, or else as the latest
// entry. It drops what is too old from the log.
func (w JobWriter) LogSlot(trigger string, s Slot) error { return w.logSlot(trigger, s, false) }

// RelogSlot writes down anew how the one slot has ended that an entry of the log is of. It
// does nothing if that entry has left the log: what is as old is not told any more.
func (w JobWriter) RelogSlot(trigger string, s Slot) error { return w.logSlot(trigger, s, true) }

func (w JobWriter) logSlot(trigger string, s Slot, again bool) error {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return err
	}
	defer tx.mu.Unlock()
	prefix := tx.app.keys.slots(trigger)
	log, err := readSlots(tx.rows, prefix, false, keptSlots+2)
	if err != nil {
		return err
	}
	from := uint64(msOf(s.From))
	rank, known := from, false
	for i := len(log.rows) - 1; i >= 0 && !known; i-- {
		at := log.rank(i)
		if at < from {
			break // no entry has a rank below its first slot
		}
		rank = max(rank, at+1)
		was, err := log.slot(i)
		if err != nil {
			continue // a read of the log returns the error
		}
		if was.From.Equal(s.From) && was.To.Equal(was.From) && was.Outcome != SlotUndone {
			rank, known = at, true
		}
	}
	if again && !known {
		return nil
	}
	data := encodeSlot(&s, rank)
	if err := w.v.spare(0, 2, 2*len(prefix)+len(data)); err != nil {
		return err
	}
	tx.put(binary.BigEndian.AppendUint64(append([]byte{}, prefix...), rank), data)
	if !known {
		for _, r := range log.rows[:max(0, len(log.rows)+1-keptSlots)] {
			tx.delete(r.key)
		}
	}
	return nil
}

// InsertTick stores the job of a trigger's slot under its TickID, or the id that it
// has, in the transaction of w. ErrExists if the slot has a job already. Options.MaxJobs and
// Options.MaxArgBytes are not asked: a trigger that could not tick would be lost.
func (w JobWriter) InsertTick(job Job) (JobID, error) {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return "", err
	}
	defer tx.mu.Unlock()
	if job.ID == "" {
		job.ID = TickID(job.Trigger, job.Slot)
	}
	return w.v.insert(job)
}

// RemoveTick takes a tick that has not begun out of the bucket, leaving no row
// behind: what its slot came to is the engine's to log. ok is false if it has
// begun or ended. One whose record cannot be read is taken out as well, and what the
// trigger's backlog has of it.
func (w JobWriter) RemoveTick(id JobID) (ok bool, err error) {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return false, err
	}
	defer tx.mu.Unlock()
	p, t, found, err := tx.locate(id)
	if err != nil || !found || t != tagQueue {
		return false, err
	}
	keys := tx.app.keys
	data, err := tx.get(keys.place(tagQueue, p))
	if err != nil {
		return false, err
	}
	var stray [][]byte // keys of its backlog that the record does not tell
	job, err := decodeJob(p, data)
	if err != nil {
		job = Job{ID: id, Priority: DefaultPriority, place: p} // nothing can run it
		if stray, err = tx.backlogOf(id); err != nil {
			return false, err
		}
		stray = append(stray, keys.laneKeys(&Job{Priority: TickPriority, place: p})...)
	} else if job.Attempts > 0 {
		return false, nil
	}
	claim, err := tx.get(keys.place(tagClaim, p))
	if err != nil {
		return false, err
	}
	if err := w.v.spare(0, 4+len(stray), len(id)); err != nil {
		return false, err
	}
	if claim != nil {
		if tx.onCancel != nil && tx.onCancel(id) {
			return false, nil
		}
		tx.delete(keys.place(tagClaim, p))
		tx.top().counts.claimed--
		tx.top().canceled = append(tx.top().canceled, id)
	}
	tx.removeBacklog(&job)
	for _, key := range stray {
		tx.delete(key)
	}
	if stray != nil {
		tx.top().counts.argBytes = -1 // what it had is not known
	}
	tx.takePending(&job)
	tx.noteGone(&job)
	tx.delete(keys.name(tagID, string(id)))
	return true, nil
}

// triggerOf reads the trigger of a tick that is about to end: nil if the job is no
// tick, or its trigger was deleted. A damaged trigger keeps no tick from ending.
func (tx *Tx) triggerOf(job *Job) (*Trigger, error) {
	if job.Trigger == "" {
		return nil, nil
	}
	data, err := tx.get(tx.app.keys.name(tagTrigger, job.Trigger))
	if err != nil || data == nil {
		return nil, err
	}
	t, err := decodeTrigger(job.Trigger, data)
	if err != nil {
		return nil, nil // a read of the trigger returns the error
	}
	return &t, nil
}

// noteTick writes down in its trigger how a tick has ended.
func (tx *Tx) noteTick(job *Job, state State, t *Trigger) {
	if t == nil || job.Attempts == 0 && state == StateCanceled {
		return // it never began
	}
	t.LastJob, t.LastState, t.LastEndedAt, t.LastError = job.ID, state, tx.now, job.Error
	if state == StateSuccess {
		t.LastSuccessAt = tx.now
	}
	if !job.Slot.IsZero() && job.Backfill == 0 {
		t.LastSlot = job.Slot
		if state == StateSuccess && job.place.seq > t.LastSuccessSeq {
			t.LastSuccess, t.LastSuccessSeq = job.Slot, job.place.seq
		}
	}
	tx.put(tx.app.keys.name(tagTrigger, t.Name), encodeTrigger(t))
}
