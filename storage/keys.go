package storage

import (
	"bytes"
	"encoding/binary"
	"iter"

	"carillon/storage/internal/kv"
)

// An app's keys all begin with its number, so that one flat key space serves
// 10,000 small apps as well as one of a million jobs; nested buckets cost a
// page or more an app (docs/adr/001-layout.md has the figures).
//
//	number ‖ 'm'                               counters
//	number ‖ 'q' ‖ due ‖ seq                   job: the sorted job bucket
//	number ‖ 'r' ‖ due ‖ seq                   claim of the job at the same place
//	number ‖ 'w' ‖ held ‖ seq                  job: held
//	number ‖ 'h' ‖ completed ‖ seq             job: history
//	number ‖ 'x' ‖ completed ‖ seq             job: dead
//	number ‖ 'R' ‖ completed ‖ seq             result of the job at the same place of the history: results.go
//	number ‖ 'k' ‖ job id                      region ‖ place, unless the id says it
//	number ‖ 'c' ‖ trigger                     cron trigger
//	number ‖ 'l' ‖ trigger ‖ 0 ‖ slot          how the slot ended
//	number ‖ 'b' ‖ trigger ‖ 0 ‖ …             the trigger's backlog: backlog.go
//	number ‖ 'p' ‖ …                           (empty) the job's lanes: lane.go
//	number ‖ 'e' ‖ …                           (empty) jobs with a NotAfter: notafter.go
//	number ‖ 'j' ‖ …                           (empty) the job has its turn: ordered.go
//	number ‖ 'y' ‖ …                           unique keys: unique.go
//	number ‖ 'o' ‖ seq ‖ name                  what a job has scheduled once: once.go
//	number ‖ 'f' ‖ parent ‖ 0 ‖ seq            id of a job that another one scheduled: chains.go
//	number ‖ 'n' ‖ seq ‖ …                     checkpoint and progress of a job: notes.go
//	number ‖ 'G' ‖ kind ‖ …                    groups of jobs: groups.go
//	number ‖ 'I' ‖ kind ‖ …                    idempotency keys: idempotency.go
//	number ‖ 'L' ‖ seq ‖ …                     log lines of a job's attempts: joblog.go
//	number ‖ 'O' ‖ kind ‖ operation            operations on many jobs: operations.go
//	number ‖ 'g' ‖ kind ‖ name                 what is paused, limits of pools: controls.go
//	number ‖ 'v' ‖ …                           when attempts of a pool began: startlog.go
//	number ‖ 's' ‖ table                       what indexes the table has
//	number ‖ 't' ‖ table ‖ 0 ‖ document id     document
//	number ‖ 'i' ‖ table ‖ 0 ‖ index ‖ 0 ‖ fields ‖ document id   (empty)
type tag byte

const (
	tagMeta     tag = 'm'
	tagQueue    tag = 'q'
	tagClaim    tag = 'r'
	tagHeld     tag = 'w'
	tagHistory  tag = 'h'
	tagDead     tag = 'x'
	tagID       tag = 'k'
	tagSchema   tag = 's'
	tagTrigger  tag = 'c'
	tagSlot     tag = 'l'
	tagBacklog  tag = 'b'
	tagLane     tag = 'p'
	tagLast     tag = 'e'
	tagTurn     tag = 'j'
	tagDocument tag = 't'
	tagIndex    tag = 'i'
	tagMisfit   tag = 'u'
	tagUnique   tag = 'y'
	tagOnce     tag = 'o'
	tagStart    tag = 'v'
	tagControl  tag = 'g'
	tagResult   tag = 'R'
	tagChild    tag = 'f'
	tagNotes    tag = 'n'
	tagGroup    tag = 'G'
	tagLog      tag = 'L'

	tagIdempotency tag = 'I'
	tagOperation   tag = 'O'
)

// tags are all there are: an import refuses keys of any other.
var tags = []tag{tagMeta, tagQueue, tagClaim, tagHeld, tagHistory, tagDead, tagID, tagSchema, tagTrigger, tagSlot, tagBacklog, tagLane, tagLast, tagTurn, tagDocument, tagIndex, tagMisfit, tagUnique, tagOnce, tagStart, tagControl, tagResult, tagChild, tagNotes, tagGroup, tagLog, tagIdempotency, tagOperation}

// numberLen is the length of an app's number in a key.
const numberLen = 4

// keyspace makes the keys of one app.
type keyspace uint32

func (n keyspace) prefix(t tag) []byte {
	b := make([]byte, 0, numberLen+1+placeLen)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	return append(b, byte(t))
}

func (n keyspace) number() []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(n))
}

func (n keyspace) place(t tag, p place) []byte { return p.append(n.prefix(t)) }

func (n keyspace) name(t tag, name string) []byte { return append(n.prefix(t), name...) }

// numberOf is the number that a key begins with.
func numberOf(key []byte) keyspace { return keyspace(binary.BigEndian.Uint32(key)) }

// all are the app's keys of the tag with what is under them, in order. They are good until
// the next one.
func (n keyspace) all(snap *kv.Snapshot, t tag) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		prefix := n.prefix(t)
		c := snap.Cursor(kv.Data)
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix) && yield(k, v); k, v = c.Next() {
		}
	}
}

// tail is what follows number and tag: nothing of a key that damage has made shorter.
func tail(key []byte) []byte { return key[min(len(key), numberLen+1):] }

// placeOf is where the key of a region of jobs, or of a claim, lies.
func placeOf(key []byte) place { return decodePlace(tail(key)) }

// placeIn is where a key of the region lies. ok is false for any other key, and nil.
func (n keyspace) placeIn(t tag, key []byte) (p place, ok bool) {
	prefix := n.prefix(t)
	if len(key) != len(prefix)+placeLen || !bytes.HasPrefix(key, prefix) {
		return place{}, false
	}
	return placeOf(key), true
}

// after is the first key behind all keys that begin with prefix; nil means
// there is no such bound.
func after(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}

// alarmKey is the key of an app in the volume's alarm index.
func alarmKey(dueMs int64, n keyspace) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 12), uint64(dueMs))
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

func decodeAlarmKey(key []byte) (dueMs int64, n keyspace) {
	return int64(binary.BigEndian.Uint64(key)), keyspace(binary.BigEndian.Uint32(key[8:]))
}
