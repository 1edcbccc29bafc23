package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// Carillon is the engine, in this process and as it is by default.
func Carillon() System {
	s := carillon(nil)
	s.Absent = map[string]string{"W11": "its log is in its directory, and no other node takes over"}
	return s
}

// carillon is the engine with its logs there; nil: in its directories.
func carillon(logs *scratches) System {
	s := System{Name: "carillon", logs: logs}
	s.Open = func(ctx context.Context, dir string, work Work) (Queue, error) {
		opts := actors.Options{}
		if work.Store {
			// Its clock is behind, so that what is due now is not due yet.
			opts.Testing.Clock = func() time.Time { return time.Now().Add(-time.Hour) }
		}
		return s.engine(ctx, dir, work, opts)
	}
	return s
}

// engine opens the engine, of a system that is one.
func (s *System) engine(ctx context.Context, dir string, work Work, opts actors.Options) (*engine, error) {
	if err := s.logs.node(ctx, dir, "bench", &opts); err != nil {
		return nil, err
	}
	return openEngineIn(ctx, dir, work, opts)
}

// Doc is a document of the workloads.
type Doc struct {
	N    int    `json:"n"`
	Text string `json:"text"`
}

type target struct {
	ID storage.ID[Doc] `json:"id"`
}

var (
	docs = storage.NewTable[Doc]("docs")

	noise  = dispatch.InternalMutation[Payload, dispatch.None]("bench:noise")
	noop   = dispatch.InternalMutation[Payload, dispatch.None]("bench:noop")
	send   = dispatch.InternalAction[Payload, dispatch.None]("bench:send")
	fill   = dispatch.InternalMutation[int, []storage.ID[Doc]]("bench:fill")
	update = dispatch.Mutation[target, int]("bench:update")
	act    = dispatch.Mutation[target, int]("bench:act")
)

// bump reads a document and writes it.
func bump(ctx *dispatch.MutationCtx, id storage.ID[Doc]) (Doc, error) {
	doc, err := docs.Get(ctx.DB, id)
	if err != nil {
		return doc, err
	}
	doc.N++
	return doc, docs.Replace(ctx.DB, id, doc)
}

func functions(started func(due time.Time)) *dispatch.Registry {
	reg := dispatch.NewRegistry()
	noop.Handle(reg, func(ctx *dispatch.MutationCtx, _ Payload) (dispatch.None, error) {
		started(ctx.Job.ScheduledFor)
		return dispatch.None{}, nil
	})
	large.Handle(reg, func(ctx *dispatch.MutationCtx, _ Payload) (string, error) {
		started(ctx.Job.ScheduledFor)
		return largeResult, nil
	})
	noise.Handle(reg, func(*dispatch.MutationCtx, Payload) (dispatch.None, error) { return dispatch.None{}, nil })
	send.Handle(reg, func(ctx *dispatch.ActionCtx, _ Payload) (dispatch.None, error) {
		started(ctx.Job.ScheduledFor)
		return dispatch.None{}, nil
	})
	fill.Handle(reg, func(ctx *dispatch.MutationCtx, n int) ([]storage.ID[Doc], error) {
		ids := make([]storage.ID[Doc], n)
		for i := range ids {
			var err error
			if ids[i], err = docs.Insert(ctx.DB, Doc{Text: "what a note of a few words has"}); err != nil {
				return nil, err
			}
		}
		return ids, nil
	})
	update.Handle(reg, func(ctx *dispatch.MutationCtx, t target) (int, error) {
		doc, err := bump(ctx, t.ID)
		return doc.N, err
	})
	act.Handle(reg, func(ctx *dispatch.MutationCtx, t target) (int, error) {
		doc, err := bump(ctx, t.ID)
		if err != nil {
			return 0, err
		}
		_, err = ctx.Scheduler.RunAfter(time.Hour, noop.With(Payload{doc.N, string(t.ID)}))
		return doc.N, err
	})
	return reg
}

// engine is a Queue of Carillon.
type engine struct {
	*actors.Engine
	apps []*actors.App
	args [][]json.RawMessage // by app and document: what update and act are called with

	node *actors.Node // where other processes keep its log
}

var (
	_ Documents = (*engine)(nil)
	_ Keyed     = (*engine)(nil)
)

func openEngine(dir string, work Work, opts actors.Options) (*engine, error) {
	return openEngineIn(context.Background(), dir, work, opts)
}

// openEngineIn is openEngine for a log that nodes may share, which it waits for until ctx ends.
func openEngineIn(ctx context.Context, dir string, work Work, opts actors.Options) (*engine, error) {
	if opts.Functions == nil {
		opts.Functions = functions(work.Started)
	}
	opts.Logger = quiet()
	opts.Pools = []*dispatch.Pool{pool64, pool1}
	// A disk that stands still for some seconds makes a call late, and ends no run.
	opts.TurnWait, opts.MutationTimeout = time.Minute, time.Minute
	e := &engine{apps: make([]*actors.App, work.Apps)}
	if err := e.open(ctx, dir, opts); err != nil {
		return nil, err
	}
	for i := range e.apps {
		var err error
		if e.apps[i], err = e.App(storage.AppID(fmt.Sprintf("app-%05d", i))); err != nil {
			return nil, errors.Join(err, e.Close())
		}
	}
	return e, nil
}

// open opens the engine, as a node of its own if its log is elsewhere.
func (e *engine) open(ctx context.Context, dir string, opts actors.Options) (err error) {
	if opts.Log == nil {
		e.Engine, err = actors.Open(dir, opts)
		return err
	}
	if e.node, err = actors.Join(ctx, dir, opts); err != nil {
		return err
	}
	if e.Engine, err = e.node.Engine(ctx); err != nil {
		err = errors.Join(err, e.node.Close())
	}
	return err
}

// Schedule implements Queue.
func (e *engine) Schedule(ctx context.Context, job Job) error {
	_, err := e.apps[0].Scheduler(ctx).RunAt(job.Due, noop.With(job.Payload))
	return err
}

// ScheduleOnce implements Keyed.
func (e *engine) ScheduleOnce(ctx context.Context, job Job, key string) (bool, error) {
	var told storage.Told
	_, err := e.apps[0].Scheduler(ctx).RunAt(job.Due, noop.With(job.Payload), dispatch.Unique(key, dispatch.Keep()), dispatch.Tell(&told))
	return told.Kept, err
}

// Batch implements Queue.
func (e *engine) Batch(ctx context.Context, jobs []Job) error {
	return e.batch(ctx, 0, noop.With, jobs)
}

// batch stores jobs of a call in an app.
func (e *engine) batch(ctx context.Context, app int, call func(Payload) dispatch.Call, jobs []Job, opts ...dispatch.RunOption) error {
	calls := make([]dispatch.Scheduled, len(jobs))
	for i, job := range jobs {
		calls[i] = dispatch.At(job.Due, call(job.Payload), opts...)
	}
	_, err := e.apps[app].Scheduler(ctx).RunMany(calls)
	return err
}

// Drained implements Queue. What it reads is committed.
func (e *engine) Drained(ctx context.Context) error {
	unfinished := storage.JobFilter{States: []storage.State{storage.StatePending, storage.StateRunning}, Limit: 1}
	for {
		page, err := e.apps[0].Scheduler(ctx).List(unfinished)
		if err != nil {
			return err
		}
		if len(page.Jobs) == 0 || page.Jobs[0].Due.After(time.Now()) {
			return nil
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

// Fill implements Documents.
func (e *engine) Fill(ctx context.Context, documents int) error {
	e.args = make([][]json.RawMessage, len(e.apps))
	for i, app := range e.apps {
		ids, err := fill.Run(app.As(ctx, nil), documents)
		if err != nil {
			return err
		}
		for _, id := range ids {
			args, err := json.Marshal(target{id})
			if err != nil {
				return err
			}
			e.args[i] = append(e.args[i], args)
		}
	}
	return nil
}

// Update implements Documents, by the path of a client's request.
func (e *engine) Update(ctx context.Context, tenant, document int) error {
	_, err := e.apps[tenant].Call(ctx, update.Path(), e.args[tenant][document], nil)
	return err
}

// UpdateAndSchedule implements Documents, by the path of a client's request.
func (e *engine) UpdateAndSchedule(ctx context.Context, tenant, document int) error {
	_, err := e.apps[tenant].Call(ctx, act.Path(), e.args[tenant][document], nil)
	return err
}

// Usage implements Queue.
func (e *engine) Usage() Usage {
	u := Usage{Flushes: e.Stats().Commits}
	if e.node != nil {
		u.RSS = -1
	}
	return u
}

// closeTime bounds how long jobs that run have to end when the engine is closed.
const closeTime = 10 * time.Second

// Close implements Queue.
func (e *engine) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	err := e.Engine.Close(ctx)
	if e.node != nil {
		err = errors.Join(err, e.node.Close())
	}
	return err
}
