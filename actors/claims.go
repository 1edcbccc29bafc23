package actors

import (
	"sync/atomic"
	"time"

	"carillon/actors/internal/ticks"
	"carillon/dispatch"
	"carillon/storage"
)

// claimBatch is how many claimed jobs may wait to be started, and claimBytes what they
// may have of arguments and identities together, unless it is a single job. It is what
// keeps a backlog's handlers busy while claims are on their way to the disk, and bounds
// the memory that a backlog takes.
const (
	claimBatch = 1024
	claimBytes = 8 << 20
)

// engineClaims and engineClaimBytes are what the claimed jobs of all apps that wait to be
// started may come to. When they do, an app has fewClaims, of fewClaimBytes, and no more: it
// has few permits then, and what it claims beyond them only keeps the claims of others from
// the processor and the disk.
const (
	engineClaims     = 4096
	engineClaimBytes = 64 << 20
	fewClaims        = 32
	fewClaimBytes    = claimBytes / 32
)

// claimsAtOnce is how many jobs are claimed in one change set: other apps that have much to
// claim come in between.
const claimsAtOnce = 512

// claimPage is how many jobs one read of the sorted job bucket brings.
const claimPage = 256

// suspectAfter is how many crashes in a row make a job a suspect. Suspects are
// claimed at their instant and few at a time, ever fewer with each crash, so
// that the next one tells the culprit from those that were only claimed beside it.
const suspectAfter = 2

// claims counts the runs that are claimed and not started.
type claims struct{ runs, bytes int }

func (c *claims) add(r *run)  { c.runs, c.bytes = c.runs+1, c.bytes+claimSize(&r.job) }
func (c *claims) drop(r *run) { c.runs, c.bytes = c.runs-1, c.bytes-claimSize(&r.job) }

// room says whether the job may be claimed beside them, if there may be so many.
func (c *claims) room(job *storage.Job, most claims) bool {
	return c.runs == 0 || c.runs < most.runs && c.bytes+claimSize(job) <= most.bytes
}

// low says whether so few are left of so many that more are claimed.
func (c *claims) low(most claims) bool { return c.runs <= most.runs/2 && c.bytes <= most.bytes/2 }

// minus is what is left of c without o.
func (c claims) minus(o claims) claims { return claims{c.runs - o.runs, c.bytes - o.bytes} }

// claimTotal is the claims of all apps.
type claimTotal struct {
	limit       int // of jobs; engineClaims but in tests
	ofApp       int // bytes that an app may have; claimBytes but in tests
	runs, bytes atomic.Int64
}

func (t *claimTotal) add(c claims) {
	t.runs.Add(int64(c.runs))
	t.bytes.Add(int64(c.bytes))
}

// most is what an app may have that has so much of the total.
func (t *claimTotal) most(own claims) claims {
	others := claims{int(t.runs.Load()), int(t.bytes.Load())}.minus(own)
	return claims{
		min(max(t.limit-others.runs, fewClaims), claimBatch),
		min(max(engineClaimBytes-others.bytes, fewClaimBytes), t.ofApp),
	}
}

// boundClaims has the total follow the app's claims, and these have room for what the
// total leaves them.
func (s *scheduler) boundClaims() {
	if now := s.walks.claimed(); now != s.counted {
		s.eng.claimed.add(now.minus(s.counted))
		s.counted = now
	}
	most := s.eng.claimed.most(s.counted)
	for i := range s.walks {
		s.walks[i].most = most
	}
}

// uncountClaims takes the app's claims from the total, for good.
func (s *scheduler) uncountClaims() {
	s.eng.claimed.add(claims{}.minus(s.counted))
	s.counted = claims{}
}

// claimSize is what a claimed job keeps in memory that its caller has chosen.
func claimSize(job *storage.Job) int { return len(job.Args) + len(job.Claims) }

// claimFrom has the jobs read again from the place on.
func (s *scheduler) claimFrom(p storage.Place) {
	s.pools.rouse(p)
	s.walks.claimFrom(p, s.eng.clock.wall())
	if p == (storage.Place{}) && s.store.Lasts() {
		s.lates.lookFromStart(s.eng.clock.wall())
	}
}

// lookAgain has the jobs looked at again that wait for another one to end.
func (s *scheduler) lookAgain() {
	s.pools.unstallAll()
	s.walks.lookAgain(s.eng.clock.wall())
}

// noLongerAhead notes that a claimed job does not wait any more to be started.
func (s *scheduler) noLongerAhead(r *run) { s.walks.of(&r.job).claims.drop(r) }

// claimAt is when to claim the job: a little ahead of its instant, so
// that its durable claim costs no lateness.
func (s *scheduler) claimAt(job *storage.Job) time.Time {
	if job.AtMostOnce || job.Interruptions >= suspectAfter || job.Pool != "" || job.PendingOutside() {
		return job.Due
	}
	return job.Due.Add(-s.eng.opts.ClaimAhead)
}

// claimDue claims the jobs that are due soon, in one change set. It is false if
// there was nothing to do.
func (s *scheduler) claimDue(at reading) bool {
	s.boundClaims()
	if !s.mayClaim(at) {
		return false
	}
	tx := s.begin(at)
	tx.Pin()
	var cancelings []*run
	tx.OnCancel(s.noteCancels(&cancelings))
	claimed := s.claimIn(tx, at)
	if tx.Unchanged() {
		s.rollback(tx, cancelings, nil)
		return true
	}
	s.commitRuns(tx, cancelings, runChanges{claimed: claimed}, nil)
	return true
}

// mayClaim says whether there may be a job to claim.
func (s *scheduler) mayClaim(at reading) bool {
	if s.pools.anyOpens() {
		s.walks[ofPools].look(at.wall)
	}
	return s.phase().begins() && !s.uncorrected() && s.walks.ready(at.wall) && s.controls().app == nil && !s.stops()
}

// stops says whether the engine stops, so that what is claimed would be cut off.
func (s *scheduler) stops() bool { return s.eng.ctx.Err() != nil }

// claimIn claims the jobs that are due soon, as far as the transaction has room.
func (s *scheduler) claimIn(tx *storage.Tx, at reading) []*run {
	c := claimPass{scheduler: s, tx: tx, wall: at.wall}
	c.suspects, c.bearable = s.suspects()
	for p := storage.MinPriority; p <= storage.MaxPriority; p++ {
		if c.walk = &s.walks[p]; !c.ready(at.wall) {
			continue
		}
		c.blocked, c.nextAt, c.kept = false, time.Time{}, nil
		if p == storage.DefaultPriority {
			c.from = c.through(c.tx.Due, c.from)
		} else if s.store.HasPriority(p) {
			c.from = c.through(func(from storage.Place, limit int) ([]storage.Job, storage.Place, bool, error) {
				return c.tx.DueWith(p, from, limit)
			}, c.from)
		}
	}
	c.admitAll()
	if c.again {
		s.pools.rouse(storage.Place{})
		s.walks.lookAgain(c.wall)
	}
	for _, r := range c.claimed {
		s.runs.add(r)
	}
	return c.claimed
}

// claimPass is one walk through the jobs that are due soon.
type claimPass struct {
	*scheduler
	*walk              // the one that it makes
	tx                 *storage.Tx
	wall               time.Time
	claimed            []*run
	kept               *storage.Place // the first job that stays unclaimed
	timed              bool           // one does until an instant
	suspects, bearable int            // that are claimed, and may be
	held               int            // jobs that were held
	again              bool           // another job may have waited for one that is gone
}

// hasRoom says whether the job may be claimed, or held, in this pass.
func (c *claimPass) hasRoom(job *storage.Job) bool {
	return len(c.claimed) < claimsAtOnce && c.walk.hasRoom(job) && hasRoom(c.tx, c.held)
}

// passMost bounds how many jobs a walk looks at that wait elsewhere, before the app's
// callers have a turn.
const passMost = 4096

// page is how many jobs to read next: more than there is room for is read in vain.
func (c *claimPass) page() int { return min(max(c.most.runs-c.claims.runs, fewClaims), claimPage) }

// through looks at the jobs that read returns, from the place on, and returns where the
// next pass begins.
func (c *claimPass) through(read func(storage.Place, int) ([]storage.Job, storage.Place, bool, error), from storage.Place) storage.Place {
	passed, before := 0, c.passed.end()
	var by *storage.Place // the first of those that are passed by in a row
	pass := func(job *storage.Job) {
		if passed++; by == nil {
			p := job.Place()
			by = &p
		}
	}
	stop := func(at storage.Place) {
		if by != nil && c.kept != nil { // else the next walk begins behind them
			c.passed.add(stretch{*by, at})
		}
		by = nil
	}
	rest := func() storage.Place {
		if stop(from); c.kept != nil {
			from = *c.kept
		}
		c.passed.leave(from)
		return from
	}
	for more := true; more; {
		var jobs []storage.Job
		var err error
		if to := c.passed.skip(from); to != from {
			stop(from)
			from = to
		}
		if jobs, from, more, err = read(from, c.page()); err != nil {
			c.eng.opts.Logger.Error("reading due jobs", "app", c.id, "err", err)
			if len(jobs) == 0 {
				c.look(c.wall.Add(time.Second)) // neither forgotten nor tried in a loop
				break
			}
		}
		for i := range jobs {
			job := &jobs[i]
			if c.runs.get(job.ID) != nil {
				stop(job.Place())
				continue
			}
			if job.TooLate(c.wall) {
				pass(job) // it expires
				continue
			}
			if job.Due.Add(-c.eng.opts.ClaimAhead).After(c.wall) || !c.hasRoom(job) {
				stop(job.Place())
				c.keep(job, c.claimAt(job))
				more = false
				break
			}
			if c.walk != &c.walks[job.Priority] {
				pass(job) // another walk's
				continue
			}
			if job.PendingOutside() {
				stop(job.Place())
				c.timeOut(job)
				continue
			}
			if c.functionPaused(job) != nil && !c.pools.ordered(job.Pool) {
				pass(job)
				c.passedBy = true
				continue
			}
			if job.Pool != "" && !job.Due.After(c.wall) && (c.pools.ordered(job.Pool) || c.eng.unrunnable(job) == "") {
				pass(job)
				c.pools.arrive(job)
				c.walks[ofPools].look(c.wall)
				continue
			}
			stop(job.Place())
			c.consider(job)
		}
		if passed < passMost || !more {
			continue
		}
		if stop(from); c.kept == nil || before.Less(c.passed.end()) {
			c.look(c.wall)
			c.yields = true
			break
		}
	}
	return rest()
}

// keep leaves the job where it is until the instant, or if that is zero until another
// one has ended, or a handler returned.
func (c *claimPass) keep(job *storage.Job, at time.Time) {
	if c.kept == nil {
		p := job.Place()
		c.kept = &p
	}
	if at.IsZero() {
		c.blocked = true
		return
	}
	c.look(at)
	c.timed = true
}

// consider claims a job that is due soon, unless something keeps it.
func (c *claimPass) consider(job *storage.Job) {
	if job.PendingOutside() {
		c.timeOut(job)
		return
	}
	suspect := job.Interruptions >= suspectAfter
	switch at := c.claimAt(job); {
	case at.After(c.wall):
		c.keep(job, at)
	case suspect && c.suspects >= min(c.bearable, suspectsAtOnce(job.Interruptions)), c.keptBack(job):
		c.keep(job, time.Time{})
	case c.eng.unrunnable(job) != "":
		c.holdIfDue(job)
	case job.Trigger == "":
		c.claim(job, suspect)
	default:
		switch verb, at := c.judge(job); verb {
		case ticks.Run:
			c.claim(job, suspect)
		case ticks.Wait:
			c.keep(job, at)
		default:
			c.again = c.again || job.Attempts > 0 // its trigger's next may have waited for it
		}
	}
}

// holdIfDue holds a job that no program with these functions can run.
func (c *claimPass) holdIfDue(job *storage.Job) {
	if job.Due.After(c.wall) {
		c.keep(job, job.Due)
		return
	}
	if err := c.hold(c.tx, job, c.eng.unrunnable(job), c.wall); err != nil {
		c.eng.opts.Logger.Error("holding a job", c.attrsOf(job, "err", err)...)
		c.keep(job, c.wall.Add(time.Second))
		return
	}
	c.held++
	c.again = c.again || job.Attempts > 0
}

func (c *claimPass) claim(job *storage.Job, suspect bool) {
	ok, err := c.tx.Claim(job)
	if err != nil {
		c.eng.opts.Logger.Error("claiming a job", c.attrsOf(job, "err", err)...)
		c.keep(job, c.wall.Add(time.Second))
	}
	if err != nil || !ok {
		return
	}
	if suspect {
		c.suspects, c.bearable = c.suspects+1, min(c.bearable, suspectsAtOnce(job.Interruptions))
	}
	r := c.newRun(*job, suspect)
	r.tick = c.planner.tickOf(c.tx, job)
	c.walks.of(job).claims.add(r)
	c.claimed = append(c.claimed, r)
}

// judge asks the planner about a tick, beside what was claimed before it in this pass.
func (c *claimPass) judge(job *storage.Job) (ticks.Verb, time.Time) {
	running := c.runs.ofTrigger(job.Trigger)
	for _, r := range c.claimed {
		if r.job.Trigger == job.Trigger {
			running = append(running, r)
		}
	}
	var d ticks.Decision
	tx := c.tx
	err := tx.JobWriter().Nested(func(w storage.JobWriter) (err error) {
		d, err = c.planner.judge(w, job, running, "", c.wall, tx.Now())
		return err
	})
	if err != nil {
		return c.tickFailed(tx, job, err), c.wall.Add(time.Second)
	}
	return d.Verb, d.Until
}

// suspectsAtOnce is how many suspects may be claimed together with one that so
// many crashes have cut off: 64, 8, then only itself.
func suspectsAtOnce(interruptions int) int {
	return max(64>>min(3*(interruptions-suspectAfter), 16), 1)
}

// suspects counts the suspects that are claimed, and says how many there may be
// because of the worst of them.
func (s *scheduler) suspects() (n, most int) {
	most = suspectsAtOnce(suspectAfter)
	for _, r := range s.runs.all() {
		if r.suspect {
			n, most = n+1, min(most, suspectsAtOnce(r.job.Interruptions))
		}
	}
	return n, most
}

func (s *scheduler) newRun(job storage.Job, suspect bool) *run {
	r := &run{app: s.appState, job: job, path: job.Function, attempt: job.Attempts + 1, suspect: suspect}
	if fn, ok := s.eng.opts.Functions.Lookup(job.Function); ok {
		r.path, r.mutation = fn.Path, fn.Kind == dispatch.KindMutation
	}
	s.pools.take(r)
	s.lates.note(&job)
	return r
}

// claimInserted claims, in the transaction that inserts them, the jobs that are
// due now and come before every unclaimed one; the alarm learns of the rest.
func (s *scheduler) claimInserted(tx *storage.Tx) (claimed []*run) {
	jobs := tx.Inserted()
	if len(jobs) == 0 || s.eng.opts.Still {
		return nil
	}
	wall := s.eng.clock.wall()
	for i := range jobs {
		job := &jobs[i]
		soon := job.Trigger == "" && !job.PendingOutside() && s.eng.unrunnable(job) == "" && !s.claimAt(job).After(wall) && job.Interruptions < suspectAfter && !s.keptBack(job) && !job.TooLate(wall) && s.paused(job) == nil
		if s.comesFirst(tx, job) && soon && !s.phase().draining() && !s.stops() && !s.uncorrected() && s.walks.of(job).hasRoom(job) {
			ok, err := tx.Claim(job)
			if err != nil {
				s.noteUnclaimed(job)
			} else if ok {
				r := s.newRun(*job, false)
				s.runs.add(r)
				s.walks.of(job).claims.add(r)
				claimed = append(claimed, r)
			}
			continue
		}
		s.noteUnclaimed(job)
	}
	return claimed
}

// comesFirst says whether no job that is not claimed begins before the new one, as far
// as memory knows.
func (s *scheduler) comesFirst(tx *storage.Tx, job *storage.Job) bool {
	if job.Pool == "" {
		w := &s.walks[job.Priority]
		return w.nextAt.IsZero() || job.Place().Less(w.from)
	}
	if s.pools.ordered(job.Pool) || s.pools.isShared(job.Pool) {
		return false // memory does not know whose turn it is
	}
	for p := storage.MinPriority; p <= storage.MaxPriority; p++ {
		if at := s.walks[p].nextAt; !at.IsZero() && !at.After(job.Due) {
			return false
		}
	}
	return s.readStarts(tx, job.Lane()) && s.pools.open(job.Lane()) > 0
}

// noteUnclaimed has a job that was put into the bucket claimed in time.
func (s *scheduler) noteUnclaimed(job *storage.Job) {
	w := &s.walks[job.Priority]
	w.back(job.Place())
	w.look(s.claimAt(job))
	s.lates.note(job)
}
