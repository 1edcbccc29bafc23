package dispatch_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

type note struct {
	Text string `json:"text"`
}

// box is one app over a real store, with functions that write notes and schedule.
type box struct {
	tb    testing.TB
	app   *storage.App
	reg   *dispatch.Registry
	notes *storage.Table[note]
	noop  *dispatch.MutationRef[none, none]
}

func mustBox(tb testing.TB) *box {
	tb.Helper()
	store, err := storage.Open(tb.TempDir(), storage.Options{Volumes: 1, NoSync: true})
	mustDo(tb, err)
	tb.Cleanup(func() {
		if err := errors.Join(store.Check(), store.Close()); err != nil {
			tb.Error(err)
		}
	})
	app, err := store.App("acme")
	mustDo(tb, err)
	b := &box{
		tb: tb, app: app, reg: dispatch.NewRegistry(), notes: storage.NewTable[note]("notes"),
		noop: dispatch.InternalMutation[none, none]("box:noop"),
	}
	b.noop.Handle(b.reg, func(*dispatch.MutationCtx, none) (none, error) { return none{}, nil })
	return b
}

// step binds a handler that has neither arguments nor result to an internal mutation.
func (b *box) step(path string, handler func(ctx *dispatch.MutationCtx) error) *dispatch.MutationRef[none, none] {
	ref := dispatch.InternalMutation[none, none](path)
	ref.Handle(b.reg, func(ctx *dispatch.MutationCtx, _ none) (none, error) { return none{}, handler(ctx) })
	return ref
}

// write inserts a note and schedules a job, both named.
func (b *box) write(ctx *dispatch.MutationCtx, name storage.JobID) error {
	_, err := b.notes.Insert(ctx.DB, note{Text: string(name)})
	if err == nil {
		_, err = ctx.Scheduler.RunAfter(time.Hour, b.noop.With(none{}), dispatch.ID(name))
	}
	return err
}

// run runs the mutation in a transaction of its own, which is committed if it succeeds.
func (b *box) run(path string) error {
	b.tb.Helper()
	return b.runWith(path, "")
}

// runWith is run with arguments.
func (b *box) runWith(path, args string) error {
	b.tb.Helper()
	fn, ok := b.reg.Lookup(path)
	if !ok {
		b.tb.Fatalf("no function %s", path)
	}
	tx := b.app.Begin(noon)
	_, err := fn.RunMutation(dispatch.Env{
		App: "acme", Registry: b.reg, Identity: &dispatch.Identity{Subject: "ada"}, Now: noon, Job: dispatch.JobRun{ID: "j"},
	}, tx.JobWriter(), json.RawMessage(args))
	done := make(chan error, 1)
	if err != nil {
		tx.Rollback(func(err error) { done <- err })
	} else {
		mustDo(b.tb, tx.Commit(func(err error) { done <- err }))
	}
	mustDo(b.tb, <-done)
	return err
}

// wantKept demands that exactly the named notes and jobs are stored.
func (b *box) wantKept(names ...string) {
	b.tb.Helper()
	tx := b.app.Begin(noon)
	defer tx.Rollback(nil)
	var notes, jobs []string
	for doc, err := range b.notes.Query(tx.Writer()).All() {
		mustDo(b.tb, err)
		notes = append(notes, doc.Value.Text)
	}
	for job, err := range tx.Writer().System().All(storage.JobFilter{}) {
		mustDo(b.tb, err)
		jobs = append(jobs, string(job.ID))
	}
	slices.Sort(notes)
	slices.Sort(jobs)
	if !slices.Equal(notes, names) || !slices.Equal(jobs, names) {
		b.tb.Errorf("kept notes %v and jobs %v, want %v of both", notes, jobs, names)
	}
}

// D4.
func TestANestedMutationSharesTheFateOfItsTransaction(t *testing.T) {
	b := mustBox(t)
	inner := b.step("a:inner", func(ctx *dispatch.MutationCtx) error { return b.write(ctx, "inner") })
	b.step("a:good", func(ctx *dispatch.MutationCtx) error {
		if err := b.write(ctx, "outer"); err != nil {
			return err
		}
		if _, err := inner.Run(ctx, none{}); err != nil {
			return err
		}
		if _, ok, err := ctx.Scheduler.Get("inner"); !ok || err != nil {
			t.Errorf("the outer mutation sees its nested one's job: %v, %v", ok, err)
		}
		return nil
	})
	b.step("a:bad", func(ctx *dispatch.MutationCtx) error {
		if _, err := inner.Run(ctx, none{}); err != nil {
			return err
		}
		return errors.New("too late")
	})
	wantError(t, b.run("a:bad"), dispatch.CodeInternal, "internal error")
	b.wantKept()
	mustDo(t, b.run("a:good"))
	b.wantKept("inner", "outer")
}

// D4.
func TestANestedMutationThatFailsLosesItsOwnOnly(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error": func() error { return dispatch.Errorf(dispatch.CodeAborted, "no") },
		"panic": func() error { panic("no") },
	} {
		t.Run(name, func(t *testing.T) {
			b := mustBox(t)
			leaf := b.step("a:leaf", func(ctx *dispatch.MutationCtx) error { return b.write(ctx, "leaf") })
			inner := b.step("a:inner", func(ctx *dispatch.MutationCtx) error {
				if err := b.write(ctx, "inner"); err != nil {
					return err
				}
				if _, err := leaf.Run(ctx, none{}); err != nil {
					return err
				}
				if answer, err := ctx.Scheduler.Cancel("before"); !answer.Canceled || err != nil {
					t.Errorf("cancel of the outer's job: %+v, %v", answer, err)
				}
				return fail()
			})
			b.step("a:outer", func(ctx *dispatch.MutationCtx) error {
				if err := b.write(ctx, "before"); err != nil {
					return err
				}
				_, err := inner.Run(ctx, none{})
				if e := dispatch.AsError(err); e == nil || e.Path != "a:inner" {
					t.Errorf("the nested run ended with %v", err)
				}
				return b.write(ctx, "outer")
			})
			mustDo(t, b.run("a:outer"))
			b.wantKept("before", "outer")
		})
	}
}

func TestANestedMutationIsRefusedWhatItsCallerHolds(t *testing.T) {
	b := mustBox(t)
	inner := b.step("a:inner", func(ctx *dispatch.MutationCtx) error { return b.write(ctx, "same") })
	b.step("a:outer", func(ctx *dispatch.MutationCtx) error {
		if err := b.write(ctx, "same"); err != nil {
			return err
		}
		_, err := inner.Run(ctx, none{})
		if !errors.Is(err, storage.ErrExists) {
			t.Errorf("a second job of one id: %v", err)
		}
		return nil
	})
	mustDo(t, b.run("a:outer"))
	b.wantKept("same")
}

func TestNestedRunsAreTheSameRun(t *testing.T) {
	b := mustBox(t)
	read := dispatch.InternalQuery[none, []string]("a:read")
	read.Handle(b.reg, func(ctx *dispatch.QueryCtx, _ none) (texts []string, err error) {
		if _, writes := ctx.DB.(storage.Writer); writes {
			t.Error("a query inside a mutation has been given a Writer")
		}
		if id, _ := ctx.Auth.Identity(); id.Subject != "ada" || ctx.Now != noon {
			t.Errorf("nested query runs as %v at %v", id, ctx.Now)
		}
		for doc, err := range b.notes.Query(ctx.DB).All() {
			if err != nil {
				return nil, err
			}
			texts = append(texts, doc.Value.Text)
		}
		return texts, nil
	})
	inner := b.step("a:inner", func(ctx *dispatch.MutationCtx) error {
		if id, _ := ctx.Auth.Identity(); id.Subject != "ada" || ctx.Now != noon || ctx.Job.ID != "j" {
			t.Errorf("nested mutation runs as %v at %v for job %s", id, ctx.Now, ctx.Job.ID)
		}
		if err := b.write(ctx, "inner"); err != nil {
			return err
		}
		if got, err := read.Run(ctx, none{}); err != nil || !slices.Equal(got, []string{"outer", "inner"}) {
			t.Errorf("the query sees %v, %v", got, err)
		}
		_, err := dispatch.Query[none, none]("a:inner").Run(ctx, none{})
		wantError(t, err, dispatch.CodeInvalidArgument, `function "a:inner" is of kind mutation, not query`)
		return nil
	})
	b.step("a:outer", func(ctx *dispatch.MutationCtx) error {
		if err := b.write(ctx, "outer"); err != nil {
			return err
		}
		_, err := inner.Run(ctx, none{})
		return err
	})
	mustDo(t, b.run("a:outer"))
}

func TestTheOuterTransactionIsBusyWhileANestedOneIsOpen(t *testing.T) {
	b := mustBox(t)
	var outer *dispatch.MutationCtx
	inner := b.step("a:inner", func(ctx *dispatch.MutationCtx) error {
		_, err := b.notes.Insert(outer.DB, note{})
		wantError(t, dispatch.AsError(err), dispatch.CodeFailedPrecondition, dispatch.AsError(err).Message)
		_, err = b.noop.Run(outer, none{})
		if !errors.Is(err, storage.ErrReentrant) {
			t.Errorf("a run in the outer transaction: %v", err)
		}
		return b.write(ctx, "inner")
	})
	b.step("a:outer", func(ctx *dispatch.MutationCtx) error {
		outer = ctx
		_, err := inner.Run(ctx, none{})
		return err
	})
	mustDo(t, b.run("a:outer"))
	b.wantKept("inner")
}

func TestNestedMutationsAreBounded(t *testing.T) {
	b := mustBox(t)
	deep := dispatch.Mutation[int, int]("a:deep")
	deep.Handle(b.reg, func(ctx *dispatch.MutationCtx, n int) (int, error) {
		if n == 0 {
			return 0, nil
		}
		below, err := deep.Run(ctx, n-1)
		return below + 1, err
	})
	fn, _ := b.reg.Lookup("a:deep")
	tx := b.app.Begin(noon)
	defer tx.Rollback(nil)
	env := dispatch.Env{Registry: b.reg}
	out, err := fn.RunMutation(env, tx.JobWriter(), json.RawMessage(fmt.Sprint(dispatch.MaxNesting)))
	if string(out) != "64" || err != nil {
		t.Errorf("nested 64 deep: %s, %v", out, err)
	}
	_, err = fn.RunMutation(env, tx.JobWriter(), json.RawMessage(fmt.Sprint(dispatch.MaxNesting+1)))
	if e := dispatch.AsError(err); e == nil || e.Code != dispatch.CodeResourceExhausted {
		t.Errorf("nested 65 deep: %v", err)
	}
}

func TestTheSchedulerIsPartOfTheTransaction(t *testing.T) {
	b := mustBox(t)
	var kept *dispatch.MutationCtx
	b.step("a:outer", func(ctx *dispatch.MutationCtx) error {
		kept = ctx
		id, err := ctx.Scheduler.RunAt(noon.Add(time.Minute), b.noop.With(none{}), dispatch.AsCaller())
		mustDo(t, err)
		job, ok, err := ctx.Scheduler.Get(id)
		if !ok || err != nil || !job.Due.Equal(noon.Add(time.Minute)) || string(job.Claims) != `{"subject":"ada"}` {
			t.Errorf("own job %+v, %v, %v", job, ok, err)
		}
		page, err := ctx.Scheduler.List(storage.JobFilter{Function: b.noop.Path()})
		if len(page.Jobs) != 1 || err != nil {
			t.Errorf("listed %+v, %v", page, err)
		}
		answer, err := ctx.Scheduler.Cancel(id)
		if want := (storage.Cancellation{Canceled: true, Found: storage.StatePending}); answer != want || err != nil {
			t.Errorf("cancel %+v, %v", answer, err)
		}
		if answer, err := ctx.Scheduler.Cancel("unknown"); answer != (storage.Cancellation{}) || err != nil {
			t.Errorf("cancel of an unknown job %+v, %v", answer, err)
		}
		_, err = ctx.Scheduler.RunAfter(-1, b.noop.With(none{}))
		wantError(t, err, dispatch.CodeInvalidArgument, "delay -1ns is negative")
		_, err = ctx.Scheduler.List(storage.JobFilter{Limit: -1})
		if e := dispatch.AsError(err); e == nil || e.Code != dispatch.CodeInvalidArgument {
			t.Errorf("a bad filter: %v", err)
		}
		return errors.New("roll back")
	})
	if err := b.run("a:outer"); err == nil {
		t.Error("the mutation succeeded")
	}
	b.wantKept()
	_, err := kept.Scheduler.RunAfter(0, b.noop.With(none{}))
	wantError(t, err, dispatch.CodeAborted, "transaction is over")
	_, err = kept.Scheduler.Cancel("x")
	wantError(t, err, dispatch.CodeAborted, "transaction is over")
	_, _, err = kept.Scheduler.Get("x")
	wantError(t, err, dispatch.CodeAborted, "transaction is over")
	_, err = kept.Scheduler.List(storage.JobFilter{})
	wantError(t, err, dispatch.CodeAborted, "transaction is over")
}

func TestStorageErrorsKeepTheirTextForTheCaller(t *testing.T) {
	b := mustBox(t)
	b.step("a:outer", func(ctx *dispatch.MutationCtx) error {
		id, err := b.notes.Insert(ctx.DB, note{})
		if err != nil {
			return err
		}
		if err := b.notes.Delete(ctx.DB, id); err != nil {
			return err
		}
		_, err = b.notes.Get(ctx.DB, id)
		return err
	})
	err := b.run("a:outer")
	if e := dispatch.AsError(err); e == nil || e.Code != dispatch.CodeNotFound || !strings.Contains(e.Message, "notes") {
		t.Errorf("a document that is gone: %v", err)
	}
}

func TestTheEngineMayGiveItsClock(t *testing.T) {
	b := mustBox(t)
	later := noon.Add(3 * time.Second)
	inner := b.step("a:inner", func(ctx *dispatch.MutationCtx) error { return b.write(ctx, "inner") })
	b.step("a:outer", func(ctx *dispatch.MutationCtx) error {
		if err := b.write(ctx, "outer"); err != nil {
			return err
		}
		_, err := inner.Run(ctx, none{})
		return err
	})
	tx := b.app.Begin(noon)
	defer tx.Rollback(nil)
	env := dispatch.Env{Registry: b.reg, Now: noon, Clock: func() (time.Time, storage.EraID) { return later, 0 }}
	fn, _ := b.reg.Lookup("a:outer")
	_, err := fn.RunMutation(env, tx.JobWriter(), nil)
	mustDo(t, err)
	job, _, err := tx.Writer().System().Get("inner")
	mustDo(t, err)
	if !job.Due.Equal(later.Add(time.Hour)) || !job.EnqueuedAt.Equal(later) {
		t.Errorf("due %v, enqueued at %v, want both by the engine's clock", job.Due, job.EnqueuedAt)
	}
}
