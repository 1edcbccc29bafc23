package storage

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"carillon/proto"
	"carillon/storage/internal/kv"
)

// An operation is something that is done to every job that a filter chooses, and that was there
// when they were counted. It is done in steps, each a commit of its own that says how far it has
// come, so that it goes on after a crash and changes no job twice for one count.
//
//	number ‖ 'O' ‖ 'g' ‖ operation    it goes on
//	number ‖ 'O' ‖ 'x' ‖ operation    it has ended
//
// While one goes on, the alarm index has the app as due at once, so that an engine wakes it.
const (
	operationGoing = 'g'
	operationOver  = 'x'
)

// Bounds of operations: MaxOperations is how many of an app may go on at a time, one of which
// is worked on, and KeepOperations how many that have ended are kept.
const (
	MaxOperations  = 100
	KeepOperations = 1000
)

// operationAlarm is when an app with an operation has something to do, in ms: at once.
const operationAlarm = 1

// OperationID names an operation within its app; 0 names none.
type OperationID uint64

// String is the number.
func (id OperationID) String() string { return strconv.FormatUint(uint64(id), 10) }

// OperationAction is what is done to the jobs.
type OperationAction string

// The actions.
const (
	OperationCancel OperationAction = "cancel" // pending, running and held ones
	OperationRetry  OperationAction = "retry"  // dead or held ones are pending again
	OperationDrop   OperationAction = "drop"   // dead or held ones are gone

	OperationReschedule OperationAction = "reschedule" // pending or held ones are due at another instant, or have another priority
	OperationRun        OperationAction = "run"        // pending ones that are due later, or held ones, are due now
)

// operationActions are all of them.
var operationActions = []OperationAction{OperationCancel, OperationRetry, OperationDrop, OperationReschedule, OperationRun}

// OperationOutcome is how an operation ended.
type OperationOutcome string

// The outcomes of operations.
const (
	OperationDone     OperationOutcome = "done"
	OperationCanceled OperationOutcome = "canceled" // by a person; what was done stays done
	OperationFailed   OperationOutcome = "failed"   // Operation.Error says why; what was done stays done
)

// AsOf is a moment in the history of an app: an operation is on no job that came later.
type AsOf struct {
	seq  uint64 // of a job that was scheduled last
	rank uint64 // of the job that ended, or was held, last
}

// String writes it down for ParseAsOf; "" is the zero one, which is no moment.
func (a AsOf) String() string {
	if a == (AsOf{}) {
		return ""
	}
	return strconv.FormatUint(a.seq, 10) + "-" + strconv.FormatUint(a.rank, 10)
}

// ParseAsOf reads what String has written. ErrInvalid if it has not.
func ParseAsOf(text string) (a AsOf, err error) {
	if text == "" {
		return a, nil
	}
	seq, rank, _ := strings.Cut(text, "-")
	a.seq, err = strconv.ParseUint(seq, 10, 63)
	if err == nil {
		a.rank, err = strconv.ParseUint(rank, 10, 63)
	}
	if err != nil || a.String() != text {
		return AsOf{}, invalid("%s is no moment of an app: want one that a count has answered", quote(text))
	}
	return a, nil
}

// Covers says whether the action is on a job that was there by then: retry and drop are on one that
// had ended or was held, the others on one that had been scheduled.
func (a AsOf) Covers(action OperationAction, job *Job) bool {
	if action == OperationRetry || action == OperationDrop {
		return uint64(job.place.ms) <= a.rank
	}
	return job.place.seq <= a.seq
}

// moment is the one that the counters are of. It is never the zero one.
func (c *counts) moment() AsOf {
	return AsOf{c.seq, max(c.ended, 1)}
}

// AsOf is the moment of what s reads: of all that was committed when a snapshot was taken.
func (s System) AsOf() (at AsOf, err error) {
	if tx := s.of.tx; tx != nil {
		if err := tx.lock(s.of.depth); err != nil {
			return at, err
		}
		defer tx.mu.Unlock()
		return tx.top().counts.moment(), nil
	}
	if err := s.of.snap.lock(); err != nil {
		return at, err
	}
	defer s.of.snap.mu.Unlock()
	n := s.of.keys
	s.of.reads.addUnder(n.number())
	err = s.of.snap.read(func(snap *kv.Snapshot) error {
		var c counts
		if data := snap.Get(kv.Data, n.prefix(tagMeta)); data != nil { // else there is no app yet
			if c, err = decodeCounts(data); err != nil {
				return err
			}
		}
		c.ended = n.lastRank(snap)
		at = c.moment()
		return nil
	})
	return at, err
}

// Operation is an operation, and how far it has come.
type Operation struct {
	ID        OperationID
	Action    OperationAction
	Filter    JobFilter // without Limit and Cursor
	By        string    // who has asked for it, at most 256 bytes of UTF-8
	Audited   bool      // By is an operator: when it ends the audit log is told, in the same commit
	CreatedAt time.Time
	AsOf      AsOf

	// Of a reschedule, which has one of them at least.
	Due      time.Time // of the jobs then; zero: it stays
	Priority int       // of the jobs then, 1 to 4; 0: it stays

	Counted    int  // how many jobs the filter chose then
	CountedAll bool // false: at least so many

	Done    int // jobs that were changed
	Damaged int // jobs that cannot be read, and were left as they are

	Outcome OperationOutcome // "" while it goes on
	EndedAt time.Time
	Error   *JobError // of one that failed

	// For engines: where the next step goes on, and whether this round through the jobs has
	// changed one.
	Cursor  string
	Changed bool
}

// Going says whether it has not ended.
func (o *Operation) Going() bool { return o.Outcome == "" }

// Check says what is wrong with an operation that is asked for, or nil: ErrInvalid.
func (o *Operation) Check() error {
	switch due := msOf(o.Due); {
	case !slices.Contains(operationActions, o.Action):
		return invalid("action %s, want cancel, retry, drop, reschedule or run", quote(string(o.Action)))
	case (o.Action == OperationReschedule) != (!o.Due.IsZero() || o.Priority != 0):
		return invalid("a reschedule has an instant or a priority, and no other operation has: this one is %s", quote(string(o.Action)))
	case !o.Due.IsZero() && (due < 1 || due > maxInstantMs):
		return invalid("due instant %v is not between 1970 and %v", o.Due, MaxInstant)
	case o.Priority < 0 || o.Priority > MaxPriority:
		return invalid("priority %d, want %d to %d", o.Priority, MinPriority, MaxPriority)
	case len(o.By) > MaxPauseBy || !utf8.ValidString(o.By):
		return invalid("who asks for an operation is %d bytes, want at most %d of UTF-8", len(o.By), MaxPauseBy)
	case o.Filter.Limit != 0 || o.Filter.Cursor != "" || o.Filter.Desc:
		return invalid("limit, cursor and desc are for listings: an operation is on every job that the filter chooses")
	}
	return o.Filter.Check()
}

func (n keyspace) operation(kind byte, id OperationID) []byte {
	return binary.BigEndian.AppendUint64(append(n.prefix(tagOperation), kind), uint64(id))
}

// operationOf is what the rest of a key is about.
func operationOf(rest []byte) (kind byte, id OperationID, ok bool) {
	if len(rest) != 1+8 || rest[0] != operationGoing && rest[0] != operationOver {
		return 0, 0, false
	}
	return rest[0], OperationID(binary.BigEndian.Uint64(rest[1:])), true
}

// operationName names what the rest of a key is about.
func operationName(rest []byte) string {
	if _, id, ok := operationOf(rest); ok {
		return fmt.Sprintf("operation %d", id)
	}
	return "key of no operation"
}

func encodeOperation(o *Operation) ([]byte, error) {
	filter, err := json.Marshal(&o.Filter)
	if err != nil {
		return nil, invalid("the filter: %v", err)
	}
	p := proto.Operation{
		Version: recordVersion, Action: string(o.Action), Filter: filter, By: o.By, CreatedAtMs: msOf(o.CreatedAt),
		AsOfSeq: o.AsOf.seq, AsOfRank: o.AsOf.rank, Counted: uint64(o.Counted), CountedMore: !o.CountedAll,
		Done: uint64(o.Done), Damaged: uint64(o.Damaged), Cursor: o.Cursor, Changed: o.Changed,
		Outcome: string(o.Outcome), EndedAtMs: msOf(o.EndedAt), DueMs: msOf(o.Due), Priority: uint32(o.Priority), Audited: o.Audited,
	}
	if o.Error != nil {
		p.Error = &proto.JobError{Code: o.Error.Code, Message: errorText(o.Error.Message)}
	}
	return p.MarshalVT()
}

func decodeOperation(id OperationID, data []byte) (*Operation, error) {
	var p proto.Operation
	if err := unmarshal(data, &p, &p.Version); err != nil {
		return nil, fmt.Errorf("operation %d: %w", id, err)
	}
	o := &Operation{
		ID: id, Action: OperationAction(p.Action), By: p.By, CreatedAt: timeOf(p.CreatedAtMs), AsOf: AsOf{p.AsOfSeq, p.AsOfRank},
		Counted: int(p.Counted), CountedAll: !p.CountedMore, Done: int(p.Done), Damaged: int(p.Damaged),
		Cursor: p.Cursor, Changed: p.Changed, Outcome: OperationOutcome(p.Outcome), EndedAt: timeOf(p.EndedAtMs),
		Due: timeOf(p.DueMs), Priority: int(p.Priority), Audited: p.Audited,
	}
	if p.Error != nil {
		o.Error = &JobError{Code: p.Error.Code, Message: p.Error.Message}
	}
	if err := json.Unmarshal(p.Filter, &o.Filter); err != nil {
		return nil, fmt.Errorf("operation %d: %w: its filter: %w", id, ErrCorrupt, err)
	}
	return o, nil
}

// NewOperation writes an operation down that goes on from then on, as of the moment that it
// names or else of this one. It returns it with its ID. ErrInvalid; ErrLimit if MaxOperations go on.
func (w JobWriter) NewOperation(o Operation) (Operation, error) {
	if err := o.Check(); err != nil {
		return Operation{}, err
	}
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return Operation{}, err
	}
	defer tx.mu.Unlock()
	c := &tx.top().counts
	if c.operations >= MaxOperations {
		return Operation{}, fmt.Errorf("%w: app %s has %d operations that go on, as many as it may", ErrLimit, tx.app.id, c.operations)
	}
	now := c.moment()
	switch {
	case o.AsOf == AsOf{}:
		o.AsOf = now
	case o.AsOf.seq > now.seq || o.AsOf.rank > now.rank:
		return Operation{}, invalid("the moment %s has not come: is it one of another app?", o.AsOf)
	}
	c.seq++
	c.operations++
	o.ID, o.CreatedAt = OperationID(c.seq), timeOf(tx.now.UnixMilli())
	o.Done, o.Damaged, o.Cursor, o.Changed, o.Outcome, o.EndedAt, o.Error = 0, 0, "", false, "", time.Time{}, nil
	data, err := encodeOperation(&o)
	if err != nil {
		return Operation{}, err
	}
	tx.put(tx.app.keys.operation(operationGoing, o.ID), data)
	return o, nil
}

// PutOperation writes down how far an operation that goes on has come, or that it has ended. ok is
// false if it does not go on any more.
func (w JobWriter) PutOperation(o *Operation) (ok bool, err error) {
	data, err := encodeOperation(o)
	if err != nil {
		return false, err
	}
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return false, err
	}
	defer tx.mu.Unlock()
	key, c := tx.app.keys.operation(operationGoing, o.ID), &tx.top().counts
	if was, err := tx.get(key); err != nil || was == nil {
		return false, err
	}
	if o.Going() {
		tx.put(key, data)
		return true, nil
	}
	tx.delete(key)
	tx.put(tx.app.keys.operation(operationOver, o.ID), data)
	if o.Audited {
		end := AuditEntry{At: tx.now, App: tx.app.id, Operator: o.By, IDs: []string{o.ID.String()}, Count: o.Done}
		end.Action = fmt.Sprintf("operation %s %s: %d jobs", o.Action, o.Outcome, o.Done)
		tx.audit = append(tx.audit, end.encode())
	}
	c.operations--
	c.overOperations++
	_, err = tx.purgeOperations(time.Time{}, KeepOperations)
	return err == nil, err
}

// PurgeOperations deletes operations that ended before the instant. It returns how many.
func (tx *Tx) PurgeOperations(before time.Time) (n int, err error) {
	if err := tx.lockTop(); err != nil {
		return 0, err
	}
	defer tx.mu.Unlock()
	return tx.purgeOperations(before, KeepOperations)
}

// purgeOperations deletes operations that ended before the instant, and the oldest of more
// than keep.
func (tx *Tx) purgeOperations(before time.Time, keep int) (n int, err error) {
	c := &tx.top().counts
	excess := int(c.overOperations) - keep
	if c.overOperations == 0 || excess <= 0 && before.IsZero() {
		return 0, nil
	}
	prefix := append(tx.app.keys.prefix(tagOperation), operationOver)
	rows, err := tx.rows(prefix, after(prefix), false, math.MaxInt)
	if err != nil {
		return 0, err
	}
	for _, r := range rows {
		_, id, _ := operationOf(tail(r.key))
		o, err := decodeOperation(id, r.value)
		if excess > 0 || err == nil && o.EndedAt.Before(before) {
			tx.delete(r.key)
			c.overOperations--
			excess--
			n++
		}
	}
	return n, nil
}

// NextOperation returns the operation that goes on and was asked for first. ok is false if none
// does. One that cannot be read has an ID and nothing else beside the error. ErrInvalid, beside the
// operation, says that it has a condition or an action that this release does not know.
func (s System) NextOperation() (o Operation, ok bool, err error) {
	prefix := append(s.of.keys.prefix(tagOperation), operationGoing)
	rows, err := s.of.rows(prefix, after(prefix), false, 1)
	if err != nil || len(rows) == 0 {
		return Operation{}, false, err
	}
	_, id, _ := operationOf(tail(rows[0].key))
	found, err := decodeOperation(id, rows[0].value)
	if err != nil {
		return Operation{ID: id}, true, fmt.Errorf("app %s: %w", s.of.app.id, err)
	}
	if err := found.known(rows[0].value); err != nil {
		return *found, true, fmt.Errorf("app %s: %w", s.of.app.id, err)
	}
	return *found, true, nil
}

// known says, with ErrInvalid, what the record of the operation has that this release does not know.
// A newer one has written it: without a condition the operation would be on more jobs than were
// counted, and of an action nothing is known.
func (o *Operation) known(data []byte) error {
	if !slices.Contains(operationActions, o.Action) {
		return invalid("operation %d has the action %s, which this release does not know: ask for it at a newer one", o.ID, quote(string(o.Action)))
	}
	var p proto.Operation
	if err := unmarshal(data, &p, &p.Version); err != nil {
		return err
	}
	strict := json.NewDecoder(bytes.NewReader(p.Filter))
	strict.DisallowUnknownFields()
	if err := strict.Decode(new(JobFilter)); err != nil {
		return invalid("operation %d has a condition that this release does not know (%v): ask for it at a newer one", o.ID, err)
	}
	return nil
}

// Operation returns the operation. ok is false if there is none of that number.
func (s System) Operation(id OperationID) (o Operation, ok bool, err error) {
	for _, kind := range []byte{operationGoing, operationOver} {
		data, err := s.of.get(s.of.keys.operation(kind, id))
		if err != nil {
			return Operation{}, false, err
		}
		if data != nil {
			found, err := decodeOperation(id, data)
			if err != nil {
				return Operation{}, false, fmt.Errorf("app %s: %w", s.of.app.id, err)
			}
			return *found, true, nil
		}
	}
	return Operation{}, false, nil
}

// OperationFilter chooses operations.
type OperationFilter struct {
	Going  bool        // only those that have not ended
	Before OperationID // only those that were asked for before this one: where the page before has ended; 0: all
	Limit  int         // how many, 1 to 1,000; 0 means 100
}

// Operations returns the operations that the filter chooses, the latest first. The next page is
// that before the last one of this. One that cannot be read has failed, and its Error says why.
func (s System) Operations(f OperationFilter) (list []Operation, err error) {
	if f.Limit < 0 || f.Limit > maxPage {
		return nil, fmt.Errorf("%w: limit %d, want 1 to %d", ErrInvalid, f.Limit, maxPage)
	}
	if f.Limit == 0 {
		f.Limit = defaultPage
	}
	kinds := []byte{operationGoing, operationOver}
	if f.Going {
		kinds = kinds[:1]
	}
	for _, kind := range kinds {
		prefix := append(s.of.keys.prefix(tagOperation), kind)
		end := after(prefix)
		if f.Before != 0 {
			end = s.of.keys.operation(kind, f.Before)
		}
		rows, err := s.of.rows(prefix, end, true, f.Limit)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			_, id, _ := operationOf(tail(r.key))
			o, err := decodeOperation(id, r.value)
			if err != nil {
				o = &Operation{ID: id, Outcome: OperationFailed, Error: &JobError{Code: "data_loss", Message: cannotRead(err)}}
			}
			list = append(list, *o)
		}
	}
	slices.SortFunc(list, func(a, b Operation) int { return int(b.ID - a.ID) })
	return list[:min(len(list), f.Limit)], nil
}

// Operations returns how many operations go on, as of the last change submitted. Any goroutine may
// ask.
func (a *App) Operations() int { return int(a.operationsNow.Load()) }

// EndedOperations returns how many operations that have ended are kept, as of the last change
// submitted.
func (a *App) EndedOperations() int { return int(a.counts.overOperations) }

// operations verifies them.
func (c *jobCheck) operations() {
	for k, v := range c.n.all(c.snap, tagOperation) {
		kind, id, ok := operationOf(tail(k))
		if !ok {
			c.bad("key %q of an operation", tail(k))
			continue
		}
		o, err := decodeOperation(id, v)
		if err != nil {
			c.failed(err)
		} else if o.Going() != (kind == operationGoing) {
			c.bad("operation %d has the outcome %q at a key of kind %c", id, o.Outcome, kind)
		}
		if uint64(id) > c.want.seq {
			c.bad("operation %d has a number above the last assigned, %d", id, c.want.seq)
		}
		if kind == operationGoing {
			c.got.operations++
		} else {
			c.got.overOperations++
		}
	}
}
