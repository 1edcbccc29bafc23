package actors_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// One benchmark for each promise about speed. Every call is durable before it
// returns, on the disk the temporary directory is on. Lateness is reported as
// percentiles, in microseconds.

type benchDoc struct {
	N int `json:"n"`
}

type benchEngine struct {
	eng   *actors.Engine
	done  atomic.Int64
	all   chan struct{}
	mu    sync.Mutex
	late  []time.Duration
	timed atomic.Bool
}

var (
	benchDocs  = storage.NewTable[benchDoc]("docs")
	benchNoop  = dispatch.InternalMutation[dispatch.None, dispatch.None]("bench:noop")
	benchEcho  = dispatch.Mutation[benchDoc, storage.ID[benchDoc]]("bench:write")
	benchEach  = dispatch.Mutation[int, dispatch.None]("bench:each")
	benchLater = dispatch.Mutation[benchDoc, storage.JobID]("bench:later")
)

func openBench(b *testing.B, opts actors.Options) *benchEngine {
	b.Helper()
	be := &benchEngine{all: make(chan struct{}, 1)}
	reg := dispatch.NewRegistry()
	benchNoop.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
		if be.timed.Load() {
			late := time.Since(ctx.Job.ScheduledFor)
			be.mu.Lock()
			be.late = append(be.late, late)
			be.mu.Unlock()
		}
		be.done.Add(1)
		return dispatch.None{}, nil
	})
	benchEcho.Handle(reg, func(ctx *dispatch.MutationCtx, d benchDoc) (storage.ID[benchDoc], error) {
		return benchDocs.Insert(ctx.DB, d)
	})
	benchLater.Handle(reg, func(ctx *dispatch.MutationCtx, d benchDoc) (storage.JobID, error) {
		if _, err := benchDocs.Insert(ctx.DB, d); err != nil {
			return "", err
		}
		return ctx.Scheduler.RunAfter(time.Hour, benchNoop.With(dispatch.None{}))
	})
	benchEach.Handle(reg, func(ctx *dispatch.MutationCtx, n int) (none dispatch.None, err error) {
		for i := 0; i < n && err == nil; i++ {
			_, err = ctx.Scheduler.RunAfter(time.Hour, benchNoop.With(dispatch.None{}))
		}
		return none, err
	})
	opts.Functions = reg
	opts.Logger = slog.New(slog.DiscardHandler)
	eng, err := actors.Open(b.TempDir(), opts)
	if err != nil {
		b.Fatal(err)
	}
	be.eng = eng
	b.Cleanup(func() {
		if err := eng.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return be
}

func (be *benchEngine) app(b *testing.B, name string) *actors.App {
	b.Helper()
	app, err := be.eng.App(storage.AppID(name))
	if err != nil {
		b.Fatal(err)
	}
	return app
}

// drained waits until every job of the app is done, durably.
func (be *benchEngine) drained(b *testing.B, app *actors.App) {
	b.Helper()
	for {
		page, err := app.Scheduler(context.Background()).List(storage.JobFilter{States: []storage.State{storage.StatePending, storage.StateRunning}, Limit: 1})
		if err != nil {
			b.Fatal(err)
		}
		if len(page.Jobs) == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// callers runs n calls of fn from as many goroutines as there are callers.
func callers(b *testing.B, callers, n int, fn func(i int) error) {
	b.Helper()
	var wg sync.WaitGroup
	var next atomic.Int64
	for range callers {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(n) {
					return
				}
				if err := fn(int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func perSecond(b *testing.B, n int, d time.Duration) {
	b.ReportMetric(float64(n)/d.Seconds(), "jobs/s")
}

func BenchmarkSchedule(b *testing.B) {
	for _, n := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", n), func(b *testing.B) {
			be := openBench(b, actors.Options{})
			app := be.app(b, "acme")
			sched := app.Scheduler(context.Background())
			b.ReportAllocs()
			start := time.Now()
			for b.Loop() {
				callers(b, n, 1000, func(int) error {
					_, err := sched.RunAfter(time.Hour, benchNoop.With(dispatch.None{}))
					return err
				})
			}
			perSecond(b, b.N*1000, time.Since(start))
		})
	}
}

// drainLead is how long before the jobs are due a drain is timed from: claims are made ahead.
const drainLead = 150 * time.Millisecond

// timeDrain starts the benchmark's timer just before the app's jobs are due, waits until they have
// ended, and returns how long that took from when they were due.
func (be *benchEngine) timeDrain(b *testing.B, app *actors.App, due time.Time) time.Duration {
	b.Helper()
	time.Sleep(time.Until(due) - drainLead)
	began := time.Now()
	b.StartTimer()
	be.drained(b, app)
	return time.Since(began) - drainLead
}

func BenchmarkDrain(b *testing.B) {
	for _, n := range []int{20_000} {
		b.Run(fmt.Sprintf("jobs=%d", n), func(b *testing.B) {
			be := openBench(b, actors.Options{})
			app := be.app(b, "acme")
			sched := app.Scheduler(context.Background())
			spent := time.Duration(0)
			for b.Loop() {
				b.StopTimer()
				due := time.Now().Add(2 * time.Second)
				callers(b, 256, n, func(int) error {
					_, err := sched.RunAt(due, benchNoop.With(dispatch.None{}))
					return err
				})
				spent += be.timeDrain(b, app, due)
			}
			perSecond(b, b.N*n, spent)
		})
	}
}

// BenchmarkGroup drains 10,000 jobs that are the members of one group, and as many that are of none.
func BenchmarkGroup(b *testing.B) {
	const n = 10_000
	for _, grouped := range []bool{false, true} {
		b.Run(fmt.Sprintf("grouped=%t", grouped), func(b *testing.B) {
			be := openBench(b, actors.Options{})
			app := be.app(b, "acme")
			sched := app.Scheduler(context.Background())
			spent := time.Duration(0)
			for b.Loop() {
				b.StopTimer()
				due := time.Now().Add(2 * time.Second)
				var in []dispatch.RunOption
				var group storage.GroupID
				if grouped {
					var err error
					if group, err = sched.NewGroup(benchNoop.With(dispatch.None{})); err != nil {
						b.Fatal(err)
					}
					in = append(in, dispatch.InGroup(group))
				}
				calls := make([]dispatch.Scheduled, n)
				for i := range calls {
					calls[i] = dispatch.At(due, benchNoop.With(dispatch.None{}), in...)
				}
				if _, err := sched.RunMany(calls); err != nil {
					b.Fatal(err)
				}
				if grouped {
					if err := sched.Seal(group); err != nil {
						b.Fatal(err)
					}
				}
				spent += be.timeDrain(b, app, due)
			}
			perSecond(b, b.N*n, spent)
		})
	}
}

func BenchmarkLateness(b *testing.B) {
	be := openBench(b, actors.Options{})
	be.timed.Store(true)
	app := be.app(b, "acme")
	sched := app.Scheduler(context.Background())
	for b.Loop() {
		start := time.Now()
		for i := range 300 {
			if _, err := sched.RunAt(start.Add(time.Second+time.Duration(i)*6700*time.Microsecond), benchNoop.With(dispatch.None{})); err != nil {
				b.Fatal(err)
			}
		}
		be.drained(b, app)
	}
	be.reportLateness(b)
}

// lateness is a quantile of how late jobs have begun, in microseconds.
func (be *benchEngine) lateness(q float64) float64 {
	be.mu.Lock()
	defer be.mu.Unlock()
	slices.Sort(be.late)
	return float64(be.late[int(q*float64(len(be.late)-1))].Microseconds())
}

func (be *benchEngine) reportLateness(b *testing.B) {
	b.Helper()
	b.ReportMetric(be.lateness(0.5), "p50-µs")
	b.ReportMetric(be.lateness(0.99), "p99-µs")
	b.ReportMetric(be.lateness(1), "max-µs")
	b.ReportMetric(be.lateness(0), "min-µs")
}

func BenchmarkMutation(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", n), func(b *testing.B) {
			be := openBench(b, actors.Options{})
			app := be.app(b, "acme")
			b.ReportAllocs()
			start := time.Now()
			for b.Loop() {
				callers(b, n, 500, func(i int) error {
					_, err := benchLater.Run(app.As(context.Background(), nil), benchDoc{i})
					return err
				})
			}
			b.ReportMetric(float64(b.N*500)/time.Since(start).Seconds(), "calls/s")
		})
	}
}

func BenchmarkColdWake(b *testing.B) {
	be := openBench(b, actors.Options{IdleAfter: time.Millisecond})
	n := 0
	for b.Loop() {
		b.StopTimer()
		app := be.app(b, fmt.Sprintf("app-%d", n%100))
		n++
		if n <= 100 {
			if _, err := benchEcho.Run(app.As(context.Background(), nil), benchDoc{n}); err != nil {
				b.Fatal(err)
			}
		}
		time.Sleep(10 * time.Millisecond) // it falls asleep
		b.StartTimer()
		if _, err := benchEcho.Run(app.As(context.Background(), nil), benchDoc{n}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkManyApps(b *testing.B) {
	const apps, jobs = 10_000, 10
	be := openBench(b, actors.Options{IdleAfter: time.Second})
	for b.Loop() {
		start := time.Now()
		due := start.Add(20 * time.Second)
		callers(b, 256, apps, func(i int) error {
			sched := be.app(b, fmt.Sprintf("app-%d", i)).Scheduler(context.Background())
			for range jobs {
				if _, err := sched.RunAt(due, benchNoop.With(dispatch.None{})); err != nil {
					return err
				}
			}
			return nil
		})
		b.ReportMetric(float64(apps*jobs)/time.Since(start).Seconds(), "schedule/s")
		be.done.Store(0)
		time.Sleep(time.Until(due))
		for be.done.Load() < apps*jobs {
			time.Sleep(time.Millisecond)
		}
		b.ReportMetric(time.Since(due).Seconds(), "herd-s")
	}
}

// BenchmarkVolumes is what the default of Options.Volumes was chosen by: 64
// callers schedule in 64 apps, and all the jobs run.
func BenchmarkVolumes(b *testing.B) {
	for _, volumes := range []int{1, 2, 4, 8} {
		b.Run(fmt.Sprintf("volumes=%d", volumes), func(b *testing.B) {
			const n = 20_000
			be := openBench(b, actors.Options{Volumes: volumes})
			scheduling, running := time.Duration(0), time.Duration(0)
			for b.Loop() {
				start := time.Now()
				due := start.Add(3 * time.Second)
				callers(b, 64, n, func(i int) error {
					_, err := be.app(b, fmt.Sprintf("app-%d", i%64)).Scheduler(context.Background()).RunAt(due, benchNoop.With(dispatch.None{}))
					return err
				})
				scheduling += time.Since(start)
				be.done.Store(0)
				time.Sleep(time.Until(due))
				for be.done.Load() < n {
					time.Sleep(time.Millisecond)
				}
				running += time.Since(due)
			}
			b.ReportMetric(float64(b.N*n)/scheduling.Seconds(), "schedule/s")
			b.ReportMetric(float64(b.N*n)/running.Seconds(), "run/s")
		})
	}
}

// BenchmarkRunMany schedules jobs of an hour from now, by one call each of a mutation
// and by RunMany. An operation is one job.
func BenchmarkRunMany(b *testing.B) {
	for _, size := range []int{1_000, dispatch.MaxBatch} {
		calls := make([]dispatch.Scheduled, size)
		for i := range calls {
			calls[i] = dispatch.After(time.Hour, benchNoop.With(dispatch.None{}))
		}
		for _, name := range []string{"many", "one-by-one"} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				be := openBench(b, actors.Options{TurnWait: time.Minute, MutationTimeout: time.Minute})
				app := be.app(b, "acme")
				for n := 0; n < b.N; n += size {
					batch := calls[:min(size, b.N-n)]
					var err error
					if name == "many" {
						_, err = app.Scheduler(b.Context()).RunMany(batch)
					} else {
						_, err = benchEach.Run(app.As(b.Context(), nil), len(batch))
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkCancelMany cancels jobs of an app by their tag while another job of the app is
// due every 2 ms, and reports how late those begin. An operation is one job.
func BenchmarkCancelMany(b *testing.B) {
	be := openBench(b, actors.Options{TurnWait: time.Minute})
	s := be.app(b, "acme").Scheduler(b.Context())
	for n := 0; n < b.N; n += dispatch.MaxBatch {
		calls := make([]dispatch.Scheduled, min(dispatch.MaxBatch, b.N-n))
		for i := range calls {
			calls[i] = dispatch.After(time.Hour, benchNoop.With(dispatch.None{}), dispatch.Tags("bulk"))
		}
		if _, err := s.RunMany(calls); err != nil {
			b.Fatal(err)
		}
	}
	var timers []dispatch.Scheduled
	at := time.Now().Add(200 * time.Millisecond)
	for range 2_000 {
		at = at.Add(2 * time.Millisecond)
		timers = append(timers, dispatch.At(at, benchNoop.With(dispatch.None{})))
	}
	if _, err := s.RunMany(timers); err != nil {
		b.Fatal(err)
	}
	be.timed.Store(true)
	time.Sleep(1200 * time.Millisecond)
	alone := be.lateness(0.99)
	be.mu.Lock()
	be.late = nil
	be.mu.Unlock()
	b.ResetTimer()
	n, err := s.CancelMany(storage.JobFilter{Tags: []string{"bulk"}})
	b.StopTimer()
	if n != b.N || err != nil {
		b.Fatal(n, err)
	}
	be.timed.Store(false)
	be.reportLateness(b)
	b.ReportMetric(alone, "alone-p99-µs")
}
