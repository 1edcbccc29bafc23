package storage

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"carillon/storage/internal/kv"
)

// Check verifies every structure of every volume (G7): the files' own pages,
// the alarm index, and of each app its counters, job regions, claims, id index,
// documents and indexes. It reads committed state only and may run beside
// traffic. It returns every fault it finds, joined.
func (s *Store) Check() error {
	var errs []error
	seen := map[AppID]string{}
	for _, v := range s.volumes {
		v.mu.RLock()
		db := v.db
		v.mu.RUnlock()
		if db == nil {
			errs = append(errs, v.downError())
			continue
		}
		faults := db.CheckPages()
		pin, err := v.begin()
		if err != nil {
			errs = append(errs, readError(faults), err)
			continue
		}
		if err := v.check(pin, faults, s.schema, seen); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", v.name, err))
		}
		pin.Close()
	}
	return errors.Join(errs...)
}

// verified verifies every structure of the store in the directory, whose lock is held, with what
// the log has. It changes nothing.
func verified(dir string) error {
	opts := Options{ReadOnly: true}.withDefaults()
	opts.Volumes = 0
	s, err := open(dir, opts)
	if err != nil {
		return err
	}
	return errors.Join(s.Check(), s.Close())
}

// volumeCheck is what a check of one volume knows of it so far.
type volumeCheck struct {
	v      *volume
	snap   *kv.Snapshot
	apps   map[keyspace]AppID
	doomed map[keyspace]bool
	alarms map[keyspace]int64  // when the app has its first job, by the alarm index
	held   map[keyspace]string // what the alarm index has of its held jobs
	errs   []error
}

// check verifies what is in the file, whose pages and values have those faults.
func (v *volume) check(pin *kv.Pin, faults error, schema map[string]*tableInfo, seen map[AppID]string) error {
	c := &volumeCheck{
		v: v, apps: map[keyspace]AppID{}, doomed: map[keyspace]bool{},
		alarms: map[keyspace]int64{}, held: map[keyspace]string{},
	}
	// Damage that ends one part of the check does not end the others.
	part := func(of string, fn func()) {
		err := readPin(v.name, pin, func(snap *kv.Snapshot) error {
			c.snap = snap
			fn()
			return nil
		})
		if err != nil {
			c.errs = append(c.errs, fmt.Errorf("%s%w", of, err))
		}
	}
	part("", func() { c.entries(seen) })
	part("", c.numbers)
	part("", c.alarmIndex)
	part("", c.tokens)
	part("", c.audit)
	for n, id := range c.apps {
		part(fmt.Sprintf("app %s: ", id), func() { c.app(n, id, schema) })
	}
	return errors.Join(append(c.named(faults), c.errs...)...)
}

// named says of each fault of the file which app it is of, if it is of one.
func (c *volumeCheck) named(faults error) (errs []error) {
	if joined, ok := faults.(interface{ Unwrap() []error }); ok {
		for _, fault := range joined.Unwrap() {
			errs = append(errs, c.named(fault)...)
		}
		return errs
	}
	err := readError(faults)
	if d, ok := errors.AsType[*kv.Damage](faults); ok && d.Space == kv.Data && len(d.Key) > numberLen && c.apps[numberOf(d.Key)] != "" {
		err = fmt.Errorf("app %s: %w", c.apps[numberOf(d.Key)], err)
	}
	return []error{err}
}

func (c *volumeCheck) bad(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...))
}

// entries reads which apps there are. seen are those of the volumes before.
func (c *volumeCheck) entries(seen map[AppID]string) {
	for k, val := range c.all(kv.Apps) {
		id := AppID(k)
		n, err := decodeEntry(val) // says so if the value is damaged
		if err != nil {
			c.errs = append(c.errs, fmt.Errorf("app %s: %w", id, err))
			continue
		}
		if other, ok := c.apps[n]; ok {
			c.bad("apps %s and %s share number %d", other, id, n)
		}
		if other, ok := seen[id]; ok {
			c.bad("app %s is in %s too", id, other)
		}
		if uint64(n) > getU64(c.snap, metaNumbers) {
			c.bad("app %s has number %d, above the highest", id, n)
		}
		c.apps[n], seen[id] = id, c.v.name
	}
}

// numbers verifies that every key belongs to a living or a doomed app.
func (c *volumeCheck) numbers() {
	for k := range c.all(kv.Doomed) {
		n := numberOf(k)
		c.doomed[n] = true
		if id, ok := c.apps[n]; ok {
			c.bad("app %s is alive and doomed", id)
		}
	}
	data := c.snap.Cursor(kv.Data)
	for k, _ := data.First(); k != nil; {
		n := numberOf(k)
		if c.apps[n] == "" && !c.doomed[n] {
			c.bad("keys of number %d belong to no app", n)
		}
		k, _ = data.Seek((n + 1).number())
	}
}

func (c *volumeCheck) alarmIndex() {
	for k, id := range c.all(kv.Alarms) {
		due, n := decodeAlarmKey(k)
		if kv.DamageOf(id) != nil {
			continue // as the file's faults say
		}
		if due == heldAlarm {
			c.held[n] = string(id)
			if c.apps[n] == "" {
				c.bad("held jobs of number %d, which is no app's", n)
			}
			continue
		}
		if _, ok := c.alarms[n]; ok {
			c.bad("app %s has two alarms", id)
		}
		if c.apps[n] != AppID(id) {
			c.bad("alarm of app %s at number %d, which is %q's", id, n, c.apps[n])
		}
		c.alarms[n] = due
	}
}

// app verifies what one app has, and what the alarm index says of it.
func (c *volumeCheck) app(n keyspace, id AppID, schema map[string]*tableInfo) {
	counters, err := decodeCounts(c.snap.Get(kv.Data, n.prefix(tagMeta)))
	if due, last := n.alarms(c.snap); err == nil && counters.alarm(due, last) != c.alarms[n] {
		c.bad("app %s: first job due at %d, or to be begun by %d, alarm index says %d", id, due, last, c.alarms[n])
	}
	want := ""
	if err == nil && counters.held > 0 {
		want = string(heldEntry(id, counters.heldBy))
	}
	if c.held[n] != want {
		c.bad("app %s: of held jobs the alarm index says %q, want %q", id, c.held[n], want)
	}
	for _, err := range slices.Concat(n.checkJobs(c.snap), n.checkDocuments(c.snap, schema)) {
		c.errs = append(c.errs, fmt.Errorf("app %s: %w", id, err))
	}
}

// all are the keys of a space with what is under them, in order.
func (c *volumeCheck) all(space kv.Space) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		cursor := c.snap.Cursor(space)
		for k, v := cursor.First(); k != nil && yield(k, v); k, v = cursor.Next() {
		}
	}
}
