package actors

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// These bound how many queries of an app run at once to be kept up to date, how long the room
// rests after a round that took so long, and when it tries again if the app cannot be read. A query
// that takes liveSlow is slow, and has those who have it be in the slow lane for liveStay at least.
const (
	liveRuns  = 4
	liveRest  = 1
	liveRetry = 250 * time.Millisecond
	liveSlow  = 250 * time.Millisecond
	liveStay  = time.Minute
)

// liveInbox is what the committer leaves for a lane. Its lock is a leaf.
type liveInbox struct {
	mu      sync.Mutex
	used    bool // there is a Live in the lane: nothing is left for none
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
	at      time.Time
}

// use notes whether there is a Live in the lane.
func (in *liveInbox) use(used bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.used = used; !used {
		in.written, in.weight, in.lost = nil, 0, false
	}
}

// give leaves what was written. The committer calls it.
func (r *liveRoom) give(w liveWrite, weight int) {
	w.at = time.Now()
	for _, n := range [...]*liveLane{r.quick, r.slow} {
		n.give(w, weight)
	}
}

func (n *liveLane) give(w liveWrite, weight int) {
	n.in.mu.Lock()
	defer n.in.mu.Unlock()
	if !n.in.used {
		return
	}
	if n.in.weight += weight; n.in.weight > maxUnread && len(n.in.written) > 0 {
		n.in.written, n.in.weight, n.in.lost = nil, 0, true
	} else {
		n.in.written = append(n.in.written, w)
	}
	n.work()
}

// lose notes that it is not known what was written.
func (r *liveRoom) lose() {
	for _, n := range [...]*liveLane{r.quick, r.slow} {
		n.in.mu.Lock()
		if n.in.used {
			n.in.lost = true
			n.work()
		}
		n.in.mu.Unlock()
	}
}

// ask asks for a round.
func (n *liveLane) ask() {
	n.in.mu.Lock()
	defer n.in.mu.Unlock()
	n.in.asked = true
	n.work()
}

// work has the goroutine be there. The inbox is locked.
func (n *liveLane) work() {
	if !n.in.working && !n.in.over {
		n.in.working = true
		n.lives.working.Go(n.rounds)
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
func (n *liveLane) rounds() {
	for {
		written, lost, asked, more := n.in.takeAll()
		if !more {
			return
		}
		n.mu.Lock()
		due := n.mark(written, lost) || asked || n.wanted > n.at
		n.mu.Unlock()
		if !due {
			continue
		}
		began := time.Now()
		switch err := n.round(); {
		case err == nil:
			n.rest(liveRest * time.Since(began))
		case n.ctx.Err() != nil:
		case n.app.eng.closing.Load():
			n.lives.end(n.liveRoom, errShutdown())
		default:
			switch dispatch.AsError(err).Code {
			case dispatch.CodeUnavailable, dispatch.CodeDeadlineExceeded, dispatch.CodeAborted:
				n.rest(liveRetry)
				n.ask()
			default:
				n.lives.end(n.liveRoom, dispatch.AsError(err))
			}
		}
	}
}

// rest waits so long, half a second at most, unless the room ends: rounds take no more than a
// part of the time.
func (n *liveLane) rest(d time.Duration) {
	if d = min(d, 500*time.Millisecond); d < time.Millisecond {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-n.ctx.Done():
	}
}

// mark has those groups run that may have read what was written, and says whether any will. The
// lock is held.
func (n *liveLane) mark(written []liveWrite, lost bool) (any bool) {
	var keys storage.KeySet
	for i := range written {
		keys.Add(written[i].written)
	}
	met := false
	for _, g := range n.groups {
		if !g.dirty && (lost || keys.Len() > 0 && g.reads.Meets(&keys)) {
			g.dirty, met = true, true
		}
		any = any || g.dirty
	}
	if met && n.stale.IsZero() && len(written) > 0 {
		n.stale = written[0].at
	}
	return any
}

// round runs what is to run on a snapshot, and shows it.
func (n *liveLane) round() error {
	eng := n.app.eng
	ref, err := eng.acquire(n.ctx, n.app.id, nil)
	if err != nil {
		return err
	}
	hold := &liveHold{ref: ref}
	hold.n.Store(1)
	defer hold.release()
	n.mu.Lock()
	n.begun++
	number := n.begun
	for l := range n.all {
		if n == n.slow && l.from == 0 && time.Now().After(l.stays) && !l.isSlow() {
			n.move(l, n.quick)
			continue
		}
		l.changing = l.version // not what comes later: it may have seen more than the snapshot shows
	}
	n.mu.Unlock()
	now := eng.clock.now()
	snap, commit, err := ref.app.store.SnapshotAnswered(n.ctx, now)
	if err != nil {
		return asError(err)
	}
	defer snap.Close()
	written, lost := n.in.takeUpTo(commit)

	n.mu.Lock()
	n.mark(written, lost)
	var dirty []*liveGroup
	for _, g := range n.groups {
		if g.dirty {
			dirty = append(dirty, g)
		}
	}
	n.mu.Unlock()

	ran := make([]liveRun, len(dirty))
	n.runAll(hold, snap, now, dirty, ran)
	if n.ctx.Err() != nil {
		return context.Cause(n.ctx)
	}
	n.show(number, commit, dirty, ran)
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
	took    time.Duration
}

// runAll runs the groups, a few at a time.
func (n *liveLane) runAll(hold *liveHold, snap *storage.Snapshot, now time.Time, groups []*liveGroup, ran []liveRun) {
	next := make(chan int)
	var runs sync.WaitGroup
	for range min(liveRuns, len(groups)) {
		runs.Go(func() {
			for i := range next {
				if n.left(groups[i]) {
					continue
				}
				ran[i] = n.run(hold, snap, now, groups[i])
			}
		})
	}
	for i := range groups {
		next <- i
	}
	close(next)
	runs.Wait()
}

// left says whether none is left who has the query.
func (n *liveLane) left(g *liveGroup) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.groups[g.key] != g
}

// run runs the group's query on the snapshot, the way that any call of it goes.
func (n *liveLane) run(hold *liveHold, snap *storage.Snapshot, now time.Time, g *liveGroup) liveRun {
	reader, reads := snap.Recording()
	identity, err := g.identity.Normalize() // a copy, since a function may do with it what it likes
	if err != nil {
		return liveRun{newOutcome(nil, err), reads, 0}
	}
	hold.n.Add(1)
	n.lives.runs.Add(1)
	ctx := n.ctx
	if n == n.quick {
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		defer stop()
		defer time.AfterFunc(liveSlow, func() {
			n.giveUp(g)
			stop()
		}).Stop()
	}
	began := time.Now()
	value, err := n.app.eng.queryOn(ctx, hold.ref, reader, now, dispatch.Invocation{
		Path: g.path, Kind: dispatch.KindQuery, Args: g.args, Identity: identity, Origin: n.origin,
	}, hold.release)
	return liveRun{newOutcome(value, err), reads, time.Since(began)}
}

// giveUp has the round end without the group, whose query is slow: those who have it go to the slow
// lane, where it begins anew.
func (n *liveLane) giveUp(g *liveGroup) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.groups[g.key] != g || n.over {
		return
	}
	for sub := range g.subs {
		n.move(sub.live, n.slow)
	}
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

// show shows the results of the round of that number.
func (n *liveLane) show(number, commit uint64, groups []*liveGroup, ran []liveRun) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over {
		return
	}
	n.at = max(n.at, commit)
	if !n.stale.IsZero() {
		n.lives.stale.Since(n.stale)
		n.stale = time.Time{}
	}
	for i, g := range groups {
		g.dirty = false
		if n.groups[g.key] != g {
			continue // all have left it
		}
		g.reads, g.took = ran[i].reads, ran[i].took
		n.retain(g, ran[i].outcome)
		n.retry(g)
		for sub := range g.subs {
			if g.result.sum != sub.given {
				sub.live.changed[sub] = struct{}{}
				sub.live.hurry()
			}
		}
	}
	for l := range n.all {
		switch {
		case l.from > number:
			continue
		case l.isBehind() != nil:
			n.remove(l, l.isBehind())
			continue
		case l.from != 0:
			l.from = 0
			l.hurry()
		}
		if l.covered < l.changing {
			l.covered = l.changing
			for _, sub := range l.subs {
				if sub.group.result != nil {
					l.changed[sub] = struct{}{}
				}
			}
			l.hurry()
		}
		if l.wanted > l.told.Commit && n.at >= l.wanted {
			l.hurry()
		}
	}
}

// retry has a group run again after a while that could not be run, or not to its end: that need
// not be because of what it has read. The lock is held.
func (n *liveLane) retry(g *liveGroup) {
	e, failed := g.result.err.(*dispatch.Error)
	if !failed || e.Code != dispatch.CodeUnavailable && e.Code != dispatch.CodeDeadlineExceeded {
		g.failed = 0
		return
	}
	if g.again != nil {
		g.again.Stop()
	}
	g.again = time.AfterFunc(time.Second<<min(g.failed, 6), func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.groups[g.key] == g {
			g.dirty = true
			n.ask()
		}
	})
	g.failed++
}

// retain makes the outcome the result of the group, or an error if there is no room for it. The
// lock is held.
func (n *liveLane) retain(g *liveGroup, outcome *liveOutcome) {
	weight := g.least() + int64(g.reads.Weight()+len(outcome.value))
	_, sum := n.lives.sums()
	most := n.app.eng.opts.MaxSubscriptionBytes
	if more := weight - g.weight; more > 0 && (sum+more > most || n.weight+more > most/4) {
		outcome = newOutcome(nil, liveLimit("there is no room for a result of %d bytes beside those of other live queries (MaxSubscriptionBytes)", len(outcome.value)))
		weight = g.least() + int64(g.reads.Weight())
	}
	g.result = outcome
	n.weigh(g, weight)
}
