package storage

import (
	"bytes"
	"errors"
	"fmt"

	"carillon/storage/internal/kv"
)

// damageOf says in this package's words what is wrong with a value, nil if nothing is.
func damageOf(value []byte) error {
	if d := kv.DamageOf(value); d != nil {
		return readError(d)
	}
	return nil
}

// readError says in this package's words what kept the file from being read.
func readError(err error) error {
	switch {
	case errors.Is(err, kv.ErrDamaged):
		if d, ok := errors.AsType[*kv.Damage](err); ok && d.Key != nil {
			return fmt.Errorf("%w: %s: %w", ErrCorrupt, keyText(d.Space, d.Key), err)
		}
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case errors.Is(err, kv.ErrAbandoned):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// damageOf is damageOf of one of the app's values.
func (a *App) damageOf(value []byte) error {
	if err := damageOf(value); err != nil {
		return fmt.Errorf("app %s: %w", a.id, err)
	}
	return nil
}

// appOf looks for the app of that number, in the place of an index that is damaged; "" if
// there is none.
func appOf(snap *kv.Snapshot, n keyspace) AppID {
	c := snap.Cursor(kv.Apps)
	for k, entry := c.First(); k != nil; k, entry = c.Next() {
		if number, err := decodeEntry(entry); err == nil && number == n {
			return AppID(k)
		}
	}
	return ""
}

// keyText says in plain words what is under a key, which may be damaged itself.
func keyText(space kv.Space, key []byte) string {
	switch space {
	case kv.Meta:
		return "what the file says of itself: " + quote(string(key))
	case kv.Apps:
		return "entry of app " + quote(string(key))
	case kv.Alarms:
		return "entry of the alarm index"
	case kv.Doomed:
		return "mark of a deleted app"
	}
	if len(key) <= numberLen {
		return "key of no app"
	}
	t, rest := tag(key[numberLen]), tail(key)
	parts := bytes.SplitN(rest, []byte{0}, 3)
	name := func(i int) string {
		if i >= len(parts) {
			return quote("")
		}
		return quote(string(parts[i]))
	}
	if job, ok := jobKinds[t]; ok {
		if len(rest) != placeLen {
			return job
		}
		return fmt.Sprintf("%s at %d/%d", job, placeOf(key).ms, placeOf(key).seq)
	}
	switch t {
	case tagMeta:
		return "counters"
	case tagID:
		return "place of job " + name(0)
	case tagSchema:
		return "schema of table " + name(0)
	case tagTrigger:
		return "trigger " + name(0)
	case tagSlot:
		return "slot of trigger " + name(0)
	case tagBacklog:
		return "backlog of trigger " + name(0)
	case tagLane:
		return "lane of a job"
	case tagLast:
		return "last instant of a job"
	case tagTurn:
		return "turn of a job"
	case tagStart:
		return "start log of pool " + name(0)
	case tagDocument:
		return "document " + name(1) + " of table " + name(0)
	case tagIndex:
		return "entry of index " + name(1) + " of table " + name(0)
	case tagUnique:
		if key, ok := uniqueOf(rest); ok {
			return "unique key " + quote(key)
		}
	case tagChild:
		return "child of job " + name(0)
	case tagNotes:
		return "checkpoint or progress of a job"
	case tagIdempotency:
		return "idempotency key"
	case tagGroup:
		return groupName(rest)
	case tagLog:
		return "log lines of a job"
	case tagOperation:
		return operationName(rest)
	case tagOnce:
		return "what a job has scheduled once"
	case tagControl:
		return "record of the " + controlName(rest)
	case tagMisfit:
		return "document that index " + name(1) + " of table " + name(0) + " leaves out"
	}
	return "key of no kind"
}

// jobKinds are the kinds of keys that end with the place of a job.
var jobKinds = map[tag]string{
	tagQueue: "pending job", tagClaim: "claim of the job", tagHeld: "held job", tagDead: "dead job", tagHistory: "finished job", tagResult: "result of the job",
}
