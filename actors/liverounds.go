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
// rests after a round that took so long, and when it tries again if the app cannot be read.
const (
	liveRuns  = 4
	liveRest  = 1
	liveRetry = 250 * time.Millisecond
)

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
	at      time.Time
}

// give leaves what was written. The committer calls it.
func (r *liveRoom) give(w liveWrite, weight int) {
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	if r.in.weight += weight; r.in.weight > maxUnread && len(r.in.written) > 0 {
		r.in.written, r.in.weight, r.in.lost = nil, 0, true
	} else {
		w.at = time.Now()
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
	met := false
	for _, g := range r.groups {
		if !g.dirty && (lost || keys.Len() > 0 && g.reads.Meets(&keys)) {
			g.dirty, met = true, true
		}
		any = any || g.dirty
	}
	if met && r.stale.IsZero() && len(written) > 0 {
		r.stale = written[0].at
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
	r.lives.runs.Add(1)
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
	if !r.stale.IsZero() {
		r.lives.stale.Since(r.stale)
		r.stale = time.Time{}
	}
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
