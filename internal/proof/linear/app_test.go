package linear_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// linearDoc is a document of the app whose histories are checked.
type linearDoc struct {
	Key   int `json:"key"`
	Value int `json:"value"`
}

// linearOp is the argument of linearWrite.
type linearOp struct {
	Steps []linearStep
	Fail  bool // do it all, and then fail
}

var (
	linearTable = storage.NewTable[linearDoc]("linear", storage.Index("by_key", "key"))

	linearWrite = dispatch.Mutation[linearOp, []linearSeen]("linear:write")
	linearRead  = dispatch.Query[[]linearStep, []linearSeen]("linear:read")
	linearNear  = dispatch.InternalMutation[int, dispatch.None]("linear:near")
	linearFar   = dispatch.InternalMutation[int, dispatch.None]("linear:far")
)

// linearFunctions binds what the histories are made of. early is told of jobs that run before
// they are due, ran of near jobs that run.
func linearFunctions(early func(format string, args ...any), ran func(linearRan)) *dispatch.Registry {
	reg := dispatch.NewRegistry()
	linearWrite.Handle(reg, func(ctx *dispatch.MutationCtx, op linearOp) (seen []linearSeen, err error) {
		for _, do := range op.Steps {
			one, err := linearMutate(ctx, do)
			if err != nil {
				return nil, err
			}
			seen = append(seen, one)
		}
		if op.Fail {
			return nil, dispatch.Errorf(dispatch.CodeFailedPrecondition, "as it was asked to")
		}
		return seen, nil
	})
	linearRead.Handle(reg, func(ctx *dispatch.QueryCtx, steps []linearStep) (seen []linearSeen, err error) {
		for _, do := range steps {
			one, err := linearQuery(ctx.DB, do)
			if err != nil {
				return nil, err
			}
			seen = append(seen, one)
		}
		return seen, nil
	})
	linearNear.Handle(reg, func(ctx *dispatch.MutationCtx, key int) (dispatch.None, error) {
		if now := time.Now(); now.Before(ctx.Job.ScheduledFor) {
			early("job %s of %v ran at %v", ctx.Job.ID, ctx.Job.ScheduledFor, now)
		}
		ran(linearRan{ctx.Job.App, key})
		_, err := linearAdd(ctx.DB, key%linearDocs, 1)
		return dispatch.None{}, err
	})
	linearFar.Handle(reg, func(ctx *dispatch.MutationCtx, _ int) (dispatch.None, error) {
		early("job %s ran, hours before it is due", ctx.Job.ID)
		return dispatch.None{}, nil
	})
	return reg
}

// linearMutate does one step within a mutation.
func linearMutate(ctx *dispatch.MutationCtx, do linearStep) (linearSeen, error) {
	switch do.Do {
	case "put":
		doc, known, err := linearFind(ctx.DB, do.Key)
		if err == nil && known {
			return linearSeen{}, linearTable.Replace(ctx.DB, doc.ID, linearDoc{do.Key, do.Value})
		}
		if err == nil {
			_, err = linearTable.Insert(ctx.DB, linearDoc{do.Key, do.Value})
		}
		return linearSeen{}, err
	case "add":
		value, err := linearAdd(ctx.DB, do.Key, do.Value)
		return linearSeen{Value: value}, err
	case "schedule", "cancel":
		return linearSchedule(ctx.Scheduler, do)
	}
	return linearQuery(ctx.DB, do)
}

// linearSchedule does one step with a scheduler: a mutation's or the host's.
func linearSchedule(s dispatch.Scheduler, do linearStep) (linearSeen, error) {
	switch do.Do {
	case "schedule":
		delay, call := 24*time.Hour, linearFar.With(do.Key)
		if do.Near {
			delay, call = time.Duration(do.Value)*time.Millisecond, linearNear.With(do.Key)
		}
		// A commit that is made to fail under its feet costs a job an attempt.
		_, err := s.RunAfter(delay, call, dispatch.ID(do.job()), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 101}))
		if errors.Is(err, storage.ErrExists) {
			return linearSeen{State: "held"}, nil
		}
		return linearSeen{}, err
	case "cancel":
		answer, err := s.Cancel(do.job())
		return linearSeen{State: linearLetter(do.Near, answer.Found)}, err
	case "list":
		page, err := s.List(linearOpen)
		return linearSeen{State: linearIDs(page.Jobs)}, err
	default: // "job"
		job, _, err := s.Get(do.job())
		return linearSeen{State: linearLetter(do.Near, job.State)}, err
	}
}

// linearQuery does one step on a snapshot.
func linearQuery(db storage.Reader, do linearStep) (linearSeen, error) {
	switch do.Do {
	case "get":
		doc, _, err := linearFind(db, do.Key)
		return linearSeen{Value: doc.Value.Value}, err
	case "list":
		page, err := db.System().List(linearOpen)
		return linearSeen{State: linearIDs(page.Jobs)}, err
	case "look":
		all, err := linearLook(db)
		return linearSeen{All: all}, err
	default: // "job"
		job, _, err := db.System().Get(do.job())
		return linearSeen{State: linearLetter(do.Near, job.State)}, err
	}
}

// linearLook reads all that the app has.
func linearLook(db storage.Reader) (all linearState, err error) {
	for doc, err := range linearTable.Query(db).All() {
		if err != nil {
			return all, err
		}
		all.Docs[doc.Value.Key] = doc.Value.Value
	}
	for i := range linearFars {
		job, _, err := db.System().Get(linearStep{Key: i}.job())
		if err != nil {
			return all, err
		}
		all.Far = all.Far.with(i, linearLetter(false, job.State)[0])
	}
	for job, err := range db.System().All(storage.JobFilter{Function: linearNear.Path(), Limit: 1000}) {
		if err != nil {
			return all, err
		}
		key, err := strconv.Atoi(string(job.Args))
		if err != nil {
			return all, err
		}
		all.Near = all.Near.with(key, linearLetter(true, job.State)[0])
	}
	return all, nil
}

func linearFind(db storage.Reader, key int) (storage.Doc[linearDoc], bool, error) {
	return linearTable.Query(db).By("by_key").Eq(key).First()
}

func linearAdd(db storage.Writer, key, n int) (int, error) {
	doc, known, err := linearFind(db, key)
	switch {
	case err != nil:
		return 0, err
	case !known:
		_, err = linearTable.Insert(db, linearDoc{key, n})
		return n, err
	}
	n += doc.Value.Value
	return n, linearTable.Replace(db, doc.ID, linearDoc{key, n})
}

// linearOpen is the jobs that have not ended. There are fewer than a page has rows.
var linearOpen = storage.JobFilter{States: []storage.State{storage.StatePending, storage.StateRunning}, Limit: 1000}

func linearIDs(jobs []storage.Job) string {
	ids := make([]string, len(jobs))
	for i := range jobs {
		ids[i] = string(jobs[i].ID)
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

// linearLetter is the letter of a job's state. A far job is never running, and
// none fails: those letters are in no history that the model explains.
func linearLetter(near bool, state storage.State) string {
	switch {
	case state == "":
		return "-"
	case state == storage.StatePending, state == storage.StateRunning && near:
		return "o"
	case state == storage.StateRunning:
		return "r"
	}
	return string(state[:1])
}
