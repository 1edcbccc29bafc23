package storage

import (
	"errors"
	"fmt"
	"strings"

	"carillon/proto"
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
		errs = append(errs, readError(db.CheckPages()))
		err := v.read(func(snap *kv.Snapshot) error { return v.check(snap, s.schema, seen) })
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", v.name, err))
		}
	}
	return errors.Join(errs...)
}

func (v *volume) check(snap *kv.Snapshot, schema map[string]*tableInfo, seen map[AppID]string) error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...))
	}
	numbers := map[keyspace]AppID{}
	c := snap.Cursor(kv.Apps)
	for k, val := c.First(); k != nil; k, val = c.Next() {
		id := AppID(k)
		n, err := decodeEntry(val)
		if err != nil {
			errs = append(errs, fmt.Errorf("app %s: %w", id, err))
			continue
		}
		if other, ok := numbers[n]; ok {
			bad("apps %s and %s share number %d", other, id, n)
		}
		if other, ok := seen[id]; ok {
			bad("app %s is in %s too", id, other)
		}
		if uint64(n) > getU64(snap, metaNumbers) {
			bad("app %s has number %d, above the highest", id, n)
		}
		numbers[n], seen[id] = id, v.name
	}
	doomed := map[keyspace]bool{}
	c = snap.Cursor(kv.Doomed)
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		n := keyspace(uint32(k[0])<<24 | uint32(k[1])<<16 | uint32(k[2])<<8 | uint32(k[3]))
		doomed[n] = true
		if id, ok := numbers[n]; ok {
			bad("app %s is alive and doomed", id)
		}
	}
	// Every key belongs to a living or a doomed app.
	c = snap.Cursor(kv.Data)
	for k, _ := c.First(); k != nil; {
		n := keyspace(uint32(k[0])<<24 | uint32(k[1])<<16 | uint32(k[2])<<8 | uint32(k[3]))
		if numbers[n] == "" && !doomed[n] {
			bad("keys of number %d belong to no app", n)
		}
		k, _ = c.Seek((n + 1).number())
	}
	alarms, held := map[keyspace]int64{}, map[keyspace]string{}
	c = snap.Cursor(kv.Alarms)
	for k, id := c.First(); k != nil; k, id = c.Next() {
		due, n := decodeAlarmKey(k)
		if due == heldAlarm {
			held[n] = string(id)
			if numbers[n] == "" {
				bad("held jobs of number %d, which is no app's", n)
			}
			continue
		}
		if _, ok := alarms[n]; ok {
			bad("app %s has two alarms", id)
		}
		if numbers[n] != AppID(id) {
			bad("alarm of app %s at number %d, which is %q's", id, n, numbers[n])
		}
		alarms[n] = due
	}
	for n, id := range numbers {
		first, _ := snap.Cursor(kv.Data).Seek(n.prefix(tagQueue))
		if due := n.dueAt(first); due != alarms[n] {
			bad("app %s: first job due at %d, alarm index says %d", id, due, alarms[n])
		}
		for _, err := range n.checkJobs(snap) {
			errs = append(errs, fmt.Errorf("app %s: %w", id, err))
		}
		want := ""
		if counters, err := decodeCounts(snap.Get(kv.Data, n.prefix(tagMeta))); err == nil && counters.held > 0 {
			want = string(heldEntry(id, counters.heldBy))
		}
		if held[n] != want {
			bad("app %s: of held jobs the alarm index says %q, want %q", id, held[n], want)
		}
		for _, err := range n.checkDocuments(snap, schema) {
			errs = append(errs, fmt.Errorf("app %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// checkJobs verifies one app's counters, job regions, claims and id index.
func (n keyspace) checkJobs(snap *kv.Snapshot) (errs []error) {
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...))
	}
	want, err := decodeCounts(snap.Get(kv.Data, n.prefix(tagMeta)))
	if err != nil {
		return []error{err}
	}
	got := counts{seq: want.seq, deadSince: want.deadSince, heldBy: want.heldBy, corrected: want.corrected}
	byID, backlog := map[JobID]tag{}, map[string]bool{}
	located := 0
	each := func(t tag, fn func(p place, value []byte)) {
		prefix := n.prefix(t)
		c := snap.Cursor(kv.Data)
		for k, v := c.Seek(prefix); k != nil && string(k[:min(len(k), len(prefix))]) == string(prefix); k, v = c.Next() {
			if len(tail(k)) != placeLen {
				bad("key %x in region %c", k, t)
				continue
			}
			fn(decodePlace(tail(k)), v)
		}
	}
	for _, t := range regions {
		each(t, func(p place, value []byte) {
			job, err := decodeJob(p, value)
			if err != nil {
				errs = append(errs, err)
				return
			}
			switch t {
			case tagQueue:
				got.pending++
				backlog[string(n.backlogKey(&job))] = true
			case tagHeld:
				got.held++
			case tagDead:
				got.dead++
			case tagHistory:
				got.done++
			}
			if len(job.Args) > 0 && !wellFormed(job.Args) {
				bad("job %s: the arguments are not JSON", job.ID)
			}
			if job.ID.Check() != nil && !strings.HasPrefix(string(job.ID), tickPrefix) {
				bad("a job's id is %s", quote(string(job.ID)))
			}
			if p.seq > want.seq {
				bad("job %s has number %d, above the last assigned, %d", job.ID, p.seq, want.seq)
			}
			if okState := map[tag]bool{tagQueue: job.State == StatePending, tagHeld: job.State == StateHeld, tagDead: job.State == StateFailed, tagHistory: job.State == StateSuccess || job.State == StateCanceled}[t]; !okState {
				bad("job %s is %s in region %c", job.ID, job.State, t)
			}
			loc := snap.Get(kv.Data, n.name(tagID, string(job.ID)))
			home, minted := job.ID.home()
			switch {
			case t == tagQueue && minted && home == p:
				if loc != nil {
					bad("job %s lies where its id says and is in the id index too", job.ID)
				}
			case t == tagHistory && string(loc) != string(encodeLocation(t, p)):
				// A chosen id may have been chosen again: its newest job is the one
				// that is found, and none after that one was dropped from the dead.
				chosen := job.ID != mintJobID(place{msOf(job.ScheduledFor), p.seq})
				newer := len(loc) == 1+placeLen && decodePlace(loc[1:]).seq > p.seq
				if !newer && (loc != nil || !chosen) {
					bad("finished job %s: id index says %x", job.ID, loc)
				}
				return
			case string(loc) != string(encodeLocation(t, p)):
				bad("job %s in region %c at %d/%d: id index says %x", job.ID, t, p.ms, p.seq, loc)
			default:
				located++
			}
			if other, ok := byID[job.ID]; ok {
				bad("job %s lies in regions %c and %c", job.ID, other, t)
			}
			byID[job.ID] = t
		})
	}
	each(tagClaim, func(p place, value []byte) {
		got.claimed++
		if _, _, err := decodeClaim(value); err != nil {
			errs = append(errs, err)
		}
		if snap.Get(kv.Data, n.place(tagQueue, p)) == nil {
			bad("claim at %d/%d has no job", p.ms, p.seq)
		}
	})
	prefix := n.prefix(tagTrigger)
	c := snap.Cursor(kv.Data)
	for k, v := c.Seek(prefix); k != nil && string(k[:min(len(k), len(prefix))]) == string(prefix); k, v = c.Next() {
		t, err := decodeTrigger(string(tail(k)), v)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if len(t.Args) > 0 && !wellFormed(t.Args) {
			bad("trigger %s: the arguments are not JSON", t.Name)
		}
		if err := CheckTriggerName(t.Name); err != nil {
			errs = append(errs, fmt.Errorf("%w: %w", ErrCorrupt, err))
		}
		// A trigger and its one pending tick are never apart (G20).
		switch {
		case t.Next.IsZero() != (t.NextJob == ""), t.Paused && t.NextJob != "":
			bad("trigger %s: paused %t, next slot %v, next job %q", t.Name, t.Paused, t.Next, t.NextJob)
		case t.HeldJob != "" && byID[t.HeldJob] != tagHeld:
			bad("trigger %s: the tick %s is not held", t.Name, t.HeldJob)
		case t.NextJob != "" && (t.NextJob != t.tickID() || byID[t.NextJob] != tagQueue):
			bad("trigger %s: the tick %s of slot %v is not pending", t.Name, t.NextJob, t.Next)
		}
	}
	prefix = n.prefix(tagSlot)
	for k, v := c.Seek(prefix); k != nil && string(k[:min(len(k), len(prefix))]) == string(prefix); k, v = c.Next() {
		name, slot, _ := strings.Cut(string(tail(k)), "\x00")
		var p proto.Slot
		if err := unmarshal(v, &p, &p.Version); err != nil {
			errs = append(errs, fmt.Errorf("trigger %s: slot: %w", name, err))
		}
		if len(slot) != 8 || CheckTriggerName(name) != nil {
			bad("key of a slot %q", tail(k))
		}
	}
	// Not the other way round: older releases have no backlog.
	prefix = n.prefix(tagBacklog)
	for k, _ := c.Seek(prefix); k != nil && string(k[:min(len(k), len(prefix))]) == string(prefix); k, _ = c.Next() {
		if !backlog[string(k)] {
			bad("entry %q of the backlog has no pending tick", tail(k))
		}
	}
	prefix = n.prefix(tagID)
	entries := 0
	for k, _ := c.Seek(prefix); k != nil && string(k[:min(len(k), len(prefix))]) == string(prefix); k, _ = c.Next() {
		entries++
	}
	if entries != located {
		bad("the id index has %d entries for %d jobs", entries, located)
	}
	if got != want {
		bad("counters say %+v, the keys %+v", want, got)
	}
	return errs
}
