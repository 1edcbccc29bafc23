package kv

// MaxAge is how long a change waits for a checkpoint.
const MaxAge = maxAge
