package actors

import (
	"context"
	"time"
)

// Inspection is what an app's SchedulerActor holds in memory at one moment: for
// operators who ask why a job does not run, and for tests.
type Inspection struct {
	// Asleep says that nothing is held for the app; it is woken in time. Of the
	// rest only AlarmAt is set then: the instant its first job is due.
	Asleep bool
	// AlarmAt is when the app's one alarm goes off, by the wall clock; the zero
	// time if it is not set, because there is nothing to wait for but messages.
	AlarmAt time.Time

	TurnHeld bool // a mutation's handler has the turn
	Queue    int  // mutations and changes that wait for the turn

	Held int // jobs that this program cannot run
	// ArgBytes is how many bytes of arguments the pending, running and held jobs have
	// together; -1 is not known until the app is next taken up.
	ArgBytes int64
	// ResultBytes is how many bytes the results have that Options.MaxResultBytes bounds.
	ResultBytes int64
	// CheckpointBytes is how many bytes the checkpoints of its jobs have.
	CheckpointBytes int64
	// IdempotencyKeys and IdempotencyBytes are how many idempotency keys are kept, and how many
	// bytes those are that storage.MaxIdempotencyBytes bounds.
	IdempotencyKeys  int
	IdempotencyBytes int64
	Claimed          int // jobs claimed whose handler has not started
	Ready            int // of those, jobs that wait for their instant or a permit
	Running          int // jobs that hold a permit
	Permits          int // permits the app has of the engine-wide limit
	Leaving          int // handlers that were given up and have Options.Grace to return
	Stuck            int // handlers that were given up and have not returned: Engine.Stuck names them

	// Overdue is how many triggers have been without a success for longer than their
	// SuccessWithin. It is told of sleeping apps, too, unless the engine has not taken
	// the app up since it was opened.
	Overdue int

	History int // finished jobs whose rows are kept
	// LeftOut is how many documents an index leaves out because they do not fit it, once
	// for each such index, 10,000 at most.
	LeftOut int
	// Clock is ClockState.Notes: what a person should look at.
	Clock []string
}

// inspect is the message that asks the SchedulerActor what it holds.
type inspect struct{ answer func(Inspection) }

// Inspect looks at the app without disturbing it: a sleeping app sleeps on, and
// nothing is done in passing that would otherwise have been left undone.
func (a *App) Inspect(ctx context.Context) (Inspection, error) {
	i, err := a.inspect(ctx)
	i.Clock, i.Overdue = a.eng.Clock().Notes, a.eng.overdues.count(a.id, a.eng.clock.wall())
	return i, a.eng.lapse.answer(err)
}

func (a *App) inspect(ctx context.Context) (Inspection, error) {
	if v, live := a.eng.directory.live.Load(a.id); live {
		if ref := v.(*appRef); ref.acquire(nil) {
			i, err := ref.inspect(ctx)
			if err != nil {
				return i, err
			}
			i.LeftOut, err = ref.app.store.Misfits()
			return i, asError(err)
		}
	}
	at, err := a.eng.store.DueAt(a.id)
	return Inspection{Asleep: true, AlarmAt: at}, asError(err)
}

// inspect asks the SchedulerActor of an app that was acquired.
func (r *appRef) inspect(ctx context.Context) (Inspection, error) {
	eng := r.app.eng
	got := make(chan Inspection, 1)
	eng.sys.tell(r.app.scheduler, &inspect{func(i Inspection) {
		r.release()
		got <- i
	}})
	select {
	case i := <-got:
		return i, nil
	case <-ctx.Done():
		return Inspection{}, contextError(ctx, "")
	case <-eng.directory.gone:
		return Inspection{}, errShutdown()
	}
}

func (s *scheduler) inspection() Inspection {
	i := Inspection{
		TurnHeld: s.holder != nil, History: s.store.History(), Queue: len(s.queue),
		Ready: s.runQueue.len(), Running: s.started, Permits: s.permits, Stuck: len(s.runs.stuck()),
	}
	i.IdempotencyKeys, i.IdempotencyBytes = s.store.IdempotencyKeys()
	i.Held, i.ArgBytes, i.ResultBytes, i.CheckpointBytes = s.store.HeldNow(), s.store.ArgBytes(), s.store.ResultBytes(), s.store.CheckpointBytes()
	i.Leaving = s.runs.leaving()
	for _, r := range s.runs.all() {
		if !s.runs.live(r.job.ID) {
			i.Claimed++
		}
	}
	if s.alarm.Armed() {
		i.AlarmAt = s.eng.clock.wall().Add(s.alarm.At - s.eng.clock.elapsed())
	}
	return i
}
