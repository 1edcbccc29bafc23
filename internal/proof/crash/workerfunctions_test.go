package crash_test

import (
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is the app that the worker of the crash tests serves: each of its
// functions leaves a mark, in the data or, if it is an action, in the journal.

// mark is what a mutation leaves behind.
type mark struct {
	Key     string        `json:"key"`
	Job     storage.JobID `json:"job"` // whose run it was
	Attempt int           `json:"attempt"`
	Due     time.Time     `json:"due"`
	At      time.Time     `json:"at"`
	Trigger string        `json:"trigger"`
	Slot    time.Time     `json:"slot"`
	Told    string        `json:"told,omitempty"` // to a follow-up, of the job before
}

// markSum counts an app's marks in a document of its own, so that half a
// mutation shows.
type markSum struct {
	Count int `json:"count"`
}

var (
	marks    = storage.NewTable[mark]("marks", storage.Index("by_key", "key"))
	markSums = storage.NewTable[markSum]("sums")
)

// workerTables are the tables that have indexes.
var workerTables = []storage.Schema{marks}

// The functions. Each is given the key of what it is to leave behind, which
// names the app and the call.
var (
	putMark   = dispatch.Mutation[string, dispatch.None]("work:put")
	planMark  = dispatch.Mutation[string, storage.JobID]("work:plan") // a mark, and a job in the same transaction
	runMark   = dispatch.InternalMutation[string, dispatch.None]("work:run")
	flakyMark = dispatch.InternalMutation[string, dispatch.None]("work:flaky") // its first two attempts fail
	failMark  = dispatch.InternalMutation[string, dispatch.None]("work:fail")  // all of them
	tickMark  = dispatch.InternalMutation[string, dispatch.None]("work:tick")
	sendMark  = dispatch.InternalAction[string, dispatch.None]("work:send")
	sendOnce  = dispatch.InternalAction[string, dispatch.None]("work:once")
	viewMarks = dispatch.Query[dispatch.None, appView]("work:view")
)

// appView is all that an app shows, at one moment.
type appView struct {
	Marks    []mark
	Sum      int
	Jobs     []storage.Job
	Triggers []storage.Trigger
	Slots    map[string][]storage.Slot // by trigger, the latest first
	Pauses   []storage.Pause
	Limits   map[string]int // of pools, set at run time
	Groups   []storage.Group

	left bool // by a worker before: no answer comes for what was asked then
}

// maxSlots is how many entries of a trigger's log are looked at: all it keeps.
const maxSlots = 200

// planned is the key of the job that a plan schedules together with its mark,
// noted that of the mark an action leaves in the data, and childOf that of the job that it
// schedules once.
func planned(key string) string { return key + "/job" }
func noted(key string) string   { return key + "/note" }
func childOf(key string) string { return key + "/child" }

// errAsTold is what a function fails with that is made to.
var errAsTold = dispatch.Errorf(dispatch.CodeUnavailable, "as it was told to")

// sentBy is what an action says when it does something to the world outside.
func sentBy(ctx *dispatch.ActionCtx, key string) said {
	return said{Kind: saidSent, Key: key, Job: ctx.Job.ID, Attempt: ctx.Job.Attempt, Now: ctx.Now}
}

// workerFunctions are the functions above. What an action does to the world
// outside it tells.
func workerFunctions(tell func(said)) *dispatch.Registry {
	reg := dispatch.NewRegistry()
	handleSteps(reg, tell)
	handleChains(reg)
	handleGroups(reg)
	handleSaves(reg, tell)
	handleAsks(reg, tell)
	for _, ref := range []*dispatch.MutationRef[string, dispatch.None]{putMark, runMark, tickMark} {
		ref.Handle(reg, func(ctx *dispatch.MutationCtx, key string) (dispatch.None, error) {
			return dispatch.None{}, leaveMark(ctx, key)
		})
	}
	planMark.Handle(reg, func(ctx *dispatch.MutationCtx, key string) (storage.JobID, error) {
		if err := leaveMark(ctx, key); err != nil {
			return "", err
		}
		return ctx.Scheduler.RunAfter(200*time.Millisecond, runMark.With(planned(key)))
	})
	flakyMark.Handle(reg, func(ctx *dispatch.MutationCtx, key string) (dispatch.None, error) {
		err := leaveMark(ctx, key)
		if ctx.Job.Attempt <= 2 {
			err = errAsTold
		}
		return dispatch.None{}, err
	})
	failMark.Handle(reg, func(ctx *dispatch.MutationCtx, key string) (dispatch.None, error) {
		if err := leaveMark(ctx, key); err != nil {
			return dispatch.None{}, err
		}
		return dispatch.None{}, errAsTold
	})
	sendMark.Handle(reg, func(ctx *dispatch.ActionCtx, key string) (dispatch.None, error) {
		tell(sentBy(ctx, key))
		if _, err := ctx.Scheduler.RunAfter(0, runMark.With(childOf(key)), dispatch.Once("child")); err != nil {
			return dispatch.None{}, err
		}
		return putMark.Run(ctx, noted(key))
	})
	sendOnce.Handle(reg, func(ctx *dispatch.ActionCtx, key string) (dispatch.None, error) {
		tell(sentBy(ctx, key))
		return dispatch.None{}, nil
	})
	viewMarks.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) (appView, error) { return viewOf(ctx.DB) })
	return reg
}

func leaveMark(ctx *dispatch.MutationCtx, key string) error { return leaveMarkOf(ctx, mark{Key: key}) }

// leaveMarkOf completes the mark with what is known of the run, and leaves it.
func leaveMarkOf(ctx *dispatch.MutationCtx, m mark) error {
	m.Job, m.Attempt, m.Due, m.At = ctx.Job.ID, ctx.Job.Attempt, ctx.Job.ScheduledFor, ctx.Now
	m.Trigger, m.Slot = ctx.Tick.Trigger, ctx.Tick.Slot
	if _, err := marks.Insert(ctx.DB, m); err != nil {
		return err
	}
	doc, ok, err := markSums.Query(ctx.DB).First()
	switch {
	case err != nil:
		return err
	case ok:
		return markSums.Patch(ctx.DB, doc.ID, func(s *markSum) error { s.Count++; return nil })
	}
	_, err = markSums.Insert(ctx.DB, markSum{1})
	return err
}

func viewOf(db storage.Reader) (v appView, err error) {
	for doc, err := range marks.Query(db).All() {
		if err != nil {
			return v, err
		}
		v.Marks = append(v.Marks, doc.Value)
	}
	sum, _, err := markSums.Query(db).First()
	if err != nil {
		return v, err
	}
	v.Sum = sum.Value.Count
	for job, err := range db.System().All(storage.JobFilter{}) {
		if err != nil {
			return v, err
		}
		if (job.Function == longMark.Path() || job.Function == askMark.Path()) && job.State == storage.StateSuccess {
			if job, _, err = db.System().Get(job.ID); err != nil { // with its result
				return v, err
			}
		}
		v.Jobs = append(v.Jobs, job)
	}
	if v.Triggers, err = db.System().Triggers(); err != nil {
		return v, err
	}
	if v.Pauses, err = db.System().Pauses(); err != nil {
		return v, err
	}
	if v.Groups, err = db.System().Groups(storage.GroupFilter{Limit: 1000}); err != nil {
		return v, err
	}
	if v.Limits, err = db.System().PoolLimits(); err != nil {
		return v, err
	}
	v.Slots = map[string][]storage.Slot{}
	for _, t := range v.Triggers {
		if v.Slots[t.Name], err = db.System().Slots(t.Name, maxSlots); err != nil {
			return v, err
		}
	}
	return v, nil
}
