package kv

import (
	"errors"

	"carillon/storage/internal/boltfile"
	"carillon/storage/internal/osdir"
	"carillon/storage/internal/overlay"
	"carillon/storage/internal/wal"
)

// Space is one flat, ordered key space.
type Space = boltfile.Space

// The spaces.
const (
	Meta   = boltfile.Meta
	Apps   = boltfile.Apps
	Alarms = boltfile.Alarms
	Doomed = boltfile.Doomed
	Data   = boltfile.Data
	spaces = int(Data) + 1
)

// Errors of opening, reading and writing.
var (
	ErrLocked    = boltfile.ErrLocked
	ErrBadFile   = boltfile.ErrBadFile
	ErrReplaced  = boltfile.ErrReplaced
	ErrDamaged   = boltfile.ErrDamaged
	ErrAbandoned = boltfile.ErrAbandoned
	// ErrRefused says that an Update was not applied and never will be.
	ErrRefused = wal.ErrRefused
	// ErrNoRoom is an ErrRefused of a DB whose layers or log are full while a checkpoint
	// cannot make room. It says why, and the DB need not be opened anew.
	ErrNoRoom = errors.New("no room for it before it can be copied")
	// ErrFull says that the log is as long as it may be.
	ErrFull = wal.ErrFull
)

// Fresh is the transaction in which a file is made.
type Fresh = boltfile.Txn

// Volume is which of the log's sequences is a DB's.
type Volume = wal.Volume

// Damage is an ErrDamaged that names the place.
type Damage = boltfile.Damage

// Cursor walks a space in byte order; each method returns a nil key at the end. What it
// returns is valid inside the fn of the Pin's Read.
type Cursor = overlay.Cursor

// CloseWait is how long Close waits for open Pins.
const CloseWait = boltfile.CloseWait

// What makes files and directories, and what looks at a value.
var (
	DamageOf = boltfile.DamageOf

	Create  = boltfile.Create
	MakeDir = osdir.Make
	LockDir = osdir.Lock
	SyncDir = osdir.Sync
)
