package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"carillon/proto"
	"carillon/storage/internal/kv"
)

// Jobs may be the members of a group. It ends when it is sealed and each of them has ended, and
// a job is scheduled in that very commit that is told how many ended how.
//
//	number ‖ 'G' ‖ 'g' ‖ group                  the group: how many have not ended, and how the others did
//	number ‖ 'G' ‖ 'n' ‖ group                  the job that follows it, until it ends
//	number ‖ 'G' ‖ 'e' ‖ instant ‖ group        (empty) it has ended
//
// A group's number is one of those that jobs and documents have. The first row is written with the
// end of each member, and once in a commit, however many members it ends.
const (
	groupRow   = 'g'
	groupNext  = 'n'
	groupEnded = 'e'
)

func (n keyspace) group(kind byte, id GroupID) []byte {
	return binary.BigEndian.AppendUint64(append(n.prefix(tagGroup), kind), uint64(id))
}

func (n keyspace) endedGroup(g *Group) []byte {
	b := binary.BigEndian.AppendUint64(append(n.prefix(tagGroup), groupEnded), uint64(msOf(g.EndedAt)))
	return binary.BigEndian.AppendUint64(b, uint64(g.ID))
}

// groupName names what the rest of a key is about.
func groupName(rest []byte) string {
	if len(rest) < 9 {
		return "key of no group"
	}
	id := binary.BigEndian.Uint64(rest[len(rest)-8:])
	switch rest[0] {
	case groupNext:
		return fmt.Sprintf("follow-up of group %d", id)
	case groupEnded:
		return fmt.Sprintf("end of group %d", id)
	}
	return fmt.Sprintf("group %d", id)
}

// Bounds of groups: MaxGroups is how many an app may have that have not ended,
// MaxGroupMembers how many members one may have, those that have ended among them.
const (
	MaxGroups       = 100_000
	MaxGroupMembers = 1_000_000
)

// What joining a group, or leaving it, writes at most: the row, and of the last member the
// job that follows, in its lanes and among the children of its parent.
const (
	groupWeight = 128
	groupWrites = 10
)

// GroupID names a group within its app; 0 names none.
type GroupID uint64

// GroupEnds is how many members of a group have ended how.
type GroupEnds struct {
	Success  int `json:"success"`
	Failed   int `json:"failed"`   // dead
	Canceled int `json:"canceled"` // held ones that were dropped among them
	Expired  int `json:"expired"`
}

// Total is how many those are.
func (e GroupEnds) Total() int { return e.Success + e.Failed + e.Canceled + e.Expired }

// GroupOutcome is how the members of a group have ended, as its follow-up is told.
type GroupOutcome struct {
	Group GroupID
	GroupEnds
}

// Group is a group of jobs.
type Group struct {
	ID        GroupID
	CreatedAt time.Time
	Sealed    bool // only its members add members
	Canceled  bool // none are added
	Pending   int  // members that have not ended: pending, running or held
	Ends      GroupEnds
	EndedAt   time.Time // zero: it has not ended
	FollowUp  JobID     // the job that was scheduled when it ended; "" if it has not, or its record was damaged
}

// Ended says whether the group is sealed, and all members have ended.
func (g *Group) Ended() bool { return !g.EndedAt.IsZero() }

func encodeGroup(g *Group) []byte {
	p := proto.Group{
		Version: recordVersion, CreatedAtMs: msOf(g.CreatedAt), Sealed: g.Sealed, Stopped: g.Canceled,
		Pending: uint64(g.Pending), Success: uint64(g.Ends.Success), Failed: uint64(g.Ends.Failed),
		Canceled: uint64(g.Ends.Canceled), Expired: uint64(g.Ends.Expired),
		EndedAtMs: msOf(g.EndedAt), FollowUp: string(g.FollowUp),
	}
	return encoded(p.MarshalVT())
}

func decodeGroup(id GroupID, data []byte) (*Group, error) {
	var p proto.Group
	if err := unmarshal(data, &p, &p.Version); err != nil {
		return nil, fmt.Errorf("group %d: %w", id, err)
	}
	return &Group{
		ID: id, CreatedAt: timeOf(p.CreatedAtMs), Sealed: p.Sealed, Canceled: p.Stopped, Pending: int(p.Pending),
		Ends:    GroupEnds{int(p.Success), int(p.Failed), int(p.Canceled), int(p.Expired)},
		EndedAt: timeOf(p.EndedAtMs), FollowUp: JobID(p.FollowUp),
	}, nil
}

func encodeGroupOutcome(o *GroupOutcome) *proto.GroupOutcome {
	if o == nil {
		return nil
	}
	return &proto.GroupOutcome{
		Group: uint64(o.Group), Success: uint64(o.Success), Failed: uint64(o.Failed),
		Canceled: uint64(o.Canceled), Expired: uint64(o.Expired),
	}
}

func decodeGroupOutcome(p *proto.GroupOutcome) *GroupOutcome {
	if p == nil {
		return nil
	}
	return &GroupOutcome{GroupID(p.Group), GroupEnds{int(p.Success), int(p.Failed), int(p.Canceled), int(p.Expired)}}
}

// NewGroup makes a group that the job follows. Errors: ErrLimit if the app has MaxGroups that
// have not ended, or as many bytes of arguments as it may; ErrTxLimit.
func (w JobWriter) NewGroup(then Job) (GroupID, error) {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return 0, err
	}
	defer tx.mu.Unlock()
	if err := tx.checkNew(&then); err != nil {
		return 0, err
	}
	c := &tx.top().counts
	if c.groups >= MaxGroups {
		return 0, fmt.Errorf("%w: app %s has %d groups that have not ended, as many as it may", ErrLimit, tx.app.id, c.groups)
	}
	if err := tx.roomFor(then.ArgLen()); err != nil {
		return 0, err
	}
	data := encodeJob(&then)
	if err := w.v.spare(0, 2, len(data)+groupWeight); err != nil {
		return 0, err
	}
	c.seq++
	c.groups++
	c.addArgs(&then, 1)
	g := Group{ID: GroupID(c.seq), CreatedAt: timeOf(tx.now.UnixMilli())}
	tx.put(tx.app.keys.group(groupNext, g.ID), data)
	tx.putGroup(&g)
	return g.ID, nil
}

// SealGroup has only members of the group add members from now on; one that has none that have
// not ended ends at once. Of one that is sealed already nothing changes. ErrNotFound if
// there is no such group, ErrTxLimit.
func (w JobWriter) SealGroup(id GroupID) error { return w.seal(id, false) }

// StopGroup is SealGroup, and the members add none either. What has not ended goes on.
func (w JobWriter) StopGroup(id GroupID) error { return w.seal(id, true) }

func (w JobWriter) seal(id GroupID, stop bool) error {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return err
	}
	defer tx.mu.Unlock()
	g, err := tx.group(id)
	if err != nil {
		return err
	}
	if g.Ended() || g.Sealed && (g.Canceled || !stop) {
		return nil
	}
	if err := w.v.spare(0, groupWrites, groupWeight); err != nil {
		return err
	}
	g.Sealed, g.Canceled = true, g.Canceled || stop
	return tx.endOrPut(g)
}

// group reads a group.
func (tx *Tx) group(id GroupID) (*Group, error) {
	data, err := tx.get(tx.app.keys.group(groupRow, id))
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, fmt.Errorf("%w: group %d", ErrNotFound, id)
	}
	g, err := decodeGroup(id, data)
	if err != nil {
		return nil, fmt.Errorf("app %s: %w", tx.app.id, err)
	}
	return g, nil
}

func (tx *Tx) putGroup(g *Group) { tx.put(tx.app.keys.group(groupRow, g.ID), encodeGroup(g)) }

// joins returns the group that a new job may join; nil: it has none. A follow-up always may, since
// an end must not fail, and the member that it follows has kept the group from ending; if the
// record cannot be read, it has no group.
func (tx *Tx) joins(job *Job) (*Group, error) {
	if job.Group == 0 {
		return nil, nil
	}
	g, err := tx.group(job.Group)
	if job.Outcome != nil {
		if lostGroup(err) {
			job.Group = 0
			return nil, nil
		}
		return g, err
	}
	switch {
	case err != nil:
		return nil, err
	case g.Ended():
		return nil, fmt.Errorf("%w: group %d has ended", ErrSealed, g.ID)
	case g.Canceled:
		return nil, fmt.Errorf("%w: group %d was canceled", ErrSealed, g.ID)
	case g.Pending+g.Ends.Total() >= MaxGroupMembers:
		return nil, fmt.Errorf("%w: group %d has %d members, as many as one may", ErrLimit, g.ID, MaxGroupMembers)
	case !g.Sealed:
		return g, nil
	}
	parent, _, err := tx.unended(job.Parent)
	if err == nil && parent.Group != g.ID {
		err = fmt.Errorf("%w: of group %d only members that run add members", ErrSealed, g.ID)
	}
	return g, err
}

// leaveGroup notes the end of a member. If it was the last one, and the group is sealed, the
// group ends. Of one that cannot be read, the check tells that; its members end all the same.
func (tx *Tx) leaveGroup(job *Job, state State) error {
	if job.Group == 0 {
		return nil
	}
	g, err := tx.group(job.Group)
	if err != nil {
		if lostGroup(err) {
			return nil
		}
		return err
	}
	if g.Pending--; g.Pending < 0 {
		return nil
	}
	switch state {
	case StateSuccess:
		g.Ends.Success++
	case StateFailed:
		g.Ends.Failed++
	case StateExpired:
		g.Ends.Expired++
	default:
		g.Ends.Canceled++
	}
	return tx.endOrPut(g)
}

// lostGroup says whether the error is of the record, and not of the volume.
func lostGroup(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrFormat)
}

// endOrPut stores the group, and what follows it if this is its end.
func (tx *Tx) endOrPut(g *Group) error {
	if g.Sealed && g.Pending == 0 {
		if err := tx.endGroup(g); err != nil {
			return err
		}
	}
	tx.putGroup(g)
	return nil
}

// endGroup schedules what follows the group. It is held to no limit, as the follow-up of a job.
func (tx *Tx) endGroup(g *Group) error {
	keys, c := tx.app.keys, &tx.top().counts
	key := keys.group(groupNext, g.ID)
	data, err := tx.get(key)
	if err != nil {
		return err
	}
	next, err := decodeJob(place{}, data)
	if err == nil {
		c.addArgs(&next, -1)
		next.GroupOutcome = &GroupOutcome{g.ID, g.Ends}
		if g.FollowUp, err = tx.insertNow(next); err != nil {
			return fmt.Errorf("follow-up of group %d: %w", g.ID, err)
		}
	} // else it is lost: it cannot be known what to run
	tx.delete(key)
	g.EndedAt = timeOf(tx.now.UnixMilli())
	tx.put(keys.endedGroup(g), []byte{})
	c.groups--
	c.over++
	return nil
}

// EndsGroup says whether the end of the job, which is pending, is that of its group.
func (tx *Tx) EndsGroup(job *Job) bool {
	if job.Group == 0 {
		return false
	}
	if tx.lockTop() != nil {
		return false
	}
	defer tx.mu.Unlock()
	g, err := tx.group(job.Group)
	return err == nil && g.Sealed && g.Pending == 1
}

// PurgeGroups deletes groups that have ended, as PurgeHistory does finished jobs.
func (tx *Tx) PurgeGroups(before time.Time, keep, limit int) (n int, more bool, err error) {
	if err := tx.lockTop(); err != nil {
		return 0, false, err
	}
	defer tx.mu.Unlock()
	c, keys := &tx.top().counts, tx.app.keys
	if c.over == 0 {
		return 0, false, nil
	}
	prefix := append(keys.prefix(tagGroup), groupEnded)
	rows, err := tx.rows(prefix, after(prefix), false, limit)
	if err != nil {
		return 0, false, err
	}
	for _, r := range rows {
		at, id, ok := endOfGroup(tail(r.key))
		if !ok || c.over == 0 || at >= before.UnixMilli() && c.over <= uint64(max(keep, 0)) {
			return n, false, nil
		}
		tx.delete(r.key)
		tx.delete(keys.group(groupRow, id))
		c.over--
		n++
	}
	return n, n == limit, nil
}

// firstGroup is when the group ended that ended first, in ms.
func (n keyspace) firstGroup(snap *kv.Snapshot) int64 {
	k, _ := snap.Cursor(kv.Data).Seek(append(n.prefix(tagGroup), groupEnded))
	if ms, _, ok := endOfGroup(tail(k)); ok && bytes.HasPrefix(k, n.prefix(tagGroup)) {
		return ms
	}
	return math.MaxInt64
}

// EndedGroups returns how many groups that have ended are kept, as of the last change submitted.
func (a *App) EndedGroups() int { return int(a.counts.over) }

// endOfGroup is what the rest of a key of a group that has ended says.
func endOfGroup(rest []byte) (ms int64, id GroupID, ok bool) {
	if len(rest) != 1+8+8 || rest[0] != groupEnded {
		return 0, 0, false
	}
	return int64(binary.BigEndian.Uint64(rest[1:])), GroupID(binary.BigEndian.Uint64(rest[9:])), true
}

// GroupFilter chooses groups.
type GroupFilter struct {
	Going bool    // only those that have not ended
	After GroupID // only those that were made after this one: where the page before has ended
	Limit int     // how many, 1 to 1,000; 0 means 100
}

// Group returns the group. ok is false if there is none of that number: it was never made, or it
// ended longer ago than the retention.
func (s System) Group(id GroupID) (g Group, ok bool, err error) {
	data, err := s.of.get(s.of.keys.group(groupRow, id))
	if err != nil || data == nil {
		return Group{}, false, err
	}
	found, err := decodeGroup(id, data)
	if err != nil {
		return Group{}, false, fmt.Errorf("app %s: %w", s.of.app.id, err)
	}
	return *found, !s.of.goneGroup(found), nil
}

// Groups returns the groups that the filter chooses, in the order that they were made. The next
// page is that after the last one of this. A record that cannot be read is an error.
func (s System) Groups(f GroupFilter) (list []Group, err error) {
	if f.Limit < 0 || f.Limit > maxPage {
		return nil, fmt.Errorf("%w: limit %d, want 1 to %d", ErrInvalid, f.Limit, maxPage)
	}
	if f.Limit == 0 {
		f.Limit = defaultPage
	}
	if f.After == math.MaxUint64 {
		return nil, nil
	}
	keys := s.of.keys
	end := after(append(keys.prefix(tagGroup), groupRow))
	for r, err := range s.of.scan(keys.group(groupRow, f.After+1), end, false) {
		if err != nil {
			return nil, err
		}
		rest := tail(r.key)
		if len(rest) != 9 {
			continue
		}
		g, err := decodeGroup(GroupID(binary.BigEndian.Uint64(rest[1:])), r.value)
		if err != nil {
			return nil, fmt.Errorf("app %s: %w", s.of.app.id, err)
		}
		if s.of.goneGroup(g) || f.Going && g.Ended() {
			continue
		}
		if list = append(list, *g); len(list) == f.Limit {
			break
		}
	}
	return list, nil
}

// goneGroup says whether the group is past its retention.
func (v *view) goneGroup(g *Group) bool {
	keep := time.Duration(v.app.retention.Load())
	return g.Ended() && keep > 0 && !g.EndedAt.After(v.now.Add(-keep))
}
