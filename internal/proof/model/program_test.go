package model_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// program is what a function of the model does, and its argument: the engine's
// handlers carry it out, and so does the model.
type program struct {
	Name  string `json:"name"`            // whose effects these are; no two programs of a history have the same
	Takes string `json:"takes,omitempty"` // time that passes before it does anything
	Deaf  bool   `json:"deaf,omitempty"`  // it does not look at its context meanwhile
	Does  []op   `json:"does,omitempty"`
	Ends  string `json:"ends,omitempty"`  // error, permanent, panic, goexit or pending; "" is well
	Until int    `json:"until,omitempty"` // only the attempts up to this one end so; 0: all
	Pends string `json:"pends,omitempty"` // an action's: it asks for a token, and how long the end may take
	Saves bool   `json:"saves,omitempty"` // an action's: it saves a checkpoint before its time passes, and one after it
	Fills int    `json:"fills,omitempty"` // how many bytes more it returns than what it was answered
}

// op is one thing that a program does. One field is set.
type op struct {
	Count  string   `json:"count,omitempty"`  // adds one to a counter; not of an action
	Run    *order   `json:"run,omitempty"`    // schedules a job
	Cancel string   `json:"cancel,omitempty"` // cancels the first job with a program of that name
	Nest   *program `json:"nest,omitempty"`   // a nested mutation, or an action's own; its error is passed over
}

// order is a job to schedule.
type order struct {
	After    string  `json:"after"` // before now, if it is negative
	Acts     bool    `json:"acts,omitempty"`
	ID       string  `json:"id,omitempty"`
	Once     bool    `json:"once,omitempty"`
	Retries  int     `json:"retries,omitempty"` // -1: none; 0: by default
	Base     string  `json:"base,omitempty"`
	Timeout  string  `json:"timeout,omitempty"`
	Pool     string  `json:"pool,omitempty"` // or POOL/KEY
	Priority int     `json:"priority,omitempty"`
	Key      string  `json:"key,omitempty"`   // unique: KEY,POLICY
	Child    string  `json:"child,omitempty"` // scheduled once under that name, by a job
	Last     string  `json:"last,omitempty"`  // no attempt begins so long after now
	Toss     bool    `json:"toss,omitempty"`  // its result is not to be kept
	Then     *order  `json:"then,omitempty"`  // its follow-up, of which no more counts than acts, do and then
	Group    uint64  `json:"group,omitempty"` // its group
	Joins    bool    `json:"joins,omitempty"` // it is of the group of the job that schedules it
	Do       program `json:"do"`
}

// span reads a duration that the model has written itself.
func span(text string) time.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return d
}

func (o *order) path() string {
	if o.Acts {
		return "model:act"
	}
	return "model:do"
}

// retry is the order's policy; ok is false if it has none.
func (o *order) retry() (policy dispatch.RetryPolicy, ok bool) {
	if o.Retries == 0 {
		return policy, false
	}
	return dispatch.RetryPolicy{MaxAttempts: 1 + max(o.Retries, 0), Base: span(o.Base)}, true
}

// end is how the attempt of the program ends, without what cannot be returned.
func (p *program) end(attempt int) error {
	if p.Until > 0 && attempt > p.Until {
		return nil
	}
	switch p.Ends {
	case "error":
		return dispatch.Errorf(dispatch.CodeUnavailable, "told to fail")
	case "permanent":
		return dispatch.Permanent(dispatch.Errorf(dispatch.CodeFailedPrecondition, "told to fail for good"))
	case "pending":
		return dispatch.ErrPending
	case "panic":
		return errPanic
	case "goexit":
		return errGoexit
	}
	return nil
}

var (
	errPanic  = errors.New("told to panic")
	errGoexit = errors.New("told to exit")
)

// leave carries out an end that is not an error.
func leave(err error) error {
	switch {
	case errors.Is(err, errPanic):
		panic(err)
	case errors.Is(err, errGoexit):
		runtime.Goexit()
	}
	return err
}

// effect is the document that each mutation leaves behind.
type effect struct {
	Name    string `json:"name"`
	Attempt int    `json:"attempt"` // of the job; 0: it was none
}

func (e effect) String() string { return fmt.Sprintf("%s#%d", e.Name, e.Attempt) }

// counter is a document that mutations read and write.
type counter struct {
	Key string `json:"key"`
	N   int    `json:"n"`
}

// state is all documents of an app.
type state struct {
	Effects  []effect       `json:"effects"`
	Counters map[string]int `json:"counters"`
}

var (
	effectTable  = storage.NewTable[effect]("effects")
	counterTable = storage.NewTable[counter]("counters", storage.Index("by_key", "key"))

	modelDo    = dispatch.Mutation[program, []string]("model:do")
	modelAct   = dispatch.Action[program, []string]("model:act")
	modelNest  = dispatch.InternalMutation[program, []string]("model:nest")
	modelState = dispatch.Query[dispatch.None, state]("model:state")
	// What triggers run: they have no arguments of their own.
	modelTick  = dispatch.Mutation[dispatch.None, dispatch.None]("model:tick")
	modelHaste = dispatch.Action[dispatch.None, dispatch.None]("model:haste")
)

// hasteTakes is how long model:haste takes.
const hasteTakes = 1307 * time.Millisecond

// event is something that a handler noted in the journal.
type event struct {
	what    string // open, start, asked, resumed, saving, saved, progressed, untroubled, doing, did, ran or end
	at      time.Time
	wall    time.Time
	run     *run
	op      *op      // of doing and did: what an action does in a transaction of its own
	answers []string // of did: one; of ran: of each op; of asked: the token
	err     error    // of ran and end
}

func (h event) String() string {
	text := h.at.Format(stamp) + " " + h.what
	if h.run != nil {
		text += fmt.Sprintf(" %s, attempt %d of job %q, begun %s", h.run.prog.Name, h.run.job.Attempt, h.run.job.ID, h.run.began.Format(stamp))
	}
	return fmt.Sprintf("%s: %q %v", text, h.answers, h.err)
}

// run is one run of a function, as its handler sees it.
type run struct {
	app     storage.AppID
	prog    *program
	acts    bool
	job     dispatch.JobRun
	tick    dispatch.Tick
	began   time.Time
	wall    time.Time // the model's: when it began, and with it its transaction
	life    int       // of the engine; the model's
	over    bool
	refused bool // the model's: something that it asked for was, since it had waited too long
	overAt  time.Time
	toldAt  time.Time // the model's: when a Delete of its app told it to stop
	// the model's: when it has saved a checkpoint last, and whether one has failed
	savedAt    time.Time
	saveFailed bool
	token      string    // the model's: with which its attempt ends from outside
	pool       string    // the model's: the lane of its job
	key        string    // and its unique key
	freed      time.Time // the model's: when its slot, or its turn, is given back at the latest
}

// end notes that what the run does from here on counts no more.
func (r *run) end(at time.Time) {
	if !r.over {
		r.over, r.overAt = true, at
	}
}

// journal is what handlers have noted. It is outside of every engine.
type journal struct {
	mu   sync.Mutex
	wall func() time.Time
	seen []event

	asked []*asked
}

func (j *journal) note(h event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	h.at, h.wall = time.Now(), j.wall()
	j.seen = append(j.seen, h)
}

// take returns what was noted since the last time.
func (j *journal) take() []event {
	j.mu.Lock()
	defer j.mu.Unlock()
	seen := j.seen
	j.seen = nil
	return seen
}

// pause lets the program's time pass.
func pause(ctx context.Context, d time.Duration, deaf bool) error {
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	if deaf {
		<-timer.C
		return nil
	}
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// child is what the program of a job is called that this run schedules: what is
// run again schedules another.
func child(name string, attempt int, tick dispatch.Tick) string {
	if attempt > 1 {
		name = fmt.Sprintf("%s~%d", name, attempt)
	}
	if !tick.Slot.IsZero() {
		name = fmt.Sprintf("%s~%d", name, tick.Slot.UnixMilli())
	}
	return name
}

func answerOf(answer string, err error) string {
	if err != nil {
		return "error: " + string(dispatch.AsError(err).Code)
	}
	return answer
}

// schedule does what an order says.
func schedule(s dispatch.Scheduler, now time.Time, o *order, of storage.GroupID, name string) (storage.JobID, error) {
	prog := o.Do
	prog.Name = name
	call := dispatch.Path(o.path()).With(prog)
	opts := append(o.placeOptions(), o.thenOptions(name)...)
	if o.Toss {
		opts = append(opts, dispatch.KeepResult(false))
	}
	if o.Joins {
		opts = append(opts, dispatch.InGroup(of))
	}
	if o.Last != "" {
		opts = append(opts, dispatch.NotAfter(now.Add(span(o.Last))))
	}
	if o.ID != "" {
		opts = append(opts, dispatch.ID(storage.JobID(o.ID)))
	}
	if o.Once {
		opts = append(opts, dispatch.AtMostOnce())
	}
	if policy, ok := o.retry(); ok {
		opts = append(opts, dispatch.WithRetry(policy))
	}
	if o.Timeout != "" {
		opts = append(opts, dispatch.Timeout(span(o.Timeout)))
	}
	if d := span(o.After); d < 0 {
		return s.RunAt(now.Add(d), call, opts...)
	} else {
		return s.RunAfter(d, call, opts...)
	}
}

// cancel cancels the first job with a program of that name.
func cancel(s dispatch.Scheduler, name string) (string, error) {
	filter := storage.JobFilter{Limit: 1000}
	for {
		page, err := s.List(filter)
		if err != nil {
			return "", err
		}
		for _, job := range page.Jobs {
			if nameOf(&job) != name {
				continue
			}
			if job.State.Ended() { // another job may have its id by now
				return cancelAnswer(storage.Cancellation{Found: job.State}), nil
			}
			answer, err := s.Cancel(job.ID)
			return cancelAnswer(answer), err
		}
		if filter.Cursor = page.Next; filter.Cursor == "" {
			return "none", nil
		}
	}
}

func cancelAnswer(c storage.Cancellation) string {
	if c.Canceled {
		return "canceled " + string(c.Found)
	}
	return "late " + string(c.Found)
}

// programOf is the program that the job's arguments are.
func programOf(job *storage.Job) (p program) {
	if json.Unmarshal(job.Args, &p) != nil {
		return program{}
	}
	return p
}

// nameOf is what the job's program is called.
func nameOf(job *storage.Job) string {
	if job.Trigger != "" {
		return tickProgram(dispatch.Tick{Trigger: job.Trigger, Slot: job.Slot}, dispatch.JobRun{ID: job.ID}).Name
	}
	return programOf(job).Name
}

// mutate carries a program out in a mutation.
func mutate(ctx *dispatch.MutationCtx, wall func() time.Time, p *program) ([]string, error) {
	if _, err := effectTable.Insert(ctx.DB, effect{p.Name, ctx.Job.Attempt}); err != nil {
		return nil, err
	}
	if err := pause(ctx, span(p.Takes), p.Deaf); err != nil {
		return nil, err
	}
	answers := []string{}
	for _, d := range p.Does {
		var answer string
		var err error
		switch {
		case d.Count != "":
			var n int
			n, err = count(ctx.DB, d.Count)
			answer = fmt.Sprint(n)
		case d.Run != nil:
			var id storage.JobID
			id, err = schedule(ctx.Scheduler, wall(), d.Run, ctx.Job.Group, child(d.Run.Do.Name, ctx.Job.Attempt, ctx.Tick))
			answer = string(id)
		case d.Cancel != "":
			answer, err = cancel(ctx.Scheduler, d.Cancel)
		case d.Nest != nil:
			var inner []string
			inner, err = modelNest.Run(ctx, *d.Nest)
			text, _ := json.Marshal(inner)
			answer = string(text)
		}
		answers = append(answers, answerOf(answer, err))
	}
	return answers, p.end(ctx.Job.Attempt)
}

func count(db storage.Writer, key string) (n int, err error) {
	doc, ok, err := counterTable.Query(db).By("by_key").Eq(key).First()
	if err != nil {
		return 0, err
	}
	if !ok {
		_, err = counterTable.Insert(db, counter{key, 1})
		return 1, err
	}
	return doc.Value.N + 1, counterTable.Replace(db, doc.ID, counter{key, doc.Value.N + 1})
}

// modelFunctions are the functions of the model, which note in the journal what
// they do. A release may lack one of what jobs and triggers run.
func modelFunctions(j *journal, lacks ...string) *dispatch.Registry {
	reg := dispatch.NewRegistry()
	reg.Without(lacks...)
	begin := func(app storage.AppID, p *program, acts bool, job dispatch.JobRun, tick dispatch.Tick) *run {
		r := &run{app: app, prog: p, acts: acts, job: job, tick: tick, began: time.Now()}
		j.note(event{what: "start", run: r})
		return r
	}
	modelDo.Handle(reg, func(ctx *dispatch.MutationCtx, p program) ([]string, error) {
		r := begin(appOf(p.Name), &p, false, ctx.Job, dispatch.Tick{})
		answers, err := mutate(ctx, j.wall, &p)
		j.note(event{what: "ran", run: r, answers: answers, err: err})
		return p.fill(answers), leave(err)
	})
	modelNest.Handle(reg, func(ctx *dispatch.MutationCtx, p program) ([]string, error) {
		answers, err := mutate(ctx, j.wall, &p)
		return answers, leave(err)
	})
	if !slices.Contains(lacks, modelAct.Path()) {
		modelAct.Handle(reg, func(ctx *dispatch.ActionCtx, p program) ([]string, error) {
			r := begin(appOf(p.Name), &p, true, ctx.Job, dispatch.Tick{})
			answers, err := act(ctx, j, r, &p)
			j.note(event{what: "end", run: r, answers: answers, err: err})
			return p.fill(answers), leave(err)
		})
	}
	if !slices.Contains(lacks, modelTick.Path()) {
		modelTick.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
			p := tickProgram(ctx.Tick, ctx.Job)
			r := begin(appOf(p.Name), &p, false, ctx.Job, ctx.Tick)
			answers, err := mutate(ctx, j.wall, &p)
			j.note(event{what: "ran", run: r, answers: answers, err: err})
			return dispatch.None{}, leave(err)
		})
	}
	if !slices.Contains(lacks, modelHaste.Path()) {
		modelHaste.Handle(reg, func(ctx *dispatch.ActionCtx, _ dispatch.None) (dispatch.None, error) {
			p := tickProgram(ctx.Tick, ctx.Job)
			p.Takes = hasteTakes.String()
			p.Does = nil
			r := begin(appOf(p.Name), &p, true, ctx.Job, ctx.Tick)
			answers, err := act(ctx, j, r, &p)
			j.note(event{what: "end", run: r, answers: answers, err: err})
			return dispatch.None{}, leave(err)
		})
	}
	modelState.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) (state, error) {
		s := state{Effects: []effect{}, Counters: map[string]int{}}
		for doc, err := range effectTable.Query(ctx.DB).All() {
			if err != nil {
				return s, err
			}
			s.Effects = append(s.Effects, doc.Value)
		}
		for doc, err := range counterTable.Query(ctx.DB).All() {
			if err != nil {
				return s, err
			}
			s.Counters[doc.Value.Key] = doc.Value.N
		}
		return s, nil
	})
	return reg
}

// appOf is the app that a name belongs to: names tell, so that what came into
// the wrong app is seen.
func appOf(name string) storage.AppID {
	app, _, _ := strings.Cut(name, ".")
	return storage.AppID(app)
}

// tickProgram is what a tick does: it counts for its trigger.
func tickProgram(tick dispatch.Tick, job dispatch.JobRun) program {
	name := fmt.Sprintf("%s~%d", tick.Trigger, tick.Slot.UnixMilli())
	if tick.Slot.IsZero() {
		name = fmt.Sprintf("%s~%s", tick.Trigger, job.ID)
	}
	return program{Name: name, Does: []op{{Count: tick.Trigger}}}
}

// act carries a program out in an action: each op is a transaction of its own. The run is the
// model's from its start on, which may set it back while this goes on: nothing here reads it.
func act(ctx *dispatch.ActionCtx, j *journal, r *run, p *program) ([]string, error) {
	ask(ctx, j, r, p)
	j.resume(ctx, r, p)
	j.save(ctx, r, p, 1)
	j.progress(ctx, r, p, 1)
	if err := pause(ctx, span(p.Takes), p.Deaf); err != nil {
		return nil, err
	}
	j.save(ctx, r, p, 2)
	j.progress(ctx, r, p, 2)
	answers := []string{}
	for i := range p.Does {
		d := &p.Does[i]
		j.note(event{what: "doing", run: r, op: d})
		var answer string
		var err error
		switch {
		case d.Run != nil:
			var id storage.JobID
			id, err = schedule(ctx.Scheduler, j.wall(), d.Run, ctx.Job.Group, child(d.Run.Do.Name, ctx.Job.Attempt, ctx.Tick))
			answer = string(id)
		case d.Cancel != "":
			answer, err = cancel(ctx.Scheduler, d.Cancel)
		case d.Nest != nil:
			_, err = modelDo.Run(ctx, *d.Nest)
		}
		answers = append(answers, answerOf(answer, err))
		j.note(event{what: "did", run: r, op: d, answers: answers[i:]})
	}
	// No mutation that was due together with it, or that it has scheduled for now,
	// begins at the moment at which it ends: which of the two comes first nobody could tell.
	time.Sleep(time.Millisecond)
	j.untroubled(ctx, r)
	return answers, p.end(ctx.Job.Attempt)
}
