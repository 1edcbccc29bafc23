package kv

import "carillon/storage/internal/wal"

// MaxAge is how long a change waits for a checkpoint.
const MaxAge = maxAge

// LogOf is a Log of a store that is at hand.
func LogOf(log wal.Log) *Log { return &Log{Log: log} }

// FoldCopied is Fold of what the copy has.
func (db *DB) FoldCopied() error { return db.foldAll() }

// SetUnfolded bounds the bytes of the records that are not folded.
func (db *DB) SetUnfolded(bytes int) { db.shard.bound = bytes }

// SetFoldRead bounds the bytes of keys that one fold reads of the log.
func (db *DB) SetFoldRead(bytes int) { db.shard.read = bytes }

// SetKept bounds the bytes of the records that are kept when they were folded.
func (db *DB) SetKept(bytes int) { db.shard.kept = bytes }

// KeptFor is how long they are kept else.
const KeptFor = keptFor

// Unfolded is about how many they are.
func (db *DB) Unfolded() int {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.unfolded()
}
