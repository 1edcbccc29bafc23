package actors

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// These bound how many queries of an app run at once to be kept up to date, how long the room
// rests after a round that took so long, and when it tries again if the app cannot be read.
const (
	liveRuns  = 4
	liveRest  = 1
	liveRetry = 250 * time.Millisecond
)

// liveRoom keeps the live queries of one app up to date, in rounds: a goroutine that lives while
// there is something to do opens a snapshot, runs on it those queries whose read sets meet what
// was written, and then shows all results at once. So whatever is shown is of one snapshot, at
// any time, and one that is slow to take it takes the latest.
type liveRoom struct {
	lives  *lives
	app    *App
	origin dispatch.Origin
	ctx    context.Context
	stop   context.CancelCauseFunc

	in liveInbox

	mu      sync.Mutex // before lives.mu and the inbox's
	groups  map[string]*liveGroup
	all     map[*Live]struct{}
	at      uint64 // the commit of the latest round
	wanted  uint64 // the highest that is awaited
	weight  int64  // of what is retained
	queries int
	over    bool
}

// liveInbox is what the committer leaves for the room. Its lock is a leaf.
type liveInbox struct {
	mu      sync.Mutex
	written []liveWrite
	weight  int
	lost    bool // something was written that is not there
	asked   bool // a round is wanted, whatever was written
	working bool
	over    bool
}

// liveWrite is what a transaction has written that is durable, or, without a commit, that a
// handler has begun.
type liveWrite struct {
	commit  uint64
	written *storage.JobWrites
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
	failed   int         // how often in a row it was not the query that has failed
	again    *time.Timer // has it run again then
}

// liveOutcome is what a query has come to. It does not change.
type liveOutcome struct {
	value json.RawMessage
	err   error
	sum   [sha256.Size]byte // of the one or the other
}

// liveSub is a LiveQuery of a Live.
type liveSub struct {
	id    uint64
	live  *Live
	group *liveGroup
	since uint64            // the modification that has added it
	given [sha256.Size]byte // of the result that was given out; zero: none was
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
		sub := &liveSub{id: q.ID, live: l, since: l.version}
		l.subs[q.ID] = sub
		r.count(1)
		r.enter(sub, q.Path, compactArgs(q.Args))
	}
	r.ask()
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
func (r *liveRoom) enter(sub *liveSub, path string, args json.RawMessage) {
	key := path + "\x00" + sub.live.who + "\x00" + string(args)
	g := r.groups[key]
	if g == nil {
		g = &liveGroup{key: key, path: path, args: args, identity: sub.live.identity, subs: map[*liveSub]struct{}{}, dirty: true}
		r.groups[key] = g
		r.weigh(g, g.least())
	}
	g.subs[sub] = struct{}{}
	sub.group = g
}

// least is what a group takes that has no result.
func (g *liveGroup) least() int64 { return int64(len(g.key) + len(g.args)) }

// quit takes the query out of its group. The lock is held.
func (r *liveRoom) quit(sub *liveSub) {
	g := sub.group
	if delete(g.subs, sub); len(g.subs) == 0 {
		delete(r.groups, g.key)
		r.weigh(g, 0)
		if g.again != nil {
			g.again.Stop()
		}
	}
}

// retry has a group run again after a while that could not be run, or not to its end: that need
// not be because of what it has read. The lock is held.
func (r *liveRoom) retry(g *liveGroup) {
	e, failed := g.result.err.(*dispatch.Error)
	if !failed || e.Code != dispatch.CodeUnavailable && e.Code != dispatch.CodeDeadlineExceeded {
		g.failed = 0
		return
	}
	if g.again != nil {
		g.again.Stop()
	}
	g.again = time.AfterFunc(time.Second<<min(g.failed, 6), func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.groups[g.key] == g {
			g.dirty = true
			r.ask()
		}
	})
	g.failed++
}

// drop removes the query. The lock is held.
func (r *liveRoom) drop(sub *liveSub) {
	r.quit(sub)
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
		r.quit(sub)
		r.enter(sub, g.path, g.args)
	}
	r.ask()
	return l.version, nil
}

// await is Live.Await.
func (r *liveRoom) await(l *Live, commit uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.wanted = max(l.wanted, commit)
	r.wanted = max(r.wanted, commit)
	if r.at < commit {
		r.ask()
	} else {
		l.hurry()
	}
}

// take takes what there is to tell.
func (r *liveRoom) take(l *Live) (t Transition, ok bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case l.err != nil:
		return Transition{}, false, l.err
	case l.covered < l.changes:
		return Transition{}, false, nil // no round has run the queries as who it is now
	}
	t = Transition{Commit: r.at, Version: l.covered}
	for sub := range l.changed {
		if sub.since > l.covered {
			continue
		}
		delete(l.changed, sub)
		if res := sub.group.result; res.sum != sub.given {
			sub.given = res.sum
			t.Changed = append(t.Changed, LiveResult{ID: sub.id, Value: res.value, Err: res.err})
		}
	}
	if len(t.Changed) == 0 && l.covered == l.told.Version && !(l.wanted > l.told.Commit && r.at >= l.wanted) {
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
	for l := range r.all {
		r.remove(l, err)
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
	delete(r.all, l)
	if l.wanted == r.wanted {
		r.wanted = 0
		for l := range r.all {
			r.wanted = max(r.wanted, l.wanted)
		}
	}
	l.hurry()
}

// finish has the room end. The lock is held.
func (r *liveRoom) finish(err error) {
	r.over = true
	r.in.mu.Lock()
	r.in.over, r.in.written = true, nil
	r.in.mu.Unlock()
	r.stop(err)
}

// give leaves what was written. The committer calls it.
func (r *liveRoom) give(w liveWrite, weight int) {
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	if r.in.weight += weight; r.in.weight > maxUnread && len(r.in.written) > 0 {
		r.in.written, r.in.weight, r.in.lost = nil, 0, true
	} else {
		r.in.written = append(r.in.written, w)
	}
	r.work()
}

// lose notes that it is not known what was written.
func (r *liveRoom) lose() {
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	r.in.lost = true
	r.work()
}

// ask asks for a round.
func (r *liveRoom) ask() {
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	r.in.asked = true
	r.work()
}

// work has the goroutine be there. The inbox is locked.
func (r *liveRoom) work() {
	if !r.in.working && !r.in.over {
		r.in.working = true
		r.lives.working.Go(r.rounds)
	}
}

// takeAll takes what lies in the inbox.
func (in *liveInbox) takeAll() (written []liveWrite, lost, asked, more bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	written, lost, asked = in.written, in.lost, in.asked
	more = !in.over && (len(written) > 0 || lost || asked)
	in.written, in.weight, in.lost, in.asked, in.working = nil, 0, false, false, more
	return written, lost, asked, more
}

// takeUpTo takes what was written up to the commit. What is lost stays so: it may have been
// written later.
func (in *liveInbox) takeUpTo(commit uint64) (written []liveWrite, lost bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	rest := in.written[:0:0]
	for _, w := range in.written {
		if w.commit <= commit {
			written = append(written, w)
		} else {
			rest = append(rest, w)
		}
	}
	in.written = rest
	return written, in.lost
}

// rounds does what there is to do.
func (r *liveRoom) rounds() {
	for {
		written, lost, asked, more := r.in.takeAll()
		if !more {
			return
		}
		r.mu.Lock()
		due := r.mark(written, lost) || asked || r.wanted > r.at
		r.mu.Unlock()
		if !due {
			continue
		}
		began := time.Now()
		switch err := r.round(); {
		case err == nil:
			r.rest(liveRest * time.Since(began))
		case r.ctx.Err() != nil:
		case r.app.eng.closing.Load():
			r.lives.end(r, errShutdown())
		default:
			switch dispatch.AsError(err).Code {
			case dispatch.CodeUnavailable, dispatch.CodeDeadlineExceeded, dispatch.CodeAborted:
				r.rest(liveRetry)
				r.ask()
			default:
				r.lives.end(r, dispatch.AsError(err))
			}
		}
	}
}

// rest waits so long, half a second at most, unless the room ends: rounds take no more than a
// part of the time.
func (r *liveRoom) rest(d time.Duration) {
	if d = min(d, 500*time.Millisecond); d < time.Millisecond {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.ctx.Done():
	}
}

// mark has those groups run that may have read what was written, and says whether any will. The
// lock is held.
func (r *liveRoom) mark(written []liveWrite, lost bool) (any bool) {
	var keys storage.KeySet
	for i := range written {
		keys.Add(written[i].written)
	}
	for _, g := range r.groups {
		g.dirty = g.dirty || lost || keys.Len() > 0 && g.reads.Meets(&keys)
		any = any || g.dirty
	}
	return any
}

// round runs what is to run on a snapshot, and shows it.
func (r *liveRoom) round() error {
	eng := r.app.eng
	ref, err := eng.acquire(r.ctx, r.app.id, nil)
	if err != nil {
		return err
	}
	hold := &liveHold{ref: ref}
	hold.n.Store(1)
	defer hold.release()
	r.mu.Lock()
	for l := range r.all {
		l.changing = l.version // not what comes later: it may have seen more than the snapshot shows
	}
	r.mu.Unlock()
	now := eng.clock.now()
	snap, commit, err := ref.app.store.SnapshotAnswered(r.ctx, now)
	if err != nil {
		return asError(err)
	}
	defer snap.Close()
	written, lost := r.in.takeUpTo(commit)

	r.mu.Lock()
	r.mark(written, lost)
	var dirty []*liveGroup
	for _, g := range r.groups {
		if g.dirty {
			dirty = append(dirty, g)
		}
	}
	r.mu.Unlock()

	ran := make([]liveRun, len(dirty))
	r.runAll(hold, snap, now, dirty, ran)
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	r.show(commit, dirty, ran)
	return nil
}

// liveHold keeps the app from stopping until the last run of a round was answered, which may be
// after the round if the room has ended.
type liveHold struct {
	ref *appRef
	n   atomic.Int32
}

func (h *liveHold) release() {
	if h.n.Add(-1) == 0 {
		h.ref.release()
	}
}

// liveRun is what a run has come to, and what it has read.
type liveRun struct {
	outcome *liveOutcome
	reads   *storage.ReadSet
}

// runAll runs the groups, a few at a time.
func (r *liveRoom) runAll(hold *liveHold, snap *storage.Snapshot, now time.Time, groups []*liveGroup, ran []liveRun) {
	next := make(chan int)
	var runs sync.WaitGroup
	for range min(liveRuns, len(groups)) {
		runs.Go(func() {
			for i := range next {
				ran[i] = r.run(hold, snap, now, groups[i])
			}
		})
	}
	for i := range groups {
		next <- i
	}
	close(next)
	runs.Wait()
}

// run runs the group's query on the snapshot, the way that any call of it goes.
func (r *liveRoom) run(hold *liveHold, snap *storage.Snapshot, now time.Time, g *liveGroup) liveRun {
	reader, reads := snap.Recording()
	identity, err := g.identity.Normalize() // a copy, since a function may do with it what it likes
	if err != nil {
		return liveRun{newOutcome(nil, err), reads}
	}
	hold.n.Add(1)
	value, err := r.app.eng.queryOn(r.ctx, hold.ref, reader, now, dispatch.Invocation{
		Path: g.path, Kind: dispatch.KindQuery, Args: g.args, Identity: identity, Origin: r.origin,
	}, hold.release)
	return liveRun{newOutcome(value, err), reads}
}

func newOutcome(value json.RawMessage, err error) *liveOutcome {
	if err == nil {
		return &liveOutcome{value: value, sum: sha256.Sum256(append([]byte("v"), value...))}
	}
	e := dispatch.AsError(err)
	of := "e" + string(e.Code) + "\x00" + e.Message + "\x00" + e.Error()
	return &liveOutcome{err: e, sum: sha256.Sum256([]byte(of))}
}

// queryOn has the app's Runner run the query on what the reader shows. over is called when it was
// answered, which may be after queryOn has returned.
func (e *Engine) queryOn(ctx context.Context, ref *appRef, reader storage.Reader, now time.Time, call dispatch.Invocation, over func()) (json.RawMessage, error) {
	if e.opts.Still {
		over()
		return nil, errStill(call.Path)
	}
	done := make(chan result, 1)
	inv := &invocation{Invocation: call, ctx: dispatch.TraceRun(ctx, nil), on: reader, now: now}
	inv.answer = func(r result) {
		over()
		done <- r
	}
	e.sys.tell(ref.app.runner, inv)
	res, err := await(ctx, e, ref.id, call.Path, &inv.start, done)
	if err != nil {
		return nil, err
	}
	return res.value, asError(res.err)
}

// show shows the results of a round.
func (r *liveRoom) show(commit uint64, groups []*liveGroup, ran []liveRun) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	r.at = max(r.at, commit)
	for i, g := range groups {
		g.dirty = false
		if r.groups[g.key] != g {
			continue // all have left it
		}
		g.reads = ran[i].reads
		r.retain(g, ran[i].outcome)
		r.retry(g)
		for sub := range g.subs {
			if g.result.sum != sub.given {
				sub.live.changed[sub] = struct{}{}
				sub.live.hurry()
			}
		}
	}
	for l := range r.all {
		if l.covered < l.changing {
			l.covered = l.changing
			for _, sub := range l.subs {
				if sub.group.result != nil {
					l.changed[sub] = struct{}{}
				}
			}
			l.hurry()
		}
		if l.wanted > l.told.Commit && r.at >= l.wanted {
			l.hurry()
		}
	}
}

// retain makes the outcome the result of the group, or an error if there is no room for it. The
// lock is held.
func (r *liveRoom) retain(g *liveGroup, outcome *liveOutcome) {
	weight := g.least() + int64(g.reads.Weight()+len(outcome.value))
	_, sum := r.lives.sums()
	most := r.app.eng.opts.MaxSubscriptionBytes
	if more := weight - g.weight; more > 0 && (sum+more > most || r.weight+more > most/4) {
		outcome = newOutcome(nil, liveLimit("there is no room for a result of %d bytes beside those of other live queries (MaxSubscriptionBytes)", len(outcome.value)))
		weight = g.least() + int64(g.reads.Weight())
	}
	g.result = outcome
	r.weigh(g, weight)
}
