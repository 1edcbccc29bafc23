package storage

import "encoding/binary"

// groupCheck is what the check has found of a group.
type groupCheck struct {
	*Group       // nil: no record was found that can be read
	damaged bool // there is one that cannot
	follows bool // what follows it is there
	end     int64
}

// groups verifies the groups, whose members the check has counted.
func (c *jobCheck) groups() {
	all := map[GroupID]*groupCheck{}
	for k, v := range c.n.all(c.snap, tagGroup) {
		rest := tail(k)
		if !groupKey(rest) {
			c.bad("key %q of a group", rest)
			continue
		}
		id := GroupID(binary.BigEndian.Uint64(rest[len(rest)-8:]))
		if all[id] == nil {
			all[id] = &groupCheck{}
		}
		if err := c.group(all[id], id, rest, v); err != nil {
			c.failed(err)
		}
	}
	for id, n := range c.members {
		if all[id] == nil {
			c.bad("%d jobs that have not ended are members of group %d, which is not there", n, id)
		}
	}
	for id, g := range all {
		switch n := c.members[id]; {
		case g.damaged:
		case g.Group == nil:
			c.bad("group %d has no record", id)
		case uint64(id) > c.want.seq:
			c.bad("group %d has a number above the last assigned, %d", id, c.want.seq)
		case g.Pending != n:
			c.bad("group %d has %d members that have not ended, by the jobs %d", id, g.Pending, n)
		case g.Ended() == g.follows, msOf(g.EndedAt) != g.end, g.Ended() != (g.Sealed && n == 0):
			c.bad("group %d has ended at %d ms, by its key at %d; it is sealed: %t, has a follow-up: %t", id, msOf(g.EndedAt), g.end, g.Sealed, g.follows)
		}
	}
}

// member counts a job that has not ended for its group.
func (c *jobCheck) member(job *Job) {
	if job.Group != 0 {
		c.members[job.Group]++
	}
}

// groupKey says whether the rest of a key is of a kind that groups have.
func groupKey(rest []byte) bool {
	switch {
	case len(rest) == 1+8:
		return rest[0] == groupRow || rest[0] == groupNext
	case len(rest) == 1+8+8:
		return rest[0] == groupEnded
	}
	return false
}

// group verifies one key of a group.
func (c *jobCheck) group(g *groupCheck, id GroupID, rest, value []byte) error {
	switch rest[0] {
	case groupEnded:
		g.end, _, _ = endOfGroup(rest)
		return damageOf(value)
	case groupNext:
		g.follows = true
		next, err := decodeJob(place{}, value)
		if err != nil {
			return err
		}
		c.got.addArgs(&next, 1)
		if len(next.Args) > 0 && !wellFormed(next.Args) {
			c.bad("follow-up of group %d: the arguments are not JSON", id)
		}
		return nil
	}
	group, err := decodeGroup(id, value)
	if g.Group, g.damaged = group, err != nil; err != nil {
		return err
	}
	if group.Ended() {
		c.got.over++
	} else {
		c.got.groups++
	}
	return nil
}
