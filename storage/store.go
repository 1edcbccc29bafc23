package storage

import (
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"carillon/storage/internal/kv"
)

// Options of Open. The zero value is ready for use. For engines.
type Options struct {
	// Volumes is how many volume files a new store gets, 1 to 64. A store that
	// has more keeps them; one that has fewer is given more. Default 4.
	Volumes int
	// LockTimeout is how long Open waits for a volume that is in use. Default 1 s.
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

	told *time.Time // when Progress was told last, or the opening began
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
	if o.Volumes == 0 {
		o.Volumes = defaultVolumes
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = time.Second
	}
	if o.MaxJobs == 0 {
		o.MaxJobs = defaultMaxJobs
	}
	if o.MaxArgBytes == 0 {
		o.MaxArgBytes = defaultMaxArgs
	}
	if o.MaxResultBytes == 0 {
		o.MaxResultBytes = defaultMaxResults
	}
	if o.MaxAuditBytes == 0 {
		o.MaxAuditBytes = defaultMaxAudit
	}
	if o.MaxCheckpointBytes == 0 {
		o.MaxCheckpointBytes = defaultMaxSaved
	}
	if o.LogMemory == 0 {
		o.LogMemory = defaultLogMemory
	}
	if o.LogLength == 0 {
		o.LogLength = defaultLogLength
	}
	if o.LogKeep == 0 && o.LogSegment == 0 {
		o.LogKeep = min(defaultLogKeep, o.LogLength/4)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
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

// Store is the volumes of one directory and the apps in them. Its methods may
// be called from any goroutine. For engines.
type Store struct {
	opts    Options
	dir     string
	volumes []*volume
	log     *kv.Log // of all volumes; nil until one is open
	schema  map[string]*tableInfo
	clock   *atomic.Pointer[clockState] // the volumes have it too
	claims  *claimIDs                   // so have they
	salt    EraID
	backups chan struct{} // held by the one Backup that is made
	book    tokenBook
}

// Open opens the store in dir, making the directory and its volumes as needed,
// and becomes their only owner. It does not touch any app. Errors: ErrLocked,
// ErrFormat, ErrProgram, ErrInvalid for an option, or the file system's. For engines.
func Open(dir string, opts Options) (*Store, error) {
	if err := opts.Check(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	if opts.ReadOnly {
		opts.Volumes, opts.Program = 0, ""
	} else if err := kv.MakeDir(dir); err != nil {
		return nil, err
	}
	release, err := kv.LockDir(dir, opts.LockTimeout)
	if err != nil {
		return nil, mapOpenError("directory", err)
	}
	defer release()
	return open(dir, opts)
}

// open is Open with options that are checked, under the directory's lock.
func open(dir string, opts Options) (*Store, error) {
	schema, _ := schemaOf(opts.Tables)
	began := time.Now()
	opts.told = &began
	if unfinished(dir) {
		return nil, fmt.Errorf("%w: a restore into %s has not ended: run it again, or remove %s", ErrFormat, dir, filepath.Join(dir, restoring))
	}
	s := &Store{opts: opts, dir: dir, schema: schema, clock: new(atomic.Pointer[clockState]), claims: newClaimIDs(), backups: make(chan struct{}, 1)}
	if err := s.openVolumes(dir); err != nil {
		for _, v := range s.volumes {
			err = errors.Join(err, v.drop())
		}
		return nil, errors.Join(err, s.closeLog())
	}
	if !opts.ReadOnly {
		removeSpools(dir)
		removeCompacting(dir, len(s.volumes))
	}
	losses, _ := s.Losses()
	for _, loss := range losses {
		if loss.Acknowledged {
			continue
		}
		opts.Logger.Warn("data was lost, as a salvage was told to accept", "volume", loss.Volume, "at", loss.At, "what", loss.What)
	}
	for _, v := range s.volumes {
		go v.commitLoop()
	}
	return s, nil
}

func volumePath(dir string, i int) string {
	return filepath.Join(dir, fmt.Sprintf("volume-%03d.db", i))
}

// countVolumes returns how many files of the directory are named like volumes.
func countVolumes(dir string) (n int, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "volume-") && strings.HasSuffix(e.Name(), ".db") {
			n++
		}
	}
	return n, err
}

// openVolumes opens every volume and makes those that are missing. None is taken
// over before all were found in order. The count is written down last, so that a
// lost file is told from one never made.
func (s *Store) openVolumes(dir string) error {
	store := rand.Uint64()
	count, sound := 0, 0
	for i := 0; i == 0 || i < count || i < s.opts.Volumes && s.volumes[0].db != nil; i++ {
		if i == count && i > 0 {
			// All that there are have been opened, and none was added yet.
			if err := s.checkOwner(); err != nil {
				return err
			}
		}
		path := volumePath(dir, i)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			if i < count || s.opts.ReadOnly && count > 0 {
				return fmt.Errorf("%w: %s is missing: the store has %d volumes", ErrFormat, filepath.Base(path), count)
			}
			if others, err := countVolumes(dir); err != nil {
				return err
			} else if i == 0 && others > 0 {
				return fmt.Errorf("%w: %s is missing: there are other volumes", ErrFormat, filepath.Base(path))
			}
			if s.opts.ReadOnly {
				return fmt.Errorf("%w: no store in %s", ErrNotFound, dir)
			}
			if err := createVolume(path, store, i); err != nil {
				return fmt.Errorf("create %s: %w", filepath.Base(path), err)
			}
		}
		v, id, err := openVolume(path, i, s.opts)
		if err != nil {
			return err
		}
		s.volumes = append(s.volumes, v)
		v.clock, v.claims, v.relieve = s.clock, s.claims, s.relieve
		if v.db != nil {
			if sound++; sound == 1 {
				store = id
				s.salt = EraID(store % (1 << eraSalt))
				if s.log, err = kv.OpenLog(dir, store, v.opts); err != nil {
					return mapOpenError("log", err)
				}
			}
			if id != store {
				return fmt.Errorf("%w: %s belongs to another store", ErrFormat, filepath.Base(path))
			}
		}
		if err := v.join(s.log); err != nil {
			return err
		}
		if c := v.known; v.db != nil && c.id() > s.clock.Load().id() {
			s.clock.Store(c)
		}
		if i == 0 && v.db != nil {
			err := v.read(func(snap *kv.Snapshot) error {
				count = int(getU64(snap, metaVolumes))
				return nil
			})
			if err != nil {
				return err
			}
		}
		if i == 0 && count == 0 && (v.db == nil || s.opts.ReadOnly) {
			// None is added to those that there seem to be.
			if count, err = countVolumes(dir); err != nil {
				return err
			}
		}
	}
	if sound == 0 {
		return s.volumes[0].backoff.refusal()
	}
	if len(s.volumes) == count {
		if err := s.checkOwner(); err != nil {
			return err
		}
	}
	if s.opts.ReadOnly {
		for _, v := range s.volumes {
			v.backoff.close(ErrReadOnly)
		}
		return nil
	}
	if err := s.log.Make(); err != nil {
		return mapOpenError("log", err)
	}
	if err := s.own(); err != nil {
		return err
	}
	if n := len(s.volumes); n > count && s.volumes[0].db != nil {
		// A process that crashed may have made files without syncing their names. A
		// parent directory that cannot be read needs no sync: Open did not make dir in it.
		if err := kv.SyncDir(filepath.Dir(dir)); err != nil && !errors.Is(err, os.ErrPermission) {
			return err
		}
		if err := kv.SyncDir(dir); err != nil {
			return err
		}
		return s.volumes[0].update(func(tx *kv.Txn) error { return tx.Put(kv.Meta, metaVolumes, u64(uint64(n))) })
	}
	return nil
}

// Close makes what was submitted durable and closes the files. It waits for open
// snapshots for a second, and for the disk for ten: then it says what is not written.
// A file whose commit is under way even then stays locked until the process ends. A
// second Close returns nil. What the files do not have when it returns is in the log.
func (s *Store) Close() error {
	return errors.Join(s.each((*volume).close), s.closeLog())
}

// closeLog closes the log, if it was opened. The volumes are closed.
func (s *Store) closeLog() error {
	if s.log == nil {
		return nil
	}
	return s.log.Close()
}

// each calls fn for every volume, for all at once.
func (s *Store) each(fn func(*volume) error) error {
	errs := make([]error, len(s.volumes))
	var wg sync.WaitGroup
	for i, v := range s.volumes {
		wg.Go(func() { errs[i] = fn(v) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Health returns what is wrong with the volumes, nil if nothing is: each error
// names one that applies no changes now, and why. Its apps are not served; those of
// the others are. It looks whether each file still has its name: one that was replaced
// or removed is lost from then on.
func (s *Store) Health() error {
	var errs []error
	for _, v := range s.Volumes() {
		errs = append(errs, v.Err)
	}
	return errors.Join(errs...)
}

// VolumeHealth is a volume, and why its apps are not served now; nil: they are.
type VolumeHealth struct {
	Volume string // the name of its file
	Err    error
}

// Volumes is Health of each volume, in their order.
func (s *Store) Volumes() []VolumeHealth {
	list := make([]VolumeHealth, len(s.volumes))
	for i, v := range s.volumes {
		list[i] = VolumeHealth{v.name, v.health()}
	}
	return list
}

// Abort closes the files without making durable what was submitted: it is
// answered with ErrClosed. It is for tests that need a crash.
func (s *Store) Abort() error {
	return errors.Join(s.each((*volume).abort), s.closeLog())
}

// App opens the state of one app. Reading it, or a change that fails, creates
// nothing on disk; the app comes into being with its first committed change.
// The caller sees to it that an app is open once at a time.
func (s *Store) App(id AppID) (*App, error) {
	if err := id.Check(); err != nil {
		return nil, err
	}
	vol, err := s.find(id)
	if err != nil {
		return nil, err
	}
	a := &App{id: id, vol: vol, schema: s.schema, overlay: newOverlay()}
	a.maxJobs.Store(int64(s.opts.MaxJobs))
	a.maxArgs.Store(s.opts.MaxArgBytes)
	a.mostKept.Store(s.opts.MaxResultBytes)
	a.mostSaved.Store(s.opts.MaxCheckpointBytes)
	a.mostKeyed, a.mostKeyedBytes = MaxIdempotencyKeys, MaxIdempotencyBytes
	a.mostLogged.Store(DefaultMaxLogBytes)
	if err := a.read(a.load); err != nil {
		return nil, err
	}
	return a, nil
}

// find returns the volume that holds the app, or the one a new app goes to.
func (s *Store) find(id AppID) (*volume, error) {
	h := fnv.New32a()
	h.Write([]byte(id))
	first := int(h.Sum32() % uint32(len(s.volumes)))
	for i := range s.volumes {
		v := s.volumes[(first+i)%len(s.volumes)]
		held, err := v.holds(id)
		if err != nil {
			return nil, err
		}
		if held {
			return v, nil
		}
	}
	return s.volumes[first], nil
}

func (v *volume) holds(id AppID) (held bool, err error) {
	err = v.read(func(snap *kv.Snapshot) error {
		held = snap.Get(kv.Apps, []byte(id)) != nil
		return nil
	})
	return held, err
}

// Apps returns the names of all apps, sorted. With an error, which names the volumes that cannot be read, the names are
// those in the others.
func (s *Store) Apps() ([]AppID, error) {
	var ids []AppID
	var errs []error
	for _, v := range s.volumes {
		err := v.read(func(snap *kv.Snapshot) error {
			c := snap.Cursor(kv.Apps)
			for k, entry := c.First(); k != nil; k, entry = c.Next() {
				if err := damageOf(entry); err != nil {
					errs = append(errs, err)
					continue
				}
				ids = append(ids, AppID(k))
			}
			return nil
		})
		errs = append(errs, err)
	}
	slices.Sort(ids)
	return ids, errors.Join(errs...)
}

// CountApps returns how many apps there are in the volumes that can be read; the
// error is of the others. An app may be counted that is not durable yet.
func (s *Store) CountApps() (n int, err error) {
	for _, v := range s.volumes {
		err = errors.Join(err, v.read(func(snap *kv.Snapshot) error {
			c := snap.Keys(kv.Apps)
			for k, _ := c.First(); k != nil; k, _ = c.Next() {
				n++
			}
			return nil
		}))
	}
	return n, err
}

// Alarms calls visit for the apps that have jobs, each with the instant its first job is
// due, or one is too late (Job.NotAfter), volume by volume and in each the earliest first,
// until visit returns false for the volume. visit must be quick: a snapshot is open. It
// does not wait for a sync, so an instant may be that of a change not yet durable.
// The error names the volumes that cannot be read; the others were visited.
func (s *Store) Alarms(visit func(AppID, time.Time) bool) error {
	var errs []error
	for _, v := range s.volumes {
		err := v.read(func(snap *kv.Snapshot) error {
			c := snap.Cursor(kv.Alarms)
			for k, id := c.First(); k != nil; k, id = c.Next() {
				due, n := decodeAlarmKey(k)
				if due == heldAlarm {
					return nil
				}
				app := AppID(id)
				if err := damageOf(id); err != nil {
					app = appOf(snap, n)
					errs = append(errs, err)
				}
				if app != "" && !visit(app, timeOf(due)) {
					return nil
				}
			}
			return nil
		})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// DueAt returns the instant that Alarms has of the app: the
// zero time if it has none, or if there is no such app.
func (s *Store) DueAt(id AppID) (at time.Time, err error) {
	if err := id.Check(); err != nil {
		return time.Time{}, err
	}
	vol, err := s.find(id)
	if err != nil {
		return time.Time{}, err
	}
	err = vol.read(func(snap *kv.Snapshot) error {
		entry := snap.Get(kv.Apps, []byte(id))
		if entry == nil {
			return nil
		}
		n, err := decodeEntry(entry)
		if err != nil {
			return fmt.Errorf("app %s: %w", id, err)
		}
		c, err := decodeCounts(snap.Get(kv.Data, n.prefix(tagMeta)))
		if err != nil {
			return fmt.Errorf("app %s: %w", id, err)
		}
		at = timeOf(c.alarm(n.alarms(snap)))
		return nil
	})
	return at, err
}

// Declared returns what SetDeclared has remembered, "" if nothing.
func (s *Store) Declared() (fingerprint string, err error) {
	err = s.volumes[0].read(func(snap *kv.Snapshot) error {
		fingerprint = string(snap.Get(kv.Meta, metaDeclared))
		return nil
	})
	return fingerprint, err
}

// SetDeclared remembers, durably when it returns, which declarations of the
// engine's every app has looked at.
func (s *Store) SetDeclared(fingerprint string) error {
	return s.volumes[0].do(0, func(tx *kv.Txn) error { return tx.Put(kv.Meta, metaDeclared, []byte(fingerprint)) })
}
