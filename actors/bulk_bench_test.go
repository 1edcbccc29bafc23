package actors_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// BenchmarkBulk is how late due jobs of the app begin, in ms, while 20,000 others of it are
// canceled, or retried, in bulk: neither is to put off what is due for more than 20 ms.
func BenchmarkBulk(b *testing.B) {
	const jobs, every = 20_000, 5 * time.Millisecond
	var mu sync.Mutex
	var late []time.Duration
	reg := dispatch.NewRegistry()
	rest := dispatch.InternalMutation[dispatch.None, dispatch.None]("bench:rest")
	pool := dispatch.NewPool("bulk", 64) // what is retried keeps none back that is not in it
	fail := dispatch.InternalAction[dispatch.None, dispatch.None]("bench:fail", dispatch.InPool(pool), dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 1}))
	due := dispatch.InternalAction[time.Time, dispatch.None]("bench:due")
	rest.Handle(reg, func(*dispatch.MutationCtx, dispatch.None) (none dispatch.None, err error) { return none, nil })
	fail.Handle(reg, func(*dispatch.ActionCtx, dispatch.None) (none dispatch.None, err error) {
		return none, dispatch.Errorf(dispatch.CodeInternal, "it fails")
	})
	due.Handle(reg, func(_ *dispatch.ActionCtx, at time.Time) (none dispatch.None, err error) {
		mu.Lock()
		defer mu.Unlock()
		late = append(late, time.Since(at))
		return none, nil
	})
	tagged := storage.JobFilter{Tags: []string{"bulk"}}
	for _, bm := range []struct {
		name string
		call dispatch.Call
		wait time.Duration
		do   func(*actors.HostScheduler) (int, error)
	}{
		{"none", rest.With(dispatch.None{}), time.Hour, func(*actors.HostScheduler) (int, error) { time.Sleep(time.Second); return jobs, nil }},
		{"cancel", rest.With(dispatch.None{}), time.Hour, func(s *actors.HostScheduler) (int, error) { return s.CancelMany(tagged) }},
		{"retry", fail.With(dispatch.None{}), 0, func(s *actors.HostScheduler) (int, error) { return s.RetryMany(tagged) }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			late = nil
			var took time.Duration
			for b.Loop() {
				eng, err := actors.Open(b.TempDir(), actors.Options{
					Functions: reg, Pools: []*dispatch.Pool{pool}, Logger: slog.New(slog.DiscardHandler), KeepDead: -1, AppConcurrency: 1000,
				})
				if err != nil {
					b.Fatal(err)
				}
				app, err := eng.App("acme")
				if err != nil {
					b.Fatal(err)
				}
				s := app.Scheduler(context.Background())
				for range jobs / dispatch.MaxBatch {
					calls := slices.Repeat([]dispatch.Scheduled{dispatch.After(bm.wait, bm.call, dispatch.Tags("bulk"))}, dispatch.MaxBatch)
					if _, err := s.RunMany(calls); err != nil {
						b.Fatal(err)
					}
				}
				for bm.wait == 0 { // until all are dead
					n, err := s.CountJobs(storage.JobFilter{States: []storage.State{storage.StatePending, storage.StateRunning}})
					if err != nil {
						b.Fatal(err)
					}
					if n == 0 {
						break
					}
					time.Sleep(100 * time.Millisecond)
				}
				over := make(chan struct{})
				var asking sync.WaitGroup
				asking.Go(func() {
					for tick := time.NewTicker(every); ; <-tick.C {
						select {
						case <-over:
							tick.Stop()
							return
						default:
						}
						at := time.Now().Add(time.Second).Truncate(time.Millisecond)
						if _, err := s.RunAt(at, due.With(at)); err != nil {
							b.Error(err)
						}
					}
				})
				time.Sleep(time.Second)
				began := time.Now()
				if n, err := bm.do(s); n != jobs || err != nil {
					b.Errorf("%d of %d: %v", n, jobs, err)
				}
				took += time.Since(began)
				close(over)
				asking.Wait()
				time.Sleep(1100 * time.Millisecond)
				if err := eng.Close(context.Background()); err != nil {
					b.Error(err)
				}
			}
			slices.Sort(late)
			ms := func(q float64) float64 { return float64(late[int(q*float64(len(late)-1))].Microseconds()) / 1000 }
			b.ReportMetric(ms(0.5), "p50-ms")
			b.ReportMetric(ms(0.99), "p99-ms")
			b.ReportMetric(ms(1), "max-ms")
			b.ReportMetric(took.Seconds()/float64(b.N), "s/bulk")
			b.ReportMetric(0, "ns/op")
		})
	}
}
