package model_test

import (
	"fmt"
	"slices"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// The engine's options under the model: small, so that limits are reached.
const (
	modelGrace    = 1500 * time.Millisecond
	modelTurn     = 2 * time.Second // a mutation's deadline
	modelDeadline = 5 * time.Second // an action's
	modelIdle     = 4 * time.Second
	modelCheck    = time.Second // of the clock
	modelAhead    = 100 * time.Millisecond
	modelMaxJobs  = 40
	modelWait     = time.Hour // at first
	modelCrashes  = 4         // in a row, of one job
)

// model is what an engine must be like, small enough to be believed: apps with
// documents, jobs and triggers, and one clock. Handlers tell it through the
// journal what ran when, and with which answers; it knows what that may have
// been, and what must be stored afterwards.
type model struct {
	apps            map[storage.AppID]*app
	perApp, all     int                        // limits of running jobs
	limits          [2]int                     // those of the next engine
	lacks, released string                     // the path that the engine's program does not have, and the next one's
	declared        map[storage.AppID]*trigger // AtStart, by the engine's program; replaced as a whole
	declares        map[storage.AppID]*trigger // by the next one's
	acked           string                     // the name of the program that a client was told is durable
	step            time.Duration
	steppedAt       time.Time // the bubble's time of the last step of the clock
	doubted         time.Time // until then nothing may expire
	openedAt        time.Time // and of the last opening
	closing         bool
	life            int
	rest            []event // of this command
	opening         bool    // this command opens the directory, and it is not open yet
	now             time.Time
	cut             bool // the command was cut off by a crash: not all that ran is durable
	graceful        bool // an opening that comes now follows an orderly end
	seen            map[storage.AppID]*sight
	findings        []finding
	runs            []*run    // of jobs, that hold a slot
	left            []*run    // of jobs, that hold none any more and whose handlers have not returned
	begun           []event   // what actions have begun to do, and were not told how it ended
	answers, asked  []int     // of this try of the command: what is answered, and of how many answers
	reached         int       // how much of the command has fitted, in this try
	crashed         bool      // this command has killed an engine that is open again
	dead            bool      // the engine was killed, and is not open again
	peak            time.Time // the latest that the wall has shown before it was stepped
	kept            *app      // what was exported last
	hibernated, ran int
	wait, waits     time.Duration // of the engine for the turn, and of the next one
	noted           []event       // during this command
	heldJobs        int
	audiences       map[storage.AppID]*audience
	refusals        int // of calls and of the host that had waited too long
	turned          int // jobs that were interrupted since their calls were refused
	heldTicks       int
	told            int // events of which the model knew that they come, and when
	begunAnew       int // watches
	groupsEnded     int
	outside         int // attempts that ended from outside, or timed out
	bulks           int // jobs that were canceled, or tried again, with others
	replacedCalls   int // jobs that another call of their key has taken the place of
	superseded      int // jobs that were tried no more, since a later one had their key
	revised         int // jobs that were given other arguments once an attempt had begun
}

// finding is something that is wrong.
type finding struct{ kind, text string }

func (m *model) found(kind, format string, args ...any) {
	m.findings = append(m.findings, finding{kind, fmt.Sprintf(format, args...)})
}

// app is what an app must be like.
type app struct {
	id       storage.AppID
	jobs     []*job
	counters map[string]int
	effects  map[string]int
	triggers map[string]*trigger
	seq      int
	ends     map[end]bool // that were seen

	holder     *run                   // the run whose handler has the turn
	unsettled  []ending               // actions that ended meanwhile
	free       bool                   // a due job could start
	freeSince  time.Time              // and could all the time since
	touched    time.Time              // when something last happened
	held       bool                   // for a Delete that this command takes back: no job begins
	reborn     bool                   // it was deleted by this command, and has come into being when it was looked at
	lacked     string                 // of an app that was exported: by the program
	queued     map[storage.JobID]bool // mutations of a deleted app that waited for the turn
	window     []*change              // of this command, in order
	open       *change                // the one that is being made
	lanes      map[string]lane        // replaced as a whole
	paused     map[string]bool        // likewise: by scope
	poolLimits map[string]int         // likewise: set at run time
	starts     []time.Time            // likewise: of the pool with a rate, the latest first
	turnSince  time.Time              // nothing has had the turn since then
	groups     []*group               // likewise: in the order they were made
	shown      []*job                 // of which those who watch were told
}

// ending is an action's run that has ended, and how.
type ending struct {
	run     *run
	err     error
	answers []string
}

// crash counts an attempt that a crash has cut off: as a crash in a row only if one before, since
// the job's latest attempt that came to an end, has its claims tell whether it had begun.
func (j *job) crash() {
	j.attempts++
	if j.history++; j.crashes > 0 || j.unsure > 0 && j.unsure == j.history-1 {
		j.crashes++
	} else {
		j.unsure = j.history
	}
}

// job is what a job must be like.
type job struct {
	id    storage.JobID
	name  string // of its program
	base  string // of its first one; "": it has had no other
	path  string
	prog  program
	order order

	due, scheduledFor time.Time
	notAfter          time.Time // zero: whenever
	state             storage.State
	attempts          int // that have ended
	failures          int
	crashes           int // in a row, of which its claim has told that it had begun
	unsure            int // the attempt in its history that a crash cut off of which it did not
	revision          int // how often other arguments took the place of those of an attempt
	history           int // attempts that did not succeed
	code              dispatch.Code

	trigger string
	slot    time.Time

	since      time.Time // the wall, when calls of its key began to replace each other
	seq        int
	addedAt    time.Time // the bubble's
	addedBy    *run
	readyAt    time.Time // not to be started before, whatever is due
	changedAt  time.Time
	endedAt    time.Time // the wall when the transaction began in which it ended; zero if that is not known, or was compared
	run        *run      // the latest
	canceledBy *run
	was        *job                     // before its last attempt was settled
	mayStart   bool                     // canceled while it was starting
	children   map[string]storage.JobID // what it has scheduled once, by name; replaced as a whole
	unnamed    bool                     // its id has named a later job, which was dropped
	parent     storage.JobID            // whose handler has scheduled it, or that it follows
	ends       int                      // that have had a follow-up
	told       *told                    // what it must be told, if it follows another
	widowed    bool                     // its end has no follow-up
	result     string                   // of a success, as JSON; "" if that is not known
	outside    *pendingOutside          // its attempt goes on outside; nil: none does
	said       *said                    // how the attempt that runs was said to end; nil: it was not
	token      string                   // of its last attempt, if it has ended
	saved      string                   // its checkpoint; "": it has none
	unknown    bool                     // it could not be written, or that is not known: any of its own may be there
	unsaved    string                   // what may be its checkpoint; "": that is known
	group      storage.GroupID          // that it is, or was, a member of
	leftAs     storage.State            // how it ended first, as a member
	ofGroup    storage.GroupID          // that it follows
	shown      durable                  // what those who watch were told last
	tells      []tell                   // what they must be told of this command; replaced as a whole
	gone       bool                     // its record was taken away, and they were told
	moves      int                      // how often it was given another instant, be it the same
	mayHold    bool                     // it may have been held before it expired
	unmade     bool                     // it was a follow-up of an end that was none
}

func (j *job) timeout() time.Duration {
	if j.order.Timeout != "" {
		return span(j.order.Timeout)
	}
	if j.acts() {
		return modelDeadline
	}
	return modelTurn
}

func (j *job) acts() bool { return j.path == "model:act" || j.path == "model:haste" }

// line is all of the job that is compared.
func (j *job) line() string {
	attempts := j.attempts
	if j.state == storage.StateRunning {
		attempts++ // the one under way
	}
	return fmt.Sprintf("%s %s %s %s due %s for %s attempts %d failures %d history %d code %q %s", j.id, j.path, j.name, j.state,
		j.due.Format(stamp), j.scheduledFor.Format(stamp), attempts, j.failures, j.history, j.code, placeText(j.trigger, j.order.Pool, j.order.Priority, j.order.key()))
}

const stamp = "2006-01-02T15:04:05.000"

// change is one change set: as a whole durable after a crash, or not at all.
type change struct {
	what    string
	undo    []func()
	ordered bool // a mutation's: of two the earlier one is durable first
	// durable looks for its traces in what was seen after the crash.
	durable func() bool
	acked   bool
}

// begin opens a change set of the app. What is changed until end is part of it.
func (a *app) begin(what string) *change {
	a.open = &change{what: what}
	return a.open
}

// end closes it: kept, or with everything undone.
func (a *app) end(keep bool) {
	c := a.open
	a.open = nil
	if !keep {
		c.back(0)
		return
	}
	a.window = append(a.window, c)
}

// back undoes what was changed since the mark.
func (c *change) back(mark int) {
	for i := len(c.undo) - 1; i >= mark; i-- {
		c.undo[i]()
	}
	c.undo = c.undo[:mark]
}

// undoing notes how to undo what is about to be changed.
func (a *app) undoing(fn func()) {
	if a.open != nil {
		a.open.undo = append(a.open.undo, fn)
	}
}

// touch notes that the job is about to be changed.
func (a *app) touch(j *job) {
	was := *j
	a.undoing(func() {
		run := j.run
		*j = was
		j.run = run
	})
}

// add puts a job into the app.
func (a *app) add(j *job) {
	a.seq++
	j.seq = a.seq
	a.jobs = append(a.jobs, j)
	a.undoing(func() { a.drop(j) })
}

func (a *app) drop(j *job) {
	a.jobs = slices.DeleteFunc(a.jobs, func(k *job) bool { return j == k })
}

// job finds the job that the id names: of several that had it the latest, unless
// that was dropped.
func (a *app) job(id storage.JobID) *job {
	for i := len(a.jobs) - 1; i >= 0; i-- {
		if a.jobs[i].id == id && !a.jobs[i].unnamed {
			return a.jobs[i]
		}
	}
	return nil
}

// live is how many jobs of the app are pending or running. Ticks come and go by
// themselves, so that the number is not known if there are any.
func (m *model) live(a *app, at time.Time) (least, most int) {
	for _, j := range a.jobs {
		switch {
		case j.state.Ended():
		case j.slot.IsZero() && !m.tooLate(j, at):
			least, most = least+1, most+1
		default:
			most++
		}
	}
	for _, job := range m.seen[a.id].all {
		if !job.Slot.IsZero() && a.job(job.ID) == nil {
			most++
		}
	}
	return least, most + len(a.triggers)
}

// before says whether j comes before k in the order of starts; known is false
// if they came to be at one moment, in an order that nobody has told.
func (j *job) before(k *job) (before, known bool) {
	if !j.due.Equal(k.due) {
		return j.due.Before(k.due), true
	}
	known = j.addedBy == k.addedBy && j.addedBy != nil || !j.addedAt.Equal(k.addedAt)
	return j.seq < k.seq, known && j.trigger == "" && k.trigger == ""
}

// newModel is an engine that has just been opened on nothing.
func newModel(now time.Time, perApp, all int, apps ...storage.AppID) *model {
	m := &model{apps: map[storage.AppID]*app{}, wait: modelWait, waits: modelWait, declares: map[storage.AppID]*trigger{}, perApp: perApp, all: all, limits: [2]int{perApp, all}, openedAt: now, steppedAt: now.Add(-time.Hour)}
	for _, id := range apps {
		m.apps[id] = &app{
			id: id, counters: map[string]int{}, effects: map[string]int{}, triggers: map[string]*trigger{}, free: true, freeSince: now,
		}
	}
	return m
}

// sight is what an engine shows of an app.
type sight struct {
	jobs  map[storage.JobID]storage.Job // the latest of each id
	all   []storage.Job
	state state
	docs  map[string]int // effects
	crons []dispatch.CronInfo
	slots map[string][]storage.Slot

	groups []storage.Group
	pauses []storage.Pause
	limits map[string]int // of pools, set at run time
}

// of finds the record of the job, though its id may have come to name another one.
func (s *sight) of(j *job) (found storage.Job) {
	if found = s.jobs[j.id]; nameOf(&found) == j.name || j.order.Key != "" { // it has had another program, perhaps
		return found
	}
	for _, job := range s.all {
		if job.ID == j.id && nameOf(&job) == j.name {
			return job
		}
	}
	return storage.Job{}
}

// ceil is the first whole millisecond that is not before t.
func ceil(t time.Time) time.Time {
	return time.UnixMilli(t.Add(time.Millisecond - 1).UnixMilli()).UTC()
}
