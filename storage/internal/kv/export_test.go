package kv

import "carillon/storage/internal/wal"

// MaxAge is how long a change waits for a checkpoint.
const MaxAge = maxAge

// LogOf is a Log of a store that is at hand.
func LogOf(log wal.Log) *Log { return &Log{Log: log} }
