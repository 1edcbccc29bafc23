package actors

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// liveRoom keeps the live queries of one app up to date, in rounds: a goroutine that lives while
// there is something to do opens a snapshot, runs on it those queries whose read sets meet what
// was written, and then shows all results at once. So whatever is shown is of one snapshot, at
// any time, and one that is slow to take it takes the latest. Those who have a query that is slow
// to run have rounds of their own, so that the others do not wait for it.
type liveRoom struct {
	lives  *lives
	app    *App
	origin dispatch.Origin
	ctx    context.Context
	stop   context.CancelCauseFunc

	quick, slow *liveLane

	mu      sync.Mutex // before lives.mu and the inboxes'
	weight  int64      // of what is retained
	queries int
	over    bool
}

// liveLane are those of a room who have their rounds together. Each has its own groups: a query of
// both lanes runs in both.
type liveLane struct {
	*liveRoom
	in liveInbox

	// Below: guarded by the room's mu.
	groups map[string]*liveGroup
	all    map[*Live]struct{}
	begun  uint64    // rounds
	at     uint64    // the commit of the latest round
	stale  time.Time // when that was written which the next round shows; zero: nothing was
	wanted uint64    // the highest commit that is awaited
}

func newLiveRoom(ls *lives, a *App, origin dispatch.Origin) *liveRoom {
	r := &liveRoom{lives: ls, app: a, origin: origin}
	r.ctx, r.stop = context.WithCancelCause(context.Background())
	for _, n := range [...]**liveLane{&r.quick, &r.slow} {
		*n = &liveLane{liveRoom: r, groups: map[string]*liveGroup{}, all: map[*Live]struct{}{}}
	}
	return r
}

// put has the Live be of the lane. The lock is held.
func (n *liveLane) put(l *Live) {
	l.lane, n.all[l] = n, struct{}{}
	n.wanted = max(n.wanted, l.wanted)
	n.in.use(true)
}

// take takes the Live out of the lane. The lock is held.
func (n *liveLane) take(l *Live) {
	delete(n.all, l)
	if l.wanted == n.wanted {
		n.wanted = 0
		for l := range n.all {
			n.wanted = max(n.wanted, l.wanted)
		}
	}
	if len(n.all) == 0 {
		n.in.use(false)
	}
}

// move has the Live be of another lane, which gives it nothing before a round that has begun later
// has all of its queries. The lock is held.
func (r *liveRoom) move(l *Live, to *liveLane) {
	l.lane.take(l)
	for _, sub := range l.subs {
		l.lane.quit(sub)
	}
	to.put(l)
	for _, sub := range l.subs {
		to.enter(sub, sub.group.path, sub.group.args)
		l.changed[sub] = struct{}{}
	}
	l.from = to.begun + 1
	l.stays = time.Now().Add(liveStay)
	to.ask()
}

// place has the Live be in the slow lane if it has a query that is known to be slow, and asks for
// a round. The lock is held.
func (r *liveRoom) place(l *Live) {
	if l.lane == r.quick {
		for _, sub := range l.subs {
			if g := r.slow.groups[sub.group.key]; g != nil && g.took >= liveSlow {
				r.move(l, r.slow)
				return
			}
		}
	}
	l.lane.ask()
}

// isSlow says whether one of the queries was slow when it was run last. The lock is held.
func (l *Live) isSlow() bool {
	for _, sub := range l.subs {
		if sub.group.took >= liveSlow {
			return true
		}
	}
	return false
}

// liveGroup are those who want the same: one query, with the same arguments, as the same identity.
type liveGroup struct {
	key      string
	path     string
	args     json.RawMessage
	identity *dispatch.Identity
	subs     map[*liveSub]struct{}
	dirty    bool // it runs in the next round
	reads    *storage.ReadSet
	result   *liveOutcome // nil: it has not run yet
	weight   int64
	took     time.Duration // the latest run
	failed   int           // how often in a row it was not the query that has failed
	again    *time.Timer   // has it run again then
}

// liveOutcome is what a query has come to. It does not change.
type liveOutcome struct {
	value json.RawMessage
	err   error
	sum   LiveSum // of the one or the other
}

// liveSub is a LiveQuery of a Live.
type liveSub struct {
	id    uint64
	live  *Live
	group *liveGroup
	since uint64  // the modification that has added it
	given LiveSum // of the result that was given out; zero: none was
}

// liveWho is the identity as a part of keys.
func liveWho(identity *dispatch.Identity) string {
	if identity == nil {
		return ""
	}
	who, err := json.Marshal(identity)
	if err != nil {
		panic("actors: a normalized identity has no JSON: " + err.Error())
	}
	return string(who)
}

// change is Live.Change.
func (r *liveRoom) change(l *Live, add []LiveQuery, remove []uint64) (version uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	gone := map[uint64]bool{}
	for _, id := range remove {
		gone[id] = l.subs[id] != nil
	}
	left := 0
	for _, g := range gone {
		if g {
			left++
		}
	}
	fresh := map[uint64]bool{}
	var bytes int64
	for _, q := range add {
		if fresh[q.ID] || l.subs[q.ID] != nil && !gone[q.ID] {
			return 0, dispatch.Errorf(dispatch.CodeInvalidArgument, "the live query %d is there already", q.ID)
		}
		fresh[q.ID] = true
		bytes += int64(len(q.Path) + len(q.Args))
	}
	if err := r.spare(len(add)-left, bytes); err != nil {
		return 0, err
	}
	l.version++
	for id, there := range gone {
		if there {
			r.drop(l.subs[id])
		}
	}
	for _, q := range add {
		sub := &liveSub{id: q.ID, live: l, since: l.version, given: q.Seen}
		l.subs[q.ID] = sub
		r.count(1)
		l.lane.enter(sub, q.Path, compactArgs(q.Args))
	}
	r.place(l)
	return l.version, nil
}

// spare says which limit forbids so many more queries, or bytes, or nil.
func (r *liveRoom) spare(queries int, bytes int64) error {
	opts := &r.app.eng.opts
	n, weight := r.lives.sums()
	switch {
	case queries <= 0:
	case r.queries+queries > opts.MaxAppSubscriptions:
		return liveLimit("app %s has %d live queries: it may have %d (MaxAppSubscriptions)", r.app.id, r.queries, opts.MaxAppSubscriptions)
	case n+queries > opts.MaxSubscriptions:
		return liveLimit("the engine has %d live queries: it may have %d (MaxSubscriptions)", n, opts.MaxSubscriptions)
	case weight+bytes > opts.MaxSubscriptionBytes:
		return liveLimit("the live queries of the engine take %d bytes: they may take %d (MaxSubscriptionBytes)", weight, opts.MaxSubscriptionBytes)
	case r.weight+bytes > opts.MaxSubscriptionBytes/4:
		return liveLimit("the live queries of app %s take %d bytes: they may take %d (a quarter of MaxSubscriptionBytes)", r.app.id, r.weight, opts.MaxSubscriptionBytes/4)
	}
	return nil
}

func liveLimit(format string, args ...any) error {
	e := dispatch.Errorf(dispatch.CodeResourceExhausted, format, args...)
	return &dispatch.Error{Code: e.Code, Message: e.Message, Err: storage.ErrLimit}
}

// compactArgs is how equal arguments are found to be equal.
func compactArgs(args json.RawMessage) json.RawMessage {
	var short bytes.Buffer
	if json.Compact(&short, args) == nil {
		args = short.Bytes()
	}
	if len(args) == 0 || string(args) == "null" {
		return json.RawMessage("{}")
	}
	return bytes.Clone(args)
}

// count counts the queries. The lock is held.
func (r *liveRoom) count(n int) {
	r.queries += n
	r.lives.count(n, 0)
}

// weigh notes what the group takes now. The lock is held.
func (r *liveRoom) weigh(g *liveGroup, weight int64) {
	r.weight += weight - g.weight
	r.lives.count(0, weight-g.weight)
	g.weight = weight
}

// enter puts the query into its group. The lock is held.
func (n *liveLane) enter(sub *liveSub, path string, args json.RawMessage) {
	key := path + "\x00" + sub.live.who + "\x00" + string(args)
	g := n.groups[key]
	if g == nil {
		g = &liveGroup{key: key, path: path, args: args, identity: sub.live.identity, subs: map[*liveSub]struct{}{}, dirty: true}
		n.groups[key] = g
		n.weigh(g, g.least())
	}
	g.subs[sub] = struct{}{}
	sub.group = g
}

// least is what a group takes that has no result.
func (g *liveGroup) least() int64 { return int64(len(g.key) + len(g.args)) }

// quit takes the query out of its group. The lock is held.
func (n *liveLane) quit(sub *liveSub) {
	g := sub.group
	if delete(g.subs, sub); len(g.subs) == 0 {
		delete(n.groups, g.key)
		n.weigh(g, 0)
		if g.again != nil {
			g.again.Stop()
		}
	}
}

// drop removes the query. The lock is held.
func (r *liveRoom) drop(sub *liveSub) {
	sub.live.lane.quit(sub)
	delete(sub.live.subs, sub.id)
	delete(sub.live.changed, sub)
	r.count(-1)
}

// setIdentity is Live.SetIdentity.
func (r *liveRoom) setIdentity(l *Live, identity *dispatch.Identity) (version uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	l.version++
	l.changes = l.version
	l.identity, l.who = identity, liveWho(identity)
	for _, sub := range l.subs {
		g := sub.group
		l.lane.quit(sub)
		l.lane.enter(sub, g.path, g.args)
	}
	r.place(l)
	return l.version, nil
}

// await is Live.Await.
func (r *liveRoom) await(l *Live, commit uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.err != nil {
		return
	}
	l.wanted = max(l.wanted, commit)
	n := l.lane
	n.wanted = max(n.wanted, commit)
	if n.at < commit {
		n.ask()
	} else {
		l.hurry()
	}
}

// after is Live.After. A round that begins from now on shows each commit that was told by any Live before, if
// the app still has it: what a Live tells is durable.
func (r *liveRoom) after(l *Live, commit uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.err != nil || commit == 0 {
		return
	}
	l.after = max(l.after, commit)
	l.from = l.lane.begun + 1
	l.lane.ask()
}

// isBehind is why the Live is over if the app lacks the commit that it goes on after. The lock is held.
func (l *Live) isBehind() error {
	if l.lane.at >= l.after {
		return nil
	}
	return dispatch.Errorf(dispatch.CodeAborted, "app %s is as of commit %d, and was seen as of %d: it was imported or restored, or the log has lost that; begin anew", l.room.app.id, l.lane.at, l.after)
}

// take takes what there is to tell.
func (r *liveRoom) take(l *Live) (t Transition, ok bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case l.err != nil:
		return Transition{}, false, l.err
	case l.covered < l.changes || l.from != 0:
		return Transition{}, false, nil // no round has run the queries as who it is now, or where
	}
	t = Transition{Commit: l.lane.at, Version: l.covered}
	for sub := range l.changed {
		if sub.since > l.covered {
			continue
		}
		delete(l.changed, sub)
		if res := sub.group.result; res.sum != sub.given {
			sub.given = res.sum
			t.Changed = append(t.Changed, LiveResult{ID: sub.id, Value: res.value, Err: res.err, Sum: res.sum})
		}
	}
	if len(t.Changed) == 0 && l.covered == l.told.Version && !(l.wanted > l.told.Commit && l.lane.at >= l.wanted) {
		return Transition{}, false, nil
	}
	slices.SortFunc(t.Changed, func(a, b LiveResult) int { return cmp.Compare(a.ID, b.ID) })
	l.told = Transition{Commit: t.Commit, Version: t.Version}
	return t, true, nil
}

// end ends all who are in the room.
func (r *liveRoom) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range [...]*liveLane{r.quick, r.slow} {
		for l := range n.all {
			r.remove(l, err)
		}
	}
	r.finish(err)
}

// remove has the Live be over. The lock is held.
func (r *liveRoom) remove(l *Live, err error) {
	if l.err == nil {
		l.err = err
	}
	for _, sub := range l.subs {
		r.drop(sub)
	}
	if l.lane != nil {
		l.lane.take(l)
	}
	l.hurry()
}

// finish has the room end. The lock is held.
func (r *liveRoom) finish(err error) {
	r.over = true
	for _, n := range [...]*liveLane{r.quick, r.slow} {
		n.in.mu.Lock()
		n.in.over, n.in.written = true, nil
		n.in.mu.Unlock()
	}
	r.stop(err)
}
