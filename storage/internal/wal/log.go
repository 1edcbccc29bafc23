package wal

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"carillon/storage/internal/osdir"
)

// Volume names one sequence of records. Every value but the highest is free to be used.
type Volume uint32

// Claim is the right to append to a volume. It is in force until the volume is claimed
// again, or an append under it has ended in ErrUnknown.
type Claim struct {
	Volume Volume
	Epoch  uint64 // higher than that of every claim of the volume before
	Last   uint64 // number of the takeover record: the claimer appends Last+1 next
}

// Record is one entry of a volume's sequence.
type Record struct {
	Volume Volume
	Epoch  uint64 // of the claim that it is appended under
	Seq    uint64 // 1, 2, 3 … without a gap
	// Fence is what a shared log tells claims apart by, also where it hands an epoch out
	// twice. Read and Load set it; it is 0 in other logs.
	Fence [16]byte
	Data  []byte // Invariant: empty in a takeover record, and in no other
}

// Log keeps a dense sequence of records for each volume. Its methods may be called from
// any goroutine.
type Log interface {
	// Claim takes the volume over: it appends a takeover record, under an epoch above all
	// before. When it returns, the record is durable, no append of an older claim can
	// succeed any more, and each of unknown outcome is in the log for good or never will
	// be: Read says which. A volume that is new begins with sequence number 1.
	//
	// ErrUnknown says to claim again; ErrRefused and ErrDamaged that it is no use now.
	Claim(ctx context.Context, v Volume) (Claim, error)

	// Append appends the records and answers each: nil says that it is durable, ErrRefused
	// that it is not in the log and never will be, ErrUnknown that the next Claim tells.
	// A call may hold one record of each volume; a second one is refused. It blocks until
	// all is answered, and does not keep the data.
	Append(recs ...Record) []error

	// Read yields the records of the volume from the sequence number on, in order, takeover
	// records included, up to the last that is durable. The data is the caller's.
	// ErrTrimmed says that the log may not have all of them any more, ErrDamaged that the
	// next one cannot be told. Nothing follows an error.
	Read(ctx context.Context, v Volume, from uint64) iter.Seq2[Record, error]

	// Trim lets the log forget the volume's records up to and with the sequence number. The
	// log may keep them for longer: after it was opened anew it may show them again.
	Trim(c Claim, upTo uint64) error

	// MaxRecord is how many bytes of data a record may have.
	MaxRecord() int

	// Close waits for the append under way and makes all others ErrClosed.
	Close() error
}

// Answers of a log.
var (
	// ErrRefused says that a record was not appended and never will be.
	ErrRefused = errors.New("not appended")
	// ErrUnknown says that a record may be in the log or not. The claim is spent.
	ErrUnknown = errors.New("outcome of an append is unknown")
	// ErrTrimmed says that records which are asked for were trimmed.
	ErrTrimmed = errors.New("records were trimmed")
	// ErrDamaged says that records were lost or changed after they had been durable.
	ErrDamaged = errors.New("log is damaged")
	// ErrLocked says that the log is open, in this process or another one.
	ErrLocked = osdir.ErrLocked
	// ErrForeign says that a segment belongs to another log.
	ErrForeign = errors.New("segment of another log")
)

// Reasons why a record is refused. An error that is one of them is ErrRefused too.
var (
	// ErrFenced says that the record's claim is not in force.
	ErrFenced = fmt.Errorf("%w: its claim is not in force", ErrRefused)
	// ErrOrder says that the record is not the next of its volume.
	ErrOrder = fmt.Errorf("%w: it is not the next record of its volume", ErrRefused)
	// ErrEmpty says that the record has no data.
	ErrEmpty = fmt.Errorf("%w: it has no data", ErrRefused)
	// ErrTooLarge says that the record has more bytes than MaxRecord.
	ErrTooLarge = fmt.Errorf("%w: it is too large", ErrRefused)
	// ErrFull says that the log has reached its bound: trim it.
	ErrFull = errors.New("the log is full")
	// ErrReadOnly says that the log was opened to be read.
	ErrReadOnly = fmt.Errorf("%w: the log is open for reading only", ErrRefused)
	// ErrReplaced says that a file of the log was removed, replaced or cut off while the log
	// was open. Nothing is appended until it is opened anew.
	ErrReplaced = fmt.Errorf("%w: a file of the log was removed or replaced", ErrRefused)
	// ErrClosed says that the log was closed.
	ErrClosed = fmt.Errorf("%w: the log was closed", ErrRefused)
)

// Damage is an ErrDamaged that names the place.
type Damage struct {
	File   string
	Offset int64
	What   string
}

// Error names the file and the offset.
func (d *Damage) Error() string { return fmt.Sprintf("%s: offset %d: %s", d.File, d.Offset, d.What) }

// Is says that a Damage is ErrDamaged.
func (d *Damage) Is(target error) bool { return target == ErrDamaged }
