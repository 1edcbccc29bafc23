package isolation_test

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"carillon/dispatch"
	"carillon/internal/proof"
	"carillon/storage"
)

// isoNote is the one document of the isolation tests. It says whose it is, so
// that one that has strayed is known.
type isoNote struct {
	App  storage.AppID `json:"app"`
	Name string        `json:"name"`
}

// isoPage is a page of an app's notes.
type isoPage struct {
	Notes []isoNote `json:"notes"`
	Next  string    `json:"next"`
}

// isoLimit bounds arguments and results, isoMaxJobs the jobs of an app, and
// isoDeadline what loops without end.
const (
	isoLimit    = 64 << 10
	isoMaxJobs  = storage.MaxTriggers + 100
	isoDeadline = 200 * time.Millisecond
)

var (
	isoNotes   = storage.NewTable[isoNote]("notes", storage.Index("by_name", "name"))
	isoAdd     = dispatch.Mutation[isoNote, isoNone]("iso:add")
	isoFind    = dispatch.Query[string, int]("iso:find")
	isoList    = dispatch.Query[string, isoPage]("iso:list")
	isoNothing = dispatch.Mutation[isoNone, isoNone]("iso:nothing")
	isoFails   = dispatch.Mutation[isoNone, isoNone]("iso:fails")
	isoHangs   = dispatch.Action[isoNone, isoNone]("iso:hangs", dispatch.Deadline(time.Hour))
	// What an app should not have.
	isoPanics       = dispatch.Mutation[isoNote, isoNone]("iso:panics")
	isoExits        = dispatch.Mutation[isoNote, isoNone]("iso:exits")
	isoExitsAct     = dispatch.Action[isoNote, isoNone]("iso:exitsAct")
	isoLoops        = dispatch.Mutation[isoNote, isoNone]("iso:loops", dispatch.Deadline(isoDeadline))
	isoLoopsQuery   = dispatch.Query[isoNote, isoNone]("iso:loopsQuery", dispatch.Deadline(isoDeadline))
	isoLoopsAct     = dispatch.Action[isoNote, isoNone]("iso:loopsAct", dispatch.Deadline(isoDeadline))
	isoHuge         = dispatch.Mutation[isoNote, string]("iso:huge")
	isoPassesOn     = dispatch.Mutation[isoNote, dispatch.None]("iso:passesOn")
	isoHugeQuery    = dispatch.Query[isoNote, string]("iso:hugeQuery")
	isoLeaves       = dispatch.Mutation[isoNote, isoNone]("iso:leaves")
	isoLeavesAct    = dispatch.Action[isoNote, isoNone]("iso:leavesAct")
	isoManyJobs     = dispatch.Mutation[int, isoNone]("iso:manyJobs", dispatch.Deadline(time.Minute))
	isoManyTriggers = dispatch.Mutation[int, isoNone]("iso:manyTriggers", dispatch.Deadline(time.Minute))
)

// isoNone is short for what most functions of these tests return.
type isoNone = dispatch.None

// isoWorld is what the functions share with the test that has them run.
type isoWorld struct {
	tally   *proof.Tally
	looping atomic.Bool // endless loops go on while this is true

	mu   sync.Mutex
	late []time.Duration          // of jobs since they were last taken
	told map[string]chan struct{} // closed when the caller was answered, by the note's name
	gone sync.WaitGroup           // goroutines that handlers left behind
}

// takeLate returns how late the jobs were that ran since the last time.
func (w *isoWorld) takeLate() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	late := w.late
	w.late = nil
	return late
}

// ran notes how late a job began.
func (w *isoWorld) ran(note isoNote, job dispatch.JobRun) {
	late := time.Since(job.ScheduledFor)
	if late < 0 {
		w.tally.Early("app %s: %s began %v before its instant", note.App, note.Name, -late)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late = append(w.late, late)
}

// answered is closed once the caller who gave the note was answered.
func (w *isoWorld) answered(note isoNote) chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told[note.Name] == nil {
		w.told[note.Name] = make(chan struct{})
	}
	return w.told[note.Name]
}

// leave has a goroutine use what a handler was given, after its caller was answered.
func (w *isoWorld) leave(note isoNote, uses map[string]func() error) {
	answered := w.answered(note)
	w.gone.Go(func() {
		<-answered
		for what, use := range uses {
			if err := use(); err == nil {
				w.tally.Leaked("a handler's context is good after its end: %s", what)
			}
		}
	})
}

func isoFunctions(w *isoWorld) *dispatch.Registry {
	reg := dispatch.NewRegistry()
	isoAdd.Handle(reg, func(ctx *dispatch.MutationCtx, note isoNote) (isoNone, error) {
		if ctx.Job.ID != "" {
			w.ran(note, ctx.Job)
		}
		_, err := isoNotes.Insert(ctx.DB, note)
		return isoNone{}, err
	})
	isoFind.Handle(reg, func(ctx *dispatch.QueryCtx, name string) (n int, err error) {
		for _, err := range isoNotes.Query(ctx.DB).By("by_name").Eq(name).All() {
			if err != nil {
				return 0, err
			}
			n++
		}
		return n, nil
	})
	isoList.Handle(reg, func(ctx *dispatch.QueryCtx, cursor string) (page isoPage, err error) {
		docs, next, err := isoNotes.Query(ctx.DB).Take(500).Cursor(cursor).Page()
		for _, doc := range docs {
			page.Notes = append(page.Notes, doc.Value)
		}
		page.Next = next
		return page, err
	})

	isoNothing.Handle(reg, func(*dispatch.MutationCtx, isoNone) (isoNone, error) { return isoNone{}, nil })
	isoFails.Handle(reg, func(*dispatch.MutationCtx, isoNone) (isoNone, error) {
		return isoNone{}, dispatch.Errorf(dispatch.CodeAborted, "as asked")
	})
	isoHangs.Handle(reg, func(ctx *dispatch.ActionCtx, _ isoNone) (isoNone, error) {
		if ctx.Job.Attempt > 1 {
			return isoNone{}, nil
		}
		<-ctx.Done()
		return isoNone{}, ctx.Err()
	})

	isoPanics.Handle(reg, func(ctx *dispatch.MutationCtx, note isoNote) (isoNone, error) {
		if _, err := isoNotes.Insert(ctx.DB, note); err != nil {
			return isoNone{}, err
		}
		panic("the secret of " + string(note.App))
	})
	isoExits.Handle(reg, func(ctx *dispatch.MutationCtx, note isoNote) (isoNone, error) {
		_, _ = isoNotes.Insert(ctx.DB, note)
		runtime.Goexit()
		return isoNone{}, nil
	})
	isoExitsAct.Handle(reg, func(*dispatch.ActionCtx, isoNote) (isoNone, error) {
		runtime.Goexit()
		return isoNone{}, nil
	})
	loop := func() (isoNone, error) {
		for w.looping.Load() {
		}
		return isoNone{}, nil
	}
	isoLoops.Handle(reg, func(ctx *dispatch.MutationCtx, note isoNote) (isoNone, error) {
		if _, err := isoNotes.Insert(ctx.DB, note); err != nil {
			return isoNone{}, err
		}
		return loop()
	})
	isoLoopsQuery.Handle(reg, func(*dispatch.QueryCtx, isoNote) (isoNone, error) { return loop() })
	isoLoopsAct.Handle(reg, func(*dispatch.ActionCtx, isoNote) (isoNone, error) { return loop() })
	isoHuge.Handle(reg, func(ctx *dispatch.MutationCtx, note isoNote) (string, error) {
		_, err := isoNotes.Insert(ctx.DB, note)
		return strings.Repeat("x", 4*isoLimit), err
	})
	isoPassesOn.Handle(reg, func(ctx *dispatch.MutationCtx, note isoNote) (dispatch.None, error) {
		_, err := isoHuge.Run(ctx, note)
		return dispatch.None{}, err
	})
	isoHugeQuery.Handle(reg, func(*dispatch.QueryCtx, isoNote) (string, error) { return strings.Repeat("x", 4*isoLimit), nil })

	isoLeaves.Handle(reg, func(ctx *dispatch.MutationCtx, note isoNote) (isoNone, error) {
		w.leave(note, map[string]func() error{
			"it writes":    func() error { _, err := isoNotes.Insert(ctx.DB, note); return err },
			"it reads":     func() error { _, err := isoNotes.Query(ctx.DB).Count(); return err },
			"it schedules": func() error { _, err := ctx.Scheduler.RunAfter(0, isoAdd.With(note)); return err },
			"it runs":      func() error { _, err := isoAdd.Run(ctx, note); return err },
			"its crons":    func() error { return ctx.Scheduler.Crons().Create(isoDaily("leaked")) },
		})
		return isoNone{}, nil
	})
	isoLeavesAct.Handle(reg, func(ctx *dispatch.ActionCtx, note isoNote) (isoNone, error) {
		w.leave(note, map[string]func() error{
			"it schedules": func() error { _, err := ctx.Scheduler.RunAfter(0, isoAdd.With(note)); return err },
			"it runs":      func() error { _, err := isoAdd.Run(ctx, note); return err },
			"it queries":   func() error { _, err := isoFind.Run(ctx, note.Name); return err },
			"its context":  func() error { return context.Cause(ctx) },
		})
		return isoNone{}, nil
	})
	isoManyJobs.Handle(reg, func(ctx *dispatch.MutationCtx, n int) (isoNone, error) {
		for range n {
			if _, err := ctx.Scheduler.RunAfter(time.Hour, isoNothing.With(isoNone{})); err != nil {
				return isoNone{}, err
			}
		}
		return isoNone{}, nil
	})
	isoManyTriggers.Handle(reg, func(ctx *dispatch.MutationCtx, from int) (isoNone, error) {
		for i := range 50 {
			if err := ctx.Scheduler.Crons().Create(isoDaily(isoTrigger(from + i))); err != nil {
				return isoNone{}, err
			}
		}
		return isoNone{}, nil
	})
	return reg
}
