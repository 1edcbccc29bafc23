package storage

import (
	"fmt"
	"strings"

	"carillon/proto"
	"carillon/storage/internal/kv"
)

// jobCheck verifies one app's counters, job regions, claims, id index and triggers. The
// methods count what there is; finish compares.
type jobCheck struct {
	n                     keyspace
	snap                  *kv.Snapshot
	want, got             counts          // by the counters, and by the keys
	byID                  map[JobID]tag   // where the newest job of each id lies
	backlog               map[string]bool // keys that the backlog may have
	lanes                 map[string]bool // keys that the lanes have to have
	located               int             // jobs that the id index has to have
	keys                  map[string]*keyRow
	orphans               map[uint64]bool // jobs that have scheduled others once, and have not been met
	children              map[string]bool // keys that the children of jobs may have
	logged                map[uint64]bool // numbers of jobs that have log lines, and have not been met
	progress, checkpoints map[uint64]bool // numbers of jobs that have such notes, and have not been met
	members               map[GroupID]int // that have not ended
	results               map[place]int   // bytes of the results that jobs have, which need not be there
	errs                  []error
}

func (n keyspace) checkJobs(snap *kv.Snapshot) []error {
	want, err := decodeCounts(snap.Get(kv.Data, n.prefix(tagMeta)))
	if err != nil {
		return []error{err}
	}
	c := &jobCheck{
		n: n, snap: snap, want: want, byID: map[JobID]tag{}, backlog: map[string]bool{}, lanes: map[string]bool{},
		keys: map[string]*keyRow{}, orphans: map[uint64]bool{}, results: map[place]int{}, children: map[string]bool{}, members: map[GroupID]int{},
		logged: map[uint64]bool{}, progress: map[uint64]bool{}, checkpoints: map[uint64]bool{},
		got: counts{seq: want.seq, deadSince: want.deadSince, heldBy: want.heldBy, corrected: want.corrected},
	}
	c.uniqueKeys()
	c.onces()
	for k, v := range n.all(snap, tagNotes) {
		c.note(k, v)
	}
	for k, v := range n.all(snap, tagLog) {
		c.log(k, v)
	}
	c.keptCalls()
	c.starts()
	for _, t := range regions {
		c.eachPlace(t, func(p place, value []byte) { c.job(t, p, value) })
	}
	c.eachPlace(tagClaim, c.claim)
	c.eachPlace(tagResult, c.result)
	c.groups()
	c.operations()
	for k, v := range n.all(snap, tagControl) {
		c.control(tail(k), v)
	}
	for k, v := range n.all(snap, tagTrigger) {
		c.trigger(string(tail(k)), v)
	}
	for k, v := range n.all(snap, tagSlot) {
		c.slot(string(tail(k)), v)
	}
	c.finish()
	return c.errs
}

func (c *jobCheck) bad(format string, args ...any) {
	c.failed(fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...))
}

func (c *jobCheck) failed(err error) { c.errs = append(c.errs, err) }

// eachPlace calls fn for each key of a region whose keys are places.
func (c *jobCheck) eachPlace(t tag, fn func(p place, value []byte)) {
	for k, v := range c.n.all(c.snap, t) {
		if len(tail(k)) != placeLen {
			c.bad("key %x in region %c", k, t)
			continue
		}
		fn(placeOf(k), v)
	}
}

// job verifies the record of a job in a region, and where the id index has it.
func (c *jobCheck) job(t tag, p place, value []byte) {
	job, err := decodeJob(p, value)
	if err != nil {
		c.failed(err)
		return
	}
	c.count(t, &job)
	if len(job.Args) > 0 && !wellFormed(job.Args) {
		c.bad("job %s: the arguments are not JSON", job.ID)
	}
	if job.ID.Check() != nil && !strings.HasPrefix(string(job.ID), tickPrefix) {
		c.bad("a job's id is %s", quote(string(job.ID)))
	}
	if err := CheckTags(job.Tags); err != nil {
		c.failed(fmt.Errorf("%w: job %s: %w", ErrCorrupt, job.ID, err))
	}
	if p.seq > c.want.seq {
		c.bad("job %s has number %d, above the last assigned, %d", job.ID, p.seq, c.want.seq)
	}
	if !belongs(job.State, t) {
		c.bad("job %s is %s in region %c", job.ID, job.State, t)
	}
	c.outside(t, &job)
	delete(c.orphans, p.seq)
	delete(c.logged, p.seq)
	if t == tagQueue {
		delete(c.progress, p.seq)
	}
	if t != tagHistory {
		delete(c.checkpoints, p.seq)
	}
	if job.Parent != "" {
		c.children[string(c.n.child(&job))] = true
	}
	c.holdsKey(t, p, &job)
	if !c.location(t, p, &job) {
		return
	}
	if other, ok := c.byID[job.ID]; ok {
		c.bad("job %s lies in regions %c and %c", job.ID, other, t)
	}
	c.byID[job.ID] = t
}

func (c *jobCheck) count(t tag, job *Job) {
	switch t {
	case tagQueue:
		c.got.pending++
		c.member(job)
		c.got.addArgs(job, 1)
		c.backlog[string(c.n.backlogKey(job))] = true
		if c.snap.Get(kv.Data, c.n.place(tagClaim, job.place)) == nil {
			for _, key := range c.n.laneKeys(job) {
				c.lanes[string(key)] = true
			}
		}
	case tagHeld:
		c.got.held++
		c.member(job)
		c.got.addArgs(job, 1)
		if !job.NotAfter.IsZero() {
			c.lanes[string(c.n.lastKey(tagHeld, job))] = true
		}
		if key := c.n.turnKey(job); key != nil {
			c.lanes[string(key)] = true
		}
	case tagDead:
		c.got.dead++
	case tagHistory:
		c.got.done++
		if job.NotKept == nil && job.ResultSize > shortResult {
			c.results[job.place] = job.ResultSize
		}
	}
}

// belongs says whether a job of the state lies in the region.
func belongs(s State, t tag) bool {
	switch t {
	case tagQueue:
		return s == StatePending
	case tagHeld:
		return s == StateHeld
	case tagDead:
		return s == StateFailed
	}
	return s == StateSuccess || s == StateCanceled || s == StateExpired
}

// location verifies what the id index says of the job. newest is false for a finished
// job whose id it does not lead to, rightly or not.
func (c *jobCheck) location(t tag, p place, job *Job) (newest bool) {
	loc := c.snap.Get(kv.Data, c.n.name(tagID, string(job.ID)))
	if err := damageOf(loc); err != nil {
		c.failed(err)
		c.located++
		return true
	}
	here := string(loc) == string(encodeLocation(t, p))
	home, minted := job.ID.home()
	switch {
	case t == tagQueue && minted && home == p:
		if loc != nil {
			c.bad("job %s lies where its id says and is in the id index too", job.ID)
		}
	case here:
		c.located++
	case t == tagHistory:
		// A chosen id may have been chosen again: its newest job is the one
		// that is found, and none after that one was dropped from the dead.
		chosen := job.ID != mintJobID(place{msOf(job.ScheduledFor), p.seq})
		newer := len(loc) == 1+placeLen && decodePlace(loc[1:]).seq > p.seq
		if !newer && (loc != nil || !chosen) {
			c.bad("finished job %s: id index says %x", job.ID, loc)
		}
		return false
	default:
		c.bad("job %s in region %c at %d/%d: id index says %x", job.ID, t, p.ms, p.seq, loc)
	}
	return true
}

func (c *jobCheck) claim(p place, value []byte) {
	c.got.claimed++
	if _, _, _, err := decodeClaim(value); err != nil {
		c.failed(err)
	}
	if c.snap.Get(kv.Data, c.n.place(tagQueue, p)) == nil {
		c.bad("claim at %d/%d has no job", p.ms, p.seq)
	}
}

// trigger verifies a trigger, and that it and its one pending tick are not apart (G20).
func (c *jobCheck) trigger(name string, value []byte) {
	t, err := decodeTrigger(name, value)
	if err != nil {
		c.failed(err)
		return
	}
	if len(t.Args) > 0 && !wellFormed(t.Args) {
		c.bad("trigger %s: the arguments are not JSON", t.Name)
	}
	if err := CheckTriggerName(t.Name); err != nil {
		c.failed(fmt.Errorf("%w: %w", ErrCorrupt, err))
	}
	switch {
	case t.Next.IsZero() != (t.NextJob == ""), t.Paused && t.NextJob != "":
		c.bad("trigger %s: paused %t, next slot %v, next job %q", t.Name, t.Paused, t.Next, t.NextJob)
	case t.HeldJob != "" && c.byID[t.HeldJob] != tagHeld:
		c.bad("trigger %s: the tick %s is not held", t.Name, t.HeldJob)
	case t.NextJob != "" && (t.NextJob != t.tickID() || c.byID[t.NextJob] != tagQueue):
		c.bad("trigger %s: the tick %s of slot %v is not pending", t.Name, t.NextJob, t.Next)
	}
	if b := t.Backfill; b != nil && b.Job != "" && (!b.Active() || c.byID[b.Job] != tagQueue && c.byID[b.Job] != tagHeld) {
		c.bad("trigger %s: the tick %s of its backfill is not pending", t.Name, b.Job)
	}
}

func (c *jobCheck) slot(key string, value []byte) {
	name, slot, _ := strings.Cut(key, "\x00")
	var p proto.Slot
	if err := unmarshal(value, &p, &p.Version); err != nil {
		c.failed(fmt.Errorf("trigger %s: slot: %w", name, err))
	}
	if len(slot) != 8 || CheckTriggerName(name) != nil {
		c.bad("key of a slot %q", key)
	}
}

// finish verifies that backlog, id index and counters have no more than the jobs.
func (c *jobCheck) finish() {
	// Not the other way round: older releases have no backlog.
	for k, v := range c.n.all(c.snap, tagBacklog) {
		if err := damageOf(v); err != nil {
			c.failed(err)
		}
		if !c.backlog[string(k)] {
			c.bad("entry %q of the backlog has no pending tick", tail(k))
		}
	}
	for k, v := range c.n.all(c.snap, tagChild) { // the same
		if err := damageOf(v); err != nil {
			c.failed(err)
		}
		if !c.children[string(k)] {
			c.bad("entry %q of the children has no job", tail(k))
		}
	}
	for _, t := range []tag{tagLane, tagLast, tagTurn} {
		for k, v := range c.n.all(c.snap, t) {
			if err := damageOf(v); err != nil {
				c.failed(err)
			}
			if !c.lanes[string(k)] {
				c.bad("entry %q of the lanes has no job that waits", tail(k))
			}
			delete(c.lanes, string(k))
		}
	}
	for k := range c.lanes {
		c.bad("a job that waits is not in its lane %q", tail([]byte(k)))
	}
	entries := 0
	for range c.n.all(c.snap, tagID) {
		entries++
	}
	if entries != c.located {
		c.bad("the id index has %d entries for %d jobs", entries, c.located)
	}
	for key, row := range c.keys {
		if row.until == 0 {
			c.bad("unique key %s belongs to job %s, which is not pending", quote(key), row.job)
		}
	}
	for seq := range c.orphans {
		c.bad("job number %d has scheduled others once, and is not there", seq)
	}
	for seq := range c.logged {
		c.bad("job number %d has log lines, and is not there", seq)
	}
	for seq := range c.progress {
		c.bad("job number %d is not pending, and has progress", seq)
	}
	for seq := range c.checkpoints {
		c.bad("job number %d is not tried again, and has a checkpoint", seq)
	}
	if c.want.argBytes < 0 {
		c.got.argBytes = -1
	}
	if c.got != c.want {
		c.bad("counters say %+v, the keys %+v", c.want, c.got)
	}
}
