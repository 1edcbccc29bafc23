package storage

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"carillon/storage/internal/wal"
)

// TestG45_EveryKeyFitsACheckpoint: the longest key of each kind, with its space, is one that the
// checkpoint of a log in a database can have.
func TestG45_EveryKeyFitsACheckpoint(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	n, p := keyspace(1), place{ms: maxPlaceMs, seq: 1}
	lane := Lane{Pool: long(maxPoolName), Key: long(maxPoolKey)}
	name, function := long(maxNameLen), long(maxFunction)
	job := &Job{ID: JobID(name), Function: function, Parent: JobID(name), Pool: lane.Pool, PoolKey: lane.Key, Priority: MaxPriority, place: p}
	hash := make([]byte, 32)
	if !bytes.Equal(n.documents(name), append(append(n.prefix(tagDocument), name...), 0)) {
		t.Fatal("names of tables are not what they were")
	}
	longest := map[tag][]byte{
		tagMeta:     n.prefix(tagMeta),
		tagQueue:    n.place(tagQueue, p),
		tagClaim:    n.place(tagClaim, p),
		tagHeld:     n.place(tagHeld, p),
		tagHistory:  n.place(tagHistory, p),
		tagDead:     n.place(tagDead, p),
		tagResult:   n.place(tagResult, p),
		tagID:       n.name(tagID, name),
		tagSchema:   n.name(tagSchema, name),
		tagTrigger:  n.name(tagTrigger, long(MaxTriggerName)),
		tagSlot:     append(n.slots(long(MaxTriggerName)), hash[:placeLen]...),
		tagBacklog:  append(n.backlog(long(MaxTriggerName), 'f'), hash[:2*placeLen]...),
		tagLane:     p.append(append(n.lane(lane), MaxPriority)),
		tagLast:     n.lastKey(tagQueue, job),
		tagTurn:     p.append(append(n.turns(lane), turnHeld)),
		tagDocument: append(n.documents(name), long(documentIDLen)...),
		tagIndex:    append(append(n.indexEntries(name, name), long(maxIndexKey)...), long(documentIDLen)...),
		tagMisfit:   append(n.misfits(name, name), long(documentIDLen)...),
		tagUnique:   n.keyUntil(maxPlaceMs, keyIn(function, long(MaxKey))),
		tagOnce:     n.once(1, long(MaxKey)),
		tagStart:    n.start(lane, ClaimID{Incarnation: 1, Token: 1}),
		tagControl:  n.pause(Scope{Function: function}),
		tagChild:    n.child(job),
		tagNotes:    n.checkpoint(1, MaxCheckpoint),
		tagGroup:    append(n.group(groupEnded, 1), hash[:8]...),
		tagLog:      n.log(1, 1, 1),

		tagIdempotency: n.keptUntil(keptSpare, maxPlaceMs, 1, hash),
		tagOperation:   n.operation('g', 1),
	}
	for _, kind := range tags {
		if len(longest[kind]) == 0 || !bytes.HasPrefix(longest[kind], n.prefix(kind)) {
			t.Errorf("of the kind %q there is no key", kind)
		}
		if size := 1 + len(longest[kind]); size > wal.MaxKey {
			t.Errorf("a key of the kind %q has %d bytes, of %d at most", kind, size, wal.MaxKey)
		}
	}
	for _, key := range [][]byte{tokenKey(name), auditKey(1), metaDeclared, metaHighWater} {
		if 1+len(key) > wal.MaxKey {
			t.Errorf("key %.20s has %d bytes", key, 1+len(key))
		}
	}
}

// TestG45_AFunctionHasALength: a function's path is part of keys, of a pause, and of a unique key.
func TestG45_AFunctionHasALength(t *testing.T) {
	for _, function := range []string{strings.Repeat("f", maxFunction), strings.Repeat("f", maxFunction+1)} {
		long := len(function) > maxFunction
		errs := []error{checkStored(&Job{Function: function}), Scope{Function: function}.Check()}
		if slices.ContainsFunc(errs, func(err error) bool { return errors.Is(err, ErrInvalid) != long }) {
			t.Errorf("of %d bytes: %v", len(function), errs)
		}
	}
}
