package actors

import (
	"crypto/rand"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is what becomes of a handler that was given up, because its deadline
// has passed, its job was canceled or its app is held, and that has not returned
// (handlerphase.go):
//
//	running ──given up──► leaving ──Options.Grace──► stuck ──Abandon──► abandoned
//	   └──────────────────────┴──► returned ◄───────────┴──────────────────┘
//
// An action's attempt is over Options.Grace after its deadline only, so its handler
// is stuck at once. Go cannot end a goroutine, so the engine keeps what it can: such
// a handler holds no permit, and what it asks for is refused, but its own job waits
// for it, and the ticks of its trigger that must not overlap do.

// maxStuck is how many stuck handlers of an app there may be, with those that leave
// past their deadline, before the functions that have some of them are begun no more.
// Those that run at that moment, as many as there are permits, may get stuck beyond it.
const maxStuck = 64

// CallID names the stuck handler of a call. No other has the same, in no life of the
// process.
type CallID string

// StuckHandler is a handler that was given up and has not returned within
// Options.Grace: of a job's attempt, or of a call.
type StuckHandler struct {
	App      storage.AppID
	Function string
	Call     CallID        // "" if it is that of a job
	Job      storage.JobID // "" if it is that of a call
	Attempt  int           // of the job
	Since    time.Time     // when it was given up, by the wall

	lane storage.Lane // of the job
}

// attrs are what the log says of it.
func (s *StuckHandler) attrs() []any {
	whose := []any{"job", s.Job, "attempt", s.Attempt}
	if s.Call != "" {
		whose = []any{"call", s.Call}
	}
	return append([]any{"app", s.App, "function", s.Function, "since", s.Since}, whose...)
}

// handle is what the table of those that were given up knows a handler by. It is
// guarded by runs.mu.
type handle struct{ phase handlerPhase }

// leftBehind is a handler that was given up and has not returned.
type leftBehind struct {
	StuckHandler
	trigger  string
	tick     bool        // of a slot, not run by hand
	backfill bool        // of a slot that a backfill runs
	key      string      // the job's unique key
	late     bool        // it has overrun its deadline, and was not merely told to stop
	grace    *time.Timer // of one that leaves
}

// leave notes that the handler has returned, and takes it off the table. was is the phase
// that it was in.
func (rs *runs) leave(h *handle) (l leftBehind, was handlerPhase) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	was = h.phase
	h.move(handlerReturns)
	if was.listed() {
		l = *rs.left[h]
		delete(rs.left, h)
	}
	return l, was
}

// stick notes that the handler's grace is over. ok is false if it has returned.
func (rs *runs) stick(h *handle) (s StuckHandler, ok bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if !h.move(graceOver) {
		return s, false
	}
	return rs.left[h].StuckHandler, true
}

// giveUp puts the handler on the table, unless it has returned, or has been given up.
func (rs *runs) giveUp(h *handle, l *leftBehind) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if !h.move(handlerGivenUp) {
		return false
	}
	if rs.left == nil {
		rs.left = map[*handle]*leftBehind{}
	}
	rs.left[h] = l
	return true
}

// abandon takes the stuck handlers of the job or of the call off the table: one of
// the two is not empty.
func (rs *runs) abandon(job storage.JobID, call CallID) (list []StuckHandler) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for h, l := range rs.left {
		if l.Job == job && l.Call == call && h.move(personAbandons) {
			list = append(list, l.StuckHandler)
			delete(rs.left, h)
		}
	}
	return list
}

// keptBack says whether handlers that were given up keep the job from beginning: its
// own, or too many that are stuck; or that another job of its unique key runs.
func (app *appState) keptBack(job *storage.Job) bool {
	if app.runs.before(job) != "" {
		return true
	}
	return app.runs.anyLeft() && (app.runs.waitingFor(job, false) != nil || app.tooManyStuck(job) != nil)
}

func (rs *runs) anyLeft() bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return len(rs.left) > 0
}

// leftOf returns a handler that was given up and is such a one. The caller has the lock.
func (rs *runs) leftOf(is func(*leftBehind) bool) *leftBehind {
	for _, l := range rs.left {
		if is(l) {
			return l
		}
	}
	return nil
}

// ticksLeft counts the handlers of the trigger's ticks that were given up, and of
// those, backfills included, the ones that leave yet.
func (rs *runs) ticksLeft(trigger string) (all, leaving int) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for h, l := range rs.left {
		if l.trigger != trigger {
			continue
		}
		if l.tick {
			all++
		}
		if (l.tick || l.backfill) && h.phase == handlerLeaving {
			leaving++
		}
	}
	return all, leaving
}

// backfillLeft says whether a handler was given up of a tick of a backfill of the trigger.
func (rs *runs) backfillLeft(trigger string) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.leftOf(func(l *leftBehind) bool { return l.backfill && l.trigger == trigger }) != nil
}

// leftIn counts the stuck handlers of jobs of the pool.
func (rs *runs) leftIn(pool string) (n int) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for h, l := range rs.left {
		if h.phase == handlerStuck && l.lane.Pool == pool {
			n++
		}
	}
	return n
}

// leftInLane counts the handlers of jobs of the lane that are stuck.
func (rs *runs) leftInLane(at storage.Lane) (n int) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for h, l := range rs.left {
		if h.phase == handlerStuck && l.lane == at {
			n++
		}
	}
	return n
}

// stuck returns the stuck handlers, the oldest first.
func (rs *runs) stuck() []StuckHandler {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	var list []StuckHandler
	for h, l := range rs.left {
		if h.phase == handlerStuck {
			list = append(list, l.StuckHandler)
		}
	}
	slices.SortFunc(list, func(a, b StuckHandler) int { return a.Since.Compare(b.Since) })
	return list
}

// leaving is how many handlers that were given up have time to return.
func (rs *runs) leaving() (n int) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for h := range rs.left {
		if h.phase == handlerLeaving {
			n++
		}
	}
	return n
}

// blocks says whether so many handlers are stuck that no more of the function are
// begun. Its error is what a caller is told.
func (rs *runs) blocks(function string) error {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if len(rs.left) < maxStuck {
		return nil
	}
	n, of := 0, 0
	for h, l := range rs.left {
		if h.phase == handlerStuck || l.late {
			n++
			if l.Function == function {
				of++
			}
		}
	}
	if n < maxStuck || of == 0 {
		return nil
	}
	return &dispatch.Error{
		Code: dispatch.CodeUnavailable, Path: function,
		Message: fmt.Sprintf("%d handlers of the app are stuck, %d of this function: no more of it are begun", n, of),
	}
}

// tooManyStuck is blocks for a job's function, which may have had another path.
func (app *appState) tooManyStuck(job *storage.Job) error {
	path := job.Function
	if fn, ok := app.eng.opts.Functions.Lookup(path); ok {
		path = fn.Path
	}
	return app.runs.blocks(path)
}

// stopLeaving stops the timers of the handlers that leave: the app stops.
func (rs *runs) stopLeaving() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, l := range rs.left {
		if l.grace != nil {
			l.grace.Stop()
		}
	}
}

// leaveBehind notes that the engine has given the handler up. If it has not returned
// after the grace (0: now) it is stuck.
func (app *appState) leaveBehind(h *handle, l leftBehind, grace time.Duration) {
	l.App, l.Since = app.id, app.eng.clock.wall()
	if grace > 0 {
		l.grace = time.AfterFunc(grace, func() { app.stick(h) })
	}
	switch {
	case !app.runs.giveUp(h, &l):
		if l.grace != nil {
			l.grace.Stop()
		}
		if grace == 0 {
			app.stick(h) // it has left yet
		}
	case grace == 0:
		app.stick(h)
	}
}

// leftOfRun is the entry of a job's handler.
func leftOfRun(r *run, late bool) leftBehind {
	return leftBehind{
		StuckHandler: StuckHandler{Function: r.path, Job: r.job.ID, Attempt: r.attempt, lane: r.job.Lane()},
		trigger:      r.job.Trigger, key: r.app.runs.keyOf(&r.job), tick: !r.job.Slot.IsZero() && r.job.Backfill == 0, backfill: r.job.Backfill != 0, late: late,
	}
}

// leaveCall is leaveBehind for a call, or for the job that the invocation is of.
func (app *appState) leaveCall(inv *invocation, late bool, grace time.Duration) {
	if inv.job != nil {
		app.leaveBehind(&inv.job.handle, leftOfRun(inv.job, late), grace)
		return
	}
	app.leaveBehind(&inv.handle, leftBehind{StuckHandler: StuckHandler{Function: inv.fn.Path, Call: CallID(rand.Text())}, late: late}, grace)
}

// stick has the handler count as stuck, unless it has returned.
func (app *appState) stick(h *handle) {
	s, ok := app.runs.stick(h)
	if !ok {
		return
	}
	app.eng.handlers.countStuck(1)
	app.eng.sharedPools.stick(s.lane, 1)
	app.eng.opts.Logger.Warn("a handler is stuck: it was given up, and has not returned within its grace",
		s.attrs()...)
	app.eng.tellStuck(&s)
	app.eng.sys.tell(app.scheduler, &handlersMoved{})
}

// returned notes that a handler has returned, and has what waits for it go on.
func (app *appState) returned(h *handle) {
	l, was := app.runs.leave(h)
	if was.counted() {
		app.eng.handlers.countStuck(-1)
	}
	if was == handlerStuck {
		app.eng.sharedPools.stick(l.lane, -1)
	}
	if !was.listed() {
		return // in time, or it was abandoned
	}
	if was == handlerStuck {
		app.eng.opts.Logger.Info("a stuck handler has returned", l.attrs()...)
	}
	if l.grace != nil {
		l.grace.Stop()
	}
	app.eng.sys.tell(app.scheduler, &handlersMoved{})
}

// returnedFrom is returned for the handler of the invocation.
func (app *appState) returnedFrom(inv *invocation) {
	if inv.job != nil {
		app.returned(&inv.job.handle)
		return
	}
	app.returned(&inv.handle)
}

// waitingFor returns the handler that was given up and that the job waits for, or nil.
func (rs *runs) waitingFor(job *storage.Job, queued bool) *leftBehind {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if len(rs.left) == 0 {
		return nil
	}
	own := rs.leftOf(func(l *leftBehind) bool { return l.Job == job.ID })
	if own == nil && queued {
		own = rs.leftOf(func(l *leftBehind) bool { return l.tick && l.trigger == job.Trigger })
	}
	return own
}

// Stuck returns the stuck handlers of all apps, the oldest first: their number is
// the gauge to watch. Each can be abandoned (HostScheduler.Abandon, AbandonCall), and
// holds a goroutine until it returns or the process ends. Those of an app that was
// deleted are not among them.
func (e *Engine) Stuck() []StuckHandler {
	var list []StuckHandler
	e.directory.each(func(ref *appRef) { list = append(list, ref.app.runs.stuck()...) })
	slices.SortStableFunc(list, func(a, b StuckHandler) int { return a.Since.Compare(b.Since) })
	return list
}

// maxBy bounds who a person is said to be, in bytes.
const maxBy = 256

// Abandon has the app wait no more for the stuck handlers of the job: the job is
// begun again beside them if it is due, the ticks of its trigger go on, and they do
// not count any more towards the bound of stuck handlers. That is for a person who
// knows that they do no harm: what they still do outside of the engine goes on. Each
// is one WARN, with by, which says who decided it, of at most 256 bytes of UTF-8. ok
// is false if the job has no stuck handler. Abandon does not block; nothing of it is
// stored, as a restart ends stuck handlers anyway.
func (s *HostScheduler) Abandon(id storage.JobID, by string) (ok bool, err error) {
	if err := id.Check(); err != nil {
		return false, asError(err)
	}
	return s.abandon(id, "", by)
}

// AbandonCall is Abandon for the stuck handler of a call, which Engine.Stuck names: it
// does not count any more towards the bound of stuck handlers, and is not shown. Its
// caller has had its answer long since. ok is false if the app has no stuck handler of
// that name.
func (s *HostScheduler) AbandonCall(id CallID, by string) (ok bool, err error) {
	if id == "" {
		return false, dispatch.Errorf(dispatch.CodeInvalidArgument, "the call's id is empty")
	}
	return s.abandon("", id, by)
}

func (s *HostScheduler) abandon(job storage.JobID, call CallID, by string) (ok bool, err error) {
	if len(by) > maxBy || !utf8.ValidString(by) {
		return false, dispatch.Errorf(dispatch.CodeInvalidArgument, "who abandons is %d bytes, want at most %d of UTF-8", len(by), maxBy)
	}
	if s.ctx.Err() != nil {
		return false, contextError(s.ctx, "")
	}
	v, live := s.eng.directory.live.Load(s.app)
	if !live {
		return false, nil // it would not sleep with a stuck handler
	}
	app := v.(*appRef).app
	list := app.runs.abandon(job, call)
	for i := range list {
		app.eng.sharedPools.stick(list[i].lane, -1)
		app.eng.opts.Logger.Warn("a stuck handler was abandoned", append(list[i].attrs(), "operator", by)...)
	}
	if len(list) > 0 {
		app.eng.sys.tell(app.scheduler, &handlersMoved{})
	}
	return len(list) > 0, nil
}
