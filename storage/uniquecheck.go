package storage

import (
	"encoding/binary"

	"carillon/storage/internal/kv"
)

// uniqueKeys reads the rows of unique keys, and verifies that what says until when one
// lasts agrees with it.
func (c *jobCheck) uniqueKeys() {
	untils := map[string]bool{}
	for k, v := range c.n.all(c.snap, tagUnique) {
		rest := tail(k)
		if _, ok := uniqueOf(rest); !ok || rest[0] != keyOwner && rest[0] != keyUntil {
			c.bad("key %x of unique keys", k)
			continue
		}
		if rest[0] == keyUntil {
			if err := damageOf(v); err != nil {
				c.failed(err)
			}
			untils[string(k)] = true
			c.got.lasting++
			continue
		}
		row, err := decodeKeyRow(string(rest[1:]), v)
		if err != nil {
			c.failed(err)
			continue
		}
		c.keys[row.key] = row
	}
	for _, row := range c.keys {
		if at := string(c.n.keyUntil(row.until, row.key)); row.until != 0 && !untils[at] {
			c.bad("unique key %s of job %s has no end", quote(row.key), row.job)
		} else {
			delete(untils, at)
		}
	}
	for k := range untils {
		c.bad("end %x is of no unique key", k)
	}
}

// holdsKey verifies that the unique key of a job that has not ended is the job's, unless
// it runs: then a later one may have it.
func (c *jobCheck) holdsKey(t tag, p place, job *Job) {
	if job.Unique == nil || t != tagQueue && t != tagHeld {
		return
	}
	key := job.UniqueKey()
	row := c.keys[key]
	switch {
	case row != nil && row.until == 0 && row.job == job.ID:
		delete(c.keys, key)
	case t == tagQueue && c.snap.Get(kv.Data, c.n.place(tagClaim, p)) != nil:
	default:
		c.bad("job %s does not have its unique key %s", job.ID, quote(job.Unique.Key))
	}
}

// onces reads what jobs have scheduled once, and verifies the numbers.
func (c *jobCheck) onces() {
	names := map[uint64]uint64{}
	for k, v := range c.n.all(c.snap, tagOnce) {
		rest := tail(k)
		if len(rest) < 8 {
			c.bad("key %x of what a job has scheduled once", k)
			continue
		}
		if err := damageOf(v); err != nil {
			c.failed(err)
			continue
		}
		seq := binary.BigEndian.Uint64(rest)
		if len(rest) > 8 {
			names[seq]--
			continue
		}
		names[seq] += decodeU64(v)
		c.orphans[seq] = true
		c.got.onceParents++
	}
	for seq, n := range names {
		if n != 0 {
			c.bad("job number %d has scheduled another number of jobs once than it says", seq)
		}
	}
}
