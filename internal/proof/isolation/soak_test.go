package isolation_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/internal/proof"
	"carillon/storage"
)

// soakHot is how many apps are always busy, soakCold how many are visited now and
// then and sleep in between, soakWorkers how many callers there are.
const (
	soakHot     = 3
	soakCold    = 40
	soakWorkers = 4
)

// G26: mixed work at a steady rate, for long, leaves nothing behind: memory,
// goroutines, files and what is in them stay as they were after the warm-up; and
// in the end each effect is there exactly once.
func TestG26_Soak(t *testing.T) {
	tally := proof.NewTally(t, "soak")
	others := goleak.IgnoreCurrent()
	dir := t.TempDir()
	eng, err := actors.Open(dir, actors.Options{
		Functions: soakFunctions(tally), Tables: []storage.Schema{soakCounts}, Volumes: 2,
		Retention: time.Second, KeepFinished: 200, IdleAfter: 200 * time.Millisecond,
		LogKeep:      16 << 20, // which is full after the first third
		QueryTimeout: time.Minute, MutationTimeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &soak{t: t, tally: tally, eng: eng, dir: dir, want: map[storage.AppID]map[string]int{}}
	s.run(proof.For(3*time.Second, 2*time.Minute, time.Hour))
	s.verify()
	if err := eng.Close(t.Context()); err != nil {
		tally.Leaked("close: %v", err)
	}
	if err := goleak.Find(others); err != nil {
		tally.Leaked("after Close: %v", err)
	}
}

// soak is an engine under steady work.
type soak struct {
	t     *testing.T
	tally *proof.Tally
	eng   *actors.Engine
	dir   string

	mu   sync.Mutex
	want map[storage.AppID]map[string]int // effects acknowledged
}

func (s *soak) app(id storage.AppID) *actors.App {
	app, err := s.eng.App(id)
	if err != nil {
		s.t.Error(err)
	}
	return app
}

// run does the work, and watches what it takes.
func (s *soak) run(span time.Duration) {
	for i := range soakHot {
		err := s.app(soakApp(i)).Scheduler(s.t.Context()).Crons().Create(dispatch.Trigger{
			Name: "tick", Schedule: cron.Expr("* * * * * *"), Call: soakTick.With(isoNone{}),
		})
		if err != nil {
			s.tally.Other("a trigger: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), span)
	defer cancel()
	var workers sync.WaitGroup
	for seed := range soakWorkers {
		workers.Go(func() { s.work(ctx, uint64(seed)) })
	}
	workers.Go(func() { s.copyApps(ctx) })
	s.sample(ctx, max(span/200, 150*time.Millisecond))
	workers.Wait()
}

// soakApp is the n-th app: the first ones are the busy ones.
func soakApp(n int) storage.AppID { return storage.AppID(fmt.Sprint("app", n)) }

// work is one caller, at a steady rate.
func (s *soak) work(ctx context.Context, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		id := soakApp(rnd.IntN(soakHot))
		if n%8 == 0 {
			id = soakApp(soakHot + rnd.IntN(soakCold))
		}
		s.do(id, rnd.IntN(9), rnd)
		s.tally.Tried(1)
	}
}

// do makes one call of an app, and notes what its effect must be.
func (s *soak) do(id storage.AppID, what int, rnd *rand.Rand) {
	app := s.app(id)
	caller, scheduler := app.As(s.t.Context(), nil), app.Scheduler(s.t.Context())
	kind, effects := []string{"call", "later", "action", "query", "job", "retried", "canceled", "raced", "list"}[what], 1
	work := soakWork{Kind: kind}
	var err error
	switch kind {
	case "call":
		_, err = soakAdd.Run(caller, work)
	case "later":
		_, err = soakLater.Run(caller, work)
		effects = 2
	case "action":
		_, err = soakAct.Run(caller, work)
	case "query":
		_, err = soakAll.Run(caller, isoNone{})
		effects = 0
	case "list":
		_, err = scheduler.List(storage.JobFilter{Limit: 20})
		effects = 0
	case "job":
		_, err = scheduler.RunAfter(time.Duration(rnd.IntN(100))*time.Millisecond, soakAdd.With(work))
	case "retried":
		work.Fails = rnd.IntN(4)
		_, err = scheduler.RunAfter(0, soakAdd.With(work), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 4, Base: 10 * time.Millisecond}))
	default: // canceled before it can run, or perhaps while it does
		delay := time.Hour
		if kind == "raced" {
			delay = time.Duration(rnd.IntN(3)) * time.Millisecond
		}
		var job storage.JobID
		if job, err = scheduler.RunAfter(delay, soakAdd.With(work)); err != nil {
			break
		}
		var answer storage.Cancellation
		if answer, err = scheduler.Cancel(job); answer.Canceled {
			effects = 0
		} else if kind == "canceled" {
			s.tally.Other("app %s: a job an hour ahead is not canceled: %+v, %v", id, answer, err)
		}
	}
	if err != nil {
		s.tally.Other("app %s: %s: %v", id, kind, err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.want[id] == nil {
		s.want[id] = map[string]int{}
	}
	s.want[id][kind] += effects
}

// copyApps exports an app, makes another of it, and removes that, again and again.
func (s *soak) copyApps(ctx context.Context) {
	pace := time.NewTicker(500 * time.Millisecond)
	defer pace.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		id := soakApp(n % (soakHot + soakCold))
		var stream bytes.Buffer
		if err := s.eng.Export(s.t.Context(), id, &stream); err != nil {
			if dispatch.AsError(err).Code != dispatch.CodeNotFound { // it has not come into being yet
				s.tally.Other("export %s: %v", id, err)
			}
			continue
		}
		if err := s.eng.Import(s.t.Context(), "copy", &stream); err != nil {
			s.tally.Other("import of %s: %v", id, err)
			continue
		}
		if err := s.eng.Delete(s.t.Context(), "copy"); err != nil {
			s.tally.Other("delete the copy of %s: %v", id, err)
		}
	}
}

// verify demands each effect exactly once, and no job left, or dead.
func (s *soak) verify() {
	if err := s.eng.Check(); err != nil {
		s.tally.Other("check: %v", err)
	}
	for _, id := range slices.Sorted(maps.Keys(s.want)) {
		want, app := s.want[id], s.app(id)
		_ = app.Scheduler(s.t.Context()).Crons().Delete("tick") // of those that have it
		awaitQuiet(s.t, app, time.Now().Add(30*time.Minute))
		got, err := soakAll.Run(app.As(s.t.Context(), nil), isoNone{})
		if err != nil {
			s.tally.Other("app %s: %v", id, err)
			continue
		}
		for kind, n := range want {
			switch {
			case got[kind] < n:
				s.tally.Lost("app %s: %d of %d effects of %s", id, got[kind], n, kind)
			case got[kind] > n:
				s.tally.Doubled("app %s: %d effects of %s, want %d", id, got[kind], kind, n)
			}
		}
		for _, job := range isoJobs(s.t, app) {
			if job.State != storage.StateSuccess && job.State != storage.StateCanceled {
				s.tally.Lost("app %s: a job of %s is %s: %+v", id, job.Function, job.State, job.Error)
			}
		}
	}
	for i := range soakHot {
		if got, err := soakAll.Run(s.app(soakApp(i)).As(s.t.Context(), nil), isoNone{}); err != nil || got["tick"] == 0 {
			s.tally.Lost("app %s never ticked: %v, %v", soakApp(i), got, err)
		}
	}
	if ids, err := s.eng.Apps(); err != nil || slices.Contains(ids, "copy") {
		s.tally.Leaked("the copy is still there: %v, %v", ids, err)
	}
}
