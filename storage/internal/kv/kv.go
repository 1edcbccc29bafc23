// Package kv is what is under a volume: the file of the sorted copy, until the log stands
// before it.
package kv

import "carillon/storage/internal/boltfile"

// What storage uses of the file.
type (
	DB       = boltfile.DB
	Options  = boltfile.Options
	Space    = boltfile.Space
	Pin      = boltfile.Pin
	Snapshot = boltfile.Snapshot
	Cursor   = boltfile.Cursor
	Txn      = boltfile.Txn
	Damage   = boltfile.Damage
)

// The spaces of a file.
const (
	Meta   = boltfile.Meta
	Apps   = boltfile.Apps
	Alarms = boltfile.Alarms
	Doomed = boltfile.Doomed
	Data   = boltfile.Data
)

// Errors of opening and reading a file.
var (
	ErrLocked     = boltfile.ErrLocked
	ErrBadFile    = boltfile.ErrBadFile
	ErrNotDurable = boltfile.ErrNotDurable
	ErrReplaced   = boltfile.ErrReplaced
	ErrDamaged    = boltfile.ErrDamaged
	ErrAbandoned  = boltfile.ErrAbandoned
)

// CloseWait is how long Close waits for open Pins.
const CloseWait = boltfile.CloseWait

// What makes and opens files.
var (
	Create  = boltfile.Create
	Open    = boltfile.Open
	MakeDir = boltfile.MakeDir
	LockDir = boltfile.LockDir
	SyncDir = boltfile.SyncDir
)
