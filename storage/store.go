package storage

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"carillon/storage/internal/kv"
	"carillon/storage/internal/lease"
)

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

	standby *Standby // whose the volumes are; nil without Options.Log
	lease   *lease.Lease
	lost    chan struct{}
	losing  sync.Once
	closing atomic.Bool
}

// Open opens the store in dir, making the directory and its volumes as needed,
// and becomes their only owner. It does not touch any app. Errors: ErrLocked,
// ErrFormat, ErrProgram, ErrInvalid for an option, or the file system's.
//
// With Options.Log it is Join, Own and, when the Store is closed, Close of the Standby, for a program
// that has no use for one that waits its turn. While another node owns the store it waits for
// Options.LockTimeout, and for the TTL of an owner that has crashed, and returns ErrLocked then. For engines.
func Open(dir string, opts Options) (*Store, error) {
	if opts.Log != nil {
		return openShared(dir, opts)
	}
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
	if _, err := os.Stat(shardPath(dir, 0)); err == nil {
		return nil, fmt.Errorf("%w: in %s a node keeps its copies of a store whose log is elsewhere", ErrFormat, dir)
	}
	if unfinished(dir) {
		return nil, fmt.Errorf("%w: a restore into %s has not ended: run it again, or remove %s", ErrFormat, dir, filepath.Join(dir, restoring))
	}
	s := newStore(dir, opts, schema)
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

func newStore(dir string, opts Options, schema map[string]*tableInfo) *Store {
	return &Store{opts: opts, dir: dir, schema: schema, clock: new(atomic.Pointer[clockState]), claims: newClaimIDs(), backups: make(chan struct{}, 1)}
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
		s.adopt(v)
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
		s.raiseClock(v)
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

// adopt takes the volume on as the next one.
func (s *Store) adopt(v *volume) {
	s.volumes = append(s.volumes, v)
	v.clock, v.claims = s.clock, s.claims
	if !v.shard { // whose copy is checkpointed already, beside this: no copy holds back a log that is elsewhere
		v.relieve = s.relieve
	}
}

// raiseClock has the store know of the clock what the volume does.
func (s *Store) raiseClock(v *volume) {
	if c := v.known; v.db != nil && c.id() > s.clock.Load().id() {
		s.clock.Store(c)
	}
}

// Close makes what was submitted durable and closes the files. It waits for open
// snapshots for a second, and for the disk for ten: then it says what is not written.
// A file whose commit is under way even then stays locked until the process ends. A
// second Close returns nil. What the files do not have when it returns is in the log.
// With Options.Log it gives the store up, so that another node may own it at once; the Standby
// goes on, unless Open has made it.
func (s *Store) Close() error {
	switch st := s.standby; {
	case st == nil:
	case st.sole:
		return st.Close()
	default:
		return st.giveUp(s)
	}
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
	switch st := s.standby; {
	case st == nil:
	case st.sole:
		return st.Abort()
	default:
		return st.abandon(s)
	}
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
	if s.standby != nil {
		return s.volumes[first], nil // Import and all else puts it there
	}
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
