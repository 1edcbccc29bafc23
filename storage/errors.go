package storage

import "errors"

// Errors of a call whose input is at fault. The call changed nothing.
var (
	// ErrInvalid is returned when an argument breaks a documented bound.
	ErrInvalid = errors.New("invalid argument")
	// ErrNotFound is returned when no document has the id, or no app the name.
	ErrNotFound = errors.New("not found")
	// ErrExists is returned when an id or a name is already held.
	ErrExists = errors.New("already exists")
	// ErrLimit is returned when a documented size or count would be exceeded.
	ErrLimit = errors.New("limit exceeded")
	// ErrSealed is returned when a group takes no more members, or not from this caller.
	ErrSealed = errors.New("group is sealed")
	// ErrPermanent is matched, beside the sentinel of its kind, by an error that stays
	// the same however often the call is repeated: a document is too large, or cannot
	// be encoded; a transaction would write more than one may.
	ErrPermanent = errors.New("repeating it does not help")
	// ErrTxLimit is returned when a transaction would write more than one may
	// (TxLimits). ErrPermanent is matched, too.
	ErrTxLimit = permanent(errors.New("limit of one transaction exceeded"))
	// ErrConflict is returned for a change to a version of a document that is not the present one.
	ErrConflict = errors.New("not the present version")
	// ErrUndeclared is returned when a table with indexes is used that the store was not opened with.
	ErrUndeclared = errors.New("table is not declared")
	// ErrNotBuilt is returned when an app's indexes are used before Tx.ReconcileIndexes
	// brought them in line with the declared ones, which the engine does first of all.
	ErrNotBuilt = errors.New("index is not built")
)

// Errors of a transaction used at the wrong time.
var (
	// ErrTxDone is returned by every use of a transaction that has ended: its handler
	// returned, or overran its deadline and lost the turn.
	ErrTxDone = errors.New("transaction is over")
	// ErrReentrant is returned when an outer transaction is used while a nested one
	// is open, or when an app is called from inside its own turn.
	ErrReentrant = errors.New("reentrant use of a transaction")
)

// Errors of the volume.
var (
	// ErrUnknownOutcome is returned when a commit failed in a way that leaves open
	// whether it happened. Read again before you repeat the call.
	ErrUnknownOutcome = errors.New("outcome of the commit is unknown")
	// ErrNotApplied is returned when a change was dropped, certainly unapplied,
	// because a commit it was built upon failed.
	ErrNotApplied = errors.New("change was not applied")
	// ErrUnavailable is returned while a volume is down, that is, could not be reopened yet.
	ErrUnavailable = errors.New("volume is unavailable")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("store is closed")
	// ErrProgram is returned when the store belongs to another program than Options.Program.
	ErrProgram = errors.New("store of another program")
	// ErrLocked is returned when another process, or another open store, owns the volume.
	ErrLocked = errors.New("volume is in use")
	// ErrFormat is returned when a volume or a record is of a format this reader does not know.
	ErrFormat = errors.New("unknown format")
	// ErrCorrupt is returned when what is read breaks an invariant.
	ErrCorrupt = errors.New("corrupt")
	// ErrReadOnly is returned for a change to a store that was opened with Options.ReadOnly.
	ErrReadOnly = errors.New("store is open for reading only")
	// ErrFenced is returned when a commit finds that another owner has taken the volume.
	ErrFenced = errors.New("volume has another owner")
)

// permanent marks err as one that matches ErrPermanent.
func permanent(err error) error { return &permanentError{err} }

type permanentError struct{ error }

// Unwrap returns the error of the kind.
func (e *permanentError) Unwrap() error { return e.error }

// Is implements errors.Is.
func (e *permanentError) Is(target error) bool { return target == ErrPermanent }
