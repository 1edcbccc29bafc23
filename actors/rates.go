package actors

import (
	"fmt"
	"math"
	"slices"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is how the rate of a pool is kept (G28): of the attempts of a lane at most so
// many begin in any span of a length. A lane knows which have begun within the last such
// span, by monotonic time, and which are claimed and will: those count as long as it is
// not known when they have begun. A job is admitted when it leaves room for one, so that it is
// the starts that keep to the rate, and not the claims.
//
// What is durable of an attempt under way is its claim. The commit that ends it logs when
// it began; at the next start of the program what lies within the span counts as just
// begun, since nothing tells how well the wall was kept meanwhile, and so does a claim that a
// crash has left.

// startLog is when the attempts of a lane have begun.
type startLog struct {
	read  bool              // what the store has of it is here
	ahead int               // runs that are claimed and have not begun
	begun []*laneStart      // the first first, none longer ago than the span
	over  []storage.ClaimID // of the log, and of no use any more
	until time.Duration     // monotonic; none begins before (retryafter.go)
}

// laneStart is when one attempt began.
type laneStart struct {
	at     time.Duration // monotonic
	claim  storage.ClaimID
	logged bool
}

// maxRested bounds how many lanes are kept in memory for nothing but their starts.
const maxRested = 10_000

// never is later than any instant.
const never = time.Duration(math.MaxInt64)

// claimed notes that a run was claimed: its lane's log was read before.
func (s *startLog) claimed() { s.read, s.ahead = true, s.ahead+1 }

// age drops the starts that are further ago than the span.
func (s *startLog) age(now, span time.Duration) {
	n := 0
	for ; n < len(s.begun) && now-s.begun[n].at >= span; n++ {
		if b := s.begun[n]; b.logged {
			s.over = append(s.over, b.claim)
		}
	}
	if s.begun = s.begun[n:]; len(s.begun) == 0 {
		s.begun = nil
	}
}

// opening is from when on the rate of the pool lets another attempt begin: never, if one
// that is claimed has to begin first.
func (s *startLog) opening(p *dispatch.Pool, now time.Duration) time.Duration {
	rate, span := p.Rate()
	if rate == 0 {
		return s.until
	}
	s.age(now, span)
	switch over := len(s.begun) + s.ahead - rate; {
	case over < 0:
		return s.until
	case over < len(s.begun):
		return max(s.begun[over].at+span, s.until)
	}
	return never
}

// left is how many more attempts may begin by the rate of the pool.
func (s *startLog) left(p *dispatch.Pool, now time.Duration) int {
	if s.opening(p, now) > now {
		return 0
	}
	if rate, _ := p.Rate(); rate > 0 {
		return rate - len(s.begun) - s.ahead
	}
	return math.MaxInt
}

// opening is from when on the lane's rate lets another attempt begin. That of a pool which
// all apps share is kept for all of them (sharedrates.go). The caller has the lock.
func (ps *pools) opening(at storage.Lane, l *lane, now time.Duration) time.Duration {
	if ps.isShared(at.Pool) {
		return 0
	}
	return l.starts.opening(ps.declared[at.Pool], now)
}

// startsLeft is how many more attempts of the lane may begin by its rate. The caller has
// the lock.
func (ps *pools) startsLeft(at storage.Lane, l *lane) int {
	switch p := ps.declared[at.Pool]; {
	case p == nil:
		return 0
	case p.IsShared():
		return math.MaxInt
	default:
		return l.starts.left(p, ps.clock.elapsed())
	}
}

// noteOpens has the lane looked at when its rate lets a job begin that waits. It says
// whether that is sooner than was known. The caller has the lock.
func (ps *pools) noteOpens(at storage.Lane, l *lane) (sooner bool) {
	if !l.waits || l.stalled || ps.declared[at.Pool] == nil || l.running >= ps.limit(at) {
		return false // the end of a run has it looked at
	}
	now := ps.clock.elapsed()
	opens := ps.opening(at, l, now)
	if opens <= now || opens == never || ps.opens != 0 && ps.opens <= opens {
		return false
	}
	ps.opens = opens
	return true
}

// nextOpens is when the first of the lanes opens that waits for its rate; 0 is never.
func (ps *pools) nextOpens() time.Duration {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.opens
}

// anyOpens says, once, that a lane has opened that waited for its rate.
func (ps *pools) anyOpens() bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.opens == 0 || ps.clock.elapsed() < ps.opens {
		return false
	}
	ps.opens = 0
	return true
}

// noteStart notes that the run's handler begins now. It says whether the alarm has to be
// set anew.
func (ps *pools) noteStart(r *run) (rearm bool) {
	if r.job.Pool == "" {
		return false
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	l := ps.lanes[r.job.Lane()]
	if r.counted || l == nil {
		return false
	}
	ps.count(r, l)
	return ps.noteOpens(r.job.Lane(), l)
}

// count notes that the run has begun. The caller has the lock.
func (ps *pools) count(r *run, l *lane) {
	r.counted = true
	l.starts.ahead--
	if rate, _ := ps.declared[r.job.Pool].Rate(); rate > 0 {
		r.start = &laneStart{at: ps.clock.elapsed(), claim: r.job.ClaimID()}
		l.starts.begun = append(l.starts.begun, r.start)
	}
	if ps.isShared(r.job.Pool) {
		ps.shared.start(ps.app, r.job.Lane())
	}
}

// noteEnd notes that the run is over. The caller has the lock.
func (ps *pools) noteEnd(r *run, l *lane, begun bool) {
	switch {
	case r.counted:
	case begun:
		ps.count(r, l)
	default:
		r.counted = true
		l.starts.ahead--
	}
}

// forgettable says whether nothing of the lane's starts is needed, or it can be read
// again. The caller has the lock.
func (ps *pools) forgettable(at storage.Lane, l *lane) bool {
	p := ps.declared[at.Pool]
	now := ps.clock.elapsed()
	switch {
	case p == nil:
		return true
	case l.starts.until > now:
		return false
	case len(l.starts.begun) == 0:
		return true
	}
	_, span := p.Rate()
	l.starts.age(now, span)
	return len(l.starts.begun) == 0 ||
		len(ps.lanes) > maxRested && !slices.ContainsFunc(l.starts.begun, func(s *laneStart) bool { return !s.logged })
}

// unread says whether the store may know of starts of the lane that memory does not.
func (ps *pools) unread(at storage.Lane) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	l := ps.lanes[at]
	return l == nil || !l.starts.read
}

// remember takes up what the store has of the lane's starts.
func (ps *pools) remember(at storage.Lane, begun []*laneStart, until time.Duration) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	l := ps.lanes[at]
	if l == nil {
		if len(begun) == 0 && until == 0 {
			return
		}
		l = ps.at(at)
	}
	l.starts.read, l.starts.begun, l.starts.until = true, begun, max(l.starts.until, until)
}

// toLog is what the end of the run's attempt has to write down of its start, and which
// starts of its lane it can delete. ok is false if there is nothing to write.
func (ps *pools) toLog(r *run) (s storage.Start, over []storage.ClaimID, ok bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	l := ps.lanes[r.job.Lane()]
	if l == nil || r.start == nil {
		return s, nil, false
	}
	_, span := ps.declared[r.job.Pool].Rate()
	now := ps.clock.elapsed()
	l.starts.age(now, span)
	n := min(len(l.starts.over), overAtOnce)
	over, l.starts.over = l.starts.over[:n:n], l.starts.over[n:]
	if ok = now-r.start.at < span; ok {
		r.start.logged = true
	}
	return storage.Start{Claim: r.start.claim, Elapsed: r.start.at}, over, ok
}

// overAtOnce bounds how many starts one end deletes that are of no use any more.
const overAtOnce = 64

// nextOf is when the first of the lanes of the pool opens that waits for its rate.
func (ps *pools) nextOf(pool string) (next time.Time) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.isShared(pool) {
		return ps.shared.nextOf(pool)
	}
	first, now := never, ps.clock.elapsed()
	for at, l := range ps.lanes {
		if at.Pool == pool {
			if opens := ps.opening(at, l, now); opens > now {
				first = min(first, opens)
			}
		}
	}
	if first == never {
		return time.Time{}
	}
	return ps.clock.wall().Add(first - now)
}

// rateReason is why a job of the lane waits for which there is a permit, or "". The caller
// has the lock.
func (ps *pools) rateReason(at storage.Lane, l *lane) string {
	p := ps.declared[at.Pool]
	if p == nil || p.IsShared() {
		return ""
	}
	return l.starts.reason(p, nameOf(at), ps.clock)
}

// reason is why a job of the lane of that name waits, or "".
func (s *startLog) reason(p *dispatch.Pool, name string, clock *clock) string {
	now := clock.elapsed()
	opens := s.opening(p, now)
	if opens <= now {
		return ""
	}
	if s.until >= opens {
		return fmt.Sprintf("rate: %s waits until %s, since a job of it was answered so (RetryAfter)", name, at3339(clock.wall().Add(opens-now)))
	}
	rate, span := p.Rate()
	text := fmt.Sprintf("rate: %s has had %d starts in %v", name, rate, span)
	if opens != never {
		text += ", and the next may be at " + at3339(clock.wall().Add(opens-now))
	}
	return text
}

func at3339(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// noteStart notes that the handler of a job begins now.
func (app *appState) noteStart(r *run) {
	if r != nil && app.pools.noteStart(r) {
		app.eng.sys.tell(app.scheduler, &startNoted{})
	}
}

// logStart has the transaction that ends the run's attempt write down when it began.
func (app *appState) logStart(tx *storage.Tx, r *run) error {
	if r.job.Pool == "" {
		return nil
	}
	s, over, ok := app.pools.toLog(r)
	if len(over) > 0 {
		if err := tx.ForgetStarts(r.job.Lane(), over); err != nil {
			return err
		}
	}
	if !ok {
		return nil
	}
	at := app.eng.clock.look()
	s.Wall, s.Era = at.wall.Add(s.Elapsed-app.eng.clock.elapsed()), at.era
	return tx.LogStart(r.job.Lane(), s)
}

// logCrash has the transaction that ends an attempt of another process, or one whose end
// was lost, write down that it may just have begun.
func (app *appState) logCrash(tx *storage.Tx, job *storage.Job) error {
	p := app.eng.pools[job.Pool]
	if p == nil {
		return nil
	}
	if rate, _ := p.Rate(); rate == 0 {
		return nil
	}
	at := app.eng.clock.look()
	return tx.LogStart(job.Lane(), storage.Start{Wall: at.wall, Era: at.era, Elapsed: app.eng.clock.elapsed()})
}

// readStarts sees to it that memory has the lane's starts. It is false if they cannot be
// read now.
func (s *scheduler) readStarts(tx *storage.Tx, at storage.Lane) bool {
	if !s.pools.unread(at) {
		return true
	}
	var begun []*laneStart
	var until time.Duration
	if p := s.eng.pools[at.Pool]; p != nil && s.store.HasStarts() {
		list, err := tx.Starts(at)
		if err != nil {
			s.eng.opts.Logger.Error("reading when jobs of a pool have begun", "app", s.id, "pool", at.Pool, "err", err)
			if list == nil {
				return false
			}
		}
		begun, until = s.began(p, list)
	}
	s.pools.remember(at, begun, until)
	return true
}

// began is what starts of the store count as, and until when their lane waits. Those of an
// earlier process that were within the span when this one began, and one that cannot be read,
// count as of that moment.
func (app *appState) began(p *dispatch.Pool, list []storage.Start) (begun []*laneStart, until time.Duration) {
	at, now := app.eng.clock.look(), app.eng.clock.elapsed()
	rate, span := p.Rate()
	for _, s := range list {
		switch age := app.ageOf(&s, at, now); {
		case s.Wait > age:
			until = now + s.Wait - age
		case rate > 0 && s.Wait == 0:
			ours := app.store.Ours(s.Claim)
			b := &laneStart{claim: s.Claim, logged: true}
			if ours {
				b.at = now - age
			}
			if now-b.at < span && (ours || age-now < span) {
				begun = append(begun, b)
			}
		}
	}
	slices.SortFunc(begun, func(a, b *laneStart) int { return int(a.at - b.at) })
	return begun, until
}

// ageOf is how long ago the start was, as far as that is known: if the clock was stepped
// since, it is now.
func (app *appState) ageOf(s *storage.Start, at reading, now time.Duration) time.Duration {
	if app.store.Ours(s.Claim) && !s.Wall.IsZero() {
		return max(now-s.Elapsed, 0)
	}
	return app.eng.clock.ageOf(s, at)
}

// ageOf is how long ago a start of an earlier process was.
func (c *clock) ageOf(s *storage.Start, at reading) time.Duration {
	if s.Wall.IsZero() || c.steppedSince(s.Era) {
		return 0
	}
	return max(at.wall.Sub(s.Wall), 0)
}

// sweepStarts deletes a chunk of the starts that are of no use any more.
func (s *scheduler) sweepStarts(tx *storage.Tx, at reading) (more bool, err error) {
	if !s.store.HasStarts() {
		return false, nil
	}
	now := s.eng.clock.elapsed()
	s.swept, more, err = tx.SweepStarts(s.swept, purgeChunk, func(lane storage.Lane, start storage.Start) bool {
		span := dispatch.MaxRateSpan // of a pool that may be declared again
		if p := s.eng.pools[lane.Pool]; p != nil {
			if _, of := p.Rate(); of > 0 {
				span = of
			}
		}
		if start.Wait > 0 {
			span = start.Wait
		}
		return s.ageOf(&start, at, now) >= span
	})
	return more, err
}
