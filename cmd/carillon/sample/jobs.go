package sample

import (
	"encoding/json"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// maxListed bounds the rows of one jobs:list. More are refused and not cut
// off: a caller that counts rows must not be told too few.
const maxListed = 10_000

// JobRow is one row of the system table as callers see it. An instant that has
// not come is null.
type JobRow struct {
	ID           storage.JobID     `json:"id"`
	Function     string            `json:"function"`
	Args         json.RawMessage   `json:"args"`
	ScheduledFor time.Time         `json:"scheduledFor"`
	EnqueuedAt   time.Time         `json:"enqueuedAt"`
	Attempts     int               `json:"attempts"`
	State        storage.State     `json:"state"`
	StartedAt    *time.Time        `json:"startedAt"`
	CompletedAt  *time.Time        `json:"completedAt"`
	Error        *storage.JobError `json:"error"`
	Progress     *storage.Progress `json:"progress,omitempty"`   // of the attempt that runs
	Superseded   bool              `json:"superseded,omitempty"` // its id was chosen again, and means the later job
}

type (
	listJobs struct {
		State    storage.State `json:"state"`
		Function string        `json:"function"` // "" means every function
		Limit    int           `json:"limit"`
	}
	jobRef struct {
		ID storage.JobID `json:"id"`
	}
	canceledJob struct {
		Canceled bool          `json:"canceled"`
		State    storage.State `json:"state"` // the state it was found in
	}
)

var (
	jobsList   = dispatch.Query[listJobs, []JobRow]("jobs:list")
	jobsGet    = dispatch.Query[jobRef, JobRow]("jobs:get")
	jobsCancel = dispatch.Mutation[jobRef, canceledJob]("jobs:cancel")
)

func handleJobs(reg *dispatch.Registry) {
	jobsList.Handle(reg, func(ctx *dispatch.QueryCtx, args listJobs) ([]JobRow, error) {
		if err := checkCount("limit", args.Limit, 0, maxListed); err != nil {
			return nil, err
		}
		filter := storage.JobFilter{Function: args.Function}
		if args.State != "" {
			filter.States = []storage.State{args.State}
		}
		rows := []JobRow{}
		for job, err := range ctx.DB.System().All(filter) {
			switch {
			case err != nil:
				return nil, err
			case args.Limit > 0 && len(rows) == args.Limit:
				return rows, nil
			case len(rows) == maxListed:
				return nil, dispatch.Errorf(dispatch.CodeResourceExhausted, "more than %d jobs: ask with a state, a function or a limit", maxListed)
			}
			rows = append(rows, rowOf(&job))
		}
		return rows, nil
	})

	jobsGet.Handle(reg, func(ctx *dispatch.QueryCtx, args jobRef) (JobRow, error) {
		job, known, err := ctx.DB.System().Get(args.ID)
		if err == nil && !known {
			err = noJob(args.ID)
		}
		return rowOf(&job), err
	})

	jobsCancel.Handle(reg, func(ctx *dispatch.MutationCtx, args jobRef) (canceledJob, error) {
		answer, err := ctx.Scheduler.Cancel(args.ID)
		if err == nil && answer.Found == "" {
			err = noJob(args.ID)
		}
		return canceledJob{answer.Canceled, answer.Found}, err
	})
}

func noJob(id storage.JobID) error {
	return dispatch.Errorf(dispatch.CodeNotFound, "no job %.64q", string(id))
}

func rowOf(job *storage.Job) JobRow {
	return JobRow{
		ID: job.ID, Function: job.Function, Args: job.Args,
		ScheduledFor: job.ScheduledFor, EnqueuedAt: job.EnqueuedAt,
		Attempts: job.Attempts, State: job.State, Error: job.Error, Progress: job.Progress, Superseded: job.Superseded,
		StartedAt: instant(job.StartedAt), CompletedAt: instant(job.CompletedAt),
	}
}

// instant is t, or nil if it has not come.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
