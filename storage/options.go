package storage

import (
	"cmp"
	"errors"
	"log/slog"
	"time"
)

// Options of Open. The zero value is ready for use. For engines.
type Options struct {
	// Volumes is how many volume files a new store gets, 1 to 64. A store that
	// has more keeps them; one that has fewer is given more. Ignored with Log. Default 4.
	Volumes int
	// Log is the log that the nodes of a cluster have in common: Join and Standby.Own are for those that
	// wait for their turn, Open owns the store at once. Default none: the log is in the directory.
	Log SharedLog
	// Node is this node, if there is a Log. Its Name must be given then.
	Node Node
	// LockTimeout is how long Open waits for a volume that is in use, or for another node that
	// owns the store. Default 1 s.
	LockTimeout time.Duration
	// Program is the name of the program that opens the store. A store without a
	// name takes it on; one with another is refused (ErrProgram). 1 to 64 of
	// A-Z a-z 0-9 _ - . and /. Default "": any store is opened.
	Program string
	// AdoptEmpty has a store without a name take on Program only if it has no app;
	// else it is refused (ErrProgram). Default false.
	AdoptEmpty bool
	// ReadOnly opens an existing store, of any program, for reading. Nothing is
	// made or written, several processes may have it open so at once, and every
	// change is refused (ErrReadOnly). Volumes and Program are ignored. Default false.
	ReadOnly bool
	// Tables are the tables that have indexes. Default none.
	Tables []Schema
	// Packages are import paths of packages that take part in the program, besides
	// those that declare one of Tables. Open refuses to go without a table with
	// indexes that is a package-level variable of one of them. Default none.
	Packages []string
	// CheckTrigger says what is wrong with an imported trigger's definition, which
	// storage does not know the meaning of. Default: nothing.
	CheckTrigger func(*Trigger) error
	// MaxJobs bounds the pending and running jobs of one app. Default 10,000,000.
	MaxJobs int
	// MaxArgBytes bounds the arguments of those jobs together. Default 16 GiB.
	MaxArgBytes int64
	// MaxResultBytes is how many bytes the results of an app's finished jobs may have
	// together; the oldest make room for new ones. Default 256 MiB.
	MaxResultBytes int64
	// MaxAuditBytes is how many bytes the audit log may have in each volume: at more the oldest
	// entries are dropped, though they are younger than AuditFor. Default 64 MiB.
	MaxAuditBytes int64
	// MaxCheckpointBytes is how many bytes the checkpoints of an app's jobs may have together.
	// Default 64 MiB.
	MaxCheckpointBytes int64
	// Logger is told what cannot be returned: failed commits. Default: discarded.
	Logger *slog.Logger
	// Progress is told while Open reads the log for more than a second, about once a second,
	// how many of the records that a volume's file lacks it has read, of how many. It does not
	// block. Default: Logger is told.
	Progress func(volume string, done, total int)
	// NoSync is unsafe: commits are not synced, and a power cut may lose the last
	// commits or the file. For tests. Default false.
	NoSync bool
	// LogMemory bounds the memory for what is in the log and not in the volume files yet, of
	// all volumes together, besides one transaction each: a commit waits for room. In bytes,
	// 64 KiB or more. Default 64 MiB.
	LogMemory int
	// LogLength bounds the log, in bytes, 1 MiB or more; a sixteenth of it is the size of its
	// files, up to 8 MiB. A commit that it has no room for is refused (ErrUnavailable), as
	// Open is of a store whose log is longer and cannot be made shorter.
	// Default 1 GiB.
	LogLength int64
	// LogKeep is how many bytes of the log are kept when the volume files have what they say,
	// beside LogLength, so that a backup can go on from an earlier one: whole files of it, those
	// kept longest go first, also when the disk is full. At most 64 GiB; negative: none. Opening
	// reads their heads. Default 256 MiB, and at most a quarter of LogLength; none with LogSegment.
	LogKeep int64
	// LogSegment, in tests, is the size of a segment of the log, in bytes. Default: see LogLength.
	LogSegment int
	// Fault, in tests, is asked at named points ("commit", "committed", "reopen",
	// "gc", "checkpoint", "checkpointed") for an error to fail with. Default: none.
	Fault func(point string) error

	moving bool       // the store is moved into, or out of
	told   *time.Time // when Progress was told last, or the opening began
}

const (
	defaultVolumes = 4
	maxVolumes     = 64
	defaultMaxJobs = 10_000_000
	defaultMaxArgs = 16 << 30

	defaultMaxResults = 256 << 20
	defaultMaxSaved   = 64 << 20

	defaultLogMemory = 64 << 20
	minLogMemory     = 64 << 10

	defaultLogLength = 1 << 30
	minLogLength     = 1 << 20

	defaultLogKeep = 256 << 20
	maxLogKeep     = 64 << 30
)

func (o Options) withDefaults() Options {
	o.Volumes = cmp.Or(o.Volumes, defaultVolumes)
	o.LockTimeout = cmp.Or(o.LockTimeout, time.Second)
	o.MaxJobs = cmp.Or(o.MaxJobs, defaultMaxJobs)
	o.MaxArgBytes = cmp.Or(o.MaxArgBytes, defaultMaxArgs)
	o.MaxResultBytes = cmp.Or(o.MaxResultBytes, defaultMaxResults)
	o.MaxAuditBytes = cmp.Or(o.MaxAuditBytes, defaultMaxAudit)
	o.MaxCheckpointBytes = cmp.Or(o.MaxCheckpointBytes, defaultMaxSaved)
	o.LogMemory = cmp.Or(o.LogMemory, defaultLogMemory)
	o.LogLength = cmp.Or(o.LogLength, defaultLogLength)
	if o.LogKeep == 0 && o.LogSegment == 0 {
		o.LogKeep = min(defaultLogKeep, o.LogLength/4)
	}
	o.Node.TTL = cmp.Or(o.Node.TTL, defaultTTL)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Fault == nil {
		o.Fault = func(string) error { return nil }
	}
	return o
}

// Check says what Open would refuse the options for, in one error for all
// fields at fault. It looks at no file.
func (o Options) Check() error {
	o = o.withDefaults()
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, invalid(format, args...)) }
	if o.Log != nil {
		o.Node.check(bad)
	}
	if o.Log != nil && o.ReadOnly {
		bad("ReadOnly is set, and so is Log")
	}
	if o.Volumes < 1 || o.Volumes > maxVolumes {
		bad("Volumes is %d, want 1 to %d", o.Volumes, maxVolumes)
	}
	if o.LockTimeout < 0 {
		bad("LockTimeout is %v, want 0 or more", o.LockTimeout)
	}
	if o.MaxJobs < 1 {
		bad("MaxJobs is %d, want 1 or more", o.MaxJobs)
	}
	if o.MaxArgBytes < 1 {
		bad("MaxArgBytes is %d, want 1 or more", o.MaxArgBytes)
	}
	if o.MaxResultBytes < 1 {
		bad("MaxResultBytes is %d, want 1 or more", o.MaxResultBytes)
	}
	if o.MaxCheckpointBytes < 1 {
		bad("MaxCheckpointBytes is %d, want 1 or more", o.MaxCheckpointBytes)
	}
	if o.LogMemory < minLogMemory {
		bad("LogMemory is %d, want %d or more", o.LogMemory, minLogMemory)
	}
	if o.LogLength < minLogLength {
		bad("LogLength is %d, want %d or more", o.LogLength, minLogLength)
	}
	if o.LogKeep > maxLogKeep {
		bad("LogKeep is %d, want at most %d", o.LogKeep, int64(maxLogKeep))
	}
	if o.Program != "" {
		if err := checkProgram(o.Program); err != nil {
			errs = append(errs, err)
		}
	}
	schema, err := schemaOf(o.Tables)
	return errors.Join(append(errs, err, unlisted(schema, o.Packages))...)
}
