package dispatch

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"time"

	"carillon/storage"
)

// JobRun is which job a function runs for. The zero JobRun is a call that is no
// job. A function that another one runs is part of the same job.
type JobRun struct {
	App          storage.AppID         // whose job it is
	ID           storage.JobID         // the same for every attempt, and the app's only: another app may have a job of this id
	Attempt      int                   // 1 is the first
	ScheduledFor time.Time             // the instant first asked for, whatever retries and lateness made of it
	Tags         []string              // see Tags; not to be written to
	Outcome      *storage.Outcome      // how the job has ended that this one follows (OnDone); nil: it follows none
	Group        storage.GroupID       // the group that it is a member of (InGroup); 0: of none
	GroupOutcome *storage.GroupOutcome // how the group has ended that it follows (NewGroup); nil: it follows none
	Revision     int                   // how often other arguments took the place of those of an attempt (Replace); 0: never
}

// IdempotencyKey is what to hand to another service, so that what an action asks
// of it takes effect once however often the action runs: it is the same for every
// attempt of the job, and no other job of any app of the store has it, unless an id
// is chosen again (see ID) or an app that was removed comes into being again. It is
// another one for each Revision of the job, which is another call. It has at most 170
// bytes. The id alone will not do: ticks of one slot have the same one in every app, and
// so may jobs that two apps have due at one instant.
func (j JobRun) IdempotencyKey() string {
	if j.ID == "" {
		return ""
	}
	key := string(j.App) + "/" + string(j.ID)
	if j.Revision > 0 {
		key += "/" + strconv.Itoa(j.Revision)
	}
	return key
}

// Tick is which slot of a cron trigger a function runs for, so that it can work
// out what to do. Its instants have the trigger's zone, so that the date of
// a daily slot is that of its day; compare them with Equal. The zero Tick is a run
// that is no tick.
type Tick struct {
	Trigger         string
	Slot            time.Time // the slot; zero if the trigger was run by hand
	PreviousSuccess time.Time // the latest slot whose tick had succeeded when this one was claimed; zero if none had; in a backfill the slot before
}

// QueryCtx is what a query runs with. It is good until the handler returns.
type QueryCtx struct {
	context.Context
	DB   storage.Reader // one snapshot, that of the mutation if the query runs inside one
	Auth Auth
	Now  time.Time // the instant the run began
	Log  *slog.Logger
	run  *frame
}

// MutationCtx is what a mutation runs with: one transaction, in which all that
// is written and scheduled is committed together or not at all. It is good
// until the handler returns, and for one goroutine at a time.
type MutationCtx struct {
	context.Context
	DB        storage.Writer
	Auth      Auth
	Scheduler Scheduler    // part of the transaction: sees its own jobs, and rolls back with it
	Now       time.Time    // the instant the run began
	Log       *slog.Logger // what a job logs is kept with it, too: the last storage.MaxLogLines of an attempt
	Job       JobRun
	Tick      Tick
	run       *frame
}

// ActionCtx is what an action runs with. It has no DB: it reaches data through
// queries and mutations, each of which is its own transaction. It is good until
// the handler returns, from any number of goroutines.
type ActionCtx struct {
	context.Context
	Auth      Auth
	Scheduler Scheduler    // each call is its own transaction, durable when it returns
	Now       time.Time    // the instant the run began
	Log       *slog.Logger // as that of a MutationCtx
	Job       JobRun
	Tick      Tick
	run       *frame
}

// QueryRunner can run a query: a Caller, or the context of any function.
type QueryRunner interface {
	runQuery(path string, args json.RawMessage) (json.RawMessage, error)
}

// MutationRunner can run a mutation: a Caller, or the context of a mutation or an action.
type MutationRunner interface {
	runMutation(path string, args json.RawMessage) (json.RawMessage, error)
}

// ActionRunner can run an action: a Caller, or the context of an action.
type ActionRunner interface {
	runAction(path string, args json.RawMessage) (json.RawMessage, error)
}

var (
	_ QueryRunner    = (*QueryCtx)(nil)
	_ QueryRunner    = (*MutationCtx)(nil)
	_ QueryRunner    = (*ActionCtx)(nil)
	_ QueryRunner    = Caller{}
	_ MutationRunner = (*MutationCtx)(nil)
	_ MutationRunner = (*ActionCtx)(nil)
	_ MutationRunner = Caller{}
	_ ActionRunner   = (*ActionCtx)(nil)
	_ ActionRunner   = Caller{}
)

func (c *QueryCtx) runQuery(path string, args json.RawMessage) (json.RawMessage, error) {
	return c.run.nestQuery(c.Context, path, args)
}

func (c *MutationCtx) runQuery(path string, args json.RawMessage) (json.RawMessage, error) {
	return c.run.nestQuery(c.Context, path, args)
}

func (c *MutationCtx) runMutation(path string, args json.RawMessage) (json.RawMessage, error) {
	return c.run.nestMutation(c.Context, path, args)
}

func (c *ActionCtx) runQuery(path string, args json.RawMessage) (json.RawMessage, error) {
	return c.run.invoke(c.Context, KindQuery, path, args)
}

func (c *ActionCtx) runMutation(path string, args json.RawMessage) (json.RawMessage, error) {
	return c.run.invoke(c.Context, KindMutation, path, args)
}

func (c *ActionCtx) runAction(path string, args json.RawMessage) (json.RawMessage, error) {
	return c.run.invoke(c.Context, KindAction, path, args)
}

func (c *QueryCtx) within() *context.Context    { return &c.Context }
func (c *MutationCtx) within() *context.Context { return &c.Context }
func (c *ActionCtx) within() *context.Context   { return &c.Context }
